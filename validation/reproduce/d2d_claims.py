"""What the D2D paper says of its Figs. 4 to 10, beside what was measured, with a verdict on each.

Its numbers are lost in the text at hand, so that only directions are judged: a difference is paired by seeds, and a
claim "reproduces" if the 95 % interval lies on its side of zero, is "contradicted" if it lies on the other one, and is
"open" otherwise. All claims are held against the paper's method, Q-learning, and local search, the default here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as _Figure
from matplotlib.ticker import MaxNLocator as _MaxNLocator

from learning.study.intervals import t_interval
from radioopt.base.pictures import line
from validation.reproduce.d2d_parts import GRAPHS, NONE, OURS, PAPERS, PARTS, REWARDS
from validation.reproduce.fimi_claims import interval, markdown, verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: end of the names of columns whose joules are not of what is trained here
PAPERS_SIZES = " by the paper's sizes"
#: what of the setting and of the formulas is reconstructed
RECONSTRUCTED = """\
Reconstructed, since the text at hand has no formulas and hardly a number: outage, clusters and message passing by prose
that leaves little choice; gate, scores and rewards by prose; every number of the setting; the energy model (its source
is cited, its constants are not). The distance to the server is the mean distance of two devices, as the text has it.
Joules are those of the networks trained here; by the paper's sizes a round sends AlexNet's 57 million weights and a
point CIFAR-10's 3,072 bytes."""


class Claim(NamedTuple):
    """That a method is better than the others in a part.

    Attributes
    ----------
    text : str
        What is claimed.
    part, column : str
        Which runs, and which of their numbers.
    higher : bool
        Whether more is better.
    at : str
        What was varied.
    others : tuple of str
        Against whom; all other graphs by default.
    """

    text: str
    part: str
    column: str
    higher: bool = True
    at: str = ""
    others: tuple[str, ...] = ("none", "closest", "most-trusted", "uniform", "gcn")


_GRAPHS = ("closest", "most-trusted", "uniform", "gcn")
CLAIMS = (
    Claim("Fig. 4: local data get closest to even", "supervised", "distance_after", False),
    Claim("Fig. 4: most trusted links lose more", "supervised", "lost", False, others=("most-trusted",)),
    Claim("Fig. 4: uniform links lose more", "supervised", "lost", False, others=("uniform",)),
    Claim("Fig. 4: closest links bring less diversity", "supervised", "distance_after", False, others=("closest",)),
    Claim("Fig. 5(a): accuracy in the end", "supervised", "final"),
    Claim("Fig. 5(a): accuracy after a fifth of the rounds", "supervised", "at 0.2"),
    Claim("Fig. 5(b): accuracy in the end", "semi-supervised", "final"),
    Claim("Fig. 5(b): accuracy after a fifth of the rounds", "semi-supervised", "at 0.2"),
    Claim("Fig. 5(c): linear evaluation in the end", "unsupervised", "final"),
    Claim("Fig. 5(d): R2 in the end", "regression", "final"),
    Claim("Fig. 5(d): R2 after a fifth of the rounds", "regression", "at 0.2"),
    Claim("Fig. 6(a), FedProx: linear evaluation", "other schemes", "final", at="fedprox"),
    Claim("Fig. 6(a), FedSGD: linear evaluation", "other schemes", "final", at="fedsgd"),
    Claim("Fig. 6(b): accuracy without a server", "decentralised", "final"),
    Claim("Fig. 6(c): accuracy with a server now and then", "semi-decentralised", "final"),
    Claim("Fig. 6(d): fewer points from outside a cluster", "semi-supervised", "outside", False, others=_GRAPHS),
    Claim("Fig. 6(d): a smaller share of points lost", "semi-supervised", "lost", False, others=_GRAPHS),
    Claim("Fig. 7(a): accuracy with 60 % stragglers", "stragglers", "final", at="0.6"),
    Claim("Fig. 7(a): accuracy with the same 40 % always late", "always late", "final", at="0.4"),
    Claim("Fig. 7(b): accuracy with 150 local steps a round", "interval", "final", at="150"),
    Claim("Fig. 8(d): local data get closest to even without labels", "unsupervised", "distance_after", False),
    Claim("Fig. 10: embeddings are set apart", "unsupervised", "silhouette"),
)  # fmt: skip

