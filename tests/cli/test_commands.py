"""The command line: what a person and a program get from it, and its exit codes."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import radioopt as ro
from radioopt.cli import main


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from radioopt.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'numba', 'pandas', 'rich', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for command in ("solve", "validate", "train", "compare", "report", "generate", "methods", "demo"):
        assert f"    {command} " in done.stdout


@pytest.mark.parametrize(
    "command", ["solve", "validate", "train", "compare", "report", "generate", "methods", "demo"]
)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([command, "--help"])
    assert exit_info.value.code == 0
    assert f"radioopt {command}" in capsys.readouterr().out


def test_solve_prints_the_allocation_and_its_proof(capsys):
    assert main(["solve", "feel-cpu", "--seed", "1"]) == 0
    out = capsys.readouterr().out
    assert "batchsize" in out
    assert "status      OPTIMAL" in out
    assert "certified relative gap" in out


def test_solve_gives_programs_full_precision(capsys):
    solution = ro.Scenario.load("feel-cpu").draw(1).problem("feel").solve()
    assert main(["solve", "feel-cpu", "--seed", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "OPTIMAL"
    np.testing.assert_array_equal([d["batchsize"] for d in document["devices"]], solution.batchsize)
    assert main(["solve", "feel-cpu", "--seed", "1", "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert lines[0].startswith("device,batchsize,uplink_slot_s,downlink_slot_s")
    assert float(lines[1].split(",")[1]) == solution.batchsize[0]


def test_draws_without_an_answer_are_counted_and_left_out_of_the_means(capsys):
    assert main(["solve", "fimi", "--draws", "100", "--set", "bandwidth_hz=3e6"]) == 1
    out = " ".join(capsys.readouterr().out.replace("┃", " ").split())
    assert "fimi: 100 draws by 'newton': 2 OPTIMAL, 98 INFEASIBLE" in out
    assert "over the 2 with an answer," in out


def test_solve_sweep_and_compare_print_latex(capsys, tmp_path):
    assert main(["solve", "feel-cpu", "--latex"]) == 0
    scenario = ro.Scenario.load("feel-cpu")
    assert capsys.readouterr().out == scenario.draw(seed=0).problem("feel").solve().to_latex()
    vary = {"bandwidth_hz": [5e6, 1e7]}
    assert main(["sweep", "feel-cpu", "--vary", "bandwidth_hz=5e6,1e7", "--draws", "2", "--latex"]) == 0
    assert capsys.readouterr().out == ro.sweep(scenario, vary, draws=2, progress=False).to_latex()
    assert main(["solve", "feel-cpu", "--draws", "2", "--latex"]) == 2
    assert "--latex is the table of one allocation" in capsys.readouterr().err
    assert main(["solve", "feel-cpu", "--set", "max_round_latency_s=3", "--latex"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, "INFEASIBLE: max_round_latency_s" in captured.err) == ("", True)
    with pytest.raises(SystemExit):
        main(["methods", "--latex"])
    assert "unknown option --latex: radioopt solve, sweep and compare have it" in capsys.readouterr().err


def test_solve_many_draws_in_one_batch(capsys):
    assert main(["solve", "feel-cpu", "--seed", "1", "--draws", "7", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    solution = ro.Scenario.load("feel-cpu").draw(1, size=7).problem("feel").solve()
    np.testing.assert_array_equal([d["objective"] for d in document["draws"]], solution.objective)
    assert main(["solve", "feel-cpu", "--draws", "7"]) == 0
    assert "7 OPTIMAL by 'newton'" in capsys.readouterr().out


def test_solve_saves_what_load_reads(tmp_path, capsys):
    saved, picture = tmp_path / "solution.npz", tmp_path / "round.png"
    assert main(["solve", "feel-cpu", "--save", str(saved), "--plot", str(picture)]) == 0
    solution = ro.load(saved)
    assert solution.status is ro.Status.OPTIMAL
    assert picture.read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    assert main(["solve", str(saved), "--json"]) == 0  # the problem of a saved solution, solved again
    assert json.loads(capsys.readouterr().out)["objective"] == float(solution.objective)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["solve", "no-such-cell"], "no scenario 'no-such-cell' comes with radioopt"),
        (["solve", "missing.toml"], "missing.toml"),
        (["solve", "feel-cpu", "--method", "magic"], "unknown method 'magic', choose from newton"),
        (["solve", "feel-cpu", "--problem", "fimi"], r"no table [fimi]"),
        (["solve", "feel-cpu", "--gap-tol", "-1"], "gap_tol: expected a finite number >= 0"),
        (["solve", "feel-cpu", "--draws", "0"], "--draws: expected at least 1, got 0"),
        (["solve", "feel-cpu", "--draws", "3", "--plot", "x.png"], "--plot shows one allocation"),
        (["train", "feel-cpu", "--policy", "optimal,full"], "or by --target-accuracy within --seconds"),
        (
            ["train", "feel-cpu", "--policy", "best", "--name", "x"],
            "unknown policy 'best', choose from optimal",
        ),
        (["train", "feel-cpu", "--name", "../x"], "run name '../x'"),
        (["validate", "--problem", "nothing"], "nothing"),
    ],
)
def test_mistakes_end_with_code_2_and_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("radioopt: ")
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_an_unproven_answer_of_an_exact_method_ends_with_code_1(capsys):
    # few samples a device, so that whole ones cannot come close to the bound, and one total tried
    small = ["solve", "feel-cpu", "--set", "payload_bits=3e6"]
    assert main([*small, "--option", "integer=true", "--option", "node_limit=1", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "NODE_LIMIT"
    assert document["gap"] > 1e-6
    assert main([*small, "--option", "integer=true"]) == 0
    assert "status      OPTIMAL" in capsys.readouterr().out
    # a baseline does not claim to be optimal
    assert main([*small, "--method", "round-up", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "FEASIBLE"
    assert document["gap"] > 1e-3


def test_a_missing_extra_ends_with_code_3(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "learning", None)
    assert main(["train", "feel-cpu"]) == 3
    assert "pip install 'radioopt[learning]'" in capsys.readouterr().err


def test_methods_of_one_problem(capsys):
    assert main(["methods", "fimi", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["methods"]
    assert [row["method"] for row in listed] == list(ro.fimi.SynthesisProblem.methods)
    assert main(["methods", "fimy"]) == 2
    assert "unknown problem 'fimy', choose from d2d" in capsys.readouterr().err


def test_methods_lists_what_solve_takes(capsys):
    assert main(["methods", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["methods"]
    listed = {(row["problem"], row["method"]) for row in rows}
    assert {("feel", name) for name in ro.problem_class("feel").methods} <= listed
    assert main(["methods"]) == 0
    assert "newton (default)" in capsys.readouterr().out


def test_train_saves_a_run(tmp_path, capsys):
    arguments = [
        "train",
        "feel-cpu",
        "--rounds",
        "4",
        "--seed",
        "3",
        "--folder",
        str(tmp_path),
        "--name",
        "short",
    ]
    assert main(arguments) == 0
    assert "saved in" in capsys.readouterr().out
    kept = {"checkpoint.npz", "command.json"}  # by which it can go on
    shown = {"metrics.csv", "devices.csv", "plot.png", "plot.pdf", "manifest.json"}
    assert {f.name for f in (tmp_path / "short").iterdir()} == shown | kept
    assert len(pd.read_csv(tmp_path / "short" / "metrics.csv")) == 5  # the start, and four rounds
    assert main(arguments) == 2  # never over an earlier run
    assert "short" in capsys.readouterr().err


def test_train_shows_energy_only_where_it_is_known(tmp_path, capsys):
    for scenario, known in (("feel-cpu", True), ("feel-gpu", False)):
        arguments = ["train", scenario, "--rounds", "2", "--folder", str(tmp_path), "--name", scenario]
        assert main(arguments) == 0
        out = capsys.readouterr().out
        assert ("energy [J]" in out) == known
        assert ("energy unknown" in out) != known
        assert "nan" not in out


def test_train_compares_policies(tmp_path, capsys):
    arguments = [
        "train",
        "feel-cpu",
        "--policy",
        "optimal,full",
        "--target-accuracy",
        "0.3",
        "--seconds",
        "5000",
    ]
    assert main([*arguments, "--seeds", "2", "--folder", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["policy"] for row in rows] == ["optimal", "full"]
    assert rows[0]["ratio"] == 1


@pytest.mark.reference
def test_validate_finds_no_solver_that_does_better(capsys):
    assert main(["validate", "--problem", "feel", "--instances", "1", "--references", "cvxpy", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)["feel"]["summary"]
    assert {row["solver"] for row in summary} >= {"newton", "cvxpy"}


@pytest.mark.reference
def test_the_demo_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("radioopt.cli.demo.SEEDS", 1)
    monkeypatch.setattr("radioopt.cli.demo.TARGET_ACCURACY", 0.5)
    assert main(["demo", "--folder", str(tmp_path), "--name", "demo"]) == 0
    out = capsys.readouterr().out
    assert "OPTIMAL" in out
    files = {f.name for f in (tmp_path / "demo").iterdir()}
    pictures = {"plot.png", "plot.pdf", "round.png", "round.pdf"}
    tables = {"solution.json", "metrics.csv", "curves.csv", "rounds.csv", "manifest.json"}
    assert files == pictures | tables


def test_the_objective_has_a_name_and_whole_samples_no_gap_of_the_relaxation(capsys):
    assert main(["solve", "feel-cpu"]) == 0
    out = capsys.readouterr().out
    assert "learning efficiency [1/s]" in out
    assert "(plain NumPy, from the decisions alone)" in out
    assert main(["solve", "feel-cpu", "--option", "integer=true"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("recomputed"))
    assert "gap" not in line
    assert "the bound on whole samples is by enumeration" in line
