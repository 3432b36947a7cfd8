"""What every array front-end does to its arguments: a float for a scalar, one message for shapes that clash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import Domain, check

FloatArray = NDArray[np.float64]


def float_if_scalar(values: Any) -> float | FloatArray:
    """Return a 0-d result as a Python float and any other array as it is."""
    return values if np.ndim(values) else float(values)


def check_shapes(owner: str, **arguments: FloatArray) -> None:
    """Raise a ``ProblemError`` naming every shape unless the arguments broadcast against each other."""
    try:
        np.broadcast_shapes(*(array.shape for array in arguments.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arguments.items())
        raise ProblemError(f"{owner}: expected shapes that broadcast, got {shapes}") from None


def quotient(numerators: Sequence[ArrayLike], denominators: Sequence[ArrayLike]) -> FloatArray:
    """Return a product of numbers >= 0 over another, where only the result itself can leave float64.

    Mantissas and exponents are multiplied apart, so that 1e-200 * 1e-200 / 1e-300 has its digits. Infinity and zero are
    what is beyond them.
    """
    mantissa, exponent = np.asarray(1.0), np.asarray(0)
    with np.errstate(all="ignore"):
        for factors, sign in ((numerators, 1), (denominators, -1)):
            for factor in factors:
                part, power = np.frexp(np.asarray(factor, np.float64))
                mantissa, carry = np.frexp(mantissa * part if sign > 0 else mantissa / part)
                exponent = exponent + sign * power + carry
        return np.asarray(np.ldexp(mantissa, exponent))


def check_number(owner: str, name: str, value: ArrayLike, domain: Domain) -> float:
    """As :func:`radioopt.base.quantity.check`, for an argument that is one number."""
    array = check(owner, name, value, domain)
    if array.ndim:
        raise ProblemError(f"{owner}.{name}: expected one number, got shape {array.shape}")
    return float(array)
