"""A pass of FIMI's Newton method over many devices at once, in vector instructions.

Blocks of 256 devices are moved to new prices together: their roots in ln u follow the tangent and are corrected by
Newton steps, a branch FREE or FULL chosen per lane (see :mod:`radioopt.fimi.kernel_device`, whose names these are). The
few devices that stop at an edge or a kink, or that do not settle, are left to its scalar code, one by one.

A scratch array holds the rows of a block at fixed offsets, so that the compiler knows them apart; sums over blocks
are added in order, so threads change no digit.
"""

import math

from radioopt.fimi import kernel_device as one
from radioopt.fimi.kernel_device import FREE, FULL, settle
from radioopt.numerics.jit import kernel, vector_kernel
from radioopt.numerics.vmath import fast_exp, fast_log

BLOCK = 256
# rows of the problem's per-device block
LOCAL, CYCLES, COEFFICIENT, MAX_FREQUENCY, MAX_POWER, CHANNEL, MAX_EXTRA = range(7)
# rows of the solution's blocks; the kernel leaves the residual where the gap will stand
EXTRA, FREQUENCY, SHARE, TRANSMIT = range(4)
OBJECTIVE, BOUND, RESIDUAL, NU, VARPI = range(5)
# relative rounding error allowed for in a bound
ROUNDING = 1e-15
# what a speed, power, noise, time etc. may be, for products and quotients of several to fit into float64
SMALL, LARGE = 1e-30, 1e30
# rows of what a device remembers from one pass to the next: a root, dz/dln nu, dz/dln varpi, FULL or FREE
U, Z_NU, Z_VARPI, AT_POWER = range(4)
# offsets of the rows of the scratch array
_A, _F, _LOW, _HIGH, _POWER, _GAIN = range(0, 6 * BLOCK, BLOCK)
_U, _Z_NU, _Z_VARPI, _FULL = range(6 * BLOCK, 10 * BLOCK, BLOCK)
_E, _H, _T, _S, _OVER, _D, _LEARNED, _PULL = range(10 * BLOCK, 18 * BLOCK, BLOCK)
_C, _K, _D_S, _D_NU, _DZ, _TAU, _LEAVES, _LEFT = range(18 * BLOCK, 26 * BLOCK, BLOCK)
SCRATCH = 26 * BLOCK
# entries of the sums
LEARNED, BAND, L_NU, L_VARPI, B_NU, B_VARPI, LAST = range(7)
# entries of the sums of the last pass
ENERGY, REST, LOSS, LEARNED_SUM, BAND_SUM, LATE = range(6)
SUMS = 7


