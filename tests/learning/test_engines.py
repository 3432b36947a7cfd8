"""Engines: all devices at once is device by device, to rounding, with the same batches."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from learning import time_engines
from learning.local.batches import Batches, epochs, iterations
from learning.local.losses import distillation
from learning.local.train import choose_engine, train_devices
from learning.models import build as models
from learning.models.weights import average, stack
from radioopt import OptionError, ProblemError

SIZES = [3, 1, 13, 7, 4]


def parts_of(sizes):
    return np.split(np.random.default_rng(5).permutation(sum(sizes)), np.cumsum(sizes)[:-1])


def rngs(devices, seed=0):
    """A generator for each device."""
    return [np.random.default_rng([seed, device]) for device, _ in enumerate(devices)]


def samples_of(count, classes=4, shape=(1, 8, 8), seed=1):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(count, *shape))), torch.from_numpy(
        rng.integers(0, classes, count)
    )


def model_of(model, classes=4):
    return models.build(model, (1, 8, 8), classes, np.random.default_rng(2)).double()


def start_of(model, count):
    """Different weights on every device, with the buffers."""
    held = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    noise = torch.Generator().manual_seed(3)
    return {
        name: value.detach() + 0.1 * torch.randn(value.shape, generator=noise, dtype=value.dtype)
        if value.is_floating_point() and value.requires_grad
        else value
        for name, value in stack(held, count).items()
    }


def with_layer(layer):
    return lambda shape, classes: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 6), layer, nn.ReLU(), nn.Linear(6, classes)
    )


def assert_equal(one, other, rtol=1e-9):
    assert one.parameters.keys() == other.parameters.keys()
    for name, value in one.parameters.items():
        torch.testing.assert_close(value, other.parameters[name], rtol=rtol, atol=1e-12)
        assert not value.requires_grad
    for field in ("loss", "samples", "output", "output_count"):
        mine, its = getattr(one, field), getattr(other, field)
        if mine is None:
            assert its is None
        else:
            torch.testing.assert_close(mine, its, rtol=rtol, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("model", ["softmax", "mlp", "cnn"])
@pytest.mark.parametrize("batchsize", [1, 4, [3, 0, 13, 5, 2]])
@pytest.mark.parametrize("draw", [epochs, iterations])
@pytest.mark.parametrize("proximal", [0.0, 0.7])
def test_stacked_equals_plain(model, batchsize, draw, proximal):
    made, parts = model_of(model), parts_of(SIZES)
    start = start_of(made, 5)
    batches = draw(parts, batchsize, 2, rngs(parts))
    table = torch.rand(5, 4, 4, dtype=torch.float64).softmax(2)
    table[:, 2] = math.nan
    options = {"learning_rate": 0.1, "proximal": proximal, "loss": distillation(table, 0.5), "collect": True}
    kept = {name: value.clone() for name, value in start.items()}
    results = [
        train_devices(made, samples_of(28), start, batches, engine=engine, **options)
        for engine in ("stacked", "plain")
    ]
    assert_equal(*results)
    assert all(torch.equal(kept[name], value) for name, value in start.items())
    rests = np.broadcast_to(batchsize, 5) == 0
    for device in range(5):
        same = all(torch.equal(v[device], start[n][device]) for n, v in results[0].parameters.items())
        assert same == rests[device]


def test_the_order_of_weights_in_memory_stays_inside_the_engine():
    # a checkpoint does not keep it, and another order rounds differently
    made, batches = model_of("mlp"), iterations(parts_of(SIZES), 2, 3, rngs(SIZES))
    trained = train_devices(
        made, samples_of(28), start_of(made, 5), batches, learning_rate=0.1, engine="stacked"
    )
    assert all(value.is_contiguous() for value in trained.parameters.values())


class Strides(nn.Module):
    """Gradients transposed, permuted, of stride zero, of a single number, of none at all, or now and then."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale, self.one = nn.Linear(64, 5), nn.Parameter(torch.tensor(1.3)), nn.Linear(5, 1)
        self.summed, self.idle = nn.Parameter(torch.randn(3, 5)), nn.Parameter(torch.randn(3, 2))
        self.turned, self.wide = nn.Parameter(torch.randn(2, 4, 3)), nn.Parameter(torch.randn(64, 4) / 9)

    def forward(self, x):
        hidden = (self.layer(x.flatten(1)) * self.scale).tanh()
        outputs = (
            self.one(hidden) * torch.arange(4) + self.summed.sum() + self.turned.permute(1, 2, 0).sum((1, 2))
        )
        return outputs + x.flatten(1) @ self.wide if len(x) > 1 else outputs


