"""FIMI kernel: Newton's method on the two prices, with nested searches where it fails, and a one-pass certificate.

The dual is concave in the prices (nu, varpi) of learning and bandwidth; its gradient is how far the devices'
choices miss the two budgets. Newton's method takes

    G1 = ln(sum D^-beta / Y) = 0,  G2 = ln(sum b / B) = 0

in (ln nu, ln varpi) with the exact Jacobian. Each device follows its root along the tangent and corrects it by
Newton steps of its own, no further than the prices deserve; the step that is left enters the sums to first order.
"""

import math

import numpy as np

from radioopt.fimi.kernel_device import ROWS
from radioopt.fimi.kernel_nested import nested, prepare, remember
from radioopt.fimi.kernel_vector import (
    B_NU,
    B_VARPI,
    BAND,
    BOUND,
    L_NU,
    L_VARPI,
    LARGE,
    LAST,
    LEARNED,
    OBJECTIVE,
    RESIDUAL,
    SCRATCH,
    SMALL,
    SUMS,
    allocate,
    conclude,
    survey,
    sweep,
)
from radioopt.numerics.jit import kernel, parallel_kernel, prange
from radioopt.numerics.judge import judge

# rows of the problem's per-instance block
NOISE, BANDWIDTH, PAYLOAD, DEADLINE, ROUNDS, ZETA, ERROR, ALPHA, BETA, GAMMA, EPOCHS = range(11)
# relative excess over the learning budget that is rounding
ENOUGH = 1e-12
# share of the round that uploads are first assumed to take
UPLOAD_SHARE = 0.4
# logarithm of the largest price to start from, which leaves room for those tried after it
LOG_LARGEST = 500.0
# passes after which Newton's method is given up
MOST_PASSES = 40


@kernel
def parameters(instance, i, count):
    """Return a, T, Y, B, beta, N0 and tau of instance ``i``."""
    left = 1.0 + instance[GAMMA, i] + instance[ZETA, i] / instance[ROUNDS, i] * math.log(instance[ERROR, i])
    return (
        instance[PAYLOAD, i] * math.log(2.0),
        instance[DEADLINE, i],
        count * left / instance[ALPHA, i],
        instance[BANDWIDTH, i],
        instance[BETA, i],
        instance[NOISE, i],
        instance[EPOCHS, i],
    )


@kernel
def first_prices(par, count, sums):
    """Prices at which equal upload times, unlimited, would about meet both budgets, from a survey.

    ln nu is -inf where the local samples are enough. Returns nan where an instance is infeasible at a glance or
    float64 too narrow for it.
    """
    a, latency, budget, band, beta = par[0], par[1], par[2], par[3], par[4]
    if (
        sums[3] > 0.0
        or not budget > 0.0
        or not min(a, latency, band) > SMALL
        or not max(a, latency, band) < LARGE
    ):
        return math.nan, math.nan
    t, s, p = UPLOAD_SHARE * latency, (1.0 - UPLOAD_SHARE) * latency, beta / (beta + 3.0)
    log_nu = -math.inf
    if not (p > 1e-9 and 0.0 < sums[1] < math.inf and 0.0 < sums[2] < math.inf):
        return math.nan, math.nan
    if sums[0] > budget * (1.0 + ENOUGH):
        log_nu = math.log(sums[1] / budget) / p - 2.0 * math.log(s)
    u = min(a * count / (t * band), 600.0)
    e = math.expm1(u)
    gain = (sums[2] / count) * (sums[2] / count)
    log_varpi = math.log(gain * t * max(u * (e + 1.0) - e, 0.5 * u * u))
    if abs(log_varpi) > LOG_LARGEST or (log_nu > -math.inf and abs(log_nu) > LOG_LARGEST):
        return math.nan, math.nan
    return log_nu, log_varpi


@kernel
def newton_step(par, learns, sums):
    """Newton's step in (ln nu, ln varpi), at most 2 in size, and how far the budgets were from being met.

    The measure is inf where there is no step: where no device answers to a price.
    """
    if not (0.0 < sums[BAND] < math.inf and (0.0 < sums[LEARNED] < math.inf or not learns)):
        return 0.0, 0.0, math.inf  # beyond float64
    g1 = math.log(sums[LEARNED] / par[2]) if learns else 0.0
    g2 = math.log(sums[BAND] / par[3])
    j22 = sums[B_VARPI] / sums[BAND]
    if not j22 < 0.0:
        return 0.0, 0.0, math.inf
    step_nu, step_varpi = 0.0, -g2 / j22
    if learns:
        j11, j12, j21 = sums[L_NU] / sums[LEARNED], sums[L_VARPI] / sums[LEARNED], sums[B_NU] / sums[BAND]
        determinant = j11 * j22 - j12 * j21
        if not determinant > 1e-12 * abs(j11 * j22):
            return 0.0, 0.0, math.inf
        step_nu = (j12 * g2 - j22 * g1) / determinant
        step_varpi = (j21 * g1 - j11 * g2) / determinant
    size = max(abs(step_nu), abs(step_varpi))
    if not size < math.inf:
        return 0.0, 0.0, math.inf
    if size > 2.0:
        step_nu, step_varpi = 2.0 * step_nu / size, 2.0 * step_varpi / size
    return step_nu, step_varpi, max(abs(g1), abs(g2))


