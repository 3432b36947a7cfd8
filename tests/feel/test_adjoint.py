"""FEEL's derivatives: against 60 digits, against differences of its own solver, and at kinks."""

import numpy as np
import pytest

from radioopt.feel import BatchsizeProblem
from validation.feel import zoo
from validation.feel.kkt import RESULTS, kkt
from validation.kkt import disagreement


def error_of(problem):
    solution = problem.solve()
    assert not solution.at_kink
    return disagreement(solution, kkt(solution), tuple(problem.quantities), RESULTS)


@pytest.mark.parametrize("option", zoo.OPTIONS)
def test_agrees_with_sixty_digits(option):
    error, where = error_of(zoo.with_option(option, 1, devices=3))
    assert error < 1e-10, where


@pytest.mark.exhaustive
@pytest.mark.parametrize("option", zoo.OPTIONS)
@pytest.mark.parametrize("seed", range(2, 14))
def test_agrees_with_sixty_digits_on_sixty_instances(option, seed):
    error, where = error_of(zoo.with_option(option, seed, devices=3 + seed % 3))
    assert error < 1e-10, where


def test_limits_of_any_kind_bind_in_what_is_compared():
    binding = []
    for option in zoo.OPTIONS:
        problem = zoo.with_option(option, 7, count=60)
        solution = problem.solve()
        held = (solution.batchsize <= problem.min_batchsize) | (solution.batchsize >= problem.max_batchsize)
        binding.append(held.any(-1).mean())
    assert min(binding) > 0.5
    assert (solution.problem.total_batchsize < np.inf).all()
    late = zoo.with_option("deadline", 7, count=60)
    assert (late.solve().round_latency_s > 0.999999 * late.max_round_latency_s).all()


def tiny(**changes):
    fields = {
        "payload_bits": 1e6,
        "uplink_rate_bps": [1e7, 2e7],
        "downlink_rate_bps": 2e7,
        "seconds_per_sample": 0.05,
        "update_time_s": 0.1,
        "max_batchsize": 100.0,
    }
    return BatchsizeProblem(**fields | changes)


def test_a_limit_that_is_met_without_pressure_is_a_kink():
    free = tiny().solve()
    assert not free.at_kink
    met = tiny(max_batchsize=[free.batchsize[0], 100.0]).solve()
    assert met.at_kink
    limited = tiny(max_batchsize=[0.9 * free.batchsize[0], 100.0]).solve()
    assert not limited.at_kink
    np.testing.assert_allclose(limited.vjp({"batchsize": [1.0, 0.0]})["max_batchsize"], [1.0, 0.0])


def test_a_deadline_that_is_met_without_pressure_is_a_kink():
    free = tiny().solve()
    assert tiny(max_round_latency_s=float(free.round_latency_s)).solve().at_kink
    assert not tiny(max_round_latency_s=1.01 * float(free.round_latency_s)).solve().at_kink
    late = tiny(max_round_latency_s=0.9 * float(free.round_latency_s)).solve()
    assert not late.at_kink
    assert late.vjp({"round_latency_s": 1.0})["max_round_latency_s"] == pytest.approx(1.0)


def test_two_slowest_devices_of_a_broadcast_are_a_kink_and_the_first_has_the_slope():
    tied = tiny(downlink="broadcast", update_time_s=[0.1, 0.2]).solve()
    assert tied.at_kink
    slopes = tied.vjp({"download_phase_s": 1.0})
    assert slopes["downlink_rate_bps"][0] < 0 == slopes["downlink_rate_bps"][1]
    np.testing.assert_array_equal(slopes["update_time_s"], [0.0, 1.0])
    assert (
        not tiny(downlink="broadcast", update_time_s=[0.1, 0.2], downlink_rate_bps=[2e7, 3e7]).solve().at_kink
    )


def test_limits_that_are_equal_hand_the_slope_to_the_one_that_is_pushed():
    most = tiny(min_batchsize=[5.0, 1.0], max_batchsize=[5.0, 100.0]).solve()
    slopes = most.vjp({"batchsize": [1.0, 0.0]})
    np.testing.assert_allclose(slopes["max_batchsize"], [1.0, 0.0])
    np.testing.assert_allclose(slopes["min_batchsize"], [0.0, 0.0])
    least = tiny(min_batchsize=[90.0, 1.0], max_batchsize=[90.0, 100.0]).solve()
    np.testing.assert_allclose(least.vjp({"batchsize": [1.0, 0.0]})["min_batchsize"], [1.0, 0.0])


def test_everybody_at_a_limit_leaves_the_latency_to_the_frame():
    solution = tiny(max_batchsize=1.0).solve()
    slopes = solution.vjp({"upload_phase_s": 1.0})
    np.testing.assert_allclose(slopes["base_time_s"].sum(), 1.0)
    np.testing.assert_allclose(solution.vjp({"batchsize": [1.0, 0.0]})["max_batchsize"], [1.0, 0.0])


def test_the_jacobian_of_a_decision_is_one_call():
    solution = tiny().solve()
    jacobian = solution.vjp({"batchsize": np.eye(2)})["uplink_rate_bps"]
    assert jacobian.shape == (2, 2)
    for device in range(2):
        column = solution.jvp({"uplink_rate_bps": np.eye(2)[device]})["batchsize"]
        np.testing.assert_allclose(jacobian[:, device], column, rtol=1e-12)


@pytest.mark.parametrize("option", zoo.OPTIONS)
def test_the_kernel_is_the_equations(option):
    solution = zoo.with_option(option, 3, count=6).solve(throw=False)
    rng = np.random.default_rng(0)
    weights = {}
    for name, value in solution.jvp({}).items():
        known = np.nan_to_num(getattr(solution, name))
        weights[name] = rng.normal(size=value.shape) / max(np.abs(known).max(), 1e-30)
    by_kernel, by_equations = solution.vjp(weights), solution._linearised().vjp(weights)
    assert by_kernel.keys() == by_equations.keys()
    for name, value in by_equations.items():
        field = getattr(solution.problem, name)
        scale = np.where(np.isfinite(field), np.abs(field), 0.0)
        np.testing.assert_allclose(
            by_kernel[name] * scale, value * scale, rtol=1e-10, atol=1e-12, err_msg=name
        )


def test_equal_limits_are_worth_what_their_slope_says():
    for size in (5.0, 90.0):  # fewer, and more, than the device would take
        solution = tiny(min_batchsize=[size, 1.0], max_batchsize=[size, 100.0]).solve()
        slopes, worth = solution.vjp({"objective": 1.0}), solution.sensitivity()
        pushed, other = ("max_batchsize", "min_batchsize")[:: 1 if size == 5.0 else -1]
        assert slopes[pushed][0] != 0 == slopes[other][0]
        for name in (pushed, other):
            np.testing.assert_allclose(getattr(worth, name)[0], slopes[name][0] * size / solution.objective)
        moved = {pushed: [size * (1.0 + 1e-6 * np.sign(slopes[pushed][0])), 100.0 if size == 5.0 else 1.0]}
        change = solution.problem.replace(**moved).solve().objective - solution.objective
        assert change == pytest.approx(abs(slopes[pushed][0]) * size * 1e-6, rel=1e-4)
