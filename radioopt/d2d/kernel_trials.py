"""What each of many links to one device would gain: eight trials side by side in the lanes of a register.

:func:`radioopt.d2d.kernel.gain` says what is computed. The scores that a trial changes (the receiver's, the
transmitter's, and where that one runs short its other receivers') are lanes in turn.
"""

import math

import numpy as np

from radioopt.d2d.kernel import (
    AFTER,
    ALPHA,
    ARRIVES,
    ASKED,
    BEFORE,
    BETA,
    CHANGE,
    COMPENSATED,
    COUNTS,
    DEFICIT,
    DEMAND,
    FOLLOWING,
    GAMMA,
    HEAD,
    KAPPA,
    METRIC,
    NEEDED,
    SCORE,
    SURPLUS,
    TINY,
    TOTAL,
)
from radioopt.numerics.jit import inner_kernel, lean_kernel
from radioopt.numerics.lanes import (
    LANES,
    absolute,
    broadcast,
    gather,
    larger,
    load,
    scratch_rows,
    select,
    smaller,
    store,
)
from radioopt.numerics.vmath import fast_log

# rows of scratch, each for all classes: points after a trial of its transmitter, of the receiver, and of others
GIVEN, TAKEN, OTHERS = range(3)
#: least divisor of which a product of two is still a number
TINIEST = 1e-150


