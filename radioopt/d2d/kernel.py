"""D2D kernels: messages, scores and rewards of a graph, and what one link more or less changes.

A link from j to i concerns i, j and the other receivers of j, nobody else: all else is a sum that stays. So a link is
tried in the time of a few scores, whatever the number of devices.

The arrays are those of :class:`radioopt.d2d.game.Game`. They are handed on one by one and addressed by device and row,
never as a tuple or a view, which costs ten times the arithmetic. Behind the N devices ``points`` has three more rows,
for trials; COUNTS of the first is the ideal distribution. A link that may be used is a number e: its transmitter is
``transmitter[e]``, its outage ``losses[e]``, and ``asks[e, m]`` says whether class m may be asked for. So nothing here
has a row and a column per device.
"""

import math

from radioopt.numerics.jit import kernel, lean_kernel

# points[device, row, class]; ASKED (of its transmitter), DEMAND (on it) and AFTER are the graph's
COUNTS, DEFICIT, ASKED, NEEDED, SURPLUS, DEMAND, AFTER = range(7)
# of a row for trials: share of what is asked that a transmitter sends, with a link more and now
SHARE, SHARE_NOW = SURPLUS, DEFICIT
#: least divisor
TINY = 1e-300
# device[device, column], then device[cluster, column]; SCORE, ARRIVES, OUTSIDE and LOAD are the graph's
TOTAL, BEFORE, SCORE, ARRIVES, OUTSIDE, BUDGET, MEMBERS, LOAD, LOAD_LOW, CROSSING = range(10)
# links[device, column]: transmitter, receivers as a doubly linked list, cluster, number of the link to the transmitter;
# and links[cluster, SEEN], 0 but inside :func:`excess_about`
SOURCE, HEAD, FOLLOWING, PREVIOUS, CLUSTER, LINK, SEEN = range(7)
# numbers[...]
ALPHA, BETA, GAMMA, PENALTY, KAPPA, METRIC, CHANGE, RECEIVED, COMPENSATED = range(9)


@lean_kernel
def score(points, device, numbers, k, at):
    """Score S of device k with the points AFTER of row ``at``: by how much its distance changes, if the gate is met."""
    size, met, total, change = points.shape[2], 0, 0.0, numbers[CHANGE] > 0.0
    for m in range(size):
        total += points[at, AFTER, m]
        met += points[at, AFTER, m] >= points[k, NEEDED, m]
    other, other_total = (k, device[k, TOTAL]) if change else (device.shape[0], 1.0)
    a, b = 1.0 / max(total, TINY), 1.0 / max(other_total, TINY)
    found, gap, metric, largest = 0.0, 0.0, numbers[METRIC], 1.0
    if metric == 0.0:
        largest = size - 1.0
        for m in range(size - 1):
            gap += points[at, AFTER, m] * a - points[other, COUNTS, m] * b
            found += abs(gap)
    else:
        for m in range(size):
            x, y = points[at, AFTER, m] * a, points[other, COUNTS, m] * b
            if metric == 1.0:
                found += 0.5 * abs(x - y)
            else:
                each = x * math.log(2.0 * x / (x + y)) if x > 0.0 else 0.0
                each += y * math.log(2.0 * y / (x + y)) if y > 0.0 else 0.0
                found += each * (0.5 / math.log(2.0))
    if total <= 0.0 or other_total <= 0.0:  # without data the largest distance there is
        found = largest if total > 0.0 or other_total > 0.0 else 0.0
    found = found if change else max(0.0, device[k, BEFORE] - found)
    return found if met >= numbers[KAPPA] else 0.0


@lean_kernel
def request_factor(lost, numbers):
    """Points that a receiver asks for over a link of this outage, for each that it lacks."""
    if numbers[COMPENSATED] == 0.0:
        return 1.0
    return 1.0 / (1.0 - lost) if lost < 1.0 else 0.0


@lean_kernel
def refresh(points, device, links, numbers, k):
    """Bring points and score of device k up to date with the demands; return its points towards a budget."""
    for m in range(points.shape[2]):
        points[k, AFTER, m] = points[k, COUNTS, m] - min(points[k, DEMAND, m], points[k, SURPLUS, m])
    j, arrives, counted = links[k, SOURCE], device[k, ARRIVES], 0.0
    if j >= 0:
        for m in range(points.shape[2]):
            asked, demand, spare = points[k, ASKED, m], points[j, DEMAND, m], points[j, SURPLUS, m]
            sent = asked / demand * spare if demand > spare else asked
            points[k, AFTER, m] += arrives * sent
            counted += arrives * sent if numbers[RECEIVED] > 0.0 else asked
        if links[j, CLUSTER] == links[k, CLUSTER]:
            counted = 0.0
    device[k, SCORE] = score(points, device, numbers, k, k)
    return counted


