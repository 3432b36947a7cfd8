"""Averaging with neighbours: doubly stochastic weights of a graph, how fast they mix, and models mixed by them."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from learning.models.weights import Rows

Matrix = NDArray[np.float64]
Graph = NDArray[np.bool_]

#: a gap that is nothing but rounding
ROUNDING = 1e-12


def metropolis(graph: Graph) -> Matrix:
    r"""Return Metropolis-Hastings weights of a graph.

    .. math::
        w_{ij} = \frac{1}{1 + \max(d_i, d_j)}, \qquad w_{ii} = 1 - \sum_{j \ne i} w_{ij},

    over the neighbours j of i, with :math:`d_i` of them.

    Parameters
    ----------
    graph : ndarray of bool, shape (K, K)
        Who is whose neighbour: symmetric; the diagonal does not count.

    Returns
    -------
    ndarray of float64, shape (K, K)
        Symmetric, at least 0, rows and columns of sum 1: the mean over the devices is kept. Of the complete graph all
        weights are 1/K.

    References
    ----------
    L. Xiao, S. Boyd, S. Lall, "Distributed Average Consensus with Time-Varying Metropolis Weights".

    Examples
    --------
    >>> metropolis(np.array([[False, True, False], [True, False, True], [False, True, False]])).round(3)
    array([[0.667, 0.333, 0.   ],
           [0.333, 0.333, 0.333],
           [0.   , 0.333, 0.667]])
    """
    others = graph & ~np.eye(len(graph), dtype=np.bool_)
    degree = others.sum(1)
    return _closed(others / (1.0 + np.maximum(degree[:, None], degree)))


def over(weights: Matrix, links: Graph) -> Matrix:
    """Return weights of an averaging in which only some links work: both ends keep what they would have given.

    Parameters
    ----------
    weights : ndarray, shape (K, K)
        Of the whole graph, see :func:`metropolis`.
    links : ndarray of bool, shape (K, K)
        Those that work, symmetric.

    Returns
    -------
    ndarray of float64, shape (K, K)
        Doubly stochastic as the given ones.
    """
    return _closed(np.where(links, weights, 0.0))


def _closed(weights: Matrix) -> Matrix:
    """Put on the diagonal what rows lack to 1."""
    weights = weights.copy()
    np.fill_diagonal(weights, 0.0)
    np.fill_diagonal(weights, 1.0 - weights.sum(1))
    return weights


def spectral_gap(weights: Matrix) -> float:
    """Return 1 minus the second largest modulus of the eigenvalues of symmetric doubly stochastic weights.

    An averaging leaves at most 1 minus the gap of the distance from the mean. It is 0 for a graph in several parts,
    and 1 for the complete one, and for a single device.
    """
    if len(weights) < 2:
        return 1.0
    values = np.linalg.eigvalsh(weights)
    gap = float(1.0 - max(values[-2], -values[0]))
    return min(gap, 1.0) if gap > ROUNDING else 0.0


def parts_of(graph: Graph) -> int:
    """Count the parts of a graph that no link connects."""
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(graph, directed=False)[0])


def mixed(rows: Rows, weights: Matrix) -> dict[str, torch.Tensor]:
    """Average models with their neighbours'.

    Parameters
    ----------
    rows : mapping of str to Tensor
        Weights of all devices, shapes (K, ...).
    weights : ndarray, shape (K, K)
        Doubly stochastic.

    Returns
    -------
    dict of str to Tensor
        The same shapes and number types, summed in double precision; whole numbers are rounded. A device of no
        neighbours keeps its model bit for bit.
    """
    # sparse, so that a model that diverged reaches its neighbours alone
    places, values = torch.from_numpy(np.stack(np.nonzero(weights))), torch.from_numpy(weights[weights != 0])
    sparse = torch.sparse_coo_tensor(places, values, weights.shape, check_invariants=False)
    alone = torch.from_numpy(weights.diagonal() == 1.0)
    made = {}
    for name, value in rows.items():
        flat = value.double().reshape(len(value), value[0].numel())
        sums = torch.sparse.mm(sparse.to(value.device), flat).view(value.shape)
        sums = sums if value.is_floating_point() else sums.round()
        kept = alone.to(value.device).view(-1, *[1] * (value.dim() - 1))
        made[name] = torch.where(kept, value, sums.to(value.dtype))
    return made


def spread(rows: Rows) -> tuple[dict[str, torch.Tensor], float]:
    """Return the mean of models, and how far they are from it: the root of the mean squared distance.

    Parameters
    ----------
    rows : mapping of str to Tensor
        Weights of all devices, shapes (K, ...); whole numbers do not count.

    Returns
    -------
    mean : dict of str to Tensor
        In double precision.
    distance : float
        0 where all are the same.
    """
    floats = {name: value.double() for name, value in rows.items() if value.is_floating_point()}
    mean = {name: value.mean(0) for name, value in floats.items()}
    total = sum(float((value - mean[name]).square().sum()) for name, value in floats.items())
    count = max((len(value) for value in floats.values()), default=1)
    return mean, math.sqrt(total / count)
