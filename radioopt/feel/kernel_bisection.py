"""FEEL by the paper's own method: Algorithm 1 inside a search over the total batch, as bare loops.

For a given total batch, Algorithm 1 bisects the upload phase T (the paper's Delta L E^U) and, inside, the price
mu of Theorem 1, here as m = sqrt(Delta L T_f mu sum f / C), so that a device between its limits uploads for
y = m sqrt(a p). Around it the total batch is bisected on the sign of the derivative of (T + T_D) / sqrt(sum B):
by the envelope theorem dT/dB = 1 / (m^2 sum a/y^2), and the optimum has x = 2 B dT/dB, x = T + T_D.

What is corrected in the paper (J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge
Learning Systems"):

- Theorem 1 (22): mu is not the price of the frame once a device is at a limit, which is 1 / sum(a/y), so the
  derivative above is computed from the slots and not from mu alone.
- Theorem 1 (22), Algorithm 1: a T too short for the total makes [.]^+ cut slots to zero and the frame look
  empty. Here it means that T is too small.
- Corollary 1 (23): the lower bound on T ignores the limits of the batches, and the upper one, equal shares and
  batches, breaks them. Here T lies between max(max(L + a), (B + O + S^2) / P), with O, S and P the sums of o/p,
  sqrt(a/p) and 1/p, and sum a + max U.
- Corollary 2 (24): the lower bound on mu squares a negative number when T < U. Here it is max(0, T - U)^2, and
  the bounds are taken over limits of each device.
- Theorem 2 (26): its equation has roots below max(b + c) that no device can meet; the shared routine for the
  download phase searches above.
- Lemma 2, Section V: GPU limits are per device, from the threshold or the largest batch, whichever is smaller.

Totals are measured from the sum of the lower limits and T from the slowest device's least compute time, so that
both keep their digits. Every bisection runs until floating point has nothing left between its ends.
"""

import math

import numpy as np

from radioopt.feel.kernel_point import finish, no_answer
from radioopt.feel.kernel_rows import HIGH, LOW, ROOT, TO_L, TO_U, TOTAL, A, P
from radioopt.feel.kernel_search import least_download_phase, prepare
from radioopt.numerics.jit import kernel, parallel_kernel, prange


@kernel
def surplus(work, z, m):
    """Sum of B - l that Theorem 1 selects at (z, m); decreasing in m."""
    total = 0.0
    for k in range(work.shape[1]):
        above = (z + work[TO_L, k] - m * work[ROOT, k]) / work[P, k]
        total += min(max(above, 0.0), work[HIGH, k] - work[LOW, k])
    return total


@kernel
def frame_use(work, z, m):
    """Share of the frame in use, sum a/y, and sum a/y^2 at (z, m)."""
    share, slope = 0.0, 0.0
    for k in range(work.shape[1]):
        y = max(min(m * work[ROOT, k], z + work[TO_L, k]), z + work[TO_U, k])
        share += work[A, k] / y
        slope += work[A, k] / y / y
    return share, slope


@kernel
def search_price(work, z, extra):
    """Find m with sum (B - l) = extra at a given z, by bisection; nan where z is too small for it."""
    low, high = math.inf, 0.0
    for k in range(work.shape[1]):
        low = min(low, max(z + work[TO_U, k], 0.0) / work[ROOT, k])
        high = max(high, (z + work[TO_L, k]) / work[ROOT, k])
    if low == 0.0 and surplus(work, z, 0.0) <= extra:
        return math.nan
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return high
        if surplus(work, z, middle) > extra:
            low = middle
        else:
            high = middle


@kernel
def phase_bracket(work, slowest, extra):
    """Bounds on z = T - max L for a total batch of sum l + extra (Corollary 1, corrected)."""
    longest, total, latest = 0.0, 0.0, 0.0
    roots, inverse, offsets = 0.0, 0.0, 0.0
    for k in range(work.shape[1]):
        longest = max(longest, work[A, k] - work[TO_L, k])
        total += work[A, k]
        latest = max(latest, -work[TO_U, k])
        roots += work[ROOT, k] / work[P, k]
        inverse += 1.0 / work[P, k]
        offsets -= work[TO_L, k] / work[P, k]
    unlimited = (extra + offsets + roots * roots) / inverse
    return max(longest, unlimited) * (1.0 - 1e-13), (total + latest) * (1.0 + 1e-13)