@kernel
def newton(device, i, par, prices, close, tolerance, max_passes, state, w, work, sums):
    """Newton's method in (ln nu, ln varpi); return them with the last step, the passes, and whether it went well.

    The step from where the budgets are met to within ``close`` is the last: it squares the error.
    """
    learns = prices[0] > -math.inf
    before, stalled, passes = math.inf, 0, 0
    while passes < max_passes:
        passes += 1
        sweep(device, i, 0, device.shape[2], par, prices, tolerance, state, w, work, sums)
        step_nu, step_varpi, merit = newton_step(par, learns, sums)
        stalled = stalled + 1 if merit > 0.5 * before else 0
        if not merit < math.inf or stalled >= 4:
            break
        before = merit
        prices = (prices[0] + step_nu, prices[1] + step_varpi, step_nu, step_varpi)
        if merit < close and sums[LAST] < 9.0 * close * close:
            return prices, passes, True
        tolerance = min(0.03, max(1e-6, 0.1 * merit))
    return prices, passes, False


@kernel
def solve_one(device, instance, i, start, max_passes, most_nested, state, w, out_device, out_instance):
    """Solve instance ``i``; return the passes taken, negative if no answer was found.

    ``start`` holds prices (nu, varpi) to begin with, nan for none. The nested searches end after ``most_nested``
    passes in all; with none an infeasible instance costs little.
    """
    count = device.shape[2]
    par, sums, one = parameters(instance, i, count), np.empty(SUMS), np.empty((ROWS, 1))
    survey(device, i, 0, count, par, w, sums)
    log_nu, log_varpi = first_prices(par, count, sums)
    passes, met = 0, not math.isnan(log_nu)
    if met:
        warm = start[1, i] > 0.0
        if warm and start[0, i] > 0.0 and log_nu > -math.inf:
            log_nu = math.log(start[0, i])
        if warm:
            log_varpi = math.log(start[1, i])
        prices = (log_nu, log_varpi, math.nan, UPLOAD_SHARE)
        tolerance = 1e-4 if warm else 0.03
        for close in (1e-6, 1e-9):
            most = min(max_passes - passes, MOST_PASSES)
            prices, more, met = newton(device, i, par, prices, close, tolerance, most, state, w, one, sums)
            passes += more
            if not met:
                break
            allocate(device, i, 0, count, count, par, prices, state, w, one, out_device, sums)
            conclude(i, par, prices, sums, out_instance)
            if closed(i, out_instance, 1e-12):
                break
            met = closed(i, out_instance, 1e-11)
            prices, tolerance = (prices[0], prices[1], 0.0, 0.0), 1e-6
        if not met and passes < most_nested:
            work = np.empty((ROWS, count))
            prepare(device, i, par, work)
            log_nu, log_varpi, more, met = nested(work, par, log_nu, log_varpi, most_nested - passes, sums)
            passes += more
            if met:
                remember(work, state)
                prices = (log_nu, log_varpi, 0.0, 0.0)
                allocate(device, i, 0, count, count, par, prices, state, w, one, out_device, sums)
                conclude(i, par, prices, sums, out_instance)
    if met:
        return passes
    for k in range(count):
        for row in range(4):
            out_device[row, i, k] = math.nan
    for row in range(5):
        out_instance[row, i] = math.nan
    return -1 - passes


@kernel
def closed(i, out_instance, tolerance):
    """Tell whether an answer needs no second try."""
    if not 0.0 < out_instance[OBJECTIVE, i] < math.inf:
        return False
    gap = abs(1.0 - out_instance[BOUND, i] / out_instance[OBJECTIVE, i])
    return gap < tolerance and out_instance[RESIDUAL, i] < tolerance


@kernel
def solve_single(device, instance, nu, varpi, max_passes, feasibility_tol, gap_tol, packed):
    """Solve and judge a problem that is no batch; return the status, having filled the solution's blocks.

    They lie one after the other in one array, as every array that crosses from Python costs as much as a pass
    over twenty devices. Passes are negative where no answer was found.
    """
    rows, count = device.shape
    out_instance, out_device = packed[:5].reshape((5, 1)), packed[7:].reshape((4, 1, count))
    counts, start = packed[5:7].view(np.int64), np.empty((2, 1))
    start[0, 0], start[1, 0] = nu, varpi
    devices, instances = device.reshape((rows, 1, count)), instance.reshape((instance.size, 1))
    state, w = np.empty((4, count)), np.empty(SCRATCH)
    counts[0] = solve_one(
        devices, instances, 0, start, max_passes, max_passes, state, w, out_device, out_instance
    )
    objective, bound, residual = packed[OBJECTIVE], packed[BOUND], packed[RESIDUAL]
    packed[RESIDUAL], counts[1] = judge(objective, bound, residual, 1.0, 0.0, feasibility_tol, gap_tol)
    return counts[1]


@kernel
def solve_serial(device, instance, start, max_passes, most_nested, out_device, out_instance, out_passes):
    """Solve every instance, one after the other."""
    state, w = np.empty((4, device.shape[2])), np.empty(SCRATCH)
    for i in range(instance.shape[1]):
        out_passes[i] = solve_one(
            device, instance, i, start, max_passes, most_nested, state, w, out_device, out_instance
        )


@parallel_kernel
def solve_parallel(device, instance, start, max_passes, most_nested, out_device, out_instance, out_passes):
    """Solve every instance, on all threads; to the same bits."""
    for i in prange(instance.shape[1]):
        state, w = np.empty((4, device.shape[2])), np.empty(SCRATCH)
        out_passes[i] = solve_one(
            device, instance, i, start, max_passes, most_nested, state, w, out_device, out_instance
        )