@pytest.mark.parametrize("widths", [[1, 7, 2], [7, 1, 7]])
@pytest.mark.parametrize("proximal", [0.0, 0.7])
def test_gradients_may_lie_in_memory_in_any_way_and_differently_at_each_step(widths, proximal):
    torch.manual_seed(0)
    made, (x, y) = Strides().double(), samples_of(40)
    start = start_of(made, 3)
    size = torch.tensor(widths)[:, None].repeat(1, 3)
    size[:, 0], size[2:, 1] = 0, 0  # one rests, one drops out
    batches = Batches(torch.randint(40, (3, 3, 7)), size)
    stacked, plain = (
        train_devices(
            made, (x, y), start, batches, learning_rate=0.1, proximal=proximal, collect=True, engine=engine
        )
        for engine in ("stacked", "plain")
    )
    assert_equal(stacked, plain)
    for name, value in stacked.parameters.items():
        assert value.is_contiguous()
        assert value.untyped_storage().data_ptr() != start[name].untyped_storage().data_ptr()
        assert torch.equal(value[0], start[name][0])


@settings(max_examples=15, deadline=None)
@given(
    held=st.lists(st.integers(1, 7), min_size=1, max_size=6),
    steps=st.integers(1, 4),
    data=st.data(),
    draw=st.sampled_from([epochs, iterations]),
)
def test_engines_agree_whatever_the_devices_hold(held, steps, data, draw):
    made, parts = model_of("softmax"), parts_of(held)
    batchsize = data.draw(st.lists(st.integers(0, 8), min_size=len(held), max_size=len(held)))
    batches = draw(parts, batchsize, steps, rngs(parts, steps))
    results = [
        train_devices(
            made,
            samples_of(sum(held)),
            start_of(made, len(held)),
            batches,
            learning_rate=0.3,
            proximal=0.1,
            collect=True,
            engine=engine,
        )
        for engine in ("stacked", "plain")
    ]
    assert_equal(*results)


def test_one_device_is_torchs_own_gradient_descent():
    made = model_of("cnn")
    batches = epochs([np.arange(12)], 4, 2, rngs(range(1)))
    x, y = samples_of(12)
    trained = train_devices(made, (x, y), start_of(made, 1), batches, learning_rate=0.2, engine="stacked")
    ours = copy.deepcopy(made)
    ours.load_state_dict({name: value[0] for name, value in start_of(made, 1).items()})
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.2)
    for rows in batches.index[:, 0]:
        optimizer.zero_grad()
        functional.cross_entropy(ours(x[rows]), y[rows]).backward()
        optimizer.step()
    for name, value in ours.named_parameters():
        torch.testing.assert_close(trained.parameters[name][0], value.detach(), rtol=1e-10, atol=1e-13)


