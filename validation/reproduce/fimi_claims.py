"""What FIMI's paper prints and claims of its training, each beside what was measured, with a verdict.

Differences and ratios are paired by seeds, over those that reached the target with both methods. A printed value
"reproduces" if the 95 % interval holds it, has the same "direction" if the interval lies on its side of no effect, is
"contradicted" if it lies on the other side, and is "open" otherwise. Data and network differ from the paper's, so that
directions are what can be compared.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from learning.study.intervals import t_interval
from radioopt.units import dbm_per_hz_to_w_per_hz
from validation.fimi.zoo import paper
from validation.reproduce.registry import Setup

#: Table I: energy [J], latency [h], uplink [GB] to the target, and best accuracy [%], by data, Dirichlet and method
TABLE_I: dict[tuple[str, float], dict[str, tuple[float, ...]]] = {
    ("CIFAR10", 0.4): {
        "TFL": (4858.64, 3.22, 56.45, 70.86),
        "SEMI": (4913.18, 2.85, 50.02, 73.32),
        "HDC": (3507.94, 1.68, 29.54, 79.92),
        "SST": (2844.70, 1.88, 33.05, 77.92),
        "GAN (w/o DM)": (3403.74, 1.63, 28.66, 79.43),
        "FIMI": (2361.78, 1.13, 19.89, 82.21),
    },
    ("CIFAR10", 0.6): {
        "TFL": (4506.20, 2.98, 52.36, 78.95),
        "SEMI": (4625.86, 2.68, 47.09, 80.54),
        "HDC": (4098.38, 1.97, 34.52, 82.05),
        "SST": (3725.80, 2.47, 43.29, 80.23),
        "GAN (w/o DM)": (4723.56, 2.27, 39.78, 81.34),
        "FIMI": (3264.81, 1.57, 27.50, 83.41),
    },
    ("GTSRB", 0.4): {
        "HDC": (6807.48, 3.27, 57.33, 73.40),
        "SST": (2467.08, 1.63, 28.66, 86.51),
        "GAN (w/o DM)": (1806.07, 0.87, 15.21, 88.46),
        "FIMI": (1146.16, 0.55, 9.65, 91.48),
    },
    ("GTSRB", 0.6): {
        "HDC": (6494.89, 3.12, 54.70, 81.59),
        "SST": (2819.52, 1.87, 32.76, 89.04),
        "GAN (w/o DM)": (2049.19, 0.98, 17.26, 87.69),
        "FIMI": (1319.82, 0.63, 11.12, 93.80),
    },
}
COLUMNS = {"energy_kj": "energy", "hours": "hours", "uplink_gb": "uplink", "best": "best accuracy"}


class Claim(NamedTuple):
    """That a column of one method is above or below that of another.

    Attributes
    ----------
    text : str
        What is claimed, and where.
    column, one, other : str
        What is compared.
    higher : bool
        Whether the paper says that it is higher, or lower.
    """

    text: str
    column: str
    one: str
    other: str
    higher: bool


CLAIMS = (
    Claim("Section V-B: FIMI converges in fewer rounds than GAN", "rounds", "FIMI", "GAN (w/o DM)", False),
    Claim("Section V-B: GAN in fewer than SST", "rounds", "GAN (w/o DM)", "SST", False),
    Claim("Section V-B: SST in fewer than HDC", "rounds", "SST", "HDC", False),
    Claim("Section V-B: HDC in fewer than SEMI", "rounds", "HDC", "SEMI", False),
    Claim("Section V-B: SEMI in fewer than TFL", "rounds", "SEMI", "TFL", False),
    Claim("Section V-B: TFL takes less energy a round than FIMI", "joules_per_round", "FIMI", "TFL", True),
    Claim("Fig. 4: synthetic samples alone (CLSD) are not enough", "best", "CLSD", "FIMI", False),
    Claim("Fig. 5(c): a rate five times lower is slower", "rounds", "rate / 5", "FIMI", True),
    Claim("Fig. 5(c): a rate five times higher is slower", "rounds", "rate x 5", "FIMI", True),
    Claim("Fig. 5(e): equal bandwidth (w/o BA) takes more energy", "energy_kj", "w/o BA", "FIMI", True),
    Claim("Fig. 5(e): without the data (w/o DA) less accurate", "best", "TFL", "FIMI", False),
    Claim("Fig. 5(e): GAN instead (w/o DM) less accurate", "best", "GAN (w/o DM)", "FIMI", False),
    Claim("Fig. 5(e): classes as they are (w/o OA) less accurate", "best", "w/o OA", "FIMI", False),
    Claim("Fig. 5(f): a lower limit of the error is more accurate", "best", "error 0.17", "FIMI", True),
    Claim("Fig. 5(f): a higher limit is less accurate", "best", "error 0.22", "FIMI", False),
    Claim("Fig. 5(g): shorter rounds save time", "hours", "latency 45 s", "FIMI", False),
    Claim("Fig. 5(g): shorter rounds cost energy", "energy_kj", "latency 45 s", "FIMI", True),
    Claim("Fig. 5(g): longer rounds save energy", "energy_kj", "latency 90 s", "FIMI", False),
    Claim("Fig. 5(h): gradients are more alike than TFL's", "similarity", "FIMI", "TFL", True),
    Claim("Fig. 5(h): than HDC's", "similarity", "FIMI", "HDC", True),
    Claim("Fig. 5(h): than GAN's", "similarity", "FIMI", "GAN (w/o DM)", True),
)
#: what is set against TFL, to tell what of the gain is whose
SOURCES = {
    "FIMI": "synthetic samples, diffusion",
    "GAN (w/o DM)": "synthetic samples, GAN",
    "own repeated": "as many local steps on no new data",
    "public fill": "the public samples themselves instead of synthetic ones",
    "public weights": "no samples, but the start from a model trained on the public ones",
    "public alone": "the public samples alone, without any device",
}


def paired(runs: pd.DataFrame, column: str, one: str, other: str, *, ratio: bool) -> np.ndarray:
    """Return ratios or differences of two methods over the seeds that have both."""
    wide = runs.pivot(index="seed", columns="method", values=column)
    if one not in wide or other not in wide:
        return np.empty(0)
    values = wide[one] / wide[other] if ratio else wide[one] - wide[other]
    return np.asarray(values.dropna(), np.float64)


def interval(values: np.ndarray) -> str:
    """Write a mean with its 95 % interval."""
    if not len(values):
        return "not reached"
    found = (round(x, 12) + 0.0 for x in t_interval(values, 0.95))
    mean, low, high = (f"{x:.0f}" if abs(x) >= 1000 else f"{x:.3g}" for x in found)
    return f"{mean} (one seed)" if low == "nan" else f"{mean} [{low}, {high}]"


def verdict(values: np.ndarray, nothing: float, higher: bool, printed: float | None = None) -> str:
    """Say whether measured values bear a claim out.

    Parameters
    ----------
    values : ndarray of float64
        One per seed.
    nothing : float
        What would be no effect.
    higher : bool
        On which side of it the claim is.
    printed : float, optional
        The size that the paper prints.

    Returns
    -------
    str
        "reproduces", "direction", "contradicted" or "open"; "not reached" without values.

    Examples
    --------
    >>> verdict(np.array([0.5, 0.6, 0.7]), 1.0, False, 0.58), verdict(np.array([0.5, 0.6, 0.7]), 1.0, False, 0.2)
    ('reproduces', 'direction')
    >>> verdict(np.array([0.5, 0.6, 0.7]), 1.0, True), verdict(np.array([0.5, 1.6]), 1.0, True)
    ('contradicted', 'open')
    """
    if not len(values):
        return "not reached"
    _, low, high = t_interval(values, 0.95)
    if printed is not None and low <= printed <= high:
        return "reproduces"
    if low > nothing or high < nothing:
        agrees = (low > nothing) == higher
        return ("direction" if printed is not None else "reproduces") if agrees else "contradicted"
    return "open"


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate means with half of their 95 % intervals; those to the target over the runs that reach it."""
    rows = []
    for (mixture, method), group in runs.groupby(["mixture", "method"], sort=False):
        row: dict[str, Any] = {"Dir": mixture, "method": method}
        for name in ("rounds", "energy_kj", "hours", "uplink_gb", "best", "similarity"):
            values = group[name].dropna().to_numpy()
            mean, low, high = t_interval(values, 0.95) if len(values) else (math.nan,) * 3
            row |= {name: mean, f"{name} ±": (high - low) / 2}
        reached = f"{group['rounds'].notna().sum()} of {len(group)}"
        rows.append(row | {"J a round": group["joules_per_round"].mean(), "reached": reached})
    return pd.DataFrame(rows).sort_values("Dir", kind="stable", ignore_index=True)