@kernel
def load(device, i, k0, n, par, w):
    """Bring the devices from ``k0`` on into the scratch array; return the lanes used, a multiple of eight."""
    noise, epochs = par[5], par[6]
    lanes = min(-(-n // 8) * 8, BLOCK)
    for k in range(lanes):
        d = k0 + min(k, n - 1)
        cycles = max(epochs * device[CYCLES, i, d], SMALL * SMALL)  # an underflow is for the survey to tell
        low = device[LOCAL, i, d]
        w[k + _A] = device[COEFFICIENT, i, d] * cycles * cycles * cycles
        w[k + _F] = device[MAX_FREQUENCY, i, d] / cycles
        w[k + _LOW] = low
        w[k + _HIGH] = low + device[MAX_EXTRA, i, d]
        w[k + _POWER] = device[MAX_POWER, i, d]
        w[k + _GAIN] = noise / device[CHANNEL, i, d]
    return lanes


@vector_kernel
def place(w, lanes, par, varpi, share):
    """Give each device the u that the price suggests if its upload takes this share of the round."""
    a, latency = par[0], par[1]
    for k in range(lanes):
        t = share * latency
        longest = latency - w[k + _LOW] / w[k + _F]
        t = t if t < longest else longest
        h = varpi / (w[k + _GAIN] * t)
        y = math.sqrt(2.0 * h) + h / 3.0
        u = fast_log(1.0 + y)
        u = u if y > 1e-3 else y
        m = t * w[k + _POWER] / (w[k + _GAIN] * a)
        m = m if m > 1.01 else 1.01
        most = fast_log(2.0 * m - 1.0) + 0.5 * fast_log(m)
        w[k + _U] = u if u < most else most
        w[k + _FULL] = 0.0 if u < most else 1.0
        w[k + _Z_NU] = 0.0
        w[k + _Z_VARPI] = 0.0


@vector_kernel
def predict(w, lanes, step_nu, step_varpi):
    """Follow the tangents to the new prices."""
    for k in range(lanes):
        dz = w[k + _Z_NU] * step_nu + w[k + _Z_VARPI] * step_varpi
        dz = dz if dz < 0.5 else 0.5
        dz = dz if dz > -0.5 else -0.5
        w[k + _U] = w[k + _U] * (1.0 + dz * (1.0 + dz * (0.5 + dz / 6.0)))


@vector_kernel
def share_round(w, lanes, par, varpi):
    """Split the round at every lane's u: e = e^u - 1, h(u), the upload time t and what s it leaves."""
    a, latency = par[0], par[1]
    for k in range(lanes):
        u = w[k + _U]
        u = u if u < 650.0 else 650.0
        small = u < 0.2
        x = fast_exp(u)
        p = 1.0 / 3991680.0 + u * (1.0 / 43545600.0)
        p = 1.0 / 45360.0 + u * (1.0 / 403200.0 + u * p)
        p = 1.0 / 840.0 + u * (1.0 / 5760.0 + u * p)
        p = 1.0 / 30.0 + u * (1.0 / 144.0 + u * p)
        series = u * u * (0.5 + u * (1.0 / 3.0 + u * (0.125 + u * p)))
        h = series if small else u * x - (x - 1.0)
        # e^u - 1 = (u - h)/(1 - u), which does not cancel where u is small
        e = (u - series) / (1.0 - u if small else 1.0)
        e = e if small else x - 1.0
        gain = w[k + _GAIN]
        full = w[k + _FULL] > 0.5
        t = (gain * a * e if full else varpi) / (w[k + _POWER] * u if full else gain * h)
        shortest = w[k + _LOW] / w[k + _F]
        longest = latency - shortest
        over = t >= longest
        w[k + _U], w[k + _E], w[k + _H] = u, e, h
        w[k + _OVER] = 1.0 if over else 0.0
        w[k + _T] = longest if over else t
        w[k + _S] = shortest if over else latency - t


@vector_kernel
def train(w, lanes, par, nu):
    """Choose the samples worth training on in s, and what a second more of it is worth."""
    beta = par[4]
    each = 1.0 / (beta + 3.0)
    for k in range(lanes):
        s, low, high, top = w[k + _S], w[k + _LOW], w[k + _HIGH], w[k + _A]
        wish = fast_exp(each * fast_log(nu * beta * s * s / (3.0 * top)))
        fastest = w[k + _F] * s
        limited = (wish >= fastest) & (fastest < high)
        d = wish if wish > low else low
        d = d if d < high else high
        d = d if d < fastest else fastest
        free = d == wish
        learned = fast_exp(-beta * fast_log(d))
        f = w[k + _F]
        x = nu * beta * f * learned / d
        rate = d / s
        pull = x - top * f * f * f if limited else 2.0 * top * rate * rate * rate
        share = x / pull
        w[k + _D], w[k + _LEARNED], w[k + _PULL] = d, learned, pull
        w[k + _C] = (beta + 1.0) * share if limited else (3.0 * (beta + 1.0) * each if free else 3.0)
        w[k + _K] = share if limited else (3.0 * each if free else 0.0)
        w[k + _D_S] = 1.0 if limited else (2.0 * each if free else 0.0)
        w[k + _D_NU] = 0.0 if limited else (each if free else 0.0)


@vector_kernel
def balance(w, lanes, par, varpi):
    """Take the Newton step for -C' = -U', its dependence on the prices, and whether a lane leaves its branch."""
    a = par[0]
    for k in range(lanes):
        u, e, h, t, s, pull = w[k + _U], w[k + _E], w[k + _H], w[k + _T], w[k + _S], w[k + _PULL]
        full = w[k + _FULL] > 0.5
        power, gain = w[k + _POWER], w[k + _GAIN]
        both = pull + power
        g = fast_log((both * h if full else pull * u) * t / varpi * (t / a))
        g = g - u if full else g
        mu = u * u * (e + 1.0) / h
        q = h / e
        r = pull / both if full else 1.0
        tau = q if full else -mu
        along = w[k + _C] * t / s
        slope = -(r * along * q + 2.0 * q + u * e / h) if full else along * mu + 2.0 * mu - 1.0
        inverse = 1.0 / slope
        dz = g * inverse
        excess = (gain * h * t if full else gain * a * e) / (varpi if full else power * u * t)
        w[k + _DZ] = dz
        w[k + _Z_NU] = r * w[k + _K] * inverse
        w[k + _Z_VARPI] = (-1.0 if full else along + 1.0) * inverse
        w[k + _TAU] = tau
        w[k + _LEAVES] = 1.0 if excess * (1.0 + (q + mu) * dz) > 1.0 + 1e-13 else 0.0


@kernel
def evaluate(w, lanes, par, nu, varpi):
    """Evaluate every lane at its u: split of the round, samples, Newton step, and how all change with the prices."""
    share_round(w, lanes, par, varpi)
    train(w, lanes, par, nu)
    balance(w, lanes, par, varpi)


@vector_kernel
def unsettled(w, lanes, latency, tolerance):
    """Mark the lanes that have not settled; return how many might with more steps, and how many have not."""
    moving, left = 0.0, 0.0
    for k in range(lanes):
        dz = abs(w[k + _DZ])
        stops = (w[k + _OVER] > 0.5) | (
            (w[k + _D] >= w[k + _HIGH]) & (w[k + _D] >= 0.999999 * w[k + _F] * w[k + _S])
        )
        # nan, too, is not below the tolerance
        settled = (dz <= tolerance) & (w[k + _LEAVES] < 0.5) & (not stops)
        w[k + _LEFT] = 0.0 if settled else 1.0
        left += 0.0 if settled else 1.0
        moving += 0.0 if settled | stops else 1.0
    return moving, left


@vector_kernel
def step(w, lanes):
    """Take the Newton steps, at most a half each; a lane that leaves its branch keeps its u."""
    for k in range(lanes):
        dz = w[k + _DZ]
        leaves = w[k + _LEAVES] > 0.5
        dz = dz if dz < 0.5 else 0.5
        dz = dz if dz > -0.5 else -0.5
        dz = 0.0 if leaves else dz
        w[k + _U] = w[k + _U] * (1.0 + dz * (1.0 + dz * (0.5 + dz / 6.0)))
        w[k + _FULL] = 1.0 - w[k + _FULL] if leaves else w[k + _FULL]


@kernel
def canonical(device, i, k, par, work, j):
    """Fill column ``j`` of a scalar kernel's work array with device ``k``."""
    a, latency, beta, noise, epochs = par[0], par[1], par[4], par[5], par[6]
    cycles = epochs * device[CYCLES, i, k]
    low = device[LOCAL, i, k]
    speed = device[MAX_FREQUENCY, i, k] / cycles
    gain = noise / device[CHANNEL, i, k]
    high = low + device[MAX_EXTRA, i, k]
    log_a = math.log(device[COEFFICIENT, i, k]) + 3.0 * math.log(cycles)
    work[one.LOW, j] = low
    work[one.HIGH, j] = high
    work[one.SPEED, j] = speed
    work[one.POWER, j] = device[MAX_POWER, i, k]
    work[one.GAIN, j] = gain
    work[one.KAPPA, j] = gain * a / device[MAX_POWER, i, k]
    work[one.LONGEST, j] = latency - low / speed
    work[one.KINKED, j] = latency - high / speed
    work[one.LOG_2A, j] = log_a + math.log(2.0)
    work[one.LOG_WISH, j] = math.log(beta / 3.0) - log_a
    work[one.LOG_LOW, j] = math.log(low)
    work[one.LOG_HIGH, j] = math.log(high)
    work[one.LOG_SPEED, j] = math.log(speed)


@kernel
def settle_one(w, k, par, log_nu, varpi, tolerance, work):
    """Settle one lane with scalar code, from ``work`` with its parameters."""
    a, latency, beta = par[0], par[1], par[4]
    work[one.BRANCH, 0] = FULL if w[k + _FULL] > 0.5 else FREE
    u = w[k + _U]
    u = min(max(u, 1e-9), 600.0) if u > 0.0 else 1.0
    u, dz, full, t, s, log_d, d_s, d_nu, z_nu, z_varpi, tau = settle(
        work, 0, u, latency, a, log_nu, varpi, beta, tolerance
    )
    w[k + _U], w[k + _E], w[k + _DZ], w[k + _FULL] = u, math.expm1(u), dz, 1.0 if full else 0.0
    w[k + _T], w[k + _S], w[k + _D] = t, s, min(max(math.exp(log_d), w[k + _LOW]), w[k + _HIGH])
    w[k + _LEARNED], w[k + _D_S], w[k + _D_NU] = math.exp(-beta * log_d), d_s, d_nu
    w[k + _Z_NU], w[k + _Z_VARPI], w[k + _TAU] = z_nu, z_varpi, tau


@kernel
def settle_block(device, i, k0, n, lanes, par, log_nu, varpi, tolerance, w, work):
    """Settle all lanes at given prices, together as far as that goes."""
    nu = math.exp(max(log_nu, -690.0))
    left = 0.0
    for _ in range(8):
        evaluate(w, lanes, par, nu, varpi)
        moving, left = unsettled(w, lanes, par[1], tolerance)
        if not moving > lanes / 64:
            break
        step(w, lanes)
    if left > 0.0:
        for k in range(n):
            if w[k + _LEFT] > 0.5:
                canonical(device, i, k0 + k, par, work, 0)
                settle_one(w, k, par, log_nu, varpi, tolerance, work)


@vector_kernel
def add_up(w, n, par, sums):
    """Add what the lanes use, to first order in the Newton steps left, and how it changes with the prices."""
    a, beta = par[0], par[4]
    learning, band, l_nu, l_varpi, b_nu, b_varpi, last = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        dz, tau, z_nu, z_varpi = w[k + _DZ], w[k + _TAU], w[k + _Z_NU], w[k + _Z_VARPI]
        t, learned = w[k + _T], w[k + _LEARNED]
        t_nu = tau * z_nu
        t_varpi = (0.0 if w[k + _FULL] > 0.5 else 1.0) + tau * z_varpi
        at_s = w[k + _D_S] * t / w[k + _S]
        b = a / (t * w[k + _U])
        weight = beta * learned
        learning += learned + weight * at_s * tau * dz
        band += b * (1.0 - (tau + 1.0) * dz)
        l_nu += weight * (at_s * t_nu - w[k + _D_NU])
        l_varpi += weight * at_s * t_varpi
        b_nu -= b * (t_nu + z_nu)
        b_varpi -= b * (t_varpi + z_varpi)
        last += dz * dz
    sums[LEARNED] += learning
    sums[BAND] += band
    sums[L_NU] += l_nu
    sums[L_VARPI] += l_varpi
    sums[B_NU] += b_nu
    sums[B_VARPI] += b_varpi
    sums[LAST] += last


@kernel
def move(state, k0, n, lanes, w):
    """Bring what the devices remember into the scratch array."""
    for k in range(lanes):
        d = k0 + min(k, n - 1)
        w[k + _U], w[k + _Z_NU] = state[U, d], state[Z_NU, d]
        w[k + _Z_VARPI], w[k + _FULL] = state[Z_VARPI, d], state[AT_POWER, d]


@kernel
def keep(state, k0, n, w):
    """Remember the roots, corrected by the steps that are left."""
    for k in range(n):
        dz = min(max(w[k + _DZ], -0.5), 0.5)
        state[U, k0 + k] = w[k + _U] * (1.0 + dz * (1.0 + 0.5 * dz))
        state[Z_NU, k0 + k], state[Z_VARPI, k0 + k] = w[k + _Z_NU], w[k + _Z_VARPI]
        state[AT_POWER, k0 + k] = w[k + _FULL]


@kernel
def sweep(device, i, lo, hi, par, prices, tolerance, state, w, work, sums):
    """Move the devices from ``lo`` to ``hi`` to new prices and add up what they use.

    ``prices`` are ln nu, ln varpi and the steps that led there. To start from nothing the first step is nan, and
    the second the share of the round that uploads may take.
    """
    log_nu, log_varpi, step_nu, step_varpi = prices
    varpi = math.exp(log_varpi)
    for row in range(SUMS):
        sums[row] = 0.0
    for k0 in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - k0)
        lanes = load(device, i, k0, n, par, w)
        if math.isnan(step_nu):
            place(w, lanes, par, varpi, step_varpi)
        else:
            move(state, k0, n, lanes, w)
            predict(w, lanes, step_nu, step_varpi)
        settle_block(device, i, k0, n, lanes, par, log_nu, varpi, tolerance, w, work)
        add_up(w, n, par, sums)
        keep(state, k0, n, w)


@vector_kernel
def survey_lanes(w, n, par, sums):
    """Add up what the first prices are taken from, and what tells whether float64 and the time suffice."""
    a, latency, beta = par[0], par[1], par[4]
    p = beta / (beta + 3.0)
    learned, weights, roots, wrong = 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        scale = w[k + _A]
        learned += fast_exp(-beta * fast_log(w[k + _LOW]))
        weights += fast_exp(p * fast_log(3.0 * scale / beta))
        roots += math.sqrt(w[k + _GAIN])
        kappa = w[k + _GAIN] * a / w[k + _POWER]
        longest = latency - w[k + _LOW] / w[k + _F]
        speed, low, power, gain = w[k + _F], w[k + _LOW], w[k + _POWER], w[k + _GAIN]
        least, most = (speed if speed < low else low), (speed if speed > low else low)
        least, most = (power if power < least else least), (power if power > most else most)
        least, most = (gain if gain < least else least), (gain if gain > most else most)
        within = (least > SMALL) & (most < LARGE) & (scale > 1e-200) & (scale < 1e200)
        fine = (kappa < longest) & within
        wrong += 0.0 if fine else 1.0
    sums[0] += learned
    sums[1] += weights
    sums[2] += roots
    sums[3] += wrong


@kernel
def survey(device, i, lo, hi, par, w, sums):
    """Survey the devices from ``lo`` to ``hi``: sums of D_loc^-beta, (3A/beta)^p and sqrt(k), and what is wrong."""
    for row in range(SUMS):
        sums[row] = 0.0
    for k0 in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - k0)
        load(device, i, k0, n, par, w)
        survey_lanes(w, n, par, sums)


