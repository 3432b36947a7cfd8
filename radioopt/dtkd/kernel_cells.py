"""The whole problem of DT-KD, exactly, for cells of few users with free choices: eight instances side by side.

The formulas are those of :mod:`radioopt.dtkd.kernel` and :mod:`radioopt.dtkd.kernel_search`, where they are explained;
each number here is that of eight instances, one in each lane of the registers, and no lane looks at another one. Two of
five cells are proven by the dual alone. Most others leave two to eight vectors of actions, which are tried one by one;
the rest, and all that is out of the ordinary, goes to the depth-first search of one instance.
"""

import math

import numpy as np

from radioopt.dtkd.kernel import (
    ALPHA,
    AVERAGE,
    BAND,
    BETA,
    BITS,
    CYCLES,
    DELTA,
    ETA_AVERAGE,
    ETA_OWN,
    LABEL,
    LOCAL,
    NODES,
    NOISE,
    OWN,
    PASSES,
    SERVER,
    STATUS,
    TEACHER,
    blocks_of,
)
from radioopt.dtkd.kernel_lanes import FIXED, ROOT_C, ROOT_D, SPAN, TIME, efficiency, share
from radioopt.dtkd.kernel_search import SLACK, excess
from radioopt.numerics.jit import inner_kernel, kernel, parallel_kernel, prange
from radioopt.numerics.lanes import (
    LANES,
    absolute,
    any_lane,
    broadcast,
    larger,
    load,
    pick,
    root,
    scratch_rows,
    select,
    smaller,
    store,
)

# rows of an action, as in kernel
K, U, S, T, BASE, STEEP = range(6)
# rows of a user: 1/f_loc, w, least score at prices, its action, and how many actions are left to it
R, W, LEAST, CHOICE, LEFT = range(5)
# rows of an instance: the three old vertices of the hull, then what the dual and its best actions leave to the search
DUAL, KNOWN, SLACK_SUM, G, LOW, SLOPE, TAU, CPU_SUM, WIDTH_SUM, PASSED, NODE = range(9, 20)
CELL = 20
#: status of an instance that is left to the search of one, beyond those of radioopt.base.status
UNSETTLED = 6
# vectors of actions that are tried one after the other, and the actions among them, one more than they can be
MOST_VECTORS, LEVELS = 64, 80
# rows of the marks of these actions and of the undecided users
ACTION, USER, BEGIN, SPOT, BEST = range(5)


@inner_kernel
def fill(device, instance, first, catalogue, actions, users):
    """Write the numbers of every action and user of eight instances; all choices are free."""
    alpha, beta = pick(instance, (ALPHA, first)), pick(instance, (BETA, first))
    teacher, label = pick(instance, (TEACHER, first)), pick(instance, (LABEL, first))
    eta_own, eta_average = pick(instance, (ETA_OWN, first)), pick(instance, (ETA_AVERAGE, first))
    per_cycle, per_bit = alpha / pick(instance, (SERVER, first)), alpha / pick(instance, (BAND, first))
    for a in range(2 * catalogue.shape[1]):
        m, x = a >> 1, float(a & 1)
        cycles = teacher + (1.0 - x) * catalogue[CYCLES, m]
        bits = catalogue[BITS, m] + x * label
        worth = eta_own * catalogue[OWN, m] + eta_average * catalogue[AVERAGE, m]
        store(actions, 6 * a + K, beta * cycles - worth)
        store(actions, 6 * a + U, root(cycles * per_cycle))
        store(actions, 6 * a + S, root(bits * per_bit))
        store(actions, 6 * a + T, alpha * (x * catalogue[CYCLES, m]))
    per_noise = 1.0 / pick(instance, (NOISE, first))
    for k in range(device.shape[2]):
        store(users, 5 * k + R, 1.0 / pick(device, (LOCAL, first, k)))
        store(users, 5 * k + W, 1.0 / root(efficiency(device, first, k, per_noise)))


