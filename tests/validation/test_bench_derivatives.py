"""The benchmark of derivatives: errors against 60 digits, and other solvers' gradients."""

import math

import pytest

from validation import bench
from validation.bench import contestants, derivatives
from validation.bench.results import Row, judge_goal
from validation.bench.timing import Plan
from validation.feel.kkt import kkt
from validation.feel.zoo import with_option

ONCE = Plan(rounds=1, sample_s=0.0, cap_s=0.0)


def test_gradients_are_measured_against_sixty_digits_and_by_differences():
    batch = with_option("cpu", 1, count=2, devices=3)
    error = derivatives.error_against_digits(lambda: batch, kkt, "batchsize", ("uplink_rate_bps",))
    group = derivatives.group(
        "radioopt newton",
        "2 x K=3",
        "two instances",
        lambda: [batch],
        contestants.solve(),
        {"batchsize": 1.0, "objective": 1.0},
        bench.Case(
            "differences",
            derivatives.BOTH,
            derivatives.differences("batchsize", contestants.first(2), error),
        ),
        loss={"batchsize": 1.0},
        error=error,
    )
    goal = derivatives.backward_goal("all", "2 x K=3", "radioopt newton")
    results = bench.run([bench.Suite("feel", (group,), (goal,))], plan=ONCE)
    errors = {(row.solver, row.what): row.error for row in results.rows}
    assert errors["radioopt newton", "solve + gradient"] < 1e-12
    assert 1e-12 < errors["differences", "solve + gradient"] < 1e-6
    assert math.isnan(errors["radioopt newton", "solve"])
    assert results.goals[0].word in ("goal", "floor", "missed")
    report = bench.markdown(results)
    assert "| gap | error | ratio |" in report
    assert "all: gradient, in times of its solve" in report


def test_derivatives_that_are_less_accurate_void_a_goal():
    ours, peer = (Row("feel", "K=3", solver, "solve + gradient") for solver in ("radioopt", "peer"))
    for row in (ours, peer):
        row.minimum_s = row.median_s = 1.0
        row.answered = row.found = 1
        row.gap = 1e-13
    goal = bench.Goal("x", ("K=3", "radioopt", ours.what), ("K=3", "peer", ours.what), 1, 1)
    ours.error, peer.error = 1e-6, 1e-9
    assert "derivatives are less accurate" in judge_goal("feel", goal, [ours, peer]).word
    ours.error = 1e-13
    assert judge_goal("feel", goal, [ours, peer]).word == "goal"


@pytest.fixture(scope="module")
def cone_programs():
    """What every solver of cone programs gave, held once against 60 digits."""
    pytest.importorskip("cvxpylayers")
    rows = bench.run(["feel"], only="gradients/cvxpylayers", plan=ONCE).rows
    return {row.solver: row for row in rows}


@pytest.mark.reference
@pytest.mark.parametrize(("peer", "within"), [("diffcp", 1e-8), ("moreau", 1e-3)])
def test_differentiable_cone_programs_find_the_same_gradients(cone_programs, peer, within):
    pytest.importorskip(peer)
    row = cone_programs[f"cvxpylayers {peer}"]
    assert not row.note
    assert row.found == row.answered
    assert row.error < within
