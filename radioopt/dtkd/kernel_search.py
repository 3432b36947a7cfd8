"""The whole problem of DT-KD, exactly: prune by reduced costs, then search the few users that are left.

Actions whose reduced cost exceeds (an upper bound) - D cannot be optimal. By Shapley and Folkman the optimum is
within a quarter of (two largest (max u - min u)^2 + two largest (max v - min v)^2) of max D, whatever the number of
users, so a handful of users keeps a choice. They are searched depth-first for action vectors with cost - D <= g.
Identical users are one group of which only counts matter. Where the groups are many, g grows from far below, so
that the first vectors found are good ones; a search that ends without a vector proves that none is within g.
"""

import math

import numpy as np

from radioopt.dtkd.kernel import (
    BAND,
    BOUND,
    CHOICE,
    DELTA,
    LEAST,
    NODES,
    OBJECTIVE,
    PASSES,
    R,
    S,
    U,
    W,
    allocate,
    blocks_of,
    conclude,
    fill_actions,
    fill_choice,
    fill_users,
    maximise_dual,
    order_by,
    scan,
    score,
    write_choice,
    write_parts,
)
from radioopt.numerics.jit import kernel, parallel_kernel, prange
from radioopt.numerics.lanes import LANES, any_lane, broadcast, pick, select

# relative rounding error allowed for in pruning and in the bound
SLACK = 1e-13
# columns of a level of the search, one for each action that a group may still choose
COST, CPU, WIDTH, CPU_LEAST, CPU_MOST, WIDTH_LEAST, WIDTH_MOST = range(7)
# levels up to which the search is so short that growing g would only repeat it
SHORT = 24


@kernel
def excess(width, slope, tau):
    """psi(V): what the part of the band adds to cost - D."""
    if width >= tau:
        return (width - slope) * (width - slope)
    return (slope - tau) * (slope + tau - 2.0 * width)


@kernel
def beyond(cpu_low, cpu_high, width_low, width_high, low, slope, tau):
    """Least of (U - L)^2 + psi(V) over a box: where it is nearest to (L, S)."""
    cpu = min(max(low, cpu_low), cpu_high) - low
    return cpu * cpu + excess(min(max(slope, width_low), width_high), slope, tau)


@kernel
def undecided(device, i, actions, users, choices, free, g):
    """Find the users with more than one action of reduced cost at most g."""
    count = users.shape[1]
    core, size = np.empty(count, np.int64), 0
    for begin in range(0, count, LANES):
        end = min(begin + LANES, count)
        if free and end - begin == LANES:
            r, w, least = pick(users, (R, begin)), pick(users, (W, begin)), pick(users, (LEAST, begin))
            left = broadcast(0.0)
            for a in range(actions.shape[1]):
                left = left + select(score(actions, a, r, w) - least <= g, 1.0, 0.0)
            if not any_lane(left > 1.0):
                continue
        for k in range(begin, end):
            fill_choice(device, i, k, actions, choices)
            left = 0
            for a in range(choices[0, k], choices[1, k], choices[2, k]):
                left += score(actions, a, users[R, k], users[W, k]) - users[LEAST, k] <= g
            if left > 1:
                core[size] = k
                size += 1
    return core[:size]


@kernel
def alike(keys, j, k):
    """Whether two columns are the same."""
    same = True
    for row in range(keys.shape[0]):
        same = same and keys[row, j] == keys[row, k]
    return same


@kernel
def arrange(users, choices, core):
    """Order the users so that identical ones are neighbours; return where each group begins."""
    size = core.size
    keys = np.empty((4, size))
    for j in range(size):
        k = core[j]
        keys[0, j], keys[1, j] = users[W, k], users[R, k]
        keys[2, j], keys[3, j] = choices[0, k], choices[1, k] + 0.5 * choices[2, k]
    order = order_by(keys)
    begins, groups = np.empty(size + 1, np.int64), 0
    for j in range(size):
        if j == 0 or not alike(keys, order[j], order[j - 1]):
            begins[groups] = j
            groups += 1
    begins[groups] = size
    return core[order], begins[: groups + 1]


