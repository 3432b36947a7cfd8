"""FIMI: how much synthetic data, CPU frequency, bandwidth and power each device gets, at least energy."""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Domain,
    Quantity,
    at_least,
    nonnegative,
    positive,
    quantity,
    refuse,
    shorten,
)
from radioopt.fimi.learning_curve import LearningCurve

if TYPE_CHECKING:
    from radioopt.base.certify import Certificate
    from radioopt.fimi.solution import SynthesisSolution  # noqa: F401 (named as the base's type argument)

_error = Domain("> 0 and <= 1", math.ulp(0.0), 1.0)
_given = Domain(">= 0, or inf where they are to be chosen", 0.0, math.inf)
_CURVE = {"curve_alpha": "alpha", "curve_beta": "beta", "curve_gamma": "gamma"}


class _Curve:
    """The three quantities of the learning curve, given and read as one ``LearningCurve``."""

    def __get__(self, problem: SynthesisProblem | None, owner: type) -> LearningCurve | None:
        if problem is None:  # how a dataclass asks for the default of the argument
            return None
        return LearningCurve(*(problem._value(name)[()] for name in _CURVE))


@Problem.named
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SynthesisProblem(Problem["SynthesisSolution"], family="fimi", sense="min"):
    r"""Choose synthetic samples, CPU frequency, bandwidth and power to spend the least energy in a round.

    I devices train on :math:`D_i = D_i^{loc} + D_i^{gen}` samples and upload :math:`S` bits over their own
    share of the band. With the rate :math:`r_i = b_i \log_2(1 + g_i P_i / (N_0 b_i))`,

    .. math::
        \min \quad & \sum_i \epsilon_i \tau\omega_i D_i f_i^2 + P_i S / r_i \\
        \text{s.t.} \quad & \textstyle\sum_i D_i^{-\beta} \le Y
            = \frac{I}{\alpha}\big(1 + \gamma + \frac{\zeta}{N}\ln\Delta^{max}\big) && (\nu) \\
        & \textstyle\sum_i b_i \le B && (\varpi) \\
        & \tau\omega_i D_i / f_i + S / r_i \le T^{max}, \\
        & 0 \le D_i^{gen} \le D_i^{max}, \quad 0 < f_i \le f_i^{max}, \quad 0 < P_i \le P_i^{max}.

    The first constraint is the paper's :math:`\Delta \le \Delta^{max}`: the learning curve
    :math:`\delta_i = \alpha D_i^{-\beta} - \gamma` averaged over the devices, in
    :math:`\Delta = \exp(N (\bar\delta - 1)/\zeta)`.

    Parameters
    ----------
    local_samples : array_like, shape (..., I)
        Samples :math:`D_i^{loc} > 0` that a device has.
    cycles_per_sample : array_like, shape (..., I)
        CPU cycles :math:`\omega_i > 0` to train on one sample once.
    energy_coefficient : array_like, shape (..., I)
        Effective switched capacitance :math:`\epsilon_i > 0`: a cycle at frequency f costs
        :math:`\epsilon_i f^2` [J s^2].
    max_cpu_frequency_hz : array_like, shape (..., I)
        Largest CPU frequency :math:`f_i^{max} > 0` [Hz].
    max_transmit_power_w : array_like, shape (..., I)
        Largest transmit power :math:`P_i^{max} > 0` [W].
    channel_gain : array_like, shape (..., I)
        Power gain :math:`g_i > 0` of the channel to the server.
    max_synthetic_samples : array_like, shape (..., I), default inf
        Most synthetic samples :math:`D_i^{max} \ge 0`; 0 for none, inf for no limit.
    fixed_synthetic_samples : array_like, shape (..., I), default inf
        Synthetic samples :math:`D_i^{gen} \ge 0` that the devices have already: frequency, bandwidth and power
        alone are then chosen, and the error is what the samples make it. inf (for all devices of an instance) has
        them chosen.
    noise_psd_w_per_hz : array_like, shape (...)
        Noise power spectral density :math:`N_0 > 0` [W/Hz].
    bandwidth_hz : array_like, shape (...)
        Total bandwidth :math:`B > 0` [Hz].
    payload_bits : array_like, shape (...)
        Size :math:`S > 0` of a model update [bit].
    max_round_latency_s : array_like, shape (...)
        Deadline :math:`T^{max} > 0` of a round [s].
    num_rounds : array_like, shape (...)
        Rounds :math:`N > 0` of training.
    convergence_constant : array_like, shape (...)
        Constant :math:`\zeta > 0` of the convergence bound.
    max_global_error : array_like, shape (...)
        Largest global error :math:`0 < \Delta^{max} \le 1` after those rounds.
    local_epochs : array_like, shape (...), default 1
        Passes :math:`\tau > 0` over the data in a round.
    learning_curve : LearningCurve, optional
        The curve :math:`\alpha, \beta, \gamma`, with scalars or with values of shape (...) each; required
        unless its parts are given one by one.
    curve_alpha, curve_beta, curve_gamma : array_like, shape (...), default nan
        Scale :math:`\alpha > 0`, exponent :math:`\beta > 0` and offset :math:`\gamma \ge 0`.
    strict : bool or None, default False
        Whether numbers that are hardly in the unit of their field are refused. By default they are warned of
        (:class:`~radioopt.InputWarning`); None takes them as they are.

    Raises
    ------
    ProblemError
        If a value is not finite, lies outside its domain or does not fit the others' lengths; the message
        names field, index and value.

    Notes
    -----
    Scalars broadcast over devices; leading axes are a batch of independent instances.

    With ``fixed_synthetic_samples`` the first constraint is dropped: nothing that is chosen can change it, and
    ``max_global_error`` only tells what the samples were once chosen for. That is the problem of every round after
    the first, when the samples are at the devices and the channel has changed.

    The problem is jointly convex in samples, compute time and bandwidth, against what the paper says, so its
    search over the split of the round's time is not needed. :math:`N_0` is a density (the paper's table prints
    dBm for dBm/Hz). Nothing keeps the learning curve from falling below zero: ``SynthesisSolution.local_error``
    warns where it does.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over
    Heterogeneous Mobile Edge Devices", IEEE Transactions on Mobile Computing, 2024: problem P1 (12),
    energy and latency (5)-(9), learning (1)-(4).

    Examples
    --------
    >>> problem = SynthesisProblem(
    ...     local_samples=1250.0, cycles_per_sample=5e6, energy_coefficient=5e-27,
    ...     max_cpu_frequency_hz=[1e9, 2e9],
    ...     max_transmit_power_w=0.15, channel_gain=[2e-11, 5e-11], max_synthetic_samples=2500.0,
    ...     noise_psd_w_per_hz=4e-21, bandwidth_hz=2e6, payload_bits=111.7e6, max_round_latency_s=60.0,
    ...     num_rounds=200.0, convergence_constant=66.78, max_global_error=0.2,
    ...     learning_curve=LearningCurve(alpha=4.671, beta=0.3, gamma=0.05))
    >>> problem.sizes
    {'device': 2}
    """

    local_samples: Quantity = quantity("samples", positive, DEVICE, "samples held", symbol="D_i^loc")
    cycles_per_sample: Quantity = quantity("cycles", positive, DEVICE, "cycles per sample", symbol="omega")
    energy_coefficient: Quantity = quantity(
        "J s^2", positive, DEVICE, "switched capacitance", symbol="epsilon_i"
    )
    max_cpu_frequency_hz: Quantity = quantity(
        "Hz", positive, DEVICE, "largest CPU frequency", symbol="f_i^max"
    )
    max_transmit_power_w: Quantity = quantity(
        "W", positive, DEVICE, "largest transmit power", symbol="P_i^max"
    )
    channel_gain: Quantity = quantity("1", positive, DEVICE, "channel power gain", symbol="g_i")
    max_synthetic_samples: Quantity = quantity(
        "samples", at_least(0, math.inf), DEVICE, "most synthetic samples", symbol="D^max", default=math.inf
    )
    fixed_synthetic_samples: Quantity = quantity(
        "samples", _given, DEVICE, "synthetic samples held", default=math.inf, common=True
    )
    noise_psd_w_per_hz: Quantity = quantity("W/Hz", positive, PER_INSTANCE, "noise density", symbol="N_0")
    bandwidth_hz: Quantity = quantity("Hz", positive, PER_INSTANCE, "total bandwidth", symbol="B")
    payload_bits: Quantity = quantity("bit", positive, PER_INSTANCE, "model update", symbol="S")
    max_round_latency_s: Quantity = quantity(
        "s", positive, PER_INSTANCE, "deadline of the round", symbol="T^max"
    )
    num_rounds: Quantity = quantity("1", positive, PER_INSTANCE, "rounds", symbol="N")
    convergence_constant: Quantity = quantity(
        "1", positive, PER_INSTANCE, "constant of convergence", symbol="zeta"
    )
    max_global_error: Quantity = quantity(
        "1", _error, PER_INSTANCE, "largest global error", symbol="Delta^max"
    )
    curve_alpha: Quantity = quantity(
        "1", positive, PER_INSTANCE, "learning curve, scale", symbol="alpha", default=math.nan
    )
    curve_beta: Quantity = quantity(
        "1", positive, PER_INSTANCE, "learning curve, exponent", symbol="beta", default=math.nan
    )
    curve_gamma: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "learning curve, offset", symbol="gamma", default=math.nan
    )
    local_epochs: Quantity = quantity(
        "1", positive, PER_INSTANCE, "passes over the data", symbol="tau", default=1.0
    )
    learning_curve: InitVar[Any] = _Curve()
    strict: InitVar[bool | None] = False

    def __post_init__(self, learning_curve: LearningCurve | None, strict: bool | None) -> None:
        given, name = self.__dict__, type(self).__name__
        if learning_curve is not None:
            given |= _parts(name, learning_curve)
        elif any(isinstance(given[part], float) and math.isnan(given[part]) for part in _CURVE):
            raise ProblemError(f"{name}.learning_curve: expected LearningCurve(alpha, beta, gamma), got None")
        super().__post_init__(strict)

    def _check(self) -> None:
        if not self.fixes_samples:
            return
        given = np.isfinite(self.fixed_synthetic_samples)
        if (mixed := given != given[..., :1]).any():
            refuse(
                type(self).__name__,
                "fixed_synthetic_samples",
                self.fixed_synthetic_samples,
                mixed,
                "numbers for all devices of an instance or inf for all",
            )

    @property
    def fixes_samples(self) -> bool:
        """Whether the synthetic samples of an instance are fixed; of any instance in a batch."""
        fixed = self._value("fixed_synthetic_samples")
        if not any(fixed.strides):  # one number for all
            return bool(fixed.item(0) < math.inf)
        return bool(fixed.min() < math.inf)

    @np.errstate(all="ignore")
    def settled(self) -> SynthesisProblem:
        """Pose the same choice of frequency, bandwidth and power with the fixed samples counted as local ones.

        Returns
        -------
        SynthesisProblem
            This problem where no samples are fixed. Where they are, they are local samples, none are added, and the
            learning curve allows whatever error they reach.
        """
        if not self.fixes_samples:
            return self
        given = np.isfinite(self.fixed_synthetic_samples)
        samples = self.local_samples + np.where(given, self.fixed_synthetic_samples, 0.0)
        mean = self.curve_alpha * (samples ** -np.expand_dims(self.curve_beta, -1)).mean(-1)
        dropped = given[..., 0]
        return self.replace(
            local_samples=samples,
            max_synthetic_samples=np.where(given, 0.0, self.max_synthetic_samples),
            fixed_synthetic_samples=math.inf,
            max_global_error=np.where(dropped, 1.0, self.max_global_error),
            curve_gamma=np.where(dropped, 2 * mean, self.curve_gamma),
        )

    @property
    @np.errstate(all="ignore")
    def learning_budget(self) -> Array:
        r"""Largest :math:`\sum_i D_i^{-\beta}` that meets the global error, Y; at or below 0 nothing does."""
        ratio = self.convergence_constant / self.num_rounds
        left = 1 + self.curve_gamma + ratio * np.log(self.max_global_error)
        return np.asarray(self.sizes["device"] * left / self.curve_alpha)

    def replace(self, **changes: Any) -> SynthesisProblem:
        """Return the same problem with some quantities, or the ``learning_curve``, changed.

        Parameters
        ----------
        **changes : array_like
            New values by field name.

        Returns
        -------
        SynthesisProblem
            A new problem, validated anew.

        Raises
        ------
        ProblemError
            If a name is not a field, or a value is refused.
        """
        if (curve := changes.pop("learning_curve", None)) is not None:
            changes |= _parts(type(self).__name__, curve)
        problem: SynthesisProblem = super().replace(**changes)
        return problem

    @np.errstate(all="ignore")
    def without_synthetic_data(self) -> SynthesisProblem:
        """Pose the problem of training on the local samples alone, to the error that they reach: an ablation.

        Returns
        -------
        SynthesisProblem
            With no synthetic samples allowed and ``max_global_error`` raised to where the local samples suffice.
        """
        beta = np.expand_dims(self.curve_beta, -1)
        mean = self.curve_alpha * (self.local_samples**-beta).mean(-1) - self.curve_gamma
        reached = np.exp(self.num_rounds / self.convergence_constant * (mean - 1))
        error = np.maximum(self.max_global_error, reached)
        error = np.minimum(error * (1 + 1e-12), 1.0)
        return self.replace(
            max_synthetic_samples=0.0, fixed_synthetic_samples=math.inf, max_global_error=error
        )

    def certificate(self, options: SolveOptions = DEFAULT_OPTIONS, **decisions: Any) -> Certificate:
        """Evaluate ``synthetic_samples``, ``cpu_frequency_hz``, ``bandwidth_hz``, ``transmit_power_w`` (..., I).

        See :func:`radioopt.fimi.certificate.evaluate`.
        """
        from radioopt.fimi.certificate import evaluate

        return evaluate(self, **decisions, options=options)

    def repair(self, **decisions: Any) -> dict[str, Array]:
        """Clip a nearly feasible point to its limits and fill the band and the round; see the certificate module."""
        from radioopt.fimi.certificate import repair

        return repair(self, **decisions)


def _parts(owner: str, curve: LearningCurve) -> dict[str, Any]:
    if not isinstance(curve, LearningCurve):
        raise ProblemError(
            f"{owner}.learning_curve: expected LearningCurve(alpha, beta, gamma), got {shorten(curve)}"
        )
    return {name: getattr(curve, part) for name, part in _CURVE.items()}
