"""FEEL kernels: safeguarded Newton on the two optimality equations, and a one-pass certificate.

In canonical form device k has a = s/R^U (upload time at a full frame), b = s/R^D, compute time o + pB with
l <= B <= u, and update time c. With y = a/phi the upload time, x = T + T_D, L = o + pl and U = o + pu,
optimality is

    y_k = clip(m sqrt(a_k p_k), T - U_k, T - L_k)
    G1:  sum a/y = 1                          the frame is full
    G2:  m^2 x sum a/y^2 = 2 sum B            stationarity in T

A fixed total batch N replaces G2 by sum B = N. A round deadline that G1 = G2 = 0 would miss fixes T, and G1
alone gives m. The device computes o + p max(B, l): integer batch sizes may lie below a fractional l.

Times are measured from the slowest device's least compute time, z = T - max L, so that y keeps its digits
when one device's compute time dwarfs every upload. A work array holds one row per canonical parameter.
"""

import math

import numpy as np

from radioopt.numerics.jit import kernel, parallel_kernel, prange

# rows of the problem's per-device block and of its per-instance block
UPLINK_RATE, DOWNLINK_RATE, SLOPE, UPDATE, MAX_BATCH, MIN_BATCH, BASE = range(7)
PAYLOAD, UPLINK_FRAME, DOWNLINK_FRAME, DECAY, TOTAL, DEADLINE = range(6)
# rows of the solution's blocks; the kernel leaves the residual where the gap will stand
BATCH, UPLINK_SLOT, DOWNLINK_SLOT = range(3)
OBJECTIVE, BOUND, RESIDUAL, PHASE_UP, PHASE_DOWN, LATENCY = range(6)
# relative rounding error allowed for in a bound
ROUNDING = 4e-16
# times and batch sizes from 1/LARGE to LARGE have squares, cubes and ratios that neither overflow nor vanish
LARGE = 1e75
# rows of the work array
A, ROOT, TO_L, TO_U, P, LOW, HIGH, OFFSET, B, C, DONE = range(11)


@kernel
def prepare(device, instance, i, work):
    """Fill the canonical form of instance ``i``; return the slowest device's least compute time, max L.

    Returns nan where float64 is too narrow for the instance.
    """
    payload = instance[PAYLOAD, i]
    slowest, shortest, longest = 0.0, math.inf, 0.0
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
        shortest = min(min(shortest, p), min(a, work[B, k]))
        longest = max(max(longest, a), max(work[B, k], work[C, k]))
        longest = max(max(longest, work[HIGH, k]), p * work[HIGH, k] + abs(work[OFFSET, k]))
    if not (shortest >= 1.0 / LARGE and longest <= LARGE):
        return math.nan
    for k in range(work.shape[1]):
        work[TO_L, k] = slowest - (work[OFFSET, k] + work[P, k] * work[LOW, k])
        work[TO_U, k] = slowest - (work[OFFSET, k] + work[P, k] * work[HIGH, k])
    return slowest


@kernel
def share_frame(work, size, done):
    """Root t of sum size/(t - done) = 1 above max done: Newton on the reciprocal, monotone from the left.

    ``size`` and ``done`` are rows of the work array: times at a full frame, and times before or after them.
    Returns t - max done, which keeps its digits, and max done.
    """
    last = -math.inf
    for k in range(work.shape[1]):
        last = max(last, work[done, k])
    longest, total, weighted = 0.0, 0.0, 0.0
    for k in range(work.shape[1]):
        a, early = work[size, k], last - work[done, k]
        longest = max(longest, a - early)
        total += a
        weighted += a * early
    z = max(longest, total - weighted / total)
    for _ in range(60):
        h, slope = 0.0, 0.0
        for k in range(work.shape[1]):
            y = z + (last - work[done, k])
            h += work[size, k] / y
            slope += work[size, k] / y / y
        step = h * (h - 1.0) / slope
        if not step > 4e-16 * z:
            break
        z += step
    return z, last


@kernel
def least_download_phase(work, broadcast):
    """Shortest download phase: shared frames, or a broadcast at the least rate, max b + max c.

    Returns T_D - max c, which keeps its digits, and max c.
    """
    if broadcast:
        slowest, last = 0.0, 0.0
        for k in range(work.shape[1]):
            slowest, last = max(slowest, work[B, k]), max(last, work[C, k])
        return slowest, last
    return share_frame(work, B, C)


