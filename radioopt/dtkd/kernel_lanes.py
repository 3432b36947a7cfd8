"""Problem 3 of DT-KD, models and places given, for cells of few users: eight instances side by side.

The formulas are those of :mod:`radioopt.dtkd.kernel`, where they are explained; each number here is that of eight
instances, one in each lane of the registers. The last block repeats its last instance. No lane looks at another one.
"""

import math

import numpy as np

from radioopt.dtkd.kernel import (
    ALPHA,
    AVERAGE,
    BAND,
    BETA,
    BITS,
    BOUND,
    CPU,
    CPU_PRICE,
    CYCLES,
    DEADLINE_PRICE,
    DELAY,
    DELTA,
    ETA_AVERAGE,
    ETA_OWN,
    GAIN,
    LABEL,
    LOCAL,
    MODEL,
    NODES,
    NOISE,
    OBJECTIVE,
    OWN,
    PASSES,
    PLACE,
    POWER,
    RESIDUAL,
    SERVER,
    STATUS,
    TEACHER,
    WIDTH,
    WIDTH_PRICE,
    blocks_of,
)
from radioopt.numerics.jit import inner_kernel, kernel, parallel_kernel, prange, shaped
from radioopt.numerics.judge import FAILED, FEASIBLE, OPTIMAL
from radioopt.numerics.lanes import (
    LANES,
    absolute,
    broadcast,
    larger,
    load,
    pick,
    put,
    root,
    scratch_rows,
    select,
    store,
)
from radioopt.numerics.vmath import fast_log1p

# rows of a user, one after the other for all users: f, b and the delay take the places of what they come from
FIXED, TIME, ROOT_C, ROOT_D = range(4)
# users up to which lanes are instances; beyond, the scratch of eight instances leaves the first level of cache
MOST_USERS = 64
#: instances that a thread takes at a time
SPAN = 256


@inner_kernel
def efficiency(device, first, k, per_noise):
    """E = log2(1 + p h/n0) in bit/s/Hz, exact for a low SNR too."""
    snr = pick(device, (POWER, first, k)) * pick(device, (GAIN, first, k)) * per_noise
    return fast_log1p(snr) * 1.4426950408889634


@kernel
def allocate_block(
    device, instance, first, at, catalogue, feasible, tight, rows, out_device, out_instance, out_counts
):  # fmt: skip
    """Solve Problem 3 for eight instances, from ``first`` on; what their users share is from column ``at`` on."""
    users = device.shape[2]
    alpha, beta = pick(instance, (ALPHA, at)), pick(instance, (BETA, at))
    teacher, label = pick(instance, (TEACHER, at)), pick(instance, (LABEL, at))
    eta_own, eta_average = pick(instance, (ETA_OWN, at)), pick(instance, (ETA_AVERAGE, at))
    per_noise, per_alpha = 1.0 / pick(instance, (NOISE, at)), 1.0 / alpha
    per_server, per_band = 1.0 / pick(instance, (SERVER, at)), 1.0 / pick(instance, (BAND, at))
    per_cycle, per_bit = alpha * per_server, alpha * per_band
    for k in range(users):
        m, local = pick(device, (MODEL, first, k)), pick(device, (PLACE, first, k)) > 0.5
        student, bits, own, average = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
        for n in range(catalogue.shape[1]):
            this = m == float(n)
            student = select(this, catalogue[CYCLES, n], student)
            bits = select(this, catalogue[BITS, n], bits)
            own = select(this, catalogue[OWN, n], own)
            average = select(this, catalogue[AVERAGE, n], average)
        cycles = teacher + select(local, 0.0, student)
        bits = bits + select(local, label, 0.0)
        store(rows, 4 * k + FIXED, beta * cycles - (eta_own * own + eta_average * average))
        own_cpu, e = pick(device, (LOCAL, first, k)), efficiency(device, first, k, per_noise)
        reciprocal = 1.0 / (own_cpu * e)
        store(rows, 4 * k + TIME, select(local, student * (e * reciprocal), 0.0))
        store(rows, 4 * k + ROOT_C, root(cycles * per_cycle))
        store(rows, 4 * k + ROOT_D, root(bits * per_bit * (own_cpu * reciprocal)))
    share(
        instance, first, at, rows, broadcast(0.0), per_server, per_band, per_alpha, catalogue, feasible, tight,
        out_device, out_instance, out_counts,
    )  # fmt: skip


