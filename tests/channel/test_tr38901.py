"""TR 38.901: hand-worked losses and probabilities, published reference losses, continuity, statistics of draws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radioopt.base.errors import ProblemError
from radioopt.channel import TR38901_MODELS, Tr38901UMa, Tr38901UMi, channel_gain, path_loss_db

UMA, UMI = Tr38901UMa(carrier_frequency_hz=5e9), Tr38901UMi(carrier_frequency_hz=5e9)
BOTH = pytest.mark.parametrize("model", [UMA, UMI], ids=["uma", "umi"])
COUNT = 40_000


# -- Table 7.4.1-1: losses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "line_of_sight", "losses_db"),
    [
        (UMA, True, [72.9380, 86.2362, 109.7252, 137.6794]),
        (UMA, False, [82.5131, 106.1356, 144.7641, 172.0753]),
        (UMI, True, [69.8591, 88.4122, 119.3114, 147.2696]),
        (UMI, False, [76.7563, 107.9432, 143.1886, 167.8617]),
    ],
)
def test_losses_that_ns3_expects(model, line_of_sight, losses_db):
    """The losses its test suite three-gpp-propagation-loss-model lists, at 5 GHz, 25 m or 10 m, and 1.5 m."""
    loss = model.link_loss_db([10.0, 100.0, 1000.0, 5000.0], line_of_sight)
    np.testing.assert_allclose(loss, losses_db, atol=6e-5)


def test_uma_by_hand():
    """At 2 GHz (6.0206 dB) and 100 m; a slant of sqrt(100^2 + 23.5^2) = 102.7241 m, whose log is 2.011673."""
    model = Tr38901UMa(carrier_frequency_hz=2e9)
    assert model.breakpoint_m() == pytest.approx(4 * 24 * 0.5 * 2e9 / 3e8)  # 320 m
    assert model.link_loss_db(100.0, True) == pytest.approx(28 + 22 * 2.011673 + 6.0206, abs=1e-4)  # 78.277
    assert model.link_loss_db(100.0, False) == pytest.approx(13.54 + 39.08 * 2.011673 + 6.0206, abs=1e-4)
    # beyond: 28 + 40 log10(1000.276) + 6.0206 - 9 log10(320^2 + 23.5^2) = 28 + 120.0048 + 6.0206 - 45.1138
    assert model.link_loss_db(1000.0, True) == pytest.approx(108.9116, abs=1e-4)


def test_umi_by_hand():
    """At 2 GHz and 50 m: a slant of sqrt(50^2 + 8.5^2) = 50.71735 m, whose log is 1.705157."""
    model = Tr38901UMi(carrier_frequency_hz=2e9)
    assert model.breakpoint_m() == pytest.approx(4 * 9 * 0.5 * 2e9 / 3e8)  # 120 m
    assert model.link_loss_db(50.0, True) == pytest.approx(32.4 + 21 * 1.705157 + 6.0206, abs=1e-4)
    # 22.4 + 35.3 x 1.705157 + 21.3 x 0.301030 = 22.4 + 60.1920 + 6.4119
    assert model.link_loss_db(50.0, False) == pytest.approx(89.0040, abs=1e-4)
    # beyond: 32.4 + 40 log10(500.0722) + 6.0206 - 9.5 log10(120^2 + 8.5^2) = 32.4 + 107.9613 + 6.0206 - 39.5251
    assert model.link_loss_db(500.0, True) == pytest.approx(106.8568, abs=1e-4)


def test_a_higher_device_loses_less_out_of_sight():
    """0.6 dB per m in UMa and 0.3 dB per m in UMi; the slant is nearly the same at 1 km."""
    for kind, per_metre in [(Tr38901UMa, 0.6), (Tr38901UMi, 0.3)]:
        low, high = (
            kind(carrier_frequency_hz=2e9, device_height_m=h).link_loss_db(1000.0, False) for h in (1.5, 9.5)
        )
        assert low - high == pytest.approx(8 * per_metre, abs=0.01)


@BOTH
@pytest.mark.parametrize("environment_height_m", [0.5, 1.0])
def test_continuous_at_the_breakpoint(model, environment_height_m):
    """Both branches give the same there: the constants 9 and 9.5 are half the change of slope, 18 and 19."""
    at = model.breakpoint_m(environment_height_m)
    near, far = model.link_loss_db(at * np.array([1 - 1e-9, 1 + 1e-9]), True, environment_height_m)
    assert far - near == pytest.approx(0.0, abs=1e-6)
    assert model.link_loss_db(2 * at, True, environment_height_m) > near + 11.5  # 12 dB per octave


@BOTH
@given(distance_m=st.floats(10.0, 2500.0), factor=st.floats(1.01, 2.0))
def test_loss_grows_and_obstruction_never_helps(model, distance_m, factor):
    loss = model.link_loss_db([[distance_m], [distance_m * factor]], [True, False])
    assert (loss[0] < loss[1]).all()
    assert (loss[:, 0] <= loss[:, 1]).all()


def test_loss_of_a_given_state():
    for state in (True, False):
        model = Tr38901UMa(carrier_frequency_hz=5e9, line_of_sight=state)
        assert path_loss_db([100.0], model) == UMA.link_loss_db([100.0], state)
        assert channel_gain(100.0, model) == pytest.approx(10 ** (-UMA.link_loss_db(100.0, state) / 10))
        assert model.draw(np.random.default_rng(1), np.full(9, 300.0)).line_of_sight.tolist() == [state] * 9
    with pytest.raises(ProblemError, match=r"Tr38901UMa\.line_of_sight: the loss depends on it; give True"):
        path_loss_db(100.0, UMA)


# -- Table 7.4.2-1: line of sight ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "height_m", "distance_m", "probability"),
    [
        (Tr38901UMa, 1.5, 10.0, 1.0),
        (Tr38901UMa, 1.5, 18.0, 1.0),
        (Tr38901UMa, 1.5, 63.0, 0.285714 + 0.367879 * 0.714286),  # 18/63 and 1/e
        (Tr38901UMa, 13.0, 63.0, 0.285714 + 0.367879 * 0.714286),
        # C' = 0.4^1.5 = 0.252982, times 5/4 times 1.5^3 times 1/e: a factor of 1.392626
        (Tr38901UMa, 17.0, 150.0, (0.12 + math.exp(-150 / 63) * 0.88) * 1.392626),
        (Tr38901UMi, 1.5, 18.0, 1.0),
        (Tr38901UMi, 1.5, 36.0, 0.5 + 0.367879 * 0.5),
        (Tr38901UMi, 22.5, 36.0, 0.5 + 0.367879 * 0.5),  # no matter how high
    ],
)
def test_probability_by_hand(kind, height_m, distance_m, probability):
    model = kind(carrier_frequency_hz=2e9, device_height_m=height_m)
    assert model.line_of_sight_probability(distance_m) == pytest.approx(probability, abs=1e-6)


@BOTH
@pytest.mark.parametrize("height_m", [1.5, 22.5])
def test_probability_is_one_and_falls(model, height_m):
    distance = np.geomspace(1.0, 5000.0, 500)
    probability = type(model)(carrier_frequency_hz=2e9, device_height_m=height_m).line_of_sight_probability(
        distance
    )
    assert (probability[distance <= 18] == 1).all()
    assert ((probability > 0) & (probability <= 1)).all()
    if height_m == 1.5:  # for high devices the report's product is 1.006 at 18 m
        assert (np.diff(probability[distance > 18]) < 0).all()


@BOTH
def test_share_of_links_in_sight(model):
    """Within 4 standard errors of the probability; each link loses what belongs to its state."""
    paths = model.draw(np.random.default_rng(2), np.full(COUNT, 60.0))
    probability = model.line_of_sight_probability(60.0)
    error = math.sqrt(probability * (1 - probability) / COUNT)
    assert abs(paths.line_of_sight.mean() - probability) < 4 * error
    np.testing.assert_array_equal(paths.loss_db, model.link_loss_db(60.0, paths.line_of_sight))
    assert set(paths.shadowing_std_db[paths.line_of_sight]) == {4.0}
    assert set(paths.shadowing_std_db[~paths.line_of_sight]) == {6.0 if model is UMA else 7.82}


def test_effective_environment_height():
    """Devices at 20 m, at 2 km and 6 GHz: only for 18 m is the breakpoint, 7 x 2 x 80 = 1120 m, nearer."""
    model = Tr38901UMa(carrier_frequency_hz=6e9, device_height_m=20.0, line_of_sight=True)
    drawn = model.draw(np.random.default_rng(3), np.full(COUNT, 2000.0)).loss_db
    near, far = model.link_loss_db(2000.0, True, [1.0, 18.0])
    assert set(drawn) == {near, far}
    # C = 0.7^1.5 x 1.25 x 20^3 x e^(-2000/150); 12, 15 and 18 m are equally likely
    share = (1 - 1 / (1 + 0.7**1.5 * 1.25 * 8000 * math.exp(-2000 / 150))) / 3
    assert abs((drawn == far).mean() - share) < 4 * math.sqrt(share * (1 - share) / COUNT)


@pytest.mark.parametrize(
    ("height_m", "heights"),
    [(13.2, {12.0}), (16.4, {12.0}), (16.5, {12.0, 15.0}), (22.5, {12.0, 15.0, 18.0, 21.0})],
)
def test_the_list_of_environment_heights(height_m, heights):
    model = Tr38901UMa(carrier_frequency_hz=2e9, device_height_m=height_m)
    drawn = model._draw_environment_height_m(np.random.default_rng(4), np.full(COUNT, 300.0))
    assert set(drawn) == heights | {1.0}
    share = 1 / (1 + ((height_m - 13) / 10) ** 1.5 * 1.25 * 27 * math.exp(-2))
    assert abs((drawn == 1.0).mean() - share) < 4 * math.sqrt(share * (1 - share) / COUNT)
    assert (model._draw_environment_height_m(np.random.default_rng(4), np.full(9, 18.0)) == 1.0).all()


# -- domains -------------------------------------------------------------------------------------------------


@BOTH
def test_bounds_are_met_up_to_rounding(model):
    assert np.isfinite(model.link_loss_db([10 * (1 - 1e-14), 5000 * (1 + 1e-14)], True)).all()
    assert np.isfinite(model.link_loss_db([10.0, 5000.0], True)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Tr38901UMa(carrier_frequency_hz=3.5),
            r"Tr38901UMa\.carrier_frequency_hz: expected between 0\.5e9 and 100e9 Hz, as in .*, got 3\.5",
        ),
        (
            lambda: Tr38901UMi(carrier_frequency_hz=2e9, device_height_m=1.0),
            r"Tr38901UMi\.device_height_m: expected between 1\.5 and 22\.5 m, .*, got 1\.0",
        ),
        (
            lambda: Tr38901UMa(carrier_frequency_hz=2e9, base_station_height_m=10.0, device_height_m=10.0),
            r"Tr38901UMa\.base_station_height_m: expected more than device_height_m = 10, got 10",
        ),
        (
            lambda: Tr38901UMi(carrier_frequency_hz=2e9, base_station_height_m=0.0),
            r"Tr38901UMi\.base_station_height_m: expected between 1\.5 and 150 m, got 0\.0",
        ),
        (
            lambda: Tr38901UMi(carrier_frequency_hz=2e9, line_of_sight="yes"),
            r"Tr38901UMi\.line_of_sight: expected True, False or None, got 'yes'",
        ),
        (
            lambda: UMA.link_loss_db([100.0, 9.0], True),
            r"Tr38901UMa\.distance_m: expected between 10 and 5000 m, .*, got 9\.0 at index 1",
        ),
        (lambda: UMI.link_loss_db(5001.0, True), r"Tr38901UMi\.distance_m: .* got 5001\.0"),
        (lambda: UMI.line_of_sight_probability(0.0), r"Tr38901UMi\.distance_m: expected > 0, got 0\.0"),
        (
            lambda: UMA.breakpoint_m(1.5),
            r"Tr38901UMa\.environment_height_m: expected > 0 and below both antennas \(1\.5 m\), got 1\.5",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call()


def test_names_and_sources():
    assert {"tr38901_uma": Tr38901UMa, "tr38901_umi": Tr38901UMi} == TR38901_MODELS
    for model in (UMA, UMI):
        assert "TR 38.901 V16.1.0" in model.source
    assert (UMA.base_station_height_m, UMI.base_station_height_m) == (25.0, 10.0)
