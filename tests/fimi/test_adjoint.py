"""FIMI's derivatives: against 60 digits, and at kinks."""

import numpy as np
import pytest

from radioopt import Status
from radioopt.fimi.adjoint import FIELDS
from validation.fimi import zoo
from validation.fimi.kkt import RESULTS, kkt
from validation.kkt import disagreement


def steady(devices):
    """Instances of a batch away from kinks."""
    solution = zoo.random_batch(np.random.default_rng(devices), 200, devices).solve()
    return [solution[int(i)] for i in np.flatnonzero(~solution.at_kink)]


def test_agrees_with_sixty_digits():
    for solution in steady(3)[:5]:
        error, where = disagreement(solution, kkt(solution, FIELDS), FIELDS, RESULTS)
        assert error < 1e-10, where


def test_agrees_with_sixty_digits_where_samples_are_fixed():
    compared, full, fastest = 0, False, False
    for solution in fixed(np.random.default_rng(0), 40).solve(throw=False):
        if solution.status != Status.OPTIMAL or solution.at_kink or compared == 6:
            continue
        error, where = disagreement(solution, kkt(solution, FIELDS), FIELDS, RESULTS)
        assert error < 1e-10, where
        problem, compared = solution.problem, compared + 1
        full |= bool((solution.transmit_power_w >= problem.max_transmit_power_w * (1 - 1e-9)).any())
        fastest |= bool((solution.cpu_frequency_hz >= problem.max_cpu_frequency_hz * (1 - 1e-9)).any())
        np.testing.assert_array_equal(
            solution.vjp({"synthetic_samples": np.eye(3)})["fixed_synthetic_samples"], np.eye(3)
        )
        slopes = solution.vjp({"energy_j": [1.0, 2.0, 3.0]})
        np.testing.assert_array_equal(slopes["local_samples"], slopes["fixed_synthetic_samples"])
        for name in ("max_global_error", "num_rounds", "curve_alpha", "curve_beta", "max_synthetic_samples"):
            assert not slopes[name].any(), name
    assert compared == 6
    assert full
    assert fastest


def fixed(rng, count):
    """Instances whose synthetic samples are given."""
    problem = zoo.random_batch(rng, count, 3)
    return problem.replace(fixed_synthetic_samples=problem.local_samples * rng.uniform(0.1, 1, (count, 3)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("devices", [2, 4, 5])
@pytest.mark.parametrize("instance", range(5, 25))
def test_agrees_with_sixty_digits_on_sixty_instances(devices, instance):
    solution = steady(devices)[instance]
    error, where = disagreement(solution, kkt(solution, FIELDS), FIELDS, RESULTS)
    assert error < 1e-10, where


@pytest.mark.exhaustive
@pytest.mark.parametrize("instance", range(60))
def test_agrees_with_sixty_digits_on_sixty_instances_where_samples_are_fixed(instance):
    drawn = fixed(np.random.default_rng(1), 300).solve(throw=False)
    answered = np.flatnonzero((drawn.status_code == 0) & ~drawn.at_kink)
    solution = drawn[int(answered[instance])]
    error, where = disagreement(solution, kkt(solution, FIELDS), FIELDS, RESULTS)
    assert error < 1e-10, where


def test_limits_of_any_kind_bind_in_what_is_compared():
    drawn = [solution for devices in (2, 4, 5) for solution in steady(devices)[5:25]]

    def share(binds):
        return np.mean([bool(np.any(binds(solution, solution.problem))) for solution in drawn])

    assert share(lambda s, p: s.synthetic_samples <= 0) > 0.2
    assert share(lambda s, p: s.synthetic_samples >= p.max_synthetic_samples * (1 - 1e-9)) > 0.2
    assert share(lambda s, p: s.cpu_frequency_hz >= p.max_cpu_frequency_hz * (1 - 1e-9)) > 0.2
    assert share(lambda s, p: s.transmit_power_w >= p.max_transmit_power_w * (1 - 1e-9)) > 0.2
    assert share(lambda s, p: s.price_learning_j == 0) > 0.05


def test_a_limit_that_is_met_without_pressure_is_a_kink():
    problem = zoo.paper(3).replace(
        max_synthetic_samples=1e5, max_cpu_frequency_hz=1e10, max_transmit_power_w=10.0
    )
    free = problem.solve()
    assert not free.at_kink
    for limit, value in (
        ("max_synthetic_samples", free.synthetic_samples),
        ("max_cpu_frequency_hz", free.cpu_frequency_hz),
        ("max_transmit_power_w", free.transmit_power_w),
    ):
        limits = np.array(getattr(problem, limit))
        limits[0] = value[0]
        assert problem.replace(**{limit: limits}).solve().at_kink, limit
        limits[0] = 0.9 * value[0]
        held = problem.replace(**{limit: limits}).solve()
        assert not held.at_kink, limit
        decision = limit.removeprefix("max_")
        np.testing.assert_allclose(held.vjp({decision: [1.0, 0.0, 0.0]})[limit], [1.0, 0.0, 0.0], rtol=1e-9)


def test_a_learning_budget_that_is_just_met_is_a_kink():
    problem = zoo.paper(3)
    unaided = (problem.local_samples**-problem.curve_beta).sum()
    assert zoo.with_budget(problem, unaided).solve().at_kink
    slack = zoo.with_budget(problem, 1.1 * unaided).solve()
    assert not slack.at_kink
    assert not slack.vjp({"synthetic_samples": 1.0})["max_global_error"].any()
