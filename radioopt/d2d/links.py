"""Links of graphs: which of them exist and may be used, whatever the devices share over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.quantity import Array


class Links(NamedTuple):
    """The links of a single instance that may be used, in the order of their receivers."""

    devices: int
    receiver: Array
    transmitter: Array
    outage: Array
    #: classes, or clusters of the transmitter, that it shares
    shared: Array


def of_matrices(problem: Any) -> Links:
    """List the links of a problem that has matrices of them."""
    devices = problem.sizes["device"]
    receiver, transmitter = np.nonzero(problem.allowed & ~np.eye(devices, dtype=np.bool_))
    outage = problem.outage_probability[receiver, transmitter]
    return Links(devices, receiver, transmitter, outage, problem.trust[transmitter, receiver].sum(-1))


def instances(problem: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Go through the single instances of a problem, each with its index; of a single one that is ()."""
    for index in np.ndindex(problem.batch_shape):
        yield index, problem[index] if problem.batch_shape else problem


def repair(problem: Any, *, source: ArrayLike) -> dict[str, Array]:
    """Make a graph legal.

    Parameters
    ----------
    problem : GraphProblem, SparseGraphProblem or ClusterGraphProblem
        The question; a single instance says by ``permits`` which links may be used.
    source : array_like, shape (..., N)
        A nearly feasible point, a generic solver's for instance.

    Returns
    -------
    dict of str to ndarray
        Rounded, without links that do not exist, are not allowed, or lead into a cluster with a budget of 0 from
        outside.
    """
    shape = (*problem.batch_shape, problem.sizes["device"])
    chosen, _ = legal(problem, np.broadcast_to(np.round(np.asarray(source, np.float64)), shape))
    for index, one in instances(problem):
        graph = chosen[index]
        outside = one.clusters[graph] != one.clusters
        chosen[index] = np.where(outside & (one.budgets <= 0), -1, graph)
    return {"source": chosen}


def legal(problem: Any, source: Array) -> tuple[Array, Array]:
    """Replace what is no link, or not allowed, by -1; tell which graphs had none of these."""
    count = source.shape[-1]
    receiver = np.arange(count)
    known = (source >= 0) & (source < count) & (source == np.round(source)) & (source != receiver)
    chosen = np.where(known, source, -1).astype(np.int64)
    for index, one in instances(problem):
        graph = chosen[index]
        chosen[index] = np.where((graph >= 0) & one.permits(np.maximum(graph, 0)), graph, -1)
    return chosen, ((chosen == source) | (source == -1)).all(-1)
