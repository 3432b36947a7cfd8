r"""DT-KD's choice of model and place made smooth: the entropic dual, in torch.

For user k and action a, a model and a place, with the cost :math:`r_{ka}(\lambda, \kappa)` at prices of CPU and of
bandwidth, :math:`\kappa = \delta + \nu`, shares chosen best,

.. math::
    D_\tau = \max_{\lambda, \nu \ge 0} -\tau \sum_k \ln \sum_a e^{-r_{ka}/\tau} - \lambda F - \nu B, \qquad
    \pi_{ka} \propto e^{-r_{ka}/\tau},

so that :math:`D - \tau K \ln A \le D_\tau \le D`, the dual bound on the optimum, and at the maximum the expected shares
fill the server and the band. It is concave; Newton's method on the logarithms of the prices takes 6 to 10 passes.
Derivatives come from two Newton steps more, taken by autograd from the solution: they hardly move it, and make the
first and the second derivatives of the prices right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from radioopt.base.errors import OptionError
from radioopt.dtkd import DistillationProblem

#: Newton steps at most, halvings of a step at most, and the largest step of a logarithm
STEPS, HALVINGS, LONGEST = 80, 40, 3.0
#: the step after which those that autograd takes leave nothing: each squares the error
LAST = 1e-6

Value = Callable[[str], torch.Tensor]


class Relaxed(NamedTuple):
    """Expected shares and delays, the smooth optimum, and how likely every model and local training are."""

    server_cpu_frequency_hz: torch.Tensor
    bandwidth_hz: torch.Tensor
    delay_s: torch.Tensor
    objective: torch.Tensor
    model: torch.Tensor
    trains_locally: torch.Tensor


class _Actions(NamedTuple):
    """All actions' numbers, (..., K, A); those of an instance (..., 1, 1)."""

    cycles: torch.Tensor
    bits: torch.Tensor
    at_home: torch.Tensor
    constant: torch.Tensor
    allowed: torch.Tensor
    signal: torch.Tensor
    weight: torch.Tensor
    price: torch.Tensor
    cpu: torch.Tensor
    band: torch.Tensor
    density: bool
    tau: float


class _Answer(NamedTuple):
    f: torch.Tensor
    b: torch.Tensor
    respond: torch.Tensor
    delay: torch.Tensor
    likely: torch.Tensor
    value: torch.Tensor


def relax(problem: DistillationProblem, value: Value, temperature: float) -> Relaxed:
    """Solve the entropic dual of a problem or of a batch, with derivatives in what ``value`` returns.

    Parameters
    ----------
    problem : DistillationProblem
        What is asked, validated; without bounds and deadlines.
    value : callable
        The field of this name as a tensor of float64.
    temperature : float
        Unit of the objective, > 0.

    Returns
    -------
    Relaxed
        Of shapes (..., K), (...), (..., K, models).

    Raises
    ------
    OptionError
        If there are bounds or deadlines, or both kinds of noise in one batch.
    """
    with torch.no_grad():
        fixed = _actions(problem, value, temperature)
        prices = _maximum(fixed)
        slack = prices[1] <= fixed.price
        hessian = _hessian(fixed, _respond(fixed, *prices), *prices, slack)
    actions = _actions(problem, value, temperature)
    kappa = torch.where(slack, actions.price, prices[1])
    lam = prices[0]
    for _ in range(2):  # where they are, with their derivatives
        answer = _respond(actions, lam, kappa)
        over_f, over_b = _excess(actions, answer)
        step = _solved(hessian, over_f, torch.where(slack, 0.0, over_b))
        lam, kappa = lam - step[0], torch.where(slack, actions.price, kappa - step[1])
    answer = _respond(actions, lam, kappa)
    models = answer.likely.unflatten(-1, (-1, 2))
    return Relaxed(
        (answer.likely * answer.f).sum(-1),
        (answer.likely * answer.b).sum(-1),
        (answer.likely * answer.delay).sum(-1),
        answer.value,
        models.sum(-1),
        models[..., 1].sum(-1),
    )