@vector_kernel
def write(w, n, par, nu, varpi, count, sums):
    """Write samples, share of f_max, bandwidth and power, and add up energy, bound and residuals."""
    a, latency, budget, band, beta = par[0], par[1], par[2], par[3], par[4]
    energy, rest, loss, learned_sum, band_sum, late = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        t, s, d, dz = w[k + _T], w[k + _S], w[k + _D], w[k + _DZ]
        b = a / (t * w[k + _U])
        power = w[k + _GAIN] * b * w[k + _E]
        limit = w[k + _POWER]
        power = limit if (w[k + _FULL] > 0.5) | (power > limit) else power
        rate = d / s
        share = rate / w[k + _F]
        w[k + _C] = d - w[k + _LOW]
        w[k + _K] = share if share < 1.0 else 1.0
        w[k + _D_S] = b
        w[k + _D_NU] = power
        compute, upload = w[k + _A] * d * rate * rate, power * t
        learned = w[k + _LEARNED]
        energy += compute + upload
        rest += nu * (learned - budget / count) + varpi * (b - band / count)
        loss += ROUNDING * (compute + upload + nu * learned + varpi * b)
        loss += 10.0 * abs(w[k + _TAU]) * dz * dz * (compute + upload + varpi * b)
        # s = T - t where computing takes hardly any of the round: its rounding, and the step that is left in it, may
        # be as large as s itself, when all of computing might be saved
        rounded, left = ROUNDING * latency / s, abs(w[k + _TAU]) * abs(dz) * t / s
        saved = rounded * (2.0 * compute + beta * nu * learned) + 10.0 * left * left * (
            compute + nu * learned
        )
        loss += saved if (rounded < 0.1) & (left < 0.1) else compute + nu * learned
        learned_sum += learned
        band_sum += b
        over = s + t - latency
        over = over if over > 0.0 else 0.0
        late += over * over
    sums[ENERGY] += energy
    sums[REST] += rest
    sums[LOSS] += loss
    sums[LEARNED_SUM] += learned_sum
    sums[BAND_SUM] += band_sum
    sums[LATE] += late


