"""Classes filled by the closed form against brute force: nothing has a larger entropy."""

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from radioopt import ProblemError
from radioopt.fimi.filling import augmentation_plan, data_entropy_bits, fill_classes
from validation.fimi import zoo

TABLES = arrays(float, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(0, 1e4))


def compositions(total, parts):
    """All ways to write a total as an ordered sum of so many whole numbers."""
    for bars in itertools.combinations(range(total + parts - 1), parts - 1):
        ends = (-1, *bars, total + parts - 1)
        yield [right - left - 1 for left, right in itertools.pairwise(ends)]


@given(arrays(float, st.integers(1, 4), elements=st.integers(0, 8)), st.integers(0, 9))
def test_whole_samples_equal_brute_force(counts, total):
    """No other way to hand out the samples has a larger entropy."""
    fill = fill_classes(counts, total, integer=True)
    assert fill.sum() == total
    assert (fill >= 0).all()
    assert (fill == np.floor(fill)).all()
    every = counts + np.array(list(compositions(total, counts.size)), float)
    assert data_entropy_bits(counts + fill) == pytest.approx(data_entropy_bits(every).max(), abs=1e-12)


@given(arrays(float, 3, elements=st.floats(0, 50)), st.floats(0.1, 60))
def test_fractions_equal_brute_force(counts, total):
    """Nor has any point of a fine grid over the simplex, nor what a general solver finds from there."""
    fill = fill_classes(counts, total)
    found = data_entropy_bits(counts + fill)
    grid = np.array(list(compositions(40, 3)), float) / 40 * total
    entropies = data_entropy_bits(counts + grid)
    assert found >= entropies.max() - 1e-12
    start = grid[int(np.argmax(entropies))]
    result = scipy.optimize.minimize(
        lambda d: -data_entropy_bits(counts + np.maximum(d, 0.0)),
        start,
        method="SLSQP",
        bounds=[(0, total)] * 3,
        constraints={"type": "eq", "fun": lambda d: d.sum() - total},
    )
    near = np.maximum(result.x, 0) * total / max(np.maximum(result.x, 0).sum(), 1e-300)
    assert found >= data_entropy_bits(counts + near) - 1e-9


@given(TABLES, st.floats(0, 1e5))
def test_classes_end_level_or_untouched(counts, total):
    """The conditions of optimality: filled classes are level, and no other class lies below them."""
    fill = fill_classes(counts, total)
    np.testing.assert_allclose(fill.sum(-1), total, rtol=1e-9, atol=1e-9)
    after = counts + fill
    for row, extra in zip(after, fill, strict=True):
        filled = extra > 0
        if filled.any():
            np.testing.assert_allclose(row[filled], row[filled].max(), rtol=1e-9)
            assert row.min() >= row[filled].max() * (1 - 1e-9)


@given(TABLES, st.integers(0, 10**6))
def test_whole_samples_end_within_one(counts, total):
    fill = fill_classes(np.floor(counts), total, integer=True)
    assert (fill.sum(-1) == total).all()
    for row, extra in zip(np.floor(counts) + fill, fill, strict=True):
        if (extra > 0).any():
            assert row[extra > 0].max() <= row.min() + 1


@given(TABLES, st.randoms(use_true_random=False))
def test_classes_and_devices_may_be_in_any_order(counts, random):
    total = np.arange(1.0, len(counts) + 1) * 10
    fill = fill_classes(counts, total)
    order = random.sample(range(counts.shape[1]), counts.shape[1])
    np.testing.assert_allclose(fill_classes(counts[:, order], total), fill[:, order], rtol=1e-9, atol=1e-9)
    alone = [fill_classes(row, g) for row, g in zip(counts, total, strict=True)]
    np.testing.assert_array_equal(fill, alone)


