"""Warm starts, whole samples, ablations: what the methods take and what they promise."""

import itertools
import os

import numpy as np
import pytest

from radioopt import OptionError, ProblemError, Status
from radioopt.fimi import SynthesisProblem
from validation.fimi import zoo

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"


def test_methods_are_registered_and_newton_is_the_default():
    assert next(iter(SynthesisProblem.methods)) == "newton"
    assert {"integer", "cross-entropy", "equal-bandwidth"} < set(SynthesisProblem.methods)
    assert SynthesisProblem.methods["newton"].exact


def test_a_warm_start_saves_passes_and_changes_nothing_else():
    problem = zoo.paper()
    near = problem.replace(bandwidth_hz=20.01e6)
    cold, warm = near.solve(), near.solve(warm_start=problem.solve())
    assert warm.iterations < cold.iterations
    assert warm.objective == pytest.approx(float(cold.objective), rel=1e-12)
    batch = problem.replace(bandwidth_hz=[20.01e6, 20.02e6])
    assert (batch.solve(warm_start=problem.solve()).iterations < batch.solve().iterations).all()
    assert (batch.solve(warm_start=batch.solve()).iterations <= 3).all()


def test_a_warm_start_from_an_infeasible_problem_is_a_cold_one():
    problem = zoo.paper()
    failed = zoo.infeasible()["band_too_narrow"].solve(throw=False)
    assert problem.solve(warm_start=failed) == problem.solve()


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (3.0, r"warm_start: expected a SynthesisSolution, got 3\.0"),
        (zoo.paper(count=2), r"expected a SynthesisSolution, got SynthesisProblem"),
        ("batch", r"batch shape \(\) or a single one, got \(2,\)"),
    ],
)
def test_a_warm_start_that_does_not_fit_is_refused(start, message):
    if start == "batch":
        start = zoo.paper(count=2).solve()
    with pytest.raises(OptionError, match=message):
        zoo.paper().solve(warm_start=start)


def small(seed):
    """Build an instance with a handful of samples per device, where rounding matters."""
    problem = zoo.paper(3, seed=seed)
    return zoo.with_budget(
        problem.replace(
            local_samples=[6.0, 9.0, 12.0],
            max_synthetic_samples=8.0,
            cycles_per_sample=5e8,
        ),
        float(np.sum(np.array([9.3, 11.6, 13.2]) ** -0.3)),
    )


@pytest.mark.parametrize("seed", range(4))
def test_whole_samples_equal_brute_force(seed):
    problem = small(seed)
    found = problem.solve(integer=True)
    counts = np.array(list(itertools.product(range(9), repeat=3)), float)
    samples = problem.local_samples + counts
    enough = (samples ** -float(problem.curve_beta)).sum(-1) <= problem.learning_budget
    every = problem.replace(local_samples=samples[enough], max_synthetic_samples=0.0).solve()
    best = np.nanmin(every.objective)
    assert found.objective == pytest.approx(
        best, rel=1e-3
    )  # rounding and swaps are a heuristic, with a bound:
    assert found.bound <= best <= found.objective * (1 + 1e-12)
    assert found.objective / found.bound - 1 == pytest.approx(found.gap / (1 - found.gap), rel=1e-9)


def test_whole_samples_are_whole_feasible_and_nearly_free():
    for problem in (zoo.paper(9 if INTERPRETED else 20), zoo.paper(100), zoo.paper(4, count=3)):
        solution = problem.solve("integer")
        assert (solution.synthetic_samples % 1 == 0).all()
        assert np.all(solution.verify().residual <= 1e-12)
        # a sample less or more counts for less, the more of them there are to choose from
        assert np.all((solution.gap >= 0) & (solution.gap < (1e-3 if problem.sizes["device"] < 10 else 1e-5)))
        assert solution.method == "integer"


def test_whole_samples_that_cannot_be_enough_are_refused():
    problem = zoo.paper(3).replace(max_synthetic_samples=0.5)
    tight = zoo.with_budget(problem, 3 * 1250.4**-0.3)
    with pytest.raises(
        ProblemError, match=r"max_synthetic_samples: expected whole samples enough .*, got 0\.0"
    ):
        tight.solve(integer=True)


