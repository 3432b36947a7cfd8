"""A chapter of a report on training runs: what they reached, what it took, by round and by device."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.runs.ledger import HARDWARE
from learning.runs.plots import _target_line, short_names
from radioopt.base.latex import words_and_unit
from radioopt.base.pictures import LINES, drawn_name
from radioopt.reports.page import (
    Cell,
    Chapter,
    Column,
    Fact,
    Part,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
    Unit,
    amount,
    number,
    tabulated,
    worded,
    written,
)
from radioopt.reports.pictures import blank, picture

if TYPE_CHECKING:
    import pandas as pd

    from learning.runs.read import RunComparison, SavedRun

#: units of columns, where their names do not say them
UNITS = {"seconds": "s", "batchsize": "samples", "learning_efficiency": "1/s"}
#: what columns mean
ABOUT = {
    "seconds": "simulated time since the start",
    "round_latency_s": "simulated time of the round",
    "arrived": "devices whose upload arrived",
    "uplink_bits": "from each device",
    "downlink_bits": "to each device",
    "energy_j": "of all devices in the round",
    "train_loss": "over the batches, before their steps",
}
#: rows of a table of rounds, and bars of a picture of devices, at most
MOST_ROUNDS, MOST_BARS = 100, 40
#: runs whose rounds and devices are listed, at most
MOST_LISTED = 8
#: colours that are seen on a light page and on a dark one
COLORS = ("#4477aa", "#ee6677", "#ccbb44", "#66ccee", "#aa3377", "#228833", "#bbbbbb")
#: parts of a round by device, with their colours
PHASES = {
    "compute_time_s": COLORS[0],
    "upload_time_s": COLORS[1],
    "download_time_s": COLORS[2],
    "update_time_s": COLORS[3],
}
ENERGIES = {"compute_energy_j": COLORS[0], "upload_energy_j": COLORS[1]}
#: letters of a name in a picture
MOST_LETTERS = 28


def runs_chapter(runs: RunComparison, name: str) -> Chapter:
    """Tell of saved runs.

    Parameters
    ----------
    runs : RunComparison
        At least one.
    name : str
        Letters and digits by which its pictures are told apart on the page.

    Returns
    -------
    Chapter
        With the result of one run, or of several beside each other.
    """
    targets = runs.targets()
    table = runs.table(targets)
    names = dict(zip(runs.variants, short_names(list(runs.variants)), strict=True))
    table.index = table.index.map(names).rename("run")
    metric = _metric(runs)
    single = len(runs.runs) == 1
    config = runs.runs[0].config
    sections = []
    if not single:
        parts: list[Part] = [_summary(table)]
        parts += [Text(f"{note}.", strong=True) for note in runs.notes()]
        sections.append(Section("Comparison", parts))
        settings = runs.settings().rename(columns=names)
        said: Part = tabulated(settings) if len(settings) else Text("The settings are the same.")
        sections.append(Section("Settings that differ", [said]))
    elif len(targets):
        sections.append(Section("To a target", [_summary(table)]))
    sections.append(Section("Rounds", _rounds(runs, names, name)))
    sections.append(Section("Devices", _devices(runs, names, name)))
    sections.append(Section("Settings" if single else "Settings of the first", [_settings(config)]))
    facts = _run_facts(runs.runs[0], metric) if single else _facts(table, targets)
    title = _title(config) if single else "Training runs compared"
    lead = _run_lead(runs.runs[0], metric, targets) if single else _lead(table, targets)
    first = [Pictures(_curves(runs, names, name, metric, targets))]
    return Chapter(title, lead, facts=facts, first=first, sections=sections)


def _title(config: Mapping[str, Any]) -> str:
    """Name a run by what it did, as far as its settings say: those of other versions may be others."""
    scheme = config.get("scheme")
    named = scheme.get("name") if isinstance(scheme, Mapping) else scheme
    policy = config.get("policy")
    return ", ".join(map(str, filter(None, [named, policy and f"policy {policy}", config["data"]])))


def _metric(runs: RunComparison) -> str:
    """Choose what a run is known by: accuracy, or R2 of a regression."""
    known = all("test_r2" in run.curve and run.curve["test_r2"].notna().any() for run in runs.runs)
    return "test_r2" if known else "test_accuracy"


def _called(metric: str) -> str:
    return "R²" if metric == "test_r2" else "accuracy"


def _last(run: SavedRun, metric: str) -> float:
    known = run.curve[metric].dropna()
    return float(known.iloc[-1]) if len(known) else math.nan


def _spent(seconds: float, joules: float) -> str:
    spent = f"{amount(seconds, 's')} simulated"
    return f"{spent} and {amount(joules, 'J')}" if math.isfinite(joules) else spent


def _run_lead(run: SavedRun, metric: str, targets: Sequence[float]) -> str:
    """Say what a run reached and what it took."""
    rounds, seconds = len(run.curve) - 1, float(run.curve["seconds"].iloc[-1])
    said = (
        f"{_called(metric)[0].upper()}{_called(metric)[1:]} {number(_last(run, metric), 4)} after {rounds} rounds, "
        f"which took {_spent(seconds, float(run.joules[-1]))}."
    )
    for target in targets[-1:]:
        to = run.reached(target)
        if math.isfinite(to["rounds"]):
            told = _spent(to["seconds"], to["energy_j"])
            said += f" Accuracy {target:g} was reached in round {to['rounds']:.0f}, after {told}."
        else:
            said += f" Accuracy {target:g} was not reached."
    return said


def _run_facts(run: SavedRun, metric: str) -> list[Fact]:
    curve, rounds = run.curve, len(run.curve) - 1
    seconds, joules = float(curve["seconds"].iloc[-1]), float(run.joules[-1])
    best = float(curve[metric].max())
    found = [
        Fact(_called(metric), number(_last(run, metric), 4), f"best {number(best, 4)}"),
        Fact("rounds", str(rounds)),
        Fact(
            "simulated time",
            amount(seconds, "s"),
            f"{amount(seconds / rounds, 's')} a round" if rounds else "",
        ),
    ]
    if math.isfinite(joules):
        found.append(Fact("energy", amount(joules, "J"), "all devices"))
    else:
        found.append(Fact("energy", "unknown", f"give {HARDWARE}"))
    if run.devices is not None:
        found.append(Fact("devices", str(len(run.devices))))
    return [*found, Fact("seed", str(run.config["seed"]))]


def _lead(table: pd.DataFrame, targets: Sequence[float]) -> str:
    """Say which of several is first, and by how much."""
    reached = [target for target in targets if table[f"seconds_to_{target:g}"].notna().any()]
    if not reached:
        best = str(table["final_accuracy"].idxmax())
        top = number(table["final_accuracy"].max(), 4)
        return f"{best} ends at the highest accuracy, {top}; no target is reached by all runs of one."
    shared = [target for target in reached if table[f"seconds_to_{target:g}"].notna().all()]
    target = (shared or reached)[-1]
    times = table[f"seconds_to_{target:g}"].sort_values(kind="stable")
    first, least = str(times.index[0]), float(times.iloc[0])
    joules = float(table.loc[times.index[0], f"energy_j_to_{target:g}"])
    said = f"{first} reaches accuracy {target:g} first, after {_spent(least, joules)}."
    rest = times.iloc[1:4].dropna()
    if len(rest) and least > 0:
        others = [f"{who} takes {number(time / least, 3)} times as long" for who, time in rest.items()]
        said += f" {', '.join(others)}."
    spent = table[f"energy_j_to_{target:g}"]
    if spent.notna().any() and spent.idxmin() != times.index[0] and spent.min() < joules:
        said += f" {spent.idxmin()} takes the least energy, {amount(float(spent.min()), 'J')}."
    missing = [str(other) for other in times.index[times.isna()]]
    if missing:
        said += f" Not reached by all runs of {', '.join(missing[:4])}."
    if reached[-1] != target:
        only = table.index[table[f"seconds_to_{reached[-1]:g}"].notna()]
        said += f" Accuracy {reached[-1]:g} is reached by {', '.join(map(str, only[:4]))} only."
    return said


def _facts(table: pd.DataFrame, targets: Sequence[float]) -> list[Fact]:
    """Show what each run reached."""
    found = []
    for label, row in table.head(6).iterrows():
        note = _spent(row["seconds"], row["energy_j"])
        found.append(
            Fact(str(label)[-60:], f"accuracy {number(row['final_accuracy'], 4)}", f"in the end, {note}")
        )
    return found


def _summary(table: pd.DataFrame) -> Table:
    """Show all numbers of the comparison."""
    shown = table.copy()
    if (shown["runs"] == 1).all():
        shown = shown.drop(columns=[c for c in map(str, shown) if c == "runs" or c.startswith("reached_")])
    units: dict[str, Unit] = {}
    for column in map(str, shown):
        base = column.partition("_to_")[0]
        units[column] = Unit({"seconds": "s", "energy_j": "J"}.get(base, "1"))
    shown = shown.rename(columns=lambda c: c.replace("energy_j", "energy"))
    units = {c.replace("energy_j", "energy"): unit for c, unit in units.items()}
    many = "Means over the runs of a kind. " if "runs" in shown else ""
    return tabulated(shown, units, note=f"{many}A dash: the target was not reached, or not by all of them.")


def _curves(
    runs: RunComparison, names: Mapping[str, str], name: str, metric: str, targets: Sequence[float]
) -> list[Picture]:
    """Draw accuracy over time, energy and rounds."""
    known = any(np.isfinite(run.joules[-1]) for run in runs.runs)
    over = (
        {"seconds": "simulated time [s]"}
        | ({"joules": "energy of all devices [J]"} if known else {})
        | {"rounds": "rounds"}
    )
    found = []
    for what, label in list(over.items())[: 2 if known else 3]:
        figure, axes = blank(5.2, 3.6)
        axes.set(xlabel=label, ylabel=f"{_called(metric)} on test samples")
        for i, (variant, own) in enumerate(runs.variants.items()):
            for k, run in enumerate(own):
                judged = run.curve[metric].notna().to_numpy()
                x = np.asarray(_axis(run, what), float)[judged]
                y = run.curve[metric].to_numpy()[judged]
                shown = _cut(names[variant]) + (f" ({len(own)} runs)" if len(own) > 1 else "")
                axes.plot(
                    x, y, **_style(i, len(x)), linewidth=1.5 if len(own) == 1 else 1.1,
                    alpha=1.0 if len(own) == 1 else 0.7, label=None if k else shown,
                )  # fmt: skip
        axes.set_xlim(0.0, None)
        if metric == "test_accuracy":
            axes.set_ylim(0.0, 1.0)
            for target in targets:
                _target_line(axes, target, named=what == "seconds")
        axes.grid(alpha=0.3)
        if len(runs.variants) > 1:
            columns = 2 if max(map(len, names.values())) <= 20 else 1
            figure.legend(loc="outside upper center", ncols=columns, frameon=False, fontsize="small")
        found.append(picture(figure, "", f"{name}{what}"))
    return found


def _style(i: int, points: int) -> dict[str, Any]:
    """Return the look of the i-th of several lines: another dash when the colours begin again, a dot for one point."""
    line = LINES[i // len(COLORS) % len(LINES)]
    return {"color": COLORS[i % len(COLORS)], "linestyle": line, "marker": "." if points == 1 else ""}


def _axis(run: SavedRun, what: str) -> Any:
    return {"seconds": run.curve["seconds"], "joules": run.joules, "rounds": np.arange(len(run.curve))}[what]


def _cut(name: str) -> str:
    """Return the end of a run's name, never read as a formula."""
    cut = name if len(name) <= MOST_LETTERS else f"…{name[1 - MOST_LETTERS :]}"
    return cut.replace("$", r"\$")


