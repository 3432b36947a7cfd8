r"""Derivatives of DT-KD's optimum, models and places unchanged: the optimality equations of Problem 3, linearised.

With c the cycles and :math:`\theta` the bits of a user, e its spectral efficiency, w the weight of its delay
(:math:`\alpha`, and the deadline's price on top), and the prices :math:`\lambda` of CPU and
:math:`\kappa = \delta + \nu` of bandwidth, each user satisfies

    CPU         :math:`w c/f^2 = \lambda`, or f is at a bound
    bandwidth   :math:`w \theta/(b^2 e) = \kappa`, for a noise density
                :math:`G(s/b) = \kappa s^2/(w \theta \ln 2)`, or b is at a bound
    delay       :math:`w = \alpha`, or the delay is :math:`D_k`

and all together :math:`\sum f = F` (or :math:`\lambda = 0`) and :math:`\sum b = B` (or :math:`\nu = 0`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.adjoint import Linearised, each, near, read_named, refuse_unproven, slight
from radioopt.base.layout import columns
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array
from radioopt.base.status import Status
from radioopt.dtkd import kernel_adjoint
from radioopt.dtkd.pricing import late, spectral_efficiency

if TYPE_CHECKING:
    from radioopt.dtkd.solution import DistillationSolution

#: users in a batch from which threads pay for their start
PARALLEL_FROM = 40_000
#: fields without a derivative: choices
CHOICES = ("fixed_model", "fixed_place")


@np.errstate(all="ignore")
def linearise(solution: DistillationSolution) -> Linearised:
    """Linearise the optimality equations of the shares, for the models and places chosen.

    Parameters
    ----------
    solution : DistillationSolution
        What an exact method answered, one instance or a batch.

    Returns
    -------
    Linearised
        In every field but the fixed choices; results are the shares, the delays, all prices and the objective.

    Raises
    ------
    ProblemError
        If the method proves no optimum.
    """
    refuse_unproven(solution)
    problem, local = solution.problem, np.asarray(solution.trains_locally)
    answered = np.asarray(solution.status_code == Status.OPTIMAL)
    f, b = solution.server_cpu_frequency_hz, solution.bandwidth_hz
    alpha, delta = each(problem.delay_weight_per_s), each(problem.bandwidth_price_per_hz)
    lam, nu = each(solution.price_server_cpu_per_hz), each(solution.price_bandwidth_per_hz)
    kappa = delta + nu
    weight = alpha + solution.price_delay_per_s
    cycles = solution.server_cycles
    bits = solution._of_model("parameter_bits") + local * each(problem.label_bits)
    at_home = local * solution._of_model("cycles") / problem.local_cpu_frequency_hz

    density = each(problem.noise_psd_w_per_hz) > 0
    power, psd = each(problem.noise_power_w), each(problem.noise_psd_w_per_hz)
    received = problem.transmit_power_w * problem.channel_gain
    snr = received / np.where(density, psd * b, power)
    eta = snr / ((1 + snr) * np.log1p(snr))  # d ln e/d ln SNR
    rising = 2 + (snr / (1 + snr)) ** 2 / late(snr) - 2 * eta  # d ln G/d ln t
    cpu = np.where(cycles > 0, cycles / f, 0.0)
    air = np.where(bits > 0, bits / (b * spectral_efficiency(problem, b)), 0.0)
    falls = np.where(density, 1 - eta, 1.0)  # -d ln (time on the air)/d ln b

    # what holds: a bound, or the price
    faster, wider = weight * cpu / f, np.where(air > 0, weight * air / b * falls, 0.0)
    f_low, f_high = problem.min_server_cpu_frequency_hz, problem.max_server_cpu_frequency_hz
    b_low, b_high = problem.min_bandwidth_hz, problem.max_bandwidth_hz
    held_f, up_f = _held(f, f_low, f_high, faster, lam)
    held_b, up_b = _held(b, b_low, b_high, wider, kappa)
    due = (solution.price_delay_per_s > 0) & ~(held_f & held_b)
    sold, rented = (lam > 0) & (~held_f).any(-1, keepdims=True), (nu > 0) & (~held_b).any(-1, keepdims=True)

    free_f, free_b = 1.0 * ~held_f, 1.0 * ~held_b
    of_weight = np.where(due, 0.0, 1.0)
    respond = np.where(density, rising, 2.0)
    ln_c = np.where(cycles > 0, 1 / cycles, 0.0)
    ln_bits = np.where(bits > 0, local / bits, 0.0)
    equations: list[dict[str, Any]] = [
        {
            "f": np.where(held_f, 1.0, 2 / f),
            "ln_w": -free_f,
            "teacher_cycles": -free_f * ln_c,
            "ln_lambda": free_f,
            "min_server_cpu_frequency_hz": -1.0 * (held_f & ~up_f),
            "max_server_cpu_frequency_hz": -1.0 * up_f,
        },
        {
            "b": np.where(held_b, 1.0, respond / b),
            "ln_w": -free_b,
            "label_bits": -free_b * ln_bits,
            "ln_kappa": free_b,
            "ln_s": free_b * np.where(density, 2 - rising, eta),
            "min_bandwidth_hz": -1.0 * (held_b & ~up_b),
            "max_bandwidth_hz": -1.0 * up_b,
        },
        {
            "ln_w": of_weight,
            "delay_weight_per_s": -of_weight / alpha,
            "f": np.where(due & (cpu > 0), -cpu / f, 0.0),
            "b": np.where(due & (air > 0), -air * falls / b, 0.0),
            "teacher_cycles": np.where(due, cpu * ln_c, 0.0),
            "label_bits": np.where(due, air * ln_bits, 0.0),
            "ln_s": np.where(due, -air * eta, 0.0),
            "local_cpu_frequency_hz": np.where(due, -at_home / problem.local_cpu_frequency_hz, 0.0),
            "max_delay_s": np.where(due, -1.0, 0.0),
        },
    ]
    joint: list[dict[str, Any]] = [
        {"f": 1.0 * sold, "server_cpu_frequency_hz": -1.0 * sold, "ln_lambda": 1.0 * ~sold},
        {
            "b": 1.0 * rented,
            "bandwidth_hz": -1.0 * rented,
            "ln_kappa": 1.0 * ~rented,
            "bandwidth_price_per_hz": np.where(~rented & (delta > 0), -1 / delta, 0.0),
        },
    ]
    parameters = {
        "ln_s": (
            DEVICE,
            {
                "channel_gain": 1 / problem.channel_gain,
                "transmit_power_w": 1 / problem.transmit_power_w,
                "noise_power_w": np.where(density, 0.0, -1 / power),
                "noise_psd_w_per_hz": np.where(density, -1 / psd, 0.0),
            },
        )
    }
    delay = {
        "f": np.where(cpu > 0, -cpu / f, 0.0),
        "b": np.where(air > 0, -air * falls / b, 0.0),
        "teacher_cycles": cpu * ln_c,
        "label_bits": air * ln_bits,
        "ln_s": -air * eta,
        "local_cpu_frequency_hz": -at_home / problem.local_cpu_frequency_hz,
    }
    cost = {name: alpha * slope for name, slope in delay.items()}
    cost["b"] = cost["b"] + delta
    cost["teacher_cycles"] = cost["teacher_cycles"] + each(problem.cpu_price_per_cycle)
    cost |= {
        "delay_weight_per_s": solution.delay_s,
        "cpu_price_per_cycle": cycles,
        "bandwidth_price_per_hz": b,
        "own_accuracy_weight": -solution._of_model("own_accuracy"),
        "average_accuracy_weight": -solution._of_model("average_accuracy"),
    }
    results: dict[str, Any] = {
        "server_cpu_frequency_hz": (DEVICE, {"f": 1.0}),
        "bandwidth_hz": (DEVICE, {"b": 1.0}),
        "delay_s": (DEVICE, delay),
        "objective": (PER_INSTANCE, cost),
        "price_delay_per_s": (DEVICE, {"ln_w": weight * due, "delay_weight_per_s": -1.0 * due}),
        "price_server_cpu_per_hz": (PER_INSTANCE, {"ln_lambda": lam}),
        "price_bandwidth_per_hz": (
            PER_INSTANCE,
            {"ln_kappa": kappa * rented, "bandwidth_price_per_hz": -1.0 * rented},
        ),
    }

    def kinks() -> Array:
        close = _close(f, f_low, f_high, held_f, faster, lam) | _close(b, b_low, b_high, held_b, wider, kappa)
        close |= near(solution.delay_s, problem.max_delay_s) & (
            ~(solution.price_delay_per_s > 0) | slight(solution.price_delay_per_s, alpha)
        )
        close |= (cycles <= 0) & (
            problem.min_server_cpu_frequency_hz <= 0
        )  # the first cycle changes everything
        overall = slight(nu, kappa) & near(b.sum(-1, keepdims=True), each(problem.bandwidth_hz))
        overall |= slight(lam, faster.max(-1, keepdims=True)) & near(
            f.sum(-1, keepdims=True), each(problem.server_cpu_frequency_hz)
        )
        return np.asarray(close.any(-1) | overall[..., 0])

    return Linearised(
        "DistillationSolution",
        problem.batch_shape,
        problem.sizes["device"],
        {name: declared.axes for name, declared in problem.quantities.items() if name not in CHOICES},
        parameters,
        ("f", "b", "ln_w"),
        equations,
        ("ln_lambda", "ln_kappa"),
        joint,
        results,
        answered,
        kinks,
    )


#: results, with their axes, in the order of the kernel's rows
RESULTS = dict.fromkeys(
    ("server_cpu_frequency_hz", "bandwidth_hz", "delay_s", "price_delay_per_s"), DEVICE
) | dict.fromkeys(("objective", "price_server_cpu_per_hz", "price_bandwidth_per_hz"), PER_INSTANCE)


def pull(solution: DistillationSolution, cotangents: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Pull cotangents back by the kernel, or many at once by the equations above.

    Parameters
    ----------
    solution : DistillationSolution
        What an exact method answered.
    cotangents : mapping of str to array_like
        By result.

    Returns
    -------
    dict of str to ndarray
        A gradient by field.
    """
    problem, shape, users = solution.problem, solution.batch_shape, solution.sizes["device"]
    given, extra = read_named("DistillationSolution.vjp", cotangents, RESULTS, shape, users)
    if extra:
        return linearise(solution).vjp(cotangents)
    refuse_unproven(solution)
    count = math.prod(shape)
    bars, bar = np.zeros((4, count, users)), np.zeros((3, count))
    for block, axes in ((bars, DEVICE), (bar, PER_INSTANCE)):
        for row, name in enumerate(name for name, of in RESULTS.items() if of == axes):
            if name in given:
                block[row] = given[name].reshape(block.shape[1:])
    limits, instance = problem.block(DEVICE, common=True), problem.block(PER_INSTANCE, common=True)
    user = problem.block(DEVICE).reshape(-1, count, users)
    held = (
        limits.reshape(len(limits), count, users) if any(limits.strides[1:]) else columns(limits)[..., None]
    )
    of_user, of_limit, out = np.empty((3, count, users)), np.empty((5, count, users)), np.empty((11, count))
    run = (
        kernel_adjoint.pull_parallel
        if count > 1 and count * users >= PARALLEL_FROM
        else kernel_adjoint.pull_serial
    )
    run(
        user,
        np.ascontiguousarray(held),
        columns(instance),
        problem.catalogue.block(),
        solution.block(DEVICE).reshape(4, count, users),
        solution.block(PER_INSTANCE).reshape(-1, count),
        np.reshape(solution.model, (count, users)),
        np.reshape(solution.trains_locally, (count, users)),
        np.ravel(solution.status_code == Status.OPTIMAL),
        bars,
        bar,
        of_user,
        of_limit,
        out,
    )
    found = {}
    for name, (key, row) in problem._layout.rows.items():
        if name not in CHOICES:
            block = out if not key.axes else of_limit if key.common else of_user
            found[name] = block[row].reshape((*shape, users) if key.axes else shape)
    return found


def _held(share: Array, low: Array, high: Array, pressure: Array, price: Array) -> tuple[Array, Array]:
    """Which shares are at a bound, and which of them at the upper one."""
    at_low, at_high = share <= low * (1 + 1e-12), share >= high * (1 - 1e-12)
    held = at_low | at_high
    return held, held & at_high & (~at_low | (pressure > price))


def _close(share: Array, low: Array, high: Array, held: Array, pressure: Array, price: Array) -> Array:
    """Which shares are about to reach a bound or to leave it."""
    leaving = held & (low < high) & slight(pressure - price, np.maximum(pressure, price))
    return np.asarray(leaving | (~held & (near(share, low) | near(share, high))))
