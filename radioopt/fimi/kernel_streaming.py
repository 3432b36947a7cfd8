"""FIMI for very many devices: few passes over them, on all threads.

A subsample of the devices, with its share of both budgets, is solved first and gives prices that are off by
its sampling error. From there the same Newton's method takes two or three passes over all devices, in chunks, and one
more writes the allocation and its certificate. Whoever calls falls back on the general kernel if the certificate does
not close. Chunks are summed in their order, so threads change no digit.
"""

import math

import numpy as np

from radioopt.fimi.kernel import (
    MOST_PASSES,
    UPLOAD_SHARE,
    closed,
    first_prices,
    newton,
    newton_step,
    parameters,
)
from radioopt.fimi.kernel_device import ROWS, h_of
from radioopt.fimi.kernel_vector import (
    AT_POWER,
    CHANNEL,
    LAST,
    MAX_POWER,
    SCRATCH,
    SUMS,
    U,
    allocate,
    conclude,
    survey,
    sweep,
)
from radioopt.numerics.jit import kernel, parallel_kernel, prange

CHUNK = 8_192
# a sample of this many devices, or of one in so many
SAMPLE, SAMPLE_EVERY = 4_096, 64
# largest error of the prices, and Newton step left in a device, from which the next pass writes
CLOSE = 1e-6


@parallel_kernel
def survey_all(device, par, sums):
    """Survey all chunks, in parallel."""
    for c in prange(sums.shape[0]):
        w = np.empty(SCRATCH)
        survey(device, 0, c * CHUNK, min((c + 1) * CHUNK, device.shape[2]), par, w, sums[c])


@parallel_kernel
def sweep_all(device, par, prices, tolerance, state, sums):
    """Move all chunks to new prices, in parallel."""
    for c in prange(sums.shape[0]):
        w, work = np.empty(SCRATCH), np.empty((ROWS, 1))
        hi = min((c + 1) * CHUNK, device.shape[2])
        sweep(device, 0, c * CHUNK, hi, par, prices, tolerance, state, w, work, sums[c])


@parallel_kernel
def allocate_all(device, par, prices, state, out_device, sums):
    """Write all chunks, in parallel."""
    for c in prange(sums.shape[0]):
        w, work = np.empty(SCRATCH), np.empty((ROWS, 1))
        lo, hi = c * CHUNK, min((c + 1) * CHUNK, device.shape[2])
        allocate(device, 0, lo, hi, device.shape[2], par, prices, state, w, work, out_device, sums[c])


@kernel
def start(device, par, totals):
    """Solve a subsample, one device of every stretch; return prices for all devices, and the mean share of uploads."""
    count = max(SAMPLE, device.shape[2] // SAMPLE_EVERY)
    stride = device.shape[2] // count
    sample = np.empty((device.shape[0], 1, count))
    for row in range(device.shape[0]):
        for k in range(count):
            # not always the first of a stretch: devices may be listed with a period
            sample[row, 0, k] = device[row, 0, k * stride + (k * 2_654_435_761 >> 7) % stride]
    w, sums, state, work = np.empty(SCRATCH), np.empty(SUMS), np.empty((4, count)), np.empty((ROWS, 1))
    survey(sample, 0, 0, count, par, w, sums)
    share = sums[0] / totals[0]
    scaled = (par[0], par[1], par[2] * share, par[3] * count / device.shape[2], par[4], par[5], par[6])
    log_nu, log_varpi = first_prices(scaled, count, sums)
    if math.isnan(log_nu):
        return log_nu, log_varpi, math.nan
    prices = (log_nu, log_varpi, math.nan, UPLOAD_SHARE)
    prices, _, met = newton(sample, 0, scaled, prices, 1e-4, 0.03, MOST_PASSES, state, w, work, sums)
    if not met:
        return math.nan, math.nan, math.nan
    varpi, log_t = math.exp(prices[1]), 0.0
    for k in range(count):
        u, gain = state[U, k], par[5] / sample[CHANNEL, 0, k]
        e = math.expm1(u)
        full = state[AT_POWER, k] > 0.5
        log_t += math.log(
            gain * par[0] * e / (sample[MAX_POWER, 0, k] * u) if full else varpi / (gain * h_of(u, e))
        )
    return prices[0], prices[1], math.exp(log_t / count) / par[1]


def solve_streaming(device, instance, given, max_passes, out_device, out_instance, out_passes):
    """Solve one large instance in few passes; return whether the certificate closed.

    Shapes as for the general kernel, with one instance; ``given`` holds prices to start from, nan for none.
    """
    count = device.shape[2]
    par = parameters(instance, 0, count)
    chunks = -(-count // CHUNK)
    sums, state = np.empty((chunks, SUMS)), np.empty((4, count))
    survey_all(device, par, sums)
    totals = sums.sum(0)
    log_nu, log_varpi = first_prices(par, count, totals)
    if math.isnan(log_nu):
        return False
    learns = log_nu > -math.inf
    if given[1, 0] > 0 and (given[0, 0] > 0 or not learns):
        log_nu, log_varpi, share = (
            math.log(given[0, 0]) if learns else log_nu,
            math.log(given[1, 0]),
            UPLOAD_SHARE,
        )
    else:
        log_nu, log_varpi, share = start(device, par, totals)
        if math.isnan(log_varpi) or (log_nu > -math.inf) != learns:
            return False
    prices, tolerance = (log_nu, log_varpi, math.nan, share), 3e-3
    for passes in range(1, min(max_passes, MOST_PASSES) + 1):
        sweep_all(device, par, prices, tolerance, state, sums)
        totals = sums.sum(0)
        step_nu, step_varpi, merit = newton_step(par, learns, totals)
        if not merit < 1.0:
            return False
        prices = (prices[0] + step_nu, prices[1] + step_varpi, step_nu, step_varpi)
        if merit < CLOSE and totals[LAST] / count < CLOSE * CLOSE:
            allocate_all(device, par, prices, state, out_device, sums)
            conclude(0, par, prices, sums.sum(0), out_instance)
            out_passes[0] = passes
            return bool(closed(0, out_instance, 1e-11))
        tolerance = max(1e-6, 0.1 * merit)
    return False
