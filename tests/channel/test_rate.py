"""Rates: the closed form against Monte Carlo, quadrature and its limits; the noise bandwidth by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from radioopt.base.errors import ProblemError
from radioopt.channel import channel_gain, ergodic_rate_bps, rate_bps, rayleigh_power_gain, snr
from radioopt.units import db_to_linear, dbm_per_hz_to_w_per_hz, dbm_to_w, linear_to_db

any_snr = st.floats(1e-12, 1e12)


@pytest.mark.parametrize("mean_snr_db", [-20.0, 0.0, 10.0, 40.0])
def test_ergodic_rate_against_monte_carlo(mean_snr_db):
    """Within 4 standard errors of the mean over 200,000 fading states."""
    mean_snr = db_to_linear(mean_snr_db)
    sample = rate_bps(mean_snr * rayleigh_power_gain(np.random.default_rng(11), 200_000), 1e6)
    assert abs(sample.mean() - ergodic_rate_bps(mean_snr, 1e6)) < 4 * sample.std() / math.sqrt(sample.size)


@pytest.mark.parametrize("mean_snr", [0.01, 0.5, 1.0, 2.0, 30.0, 1e4])
def test_ergodic_rate_against_quadrature(mean_snr):
    expected, _ = integrate.quad(
        lambda x: math.exp(-x) * math.log2(1 + mean_snr * x), 0, 60, epsabs=0, epsrel=1e-11, limit=200
    )
    assert ergodic_rate_bps(mean_snr, 1.0) == pytest.approx(expected, rel=1e-9)


@given(mean_snr=any_snr)
def test_jensen(mean_snr):
    """Fading costs rate, and never more than gamma / ln 2 = 0.83 bit/s per Hz."""
    ergodic, static = ergodic_rate_bps(mean_snr, 1.0), rate_bps(mean_snr, 1.0)
    assert static - np.euler_gamma / math.log(2) - 1e-12 <= ergodic <= static * (1 + 1e-14)


@pytest.mark.parametrize("rate", [rate_bps, ergodic_rate_bps])
@given(ratio=any_snr, factor=st.floats(1.001, 10.0))
def test_increasing_in_snr_and_proportional_to_bandwidth(rate, ratio, factor):
    assert rate(ratio * factor, 1e6) > rate(ratio, 1e6)
    assert rate(ratio, 4e6) == 4 * rate(ratio, 1e6)


@pytest.mark.parametrize("rate", [rate_bps, ergodic_rate_bps])
def test_tiny_snr(rate):
    """Both rates become W SNR / ln 2; 1 + SNR would round to 1 here."""
    for tiny in (1e-17, 1e-100, 1e-300):
        assert rate(tiny, 1e6) == pytest.approx(1e6 * tiny / math.log(2), rel=1e-14)
    assert rate(5e-324, 1.0) == pytest.approx(0.0, abs=1e-300)


def test_huge_snr():
    """ln SNR, less Euler's gamma under fading."""
    for huge in (1e20, 1e100, 1e308):
        assert rate_bps(huge, 1.0) == pytest.approx(math.log2(huge), rel=1e-14)
        assert ergodic_rate_bps(huge, 1.0) == pytest.approx(
            (math.log(huge) - np.euler_gamma) / math.log(2), rel=1e-14
        )


def test_rate_by_hand():
    assert rate_bps(0.0, 1e6) == 0.0
    assert rate_bps([1.0, 3.0, 7.0], 1e6) == pytest.approx([1e6, 2e6, 3e6], rel=1e-15)


def test_link_budget_of_the_paper_by_hand():
    """28 dBm, 200 m, -174 dBm/Hz over 10 MHz: 28 - 101.819 + 104 = 30.181 dB, and not 100 dB."""
    link = {"transmit_power_w": dbm_to_w(28.0), "channel_gain": channel_gain(200.0)}
    noise_psd = dbm_per_hz_to_w_per_hz(-174.0)
    at_10_mhz = snr(**link, noise_psd_w_per_hz=noise_psd, bandwidth_hz=10e6)
    assert linear_to_db(at_10_mhz) == pytest.approx(28.0 - (128.1 - 37.6 * 0.6989700043) + 104.0, abs=1e-8)
    assert snr(**link, noise_psd_w_per_hz=noise_psd, bandwidth_hz=1e6) == pytest.approx(
        10 * at_10_mhz, rel=1e-14
    )


def test_shapes_broadcast():
    rate = ergodic_rate_bps(np.ones((5, 1)), np.array([1e6, 2e6, 3e6]))
    assert rate.shape == (5, 3)
    for function in (rate_bps, ergodic_rate_bps):
        assert type(function(1, 1)) is float
        assert function(np.ones((0, 3)), 1.0).shape == (0, 3)
    ratio = snr(
        transmit_power_w=1.0, channel_gain=[1.0, 0.0], noise_psd_w_per_hz=1.0, bandwidth_hz=[[1.0], [2.0]]
    )
    assert ratio.tolist() == [[1.0, 0.0], [0.5, 0.0]]


def test_noise_is_passed_by_name():
    with pytest.raises(TypeError, match="positional"):
        snr(1.0, 1.0, 10e6, 4e-21)


GOOD = {"transmit_power_w": 0.1, "channel_gain": 1e-12, "noise_psd_w_per_hz": 4e-21, "bandwidth_hz": 1e6}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ergodic_rate_bps([1.0, 1.0, 1.0, np.nan] * 3, 1e6),
            r"ergodic_rate_bps\.mean_snr: expected a finite number > 0, got nan at index 3 \(3 of 12 invalid\)",
        ),
        (lambda: ergodic_rate_bps(0.0, 1e6), r"ergodic_rate_bps\.mean_snr: expected > 0, got 0\.0"),
        (
            lambda: ergodic_rate_bps(1.0, np.inf),
            r"ergodic_rate_bps\.bandwidth_hz: expected a finite number > 0, got inf",
        ),
        (
            lambda: ergodic_rate_bps([1.0] * 3, [1.0] * 2),
            r"ergodic_rate_bps: .*mean_snr \(3,\), bandwidth_hz \(2,\)",
        ),
        (lambda: rate_bps(-0.5, 1e6), r"rate_bps\.snr: expected >= 0, got -0\.5"),
        (lambda: rate_bps(1.0, -1.0), r"rate_bps\.bandwidth_hz: expected > 0, got -1\.0"),
        (
            lambda: snr(**GOOD | {"noise_psd_w_per_hz": -174.0}),
            r"snr\.noise_psd_w_per_hz: expected > 0, got -174\.0; is it in dBm/Hz\? .*dbm_per_hz_to_w_per_hz",
        ),
        (
            lambda: snr(**GOOD | {"transmit_power_w": -1.0}),
            r"snr\.transmit_power_w: expected >= 0, got -1\.0; is it in dBm\? radioopt\.units\.dbm_to_w converts it",
        ),
        (
            lambda: snr(**GOOD | {"channel_gain": np.nan}),
            r"snr\.channel_gain: expected a finite number >= 0, got nan",
        ),
        (lambda: snr(**GOOD | {"bandwidth_hz": 0.0}), r"snr\.bandwidth_hz: expected > 0, got 0\.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call()
