"""DT-KD's training tables: a tiny instance whose runs are kept, and verdicts on numbers made up for them."""

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest

from validation.reproduce import dtkd_claims, dtkd_training
from validation.reproduce.dtkd_training import SETTINGS, Cell, cells, run_all

TINY = dataclasses.replace(
    SETTINGS["digits", False], data="digits@300+100", epochs=4, teacher_rounds=10, judge_every=2
)


def test_cells_are_the_papers_and_differ():
    every = list(cells())
    assert len({cell.name for cell in every}) == len(every)
    assert sum(not cell.note for cell in every) == 2 * 4 * 4
    assert SETTINGS["cifar-100", True].schedule == "milestones:0.2,45,60,75,90"
    assert SETTINGS["cifar-100", True].models == ("vgg8", "resnet8x4", "resnet14x4", "resnet26x4")


def test_a_tiny_grid_is_kept_goes_on_and_closes_the_loop(tmp_path, monkeypatch):
    chosen = [Cell(method, "disjoint", size) for method in ("kd", "fl") for size in range(4)]
    chosen += [
        Cell("kd", "disjoint", 1, "reverse"),
        Cell("fl", "disjoint", 2, "local 5"),
        Cell("stu", "IID", 0),
    ]
    chosen += [Cell("fl", "disjoint", 2, "plain"), Cell("loop kd", "disjoint", -1)]
    first = run_all(chosen, TINY, 1, 1, tmp_path, progress=False)
    assert len(first) == len(chosen)
    calls = []
    kept = dtkd_training.run_kept
    monkeypatch.setattr(dtkd_training, "run_kept", lambda *given: calls.append(given[2]) or kept(*given))
    again = run_all(chosen, TINY, 2, 1, tmp_path, progress=False)
    assert calls == [1] * len(chosen)
    pd.testing.assert_frame_equal(again.iloc[: len(chosen)], first)
    text = dtkd_claims.report(again, dataclasses.asdict(TINY), "tiny")
    for part in ("Table 2: own labels", "(86.5)", "What was varied", "reverse", "Predicted and reached", "±"):
        assert part in text, part
    assert len(dtkd_claims.draw(again).axes) == 6


def made_up(**accuracies):
    """Runs of three seeds with these accuracies, disjoint labels, all sizes."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(3):
        for method, value in accuracies.items():
            for size in range(4):
                found = value + 0.02 * size + 0.001 * rng.standard_normal()
                figures = dict.fromkeys(dtkd_training.FIGURES, found)
                rows.append(dataclasses.asdict(Cell(method, "disjoint", size)) | figures | {"seed": seed})
    return pd.DataFrame(rows)


def test_verdicts_follow_the_intervals():
    runs = made_up(kd=0.5, simkd=0.5, fl=0.6, stu=0.3)
    text = "\n".join(dtkd_claims.claims(runs))
    assert "disjoint labels, full: kd above STU: +20." in text
    assert "own labels: kd above FL: -10." in text
    assert "FL fails, so that STU is above it: -30." in text
    assert (
        text.count("contradicted") == 2 * 3 + 1
    )  # above FL twice, and the largest not the best; that FL fails
    table = dtkd_claims.allocation(runs, "disjoint")
    assert "The proposed method is best: contradicted (best: FL-M" in table
    one = "\n".join(dtkd_claims.claims(runs.query("seed == 0")))
    assert "open (one seed)" in one
    assert "reproduces" not in one


def test_the_command_writes_its_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(dtkd_training.SETTINGS, ("digits", False), TINY)
    arguments = ["dtkd_training", "--seeds", "1", "--only", "stu-IID-0", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    dtkd_training.main()
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"cells", "runs.csv", "report.md", "curves.png"}
    assert "stu" in capsys.readouterr().out
    for wrong in (["--only", "nothing"], ["--data", "cifar-100"]):
        monkeypatch.setattr(sys, "argv", [*arguments[:3], *wrong])
        with pytest.raises(Exception, match="expected"):
            dtkd_training.main()
