"""Data sets and partitions: real digits, own arrays, every sample on exactly one device."""

import numpy as np
import pytest
import torch

from learning import Dataset, digits
from learning.data.partition import DIRICHLET_TRIES, dirichlet, iid, partition, shards
from learning.data.partition_counts import deal
from radioopt import OptionError, ProblemError


def rng(seed=0):
    return np.random.default_rng(seed)


LABELS = np.repeat(np.arange(10), 30)


def test_digits_are_split_by_class_and_scaled_to_one():
    data = digits(rng())
    assert data.train_x.shape == (1437, 1, 8, 8)
    assert data.test_x.shape == (360, 1, 8, 8)
    assert data.train_x.min() == 0.0
    assert data.train_x.max() == 1.0
    whole = np.bincount(np.concatenate([data.train_y, data.test_y]))
    assert np.abs(np.bincount(data.test_y) - 0.2 * whole).max() <= 1


def test_the_split_is_the_generators():
    assert digits(rng(1)).digest() == digits(rng(1)).digest()
    assert digits(rng(1)).digest() != digits(rng(2)).digest()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, "half"])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction):
    with pytest.raises(OptionError, match=r"digits.test_fraction: expected a number > 0.00556"):
        digits(rng(), fraction)


GOOD = {
    "train_x": np.zeros((3, 2)),
    "train_y": [0, 1, 2],
    "test_x": np.ones((1, 2)),
    "test_y": [2],
    "num_classes": 3,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 1}, r"num_classes: expected a whole number from 2 to 100000, got 1"),
        ({"train_y": [0, 1]}, r"train_y: expected 3 labels, one per sample of train_x, got 2"),
        ({"train_y": [0, 1, 3]}, r"train_y: expected labels from 0 to 2, got 3 at index 2"),
        ({"num_classes": 10**9}, r"num_classes: expected a whole number from 2 to 100000, got 1000000000"),
        ({"test_y": [-1]}, r"test_y: sample 0 has label -1, expected whole numbers from 0"),
        ({"test_y": [0.5]}, r"test_y: sample 0 has label 0.5, expected whole numbers"),
        ({"train_y": [0, 2**32 - 1, 1]}, r"train_y: sample 1 has label 4294967295, expected .*numpy.unique"),
        ({"train_y": [[0], [1], [2]]}, r"train_y: .*an array of shape \(3, 1\): flatten it"),
        ({"train_y": np.eye(3)}, r"train_y: .*an array of shape \(3, 3\): take .*argmax\(1\)"),
        ({"train_y": np.ma.masked_equal([0, 1, 2], 1)}, r"train_y: .*index \[1\] is masked"),
        (
            {"train_x": np.ma.masked_equal([[0, 1], [2, 3], [4, 5]], 3)},
            r"train_x: .*index \[1, 1\] is masked",
        ),
        ({"train_x": np.zeros((3, 2)) + 1j}, r"train_x: .*complex ones: stack real and imaginary part"),
        ({"train_x": torch.zeros(3, 2, dtype=torch.cfloat)}, r"train_x: .*stack real and imaginary part"),
        ({"train_x": [[0.5, True], [0, 0], [0, 0]]}, r"train_x: expected numbers, got true or false among"),
        ({"train_x": [["1", "2"]] * 3}, r"train_x: expected an array of numbers, got <U1"),
        ({"train_x": np.full((3, 2), None)}, r"train_x: expected an array of numbers, got object"),
        (
            {"train_x": [[0, 0], [0], [0, 0]]},
            r"train_x: expected an array of numbers, all rows of one length",
        ),
        (
            {"train_x": np.full((3, 2), 1e300)},
            r"train_x: expected finite numbers, sample 0 has another: 1e\+300",
        ),
        ({"test_x": np.ones((1, 3))}, r"test_x: expected samples of shape \(2,\), as in train_x, got \(3,\)"),
        ({"train_x": [[0, 0], [0, np.nan], [0, 0]]}, r"train_x: expected finite numbers, sample 1"),
        ({"train_x": np.zeros(3)}, r"train_x: expected samples along the first axis, got shape \(3,\)"),
        ({"train_x": "pixels"}, r"train_x: expected an array of numbers"),
        (
            {"test_x": np.zeros((0, 2)), "test_y": np.zeros(0, int)},
            r"test_x: expected samples.*got shape \(0, 2\)",
        ),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(change, message):
    with pytest.raises(ProblemError, match=message):
        Dataset(**(GOOD | change))


