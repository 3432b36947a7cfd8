"""FEEL in Pyomo, solved to global optimality by SCIP: as the paper writes it, and in convex form.

The paper's form (P1, equation (17); P6, equation (30)) keeps the non-convex product of efficiency and latency,
and the batches below a GPU's threshold, where the compute time is flat, so it assumes neither the convex
reformulation nor Lemma 2. SCIP closes the gap by branching, which it does for some tens of devices. The convex
form replaces the product by a rotated cone, and is also solved over integer batch sizes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.base.quantity import Array
from radioopt.feel.problem import BatchsizeProblem
from validation import scip
from validation.feel.scaling import Scaling
from validation.modelling import Model, Outcome, answer
from validation.reference import Answer, reference


@reference("feel", "pyomo-scip", modules=scip.MODULES, max_devices=20)
def solve_paper_form(problem: BatchsizeProblem, time_limit_s: float) -> Answer:
    """Pyomo with SCIP: the paper's P1 and P6 in its variables tau, B and E, non-convex.

    Parameters
    ----------
    problem : BatchsizeProblem
        A single instance of a few devices.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        The best point found; the status says whether SCIP proved it optimal.

    Raises
    ------
    MissingExtraError
        If Pyomo or PySCIPOpt is not installed.
    NoAnswerError
        If SCIP returns no point.
    """
    return _solve(problem, time_limit_s, _efficiency)


@reference("feel", "pyomo-scip-convex", modules=scip.MODULES, max_devices=20)
def solve_convex_form(problem: BatchsizeProblem, time_limit_s: float) -> Answer:
    """Pyomo with SCIP: minimise kappa with (T + T_D)^2 <= kappa sum B, convex.

    Parameters
    ----------
    problem : BatchsizeProblem
        A single instance.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        The best point found; the status says whether SCIP proved it optimal.

    Raises
    ------
    MissingExtraError
        If Pyomo or PySCIPOpt is not installed.
    NoAnswerError
        If SCIP returns no point.
    """
    return _solve(problem, time_limit_s, _kappa, least=problem.min_batchsize)


def solve_whole_samples(problem: BatchsizeProblem, time_limit_s: float) -> Answer:
    """Pyomo with SCIP over integer batch sizes, those below a GPU's threshold among them.

    No reference for ``cross_check``, which poses the continuous problem: compare its point with that of
    ``problem.solve(integer=True)``.

    Parameters
    ----------
    problem : BatchsizeProblem
        A single instance of a few devices.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        Whole batch sizes, and slots within SCIP's tolerance; the status says whether SCIP proved them optimal.

    Raises
    ------
    MissingExtraError
        If Pyomo or PySCIPOpt is not installed.
    NoAnswerError
        If SCIP returns no point.
    """
    return _solve(problem, time_limit_s, _kappa, whole=True)


def _efficiency(model: Any, pyo: Any) -> Callable[[float], float]:
    """Maximise E with E (T + T_D) <= sqrt(sum B)."""
    model.efficiency = pyo.Var(bounds=(0, None))
    model.definition = pyo.Constraint(
        expr=model.efficiency * (model.phase_up + model.phase_down) <= pyo.sqrt(model.total)
    )
    model.objective = pyo.Objective(expr=model.efficiency, sense=pyo.maximize)
    return lambda value: value


def _kappa(model: Any, pyo: Any) -> Callable[[float], float]:
    """Minimise kappa = E^-2 with (T + T_D)^2 <= kappa sum B, a rotated cone."""
    model.kappa = pyo.Var(bounds=(0, None))
    model.definition = pyo.Constraint(
        expr=(model.phase_up + model.phase_down) ** 2 <= model.kappa * model.total
    )
    model.objective = pyo.Objective(expr=model.kappa, sense=pyo.minimize)
    return lambda value: max(value, 1e-300) ** -0.5


def _solve(
    problem: BatchsizeProblem,
    time_limit_s: float,
    aim: Callable[[Any, Any], Callable[[float], float]],
    *,
    least: Array | float = 1.0,
    whole: bool = False,
) -> Answer:
    """Write the model, run SCIP and read the point back; ``aim`` turns its objective into the scaled efficiency."""
    require("pyomo.environ", "validation")
    return answer(
        lambda one: _model(one, aim, least=least, whole=whole), problem, time_limit_s, scip.version()
    )


def model(problem: BatchsizeProblem) -> Model:
    """Write a single instance in the paper's form; see :func:`validation.model`."""
    return _model(problem, _efficiency)


