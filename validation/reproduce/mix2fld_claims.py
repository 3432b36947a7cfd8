"""What Mix2FLD's paper claims of its comparison, each beside what was measured, with a verdict.

A difference is paired by seeds. The claim "reproduces" if the 95 % interval lies on its side of zero, is "contradicted"
if it lies on the other one, and "open" otherwise. A printed size belongs to the best configuration, so the largest mean
over the configurations stands beside it ("size differs" if it is outside the interval); where a scheme is said to be
the best of all, the least. How many configurations have their interval on the claim's side is counted, too.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from learning.study.intervals import t_interval

#: channel, other scheme, and Mix2FLD's convergence time over its own, as printed
TIMES = (("asymmetric", "fl", 1 / 1.2), ("asymmetric", "fd", 1.025), ("symmetric", "fl", 1 / 1.9))
AFTER = {"after_download": "after download", "after_local": "after local update"}
MAX_SLOTS = 103


class Claim(NamedTuple):
    """That one scheme is more accurate than another.

    Attributes
    ----------
    text : str
        What is claimed.
    one, other : dict
        Values of columns that choose the rows of the better and of the worse scheme.
    where : dict
        Values that both have.
    same : tuple of str
        Columns in which both agree.
    printed : float or None
        Difference in the paper [points].
    always : bool
        Whether it is claimed of every configuration, not of the best.
    """

    text: str
    one: dict[str, Any]
    other: dict[str, Any]
    where: dict[str, Any]
    same: tuple[str, ...] = ("channel", "partition")
    printed: float | None = None
    always: bool = False


def claims() -> list[Claim]:
    """List what the paper says about accuracy."""
    ours, mixed = {"scheme": "mix2fld"}, {"scheme": "mixfld"}
    weak, strong = {"channel": "asymmetric"}, {"channel": "symmetric"}
    seeds = ("channel", "partition", "seed_samples")
    found = [
        Claim("asymmetric: Mix2FLD above FL", ours, {"scheme": "fl"}, weak, printed=16.7),
        Claim("asymmetric: Mix2FLD above FD", ours, {"scheme": "fd"}, weak, printed=17.3),
    ]
    for name in ("fd", "fld", "mixfld", "mix2fld"):
        text = f"symmetric: FL above {name.upper()}"
        found.append(Claim(text, {"scheme": "fl"}, {"scheme": name}, strong, always=True))
    found += [
        Claim("non-IID: Mix2FLD above MixFLD", ours, mixed, {"partition": "non-IID"}, seeds),
        Claim("FD above MixFLD", {"scheme": "fd"}, mixed, {}, always=True),
        Claim(
            "N_I = 2 N_S above N_I = N_S",
            ours | {"augmentation": 2},
            ours | {"augmentation": 1},
            {},
            seeds,
            1.7,
        ),
        Claim(
            "N_S = 50 above N_S = 10",
            ours | {"seed_samples": 50},
            ours | {"seed_samples": 10},
            {},
            ("channel", "partition", "augmentation"),
            always=True,
        ),
    ]
    return found


def judge(runs: pd.DataFrame) -> str:
    """Write all claims that the runs can say something about, as a Markdown list."""
    base = runs[~runs["few"] & (runs["max_slots"] == MAX_SLOTS)]
    lines = [
        line
        for (column, when), claim in itertools.product(AFTER.items(), claims())
        for line in better(base, column, when, claim)
    ]
    lines += level(base) + drops(base) + times(base) + devices(runs[runs["few"]])
    lines.append(
        "- uplink payload up to 42.4 times smaller than the weights: 6.1 times in the first round with 10 samples, "
        "1.27 with 50, 125 later; 42.4 is one sample in every round: contradicted (by the paper's own formulas)"
    )
    return "\n".join(lines)


def rows(runs: pd.DataFrame) -> list[dict[str, str]]:
    """Split the list of claims into what is claimed, what was found and the outcome."""
    lines = [line[2:].rsplit(": ", 2) for line in judge(runs).splitlines() if "42.4" not in line]
    return [dict(zip(("claim", "found", "outcome"), line, strict=True)) for line in lines]


def better(runs: pd.DataFrame, column: str, when: str, claim: Claim) -> list[str]:
    """Judge a claim by a column, if there are runs of both schemes."""
    runs = select(runs, claim.where)
    keys = ["channel", "partition", "seed_samples", "augmentation"]
    found = []
    place: Any
    for place, first in select(runs, claim.one).groupby(keys):
        agree = {name: value for name, value in zip(keys, place, strict=True) if name in claim.same}
        for _, second in select(runs, claim.other | agree).groupby(keys):
            difference = pairs(first, second, column)
            if len(difference):
                found.append((t_interval(difference, 0.95), place))
    if not found:
        return []
    (mean, low, high), place = (min if claim.always else max)(found, key=lambda item: item[0][0])
    seeds = f", N_S = {place[2]}" if place[2] else ""
    made = f", N_I = {place[2] * place[3]}" if place[3] else ""
    word, printed = verdict(low, high), ", always" if claim.always else ""
    if claim.printed is not None:
        printed = f", up to {claim.printed:+.1f} points"
        if word == "reproduces" and not 100 * low <= claim.printed <= 100 * high:
            word += ", size differs"
    count = (
        ""
        if math.isnan(low)
        else f"; in {sum(one[0][1] > 0 for one in found)} of {len(found)} configurations"
    )
    at = f"{place[0]}, {place[1]}{seeds}{made}"
    return [f"- {claim.text} {when}{printed}: {points(mean, low, high)} ({at}): {word}{count}"]


def level(runs: pd.DataFrame) -> list[str]:
    """Judge whether Mix2FLD is as accurate as FL under symmetric channels with non-IID data."""
    runs = select(runs, {"channel": "symmetric", "partition": "non-IID"})
    ours, fl = (runs[runs["scheme"] == name] for name in ("mix2fld", "fl"))
    lines = []
    for column, when in AFTER.items():
        found = [
            t_interval(pairs(one, fl, column), 0.95)
            for _, one in ours.groupby(["seed_samples", "augmentation"])
            if len(fl)
        ]
        if found:
            mean, low, high = max(found)
            word = "open (one seed)" if math.isnan(low) else "contradicted" if high < 0 else "reproduces"
            lines.append(
                f"- symmetric, non-IID: Mix2FLD as high as FL {when}: {points(mean, low, high)} for the best: {word}"
            )
    return lines


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
