"""Training over a grid of settings, with several seeds at each point: the tidy table, its figure and its LaTeX."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import radioopt
from learning.options import whole
from learning.progress import progress_bar
from learning.runs.manifest import plain
from learning.study.trained import measured
from learning.training import refuse_mistakes, train
from radioopt.base.errors import OptionError, suggestion
from radioopt.base.files import write_whole
from radioopt.base.spread import check_backend, spread
from radioopt.scenario import Scenario
from radioopt.sweeps.grid import Axis, axes_of, described, told_apart
from radioopt.sweeps.point import Question
from radioopt.sweeps.result import Sweep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: what is known of a run: its unit, and words for it
QUANTITIES = {
    "final_accuracy": ("1", "test accuracy"),
    "final_r2": ("1", "test R²"),
    "seconds": ("s", "simulated time"),
    "rounds": ("1", "rounds"),
    "energy_j": ("J", "energy of all devices"),
    "seconds_to_target": ("s", "time to the target"),
    "rounds_to_target": ("1", "rounds to the target"),
    "energy_to_target_j": ("J", "energy to the target"),
}
#: arguments of ``train`` that a sweep gives itself
OWN = ("scenario", "scheme", "seed", "checkpoint", "every", "callbacks", "progress")
#: what a run is judged by: the first that any run has is what is summarised by default
JUDGED = ("final_accuracy", "final_r2")


class TrainingSweep(Sweep):
    """The runs of a sweep over training, made by :func:`learning.sweep`.

    It is read as a :class:`radioopt.sweeps.result.Sweep` is: a scheme stands for a problem, and a seed for a draw.
    """

    trials = "seeds"

    @property
    def default(self) -> str:
        """What is summarised if nothing else is asked for: the accuracy, and R² where all runs are regressions."""
        return next((name for name in JUDGED if name in self.frame), JUDGED[0])

    def to_frame(self) -> pd.DataFrame:
        """Return the tidy table: a row per point, scheme and seed, with what the run reached and what it took.

        Returns
        -------
        pandas.DataFrame
            A column per axis, ``scheme``, ``seed``, ``status`` (why the run ended), ``reached``, and
            ``final_accuracy`` (of a regression ``final_r2``, below 0 where a constant would be better), ``rounds``,
            ``seconds``, ``energy_j``, ``seconds_to_target``, ``rounds_to_target``, ``energy_to_target_j``, NaN where
            there is no target or it was not reached. ``attrs["units"]`` has units.
        """
        frame = self.frame.rename(columns={"problem": "scheme", "draw": "seed"})
        units = {axis.key: axis.unit for axis in self.axes}
        frame.attrs["units"] = units | {name: QUANTITIES[name][0] for name in self._quantities()}
        return frame

    def unit(self, quantity: str, problem: str) -> str:
        """Return the unit of a quantity."""
        return QUANTITIES[quantity][0]

    def name_of(self, quantity: str, problem: str) -> str:
        """Return words for a quantity."""
        return QUANTITIES[quantity][1]

    def having(self, quantity: str) -> list[str]:
        """Name the schemes; a quantity that no run has is refused."""
        if quantity not in (known := self._quantities()):
            raise OptionError(f"no run has a quantity {quantity!r}{suggestion(quantity, known)}")
        return [question.name for question in self.questions]

    def _quantities(self) -> list[str]:
        return [name for name in QUANTITIES if name in self.frame]

    def summary(self, quantity: str | None = None, confidence: float = 0.95) -> pd.DataFrame:
        """Summarise a quantity, or :attr:`default`, over the seeds of every point, as :meth:`Sweep.summary` does."""
        table = super().summary(quantity or self.default, confidence).drop(columns="infeasible")
        table.index.names = ["scheme", *table.index.names[1:]]
        return table.rename(columns={"draws": "seeds", "unanswered": "without"})

    def words(self, quantity: str | None = None) -> pd.DataFrame:
        """Return the summary as people read it, as :meth:`Sweep.words` does."""
        return super().words(quantity or self.default)

    def plot(self, quantity: str | None = None, **options: Any) -> Figure:
        """Draw means with the interval of the mean over an axis, a panel for each scheme."""
        return super().plot(quantity or self.default, **{"band": "interval", **options})

    def to_latex(self, quantity: str | None = None, **options: Any) -> str:
        """Write means with their intervals as a table for LaTeX."""
        return super().to_latex(quantity or self.default, **options)

    def save(self, folder: str | os.PathLike[str], quantity: str | None = None) -> list[Path]:
        """Write table, summary, LaTeX and figure into a folder, each file whole."""
        return super().save(folder, quantity or self.default)

    def _answered(self, quantity: str) -> pd.Series[bool]:
        return self.frame[quantity].notna()

    def counts(self, quantity: str) -> pd.DataFrame:
        """Return the summary with the columns that figure and table need."""
        return super().summary(quantity)

    def told_of(self, problem: str) -> str:
        """Say what the runs of a scheme reached."""
        own = self.frame[self.frame["problem"] == problem]
        spans = [
            f"{QUANTITIES[name][1]} {own[name].min():.3g} to {own[name].max():.3g}"
            for name in JUDGED
            if name in own and own[name].notna().any()
        ]
        return ", ".join([f"{len(own)} runs", *spans])


def sweep(
    scenario: Scenario | str | os.PathLike[str],
    vary: Mapping[str, Any],
    *,
    schemes: str | Sequence[str] = "feel",
    seeds: int | Sequence[int] = 5,
    folder: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    progress: bool = True,
    **train_options: Any,
) -> TrainingSweep:
    """Train over a grid of settings, with the same seeds at each point.

    Parameters
    ----------
    scenario : Scenario or path-like
        As for :func:`learning.train`.
    vary : mapping of str to sequence
        Values by key: options of :func:`learning.train` and of the schemes, as ``learning_rate`` or ``partition``, and
        keys of the scenario, as ``bandwidth_hz`` or ``devices.count``. The grid has every combination.
    schemes : str or sequence of str, default "feel"
        What is trained; each has a panel of its own.
    seeds : int or sequence of int, default 5
        Seeds, or how many (0, 1, ...). Points are paired: the same seed is the same split, places and weights.
    folder : path-like, optional
        Where runs are kept, a file for each. The same sweep goes on from there after an interruption, also in the
        middle of a run, and one with more values, schemes or seeds trains what is missing.
    jobs : int, default 1
        Processes that share the runs, by joblib; -1 takes all cores.
    progress : bool, default True
        Show a bar, on a terminal, if it takes longer than a second.
    **train_options
        Whatever else :func:`learning.train` takes, the same for all runs.

    Returns
    -------
    TrainingSweep
        ``to_frame()``, a row per point, scheme and seed; ``summary()``, ``plot()``, ``to_latex()``, ``save()``.

    Raises
    ------
    OptionError
        If nothing is varied, a value stands twice, or as :func:`learning.train`: all points are checked before the
        first run. With a folder, if an option is no text or number, by which a run would be known again.
    ProblemError
        If the scenario refuses a value.

    Examples
    --------
    >>> found = sweep("feel-cpu", {"learning_rate": [0.1, 0.4]}, seeds=2, rounds=3, data="digits@300+100")
    >>> found.to_frame().shape[0], found.summary()["seeds"].tolist()
    (4, [2, 2])
    """
    if not isinstance(scenario, Scenario):
        scenario = Scenario.load(scenario)
    names = [schemes] if isinstance(schemes, str) else list(schemes)
    chosen = list(seeds) if isinstance(seeds, Sequence) else list(range(whole("seeds", seeds)))
    for option, given in (("schemes", names), ("seeds", chosen)):
        if not given or len(set(given)) < len(given):
            raise OptionError(f"{option}: expected at least one and none twice, got {given}")
    if jobs != -1:
        whole("jobs", jobs)
    check_backend("loky", None)
    axes, options = _axes(scenario, vary)
    for name in OWN:
        if name in train_options or name in options:
            raise OptionError(f"{name}: a sweep gives it itself: leave it out")
    for name in options & train_options.keys():
        raise OptionError(f"{name}: it is varied, and given: leave one out")
    work = []
    for values in itertools.product(*(axis.values for axis in axes)):
        point = {axis.key: value for axis, value in zip(axes, values, strict=True)}
        here = scenario.replace({key: value for key, value in point.items() if key not in options})
        own = train_options | {key: value for key, value in point.items() if key in options}
        work += [(point, here, own | {"scheme": name}) for name in names]
    refuse_mistakes([{"scenario": here, **own, "seed": chosen[0]} for _, here, own in work])
    runs = [(*each, seed) for each in work for seed in chosen]
    files = [None if folder is None else _file(folder, here, own, seed) for _, here, own, seed in runs]
    found = [_kept(file) for file in files]
    missing = [i for i, numbers in enumerate(found) if numbers is None]
    with progress_bar("train", len(runs), enabled=progress) as report:
        report(len(runs) - len(missing))
        calls = ((*runs[i][1:], files[i]) for i in missing)
        for i, numbers in zip(missing, _trained(calls, jobs), strict=True):
            found[i] = numbers
            report(sum(one is not None for one in found), described(axes, list(runs[i][0].values())))
    import pandas as pd

    shown = [dict(zip(point, _shown(axes, point), strict=True)) for point, *_ in runs]
    rows = [
        {**place, "problem": own["scheme"], "draw": seed, "status": numbers.pop("stopped"), **numbers}
        for place, (_, _, own, seed), numbers in zip(shown, runs, found, strict=True)
        if numbers is not None
    ]
    questions = tuple(Question(name, name, "") for name in names)
    return TrainingSweep(pd.DataFrame(rows), axes, questions, len(chosen), int(chosen[0]), scenario)


def _axes(scenario: Scenario, vary: Mapping[str, Any]) -> tuple[tuple[Axis, ...], set[str]]:
    """Read what is varied: the axes, and which of them are options of the training."""
    if not isinstance(vary, Mapping) or not vary:
        raise OptionError('vary: expected values by key, as {"learning_rate": [0.1, 0.4]}')
    known, axes, options = inspect.signature(train).parameters, [], set()
    for name, values in vary.items():
        try:
            if name in known:
                raise LookupError
            (axis,) = axes_of(scenario, {name: values})
        except (LookupError, radioopt.ProblemError):
            if "." in name:
                raise
            options.add(name)
            if isinstance(values, np.ndarray):
                values = values.tolist()
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise OptionError(f"vary: {name}: expected a list of values, got {values!r}") from None
            twice = [value for i, value in enumerate(values) if value in values[:i]]
            if twice:
                raise OptionError(f"vary: {name}: {twice[0]!r} stands twice") from None
            axis = Axis(name, tuple(values), "1")
        axes.append(axis)
        if name in ("problem", "draw", "status", "reached", *QUANTITIES):
            raise OptionError(f"vary: {name} is a result too, and cannot be varied")
    if of_scenario := {axis.key: axis.values for axis in axes if axis.key not in options}:
        axes_of(scenario, of_scenario)  # refuses a key that stands twice, bare and with its table
    return told_apart(axes), options


def _shown(axes: Sequence[Axis], point: Mapping[str, Any]) -> list[Any]:
    return [axis.shown[axis.values.index(point[axis.key])] for axis in axes]


def _file(folder: Any, scenario: Scenario, options: Mapping[str, Any], seed: int) -> Path:
    """Name the file of a run by all that its numbers follow from."""
    try:
        text = json.dumps([radioopt.__version__, scenario.to_dict(), dict(options), seed], sort_keys=True)
    except TypeError:
        told = next(name for name, value in options.items() if not _is_plain(value))
        raise OptionError(
            f"folder: {told} is no text and no number, by which a run is known again: leave folder out, or "
            f"give {told} by name"
        ) from None
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Path(folder).expanduser() / "runs" / f"{options['scheme']}-{digest}.json"


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return True


def _kept(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        kept = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return {name: np.nan if value is None else value for name, value in kept.items()}


def _trained(calls: Iterator[tuple[Any, ...]], jobs: int) -> Iterator[dict[str, Any]]:
    yield from spread(_train, calls, jobs=jobs, backend="loky", scheduler=None)


def _train(scenario: Scenario, options: Mapping[str, Any], seed: int, file: Path | None) -> dict[str, Any]:
    """Train once, and keep the numbers."""
    state: dict[str, Any] = {} if file is None else {"checkpoint": file.with_suffix(".npz")}
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    result = train(scenario, **options, seed=seed, progress=False, **state)
    numbers = measured(result, options.get("target_accuracy"))
    if result.task.data.regression:
        numbers["final_r2"] = numbers.pop("final_accuracy")
    if file is not None:
        write_whole(file, json.dumps(plain(numbers)).encode())
        for left in file.parent.glob(f"{file.stem}.npz*"):
            left.unlink()
    return numbers
