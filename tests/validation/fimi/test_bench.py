"""FIMI's benchmark: its goals name rows that exist, and its peers find the optimum."""

import dataclasses

import numpy as np
import pytest

from validation import bench
from validation.bench.streaming import exp_pass, threads
from validation.fimi.bench import draw, suite

ONCE = bench.Plan(1, 0.0, 0.0)


@pytest.mark.parametrize("quick", [False, True])
def test_goals_name_rows_that_exist(quick):
    full = suite(quick=quick)
    keys = {(g.instance, c.solver, c.what, c.threads) for g in full.groups for c in g.cases}
    loose = {key[:3] for key in keys}
    for goal in full.goals:
        for key in (goal.ours, goal.versus, *goal.also):
            assert key in keys if len(key) == 4 else key in loose, goal.label
        assert goal.goal >= goal.floor if goal.unit == "x" else goal.goal <= goal.floor


def test_first_calls_answer():
    full = suite()
    assert set(full.fresh) == {"single", "batch"}
    assert full.fresh["single"]()().status.name == "OPTIMAL"


def test_draws_repeat_and_half_are_weak():
    assert draw(7, 2, seed=3) == draw(7, 2, seed=3)
    problem = draw(50, weak=True)
    power = problem.solve().transmit_power_w / problem.max_transmit_power_w
    assert 0.4 < (power > 1 - 1e-9).mean() < 0.6


def test_an_exp_pass_takes_every_exponential():
    values = np.random.default_rng(0).random(1000)
    assert exp_pass(values) == pytest.approx(np.exp(values).sum(), rel=1e-14)
    with threads(1):
        assert exp_pass(values) == pytest.approx(np.exp(values).sum(), rel=1e-14)


@pytest.mark.reference
def test_every_peer_finds_the_optimum():
    """The contestants of one size, on smaller instances."""
    (group,) = [g for g in suite(quick=True).groups if g.instance == "I=20"]
    small = dataclasses.replace(group, make=lambda: [draw(2, seed=s) for s in (1, 2)])
    rows = bench.run([bench.Suite("fimi", (small,))], plan=ONCE).rows
    assert {r.solver for r in rows} == {case.solver for case in group.cases}
    for r in rows:
        assert r.note == "", r.label
        assert r.found == r.answered, r.label