@lean_kernel
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


@lean_kernel
def update(points, device, links, numbers, k):
    """Bring device k and the points of its cluster up to date; return by how much its score rises."""
    before = device[k, SCORE]
    counted = refresh(points, device, links, numbers, k)
    if counted != device[k, OUTSIDE]:
        count(device, links[k, CLUSTER], -device[k, OUTSIDE])
        count(device, links[k, CLUSTER], counted)
        device[k, OUTSIDE] = counted
    return device[k, SCORE] - before


@lean_kernel
def ask(points, device, losses, asks, numbers, i, e):
    """Note what i asks for over link e, and how much of what is sent arrives."""
    factor, device[i, ARRIVES] = request_factor(losses[e], numbers), 1.0 - losses[e]
    for m in range(points.shape[2]):
        points[i, ASKED, m] = points[i, DEFICIT, m] * factor if asks[e, m] else 0.0


@lean_kernel
def add_demand(points, i, j):
    """Add what i asks to the demand on j."""
    for m in range(points.shape[2]):
        points[j, DEMAND, m] += points[i, ASKED, m]


@kernel
def play(points, device, links, losses, asks, numbers):
    """Exchange over the graph of ``links[:, SOURCE]`` and LINK, without the lists of receivers."""
    for j in range(device.shape[0]):
        device[j, LOAD], device[j, LOAD_LOW], device[j, CROSSING] = 0.0, 0.0, 0.0
        for m in range(points.shape[2]):
            points[j, DEMAND, m] = 0.0
    for i in range(device.shape[0]):
        if links[i, SOURCE] >= 0:
            ask(points, device, losses, asks, numbers, i, links[i, LINK])
            add_demand(points, i, links[i, SOURCE])
    for k in range(device.shape[0]):
        device[k, OUTSIDE] = refresh(points, device, links, numbers, k)
        count(device, links[k, CLUSTER], device[k, OUTSIDE])


@kernel
def begin(points, device, links, transmitter, losses, asks, numbers, chosen):
    """Start from a graph, the link of every device or -1."""
    for i in range(chosen.size):
        links[i, SOURCE], links[i, LINK], links[i, HEAD] = -1, -1, -1
    for i in range(chosen.size - 1, -1, -1):
        if chosen[i] >= 0:
            enter(links, i, transmitter[chosen[i]], chosen[i])
    play(points, device, links, losses, asks, numbers)


@lean_kernel
def enter(links, i, j, e):
    """Enter i among the receivers of j, over link e."""
    links[i, SOURCE], links[i, LINK], links[i, PREVIOUS], links[i, FOLLOWING] = j, e, -1, links[j, HEAD]
    if links[j, HEAD] >= 0:
        links[links[j, HEAD], PREVIOUS] = i
    links[j, HEAD] = i


@lean_kernel
def touch(points, device, links, numbers, i, j):
    """Bring up to date whom a change of i's link from j concerns; return by how much their scores rise.

    Besides the two that is who else receives from j, if j runs short before or after.
    """
    short = False
    for m in range(points.shape[2]):
        short |= points[j, DEMAND, m] > points[j, SURPLUS, m]
        points[j, DEMAND, m] = 0.0
    k = links[j, HEAD]
    while k >= 0:
        add_demand(points, k, j)
        k = links[k, FOLLOWING]
    for m in range(points.shape[2]):
        short |= points[j, DEMAND, m] > points[j, SURPLUS, m]
    risen = update(points, device, links, numbers, j) + update(points, device, links, numbers, i)
    k = links[j, HEAD] if short else -1
    while k >= 0:
        if k != i:
            risen += update(points, device, links, numbers, k)
        k = links[k, FOLLOWING]
    return risen


@lean_kernel
def attach(points, device, links, transmitter, losses, asks, numbers, i, e):
    """Let i, which has no transmitter, receive over link e; -1 does nothing."""
    if e >= 0:
        enter(links, i, transmitter[e], e)
        ask(points, device, losses, asks, numbers, i, e)
        touch(points, device, links, numbers, i, transmitter[e])


