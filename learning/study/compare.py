"""Compare policies fairly: paired runs, with a target and a budget that are fixed beforehand."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
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
from learning.study.intervals import group_means, positive_interval, t_interval, with_interval, with_width
from learning.study.trained import trained
from learning.training import refuse_mistakes
from radioopt.base.errors import OptionError
from radioopt.base.latex import latex_of
from radioopt.base.limits import limits, within
from radioopt.base.quantity import shorten
from radioopt.base.spread import check_backend
from radioopt.base.tables import table_text
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
        ``rounds``, ``seconds``, ``energy_j``, ``final_accuracy``, ``stopped``.
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

    @property
    def target(self) -> float | None:
        """The accuracy that the runs are compared by; None where they are compared round by round."""
        return (self.config.get("targets") or {}).get("test_accuracy")

    @property
    def metric(self) -> str:
        """What ``final_accuracy`` is: "accuracy", or "r2" of a regression."""
        regression = all("test_r2" in curve for curve in self.curves.values())
        return "r2" if regression and self.curves else "accuracy"

    def by_round(self, confidence: float = 0.95) -> pd.DataFrame:
        """Average the runs of each policy round by round.

        Parameters
        ----------
        confidence : float, default 0.95
            Probability that an interval covers, in (0, 1).

        Returns
        -------
        pandas.DataFrame
            Indexed by policy and round: ``runs``, how many were not over yet; and of every number of the rounds, as
            ``test_accuracy``, its mean, with ``test_accuracy_low`` and ``test_accuracy_high``, Student's interval of
            the mean, cut where the number ends, as at 1. What ends at a target ends early: with ``go_on=True`` all runs
            are in every round.

        Raises
        ------
        OptionError
            If the confidence is no probability.
        """
        import pandas as pd

        real("confidence", confidence, high=1.0)
        frame = pd.concat(self.curves, names=["policy", "seed"]).select_dtypes("number")
        return group_means(frame.groupby(level=["policy", "round"], sort=False), confidence)

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
            ``rounds_high``, ``energy_j`` with ``energy_low_j`` and ``energy_high_j``. Without a target: ``runs``,
            ``rounds``, ``seconds`` and ``energy_j`` of whole runs, and the accuracy at their end (of a regression, R2),
            ``final`` with ``final_low`` and ``final_high``.

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
        if self.target is None:
            return self._ends(confidence)
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

    def _ends(self, confidence: float) -> pd.DataFrame:
        """Summarise whole runs, where there is no target."""
        import pandas as pd

        rows = {}
        for policy in self.policies:
            mine = self.runs[self.runs["policy"] == policy]
            numbers = {
                name: positive_interval(mine[name].to_numpy(float), confidence)
                for name in ("rounds", "seconds", "energy_j")
            }
            mean, low, high = t_interval(mine["final_accuracy"].to_numpy(float), confidence)
            final = (mean, *map(float, within(mean, low, high, limits(self.metric))))
            rows[policy] = {"runs": len(mine), "rounds": numbers["rounds"][0]}
            for names, interval in (
                ("seconds seconds_low seconds_high", numbers["seconds"]),
                ("energy_j energy_low_j energy_high_j", numbers["energy_j"]),
                ("final final_low final_high", final),
            ):
                rows[policy] |= dict(zip(names.split(), interval, strict=True))
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("policy")

    def words(self) -> pd.DataFrame:
        """Return the table as people read it: means with their intervals, as texts."""
        import pandas as pd

        rows = {}
        for policy, row in self.table().iterrows():
            joules = with_interval(*(x / 1e3 for x in (row.energy_j, row.energy_low_j, row.energy_high_j)))
            if self.target is None:
                told = {
                    "rounds": f"{row.rounds:.5g}",
                    "final": with_interval(row.final, row.final_low, row.final_high),
                    "seconds": with_interval(row.seconds, row.seconds_low, row.seconds_high),
                }
            else:
                sign = ">= " * bool(row.lower_bound)
                ratio = f"{sign}{row.ratio:.3g}" if math.isfinite(row.ratio) else "-"
                if math.isfinite(row.ratio_low) and policy != self.policies[0]:
                    ratio += f" [{row.ratio_low:.3g}, {row.ratio_high:.3g}]"
                told = {
                    "reached": f"{row.reached} of {row.runs}",
                    "seconds": sign + with_width(row.seconds, row.seconds - row.seconds_low),
                    f"ratio to {self.policies[0]}": ratio,
                    "rounds": with_interval(row.rounds, row.rounds_low, row.rounds_high),
                }
            rows[policy] = told | {"kJ": joules}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("policy")

    def to_latex(self, *, caption: str | None = None, label: str | None = None) -> str:
        r"""Write the table for LaTeX, which needs ``\usepackage{booktabs}``.

        Parameters
        ----------
        caption, label : str, optional
            With either of them the tabular stands in a table of its own.

        Returns
        -------
        str
            LaTeX: means with their 95 % intervals.
        """
        names = {"seconds": "time [s]", "kJ": "energy [kJ]", "final": "final accuracy"}
        words = (
            self.words().rename(columns=names).map(lambda text: text.replace("+-", "±").replace(">=", "≥"))
        )
        return latex_of(words, notes=[self.head()], caption=caption, label=label)

    def to_frame(self) -> pd.DataFrame:
        """Return the runs, one row each."""
        return self.runs

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the rounds of all runs, and their means per round, to be kept beside them."""
        import pandas as pd

        return {"curves.csv": pd.concat(self.curves, names=["policy", "seed"]), "rounds.csv": self.by_round()}

    def ended(self) -> dict[str, Any]:
        """Return how it ended, for its manifest: the rounds of each run, by policy and seed."""
        rounds: dict[str, dict[str, int]] = {policy: {} for policy in self.policies}
        for (policy, seed), curve in self.curves.items():
            rounds[policy][str(seed)] = len(curve) - 1
        return {"runs": rounds}

    def plot(self, x: str = "", **options: Any) -> Figure:
        """Draw means with intervals over time, rounds or energy; see :func:`learning.runs.plots.plot_comparison`."""
        from learning.runs.plots import plot_comparison

        return plot_comparison(self, x, **options)

    def head(self) -> str:
        """Say what the table is about."""
        if self.target is None:
            return f"{len(self.config['seeds'])} seeds, whole runs; means with 95% t-intervals"
        return f"simulated seconds to accuracy {self.target:g}, at most {self.config['seconds']:g}; 95% t-intervals"

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
        return "\n".join([self.head(), table_text(self.words()), *self.notes()])

    def notes(self) -> list[str]:
        """Say what to know beside the numbers."""
        unknown = (self.runs["reached"] & self.runs["energy_to_target_j"].isna()).any()
        return [f"energy unknown (give {HARDWARE})"] if unknown else []


