"""Seed samples: raw, mixed at devices, unmixed across them."""

import numpy as np
import pytest
import torch
from torch import nn

from learning.data.dataset import Dataset
from learning.schemes.mix2fld import Mix2Fld, MixFld
from learning.schemes.seeds import Seeds, histogram, mixed, raw, unmixed
from learning.streams import Streams
from learning.task import Task
from radioopt.base.errors import ProblemError
from radioopt.mix2fld import assigned_labels, grouped, pair_symmetric

LABELS, DEVICES = 10, 10


def task_of(parts=None, per_label=6, devices=DEVICES, labels=LABELS, seed=0):
    """Sample i has the features (label, i), so that what became of it can be told."""
    y = np.tile(np.arange(labels), per_label * devices)
    x = np.stack([y, np.arange(y.size)], -1).astype(np.float32)
    parts = parts or [
        device * per_label * labels + np.arange(per_label * labels) for device in range(devices)
    ]
    data = Dataset(x, y, x[:1], y[:1], num_classes=labels)
    return Task(data, tuple(parts), nn.Linear(2, labels), Streams(seed))


TASK = task_of()
EVERYBODY = TASK.cohort()


def rngs_of(seed, devices=DEVICES):
    return np.random.default_rng(seed).spawn(devices)


def assigned(task, count, size, capacity, seed):
    everybody = np.arange(len(task.parts))
    return assigned_labels(histogram(task, everybody), count, size, capacity, np.random.default_rng(seed))


def same(one, other):
    return (
        torch.equal(one.x, other.x)
        and torch.equal(one.y, other.y)
        and np.array_equal(one.device, other.device)
        and np.array_equal(one.labels, other.labels)
    )


def test_raw_seeds_are_samples_of_their_device_each_once():
    seeds = raw(EVERYBODY, 7, rngs_of(1))
    rows = seeds.x[:, 1].numpy().astype(int)
    assert len(set(rows.tolist())) == len(seeds) == 70
    assert all(row in TASK.parts[device] for row, device in zip(rows, seeds.device, strict=True))
    np.testing.assert_array_equal(seeds.y.argmax(1), TASK.data.train_y[rows])
    np.testing.assert_array_equal(seeds.labels[:, 0], TASK.data.train_y[rows])
    assert ((seeds.y == 0) | (seeds.y == 1)).all()
    with pytest.raises(
        ProblemError, match=r"seed_samples: expected at most 60, as many as device 0 holds, got 61"
    ):
        raw(EVERYBODY, 61, rngs_of(1))
    few = task_of([np.arange(60), np.arange(60, 63)]).cohort(np.array([1]))
    with pytest.raises(ProblemError, match=r"expected at most 3, as many as device 1 holds, got 4"):
        raw(few, 4, rngs_of(1, 1))


def test_mixed_seeds_have_the_labels_and_ratios_asked_for():
    labels = np.array([[[3, 7]], [[7, 3]]])
    seeds = mixed(task_of(devices=2).cohort(), labels, [0.25, 0.75], rngs_of(1, 2))
    np.testing.assert_allclose(seeds.y[0, [3, 7]], [0.25, 0.75])
    np.testing.assert_allclose(seeds.y[1, [3, 7]], [0.75, 0.25])
    np.testing.assert_allclose(seeds.y.sum(1), 1.0)
    np.testing.assert_allclose(seeds.x[:, 0], [0.25 * 3 + 0.75 * 7, 0.25 * 7 + 0.75 * 3])
    np.testing.assert_array_equal(seeds.labels, labels.reshape(-1, 2))
    assert seeds.device.tolist() == [0, 1]


@pytest.mark.parametrize("scheme", [MixFld(), Mix2Fld(), Mix2Fld(ratio=[0.2, 0.3, 0.5])], ids=repr)
def test_devices_make_the_same_seeds_alone_and_with_others(scheme):
    together = scheme.make_seeds(EVERYBODY, 4)
    groups = [[7, 8, 9], [0, 1], [2], [3, 4, 5, 6]]
    alone = [scheme.make_seeds(TASK.cohort(np.array(group)), 4) for group in groups]
    assert same(Seeds.joined(alone), together)
    other = scheme.make_seeds(task_of(seed=1).cohort(), 4)
    assert not torch.equal(other.x, together.x)


