"""FEEL for hundreds of thousands of devices: few fused passes over the inputs, in vector instructions.

A strided subsample of the devices, its payload scaled up by their share, is solved by the general kernel and
gives a start that is off by its sampling error. From there Newton's method on T_D, T and m together takes two or
three passes, and one more writes the allocation and its certificate. There are no brackets: whoever calls falls
back on the general kernel if the certificate does not close.

The loops carry no branch, so that they are vectorised: a clip instead of cases, and whether a device is free is
read off from the clip having changed nothing. Chunks are summed in their order, so threads change no digit.
"""

import math

import numpy as np
from numpy.typing import NDArray

from radioopt.feel.kernel import (
    BASE,
    BATCH,
    BOUND,
    DECAY,
    DOWNLINK_FRAME,
    DOWNLINK_RATE,
    DOWNLINK_SLOT,
    LATENCY,
    MAX_BATCH,
    MIN_BATCH,
    OBJECTIVE,
    PAYLOAD,
    PHASE_DOWN,
    PHASE_UP,
    RESIDUAL,
    ROUNDING,
    SLOPE,
    UPDATE,
    UPLINK_FRAME,
    UPLINK_RATE,
    UPLINK_SLOT,
    least_download_phase,
    newton,
    prepare,
)
from radioopt.numerics.jit import kernel, parallel_kernel, prange, vector_kernel

CHUNK = 16_384
SAMPLE = 16_384
MOST_PASSES = 8
# a Newton step from this close is usually the last; the pass that writes tells
CLOSE = 3e-4
# columns of the partial sums of a Newton pass
H, D2, D3, ROOTS, INVERSE, TOTAL_BATCH, H_DOWN, SLOPE_DOWN = range(8)
# columns of the partial sums of the last pass
SUM_BATCH, SUM_PHI, SUM_PSI, LATE, LAMBDA, SQRT, INNER, SIZE, W_DOWN, WC_DOWN, BELOW = range(11)


@vector_kernel
def sum_chunk(rate_up, rate_down, slope, update, high, low, base, payload, phase_up, phase_down, m, out):
    """Sum over a chunk of devices what both phases need, at one (T, T_D, m)."""
    h, d2, d3, roots, inverse, total, h_down, slope_down = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(rate_up.size):
        a = payload / rate_up[k]
        p = slope[k]
        left = phase_up - base[k]
        most = left - p * low[k]
        least = left - p * high[k]
        unclipped = m * math.sqrt(a * p)
        y = unclipped if unclipped < most else most
        y = y if y > least else least
        free = 1.0 if y == unclipped else 0.0
        share = a / y
        per_time = share / y
        h += share
        d2 += (1.0 - free) * per_time
        d3 += (1.0 - free) * per_time / y
        inverse_slope = 1.0 / p
        roots += free * unclipped * inverse_slope
        inverse += free * inverse_slope
        total += (left - y) * inverse_slope
        b = payload / rate_down[k]
        share_down = b / (phase_down - update[k])
        h_down += share_down
        slope_down += share_down * share_down / b
    out[H], out[D2], out[D3], out[ROOTS] = h, d2, d3, roots / m
    out[INVERSE], out[TOTAL_BATCH], out[H_DOWN], out[SLOPE_DOWN] = inverse, total, h_down, slope_down


