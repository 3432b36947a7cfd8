"""FIMI kernel: Newton on the two prices, nested bracketed searches where it fails, and a one-pass certificate.

The dual is concave in the prices (nu, varpi) of learning and bandwidth; its gradient is how far the devices'
choices miss the two budgets. Newton's method takes

    G1 = ln(sum D^-beta / Y) = 0,  G2 = ln(sum b / B) = 0

in (ln nu, ln varpi) with the exact Jacobian. Each device follows its root along the tangent and corrects it by
Newton steps of its own, no further than the prices deserve; the step that is left enters the sums to first order.
"""

import math

import numpy as np

from radioopt.fimi.kernel_device import (
    BRANCH,
    FREE,
    FULL,
    GAIN,
    HIGH,
    KAPPA,
    KINKED,
    LOG_2A,
    LOG_HIGH,
    LOG_LOW,
    LOG_SPEED,
    LOG_WISH,
    LONGEST,
    LOW,
    POWER,
    ROWS,
    SPEED,
    Z_NU,
    Z_VARPI,
    U,
    guess_u_of_h,
    guess_u_of_m,
    scaled,
    settle,
)
from radioopt.numerics.jit import kernel, parallel_kernel, prange

# rows of the problem's per-device block and of its per-instance block
LOCAL, CYCLES, COEFFICIENT, MAX_FREQUENCY, MAX_POWER, CHANNEL, MAX_EXTRA = range(7)
NOISE, BANDWIDTH, PAYLOAD, DEADLINE, ROUNDS, ZETA, ERROR, ALPHA, BETA, GAMMA, EPOCHS = range(11)
# rows of the solution's blocks; the kernel leaves the residual where the gap will stand
EXTRA, FREQUENCY, SHARE, TRANSMIT = range(4)
OBJECTIVE, BOUND, RESIDUAL, NU, VARPI = range(5)
# relative rounding error allowed for in a bound
ROUNDING = 1e-15
# relative excess over the learning budget that is rounding
ENOUGH = 1e-12
# entries of the sums over devices
LEARNED, BAND, L_NU, L_VARPI, B_NU, B_VARPI, LAST = range(7)


@kernel
def prepare(device, instance, i, work, instance_out):
    """Fill the canonical form of instance ``i``: the devices' rows, and a, T, Y, B, beta.

    Returns whether the local samples alone meet the learning budget; nan where the instance is infeasible at a
    glance or float64 too narrow for it.
    """
    count = work.shape[1]
    a = instance[PAYLOAD, i] * math.log(2.0)
    latency, beta = instance[DEADLINE, i], instance[BETA, i]
    left = 1.0 + instance[GAMMA, i] + instance[ZETA, i] / instance[ROUNDS, i] * math.log(instance[ERROR, i])
    budget = count * left / instance[ALPHA, i]
    instance_out[0], instance_out[1], instance_out[2] = a, latency, budget
    instance_out[3], instance_out[4] = instance[BANDWIDTH, i], beta
    if not budget > 0.0:
        return math.nan
    learned = 0.0
    for k in range(count):
        cycles = instance[EPOCHS, i] * device[CYCLES, i, k]
        low = device[LOCAL, i, k]
        speed = device[MAX_FREQUENCY, i, k] / cycles
        gain = instance[NOISE, i] / device[CHANNEL, i, k]
        kappa = gain * a / device[MAX_POWER, i, k]
        longest = latency - low / speed
        log_a = math.log(device[COEFFICIENT, i, k]) + 3.0 * math.log(cycles)
        work[LOW, k] = low
        work[HIGH, k] = low + device[MAX_EXTRA, i, k]
        work[SPEED, k] = speed
        work[POWER, k] = device[MAX_POWER, i, k]
        work[GAIN, k] = gain
        work[KAPPA, k] = kappa
        work[LONGEST, k] = longest
        work[KINKED, k] = latency - work[HIGH, k] / speed
        work[LOG_2A, k] = log_a + math.log(2.0)
        work[LOG_WISH, k] = math.log(beta / 3.0) - log_a
        work[LOG_LOW, k] = math.log(low)
        work[LOG_HIGH, k] = math.log(work[HIGH, k])
        work[LOG_SPEED, k] = math.log(speed)
        learned += math.exp(-beta * work[LOG_LOW, k])
        if not (0.0 < kappa < longest < math.inf and abs(log_a) < 600.0 and learned < math.inf):
            return math.nan
    return 1.0 if learned <= budget * (1.0 + ENOUGH) else 0.0


