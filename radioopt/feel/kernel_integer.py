"""FEEL with integer batch sizes, solved exactly.

For a total batch N the least phase T(N) alternates two exact steps until neither moves: at fixed T the
shares a/(T - t(B)) are convex in B, so exchanging single samples while it shortens their sum is optimal; at
fixed B the frame gives T. T decreases at every turn, so this ends.

Totals are tried outward from the continuous optimum. The relaxation sqrt(N)/(T_rel(N) + T_D) has one peak, so
a side is closed for good once the relaxation cannot beat the best integer point: that proves it optimal. Where numbers
are so far apart that rounding misleads the start, the exchanges are cut, and what they leave open stays unproven.
"""

import math

import numpy as np

from radioopt.feel.kernel_point import certify_point, fill_slots, no_answer, scale_slots
from radioopt.feel.kernel_rows import (
    BATCH,
    BOUND,
    DEADLINE,
    DECAY,
    DONE,
    HIGH,
    LOW,
    OBJECTIVE,
    OFFSET,
    TO_L,
    TO_U,
    TOTAL,
    A,
    P,
)
from radioopt.feel.kernel_search import (
    in_time,
    least_download_phase,
    meet_total,
    newton,
    newton_fixed,
    prepare,
    share_frame,
)
from radioopt.numerics.jit import kernel, parallel_kernel, prange

#: samples that a float counts one by one, with room for sums; and exchanges or passes after which a search is cut
MOST_SAMPLES, MOST_MOVES = 2.0**50, 10_000


@kernel
def restrict(work, slowest, least):
    """Round the limits inwards: ``least`` gets the integer lower limits, HIGH the upper ones.

    Below a fractional limit l the time is flat, so max(1, floor(l)) may be taken at the cost of l.
    """
    for k in range(work.shape[1]):
        least[k] = max(1.0, np.floor(work[LOW, k]))
        work[HIGH, k] = min(np.floor(work[HIGH, k]), 4.0 * MOST_SAMPLES)
        if work[HIGH, k] < work[LOW, k]:  # no integer at or above l: the time is that of l throughout
            work[OFFSET, k] += work[P, k] * (work[LOW, k] - work[HIGH, k])
            work[LOW, k] = work[HIGH, k]
        work[TO_L, k] = slowest - (work[OFFSET, k] + work[P, k] * work[LOW, k])
        work[TO_U, k] = slowest - (work[OFFSET, k] + work[P, k] * work[HIGH, k])


@kernel
def relaxed_phase(work, slowest, total, lowest, max_iterations):
    """Least phase T for a total batch of fractional batch sizes; flat below the sum of the limits."""
    if total <= lowest:
        for k in range(work.shape[1]):
            work[DONE, k] = work[OFFSET, k] + work[P, k] * work[LOW, k]
        z, last = share_frame(work, A, DONE)
        return last + z
    z, _, _ = newton_fixed(work, slowest, total, max_iterations)
    return slowest + z


@kernel
def phase_of(work, batch):
    """Least phase T for given batch sizes."""
    for k in range(work.shape[1]):
        work[DONE, k] = work[OFFSET, k] + work[P, k] * max(batch[k], work[LOW, k])
    z, last = share_frame(work, A, DONE)
    return last + z


@kernel
def share(work, k, size, phase):
    """Share of the frame that device k needs for ``size`` samples to be done at T = ``phase``."""
    left = phase - (work[OFFSET, k] + work[P, k] * max(size, work[LOW, k]))
    return work[A, k] / left if left > 0.0 else math.inf


