"""Where devices are: points uniform over the area of a cell, and the distances between points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import check, finite, nonnegative, positive
from radioopt.channel.draws import Size, check_draw
from radioopt.numerics.arrays import FloatArray, check_number, check_shapes, float_if_scalar


def uniform_in_disc(
    rng: np.random.Generator, size: Size, *, radius_m: float, min_distance_m: float = 35.0
) -> FloatArray:
    """Draw points uniformly over the area of a disc around the origin, outside a minimum distance.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness; the same state gives the same points.
    size : int or tuple of int
        Number of points; as a tuple, leading entries are a batch: ``(100, 12)`` is 100 drops of 12 devices.
    radius_m : float
        Radius of the disc in m, > 0.
    min_distance_m : float, optional
        No point is closer to the origin, in m, >= 0 and < `radius_m`. Default 35.0: the least distance between
        device and base station in 3GPP macro cells. At 0 a few devices land next to the mast, where path loss
        models have no meaning and a handful of absurd gains dominates every average.

    Returns
    -------
    ndarray of float64, shape ``(*size, 2)``
        Cartesian coordinates in m. Distances lie in [`min_distance_m`, `radius_m`] up to rounding.

    Raises
    ------
    ProblemError
        If `rng` is not a generator, `size` not a count or a tuple of counts, a length is outside its domain, or
        `min_distance_m` is not below `radius_m`.

    Notes
    -----
    Uniform over the area means that the *squared* distance is uniform: half of the devices are farther than
    0.71 radii. A uniform distance would put half of them on the inner quarter of the area.

    References
    ----------
    .. [1] 3GPP TR 36.814 V9.2.0 (Release 9), Table A.2.1.1-1: minimum distance of 35 m.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> uniform_in_disc(rng, (100, 12), radius_m=200.0).shape
    (100, 12, 2)
    """
    owner = "uniform_in_disc"
    shape = check_draw(owner, rng, size)
    outer = check_number(owner, "radius_m", radius_m, positive)
    inner = check_number(owner, "min_distance_m", min_distance_m, nonnegative)
    if inner >= outer:
        raise ProblemError(f"{owner}.min_distance_m: expected less than radius_m = {outer:g}, got {inner:g}")
    distance = np.sqrt(rng.uniform(inner**2, outer**2, shape))
    angle = rng.uniform(0.0, 2.0 * math.pi, shape)
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=-1)


def distances_m(position_m: ArrayLike, origin_m: ArrayLike = (0.0, 0.0)) -> float | FloatArray:
    """Euclidean distance between points.

    Parameters
    ----------
    position_m : array_like of float64, shape ``(..., d)``
        Points in m, finite.
    origin_m : array_like of float64, shape ``(..., d)``, optional
        Points in m to measure from, finite; broadcasts. Default (0.0, 0.0): the base station.

    Returns
    -------
    float or ndarray of float64, shape ``(...)``
        Distances in m.

    Raises
    ------
    ProblemError
        If a coordinate is not numeric or not finite, or if the shapes do not fit each other.

    Examples
    --------
    >>> distances_m([[30.0, 40.0], [0.0, 35.0]])
    array([50., 35.])

    All pairs of N points, shape ``(N, N)``:

    >>> points = np.array([[0.0, 0.0], [3.0, 4.0]])
    >>> distances_m(points[:, None], points[None, :])
    array([[0., 5.],
           [5., 0.]])
    """
    owner = "distances_m"
    position = check(owner, "position_m", position_m, finite)
    origin = check(owner, "origin_m", origin_m, finite)
    check_shapes(owner, position_m=position, origin_m=origin)
    if position.shape[-1:] != origin.shape[-1:] or position.ndim == 0:
        raise ProblemError(
            f"{owner}: expected as many coordinates on the last axis of both arguments, "
            f"got shapes {position.shape} and {origin.shape}"
        )
    return float_if_scalar(np.sqrt(np.square(position - origin).sum(axis=-1)))
