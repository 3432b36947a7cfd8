"""The trainer that stays beside a node: it answers as one process does, is never left behind, and is replaced."""

import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

import numpy as np
import pytest

from learning.flower import trainer
from learning.flower.letters import Letter
from learning.flower.node import answer
from learning.flower.simulation import read
from learning.flower.told import told

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs sockets that are files")

TOLD = {"scheme": "scaffold", "data": "digits@300+100", "seed": 4, "rounds": 2}


def letter(cell, round, deadline_s=100.0, epochs=1, **numbers):
    setup, _ = read(cell, TOLD | {"epochs": epochs})
    said = {"settings": told(setup, setup.plans()), "round": round, "devices": [1, 2], "received": [0, 0]}
    said |= {"batchsize": [20, 20], "show": False, "deadline_s": deadline_s}
    return Letter(said | numbers)


@pytest.fixture
def owner(monkeypatch, tmp_path):
    """A process with which the trainer ends, as Flower's SuperExec; short paths, since sockets want them."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setattr(os, "getppid", lambda: process.pid)
    yield process
    process.kill()
    process.wait(20)
    shutil.rmtree(trainer._folder(process.pid))


def pid_of(owner):
    return int((trainer._folder(owner.pid) / "pid").read_text())


def ends(pid, seconds=20):
    """Whether a process ends in time; as nobody here waits for it, it may stay as a name without a body."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # as it is to
def test_it_answers_as_one_process_does_stays_is_replaced_and_ends_with_the_node(cell, owner):
    one, here, there = letter(cell, 1), {}, {}
    expected, said = answer(one, here), trainer.ask(one, there)
    assert said.arrays == expected.arrays
    assert there == here
    assert said.numbers["digest"] == expected.numbers["digest"]
    pid = pid_of(owner)

    expected, said = answer(letter(cell, 2), here), trainer.ask(letter(cell, 2), there)
    assert said.arrays == expected.arrays
    assert pid_of(owner) == pid

    with pytest.raises(RuntimeError, match="trainer: KeyError: 'scenario'"):
        trainer.ask(Letter({"settings": "{}", "deadline_s": 10.0}), there)
    assert there == here  # nothing of what devices keep is lost by a mistake

    with pytest.raises(AuthenticationError):
        Client(str(trainer._folder(owner.pid) / "socket"), "AF_UNIX", authkey=b"guessed")

    with pytest.raises(RuntimeError, match="ended in mid-work; the next letter starts another"):
        trainer.ask(letter(cell, 3, deadline_s=0.5, epochs=1_000_000), there)  # hours of work

    assert ends(pid)

    expected, said = answer(letter(cell, 3), here), trainer.ask(letter(cell, 3), there)
    assert said.arrays == expected.arrays
    assert pid_of(owner) != pid
    pid, folder = pid_of(owner), trainer._folder(owner.pid)
    owner.kill()
    owner.wait(20)
    assert ends(pid)
    assert not (folder / "key").exists()


def keyed(owner):
    """Folder of a trainer's socket, with a key."""
    folder = trainer._folder(owner.pid)
    (folder / "key").write_bytes(b"known")
    return folder


def test_a_trainer_that_says_nothing_costs_its_node_the_round_and_no_more(cell, owner, monkeypatch):
    monkeypatch.setattr(trainer, "GRACE_S", 0.3)
    silent = Listener(str(keyed(owner) / "socket"), "AF_UNIX", authkey=b"known")  # accepts nobody
    with pytest.raises(RuntimeError, match=r"trainer: it said nothing within 0.5 s"):
        trainer.ask(Letter({"settings": "{}", "deadline_s": 0.2}), {})
    with suppress(FileNotFoundError):  # who was not waited for may take the socket away to begin anew
        silent.close()


def test_who_has_no_key_or_goes_is_noted_and_a_fault_of_its_own_ends_it(owner, monkeypatch, capsys):
    def broken(letter, memory):
        raise ZeroDivisionError(letter)

    monkeypatch.setattr(trainer, "_answered", broken)
    monkeypatch.setattr(trainer, "_end_with", lambda owner, folder: None)
    folder, ends = keyed(owner), []

    def serve():
        with pytest.raises(ZeroDivisionError, match="a letter"):
            trainer.serve(folder, owner.pid)
        ends.append(True)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    began = time.monotonic()
    while not (folder / "socket").exists() and time.monotonic() - began < 10:
        time.sleep(0.01)
    with pytest.raises(AuthenticationError):
        Client(str(folder / "socket"), "AF_UNIX", authkey=b"guessed")
    Client(str(folder / "socket"), "AF_UNIX", authkey=b"known").close()
    with Client(str(folder / "socket"), "AF_UNIX", authkey=b"known") as line:
        line.send(("a letter", {}))
        thread.join(10)
    assert ends == [True]
    said = capsys.readouterr().err
    assert "trainer: AuthenticationError" in said
    assert "trainer: EOFError" in said


def test_what_flower_starts_for_a_message_imports_neither_torch_nor_numpy():
    code = "import sys, learning.flower.trainer; print(sys.modules.keys() & {'torch', 'numpy', 'numba'})"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "set()"


def test_a_folder_that_others_can_enter_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(trainer.tempfile, "gettempdir", lambda: str(tmp_path))
    own = trainer._folder(1).parent
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o755)
    with pytest.raises(RuntimeError, match="belongs to others or is open to them"):
        trainer._folder(1)


def test_nodes_share_their_trainers_with_nobody(owner):
    folders = {trainer._folder(pid) for pid in (owner.pid, os.getpid())}
    assert len(folders) == 2
    assert np.all([folder.stat().st_mode & 0o077 == 0 for folder in folders])
    trainer._folder(os.getpid()).rmdir()
