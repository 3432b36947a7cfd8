"""FEEL for IPOPT through CasADi: the paper's P1 in epigraph form, a smooth non-convex program.

The quotient of latency and root of the total batch is pseudo-convex, so a stationary point is optimal; IPOPT is
not told so.
"""

from __future__ import annotations

import time

import numpy as np

from radioopt.base.errors import require
from radioopt.feel.problem import BatchsizeProblem
from validation.feel.scaling import Scaling, refuse_extensions
from validation.reference import Answer, NoAnswerError, reference

#: By default IPOPT relaxes every bound by 1e-8 and answers outside the feasible set; here it may not.
OPTIONS = {
    "tol": 1e-12,
    "constr_viol_tol": 1e-12,
    "acceptable_tol": 1e-9,
    "bound_relax_factor": 0.0,
    "mu_strategy": "adaptive",
    "max_iter": 1000,
    "print_level": 0,
    "sb": "yes",
}


@reference("feel", "ipopt", modules=("casadi",))
def solve(problem: BatchsizeProblem, time_limit_s: float) -> Answer:
    """CasADi with IPOPT: the paper's P1, equation (17), minimising (T + T_D) / sqrt(sum B).

    Parameters
    ----------
    problem : BatchsizeProblem
        A single instance.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        The last iterate, whether IPOPT accepts it or not; the status says which.

    Raises
    ------
    MissingExtraError
        If CasADi is not installed.
    NoAnswerError
        If the last iterate is not finite, or the problem extends the paper's.
    """
    ca = require("casadi", "validation")
    start = time.perf_counter()
    refuse_extensions(problem)
    scale = Scaling.of(problem)
    devices = problem.sizes["device"]
    batch, uplink, downlink = (ca.SX.sym(name, devices) for name in ("batch", "uplink", "downlink"))
    phase_up, phase_down = ca.SX.sym("phase_up"), ca.SX.sym("phase_down")
    compute = problem.base_time_s + problem.seconds_per_sample * scale.batch * batch
    upload = problem.upload_time_full_frame_s / scale.uplink / uplink
    download = problem.download_time_full_frame_s / scale.downlink / downlink
    at_most_zero = ca.vertcat(
        (compute + upload) / scale.latency - phase_up,
        (download + problem.update_time_s) / scale.latency - phase_down,
        ca.dot(scale.uplink, uplink) - 1,
        ca.dot(scale.downlink, downlink) - 1,
    )
    total = ca.dot(scale.batch / scale.total, batch)
    program = {
        "x": ca.vertcat(batch, uplink, downlink, phase_up, phase_down),
        "f": (phase_up + phase_down) / ca.sqrt(total),
        "g": at_most_zero,
    }
    options = OPTIONS | {"max_wall_time": time_limit_s}
    solver = ca.nlpsol(
        "feel", "ipopt", program, {"ipopt": options, "print_time": False, "error_on_fail": False}
    )
    modelled = time.perf_counter()
    low, high = problem.min_batchsize / scale.batch, problem.max_batchsize / scale.batch
    shares = np.full(2 * devices, 1e-12), np.full(2 * devices, np.inf)
    result = solver(
        x0=np.concatenate([(low + np.minimum(high, 1.0)) / 2, np.ones(2 * devices), [2.0, 2.0]]),
        lbx=np.concatenate([low, shares[0], [0.0, 0.0]]),
        ubx=np.concatenate([high, shares[1], [np.inf, np.inf]]),
        lbg=-np.inf,
        ubg=0.0,
    )
    point = np.asarray(result["x"]).ravel()
    if not np.isfinite(point).all():
        raise NoAnswerError(solver.stats()["return_status"])
    return Answer(
        decisions=scale.decisions(problem, *np.split(point[:-2], 3)),
        objective=scale.efficiency / float(result["f"]),
        seconds=time.perf_counter() - start,
        modelling_seconds=modelled - start,
        status=solver.stats()["return_status"],
        version=f"casadi {ca.__version__}, ipopt",
    )
