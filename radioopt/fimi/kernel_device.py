"""One FIMI device at given prices: the split of its round between computing and uploading.

With s + t = T, -C'(s) the energy that a second more of computing saves, u = ln(1 + SNR), h(u) = u e^u - e^u + 1
and m(u) = (e^u - 1)/u, the least of C(s) + U(t) is where -C'(s) = -U'(t), on one of two branches:

    FREE    k t h(u) = varpi,  -U' = varpi a/(t^2 u)                  t falls as u rises
    FULL    t = kappa m(u),    -U' = varpi a e^u/(t^2 h) - P_max      t rises with u, at the largest power

A device leaves FREE where its power would exceed the limit, m(u) > t/kappa, and FULL where its bandwidth is not
worth the price, k t h(u) > varpi. -C' comes from one of three cases: D between its limits, D at a limit, or the
CPU at f_max with D = F s. It jumps where the last two meet, and t can be no longer than T - D_loc/F, so t may stop

    at the EDGE    t = T - D_loc/F, no time for synthetic samples
    at the KINK    t = T - D_hi/F, just the time for all samples allowed
"""

import math

from radioopt.numerics.jit import kernel

# rows of the work array: parameters, then what a device remembers from one pass to the next
LOW, HIGH, SPEED, POWER, GAIN, KAPPA, LONGEST, KINKED = range(8)
LOG_2A, LOG_WISH, LOG_LOW, LOG_HIGH, LOG_SPEED = range(8, 13)
U, Z_NU, Z_VARPI, BRANCH = range(13, 17)
ROWS = 17
# branches: FREE or FULL, plus where t stops
FREE, FULL, EDGE, KINK = 0, 1, 2, 4
# u beyond which e^u nears the end of float64, and below which h(u) nears the other
MOST_U, LEAST_U = 650.0, 1e-150


@kernel
def h_of(u, e):
    """h(u) = u e^u - e^u + 1 from u and e = e^u - 1, by its series where that cancels."""
    if u > 0.2:
        return u * (e + 1.0) - e
    s = 1.0 / 3991680.0 + u / 43545600.0
    s = 1.0 / 45360.0 + u * (1.0 / 403200.0 + u * s)
    s = 1.0 / 840.0 + u * (1.0 / 5760.0 + u * s)
    s = 1.0 / 30.0 + u * (1.0 / 144.0 + u * s)
    return u * u * (0.5 + u * (1.0 / 3.0 + u * (0.125 + u * s)))


@kernel
def scaled(u, dz):
    """U e^dz within the range of u, at most a factor of e up or down."""
    dz = min(max(dz, -1.0), 1.0)
    factor = 1.0 + dz * (1.0 + 0.5 * dz * (1.0 + dz / 3.0)) if abs(dz) < 1e-3 else math.exp(dz)
    return min(max(u * factor, LEAST_U), MOST_U)


@kernel
def guess_u_of_h(h):
    """U with h(u) = h, within about a tenth."""
    return math.log1p(math.sqrt(2.0 * h) + h / 3.0)


@kernel
def guess_u_of_m(m):
    """U with m(u) = m > 1, within about a tenth."""
    return math.log1p(2.0 * (m - 1.0)) + 0.5 * math.log(m)


@kernel
def computing(work, i, log_s, log_nu, beta, cpu_may_limit):
    """Find the samples worth training on in s seconds, and what a second more is worth.

    Returns ln D, ln(-C'), their c = -dln(-C')/dln s and e = dln(-C')/dln nu, dln D/dln s and dln D/dln nu.
    """
    wish = (log_nu + work[LOG_WISH, i] + 2.0 * log_s) / (beta + 3.0)
    fastest = max(work[LOG_SPEED, i] + log_s, work[LOG_LOW, i])
    if wish >= fastest and cpu_may_limit:
        log_speed = work[LOG_SPEED, i]
        x = beta * math.exp(min(log_nu + log_speed - (beta + 1.0) * fastest, 690.0))
        pull = x - 0.5 * math.exp(work[LOG_2A, i] + 3.0 * log_speed)
        return fastest, math.log(pull), (beta + 1.0) * x / pull, x / pull, 1.0, 0.0
    if wish <= work[LOG_LOW, i]:
        return work[LOG_LOW, i], work[LOG_2A, i] + 3.0 * (work[LOG_LOW, i] - log_s), 3.0, 0.0, 0.0, 0.0
    if wish >= work[LOG_HIGH, i]:
        return work[LOG_HIGH, i], work[LOG_2A, i] + 3.0 * (work[LOG_HIGH, i] - log_s), 3.0, 0.0, 0.0, 0.0
    each = 1.0 / (beta + 3.0)
    return (
        wish,
        work[LOG_2A, i] + 3.0 * (wish - log_s),
        3.0 * (beta + 1.0) * each,
        3.0 * each,
        2.0 * each,
        each,
    )


