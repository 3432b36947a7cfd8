"""DT-KD: which student model each user trains, where, and with how much CPU and bandwidth."""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.layout import columns
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Axes,
    Domain,
    Quantity,
    at_least,
    nonnegative,
    optional_limit,
    positive,
    quantity,
    refuse,
)
from radioopt.dtkd import kernel_kinds
from radioopt.dtkd.catalogue import ModelCatalogue

if TYPE_CHECKING:
    from radioopt.base.certify import Certificate
    from radioopt.dtkd.solution import DistillationSolution  # noqa: F401 (named as the base's type argument)

#: what a user's model or place is fixed to if it is not: free to choose
FREE = -1.0
_place = Domain("1 (local), 0 (server) or -1 (free)", FREE, 1.0)


@Problem.named
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DistillationProblem(Problem["DistillationSolution"], family="dtkd", sense="min"):
    r"""Choose student models, places, server CPU and bandwidth so that time, price and accuracy balance best.

    K users distil student models from a teacher held at the server. User k picks a model m and trains it locally
    (x = 1), where the teacher's outputs must be sent, or at the server (x = 0):

    .. math::
        \min_{m, x, f, b} \quad & \sum_k \alpha T_k + \beta c_k + \delta b_k
            - \eta_o A^{own}_{m_k} - \eta_a A^{avg}_{m_k} \\
        \text{with} \quad & T_k = c_k/f_k + x_k \mu_{m_k}/f^{loc}_k + (\theta_{m_k} + x_k \theta_l)/r_k(b_k), \quad
            c_k = \mu_t + (1 - x_k) \mu_{m_k}, \\
        \text{s.t.} \quad & \textstyle\sum_k f_k \le F \;(\lambda), \quad \sum_k b_k \le B \;(\nu), \quad
            T_k \le D_k \;(\omega_k), \\
        & f^{lo}_k \le f_k \le f^{hi}_k, \quad b^{lo}_k \le b_k \le b^{hi}_k,

    where :math:`r_k(b) = b \log_2(1 + p_k h_k/n_0)` for a fixed noise power :math:`n_0`, and
    :math:`r_k(b) = b \log_2(1 + p_k h_k/(N_0 b))` for a noise density :math:`N_0`.

    Parameters
    ----------
    catalogue : ModelCatalogue
        The models; a DataFrame, a mapping of columns or the path of a CSV file will do.
    channel_gain : array_like, shape (..., K)
        Power gain :math:`h_k > 0`, linear.
    local_cpu_frequency_hz : array_like, shape (..., K)
        The users' own CPUs :math:`f^{loc}_k > 0` [Hz].
    transmit_power_w : array_like, shape (..., K)
        Power :math:`p_k > 0` [W].
    bandwidth_hz : array_like, shape (...)
        Bandwidth B > 0 that the users share [Hz].
    server_cpu_frequency_hz : array_like, shape (...)
        Server CPU F > 0 that the users share [Hz].
    teacher_cycles : array_like, shape (...)
        Cycles :math:`\mu_t \ge 0` for the teacher's outputs of one epoch.
    label_bits : array_like, shape (...)
        Size :math:`\theta_l \ge 0` of those outputs [bit].
    delay_weight_per_s : array_like, shape (...)
        Cost :math:`\alpha > 0` of a second of a user's delay [1/s].
    cpu_price_per_cycle : array_like, shape (...)
        Price :math:`\beta \ge 0` of a server cycle. The teacher's share is constant: the price steers models
        and places only.
    bandwidth_price_per_hz : array_like, shape (...)
        Price :math:`\delta \ge 0` of bandwidth [1/Hz].
    own_accuracy_weight, average_accuracy_weight : array_like, shape (...), default 1
        Worth :math:`\eta_o, \eta_a \ge 0` of accuracy on a user's own data, and on everybody's.
    noise_power_w : array_like, shape (...), default 0
        Noise power :math:`n_0` [W], the same whatever the bandwidth of a user, as the paper has it. Give this or
        the density.
    noise_psd_w_per_hz : array_like, shape (...), default 0
        Noise density :math:`N_0` [W/Hz]. Give this or the power.
    min_server_cpu_frequency_hz, min_bandwidth_hz : array_like, shape (..., K), default 0
        Least shares of a user, of the server and of the band [Hz].
    max_server_cpu_frequency_hz, max_bandwidth_hz : array_like, shape (..., K), default inf
        Largest shares of a user [Hz]; inf for no limit.
    max_delay_s : array_like, shape (..., K), default inf
        Deadline :math:`D_k > 0` of a user's delay [s]; inf for none.
    fixed_model, fixed_place : array_like, shape (..., K), default -1
        Position of the model that a user must train, and 1 for locally or 0 for at the server; -1 leaves the
        choice. See :meth:`fix`.
    strict : bool or None, default False
        Whether numbers that are hardly in the unit of their field are refused. By default they are warned of
        (:class:`~radioopt.InputWarning`); None takes them as they are.

    Raises
    ------
    ProblemError
        If a value is not finite, lies outside its domain or does not fit the others' lengths; if neither or both
        noises are given, a signal vanishes in the noise, bounds contradict each other or leave nothing to share, or
        a fixed model is not in the catalogue. The message names field, index and value.

    Notes
    -----
    Corrections to the paper: x = 1 is local (the sentence after (17) has it reversed); :math:`\beta T_{tea} f` is the
    constant :math:`\beta\mu_t`; accuracies (16)-(17) are table constants; Problem 3 minimises over (f, b).

    References
    ----------
    X. Wang, N. Cheng, L. Ma, R. Sun, R. Chai, N. Lu, "Digital twin-assisted knowledge distillation framework for
    heterogeneous federated learning", Problem 1 (6)-(17), Problem 3 (23)-(24).

    Examples
    --------
    >>> catalogue = ModelCatalogue(["small", "large"], [7e9, 19e9], [40e6, 190e6], [0.86, 0.90], [0.24, 0.29])
    >>> problem = DistillationProblem(
    ...     catalogue=catalogue, channel_gain=[1e-9, 4e-9, 2e-8], local_cpu_frequency_hz=[0.5e9, 1e9, 2e9],
    ...     transmit_power_w=0.1, noise_power_w=1e-12, bandwidth_hz=10e6, server_cpu_frequency_hz=10e9,
    ...     teacher_cycles=9.5e9, label_bits=50e6, delay_weight_per_s=0.0075, cpu_price_per_cycle=3e-12,
    ...     bandwidth_price_per_hz=1e-10)
    >>> solution = problem.solve()
    >>> solution.status.name, solution.model_names.tolist(), solution.trains_locally.tolist()
    ('OPTIMAL', ['small', 'small', 'large'], [False, False, True])
    """

    catalogue: ModelCatalogue
    channel_gain: Quantity = quantity("1", positive, DEVICE, "power gain of the path", symbol="h_i")
    local_cpu_frequency_hz: Quantity = quantity(
        "Hz", positive, DEVICE, "the user's own CPU", symbol="f_loc,i"
    )
    transmit_power_w: Quantity = quantity("W", positive, DEVICE, "transmit power", symbol="p_i")
    bandwidth_hz: Quantity = quantity(
        "Hz", positive, PER_INSTANCE, "bandwidth shared", symbol="b_max", common=True
    )
    server_cpu_frequency_hz: Quantity = quantity(
        "Hz", positive, PER_INSTANCE, "server CPU shared", symbol="f_ser", common=True
    )
    teacher_cycles: Quantity = quantity(
        "cycles", nonnegative, PER_INSTANCE, "teacher's cycles", symbol="mu_t", common=True
    )
    label_bits: Quantity = quantity(
        "bit", nonnegative, PER_INSTANCE, "teacher's outputs", symbol="theta_l", common=True
    )
    delay_weight_per_s: Quantity = quantity(
        "1/s", positive, PER_INSTANCE, "cost of a second of delay", symbol="alpha", common=True
    )
    cpu_price_per_cycle: Quantity = quantity(
        "1/cycle", nonnegative, PER_INSTANCE, "price of a server cycle", symbol="beta", common=True
    )
    bandwidth_price_per_hz: Quantity = quantity(
        "1/Hz", nonnegative, PER_INSTANCE, "price of bandwidth", symbol="delta", common=True
    )
    own_accuracy_weight: Quantity = quantity(
        "1",
        nonnegative,
        PER_INSTANCE,
        "worth of accuracy on own data",
        symbol="eta_o",
        default=1.0,
        common=True,
    )
    average_accuracy_weight: Quantity = quantity(
        "1",
        nonnegative,
        PER_INSTANCE,
        "worth of accuracy on all data",
        symbol="eta_a",
        default=1.0,
        common=True,
    )
    noise_power_w: Quantity = quantity(
        "W", nonnegative, PER_INSTANCE, "noise power", symbol="n_0", default=0.0, common=True
    )
    noise_psd_w_per_hz: Quantity = quantity(
        "W/Hz", nonnegative, PER_INSTANCE, "noise density", symbol="N_0", default=0.0, common=True
    )
    min_server_cpu_frequency_hz: Quantity = quantity(
        "Hz", nonnegative, DEVICE, "least share of the server", default=0.0, common=True
    )
    max_server_cpu_frequency_hz: Quantity = quantity(
        "Hz", optional_limit, DEVICE, "largest share of the server", default=math.inf, common=True
    )
    min_bandwidth_hz: Quantity = quantity(
        "Hz", nonnegative, DEVICE, "least bandwidth", default=0.0, common=True
    )
    max_bandwidth_hz: Quantity = quantity(
        "Hz", optional_limit, DEVICE, "largest bandwidth", default=math.inf, common=True
    )
    max_delay_s: Quantity = quantity(
        "s", optional_limit, DEVICE, "deadline of the delay", default=math.inf, common=True
    )
    fixed_model: Quantity = quantity(
        "1", at_least(FREE), DEVICE, "position of the model, if fixed", default=FREE
    )
    fixed_place: Quantity = quantity("1", _place, DEVICE, "1 local, 0 server, if fixed", default=FREE)
    strict: InitVar[bool | None] = False

    def _check(self) -> None:
        object.__setattr__(self, "catalogue", ModelCatalogue.read(self.catalogue))
        kinds = self._kinds % kernel_kinds.BEYOND
        if (kinds == kernel_kinds.MALFORMED).any():
            self._refuse()
        if (kinds == kernel_kinds.GENERAL).any():
            self._check_limits("server_cpu_frequency_hz")
            self._check_limits("bandwidth_hz")

    def _refuse(self) -> None:
        """Say what cannot be asked: which field, instance and user."""
        name = type(self).__name__
        power, psd = np.broadcast_arrays(self.noise_power_w, self.noise_psd_w_per_hz)
        wrong = (power > 0) == (psd > 0)
        if wrong.any():
            other = float(psd.flat[np.argmax(wrong)])
            what = f"one of the two > 0: noise_power_w, or noise_psd_w_per_hz, which is {other!r}"
            refuse(name, "noise_power_w", power, wrong, what)
        faint = ~(self.full_band_snr >= kernel_kinds.LEAST_SNR)
        if faint.any():
            refuse(
                name, "channel_gain", self.channel_gain, faint, "a signal that does not vanish in the noise"
            )
        for field, count in (("fixed_model", len(self.catalogue)), ("fixed_place", 2)):
            value = getattr(self, field)
            wrong = (value != np.round(value)) | (value >= count)
            if wrong.any():
                expected = f"a whole number from -1 (free) to {count - 1}"
                refuse(name, field, value, wrong, expected)

    @np.errstate(all="ignore")
    def _check_limits(self, field: str) -> None:
        """Refuse bounds that cross, and lower ones that leave nothing of the total to share."""
        name = type(self).__name__
        low, high, total = getattr(self, f"min_{field}"), getattr(self, f"max_{field}"), getattr(self, field)
        if (low > high).any():
            refuse(name, f"min_{field}", low, low > high, f"<= max_{field}")
        least = low.sum(-1)
        full = (least > total) | ((least >= total) & (low <= 0).any(-1))
        if full.any():
            first = np.unravel_index(np.argmax(full), full.shape)
            refuse(name, field, total, full, f"more than {least[first]:.10g}, the sum of min_{field}")

    # -- what follows from the fields -----------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """The catalogue as plain lists, which files keep and the constructor takes."""
        return {"catalogue": self.catalogue.to_dict()}

    def _selected_context(self, positions: Array) -> dict[str, Any]:
        return {"catalogue": self.catalogue}

    @property
    def full_band_snr(self) -> Array:
        """Signal-to-noise ratio of a user that holds the whole band, linear, shape (..., K)."""
        with np.errstate(all="ignore"):
            noise = self.noise_power_w + self.noise_psd_w_per_hz * self.bandwidth_hz
            return np.asarray(self.transmit_power_w * self.channel_gain / np.expand_dims(noise, -1))

    @property
    @np.errstate(all="ignore")
    def scale(self) -> Any:  # type: ignore[override]  # a number per instance, where the base has a constant
        """Accuracy credit of the best models, shape (...): what a gap is relative to where the objective is smaller.

        The objective is a cost less this credit and may be near zero by cancellation.
        """
        own, average = self.catalogue.own_accuracy.max(), self.catalogue.average_accuracy.max()
        return self.sizes["device"] * (
            self.own_accuracy_weight * own + self.average_accuracy_weight * average
        )

    @cached_property
    def _kinds(self) -> Array:
        """What each instance asks, shape (...), or what all of them ask, shape (); see ``kernel_kinds``."""
        device = self._flat(DEVICE)
        limits, instance = (columns(self.block(axes, common=True)) for axes in (DEVICE, PER_INSTANCE))
        kinds = np.empty(device.shape[1], np.int64)
        kind = kernel_kinds.find_kinds(device, limits, instance, self.catalogue.block(), kinds)
        return kinds if kind < 0 else np.array(kind)

    def _flat(self, axes: Axes, *, common: bool = False) -> Array:
        """Return a block with the batch axes as one, (rows, instances, K) or (rows, instances)."""
        block = np.ascontiguousarray(self.block(axes, common=common))
        return block.reshape(len(block), math.prod(self.batch_shape), *block.shape[block.ndim - len(axes) :])

    @property
    def is_plain(self) -> bool:
        """Whether it is the paper's problem, apart from fixed choices: no bounds, no deadlines, a noise power."""
        return not (self._kinds % kernel_kinds.BEYOND == kernel_kinds.GENERAL).any()

    @property
    def is_beyond(self) -> Array:
        """Which instances have numbers so large or small that no answer has its digits, shape (...)."""
        beyond = np.broadcast_to(self._kinds >= kernel_kinds.BEYOND, math.prod(self.batch_shape))
        return beyond.reshape(self.batch_shape)

    def fix(
        self, model: ArrayLike | None = None, trains_locally: ArrayLike | None = None
    ) -> DistillationProblem:
        """Return the problem with models, places or both given: with both it is the paper's Problem 3.

        Parameters
        ----------
        model : array_like of int, shape (..., K), optional
            Positions in the catalogue, or -1 for a free choice. Default: as they are.
        trains_locally : array_like of bool or int, shape (..., K), optional
            Places; -1 for a free choice. Default: as they are.

        Returns
        -------
        DistillationProblem
            Leading axes broadcast with the batch: many choices for one problem are a batch.

        Raises
        ------
        ProblemError
            If a model is not in the catalogue, or a place neither 0, 1 nor -1.
        """
        changes: dict[str, Any] = {}
        if model is not None:
            changes["fixed_model"] = model
        if trains_locally is not None:
            places = np.asarray(trains_locally)
            changes["fixed_place"] = places.astype(np.float64) if places.dtype.kind == "b" else places
        fixed: DistillationProblem = self.replace(**changes)
        return fixed

    # -- judging ------------------------------------------------------------------------------------------------

    def certificate(self, options: SolveOptions = DEFAULT_OPTIONS, **decisions: Any) -> Certificate:
        """Evaluate ``model``, ``trains_locally``, ``server_cpu_frequency_hz``, ``bandwidth_hz`` in plain NumPy.

        See :func:`radioopt.dtkd.certificate.evaluate`.
        """
        from radioopt.dtkd.certificate import evaluate

        return evaluate(self, **decisions, options=options)

    def repair(self, **decisions: Any) -> dict[str, Array]:
        """Round the choices, respect the bounds and scale to the totals; see the certificate module."""
        from radioopt.dtkd.certificate import repair

        return repair(self, **decisions)
