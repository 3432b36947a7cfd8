r"""DT-KD kernels for the paper's problem: Problem 3 in closed form, the dual of the whole problem, its certificate.

With fixed noise power, and neither bounds nor deadlines, eliminating f and b leaves one number per action a = (m, x)
and user in each of three sums. With u = sqrt(alpha c/F), v = sqrt(alpha d/B), tau = sqrt(delta B), U = sum u,
V = sum v and k = alpha x mu/f_loc + beta c - eta.A the cost is

    sum k + U^2 + phi(V),    phi(V) = V^2 + tau^2 if V >= tau, 2 tau V below (the price delta leaves bandwidth unused).

As U^2 >= 2LU - L^2 and phi(V) >= 2 S V - S^2 + tau^2 for S >= tau,

    D(L, S) = sum_i min_a (k + 2L u + 2S v) - L^2 - S^2 + tau^2

bounds it from below, concave in two variables: F lambda = L^2 and B (nu + delta) = S^2. For any actions

    cost - D = sum of reduced costs + (U - L)^2 + psi(V),    psi(V) = (V - S)^2, or below tau (S - tau)(S + tau - 2V),

with no term negative, which is what :mod:`radioopt.dtkd.kernel_search` prunes by.

u depends on the action alone and v = s_a w_i with w = e^(-1/2), e = log2(1 + p h/n0): a user is two numbers, 1/f_loc
and w, and an action four.
"""

import math

import numpy as np

from radioopt.numerics.jit import inner_kernel, kernel, shaped
from radioopt.numerics.judge import FEASIBLE, INFEASIBLE, NODE_LIMIT, judge
from radioopt.numerics.lanes import LANES, any_lane, broadcast, lane_sum, pick, put, root, select
from radioopt.numerics.vmath import fast_log1p

# rows of the problem's per-user blocks, the second of them of limits, and of its per-instance block
GAIN, LOCAL, POWER, MODEL, PLACE = range(5)
F_LOW, F_HIGH, B_LOW, B_HIGH, DEADLINE = range(5)
BAND, SERVER, TEACHER, LABEL, ALPHA, BETA, DELTA, ETA_OWN, ETA_AVERAGE, NOISE, DENSITY = range(11)
# rows of the catalogue
CYCLES, BITS, OWN, AVERAGE = range(4)
# rows of the solution's blocks; the kernel leaves the residual where the gap will stand
CPU, WIDTH, DELAY, DEADLINE_PRICE = range(4)
OBJECTIVE, BOUND, RESIDUAL, CPU_PRICE, WIDTH_PRICE = range(5)
PASSES, STATUS, NODES = range(3)
# rows of an action: k without the user's part, u, s, the user's part alpha x mu, and at prices the score without the
# user's part and its slope in w
K, U, S, T, BASE, STEEP = range(6)
# rows of a user: 1/f_loc, w, the least score at prices, and its action
R, W, LEAST, CHOICE = range(4)
# users whose sums are taken together before they are added: rounding grows with the number of such groups
CHUNK = 128


@kernel
def spectral_efficiency(device, instance, i, k):
    """E = log2(1 + p h/n0) in bit/s/Hz, exact for a low SNR too."""
    return math.log1p(device[POWER, i, k] * device[GAIN, i, k] / instance[NOISE, i]) * 1.4426950408889634


@kernel
def fill_actions(instance, i, catalogue, actions):
    """Write the numbers of every action: 2m for model m at the server, 2m + 1 for locally."""
    alpha = instance[ALPHA, i]
    for m in range(catalogue.shape[1]):
        worth = instance[ETA_OWN, i] * catalogue[OWN, m] + instance[ETA_AVERAGE, i] * catalogue[AVERAGE, m]
        for x in range(2):
            a = 2 * m + x
            cycles = instance[TEACHER, i] + (1 - x) * catalogue[CYCLES, m]
            bits = catalogue[BITS, m] + x * instance[LABEL, i]
            actions[K, a] = instance[BETA, i] * cycles - worth
            actions[U, a] = math.sqrt(alpha * cycles / instance[SERVER, i])
            actions[S, a] = math.sqrt(alpha * bits / instance[BAND, i])
            actions[T, a] = alpha * x * catalogue[CYCLES, m]