def _model(
    problem: BatchsizeProblem,
    aim: Callable[[Any, Any], Callable[[float], float]],
    *,
    least: Array | float = 1.0,
    whole: bool = False,
) -> Model:
    pyo = require("pyomo.environ", "validation")
    scale = Scaling.of(problem)
    if whole:
        scale = dataclasses.replace(scale, batch=np.ones_like(scale.batch))
    written = _round(problem, scale, pyo, np.broadcast_to(least, scale.batch.shape), whole)
    efficiency = aim(written, pyo)
    frames = float(problem.uplink_frame_s), float(problem.downlink_frame_s)
    variables = scip.in_si_units(
        written,
        batchsize=(written.batch, scale.batch),
        uplink_slot_s=(written.uplink, scale.uplink * frames[0]),
        downlink_slot_s=(written.downlink, scale.downlink * frames[1]),
        upload_phase_s=(written.phase_up, scale.latency),
        download_phase_s=(written.phase_down, scale.latency),
    )

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        objective, _, status = scip.run(written, time_limit_s, more)
        return Outcome(float(scale.efficiency * efficiency(objective)), status)

    def read() -> dict[str, Array]:
        batch, uplink, downlink = (
            np.array([variable[k].value for k in written.devices])
            for variable in (written.batch, written.uplink, written.downlink)
        )
        return scale.decisions(problem, np.rint(batch) if whole else batch, uplink, downlink)

    scaling = "batches, slots and phases relative to those of least batches that all upload equally long"
    return Model(written, variables, scip.constraints(written), scaling, run, read)


def _round(problem: BatchsizeProblem, scale: Scaling, pyo: Any, least: Array, whole: bool) -> Any:
    """Model batches, slots and latencies in scaled variables; below ``min_batchsize`` the compute time is flat."""
    model = pyo.ConcreteModel()
    model.devices = pyo.RangeSet(0, problem.sizes["device"] - 1)
    most = np.floor(problem.max_batchsize) if whole else problem.max_batchsize
    low, high = least / scale.batch, most / scale.batch
    domain = pyo.Integers if whole else pyo.Reals
    model.batch = pyo.Var(model.devices, domain=domain, bounds=lambda _, k: (low[k], high[k]))
    model.uplink = pyo.Var(model.devices, bounds=lambda _, k: (1e-9, 1 / scale.uplink[k]))
    model.downlink = pyo.Var(model.devices, bounds=lambda _, k: (1e-9, 1 / scale.downlink[k]))
    model.phase_up = pyo.Var(bounds=(0, None))
    model.phase_down = pyo.Var(bounds=(0, None))
    model.total = pyo.Var(bounds=(0, problem.max_batchsize.sum() / scale.total))

    upload = problem.upload_time_full_frame_s / scale.uplink / scale.latency
    download = problem.download_time_full_frame_s / scale.downlink / scale.latency
    update = problem.update_time_s / scale.latency
    base = problem.base_time_s / scale.latency
    slope = problem.seconds_per_sample * scale.batch / scale.latency
    earliest = base + slope * problem.min_batchsize / scale.batch
    broadcast = problem.downlink == "broadcast"
    if broadcast:  # all listen to the whole frame, and the slowest to receive and to update set the phase
        update = np.full_like(update, update.max())

    def compute_and_upload(m: Any, k: int) -> Any:
        return base[k] + slope[k] * m.batch[k] + upload[k] / m.uplink[k] <= m.phase_up

    def flat_and_upload(m: Any, k: int) -> Any:
        return earliest[k] + upload[k] / m.uplink[k] <= m.phase_up

    def download_and_update(m: Any, k: int) -> Any:
        return download[k] / m.downlink[k] + update[k] <= m.phase_down

    model.uploads = pyo.Constraint(model.devices, rule=compute_and_upload)
    if (least < problem.min_batchsize).any():
        model.flat = pyo.Constraint(model.devices, rule=flat_and_upload)
    model.downloads = pyo.Constraint(model.devices, rule=download_and_update)
    model.uplink_frame = pyo.Constraint(expr=pyo.sum_product(_list(scale.uplink), model.uplink) <= 1)
    if not broadcast:
        model.downlink_frame = pyo.Constraint(
            expr=pyo.sum_product(_list(scale.downlink), model.downlink) <= 1
        )
    model.sum = pyo.Constraint(
        expr=pyo.sum_product(_list(scale.batch / scale.total), model.batch) == model.total
    )
    if problem.total_batchsize < np.inf:
        model.fixed = pyo.Constraint(expr=model.total == float(problem.total_batchsize) / scale.total)
    if problem.max_round_latency_s < np.inf:
        deadline = float(problem.max_round_latency_s) / scale.latency
        model.deadline = pyo.Constraint(expr=model.phase_up + model.phase_down <= deadline)
    return model


def _list(values: Array) -> dict[int, float]:
    """Plain numbers by device, as Pyomo wants them."""
    return dict(enumerate(values.tolist()))
