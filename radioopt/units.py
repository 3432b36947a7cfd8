"""The only home of decibels: everything else in radioopt is linear and in SI units.

Conversions accept floats and arrays of any shape and keep the shape; a scalar gives a float. Payloads are
quoted in kbit and Mbit, which are 1000 and 1,000,000 bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.quantity import Domain, check, nonnegative, positive
from radioopt.numerics.arrays import FloatArray, check_shapes, float_if_scalar

KBIT = 1_000.0
"""Bits in a kilobit."""

MBIT = 1_000_000.0
"""Bits in a megabit."""

THERMAL_NOISE_W_PER_HZ = 1.380649e-23 * 290.0
"""Thermal noise density k T0 in W/Hz at the standard noise temperature of 290 K: -173.98 dBm/Hz, quoted as -174."""

_DBM_PER_DBW = 30.0

# Minus infinity is the level of no power at all; beyond 3000 dB the linear value leaves float64.
_decibels = Domain("a level of at most 3000 dB", -math.inf, 3000.0)


def db_to_linear(level_db: ArrayLike) -> float | FloatArray:
    """Power ratio of a level in decibels, ``10 ** (level_db / 10)``.

    Parameters
    ----------
    level_db : array_like of float64, any shape
        Level in dB, at most 3000; ``-inf`` is accepted.

    Returns
    -------
    float or ndarray of float64
        Power ratio, linear, >= 0, same shape as `level_db`.

    Raises
    ------
    ProblemError
        If `level_db` is not numeric, NaN, or above 3000 dB.

    Examples
    --------
    >>> db_to_linear(20.0)
    100.0
    >>> db_to_linear([0.0, -10.0, -float("inf")])
    array([1. , 0.1, 0. ])
    """
    return float_if_scalar(10.0 ** (check("db_to_linear", "level_db", level_db, _decibels) / 10.0))


def linear_to_db(ratio: ArrayLike) -> float | FloatArray:
    """Level in decibels of a power ratio, ``10 log10(ratio)``.

    Parameters
    ----------
    ratio : array_like of float64, any shape
        Power ratio, linear, finite and >= 0.

    Returns
    -------
    float or ndarray of float64
        Level in dB, same shape as `ratio`; ``-inf`` where `ratio` is 0.

    Raises
    ------
    ProblemError
        If `ratio` is not numeric, negative, infinite or NaN.

    Examples
    --------
    >>> linear_to_db(1000.0)
    30.0
    >>> linear_to_db(0.0)
    -inf
    """
    return float_if_scalar(_level(check("linear_to_db", "ratio", ratio, nonnegative)))


def dbm_to_w(power_dbm: ArrayLike) -> float | FloatArray:
    """Power in watts of a level in dBm (decibels above one milliwatt).

    Parameters
    ----------
    power_dbm : array_like of float64, any shape
        Power in dBm, at most 3000; ``-inf`` is accepted.

    Returns
    -------
    float or ndarray of float64
        Power in W, >= 0, same shape as `power_dbm`.

    Raises
    ------
    ProblemError
        If `power_dbm` is not numeric, NaN, or above 3000 dBm.

    Examples
    --------
    >>> dbm_to_w(30.0)
    1.0
    >>> round(dbm_to_w(28.0), 6)
    0.630957
    """
    return float_if_scalar(_watts(check("dbm_to_w", "power_dbm", power_dbm, _decibels)))


def w_to_dbm(power_w: ArrayLike) -> float | FloatArray:
    """Level in dBm (decibels above one milliwatt) of a power in watts.

    Parameters
    ----------
    power_w : array_like of float64, any shape
        Power in W, finite and >= 0.

    Returns
    -------
    float or ndarray of float64
        Power in dBm, same shape as `power_w`; ``-inf`` where `power_w` is 0.

    Raises
    ------
    ProblemError
        If `power_w` is not numeric, negative, infinite or NaN.

    Examples
    --------
    >>> w_to_dbm(0.001)
    0.0
    """
    return float_if_scalar(_level(check("w_to_dbm", "power_w", power_w, nonnegative)) + _DBM_PER_DBW)


def dbm_per_hz_to_w_per_hz(psd_dbm_per_hz: ArrayLike) -> float | FloatArray:
    """Power spectral density in W/Hz of a density in dBm/Hz.

    Parameters
    ----------
    psd_dbm_per_hz : array_like of float64, any shape
        Density in dBm/Hz, at most 3000; ``-inf`` is accepted.

    Returns
    -------
    float or ndarray of float64
        Density in W/Hz, >= 0, same shape as `psd_dbm_per_hz`. It is a power only once it has been multiplied
        by a bandwidth: :func:`noise_power_w`.

    Raises
    ------
    ProblemError
        If `psd_dbm_per_hz` is not numeric, NaN, or above 3000 dBm/Hz.

    Examples
    --------
    >>> f"{dbm_per_hz_to_w_per_hz(-174.0):.4g}"
    '3.981e-21'
    """
    return float_if_scalar(
        _watts(check("dbm_per_hz_to_w_per_hz", "psd_dbm_per_hz", psd_dbm_per_hz, _decibels))
    )


def w_per_hz_to_dbm_per_hz(psd_w_per_hz: ArrayLike) -> float | FloatArray:
    """Power spectral density in dBm/Hz of a density in W/Hz.

    Parameters
    ----------
    psd_w_per_hz : array_like of float64, any shape
        Density in W/Hz, finite and >= 0.

    Returns
    -------
    float or ndarray of float64
        Density in dBm/Hz, same shape as `psd_w_per_hz`; ``-inf`` where `psd_w_per_hz` is 0.

    Raises
    ------
    ProblemError
        If `psd_w_per_hz` is not numeric, negative, infinite or NaN.

    Examples
    --------
    >>> round(w_per_hz_to_dbm_per_hz(THERMAL_NOISE_W_PER_HZ), 2)
    -173.98
    """
    psd = check("w_per_hz_to_dbm_per_hz", "psd_w_per_hz", psd_w_per_hz, nonnegative)
    return float_if_scalar(_level(psd) + _DBM_PER_DBW)


def noise_power_w(
    noise_psd_w_per_hz: ArrayLike, bandwidth_hz: ArrayLike, noise_figure_db: ArrayLike = 0.0
) -> float | FloatArray:
    """Noise power in a band: density times bandwidth times the receiver's noise factor.

    Parameters
    ----------
    noise_psd_w_per_hz : array_like of float64, any shape
        One-sided noise density in W/Hz, > 0.
    bandwidth_hz : array_like of float64
        Bandwidth in Hz, > 0; broadcasts.
    noise_figure_db : array_like of float64, optional
        Noise figure of the receiver in dB, >= 0; broadcasts. Default 0.0: a noiseless receiver.

    Returns
    -------
    float or ndarray of float64
        Noise power in W, > 0, of the broadcast shape.

    Raises
    ------
    ProblemError
        If an argument is not numeric or outside its domain, or if the shapes do not broadcast.

    Examples
    --------
    >>> noise = noise_power_w(dbm_per_hz_to_w_per_hz(-174.0), bandwidth_hz=10e6)
    >>> round(w_to_dbm(noise), 9)
    -104.0
    """
    owner = "noise_power_w"
    psd = check(owner, "noise_psd_w_per_hz", noise_psd_w_per_hz, positive)
    bandwidth = check(owner, "bandwidth_hz", bandwidth_hz, positive)
    figure = check(owner, "noise_figure_db", noise_figure_db, Domain("in [0, 3000] dB", 0.0, 3000.0))
    check_shapes(owner, noise_psd_w_per_hz=psd, bandwidth_hz=bandwidth, noise_figure_db=figure)
    return float_if_scalar(psd * bandwidth * 10.0 ** (figure / 10.0))


def _watts(level_dbm: FloatArray) -> FloatArray:
    return np.asarray(10.0 ** ((level_dbm - _DBM_PER_DBW) / 10.0))


def _level(ratio: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):  # the level of zero power is minus infinity
        return np.asarray(10.0 * np.log10(ratio))