@kernel
def fill_users(device, instance, i, actions, users, choices):
    """Write the numbers of every user, and return whether all are free to choose; if not, what each may choose."""
    free, size = True, users.shape[1]
    fields = shaped(device, (device.shape[0] * device.shape[1], size))
    count = device.shape[1]
    local, power, gain = LOCAL * count + i, POWER * count + i, GAIN * count + i
    for begin in range(0, size, LANES):
        snr = pick(fields, (power, begin)) * pick(fields, (gain, begin)) / instance[NOISE, i]
        put(users, (R, begin), 1.0 / pick(fields, (local, begin)))
        put(users, (W, begin), 1.0 / root(fast_log1p(snr) * 1.4426950408889634))
        if any_lane(snr < 1e-300) or any_lane(snr > 1e300):
            for k in range(begin, min(begin + LANES, size)):
                users[W, k] = 1.0 / math.sqrt(spectral_efficiency(device, instance, i, k))
    for k in range(size):
        free = free and device[MODEL, i, k] < 0.0 and device[PLACE, i, k] < 0.0
    for k in range(size - size % LANES if free else 0, size):
        fill_choice(device, i, k, actions, choices)
    return free


@kernel
def fill_choice(device, i, k, actions, choices):
    """Write which actions a user may choose: first, end, step."""
    model, place = int(device[MODEL, i, k]), int(device[PLACE, i, k])
    choices[0, k] = 2 * max(model, 0) + max(place, 0)
    choices[1, k] = actions.shape[1] if model < 0 else 2 * model + (2 if place < 0 else place + 1)
    choices[2, k] = 1 if place < 0 else 2


@kernel
def price(actions, low, slope):
    """Write what every action costs at (L, S): the part that all users share, and the part per w."""
    for a in range(actions.shape[1]):
        actions[BASE, a] = actions[K, a] + 2.0 * low * actions[U, a]
        actions[STEEP, a] = 2.0 * slope * actions[S, a]


@inner_kernel
def score(actions, a, r, w):
    """Score of action a at the prices written last, for a user with these numbers or for eight."""
    return actions[BASE, a] + actions[T, a] * r + actions[STEEP, a] * w


@kernel
def scan_eights(actions, users, count, note):
    """Choose among all actions at the prices written last, eight users at a time, for the first ``count`` users.

    Returns the sum of their scores, and of k, u and v. Who takes which action is written only if it is to be noted:
    very many users take as long to write as to scan.
    """
    scores, fixed, cpu, width = 0.0, 0.0, 0.0, 0.0
    for begin in range(0, count, CHUNK):
        part_scores, part_fixed, part_cpu, part_width = (
            broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
        )  # fmt: skip
        for k in range(begin, min(begin + CHUNK, count), LANES):
            r, w = pick(users, (R, k)), pick(users, (W, k))
            least, choice = score(actions, 0, r, w), broadcast(0.0)
            own, u, s = actions[K, 0] + actions[T, 0] * r, broadcast(actions[U, 0]), broadcast(actions[S, 0])
            for a in range(1, actions.shape[1]):
                here = score(actions, a, r, w)
                better = here < least
                least = select(better, here, least)
                choice = select(better, float(a), choice)
                own = select(better, actions[K, a] + actions[T, a] * r, own)
                u = select(better, actions[U, a], u)
                s = select(better, actions[S, a], s)
            if note:
                put(users, (LEAST, k), least)
                put(users, (CHOICE, k), choice)
            part_scores = part_scores + least
            part_fixed = part_fixed + own
            part_cpu = part_cpu + u
            part_width = part_width + s * w
        scores += lane_sum(part_scores)
        fixed += lane_sum(part_fixed)
        cpu += lane_sum(part_cpu)
        width += lane_sum(part_width)
    return scores, fixed, cpu, width


@kernel
def choose_allowed(actions, users, choices, k):
    """Choose for a user among the actions that it may choose; return the action."""
    least, choice = math.inf, 0
    for a in range(choices[0, k], choices[1, k], choices[2, k]):
        here = score(actions, a, users[R, k], users[W, k])
        if here < least:
            choice, least = a, here
    users[LEAST, k], users[CHOICE, k] = least, choice
    return choice


