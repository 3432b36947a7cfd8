"""FEEL's Table II: what is made of the runs."""

import itertools

import numpy as np
import pandas as pd
import pytest

from validation.reproduce import feel_schemes as table2

#: seconds to the target, accuracy, by scheme
MADE_UP = {
    "individual": (2_000.0, 0.90),
    "model-based": (4_000.0, 0.94),
    "gradient-based": (3_000.0, 0.95),
    "feel": (1_000.0, 0.96),
}


@pytest.fixture
def runs():
    rows = []
    for scheme, devices, partition, seed in itertools.product(
        MADE_UP, table2.DEVICES, table2.PARTITIONS, range(3)
    ):
        seconds, accuracy = MADE_UP[scheme]
        accuracy -= 0.05 * (scheme == "individual" and partition == "non-IID")
        row = {"scheme": scheme, "devices": devices, "partition": partition, "seed": seed, "rate": 0.1}
        rows.append(row | {"seconds": seconds * 2**seed, "accuracy": accuracy + 0.01 * seed, "rounds": 1})
    return pd.DataFrame(rows)


def test_speeds_are_ratios_seed_by_seed(runs):
    table = table2.summarise(runs).set_index(["K", "partition", "scheme"])
    feel = table.loc[(6, "IID", "feel")]
    assert feel["speed"] == pytest.approx(2.0)
    assert feel["speed ±"] == pytest.approx(0.0, abs=1e-12)
    assert feel["accuracy"] == pytest.approx(0.97)
    assert feel["accuracy ±"] == pytest.approx(4.302653 * 0.01 / np.sqrt(3))  # Student's t with two degrees
    assert feel["reached"] == "3 of 3"
    assert feel["paper's speed"] == 1.09


def test_runs_that_miss_the_target_have_no_speed(runs):
    missed = (runs["scheme"] == "individual") & (runs["partition"] == "non-IID")
    runs.loc[missed, "seconds"] = np.nan
    table = table2.summarise(runs).set_index(["K", "partition", "scheme"])
    assert table.loc[(12, "non-IID", "individual"), "reached"] == "0 of 3"
    assert np.isnan(table.loc[(12, "non-IID", "feel"), "speed"])
    text = table2.claims(table.reset_index())
    assert "FEEL reaches the target first (means over the runs that do): holds." in text


def test_claims(runs):
    text = table2.claims(table2.summarise(runs))
    assert text.count(": holds.") == 5
    assert "holds in 0 of 2 cases: none." in text  # speeds are the same for six and twelve devices


def test_the_rate_of_least_time_is_chosen_and_a_miss_counts_as_twice_the_budget():
    rows = [
        {
            "scheme": "feel",
            "devices": 6,
            "partition": "IID",
            "rate": rate,
            "seconds": seconds,
            "accuracy": accuracy,
        }
        for rate, seconds, accuracy in (
            (0.1, 900.0, 0.9),
            (0.1, 900.0, 0.9),
            (0.2, 100.0, 0.9),
            (0.2, np.nan, 0.9),  # 1050 on average
        )
    ]
    assert table2.best_rates(pd.DataFrame(rows), 1_000.0) == {("feel", 6, "IID"): 0.1}


@pytest.mark.parametrize("scheme", table2.SCHEMES)
def test_every_scheme_starts_from_the_same_weights(scheme, monkeypatch):
    started = []
    monkeypatch.setattr(table2, "started", lambda *options: started.append(options) or _network())
    row = table2.run(scheme, 6, "IID", 0.1, 3, "digits", 0.5, 0.99, 400.0)
    assert started == [("digits", 0.5, 3)]
    assert row["stopped"] == "seconds"
    assert row["rounds"] >= 1
    assert row["scheme"] == scheme


def _network():
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