#: parts of the short table, with what was varied, and what it calls them
SHORT = {
    ("supervised", ""): "all labels", ("semi-supervised", ""): "a tenth of the labels",
    ("unsupervised", ""): "no labels", ("regression", ""): "numbers: R2", ("decentralised", ""): "no server",
    ("semi-decentralised", ""): "server now and then", ("stragglers", "0.6"): "60 % stragglers",
    ("interval", "150"): "150 local steps",
}  # fmt: skip


def select(runs: pd.DataFrame, part: str, at: str = "") -> pd.DataFrame:
    """Return the runs of a part with what was varied."""
    return runs[(runs["part"] == part) & (runs["at"] == at)]


def paired(group: pd.DataFrame, column: str, one: str, other: str) -> np.ndarray:
    """Return differences of two methods over the seeds that have both."""
    if group.empty or column not in group:
        return np.empty(0)
    wide = group.pivot(index="seed", columns="method", values=column)
    if one not in wide or other not in wide:
        return np.empty(0)
    return np.asarray((wide[one] - wide[other]).dropna().round(12), np.float64)


def judged(runs: pd.DataFrame) -> pd.DataFrame:
    """Hold the claims that compare methods against the runs."""
    rows: list[dict[str, Any]] = []
    joules = [
        Claim(f"Fig. 6(e): {name}, {part}", part, name, False)
        for part in ("supervised", "semi-supervised")
        for name in map(str, runs)
        if name.startswith("J to ")
    ]
    for claim in sorted((*CLAIMS, *joules), key=lambda claim: claim.text.partition(":")[0]):
        group = select(runs, claim.part, claim.at)
        for other in claim.others:
            row = {"claim": claim.text, "against": other}
            for one in (PAPERS, OURS):
                found = paired(group, claim.column, one, other)
                row |= {one: interval(found) if len(found) else "", f"{one}: verdict": ""}
                if len(found):
                    row[f"{one}: verdict"] = verdict(found, 0.0, claim.higher)
            if row[PAPERS] or row[OURS]:
                rows.append(row)
    return pd.DataFrame(rows)


