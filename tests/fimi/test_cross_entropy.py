"""The paper's own method: never below the bound, repeatable, and each correction tested where it matters."""

import math
import os

import mpmath
import numpy as np
import pytest
import scipy.stats

from radioopt import OptionError, Status
from radioopt.fimi import kernel_cross_entropy as kernel
from radioopt.fimi.certificate import Canonical
from validation.fimi import zoo

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
NAMED = zoo.named()
NARROW = (
    "all_at_max_frequency"  # every device needs nearly all the time there is: hardly any split is feasible
)
FEW = ["one_device", "two_devices", "six_decades_of_gain"]
SMALL = {"rounds": 3, "draws": 6, "elite": 3} if INTERPRETED else {"rounds": 10, "draws": 30, "elite": 5}


def searched(problem, **options):
    return problem.solve("cross-entropy", **(SMALL | options), throw=False)


def inner(problem, eta, *, bisect=False):
    """Energy of a time split by Algorithms 1 and 2."""
    p, count = Canonical.of(problem), problem.sizes["device"]
    rows = (p.A, p.k, p.F, p.low, p.high, p.k * p.a / p.power, 0.0 * p.k, 1.0 + 0.0 * p.k)
    device = np.stack([np.broadcast_to(row, count) for row in rows])
    scalars = tuple(float(x[0]) for x in (p.a, p.T, p.Y, p.B, p.beta))
    work, samples, shares = np.empty((kernel.SCRATCH, count)), np.empty(count), np.empty(count)
    energy = kernel.energy_of(device, scalars, eta, bisect, 0.0, work, samples, shares)
    return energy, samples, shares


@pytest.mark.parametrize("name", FEW if INTERPRETED else sorted(set(NAMED) - {NARROW}))
def test_never_beats_the_bound(name):
    problem = NAMED[name]
    found, best = searched(problem), problem.solve()
    assert found.status in (Status.FEASIBLE, Status.OPTIMAL)
    assert found.objective >= best.bound * (1 - 1e-12)
    assert found.bound <= best.objective * (1 + 1e-12)
    certificate = found.verify()
    assert certificate.residual <= 1e-9
    assert certificate.objective == found.objective
    assert certificate.gap == pytest.approx(found.gap, abs=1e-15)


@pytest.mark.skipif(INTERPRETED, reason="thousands of draws in plain Python")
def test_never_beats_the_bound_on_random_instances():
    gaps = []
    for seed in range(40):
        problem = zoo.random(seed, max_devices=8)
        found, best = searched(problem), problem.solve()
        if found.status is not Status.FAILED:  # no feasible draw at all, which it may happen to have
            assert found.objective >= best.bound * (1 - 1e-12), seed
            assert found.verify().residual <= 1e-9, seed
            gaps.append(found.objective / best.objective - 1)
    assert len(gaps) > 25
    assert max(gaps) > 1e-6


@pytest.mark.parametrize("name", ["one_device", "two_devices"] if INTERPRETED else NAMED)
def test_the_inner_searches_are_exact_at_the_optimal_split(name):
    """Given the optimal time split, Algorithms 1 and 2 find the optimum: everything but the split is right."""
    best = NAMED[name].solve()
    split = best.compute_time_fraction
    # where all devices are at a limit, rounding decides whether the very split is feasible
    energy, samples, _ = min(
        (inner(NAMED[name], split * (1 + x)) for x in (0.0, -1e-10, 1e-10)), key=lambda x: x[0]
    )
    assert energy == pytest.approx(best.objective, rel=1e-8)
    np.testing.assert_allclose(samples, best.samples, rtol=1e-3)


@pytest.mark.skipif(INTERPRETED, reason="a search in a search in plain Python")
def test_the_closed_form_is_the_inner_bisection():
    problem = NAMED["paper"]
    eta = problem.solve().compute_time_fraction
    for split in (eta, 0.9 * eta, np.minimum(1.1 * eta, 0.9)):
        closed, _, shares = inner(problem, split)
        bisected, _, searched_shares = inner(problem, split, bisect=True)
        assert closed == pytest.approx(bisected, rel=1e-12)
        np.testing.assert_allclose(shares, searched_shares, rtol=1e-9)
    closed, bisected = (
        searched(problem, rounds=2, inner_bisection=inside, tolerance=1e-12) for inside in (False, True)
    )
    assert closed.objective == pytest.approx(bisected.objective, rel=1e-9)


def test_more_rounds_of_more_draws_come_closer():
    problem = NAMED["two_devices"]
    few, many = searched(problem, rounds=2, draws=4, elite=2), searched(problem, rounds=25, draws=30, elite=5)
    best = float(problem.solve().objective)
    assert many.objective / best - 1 < 1e-9 < few.objective / best - 1
    assert few.iterations < many.iterations


