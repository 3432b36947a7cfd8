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

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.certify import Certificate
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import Array
from radioopt.fimi.device import Canonical, compute, log_h, log_m, pull, uploads

if TYPE_CHECKING:
    from radioopt.fimi.problem import SynthesisProblem

#: relative rounding error allowed for in a bound
ROUNDING = 1e-15
#: Newton steps on the dual that may improve the implied prices
STEPS = 12


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
    return judge(problem, options, *(np.asarray(value, np.float64) for value in point))[0]


def judge(
    problem: SynthesisProblem, options: SolveOptions, extra: Array, f: Array, b: Array, power: Array
) -> tuple[Certificate, Array, Array]:
    """Judge a point as :func:`evaluate` does, and return the prices that prove its bound too.

    Parameters
    ----------
    problem : SynthesisProblem
        The question.
    options : SolveOptions
        Tolerances.
    extra, f, b, power : ndarray, shape (..., I)
        Synthetic samples, CPU frequency [Hz], bandwidth [Hz] and transmit power [W].

    Returns
    -------
    certificate : Certificate
        As :func:`evaluate` returns it.
    nu, varpi : ndarray, shape (...)
        Price of learning [J] and of bandwidth [J/Hz].
    """
    p = Canonical.of(problem)
    with np.errstate(all="ignore"):
        cycles = np.expand_dims(problem.local_epochs, -1) * problem.cycles_per_sample
        samples = problem.local_samples + extra
        compute = cycles * samples / f
        upload = p.a / (b * np.log1p(power / (p.k * b)))
        energy = problem.energy_coefficient * cycles * samples * f**2 + power * upload
        bound, nu, varpi = implied_bound(problem, samples, b, power)
        least, most = _range(problem)
        learned = (samples**-p.beta).sum(-1, keepdims=True)
        residuals = {
            "synthetic_samples": np.maximum(least - extra, extra - most)
            / np.minimum(p.high, p.low + np.abs(extra)),
            "cpu_frequency": _limited(f, problem.max_cpu_frequency_hz),
            "transmit_power": _limited(power, p.power),
            "bandwidth": np.where(b > 0, b.sum(-1, keepdims=True) / p.B - 1, np.inf),
            "round_latency": (compute + upload) / p.T - 1,
            "learning": np.where(p.Y > 0, learned / p.Y - 1, np.inf),
        }
    worst = {name: value.max(-1) for name, value in residuals.items()}
    certificate = Certificate.judge(energy.sum(-1), bound, worst, sense=problem.sense, options=options)
    return certificate, nu, varpi


def _range(problem: SynthesisProblem) -> tuple[Array, Array]:
    """Least and most synthetic samples, which are one number where they are fixed."""
    fixed = problem.fixed_synthetic_samples
    given = np.isfinite(fixed)
    return np.where(given, fixed, 0.0), np.where(given, fixed, problem.max_synthetic_samples)


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
            off = np.maximum(np.abs(learning) * (nu > 0), np.abs(band))
            if (
                step == STEPS or not (off >= 1e-14).any()
            ):  # nothing is left to improve: met, or no point at all
                break
            step_nu, step_varpi = _newton(jacobian, learning, band, nu > 0)
            nu, varpi = nu * np.exp(step_nu), varpi * np.exp(step_varpi)
    return bound[..., 0], best[0][..., 0], best[1][..., 0]


