"""What a sweep's folder says of itself, so that it can be read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from radioopt.base.errors import OptionError
from radioopt.scenario import Scenario
from radioopt.sweeps.grid import Axis, told_apart
from radioopt.sweeps.point import Question

if TYPE_CHECKING:
    from radioopt.sweeps.result import Sweep

#: the files that are read
ROWS, ABOUT = "sweep.csv", "sweep.json"
#: columns that have other names in the table of a sweep of training
_TRAINING = {"scheme": "problem", "seed": "draw"}


def about(sweep: Sweep, quantity: str) -> bytes:
    """Write down what the table of a sweep does not say.

    Parameters
    ----------
    sweep : Sweep
        Of problems or of training.
    quantity : str
        What is drawn and tabulated.

    Returns
    -------
    bytes
        JSON.
    """
    told = {
        "trials": sweep.trials,
        "quantity": quantity,
        "draws": sweep.draws,
        "seed": sweep.seed,
        "axes": [{"key": axis.key, "values": list(axis.values), "unit": axis.unit} for axis in sweep.axes],
        "questions": [[each.name, each.family, each.method] for each in sweep.questions],
        "scenario": sweep.scenario.to_dict(),
    }
    return json.dumps(told, indent=1, default=str).encode() + b"\n"


def read_sweep(folder: Path, kind_of: Callable[[str], type[Sweep]]) -> tuple[Sweep, str]:
    """Read a sweep back.

    Parameters
    ----------
    folder : pathlib.Path
        What ``Sweep.save`` wrote.
    kind_of : callable
        From what its trials are called, "draws" or "seeds", to the class.

    Returns
    -------
    sweep : Sweep
        With the same table.
    quantity : str
        What was drawn and tabulated.

    Raises
    ------
    OptionError
        If the folder is not that of a sweep, or a file in it is damaged.
    """
    try:
        told = json.loads((folder / ABOUT).read_bytes())
        axes = told_apart([Axis(each["key"], tuple(each["values"]), each["unit"]) for each in told["axes"]])
        frame = pd.read_csv(folder / ROWS, converters={axis.key: _reader(axis) for axis in axes})
        kind = kind_of(told["trials"])
        found = kind(
            frame if told["trials"] == "draws" else frame.rename(columns=_TRAINING),
            axes,
            tuple(Question(*each) for each in told["questions"]),
            told["draws"],
            told["seed"],
            Scenario.from_dict(told["scenario"]),
        )
        found.summary(told["quantity"])
        return found, told["quantity"]
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OSError,
        RecursionError,
        OptionError,
    ) as error:
        raise OptionError(
            f"{folder}: not the folder of a sweep, or damaged, or of another version ({error}): sweep again"
        ) from error


def _reader(axis: Axis) -> Callable[[str], Any]:
    """Return what reads a value of an axis off the table, as it was given, whatever else its column holds."""
    kind: Any = float if axis.numeric else str
    known = {kind(value): value for value in axis.shown}
    return lambda text: known[kind(text)]
