"""The learning curve and its fit: noise, outliers, data that determine nothing."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from radioopt import ProblemError
from radioopt.fimi.learning_curve import LEARNING_CURVES, CurveFit, LearningCurve, fit_curve

SAMPLES = np.geomspace(50, 20_000, 25)
TRUE = LearningCurve(alpha=4.0, beta=0.3, gamma=0.1)


def test_evaluates_equation_1():
    assert TRUE.error(1000.0) == pytest.approx(4.0 * 1000.0**-0.3 - 0.1, rel=1e-15)
    assert type(TRUE.error(1000.0)) is float
    crossing = TRUE.samples_at_zero_error
    assert crossing == pytest.approx(40.0 ** (1 / 0.3), rel=1e-12)
    assert TRUE.error(crossing) == pytest.approx(0.0, abs=1e-12)
    assert LearningCurve(1.0, 0.5, 0.0).samples_at_zero_error == math.inf


def test_evaluates_one_curve_per_instance():
    curve = LearningCurve(alpha=[[4.0], [5.0]], beta=0.3, gamma=0.1)
    error = curve.error(SAMPLES)
    assert error.shape == (2, 25)
    np.testing.assert_allclose(error[0], TRUE.error(SAMPLES), rtol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 0.3, 0.1), r"LearningCurve\.alpha: expected > 0, got 0\.0"),
        ((4.0, -0.3, 0.1), r"LearningCurve\.beta: expected > 0, got -0\.3"),
        ((4.0, 0.3, [0.1, -1.0]), r"LearningCurve\.gamma: expected >= 0, got -1\.0 at index 1"),
        ((4.0, math.nan, 0.1), r"LearningCurve\.beta: expected a finite number > 0, got nan"),
        (
            ([1.0, 2.0], [0.3, 0.4, 0.5], 0.1),
            r"expected shapes that broadcast, got alpha \(2,\), beta \(3,\)",
        ),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(ProblemError, match=message):
        LearningCurve(*arguments)


def test_bad_samples_are_named():
    with pytest.raises(
        ProblemError, match=r"LearningCurve\.error\.samples: expected > 0, got -1\.0 at index 1"
    ):
        TRUE.error([1.0, -1.0])


def test_presets_lie_in_the_paper_s_range():
    for name, curve in LEARNING_CURVES.items():
        assert 0 < curve.error(3750.0) < curve.error(1250.0) < 1, name


# -- the fit ---------------------------------------------------------------------------------------------------


@given(st.floats(0.05, 2.0), st.floats(0.0, 0.5), st.floats(0.1, 10.0))
def test_recovers_a_curve_without_noise(beta, offset, first):
    """Whatever the exponent and the offset, the fitted curve is the one that made the data."""
    alpha = first * SAMPLES[0] ** beta
    curve = LearningCurve(alpha, beta, offset * alpha * SAMPLES[-1] ** -beta)
    fit = LearningCurve.fit(SAMPLES, curve.error(SAMPLES))
    assert fit.rms_residual < 1e-6 * first
    np.testing.assert_allclose(fit.curve.error(SAMPLES), curve.error(SAMPLES), atol=1e-6 * first)
    assert fit.curve.beta == pytest.approx(beta, rel=1e-2)


def test_noise_is_averaged():
    """The estimates spread around the truth as the noise does, and hit it on average."""
    rng = np.random.default_rng(1)
    fits = [LearningCurve.fit(SAMPLES, TRUE.error(SAMPLES) + 0.01 * rng.normal(size=25)) for _ in range(60)]
    at = np.array([fit.curve.error(1250.0) for fit in fits])
    assert abs(at.mean() - TRUE.error(1250.0)) < 4 * at.std() / math.sqrt(60)
    assert at.std() < 0.005
    assert np.median([fit.scale for fit in fits]) == pytest.approx(0.01, rel=0.2)


def test_outliers_hardly_move_the_curve():
    rng = np.random.default_rng(2)
    error = TRUE.error(SAMPLES) + 0.01 * rng.normal(size=25)
    clean = LearningCurve.fit(SAMPLES, error)
    spoilt = error.copy()
    spoilt[[3, 10, 20]] += [0.4, -0.3, 0.5]
    fit = LearningCurve.fit(SAMPLES, spoilt)
    assert fit.outliers == 3
    assert set(np.flatnonzero(fit.table["weight"] < 0.1)) == {3, 10, 20}
    moved = np.abs(fit.curve.error(SAMPLES) - clean.curve.error(SAMPLES)).max()
    (alpha, beta, gamma), _ = scipy.optimize.curve_fit(
        lambda d, a, b, g: a * d**-b - g, SAMPLES, spoilt, p0=(4.0, 0.3, 0.1), bounds=(0, [100, 10, 10])
    )
    plain = np.abs(LearningCurve(alpha, beta, gamma).error(SAMPLES) - clean.curve.error(SAMPLES)).max()
    assert moved < 0.03
    assert moved < plain / 3


def test_without_outliers_it_is_least_squares():
    """Where every weight stays 1, a general least-squares solver finds nothing better."""
    samples = np.array([100.0, 200.0, 400.0, 800.0])
    error = np.array([0.7, 0.48, 0.31, 0.16])
    fit = fit_curve(samples, error)
    assert (fit.table["weight"] == 1).all()
    result = scipy.optimize.least_squares(
        lambda x: x[0] * (samples / 300) ** -x[1] - x[2] - error, [0.5, 0.3, 0.1], xtol=1e-15, ftol=1e-15
    )
    assert fit.rms_residual == pytest.approx(np.sqrt(np.mean(result.fun**2)), rel=1e-9)
    assert fit.curve.beta == pytest.approx(result.x[1], rel=1e-4)


def test_the_offset_stops_at_zero():
    fit = fit_curve(
        SAMPLES, 0.2 + 3.0 * SAMPLES**-0.5
    )  # levels off above zero, which no curve of the family does
    assert fit.curve.gamma == 0.0
    assert fit.warnings[-1].startswith("gamma = 0 is its limit")


def test_a_logarithm_is_the_end_of_the_search():
    fit = fit_curve(SAMPLES, 5.0 - 0.4 * np.log(SAMPLES))
    assert fit.curve.beta == pytest.approx(0.01, rel=1e-6)
    assert fit.warnings[0].startswith("beta = 0.01 is an end of the range searched")
    assert fit.rms_residual < 0.02


def test_samples_in_any_unit_and_order():
    rng = np.random.default_rng(3)
    error = TRUE.error(SAMPLES) + 0.01 * rng.normal(size=25)
    fit, order = fit_curve(SAMPLES, error), rng.permutation(25)
    shuffled = fit_curve(SAMPLES[order], error[order])
    scaled = fit_curve(1e6 * SAMPLES, error)
    assert shuffled.curve.beta == pytest.approx(fit.curve.beta, rel=1e-6)
    assert scaled.curve.beta == pytest.approx(fit.curve.beta, rel=1e-6)
    assert scaled.curve.alpha == pytest.approx(fit.curve.alpha * 1e6**fit.curve.beta, rel=1e-4)


def test_a_table_and_two_lists_are_the_same():
    table = pd.DataFrame({"run": 1, "error": TRUE.error(SAMPLES), "samples": SAMPLES})
    fit = LearningCurve.fit(table)
    assert fit.curve == LearningCurve.fit(SAMPLES.tolist(), TRUE.error(SAMPLES).tolist()).curve
    assert isinstance(fit, CurveFit)
    assert list(fit.table.columns) == ["samples", "error", "fitted", "residual", "weight"]
    np.testing.assert_allclose(fit.table["fitted"] + fit.table["residual"], fit.table["error"], rtol=1e-12)
    np.testing.assert_allclose(fit.curve.error(SAMPLES), fit.table["fitted"], rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4]), r"error: expected errors that fall with the samples"),
        (([1, 2, 3, 4], [0.2] * 4), r"error: expected errors that fall with the samples"),
        (([1, 2, 3, 4], [0.0] * 4), r"error: expected errors that fall with the samples"),
        (([1, 2, 2, 1], [0.4, 0.3, 0.3, 0.4]), r"samples: expected at least 3 different counts .* got 2"),
        (([1, 2, 3], [0.4, 0.3]), r"two lists of the same length, got shapes \(3,\) and \(2,\)"),
        ((1.0, 0.4), r"two lists of the same length, got shapes \(\) and \(\)"),
        (([1, 2, 0], [0.4, 0.3, 0.2]), r"samples: expected > 0, got 0\.0 at index 2"),
        (([1, 2, 3], [0.4, np.nan, 0.2]), r"error: expected a finite number, got nan at index 1"),
        (([1, 2, 3],), r"error: expected one error per count of samples, got None"),
        ((pd.DataFrame({"D": [1]}),), r"expected a table with columns samples, error; got D"),
        ((pd.DataFrame({"samples": [1], "error": [1]}), [1]), r"error: expected none beside a table"),
    ],
)
def test_data_that_determine_no_curve(arguments, message):
    with pytest.raises(ProblemError, match=rf"^LearningCurve\.fit.*{message}"):
        LearningCurve.fit(*arguments)


def test_the_plot_shows_measurements_curve_and_outliers():
    error = TRUE.error(SAMPLES) + 0.01 * np.random.default_rng(4).normal(size=25)
    error[5] += 1.0
    above, below = LearningCurve.fit(SAMPLES, error).plot().axes
    points = [line.get_xdata().size for line in above.lines]
    assert points == [200, 24, 1]
    assert [text.get_text() for text in above.get_legend().get_texts()][1] == "outliers"
    assert below.get_ylabel() == "residual"
    clean = LearningCurve.fit(SAMPLES, TRUE.error(SAMPLES)).plot().axes[0]
    assert len(clean.get_legend().get_texts()) == 1
