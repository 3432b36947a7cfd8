"""FEEL instances to be right on: named ones, each with a reason, and random ones that can be drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.base.quantity import Array
from radioopt.channel import channel_gain, ergodic_rate_bps, snr
from radioopt.feel.problem import BatchsizeProblem
from radioopt.units import dbm_per_hz_to_w_per_hz, dbm_to_w


def _cell_rates(devices: int) -> Array:
    """Ergodic rates in the paper's cell [bit/s], devices evenly over its area (Section VI)."""
    distance_m = 200.0 * np.sqrt((np.arange(devices) + 0.5) / devices)
    mean = snr(
        transmit_power_w=dbm_to_w(28.0),
        channel_gain=channel_gain(distance_m),
        noise_psd_w_per_hz=dbm_per_hz_to_w_per_hz(-174.0),
        bandwidth_hz=10e6,
    )
    return np.asarray(ergodic_rate_bps(mean, 10e6))


def named() -> dict[str, BatchsizeProblem]:
    """Instances that have gone wrong somewhere, or well may.

    Returns
    -------
    dict of str to BatchsizeProblem
        Single instances by name. The paper gives no cycles per sample, update cycles or GPU coefficients:
        those used here are plausible for its three networks, no more.

    Examples
    --------
    >>> named()["paper_cpu"].solve().status.name
    'OPTIMAL'
    """
    rates = _cell_rates(12)
    cpu = BatchsizeProblem.cpu(
        cpu_frequency_hz=np.tile([0.7e9, 1.4e9, 2.1e9], 4),
        cycles_per_sample=7e7,
        update_cycles=1e8,
        payload_bits=32 * 8_062_504.0,  # DenseNet121, 32 bits a parameter
        uplink_rate_bps=rates,
        downlink_rate_bps=rates[::-1],
        max_batchsize=128,
        loss_decay=0.05,
        strict=None,  # here and below: what is far outside is meant so
    )
    gpu_rates = _cell_rates(6)

    def gpu(threshold: Array | float) -> BatchsizeProblem:
        return BatchsizeProblem.gpu(
            seconds_per_sample=[0.002, 0.002, 0.004, 0.004, 0.008, 0.008],
            base_time_s=[0.05, 0.06, 0.08, 0.1, 0.15, 0.2],
            threshold_batchsize=threshold,
            update_time_s=0.01,
            payload_bits=32 * 33_161_024.0,  # ResNet18 as the paper counts it
            uplink_rate_bps=gpu_rates,
            downlink_rate_bps=gpu_rates,
            max_batchsize=128,
            loss_decay=0.05,
            strict=None,
        )

    six = np.array([1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6])
    return {
        "paper_cpu": cpu,
        "paper_gpu": gpu(16.0),
        "one_device": BatchsizeProblem.cpu(
            cpu_frequency_hz=1e9,
            cycles_per_sample=7e7,
            update_cycles=1e8,
            payload_bits=1e6,
            uplink_rate_bps=1e7,
            downlink_rate_bps=2e7,
            max_batchsize=128,
            strict=None,
        ),
        # nothing but computing takes time, as long everywhere: one sample each, B = K
        "all_at_min": cpu.replace(payload_bits=1.0, update_time_s=0.0, seconds_per_sample=0.1),
        # the same with processors that differ: the fast ones fill the time of the slowest
        "uploads_take_no_time": cpu.replace(payload_bits=1.0, update_time_s=0.0),
        # uploads dwarf all computing: B = K Bmax
        "all_at_max": cpu.replace(payload_bits=1e14),
        "fractional_thresholds": gpu(np.array([3.7, 16.01, 0.4, 90.5, 127.999, 64.0])),
        "threshold_above_max": gpu(np.array([200.0, 16.0, 128.0, 500.0, 16.0, 16.0])),
        "all_thresholds_above_max": gpu(300.0),
        "identical_devices": cpu.replace(
            uplink_rate_bps=5e7, downlink_rate_bps=5e7, seconds_per_sample=0.05, update_time_s=0.1
        ),
        "max_batch_of_one": cpu.replace(max_batchsize=1.0),
        "one_slow_link": cpu.replace(uplink_rate_bps=np.where(np.arange(12) == 5, 1e2, rates)),
        "one_slow_processor": cpu.replace(seconds_per_sample=np.where(np.arange(12) == 5, 1e4, 0.05)),
        "six_decades_of_rates": BatchsizeProblem.cpu(
            cpu_frequency_hz=1e9,
            cycles_per_sample=7e7,
            update_cycles=1e8,
            payload_bits=1e6,
            uplink_rate_bps=1e3 * six,
            downlink_rate_bps=1e3 * six[::-1],
            max_batchsize=128,
        ),
        "six_decades_of_processors": cpu.replace(seconds_per_sample=1e-4 * np.resize(six, 12)),
        "zero_update_time": cpu.replace(update_time_s=0.0),
        "one_long_update": cpu.replace(update_time_s=np.where(np.arange(12) == 3, 1e4, 0.1)),
        "tiny_payload": cpu.replace(payload_bits=1e-3),
        "huge_payload": cpu.replace(payload_bits=1e18),
        "wide_limits": cpu.replace(max_batchsize=1e12),
        "limits_differ": cpu.replace(max_batchsize=np.resize([1.0, 2.0, 500.0], 12)),
        "compute_time_from_zero": cpu.replace(base_time_s=-cpu.seconds_per_sample),
        "frames_differ": cpu.replace(uplink_frame_s=1.0, downlink_frame_s=1e-4),
    }


