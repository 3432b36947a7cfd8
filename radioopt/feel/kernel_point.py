"""FEEL kernels: the allocation that (z, m) implies, written, and measured by a one-pass certificate."""

import math

import numpy as np

from radioopt.feel.kernel_rows import (
    BATCH,
    BOUND,
    DEADLINE,
    DECAY,
    DONE,
    DOWNLINK_FRAME,
    DOWNLINK_SLOT,
    HIGH,
    LATENCY,
    LOW,
    OBJECTIVE,
    OFFSET,
    PHASE_DOWN,
    PHASE_UP,
    RESIDUAL,
    ROOT,
    ROUNDING,
    TO_L,
    TO_U,
    TOTAL,
    UPLINK_FRAME,
    UPLINK_SLOT,
    A,
    B,
    C,
    P,
)
from radioopt.feel.kernel_search import fill_frame, in_time, share_frame
from radioopt.numerics.jit import kernel


@kernel
def no_answer(i, passes, out_device, out_instance, out_passes):
    """Leave nan for instance ``i``; passes of -1 say that it is infeasible."""
    out_device[:, i, :] = math.nan
    out_instance[:, i] = math.nan
    out_passes[i] = passes


@kernel
def finish(work, z, m, slowest, rest, last, i, broadcast, instance, out_device, out_instance, out_passes):
    """Respect the deadline, write the allocation that (z, m) implies and measure it.

    An infeasible deadline leaves nan and passes of -1.
    """
    fixed, deadline, download = instance[TOTAL, i], instance[DEADLINE, i], last + rest
    if fixed < math.inf:
        met = in_time(z + slowest + download, deadline)
    elif z + slowest + download <= deadline:
        met = True
    else:  # take the deadline, or the shortest round if that misses it by rounding alone
        for k in range(work.shape[1]):
            work[DONE, k] = work[OFFSET, k] + work[P, k] * work[LOW, k]
        least, done = share_frame(work, A, DONE)
        met = in_time(done + least + download, deadline)
        if met:
            z = max(deadline - download, done + least) - slowest
            m = fill_frame(work, z, deadline * 1e-12)
            met = not math.isnan(m)
    if not met:
        no_answer(i, -1, out_device, out_instance, out_passes)
        return
    choose_batches(work, z, m, i, out_device)
    if fixed < math.inf:
        settle_total(work, fixed, i, out_device)
    scale_slots(work, rest, last, broadcast, i, instance, out_device)
    certify_point(work, broadcast, i, instance, out_device, out_instance)


@kernel
def choose_batches(work, z, m, i, out_device):
    """Write the batch sizes that (z, m) implies; they land on a limit they almost reach."""
    for k in range(work.shape[1]):
        most, least = z + work[TO_L, k], z + work[TO_U, k]
        y = max(min(m * work[ROOT, k], most), least)
        below = (y - least) / work[P, k]
        above = (most - y) / work[P, k]
        batch = work[HIGH, k] - below if below < above else work[LOW, k] + above
        if (work[HIGH, k] - batch) * work[P, k] <= 4e-13 * z:
            batch = work[HIGH, k]
        out_device[BATCH, i, k] = min(max(batch, work[LOW, k]), work[HIGH, k])
        out_device[UPLINK_SLOT, i, k] = work[A, k] / y


@kernel
def settle_total(work, fixed, i, out_device):
    """Spread what rounding left of the total over the devices with room, then share the frame anew."""
    for _ in range(work.shape[1] + 2):
        missing, room = fixed, 0.0
        for k in range(work.shape[1]):
            missing -= out_device[BATCH, i, k]
        if abs(missing) <= 1e-15 * fixed:
            break
        for inner in (True, False):  # devices between their limits first
            for k in range(work.shape[1]):
                batch = out_device[BATCH, i, k]
                if not inner or work[LOW, k] < batch < work[HIGH, k]:
                    room += work[HIGH, k] - batch if missing > 0.0 else batch - work[LOW, k]
            if room > 0.0:
                part = max(min(missing / room, 1.0), -1.0)
                for k in range(work.shape[1]):
                    batch = out_device[BATCH, i, k]
                    if not inner or work[LOW, k] < batch < work[HIGH, k]:
                        space = work[HIGH, k] - batch if missing > 0.0 else batch - work[LOW, k]
                        out_device[BATCH, i, k] = min(max(batch + part * space, work[LOW, k]), work[HIGH, k])
                break
    fill_slots(work, i, out_device)