@kernel
def lay_out(actions, users, choices, g, order, begins, level, action, group):
    """Write the levels of all groups, cheapest action first, and what the groups after each can add at most.

    Rounding may put what a user does now above g; it keeps its level, so that every group has one.
    """
    at = 0
    for j in range(begins.size - 1):
        k, first = order[begins[j]], at
        for a in range(choices[0, k], choices[1, k], choices[2, k]):
            above = score(actions, a, users[R, k], users[W, k]) - users[LEAST, k]
            if above <= g or a == int(users[CHOICE, k]):
                place = at
                while place > first and level[COST, place - 1] > above:
                    level[:, place] = level[:, place - 1]
                    action[place] = action[place - 1]
                    place -= 1
                level[COST, place] = max(above, 0.0)
                level[CPU, place] = actions[U, a]
                level[WIDTH, place] = actions[S, a] * users[W, k]
                action[place] = a
                group[at] = j
                at += 1
        # what one of the users that no earlier action takes can add: the later actions of the group
        for e in range(at - 1, first - 1, -1):
            later = e + 1 if e + 1 < at else e
            level[CPU_LEAST, e] = min(level[CPU, later], level[CPU_LEAST, later] if later > e else math.inf)
            level[CPU_MOST, e] = max(level[CPU, later], level[CPU_MOST, later] if later > e else -math.inf)
            level[WIDTH_LEAST, e] = min(
                level[WIDTH, later], level[WIDTH_LEAST, later] if later > e else math.inf
            )
            level[WIDTH_MOST, e] = max(
                level[WIDTH, later], level[WIDTH_MOST, later] if later > e else -math.inf
            )
    return at


@kernel
def search(level, group, begins, rest, cpu, width, low, slope, tau, g, enough, budget, best):
    """Find the least cost - D among vectors of at most g; ``best`` gets how many of a group take each action.

    Returns it (inf if there is none) and the nodes used; more nodes than the budget say that it was cut. What is at
    most ``enough`` ends the search: rounding hides the rest.
    """
    depth_most, levels = group.size + 1, group.size
    at = np.empty(depth_most, np.int64)  # level decided at each depth
    taken, least_taken = np.empty(depth_most, np.int64), np.empty(depth_most, np.int64)
    left = np.empty(depth_most, np.int64)  # users of the group without an action yet
    sums = np.zeros((3, depth_most))
    found, nodes, depth = math.inf, 0, 0
    at[0], left[0] = 0, begins[1] - begins[0]
    sums[1, 0], sums[2, 0] = cpu, width
    fresh = True
    while depth >= 0:
        e = at[depth]
        j = group[e]
        last = e + 1 == levels or group[e + 1] != j
        allowance = g - sums[0, depth]
        if fresh:  # how many may take this action
            most, least = left[depth], left[depth] if last else 0
            if not last:
                if level[COST, e] > 0.0:
                    most = min(most, int(min(allowance / level[COST, e], 1e15)))
                if most > 1:
                    least, most = narrow(
                        level, e, rest, j, sums, depth, left[depth], low, slope, tau, allowance, most
                    )
            taken[depth], least_taken[depth] = most + 1, least
            fresh = False
        taken[depth] -= 1
        if taken[depth] < least_taken[depth]:
            depth -= 1
            continue
        nodes += 1
        if nodes > budget:
            break
        count = taken[depth]
        remain = left[depth] - count
        total = sums[0, depth] + count * level[COST, e]
        with_cpu = sums[1, depth] + count * level[CPU, e]
        with_width = sums[2, depth] + count * level[WIDTH, e]
        more = beyond(
            with_cpu + remain * level[CPU_LEAST, e] + rest[0, j + 1],
            with_cpu + remain * level[CPU_MOST, e] + rest[1, j + 1],
            with_width + remain * level[WIDTH_LEAST, e] + rest[2, j + 1],
            with_width + remain * level[WIDTH_MOST, e] + rest[3, j + 1],
            low,
            slope,
            tau,
        )
        if not (total + more <= g and total + more < found):
            continue
        following = e + 1
        if remain == 0:
            while following < levels and group[following] == j:
                following += 1
        if following == levels:
            found = total + more
            g = min(g, found)
            best[:] = 0
            for d in range(depth + 1):
                best[at[d]] = taken[d]
            if found <= enough:
                break
            continue
        depth += 1
        at[depth] = following
        left[depth] = remain if remain > 0 else begins[group[following] + 1] - begins[group[following]]
        sums[0, depth], sums[1, depth], sums[2, depth] = total, with_cpu, with_width
        fresh = True
    return found, nodes


