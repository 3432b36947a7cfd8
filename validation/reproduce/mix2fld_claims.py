"""What Mix2FLD's paper claims of its comparison, each beside what was measured, with a verdict.

A difference is paired by seeds: "reproduces" if its 95 % interval lies on the claimed side of zero, "contradicted" if
on the other one, "open" if zero is inside. "Up to" is the largest mean over the configurations.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd

from learning.comparison import t_interval

MIX2FLD = {"scheme": "mix2fld"}
#: channel, other scheme, and Mix2FLD's convergence time over its own, as printed
TIMES = (("asymmetric", "fl", 1 / 1.2), ("asymmetric", "fd", 1.025), ("symmetric", "fl", 1 / 1.9))
AFTER = {"after_download": "after download", "after_local": "after local update"}


def judge(runs: pd.DataFrame) -> str:
    """Write all claims that the runs can say something about, as a Markdown list."""
    base = runs[~runs["few"] & (runs["max_slots"] == 103)]
    lines: list[str] = []
    for column, when in AFTER.items():
        for name, text in (("fl", "+16.7 points"), ("fd", "+17.3 points")):
            wanted = {"channel": "asymmetric"}
            lines += better(
                base,
                column,
                MIX2FLD,
                {"scheme": name},
                wanted,
                f"asymmetric: Mix2FLD above {name.upper()} {when}, {text}",
            )
        for name in ("fd", "fld", "mixfld", "mix2fld"):
            lines += better(
                base,
                column,
                {"scheme": "fl"},
                {"scheme": name},
                {"channel": "symmetric"},
                f"symmetric: FL above {name.upper()} {when}",
                least=True,
            )
        mixed = {"scheme": "mixfld"}
        lines += better(
            base, column, MIX2FLD, mixed, {"partition": "non-IID"}, f"non-IID: Mix2FLD above MixFLD {when}"
        )
        lines += better(base, column, {"scheme": "fd"}, mixed, {}, f"FD above MixFLD {when}")
        for seeds in (10, 50):
            lines += better(
                base,
                column,
                MIX2FLD | {"seed_samples": seeds, "augmentation": 2},
                MIX2FLD | {"seed_samples": seeds, "augmentation": 1},
                {},
                f"N_S = {seeds}: twice as many unmixed samples are better {when}, up to +1.7 points",
            )
        lines += better(
            base,
            column,
            MIX2FLD | {"seed_samples": 50},
            MIX2FLD | {"seed_samples": 10},
            {},
            f"more seed samples are better {when}",
        )
    lines += drops(base) + times(base) + devices(runs[runs["few"]])
    return "\n".join(lines) or "- no cells to judge by"


def better(
    runs: pd.DataFrame,
    column: str,
    one: dict[str, Any],
    other: dict[str, Any],
    where: dict[str, Any],
    claim: str,
    *,
    least: bool = False,
) -> list[str]:
    """Judge that one scheme has the larger value; the largest difference over configurations, or the least."""
    runs = select(runs, where)
    keys = ["channel", "partition", "seed_samples", "augmentation"]
    found = []
    place: Any
    for place, first in select(runs, one).groupby(keys):
        same = dict(zip(keys[:2], place[:2], strict=True))
        for _, second in select(runs, other | same).groupby(keys):
            difference = pairs(first, second, column)
            if len(difference):
                found.append((t_interval(difference, 0.95), place))
    if not found:
        return []
    (mean, low, high), place = (min if least else max)(found, key=lambda item: item[0][0])
    seeds = f", N_S = {place[2]}" if place[2] else ""
    made = f", N_I = {place[2] * place[3]}" if place[3] else ""
    at = f"{place[0]}, {place[1]}{seeds}{made}"
    return [f"- {claim}: {points(mean, low, high)} ({at}): {verdict(low, high)}"]


def points(mean: float, low: float, high: float) -> str:
    """Write a difference of accuracies in percentage points, with its interval."""
    interval = "" if math.isnan(low) else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{100 * mean:+.1f} points{interval}"


def select(runs: pd.DataFrame, where: dict[str, Any]) -> pd.DataFrame:
    """Rows with these values."""
    for name, value in where.items():
        runs = runs[runs[name] == value]
    return runs


def pairs(one: pd.DataFrame, other: pd.DataFrame, column: str) -> np.ndarray:
    """Differences of the same seeds."""
    joined = one.set_index("seed")[column] - other.set_index("seed")[column]
    return joined.dropna().to_numpy()


def verdict(low: float, high: float) -> str:
    """Say on which side of zero an interval lies."""
    if math.isnan(low):
        return "open (one seed)"
    return "reproduces" if low > 0 else "contradicted" if high < 0 else "open"


def drops(runs: pd.DataFrame) -> list[str]:
    """Accuracy drops at the download, and less under FD."""
    lines = []
    for name in ("fl", "mixfld", "mix2fld"):
        mine = runs[(runs["scheme"] == name) & (runs["arrived"] > 0.5)]
        if len(mine):
            mean, low, high = t_interval(mine.groupby("seed")["drop"].mean().to_numpy(), 0.95)
            lines.append(
                f"- {name.upper()} drops at the download: {points(mean, low, high)}: {verdict(low, high)}"
            )
    return lines


def times(runs: pd.DataFrame) -> list[str]:
    """Time to convergence, and time to the target: of Mix2FLD with few samples over those of the others."""
    lines = []
    mine = runs[(runs["scheme"] == "mix2fld") & (runs["seed_samples"] == 10)]
    for column, (channel, name, printed) in itertools.product(("converged_s", "target_s"), TIMES):
        one, other = (select(part, {"channel": channel}) for part in (mine, runs[runs["scheme"] == name]))
        if one.empty or other.empty:
            continue
        claim = f"- {channel}: {column[:-2]} in time, Mix2FLD (N_S = 10) over {name.upper()}, printed {printed:.3f}"
        counts = [(int(part[column].notna().sum()), len(part)) for part in (one, other)]
        if any(2 * n < of for n, of in counts):
            got = ", ".join(f"{n} of {of}" for n, of in counts)
            lines.append(f"{claim}: no ratio, as too few runs got there ({got})")
            continue
        ratio = one.groupby("seed")[column].mean() / other.groupby("seed")[column].mean()
        mean, low, high = (math.exp(value) for value in t_interval(np.log(ratio.dropna().to_numpy()), 0.95))
        word = "open (one seed)" if math.isnan(low) else "reproduces" if low <= printed <= high else "differs"
        interval = "" if math.isnan(low) else f" [{low:.3f}, {high:.3f}]"
        lines.append(f"{claim}: {mean:.3f}{interval}: {word}")
    return lines


def devices(runs: pd.DataFrame) -> list[str]:
    """Mean and variance of the accuracy over devices, of fifty against ten."""
    lines = []
    for partition in ("IID", "non-IID"):
        chosen = select(runs, {"partition": partition})
        ten, fifty = (chosen[chosen["devices"] == count] for count in (10, 50))
        if ten.empty or fifty.empty:
            continue
        mean, low, high = t_interval(pairs(fifty, ten, "mean_of_devices"), 0.95)
        measured = points(mean, low, high)
        claim = f"- {partition}: fifty devices above ten, +5.7 points (IID)"
        lines.append(f"{claim}: {measured}: {verdict(low, high)}")
        variance = [part.set_index("seed")["std_of_devices"] ** 2 for part in (ten, fifty)]
        mean, low, high = t_interval((variance[0] - variance[1]).dropna().to_numpy(), 0.95)
        share = 100 * (1 - variance[1].mean() / variance[0].mean())
        lines.append(
            f"- {partition}: variance over devices falls, by 50 % (IID): by {share:.0f} %: {verdict(low, high)}"
        )
    return lines
