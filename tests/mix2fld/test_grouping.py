"""Labels to mix, at random or assigned so that every sample can be unmixed, and groups of more than two devices."""

import numpy as np
import pytest

from radioopt.base.errors import ProblemError
from radioopt.mix2fld import assigned_labels, grouped, pair_symmetric, random_labels

LABELS, DEVICES = 10, 10
EQUAL = np.full((DEVICES, LABELS), 6)


def rngs_of(seed, devices=DEVICES):
    return np.random.default_rng(seed).spawn(devices)


def holding(*held):
    """Count samples: 60 of each label that a device holds."""
    return 60 * np.array([[label in own for label in range(LABELS)] for own in held])


def pairs_of(labels, capacity=1):
    device = np.repeat(np.arange(len(labels)), labels.shape[1])
    return pair_symmetric(device, *labels.reshape(-1, 2).T, capacity=capacity)


def test_random_labels_differ_and_are_held():
    labels = random_labels(np.full((2, LABELS), 2), 300, 2, rngs_of(2, 2))
    assert labels.shape == (2, 300, 2)
    assert (labels[..., 0] != labels[..., 1]).all()
    assert len(np.unique(labels[0] @ [10, 1])) > 80  # of 90 ordered pairs
    some = [0, 1, 2], [1, 2, 3]
    for own, got in zip(some, random_labels(holding(*some), 50, 2, rngs_of(2, 2)), strict=True):
        assert set(got.flatten().tolist()) == set(own)


def test_random_labels_are_as_frequent_as_the_samples():
    labels = random_labels(np.array([[30, 60, 10]]), 4000, 2, rngs_of(3, 1))
    first = np.bincount(labels[0, :, 0]) / 4000
    np.testing.assert_allclose(first, [0.3, 0.6, 0.1], atol=4 * np.sqrt(0.25 / 4000))


def test_a_device_draws_the_same_random_labels_whoever_else_does():
    everybody, (_, second) = random_labels(EQUAL[:2], 9, 2, rngs_of(4, 2)), rngs_of(4, 2)
    np.testing.assert_array_equal(random_labels(EQUAL[:1], 9, 2, [second])[0], everybody[1])


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_assigned_labels_let_every_seed_be_unmixed(capacity):
    for seed in range(5):
        labels = assigned_labels(EQUAL, 10, 2, capacity, np.random.default_rng(seed))
        assert (labels[..., 0] != labels[..., 1]).all()
        assert len(pairs_of(labels, capacity)) == capacity * 10 * DEVICES // 2


def test_random_labels_leave_half_of_the_seeds_alone():
    found = [len(pairs_of(random_labels(EQUAL, 10, 2, rngs_of(s)))) / 50 for s in range(60)]
    assert np.mean(found) == pytest.approx(0.49, abs=0.03)


def test_assigned_labels_are_those_that_devices_hold_and_fall_back_to_chance():
    holds = [[0, 1, 2], [1, 2, 3], [8, 9]]  # device 2 has nothing in common with the others
    labels = assigned_labels(holding(*holds), 5, 2, 1, np.random.default_rng(0))
    for own, got in zip(holds, labels, strict=True):
        assert np.isin(got, own).all()
        assert (got[:, 0] != got[:, 1]).all()
    assert {tuple(sorted(pair)) for pair in labels[:2].reshape(-1, 2).tolist()} == {(1, 2)}
    assert len(pairs_of(labels)) == 5
    odd = assigned_labels(EQUAL, 9, 2, 2, np.random.default_rng(0))
    assert len(pairs_of(odd, 2)) > 80


def test_a_device_with_a_single_label_cannot_mix():
    held = holding([0, 1, 2, 3, 5, 6, 7, 8, 9], [4])
    for make in (
        lambda: random_labels(held, 3, 2, rngs_of(0, 2)),
        lambda: assigned_labels(held, 3, 2, 1, np.random.default_rng(0)),
    ):
        with pytest.raises(
            ProblemError, match="mixed samples need 2 labels on every device, and device 1 holds 1"
        ):
            make()


@pytest.mark.parametrize("size", [3, 4])
def test_groups_of_more_devices_hold_every_seed_but_the_remainder(size):
    labels = assigned_labels(EQUAL, 10, size, 1, np.random.default_rng(8)).reshape(-1, size)
    device = np.repeat(np.arange(DEVICES), 10)
    groups = grouped(device, labels)
    assert len(groups) == 100 // size
    assert len(np.unique(groups)) == groups.size
    assert all(len(set(row)) == size for row in device[groups].tolist())
    for group in groups:  # each device has the labels of the first, shifted by one more
        first = labels[group[0]]
        assert [labels[one].tolist() for one in group] == [np.roll(first, i).tolist() for i in range(size)]


def test_groups_need_all_their_devices():
    labels = assigned_labels(EQUAL, 3, 3, 1, np.random.default_rng(9)).reshape(-1, 3)
    device = np.repeat(np.arange(DEVICES), 3)
    assert len(grouped(device, labels)) == 10
    arrived = device > 4
    assert len(grouped(device[arrived], labels[arrived])) < 10
    shifted = np.array([[0, 1, 2], [2, 0, 1], [1, 2, 0]])
    assert grouped(np.arange(3), shifted).tolist() == [[0, 1, 2]]
    assert grouped(np.arange(3), shifted[[2, 0, 1]]).tolist() == [[1, 2, 0]]
    assert grouped(np.array([0, 1, 0]), shifted).tolist() == []  # two of one device
    assert grouped(np.arange(3), np.array([[0, 1, 2], [1, 2, 0], [0, 2, 1]])).tolist() == []
