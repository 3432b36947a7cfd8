r"""One FIMI device on tensors: its best samples, upload time and bandwidth at given prices, for all at once.

With the symbols of :mod:`radioopt.fimi.certificate` a device minimises :math:`C(s) + U(t)`, :math:`s + t = T`. In
:math:`u = \ln(1 + SNR)` its upload lies on one of two branches, which meet at :math:`u_c`:

    full    t = κ (e^u - 1)/u, at the largest power       t < t_c
    free    k t h(u) = ϖ                                  t > t_c

so one coordinate x runs along both, :math:`\ln u = \ln u_c - |x|`, full for x < 0, and t rises with it. The imbalance
:math:`G = \ln(-C') - \ln(-U')` (with :math:`P^{max}` added to both at full power) rises with x, and a bracketed Newton
method finds its zero. The time may also stop where there is no time for more than the local samples (the edge) or, as
C' jumps there, just the time for all samples allowed (the kink); both are tried first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Tensor = torch.Tensor
_Function = Callable[[Tensor], tuple[Tensor, Tensor]]
#: relative excess over the learning budget that is rounding
ENOUGH = 1e-12
#: bounds on ln u: e^u near the end of float64, and h(u) near the other
LEAST_Z, MOST_Z = math.log(1e-150), math.log(650.0)


def add(value: Tensor) -> Tensor:
    """Sum over the devices, keeping their axis."""
    return value.sum(-1, keepdim=True)


@dataclass
class Canonical:
    """Instances' parameters as the formulas name them, (n, I) or (n, 1); see :mod:`radioopt.fimi.device`."""

    A: Tensor
    k: Tensor
    F: Tensor
    low: Tensor
    high: Tensor
    power: Tensor
    a: Tensor
    T: Tensor
    Y: Tensor
    B: Tensor
    beta: Tensor
    cycles: Tensor
    #: fixed synthetic samples, which count as local ones, and where there are some
    given: Tensor
    fixed: Tensor
    #: whether the learning budget has a price
    learns: Tensor

    @classmethod
    def of(cls, fields: Mapping[str, Tensor]) -> Canonical:
        """Read them off the problem's fields."""
        given = fields["fixed_synthetic_samples"]
        fixed = given.isfinite()
        given = torch.where(fixed, given, torch.zeros_like(given))
        cycles = fields["local_epochs"] * fields["cycles_per_sample"]
        held, devices = fields["local_samples"], fields["local_samples"].shape[-1]
        low, beta = held + given, fields["curve_beta"]
        ratio = fields["convergence_constant"] / fields["num_rounds"]
        left = 1 + fields["curve_gamma"] + ratio * fields["max_global_error"].log()
        Y = devices * left / fields["curve_alpha"]
        dropped = fixed[..., :1]
        return cls(
            A=fields["energy_coefficient"] * cycles**3,
            k=fields["noise_psd_w_per_hz"] / fields["channel_gain"],
            F=fields["max_cpu_frequency_hz"] / cycles,
            low=low,
            high=torch.where(fixed, low, held + fields["max_synthetic_samples"]),
            power=fields["max_transmit_power_w"],
            a=fields["payload_bits"] * math.log(2.0),
            T=fields["max_round_latency_s"],
            Y=torch.where(dropped, torch.ones_like(Y), Y),
            B=fields["bandwidth_hz"],
            beta=beta,
            cycles=cycles,
            given=given,
            fixed=fixed.expand(held.shape),
            learns=~dropped & (add(low**-beta) > Y * (1 + ENOUGH)),
        )

    def rows(self, chosen: Tensor) -> Canonical:
        """Return those of some instances."""
        return Canonical(**{name: value[chosen] for name, value in vars(self).items()})

    @property
    def kappa(self) -> Tensor:
        """Upload time at the largest power with unlimited bandwidth."""
        return self.k * self.a / self.power

    @property
    def longest(self) -> Tensor:
        """Upload time that leaves just the time for the local samples."""
        return self.T - self.low / self.F

    @property
    def most_energy(self) -> Tensor:
        """Energy that no allowed point exceeds."""
        samples = torch.minimum(self.high, self.F * self.T)
        return add(self.A * samples * self.F**2 + self.power * self.T)

    def sound(self, small: float, large: float) -> Tensor:
        """Tell where float64 is wide enough and no device or budget is hopeless at a glance."""
        fine = (self.kappa < self.longest) & (self.A > 1e-200) & (self.A < 1e200)
        for value in (self.F, self.low, self.power, self.k):
            fine &= (value > small) & (value < large)
        whole = fine.all(-1, keepdim=True) & (self.Y > 0) & (self.beta / (self.beta + 3) > 1e-9)
        for value in (self.a, self.T, self.B):
            whole &= (value > small) & (value < large)
        most = add(torch.minimum(self.high, self.F * self.T) ** -self.beta)
        return whole & (~self.learns | (most <= self.Y * (1 + ENOUGH)))


