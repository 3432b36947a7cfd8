"""Integer batch sizes against brute force over every combination, SCIP's proof, and the relaxation."""

import itertools

import numpy as np
import pytest

from radioopt import SolveError, Status
from radioopt.feel import BatchsizeProblem
from validation.feel import zoo


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


def latency(problem, batches):
    """Least round latency of given batch sizes (..., K) [s]: both frames full."""
    done = problem.base_time_s + problem.seconds_per_sample * np.maximum(batches, problem.min_batchsize)
    upload, download = problem.upload_time_full_frame_s, problem.download_time_full_frame_s
    up = bisect(overfull(upload, done), done.max(-1), done.max(-1) + upload.sum())
    update = problem.update_time_s
    return up + bisect(overfull(download, update), update.max(), update.max() + download.sum())


def efficiency(problem, batches):
    """Best learning efficiency of given batch sizes (..., K)."""
    return problem.loss_decay * np.sqrt(batches.sum(-1)) / latency(problem, batches)


def brute_force(problem):
    """Best learning efficiency over all integer batch sizes, total and deadline respected; nan if there is none."""
    least = np.maximum(1, np.floor(problem.min_batchsize)).astype(int)
    most = np.floor(problem.max_batchsize).astype(int)
    batches = np.array(
        list(itertools.product(*(range(a, b + 1) for a, b in zip(least, most, strict=True)))), float
    )
    allowed = latency(problem, batches) <= problem.max_round_latency_s * (1 + 1e-12)
    if np.isfinite(problem.total_batchsize):
        allowed &= batches.sum(-1) == problem.total_batchsize
    return efficiency(problem, batches)[allowed].max() if allowed.any() else np.nan


def small_problem(seed):
    """One to three devices and at most a few thousand combinations."""
    devices = 1 + seed % 3
    return zoo.random_whole(seed, devices, most={1: 300, 2: 40, 3: 14}[devices])


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


@pytest.mark.parametrize("least", [2.0**63, 2.7e38])
def test_whole_samples_that_a_float_does_not_count_have_no_answer(least):
    """Compiled, math.floor counts to 2^63 and then begins from below."""
    problem = BatchsizeProblem(
        payload_bits=4.8e6,
        uplink_rate_bps=1.2e13,
        downlink_rate_bps=3.8e7,
        seconds_per_sample=[0.013, 0.13],
        update_time_s=[5.4e-65, 2e-95],
        max_batchsize=[1.9e56, 1.7e56],
        min_batchsize=[1.0, least],
        uplink_frame_s=3.5e-32,
        downlink_frame_s=3.1e-57,
        strict=None,
    )
    solution = problem.solve(integer=True, throw=False)
    assert solution.status is Status.FAILED
    assert np.isnan(solution.batchsize).all()


def test_a_node_limit_leaves_a_true_gap():
    problem = zoo.named()["tiny_payload"]
    best = float(problem.solve(integer=True).objective)
    cut = problem.solve(integer=True, node_limit=1, throw=False)
    assert cut.status is Status.NODE_LIMIT
    assert cut.gap > 1e-9
    assert float(cut.objective) <= best * (1 + 1e-12) <= float(cut.bound) * (1 + 2e-12)


def test_a_search_that_is_cut_does_not_call_a_deadline_infeasible():
    shortest = [zoo.random_whole(seed, 4, most=20) for seed in range(60)]
    statuses = []
    for problem in shortest:
        least = problem.replace(max_batchsize=problem.min_batchsize).solve().round_latency_s
        tight = problem.replace(max_round_latency_s=least * 1.02)
        cut = tight.solve(integer=True, node_limit=1, throw=False)
        best = tight.solve(integer=True)
        assert cut.objective <= best.objective * (1 + 1e-12) <= cut.bound * (1 + 2e-12)
        statuses.append(cut.status)
    assert {Status.OPTIMAL, Status.NODE_LIMIT} == set(statuses)


