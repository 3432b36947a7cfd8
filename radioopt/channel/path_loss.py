"""Path loss: how the mean received power falls with distance, as named models with their source.

A model is a ``PathLossModel``: a loss in dB at a distance, and a source. A further one is a class with those two;
what else it needs, such as antenna heights or the carrier frequency, are fields of its own. Where the loss depends
on chance beside the distance, as in :mod:`radioopt.channel.tr38901`, the class draws it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radioopt.base.errors import OptionError
from radioopt.base.quantity import check, finite, nonnegative, positive
from radioopt.numerics.arrays import FloatArray, check_number, float_if_scalar
from radioopt.units import db_to_linear, linear_to_db

SPEED_OF_LIGHT_M_PER_S = 299_792_458.0


class Paths(NamedTuple):
    """Large-scale state of links, as a model draws it.

    Attributes
    ----------
    loss_db : ndarray of float64
        Loss in dB, without shadowing.
    line_of_sight : ndarray of bool or None
        Whether each link is in line of sight; None for models that do not tell.
    shadowing_std_db : float, ndarray of float64 or None
        Standard deviation of log-normal shadowing in dB; None where the source of the model names none.
    """

    loss_db: FloatArray
    line_of_sight: NDArray[np.bool_] | None
    shadowing_std_db: float | FloatArray | None


class PathLossModel(ABC):
    """A loss in dB as a function of distance.

    Attributes
    ----------
    source : str
        Document, release and section that the formula is from.
    shadowing_std_db : float or None
        Standard deviation in dB of the log-normal shadowing that goes with the loss, if the source names one.
    """

    source: str
    shadowing_std_db: float | None = None

    @abstractmethod
    def loss_db(self, distance_m: FloatArray) -> FloatArray:
        """Return the loss at distances that the caller has checked.

        Parameters
        ----------
        distance_m : ndarray of float64
            Distances in m, positive and finite.

        Returns
        -------
        ndarray of float64
            Loss in dB, same shape.
        """

    def draw(self, rng: np.random.Generator, distance_m: FloatArray) -> Paths:
        """Draw what the loss depends on beside distance; nothing, unless a model overrides this.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        distance_m : ndarray of float64
            Distances in m, positive and finite.

        Returns
        -------
        Paths
            Loss, and what goes with it.
        """
        return Paths(self.loss_db(distance_m), None, self.shadowing_std_db)


@dataclass(frozen=True, kw_only=True)
class FreeSpace(PathLossModel):
    """Free-space loss ``20 log10(4 pi d f / c)``: the least loss any terrestrial link without reflections has.

    Parameters
    ----------
    carrier_frequency_hz : float
        Carrier frequency f in Hz, > 0.
    source : str, optional
        Where the formula is from.

    Raises
    ------
    ProblemError
        If the carrier frequency is outside its domain.
    """

    carrier_frequency_hz: float
    source: str = "Friis, as in Recommendation ITU-R P.525"

    def __post_init__(self) -> None:
        check_number("FreeSpace", "carrier_frequency_hz", self.carrier_frequency_hz, positive)

    def loss_db(self, distance_m: FloatArray) -> FloatArray:
        """Evaluate the formula; see :meth:`PathLossModel.loss_db`."""
        wavelength_m = SPEED_OF_LIGHT_M_PER_S / self.carrier_frequency_hz
        return 20.0 * np.log10(4.0 * math.pi * distance_m / wavelength_m)


@dataclass(frozen=True, kw_only=True)
class LogDistance(PathLossModel):
    """Loss that is linear in the logarithm of distance, and never below free space.

    Parameters
    ----------
    loss_at_1km_db : float
        Loss at 1 km in dB, finite.
    slope_db_per_decade : float
        Increase in dB per factor of ten in distance, >= 0: ten times the path loss exponent.
    carrier_frequency_hz : float
        Carrier frequency in Hz, > 0, for the free-space loss below which the model does not go.
    shadowing_std_db : float, optional
        Standard deviation in dB of the log-normal shadowing that goes with the loss, >= 0. Default None: unknown.
    source : str, optional
        Where the numbers are from.

    Raises
    ------
    ProblemError
        If a number is outside its domain.
    """

    loss_at_1km_db: float
    slope_db_per_decade: float
    carrier_frequency_hz: float
    shadowing_std_db: float | None = None
    source: str = "given by the user"

    def __post_init__(self) -> None:
        check_number("LogDistance", "loss_at_1km_db", self.loss_at_1km_db, finite)
        check_number("LogDistance", "slope_db_per_decade", self.slope_db_per_decade, nonnegative)
        check_number("LogDistance", "carrier_frequency_hz", self.carrier_frequency_hz, positive)
        if self.shadowing_std_db is not None:
            check_number("LogDistance", "shadowing_std_db", self.shadowing_std_db, nonnegative)

    def loss_db(self, distance_m: FloatArray) -> FloatArray:
        """Evaluate the formula; see :meth:`PathLossModel.loss_db`."""
        loss = self.loss_at_1km_db + self.slope_db_per_decade * np.log10(distance_m / 1000.0)
        return np.maximum(loss, FreeSpace(carrier_frequency_hz=self.carrier_frequency_hz).loss_db(distance_m))


@dataclass(frozen=True, kw_only=True)
class PowerLaw(PathLossModel):
    """Gain ``beta d^-alpha`` with d in m, as analytical papers write it.

    Parameters
    ----------
    exponent : float
        Path loss exponent alpha, >= 0; 2 in free space, 3 to 4 in cities.
    gain_at_1m : float, optional
        Gain beta at 1 m, linear, > 0. Default 1.0.
    source : str, optional
        Where the numbers are from.

    Raises
    ------
    ProblemError
        If a number is outside its domain.

    Notes
    -----
    The gain exceeds `gain_at_1m` below 1 m and grows without bound: keep devices at a minimum distance.
    """

    exponent: float
    gain_at_1m: float = 1.0
    source: str = "power law of distance"

    def __post_init__(self) -> None:
        check_number("PowerLaw", "exponent", self.exponent, nonnegative)
        check_number("PowerLaw", "gain_at_1m", self.gain_at_1m, positive)

    def loss_db(self, distance_m: FloatArray) -> FloatArray:
        """Evaluate the formula; see :meth:`PathLossModel.loss_db`."""
        return 10.0 * self.exponent * np.log10(distance_m) - linear_to_db(self.gain_at_1m)


# TR 36.942 gives 40 (1 - 4e-3 D) log10(R) - 18 log10(D) + 21 log10(f) + 80 dB, R in km, f in MHz, D the height of
# the base station antenna above the rooftops in m, and these rounded constants for D = 15 (128.15 unrounded).
# It adds that the loss is never below that of free space, which decides nearer than about 21 m, and that log-normal
# shadowing with a standard deviation of 10 dB comes on top.
_TR_36942 = "3GPP TR 36.942 V8.2.0 (Release 8), Section 4.5.2: urban macro cell, antenna 15 m above rooftops"

PATH_LOSS_MODELS: dict[str, PathLossModel] = {
    "tr36942_urban_macro_2ghz": LogDistance(
        loss_at_1km_db=128.1,
        slope_db_per_decade=37.6,
        carrier_frequency_hz=2.0e9,
        shadowing_std_db=10.0,
        source=f"{_TR_36942}, 2 GHz",
    ),
    "tr36942_urban_macro_900mhz": LogDistance(
        loss_at_1km_db=120.9,
        slope_db_per_decade=37.6,
        carrier_frequency_hz=0.9e9,
        shadowing_std_db=10.0,
        source=f"{_TR_36942}, 900 MHz",
    ),
}


def path_loss_db(
    distance_m: ArrayLike, model: str | PathLossModel = "tr36942_urban_macro_2ghz"
) -> float | FloatArray:
    """Path loss in dB at a distance.

    Parameters
    ----------
    distance_m : array_like of float64, any shape
        Distance between transmitter and receiver in m, > 0.
    model : str or PathLossModel, optional
        Name of an entry of ``PATH_LOSS_MODELS``, or a model such as ``PowerLaw(exponent=3.0)``. Default
        "tr36942_urban_macro_2ghz": 128.1 + 37.6 log10(d / 1 km) dB, and no less than free space.

    Returns
    -------
    float or ndarray of float64
        Loss in dB, positive for a loss, same shape as `distance_m`.

    Raises
    ------
    ProblemError
        If `distance_m` is not numeric or an element is not positive and finite.
    OptionError
        If there is no model of that name; the message lists the names.

    References
    ----------
    .. [1] 3GPP TR 36.942 V8.2.0 (Release 8), Section 4.5.2.
    .. [2] J. Ren, G. Yu, G. Ding, "Accelerating DNN training in wireless federated edge learning systems",
       Table I, which uses the 2 GHz model.

    Examples
    --------
    >>> path_loss_db(1000.0)
    128.1
    >>> path_loss_db([100.0, 200.0]).round(2)
    array([ 90.5 , 101.82])
    >>> path_loss_db(100.0, PowerLaw(exponent=3.0))
    60.0
    """
    chosen = _model(model)
    return float_if_scalar(chosen.loss_db(check("path_loss_db", "distance_m", distance_m, positive)))


def channel_gain(
    distance_m: ArrayLike, model: str | PathLossModel = "tr36942_urban_macro_2ghz"
) -> float | FloatArray:
    """Mean power gain of a channel at a distance: the path loss, linear and upside down.

    Parameters
    ----------
    distance_m : array_like of float64, any shape
        Distance between transmitter and receiver in m, > 0.
    model : str or PathLossModel, optional
        As for :func:`path_loss_db`. Default "tr36942_urban_macro_2ghz".

    Returns
    -------
    float or ndarray of float64
        Power gain, linear, > 0, same shape as `distance_m`; received power is transmit power times gain.

    Raises
    ------
    ProblemError
        If `distance_m` is not numeric or an element is not positive and finite.
    OptionError
        If there is no model of that name; the message lists the names.

    Examples
    --------
    >>> f"{channel_gain(1000.0):.4g}"
    '1.549e-13'
    """
    chosen = _model(model)
    return db_to_linear(-chosen.loss_db(check("channel_gain", "distance_m", distance_m, positive)))


def _model(model: str | PathLossModel) -> PathLossModel:
    if isinstance(model, PathLossModel):
        return model
    try:
        return PATH_LOSS_MODELS[model]
    except (KeyError, TypeError):
        names = ", ".join(PATH_LOSS_MODELS)
        raise OptionError(
            f"path loss model: expected a PathLossModel or one of {names}, got {model!r}"
        ) from None
