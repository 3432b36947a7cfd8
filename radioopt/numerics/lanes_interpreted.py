"""Lanes without the compiler: arrays of eight numbers; :mod:`radioopt.numerics.lanes` says what each function does."""

from __future__ import annotations

import numpy as np

__all__ = [
    "absolute",
    "any_lane",
    "broadcast",
    "gather",
    "lane_sum",
    "larger",
    "load",
    "pick",
    "put",
    "root",
    "select",
    "smaller",
    "store",
]

#: instances side by side: what the widest registers hold
LANES = 8

larger, smaller, select, absolute, any_lane, lane_sum, root = (
    np.maximum, np.minimum, np.where, np.abs, np.any, np.sum, np.sqrt,
)  # fmt: skip


def broadcast(x):
    """Give every lane the same number."""
    return np.full(LANES, x)


def load(rows, row):
    """Read a row of scratch, which is eight numbers of an array of any shape."""
    return rows.reshape((-1, LANES))[row].copy()


def store(rows, row, x):
    """Write a row of scratch."""
    rows.reshape((-1, LANES))[row] = x


def gather(array, indices):
    """Read array[indices], some of which are lanes."""
    return array[indices]


def _instances(array, indices):
    """Index of eight instances, the last one again where there are fewer."""
    field, first, *core = indices
    return field, np.minimum(np.arange(first, first + LANES), array.shape[1] - 1), *core


def pick(array, indices):
    """Read array[field, instance, ...] of eight instances from (field, first, ...) on."""
    return array[_instances(array, indices)]


def put(array, indices, x):
    """Write array[field, instance, ...] of eight instances from (field, first, ...) on."""
    array[_instances(array, indices)] = x
