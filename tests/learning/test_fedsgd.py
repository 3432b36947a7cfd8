"""FedSGD on one flat batch is FedSGD device by device."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from learning import Crew, Dataset, FedSgd, Order, State, Streams, Task, Turn
from learning.models import build as models
from learning.models.weights import Sums
from learning.schemes.fedsgd import draw_batch
from radioopt import OptionError, ProblemError

SIZES = [3, 1, 40, 17]
ORDER = Order(1, np.array(SIZES), {})


def task(model="mlp", seed=0, dtype=torch.float64):
    """Four devices with unequal amounts of random data, in double precision."""
    rng = np.random.default_rng(seed)
    parts = tuple(np.split(rng.permutation(100), [10, 15, 60]))
    data = Dataset(rng.normal(size=(100, 1, 8, 8)), rng.integers(0, 5, 100), np.zeros((1, 1, 8, 8)), [0], 5)
    made = models.build(model, data.sample_shape, 5, rng).to(dtype)
    return Task(data, parts, made, Streams(seed))


def drawn(job, sizes=SIZES, round=1):
    """Features, labels and devices of the samples of a round."""
    rows, owner = draw_batch(job.cohort(), Order(round, np.array(sizes), {}))
    x, y = job.samples
    return x[rows], y[rows], torch.from_numpy(owner)


def sent(scheme, job):
    """What all devices send in the first round."""
    return scheme.local(scheme.join(job.cohort()), job.cohort(), ORDER)[1]


def combined(scheme, state, message, arrived=(True,) * 4):
    sums = Sums()
    scheme.gather(sums, state, state.task.cohort(), message, ORDER, torch.tensor(arrived))
    return scheme.combine(state, sums, 1)[0]


def device_by_device(job, weights):
    """The weighted sum of the devices' mean gradients with one backward pass each: the oracle of eq. (1)."""
    x, y, owner = drawn(job)
    total = {name: torch.zeros_like(value) for name, value in job.model.named_parameters()}
    for device, weight in enumerate(weights):
        mine = owner == device
        job.model.zero_grad()
        functional.cross_entropy(job.model(x[mine]), y[mine]).backward()
        for name, value in job.model.named_parameters():
            total[name] += weight * value.grad
    return total


@pytest.mark.parametrize("model", ["softmax", "mlp", "cnn"])
@pytest.mark.parametrize("arrived", [(True,) * 4, (True, False, True, False)])
@pytest.mark.parametrize("weights", ["batch", "samples"])
def test_flat_batch_equals_a_loop_over_devices(model, arrived, weights):
    job = task(model)
    scheme = FedSgd(learning_rate=0.3, reference_batch=50, weights=weights)
    before = scheme.begin(job)
    after = combined(scheme, before, sent(scheme, job), arrived)
    here = np.array(arrived)
    shares = here * (SIZES if weights == "batch" else job.sizes)
    average = device_by_device(job, shares / shares.sum())
    total = np.array(SIZES)[here].sum()
    for name, gradient in average.items():
        expected = before.parameters[name] - 0.3 * math.sqrt(total / 50) * gradient
        torch.testing.assert_close(after.parameters[name], expected, rtol=1e-12, atol=1e-13)


def test_any_weights_of_the_devices_equal_the_weighted_sum_of_their_gradients():
    job, weights = task(), torch.tensor([0.4, 0.1, 0.3, 0.2], dtype=torch.float64)
    expected = device_by_device(job, weights.tolist())
    sums = Sums()
    sent(FedSgd(), job).into(sums, weights)
    assert sums.total == pytest.approx(1.0, rel=1e-15)
    for name, value in expected.items():
        torch.testing.assert_close(sums.values[name], value, rtol=1e-12, atol=1e-13)


def test_a_message_is_the_gradient_of_each_device():
    job = task()
    message = sent(FedSgd(), job)
    assert message.numbers(rows=True) == job.num_parameters
    for device, row in enumerate(torch.eye(4).tolist()):
        for name, value in device_by_device(job, row).items():
            torch.testing.assert_close(message.values[name][device], value, rtol=1e-12, atol=1e-13)


