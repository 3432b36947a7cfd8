"""FEEL: joint batchsize and time-slot allocation for federated edge learning over TDMA."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.layout import look_at
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Quantity,
    at_least,
    check_choice,
    finite,
    nonnegative,
    optional_limit,
    positive,
    quantity,
    refuse,
)
from radioopt.base.record import Record

if TYPE_CHECKING:
    from radioopt.base.certify import Certificate
    from radioopt.feel.solution import BatchsizeSolution  # noqa: F401 (named as the base's type argument)


@Problem.named
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BatchsizeProblem(Problem["BatchsizeSolution"], family="feel", sense="max"):
    r"""Choose batch sizes and uplink and downlink slots to maximise the learning efficiency of a round.

    K devices compute a gradient each over :math:`B_k` samples, upload it in their share :math:`\phi_k` of
    every TDMA frame, and receive the averaged gradient in their share :math:`\psi_k` of the downlink frame:

    .. math::
        \max_{B, \phi, \psi} \quad & \frac{\xi \sqrt{\sum_k B_k}}{T + T_D} \\
        \text{s.t.} \quad & o_k + p_k B_k + s / (R_k^U \phi_k) \le T, \quad
                            s / (R_k^D \psi_k) + c_k \le T_D, \\
        & \textstyle\sum_k \phi_k \le 1, \quad \sum_k \psi_k \le 1, \quad l_k \le B_k \le u_k.

    :meth:`cpu` and :meth:`gpu` build it from the parameters of the paper's two scenarios.

    Parameters
    ----------
    payload_bits : array_like, shape (...)
        Size :math:`s > 0` of a quantised gradient [bit] (1 Mbit is 1e6 bit).
    uplink_rate_bps, downlink_rate_bps : array_like, shape (..., K)
        Mean rates :math:`R_k^U, R_k^D > 0` of a device that holds the whole frame [bit/s].
    seconds_per_sample : array_like, shape (..., K)
        Slope :math:`p_k > 0` of the time to compute a gradient [s].
    update_time_s : array_like, shape (..., K)
        Time :math:`c_k \ge 0` to update the local model [s].
    max_batchsize : array_like, shape (..., K)
        Upper limits :math:`u_k \ge 1` [samples].
    min_batchsize : array_like, shape (..., K), default 1
        Lower limits :math:`1 \le l_k \le u_k` [samples]; below them the compute time stays what it is at
        :math:`l_k`, which only matters for integer batch sizes with a fractional limit.
    base_time_s : array_like, shape (..., K), default 0
        Intercept :math:`o_k` of the time to compute a gradient [s]; may be negative as long as
        :math:`o_k + p_k l_k \ge 0`.
    uplink_frame_s, downlink_frame_s : array_like, shape (...), default 0.01
        Frame lengths :math:`> 0` [s]; they scale the slots and nothing else.
    loss_decay : array_like, shape (...), default 1
        Coefficient :math:`\xi > 0` of the loss decay :math:`\xi\sqrt{\sum B}`; it scales the objective only.
    total_batchsize : array_like, shape (...), default inf
        Total batch :math:`\sum_k B_k` if fixed, between the sums of the limits [samples]; inf leaves it free.
    max_round_latency_s : array_like, shape (...), default inf
        Deadline > 0 for :math:`T + T_D` [s]; inf for none. One below the least possible latency makes the
        instance infeasible, which the error says with the least latency.
    downlink : {"tdma", "broadcast"}, default "tdma"
        Slots per device, or one broadcast at the least of the rates (the paper's footnote 3), for which
        :math:`T_D = s/\min_k R_k^D + \max_k c_k` and every device listens to the whole frame.
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
    Scalars broadcast over devices; leading axes are a batch of independent instances. Only a deadline can make
    an instance infeasible.

    The problem is convex, against what the paper says: minimising :math:`(T+T_D)^2/\sum B` is a quadratic
    over a linear function, so no search over the total batch is needed. The paper's noise :math:`N_0` is
    a density and must be multiplied by the bandwidth before it enters a rate.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    problems P1 (17) and P6 (30), latencies (9)-(15), (27)-(29).

    Examples
    --------
    >>> problem = BatchsizeProblem.cpu(
    ...     cpu_frequency_hz=[0.7e9, 1.4e9, 2.1e9], cycles_per_sample=7e7, update_cycles=1e8,
    ...     payload_bits=1e6, uplink_rate_bps=[20e6, 35e6, 50e6], downlink_rate_bps=40e6, max_batchsize=128)
    >>> solution = problem.solve()
    >>> solution.status.name, bool(solution.gap < 1e-12)
    ('OPTIMAL', True)
    """

    payload_bits: Quantity = quantity("bit", positive, PER_INSTANCE, "gradient size", symbol="s")
    uplink_rate_bps: Quantity = quantity("bit/s", positive, DEVICE, "uplink rate, full frame", symbol="R_k^U")
    downlink_rate_bps: Quantity = quantity(
        "bit/s", positive, DEVICE, "downlink rate, full frame", symbol="R_k^D"
    )
    seconds_per_sample: Quantity = quantity("s", positive, DEVICE, "gradient time per sample", symbol="p_k")
    update_time_s: Quantity = quantity("s", nonnegative, DEVICE, "local model update", symbol="c_k")
    max_batchsize: Quantity = quantity("samples", at_least(1), DEVICE, "largest batch", symbol="u_k")
    min_batchsize: Quantity = quantity(
        "samples", at_least(1), DEVICE, "smallest batch", symbol="l_k", default=1.0
    )
    base_time_s: Quantity = quantity(
        "s", finite, DEVICE, "gradient time, intercept", symbol="o_k", default=0.0
    )
    uplink_frame_s: Quantity = quantity(
        "s", positive, PER_INSTANCE, "uplink frame", symbol="T_f^U", default=0.01
    )
    downlink_frame_s: Quantity = quantity(
        "s", positive, PER_INSTANCE, "downlink frame", symbol="T_f^D", default=0.01
    )
    loss_decay: Quantity = quantity(
        "1", positive, PER_INSTANCE, "loss decay coefficient", symbol="xi", default=1.0
    )
    total_batchsize: Quantity = quantity(
        "samples", optional_limit, PER_INSTANCE, "total batch, if fixed", symbol="B", default=math.inf
    )
    max_round_latency_s: Quantity = quantity(
        "s", optional_limit, PER_INSTANCE, "deadline of the round", symbol="T^max", default=math.inf
    )
    downlink: str = "tdma"
    strict: InitVar[bool | None] = False

    constructors = ("cpu", "gpu")

    @np.errstate(all="ignore")
    def _check(self) -> None:
        name = type(self).__name__
        check_choice(name, "downlink", self.downlink, ("tdma", "broadcast"))
        low, high, base = self.min_batchsize, self.max_batchsize, self.base_time_s
        if np.count_nonzero(low > high):
            refuse(name, "min_batchsize", low, low > high, "<= max_batchsize")
        if np.count_nonzero(base < 0):
            early = base + self.seconds_per_sample * low < -1e-12 * np.abs(base)
            if early.any():
                expected = "base_time_s + seconds_per_sample * min_batchsize >= 0"
                refuse(name, "base_time_s", base, early, expected)
        total = self.total_batchsize
        if np.count_nonzero(total < math.inf):
            outside = (total < math.inf) & ((total < low.sum(-1)) | (total > high.sum(-1)))
            if outside.any():
                least, most = np.broadcast_arrays(low.sum(-1), high.sum(-1))
                first = np.unravel_index(np.argmax(outside), outside.shape)
                ends = f"{least[first]:.10g} and {most[first]:.10g}"
                expected = f"between {ends} (the sums of the limits)"
                refuse(name, "total_batchsize", total, outside, expected)

    @classmethod
    def cpu(
        cls,
        *,
        cpu_frequency_hz: ArrayLike,
        cycles_per_sample: ArrayLike,
        update_cycles: ArrayLike,
        payload_bits: ArrayLike,
        uplink_rate_bps: ArrayLike,
        downlink_rate_bps: ArrayLike,
        max_batchsize: ArrayLike,
        local_samples: ArrayLike = math.inf,
        uplink_frame_s: ArrayLike = 0.01,
        downlink_frame_s: ArrayLike = 0.01,
        loss_decay: ArrayLike = 1.0,
        total_batchsize: ArrayLike = math.inf,
        max_round_latency_s: ArrayLike = math.inf,
        downlink: str = "tdma",
        strict: bool | None = False,
    ) -> BatchsizeProblem:
        """Build the paper's CPU scenario: compute time proportional to the batch.

        Parameters
        ----------
        cpu_frequency_hz : array_like, shape (..., K)
            CPU frequencies > 0 [Hz].
        cycles_per_sample : array_like, shape (..., K)
            Cycles > 0 to compute the gradient of one sample.
        update_cycles : array_like, shape (..., K)
            Cycles >= 0 to update the local model.
        payload_bits, uplink_rate_bps, downlink_rate_bps, max_batchsize
            As in :class:`BatchsizeProblem`.
        local_samples : array_like, shape (..., K), default inf
            Samples >= 1 that a device holds; no batch is larger.
        uplink_frame_s, downlink_frame_s, loss_decay, total_batchsize, max_round_latency_s, downlink, strict
            As in :class:`BatchsizeProblem`.

        Returns
        -------
        BatchsizeProblem
            With ``seconds_per_sample`` = cycles over frequency, no intercept, at least one sample a device.

        Raises
        ------
        ProblemError
            As :class:`BatchsizeProblem`, naming this constructor's arguments.

        References
        ----------
        Equations (9) and (12).
        """
        given = _CpuDevices.of(
            "BatchsizeProblem.cpu",
            strict,
            cpu_frequency_hz=cpu_frequency_hz,
            cycles_per_sample=cycles_per_sample,
            update_cycles=update_cycles,
            max_batchsize=max_batchsize,
            local_samples=local_samples,
            uplink_rate_bps=uplink_rate_bps,
            downlink_rate_bps=downlink_rate_bps,
        )
        with np.errstate(all="ignore"):
            seconds_per_sample = given.cycles_per_sample / given.cpu_frequency_hz
            update_time_s = given.update_cycles / given.cpu_frequency_hz
        for name, time in (("cycles_per_sample", seconds_per_sample), ("update_cycles", update_time_s)):
            beyond = ~np.isfinite(time) | ((time == 0.0) & (name == "cycles_per_sample"))
            if beyond.any():
                cycles = np.broadcast_to(getattr(given, name), beyond.shape)
                refuse(
                    "BatchsizeProblem.cpu", name, cycles, beyond, "a time within float64 at cpu_frequency_hz"
                )
        problem = cls(
            payload_bits=payload_bits,
            uplink_rate_bps=given.uplink_rate_bps,
            downlink_rate_bps=given.downlink_rate_bps,
            seconds_per_sample=seconds_per_sample,
            update_time_s=update_time_s,
            max_batchsize=np.minimum(given.max_batchsize, given.local_samples),
            uplink_frame_s=uplink_frame_s,
            downlink_frame_s=downlink_frame_s,
            loss_decay=loss_decay,
            total_batchsize=total_batchsize,
            max_round_latency_s=max_round_latency_s,
            downlink=downlink,
            strict=None,
        )
        return problem._built(strict, given.labels)

    @classmethod
    def gpu(
        cls,
        *,
        seconds_per_sample: ArrayLike,
        base_time_s: ArrayLike,
        threshold_batchsize: ArrayLike,
        update_time_s: ArrayLike,
        payload_bits: ArrayLike,
        uplink_rate_bps: ArrayLike,
        downlink_rate_bps: ArrayLike,
        max_batchsize: ArrayLike,
        local_samples: ArrayLike = math.inf,
        uplink_frame_s: ArrayLike = 0.01,
        downlink_frame_s: ArrayLike = 0.01,
        loss_decay: ArrayLike = 1.0,
        total_batchsize: ArrayLike = math.inf,
        max_round_latency_s: ArrayLike = math.inf,
        downlink: str = "tdma",
        strict: bool | None = False,
    ) -> BatchsizeProblem:
        r"""Build the paper's GPU scenario: compute time flat up to a threshold batch, then linear.

        Parameters
        ----------
        seconds_per_sample : array_like, shape (..., K)
            Slope > 0 above the threshold [s].
        base_time_s : array_like, shape (..., K)
            Time > 0 at and below the threshold, the paper's :math:`t_k^\ell` [s].
        threshold_batchsize : array_like, shape (..., K)
            Threshold :math:`B_k^{th} \ge 0` [samples]; it need not be an integer and may exceed the largest
            batch, which then is the optimal one.
        update_time_s : array_like, shape (..., K)
            Local model update >= 0 [s].
        payload_bits, uplink_rate_bps, downlink_rate_bps, max_batchsize
            As in :class:`BatchsizeProblem`.
        local_samples : array_like, shape (..., K), default inf
            Samples >= 1 that a device holds; no batch is larger.
        uplink_frame_s, downlink_frame_s, loss_decay, total_batchsize, max_round_latency_s, downlink, strict
            As in :class:`BatchsizeProblem`.

        Returns
        -------
        BatchsizeProblem
            Restricted to batches at or above the threshold, which loses nothing (Lemma 2).

        Raises
        ------
        ProblemError
            As :class:`BatchsizeProblem`, naming this constructor's arguments.

        Notes
        -----
        Lemma 2 holds for continuous batches and thresholds up to the largest batch; above that the time is
        flat over the whole range and the largest batch is taken (the paper leaves this case out).

        References
        ----------
        Equations (27) and (28), Lemma 2.
        """
        given = _GpuDevices.of(
            "BatchsizeProblem.gpu",
            strict,
            seconds_per_sample=seconds_per_sample,
            base_time_s=base_time_s,
            threshold_batchsize=threshold_batchsize,
            max_batchsize=max_batchsize,
            local_samples=local_samples,
            update_time_s=update_time_s,
            uplink_rate_bps=uplink_rate_bps,
            downlink_rate_bps=downlink_rate_bps,
        )
        largest = np.minimum(given.max_batchsize, given.local_samples)
        knee = np.minimum(given.threshold_batchsize, largest)
        with np.errstate(all="ignore"):
            intercept = given.base_time_s - given.seconds_per_sample * knee
        problem = cls(
            payload_bits=payload_bits,
            uplink_rate_bps=given.uplink_rate_bps,
            downlink_rate_bps=given.downlink_rate_bps,
            seconds_per_sample=given.seconds_per_sample,
            base_time_s=intercept,
            update_time_s=given.update_time_s,
            min_batchsize=np.maximum(knee, 1.0),
            max_batchsize=largest,
            uplink_frame_s=uplink_frame_s,
            downlink_frame_s=downlink_frame_s,
            loss_decay=loss_decay,
            total_batchsize=total_batchsize,
            max_round_latency_s=max_round_latency_s,
            downlink=downlink,
            strict=None,
        )
        return problem._built(strict, given.labels)

    def _built(self, strict: bool | None, labels: Mapping[str, Sequence[Any]]) -> BatchsizeProblem:
        """Finish what a constructor built of other quantities than the fields; those are looked at here."""
        for name in ("payload_bits", "uplink_frame_s", "downlink_frame_s") if strict is not None else ():
            look_at(type(self).__name__, self.quantities[name], getattr(self, name), bool(strict))
        self.__dict__["_strict"] = strict
        if labels:
            self._label(labels)
        return self

    @property
    @np.errstate(all="ignore")
    def upload_time_full_frame_s(self) -> Array:
        """Upload time at a full share of the frame, s / R^U [s], shape (..., K)."""
        return np.asarray(np.expand_dims(self.payload_bits, -1) / self.uplink_rate_bps)

    @property
    @np.errstate(all="ignore")
    def download_time_full_frame_s(self) -> Array:
        """Download time at a full share of the frame, s / R^D [s], shape (..., K)."""
        return np.asarray(np.expand_dims(self.payload_bits, -1) / self.downlink_rate_bps)

    def certificate(self, options: SolveOptions = DEFAULT_OPTIONS, **decisions: Any) -> Certificate:
        """Evaluate ``batchsize``, ``uplink_slot_s``, ``downlink_slot_s`` (..., K) in plain NumPy.

        See :func:`radioopt.feel.certificate.evaluate`.
        """
        from radioopt.feel.certificate import evaluate

        return evaluate(self, **decisions, options=options)

    def repair(self, **decisions: Any) -> dict[str, Array]:
        """Clip ``batchsize`` and rescale the slots to their frames; see the certificate module."""
        from radioopt.feel.certificate import repair

        return repair(self, **decisions)


_SAMPLES = at_least(1, math.inf)
_UPLINK, _DOWNLINK, _UPDATE = (
    BatchsizeProblem.quantities[name] for name in ("uplink_rate_bps", "downlink_rate_bps", "update_time_s")
)


class _CpuDevices(Record):
    cpu_frequency_hz: Quantity = quantity("Hz", positive, DEVICE, "CPU frequency", symbol="f_k^C")
    cycles_per_sample: Quantity = quantity("cycles", positive, DEVICE, "cycles per sample", symbol="C")
    update_cycles: Quantity = quantity("cycles", nonnegative, DEVICE, "cycles per update", symbol="M^C")
    max_batchsize: Quantity = quantity("samples", at_least(1), DEVICE, "largest batch", symbol="u_k")
    local_samples: Quantity = quantity("samples", _SAMPLES, DEVICE, "samples held", symbol="N_k")
    uplink_rate_bps, downlink_rate_bps = _UPLINK, _DOWNLINK


class _GpuDevices(Record):
    seconds_per_sample: Quantity = quantity("s", positive, DEVICE, "slope above the threshold", symbol="c_k")
    base_time_s: Quantity = quantity("s", positive, DEVICE, "time up to the threshold", symbol="t_k^l")
    threshold_batchsize: Quantity = quantity("samples", nonnegative, DEVICE, "threshold", symbol="B_k^th")
    max_batchsize: Quantity = quantity("samples", at_least(1), DEVICE, "largest batch", symbol="u_k")
    local_samples: Quantity = quantity("samples", _SAMPLES, DEVICE, "samples held", symbol="N_k")
    update_time_s, uplink_rate_bps, downlink_rate_bps = _UPDATE, _UPLINK, _DOWNLINK
