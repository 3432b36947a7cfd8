"""Threads, forked and other processes, torch's modes: the numbers of a run alone, and torch as it was."""

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from learning import compare, iterations, time_engines, time_training, train, train_devices
from learning.local.globals import torch_threads
from learning.models.weights import stack
from radioopt import OptionError

OPTIONS = {"data": "digits@300+100", "rounds": 2, "progress": False}


def noisy(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5), nn.Linear(16, classes))


def accuracies(result):
    return [entry.test_accuracy for entry in result.ledger.entries] + [result.ledger.loss]


@pytest.fixture
def user_torch():
    """Restore what a test sets in torch, as a user would."""
    kind = torch.get_default_dtype()
    yield
    torch.set_default_dtype(kind)
    torch.set_default_device(None)


MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
}


@pytest.fixture(params=MODES)
def mode(request, user_torch):
    """A mode of torch's that is on while a test runs."""
    made = MODES[request.param]()
    if made is None:
        yield request.param
    else:
        with made:
            yield request.param


@pytest.fixture(scope="module")
def plain(cell):
    return {scheme: accuracies(train(cell, scheme=scheme, **OPTIONS)) for scheme in ("feel", "fedavg")}


@pytest.mark.parametrize("scheme", ["feel", "fedavg"])
def test_a_run_gives_the_same_whatever_is_set_in_torch(cell, plain, mode, scheme):
    before = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    place = torch.get_default_device()
    result = train(cell, scheme=scheme, **OPTIONS)
    assert accuracies(result) == plain[scheme]
    model = result.model()
    assert (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    ) == before
    assert torch.get_default_device() == place
    weight = next(model.parameters())
    assert (weight.dtype, weight.device.type, weight.is_inference()) == (torch.float32, "cpu", False)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        model(torch.zeros(1, 1, 8, 8, device="cpu", dtype=torch.float32)).sum().backward()
    assert weight.grad is not None


def test_times_and_single_steps_are_had_whatever_is_set_in_torch(mode):
    assert time_training("softmax", batchsizes=[1, 8, 64], repeats=2, progress=False).num_parameters == 650
    assert time_engines("softmax", devices=[5], batchsizes=[1], steps=2, repeats=1)["plain_ms"].notna().all()
    with torch.device("cpu"), torch.inference_mode(False):
        model = nn.Linear(2, 2, dtype=torch.float32)
        start = stack({name: torch.zeros_like(value) for name, value in model.named_parameters()}, 6)
        samples = torch.eye(2, dtype=torch.float32), torch.tensor([0, 1])
    drawn = iterations([np.array([0, 1])] * 6, 2, 3, [np.random.default_rng(k) for k in range(6)])
    for engine in ("plain", "stacked"):
        trained = train_devices(model, samples, start, drawn, learning_rate=1.0, engine=engine)
        weight = trained.parameters["weight"]
        assert weight.dtype == torch.float32
        assert weight[0, 0, 0] > 0.4
        assert not weight.is_inference()


def test_threads_train_as_alone_and_leave_torch_alone(cell):
    def run(seed):
        return accuracies(train(cell, scheme="fedavg", model=noisy, seed=seed, **OPTIONS))

    torch.manual_seed(5)
    before = torch.get_rng_state()
    alone = [run(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, range(3))) == alone
    assert torch.equal(torch.get_rng_state(), before)


def seen_in_a_new_thread(read):
    found = []
    thread = threading.Thread(target=lambda: found.append(read()), daemon=True)
    thread.start()
    thread.join(60)
    return found[0]


