"""FIMI is solved to optimality: named, random and many instances, 50 digits, and where limits meet."""

import os

import mpmath as mp
import numpy as np
import pytest

from radioopt import SolveOptions, Status
from radioopt.fimi.device import Canonical
from validation.fimi import zoo

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
RANDOM = range(10 if INTERPRETED else 200)
NAMED = zoo.named()


@pytest.mark.parametrize("name", NAMED)
def test_named_instances_are_certified(name):
    solution = NAMED[name].solve()
    assert -1e-11 <= solution.gap <= 1e-9
    again = solution.verify()
    assert again.status == Status.OPTIMAL
    assert again.gap <= 1e-9
    assert again.objective == pytest.approx(solution.objective, rel=1e-12)


def test_random_instances_are_certified():
    for seed in RANDOM:
        solution = zoo.random(seed).solve()
        assert solution.gap <= 1e-9, seed
        assert solution.verify().gap <= 1e-9, seed


def test_not_one_of_12_000_fails():
    rng = np.random.default_rng(12_000)
    batches, count = (3, 4) if INTERPRETED else (24, 500)
    most = 20 if INTERPRETED else 60
    for _ in range(batches):
        solution = zoo.random_batch(rng, count, int(np.exp(rng.uniform(0, np.log(most))))).solve()
        assert (solution.status == Status.OPTIMAL).all()
        assert (solution.gap <= 1e-9).all()
        check = solution[:3].verify()
        assert (check.status == Status.OPTIMAL).all()


@pytest.mark.exhaustive
def test_not_one_of_12_000_fails_with_up_to_1000_devices():
    rng = np.random.default_rng(1)
    for _ in range(40):
        solution = zoo.random_batch(rng, 300, int(np.exp(rng.uniform(0, np.log(1001))))).solve()
        assert (solution.status == Status.OPTIMAL).all()
        check = solution[:20].verify()
        assert (check.status == Status.OPTIMAL).all()


def test_random_instances_cover_what_they_promise():
    rng = np.random.default_rng(3)
    solutions = [zoo.random_batch(rng, 5 if INTERPRETED else 200, 6).solve() for _ in range(5)]
    p = [s.problem for s in solutions]

    def share(chosen):
        return np.concatenate([np.ravel(x) for x in chosen]).mean()

    assert share(s.synthetic_samples == 0 for s in solutions) > 0.05
    assert (
        share(s.synthetic_samples >= q.max_synthetic_samples for s, q in zip(solutions, p, strict=True))
        > 0.02
    )
    assert (
        share(s.transmit_power_w == q.max_transmit_power_w for s, q in zip(solutions, p, strict=True)) > 0.1
    )
    assert (
        share(s.cpu_frequency_hz == q.max_cpu_frequency_hz for s, q in zip(solutions, p, strict=True)) > 0.1
    )
    assert share(s.price_learning_j == 0 for s in solutions) > 0.02


def energy(p, prices):
    """Evaluate the dual function of one instance by golden sections over t and u, in 30 digits."""
    nu, varpi = (mp.mpf(float(x)) for x in prices)

    def golden(function, low, high):
        ratio = (mp.sqrt(5) - 1) / 2
        for _ in range(70):
            left, right = high - ratio * (high - low), low + ratio * (high - low)
            low, high = (low, right) if function(left) < function(right) else (left, high)
        return function((low + high) / 2)

    total = mp.mpf(0)
    T, beta, a = (mp.mpf(float(np.ravel(x)[0])) for x in (p.T, p.beta, p.a))
    for i in range(p.A.size):
        A, k, F, low, high, power = (
            mp.mpf(float(np.broadcast_to(x, p.A.shape)[i])) for x in (p.A, p.k, p.F, p.low, p.high, p.power)
        )

        def of_time(t, A=A, k=k, F=F, low=low, high=high, power=power):
            s = T - t
            wish = (nu * beta * s**2 / (3 * A)) ** (1 / (beta + 3))
            samples = min(max(wish, low), min(high, F * s))
            kappa = k * a / power

            def of_u(u):
                return k * a * mp.expm1(u) / u + varpi * a / (u * t)

            # the largest u that the power allows: (e^u - 1)/u = t/kappa
            left, right = mp.mpf(0), mp.mpf(60)
            for _ in range(90):
                u = (left + right) / 2
                left, right = (u, right) if mp.expm1(u) < u * t / kappa else (left, u)
            return A * samples**3 / s**2 + nu * samples**-beta + golden(of_u, left / 10**9, left)

        shortest = k * a / power * (1 + mp.mpf(10) ** -12)
        total += golden(of_time, shortest, T - low / F)
    return total - nu * mp.mpf(float(p.Y[0])) - varpi * mp.mpf(float(p.B[0]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5])
def test_the_energy_equals_the_dual_in_thirty_digits(seed):
    problem = zoo.random_batch(np.random.default_rng(seed), 1, 2)[0]
    solution = problem.solve()
    with mp.workdps(30):
        dual = energy(Canonical.of(problem), (solution.price_learning_j, solution.price_bandwidth_j_per_hz))
    assert float(dual) == pytest.approx(float(solution.objective), rel=1e-11)


def test_a_device_may_stop_where_both_its_limits_meet():
    # the price of learning is so high that a device trains on all samples allowed, and its CPU, at its limit, sets
    # the pace: -C' jumps there, and the time that is left to upload does not move with the prices
    problem = zoo.paper(5, seed=2).replace(max_cpu_frequency_hz=[4e8, 1.5e9, 1.5e9, 1.5e9, 1.5e9])
    tight = zoo.with_budget(problem, 3750.0 ** -float(problem.curve_beta) * 5 * (1 + 1e-4))
    solution = tight.solve()
    assert solution.synthetic_samples[0] == pytest.approx(2500.0, rel=1e-12)
    assert solution.cpu_frequency_hz[0] == 4e8
    assert solution.compute_time_s[0] == pytest.approx(5e6 * 3750 / 4e8, rel=1e-12)
    assert solution.verify().status == Status.OPTIMAL


def test_no_passes_left_is_said():
    solution = zoo.paper().solve(options=SolveOptions(max_iterations=1), throw=False)
    assert solution.status is Status.ITERATION_LIMIT
