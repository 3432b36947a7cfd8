r"""FIMI's optimum on tensors wherever they lie, as on a GPU: torch operations in float64, batched, certified.

At prices :math:`\nu` of learning and :math:`\varpi` of bandwidth every device has a best answer of its own; Newton's
method in their logarithms meets both budgets, and nested bracketed searches do where it fails, all instances at once
(:mod:`learning.layers.synthesis_devices` has a device's answer). The dual's value at any prices bounds the least energy
from below: it is the certificate, and where it exceeds the most energy that any allowed point spends there is no
feasible point, and the search ends.

What is differentiated is one more Newton step on the optimality equations of :mod:`radioopt.fimi.adjoint`, taken with
the slopes held: its value is rounding, and its derivative is that of the optimum with the active set held. Second
derivatives of it mean nothing, and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from learning.layers.synthesis_devices import Answer, Canonical, Tensor, add, answer, log_h, log_m
from radioopt.base.adjoint import invert

#: relative rounding error allowed for in a bound
ROUNDING = 1e-15
#: what a speed, power, noise, time etc. may be, for products and quotients of several to fit into float64
SMALL, LARGE = 1e-30, 1e30
#: passes after which Newton's method is given up, and trials after which the nested searches are
MOST_PASSES, MOST_TRIALS = 40, 200


def solve_syntheses(
    fields: Mapping[str, Tensor], *, gap_tol: float = 1e-9, feasibility_tol: float = 1e-9
) -> dict[str, Tensor]:
    """Solve FIMI's problem.

    Parameters
    ----------
    fields : mapping of str to Tensor
        All fields of :class:`radioopt.fimi.SynthesisProblem`, in float64, within their domains: shape (..., I), or
        (..., 1) for those of an instance, with the same leading axes.
    gap_tol, feasibility_tol : float
        What an optimum may leave open; see :class:`radioopt.SolveOptions`.

    Returns
    -------
    dict of str to Tensor
        ``synthetic_samples``, ``cpu_frequency_hz``, ``bandwidth_hz``, ``transmit_power_w``, ``compute_energy_j``,
        ``upload_energy_j`` (..., I); ``objective``, ``bound``, ``gap``, ``price_learning_j`` and
        ``price_bandwidth_j_per_hz`` (...); NaN without a proven optimum. ``answered`` (...) says which have one.
    """
    batch, devices = fields["local_samples"].shape[:-1], fields["local_samples"].shape[-1]
    flat = {name: value.reshape(math.prod(batch), value.shape[-1]) for name, value in fields.items()}
    with torch.no_grad():
        p = Canonical.of(flat)
        log_nu, log_varpi = _prices(p)
        at = answer(p, log_nu, log_varpi)
        objective, bound, residual = certify_syntheses(p, at, log_nu, log_varpi)
        gap = (objective - bound) / objective
        answered = (residual <= feasibility_tol) & (gap >= -feasibility_tol) & (gap <= gap_tol)
    found = _differentiable(flat, at, log_nu, log_varpi, answered)
    found |= {"bound": bound, "gap": gap}
    found |= {"price_learning_j": log_nu.exp(), "price_bandwidth_j_per_hz": log_varpi.exp()}
    shown = {}
    for name, value in found.items():
        masked = torch.where(answered, value, torch.full_like(value, torch.nan))
        per_device = value.shape[-1] == devices and name not in _OF_INSTANCE
        shown[name] = masked.reshape(*batch, devices) if per_device else masked.reshape(batch)
    return shown | {"answered": answered.reshape(batch)}


_OF_INSTANCE = ("objective", "bound", "gap", "price_learning_j", "price_bandwidth_j_per_hz")


def certify_syntheses(
    p: Canonical, at: Answer, log_nu: Tensor, log_varpi: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Measure devices' answers and bound the least energy by weak duality at their prices.

    Parameters
    ----------
    p : Canonical
        The instances.
    at : Answer
        Of every device to these prices.
    log_nu, log_varpi : Tensor, shape (n, 1)
        Logarithms of the prices; -inf for a price of 0.

    Returns
    -------
    objective, bound, residual : Tensor, shape (n, 1)
        NaN, or an infinite residual, where the answers are none.
    """
    nu, varpi = log_nu.exp(), log_varpi.exp()
    compute, upload = p.A * at.D * (at.D / at.s) ** 2, at.power * at.t
    learned, count = at.D**-p.beta, at.D.shape[-1]
    worth, rent = nu * learned, varpi * at.b
    # s = T - t where computing takes hardly any of the round: its rounding may be as large as s itself
    rounded = ROUNDING * p.T / at.s
    saved = torch.where(rounded < 0.1, rounded * (2 * compute + p.beta * worth), compute + worth)
    loss = ROUNDING * (compute + upload + worth + rent) + saved
    rest = torch.where(nu > 0, nu * (learned - p.Y / count), 0.0) + varpi * (at.b - p.B / count)
    objective = add(compute + upload)
    budget = torch.where(p.learns | (nu > 0), add(learned) / p.Y, 0.0)
    late = ((at.s + at.t - p.T) / p.T).amax(-1, keepdim=True)
    residual = torch.maximum(torch.maximum(budget, add(at.b) / p.B) - 1, late)
    return objective, objective + add(rest - loss), residual


