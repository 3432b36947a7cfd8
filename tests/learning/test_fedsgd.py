"""FedSGD on one flat batch is FedSGD device by device."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from learning import Dataset, FedSgd, State, Task
from learning.models import build as models
from learning.radio.link import TdmaLink
from learning.radio.tdma import BatchsizeAllocator
from learning.schemes.fedsgd import weighted_gradient
from radioopt import OptionError, ProblemError, Scenario

SIZES = [3, 1, 40, 17]


def task(model="mlp", seed=0, dtype=torch.float64):
    """Four devices with unequal amounts of random data, in double precision."""
    rng = np.random.default_rng(seed)
    parts = tuple(np.split(rng.permutation(100), [10, 15, 60]))
    data = Dataset(rng.normal(size=(100, 1, 8, 8)), rng.integers(0, 5, 100), np.zeros((1, 1, 8, 8)), [0], 5)
    made = models.build(model, data.sample_shape, 5, rng).to(dtype)
    object.__setattr__(data, "train_x", data.train_x.astype(np.float64))
    return Task(data, parts, made, rng)


class Plan:
    batchsize = np.array(SIZES)


class Sent:
    def __init__(self, *arrived):
        self.arrived = np.array(arrived)


def device_by_device(job, updates_batch, arrived):
    """The server's average of eq. (1) with one backward pass per device: the oracle."""
    total = sum(size for size, here in zip(SIZES, arrived, strict=True) if here)
    average = {name: torch.zeros_like(value) for name, value in job.model.named_parameters()}
    for device, (size, here) in enumerate(zip(SIZES, arrived, strict=True)):
        if not here:
            continue
        mine = updates_batch.owner == device
        job.model.zero_grad()
        functional.cross_entropy(job.model(updates_batch.x[mine]), updates_batch.y[mine]).backward()
        for name, value in job.model.named_parameters():
            average[name] += size / total * value.grad
    return average


@pytest.mark.parametrize("model", ["softmax", "mlp", "cnn"])
@pytest.mark.parametrize("arrived", [(True,) * 4, (True, False, True, False)])
def test_flat_batch_equals_a_loop_over_devices(model, arrived, monkeypatch):
    job = task(model)
    drawn = []
    draw = Task.draw_batch

    def spy(self, sizes):
        drawn.append(draw(self, sizes))
        return drawn[-1]

    monkeypatch.setattr(Task, "draw_batch", spy)
    scheme = FedSgd(learning_rate=0.3, reference_batch=50)
    before = scheme.start(job)
    after = scheme.aggregate(before, scheme.local(before, Plan), Sent(*arrived))
    average = device_by_device(job, drawn[0], arrived)
    total = np.array(SIZES)[np.array(arrived)].sum()
    for name, gradient in average.items():
        expected = before.parameters[name] - 0.3 * math.sqrt(total / 50) * gradient
        torch.testing.assert_close(after.parameters[name], expected, rtol=1e-12, atol=1e-13)


def test_any_weights_of_the_devices_equal_the_weighted_sum_of_their_gradients():
    job = task()
    scheme = FedSgd()
    updates = scheme.local(scheme.start(job), Plan)
    weights = torch.tensor([0.4, 0.1, 0.3, 0.2], dtype=torch.float64)
    expected = {name: torch.zeros_like(value) for name, value in updates.parameters.items()}
    for device, weight in enumerate(weights):
        mean = updates.losses[updates.owner == device].mean()
        gradients = torch.autograd.grad(mean, list(updates.parameters.values()), retain_graph=True)
        for name, gradient in zip(expected, gradients, strict=True):
            expected[name] += weight * gradient
    _, gradient = weighted_gradient(updates, weights)
    for name, value in expected.items():
        torch.testing.assert_close(gradient[name], value, rtol=1e-12, atol=1e-13)


def test_a_hook_leaves_the_state_it_got_as_it_was():
    job = task()
    scheme = FedSgd()
    state = scheme.start(job)
    kept = {name: value.clone() for name, value in state.parameters.items()}
    scheme.aggregate(state, scheme.local(state, Plan), Sent(True, True, True, True))
    assert all(torch.equal(kept[name], value) for name, value in state.parameters.items())
    assert all(torch.equal(kept[name], value) for name, value in job.model.named_parameters())


