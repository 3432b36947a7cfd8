"""D2D kernels: messages, scores and rewards of a graph, and what one link more or less changes.

A link from j to i concerns i, j and the other receivers of j, nobody else: all else is a sum that stays. So a link is
tried in the time of a few scores, whatever the number of devices.

The arrays are those of :class:`radioopt.d2d.game.Game`. They are handed on one by one and addressed by device and row,
never as a tuple or a view, which costs ten times the arithmetic. Behind the N devices ``points`` has three more rows,
for trials; COUNTS of the first is the ideal distribution.
"""

import math

from radioopt.numerics.jit import kernel, vector_kernel

# points[device, row, class]; the last two rows are the graph's
COUNTS, SURPLUS, DEFICIT, NEEDED, DEMAND, AFTER = range(6)
# of a row for trials: share of what is asked that a transmitter sends, with a link more and now
SHARE, SHARE_NOW = SURPLUS, DEFICIT
#: least divisor
TINY = 1e-300
# device[device, column], then device[cluster, column]; SCORE, OUTSIDE and LOAD are the graph's
TOTAL, BEFORE, SCORE, OUTSIDE, BUDGET, MEMBERS, LOAD, LOAD_LOW, CROSSING = range(9)
# links[device, column]: transmitter, receivers as a doubly linked list, cluster
SOURCE, HEAD, FOLLOWING, PREVIOUS, CLUSTER = range(5)
# numbers[...]
ALPHA, BETA, GAMMA, PENALTY, KAPPA, METRIC, CHANGE, RECEIVED, COMPENSATED = range(9)


@vector_kernel
def distance(points, metric, at, total, other, other_total):
    """Distance of the points AFTER of one row from the COUNTS of another; without data the largest there is."""
    size = points.shape[2]
    if total <= 0.0 or other_total <= 0.0:
        if total <= 0.0 and other_total <= 0.0:
            return 0.0
        return size - 1.0 if metric == 0.0 else 1.0
    a, b = 1.0 / total, 1.0 / other_total
    found, gap = 0.0, 0.0
    if metric == 0.0:
        for m in range(size - 1):
            gap += points[at, AFTER, m] * a - points[other, COUNTS, m] * b
            found += abs(gap)
        return found
    if metric == 1.0:
        for m in range(size):
            found += abs(points[at, AFTER, m] * a - points[other, COUNTS, m] * b)
        return 0.5 * found
    for m in range(size):
        x, y = points[at, AFTER, m] * a, points[other, COUNTS, m] * b
        if x > 0.0:
            found += x * math.log(2.0 * x / (x + y))
        if y > 0.0:
            found += y * math.log(2.0 * y / (x + y))
    return 0.5 * found / math.log(2.0)


@vector_kernel
def score(points, device, numbers, k, at):
    """Score S of device k with the points AFTER of row ``at``."""
    met, total = 0, 0.0
    for m in range(points.shape[2]):
        total += points[at, AFTER, m]
        met += points[at, AFTER, m] >= points[k, NEEDED, m]
    if met < numbers[KAPPA]:
        return 0.0
    if numbers[CHANGE] > 0.0:
        return distance(points, numbers[METRIC], at, total, k, device[k, TOTAL])
    ideal = device.shape[0]
    return max(0.0, device[k, BEFORE] - distance(points, numbers[METRIC], at, total, ideal, 1.0))


@kernel
def request_factor(outage, numbers, i, j):
    """Points that i asks of j for each that it lacks."""
    if numbers[COMPENSATED] == 0.0:
        return 1.0
    return 1.0 / (1.0 - outage[i, j]) if outage[i, j] < 1.0 else 0.0


@kernel
def refresh(points, device, links, trust, outage, numbers, k):
    """Bring points and score of device k up to date with the demands; return its points towards a budget."""
    for m in range(points.shape[2]):
        points[k, AFTER, m] = points[k, COUNTS, m] - min(points[k, DEMAND, m], points[k, SURPLUS, m])
    j, counted = links[k, SOURCE], 0.0
    if j >= 0:
        arrives, factor = 1.0 - outage[k, j], request_factor(outage, numbers, k, j)
        for m in range(points.shape[2]):
            spare = points[j, SURPLUS, m]
            if points[k, DEFICIT, m] > 0.0 and spare > 0.0 and trust[j, k, m]:
                asked = points[k, DEFICIT, m] * factor
                sent = asked
                if points[j, DEMAND, m] > spare:
                    sent = asked / points[j, DEMAND, m] * spare
                points[k, AFTER, m] += arrives * sent
                counted += arrives * sent if numbers[RECEIVED] > 0.0 else asked
        if links[j, CLUSTER] == links[k, CLUSTER]:
            counted = 0.0
    device[k, SCORE] = score(points, device, numbers, k, k)
    return counted


