r"""DT-KD kernels with bounds, deadlines and a noise density: one response to prices, and Problem 3 from it.

At prices (lambda, kappa = delta + nu) an action takes, for a weight w = 1/z^2 >= alpha of its delay,

    f = clip(sqrt(c/lambda)/z),    b = clip(b(z)) with -tau'(b) = kappa z^2,

b = sqrt(d/kappa)/z for a noise power, and s/t with G(t) = kappa s^2 z^2/(theta ln 2) for a density; the delay grows
with z, so that a deadline is met by the largest z that meets it. Problem 3 is then two nested equations, sum f = F in
lambda and sum b = B in kappa, each nearly linear in logarithms.
"""

import math

from radioopt.dtkd.kernel import (
    ALPHA,
    AVERAGE,
    B_HIGH,
    B_LOW,
    BAND,
    BETA,
    BITS,
    CPU,
    CPU_PRICE,
    CYCLES,
    DEADLINE,
    DEADLINE_PRICE,
    DELAY,
    DELTA,
    DENSITY,
    ETA_AVERAGE,
    ETA_OWN,
    F_HIGH,
    F_LOW,
    GAIN,
    LABEL,
    LOCAL,
    MODEL,
    NOISE,
    OBJECTIVE,
    OWN,
    PASSES,
    PLACE,
    POWER,
    RESIDUAL,
    SERVER,
    TEACHER,
    WIDTH,
    WIDTH_PRICE,
)
from radioopt.numerics.jit import kernel

# rows of a user in ``user``: bounds, and s [Hz] of a noise density
FL, FH, BL, BH, SIGNAL = range(5)
# rows of an action of a user in ``table``: cost apart from time and shares, cycles, d or theta ln 2, time left
FIXED, WORK, LOAD, SPARE = range(4)
# prices beside which the weight of delay vanishes
HUGE = 1e30


@kernel
def late(t):
    """ln(1 + t) - t/(1 + t), without cancellation."""
    if t < 0.01:
        return t * t * (0.5 - t * (2 / 3 - t * (0.75 - t * (0.8 - t * (5 / 6 - t * (6 / 7 - t * 0.875))))))
    return math.log1p(t) - t / (1.0 + t)


@kernel
def inverse_growth(y):
    """Solve t^2 late(t)/ln(1 + t)^2 = y by Newton's method on logarithms; the left side is t^2/2 for small t."""
    t = math.sqrt(2.0 * y)
    if t < 1e-17:
        return t
    for _ in range(20):
        log, behind = math.log1p(t), late(t)
        slope = 2.0 + (t / (1.0 + t)) ** 2 / behind - 2.0 * t / ((1.0 + t) * log)
        step = math.log(y * log * log / (t * t * behind)) / slope
        t *= math.exp(step)
        if abs(step) < 1e-9:  # the next one would be its square
            break
    return t


@kernel
def computation(work, f):
    """Time to compute at the server."""
    if work == 0.0:
        return 0.0
    return work / f if f > 0.0 else math.inf


@kernel
def transmission(load, signal, b):
    """Time to send: load/b, or with a noise density load/(b ln(1 + s/b))."""
    if load == 0.0:
        return 0.0
    if b == math.inf:
        return load / signal if signal > 0.0 else 0.0
    if b == 0.0:
        return math.inf
    return load / (b * math.log1p(signal / b)) if signal > 0.0 else load / b


@kernel
def take(user, k, work, load, cpu_price, width_price, z):
    """Shares at these prices for a weight 1/z^2 of delay, and the time they take."""
    f, b, signal = user[FL, k], user[BL, k], user[SIGNAL, k]
    if work > 0.0:
        f = math.sqrt(work / cpu_price) / z if cpu_price > 0.0 else math.inf
        f = min(max(f, user[FL, k]), user[FH, k])
    if load > 0.0:
        if width_price == 0.0:
            b = math.inf
        elif signal > 0.0:
            t = inverse_growth(width_price * signal * signal * z * z / load)
            b = signal / t if t > 0.0 else math.inf
        else:
            b = math.sqrt(load / width_price) / z
        b = min(max(b, user[BL, k]), user[BH, k])
    return f, b, computation(work, f) + transmission(load, signal, b)


