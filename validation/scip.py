"""SCIP through Pyomo: one way to run it, for the models of every family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from validation.reference import NoAnswerError

#: what a reference that uses it depends on
MODULES = ("pyomo.environ", "pyscipopt")
PARAMETERS = {
    "numerics/feastol": 1e-9,  # absolute; tighter ones it hardly reaches
    "numerics/dualfeastol": 1e-9,
    # Pyomo reads SCIP's log through a pipe in a thread that cannot run while SCIP holds the interpreter lock:
    # a log longer than the pipe would stop both for good, so there is none.
    "display/verblevel": 0,
}
RELATIVE_GAP = 1e-9


def run(model: Any, time_limit_s: float, more: Sequence[Any] = ()) -> tuple[float, float, str]:
    """Solve a Pyomo model to global optimality and load the best point into its variables.

    Parameters
    ----------
    model : pyomo.environ.ConcreteModel
        The model.
    time_limit_s : float
        Limit for SCIP [s].
    more : sequence of relational expressions, default ()
        Constraints for this time alone.

    Returns
    -------
    objective, bound : float
        Objective of the best point, and what SCIP proved about all others.
    status : str
        Pyomo's words for it.

    Raises
    ------
    MissingExtraError
        If Pyomo or PySCIPOpt is not installed.
    NoAnswerError
        If SCIP returns no point.
    """
    require("pyscipopt", "validation")
    if more:
        pyo = require("pyomo.environ", "validation")
        model.more = pyo.ConstraintList()
        try:
            for one in more:
                model.more.add(one)
            return run(model, time_limit_s)
        finally:
            model.del_component(model.more)
            model.del_component("more_index")
    factory = require("pyomo.contrib.solver.common.factory", "validation")
    results = factory.SolverFactory("scip_direct").solve(
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
    return float(results.incumbent_objective), float(results.objective_bound), status


def in_si_units(model: Any, **quantities: tuple[Any, ...]) -> dict[str, Any]:
    """Add expressions to a Pyomo model, each a variable times its scale, or the sum of that and an offset.

    Parameters
    ----------
    model : pyomo.environ.ConcreteModel
        The model.
    **quantities
        By name: a variable with or without index, and its unit or units in SI; an offset may follow.

    Returns
    -------
    dict of str to pyomo.environ.Expression
        The expressions by name, which the model has under the same names.
    """
    pyo = require("pyomo.environ", "validation")
    found = {}
    for name, (variable, unit, *rest) in quantities.items():
        below: Any = rest[0] if rest else 0.0
        if variable.is_indexed():
            keys = list(variable.keys())
            units = dict(zip(keys, np.broadcast_to(unit, len(keys)).tolist(), strict=True))
            offsets = dict(zip(keys, np.broadcast_to(below, len(keys)).tolist(), strict=True))
            made = pyo.Expression(variable.index_set(), rule=_scaled(variable, units, offsets))
        else:
            made = pyo.Expression(expr=float(unit) * variable + float(below))
        model.add_component(name, made)
        found[name] = made
    return found


def _scaled(variable: Any, units: dict[Any, float], offsets: dict[Any, float]) -> Any:
    def rule(_: Any, *key: Any) -> Any:
        k = key if len(key) > 1 else key[0]
        return units[k] * variable[k] + offsets[k]

    return rule


def constraints(model: Any) -> dict[str, Any]:
    """Return the constraints of a Pyomo model by name."""
    pyo = require("pyomo.environ", "validation")
    return {each.name: each for each in model.component_objects(pyo.Constraint, active=True)}


def version() -> str:
    """Name and version of Pyomo and of PySCIPOpt."""
    pyomo, pyscipopt = require("pyomo", "validation"), require("pyscipopt", "validation")
    return f"pyomo {pyomo.__version__}, pyscipopt {pyscipopt.__version__}"
