"""FIMI by the paper's own method: Algorithms 1 and 2 inside the cross-entropy search of Algorithm 3, as bare loops.

A vector eta of time splits, s = eta T to compute and t = T - s to upload, decides everything else: Algorithm 1
finds the price of learning and with it the samples, Algorithm 2 the price of bandwidth and the shares of the band.
Around them eta is drawn M times from a normal distribution, which is moved to the K best draws, J times.

What is corrected in the paper (P. Li et al., "Filling the Missing"):

- Theorem 1 (25), (28), (29): delta + gamma stands where delta is printed, delta* = [(3 rho/(beta nu))^(beta/(beta+3))
  - gamma]. Here the samples are the variable, D = [(nu beta s^2/(3 A))^(1/(beta+3))], where both drop out.
- Lemma 1: with errors that are small enough without synthetic data there is none to find nu for; D = D_loc.
- (31): W is the branch -1 and the sign of the denominator is negative; it needs kappa < t.
- (40): the least price is min -Q_i(B), the largest max -Q_i(b_min).
- Algorithm 2 lowers b_min for good in its inner search; here every search starts from the same one, and all
  tolerances are relative. Its inner search has the closed form b = a/(t u), u = 1 + W0((varpi/(k t) - 1)/e).
- (41): mean and standard deviation of the K best draws, not of the parameters they were drawn with; (42): smoothed
  with the previous ones. Draws are from the normal distribution within [eta_min, eta_max].
- (17), (18) are necessary and not sufficient: draws that break the learning or the bandwidth limit are repeated.
- The best draw is returned, not the mean, which need not be feasible.
"""

import math

import numpy as np

from radioopt.numerics.jit import kernel
from radioopt.numerics.lambertw import one_plus_w0_scalar, one_plus_wm1_scalar

# rows of the devices' block, and of the scratch
A, GAIN, SPEED, LOW, HIGH, KAPPA, ETA_MIN, ETA_MAX = range(8)
WISH, LEAST, MOST, B_MIN, S, T = range(6)  # c^-beta, the limits of D^-beta, and what the time split decides
SCRATCH = 6
#: what a sum may exceed its limit by
ROUNDING = 1e-12


@kernel
def h(u):
    """U e^u - e^u + 1, by its series where that cancels."""
    if u > 0.2:
        return u * math.exp(u) - math.expm1(u)
    term, total = 0.5 * u * u, 0.0
    for j in range(3, 16):
        total += term * (j - 2.0)
        term *= u / j
    return total


@kernel
def narrowest(a, kappa, t):
    """Least bandwidth to upload in t seconds at the largest power, the paper's (31); inf if there is none."""
    c = kappa / t
    if not c < 1.0:
        return math.inf
    rate = t * ((1.0 - c) - one_plus_wm1_scalar(h(1.0 - c)))
    return a / rate if rate > 0.0 else math.inf


@kernel
def share_bisected(price, a, narrow, band, tolerance):
    """Bandwidth with h(a/(b t)) = varpi/(k t) = price, a here over t, by the paper's inner search."""
    low, high = narrow, band
    while high - low > tolerance * high:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        if h(a / middle) < price:
            high = middle
        else:
            low = middle
    return high


@kernel
def share(work, device, i, varpi, a, band, bisect, tolerance):
    """Bandwidth of device i at the price varpi: Theorem 2 (33)."""
    t = work[T, i]
    price = varpi / (device[GAIN, i] * t)
    if bisect:
        return share_bisected(price, a / t, work[B_MIN, i], band, tolerance)
    return max(work[B_MIN, i], a / (t * one_plus_w0_scalar(price)))


@kernel
def search_samples(device, beta, budget, tolerance, work, samples):
    """Algorithm 1: the samples of every device for the times in work; whether the learning budget can be met.

    D^-beta = [v c^-beta] with v = nu^(-beta/(beta+3)): bisected is v, and in the search nothing is raised to a power.
    """
    count = device.shape[1]
    least, most = 0.0, 0.0
    low, high = math.inf, 0.0  # of v
    for i in range(count):
        top = min(device[HIGH, i], max(device[SPEED, i] * work[S, i], device[LOW, i]))
        wish = (beta * work[S, i] ** 2 / (3.0 * device[A, i])) ** (1.0 / (beta + 3.0))
        work[WISH, i] = wish**-beta
        if not 0.0 < work[WISH, i] < math.inf:
            return False
        work[MOST, i] = device[LOW, i] ** -beta
        work[LEAST, i] = top**-beta
        least += work[LEAST, i]
        most += work[MOST, i]
        low = min(low, work[LEAST, i] / work[WISH, i])
        high = max(high, work[MOST, i] / work[WISH, i])
    if not least <= budget * (1.0 + ROUNDING):
        return False
    if most <= budget:
        for i in range(count):
            samples[i] = device[LOW, i]
        return True
    while high - low > tolerance * high:
        v = math.sqrt(low) * math.sqrt(high)
        if not low < v < high:
            break
        total = 0.0
        for i in range(count):
            total += min(max(v * work[WISH, i], work[LEAST, i]), work[MOST, i])
        if total > budget:
            high = v
        else:
            low = v
    for i in range(count):
        samples[i] = min(max(low * work[WISH, i], work[LEAST, i]), work[MOST, i]) ** (-1.0 / beta)
    return True


