"""FIMI's formulas in plain NumPy: the problem in canonical form, and each device's best answer to given prices.

The certificate and the proofs of infeasibility rest on these; no kernel does. Symbols are those of
:mod:`radioopt.fimi.certificate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.quantity import Array

if TYPE_CHECKING:
    from radioopt.fimi.problem import SynthesisProblem


@dataclass
class Canonical:
    """The problem's parameters as the formulas name them; per-instance ones with an axis for the devices."""

    A: Array
    k: Array
    F: Array
    low: Array
    high: Array
    power: Array
    a: Array
    T: Array
    Y: Array
    B: Array
    beta: Array

    @classmethod
    def of(cls, problem: SynthesisProblem) -> Canonical:
        """Read them off a problem; fixed synthetic samples count as local ones."""
        problem = problem.settled()

        def each(name: str) -> Array:
            return np.expand_dims(getattr(problem, name), -1)

        with np.errstate(all="ignore"):  # extremes become infinite or nan, which every formula passes on
            cycles = each("local_epochs") * problem.cycles_per_sample
            low = problem.local_samples
            return cls(
                A=problem.energy_coefficient * cycles**3,
                k=each("noise_psd_w_per_hz") / problem.channel_gain,
                F=problem.max_cpu_frequency_hz / cycles,
                low=low,
                high=low + problem.max_synthetic_samples,
                power=problem.max_transmit_power_w,
                a=each("payload_bits") * np.log(2),
                T=each("max_round_latency_s"),
                Y=np.expand_dims(problem.learning_budget, -1),
                B=each("bandwidth_hz"),
                beta=each("curve_beta"),
            )

    def rows(self, shape: tuple[int, ...], positions: Array) -> Canonical:
        """Return those of some instances of a batch, which lie at these places if counted one after the other."""
        parts = {name: np.broadcast_to(x, (*shape, x.shape[-1])) for name, x in vars(self).items()}
        return Canonical(**{name: x.reshape(-1, x.shape[-1])[positions] for name, x in parts.items()})


def compute(p: Canonical, nu: Array, s: Array) -> tuple[Array, Array, Array]:
    """Find the samples worth training on in s seconds, and whether the CPU or a limit on the samples decides."""
    wish = (nu * p.beta * s**2 / (3 * p.A)) ** (1 / (p.beta + 3))
    fastest = np.maximum(p.F * s, p.low)  # rounding may put F s below
    samples = np.clip(wish, p.low, np.minimum(p.high, fastest))
    at_speed = (wish >= fastest) & (fastest <= p.high)
    return samples, at_speed, ~at_speed & (samples != wish)


def pull(p: Canonical, nu: Array, s: Array) -> Array:
    """-C'(s) > 0: energy that one more second of computing saves."""
    samples, at_speed, _ = compute(p, nu, s)
    at_limit = nu * p.beta * p.F * samples ** (-p.beta - 1) - p.A * p.F**3
    return np.where(at_speed, at_limit, 2 * p.A * (samples / s) ** 3)


def log_h(u: Array) -> Array:
    """ln(u e^u - e^u + 1) without overflow or cancellation."""
    large = np.asarray(u + np.log(u + np.expm1(-u)))
    if not (u < 0.5).any():  # as mostly, and the series takes several times as long
        return large
    series = np.full_like(u, 15 / 17)
    for j in range(14, -1, -1):  # u^2 sum_j u^j (j+1)/(j+2)!, nested
        series = 1 + series * u * ((j + 2) / ((j + 1) * (j + 3)))
    return np.where(u < 0.5, 2 * np.log(u) + np.log(series / 2), large)


def log_m(u: Array) -> Array:
    """ln((e^u - 1)/u)."""
    return np.asarray(np.where(u > 1e-300, u + np.log(-np.expm1(-u) / u), 0.0))


