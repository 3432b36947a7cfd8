"""Small-scale fading: random gains of mean power one on top of the large-scale gain, and how they change in time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import j0

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import Domain, check, nonnegative, positive, refuse, shorten
from radioopt.channel.draws import Size, check_draw
from radioopt.channel.path_loss import SPEED_OF_LIGHT_M_PER_S
from radioopt.numerics.arrays import FloatArray, check_shapes, float_if_scalar

ComplexArray = NDArray[np.complex128]


def rayleigh_power_gain(rng: np.random.Generator, size: Size) -> FloatArray:
    r"""Draw independent Rayleigh power gains :math:`|h|^2` of mean one.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness; the same state gives the same gains.
    size : int or tuple of int
        Shape of the draw: ``(10_000, 12)`` is 10,000 fading blocks of 12 devices.

    Returns
    -------
    ndarray of float64, shape `size`
        Power gains, dimensionless, >= 0, with :math:`P(|h|^2 > x) = e^{-x}`: mean 1, variance 1.

    Raises
    ------
    ProblemError
        If `rng` is not a generator or `size` not a count or a tuple of counts.

    Notes
    -----
    Rayleigh is the *amplitude* :math:`|h|` of a circularly symmetric complex normal h of variance one; the
    power :math:`|h|^2` that an SNR is proportional to is exponential. Multiply by
    :func:`~radioopt.channel.channel_gain` for the gain of a link.

    References
    ----------
    .. [1] J. Ren, G. Yu, G. Ding, "Accelerating DNN training in wireless federated edge learning systems",
       Section VI-A: Rayleigh fading with unit variance.

    Examples
    --------
    >>> rayleigh_power_gain(np.random.default_rng(1), (3, 2)).shape
    (3, 2)
    """
    shape = check_draw("rayleigh_power_gain", rng, size)
    return rng.standard_exponential(shape)


def rayleigh_coefficient(rng: np.random.Generator, size: Size) -> ComplexArray:
    r"""Draw independent complex Rayleigh coefficients h of unit mean power.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness; the same state gives the same coefficients.
    size : int or tuple of int
        Shape of the draw.

    Returns
    -------
    ndarray of complex128, shape `size`
        Circularly symmetric complex normal coefficients, :math:`E|h|^2 = 1`; :func:`power_gain` of them is
        distributed as :func:`rayleigh_power_gain`.

    Raises
    ------
    ProblemError
        If `rng` is not a generator or `size` not a count or a tuple of counts.

    Examples
    --------
    >>> rayleigh_coefficient(np.random.default_rng(1), (3, 2)).shape
    (3, 2)
    """
    shape = check_draw("rayleigh_coefficient", rng, size)
    parts = rng.standard_normal((2, *shape)) * math.sqrt(0.5)
    return parts[0] + 1j * parts[1]


def clarke_correlation(
    *, speed_mps: ArrayLike, carrier_frequency_hz: ArrayLike, elapsed_s: ArrayLike
) -> float | FloatArray:
    r"""Correlation of a moving device's fading coefficient over time; keyword arguments only.

    .. math:: \rho = E[h(t + T) h^*(t)] = J_0(2 \pi f_D T), \qquad f_D = v f / c

    where waves of equal strength arrive from all sides in the horizontal plane.

    Parameters
    ----------
    speed_mps : array_like of float64
        Speed v in m/s, >= 0.
    carrier_frequency_hz : array_like of float64
        Carrier frequency f in Hz, > 0; broadcasts.
    elapsed_s : array_like of float64
        Time T that passed in s, >= 0; broadcasts.

    Returns
    -------
    float or ndarray of float64
        Correlation in [-0.403, 1], of the broadcast shape: 1 at rest. Its square is the correlation of the power gains.

    Raises
    ------
    ProblemError
        If an argument is not numeric or outside its domain, or if the shapes do not broadcast.

    Notes
    -----
    The first zero is at ``T = 0.383 / f_D``: 57 ms for a pedestrian of 1 m/s at 2 GHz. Over rounds of seconds
    anything that moves has forgotten its channel, and block fading without memory is the right model.

    References
    ----------
    .. [1] R. H. Clarke, "A statistical theory of mobile-radio reception", Bell System Technical Journal 47 (1968),
       957-1000.
    .. [2] W. C. Jakes, ed., "Microwave Mobile Communications", Wiley 1974, Section 1.3.

    Examples
    --------
    >>> round(clarke_correlation(speed_mps=1.0, carrier_frequency_hz=2e9, elapsed_s=0.01), 4)
    0.957
    """
    owner = "clarke_correlation"
    speed = check(owner, "speed_mps", speed_mps, nonnegative)
    carrier = check(owner, "carrier_frequency_hz", carrier_frequency_hz, positive)
    elapsed = check(owner, "elapsed_s", elapsed_s, nonnegative)
    check_shapes(owner, speed_mps=speed, carrier_frequency_hz=carrier, elapsed_s=elapsed)
    doppler_hz = speed * carrier / SPEED_OF_LIGHT_M_PER_S
    return float_if_scalar(j0(2.0 * math.pi * doppler_hz * elapsed))


def gauss_markov(rng: np.random.Generator, coefficient: ArrayLike, correlation: ArrayLike) -> ComplexArray:
    r"""Draw the fading coefficients of the next block, correlated with those of this one.

    .. math:: h' = \rho h + \sqrt{1 - \rho^2}\, w, \qquad w \sim \mathcal{CN}(0, 1)

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness; the same numbers are drawn whatever the correlation.
    coefficient : array_like of complex128
        Coefficients h of this block, finite; of unit mean power, as :func:`rayleigh_coefficient` draws them.
    correlation : array_like of float64
        Correlation rho in [-1, 1], e.g. :func:`clarke_correlation`; broadcasts to `coefficient`.

    Returns
    -------
    ndarray of complex128
        Coefficients h' of the next block, same shape: distributed as h, with :math:`E[h' h^*] = \rho`, and power gains
        with correlation :math:`\rho^2`. Independent of h at rho = 0, equal to it at rho = 1.

    Raises
    ------
    ProblemError
        If `rng` is not a generator, a coefficient is not finite, a correlation outside [-1, 1], or the shape of
        `correlation` does not broadcast to that of `coefficient`.

    Notes
    -----
    A process of first order: over n equal steps the correlation is rho^n, which agrees with Clarke's model over one
    step and not over several.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> h = rayleigh_coefficient(rng, 4)
    >>> np.array_equal(gauss_markov(rng, h, 1.0), h)
    True
    """
    owner = "gauss_markov"
    h = _coefficients(owner, coefficient)
    rho = check(owner, "correlation", correlation, Domain("in [-1, 1]", -1.0, 1.0))
    try:
        rho = np.broadcast_to(rho, h.shape)
    except ValueError:
        raise ProblemError(
            f"{owner}.correlation: expected a shape that broadcasts to {h.shape}, got {rho.shape}"
        ) from None
    return rho * h + np.sqrt((1.0 - rho) * (1.0 + rho)) * rayleigh_coefficient(rng, h.shape)


def power_gain(coefficient: ArrayLike, paths_axis: int | None = None) -> float | FloatArray:
    r"""Power gain :math:`|h|^2` of complex channel coefficients, such as a ray tracer's.

    Parameters
    ----------
    coefficient : array_like of complex128
        Complex (or real) channel coefficients: ratios of amplitudes, finite.
    paths_axis : int, optional
        Axis of propagation paths to add the powers of: the mean over a band that resolves them. Default None: every
        entry is a channel of its own. For the gain at a single frequency, add the coefficients first.

    Returns
    -------
    float or ndarray of float64
        Power gain, linear, >= 0; `coefficient`'s shape without `paths_axis`.

    Raises
    ------
    ProblemError
        If a coefficient is not numeric or not finite, or there is no such axis.

    Examples
    --------
    >>> power_gain([3e-5 + 4e-5j, 1e-5])
    array([2.5e-09, 1.0e-10])
    >>> power_gain([[3e-5, 4e-5j], [1e-5, 0.0]], paths_axis=1)
    array([2.5e-09, 1.0e-10])
    """
    h = _coefficients("power_gain", coefficient)
    power = h.real**2 + h.imag**2
    if paths_axis is None:
        return float_if_scalar(power)
    try:
        return float_if_scalar(power.sum(axis=paths_axis))
    except (ValueError, TypeError):
        raise ProblemError(
            f"power_gain.paths_axis: expected an axis of shape {h.shape}, got {paths_axis!r}"
        ) from None


def _coefficients(owner: str, coefficient: ArrayLike) -> ComplexArray:
    try:
        h = np.asarray(coefficient)
        if h.dtype.kind not in "fiuc":
            raise TypeError
    except (TypeError, ValueError):
        raise ProblemError(
            f"{owner}.coefficient: expected complex numbers, got {shorten(coefficient)}"
        ) from None
    if not np.isfinite(h).all():
        refuse(owner, "coefficient", np.abs(h), ~np.isfinite(h), "finite complex numbers")
    return h.astype(np.complex128)
