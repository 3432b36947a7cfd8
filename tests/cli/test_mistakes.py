"""What a newcomer gets wrong: one line that says what to change, and never a traceback."""

import json
import subprocess
import sys

import pytest

import radioopt as ro
from radioopt.base.prefixes import prefixed
from radioopt.cli import main

NO_TIME = ["solve", "feel-cpu", "--set", "max_round_latency_s=3"]


def refused(capsys, *arguments):
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("radioopt: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def unsolvable(monkeypatch):
    """Fail a test that solves: mistakes in arguments are found before."""

    def solve(*_, **__):
        raise AssertionError("solved before the arguments were checked")

    monkeypatch.setattr(ro.Problem, "solve", solve)


@pytest.mark.usefixtures("unsolvable")
def test_files_are_checked_before_solving(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    solve = ("solve", "feel-cpu")
    (tmp_path / "folder.png").mkdir()
    assert "--plot: expected a name that ends in .png or .pdf or .svg" in refused(
        capsys, *solve, "--plot", "z.txt"
    )
    assert "--plot: folder.png is a folder" in refused(capsys, *solve, "--plot", "folder.png")
    (tmp_path / "file").touch()
    assert "--save: file is a file: choose a folder" in refused(
        capsys, *solve, "--save", "file/y/z.npz"
    ).replace(f"{tmp_path}/", "")
    assert "--save: expected a name that ends in .npz or .json" in refused(capsys, *solve, "--save", "z.csv")


def test_an_infeasible_problem_gives_the_reason(capsys, tmp_path):
    assert main(NO_TIME) == 1
    out = capsys.readouterr().out
    assert "status      INFEASIBLE" in out
    assert "reason      max_round_latency_s: expected at least" in out
    assert "nan" not in out
    assert main([*NO_TIME, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "INFEASIBLE"
    assert "the shortest round" in document["reason"]
    picture = tmp_path / "z.png"
    assert main([*NO_TIME, "--plot", str(picture)]) == 1
    captured = capsys.readouterr()
    assert "reason      max_round_latency_s" in captured.out
    assert "no allocation to draw" in captured.err
    assert not picture.exists()


def test_a_reason_is_not_told_twice_and_a_warning_without_its_line(capsys, monkeypatch):
    assert main(["solve", "feel-cpu", "--set", "cycles_per_sample=1e200"]) == 1
    assert capsys.readouterr().out.count("check the units") == 1
    monkeypatch.setattr("warnings.filters", [("always", None, UserWarning, None, 0)])
    assert main(["solve", "fimi", "--set", "curve_beta=1e9"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("radioopt: warning: local_error: the learning curve falls below zero")
    assert err.count("\n") == 1


def test_files_written_are_named(capsys, tmp_path):
    files = tmp_path / "z.npz", tmp_path / "z.svg"
    assert main(["solve", "feel-cpu", "--save", str(files[0]), "--plot", str(files[1])]) == 0
    assert [f"saved {file}" for file in files] == capsys.readouterr().out.splitlines()[-2:]
    assert main(["solve", "feel-cpu", "--save", str(files[0]), "--json"]) == 0
    json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "flags",
    [
        ["--draws", "3"],
        ["--seed", "0"],
        ["--problem", "feel"],
        ["--set", "bandwidth_hz=5e6"],
        ["--devices", "d.csv"],
    ],
)
def test_a_saved_problem_is_solved_as_it_is(flags, capsys, tmp_path):
    saved = str(tmp_path / "problem.json")
    ro.Scenario.load("feel-cpu").draw(1).problem("feel").save(saved)
    message = refused(capsys, "solve", saved, *flags)
    assert message.startswith(f"radioopt: {flags[0]}: for a scenario; {saved} is a saved problem")
    assert f"leave out {flags[0]}" in message


def test_a_saved_batch_has_no_picture(capsys, tmp_path):
    saved = str(tmp_path / "problem.npz")
    ro.Scenario.load("feel-cpu").draw(1, size=2).problem("feel").save(saved)
    assert "is a batch of problems" in refused(capsys, "solve", saved, "--plot", str(tmp_path / "z.png"))


def test_a_table_or_a_saved_problem_is_not_a_scenario(capsys):
    for command in ("solve", "train"):
        assert "feel-cpu --devices devices.csv" in refused(capsys, command, "devices.csv")
    assert "expected a scenario" in refused(capsys, "train", "z.npz")


def test_options_of_a_method(capsys):
    for value in ("true", "True", "TRUE"):
        assert main(["solve", "feel-cpu", "--option", f"integer={value}", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["devices"][0]["batchsize"] % 1 == 0
    assert "--option integer: expected true or false, got no" in refused(
        capsys, "solve", "feel-cpu", "--option", "integer=no"
    )
    assert "--option integer: expected NAME=VALUE, such as integer=true" in refused(
        capsys, "solve", "feel-cpu", "--option", "integer"
    )


def test_numbers_of_training(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    for flag in ("--seeds", "--jobs"):
        assert f"{flag}: expected at least 1, got 0" in refused(capsys, "train", "feel-cpu", flag, "0")
    assert "taken is a file: choose a folder" in refused(capsys, "train", "feel-cpu", "--folder", "taken")


def test_a_file_that_is_not_there(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("missing.toml", "missing.npz"):
        assert refused(capsys, "solve", name) == f"radioopt: no such file: {name}\n"


def test_a_temporary_name_is_not_shown(capsys, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", str(tmp_path / ".z.npz.0123abcd"))

    monkeypatch.setattr("os.replace", full)
    saved = tmp_path / "z.npz"
    assert refused(capsys, "solve", "feel-cpu", "--save", str(saved)) == (
        f"radioopt: no space left on device: {saved}\n"
    )


def test_a_reader_that_leaves_early_is_no_error():
    command = [sys.executable, "-m", "radioopt", "solve", "feel-cpu", "--draws", "20000", "--csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("instance,device,")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_narrow_terminal_cuts_no_number(capsys, monkeypatch):
    solution = ro.Scenario.load("feel-cpu").draw(0).problem("feel").solve()
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    monkeypatch.setenv("TERM", "dumb")
    assert main(["solve", "feel-cpu"]) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    factor, unit = prefixed("s", solution.downlink_slot_s.max())
    assert f"[{unit}]" in out
    assert all(f"{factor * slot:.5g}" in out for slot in solution.downlink_slot_s)


def test_a_table_of_many_columns_cuts_no_number_and_stays_in_its_width(capsys):
    """Ten columns of FIMI do not fit side by side: headings are wrapped, then columns go below."""
    energy = ro.Scenario.load("fimi").draw(0).problem("fimi").solve().energy_j
    assert main(["solve", "fimi"]) == 0
    table = capsys.readouterr().out.partition("status")[0]
    assert max(map(len, table.splitlines())) <= 110
    assert all(f" {joules:.5g} " in table for joules in energy)


def test_an_infeasible_draw_gives_the_reason(capsys):
    assert main([*NO_TIME, "--draws", "3"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2  # no table of what is not there
    assert lines[0] == "feel: no answer by 'newton' to any of 3 draws"
    assert "draw 0: max_round_latency_s: expected at least" in lines[1]


def test_feasible_draws_are_tabulated_beside_infeasible_ones(capsys):
    # the median draw's latency as a deadline for all
    latency = ro.Scenario.load("feel-cpu").draw(0, size=20).problem("feel")
    latency = latency.replace(max_batchsize=latency.min_batchsize).solve().round_latency_s
    deadline = f"max_round_latency_s={sorted(latency)[10]:.6f}"
    assert main(["solve", "feel-cpu", "--set", deadline, "--draws", "20"]) == 1
    out = capsys.readouterr().out
    assert "round_latency_s" in out
    assert "INFEASIBLE" in out
    assert "first without a feasible point: draw" in out


@pytest.mark.parametrize(
    ("flag", "meant"),
    [
        ("--lr", "--learning-rate"),
        ("--epochs", "--option epochs=..."),
        ("--batch-size", "--option batchsize=..."),
        ("--loss-probability", "--option loss_probability=..."),
        ("--num-clients", "--set devices.count=..."),
        ("--sceme", "--scheme"),
        ("--amounts", "--before fill:amounts=..."),
        ("--per-device", "--partition shards:PER_DEVICE"),
    ],
)
def test_an_option_of_training_that_is_written_otherwise_here(capsys, flag, meant):
    with pytest.raises(SystemExit):
        main(["train", "feel-cpu", flag, "2"])
    assert f"unknown option {flag}; did you mean {meant}?" in capsys.readouterr().err


def test_a_path_is_not_taken_for_a_shipped_scenario(capsys, tmp_path):
    gone = tmp_path / "mine.toml"
    assert f"{gone} is no file; scenarios that come with radioopt: " in refused(capsys, "scenario", str(gone))
    gone.write_text("")
    assert f"{gone} is your own already" in refused(capsys, "scenario", str(gone))
    assert refused(capsys, "scenario", "feel-cpu", "--keys").endswith("radioopt scenario --keys feel\n")
