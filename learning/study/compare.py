"""Compare policies fairly: paired runs, with a target and a budget that are fixed beforehand."""

from __future__ import annotations

import math
import os
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.catalog import POLICIES, SCHEMES
from learning.options import label, real, whole
from learning.progress import progress_bar
from learning.runs.checkpoint import EVERY
from learning.runs.ledger import HARDWARE
from learning.runs.manifest import PER_RUN
from learning.runs.read import RunComparison, SavedRun
from learning.runs.result import TrainingResult
from learning.training import refuse_mistakes, train
from radioopt.base.errors import OptionError
from radioopt.base.quantity import shorten
from radioopt.base.spread import check_backend, spread
from radioopt.scenario import Scenario
from radioopt.scenario.trace import read_trace

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.reports.page import Chapter

DEFAULT_POLICIES = ("optimal", "online", "full", "random")

#: settings that policies cannot have of their own
SHARED = {"target_accuracy", "seconds", "seed", "data", "checkpoint", "every", "progress"}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Paired runs of several policies.

    Parameters
    ----------
    runs : pandas.DataFrame
        One row per run: ``policy``, ``seed``, ``reached`` (the target, within the budget),
        ``seconds_to_target``, ``rounds_to_target``, ``energy_to_target_j`` (NaN where not reached),
        ``rounds``, ``seconds``, ``final_accuracy``, ``stopped``.
    curves : mapping of (policy, seed) to DataFrame
        Rounds of each run, as of :meth:`learning.runs.ledger.Ledger.to_frame`.
    config : dict
        All settings: those shared by all runs, and under ``policies`` each policy's own.
    """

    runs: pd.DataFrame
    curves: Mapping[tuple[str, int], pd.DataFrame]
    config: dict[str, Any]

    @property
    def policies(self) -> list[str]:
        """Policies in the order given; the first is what the others are compared with."""
        return list(self.config["policies"])

    def table(self, confidence: float = 0.95) -> pd.DataFrame:
        r"""Summarise each policy: time to the target, and its ratio to the first policy's.

        Parameters
        ----------
        confidence : float, default 0.95
            Probability that an interval covers, in (0, 1).

        Returns
        -------
        pandas.DataFrame
            Per policy: ``runs``; ``reached``, how many of them reached the target; ``seconds`` with
            ``seconds_low`` and ``seconds_high``; ``ratio`` with ``ratio_low`` and ``ratio_high``;
            ``lower_bound``, whether seconds and ratio are only bounds from below; ``rounds`` with ``rounds_low`` and
            ``rounds_high``, ``energy_j`` with ``energy_low_j`` and ``energy_high_j``.

        Raises
        ------
        OptionError
            If the confidence is no probability.

        Notes
        -----
        ``seconds`` is the mean of min(time to target, budget), and its interval Student's t over the seeds.
        ``ratio`` is the geometric mean over the seeds of the paired ratios of these times to the first
        policy's; its interval is Student's t on their logarithms. A run that never reached the target took at
        least the budget, so its policy's numbers are marked as lower bounds, and intervals are NaN, as they
        would claim to know the missing times. Where the first policy itself did not always reach the target,
        ratios bound nothing and are NaN. ``rounds`` and ``energy_j`` [J] are means over the runs that reached
        the target; their intervals are Student's too, and NaN unless all runs did. Where one of these two would reach
        below 0 it is one-sided: from 0 to the limit that the mean stays under with the same confidence.
        """
        import pandas as pd

        real("confidence", confidence, high=1.0)
        budget = self.config["seconds"]
        times = self.runs.pivot(index="seed", columns="policy", values="seconds_to_target")
        known, times = times.notna().all(), times.fillna(budget)
        first = self.policies[0]
        rows = []
        for policy in self.policies:
            mine = self.runs[self.runs["policy"] == policy]
            exact = bool(known[policy])
            mean, low, high = t_interval(times[policy].to_numpy(), confidence)
            rounds, energy = (
                positive_interval(mine[name].dropna().to_numpy(), confidence)
                for name in ("rounds_to_target", "energy_to_target_j")
            )
            with np.errstate(divide="ignore", invalid="ignore"):  # a target met before the first round: 0 s
                logs = np.log(times[policy].to_numpy()) - np.log(times[first].to_numpy())
                ratio, ratio_low, ratio_high = (math.exp(x) for x in t_interval(logs, confidence))
            if not exact:
                low = high = ratio_low = ratio_high = math.nan
                rounds, energy = ((one[0], math.nan, math.nan) for one in (rounds, energy))
            if not known[first]:
                ratio = ratio_low = ratio_high = math.nan
            rows.append(
                {
                    "policy": policy,
                    "runs": len(mine),
                    "reached": int(mine["reached"].sum()),
                    "seconds": mean,
                    "seconds_low": low,
                    "seconds_high": high,
                    "ratio": ratio,
                    "ratio_low": ratio_low,
                    "ratio_high": ratio_high,
                    "lower_bound": not exact,
                    **dict(zip(("rounds", "rounds_low", "rounds_high"), rounds, strict=True)),
                    **dict(zip(("energy_j", "energy_low_j", "energy_high_j"), energy, strict=True)),
                }
            )
        return pd.DataFrame(rows).set_index("policy")

    def to_frame(self) -> pd.DataFrame:
        """Return the runs, one row each."""
        return self.runs

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the rounds of all runs, to be kept beside them."""
        import pandas as pd

        return {"curves.csv": pd.concat(self.curves, names=["policy", "seed"])}

    def ended(self) -> dict[str, Any]:
        """Return how it ended, for its manifest: the rounds of each run, by policy and seed."""
        rounds: dict[str, dict[str, int]] = {policy: {} for policy in self.policies}
        for (policy, seed), curve in self.curves.items():
            rounds[policy][str(seed)] = len(curve) - 1
        return {"runs": rounds}

    def plot(self) -> Figure:
        """Draw accuracy over simulated time; see :func:`learning.runs.plots.plot_comparison`."""
        from learning.runs.plots import plot_comparison

        return plot_comparison(self)

    def chapter(self, name: str) -> Chapter:
        """Tell of the runs in a report; see :func:`radioopt.report`."""
        shared = {key: value for key, value in self.config.items() if key not in ("policies", "seeds")}
        variants = {
            policy: [
                SavedRun(policy, {**shared, **own, "seed": seed}, curve)
                for (of, seed), curve in self.curves.items()
                if of == policy
            ]
            for policy, own in self.config["policies"].items()
        }
        return RunComparison(variants).chapter(name)

    def __str__(self) -> str:
        config, first = self.config, self.policies[0]
        lines = [
            f"simulated seconds to accuracy {config['targets']['test_accuracy']:g}, at most {config['seconds']:g}; "
            "95% t-intervals",
            f"{'policy':<12}{'reached':>9}{'seconds':>22}{f'ratio to {first}':>24}{'rounds':>16}{'kJ':>16}",
        ]
        for policy, row in self.table().iterrows():
            sign = ">= " if row.lower_bound else ""
            seconds = sign + with_width(row.seconds, row.seconds - row.seconds_low)
            ratio = f"{sign}{row.ratio:.3g}" if math.isfinite(row.ratio) else "-"
            if math.isfinite(row.ratio_low) and policy != first:
                ratio += f" [{row.ratio_low:.3g}, {row.ratio_high:.3g}]"
            rounds = with_interval(row.rounds, row.rounds_low, row.rounds_high)
            energy = with_interval(*(x / 1e3 for x in (row.energy_j, row.energy_low_j, row.energy_high_j)))
            reached = f"{row.reached} of {row.runs}"
            lines.append(f"{policy!s:<12}{reached:>9}{seconds:>22}{ratio:>24}{rounds:>16}{energy:>16}")
        if (self.runs["reached"] & self.runs["energy_to_target_j"].isna()).any():
            lines.append(f"energy unknown (give {HARDWARE})")
        return "\n".join(lines)