def _rounds(runs: RunComparison, names: Mapping[str, str], name: str) -> list[Part]:
    """Draw loss, seconds and joules by round, and list the rounds."""
    drawn = []
    wanted = {
        "train_loss": "training loss",
        "test_loss": "test loss",
        "round_latency_s": "time of a round [s]",
        "energy_j": "energy of all devices in a round [J]",
    }
    for column, label in wanted.items():
        if not any(column in run.curve and run.curve[column].iloc[1:].notna().any() for run in runs.runs):
            continue
        figure, axes = blank(5.2, 3.2)
        for i, (variant, own) in enumerate(runs.variants.items()):
            for k, run in enumerate(own):
                known = run.curve[column].iloc[1:].dropna()
                axes.plot(
                    known.index, known, **_style(i, len(known)), linewidth=1.2,
                    alpha=1.0 if len(own) == 1 else 0.7, label=None if k else _cut(names[variant]),
                )  # fmt: skip
        axes.set(xlabel="round", ylabel=label)
        axes.grid(alpha=0.3)
        if len(runs.variants) > 1:
            columns = 2 if max(map(len, names.values())) <= 20 else 1
            figure.legend(loc="outside upper center", ncols=columns, frameon=False, fontsize="small")
        drawn.append(picture(figure, "", f"{name}{column.replace('_', '')}"))
    parts: list[Part] = [Pictures(drawn)] if drawn else []
    listed = _listed(runs, names)
    for label, run in listed:
        curve = run.curve.dropna(axis=1, how="all")
        parts.append(
            tabulated(
                curve,
                {column: Unit(_unit(column), ABOUT.get(column, "")) for column in map(str, curve)},
                caption=f"{label}: round 0 is before the first one",
                most=MOST_ROUNDS,
                evenly=True,
                rest="the table in the run's folder has all",
            )
        )
    return parts + _left_out(runs, listed)


