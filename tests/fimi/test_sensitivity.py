"""Prices and elasticities are the slopes of the optimum."""

import numpy as np
import pytest

from validation.fimi import zoo

CASES = {
    "paper": zoo.paper(),
    "limits_bind": zoo.paper(8, seed=1).replace(
        max_transmit_power_w=np.resize([0.011, 0.2], 8),
        max_cpu_frequency_hz=np.resize([1e9, 1.7e8, 1e9, 1e9], 8),
        max_synthetic_samples=np.resize([2500.0, 2500.0, 200.0], 8),
        local_samples=np.array([1250.0] * 7 + [2600.0]),
        bandwidth_hz=1.2e7,
    ),
    "learning_slack": zoo.named()["learning_slack"].replace(max_transmit_power_w=0.012),
    "samples_fixed": zoo.named()["samples_fixed"],
    "several_epochs": zoo.named()["several_epochs"],
}


def slope(problem, name, index):
    """Differentiate the optimum by central differences with one extrapolation: d ln E / d ln x."""
    values = np.array(getattr(problem, name))
    energies = []
    for step in (1e-4, -1e-4, 5e-5, -5e-5):
        changed = values.copy()
        changed[index] *= 1 + step
        energies.append(float(problem.replace(**{name: changed}).solve().objective))
    coarse, fine = (energies[0] - energies[1]) / 2e-4, (energies[2] - energies[3]) / 1e-4
    return (4 * fine - coarse) / 3 / float(problem.solve().objective)


@pytest.mark.parametrize("case", CASES)
def test_elasticities_are_slopes_of_the_optimum(case):
    problem = CASES[case]
    worth = problem.solve().sensitivity()
    for name in problem.quantities:
        values = np.array(getattr(problem, name))
        for index in range(min(4, values.size)) if values.ndim else [()]:
            if np.isfinite(values[index]) and values[index] > 0:
                found = float(np.asarray(getattr(worth, name))[index])
                assert found == pytest.approx(slope(problem, name, index), rel=1e-6, abs=1e-6), (name, index)


def test_limits_bind_in_the_case_that_says_so():
    worth = CASES["limits_bind"].solve().sensitivity()
    for name in ("max_transmit_power_w", "max_cpu_frequency_hz", "max_synthetic_samples"):
        assert (getattr(worth, name) < 0).any(), name
    assert (worth.local_samples > 0).any()


def test_prices_are_slopes():
    problem = zoo.paper()
    solution = problem.solve()
    energies = problem.replace(bandwidth_hz=20e6 * np.array([1 + 1e-5, 1 - 1e-5])).solve().objective
    assert solution.price_bandwidth_j_per_hz == pytest.approx((energies[1] - energies[0]) / 400, rel=1e-6)
    budget = float(problem.learning_budget)
    more = zoo.with_budget(problem, budget * (1 + 1e-6)).solve().objective
    less = zoo.with_budget(problem, budget * (1 - 1e-6)).solve().objective
    assert solution.price_learning_j == pytest.approx((less - more) / (2e-6 * budget), rel=1e-6)
    second = problem.replace(max_round_latency_s=60 + np.array([1e-3, -1e-3])).solve().objective
    total = solution.sensitivity().price_time_w.sum()
    assert total == pytest.approx((second[1] - second[0]) / 2e-3, rel=1e-6)


def test_units_make_elasticities_add_up():
    # energy per sample and cycle: the energy is homogeneous in energy coefficient and noise, given the powers
    worth = zoo.paper().solve().sensitivity()
    assert worth.energy_coefficient.sum() + worth.noise_psd_w_per_hz == pytest.approx(1.0, rel=1e-12)
    assert worth.channel_gain.sum() == pytest.approx(-float(worth.noise_psd_w_per_hz), rel=1e-12)


def test_a_batch_has_the_elasticities_of_its_instances():
    batch = zoo.paper(count=3).replace(max_global_error=[0.2, 0.25, 1e-3]).solve(throw=False)
    worth = batch.sensitivity()
    assert worth[1] == batch[1].sensitivity()
    assert np.isnan(worth.bandwidth_hz[2])
