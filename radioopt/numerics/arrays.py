"""What every array front-end does to its arguments: a float for a scalar, one message for shapes that clash."""

from __future__ import annotations

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


def check_number(owner: str, name: str, value: ArrayLike, domain: Domain) -> float:
    """As :func:`radioopt.base.quantity.check`, for an argument that is one number."""
    array = check(owner, name, value, domain)
    if array.ndim:
        raise ProblemError(f"{owner}.{name}: expected one number, got shape {array.shape}")
    return float(array)