@kernel
def respond(user, k, table, a, alpha, cpu_price, width_price):
    """Least value of an action at these prices, the shares that attain it, and the weight of its delay.

    The value is inf where no shares meet the deadline.
    """
    work, load, spare = table[WORK, k, a], table[LOAD, k, a], table[SPARE, k, a]
    z = 1.0 / math.sqrt(alpha)
    if table[FIXED, k, a] == math.inf:
        return math.inf, 0.0, 0.0, alpha
    f, b, delay = take(user, k, work, load, cpu_price, width_price, z)
    if delay > spare:
        low, at_low = 0.0, transmission(load, user[SIGNAL, k], user[BH, k]) - spare
        at_low += work / user[FH, k]
        if not at_low < 0.0:
            return math.inf, 0.0, 0.0, alpha
        high, at_high, side = z, delay - spare, 0
        for _ in range(200):
            z = (low * at_high - high * at_low) / (at_high - at_low)
            if not low < z < high:
                z = 0.5 * (low + high)
            f, b, delay = take(user, k, work, load, cpu_price, width_price, z)
            miss = delay - spare
            if miss <= 0.0:
                low, at_low = z, miss
                if side == -1:
                    at_high *= 0.5
                side = -1
                if miss >= -4e-16 * spare:
                    break
            else:
                high, at_high = z, miss
                if side == 1:
                    at_low *= 0.5
                side = 1
            if high - low <= 4e-16 * high:
                break
        if delay > spare:
            z = low
            f, b, delay = take(user, k, work, load, cpu_price, width_price, max(low, 1e-300))
    weight = 1.0 / (z * z) if z > 0.0 else math.inf
    value = table[FIXED, k, a] + alpha * delay
    return (
        value + (cpu_price * f if cpu_price > 0.0 else 0.0) + (width_price * b if width_price > 0.0 else 0.0),
        f,
        b,
        weight,
    )


@kernel
def fill(device, limits, instance, i, catalogue, user, table):
    """Write the numbers of every user and of each of its actions, 2m for model m at the server, 2m + 1 locally."""
    alpha, density = instance[ALPHA, i], instance[DENSITY, i] > 0.0
    for k in range(user.shape[1]):
        received = device[POWER, i, k] * device[GAIN, i, k]
        user[FL, k], user[FH, k] = limits[F_LOW, i, k], limits[F_HIGH, i, k]
        user[BL, k], user[BH, k] = limits[B_LOW, i, k], limits[B_HIGH, i, k]
        user[SIGNAL, k] = received / instance[DENSITY, i] if density else 0.0
        per_bit = 1.0 if density else 1.0 / math.log1p(received / instance[NOISE, i])
        for a in range(table.shape[2]):
            m, x = a >> 1, a & 1
            local = x * catalogue[CYCLES, m] / device[LOCAL, i, k]
            cycles = instance[TEACHER, i] + (1 - x) * catalogue[CYCLES, m]
            worth = (
                instance[ETA_OWN, i] * catalogue[OWN, m] + instance[ETA_AVERAGE, i] * catalogue[AVERAGE, m]
            )
            model, place = device[MODEL, i, k], device[PLACE, i, k]
            allowed = (model < 0.0 or model == m) and (place < 0.0 or place == x)
            spare = limits[DEADLINE, i, k] - local
            table[FIXED, k, a] = math.inf
            if allowed and spare > 0.0:
                table[FIXED, k, a] = instance[BETA, i] * cycles - worth + alpha * local
            table[WORK, k, a] = cycles
            table[LOAD, k, a] = (catalogue[BITS, m] + x * instance[LABEL, i]) * math.log(2.0) * per_bit
            table[SPARE, k, a] = spare


@kernel
def use(user, table, chosen, alpha, cpu_price, width_price):
    """Sum f, b and the value over the users, each with its action."""
    cpu, width, value = 0.0, 0.0, 0.0
    for k in range(chosen.size):
        here, f, b, _ = respond(user, k, table, chosen[k], alpha, cpu_price, width_price)
        cpu += f
        width += b
        value += here
    return cpu, width, value


@kernel
def narrow(low, high, at_low, at_high, price, miss, side):
    """Move one end of a bracket of prices to where ``miss`` was measured (regula falsi, Illinois)."""
    if miss > 0.0:
        return price, high, miss, 0.5 * at_high if side == 1 else at_high, 1
    return low, price, 0.5 * at_low if side == -1 else at_low, miss, -1


@kernel
def next_price(low, high, at_low, at_high, price, miss):
    """Price to try next: inside the bracket, or beyond its end as if demand fell with the root of the price."""
    if high == math.inf:
        return price * max(math.exp(2.0 * miss) * 1.1, 2.0)
    if not (low > 0.0 and at_low < math.inf):
        return max(price * min(math.exp(2.0 * miss) * 0.9, 0.5), math.sqrt(low) * math.sqrt(high))
    t = min(max(at_low / (at_low - at_high), 1e-3), 1.0 - 1e-3)
    return low * math.exp(t * math.log(high / low))


