"""The two arguments every random draw shares: a generator and a size."""

from __future__ import annotations

import math
import operator

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import shorten

Size = int | tuple[int, ...]


def check_draw(owner: str, rng: np.random.Generator, size: Size) -> tuple[int, ...]:
    """Return `size` as a shape; refuse a seed in place of a generator, and sizes that are not counts.

    A seed is refused because two calls with the same seed would draw the same numbers, silently correlated.
    """
    if not isinstance(rng, np.random.Generator):
        raise ProblemError(
            f"{owner}.rng: expected a numpy.random.Generator (numpy.random.default_rng(seed)), got {rng!r}"
        )
    try:
        shape = tuple(operator.index(n) for n in (size if isinstance(size, tuple) else (size,)))
    except TypeError:
        shape = (-1,)
    if any(n < 0 for n in shape):
        raise ProblemError(f"{owner}.size: expected a count or a tuple of counts, got {shorten(size)}")
    if math.prod(shape) >= 2**48:  # numbers of 8 bytes: more than a processor can address
        raise ProblemError(f"{owner}.size: expected what fits into memory, got {shorten(size)}")
    return shape
