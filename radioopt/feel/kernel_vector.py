"""FEEL in vector instructions: plain Newton passes over chunks of devices, for instances without extremes.

Divided by p, times are samples: with alpha = a/p, t = (T - o)/p and v = y/p, device k takes

    B_k = clip(t_k - m sqrt(alpha_k), l_k, u_k),   v_k = t_k - B_k,   phi_k = alpha_k/v_k,

so no loop has a branch: whether a device is free is read off from the clip having changed nothing. Newton's
method works on T, T_D and m together, and one reciprocal per device and pass serves both phases. From 256 devices
on a strided subsample, its payload scaled up by their share, gives a start that is off by its sampling error.

There are no brackets, and times are not measured from the slowest device: an instance whose certificate does not
close is left to the general kernel. Chunks are summed in their order, so threads change no digit.
"""

import math

import numpy as np
from numpy.typing import NDArray

from radioopt.feel.kernel_rows import (
    BASE,
    BATCH,
    BOUND,
    DEADLINE,
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
    SLOPE,
    UPDATE,
    UPLINK_FRAME,
    UPLINK_RATE,
    UPLINK_SLOT,
)
from radioopt.numerics.jit import (
    bits_of,
    float_of,
    inner_kernel,
    kernel,
    parallel_kernel,
    prange,
    shaped,
    vector_kernel,
)

#: what inputs may be, for three of them to be multiplied and for their quotients to keep all digits
SMALL, LARGE = 1e-50, 1e50
#: devices whose numbers are prepared together; few enough for the first level of cache
CHUNK = 512
#: chunks whose numbers are kept from pass to pass instead of being prepared anew
KEPT = 8
#: chunks that a thread takes at a time
SPAN = 16
#: devices from which a subsample gives the start, and the least size of it
SAMPLE_FROM, SAMPLE = 256, 64
SAMPLE_EVERY, LARGEST_SAMPLE = 16, 16_384
MOST_PASSES = 10
# From this close a Newton step leaves about the square of it, or less; the pass that writes tells. Few devices get
# all digits; with very many the start is so good that fewer passes are a large part of the time.
CLOSE, CLOSE_MANY, CLOSE_HUGE = 1e-7, 1e-6, 3e-4
# What shares may miss their sum by, and the gap; all else is left to further passes, then to the general kernel.
RESIDUAL_FEW, RESIDUAL_MANY, WIDEST_GAP = 3e-14, 1e-12, 1e-11
# relative rounding error allowed for in a bound: alpha, 1/p and b come out of one reciprocal
ROUNDING = 2e-15
# One row of a chunk's scratch for each; the stride is no power of two, which would put all rows in one cache set.
STRIDE = 520
ALPHA, INVERSE, ROOT, OFFSET, B, V_BATCH, V_PHI, V_PSI = [np.uint64(row * STRIDE) for row in range(8)]
SCRATCH = 8 * STRIDE
# sums over devices: for the start, of a Newton pass, of the last pass
S_ROOT, S_INVERSE, S_OFFSET, S_B, S_BC = range(5)
H, D2, D3, ROOTS, FREE, TOTAL_BATCH, H_DOWN, SLOPE_DOWN = range(8)
BATCHES, PHIS, PSIS, LATE, BACKWARDS, PRICES, INNER, WEIGHTS, WEIGHTED, SIZES = range(10)
OUTSIDE = 10  # stays from the preparation on
SUMS = 11


@vector_kernel
def load(device, i, first, count, payload, scratch, row, sums, chunk):
    """Prepare a chunk of devices; sum what the start needs, and count the devices with a number out of range."""
    roots, inverse, offsets, sum_b, sum_bc, outside = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    i, first, row = np.uint64(i), np.uint64(first), np.uint64(row)
    for k in range(np.uint64(count)):
        up, down, p = (
            device[UPLINK_RATE, i, first + k],
            device[DOWNLINK_RATE, i, first + k],
            device[SLOPE, i, first + k],
        )
        base, update, high = (
            device[BASE, i, first + k],
            device[UPDATE, i, first + k],
            device[MAX_BATCH, i, first + k],
        )
        least, most = (up if up < down else down), (up if up > down else down)
        least, most = (p if p < least else least), (p if p > most else most)
        most = high if high > most else most
        most = update if update > most else most
        most = abs(base) if abs(base) > most else most
        outside += 1.0 if (least < SMALL) | (most > LARGE) else 0.0
        up_p = up * p
        reciprocal = 1.0 / (up_p * down)
        alpha = payload * (down * reciprocal)
        inverse_p = (up * down) * reciprocal
        b = payload * (up_p * reciprocal)
        root = math.sqrt(alpha)
        offset = base * inverse_p
        scratch[row, ALPHA + k] = alpha
        scratch[row, INVERSE + k] = inverse_p
        scratch[row, ROOT + k] = root
        scratch[row, OFFSET + k] = offset
        scratch[row, B + k] = b
        roots += root
        inverse += inverse_p
        offsets += offset
        sum_b += b
        sum_bc += b * update
    sums[chunk, S_ROOT] = roots
    sums[chunk, S_INVERSE] = inverse
    sums[chunk, S_OFFSET] = offsets
    sums[chunk, S_B] = sum_b
    sums[chunk, S_BC] = sum_bc
    sums[chunk, OUTSIDE] = outside


