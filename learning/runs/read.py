"""Runs that were saved, read back and set side by side."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from learning.options import real
from learning.runs.folder import CURVES, DEVICES, MANIFEST, METRICS, is_unfinished
from learning.runs.ledger import HARDWARE, PER_DEVICE
from learning.runs.manifest import PER_RUN
from radioopt.base.errors import OptionError, ProblemError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.base.pictures import Look
    from radioopt.reports.page import Chapter

#: accuracies that are targets by themselves, where no others are asked for
LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
NEEDED = ("seconds", "energy_j", "test_accuracy")


@dataclass(frozen=True, eq=False)
class SavedRun:
    """A run as its folder tells it.

    Parameters
    ----------
    name : str
        Folder, and within a comparison its variant.
    config : dict
        Settings.
    curve : pandas.DataFrame
        A row per round, round 0 being the initial model, as of :meth:`learning.runs.ledger.Ledger.to_frame`.
    devices : pandas.DataFrame, optional
        A row per device, as of :meth:`learning.runs.ledger.Ledger.devices`; none of comparisons and older versions.
    """

    name: str
    config: dict[str, Any]
    curve: pd.DataFrame
    devices: pd.DataFrame | None = None

    @cached_property
    def joules(self) -> np.ndarray:
        """Energy of all devices since the start, after each round [J]; NaN where it is unknown."""
        return np.asarray(self.curve["energy_j"].fillna(math.nan).cumsum(skipna=False), np.float64)

    def reached(self, target: float) -> dict[str, float]:
        """Return rounds, seconds and joules to the first evaluation at an accuracy; NaN where it was never reached."""
        good = np.flatnonzero(self.curve["test_accuracy"].to_numpy() >= target)
        if not good.size:
            return {"rounds": math.nan, "seconds": math.nan, "energy_j": math.nan}
        first = int(good[0])
        return {
            "rounds": float(first),
            "seconds": float(self.curve["seconds"].iloc[first]),
            "energy_j": float(self.joules[first]),
        }


def read_runs(path: str | os.PathLike[str]) -> list[SavedRun]:
    """Read the folder of a run, or all runs of a comparison's folder.

    Parameters
    ----------
    path : path-like
        A folder that :func:`learning.runs.folder.save_run` wrote.

    Returns
    -------
    list of SavedRun
        One, or one per variant and seed.

    Raises
    ------
    ProblemError
        If there is no such folder, it is no run or an unfinished one, or a file in it is missing or damaged; the
        message says what to do.
    """
    path = Path(path)
    if not path.is_dir():
        raise ProblemError(f"{path}: no such folder")
    if is_unfinished(path):
        raise ProblemError(f"{path} is unfinished: radioopt train --resume {path} goes on with it")
    if not (path / MANIFEST).is_file():
        raise ProblemError(f"{path} is no run of radioopt train: there is no {MANIFEST} in it")
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        config, result = manifest["config"], dict(manifest.get("result", {}))
        policies, seeds = config.get("policies"), config.get("seeds")
        if not isinstance(policies, dict | None) or "data" not in config:
            raise ValueError("no settings in it")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ProblemError(f"{path / MANIFEST}: not the manifest of a run, or damaged ({error})") from error
    if policies is None:
        curve = _table(path / METRICS, ["round"])
        _refuse_other_rounds(path / METRICS, "", curve, result.get("rounds"))
        return [SavedRun(str(path), config, curve, _devices(path / DEVICES))]
    shared = {key: value for key, value in config.items() if key not in ("policies", "seeds")}
    curves, told = _table(path / CURVES, ["policy", "seed", "round"]), result.get("runs", {})
    found = {key: rounds.droplevel([0, 1]) for key, rounds in curves.groupby(level=[0, 1], sort=False)}
    runs = []
    for policy, own in policies.items():
        for seed in seeds:
            if (policy, seed) not in found:
                raise ProblemError(
                    f"{path / CURVES}: no rounds of {policy}, seed {seed}, which {MANIFEST} names: the file is not "
                    "whole; train again"
                )
            curve = found[policy, seed]
            expected = told.get(policy, {}).get(str(seed))
            _refuse_other_rounds(path / CURVES, f"of {policy}, seed {seed}, ", curve, expected)
            runs.append(SavedRun(f"{path}: {policy}", {**shared, **own, "seed": seed}, curve))
    return runs


def _refuse_other_rounds(path: Path, whose: str, curve: pd.DataFrame, told: int | None) -> None:
    """Refuse a table that does not hold the rounds that the manifest tells; of older versions none is told."""
    rounds = len(curve) - 1
    if told is not None and rounds != told:
        raise ProblemError(
            f"{path}: holds {rounds} rounds {whose}and {MANIFEST} tells of {told}: it is not whole; train again"
        )
    if curve.index.tolist() != list(range(rounds + 1)):
        raise ProblemError(f"{path}: rounds {whose}are not 0 to {rounds}, each once: train again")


def _table(path: Path, index: list[str]) -> pd.DataFrame:
    """Read a table of rounds."""
    import pandas as pd

    if not path.is_file():
        raise ProblemError(f"{path} is missing: the folder is not whole; train again")
    text = path.read_bytes()
    if text and not text.endswith(b"\n"):
        raise ProblemError(f"{path}: its last line is cut off: train again")
    try:
        frame = pd.read_csv(
            io.BytesIO(text), converters={"policy": str}, keep_default_na=False, na_values=[""]
        )
        frame = frame.set_index(index).sort_index()
        missing = [name for name in NEEDED if name not in frame or frame[name].dtype.kind not in "fi"]
        if missing or frame.empty:
            raise ValueError(f"no numbers in column {', '.join(missing)}" if missing else "no rounds")
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        raise ProblemError(f"{path}: not the rounds of a run, or damaged ({error}): train again") from error
    return frame


def _devices(path: Path) -> pd.DataFrame | None:
    """Read the table of devices, if the folder has one; it is shown, and nothing is computed from it."""
    import pandas as pd

    try:
        frame = pd.read_csv(path, index_col="device")
        missing = [name for name in ("batchsize", *PER_DEVICE) if name not in frame]
        if missing:
            raise ValueError(f"no column {missing[0]}")
        return frame
    except FileNotFoundError:
        return None
    except (ValueError, pd.errors.ParserError) as error:
        raise ProblemError(f"{path}: not the devices of a run, or damaged ({error}): train again") from error


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Saved runs side by side: runs that differ in their seed only are one variant.

    Parameters
    ----------
    variants : mapping of str to list of SavedRun
        The runs of each, by its name.
    aims : tuple of float, optional
        Accuracies to compare at, see :meth:`aiming`.
    """

    variants: Mapping[str, list[SavedRun]]
    aims: tuple[float, ...] = ()

    @property
    def runs(self) -> list[SavedRun]:
        """All runs."""
        return [run for runs in self.variants.values() for run in runs]

    def targets(self) -> list[float]:
        """Return the accuracies to compare at: those asked for, the runs' own, else what all and what any reach."""
        if self.aims:
            return list(self.aims)
        own = [(run.config.get("targets") or {}).get("test_accuracy") for run in self.runs]
        given = {float(target) for target in own if target}
        if given:
            return sorted(given)
        best = [float(run.curve["test_accuracy"].max()) for run in self.runs]
        reached = [[level for level in LEVELS if level <= top] for top in (min(best), max(best))]
        return sorted({max(levels) for levels in reached if levels})

    def aiming(self, targets: Sequence[float]) -> RunComparison:
        """Return the same runs with other targets.

        Parameters
        ----------
        targets : sequence of float
            Accuracies in (0, 1].

        Returns
        -------
        RunComparison
            Whose tables, pictures and reports are about them.

        Raises
        ------
        OptionError
            If a target is no accuracy.
        """
        aims = tuple(sorted(real("target", target, high=1.0, closed=True) for target in targets))
        return replace(self, aims=aims)

    def table(self, targets: Sequence[float] | None = None) -> pd.DataFrame:
        """Summarise each variant by means over its runs.

        Parameters
        ----------
        targets : sequence of float, optional
            Accuracies in (0, 1]; by default :meth:`targets`.

        Returns
        -------
        pandas.DataFrame
            Per variant: ``runs``, ``rounds``, ``seconds``, ``energy_j`` in all, ``final_accuracy``,
            ``best_accuracy``; for each target, here 0.9: ``reached_0.9`` (runs), and ``rounds_to_0.9``,
            ``seconds_to_0.9``, ``energy_j_to_0.9``, NaN unless all of its runs reached it: a mean over those that
            did would favour a variant that often fails.

        Raises
        ------
        OptionError
            If a target is no accuracy.
        """
        import pandas as pd

        targets = self.targets() if targets is None else targets
        for target in targets:
            real("target", target, high=1.0, closed=True)
        rows = {}
        for name, runs in self.variants.items():
            last = [run.curve.iloc[-1] for run in runs]
            row = {
                "runs": len(runs),
                "rounds": float(np.mean([len(run.curve) - 1 for run in runs])),
                "seconds": float(np.mean([end["seconds"] for end in last])),
                "energy_j": float(np.mean([run.joules[-1] for run in runs])),
                "final_accuracy": float(
                    np.mean([run.curve["test_accuracy"].dropna().iloc[-1] for run in runs])
                ),
                "best_accuracy": float(np.mean([run.curve["test_accuracy"].max() for run in runs])),
            }
            for target in targets:
                to = [run.reached(target) for run in runs]
                row[f"reached_{target:g}"] = sum(not math.isnan(found["rounds"]) for found in to)
                for what in ("rounds", "seconds", "energy_j"):
                    row[f"{what}_to_{target:g}"] = float(np.mean([found[what] for found in to]))
            rows[name] = row
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")

    def to_latex(
        self, targets: Sequence[float] | None = None, *, caption: str | None = None, label: str | None = None
    ) -> str:
        r"""Write the numbers of :meth:`table` for LaTeX, which needs ``\usepackage{booktabs}``.

        Parameters
        ----------
        targets : sequence of float, optional
            As of :meth:`table`.
        caption, label : str, optional
            With either of them the tabular stands in a table of its own.

        Returns
        -------
        str
            LaTeX, without the columns that count runs where each variant is one.
        """
        from radioopt.base.latex import latex_of

        frame, units, names = self.table(targets), {}, {}
        if (frame["runs"] == 1).all():
            frame = frame.drop(
                columns=[name for name in frame if str(name).partition("_")[0] in ("runs", "reached")]
            )
        for name in map(str, frame):
            what = "energy_j" if name.startswith("energy_j") else name.partition("_")[0]
            word, units[name] = {"seconds": ("time", "s"), "energy_j": ("energy", "J")}.get(what, (what, "1"))
            names[name] = word + name[len(what) :]
        units = {names[name]: unit for name, unit in units.items()}
        return latex_of(frame.rename(columns=names), units, caption=caption, label=label)

    def settings(self) -> pd.DataFrame:
        """Tabulate the settings in which the variants differ, a column per variant.

        Returns
        -------
        pandas.DataFrame
            Text, "-" where a variant has no such setting; empty if they differ in nothing.
        """
        import pandas as pd

        flat = {name: _flat(_settings(runs[0].config)) for name, runs in self.variants.items()}
        keys = dict.fromkeys(key for settings in flat.values() for key in settings)
        differ = [key for key in keys if len({settings.get(key, "-") for settings in flat.values()}) > 1]
        return pd.DataFrame(
            {name: [settings.get(key, "-") for key in differ] for name, settings in flat.items()},
            index=pd.Index(differ, name="setting"),
        )

    def notes(self) -> list[str]:
        """Say what a reader has to know beside the numbers."""
        said = []
        seeds = {name: sorted(run.config["seed"] for run in runs) for name, runs in self.variants.items()}
        if len({tuple(found) for found in seeds.values()}) > 1:
            listed = "; ".join(f"{name}: {', '.join(map(str, found))}" for name, found in seeds.items())
            said.append(f"not paired: the seeds differ ({listed}), so do split, places and initial weights")
        else:
            said += self._unpaired()
        configs = [runs[0].config for runs in self.variants.values()]
        cells = dict.fromkeys(str((config.get("scenario") or {}).get("name", "-")) for config in configs)
        if len(cells) > 1:
            said.append(f"not the same scenario ({'; '.join(cells)}): nor are seconds and joules")
        unknown = [
            name for name, runs in self.variants.items() if any(math.isnan(run.joules[-1]) for run in runs)
        ]
        if unknown:
            said.append(f"energy unknown of {', '.join(unknown)}: their scenarios do not give {HARDWARE}")
        return said

    def _unpaired(self) -> list[str]:
        """Say in what runs of equal seeds begin differently, as far as their folders tell."""
        found: dict[str, dict[Any, set[str]]] = {"partition": {}, "initial_weights": {}}
        for run in self.runs:
            for name, digests in found.items():
                digest = (run.config.get("fingerprints") or {}).get(name)
                digests.setdefault(run.config["seed"], set()).update([digest] if digest else [])
        differ = [
            name for name, seeds in found.items() if any(len(digests) > 1 for digests in seeds.values())
        ]
        listed = " and ".join(name.replace("_", " ") for name in differ)
        return [f"not paired: with the same seed {listed} are not the same in all runs"] if differ else []

    def chapter(self, name: str) -> Chapter:
        """Tell of the runs in a report; see :func:`radioopt.report`."""
        from learning.runs.report import runs_chapter

        return runs_chapter(self, name)

    def plot(self, targets: Sequence[float] | None = None, **look: Unpack[Look]) -> Figure:
        """Draw accuracy over seconds and over joules; see :func:`learning.runs.plots.plot_runs`."""
        from learning.runs.plots import plot_runs

        return plot_runs(self, self.targets() if targets is None else targets, **look)


