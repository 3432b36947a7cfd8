"""Whole points of what is transferred as real numbers."""

from __future__ import annotations

import numpy as np

from radioopt.base.quantity import Array


def whole_points(source: Array, transferred: Array) -> Array:
    """Round transfers by largest remainders, for each transmitter and kind of points.

    Parameters
    ----------
    source : ndarray of int, shape (..., N)
        Transmitter of each device, -1 for none.
    transferred : ndarray, shape (..., N, L)
        Points sent to each device.

    Returns
    -------
    ndarray of int64, shape (..., N, L)
        Their sum over the receivers of a transmitter is that of ``transferred``, rounded down.

    Examples
    --------
    >>> whole_points(np.array([-1, 0, 0]), np.array([[0.0], [1.7], [2.5]]))
    array([[0],
           [2],
           [2]])
    """
    found = np.floor(transferred + 1e-9)
    for index in np.ndindex(source.shape[:-1]):
        one, sent, whole = source[index], transferred[index], found[index]
        linked = np.flatnonzero(one >= 0)
        linked = linked[np.argsort(one[linked], kind="stable")]
        for mine in np.split(linked, np.flatnonzero(np.diff(one[linked])) + 1):
            left = np.floor(sent[mine].sum(0) + 1e-9) - whole[mine].sum(0)
            order = np.argsort(whole[mine] - sent[mine], axis=0, kind="stable")
            rank = np.argsort(order, axis=0, kind="stable")
            whole[mine] += rank < left
    return found.astype(np.int64)