@pytest.mark.parametrize("first_out", [0, 1])
def test_overlapping_trainings_leave_threads_and_number_type_as_they_were(cell, user_torch, first_out):
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    begun = [threading.Event() for _ in range(2)]
    go = [threading.Event() for _ in range(2)]
    after = {}

    def run(number):
        def hold(round, entry, ledger):
            begun[number].set()
            assert go[number].wait(60)
            assert torch.get_default_dtype() == torch.float32
            assert torch.get_num_threads() == 1

        train(cell, callbacks=[hold], **OPTIONS | {"rounds": 1})
        after[number] = torch.get_num_threads()

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(2)]
    for number, thread in enumerate(threads):
        thread.start()
        assert begun[number].wait(60)
    for number in (first_out, 1 - first_out):
        go[number].set()
        threads[number].join(60)
    assert after == {0: 2, 1: 2}
    assert torch.get_default_dtype() == torch.float64
    assert torch.get_num_threads() == seen_in_a_new_thread(torch.get_num_threads) == 2
    torch.set_num_threads(1)


def test_blocks_within_blocks_restore_their_own():
    torch.set_num_threads(2)
    with torch_threads(1):
        with torch_threads(3):
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def child(cell, seed):
    """Train in a process of a pool."""
    return accuracies(train(cell, seed=seed, **OPTIONS))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_trains_after_its_parent_did(cell):
    torch.set_num_threads(2)
    torch.ones(2000, 2000).exp().sum()  # torch's own threads are there
    alone = [child(cell, seed) for seed in range(2)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.starmap_async(child, [(cell, seed) for seed in range(2)]).get(60) == alone
    torch.set_num_threads(1)


def test_a_process_that_cannot_use_the_gpu_of_its_parent_says_so(cell, monkeypatch):
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with pytest.raises(OptionError, match=r"forked after a GPU was used .*start processes by spawn"):
        train(cell, **OPTIONS)


def other_processes():
    return [name for name in multiprocessing.get_all_start_methods() if name != "fork"]


@pytest.mark.slow
@pytest.mark.parametrize("method", [*other_processes(), "loky"])
def test_other_processes_train_as_this_one(cell, method):
    alone = [child(cell, seed) for seed in range(2)]
    if method == "loky":
        joblib = pytest.importorskip("joblib")
        assert joblib.Parallel(2)(joblib.delayed(child)(cell, seed) for seed in range(2)) == alone
        return
    with multiprocessing.get_context(method).Pool(1) as pool:  # to start another one takes seconds
        found = [pool.apply_async(train, (cell,), OPTIONS | {"seed": seed}) for seed in range(2)]
        assert [accuracies(one.get(300)) for one in found] == alone


@pytest.mark.slow
def test_a_comparison_by_several_processes_is_that_of_one(cell):
    options = {
        **OPTIONS,
        "target_accuracy": 0.9,
        "seconds": 400.0,
        "policies": ["optimal", "full"],
        "seeds": 1,
    }
    alone = compare(cell, **options)
    shared = compare(cell, jobs=2, **options)
    pd.testing.assert_frame_equal(alone.runs, shared.runs)
    for key, curve in alone.curves.items():
        pd.testing.assert_frame_equal(curve, shared.curves[key])


def test_what_cannot_go_to_other_processes_is_refused(cell):
    lock = threading.Lock()
    with pytest.raises(OptionError, match=r"jobs: .*cannot be sent to other processes .*: take jobs=1"):
        compare(
            cell,
            jobs=2,
            target_accuracy=0.9,
            seconds=400.0,
            policies=["full"],
            seeds=2,
            callbacks=[lambda *_: lock and None],
            **OPTIONS,
        )


AFTER_THREADS = """
import os, signal, threading, time, torch, learning.local.globals
net, x = torch.nn.Linear(64, 32), torch.rand(360, 64)
torch.set_num_threads(1)
def work():
    for _ in range(3):
        net(x).sum().backward()
work()
hung = 0
for _ in range(40):
    threads = [threading.Thread(target=work) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    until = time.monotonic() + 20
    while time.monotonic() < until and not (done := os.waitpid(child, os.WNOHANG)[0]):
        time.sleep(0.002)
    if not done:
        os.kill(child, signal.SIGKILL)
        hung += 1
        break
print(hung)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forks_after_training_in_threads_do_not_hang():
    """MKL's buffers of ended threads, and its locks of ending ones, made forked processes wait for ever."""
    done = subprocess.run(
        [sys.executable, "-c", AFTER_THREADS], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "0"