@pytest.mark.parametrize("how", ["iid", "shards", "shards:3", "dirichlet", "dirichlet:0.2"])
@pytest.mark.parametrize("devices", [1, 7, 12])
def test_every_sample_is_on_exactly_one_device_and_none_is_empty(how, devices):
    parts = partition(how, LABELS, devices, rng())
    assert len(parts) == devices
    assert min(part.size for part in parts) >= 1
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(LABELS.size))
    again = partition(how, LABELS, devices, rng())
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


def test_iid_parts_are_of_one_size():
    assert {part.size for part in iid(LABELS, 7, rng())} == {42, 43}


def test_two_shards_hold_two_classes_where_they_divide_the_classes():
    parts = shards(LABELS, 5, rng())  # ten shards of one class each
    assert all(part.size == 60 and np.unique(LABELS[part]).size == 2 for part in parts)


def test_dirichlet_concentration_turns_from_few_classes_to_all():
    def largest_share(alpha):
        parts = dirichlet(LABELS, 5, rng(), alpha)
        return np.mean([np.bincount(LABELS[part]).max() / part.size for part in parts])

    assert largest_share(1000.0) < 0.15 < 0.3 < largest_share(0.1)


def test_dirichlet_shares_have_the_right_mean():
    # E[share of a device] = 1/K for every class, whatever alpha (no draw is refused with this many samples)
    sizes = [[part.size for part in dirichlet(LABELS, 3, rng(seed), alpha=5.0)] for seed in range(200)]
    mean, error = np.mean(sizes, 0), np.std(sizes, 0) / np.sqrt(200)
    assert (np.abs(mean - 100) < 4 * error).all()


def counts(how, devices, labels=LABELS, seed=0):
    """Samples of every label on every device, after the checks that hold for every partition."""
    parts = partition(how, labels, devices, rng(seed))
    everything = np.concatenate(parts)
    assert np.unique(everything).size == everything.size
    return np.array([np.bincount(labels[part], minlength=10) for part in parts])


MNIST_LIKE = np.repeat(np.arange(10), 5421)  # as many as MNIST has of its smallest class


def test_the_iid_split_of_the_mix2fld_paper():
    assert (counts("balanced:500", 10, MNIST_LIKE) == 50).all()
    assert (counts("balanced", 10) == 3).all()


def test_the_non_iid_split_of_the_mix2fld_paper():
    found = counts("rare-labels", 50, MNIST_LIKE)
    np.testing.assert_array_equal(np.sort(found, 1), [[2, 2] + [62] * 8] * 50)
    assert (found.sum(1) == 500).all()
    rare = (found == 2).sum(0)  # 50 x 2 choices among ten labels, each with the same chance
    assert (np.abs(rare - 10) < 4 * np.sqrt(50 * 0.2 * 0.8)).all()
    np.testing.assert_array_equal(np.sort(counts("rare-labels:3,1,4", 6), 1), [[1] * 3 + [4] * 7] * 6)


def test_few_labels_share_their_classes_evenly():
    found = counts("few-labels:3", 12)
    assert ((found > 0).sum(1) == 3).all()
    for column in found.T:
        held = column[column > 0]
        assert held.size == 0 or (held.sum() == 30 and np.ptp(held) <= 1)
    np.testing.assert_array_equal(np.sort(counts("few-labels:2,8", 6), 1), [[0] * 8 + [4, 4]] * 6)


def test_dirichlet_mixtures_have_one_size():
    assert (counts("dirichlet:0.4,20", 12).sum(1) == 20).all()
    shares = np.concatenate([counts("dirichlet:0.5,100", 12, MNIST_LIKE, seed) for seed in range(30)]) / 100
    # variance of a share: that of Dirichlet(0.5 x 10), 0.09 / 6, and what the multinomial adds
    assert shares.var() == pytest.approx(0.09 / 6 + (0.1 - 0.01 - 0.09 / 6) / 100, rel=0.1)


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("balanced:55", OptionError, r"balanced.samples: expected a multiple of 10, one per class, got 55"),
        (
            "balanced:100",
            ProblemError,
            r"are to hold 60 samples of label 0, the data have 30: use fewer devices",
        ),
        ("rare-labels:11", OptionError, r"rare-labels.rare: expected 0 to 10, the number of classes, got 11"),
        ("rare-labels:10,0,5", ProblemError, r"device 0 would hold no sample: raise the numbers"),
        ("rare-labels:2,2", ProblemError, r"samples of label \d, the data have 30"),
        ("few-labels:11", OptionError, r"few-labels.per_device: expected 1 to 10 labels, got 11"),
        (
            "few-labels:3,10",
            OptionError,
            r"few-labels.samples: expected a multiple of 3, one per label, got 10",
        ),
        ("few-labels:1,300", ProblemError, r"are to hold \d+ samples of label \d, the data have 30"),
        ("few-labels:1,2,3", OptionError, r"'few-labels:1,2,3': expected few-labels:PER_DEVICE\[,SAMPLES\]"),
        ("dirichlet:1,51", ProblemError, r"6 devices of 51 samples need 306, got 300: use fewer"),
        ("dirichlet:0.01,50", ProblemError, r"a class was too small .* in each of 1000 draws .*raise alpha"),
    ],
)
def test_splits_by_numbers_that_the_data_do_not_allow(how, error, message):
    with pytest.raises(error, match=message):
        partition(how, LABELS, 6, rng())


