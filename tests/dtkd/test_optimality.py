"""The exact method against enumeration, SCIP and its own bound; hard, large and infeasible instances."""

import os

import numpy as np
import pytest

from radioopt import SolveError, SolveOptions, Status
from radioopt.dtkd import DistillationProblem, ModelCatalogue
from validation.dtkd import cvxpy_model, enumeration, ipopt_model, pyomo_model, zoo
from validation.reference import NoAnswerError

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
compiled = pytest.mark.skipif(INTERPRETED, reason="millions of nodes or users in plain Python")
NAMED, INFEASIBLE = zoo.named(), zoo.infeasible()


def least_cost(problem):
    """Optimum by enumeration; None where it finds no feasible vector."""
    try:
        return enumeration.solve(problem, 60.0).objective
    except NoAnswerError:
        return None


def check_against_enumeration(seed, max_devices):
    problem = zoo.random(seed, max_devices=max_devices)
    solution, best = problem.solve(throw=False), least_cost(problem)
    if best is None:
        assert solution.status is Status.INFEASIBLE, seed
        return
    assert solution.status is Status.OPTIMAL, seed
    tolerance = 1e-11 * max(abs(best), problem.scale)
    assert abs(solution.objective - best) <= tolerance, seed
    assert solution.bound <= best + tolerance / 100, seed
    assert solution.verify().residual <= 1e-11, seed


@pytest.mark.parametrize("seed", range(20 if INTERPRETED else 90))
def test_equals_enumeration(seed):
    check_against_enumeration(seed, 2 if INTERPRETED else 4)


@compiled
@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(1000, 1500))
def test_equals_enumeration_of_up_to_six_users(seed):
    check_against_enumeration(seed, 6)


@pytest.mark.parametrize("name", NAMED)
def test_named_instances_are_proven_and_proven_again_in_numpy(name):
    solution = NAMED[name].solve()
    assert solution.gap <= 1e-11
    check = solution.verify()
    assert check.status == Status.OPTIMAL
    assert check.objective == pytest.approx(float(solution.objective), rel=1e-12)
    assert check.bound == pytest.approx(float(solution.bound), rel=1e-10, abs=1e-10)


# -- the bound -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10 if INTERPRETED else 60))
def test_no_bound_is_above_the_optimum(seed):
    """Whatever ends the dual or the search early, and from whatever point NumPy bounds."""
    problem = zoo.random(seed, max_devices=5)
    best = problem.solve(throw=False)
    if best.status is Status.INFEASIBLE:
        return
    above = 1e-11 * max(abs(float(best.objective)), problem.scale)
    for passes, nodes in ((1, 1), (2, 10), (500, 1)):
        cut = problem.solve("exact", SolveOptions(max_iterations=passes), throw=False, node_limit=nodes)
        assert not cut.bound > best.objective + above, (passes, nodes)
        assert cut.status is not Status.OPTIMAL or cut.objective <= best.objective + above
    for model in range(len(problem.catalogue) if problem.is_plain else 1):
        point = problem.fix(model).solve(throw=False)
        if point.status.usable:
            assert point.verify().bound <= point.objective + above
            decisions = {name: getattr(point, name) for name in point.decisions}
            assert problem.certificate(**decisions).bound <= best.objective + above


def test_a_first_pass_far_off_proves_nothing():
    """D is a difference of squares of prices: their rounding is more than the optimum here."""
    problem = DistillationProblem(
        channel_gain=[1.16e14, 5e-16],
        transmit_power_w=[1.56e15, 1.76e-36],
        local_cpu_frequency_hz=[1.52e17, 3.68e35],
        bandwidth_hz=5.43e-10,
        server_cpu_frequency_hz=1.93e10,
        teacher_cycles=6.31e24,
        label_bits=3.95e28,
        delay_weight_per_s=2.43e-4,
        cpu_price_per_cycle=6.17e-9,
        bandwidth_price_per_hz=4.13e-11,
        own_accuracy_weight=1.0,
        average_accuracy_weight=1.0,
        noise_power_w=1.28e-26,
        catalogue=ModelCatalogue(
            names=["m0", "m1"],
            cycles=[3.2e23, 1.64e10],
            parameter_bits=[8.74e-7, 1.59e-20],
            own_accuracy=[0.442, 0.406],
            average_accuracy=[0.82, 0.789],
        ),
        strict=None,
    )
    best = problem.solve("exact")
    cut = problem.solve("exact", SolveOptions(max_iterations=1), throw=False)
    assert cut.bound <= best.objective
    assert cut.status is not Status.OPTIMAL or cut.objective == pytest.approx(float(best.objective), rel=1e-9)


