"""Integer batch sizes against brute force over every combination, and against the relaxation."""

import itertools

import numpy as np
import pytest

from radioopt import Status
from radioopt.feel import BatchsizeProblem


def bisect(excess, low, high):
    """Root of a decreasing function, elementwise; 200 halvings leave nothing to halve."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        above = excess(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


def overfull(size, done):
    """Excess of the shares that end at t over one frame."""

    def excess(t):
        left = np.expand_dims(t, -1) - done
        with np.errstate(divide="ignore"):
            return np.where(left > 0, size / np.where(left > 0, left, 1.0), np.inf).sum(-1) - 1

    return excess


def brute_force(problem):
    """Best learning efficiency over all integer batch sizes, total and deadline respected; nan if there is none."""
    least = np.maximum(1, np.floor(problem.min_batchsize)).astype(int)
    most = np.floor(problem.max_batchsize).astype(int)
    batches = np.array(
        list(itertools.product(*(range(a, b + 1) for a, b in zip(least, most, strict=True)))), float
    )
    done = problem.base_time_s + problem.seconds_per_sample * np.maximum(batches, problem.min_batchsize)
    upload, download = problem.upload_time_full_frame_s, problem.download_time_full_frame_s
    up = bisect(overfull(upload, done), done.max(-1), done.max(-1) + upload.sum())
    update = problem.update_time_s
    down = bisect(overfull(download, update), update.max(), update.max() + download.sum())
    total, latency = batches.sum(-1), up + down
    allowed = latency <= problem.max_round_latency_s * (1 + 1e-12)
    if np.isfinite(problem.total_batchsize):
        allowed &= total == problem.total_batchsize
    return (np.sqrt(total) / latency)[allowed].max() if allowed.any() else np.nan


def small_problem(seed):
    """One to three devices, CPU or GPU, thresholds and limits with fractions."""
    rng = np.random.default_rng(seed)
    devices = int(rng.integers(1, 4))

    def spread(low, high, shape=devices):
        return 10.0 ** rng.uniform(low, high, shape)

    common = {
        "payload_bits": spread(5, 7, ()),
        "uplink_rate_bps": spread(5, 8),
        "downlink_rate_bps": spread(5, 8),
        "max_batchsize": 1 + rng.uniform(0, {1: 300, 2: 40, 3: 14}[devices], devices),
    }
    if seed % 2:
        return BatchsizeProblem.gpu(
            seconds_per_sample=spread(-4, 0),
            base_time_s=spread(-3, 1),
            threshold_batchsize=spread(-1, 1.5),
            update_time_s=spread(-4, 1),
            **common,
        )
    return BatchsizeProblem.cpu(
        cpu_frequency_hz=spread(8, 9.5),
        cycles_per_sample=spread(6, 8.5),
        update_cycles=spread(5, 8),
        **common,
    )


@pytest.mark.parametrize("block", range(10))
def test_equals_brute_force(block):
    for seed in range(20 * block, 20 * block + 20):
        problem = small_problem(seed)
        solution = problem.solve(integer=True)
        assert solution.status is Status.OPTIMAL
        np.testing.assert_array_equal(solution.batchsize, np.round(solution.batchsize))
        assert float(solution.objective) == pytest.approx(brute_force(problem), rel=1e-11)


@pytest.mark.parametrize("block", range(5))
def test_equals_brute_force_under_a_deadline_and_for_a_fixed_total(block):
    for seed in range(20 * block, 20 * block + 20):
        rng = np.random.default_rng(seed)
        problem = small_problem(seed)
        deadline = float(problem.solve(integer=True).round_latency_s) * rng.uniform(0.6, 1.1)
        hurried = problem.replace(max_round_latency_s=deadline)
        solution, best = hurried.solve(integer=True, throw=False), brute_force(hurried)
        if np.isnan(best):
            assert solution.status is Status.INFEASIBLE
        else:
            assert float(solution.objective) == pytest.approx(best, rel=1e-11)
        least, most = np.ceil(problem.min_batchsize.sum()), np.floor(problem.max_batchsize).sum()
        if least <= most:
            fixed = problem.replace(total_batchsize=float(rng.integers(least, most + 1)))
            assert float(fixed.solve(integer=True).objective) == pytest.approx(brute_force(fixed), rel=1e-11)


@pytest.mark.parametrize("devices", [10, 100, 1000, 10_000])
def test_is_proven_for_many_devices(devices):
    rng = np.random.default_rng(devices)
    problem = BatchsizeProblem.cpu(
        cpu_frequency_hz=rng.uniform(0.5e9, 3e9, devices),
        cycles_per_sample=7e7,
        update_cycles=1e7,
        payload_bits=3e4,
        uplink_rate_bps=10 ** rng.uniform(6, 8, devices),
        downlink_rate_bps=10 ** rng.uniform(6, 8, devices),
        max_batchsize=128,
    )
    continuous, solution = problem.solve(), problem.solve(integer=True)
    assert solution.status is Status.OPTIMAL
    assert float(solution.objective) <= float(continuous.objective) * (1 + 1e-12)
    check = solution.verify()  # its bound is of the relaxation, and weak at a rounded point
    assert check.residual <= 1e-12
    assert check.gap >= -1e-12
    nearest = problem.replace(
        min_batchsize=continuous.batchsize.round(), max_batchsize=continuous.batchsize.round()
    )
    assert float(nearest.solve().objective) <= float(solution.objective) * (1 + 1e-12)


def test_a_node_limit_leaves_a_true_gap():
    problem = small_problem(8)
    best = float(problem.solve(integer=True).objective)
    cut = problem.solve(integer=True, node_limit=1, throw=False)
    assert cut.status in (Status.NODE_LIMIT, Status.OPTIMAL)
    assert float(cut.objective) <= best * (1 + 1e-12) <= float(cut.bound) * (1 + 2e-12)


def test_a_batch_is_its_instances():
    problems = [small_problem(seed) for seed in range(0, 40, 2)]
    problems = [p for p in problems if p.sizes["device"] == 2]
    fields = {n: np.stack([p.to_dict()[n] for p in problems]) for n in problems[0].quantities}
    together = BatchsizeProblem(**fields).solve(integer=True)
    for i, problem in enumerate(problems):
        np.testing.assert_array_equal(together.batchsize[i], problem.solve(integer=True).batchsize)
