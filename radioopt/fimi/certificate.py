r"""Objective, residuals, bound and repair of a FIMI point in plain NumPy: the oracle for every solver.

It takes decisions only and calls no kernel, so that it can judge the kernels.

With :math:`D` the samples, :math:`s` the compute and :math:`t` the upload time, :math:`A = \epsilon(\tau\omega)^3`,
:math:`k = N_0/g`, :math:`a = S\ln 2` and :math:`u = a/(bt) = \ln(1 + SNR)`, any prices :math:`\nu, \varpi \ge 0` bound
the least energy from below by weak duality:

.. math::
    E^* \ge \sum_i \min_{D, s + t = T, b} \Big( \frac{A D^3}{s^2} + \frac{k a (e^u - 1)}{u} + \nu D^{-\beta}
        + \varpi b \Big) - \nu Y - \varpi B .

Each device's minimum is convex in :math:`t`: below the time :math:`t_c` at which the best power reaches its limit
the device transmits at :math:`P^{max}`, :math:`t = \kappa (e^u - 1)/u` with :math:`\kappa = k a/P^{max}`; above it
:math:`\varpi = k t\, h(u)` with :math:`h(u) = u e^u - e^u + 1`. Either way :math:`u` is at most :math:`u_c`, where
both hold, and a bracketed search in :math:`\ln u` finds the zero of the derivative

.. math:: -C'(s) + U'(t), \quad -C' = 2 A D^3/s^3 \text{ or } \nu\beta F D^{-\beta-1} - A F^3 \text{ at } f^{max}, \quad
    -U' = \varpi a/(t^2 u) \text{ or } \varpi a e^u/(t^2 h) - P^{max}.

The prices a point implies are medians over its devices; a few Newton steps on the dual improve them, and the best
bound met is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.certify import Certificate
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import Array

if TYPE_CHECKING:
    from radioopt.fimi.problem import SynthesisProblem

#: relative rounding error allowed for in a bound
ROUNDING = 1e-15
#: Newton steps on the dual that may improve the implied prices
STEPS = 12


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
        """Read them off a problem."""

        def each(name: str) -> Array:
            return np.expand_dims(getattr(problem, name), -1)

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


def evaluate(
    problem: SynthesisProblem,
    *,
    synthetic_samples: ArrayLike,
    cpu_frequency_hz: ArrayLike,
    bandwidth_hz: ArrayLike,
    transmit_power_w: ArrayLike,
    options: SolveOptions = DEFAULT_OPTIONS,
) -> Certificate:
    """Judge a point: energy, every constraint's violation, and the bound that the point itself proves.

    Parameters
    ----------
    problem : SynthesisProblem
        The question.
    synthetic_samples, cpu_frequency_hz, bandwidth_hz, transmit_power_w : array_like, shape (..., I)
        The point to judge [samples, Hz, Hz, W].
    options : SolveOptions, optional
        Tolerances.

    Returns
    -------
    Certificate
        Residuals: synthetic_samples (relative to the samples allowed), cpu_frequency, transmit_power,
        bandwidth, round_latency and learning (relative to their limits). A bound of 0 proves nothing.
    """
    point = (synthetic_samples, cpu_frequency_hz, bandwidth_hz, transmit_power_w)
    extra, f, b, power = (np.asarray(value, np.float64) for value in point)
    p = Canonical.of(problem)
    cycles = np.expand_dims(problem.local_epochs, -1) * problem.cycles_per_sample
    samples = problem.local_samples + extra
    with np.errstate(all="ignore"):
        compute = cycles * samples / f
        upload = p.a / (b * np.log1p(power / (p.k * b)))
        energy = problem.energy_coefficient * cycles * samples * f**2 + power * upload
        bound = implied_bound(problem, samples, b, power)[0]
        most = problem.max_synthetic_samples
        learned = (samples**-p.beta).sum(-1, keepdims=True)
        residuals = {
            "synthetic_samples": np.maximum(-extra, extra - most) / np.minimum(p.high, p.low + np.abs(extra)),
            "cpu_frequency": _limited(f, problem.max_cpu_frequency_hz),
            "transmit_power": _limited(power, p.power),
            "bandwidth": np.where(b > 0, b.sum(-1, keepdims=True) / p.B - 1, np.inf),
            "round_latency": (compute + upload) / p.T - 1,
            "learning": np.where(p.Y > 0, learned / p.Y - 1, np.inf),
        }
    worst = {name: value.max(-1) for name, value in residuals.items()}
    return Certificate.judge(energy.sum(-1), bound, worst, sense=problem.sense, options=options)


def _limited(value: Array, limit: Array) -> Array:
    return np.where(value > 0, value / limit - 1, np.inf)


def implied_bound(
    problem: SynthesisProblem, samples: Array, bandwidth: Array, power: Array
) -> tuple[Array, Array, Array]:
    """Prices that a point implies, improved, and the bound they prove.

    Parameters
    ----------
    problem : SynthesisProblem
        The question.
    samples, bandwidth, power : ndarray, shape (..., I)
        Local and synthetic samples, bandwidth [Hz] and transmit power [W].

    Returns
    -------
    bound, nu, varpi : ndarray, shape (...)
        Lower bound on the least energy [J], price of learning [J] and of bandwidth [J/Hz].
    """
    p = Canonical.of(problem)
    shape = np.broadcast_shapes(samples.shape, p.A.shape)
    samples, bandwidth, power = (np.broadcast_to(x, shape) for x in (samples, bandwidth, power))
    with np.errstate(all="ignore"):
        nu, varpi = _implied_prices(p, samples, bandwidth, power)
        slack = (p.low**-p.beta).sum(
            -1, keepdims=True
        ) <= p.Y  # no augmentation needed: nothing to pay for it
        nu = np.where(slack, 0.0, nu)
        bound = np.zeros_like(varpi)
        best = nu, varpi
        for step in range(STEPS + 1):
            value, (learning, band), jacobian = _dual(p, nu, varpi)
            better = value > bound
            bound = np.where(better, value, bound)
            best = np.where(better, nu, best[0]), np.where(better, varpi, best[1])
            if step == STEPS or bool((np.maximum(np.abs(learning) * (nu > 0), np.abs(band)) < 1e-14).all()):
                break
            step_nu, step_varpi = _newton(jacobian, learning, band, nu > 0)
            nu, varpi = nu * np.exp(step_nu), varpi * np.exp(step_varpi)
    return bound[..., 0], best[0][..., 0], best[1][..., 0]


def _implied_prices(p: Canonical, samples: Array, bandwidth: Array, power: Array) -> tuple[Array, Array]:
    """Medians of the prices at which each device would choose what it has."""
    u = np.log1p(power / (p.k * bandwidth))
    t = p.a / (bandwidth * u)
    s = p.T - t
    log_h = _log_h(u)
    full = power >= p.power * (1 - 1e-9)
    fastest = samples >= p.F * s * (1 - 1e-9)
    above, below = samples >= p.high * (1 - 1e-9), samples <= p.low * (1 + 1e-9)
    speed = 2 * p.A * (samples / s) ** 3  # -C' of a device that is not at f_max
    at_limit = (speed + p.power) * t**2 * np.exp(log_h - u) / p.a
    free = ~full
    varpi = np.nan
    for values, chosen in ((p.k * t * np.exp(log_h), free), (at_limit, full & ~fastest), (at_limit, full)):
        varpi = np.where(np.isnan(varpi), _median(values, chosen), varpi)

    slope = np.where(full, varpi * p.a * np.exp(u - log_h) / t**2 - p.power, varpi * bandwidth / t)  # -U'
    interior = 3 * p.A * samples ** (p.beta + 3) / (p.beta * s**2)
    at_speed = (p.A * p.F**3 + slope) * samples ** (p.beta + 1) / (p.beta * p.F)
    own = np.where(fastest, at_speed, interior)
    nu = np.nan
    for chosen in (~(fastest | above | below), fastest & ~(above | below)):
        nu = np.where(np.isnan(nu), _median(own, chosen), nu)
    # where all devices are at a limit: between what those at D_hi need and those at D_loc refuse
    least = np.where(above & ~below, own, 0.0).max(-1, keepdims=True)
    most = np.where(below & ~above, own, np.inf).min(-1, keepdims=True)
    between = np.where(np.isinf(most), least * 2, np.where(least > 0, np.sqrt(least * most), most / 2))
    nu = np.where(np.isnan(nu), between, nu)
    return np.where(nu > 0, nu, 0.0), np.where(varpi > 0, varpi, 0.0)


def _median(values: Array, chosen: Array) -> Array:
    """Median of the chosen finite values along the devices; nan where there is none."""
    values = np.where(chosen & np.isfinite(values), values, np.nan)
    some = np.isfinite(values).any(-1, keepdims=True)
    return np.where(some, np.nanmedian(np.where(some, values, 0.0), -1, keepdims=True), np.nan)


def _dual(p: Canonical, nu: Array, varpi: Array) -> tuple[Array, tuple[Array, Array], tuple[Array, ...]]:
    """Value of the dual, log residuals of both constraints, and their Jacobian in (ln nu, ln varpi)."""
    u, t, at_power, at_edge = _uploads(p, nu, varpi)
    s = p.T - t
    samples, at_speed, clamped = _samples(p, nu, s)
    pull = _pull(p, nu, s)
    b = p.a / (t * u)
    learned = samples**-p.beta
    energy = p.A * samples**3 / s**2 + p.k * p.a * np.exp(_log_m(u))
    terms = energy + nu * (learned - p.Y / learned.shape[-1]) + varpi * (b - p.B / b.shape[-1])
    size = (energy + nu * learned + varpi * b).sum(-1, keepdims=True)
    value = terms.sum(-1, keepdims=True) - ROUNDING * size
    value = np.where((varpi > 0) & np.isfinite(value), value, 0.0)

    # the device's root z(ln nu, ln varpi), and what follows from it
    X = nu * p.beta * p.F * samples ** (-p.beta - 1)
    c = np.where(at_speed, (p.beta + 1) * X / pull, np.where(clamped, 3.0, 3 * (p.beta + 1) / (p.beta + 3)))
    e = np.where(at_speed, X / pull, np.where(clamped, 0.0, 3 / (p.beta + 3)))
    log_h, log_m = _log_h(u), _log_m(u)
    mu = u**2 * np.exp(u - log_h)
    g_free = -c * mu * t / s - 2 * mu + 1
    q = np.exp(log_h - log_m) / u
    r = pull / (pull + p.power)
    g_full = r * c * q * t / s + 2 * q + u**2 * np.exp(log_m - log_h)
    z_nu = np.where(at_edge, 0.0, np.where(at_power, -r * e / g_full, -e / g_free))
    edge = np.where(at_power, 0.0, 1 / mu)
    z_varpi = np.where(at_edge, edge, np.where(at_power, 1 / g_full, -(c * t / s + 1) / g_free))
    t_nu = np.where(at_edge, 0.0, np.where(at_power, q * z_nu, -mu * z_nu))
    t_varpi = np.where(at_edge, 0.0, np.where(at_power, q * z_varpi, 1 - mu * z_varpi))
    d_s = np.where(at_speed, 1.0, np.where(clamped, 0.0, 2 / (p.beta + 3)))
    d_nu = np.where(at_speed | clamped, 0.0, 1 / (p.beta + 3))
    weight = -p.beta * learned / learned.sum(-1, keepdims=True)
    share = -b / b.sum(-1, keepdims=True)
    jacobian = tuple(
        x.sum(-1, keepdims=True)
        for x in (
            weight * (d_nu - d_s * t_nu * t / s),
            weight * (-d_s * t_varpi * t / s),
            share * (t_nu + z_nu),
            share * (t_varpi + z_varpi),
        )
    )
    residuals = np.log(learned.sum(-1, keepdims=True) / p.Y), np.log(b.sum(-1, keepdims=True) / p.B)
    return value, residuals, jacobian


def _newton(jacobian: tuple[Array, ...], learning: Array, band: Array, learns: Array) -> tuple[Array, Array]:
    """Newton step in (ln nu, ln varpi), at most one in size; in ln varpi alone where nu is 0 or undetermined."""
    j11, j12, j21, j22 = jacobian
    determinant = j11 * j22 - j12 * j21
    both = learns & (np.abs(determinant) > 1e-12 * np.abs(j11 * j22)) & np.isfinite(learning)
    step_nu = np.where(both, (j12 * band - j22 * learning) / determinant, 0.0)
    step_varpi = np.where(both, (j21 * learning - j11 * band) / determinant, -band / j22)
    return tuple(np.nan_to_num(np.clip(x, -1.0, 1.0)) for x in (step_nu, step_varpi))  # type: ignore[return-value]


def _samples(p: Canonical, nu: Array, s: Array) -> tuple[Array, Array, Array]:
    """Find the samples worth training on in s seconds, and whether the CPU or a limit on the samples decides."""
    wish = (nu * p.beta * s**2 / (3 * p.A)) ** (1 / (p.beta + 3))
    fastest = np.maximum(p.F * s, p.low)  # rounding may put F s below
    samples = np.clip(wish, p.low, np.minimum(p.high, fastest))
    at_speed = (wish >= fastest) & (fastest <= p.high)
    return samples, at_speed, ~at_speed & (samples != wish)


def _pull(p: Canonical, nu: Array, s: Array) -> Array:
    """-C'(s) > 0: energy that one more second of computing saves."""
    samples, at_speed, _ = _samples(p, nu, s)
    at_limit = nu * p.beta * p.F * samples ** (-p.beta - 1) - p.A * p.F**3
    return np.where(at_speed, at_limit, 2 * p.A * (samples / s) ** 3)


