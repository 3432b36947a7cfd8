"""FEEL kernels: safeguarded Newton on the two optimality equations.

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

from radioopt.feel.kernel_rows import (
    BASE,
    DOWNLINK_RATE,
    HIGH,
    LARGE,
    LOW,
    MAX_BATCH,
    MIN_BATCH,
    OFFSET,
    PAYLOAD,
    ROOT,
    SLOPE,
    TO_L,
    TO_U,
    UPDATE,
    UPLINK_RATE,
    A,
    B,
    C,
    P,
)
from radioopt.numerics.jit import kernel


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
