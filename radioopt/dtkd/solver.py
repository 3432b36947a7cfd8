"""DT-KD methods: problem -> kernel -> certified solution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from radioopt.base.certify import certify
from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, BlockKey
from radioopt.base.status import Status
from radioopt.dtkd import kernel, kernel_general, kernel_search
from radioopt.dtkd.problem import DistillationProblem
from radioopt.dtkd.solution import DistillationSolution

#: users in a batch from which threads pay for their start
PARALLEL_FROM = 10_000
NODE_LIMIT = 1_000_000


@DistillationProblem.method("exact", exact=True)
def exact(
    problem: DistillationProblem, options: SolveOptions, *, node_limit: int = NODE_LIMIT
) -> DistillationSolution:
    """Dual bound, reduced-cost pruning and a search of the few users that are left; proves the optimum.

    Parameters
    ----------
    problem : DistillationProblem
        One instance or a batch; with every model and place fixed it is Problem 3, solved in closed form.
    options : SolveOptions
        Tolerances and limits; ``max_iterations`` limits the evaluations of the dual.
    node_limit : int, default 1000000
        Nodes of the search before it stops with the best point found and the gap proven so far (status
        NODE_LIMIT).

    Returns
    -------
    DistillationSolution
        ``iterations`` counts evaluations of the dual, ``nodes`` those of the search. Where the search ended by
        itself the bound is the objective less rounding.

    Raises
    ------
    OptionError
        If ``node_limit`` is below one.
    """
    if node_limit < 1:
        raise OptionError(f"exact: node_limit: expected at least 1, got {node_limit}")
    return run("exact", problem, options, node_limit)


def run(
    method: str, problem: DistillationProblem, options: SolveOptions, node_limit: int
) -> DistillationSolution:
    """Give the kernel the problem's blocks and the solution's; judge what it measured."""
    device, instance = problem.block(DEVICE), problem.block(PER_INSTANCE)
    shape, users, count = problem.batch_shape, problem.sizes["device"], math.prod(problem.batch_shape)
    device, instance = device.reshape(len(device), count, users), instance.reshape(len(instance), count)
    out_device, out_instance = np.empty((4, count, users)), np.empty((5, count))
    out_model, out_local = np.empty((1, count, users), np.int64), np.empty((1, count, users), np.bool_)
    out_counts = np.empty((3, count), np.int64)
    parallel = count > 1 and count * users >= PARALLEL_FROM
    outputs = (out_device, out_model, out_local, out_instance, out_counts)
    catalogue = problem.catalogue.block()
    if not problem.is_plain:
        solve: Any = kernel_general.solve_parallel if parallel else kernel_general.solve_serial
        solve(device, instance, catalogue, options.max_iterations, node_limit, *outputs)
    elif min(problem.fixed_model.min(), problem.fixed_place.min()) >= 0:
        solve = kernel.allocate_parallel if parallel else kernel.allocate_serial
        solve(device, instance, catalogue, *outputs)
    else:
        solve = kernel_search.solve_parallel if parallel else kernel_search.solve_serial
        solve(device, instance, catalogue, options.max_iterations, node_limit, *outputs)
    _judge(problem, out_instance, out_counts, options)
    blocks: dict[BlockKey, Array] = {
        (DEVICE, "d"): out_device.reshape(4, *shape, users),
        (DEVICE, np.dtype(np.int64).char): out_model.reshape(1, *shape, users),
        (DEVICE, "?"): out_local.reshape(1, *shape, users),
        (PER_INSTANCE, "d"): out_instance.reshape(5, *shape),
        (PER_INSTANCE, np.dtype(np.int64).char): out_counts.reshape(3, *shape),
    }
    return DistillationSolution(problem, method, blocks)


def _judge(
    problem: DistillationProblem, out_instance: Array, out_counts: Array, options: SolveOptions
) -> None:
    """Replace the residual by the gap, and set the status; the kernel leaves nodes < 0 where it was cut."""
    scale = np.reshape(np.broadcast_to(problem.scale, problem.batch_shape), out_instance.shape[1:])
    gap, status = certify(*out_instance[:3], sense=problem.sense, scale=scale, options=options)
    nodes = out_counts[kernel.NODES]
    infeasible = out_counts[kernel.PASSES] < 0
    out_instance[kernel.RESIDUAL] = gap
    cut = (status == int(Status.FEASIBLE)) & (nodes < 0)
    status = np.where(cut, int(Status.NODE_LIMIT), status)
    out_counts[kernel.STATUS] = np.where(infeasible, int(Status.INFEASIBLE), status)
    np.abs(nodes, out=nodes)
    np.abs(out_counts[kernel.PASSES], out=out_counts[kernel.PASSES])