def random(seed: int, *, max_devices: int = 40) -> BatchsizeProblem:
    """Draw one instance: CPU or GPU, 1 to ``max_devices`` devices, rates over up to six decades.

    Parameters
    ----------
    seed : int
        Non-negative; the same seed gives the same instance.
    max_devices : int, default 40
        Largest number of devices; the number is drawn log-uniformly.

    Returns
    -------
    BatchsizeProblem
        A single instance.

    Examples
    --------
    >>> random(7) == random(7)
    True
    """
    rng = np.random.default_rng([seed, max_devices])
    devices = int(np.exp(rng.uniform(0, np.log(max_devices + 1))))
    return random_batch(rng, 1, devices)[0]


def random_whole(seed: int, devices: int, *, most: float) -> BatchsizeProblem:
    """Draw one instance for integer batch sizes: few samples a device, limits and thresholds with fractions.

    Parameters
    ----------
    seed : int
        Non-negative; the same seed gives the same instance.
    devices : int
        Number of devices.
    most : float
        No batch is larger [samples]; with ``devices`` it says how many combinations there are to enumerate.

    Returns
    -------
    BatchsizeProblem
        A single instance of :func:`random_batch` with limits drawn anew, CPU or GPU.

    Examples
    --------
    >>> problem = random_whole(1, 3, most=15)
    >>> float(problem.max_batchsize.max()) <= 15
    True
    """
    rng = np.random.default_rng([seed, devices])
    problem = random_batch(rng, 1, devices)[0]
    high = np.minimum(problem.max_batchsize, rng.uniform(1, most, devices))
    low = np.minimum(problem.min_batchsize, 1 + (high - 1) * np.minimum(rng.uniform(0, 1.1, devices), 1.0))
    flat = (
        problem.base_time_s + problem.seconds_per_sample * problem.min_batchsize
    )  # the time at the threshold
    return problem.replace(
        payload_bits=problem.payload_bits * 10 ** rng.uniform(-2, 0),
        max_batchsize=high,
        min_batchsize=low,
        base_time_s=np.where(
            problem.min_batchsize > 1, flat - problem.seconds_per_sample * low, problem.base_time_s
        ),
    )