def test_samples_by_label_are_counted():
    parts = [np.array([0, 10, 20, 3]), np.array([5])]
    expected = np.zeros((2, LABELS), int)
    expected[0, [0, 3]], expected[1, 5] = [3, 1], 1
    task = task_of(parts)
    np.testing.assert_array_equal(histogram(task, np.array([0, 1])), expected)
    np.testing.assert_array_equal(histogram(task, np.array([1])), expected[1:])


def test_unmixed_seeds_have_one_label_and_come_of_two_devices():
    ratio = 0.3
    seeds = mixed(EVERYBODY, assigned(TASK, 10, 2, 2, 4), [ratio, 1 - ratio], rngs_of(4))
    found = unmixed(seeds, [ratio, 1 - ratio], 2)
    assert len(found) == 200
    assert ((found.y == 0) | (found.y == 1)).all()
    np.testing.assert_array_equal(found.y.sum(1), 1)
    # the first feature is the label, so it must come out again; the second tells the samples that went in
    np.testing.assert_allclose(found.x[:, 0], found.y.argmax(1), atol=1e-5)
    pairs = pair_symmetric(seeds.device, *seeds.labels.T, capacity=2)
    assert (seeds.device[pairs[:, 0]] != seeds.device[pairs[:, 1]]).all()
    factors = np.array([[-ratio, 1 - ratio], [1 - ratio, -ratio]]) / (1 - 2 * ratio)
    expected = (factors @ seeds.x.double().numpy()[pairs]).reshape(-1, 2)
    np.testing.assert_allclose(found.x, expected, rtol=1e-5, atol=1e-4)


def test_unmixed_samples_are_none_of_the_raw_ones():
    x = np.random.default_rng(5).normal(size=(len(TASK.data.train_y), 8))
    data = Dataset(x, TASK.data.train_y, x[:1], [0], num_classes=LABELS)
    task = Task(data, TASK.parts, nn.Linear(8, LABELS), Streams(0))
    seeds = mixed(task.cohort(), assigned(task, 10, 2, 1, 5), [0.2, 0.8], rngs_of(5))
    found = unmixed(seeds, [0.2, 0.8], 1)
    assert len(found) == 100
    assert np.linalg.norm(found.x.numpy()[:, None] - data.train_x, axis=-1).min() > 0.3


def test_without_partners_nothing_is_unmixed():
    labels = np.array([[[0, 1]], [[0, 1]]])
    seeds = mixed(task_of(devices=2).cohort(), labels, [0.1, 0.9], rngs_of(0, 2))
    assert len(unmixed(seeds, [0.1, 0.9], 1)) == 0
    one = Seeds(seeds.x, seeds.y, np.zeros(2, np.int64), np.array([[0, 1], [1, 0]]))
    assert len(unmixed(one, [0.1, 0.9], 1)) == 0  # symmetric, but of one device
    assert len(seeds[np.flatnonzero(seeds.device == 1)]) == 1


def test_samples_keep_their_shape():
    y = np.tile(np.arange(2), 8)
    data = Dataset(
        np.random.default_rng(0).random((16, 1, 4, 4)), y, np.zeros((1, 1, 4, 4)), [0], num_classes=2
    )
    task = Task(data, (np.arange(8), np.arange(8, 16)), nn.Linear(1, 1), Streams(0))
    seeds = mixed(task.cohort(), assigned(task, 3, 2, 1, 0), [0.1, 0.9], rngs_of(0, 2))
    assert seeds.x.shape == (6, 1, 4, 4)
    assert unmixed(seeds, [0.1, 0.9], 1).x.shape == (6, 1, 4, 4)
    assert raw(task.cohort(), 3, rngs_of(0, 2)).x.dtype == torch.float32


@pytest.mark.parametrize("ratios", [[0.2, 0.3, 0.5], [0.7, 0.1, 0.15, 0.05]])
def test_groups_of_more_devices_unmix_more_labels(ratios):
    size = len(ratios)
    seeds = mixed(EVERYBODY, assigned(TASK, 10, size, 1, 8), ratios, rngs_of(8))
    np.testing.assert_allclose(np.sort(seeds.y.numpy(), 1)[:, -size:], [sorted(ratios)] * 100, rtol=1e-6)
    groups = grouped(seeds.device, seeds.labels)
    assert len(groups) == 100 // size  # all but the remainder
    found = unmixed(seeds, ratios, 1)
    assert len(found) == groups.size
    assert ((found.y == 0) | (found.y == 1)).all()
    np.testing.assert_allclose(found.x[:, 0], found.y.argmax(1), atol=1e-4)
