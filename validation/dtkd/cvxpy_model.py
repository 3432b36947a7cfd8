"""DT-KD in CVXPY: Problem 3 as a convex program for Clarabel, the whole problem as a mixed-integer one for SCIP.

In the whole problem every action has its own share of CPU and band, which vanishes with its binary z. Time is then
c z^2/f, a rotated cone, and the relaxation is the convex hull of the choices of a user (perspective formulation).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.dtkd.problem import DistillationProblem
from validation.dtkd.scaling import Scaling
from validation.modelling import Model, Outcome, answer
from validation.reference import Answer, NoAnswerError, reference

TOLERANCES = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
#: absolute and relative; SCIP hardly reaches tighter ones
SCIP_PARAMETERS = {"limits/gap": 1e-9, "numerics/feastol": 1e-9, "numerics/dualfeastol": 1e-9}


@reference("dtkd", "cvxpy", modules=("cvxpy", "clarabel"))
def solve_given_choices(problem: DistillationProblem, time_limit_s: float) -> Answer:
    """CVXPY with Clarabel: Problem 3, models and places given, with bounds, deadlines and either noise.

    Parameters
    ----------
    problem : DistillationProblem
        A single instance whose choices are fixed.
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
        If a choice is free, or Clarabel returns no point.
    """
    cp, clarabel = require("cvxpy", "validation"), require("clarabel", "validation")
    version = f"cvxpy {cp.__version__}, clarabel {clarabel.__version__}"
    return answer(given_choices, problem, time_limit_s, version)


def model(problem: DistillationProblem) -> Model:
    """Write a single instance, with its choices if they are free; see :func:`validation.model`."""
    fixed = (Scaling.of(problem).allowed.sum(-1) == 1).all()
    return given_choices(problem) if fixed else perspective(problem)


def given_choices(problem: DistillationProblem) -> Model:
    """Write Problem 3 of a single instance whose choices are fixed."""
    cp = require("cvxpy", "validation")
    scale = Scaling.of(problem)
    picked = scale.fixed()
    own = np.arange(len(picked)), picked
    cpu, band = cp.Variable(len(picked), name="cpu"), cp.Variable(len(picked), name="band")
    if scale.signal.any():
        signal = scale.signal[:, 0]
        on_air = cp.multiply(scale.send_s[own], cp.inv_pos(-cp.rel_entr(band, band + signal)))
    else:
        on_air = cp.multiply(scale.send_s[own], cp.inv_pos(band))
    delay = scale.local_s[own] + cp.multiply(scale.compute_s[own], cp.inv_pos(cpu)) + on_air
    constraints = {"server_cpu_frequency_hz": cp.sum(cpu) <= 1, "bandwidth_hz": cp.sum(band) <= 1}
    for name, share, row in (("server_cpu_frequency_hz", cpu, 0), ("bandwidth_hz", band, 1)):
        limited = np.isfinite(scale.high[row])
        constraints[f"min_{name}"] = share >= scale.low[row]
        if limited.any():
            constraints[f"max_{name}"] = share[limited] <= scale.high[row][limited]
    late = np.isfinite(scale.deadline_s)
    if late.any():
        constraints["max_delay_s"] = delay[late] <= scale.deadline_s[late]
    cost = scale.weight * cp.sum(delay) + scale.price * cp.sum(band)
    program = cp.Problem(cp.Minimize(cost), list(constraints.values()))

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        wider = cp.Problem(program.objective, [*program.constraints, *more]) if more else program
        _run(cp, wider, cp.CLARABEL, time_limit=time_limit_s, **TOLERANCES)
        value = float(wider.value + scale.constant[own].sum())
        return Outcome(value, str(wider.status), wider.compilation_time)

    return Model(
        program,
        _in_si_units(problem, cpu, band) | {"delay_s": delay},
        constraints,
        "shares of the server and of the band",
        run,
        lambda: scale.decisions(problem, picked, cpu.value, band.value),
    )


def _in_si_units(problem: DistillationProblem, cpu: Any, band: Any) -> dict[str, Any]:
    return {
        "server_cpu_frequency_hz": float(problem.server_cpu_frequency_hz) * cpu,
        "bandwidth_hz": float(problem.bandwidth_hz) * band,
    }


@reference("dtkd", "cvxpy-scip", modules=("cvxpy", "pyscipopt"), max_devices=4)
def solve_perspective(problem: DistillationProblem, time_limit_s: float) -> Answer:
    """CVXPY with SCIP: the whole problem as a mixed-integer cone program, bounds and deadlines included.

    Parameters
    ----------
    problem : DistillationProblem
        A single instance of few users, with a noise power.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        The best point found; the status says whether SCIP proved it optimal.

    Raises
    ------
    MissingExtraError
        If CVXPY or PySCIPOpt is not installed.
    NoAnswerError
        If the noise is a density, or SCIP returns no point.
    """
    cp, pyscipopt = require("cvxpy", "validation"), require("pyscipopt", "validation")
    version = f"cvxpy {cp.__version__}, pyscipopt {pyscipopt.__version__}"
    return answer(perspective, problem, time_limit_s, version)


def perspective(problem: DistillationProblem) -> Model:
    """Write a single instance with a noise power as a mixed-integer cone program."""
    cp = require("cvxpy", "validation")
    scale = Scaling.of(problem)
    if scale.signal.any():
        raise NoAnswerError("this model has no noise density: fix the choices and ask cvxpy or ipopt")
    shape = scale.allowed.shape
    choice, cpu, band = cp.Variable(shape, boolean=True), cp.Variable(shape), cp.Variable(shape)
    server, air = cp.Variable(shape), cp.Variable(shape)  # times at the server and on the air
    delay = cp.sum(server + air + cp.multiply(scale.local_s, choice), axis=1)
    constraints = {
        "one_choice": cp.sum(choice, axis=1) == 1,
        "allowed": choice <= scale.allowed,
        "server_cpu_frequency_hz": cp.sum(cpu) <= 1,
        "bandwidth_hz": cp.sum(band) <= 1,
    }
    for name, seconds, share, whole in (
        ("server_s", server, cpu, scale.compute_s),
        ("air_s", air, band, scale.send_s),
    ):
        for k, a in np.ndindex(shape):
            cone = cp.vstack([2 * np.sqrt(whole[k, a]) * choice[k, a], seconds[k, a] - share[k, a]])
            constraints[f"{name}[{k},{a}]"] = cp.SOC(
                seconds[k, a] + share[k, a], cp.reshape(cone, (2,), order="C")
            )
    for name, share, row in (("server_cpu_frequency_hz", cpu, 0), ("bandwidth_hz", band, 1)):
        high = np.minimum(scale.high[row], 1.0)[:, None]
        constraints |= {
            f"min_{name}": share >= cp.multiply(scale.low[row][:, None], choice),
            f"max_{name}": share <= cp.multiply(high, choice),
        }
    late = np.isfinite(scale.deadline_s)
    if late.any():
        constraints["max_delay_s"] = delay[late] <= scale.deadline_s[late]
    cost = (
        cp.sum(cp.multiply(scale.constant, choice))
        + scale.weight * cp.sum(delay)
        + scale.price * cp.sum(band)
    )
    program = cp.Problem(cp.Minimize(cost), list(constraints.values()))

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        wider = cp.Problem(program.objective, [*program.constraints, *more]) if more else program
        parameters = SCIP_PARAMETERS | {"limits/time": time_limit_s, "display/verblevel": 0}
        _run(cp, wider, cp.SCIP, scip_params=parameters)
        return Outcome(float(wider.value), str(wider.status), wider.compilation_time)

    shares = _in_si_units(problem, cp.sum(cpu, axis=1), cp.sum(band, axis=1))
    return Model(
        program,
        shares | {"delay_s": delay, "choice": choice},  # of the actions, column 2 model + trains_locally
        constraints,
        "shares of the server and of the band, one for each action of a user",
        run,
        lambda: scale.decisions(problem, choice.value.argmax(-1), cpu.value.sum(-1), band.value.sum(-1)),
    )


def _run(cp: Any, model: Any, solver: str, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an inaccurate solution says so in its status
        try:
            model.solve(solver=solver, **options)
        except cp.error.SolverError as error:
            raise NoAnswerError(f"{solver}: {error}") from error
    if not np.isfinite(model.value if model.value is not None else np.inf):
        raise NoAnswerError(str(model.status))