def compare_runs(paths: Sequence[str | os.PathLike[str]]) -> RunComparison:
    """Set saved runs side by side.

    Parameters
    ----------
    paths : sequence of path-like
        Folders of runs and of comparisons, at least one and none twice.

    Returns
    -------
    RunComparison
        Runs with the same settings but the seed are one variant, in the order of the folders.

    Raises
    ------
    OptionError
        If it is no list, there is none in it, or one twice.
    ProblemError
        If a folder cannot be read, see :func:`read_runs`; or if the runs were judged on other data, so that their
        accuracies say nothing about each other.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import learning
    >>> folder = mkdtemp()
    >>> for policy in ("optimal", "full"):
    ...     result = learning.train("feel-cpu", policy=policy, rounds=2)
    ...     _ = learning.save_run(result, policy, folder)
    >>> found = compare_runs([f"{folder}/optimal", f"{folder}/full"])
    >>> found.settings().loc["policy"].tolist(), found.table()["rounds"].tolist()
    (['optimal', 'full'], [2.0, 2.0])
    """
    if isinstance(paths, (str, os.PathLike)):
        raise OptionError(f"compare: expected a list of folders, got {str(paths)!r}")
    if not paths:
        raise OptionError("compare: expected at least one folder of a run")
    resolved = [Path(path).resolve() for path in paths]
    for i, path in enumerate(resolved):
        if path in resolved[:i]:
            raise OptionError(f"compare: {paths[i]} is given twice")
    runs = [run for path in paths for run in read_runs(path)]
    _refuse_other_data(runs)
    kinds: dict[str, list[SavedRun]] = {}
    for run in runs:
        kinds.setdefault(json.dumps(_settings(run.config), sort_keys=True), []).append(run)
    variants: dict[str, list[SavedRun]] = {}
    for members in kinds.values():
        _refuse_one_run_twice(members)
        folders = list(dict.fromkeys(run.name for run in members))
        variants[folders[0] if len(folders) == 1 else f"{folders[0]} + {len(folders) - 1}"] = members
    return RunComparison(variants)


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that make a kind of run."""
    return {key: value for key, value in config.items() if key not in PER_RUN}


def _refuse_other_data(runs: Sequence[SavedRun]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.config["data"] != first.config["data"]:
            raise ProblemError(
                f"{first.name} is about {first.config['data']}, {run.name} about {run.config['data']}: accuracies on "
                "different data cannot be compared"
            )
    seen: dict[Any, SavedRun] = {}
    for run in runs:
        print_ = (run.config.get("fingerprints") or {}).get("data")
        known = seen.setdefault(run.config["seed"], run) if print_ else run
        if print_ and known.config["fingerprints"]["data"] != print_:
            raise ProblemError(
                f"{known.name} and {run.name} call their data {run.config['data']!r}, but hold other samples with the "
                "same seed: accuracies on different data cannot be compared"
            )


def _refuse_one_run_twice(members: Sequence[SavedRun]) -> None:
    seen: dict[Any, SavedRun] = {}
    for run in members:
        if (other := seen.setdefault(run.config["seed"], run)) is not run:
            raise ProblemError(
                f"{other.name} and {run.name} are the same run (same settings, seed {run.config['seed']}): leave one "
                "out"
            )


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Nested settings as text by dotted names."""
    if isinstance(value, Mapping):
        return {
            key: text
            for own, item in value.items()
            for key, text in _flat(item, f"{name}.{own}" if name else str(own)).items()
        }
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):  # preparations
        return _flat({str(i): item for i, item in enumerate(value, start=1)}, name)
    if isinstance(value, list):
        text = f"[{', '.join(_flat(item, name)[name] for item in value)}]" if value else "-"
    else:
        text = "-" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
    return {name: text if len(text) <= 40 else f"{text[:37]}..."}
