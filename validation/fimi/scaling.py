"""Scales in which every variable of a FIMI model is of order one, which generic solvers need.

Variables are measured in the quantities that limit them: samples held, largest frequency and power, an even share
of the band; times in the round's, energy in that of a round split in two halves without synthetic data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.quantity import Array
from radioopt.fimi.problem import SynthesisProblem


@dataclass(frozen=True)
class Scaling:
    """The problem's numbers in these scales, each of shape (I,) or a float.

    Parameters
    ----------
    compute_time : ndarray
        Share of the round to train on the samples held at the largest frequency.
    compute_energy : ndarray
        Energy that takes, over `energy`.
    snr : ndarray
        Signal-to-noise ratio at the largest power on an even share of the band.
    upload_time : float
        Share of the round to upload at 1 nat/s/Hz on an even share of the band.
    upload_energy : ndarray
        Energy of the largest power over the round, over `energy`.
    learning : ndarray
        Terms of the learning constraint at the samples held, over its limit.
    limit : float
        That limit in the same scale: 1, or -1 where it is negative.
    most : ndarray
        Largest ratio of samples to those held; may be infinite.
    beta, energy, band : float
        Exponent of the learning curve; unit of energy [J]; an even share of the band [Hz].
    """

    compute_time: Array
    compute_energy: Array
    snr: Array
    upload_time: float
    upload_energy: Array
    learning: Array
    limit: float
    most: Array
    beta: float
    energy: float
    band: float

    @classmethod
    def of(cls, problem: SynthesisProblem) -> Self:
        """Scale a single instance; a batch raises ``OptionError``."""
        if problem.batch_shape:
            raise OptionError(f"expected a single instance, got a batch of {problem.batch_shape}: index it")
        problem = problem.settled()
        held, latency = problem.local_samples, float(problem.max_round_latency_s)
        band = float(problem.bandwidth_hz) / problem.sizes["device"]
        cycles = problem.local_epochs * problem.cycles_per_sample * held
        fastest, strongest = problem.max_cpu_frequency_hz, problem.max_transmit_power_w
        noise = problem.noise_psd_w_per_hz * band / problem.channel_gain
        nats = float(problem.payload_bits) * np.log(2) / band
        half = latency / 2
        power = np.minimum(noise * np.expm1(np.minimum(nats / half, 700.0)), strongest)
        frequency = np.minimum(cycles / half, fastest)
        energy = float((problem.energy_coefficient * cycles * frequency**2 + power * half).sum())
        beta, budget = float(problem.curve_beta), float(problem.learning_budget)
        unit = abs(budget) or 1.0
        return cls(
            compute_time=cycles / fastest / latency,
            compute_energy=problem.energy_coefficient * cycles * fastest**2 / energy,
            snr=strongest / noise,
            upload_time=nats / latency,
            upload_energy=strongest * latency / energy,
            learning=held**-beta / unit,
            limit=budget / unit,
            most=1.0 + problem.max_synthetic_samples / held,
            beta=beta,
            energy=energy,
            band=band,
        )

    def decisions(
        self, problem: SynthesisProblem, samples: Array, frequency: Array, band: Array, power: Array
    ) -> dict[str, Array]:
        """Turn scaled variables into the decisions of the problem, in its units."""
        fixed, settled = problem.fixed_synthetic_samples, problem.settled()
        extra = (np.asarray(samples, np.float64) - 1.0) * settled.local_samples
        return {
            "synthetic_samples": extra + np.where(np.isfinite(fixed), fixed, 0.0),
            "cpu_frequency_hz": np.asarray(frequency, np.float64) * problem.max_cpu_frequency_hz,
            "bandwidth_hz": np.asarray(band, np.float64) * self.band,
            "transmit_power_w": np.asarray(power, np.float64) * problem.max_transmit_power_w,
        }