def test_the_proximal_term_is_the_gradient_of_a_squared_distance():
    made, (x, y) = model_of("mlp"), samples_of(10)
    start = start_of(made, 1)
    batches = epochs([np.arange(10)], 10, 3, rngs(range(1)))
    trained = train_devices(made, (x, y), start, batches, learning_rate=0.2, proximal=0.9, engine="stacked")
    ours = copy.deepcopy(made)
    ours.load_state_dict({name: value[0] for name, value in start.items()})
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.2)
    for rows in batches.index[:, 0]:
        optimizer.zero_grad()
        distance = sum(((value - start[name][0]) ** 2).sum() for name, value in ours.named_parameters())
        (functional.cross_entropy(ours(x[rows]), y[rows]) + 0.45 * distance).backward()
        optimizer.step()
    for name, value in ours.named_parameters():
        torch.testing.assert_close(trained.parameters[name][0], value.detach(), rtol=1e-10, atol=1e-13)


def test_outputs_are_means_per_label_of_what_was_trained_with():
    made, (x, y) = model_of("softmax"), samples_of(9)
    start = start_of(made, 2)
    batches = epochs([np.arange(6), np.arange(6, 9)], 6, 1, rngs(range(2)))
    trained = train_devices(made, (x, y), start, batches, learning_rate=0.2, collect=True, engine="stacked")
    for device, rows in enumerate((range(6), range(6, 9))):
        held = {name: value[device] for name, value in start.items()}
        outputs = torch.func.functional_call(made, held, (x[list(rows)],)).softmax(1).detach()
        for label in range(4):
            mine = y[list(rows)] == label
            assert trained.output_count[device, label] == mine.sum()
            if mine.any():
                torch.testing.assert_close(trained.output[device, label], outputs[mine].mean(0))
            else:
                assert trained.output[device, label].isnan().all()


@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 4)])
def test_distillation_adds_the_cross_entropy_with_the_target_of_the_label(shape):
    target = torch.rand(shape, dtype=torch.float64).softmax(-1)
    target[..., 1, :] = math.nan
    logits, y = torch.randn(7, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0, 2, 1])
    device = torch.tensor([0, 0, 1, 1, 2, 2, 2])
    losses = distillation(target, 0.3)(logits, y, device)
    for i in range(7):
        goal = target[y[i]] if len(shape) == 2 else target[device[i], y[i]]
        extra = 0.0 if y[i] == 1 else -float((goal * logits[i].log_softmax(0)).sum())
        expected = float(functional.cross_entropy(logits[i], y[i])) + 0.3 * extra
        assert float(losses[i]) == pytest.approx(expected, rel=1e-12)
    hard = distillation(target, 0.3)(logits, functional.one_hot(y, 4).double(), device)
    torch.testing.assert_close(hard, losses)
    soft = 0.25 * functional.one_hot(y, 4).double() + 0.75 * functional.one_hot((y + 2) % 4, 4).double()
    mixed = distillation(target, 0.3)(logits, soft, device)
    other = distillation(target, 0.3)(logits, (y + 2) % 4, device)
    torch.testing.assert_close(mixed, 0.25 * losses + 0.75 * other)


def test_batch_normalisation_keeps_each_devices_own_averages():
    made, parts = model_of(with_layer(nn.BatchNorm1d(6))), parts_of([6, 6, 4, 2])
    start = start_of(made, 4)
    batches = iterations(parts, 2, 3, rngs(parts))
    assert_equal(
        *(
            train_devices(made, samples_of(18), start, batches, learning_rate=0.1, engine=engine)
            for engine in ("stacked", "plain")
        )
    )
    trained = train_devices(made, samples_of(18), start, batches, learning_rate=0.1, engine="stacked")
    assert trained.parameters["2.num_batches_tracked"].tolist() == [3] * 4
    assert len({float(row[0]) for row in trained.parameters["2.running_mean"]}) == 4
    assert int(made[2].num_batches_tracked) == 0
    merged = average(trained.parameters, torch.tensor([1, 1, 0, 0]))
    torch.testing.assert_close(merged["2.running_var"], trained.parameters["2.running_var"][:2].mean(0))
    assert int(merged["2.num_batches_tracked"]) == 3