@inner_kernel
def share(
    instance, first, at, rows, slack, per_server, per_band, per_alpha, catalogue, feasible, tight,
    out_device, out_instance, out_counts,
):  # fmt: skip
    """Share F and B in the best way, measure and judge: ``allocate`` for eight instances.

    The bound is the objective less ``slack`` and what is rounded here: the chosen actions are proven already.
    """
    users = out_device.shape[2]
    alpha, delta = pick(instance, (ALPHA, at)), pick(instance, (DELTA, at))
    server, band = pick(instance, (SERVER, at)), pick(instance, (BAND, at))
    tau = root(delta * band)
    cpu, width = broadcast(0.0), broadcast(0.0)
    for k in range(users):
        cpu = cpu + load(rows, 4 * k + ROOT_C)
        width = width + load(rows, 4 * k + ROOT_D)
    full = larger(width, tau)
    per_u = select(cpu > 0.0, server / cpu, 0.0)
    per_v = select(full > 0.0, band / full, 0.0)
    objective, use_f, use_b = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for k in range(users):
        u, v = load(rows, 4 * k + ROOT_C), load(rows, 4 * k + ROOT_D)
        f, b = per_u * u, per_v * v
        delay = load(rows, 4 * k + TIME) + (u * cpu + v * full) * per_alpha
        objective = objective + (load(rows, 4 * k + FIXED) + alpha * delay + delta * b)
        use_f = use_f + f
        use_b = use_b + b
        put(out_device, (CPU, first, k), f)
        put(out_device, (WIDTH, first, k), b)
        put(out_device, (DELAY, first, k), delay)
    residual = larger(use_f * per_server, use_b * per_band) - 1.0
    bound = objective - (slack + 4e-16 * absolute(objective))
    best_own, best_average = 0.0, 0.0
    for n in range(catalogue.shape[1]):
        best_own, best_average = max(best_own, catalogue[OWN, n]), max(best_average, catalogue[AVERAGE, n])
    worth = pick(instance, (ETA_OWN, at)) * best_own + pick(instance, (ETA_AVERAGE, at)) * best_average
    gap = (objective - bound) / larger(float(users) * worth, absolute(objective))
    gap = select(objective == bound, 0.0, gap)
    good = (absolute(objective) < math.inf) & (residual <= feasible) & (gap >= -feasible)
    status = select(good, select(gap <= tight, float(OPTIMAL), float(FEASIBLE)), float(FAILED))
    put(out_instance, (OBJECTIVE, first), objective)
    put(out_instance, (BOUND, first), bound)
    put(out_instance, (RESIDUAL, first), gap)
    put(out_instance, (CPU_PRICE, first), cpu * cpu * per_server)
    put(out_instance, (WIDTH_PRICE, first), (full - tau) * (full + tau) * per_band)
    store(rows, 0, status)
    for j in range(min(LANES, out_device.shape[1] - first)):
        out_counts[STATUS, first + j] = int(rows[0, j])
        for k in range(users):
            out_device[DEADLINE_PRICE, first + j, k] = 0.0


@kernel
def solve_span(device, instance, catalogue, feasible, tight, begin, end, packed):
    """Solve Problem 3 for some instances, from a multiple of eight on; return the largest code of their status.

    ``instance`` has a column for each of them or, where all are alike, LANES columns.
    """
    users, worst = device.shape[2], 0
    out_device, out_model, out_local, out_instance, out_counts = blocks_of(packed, device.shape[1], users)
    rows = scratch_rows(4 * users)
    for first in range(begin, end, LANES):
        at = first if instance.shape[1] == device.shape[1] else 0
        allocate_block(
            device, instance, first, at, catalogue, feasible, tight, rows, out_device, out_instance, out_counts
        )  # fmt: skip
    for i in range(begin, end):
        worst = max(worst, out_counts[STATUS, i])
        out_counts[PASSES, i] = 1
        out_counts[NODES, i] = 0
    users_of_all = device.shape[1] * users
    fields = shaped(device, (device.shape[0], users_of_all))
    model, local = shaped(out_model, (users_of_all,)), shaped(out_local, (users_of_all,))
    start, stop = np.uint64(begin * users), np.uint64(end * users)  # unsigned: no index counts from the end
    for n in range(start, stop):
        model[n] = int(fields[MODEL, n])
    for n in range(start, stop):
        local[n] = fields[PLACE, n] > 0.5
    return worst


@parallel_kernel
def solve_parallel(device, instance, catalogue, feasible, tight, packed):
    """Solve every instance, in parallel over spans; return the largest code of their status."""
    count, worst = device.shape[1], 0
    for span in prange(-(-count // SPAN)):
        begin, end = span * SPAN, min(span * SPAN + SPAN, count)
        worst = max(worst, solve_span(device, instance, catalogue, feasible, tight, begin, end, packed))
    return worst