@kernel
def count(device, cluster, points):
    """Add to the points of a cluster, or take away; in two parts, so that rounding does not pile up."""
    load = device[cluster, LOAD] + points
    part = load - device[cluster, LOAD]
    low = device[cluster, LOAD_LOW] + ((device[cluster, LOAD] - (load - part)) + (points - part))
    device[cluster, CROSSING] += (1.0 if points > 0.0 else 0.0) - (1.0 if points < 0.0 else 0.0)
    if device[cluster, CROSSING] == 0.0:
        load, low = 0.0, 0.0
    device[cluster, LOAD] = load + low
    device[cluster, LOAD_LOW] = low - (device[cluster, LOAD] - load)


@kernel
def update(points, device, links, trust, outage, numbers, k):
    """Bring device k and the points of its cluster up to date."""
    counted = refresh(points, device, links, trust, outage, numbers, k)
    if counted != device[k, OUTSIDE]:
        count(device, links[k, CLUSTER], -device[k, OUTSIDE])
        count(device, links[k, CLUSTER], counted)
        device[k, OUTSIDE] = counted


@kernel
def ask(points, trust, outage, numbers, i, j):
    """Add what i asks to the demand on j."""
    factor = request_factor(outage, numbers, i, j)
    for m in range(points.shape[2]):
        if points[i, DEFICIT, m] > 0.0 and points[j, SURPLUS, m] > 0.0 and trust[j, i, m]:
            points[j, DEMAND, m] += points[i, DEFICIT, m] * factor


@kernel
def play(points, device, links, trust, outage, numbers):
    """Exchange over the graph of ``links[:, SOURCE]``, without the lists of receivers."""
    for j in range(device.shape[0]):
        device[j, LOAD], device[j, LOAD_LOW], device[j, CROSSING] = 0.0, 0.0, 0.0
        for m in range(points.shape[2]):
            points[j, DEMAND, m] = 0.0
    for i in range(device.shape[0]):
        if links[i, SOURCE] >= 0:
            ask(points, trust, outage, numbers, i, links[i, SOURCE])
    for k in range(device.shape[0]):
        device[k, OUTSIDE] = refresh(points, device, links, trust, outage, numbers, k)
        count(device, links[k, CLUSTER], device[k, OUTSIDE])


@kernel
def begin(points, device, links, trust, outage, numbers, source):
    """Start from a graph."""
    for i in range(source.size):
        links[i, SOURCE], links[i, HEAD] = source[i], -1
    for i in range(source.size - 1, -1, -1):
        if source[i] >= 0:
            enter(links, i, source[i])
    play(points, device, links, trust, outage, numbers)


@kernel
def enter(links, i, j):
    """Enter i among the receivers of j >= 0."""
    links[i, SOURCE], links[i, PREVIOUS], links[i, FOLLOWING] = j, -1, links[j, HEAD]
    if links[j, HEAD] >= 0:
        links[links[j, HEAD], PREVIOUS] = i
    links[j, HEAD] = i


@kernel
def touch(points, device, links, trust, outage, numbers, j):
    """Bring transmitter j and its receivers up to date after a change among them."""
    for m in range(points.shape[2]):
        points[j, DEMAND, m] = 0.0
    k = links[j, HEAD]
    while k >= 0:
        ask(points, trust, outage, numbers, k, j)
        k = links[k, FOLLOWING]
    update(points, device, links, trust, outage, numbers, j)
    k = links[j, HEAD]
    while k >= 0:
        update(points, device, links, trust, outage, numbers, k)
        k = links[k, FOLLOWING]


@kernel
def attach(points, device, links, trust, outage, numbers, i, j):
    """Let i, which has no transmitter, receive from j; -1 does nothing."""
    if j >= 0:
        enter(links, i, j)
        touch(points, device, links, trust, outage, numbers, j)


@kernel
def detach(points, device, links, trust, outage, numbers, i):
    """Take i's transmitter away and return it; -1 if it had none."""
    j = links[i, SOURCE]
    if j < 0:
        return j
    before, behind = links[i, PREVIOUS], links[i, FOLLOWING]
    if before >= 0:
        links[before, FOLLOWING] = behind
    else:
        links[j, HEAD] = behind
    if behind >= 0:
        links[behind, PREVIOUS] = before
    links[i, SOURCE] = -1
    touch(points, device, links, trust, outage, numbers, j)
    update(points, device, links, trust, outage, numbers, i)
    return j


