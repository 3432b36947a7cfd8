"""FIMI methods: problem -> kernel -> certified solution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from radioopt.base.certify import certify
from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, BlockKey, shorten
from radioopt.base.status import Status
from radioopt.fimi import infeasible, kernel, kernel_streaming, kernel_vector
from radioopt.fimi.integer import solve_integer
from radioopt.fimi.problem import SynthesisProblem
from radioopt.fimi.solution import SynthesisSolution

#: devices in a batch from which threads pay for their start
PARALLEL_FROM = 2_000
#: devices of one instance from which they are worth dividing among threads, and sampling first
STREAM_FROM = 20_000

_DEVICES = BlockKey(DEVICE)
_INSTANCES = BlockKey(PER_INSTANCE)
_COUNTS = BlockKey(PER_INSTANCE, np.dtype(np.int64).char)


@SynthesisProblem.method("newton", exact=True)
def newton(
    problem: SynthesisProblem,
    options: SolveOptions,
    *,
    integer: bool = False,
    warm_start: SynthesisSolution | None = None,
) -> SynthesisSolution:
    """Newton's method on the prices of learning and bandwidth: the global optimum, certified.

    Parameters
    ----------
    problem : SynthesisProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances and limits; ``max_iterations`` limits the prices tried.
    integer : bool, default False
        Choose whole synthetic samples; the same as ``method="integer"``.
    warm_start : SynthesisSolution, optional
        A solution of a similar problem, whose prices to start from; of the same batch shape, or single.

    Returns
    -------
    SynthesisSolution
        ``iterations`` counts passes over the devices, and prices of bandwidth where nested searches took over.

    Raises
    ------
    OptionError
        If ``warm_start`` is no solution of this family or of another batch shape.

    Notes
    -----
    About six to eight passes, each one or two Newton steps per device; see :mod:`radioopt.fimi.kernel`. Where Newton
    fails, on one in a thousand hard instances, nested bracketed searches take over. Only if they fail as well is
    the instance checked for feasibility, in a batch before they begin: INFEASIBLE is proven, by a bound of its own.
    """
    if integer:
        return solve_integer(problem, options, newton)
    if problem.fixes_samples:
        return _with_fixed_samples(problem, newton(problem.settled(), options, warm_start=warm_start))
    nu, varpi = _prices(problem, warm_start)
    if not problem.batch_shape and problem.sizes["device"] < STREAM_FROM:
        return _solve_single(problem, options, nu, varpi)
    devices, count = problem.sizes["device"], math.prod(problem.batch_shape)
    device, instance = _arrays(problem)
    out_device, out_instance = np.empty((4, count, devices)), np.empty((5, count))
    out_counts, start = np.empty((2, count), np.int64), np.empty((2, count))
    start[0], start[1] = np.ravel(nu), np.ravel(varpi)
    parallel = count > 1 and count * devices >= PARALLEL_FROM
    run = kernel.solve_parallel if parallel else kernel.solve_serial
    given, most = (device, instance, start), options.max_iterations
    out = out_device, out_instance, out_counts[0]
    streamed = not problem.batch_shape and kernel_streaming.solve_streaming(*given, most, *out)  # type: ignore[no-untyped-call]
    if not streamed:
        run(*given, most, 0, *out)
    failed = np.flatnonzero(out_counts[0] < 0)
    proven = infeasible.proven(problem._select(failed)) if failed.size else np.zeros(0, bool)
    hard = failed[~proven]
    if hard.size:  # nested searches, which would take long over what has no answer
        found = np.empty((4, hard.size, devices)), np.empty((5, hard.size)), np.empty(hard.size, np.int64)
        run(*_arrays(problem._select(hard)), np.ascontiguousarray(start[:, hard]), most, most, *found)
        out_device[:, hard], out_instance[:, hard], out_counts[0, hard] = found
    gap, status = certify(*out_instance[:3], sense=problem.sense, options=options)
    out_instance[kernel_vector.RESIDUAL] = gap
    out_counts[1] = status
    out_counts[1, failed[proven]] = Status.INFEASIBLE
    without = hard[out_counts[0, hard] < 0]
    out_counts[1, without] = _limited(-1 - out_counts[0, without], options)
    out_counts[0] = np.where(out_counts[0] < 0, -1 - out_counts[0], out_counts[0])
    shape = problem.batch_shape
    blocks = {
        _DEVICES: out_device.reshape(4, *shape, devices),
        _INSTANCES: out_instance.reshape(5, *shape),
        _COUNTS: out_counts.reshape(2, *shape),
    }
    return SynthesisSolution(problem, "newton", blocks)


@SynthesisProblem.method("integer", exact=False)
def integer_method(problem: SynthesisProblem, options: SolveOptions) -> SynthesisSolution:
    """Whole synthetic samples by rounding and swapping, with the gap to the continuous optimum certified.

    Parameters
    ----------
    problem : SynthesisProblem
        One instance or a batch, whose instances are rounded one by one.
    options : SolveOptions
        Tolerances and limits.

    Returns
    -------
    SynthesisSolution
        See :func:`radioopt.fimi.integer.solve_integer`.
    """
    return solve_integer(problem, options, newton)


def _with_fixed_samples(problem: SynthesisProblem, settled: SynthesisSolution) -> SynthesisSolution:
    """Return the solution of the settled problem, which is this one's but for what it counts as synthetic."""
    fixed = problem.fixed_synthetic_samples
    extra = np.where(np.isfinite(fixed), fixed, settled.synthetic_samples)
    extra = np.where(np.isnan(settled.cpu_frequency_hz), np.nan, extra)
    values = settled.to_dict() | {"synthetic_samples": extra}
    record = SynthesisSolution._computed(values, problem.batch_shape, problem.sizes)
    return SynthesisSolution(problem, "newton", record._blocks)


