"""Path loss against numbers worked out by hand."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radioopt.base.errors import OptionError, ProblemError
from radioopt.channel import (
    PATH_LOSS_MODELS,
    FreeSpace,
    LogDistance,
    PathLossModel,
    PowerLaw,
    channel_gain,
    path_loss_db,
)

MODELS = [
    *PATH_LOSS_MODELS.values(),
    FreeSpace(carrier_frequency_hz=3.5e9),
    PowerLaw(exponent=3.0, gain_at_1m=1e-3),
]


@pytest.mark.parametrize(
    ("distance_m", "loss_db"),
    [
        (1000.0, 128.1),
        (100.0, 90.5),  # 128.1 - 37.6
        (200.0, 128.1 - 37.6 * 0.6989700043),  # log10(5) = 0.69897...
        (500.0, 128.1 - 37.6 * 0.3010299957),
        (35.0, 128.1 - 37.6 * 1.4559319556),
    ],
)
def test_urban_macro_by_hand(distance_m, loss_db):
    assert path_loss_db(distance_m) == pytest.approx(loss_db, abs=1e-8)
    assert channel_gain(distance_m) == pytest.approx(10 ** (-loss_db / 10), rel=1e-8)


def formula_of_tr_36942(frequency_mhz, antenna_height_m):
    slope = 40 * (1 - 4e-3 * antenna_height_m)
    return -18 * math.log10(antenna_height_m) + 21 * math.log10(frequency_mhz) + 80, slope


@pytest.mark.parametrize(
    ("name", "frequency_mhz"), [("tr36942_urban_macro_2ghz", 2000), ("tr36942_urban_macro_900mhz", 900)]
)
def test_constants_are_the_rounded_formula(name, frequency_mhz):
    """The report prints 128.1 and 120.9 dB, within a tenth of a dB of its formula at 15 m."""
    model = PATH_LOSS_MODELS[name]
    loss, slope = formula_of_tr_36942(frequency_mhz, 15)
    assert model.loss_at_1km_db == pytest.approx(loss, abs=0.1)
    assert model.slope_db_per_decade == pytest.approx(slope, rel=1e-12)
    assert model.carrier_frequency_hz == frequency_mhz * 1e6


def test_free_space_by_hand():
    """32.45 + 20 log10(f / MHz) + 20 log10(d / km), its textbook form."""
    assert FreeSpace(carrier_frequency_hz=1e6).loss_db(1000.0) == pytest.approx(32.45, abs=0.005)
    two_ghz = FreeSpace(carrier_frequency_hz=2e9)
    assert two_ghz.loss_db(1000.0) == pytest.approx(98.47, abs=0.005)
    assert two_ghz.loss_db(10.0) == pytest.approx(58.47, abs=0.005)


def test_never_below_free_space():
    """At 10 m the urban formula says 52.9 dB, 5.6 dB less than free space; they cross between 20 and 21 m."""
    free = FreeSpace(carrier_frequency_hz=2e9)
    assert path_loss_db(10.0) == free.loss_db(10.0)
    assert path_loss_db(20.0) == free.loss_db(20.0)
    assert path_loss_db(21.0) > free.loss_db(21.0)


def test_power_law_by_hand():
    law = PowerLaw(exponent=3.0, gain_at_1m=1e-3)
    assert path_loss_db(10.0, law) == pytest.approx(60.0, rel=1e-14)
    assert channel_gain([1.0, 10.0, 100.0], law) == pytest.approx([1e-3, 1e-6, 1e-9], rel=1e-13)
    assert channel_gain(2.0, PowerLaw(exponent=2.0)) == pytest.approx(0.25, rel=1e-14)


@pytest.mark.parametrize("model", MODELS)
@given(distance_m=st.floats(1.0, 1e5), factor=st.floats(1.01, 10.0))
def test_loss_grows_and_gain_is_its_inverse(model, distance_m, factor):
    near, far = path_loss_db([distance_m, distance_m * factor], model)
    assert near < far
    assert channel_gain(distance_m, model) == pytest.approx(10 ** (-near / 10), rel=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_shapes_and_sources(model):
    assert type(path_loss_db(100, model)) is float
    assert type(channel_gain(100, model)) is float
    assert path_loss_db(np.full((2, 3), 100.0), model).shape == (2, 3)
    assert model.source


def test_a_model_of_ones_own():
    @dataclass(frozen=True)
    class Constant(PathLossModel):
        value_db: float
        source: str = "this test"

        def loss_db(self, distance_m):
            return np.full_like(distance_m, self.value_db)

    assert path_loss_db([1.0, 2.0], Constant(80.0)).tolist() == [80.0, 80.0]
    assert channel_gain(5.0, Constant(20.0)) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: path_loss_db([1.0, 0.0]),
            r"path_loss_db\.distance_m: expected > 0, got 0\.0 at index 1 \(1 of 2",
        ),
        (lambda: channel_gain(np.nan), r"channel_gain\.distance_m: expected a finite number > 0, got nan"),
        (lambda: FreeSpace(carrier_frequency_hz=0.0), r"FreeSpace\.carrier_frequency_hz: expected > 0"),
        (lambda: PowerLaw(exponent=-1.0), r"PowerLaw\.exponent: expected >= 0, got -1\.0"),
        (lambda: PowerLaw(exponent=2.0, gain_at_1m=[1.0]), r"PowerLaw\.gain_at_1m: expected one number"),
        (
            lambda: LogDistance(loss_at_1km_db=np.inf, slope_db_per_decade=30.0, carrier_frequency_hz=1e9),
            r"LogDistance\.loss_at_1km_db: expected a finite number, got inf",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call()


@pytest.mark.parametrize("model", ["uma", None, ["tr36942_urban_macro_2ghz"]])
def test_unknown_model_lists_the_names(model):
    with pytest.raises(OptionError, match=r"one of tr36942_urban_macro_2ghz, .*, got"):
        path_loss_db(100.0, model)