def test_a_total_that_only_whole_samples_make_too_late_says_how_long_they_take():
    problem = BatchsizeProblem(
        payload_bits=1e6, uplink_rate_bps=[2e7, 2e7], downlink_rate_bps=1e7, seconds_per_sample=[0.3, 0.5],
        update_time_s=0.01, max_batchsize=20, total_batchsize=5,
    )  # fmt: skip
    split, whole = (float(problem.solve(integer=integer).round_latency_s) for integer in (False, True))
    between = problem.replace(max_round_latency_s=0.5 * (split + whole))
    assert between.solve().status is Status.OPTIMAL
    with pytest.raises(SolveError, match=r"a total batch of 5 whole samples, got") as error:
        between.solve(integer=True)
    advised = float(str(error.value).partition("at least ")[2].partition(",")[0])
    assert problem.replace(max_round_latency_s=advised).solve(integer=True).status is Status.OPTIMAL


def test_a_batch_is_its_instances():
    problems = [zoo.random_whole(seed, 2, most=40) for seed in range(20)]
    fields = {n: np.stack([p.to_dict()[n] for p in problems]) for n in problems[0].quantities}
    together = BatchsizeProblem(**fields, strict=None).solve(integer=True)
    for i, problem in enumerate(problems):
        np.testing.assert_array_equal(together.batchsize[i], problem.solve(integer=True).batchsize)


# -- SCIP: another proof, without brute force ---------------------------------------------------------------------


def difference_to_scip(problem):
    """How much better than SCIP's proven optimum ours is, relatively; both evaluated at their batches alone."""
    from validation.feel.pyomo_model import solve_whole_samples

    ours, answer = problem.solve(integer=True), solve_whole_samples(problem, 60.0)
    assert ours.status is Status.OPTIMAL
    assert answer.status == "optimal, convergenceCriteriaSatisfied"
    batch = answer.decisions["batchsize"]
    assert (batch >= np.maximum(1, np.floor(problem.min_batchsize))).all()
    assert (batch <= problem.max_batchsize).all()
    best, theirs = (float(efficiency(problem, b)) for b in (ours.batchsize, batch))
    assert best == pytest.approx(float(ours.objective), rel=1e-12)
    return best / theirs - 1


@pytest.mark.reference
@pytest.mark.parametrize("devices", [4, 5, 6])
def test_equals_the_optimum_that_scip_proves(devices):
    for seed in range(8):
        assert abs(difference_to_scip(zoo.random_whole(seed, devices, most=40))) <= 1e-9


@pytest.mark.reference
def test_equals_the_optimum_that_scip_proves_for_a_fixed_total_and_a_deadline():
    for seed in range(6):
        problem = zoo.random_whole(seed, 4, most=40)
        total = np.round(0.5 * (problem.min_batchsize + problem.max_batchsize).sum())
        assert abs(difference_to_scip(problem.replace(total_batchsize=total))) <= 1e-9
        # between the latencies of two totals, so that neither solver stands on the deadline by rounding
        shortest = problem.replace(max_batchsize=problem.min_batchsize).solve().round_latency_s
        deadline = 0.4 * shortest + 0.6 * problem.solve(integer=True).round_latency_s
        assert abs(difference_to_scip(problem.replace(max_round_latency_s=deadline))) <= 1e-9


@pytest.mark.exhaustive
@pytest.mark.reference
@pytest.mark.parametrize("devices", [4, 5, 6])
def test_equals_the_optimum_that_scip_proves_on_hundreds(devices):
    differences = [difference_to_scip(zoo.random_whole(seed, devices, most=60)) for seed in range(1000, 1200)]
    assert np.abs(differences).max() <= 1e-9


def test_the_judge_says_that_it_bounds_the_relaxation():
    problem = zoo.named()["one_device"]
    solution = problem.solve(integer=True)
    check = solution.verify()
    assert Status(check.status) is Status.FEASIBLE
    assert check.note == "method 'newton' found the optimum by a search that is not repeated here"
    assert not problem.solve().verify().note