@kernel
def u_at_stop(work, i, u, full, t, varpi):
    """U at a given upload time: m(u) = t/kappa or k t h(u) = varpi, by Newton's method in ln u."""
    for _ in range(60):
        e = math.expm1(u)
        h = h_of(u, e)
        if full:
            dz = math.log(t / work[KAPPA, i] * u / e) * e / h
        else:
            dz = math.log(varpi / (work[GAIN, i] * t) / h) * h / (u * u * (e + 1.0))
        u = scaled(u, dz)
        if not abs(dz) > 1e-13:
            break
    return u


@kernel
def imbalance(work, i, full, log_pull, t, u, h, a, varpi):
    """G = ln(-C') - ln(-U'), or with P_max added to both on the branch FULL; it rises with t."""
    if full:
        return math.log((math.exp(log_pull) + work[POWER, i]) / varpi * t * (t / a) * h) - u
    return log_pull + math.log(t / varpi * (t / a) * u)


@kernel
def root(work, i, full, stop, u, latency, a, log_nu, varpi, beta, tolerance):
    """Zero of G in ln u on one branch, by bracketed Newton from u or from a stop; see :func:`settle`.

    A step that takes t across a stop is tried at the stop first.
    """
    longest, kinked, fastest = work[LONGEST, i], work[KINKED, i], work[LOW, i] / work[SPEED, i]
    low, high, dz, beyond, seen, first = 0.0, math.inf, 0.0, False, False, True
    for _ in range(200):
        if stop:
            t = longest if stop == EDGE else kinked
            u = u_at_stop(work, i, u, full, t, varpi)
            seen = seen or stop == KINK
        e = math.expm1(u)
        h = h_of(u, e)
        if not stop:
            t = work[KAPPA, i] * e / u if full else varpi / (work[GAIN, i] * h)
            if t > longest:
                stop = EDGE
                continue
            if (t > kinked) != beyond and not first and not seen:
                stop = KINK
                continue
        if not (seen and not stop):
            beyond = t > kinked
        s = max(latency - t, fastest)
        log_s = math.log(s)
        log_d, log_pull, c, k, d_s, d_nu = computing(work, i, log_s, log_nu, beta, beyond)
        g = imbalance(work, i, full, log_pull, t, u, h, a, varpi)
        mu, q = u * u * (e + 1.0) / h, h / e
        if stop and g <= 0.0:
            right = g
            if stop == KINK:
                log_d, log_pull, c, k, d_s, d_nu = computing(work, i, log_s, log_nu, beta, True)
                right = imbalance(work, i, full, log_pull, t, u, h, a, varpi)
            if stop == EDGE or right >= 0.0:
                excess = work[GAIN, i] * t * h / varpi if full else work[KAPPA, i] * e / (u * t)
                z_varpi, tau = (0.0, 0.0) if full else (1.0 / mu, -mu)
                return excess, u, 0.0, stop, t, s, log_d, 0.0, 0.0, 0.0, z_varpi, tau
            g, beyond = right, True
        stop, first = 0, False
        if full:
            pull = math.exp(log_pull)
            r = pull / (pull + work[POWER, i])
            slope = -(r * c * q * t / s + 2.0 * q + u * e / h)
        else:
            r = 1.0
            slope = c * mu * t / s + 2.0 * mu - 1.0
        dz = g / slope
        if dz > 0.0:
            low = u
        else:
            high = u
        if abs(dz) <= tolerance:
            break
        after = scaled(u, dz)
        if not low < after < high:
            after = math.sqrt(low) * math.sqrt(high)
            if not low < after < high:
                dz = 0.0
                break
        u = after
    if full:
        excess = work[GAIN, i] * t * h / varpi * (1.0 + (q + mu) * dz)
        return excess, u, dz, 0, t, s, log_d, d_s, d_nu, r * k / slope, -1.0 / slope, q
    excess = work[KAPPA, i] * e / (u * t) * (1.0 + (q + mu) * dz)
    return excess, u, dz, 0, t, s, log_d, d_s, d_nu, k / slope, (c * t / s + 1.0) / slope, -mu


@kernel
def settle(work, i, u, latency, a, log_nu, varpi, beta, tolerance):
    """Find the device's branch and root, from u and the branch it remembers.

    Returns u, the Newton step dz that is left, whether the power is at its limit, t, s, ln D, dln D/dln s,
    dln D/dln nu, dz/dln nu, dz/dln varpi, and dln t/dz at fixed prices. On FREE, dln t = dln varpi beside that.
    """
    branch = int(work[BRANCH, i])
    full, stop = branch % 2 == FULL, branch - branch % 2
    for _ in range(4):
        found = root(work, i, full, stop, u, latency, a, log_nu, varpi, beta, tolerance)
        u, stop = found[1], found[3]
        work[BRANCH, i] = (FULL if full else FREE) + stop
        if found[0] <= 1.0 + 1e-13:
            break
        full = not full
        if full:
            u = min(u, guess_u_of_m(max(found[4] / work[KAPPA, i], 1.1)))
    at_power = work[BRANCH, i] % 2 == FULL
    return (u, found[2], at_power, *found[4:])
