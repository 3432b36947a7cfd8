"""What a pass over many devices costs at least: one fused read of the inputs, or one exponential per device."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import get_num_threads, njit, prange, set_num_threads

from radioopt.base.quantity import Array

#: sums may be reordered here, and only here: the pass is to be limited by memory and nothing else
_READ = {"reassoc", "contract", "nsz"}


@njit(fastmath=_READ)
def _read(block: Any, start: int, stop: int) -> float:
    """Sum of products over the rows of a part of the block: every number is read once."""
    total = 0.0
    if block.shape[0] == 3:
        for k in range(start, stop):
            total += block[0, k] * block[1, k] + block[2, k]
    else:
        for k in range(start, stop):
            total += block[0, k] * block[1, k] + block[2, k] * block[3, k]
            total += block[4, k] * block[5, k] + block[6, k]
    return total


@njit(parallel=True)
def _read_chunks(block: Any, parts: Any) -> float:
    chunks = parts.size
    size = block.shape[1]
    for i in prange(chunks):
        parts[i] = _read(block, i * size // chunks, (i + 1) * size // chunks)
    return parts.sum()


def streaming_pass(block: Array) -> float:
    """Read a block of three or seven rows once, on Numba's current number of threads.

    Parameters
    ----------
    block : ndarray, shape (3 or 7, K)
        The arrays to read, each in one piece.

    Returns
    -------
    float
        A sum over all of it, so that nothing can be left out.

    Examples
    --------
    >>> streaming_pass(np.ones((3, 1000)))
    2000.0
    """
    return float(_read_chunks(block, np.empty(4 * get_num_threads())))


@njit(parallel=True)
def _exp_chunks(values: Any, parts: Any) -> float:
    chunks = parts.size
    size = values.size
    for i in prange(chunks):
        total = 0.0
        for k in range(i * size // chunks, (i + 1) * size // chunks):
            total += math.exp(values[k])
        parts[i] = total
    return parts.sum()


def exp_pass(values: Array) -> float:
    """Take one scalar exponential per device, on Numba's current number of threads.

    Parameters
    ----------
    values : ndarray, shape (K,)
        The exponents.

    Returns
    -------
    float
        The sum of the exponentials, so that nothing can be left out.

    Examples
    --------
    >>> exp_pass(np.zeros(1000))
    1000.0
    """
    return float(_exp_chunks(values, np.empty(4 * get_num_threads())))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let Numba's parallel loops use so many threads within the context."""
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)