@kernel
def first_prices(work, par):
    """Prices at which equal upload times of 0.4 T, unlimited, meet both budgets, roughly; and each device's u."""
    a, latency, budget, band, beta = par
    count = work.shape[1]
    t, s = 0.4 * latency, 0.6 * latency
    roots, learned, p = 0.0, 0.0, beta / (beta + 3.0)
    for k in range(count):
        roots += math.sqrt(work[GAIN, k])
        # a device that learns little at this price counts with what it has
        learned += math.exp(-p * work[LOG_WISH, k])
    log_nu = math.log(learned / budget) / p - 2.0 * math.log(s)
    u = a * count / (t * band)
    e = math.expm1(min(u, 600.0))
    gain = (roots / count) * (roots / count)
    return log_nu, math.log(gain * t * max(u * (e + 1.0) - e, 0.5 * u * u))


@kernel
def place(work, par, varpi):
    """Give each device the u that the price suggests."""
    for k in range(work.shape[1]):
        t = min(0.4 * par[1], work[LONGEST, k])
        u = guess_u_of_h(varpi / (work[GAIN, k] * t))
        ratio = t / work[KAPPA, k]
        most = guess_u_of_m(ratio) if ratio > 1.0 else 0.1
        work[BRANCH, k] = FULL if u > most else FREE
        work[U, k] = min(u, most)
        work[Z_NU, k], work[Z_VARPI, k] = 0.0, 0.0


@kernel
def sweep(work, par, log_nu, log_varpi, step_nu, step_varpi, tolerance, sums):
    """Move every device to the new prices and sum what they use, and how it changes with the prices."""
    a, latency, _, _, beta = par
    varpi = math.exp(log_varpi)
    learning, band, l_nu, l_varpi, b_nu, b_varpi, last = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(work.shape[1]):
        u = scaled(work[U, k], work[Z_NU, k] * step_nu + work[Z_VARPI, k] * step_varpi)
        u, dz, full, t, s, log_d, d_s, d_nu, z_nu, z_varpi, tau = settle(
            work, k, u, latency, a, log_nu, varpi, beta, tolerance
        )
        work[U, k] = scaled(u, dz)
        work[Z_NU, k], work[Z_VARPI, k] = z_nu, z_varpi
        t_nu, t_varpi = tau * z_nu, (0.0 if full else 1.0) + tau * z_varpi
        at_s = d_s * t / s
        learned = math.exp(-beta * log_d)
        b = a / (t * u)
        learning += learned * (1.0 + beta * at_s * tau * dz)
        band += b * (1.0 - (tau + 1.0) * dz)
        l_nu -= beta * learned * (d_nu - at_s * t_nu)
        l_varpi += beta * learned * at_s * t_varpi
        b_nu -= b * (t_nu + z_nu)
        b_varpi -= b * (t_varpi + z_varpi)
        last = max(last, abs(dz))
    sums[LEARNED], sums[BAND], sums[LAST] = learning, band, last
    sums[L_NU], sums[L_VARPI], sums[B_NU], sums[B_VARPI] = l_nu, l_varpi, b_nu, b_varpi


@kernel
def newton(work, par, log_nu, log_varpi, close, max_passes, sums):
    """Newton's method in (ln nu, ln varpi); return them, the passes, and whether both budgets are met.

    The step from where they are met to within ``close`` is the last: it squares the error.
    """
    learns = log_nu > -math.inf
    step_nu, step_varpi, before, stalled = 0.0, 0.0, math.inf, 0
    tolerance, passes = 0.03, 0
    while passes < max_passes:
        passes += 1
        sweep(work, par, log_nu, log_varpi, step_nu, step_varpi, tolerance, sums)
        g1 = math.log(sums[LEARNED] / par[2]) if learns else 0.0
        g2 = math.log(sums[BAND] / par[3])
        merit = max(abs(g1), abs(g2))
        if not merit < math.inf:
            return log_nu, log_varpi, passes, False
        stalled = stalled + 1 if merit > 0.5 * before else 0
        if stalled >= 4:
            return log_nu, log_varpi, passes, False
        before = merit
        j22 = sums[B_VARPI] / sums[BAND]
        if learns:
            j11, j12 = sums[L_NU] / sums[LEARNED], sums[L_VARPI] / sums[LEARNED]
            j21 = sums[B_NU] / sums[BAND]
            determinant = j11 * j22 - j12 * j21
            if not determinant > 1e-12 * abs(j11 * j22):
                return log_nu, log_varpi, passes, False
            step_nu = (j12 * g2 - j22 * g1) / determinant
            step_varpi = (j21 * g1 - j11 * g2) / determinant
        elif j22 < 0.0:
            step_varpi = -g2 / j22
        else:
            return log_nu, log_varpi, passes, False
        size = max(abs(step_nu), abs(step_varpi))
        if not size < math.inf:
            return log_nu, log_varpi, passes, False
        if size > 2.0:
            step_nu, step_varpi = 2.0 * step_nu / size, 2.0 * step_varpi / size
        log_nu += step_nu
        log_varpi += step_varpi
        if merit < close and sums[LAST] < 3.0 * close:
            return log_nu, log_varpi, passes, True
        tolerance = min(0.03, max(1e-6, 0.1 * merit))
    return log_nu, log_varpi, passes, False


