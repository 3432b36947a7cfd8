"""DT-KD in Pyomo, solved to global optimality by SCIP: in the paper's variables, and with the shares eliminated."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.base.quantity import Array
from radioopt.dtkd.problem import DistillationProblem
from validation import scip
from validation.dtkd.scaling import Scaling, refuse_extensions
from validation.modelling import Model, Outcome, answer
from validation.reference import Answer, NoAnswerError, reference

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
    require("pyomo.environ", "validation")
    return answer(model, problem, time_limit_s, scip.version())


def model(problem: DistillationProblem) -> Model:
    """Write a single instance in the paper's variables; see :func:`validation.model`."""
    pyo = require("pyomo.environ", "validation")
    scale = Scaling.of(problem)
    if scale.signal.any():
        raise NoAnswerError("this model has no noise density: fix the choices and ask cvxpy or ipopt")
    users, actions = scale.allowed.shape
    written = pyo.ConcreteModel()
    written.users, written.models = pyo.RangeSet(0, users - 1), pyo.RangeSet(0, actions // 2 - 1)
    written.m = pyo.Var(written.users, written.models, domain=pyo.Binary)
    written.x = pyo.Var(written.users, domain=pyo.Binary)
    low, high = np.maximum(scale.low, LEAST_SHARE), np.minimum(scale.high, 1.0)
    written.f = pyo.Var(written.users, bounds=lambda _, k: (low[0, k], high[0, k]))
    written.b = pyo.Var(written.users, bounds=lambda _, k: (low[1, k], high[1, k]))
    written.one = pyo.Constraint(written.users, rule=lambda s, k: sum(s.m[k, j] for j in s.models) == 1)
    written.cpu = pyo.Constraint(expr=sum(written.f[k] for k in written.users) <= 1)
    written.band = pyo.Constraint(expr=sum(written.b[k] for k in written.users) <= 1)
    for k, a in np.argwhere(~scale.allowed):
        user, j, local = int(k), int(a) // 2, int(a) % 2
        written.add_component(
            f"not_{user}_{a}",
            pyo.Constraint(
                expr=written.m[user, j] + (written.x[user] if local else 1 - written.x[user]) <= 1
            ),
        )

    def of_choice(table: Array, k: int) -> Any:
        """Value of the action chosen, x sum_j m_j local_j + (1 - x) sum_j m_j server_j."""
        local = sum(float(table[k, 2 * j + 1]) * written.m[k, j] for j in written.models)
        server = sum(float(table[k, 2 * j]) * written.m[k, j] for j in written.models)
        return written.x[k] * local + (1 - written.x[k]) * server

    delays = {
        k: of_choice(scale.local_s, k)
        + of_choice(scale.compute_s, k) / written.f[k]
        + of_choice(scale.send_s, k) / written.b[k]
        for k in range(users)
    }
    written.delay = pyo.Var(written.users, bounds=lambda _, k: (0, min(float(scale.deadline_s[k]), 1e6)))
    written.delays = pyo.Constraint(written.users, rule=lambda s, k: delays[k] <= s.delay[k])
    cost = sum(
        scale.weight * written.delay[k] + of_choice(scale.constant, k) + scale.price * written.b[k]
        for k in range(users)
    )
    written.objective = pyo.Objective(expr=cost)
    variables = scip.in_si_units(
        written,
        server_cpu_frequency_hz=(written.f, float(problem.server_cpu_frequency_hz)),
        bandwidth_hz=(written.b, float(problem.bandwidth_hz)),
        delay_s=(written.delay, 1.0),
        trains_locally=(written.x, 1.0),
    )

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        objective, _, status = scip.run(written, time_limit_s, more)
        return Outcome(objective, status)

    def read() -> dict[str, Array]:
        picked = [
            2 * max(range(actions // 2), key=lambda j: written.m[k, j].value) + round(written.x[k].value)
            for k in range(users)
        ]
        shares = [np.array([share[k].value for k in range(users)]) for share in (written.f, written.b)]
        return scale.decisions(problem, np.array(picked), *shares)

    scaling = "shares of the server and of the band; m is 1 for the model chosen, x for training locally"
    variables["model"] = written.m
    return Model(written, variables, scip.constraints(written), scaling, run, read)


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
    modelled = time.perf_counter()
    objective, _, status = scip.run(model, time_limit_s)
    users, actions = scale.allowed.shape
    picked = np.array([max(range(actions), key=lambda a: model.z[k, a].value or 0.0) for k in range(users)])
    return Answer(
        decisions=scale.chosen(problem, picked),
        objective=objective,
        seconds=time.perf_counter() - start,
        modelling_seconds=modelled - start,
        status=status,
        version=scip.version(),
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