def _listed(runs: RunComparison, names: Mapping[str, str]) -> list[tuple[str, SavedRun]]:
    every = [
        (names[variant] + (f", seed {run.config['seed']}" if len(own) > 1 else ""), run)
        for variant, own in runs.variants.items()
        for run in own
    ]
    return every[:MOST_LISTED]


def _left_out(runs: RunComparison, listed: Sequence[Any]) -> list[Part]:
    total = len(runs.runs)
    return [Text(f"Listed: {len(listed)} of {total} runs.")] if len(listed) < total else []


def _unit(column: str) -> str:
    return UNITS.get(column) or words_and_unit(column)[1] or "1"


def _devices(runs: RunComparison, names: Mapping[str, str], name: str) -> list[Part]:
    """Draw and list seconds and joules by device."""
    parts: list[Part] = []
    listed = [(label, run) for label, run in _listed(runs, names) if run.devices is not None]
    for i, (label, run) in enumerate(listed):
        frame = run.devices
        assert frame is not None
        who = _names(run.config)
        if len(who) == len(frame):
            frame = frame.set_axis([str(one) for one in who], axis=0).rename_axis("device")
        times = _bars(frame, PHASES, "mean time in a round [s]", "; waiting is left out", f"{name}t{i}")
        drawn = [times]
        if frame[list(ENERGIES)].notna().any().any():
            drawn.append(_bars(frame, ENERGIES, "energy in all rounds [J]", "", f"{name}j{i}"))
        parts += [Text(f"{label}:")] * (len(listed) > 1)
        parts.append(Pictures(drawn))
        shown = frame.copy()
        shown["energy_j"] = shown["compute_energy_j"] + shown["upload_energy_j"]
        shown = shown.dropna(axis=1, how="all")
        parts.append(
            tabulated(
                shown,
                {column: Unit(_unit(column)) for column in map(str, shown)},
                caption="batch and times are means over the rounds that the device took part in, energies are totals",
                rest="devices.csv in the run's folder has all",
            )
        )
    if len(listed) < len(runs.runs):
        missing = len(runs.runs) - len(listed)
        what = "The run has" if len(runs.runs) == 1 else f"{missing} of {len(runs.runs)} runs have"
        parts.append(
            Text(
                f"{what} no table of devices: one is kept of each single run, not of the runs of a comparison, nor by "
                "older versions of radioopt."
            )
        )
    return parts