@kernel
def conclude(work, par, log_nu, log_varpi, i, device, out_device, out_instance):
    """Write the allocation at these prices, its energy, the bound that they prove, and the worst residual."""
    a, latency, budget, band, beta = par
    nu, varpi = math.exp(log_nu), math.exp(log_varpi)
    count = work.shape[1]
    energy, rest, loss, learned_sum, band_sum, late = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(count):
        u, dz, full, t, s, log_d, _, _, _, _, tau = settle(
            work, k, work[U, k], latency, a, log_nu, varpi, beta, 1e-11
        )
        work[U, k] = u
        d = min(max(math.exp(log_d), work[LOW, k]), work[HIGH, k])
        b = a / (t * u)
        power = work[POWER, k] if full else min(work[GAIN, k] * b * math.expm1(u), work[POWER, k])
        out_device[EXTRA, i, k] = d - work[LOW, k]
        frequency = min(d / (work[SPEED, k] * s), 1.0) * device[MAX_FREQUENCY, i, k]
        out_device[FREQUENCY, i, k] = frequency
        out_device[SHARE, i, k] = b
        out_device[TRANSMIT, i, k] = power
        compute = 0.5 * math.exp(work[LOG_2A, k]) * d * (d / s) * (d / s)
        own = compute + power * t
        learned = math.exp(-beta * log_d)
        energy += own
        rest += nu * (learned - budget / count) + varpi * (b - band / count)
        loss += (
            ROUNDING * (own + nu * learned + varpi * b)
            + abs(tau * dz * dz) * (compute + power * t + varpi * b) * 10.0
        )
        learned_sum += learned
        band_sum += b
        late = max(late, s + t - latency)
    residual = max(max(learned_sum / budget, band_sum / band) - 1.0, late / latency)
    out_instance[OBJECTIVE, i] = energy
    out_instance[BOUND, i] = energy + rest - loss
    out_instance[RESIDUAL, i] = residual
    out_instance[NU, i] = nu
    out_instance[VARPI, i] = varpi


@kernel
def bracketed(x, g, slope, low, high, stride):
    """Next trial for a decreasing function with value g and this slope at x: Newton, bisection, or a stride."""
    if slope < 0.0:
        after = x - g / slope
        if low < after < high and abs(after - x) <= 8.0 * stride:
            return after
    if low > -math.inf and high < math.inf:
        return 0.5 * (low + high)
    return x + math.copysign(stride, g)


@kernel
def learning_price(work, par, log_nu, log_varpi, sums):
    """Solve G1 for ln nu at one price of bandwidth; nan if no price of learning is high enough."""
    low, high, stride = -math.inf, math.inf, 0.5
    for _ in range(200):
        sweep(work, par, log_nu, log_varpi, 0.0, 0.0, 1e-9, sums)
        g = math.log(sums[LEARNED] / par[2])
        if g > 0.0:
            low = log_nu
        else:
            high = log_nu
        after = bracketed(log_nu, g, sums[L_NU] / sums[LEARNED], low, high, stride)
        stride *= 2.0
        if abs(after) > 1200.0:
            return math.nan
        if abs(g) < 1e-15 or abs(after - log_nu) <= 2e-16 * abs(log_nu):
            break
        log_nu = after
    return log_nu


