"""Seed samples: raw, mixed at devices, unmixed across them."""

import numpy as np
import pytest
import torch
from torch import nn

from learning.data.dataset import Dataset
from learning.schemes.seeds import (
    Seeds,
    assigned_labels,
    grouped,
    mixed,
    random_labels,
    raw,
    unmixed,
)
from learning.task import Task
from radioopt.base.errors import ProblemError
from radioopt.mix2fld import pair_symmetric

LABELS, DEVICES = 10, 10


def task_of(parts=None, per_label=6, devices=DEVICES, labels=LABELS):
    """Sample i has the features (label, i), so that what became of it can be told."""
    y = np.tile(np.arange(labels), per_label * devices)
    x = np.stack([y, np.arange(y.size)], -1).astype(np.float32)
    parts = parts or [
        device * per_label * labels + np.arange(per_label * labels) for device in range(devices)
    ]
    data = Dataset(x, y, x[:1], y[:1], num_classes=labels)
    return Task(data, tuple(parts), nn.Linear(2, labels), np.random.default_rng(0))


TASK = task_of()


def pairs_of(labels, capacity=1):
    device = np.repeat(np.arange(len(labels)), labels.shape[1])
    return pair_symmetric(device, *labels.reshape(-1, 2).T, capacity=capacity)


def test_raw_seeds_are_samples_of_their_device_each_once():
    seeds = raw(TASK, 7, np.random.default_rng(1))
    rows = seeds.x[:, 1].numpy().astype(int)
    assert len(set(rows.tolist())) == len(seeds) == 70
    assert all(row in TASK.parts[device] for row, device in zip(rows, seeds.device, strict=True))
    np.testing.assert_array_equal(seeds.y.argmax(1), TASK.data.train_y[rows])
    assert ((seeds.y == 0) | (seeds.y == 1)).all()
    with pytest.raises(
        ProblemError, match=r"seed_samples: expected at most 60, as many as device 0 holds, got 61"
    ):
        raw(TASK, 61, np.random.default_rng(1))


def test_mixed_seeds_have_the_labels_and_ratios_asked_for():
    labels = np.array([[[3, 7]], [[7, 3]]])
    seeds = mixed(task_of(devices=2), labels, [0.25, 0.75], np.random.default_rng(1))
    np.testing.assert_allclose(seeds.y[0, [3, 7]], [0.25, 0.75])
    np.testing.assert_allclose(seeds.y[1, [3, 7]], [0.75, 0.25])
    np.testing.assert_allclose(seeds.y.sum(1), 1.0)
    np.testing.assert_allclose(seeds.x[:, 0], [0.25 * 3 + 0.75 * 7, 0.25 * 7 + 0.75 * 3])
    np.testing.assert_array_equal(seeds.labels, labels.reshape(-1, 2))


def test_random_labels_differ_and_are_held():
    few = task_of([np.arange(0, 20), np.arange(20, 40)], per_label=2, devices=2)
    labels = random_labels(few, 300, 2, np.random.default_rng(2))
    assert labels.shape == (2, 300, 2)
    assert (labels[..., 0] != labels[..., 1]).all()
    assert len(np.unique(labels[0] @ [10, 1])) > 80  # of 90 ordered pairs


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_assigned_labels_let_every_seed_be_unmixed(capacity):
    for seed in range(5):
        labels = assigned_labels(TASK, 10, 2, capacity, np.random.default_rng(seed))
        assert (labels[..., 0] != labels[..., 1]).all()
        assert len(pairs_of(labels, capacity)) == capacity * 10 * DEVICES // 2


def test_random_labels_leave_half_of_the_seeds_alone():
    found = [len(pairs_of(random_labels(TASK, 10, 2, np.random.default_rng(s)))) / 50 for s in range(60)]
    assert np.mean(found) == pytest.approx(0.49, abs=0.03)


def test_assigned_labels_are_those_that_devices_hold_and_fall_back_to_chance():
    y = TASK.data.train_y
    holds = [[0, 1, 2], [1, 2, 3], [8, 9]]  # device 2 has nothing in common with the others
    parts = [np.flatnonzero(np.isin(y, own)) for own in holds]
    labels = assigned_labels(task_of(parts), 5, 2, 1, np.random.default_rng(0))
    for own, got in zip(holds, labels, strict=True):
        assert np.isin(got, own).all()
        assert (got[:, 0] != got[:, 1]).all()
    assert {tuple(sorted(pair)) for pair in labels[:2].reshape(-1, 2).tolist()} == {(1, 2)}
    assert len(pairs_of(labels)) == 5
    odd = assigned_labels(TASK, 9, 2, 2, np.random.default_rng(0))
    assert len(pairs_of(odd, 2)) > 80