def _actions(problem: DistillationProblem, value: Value, temperature: float) -> _Actions:
    """Tabulate the actions."""
    if not (problem.max_delay_s == math.inf).all() or any(
        (getattr(problem, f"min_{name}") > 0).any() or (getattr(problem, f"max_{name}") < math.inf).any()
        for name in ("server_cpu_frequency_hz", "bandwidth_hz")
    ):
        raise OptionError(
            "DistillationLayer.temperature: bounds and deadlines are not relaxed: leave them out, or take temperature=0"
        )
    density = bool((problem.noise_psd_w_per_hz > 0).any())
    if density and not (problem.noise_psd_w_per_hz > 0).all():
        raise OptionError("DistillationLayer.temperature: expected noise powers or noise densities, got both")

    def instance(name: str) -> torch.Tensor:
        return value(name)[..., None, None]

    def device(name: str) -> torch.Tensor:
        return value(name)[..., None]

    catalogue = problem.catalogue
    column = {
        name: torch.tensor(getattr(catalogue, name), dtype=torch.float64).repeat_interleave(2)
        for name in ("cycles", "parameter_bits", "own_accuracy", "average_accuracy")
    }
    place = torch.tensor([0.0, 1.0], dtype=torch.float64).repeat(len(catalogue))
    cycles = instance("teacher_cycles") + (1 - place) * column["cycles"]
    bits = column["parameter_bits"] + place * instance("label_bits")
    noise = instance("noise_psd_w_per_hz" if density else "noise_power_w")
    signal = device("transmit_power_w") * device("channel_gain") / noise
    bits = bits * math.log(2) / (1.0 if density else torch.log1p(signal))
    at_home = place * column["cycles"] / device("local_cpu_frequency_hz")
    weight = instance("delay_weight_per_s")
    worth = instance("own_accuracy_weight") * column["own_accuracy"]
    worth = worth + instance("average_accuracy_weight") * column["average_accuracy"]
    positions = torch.arange(len(place))
    model, where = (torch.tensor(getattr(problem, f"fixed_{name}"))[..., None] for name in ("model", "place"))
    allowed = ((model < 0) | (model == positions // 2)) & ((where < 0) | (where == positions % 2))
    return _Actions(
        cycles=cycles,
        bits=bits,
        at_home=at_home,
        constant=weight * at_home + instance("cpu_price_per_cycle") * cycles - worth,
        allowed=allowed,
        signal=signal,
        weight=weight,
        price=instance("bandwidth_price_per_hz"),
        cpu=instance("server_cpu_frequency_hz"),
        band=instance("bandwidth_hz"),
        density=density,
        tau=temperature,
    )


def _respond(actions: _Actions, lam: torch.Tensor, kappa: torch.Tensor) -> _Answer:
    """Best shares of every action at prices (..., 1, 1), how likely it is, and the dual."""
    some = actions.cycles > 0
    cycles = torch.where(some, actions.cycles, 1.0)
    f = torch.where(some, (actions.weight * cycles / lam).sqrt(), 0.0)
    compute = torch.where(some, (cycles * lam / actions.weight).sqrt(), 0.0)
    if actions.density:
        t, rising = _inverse_growth(kappa * actions.signal**2 / (actions.weight * actions.bits))
        b, respond = actions.signal / t, rising
        air = actions.bits / (b * torch.log1p(t))
    else:
        b = (actions.weight * actions.bits / kappa).sqrt()
        air = (actions.bits * kappa / actions.weight).sqrt()
        respond = torch.full_like(b, 2.0)
    cost = actions.constant + actions.weight * (compute + air) + lam * f + kappa * b
    scores = torch.where(actions.allowed, -cost / actions.tau, -math.inf)
    least = -actions.tau * torch.logsumexp(scores, -1)
    value = least.sum(-1) - (lam * actions.cpu + (kappa - actions.price) * actions.band)[..., 0, 0]
    return _Answer(f, b, respond, compute + air + actions.at_home, torch.softmax(scores, -1), value)


def _excess(actions: _Actions, answer: _Answer) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what expected shares exceed the totals by, (..., 1, 1): the slope of the dual."""
    return tuple(
        (answer.likely * share).sum((-2, -1), keepdim=True) - total
        for share, total in ((answer.f, actions.cpu), (answer.b, actions.band))
    )  # type: ignore[return-value]


def _hessian(
    actions: _Actions, answer: _Answer, lam: torch.Tensor, kappa: torch.Tensor, slack: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Second derivatives of the dual; where bandwidth is not scarce only those of the price of CPU."""
    p, f, b = answer.likely, answer.f, answer.b
    mean_f, mean_b = (p * f).sum(-1, keepdim=True), (p * b).sum(-1, keepdim=True)

    def total(of: torch.Tensor) -> torch.Tensor:
        return -(p * of).sum((-2, -1), keepdim=True)

    ff = total(f / (2 * lam) + (f - mean_f) ** 2 / actions.tau)
    bb = total(b / (answer.respond * kappa) + (b - mean_b) ** 2 / actions.tau)
    fb = total((f - mean_f) * (b - mean_b) / actions.tau)
    return ff, torch.where(slack, 0.0, fb), torch.where(slack, -1.0, bb)


def _solved(hessian: tuple[torch.Tensor, ...], first: torch.Tensor, second: torch.Tensor) -> tuple[Any, Any]:
    ff, fb, bb = hessian
    over = 1 / (ff * bb - fb * fb)
    return (bb * first - fb * second) * over, (ff * second - fb * first) * over


def _maximum(actions: _Actions) -> tuple[torch.Tensor, torch.Tensor]:
    """Prices at the maximum, (..., 1, 1): with all of the band, or where that is worth less than its price, at it."""
    signal = (
        torch.log1p(actions.signal / actions.band) if actions.density else torch.ones_like(actions.signal)
    )
    shape = torch.broadcast_shapes(*(v.shape for v in actions if isinstance(v, torch.Tensor)))
    roots = [
        (root.sqrt().expand(shape).mean(-1, keepdim=True).sum(-2, keepdim=True) / total) ** 2 * actions.weight
        for root, total in ((actions.cycles, actions.cpu), (actions.bits / signal, actions.band))
    ]
    prices = torch.broadcast_tensors(roots[0], roots[1])
    never = torch.zeros_like(prices[0], dtype=torch.bool)
    lam, kappa = _climbed(actions, prices[0], prices[1], never)
    slack = (kappa < actions.price) & (actions.price > 0)
    if slack.any():
        lam, kappa = _climbed(actions, lam, torch.where(slack, actions.price, kappa), slack)
    return lam, kappa


def _climbed(
    actions: _Actions, lam: torch.Tensor, kappa: torch.Tensor, slack: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Newton's method on the logarithms of the prices, steps halved until the dual rises."""
    answer = _respond(actions, lam, kappa)
    for _ in range(STEPS):
        over_f, over_b = _excess(actions, answer)
        over_b = torch.where(slack, 0.0, over_b)
        ff, fb, bb = _hessian(actions, answer, lam, kappa, slack)
        first, second = -lam * over_f, -kappa * over_b
        up = _solved((ff * lam**2, fb * lam * kappa, bb * kappa**2), first, second)
        ahead = -(up[0] * first + up[1] * second)  # the rise that a straight line promises
        up = tuple(one.clamp(-LONGEST, LONGEST) for one in up)  # type: ignore[assignment]
        size = torch.ones_like(lam)
        for _ in range(HALVINGS):
            there = _respond(actions, lam * torch.exp(size * up[0]), kappa * torch.exp(size * up[1]))
            gross = answer.value.abs()[..., None, None] + lam * actions.cpu + kappa * actions.band
            low = (there.value - answer.value)[..., None, None] < 1e-4 * size * ahead.clamp(
                max=0
            ) - 1e-14 * gross
            if not low.any():
                break
            size = torch.where(low, size / 2, size)
        lam, kappa, answer = lam * torch.exp(size * up[0]), kappa * torch.exp(size * up[1]), there
        if max(float(up[0].abs().max()), float(up[1].abs().max())) < LAST:
            break
    return lam, kappa


def _late(t: torch.Tensor) -> torch.Tensor:
    """ln(1 + t) - t/(1 + t), without cancellation."""
    small = t.clamp(max=0.01)
    series = torch.zeros_like(small)
    for power in range(9, 1, -1):
        series = (power - 1) / power - small * series
    return torch.where(t < 0.01, small**2 * series, torch.log1p(t) - t / (1 + t))


def _inverse_growth(y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve G(t) = y, G(t) = t^2 (ln(1 + t) - t/(1 + t))/ln(1 + t)^2, and return d ln G/d ln t as well."""
    with torch.no_grad():
        t = (2 * y).sqrt()
        for _ in range(5):
            t, _ = _nearer(t, y)
    for _ in range(2):  # where it is, with its derivatives
        t, rising = _nearer(t, y)
    return t, rising


def _nearer(t: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    log = torch.log1p(t)
    slope = 2 + (t / (1 + t)) ** 2 / _late(t) - 2 * t / ((1 + t) * log)
    growth = t**2 * _late(t) / log**2
    return t * torch.exp((y.log() - growth.log()) / slope), slope