@kernel
def exchange(work, least, batch, phase):
    """Move single samples between devices while the sum of shares at T = ``phase`` falls; count the moves.

    It ends after so many that something is wrong with the start, which the count tells.
    """
    count = work.shape[1]
    add, drop = np.empty(count), np.empty(count)
    for k in range(count):
        here = share(work, k, batch[k], phase)
        add[k] = share(work, k, batch[k] + 1.0, phase) - here if batch[k] < work[HIGH, k] else math.inf
        drop[k] = here - share(work, k, batch[k] - 1.0, phase) if batch[k] > least[k] else -math.inf
    moves = 0
    while True:
        into, out = 0, 0
        for k in range(1, count):
            if add[k] < add[into]:
                into = k
            if drop[k] > drop[out]:
                out = k
        if not drop[out] - add[into] > 1e-15 or into == out or moves > MOST_MOVES:
            return moves
        moves += 1
        batch[into] += 1.0
        batch[out] -= 1.0
        for k in (into, out):
            here = share(work, k, batch[k], phase)
            add[k] = share(work, k, batch[k] + 1.0, phase) - here if batch[k] < work[HIGH, k] else math.inf
            drop[k] = here - share(work, k, batch[k] - 1.0, phase) if batch[k] > least[k] else -math.inf


@kernel
def settle(work, least, batch):
    """Alternate exchanges and the frame until the batch sizes are optimal for their total; return T.

    Infinity says that they have not become so.
    """
    phase, moves = phase_of(work, batch), 1
    for _ in range(MOST_MOVES):
        moves = exchange(work, least, batch, phase)
        if moves == 0 or moves > MOST_MOVES:
            break
        shorter = phase_of(work, batch)
        if not shorter < phase:
            return phase
        phase = shorter
    return phase if moves == 0 else math.inf


@kernel
def start(work, slowest, least, total, batch, max_iterations):
    """Round the continuous batch sizes down, then hand out what is missing where it costs least."""
    count = work.shape[1]
    lowest = 0.0
    for k in range(count):
        lowest += work[LOW, k]
    z, m = 0.0, math.inf
    if total > lowest:
        z, m, _ = newton_fixed(work, slowest, total, max_iterations)
        m, _, _ = meet_total(work, z, total, m)
    missing = total
    for k in range(count):
        y = max(m * math.sqrt(work[A, k] * work[P, k]), z + work[TO_U, k])
        size = work[LOW, k] + max((z + work[TO_L, k] - y) / work[P, k], 0.0)
        batch[k] = min(max(np.floor(size + 1e-9), least[k]), work[HIGH, k])
        missing -= batch[k]
    phase = phase_of(work, batch)
    cost, passes = np.empty(count), 0
    while missing != 0.0:
        passes += 1
        if passes > MOST_MOVES:
            return math.inf
        for k in range(count):
            here = share(work, k, batch[k], phase)
            if missing > 0.0:
                more = share(work, k, batch[k] + 1.0, phase)
                cost[k] = more - here if batch[k] < work[HIGH, k] else math.inf
            else:
                less = share(work, k, batch[k] - 1.0, phase)
                cost[k] = less - here if batch[k] > least[k] else math.inf
        step = 1.0 if missing > 0.0 else -1.0
        before = missing
        for k in np.argsort(cost):
            if missing == 0.0 or cost[k] == math.inf:
                break
            batch[k] += step
            missing -= step
        if missing == before:
            phase *= 2.0  # every further sample overruns T: judge at a later one
    return settle(work, least, batch)


@kernel
def change_total(work, least, batch, step, phase):
    """Add or drop the sample that changes the sum of shares best, then settle; return T."""
    best, chosen = math.inf, -1
    for k in range(work.shape[1]):
        if (batch[k] < work[HIGH, k]) if step > 0.0 else (batch[k] > least[k]):
            cost = share(work, k, batch[k] + step, phase) - share(work, k, batch[k], phase)
            if cost < best or chosen < 0:
                best, chosen = cost, k
    batch[chosen] += step
    return settle(work, least, batch)