def table_1(runs: pd.DataFrame) -> pd.DataFrame:
    """Set Table I beside the runs: of every method against the first of its block, as ratios, accuracies as points."""
    rows = []
    for (data, mixture), block in TABLE_I.items():
        mine = runs[runs["mixture"] == mixture]
        base, first = next(iter(block.items()))
        for method, values in block.items():
            if method == base:
                continue
            for place, (column, title) in enumerate(COLUMNS.items()):
                ratio = column != "best"
                printed = values[place] / first[place] if ratio else values[place] - first[place]
                nothing = 1.0 if ratio else 0.0
                found = paired(mine, column, method, base, ratio=ratio)
                rows.append(
                    {
                        "paper's data": data,
                        "Dir": mixture,
                        "": f"{method} {'/' if ratio else '-'} {base}",
                        "column": title,
                        "paper": f"{printed:.3g}",
                        "here": interval(found),
                        "verdict": verdict(found, nothing, printed > nothing, printed),
                    }
                )
    return pd.DataFrame(rows)


def judged(runs: pd.DataFrame) -> pd.DataFrame:
    """Hold the claims against the runs."""
    rows = []
    for claim in CLAIMS:
        for mixture, group in runs.groupby("mixture"):
            found = paired(group, claim.column, claim.one, claim.other, ratio=False)
            if found.size or {claim.one, claim.other} <= set(group["method"]):
                rows.append(
                    {
                        "claim": claim.text,
                        "Dir": mixture,
                        "difference": f"{claim.column}: {interval(found)}",
                        "verdict": verdict(found, 0.0, claim.higher),
                    }
                )
    return pd.DataFrame(rows)