@vector_kernel
def gain(points, device, links, trust, outage, numbers, i, j):
    """Objective gained if i, which has no transmitter, received from j, without the cost of budgets."""
    mine, theirs, own = device.shape[0], device.shape[0] + 1, device.shape[0] + 2
    arrives, factor, crowded = 1.0 - outage[i, j], request_factor(outage, numbers, i, j), 0
    for m in range(points.shape[2]):  # without branches: whom j trusts with what is as good as random
        spare, demand = points[j, SURPLUS, m], points[j, DEMAND, m]
        asked = points[i, DEFICIT, m] * factor if trust[j, i, m] & (spare > 0.0) else 0.0
        share = min(1.0, spare / max(demand + asked, TINY))
        points[mine, AFTER, m] = points[i, AFTER, m] + arrives * asked * share
        points[theirs, AFTER, m] = points[j, AFTER, m] + min(demand, spare) - min(demand + asked, spare)
        points[theirs, SHARE, m] = share
        points[theirs, SHARE_NOW, m] = min(1.0, spare / max(demand, TINY))
        crowded += (asked > 0.0) & (demand > 0.0) & (demand + asked > spare)
    gained = score(points, device, numbers, i, mine) - device[i, SCORE]
    gained += score(points, device, numbers, j, theirs) - device[j, SCORE]
    if crowded > 0:
        k = links[j, HEAD]
        while k >= 0:
            arrives, factor = 1.0 - outage[k, j], request_factor(outage, numbers, k, j)
            for m in range(points.shape[2]):
                asked = points[k, DEFICIT, m] * factor if trust[j, k, m] else 0.0
                less = points[theirs, SHARE, m] - points[theirs, SHARE_NOW, m]
                points[own, AFTER, m] = points[k, AFTER, m] + arrives * asked * less
            gained += score(points, device, numbers, k, own) - device[k, SCORE]
            k = links[k, FOLLOWING]
    return (1.0 + numbers[GAMMA]) * (numbers[ALPHA] * gained - numbers[BETA] * outage[i, j])


@kernel
def excess(device, cluster, load):
    """How much a cluster costs for exceeding its budget: |H| (b/B - 1)_+, infinite where the budget is 0."""
    if load <= device[cluster, BUDGET]:
        return 0.0
    if device[cluster, BUDGET] <= 0.0:
        return math.inf
    return device[cluster, MEMBERS] * (load / device[cluster, BUDGET] - 1.0)


@kernel
def total_excess(device):
    """Sum of what the clusters cost."""
    found = 0.0
    for cluster in range(device.shape[0]):
        found += excess(device, cluster, device[cluster, LOAD])
    return found


@kernel
def objective(device, links, outage, numbers):
    """F of the graph; -inf where a budget of 0 is exceeded."""
    found = 0.0
    for k in range(device.shape[0]):
        found += numbers[ALPHA] * device[k, SCORE]
        if links[k, SOURCE] >= 0:
            found -= numbers[BETA] * outage[k, links[k, SOURCE]]
    over = total_excess(device)
    if over == math.inf:
        return -math.inf
    return (1.0 + numbers[GAMMA]) * found - numbers[GAMMA] * numbers[PENALTY] * over


@kernel
def budget_gain(points, device, links, trust, outage, numbers, i, j):
    """Objective gained by what a link from j to i, which has none, does to the budgets; -inf if it is forbidden."""
    if numbers[RECEIVED] > 0.0:  # every receiver of j gets something else
        before = total_excess(device)
        attach(points, device, links, trust, outage, numbers, i, j)
        after = total_excess(device)
        detach(points, device, links, trust, outage, numbers, i)
    else:
        cluster = links[i, CLUSTER]
        if links[j, CLUSTER] == cluster or device[cluster, BUDGET] == math.inf:
            return 0.0
        counted, factor = 0.0, request_factor(outage, numbers, i, j)
        for m in range(points.shape[2]):
            if points[i, DEFICIT, m] > 0.0 and points[j, SURPLUS, m] > 0.0 and trust[j, i, m]:
                counted += points[i, DEFICIT, m] * factor
        before = excess(device, cluster, device[cluster, LOAD])
        after = excess(device, cluster, device[cluster, LOAD] + counted)
    if after == math.inf:
        return -math.inf
    return numbers[GAMMA] * numbers[PENALTY] * (before - after)
