"""What each of many links to one device would gain: trials side by side in vector lanes.

:func:`radioopt.d2d.kernel.gain` says what is computed; this does the same for LANES transmitters at a time. The numbers
of a class stand side by side for all trials, so that loops over trials are vectorised however few classes there are.
The scores that a trial changes (the receiver's, the transmitter's, and where that one runs short its other receivers')
are lanes in turn.
"""

import math

import numpy as np

from radioopt.d2d.kernel import (
    AFTER,
    ALPHA,
    BEFORE,
    BETA,
    CHANGE,
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
    request_factor,
)
from radioopt.numerics.jit import inner_kernel, kernel, vector_kernel
from radioopt.numerics.vmath import fast_log

#: trials at a time
LANES = 32
# Scratch is one array and offsets in it are constants, else no loop is vectorised: a block of rows for each class, of a
# trial and of a score, and one block for what all classes have in common.
SPARE, DEMANDED, ASKED, MINE, THEIRS, LESS, SCORED, LEAST, REFERENCE = [
    np.uint64(n * LANES) for n in range(9)
]
ARRIVES, FACTOR, SHORT, GAINED, SUM, MET, GAP, FOUND, SCALE = [np.uint64(n * LANES) for n in range(9)]
BLOCK = np.uint64(9 * LANES)
ONE = np.uint64(1)
#: least divisor of which a product of two is still a number
TINIEST = 1e-150


@inner_kernel
def room(classes):
    """Return scratch for the trials of so many classes."""
    return np.empty((classes + 1) * 9 * LANES)


@vector_kernel
def give(points, outage, numbers, i, asks, slots, transmitters, count, lanes):
    """Points of each transmitter after the trial; and whether it would run short of what others ask too."""
    classes, i, count = np.uint64(points.shape[2]), np.uint64(i), np.uint64(count)
    common = classes * BLOCK
    for c in range(count):
        j = np.uint64(transmitters[c])
        lanes[common + ARRIVES + c] = 1.0 - outage[i, j]
        lanes[common + FACTOR + c] = request_factor(outage, numbers, i, j)
        for m in range(classes):
            lanes[m * BLOCK + THEIRS + c] = points[j, AFTER, m]
    for c in range(count):
        lanes[common + SHORT + c] = 0.0
    for m in range(classes):
        row, lacking = m * BLOCK, points[i, DEFICIT, m]
        if lacking > 0.0:
            for c in range(count):
                j = np.uint64(transmitters[c])
                lanes[row + SPARE + c] = points[j, SURPLUS, m]
                lanes[row + DEMANDED + c] = points[j, DEMAND, m]
                lanes[row + ASKED + c] = asks[i, np.uint64(slots[c]), m]
            for c in range(count):
                spare, demand = lanes[row + SPARE + c], lanes[row + DEMANDED + c]
                asked = lanes[row + ASKED + c] * lacking * lanes[common + FACTOR + c]
                lanes[row + ASKED + c] = asked
                lanes[row + THEIRS + c] += min(demand, spare) - min(demand + asked, spare)
                short = (asked > 0.0) & (demand > 0.0) & (demand + asked > spare)
                lanes[common + SHORT + c] += 1.0 if short else 0.0


@vector_kernel
def receive(points, i, count, lanes):
    """Points of i after the trial, and how much less of what others ask their transmitter then sends; after giving."""
    classes, count = np.uint64(points.shape[2]), np.uint64(count)
    common = classes * BLOCK
    for m in range(classes):
        row, have = m * BLOCK, points[i, AFTER, m]
        if points[i, DEFICIT, m] > 0.0:
            for c in range(count):
                spare, asked = lanes[row + SPARE + c], lanes[row + ASKED + c]
                demand = max(lanes[row + DEMANDED + c], TINIEST)
                wanted = demand + asked
                reciprocal = spare / (wanted * demand)
                share, share_now = min(1.0, demand * reciprocal), min(1.0, wanted * reciprocal)
                lanes[row + MINE + c] = have + lanes[common + ARRIVES + c] * asked * share
                lanes[row + LESS + c] = share - share_now
        else:
            for c in range(count):
                lanes[row + MINE + c] = have
                lanes[row + LESS + c] = 0.0


