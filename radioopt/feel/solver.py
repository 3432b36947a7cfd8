"""FEEL methods: problem -> kernel -> certified solution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from radioopt.base.certify import certify
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, BlockKey
from radioopt.base.status import Status
from radioopt.feel import kernel
from radioopt.feel.problem import BatchsizeProblem
from radioopt.feel.solution import BatchsizeSolution

#: devices in a batch from which threads pay for their start
PARALLEL_FROM = 20_000

_DEVICES: BlockKey = (DEVICE, "d")
_INSTANCES: BlockKey = (PER_INSTANCE, "d")
_COUNTS: BlockKey = (PER_INSTANCE, np.dtype(np.int64).char)


@BatchsizeProblem.method("newton", exact=True)
def newton(problem: BatchsizeProblem, options: SolveOptions) -> BatchsizeSolution:
    """Bracketed semismooth Newton on the two optimality equations; 4 to 5 passes over the devices usually."""
    return _run("newton", kernel.solve_serial, kernel.solve_parallel, problem, options)


def _run(
    method: str,
    serial: Callable[..., None],
    parallel: Callable[..., None],
    problem: BatchsizeProblem,
    options: SolveOptions,
) -> BatchsizeSolution:
    """Give the kernel the problem's blocks and the solution's; judge what it measured."""
    batch_shape, devices = problem.batch_shape, problem.sizes["device"]
    device = problem.block(DEVICE).reshape(kernel.BASE + 1, -1, devices)
    instance = problem.block(PER_INSTANCE).reshape(kernel.DECAY + 1, -1)
    count = instance.shape[1]
    out_device = np.empty((3, count, devices))
    out_instance = np.empty((6, count))
    out_counts = np.empty((2, count), np.int64)
    run = parallel if count > 1 and count * devices >= PARALLEL_FROM else serial
    run(device, instance, options.max_iterations, out_device, out_instance, out_counts[0])
    judge(out_instance, out_counts, options)
    blocks: dict[BlockKey, Array] = {
        _DEVICES: out_device.reshape(3, *batch_shape, devices),
        _INSTANCES: out_instance.reshape(6, *batch_shape),
        _COUNTS: out_counts.reshape(2, *batch_shape),
    }
    return BatchsizeSolution(problem, method, blocks)


def judge(out_instance: Array, out_counts: Array, options: SolveOptions) -> None:
    """Replace the residual by the gap, and set the status."""
    measured: tuple[Any, ...] = tuple(out_instance[:3])
    if out_instance.shape[1] == 1:
        measured = tuple(out_instance[:3, 0].tolist())
    gap, status = certify(*measured, sense=BatchsizeProblem.sense, options=options)
    out_instance[kernel.RESIDUAL] = gap
    out_counts[1] = status
    if out_counts[1].any():
        limited = (out_counts[1] == Status.FEASIBLE) & (out_counts[0] >= options.max_iterations)
        out_counts[1, limited] = Status.ITERATION_LIMIT