def _implied_prices(p: Canonical, samples: Array, bandwidth: Array, power: Array) -> tuple[Array, Array]:
    """Medians of the prices at which each device would choose what it has."""
    u = np.log1p(power / (p.k * bandwidth))
    t = p.a / (bandwidth * u)
    s = p.T - t
    ln_h = log_h(u)
    full = power >= p.power * (1 - 1e-9)
    fastest = samples >= p.F * s * (1 - 1e-9)
    above, below = samples >= p.high * (1 - 1e-9), samples <= p.low * (1 + 1e-9)
    speed = 2 * p.A * (samples / s) ** 3  # -C' of a device that is not at f_max
    at_limit = (speed + p.power) * t**2 * np.exp(ln_h - u) / p.a
    free = ~full
    varpi = np.full_like(p.B, np.nan)
    for values, chosen in ((p.k * t * np.exp(ln_h), free), (at_limit, full & ~fastest), (at_limit, full)):
        varpi = np.where(np.isnan(varpi), _median(values, chosen), varpi)

    rising = p.a * np.exp(u - ln_h) / t**2
    slope = np.where(full, varpi * rising - p.power, varpi * bandwidth / t)  # -U'
    interior = 3 * p.A * samples ** (p.beta + 3) / (p.beta * s**2)
    at_speed = (p.A * p.F**3 + slope) * samples ** (p.beta + 1) / (p.beta * p.F)
    own = np.where(fastest, at_speed, interior)
    nu = np.full_like(varpi, np.nan)
    for chosen in (~(fastest | above | below), fastest & ~(above | below)):
        nu = np.where(np.isnan(nu), _median(own, chosen), nu)
    # where all devices are at a limit: between what those at D_hi need and those at D_loc refuse
    least = np.where(above & ~below, own, 0.0).max(-1, keepdims=True)
    most = np.where(below & ~above, own, np.inf).min(-1, keepdims=True)
    between = np.where(np.isinf(most), least * 2, np.where(least > 0, np.sqrt(least * most), most / 2))
    nu = np.where(np.isnan(nu), between, nu)
    # where all are at full speed and full power, one price follows from the other at each: a line through the devices
    inside = full & fastest & ~(above | below)
    weight = p.beta * p.F * samples ** (-p.beta - 1)
    line_nu, line_varpi = _line((p.A * p.F**3 - p.power) / weight, rising / weight, inside)
    met = (full & fastest).all(-1, keepdims=True) & (line_nu > 0) & (line_varpi > 0)
    nu, varpi = np.where(met, line_nu, nu), np.where(met, line_varpi, varpi)
    return np.where(nu > 0, nu, 0.0), np.where(varpi > 0, varpi, 0.0)


def _line(rest: Array, rising: Array, chosen: Array) -> tuple[Array, Array]:
    """Fit nu = rest + varpi rising to the chosen devices; nan where they are fewer than two."""
    count = chosen.sum(-1, keepdims=True)
    middle, height = (np.where(chosen, x, 0.0).sum(-1, keepdims=True) / count for x in (rising, rest))
    apart, off = np.where(chosen, rising - middle, 0.0), np.where(chosen, rest - height, 0.0)
    varpi = -(apart * off).sum(-1, keepdims=True) / (apart**2).sum(-1, keepdims=True)
    return height + varpi * middle, varpi


def _median(values: Array, chosen: Array) -> Array:
    """Median of the chosen finite values along the devices; nan where there is none."""
    values = np.where(chosen & np.isfinite(values), values, np.nan)
    some = np.isfinite(values).any(-1, keepdims=True)
    return np.where(some, np.nanmedian(np.where(some, values, 0.0), -1, keepdims=True), np.nan)


def _dual(p: Canonical, nu: Array, varpi: Array) -> tuple[Array, tuple[Array, Array], tuple[Array, ...]]:
    """Value of the dual, log residuals of both constraints, and their Jacobian in (ln nu, ln varpi)."""
    u, t, at_power, at_edge = uploads(p, nu, varpi)
    s = p.T - t
    samples, at_speed, clamped = compute(p, nu, s)
    slope = pull(p, nu, s)
    b = p.a / (t * u)
    learned = samples**-p.beta
    energy = p.A * samples**3 / s**2 + p.k * p.a * np.exp(log_m(u))
    terms = energy + nu * (learned - p.Y / learned.shape[-1]) + varpi * (b - p.B / b.shape[-1])
    size = (energy + nu * learned + varpi * b).sum(-1, keepdims=True)
    value = terms.sum(-1, keepdims=True) - ROUNDING * size
    value = np.where((varpi > 0) & np.isfinite(value), value, 0.0)

    # the device's root z(ln nu, ln varpi), and what follows from it
    X = nu * p.beta * p.F * samples ** (-p.beta - 1)
    c = np.where(at_speed, (p.beta + 1) * X / slope, np.where(clamped, 3.0, 3 * (p.beta + 1) / (p.beta + 3)))
    e = np.where(at_speed, X / slope, np.where(clamped, 0.0, 3 / (p.beta + 3)))
    ln_h, ln_m = log_h(u), log_m(u)
    mu = u**2 * np.exp(u - ln_h)
    g_free = -c * mu * t / s - 2 * mu + 1
    q = np.exp(ln_h - ln_m) / u
    r = slope / (slope + p.power)
    g_full = r * c * q * t / s + 2 * q + u**2 * np.exp(ln_m - ln_h)
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
    return tuple(np.nan_to_num(np.clip(x, -1.0, 1.0)) for x in (step_nu, step_varpi))


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
    extra = np.clip(synthetic_samples, *_range(problem))
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
