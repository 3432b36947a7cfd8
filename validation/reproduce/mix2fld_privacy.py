"""Mix2FLD's Tables II and III: how far mixed and unmixed samples are from the raw ones, measured and as printed.

Printed is the mean log distance up to an unknown scale of the pixels, so that columns can be compared up to a constant;
"shift" is that constant, "off" the largest deviation after it. The first and last mixing ratio are printed as .001 and
.499; Table II fits log(lambda) to .001 if they were .01 and .49, and by more than 2 if not::

    python -m validation.reproduce.mix2fld_privacy --data digits
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd

from learning.data import sources
from learning.data.dataset import Dataset
from radioopt.mix2fld import inverse_mixup, mixup, sample_privacy
from validation.reproduce.registry import Setup

SAMPLES, SEEDS = 100, 10
#: ratios measured: as printed, and what the first and the last one must have been
AS_PRINTED = (0.001, 0.1, 0.2, 0.3, 0.4, 0.499)
AS_FITS = (0.01, 0.1, 0.2, 0.3, 0.4, 0.49)
PRINTED = {
    "Mixup": {
        "MNIST": [2.163, 4.465, 5.158, 5.564, 5.852, 6.055],
        "FMNIST": [1.825, 4.127, 4.821, 5.226, 5.514, 5.717],
        "CIFAR-10": [2.582, 4.884, 5.577, 5.983, 6.270, 6.473],
        "CIFAR-100": [2.442, 4.744, 5.438, 5.843, 6.131, 6.334],
    },
    "Mix2up": {
        "MNIST": [2.557, 4.639, 5.469, 6.140, 7.007, 9.366],
        "FMNIST": [2.196, 4.568, 5.410, 6.143, 6.925, 9.273],
        "CIFAR-10": [2.824, 5.228, 6.076, 6.766, 7.662, 10.143],
        "CIFAR-100": [2.737, 5.151, 6.050, 6.782, 7.652, 10.104],
    },
}
#: the row that a data set is compared with
ROW = {"digits": "MNIST", "mnist": "MNIST", "fashion-mnist": "FMNIST"}


def privacy(data: Dataset, ratio: float, samples: int, rng: np.random.Generator) -> tuple[float, float]:
    """Mean log privacy of mixed samples, and of samples unmixed from two devices.

    Parameters
    ----------
    data : Dataset
        Both devices draw from its training samples.
    ratio : float
        Lambda.
    samples : int
        Pairs of mixed samples, each of two labels chosen at random.
    rng : numpy.random.Generator
        Source of labels and samples.

    Returns
    -------
    mixed, unmixed : float
        The former against the two raw samples of each mixed one, the latter against the four of each pair.
    """
    of = [np.flatnonzero(data.train_y == label) for label in range(data.num_outputs)]
    labels = np.stack([rng.choice(data.num_outputs, 2, replace=False) for _ in range(samples)])
    rows = np.stack([[rng.choice(of[label], 2, replace=False) for label in pair] for pair in labels])
    raw = data.train_x[rows.transpose(0, 2, 1)].reshape(samples, 2, 2, -1)  # sample, device, label, pixel
    mixed = np.stack([mixup(raw[:, d], [ratio, 1.0 - ratio], position=d) for d in (0, 1)], 1)
    unmixed = inverse_mixup(mixed, [ratio, 1.0 - ratio])
    every = raw.reshape(samples, 1, 4, -1)
    return float(np.mean(sample_privacy(mixed, raw))), float(np.mean(sample_privacy(unmixed, every)))


def measure(
    data: Dataset, ratios: tuple[float, ...], seeds: int = SEEDS, samples: int = SAMPLES
) -> pd.DataFrame:
    """Tabulate both privacies over ratios: means over seeds, and half of a 95 % interval."""
    from learning.study.intervals import t_interval

    rows = {}
    for ratio in ratios:
        found = np.array([privacy(data, ratio, samples, np.random.default_rng(s)) for s in range(seeds)])
        row: dict[str, float] = {}
        for name, values in zip(("Mixup", "Mix2up"), found.T, strict=True):
            mean, low, high = t_interval(values, 0.95)
            row |= {name: mean, f"{name} ±": (high - low) / 2}
        rows[ratio] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("lambda")


def compare(measured: pd.DataFrame, row: str) -> pd.DataFrame:
    """Put the printed numbers beside the measured ones: shift, and what is left after it."""
    found = {}
    for name, printed in PRINTED.items():
        difference = np.array(printed[row]) - measured[name].to_numpy()
        found[name] = {
            "shift": float(np.median(difference)),
            "off": float(np.abs(difference - np.median(difference)).max()),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def crossing(data: Dataset, seeds: int = SEEDS, samples: int = SAMPLES) -> float:
    """Ratio from which on unmixed samples are more private than mixed ones, in the mean."""
    ratios = np.round(np.arange(0.02, 0.49, 0.01), 2)
    table = measure(data, tuple(ratios.tolist()), seeds, samples)
    behind = table.index[table["Mix2up"] < table["Mixup"]]
    return float(behind.max()) if len(behind) else 0.0


def report(data: Dataset, name: str, seeds: int = SEEDS) -> str:
    """Write tables, comparison and verdicts as Markdown."""
    row = ROW[name]
    lines = [f"## Tables II and III: sample privacy on {data.name}, against the row {row}", ""]
    for title, ratios in (("as printed", AS_PRINTED), ("as fits", AS_FITS)):
        table = measure(data, ratios, seeds)
        table["Mixup printed"], table["Mix2up printed"] = PRINTED["Mixup"][row], PRINTED["Mix2up"][row]
        lines += [
            f"Mixing ratios {title}",
            "",
            "```",
            table.round(3).to_string(),
            "",
            compare(table, row).round(3).to_string(),
            "```",
            "",
        ]
    fits = compare(measure(data, AS_FITS, seeds), row)["off"]
    for name_, tolerance in (("Mixup", 0.02), ("Mix2up", 0.1)):
        word = "reproduces" if fits[name_] <= tolerance else "does not reproduce"
        lines.append(
            f"- {name_}: off by {fits[name_]:.3f} after the shift, with .01 and .49: {word} (within {tolerance})"
        )
    where = crossing(data, min(seeds, 5))
    word = "does not reproduce" if where > 0.0 else "reproduces"
    lines.append(
        f"- Mix2up more private than Mixup: measured only for lambda above {where:.2f}, printed for all: {word}"
    )
    return "\n".join([*lines, ""])


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce mix2fld``: both tables at either reading of the ratios."""
    data = sources.load(setup.data, np.random.default_rng(0))
    rows = []
    for reading, ratios in (("as printed", AS_PRINTED), ("as fits", AS_FITS)):
        table = measure(data, ratios, setup.seeds)
        shifts = compare(table, ROW[setup.data])["shift"].to_dict()
        for name in PRINTED:
            rows += [
                {"table": name, "ratios": reading, "lambda": ratio, "privacy": value, "shift": shifts[name]}
                for ratio, value in table[name].items()
            ]
    where = crossing(data, min(setup.seeds, 5))
    setting = {"data": data.name, "row": ROW[setup.data], "Mix2up above Mixup from lambda": where}
    return {"setting": setting, "rows": rows}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=[name for name in ROW if name != "mnist"], default="digits")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    arguments = parser.parse_args()
    data = sources.load(arguments.data, np.random.default_rng(0))
    print(report(data, arguments.data, arguments.seeds))


if __name__ == "__main__":
    main()
