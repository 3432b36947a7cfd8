"""FEEL kernels: safeguarded Newton on the two optimality equations, and a one-pass certificate.

In canonical form device k has a = s/R^U (upload time at a full frame), b = s/R^D, compute time o + pB with
l <= B <= u, and update time c. With y = a/phi the upload time, x = T + T_D, L = o + pl and U = o + pu,
optimality is

    y_k = clip(m sqrt(a_k p_k), T - U_k, T - L_k)
    G1:  sum a/y = 1                          the frame is full
    G2:  m^2 x sum a/y^2 = 2 sum B            stationarity in T

Times are measured from the slowest device's least compute time, z = T - max L, so that y keeps its digits
when one device's compute time dwarfs every upload. A work array holds one row per canonical parameter.
"""

import math

import numpy as np

from radioopt.numerics.jit import kernel, parallel_kernel, prange

# rows of the problem's per-device block and of its per-instance block
UPLINK_RATE, DOWNLINK_RATE, SLOPE, UPDATE, MAX_BATCH, MIN_BATCH, BASE = range(7)
PAYLOAD, UPLINK_FRAME, DOWNLINK_FRAME, DECAY = range(4)
# rows of the solution's blocks; the kernel leaves the residual where the gap will stand
BATCH, UPLINK_SLOT, DOWNLINK_SLOT = range(3)
OBJECTIVE, BOUND, RESIDUAL, PHASE_UP, PHASE_DOWN, LATENCY = range(6)
# rows of the work array
A, ROOT, TO_L, TO_U, P, LOW, HIGH, OFFSET, B, C, Y = range(11)


@kernel
def prepare(device, instance, i, work):
    """Fill the canonical form of instance ``i``; return the slowest device's least compute time, max L."""
    payload = instance[PAYLOAD, i]
    slowest = 0.0
    for k in range(work.shape[1]):
        a = payload / device[UPLINK_RATE, i, k]
        p = device[SLOPE, i, k]
        work[A, k] = a
        work[P, k] = p
        work[ROOT, k] = math.sqrt(a) * math.sqrt(p)
        work[LOW, k] = device[MIN_BATCH, i, k]
        work[HIGH, k] = device[MAX_BATCH, i, k]
        work[OFFSET, k] = device[BASE, i, k]
        work[B, k] = payload / device[DOWNLINK_RATE, i, k]
        work[C, k] = device[UPDATE, i, k]
        slowest = max(slowest, work[OFFSET, k] + p * work[LOW, k])
    for k in range(work.shape[1]):
        work[TO_L, k] = slowest - (work[OFFSET, k] + work[P, k] * work[LOW, k])
        work[TO_U, k] = slowest - (work[OFFSET, k] + work[P, k] * work[HIGH, k])
    return slowest


@kernel
def least_download_phase(work):
    """Root of sum b/(T_D - c) = 1 above max c: Newton on the reciprocal, monotone from the left."""
    last = 0.0
    for k in range(work.shape[1]):
        last = max(last, work[C, k])
    longest, total, weighted = 0.0, 0.0, 0.0
    for k in range(work.shape[1]):
        b = work[B, k]
        early = last - work[C, k]
        longest = max(longest, b - early)
        total += b
        weighted += b * early
    z = max(longest, total - weighted / total)
    for _ in range(60):
        h, slope = 0.0, 0.0
        for k in range(work.shape[1]):
            y = z + (last - work[C, k])
            h += work[B, k] / y
            slope += work[B, k] / y / y
        step = h * (h - 1.0) / slope
        if step <= 4e-16 * z:
            break
        z += step
    return last + z


