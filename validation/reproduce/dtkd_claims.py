"""DT-KD's tables and figures from runs, beside the paper's numbers, and a verdict on each of its claims.

A difference is paired by seeds. A claim "reproduces" if the 95 % interval lies on its side of zero, is "contradicted"
if it lies on the other one, and "open" otherwise or with one seed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from learning.study.intervals import t_interval
from radioopt import Scenario
from validation.reproduce.mix2fld_claims import verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = ("smallest", "second", "third", "largest")
#: the paper's Tables 1 and 2, per cent, by method, partition and column, for the four sizes; its KD is simKD or KD
PAPER: dict[tuple[str, str, str], list[float]] = {
    ("kd", "IID", "test_accuracy"): [62.71, 68.13, 71.84, 72.55],
    ("kd", "IID", "test_top5"): [86.61, 90.85, 92.40, 92.59],
    ("kd", "disjoint", "test_accuracy"): [23.60, 25.81, 28.48, 28.73],
    ("kd", "disjoint", "test_top5"): [63.51, 67.88, 73.43, 73.51],
    ("fl", "IID", "test_accuracy"): [59.90, 62.13, 65.64, 66.10],
    ("fl", "IID", "test_top5"): [84.49, 87.00, 88.50, 89.22],
    ("fl", "disjoint", "test_accuracy"): [1.12, 1.47, 1.43, 1.23],
    ("fl", "disjoint", "test_top5"): [5.01, 5.40, 5.11, 5.04],
    ("stu", "IID", "test_accuracy"): [43.23, 45.26, 49.97, 49.32],
    ("stu", "IID", "test_top5"): [73.83, 76.53, 79.29, 78.66],
    ("stu", "disjoint", "test_accuracy"): [18.16, 18.50, 19.35, 19.53],
    ("stu", "disjoint", "test_top5"): [23.62, 24.00, 24.08, 24.20],
    ("kd", "disjoint", "private_accuracy"): [86.53, 89.46, 90.98, 90.14],
    ("kd", "disjoint", "private_top5"): [96.75, 98.11, 98.11, 97.75],
    ("fl", "disjoint", "private_accuracy"): [4.47, 5.88, 5.72, 4.92],
    ("fl", "disjoint", "private_top5"): [20.04, 21.60, 20.44, 20.16],
    ("stu", "disjoint", "private_accuracy"): [72.59, 73.95, 77.36, 78.08],
    ("stu", "disjoint", "private_top5"): [94.47, 95.99, 96.31, 96.79],
}
PAPER |= {("simkd", *key[1:]): value for key, value in PAPER.items() if key[0] == "kd"}
#: draws of the cell for Tables 3 and 4
DRAWS = 200


def report(runs: pd.DataFrame, setting: dict[str, Any], kind: str) -> str:
    """Write everything as Markdown.

    Parameters
    ----------
    runs : pandas.DataFrame
        A row per run.
    setting : dict
        What was trained.
    kind : str
        Title.

    Returns
    -------
    str
        Tables, claims, the loop, what was varied.
    """
    grid = runs[(runs["note"] == "") & (runs["size"] >= 0)]
    parts = [
        f"# DT-KD: {kind} setting, {runs['seed'].nunique()} seeds",
        "\n".join(f"- {name}: {value}" for name, value in setting.items()),
        "Accuracies in per cent after the last epoch, means over users and seeds; ± is half of a 95 % interval\n"
        "over seeds. The paper's in brackets: other networks on CIFAR-100, and the best epoch by the test samples.",
    ]
    for title, partition, column in (
        ("Table 1: all test samples, IID, top-1", "IID", "test_accuracy"),
        ("Table 1: all test samples, IID, top-5", "IID", "test_top5"),
        ("Table 1: all test samples, disjoint labels, top-1", "disjoint", "test_accuracy"),
        ("Table 1: all test samples, disjoint labels, top-5", "disjoint", "test_top5"),
        ("Table 2: own labels, top-1", "disjoint", "private_accuracy"),
        ("Table 2: own labels, top-5", "disjoint", "private_top5"),
        ("Beside Table 2: own labels alone as answers, top-1", "disjoint", "own_labels_accuracy"),
        ("Beside Table 1: test samples taken for a foreign label", "disjoint", "foreign"),
    ):
        if len(grid[grid["partition"] == partition]):
            parts += [f"## {title}", table(grid, partition, column)]
    parts += ["## The paper's claims", "\n".join(claims(grid))]
    varied = runs[runs["note"] != ""]
    if len(varied):
        parts += ["## What was varied", variations(runs)]
    complete = [partition for partition in ("disjoint", "IID") if _complete(grid, partition)]
    for number, partition in zip((3, 4), complete, strict=False):
        parts += [
            f"## Table {number}: {partition}, {DRAWS} draws, measured accuracies",
            allocation(grid, partition),
        ]
    loop = runs[runs["size"] < 0]
    if len(loop):
        parts += ["## Predicted and reached, of all users", closed(loop)]
    return "\n\n".join(parts)


def rows(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Condense the runs to rows: means per cell with half of their 95 % intervals, claims, allocations.

    Parameters
    ----------
    runs : pandas.DataFrame
        A row per run.

    Returns
    -------
    list of dict
        Of kind "cell", "claim" or "allocation".
    """
    grid = runs[(runs["note"] == "") & (runs["size"] >= 0)]
    columns = ("test_accuracy", "test_top5", "private_accuracy", "private_top5", "foreign")
    found: list[dict[str, Any]] = []
    for (method, partition, size), group in grid.groupby(["method", "partition", "size"], sort=False):
        row: dict[str, Any] = {"kind": "cell", "method": method, "partition": partition, "size": size}
        for column in columns:
            mean, low, high = t_interval(100 * group[column].to_numpy(), 0.95)
            row |= {column: mean, f"{column} ±": (high - low) / 2}
        found.append(row)
    for line in claims(grid):
        claim, values, outcome = line[2:].rsplit(": ", 2)
        found.append({"kind": "claim", "claim": claim, "found": values, "outcome": outcome})
    for partition in ("disjoint", "IID"):
        if _complete(grid, partition):
            found += [
                {"kind": "allocation", "partition": partition} | row for row in allocations(grid, partition)
            ]
    return found