def _names(config: Mapping[str, Any]) -> list[Any]:
    """Return the names of the devices, if the scenario gives some."""
    scenario = config.get("scenario")
    devices = scenario.get("devices") if isinstance(scenario, Mapping) else None
    return (devices.get("names") or []) if isinstance(devices, Mapping) else []


def _bars(frame: pd.DataFrame, columns: Mapping[str, str], label: str, more: str, name: str) -> Picture:
    """Stack columns by device, in a row each."""
    kept = np.unique(np.linspace(0, len(frame) - 1, min(len(frame), MOST_BARS)).round().astype(int))
    some = frame.iloc[kept]
    rows, left = np.arange(len(some)), np.zeros(len(some))
    figure, axes = blank(5.2, 1.3 + 0.2 * len(some))
    for column, color in columns.items():
        value = some[column].fillna(0.0).to_numpy()
        if value.any():
            axes.barh(
                rows,
                value,
                left=left,
                color=color,
                height=0.8,
                label=worded(column, _unit(column)),
            )
        left = left + value
    axes.set_yticks(rows, [drawn_name(one) for one in some.index], fontsize="small")
    axes.invert_yaxis()
    axes.set(xlabel=label, ylabel="device")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    left_out = f"{len(some)} of {len(frame)} devices" if len(some) < len(frame) else ""
    return picture(figure, "; ".join(filter(None, [left_out, more.lstrip("; ")])), name)


def _settings(config: Mapping[str, Any]) -> Table:
    """List the settings of a run, by dotted names."""
    rows = [
        [Cell(key, key), Cell(text, text)]
        for key, text in _flat({key: value for key, value in config.items() if key != "fingerprints"}).items()
    ]
    return Table([Column("setting"), Column("value", prose=True)], rows)


def _flat(value: Any, name: str = "") -> dict[str, str]:
    if isinstance(value, Mapping) and value:
        return {
            key: text
            for own, item in value.items()
            for key, text in _flat(item, f"{name}.{own}" if name else str(own)).items()
        }
    return {name: written(value)}
