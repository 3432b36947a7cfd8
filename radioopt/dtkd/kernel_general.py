"""The whole problem of DT-KD with bounds, deadlines or a noise density, exactly.

The dual sums over users the least value of their actions at prices (lambda, nu); a polygon around its maximiser is cut
through its centroid until it is small. Action vectors are searched in the order of their reduced costs, each bounded by
the dual of its own Problem 3.
"""

import math

import numpy as np

from radioopt.dtkd.kernel import (
    ALPHA,
    BAND,
    BOUND,
    DEADLINE,
    DELTA,
    NODES,
    OBJECTIVE,
    PASSES,
    SERVER,
    blocks_of,
    conclude,
    order_by,
    write_choice,
)
from radioopt.dtkd.kernel_prices import (
    HUGE,
    LOAD,
    SIGNAL,
    WORK,
    clear,
    fill,
    no_answer,
    respond,
    write_shares,
)
from radioopt.numerics.jit import kernel, parallel_kernel, prange

# relative rounding error allowed for in pruning and in the bound
SLACK = 1e-12
# evaluations of the dual in one box, and how often the box may grow
CUTS, GROWTHS = 90, 30
# directions of prices in which a feasible vector is looked for where the search was cut before it met one
DIRECTIONS = 16


@kernel
def price_all(user, table, alpha, delta, server, band, cpu_price, nu, chosen):
    """Evaluate the dual at (lambda, nu): its value, a supergradient, and the size of the numbers added."""
    cpu, width, value, gross = 0.0, 0.0, 0.0, 0.0
    for k in range(chosen.size):
        least, best, best_f, best_b = math.inf, 0, 0.0, 0.0
        for a in range(table.shape[2]):
            here, f, b, _ = respond(user, k, table, a, alpha, cpu_price, delta + nu)
            if here < least:
                least, best, best_f, best_b = here, a, f, b
        chosen[k] = best
        cpu += best_f
        width += best_b
        value += least
        gross += abs(least)
    spent = cpu_price * server + nu * band
    return value - spent, cpu - server, width - band, gross + spent


@kernel
def cut(corners, size, x, y, gx, gy, kept):
    """Keep the part of a polygon where a supergradient at (x, y) allows the maximum to be; return its corners."""
    count = 0
    for j in range(size):
        i = j - 1 if j > 0 else size - 1
        before = (corners[0, i] - x) * gx + (corners[1, i] - y) * gy
        here = (corners[0, j] - x) * gx + (corners[1, j] - y) * gy
        if (before < 0.0) != (here < 0.0):
            t = before / (before - here)
            kept[0, count] = corners[0, i] + t * (corners[0, j] - corners[0, i])
            kept[1, count] = corners[1, i] + t * (corners[1, j] - corners[1, i])
            count += 1
        if here >= 0.0:
            kept[0, count], kept[1, count] = corners[0, j], corners[1, j]
            count += 1
    return count


@kernel
def centroid(corners, size):
    """Centre of gravity of a polygon, and its area; relative to a corner, so that a small one keeps its digits."""
    area, x, y = 0.0, 0.0, 0.0
    for j in range(1, size - 1):
        ax, ay = corners[0, j] - corners[0, 0], corners[1, j] - corners[1, 0]
        bx, by = corners[0, j + 1] - corners[0, 0], corners[1, j + 1] - corners[1, 0]
        part = ax * by - ay * bx
        area += part
        x += part * (ax + bx)
        y += part * (ay + by)
    if area == 0.0:
        return 0.0, 0.0, 0.0
    return corners[0, 0] + x / (3.0 * area), corners[1, 0] + y / (3.0 * area), area