@kernel
def narrow(level, e, rest, j, sums, depth, left, low, slope, tau, allowance, most):
    """Return the counts t of an action between which U and V can reach (L, S): linear inequalities in t."""
    reach = math.sqrt(max(allowance, 0.0)) * (1.0 + 1e-12)
    floor = slope - reach  # least V within reach
    if floor < tau:
        floor = 0.5 * (slope + tau - allowance / (slope - tau)) if slope > tau else -math.inf
    least = 0
    for kind in range(2):
        one = level[CPU + kind, e]
        low_one, high_one = level[CPU_LEAST + 2 * kind, e], level[CPU_MOST + 2 * kind, e]
        start = sums[1 + kind, depth]
        highest, lowest = (low + reach, low - reach) if kind == 0 else (slope + reach, floor)
        # start + t one + (left - t) low_one + rest <= highest, and likewise from below
        for upper in range(2):
            per = low_one if upper else high_one
            slack = start + left * per + rest[2 * kind + (0 if upper else 1), j + 1]
            room = highest - slack if upper else slack - lowest
            step = one - per if upper else per - one  # room for t: step t <= room
            if step > 0.0 and room / step < 1e15:
                most = min(most, math.floor(max(room / step, -1.0) + 1e-9))
            elif step < 0.0 and room / step > -1e15:
                least = max(least, math.ceil(min(room / step, 1e15) - 1e-9))
    return least, int(most)


@kernel
def spread(actions, users):
    """How far u, and v of the user with the largest w, can be apart."""
    low_u, high_u, low_s, high_s, w = math.inf, 0.0, math.inf, 0.0, 0.0
    for a in range(actions.shape[1]):
        low_u, high_u = min(low_u, actions[U, a]), max(high_u, actions[U, a])
        low_s, high_s = min(low_s, actions[S, a]), max(high_s, actions[S, a])
    for k in range(users.shape[1]):
        w = max(w, users[W, k])
    return high_u - low_u, (high_s - low_s) * w


@kernel
def decide(actions, users, choices, core, cpu, width, low, slope, tau, g, slack, node_limit):
    """Search the undecided users and write the actions that are best for them.

    Returns the least cost - D (inf if nothing was found), the nodes used, and whether the search ended by itself.
    """
    order, begins = arrange(users, choices, core)
    groups = begins.size - 1
    levels = groups * actions.shape[1]
    level, action, group = np.empty((7, levels)), np.empty(levels, np.int64), np.empty(levels, np.int64)
    levels = lay_out(actions, users, choices, g, order, begins, level, action, group)
    action, group = action[:levels], group[:levels]
    rest, e = np.zeros((4, groups + 1)), levels
    for j in range(groups - 1, -1, -1):
        members, e = begins[j + 1] - begins[j], e - 1
        while e > 0 and group[e - 1] == j:
            e -= 1
        for kind in range(2):
            one = level[CPU + kind, e]
            rest[2 * kind, j] = rest[2 * kind, j + 1] + members * min(one, level[CPU_LEAST + 2 * kind, e])
            rest[2 * kind + 1, j] = rest[2 * kind + 1, j + 1] + members * max(
                one, level[CPU_MOST + 2 * kind, e]
            )
    for k in core:  # their part of U and V is to be decided
        a = int(users[CHOICE, k])
        cpu -= actions[U, a]
        width -= actions[S, a] * users[W, k]
    best, used = np.zeros(levels, np.int64), 0
    reach = g if levels <= SHORT else g / 512.0
    while True:
        found, nodes = search(
            level, group, begins, rest, cpu, width, low, slope, tau, reach, slack, node_limit - used, best
        )
        used += nodes
        if found < math.inf or used > node_limit or reach >= g:
            break
        reach = min(8.0 * reach, g)
    if found < math.inf:
        j, member = -1, 0
        for e in range(levels):
            if group[e] != j:
                j, member = group[e], begins[group[e]]
            for _ in range(best[e]):
                users[CHOICE, order[member]] = action[e]
                member += 1
    return found, min(used, node_limit), used <= node_limit