@kernel
def newton(work, slowest, download, max_iterations):
    """Solve G1 = G2 = 0 for (z, m); return the best (z, m) met and the number of passes.

    G2 with sum a/y = 1 gives the first bracket of m: 1/sum a <= sum a/y^2 <= 1/min a. From then on the signs
    of (G1, G2) bracket one unknown at every pass: (+,+) bounds z from below, (-,-) from above, (+,-) bounds m
    from below, (-,+) from above. A Newton step in (z, ln m) that leaves the bracket, or does not halve the
    residuals within two steps, gives way to geometric bisection of the unknown that the signs bracket.
    Where rounding keeps the residuals above 1e-13 the iteration ends when they, or the steps, stop shrinking.
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
    z = download + 2.0 * (offsets + roots * roots) / inverse - slowest
    z = min(max(z, z_low), z_high)
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
        if z_high <= z_low * (1.0 + 4e-13):
            sign1 = -sign2  # z is settled, and G2, which increases in m, brackets m
        if sign1 > 0.0 and sign2 > 0.0:
            z_low = max(z_low, z * (1.0 - 1e-13))
        elif sign1 < 0.0 and sign2 < 0.0:
            z_high = min(z_high, z * (1.0 + 1e-13))
        elif sign1 > 0.0:
            m_low = max(m_low, m * (1.0 - 1e-13))
        else:
            m_high = min(m_high, m * (1.0 + 1e-13))

        # Newton: row 1 on 1/h, row 2 on ln(numerator / denominator)
        r1, r2 = -(h - 1.0), -g2
        j11, j12 = -d2 / h, -free / (m * h)
        j21 = (inverse + m * m * d2 - 2.0 * m * m * d3 * x) / numerator - 2.0 * inverse / denominator
        j22 = 2.0 * m * m * d2 * x / numerator + 2.0 * m * free / denominator
        determinant = j11 * j22 - j12 * j21
        accepted = False
        if determinant != 0.0:
            dz = (r1 * j22 - r2 * j12) / determinant
            dm = (j11 * r2 - j21 * r1) / determinant
            if abs(dz) <= 4e-16 * z and abs(dm) <= 4e-16:
                break
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
def in_time(latency, deadline):
    """Tell whether a round meets its deadline; one that misses it by rounding alone does."""
    return latency <= deadline * (1.0 + 1e-12)


@kernel
def fill_frame(work, z, late):
    """Solve G1 for m at a given z: bracketed Newton on 1/h in ln m; nan if even z + late is too short."""
    m_low, m_high, h = math.inf, 0.0, 0.0
    for k in range(work.shape[1]):
        most = z + work[TO_L, k]
        if not most + late > 0.0:
            return math.nan
        h += work[A, k] / (most + late)
        m_low = min(m_low, work[A, k] / work[ROOT, k])
        m_high = max(m_high, most / work[ROOT, k])
    if not h <= 1.0:
        return math.nan
    m = m_high
    for _ in range(200):
        h, free = 0.0, 0.0
        for k in range(work.shape[1]):
            y = m * work[ROOT, k]
            most, least = z + work[TO_L, k], z + work[TO_U, k]
            if y >= most:
                y = most
            elif y <= least:
                y = least
            else:
                free += work[A, k] / y
            h += work[A, k] / y
        if h > 1.0:
            m_low = m
        else:
            m_high = m
        if abs(h - 1.0) < 1e-15 or m_high - m_low <= 4e-16 * m_high:
            break
        step = m * math.exp(min(max(h * (h - 1.0) / free, -50.0), 50.0)) if free > 0.0 else 0.0
        m = step if m_low < step < m_high else math.sqrt(m_low) * math.sqrt(m_high)
    return m


@kernel
def meet_total(work, z, fixed, m):
    """Solve sum B = fixed for m at a given z: bracketed Newton on a piecewise linear, decreasing function.

    Returns m, sum a/y (inf where z is too small for the total) and sum a/y^2.
    """
    m_low, m_high = math.inf, 0.0
    for k in range(work.shape[1]):
        m_low = min(m_low, work[A, k] / work[ROOT, k] * (1.0 - 1e-12))
        m_high = max(m_high, (z + work[TO_L, k]) / work[ROOT, k])
    m = min(max(m, m_low), m_high)
    lowest = m_low
    h, slope = 0.0, 0.0
    for _ in range(200):
        batch, free, h, slope = 0.0, 0.0, 0.0, 0.0
        for k in range(work.shape[1]):
            y = m * work[ROOT, k]
            most, least = z + work[TO_L, k], z + work[TO_U, k]
            if y >= most:
                y = most
                batch += work[LOW, k]
            elif y <= least:
                y = least
                batch += work[HIGH, k]
            else:
                batch += work[LOW, k] + (most - y) / work[P, k]
                free += work[ROOT, k] / work[P, k]
            h += work[A, k] / y
            slope += work[A, k] / y / y
        if batch > fixed:
            m_low = m
        else:
            m_high = m
        if m <= lowest and batch < fixed * (1.0 - 1e-13):
            return m, math.inf, slope
        if abs(batch - fixed) <= 1e-15 * fixed or m_high - m_low <= 4e-16 * m_high:
            break
        step = m + (batch - fixed) / free if free > 0.0 else 0.5 * (m_low + m_high)
        m = step if step < m_high else 0.5 * (m_low + m_high)
        m = max(m, lowest)
    return m, h, slope


@kernel
def newton_fixed(work, slowest, fixed, max_iterations):
    """Least z for a fixed total batch: Newton on 1/h, h(z) = sum a/y with the m that meets the total."""
    total, weighted, longest, latest = 0.0, 0.0, 0.0, -math.inf
    roots, inverse, offsets = 0.0, 0.0, 0.0
    for k in range(work.shape[1]):
        total += work[A, k]
        weighted += work[A, k] * work[TO_L, k]
        longest = max(longest, work[A, k] - work[TO_L, k])
        latest = max(latest, -work[TO_U, k])
        roots += work[ROOT, k] / work[P, k]
        inverse += 1.0 / work[P, k]
        offsets += work[OFFSET, k] / work[P, k]
    no_limits = (fixed + offsets + roots * roots) / inverse - slowest  # exact where no device is at a limit
    z_low = max(max(longest, total - weighted / total), no_limits) * (1.0 - 1e-13)
    z_high = (total + max(latest, 0.0)) * (1.0 + 1e-13)
    z, m = z_low, z_high
    passes = 0
    while passes < max_iterations:
        passes += 1
        m, h, slope = meet_total(work, z, fixed, m)
        if h > 1.0:
            z_low = z
        else:
            z_high = z
        after = z + h * (h - 1.0) / slope if h < math.inf else math.inf
        if not z_low < after < z_high:
            after = 0.5 * (z_low + z_high)
        if abs(after - z) <= 2e-15 * z or z_high - z_low <= 4e-15 * z_high:
            break
        z = after
    return z, m, passes


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
        floor = max(1.0, math.floor(low))
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
    least_down = phase_down if broadcast else (weighted + sum_psi * sum_psi) / weight_down

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
            kappa = max(kappa, other - ROUNDING * price * deadline)
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

    An allowance for rounding is taken off, so that it remains a lower bound in floating point.
    With ``split``, lambda = gamma/p for the devices between their limits, whose term B then leaves.
    """
    roots, inner, size = 0.0, 0.0, 0.0
    for k in range(work.shape[1]):
        batch = out_device[BATCH, i, k]
        if split and work[LOW, k] < batch < work[HIGH, k]:
            price = gamma / work[P, k]
            inner += price * (work[OFFSET, k] + work[P, k] * batch) - gamma * batch
            size += gamma * batch
        else:
            phi = out_device[UPLINK_SLOT, i, k] / instance[UPLINK_FRAME, i]
            price = level * (phi * phi / work[A, k])
            low = price * (work[OFFSET, k] + work[P, k] * work[LOW, k]) - gamma * work[LOW, k]
            high = price * (work[OFFSET, k] + work[P, k] * work[HIGH, k]) - gamma * work[HIGH, k]
            inner += min(low, high)
            size += gamma * (work[LOW, k] if low < high else work[HIGH, k])
        roots += math.sqrt(price * work[A, k])
    return roots * roots + inner - ROUNDING * (roots * roots + abs(inner) + size)


@kernel
def solve_one(device, instance, i, broadcast, max_iterations, out_device, out_instance, out_passes):
    """Solve and measure instance ``i``."""
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
def solve_single(device, instance, broadcast, max_iterations):
    """Solve a problem that is no batch; return the solution's blocks.

    Arrays are made here, as every array that crosses from Python costs as much as a pass over twenty devices.
    """
    rows, count = device.shape
    out_device, out_instance, out_counts = (
        np.empty((3, 1, count)),
        np.empty((6, 1)),
        np.empty((2, 1), np.int64),
    )
    devices, instances = device.reshape((rows, 1, count)), instance.reshape((instance.size, 1))
    solve_one(devices, instances, 0, broadcast, max_iterations, out_device, out_instance, out_counts[0])
    return out_device.reshape((3, count)), out_instance.reshape(6), out_counts.reshape(2)


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


@kernel
def certify_points(device, instance, broadcast, out_device, out_instance):
    """Measure given points without solving; the twin of the NumPy certificate, compared with it in tests."""
    work = np.empty((11, device.shape[2]))
    for i in range(instance.shape[1]):
        prepare(device, instance, i, work)
        certify_point(work, broadcast, i, instance, out_device, out_instance)