def test_a_device_with_a_single_label_cannot_mix():
    y = TASK.data.train_y
    parts = [np.flatnonzero(y != 4), np.flatnonzero(y == 4)]
    for make in (
        lambda: random_labels(task_of(parts), 3, 2, RNG),
        lambda: assigned_labels(task_of(parts), 3, 2, 1, RNG),
    ):
        with pytest.raises(
            ProblemError, match="mixed samples need 2 labels on every device, and device 1 holds 1"
        ):
            make()


RNG = np.random.default_rng(0)


def test_unmixed_seeds_have_one_label_and_come_of_two_devices():
    rng, ratio = np.random.default_rng(4), 0.3
    seeds = mixed(TASK, assigned_labels(TASK, 10, 2, 2, rng), [ratio, 1 - ratio], rng)
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
    rng = np.random.default_rng(5)
    x = rng.normal(size=(len(TASK.data.train_y), 8))
    data = Dataset(x, TASK.data.train_y, x[:1], [0], num_classes=LABELS)
    task = Task(data, TASK.parts, nn.Linear(8, LABELS), rng)
    found = unmixed(mixed(task, assigned_labels(task, 10, 2, 1, rng), [0.2, 0.8], rng), [0.2, 0.8], 1)
    assert np.linalg.norm(found.x.numpy()[:, None] - data.train_x, axis=-1).min() > 0.3


def test_without_partners_nothing_is_unmixed():
    labels = np.array([[[0, 1]], [[0, 1]]])
    seeds = mixed(task_of(devices=2), labels, [0.1, 0.9], np.random.default_rng(0))
    assert len(unmixed(seeds, [0.1, 0.9], 1)) == 0
    one = Seeds(seeds.x, seeds.y, np.zeros(2, np.int64), np.array([[0, 1], [1, 0]]))
    assert len(unmixed(one, [0.1, 0.9], 1)) == 0  # symmetric, but of one device
    assert len(seeds.of(np.array([False, True]))) == 1


def test_samples_keep_their_shape():
    y = np.tile(np.arange(2), 8)
    data = Dataset(
        np.random.default_rng(0).random((16, 1, 4, 4)), y, np.zeros((1, 1, 4, 4)), [0], num_classes=2
    )
    task = Task(data, (np.arange(8), np.arange(8, 16)), nn.Linear(1, 1), np.random.default_rng(0))
    rng = np.random.default_rng(0)
    seeds = mixed(task, assigned_labels(task, 3, 2, 1, rng), [0.1, 0.9], rng)
    assert seeds.x.shape == (6, 1, 4, 4)
    assert unmixed(seeds, [0.1, 0.9], 1).x.shape == (6, 1, 4, 4)
    assert raw(task, 3, rng).x.dtype == torch.float32


@pytest.mark.parametrize("ratios", [[0.2, 0.3, 0.5], [0.7, 0.1, 0.15, 0.05]])
def test_groups_of_more_devices_unmix_more_labels(ratios):
    size, rng = len(ratios), np.random.default_rng(8)
    labels = assigned_labels(TASK, 10, size, 1, rng)
    seeds = mixed(TASK, labels, ratios, rng)
    np.testing.assert_allclose(np.sort(seeds.y.numpy(), 1)[:, -size:], [sorted(ratios)] * 100, rtol=1e-6)
    groups = grouped(seeds.device, seeds.labels)
    assert len(groups) == 100 // size  # all but the remainder
    assert len(np.unique(groups)) == groups.size
    assert all(len(set(row)) == size for row in seeds.device[groups].tolist())
    found = unmixed(seeds, ratios, 1)
    assert len(found) == groups.size
    assert ((found.y == 0) | (found.y == 1)).all()
    np.testing.assert_allclose(found.x[:, 0], found.y.argmax(1), atol=1e-4)


def test_groups_need_all_their_devices():
    rng = np.random.default_rng(9)
    seeds = mixed(TASK, assigned_labels(TASK, 3, 3, 1, rng), [0.2, 0.3, 0.5], rng)
    arrived = np.arange(DEVICES) > 4
    some = grouped(*(getattr(seeds.of(arrived), name) for name in ("device", "labels")))
    assert len(some) < len(grouped(seeds.device, seeds.labels)) == 10
    shifted = np.array([[0, 1, 2], [2, 0, 1], [1, 2, 0]])
    assert grouped(np.arange(3), shifted).tolist() == [[0, 1, 2]]
    assert grouped(np.arange(3), shifted[[2, 0, 1]]).tolist() == [[1, 2, 0]]
    assert grouped(np.array([0, 1, 0]), shifted).tolist() == []  # two of one device
    assert grouped(np.arange(3), np.array([[0, 1, 2], [1, 2, 0], [0, 2, 1]])).tolist() == []
