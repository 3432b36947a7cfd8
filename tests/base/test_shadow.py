"""A file of the user's that is called learning.py or validation.py: said by name, and radioopt goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from radioopt import Status
from radioopt.base.shadow import PACKAGES, found_instead

ROOT = Path(__file__).resolve().parents[2]


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""}, text=True,
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("name", PACKAGES)
def test_the_message_says_whose_file_was_found(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("answer = 42\n")
    (tmp_path / "mine.py").write_text("import radioopt\nprint(radioopt.feel.BatchsizeProblem.__name__)\n")
    done = run(tmp_path, "mine.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "BatchsizeProblem\n"
    assert (
        f"import {name} finds {tmp_path / f'{name}.py'}, not radioopt's package of that name" in done.stderr
    )
    assert "rename that file, or run from another folder" in done.stderr


def test_nothing_is_said_without_such_a_file(tmp_path):
    (tmp_path / "learning").mkdir()  # a folder of data is no module
    assert run(tmp_path, "-W", "error", "-c", "import radioopt").stderr == ""
    assert [found_instead(name) for name in PACKAGES] == [None, None]


def test_the_command_says_it_too(tmp_path):
    (tmp_path / "learning.py").write_text("")
    done = run(tmp_path, "-m", "radioopt", "train", "feel-cpu", "--rounds", "1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("rename that file") >= 1


def test_a_status_prints_its_name():
    assert str(Status.NODE_LIMIT) == "NODE_LIMIT"
    assert f"{Status.OPTIMAL}, {Status.OPTIMAL:>9}, {Status.FEASIBLE:d}" == "OPTIMAL,   OPTIMAL, 1"
    assert int(Status.OPTIMAL) == 0
    assert repr(Status.OPTIMAL) == "<Status.OPTIMAL: 0>"