def test_entropy():
    assert data_entropy_bits([3.0, 3.0]) == 1.0
    assert data_entropy_bits(np.ones((2, 3, 8))).tolist() == [[3.0] * 3] * 2
    assert data_entropy_bits([0.0, 0.0]) == 0.0
    p = np.array([0.7, 0.2, 0.1])
    assert data_entropy_bits(100 * p) == pytest.approx(-(p * np.log2(p)).sum())
    assert math.copysign(1.0, data_entropy_bits([5.0])) == 1.0


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1.0, -2.0], 3.0), {}, r"class_counts: expected >= 0, got -2\.0 at index 1"),
        (([1.0, 2.0], -3.0), {}, r"synthetic_samples: expected >= 0, got -3\.0"),
        (([1.0, 2.5], 3.0), {"integer": True}, r"class_counts: expected whole numbers, got 2\.5 at index 1"),
        (([1.0, 2.0], 3.5), {"integer": True}, r"synthetic_samples: expected whole numbers, got 3\.5"),
        (
            (np.ones((3, 4)), [1.0, 2.0]),
            {},
            r"synthetic_samples: expected a value per device, shape \(3,\), got \(2,\)",
        ),
        ((1.0, 2.0), {}, r"class_counts: expected axes \(\.\.\., class\), got shape \(\)"),
        ((np.ones((3, 0)), 1.0), {}, r"class_counts: expected axes \(\.\.\., class\), got shape \(3, 0\)"),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    with pytest.raises(ProblemError, match=rf"^fill_classes\.{message}"):
        fill_classes(*arguments, **options)


# -- the plan --------------------------------------------------------------------------------------------------

PROBLEM = zoo.paper(3, seed=1)
COUNTS = np.array([[1250.0, 0, 0], [625, 425, 200], [416, 417, 417]])


def test_the_plan_adds_up():
    solution = PROBLEM.solve()
    plan = augmentation_plan(solution, COUNTS, classes=["cat", "dog", "frog"])
    assert plan.index.names == ["device", "class"]
    np.testing.assert_allclose(
        plan.groupby("device")["synthetic_samples"].sum(), solution.synthetic_samples, rtol=1e-12
    )
    np.testing.assert_allclose(plan.groupby("device")["samples"].sum(), solution.samples, rtol=1e-12)
    assert plan.loc[(0, "cat"), "synthetic_samples"] == 0.0
    assert plan.loc[(0, "dog"), "synthetic_samples"] == pytest.approx(solution.synthetic_samples[0] / 2)


def test_the_plan_in_whole_samples():
    solution = PROBLEM.solve(integer=True)
    plan = augmentation_plan(solution, COUNTS, integer=True)
    assert (plan["synthetic_samples"] == np.floor(plan["synthetic_samples"])).all()
    np.testing.assert_array_equal(
        plan.groupby("device")["synthetic_samples"].sum(), solution.synthetic_samples
    )
    with pytest.raises(ProblemError, match=r"fill_classes\.synthetic_samples: expected whole numbers"):
        augmentation_plan(PROBLEM.solve(), COUNTS, integer=True)


@pytest.mark.parametrize(
    ("counts", "classes", "message"),
    [
        (COUNTS[:2], None, r"class_counts: expected shape \(3, classes\), a row per device, got \(2, 3\)"),
        (COUNTS[0], None, r"class_counts: expected shape \(3, classes\), a row per device, got \(3,\)"),
        (
            COUNTS * 2,
            None,
            r"class_counts: expected rows that add up to local_samples \(1250\), got 2500\.0 at",
        ),
        (-COUNTS, None, r"class_counts: expected >= 0"),
        (COUNTS, ["cat", "dog"], r"classes: expected 3 names, got 2"),
    ],
)
def test_counts_that_do_not_fit_are_named(counts, classes, message):
    with pytest.raises(ProblemError, match=rf"^augmentation_plan\.{message}"):
        augmentation_plan(PROBLEM.solve(), counts, classes=classes)


def test_no_plan_without_a_single_answer():
    with pytest.raises(
        ProblemError, match=r"expected a single instance, got a batch \(2,\): use solution\[i\]"
    ):
        augmentation_plan(zoo.paper(3, count=2).solve(), COUNTS)
    nothing = PROBLEM.replace(bandwidth_hz=1e3).solve(throw=False)
    with pytest.raises(ProblemError, match=r"^augmentation_plan: INFEASIBLE"):
        augmentation_plan(nothing, COUNTS)
