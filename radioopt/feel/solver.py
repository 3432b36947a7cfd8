"""FEEL methods: problem -> kernel -> certified solution."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from radioopt.base.certify import certify
from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, BlockKey, refuse
from radioopt.base.status import Status
from radioopt.feel import kernel, kernel_bisection, kernel_integer, kernel_vector
from radioopt.feel.kernel_rows import RESIDUAL
from radioopt.feel.problem import BatchsizeProblem
from radioopt.feel.solution import BatchsizeSolution

#: devices in a batch from which threads pay for their start
PARALLEL_FROM = 20_000
#: devices of one instance from which streaming passes pay for their subsample
STREAM_FROM = 100_000

_DEVICES = BlockKey(DEVICE)
_INSTANCES = BlockKey(PER_INSTANCE)
_COUNTS = BlockKey(PER_INSTANCE, np.dtype(np.int64).char)


@BatchsizeProblem.method("newton", exact=True)
def newton(
    problem: BatchsizeProblem, options: SolveOptions, *, integer: bool = False, node_limit: int = 100_000
) -> BatchsizeSolution:
    """Bracketed semismooth Newton on the two optimality equations; exact over integers too.

    Parameters
    ----------
    problem : BatchsizeProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances and limits.
    integer : bool, default False
        Choose whole samples. The answer is proven by closing every other total batch; its ``bound`` is that
        proof. ``verify()`` confirms objective and feasibility, but bounds by the relaxation at the rounded
        point, which is weak or infinite.
    node_limit : int, default 100000
        Total batches to try before stopping with the gap proven so far (status NODE_LIMIT); integers only.

    Returns
    -------
    BatchsizeSolution
        ``iterations`` counts passes over the devices, or total batches tried.

    Raises
    ------
    OptionError
        If ``node_limit`` is below one.
    ProblemError
        If ``integer`` and a fixed total batch is not a whole number within the integer limits.
    """
    if not integer:
        if not problem.batch_shape:
            large = problem.sizes["device"] >= STREAM_FROM
            return (large and _stream(problem, options)) or _solve_single(problem, options)
        return _run("newton", kernel.solve_serial, kernel.solve_parallel, problem, options, ())
    if node_limit < 1:
        raise OptionError(f"newton: node_limit: expected at least 1, got {node_limit}")
    check_integer(problem)
    kernels = kernel_integer.solve_integer_serial, kernel_integer.solve_integer_parallel
    return _run("newton", *kernels, problem, options, (node_limit,))


@BatchsizeProblem.method("bisection", exact=True)
def paper_bisection(problem: BatchsizeProblem, options: SolveOptions) -> BatchsizeSolution:
    """Paper's Algorithm 1 inside a bisection over the total batch, corrected; a baseline, slow.

    Parameters
    ----------
    problem : BatchsizeProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances and limits; ``max_iterations`` limits the total batches tried.

    Returns
    -------
    BatchsizeSolution
        ``iterations`` counts total batches tried; about 55 leave nothing to bisect.

    Notes
    -----
    Three nested bisections, of total batch, latency and price, each until floating point ends it: about 1e5
    passes over the devices. What was corrected in the paper is listed in :mod:`radioopt.feel.kernel_bisection`.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    Algorithm 1, Theorem 1 (22), Corollaries 1 (23) and 2 (24), Theorem 2 (26).
    """
    return _run(
        "bisection", kernel_bisection.solve_serial, kernel_bisection.solve_parallel, problem, options, ()
    )


@np.errstate(over="ignore")
def check_integer(problem: BatchsizeProblem) -> None:
    """Refuse limits without an integer between them, and fixed totals that integers cannot meet."""
    name = type(problem).__name__
    low, high = np.maximum(1.0, np.floor(problem.min_batchsize)), np.floor(problem.max_batchsize)
    total = problem.total_batchsize
    fixed = np.isfinite(total)
    wrong = fixed & ((total != np.round(total)) | (total < low.sum(-1)) | (total > high.sum(-1)))
    if wrong.any():
        refuse(name, "total_batchsize", total, wrong, "a whole number that integer batch sizes can add up to")


def _run(
    method: str,
    serial: Callable[..., None],
    parallel: Callable[..., None],
    problem: BatchsizeProblem,
    options: SolveOptions,
    extra: tuple[int, ...],
) -> BatchsizeSolution:
    """Give the kernel the problem's blocks and the solution's; judge what it measured."""
    device, instance, out_device, out_instance, out_counts = _arrays(problem)
    count = out_instance.shape[1]
    run = parallel if count > 1 and out_device.size >= 3 * PARALLEL_FROM else serial
    broadcast = problem.downlink == "broadcast"
    run(device, instance, broadcast, options.max_iterations, *extra, out_device, out_instance, out_counts[0])
    _judge(out_instance, out_counts, options, extra)
    return _solution(problem, method, out_device, out_instance, out_counts)


def _solve_single(problem: BatchsizeProblem, options: SolveOptions) -> BatchsizeSolution:
    """Solve one instance in a few microseconds."""
    instance, device = problem._blocks.values()
    packed = np.empty(8 + 3 * device.shape[1])
    status = kernel.solve_single(
        device,
        instance,
        problem.downlink == "broadcast",
        options.max_iterations,
        options.feasibility_tol,
        options.gap_tol,
        packed,
    )
    return BatchsizeSolution.unpacked_later(problem, "newton", packed, status)


def _stream(problem: BatchsizeProblem, options: SolveOptions) -> BatchsizeSolution | None:
    """Try streaming passes on one large instance; None if its certificate did not close."""
    if problem.downlink != "tdma":
        return None
    if min(problem.total_batchsize, problem.max_round_latency_s) < math.inf:
        return None
    device, instance, out_device, out_instance, out_counts = _arrays(problem)
    closed = kernel_vector.solve_streaming(
        device, instance, options.max_iterations, out_device, out_instance, out_counts[0]
    )
    _judge(out_instance, out_counts, options, ())
    if not closed or out_counts[1, 0] != Status.OPTIMAL:
        return None
    return _solution(problem, "newton", out_device, out_instance, out_counts)


def _arrays(problem: BatchsizeProblem) -> tuple[Array, Array, Array, Array, Array]:
    """Return the problem's blocks and empty ones for the solution, batch axes flattened."""
    devices = problem.sizes["device"]
    device, instance = problem.block(DEVICE), problem.block(PER_INSTANCE)
    count = math.prod(problem.batch_shape)
    return (
        device.reshape(len(device), count, devices),
        instance.reshape(len(instance), count),
        np.empty((3, count, devices)),
        np.empty((6, count)),
        np.empty((2, count), np.int64),
    )


