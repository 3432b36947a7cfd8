"""The model of every family in every language: what it finds, and what it finds with one more constraint."""

import numpy as np
import pytest

import validation
from radioopt import OptionError, Scenario, SolveOptions

#: as exact as generic solvers are
ABOUT = SolveOptions(feasibility_tol=1e-7, gap_tol=1e-6)


def devices(name, count):
    return Scenario.load(name, {"devices.count": count}).draw(seed=1)


def fixed_choices():
    problem = devices("dtkd", 3).problem("dtkd")
    best = problem.solve()
    return problem.replace(fixed_model=best.model, fixed_place=best.trains_locally.astype(float))


PROBLEMS = {
    "feel": lambda: devices("feel-cpu", 4).problem("feel"),
    "feel-deadline": lambda: devices("feel-cpu", 4).problem("feel", max_round_latency_s=40.0),
    "fimi": lambda: devices("fimi", 3).problem("fimi"),
    "dtkd": lambda: devices("dtkd", 2).problem("dtkd"),
    "dtkd-fixed": fixed_choices,
}
#: problem, language, the quantity that one more constraint is about, and by how much it is raised over its least value
CASES = [
    ("feel", "cvxpy", "uplink_slot_s"),
    ("feel", "casadi", "uplink_slot_s"),
    ("feel", "pyomo", "uplink_slot_s"),
    ("feel-deadline", "cvxpy", "uplink_slot_s"),
    ("feel-deadline", "casadi", "uplink_slot_s"),
    ("fimi", "cvxpy", "log_bandwidth_hz"),
    ("fimi", "casadi", "bandwidth_hz"),
    ("dtkd-fixed", "cvxpy", "bandwidth_hz"),
    ("dtkd-fixed", "casadi", "bandwidth_hz"),
    ("dtkd-fixed", "pyomo", "bandwidth_hz"),
    ("dtkd", "cvxpy", "bandwidth_hz"),
]


def floor(language, expression, least):
    """The constraint that no element of an expression is below a number, in a language."""
    if language == "casadi":
        return [(least, expression, np.inf)]
    if language == "pyomo":
        return [expression[k] >= least for k in expression]
    return [expression >= least]


@pytest.mark.reference
@pytest.mark.parametrize(("name", "language", "quantity"), CASES)
def test_a_model_is_solved_added_to_and_solved_again(name, language, quantity):
    pytest.importorskip({"pyomo": "pyscipopt"}.get(language, language))
    problem = PROBLEMS[name]()
    written = validation.model(problem, language)
    answer = written.solve()
    judged = problem.judge(ABOUT, **answer)
    assert judged.status.ok, judged
    plain = quantity.removeprefix("log_")
    least = 1.02 * float(answer[plain].min())
    least = np.log(least) if quantity != plain else least
    more = written.solve(*floor(language, written.variables[quantity], least))
    reached = np.log(more[plain]) if quantity != plain else more[plain]
    assert reached.min() >= least - 1e-6 * abs(least)
    dearer = problem.judge(ABOUT, **more)
    assert dearer.status.usable
    assert dearer.gap > judged.gap  # a constraint costs something
    again = written.solve()
    assert problem.judge(ABOUT, **again).objective == pytest.approx(judged.objective, rel=1e-7)


@pytest.mark.reference
def test_a_pyomo_model_is_changed_in_place():
    pyo = pytest.importorskip("pyomo.environ")
    pytest.importorskip("pyscipopt")
    problem = PROBLEMS["dtkd-fixed"]()
    written = validation.model(problem, "pyomo")
    band = written.variables["bandwidth_hz"]
    assert written.model.bandwidth_hz is band
    written.model.fair = pyo.Constraint(expr=band[0] >= band[1])
    found = written.solve()["bandwidth_hz"]
    assert found[0] >= found[1] * (1 - 1e-6)