@lean_kernel
def detach(points, device, links, numbers, i):
    """Take i's transmitter away, if it has one; return by how much scores rise."""
    j = links[i, SOURCE]
    if j < 0:
        return 0.0
    before, behind = links[i, PREVIOUS], links[i, FOLLOWING]
    if before >= 0:
        links[before, FOLLOWING] = behind
    else:
        links[j, HEAD] = behind
    if behind >= 0:
        links[behind, PREVIOUS] = before
    links[i, SOURCE], links[i, LINK] = -1, -1
    return touch(points, device, links, numbers, i, j)


@lean_kernel
def gain(points, device, links, transmitter, losses, asks, numbers, i, e):
    """Objective gained if i, which has no transmitter, received over link e, without the cost of budgets."""
    mine, theirs, own, j = device.shape[0], device.shape[0] + 1, device.shape[0] + 2, transmitter[e]
    arrives, factor, crowded = 1.0 - losses[e], request_factor(losses[e], numbers), 0
    for m in range(points.shape[2]):  # without branches: whom j trusts with what is as good as random
        spare, demand = points[j, SURPLUS, m], points[j, DEMAND, m]
        asked = points[i, DEFICIT, m] * factor if asks[e, m] else 0.0
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
            for m in range(points.shape[2]):
                less = points[theirs, SHARE, m] - points[theirs, SHARE_NOW, m]
                points[own, AFTER, m] = points[k, AFTER, m] + device[k, ARRIVES] * points[k, ASKED, m] * less
            gained += score(points, device, numbers, k, own) - device[k, SCORE]
            k = links[k, FOLLOWING]
    return (1.0 + numbers[GAMMA]) * (numbers[ALPHA] * gained - numbers[BETA] * losses[e])


@lean_kernel
def excess(device, cluster, load):
    """How much a cluster costs for exceeding its budget: |H| (b/B - 1)_+, infinite where the budget is 0."""
    if load <= device[cluster, BUDGET]:
        return 0.0
    if device[cluster, BUDGET] <= 0.0:
        return math.inf
    return device[cluster, MEMBERS] * (load / device[cluster, BUDGET] - 1.0)


@lean_kernel
def total_excess(device):
    """Sum of what the clusters cost."""
    found = 0.0
    for cluster in range(device.shape[0]):
        found += excess(device, cluster, device[cluster, LOAD])
    return found


@lean_kernel
def excess_about(device, links, i, j):
    """Sum of what the clusters of i and of the receivers of j cost."""
    found = excess(device, links[i, CLUSTER], device[links[i, CLUSTER], LOAD])
    links[links[i, CLUSTER], SEEN] = 1
    k = links[j, HEAD]
    while k >= 0:
        cluster = links[k, CLUSTER]
        if links[cluster, SEEN] == 0:
            found += excess(device, cluster, device[cluster, LOAD])
            links[cluster, SEEN] = 1
        k = links[k, FOLLOWING]
    links[links[i, CLUSTER], SEEN] = 0
    k = links[j, HEAD]
    while k >= 0:
        links[links[k, CLUSTER], SEEN] = 0
        k = links[k, FOLLOWING]
    return found


@lean_kernel
def objective(device, links, losses, numbers):
    """F of the graph; -inf where a budget of 0 is exceeded."""
    found = 0.0
    for k in range(device.shape[0]):
        found += numbers[ALPHA] * device[k, SCORE]
        if links[k, SOURCE] >= 0:
            found -= numbers[BETA] * losses[links[k, LINK]]
    over = total_excess(device)
    if over == math.inf:
        return -math.inf
    return (1.0 + numbers[GAMMA]) * found - numbers[GAMMA] * numbers[PENALTY] * over


@lean_kernel
def budget_gain(points, device, links, transmitter, losses, asks, numbers, i, e):
    """Objective gained by what link e to i, which has none, does to the budgets; -inf if it is forbidden."""
    j = transmitter[e]
    if numbers[RECEIVED] > 0.0:  # every receiver of j gets something else
        before = excess_about(device, links, i, j)
        attach(points, device, links, transmitter, losses, asks, numbers, i, e)
        after = excess_about(device, links, i, j)
        detach(points, device, links, numbers, i)
    else:
        cluster = links[i, CLUSTER]
        if links[j, CLUSTER] == cluster or device[cluster, BUDGET] == math.inf:
            return 0.0
        counted, factor = 0.0, request_factor(losses[e], numbers)
        for m in range(points.shape[2]):
            if points[i, DEFICIT, m] > 0.0 and asks[e, m]:
                counted += points[i, DEFICIT, m] * factor
        before = excess(device, cluster, device[cluster, LOAD])
        after = excess(device, cluster, device[cluster, LOAD] + counted)
    if after == math.inf:
        return -math.inf
    return numbers[GAMMA] * numbers[PENALTY] * (before - after)