@kernel
def solve_integer_one(
    device, instance, i, broadcast, max_iterations, node_limit, out_device, out_instance, out_passes
):
    """Solve instance ``i`` over integers; ``out_passes`` counts the totals tried, -1 if infeasible."""
    count = device.shape[2]
    work, least = np.empty((11, count)), np.empty(count)
    slowest = prepare(device, instance, i, work)
    if math.isnan(slowest):
        no_answer(i, 0, out_device, out_instance, out_passes)
        return
    rest, last = least_download_phase(work, broadcast)
    download = last + rest
    restrict(work, slowest, least)
    fixed, deadline = instance[TOTAL, i], instance[DEADLINE, i]
    lowest, smallest, largest = 0.0, 0.0, 0.0
    for k in range(count):
        lowest += work[LOW, k]
        smallest += least[k]
        largest += work[HIGH, k]

    middle = fixed
    if fixed == math.inf:
        z, m, _ = newton(work, slowest, download, max_iterations)
        continuous = 0.0
        for k in range(count):
            y = max(min(m * math.sqrt(work[A, k] * work[P, k]), z + work[TO_L, k]), z + work[TO_U, k])
            continuous += work[LOW, k] + (z + work[TO_L, k] - y) / work[P, k]
        middle = min(max(np.floor(continuous + 0.5), smallest), largest)
        if not in_time(
            z + slowest + download, deadline
        ):  # the largest total that the relaxation can do in time
            below, above = smallest, middle
            while above - below > 1.0:
                total = np.floor(0.5 * (below + above))
                latency = relaxed_phase(work, slowest, total, lowest, max_iterations) + download
                if in_time(latency, deadline):
                    below = total
                else:
                    above = total
            middle = below

    best, best_batch, frontier = -math.inf, least.copy(), -math.inf
    if not middle <= MOST_SAMPLES:
        no_answer(i, 0, out_device, out_instance, out_passes)
        return
    if fixed == math.inf:  # the shortest round: too late only if all are, and an answer if the search is cut
        latency = phase_of(work, least) + download
        if not in_time(latency, deadline):
            no_answer(i, -1, out_device, out_instance, out_passes)
            return
        best = math.sqrt(smallest) / latency
    batch = np.empty(count)
    middle_phase = start(work, slowest, least, middle, batch, max_iterations)
    middle_batch = batch.copy()
    tried = 0
    for step in (1.0, -1.0):
        batch[:] = middle_batch
        total, phase = middle, middle_phase
        while True:
            if phase == math.inf:  # cut: the relaxation bounds this total, and those beyond it
                latency = relaxed_phase(work, slowest, total, lowest, max_iterations) + download
                frontier = max(frontier, math.sqrt(total) / latency)
                break
            latency = phase + download
            value = math.sqrt(total) / latency
            if in_time(latency, deadline) and value > best:
                best = value
                best_batch[:] = batch
            tried += 1
            total += step
            if fixed < math.inf or total < smallest or total > largest:
                break
            latency = relaxed_phase(work, slowest, total, lowest, max_iterations) + download
            relaxed = math.sqrt(total) / latency
            if step > 0.0 and not in_time(latency, deadline):
                break
            if relaxed <= best:
                break
            if tried >= node_limit:
                frontier = max(frontier, relaxed)
                break
            phase = change_total(work, least, batch, step, phase)

    out_passes[i] = tried
    if best == -math.inf:
        no_answer(i, -1, out_device, out_instance, out_passes)
        return
    slowest = prepare(device, instance, i, work)
    out_device[BATCH, i, :] = best_batch
    fill_slots(work, i, out_device)
    scale_slots(work, rest, last, broadcast, i, instance, out_device)
    certify_point(work, broadcast, i, instance, out_device, out_instance)
    # every other total is proven worse, or bounded by the relaxation where the search was cut
    proven = max(out_instance[OBJECTIVE, i], instance[DECAY, i] * frontier)
    out_instance[BOUND, i] = min(out_instance[BOUND, i], proven)


@kernel
def solve_integer_serial(
    device, instance, broadcast, max_iterations, node_limit, out_device, out_instance, out_passes
):
    """Solve every instance over integer batch sizes, one after the other."""
    for i in range(instance.shape[1]):
        solve_integer_one(
            device, instance, i, broadcast, max_iterations, node_limit, out_device, out_instance, out_passes
        )


@parallel_kernel
def solve_integer_parallel(
    device, instance, broadcast, max_iterations, node_limit, out_device, out_instance, out_passes
):
    """Solve every instance over integer batch sizes, in parallel over instances."""
    for i in prange(instance.shape[1]):
        solve_integer_one(
            device, instance, i, broadcast, max_iterations, node_limit, out_device, out_instance, out_passes
        )