@kernel
def scan(actions, users, choices, free, low, slope, note):
    """Choose the best action of every user at (L, S); return the sum of their scores, and of k, u and v."""
    count = users.shape[1]
    price(actions, low, slope)
    whole = count - count % LANES if free else 0
    scores, fixed, cpu, width = scan_eights(actions, users, whole, note)
    for begin in range(whole, count, CHUNK):
        part_scores, part_fixed, part_cpu, part_width = 0.0, 0.0, 0.0, 0.0
        for k in range(begin, min(begin + CHUNK, count)):
            a = choose_allowed(actions, users, choices, k)
            part_scores += users[LEAST, k]
            part_fixed += actions[K, a] + actions[T, a] * users[R, k]
            part_cpu += actions[U, a]
            part_width += actions[S, a] * users[W, k]
        scores += part_scores
        fixed += part_fixed
        cpu += part_cpu
        width += part_width
    return scores, fixed, cpu, width


@kernel
def cost(fixed, cpu, width, tau):
    """Cost of actions whose k, u and v have these sums."""
    return fixed + cpu * cpu + (width * width + tau * tau if width >= tau else 2.0 * tau * width)


@kernel
def best_on_edge(hull, i, j, tau):
    """Minimise the cost between vertices i and j; return it and the weight of j."""
    d0, d1, d2 = hull[0, j] - hull[0, i], hull[1, j] - hull[1, i], hull[2, j] - hull[2, i]
    least, weight = math.inf, 0.0
    for full in range(
        1 if min(hull[2, i], hull[2, j]) >= tau else 0, 2
    ):  # part of the band used, or all of it
        curve = d1 * d1 + (d2 * d2 if full else 0.0)
        slope = d0 + 2.0 * hull[1, i] * d1 + 2.0 * (hull[2, i] if full else tau) * d2
        t = min(max(-0.5 * slope / curve, 0.0), 1.0) if curve > 0.0 else (1.0 if slope < 0.0 else 0.0)
        here = cost(hull[0, i] + t * d0, hull[1, i] + t * d1, hull[2, i] + t * d2, tau)
        if here < least:
            least, weight = here, t
    return least, weight


@kernel
def best_in_triangle(hull, i, j, k, tau):
    """Minimise the cost inside a triangle, where the whole band is used; return it and the weights of j and k."""
    a0, a1, a2 = hull[0, j] - hull[0, i], hull[1, j] - hull[1, i], hull[2, j] - hull[2, i]
    b0, b1, b2 = hull[0, k] - hull[0, i], hull[1, k] - hull[1, i], hull[2, k] - hull[2, i]
    det = a1 * b2 - a2 * b1
    if det == 0.0:
        return math.inf, 0.0, 0.0
    # the gradient (a0, b0) + 2 (U, V) (a, b) vanishes at this U and V
    cpu = 0.5 * (a2 * b0 - b2 * a0) / det
    width = 0.5 * (b1 * a0 - a1 * b0) / det
    t = ((cpu - hull[1, i]) * b2 - (width - hull[2, i]) * b1) / det
    s = ((width - hull[2, i]) * a1 - (cpu - hull[1, i]) * a2) / det
    if not (width >= tau and t > 0.0 and s > 0.0 and t + s < 1.0):
        return math.inf, 0.0, 0.0
    return hull[0, i] + t * a0 + s * b0 + cpu * cpu + width * width + tau * tau, t, s


@kernel
def copy_vertex(hull, source, target):
    """Overwrite a vertex by another."""
    hull[0, target], hull[1, target], hull[2, target] = hull[0, source], hull[1, source], hull[2, source]