def monotone_root(function: Any, low: Array, high: Array) -> Array:
    """Zero of an elementwise monotone function by Ridders' method; the nearer end if there is no sign change."""
    low, high = np.broadcast_arrays(low, high)
    at_low, at_high = function(low), function(high)
    nearer = np.where(np.abs(at_low) <= np.abs(at_high), low, high)
    bracketed = np.sign(at_low) * np.sign(at_high) < 0
    root = nearer
    for _ in range(60):
        middle = (low + high) / 2
        at_middle = function(middle)
        weight = at_middle / np.sqrt(at_middle**2 - at_low * at_high)
        new = middle + (middle - low) * np.sign(at_low - at_high) * np.where(np.isfinite(weight), weight, 0.0)
        moved = np.abs(new - root)
        root, at_root = new, function(new)
        if not (bracketed & (moved > 4e-16 * np.abs(root)) & (at_root != 0)).any():
            break
        for x, value in ((middle, at_middle), (root, at_root)):
            inside = (low < x) & (x < high)
            left = inside & (np.sign(value) == np.sign(at_low))
            low, at_low = np.where(left, x, low), np.where(left, value, at_low)
            right = inside & ~left
            high, at_high = np.where(right, x, high), np.where(right, value, at_high)
    return np.where(bracketed, root, nearer)


def uploads(p: Canonical, nu: Array, varpi: Array) -> tuple[Array, Array, Array, Array]:
    """U and t of every device's minimum, whether at the largest power, and whether at the longest upload."""
    longest = p.T - p.low / p.F
    log_price = np.log(varpi)

    def inverse_h(ln_h: Array) -> Array:
        large = np.maximum(ln_h, 3.0)
        low = np.where(ln_h > 3, np.log(large - np.log(large)), ln_h / 2 - 1.0)
        high = np.where(ln_h > 3, np.log(large), (ln_h + np.log(2)) / 2)
        return monotone_root(lambda z: log_h(np.exp(z)) - ln_h, low - 0.1, high + 0.1)

    def both(z: Array) -> Array:
        return log_h(np.exp(z)) + log_m(np.exp(z))

    log_kappa = np.log(p.k * p.a / p.power)
    target = log_price - np.log(p.k) - log_kappa
    z_c = monotone_root(
        lambda z: both(z) - target, (np.minimum(target, 0.0) - 4) / 2, np.log(np.abs(target) + 4)
    )
    ratio = np.log(longest) - log_kappa  # of the longest upload to the shortest with any bandwidth
    safe = np.maximum(ratio, 1e-300)
    z_m = monotone_root(lambda z: log_m(np.exp(z)) - ratio, np.log(safe) - 1, np.log(2 * safe + 4))

    def full(z: Array) -> Array:
        u = np.exp(z)
        log_t = log_kappa + log_m(u)
        left = np.maximum(p.T - np.exp(log_t), p.low / p.F)
        imbalance: Array = (
            np.log(pull(p, nu, left) + p.power) + 2 * log_t + log_h(u) - log_price - np.log(p.a) - u
        )
        return imbalance

    def free(z: Array) -> Array:
        u = np.exp(z)
        log_t = np.minimum(log_price - np.log(p.k) - log_h(u), np.log(longest))
        left = np.maximum(p.T - np.exp(log_t), p.low / p.F)
        imbalance: Array = np.log(pull(p, nu, left)) - (log_price + np.log(p.a) - 2 * log_t - z)
        return imbalance

    z_top = np.minimum(z_c, z_m)
    at_power = full(z_top) > 0
    steepest = pull(p, nu, p.low / p.F) + p.power
    z_low = np.minimum(0.5 * np.log(2 * varpi * p.a / (steepest * longest**2)), z_top) - 0.1
    z_full = monotone_root(full, z_low, z_top)
    z_b = np.minimum(inverse_h(log_price - np.log(p.k * longest)), z_c)
    edge_free = free(z_b) <= 0
    z_free = np.where(edge_free, z_b, monotone_root(free, z_b, z_c))
    edge_full = ~at_power & (z_m <= z_c)
    u = np.exp(np.where(at_power, z_full, np.where(edge_full, z_m, z_free)))
    at_power = at_power | edge_full
    at_edge = edge_full | (~at_power & edge_free)
    log_t = np.where(at_power, log_kappa + log_m(u), log_price - np.log(p.k) - log_h(u))
    t = np.where(at_edge, longest, np.exp(log_t))
    # at the kink, too, the time does not move with the prices
    s = p.T - t
    at_kink = (np.abs(p.F * s / p.high - 1) < 1e-9) & (nu * p.beta * s**2 > 3 * p.A * p.high ** (p.beta + 3))
    return u, t, at_power, at_edge | at_kink