@inner_kernel
def eights(count):
    """How many blocks of eight hold so many."""
    return -(-count // LANES)


@inner_kernel
def room_for_list(count):
    """Room for a list of so many that :func:`fill_up` takes."""
    return np.empty(eights(count) * LANES, np.int64)


@inner_kernel
def room(devices, most, classes):
    """Return scratch for ``most`` trials: points of eight, LESS of :func:`exchange` for all, two lists of devices."""
    return (
        scratch_rows(3 * classes + 2),
        np.empty((classes, eights(most) * LANES)),
        room_for_list(devices),
        room_for_list(devices),
    )


@lean_kernel
def fill_up(listed, count):
    """Repeat the last of a list until there are eights of them; return how many eights."""
    blocks = eights(count)
    for at in range(count, blocks * LANES):
        listed[at] = listed[count - 1]
    return blocks


@lean_kernel
def risen(points, device, numbers, k, part, rows):
    """By how much the score rises of device k, one or a device per lane, with the points in ``part``."""
    classes, ideal, change = points.shape[2], device.shape[0], numbers[CHANGE] > 0.0
    total, met = broadcast(0.0), broadcast(0.0)
    for m in range(classes):
        after = load(rows, part * classes + m)
        total = total + after
        met = met + select(after >= gather(points, (k, NEEDED, m)), 1.0, 0.0)
    other = gather(device, (k, TOTAL)) if change else broadcast(1.0)
    a, b = 1.0 / larger(total, TINY), 1.0 / larger(other, TINY)
    found, gap, metric = broadcast(0.0), broadcast(0.0), numbers[METRIC]
    largest = classes - 1.0 if metric == 0.0 else 1.0
    for m in range(classes):
        x = load(rows, part * classes + m) * a
        y = gather(points, (k, COUNTS, m)) * b if change else broadcast(points[ideal, COUNTS, m])
        if metric == 0.0:
            found = found + absolute(gap)
            gap = gap + (x - y)
        elif metric == 1.0:
            found = found + 0.5 * absolute(x - y)
        else:
            per_mean = 2.0 / larger(x + y, TINY)
            logs = x * fast_log(larger(x * per_mean, TINY)) + y * fast_log(larger(y * per_mean, TINY))
            found = found + logs * (0.5 / math.log(2.0))
    found = select((total > 0.0) & (other > 0.0), found, select((total > 0.0) | (other > 0.0), largest, 0.0))
    if not change:
        found = larger(gather(device, (k, BEFORE)) - found, 0.0)
    return select(met >= numbers[KAPPA], found, 0.0) - gather(device, (k, SCORE))


@lean_kernel
def factors(numbers, lost):
    """As :func:`radioopt.d2d.kernel.request_factor`."""
    if numbers[COMPENSATED] == 0.0:
        return broadcast(1.0)
    return select(lost < 1.0, 1.0 / larger(1.0 - lost, TINY), 0.0)


@lean_kernel
def try_alone(points, device, transmitter, losses, asks, numbers, i, listed, count, scratch, gains):
    """Put what i, which has no transmitter, would gain for itself by what others left into ``gains``.

    For the first ``count`` links ``listed``, as :func:`try_links` for everybody and by shares.
    """
    rows = scratch[0]
    classes, weight = points.shape[2], (1.0 + numbers[GAMMA]) * numbers[ALPHA]
    dearness, found = (1.0 + numbers[GAMMA]) * numbers[BETA], 3 * classes
    for block in range(fill_up(listed, count)):
        e = load(listed, block)
        j, lost = gather(transmitter, (e,)), gather(losses, (e,))
        arrives, factor = 1.0 - lost, factors(numbers, lost)
        for m in range(classes):
            taken = broadcast(points[i, AFTER, m])
            if points[i, DEFICIT, m] > 0.0:
                asked = select(gather(asks, (e, m)), factor * points[i, DEFICIT, m], 0.0)
                left = larger(gather(points, (j, SURPLUS, m)) - gather(points, (j, DEMAND, m)), 0.0)
                taken = arrives * smaller(asked, left) + taken
            store(rows, TAKEN * classes + m, taken)
        store(rows, found, risen(points, device, numbers, i, TAKEN, rows) * weight - lost * dearness)
        for c in range(LANES):
            gains[listed[block * LANES + c]] = rows[found, c]


@lean_kernel
def exchange(points, losses, asks, numbers, i, e, j, block, rows, less):
    """Points of each transmitter and of i after the trial, and how much less of what others ask is then sent.

    Returns by lanes whether the transmitter runs short of what others ask too.
    """
    classes, short, lost = points.shape[2], broadcast(0.0), gather(losses, (e,))
    arrives, factor, blocks = 1.0 - lost, factors(numbers, lost), less.shape[1] // LANES
    for m in range(classes):
        lacking, have, after = points[i, DEFICIT, m], points[i, AFTER, m], gather(points, (j, AFTER, m))
        given, taken, change = after, broadcast(have), broadcast(0.0)
        if lacking > 0.0:
            spare, demand = gather(points, (j, SURPLUS, m)), gather(points, (j, DEMAND, m))
            asked = select(gather(asks, (e, m)), factor * lacking, 0.0)
            wanted = demand + asked
            given = after + (smaller(demand, spare) - smaller(wanted, spare))
            short = select((asked > 0.0) & (demand > 0.0) & (wanted > spare), 1.0, short)
            demand = larger(demand, TINIEST)
            wanted = demand + asked
            reciprocal = spare / (wanted * demand)
            share = smaller(demand * reciprocal, 1.0)
            taken, change = arrives * asked * share + have, share - smaller(wanted * reciprocal, 1.0)
        store(rows, GIVEN * classes + m, given)
        store(rows, TAKEN * classes + m, taken)
        store(less, m * blocks + block, change)
    return short


@lean_kernel
def exchange_others(points, device, k, trial, rows, less):
    """Points of other receivers of transmitters that run short."""
    classes, arrives = points.shape[2], gather(device, (k, ARRIVES))
    for m in range(classes):
        change = arrives * gather(points, (k, ASKED, m)) * gather(less, (m, trial))
        store(rows, OTHERS * classes + m, gather(points, (k, AFTER, m)) + change)


@lean_kernel
def list_others(links, transmitter, short, listed, count, others, trials):
    """List receivers of the transmitters that run short in a trial, and which trial it is; return how many."""
    waiting = 0
    for trial in range(count):
        if short[listed[trial]]:
            k = links[transmitter[listed[trial]], HEAD]
            while k >= 0:
                others[waiting], trials[waiting] = k, trial
                waiting += 1
                k = links[k, FOLLOWING]
    return waiting


@lean_kernel
def try_links(
    points, device, links, transmitter, losses, asks, numbers, i, listed, count, scratch, gains, short
):
    """Put what a link to i, which has none, would gain into ``gains``, for the first ``count`` links ``listed``.

    As :func:`radioopt.d2d.kernel.gain`; ``listed`` has room for eights. ``short`` gets whether the transmitter would
    run short of what others ask too.
    """
    rows, less, others, trials = scratch
    classes, weight = points.shape[2], (1.0 + numbers[GAMMA]) * numbers[ALPHA]
    dearness, found, lacking = (1.0 + numbers[GAMMA]) * numbers[BETA], 3 * classes, 3 * classes + 1
    for block in range(fill_up(listed, count)):
        e = load(listed, block)
        j = gather(transmitter, (e,))
        store(rows, lacking, exchange(points, losses, asks, numbers, i, e, j, block, rows, less))
        gained = risen(points, device, numbers, j, GIVEN, rows) + risen(
            points, device, numbers, i, TAKEN, rows
        )
        store(rows, found, gained * weight - gather(losses, (e,)) * dearness)
        for c in range(LANES):
            gains[listed[block * LANES + c]] = rows[found, c]
            short[listed[block * LANES + c]] = rows[lacking, c] > 0.0
    waiting = list_others(links, transmitter, short, listed, count, others, trials)
    fill_up(trials, waiting)
    for block in range(fill_up(others, waiting)):
        k = load(others, block)
        exchange_others(points, device, k, load(trials, block), rows, less)
        store(rows, found, risen(points, device, numbers, k, OTHERS, rows) * weight)
        for c in range(min(LANES, waiting - block * LANES)):
            gains[listed[trials[block * LANES + c]]] += rows[found, c]