@kernel
def newton(work, slowest, download, max_iterations):
    """Solve G1 = G2 = 0 for (z, m); return the best (z, m) met and the number of passes.

    G2 with sum a/y = 1 gives the first bracket of m: 1/sum a <= sum a/y^2 <= 1/min a. From then on the signs
    of (G1, G2) bracket one unknown at every pass: (+,+) bounds z from below, (-,-) from above, (+,-) bounds m
    from below, (-,+) from above. A Newton step in (z, ln m) that leaves the bracket, or does not halve the
    residuals within two steps, gives way to geometric bisection of the unknown that the signs bracket.
    Where rounding keeps the residuals above 1e-13 the iteration ends when they stop shrinking.
    """
    count = work.shape[1]
    total, weighted, longest, latest = 0.0, 0.0, 0.0, -math.inf
    roots, inverse, offsets = 0.0, 0.0, 0.0
    smallest, batch_low, batch_high = math.inf, 0.0, 0.0
    for k in range(count):
        a, p = work[A, k], work[P, k]
        total += a
        smallest = min(smallest, a)
        batch_low += work[LOW, k]
        batch_high += work[HIGH, k]
        weighted += a * work[TO_L, k]
        longest = max(longest, a - work[TO_L, k])
        latest = max(latest, -work[TO_U, k])
        roots += work[ROOT, k] / p
        inverse += 1.0 / p
        offsets += work[OFFSET, k] / p
    z_low = max(longest, total - weighted / total) * (1.0 - 1e-13)
    z_high = (total + max(latest, 0.0)) * (1.0 + 1e-13)
    latency = slowest + download
    m_low = math.sqrt(2.0 * batch_low * smallest / (z_high + latency)) * (1.0 - 1e-13)
    m_high = math.sqrt(2.0 * batch_high * total / (z_low + latency)) * (1.0 + 1e-13)
    # exact where no device is at a limit
    z = min(max(download + 2.0 * (offsets + roots * roots) / inverse - slowest, z_low), z_high)
    m = min(max(roots, m_low), m_high)
    best, best_z, best_m, stalled = math.inf, z, m, 0
    before, earlier = math.inf, math.inf
    passes = 0
    while passes < max_iterations:
        passes += 1
        x = z + latency
        h, d2, d3, free, inverse, batch = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(count):
            a, p = work[A, k], work[P, k]
            y = m * work[ROOT, k]
            most, least = z + work[TO_L, k], z + work[TO_U, k]
            if y >= most:
                y = most
                batch += work[LOW, k]
                d2 += a / (y * y)
                d3 += a / (y * y * y)
            elif y <= least:
                y = least
                batch += work[HIGH, k]
                d2 += a / (y * y)
                d3 += a / (y * y * y)
            else:
                batch += work[LOW, k] + (most - y) / p
                free += work[ROOT, k] / p
                inverse += 1.0 / p
            h += a / y
        numerator = x * (inverse + m * m * d2)
        denominator = 2.0 * batch
        g1, g2 = math.log(h), math.log(numerator / denominator)
        merit = max(abs(g1), abs(g2))
        stalled = stalled + 1 if merit > 0.5 * best else 0
        if merit < best:
            best, best_z, best_m = merit, z, m
        if merit < 1e-13 or (best < 1e-9 and stalled >= 8):
            break
        sign1 = g1 if abs(g1) >= 1e-13 else g2
        sign2 = g2 if abs(g2) >= 1e-13 else g1
        if sign1 > 0.0 and sign2 > 0.0:
            z_low = max(z_low, z * (1.0 - 1e-13))
        elif sign1 < 0.0 and sign2 < 0.0:
            z_high = min(z_high, z * (1.0 + 1e-13))
        elif sign1 > 0.0:
            m_low = max(m_low, m * (1.0 - 1e-13))
        else:
            m_high = min(m_high, m * (1.0 + 1e-13))

        # Newton: row 1 on 1/h, row 2 on ln(numerator / denominator)
        j11, j12 = -d2 / h, -free / (m * h)
        j21 = (inverse + m * m * d2 - 2.0 * m * m * d3 * x) / numerator - 2.0 * inverse / denominator
        j22 = 2.0 * m * m * d2 * x / numerator + 2.0 * m * free / denominator
        r1, r2 = -(h - 1.0), -g2
        determinant = j11 * j22 - j12 * j21
        accepted = False
        if determinant != 0.0:
            dz = (r1 * j22 - r2 * j12) / determinant
            dm = (j11 * r2 - j21 * r1) / determinant
            if abs(dm) < 700.0:
                z_new, m_new = z + dz, m * math.exp(dm)
                inside = z_low <= z_new <= z_high and m_low <= m_new <= m_high
                accepted = inside and (passes <= 3 or merit <= 0.5 * earlier)
        if accepted:
            z, m = z_new, m_new
        elif (sign1 > 0.0) == (sign2 > 0.0):
            z = math.sqrt(z_low) * math.sqrt(z_high)
        else:
            m = math.sqrt(m_low) * math.sqrt(m_high)
        earlier, before = before, merit
    return best_z, best_m, passes


@kernel
def allocate(work, z, m, download, i, instance, out_device):
    """Write batch sizes and slots for the multipliers found; batches land on a limit they almost reach."""
    uplink, downlink = 0.0, 0.0
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
        out_device[DOWNLINK_SLOT, i, k] = work[B, k] / (download - work[C, k])
        uplink += out_device[UPLINK_SLOT, i, k]
        downlink += out_device[DOWNLINK_SLOT, i, k]
    for k in range(work.shape[1]):
        out_device[UPLINK_SLOT, i, k] *= instance[UPLINK_FRAME, i] / uplink
        out_device[DOWNLINK_SLOT, i, k] *= instance[DOWNLINK_FRAME, i] / downlink


