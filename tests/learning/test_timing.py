"""Timing a model on this machine: what is timed, how often, and what comes out. No time is compared with another."""

import tomllib

import numpy as np
import pytest
import torch
from torch import nn

import learning
from learning.local import timing
from radioopt import OptionError, ProblemError
from radioopt.feel import BatchsizeProblem, LossDecay

QUICK = {"batchsizes": (1, 8, 64, 256), "repeats": 2, "progress": False}


@pytest.fixture
def clock(monkeypatch):
    """A clock on which a gradient takes 1 s and 0.1 s more per sample above ten, and an update half a second."""
    now = [0.0]

    class Clocked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            now[0] += 1.0 + 0.1 * max(len(x) - 10, 0)
            return self.layer(x)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return Clocked()


def test_the_function_that_a_clock_shows_is_found(clock):
    times = learning.time_training(clock, (4,), 3, batchsizes=[1, 5, 10, 20, 40, 80], repeats=3)
    found = times.training_time
    assert found.to_dict() == pytest.approx(
        {"base_time_s": 1.0, "seconds_per_sample": 0.1, "threshold_batchsize": 10.0}, rel=1e-6
    )
    assert found.warnings() == []
    assert times.num_parameters == 15


def test_every_size_is_timed_after_a_warm_up():
    seen = []

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            if torch.is_grad_enabled():
                seen.append(len(x))
                assert torch.get_num_threads() == 2
            return self.layer(x)

    threads = torch.get_num_threads()
    learning.time_training(Counting(), (4,), 3, batchsizes=[4, 2, 8, 8], repeats=5, threads=2)
    assert torch.get_num_threads() == threads
    assert sorted(seen) == sorted([2, 4, 8] * (5 + timing.WARM_UP))
    assert len({tuple(seen[i : i + 3]) for i in range(0, len(seen), 3)}) > 1  # not always in the same order


@pytest.mark.parametrize("model", ["softmax", "mlp", "cnn"])
def test_models_of_learning_can_be_timed(model):
    times = learning.time_training(model, **QUICK)
    assert times.update_time_s > 0
    assert "medians of 2" in str(times)
    assert f"update of {times.num_parameters} parameters" in str(times)
    numbers = tomllib.loads(times.to_toml())
    assert numbers == pytest.approx(times.to_dict(), rel=1e-5)
    problem = BatchsizeProblem.gpu(
        **times.to_dict(),
        payload_bits=1e5,
        uplink_rate_bps=[1e7, 2e7],
        downlink_rate_bps=1e7,
        max_batchsize=128,
    )
    assert problem.solve().status.ok


def test_a_model_in_double_precision_can_be_timed():
    times = learning.time_training(nn.Linear(4, 3).double(), (4,), 3, **QUICK)
    assert times.update_time_s > 0


def test_a_module_stays_as_it_is():
    model = nn.Linear(4, 3).eval()
    before = model.weight.detach().clone()
    learning.time_training(model, (4,), 3, **QUICK)
    assert torch.equal(model.weight, before)
    assert model.weight.grad is None
    assert not model.training


def test_the_loss_decay_of_a_run_comes_from_its_ledger(cell):
    frame = learning.train(cell, rounds=12, seed=1, progress=False).to_frame()
    found = LossDecay.fit(frame["batchsize"].iloc[1:], -frame["test_loss"].diff().iloc[1:])
    lost = frame["test_loss"].iloc[0] - frame["test_loss"].iloc[-1]
    predicted = found.loss_decay * np.sqrt(frame["batchsize"].iloc[1:]).sum()
    assert predicted == pytest.approx(lost, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batchsizes": [1, 2]}, r"batchsizes: expected at least 3 different ones, got \[1, 2\]"),
        ({"batchsizes": [1, 2, 0]}, r"batchsizes: expected a whole number >= 1, got 0"),
        ({"repeats": 0}, "repeats: expected a whole number >= 1, got 0"),
        ({"threads": 1.5}, "threads: expected a whole number >= 1, got 1.5"),
        ({"device": "tpu"}, "unknown device 'tpu', choose from cpu, cuda"),
        ({"model": "resnet"}, "unknown model 'resnet', choose from softmax, mlp, cnn"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        learning.time_training(**QUICK | options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_gpu_that_is_not_there_is_said():
    with pytest.raises(OptionError, match="device 'cuda': torch finds none on this machine: choose cpu"):
        learning.time_training(device="cuda")


def test_a_batch_that_fails_is_named():
    normalised = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    with pytest.raises(ProblemError, match=r"time_training: a batch of 1 fails: Expected more than 1 value"):
        learning.time_training(normalised, **QUICK)
