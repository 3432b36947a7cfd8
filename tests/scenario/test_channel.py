"""The channel of a scenario: statistical path loss, shadowing, moving devices, gains from elsewhere."""

import copy
import math
import pickle

import numpy as np
import pytest
from scipy.special import j0

from radioopt import ProblemError, Scenario
from radioopt.channel import Tr38901UMa, Tr38901UMi, power_gain
from radioopt.scenario import MissingQuantityError

CPU = Scenario.load("feel-cpu").to_dict()


def scenario(base=CPU, count=None, **cell):
    """Return a scenario with keys of its cell changed; None takes a key out."""
    config = copy.deepcopy(base)
    config["cell"] = {k: v for k, v in (config["cell"] | cell).items() if v is not None}
    if count is not None:
        config["devices"]["count"] = count
    return Scenario.from_dict(config)


UMA = {"path_loss": "tr38901_uma", "carrier_frequency_hz": 3.5e9}
MOVING = {"fading": "block", "speed_mps": 1.0, "carrier_frequency_hz": 2e9, "round_duration_s": 0.02}


def given_distances(distance_m, **cell):
    config = copy.deepcopy(CPU)
    del config["cell"]["radius_m"]
    config["cell"] |= cell
    config["devices"]["distance_m"] = distance_m
    return Scenario.from_dict(config)


# -- path loss -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("tr38901_uma", Tr38901UMa), ("tr38901_umi", Tr38901UMi)])
def test_gain_is_that_of_the_drawn_state(name, kind):
    devices = scenario(path_loss=name, carrier_frequency_hz=3.5e9).draw(1, size=500)
    model = kind(carrier_frequency_hz=3.5e9)
    assert devices.line_of_sight.dtype == bool
    loss = model.link_loss_db(devices.distance_m, devices.line_of_sight)
    np.testing.assert_allclose(devices.channel_gain, 10 ** (-loss / 10), rtol=1e-12)
    probability = model.line_of_sight_probability(devices.distance_m)
    error = math.sqrt((probability * (1 - probability)).mean() / probability.size)
    assert abs(devices.line_of_sight.mean() - probability.mean()) < 4 * error
    assert devices.problem("feel").solve().status.shape == (500,)
    with pytest.raises(
        MissingQuantityError, match=r"shadowing_db: the scenario does not give cell\.shadowing"
    ):
        _ = devices.shadowing_db
    assert "line_of_sight" in repr(devices)
    assert devices.to_frame()["line_of_sight"].dtype == bool


def test_heights_and_state_are_taken():
    cell = {"base_station_height_m": 30.0, "device_height_m": 4.5, "line_of_sight": False}
    devices = scenario(**UMA, **cell).draw(1)
    model = Tr38901UMa(carrier_frequency_hz=3.5e9, base_station_height_m=30.0, device_height_m=4.5)
    assert not devices.line_of_sight.any()
    loss = model.link_loss_db(devices.distance_m, False)
    np.testing.assert_allclose(devices.channel_gain, 10 ** (-loss / 10), rtol=1e-12)


def test_gain_at_1m_in_decibels():
    law = scenario(path_loss={"exponent": 3.0, "gain_at_1m_db": -30.0})
    assert law.cell.path_loss.gain_at_1m == pytest.approx(1e-3, rel=1e-14)
    assert Scenario.from_dict(law.to_dict()) == law


# -- shadowing -----------------------------------------------------------------------------------------------


def test_shadowing_moves_the_gain_alone():
    plain, shadowed = (scenario(**UMA, shadowing=on).draw(1, size=300) for on in (False, True))
    for name in ("distance_m", "line_of_sight", "cpu_frequency_hz"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(shadowed, name))
    factor = 10 ** (-shadowed.shadowing_db / 10)
    np.testing.assert_allclose(shadowed.channel_gain, plain.channel_gain * factor, rtol=1e-12)
    for state, std in ((True, 4.0), (False, 6.0)):
        drawn = shadowed.shadowing_db[shadowed.line_of_sight == state]
        assert drawn.std() == pytest.approx(std, rel=4 / math.sqrt(2 * drawn.size))


@pytest.mark.parametrize(
    ("cell", "std_db"),
    [
        ({}, 10.0),  # TR 36.942
        ({"shadowing_std_db": 8.0}, 8.0),
        ({"path_loss": {"exponent": 3.0}, "shadowing_std_db": 7.0}, 7.0),
        ({**UMA, "shadowing_std_db": 0.0}, 0.0),
    ],
)
def test_standard_deviation(cell, std_db):
    shadowing = scenario(shadowing=True, **cell).draw(2, size=1000).shadowing_db
    assert shadowing.std() == pytest.approx(std_db, rel=4 / math.sqrt(2 * shadowing.size))


# -- fading --------------------------------------------------------------------------------------------------


def powers(devices):
    """Power gain of the fading alone, mean one."""
    mean = devices.channel_gain * devices.transmit_power_w
    return devices.uplink_snr / (mean / (devices.noise_psd_w_per_hz * devices.bandwidth_hz)[..., None])