@pytest.mark.reference
@pytest.mark.parametrize("language", ["cvxpy", "pyomo", "casadi"])
def test_a_model_is_printed_by_the_names_in_it(language):
    pytest.importorskip(language)
    program = validation.model(devices("feel-cpu", 4).problem("feel"), language)
    first, *lines = str(program).splitlines()
    assert first == f"Model: {language}"
    assert lines[0].endswith(", ".join(program.variables))
    assert lines[1].endswith(", ".join(program.constraints))
    assert [line.split()[0] for line in lines] == ["variables", "constraints", "scaling"]


def test_constraints_of_another_model_are_refused():
    problem = devices("feel-cpu", 3).problem("feel")
    one, other = validation.model(problem), validation.model(problem)
    with pytest.raises(OptionError, match="about variables of another model"):
        one.solve(other.variables["uplink_slot_s"] >= 1e-3)
    assert one.solve(one.variables["uplink_slot_s"] >= 1e-3)["uplink_slot_s"].min() > 0.9e-3


def test_a_graphs_model_has_its_links():
    pytest.importorskip("pyscipopt")
    problem = next(p for p in _graphs() if p.sizes["device"] <= 4 and p.useful_pairs().any())
    written = validation.model(problem, "pyomo")
    best = problem.solve("enumerate")
    assert problem.judge(ABOUT, **written.solve()).objective == pytest.approx(best.objective, rel=1e-6)
    links = list(written.variables["link"].values())
    alone = problem.judge(**written.solve(sum(links) <= 0))
    assert (alone.source == -1).all()


def _graphs():
    from validation.d2d.zoo import named, random

    for problem in [*named().values(), *(random(seed) for seed in range(20))]:
        known = problem.score == "improvement" and problem.metric == "wasserstein"
        if known and (np.minimum(problem.class_counts, problem.thresholds).sum(-1) > 0).all():
            yield problem


def test_what_there_is_no_model_of():
    problem = PROBLEMS["feel"]()
    with pytest.raises(OptionError, match="unknown language 'gams', choose from cvxpy, pyomo, casadi"):
        validation.model(problem, "gams")
    plans = Scenario.load("mix2fld").draw(seed=1).problem("mix2fld")
    with pytest.raises(OptionError, match="mix2fld has no model in cvxpy: its plans are finitely many"):
        validation.model(plans, "cvxpy")
    batch = Scenario.load("feel-cpu").draw(seed=1, size=2).problem("feel")
    with pytest.raises(OptionError, match="expected a single instance, got a batch"):
        validation.model(batch, "cvxpy")
    with pytest.raises(OptionError, match="d2d has no model in cvxpy: there is one in pyomo"):
        validation.model(next(_graphs()), "cvxpy")


def test_expressions_name_the_decisions():
    pytest.importorskip("cvxpy")
    for name in ("feel", "dtkd-fixed"):
        written = validation.model(PROBLEMS[name](), "cvxpy")
        continuous = {
            n for n in PROBLEMS[name]().solution_class().decisions if n not in ("model", "trains_locally")
        }
        assert continuous <= set(written.variables)
        assert len(written.constraints) == len(written.model.constraints)
        assert written.scaling


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("d2d-sparse", r"there is one in pyomo of the same problem by matrices, problem\.dense\(\)"),
        ("d2d-clusters", "what clusters become is no mixed-integer program"),
        ("mix2fld", "its plans are finitely many and all tried"),
    ],
)
def test_why_a_family_has_no_model(name, why):
    with pytest.raises(OptionError, match=f"{name} has no model in pyomo: {why}"):
        validation.model(devices(name, 4).problem(name), "pyomo")


def test_a_solution_is_not_taken_for_a_problem():
    solution = devices("feel-cpu", 3).problem("feel").solve()
    with pytest.raises(OptionError, match=r"expected a problem, got a BatchsizeSolution: .*\.problem"):
        validation.model(solution, "cvxpy")
