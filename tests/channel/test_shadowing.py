"""Log-normal shadowing: normal in dB with the standard deviation asked for."""

import math

import numpy as np
import pytest
from scipy import stats

from radioopt.base.errors import ProblemError
from radioopt.channel import PATH_LOSS_MODELS, lognormal_shadowing_db


def test_normal_in_decibels():
    shadowing = lognormal_shadowing_db(np.random.default_rng(1), 40_000, std_db=8.0)
    assert stats.kstest(shadowing / 8.0, "norm").pvalue > 1e-3


def test_mean_of_the_linear_gain():
    """exp((4 ln(10)/10)^2 / 2) = exp(0.4241) = 1.528, to 4 standard errors."""
    gain = 10 ** (-lognormal_shadowing_db(np.random.default_rng(2), 100_000, std_db=4.0) / 10)
    assert abs(gain.mean() - 1.5283) < 4 * gain.std() / math.sqrt(gain.size)


def test_a_standard_deviation_per_link():
    std = np.array([0.0, 4.0, 7.82])
    shadowing = lognormal_shadowing_db(np.random.default_rng(3), (20_000, 3), std)
    assert (shadowing[:, 0] == 0).all()
    np.testing.assert_allclose(shadowing.std(axis=0), std, rtol=4 / math.sqrt(2 * 20_000))
    again = lognormal_shadowing_db(np.random.default_rng(3), (20_000, 3), std)
    np.testing.assert_array_equal(shadowing, again)


def test_tr_36942_names_ten_decibels():
    assert {model.shadowing_std_db for model in PATH_LOSS_MODELS.values()} == {10.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 3, 8.0), r"lognormal_shadowing_db\.rng: expected a numpy\.random\.Generator"),
        ((np.random.default_rng(1), -1, 8.0), r"lognormal_shadowing_db\.size: expected"),
        ((np.random.default_rng(1), 3, -8.0), r"lognormal_shadowing_db\.std_db: expected >= 0, got -8\.0"),
        (
            (np.random.default_rng(1), 3, [1.0, 2.0]),
            r"std_db: expected a shape that broadcasts to \(3,\), got \(2,\)",
        ),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ProblemError, match=message):
        lognormal_shadowing_db(*arguments)
