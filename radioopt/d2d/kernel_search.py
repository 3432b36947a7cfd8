"""Local search and enumeration of D2D graphs.

Local search is coordinate ascent on F: a device at a time gets the transmitter that is best while all others stay. F
rises with every move and there are finitely many graphs, so it ends, where no device alone can do better. Selfish
devices may go in circles instead, and F is neither submodular nor monotone, so that no greedy order is safe.

What a link would gain depends on its transmitter, on that one's receivers and on what the receiver itself gives, so it
is kept until one of these changes. ``clock`` counts moves; ``stamp`` says when a transmitter or a receiver of its was
last concerned, ``given`` when a device's own giving was.
"""

import math

import numpy as np

from radioopt.d2d.kernel import (
    ALPHA,
    BETA,
    BUDGET,
    FOLLOWING,
    GAMMA,
    HEAD,
    RECEIVED,
    SOURCE,
    attach,
    begin,
    budget_gain,
    detach,
    gain,
    is_useful,
    objective,
)
from radioopt.numerics.jit import kernel


@kernel
def fill_candidates(points, trust, outage, numbers, allowed, candidates):
    """List the useful transmitters of least outage of every device, -1 behind them; return the number of links.

    A heap with the worst on top, so that a device looks at every other one once.
    """
    devices, most = candidates.shape
    total = 0
    for i in range(devices):
        heap, size = candidates[i], 0
        for j in range(devices):
            lost = outage[i, j]
            if size == most and lost >= outage[i, heap[0]]:
                continue
            if not (allowed[i, j] and is_useful(points, trust, outage, numbers, i, j)):
                continue
            if size < most:
                at = size
                size += 1
                while at > 0 and outage[i, heap[(at - 1) // 2]] < lost:
                    heap[at] = heap[(at - 1) // 2]
                    at = (at - 1) // 2
            else:
                at = 0
                while True:
                    child = 2 * at + 1
                    if child >= size:
                        break
                    if child + 1 < size and outage[i, heap[child + 1]] > outage[i, heap[child]]:
                        child += 1
                    if outage[i, heap[child]] <= lost:
                        break
                    heap[at] = heap[child]
                    at = child
            heap[at] = j
        total += size
        for at in range(size, most):
            heap[at] = -1
    return total


@kernel
def mark(links, i, old, new, stamp, given, clock):
    """Note whom a move of i from transmitter ``old`` to ``new`` concerns."""
    stamp[i] = clock
    for j in (old, new):
        if j >= 0:
            stamp[j], given[j] = clock, clock
            if links[j, SOURCE] >= 0:
                stamp[links[j, SOURCE]] = clock
            k = links[j, HEAD]
            while k >= 0:
                stamp[k] = clock
                k = links[k, FOLLOWING]


@kernel
def climb(game, candidates, order, max_passes, gains, times, stamp, given, clock):
    """Let devices choose in order until none moves; return the clock and the passes, negative if cut short."""
    points, device, links, trust, outage, numbers = game
    tolerance = 1e-12 * (1.0 + numbers[GAMMA]) * (numbers[ALPHA] + numbers[BETA])
    received = numbers[RECEIVED] > 0.0
    budgeted = received or device[:, BUDGET].min() < math.inf
    clock += 1
    stamp[:] = clock
    for passed in range(max_passes):
        moved = False
        for i in order:
            old = detach(points, device, links, trust, outage, numbers, i)
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
                if j == old:
                    continue
                if times[i, c] < stamp[j] or times[i, c] < given[i]:
                    gains[i, c] = gain(points, device, links, trust, outage, numbers, i, j)
                    times[i, c] = clock
                if (
                    gains[i, c] > value + tolerance or received
                ):  # more requests cost, but less may be received
                    found = gains[i, c]
                    if budgeted:
                        found += budget_gain(points, device, links, trust, outage, numbers, i, j)
                    if found > value + tolerance:
                        best, value = j, found
            attach(points, device, links, trust, outage, numbers, i, best)
            if best != old:
                moved, clock = True, clock + 1
                mark(links, i, old, best, stamp, given, clock)
        if not moved:
            return clock, passed + 1
    return clock, -max_passes


@kernel
def local_search(game, candidates, initial, orders, max_passes, best):
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
    devices, width = candidates.shape
    points, device, links, trust, outage, numbers = game
    gains, times = np.empty((devices, width)), np.zeros((devices, width), np.int64)
    stamp, given = np.zeros(devices, np.int64), np.zeros(devices, np.int64)
    value, passes, finished, clock = -math.inf, 0, True, 0
    for start in range(initial.shape[0]):
        begin(points, device, links, trust, outage, numbers, initial[start])
        clock, used = climb(game, candidates, orders[start], max_passes, gains, times, stamp, given, clock)
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
