"""The scaled exponential integral e^z E1(z), which is the ergodic rate of a Rayleigh fading link.

The product is computed as one quantity. Taken apart, ``exp(z) * scipy.special.exp1(z)`` is infinity times zero
from z = 710 on, where the product is a harmless 1/z.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.quantity import as_numbers, refuse
from radioopt.numerics.arrays import FloatArray, float_if_scalar
from radioopt.numerics.jit import kernel

# The series loses digits to cancellation as z grows, the continued fraction takes ever more terms as z falls
# (126 at z = 0.8, 305 at 0.3). Measured against 50 digits, their worst relative errors cross at 1:
# 1.7e-15 and 2.5e-15 on [0.8, 1], 3.2e-15 and 1.9e-15 on [1, 1.25].
SERIES_BELOW = 1.0

# Terms are added until one no longer shows; the tail behind it is then at most a few such terms.
_NEGLIGIBLE = 1e-17


@kernel
def exp_e1_scalar(z: float) -> float:
    """e^z E1(z) of a float: inf at 0, 0 at inf, NaN for NaN and for negative z."""
    if z == 0.0:
        return math.inf
    if 0.0 < z < SERIES_BELOW:
        return math.exp(z) * _e1_series(z)
    if SERIES_BELOW <= z < math.inf:
        return _exp_e1_fraction(z)
    return 0.0 if z == math.inf else math.nan


@kernel
def _e1_series(z: float) -> float:
    """E1(z) = -gamma - ln z - sum_k (-z)^k / (k k!)."""
    total = 0.0
    power = -1.0  # -(-z)^k / k!
    k = 0.0
    while True:
        k += 1.0
        power *= -z / k
        total += power / k
        if abs(power) <= _NEGLIGIBLE * abs(total):
            return total - (np.euler_gamma + math.log(z))


@kernel
def _exp_e1_fraction(z: float) -> float:
    """e^z E1(z) = 1/(z+1 - 1/(z+3 - 4/(z+5 - 9/(z+7 - ...)))) by the differences of its convergents.

    The n-th difference is 1/((n+1) L_n L_{n+1}) with the Laguerre polynomials at -z, so all of them are
    positive. With r_n = L_{n-1}/L_n and s_n = 1 - r_n the recurrence (n+1) L_{n+1} = (2n+1+z) L_n - n L_{n-1}
    becomes r_{n+1} = (n+1)/(n+1+w), s_{n+1} = w/(n+1+w), w = z + n s_n: nothing is ever subtracted, and
    rounding errors do not grow over the hundred terms it takes at z = 1 (the usual product form of Lentz's
    method loses 1.1e-14 there).
    """
    difference = 1.0 / (1.0 + z)
    total = difference
    r = difference
    s = z * difference
    n = 1.0
    while difference > _NEGLIGIBLE * total:
        w = z + n * s
        scale = 1.0 / (n + 1.0 + w)
        difference *= n * r * scale
        total += difference
        r = (n + 1.0) * scale
        s = w * scale
        n += 1.0
    return total


@kernel
def _apply_in_place(values: FloatArray) -> None:
    for i in range(values.size):
        values[i] = exp_e1_scalar(values[i])


def scaled_exp1(z: ArrayLike) -> float | FloatArray:
    r"""Scaled exponential integral :math:`e^z E_1(z)`, elementwise.

    .. math:: e^z E_1(z) = e^z \int_z^\infty \frac{e^{-t}}{t}\,dt = \int_0^\infty \frac{e^{-u}}{z + u}\,du

    Parameters
    ----------
    z : array_like of float64, any shape
        Argument, dimensionless, >= 0. Infinity and NaN are accepted.

    Returns
    -------
    float or ndarray of float64
        Same shape as `z`; a float for a scalar. Decreasing in `z`: infinity at 0, about ``-ln z - 0.5772`` for
        small and ``1/z`` for large `z`, 0 at infinity, NaN for NaN.

    Raises
    ------
    ProblemError
        If `z` is not numeric or an element is negative.

    Notes
    -----
    Power series below 1, continued fraction from 1 on, each until a term falls below 1e-17 of the sum. Relative
    error at most 5e-15 for z in [1e-16, 1e16] (measured against 50 digits), also where ``exp(z)`` overflows.
    About 15 to 45 ns per element below 1, 0.8 us at 1, 50 ns at 20.

    References
    ----------
    .. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov: 6.2.1 (definition), 6.6.2
       (series), 6.9.1 (continued fraction, of which the even part is used), 18.9.1 (Laguerre recurrence).

    Examples
    --------
    >>> round(scaled_exp1(1.0), 12)
    0.596347362323
    >>> scaled_exp1([0.0, 1e4]).round(9)
    array([      inf, 9.999e-05])
    """
    result = as_numbers("scaled_exp1", "z", z).copy(order="C")
    negative = result < 0
    if negative.any():
        refuse("scaled_exp1", "z", result, negative, ">= 0")
    _apply_in_place(result.reshape(-1))  # a view: the copy is contiguous
    return float_if_scalar(result)