def _solution(
    problem: BatchsizeProblem, method: str, out_device: Array, out_instance: Array, out_counts: Array
) -> BatchsizeSolution:
    """Give the arrays their batch axes back."""
    shape = problem.batch_shape
    blocks: dict[BlockKey, Array] = {
        _DEVICES: out_device.reshape(3, *shape, out_device.shape[2]),
        _INSTANCES: out_instance.reshape(6, *shape),
        _COUNTS: out_counts.reshape(2, *shape),
    }
    return BatchsizeSolution(problem, method, blocks)


def _judge(
    out_instance: Array, out_counts: Array, options: SolveOptions, node_limit: tuple[int, ...]
) -> None:
    """Replace the residual by the gap, and set the status."""
    gap, status = certify(*out_instance[:3], sense=BatchsizeProblem.sense, options=options)
    out_instance[RESIDUAL] = gap
    limit, stopped = (
        (node_limit[0], Status.NODE_LIMIT) if node_limit else (options.max_iterations, Status.ITERATION_LIMIT)
    )
    out_counts[1] = _limited(status, out_counts[0], limit, stopped)


def _limited(status: Any, counts: Any, limit: int, stopped: Status) -> Any:
    """Say why an answer is not proven: infeasible (a count of -1), or stopped at a limit."""
    status = np.where((status == int(Status.FEASIBLE)) & (counts >= limit), int(stopped), status)
    return np.where(counts < 0, int(Status.INFEASIBLE), status)