def table(grid: pd.DataFrame, partition: str, column: str) -> str:
    """Tabulate a column by method and size."""
    rows = []
    for method, group in grid[grid["partition"] == partition].groupby("method", sort=False):
        row = {"method": method}
        size: Any
        for size, runs in group.groupby("size"):
            mean, low, high = t_interval(100 * runs[column].to_numpy(), 0.95)
            half = "" if math.isnan(low) else f" ± {(high - low) / 2:.1f}"
            printed = PAPER.get((str(method), partition, column))
            said = f" ({printed[size]:.1f})" if printed else ""
            row[SIZES[size]] = f"{mean:.1f}{half}{said}"
        rows.append(row)
    return f"```\n{pd.DataFrame(rows).fillna('').to_string(index=False)}\n```"


def claims(grid: pd.DataFrame) -> Iterator[str]:
    """Judge what the paper says of Tables 1 and 2, for KD and for simKD."""
    for ours in ("kd", "simkd"):
        for text, other, partition, column in (
            (f"IID: {ours} above STU", "stu", "IID", "test_accuracy"),
            (f"IID: {ours} above FL", "fl", "IID", "test_accuracy"),
            (f"disjoint labels, full: {ours} above STU", "stu", "disjoint", "test_accuracy"),
            (f"disjoint labels, full, top-5: {ours} above STU", "stu", "disjoint", "test_top5"),
            (f"disjoint labels, full: {ours} above FL", "fl", "disjoint", "test_accuracy"),
            (f"own labels: {ours} above STU", "stu", "disjoint", "private_accuracy"),
            (f"own labels: {ours} above FL", "fl", "disjoint", "private_accuracy"),
        ):
            yield from compared(grid, text, (ours, partition, column), (other, partition, column))
        for partition, column in (("IID", "test_accuracy"), ("disjoint", "test_accuracy")):
            text = f"{partition}, full: {ours}'s largest student above its smallest"
            yield from sizes(grid, text, ours, partition, column, 3, 0)
        text = f"own labels: {ours}'s largest student is not better than the third"
        yield from sizes(grid, text, ours, "disjoint", "private_accuracy", 2, 3)
    yield from compared(
        grid, "IID: FL above STU", ("fl", "IID", "test_accuracy"), ("stu", "IID", "test_accuracy")
    )
    yield from fails(grid)


def compared(grid: pd.DataFrame, text: str, one: Any, other: Any) -> Iterator[str]:
    """Compare two methods at each size, paired by seed."""
    found = []
    for size in range(4):
        first, second = (
            _values(grid, method, partition, column, size) for method, partition, column in (one, other)
        )
        difference = (first - second).dropna().to_numpy()
        if len(difference):
            found.append(t_interval(100 * difference, 0.95))
    if found:
        words = [verdict(low, high) for _, low, high in found]
        yield f"- {text}: {', '.join(map(_points, found))}: {_together(words)}"


