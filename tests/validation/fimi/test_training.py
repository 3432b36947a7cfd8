"""FIMI's Table I: runs that go on where they were, and what is made of them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from learning import train
from learning.generators import load, make
from radioopt import OptionError
from validation.reproduce import fimi_claims, fimi_training
from validation.reproduce.fimi_training import METHODS, MIXTURES, VARIANTS, Setting, all_work, run_all

SMALL = Setting("digits", 100, 32, 2, 0.2, model="softmax")
#: rounds to the target, best accuracy, joules a round
MADE_UP = {
    "TFL": (40, 95.0, 18.0),
    "FIMI": (20, 96.5, 32.0),
    "public fill": (16, 97.0, 32.0),
    "SST": (50, 95.5, 18.0),
}


@pytest.fixture
def runs():
    rows = []
    for method, mixture, seed in itertools.product(MADE_UP, MIXTURES, range(3)):
        rounds, best, joules = MADE_UP[method]
        rounds, best = rounds * 2.0**seed, best + 0.1 * seed
        made = {"method": method, "mixture": mixture, "seed": seed, "rounds": rounds, "best": best}
        made |= {"energy_kj": rounds * joules / 1e3, "hours": rounds / 60, "uplink_gb": rounds * 0.28}
        made |= {"similarity": 0.8 + 0.001 * seed, "joules_per_round": joules, "seconds_per_round": 60.0}
        rows.append(made | {"accuracies": [0.1, 0.5, 0.9]})
    return pd.DataFrame(rows)


def test_a_broken_campaign_goes_on_run_by_run(tmp_path, monkeypatch):
    monkeypatch.setattr(fimi_training, "make", lambda name: make(f"{name}:steps=5"))
    work = [("TFL", 0.4, 100), ("FIMI", 0.4, 100), ("w/o OA", 0.4, 100)]
    first = run_all(work[:2], SMALL, 1, tmp_path, progress=False)
    assert load(tmp_path / "generators" / "diffusion-seed100.npz").steps == 5
    done = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    everything = run_all(work, SMALL, 1, tmp_path, progress=False)
    assert {path: path.stat().st_mtime_ns for path in done} == done  # nothing is done twice
    pd.testing.assert_frame_equal(everything.iloc[:2], first)
    tfl, fimi, own = everything.to_dict("records")
    assert tfl["added"] == 0 < fimi["added"] == own["added"]
    assert tfl["joules_per_round"] < fimi["joules_per_round"] == own["joules_per_round"]
    alone = train(
        "fimi", partition="dirichlet:0.4,32", scheme="fedavg", public=100, model="softmax", rounds=2, seed=100
    )
    assert tfl["accuracies"] == [round(float(value), 5) for value in alone.to_frame()["test_accuracy"]]


def test_the_runs_are_all_methods_over_both_mixtures_and_variants_over_one():
    work = all_work([*METHODS, *VARIANTS], 2)
    assert len(work) == len(set(work)) == 2 * (2 * len(METHODS) + len(VARIANTS))
    assert [seed for _, _, seed in work] == sorted(seed for _, _, seed in work)


def test_a_printed_ratio_within_the_interval_reproduces():
    values = np.array([0.5, 0.6, 0.7])
    assert fimi_claims.verdict(values, 1.0, False, 0.58) == "reproduces"
    assert fimi_claims.verdict(values, 1.0, False, 0.2) == "direction"
    assert fimi_claims.verdict(values, 1.0, False) == "reproduces"
    assert fimi_claims.verdict(values, 1.0, True) == "contradicted"
    assert fimi_claims.verdict(np.array([0.5, 1.6]), 1.0, True) == "open"
    assert fimi_claims.verdict(values[:1], 1.0, False) == "open"
    assert fimi_claims.verdict(values[:0], 1.0, False) == "not reached"


def test_table_1_pairs_by_seeds_those_that_reached_the_target(runs):
    runs.loc[
        (runs["method"] == "FIMI") & (runs["seed"] == 2), ["rounds", "hours", "energy_kj", "uplink_gb"]
    ] = np.nan
    table = fimi_claims.table_1(runs).set_index(["paper's data", "Dir", "", "column"])
    row = table.loc[("CIFAR10", 0.4, "FIMI / TFL", "energy")]
    assert row["paper"] == f"{2361.78 / 4858.64:.3g}"
    assert row["here"] == "0.889 [0.889, 0.889]"  # 20 * 32 over 40 * 18, for two seeds of three
    assert row["verdict"] == "direction"
    assert table.loc[("CIFAR10", 0.4, "SST / TFL", "hours"), "verdict"] == "contradicted"
    assert table.loc[("GTSRB", 0.6, "FIMI / HDC", "energy"), "verdict"] == "not reached"


def test_the_report_says_what_is_owed_to_public_data(runs):
    text = fimi_claims.report(runs, {"data": "digits"})
    assert "| 0.4 | FIMI | synthetic samples, diffusion | 1.5 [1.5, 1.5] | 0.5 [0.5, 0.5] |" in text
    assert (
        "| 0.6 | public fill | the public samples themselves instead of synthetic ones | 2 [2, 2] | 0.4"
        in text
    )
    assert (
        "| Fig. 5(e): without the data (w/o DA) less accurate | 0.4 | best: -1.5 [-1.5, -1.5] | reproduces |"
        in text
    )
    assert text.count("| reproduces |") >= 5 + 2  # Fig. 5(a) and (b) by the solver
    figure = fimi_claims.draw(runs, 0.92)
    assert [len(axes.lines) for axes in figure.axes] == [5] * 4


def test_unknown_methods_are_refused(tmp_path):
    with pytest.raises(OptionError, match="--methods: unknown 'FEMI', choose from public alone, "):
        fimi_training.main(["--methods", "TFL,FEMI", "--folder", str(tmp_path)])
    with pytest.raises(OptionError, match="--jobs: expected at least 1, got 0"):
        fimi_training.main(["--jobs", "0", "--folder", str(tmp_path)])
