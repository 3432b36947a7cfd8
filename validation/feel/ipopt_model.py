"""FEEL for IPOPT through CasADi: the paper's P1 in epigraph form, a smooth non-convex program.

The quotient of latency and root of the total batch is pseudo-convex, so a stationary point is optimal; IPOPT is
not told so.
"""

from __future__ import annotations

import time

import numpy as np

from radioopt.base.errors import require
from radioopt.feel.problem import BatchsizeProblem
from validation.feel.scaling import Scaling
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
        If the last iterate is not finite.
    """
    ca = require("casadi", "validation")
    start = time.perf_counter()
    scale = Scaling.of(problem)
    devices = problem.sizes["device"]
    batch, uplink, downlink = (ca.SX.sym(name, devices) for name in ("batch", "uplink", "downlink"))
    # the total as a variable keeps the Hessian sparse
    phase_up, phase_down, total = (ca.SX.sym(name) for name in ("phase_up", "phase_down", "total"))
    compute = problem.base_time_s + problem.seconds_per_sample * scale.batch * batch
    upload = problem.upload_time_full_frame_s / scale.uplink / uplink
    download = problem.download_time_full_frame_s / scale.downlink / downlink
    update, most_downlink = problem.update_time_s, np.full(devices, np.inf)
    at_most_zero = [
        (compute + upload) / scale.latency - phase_up,
        ca.dot(scale.uplink, uplink) - 1,
        total - ca.dot(scale.batch / scale.total, batch),  # a total is as large as it may
    ]
    if problem.downlink == "broadcast":  # everybody listens to the whole frame
        update, most_downlink = update.max(), 1 / scale.downlink
    else:
        at_most_zero += [ca.dot(scale.downlink, downlink) - 1]
    at_most_zero += [(download + update) / scale.latency - phase_down]
    if problem.max_round_latency_s < np.inf:
        at_most_zero += [phase_up + phase_down - float(problem.max_round_latency_s) / scale.latency]
    zero = []
    if problem.total_batchsize < np.inf:
        zero = [ca.dot(scale.batch / scale.total, batch) - float(problem.total_batchsize) / scale.total]
    program = {
        "x": ca.vertcat(batch, uplink, downlink, phase_up, phase_down, total),
        "f": (phase_up + phase_down) / ca.sqrt(total),
        "g": ca.vertcat(*at_most_zero, *zero),
    }
    options = OPTIONS | {"max_wall_time": time_limit_s}
    solver = ca.nlpsol(
        "feel", "ipopt", program, {"ipopt": options, "print_time": False, "error_on_fail": False}
    )
    modelled = time.perf_counter()
    low, high = problem.min_batchsize / scale.batch, problem.max_batchsize / scale.batch
    middle, shares = (low + np.minimum(high, 1.0)) / 2, np.full(2 * devices, 1e-12)
    free = np.full(devices, np.inf)
    result = solver(
        x0=np.concatenate([middle, np.ones(2 * devices), [2.0, 2.0, scale.batch @ middle / scale.total]]),
        lbx=np.concatenate([low, shares, [0.0, 0.0, 0.0]]),
        ubx=np.concatenate([high, free, most_downlink, [np.inf, np.inf, np.inf]]),
        lbg=np.concatenate([np.full(program["g"].numel() - len(zero), -np.inf), np.zeros(len(zero))]),
        ubg=0.0,
    )
    point = np.asarray(result["x"]).ravel()
    if not np.isfinite(point).all():
        raise NoAnswerError(solver.stats()["return_status"])
    return Answer(
        decisions=scale.decisions(problem, *np.split(point[:-3], 3)),
        objective=scale.efficiency / float(result["f"]),
        seconds=time.perf_counter() - start,
        modelling_seconds=modelled - start,
        status=solver.stats()["return_status"],
        version=f"casadi {ca.__version__}, ipopt",
    )