def owed(runs: pd.DataFrame) -> pd.DataFrame:
    """Tell what of the gain over TFL is owed to public data and to local steps alone."""
    rows = []
    for mixture, group in runs.groupby("mixture"):
        for method, what in SOURCES.items():
            if method in set(group["method"]) and "TFL" in set(group["method"]):
                rows.append(
                    {
                        "Dir": mixture,
                        "method": method,
                        "what": what,
                        "best accuracy - TFL's [points]": interval(
                            paired(group, "best", method, "TFL", ratio=False)
                        ),
                        "rounds / TFL's": interval(paired(group, "rounds", method, "TFL", ratio=True)),
                    }
                )
    return pd.DataFrame(rows)


def solver_curves() -> pd.DataFrame:
    """Hold Fig. 5(a) and (b) against the solver: the cross-entropy search, and who gets synthetic samples.

    Returns
    -------
    pandas.DataFrame
        A row per claim, with what was found and a verdict.
    """
    cell = paper(20, seed=5)
    rows = []
    for error in (0.18, 0.2, 0.22):
        problem = cell.replace(max_global_error=error)
        best = float(problem.solve().objective)
        gaps = [
            float(problem.solve("cross-entropy", rounds=count, draws=50, elite=10, seed=0).objective) / best
            - 1
            for count in (2, 10, 50)
        ]
        rows.append(
            {
                "claim": f"Fig. 5(a): the search converges, error limit {error:g}",
                "found": "above the optimum after 2, 10, 50 rounds: "
                + ", ".join(f"{gap:.2%}" for gap in gaps),
                "verdict": "reproduces" if gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.05 else "contradicted",
            }
        )
    same = cell.replace(
        energy_coefficient=np.full(20, 5e-27),
        max_cpu_frequency_hz=np.full(20, 1.5e9),
        max_transmit_power_w=np.full(20, 0.15),
        channel_gain=np.full(20, float(np.median(cell.channel_gain))),
        noise_psd_w_per_hz=dbm_per_hz_to_w_per_hz(-174.0),
    )
    distances = np.linspace(50.0, 400.0, 20)
    gains = 10 ** (-(128.1 + 37.6 * np.log10(distances / 1000)) / 10)
    for what, problem, order in (
        ("energy coefficient", same.replace(energy_coefficient=np.linspace(4e-27, 6e-27, 20)), np.arange(20)),
        ("distance", same.replace(channel_gain=gains), distances),
    ):
        samples = problem.solve().synthetic_samples
        rank = float(spearmanr(order, samples).statistic)
        rows.append(
            {
                "claim": f"Fig. 5(b): fewer synthetic samples with a larger {what}",
                "found": f"from {samples[0]:.0f} to {samples[-1]:.0f} samples, rank correlation {rank:.2f}",
                "verdict": "reproduces" if rank < -0.99 else "contradicted",
            }
        )
    return pd.DataFrame(rows)


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce fimi``."""
    return {"setting": {"devices": 20, "seed": 5}, "rows": solver_curves()}


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
        Tables: the methods, what the gain is owed to, Table I, the claims, and the solver's figures.
    """
    told = ", ".join(f"{name} {value}" for name, value in setting.items())
    parts = {
        "Methods": summarise(runs),
        "What the gain over TFL owes to public data and to local steps alone": owed(runs),
        "Table I": table_1(runs),
        "Claims": judged(runs),
        "Figs. 5(a) and (b), by the solver": solver_curves(),
    }
    text = [f"# FIMI's training\n\n20 devices, {told}; {runs['seed'].nunique()} seeds\n"]
    for title, frame in parts.items():
        text.append(f"## {title}\n\n{markdown(frame)}\n")
    return "\n".join(text)