@vector_kernel
def score_lanes(points, device, numbers, owners, count, part, lanes):
    """Put the score of device ``owners[c]`` with the points in ``part`` into FOUND, for every lane."""
    classes, ideal, count = np.uint64(points.shape[2]), device.shape[0], np.uint64(count)
    common = classes * BLOCK
    change = numbers[CHANGE] > 0.0
    for c in range(count):
        k = np.uint64(owners[c])
        for m in range(classes):
            lanes[m * BLOCK + LEAST + c] = points[k, NEEDED, m]
    if change:
        for c in range(count):
            k = np.uint64(owners[c])
            scale = 1.0 / device[k, TOTAL] if device[k, TOTAL] > 0.0 else 0.0
            lanes[common + SCALE + c] = scale
            for m in range(classes):
                lanes[m * BLOCK + REFERENCE + c] = points[k, COUNTS, m] * scale
    else:
        for m in range(classes):
            share = points[ideal, COUNTS, m]
            for c in range(count):
                lanes[m * BLOCK + REFERENCE + c] = share
    for c in range(count):
        lanes[common + SUM + c] = 0.0
        lanes[common + MET + c] = 0.0
        lanes[common + GAP + c] = 0.0
        lanes[common + FOUND + c] = 0.0
    for m in range(classes):
        row = m * BLOCK
        for c in range(count):
            after = lanes[row + part + c]
            lanes[common + SUM + c] += after
            lanes[common + MET + c] += 1.0 if after >= lanes[row + LEAST + c] else 0.0
    for c in range(count):
        total = lanes[common + SUM + c]
        lanes[common + SUM + c] = 1.0 / total if total > 0.0 else 0.0
    largest, scale = 1.0, 0.5
    if numbers[METRIC] == 0.0:
        largest, scale = float(classes) - 1.0, 1.0
        for m in range(classes - ONE):
            row = m * BLOCK
            for c in range(count):
                share = lanes[row + part + c] * lanes[common + SUM + c]
                gap = lanes[common + GAP + c] + (share - lanes[row + REFERENCE + c])
                lanes[common + GAP + c] = gap
                lanes[common + FOUND + c] += abs(gap)
    elif numbers[METRIC] == 1.0:
        for m in range(classes):
            row = m * BLOCK
            for c in range(count):
                share = lanes[row + part + c] * lanes[common + SUM + c]
                lanes[common + FOUND + c] += abs(share - lanes[row + REFERENCE + c])
    else:
        scale = 0.5 / math.log(2.0)
        for m in range(classes):
            row = m * BLOCK
            for c in range(count):
                x, y = lanes[row + part + c] * lanes[common + SUM + c], lanes[row + REFERENCE + c]
                per_mean = 2.0 / max(x + y, TINY)
                x_log, y_log = fast_log(max(x * per_mean, TINY)), fast_log(max(y * per_mean, TINY))
                lanes[common + FOUND + c] += x * x_log + y * y_log
    for c in range(count):
        k = np.uint64(owners[c])
        nothing = lanes[common + SUM + c] == 0.0
        nothing_before = change and lanes[common + SCALE + c] == 0.0
        found = scale * lanes[common + FOUND + c]
        if nothing or nothing_before:
            found = 0.0 if nothing and nothing_before else largest
        found = found if change else max(0.0, device[k, BEFORE] - found)
        lanes[common + FOUND + c] = found if lanes[common + MET + c] >= numbers[KAPPA] else 0.0


@kernel
def add_scores(points, device, numbers, owners, trials, count, part, lanes):
    """Score lanes, and add to the trial of each what its device gains."""
    common = np.uint64(points.shape[2]) * BLOCK
    score_lanes(points, device, numbers, owners, count, part, lanes)
    for c in range(np.uint64(count)):
        lanes[common + GAINED + np.uint64(trials[c])] += lanes[common + FOUND + c] - device[owners[c], SCORE]


@kernel
def try_links(game, i, candidates, asks, slots, count, anew, work, lanes, gains, theirs, short):
    """Put what a link from ``candidates[i, slot]`` to i, which has none, would gain into ``gains[i, slot]``.

    As :func:`radioopt.d2d.kernel.gain`, for the first ``count`` of ``slots``, LANES or fewer; of that, ``theirs`` gets
    what the transmitter gains. If nothing else can have changed it is not computed ``anew``. ``asks`` says of each
    candidate link and class whether anything may be asked; ``short`` gets whether the transmitter would run short of
    what others ask too; ``work`` has three rows for lists of lanes.
    """
    points, device, links, trust, outage, numbers = game
    classes, transmitters, owners, trials = np.uint64(points.shape[2]), work[0], work[1], work[2]
    common, weight = classes * BLOCK, (1.0 + numbers[GAMMA]) * numbers[ALPHA]
    for c in range(count):
        transmitters[c], owners[c], trials[c] = candidates[i, slots[c]], i, c
        lanes[common + GAINED + np.uint64(c)] = 0.0
    give(points, outage, numbers, i, asks, slots, transmitters, count, lanes)
    add_scores(points, device, numbers, transmitters, trials, count, THEIRS, lanes)
    for c in range(count):
        gained = weight * lanes[common + GAINED + np.uint64(c)]
        gains[i, slots[c]] += gained - theirs[i, slots[c]]
        theirs[i, slots[c]] = gained
    if not anew:
        return
    receive(points, i, count, lanes)
    add_scores(points, device, numbers, owners, trials, count, MINE, lanes)
    waiting = 0
    for c in range(count):
        j = transmitters[c]
        short[i, slots[c]] = lanes[common + SHORT + np.uint64(c)] > 0.0
        k = links[j, HEAD] if short[i, slots[c]] else -1
        while k >= 0:
            arrives, factor = 1.0 - outage[k, j], request_factor(outage, numbers, k, j)
            for m in range(classes):
                row = m * BLOCK
                asked = points[k, DEFICIT, m] * factor if trust[j, k, m] else 0.0
                less = lanes[row + LESS + np.uint64(c)]
                lanes[row + SCORED + np.uint64(waiting)] = points[k, AFTER, m] + arrives * asked * less
            owners[waiting], trials[waiting] = k, c
            waiting += 1
            if waiting == LANES:
                add_scores(points, device, numbers, owners, trials, waiting, SCORED, lanes)
                waiting = 0
            k = links[k, FOLLOWING]
    if waiting > 0:
        add_scores(points, device, numbers, owners, trials, waiting, SCORED, lanes)
    for c in range(count):
        cost = (1.0 + numbers[GAMMA]) * numbers[BETA] * outage[i, transmitters[c]]
        gains[i, slots[c]] = weight * lanes[common + GAINED + np.uint64(c)] - cost
