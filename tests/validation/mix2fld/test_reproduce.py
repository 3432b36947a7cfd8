"""The tables of the paper: a tiny instance, runs that are kept, and verdicts on numbers made up for them."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from learning.data import sources
from validation.reproduce import mix2fld_claims, mix2fld_privacy, mix2fld_tables, shared_data
from validation.reproduce.mix2fld_tables import SETTINGS, Cell, cells, run_all, summarise

TINY = dataclasses.replace(
    SETTINGS["digits", False], model="softmax", iterations=3, server_iterations=3, rounds=2
)


def test_cells_are_the_paper_s_and_differ():
    every = list(cells())
    assert len({cell.name for cell in every}) == len(every) == 48
    mine = [c for c in every if c.scheme == "mix2fld" and not c.few]
    assert {(c.seed_samples, c.seed_samples * c.augmentation) for c in mine} == {
        (10, 10),
        (10, 20),
        (50, 50),
        (50, 100),
    }
    assert SETTINGS["fashion-mnist", True].iterations == 6_400


def test_a_tiny_table_is_kept_and_goes_on(tmp_path, monkeypatch):
    chosen = [
        Cell("fl", "asymmetric", "IID", max_slots=100),
        Cell("fd", "symmetric", "IID"),
        Cell("mix2fld", "asymmetric", "non-IID", 10, 2),
        Cell("mix2fld", "symmetric", "non-IID", 10, 1, 50, few=True),
    ]
    first = run_all(chosen, TINY, 1, 1, tmp_path, progress=False)
    assert first["arrived"].tolist() == [0.0, 1.0, 1.0, 1.0]
    assert first["slots"].iloc[0] == 100
    assert first["converged_round"].isna().iloc[0]
    calls = []
    kept = mix2fld_tables.run_kept
    monkeypatch.setattr(mix2fld_tables, "run_kept", lambda *given: calls.append(given[2]) or kept(*given))
    again = run_all(chosen, TINY, 2, 1, tmp_path, progress=False)
    assert calls == [1] * 4  # only the new seed
    pd.testing.assert_frame_equal(again.iloc[:4], first)
    table = summarise(again)
    assert (table["runs"] == 2).all()
    assert table["slots ±"].notna().all()
    text = mix2fld_tables.report(again, TINY, "tiny", "")
    for part in ("FL with other limits", "Fig. 3: ten and fifty", "outputs and 50 samples", "±", "(0 of 2)"):
        assert part in text, part


@pytest.mark.slow
def test_the_module_works_in_other_processes(tmp_path):
    """What joblib sends to its workers is another thing where the module is the script that is run."""
    module = [sys.executable, "-m", "validation.reproduce.mix2fld_tables", "--folder", str(tmp_path)]
    options = "--jobs 2 --seeds 1 --rounds 1 --only fd-symmetric-IID"
    done = subprocess.run(
        [*module, *options.split()], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*/cells/*.json"))) == 1


def test_the_files_of_many_runs_are_read_once(monkeypatch):
    whole = sources.load("digits", np.random.default_rng(0))
    read = []
    monkeypatch.setitem(sources.DATASETS, "fashion-mnist", lambda folder, rng: read.append(folder) or whole)
    shared_data._whole.cache_clear()
    for seed in (0, 1, 0):
        shared = shared_data.load("fashion-mnist@300+100", np.random.default_rng(seed))
        alone = whole.subsample(300, 100, np.random.default_rng(seed))
        np.testing.assert_array_equal(shared.train_x, alone.train_x)
        np.testing.assert_array_equal(shared.test_y, alone.test_y)
    assert read == [None]
    shared_data._whole.cache_clear()
    for name in ("digits", "digits@300+100"):
        here, there = (load(name, np.random.default_rng(3)) for load in (shared_data.load, sources.load))
        np.testing.assert_array_equal(here.train_x, there.train_x)


def test_the_command_writes_its_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(mix2fld_tables.SETTINGS, ("digits", False), TINY)
    monkeypatch.setattr(mix2fld_privacy, "report", lambda *_: "privacy")
    arguments = ["mix2fld_tables", "--seeds", "1", "--rounds", "1", "--only", "fd-symmetric-IID"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--folder", str(tmp_path)])
    mix2fld_tables.main()
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"cells", "runs.csv", "table.csv", "report.md"}
    assert len(pd.read_csv(folder / "runs.csv")) == 1
    assert "privacy" in capsys.readouterr().out


def made_up(**accuracy):
    """Runs of three seeds with these accuracies (asymmetric, IID)."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(3):
        for scheme, value in accuracy.items():
            seeds = {"fl": 0, "fd": 0}.get(scheme, 10)
            cell = Cell(scheme, "asymmetric", "IID", seeds, int(scheme == "mix2fld"))
            noise = 0.001 * rng.standard_normal()
            row = dataclasses.asdict(cell) | {
                "seed": seed,
                "drop": 0.1,
                "arrived": 1.0,
                "converged_s": value,
                "target_s": np.nan,
            }
            rows.append(row | dict.fromkeys(["after_download", "after_local"], value + noise))
    return pd.DataFrame(rows)


