"""FEEL is solved to optimality: named, random and many instances, brute force, 50 digits, KKT conditions."""

import os

import mpmath as mp
import numpy as np
import pytest

from radioopt import Status
from radioopt.feel import BatchsizeProblem
from validation.feel import zoo

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
RANDOM = range(30 if INTERPRETED else 300)
NAMED = zoo.named()


@pytest.mark.parametrize("name", NAMED)
def test_named_instances_are_certified(name):
    solution = NAMED[name].solve()
    assert solution.status is Status.OPTIMAL
    # an answer may seem to beat its bound by rounding only
    assert -1e-13 <= solution.gap <= 1e-9
    assert solution.verify().status == Status.OPTIMAL
    assert solution.verify().gap <= 1e-9


def test_random_instances_are_certified():
    for seed in RANDOM:
        solution = zoo.random(seed).solve()
        assert solution.status is Status.OPTIMAL, seed
        assert solution.gap <= 1e-9, seed
        assert solution.verify().gap <= 1e-9, seed


def test_random_instances_cover_what_they_promise():
    problems = [zoo.random(seed) for seed in range(300)]
    solutions = [problem.solve() for problem in problems]

    def all_at(limit):
        return sum(bool((s.batchsize == limit(s.problem)).all()) for s in solutions)

    limited = sum(
        np.count_nonzero((s.batchsize == s.problem.min_batchsize) | (s.batchsize == s.problem.max_batchsize))
        for s in solutions
    )
    devices = sum(s.batchsize.size for s in solutions)
    assert 0.2 <= limited / devices <= 0.8  # and as many between their limits
    assert all_at(lambda p: p.min_batchsize) >= 5  # B = K in the CPU scenario
    assert all_at(lambda p: p.max_batchsize) >= 5  # B = K Bmax
    assert sum(p.sizes["device"] == 1 for p in problems) >= 10
    assert max(p.sizes["device"] for p in problems) == 40
    # thresholds above the largest batch leave nothing to choose
    assert sum(bool((p.min_batchsize == p.max_batchsize).any()) for p in problems) >= 10
    assert sum(bool((p.base_time_s > 0).any()) for p in problems) >= 50
    rates = np.concatenate([p.uplink_rate_bps for p in problems])
    assert np.log10(rates.max() / rates.min()) >= 6
    within = [np.log10(p.uplink_rate_bps.max() / p.uplink_rate_bps.min()) for p in problems]
    assert max(within) >= 5.5


def test_not_one_of_20_000_fails():
    rng = np.random.default_rng(20_000)
    batches, count = (4, 25) if INTERPRETED else (40, 500)
    for _ in range(batches):
        devices = int(np.exp(rng.uniform(0, np.log(60))))
        solution = zoo.random_batch(rng, count, devices).solve()
        assert (solution.status == Status.OPTIMAL).all()
        assert (solution.gap <= 1e-9).all()


@pytest.mark.exhaustive
def test_hardly_one_of_a_million_fails():
    rng = np.random.default_rng(1)
    failed = 0
    for _ in range(400):
        devices = int(np.exp(rng.uniform(0, np.log(60))))
        solution = zoo.random_batch(rng, 2500, devices).solve()
        failed += np.count_nonzero(solution.status != Status.OPTIMAL)
        assert (solution.gap <= 1e-8).all()
    # what is left is rounding: compute times at the upper limit 1e7 times longer than any upload
    assert failed <= 3


# -- brute force ----------------------------------------------------------------------------------------------


def two_share(size, done):
    """Root t > max done of size_0/(t - done_0) + size_1/(t - done_1) = 1, by the quadratic formula."""
    a, c = size
    gap = done[0] - done[1]  # with s = t - done_0: s^2 + (gap - a - c) s - a gap = 0
    return done[0] + (a + c - gap + np.sqrt((a + c - gap) ** 2 + 4 * a * gap)) / 2


def best_on_grids(value, low, high, points=41, zooms=14):
    """Largest value of unimodal functions of one variable, on ever finer grids; low and high of any shape."""
    start, stop = np.asarray(low, float), np.asarray(high, float)
    for _ in range(zooms):
        grid = start[..., None] + (stop - start)[..., None] * np.linspace(0, 1, points)
        found = value(grid)
        at = found.argmax(-1)[..., None]
        start = np.take_along_axis(grid, np.maximum(at - 1, 0), -1)[..., 0]
        stop = np.take_along_axis(grid, np.minimum(at + 1, points - 1), -1)[..., 0]
    return found.max(-1)


