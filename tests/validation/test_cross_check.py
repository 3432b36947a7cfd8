"""Every answer is judged by the same certificate; solvers that fail are rows; no reference beats newton."""

import os

import numpy as np
import pytest

import validation
from radioopt import MissingExtraError, OptionError, ProblemError, Status
from validation import cross_check, summarise, validate, worker
from validation.feel import zoo
from validation.reference import Answer, installed, references, room

METHODS = ("newton",) if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0" else ("newton", "bisection")
NAMED = zoo.named()


def judge(table, problem):
    """What must hold of every cross-check of an instance."""
    ours = table.loc["newton"]
    assert (table.loc[list(METHODS), "verdict"] == "OPTIMAL").all()
    assert (
        table.loc[list(METHODS), "difference"] <= 1e-9
    ).all()  # never worse than the best answer, repaired
    answered = table["objective"].notna()
    # no feasible point beats our bound, and no solver's bound excludes our point
    assert (table.loc[answered, "objective"] <= ours["bound"] * (1 + 1e-12)).all()
    assert (table.loc[answered, "bound"] >= ours["objective"] * (1 - 1e-12)).all()


@pytest.mark.reference
@pytest.mark.parametrize(
    "name", ["paper_cpu", "paper_gpu", "one_device", "fractional_thresholds", "limits_differ"]
)
def test_all_solvers_agree(name):
    table = cross_check(NAMED[name], METHODS, time_limit_s=20)
    judge(table, NAMED[name])
    peers = table[table["kind"] == "reference"]
    assert {"cvxpy", "ipopt", "pyomo-scip", "pyomo-scip-convex"} == set(peers.index)
    # the accuracy that the references reach on these instances, Clarabel's 1e-9 and SCIP's 1e-9 among them
    assert (peers["difference"] <= 5e-9).all()
    assert (peers["residual"] <= 1e-8).all()
    np.testing.assert_allclose(peers["reported"], table.loc["newton", "objective"], rtol=1e-7)
    assert (peers["seconds"] > 0).all()
    assert peers["version"].str.contains(r"\d+\.\d+").all()


@pytest.mark.reference
def test_random_instances_against_quick_references():
    for seed in range(25):
        problem = zoo.random(seed)
        judge(cross_check(problem, METHODS, ["cvxpy", "ipopt"]), problem)


EXTENSIONS = {
    "fixed_total": {"total_batchsize": 200.0},
    "broadcast": {"downlink": "broadcast"},
    "deadline_that_binds": {"max_round_latency_s": 0.4},
    "all_of_them": {"total_batchsize": 300.0, "downlink": "broadcast", "max_round_latency_s": 1000.0},
}


@pytest.mark.reference
@pytest.mark.parametrize("change", EXTENSIONS.values(), ids=EXTENSIONS)
def test_all_solvers_know_what_extends_the_paper(change):
    problem = NAMED["paper_cpu"].replace(payload_bits=1e6, **change)
    free = problem.replace(total_batchsize=np.inf, max_round_latency_s=np.inf)
    assert problem.solve().objective < free.solve().objective or set(change) == {"downlink"}
    table = cross_check(problem, METHODS, time_limit_s=20)
    peers = table[table["kind"] == "reference"]
    assert {"cvxpy", "ipopt", "pyomo-scip", "pyomo-scip-convex"} == set(peers.index)
    assert (peers["residual"] <= 1e-8).all()
    in_time = peers["verdict"] != "FAILED"
    assert (peers.loc[in_time, "difference"] <= 5e-9).all()
    # within their tolerances the others may miss a deadline, and are then a little better than anything feasible
    assert in_time["ipopt"]
    assert (peers.loc[~in_time, "difference"].abs() <= 2e-8).all()
    judge(table[table["verdict"] != "FAILED"], problem)


def test_an_infeasible_point_is_not_the_best(monkeypatch):
    problem = NAMED["paper_cpu"].replace(payload_bits=1e6)
    late = problem.solve()
    decisions = {name: getattr(late, name) for name in late.decisions}
    hurried = problem.replace(max_round_latency_s=0.9 * float(late.round_latency_s))
    answer = Answer(decisions, float(late.objective), 0.0, 0.0, "optimal", "none 1.0")
    monkeypatch.setattr(worker, "ask", lambda *_: answer)
    table = cross_check(hurried, ["newton"], ["cvxpy"])
    assert table.loc["cvxpy", "verdict"] == "FAILED"
    assert table.loc["cvxpy", "difference"] < 0
    assert table.loc["newton", "difference"] == 0


def test_a_baseline_is_named_as_such():
    table = cross_check(NAMED["one_device"], ["newton", "round-up"], [])
    assert table["kind"].tolist() == ["method", "baseline"]
    assert table["verdict"].tolist() == ["OPTIMAL", "FEASIBLE"]
    assert table.loc["round-up", "difference"] > 1e-4


@pytest.mark.exhaustive
@pytest.mark.reference
def test_no_reference_beats_newton_anywhere():
    table = validate("feel", 300, time_limit_s=5)
    for name, group in table.groupby(level="instance", sort=False):
        rows = group.droplevel("instance")
        problem = NAMED.get(name) or zoo.random(int(name.removeprefix("random_")))
        judge(rows, problem)
    assert summarise(table).loc["newton", "optimal"] == 300 + len(NAMED)


# -- bookkeeping ------------------------------------------------------------------------------------------------


def test_a_batch_is_refused():
    batch = zoo.random_batch(np.random.default_rng(1), 3, 2)
    with pytest.raises(
        OptionError, match=r"cross_check: expected a single instance, got a batch of \(3,\): index it"
    ):
        cross_check(batch)