@vector_kernel
def write_chunk(
    rate_up,
    rate_down,
    slope,
    update,
    high,
    low,
    base,
    payload,
    phase_up,
    phase_down,
    m,
    frame_up,
    frame_down,
    batch,
    slot_up,
    slot_down,
    out,
):
    """Write the allocation of a chunk of devices, and sum what its certificate needs (gamma = 1)."""
    sum_batch, sum_phi, sum_psi, late_sum = 0.0, 0.0, 0.0, 0.0
    total_price, roots, inner, size, w_down, wc_down, below = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    ratio = m * m
    for k in range(rate_up.size):
        a = payload / rate_up[k]
        p = slope[k]
        left = phase_up - base[k]
        most = left - p * low[k]
        least = left - p * high[k]
        unclipped = m * math.sqrt(a * p)
        y = unclipped if unclipped < most else most
        y = y if y > least else least
        phi = a / y
        inverse_slope = 1.0 / p
        size_k = (left - y) * inverse_slope
        size_k = high[k] if high[k] - size_k < 4e-13 * phase_up * inverse_slope else size_k
        size_k = size_k if size_k > low[k] else low[k]
        size_k = size_k if size_k < high[k] else high[k]
        batch[k] = size_k
        slot_up[k] = phi * frame_up
        sum_batch += size_k
        sum_phi += phi
        late = base[k] + p * size_k + y - phase_up
        late = late if late > 0.0 else 0.0
        late_sum += late * late
        free = y == unclipped
        price = inverse_slope if free else ratio * phi / y
        at_low = price * (base[k] + p * low[k]) - low[k]
        at_high = price * (base[k] + p * high[k]) - high[k]
        least_term = at_low if at_low < at_high else at_high
        inner += price * (base[k] + p * size_k) - size_k if free else least_term
        total_price += price
        roots += math.sqrt(price * a)
        size += high[k] if not free else size_k
        b = payload / rate_down[k]
        left_down = phase_down - update[k]
        psi = b / left_down
        slot_down[k] = psi * frame_down
        sum_psi += psi
        weight = psi / left_down
        w_down += weight
        wc_down += weight * update[k]
        overdue = 1.0 if left_down < 0.0 else 0.0
        below += overdue + (1.0 if y < 0.0 else 0.0)
    out[SUM_BATCH], out[SUM_PHI], out[SUM_PSI], out[LATE] = sum_batch, sum_phi, sum_psi, late_sum
    out[LAMBDA], out[SQRT], out[INNER], out[SIZE] = total_price, roots, inner, size
    out[W_DOWN], out[WC_DOWN], out[BELOW] = w_down, wc_down, below


@kernel
def sum_at(device, payload, phase_up, phase_down, m, c, out):
    """Sum chunk ``c`` of the devices."""
    lo, hi = c * CHUNK, min((c + 1) * CHUNK, device.shape[1])
    sum_chunk(
        device[UPLINK_RATE, lo:hi],
        device[DOWNLINK_RATE, lo:hi],
        device[SLOPE, lo:hi],
        device[UPDATE, lo:hi],
        device[MAX_BATCH, lo:hi],
        device[MIN_BATCH, lo:hi],
        device[BASE, lo:hi],
        payload,
        phase_up,
        phase_down,
        m,
        out[c],
    )


@kernel
def write_at(device, payload, phase_up, phase_down, m, frame_up, frame_down, c, out_device, out):
    """Write chunk ``c`` of the devices."""
    lo, hi = c * CHUNK, min((c + 1) * CHUNK, device.shape[1])
    write_chunk(
        device[UPLINK_RATE, lo:hi],
        device[DOWNLINK_RATE, lo:hi],
        device[SLOPE, lo:hi],
        device[UPDATE, lo:hi],
        device[MAX_BATCH, lo:hi],
        device[MIN_BATCH, lo:hi],
        device[BASE, lo:hi],
        payload,
        phase_up,
        phase_down,
        m,
        frame_up,
        frame_down,
        out_device[BATCH, lo:hi],
        out_device[UPLINK_SLOT, lo:hi],
        out_device[DOWNLINK_SLOT, lo:hi],
        out[c],
    )


@parallel_kernel
def sum_all(device, payload, phase_up, phase_down, m, out):
    """Sum all chunks, in parallel."""
    for c in prange(out.shape[0]):
        sum_at(device, payload, phase_up, phase_down, m, c, out)


@parallel_kernel
def write_all(device, payload, phase_up, phase_down, m, frame_up, frame_down, out_device, out):
    """Write all chunks, in parallel."""
    for c in prange(out.shape[0]):
        write_at(device, payload, phase_up, phase_down, m, frame_up, frame_down, c, out_device, out)


@kernel
def start(device, instance, max_iterations):
    """Solve a strided subsample; return (T, T_D, m) for all devices."""
    count = min(SAMPLE, device.shape[1])
    stride = device.shape[1] // count
    sample = np.empty((device.shape[0], 1, count))
    for row in range(device.shape[0]):
        for k in range(count):
            sample[row, 0, k] = device[row, k * stride]
    scale = device.shape[1] / count
    scaled = instance.copy()
    scaled[PAYLOAD, 0] *= scale
    work = np.empty((11, count))
    slowest = prepare(sample, scaled, 0, work)
    if math.isnan(slowest):
        return math.nan, math.nan, math.nan
    rest, last = least_download_phase(work, False)
    phase_down = last + rest
    z, m, _ = newton(work, slowest, phase_down, max_iterations)
    return slowest + z, phase_down, m * math.sqrt(scale)


