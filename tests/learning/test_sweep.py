"""Sweeps over training: what stands in the table, what is kept, figure, LaTeX, command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import learning
from learning import sweep, train
from radioopt import OptionError, ProblemError, Scenario
from radioopt.cli import main

QUICK = {"rounds": 3, "data": "digits@300+100", "model": "softmax", "progress": False}
VARY = {"learning_rate": [0.1, 0.4], "bandwidth_hz": [10e6, 20e6]}


@pytest.fixture(scope="module")
def found():
    return sweep("feel-cpu", VARY, schemes=["feel", "fedavg"], seeds=[3, 4], target_accuracy=0.3, **QUICK)


def test_the_table_is_tidy_and_has_the_numbers_of_the_runs(found):
    frame = found.to_frame()
    assert frame.columns[:5].tolist() == ["learning_rate", "bandwidth_hz", "scheme", "seed", "status"]
    assert len(frame) == 2 * 2 * 2 * 2
    assert frame.attrs["units"]["bandwidth_hz"] == "Hz"
    row = frame.query(
        "learning_rate == 0.4 and bandwidth_hz == 1e7 and scheme == 'fedavg' and seed == 4"
    ).iloc[0]
    scenario = Scenario.load("feel-cpu").replace({"bandwidth_hz": 10e6})
    run = train(scenario, scheme="fedavg", learning_rate=0.4, seed=4, target_accuracy=0.3, **QUICK)
    assert row["final_accuracy"] == run.ledger.accuracy
    assert row["seconds"] == run.ledger.seconds
    assert row["energy_j"] == run.ledger.energy_j
    assert row["status"] == run.stopped


def test_summary_figure_and_latex_are_those_of_sweeps(found, tmp_path):
    table = found.summary()
    assert found.words().shape[0] == len(table)
    assert table.index.names == ["scheme", "learning_rate", "bandwidth_hz"]
    own = found.to_frame().query("learning_rate == 0.1 and bandwidth_hz == 2e7 and scheme == 'feel'")
    row = table.loc["feel", 0.1, 20e6]
    assert row["mean"] == pytest.approx(own["final_accuracy"].mean())
    assert row["seeds"] == 2
    figure = found.plot("seconds", x="bandwidth_hz")
    assert [axes.get_title() for axes in figure.axes] == ["feel", "fedavg"]
    assert figure.axes[0].get_ylabel().startswith("simulated time [")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[-1] == "95 % interval of the mean"
    assert "% means over 2 seeds with 95 % intervals" in found.to_latex()
    names = {path.name for path in found.save(tmp_path)}
    assert {"sweep.csv", "summary.csv", "sweep.tex", "sweep.png", "sweep.pdf"} <= names
    assert len(pd.read_csv(tmp_path / "sweep.csv")) == 16
    assert repr(found).splitlines()[0] == "TrainingSweep: 2 learning_rate x 2 bandwidth_hz x 2 seeds"
    missed = found.counts("seconds_to_target")["unanswered"]
    assert missed.sum() == (~found.to_frame()["reached"].astype(bool)).sum()


def test_a_regression_is_judged_by_r2_which_may_be_below_0(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    y = x @ [[1.0], [-2.0]]
    rows = learning.Dataset(x[:60], y[:60], x[60:], y[60:], num_classes=None, name="plane")
    monkeypatch.setitem(QUICK, "data", lambda _: rows)
    runs = sweep("feel-cpu", {"learning_rate": [1e-6, 0.3]}, schemes="fedavg", seeds=2, **QUICK)
    frame = runs.to_frame()
    assert runs.default == "final_r2"
    assert "final_accuracy" not in frame
    assert {"final_r2", "seconds"} <= frame.attrs["units"].keys() >= {"learning_rate"}
    last = [
        train("feel-cpu", scheme="fedavg", learning_rate=rate, seed=seed, **QUICK)
        .to_frame()["test_r2"]
        .iloc[-1]
        for rate in (1e-6, 0.3)
        for seed in (0, 1)
    ]
    assert frame["final_r2"].tolist() == last
    assert min(last) < 0 < max(last)
    table = runs.summary()
    assert table["mean"].tolist() == pytest.approx([np.mean(last[:2]), np.mean(last[2:])])
    assert (table["low"] < table["mean"]).all()
    assert table["low"].min() < 0
    assert table["high"].max() <= 1
    assert "test R²" in repr(runs)
    assert runs.plot().axes[0].get_ylabel() == "test R²"
    assert r"test R\textsuperscript{2}" in runs.to_latex()
    runs.save(tmp_path)
    assert json.loads((tmp_path / "sweep.json").read_text())["quantity"] == "final_r2"
    with pytest.raises(OptionError, match="no run has a quantity 'final_accuracy'"):
        runs.summary("final_accuracy")


def test_runs_that_are_done_are_kept(tmp_path, monkeypatch):
    vary = {"partition": ["iid", "shards"]}
    first = sweep("feel-cpu", vary, seeds=1, folder=tmp_path, **QUICK)
    assert len(list((tmp_path / "runs").glob("feel-*.json"))) == 2
    trained = []

    def counted(*args, **options):
        trained.append((options["partition"], options["seed"]))
        return train(*args, **options)

    monkeypatch.setattr("learning.study.sweep.train", counted)
    again = sweep("feel-cpu", vary, seeds=2, folder=tmp_path, **QUICK)
    assert trained == [("iid", 1), ("shards", 1)]
    old = again.to_frame().query("seed == 0").reset_index(drop=True)
    pd.testing.assert_frame_equal(old, first.to_frame())
    assert not list((tmp_path / "runs").glob("*.npz*"))


@pytest.mark.parametrize(
    ("vary", "options", "message"),
    [
        ({}, {}, "vary: expected values by key"),
        ({"learning_rat": [1, 2]}, {}, "unknown option learning_rat"),
        ({"learning_rate": [0.1, 0.1]}, {}, "learning_rate: 0.1 stands twice"),
        (
            {"bandwidth_hz": [1e6, 2e6], "radio.bandwidth_hz": [3e6]},
            {},
            "vary: bandwidth_hz and radio.bandwidth_hz are the same key",
        ),
        ({"learning_rate": 0.1}, {}, "learning_rate: expected a list of values, got 0.1"),
        ({"learning_rate": [0.1, -1.0]}, {}, "learning_rate: expected"),
        ({"seed": [1, 2]}, {}, "seed: a sweep gives it itself"),
        ({"model": ["mlp"]}, {"model": "mlp"}, "model: it is varied, and given: leave one out"),
        ({"rounds": [1, 2]}, {}, "rounds is a result too"),
        ({"learning_rate": [0.1]}, {"schemes": "feal"}, "unknown scheme 'feal'"),
        ({"learning_rate": [0.1]}, {"seeds": 0}, "seeds: expected"),
        ({"model": [np.eye(2)]}, {"folder": "x"}, "model"),
    ],
)
def test_mistakes_are_told_before_the_first_run(monkeypatch, vary, options, message):
    monkeypatch.setattr("learning.study.sweep.train", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(OptionError, match=message):
        sweep("feel-cpu", vary, **options)
    with pytest.raises(ProblemError, match=r"devices\.cuont"):
        sweep("feel-cpu", {"devices.cuont": [1]})


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [
        "sweep",
        "feel-cpu",
        "--train",
        "--vary",
        "learning_rate=0.1,0.4",
        "--rounds",
        "2",
        "--seeds",
        "2",
    ]
    command += ["--option", "data=digits@300+100", "--option", "model=softmax"]
    assert main([*command, "--save", "a"]) == 0
    out = capsys.readouterr().out
    assert "final_accuracy: means over 2 seeds with 95 % intervals" in out
    assert {"sweep.pdf", "sweep.tex", "runs"} <= {path.name for path in Path("a").iterdir()}
    assert main([*command, "--save", "a", "--json", "--quantity", "seconds"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [point["learning_rate"] for point in document["points"]] == [0.1, 0.4]
    assert main([*command, "--draws", "3"]) == 2
    assert "--draws: only without --train" in capsys.readouterr().err
    assert main(["sweep", "feel-cpu", "--vary", "bandwidth_hz=1e6,2e6", "--seeds", "2"]) == 2
    assert "--seeds: only with --train" in capsys.readouterr().err
