"""DT-KD's vector-Jacobian product, three passes per instance; the twin of the NumPy one in ``adjoint.py``.

The equations are those stated there. Eliminated, a user's shares answer to the weight of its delay and to the prices by
df = g (dln w - dln lambda) and db = h (dln w - dln kappa), g = f/2 and h = b/2 or b/G' or zero at a bound; where its
deadline is priced the weight answers to the prices, so that the delay does not move.
"""

import math

import numpy as np

from radioopt.numerics.jit import kernel, lean_kernel, parallel_kernel, prange

# rows of the problem's blocks: users, their limits, instances; of the models
GAIN, LOCAL_CPU, POWER = range(3)
F_LOW, F_HIGH, B_LOW, B_HIGH, MOST_DELAY = range(5)
BAND, CPU, TEACHER, LABEL, ALPHA, BETA, DELTA, OWN, AVERAGE, NOISE, PSD = range(11)
CYCLES, BITS, OF_OWN, OF_AVERAGE = range(4)
# rows of the solution's blocks
F, B, DELAY, PRICE_DELAY = range(4)
OBJECTIVE, BOUND, GAP, PRICE_F, PRICE_B = range(5)
# rows of the cotangents of an instance; those of its users are the solution's
OF_OBJECTIVE, OF_PRICE_F, OF_PRICE_B = range(3)
# rows of the work array: g, h, slopes of the delay, what the weight follows, and what binds
G, H, IN_F, IN_B, W_F, W_B, ETA, AIR, CPU_TIME, SIGNAL, FLAGS = range(11)
ROWS = 11
HELD_F, UP_F, HELD_B, UP_B, DUE = 1, 2, 4, 8, 16