def sizes(
    grid: pd.DataFrame, text: str, method: str, partition: str, column: str, one: int, other: int
) -> Iterator[str]:
    """Compare two sizes of a method, paired by seed."""
    first, second = (_values(grid, method, partition, column, size) for size in (one, other))
    difference = (first - second).dropna().to_numpy()
    if len(difference):
        interval = t_interval(100 * difference, 0.95)
        yield f"- {text}: {_points(interval)}: {verdict(*interval[1:])}"


def fails(grid: pd.DataFrame) -> Iterator[str]:
    """Judge whether FL is as good as guessing where labels are disjoint: whether it is worse than STU there."""
    one, other = (("stu", "disjoint", "test_accuracy"), ("fl", "disjoint", "test_accuracy"))
    yield from compared(grid, "disjoint labels, full: FL fails, so that STU is above it", one, other)


def variations(runs: pd.DataFrame) -> str:
    """Tabulate what was varied, beside the same without it."""
    rows = []
    size: Any
    for (method, partition, size, note), group in runs[runs["note"] != ""].groupby(
        ["method", "partition", "size", "note"], sort=False
    ):
        row = {"method": method, "partition": partition, "size": SIZES[size], "varied": note}
        plain = runs[(runs["method"] == method) & (runs["partition"] == partition)]
        plain = plain[(plain["size"] == size) & (plain["note"] == "")]
        for column in ("test_accuracy", "test_top5", "private_accuracy"):
            interval = t_interval(100 * group[column].to_numpy(), 0.95)
            row[column] = _plain(interval)
            paired = (group.set_index("seed")[column] - plain.set_index("seed")[column]).dropna().to_numpy()
            row[f"{column}, change"] = _points(t_interval(100 * paired, 0.95)) if len(paired) else ""
        rows.append(row)
    return (
        "KD: the divergence the other way round, other temperatures. FL: more local epochs a round (as many in all),\n"
        f"and a network without normalisation.\n\n```\n{pd.DataFrame(rows).to_string(index=False)}\n```"
    )


def allocations(grid: pd.DataFrame, partition: str) -> list[dict[str, Any]]:
    """Solve the allocation with measured accuracies: the paper's Table 3 or 4, objectives per user."""
    rows: list[dict[str, Any]] = []
    for name, method, solver in (
        ("proposed, kd", "kd", "exact"),
        ("proposed, simkd", "simkd", "exact"),
        ("FL-Min", "fl", "fl-min"),
        ("FL-Max", "fl", "fl-max"),
    ):
        solution = draws(grid, method, partition).solve(solver)
        known = solution.problem.catalogue
        rows.append(
            {
                "": name,
                "objective": float(np.mean(solution.objective)) / solution.sizes["device"],
                "delay [s]": float(np.mean(solution.delay_s)),
                "own": 100 * float(known.own_accuracy[solution.model].mean()),
                "average": 100 * float(known.average_accuracy[solution.model].mean()),
                "local": 100 * float(np.mean(solution.trains_locally)),
                **{size: 100 * float(np.mean(solution.model == m)) for m, size in enumerate(SIZES)},
            }
        )
    return rows


def allocation(grid: pd.DataFrame, partition: str) -> str:
    """Write Table 3 or 4 with measured accuracies."""
    rows = allocations(grid, partition)
    printed = "printed: -1.03, -0.95, 0.0075; 14.33, 14.02, 27.01 s"
    if partition == "IID":
        printed = "printed: -1.27, -1.11, 0.0074; 13.91, 13.07, 20.55 s"
    frame = pd.DataFrame(rows)
    best = str(frame[""].iloc[int(frame["objective"].argmin())])
    quick = str(frame[""].iloc[int(frame["delay [s]"].argmin())])
    return (
        f"```\n{frame.round(3).to_string(index=False)}\n```\n\n{printed}, of proposed, FL-Min and FL-Max.\n"
        f"- The proposed method is best: {'reproduces' if best[:8] == 'proposed' else 'contradicted'} (best: {best})\n"
        f"- FL-Min has the least delay: {'reproduces' if quick == 'FL-Min' else 'contradicted'} (least: {quick})"
    )


def draws(grid: pd.DataFrame, method: str, partition: str) -> Any:
    """Pose the allocation to many draws of the cell, with a method's measured accuracies."""
    known = Scenario.load("dtkd").to_dict()["dtkd"]["catalogue"]
    mine = grid[(grid["method"] == method) & (grid["partition"] == partition)].groupby("size")
    accuracies = {
        "own_accuracy": mine["private_accuracy"].mean().tolist(),
        "average_accuracy": mine["test_accuracy"].mean().tolist(),
    }
    return Scenario.load("dtkd", {"dtkd.catalogue": known | accuracies}).draw(1, size=DRAWS).problem("dtkd")


