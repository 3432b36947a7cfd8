"""Local search and enumeration of D2D graphs.

Local search is coordinate ascent on F: a device at a time gets the transmitter that is best while all others stay. F
rises with every move and there are finitely many graphs, so it ends, where no device alone can do better. Selfish
devices may go in circles instead, and F is neither submodular nor monotone, so that no greedy order is safe.

What a link would gain depends on its transmitter, on what the receiver itself gives and, if the transmitter would run
short, on its receivers; it is kept until one of these changes, and a device for which nothing has changed stays as it
is. ``clock`` counts moves, and the stamps of a device say at which it last was concerned.
"""

import math

import numpy as np

from radioopt.d2d.kernel import (
    AFTER,
    ALPHA,
    BETA,
    BUDGET,
    CLUSTER,
    DEFICIT,
    FOLLOWING,
    GAMMA,
    HEAD,
    RECEIVED,
    SOURCE,
    SURPLUS,
    attach,
    begin,
    budget_gain,
    detach,
    gain,
    objective,
    request_factor,
)
from radioopt.d2d.kernel_trials import LANES, room, try_links
from radioopt.numerics.jit import kernel

# stamps[what, device]: when what is asked of it changed, when what it has did, when what is asked of a receiver of its
# did; when it last chose; and stamps[LOADED, cluster], when requests of that did
ASKED_OF, HOLDING, SHARING, SETTLED, LOADED = range(5)
#: relative difference of points that counts as none
UNCHANGED = 1e-13


@kernel
def fill_candidates(game, allowed, nearest, candidates, asks):
    """List the first useful ones of the ``nearest`` transmitters of every device, -1 behind them; return the fewest.

    Devices that lack nothing do not count. ``asks`` gets whether the receiver may ask for anything, for each of these
    links and each class.
    """
    points, _, _, trust, outage, numbers = game
    devices, most = candidates.shape
    fewest = most
    for i in range(devices):
        size, lacking = 0, False
        for m in range(points.shape[2]):
            lacking |= points[i, DEFICIT, m] > 0.0
        for j in nearest[i]:
            if size == most:
                break
            if i == j or not allowed[i, j] or request_factor(outage, numbers, i, j) == 0.0:
                continue
            useful = False
            for m in range(points.shape[2]):
                asks[i, size, m] = (points[j, SURPLUS, m] > 0.0) & trust[j, i, m]
                useful |= asks[i, size, m] & (points[i, DEFICIT, m] > 0.0)
            if useful:
                candidates[i, size] = j
                size += 1
        fewest = min(fewest, size) if lacking else fewest
        for c in range(size, most):
            candidates[i, c] = -1
    return fewest


@kernel
def mark(points, links, i, old, new, known, stamps, clock):
    """Note whom a move of i from transmitter ``old`` to ``new`` concerns."""
    stamps[LOADED, links[i, CLUSTER]] = clock
    stamps[HOLDING, i], known[i] = clock, points[i, AFTER]
    for j in (old, new):
        if j >= 0:
            stamps[ASKED_OF, j], known[j] = clock, points[j, AFTER]
            if links[j, SOURCE] >= 0:
                stamps[SHARING, links[j, SOURCE]] = clock
            k = links[j, HEAD]
            while k >= 0:
                for m in range(points.shape[2]):
                    if abs(points[k, AFTER, m] - known[k, m]) > UNCHANGED * (1.0 + known[k, m]):
                        known[k, m] = points[k, AFTER, m]
                        stamps[HOLDING, k] = clock
                k = links[k, FOLLOWING]