@kernel
def nested(work, par, log_nu, log_varpi, max_passes, sums):
    """Solve G2 for ln varpi with ln nu from G1 at every trial; return as :func:`newton`."""
    learns = log_nu > -math.inf
    low, high, stride, passes = -math.inf, math.inf, 0.5, 0
    place(work, par, math.exp(log_varpi))
    while passes < max_passes:
        passes += 1
        if learns:
            log_nu = learning_price(work, par, log_nu, log_varpi, sums)
            if math.isnan(log_nu):
                break
        else:
            sweep(work, par, log_nu, log_varpi, 0.0, 0.0, 1e-9, sums)
        g = math.log(sums[BAND] / par[3])
        slope = sums[B_VARPI] / sums[BAND]
        if learns and sums[L_NU] < 0.0:
            slope -= sums[B_NU] / sums[BAND] * (sums[L_VARPI] / sums[L_NU])
        if g > 0.0:
            low = log_varpi
        else:
            high = log_varpi
        after = bracketed(log_varpi, g, slope, low, high, stride)
        stride *= 2.0
        if not abs(after) < 600.0:
            break
        if abs(g) < 1e-15 or abs(after - log_varpi) <= 2e-16 * abs(log_varpi):
            return log_nu, log_varpi, passes, True
        log_varpi = after
    return log_nu, log_varpi, passes, False


@kernel
def solve_one(device, instance, i, work, start, max_passes, out_device, out_instance):
    """Solve instance ``i``; return the passes taken, negative if no answer was found.

    ``start`` holds prices (nu, varpi) to begin with, nan for none.
    """
    par_array, sums = np.empty(5), np.empty(7)
    enough = prepare(device, instance, i, work, par_array)
    par = (par_array[0], par_array[1], par_array[2], par_array[3], par_array[4])
    passes = 0
    if not math.isnan(enough):
        first_nu, first_varpi = first_prices(work, par)
        if start[0, i] > 0.0:
            first_nu = math.log(start[0, i])
        if start[1, i] > 0.0:
            first_varpi = math.log(start[1, i])
        if enough:
            first_nu = -math.inf
        place(work, par, math.exp(first_varpi))
        log_nu, log_varpi, met = first_nu, first_varpi, True
        for close in (1e-6, 1e-9):
            most = min(max_passes - passes, 40)
            log_nu, log_varpi, more, met = newton(work, par, log_nu, log_varpi, close, most, sums)
            passes += more
            if not met:
                break
            conclude(work, par, log_nu, log_varpi, i, device, out_device, out_instance)
            if closed(i, out_instance, 1e-12):
                break
            met = closed(i, out_instance, 1e-11)
        if not met and passes < max_passes:
            log_nu, log_varpi, more, met = nested(work, par, first_nu, first_varpi, max_passes - passes, sums)
            passes += more
            if met:
                conclude(work, par, log_nu, log_varpi, i, device, out_device, out_instance)
        if met:
            return passes
    for k in range(work.shape[1]):
        for row in range(4):
            out_device[row, i, k] = math.nan
    for row in range(5):
        out_instance[row, i] = math.nan
    return -1 - passes


@kernel
def closed(i, out_instance, tolerance):
    """Tell whether an answer needs no second try."""
    gap = abs(1.0 - out_instance[BOUND, i] / out_instance[OBJECTIVE, i])
    return gap < tolerance and out_instance[RESIDUAL, i] < tolerance


@kernel
def solve_single(device, instance, nu, varpi, max_passes):
    """Solve one instance from blocks without a batch axis; return the solution's blocks, bare."""
    count = device.shape[1]
    out_device, out_instance = np.empty((4, 1, count)), np.empty((5, 1))
    out_counts, start = np.zeros((2, 1), np.int64), np.empty((2, 1))
    start[0, 0], start[1, 0] = nu, varpi
    out_counts[0, 0] = solve_one(
        device.reshape(device.shape[0], 1, count),
        instance.reshape(instance.shape[0], 1),
        0,
        np.empty((ROWS, count)),
        start,
        max_passes,
        out_device,
        out_instance,
    )
    return out_device[:, 0], out_instance[:, 0], out_counts[:, 0]


@kernel
def solve_serial(device, instance, start, max_passes, out_device, out_instance, out_passes):
    """Solve every instance, one after the other."""
    work = np.empty((ROWS, device.shape[2]))
    for i in range(instance.shape[1]):
        out_passes[i] = solve_one(device, instance, i, work, start, max_passes, out_device, out_instance)


@parallel_kernel
def solve_parallel(device, instance, start, max_passes, out_device, out_instance, out_passes):
    """Solve every instance, on all threads; to the same bits."""
    for i in prange(instance.shape[1]):
        work = np.empty((ROWS, device.shape[2]))
        out_passes[i] = solve_one(device, instance, i, work, start, max_passes, out_device, out_instance)
