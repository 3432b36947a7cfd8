"""FIMI's printed numbers: synthetic samples and energy per round, the paper's beside ours, over many draws.

The paper prints neither its learning curve nor its convergence constant, so the limit on the learning error is solved
for: per draw of devices, the one at which the optimum synthesises the printed total. What follows is then checked.
Energies per round are not printed either; they follow from Table I, energy over latency in rounds of 60 s. Takes a
few seconds::

    python -m validation.reproduce.fimi_energy
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from radioopt.base.quantity import Array
from radioopt.base.status import Status
from radioopt.fimi import LEARNING_CURVES, SynthesisProblem, SynthesisSolution
from validation.fimi.zoo import paper, with_budget
from validation.reproduce.registry import Setup

DRAWS = 1000
#: Table I, CIFAR10, Dir(0.4): energy [J], latency [h] and uplink [GB] to 70 %; and whether it uses synthetic data
TABLE_I = {
    "TFL": (4858.64, 3.22, 56.45, False),
    "SST": (2844.70, 1.88, 33.05, False),
    "HDC": (3507.94, 1.68, 29.54, True),
    "GAN": (3403.74, 1.63, 28.66, True),
    "FIMI": (2361.78, 1.13, 19.89, True),
}
SYNTHETIC_SAMPLES = 6659.0
DEVICES, ROUND_S = 20, 60.0


def per_round() -> pd.DataFrame:
    """Energy per round and bits per upload that Table I implies, by method.

    Returns
    -------
    pandas.DataFrame
        Rounds (to the nearest whole), energy per round [J] and size of an upload [Mbit].
    """
    rows = {}
    for name, (energy_j, latency_h, uplink_gb, synthetic) in TABLE_I.items():
        rounds = round(latency_h * 3600 / ROUND_S)
        rows[name] = {
            "synthetic data": synthetic,
            "rounds": rounds,
            "J per round": energy_j / rounds,
            "Mbit per upload": uplink_gb * 8e3 / rounds / DEVICES,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def with_total(problem: SynthesisProblem, total: float) -> SynthesisSolution:
    """Solve a batch, each instance with the learning budget at which it synthesises so many samples.

    Parameters
    ----------
    problem : SynthesisProblem
        A batch.
    total : float
        Synthetic samples of all devices of an instance.

    Returns
    -------
    SynthesisSolution
        The optima; their totals agree with `total` to 1e-9.
    """
    beta = np.expand_dims(problem.curve_beta, -1)
    high = (problem.local_samples**-beta).sum(-1)
    low = 0.5 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        more = with_budget(problem, middle).solve(throw=False).synthetic_samples.sum(-1) > total
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return with_budget(problem, high).solve()


def without_data(problem: SynthesisProblem) -> SynthesisSolution:
    """Solve a batch without synthetic data, at whatever error that leads to."""
    beta = np.expand_dims(problem.curve_beta, -1)
    return with_budget(problem, 1.01 * (problem.local_samples**-beta).sum(-1)).solve()


def spread(values: Array) -> str:
    """Mean and standard deviation over the draws."""
    return f"{values.mean():.4g} +- {values.std():.2g}"


def compare(payload_bits: float) -> pd.DataFrame:
    """Set the printed values against ours over the draws, with a verdict.

    Parameters
    ----------
    payload_bits : float
        Size of an upload [bit].

    Returns
    -------
    pandas.DataFrame
        One row per printed number.
    """
    implied = per_round().groupby("synthetic data")["J per round"].mean()
    rows = []
    for name in LEARNING_CURVES:
        problem = paper(DEVICES, seed=1, count=DRAWS, curve=name).replace(payload_bits=payload_bits)
        fixed, solved, none = problem.solve(), with_total(problem, SYNTHETIC_SAMPLES), without_data(problem)
        for solution in (fixed, solved, none):
            assert (solution.status == Status.OPTIMAL).all()
        rows += [
            (
                "synthetic samples, parameters as calibrated",
                name,
                SYNTHETIC_SAMPLES,
                fixed.synthetic_samples.sum(-1),
            ),
            ("J per round, that many synthetic samples", name, implied[True], solved.objective),
            ("J per round, no synthetic data", name, implied[False], none.objective),
        ]
    table = pd.DataFrame(
        [
            {
                "quantity": what,
                "curve": name,
                "paper": printed,
                "radioopt": spread(values),
                "deviations away": (printed - values.mean()) / values.std(),
                "draws beyond": f"{(values >= printed).mean():.1%}",
            }
            for what, name, printed, values in rows
        ]
    )
    table["verdict"] = np.where(table["deviations away"].abs() < 2, "plausible", "not reproducible")
    table.loc[table["quantity"].str.endswith("calibrated"), "verdict"] = "by calibration"
    return table


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce fimi``, with the size of an upload in the text and that of Table I."""
    tables = {size: compare(1e6 * size) for size in (111.7, 117.0)}
    rows = pd.concat(tables, names=["Mbit per upload"]).reset_index(level=0)
    return {"setting": {"draws": DRAWS, "devices": DEVICES}, "rows": rows}


def main() -> None:
    """Print what Table I implies, and the comparison for both sizes of an upload."""
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(f"Table I implies, per round of {ROUND_S:g} s:\n{per_round().round(2).to_string()}")
        for size in (111.7e6, 117.0e6):
            print(f"\nover {DRAWS} draws of {DEVICES} devices, {size / 1e6:g} Mbit per upload:")
            print(compare(size).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