@lean_kernel
def pull_one(
    user,
    limit,
    instance,
    models,
    found,
    measured,
    model,
    local,
    i,
    bars,
    bar,
    work,
    of_user,
    of_limit,
    out,
):
    """Pull the cotangents of instance ``i`` back to its fields."""
    count = user.shape[2]
    here = np.int64(i)
    n = here if limit.shape[1] > 1 else 0  # what all have in common is held once
    m = here if instance.shape[1] > 1 else 0
    wide = limit.shape[2] > 1
    alpha, delta = instance[ALPHA, m], instance[DELTA, m]
    lam, nu = measured[PRICE_F, i], measured[PRICE_B, i]
    kappa = delta + nu
    psd, power = instance[PSD, m], instance[NOISE, m]
    density = psd > 0
    free_f = free_b = 0
    for k in range(count):
        j = k if wide else 0
        f, b = found[F, i, k], found[B, i, k]
        weight = alpha + found[PRICE_DELAY, i, k]
        cycles, bits = instance[TEACHER, m], models[BITS, model[i, k]]
        if local[i, k]:
            bits += instance[LABEL, m]
        else:
            cycles += models[CYCLES, model[i, k]]
        received = user[POWER, i, k] * user[GAIN, i, k]
        snr = received / (psd * b if density else power) if (b > 0 or not density) else math.inf
        log = math.log1p(snr)
        eta = snr / ((1 + snr) * log)
        cpu = cycles / f if cycles > 0 and f > 0 else 0.0
        air = bits * math.log(2.0) / (b * log) if bits > 0 and b > 0 else 0.0
        falls, respond, in_signal = 1.0, 2.0, eta
        if density:
            falls, respond = 1 - eta, 2 + (snr / (1 + snr)) ** 2 / late(snr, log) - 2 * eta
            in_signal = 2 - respond
        faster = weight * cpu / f if f > 0 else 0.0
        wider = weight * air / b * falls if b > 0 else 0.0
        flags = binding(f, limit[F_LOW, n, j], limit[F_HIGH, n, j], faster, lam)
        flags += 4 * binding(b, limit[B_LOW, n, j], limit[B_HIGH, n, j], wider, kappa)
        held_f, held_b = flags & HELD_F != 0, flags & HELD_B != 0
        if found[PRICE_DELAY, i, k] > 0 and not (held_f and held_b):
            flags += DUE
        g, h = 0.0 if held_f else 0.5 * f, 0.0 if held_b else b / respond
        in_f, in_b = -cpu / f if f > 0 else 0.0, -air * falls / b if b > 0 else 0.0
        free_f += not held_f
        free_b += not held_b
        work[G, k], work[H, k], work[IN_F, k], work[IN_B, k] = g, h, in_f, in_b
        work[W_F, k] = work[W_B, k] = 0.0
        if flags & DUE:
            both = in_f * g + in_b * h
            work[W_F, k], work[W_B, k] = in_f * g / both, in_b * h / both
        work[ETA, k], work[AIR, k], work[CPU_TIME, k], work[SIGNAL, k] = eta, air, cpu, in_signal
        work[FLAGS, k] = flags
    sold, rented = lam > 0 and free_f > 0, nu > 0 and free_b > 0

    # how the totals move with the prices, and the cotangents of those
    j11 = j12 = j21 = j22 = 0.0
    of_cost = bar[OF_OBJECTIVE, i]
    of_f, of_b = bar[OF_PRICE_F, i] * lam, bar[OF_PRICE_B, i] * kappa if rented else 0.0
    for k in range(count):
        g, h, w_f, w_b = work[G, k], work[H, k], work[W_F, k], work[W_B, k]
        late_by = bars[DELAY, i, k] + alpha * of_cost
        bar_f = bars[F, i, k] + late_by * work[IN_F, k]
        bar_b = bars[B, i, k] + late_by * work[IN_B, k] + of_cost * delta
        due = int(work[FLAGS, k]) & DUE
        bar_w = bars[PRICE_DELAY, i, k] * (alpha + found[PRICE_DELAY, i, k]) if due else 0.0
        j11 += g * (w_f - 1)
        j12 += g * w_b
        j21 += h * w_f
        j22 += h * (w_b - 1)
        of_f += bar_f * g * (w_f - 1) + bar_b * h * w_f + bar_w * w_f
        of_b += bar_f * g * w_b + bar_b * h * (w_b - 1) + bar_w * w_b
    if not sold:
        j11, j12 = 1.0, 0.0
    if not rented:
        j21, j22 = 0.0, 1.0
    over = j11 * j22 - j12 * j21
    first, second = (of_b * j21 - of_f * j22) / over, (of_f * j12 - of_b * j11) / over
    by_f, by_b = first if sold else 0.0, second if rented else 0.0

    teacher = label = of_alpha = of_beta = of_delta = own = average = noise = 0.0
    for k in range(count):
        flags = int(work[FLAGS, k])
        g, h, in_f, in_b = work[G, k], work[H, k], work[IN_F, k], work[IN_B, k]
        late_by = bars[DELAY, i, k] + alpha * of_cost
        bar_f = bars[F, i, k] + late_by * in_f + by_f
        bar_b = bars[B, i, k] + late_by * in_b + of_cost * delta + by_b
        # cotangents of the equations of CPU, of bandwidth, and of the delay or the weight
        if flags & DUE:
            weight = alpha + found[PRICE_DELAY, i, k]
            bar_w = bars[PRICE_DELAY, i, k] * weight
            of_alpha -= bars[PRICE_DELAY, i, k]
            third = -(bar_w + g * bar_f + h * bar_b) / (in_f * g + in_b * h)
        else:
            third = 0.0
        moved_f, moved_b = bar_f + in_f * third, bar_b + in_b * third
        cpu_side, band_side = -g * moved_f, -h * moved_b  # zero at a bound
        if not flags & DUE:
            of_alpha -= (cpu_side + band_side) / alpha
        of_limit[F_LOW, i, k] = moved_f if flags & HELD_F and not flags & UP_F else 0.0
        of_limit[F_HIGH, i, k] = moved_f if flags & UP_F else 0.0
        of_limit[B_LOW, i, k] = moved_b if flags & HELD_B and not flags & UP_B else 0.0
        of_limit[B_HIGH, i, k] = moved_b if flags & UP_B else 0.0
        of_limit[MOST_DELAY, i, k] = -third if flags & DUE else 0.0

        of_time = late_by + third  # a second more of the delay
        cycles, bits = instance[TEACHER, m], models[BITS, model[i, k]]
        if local[i, k]:
            bits += instance[LABEL, m]
            if bits > 0:
                label += (of_time * work[AIR, k] - band_side) / bits
            at_home = models[CYCLES, model[i, k]] / user[LOCAL_CPU, i, k]
            of_user[LOCAL_CPU, i, k] = -of_time * at_home / user[LOCAL_CPU, i, k]
        else:
            cycles += models[CYCLES, model[i, k]]
            of_user[LOCAL_CPU, i, k] = 0.0
        if cycles > 0:
            teacher += (of_time * work[CPU_TIME, k] - cpu_side) / cycles
        signal = work[SIGNAL, k] * band_side - of_time * work[AIR, k] * work[ETA, k]
        of_user[GAIN, i, k] = signal / user[GAIN, i, k]
        of_user[POWER, i, k] = signal / user[POWER, i, k]
        noise -= signal
        of_alpha += of_cost * found[DELAY, i, k]
        of_beta += of_cost * cycles
        of_delta += of_cost * found[B, i, k]
        own -= of_cost * models[OF_OWN, model[i, k]]
        average -= of_cost * models[OF_AVERAGE, model[i, k]]
    out[BAND, i], out[CPU, i] = -by_b, -by_f
    out[TEACHER, i] = teacher + of_cost * instance[BETA, m] * count
    out[LABEL, i] = label
    out[ALPHA, i], out[BETA, i] = of_alpha, of_beta
    if rented:
        of_delta -= bar[OF_PRICE_B, i]
    elif delta > 0:
        of_delta -= second / delta
    out[DELTA, i], out[OWN, i], out[AVERAGE, i] = of_delta, own, average
    out[NOISE, i], out[PSD, i] = 0.0 if density else noise / power, noise / psd if density else 0.0