def test_seeds_repeat_and_differ():
    problem = NAMED["two_devices"]
    assert searched(problem) == searched(problem)
    assert searched(problem).objective != searched(problem, seed=1).objective


def test_a_batch_is_its_instances():
    batch = zoo.paper(3, seed=2, count=3)
    together = searched(batch, rounds=2)
    for i in range(3):
        alone = searched(batch[i], rounds=2)
        for name in (*alone.decisions, "objective", "iterations"):
            np.testing.assert_array_equal(getattr(together[i], name), getattr(alone, name))
        assert together[i].bound == pytest.approx(alone.bound, rel=1e-12)


@pytest.mark.parametrize("name", zoo.infeasible())
def test_infeasible_instances_are_called_so(name):
    solution = searched(zoo.infeasible()[name], rounds=1, draws=3, elite=1)
    assert solution.status is Status.INFEASIBLE
    assert math.isnan(solution.objective)


@pytest.mark.skipif(INTERPRETED, reason="thousands of draws in plain Python")
def test_a_search_that_finds_nothing_says_so():
    solution = searched(NAMED[NARROW])
    assert solution.status is Status.FAILED
    assert math.isnan(solution.objective)
    assert solution.iterations == 20 * SMALL["draws"]


def test_max_iterations_limits_the_rounds():
    from radioopt import SolveOptions

    problem = NAMED["two_devices"]
    short = problem.solve("cross-entropy", SolveOptions(max_iterations=1), draws=6, elite=3)
    assert short.objective == searched(problem, rounds=1, draws=6, elite=3).objective


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "rounds: expected at least 1, got 0"),
        ({"elite": 0}, "elite: expected at least 1, got 0"),
        ({"draws": 5, "elite": 6}, "elite: expected at most draws = 5, got 6"),
        ({"smoothing": 1.0}, r"smoothing: expected a number in \[0, 1\), got 1"),
        ({"seed": -1}, "seed: expected at least 0, got -1"),
        ({"tolerance": -1.0}, r"tolerance: expected a number in \[0, 1\), got -1"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(OptionError, match=f"^cross-entropy: {message}"):
        searched(NAMED["one_device"], **options)


# -- the formulas, each against an independent calculation ---------------------------------------------------------


@pytest.mark.parametrize("t", [3.0001, 3.5, 10.0, 1e4])
def test_least_bandwidth_as_corrected(t):
    """At (31), corrected, the largest power takes just the time there is; as printed it is negative."""
    a, kappa = 7.0, 3.0
    b = kernel.narrowest(a, kappa, t)
    u = a / (t * b)
    assert kappa * math.expm1(u) / u == pytest.approx(t, rel=1e-10)
    with mpmath.workdps(30):
        c = mpmath.mpf(kappa) / t
        w = mpmath.lambertw(-c * mpmath.exp(-c), -1).real
        assert float(-a / (t * w + kappa)) == pytest.approx(b, rel=1e-9)
        assert a / (t * w + kappa) < 0


def test_no_bandwidth_suffices_if_the_noise_is_too_strong():
    assert kernel.narrowest(7.0, 3.0, 3.0) == math.inf
    assert kernel.narrowest(7.0, 3.0, 2.0) == math.inf


@pytest.mark.parametrize("u", [1e-8, 1e-3, 0.19, 0.21, 1.0, 20.0])
def test_h_keeps_its_digits(u):
    with mpmath.workdps(40):
        exact = float(u * mpmath.exp(u) - mpmath.exp(u) + 1)
    assert kernel.h(u) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize(
    ("mean", "deviation", "low", "high"),
    [(0.5, 1.0, 0.1, 0.9), (0.5, 0.05, 0.3, 0.6), (0.2, 0.3, 0.19, 0.95)],
)
def test_draws_are_normal_within_their_limits(mean, deviation, low, high):
    generator = np.random.default_rng(1)
    count = 300 if INTERPRETED else 5000
    drawn = [kernel.draw(generator, mean, deviation, low, high) for _ in range(count)]
    law = scipy.stats.truncnorm((low - mean) / deviation, (high - mean) / deviation, mean, deviation)
    assert scipy.stats.kstest(drawn, law.cdf).pvalue > 1e-3


def test_no_samples_are_made_of_a_number_that_float64_does_not_hold():
    problem = zoo.paper(2)
    p = Canonical.of(problem)
    rows = (np.array([p.A[0], 1e300]), p.k, p.F, p.low, p.high, p.k, p.k, p.k)
    device = np.stack([np.broadcast_to(row, 2) for row in rows])
    work, samples = np.ones((kernel.SCRATCH, 2)), np.empty(2)
    work[kernel.S] = [30.0, 1e-100]
    with np.errstate(all="ignore"):
        assert not kernel.search_samples(device, 50.0, 2.0, 1e-12, work, samples)
