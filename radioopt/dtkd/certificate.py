r"""Objective, residuals, bound and repair of a DT-KD point in plain NumPy: the oracle for every solver.

It takes decisions only (models, places, f, b) and calls no kernel, so that it can judge the kernels.

For any prices :math:`\lambda, \nu \ge 0` weak duality bounds the optimum from below by a sum over users,

.. math::
    D(\lambda, \nu) = \sum_k \min_{a = (m, x)} V_{ka}(\lambda, \nu) - \lambda F - \nu B, \quad
    V_{ka} = \min_{f, b} \beta c - \eta\cdot A + \alpha T_{ka}(f, b) + (\delta + \nu) b + \lambda f,

the inner minimum over the bounds of f and b and under the deadline. Any action whose reduced cost
:math:`V_{ka} - \min_a V_{ka}` exceeds the objective of the point less D is out. What is left is searched: one user's
action is fixed after another, each time with a dual of its own that leaves fewer, until one action vector is left or
none. The least bound of these vectors bounds the optimum: an optimal point meets it. Where the search would take too
long, the least bound found so far is the answer, and the gap says so.

In the paper's problem (no bounds, no deadlines, a noise power) prices and inner minima are closed forms. With
:math:`u = \sqrt{\alpha c/F}`, :math:`v = \sqrt{\alpha d/B}` and the sums U, V of the point's own actions, the prices
:math:`\lambda = U^2/F` and :math:`\nu = V^2/B - \delta` are those of its Problem 3.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.certify import Certificate
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import Array
from radioopt.dtkd.pricing import Pricing, actions_of, spectral_efficiency

if TYPE_CHECKING:
    from radioopt.dtkd.problem import DistillationProblem

#: action vectors enumerated at most, by a closed form each, and duals maximised at most
MOST_VECTORS, MOST_DUALS = 200_000, 2_000
#: relative rounding error allowed for in a bound
ROUNDING = 1e-13


def evaluate(
    problem: DistillationProblem,
    *,
    model: ArrayLike,
    trains_locally: ArrayLike,
    server_cpu_frequency_hz: ArrayLike,
    bandwidth_hz: ArrayLike,
    options: SolveOptions = DEFAULT_OPTIONS,
) -> Certificate:
    """Measure a point and bound the optimum from it.

    Parameters
    ----------
    problem : DistillationProblem
        The question.
    model, trains_locally : array_like, shape (..., K)
        Positions in the catalogue, and places.
    server_cpu_frequency_hz, bandwidth_hz : array_like, shape (..., K)
        Shares [Hz].
    options : SolveOptions, optional
        Tolerances.

    Returns
    -------
    Certificate
        Residuals: choices (inf for one that does not exist or is not allowed), server_cpu and bandwidth (relative to
        the totals), limits and delay (relative to the bounds), where the problem has them. The bound is proven by
        enumeration where few choices are left, and that of duality otherwise.
    """
    model, place = np.asarray(model), np.asarray(trains_locally)
    f, b = np.asarray(server_cpu_frequency_hz, np.float64), np.asarray(bandwidth_hz, np.float64)
    count = len(problem.catalogue)
    known = (model >= 0) & (model < count) & (model == np.round(model)) & ((place == 0) | (place == 1))
    action = np.where(known, 2 * model + place, 0).astype(np.int64)
    allowed = known & np.take_along_axis(actions_of(problem).allowed, action[..., None], -1)[..., 0]
    with np.errstate(all="ignore"):
        delay = delays(problem, action, f, b)
        table = actions_of(problem)
        price = np.expand_dims(problem.bandwidth_price_per_hz, -1)
        weight = np.expand_dims(problem.delay_weight_per_s, -1)
        objective = (_taken(table.constant, action) + weight * delay + price * b).sum(-1)
        objective = np.where(known.all(-1), objective, np.nan)
        residuals = {
            "choices": np.where(allowed.all(-1), 0.0, np.inf),
            "server_cpu": f.sum(-1) / problem.server_cpu_frequency_hz - 1,
            "bandwidth": b.sum(-1) / problem.bandwidth_hz - 1,
            "shares": np.where(((f >= 0) & (b >= 0) & np.isfinite(delay)).all(-1), 0.0, np.inf),
        }
        if not problem.is_plain:
            residuals["limits"] = np.maximum.reduce(
                [
                    _short(f, problem.min_server_cpu_frequency_hz),
                    _short(b, problem.min_bandwidth_hz),
                    (f / problem.max_server_cpu_frequency_hz - 1).max(-1),
                    (b / problem.max_bandwidth_hz - 1).max(-1),
                ]
            )
            residuals["delay"] = (delay / problem.max_delay_s - 1).max(-1)
    bound = np.full(objective.shape, -np.inf)
    good = np.isfinite(objective) & (
        np.maximum.reduce([*residuals.values()]) <= max(options.feasibility_tol, 1e-6)
    )
    good &= ~problem.is_beyond
    for index in np.ndindex(objective.shape):
        if good[index]:
            one = problem[index] if problem.batch_shape else problem
            bound[index] = _bound(one, action[index], float(objective[index]))
    return Certificate.judge(
        objective, bound[()], residuals, sense=problem.sense, scale=problem.scale, options=options
    )


def repair(
    problem: DistillationProblem,
    *,
    model: ArrayLike,
    trains_locally: ArrayLike,
    server_cpu_frequency_hz: ArrayLike,
    bandwidth_hz: ArrayLike,
) -> dict[str, Array]:
    """Round the choices, then clip the shares to their bounds and scale what is above the lower ones to the totals.

    Parameters
    ----------
    problem : DistillationProblem
        The question.
    model, trains_locally, server_cpu_frequency_hz, bandwidth_hz : array_like, shape (..., K)
        A nearly feasible point, a generic solver's for instance.

    Returns
    -------
    dict of str to ndarray
        The same four decisions. Deadlines are not looked at: a point that misses one keeps missing it.
    """
    model = np.clip(np.round(np.asarray(model, np.float64)), 0, len(problem.catalogue) - 1)
    place = np.asarray(trains_locally, np.float64) > 0.5
    model = np.where(problem.fixed_model >= 0, problem.fixed_model, model).astype(np.int64)
    place = np.where(problem.fixed_place >= 0, problem.fixed_place > 0.5, place)
    found: dict[str, Array] = {"model": model, "trains_locally": place}
    for name, given in (("server_cpu_frequency_hz", server_cpu_frequency_hz), ("bandwidth_hz", bandwidth_hz)):
        low, high = getattr(problem, f"min_{name}"), getattr(problem, f"max_{name}")
        share = np.clip(np.asarray(given, np.float64), low, high)
        room = np.expand_dims(getattr(problem, name) - low.sum(-1), -1)
        above = share - low
        with np.errstate(all="ignore"):
            factor = np.minimum(1.0, room / above.sum(-1, keepdims=True))
        found[name] = low + above * np.where(np.isnan(factor), 1.0, factor)
    return found


@np.errstate(all="ignore")
def delays(problem: DistillationProblem, action: Array, f: Array, b: Array) -> Array:
    """Delay of every user, shape (..., K) [s]; infinite where a share that is needed is missing."""
    table = actions_of(problem)
    cycles, bits = _taken(table.cycles, action), _taken(table.bits, action)
    rate = b * spectral_efficiency(problem, b)
    compute = np.where(cycles > 0, cycles / f, 0.0)
    return np.asarray(_taken(table.local_s, action) + compute + np.where(bits > 0, bits / rate, 0.0))


def least_delays(problem: DistillationProblem) -> Array:
    """Least delay of every user that has what the others' lower bounds, and its own upper ones, leave [s]."""
    shares = []
    for name in ("server_cpu_frequency_hz", "bandwidth_hz"):
        low = getattr(problem, f"min_{name}")
        rest = np.expand_dims(getattr(problem, name) - low.sum(-1), -1) + low
        shares.append(np.minimum(getattr(problem, f"max_{name}"), rest))
    table = actions_of(problem)
    each = [
        np.where(table.allowed[..., a], delays(problem, np.full(shares[0].shape, a), *shares), np.inf)
        for a in range(table.allowed.shape[-1])
    ]
    return np.asarray(np.minimum.reduce(each))