def test_without_any_arrival_the_model_stays():
    scheme = FedSgd()
    state = scheme.start(task())
    after = scheme.aggregate(state, scheme.local(state, Plan), Sent(False, False, False, False))
    assert after.parameters is state.parameters
    assert math.isnan(after.train_loss)


def test_the_loss_reported_is_the_mean_over_the_batch():
    scheme = FedSgd()
    state = scheme.start(task())
    updates = scheme.local(state, Plan)
    after = scheme.aggregate(state, updates, Sent(True, True, True, True))
    assert after.train_loss == pytest.approx(float(updates.losses.detach().mean()), rel=1e-12)


@pytest.mark.parametrize("batch", [12, 100, 1437])
def test_learning_rate_grows_with_the_square_root_of_the_batch(batch):
    scheme = FedSgd(learning_rate=0.2, reference_batch=128)
    assert scheme.rate(4 * batch) == pytest.approx(2 * scheme.rate(batch), rel=1e-15)
    assert scheme.rate(128) == 0.2


def test_layers_that_couple_samples_are_refused():
    def with_layer(layer):
        return lambda shape, classes: nn.Sequential(nn.Flatten(), layer, nn.Linear(64, classes))

    with pytest.raises(
        ProblemError, match=r"BatchNorm1d \('1'\) mixes the samples of all devices.*GroupNorm"
    ):
        FedSgd().start(task(with_layer(nn.BatchNorm1d(64)), dtype=torch.float32))
    with pytest.raises(ProblemError, match=r"Dropout \('1'\) draws one noise.*probability to 0"):
        FedSgd().start(task(with_layer(nn.Dropout(0.1))))
    assert isinstance(FedSgd().start(task(with_layer(nn.Dropout(0.0)))), State)
    assert isinstance(FedSgd().start(task(with_layer(nn.LayerNorm(64)))), State)


@pytest.mark.parametrize("name", ["learning_rate", "reference_batch"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, "fast", True])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(OptionError, match=rf"{name}: expected a number > 0, got"):
        FedSgd(**{name: value})


def test_a_batch_larger_than_what_a_device_holds_is_refused():
    with pytest.raises(ProblemError, match=r"batch of device 1: expected 0 to 5 samples.*got 6"):
        task().draw_batch(np.array([1, 6, 1, 1]))


def test_a_batch_is_drawn_without_replacement_from_each_device():
    job = task()
    batch = job.draw_batch(np.array(SIZES))
    assert torch.bincount(batch.owner).tolist() == SIZES
    for device, part in enumerate(job.parts):
        held = {tuple(row) for row in job.data.train_x[part].reshape(len(part), -1)}
        used = [tuple(row.tolist()) for row in batch.x[batch.owner == device].reshape(SIZES[device], -1)]
        assert len(set(used)) == len(used)
        assert set(used) <= held


def test_smaller_batches_of_paired_runs_are_part_of_larger_ones():
    small, large = task(), task()
    for _ in range(3):
        few, many = small.draw_batch(np.array([1, 1, 1, 1])), large.draw_batch(np.array(SIZES))
        first = [int(torch.nonzero(many.owner == device)[0]) for device in range(4)]
        assert torch.equal(few.x, many.x[first])


def test_every_sample_of_a_device_is_equally_likely():
    job = task()
    counts = np.zeros(100)
    index = {tuple(row): i for i, row in enumerate(job.data.train_x.reshape(100, -1))}
    for _ in range(3000):
        batch = job.draw_batch(np.array([2, 1, 0, 0]))
        for row in batch.x.reshape(3, -1):
            counts[index[tuple(row.tolist())]] += 1
    for part, each in ((job.parts[0], 600), (job.parts[1], 600)):
        assert np.abs(counts[part] - each).max() < 5 * math.sqrt(each)


def test_the_link_takes_the_time_of_the_solution():
    devices = Scenario.load("feel-cpu").draw(seed=3)
    rng = np.random.default_rng(0)
    plan = BatchsizeAllocator("optimal", [100] * 12)(devices, rng)
    sent = TdmaLink().transmit(plan.payload, plan, rng)
    assert sent.seconds == pytest.approx(float(plan.solution.round_latency_s), rel=1e-12)
    assert sent.arrived.all()
