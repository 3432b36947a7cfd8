"""Shadowing: what buildings add to the path loss of a link, or take from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import check, nonnegative
from radioopt.channel.draws import Size, check_draw
from radioopt.numerics.arrays import FloatArray


def lognormal_shadowing_db(rng: np.random.Generator, size: Size, std_db: ArrayLike) -> FloatArray:
    """Draw independent log-normal shadowing: normal in dB, of mean zero.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness; the same state gives the same draws.
    size : int or tuple of int
        Shape of the draw.
    std_db : array_like of float64
        Standard deviation in dB, >= 0; broadcasts to `size`.

    Returns
    -------
    ndarray of float64, shape `size`
        Loss in dB to add to the path loss: negative where the link is better than its path loss.

    Raises
    ------
    ProblemError
        If `rng` is not a generator, `size` not a count or a tuple of counts, or `std_db` is negative, not finite or
        does not broadcast to `size`.

    Notes
    -----
    Every link is independent of every other. Real shadowing is alike over some tens of metres, so neighbours agree
    more than here; the distribution of each link is the same. Its mean is zero in dB: the mean *linear* gain is
    higher by a factor of ``exp((std_db ln(10)/10)^2 / 2)``, 1.5 at 4 dB and 14 at 10 dB.

    Examples
    --------
    >>> lognormal_shadowing_db(np.random.default_rng(1), 3, std_db=8.0).shape
    (3,)
    """
    owner = "lognormal_shadowing_db"
    shape = check_draw(owner, rng, size)
    std = check(owner, "std_db", std_db, nonnegative)
    try:
        std = np.broadcast_to(std, shape)
    except ValueError:
        raise ProblemError(
            f"{owner}.std_db: expected a shape that broadcasts to {shape}, got {std.shape}"
        ) from None
    return std * rng.standard_normal(shape)