@dataclass
class Answer:
    """Every device's best answer to given prices, and how it moves with them; (n, I) each.

    With z = ln u, ``z_nu`` and ``z_varpi`` are dz/dln nu and dz/dln varpi, ``tau`` is dln t/dz at fixed prices (where
    the power is free dln t has dln varpi beside that), ``d_s`` and ``d_nu`` are dln D/dln s and dln D/dln nu.
    """

    u: Tensor
    t: Tensor
    s: Tensor
    D: Tensor
    b: Tensor
    power: Tensor
    full: Tensor
    z_nu: Tensor
    z_varpi: Tensor
    tau: Tensor
    d_s: Tensor
    d_nu: Tensor


@dataclass
class _Point:
    """A device's imbalance G at some t, its slope in x, and what else is known there."""

    G: Tensor
    slope: Tensor
    D: Tensor
    mu: Tensor
    q: Tensor
    r: Tensor
    c: Tensor
    k: Tensor
    d_s: Tensor
    d_nu: Tensor


def log_h(u: Tensor) -> Tensor:
    """ln(u e^u - e^u + 1), by its series where that cancels."""
    series = torch.full_like(u, 15 / 17)
    for j in range(14, -1, -1):  # u^2 sum_j u^j (j+1)/(j+2)!, nested
        series = 1 + series * u * ((j + 2) / ((j + 1) * (j + 3)))
    large = u.clamp(min=0.5)
    return torch.where(u < 0.5, 2 * u.log() + (series / 2).log(), large + (large + (-large).expm1()).log())


def log_m(u: Tensor) -> Tensor:
    """ln((e^u - 1)/u)."""
    return u + (-(-u).expm1() / u).log()