@kernel
def allocate(device, i, lo, hi, count, par, prices, state, w, work, out_device, sums):
    """Write the allocation of the devices from ``lo`` to ``hi`` at given prices, and add up its certificate."""
    log_nu, log_varpi, step_nu, step_varpi = prices
    nu, varpi = math.exp(log_nu), math.exp(log_varpi)
    for row in range(SUMS):
        sums[row] = 0.0
    for k0 in range(lo, hi, BLOCK):
        n = min(BLOCK, hi - k0)
        lanes = load(device, i, k0, n, par, w)
        move(state, k0, n, lanes, w)
        predict(w, lanes, step_nu, step_varpi)
        settle_block(device, i, k0, n, lanes, par, log_nu, varpi, 1e-10, w, work)
        keep(state, k0, n, w)
        write(w, n, par, nu, varpi, count, sums)
        for k in range(n):
            out_device[EXTRA, i, k0 + k] = w[k + _C]
            out_device[FREQUENCY, i, k0 + k] = w[k + _K] * device[MAX_FREQUENCY, i, k0 + k]
            out_device[SHARE, i, k0 + k] = w[k + _D_S]
            out_device[TRANSMIT, i, k0 + k] = w[k + _D_NU]


@kernel
def conclude(i, par, prices, sums, out_instance):
    """Turn the sums of the allocation into objective, bound and residual."""
    out_instance[OBJECTIVE, i] = sums[ENERGY]
    out_instance[BOUND, i] = sums[ENERGY] + sums[REST] - sums[LOSS]
    missed = max(sums[LEARNED_SUM] / par[2], sums[BAND_SUM] / par[3]) - 1.0
    out_instance[RESIDUAL, i] = max(missed, math.sqrt(sums[LATE]) / par[1])
    out_instance[NU, i], out_instance[VARPI, i] = math.exp(prices[0]), math.exp(prices[1])
