r"""What sharing the band equally costs: everything but the bandwidth chosen best.

With b = B/I fixed, :math:`U(t) = k b t (e^u - 1)`, :math:`u = a/(b t)`, and :math:`-U'(t) = k b\, h(u)`. A device
trains and uploads until :math:`-C'(T - t) = k b\, h(u)`, between the time that its power allows and the time that its
local samples leave; the price of learning is the one at which all of them together meet the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array
from radioopt.base.status import Status
from radioopt.fimi.device import Canonical, compute, log_h, monotone_root, pull
from radioopt.fimi.infeasible import proven
from radioopt.fimi.problem import SynthesisProblem
from radioopt.fimi.solution import SynthesisSolution

if TYPE_CHECKING:
    from collections.abc import Callable


@SynthesisProblem.method("equal-bandwidth", exact=False)
def equal_bandwidth(problem: SynthesisProblem, options: SolveOptions) -> SynthesisSolution:
    """Equal shares of the band, the rest chosen best: an ablation, whose certified gap is what equality costs.

    Parameters
    ----------
    problem : SynthesisProblem
        One instance or a batch.
    options : SolveOptions
        Tolerances to judge by.

    Returns
    -------
    SynthesisSolution
        FAILED, and NaN, where an equal share is too little for some device though another division is not.
    """
    p = Canonical.of(problem)
    b = p.B / p.A.shape[-1]
    with np.errstate(all="ignore"):
        least_u = np.log1p(p.power / (p.k * b))
        shortest, longest = p.a / (b * least_u), p.T - p.low / p.F

        def upload(nu: Array) -> Array:
            def imbalance(t: Array) -> Array:
                pulls: Array = np.log(pull(p, nu, p.T - t)) - np.log(p.k * b) - log_h(p.a / (b * t))
                return pulls

            ends = imbalance(shortest), imbalance(longest)
            inner = monotone_root(imbalance, shortest, longest)
            return np.where(ends[0] >= 0, shortest, np.where(ends[1] <= 0, longest, inner))

        nu = _least_price(p, lambda nu: compute(p, nu, p.T - upload(nu))[0])
        t = upload(nu)
        samples = compute(p, nu, p.T - t)[0]
        learned = (samples**-p.beta).sum(-1, keepdims=True) <= p.Y * (1 + options.feasibility_tol)
        possible = (shortest <= longest).all(-1, keepdims=True) & learned
        decisions = {
            "synthetic_samples": samples - problem.local_samples,
            "cpu_frequency_hz": problem.max_cpu_frequency_hz * np.minimum(samples / (p.F * (p.T - t)), 1.0),
            "bandwidth_hz": np.broadcast_to(b, t.shape),
            "transmit_power_w": np.minimum(p.k * b * np.expm1(p.a / (b * t)), p.power),
        }
    decisions = {name: np.where(possible, value, np.nan) for name, value in decisions.items()}
    lacking = ~possible[..., 0]
    infeasible = lacking & proven(problem) if lacking.any() else lacking
    otherwise = np.where(infeasible, int(Status.INFEASIBLE), int(Status.FAILED))
    iterations = np.ones(problem.batch_shape, np.int64)
    return SynthesisSolution.judged(problem, "equal-bandwidth", options, iterations, otherwise, **decisions)


def _least_price(p: Canonical, samples: Callable[[Array], Array]) -> Array:
    """Return the price of learning at which the budget is met; 0 where local samples meet it."""

    def excess(log_nu: Array) -> Array:
        missed: Array = np.log((samples(np.exp(log_nu)) ** -p.beta).sum(-1, keepdims=True) / p.Y)
        return missed

    centre = np.log(3 * p.A / (p.beta * p.T**2)).mean(-1, keepdims=True) + (p.beta + 3) * np.log(p.low).mean(
        -1, keepdims=True
    )
    found = np.exp(monotone_root(excess, centre - 60, centre + 60))
    return np.where((p.low**-p.beta).sum(-1, keepdims=True) <= p.Y * (1 + 1e-12), 0.0, found)
