"""The fallback of FIMI's Newton method: nested bracketed searches for the two prices, device by device.

For any price of bandwidth the sum of D^-beta falls with the price of learning, and at the price of learning that meets
its budget the bandwidth used falls with the price of bandwidth: two bracketed searches, one in the other, cannot fail
where there is a solution. They take hundreds of passes.
"""

import math

from radioopt.fimi.kernel_device import (
    BRANCH,
    FREE,
    FULL,
    GAIN,
    KAPPA,
    LONGEST,
    U,
    guess_u_of_h,
    guess_u_of_m,
    scaled,
    settle,
)
from radioopt.fimi.kernel_vector import (
    AT_POWER,
    B_NU,
    B_VARPI,
    BAND,
    L_NU,
    L_VARPI,
    LEARNED,
    Z_NU,
    Z_VARPI,
    canonical,
)
from radioopt.fimi.kernel_vector import U as ROOT
from radioopt.numerics.jit import kernel


@kernel
def prepare(device, i, par, work):
    """Fill the devices' rows of the work array."""
    for k in range(work.shape[1]):
        canonical(device, i, k, par, work, k)


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


@kernel
def sweep(work, par, log_nu, log_varpi, sums):
    """Settle every device at given prices and sum what they use, and how it changes with the prices."""
    a, latency, beta = par[0], par[1], par[4]
    varpi = math.exp(log_varpi)
    learning, band, l_nu, l_varpi, b_nu, b_varpi = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(work.shape[1]):
        u, dz, full, t, s, log_d, d_s, d_nu, z_nu, z_varpi, tau = settle(
            work, k, work[U, k], latency, a, log_nu, varpi, beta, 1e-9
        )
        work[U, k] = scaled(u, dz)
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
    sums[LEARNED], sums[BAND] = learning, band
    sums[L_NU], sums[L_VARPI], sums[B_NU], sums[B_VARPI] = l_nu, l_varpi, b_nu, b_varpi


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
        sweep(work, par, log_nu, log_varpi, sums)
        if not 0.0 < sums[LEARNED] < math.inf:
            return math.nan
        g = math.log(sums[LEARNED] / par[2])
        if g > 0.0:
            low = log_nu
        else:
            high = log_nu
        after = bracketed(log_nu, g, sums[L_NU] / sums[LEARNED], low, high, stride)
        stride *= 2.0
        if abs(after) > 690.0:
            return math.nan
        if abs(g) < 1e-15 or abs(after - log_nu) <= 2e-16 * abs(log_nu):
            break
        log_nu = after
    return log_nu


@kernel
def nested(work, par, log_nu, log_varpi, max_passes, sums):
    """Solve G2 for ln varpi with ln nu from G1 at every trial; return both, the trials and whether it went well."""
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
            sweep(work, par, log_nu, log_varpi, sums)
        if not 0.0 < sums[BAND] < math.inf:
            break
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
def remember(work, state):
    """Hand the roots and branches found over to the vector kernel."""
    for k in range(work.shape[1]):
        state[ROOT, k], state[Z_NU, k], state[Z_VARPI, k] = work[U, k], 0.0, 0.0
        state[AT_POWER, k] = work[BRANCH, k] % 2