def _log_h(u: Array) -> Array:
    """ln(u e^u - e^u + 1) without overflow or cancellation."""
    series = np.full_like(u, 15 / 17)
    for j in range(14, -1, -1):  # u^2 sum_j u^j (j+1)/(j+2)!, nested
        series = 1 + series * u * ((j + 2) / ((j + 1) * (j + 3)))
    return np.where(u < 0.5, 2 * np.log(u) + np.log(series / 2), u + np.log(u + np.expm1(-u)))


def _log_m(u: Array) -> Array:
    """ln((e^u - 1)/u)."""
    return np.asarray(np.where(u > 1e-300, u + np.log(-np.expm1(-u) / u), 0.0))


def _root(function: Any, low: Array, high: Array) -> Array:
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


def _uploads(p: Canonical, nu: Array, varpi: Array) -> tuple[Array, Array, Array, Array]:
    """U and t of every device's minimum, whether at the largest power, and whether at the longest upload."""
    longest = p.T - p.low / p.F
    log_price = np.log(varpi)

    def inverse_h(log_h: Array) -> Array:
        large = np.maximum(log_h, 3.0)
        low = np.where(log_h > 3, np.log(large - np.log(large)), log_h / 2 - 1.0)
        high = np.where(log_h > 3, np.log(large), (log_h + np.log(2)) / 2)
        return _root(lambda z: _log_h(np.exp(z)) - log_h, low - 0.1, high + 0.1)

    def both(z: Array) -> Array:
        return _log_h(np.exp(z)) + _log_m(np.exp(z))

    log_kappa = np.log(p.k * p.a / p.power)
    target = log_price - np.log(p.k) - log_kappa
    z_c = _root(lambda z: both(z) - target, (np.minimum(target, 0.0) - 4) / 2, np.log(np.abs(target) + 4))
    ratio = np.log(longest) - log_kappa  # of the longest upload to the shortest with any bandwidth
    safe = np.maximum(ratio, 1e-300)
    z_m = _root(lambda z: _log_m(np.exp(z)) - ratio, np.log(safe) - 1, np.log(2 * safe + 4))

    def full(z: Array) -> Array:
        u = np.exp(z)
        log_t = log_kappa + _log_m(u)
        left = np.maximum(p.T - np.exp(log_t), p.low / p.F)
        return np.log(_pull(p, nu, left) + p.power) + 2 * log_t + _log_h(u) - log_price - np.log(p.a) - u

    def free(z: Array) -> Array:
        u = np.exp(z)
        log_t = np.minimum(log_price - np.log(p.k) - _log_h(u), np.log(longest))
        left = np.maximum(p.T - np.exp(log_t), p.low / p.F)
        return np.log(_pull(p, nu, left)) - (log_price + np.log(p.a) - 2 * log_t - z)

    z_top = np.minimum(z_c, z_m)
    at_power = full(z_top) > 0
    steepest = _pull(p, nu, p.low / p.F) + p.power
    z_low = np.minimum(0.5 * np.log(2 * varpi * p.a / (steepest * longest**2)), z_top) - 0.1
    z_full = _root(full, z_low, z_top)
    z_b = np.minimum(inverse_h(log_price - np.log(p.k * longest)), z_c)
    edge_free = free(z_b) <= 0
    z_free = np.where(edge_free, z_b, _root(free, z_b, z_c))
    edge_full = ~at_power & (z_m <= z_c)
    u = np.exp(np.where(at_power, z_full, np.where(edge_full, z_m, z_free)))
    at_power = at_power | edge_full
    at_edge = edge_full | (~at_power & edge_free)
    log_t = np.where(at_power, log_kappa + _log_m(u), log_price - np.log(p.k) - _log_h(u))
    return u, np.where(at_edge, longest, np.exp(log_t)), at_power, at_edge


