"""Local search and enumeration of D2D graphs.

Local search is coordinate ascent on F: a device at a time gets the transmitter that is best while all others stay. F
rises with every move and there are finitely many graphs, so it ends, where no device alone can do better. Selfish
devices may go in circles instead, and F is neither submodular nor monotone, so that no greedy order is safe.

It starts from a round of selfish choices: each device in turn takes the link that is best for itself, and of its
transmitter only the points that devices before it did not ask for. That is one score per link where a trial of F takes
three, and leaves few moves to do.

What a link would gain depends on its transmitter, on what the receiver itself gives and, if the transmitter would run
short, on its receivers; it is kept until one of these changes, and a device for which nothing has changed stays as it
is. ``clock`` counts moves, and the stamps of a device say at which it last was concerned, and at which it last tried
all links that were.
"""

import math

import numpy as np

from radioopt.d2d.kernel import (
    AFTER,
    ALPHA,
    BETA,
    CLUSTER,
    DEFICIT,
    FOLLOWING,
    GAMMA,
    HEAD,
    LINK,
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
from radioopt.d2d.kernel_trials import room, room_for_list, try_alone, try_links
from radioopt.numerics.jit import kernel, lean_kernel

# stamps[what, device]: when what is asked of it changed, when that or what it has did, when what is asked of a receiver
# of its did; when it last tried its links; and stamps[LOADED, cluster], when requests of that did
ASKED_OF, CHANGED, SHARING, TRIED, LOADED = range(5)
#: relative difference of points that counts as none
UNCHANGED = 1e-13


@kernel
def fill_candidates(points, numbers, trust, outage, allowed, nearest, candidates, asks, losses):
    """List the first useful ones of the ``nearest`` transmitters of every device, -1 behind them; return the fewest.

    Devices that lack nothing do not count. ``asks`` gets whether the receiver may ask for anything, for each of these
    links and each class, and ``losses`` the outage of the links.
    """
    devices, most = candidates.shape
    fewest = most
    for i in range(devices):
        size, lacking = 0, False
        for m in range(points.shape[2]):
            lacking |= points[i, DEFICIT, m] > 0.0
        for j in nearest[i]:
            if size == most:
                break
            if i == j or not allowed[i, j] or request_factor(outage[i, j], numbers) == 0.0:
                continue
            useful = False
            for m in range(points.shape[2]):
                asks[i, size, m] = (points[j, SURPLUS, m] > 0.0) & trust[j, i, m]
                useful |= asks[i, size, m] & (points[i, DEFICIT, m] > 0.0)
            if useful:
                candidates[i, size], losses[i, size] = j, outage[i, j]
                size += 1
        fewest = min(fewest, size) if lacking else fewest
        for c in range(size, most):
            candidates[i, c] = -1
    return fewest


@kernel
def fill_links(
    points,
    numbers,
    listed,
    begin,
    order,
    number,
    transmitter,
    outage,
    allowed,
    trust,
    first,
    found,
    losses,
    asks,
):
    """List the useful links of every device; ``first`` gets where its begin, the other three what they are.

    Device i is ``order[i]`` of the problem, whose device j is ``number[j]``; the links to j are ``listed`` from
    ``begin[j]`` on. Returns how many are useful.
    """
    size = 0
    for i in range(order.size):
        first[i] = size
        for at in range(begin[order[i]], begin[order[i] + 1]):
            e, useful = listed[at], False
            j = number[transmitter[e]]
            found[size], losses[size] = j, outage[e]
            for m in range(points.shape[2]):
                asks[size, m] = trust[e, m] & (points[j, SURPLUS, m] > 0.0)
                useful |= asks[size, m] & (points[i, DEFICIT, m] > 0.0)
            size += useful & allowed[e] & (request_factor(outage[e], numbers) > 0.0)
    first[order.size] = size
    return size


@lean_kernel
def most_links(first):
    """Links of the device that has most."""
    most = 0
    for i in range(first.size - 1):
        most = max(most, first[i + 1] - first[i])
    return most


@lean_kernel
def remember(points, known, k):
    """Enter what device k has among what is ``known``; return whether that differs."""
    differs = False
    for m in range(points.shape[2]):
        if abs(points[k, AFTER, m] - known[k, m]) > UNCHANGED * (1.0 + known[k, m]):
            known[k, m], differs = points[k, AFTER, m], True
    return differs


@lean_kernel
def mark(points, links, i, old, new, known, stamps, clock):
    """Note whom a move of i from transmitter ``old`` to ``new`` concerns."""
    stamps[LOADED, links[i, CLUSTER]] = stamps[CHANGED, i] = clock
    remember(points, known, i)
    for j in (old, new):
        if j >= 0:
            stamps[ASKED_OF, j] = stamps[CHANGED, j] = clock
            remember(points, known, j)
            if links[j, SOURCE] >= 0:
                stamps[SHARING, links[j, SOURCE]] = clock
            k = links[j, HEAD]
            while k >= 0:
                if remember(points, known, k):
                    stamps[CHANGED, k] = clock
                k = links[k, FOLLOWING]


@lean_kernel
def list_due(first, transmitter, stamps, i, old, short, listed):
    """List the links to i whose gains may have changed since they were tried, but for ``old``; return how many."""
    due, tried = 0, stamps[TRIED, i]
    every = stamps[ASKED_OF, i] > tried
    for e in range(first[i], first[i + 1]):
        j = transmitter[e]
        listed[due] = e
        changed = every | (stamps[CHANGED, j] > tried) | (short[e] & (stamps[SHARING, j] > tried))
        due += changed & (e != old)
    return due


@lean_kernel
def choose(
    points, device, links, first, transmitter, losses, asks, numbers, i, gains, old, best, value, tolerance
):
    """Return the best link to i, which has none now, and what it gains.

    That is ``best``, which gains ``value``, if no other than ``old`` gains more: to keep that one is not a trial.
    """
    received = numbers[RECEIVED] > 0.0
    for e in range(first[i], first[i + 1]):
        # more requests cost, but less may be received
        if e != old and (gains[e] > value + tolerance or received):
            found = gains[e] + budget_gain(points, device, links, transmitter, losses, asks, numbers, i, e)
            if found > value + tolerance:
                best, value = e, found
    return best, value


@lean_kernel
def serve(
    points, device, links, first, transmitter, losses, asks, numbers, order, gains, listed, scratch, tolerance
):
    """Let devices choose in order, each the link that is best for itself with the points that are not asked for yet."""
    for i in order:
        count = first[i + 1] - first[i]
        for c in range(count):
            listed[c] = first[i] + c
        try_alone(points, device, transmitter, losses, asks, numbers, i, listed, count, scratch, gains)
        e, _ = choose(
            points, device, links, first, transmitter, losses, asks, numbers, i, gains, -1, -1, 0.0, tolerance
        )
        attach(points, device, links, transmitter, losses, asks, numbers, i, e)


@lean_kernel
def climb(
    points, device, links, first, transmitter, losses, asks, numbers, order, max_passes, gains, short, known, stamps,
    listed, scratch, tolerance, clock,
):  # fmt: skip
    """Let devices choose in order until none moves; return the clock and the passes, negative if cut short."""
    weight, dearness = (1.0 + numbers[GAMMA]) * numbers[ALPHA], (1.0 + numbers[GAMMA]) * numbers[BETA]
    clock += 1
    for k in range(device.shape[0]):
        remember(points, known, k)
        for what in range(stamps.shape[0]):
            stamps[what, k] = 0 if what == TRIED else clock
    for passed in range(max_passes):
        moved = False
        for i in order:
            tried, old, held = stamps[TRIED, i], links[i, LINK], links[i, SOURCE]
            due = list_due(first, transmitter, stamps, i, old, short, listed)
            again = due > 0 or max(stamps[ASKED_OF, i], stamps[LOADED, links[i, CLUSTER]]) > tried
            again = again or (old >= 0 and max(stamps[CHANGED, held], stamps[SHARING, held]) > tried)
            if not again and numbers[RECEIVED] == 0.0:
                continue
            stamps[TRIED, i] = clock
            value, best = -weight * detach(points, device, links, numbers, i), old
            try_links(
                points,
                device,
                links,
                transmitter,
                losses,
                asks,
                numbers,
                i,
                listed,
                due,
                scratch,
                gains,
                short,
            )
            if old >= 0:
                value -= dearness * losses[old]
                value += budget_gain(points, device, links, transmitter, losses, asks, numbers, i, old)
            if value < -tolerance:
                best, value = -1, 0.0
            best, value = choose(
                points, device, links, first, transmitter, losses, asks, numbers, i, gains, old, best, value,
                tolerance,
            )  # fmt: skip
            attach(points, device, links, transmitter, losses, asks, numbers, i, best)
            if best != old:
                moved, clock = True, clock + 1
                mark(points, links, i, held, links[i, SOURCE], known, stamps, clock)
        if not moved:
            return clock, passed + 1
    return clock, -max_passes


@kernel
def local_search(game, initial, orders, max_passes, best):
    """Climb from every row of ``initial``, links, in its order, from the first once served.

    ``best`` gets the transmitters of the best graph.

    Returns
    -------
    value : float
        Its objective.
    passes : int
        Passes over all devices.
    finished : bool
        Whether every climb ended by itself.
    """
    points, device, links, first, transmitter, losses, asks, numbers = game
    gains, short = np.zeros(losses.size), np.zeros(losses.size, np.bool_)
    stamps, known = np.zeros((5, device.shape[0]), np.int64), np.zeros((device.shape[0], points.shape[2]))
    most = most_links(first)
    listed, scratch = room_for_list(most), room(device.shape[0], most, points.shape[2])
    tolerance = 1e-12 * (1.0 + numbers[GAMMA]) * (numbers[ALPHA] + numbers[BETA])
    value, passes, finished, clock = -math.inf, 0, True, 0
    for start in range(initial.shape[0]):
        begin(points, device, links, transmitter, losses, asks, numbers, initial[start])
        if start == 0:
            serve(
                points, device, links, first, transmitter, losses, asks, numbers, orders[0], gains, listed, scratch,
                tolerance,
            )  # fmt: skip
        clock, used = climb(
            points, device, links, first, transmitter, losses, asks, numbers, orders[start], max_passes, gains, short,
            known, stamps, listed, scratch, tolerance, clock,
        )  # fmt: skip
        passes += abs(used)
        finished = finished and used > 0
        found = objective(device, links, losses, numbers)
        if found > value:
            value = found
            best[:] = links[:, SOURCE]
    return value, passes, finished


@kernel
def enumerate_graphs(game, best):
    """Try every graph of candidate links; ``best`` gets the best graph. Returns its objective and their number.

    All devices but the last run through their choices in a reflected Gray code, one changing at a time, and the
    last one's links are only tried. Choice 0 is no link.
    """
    points, device, links, first, transmitter, losses, asks, numbers = game
    devices, last = device.shape[0], device.shape[0] - 1
    sizes, at, step = np.ones(devices, np.int64), np.zeros(devices, np.int64), np.ones(devices, np.int64)
    for i in range(devices):
        sizes[i] += first[i + 1] - first[i]
    begin(points, device, links, transmitter, losses, asks, numbers, np.full(devices, -1, np.int64))
    value, count = -math.inf, 0
    while True:
        here = objective(device, links, losses, numbers)
        for choice in range(sizes[last]):
            count += 1
            e = first[last] + choice - 1
            found = here
            if choice > 0 and here > -math.inf:
                found += gain(points, device, links, transmitter, losses, asks, numbers, last, e)
                found += budget_gain(points, device, links, transmitter, losses, asks, numbers, last, e)
            if found > value:
                value = found
                best[:] = links[:, SOURCE]
                best[last] = transmitter[e] if choice > 0 else -1
        i = last - 1
        while i >= 0 and not 0 <= at[i] + step[i] < sizes[i]:
            step[i] = -step[i]
            i -= 1
        if i < 0:
            return value, count
        at[i] += step[i]
        detach(points, device, links, numbers, i)
        if at[i] > 0:
            attach(points, device, links, transmitter, losses, asks, numbers, i, first[i] + at[i] - 1)
