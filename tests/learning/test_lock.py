"""Locks: one process at a time writes a run, and a dead one stops nobody."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from learning import begin_run, train
from learning.runs.folder import begin_another
from learning.runs.lock import locked
from radioopt import OptionError

OPTIONS = {"data": "digits@300+100", "model": "softmax", "rounds": 3, "progress": False}
HOLD = """
import sys
from learning.runs.lock import locked
with locked(sys.argv[1], "x"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a lock until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate(timeout=60)


def test_a_lock_names_the_process_that_holds_it(tmp_path, holder):
    with (
        pytest.raises(
            OptionError,
            match=rf"run a is being written by process {holder.pid}, since .*: wait until it ends",
        ),
        locked(tmp_path / "lock", "run a"),
    ):
        pass
    holder.communicate(timeout=60)
    with locked(tmp_path / "lock", "run a"):
        assert (tmp_path / "lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.kill()
    holder.wait(60)
    assert (tmp_path / "lock").exists()  # left behind
    with locked(tmp_path / "lock", "run a"):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()}, since ")
    assert list(tmp_path.iterdir()) == []


def test_threads_of_one_process_lock_each_other_out(tmp_path):
    def take(_):
        try:
            with locked(tmp_path / "lock", "it"):
                held.append(1)
                assert len(held) == 1
                for _ in range(1000):
                    pass
                held.pop()
                return True
        except OptionError:
            return False

    held = []
    with ThreadPoolExecutor(8) as pool:
        assert any(pool.map(take, range(400)))
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_nothing_is_locked(tmp_path):
    with locked(tmp_path / "none" / "lock", "it"):
        pass


def test_two_trainings_on_one_checkpoint_are_refused(cell, tmp_path):
    def again(round, entry, ledger):
        with pytest.raises(
            OptionError, match=rf"checkpoint .*c.npz is being written by process {os.getpid()}"
        ):
            train(cell, checkpoint=path, **OPTIONS)

    path = tmp_path / "c.npz"
    train(cell, checkpoint=path, callbacks=[again], **OPTIONS)
    assert [file.name for file in tmp_path.iterdir()] == ["c.npz"]
    train(cell, checkpoint=path, **OPTIONS | {"rounds": 4})


def test_a_checkpoint_in_no_folder_is_told_as_such(cell, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"checkpoint: folder .*none does not exist: create it"):
        train(cell, checkpoint=tmp_path / "none" / "c.npz", **OPTIONS)


def test_runs_begun_at_once_have_names_of_their_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: begin_another("run", {"seed": seed}, tmp_path), range(8)))
    names = ["run", *(f"run-{number}" for number in range(2, 9))]
    assert sorted(path.name for path in found) == sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_name_begun_at_once_by_several_is_one_run_of_those_with_its_settings(tmp_path):
    def begin(seed):
        try:
            return begin_run("run", {"seed": seed}, tmp_path)
        except OptionError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(begin, [0, 1] * 4))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    taken = [isinstance(one, str) for one in found]
    assert taken.count(True) == 4
    assert all("run is unfinished, with other settings" in one for one in found if isinstance(one, str))


def held_by_child(path, ready, go):
    with locked(path, "it"):
        ready.set()
        go.wait(60)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_locks_its_parent_out(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, go = context.Event(), context.Event()
    child = context.Process(target=held_by_child, args=(tmp_path / "lock", ready, go))
    child.start()
    assert ready.wait(60)
    with pytest.raises(OptionError, match=rf"process {child.pid}"), locked(tmp_path / "lock", "it"):
        pass
    go.set()
    child.join(60)