@kernel
def fill_slots(work, i, out_device):
    """Share the uplink frame in the best way for the batch sizes in ``out_device``."""
    for k in range(work.shape[1]):
        work[DONE, k] = work[OFFSET, k] + work[P, k] * max(out_device[BATCH, i, k], work[LOW, k])
    z, last = share_frame(work, A, DONE)
    for k in range(work.shape[1]):
        out_device[UPLINK_SLOT, i, k] = work[A, k] / (z + (last - work[DONE, k]))


@kernel
def scale_slots(work, rest, last, broadcast, i, instance, out_device):
    """Turn the uplink shares into slots that fill the frame, and add those for T_D = last + rest.

    Both are scaled to their sum, so an error in one device's share would be one in everybody's: T_D - c is
    not computed from T_D, which may have lost the digits of ``rest``.
    """
    uplink, downlink = 0.0, 0.0
    for k in range(work.shape[1]):
        out_device[DOWNLINK_SLOT, i, k] = 1.0 if broadcast else work[B, k] / (rest + (last - work[C, k]))
        uplink += out_device[UPLINK_SLOT, i, k]
        downlink += out_device[DOWNLINK_SLOT, i, k]
    if broadcast:
        downlink = 1.0
    for k in range(work.shape[1]):
        out_device[UPLINK_SLOT, i, k] *= instance[UPLINK_FRAME, i] / uplink
        out_device[DOWNLINK_SLOT, i, k] *= instance[DOWNLINK_FRAME, i] / downlink