def closed(loop: pd.DataFrame) -> str:
    """Tabulate objectives as predicted by the other seeds and as reached."""
    rows = []
    for (method, partition), group in loop.groupby(["method", "partition"], sort=False):
        error = (group["realised_objective"] - group["objective"]).to_numpy()
        rows.append(
            {
                "method": str(method).removeprefix("loop "),
                "partition": partition,
                "predicted": group["objective"].mean(),
                "reached": group["realised_objective"].mean(),
                "reached - predicted": _plain(t_interval(error, 0.95), 3),
                "mean delay [s]": group["mean_delay_s"].mean(),
                "longest [s]": group["longest_delay_s"].mean(),
                "local": f"{group['local_share'].mean():.0%}",
            }
        )
    return f"```\n{pd.DataFrame(rows).round(3).to_string(index=False)}\n```"


def draw(runs: pd.DataFrame) -> Figure:
    """Draw the curves of Figs. 4 to 10: accuracies over epochs by method, and of all sizes.

    Parameters
    ----------
    runs : pandas.DataFrame
        A row per run, with its curve.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels.
    """
    from matplotlib.figure import Figure

    grid = runs[(runs["note"] == "") & (runs["size"] >= 0)]
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes = figure.subplots(2, 3)
    styles = dict(zip(("kd", "simkd", "fl", "stu"), ("C0", "C1", "C2", "C3"), strict=True))
    for axis, (title, partition, place) in zip(
        axes.flat,
        (
            ("Fig. 4: IID, all test samples", "IID", 1),
            ("Fig. 6: disjoint labels, all test samples", "disjoint", 1),
            ("Fig. 7: disjoint labels, own labels", "disjoint", 2),
        ),
        strict=False,
    ):
        for method, colour in styles.items():
            epochs, values = _curve(grid, method, partition, 2, place)
            if len(epochs):
                axis.plot(epochs, values, colour, marker=".", label=method)
        axis.set(title=title, xlabel="epoch", ylabel="accuracy, third size")
    for axis, (title, partition, method) in zip(
        axes[1],
        (
            ("Fig. 9: IID, KD", "IID", "kd"),
            ("Fig. 10: disjoint labels, KD", "disjoint", "kd"),
            ("Fig. 10: disjoint labels, simKD", "disjoint", "simkd"),
        ),
        strict=True,
    ):
        for size, name in enumerate(SIZES):
            epochs, values = _curve(grid, method, partition, size, 1)
            if len(epochs):
                axis.plot(epochs, values, f"C{size + 4}", marker=".", label=name)
        axis.set(title=title, xlabel="epoch", ylabel="accuracy, all test samples")
    for axis in axes.flat:
        if axis.lines:
            axis.legend()
        axis.set_ylim(0, 1)
        axis.grid(alpha=0.3)
    return figure


def _curve(grid: pd.DataFrame, method: str, partition: str, size: int, place: int) -> tuple[Any, Any]:
    """Return epochs and the mean over seeds of a column of the curves."""
    mine = grid[(grid["method"] == method) & (grid["partition"] == partition) & (grid["size"] == size)]
    if not len(mine):
        return np.empty(0), np.empty(0)
    curves = np.array(
        [[[math.nan if x is None else x for x in point] for point in one] for one in mine["curve"]]
    )
    return curves[0, :, 0], curves[:, :, place].mean(0)


def _values(grid: pd.DataFrame, method: str, partition: str, column: str, size: int) -> pd.Series[float]:
    """Return a column by seed."""
    mine = grid[(grid["method"] == method) & (grid["partition"] == partition) & (grid["size"] == size)]
    return mine.set_index("seed")[column]


def _complete(grid: pd.DataFrame, partition: str) -> bool:
    """Whether all sizes of the methods of Tables 3 and 4 were trained."""
    pairs = itertools.product(("kd", "simkd", "fl"), range(4))
    return all(len(_values(grid, method, partition, "foreign", size)) for method, size in pairs)


def _points(interval: tuple[float, float, float]) -> str:
    mean, low, high = interval
    return f"{mean:+.1f}" + ("" if math.isnan(low) else f" ± {(high - low) / 2:.1f}")


def _plain(interval: tuple[float, float, float], places: int = 1) -> str:
    mean, low, high = interval
    return f"{mean:.{places}f}" + ("" if math.isnan(low) else f" ± {(high - low) / 2:.{places}f}")


def _together(words: list[str]) -> str:
    """Say what becomes of a claim over all sizes."""
    if len(set(words)) == 1:
        return words[0]
    counts = [f"{word} {words.count(word)} of {len(words)}" for word in dict.fromkeys(words)]
    return ", ".join(counts)
