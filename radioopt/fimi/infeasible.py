r"""Proof that a FIMI instance has no feasible point, and the nearest feasible values; only asked after a failure.

Five things can be missing, in this order:

1. time: device i cannot finish, :math:`D^{loc}/F + \kappa \ge T`, whatever its bandwidth;
2. bandwidth: :math:`\sum b^{min}(T - D^{loc}/F) > B` even without synthetic samples;
3. a reachable error: :math:`Y \le 0`;
4. samples: :math:`\sum (D^{loc} + D^{max})^{-\beta} > Y`;
5. all of them together: within T and B the devices cannot train on samples enough.

The last is a convex problem with one price w, as everybody transmits at :math:`P^{max}` in time t and trains on
:math:`D = \min(D^{hi}, F (T - t))`:

.. math:: V = \max_{w \ge 0} \sum_i \min_t \big(D_i^{-\beta} + w b_i(t)\big) - w B, \qquad
    b(t) = \frac{a}{t u}, \; \frac{e^u - 1}{u} = \frac{t}{\kappa} .

Any w bounds V from below, so V > Y is proven by the w found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from radioopt.base.quantity import Array, rounded_up
from radioopt.fimi.device import Canonical, log_h, log_m, monotone_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from radioopt.fimi.problem import SynthesisProblem

#: relative margin by which a limit must be missed to count: rounding is not infeasible
MARGIN = 1e-12


def proven(problem: SynthesisProblem) -> Array:
    """Tell which instances of a batch are proven to have no feasible point.

    Parameters
    ----------
    problem : SynthesisProblem
        A batch.

    Returns
    -------
    ndarray of bool, shape (...)
        True where a bound proves it; False where there is a feasible point or it is too close to call.
    """
    p = Canonical.of(problem)
    with np.errstate(all="ignore"):
        late = least_times(p).max(-1) >= p.T[..., 0]
        narrow = least_bandwidth(p) > p.B[..., 0] * (1 + MARGIN)
        unreachable = p.Y[..., 0] <= 0
        few = (p.high**-p.beta).sum(-1) > p.Y[..., 0] * (1 + MARGIN)
        known = np.asarray(late | narrow | unreachable | few)
        open_, shape = np.flatnonzero(~known), known.shape
        flat = known.reshape(-1)
        flat[open_] = _conflict(p.rows(shape, open_))
        return flat.reshape(shape)


def least_times(p: Canonical) -> Array:
    """Time that each device needs with unlimited bandwidth and no synthetic samples, shape (..., I)."""
    return np.asarray(p.low / p.F + p.k * p.a / p.power)


def least_bandwidth(p: Canonical) -> Array:
    """Bandwidth to finish in time without synthetic samples, shape (...); inf if no bandwidth is enough."""
    t = p.T - p.low / p.F
    b = p.a / (t * np.exp(_full_power(p, t)))
    return np.where((least_times(p) < p.T).all(-1), b.sum(-1), np.inf)


def least_learning(p: Canonical) -> tuple[Array, Array]:
    """Least sum of D^-beta within time and bandwidth, as reached and as proven, shape (...)."""
    choose = _chooser(p)

    def log_band(log_w: Array) -> Array:
        excess: Array = np.log(choose(np.exp(log_w))[1].sum(-1, keepdims=True) / p.B)
        return excess

    low, high = _bracket(p)
    w = np.exp(monotone_root(log_band, low, high))
    learned, b = choose(w)
    at_price = (learned + w * (b - p.B / b.shape[-1])).sum(-1)
    room = choose(np.exp(low))  # with bandwidth to spare
    enough = room[1].sum(-1) <= p.B[..., 0]
    bound = at_price - 1e-13 * (learned + w * b).sum(-1)
    return np.where(enough, room[0].sum(-1), learned.sum(-1)), np.where(enough, 0.0, bound)


def _conflict(p: Canonical) -> Array:
    """Tell whether V > Y is proven, shape (n,): price by price, each instance until one proves it or it is settled.

    V is concave in w and the bandwidth used falls in it, so its excess says on which side of w the best price is. The
    steps are those of the regula falsi, in ln w and ln of the bandwidth, an end that stays being halved (Illinois).
    """
    found = np.zeros(len(p.Y), bool)
    left = np.arange(len(p.Y))
    choose, centre = _chooser(p), np.mean(_bracket(p), axis=0)
    ends = np.array([centre[:, 0] - 60.0, centre[:, 0] + 60.0])  # with too much and too little bandwidth used
    excess = np.full_like(ends, np.nan)
    log_w, step, side = centre[:, 0], 2.0, np.zeros(len(p.Y), int)
    for _ in range(100):
        w = np.exp(log_w)[:, np.newaxis]
        learned, b = choose(w)
        used = np.log(b.sum(-1) / p.B[:, 0])
        bound = (learned + w * (b - p.B / b.shape[-1])).sum(-1) - 1e-13 * (learned + w * b).sum(-1)
        proven = bound > p.Y[:, 0] * (1 + MARGIN)
        found[left[proven]] = True
        # a point within both budgets, or a price as good as the best
        settled = (used <= 0) & (learned.sum(-1) <= p.Y[:, 0])
        settled |= ~(np.abs(used) > 1e-12) | (ends[1] - ends[0] < 1e-14 * np.abs(log_w))
        now = np.where(used > 0, 0, 1)
        for end in (0, 1):
            here = now == end
            excess[1 - end] = np.where(here & (side == end + 1), excess[1 - end] / 2, excess[1 - end])
            ends[end] = np.where(here, log_w, ends[end])
            excess[end] = np.where(here, used, excess[end])
        side = now + 1
        going = ~(proven | settled)
        if not going.any():
            break
        if 2 * going.sum() <= len(going):
            p, left = p.rows(going.shape, np.flatnonzero(going)), left[going]
            choose, ends, excess, log_w, side = (
                _chooser(p),
                ends[:, going],
                excess[:, going],
                log_w[going],
                side[going],
            )
        between = ends[0] - excess[0] * (ends[1] - ends[0]) / (excess[1] - excess[0])
        beyond = np.clip(np.where(side == 1, log_w + step, log_w - step), *ends)
        log_w = np.where(np.isfinite(between), between, beyond)
        step *= 2.0
    return found


def bandwidth_to_learn(p: Canonical) -> Array:
    """Bandwidth to meet the learning budget in time, shape (...); inf if no bandwidth is enough."""
    choose = _chooser(p)

    def log_excess(log_w: Array) -> Array:
        excess: Array = np.log(choose(np.exp(log_w))[0].sum(-1, keepdims=True) / p.Y)
        return excess

    low, high = _bracket(p)
    found = choose(np.exp(monotone_root(log_excess, low, high)))[1].sum(-1)
    best = np.minimum(p.high, p.F * (p.T - p.k * p.a / p.power))
    budget = p.Y[..., 0] * (1 + MARGIN)
    found = np.where((p.low**-p.beta).sum(-1) <= budget, 0.0, found)
    reachable = (best > 0).all(-1) & ((best**-p.beta).sum(-1) <= budget)
    possible = (least_times(p) < p.T).all(-1) & reachable
    return np.where(possible, np.maximum(found, least_bandwidth(p)), np.inf)


def explain(problem: SynthesisProblem) -> str:
    """Say what a single infeasible instance lacks, and every single change that would make it feasible.

    Parameters
    ----------
    problem : SynthesisProblem
        A single instance.

    Returns
    -------
    str
        The quantity, what it is and the nearest feasible value; then other quantities that could give way instead.
    """
    fixed = problem.fixes_samples
    problem = problem.settled()
    p = Canonical.of(problem)
    samples = "with its samples fixed" if fixed else "without synthetic samples"
    with np.errstate(all="ignore"):
        times = least_times(p)
        late, slowest = times.max(), int(times.argmax())
        narrow, cheapest = float(least_bandwidth(p)), float(bandwidth_to_learn(p))
        most_data = float((p.high**-p.beta).sum())
        values = {
            "bandwidth_hz": cheapest,
            "max_round_latency_s": _least_latency(p),
            "max_global_error": _error(problem, float(least_learning(p)[0])) if narrow <= p.B else np.inf,
        }
        if late >= p.T:
            name, value = "max_round_latency_s", float(late)
            why = f"the time of device {slowest} {samples} and with unlimited bandwidth"
        elif narrow > p.B:
            name, value, why = "bandwidth_hz", narrow, f"what the round takes {samples}"
        elif not p.Y > 0:
            name, value = "max_global_error", _error(problem, 0.0)
            why = "the limit that infinitely many samples approach"
        elif most_data > p.Y:
            name, value = "max_global_error", _error(problem, most_data)
            why = "the error with all synthetic samples allowed"
        else:
            name, value, why = "bandwidth_hz", cheapest, "what so many samples leave the time for"
    if value > LIMITS[name]:
        return f"{name}: not even {LIMITS[name]:g} can be met, {why}; check num_rounds and learning_curve"
    got = float(getattr(problem, name))
    nearest = [f"{key} of {rounded_up(least)}" for key, least in values.items() if least < LIMITS[key]]
    text = f"{name}: expected at least {rounded_up(value)}, {why}, got {got:.7g}"
    return f"{text}; feasible, the rest as it is, from {' or '.join(nearest)} on" if nearest else text


#: values at and beyond which a change is none
LIMITS = {"bandwidth_hz": np.inf, "max_round_latency_s": np.inf, "max_global_error": 1.0}


def _error(problem: SynthesisProblem, learned: float) -> float:
    """Return the global error at a given sum of D^-beta."""
    mean = problem.curve_alpha * learned / problem.sizes["device"] - problem.curve_gamma
    return float(np.exp(problem.num_rounds / problem.convergence_constant * (mean - 1)))


def _least_latency(p: Canonical) -> float:
    """Return the shortest round in which the bandwidth suffices; inf if none."""
    if not (p.high**-p.beta).sum() < p.Y:  # however long the round
        return np.inf

    def excess(log_latency: float) -> float:
        needed = bandwidth_to_learn(replace(p, T=np.exp([log_latency])))
        return float(np.minimum(np.log(needed / p.B[..., 0]), 50.0)[()])

    shortest = low = high = float(np.log(max(p.T[0], least_times(p).max())))
    while not excess(high) <= 0:
        low, high = high, high + np.log(2)
        if not high - shortest < 40:
            return np.inf
    return float(np.exp(brentq(excess, low, high, xtol=1e-9))) if high > low else float(np.exp(low))


def _full_power(p: Canonical, t: Array) -> Array:
    """Ln u at full power for an upload time, m(u) = t/kappa."""
    ratio = np.maximum(np.log(t * p.power / (p.k * p.a)), 1e-300)
    return monotone_root(lambda z: log_m(np.exp(z)) - ratio, np.log(ratio) - 1, np.log(2 * ratio + 4))


def _bracket(p: Canonical) -> tuple[Array, Array]:
    """Return ends of ln w around every price at which a device changes its mind."""
    t, s = p.T - p.low / p.F, p.low / p.F
    centre = np.log(p.beta * p.low ** (-p.beta) / s * t**2 / p.a).mean(-1, keepdims=True)
    return centre - 60.0, centre + 60.0


def _chooser(p: Canonical) -> Callable[[Array], tuple[Array, Array]]:
    """Return the function of the price w that gives D^-beta and bandwidth of every device."""
    longest = p.T - p.low / p.F
    log_kappa = np.log(p.k * p.a / p.power)
    shortest = np.maximum(p.T - p.high / p.F, 0.0)
    stops = shortest > np.exp(log_kappa)
    z_high = _full_power(p, longest)
    z_stop = _full_power(p, np.where(stops, shortest, longest))
    steepest = p.beta * p.F * p.low ** (-p.beta - 1)

    def choose(w: Array) -> tuple[Array, Array]:
        def steep(z: Array) -> Array:
            u = np.exp(z)
            log_t = log_kappa + log_m(u)
            s = np.maximum(p.T - np.exp(log_t), p.low / p.F)
            slope: Array = (
                np.log(p.beta / s) - p.beta * np.log(p.F * s) - np.log(w * p.a) - u + log_h(u) + 2 * log_t
            )
            return slope

        floor = 0.5 * np.log(2 * w * p.a / (steepest * longest**2)) - 0.1
        z_low = np.where(stops, z_stop, np.minimum(floor, z_high))
        inner = monotone_root(steep, z_low, z_high)
        z = np.where(steep(z_high) <= 0, z_high, np.where(steep(z_low) >= 0, z_low, inner))
        t = np.exp(log_kappa + log_m(np.exp(z)))
        samples = np.clip(p.F * (p.T - t), p.low, p.high)
        return samples**-p.beta, p.a / (t * np.exp(z))

    return choose
