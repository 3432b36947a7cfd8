"""Problems drawn from all that a constructor may be given: any family, size and scale, up to the ends of float64.

A number is what its field ordinarily holds, times a power of ten that is drawn as well: of nothing for some problems,
of 300 decades either way for others. A few are the ends themselves: the least and the largest float, zero, infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from radioopt import problem_class
from radioopt.base.problem import Problem
from radioopt.base.quantity import DEVICE, Array, Quantity
from radioopt.dtkd import ModelCatalogue

Draw = Callable[[np.random.Generator], dict[str, Any]]

#: decades by which a number may be off, drawn once a problem
DECADES = (0.0, 0.0, 1.0, 3.0, 10.0, 30.0, 60.0, 100.0, 200.0, 300.0)
LEAST, LARGEST = math.ulp(0.0), float(np.finfo(np.float64).max)
#: numbers that have gone wrong somewhere
ENDS = (0.0, LEAST, 2.3e-308, 1e-300, 1e-160, 1.0, 2.0**53, 1e154, 1e300, LARGEST, math.inf, math.nan, -1.0)

#: what a field ordinarily holds
ORDINARY = {
    "feel": {
        "payload_bits": 1e6, "uplink_rate_bps": 3e7, "downlink_rate_bps": 4e7, "seconds_per_sample": 0.05,
        "update_time_s": 0.1, "max_batchsize": 128.0, "min_batchsize": 2.0, "base_time_s": 0.1, "uplink_frame_s": 0.01,
        "downlink_frame_s": 0.01, "loss_decay": 0.05, "total_batchsize": 200.0, "max_round_latency_s": 10.0,
    },
    "fimi": {
        "local_samples": 1250.0, "cycles_per_sample": 5e6, "energy_coefficient": 5e-27, "max_cpu_frequency_hz": 2e9,
        "max_transmit_power_w": 0.15, "channel_gain": 3e-11, "max_synthetic_samples": 2500.0,
        "noise_psd_w_per_hz": 4e-21, "bandwidth_hz": 4e6, "payload_bits": 1.117e8, "max_round_latency_s": 60.0,
        "num_rounds": 200.0, "convergence_constant": 66.78, "max_global_error": 0.2, "curve_alpha": 4.671,
        "curve_beta": 0.3, "curve_gamma": 0.05, "local_epochs": 1.0,
    },
    "dtkd": {
        "channel_gain": 4e-9, "local_cpu_frequency_hz": 1e9, "transmit_power_w": 0.1, "bandwidth_hz": 1e7,
        "server_cpu_frequency_hz": 1e10, "teacher_cycles": 9.5e9, "label_bits": 5e7, "delay_weight_per_s": 0.0075,
        "cpu_price_per_cycle": 3e-12, "bandwidth_price_per_hz": 1e-10, "own_accuracy_weight": 1.0,
        "average_accuracy_weight": 1.0, "noise_power_w": 1e-12, "noise_psd_w_per_hz": 1e-19,
        "min_server_cpu_frequency_hz": 1e8, "max_server_cpu_frequency_hz": 8e9, "min_bandwidth_hz": 1e5,
        "max_bandwidth_hz": 8e6, "max_delay_s": 40.0,
    },
    "d2d": {
        "class_counts": 60.0, "thresholds": 40.0, "outage_probability": 0.2, "budgets": 100.0,
        "ideal_distribution": 1.0, "min_classes": 1.0, "gate": 0.5, "diversity_weight": 1.0, "outage_weight": 0.3,
        "cluster_weight": 0.5, "budget_penalty": 1.0, "position_m": 50.0,
    },
    "mix2fld": {
        "transmit_power_w": 0.2, "channel_gain": 1e-12, "downlink_power_w": 10.0, "bandwidth_hz": 1e7,
        "noise_psd_w_per_hz": 4e-21, "slot_s": 1e-3, "output_bits": 3200.0, "model_bits": 4e5, "sample_bits": 6272.0,
        "compute_time_s": 0.1, "uplink_snr_threshold": 3.0, "downlink_snr_threshold": 3.0, "min_participation": 0.5,
        "rounds": 30.0,
    },
}  # fmt: skip
#: how often a field that has a default is given
GIVEN = 0.3


def problem(
    family: str,
    rng: np.random.Generator,
    *,
    most: int = 6,
    batch: bool | None = None,
    decades: float | None = None,
) -> Problem[Any]:
    """Draw a problem; what is drawn may be refused.

    Parameters
    ----------
    family : str
        Its family.
    rng : numpy.random.Generator
        Source of randomness.
    most : int, default 6
        Devices at most.
    batch : bool, optional
        Whether it is a batch; by default one in three is.
    decades : float, optional
        By how many numbers may be off, none of them at an end of float64; by default that is drawn.

    Returns
    -------
    Problem
        What the constructor made of it.

    Raises
    ------
    ProblemError
        If it refuses.
    """
    return problem_class(family)(**fields(family, rng, most=most, batch=batch, decades=decades))


def fields(
    family: str,
    rng: np.random.Generator,
    *,
    most: int = 6,
    batch: bool | None = None,
    decades: float | None = None,
) -> dict[str, Any]:
    """Draw what :func:`problem` gives the constructor."""
    cls = problem_class(family)
    drawn, ends = rng.choice(DECADES), decades is None and rng.random() < 0.2
    decades = float(drawn if decades is None else decades)
    devices = int(rng.integers(1, most + 1))
    several = rng.random() < 0.35 if batch is None else batch
    shape = (int(rng.integers(1, 5)),) if several else ()
    sizes = {"device": devices, "class": int(rng.integers(1, 5)), "coordinate": 2}
    sizes |= {axis: int(rng.integers(1, 4)) for axis in ("band", "limit", "seed")}
    given: dict[str, Any] = {}
    for name, declared in cls.quantities.items():
        if declared.default is not None and not name.startswith("curve") and rng.random() > GIVEN:
            continue
        core = tuple(sizes[axis] for axis in declared.axes)
        whole = (*shape, *core) if several and rng.random() < 0.7 else core
        if rng.random() < 0.25 and declared.axes == DEVICE:
            whole = ()
        scale = ORDINARY[family].get(name)
        if scale is not None:
            given[name] = _numbers(rng, declared, scale, whole, decades, ends)
    return given | _particular(family, rng, shape, sizes, decades) | {"strict": None}


def _numbers(
    rng: np.random.Generator,
    declared: Quantity,
    scale: float,
    shape: tuple[int, ...],
    decades: float,
    ends: bool,
) -> Array:
    """Draw numbers about a scale; all of them so many decades off, or each."""
    spread = decades if rng.random() < 0.5 else min(decades, 1.0)
    with np.errstate(over="ignore", under="ignore"):
        common = rng.uniform(-decades, decades) if rng.random() < 0.5 else 0.0
        exponent = np.clip(math.log10(scale) + common + rng.uniform(-spread, spread, shape), -320.0, 308.2)
        values = scale * np.ones(shape) if decades == 0.0 and rng.random() < 0.2 else 10.0**exponent
    values = np.asarray(values)
    if ends and rng.random() < 0.15:
        values = np.where(rng.random(shape) < 0.5, rng.choice(ENDS), values)
    if rng.random() < 0.97:  # mostly what will be taken
        low, high = max(declared.domain.low, -LARGEST), declared.domain.high
        values = np.clip(values, low, high if high < math.inf else math.inf)
    return values


def _particular(
    family: str, rng: np.random.Generator, shape: tuple[int, ...], sizes: dict[str, int], decades: float
) -> dict[str, Any]:
    """Draw what only this family has: choices, and numbers that belong together."""
    devices = sizes["device"]
    if family == "feel":
        return {"downlink": str(rng.choice(["tdma", "tdma", "broadcast"]))}
    if family == "dtkd":
        return _catalogue(rng, decades) | _noise(rng, decades, shape) | _fixed(rng, devices, shape)
    if family == "d2d":
        given: dict[str, Any] = {
            "metric": str(rng.choice(["wasserstein", "total-variation", "jensen-shannon"])),
            "score": str(rng.choice(["improvement", "change"])),
            "request": str(rng.choice(["deficit", "compensated"])),
            "budgeted": str(rng.choice(["requested", "received"])),
        }
        if rng.random() < 0.5:
            given["clusters"] = rng.integers(0, devices, (*shape, devices))
            given["budgets"] = float(rng.choice([0.0, 10.0, 1e3, 1e-300, 1e300, math.inf]))
        if rng.random() < 0.5:
            given["trust"] = rng.random((*shape, devices, devices, sizes["class"])) < 0.7
        if rng.random() < 0.3:
            given["allowed"] = rng.random((*shape, devices, devices)) < 0.7
        return given
    if family == "mix2fld":
        slots = 10.0 ** rng.uniform(0.0, 3.5 if rng.random() < 0.97 else 18.5)
        return {
            "num_channels": _rising(rng, sizes["band"], 1, 10.0 if rng.random() < 0.9 else 9e18),
            "max_slots": _rising(rng, sizes["limit"], 1, slots),
            "seed_samples": _rising(rng, sizes["seed"], 0, 100.0 if rng.random() < 0.9 else 9e18),
        }
    return {}


def _rising(rng: np.random.Generator, count: int, least: int, most: float) -> Array:
    """Draw candidates that increase."""
    steps = rng.uniform(0.0, 1.0, count) * most / count
    return np.minimum(np.cumsum(1 + steps.astype(np.int64)) + (least - 1), 2**62)


def _catalogue(rng: np.random.Generator, decades: float) -> dict[str, Any]:
    count = int(rng.integers(1, 5))
    cycles, bits = (
        np.asarray(
            scale * 10.0 ** np.clip(rng.uniform(-decades, decades, count) * (rng.random() < 0.5), -310, 290)
        )
        for scale in (1e10, 1e8)
    )
    cycles = np.where(rng.random(count) < 0.05, 0.0, cycles)
    bits = np.where(rng.random(count) < 0.05, 0.0, bits)
    accuracies = rng.random((2, count))
    return {"catalogue": ModelCatalogue(tuple(f"m{i}" for i in range(count)), cycles, bits, *accuracies)}


def _noise(rng: np.random.Generator, decades: float, shape: tuple[int, ...]) -> dict[str, Any]:
    size = shape if rng.random() < 0.3 else ()
    off = 10.0 ** np.clip(rng.uniform(-decades, decades, size), -290, 300)
    density = rng.random() < 0.35
    return {
        "noise_power_w": 0.0 if density else 1e-12 * off,
        "noise_psd_w_per_hz": 1e-19 * off if density else 0.0,
    }


def _fixed(rng: np.random.Generator, devices: int, shape: tuple[int, ...]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if rng.random() < 0.3:
        given["fixed_place"] = rng.integers(-1, 2, (*shape, devices)).astype(np.float64)
    if rng.random() < 0.2:
        given["fixed_model"] = rng.integers(-1, 1, (*shape, devices)).astype(np.float64)
    if rng.random() < 0.1:
        given |= {"fixed_place": float(rng.integers(0, 2)), "fixed_model": 0.0}
    return given