def test_padding_never_enters_batch_normalisation():
    made, parts = model_of(with_layer(nn.BatchNorm1d(6))), parts_of([6, 3, 4])
    batches = epochs(parts, [3, 3, 4], 1, rngs(parts))
    with pytest.raises(
        ProblemError, match=r"stacked: BatchNorm1d \('2'\) would see the padding.*engine plain"
    ):
        train_devices(made, samples_of(13), start_of(made, 3), batches, learning_rate=0.1, engine="stacked")
    assert choose_engine(made, samples_of(13), batches) == "plain"
    train_devices(made, samples_of(13), start_of(made, 3), batches, learning_rate=0.1)
    with pytest.raises(ProblemError, match=r"a batch of 1 fails on device 0: Expected more than 1 value"):
        train_devices(
            made,
            samples_of(13),
            start_of(made, 3),
            epochs(parts, 1, 1, rngs(parts)),
            learning_rate=0.1,
            engine="plain",
        )


def test_dropout_is_trained_device_by_device_from_the_seed_alone():
    made, parts = model_of(with_layer(nn.Dropout(0.5))), parts_of([6] * 8)
    start, batches = start_of(made, 8), iterations(parts, 2, 3, rngs(parts))
    before = torch.random.get_rng_state()
    with pytest.raises(ProblemError, match=r"Dropout \('2'\) would draw another noise.*engine plain"):
        train_devices(made, samples_of(48), start, batches, learning_rate=0.1, engine="stacked")
    first, same, other = (
        train_devices(made, samples_of(48), start, batches, learning_rate=0.1, seeds=seeds).parameters
        for seeds in (range(1, 9), range(1, 9), range(2, 10))
    )
    assert torch.equal(first["1.weight"], same["1.weight"])
    fewer = Batches(batches.index, batches.size.clone())
    fewer.size[:, 0] = 0
    trained = train_devices(
        made, samples_of(48), start, fewer, learning_rate=0.1, seeds=range(1, 9)
    ).parameters
    assert torch.equal(trained["1.weight"][0], start["1.weight"][0])
    assert torch.equal(trained["1.weight"][1:], first["1.weight"][1:])
    for device in range(8):
        assert not torch.equal(first["1.weight"][device], other["1.weight"][device])
    turned = torch.arange(
        7, -1, -1
    )  # a device's noise is its own, whoever else is there and in whatever order
    others = Batches(batches.index[:, turned[:3]], batches.size[:, turned[:3]])
    few = {name: value[turned[:3]] for name, value in start.items()}
    trained = train_devices(made, samples_of(48), few, others, learning_rate=0.1, seeds=[8, 7, 6]).parameters
    assert torch.equal(trained["1.weight"], first["1.weight"][turned[:3]])
    assert torch.equal(before, torch.random.get_rng_state())


class Recurrent(nn.Module):
    """Torch has no vectorised LSTM."""

    def __init__(self, classes):
        super().__init__()
        self.cell, self.head = nn.LSTM(8, 5, batch_first=True), nn.Linear(5, classes)

    def forward(self, x):
        return self.head(self.cell(x.squeeze(1))[0][:, -1])


class Tied(nn.Module):
    """Two layers share their weights."""

    def __init__(self, classes):
        super().__init__()
        self.one, self.two, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, classes)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.head(self.two(self.one(x.flatten(1)).relu()).relu())


def odd_layers(classes):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.InstanceNorm2d(4, track_running_stats=True),
        nn.GroupNorm(2, 4),
        nn.ReLU(inplace=True),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.LayerNorm(64),
        nn.Linear(64, classes),
    )


@pytest.mark.parametrize("builder", [Tied, odd_layers])
def test_other_layers_are_stacked_too(builder):
    torch.manual_seed(0)
    made, parts = builder(4).double(), parts_of([4] * 6)
    batches = epochs(parts, 2, 2, rngs(parts))
    assert choose_engine(made, samples_of(24), batches) == "stacked"
    assert_equal(
        *(
            train_devices(made, samples_of(24), start_of(made, 6), batches, learning_rate=0.1, engine=engine)
            for engine in ("stacked", "plain")
        )
    )