def test_moving_devices_are_correlated_over_rounds():
    """Power correlation J0(2 pi v f T / c)^2 after a round, to the fourth after two, to 5 standard errors."""
    rng = np.random.default_rng(5)
    first = scenario(**MOVING).draw(1, size=2000)
    second = first.fade(rng)
    third = second.fade(rng)
    rho = j0(2 * math.pi * 1.0 * 2e9 * 0.02 / 299_792_458.0)
    assert 0.8 < rho < 0.9
    one, two, three = (powers(devices).ravel() for devices in (first, second, third))
    for later, expected in ((two, rho**2), (three, rho**4)):
        product = (one - 1) * (later - 1)
        assert abs(product.mean() - expected) < 5 * product.std() / math.sqrt(product.size)
        assert abs(later.mean() - 1) < 5 / math.sqrt(later.size)
    down = (second.downlink_snr / second.channel_gain).ravel()  # on another frequency, so independent
    assert abs(np.corrcoef(two, down)[0, 1]) < 5 / math.sqrt(two.size)
    np.testing.assert_array_equal(second.distance_m, first.distance_m)


def test_rest_and_elapsed_time():
    devices = scenario(**MOVING).draw(1, size=3)
    still = devices.fade(np.random.default_rng(2), elapsed_s=0.0)
    np.testing.assert_allclose(still.uplink_snr, devices.uplink_snr, rtol=1e-14)
    default, same = (
        devices.fade(np.random.default_rng(2), elapsed_s=time).uplink_snr for time in (None, 0.02)
    )
    np.testing.assert_array_equal(default, same)
    per_draw = devices.fade(np.random.default_rng(2), elapsed_s=[0.0, 0.02, 5.0]).uplink_snr
    np.testing.assert_array_equal(per_draw[:2], [still.uplink_snr[0], same[1]])
    at_rest = scenario(**MOVING | {"speed_mps": 0.0}).draw(1)
    assert at_rest.fade(np.random.default_rng(2)) == at_rest


def test_without_speed_time_does_not_matter():
    devices = scenario(fading="block").draw(1, size=2000)
    rng = np.random.default_rng(3)
    faded = devices.fade(rng, elapsed_s=0.0)
    product = ((powers(devices) - 1) * (powers(faded) - 1)).ravel()
    assert abs(product.mean()) < 5 * product.std() / math.sqrt(product.size)


def test_the_state_goes_along():
    """Copies and selections fade like the original."""
    devices = scenario(**MOVING).draw(1, size=4)
    clone = pickle.loads(pickle.dumps(devices))
    assert clone.fade(np.random.default_rng(4)) == devices.fade(np.random.default_rng(4))
    near = devices[1].fade(np.random.default_rng(4), elapsed_s=1e-6)
    np.testing.assert_allclose(near.uplink_snr, devices[1].uplink_snr, rtol=0.01)


def test_no_fading():
    devices = scenario(fading="none").draw(1)
    np.testing.assert_allclose(devices.uplink_rate_bps, 10e6 * np.log2(1 + devices.uplink_snr), rtol=1e-12)
    assert devices.fade(np.random.default_rng(1)) is devices


@pytest.mark.parametrize(
    ("elapsed_s", "message"),
    [
        (-1.0, r"^Devices\.fade\.elapsed_s: expected >= 0, got -1\.0$"),
        ([1.0, 2.0], r"^Devices\.fade\.elapsed_s: expected a shape that broadcasts to \(3,\), got \(2,\)$"),
    ],
)
def test_bad_times(elapsed_s, message):
    with pytest.raises(ProblemError, match=message):
        scenario(**MOVING).draw(1, size=3).fade(np.random.default_rng(1), elapsed_s=elapsed_s)


# -- gains from elsewhere ------------------------------------------------------------------------------------


def test_given_gains_by_hand():
    """A gain of 1e-9 with 28 dBm and -104 dBm of noise: 28 - 90 + 104 = 42 dB."""
    devices = scenario(**UMA, shadowing=True, fading="none").draw(1, size=2)
    gain = np.full((2, 12), 1e-9)
    traced = devices.with_channel_gain(gain)
    np.testing.assert_array_equal(traced.channel_gain, gain)
    np.testing.assert_allclose(traced.uplink_snr, 10**4.2, rtol=1e-12)
    np.testing.assert_allclose(traced.downlink_rate_bps, 10e6 * math.log2(1 + 10**4.2), rtol=1e-12)
    for name in ("line_of_sight", "shadowing_db"):
        assert hasattr(devices, name)
        assert not hasattr(traced, name)
    assert traced.problem("feel").solve().status.shape == (2,)
    assert devices.with_channel_gain(np.full(12, 1e-9)) == traced


@pytest.mark.parametrize("cell", [{}, {"fading": "block"}, MOVING])
def test_a_devices_own_gains_change_nothing(cell):
    devices = scenario(**cell).draw(1, size=3)
    assert devices.with_channel_gain(devices.channel_gain) == devices
    faded = devices.with_channel_gain(2 * devices.channel_gain).fade(np.random.default_rng(1))
    np.testing.assert_allclose(faded.uplink_snr, 2 * devices.fade(np.random.default_rng(1)).uplink_snr)