# -- prices that meet both budgets ------------------------------------------------------------------------------


def _sums(p: Canonical, log_nu: Tensor, log_varpi: Tensor) -> tuple[Tensor, ...]:
    """How far both budgets are missed, in logarithms, how that changes with the prices, and what is infeasible.

    Returns g1, g2, their slopes in (ln nu, ln varpi), row by row, and whether the dual exceeds what any allowed point
    spends.
    """
    at = answer(p, log_nu, log_varpi)
    learned, a = at.D**-p.beta, at.d_s * at.t / at.s
    t_varpi = at.tau * at.z_varpi + torch.where(at.full, 0.0, 1.0)
    t_nu = at.tau * at.z_nu
    weight = p.beta * learned
    learning, band = add(learned), add(at.b)
    slopes = (
        add(weight * (a * t_nu - at.d_nu)) / learning,
        add(weight * a * t_varpi) / learning,
        -add(at.b * (t_nu + at.z_nu)) / band,
        -add(at.b * (t_varpi + at.z_varpi)) / band,
    )
    bound = certify_syntheses(p, at, log_nu, log_varpi)[1]
    beyond = bound > p.most_energy * (1 + 1e-9)
    return torch.where(p.learns, (learning / p.Y).log(), 0.0), (band / p.B).log(), *slopes, beyond


def _prices(p: Canonical) -> tuple[Tensor, Tensor]:
    """Logarithms of the prices of all instances, NaN where none are found."""
    log_nu, log_varpi = _first_prices(p)
    found = torch.full_like(log_nu, torch.nan), torch.full_like(log_varpi, torch.nan)
    rows = log_varpi.isfinite().nonzero()[:, 0]
    hard = _newton(p, log_nu, log_varpi, rows, found)
    if len(hard):
        nested = _nested(p.rows(hard), log_nu[hard], log_varpi[hard])
        for whole, part in zip(found, nested, strict=True):
            whole[hard] = part
        # the searches end within rounding of the roots; Newton's last steps polish them
        rows = hard[found[1][hard, 0].isfinite()]
        _newton(p, *(whole.clone() for whole in found), rows, found)
    return found


def _first_prices(p: Canonical) -> tuple[Tensor, Tensor]:
    """Prices at which equal upload times, unlimited, would about meet both budgets; see ``fimi/kernel.py``.

    ln nu is -inf where the local samples are enough. NaN where an instance is infeasible at a glance or float64 too
    narrow for it.
    """
    share, power = 0.4, p.beta / (p.beta + 3)
    weights, roots = add((3 * p.A / p.beta) ** power), add(p.k.sqrt())
    log_nu = (weights / p.Y).log() / power - 2 * ((1 - share) * p.T).log()
    u = (p.a * p.A.shape[-1] / (share * p.T * p.B)).clamp(max=600.0)
    log_varpi = 2 * (roots / p.A.shape[-1]).log() + (share * p.T).log() + log_h(u)
    inside = ((log_nu.abs() <= 500) | ~p.learns) & (log_varpi.abs() <= 500) & p.sound(SMALL, LARGE)
    log_nu = torch.where(p.learns, log_nu, -torch.inf)
    return torch.where(inside, log_nu, torch.nan), torch.where(inside, log_varpi, torch.nan)