@kernel
def correct(hull, size, tau):
    """Minimise the cost over a hull of at most four vertices, the last of which is new; keep those that matter.

    The minimiser lies on a face with the new vertex. Returns how many vertices are kept, the cost, and U and V.
    """
    new = size - 1
    least, first, second, t, s = cost(hull[0, new], hull[1, new], hull[2, new], tau), -1, -1, 0.0, 0.0
    for j in range(new):
        value, weight = best_on_edge(hull, new, j, tau)
        if value < least:
            least, first, second, t, s = value, j, -1, weight, 0.0
    for j in range(1, new):
        for k in range(j):
            value, one, two = best_in_triangle(hull, new, j, k, tau)
            if value < least:
                least, first, second, t, s = value, j, k, one, two
    weight = 1.0 - t - s
    cpu, width = weight * hull[1, new], weight * hull[2, new]
    kept = 0
    if second >= 0:  # second < first < new: nothing is overwritten that is still needed
        cpu += s * hull[1, second]
        width += s * hull[2, second]
        copy_vertex(hull, second, kept)
        kept += 1
    if first >= 0:
        cpu += t * hull[1, first]
        width += t * hull[2, first]
        copy_vertex(hull, first, kept)
        kept += 1
    if weight > 0.0:
        copy_vertex(hull, new, kept)
        kept += 1
    return kept, least, cpu, width


@kernel
def maximise_dual(actions, users, choices, free, tau, most):
    """Maximise D by fully corrective steps over at most four vertices.

    Returns D, what it is at most, L and S, the least cost of the actions met with the L and S that chose them, how
    large the numbers are that were added up, and the number of passes.
    """
    hull = np.empty((3, 4))
    size, within, passes = 0, math.inf, 0
    bound, low, slope = -math.inf, 0.0, 0.0
    least, least_low, least_slope, gross = math.inf, 0.0, 0.0, 0.0
    # begin where everybody does the average
    at_low, at_slope = 0.0, 0.0
    for k in range(users.shape[1]):
        at_slope += users[W, k]
    per_user = 0.0
    for a in range(actions.shape[1]):
        at_low += actions[U, a] / actions.shape[1]
        per_user += actions[S, a] / actions.shape[1]
    at_low *= users.shape[1]
    at_slope = max(at_slope * per_user, tau)
    while passes < most:
        passes += 1
        scores, fixed, cpu, width = scan(actions, users, choices, free, at_low, at_slope, np.bool_(False))
        value = scores - at_low * at_low - at_slope * at_slope + tau * tau
        if value > bound:
            bound, low, slope = value, at_low, at_slope
        here = cost(fixed, cpu, width, tau)
        if here < least:
            least, least_low, least_slope = here, at_low, at_slope
        gross = abs(fixed) + cpu * cpu + width * width + tau * tau
        if within - bound <= 1e-15 * gross:
            break
        hull[0, size], hull[1, size], hull[2, size] = fixed, cpu, width
        before = within
        size, within, at_low, at_slope = correct(hull, size + 1, tau)
        at_slope = max(at_slope, tau)
        if not within < before:
            break
    return bound, within, low, slope, least, least_low, least_slope, gross, passes


@kernel
def write_parts(instance, i, actions, users, out_device):
    """Write what the users' actions bring to the sums, for ``allocate``."""
    for k in range(users.shape[1]):
        a = int(users[CHOICE, k])
        out_device[CPU, i, k] = actions[U, a]
        out_device[WIDTH, i, k] = actions[S, a] * users[W, k]
        out_device[DELAY, i, k] = actions[T, a] * users[R, k] / instance[ALPHA, i]
        out_device[DEADLINE_PRICE, i, k] = actions[K, a]