def brute_force(problem):
    """Best efficiency over all batch sizes of one or two devices, with slots in closed form."""
    upload, download = problem.upload_time_full_frame_s, problem.download_time_full_frame_s
    base, slope, update = problem.base_time_s, problem.seconds_per_sample, problem.update_time_s
    low, high = problem.min_batchsize, problem.max_batchsize
    if problem.sizes["device"] == 1:

        def alone(batch):
            latency = base[0] + slope[0] * batch + upload[0] + download[0] + update[0]
            return problem.loss_decay * np.sqrt(batch) / latency

        return best_on_grids(alone, low[0], high[0])
    down = two_share(download, update)

    def given_first(first):
        def given_both(second):
            done = base[0] + slope[0] * first[..., None], base[1] + slope[1] * second
            return problem.loss_decay * np.sqrt(first[..., None] + second) / (two_share(upload, done) + down)

        return best_on_grids(given_both, np.full(first.shape, low[1]), np.full(first.shape, high[1]))

    return best_on_grids(given_first, low[0], high[0])


@pytest.mark.parametrize("devices", [1, 2])
def test_brute_force_finds_nothing_better(devices):
    rng = np.random.default_rng(devices)
    for _ in range(20):
        batch = zoo.random_batch(rng, 2, devices)
        for i in range(2):
            best = brute_force(batch[i])
            # the closed forms lose up to 1e-9 by cancellation, the last grid is finer than that
            assert batch[i].solve().objective == pytest.approx(best, rel=1e-8)


# -- 50 digits ------------------------------------------------------------------------------------------------


def optimum_in_50_digits(problem, solution):
    """Solve G1 = G2 = 0 by semismooth Newton in 50 digits, started next to the float solution."""

    def exact(values):
        return [mp.mpf(float(v)) for v in np.broadcast_to(values, devices)]

    devices = problem.sizes["device"]
    s = mp.mpf(float(problem.payload_bits))
    a = [s / r for r in exact(problem.uplink_rate_bps)]
    b = [s / r for r in exact(problem.downlink_rate_bps)]
    p, o, c = map(exact, (problem.seconds_per_sample, problem.base_time_s, problem.update_time_s))
    low, high = exact(problem.min_batchsize), exact(problem.max_batchsize)
    late = [ok + pk * lk for ok, pk, lk in zip(o, p, low, strict=True)]
    full = [ok + pk * uk for ok, pk, uk in zip(o, p, high, strict=True)]

    z = max(bk + ck for bk, ck in zip(b, c, strict=True))
    for _ in range(200):
        h = sum(bk / (z - ck) for bk, ck in zip(b, c, strict=True))
        step = h * (h - 1) / sum(bk / (z - ck) ** 2 for bk, ck in zip(b, c, strict=True))
        z += step
        if abs(step) < mp.mpf(10) ** -45 * z:
            break
    down = z

    t = mp.mpf(float(solution.upload_phase_s))
    frame = float(problem.uplink_frame_s)
    y = [ak * frame / slot for ak, slot in zip(a, exact(solution.uplink_slot_s), strict=True)]
    used = sum(ak / yk**2 for ak, yk in zip(a, y, strict=True))
    total = mp.mpf(float(solution.batchsize.sum()))
    m = mp.sqrt(2 * total / ((t + down) * used))
    for _ in range(60):
        x = t + down
        g1, g2 = mp.mpf(-1), mp.mpf(0)
        free_root, inverse, d2, d3, total = mp.mpf(0), mp.mpf(0), mp.mpf(0), mp.mpf(0), mp.mpf(0)
        for k in range(devices):
            root = mp.sqrt(a[k] * p[k])
            y = m * root
            if y >= t - late[k]:
                y = t - late[k]
                d2, d3 = d2 + a[k] / y**2, d3 + a[k] / y**3
            elif y <= t - full[k]:
                y = t - full[k]
                d2, d3 = d2 + a[k] / y**2, d3 + a[k] / y**3
            else:
                free_root += mp.sqrt(a[k] / p[k])
                inverse += 1 / p[k]
            g1 += a[k] / y
            g2 += m**2 * x * a[k] / y**2
            total += (t - y - o[k]) / p[k]
        g2 -= 2 * total
        if max(abs(g1), abs(g2) / total) < mp.mpf(10) ** -40:
            return float(problem.loss_decay) * mp.sqrt(total) / x
        j11, j12 = -d2, -free_root / m**2
        j21 = m**2 * d2 + inverse - 2 * m**2 * d3 * x - 2 * inverse
        j22 = 2 * m * d2 * x + 2 * free_root
        determinant = j11 * j22 - j12 * j21
        t -= (g1 * j22 - g2 * j12) / determinant
        m -= (j11 * g2 - j21 * g1) / determinant
    raise AssertionError("Newton did not converge in 50 digits")


