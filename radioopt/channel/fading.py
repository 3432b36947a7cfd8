"""Small-scale fading: random power gains of mean one that multiply the large-scale channel gain."""

from __future__ import annotations

import numpy as np

from radioopt.channel.draws import Size, check_draw
from radioopt.numerics.arrays import FloatArray


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