@kernel
def allocate(instance, i, tau, out_device, out_instance):
    """Share F and B in the best way for chosen actions, and measure: cost, residual, prices.

    ``out_device`` holds per user u, v, the time at the user, and k without the user's part (``write_parts``), where f,
    b, the delay and the price of the deadline will stand.
    """
    alpha, cpu, width = instance[ALPHA, i], 0.0, 0.0
    for k in range(out_device.shape[2]):
        cpu += out_device[CPU, i, k]
        width += out_device[WIDTH, i, k]
    full = max(width, tau)  # less than the whole band where it costs more than the time it saves
    per_u = instance[SERVER, i] / cpu if cpu > 0.0 else 0.0
    per_v = instance[BAND, i] / full if full > 0.0 else 0.0
    objective, use_f, use_b = 0.0, 0.0, 0.0
    per_alpha, delta = 1.0 / alpha, instance[DELTA, i]
    for k in range(out_device.shape[2]):
        u, v = out_device[CPU, i, k], out_device[WIDTH, i, k]
        f, b = per_u * u, per_v * v
        delay = out_device[DELAY, i, k] + (u * cpu + v * full) * per_alpha
        objective += out_device[DEADLINE_PRICE, i, k] + alpha * delay + delta * b
        use_f += f
        use_b += b
        out_device[CPU, i, k] = f
        out_device[WIDTH, i, k] = b
        out_device[DELAY, i, k] = delay
        out_device[DEADLINE_PRICE, i, k] = 0.0
    out_instance[OBJECTIVE, i] = objective
    out_instance[RESIDUAL, i] = max(use_f / instance[SERVER, i], use_b / instance[BAND, i]) - 1.0
    out_instance[CPU_PRICE, i] = cpu * cpu / instance[SERVER, i]
    out_instance[WIDTH_PRICE, i] = (full - tau) * (full + tau) / instance[BAND, i]
    # D at the prices of these very actions, the only ones there are: their cost, whatever rounding does to it
    out_instance[BOUND, i] = objective - 4e-16 * abs(objective)


@kernel
def write_choice(i, chosen, out_model, out_local):
    """Write models and places of chosen actions."""
    for k in range(chosen.size):
        a = int(chosen[k])
        out_model[i, k] = a >> 1
        out_local[i, k] = a & 1 == 1


@inner_kernel
def blocks_of(packed, count, users):
    """Return views of the solution's blocks, which lie in one array in the order of their declaration."""
    cells = count * users
    at_device, at_model, at_local = 8 * count, 8 * count + 4 * cells, 8 * count + 5 * cells
    out_instance = shaped(packed[: 5 * count], (5, count))
    out_counts = shaped(packed[5 * count : at_device].view(np.int64), (3, count))
    out_device = shaped(packed[at_device:at_model], (4, count, users))
    out_model = shaped(packed[at_model:at_local].view(np.int64), (count, users))
    out_local = shaped(packed[at_local:].view(np.bool_)[:cells], (count, users))
    return out_device, out_model, out_local, out_instance, out_counts


@kernel
def before(keys, j, k):
    """Whether column j comes before column k in the order of the rows, the first of which counts most."""
    for row in range(keys.shape[0]):
        if keys[row, j] != keys[row, k]:
            return keys[row, j] < keys[row, k]
    return j < k


@kernel
def order_by(keys):
    """Order the columns by their rows (Shell's sort: it is compiled in a tenth of the time of NumPy's)."""
    size = keys.shape[1]
    order, gap = np.arange(size), 1
    while gap < size:
        gap = 9 * gap // 4 + 1
    while gap > 0:
        for j in range(gap, size):
            k, place = order[j], j
            while place >= gap and before(keys, k, order[place - gap]):
                order[place] = order[place - gap]
                place -= gap
            order[place] = k
        gap = 4 * gap // 9
    return order


@kernel
def conclude(instance, i, users, catalogue, feasible, tight, out_instance, out_counts):
    """Replace the residual by the gap, and set the status, whose code is returned.

    Before, passes below 0 say that the instance is infeasible, and nodes below 0 that a limit ended the search.
    """
    own, average = 0.0, 0.0
    for m in range(catalogue.shape[1]):
        own, average = max(own, catalogue[OWN, m]), max(average, catalogue[AVERAGE, m])
    scale = users * (instance[ETA_OWN, i] * own + instance[ETA_AVERAGE, i] * average)
    objective, bound, residual = out_instance[OBJECTIVE, i], out_instance[BOUND, i], out_instance[RESIDUAL, i]
    gap, status = judge(objective, bound, residual, 1.0, scale, feasible, tight)
    if status == FEASIBLE and out_counts[NODES, i] < 0:
        status = NODE_LIMIT
    if out_counts[PASSES, i] < 0:
        status = INFEASIBLE
    out_instance[RESIDUAL, i] = gap
    out_counts[STATUS, i] = status
    out_counts[PASSES, i] = abs(out_counts[PASSES, i])
    out_counts[NODES, i] = abs(out_counts[NODES, i])
    return status
