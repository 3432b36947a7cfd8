"""FEEL in CVXPY: one convex program, downlink included.

Minimising (T + T_D)^2 / sum B, a quadratic over a linear function, is the same as maximising the learning
efficiency xi sqrt(sum B) / (T + T_D), so the disciplined rules accept problem P1 as a whole, and a fixed total
batch, a deadline or a broadcast downlink with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.feel.problem import BatchsizeProblem
from validation.feel.scaling import Scaling
from validation.modelling import Model, Outcome, answer
from validation.reference import Answer, NoAnswerError, reference

#: tighter than Clarabel usually reaches: it then returns its best point, as "optimal_inaccurate"
TOLERANCES = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}


@reference("feel", "cvxpy", modules=("cvxpy", "clarabel"))
def solve(problem: BatchsizeProblem, time_limit_s: float) -> Answer:
    """CVXPY with Clarabel: minimise (T + T_D)^2 / sum B, one DCP program.

    Parameters
    ----------
    problem : BatchsizeProblem
        A single instance.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        The point as Clarabel returned it.

    Raises
    ------
    MissingExtraError
        If CVXPY or Clarabel is not installed.
    NoAnswerError
        If Clarabel returns no point.
    """
    cp, clarabel = require("cvxpy", "validation"), require("clarabel", "validation")
    return answer(model, problem, time_limit_s, f"cvxpy {cp.__version__}, clarabel {clarabel.__version__}")


def model(problem: BatchsizeProblem) -> Model:
    """Write a single instance as one DCP program; see :func:`validation.model`."""
    cp = require("cvxpy", "validation")
    scale = Scaling.of(problem)
    devices = problem.sizes["device"]
    batch, uplink, downlink = (cp.Variable(devices, name=name) for name in ("batch", "uplink", "downlink"))
    phase_up, phase_down = cp.Variable(name="phase_up"), cp.Variable(name="phase_down")
    compute = problem.base_time_s + cp.multiply(problem.seconds_per_sample * scale.batch, batch)
    upload = cp.multiply(problem.upload_time_full_frame_s / scale.uplink, cp.inv_pos(uplink))
    download = cp.multiply(problem.download_time_full_frame_s / scale.downlink, cp.inv_pos(downlink))
    total = scale.batch / scale.total @ batch
    constraints = {
        "uploads": (compute + upload) / scale.latency <= phase_up,
        "uplink_frame": scale.uplink @ uplink <= 1,
        "min_batchsize": problem.min_batchsize / scale.batch <= batch,
        "max_batchsize": batch <= problem.max_batchsize / scale.batch,
    }
    if problem.downlink == "broadcast":
        slowest = cp.max(download) + problem.update_time_s.max()
        constraints |= {"downloads": slowest / scale.latency <= phase_down}
        constraints |= {"downlink_frame": cp.multiply(scale.downlink, downlink) <= 1}
    else:
        constraints |= {"downloads": (download + problem.update_time_s) / scale.latency <= phase_down}
        constraints |= {"downlink_frame": scale.downlink @ downlink <= 1}
    if problem.total_batchsize < np.inf:
        constraints["total_batchsize"] = total == problem.total_batchsize / scale.total
    if problem.max_round_latency_s < np.inf:
        deadline = problem.max_round_latency_s / scale.latency
        constraints["max_round_latency_s"] = phase_up + phase_down <= deadline
    program = cp.Problem(
        cp.Minimize(cp.quad_over_lin(phase_up + phase_down, total)), list(constraints.values())
    )
    variables = {
        "batchsize": cp.multiply(scale.batch, batch),
        "uplink_slot_s": cp.multiply(scale.uplink * problem.uplink_frame_s, uplink),
        "downlink_slot_s": cp.multiply(scale.downlink * problem.downlink_frame_s, downlink),
        "upload_phase_s": scale.latency * phase_up,
        "download_phase_s": scale.latency * phase_down,
    }

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        wider = cp.Problem(program.objective, [*program.constraints, *more]) if more else program
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an inaccurate solution says so in its status
            try:
                wider.solve(solver=cp.CLARABEL, time_limit=time_limit_s, **TOLERANCES)
            except cp.error.SolverError as error:
                raise NoAnswerError(f"clarabel: {error}") from error
        if batch.value is None:
            raise NoAnswerError(str(wider.status))
        return Outcome(
            float(scale.efficiency / np.sqrt(wider.value)), str(wider.status), wider.compilation_time
        )

    return Model(
        program,
        variables,
        constraints,
        "batches, slots and phases relative to those of least batches that all upload equally long",
        run,
        lambda: scale.decisions(problem, batch.value, uplink.value, downlink.value),
    )