@kernel
def certify_point(work, i, instance, out_device, out_instance):
    """Measure the point in ``out_device``: objective, bound, residual, latencies, as in the certificate."""
    phase_up, phase_down, total, residual = 0.0, 0.0, 0.0, -math.inf
    sum_phi, sum_psi, scale_up, scale_down, weighted = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(work.shape[1]):
        batch = out_device[BATCH, i, k]
        phi = out_device[UPLINK_SLOT, i, k] / instance[UPLINK_FRAME, i]
        psi = out_device[DOWNLINK_SLOT, i, k] / instance[DOWNLINK_FRAME, i]
        if not (phi > 0.0 and psi > 0.0):
            residual = math.inf
            phi, psi = 1.0, 1.0
        phase_up = max(phase_up, work[OFFSET, k] + work[P, k] * batch + work[A, k] / phi)
        phase_down = max(phase_down, work[B, k] / psi + work[C, k])
        total += batch
        sum_phi += phi
        sum_psi += psi
        scale_up += phi * phi / work[A, k]
        scale_down += psi * psi / work[B, k]
        weighted += psi * psi / work[B, k] * work[C, k]
        residual = max(residual, (work[LOW, k] - batch) / work[LOW, k])
        residual = max(residual, (batch - work[HIGH, k]) / work[HIGH, k])
    residual = max(residual, max(sum_phi, sum_psi) - 1.0)
    latency = phase_up + phase_down
    out_instance[OBJECTIVE, i] = math.nan
    out_instance[BOUND, i] = math.inf
    out_instance[RESIDUAL, i] = residual
    out_instance[PHASE_UP, i] = phase_up
    out_instance[PHASE_DOWN, i] = phase_down
    out_instance[LATENCY, i] = latency
    if not (total > 0.0 and latency < math.inf):
        return
    out_instance[OBJECTIVE, i] = instance[DECAY, i] * math.sqrt(total) / latency
    least_down = (weighted + sum_psi * sum_psi) / scale_down
    theta = latency / total
    kappa = kappa_bound(work, i, instance, out_device, theta, least_down, 2.0 * theta / scale_up, False)
    # second choice of multipliers: exact for the devices between their limits
    inverse, clamped = 0.0, 0.0
    for k in range(work.shape[1]):
        if work[LOW, k] < out_device[BATCH, i, k] < work[HIGH, k]:
            inverse += 1.0 / work[P, k]
        else:
            phi = out_device[UPLINK_SLOT, i, k] / instance[UPLINK_FRAME, i]
            clamped += phi * phi / work[A, k]
    level = 0.0
    if clamped > 0.0:
        level = (2.0 * theta - theta * theta * inverse) / clamped
    else:
        theta = 2.0 / inverse
    if level >= 0.0:
        kappa = max(kappa, kappa_bound(work, i, instance, out_device, theta, least_down, level, True))
    if kappa > 0.0:
        out_instance[BOUND, i] = instance[DECAY, i] / math.sqrt(kappa)


@kernel
def kappa_bound(work, i, instance, out_device, theta, least_down, level, split):
    """Bound (T + T_D)^2 / sum B by multipliers level phi^2/a, or theta^2/p where ``split`` and free."""
    roots, inner = 0.0, 0.0
    for k in range(work.shape[1]):
        batch = out_device[BATCH, i, k]
        if split and work[LOW, k] < batch < work[HIGH, k]:
            price = theta * theta / work[P, k]
            inner += price * (work[OFFSET, k] + work[P, k] * batch) - theta * theta * batch
        else:
            phi = out_device[UPLINK_SLOT, i, k] / instance[UPLINK_FRAME, i]
            price = level * (phi * phi / work[A, k])
            low = price * (work[OFFSET, k] + work[P, k] * work[LOW, k]) - theta * theta * work[LOW, k]
            high = price * (work[OFFSET, k] + work[P, k] * work[HIGH, k]) - theta * theta * work[HIGH, k]
            inner += min(low, high)
        roots += math.sqrt(price * work[A, k])
    return 2.0 * theta * least_down + roots * roots + inner


@kernel
def solve_one(device, instance, i, max_iterations, out_device, out_instance, out_passes):
    """Solve and measure instance ``i``."""
    work = np.empty((11, device.shape[2]))
    slowest = prepare(device, instance, i, work)
    download = least_download_phase(work)
    z, m, passes = newton(work, slowest, download, max_iterations)
    out_passes[i] = passes
    allocate(work, z, m, download, i, instance, out_device)
    certify_point(work, i, instance, out_device, out_instance)


@kernel
def solve_serial(device, instance, max_iterations, out_device, out_instance, out_passes):
    """Solve every instance, one after the other."""
    for i in range(instance.shape[1]):
        solve_one(device, instance, i, max_iterations, out_device, out_instance, out_passes)


@parallel_kernel
def solve_parallel(device, instance, max_iterations, out_device, out_instance, out_passes):
    """Solve every instance, in parallel over instances."""
    for i in prange(instance.shape[1]):
        solve_one(device, instance, i, max_iterations, out_device, out_instance, out_passes)


@kernel
def certify_points(device, instance, out_device, out_instance):
    """Measure given points without solving; the twin of the NumPy certificate, compared with it in tests."""
    work = np.empty((11, device.shape[2]))
    for i in range(instance.shape[1]):
        prepare(device, instance, i, work)
        certify_point(work, i, instance, out_device, out_instance)