def test_coefficients_of_a_tracer():
    """Two paths of amplitude 3e-5 and 4e-5 carry 25e-10 of the power."""
    coefficient = np.tile([3e-5, 4e-5j], (12, 1))
    devices = scenario().draw(1).with_channel_gain(power_gain(coefficient, paths_axis=-1))
    np.testing.assert_allclose(devices.channel_gain, 25e-10, rtol=1e-14)


@pytest.mark.parametrize(
    ("gain", "message"),
    [
        (
            np.full(12, 1e-5j),
            r"expected power gains, got complex coefficients; take radioopt\.channel\.power_gain",
        ),
        (np.full(11, 1e-9), r"expected 12 values along the last axis, one per device, got shape \(11,\)"),
        (1e-9, r"expected 12 values along the last axis, one per device, got shape \(\)"),
        (np.full((3, 12), 1e-9), r"expected a shape that broadcasts to \(2, 12\), got \(3, 12\)"),
        (np.full((4, 2, 12), 1e-9), r"expected a shape that broadcasts to \(2, 12\), got \(4, 2, 12\)"),
        (np.zeros(12), r"expected > 0, got 0\.0 at index 0 \(12 of 12 invalid\)"),
    ],
)
def test_bad_gains(gain, message):
    with pytest.raises(ProblemError, match=rf"^Devices\.with_channel_gain\.channel_gain: {message}"):
        scenario().draw(1, size=2).with_channel_gain(gain)


# -- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"path_loss": "tr38901_uma"}, r"carrier_frequency_hz: missing: path_loss = 'tr38901_uma' needs it"),
        (
            {"path_loss": "tr38901_umi", "carrier_frequency_hz": 3.5},
            r"carrier_frequency_hz: expected between 0\.5e9 and 100e9 Hz, as in TR 38\.901, got 3\.5",
        ),
        (
            {**UMA, "device_height_m": 30.0},
            r"device_height_m: expected between 1\.5 and 22\.5 m, .*, got 30\.0",
        ),
        (
            {**UMA, "base_station_height_m": 1.5},
            r"base_station_height_m: expected more than device_height_m = 1\.5.*",
        ),
        ({**UMA, "line_of_sight": "no"}, r"line_of_sight: expected true or false, got 'no'"),
        ({**UMA, "min_distance_m": 9.0}, r"min_distance_m: expected 10 to 5000 m, as in TR 38\.901, got 9"),
        ({**UMA, "radius_m": 6e3}, r"radius_m: expected 10 to 5000 m, as in TR 38\.901, got 6000"),
        ({"device_height_m": 2.0}, r"device_height_m: belongs to path_loss = 'tr38901_uma' or 'tr38901_umi'"),
        ({"shadowing": "yes"}, r"shadowing: expected true or false, got 'yes'"),
        ({"shadowing_std_db": 8.0}, r"shadowing_std_db: belongs to shadowing = true"),
        (
            {"shadowing": True, "path_loss": {"exponent": 3.0}},
            r"shadowing_std_db: missing: this path loss names none",
        ),
        (
            {"path_loss": {"exponent": 3.0, "gain_at_1m": 1e-3, "gain_at_1m_db": -30.0}},
            r"path_loss: give gain_at_1m or gain_at_1m_db, not both",
        ),
        ({"speed_mps": 1.0}, r'speed_mps: belongs to fading = "block"'),
        ({"round_duration_s": 1.0}, r"round_duration_s: belongs to speed_mps"),
        ({**MOVING, "carrier_frequency_hz": None}, r"carrier_frequency_hz: missing: speed_mps needs it"),
        ({**MOVING, "round_duration_s": None}, r"round_duration_s: missing: speed_mps needs it"),
    ],
)
def test_one_line_for_a_mistake(cell, message):
    with pytest.raises(ProblemError, match=rf"^cell\.{message}$"):
        scenario(**cell)


def test_distances_beyond_the_formulas():
    message = r"^devices\.distance_m: expected 10 to 5000 m, as in TR 38\.901, got 5$"
    with pytest.raises(ProblemError, match=message):
        given_distances({"uniform": [5.0, 100.0]}, **UMA)
    assert given_distances({"uniform": [10.0, 100.0]}, **UMA).draw(1).channel_gain.shape == (12,)


def test_shadowing_is_not_added_to_a_given_gain():
    config = copy.deepcopy(CPU)
    config["cell"] = {"shadowing": True}
    config["devices"]["channel_gain"] = 1e-9
    with pytest.raises(
        ProblemError, match=r"^cell\.shadowing: leave it out: devices\.channel_gain is the whole"
    ):
        Scenario.from_dict(config)


@pytest.mark.parametrize("cell", [UMA, {**UMA, "line_of_sight": True, "shadowing": True}, MOVING])
def test_to_dict_and_back(cell):
    made = scenario(**cell)
    assert Scenario.from_dict(made.to_dict()) == made
    assert made.digest() != scenario().digest()