def rows(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row per claim and method, as the page of the paper takes them: where, what, found and outcome.

    A claim that is held against several graphs has all of them in one row, and its outcome counts them.
    """
    found = []
    for claim, group in judged(with_joules(runs)).groupby("claim", sort=False):
        for one in (PAPERS, OURS):
            rivals = group[group[one] != ""]
            if len(rivals):
                each = ", ".join(f"{row[one]} over {row['against']}" for row in rivals.to_dict("records"))
                found.append((str(claim), one, each, counted(list(rivals[f"{one}: verdict"]))))
    found += [(row["claim"], "", row["difference"], row["verdict"]) for row in grown(runs)]
    made = []
    for claim, who, difference, outcome in found:
        place, _, text = claim.partition(": ")
        where = re.sub(r"Figs?\. (\d+).*", r"Fig. \1", place)
        panel = place.partition(where.removeprefix("Fig. "))[2].strip(", ")
        what = " ".join(filter(None, (panel, text + (f", {who}" if who else ""))))
        made.append({"where": where, "what": what, "found": difference, "outcome": outcome})
    return made


def counted(outcomes: list[str]) -> str:
    """Count the verdicts of a claim that is held against several graphs.

    Examples
    --------
    >>> counted(["reproduces", "open", "reproduces"]), counted(["open", "open"])
    ('reproduces 2 of 3, open 1 of 3', 'open')
    """
    kinds = dict.fromkeys(outcomes)
    if len(kinds) == 1:
        return outcomes[0]
    return ", ".join(f"{kind} {outcomes.count(kind)} of {len(outcomes)}" for kind in kinds)


def to_target(group: pd.DataFrame, target: str, paper: bool = False) -> pd.Series:
    """Return joules of exchange and rounds to a target, by the paper's sizes if asked; NaN where it is not reached."""
    points, every = ("paper_points_j", "paper_round_j") if paper else ("points_j", "round_j")
    return group[points] + group["messages_j"] + group[f"rounds to {target}"] * group[every]


def with_joules(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with columns for the joules to each target."""
    made = {
        f"J to {target}{PAPERS_SIZES * paper}": to_target(runs, target, paper)
        for target in targets_of(runs)
        for paper in (False, True)
    }
    return runs.assign(**made)


def targets_of(runs: pd.DataFrame) -> list[str]:
    """List the targets that rounds are counted to."""
    return [name.removeprefix("rounds to ") for name in map(str, runs) if name.startswith("rounds to ")]


def grown(runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Judge the claims on how something changes."""
    for one in (PAPERS, OURS):
        yield from _gains(runs, one)
    yield from _rewards(runs)
    spread = runs[runs["part"] == "propagation"]
    if len(spread):
        yield from _spreading(spread)
    two, single = select(runs, "unsupervised"), select(runs, "unsupervised", "1 edge")
    if len(two) and len(single):
        for one in (PAPERS, OURS):
            first, both = (
                group[group["method"] == one].set_index("seed")["distance_after"] for group in (single, two)
            )
            none = single[single["method"] == NONE].set_index("seed")["distance_after"]
            yield _row(
                f"Fig. 8(d): the first edge brings more than the second, {one}",
                ((none - first) - (first - both)).dropna().to_numpy(), True,
            )  # fmt: skip
    for part, figure in (
        ("components", "Fig. 8(b): 32 components above 2"),
        ("levels", "Fig. 9: 9 levels above 1"),
    ):
        group = runs[runs["part"] == part]
        if len(group):
            low, high = ("2", "32") if part == "components" else ("1", "9")
            wide = group.pivot(index="seed", columns="at", values="final")
            yield _row(f"{figure}, accuracy", (wide[high] - wide[low]).dropna().to_numpy(), True)


def _rewards(runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Judge whether another distance brings the same advantage."""
    name = "local-search, Jensen-Shannon"
    for other in (NONE, *_GRAPHS):
        found = paired(select(runs, "supervised"), "final", name, other)
        if len(found):
            yield _row(f"Fig. 13: accuracy in the end, {name} against {other}", found, True)


def _row(text: str, found: np.ndarray, higher: bool) -> dict[str, Any]:
    return {"claim": text, "difference": interval(found), "verdict": verdict(found, 0.0, higher)}


def in_short(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the accuracy in the end of every method in per cent, a column for each part, with the gain over none.

    Parameters
    ----------
    runs : pandas.DataFrame
        A row per run.

    Returns
    -------
    pandas.DataFrame
        Means over the seeds, of differences that are paired by seed with half of their 95 % interval.
    """
    made: dict[str, dict[str, str]] = {}
    for (name, at), title in SHORT.items():
        group = select(runs, name, at)
        for method, mine in group.groupby("method", sort=False):
            gain = paired(group, "final", str(method), NONE) if method != NONE else np.empty(0)
            over = f" ({spread_of(pd.Series(100 * gain), 1, sign=True)})" if len(gain) else ""
            made.setdefault(str(method), {})[title] = f"{100 * mine['final'].mean():.1f}{over}"
    table = pd.DataFrame(made).T.rename_axis("graph")
    table = table.reindex([one for one in (*GRAPHS, *REWARDS) if one in table.index]).fillna("")
    return table.rename(index=lambda one: one if one == NONE else f"`{one}`").reset_index()


def _gains(runs: pd.DataFrame, one: str) -> Iterator[dict[str, Any]]:
    """Judge how the gain over no exchange, or the energy, changes with stragglers, intervals, labels and devices."""
    base = select(runs, "supervised")
    plain = _by_seed(base, "final", one, NONE)
    late = _by_seed(select(runs, "stragglers", "0.6"), "final", one, NONE)
    if len(plain) and len(late):
        yield _row(f"Fig. 7(a): stragglers cost {one} less than no exchange", _less(late, plain), True)
    short, long = (_by_seed(select(runs, "interval", at), "final", one, NONE) for at in ("5", "150"))
    if len(short) and len(long):
        yield _row(f"Fig. 7(b): {one} gains more with long intervals", _less(long, short), True)
    few, many = (_by_seed(select(runs, "labels", at), "final", one, NONE) for at in ("1", "5"))
    if len(few) and len(many):
        yield _row(f"Figs. 7(d), 15: {one} gains more with one label than with five", _less(few, many), True)
    large = select(runs, "devices", "30")
    if len(large) and len(base):
        joules = [
            (group.assign(j=group["points_j"] + group["messages_j"]))[group["method"] == one].set_index(
                "seed"
            )["j"]
            for group in (large, base)
        ]
        ratio = (joules[0] / joules[1]).dropna().to_numpy()
        if len(ratio):
            yield {
                "claim": f"Fig. 7(c): exchange of 30 devices takes 3 times the joules of 10, {one}",
                "difference": f"ratio {interval(ratio)}",
                "verdict": verdict(ratio, 1.0, True, 3.0) if len(ratio) > 1 else "open",
            }


def _by_seed(group: pd.DataFrame, column: str, one: str, other: str) -> pd.Series:
    wide = group.pivot(index="seed", columns="method", values=column) if len(group) else pd.DataFrame()
    return (wide[one] - wide[other]).dropna() if one in wide and other in wide else pd.Series(dtype=float)


def _less(one: pd.Series, other: pd.Series) -> np.ndarray:
    return np.asarray((one - other).dropna(), np.float64)


def _spreading(spread: pd.DataFrame) -> Iterator[dict[str, Any]]:
    wide = spread.pivot(index="seed", columns="at", values="propagated")
    for low, high, what in (("4 0.1", "32 0.1", "components"), ("16 0.01", "16 0.2", "labels")):
        if low in wide and high in wide:
            found = (wide[high] - wide[low]).dropna().to_numpy()
            yield _row(f"Fig. 8(a): labels spread better with more {what}", found, True)


def table(group: pd.DataFrame) -> pd.DataFrame:
    """Tabulate a part by method: means with half of their 95 % intervals, and paired gains over no exchange."""
    rows = []
    for method, runs in group.groupby("method", sort=False):
        row: dict[str, Any] = {"method": method, "final": spread_of(runs["final"], 3)}
        if NONE in set(group["method"]) and method != NONE:
            row["over none"] = interval(paired(group, "final", str(method), NONE))
        else:
            row["over none"] = ""
        row["after a fifth"] = spread_of(runs["at 0.2"], 3)
        for target in targets_of(group):
            reached = runs[f"rounds to {target}"].notna().sum()
            row[f"rounds to {target}"] = f"{spread_of(runs[f'rounds to {target}'], 1)} ({reached})"
            row[f"J to {target}"] = spread_of(runs[f"J to {target}"], 3)
            row[f"J to {target}{PAPERS_SIZES}"] = spread_of(runs[f"J to {target}{PAPERS_SIZES}"], 0)
        for name, digits in (
            ("sent", 0), ("lost", 3), ("outside", 0), ("objective", 2), ("distance_after", 3),
            ("variation_after", 3), ("propagated", 3), ("silhouette", 3),
        ):  # fmt: skip
            if name in runs and runs[name].notna().any():
                row[name.replace("_", " ")] = spread_of(runs[name], digits)
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def spread_of(values: pd.Series, digits: int, *, sign: bool = False) -> str:
    """Write a mean with half of its 95 % interval, with its sign if asked."""
    known = values.dropna().to_numpy(np.float64)
    if not len(known):
        return "-"
    mean, low, high = t_interval(known, 0.95)
    half = "" if math.isnan(low) else f" ± {(high - low) / 2:.{digits}f}"
    return f"{mean:{'+' if sign else ''}.{digits}f}{half}"


def swept(group: pd.DataFrame) -> pd.DataFrame:
    """Tabulate a part by what was varied, a column per method: accuracy in the end, and gain over no exchange."""
    column = "propagated" if group["final"].isna().all() else "final"
    rows = []
    for at, runs in group.groupby("at", sort=False):
        row = {"at": at}
        for method, mine in runs.groupby("method", sort=False):
            gain = paired(runs, column, str(method), NONE)
            over = f" ({gain.mean():+.3f})" if len(gain) and method != NONE else ""
            row[str(method)] = spread_of(mine[column], 3) + over
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def report(runs: pd.DataFrame, setting: dict[str, Any]) -> str:
    """Write the report, in Markdown.

    Parameters
    ----------
    runs : pandas.DataFrame
        A row per run.
    setting : dict of str to object
        What was trained.

    Returns
    -------
    str
        A table for each part, and the claims.
    """
    runs = with_joules(runs.assign(final=runs.get("final", np.nan)))
    told = ", ".join(f"{name} {value}" for name, value in setting.items())
    text = [
        f"# D2D's training\n\n{told}; {runs['seed'].nunique()} seeds\n\n{RECONSTRUCTED}\n\n"
        "Means ± half of a 95 % interval over seeds; in brackets the runs that reach a target, or the gain over no\n"
        "exchange. `sent`, `lost`, `outside`: points sent, the share lost, and those that count against the budgets\n"
        "of clusters; `distance after`, `variation after`: mean distance of local labels from even ones (before:\n"
        f"{_before(runs)}), by Wasserstein and in total variation."
    ]
    if len(short := in_short(runs)):
        text += ["## In short: accuracy or R2 in the end [%], and gain over no exchange", markdown(short)]
    for name, part in PARTS.items():
        group = runs[runs["part"] == name]
        if group.empty:
            continue
        text.append(f"## {name}: {part.text}")
        if name == "propagation" or (len(part.at) > 1 and name != "unsupervised"):
            text.append(markdown(swept(group)))
        else:
            text.append(markdown(table(select(runs, name, part.at[0]))))
        if name == "unsupervised":
            text.append("With one edge:\n\n" + markdown(table(select(runs, name, "1 edge"))))
    text += ["## Claims: who is better", markdown(judged(runs))]
    text += ["## Claims: what changes with what", markdown(pd.DataFrame(list(grown(runs))))]
    return "\n\n".join(text) + "\n"


def _before(runs: pd.DataFrame) -> str:
    group = select(runs, "supervised")
    if group.empty or "distance_before" not in group:
        return "see `runs.csv`"
    return f"{group['distance_before'].mean():.3f} and {group['variation_before'].mean():.3f}, supervised"


def draw(runs: pd.DataFrame) -> Figure:
    """Draw the mean curve of each method, a panel for each part of the short table.

    Parameters
    ----------
    runs : pandas.DataFrame
        A row per run.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown.
    """
    shown = [(part, title) for part, title in SHORT.items() if len(select(runs, *part)) and "curve" in runs]
    columns = min(4, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = _Figure(figsize=(3.2 * columns, 2.9 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    styles = {method: line(place, marker=False) for place, method in enumerate(GRAPHS[:0:-1])}
    styles[NONE] = {"color": "0.4", "linestyle": ":"}
    drawn: dict[str, Any] = {}
    for axis, ((name, at), title) in zip(axes.flat, shown, strict=False):
        for method, group in select(runs, name, at).groupby("method", sort=False):
            if method in REWARDS:  # as good as the default, and hard to tell from it
                continue
            curves = np.array([np.asarray(curve, float) for curve in group["curve"]])
            style = {"linewidth": 1.4, **styles[str(method)]}
            (drawn[str(method)],) = axis.plot(curves[0, :, 0], curves[:, :, 1].mean(0), **style)
        axis.set(title=title, xlabel="round")
        axis.xaxis.set_major_locator(_MaxNLocator(5, integer=True))
    for axis in axes[:, 0]:
        axis.set_ylabel("R2" if shown and shown[0][0][0] == "regression" else "test accuracy")
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    if drawn:
        drawn = {method: drawn[method] for method in (NONE, *styles) if method in drawn}
        figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=4, frameon=False)
    return figure
