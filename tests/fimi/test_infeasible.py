"""What cannot be done is refused with the quantity, both numbers and the nearest feasible value; nothing else is."""

import re

import numpy as np
import pytest

from radioopt import SolveError, Status
from radioopt.fimi import infeasible, kernel
from radioopt.fimi.device import Canonical
from validation.fimi import zoo

KINDS = zoo.infeasible()
MESSAGES = {
    "one_cannot_compute_in_time": r"max_round_latency_s: expected at least .*, the time of device 3 .*, got 60;",
    "one_cannot_upload_in_time": r"max_round_latency_s: expected at least .*, the time of device 7 .*, got 60;",
    "one_lacks_the_time_for_both": r"max_round_latency_s: expected at least .* unlimited bandwidth, got 4\.2;",
    "band_too_narrow": r"bandwidth_hz: expected at least .*, what the round takes without .*, got 2000000;",
    "band_too_narrow_for_fixed_samples": r"bandwidth_hz: expected at least .* with its samples fixed, got 3000000;",
    "no_error_is_low_enough": r"max_global_error: expected at least 0\.043.*, got 0\.001;",
    "too_few_samples_allowed": r"max_global_error: expected at least 0\.203.* all synthetic samples .*, got 0\.2;",
    "samples_and_band_conflict": r"bandwidth_hz: expected at least 4\.67.*e\+07, what so many samples .*, got 2e\+07;",
}


def test_an_error_that_no_limit_allows_is_not_given_one():
    problem = zoo.named()["paper"]
    hopeless = problem.replace(curve_beta=1e-9)
    with pytest.raises(
        SolveError, match=r"max_global_error: not even 1 can be met, the error with all .* allowed;"
    ):
        hopeless.solve()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_refused_by_name(kind):
    with pytest.raises(SolveError, match=MESSAGES[kind]) as refused:
        KINDS[kind].solve()
    assert refused.value.solution.status is Status.INFEASIBLE


@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_feasible_values_are_feasible_and_nearest(kind):
    problem = KINDS[kind]
    message = infeasible.explain(problem)
    nearest = re.findall(r"(\w+) of ([\d.e+]+)", message.partition("feasible,")[2])
    assert nearest
    for name, value in nearest:
        assert problem.replace(**{name: float(value) * (1 + 1e-6)}).solve(throw=False).status.usable
        short = problem.replace(**{name: float(value) * (1 - 1e-5)}).solve(throw=False)
        assert short.status is Status.INFEASIBLE


def test_the_boundary_is_sharp():
    rng = np.random.default_rng(7)
    for devices in (1, 2, 5, 20):
        batch = zoo.random_batch(rng, 20, devices)
        with np.errstate(all="ignore"):
            least = infeasible.bandwidth_to_learn(Canonical.of(batch))
        assert (least <= batch.bandwidth_hz * (1 + 1e-9)).all()
        assert (batch.replace(bandwidth_hz=least * (1 + 1e-4)).solve().status == Status.OPTIMAL).all()
        assert (
            batch.replace(bandwidth_hz=least * (1 - 1e-6)).solve(throw=False).status == Status.INFEASIBLE
        ).all()


def test_feasible_instances_are_never_proven_infeasible():
    for seed in range(10):
        batch = zoo.random_batch(np.random.default_rng(seed), 30, 1 + 3 * seed)
        assert not infeasible.proven(batch).any()


def test_least_error_and_bandwidth_agree():
    problem = KINDS["samples_and_band_conflict"]
    p = Canonical.of(problem)
    with np.errstate(all="ignore"):
        reached, proven = infeasible.least_learning(p)
        assert reached == pytest.approx(float(proven), rel=1e-9)
        assert float(reached) > problem.learning_budget
        again = infeasible.bandwidth_to_learn(Canonical.of(zoo.with_budget(problem, float(reached))))
    assert again == pytest.approx(float(problem.bandwidth_hz), rel=1e-6)


def test_infeasible_members_of_a_batch_are_proven_before_the_long_searches():
    feasible = zoo.random_batch(np.random.default_rng(3), 12, 5)
    with np.errstate(all="ignore"):
        least = infeasible.bandwidth_to_learn(Canonical.of(feasible))
    narrow = np.arange(12) % 3 == 0
    mixed = feasible.replace(bandwidth_hz=np.where(narrow, least * 0.9, feasible.bandwidth_hz))
    solution = mixed.solve(throw=False)
    np.testing.assert_array_equal(solution.status == Status.INFEASIBLE, narrow)
    assert solution.iterations[narrow].max() <= 2 * kernel.MOST_PASSES  # Newton's method only
    for name in solution.quantities:
        np.testing.assert_array_equal(
            getattr(solution, name)[~narrow], getattr(feasible.solve(), name)[~narrow]
        )
    assert "bandwidth_hz: expected at least" in solution[0].why_infeasible()