@kernel
def maximise_dual(user, table, alpha, delta, server, band, guess_cpu, guess_width, most, chosen):
    """Maximise the dual; return its value, lambda, nu, the size of the numbers added and the evaluations."""
    best, cpu_price, nu, gross, passes = -math.inf, guess_cpu, guess_width, 0.0, 0
    size_cpu, size_width = 4.0 * guess_cpu, 4.0 * guess_width
    corners, kept = np.empty((2, 2 * CUTS + 8)), np.empty((2, 2 * CUTS + 8))
    for _ in range(GROWTHS):
        corners[0, 0], corners[0, 1], corners[0, 2], corners[0, 3] = 0.0, size_cpu, size_cpu, 0.0
        corners[1, 0], corners[1, 1], corners[1, 2], corners[1, 3] = 0.0, 0.0, size_width, size_width
        size = 4
        for _ in range(CUTS):
            x, y, area = centroid(corners, size)
            if not (area > 0.0 and x > 0.0 and y > 0.0) or passes >= most:
                break
            passes += 1
            value, gx, gy, added = price_all(user, table, alpha, delta, server, band, x, y, chosen)
            if value > best:
                best, cpu_price, nu, gross = value, x, y, added
            # what the supergradient leaves to be gained anywhere in the polygon
            gain = 0.0
            for j in range(size):
                gain = max(gain, (corners[0, j] - x) * gx + (corners[1, j] - y) * gy)
            if value + gain <= best + 1e-13 * gross:
                break
            size = cut(corners, size, x, y, gx, gy, kept)
            corners, kept = kept, corners
        grow_cpu, grow_width = cpu_price > 0.9 * size_cpu, nu > 0.9 * size_width
        if not (grow_cpu or grow_width) or passes >= most:
            break
        size_cpu *= 16.0 if grow_cpu else 1.0
        size_width *= 16.0 if grow_width else 1.0
    return best, cpu_price, nu, gross, passes


@kernel
def may_fit(user, table, alpha, server, band, guess_cpu, guess_width, chosen):
    """Whether a mixture of actions can meet all deadlines: no direction of prices proves the contrary.

    Along a direction the dual grows without limit if it is positive at prices beside which delay costs nothing.
    """
    low, high = 0.0, 1.0
    golden = 0.6180339887498949
    big = HUGE * (guess_cpu * server + guess_width * band)
    values = np.empty(2)
    for _turn in range(80):
        ends = low + (1.0 - golden) * (high - low), low + golden * (high - low)
        for e in range(2):
            value, _, _, gross = price_all(
                user,
                table,
                alpha,
                0.0,
                server,
                band,
                big * ends[e] / server,
                big * (1.0 - ends[e]) / band,
                chosen,
            )
            if value == math.inf or value > 1e-9 * gross:
                return False
            values[e] = value
        if values[0] < values[1]:
            low = ends[0]
        else:
            high = ends[1]
    return True


@kernel
def rescue(
    user, table, alpha, delta, server, band, coupled, cpu_price, nu, guess_cpu, guess_width, chosen, best
):
    """Find a feasible vector where the search was cut before it met one: best actions at prices of all directions.

    Returns its value (inf if there is none), lambda and kappa.
    """
    found, best_cpu, best_width = math.inf, 0.0, 0.0
    big = HUGE * (guess_cpu * server + guess_width * band)
    for turn in range(-1, DIRECTIONS + 1):
        if turn < 0:
            price_all(user, table, alpha, delta, server, band, cpu_price, nu, chosen)
        else:
            t = turn / DIRECTIONS
            price_all(user, table, alpha, 0.0, server, band, big * t / server, big * (1.0 - t) / band, chosen)
        price, width_price, dual = clear(
            user,
            table,
            chosen,
            alpha,
            delta,
            server,
            band,
            coupled,
            found,
            cpu_price,
            max(delta + nu, guess_width),
        )
        if price < math.inf and dual < found:
            found, best_cpu, best_width = dual, price, width_price
            best[:] = chosen
    return found, best_cpu, best_width