def _solve_single(
    problem: SynthesisProblem, options: SolveOptions, nu: float, varpi: float
) -> SynthesisSolution:
    """Solve one instance in a few microseconds."""
    instance, device = problem._blocks[_INSTANCES], problem._blocks[_DEVICES]
    packed = np.empty(7 + 4 * device.shape[1])
    status = kernel.solve_single(
        device, instance, nu, varpi, options.max_iterations, options.feasibility_tol, options.gap_tol, packed
    )
    if status == Status.FAILED:
        counts = packed[5:7].view(np.int64)
        if counts[0] < 0:
            counts[0] = -1 - counts[0]
            counts[1] = status = _why_failed(problem._select(np.zeros(1, int)), counts[:1], options)[0]
    return SynthesisSolution.unpacked_later(problem, "newton", packed, status)


def _arrays(problem: SynthesisProblem) -> tuple[Array, Array]:
    """Return the blocks of one or more instances, counted one after the other."""
    devices, count = problem.sizes["device"], math.prod(problem.batch_shape)
    return problem.block(DEVICE).reshape(-1, count, devices), problem.block(PER_INSTANCE).reshape(-1, count)


def _why_failed(problem: SynthesisProblem, passes: Array, options: SolveOptions) -> Array:
    """Tell proven infeasibility from passes that ran out and from numbers that float64 cannot hold."""
    return np.where(infeasible.proven(problem), int(Status.INFEASIBLE), _limited(passes, options))


def _limited(passes: Array, options: SolveOptions) -> Array:
    """Tell passes that ran out from numbers that float64 cannot hold."""
    return np.where(passes >= options.max_iterations, int(Status.ITERATION_LIMIT), int(Status.FAILED))


def _prices(problem: SynthesisProblem, warm_start: Any) -> tuple[Any, Any]:
    """Prices to start from; nan for none."""
    if warm_start is None:
        return math.nan, math.nan
    if not isinstance(warm_start, SynthesisSolution):
        raise OptionError(f"newton: warm_start: expected a SynthesisSolution, got {shorten(warm_start)}")
    if warm_start.batch_shape not in ((), problem.batch_shape):
        raise OptionError(
            f"newton: warm_start: expected a solution of batch shape {problem.batch_shape} or a single one, "
            f"got {warm_start.batch_shape}"
        )
    return warm_start.price_learning_j, warm_start.price_bandwidth_j_per_hz