@kernel
def solve_one(
    device,
    instance,
    i,
    catalogue,
    most,
    node_limit,
    out_device,
    out_model,
    out_local,
    out_instance,
    out_counts,
):
    """Solve instance ``i``; a negative number of nodes says that the node limit ended the search."""
    size, count = device.shape[2], 2 * catalogue.shape[1]
    actions, users, choices = np.empty((6, count)), np.empty((4, size)), np.empty((3, size), np.int64)
    fill_actions(instance, i, catalogue, actions)
    free = fill_users(device, instance, i, actions, users, choices)
    tau = math.sqrt(instance[DELTA, i] * instance[BAND, i])
    bound, within, low, slope, least, least_low, least_slope, gross, passes = maximise_dual(
        actions, users, choices, free, tau, most
    )
    slack = SLACK * max(gross, low * low + slope * slope)  # D is a difference of these
    spread_u, spread_v = spread(actions, users)
    rounding_up = 0.5 * (spread_u * spread_u + spread_v * spread_v)  # Shapley and Folkman, on top of max D
    g = min(least, within + rounding_up) - bound + slack
    _, _, cpu, width = scan(actions, users, choices, free, low, slope, np.bool_(True))
    core = undecided(device, i, actions, users, choices, free, g)
    found, nodes, ended = beyond(cpu, cpu, width, width, low, slope, tau), 0, True
    if core.size > 0:
        found, nodes, ended = decide(
            actions, users, choices, core, cpu, width, low, slope, tau, g, slack, node_limit
        )
    if least < bound + found - slack:  # cut before anything as good was found
        scan(actions, users, choices, free, least_low, least_slope, np.bool_(True))
        ended = ended and found < math.inf
    write_choice(i, users[CHOICE], out_model, out_local)
    write_parts(instance, i, actions, users, out_device)
    allocate(instance, i, tau, out_device, out_instance)
    if ended:
        bound = max(bound, out_instance[OBJECTIVE, i])
    out_instance[BOUND, i] = min(bound, out_instance[OBJECTIVE, i]) - slack
    out_counts[PASSES, i] = passes
    out_counts[NODES, i] = nodes if ended else -nodes


@kernel
def solve_span(device, instance, catalogue, most, node_limit, feasible, tight, begin, end, packed):
    """Solve some instances, one after the other; return the largest code of their status."""
    users, worst = device.shape[2], 0
    out_device, out_model, out_local, out_instance, out_counts = blocks_of(packed, device.shape[1], users)
    for i in range(begin, end):
        solve_one(
            device, instance, i, catalogue, most, node_limit,
            out_device, out_model, out_local, out_instance, out_counts,
        )  # fmt: skip
        worst = max(worst, conclude(instance, i, users, catalogue, feasible, tight, out_instance, out_counts))
    return worst


@parallel_kernel
def solve_parallel(device, instance, catalogue, most, node_limit, feasible, tight, packed):
    """Solve every instance, in parallel over instances; return the largest code of their status."""
    worst = 0
    for i in prange(device.shape[1]):
        worst = max(
            worst,
            solve_span(device, instance, catalogue, most, node_limit, feasible, tight, i, i + 1, packed),
        )
    return worst