def markdown(frame: pd.DataFrame) -> str:
    """Write a table in Markdown."""
    if frame.empty:
        return "nothing to compare among the methods that were run"
    cells = [
        [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]
        for row in frame.itertuples(index=False)
    ]
    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw(runs: pd.DataFrame, target: float) -> Figure:
    """Draw Fig. 4: mean test accuracy against energy and time, a row each, a column per mixture.

    Parameters
    ----------
    runs : pandas.DataFrame
        A row per run.
    target : float
        Accuracy that is drawn as a line.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown.
    """
    wanted = ("TFL", "SEMI", "HDC", "SST", "GAN (w/o DM)", "FIMI", "own repeated", "public fill")
    mixtures = sorted(runs["mixture"].unique())
    figure = Figure(figsize=(4.8 * len(mixtures), 7), layout="constrained")
    axes = figure.subplots(2, len(mixtures), sharey=True, squeeze=False)
    for place, mixture in enumerate(mixtures):
        for method in wanted:
            group = runs[(runs["mixture"] == mixture) & (runs["method"] == method)]
            if group.empty:
                continue
            accuracy = np.mean(np.stack(group["accuracies"].to_list()), axis=0)
            rounds = np.arange(len(accuracy))
            style = {"linestyle": "--"} if method in ("own repeated", "public fill") else {}
            for row, unit in ((0, group["joules_per_round"] / 1e3), (1, group["seconds_per_round"] / 3600)):
                axes[row][place].plot(rounds * unit.mean(), accuracy, label=method, linewidth=1.2, **style)
        for row, name in ((0, "energy of all devices [kJ]"), (1, "time [h]")):
            axes[row][place].axhline(target, color="0.6", linewidth=0.8)
            axes[row][place].set(xlabel=name, title=f"Dirichlet({mixture})" if row == 0 else None)
            axes[row][0].set_ylabel("test accuracy")
    axes[0][0].legend(frameon=False, fontsize=8)
    return figure
