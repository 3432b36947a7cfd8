"""Lambert W against 50-digit arithmetic on both branches, and the identities that define it."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radioopt.base.errors import OptionError, ProblemError
from radioopt.numerics import lambert_w, lambert_w_exp
from radioopt.numerics.lambertw import (
    _NEAR_BELOW,
    lambert_w0_exp_scalar,
    lambert_w0_scalar,
    lambert_wm1_scalar,
    one_plus_w0_scalar,
    one_plus_wm1_scalar,
)

INVERSE_E = math.exp(-1)  # the float next to 1/e, 1.2e-17 above it


def ulps(found, exact):
    """Largest distance from the exact values in units in the last place."""
    assert np.isfinite(found).all()
    return max(
        float(abs(mpmath.mpf(value) - e)) / math.ulp(float(e))
        for value, e in zip(found.tolist(), exact, strict=True)
    )


def error(x, branch):
    with mpmath.workdps(50):
        exact = [mpmath.lambertw(mpmath.mpf(value), branch).real for value in x.tolist()]
        return ulps(lambert_w(x, branch), exact)


def towards_the_branch_point(seed, count):
    """From 1/10 above -1/e down to the very next float."""
    x = -INVERSE_E + 10.0 ** np.random.default_rng(seed).uniform(-16.3, -1, count)
    return np.append(x[x > -INVERSE_E], np.nextafter(-INVERSE_E, 0.0))


def around_the_switch():
    steps = _NEAR_BELOW + np.arange(-50, 51) * math.ulp(_NEAR_BELOW)
    return np.concatenate([steps, np.linspace(-0.34, -0.2, 400)])


BOTH = {
    "log_spaced": -(10.0 ** np.linspace(-300, -0.45, 400)),
    "uniform": -np.random.default_rng(1).uniform(0.0, INVERSE_E, 1000),
    "branch_point": towards_the_branch_point(2, 1000),
    "switch": around_the_switch(),
    "subnormal": np.array([-5e-324, -1e-310]),
}
POSITIVE = {
    "wide": 10.0 ** np.linspace(-320, 308, 400),
    "moderate": np.random.default_rng(3).uniform(0.0, 50.0, 500),
}


@pytest.mark.parametrize("branch", [0, -1])
@pytest.mark.parametrize("name", BOTH)
def test_within_three_ulp(name, branch):
    assert error(BOTH[name], branch) < 3.0


@pytest.mark.parametrize("name", POSITIVE)
def test_within_three_ulp_of_positive_numbers(name):
    assert error(POSITIVE[name], 0) < 3.0


@pytest.mark.slow
@pytest.mark.parametrize("count", [1000, pytest.param(5000, marks=pytest.mark.exhaustive)])
def test_within_three_ulp_of_many(count):
    rng = np.random.default_rng(4)
    for branch in (0, -1):
        assert error(-rng.uniform(0.2, INVERSE_E, 4 * count), branch) < 3.0
        assert error(towards_the_branch_point(5, count), branch) < 3.0


def test_logarithmic_form_within_three_ulp():
    rng = np.random.default_rng(6)
    z = np.concatenate(
        [rng.uniform(-740, 2, 200), rng.uniform(1.9, 2.1, 100), 10 ** rng.uniform(0, 300, 200)]
    )
    with mpmath.workdps(50):
        exact = []
        for value in map(mpmath.mpf, z.tolist()):
            w = mpmath.mpf(lambert_w_exp(float(value)))
            for _ in range(4):  # Newton's method from 16 digits
                w -= (w + mpmath.log(w) - value) / (1 + 1 / w)
            exact.append(w)
        assert ulps(lambert_w_exp(z), exact) < 3.0


@given(st.floats(-1.0, 700.0))
def test_inverts_w_exp_w(w):
    x = w * math.exp(w)
    if x > -0.36:  # nearer to the branch point x does not determine w
        assert lambert_w(x) == pytest.approx(w, rel=1e-13, abs=1e-300)


@given(st.floats(-700.0, -1.2))
def test_inverts_w_exp_w_on_the_lower_branch(w):
    assert lambert_w(w * math.exp(w), branch=-1) == pytest.approx(w, rel=1e-13)


@given(st.floats(-700.0, 700.0))
def test_both_forms_agree(z):
    assert lambert_w_exp(z) == pytest.approx(lambert_w(math.exp(z)), rel=1e-13)


@pytest.mark.parametrize(("function", "branch"), [(one_plus_w0_scalar, 0), (one_plus_wm1_scalar, -1)])
def test_distance_from_the_branch_point_keeps_its_digits(function, branch):
    """1 + W is small where W is near -1, and as good as the rest."""
    rng = np.random.default_rng(9)
    s = np.concatenate(
        [10.0 ** rng.uniform(-30, -1, 500), 10.0 ** rng.uniform(-5, -3, 300), rng.uniform(0, 1, 300)]
    )
    with mpmath.workdps(60):
        for value in s.tolist():
            exact = 1 + mpmath.lambertw((mpmath.mpf(value) - 1) / mpmath.e, branch).real
            assert float(abs(function(value) / exact - 1)) < 2e-14
    assert function(0.0) == 0.0
    assert math.isnan(function(-0.1))


@given(st.floats(-INVERSE_E, 1e300), st.floats(1e-12, 1.0))
def test_increasing(x, step):
    assert lambert_w(x + step * (1 + abs(x))) >= lambert_w(x)


def test_special_values():
    x = np.array([-INVERSE_E, 0.0, math.e, math.inf, math.nan])
    np.testing.assert_array_equal(lambert_w(x)[[0, 1, 3, 4]], [-1.0, 0.0, math.inf, math.nan])
    assert lambert_w(math.e) == pytest.approx(1.0, rel=1e-15)
    np.testing.assert_array_equal(lambert_w([-INVERSE_E, 0.0, math.nan], -1), [-1.0, -math.inf, math.nan])
    np.testing.assert_array_equal(lambert_w_exp([-math.inf, math.inf, math.nan]), [0.0, math.inf, math.nan])
    assert math.isnan(lambert_w0_scalar(-0.4))
    assert math.isnan(lambert_wm1_scalar(-0.4))
    assert math.isnan(lambert_wm1_scalar(0.1))


@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3), (2, 0, 3)])
def test_any_shape_elementwise(shape):
    x = -np.random.default_rng(7).uniform(0.01, 0.36, shape)
    for call, scalar in (
        (lambert_w, lambert_w0_scalar),
        (lambda x: lambert_w(x, -1), lambert_wm1_scalar),
        (lambert_w_exp, lambert_w0_exp_scalar),
    ):
        result = call(x)
        assert np.shape(result) == shape
        assert np.ravel(result).tolist() == [scalar(value) for value in x.ravel().tolist()]


def test_any_layout_and_the_argument_is_left_alone():
    x = np.arange(1.0, 13.0).reshape(3, 4)
    for view in (x.T, x[::2, ::-1], np.asfortranarray(x)):
        np.testing.assert_array_equal(lambert_w(view), lambert_w(view.tolist()))
    x.flags.writeable = False
    lambert_w(x)
    lambert_w_exp(x)
    assert x[0, 0] == 1.0
    assert type(lambert_w(2)) is float
    assert type(lambert_w_exp(2)) is float


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([1.0, -0.5, -3.0],),
            ProblemError,
            r"lambert_w\.x: expected >= -1/e = -0\.36787944117144233, got -0\.5 at index 1 \(2 of 3 invalid\)",
        ),
        (([-0.1, 0.5], -1), ProblemError, r"expected in \[-1/e, 0\] for branch -1, got 0\.5 at index 1"),
        (("one",), ProblemError, r"lambert_w\.x: expected real numbers"),
        ((0.1, 1), OptionError, r"lambert_w: branch: expected 0 or -1, got 1"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        lambert_w(*arguments)
