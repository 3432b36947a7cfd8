"""DT-KD's derivatives: against 60 digits, and at kinks."""

import numpy as np
import pytest

from radioopt.dtkd.adjoint import CHOICES
from validation.dtkd import zoo
from validation.dtkd.kkt import RESULTS, kkt
from validation.kkt import disagreement

FIELDS = tuple(name for name in zoo.draw(2).quantities if name not in CHOICES)


def error_of(option, seed, users):
    batch = zoo.with_option(option, seed, count=8, users=users).solve(throw=False)
    solution = batch[
        int(np.argmax(batch.status_code == 0))
    ]  # bounds may not allow the deadlines of the first
    assert solution.status.ok
    assert not solution.at_kink
    return disagreement(solution, kkt(solution, FIELDS), FIELDS, RESULTS)


@pytest.mark.parametrize("option", zoo.OPTIONS)
def test_agrees_with_sixty_digits(option):
    error, where = error_of(option, 1, 3)
    assert error < 1e-10, where


@pytest.mark.exhaustive
@pytest.mark.parametrize("option", zoo.OPTIONS)
@pytest.mark.parametrize("seed", range(2, 14))
def test_agrees_with_sixty_digits_on_sixty_instances(option, seed):
    error, where = error_of(option, seed, 3 + seed % 3)
    assert error < 1e-10, where


def test_limits_of_any_kind_bind_in_what_is_compared():
    binding = {}
    for option in zoo.OPTIONS:
        problem = zoo.with_option(option, 7, count=60)
        solution = problem.solve(throw=False)
        held = solution.price_delay_per_s > 0
        for name in ("server_cpu_frequency_hz", "bandwidth_hz"):
            share = getattr(solution, name)
            low, high = getattr(problem, f"min_{name}"), getattr(problem, f"max_{name}")
            held = held | ((share <= low) & (low > 0)) | (share >= high)
        binding[option] = held.any(-1)[solution.status_code == 0].mean()
        if option == "priced":
            assert (solution.price_bandwidth_per_hz == 0).mean() > 0.9
    assert min(binding[name] for name in ("bounds", "deadlines", "density_limits")) > 0.7


def paper(**changes):
    problem = zoo.draw(3, seed=1, bandwidth_price_per_hz=0.0)
    return problem.fix([0, 1, 2], [0, 1, 0]).replace(**changes)


@pytest.mark.parametrize("name", ["server_cpu_frequency_hz", "bandwidth_hz"])
def test_a_bound_that_is_met_without_pressure_is_a_kink(name):
    free = paper().solve()
    assert not free.at_kink
    share = getattr(free, name)
    assert paper(**{f"max_{name}": [share[0], np.inf, np.inf]}).solve().at_kink
    held = paper(**{f"max_{name}": [0.9 * share[0], np.inf, np.inf]}).solve()
    assert not held.at_kink
    np.testing.assert_allclose(held.vjp({name: [1.0, 0.0, 0.0]})[f"max_{name}"], [1.0, 0.0, 0.0])


@pytest.mark.parametrize("name", ["server_cpu_frequency_hz", "bandwidth_hz"])
def test_where_all_are_at_a_bound_each_share_follows_its_own(name):
    half = 0.5 * getattr(paper().solve(), name)
    held = paper(**{f"max_{name}": half}).solve()
    np.testing.assert_array_equal(getattr(held, name), half)
    np.testing.assert_allclose(held.vjp({name: [1.0, 0.0, 0.0]})[f"max_{name}"], [1.0, 0.0, 0.0])


def test_a_deadline_that_is_met_without_pressure_is_a_kink():
    free = paper().solve()
    assert paper(max_delay_s=[free.delay_s[0], np.inf, np.inf]).solve().at_kink
    due = paper(max_delay_s=[0.9 * free.delay_s[0], np.inf, np.inf]).solve()
    assert not due.at_kink
    np.testing.assert_allclose(
        due.vjp({"delay_s": [1.0, 0.0, 0.0]})["max_delay_s"], [1.0, 0.0, 0.0], atol=1e-12
    )


def test_prices_do_not_move_shares_that_all_divide():
    problem = paper()
    slopes = problem.solve().vjp(
        {"bandwidth_hz": [1e-6, 0.0, 0.0], "server_cpu_frequency_hz": [0.0, 1e-9, 0.0]}
    )
    for name in ("delay_weight_per_s", "bandwidth_price_per_hz", "cpu_price_per_cycle"):
        assert abs(slopes[name] * getattr(problem, name)) < 1e-12, name


def test_free_choices_have_the_derivatives_of_those_chosen():
    problem = zoo.draw(4, seed=3)
    best = problem.solve()
    fixed = problem.fix(best.model, best.trains_locally).solve()
    for result in ("server_cpu_frequency_hz", "delay_s", "objective"):
        there, size = fixed.vjp({result: 1.0}), np.abs(getattr(fixed, result)).max()
        for name, value in best.vjp({result: 1.0}).items():
            field = np.where(np.isfinite(getattr(problem, name)), getattr(problem, name), 0.0)
            np.testing.assert_allclose(value * field, there[name] * field, rtol=1e-9, atol=1e-11 * size)


def test_a_user_without_cycles_is_a_kink_and_gets_no_slope():
    idle = paper(teacher_cycles=0.0).solve()
    assert idle.at_kink
    assert idle.server_cpu_frequency_hz[1] == 0
    assert idle.vjp({"server_cpu_frequency_hz": [0.0, 1.0, 0.0]})["server_cpu_frequency_hz"] == 0


def test_what_is_zero_has_slopes():
    """A price of zero has no logarithm, and a derivative all the same."""
    solution = paper().solve()
    assert solution.vjp({"objective": 1.0})["bandwidth_price_per_hz"] == pytest.approx(
        solution.bandwidth_hz.sum()
    )
    assert np.isfinite([v.sum() for v in solution.vjp({"delay_s": 1.0}).values()]).all()


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
