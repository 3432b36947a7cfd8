"""FEEL in CVXPY: one convex program, downlink included.

Minimising (T + T_D)^2 / sum B, a quadratic over a linear function, is the same as maximising the learning
efficiency xi sqrt(sum B) / (T + T_D), so the disciplined rules accept problem P1 as a whole, and a fixed total
batch, a deadline or a broadcast downlink with it.
"""

from __future__ import annotations

import time
import warnings

import numpy as np

from radioopt.base.errors import require
from radioopt.feel.problem import BatchsizeProblem
from validation.feel.scaling import Scaling
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
    start = time.perf_counter()
    scale = Scaling.of(problem)
    devices = problem.sizes["device"]
    batch, uplink, downlink = (cp.Variable(devices) for _ in range(3))
    phase_up, phase_down = cp.Variable(), cp.Variable()
    compute = problem.base_time_s + cp.multiply(problem.seconds_per_sample * scale.batch, batch)
    upload = cp.multiply(problem.upload_time_full_frame_s / scale.uplink, cp.inv_pos(uplink))
    download = cp.multiply(problem.download_time_full_frame_s / scale.downlink, cp.inv_pos(downlink))
    total = scale.batch / scale.total @ batch
    constraints = [
        (compute + upload) / scale.latency <= phase_up,
        scale.uplink @ uplink <= 1,
        problem.min_batchsize / scale.batch <= batch,
        batch <= problem.max_batchsize / scale.batch,
    ]
    if problem.downlink == "broadcast":
        constraints += [(cp.max(download) + problem.update_time_s.max()) / scale.latency <= phase_down]
        constraints += [cp.multiply(scale.downlink, downlink) <= 1]
    else:
        constraints += [(download + problem.update_time_s) / scale.latency <= phase_down]
        constraints += [scale.downlink @ downlink <= 1]
    if problem.total_batchsize < np.inf:
        constraints += [total == problem.total_batchsize / scale.total]
    if problem.max_round_latency_s < np.inf:
        constraints += [phase_up + phase_down <= problem.max_round_latency_s / scale.latency]
    model = cp.Problem(cp.Minimize(cp.quad_over_lin(phase_up + phase_down, total)), constraints)
    built = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an inaccurate solution says so in its status
        try:
            model.solve(solver=cp.CLARABEL, time_limit=time_limit_s, **TOLERANCES)
        except cp.error.SolverError as error:
            raise NoAnswerError(f"clarabel: {error}") from error
    if batch.value is None:
        raise NoAnswerError(str(model.status))
    return Answer(
        decisions=scale.decisions(problem, batch.value, uplink.value, downlink.value),
        objective=float(scale.efficiency / np.sqrt(model.value)),
        seconds=time.perf_counter() - start,
        modelling_seconds=built - start + model.compilation_time,
        status=str(model.status),
        version=f"cvxpy {cp.__version__}, clarabel {clarabel.__version__}",
    )
