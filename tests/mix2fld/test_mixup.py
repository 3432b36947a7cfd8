"""Inverse mixup makes labels hard again, refuses ratios that cannot be inverted, and returns no raw sample."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.linalg import hankel

from radioopt.base.errors import ProblemError
from radioopt.mix2fld import (
    inverse_mixup,
    inverse_ratios,
    mixup,
    mixup_condition,
    mixup_matrix,
    sample_privacy,
)


def random_ratios(rng, n, worst=100.0):
    while True:
        ratios = rng.dirichlet(np.full(n, 0.3))
        if mixup_condition(ratios) < worst:
            return ratios


@pytest.mark.parametrize("n", [2, 3, 4, 16])
def test_labels_are_one_hot_again(n):
    rng = np.random.default_rng(n)
    for _ in range(200):
        ratios = random_ratios(rng, n)
        soft = mixup(np.eye(n), ratios, np.arange(n))
        np.testing.assert_allclose(soft.sum(-1), 1.0, rtol=0, atol=1e-15 * n)
        np.testing.assert_allclose(inverse_mixup(soft, ratios), np.eye(n), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 16])
def test_equal_to_the_inverse_of_the_papers_matrix(n):
    rng = np.random.default_rng(n)
    ratios = random_ratios(rng, n)
    written_out = hankel(ratios, np.roll(ratios, 1))  # (8): every row one to the left
    np.testing.assert_array_equal(mixup_matrix(ratios), written_out)
    np.testing.assert_allclose(inverse_ratios(ratios), np.linalg.inv(written_out), rtol=0, atol=1e-11)
    assert mixup_condition(ratios) == pytest.approx(np.linalg.cond(written_out), rel=1e-10)


@given(st.floats(0.0, 0.499))
def test_two_ratios_in_closed_form(a):
    found = inverse_ratios([a, 1 - a])
    expected = np.array([[-a, 1 - a], [1 - a, -a]]) / (1 - 2 * a)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 / (1 - 2 * a))
    assert mixup_condition([a, 1 - a]) == pytest.approx(1 / (1 - 2 * a), rel=1e-12)


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=12))
def test_rows_of_the_inverse_sum_to_one_and_give_one_label_each(weights):
    ratios = np.array(weights) / np.sum(weights)
    condition = mixup_condition(ratios)
    assume(condition < 1e6)
    inverse = inverse_ratios(ratios)
    np.testing.assert_allclose(inverse.sum(-1), 1.0, atol=1e-14 * condition)
    np.testing.assert_allclose(inverse @ mixup_matrix(ratios), np.eye(len(ratios)), atol=1e-14 * condition)


@pytest.mark.parametrize(
    "ratios",
    [
        *(np.full(n, 1 / n) for n in (2, 3, 4, 7, 16)),
        [0.1, 0.3, 0.4, 0.2],  # the first and third sum to 1/2
        [0.3, 0.2, 0.3, 0.2],  # equal two by two
        [0.5 - 1e-12, 0.5 + 1e-12],
    ],
)
def test_singular_ratios_are_refused(ratios):
    with pytest.raises(ProblemError, match=r"inverse_ratios\.ratios: \[0\.\d+, .*cannot be inverted"):
        inverse_ratios(ratios)
    with pytest.raises(ProblemError, match="cannot be inverted"):
        inverse_mixup(np.zeros((len(ratios), 3)), ratios)


def test_the_singular_one_of_a_batch_is_named():
    with pytest.raises(ProblemError, match=r"\[0\.5, 0\.5\] cannot be inverted: coefficient 1"):
        inverse_ratios([[0.1, 0.9], [0.5, 0.5]])
    assert inverse_ratios([[0.1, 0.9], [0.2, 0.8]]).shape == (2, 2, 2)


def test_a_pair_of_devices_gives_two_samples_of_the_right_labels_and_neither_is_raw():
    """Section III-C: images of the two labels of either device mix to one of each label, out of all four."""
    rng = np.random.default_rng(0)
    raw = rng.random((2, 2, 64))  # device, label, pixels
    a = 0.4
    uploaded = np.stack([mixup(raw[d], [a, 1 - a], d) for d in range(2)])
    np.testing.assert_allclose(uploaded[0], a * raw[0, 0] + (1 - a) * raw[0, 1])
    np.testing.assert_allclose(uploaded[1], a * raw[1, 1] + (1 - a) * raw[1, 0])
    found = inverse_mixup(uploaded, [a, 1 - a])
    inverse = -a / (1 - 2 * a)  # the paper's (9), (10)
    np.testing.assert_allclose(found[0], inverse * uploaded[0] + (1 - inverse) * uploaded[1], rtol=1e-10)
    assert (sample_privacy(found, raw.reshape(1, 4, 64)) > 0).all()
    same_device = np.stack([mixup(raw[0], [a, 1 - a], position) for position in range(2)])
    np.testing.assert_allclose(inverse_mixup(same_device, [a, 1 - a]), raw[0], rtol=1e-10)


@given(st.floats(0.01, 0.49), st.integers(0, 99))
def test_privacy_of_mixup_is_the_distance_times_the_smaller_ratio(a, seed):
    """Table II: the distance of the two samples times the ratio, so that log privacy is a constant plus log a."""
    raw = np.random.default_rng(seed).random((2, 20))
    expected = np.log(a * np.linalg.norm(raw[0] - raw[1]))
    assert sample_privacy(mixup(raw, [a, 1 - a]), raw) == pytest.approx(expected, abs=1e-10)


def test_privacy_of_a_raw_sample_is_none():
    raw = np.random.default_rng(0).random((5, 4, 3))
    assert (sample_privacy(raw[:, 2], raw) == -np.inf).all()
    assert sample_privacy(raw[0, 0], raw[1:]).shape == (4,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inverse_ratios([0.2, 0.7]), r"inverse_ratios\.ratios: expected a sum of 1, got 0\.89"),
        (lambda: mixup_matrix([1.5, -0.5]), r"mixup_matrix\.ratios: expected in \[0, 1\], got 1\.5 at index 0"),
        (lambda: mixup_matrix([1.0]), r"mixup_matrix\.ratios: expected at least two ratios"),
        (lambda: mixup(np.eye(3), [0.1, 0.9]), r"mixup: expected samples \(\.\.\., 2, F\) for 2 ratios, got \(3, 3\)"),
        (lambda: mixup(np.eye(2), [0.1, 0.9], 2), r"mixup\.position: expected a whole number from 0 to 1, got 2"),
        (lambda: mixup([[0, np.nan], [0, 0]], [0.1, 0.9]), r"mixup\.samples: expected a finite number, got nan"),
        (lambda: inverse_mixup([[0, 1]], [0.1, 0.9]), r"inverse_mixup: expected samples \(\.\.\., 2, F\)"),
        (lambda: inverse_ratios([0.1, 0.9], singular_tol=0), r"singular_tol: expected > 0"),
        (lambda: sample_privacy([1.0, 2.0], [1.0, 2.0]), r"sample_privacy\.raw: expected shape"),
        (lambda: sample_privacy(np.ones((3, 2)), np.ones((2, 4, 2))), r"sample_privacy: expected shapes that br"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call()
