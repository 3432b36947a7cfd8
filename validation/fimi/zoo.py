"""FIMI instances to be right on: named ones, each with a reason, infeasible ones, and random ones to draw anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.base.quantity import Array
from radioopt.channel import channel_gain, distances_m, uniform_in_disc
from radioopt.fimi import LEARNING_CURVES, LearningCurve, SynthesisProblem
from radioopt.units import dbm_per_hz_to_w_per_hz, dbm_to_w

#: the convergence constant that goes with a curve
CONVERGENCE_CONSTANT = {"fimi-slow": 66.78, "fimi-fast": 58.65}


def paper(
    devices: int = 20, seed: int = 0, count: int | None = None, curve: str = "fimi-slow"
) -> SynthesisProblem:
    """Draw devices in the paper's setting (Section V-A), with what it leaves out calibrated.

    Parameters
    ----------
    devices : int, default 20
        I.
    seed : int, default 0
        The same seed gives the same devices.
    count : int, optional
        Number of instances; a single one by default.
    curve : {"fimi-slow", "fimi-fast"}, default "fimi-slow"
        Learning curve, with the convergence constant that goes with it.

    Returns
    -------
    SynthesisProblem
        A cell of 400 m, 1 MHz of bandwidth per device: the paper's 20 MHz for 20.

    Examples
    --------
    >>> problem = paper()
    >>> problem.sizes["device"], float(problem.bandwidth_hz)
    (20, 20000000.0)
    """
    rng = np.random.default_rng([seed, devices])
    shape = (devices,) if count is None else (count, devices)
    distance_m = distances_m(uniform_in_disc(rng, shape, radius_m=400.0))
    return SynthesisProblem(
        local_samples=1250.0,
        max_synthetic_samples=2500.0,
        cycles_per_sample=5e6,
        energy_coefficient=rng.uniform(4e-27, 6e-27, shape),
        max_cpu_frequency_hz=rng.uniform(1e9, 2e9, shape),
        max_transmit_power_w=dbm_to_w(rng.uniform(20.0, 23.0, shape)),
        channel_gain=channel_gain(distance_m),
        noise_psd_w_per_hz=dbm_per_hz_to_w_per_hz(-174.0),
        bandwidth_hz=1e6 * devices,
        payload_bits=111.7e6,
        max_round_latency_s=60.0,
        num_rounds=200.0,
        convergence_constant=CONVERGENCE_CONSTANT[curve],
        max_global_error=0.2,
        learning_curve=LEARNING_CURVES[curve],
        strict=None,  # what is far outside in the zoo is meant so
    )


def with_budget(problem: SynthesisProblem, budget: Any) -> SynthesisProblem:
    """Scale the learning curve so that the sum of D^-beta may be just so much.

    Parameters
    ----------
    problem : SynthesisProblem
        An instance whose budget has the sign of `budget`.
    budget : array_like, shape (...)
        The limit Y wanted.

    Returns
    -------
    SynthesisProblem
        The same with another ``curve_alpha``.
    """
    return problem.replace(curve_alpha=problem.curve_alpha * problem.learning_budget / np.asarray(budget))


def named() -> dict[str, SynthesisProblem]:
    """Feasible instances that have gone wrong somewhere, or well may.

    Returns
    -------
    dict of str to SynthesisProblem
        Single instances by name.

    Examples
    --------
    >>> named()["paper"].solve().status.name
    'OPTIMAL'
    """
    cell = paper()
    small = paper(6, seed=1)
    beta, held = float(cell.curve_beta), cell.local_samples
    unaided = float((held**-beta).sum())
    one = paper(1, seed=3)
    decades = np.logspace(-3, 3, 6)
    return {
        "paper": cell,
        "paper_fast_curve": paper(curve="fimi-fast"),
        "one_device": one,
        "two_devices": paper(2, seed=4),
        # the errors are small enough as they are: no synthetic data, and no price of learning
        "learning_slack": with_budget(cell, 1.5 * unaided),
        "learning_just_slack": with_budget(cell, unaided),
        "learning_hardly_binds": with_budget(cell, unaided * (1 - 1e-9)),
        "no_synthetic_data_allowed": with_budget(cell.replace(max_synthetic_samples=0.0), unaided),
        "some_may_not_synthesise": cell.replace(max_synthetic_samples=np.resize([0.0, 2500.0], 20)),
        "all_at_max_samples": with_budget(
            small.replace(max_synthetic_samples=400.0, max_cpu_frequency_hz=1e10),
            6 * 1650.0 ** -float(small.curve_beta) * (1 + 1e-6),
        ),
        "some_at_max_samples": cell.replace(max_synthetic_samples=np.resize([100.0, 400.0, np.inf], 20)),
        "no_limit_on_samples": cell.replace(max_synthetic_samples=np.inf),
        "some_at_max_frequency": cell.replace(
            max_cpu_frequency_hz=np.resize([1.8e8, 1.6e9], 20), max_synthetic_samples=np.inf
        ),
        "all_at_max_frequency": cell.replace(max_cpu_frequency_hz=1.52e8, bandwidth_hz=40e6),
        "some_at_max_power": cell.replace(max_transmit_power_w=np.resize([2e-3, 0.2], 20)),
        # bandwidth costs nothing, so everybody sends as fast as power allows
        "all_at_max_power": cell.replace(bandwidth_hz=1e12),
        "short_of_time": cell.replace(max_round_latency_s=26.0),
        "tight_band": cell.replace(bandwidth_hz=6.5e6),
        "tiny_payload": cell.replace(payload_bits=1.0),
        "huge_payload": cell.replace(payload_bits=1e10, bandwidth_hz=2e9),
        "identical_devices": cell.replace(
            energy_coefficient=5e-27,
            max_cpu_frequency_hz=1.5e9,
            max_transmit_power_w=0.15,
            channel_gain=1e-11,
        ),
        "six_decades_of_gain": small.replace(
            channel_gain=1e-11 * decades, max_transmit_power_w=0.2 / np.minimum(decades, 1.0)
        ),
        "six_decades_of_energy": small.replace(energy_coefficient=5e-27 * decades),
        "six_decades_of_samples": with_budget(
            small.replace(
                local_samples=1e3 * decades, max_synthetic_samples=np.inf, cycles_per_sample=5e6 / decades
            ),
            0.9 * float(((1e3 * decades) ** -float(small.curve_beta)).sum()),
        ),
        "steep_curve": with_budget(cell.replace(curve_beta=3.0), 0.5 * 20 * 1250.0**-3.0),
        "flat_curve": with_budget(cell.replace(curve_beta=0.01), 20 * 1500.0**-0.01),
        "no_offset": cell.replace(learning_curve=LearningCurve(alpha=4.2, beta=0.3, gamma=0.0)),
        # the samples are at the devices: the error is theirs, whatever the limit says
        "samples_fixed": cell.replace(fixed_synthetic_samples=np.resize([0.0, 300.0, 420.0], 20)),
        "samples_fixed_beyond_a_speed": small.replace(
            fixed_synthetic_samples=np.resize([200.0, 500.0], 6),
            max_cpu_frequency_hz=1.52e8,
            bandwidth_hz=40e6,
        ),
        "several_epochs": cell.replace(local_epochs=3.0, max_cpu_frequency_hz=3e9),
    }


def infeasible() -> dict[str, SynthesisProblem]:
    """Instances without a feasible point, one for each reason and some close to feasible.

    Returns
    -------
    dict of str to SynthesisProblem
        Single instances by what they lack.
    """
    cell = paper()
    rate_needed = np.where(np.arange(20) == 7, 1e-16, cell.channel_gain)
    beta = float(cell.curve_beta)
    largest = float((3750.0**-beta) * 20)
    slow = cell.replace(max_cpu_frequency_hz=3e8, max_synthetic_samples=np.inf)
    return {
        "one_cannot_compute_in_time": cell.replace(
            max_cpu_frequency_hz=np.where(np.arange(20) == 3, 1e8, 1.5e9)
        ),
        "one_cannot_upload_in_time": cell.replace(channel_gain=rate_needed),
        "one_lacks_the_time_for_both": cell.replace(max_round_latency_s=4.2),
        "band_too_narrow": cell.replace(bandwidth_hz=2e6),
        "band_too_narrow_for_fixed_samples": cell.replace(bandwidth_hz=3e6, fixed_synthetic_samples=400.0),
        "no_error_is_low_enough": cell.replace(max_global_error=1e-3),
        "too_few_samples_allowed": with_budget(cell, 0.99 * largest),
        "samples_and_band_conflict": with_budget(slow, 0.75 * 20 * 1250.0**-beta),
    }


def random(seed: int, *, max_devices: int = 40) -> SynthesisProblem:
    """Draw one feasible instance of 1 to ``max_devices`` devices.

    Parameters
    ----------
    seed : int
        Non-negative; the same seed gives the same instance.
    max_devices : int, default 40
        Largest number of devices; the number is drawn log-uniformly.

    Returns
    -------
    SynthesisProblem
        A single instance.

    Examples
    --------
    >>> random(7) == random(7)
    True
    """
    rng = np.random.default_rng([seed, max_devices])
    devices = int(np.exp(rng.uniform(0, np.log(max_devices + 1))))
    return random_batch(rng, 1, devices)[0]


def random_batch(
    rng: np.random.Generator, count: int, devices: int, *, excess: float = 0.0
) -> SynthesisProblem:
    """Draw a batch of instances around a point that is feasible, with limits close to it here and far there.

    Samples, split of the round and shares of the band are drawn first; every limit is that point's need times
    a factor between 1 and 100, so that limits bind on some devices and not on others.

    Parameters
    ----------
    rng : numpy.random.Generator
        The source of randomness.
    count, devices : int
        Numbers of instances and of devices.
    excess : float, default 0
        Take the learning budget below what the point reaches, by this fraction: with little room elsewhere the
        instance is then infeasible, or nearly so.

    Returns
    -------
    SynthesisProblem
        Of batch shape (count,).
    """
    each, every = (count, 1), (count, devices)

    def spread(low: float, high: float, decades: float) -> Array:
        """Ten to a power: a centre per instance, and devices apart by up to ``decades`` around it."""
        width = decades * rng.choice([0.0, 0.2, 1.0], each)
        return 10 ** (rng.uniform(low, high, each) + width * rng.uniform(-0.5, 0.5, every))

    def room() -> Array:
        """Ratio of a limit to the need: hardly more than 1, or up to 100, as the instance has it."""
        return 1 + 10 ** (rng.uniform(-4, 2, each) + rng.uniform(-1, 1, every) * rng.choice([0, 1], each))

    latency, band = 10 ** rng.uniform(0, 3, each), 10 ** rng.uniform(5, 8, each)
    noise = 10 ** rng.uniform(-21, -19, each)
    share = rng.dirichlet(np.full(devices, 20.0), count)
    split = rng.uniform(0.1, 0.9, each) + rng.uniform(-0.08, 0.08, every)
    gain = spread(-13, -7, 4.0)
    payload = (
        10 ** rng.uniform(-1.5, 0.8, each) * band / devices * latency * (1 - split.mean(-1, keepdims=True))
    )
    u = payload * np.log(2) / (share * band * latency * (1 - split))
    power = noise / gain * share * band * np.expm1(u)

    held = spread(1, 5, 2.0)
    extra = held * 10 ** rng.uniform(-3, 0.5, every) * (rng.random(every) < rng.choice([0.3, 1.0], each))
    most = np.where(rng.random(every) < 0.3, np.inf, extra * room())
    cycles, epochs = spread(4, 8, 1.0), rng.integers(1, 4, each)
    frequency = epochs * cycles * (held + extra) / (split * latency)
    upload_energy = power * (1 - split) * latency
    ratio = 10 ** (rng.uniform(-2, 2, each) + rng.uniform(-0.5, 0.5, every))
    energy_coefficient = (
        ratio * upload_energy.mean(-1, keepdims=True) / (epochs * cycles * (held + extra) * frequency**2)
    )

    beta = rng.choice([0.1, 0.3, 0.5, 1.0, 2.0], each) * rng.uniform(0.7, 1.3, each)
    reached, unaided = (((held + x) ** -beta).sum(-1) for x in (extra, 0.0))
    loose = rng.random(count) < 0.1
    budget = np.where(loose, unaided * rng.uniform(1.0, 1.2, count), reached) * (1 - excess)
    gamma, ratio_n = rng.uniform(0.0, 0.2, count), rng.uniform(0.1, 0.5, count)
    error = rng.uniform(0.15, 0.9, count)
    left = 1 + gamma + ratio_n * np.log(error)
    return SynthesisProblem(
        local_samples=held,
        max_synthetic_samples=most,
        cycles_per_sample=cycles,
        local_epochs=epochs[:, 0],
        energy_coefficient=energy_coefficient,
        max_cpu_frequency_hz=frequency * room(),
        max_transmit_power_w=power * room(),
        channel_gain=gain,
        noise_psd_w_per_hz=noise[:, 0],
        bandwidth_hz=band[:, 0] * rng.choice([1.0, 1.0 + 1e-6, 2.0], count),
        payload_bits=payload[:, 0],
        max_round_latency_s=latency[:, 0],
        num_rounds=200.0,
        convergence_constant=200.0 * ratio_n,
        max_global_error=error,
        learning_curve=LearningCurve(alpha=devices * left / budget, beta=beta[:, 0], gamma=gamma),
        strict=None,
    )