def _newton(
    p: Canonical, log_nu: Tensor, log_varpi: Tensor, rows: Tensor, found: tuple[Tensor, Tensor]
) -> Tensor:
    """Newton's method on both budgets from given prices for some rows; return those left, after writing the others."""
    left = []
    nu, varpi, part = log_nu[rows], log_varpi[rows], p.rows(rows)
    best = torch.full_like(varpi, torch.inf)
    best_nu, best_varpi, stalled, before = nu, varpi, torch.zeros_like(varpi), best
    for passed in range(MOST_PASSES):
        if not len(rows):
            break
        g1, g2, j11, j12, j21, j22, beyond = _sums(part, nu, varpi)
        merit = torch.maximum(g1.abs(), g2.abs())
        better = merit < best
        best = torch.where(better, merit, best)
        best_nu, best_varpi = torch.where(better, nu, best_nu), torch.where(better, varpi, best_varpi)
        stalled = torch.where(merit > 0.5 * before, stalled + 1, torch.zeros_like(stalled))
        before = merit
        determinant = j11 * j22 - j12 * j21
        alone = ~part.learns
        step_nu = torch.where(alone, 0.0, (j12 * g2 - j22 * g1) / determinant)
        step_varpi = torch.where(alone, -g2 / j22, (j21 * g1 - j11 * g2) / determinant)
        size = torch.maximum(step_nu.abs(), step_varpi.abs())
        over = (2 / size).clamp(max=1.0)
        sound = (j22 < 0) & (alone | (determinant > 1e-12 * (j11 * j22).abs())) & (size < torch.inf)
        met = (best < 1e-13) | (
            (best < 1e-9) & ((merit > 0.5 * best) & (passed > 0) & ~better | (stalled > 0))
        )
        over_ = ~met & (~(sound & (merit < torch.inf)) | (stalled >= 4) | (passed == MOST_PASSES - 1))
        done = (met | over_ | beyond)[:, 0]
        for whole, value in zip(found, (best_nu, best_varpi), strict=True):
            whole[rows[met[:, 0]]] = value[met[:, 0]]
        left.append(rows[(over_ & ~met & ~beyond)[:, 0]])
        nu, varpi = nu + step_nu * over, varpi + step_varpi * over
        keep = (~done).nonzero()[:, 0]
        if len(keep) < len(rows):
            rows, part = rows[keep], part.rows(keep)
            nu, varpi, best, before, stalled = (x[keep] for x in (nu, varpi, best, before, stalled))
            best_nu, best_varpi = best_nu[keep], best_varpi[keep]
    return torch.cat(left) if left else rows


def _trial(x: Tensor, g: Tensor, slope: Tensor, low: Tensor, high: Tensor, stride: float) -> Tensor:
    """Next trial for a decreasing function with value g and this slope at x: Newton, bisection, or a stride."""
    after = x - g / slope
    newton = (slope < 0) & (low < after) & (after < high) & ((after - x).abs() <= 8 * stride)
    bounded = (low > -torch.inf) & (high < torch.inf)
    return torch.where(newton, after, torch.where(bounded, (low + high) / 2, x + g.sign() * stride))


def _nested(p: Canonical, log_nu: Tensor, log_varpi: Tensor) -> tuple[Tensor, Tensor]:
    """Bracketed searches for the price of bandwidth, and for the price of learning at every trial of it.

    For any price of bandwidth the sum of D^-beta falls with the price of learning; at the price of learning that meets
    its budget the bandwidth used falls with the price of bandwidth.
    """
    low, high = torch.full_like(log_varpi, -torch.inf), torch.full_like(log_varpi, torch.inf)
    lost = torch.zeros_like(log_varpi, dtype=torch.bool)
    done, stride = lost, 0.5
    for _ in range(MOST_TRIALS):
        log_nu, sums = _learning_price(p, log_nu, log_varpi, done | lost)
        _, g, j11, j12, j21, j22, beyond = sums
        lost = lost | beyond | ~g.isfinite() | ~(log_nu.abs() < 690) & p.learns | ~(log_varpi.abs() < 600)
        slope = j22 - torch.where(p.learns & (j11 < 0), j21 * j12 / j11, 0.0)
        low, high = torch.where(g > 0, log_varpi, low), torch.where(g > 0, high, log_varpi)
        after = _trial(log_varpi, g, slope, low, high, stride)
        done = done | (g.abs() < 1e-15) | ((after - log_varpi).abs() <= 2e-16 * log_varpi.abs())
        if (done | lost).all():
            break
        log_varpi = torch.where(done | lost, log_varpi, after)
        stride *= 2
    good = done & ~lost
    return torch.where(good, log_nu, torch.nan), torch.where(good, log_varpi, torch.nan)


