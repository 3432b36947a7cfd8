"""Problem 3 of DT-KD for IPOPT through CasADi, with bounds, deadlines and either noise."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.dtkd.problem import DistillationProblem
from validation.dtkd.scaling import Scaling
from validation.modelling import Model, Outcome, answer, rows
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
    return answer(model, problem, time_limit_s, f"casadi {ca.__version__}")


def model(problem: DistillationProblem) -> Model:
    """Write Problem 3 of a single instance whose choices are fixed; see :func:`validation.model`."""
    ca = require("casadi", "validation")
    scale = Scaling.of(problem)
    picked = scale.fixed()
    own, users = (np.arange(len(picked)), picked), len(picked)
    cpu, band = ca.SX.sym("cpu", users), ca.SX.sym("band", users)
    rate = band * ca.log(1 + scale.signal[:, 0] / band) if scale.signal.any() else band
    delay = scale.local_s[own] + scale.compute_s[own] / cpu + scale.send_s[own] / rate
    constraints = {
        "server_cpu_frequency_hz": ca.sum1(cpu) - 1,
        "bandwidth_hz": ca.sum1(band) - 1,
        "max_delay_s": delay / scale.deadline_s - 1,
    }
    program = {
        "x": ca.vertcat(cpu, band),
        "f": scale.weight * ca.sum1(delay) + scale.price * ca.sum1(band),
        "g": ca.vertcat(*constraints.values()),
    }
    variables = {
        "server_cpu_frequency_hz": float(problem.server_cpu_frequency_hz) * cpu,
        "bandwidth_hz": float(problem.bandwidth_hz) * band,
        "delay_s": delay,
    }
    found: dict[str, Any] = {}

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        start = time.perf_counter()
        options = {
            "ipopt": OPTIONS | {"max_wall_time": time_limit_s},
            "print_time": False,
            "error_on_fail": False,
        }
        wider = program | {"g": ca.vertcat(program["g"], *rows(ca, more))}
        solver = ca.nlpsol("dtkd", "ipopt", wider, options)
        built = time.perf_counter()
        low, high = np.maximum(scale.low.ravel(), 1e-12), scale.high.ravel()
        even = low + (1.0 - np.repeat(scale.low.sum(-1), users)) / users
        first = np.minimum(0.99 * even + 0.01 * low, high)
        result = solver(x0=first, lbx=low, ubx=high, lbg=-np.inf, ubg=0.0)
        status = str(solver.stats()["return_status"])
        point = np.asarray(result["x"]).ravel()
        if status == "Infeasible_Problem_Detected" or not np.isfinite(point).all():
            raise NoAnswerError(f"ipopt: {status}")
        found["decisions"] = scale.decisions(problem, picked, *np.split(point, 2))
        return Outcome(float(result["f"]) + float(scale.constant[own].sum()), status, built - start)

    return Model(
        program,
        variables,
        constraints,
        "shares of the server and of the band",
        run,
        lambda: found["decisions"],
    )