@kernel
def least_upload_phase(work, extra, z_low, z_high):
    """Algorithm 1: least z for a total batch of sum l + extra, by bisection, with its m."""
    while True:
        z = 0.5 * (z_low + z_high)
        if not z_low < z < z_high:
            return z_high, search_price(work, z_high, extra)
        m = search_price(work, z, extra)
        if math.isnan(m) or frame_use(work, z, m)[0] > 1.0:
            z_low = z
        else:
            z_high = z


@kernel
def gain(work, z, m, latency, batch):
    """Sign of the derivative of the efficiency in the total batch: m^2 x sum a/y^2 - 2 B."""
    return m * m * (z + latency) * frame_use(work, z, m)[1] - 2.0 * batch


@kernel
def search_total(work, slowest, download, max_iterations):
    """Find the total batch where the efficiency stops growing, by bisection; return z, m, totals tried."""
    least, room = 0.0, 0.0
    for k in range(work.shape[1]):
        least += work[LOW, k]
        room += work[HIGH, k] - work[LOW, k]
    latency = slowest + download
    z_low, m_low = least_upload_phase(work, 0.0, *phase_bracket(work, slowest, 0.0))
    if room == 0.0 or gain(work, z_low, m_low, latency, least) <= 0.0:
        return z_low, m_low, 1
    z_high, m_high = least_upload_phase(work, room, *phase_bracket(work, slowest, room))
    if gain(work, z_high, m_high, latency, least + room) >= 0.0:
        return z_high, m_high, 2
    low, high, passes = 0.0, room, 2
    z, m = z_low, m_low
    while passes < max_iterations:
        extra = 0.5 * (low + high)
        if not low < extra < high:
            break
        passes += 1
        # T grows with the total: the phases of smaller and larger totals bracket it
        z, m = least_upload_phase(work, extra, z_low * (1.0 - 1e-13), z_high * (1.0 + 1e-13))
        if gain(work, z, m, latency, least + extra) > 0.0:
            low, z_low = extra, z
        else:
            high, z_high = extra, z
    return z, m, passes


@kernel
def solve_one(device, instance, i, broadcast, max_iterations, out_device, out_instance, out_passes):
    """Solve and measure instance ``i``; counts the total batches tried."""
    work = np.empty((11, device.shape[2]))
    slowest = prepare(device, instance, i, work)
    if math.isnan(slowest):
        no_answer(i, 0, out_device, out_instance, out_passes)
        return
    rest, last = least_download_phase(work, broadcast)
    fixed = instance[TOTAL, i]
    if fixed < math.inf:
        extra = fixed
        for k in range(work.shape[1]):
            extra -= work[LOW, k]
        z, m = least_upload_phase(work, extra, *phase_bracket(work, slowest, extra))
        passes = 1
    else:
        z, m, passes = search_total(work, slowest, last + rest, max_iterations)
    out_passes[i] = passes
    finish(work, z, m, slowest, rest, last, i, broadcast, instance, out_device, out_instance, out_passes)


@kernel
def solve_serial(device, instance, broadcast, max_iterations, out_device, out_instance, out_passes):
    """Solve every instance, one after the other."""
    for i in range(instance.shape[1]):
        solve_one(device, instance, i, broadcast, max_iterations, out_device, out_instance, out_passes)


@parallel_kernel
def solve_parallel(device, instance, broadcast, max_iterations, out_device, out_instance, out_passes):
    """Solve every instance, in parallel over instances."""
    for i in prange(instance.shape[1]):
        solve_one(device, instance, i, broadcast, max_iterations, out_device, out_instance, out_passes)