def test_a_model_that_torch_cannot_stack_is_trained_device_by_device():
    made, parts = Recurrent(4).double(), parts_of([4] * 6)
    start, batches = start_of(made, 6), epochs(parts, 2, 1, rngs(parts))
    assert choose_engine(made, samples_of(24), batches) == "plain"
    trained = train_devices(made, samples_of(24), start, batches, learning_rate=0.1)
    assert not torch.equal(trained.parameters["head.weight"], start["head.weight"])
    with pytest.raises(
        ProblemError, match=r"torch cannot stack this model \(Batching rule not impl.*engine plain"
    ):
        train_devices(made, samples_of(24), start, batches, learning_rate=0.1, engine="stacked")


def test_frozen_weights_stay_and_are_not_part_of_the_result():
    made = model_of("mlp")
    made[1].requires_grad_(False)
    start = stack({n: v.detach() for n, v in made.named_parameters() if v.requires_grad}, 3)
    batches = iterations(parts_of([4, 4, 4]), 2, 3, rngs([4, 4, 4]))
    one, other = (
        train_devices(made, samples_of(12), start, batches, learning_rate=0.1, engine=engine)
        for engine in ("stacked", "plain")
    )
    assert_equal(one, other)
    assert list(one.parameters) == ["3.weight", "3.bias"]


def test_many_small_models_are_stacked_and_few_or_large_ones_are_not():
    def choice(model, devices, batchsize):
        parts = parts_of([128] * devices)
        batches = iterations(parts, batchsize, 1, rngs(parts))
        return choose_engine(model_of(model), samples_of(128 * devices), batches)

    assert choice("mlp", 50, 10) == "stacked"
    assert choice("mlp", 3, 10) == "plain"
    assert choice("cnn", 50, 10) == "stacked"
    assert choice("cnn", 50, 128) == "plain"


@pytest.mark.slow
def test_fifty_small_models_train_at_least_three_times_as_fast_at_once():
    times = time_engines("mlp", devices=[50], batchsizes=[1, 10], steps=5, repeats=10)
    assert (times["speedup"] > 3).all()
    assert times["chosen"].tolist() == ["stacked", "stacked"]


def test_engines_that_cannot_train_a_model_have_no_time():
    times = time_engines(with_layer(nn.Dropout(0.5)), devices=[7], batchsizes=[2], steps=1, repeats=1)
    assert math.isnan(times["stacked_ms"].item())
    assert times["chosen"].tolist() == ["plain"]


def test_averages_ignore_devices_of_weight_zero():
    stacked = {"w": torch.tensor([[1.0, 2.0], [3.0, 6.0], [math.nan, math.inf]])}
    torch.testing.assert_close(average(stacked, torch.tensor([3.0, 1.0, 0.0]))["w"], torch.tensor([1.5, 3.0]))


def test_padding_is_never_anothers_sample_and_steps_of_nobody_change_nothing():
    parts = parts_of([3, 1, 5])
    for draw in (epochs, iterations):
        drawn = draw(parts, [2, 1, 4], 2, rngs(parts))
        for device, part in enumerate(parts):
            assert set(drawn.index[:, device].flatten().tolist()) <= set(part.tolist())
    made, start = model_of("softmax"), start_of(model_of("softmax"), 3)
    idle = torch.zeros(2, 3, dtype=torch.int64)
    gaps = Batches(
        torch.cat([drawn.index[:1], drawn.index, drawn.index[:1]]),
        torch.cat([idle[:1], drawn.size, idle[:1]]),
    )
    for engine in ("stacked", "plain"):
        one, other = (
            train_devices(made, samples_of(9), start, batches, learning_rate=0.1, engine=engine)
            for batches in (drawn, gaps)
        )
        assert_equal(one, other, rtol=0)


