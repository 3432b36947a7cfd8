"""FEEL's vector-Jacobian product, three passes per instance; the twin of the NumPy one in ``adjoint.py``.

The equations are those stated there. Eliminated, a free device answers to the prices (T, ln m) by ln y = ln m,
p B = T - y ln m, and one at a limit by y ln y = T.
"""

import math

from radioopt.feel.kernel_rows import (
    BASE,
    BATCH,
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
    SLOPE,
    TOTAL,
    UPDATE,
    UPLINK_FRAME,
    UPLINK_RATE,
    UPLINK_SLOT,
)
from radioopt.numerics.jit import kernel, lean_kernel, parallel_kernel, prange

# rows of the cotangents of an instance; those of its devices are the solution's
OF_UP, OF_DOWN, OF_LATENCY, OF_OBJECTIVE = range(4)


@lean_kernel
def pull_one(device, instance, found, measured, i, broadcast, bars, bar, out_device, out_instance):
    """Pull the cotangents of instance ``i`` back to its fields."""
    count = device.shape[2]
    s, up, down = instance[PAYLOAD, i], instance[UPLINK_FRAME, i], instance[DOWNLINK_FRAME, i]
    x, value = measured[LATENCY, i], measured[OBJECTIVE, i]
    total = weight = shares = roots = downs = 0.0
    free_devices = slowest = longest = 0
    for k in range(count):
        batch, p = found[BATCH, i, k], device[SLOPE, i, k]
        a, phi = s / device[UPLINK_RATE, i, k], found[UPLINK_SLOT, i, k] / up
        total += batch
        weight += phi * phi / a
        if device[MIN_BATCH, i, k] * (1 + 1e-12) < batch < device[MAX_BATCH, i, k] * (1 - 1e-12):
            free_devices += 1
            shares += a / phi
            roots += math.sqrt(a * p)
        psi = found[DOWNLINK_SLOT, i, k] / down
        downs += psi * psi * device[DOWNLINK_RATE, i, k] / s
        if device[DOWNLINK_RATE, i, k] < device[DOWNLINK_RATE, i, slowest]:
            slowest = k
        if device[UPDATE, i, k] > device[UPDATE, i, longest]:
            longest = k
    some, fixed = free_devices > 0, instance[TOTAL, i] < math.inf
    m = shares / roots if some else 1.0
    theta = x / total
    nu = theta * m * theta * m * weight - 2 * theta if some and not fixed else 0.0
    late = nu > 0 and x >= instance[DEADLINE, i] * (1 - 1e-9)
    worth = 2 * theta / (m * m * weight) if fixed else theta * theta
    costs = (2 * theta + (nu if late else 0.0)) / weight
    stationary = 1.0 if some and not fixed and not late else 0.0

    # how the joint equations move with the prices, and the cotangents of those
    j11, j12, j21, j22 = 0.0, 0.0, stationary / x, 2 * stationary
    if late:
        j21 = 1.0
    elif not some:
        j22 = 1.0
    of_x = bar[OF_LATENCY, i] - bar[OF_OBJECTIVE, i] * value / x
    of_batch = bar[OF_OBJECTIVE, i] * value / (2 * total)
    of_T, of_m = bar[OF_UP, i] + of_x, 0.0
    per_sample = (1.0 if some and fixed else 0.0) - stationary / total
    for k in range(count):
        batch, p = found[BATCH, i, k], device[SLOPE, i, k]
        a, phi = s / device[UPLINK_RATE, i, k], found[UPLINK_SLOT, i, k] / up
        y = a / phi
        of_y, share = -up * phi * bars[UPLINK_SLOT, i, k], stationary * phi / y / weight
        if device[MIN_BATCH, i, k] * (1 + 1e-12) < batch < device[MAX_BATCH, i, k] * (1 - 1e-12):
            of_b = (bars[BATCH, i, k] + of_batch) / p
            j12 -= phi
            j21 += per_sample / p
            j22 -= 2 * share + per_sample * y / p
            of_T += of_b
            of_m += of_y - y * of_b
        else:
            j11 -= phi / y
            j21 -= 2 * share / y
            of_T += of_y / y
    over = 1 / (j11 * j22 - j12 * j21)
    first, second = (of_m * j21 - of_T * j22) * over, (of_T * j12 - of_m * j11) * over

    of_down = bar[OF_DOWN, i] + of_x + second * (stationary / x + (1.0 if late else 0.0))
    if not broadcast:
        for k in range(count):
            psi = found[DOWNLINK_SLOT, i, k] / down
            of_down -= down * psi * psi * device[DOWNLINK_RATE, i, k] / s * bars[DOWNLINK_SLOT, i, k]
    of_bits = of_up_frame = of_down_frame = 0.0
    for k in range(count):
        batch, p, low, high = (
            found[BATCH, i, k],
            device[SLOPE, i, k],
            device[MIN_BATCH, i, k],
            device[MAX_BATCH, i, k],
        )
        a, phi = s / device[UPLINK_RATE, i, k], found[UPLINK_SLOT, i, k] / up
        y = a / phi
        w, slot = phi / y, bars[UPLINK_SLOT, i, k]
        share = stationary * w / weight
        of_y = -up * phi * slot - first * phi - 2 * second * share
        of_b = bars[BATCH, i, k] + of_batch + second * per_sample
        of_a = up * phi * slot + first * phi + second * share
        of_low = of_high = 0.0
        if low * (1 + 1e-12) < batch < high * (1 - 1e-12):
            in_time = -of_b / p
            in_root = -of_y - y * in_time
            of_a -= 0.5 * in_root
            of_slope = in_time * batch - 0.5 * in_root / p
        else:
            in_time = -of_y / y
            of_slope = in_time * batch
            pushed = batch >= high * (1 - 1e-12) if low < high else costs * w * p <= worth
            if pushed:
                of_high = of_b + p * in_time
            else:
                of_low = of_b + p * in_time
        psi, rate = found[DOWNLINK_SLOT, i, k] / down, device[DOWNLINK_RATE, i, k]
        if broadcast:
            of_bd = of_down * s / rate if k == slowest else 0.0
            of_update = of_down if k == longest else 0.0
        else:
            slot, v = bars[DOWNLINK_SLOT, i, k], psi * psi * rate / s
            of_bd = down * psi * slot + of_down * psi / downs
            of_update = down * v * slot + of_down * v / downs
        of_bits += of_a + of_bd
        of_up_frame += phi * bars[UPLINK_SLOT, i, k]
        of_down_frame += psi * bars[DOWNLINK_SLOT, i, k]
        out_device[UPLINK_RATE, i, k] = -of_a / device[UPLINK_RATE, i, k]
        out_device[DOWNLINK_RATE, i, k] = -of_bd / rate
        out_device[SLOPE, i, k] = of_slope
        out_device[UPDATE, i, k] = of_update
        out_device[MAX_BATCH, i, k] = of_high
        out_device[MIN_BATCH, i, k] = of_low
        out_device[BASE, i, k] = in_time
    out_instance[PAYLOAD, i] = of_bits / s
    out_instance[UPLINK_FRAME, i] = of_up_frame
    out_instance[DOWNLINK_FRAME, i] = of_down_frame
    out_instance[DECAY, i] = bar[OF_OBJECTIVE, i] * value / instance[DECAY, i]
    out_instance[TOTAL, i] = -second if some and fixed else 0.0
    out_instance[DEADLINE, i] = -second if late else 0.0


@kernel
def pull_serial(device, instance, found, measured, answered, broadcast, bars, bar, out_device, out_instance):
    """Pull back in every instance that is answered, one after the other; the others have zeros."""
    for i in range(instance.shape[1]):
        if answered[i]:
            pull_one(device, instance, found, measured, i, broadcast, bars, bar, out_device, out_instance)
        else:
            out_device[:, i] = 0.0
            out_instance[:, i] = 0.0


@parallel_kernel
def pull_parallel(
    device, instance, found, measured, answered, broadcast, bars, bar, out_device, out_instance
):
    """Pull back in every instance that is answered, in parallel over instances; the others have zeros."""
    for i in prange(instance.shape[1]):
        if answered[i]:
            pull_one(device, instance, found, measured, i, broadcast, bars, bar, out_device, out_instance)
        else:
            out_device[:, i] = 0.0
            out_instance[:, i] = 0.0
