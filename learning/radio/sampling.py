"""Client sampling: who takes part in a round, by policies of the field, over any radio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.catalog import SELECTIONS
from learning.options import choose, label, real, whole
from learning.radio.base import Floats, Plan, Sent, Work
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten
from radioopt.base.solution import Solution
from radioopt.scenario import Devices

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a selection knows of the devices before a round.

    Parameters
    ----------
    devices : Devices
        All K of them, with this round's channel.
    count : int
        How many are to take part.
    round : int
        Number of the round, from 1 on.
    samples : ndarray of int64, shape (K,)
        Samples that each holds.
    losses : ndarray, shape (K,)
        Mean loss over what each trained with when it last took part; NaN for those that never did.
    seconds : ndarray, shape (K,)
        What computing and uploading took it then [s]; NaN likewise.
    last_round : ndarray of int64, shape (K,)
        In which round that was; 0 for never.
    """

    devices: Devices
    count: int
    round: int
    samples: Places
    losses: Floats
    seconds: Floats
    last_round: Places


Selection = Callable[[Candidates, np.random.Generator], Any]


def uniform(candidates: Candidates, rng: np.random.Generator) -> Places:
    """Draw devices, all equally likely."""
    return rng.choice(len(candidates.samples), candidates.count, replace=False)


def by_channel(candidates: Candidates, rng: np.random.Generator) -> Places:
    """Take those with the best uplink in this round: the largest rate of a device that holds the whole band."""
    return np.argsort(-np.asarray(candidates.devices.uplink_rate_bps), kind="stable")[: candidates.count]


def by_data(candidates: Candidates, rng: np.random.Generator) -> Places:
    """Draw devices with probabilities in proportion to the samples that they hold."""
    share = candidates.samples / candidates.samples.sum()
    return rng.choice(len(share), candidates.count, replace=False, p=share)


#: Oort: share of the places for devices that never took part, penalty of the slow, weight of a long absence
EXPLORED, PENALTY, ABSENCE = 0.2, 2.0, 0.1
#: Oort: share of the devices that are not slow
PREFERRED = 0.8


def oort(candidates: Candidates, rng: np.random.Generator) -> Places:
    r"""Take those of largest utility, and some that never took part, as Oort does.

    With :math:`n_k` samples, the mean loss :math:`l_k` and the time :math:`t_k` of its last round :math:`r_k`, a device
    has the utility

    .. math::
        \Bigl(n_k l_k + \sqrt{0.1 \ln(r) / r_k} \max_j n_j l_j\Bigr) (T / t_k)^{2 [t_k > T]},

    where T is the time that 80 % of the devices known stay below. Of the places 20 % are for devices that never took
    part, drawn at random, and more where not enough are known. [simplified: Oort has the root of the mean squared loss
    in place of the mean loss, lowers the share of exploration, and paces T.]

    References
    ----------
    F. Lai et al., "Oort: Efficient Federated Learning via Guided Participant Selection", OSDI 2021, (2) and
    Algorithm 1.
    """
    known = np.flatnonzero((candidates.last_round > 0) & np.isfinite(candidates.losses))
    fresh = np.setdiff1d(np.arange(len(candidates.samples)), known)
    explored = min(len(fresh), max(round(EXPLORED * candidates.count), candidates.count - len(known)))
    drawn = rng.choice(fresh, explored, replace=False)
    if not len(known):
        return drawn
    worth = candidates.samples[known] * candidates.losses[known]
    absence = np.sqrt(ABSENCE * np.log(candidates.round) / candidates.last_round[known])
    took = candidates.seconds[known]
    slow = np.quantile(took, PREFERRED)
    ratio = np.ones(len(known))
    np.divide(slow, took, out=ratio, where=took > slow)
    utility = (worth + absence * worth.max()) * ratio**PENALTY
    best = known[np.argsort(-utility, kind="stable")[: candidates.count - explored]]
    return np.concatenate([drawn, best])