def random_batch(rng: np.random.Generator, count: int, devices: int) -> BatchsizeProblem:
    """Draw a batch of instances of the same number of devices, all CPU or all GPU.

    Every scale is drawn per instance and log-uniformly, and how far the devices of an instance are apart as
    well, so that devices end at their lower limits, at their upper limits and between. In some instances the
    limits are close together.

    Parameters
    ----------
    rng : numpy.random.Generator
        The source of randomness.
    count, devices : int
        Numbers of instances and of devices.

    Returns
    -------
    BatchsizeProblem
        Of batch shape (count,).
    """

    def spread(low: float, high: float, decades: float) -> Array:
        """Ten to a power: a centre per instance, and devices apart by up to ``decades`` around it."""
        width = decades * rng.choice([0.0, 0.2, 1.0], (count, 1))
        return 10 ** (rng.uniform(low, high, (count, 1)) + width * rng.uniform(-0.5, 0.5, (count, devices)))

    tight = rng.random((count, 1)) < 0.2
    limits = np.floor(10 ** rng.uniform(0, np.where(tight, 1.0, 3.5), (count, devices)))
    max_batchsize = np.where(rng.random((count, 1)) < 0.5, 128.0, limits)
    links: dict[str, Any] = {
        "payload_bits": 10 ** rng.uniform(3, 7, count),
        "uplink_rate_bps": spread(5, 8, 6.0),
        "downlink_rate_bps": spread(5, 8, 6.0),
        "max_batchsize": max_batchsize,
        "loss_decay": 10 ** rng.uniform(-3, 1, count),
        "strict": None,
    }
    seconds_per_sample = spread(-2, 0, 2.0)
    update_time_s = spread(-3, 1, 1.0) * (rng.random((count, 1)) < 0.8)
    if rng.random() < 0.5:
        return BatchsizeProblem(seconds_per_sample=seconds_per_sample, update_time_s=update_time_s, **links)
    threshold = rng.uniform(0, 1.2, (count, devices)) * max_batchsize * rng.choice([0.1, 1.0], (count, 1))
    return BatchsizeProblem.gpu(
        seconds_per_sample=seconds_per_sample,
        base_time_s=spread(-2, 1, 1.0),
        threshold_batchsize=threshold,
        update_time_s=update_time_s,
        **links,
    )


#: options whose derivatives differ
OPTIONS = ("cpu", "gpu", "broadcast", "deadline", "total")


def with_option(option: str, seed: int, *, count: int | None = None, devices: int = 4) -> BatchsizeProblem:
    """Draw instances of moderate scale, every field a number of its own, with limits that bind on some devices.

    Parameters
    ----------
    option : {"cpu", "gpu", "broadcast", "deadline", "total"}
        Compute times from zero or flat up to a threshold, a broadcast, a deadline that binds, or a total that is fixed.
    seed : int
        Non-negative; the same seed gives the same instances.
    count : int, optional
        Number of instances; a single one by default.
    devices : int, default 4
        K.

    Returns
    -------
    BatchsizeProblem
        A single instance, or of batch shape (count,).

    Examples
    --------
    >>> with_option("deadline", 1, count=3).batch_shape
    (3,)
    """
    rng = np.random.default_rng([seed, devices])
    many = 1 if count is None else count
    shape = (many, devices)
    low = rng.uniform(1.5, 8, shape)
    slope = 5e7 / rng.uniform(0.7e9, 2.1e9, shape)
    problem = BatchsizeProblem(
        payload_bits=rng.uniform(5e5, 2e6, many),
        uplink_rate_bps=rng.uniform(5e6, 5e7, shape),
        downlink_rate_bps=rng.uniform(5e6, 5e7, shape),
        seconds_per_sample=slope,
        base_time_s=rng.uniform(0.05, 0.5, shape) - slope * low
        if option == "gpu"
        else rng.uniform(0.01, 0.05, shape),
        update_time_s=rng.uniform(0.01, 0.1, shape),
        min_batchsize=low,
        max_batchsize=rng.uniform(8.5, 25, shape),
        uplink_frame_s=rng.uniform(0.005, 0.02, many),
        downlink_frame_s=rng.uniform(0.005, 0.02, many),
        loss_decay=rng.uniform(0.5, 2, many),
        downlink="broadcast" if option == "broadcast" else "tdma",
    )
    if option == "deadline":
        shortest = problem.replace(max_batchsize=problem.min_batchsize).solve().round_latency_s
        longest = problem.solve().round_latency_s
        problem = problem.replace(
            max_round_latency_s=shortest + rng.uniform(0.3, 0.9, many) * (longest - shortest)
        )
    if option == "total":
        least, most = problem.min_batchsize.sum(-1), problem.max_batchsize.sum(-1)
        problem = problem.replace(total_batchsize=least + rng.uniform(0.1, 0.9, many) * (most - least))
    return problem if count is not None else problem[0]