@compiled
def test_the_gap_of_duality_is_within_shapley_and_folkman():
    for seed in range(40):
        problem = zoo.draw(12, seed=seed)
        cut = problem.solve("exact", throw=False, node_limit=1)
        alpha, server, band = (
            problem.delay_weight_per_s,
            problem.server_cpu_frequency_hz,
            problem.bandwidth_hz,
        )
        cycles, bits = problem.catalogue.cycles, problem.catalogue.parameter_bits
        efficiency = np.log2(1 + problem.full_band_snr).min()
        spread_u = np.sqrt(alpha * (9.5e9 + cycles.max()) / server) - np.sqrt(alpha * 9.5e9 / server)
        spread_v = np.sqrt(alpha / band / efficiency) * (np.sqrt(bits.max() + 51.2e6) - np.sqrt(bits.min()))
        optimum = problem.solve().objective
        if cut.status is Status.NODE_LIMIT:
            assert optimum - cut.bound <= (spread_u**2 + spread_v**2) / 2


# -- large and hard --------------------------------------------------------------------------------------------


@compiled
def test_a_hundred_thousand_users_are_proven():
    problem = zoo.draw(100_000, seed=3)
    solution = problem.solve()
    assert solution.gap <= 1e-9
    check = solution.verify()
    assert check.objective == pytest.approx(float(solution.objective), rel=1e-12)
    assert check.residual <= 1e-11
    assert 0 <= solution.objective - check.bound <= 1e-9 * abs(solution.objective)


@compiled
@pytest.mark.parametrize("users", [100, 30_000])
def test_identical_users_are_counted_and_not_permuted(users):
    kinds = {
        "channel_gain": np.resize([2e-9, 5e-9, 1e-8], users),
        "local_cpu_frequency_hz": np.resize([1.9e9, 1e9], users),
    }
    solution = zoo.draw(users).replace(**kinds).solve()
    assert solution.gap <= 1e-11
    assert solution.nodes < 100_000


@compiled
@pytest.mark.usefixtures("short_search")
@pytest.mark.parametrize("users", [40, 300])
def test_hard_instances_end_at_the_node_limit_with_a_true_gap(users):
    problem = zoo.subset_sum(users)
    solution = problem.solve(throw=False, node_limit=200_000)
    assert solution.status is Status.NODE_LIMIT
    assert solution.nodes == 200_000
    assert 0 < solution.gap < 1e-3
    check = solution.verify()
    assert check.residual <= 1e-12
    assert check.objective == pytest.approx(float(solution.objective), rel=1e-13)
    assert check.bound <= solution.objective
    # no better point has ever been seen below the bound
    for seed in range(20):
        places = np.random.default_rng(seed).random(users) < 0.5
        assert problem.fix(0, places).solve().objective >= solution.bound
    with pytest.raises(SolveError, match="NODE_LIMIT: stopped at the node limit with the best point found"):
        problem.solve(node_limit=10_000)


def test_a_search_that_is_cut_at_once_has_a_feasible_point():
    """Where not even one vector of actions was reached, prices of some direction give one."""
    for seed in range(2 if INTERPRETED else 20):
        rng, users = np.random.default_rng(seed), 3 if INTERPRETED else 8 + seed
        problem = zoo.draw(users, seed=seed)
        problem = problem.replace(max_delay_s=problem.solve().delay_s * rng.uniform(0.85, 0.95, users))
        cut, best = problem.solve(throw=False, node_limit=1), problem.solve(throw=False, node_limit=10_000)
        assert cut.status in (Status.OPTIMAL, Status.NODE_LIMIT)
        assert cut.verify().residual <= 1e-11
        assert cut.bound <= best.objective <= cut.objective + 1e-12 * abs(cut.objective)


@compiled
def test_bounds_and_deadlines_with_many_users():
    problem = zoo.draw(500, seed=2)
    free = problem.solve()
    limited = problem.replace(
        max_server_cpu_frequency_hz=np.where(np.arange(500) % 7 == 0, 1.8e9, np.inf),
        max_delay_s=np.where(np.arange(500) % 5 == 0, 0.95 * free.delay_s, np.inf),
    )
    solution = limited.solve(throw=False)
    assert solution.status.usable
    assert solution.gap <= 1e-6
    assert solution.bound >= free.objective * (1 + 1e-9)  # less is allowed
    assert solution.verify().residual <= 1e-11


# -- infeasible ------------------------------------------------------------------------------------------------

REASONS = {
    "one_deadline": r"max_delay_s: expected more than 2\.\d+ at index 1, .*, got 1$",
    "all_deadlines": r"all deadlines together are too short, 1\.90\d times as long they can be met",
    "deadline_and_bound": r"expected more than 30\.\d+ at index 0, this user's least delay .*, got 20$",
    "deadline_of_a_choice": r"expected more than 17\.\d+ at index 0, .*, got 10$",
    "density_cannot_carry": r"expected more than \d+.* at index \d, .*, got 20$",
}


@pytest.mark.parametrize("name", INFEASIBLE)
def test_infeasible_instances_say_why(name):
    problem = INFEASIBLE[name]
    solution = problem.solve(throw=False)
    assert solution.status is Status.INFEASIBLE
    assert np.isnan(solution.objective)
    assert np.isnan(solution.bandwidth_hz).all()
    assert (solution.model == -1).all()
    with pytest.raises(SolveError, match=REASONS[name].replace("$", ".$")):
        problem.solve()