class Shared(nn.Module):
    """Gradients of stride zero, and the same gradient for two weights."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 5)
        self.one, self.two = nn.Parameter(torch.ones(3, 4)), nn.Parameter(torch.ones(3, 4))

    def forward(self, x):
        return self.layer(x.flatten(1)) * (self.one + self.two).sum()


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_gradients_may_lie_in_memory_in_any_way(at_once):
    def after(at_once):
        torch.manual_seed(0)
        job = task(Shared())
        state, crew = FedSgd().begin(job), Crew(FedSgd(), job, at_once)
        return FedSgd().round(state, crew, Turn(1, Plan(), Sent())).parameters

    one, other = after(None), after(at_once)
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-12, atol=1e-13)


class Plan:
    batchsize = np.array(SIZES)

    def told(self):
        return {}

    def takes_part(self):
        return None


class Sent:
    arrived = received = np.ones(4, bool)


def test_devices_of_different_weights_are_refused():
    job = task()
    own = {name: value.clone() for name, value in FedSgd().join(job.cohort()).items()}
    with pytest.raises(
        ProblemError, match=r"FedSgd: devices have different weights, as some missed an answer"
    ):
        FedSgd().local(own, job.cohort(), ORDER)


def test_a_hook_leaves_the_state_it_got_as_it_was():
    job = task()
    scheme = FedSgd()
    state = scheme.begin(job)
    kept = {name: value.clone() for name, value in state.parameters.items()}
    combined(scheme, state, sent(scheme, job))
    assert all(torch.equal(kept[name], value) for name, value in state.parameters.items())
    assert all(torch.equal(kept[name], value) for name, value in job.model.named_parameters())


def test_without_any_arrival_the_model_stays():
    scheme, job = FedSgd(), task()
    state = scheme.begin(job)
    after = combined(scheme, state, sent(scheme, job), (False,) * 4)
    assert after.parameters is state.parameters
    assert math.isnan(after.train_loss)


def test_the_loss_reported_is_the_mean_over_the_batch():
    scheme, job = FedSgd(), task()
    after = combined(scheme, scheme.begin(job), sent(scheme, job))
    x, y, _ = drawn(job)
    expected = functional.cross_entropy(job.model(x), y)
    assert after.train_loss == pytest.approx(float(expected.detach()), rel=1e-12)


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
        FedSgd().begin(task(with_layer(nn.BatchNorm1d(64)), dtype=torch.float32))
    with pytest.raises(ProblemError, match=r"Dropout \('1'\) draws one noise.*probability to 0"):
        FedSgd().begin(task(with_layer(nn.Dropout(0.1))))
    assert isinstance(FedSgd().begin(task(with_layer(nn.Dropout(0.0)))), State)
    assert isinstance(FedSgd().begin(task(with_layer(nn.LayerNorm(64)))), State)


@pytest.mark.parametrize("name", ["learning_rate", "reference_batch"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, "fast", True])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(OptionError, match=rf"{name}: expected a number > 0, got"):
        FedSgd(**{name: value})


def test_a_batch_larger_than_what_a_device_holds_is_refused():
    with pytest.raises(ProblemError, match=r"batch of device 1: expected 0 to 5 samples.*got 6"):
        drawn(task(), [1, 6, 1, 1])


def test_a_batch_is_drawn_without_replacement_from_each_device():
    job = task()
    x, _, owner = drawn(job)
    assert torch.bincount(owner).tolist() == SIZES
    for device, part in enumerate(job.parts):
        held = {tuple(row) for row in job.samples[0][part].reshape(len(part), -1).tolist()}
        used = [tuple(row.tolist()) for row in x[owner == device].reshape(SIZES[device], -1)]
        assert len(set(used)) == len(used)
        assert set(used) <= held


def test_smaller_batches_of_paired_runs_are_part_of_larger_ones():
    for number in (1, 2, 3):
        few, _, _ = drawn(task(), [1, 1, 1, 1], number)
        many, _, owner = drawn(task(), SIZES, number)
        first = [int(torch.nonzero(owner == device)[0]) for device in range(4)]
        assert torch.equal(few, many[first])


def test_every_sample_of_a_device_is_equally_likely():
    job = task()
    counts = np.zeros(100)
    for number in range(1, 3001):
        rows, _ = draw_batch(job.cohort(), Order(number, np.array([2, 1, 0, 0]), {}))
        counts[rows] += 1
    for part, each in ((job.parts[0], 600), (job.parts[1], 600)):
        assert np.abs(counts[part] - each).max() < 5 * math.sqrt(each)