def test_dealing_by_numbers_is_exact_and_random():
    wanted = rng(1).integers(0, 4, (7, 10)) + np.eye(7, 10, dtype=int)
    parts = deal(LABELS, wanted, rng(2))
    np.testing.assert_array_equal([np.bincount(LABELS[p], minlength=10) for p in parts], wanted)
    assert not np.array_equal(parts[0], deal(LABELS, wanted, rng(3))[0])


@pytest.mark.parametrize("rule", ["iid", "shards", "dirichlet"])
def test_more_devices_than_samples_is_refused(rule):
    with pytest.raises(ProblemError, match=r"partition: 13 devices need at least as many samples, got 12"):
        partition(rule, np.zeros(12, int), 13, rng())


def test_more_shards_than_samples_is_refused():
    with pytest.raises(ProblemError, match=r"16 shards \(8 devices x 2\) need as many samples, got 12"):
        partition("shards", np.zeros(12, int), 8, rng())


def test_an_impossible_dirichlet_partition_says_what_to_change():
    with pytest.raises(
        ProblemError, match=rf"in each of {DIRICHLET_TRIES} draws .*raise alpha or use fewer devices"
    ):
        partition("dirichlet:1e-3", LABELS, 50, rng())


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "sorted",
            r"unknown partition 'sorted', choose from iid, shards, dirichlet, balanced, .*, or a function",
        ),
        (None, r"unknown partition None"),
        ("iid:3", r"partition 'iid:3': expected iid, without numbers"),
        ("dirichlet:wide", r"partition 'dirichlet:wide': expected dirichlet:ALPHA\[,SAMPLES\]"),
        ("dirichlet:0", r"dirichlet.alpha: expected a number > 0, got 0.0"),
        ("shards:0", r"shards.per_device: expected a whole number >= 1, got 0"),
    ],
)
def test_unknown_rules_are_refused(how, message):
    with pytest.raises(OptionError, match=message):
        partition(how, LABELS, 3, rng())


def test_a_rule_of_ones_own_is_checked():
    assert [
        p.size for p in partition(lambda y, k, r: [np.arange(10), np.arange(10, 300)], LABELS, 2, rng())
    ] == [10, 290]
    with pytest.raises(ProblemError, match=r"expected 2 parts that are not empty, got sizes \[300\]"):
        partition(lambda y, k, r: [np.arange(300)], LABELS, 2, rng())
    by_device = {i: np.arange(i, 300, 2) for i in (1, 0)}  # as other libraries return it
    assert [p[0] for p in partition(lambda y, k, r: by_device, LABELS, 2, rng())] == [0, 1]
    with pytest.raises(
        ProblemError, match=r"partition: .* an entry for each device from 0 to 1, got \[0, 2\]"
    ):
        partition(lambda y, k, r: {0: np.arange(3), 2: np.arange(3, 6)}, LABELS, 2, rng())
    with pytest.raises(ProblemError, match=r"partition: .* index arrays, one per device, got None"):
        partition(lambda y, k, r: None, LABELS, 2, rng())
    with pytest.raises(ProblemError, match=r"samples of device 1 by whole numbers, got array\(\[0\.9"):
        partition(lambda y, k, r: [np.arange(5), np.arange(5) + 0.9], LABELS, 2, rng())
    with pytest.raises(ProblemError, match=r"expected each of 300 samples at most once"):
        partition(lambda y, k, r: [np.arange(300), np.arange(3)], LABELS, 2, rng())
