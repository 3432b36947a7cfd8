"""Derivatives against central differences of the optimum, where no choice switches."""

import numpy as np
import pytest

from radioopt import Scenario
from radioopt.dtkd.sensitivity import DistillationSensitivity
from validation.dtkd import zoo

STEP = 2e-4
NAMED = zoo.named()
KINDS = {
    "paper": NAMED["paper"],
    "dear_bandwidth": NAMED["dear_bandwidth"],
    "bounds": NAMED["bounds"],
    "deadlines": NAMED["deadlines"],
    "deadlines_and_bounds": NAMED["deadlines_and_bounds"],
    "density": NAMED["density"].replace(max_bandwidth_hz=[np.inf, 1.5e6, np.inf, np.inf]),
    "density_deadlines": NAMED["density_bounds_deadlines"],
}


def elasticity(problem, field, user):
    """Fourth-order central difference of the optimum in ln field, choices unchanged."""

    def cost(change):
        values = np.array(getattr(problem, field))
        if user is None:
            values = values * np.exp(change)
        else:
            values[user] *= np.exp(change)
        return float(problem.replace(**{field: values}).solve().objective)

    def central(h):
        return (cost(h) - cost(-h)) / (2 * h)

    return (4 * central(STEP) - central(2 * STEP)) / 3


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_finite_differences(kind):
    problem = KINDS[kind]
    best = problem.solve()
    fixed = problem.fix(best.model, best.trains_locally)  # no action switches
    worth = fixed.solve().sensitivity()
    assert worth == best.sensitivity() or kind  # the same point, with its choices free
    for field, declared in DistillationSensitivity.quantities.items():
        for user in range(4) if declared.axes else [None]:
            value = np.asarray(getattr(problem, field))[... if user is None else user]
            if not 0 < value < np.inf:
                continue
            slope = -float(np.asarray(worth.prices[field])[... if user is None else user])
            assert slope * value == pytest.approx(elasticity(fixed, field, user), abs=1e-6), (field, user)


def test_free_choices_have_the_same_slopes_where_none_switches():
    problem = NAMED["paper"]
    worth = problem.solve().sensitivity()
    for field in ("server_cpu_frequency_hz", "bandwidth_hz", "delay_weight_per_s", "label_bits"):
        slope = float(getattr(worth, field)) * abs(float(worth.solution.objective))
        assert slope == pytest.approx(elasticity(problem, field, None), abs=1e-6)


def test_prices_are_slopes_and_signs_are_right():
    solution = NAMED["deadlines_and_bounds"].solve()
    worth = solution.sensitivity()
    assert worth.prices["server_cpu_frequency_hz"] == solution.price_server_cpu_per_hz > 0
    assert worth.prices["bandwidth_hz"] == solution.price_bandwidth_per_hz >= 0
    np.testing.assert_array_equal(worth.prices["max_delay_s"], solution.price_delay_per_s)
    assert (worth.max_server_cpu_frequency_hz <= 0).all()
    assert (worth.min_bandwidth_hz >= 0).all()
    assert worth.min_bandwidth_hz[1] > 0
    assert (worth.channel_gain < 0).all()
    assert (worth.local_cpu_frequency_hz[~solution.trains_locally] == 0).all()


def test_a_batch_is_its_instances_and_infeasible_ones_are_nan():
    problem = zoo.draw(3)
    batch = problem.replace(max_delay_s=[[np.inf] * 3, [1.0] * 3])
    worth = batch.solve(throw=False).sensitivity()
    alone = batch[0].solve().sensitivity().to_dict()
    for field, value in worth[0].to_dict().items():
        np.testing.assert_allclose(value, alone[field], rtol=1e-12, atol=1e-30)
    assert np.isnan(worth.channel_gain[1]).all()
    assert np.isnan(worth.bandwidth_hz[1])


def test_the_shipped_scenario():
    solution = Scenario.load("dtkd").draw(seed=1, size=5).problem("dtkd").solve()
    assert (solution.sensitivity().server_cpu_frequency_hz < 0).all()