def compare(
    scenario: Scenario | str | os.PathLike[str],
    *,
    target_accuracy: float,
    seconds: float,
    policies: Sequence[Any] | Mapping[str, Mapping[str, Any]] | None = None,
    seeds: int | Sequence[int] = 10,
    jobs: int = 1,
    backend: str = "loky",
    scheduler: str | None = None,
    checkpoints: str | os.PathLike[str] | None = None,
    every: int = EVERY,
    progress: bool = True,
    **train_options: Any,
) -> Comparison:
    """Train with several policies on the same seeds and compare the simulated time to an accuracy.

    Parameters
    ----------
    scenario : Scenario or path-like
        As for :func:`learning.train`.
    target_accuracy : float
        Accuracy on the test samples in (0, 1] at whose first evaluation the clock stops.
    seconds : float
        Budget of simulated time per run > 0 [s]. A run that does not reach the target counts as such.
    policies : sequence of str or callable, or mapping of str to mapping, optional
        Policies of :func:`learning.train`; the others are compared with the first. By default, with FEEL, "optimal",
        "online", "full" and "random". A mapping gives each a name and options of its own for ``train``;
        without "policy" or "allocator" among them the name is the policy.
    seeds : int or sequence of int, default 10
        Seeds, or how many (0, 1, ...); at least one. All policies run on each of them.
    jobs : int, default 1
        Processes that share the runs, by joblib; -1 takes all cores.
    backend : {"loky", "threading", "dask"}, default "loky"
        Whether processes, threads or the workers of a dask cluster share the runs. The numbers are the same.
    scheduler : str, optional
        Address of the cluster's scheduler, as "tcp://10.0.0.1:8786". Its workers have the same radioopt installed, and
        `checkpoints` is a folder that all of them see.
    checkpoints : path-like, optional
        Folder of a file per run, from which a comparison that was interrupted goes on, and one that is done with more
        seeds, or more policies after those that it has: what is missing is trained. See :func:`learning.train`.
    every : int, default 10
        Rounds >= 1 from one checkpoint to the next.
    progress : bool, default True
        Show a bar, on a terminal, if it takes longer than a second.
    **train_options
        Whatever else :func:`learning.train` takes, the same for all runs.

    Returns
    -------
    Comparison
        Runs, curves and settings; ``print`` shows the table.

    Raises
    ------
    OptionError
        As :func:`learning.train`; or if there is no policy, no seed, or one of them twice, or one has a
        target, a budget, a seed or data of its own; or if `jobs` is neither positive nor -1.
    ProblemError
        As :func:`learning.train`.

    Notes
    -----
    By default all policies share one learning rate, scaled by the root of the batch. Small batches bear a
    larger one, so a comparison of policies each at its best takes a mapping::

        compare(..., policies={"optimal": {"learning_rate": 0.2}, "online": {"learning_rate": 1.6}})

    and so does a comparison of schemes, whose policy then has to be said::

        compare(..., policies={name: {"scheme": name, "policy": "optimal"} for name in ("feel", "fedavg")})

    Examples
    --------
    >>> policies = ["optimal", "full"]
    >>> comparison = compare("feel-cpu", target_accuracy=0.3, seconds=5e3, policies=policies, seeds=2)
    >>> comparison.table()["reached"].to_dict()
    {'optimal': 2, 'full': 2}
    """
    if policies is None:
        policies = DEFAULT_POLICIES if train_options.get("scheme", "feel") == "feel" else DEFAULT_POLICIES[:1]
    if not isinstance(scenario, Scenario):
        scenario = Scenario.load(scenario)
    real("target_accuracy", target_accuracy, high=1.0, closed=True)
    real("seconds", seconds)
    if jobs != -1:
        whole("jobs", jobs)
    check_backend(backend, scheduler)
    if isinstance(policies, str) or not isinstance(policies, (Mapping, Sequence)):
        raise OptionError(f"policies: expected a list or a mapping, got {shorten(policies)}")
    chosen = list(range(whole("seeds", seeds))) if not isinstance(seeds, Sequence) else list(seeds)
    if isinstance(policies, Mapping):
        for name, own in policies.items():
            if not isinstance(own, Mapping):
                raise OptionError(f"policies: {name}: expected a mapping of options, got {shorten(own)}")
        named = [
            (name, dict(own) if "allocator" in own else {"policy": name, **own})
            for name, own in policies.items()
        ]
    else:
        named = [(label(policy), {"policy": policy}) for policy in policies]
    for name, own in named:
        if own["policy"] in SCHEMES and own["policy"] not in POLICIES:
            raise OptionError(
                f"policies: {name} is a scheme, and no policy: give "
                f'policies={{"{name}": {{"scheme": "{own["policy"]}", "policy": "optimal"}}}}'
            )
    variants = dict(named)
    for option, given in (("policies", [name for name, _ in named]), ("seeds", chosen)):
        if not given or len(set(given)) < len(given):
            raise OptionError(f"{option}: expected at least one and none twice, got {given}")
    for name, own in variants.items():
        if shared_by_all := sorted(SHARED & own.keys()):
            raise OptionError(
                f"policies: {name}: {', '.join(shared_by_all)} must be the same for all: leave out"
            )
    options = {**train_options, "target_accuracy": target_accuracy, "seconds": seconds, "progress": False}
    keys = [(name, seed) for seed in chosen for name in variants]
    work = [{**options, **variants[name], "seed": seed} for name, seed in keys]
    for own in work:
        if own.get("trace") is not None:
            own["trace"] = trace = read_trace(own["trace"])
            length = float(trace.times[-1] - trace.times[0])
            if trace.beyond == "refuse" and length < seconds:
                raise OptionError(
                    f"trace: {trace.name} ends after {length:g} s, before the budget of {seconds:g} s: give fewer "
                    'seconds, or choose beyond="hold" or "repeat"'
                )
    if checkpoints is not None:
        for own, (name, seed) in zip(work, keys, strict=True):
            file = f"{list(variants).index(name)}-{re.sub('[^A-Za-z0-9_-]+', '-', name)}-seed-{seed}.npz"
            own |= {"checkpoint": Path(checkpoints) / file, "every": every}
    refuse_mistakes([{"scenario": scenario, **own} for own in work[: len(variants)]])
    rows: list[dict[str, Any]] = []
    curves: dict[tuple[str, int], pd.DataFrame] = {}
    configs: dict[str, dict[str, Any]] = {}
    with progress_bar("compare policies", len(work), enabled=progress) as report:
        results = _results(scenario, work, jobs, backend, scheduler)
        for done, ((name, seed), (measured, curve, config)) in enumerate(
            zip(keys, results, strict=True), start=1
        ):
            rows.append({"policy": name, "seed": seed} | measured)
            curves[name, seed] = curve
            configs.setdefault(name, {k: v for k, v in config.items() if k not in PER_RUN})
            report(done, f"{name}, seed {seed}")
    import pandas as pd

    first = next(iter(configs.values()))
    shared = {key: value for key, value in first.items() if all(c[key] == value for c in configs.values())}
    own = {name: {k: v for k, v in config.items() if k not in shared} for name, config in configs.items()}
    return Comparison(pd.DataFrame(rows), curves, {**shared, "policies": own, "seeds": chosen})


