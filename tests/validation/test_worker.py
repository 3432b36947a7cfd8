"""Workers: every answer belongs to its question, whoever asks, from wherever, and whatever interrupts."""

import io
import multiprocessing as mp
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from validation import cross_check, process, worker
from validation.feel import zoo
from validation.reference import Answer, references

PAPER = zoo.named()["paper_cpu"]
PROBLEMS = [PAPER.replace(payload_bits=bits) for bits in (1e6, 2e6, 3e6, 4e6)]
PEER = references("feel")["ipopt"]

pytestmark = pytest.mark.reference
needs_fork = pytest.mark.skipif("fork" not in mp.get_all_start_methods(), reason="no fork here")


@pytest.fixture
def own_workers(monkeypatch):
    """A table of workers of this test alone."""
    monkeypatch.setattr(worker, "_WORKERS", {})
    yield worker._WORKERS
    worker.stop_all()


def test_a_worker_does_not_warn_of_numbers_that_were_meant():
    problem = PAPER.replace(uplink_rate_bps=PAPER.uplink_rate_bps * 1e7, strict=None)
    requests, replies = io.BytesIO(), io.BytesIO()
    worker._write(requests, (1, "feel", "ipopt", problem.to_dict() | problem.settings, 10.0))
    requests.seek(0)
    worker.serve(PEER.modules, requests, replies)
    replies.seek(0)
    assert [worker._read(replies)[1] for _ in range(3)] == ["ready", "ready", "answer"]


def belong(answers):
    """Whether answers are those of the problems, in order."""
    expected = [float(problem.solve().objective) for problem in PROBLEMS]
    return np.allclose([answer.objective for answer in answers], expected, rtol=1e-6)


def ask(problem):
    return worker.ask(PEER, problem, 20.0)


class AlarmError(Exception):
    """What a caller's handler may raise: no error of ours."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_after_an_interruption_the_next_answers_are_their_own(own_workers, monkeypatch):
    def ring(*_):
        raise AlarmError

    cross_check(PROBLEMS[0], ["newton"], ["ipopt"])
    first = own_workers[PEER.modules]
    os.kill(first.process.pid, signal.SIGSTOP)  # it has the question, and does not answer
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(AlarmError):
            cross_check(PROBLEMS[1], ["newton"], ["ipopt"])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert first.process.poll() is not None
    assert belong([ask(problem) for problem in PROBLEMS])


def test_threads_get_the_answers_to_their_own_questions(own_workers):
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert belong(pool.map(ask, PROBLEMS))
    assert len(own_workers) == 1


def test_references_of_all_families_that_need_the_same_packages_share_a_worker(own_workers):
    from validation.dtkd import zoo as dtkd

    ask(PROBLEMS[0])
    one = dtkd.named()["deadlines_problem_3"]
    answer = worker.ask(references("dtkd")["ipopt"], one, 20.0)
    assert [*own_workers] == [PEER.modules]
    assert answer.objective == pytest.approx(float(one.solve().objective), rel=1e-6)


def test_an_answer_to_another_question_is_not_taken(own_workers):
    ask(PROBLEMS[0])
    own_workers[PEER.modules].inbox.put((1, "answer", "an old one"))
    with pytest.raises(worker.WorkerError, match="killed: answered question 1 when asked 2"):
        ask(PROBLEMS[1])
    assert belong([ask(problem) for problem in PROBLEMS])


def report_fork(pipe):
    pipe.send([answer.objective for answer in map(ask, PROBLEMS)])
    worker.stop_all()


@needs_fork
@pytest.mark.parametrize("held", [False, True], ids=["idle", "while a thread asks"])
def test_a_forked_process_has_workers_of_its_own(own_workers, held):
    ask(PROBLEMS[0])
    parents = own_workers[PEER.modules].process
    lock = worker._LOCKS[PEER.modules]
    asking = threading.Thread(target=lambda: lock.acquire() and time.sleep(0.3) is None and lock.release())
    if held:
        asking.start()
        time.sleep(0.05)
    receive, send = mp.Pipe(duplex=False)
    child = mp.get_context("fork").Process(target=report_fork, args=(send,))
    child.start()
    assert receive.poll(30)
    assert np.allclose(receive.recv(), [float(problem.solve().objective) for problem in PROBLEMS], rtol=1e-6)
    child.join(10)
    if held:
        asking.join(60)
    assert parents.poll() is None
    assert own_workers[PEER.modules].process is parents
    assert belong([ask(problem) for problem in PROBLEMS])


def test_files_in_the_callers_folder_do_not_matter(own_workers, tmp_path, monkeypatch):
    for name in ("validation", "random", "queue", "radioopt", "casadi"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a script of the user')\n")
    (tmp_path / "ipopt.opt").write_text("max_iter 0\n")
    monkeypatch.chdir(tmp_path)
    assert belong([ask(problem) for problem in PROBLEMS])


def test_a_worker_that_cannot_start_says_why(own_workers, monkeypatch):
    monkeypatch.setattr(process, "_START", "raise SystemExit('no such luck')")
    table = cross_check(PROBLEMS[0], ["newton"], ["ipopt"])
    assert table.loc["ipopt", "status"] == "crashed: exit code 1: no such luck"
    assert not own_workers


def test_a_large_question_and_a_large_answer_pass(own_workers):
    problem = zoo.random_batch(np.random.default_rng(0), 1, 30_000)[0]
    assert isinstance(ask(PROBLEMS[0]), Answer)
    read, write = os.pipe()
    message = (1, problem.to_dict(), 2.0)
    with os.fdopen(read, "rb", buffering=0) as source, os.fdopen(write, "wb", buffering=0) as target:
        sending = threading.Thread(target=worker._write, args=(target, message), daemon=True)
        sending.start()
        number, fields, limit = worker._read(source)
        sending.join(60)
    assert (number, limit) == (1, 2.0)
    assert problem.replace(**fields) == problem


def test_nothing_is_left_running(tmp_path):
    code = (
        "from validation import worker\nfrom validation.feel import zoo\nfrom validation.reference import references\n"
        "worker.ask(references('feel')['ipopt'], zoo.named()['paper_cpu'], 20.0)\n"
        "print(worker._WORKERS['casadi',].process.pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert not done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


CHECK = """
import multiprocessing as mp, sys
from validation import cross_check
from validation.feel import zoo

def check(bits):
    table = cross_check(zoo.named()["paper_cpu"].replace(payload_bits=bits), ["newton"], ["ipopt"])
    return [value.hex() for value in table["objective"]]

def checked(method, bits):
    if method == "loky":
        from joblib import Parallel, delayed
        return Parallel(2)(delayed(check)(each) for each in bits)
    with mp.get_context(method).Pool(2) as pool:
        return pool.map_async(check, bits).get(120)

if __name__ == "__main__":
    bits = [1e6, 2e6, 3e6]
    found = {method: checked(method, bits) for method in sys.argv[1:]}
    here = [check(each) for each in bits]
    print(*(method for method in found if found[method] == here))
"""


@pytest.mark.slow
def test_processes_of_any_kind_check_as_this_one(tmp_path):
    script, methods = tmp_path / "script.py", [*mp.get_all_start_methods(), "loky"]
    script.write_text(CHECK)
    done = subprocess.run([sys.executable, script, *methods], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == methods
