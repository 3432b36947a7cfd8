"""The plain NumPy certificate judges points rightly, whoever found them."""

import numpy as np
import pytest

from radioopt import Status
from radioopt.fimi import certificate, device
from validation.fimi import zoo


@pytest.fixture
def solution():
    return zoo.paper().solve()


def decisions(solution):
    return {name: np.array(getattr(solution, name)) for name in solution.decisions}


BREACHES = {
    "synthetic_samples": ("synthetic_samples", lambda x: x + 2600.0),
    "cpu_frequency": ("cpu_frequency_hz", lambda x: x * 20),
    "transmit_power": ("transmit_power_w", lambda x: x * 100),
    "bandwidth": ("bandwidth_hz", lambda x: x * 1.001),
    "round_latency": ("cpu_frequency_hz", lambda x: x * 0.999),
    "learning": ("synthetic_samples", lambda x: x * 0.9),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_every_breach_is_measured_by_name(solution, breach):
    name, change = BREACHES[breach]
    point = decisions(solution)
    point[name] = change(point[name])
    judged = solution.problem.certificate(**point)
    assert judged.residuals[breach] > 1e-4
    assert judged.status == Status.FAILED


@pytest.mark.parametrize("name", ["cpu_frequency_hz", "bandwidth_hz", "transmit_power_w"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_nonsense_fails_without_a_warning(solution, name, value):
    point = decisions(solution)
    point[name][3] = value
    assert solution.problem.certificate(**point).status == Status.FAILED


def test_a_worse_point_gets_a_bound_below_the_optimum_and_close_to_it(solution):
    point = decisions(solution)
    rng = np.random.default_rng(0)
    for _ in range(20):
        share = point["bandwidth_hz"] * rng.uniform(0.8, 1.2, 20)
        worse = solution.problem.certificate(**solution.problem.repair(**point | {"bandwidth_hz": share}))
        assert solution.objective < worse.objective
        assert solution.objective * (1 - 1e-9) <= worse.bound <= solution.objective * (1 + 1e-12)


def test_prices_of_the_kernel_and_of_the_certificate_agree():
    for seed in range(30):
        solution = zoo.random(seed).solve()
        point = solution.samples, solution.bandwidth_hz, solution.transmit_power_w
        bound, nu, varpi = certificate.implied_bound(solution.problem, *point)
        assert bound == pytest.approx(float(solution.bound), rel=1e-9)
        assert bound <= solution.objective * (1 + 1e-11)
        assert np.isfinite([nu, varpi]).all()


def test_repair_keeps_what_is_feasible_and_mends_what_is_not(solution):
    point = decisions(solution)
    for name, value in solution.problem.repair(**point).items():
        np.testing.assert_allclose(value, point[name], rtol=1e-9, atol=1e-9)
    broken = {name: value * (1 + 1e-5) for name, value in point.items()}
    judged = solution.problem.certificate(**solution.problem.repair(**broken))
    assert judged.residual <= 1e-12
    assert judged.gap < 1e-3


@pytest.mark.parametrize("seed", [450, 1514])
def test_an_optimum_with_all_at_full_speed_and_power_is_proven_by_its_decisions(seed):
    solution = zoo.random(seed).solve()
    full = solution.transmit_power_w / solution.problem.max_transmit_power_w
    fast = solution.cpu_frequency_hz / solution.problem.max_cpu_frequency_hz
    np.testing.assert_allclose([full, fast], 1.0, rtol=1e-9)
    check = solution.verify()
    assert (check.status, check.note) == (Status.OPTIMAL, "")


def test_formulas_hold_from_tiny_to_huge_arguments():
    import mpmath as mp

    u = np.geomspace(1e-12, 600, 60)
    with mp.workdps(50):
        h = [float(mp.log(x * mp.exp(x) - mp.expm1(x))) for x in map(mp.mpf, u)]
        m = [float(mp.log(mp.expm1(x) / x)) for x in map(mp.mpf, u)]
    np.testing.assert_allclose(device.log_h(u), h, rtol=1e-14, atol=2e-15)
    np.testing.assert_allclose(device.log_m(u), m, rtol=1e-14, atol=2e-15)


def test_the_root_finder_finds_roots_and_says_the_nearer_end_otherwise():
    low, high = np.array([0.0, 0.0, 5.0]), np.array([3.0, 1.0, 9.0])
    found = device.monotone_root(lambda x: x**2 - 2, low, high)
    np.testing.assert_allclose(found, [np.sqrt(2), 1.0, 5.0], rtol=1e-15)
    jump = device.monotone_root(lambda x: np.where(x < 0.3, -1.0, 1.0), np.zeros(1), np.ones(1))
    assert jump == pytest.approx(0.3, rel=1e-12)
