"""The incomplete beta function as laws of slots need it: without cancellation, and only where it is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betainc, betaincc

from radioopt.numerics.arrays import FloatArray


def incomplete_beta(
    a: FloatArray, b: FloatArray, p: FloatArray, q: FloatArray, where: Any = True
) -> FloatArray:
    """Regularised incomplete beta function I_p(a, b), from the smaller one of p and q = 1 - p; else 0."""
    found = np.zeros(np.broadcast_shapes(*map(np.shape, (a, b, p, where))))
    betainc(a, b, p, out=found, where=where & (p <= 0.5))
    betaincc(b, a, q, out=found, where=where & (p > 0.5))
    return found


def beta_fraction(a: FloatArray, b: FloatArray, x: FloatArray) -> FloatArray:
    """I_x(a, b) a B(a, b) / (x^a (1 - x)^b) for x well below a / (a + b), as a continued fraction (DLMF 8.17.22)."""
    c, d = np.ones_like(a), 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    value = d
    for i in range(1, 20_000):  # Lentz's method
        step = np.ones_like(a)
        for term in (
            i * (b - i) * x / ((a + 2 * i - 1) * (a + 2 * i)),
            -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1)),
        ):
            c, d = 1.0 + term / c, 1.0 / (1.0 + term * d)
            step = step * c * d
        value = value * step
        if (np.abs(step - 1.0) <= 4e-16).all():
            break
    return value