def test_whole_samples_of_an_infeasible_problem():
    solution = zoo.infeasible()["band_too_narrow"].solve("integer", throw=False)
    assert solution.status is Status.INFEASIBLE
    assert np.isnan(solution.synthetic_samples).all()


def test_where_no_rounding_leaves_time_and_band_enough_there_is_no_answer():
    problem = zoo.random(334)  # three devices, limits hardly above the need
    assert problem.solve().status is Status.OPTIMAL
    whole = problem.solve("integer", throw=False)
    assert np.isnan(whole.objective)
    assert whole.status is Status.FAILED


def test_a_limit_that_is_no_whole_number_is_made_up_for_by_others():
    problem = zoo.random(
        773
    )  # a fraction of a sample where it counts is as much as thousands where there are plenty
    assert (problem.max_synthetic_samples > np.floor(problem.max_synthetic_samples)).any()
    whole = problem.solve("integer")
    assert whole.status is Status.FEASIBLE
    assert whole.verify().residual <= 1e-9
    assert (whole.synthetic_samples == np.floor(whole.synthetic_samples)).all()


def test_equal_bandwidth_costs_its_certified_gap():
    for seed in range(10):
        problem = zoo.paper(seed=seed)
        best, equal = problem.solve(), problem.solve("equal-bandwidth")
        np.testing.assert_allclose(equal.bandwidth_hz, 1e6)
        assert equal.status is Status.FEASIBLE
        assert equal.bound == pytest.approx(float(best.objective), rel=1e-9)
        assert 0 < equal.objective / best.objective - 1 < 0.05


def test_equal_bandwidth_is_the_best_with_equal_bandwidth():
    problem = zoo.paper(2, seed=1)
    equal = problem.solve("equal-bandwidth")
    # where shares are equal anyway nothing is lost
    same = problem.replace(
        channel_gain=1e-11, energy_coefficient=5e-27, max_cpu_frequency_hz=1e9, max_transmit_power_w=0.1
    )
    assert same.solve("equal-bandwidth").gap < 1e-9
    rng = np.random.default_rng(0)
    for _ in range(200):  # no other split of time and samples at equal shares is better
        extra = equal.synthetic_samples * rng.uniform(0.97, 1.03, 2)
        eta = equal.compute_time_fraction * rng.uniform(0.97, 1.03, 2)
        frequency = 5e6 * (1250 + extra) / (60 * eta)
        noise = problem.noise_psd_w_per_hz * 1e6 / problem.channel_gain
        power = noise * np.expm1(111.7e6 * np.log(2) / (1e6 * 60 * (1 - eta)))
        judged = problem.certificate(
            synthetic_samples=extra,
            cpu_frequency_hz=frequency,
            bandwidth_hz=np.full(2, 1e6),
            transmit_power_w=power,
        )
        assert judged.residual > 0 or judged.objective >= equal.objective * (1 - 1e-12)


def test_equal_bandwidth_may_be_too_little_for_one():
    problem = zoo.paper(4, seed=1)
    gain = problem.channel_gain * np.array([1e-2, 1, 1, 1])
    narrow = problem.replace(channel_gain=gain, bandwidth_hz=1.5e6)
    assert narrow.solve().status is Status.OPTIMAL
    assert narrow.solve("equal-bandwidth", throw=False).status is Status.FAILED
    refused = zoo.infeasible()["band_too_narrow"].solve("equal-bandwidth", throw=False)
    assert refused.status is Status.INFEASIBLE


def test_without_synthetic_data_less_is_spent_and_less_is_learned():
    problem = zoo.paper()
    bare = problem.without_synthetic_data()
    assert bare.max_global_error > problem.max_global_error
    solution = bare.solve()
    assert (solution.synthetic_samples == 0).all()
    assert solution.price_learning_j == 0
    assert solution.objective < problem.solve().objective
    assert bare.without_synthetic_data().max_global_error == pytest.approx(
        float(bare.max_global_error), rel=1e-11
    )


def test_nothing_changes_where_local_samples_are_enough():
    problem = zoo.named()["learning_slack"]
    solution = problem.solve()
    assert (solution.synthetic_samples == 0).all()
    assert solution.objective == pytest.approx(
        float(problem.without_synthetic_data().solve().objective), rel=1e-12
    )
