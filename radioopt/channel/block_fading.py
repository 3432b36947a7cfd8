"""Slots that a payload takes over a block-fading link, in closed form: a negative binomial law.

In each slot a Rayleigh-fading link either decodes, with probability p, and then carries a fixed number of bits, or does
not. A payload of n such slots is there after T = n + (failures before the n-th success) slots, so that every question
about a round's latency is a value of the regularised incomplete beta function:

    P(T <= m) = I_p(n, m - n + 1),    P(T > m) = I_{1-p}(m - n + 1, n).

No simulation is needed; :meth:`SlotCount.sample` draws from the same law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import check, fraction, nonnegative, positive, refuse
from radioopt.channel.draws import Size, check_draw
from radioopt.channel.incomplete_beta import beta_fraction, incomplete_beta
from radioopt.numerics.arrays import FloatArray, check_shapes, float_if_scalar, quotient

#: payloads in slots are rounded up, but not for what a division's rounding adds
_ROUNDING = 1e-9
#: largest number of slots told from its neighbours, and of terms summed for the slowest device
_MOST_SLOTS, _MOST_TERMS = 2.0**53, 2_000_000
#: largest number of slots that a payload is said to take
_MOST_SUCCESSES = 1e300
#: probabilities and means of Poisson variables beyond which the next term, or the spread, is below rounding
_TINY, _HUGE = 1e-200, 1e15


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockFadingLink:
    r"""A link that decodes in a slot if its SNR under Rayleigh fading, new in every slot, reaches a threshold.

    .. math::
        \mathrm{SNR}_t = \frac{P g h_t}{N_0 W}, \quad h_t \sim \mathrm{Exp}(1), \qquad
        p = P(\mathrm{SNR}_t \ge \theta) = e^{-\theta N_0 W / (P g)},

    and then carries :math:`\tau W \log_2(1 + \theta)` bits. Fields broadcast against each other: devices, and batches.

    Parameters
    ----------
    snr_threshold : array_like of float64
        Threshold :math:`\theta` > 0, linear (:func:`radioopt.units.db_to_linear`).
    bandwidth_hz : array_like of float64
        Bandwidth W of this link in Hz, > 0; of W_total N_ch / D if D devices share N_ch bands of W_total.
    transmit_power_w : array_like of float64
        Transmission power P in W, > 0.
    channel_gain : array_like of float64
        Mean power gain g, linear, > 0: :math:`r^{-\alpha}`, or of any path loss by
        :func:`~radioopt.channel.channel_gain`.
    noise_psd_w_per_hz : array_like of float64
        Noise density :math:`N_0` in W/Hz, > 0.
    slot_s : array_like of float64
        Length :math:`\tau` of a slot, the coherence time, in s, > 0.

    Raises
    ------
    ProblemError
        If a value is outside its domain, or the shapes do not broadcast.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section II-C, (4). The threshold 3 printed there is linear.

    Examples
    --------
    Model weights of 12,544 32-bit numbers over the paper's uplink take 101 good slots, more than its 100 slots:

    >>> from radioopt.units import dbm_per_hz_to_w_per_hz, dbm_to_w
    >>> link = BlockFadingLink(
    ...     snr_threshold=3.0, bandwidth_hz=10e6 * 2 / 10, transmit_power_w=dbm_to_w(23.0),
    ...     channel_gain=1e3**-4.0, noise_psd_w_per_hz=dbm_per_hz_to_w_per_hz(-174.0), slot_s=1e-3)
    >>> slots = link.slots(32 * 12_544)
    >>> slots.successes, round(slots.mean, 1), slots.outage(100), round(slots.outage(110), 2)
    (101.0, 113.8, 1.0, 0.81)
    """

    snr_threshold: Any
    bandwidth_hz: Any
    transmit_power_w: Any
    channel_gain: Any
    noise_psd_w_per_hz: Any
    slot_s: Any

    def __post_init__(self) -> None:
        owner = type(self).__name__
        values = {name: check(owner, name, value, positive) for name, value in self.__dict__.items()}
        check_shapes(owner, **values)
        self.__dict__.update({name: float_if_scalar(value) for name, value in values.items()})

    @property
    def mean_snr(self) -> float | FloatArray:
        """SNR without fading, linear."""
        return float_if_scalar(
            quotient((self.transmit_power_w, self.channel_gain), (self.noise_psd_w_per_hz, self.bandwidth_hz))
        )

    @property
    def bits_per_slot(self) -> float | FloatArray:
        """Bits that a decoded slot carries."""
        return float_if_scalar(quotient((self.slot_s, self.bandwidth_hz, self._bits_per_s_per_hz), ()))

    @property
    def _bits_per_s_per_hz(self) -> float | FloatArray:
        return float_if_scalar(np.log1p(self.snr_threshold) / math.log(2.0))

    def slots(self, payload_bits: ArrayLike) -> SlotCount:
        """Law of the slots that a payload takes.

        Parameters
        ----------
        payload_bits : array_like of float64
            Size of the payload in bit, >= 0; broadcasts. Nothing to send takes no slot.

        Returns
        -------
        SlotCount
            One law per link and payload.

        Raises
        ------
        ProblemError
            If a payload is negative or not finite, or the shapes do not broadcast.
        """
        owner = f"{type(self).__name__}.slots"
        payload = check(owner, "payload_bits", payload_bits, nonnegative)
        links = np.broadcast_arrays(*(np.asarray(value) for value in self.__dict__.values()))[0]
        check_shapes(owner, payload_bits=payload, link=links)
        full = quotient((payload,), (self.slot_s, self.bandwidth_hz, self._bits_per_s_per_hz))
        full = np.minimum(full, _MOST_SUCCESSES)  # far beyond any limit of slots: never in time
        full = np.maximum(np.ceil(full - np.maximum(_ROUNDING, 1e-15 * full)), payload > 0)
        exponent = quotient(
            (self.snr_threshold, self.noise_psd_w_per_hz, self.bandwidth_hz),
            (self.transmit_power_w, self.channel_gain),
        )
        with np.errstate(under="ignore"):
            return SlotCount(full, np.exp(-exponent), -np.expm1(-exponent))


@dataclass(frozen=True, eq=False)
class SlotCount:
    r"""Law of the number of slots T until the n-th success, each slot succeeding with probability p: T >= n.

    All methods work elementwise on arrays of laws and broadcast, and return floats for a single one; those called
    ``slowest`` take the devices along the last axis.

    Parameters
    ----------
    successes : array_like of float64
        Successful slots n needed, whole, >= 0; with 0 the count is 0.
    success_probability : array_like of float64
        p in [0, 1].
    failure_probability : array_like of float64, optional
        1 - p, where it is known better than the subtraction gives it. Default: the subtraction.

    Raises
    ------
    ProblemError
        If a number of successes is not whole, a value is outside its domain, or the shapes do not broadcast.

    Examples
    --------
    >>> law = SlotCount(2, 0.5)
    >>> law.mean, law.variance, law.outage(3), law.quantile(0.5), law.truncated_mean(3), law.conditional_mean(3)
    (4.0, 4.0, 0.5, 3.0, 2.75, 2.5)
    """

    successes: Any
    success_probability: Any
    failure_probability: Any = None

    def __post_init__(self) -> None:
        owner = type(self).__name__
        n = check(owner, "successes", self.successes, nonnegative)
        if (n != np.floor(n)).any():
            refuse(owner, "successes", n, n != np.floor(n), "a whole number")
        p = check(owner, "success_probability", self.success_probability, fraction)
        q = 1.0 - p if self.failure_probability is None else self.failure_probability
        q = check(owner, "failure_probability", q, fraction)
        check_shapes(owner, successes=n, success_probability=p, failure_probability=q)
        if (np.abs(p + q - 1.0) > 1e-12).any():
            refuse(owner, "failure_probability", q, np.abs(p + q - 1.0) > 1e-12, "1 - success_probability")
        values = {"successes": n, "success_probability": p, "failure_probability": q}
        self.__dict__.update({name: float_if_scalar(value) for name, value in values.items()})

    # -- moments --------------------------------------------------------------------------------------------------

    @property
    def mean(self) -> float | FloatArray:
        """Mean n / p; infinite where p is 0."""
        n, p, _ = self._parameters()
        with np.errstate(all="ignore"):
            return float_if_scalar(np.where(n > 0, n / p, 0.0))

    @property
    def variance(self) -> float | FloatArray:
        """Variance n (1 - p) / p^2; infinite where p is 0."""
        n, p, q = self._parameters()
        with np.errstate(all="ignore"):
            return float_if_scalar(np.where(n > 0, n / p * (q / p), 0.0))

    # -- a limit of slots -----------------------------------------------------------------------------------------

    def outage(self, max_slots: ArrayLike) -> float | FloatArray:
        """Probability P(T > m) that m slots are not enough.

        Parameters
        ----------
        max_slots : array_like of float64
            Limit m >= 0; broadcasts.

        Returns
        -------
        float or ndarray of float64
            With a small relative error also where it is small.

        Raises
        ------
        ProblemError
            If a limit is negative or not finite, or the shapes do not broadcast.
        """
        n, p, q, m = self._limited("outage", max_slots)
        late = incomplete_beta(m - n + 1.0, n, q, p, where=(n > 0) & (m >= n))
        return float_if_scalar(np.where(n == 0, 0.0, np.where(m < n, 1.0, late)))

    def arrival(self, max_slots: ArrayLike) -> float | FloatArray:
        """Probability P(T <= m) that m slots are enough.

        Parameters
        ----------
        max_slots : array_like of float64
            Limit m >= 0; broadcasts.

        Returns
        -------
        float or ndarray of float64
            With a small relative error also where it is small.

        Raises
        ------
        ProblemError
            If a limit is negative or not finite, or the shapes do not broadcast.
        """
        n, p, q, m = self._limited("arrival", max_slots)
        there = incomplete_beta(n, m - n + 1.0, p, q, where=(n > 0) & (m >= n))
        return float_if_scalar(np.where(n == 0, 1.0, np.where(m < n, 0.0, there)))

    def truncated_mean(self, max_slots: ArrayLike) -> float | FloatArray:
        r"""Mean slots spent if one gives up after m, :math:`E \min(T, m) = (n/p)\, I_p(n+1, m-n+1) + m P(T > m)`.

        Parameters
        ----------
        max_slots : array_like of float64
            Limit m >= 0; broadcasts. A fraction of a slot counts for nothing.

        Returns
        -------
        float or ndarray of float64
            At most m, and at most the mean.

        Raises
        ------
        ProblemError
            If a limit is negative or not finite, or the shapes do not broadcast.
        """
        n, p, q, m = self._limited("truncated_mean", max_slots)
        further = incomplete_beta(n + 1.0, np.maximum(m - n, 0.0) + 1.0, p, q)
        with np.errstate(all="ignore"):
            arrived = np.where((n > 0) & (m >= n) & (p > _TINY), n / p * further, 0.0)
        return float_if_scalar(arrived + m * self.outage(m))

    def conditional_mean(self, max_slots: ArrayLike) -> float | FloatArray:
        r"""Mean slots of what arrives in time, :math:`E[T | T \le m] = (n/p)\, I_p(n+1, m-n+1) / I_p(n, m-n+1)`.

        Parameters
        ----------
        max_slots : array_like of float64
            Limit m >= 0; broadcasts.

        Returns
        -------
        float or ndarray of float64
            Between n and m; NaN where m < n, so that nothing arrives. Where p is 0, the limit n (m + 1) / (n + 1).

        Raises
        ------
        ProblemError
            If a limit is negative or not finite, or the shapes do not broadcast.
        """
        n, p, q, m = self._limited("conditional_mean", max_slots)
        k, b = np.maximum(n, 1.0), np.maximum(m - n, 0.0) + 1.0
        there = incomplete_beta(k, b, p, q)
        with np.errstate(all="ignore"):
            mean = k / p * incomplete_beta(k + 1.0, b, p, q) / there
            rare = there < _TINY  # a quotient of zeros, but their leading factors cancel
            if rare.any():
                k, b, p, q, rare = np.broadcast_arrays(k, b, p, q, rare)
                a, c, x = k[rare], b[rare], p[rare]
                mean = np.array(np.broadcast_to(mean, rare.shape))
                mean[rare] = a * (a + c) / (a + 1.0) * beta_fraction(a + 1.0, c, x) / beta_fraction(a, c, x)
        mean = np.clip(mean, k, np.maximum(m, k))
        return float_if_scalar(np.where(n == 0, 0.0, np.where(m < n, np.nan, mean)))

    def quantile(self, probability: ArrayLike) -> float | FloatArray:
        """Fewest slots m with P(T <= m) at least a probability.

        Parameters
        ----------
        probability : array_like of float64
            In [0, 1]; broadcasts.

        Returns
        -------
        float or ndarray of float64
            Whole; infinite beyond 2^53 slots, and for probability 1 unless no slot can fail.

        Raises
        ------
        ProblemError
            If a probability is outside [0, 1], or the shapes do not broadcast.
        """
        owner = "SlotCount.quantile"
        wanted = check(owner, "probability", probability, fraction)
        n, p, q = self._parameters()
        check_shapes(owner, probability=wanted, law=n)
        n, p, q, wanted = np.broadcast_arrays(n, p, q, wanted)
        law = SlotCount(n, p, q)

        def enough(slots: FloatArray) -> Any:  # of two complements, the smaller one is accurate
            return np.where(wanted < 0.5, law.arrival(slots) >= wanted, law.outage(slots) <= 1.0 - wanted)

        low, high = n - 1.0, np.where(q == 0, n, _MOST_SLOTS)
        never = ~enough(high) | ((wanted == 1.0) & (q > 0) & (n > 0))
        while (high - low > 1.0).any():
            middle = np.floor(0.5 * (low + high))
            reached = enough(np.maximum(middle, 0.0)) & (middle >= n)
            open_ = high - low > 1.0
            low, high = np.where(open_ & ~reached, middle, low), np.where(open_ & reached, middle, high)
        return float_if_scalar(np.where(never, np.inf, high))

    # -- the slowest of several devices ---------------------------------------------------------------------------

    def slowest_outage(self, max_slots: ArrayLike) -> float | FloatArray:
        """Probability that m slots are not enough for all devices.

        Parameters
        ----------
        max_slots : array_like of float64
            Limit m >= 0, of the shape of the laws without the devices; broadcasts.

        Returns
        -------
        float or ndarray of float64
            1 - prod_d P(T_d <= m), without cancellation.

        Raises
        ------
        ProblemError
            If a limit is negative or not finite, or the shapes do not broadcast.
        """
        limit = check("SlotCount.slowest_outage", "max_slots", max_slots, nonnegative)
        with np.errstate(divide="ignore"):
            late = -np.expm1(np.log1p(-np.asarray(self.outage(limit[..., None]))).sum(-1))
        return float_if_scalar(late)

    def slowest_mean(self, max_slots: ArrayLike | None = None) -> float | FloatArray:
        r"""Mean slots until all devices are done, or until m: :math:`\sum_{t=0}^{m-1} 1 - \prod_d P(T_d \le t)`.

        Parameters
        ----------
        max_slots : array_like of float64, optional
            Limit m >= 0 after which nobody waits, of the shape of the laws without the devices; broadcasts. Default
            None: all are waited for.

        Returns
        -------
        float or ndarray of float64
            Infinite without a limit if a device never succeeds.

        Raises
        ------
        ProblemError
            If a limit is negative or not finite, the shapes do not broadcast, or there are more than 2,000,000 terms.
        """
        n, p, q = (np.atleast_1d(values) for values in self._parameters())
        shape = n.shape[:-1]
        limit = np.asarray(np.inf)
        if max_slots is not None:
            limit = np.floor(check("SlotCount.slowest_mean", "max_slots", max_slots, nonnegative))
            check_shapes("SlotCount.slowest_mean", max_slots=limit, laws=n[..., 0])
            shape = np.broadcast_shapes(shape, limit.shape)
        n, p, q = (np.broadcast_to(values, (*shape, n.shape[-1])) for values in (n, p, q))
        limit, found = np.broadcast_to(limit, shape), np.empty(shape)
        for index in np.ndindex(shape):
            found[index] = SlotCount(n[index], p[index], q[index])._slowest_mean(float(limit[index]))
        return float_if_scalar(found)

    def _slowest_mean(self, limit: float) -> float:
        n, p, _ = self._parameters()
        sending = n > 0
        if not sending.any():
            return 0.0
        first = min(float(n.max()), limit)  # before that somebody is surely not done
        worst = float(p[sending].min())
        if limit == math.inf and worst == 0.0:
            return math.inf
        total, done, chunk = first, first, 1024.0
        while done < limit:
            if done - first >= _MOST_TERMS:
                raise ProblemError(
                    f"SlotCount.slowest_mean: more than {_MOST_TERMS:,} terms, the least success probability is "
                    f"{worst:.3g}: give max_slots, below {_MOST_TERMS:,}"
                )
            last = min(done + chunk, limit)
            late = np.atleast_1d(self.slowest_outage(np.arange(done, last)))
            total += float(late.sum())
            if late[-1] <= 1e-17 * total * worst:  # what is left is less than twice late / worst
                break
            done, chunk = last, min(2.0 * chunk, 65_536.0)
        return total

    # -- draws ----------------------------------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator, size: Size | None = None) -> FloatArray:
        """Draw numbers of slots.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness; the same state gives the same counts.
        size : int or tuple of int, optional
            Shape of the draw, to which the laws broadcast. Default None: one count per law.

        Returns
        -------
        ndarray of float64
            Whole numbers, infinite where p is 0. Independent along all axes.

        Raises
        ------
        ProblemError
            If `rng` is not a generator, or `size` not a shape that the laws broadcast to.

        Notes
        -----
        Failures before the n-th success are Poisson with a mean that is Gamma(n) (1 - p) / p. Beyond a mean of 1e15,
        where the Poisson spread is below 1e-7 of it, its mean stands for it.
        """
        n, p, q = self._parameters()
        shape = check_draw("SlotCount.sample", rng, n.shape if size is None else size)
        try:
            n, p, q = (np.broadcast_to(values, shape) for values in (n, p, q))
        except ValueError:
            raise ProblemError(
                f"SlotCount.sample.size: expected a shape that laws of shape {n.shape} broadcast to, got {shape}"
            ) from None
        with np.errstate(all="ignore"):
            mean = np.where(n > 0, rng.standard_gamma(n) * (q / p), 0.0)
        failures = np.where(mean < _HUGE, rng.poisson(np.minimum(mean, _HUGE)), np.round(mean))
        return np.asarray(n + failures, np.float64)

    # -- helpers --------------------------------------------------------------------------------------------------

    def _parameters(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Successes, probabilities of success and of failure, of their common shape."""
        n, p, q = np.broadcast_arrays(self.successes, self.success_probability, self.failure_probability)
        return n, p, q

    def _limited(
        self, method: str, max_slots: ArrayLike
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        owner = f"{type(self).__name__}.{method}"
        limit = check(owner, "max_slots", max_slots, nonnegative)
        n, p, q = self._parameters()
        check_shapes(owner, max_slots=limit, law=n)
        return n, p, q, np.floor(limit)