@kernel
def clear_cpu(user, table, chosen, alpha, server, width_price, guess):
    """Solve sum f = F in lambda at a given kappa.

    Returns lambda (0 where all that may be taken is less, inf if no shares meet the deadlines), the sums of f and b,
    and the value.
    """
    low, high, at_low, at_high, side = 0.0, math.inf, math.inf, -math.inf, 0
    price, cpu, width, value = 0.0, 0.0, 0.0, 0.0
    for _ in range(300):
        cpu, width, value = use(user, table, chosen, alpha, price, width_price)
        if value == math.inf:
            return math.inf, cpu, width, value
        if price == 0.0:  # is the CPU worth anything at all?
            if cpu <= server:
                break
            price = guess
            continue
        miss = math.log(cpu / server) if cpu > 0.0 else -700.0
        if abs(miss) < 4e-15 or price > HUGE * guess:
            break
        low, high, at_low, at_high, side = narrow(low, high, at_low, at_high, price, miss, side)
        if high <= low * (1.0 + 4e-16):
            break
        price = next_price(low, high, at_low, at_high, price, miss)
    return price, cpu, width, value


@kernel
def clear(user, table, chosen, alpha, delta, server, band, coupled, enough, guess_cpu, guess_width):
    """Solve Problem 3 for given actions; stop early once its dual exceeds what is enough.

    Returns lambda, kappa and the dual; lambda is inf where no shares meet the deadlines. Turn 0, with deadlines, is at
    prices beside which delay costs nothing, where the users take the least that their deadlines need. Turn 1 is at
    kappa = delta: is bandwidth scarce at all?
    """
    low, high, at_low, at_high, side = delta, math.inf, math.inf, -math.inf, 0
    price, cpu_price, dual = 0.0, 0.0, 0.0
    for turn in range(0 if coupled else 1, 300):
        guess = cpu_price if cpu_price > 0.0 else guess_cpu
        if turn == 0:
            price, guess = HUGE * guess_width, HUGE * guess_cpu
        elif turn == 1:
            price, guess = delta, guess_cpu
        elif turn == 2:
            price = max(guess_width, 1.01 * delta)
        cpu_price, cpu, width, value = clear_cpu(user, table, chosen, alpha, server, price, guess)
        if turn == 0:
            if value == math.inf or cpu > server * (1.0 + 1e-10) or width > band * (1.0 + 1e-10):
                return math.inf, delta, math.inf
            continue
        dual = value - cpu_price * server - (price - delta) * band
        miss = math.log(width / band) if width > 0.0 else -700.0
        if dual > enough or (turn == 1 and miss <= 0.0):
            break
        if turn == 1:
            at_low = miss
            continue
        if abs(miss) < 4e-15 or price > HUGE * guess_width:
            break
        low, high, at_low, at_high, side = narrow(low, high, at_low, at_high, price, miss, side)
        if high <= low * (1.0 + 4e-16):
            break
        price = next_price(low, high, at_low, at_high, price, miss)
    return cpu_price, price, dual


@kernel
def write_shares(
    device, limits, instance, i, catalogue, user, table, best, cpu_price, width_price, out_device, out_instance
):  # fmt: skip
    """Write the shares of the best actions at their prices, and measure them."""
    alpha, server, band = instance[ALPHA, i], instance[SERVER, i], instance[BAND, i]
    objective, residual, use_f, use_b = 0.0, 0.0, 0.0, 0.0
    for k in range(best.size):
        _value, f, b, weight = respond(user, k, table, best[k], alpha, cpu_price, width_price)
        work, load = table[WORK, k, best[k]], table[LOAD, k, best[k]]
        delay = computation(work, f) + transmission(load, user[SIGNAL, k], b)
        objective += table[FIXED, k, best[k]] + alpha * delay + instance[DELTA, i] * b
        use_f += f
        use_b += b
        local = (best[k] & 1) * catalogue[CYCLES, best[k] >> 1] / device[LOCAL, i, k]
        residual = max(residual, (delay + local) / limits[DEADLINE, i, k] - 1.0)
        out_device[CPU, i, k] = f
        out_device[WIDTH, i, k] = b
        out_device[DELAY, i, k] = delay + local
        out_device[DEADLINE_PRICE, i, k] = weight - alpha if weight > alpha * (1.0 + 1e-12) else 0.0
    out_instance[OBJECTIVE, i] = objective
    out_instance[RESIDUAL, i] = max(residual, max(use_f / server, use_b / band) - 1.0)
    out_instance[CPU_PRICE, i] = cpu_price
    out_instance[WIDTH_PRICE, i] = width_price - instance[DELTA, i]


@kernel
def no_answer(i, passes, out_device, out_model, out_local, out_instance, out_counts):
    """Leave nan for instance ``i``; passes of -1 say that it is infeasible."""
    out_device[:, i, :] = math.nan
    out_model[i, :] = -1
    out_local[i, :] = False
    out_instance[:, i] = math.nan
    out_counts[PASSES, i] = passes
