"""Put one problem to every method and every generic solver, and judge all answers by the same certificate.

Nothing here knows a family: methods come from the problem's registry, models and instances from
``validation.<family>``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import OptionError, RadioOptError
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.status import Status
from validation import worker
from validation.checked import Checked
from validation.measure import measure
from validation.reference import Reference, installed, references, room

if TYPE_CHECKING:
    import pandas as pd

    from radioopt.base.certify import Certificate

TIME_LIMIT_S = 60.0


def cross_check(
    problem: Problem[Any],
    methods: Iterable[str] | None = None,
    references: Iterable[str] | None = None,
    options: SolveOptions = DEFAULT_OPTIONS,
    *,
    time_limit_s: float = TIME_LIMIT_S,
) -> pd.DataFrame:
    """Solve a problem with everything there is, and compare.

    Parameters
    ----------
    problem : Problem
        A single instance.
    methods : iterable of str, optional
        Methods of radioopt, the paper's own among them; all by default.
    references : iterable of str, optional
        Generic solvers; by default all that take an instance of this size.
    options : SolveOptions, optional
        Tolerances to solve with and to judge by.
    time_limit_s : float, default 60
        Limit for each generic solver [s].

    Returns
    -------
    pandas.DataFrame
        Printed, it shows what matters; it has more columns. One row per solver, indexed by its name:

        - ``kind``: "method", "baseline" (a method that does not claim to be optimal) or "reference";
        - ``residual``: largest scaled violation of a constraint by the point as returned;
        - ``reported``: the objective that the solver reports;
        - ``objective``, ``bound``, ``gap``, ``verdict``: of the repaired point, by ``problem.certificate``;
        - ``difference``: how much worse the objective is than the best of all feasible rows, relatively;
        - ``seconds``: wall time; ``status``, ``version``: the solver's own words;
        - ``note``: why the judge has no bound, where it has none.

        A solver that raises or finds no point has NaN there and says why in ``status``.

    Raises
    ------
    OptionError
        If the problem is a batch, or a name is not known.
    MissingExtraError
        If a generic solver is not installed.

    Notes
    -----
    Threads and forked processes may check at once. An interruption, a signal's exception among them, ends the check and
    the solver that it waited for.

    Examples
    --------
    >>> from validation.feel.zoo import named
    >>> table = cross_check(named()["paper_gpu"], methods=["newton"], references=["cvxpy"])
    >>> table["verdict"].to_dict(), bool(table["difference"].max() < 1e-6)
    ({'newton': 'OPTIMAL', 'cvxpy': 'OPTIMAL'}, True)
    """
    import pandas as pd

    if problem.batch_shape:
        raise OptionError(
            f"cross_check: expected a single instance, got a batch of {problem.batch_shape}: index it"
        )
    chosen = _chosen_methods(problem, methods)
    rows = [_method_row(problem, name, options) for name in chosen]
    for peer in _chosen_references(problem, references):
        rows.append(_reference_row(problem, peer, options, time_limit_s))
    frame = Checked(pd.DataFrame(rows).set_index("solver"))
    objectives = frame["objective"]
    sign = 1.0 if problem.sense == "min" else -1.0
    feasible = frame["verdict"] != Status.FAILED.name  # a point outside the constraints can beat every other
    best = sign * (sign * objectives[feasible]).min()
    frame["difference"] = sign * (objectives - best) / max(problem.scale, abs(best), np.finfo(float).tiny)
    return frame


def validate(
    family: str,
    instances: int = 20,
    seed: int = 0,
    *,
    methods: Iterable[str] | None = None,
    references: Iterable[str] | None = None,
    options: SolveOptions = DEFAULT_OPTIONS,
    time_limit_s: float = TIME_LIMIT_S,
    progress: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """Cross-check the named instances of a family and some random ones.

    Parameters
    ----------
    family : str
        Problem family, ``"feel"`` for instance.
    instances : int, default 20
        Number of random instances beside the named ones.
    seed : int, default 0
        Seed of the first random instance; the next have the next seeds.
    methods, references, options, time_limit_s
        As in :func:`cross_check`.
    progress : callable, optional
        Called as ``progress(done, total, name)`` before each instance and once at the end.

    Returns
    -------
    pandas.DataFrame
        The rows of :func:`cross_check`, indexed by instance and solver; :func:`summarise` condenses them.

    Raises
    ------
    OptionError
        If the family or a name is not known, or ``instances`` is negative.
    MissingExtraError
        If a generic solver is not installed.

    Examples
    --------
    >>> table = validate("feel", instances=1, methods=["newton"], references=[])
    >>> summarise(table).loc["newton", ["answered", "optimal"]].tolist() == [len(table), len(table)]
    True
    """
    import pandas as pd

    if instances < 0:
        raise OptionError(f"validate: expected instances >= 0, got {instances}")
    zoo = room(family)
    cases: dict[str, Problem[Any]] = zoo.named()
    cases |= {f"random_{seed + i}": zoo.random(seed + i) for i in range(instances)}
    methods = None if methods is None else tuple(methods)
    references = None if references is None else tuple(references)
    frames = {}
    for done, (name, problem) in enumerate(cases.items()):
        if progress is not None:
            progress(done, len(cases), name)
        frames[name] = cross_check(problem, methods, references, options, time_limit_s=time_limit_s)
    if progress is not None:
        progress(len(cases), len(cases), "")
    return pd.concat(frames, names=["instance"])


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Condense the result of :func:`validate` to the worst that happened to each solver.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`validate` returned.

    Returns
    -------
    pandas.DataFrame
        One row per solver: instances asked, answered and certified ``optimal`` after repair; the worst residual,
        gap and difference among the answers; median seconds; and the worst instance: of an exact method one that is
        not certified optimal, if there is any, else that with the largest difference.
    """
    import pandas as pd

    rows = {}
    for solver, group in table.groupby(level="solver", sort=False):
        answered = group[group["objective"].notna()]
        worst = answered["difference"]
        unproven = answered[answered["verdict"] != Status.OPTIMAL.name]
        if group["kind"].iloc[0] == "method" and len(unproven):
            worst = unproven["gap"].fillna(np.inf)
        rows[solver] = {
            "kind": group["kind"].iloc[0],
            "instances": len(group),
            "answered": len(answered),
            "optimal": int((group["verdict"] == Status.OPTIMAL.name).sum()),
            "worst_residual": answered["residual"].max(),
            "worst_gap": answered["gap"].max(),
            "worst_difference": answered["difference"].max(),
            "median_seconds": group["seconds"].median(),
            "worst_instance": worst.index[int(worst.to_numpy().argmax())][0] if len(worst) else "",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("solver")


def _chosen_methods(problem: Problem[Any], names: Iterable[str] | None) -> Sequence[str]:
    chosen = tuple(problem.methods if names is None else names)
    for name in chosen:
        if name not in problem.methods:
            raise OptionError(
                f"cross_check: unknown method {name!r}, choose from {', '.join(problem.methods)}"
            )
    return chosen


def _chosen_references(problem: Problem[Any], names: Iterable[str] | None) -> list[Reference]:
    known = references(problem.family)
    if names is None:
        size = problem.sizes["device"]
        return [
            installed(peer) for peer in known.values() if peer.max_devices is None or size <= peer.max_devices
        ]
    names = tuple(names)
    for name in names:
        if name not in known:
            raise OptionError(f"cross_check: unknown reference {name!r}, choose from {', '.join(known)}")
    return [installed(known[name]) for name in names]


def _method_row(problem: Problem[Any], name: str, options: SolveOptions) -> dict[str, Any]:
    row = _empty_row(name, "method" if problem.methods[name].exact else "baseline")
    start = time.perf_counter()
    try:
        solution = problem.solve(name, options, throw=False)
        row["seconds"] = time.perf_counter() - start
        decisions = {decision: getattr(solution, decision) for decision in solution.decisions}
        row |= {"reported": float(solution.objective), "status": solution.status.name, "version": "radioopt"}
        row |= _judge(problem, decisions, options, solution.verify(options))
    except TimeoutError:  # no method raises it: an alarm of the caller's
        raise
    except Exception as error:  # whatever it is, the others are to be heard
        row |= {"seconds": time.perf_counter() - start, "status": f"{type(error).__name__}: {error}"}
    return row


def _reference_row(
    problem: Problem[Any], peer: Reference, options: SolveOptions, time_limit_s: float
) -> dict[str, Any]:
    row = _empty_row(peer.name, "reference")
    start = time.perf_counter()
    try:
        answer = worker.ask(peer, problem, time_limit_s)
    except RadioOptError as error:  # anything else interrupts the whole check
        return row | {"seconds": time.perf_counter() - start, "status": str(error)}
    row |= {"seconds": answer.seconds, "status": answer.status, "version": answer.version}
    row["reported"] = answer.objective
    try:
        row |= _judge(problem, answer.decisions, options)
    except Exception as error:  # whatever is wrong with the answer, the others are to be heard
        row |= {"status": f"{answer.status}, but not judged: {type(error).__name__}: {error}"}
    return row


def _empty_row(solver: str, kind: str) -> dict[str, Any]:
    numbers = dict.fromkeys(("residual", "reported", "objective", "bound", "gap"), np.nan)
    return {
        "solver": solver,
        "kind": kind,
        **numbers,
        "verdict": "",
        "difference": np.nan,
        "seconds": np.nan,
        "status": "",
        "version": "",
        "note": "",
    }


def _judge(
    problem: Problem[Any],
    decisions: dict[str, Any],
    options: SolveOptions,
    returned: Certificate | None = None,
) -> dict[str, Any]:
    """Measure the point as returned, and the point repaired."""
    returned, repaired = measure(problem, decisions, options, returned)
    return {
        "residual": float(returned.residual),
        "objective": float(repaired.objective),
        "bound": float(repaired.bound),
        "gap": float(repaired.gap),
        "verdict": Status(int(repaired.status)).name,
        "note": repaired.note,
    }
