"""The paper's own method agrees with newton; each correction is tested where the paper as written goes wrong."""

import os

import numpy as np
import pytest

from radioopt import SolveOptions, Status
from radioopt.base.quantity import DEVICE, PER_INSTANCE
from radioopt.feel import BatchsizeProblem, kernel_bisection, kernel_search
from radioopt.feel import kernel_rows as rows
from validation.feel import zoo

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
NAMED = zoo.named()
FEW = ["one_device", "max_batch_of_one", "all_thresholds_above_max"]


@pytest.mark.parametrize("name", FEW if INTERPRETED else NAMED)
def test_agrees_with_newton_on_named_instances(name):
    newton, paper = NAMED[name].solve(), NAMED[name].solve("bisection")
    assert paper.status is Status.OPTIMAL
    assert paper.objective == pytest.approx(newton.objective, rel=1e-9)


@pytest.mark.skipif(INTERPRETED, reason="a hundred thousand passes in plain Python")
def test_agrees_with_newton_on_random_instances():
    for seed in range(300):
        problem = zoo.random(seed)
        newton, paper = problem.solve(), problem.solve("bisection")
        assert paper.status is Status.OPTIMAL, seed
        assert paper.objective == pytest.approx(newton.objective, rel=1e-9), seed


@pytest.mark.skipif(INTERPRETED, reason="a hundred thousand passes in plain Python")
def test_batches_fixed_totals_and_deadlines():
    problem = zoo.random_batch(np.random.default_rng(3), 100, 7)
    newton, paper = problem.solve(), problem.solve("bisection")
    assert (paper.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(paper.objective, newton.objective, rtol=1e-9)

    middle = 0.5 * (problem.min_batchsize + problem.max_batchsize).sum(-1)
    fixed = problem.replace(total_batchsize=middle)
    newton, paper = fixed.solve(), fixed.solve("bisection")
    assert (paper.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(paper.objective, newton.objective, rtol=1e-9)

    late = problem.replace(max_round_latency_s=problem.solve().round_latency_s * 0.99)
    newton, paper = late.solve(), late.solve("bisection")
    np.testing.assert_array_equal(paper.status, newton.status)
    np.testing.assert_allclose(paper.objective, newton.objective, rtol=1e-9)


def test_a_limit_on_totals_tried_is_reported():
    problem = NAMED["one_device"]
    assert problem.solve("bisection").iterations > 10
    stopped = problem.solve("bisection", SolveOptions(max_iterations=3), throw=False)
    assert stopped.status is Status.ITERATION_LIMIT
    assert stopped.iterations == 3


# -- corrections: each value below was found by an independent calculation, given with it ------------------------


def least_upload_phase(*, size, speed, limit, total, base=0.0, low=1.0):
    """T of Algorithm 1 for a fixed total batch; sizes are upload times at a full frame, speeds samples a second."""
    problem = BatchsizeProblem(
        payload_bits=1.0,
        uplink_rate_bps=1 / np.asarray(size, float),
        downlink_rate_bps=1.0,
        seconds_per_sample=1 / np.asarray(speed, float),
        update_time_s=0.0,
        max_batchsize=limit,
        min_batchsize=low,
        base_time_s=base,
        strict=None,
    )
    device = problem.block(DEVICE).reshape(rows.BASE + 1, 1, -1)
    instance = problem.block(PER_INSTANCE).reshape(rows.DEADLINE + 1, 1)
    work = np.empty((11, device.shape[2]))
    slowest = kernel_search.prepare(device, instance, 0, work)
    extra = total - float(problem.min_batchsize.sum())
    bracket = kernel_bisection.phase_bracket(work, slowest, extra)
    z, _ = kernel_bisection.least_upload_phase(work, extra, *bracket)
    assert bracket[0] <= z <= bracket[1]
    return slowest + z


def least_upload_phase_on_a_grid(size, speed, limit, total):
    """The same for two devices by brute force: all splits of the total, slots by the quadratic formula."""
    first = np.linspace(max(1, total - limit[1]), min(limit[0], total - 1), 2_000_001)
    done = first / speed[0], (total - first) / speed[1]
    a, c, gap = size[0], size[1], done[0] - done[1]
    return (done[0] + (a + c - gap + np.sqrt((a + c - gap) ** 2 + 4 * a * gap)) / 2).min()


@pytest.mark.parametrize(
    ("size", "speed", "limit", "total", "phase", "literal"),
    [
        # Theorem 1: slots cut to zero make the frame look empty, so that a T too short passes
        ((0.1, 0.1), (100.0, 0.5), (128.0, 128.0), 60.0, 2.107057, 0.711),
        # Corollary 2: (T - U)^2 where T < U bounds mu from above the optimum
        ((0.1, 0.1), (10.0, 2.0), (30.0, 30.0), 40.0, 5.104988, 3.507869),
        # Corollary 1: with limits that differ, equal shares and batches are no upper bound
        ((0.1, 0.1), (1.0, 100.0), (100.0, 1.0), 90.0, 89.1, 45.2),
    ],
    ids=["theorem_1", "corollary_2", "corollary_1_upper"],
)
def test_fixed_totals_where_the_paper_goes_wrong(size, speed, limit, total, phase, literal):
    found = least_upload_phase(size=size, speed=speed, limit=limit, total=total)
    oracle = least_upload_phase_on_a_grid(size, speed, limit, total)
    assert found == pytest.approx(oracle, rel=1e-9)
    assert found == pytest.approx(phase, abs=0.1 if phase == 89.1 else 1e-6)
    assert found > 1.4 * literal


def test_corollary_1_lower_bound_ignores_the_limits():
    # one device at its limit: without limits T would be (B + S^2) / P, far below
    size, speed, limit, total = (0.1, 0.1), (100.0, 1.0), (10.0, 100.0), 60.0
    found = least_upload_phase(size=size, speed=speed, limit=limit, total=total)
    roots = sum(np.sqrt(a * v) for a, v in zip(size, speed, strict=True))
    assert found == pytest.approx(least_upload_phase_on_a_grid(size, speed, limit, total), rel=1e-9)
    assert found > 10 * (total + roots**2) / sum(speed)


def test_totals_at_their_ends():
    # B = K and B = K Bmax leave no choice of batches: two equal devices share the frame evenly
    assert least_upload_phase(size=(0.1, 0.1), speed=(10, 10), limit=8, total=2.0) == pytest.approx(
        0.3, rel=1e-14
    )
    assert least_upload_phase(size=(0.1, 0.1), speed=(10, 10), limit=8, total=16.0) == pytest.approx(
        1.0, rel=1e-14
    )


def test_theorem_2_root_is_the_one_above_all_updates():
    # 0.1/(T - 0.1) + 0.1/(T - 1) = 1 has two roots; at the other one the second device has a negative slot
    roots = np.roots([1.0, -1.3, 0.21])
    assert roots.min() < 1
    problem = BatchsizeProblem(
        payload_bits=1.0,
        uplink_rate_bps=10.0,
        downlink_rate_bps=10.0,
        seconds_per_sample=1.0,
        update_time_s=[0.1, 1.0],
        max_batchsize=10.0,
        strict=None,
    )
    for method in problem.methods:
        assert problem.solve(method).download_phase_s == pytest.approx(roots.max(), rel=1e-14)
    assert roots.max() == pytest.approx(1.11098, abs=1e-5)
