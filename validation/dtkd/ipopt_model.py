"""Problem 3 of DT-KD for IPOPT through CasADi, with bounds, deadlines and either noise."""

from __future__ import annotations

import time

import numpy as np

from radioopt.base.errors import require
from radioopt.dtkd.problem import DistillationProblem
from validation.dtkd.scaling import Scaling
from validation.reference import Answer, NoAnswerError, reference

#: By default IPOPT relaxes every bound by 1e-8 and answers outside the feasible set; here it may not.
OPTIONS = {
    "tol": 1e-12,
    "constr_viol_tol": 1e-12,
    "acceptable_tol": 1e-9,
    "bound_relax_factor": 0.0,
    "max_iter": 1000,
    "print_level": 0,
    "sb": "yes",
}


@reference("dtkd", "ipopt", modules=("casadi",))
def solve(problem: DistillationProblem, time_limit_s: float) -> Answer:
    """CasADi with IPOPT: Problem 3, equation (23), models and places given.

    Parameters
    ----------
    problem : DistillationProblem
        A single instance whose choices are fixed.
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
        If a choice is free, or IPOPT finds the problem infeasible.
    """
    ca = require("casadi", "validation")
    start = time.perf_counter()
    scale = Scaling.of(problem)
    picked = scale.fixed()
    own, users = (np.arange(len(picked)), picked), len(picked)
    cpu, band = ca.SX.sym("cpu", users), ca.SX.sym("band", users)
    rate = band * ca.log(1 + scale.signal[:, 0] / band) if scale.signal.any() else band
    delay = scale.local_s[own] + scale.compute_s[own] / cpu + scale.send_s[own] / rate
    program = {
        "x": ca.vertcat(cpu, band),
        "f": scale.weight * ca.sum1(delay) + scale.price * ca.sum1(band),
        "g": ca.vertcat(ca.sum1(cpu) - 1, ca.sum1(band) - 1, delay / scale.deadline_s - 1),
    }
    options = {
        "ipopt": OPTIONS | {"max_wall_time": time_limit_s},
        "print_time": False,
        "error_on_fail": False,
    }
    solver = ca.nlpsol("dtkd", "ipopt", program, options)
    modelled = time.perf_counter()
    low, high = np.maximum(scale.low.ravel(), 1e-12), scale.high.ravel()
    even = low + (1.0 - np.repeat(scale.low.sum(-1), users)) / users
    result = solver(x0=np.minimum(0.99 * even + 0.01 * low, high), lbx=low, ubx=high, lbg=-np.inf, ubg=0.0)
    status = str(solver.stats()["return_status"])
    point = np.asarray(result["x"]).ravel()
    if status == "Infeasible_Problem_Detected" or not np.isfinite(point).all():
        raise NoAnswerError(f"ipopt: {status}")
    return Answer(
        decisions=scale.decisions(problem, picked, *np.split(point, 2)),
        objective=float(result["f"]) + float(scale.constant[own].sum()),
        seconds=time.perf_counter() - start,
        modelling_seconds=modelled - start,
        status=status,
        version=f"casadi {ca.__version__}",
    )