@kernel
def climb(game, candidates, asks, order, max_passes, trials, stamps, clock):
    """Let devices choose in order until none moves; return the clock and the passes, negative if cut short."""
    points, device, links, trust, outage, numbers = game
    gains, theirs, times, short = trials
    lanes, work = room(points.shape[2]), np.empty((3, LANES), np.int64)
    slots, waiting = np.empty((2, LANES), np.int64), np.empty(2, np.int64)
    tolerance = 1e-12 * (1.0 + numbers[GAMMA]) * (numbers[ALPHA] + numbers[BETA])
    received = numbers[RECEIVED] > 0.0
    budgeted = received or device[:, BUDGET].min() < math.inf
    known = points[: device.shape[0], AFTER].copy()
    clock += 1
    stamps[:] = clock
    stamps[SETTLED] = 0
    for passed in range(max_passes):
        moved = False
        for i in order:
            settled, old = stamps[SETTLED, i], links[i, SOURCE]
            again = received or max(stamps[ASKED_OF, i], stamps[LOADED, links[i, CLUSTER]]) > settled
            if old >= 0:
                changed = max(stamps[ASKED_OF, old], stamps[HOLDING, old])
                again = again or max(changed, stamps[SHARING, old]) > settled
            detached = False
            waiting[:] = 0
            for c in range(candidates.shape[1]):
                j, since = candidates[i, c], times[i, c]
                if j < 0:
                    break
                anew = since < stamps[ASKED_OF, j] or since < stamps[ASKED_OF, i]
                anew = anew or (short[i, c] and since < stamps[SHARING, j])
                if j == old or not (anew or since < stamps[HOLDING, j]):
                    continue
                if not detached:
                    detach(points, device, links, trust, outage, numbers, i)
                    detached = True
                kind = 1 if anew else 0
                times[i, c], slots[kind, waiting[kind]] = clock, c
                waiting[kind] += 1
                if waiting[kind] == LANES:
                    try_links(
                        game, i, candidates, asks, slots[kind], LANES, anew, work, lanes, gains, theirs, short
                    )
                    waiting[kind] = 0
            for kind in range(2):
                if waiting[kind] > 0:
                    try_links(
                        game,
                        i,
                        candidates,
                        asks,
                        slots[kind],
                        waiting[kind],
                        kind == 1,
                        work,
                        lanes,
                        gains,
                        theirs,
                        short,
                    )
            if not (detached or again):
                continue
            if not detached:
                detach(points, device, links, trust, outage, numbers, i)
            best, value = old, 0.0
            if old >= 0:
                value = gain(points, device, links, trust, outage, numbers, i, old)
                value += budget_gain(points, device, links, trust, outage, numbers, i, old)
                if value < -tolerance:
                    best, value = -1, 0.0
            for c in range(candidates.shape[1]):
                j = candidates[i, c]
                if j < 0:
                    break
                # more requests cost, but less may be received
                if j != old and (gains[i, c] > value + tolerance or received):
                    found = gains[i, c]
                    if budgeted:
                        found += budget_gain(points, device, links, trust, outage, numbers, i, j)
                    if found > value + tolerance:
                        best, value = j, found
            attach(points, device, links, trust, outage, numbers, i, best)
            if best != old:
                moved, clock = True, clock + 1
                mark(points, links, i, old, best, known, stamps, clock)
            stamps[SETTLED, i] = clock
        if not moved:
            return clock, passed + 1
    return clock, -max_passes


@kernel
def local_search(game, candidates, asks, initial, orders, max_passes, best):
    """Climb from every row of ``initial`` in its order; ``best`` gets the best graph.

    Returns
    -------
    value : float
        Its objective.
    passes : int
        Passes over all devices.
    finished : bool
        Whether every climb ended by itself.
    """
    points, device, links, trust, outage, numbers = game
    shape = candidates.shape
    trials = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    stamps = np.zeros((5, candidates.shape[0]), np.int64)
    value, passes, finished, clock = -math.inf, 0, True, 0
    for start in range(initial.shape[0]):
        begin(points, device, links, trust, outage, numbers, initial[start])
        clock, used = climb(game, candidates, asks, orders[start], max_passes, trials, stamps, clock)
        passes += abs(used)
        finished = finished and used > 0
        found = objective(device, links, outage, numbers)
        if found > value:
            value = found
            best[:] = links[:, SOURCE]
    return value, passes, finished


@kernel
def enumerate_graphs(game, candidates, best):
    """Try every graph of candidate links; ``best`` gets the best graph. Returns its objective and their number.

    All devices but the last run through their choices in a reflected Gray code, one changing at a time, and the
    last one's links are only tried. Choice 0 is no link.
    """
    devices, last = candidates.shape[0], candidates.shape[0] - 1
    sizes, at, step = np.ones(devices, np.int64), np.zeros(devices, np.int64), np.ones(devices, np.int64)
    for i in range(devices):
        for j in candidates[i]:
            sizes[i] += j >= 0
    points, device, links, trust, outage, numbers = game
    begin(points, device, links, trust, outage, numbers, np.full(devices, -1, np.int64))
    value, count = -math.inf, 0
    while True:
        here = objective(device, links, outage, numbers)
        for choice in range(sizes[last]):
            count += 1
            j = candidates[last, choice - 1] if choice > 0 else -1
            found = here
            if j >= 0 and here > -math.inf:
                found += gain(points, device, links, trust, outage, numbers, last, j)
                found += budget_gain(points, device, links, trust, outage, numbers, last, j)
            if found > value:
                value = found
                best[:] = links[:, SOURCE]
                best[last] = j
        i = last - 1
        while i >= 0 and not 0 <= at[i] + step[i] < sizes[i]:
            step[i] = -step[i]
            i -= 1
        if i < 0:
            return value, count
        at[i] += step[i]
        detach(points, device, links, trust, outage, numbers, i)
        if at[i] > 0:
            attach(points, device, links, trust, outage, numbers, i, candidates[i, at[i] - 1])
