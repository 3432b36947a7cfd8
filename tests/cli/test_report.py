"""radioopt report: what it takes, what it refuses, and its exit codes."""

import shutil
import sys
from pathlib import Path

import pytest

import radioopt as ro
from radioopt.cli import main

TRAIN = ["train", "feel-cpu", "--set", "devices.count=3", "--data", "digits@300+100", "--model", "softmax"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, undrawn):
    monkeypatch.chdir(tmp_path)


def said(capsys, *arguments):
    code = main(["report", *arguments])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_a_scenario_is_solved_and_its_page_named_after_it(capsys):
    assert said(capsys, "feel-gpu", "--no-check", "--seed", "3") == (0, "saved feel-gpu.html\n")
    page = Path("feel-gpu.html").read_text("utf-8")
    assert "proven optimal" in page
    assert "Not asked: --no-check." in page


def test_a_scenario_of_several_problems_has_a_chapter_for_each(capsys):
    shutil.copy(Path(__file__).parents[2] / "examples" / "three_problems.toml", "mine.toml")
    assert said(capsys, "mine.toml", "--no-check", "--problem", "feel,dtkd", "--save", "new/a.html")[0] == 0
    page = Path("new/a.html").read_text("utf-8")
    assert page.count("<article") == 2
    assert '<a href="#c2">' in page


def test_what_is_infeasible_has_a_page_and_exit_code_1(capsys):
    code, out = said(capsys, "fimi", "--set", "bandwidth_hz=2e6", "--save", "x.html")
    assert (code, out) == (1, "saved x.html\n")
    assert "What would make it feasible" in Path("x.html").read_text("utf-8")


def test_a_saved_solution_is_told_of_as_it_is(capsys):
    problem = ro.Scenario.load("feel-cpu").draw(seed=1).problem("feel")
    problem.solve("round-up").save("mine.npz")
    assert said(capsys, "mine.npz", "--no-check")[0] == 0
    assert "by method &#39;round-up&#39;" in Path("mine.html").read_text("utf-8")
    assert said(capsys, "mine.npz", "--no-check", "--seed", "1")[1].endswith(
        "a saved problem: leave it out\n"
    )


@pytest.mark.reference
def test_generic_solvers_are_asked(capsys):
    assert said(capsys, "mix2fld")[0] == 0
    page = Path("mix2fld.html").read_text("utf-8")
    assert "answered, and none does better" in page
    assert "markov-chain" in page


def test_what_is_not_installed_is_said(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "validation", None)
    assert said(capsys, "feel-gpu")[0] == 0
    assert "pip install &#39;radioopt[validation]&#39;" in Path("feel-gpu.html").read_text("utf-8")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert said(capsys, "feel-gpu") == (
        3,
        "radioopt: jinja2 is not installed: pip install 'radioopt[plot]'\n",
    )


def test_runs_and_their_comparison(capsys):
    for name in ("optimal", "full"):
        assert main([*TRAIN, "--rounds", "2", "--policy", name, "--name", name]) == 0
    capsys.readouterr()
    assert said(capsys, "runs/optimal") == (0, "saved runs/optimal/report.html\n")
    assert said(capsys, "runs/optimal", "runs/full", "--target", "0.2") == (0, "saved report.html\n")
    assert "Training runs compared" in Path("report.html").read_text("utf-8")
    assert said(capsys, "runs/optimal", "--seed", "2")[0] == 2
    assert main(["compare", "runs/optimal"]) == 0  # the page in its folder is not in the way


def test_a_sweep(capsys):
    vary = ["--vary", "bandwidth_hz=2e6,20e6", "--draws", "5"]
    assert main(["sweep", "fimi", *vary, "--save", "band"]) in (0, 1)
    capsys.readouterr()
    assert said(capsys, "band") == (0, "saved band/report.html\n")
    page = Path("band/report.html").read_text("utf-8")
    assert "fimi over 2 values of bandwidth, 5 draws at each point: 10 problems solved." in page
    assert "energy per round [" in page
    assert "INFEASIBLE" in page
    Path("band/sweep.json").write_text("{}")
    assert "not the folder of a sweep, or damaged" in said(capsys, "band")[1]


def test_a_sweep_of_training(capsys, monkeypatch):
    vary = [
        "--vary",
        "learning_rate=0.1,0.4",
        "--vary",
        "partition=iid,shards",
        "--seeds",
        "2",
        "--rounds",
        "1",
    ]
    quick = ["--option", "data=digits@300+100", "--option", "model=softmax", "--set", "devices.count=3"]
    assert main(["sweep", "feel-cpu", "--train", *vary, *quick, "--save", "rates"]) == 0
    capsys.readouterr()
    assert said(capsys, "rates") == (0, "saved rates/report.html\n")
    page = Path("rates/report.html").read_text("utf-8")
    assert (
        "feel over 2 values of learning rate × 2 values of partition, 2 seeds at each point: 8 runs." in page
    )
    assert "feel: test accuracy" in page
    assert page.count("<tr><td") == 4 + 8 + 2  # points, runs, axes
    assert page.count("<svg") == 2  # for a page, and for a narrow one
    assert said(capsys, "rates", "--target", "0.5")[0] == 2
    monkeypatch.setitem(sys.modules, "learning.study.sweep", None)
    code, out = said(capsys, "rates")
    assert code == 3
    assert "pip install 'radioopt[learning]'" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/none"], "runs/none: no such file or folder"),
        (["empty"], "empty is no run of radioopt train: there is no manifest.json in it"),
        (["begun"], "begun is unfinished: radioopt train --resume begun goes on with it"),
        (["nothing"], "no scenario 'nothing' comes with radioopt"),
        (["feel-cpu", "empty"], "feel-cpu is no folder, empty is one"),
        (["feel-cpu", "fimi"], "one scenario at a time"),
        (["feel-cpu", "--save", "x.pdf"], "expected a name that ends in .html"),
        (["feel-cpu", "--target", "0.5"], "--target: for runs, which feel-cpu is not"),
        (["feel-cpu", "--problem", "fimi"], "no table [fimi]"),
        (["feel-cpu", "--time-limit", "-1"], "--time-limit: expected a number of seconds above 0, got -1"),
    ],
)
def test_mistakes_end_with_code_2_and_nothing_written(capsys, arguments, message):
    Path("empty").mkdir()
    Path("begun").mkdir()
    Path("begun/unfinished.json").write_text("{}")
    code, out = said(capsys, *arguments)
    assert code == 2
    assert message in out
    assert list(Path().rglob("*.html")) == []
