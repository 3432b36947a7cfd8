"""FEEL's training table: simulated seconds to an accuracy per batch-size policy, on paired seeds.

Two rules for the learning rate, each the same for all policies:

shared
    One rate at the reference batch for everybody, as in the paper: eta = 0.2 sqrt(B / 128).
tuned
    Each policy at the rate of :data:`RATES` with the least mean time on seeds 0 to 9; then judged on seeds
    100 to 109, which had no part in the choice.

Target and budget are constants of this module and were set before any run of it. Takes about five minutes::

    python -m validation.reproduce.feel_training
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import learning
from validation.reproduce.registry import Setup, records

TARGET_ACCURACY = 0.9
BUDGET_S = 60_000.0
RATES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
POLICIES = ("optimal", "full", "random", "online")
TUNING_SEEDS = tuple(range(10))
JUDGING_SEEDS = tuple(range(100, 110))
SETTINGS: dict[str, dict[str, Any]] = {
    "iid": {"partition": "iid"},
    "shards": {"partition": "shards", "weights": "samples"},
}


def mean_seconds(
    policy: str, rate: float, setting: dict[str, Any], seeds: tuple[int, ...] = TUNING_SEEDS, **how: Any
) -> float:
    """Mean time to the target over the tuning seeds [s]; a run that misses it counts as the budget."""
    comparison = learning.compare(
        "feel-cpu",
        policies={policy: {"learning_rate": rate}},
        target_accuracy=TARGET_ACCURACY,
        seconds=BUDGET_S,
        seeds=seeds,
        **setting,
        **how,
    )
    return float(comparison.table()["seconds"].iloc[0])


def judge(
    rates: dict[str, float], setting: dict[str, Any], seeds: tuple[int, ...], **how: Any
) -> learning.Comparison:
    """Compare the policies, each at its rate."""
    return learning.compare(
        "feel-cpu",
        policies={policy: {"learning_rate": rates[policy]} for policy in POLICIES},
        target_accuracy=TARGET_ACCURACY,
        seconds=BUDGET_S,
        seeds=seeds,
        **setting,
        **how,
    )


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce feel``, by both rules for the learning rate; runs are kept in the folder."""
    tuning, judging = tuple(range(setup.seeds)), tuple(range(100, 100 + setup.seeds))
    rows: list[dict[str, Any]] = []
    for name, setting in SETTINGS.items():

        def kept(what: str, name: str = name) -> dict[str, Any]:
            folder = setup.folder / "feel-policies" / f"{name}-{what}"
            folder.mkdir(parents=True, exist_ok=True)
            return {"jobs": setup.jobs, "progress": setup.progress, "checkpoints": folder}

        best = {}
        for policy in POLICIES:
            times = [mean_seconds(policy, r, setting, tuning, **kept(f"{policy}-{r}")) for r in RATES]
            best[policy] = float(RATES[int(np.argmin(times))])
        shared = dict.fromkeys(POLICIES, 0.2)
        for rule, rates, seeds in (("shared", shared, tuning), ("tuned", best, judging)):
            table = judge(rates, setting, seeds, **kept(rule)).table().reset_index()
            rows += [
                {"partition": name, "rule": rule, "rate": rates[row["policy"]]} | row
                for row in records(table)
            ]
    told = {
        "scenario": "feel-cpu",
        "data": "digits",
        "target accuracy": TARGET_ACCURACY,
        "budget [s]": BUDGET_S,
    }
    return {"setting": told, "rows": rows}


def main() -> None:
    """Print both tables for both partitions."""
    for name, setting in SETTINGS.items():
        print(f"\n{name}, one rate for all (0.2):")
        print(judge(dict.fromkeys(POLICIES, 0.2), setting, TUNING_SEEDS))
        times = pd.DataFrame({p: {r: mean_seconds(p, r, setting) for r in RATES} for p in POLICIES})
        rates = {policy: float(RATES[int(np.argmin(times[policy]))]) for policy in POLICIES}
        print(f"\n{name}, mean seconds on the tuning seeds by rate:\n{times.round(0).to_string()}")
        print(f"\n{name}, each at its best rate {rates}, on other seeds:")
        print(judge(rates, setting, JUDGING_SEEDS))


if __name__ == "__main__":
    main()
