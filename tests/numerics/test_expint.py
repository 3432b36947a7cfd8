"""e^z E1(z) against 50-digit arithmetic, and the identities that hold at every z."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radioopt.base.errors import ProblemError
from radioopt.numerics.expint import SERIES_BELOW, exp_e1_scalar, scaled_exp1


def relative_error(z):
    """Largest relative error over an array of arguments."""
    with mpmath.workdps(50):
        exact = [mpmath.exp(x) * mpmath.e1(x) for x in map(mpmath.mpf, z.tolist())]
        return max(
            float(abs(mpmath.mpf(value) / e - 1))
            for value, e in zip(scaled_exp1(z).tolist(), exact, strict=True)
        )


def around_the_switch():
    steps = np.array([1, 2, 5, 100])
    near = [SERIES_BELOW + sign * k * math.ulp(SERIES_BELOW) for k in steps for sign in (-1, 1)]
    return np.concatenate([near, [SERIES_BELOW], np.linspace(0.7, 1.4, 351)])


@pytest.mark.parametrize(
    "z",
    [
        pytest.param(np.logspace(-16, 16, 641), id="log-spaced"),
        pytest.param(10.0 ** np.random.default_rng(1).uniform(-16, 16, 500), id="random"),
        pytest.param(np.random.default_rng(2).uniform(0.01, 10, 500), id="moderate"),
        pytest.param(around_the_switch(), id="switch"),
    ],
)
def test_relative_error(z):
    assert relative_error(z) < 1e-14


def test_beyond_the_range():
    extremes = np.array([5e-324, 1e-300, 1e-20, 709.0, 710.0, 1e17, 1e300])
    assert relative_error(extremes) < 1e-14


def test_against_a_tabulated_value():
    # E1(1) as in Abramowitz and Stegun, table 5.1
    assert scaled_exp1(1.0) == pytest.approx(0.2193839343955203 * math.e, rel=1e-14)


@given(st.floats(1e-300, 1e300))
def test_between_the_classical_bounds(z):
    """ln(1 + 2/z)/2 < e^z E1(z) < ln(1 + 1/z), DLMF 6.8.1, up to rounding."""
    value = scaled_exp1(z)
    slack = 1e-14 * value
    assert 0.5 * math.log1p(2.0 / z) - slack <= value <= math.log1p(1.0 / z) + slack


@given(st.floats(1e-16, 1e16), st.floats(1.0, 2.0))
def test_decreasing(z, factor):
    assert scaled_exp1(z * factor) <= scaled_exp1(z) * (1.0 + 1e-14)


def test_special_values():
    z = np.array([0.0, -0.0, np.inf, np.nan, 1.0])
    np.testing.assert_array_equal(scaled_exp1(z), [np.inf, np.inf, 0.0, np.nan, scaled_exp1(1.0)])
    assert math.isnan(exp_e1_scalar(-1.0))


@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3), (2, 0, 3), (2, 1, 4)])
def test_any_shape_elementwise(shape):
    z = np.random.default_rng(3).uniform(0.1, 5.0, shape)
    result = scaled_exp1(z)
    assert np.shape(result) == shape
    expected = [exp_e1_scalar(x) for x in z.ravel().tolist()]
    assert np.ravel(result).tolist() == expected


def test_any_layout_and_the_argument_is_left_alone():
    z = np.arange(1.0, 13.0).reshape(3, 4)
    for view in (z.T, z[::2, ::-1], np.asfortranarray(z)):
        np.testing.assert_array_equal(scaled_exp1(view), scaled_exp1(view.tolist()))
    z.flags.writeable = False
    scaled_exp1(z)
    assert z[0, 0] == 1.0
    assert type(scaled_exp1(2)) is float


@pytest.mark.parametrize(
    ("z", "message"),
    [
        ([1.0, -2.0, -3.0], r"scaled_exp1\.z: expected >= 0, got -2\.0 at index 1 \(2 of 3 invalid\)"),
        (-np.inf, r"scaled_exp1\.z: expected >= 0, got -inf"),
        ("one", r"scaled_exp1\.z: expected real numbers"),
    ],
)
def test_bad_input_is_named(z, message):
    with pytest.raises(ProblemError, match=message):
        scaled_exp1(z)
