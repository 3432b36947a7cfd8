"""SCIP through Pyomo: one way to run it, for the models of every family."""

from __future__ import annotations

from typing import Any

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


def run(model: Any, time_limit_s: float) -> tuple[float, float, str]:
    """Solve a Pyomo model to global optimality and load the best point into its variables.

    Parameters
    ----------
    model : pyomo.environ.ConcreteModel
        The model.
    time_limit_s : float
        Limit for SCIP [s].

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


def version() -> str:
    """Name and version of Pyomo and of PySCIPOpt."""
    pyomo, pyscipopt = require("pyomo", "validation"), require("pyscipopt", "validation")
    return f"pyomo {pyomo.__version__}, pyscipopt {pyscipopt.__version__}"
