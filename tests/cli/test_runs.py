"""radioopt train: a finished run is saved whatever becomes of its picture and of what is printed; runs at once."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

import learning
from learning.runs.lock import locked
from radioopt.cli import main

QUICK = ["train", "feel-cpu", "--set", "devices.count=3", "--data", "digits@300+100", "--model", "softmax"]
COMPARED = ["--policy", "optimal,full", "--seeds", "2", "--target-accuracy", "0.5", "--seconds", "600"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def start(*arguments, **options):
    """Start the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from radioopt.cli import main; sys.exit(main())", *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | options.pop("env", {}),
        **options,
    )


@pytest.mark.filterwarnings("always:no plot.png and plot.pdf:UserWarning")
@pytest.mark.parametrize("more", [[], COMPARED], ids=["run", "comparison"])
def test_a_picture_that_cannot_be_drawn_loses_nothing(capsys, monkeypatch, more):
    monkeypatch.setenv("PATH", "/nowhere")  # no LaTeX
    with matplotlib.rc_context({"text.usetex": True}):
        assert main([*QUICK, *(more or ["--rounds", "2"]), "--name", "a"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("radioopt: warning: no plot.png and plot.pdf: ")
    assert "; the numbers are saved" in captured.err
    assert "saved in runs/a: " in captured.out
    assert "plot.png" not in captured.out
    saved = {path.name for path in Path("runs/a").iterdir()}
    assert {"metrics.csv", "manifest.json"} <= saved
    assert not {"plot.png", "plot.pdf"} & saved
    assert "unfinished.json" not in saved


def test_training_with_d2d_takes_its_scenario_for_training(capsys):
    asked = [
        "train",
        "d2d",
        "--scheme",
        "fedavg",
        "--data",
        "digits@300+100",
        "--model",
        "softmax",
        "--rounds",
        "1",
    ]
    assert main([*asked, "--partition", "few-labels:2", "--before", "exchange:method=closest", "--json"]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert config["scenario"]["name"].endswith("(d2d-training)")
    assert [(step["name"], step["method"]) for step in config["before"]] == [("exchange", "closest")]
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("d2d-training-digits-")


def test_numbers_are_saved_before_anything_is_drawn(monkeypatch, capsys):
    def interrupted(*_):
        assert json.loads(Path("runs/a/manifest.json").read_text())["result"]["rounds"] == 2
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("learning.runs.plots.plot_training", interrupted)
        assert main([*QUICK, "--rounds", "2", "--name", "a"]) == 130
    assert "resume" not in capsys.readouterr().err
    assert main(["compare", "runs/a"]) == 0
    assert main(["train", "--resume", "runs/a"]) == 0
    assert capsys.readouterr().out.endswith("run runs/a is finished; drawn anew: plot.png, plot.pdf\n")
    assert main(["train", "--resume", "runs/a", "--rounds", "3"]) == 0  # it can go on, too
    with monkeypatch.context() as patch:
        patch.setattr("learning.runs.folder.draw", lambda *_: None)
        assert main(["train", "--resume", "runs/a", "--rounds", "4"]) == 0
    assert not Path("runs/a/plot.png").exists()  # rather than that of 3 rounds


@pytest.mark.parametrize("more", [["--rounds", "2"], COMPARED], ids=["run", "comparison"])
def test_what_is_drawn_anew_is_what_was_drawn(capsys, more):
    assert main([*QUICK, *more, "--name", "a"]) == 0
    picture = Path("runs/a/plot.png")
    drawn = picture.read_bytes()
    picture.unlink()
    assert main(["train", "--resume", "runs/a"]) == 0
    assert picture.read_bytes() == drawn
    assert main(["train", "--resume", "runs/a"]) == 2
    assert "run runs/a is finished" in capsys.readouterr().err


class Broken(io.StringIO):
    """A stream that nobody reads any more, or a disk that is full."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.filterwarnings("always:logger print:UserWarning")
@pytest.mark.parametrize("more", [["--rounds", "2"], ["--rounds", "2", "--log", "print"], COMPARED])
def test_a_stream_that_takes_nothing_loses_no_run(monkeypatch, capsys, more):
    monkeypatch.setattr(sys, "stdout", Broken(OSError(28, "No space left on device")))
    assert main([*QUICK, *more, "--name", "a"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert {"metrics.csv", "manifest.json", "plot.png"} <= {path.name for path in Path("runs/a").iterdir()}


@pytest.mark.slow
def test_an_ascii_terminal_shows_a_comparison():
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = start(
        *QUICK, *COMPARED, "--name", "a", stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=locale
    )
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, b"")
    assert b">= " in out  # what is only a bound is shown as one
    assert b"+-" in out
    assert b"saved in runs/a: curves.csv, manifest.json, metrics.csv, plot.pdf, plot.png, rounds.csv" in out


THREE = """
import os, sys
import radioopt.cli, learning, sklearn.datasets, sklearn.model_selection, torch, matplotlib.figure

for _ in range(3):
    if os.fork() == 0:  # begun at once: what takes seconds to import is there
        try:
            code = radioopt.cli.main(sys.argv[1:])
        except BaseException as error:
            code = repr(error)
        os.write(2, f"{code} ".encode())  # whole: what is printed in two pieces may mix with another's
        os._exit(0)
for _ in range(3):
    os.wait()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_three_runs_begun_in_one_second_are_three_runs():
    arguments = [*QUICK, "--rounds", "2", "--seed", "0"]
    done = subprocess.run(
        [sys.executable, "-c", THREE, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=300,
        check=True,
    )
    assert done.stderr.split() == [b"0"] * 3
    assert len(list(Path("runs").glob("*/manifest.json"))) == 3


def test_a_run_that_is_being_written_is_refused_with_what_to_do(capsys):
    assert main([*QUICK, "--rounds", "2", "--name", "a"]) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in Path("runs/a").iterdir()}
    with locked("runs/a/lock", "run"):
        assert main(["train", "--resume", "runs/a", "--rounds", "4"]) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"radioopt: run runs/a is being written by process {os.getpid()}, since ")
        assert "wait until it ends, or end it; then the same goes on" in told
    assert {path: path.read_bytes() for path in Path("runs/a").iterdir()} == before
    assert main(["train", "--resume", "runs/a", "--rounds", "4"]) == 0


def test_a_second_command_does_not_remove_the_folder_of_the_first(capsys, monkeypatch):
    train, command = learning.train, [*QUICK, "--rounds", "2", "--name", "a"]

    def beside(*given, **options):
        assert main(command) == 2  # the first has kept nothing yet
        assert "is being written by process" in capsys.readouterr().err
        return train(*given, **options)

    monkeypatch.setattr(learning, "train", beside)
    assert main(command) == 0
    assert Path("runs/a/manifest.json").exists()
