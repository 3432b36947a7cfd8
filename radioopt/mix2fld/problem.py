"""Mix2FLD: how many bands, slots and seed samples make distillation converge soonest over fading channels."""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
    positive,
    quantity,
    refuse,
)

if TYPE_CHECKING:
    from radioopt.base.certify import Certificate
    from radioopt.mix2fld.solution import RoundPlanSolution  # noqa: F401 (named as the base's type argument)

#: the candidates of each decision
CHANNELS: Axes = ("band",)
LIMITS: Axes = ("limit",)
SEEDS: Axes = ("seed",)

#: slots that may be waited for at most
MOST_SLOTS = 1_000_000

_share = Domain("> 0 and <= 1", positive.low, 1.0)


@Problem.named
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RoundPlanProblem(Problem["RoundPlanSolution"], family="mix2fld", sense="min"):
    r"""Choose bands, slots and seed samples of FLD (MixFLD, Mix2FLD) for least expected time to convergence.

    K devices share C bands of width W evenly, and upload outputs of :math:`B` bit in every round, in the first one also
    S samples of :math:`b_s` bit. The server multicasts weights. Either way takes the slots :math:`T` of a block-fading
    link (:class:`~radioopt.channel.BlockFadingLink`); all devices are waited for, but no longer than M slots. A device
    takes part in a round if its upload and its download are in time. With all devices in all rounds :math:`R_S` rounds
    are needed; with a share of them :math:`R_S` over that share:

    .. math::
        \min_{C, M, S} \; & \tau \bigl[ \bar U_1 + (R - 1) \bar U + R \bar D \bigr] + R\, t_{\mathrm{cp}}, \qquad
            R = R_S / a, \\
        & \bar U = E \min(\max_d T_d^{\mathrm{up}}, M), \quad
            a = \tfrac{1}{K} \textstyle\sum_d P(T_d^{\mathrm{up}} \le M)\, P(T_d^{\mathrm{dn}} \le M), \\
        & \min(a, a_1) \ge a_{\min}, \quad
            a_1 = \tfrac{1}{K} \textstyle\sum_d P(T_{1,d}^{\mathrm{up}} \le M) .

    Parameters
    ----------
    num_channels : array_like of int, shape (..., C)
        Candidates for the number of bands >= 1, increasing. A device has W C / K.
    max_slots : array_like of int, shape (..., M)
        Candidates for the slots >= 1 that uplink and downlink may take each, increasing; at most 1,000,000.
    seed_samples : array_like of int, shape (..., S)
        Candidates for the samples >= 0 that a device uploads in the first round, increasing.
    rounds : array_like, shape (..., S)
        Rounds >= 1 to convergence with each of these, measured with all devices taking part.
    transmit_power_w, channel_gain : array_like, shape (..., K)
        Power [W] and mean power gain, linear, > 0, of each device.
    downlink_power_w : array_like, shape (...)
        Power of the server [W] > 0.
    bandwidth_hz : array_like, shape (...)
        Width W of a band [Hz] > 0, all of which the downlink has.
    noise_psd_w_per_hz : array_like, shape (...)
        Noise density [W/Hz] > 0.
    slot_s : array_like, shape (...)
        Length of a slot [s] > 0.
    output_bits, model_bits, sample_bits : array_like, shape (...)
        Sizes > 0 of what a device uploads in every round, of the weights, and of a sample; see :class:`Payload`.
    compute_time_s : array_like, shape (...), default 0.0
        Compute time of devices and server per round [s] >= 0, measured or modelled.
    uplink_snr_threshold, downlink_snr_threshold : array_like, shape (...), default 3.0
        SNR that decodes a slot, linear, > 0.
    min_participation : array_like, shape (...), default 0.9
        Least expected share of devices in a round, and of devices whose samples arrive, > 0 and <= 1.
    strict : bool or None, default False
        Whether numbers that are hardly in the unit of their field are refused. By default they are warned of
        (:class:`~radioopt.InputWarning`); None takes them as they are.

    Raises
    ------
    ProblemError
        If a value is not finite, lies outside its domain or does not fit the others' lengths, or candidates do not
        increase. The message names field, index and value.

    Notes
    -----
    The paper has the channel, the payloads and the protocol; what it calls convergence time is measured. That a round
    in which a share takes part counts as that share of a round is an assumption, good near full participation: hence
    `min_participation`. The devices' fading is independent, also between uplink and downlink.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Sections II-C, III and IV.

    Examples
    --------
    >>> problem = RoundPlanProblem(
    ...     num_channels=[1, 2, 4], max_slots=[20, 25, 50, 100], seed_samples=[10, 50], rounds=[30, 24],
    ...     transmit_power_w=[0.2] * 10, channel_gain=1e-12, downlink_power_w=10.0, bandwidth_hz=10e6,
    ...     noise_psd_w_per_hz=4e-21, slot_s=1e-3, output_bits=3_200, model_bits=401_408, sample_bits=6_272,
    ...     compute_time_s=0.1)
    >>> plan = problem.solve()
    >>> plan.status.name, int(plan.num_channels), int(plan.max_slots), int(plan.seed_samples)
    ('OPTIMAL', 4, 100, 50)
    """

    transmit_power_w: Quantity = quantity("W", positive, DEVICE, "power of the device", symbol="P_up")
    channel_gain: Quantity = quantity("1", positive, DEVICE, "mean power gain", symbol="r^-alpha")
    downlink_power_w: Quantity = quantity("W", positive, PER_INSTANCE, "power of the server", symbol="P_dn")
    bandwidth_hz: Quantity = quantity("Hz", positive, PER_INSTANCE, "width of a band", symbol="W")
    noise_psd_w_per_hz: Quantity = quantity("W/Hz", positive, PER_INSTANCE, "noise density", symbol="N_0")
    slot_s: Quantity = quantity("s", positive, PER_INSTANCE, "length of a slot", symbol="tau")
    output_bits: Quantity = quantity("bit", positive, PER_INSTANCE, "uplink in every round", symbol="B_up")
    model_bits: Quantity = quantity("bit", positive, PER_INSTANCE, "downlink in every round", symbol="B_dn")
    sample_bits: Quantity = quantity("bit", positive, PER_INSTANCE, "size of a sample", symbol="b_s")
    compute_time_s: Quantity = quantity("s", nonnegative, PER_INSTANCE, "compute time per round", default=0.0)
    uplink_snr_threshold: Quantity = quantity(
        "1", positive, PER_INSTANCE, "SNR that decodes", symbol="theta_up", default=3.0
    )
    downlink_snr_threshold: Quantity = quantity(
        "1", positive, PER_INSTANCE, "SNR that decodes", symbol="theta_dn", default=3.0
    )
    min_participation: Quantity = quantity(
        "1", _share, PER_INSTANCE, "least share of devices in a round", default=0.9
    )
    rounds: Quantity = quantity("1", at_least(1), SEEDS, "rounds if all take part", symbol="R")
    num_channels: Quantity = quantity("1", at_least(1), CHANNELS, "bands", symbol="N_ch", dtype=np.int64)
    max_slots: Quantity = quantity("1", at_least(1), LIMITS, "slots at most", symbol="T_max", dtype=np.int64)
    seed_samples: Quantity = quantity("1", nonnegative, SEEDS, "seed samples", symbol="N_S", dtype=np.int64)
    strict: InitVar[bool | None] = False

    def _check(self) -> None:
        if (self.max_slots > MOST_SLOTS).any():
            refuse(
                type(self).__name__, "max_slots", self.max_slots, self.max_slots > MOST_SLOTS,
                f"at most {MOST_SLOTS:,}, each of which is a term of a sum",
            )  # fmt: skip
        for name in ("num_channels", "max_slots", "seed_samples"):
            values = getattr(self, name)
            falls = np.diff(values, axis=-1, prepend=values[..., :1] - 1) <= 0
            if falls.any():
                refuse(type(self).__name__, name, values, falls, "candidates that increase")

    def certificate(self, options: SolveOptions = DEFAULT_OPTIONS, **decisions: Any) -> Certificate:
        """Evaluate a plan and all others in plain NumPy; see :func:`radioopt.mix2fld.certificate.evaluate`."""
        from radioopt.mix2fld.certificate import evaluate

        return evaluate(self, **decisions, options=options)

    def repair(self, **decisions: Any) -> dict[str, Array]:
        """Take the nearest candidate of each decision."""
        nearest = {}
        for name, value in decisions.items():
            candidates = getattr(self, name)
            place = np.abs(candidates - np.asarray(value)[..., None]).argmin(-1)
            nearest[name] = np.take_along_axis(candidates, place[..., None], -1)[..., 0]
        return nearest