def test_verdicts_follow_the_intervals():
    text = mix2fld_claims.judge(made_up(fl=0.8, fd=0.9, mixfld=0.7, mix2fld=0.9))
    lines = {
        line[2:].split(":")[1].split(",")[0].strip(): line
        for line in text.splitlines()
        if "asymmetric:" in line
    }
    above_fl = lines["Mix2FLD above FL after download"]
    assert above_fl.endswith("reproduces, size differs; in 1 of 1 configurations")
    assert "up to +16.7 points: +" in above_fl
    assert lines["Mix2FLD above FD after download"].endswith("open; in 0 of 1 configurations")
    worse = mix2fld_claims.judge(made_up(fl=0.9, mix2fld=0.8))
    assert "Mix2FLD above FL after local update, up to +16.7 points: -10" in worse or "-9.9" in worse
    assert "contradicted; in 0 of 1" in worse
    assert "one seed" in mix2fld_claims.judge(made_up(fl=0.9, mix2fld=0.8).query("seed == 0"))
    assert "MIX2FLD drops at the download: +10.0 points" in worse
    assert "converged in time, Mix2FLD (N_S = 10) over FL, printed 0.833: 0.889" in worse
    assert "no ratio, as too few runs got there (0 of 3, 0 of 3)" in worse


def test_mixed_and_unmixed_samples_are_compared_at_equal_numbers():
    runs = made_up(mixfld=0.7, mix2fld=0.9).assign(partition="non-IID")
    runs.loc[runs["scheme"] == "mixfld", "seed_samples"] = 50
    assert "above MixFLD" not in mix2fld_claims.judge(runs)


def test_privacy_of_mixing_follows_log_lambda_and_that_of_unmixing_overtakes_it():
    data = sources.load("digits", np.random.default_rng(0))
    table = mix2fld_privacy.measure(data, (0.01, 0.1, 0.3, 0.4), seeds=2)
    np.testing.assert_allclose(np.diff(table["Mixup"]), np.diff(np.log(table.index)), atol=1e-3)
    assert (table["Mix2up"] > table["Mixup"]).tolist() == [False, False, True, True]


def test_printed_columns_fit_other_ratios_than_those_above_them():
    data = sources.load("digits", np.random.default_rng(0))
    fits, printed = (
        mix2fld_privacy.compare(mix2fld_privacy.measure(data, ratios, seeds=2), "MNIST")["off"]
        for ratios in (mix2fld_privacy.AS_FITS, mix2fld_privacy.AS_PRINTED)
    )
    assert fits["Mixup"] < 0.005
    assert printed["Mixup"] > 2
    assert 0.1 < fits["Mix2up"] < 1.0


@pytest.mark.exhaustive
def test_the_report_on_privacy():
    data = sources.load("digits", np.random.default_rng(0))
    assert "reproduces" in mix2fld_privacy.report(data, "digits", 2)
