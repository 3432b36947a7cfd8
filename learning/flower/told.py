"""What a node is told of a run, as text: enough to make the same task and the same scheme, and nothing else."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import Any

from learning.catalog import SCHEMES
from learning.flower.prepared import CARRIED
from learning.loop import Plans
from learning.options import label
from learning.schemes.base import Scheme
from learning.setup import Setup
from learning.task import Task
from radioopt.base.errors import OptionError
from radioopt.base.quantity import shorten

#: settings that decide what devices hold and what they start from
HELD = ("data", "public", "partition", "model", "seed")


def told(setup: Setup, plans: Plans) -> str:
    """Write down what nodes need to know of a run.

    Parameters
    ----------
    setup : Setup
        What the run was told.
    plans : Plans
        What was made of it.

    Returns
    -------
    str
        JSON, from which :func:`made` makes the devices' half of the run.

    Raises
    ------
    OptionError
        If a setting is no name and no number, so that nodes could not be told it, or samples change hands before
        the first round.
    """
    if others := [step for step in plans.before if not isinstance(step, CARRIED)]:
        raise OptionError(
            f"before: {', '.join(map(label, others))}: it changes who holds which samples, and nodes make theirs from "
            "the names of data and partition: leave before out, or train in one process"
        )
    if plans.sampling is not None:
        raise OptionError(
            "participants: over Flower everybody takes part in every round: leave participants out"
        )
    scheme = label(plans.scheme)
    if scheme not in SCHEMES or type(plans.scheme) is not SCHEMES[scheme]:
        raise OptionError(
            f"scheme {scheme}: nodes make their scheme by its name, choose from {', '.join(SCHEMES)}"
        )
    held = {name: getattr(setup, name) for name in HELD}
    options = plans.scheme.settings()
    for where, values in (("", held), (f"scheme {scheme}: ", options)):
        for name, value in values.items():
            if not _plain(value):
                raise OptionError(
                    f"{where}{name}: nodes are told settings as text: expected names and numbers, got "
                    f"{shorten(value)}"
                )
    return json.dumps(
        {"scenario": plans.scenario.to_dict(), "scheme": scheme, "options": options, **held}, allow_nan=False
    )


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    return value is None or type(value) in (bool, int, float, str)


@lru_cache(maxsize=4)
def made(text: str) -> tuple[Scheme[Any], Task, str]:
    """Make scheme and task of what was told.

    Parameters
    ----------
    text : str
        From :func:`told`.

    Returns
    -------
    scheme : Scheme
        What is done.
    task : Task
        Who holds what.
    digest : str
        Of data, partition and initial weights: equal wherever the same was made.
    """
    from radioopt.scenario import Scenario

    given = json.loads(text)
    setup = Setup(
        scenario=Scenario.from_dict(given.pop("scenario")),
        scheme=given.pop("scheme"),
        options=given.pop("options"),
        **given,
    )
    plans = setup.plans(timed=False)
    return plans.scheme, plans.task, digest_of_task(plans.task)


def digest_of_task(task: Task) -> str:
    """Return a digest of data, partition and initial weights."""
    return hashlib.sha256(json.dumps(task.fingerprints(), sort_keys=True).encode()).hexdigest()