def answer(p: Canonical, log_nu: Tensor, log_varpi: Tensor) -> Answer:
    """Find every device's best answer to given prices.

    Parameters
    ----------
    p : Canonical
        n instances.
    log_nu, log_varpi : Tensor, shape (n, 1)
        Logarithms of the prices; -inf for a price of 0.

    Returns
    -------
    Answer
        NaN where a price is.
    """
    kappa, longest = p.kappa, p.longest
    log_kappa, log_k = kappa.log(), p.k.log()
    shortest = p.low / p.F
    kinked = p.T - p.high / p.F
    z_c = _root_of(_corner, log_varpi - log_k - log_kappa)
    t_c = (log_varpi - log_k - log_h(z_c.exp())).exp()

    def at(z: Tensor, full: Tensor, t: Tensor, s: Tensor, beyond: Tensor) -> _Point:
        return _balance(p, log_nu, log_varpi, z.exp(), full, t, s, beyond)

    def stop(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Coordinate, branch and ln u of an upload time."""
        full = t <= t_c
        z_full = _root_of(_power, torch.where(full, (t.log() - log_kappa), 1.0))
        z_free = _root_of(_free, torch.where(full, 0.0, log_varpi - log_k - t.log()))
        z = torch.minimum(torch.where(full, z_full, z_free), z_c)
        return torch.where(full, z - z_c, z_c - z), full, z

    yes = torch.ones_like(longest, dtype=torch.bool)
    x_edge, full_edge, z_edge = stop(longest)
    edge = at(z_edge, full_edge, longest, shortest, longest > kinked)
    at_edge = edge.G <= 0
    has_kink = (kinked > kappa) & (kinked < longest)
    t_kink = torch.where(has_kink, kinked, (kappa * longest).sqrt())
    x_kink, full_kink, z_kink = stop(t_kink)
    s_kink = torch.where(has_kink, p.high / p.F, p.T - t_kink)
    before, after = (at(z_kink, full_kink, t_kink, s_kink, side) for side in (~yes, yes))
    below, above = has_kink & (before.G > 0), has_kink & (after.G < 0)
    at_kink = has_kink & ~below & ~above & ~at_edge
    beyond = torch.where(has_kink, above, kinked <= kappa)

    # where else the root may be: at full power u is at least what the steepest -C' asks for
    steepest = (edge.G + _log_pull(full_edge, log_varpi, p, z_edge, longest)).exp() + p.power
    least = 0.5 * (2 * p.a / longest**2).log() + 0.5 * (log_varpi - steepest.log())
    low = torch.minimum(least - z_c, x_edge) - 0.1
    high = x_edge
    low, high = torch.where(above, x_kink, low), torch.where(below, x_kink, high)
    middle = at(z_c, yes, torch.minimum(t_c, longest), torch.maximum(p.T - t_c, shortest), beyond)
    inside = (low < 0) & (high > 0)
    high = torch.where(inside & (middle.G > 0), 0.0, high)
    low = torch.where(inside & (middle.G <= 0), 0.0, low)
    x = torch.minimum(torch.maximum(torch.zeros_like(low), low), high)
    x = torch.where(
        x == 0, torch.where(high > 0, x + 0.5 * high.clamp(max=1.0), 0.5 * low.clamp(min=-1.0)), x
    )
    stops = settled = at_edge | at_kink
    x = torch.where(at_edge, x_edge, torch.where(at_kink, x_kink, x))

    def split(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find ln u, branch, t and s of a coordinate."""
        z, full = (z_c - x.abs()).clamp(LEAST_Z, MOST_Z), x <= 0
        u = z.exp()
        log_t = torch.where(full, log_kappa + log_m(u), log_varpi - log_k - log_h(u))
        t = torch.minimum(log_t.exp(), longest)
        return z, full, t, torch.maximum(p.T - t, shortest)

    for _ in range(120):
        point = at(*split(x), beyond)
        low, high = torch.where(point.G < 0, x, low), torch.where(point.G < 0, high, x)
        step = -point.G / point.slope
        last = step.abs() <= 1e-10  # the step taken squares the error
        trial = torch.where(last, torch.minimum(torch.maximum(x + step, low), high), x + step)
        trial = torch.where(last | (low < trial) & (trial < high), trial, (low + high) / 2)
        x = torch.where(settled, x, trial)
        settled = settled | last | ~(high - low > 1e-15)
        if settled.all():
            break
    z, full, t, s = split(x)
    z = torch.where(at_edge, z_edge, torch.where(at_kink, z_kink, z))
    full = torch.where(at_edge, full_edge, torch.where(at_kink, full_kink, full))
    t = torch.where(at_edge, longest, torch.where(at_kink, t_kink, t))
    s = torch.where(at_edge, shortest, torch.where(at_kink, s_kink, s))
    point = at(z, full, t, s, beyond & ~at_kink)
    along = point.c * t / s
    slope = torch.where(full, -point.slope, point.slope)  # in z, but for its sign
    z_nu = torch.where(full, point.r, 1.0) * point.k / slope
    z_varpi = torch.where(full, -1.0, along + 1) / slope
    u = z.exp()
    b = p.a / (t * u)
    needed = p.k * b * u.expm1()
    return Answer(
        u=u,
        t=t,
        s=s,
        D=point.D,
        b=b,
        power=torch.where(full, p.power, torch.minimum(needed, p.power)),
        full=full,
        z_nu=torch.where(stops, 0.0, z_nu),
        z_varpi=torch.where(stops, torch.where(full, 0.0, 1 / point.mu), z_varpi),
        tau=torch.where(full, point.q, -point.mu),
        d_s=torch.where(stops, 0.0, point.d_s),
        d_nu=torch.where(stops, 0.0, point.d_nu),
    )


def _log_pull(full: Tensor, log_varpi: Tensor, p: Canonical, z: Tensor, t: Tensor) -> Tensor:
    """ln(-U'), or with the power added at full power: what G compares -C' with."""
    u = z.exp()
    free = log_varpi + p.a.log() - 2 * t.log()
    return free + torch.where(full, u - log_h(u), -z)


def _balance(
    p: Canonical,
    log_nu: Tensor,
    log_varpi: Tensor,
    u: Tensor,
    full: Tensor,
    t: Tensor,
    s: Tensor,
    beyond: Tensor,
) -> _Point:
    """Imbalance at one t: what a second more of computing saves, next to what one of uploading does.

    ``beyond`` says that t is beyond the kink, so that the CPU may be what limits the samples.
    """
    beta, each = p.beta, 1 / (p.beta + 3)
    wish = ((log_nu + (beta / (3 * p.A)).log() + 2 * s.log()) * each).exp()
    fastest = torch.maximum(p.F * s, p.low)
    limited = beyond & (wish >= fastest)
    inner = ~limited & (wish > p.low) & (wish < p.high)
    D = torch.where(limited, fastest, torch.minimum(torch.maximum(wish, p.low), p.high))
    X = (log_nu + (beta * p.F).log() - (beta + 1) * D.log()).exp()
    pull = torch.where(limited, X - p.A * p.F**3, 2 * p.A * (D / s) ** 3)
    share = X / pull
    c = torch.where(limited, (beta + 1) * share, torch.where(inner, 3 * (beta + 1) * each, 3.0))
    k = torch.where(limited, share, torch.where(inner, 3 * each, 0.0))
    d_s = torch.where(limited, 1.0, torch.where(inner, 2 * each, 0.0))
    d_nu = torch.where(inner, each, 0.0)
    h, e = log_h(u).exp(), u.expm1()
    both = torch.where(full, pull + p.power, pull)
    G = both.log() - _log_pull(full, log_varpi, p, u.log(), t)
    mu, q = u * u * (e + 1) / h, h / e
    r = torch.where(full, pull / both, 1.0)
    along = c * t / s
    slope = torch.where(full, r * along * q + 2 * q + u * e / h, along * mu + 2 * mu - 1)
    return _Point(G, slope, D, mu, q, r, c, k, d_s, d_nu)


# -- inverses, by Newton's method on convex functions of ln u ------------------------------------------------------


def _corner(z: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate ln h + ln m, where both branches meet, with its slope."""
    (h, of_h), (m, of_m) = _free(z), _power(z)
    return h + m, of_h + of_m


def _free(z: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate ln h, with its slope."""
    u = z.exp()
    value = log_h(u)
    return value, (2 * z + u - value).exp()


def _power(z: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate ln m, with its slope."""
    u = z.exp()
    return log_m(u), log_h(u).exp() / u.expm1()


def _guess(function: _Function, target: Tensor) -> Tensor:
    """Return u within about a fourth."""
    if function is _power:
        return (2 * target.clamp(max=600.0).expm1()).log1p() + 0.5 * target
    h = target.clamp(max=3.0).exp()
    large = target.clamp(min=3.0)
    return torch.where(
        target > 3.0,
        large / 2 if function is _corner else large - large.log(),
        ((2 * h).sqrt() + h / 3).log1p(),
    )


def _root_of(function: _Function, target: Tensor) -> Tensor:
    """Find ln u at which an increasing function has a value."""
    z = _guess(function, target).log().clamp(LEAST_Z, MOST_Z)
    for _ in range(20):
        value, slope = function(z)
        step = ((target - value) / slope).clamp(-2.0, 2.0)
        z = (z + step).clamp(LEAST_Z, MOST_Z)
        if not (step.abs() > 1e-8).any():  # the step taken squares the error
            break
    return z
