"""SCIP's mixed-integer program and plain enumeration against radioopt's methods; the zoo and the benchmark."""

import dataclasses

import numpy as np
import pytest

from validation import bench, cross_check
from validation.d2d import enumeration, pyomo_model, zoo
from validation.d2d.bench import suite
from validation.reference import NoAnswerError
from validation.reproduce import d2d_gaps


def proven(problem, limit):
    """SCIP's optimum, if it proves it."""
    answer = pyomo_model.solve(problem, limit)
    assert answer.status.startswith("optimal")
    found = problem.certificate(**answer.decisions)
    assert found.residual <= 0
    assert found.objective == pytest.approx(answer.objective, rel=1e-6)
    return float(found.objective)


@pytest.mark.reference
@pytest.mark.parametrize(
    "name", ["base", "received_budgets", "compensated", "total_variation", "nothing_outside_clusters"]
)
def test_scip_proves_the_optimum_of_named_instances(name):
    problem = zoo.named()[name]
    assert proven(problem, 60.0) == pytest.approx(float(problem.solve("enumerate").objective), rel=1e-7)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("devices", "seed"), [(8, 1), (8, 3), (8, 4), (8, 5), (9, 0), (9, 1), (9, 2), (10, 0), (10, 1), (10, 2)]
)
def test_scip_proves_what_local_search_finds(devices, seed):
    problem = small(devices, seed)
    assert proven(problem, 300.0) == pytest.approx(float(problem.solve(starts=20).objective), rel=1e-6)


def small(devices, seed):
    """Instances of few classes and sparse trust, which SCIP can prove in minutes."""
    problem = zoo.draw(devices, seed, classes=4, held=2)
    rng = np.random.default_rng([seed, devices, 1])
    return problem.replace(trust=problem.trust & (rng.random((devices, devices, 1)) < 0.4))


def test_what_the_model_does_not_know_is_said():
    named = zoo.named()
    for name in ("change", "jensen_shannon"):
        with pytest.raises(NoAnswerError, match=r"this model knows the score 'improvement'"):
            pyomo_model.build(named[name])
    with pytest.raises(NoAnswerError, match=r"every device to keep some data"):
        pyomo_model.build(named["device_without_data"])
    with pytest.raises(NoAnswerError, match=r"graphs, more than"):
        enumeration.best(zoo.draw(9))


def test_all_are_judged_alike():
    table = cross_check(zoo.named()["base"], references=["enumeration"])
    assert (table["verdict"][["enumerate", "enumeration"]] == "OPTIMAL").all()
    assert table.loc["local-search", "difference"] < 0.1
    assert table.loc["none", "objective"] == 0.0
    assert (table["residual"] <= 0).all()
    assert (table["gap"] >= 0).all()


def test_the_zoo_is_reproducible_and_what_its_names_say():
    assert all(zoo.random(seed) == zoo.random(seed) for seed in range(10))
    assert zoo.random(1) != zoo.random(2)
    named = zoo.named()
    assert max(problem.sizes["device"] for problem in named.values()) == 5
    assert named["nobody_trusts"].solve("enumerate").iterations == 1
    assert not named["nobody_spares"].surplus.any()
    outside = named["nothing_outside_clusters"].solve("enumerate")
    assert not outside.inter_cluster_points.any()
    assert named["tight_budgets"].solve("enumerate").objective <= named["base"].solve("enumerate").objective


@pytest.mark.parametrize("quick", [False, True])
def test_goals_name_rows_that_exist(quick):
    full = suite(quick=quick)
    keys = {(g.instance, c.solver, c.what) for g in full.groups for c in g.cases}
    for goal in full.goals:
        assert {goal.ours, goal.versus} <= keys
        assert goal.goal >= goal.floor if goal.unit == "x" else goal.goal <= goal.floor


def test_the_benchmark_runs():
    group, _ = suite(quick=True).groups  # the other has listed links
    small_group = dataclasses.replace(group, make=lambda: [zoo.draw(12, s) for s in (1, 2)])
    rows = bench.run([bench.Suite("d2d", (small_group,))], plan=bench.Plan(1, 0.0, 0.0)).rows
    assert len(rows) == 4
    assert all(row.note == "" and row.measured for row in rows)


@pytest.mark.slow
def test_one_start_beats_q_learning_where_they_are_timed():
    for seed in range(3):
        problem = zoo.draw(100, seed)
        assert problem.solve().objective > 1.1 * problem.solve("q-learning").objective


def test_the_table_of_gaps():
    found = d2d_gaps.gaps(5, 2, "change", iterations=200)
    assert (found["mean gap"] >= -1e-12).all()
    assert found.loc["local-search", "mean gap"] < found.loc["uniform", "mean gap"]