@kernel
def refine(phase_up, phase_down, m, sums):
    """One joint Newton step; return the new (T, T_D, m) and how far the equations were from holding."""
    h, h_down = sums[H], sums[H_DOWN]
    step_down = h_down * (h_down - 1.0) / sums[SLOPE_DOWN]
    x = phase_up + phase_down + step_down
    d2, d3, inverse = sums[D2], sums[D3], sums[INVERSE]
    numerator = x * (inverse + m * m * d2)
    denominator = 2.0 * sums[TOTAL_BATCH]
    if not (h > 0.0 and numerator > 0.0 and denominator > 0.0):
        return phase_up, phase_down, m, math.inf
    gap = math.log(numerator / denominator)
    j11, j12 = -d2 / h, -sums[ROOTS] / (m * h)
    j21 = (inverse + m * m * d2 - 2.0 * m * m * d3 * x) / numerator - 2.0 * inverse / denominator
    j22 = 2.0 * m * m * d2 * x / numerator + 2.0 * m * sums[ROOTS] / denominator
    determinant = j11 * j22 - j12 * j21
    if not abs(determinant) > 0.0:
        return phase_up, phase_down, m, math.inf
    step_up = (-(h - 1.0) * j22 + gap * j12) / determinant
    step_m = (-j11 * gap + j21 * (h - 1.0)) / determinant
    merit = max(max(abs(h - 1.0), abs(gap)), abs(h_down - 1.0))
    if not abs(step_m) < 1.0:
        return phase_up, phase_down, m, math.inf
    return phase_up + step_up, phase_down + step_down, m * math.exp(step_m), merit


@kernel
def conclude(phase_up, phase_down, instance, sums, out_instance):
    """Turn the sums of the last pass into objective, bound, residual and latencies."""
    up = phase_up + math.sqrt(sums[LATE])
    latency = up + phase_down
    residual = max(sums[SUM_PHI], sums[SUM_PSI]) - 1.0
    if sums[BELOW] > 0.0:
        residual = math.inf
    out_instance[OBJECTIVE, 0] = instance[DECAY, 0] * math.sqrt(sums[SUM_BATCH]) / latency
    least_down = (sums[WC_DOWN] + sums[SUM_PSI] * sums[SUM_PSI]) / sums[W_DOWN]
    theta = 2.0 / sums[LAMBDA]
    squared = sums[SQRT] * sums[SQRT]
    other = squared + sums[INNER] - ROUNDING * (squared + abs(sums[INNER]) + sums[SIZE])
    kappa = 2.0 * theta * least_down + theta * theta * other
    out_instance[BOUND, 0] = instance[DECAY, 0] / math.sqrt(kappa) if kappa > 0.0 else math.inf
    out_instance[RESIDUAL, 0] = residual
    out_instance[PHASE_UP, 0] = up
    out_instance[PHASE_DOWN, 0] = phase_down
    out_instance[LATENCY, 0] = latency


def solve_streaming(
    device: NDArray[np.float64],
    instance: NDArray[np.float64],
    max_iterations: int,
    out_device: NDArray[np.float64],
    out_instance: NDArray[np.float64],
    out_passes: NDArray[np.int64],
) -> bool:
    """Solve one large instance in streaming passes; return whether the certificate closed.

    ``device`` is (7, 1, K) and ``out_device`` (3, 1, K), as for the general kernel.
    """
    device, out_device = device[:, 0], out_device[:, 0]
    payload = instance[PAYLOAD, 0]
    phase_up, phase_down, m = start(device, instance, max_iterations)
    chunks = -(-device.shape[1] // CHUNK)
    frames = instance[UPLINK_FRAME, 0], instance[DOWNLINK_FRAME, 0]
    sums, written = np.empty((chunks, 8)), np.empty((chunks, 11))
    for passes in range(1, MOST_PASSES + 1):
        out_passes[0] = passes
        sum_all(device, payload, phase_up, phase_down, m, sums)
        phase_up, phase_down, m, merit = refine(phase_up, phase_down, m, sums.sum(0))
        if merit < CLOSE or passes == MOST_PASSES:
            write_all(device, payload, phase_up, phase_down, m, *frames, out_device, written)
            conclude(phase_up, phase_down, instance, written.sum(0), out_instance)
            gap = abs(out_instance[BOUND, 0] / out_instance[OBJECTIVE, 0] - 1.0)
            if abs(out_instance[RESIDUAL, 0]) < 1e-12 and gap < 1e-11:
                return True
        elif not merit < 1.0:
            break
    return False