def compare(
    scenario: Scenario | str | os.PathLike[str],
    *,
    target_accuracy: float | None = None,
    seconds: float | None = None,
    go_on: bool = False,
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
    """Train with several policies on the same seeds, and compare them round by round, or by the time to an accuracy.

    Parameters
    ----------
    scenario : Scenario or path-like
        As for :func:`learning.train`.
    target_accuracy : float, optional
        Accuracy on the test samples in (0, 1] at whose first evaluation the clock stops. Without one, all runs go on to
        their end, and are compared by what they have reached after each round.
    seconds : float, optional
        Budget of simulated time per run > 0 [s], which a target needs. A run that does not reach it counts as such.
    go_on : bool, default False
        Whether runs go on after the target to the end of the budget, so that curves have all runs everywhere. Numbers
        to the target stay the same.
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
        Address of the cluster's scheduler, as ``"tcp://10.0.0.1:8786"``. Its workers have the same radioopt installed,
        and `checkpoints` is a folder that all of them see.
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
    if target_accuracy is not None:
        real("target_accuracy", target_accuracy, high=1.0, closed=True)
        if seconds is None:
            raise OptionError(
                "seconds: a target needs a budget: give seconds, and runs that miss it count as such"
            )
    elif go_on:
        raise OptionError("go_on: runs go on after a target: give target_accuracy, or leave it out")
    if seconds is not None:
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
        if own.get("policy") in SCHEMES and own["policy"] not in POLICIES:
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
    stop = None if go_on else target_accuracy
    options = {**train_options, "target_accuracy": stop, "seconds": seconds, "progress": False}
    keys = [(name, seed) for seed in chosen for name in variants]
    work = [{**options, **variants[name], "seed": seed} for name, seed in keys]
    for own in work:
        if own.get("trace") is not None:
            own["trace"] = trace = read_trace(own["trace"])
            length = float(trace.times[-1] - trace.times[0])
            if seconds is not None and trace.beyond == "refuse" and length < seconds:
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
        results = trained(scenario, work, target_accuracy, jobs, backend, scheduler)
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
    if go_on:
        shared |= {"targets": {"test_accuracy": target_accuracy}, "go_on": True}
    return Comparison(pd.DataFrame(rows), curves, {**shared, "policies": own, "seeds": chosen})