@kernel
def certify_point(work, broadcast, i, instance, out_device, out_instance):
    """Measure the point in ``out_device``: objective, bound, residual, latencies, as in the certificate."""
    phase_up, phase_down, total, residual = 0.0, 0.0, 0.0, -math.inf
    sum_phi, sum_psi, weight, weight_down, weighted = 0.0, 0.0, 0.0, 0.0, 0.0
    inverse, clamped, free, ratio_low, ratio_high = 0.0, 0.0, 0.0, 0.0, math.inf
    slowest_b, slowest_c = 0.0, 0.0
    for k in range(work.shape[1]):
        a, b, p = work[A, k], work[B, k], work[P, k]
        low, high, batch = work[LOW, k], work[HIGH, k], out_device[BATCH, i, k]
        phi = out_device[UPLINK_SLOT, i, k] / instance[UPLINK_FRAME, i]
        psi = out_device[DOWNLINK_SLOT, i, k] / instance[DOWNLINK_FRAME, i]
        if not (phi > 0.0 and psi > 0.0):
            residual = math.inf
            phi, psi = 1.0, 1.0
        phase_up = max(phase_up, work[OFFSET, k] + p * max(batch, low) + a / phi)
        phase_down = max(phase_down, b / psi + work[C, k])
        slowest_b, slowest_c = max(slowest_b, b / psi), max(slowest_c, work[C, k])
        total += batch
        sum_phi += phi
        sum_psi = max(sum_psi, psi) if broadcast else sum_psi + psi
        w = phi * phi / a
        weight += w
        weight_down += psi * psi / b
        weighted += psi * psi / b * work[C, k]
        if low < batch < high:
            inverse += 1.0 / p
            free += w
        elif w > 0.0:
            clamped += w
            if batch <= low < high:
                ratio_low = max(ratio_low, 1.0 / (p * w))
            elif batch >= high > low:
                ratio_high = min(ratio_high, 1.0 / (p * w))
        floor = max(1.0, np.floor(low))
        residual = max(residual, (floor - batch) / floor)
        residual = max(residual, (batch - high) / high)
    residual = max(residual, max(sum_phi, sum_psi) - 1.0)
    if broadcast:
        phase_down = slowest_b + slowest_c
    latency = phase_up + phase_down
    fixed, deadline, decay = instance[TOTAL, i], instance[DEADLINE, i], instance[DECAY, i]
    if fixed < math.inf:
        residual = max(residual, abs(total - fixed) / fixed)
    if deadline < math.inf:
        residual = max(residual, (latency - deadline) / deadline)
    out_instance[OBJECTIVE, i] = math.nan
    out_instance[BOUND, i] = math.inf
    out_instance[RESIDUAL, i] = residual
    out_instance[PHASE_UP, i] = phase_up
    out_instance[PHASE_DOWN, i] = phase_down
    out_instance[LATENCY, i] = latency
    if not (total > 0.0 and latency < math.inf):
        return
    out_instance[OBJECTIVE, i] = decay * math.sqrt(total) / latency
    if not (clamped + free > 0.0 and weight_down > 0.0):
        return
    rounding = ROUNDING * math.sqrt(work.shape[1])  # of sums that are added up one by one
    least_down = phase_down if broadcast else (weighted + sum_psi * sum_psi) / weight_down
    least_down *= 1.0 - rounding

    # m^2 as the point implies it: from the free devices, or between those at their lower and upper limits
    if free > 0.0:
        ratio = inverse / free
    elif ratio_low == 0.0:
        ratio = ratio_high if ratio_high < math.inf else 1.0
    else:
        ratio = math.sqrt(ratio_low) * math.sqrt(ratio_high) if ratio_high < math.inf else ratio_low
    if fixed < math.inf:
        gamma = 1.0 / (ratio * weight)
        best = dual(work, i, instance, out_device, gamma, 1.0 / weight, False) + gamma * fixed
        gamma = 1.0 / (inverse + ratio * clamped)
        other = dual(work, i, instance, out_device, gamma, ratio * gamma, True) + gamma * fixed
        best = least_down + max(best, other)
        if best > 0.0:
            out_instance[BOUND, i] = decay * math.sqrt(fixed) / best
        return
    theta = latency / total
    gamma = theta * theta
    kappa = 2.0 * theta * least_down + dual(work, i, instance, out_device, gamma, 2.0 * theta / weight, False)
    if latency >= deadline * (1.0 - 1e-9):
        price = gamma * (inverse + ratio * clamped) - 2.0 * theta
        if price > 0.0:
            other = dual(work, i, instance, out_device, gamma, ratio * gamma, True)
            # a deadline missed by rounding: the bound for one that is met holds all the more
            other += (2.0 * theta + price) * least_down - price * max(deadline, latency)
            kappa = max(kappa, other - rounding * price * deadline)
    if inverse > 0.0:
        theta = 2.0 / (inverse + ratio * clamped)
        gamma = theta * theta
        other = dual(work, i, instance, out_device, gamma, ratio * gamma, True)
        kappa = max(kappa, 2.0 * theta * least_down + other)
    if kappa > 0.0:
        out_instance[BOUND, i] = decay / math.sqrt(kappa)


@kernel
def dual(work, i, instance, out_device, gamma, level, split):
    """(sum sqrt(lambda a))^2 + sum min_B lambda (o + pB) - gamma B, with lambda = level phi^2/a.

    An allowance for rounding is taken off, so that it remains a lower bound in floating point: o and pB may all but
    cancel, when the digits of their sum are lost.
    With ``split``, lambda = gamma/p for the devices between their limits, whose term B then leaves.
    """
    roots, inner, size = 0.0, 0.0, 0.0
    for k in range(work.shape[1]):
        batch = out_device[BATCH, i, k]
        if split and work[LOW, k] < batch < work[HIGH, k]:
            price = gamma / work[P, k]
            end, worth = batch, price * (work[OFFSET, k] + work[P, k] * batch) - gamma * batch
        else:
            phi = out_device[UPLINK_SLOT, i, k] / instance[UPLINK_FRAME, i]
            price = level * (phi * phi / work[A, k])
            low = price * (work[OFFSET, k] + work[P, k] * work[LOW, k]) - gamma * work[LOW, k]
            high = price * (work[OFFSET, k] + work[P, k] * work[HIGH, k]) - gamma * work[HIGH, k]
            end, worth = (work[LOW, k], low) if low < high else (work[HIGH, k], high)
        inner += worth
        size += price * (abs(work[OFFSET, k]) + work[P, k] * end) + gamma * end
        roots += math.sqrt(price * work[A, k])
    return roots * roots + inner - ROUNDING * math.sqrt(work.shape[1]) * (roots * roots + size)
