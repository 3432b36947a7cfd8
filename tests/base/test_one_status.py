"""One answer has one status: that of the solution and that of its verification, or a reason for the difference."""

import warnings

import numpy as np
import pytest

from radioopt import SolveOptions, Status
from radioopt.base.certify import certify
from validation.fuzz import draw


def drawn(family, seed):
    """A problem at an extreme scale."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return draw.problem(family, np.random.default_rng([seed, 7]))


@pytest.mark.parametrize("seed", [239, 263, 655])
def test_what_an_exact_method_leaves_open_is_judged_by_plain_numpy(seed):
    solution = drawn("dtkd", seed).solve(throw=False)
    check = solution.verify()
    np.testing.assert_array_equal(check.status, solution.status_code)
    assert (solution.status_code == Status.OPTIMAL).any()
    assert not (solution.status_code == Status.FEASIBLE).any()
    answered = np.isfinite(solution.objective)
    assert (np.abs(solution.gap[answered]) <= 1e-9).all()


@pytest.mark.parametrize("seed", [30, 909])
def test_a_limit_that_was_reached_is_named_by_both(seed):
    solution = drawn("feel", seed).solve(throw=False)
    assert solution.status is Status.ITERATION_LIMIT
    assert Status(int(solution.verify().status)) is Status.ITERATION_LIMIT


def test_a_heuristic_that_found_the_optimum_did_not_prove_it():
    solution = drawn("d2d", 0).solve("none")
    check = solution.verify()
    assert (solution.status, Status(int(check.status))) == (Status.FEASIBLE, Status.OPTIMAL)
    assert check.note == "method 'none' did not prove the optimum, which the bound here does"


def test_an_answer_that_is_none_has_no_point_to_judge():
    from validation.fimi import zoo

    solution = zoo.named()["paper"].solve("integer", SolveOptions(max_iterations=1), throw=False)
    check = solution.verify()
    assert check.status == Status.FAILED
    assert check.note == "method 'integer' has no answer, so that there is no point to judge"


def test_a_graph_beyond_the_digits_proves_nothing_and_denies_nothing():
    problem = drawn("d2d", 304)
    for method in ("enumerate", "local-search"):
        solution = problem.solve(method, throw=False)
        assert (solution.status_code == Status.FEASIBLE).all()
        check = solution.verify()
        assert (check.status == Status.FEASIBLE).all()
        assert check.note == "numbers of some graph are beyond the digits of float64"


def test_without_a_bound_the_gap_is_infinite_whatever_the_scale():
    gap, status = certify(1.0, np.inf, 0.0, sense="max", scale=np.inf)
    assert (gap, status) == (np.inf, Status.FEASIBLE)
    gaps, codes = certify(np.ones(2), np.array([np.inf, 1.0]), np.zeros(2), sense="max", scale=np.inf)
    assert (gaps.tolist(), codes.tolist()) == ([np.inf, 0.0], [Status.FEASIBLE, Status.OPTIMAL])
