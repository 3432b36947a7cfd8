"""How good the generators' samples are: accuracy of a classifier trained on them alone, copies, distance, seconds.

Each seed splits the data anew, fits, makes samples, and measures them on the test samples. Seconds are the process's
CPU time, so that a busy machine does not count::

    python -m validation.reproduce.generators --seeds 5
    python -m validation.reproduce.generators --data fashion-mnist@20000+5000 --public 2000 --count 4000 \
        diffusion:steps=6000 gan:steps=6000 ready-made
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from learning import generators
from learning.streams import Streams
from validation.reproduce.registry import Setup
from validation.reproduce.shared_data import load

SEEDS = 5
GENERATORS = ("diffusion", "gan", "ready-made")
COLUMNS = {
    "accuracy": "on generated",
    "public_accuracy": "on public",
    "memorised": "copies",
    "frechet": "Fréchet",
    "public_frechet": "of public",
    "fit_s": "fit [s]",
    "thousand_s": "1,000 in [s]",
}


def measure(generator: str, data: str, public: int, count: int, seed: int) -> dict[str, float]:
    """Fit a generator and measure its samples.

    Parameters
    ----------
    generator : str
        Name and options, as "diffusion:steps=2000".
    data : str
        As "fashion-mnist@20000+5000".
    public : int
        Samples to fit on.
    count : int
        Samples to make.
    seed : int
        Of split, fit and samples.

    Returns
    -------
    dict of str to float
        Figures of :meth:`learning.generators.Quality.figures`, with the seconds of the fit and of 1,000 samples.
    """
    streams = Streams(seed)
    whole = load(data, streams.at("data"))
    chosen = whole.set_aside(public, streams.at("public"))
    started = time.process_time()
    fitted = generators.make(generator).fit(chosen, streams.at("generator"))
    done = time.process_time()
    fitted.sample(np.resize(np.unique(chosen.train_y), 1000), streams.at("timing"))
    made = time.process_time()
    found = generators.measure(fitted, chosen, whole, streams.at("samples"), count).figures()
    return {**found, "fit_s": done - started, "thousand_s": made - done}


def table(names: Sequence[str], data: str, public: int, count: int, seeds: int) -> pd.DataFrame:
    """Measure generators over seeds: a row each, mean and standard deviation of every figure."""
    rows = {}
    for name in names:
        found = pd.DataFrame([measure(name, data, public, count, seed) for seed in range(seeds)])
        rows[name] = {
            title: f"{found[figure].mean():.3g} ± {found[figure].std(ddof=min(1, seeds - 1)):.2g}"
            for figure, title in COLUMNS.items()
        }
        print(f"{name}: {rows[name]}", flush=True)
    return pd.DataFrame.from_dict(rows, orient="index")


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce fimi``: seeds of the paper's two kinds of generators."""
    rows = table(GENERATORS[:2], setup.data, 600, 2000, setup.seeds).rename_axis("generator").reset_index()
    return {"setting": {"data": setup.data, "public samples": 600, "generated": 2000}, "rows": rows}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("generators", nargs="*", default=GENERATORS, metavar="NAME[:OPTION=VALUE,...]")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--public", type=int, default=600)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    given = parser.parse_args()
    print(
        f"{given.data}, {given.public} public samples, {given.count} generated, {given.seeds} seeds",
        flush=True,
    )
    print(table(given.generators, given.data, given.public, given.count, given.seeds).to_string())


if __name__ == "__main__":
    main()
