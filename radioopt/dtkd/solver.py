"""DT-KD methods: problem -> kernel -> certified solution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array
from radioopt.dtkd import kernel_cells, kernel_general, kernel_lanes, kernel_search
from radioopt.dtkd.kernel_kinds import FREE, GENERAL, GIVEN, MIXED
from radioopt.dtkd.problem import DistillationProblem
from radioopt.dtkd.solution import DistillationSolution

#: users in a batch from which threads pay for their start, by kind
PARALLEL_FROM = {GIVEN: 100_000, FREE: 20_000, MIXED: 10_000, GENERAL: 10_000}
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
    """Let every instance be solved by the kernel for what it asks."""
    kinds = problem._kinds
    if not kinds.ndim:
        packed, status = _solve(problem, int(kinds), options, node_limit)
        return DistillationSolution.unpacked_later(problem, method, packed, status)
    split, sizes = DistillationSolution._layout.split, problem.sizes
    together = split(_room(problem), (kinds.size,), sizes)
    for kind in np.unique(kinds):
        positions = np.flatnonzero(kinds == kind)
        packed, _ = _solve(problem._select(positions), int(kind), options, node_limit)
        for key, block in split(packed, positions.shape, sizes).items():
            together[key][:, positions] = block
    blocks = {
        key: block.reshape(len(block), *problem.batch_shape, *block.shape[2:])
        for key, block in together.items()
    }
    return DistillationSolution(problem, method, blocks)


def _room(problem: DistillationProblem) -> Array:
    """Return an array for the blocks of a solution, one after the other: 8 numbers an instance, 5 1/8 a user."""
    count = math.prod(problem.batch_shape)
    users = count * problem.sizes["device"]
    return np.empty(8 * count + 5 * users - (-users // 8))


def _solve(
    problem: DistillationProblem, kind: int, options: SolveOptions, node_limit: int
) -> tuple[Array, int]:
    """Return the packed answers to instances of one kind, and the largest code of their status."""
    device, instance = problem._flat_blocks()
    packed, parallel = _room(problem), device.shape[1] > 1 and device[0].size >= PARALLEL_FROM[kind]
    tolerances = options.feasibility_tol, options.gap_tol
    catalogue = problem.catalogue.block()
    if kind == GIVEN:
        given = kernel_lanes.solve_parallel if parallel else kernel_lanes.solve_serial
        return packed, given(device, instance, catalogue, *tolerances, packed)
    if kind == GENERAL:
        solve: Any = kernel_general.solve_parallel if parallel else kernel_general.solve_serial
    elif kind == FREE and device.shape[2] <= kernel_lanes.MOST_USERS:
        solve = kernel_cells.solve_parallel if parallel else kernel_cells.solve_serial
    else:
        solve = kernel_search.solve_parallel if parallel else kernel_search.solve_serial
    return packed, solve(device, instance, catalogue, options.max_iterations, node_limit, *tolerances, packed)
