"""Decibels against numbers worked out by hand, and both ways round."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radioopt import units
from radioopt.base.errors import ProblemError

PAIRS = [
    (units.db_to_linear, units.linear_to_db),
    (units.dbm_to_w, units.w_to_dbm),
    (units.dbm_per_hz_to_w_per_hz, units.w_per_hz_to_dbm_per_hz),
]


@pytest.mark.parametrize(
    ("convert", "level", "linear"),
    [
        (units.db_to_linear, 0.0, 1.0),
        (units.db_to_linear, 10.0 * math.log10(2.0), 2.0),
        (units.db_to_linear, -30.0, 1e-3),
        (units.dbm_to_w, 0.0, 1e-3),
        (units.dbm_to_w, 28.0, 10.0**-0.2),
        (units.dbm_to_w, 46.0, 10.0**1.6),
        (units.dbm_per_hz_to_w_per_hz, -174.0, 10.0**-20.4),
    ],
)
def test_by_hand(convert, level, linear):
    assert convert(level) == pytest.approx(linear, rel=1e-14)


@pytest.mark.parametrize(("to_linear", "to_level"), PAIRS)
@given(level=st.floats(-250.0, 250.0))
def test_round_trip(to_linear, to_level, level):
    assert to_level(to_linear(level)) == pytest.approx(level, abs=1e-12)


@pytest.mark.parametrize(("to_linear", "to_level"), PAIRS)
def test_no_power_is_minus_infinity(to_linear, to_level):
    assert to_level(0.0) == -math.inf
    assert to_linear(-math.inf) == 0.0


@pytest.mark.parametrize("convert", [convert for pair in PAIRS for convert in pair])
def test_scalar_gives_float_and_arrays_keep_their_shape(convert):
    for scalar in (1, 1.0, np.float64(1.0), np.array(1.0)):
        assert type(convert(scalar)) is float
    grid = np.arange(6.0).reshape(1, 2, 3)
    assert convert(grid).shape == (1, 2, 3)
    assert convert(grid)[0, 1, 2] == convert(5.0)
    assert convert([]).shape == (0,)


def test_noise_power_at_ten_megahertz():
    psd = units.dbm_per_hz_to_w_per_hz(-174.0)
    assert units.w_to_dbm(units.noise_power_w(psd, 10e6)) == pytest.approx(-104.0, abs=1e-12)
    assert units.w_to_dbm(units.noise_power_w(psd, 10e6, noise_figure_db=9.0)) == pytest.approx(
        -95.0, abs=1e-12
    )
    assert units.noise_power_w([1.0, 2.0], [[1.0], [10.0]]).tolist() == [[1.0, 2.0], [10.0, 20.0]]


def test_thermal_noise_density():
    assert units.w_per_hz_to_dbm_per_hz(units.THERMAL_NOISE_W_PER_HZ) == pytest.approx(-173.975, abs=5e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: units.db_to_linear([0.0, np.nan]),
            r"db_to_linear\.level_db: .* got nan at index 1 \(1 of 2 invalid\)",
        ),
        (lambda: units.dbm_to_w(4000.0), r"dbm_to_w\.power_dbm: .*3000 dB, got 4000\.0"),
        (lambda: units.linear_to_db(-1.0), r"linear_to_db\.ratio: expected >= 0, got -1\.0"),
        (lambda: units.w_to_dbm(np.inf), r"w_to_dbm\.power_w: expected a finite number >= 0, got inf"),
        (
            lambda: units.w_per_hz_to_dbm_per_hz("loud"),
            r"w_per_hz_to_dbm_per_hz\.psd_w_per_hz: expected real numbers",
        ),
        (
            lambda: units.noise_power_w(-174.0, 10e6),
            r"noise_power_w\.noise_psd_w_per_hz: expected > 0, got -174\.0",
        ),
        (lambda: units.noise_power_w(1e-21, 0.0), r"noise_power_w\.bandwidth_hz: expected > 0, got 0\.0"),
        (lambda: units.noise_power_w(1e-21, 1e6, -1.0), r"noise_power_w\.noise_figure_db: .* got -1\.0"),
        (
            lambda: units.noise_power_w([1.0] * 2, [1.0] * 3),
            r"noise_psd_w_per_hz \(2,\), bandwidth_hz \(3,\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call()