def repair(
    problem: SynthesisProblem,
    *,
    synthetic_samples: ArrayLike,
    cpu_frequency_hz: ArrayLike,
    bandwidth_hz: ArrayLike,
    transmit_power_w: ArrayLike,
) -> dict[str, Array]:
    """Clip to the limits, share the band in proportion, and stretch upload and training over the round.

    Parameters
    ----------
    problem : SynthesisProblem
        The question.
    synthetic_samples, cpu_frequency_hz, bandwidth_hz, transmit_power_w : array_like, shape (..., I)
        A nearly feasible point, a generic solver's for instance.

    Returns
    -------
    dict of str to ndarray
        The same four decisions within every limit. The frequency is what the power leaves time for; a device that
        cannot be done in time, or a learning budget missed, stays so.
    """
    p = Canonical.of(problem)
    extra = np.clip(synthetic_samples, 0.0, problem.max_synthetic_samples)
    b = np.maximum(bandwidth_hz, 1e-12 * p.B)
    b = b / b.sum(-1, keepdims=True) * p.B
    power = np.clip(transmit_power_w, 1e-12 * p.power, p.power)
    with np.errstate(all="ignore"):
        s = p.T - p.a / (b * np.log1p(power / (p.k * b)))
        cycles = np.expand_dims(problem.local_epochs, -1) * problem.cycles_per_sample
        needed = cycles * (problem.local_samples + extra) / s
        # too slow a CPU: transmit faster instead
        in_time = (needed > 0) & (needed <= problem.max_cpu_frequency_hz)
        f = np.where(in_time, needed, problem.max_cpu_frequency_hz)
        left = p.T - cycles * (problem.local_samples + extra) / f
        faster = p.k * b * np.expm1(p.a / (b * left))
        power = np.where(in_time, power, np.where(left > 0, np.minimum(faster, p.power), p.power))
    return {
        "synthetic_samples": extra,
        "cpu_frequency_hz": f,
        "bandwidth_hz": b,
        "transmit_power_w": power,
    }