def test_unknown_names_are_refused():
    problem = NAMED["one_device"]
    with pytest.raises(OptionError, match="unknown method 'simplex', choose from newton, bisection"):
        cross_check(problem, methods=["simplex"])
    with pytest.raises(OptionError, match="unknown reference 'gurobi', choose from cvxpy, ipopt, pyomo-scip"):
        cross_check(problem, references=["gurobi"])
    with pytest.raises(OptionError, match="no validation of problem 'nosuch', choose from "):
        validate("nosuch")
    with pytest.raises(OptionError, match="expected instances >= 0, got -1"):
        validate("feel", -1)
    assert "feel" in validation.checked_families()


def test_a_missing_dependency_says_how_to_install_it():
    known = references("feel")["cvxpy"]
    missing = type(known)("none", known.solve, ("no_such_solver",), None, "")
    with pytest.raises(
        MissingExtraError, match=r"no_such_solver is not installed: pip install 'radioopt\[valid"
    ):
        installed(missing)


def test_a_worker_that_fails_is_a_row(monkeypatch):
    outcomes = iter(
        [
            worker.WorkerError("killed: no answer after 3 s"),
            ProblemError("refused"),
            Answer(
                {}, np.nan, 0.0, 0.0, "optimal", "none 1.0"
            ),  # an answer without decisions cannot be judged
        ]
    )

    def ask(peer, problem, time_limit_s):
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(worker, "ask", ask)
    table = cross_check(NAMED["one_device"], ["newton"], ["cvxpy", "ipopt", "pyomo-scip"])
    assert table.loc["cvxpy", "status"] == "killed: no answer after 3 s"
    assert table.loc["ipopt", "status"] == "refused"
    assert "batchsize" in table.loc["pyomo-scip", "status"]
    assert table["objective"].isna().tolist() == [False, True, True, True]
    assert table.loc["newton", "difference"] == 0


def test_a_method_that_raises_is_a_row(monkeypatch):
    problem = NAMED["one_device"]

    def broken(problem, options):
        raise ZeroDivisionError("division by zero")

    method = type(problem).methods["newton"]
    monkeypatch.setitem(type(problem).methods, "newton", type(method)("newton", broken, True, "", ()))
    table = cross_check(problem, (*METHODS[1:], "newton"), [])
    assert table.loc["newton", "status"] == "ZeroDivisionError: division by zero"
    assert np.isnan(table.loc["newton", "objective"])


def test_validate_covers_the_zoo_and_reports_progress():
    seen = []
    table = validate(
        "feel", 2, seed=5, methods=["newton"], references=[], progress=lambda *step: seen.append(step)
    )
    names = [*NAMED, "random_5", "random_6"]
    assert list(table.index.get_level_values("instance")) == names
    assert seen == [*((i, len(names), name) for i, name in enumerate(names)), (len(names), len(names), "")]
    summary = summarise(table)
    assert summary.loc["newton", ["instances", "answered", "optimal"]].tolist() == [len(names)] * 3
    assert summary.loc["newton", "worst_gap"] == table["gap"].max()
    assert (table["verdict"] == Status.OPTIMAL.name).all()


# -- worker processes -------------------------------------------------------------------------------------------


@pytest.fixture
def own_worker(monkeypatch):
    """A worker table of this test alone."""
    monkeypatch.setattr(worker, "_WORKERS", {})
    yield worker._WORKERS
    worker.stop_all()


@pytest.mark.reference
def test_a_worker_is_kept_and_replaced_after_a_crash(own_worker):
    peer, problem = references("feel")["ipopt"], NAMED["one_device"]
    worker.ask(peer, problem, 20.0)
    first = own_worker[peer.modules]
    worker.ask(peer, problem, 20.0)
    assert own_worker[peer.modules] is first
    first.process.kill()
    first.process.wait(60)
    with pytest.raises(worker.WorkerError, match="crashed"):
        worker.ask(peer, problem, 20.0)
    assert worker.ask(peer, problem, 20.0).status == "Solve_Succeeded"


@pytest.mark.reference
def test_a_worker_that_hangs_is_killed(own_worker, monkeypatch):
    peer, problem = references("feel")["ipopt"], NAMED["one_device"]
    worker.ask(peer, problem, 20.0)
    monkeypatch.setattr(worker, "GRACE_S", -20.0)  # it would answer, but is not waited for
    with pytest.raises(worker.WorkerError, match="killed: no answer after 0 s"):
        worker.ask(peer, problem, 20.0)
    assert not own_worker


def test_a_printed_table_shows_what_matters():
    table = cross_check(NAMED["one_device"], ["newton", "round-up"], ["cvxpy"])
    lines = str(table).splitlines()
    assert lines[0].split() == [
        "solver",
        "kind",
        "verdict",
        "objective",
        "difference",
        "gap",
        "residual",
        "seconds",
    ]
    assert [line.split()[0] for line in lines[1:4]] == ["newton", "round-up", "cvxpy"]
    assert lines[1].split()[1:3] == ["method", "OPTIMAL"]
    assert max(map(len, lines)) <= 100
    assert "status" in table.columns  # which is there, and not printed
    assert type(table[table["kind"] == "method"]).__name__ == "DataFrame"
    text = table.to_latex(caption="all solvers")
    assert "solver & kind & verdict & objective & difference & gap & residual & time [" in text
    assert "$-0$" not in text


def test_a_feasible_graph_that_a_repair_would_make_worse_is_judged_as_it_is():
    """A link into a cluster without a budget may carry nothing, and still change what others get."""
    problem = room("d2d-clusters").random(15, max_devices=5)
    table = cross_check(problem, methods=["enumerate", "local-search"], references=[])
    assert table.loc["enumerate", "verdict"] == "OPTIMAL"
    assert table.loc["enumerate", "difference"] == 0
