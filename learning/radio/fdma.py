"""Bands of their own: CPU frequency, bandwidth and power of every device, by FIMI's allocation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from learning.local.globals import same_threads
from learning.messages import Wire
from learning.options import choose, label
from learning.radio.base import (
    Allocation,
    Batchsizes,
    Delivery,
    Floats,
    Payload,
    Plan,
    Planner,
    Prices,
    Radio,
    Sent,
    Work,
)
from radioopt.base.errors import OptionError, ProblemError, SolveError
from radioopt.base.quantity import DEVICE, shorten
from radioopt.fimi import SynthesisProblem, SynthesisSolution
from radioopt.scenario import Devices

#: an allocation, from the problem of a round
Policy = Callable[[SynthesisProblem, np.random.Generator], SynthesisSolution]
#: policies by name: the method of the problem
METHODS = {"optimal": "newton", "equal-bandwidth": "equal-bandwidth", "cross-entropy": "cross-entropy"}


@dataclass(frozen=True, eq=False)
class FdmaPlan(Plan):
    """What every device gets in a round.

    Parameters
    ----------
    solution : SynthesisSolution or None
        CPU frequency, bandwidth, power, times and energies of those who take part; None where nothing is sent.
    present : ndarray of bool, shape (K,)
        Who takes part: all but those whose channel in this round leaves no way to finish in time.
    """

    solution: SynthesisSolution | None
    present: NDArray[np.bool_]

    def figures(self) -> Mapping[str, float]:
        """Return the samples that were added to those of the devices."""
        return (
            {} if self.solution is None else {"added_samples": float(self.solution.synthetic_samples.sum())}
        )


def pose(devices: Devices, own: Batchsizes) -> SynthesisProblem:
    """Pose FIMI's problem for the samples that are trained with, which stand for those of the scenario.

    Parameters
    ----------
    devices : Devices
        With a ``[fimi]`` table in their scenario.
    own : ndarray of int64, shape (K,)
        Samples that each device holds.

    Returns
    -------
    SynthesisProblem
        With ``local_samples`` from `own`. Where these are s times fewer than the scenario's on average, a sample takes
        s times the cycles, the limit of synthetic samples is s times lower, and the learning curve is stretched: the
        energies, frequencies, bandwidths and powers are then those of the scenario, and the synthetic samples s times
        fewer.

    Raises
    ------
    ProblemError
        If the scenario has no such table, or a device holds no samples.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> devices = Scenario.load("fimi").draw(seed=1)
    >>> small = pose(devices, np.full(20, 50))
    >>> large = devices.problem("fimi").solve()
    >>> bool(np.isclose(small.solve().objective, large.objective))
    True
    >>> bool(np.isclose(25 * small.solve().synthetic_samples.sum(), large.synthetic_samples.sum()))
    True
    """
    posed = cast(SynthesisProblem, devices.problem("fimi"))
    if not own.all():
        raise ProblemError(
            f"radio fdma: device {int(np.argmin(own))} holds no samples: choose another partition, as dirichlet:0.4,32"
        )
    scale = float(np.mean(posed.local_samples) / np.mean(own))
    return posed.replace(
        local_samples=own.astype(np.float64),
        max_synthetic_samples=posed.max_synthetic_samples / scale,
        fixed_synthetic_samples=posed.fixed_synthetic_samples / scale,
        cycles_per_sample=posed.cycles_per_sample * scale,
        curve_alpha=posed.curve_alpha * scale**-posed.curve_beta,
    )


def solve(
    problem: SynthesisProblem, policy: str | Policy, rng: np.random.Generator | None
) -> SynthesisSolution:
    """Solve a problem by a policy: a name of :data:`METHODS`, or a function ``(problem, rng)``."""
    with same_threads():
        if not callable(policy):
            return problem.solve(choose("policy", policy, METHODS, "a function (problem, rng)"))
        solution = policy(problem, rng)  # type: ignore[arg-type]
    if not isinstance(solution, SynthesisSolution) or solution.batch_shape:
        raise ProblemError(f"policy {label(policy)}: expected a SynthesisSolution, got {shorten(solution)}")
    return solution


def gain_now(devices: Devices) -> Floats:
    """Return the channel gains of this round, fading included, shape (K,); ``channel_gain`` is their mean."""
    noise = devices.noise_psd_w_per_hz * devices.bandwidth_hz
    return np.asarray(devices.uplink_snr * noise / devices.transmit_power_w)


class SynthesisPlanner:
    """CPU, bandwidth and power of every round, for the samples that devices have by then.

    Parameters
    ----------
    policy : str or callable
        "optimal": least energy, proven. "equal-bandwidth": equal shares of the band, the rest chosen best.
        "cross-entropy": the paper's search. Or a function ``(problem, rng) -> SynthesisSolution``.
    work : Work
        What devices compute: what they hold beyond their own was added by a preparation, and is fixed.
    wire : Wire
        What they send.
    bits_per_parameter : float, optional
        Size of a number that is sent [bit]; by default ``payload_bits`` of the scenario.

    Raises
    ------
    OptionError
        If there is no policy of that name, or the scheme trains and sends nothing.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> devices = Scenario.load("fimi").draw(seed=1)
    >>> work = Work(np.full(20, 50), (np.full(5, 10),) * 20, own=np.full(20, 40))
    >>> plan = SynthesisPlanner("optimal", work, Wire({"weights": 650}, {"weights": 650}))(devices, None)
    >>> float(plan.solution.synthetic_samples.sum()), plan.payload.uplink_bits
    (200.0, 111700000.0)
    """

    def __init__(
        self, policy: str | Policy, work: Work, wire: Wire, bits_per_parameter: float | None = None
    ) -> None:
        if not callable(policy):
            choose("policy", policy, METHODS, "a function (problem, rng)")
        self.idle = wire.numbers == (0, 0)
        if self.idle and work.steps is not None and work.samples.any():
            raise OptionError("radio fdma: this scheme sends nothing: take radio silent")
        self.policy, self.work, self.wire, self.bits = policy, work, wire, bits_per_parameter
        held = work.held if work.own is None else work.own
        self.own = np.minimum(held, work.held)
        self.samples = work.held if work.steps is None else work.samples
        self._solved: SynthesisSolution | None = None

    def __call__(self, devices: Devices, rng: np.random.Generator) -> FdmaPlan:
        """Plan a round.

        Parameters
        ----------
        devices : Devices
            With a ``[fimi]`` table in their scenario.
        rng : numpy.random.Generator
            For policies that draw.

        Returns
        -------
        FdmaPlan
            The allocation, payloads and samples.

        Raises
        ------
        OptionError
            If devices pass over their samples more or less often than the scenario says.
        SolveError
            If there is no feasible allocation; the message says what would be one.
        """
        if self.idle:
            nobody = np.zeros(self.samples.shape, np.bool_)
            return FdmaPlan(devices, self.samples, Payload(0.0, 0.0), Prices(), None, nobody)
        posed = pose(devices, self.own)
        self._refuse_other_passes(float(posed.local_epochs))
        model = float(posed.payload_bits)
        prices = (
            Prices({"weights": model, "gradient": model}) if self.bits is None else Prices(other=self.bits)
        )
        payload = prices.payload(self.wire)
        posed = posed.replace(
            payload_bits=payload.uplink_bits,
            fixed_synthetic_samples=(self.work.held - self.own).astype(np.float64),
        )
        if devices.scenario.cell.fading == "block":
            solution, present = self._with_those_who_can(posed.replace(channel_gain=gain_now(devices)), rng)
            return FdmaPlan(devices, self.samples, payload, prices, solution, present)
        if callable(self.policy) or self._solved is None or self._solved.problem != posed:
            self._solved = solve(posed, self.policy, rng)
        everybody = np.ones(self.samples.shape, np.bool_)
        return FdmaPlan(devices, self.samples, payload, prices, self._solved, everybody)

    def _with_those_who_can(
        self, posed: SynthesisProblem, rng: np.random.Generator
    ) -> tuple[SynthesisSolution, NDArray[np.bool_]]:
        """Solve for all devices; where that cannot be, without the one of the weakest channel, and so on."""
        present = np.ones(self.samples.shape, np.bool_)
        rows = {name: getattr(posed, name) for name, item in posed.quantities.items() if item.axes == DEVICE}
        while True:
            some = posed.replace(**{name: row[present] for name, row in rows.items()})
            try:
                return solve(some, self.policy, rng), present
            except SolveError:
                if present.sum() == 1:
                    raise
                present[np.flatnonzero(present)[np.argmin(some.channel_gain)]] = False

    def _refuse_other_passes(self, epochs: float) -> None:
        """Refuse a scheme that goes through the samples more or less often than the problem counts."""
        passes = self.samples / self.work.held
        if (np.abs(passes - epochs) > 1e-9 * epochs).any():
            low, high = float(passes.min()), float(passes.max())
            made = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
            way = f"set fimi.local_epochs = {made}, or train" if low == high else "train"
            raise OptionError(
                f"radio fdma: devices pass {made} times over their samples in a round, and [fimi] counts {epochs:g}: "
                f"{way} with epochs={epochs:g}"
            )


@dataclass(frozen=True)
class Fdma(Radio):
    r"""A band for each device: FIMI's rounds, in which all who take part arrive in time.

    Every round spends a certified allocation: device i trains at its frequency and uploads over its share of the band
    with its power, for the energy of the solution, and the round lasts as long as the slowest takes. Samples that a
    preparation added are there, so that the allocation is solved with them fixed: anew in every round under block
    fading. A device that cannot finish in time over its channel of the round, the weakest first, sits it out.
    The downlink takes no time, as in the paper; samples that are given out before the first round are broadcast at the
    rate of the weakest device.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over Heterogeneous
    Mobile Edge Devices", Section III, (5) to (9).
    """

    table: ClassVar[str] = "fimi"

    def planner(self, policy: Any, work: Work, wire: Wire, bits_per_parameter: float | None) -> Planner:
        """Plan frequency, bandwidth and power; see :meth:`Radio.planner`."""
        if isinstance(policy, Allocation):
            raise OptionError(
                "allocator: radio fdma takes a function as its policy: policy=(problem, rng) -> SynthesisSolution"
            )
        return SynthesisPlanner(policy, work, wire, bits_per_parameter)

    def transmit(self, payload: Payload, plan: Any, rng: np.random.Generator) -> Sent:
        """Train and upload as planned; see :meth:`Radio.transmit`."""
        count, solution, present = len(plan.batchsize), plan.solution, plan.present
        if payload.uplink_bits != plan.payload.uplink_bits:
            raise ProblemError(
                f"radio fdma: planned for {plan.payload.uplink_bits:.6g} bits from each device, got "
                f"{payload.uplink_bits:.6g}"
            )

        def of_all(name: str) -> Floats:
            values = np.zeros(count)
            if solution is not None:
                values[present] = getattr(solution, name)
            return values

        return Sent(
            arrived=present.copy(),
            received=np.full(count, payload.downlink_bits > 0),
            seconds=0.0 if solution is None else float(solution.round_latency_s),
            uplink_bits=payload.uplink_bits,
            downlink_bits=payload.downlink_bits,
            compute_time_s=of_all("compute_time_s"),
            upload_time_s=of_all("upload_time_s"),
            download_time_s=np.zeros(count),
            update_time_s=np.zeros(count),
            compute_energy_j=of_all("compute_energy_j"),
            upload_energy_j=of_all("upload_energy_j"),
        )

    def deliver(self, bits: float, devices: Devices, rng: np.random.Generator) -> Delivery:
        """Broadcast at the rate of the weakest device; see :meth:`Radio.deliver`."""
        rates = np.asarray(devices.downlink_rate_bps)
        return Delivery(np.ones(rates.shape, np.bool_), bits / float(rates.min()))