def _learning_price(
    p: Canonical, log_nu: Tensor, log_varpi: Tensor, settled: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Price of learning that meets its budget at a price of bandwidth, and the sums there."""
    low, high = torch.full_like(log_nu, -torch.inf), torch.full_like(log_nu, torch.inf)
    done, stride = settled | ~p.learns, 0.5
    for _ in range(MOST_TRIALS):
        sums = _sums(p, log_nu, log_varpi)
        g, slope, beyond = sums[0], sums[2], sums[-1]
        low, high = torch.where(g > 0, log_nu, low), torch.where(g > 0, high, log_nu)
        after = _trial(log_nu, g, slope, low, high, stride)
        done = done | beyond | ~g.isfinite() | (g.abs() < 1e-15)
        done = done | ((after - log_nu).abs() <= 2e-16 * log_nu.abs()) | ~(after.abs() < 690)
        if done.all():
            break
        log_nu = torch.where(done, log_nu, after)
        stride *= 2
    return log_nu, sums


# -- what is differentiated -------------------------------------------------------------------------------------


def _differentiable(
    flat: Mapping[str, Tensor], at: Answer, log_nu: Tensor, log_varpi: Tensor, answered: Tensor
) -> dict[str, Tensor]:
    """Results with the values found and the derivatives of one Newton step whose slopes are held."""
    fields = {name: torch.where(answered, value, torch.ones_like(value)) for name, value in flat.items()}
    p = Canonical.of(fields)
    t, u, D = (torch.where(answered, value, 0.5) for value in (at.t, at.u, at.D))
    nu, varpi = (torch.where(answered, x.exp(), 1.0) for x in (log_nu, log_varpi))
    low_nu, low_varpi = nu.log(), varpi.log()
    s = p.T - t  # moves with the deadline
    with torch.no_grad():
        full, learns = at.full, nu > 0
        r, h, b = t / s, log_h(u).exp(), p.a / (t * u)
        mu, q = u * u * u.exp() / h, -u / (-u).expm1() - 1
        fastest = p.F * s <= D * (1 + 1e-9)
        saved = torch.where(full, varpi * p.a * u.exp() / (t * t * h) - p.power, varpi * b / t)
        speed = (saved - 2 * p.A * (D / s) ** 3).clamp(min=0.0)
        wants = nu * p.beta * D ** (-p.beta - 1) - 3 * p.A * D**2 / s**2
        wants = wants - torch.where(fastest, speed, 0.0) / p.F
        high, low = p.high * (1 - 1e-9) <= D, p.low * (1 + 1e-9) >= D
        high, low = high & ~(low & (wants <= 0)), low & ~(high & (wants > 0))
        high, low = high & ~p.fixed, low | p.fixed
        edge = high | low
        corner, fast, inner = edge & fastest, ~edge & fastest, ~edge & ~fastest
    X = nu * p.beta * p.F * D ** (-p.beta - 1)
    pull = torch.where(fastest, X - p.A * p.F**3, 2 * p.A * (D / s) ** 3)  # -C'
    with torch.no_grad():
        V = torch.where(fastest, saved, pull)
        rho, cube = torch.where(full, V / (V + p.power), 1.0), p.A * p.F**3 / V

    def cases(of_corner: Any, of_fast: Any, other: Any) -> Tensor:
        return torch.where(corner, of_corner, torch.where(fast, of_fast, other))

    log_t, log_D, log_u = t.log(), D.log(), u.log()
    limit = torch.where(high, p.high, p.low).log()
    wish = (p.beta + 3) * log_D - low_nu + (3 * p.A / p.beta).log() - 2 * s.log()
    time = 2 * log_t - low_varpi - p.a.log()
    time = time + torch.where(full, (pull + p.power).log() + log_h(u) - u, pull.log() + log_u)
    residuals = [
        torch.where(edge, log_D - limit, torch.where(fast, log_D - p.F.log() - s.log(), wish)),
        torch.where(corner, D / p.F + t - p.T, time),
        log_t
        + torch.where(full, p.power.log() - log_m(u) - (p.k * p.a).log(), log_h(u) + p.k.log() - low_varpi),
    ]
    learned = D**-p.beta / p.Y
    budgets = [torch.where(learns, add(learned) - 1, 0.0), add(p.a / (t * u)) / p.B - 1]
    with torch.no_grad():
        zero, one = torch.zeros_like(t), torch.ones_like(t)
        blocks = [
            [torch.where(inner, p.beta + 3, one), torch.where(edge, zero, torch.where(fast, r, 2 * r)), zero],
            [
                cases(D / p.F, -rho * (1 + cube) * (p.beta + 1), 3 * rho),
                cases(t, 2 * one, 2 + 3 * rho * r),
                torch.where(corner, zero, torch.where(full, mu - u, one)),
            ],
            [zero, one, torch.where(full, -q, mu)],
        ]
        rights = [
            [-one * inner, zero],
            [cases(zero, rho * (1 + cube), zero), -one * ~corner],
            [zero, -one * ~full],
        ]
        joint = [[-1.0 * learns * p.beta * learned, zero, zero], [zero, -b / p.B, -b / p.B]]
        solved = [[_finite(x) for x in row] for row in invert(blocks)]
        moved = [
            [-sum(x * right[j] for x, right in zip(row, rights, strict=True)) for j in (0, 1)]
            for row in solved
        ]
        system = [
            [add(sum(c * of[j] for c, of in zip(row, moved, strict=True))) for j in (0, 1)] for row in joint
        ]
        system[0][0] = system[0][0] + 1.0 * ~learns
        back = [[_finite(x) for x in row] for row in invert(system)]
    alone = [-sum(x * f for x, f in zip(row, residuals, strict=True)) for row in solved]
    missed = [
        g + add(sum(c * w for c, w in zip(row, alone, strict=True)))
        for row, g in zip(joint, budgets, strict=True)
    ]
    steps = [-(row[0] * missed[0] + row[1] * missed[1]) for row in back]
    log_D, log_t, log_u = (
        value + _slope(w + of[0] * steps[0] + of[1] * steps[1])
        for value, w, of in zip((log_D, log_t, log_u), alone, moved, strict=True)
    )
    D, t, u = log_D.exp(), log_t.exp(), log_u.exp()
    s, b = p.T - t, p.a / (t * u)
    power = p.k * b * u.expm1()
    compute, upload = p.A * D**3 / s**2, power * t
    extra = torch.where(low, 0.0, D - fields["local_samples"])
    extra = torch.where(p.fixed, p.given, extra)
    values = {
        "synthetic_samples": (torch.where(p.fixed, p.given, at.D - p.low), extra),
        "cpu_frequency_hz": (
            (at.D / (at.s * p.F)).clamp(max=1.0) * fields["max_cpu_frequency_hz"],
            p.cycles * D / s,
        ),
        "bandwidth_hz": (at.b, b),
        "transmit_power_w": (at.power, power),
        "compute_energy_j": (p.A * at.D * (at.D / at.s) ** 2, compute),
        "upload_energy_j": (at.power * at.t, upload),
    }
    found = {name: value.detach() + _slope(slope) for name, (value, slope) in values.items()}
    return found | {"objective": add(found["compute_energy_j"] + found["upload_energy_j"])}


def _slope(value: Tensor) -> Tensor:
    """Zero, with the derivative of a value."""
    return value - value.detach()


def _finite(value: Tensor) -> Tensor:
    """Put zero where an equation determines nothing."""
    return torch.where(value.isfinite(), value, 0.0)