@kernel
def search_bandwidth(device, a, band, bisect, tolerance, work, shares):
    """Algorithm 2: the bandwidth of every device for the times in work; whether the band suffices."""
    count = device.shape[1]
    needed = 0.0
    low, high = math.inf, 0.0
    for i in range(count):
        work[B_MIN, i] = narrowest(a, device[KAPPA, i], work[T, i])
        needed += work[B_MIN, i]
        if not (needed <= band and work[B_MIN, i] > 0.0):
            return False
        gain = device[GAIN, i] * work[T, i]
        low = min(low, gain * h(a / (work[T, i] * band)))
        high = max(high, gain * h(a / (work[T, i] * work[B_MIN, i])))
    while high - low > tolerance * high:
        varpi = math.sqrt(low) * math.sqrt(high)
        if not low < varpi < high:
            break
        total = 0.0
        for i in range(count):
            total += share(work, device, i, varpi, a, band, bisect, tolerance)
        if total > band:
            low = varpi
        else:
            high = varpi
    for i in range(count):
        shares[i] = share(work, device, i, high, a, band, bisect, tolerance)
    return True


@kernel
def energy_of(device, scalars, eta, bisect, tolerance, work, samples, shares):
    """Least energy of a round with these time splits; infinite if there is no feasible one."""
    a, latency, budget, band, beta = scalars
    for i in range(eta.size):
        work[S, i] = eta[i] * latency
        work[T, i] = latency - work[S, i]
        if not (work[S, i] > 0.0 and work[T, i] > 0.0):
            return math.inf
    if not search_samples(device, beta, budget, tolerance, work, samples):
        return math.inf
    if not search_bandwidth(device, a, band, bisect, tolerance, work, shares):
        return math.inf
    energy = 0.0
    for i in range(eta.size):
        u = a / (shares[i] * work[T, i])
        energy += device[A, i] * samples[i] ** 3 / work[S, i] ** 2 + device[GAIN, i] * a * math.expm1(u) / u
    return energy


@kernel
def draw(generator, mean, deviation, low, high):
    """Draw a normal number within [low, high], by rejection from whichever of the two densities is narrower."""
    if high - low < 2.5 * deviation:
        while True:
            x = low + (high - low) * generator.random()
            if generator.random() <= math.exp(-0.5 * ((x - mean) / deviation) ** 2):
                return x
    while True:
        x = mean + deviation * generator.standard_normal()
        if low <= x <= high:
            return x


@kernel
def search(
    generator,
    device,
    scalars,
    rounds,
    draws,
    elite,
    smoothing,
    stop,
    most_draws,
    bisect,
    tolerance,
    out_eta,
    out_samples,
    out_shares,
):
    """Algorithm 3; writes the best draw and returns its energy, infinite if none was feasible, and the draws made."""
    count = device.shape[1]
    work = np.empty((SCRATCH, count))
    eta, energy = np.empty((draws, count)), np.empty(draws)
    mean, deviation = np.empty(count), np.ones(count)
    for i in range(count):
        mean[i] = min(max(0.5, device[ETA_MIN, i]), device[ETA_MAX, i])
    best, made = math.inf, 0
    for _ in range(rounds):
        found, limit = 0, made + most_draws
        while found < draws and made < limit:
            for i in range(count):
                eta[found, i] = draw(generator, mean[i], deviation[i], device[ETA_MIN, i], device[ETA_MAX, i])
            energy[found] = energy_of(
                device, scalars, eta[found], bisect, tolerance, work, out_samples, out_shares
            )
            made += 1
            if energy[found] < best:
                best = energy[found]
                out_eta[:] = eta[found]
            if energy[found] < math.inf:
                found += 1
        if found == 0:
            break
        order = np.argsort(energy[:found])[: min(elite, found)]
        widest = 0.0
        for i in range(count):
            chosen = eta[order, i]
            mean[i] = smoothing * mean[i] + (1.0 - smoothing) * chosen.mean()
            deviation[i] = smoothing * deviation[i] + (1.0 - smoothing) * chosen.std()
            widest = max(widest, deviation[i])
        if widest < stop:
            break
    if best < math.inf:  # the best draw again, with its searches run to the end of floating point
        best = energy_of(device, scalars, out_eta, bisect, 0.0, work, out_samples, out_shares)
    return best, made
