"""What the FIMI methods return."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from radioopt.base.adjoint import Linearised
from radioopt.base.certify import certify
from radioopt.base.errors import InputWarning
from radioopt.base.judge import Limit
from radioopt.base.options import SolveOptions
from radioopt.base.pictures import no_path
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Axes,
    Quantity,
    quantity,
    unrestricted,
)
from radioopt.base.solution import Solution
from radioopt.fimi.problem import SynthesisProblem

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.fimi.sensitivity import SynthesisSensitivity


class SynthesisSolution(Solution):
    """Synthetic data and resources of one round, with the energy they take and its certificate.

    Attributes
    ----------
    synthetic_samples : ndarray, shape (..., I)
        Synthetic samples per device.
    cpu_frequency_hz : ndarray, shape (..., I)
        CPU frequency [Hz].
    bandwidth_hz : ndarray, shape (..., I)
        Share of the band [Hz].
    transmit_power_w : ndarray, shape (..., I)
        Transmit power [W].
    price_learning_j : float or ndarray (...)
        Energy saved per unit of the learning budget, nu = -dE/dY >= 0 [J].
    price_bandwidth_j_per_hz : float or ndarray (...)
        Energy saved per hertz of bandwidth, -dE/dB >= 0 [J/Hz].
    """

    synthetic_samples: Quantity = quantity(
        "samples", unrestricted, DEVICE, "synthetic samples", symbol="D_i^gen"
    )
    cpu_frequency_hz: Quantity = quantity("Hz", unrestricted, DEVICE, "CPU frequency", symbol="f_i")
    bandwidth_hz: Quantity = quantity("Hz", unrestricted, DEVICE, "share of the band", symbol="b_i")
    transmit_power_w: Quantity = quantity("W", unrestricted, DEVICE, "transmit power", symbol="P_i")
    price_learning_j: Quantity = quantity("J", unrestricted, PER_INSTANCE, "price of learning", symbol="nu")
    price_bandwidth_j_per_hz: Quantity = quantity(
        "J/Hz", unrestricted, PER_INSTANCE, "price of bandwidth", symbol="varpi"
    )

    decisions: ClassVar[tuple[str, ...]] = (
        "synthetic_samples",
        "cpu_frequency_hz",
        "bandwidth_hz",
        "transmit_power_w",
    )
    objective_name: ClassVar[str] = "energy per round"
    objective_unit: ClassVar[str] = "J"
    problem: SynthesisProblem

    @classmethod
    def judged(
        cls,
        problem: SynthesisProblem,
        method: str,
        options: SolveOptions,
        iterations: Array,
        otherwise: Array,
        *,
        relaxed: SynthesisSolution | None = None,
        **decisions: Array,
    ) -> SynthesisSolution:
        """Build a solution from decisions alone: objective, bound, prices and status by the NumPy certificate.

        Parameters
        ----------
        problem : SynthesisProblem
            The question.
        method : str
            The method that decided.
        options : SolveOptions
            Tolerances to judge by.
        iterations : ndarray, shape (...)
            What the method counts.
        otherwise : ndarray, shape (...)
            Status of the instances without a point.
        relaxed : SynthesisSolution, optional
            A solution of a relaxed problem, whose bound and prices are taken instead of those that the point proves.
        **decisions : ndarray, shape (..., I)
            The four decisions by name; NaN where there are none.

        Returns
        -------
        SynthesisSolution
            Bound, gap and prices are NaN where there is no point.
        """
        from radioopt.fimi.certificate import judge

        judged, learning, band = judge(problem, options, *(decisions[name] for name in cls.decisions))
        found = np.isfinite(judged.objective)
        if relaxed is None:
            bound, gap, status = judged.bound, judged.gap, judged.status
            bound, learning, band = (np.where(found, value, np.nan) for value in (bound, learning, band))
        else:
            bound = relaxed.bound
            learning, band = relaxed.price_learning_j, relaxed.price_bandwidth_j_per_hz
            gap, status = certify(
                judged.objective, bound, judged.residual, sense=problem.sense, options=options
            )
        values = decisions | {
            "objective": judged.objective,
            "bound": bound,
            "gap": gap,
            "iterations": iterations,
            "status_code": np.where(found, status, otherwise),
            "price_learning_j": learning,
            "price_bandwidth_j_per_hz": band,
        }
        return cls(problem, method, cls._computed(values, problem.batch_shape, problem.sizes)._blocks)

    @property
    @np.errstate(all="ignore")
    def samples(self) -> Array:
        """Local and synthetic samples together, shape (..., I)."""
        return np.asarray(self.problem.local_samples + self.synthetic_samples)

    @property
    @np.errstate(all="ignore")
    def compute_time_s(self) -> Array:
        """Time to train on the samples, shape (..., I) [s]."""
        return np.asarray(self._cycles / self.cpu_frequency_hz)

    @property
    @np.errstate(all="ignore")
    def upload_time_s(self) -> Array:
        """Time to upload the update, shape (..., I) [s]."""
        noise = np.expand_dims(self.problem.noise_psd_w_per_hz, -1) * self.bandwidth_hz
        snr = self.problem.channel_gain * self.transmit_power_w / noise
        rate_bps = self.bandwidth_hz * np.log1p(snr) / np.log(2)
        return np.asarray(np.expand_dims(self.problem.payload_bits, -1) / rate_bps)

    @property
    @np.errstate(all="ignore")
    def round_latency_s(self) -> Array:
        """Time until the last device has uploaded, shape (...) [s]."""
        return np.asarray((self.compute_time_s + self.upload_time_s).max(-1))

    @property
    @np.errstate(all="ignore")
    def compute_time_fraction(self) -> Array:
        """Share of the round spent computing, the paper's eta, shape (..., I)."""
        return np.asarray(self.compute_time_s / np.expand_dims(self.problem.max_round_latency_s, -1))

    @property
    @np.errstate(all="ignore")
    def compute_energy_j(self) -> Array:
        """Energy to train on the samples, shape (..., I) [J]."""
        return np.asarray(self.problem.energy_coefficient * self._cycles * self.cpu_frequency_hz**2)

    @property
    @np.errstate(all="ignore")
    def upload_energy_j(self) -> Array:
        """Energy to upload the update, shape (..., I) [J]."""
        return np.asarray(self.transmit_power_w * self.upload_time_s)

    @property
    @np.errstate(all="ignore")
    def energy_j(self) -> Array:
        """Energy of a device in the round, shape (..., I) [J]; their sum is the objective."""
        return self.compute_energy_j + self.upload_energy_j

    @property
    @np.errstate(all="ignore")
    def local_error(self) -> Array:
        """Learning error of a device, the paper's delta, shape (..., I); warns where the curve gives one below 0."""
        alpha, beta, gamma = (
            np.expand_dims(getattr(self.problem, f"curve_{part}"), -1) for part in ("alpha", "beta", "gamma")
        )
        error = np.asarray(alpha * self.samples**-beta - gamma)
        if (below := error < 0).any():
            most = float(np.broadcast_to((alpha / gamma) ** (1 / beta), error.shape)[below][0])
            warnings.warn(
                f"local_error: the learning curve falls below zero beyond {most:.6g} samples "
                f"({np.count_nonzero(below)} of {below.size} devices): it is extrapolated too far",
                InputWarning,
                stacklevel=2,
            )
        return error

    @property
    @np.errstate(all="ignore")
    def _cycles(self) -> Array:
        epochs = np.expand_dims(self.problem.local_epochs, -1)
        return np.asarray(epochs * self.problem.cycles_per_sample * self.samples)

    def follows(self) -> dict[str, Any]:
        """Return the prices that the point implies."""
        from radioopt.fimi.certificate import implied_bound

        point = self.samples, self.bandwidth_hz, self.transmit_power_w
        _, learning, band = implied_bound(self.problem, *point)
        return {"price_learning_j": learning, "price_bandwidth_j_per_hz": band}

    @np.errstate(all="ignore")
    def limits(self) -> list[Limit]:
        """Return the limits of samples, frequencies, powers, band, time and learning."""
        problem, extra = self.problem, self.synthetic_samples
        latency, learned = self.compute_time_s + self.upload_time_s, (self.samples**-problem.curve_beta).sum()
        band, power, speed = self.bandwidth_hz, self.transmit_power_w, self.cpu_frequency_hz
        return [
            Limit("synthetic_samples", extra, 0.0, problem.max_synthetic_samples, "samples"),
            Limit("cpu_frequency_hz", speed, 0.0, problem.max_cpu_frequency_hz, "Hz", open=True),
            Limit("transmit_power_w", power, 0.0, problem.max_transmit_power_w, "W", open=True),
            Limit("bandwidth_hz", band, 0.0, unit="Hz", open=True),
            Limit("bandwidth_hz", band.sum(), high=problem.bandwidth_hz, unit="Hz", of="a sum of "),
            Limit("compute and upload time", latency, high=problem.max_round_latency_s, unit="s"),
            Limit(
                "samples", learned, high=problem.learning_budget, of="a sum of (local + synthetic)**-beta of "
            ),
        ]

    def sensitivity(self) -> SynthesisSensitivity:
        """Say what one per cent more of each parameter is worth; see :mod:`radioopt.fimi.sensitivity`."""
        from radioopt.fimi.sensitivity import sensitivity

        return sensitivity(self)

    def _linearised(self) -> Linearised:
        from radioopt.fimi.adjoint import linearise

        return linearise(self)

    def plot(self, *path: Any, **options: Any) -> Figure:
        """Draw the allocation per device; see :func:`radioopt.fimi.plot.plot_round`."""
        no_path(path)
        from radioopt.fimi.plot import plot_round

        return plot_round(self, **options)

    @np.errstate(all="ignore")
    def why_infeasible(self) -> str:
        """Name the quantity, its value and the nearest feasible one; see :mod:`radioopt.fimi.infeasible`."""
        from radioopt.fimi.infeasible import explain

        return explain(self.problem)

    def to_frame(self, axes: Axes = DEVICE) -> pd.DataFrame:
        """Tabulate per device, with time split, error and energies beside the decisions."""
        frame = super().to_frame(axes)
        if axes == DEVICE:
            for name in (
                "compute_time_fraction",
                "local_error",
                "compute_energy_j",
                "upload_energy_j",
                "energy_j",
            ):
                frame[name] = np.ravel(getattr(self, name))
        return frame