@kernel
def same(user, table, k, j):
    """Whether two users are the same user twice."""
    for row in range(user.shape[0]):
        if user[row, k] != user[row, j]:
            return False
    for row in range(table.shape[0]):
        for a in range(table.shape[2]):
            if table[row, k, a] != table[row, j, a]:
                return False
    return True


@kernel
def solve_one(
    device,
    limits,
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
    """Solve instance ``i``; passes of -1 say that it is infeasible, negative nodes that the limit ended the search."""
    size, count = device.shape[2], 2 * catalogue.shape[1]
    alpha, delta, server, band = (
        instance[ALPHA, i],
        instance[DELTA, i],
        instance[SERVER, i],
        instance[BAND, i],
    )
    user, table = np.empty((5, size)), np.empty((4, size, count))
    fill(device, limits, instance, i, catalogue, user, table)
    chosen, best = np.empty(size, np.int64), np.empty(size, np.int64)
    roots_c, roots_d, tightest = 0.0, 0.0, math.inf
    for k in range(size):
        work, load = 0.0, 0.0
        for a in range(count):
            work, load = max(work, table[WORK, k, a]), max(load, table[LOAD, k, a])
        # a density is taken for a power at an equal share of the band, for this guess only
        rate = math.log1p(user[SIGNAL, k] * size / band) if user[SIGNAL, k] > 0.0 else 1.0
        roots_c += math.sqrt(work)
        roots_d += math.sqrt(load / rate)
        tightest = min(tightest, limits[DEADLINE, i, k])
    coupled = tightest < math.inf  # not from a literal, for which all callees would be compiled once more
    guess_cpu = max(alpha * (roots_c / server) ** 2, 1e-300)
    guess_width = max(alpha * (roots_d / band) ** 2, delta, 1e-300)
    out_counts[NODES, i] = 0
    if coupled and not may_fit(user, table, alpha, server, band, guess_cpu, guess_width, chosen):
        no_answer(i, -1, out_device, out_model, out_local, out_instance, out_counts)
        return
    bound, cpu_price, nu, gross, passes = maximise_dual(
        user, table, alpha, delta, server, band, guess_cpu, guess_width, most, chosen
    )
    slack = SLACK * gross
    if not -math.inf < bound < math.inf:  # float64 is too narrow for the instance
        no_answer(i, passes, out_device, out_model, out_local, out_instance, out_counts)
        return
    value, cpu_of_best, width_price, nodes = search(
        user,
        table,
        alpha,
        delta,
        server,
        band,
        coupled,
        bound,
        cpu_price,
        nu,
        slack,
        node_limit,
        chosen,
        best,
    )
    ended = nodes <= node_limit
    out_counts[NODES, i] = nodes if ended else -node_limit
    if value == math.inf and not ended:
        value, cpu_of_best, width_price = rescue(
            user,
            table,
            alpha,
            delta,
            server,
            band,
            coupled,
            cpu_price,
            nu,
            guess_cpu,
            guess_width,
            chosen,
            best,
        )
    if value == math.inf:
        no_answer(i, -1 if ended else passes, out_device, out_model, out_local, out_instance, out_counts)
        return
    write_choice(i, best, out_model, out_local)
    write_shares(
        device, limits, instance, i, catalogue, user, table, best, cpu_of_best, width_price, out_device, out_instance
    )  # fmt: skip
    if ended:
        bound = max(bound, value)
    out_instance[BOUND, i] = min(bound, out_instance[OBJECTIVE, i]) - slack
    out_counts[PASSES, i] = passes


@kernel
def search(
    user, table, alpha, delta, server, band, coupled, bound, cpu_price, nu, slack, node_limit, chosen, best
):
    """Find the best action vector; return its value (inf if there is none), lambda, kappa, and the nodes used.

    Vectors whose reduced costs sum to at most ``reach`` are tried, with ``reach`` growing from far below until no
    other vector can be better than the best. More nodes than the limit say that it was cut.
    """
    size, count = table.shape[1], table.shape[2]
    guess_width = max(delta + nu, 1e-12 * alpha / band)
    above, order = np.empty((size, count)), np.empty((size, count), np.int64)
    for k in range(size):
        for a in range(count):  # cheapest first
            value, _, _, _ = respond(user, k, table, a, alpha, cpu_price, delta + nu)
            place = a
            while place > 0 and above[k, place - 1] > value:
                above[k, place], order[k, place] = above[k, place - 1], order[k, place - 1]
                place -= 1
            above[k, place], order[k, place] = value, a
        for a in range(count - 1, -1, -1):
            above[k, a] -= above[k, 0]
        chosen[k] = order[k, 0]
    nodes, found, best_cpu, best_width = 0, math.inf, 0.0, 0.0
    # the undecided users, those with the dearest second choice last
    seconds = np.empty((1, size))
    for k in range(size):
        seconds[0, k] = above[k, 1] if count > 1 else math.inf
    second, ranked = seconds[0], order_by(seconds)
    finite = 0.0
    for k in range(size):
        for a in range(count):
            if above[k, a] < math.inf:
                finite = max(finite, above[k, a])
    finite = (finite + slack) * size  # beyond this there is nothing
    reach, before = max(slack, 1e-4 * second[ranked[0]] if second[ranked[0]] < math.inf else slack), -1.0
    spot, sums = np.empty(size, np.int64), np.empty(size + 1)
    while True:
        allowed = min(reach, found - bound + slack)
        core = 1  # at least: the first vector tried is everybody's cheapest action
        while core < size and second[ranked[core - 1]] <= allowed and second[ranked[core]] <= allowed:
            core += 1
        depth, sums[0] = 0, 0.0
        spot[0] = -1
        while depth >= 0:
            k = ranked[depth]
            spot[depth] += 1
            here = spot[depth]
            if here >= count or not sums[depth] + above[k, here] <= min(reach, found - bound + slack):
                chosen[k] = order[k, 0]
                depth -= 1
                continue
            nodes += 1
            if nodes > node_limit:
                return found, best_cpu, best_width, nodes
            chosen[k] = order[k, here]
            sums[depth + 1] = sums[depth] + above[k, here]
            if depth + 1 < core:
                depth += 1
                # of identical users the later one chooses no cheaper
                spot[depth] = here - 1 if same(user, table, ranked[depth], k) else -1
                continue
            if sums[depth + 1] <= before:
                continue  # tried with the reach before
            price, width_price, dual = clear(
                user, table, chosen, alpha, delta, server, band, coupled, found, cpu_price, guess_width
            )
            if price < math.inf and dual < found:
                found, best_cpu, best_width = dual, price, width_price
                best[:] = chosen
        if reach >= min(found - bound + slack, finite):
            return found, best_cpu, best_width, nodes
        before, reach = reach, min(4.0 * reach, max(finite, slack))


@kernel
def solve_span(device, limits, instance, catalogue, most, node_limit, feasible, tight, begin, end, packed):
    """Solve some instances, one after the other; return the largest code of their status."""
    users, worst = device.shape[2], 0
    out_device, out_model, out_local, out_instance, out_counts = blocks_of(packed, device.shape[1], users)
    for i in range(begin, end):
        solve_one(
            device, limits, instance, i, catalogue, most, node_limit,
            out_device, out_model, out_local, out_instance, out_counts,
        )  # fmt: skip
        worst = max(worst, conclude(instance, i, users, catalogue, feasible, tight, out_instance, out_counts))
    return worst


@parallel_kernel
def solve_parallel(device, limits, instance, catalogue, most, node_limit, feasible, tight, packed):
    """Solve every instance, in parallel over instances; return the largest code of their status."""
    worst = 0
    for i in prange(device.shape[1]):
        worst = max(
            worst,
            solve_span(
                device, limits, instance, catalogue, most, node_limit, feasible, tight, i, i + 1, packed
            ),
        )
    return worst
