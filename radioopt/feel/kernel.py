"""FEEL kernels: solve one instance or many."""

import math

import numpy as np

from radioopt.feel.kernel_point import certify_point, finish, no_answer
from radioopt.feel.kernel_rows import BOUND, OBJECTIVE, RESIDUAL, TOTAL
from radioopt.feel.kernel_search import least_download_phase, newton, newton_fixed, prepare
from radioopt.feel.kernel_vector import solve_vector
from radioopt.numerics.jit import kernel, parallel_kernel, prange, shaped
from radioopt.numerics.judge import FEASIBLE, INFEASIBLE, ITERATION_LIMIT, judge


@kernel
def solve_one(device, instance, i, broadcast, max_iterations, out_device, out_instance, out_passes):
    """Solve and measure instance ``i``."""
    plain = not broadcast and instance[TOTAL, i] == math.inf
    if plain and solve_vector(device, instance, i, max_iterations, out_device, out_instance, out_passes):
        return
    work = np.empty((11, device.shape[2]))
    slowest = prepare(device, instance, i, work)
    if math.isnan(slowest):
        no_answer(i, 0, out_device, out_instance, out_passes)
        return
    rest, last = least_download_phase(work, broadcast)
    fixed = instance[TOTAL, i]
    if fixed < math.inf:
        z, m, out_passes[i] = newton_fixed(work, slowest, fixed, max_iterations)
    else:
        z, m, out_passes[i] = newton(work, slowest, last + rest, max_iterations)
    finish(work, z, m, slowest, rest, last, i, broadcast, instance, out_device, out_instance, out_passes)


@kernel
def solve_serial(device, instance, broadcast, max_iterations, out_device, out_instance, out_passes):
    """Solve every instance, one after the other."""
    for i in range(instance.shape[1]):
        solve_one(device, instance, i, broadcast, max_iterations, out_device, out_instance, out_passes)


@kernel
def solve_single(device, instance, broadcast, max_iterations, feasibility_tol, gap_tol, packed):
    """Solve and judge a problem that is no batch; return the status, having filled the solution's blocks.

    They lie one after the other in one array, as every array that crosses from Python costs as much as a pass
    over twenty devices.
    """
    rows, count = device.shape
    out_instance, out_device = shaped(packed[:6], (6, 1)), shaped(packed[8:], (3, 1, count))
    counts = packed[6:8].view(np.int64)
    devices, instances = shaped(device, (rows, 1, count)), shaped(instance, (instance.size, 1))
    solve_serial(devices, instances, broadcast, max_iterations, out_device, out_instance, counts)
    objective, bound, residual = packed[OBJECTIVE], packed[BOUND], packed[RESIDUAL]
    gap, status = judge(objective, bound, residual, -1.0, 0.0, feasibility_tol, gap_tol)
    if counts[0] < 0:
        status = INFEASIBLE
    elif status == FEASIBLE and counts[0] >= max_iterations:
        status = ITERATION_LIMIT
    packed[RESIDUAL], counts[1] = gap, status
    return status


@parallel_kernel
def solve_parallel(device, instance, broadcast, max_iterations, out_device, out_instance, out_passes):
    """Solve every instance, in parallel over instances."""
    for i in prange(instance.shape[1]):
        solve_one(device, instance, i, broadcast, max_iterations, out_device, out_instance, out_passes)


@kernel
def certify_points(device, instance, broadcast, out_device, out_instance):
    """Measure given points without solving; the twin of the NumPy certificate, compared with it in tests."""
    work = np.empty((11, device.shape[2]))
    for i in range(instance.shape[1]):
        prepare(device, instance, i, work)
        certify_point(work, broadcast, i, instance, out_device, out_instance)