@vector_kernel
def longest(device, i, count, scratch):
    """Return max L + a and max b + c, which T and T_D exceed, for a first chunk of devices.

    Positive numbers are in the order of their bits, and a maximum of integers is vectorised.
    """
    up, down = bits_of(0.0), bits_of(0.0)
    i = np.uint64(i)
    for k in range(np.uint64(count)):
        low = scratch[0, OFFSET + k] + device[MIN_BATCH, i, k] + scratch[0, ALPHA + k]
        up = max(up, bits_of(device[SLOPE, i, k] * low))
        down = max(down, bits_of(scratch[0, B + k] + device[UPDATE, i, k]))
    return float_of(up), float_of(down)


@vector_kernel
def sum_chunk(device, i, first, count, phase_up, phase_down, m, scratch, row, sums, chunk):
    """Sum over a chunk of devices what both equations and their derivatives need, at one (T, T_D, m)."""
    h, d2, d3, roots, inverse, total, h_down, slope_down = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    i, first, row = np.uint64(i), np.uint64(first), np.uint64(row)
    for k in range(np.uint64(count)):
        inverse_p, root = scratch[row, INVERSE + k], scratch[row, ROOT + k]
        high, low = device[MAX_BATCH, i, first + k], device[MIN_BATCH, i, first + k]
        t = phase_up * inverse_p - scratch[row, OFFSET + k]
        unclipped = t - m * root
        batch = unclipped if unclipped < high else high
        batch = batch if batch > low else low
        free = 1.0 if batch == unclipped else 0.0
        v, w = t - batch, phase_down - device[UPDATE, i, first + k]
        reciprocal = 1.0 / (v * w)
        per_v, per_w = w * reciprocal, v * reciprocal
        per_y = per_v * inverse_p
        phi, psi = scratch[row, ALPHA + k] * per_v, scratch[row, B + k] * per_w
        clamped = phi * (per_y - free * per_y)
        h += phi
        d2 += clamped
        d3 += clamped * per_y
        roots += free * root
        inverse += free * inverse_p
        total += batch
        h_down += psi
        slope_down += psi * per_w
    sums[chunk, H] = h
    sums[chunk, D2] = d2
    sums[chunk, D3] = d3
    sums[chunk, ROOTS] = roots
    sums[chunk, FREE] = inverse
    sums[chunk, TOTAL_BATCH] = total
    sums[chunk, H_DOWN] = h_down
    sums[chunk, SLOPE_DOWN] = slope_down


@vector_kernel
def write_chunk(device, i, first, count, phase_up, phase_down, m, scratch, row, sums, chunk):
    """Put the allocation of a chunk into its scratch, and sum what its certificate needs.

    With gamma = 1 the multiplier of a device times p is (m phi)^2/alpha, which is 1 where it is free.
    """
    batches, phis, psis, late, backwards = 0.0, 0.0, 0.0, 0.0, 0.0
    prices, inner, weights, weighted, sizes = 0.0, 0.0, 0.0, 0.0, 0.0
    i, first, row = np.uint64(i), np.uint64(first), np.uint64(row)
    for k in range(np.uint64(count)):
        inverse_p, offset = scratch[row, INVERSE + k], scratch[row, OFFSET + k]
        high, low = device[MAX_BATCH, i, first + k], device[MIN_BATCH, i, first + k]
        update = device[UPDATE, i, first + k]
        t = phase_up * inverse_p - offset
        batch = t - m * scratch[row, ROOT + k]
        batch = batch if batch < high else high
        batch = batch if batch > low else low
        v, w = t - batch, phase_down - update
        reciprocal = 1.0 / (v * w)
        per_v, per_w = w * reciprocal, v * reciprocal
        phi, psi = scratch[row, ALPHA + k] * per_v, scratch[row, B + k] * per_w
        scratch[row, V_BATCH + k] = batch
        scratch[row, V_PHI + k] = phi
        scratch[row, V_PSI + k] = psi
        batches += batch
        phis += phi
        psis += psi
        rounding = device[SLOPE, i, first + k] * (batch + v - t)
        late += rounding * rounding
        earliest = v if v < w else w
        backwards += 1.0 if earliest < 0.0 else 0.0
        price = m * m * phi * per_v
        at_low, at_high = price * (offset + low) - low, price * (offset + high) - high
        inner += at_low if at_low < at_high else at_high
        sizes += price * (abs(offset) + batch) + batch
        prices += price * inverse_p
        weight = psi * per_w
        weights += weight
        weighted += weight * update
    sums[chunk, BATCHES] = batches
    sums[chunk, PHIS] = phis
    sums[chunk, PSIS] = psis
    sums[chunk, LATE] = late
    sums[chunk, BACKWARDS] = backwards
    sums[chunk, PRICES] = prices
    sums[chunk, INNER] = inner
    sums[chunk, WEIGHTS] = weights
    sums[chunk, WEIGHTED] = weighted
    sums[chunk, SIZES] = sizes


