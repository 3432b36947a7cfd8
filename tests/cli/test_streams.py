"""Whole options only; and output to what cannot show it."""

import os
import subprocess
import sys

import pytest

from radioopt.cli import main


def run(*arguments, **options):
    command = [sys.executable, "-m", "radioopt", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--device", "x.csv"], "unknown option --device; did you mean --devices?"),
        (["--jso"], "unknown option --jso; did you mean --json?"),
        (["--draw=3"], "unknown option --draw; did you mean --draws?"),
    ],
)
def test_options_have_whole_names(capsys, given, message):
    with pytest.raises(SystemExit) as end:
        main(["solve", "feel-cpu", *given])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_terminal_of_ascii_letters():
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = run("methods", env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
def test_a_closed_stdout():
    command = f"{sys.executable} -m radioopt methods >&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "radioopt", "methods"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


def test_new_folders_for_results_and_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["solve", "feel-cpu", "--save", "new/a.json", "--plot", "~/pictures/a.png"]) == 0
    assert (tmp_path / "new" / "a.json").exists()
    assert (tmp_path / "pictures" / "a.png").exists()