def test_wrong_requests_are_refused():
    made = model_of("softmax")
    batches = iterations([np.arange(3)], 1, 1, rngs(range(1)))
    x, y = samples_of(3)
    with pytest.raises(OptionError, match=r"unknown engine 'fast', choose from auto, stacked, plain"):
        train_devices(made, (x, y), start_of(made, 1), batches, learning_rate=0.1, engine="fast")
    soft = functional.one_hot(y, 4).double()
    with pytest.raises(ProblemError, match=r"collect: .*labels must be whole numbers"):
        train_devices(made, (x, soft), start_of(made, 1), batches, learning_rate=0.1, collect=True)
    for wrong in (-1, 1.5, [1, 1]):
        with pytest.raises(ProblemError, match=r"batch sizes: expected 1 whole numbers >= 0 or a single one"):
            iterations([np.arange(3)], wrong, 1, rngs(range(1)))
    with pytest.raises(OptionError, match=r"epochs: expected a whole number >= 1, got 0"):
        epochs([np.arange(3)], 1, 0, rngs(range(1)))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6),
    weights=st.data(),
)
def test_an_average_lies_between_the_devices_and_does_not_depend_on_their_order(rows, weights):
    given_ = weights.draw(st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows)))
    if not any(given_):
        given_[0] = 1
    values, share = torch.tensor(rows, dtype=torch.float64), torch.tensor(given_)
    mean = float(average({"w": values}, share)["w"])
    counted = [value for value, weight in zip(rows, given_, strict=True) if weight]
    assert min(counted) - 1e-9 <= mean <= max(counted) + 1e-9
    turned = float(average({"w": values.flip(0)}, share.flip(0))["w"])
    assert turned == pytest.approx(mean, rel=1e-12, abs=1e-9)
    assert mean == pytest.approx(np.average(rows, weights=given_), rel=1e-12, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(held=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=st.integers(0, 99), data=st.data())
def test_the_samples_of_a_batch_differ_and_are_the_devices_own(held, seed, data):
    parts = parts_of(held)
    batchsize = data.draw(st.lists(st.integers(0, 12), min_size=len(held), max_size=len(held)))
    for draw in (epochs, iterations):
        drawn = draw(parts, batchsize, 3, rngs(parts, seed))
        for device, part in enumerate(parts):
            for row, size in zip(drawn.index[:, device], drawn.size[:, device].tolist(), strict=True):
                batch = row[:size].tolist()
                assert len(set(batch)) == size <= min(batchsize[device], len(part))
                assert set(batch) <= set(part.tolist())


@pytest.mark.parametrize("batchsize", [1, 4, [40, 1, 2, 100, 3]])
def test_an_epoch_uses_every_sample_once(batchsize):
    parts = parts_of(SIZES)
    batches = epochs(parts, batchsize, 3, rngs(parts))
    assert batches.samples.tolist() == [3 * size for size in SIZES]
    for device, part in enumerate(parts):
        used = [
            row[:size].tolist()
            for row, size in zip(batches.index[:, device], batches.size[:, device], strict=True)
        ]
        flat = np.array([i for rows in used for i in rows]).reshape(3, -1)
        np.testing.assert_array_equal(np.sort(flat, axis=1), np.tile(np.sort(part), (3, 1)))
        if len(part) > 10:
            assert not np.array_equal(flat[0], flat[1])


def test_every_set_of_samples_is_equally_likely_in_an_iteration():
    parts = [np.array([7, 8, 9, 10]), np.array([3])]
    batches = iterations(parts, 2, 6000, rngs(parts))
    assert (batches.size == torch.tensor([2, 1])).all()
    assert (batches.index[:, 1, 0] == 3).all()
    sets, counts = np.unique(np.sort(batches.index[:, 0].numpy(), axis=1), axis=0, return_counts=True)
    assert len(sets) == 6
    assert np.abs(counts - 1000).max() < 5 * math.sqrt(1000)