@vector_kernel
def store_chunk(frame_up, frame_down, i, first, count, scratch, row, out_device):
    """Copy the allocation of a chunk out of its scratch, shares as slots of these frames."""
    i, first, row = np.uint64(i), np.uint64(first), np.uint64(row)
    for k in range(np.uint64(count)):
        out_device[BATCH, i, first + k] = scratch[row, V_BATCH + k]
    for k in range(np.uint64(count)):
        out_device[UPLINK_SLOT, i, first + k] = scratch[row, V_PHI + k] * frame_up
    for k in range(np.uint64(count)):
        out_device[DOWNLINK_SLOT, i, first + k] = scratch[row, V_PSI + k] * frame_down


@inner_kernel
def add_up(sums):
    """Add the sums of all chunks, in their order, to those of the first."""
    for chunk in range(1, sums.shape[0]):
        for n in range(SUMS):
            sums[0, n] += sums[chunk, n]


@inner_kernel
def prepare_chunks(device, payload, i, scratch, sums):
    """Prepare all chunks, each in its own row of the scratch."""
    for chunk in range(sums.shape[0]):
        first = chunk * CHUNK
        load(device, i, first, min(device.shape[2] - first, CHUNK), payload, scratch, chunk, sums, chunk)
    add_up(sums)


@inner_kernel
def sum_chunks(device, payload, i, begin, end, phase_up, phase_down, m, scratch, kept, sums):
    """Sum over some chunks; those that are not kept are prepared in the first row of the scratch."""
    for chunk in range(begin, end):
        first, row = chunk * CHUNK, chunk if kept else 0
        count = min(device.shape[2] - first, CHUNK)
        if not kept:
            load(device, i, first, count, payload, scratch, row, sums, chunk)
        sum_chunk(device, i, first, count, phase_up, phase_down, m, scratch, row, sums, chunk)


@inner_kernel
def write_chunks(device, instance, i, begin, end, phase_up, phase_down, m, scratch, kept, sums, out_device):
    """Write the allocation of some chunks of devices."""
    for chunk in range(begin, end):
        first, row = chunk * CHUNK, chunk if kept else 0
        count = min(device.shape[2] - first, CHUNK)
        if not kept:
            load(device, i, first, count, instance[PAYLOAD, i], scratch, row, sums, chunk)
        write_chunk(device, i, first, count, phase_up, phase_down, m, scratch, row, sums, chunk)
        if not kept:
            store_chunk(
                instance[UPLINK_FRAME, i],
                instance[DOWNLINK_FRAME, i],
                i,
                first,
                count,
                scratch,
                row,
                out_device,
            )


@inner_kernel
def store_chunks(instance, i, scratch, sums, out_device):
    """Copy the allocation out of the scratch of all chunks, shares scaled to their sum."""
    frame_up, frame_down = (
        instance[UPLINK_FRAME, i] / sums[0, PHIS],
        instance[DOWNLINK_FRAME, i] / sums[0, PSIS],
    )
    for chunk in range(sums.shape[0]):
        first = chunk * CHUNK
        count = min(out_device.shape[2] - first, CHUNK)
        store_chunk(frame_up, frame_down, i, first, count, scratch, chunk, out_device)


@inner_kernel
def no_limits(device, i, scratch, sums):
    """Return (T, T_D, m) as if no device were at a limit, not below what the first chunk allows."""
    least_up, least_down = longest(device, i, min(device.shape[2], CHUNK), scratch)
    phase_down = max(sums[0, S_B] + sums[0, S_BC] / sums[0, S_B], least_down)
    roots = sums[0, S_ROOT]
    phase_up = phase_down + 2.0 * (sums[0, S_OFFSET] + roots * roots) / sums[0, S_INVERSE]
    return max(phase_up, least_up), phase_down, roots


