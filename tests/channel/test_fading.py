"""Rayleigh power gains are exponential of mean one."""

import numpy as np
import pytest
from scipy import stats

from radioopt.base.errors import ProblemError
from radioopt.channel import rayleigh_power_gain


def test_exponential_of_mean_one():
    gain = rayleigh_power_gain(np.random.default_rng(3), 40_000)
    assert stats.kstest(gain, "expon").pvalue > 1e-3
    assert abs(gain.mean() - 1.0) < 4 / np.sqrt(gain.size)  # standard deviation one


def test_is_the_squared_amplitude_of_a_complex_normal():
    rng = np.random.default_rng(4)
    amplitude = np.hypot(*rng.normal(0.0, np.sqrt(0.5), (2, 20_000)))
    assert stats.ks_2samp(amplitude**2, rayleigh_power_gain(rng, 20_000)).pvalue > 1e-3


def test_shape_and_reproducibility():
    draws = [rayleigh_power_gain(np.random.default_rng(5), (4, 3)) for _ in range(2)]
    assert draws[0].shape == (4, 3)
    np.testing.assert_array_equal(*draws)


@pytest.mark.parametrize(
    ("rng", "size"), [(0, 3), (None, 3), (np.random.default_rng(0), "3"), (np.random.default_rng(0), -1)]
)
def test_bad_input_is_named(rng, size):
    with pytest.raises(ProblemError, match=r"rayleigh_power_gain\.(rng|size): expected"):
        rayleigh_power_gain(rng, size)
