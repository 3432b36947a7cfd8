r"""Actions at prices, in plain NumPy: what each user would do, and the dual that follows from it.

At prices :math:`\lambda` of CPU and :math:`\kappa = \delta + \nu` of bandwidth an action takes, for a weight w of its
delay,

.. math::
    f = \mathrm{clip}(\sqrt{w c/\lambda}), \quad b = \mathrm{clip}(b(w)), \; -w\,\tau'(b) = \kappa,

with w = :math:`\alpha`, or the larger w at which a deadline is met. For a noise power :math:`\tau = d/b` and
:math:`b = \sqrt{w d/\kappa}`. For a noise density :math:`\tau = \theta/(b \log_2(1 + s/b))`, s = p h/N0, and with
t = s/b the condition is :math:`G(t) = \kappa s^2/(w \theta \ln 2)`, G as in :func:`growth`: one function of one
variable, inverted by Newton's method on logarithms.

The dual is concave in two variables and has kinks. It is maximised by cutting a polygon through its centroid, which
takes at least a third of the area away at every step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from radioopt.base.quantity import Array

if TYPE_CHECKING:
    from radioopt.dtkd.problem import DistillationProblem

#: evaluations of the dual in a box of prices, and boxes tried, each grown or shrunk to where the last one pointed
CUTS, BOXES = 70, 60


@dataclass(frozen=True)
class Actions:
    """Numbers of every action, a = 2m + x: cycles, bits (..., 1, A); the others (..., K, A)."""

    cycles: Array
    bits: Array
    constant: Array
    local_s: Array
    allowed: Array


@np.errstate(all="ignore")
def actions_of(problem: DistillationProblem) -> Actions:
    """Tabulate the actions of a problem or of a batch."""
    catalogue = problem.catalogue
    place = np.tile([0.0, 1.0], len(catalogue))

    def instance(value: Array) -> Array:
        return np.asarray(value)[..., None, None]

    cycles = instance(problem.teacher_cycles) + (1 - place) * np.repeat(catalogue.cycles, 2)
    bits = place * instance(problem.label_bits) + np.repeat(catalogue.parameter_bits, 2)
    worth = instance(problem.own_accuracy_weight) * np.repeat(catalogue.own_accuracy, 2)
    worth = worth + instance(problem.average_accuracy_weight) * np.repeat(catalogue.average_accuracy, 2)
    model, where = problem.fixed_model[..., None], problem.fixed_place[..., None]
    positions = np.arange(len(place))
    allowed = ((model < 0) | (model == positions // 2)) & ((where < 0) | (where == positions % 2))
    local_s = place * np.repeat(catalogue.cycles, 2) / problem.local_cpu_frequency_hz[..., None]
    return Actions(cycles, bits, instance(problem.cpu_price_per_cycle) * cycles - worth, local_s, allowed)


def spectral_efficiency(problem: DistillationProblem, bandwidth_hz: Array) -> Array:
    """log2(1 + SNR) in bit/s/Hz, of users with this bandwidth if the noise is a density, shape (..., K)."""
    received = problem.transmit_power_w * problem.channel_gain
    psd, power = np.expand_dims(problem.noise_psd_w_per_hz, -1), np.expand_dims(problem.noise_power_w, -1)
    with np.errstate(all="ignore"):
        return np.asarray(np.log1p(received / np.where(psd > 0, psd * bandwidth_hz, power)) / math.log(2))


def late(t: Array) -> Array:
    """ln(1 + t) - t/(1 + t), without cancellation."""
    return _late(t, np.log1p(t))


def _late(t: Array, log: Array) -> Array:
    plain = log - t / (1 + t)
    if (t >= 0.01).all():
        return np.asarray(plain)
    small = np.minimum(t, 0.01)
    series = small**2 * (
        1 / 2
        - small
        * (2 / 3 - small * (3 / 4 - small * (4 / 5 - small * (5 / 6 - small * (6 / 7 - small * 7 / 8)))))
    )
    return np.where(t < 0.01, series, plain)


def growth(t: Array) -> Array:
    """G(t) = t^2 (ln(1 + t) - t/(1 + t)) / ln(1 + t)^2, which increases from 0."""
    log = np.log1p(t)
    return _growth(t, log, _late(t, log))


def _growth(t: Array, log: Array, late: Array) -> Array:
    return np.asarray(t**2 * late / log**2)


def inverse_growth(y: Array) -> Array:
    """Solve G(t) = y."""
    t = np.sqrt(2 * y)
    for _ in range(4):  # 3e-8 after two, 4e-14 after three
        log = np.log1p(t)
        late = _late(t, log)
        slope = 2 + (t / (1 + t)) ** 2 / late - 2 * t / ((1 + t) * log)
        step = (np.log(y) - np.log(_growth(t, log, late))) / slope
        t = np.where(t < 1e-17, t, t * np.exp(step))  # G(t) = t^2/2 there
    return np.asarray(t)


@dataclass(frozen=True)
class Dual:
    """A value of the dual, its prices (lambda, nu), reduced costs (K, A), and the size of the numbers added."""

    value: float
    prices: Array
    reduced: Array
    gross: float


@dataclass(frozen=True)
class Pricing:
    """One instance, ready to be priced; all arrays (K, A)."""

    constant: Array
    cycles: Array
    bits: Array
    spare_s: Array
    signal: Array
    limits: tuple[Array, Array, Array, Array]
    totals: Array
    weight: float
    price: float
    density: bool

    @classmethod
    @np.errstate(all="ignore")
    def of(cls, problem: DistillationProblem) -> Self:
        """Read a single instance."""
        table, alpha = actions_of(problem), float(problem.delay_weight_per_s)
        shape = table.allowed.shape
        density = bool(problem.noise_psd_w_per_hz > 0)
        noise = float(problem.noise_psd_w_per_hz if density else problem.noise_power_w)
        received = problem.transmit_power_w * problem.channel_gain / noise  # s [Hz], or the SNR
        bits = table.bits * math.log(2) / (1.0 if density else np.log1p(received)[:, None])
        return cls(
            constant=np.where(table.allowed, table.constant + alpha * table.local_s, np.inf),
            cycles=np.broadcast_to(table.cycles, shape),
            bits=np.broadcast_to(bits, shape),
            spare_s=problem.max_delay_s[:, None] - table.local_s,
            signal=np.broadcast_to(received[:, None], shape),
            limits=(
                problem.min_server_cpu_frequency_hz[:, None],
                problem.max_server_cpu_frequency_hz[:, None],
                problem.min_bandwidth_hz[:, None],
                problem.max_bandwidth_hz[:, None],
            ),
            totals=np.array([float(problem.server_cpu_frequency_hz), float(problem.bandwidth_hz)]),
            weight=alpha,
            price=float(problem.bandwidth_price_per_hz),
            density=density,
        )

    def restricted(self, action: Array) -> Pricing:
        """Keep one action per user."""
        own = np.arange(len(action)), action
        names = ("constant", "cycles", "bits", "spare_s", "signal")
        return replace(self, **{name: getattr(self, name)[own][:, None] for name in names})

    def among(self, left: Array) -> Pricing:
        """Keep some actions (K, A); the others cost infinitely much."""
        return replace(self, constant=np.where(left, self.constant, np.inf))

    def _take(self, z: Array, prices: Array) -> tuple[Array, Array, Array]:
        """f, b and the time they take, for a weight w = 1/z^2 of delay."""
        kappa = self.price + prices[1]
        f_low, f_high, b_low, b_high = self.limits
        f = np.clip(np.sqrt(self.cycles / prices[0]) / z, f_low, f_high)
        if self.density:
            y = kappa * self.signal**2 * z**2 / self.bits
            b = np.clip(self.signal / inverse_growth(y), b_low, b_high)
            tau = self.bits / (b * np.log1p(self.signal / b))
        else:
            b = np.clip(np.sqrt(self.bits / kappa) / z, b_low, b_high)
            tau = self.bits / b
        tau = np.where(self.bits > 0, tau, 0.0)
        b = np.where(self.bits > 0, b, b_low)
        return f, b, np.where(self.cycles > 0, self.cycles / f, 0.0) + tau

    def _quickest(self) -> Array:
        """Time with the largest shares allowed, which may be infinite."""
        f_high, b_high = self.limits[1], self.limits[3]
        wide = np.where(np.isinf(b_high), 1.0, b_high * np.log1p(self.signal / b_high) / self.signal)
        tau = self.bits / (self.signal * wide) if self.density else self.bits / b_high
        return np.asarray(self.cycles / f_high + tau)

    def _in_time(self, prices: Array, high: Array, delay: Array, late: Array) -> Array:
        """Z at which the deadlines that are missed with z = ``high`` are met: regula falsi (Illinois)."""
        low, at_low, at_high = np.zeros_like(high), self._quickest() - self.spare_s, delay - self.spare_s
        side = np.zeros_like(high)
        z, missed = high, late
        for _ in range(100):
            secant = (low * at_high - high * at_low) / (at_high - at_low)
            secant = np.where((low < secant) & (secant < high), secant, 0.5 * (low + high))
            z = np.where(missed, secant, z)  # what is met keeps its z while others are sought
            miss = self._take(z, prices)[2] - self.spare_s
            missed = late & (np.abs(miss) > 1e-13 * self.spare_s)
            if not missed.any():
                break
            early = miss <= 0
            low, high = np.where(early, z, low), np.where(early, high, z)
            at_low, at_high = (
                np.where(early, miss, np.where(side == 1, 0.5, 1.0) * at_low),
                np.where(early, np.where(side == -1, 0.5, 1.0) * at_high, miss),
            )
            side = np.where(early, -1, 1)
        return np.asarray(z)

    def respond(self, prices: Array) -> tuple[Array, Array, Array]:
        """Least value of every action at prices (lambda, nu) > 0, and the f and b that attain it."""
        with np.errstate(all="ignore"):
            free = np.full(self.constant.shape, self.weight**-0.5)
            f, b, delay = self._take(free, prices)
            binding = delay > self.spare_s
            if binding.any():
                never = self._quickest() >= self.spare_s  # no shares are large enough
                z = np.where(binding, self._in_time(prices, free, delay, binding & ~never), free)
                f, b, delay = self._take(z, prices)
                # the Lagrangian at this weight is a lower bound, whether the deadline is met exactly or not
                extra = np.where(binding, (z**-2.0 - self.weight) * (delay - self.spare_s), 0.0)
            else:
                extra, never = np.zeros_like(free), np.zeros_like(binding)
            value = self.constant + self.weight * delay + extra
            value = value + prices[0] * f + (self.price + prices[1]) * b
            value = np.where(never, np.inf, value)
        return value, f, b

    def dual(self, prices: Array) -> tuple[float, Array, Array, float]:
        """D, a supergradient, the reduced costs and the size of the numbers added."""
        value, f, b = self.respond(prices)
        best = value.argmin(-1)
        own = np.arange(len(best)), best
        least = value[own]
        used = np.array([f[own].sum(), b[own].sum()])
        gross = float(np.abs(least).sum() + prices @ self.totals)
        return float(least.sum() - prices @ self.totals), used - self.totals, value - least[:, None], gross

    @np.errstate(all="ignore")
    def maximise(self, enough: float, start: Array | None = None) -> Dual:
        """Maximise the dual, or until it exceeds what is enough."""
        roots = np.sqrt(np.stack([self.cycles.max(-1), self.bits.max(-1)])).sum(-1)
        usual = self.weight * roots**2 / self.totals**2
        start = usual if start is None else start
        best = before = -math.inf
        gross, pull = 0.0, np.zeros(2)  # a box may be too small to have an area
        prices, size = start, 4.0 * start + 1e-300
        for _ in range(BOXES):
            corners = np.array([[0.0, 0.0], [size[0], 0.0], [size[0], size[1]], [0.0, size[1]]])
            for _ in range(CUTS):
                centre = centroid(corners)
                if centre is None or not (centre > 0).all():
                    break
                value, gradient, _, gross = self.dual(centre)
                if value > best:
                    best, prices, pull = value, centre, gradient
                gain = ((corners - centre) @ gradient).max()  # at most, anywhere in the polygon
                if best > enough or not value + gain > best + 1e-13 * gross:
                    break
                corners = cut(corners, centre, gradient)
            # the box may be too small, or so large that its cuts have no digits left for prices near zero; one around
            # a price that was next to nothing at the start may be so small that all its points are alike
            small = (size < usual) & (pull * usual > 1e-13 * gross)
            beyond, tiny = (prices > 0.9 * size) | small, prices < 1e-3 * size
            better = best > before + 1e-13 * gross
            if best > enough or not (beyond.any() or (tiny.any() and better)):
                break
            before = best
            size = np.where(beyond, np.maximum(16.0 * size, usual), np.where(tiny, 8.0 * prices, size))
        value, _, reduced, gross = self.dual(prices)
        return Dual(value, prices, reduced, gross)


def centroid(corners: Array) -> Array | None:
    """Centre of gravity of a polygon; None if it has no area left."""
    if len(corners) < 3:
        return None
    first = corners[0]
    sides = corners[1:] - first  # relative to a corner, so that a small polygon keeps its digits
    areas = sides[:-1, 0] * sides[1:, 1] - sides[:-1, 1] * sides[1:, 0]
    total = areas.sum()
    if not abs(total) > 0:
        return None
    return np.asarray(first + (areas[:, None] * (sides[:-1] + sides[1:])).sum(0) / (3 * total))


def cut(corners: Array, centre: Array, gradient: Array) -> Array:
    """Keep the part of a polygon where a supergradient allows the maximum to be."""
    scale = np.abs(corners - centre).max(0)
    side = (corners - centre) @ gradient
    kept = []
    for j in range(len(corners)):
        i = j - 1
        if (side[i] < 0) != (side[j] < 0) and scale.any():
            t = side[i] / (side[i] - side[j])
            kept.append(corners[i] + t * (corners[j] - corners[i]))
        if side[j] >= 0:
            kept.append(corners[j])
    return np.array(kept)