@inner_kernel
def room(chunks):
    """Return scratch and sums for so many chunks to be kept."""
    rows = np.empty((chunks + 1, SCRATCH))
    return rows[:chunks], shaped(rows[chunks, : chunks * SUMS], (chunks, SUMS))


@kernel
def subsample(device, payload, i):
    """Solve for a strided subsample to its own accuracy; return (T, T_D, m) for all devices."""
    count = device.shape[2]
    size = min(max(count // SAMPLE_EVERY, SAMPLE), LARGEST_SAMPLE)
    stride, scale = count // size, count / size
    sample = np.empty((device.shape[0], 1, size))
    for row in range(device.shape[0]):
        for k in range(size):
            sample[row, 0, k] = device[row, i, k * stride]
    chunks = -(-size // CHUNK)
    scratch, sums = room(chunks)
    prepare_chunks(sample, payload * scale, 0, scratch, sums)
    phase_up, phase_down, m = no_limits(sample, 0, scratch, sums)
    for _ in range(MOST_PASSES):
        sum_chunks(sample, payload, 0, 0, chunks, phase_up, phase_down, m, scratch, True, sums)
        phase_up, phase_down, m, merit = refine(phase_up, phase_down, m, sums)
        if not merit * merit * size > 1.0:
            break
    return phase_up, phase_down, m * math.sqrt(scale)


@inner_kernel
def refine(phase_up, phase_down, m, sums):
    """One joint Newton step; return the new (T, T_D, m) and how far the equations were from holding."""
    add_up(sums)
    h, d2, d3, roots, inverse = sums[0, H], sums[0, D2], sums[0, D3], sums[0, ROOTS], sums[0, FREE]
    total, h_down, slope_down = sums[0, TOTAL_BATCH], sums[0, H_DOWN], sums[0, SLOPE_DOWN]
    step_down = h_down * (h_down - 1.0) / slope_down if slope_down > 0.0 else math.nan
    x = phase_up + phase_down + step_down
    numerator, denominator = x * (inverse + m * m * d2), 2.0 * total
    if not (h > 0.0 and numerator > 0.0 and denominator > 0.0):
        return phase_up, phase_down, m, math.inf
    surplus = math.log(numerator / denominator)
    j11, j12 = -d2 / h, -roots / (m * h)
    j21 = (inverse + m * m * d2 - 2.0 * m * m * d3 * x) / numerator - 2.0 * inverse / denominator
    j22 = 2.0 * m * m * d2 * x / numerator + 2.0 * m * roots / denominator
    determinant = j11 * j22 - j12 * j21
    if not abs(determinant) > 0.0:
        return phase_up, phase_down, m, math.inf
    step_up = (-(h - 1.0) * j22 + surplus * j12) / determinant
    step_m = (-j11 * surplus + j21 * (h - 1.0)) / determinant
    if not abs(step_m) < 3.0:
        return phase_up, phase_down, m, math.inf
    merit = max(max(abs(h - 1.0), abs(surplus)), abs(h_down - 1.0))
    return phase_up + step_up, phase_down + step_down, m * math.exp(step_m), merit


@inner_kernel
def conclude(phase_up, phase_down, m, i, instance, kept, miss, sums, out_instance):
    """Turn the sums of the last pass into objective, bound, residual and latencies; say if they prove it.

    If shares of one frame add up to a little more than one, those that are kept will be scaled down: that costs
    no device more than the whole phase times as much.
    """
    add_up(sums)
    phis, psis = sums[0, PHIS], sums[0, PSIS]
    residual = max(phis, psis) - 1.0
    up, down = phase_up + math.sqrt(sums[0, LATE]), phase_down
    least_down = 0.0
    if sums[0, WEIGHTS] > 0.0:
        least_down = (sums[0, WEIGHTED] + psis * psis) / sums[0, WEIGHTS]
    if kept:
        up, down = up + max(phis - 1.0, 0.0) * phase_up, down + max(psis - 1.0, 0.0) * phase_down
        residual = abs(residual) if abs(residual) > miss else 0.0
    latency = up + down
    theta = 2.0 / sums[0, PRICES] if sums[0, PRICES] > 0.0 else 0.0
    squared = (m * phis) ** 2
    dual = squared + sums[0, INNER] - ROUNDING * (squared + sums[0, SIZES])
    kappa = 2.0 * theta * least_down + theta * theta * dual
    objective = instance[DECAY, i] * math.sqrt(sums[0, BATCHES]) / latency
    bound = instance[DECAY, i] / math.sqrt(kappa) if kappa > 0.0 else math.inf
    out_instance[OBJECTIVE, i] = objective
    out_instance[BOUND, i] = bound
    out_instance[RESIDUAL, i] = residual
    out_instance[PHASE_UP, i] = up
    out_instance[PHASE_DOWN, i] = down
    out_instance[LATENCY, i] = latency
    scalars = instance[PAYLOAD, i], instance[UPLINK_FRAME, i], instance[DOWNLINK_FRAME, i]
    inside = sums[0, OUTSIDE] == 0.0 and min(scalars) >= SMALL and max(scalars) <= LARGE
    closed = abs(residual) <= miss and abs(bound - objective) < WIDEST_GAP * objective
    return inside and sums[0, BACKWARDS] == 0.0 and closed and latency <= instance[DEADLINE, i]


@kernel
def solve_vector(device, instance, i, max_iterations, out_device, out_instance, out_passes):
    """Solve and measure instance ``i``; return whether the certificate closed."""
    count, payload = device.shape[2], instance[PAYLOAD, i]
    chunks = -(-count // CHUNK)
    kept = chunks <= KEPT
    if kept:
        scratch, sums = room(chunks)
        prepare_chunks(device, payload, i, scratch, sums)
    else:
        scratch, sums = np.empty((1, SCRATCH)), np.empty((chunks, SUMS))
    if count < SAMPLE_FROM:
        phase_up, phase_down, m = no_limits(device, i, scratch, sums)
        close, miss = CLOSE, RESIDUAL_FEW
    else:
        phase_up, phase_down, m = subsample(device, payload, i)
        close, miss = CLOSE_MANY, RESIDUAL_MANY
    for passes in range(1, min(MOST_PASSES, max_iterations) + 1):
        sum_chunks(device, payload, i, 0, chunks, phase_up, phase_down, m, scratch, kept, sums)
        phase_up, phase_down, m, merit = refine(phase_up, phase_down, m, sums)
        if merit < close:
            write_chunks(
                device, instance, i, 0, chunks, phase_up, phase_down, m, scratch, kept, sums, out_device
            )
            out_passes[i] = passes
            if conclude(phase_up, phase_down, m, i, instance, kept, miss, sums, out_instance):
                if kept:
                    store_chunks(instance, i, scratch, sums, out_device)
                return True
        elif not merit < math.inf:
            break
    return False


@parallel_kernel
def sum_spans(device, payload, phase_up, phase_down, m, sums):
    """Sum all chunks of one large instance, in parallel over spans of them."""
    chunks = sums.shape[0]
    for span in prange(-(-chunks // SPAN)):
        begin, end = span * SPAN, min((span + 1) * SPAN, chunks)
        scratch = np.empty((1, SCRATCH))
        sum_chunks(device, payload, 0, begin, end, phase_up, phase_down, m, scratch, False, sums)


@parallel_kernel
def write_spans(device, instance, phase_up, phase_down, m, sums, out_device):
    """Write all chunks of one large instance, in parallel over spans of them."""
    chunks = sums.shape[0]
    for span in prange(-(-chunks // SPAN)):
        begin, end = span * SPAN, min((span + 1) * SPAN, chunks)
        scratch = np.empty((1, SCRATCH))
        write_chunks(
            device, instance, 0, begin, end, phase_up, phase_down, m, scratch, False, sums, out_device
        )


def solve_streaming(
    device: NDArray[np.float64],
    instance: NDArray[np.float64],
    max_iterations: int,
    out_device: NDArray[np.float64],
    out_instance: NDArray[np.float64],
    out_passes: NDArray[np.int64],
) -> bool:
    """Solve one large instance, every pass in parallel over spans; return whether the certificate closed."""
    payload = instance[PAYLOAD, 0]
    sums = np.empty((-(-device.shape[2] // CHUNK), SUMS))
    phase_up, phase_down, m = subsample(device, payload, 0)
    for passes in range(1, min(MOST_PASSES, max_iterations) + 1):
        sum_spans(device, payload, phase_up, phase_down, m, sums)
        phase_up, phase_down, m, merit = refine(phase_up, phase_down, m, sums)
        if merit < CLOSE_HUGE:
            write_spans(device, instance, phase_up, phase_down, m, sums, out_device)
            out_passes[0] = passes
            if conclude(phase_up, phase_down, m, 0, instance, False, RESIDUAL_MANY, sums, out_instance):
                return True
        elif not merit < math.inf:
            break
    return False