def test_objective_and_bound_enclose_the_optimum_in_50_digits():
    with mp.workdps(50):
        for seed in range(20 if INTERPRETED else 200):
            problem = zoo.random(seed, max_devices=12)
            solution = problem.solve()
            optimum = optimum_in_50_digits(problem, solution)
            # a few roundings, of the latency and of the intercepts that it is computed from
            intercept = np.abs(problem.base_time_s).max() / solution.round_latency_s
            rounding = 2e-15 + 4e-16 * intercept
            check = solution.verify()
            for objective, bound in ((solution.objective, solution.bound), (check.objective, check.bound)):
                assert objective <= optimum * (1 + rounding), seed
                assert objective >= optimum * (1 - 1e-10), seed
                assert bound >= optimum * (1 - rounding), seed
                assert bound <= optimum * (1 + 1e-9), seed


# -- optimality conditions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["newton", "bisection"])
def test_optimality_conditions(method):
    for seed in range(3 if INTERPRETED else 60):
        problem = zoo.random(seed, max_devices=6 if INTERPRETED else 30)
        solution = problem.solve(method)
        batch, upload = solution.batchsize, solution.upload_time_s
        phase, latency = solution.upload_phase_s, solution.round_latency_s
        size = problem.upload_time_full_frame_s
        # every device ends with the last, in either phase, and the frames are full
        np.testing.assert_allclose(solution.compute_time_s + upload, phase, rtol=1e-12)
        np.testing.assert_allclose(
            solution.download_time_s + problem.update_time_s, solution.download_phase_s, rtol=1e-12
        )
        assert solution.uplink_slot_s.sum() == pytest.approx(problem.uplink_frame_s, rel=1e-14)
        assert solution.downlink_slot_s.sum() == pytest.approx(problem.downlink_frame_s, rel=1e-14)
        # G2 gives m; upload times of m sqrt(a p) between the limits, shorter at l, longer at u
        m = np.sqrt(2 * batch.sum() / (latency * (size / upload**2).sum()))
        ratio = upload / np.sqrt(size * problem.seconds_per_sample) / m
        choice = problem.min_batchsize < problem.max_batchsize
        at_low = np.isclose(batch, problem.min_batchsize, rtol=1e-12)
        at_high = np.isclose(batch, problem.max_batchsize, rtol=1e-12)
        # rounding of T shows in an upload that is much shorter than T
        tolerance = 1e-7 + 1e-12 * phase / upload
        assert (ratio[choice & at_low] <= 1 + tolerance[choice & at_low]).all(), seed
        assert (ratio[choice & at_high] >= 1 - tolerance[choice & at_high]).all(), seed
        between = ~at_low & ~at_high
        assert (abs(ratio[between] - 1) <= tolerance[between]).all(), seed


def test_the_paper_s_closed_form_where_no_device_is_at_a_limit():
    problem = BatchsizeProblem.cpu(
        cpu_frequency_hz=[1e9, 2e9, 3e9],
        cycles_per_sample=1e8,
        update_cycles=0.0,
        payload_bits=1e6,
        uplink_rate_bps=[1e7, 2e7, 4e7],
        downlink_rate_bps=1e7,
        max_batchsize=1e6,
    )
    solution = problem.solve()
    a, p = problem.upload_time_full_frame_s, problem.seconds_per_sample
    # Corollary 1 is exact here: T = (B + S^2) / P. With x = T + T_D = 2 B dT/dB = 2 B / P, B = S^2 + P T_D
    roots, inverse = np.sqrt(a / p).sum(), (1 / p).sum()
    total = roots**2 + inverse * 3 * 0.1
    assert (solution.batchsize > 1).all()
    assert solution.batchsize.sum() == pytest.approx(total, rel=1e-12)
    assert solution.upload_phase_s == pytest.approx((total + roots**2) / inverse, rel=1e-12)
