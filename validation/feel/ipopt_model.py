"""FEEL for IPOPT through CasADi: the paper's P1 in epigraph form, a smooth non-convex program.

The quotient of latency and root of the total batch is pseudo-convex, so a stationary point is optimal; IPOPT is
not told so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.feel.problem import BatchsizeProblem
from validation.feel.scaling import Scaling
from validation.modelling import Model, Outcome, answer, rows
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
    return answer(model, problem, time_limit_s, f"casadi {ca.__version__}, ipopt")


def model(problem: BatchsizeProblem) -> Model:
    """Write a single instance as a smooth program; see :func:`validation.model`."""
    ca = require("casadi", "validation")
    scale = Scaling.of(problem)
    devices = problem.sizes["device"]
    batch, uplink, downlink = (ca.SX.sym(name, devices) for name in ("batch", "uplink", "downlink"))
    # the total as a variable keeps the Hessian sparse
    phase_up, phase_down, total = (ca.SX.sym(name) for name in ("phase_up", "phase_down", "total"))
    compute = problem.base_time_s + problem.seconds_per_sample * scale.batch * batch
    upload = problem.upload_time_full_frame_s / scale.uplink / uplink
    download = problem.download_time_full_frame_s / scale.downlink / downlink
    update, most_downlink = problem.update_time_s, np.full(devices, np.inf)
    at_most_zero = {
        "uploads": (compute + upload) / scale.latency - phase_up,
        "uplink_frame": ca.dot(scale.uplink, uplink) - 1,
        "total": total - ca.dot(scale.batch / scale.total, batch),  # a total is as large as it may
    }
    if problem.downlink == "broadcast":  # everybody listens to the whole frame
        update, most_downlink = update.max(), 1 / scale.downlink
    else:
        at_most_zero["downlink_frame"] = ca.dot(scale.downlink, downlink) - 1
    at_most_zero["downloads"] = (download + update) / scale.latency - phase_down
    if problem.max_round_latency_s < np.inf:
        deadline = float(problem.max_round_latency_s) / scale.latency
        at_most_zero["max_round_latency_s"] = phase_up + phase_down - deadline
    zero = {}
    if problem.total_batchsize < np.inf:
        fixed = float(problem.total_batchsize) / scale.total
        zero["total_batchsize"] = ca.dot(scale.batch / scale.total, batch) - fixed
    program = {
        "x": ca.vertcat(batch, uplink, downlink, phase_up, phase_down, total),
        "f": (phase_up + phase_down) / ca.sqrt(total),
        "g": ca.vertcat(*at_most_zero.values(), *zero.values()),
    }
    variables = {
        "batchsize": scale.batch * batch,
        "uplink_slot_s": scale.uplink * problem.uplink_frame_s * uplink,
        "downlink_slot_s": scale.downlink * problem.downlink_frame_s * downlink,
        "upload_phase_s": scale.latency * phase_up,
        "download_phase_s": scale.latency * phase_down,
    }
    found: dict[str, Any] = {}

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        start = time.perf_counter()
        options = {
            "ipopt": OPTIONS | {"max_wall_time": time_limit_s},
            "print_time": False,
            "error_on_fail": False,
        }
        wider = program | {"g": ca.vertcat(*rows(ca, more), program["g"])}
        solver = ca.nlpsol("feel", "ipopt", wider, options)
        built = time.perf_counter()
        low, high = problem.min_batchsize / scale.batch, problem.max_batchsize / scale.batch
        middle, shares = (low + np.minimum(high, 1.0)) / 2, np.full(2 * devices, 1e-12)
        free = np.full(devices, np.inf)
        result = solver(
            x0=np.concatenate([middle, np.ones(2 * devices), [2.0, 2.0, scale.batch @ middle / scale.total]]),
            lbx=np.concatenate([low, shares, [0.0, 0.0, 0.0]]),
            ubx=np.concatenate([high, free, most_downlink, [np.inf, np.inf, np.inf]]),
            lbg=np.concatenate([np.full(wider["g"].numel() - len(zero), -np.inf), np.zeros(len(zero))]),
            ubg=0.0,
        )
        point = np.asarray(result["x"]).ravel()
        status = str(solver.stats()["return_status"])
        if not np.isfinite(point).all():
            raise NoAnswerError(status)
        found["decisions"] = scale.decisions(problem, *np.split(point[:-3], 3))
        return Outcome(scale.efficiency / float(result["f"]), status, built - start)

    return Model(
        program,
        variables,
        at_most_zero | zero,
        "batches, slots and phases relative to those of least batches that all upload equally long",
        run,
        lambda: found["decisions"],
    )
