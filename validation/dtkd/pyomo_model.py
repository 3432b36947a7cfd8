"""DT-KD in Pyomo, solved to global optimality by SCIP: in the paper's variables, and with the shares eliminated."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.base.quantity import Array
from radioopt.dtkd.problem import DistillationProblem
from validation.dtkd.scaling import Scaling, refuse_extensions
from validation.reference import Answer, NoAnswerError, reference

PARAMETERS = {
    "numerics/feastol": 1e-9,  # absolute; tighter ones it hardly reaches
    "numerics/dualfeastol": 1e-9,
    # Pyomo reads SCIP's log through a pipe in a thread that cannot run while SCIP holds the interpreter lock
    "display/verblevel": 0,
}
RELATIVE_GAP = 1e-9
#: least share that a user may get: the paper has an open set, a solver needs a closed one
LEAST_SHARE = 1e-4


@reference("dtkd", "pyomo-scip", modules=("pyomo.environ", "pyscipopt"), max_devices=2)
def solve_paper_form(problem: DistillationProblem, time_limit_s: float) -> Answer:
    """Pyomo with SCIP: the paper's Problem 1 in its variables m, x, f and b, with bounds and deadlines; non-convex.

    Parameters
    ----------
    problem : DistillationProblem
        A single instance of very few users, with a noise power.
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
        If the noise is a density, or SCIP returns no point.
    """
    pyo = require("pyomo.environ", "validation")
    start = time.perf_counter()
    scale = Scaling.of(problem)
    if scale.signal.any():
        raise NoAnswerError("this model has no noise density: fix the choices and ask cvxpy or ipopt")
    users, actions = scale.allowed.shape
    model = pyo.ConcreteModel()
    model.users, model.models = pyo.RangeSet(0, users - 1), pyo.RangeSet(0, actions // 2 - 1)
    model.m = pyo.Var(model.users, model.models, domain=pyo.Binary)
    model.x = pyo.Var(model.users, domain=pyo.Binary)
    low, high = np.maximum(scale.low, LEAST_SHARE), np.minimum(scale.high, 1.0)
    model.f = pyo.Var(model.users, bounds=lambda _, k: (low[0, k], high[0, k]))
    model.b = pyo.Var(model.users, bounds=lambda _, k: (low[1, k], high[1, k]))
    model.one = pyo.Constraint(model.users, rule=lambda s, k: sum(s.m[k, j] for j in s.models) == 1)
    model.cpu = pyo.Constraint(expr=sum(model.f[k] for k in model.users) <= 1)
    model.band = pyo.Constraint(expr=sum(model.b[k] for k in model.users) <= 1)
    for k, a in np.argwhere(~scale.allowed):
        user, j, local = int(k), int(a) // 2, int(a) % 2
        model.add_component(
            f"not_{user}_{a}",
            pyo.Constraint(expr=model.m[user, j] + (model.x[user] if local else 1 - model.x[user]) <= 1),
        )

    def of_choice(table: Array, k: int) -> Any:
        """Value of the action chosen, x sum_j m_j local_j + (1 - x) sum_j m_j server_j."""
        local = sum(float(table[k, 2 * j + 1]) * model.m[k, j] for j in model.models)
        server = sum(float(table[k, 2 * j]) * model.m[k, j] for j in model.models)
        return model.x[k] * local + (1 - model.x[k]) * server

    delays = {
        k: of_choice(scale.local_s, k)
        + of_choice(scale.compute_s, k) / model.f[k]
        + of_choice(scale.send_s, k) / model.b[k]
        for k in range(users)
    }
    model.delay = pyo.Var(model.users, bounds=lambda _, k: (0, min(float(scale.deadline_s[k]), 1e6)))
    model.delays = pyo.Constraint(model.users, rule=lambda s, k: delays[k] <= s.delay[k])
    cost = sum(
        scale.weight * model.delay[k] + of_choice(scale.constant, k) + scale.price * model.b[k]
        for k in range(users)
    )
    model.objective = pyo.Objective(expr=cost)
    objective, status, modelled = _run(model, start, time_limit_s)
    picked = np.array(
        [
            2 * max(range(actions // 2), key=lambda j: model.m[k, j].value) + round(model.x[k].value)
            for k in range(users)
        ]
    )
    shares = ([variable[k].value for k in range(users)] for variable in (model.f, model.b))
    return Answer(
        decisions=scale.decisions(problem, picked, *(np.array(share) for share in shares)),
        objective=objective,
        seconds=time.perf_counter() - start,
        modelling_seconds=modelled - start,
        status=status,
        version=_version(),
    )


@reference("dtkd", "pyomo-scip-reduced", modules=("pyomo.environ", "pyscipopt"), max_devices=30)
def solve_reduced(problem: DistillationProblem, time_limit_s: float) -> Answer:
    """Pyomo with SCIP: f and b eliminated, a convex mixed-integer quadratic program in the choices alone.

    Parameters
    ----------
    problem : DistillationProblem
        A single instance of the paper's problem.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        SCIP's choices with the best shares for them; the objective is the one it reports.

    Raises
    ------
    MissingExtraError
        If Pyomo or PySCIPOpt is not installed.
    NoAnswerError
        If SCIP returns no point, or the problem extends the paper's.
    """
    start = time.perf_counter()
    refuse_extensions(problem)
    scale = Scaling.of(problem)
    model = reduced_model(scale)
    objective, status, modelled = _run(model, start, time_limit_s)
    users, actions = scale.allowed.shape
    picked = np.array([max(range(actions), key=lambda a: model.z[k, a].value or 0.0) for k in range(users)])
    return Answer(
        decisions=scale.chosen(problem, picked),
        objective=objective,
        seconds=time.perf_counter() - start,
        modelling_seconds=modelled - start,
        status=status,
        version=_version(),
    )


def reduced_model(scale: Scaling) -> Any:
    """Build sum k + U^2 + 2 tau V + max(0, V - tau)^2 over one action per user."""
    pyo = require("pyomo.environ", "validation")
    users, actions = scale.allowed.shape
    tau = math.sqrt(scale.price)
    u, v = np.sqrt(scale.weight * scale.compute_s), np.sqrt(scale.weight * scale.send_s)
    k = scale.constant + scale.weight * scale.local_s + 2 * tau * v
    model = pyo.ConcreteModel()
    pairs = [(int(i), int(a)) for i, a in np.argwhere(scale.allowed)]
    model.pairs = pyo.Set(initialize=pairs, dimen=2)
    model.z = pyo.Var(range(users), range(actions), domain=pyo.Binary, bounds=(0, 1))
    for i, a in np.argwhere(~scale.allowed):
        model.z[int(i), int(a)].fix(0)
    model.cpu, model.over = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, None))
    model.one = pyo.Constraint(range(users), rule=lambda s, i: sum(s.z[i, a] for a in range(actions)) == 1)
    model.sum_u = pyo.Constraint(expr=sum(float(u[p]) * model.z[p] for p in pairs) <= model.cpu)
    model.sum_v = pyo.Constraint(expr=sum(float(v[p]) * model.z[p] for p in pairs) - tau <= model.over)
    linear = sum(float(k[p]) * model.z[p] for p in pairs)
    model.objective = pyo.Objective(expr=linear + model.cpu**2 + model.over**2)
    return model


def _run(model: Any, start: float, time_limit_s: float) -> tuple[float, str, float]:
    """Run SCIP; return its objective, its words and when the model stood."""
    factory = require("pyomo.contrib.solver.common.factory", "validation")
    solver = factory.SolverFactory("scip_direct")
    modelled = time.perf_counter()
    results = solver.solve(
        model,
        time_limit=time_limit_s,
        rel_gap=RELATIVE_GAP,
        abs_gap=0.0,
        solver_options=PARAMETERS,
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
    )
    status = f"{results.solution_status.name}, {results.termination_condition.name}"
    if results.incumbent_objective is None:
        raise NoAnswerError(f"scip: {status}")
    results.solution_loader.load_vars()
    return float(results.incumbent_objective), status, modelled


def _version() -> str:
    pyomo, scip = require("pyomo", "validation"), require("pyscipopt", "validation")
    return f"pyomo {pyomo.__version__}, pyscipopt {scip.__version__}"
