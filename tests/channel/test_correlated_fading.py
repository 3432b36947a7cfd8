"""Fading over time: Clarke's correlation by hand and by its integral, and a process that has it."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from radioopt.base.errors import ProblemError
from radioopt.channel import clarke_correlation, gauss_markov, power_gain, rayleigh_coefficient

LINKS, BLOCKS = 20_000, 6


def autocorrelation(x, y):
    return np.mean((x - 1.0) * (y - 1.0))  # power gains of mean and variance one


@pytest.fixture(scope="module", params=[0.0, 0.5, 0.95, -0.4])
def process(request):
    """Coefficients of some blocks, and the correlation from one to the next."""
    rng, rho = np.random.default_rng(8), request.param
    blocks = [rayleigh_coefficient(rng, LINKS)]
    for _ in range(BLOCKS - 1):
        blocks.append(gauss_markov(rng, blocks[-1], rho))
    return np.array(blocks), rho


def test_stationary(process):
    """Every block is complex normal: exponential powers of mean one, uniform phases."""
    blocks, _ = process
    for h in (blocks[0], blocks[-1]):
        assert stats.kstest(power_gain(h), "expon").pvalue > 1e-3
        assert stats.kstest(np.angle(h) / (2 * math.pi) + 0.5, "uniform").pvalue > 1e-3
    # E|h|^2 = 1; the variance of its estimate over links is 1/LINKS
    assert (abs((abs(blocks) ** 2).mean(axis=1) - 1.0) < 5 / math.sqrt(LINKS)).all()


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_autocorrelation(process, lag):
    """rho^n of the coefficient and rho^2n of the power after n blocks, to 5 standard errors over links."""
    blocks, rho = process
    amplitude = blocks[lag] * blocks[0].conj()
    expected = rho**lag
    assert abs(amplitude.real.mean() - expected) < 5 * amplitude.real.std() / math.sqrt(LINKS)
    assert abs(amplitude.imag.mean()) < 5 * amplitude.imag.std() / math.sqrt(LINKS)
    product = (power_gain(blocks[0]) - 1.0) * (power_gain(blocks[lag]) - 1.0)
    assert abs(product.mean() - expected**2) < 5 * product.std() / math.sqrt(LINKS)


def test_the_ends():
    rng = np.random.default_rng(9)
    h = rayleigh_coefficient(rng, (3, 4))
    np.testing.assert_array_equal(gauss_markov(rng, h, 1.0), h)
    np.testing.assert_array_equal(gauss_markov(rng, h, -1.0), -h)
    fresh = gauss_markov(np.random.default_rng(1), h, 0.0)
    np.testing.assert_array_equal(fresh, rayleigh_coefficient(np.random.default_rng(1), (3, 4)))
    mixed = gauss_markov(rng, h, [1.0, 0.0, 1.0, 0.0])
    assert (mixed == h).tolist() == [[True, False, True, False]] * 3


def test_clarke_by_hand():
    """J0 is 1 at 0, 0.7651977 at 1, and 0 at 2.404826; a Doppler of 1/(2 pi) Hz makes its argument the time."""
    at = {"speed_mps": 299_792_458.0 / (2e9 * 2 * math.pi), "carrier_frequency_hz": 2e9}
    rho = clarke_correlation(**at, elapsed_s=[0.0, 1.0, 2.404826])
    np.testing.assert_allclose(rho, [1.0, 0.7651977, 0.0], atol=5e-7)
    assert clarke_correlation(speed_mps=0.0, carrier_frequency_hz=2e9, elapsed_s=1e9) == 1.0


@pytest.mark.parametrize("elapsed_s", [0.01, 0.1, 0.7])
def test_clarke_is_the_mean_over_arriving_waves(elapsed_s):
    """The mean of exp(2 pi i f_D T cos(angle)) over all angles, its definition."""
    doppler_hz = 3.0 * 2e9 / 299_792_458.0
    mean, _ = integrate.quad(
        lambda angle: math.cos(2 * math.pi * doppler_hz * elapsed_s * math.cos(angle)) / math.pi,
        0,
        math.pi,
        limit=400,
    )
    rho = clarke_correlation(speed_mps=3.0, carrier_frequency_hz=2e9, elapsed_s=elapsed_s)
    assert rho == pytest.approx(mean, abs=1e-9)


def test_power_gain_by_hand():
    assert power_gain(3 + 4j) == 25.0
    assert type(power_gain(3 + 4j)) is float
    assert power_gain([[1.0, 1j], [3 + 4j, 0.0]]).tolist() == [[1.0, 1.0], [25.0, 0.0]]
    assert power_gain([[1.0, 1j], [3 + 4j, 0.0]], paths_axis=-1).tolist() == [2.0, 25.0]
    assert power_gain(np.array([3 + 4j], np.complex64)).dtype == np.float64


RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: gauss_markov(RNG, [1j, 1j], 1.1),
            r"gauss_markov\.correlation: expected in \[-1, 1\], got 1\.1",
        ),
        (
            lambda: gauss_markov(RNG, [1j, 1j], [0.0] * 3),
            r"correlation: expected a shape that broadcasts to \(2,\)",
        ),
        (lambda: gauss_markov(3, [1j], 0.5), r"rng: expected a numpy\.random\.Generator"),
        (
            lambda: gauss_markov(RNG, [complex("nan")], 0.5),
            r"coefficient: expected finite complex numbers, got nan",
        ),
        (
            lambda: power_gain([1.0, complex("inf")]),
            r"power_gain\.coefficient: expected finite complex .* at index 1",
        ),
        (lambda: power_gain("loud"), r"power_gain\.coefficient: expected complex numbers, got 'loud'"),
        (lambda: power_gain([[1.0], [1.0, 2.0]]), r"power_gain\.coefficient: expected complex numbers"),
        (
            lambda: power_gain([1.0], paths_axis=1),
            r"power_gain\.paths_axis: expected an axis of shape \(1,\), got 1",
        ),
        (
            lambda: clarke_correlation(speed_mps=-1.0, carrier_frequency_hz=2e9, elapsed_s=1.0),
            r"clarke_correlation\.speed_mps: expected >= 0, got -1\.0",
        ),
        (
            lambda: clarke_correlation(speed_mps=1.0, carrier_frequency_hz=0.0, elapsed_s=1.0),
            r"carrier_frequency_hz: expected > 0, got 0\.0",
        ),
        (
            lambda: clarke_correlation(speed_mps=[1.0] * 2, carrier_frequency_hz=2e9, elapsed_s=[1.0] * 3),
            r"clarke_correlation: expected shapes that broadcast",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call()
