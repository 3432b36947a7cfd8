"""The rule that grants a status: both ends of the gap, undefined numbers, floats and arrays alike."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from radioopt.base.certify import Certificate, certify
from radioopt.base.options import SolveOptions
from radioopt.base.status import Status

OPTIONS = SolveOptions(gap_tol=1e-3, feasibility_tol=1e-6)
NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1.0 + 1e-7, 1e308, -1e308, math.inf, -math.inf, math.nan]),
    st.floats(),
)


def judged(objective, bound, residual=0.0, sense="min", **options):
    gap, status = certify(objective, bound, residual, sense=sense, options=OPTIONS, **options)
    return gap, Status(status).name


@pytest.mark.parametrize(
    ("objective", "bound", "gap", "status"),
    [
        (1.0, 1.0, 0.0, "OPTIMAL"),
        (1.0, 0.9995, 0.0005, "OPTIMAL"),
        (1.0, 0.998, 0.002, "FEASIBLE"),
        (1.0, 1.0 + 1e-7, -1e-7, "OPTIMAL"),
        (1.0, 1.0 + 1e-5, -1e-5, "FAILED"),
        (-2.0, -2.0, 0.0, "OPTIMAL"),
        (-2.0, -3.0, 0.5, "FEASIBLE"),
    ],
)
def test_both_ends_of_the_gap(objective, bound, gap, status):
    assert judged(objective, bound) == (pytest.approx(gap, rel=1e-6), status)
    assert judged(-objective, -bound, sense="max") == (pytest.approx(gap, rel=1e-6), status)


def test_the_tolerances_themselves_are_accepted():
    assert judged(1000.0, 999.0) == (1e-3, "OPTIMAL")
    assert judged(1e6, 1e6 + 1) == (-1e-6, "OPTIMAL")
    assert judged(1.0, 1.0, residual=1e-6) == (0.0, "OPTIMAL")
    assert judged(1.0, 1.0, residual=1.1e-6) == (0.0, "FAILED")
    assert judged(1.0, 1.0, residual=-math.inf) == (0.0, "OPTIMAL")


@pytest.mark.parametrize("bound", [-math.inf, math.nan])
def test_no_bound_proves_nothing(bound):
    assert judged(1.0, bound) == (math.inf, "FEASIBLE")


@pytest.mark.parametrize("objective", [math.nan, math.inf, -math.inf])
def test_no_point_is_a_failure(objective):
    gap, status = judged(objective, 1.0)
    assert math.isnan(gap)
    assert status == "FAILED"


def test_a_residual_that_is_no_number_is_a_violation():
    assert judged(1.0, 1.0, residual=math.nan) == (0.0, "FAILED")
    assert judged(1.0, 1.0, residual=math.inf) == (0.0, "FAILED")


def test_an_objective_of_zero():
    assert judged(0.0, 0.0) == (0.0, "OPTIMAL")
    assert judged(0.0, -1e-9) == (math.inf, "FEASIBLE")
    assert judged(0.0, -1e-9, scale=1.0) == (pytest.approx(1e-9), "OPTIMAL")
    assert judged(0.0, 1e-9) == (-math.inf, "FAILED")


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["min", "max"]), st.sampled_from([0.0, 1.0]))
@example(0.0, 1.0, 0.0, "min", 0.0)
@example(1e308, -1e308, 0.0, "min", 0.0)
def test_floats_and_arrays_are_judged_alike(objective, bound, residual, sense, scale):
    one = certify(objective, bound, residual, sense=sense, scale=scale)
    many = certify(np.array([objective]), np.array([bound]), residual, sense=sense, scale=scale)
    numpys = certify(np.float64(objective), np.float64(bound), np.float64(residual), sense=sense, scale=scale)
    np.testing.assert_array_equal(many[0], [one[0]])
    assert many[1].tolist() == [one[1]]
    np.testing.assert_array_equal(numpys[0], one[0])
    assert numpys[1] == one[1]


@given(NUMBERS, NUMBERS, NUMBERS)
def test_optimal_means_feasible_with_a_small_gap(objective, bound, residual):
    gap, status = certify(objective, bound, residual, sense="min")
    if status == Status.OPTIMAL:
        assert residual <= 1e-9
        assert -1e-9 <= gap <= 1e-9
        assert abs(objective - bound) <= 1e-9 * abs(objective)


def test_every_status_of_a_batch_at_once():
    gap, status = certify(
        np.array([1.0, 2.0, 1.0, 1.0, math.nan]), 1.0, np.array([0.0, 0.0, 1.0, 0.0, 0.0]), sense="min"
    )
    assert [Status(code).name for code in status] == ["OPTIMAL", "FEASIBLE", "FAILED", "OPTIMAL", "FAILED"]
    np.testing.assert_array_equal(gap, [0.0, 0.5, 0.0, 0.0, math.nan])


def test_a_certificate_judges_by_its_worst_residual():
    certificate = Certificate.judge(2.0, 2.0, {"power": -1.0, "slots": 1e-3}, sense="min")
    assert certificate.residual == 1e-3
    assert Status(certificate.status) is Status.FAILED
    assert str(certificate) == (
        "certificate: FAILED\n  objective  2\n  bound      2\n  gap        0\n  largest violation\n"
        "    power  0\n    slots  0.001"
    )
    assert repr(certificate) == "<certificate: FAILED, objective 2, bound 2, gap 0, largest violation 0.001>"
    assert str(Certificate.judge(2.0, 2.0, {"power": math.nan}, sense="max")).endswith("power  nan")
    assert Status(Certificate.judge(2.0, 2.0, {"power": math.nan}, sense="max").status) is Status.FAILED


def test_the_status_of_a_single_certificate_prints_its_name():
    certificate = Certificate.judge(1.0, 1.0, {"band": 0.0}, sense="min")
    assert certificate.status is Status.OPTIMAL
    assert f"{certificate.status}" == "OPTIMAL"


def test_a_certificate_of_a_batch_counts():
    residuals = {"power": np.array([0.0, 0.0, 1.0])}
    certificate = Certificate.judge(np.ones(3), np.ones(3), residuals, sense="max")
    assert certificate.status.shape == certificate.gap.shape == (3,)
    assert str(certificate).startswith(
        "certificate: OPTIMAL x 2, FAILED x 1\n  gap        0\n  largest violation\n    power  1"
    )


def test_status_in_words():
    assert [status for status in Status if status.ok] == [Status.OPTIMAL]
    assert [status.name for status in Status if not status.usable] == ["INFEASIBLE", "FAILED"]
    assert all(len(status.message) > 20 for status in Status)
    assert len({status.message for status in Status}) == len(Status)