@lean_kernel
def binding(share, low, high, pressure, price):
    """Tell whether a share is at a bound (1), and whether at the upper one (2 more)."""
    at_low, at_high = share <= low * (1 + 1e-12), share >= high * (1 - 1e-12)
    if not (at_low or at_high):
        return 0
    return 3 if at_high and (not at_low or pressure > price) else 1


@lean_kernel
def late(t, log):
    """ln(1 + t) - t/(1 + t), by its series where that cancels."""
    if t >= 0.01:
        return log - t / (1 + t)
    s = 6 / 7 - t * 7 / 8
    s = 3 / 4 - t * (4 / 5 - t * (5 / 6 - t * s))
    return t * t * (0.5 - t * (2 / 3 - t * s))


@kernel
def pull_serial(
    user,
    limit,
    instance,
    models,
    found,
    measured,
    model,
    local,
    answered,
    bars,
    bar,
    of_user,
    of_limit,
    out,
):
    """Pull back in every instance that is answered, one after the other; the others have zeros."""
    work = np.empty((ROWS, user.shape[2]))
    for i in range(out.shape[1]):
        if answered[i]:
            pull_one(
                user,
                limit,
                instance,
                models,
                found,
                measured,
                model,
                local,
                i,
                bars,
                bar,
                work,
                of_user,
                of_limit,
                out,
            )
        else:
            of_user[:, i] = 0.0
            of_limit[:, i] = 0.0
            out[:, i] = 0.0


@parallel_kernel
def pull_parallel(
    user,
    limit,
    instance,
    models,
    found,
    measured,
    model,
    local,
    answered,
    bars,
    bar,
    of_user,
    of_limit,
    out,
):
    """Pull back in every instance that is answered, in parallel over instances; the others have zeros."""
    for i in prange(out.shape[1]):
        if answered[i]:
            work = np.empty((ROWS, user.shape[2]))
            pull_one(
                user,
                limit,
                instance,
                models,
                found,
                measured,
                model,
                local,
                i,
                bars,
                bar,
                work,
                of_user,
                of_limit,
                out,
            )
        else:
            of_user[:, i] = 0.0
            of_limit[:, i] = 0.0
            out[:, i] = 0.0