def _short(share: Array, least: Array) -> Array:
    """Return by how much shares fall short of their lower bounds, relatively; nothing where there is none."""
    return np.asarray(np.where(least > 0, (least - share) / np.where(least > 0, least, 1.0), -1.0).max(-1))


def _taken(values: Array, action: Array) -> Array:
    """Return the values (..., K, A) of the actions (..., K)."""
    return np.asarray(
        np.take_along_axis(np.broadcast_to(values, (*action.shape, values.shape[-1])), action[..., None], -1)[
            ..., 0
        ]
    )


@np.errstate(all="ignore")
def _bound(problem: DistillationProblem, action: Array, objective: float) -> float:
    """Bound the optimum of one instance, from the actions of a point and its objective."""
    if problem.is_plain:
        value = _plain_bound(problem, action, objective)
        if value is not None:
            return value
    return _searched_bound(Pricing.of(problem), objective)


def _searched_bound(pricing: Pricing, objective: float) -> float:
    """Bound by duals of fewer and fewer actions: those that are left within the allowance, one user's fixed at a time.

    The least of all that were not divided further bounds the optimum, also where the search is given up.
    """
    root = pricing.maximise(objective)
    undecided = [(root, np.isfinite(pricing.constant))]
    least, tried = objective, 1  # the point's own cost, or less if a vector that costs less was met
    while undecided and tried < MOST_DUALS:
        node, left = undecided.pop()
        left = left & (node.reduced <= least - node.value + ROUNDING * node.gross)
        count = left.sum(-1)
        if not count.all():
            continue
        if (count == 1).all():
            # the dual at hand may have been stopped early, and has prices for more than these actions
            vector = pricing.restricted(left.argmax(-1)).maximise(least, node.prices)
            least = min(least, vector.value)
            tried += 1
            continue
        # the user whose two best choices are nearest to each other: either one changes the prices
        second = np.sort(np.where(left, node.reduced, np.inf), -1)[:, 1]
        user = int(np.where(count > 1, second, np.inf).argmin())
        children = []
        for choice in np.flatnonzero(left[user]):
            fewer = left.copy()
            fewer[user] = np.arange(left.shape[1]) == choice
            child = pricing.among(fewer).maximise(least, node.prices)
            if child.value <= least:
                children.append((child, fewer))
        tried += int(count[user])
        undecided += sorted(children, key=lambda each: -each[0].value)  # the most promising is looked at next
    least = min([least, *(node.value for node, _ in undecided)])
    return max(root.value, least) - ROUNDING * root.gross