def test_deadlines_just_long_enough_are_met():
    problem = INFEASIBLE["all_deadlines"]
    reason = problem.solve(throw=False).why_infeasible()
    factor = float(reason.rpartition("too short, ")[2].partition(" ")[0])
    assert problem.replace(max_delay_s=5.0 * factor * 1.001).solve().status is Status.OPTIMAL
    assert problem.replace(max_delay_s=5.0 * factor * 0.999).solve(throw=False).status is Status.INFEASIBLE


# -- generic solvers ---------------------------------------------------------------------------------------------


def of_choices(problem, answer):
    """Cost of another solver's choices with the best shares for them: SCIP's own numbers are 1e-6 off."""
    return problem.fix(answer.decisions["model"], answer.decisions["trains_locally"]).solve().objective


def check_against_scip(users, seed):
    problem = zoo.draw(users, seed=seed, iid=bool(seed % 2), bandwidth_price_per_hz=[1e-10, 1e-7][seed % 2])
    solution, answer = problem.solve(), pyomo_model.solve_reduced(problem, 60.0)
    assert "optimal" in answer.status
    assert solution.objective <= of_choices(problem, answer) + 1e-12
    assert solution.objective == pytest.approx(answer.objective, rel=1e-6)
    assert solution.objective == pytest.approx(of_choices(problem, answer), rel=1e-6)


@compiled
@pytest.mark.reference
@pytest.mark.parametrize(("users", "seed"), [(8, 0), (15, 1), (30, 2)])
def test_equals_scip(users, seed):
    check_against_scip(users, seed)


@compiled
@pytest.mark.reference
@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(60))
def test_equals_scip_exhaustively(seed):
    check_against_scip(8 + seed % 23, 100 + seed)


@compiled
@pytest.mark.reference
@pytest.mark.parametrize("name", ["paper", "bounds", "deadlines_and_bounds"])
def test_equals_the_perspective_cone_program(name):
    problem = NAMED[name]
    answer = cvxpy_model.solve_perspective(problem, 60.0)
    assert answer.status == "optimal"
    assert problem.solve().objective == pytest.approx(of_choices(problem, answer), rel=1e-9)
    assert problem.solve().objective == pytest.approx(answer.objective, rel=1e-6)


@compiled
@pytest.mark.reference
@pytest.mark.parametrize("name", ["one_user", "deadlines"])
def test_equals_the_papers_variables(name):
    problem = NAMED[name]
    if name == "deadlines":
        problem = zoo.draw(2, seed=4).replace(max_delay_s=[12.0, 20.0])
    answer = pyomo_model.solve_paper_form(problem, 60.0)
    assert "optimal" in answer.status
    assert problem.solve().objective == pytest.approx(of_choices(problem, answer), rel=1e-9)
    assert problem.solve().objective == pytest.approx(answer.objective, rel=1e-5)


def check_against_ipopt(seed):
    """Problem 3 of random choices, with bounds and deadlines in two of three."""
    rng = np.random.default_rng([3, seed])
    users = int(rng.integers(1, 9))
    problem = zoo.draw(users, seed=seed, bandwidth_price_per_hz=[0.0, 1e-10, 1e-7][seed % 3])
    problem = problem.fix(rng.integers(0, 4, users), rng.random(users) < 0.5)
    if seed % 3:
        problem = zoo.extended(problem, rng)
    solution = problem.solve(throw=False)
    try:
        answer = ipopt_model.solve(problem, 20.0)
    except NoAnswerError:
        assert solution.status is Status.INFEASIBLE, seed
        return
    repaired = problem.certificate(**problem.repair(**answer.decisions))
    if solution.status is Status.INFEASIBLE:
        assert not answer.status.startswith("Solve_Succeeded"), seed
        return
    assert solution.status is Status.OPTIMAL, seed
    assert answer.objective == pytest.approx(float(solution.objective), rel=1e-9, abs=1e-9), (
        seed,
        answer.status,
    )
    assert repaired.objective >= solution.objective - 1e-9 * abs(solution.objective)
    assert solution.verify().status == Status.OPTIMAL, seed


@pytest.mark.reference
@pytest.mark.parametrize("seed", range(4 if INTERPRETED else 30))
def test_shares_equal_ipopts(seed):
    check_against_ipopt(seed)


@compiled
@pytest.mark.reference
@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(240))
def test_shares_equal_ipopts_exhaustively(seed):
    check_against_ipopt(1000 + seed)


@pytest.mark.reference
@pytest.mark.parametrize("name", [name for name in NAMED if "problem_3" in name])
def test_shares_equal_cvxpys(name):
    problem = NAMED[name]
    answer = cvxpy_model.solve_given_choices(problem, 20.0)
    assert answer.objective == pytest.approx(float(problem.solve().objective), rel=1e-9)
    with pytest.raises(NoAnswerError, match="infeasible"):
        cvxpy_model.solve_given_choices(problem.replace(max_delay_s=1.0), 20.0)