def t_interval(values: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Return the mean with Student's interval; NaN limits where a single value says nothing of the spread."""
    from scipy.stats import t

    mean, count = float(values.mean()), len(values)
    if count < 2:
        return mean, math.nan, math.nan
    half = float(t.ppf(0.5 + confidence / 2, count - 1) * values.std(ddof=1) / math.sqrt(count))
    return mean, mean - half, mean + half


def positive_interval(values: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Return the mean of what is at least 0 with Student's interval, one-sided where that would reach below 0.

    NaN where there are no values, and NaN limits where a single one says nothing of the spread.
    """
    if not len(values):
        return math.nan, math.nan, math.nan
    mean, low, high = t_interval(values, confidence)
    if low < 0:
        return mean, 0.0, max(mean, t_interval(values, 2 * confidence - 1)[2])
    return mean, low, high


#: what a comparison keeps of a run: numbers, rounds, settings
Kept = tuple[dict[str, Any], Any, dict[str, Any]]


def _results(
    scenario: Scenario, work: Sequence[Mapping[str, Any]], jobs: int, backend: str, scheduler: str | None
) -> Iterator[Kept]:
    """Train with each set of options, in order, here or in other processes."""
    calls = ((scenario, options) for options in work)
    try:
        yield from spread(_trained, calls, jobs=jobs, backend=backend, scheduler=scheduler)
    except pickle.PicklingError as error:
        reason = str(error.__cause__ or error).strip('"\n').splitlines()[-1]
        raise OptionError(
            f"jobs: an option cannot be sent to other processes ({reason}): take jobs=1"
        ) from error


def _trained(scenario: Scenario, options: Mapping[str, Any]) -> Kept:
    """Train, and keep what a comparison needs, which is less to send than all of a run."""
    result = train(scenario, **options)
    return _measured(result, options["target_accuracy"]), result.to_frame(), result.config


def _measured(result: TrainingResult, target_accuracy: float) -> dict[str, Any]:
    ledger = result.ledger
    rounds = ledger.rounds_to(target_accuracy)
    reached = rounds is not None
    seconds, joules = ledger.spent(rounds) if rounds is not None else (math.nan, math.nan)
    return {
        "reached": reached,
        "seconds_to_target": seconds,
        "rounds_to_target": rounds if reached else math.nan,
        "energy_to_target_j": joules,
        "rounds": len(ledger),
        "seconds": ledger.seconds,
        "final_accuracy": ledger.accuracy,
        "stopped": result.stopped,
    }


def with_interval(mean: float, low: float, high: float) -> str:
    """Write a mean of what is at least 0: with the half width of its interval, or both ends where it is one-sided."""
    if not math.isfinite(mean):
        return "-"
    if low == 0 and high > mean:
        return f"{mean:.4g} [0, {high:.4g}]"
    return with_width(mean, mean - low)


def with_width(mean: float, half: float) -> str:
    """Write a mean with the half width of its interval: two digits of the width, else four of the mean."""
    digits, given = 4, math.isfinite(half)
    if given and half > 0 and mean > 0:
        digits = min(_exponent(mean) - _exponent(half) + 2, 6)
    places = max(digits - 1 - _exponent(mean), 0) if mean > 0 else 0
    if given:
        return f"{mean:.{places}f} +- {half:.{places}f}"
    return f"{mean:.{places}f}".rstrip("0").rstrip(".") if places else f"{mean:.0f}"


def _exponent(value: float) -> int:
    """Return the power of ten of the first digit."""
    return math.floor(math.log10(value))
