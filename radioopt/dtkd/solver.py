"""DT-KD methods: problem -> kernel -> certified solution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.layout import columns
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, BlockKey
from radioopt.base.status import Status
from radioopt.dtkd import kernel_cells, kernel_general, kernel_lanes, kernel_search
from radioopt.dtkd.kernel import STATUS
from radioopt.dtkd.kernel_cells import UNSETTLED
from radioopt.dtkd.kernel_kinds import BEYOND, FREE, GENERAL, GIVEN, MIXED
from radioopt.dtkd.problem import DistillationProblem
from radioopt.dtkd.solution import DistillationSolution
from radioopt.numerics.lanes import LANES

#: users in a batch from which threads pay for their start, by kind
PARALLEL_FROM = {GIVEN: 40_000, FREE: 20_000, MIXED: 10_000, GENERAL: 10_000}
NODE_LIMIT = 1_000_000

_COUNTS = BlockKey(PER_INSTANCE, np.dtype(np.int64).char)
_MODELS = BlockKey(DEVICE, np.dtype(np.int64).char)


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
    split, sizes, count = DistillationSolution._layout.split, problem.sizes, math.prod(problem.batch_shape)
    if not kinds.ndim:
        packed, status = _solve(problem, int(kinds), options, node_limit)
        if status == UNSETTLED and not problem.batch_shape:
            packed, status = _solve(problem, MIXED, options, node_limit)
        if status != UNSETTLED:
            return DistillationSolution.unpacked_later(problem, method, packed, status)
        together = split(packed, (count,), sizes)
        kinds = np.where(together[_COUNTS][STATUS] == UNSETTLED, MIXED, -1)
    else:
        together = split(_room(problem), (count,), sizes)
    for kind in np.unique(kinds[kinds >= 0]):
        positions = np.flatnonzero(kinds == kind)
        part = problem._select(positions)
        if kind == FREE:
            found = run(method, part, options, node_limit)._blocks
        else:
            found = split(_solve(part, int(kind), options, node_limit)[0], positions.shape, sizes)
        for key, block in found.items():
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


def _no_answers(problem: DistillationProblem) -> Array:
    """Return what stands for answers to instances whose numbers are beyond the digits."""
    packed = _room(problem)
    blocks = DistillationSolution._layout.split(packed, (math.prod(problem.batch_shape),), problem.sizes)
    for block in blocks.values():
        block[...] = {"f": np.nan, "i": 0, "b": False}[block.dtype.kind]
    blocks[_MODELS][...], blocks[_COUNTS][STATUS] = -1, Status.FAILED
    return packed


def _solve(
    problem: DistillationProblem, kind: int, options: SolveOptions, node_limit: int
) -> tuple[Array, int]:
    """Return the packed answers to instances of one kind, and the largest code of their status."""
    if kind >= BEYOND:
        return _no_answers(problem), Status.FAILED
    device, catalogue = problem._flat(DEVICE), problem.catalogue.block()
    packed, parallel = _room(problem), device.shape[1] > 1 and device[0].size >= PARALLEL_FROM[kind]
    tolerances = options.feasibility_tol, options.gap_tol
    if kind == GIVEN:
        kernels: Any = kernel_lanes
        arguments: tuple[Any, ...] = (device, instance_lanes(problem), catalogue, *tolerances)
    else:
        cells = kind == FREE and device.shape[2] <= kernel_lanes.MOST_USERS
        kernels = kernel_general if kind == GENERAL else kernel_cells if cells else kernel_search
        instance = problem._flat(PER_INSTANCE, common=True)
        arguments = (device, instance, catalogue, options.max_iterations, node_limit, *tolerances)
        if kind == GENERAL:
            arguments = (device, problem._flat(DEVICE, common=True), *arguments[1:])
    if parallel:
        return packed, kernels.solve_parallel(*arguments, packed)
    return packed, kernels.solve_span(*arguments, 0, device.shape[1], packed)


def instance_lanes(problem: DistillationProblem) -> Array:
    """Return what the users of an instance have in common, for the kernel of Problem 3: once where all are alike."""
    instance = columns(problem.block(PER_INSTANCE, common=True))
    return instance.repeat(LANES, 1) if instance.shape[1] == 1 else instance
