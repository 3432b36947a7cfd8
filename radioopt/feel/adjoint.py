r"""Derivatives of FEEL's optimum: its optimality equations, linearised.

With :math:`a = s/R^U, b = s/R^D`, upload time y, :math:`\phi = a/y`, weight :math:`w = \phi^2/a`,
:math:`x = T + T_D`, :math:`S = \sum B`, and m the common factor of upload times, a device satisfies

.. math::
    o + p B + y = T, \qquad y = m \sqrt{a p} \;\text{(free)} \quad\text{or}\quad B = l,\; B = u,

and all together :math:`\sum \phi = 1` and one of

    total free         :math:`x m^2 \sum w = 2 S`
    total fixed        :math:`S = N`
    deadline priced    :math:`x = D`
    no device free     m means nothing: dm = 0

:math:`T_D` follows from the downlink alone: :math:`\sum b/(T_D - c) = 1`, or for a broadcast from the least rate and
the longest update.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.adjoint import Linearised, each, near, read_named, refuse_unproven, slight
from radioopt.base.errors import ProblemError
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array
from radioopt.base.status import Status
from radioopt.feel import kernel_adjoint

if TYPE_CHECKING:
    from radioopt.feel.solution import BatchsizeSolution

#: devices in a batch from which threads pay for their start
PARALLEL_FROM = 20_000
#: relative spread of m over the free devices that a continuous optimum does not have
SPREAD = 1e-6


@np.errstate(all="ignore")
def linearise(solution: BatchsizeSolution) -> Linearised:
    """Linearise the optimality equations at a continuous optimum, or at a batch of them.

    Parameters
    ----------
    solution : BatchsizeSolution
        What an exact method answered.

    Returns
    -------
    Linearised
        In every field; results are the decisions, the phases, ``round_latency_s`` and the objective, also by the name
        ``learning_efficiency``.

    Raises
    ------
    ProblemError
        If the batch sizes are whole: no optimality equation holds of them.
    """
    problem = solution.problem
    answered = np.asarray(solution.status_code == Status.OPTIMAL)
    batch, low, high = solution.batchsize, problem.min_batchsize, problem.max_batchsize
    slope, update = problem.seconds_per_sample, problem.update_time_s
    a, b = problem.upload_time_full_frame_s, problem.download_time_full_frame_s
    uplink, downlink = each(problem.uplink_frame_s), each(problem.downlink_frame_s)
    phi, psi = solution.uplink_slot_s / uplink, solution.downlink_slot_s / downlink
    x, total = each(solution.round_latency_s), batch.sum(-1, keepdims=True)
    y = a / phi
    w = phi / y
    weight = w.sum(-1, keepdims=True)

    free = (low * (1 + 1e-12) < batch) & (batch < high * (1 - 1e-12))
    some = free.any(-1, keepdims=True)
    m = (y * free).sum(-1, keepdims=True) / (np.sqrt(a * slope) * free).sum(-1, keepdims=True)
    _refuse_whole(solution, np.where(free, y / (m * np.sqrt(a * slope)) - 1, 0.0), answered)
    # lambda p - gamma: what one more sample costs less what it is worth, in seconds of the Lagrangian
    fixed, limit = np.isfinite(each(problem.total_batchsize)), each(problem.max_round_latency_s)
    theta = x / total
    nu = np.where(fixed | ~some, 0.0, (theta * m) ** 2 * weight - 2 * theta)
    late = (nu > 0) & (x >= limit * (1 - 1e-9))
    worth = np.where(fixed, 2 * theta / (m**2 * weight), theta**2)
    costs = (2 * theta + np.where(late, nu, 0.0)) * w / weight * slope
    up = ~free & np.where(low < high, batch >= high * (1 - 1e-12), costs <= worth)

    def one(axes: tuple[str, ...], **row: Array | float) -> tuple[tuple[str, ...], dict[str, Array | float]]:
        return axes, row

    if problem.downlink == "broadcast":
        slowest, longest = _first(b), _first(update)
        after = {"ln_b": slowest * b, "update_time_s": longest.astype(np.float64)}
        share: dict[str, Array | float] = {}
    else:
        v = psi**2 / b
        after = {
            part: value / v.sum(-1, keepdims=True) for part, value in (("ln_b", psi), ("update_time_s", v))
        }
        share = {"ln_b": downlink * psi, "T_D": -downlink * v, "update_time_s": downlink * v}
    bits = 1 / each(problem.payload_bits)
    parameters = {
        "ln_a": one(DEVICE, payload_bits=bits, uplink_rate_bps=-1 / problem.uplink_rate_bps),
        "ln_b": one(DEVICE, payload_bits=bits, downlink_rate_bps=-1 / problem.downlink_rate_bps),
        "T_D": one(PER_INSTANCE, **after),
    }
    held = np.where(free, 0.0, 1.0)
    equations: list[dict[str, Any]] = [
        {"ln_y": y, "B": slope, "T": -1.0, "base_time_s": 1.0, "seconds_per_sample": batch},
        {
            "ln_y": 1.0 - held,
            "B": held,
            "ln_m": held - 1.0,
            "ln_a": 0.5 * (held - 1.0),
            "seconds_per_sample": 0.5 * (held - 1.0) / slope,
            "min_batchsize": -held * ~up,
            "max_batchsize": -held * up,
        },
    ]
    by_total, by_time = some & fixed, some & late
    stationary = np.where(some & ~fixed & ~late, 1.0, 0.0)
    share_w = stationary * w / weight
    joint: list[dict[str, Any]] = [
        {"ln_a": phi, "ln_y": -phi},
        {
            "T": stationary / x + by_time,
            "T_D": stationary / x + by_time,
            "ln_m": 2 * stationary + ~some,
            "ln_a": share_w,
            "ln_y": -2 * share_w,
            "B": by_total - stationary / total,
            "total_batchsize": -1.0 * by_total,
            "max_round_latency_s": -1.0 * by_time,
        },
    ]
    value = each(solution.objective)
    gain = one(
        PER_INSTANCE,
        B=value / (2 * total),
        T=-value / x,
        T_D=-value / x,
        loss_decay=value / each(problem.loss_decay),
    )
    results = {
        "batchsize": one(DEVICE, B=1.0),
        "uplink_slot_s": one(DEVICE, ln_a=uplink * phi, ln_y=-uplink * phi, uplink_frame_s=phi),
        "downlink_slot_s": one(DEVICE, downlink_frame_s=psi, **share),
        "upload_phase_s": one(PER_INSTANCE, T=1.0),
        "download_phase_s": one(PER_INSTANCE, T_D=1.0),
        "round_latency_s": one(PER_INSTANCE, T=1.0, T_D=1.0),
        "objective": gain,
        "learning_efficiency": gain,
    }

    def kinks() -> Array:
        close = (~free & (low < high) & slight(costs - worth, worth)) | (
            free & (near(batch, low) | near(batch, high))
        )
        overall = ~fixed & some & near(x, limit) & (~late | slight(nu, theta))
        if problem.downlink == "broadcast":
            overall = overall | _tied(b) | _tied(update)
        return np.asarray(close.any(-1) | overall[..., 0])

    return Linearised(
        "BatchsizeSolution",
        problem.batch_shape,
        problem.sizes["device"],
        {name: declared.axes for name, declared in problem.quantities.items()},
        parameters,
        ("ln_y", "B"),
        equations,
        ("T", "ln_m"),
        joint,
        results,
        answered,
        kinks,
    )


#: results, with their axes
RESULTS = dict.fromkeys(("batchsize", "uplink_slot_s", "downlink_slot_s"), DEVICE) | dict.fromkeys(
    ("upload_phase_s", "download_phase_s", "round_latency_s", "objective", "learning_efficiency"),
    PER_INSTANCE,
)


def pull(solution: BatchsizeSolution, cotangents: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Pull cotangents back by the kernel, or many at once by the equations above.

    Parameters
    ----------
    solution : BatchsizeSolution
        What an exact method answered.
    cotangents : mapping of str to array_like
        By result.

    Returns
    -------
    dict of str to ndarray
        A gradient by field.
    """
    problem, shape, devices = solution.problem, solution.batch_shape, solution.sizes["device"]
    given, extra = read_named("BatchsizeSolution.vjp", cotangents, RESULTS, shape, devices)
    if extra or (solution.batchsize == np.round(solution.batchsize)).all(-1).any():
        return linearise(solution).vjp(cotangents)
    refuse_unproven(solution)
    count = math.prod(shape)
    bars, bar = np.zeros((3, count, devices)), np.zeros((4, count))
    for row, name in enumerate(solution.decisions):
        if name in given:
            bars[row] = given[name].reshape(count, devices)
    for row, names in enumerate(
        (
            ("upload_phase_s",),
            ("download_phase_s",),
            ("round_latency_s",),
            ("objective", "learning_efficiency"),
        )
    ):
        for name in names:
            if name in given:
                bar[row] += given[name].reshape(count)
    device, instance = problem.block(DEVICE), problem.block(PER_INSTANCE)
    out_device, out_instance = np.empty((len(device), count, devices)), np.empty((len(instance), count))
    run = (
        kernel_adjoint.pull_parallel
        if count > 1 and count * devices >= PARALLEL_FROM
        else kernel_adjoint.pull_serial
    )
    run(
        device.reshape(out_device.shape),
        instance.reshape(out_instance.shape),
        solution.block(DEVICE).reshape(bars.shape),
        solution.block(PER_INSTANCE).reshape(-1, count),
        np.ravel(solution.status_code == Status.OPTIMAL),
        problem.downlink == "broadcast",
        bars,
        bar,
        out_device,
        out_instance,
    )
    found = {}
    for name, (key, row) in problem._layout.rows.items():
        found[name] = (
            out_device[row].reshape(*shape, devices) if key.axes else out_instance[row].reshape(shape)
        )
    return found


def _refuse_whole(solution: BatchsizeSolution, spread: Array, answered: Array) -> None:
    """Refuse whole samples, whose upload times are not the ones of a continuous optimum."""
    refuse_unproven(solution)
    batch = solution.batchsize
    whole = answered & (np.abs(spread).max(-1) > SPREAD) & (batch == np.round(batch)).all(-1)
    if whole.any():
        raise ProblemError(
            "BatchsizeSolution: whole batch sizes have no derivatives: take those of problem.solve(), the continuous "
            "optimum"
        )


def _first(values: Array) -> Array:
    """Mark the first of the largest values."""
    return np.asarray(np.arange(values.shape[-1]) == values.argmax(-1, keepdims=True))


def _tied(values: Array) -> Array:
    """Tell where another device is as slow as the slowest."""
    most = values.max(-1, keepdims=True)
    return np.asarray(near(values, most).sum(-1, keepdims=True) > 1)