@dataclass(frozen=True)
class Sampling:
    """Who takes part in every round.

    Parameters
    ----------
    participants : int, float or callable
        How many devices >= 1, or their share in (0, 1], at least one; or a function ``(candidates, rng)`` that returns
        the numbers of those who take part.
    selection : str or callable, default "uniform"
        A key of ``SELECTIONS``, or such a function, which is told how many.

    Raises
    ------
    OptionError
        If a number is out of its range, there is no such selection, or both choose.

    Examples
    --------
    >>> Sampling(0.1).count(12), Sampling(5).count(12)
    (1, 5)
    """

    participants: Any
    selection: Any = "uniform"

    def __post_init__(self) -> None:
        if callable(self.participants):
            if self.selection != "uniform":
                raise OptionError(
                    "selection: participants is a function and chooses itself: give one of the two"
                )
        elif isinstance(self.participants, float | np.floating):
            real("participants", self.participants, high=1.0, closed=True)
        else:
            whole("participants", self.participants)
        if not callable(self.selection):
            choose("selection", self.selection, SELECTIONS, "a function (candidates, rng)")

    def count(self, devices: int) -> int:
        """Return how many of so many devices take part; all where a function chooses."""
        if callable(self.participants):
            return devices
        if isinstance(self.participants, float | np.floating):
            return max(1, round(float(self.participants) * devices))
        if self.participants > devices:
            raise OptionError(
                f"participants: expected at most the {devices} devices, got {self.participants}"
            )
        return int(self.participants)

    def choose(self, candidates: Candidates, rng: np.random.Generator) -> Places:
        """Return the numbers of those who take part, ascending.

        Raises
        ------
        ProblemError
            If a function returns something else than numbers of devices, at least one and none twice.
        """
        given: Any = self.participants if callable(self.participants) else self.selection
        function: Selection = given if callable(given) else SELECTIONS[given]
        found, count = np.asarray(function(candidates, rng)), len(candidates.samples)
        if found.dtype == np.bool_ and found.shape == (count,):
            found = np.flatnonzero(found)
        fine = found.ndim == 1 and found.size and found.dtype.kind in "iu"
        if not fine or found.min() < 0 or found.max() >= count or np.unique(found).size < found.size:
            option = "participants" if callable(self.participants) else "selection"
            raise ProblemError(
                f"{option} {label(given)}: expected numbers of devices from 0 to {count - 1}, at least one and none "
                f"twice, got {shorten(found)}"
            )
        return np.sort(found.astype(np.int64))

    def settings(self) -> dict[str, Any]:
        """Return the options, for the manifest of a run."""
        given = self.participants
        return {
            "participants": label(given) if callable(given) else given,
            "selection": label(self.selection),
        }


@dataclass(frozen=True, eq=False)
class SampledPlan(Plan):
    """A plan for those who take part, with a row for everybody: others train with nothing.

    Parameters
    ----------
    chosen : ndarray of bool, shape (K,)
        Who takes part.
    solution : Solution, optional
        What was solved for them, with a row for each who takes part.
    numbers : mapping of str to float
        What the plan of those who take part has for the table of rounds.
    orders : mapping of str to int
        What it tells devices.
    losses : ndarray, shape (K,), optional
        Mean loss over what each trained with; NaN for those who did not.
    """

    chosen: NDArray[np.bool_]
    solution: Solution | None
    numbers: Mapping[str, float]
    orders: Mapping[str, int]
    losses: Floats | None = None

    def figures(self) -> Mapping[str, float]:
        """Return what the plan has, and how many take part."""
        return {**self.numbers, "participants": int(self.chosen.sum())}

    def told(self) -> Mapping[str, int]:
        """Return what the plan tells devices."""
        return self.orders

    def takes_part(self) -> NDArray[np.bool_]:
        """Return who takes part."""
        return self.chosen

    def learnt(self, losses: Floats) -> SampledPlan:
        """Keep the losses of the round, for the next selections."""
        return replace(self, losses=losses)


def only(work: Work, some: Places) -> Work:
    """Return the work of some devices."""

    def rows(values: Any) -> Any:
        return None if values is None else values[some]

    steps = None if work.steps is None else tuple(work.steps[device] for device in some.tolist())
    return replace(work, held=rows(work.held), steps=steps, own=rows(work.own), kinds=rows(work.kinds))


def for_all(plan: Plan, sent: Sent, devices: Devices, some: Places) -> tuple[SampledPlan, Sent]:
    """Give everybody a row in what was planned for and sent by those who take part.

    Parameters
    ----------
    plan : Plan
        Of those who take part.
    sent : Sent
        Likewise.
    devices : Devices
        All of them.
    some : ndarray of int64
        Those who take part.

    Returns
    -------
    plan : SampledPlan
        With nothing to train for the others.
    sent : Sent
        Others spend nothing and send nothing. They are as the server's last answer says when they are chosen next:
        what is downloaded for that is charged to the round in which they are.
    """
    count = devices.sizes["device"]

    def spread(values: NDArray[Any]) -> NDArray[Any]:
        full = np.zeros(count, values.dtype)
        full[some] = values
        return full

    rows = {item.name: getattr(sent, item.name) for item in fields(sent)}
    rows = {name: spread(of) for name, of in rows.items() if isinstance(of, np.ndarray) and of.ndim == 1}
    chosen = spread(np.ones(len(some), np.bool_))
    rows["received"] = np.where(chosen, rows["received"], sent.downlink_bits > 0)
    sampled = SampledPlan(
        devices,
        spread(plan.batchsize),
        plan.payload,
        plan.prices,
        chosen,
        getattr(plan, "solution", None),
        dict(plan.figures()),
        dict(plan.told()),
    )
    return sampled, replace(sent, **rows)