def _plain_bound(problem: DistillationProblem, action: Array, objective: float) -> float | None:
    """Bound by closed forms: prices of the point's own Problem 3, then all vectors that they leave, if not too many."""
    table = actions_of(problem)
    alpha, delta = float(problem.delay_weight_per_s), float(problem.bandwidth_price_per_hz)
    full = problem.server_cpu_frequency_hz, problem.bandwidth_hz
    u = np.broadcast_to(np.sqrt(alpha * table.cycles / full[0]), table.allowed.shape)
    efficiency = spectral_efficiency(problem, np.array(0.0))[:, None]
    v = np.sqrt(alpha * table.bits / efficiency / full[1])
    k = np.where(table.allowed, table.constant + alpha * table.local_s, np.inf)
    tau = math.sqrt(delta * float(full[1]))
    own = np.arange(len(action)), action
    cpu, width = u[own].sum(), max(v[own].sum(), tau)
    scores = k + 2 * cpu * u + 2 * width * v
    least = scores.min(-1)
    value = float(least.sum() - cpu**2 - width**2 + tau**2)
    slack = float(ROUNDING * (np.abs(k[own]).sum() + cpu**2 + width**2 + tau**2))
    allowance = objective - value + slack
    reduced = scores - least[:, None]
    vectors = _left(reduced, allowance, MOST_VECTORS)
    if vectors is None:
        return None
    fixed = (reduced <= allowance).sum(-1) == 1
    core = np.flatnonzero(~fixed)
    rest = np.flatnonzero(fixed), reduced[fixed].argmin(-1)
    sums = [np.full(1, part[rest].sum()) for part in (k, u, v)]
    for user in core:  # sums over all vectors, a user at a time
        chosen = np.flatnonzero(reduced[user] <= allowance)
        sums = [
            np.add.outer(total, part[user, chosen]).ravel()
            for total, part in zip(sums, (k, u, v), strict=True)
        ]
    total_k, total_u, total_v = sums
    phi = np.where(total_v >= tau, total_v**2 + tau**2, 2 * tau * total_v)
    # the others cost more than the point, which itself may cost less than it should: by what residuals are allowed
    return max(value, float((total_k + total_u**2 + phi).min(initial=objective))) - slack


def _left(reduced: Array, allowance: float, most: int) -> Any:
    """Vectors of the actions whose reduced cost is within the allowance; None if there are more than ``most``."""
    candidates = [np.flatnonzero(row <= allowance) for row in reduced]
    if math.prod(len(c) for c in candidates) > most:
        return None
    return itertools.product(*candidates)