@inner_kernel
def price(actions, low, slope):
    """Write what every action costs at (L, S): the part that all users share, and the part per w."""
    for a in range(actions.shape[0] // 6):
        store(actions, 6 * a + BASE, load(actions, 6 * a + K) + 2.0 * low * load(actions, 6 * a + U))
        store(actions, 6 * a + STEEP, 2.0 * slope * load(actions, 6 * a + S))


@inner_kernel
def score(actions, a, r, w):
    """Score of an action, at the prices written last, of users with these numbers."""
    return load(actions, 6 * a + BASE) + load(actions, 6 * a + T) * r + load(actions, 6 * a + STEEP) * w


@inner_kernel
def scan(actions, users, low, slope):
    """Choose the best action of every user at (L, S); return the sum of their scores, and of k, u and v."""
    price(actions, low, slope)
    scores, fixed, cpu, width = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for k in range(users.shape[0] // 5):
        r, w = load(users, 5 * k + R), load(users, 5 * k + W)
        least, u, s = score(actions, 0, r, w), load(actions, U), load(actions, S)
        own = load(actions, K) + load(actions, T) * r
        for a in range(1, actions.shape[0] // 6):
            here = score(actions, a, r, w)
            better = here < least
            least = select(better, here, least)
            own = select(better, load(actions, 6 * a + K) + load(actions, 6 * a + T) * r, own)
            u = select(better, load(actions, 6 * a + U), u)
            s = select(better, load(actions, 6 * a + S), s)
        scores = scores + least
        fixed = fixed + own
        cpu = cpu + u
        width = width + s * w
    return scores, fixed, cpu, width


@inner_kernel
def settle(actions, users, g):
    """Write the best action of every user at the prices written last, and how many are within g of it.

    Returns the most that are, over the users, and the sums of u and v of the best.
    """
    most, cpu, width = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for k in range(users.shape[0] // 5):
        r, w = load(users, 5 * k + R), load(users, 5 * k + W)
        least, choice = score(actions, 0, r, w), broadcast(0.0)
        u, s = load(actions, U), load(actions, S)
        for a in range(1, actions.shape[0] // 6):
            here = score(actions, a, r, w)
            better = here < least
            least = select(better, here, least)
            choice = select(better, float(a), choice)
            u = select(better, load(actions, 6 * a + U), u)
            s = select(better, load(actions, 6 * a + S), s)
        within, left = least + g, broadcast(0.0)
        for a in range(actions.shape[0] // 6):
            left = left + select(score(actions, a, r, w) <= within, 1.0, 0.0)
        store(users, 5 * k + LEAST, least)
        store(users, 5 * k + CHOICE, choice)
        store(users, 5 * k + LEFT, left)
        most = larger(most, left)
        cpu = cpu + u
        width = width + s * w
    return most, cpu, width


@inner_kernel
def cost(fixed, cpu, width, tau):
    """Cost of actions whose k, u and v have these sums."""
    return fixed + cpu * cpu + select(width >= tau, width * width + tau * tau, 2.0 * tau * width)


@inner_kernel
def minimiser(curve, slope):
    """Where curve t^2 + slope t is least between 0 and 1."""
    inside = smaller(larger(-0.5 * slope / curve, 0.0), 1.0)
    return select(curve > 0.0, inside, select(slope < 0.0, 1.0, 0.0))


@inner_kernel
def edge(hull, old, fixed, cpu, width, tau):
    """Minimise the cost between the new vertex and an old one; return it and the weight of the old one."""
    d0, d1, d2 = load(hull, 3 * old) - fixed, load(hull, 3 * old + 1) - cpu, load(hull, 3 * old + 2) - width
    t = minimiser(d1 * d1 + d2 * d2, d0 + 2.0 * (cpu * d1 + width * d2))
    least = cost(fixed + t * d0, cpu + t * d1, width + t * d2, tau)
    partial = smaller(width, width + d2) < tau  # part of the band may be left
    if any_lane(partial):
        s = minimiser(d1 * d1, d0 + 2.0 * (cpu * d1 + tau * d2))
        value = cost(fixed + s * d0, cpu + s * d1, width + s * d2, tau)
        better = partial & (value < least)
        least, t = select(better, value, least), select(better, s, t)
    return least, t


@inner_kernel
def triangle(hull, j, k, fixed, cpu, width, tau):
    """Minimise the cost inside a triangle where the whole band is used; return it and the weights of j and k."""
    a0, a1, a2 = load(hull, 3 * j) - fixed, load(hull, 3 * j + 1) - cpu, load(hull, 3 * j + 2) - width
    b0, b1, b2 = load(hull, 3 * k) - fixed, load(hull, 3 * k + 1) - cpu, load(hull, 3 * k + 2) - width
    per_det = 1.0 / (a1 * b2 - a2 * b1)
    # the gradient (a0, b0) + 2 (U, V) (a, b) vanishes at this U and V
    u = 0.5 * (a2 * b0 - b2 * a0) * per_det
    v = 0.5 * (b1 * a0 - a1 * b0) * per_det
    t = ((u - cpu) * b2 - (v - width) * b1) * per_det
    s = ((v - width) * a1 - (u - cpu) * a2) * per_det
    inside = (v >= tau) & (t > 0.0) & (s > 0.0) & (t + s < 1.0)
    value = fixed + t * a0 + s * b0 + u * u + v * v + tau * tau
    return select(inside, value, math.inf), t, s


@inner_kernel
def correct(hull, fixed, cpu, width, tau):
    """Minimise the cost over the hull of three old vertices and a new one; replace an old one that does not matter.

    The minimiser lies on a face with the new vertex. Returns the cost, and U and V.
    """
    least = cost(fixed, cpu, width, tau)
    x0, x1, x2 = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    value, t = edge(hull, 0, fixed, cpu, width, tau)
    better = value < least
    least, x0 = select(better, value, least), select(better, t, 0.0)
    value, t = edge(hull, 1, fixed, cpu, width, tau)
    better = value < least
    least, x0, x1 = select(better, value, least), select(better, 0.0, x0), select(better, t, 0.0)
    value, t = edge(hull, 2, fixed, cpu, width, tau)
    better = value < least
    least, x0, x1 = select(better, value, least), select(better, 0.0, x0), select(better, 0.0, x1)
    x2 = select(better, t, 0.0)
    value, t, s = triangle(hull, 0, 1, fixed, cpu, width, tau)
    better = value < least
    least, x0 = select(better, value, least), select(better, t, x0)
    x1, x2 = select(better, s, x1), select(better, 0.0, x2)
    value, t, s = triangle(hull, 0, 2, fixed, cpu, width, tau)
    better = value < least
    least, x0 = select(better, value, least), select(better, t, x0)
    x1, x2 = select(better, 0.0, x1), select(better, s, x2)
    value, t, s = triangle(hull, 1, 2, fixed, cpu, width, tau)
    better = value < least
    least, x0 = select(better, value, least), select(better, 0.0, x0)
    x1, x2 = select(better, t, x1), select(better, s, x2)
    rest = 1.0 - x0 - x1 - x2
    at_cpu = rest * cpu + x0 * load(hull, 1) + x1 * load(hull, 4) + x2 * load(hull, 7)
    at_width = rest * width + x0 * load(hull, 2) + x1 * load(hull, 5) + x2 * load(hull, 8)
    idle0 = x0 == 0.0
    idle1, idle2 = (x0 > 0.0) & (x1 == 0.0), (x0 > 0.0) & (x1 > 0.0)
    replace(hull, 0, idle0, fixed, cpu, width)
    replace(hull, 1, idle1, fixed, cpu, width)
    replace(hull, 2, idle2, fixed, cpu, width)
    return least, at_cpu, at_width


@inner_kernel
def replace(hull, old, mask, fixed, cpu, width):
    """Put the new vertex in the place of an old one, in some lanes."""
    store(hull, 3 * old, select(mask, fixed, load(hull, 3 * old)))
    store(hull, 3 * old + 1, select(mask, cpu, load(hull, 3 * old + 1)))
    store(hull, 3 * old + 2, select(mask, width, load(hull, 3 * old + 2)))


@inner_kernel
def maximise_dual(actions, users, hull, tau, most):
    """Maximise D of eight instances by fully corrective steps; those that are done wait for the others.

    Returns D, what it is at most, L and S, the least cost of the actions met, how large the numbers are that were
    added up, and the number of passes.
    """
    size, count = users.shape[0] // 5, actions.shape[0] // 6
    at_low, at_slope, weights = broadcast(0.0), broadcast(0.0), broadcast(0.0)
    for a in range(count):
        at_low = at_low + load(actions, 6 * a + U)
        at_slope = at_slope + load(actions, 6 * a + S)
    for k in range(size):
        weights = weights + load(users, 5 * k + W)
    # begin where everybody does the average
    at_low = at_low * (float(size) / float(count))
    at_slope = larger(at_slope * weights * (1.0 / float(count)), tau)
    bound, within, least = broadcast(-math.inf), broadcast(math.inf), broadcast(math.inf)
    low, slope, gross, passes = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    active = least > 0.0
    for turn in range(most):
        scores, fixed, cpu, width = scan(actions, users, at_low, at_slope)
        value = scores - at_low * at_low - at_slope * at_slope + tau * tau
        better = active & (value > bound)
        bound, low, slope = (
            select(better, value, bound),
            select(better, at_low, low),
            select(better, at_slope, slope),
        )
        here = cost(fixed, cpu, width, tau)
        least = select(active & (here < least), here, least)
        size_now = absolute(fixed) + cpu * cpu + width * width + tau * tau
        gross = select(active, size_now, gross)
        passes = passes + select(active, 1.0, 0.0)
        active = active & (within - bound > 1e-15 * gross)
        if not any_lane(active):
            break
        if turn == 0:
            for j in range(3):
                store(hull, 3 * j, fixed)
                store(hull, 3 * j + 1, cpu)
                store(hull, 3 * j + 2, width)
        before = within
        now, next_low, next_slope = correct(hull, fixed, cpu, width, tau)
        within = select(active, now, within)
        at_low, at_slope = select(active, next_low, at_low), select(active, larger(next_slope, tau), at_slope)
        active = active & (within < before)
        if not any_lane(active):
            break
    return bound, within, low, slope, least, gross, passes


@inner_kernel
def rounding_up(actions, users):
    """Return how far the optimum can be above max D, by Shapley and Folkman."""
    low_u, high_u, low_s, high_s = load(actions, U), load(actions, U), load(actions, S), load(actions, S)
    for a in range(1, actions.shape[0] // 6):
        low_u, high_u = smaller(low_u, load(actions, 6 * a + U)), larger(high_u, load(actions, 6 * a + U))
        low_s, high_s = smaller(low_s, load(actions, 6 * a + S)), larger(high_s, load(actions, 6 * a + S))
    w = load(users, W)
    for k in range(1, users.shape[0] // 5):
        w = larger(w, load(users, 5 * k + W))
    spread_u, spread_v = high_u - low_u, (high_s - low_s) * w
    return 0.5 * (spread_u * spread_u + spread_v * spread_v)


@inner_kernel
def parts_of(actions, users, per_alpha, rows):
    """Write what the chosen actions bring to the sums: k without the user's part, the time at the user, u and v."""
    for k in range(users.shape[0] // 5):
        choice = load(users, 5 * k + CHOICE)
        fixed, time, u, s = load(actions, K), load(actions, T), load(actions, U), load(actions, S)
        for a in range(1, actions.shape[0] // 6):
            this = choice == float(a)
            fixed = select(this, load(actions, 6 * a + K), fixed)
            time = select(this, load(actions, 6 * a + T), time)
            u = select(this, load(actions, 6 * a + U), u)
            s = select(this, load(actions, 6 * a + S), s)
        store(rows, 4 * k + FIXED, fixed)
        store(rows, 4 * k + TIME, time * load(users, 5 * k + R) * per_alpha)
        store(rows, 4 * k + ROOT_C, u)
        store(rows, 4 * k + ROOT_D, s * load(users, 5 * k + W))


@kernel
def try_few(actions, users, cell, j, level, marks):
    """Try all vectors of the actions left to the undecided users of lane ``j``, and write the best one.

    Returns the nodes, or 0 where there are too many vectors or none is as good as one that is known: then the instance
    is searched for itself.
    """
    g, cpu, width = cell[G, j], cell[CPU_SUM, j], cell[WIDTH_SUM, j]
    size, at, vectors = 0, 0, 1
    for k in range(users.shape[0] // 5):
        if users[5 * k + LEFT, j] > 1.0:
            if vectors * users[5 * k + LEFT, j] > MOST_VECTORS:
                return 0
            marks[USER, size], marks[BEGIN, size], begin = k, at, at
            r, w, least = users[5 * k + R, j], users[5 * k + W, j], users[5 * k + LEAST, j]
            for a in range(actions.shape[0] // 6):
                above = (
                    actions[6 * a + BASE, j] + actions[6 * a + T, j] * r + actions[6 * a + STEEP, j] * w
                ) - least
                if above <= g and at < LEVELS:
                    level[0, at] = max(above, 0.0)
                    level[1, at], level[2, at] = actions[6 * a + U, j], actions[6 * a + S, j] * w
                    marks[ACTION, at] = a
                    at += 1
            a = int(users[5 * k + CHOICE, j])
            cpu -= actions[6 * a + U, j]
            width -= actions[6 * a + S, j] * w
            vectors *= at - begin
            size += 1
            marks[BEGIN, size] = at
    if size == 0 or at == LEVELS:
        return 0
    low, slope, tau, found, nodes = cell[LOW, j], cell[SLOPE, j], cell[TAU, j], math.inf, 0
    depth, marks[SPOT, 0] = 0, -1
    level[3, 0], level[4, 0], level[5, 0] = 0.0, cpu, width
    while depth >= 0:
        marks[SPOT, depth] += 1
        e = marks[BEGIN, depth] + marks[SPOT, depth]
        if e == marks[BEGIN, depth + 1]:
            depth -= 1
            continue
        nodes += 1
        total = level[3, depth] + level[0, e]
        if not total < found:
            continue
        with_cpu, with_width = level[4, depth] + level[1, e], level[5, depth] + level[2, e]
        depth += 1
        if depth < size:
            level[3, depth], level[4, depth], level[5, depth] = total, with_cpu, with_width
            marks[SPOT, depth] = -1
            continue
        depth -= 1
        total += (with_cpu - low) * (with_cpu - low) + excess(with_width, slope, tau)
        if total < found:
            found = total
            for d in range(size):
                marks[BEST, d] = marks[ACTION, marks[BEGIN, d] + marks[SPOT, d]]
    if not cell[DUAL, j] + found - cell[SLACK_SUM, j] <= cell[KNOWN, j]:
        return 0
    for d in range(size):
        users[5 * marks[USER, d] + CHOICE, j] = marks[BEST, d]
    return nodes


@kernel
def solve_block(
    device, instance, first, catalogue, most, node_limit, feasible, tight, actions, users, cell, rows, level, marks,
    out_device, out_model, out_local, out_instance, out_counts,
):  # fmt: skip
    """Solve the whole problem for eight instances."""
    fill(device, instance, first, catalogue, actions, users)
    tau = root(pick(instance, (DELTA, first)) * pick(instance, (BAND, first)))
    dual, within, low, slope, known, gross, passes = maximise_dual(actions, users, cell, tau, most)
    slack = SLACK * larger(gross, low * low + slope * slope)  # D is a difference of these
    g = smaller(known, within + rounding_up(actions, users)) - dual + slack
    price(actions, low, slope)
    left, cpu, width = settle(actions, users, g)
    beyond = select(
        width >= tau, (width - slope) * (width - slope), (slope - tau) * (slope + tau - 2.0 * width)
    )
    proven = (left == 1.0) & (dual + (cpu - low) * (cpu - low) + beyond - slack <= known)
    for row, value in (
        (DUAL, dual), (KNOWN, known), (SLACK_SUM, slack), (G, g), (LOW, low), (SLOPE, slope), (TAU, tau),
        (CPU_SUM, cpu), (WIDTH_SUM, width), (PASSED, passes), (NODE, select(proven, 0.0, 1.0)),
    ):  # fmt: skip
        store(cell, row, value)
    count = min(LANES, instance.shape[1] - first)
    for j in range(count):
        if cell[NODE, j] > 0.0:
            nodes = try_few(actions, users, cell, j, level, marks)
            cell[NODE, j] = nodes if 0 < nodes <= node_limit else -1.0
    for k in range(
        device.shape[2]
    ):  # lanes that repeat the last instance follow it: all of them write its answer
        for j in range(count, LANES):
            users[5 * k + CHOICE, j] = users[5 * k + CHOICE, count - 1]
    per_server, per_band = 1.0 / pick(instance, (SERVER, first)), 1.0 / pick(instance, (BAND, first))
    per_alpha = 1.0 / pick(instance, (ALPHA, first))
    parts_of(actions, users, per_alpha, rows)
    share(
        instance, first, first, rows, slack, per_server, per_band, per_alpha, catalogue, feasible, tight,
        out_device, out_instance, out_counts,
    )  # fmt: skip
    for j in range(count):
        i = first + j
        if cell[NODE, j] < 0.0:
            out_counts[STATUS, i] = UNSETTLED
        out_counts[PASSES, i], out_counts[NODES, i] = int(cell[PASSED, j]), int(cell[NODE, j])
        for k in range(device.shape[2]):
            a = int(users[5 * k + CHOICE, j])
            out_model[i, k], out_local[i, k] = a >> 1, a & 1 == 1


@kernel
def solve_span(device, instance, catalogue, most, node_limit, feasible, tight, begin, end, packed):
    """Solve the whole problem for some instances, from a multiple of eight on; return the largest code of a status.

    UNSETTLED says that an instance is to be searched for itself.
    """
    users, worst = device.shape[2], 0
    out_device, out_model, out_local, out_instance, out_counts = blocks_of(packed, device.shape[1], users)
    actions, numbers = scratch_rows(12 * catalogue.shape[1]), scratch_rows(5 * users)
    cell, rows = scratch_rows(CELL), scratch_rows(4 * users)
    level, marks = np.empty((6, LEVELS)), np.empty((5, LEVELS), np.int64)
    for first in range(begin, end, LANES):
        solve_block(
            device, instance, first, catalogue, most, node_limit, feasible, tight,
            actions, numbers, cell, rows, level, marks,
            out_device, out_model, out_local, out_instance, out_counts,
        )  # fmt: skip
    for i in range(begin, end):
        worst = max(worst, out_counts[STATUS, i])
    return worst


@parallel_kernel
def solve_parallel(device, instance, catalogue, most, node_limit, feasible, tight, packed):
    """Solve every instance, in parallel over spans; return the largest code of their status."""
    count, worst = device.shape[1], 0
    for span in prange(-(-count // SPAN)):
        begin, end = span * SPAN, min(span * SPAN + SPAN, count)
        worst = max(
            worst,
            solve_span(device, instance, catalogue, most, node_limit, feasible, tight, begin, end, packed),
        )
    return worst
