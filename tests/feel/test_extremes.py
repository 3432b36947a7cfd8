"""Numbers near the ends of float64: an answer is measured to be good, or says that it failed; nothing crashes."""

from fractions import Fraction

import numpy as np
import pytest

from radioopt import SolveError, SolveOptions, Status
from validation.feel import zoo

PAPER = zoo.named()["paper_cpu"]
TINY, SUBNORMAL, HUGE = 1e-300, 5e-324, 1e300

EXTREMES = {
    "rates 1e-300": {"uplink_rate_bps": TINY, "downlink_rate_bps": TINY},
    "rates 1e300": {"uplink_rate_bps": HUGE, "downlink_rate_bps": HUGE},
    "rates subnormal": {"uplink_rate_bps": SUBNORMAL},
    "one rate subnormal": {"uplink_rate_bps": np.where(np.arange(12) == 3, SUBNORMAL, 1e7)},
    "one rate 1e-300": {"uplink_rate_bps": np.where(np.arange(12) == 3, TINY, 1e7)},
    "one rate 1e300": {"uplink_rate_bps": np.where(np.arange(12) == 3, HUGE, 1e7)},
    "one downlink rate 1e300": {"downlink_rate_bps": np.where(np.arange(12) == 3, HUGE, 1e7)},
    "rates over 600 decades": {"uplink_rate_bps": 10.0 ** np.linspace(-300, 300, 12)},
    "payload 1e-300": {"payload_bits": TINY},
    "payload subnormal": {"payload_bits": SUBNORMAL},
    "payload 1e300": {"payload_bits": HUGE},
    "computing takes 1e-300 s": {"seconds_per_sample": TINY},
    "computing takes a subnormal time": {"seconds_per_sample": SUBNORMAL},
    "computing takes 1e300 s": {"seconds_per_sample": HUGE},
    "one device computes for 1e300 s": {"seconds_per_sample": np.where(np.arange(12) == 3, HUGE, 0.1)},
    "updates take 1e300 s": {"update_time_s": HUGE},
    "one update takes 1e300 s": {"update_time_s": np.where(np.arange(12) == 3, HUGE, 0.1)},
    "batches up to 1e300": {"max_batchsize": HUGE},
    "batches up to the largest float": {"max_batchsize": np.finfo(float).max},
    "batches of 1e300": {"min_batchsize": HUGE, "max_batchsize": HUGE},
    "base time 1e300": {"base_time_s": HUGE},
    "frames 1e-300": {"uplink_frame_s": TINY, "downlink_frame_s": TINY},
    "frames subnormal": {"uplink_frame_s": SUBNORMAL},
    "loss decay 1e-300": {"loss_decay": TINY},
    "loss decay 1e300": {"loss_decay": HUGE},
}


def honest(solution):
    """Check that nothing is claimed which the plain certificate does not confirm."""
    if solution.status is not Status.OPTIMAL:
        assert solution.status in (Status.FAILED, Status.FEASIBLE, Status.ITERATION_LIMIT)
        return False
    assert np.isfinite(solution.batchsize).all()
    assert np.isfinite(solution.objective)
    assert -1e-9 <= solution.gap <= 1e-9
    check = solution.verify()
    assert check.residual <= 1e-9
    # the plain certificate may overflow where the kernel does not; it must not contradict it
    assert not check.objective > solution.bound * (1 + 1e-9)
    return True


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("method", ["newton", "bisection"])
def test_an_extreme_instance_is_solved_or_refused(name, method):
    problem = PAPER.replace(**EXTREMES[name])
    solution = problem.solve(method, throw=False)
    if honest(solution):
        return
    with pytest.raises(SolveError, match=f"BatchsizeProblem, method '{method}': [A-Z_]+: .+ \\(gap .+\\)"):
        problem.solve(method)


def test_a_large_scale_alone_loses_nothing():
    factor = 1e120
    scaled = PAPER.replace(
        payload_bits=PAPER.payload_bits * factor,
        uplink_rate_bps=PAPER.uplink_rate_bps * factor,
        downlink_rate_bps=PAPER.downlink_rate_bps * factor,
    )
    assert scaled.solve().objective == pytest.approx(PAPER.solve().objective, rel=1e-12)


@pytest.mark.parametrize("decades", [6, 50, 300])
def test_random_exponents_are_solved_or_refused(decades):
    rng = np.random.default_rng(decades)
    solved = 0
    for _ in range(100):
        devices = int(rng.integers(1, 8))

        def draw(shape=devices):
            return 10.0 ** rng.uniform(-decades, decades, shape)

        problem = type(PAPER)(
            payload_bits=draw(()),
            uplink_rate_bps=draw(),
            downlink_rate_bps=draw(),
            seconds_per_sample=draw(),
            update_time_s=draw(),
            max_batchsize=1 + draw(),
            strict=None,
        )
        solved += honest(problem.solve(throw=False))
    assert solved == 100 or decades > 6


def test_a_hundred_thousand_devices():
    rng = np.random.default_rng(9)
    solution = zoo.random_batch(rng, 1, 100_000)[0].solve()
    assert solution.status is Status.OPTIMAL
    assert solution.verify().gap <= 1e-9


def exactly_s(problem, solution):
    """Length of the round at a solution, in rational arithmetic [s]."""

    def times(done, size, share):
        frame, total = sum(map(Fraction, share)), []
        for first, bits, part in zip(done, size, share, strict=True):
            total.append(first + bits / (Fraction(part) / frame))
        return max(total)

    p = {name: [*map(Fraction, value)] for name, value in problem.to_dict().items() if np.ndim(value)}
    bits, batch = Fraction(float(problem.payload_bits)), map(Fraction, solution.batchsize)
    done = [o + t * b for o, t, b in zip(p["base_time_s"], p["seconds_per_sample"], batch, strict=True)]
    up = times(done, [bits / r for r in p["uplink_rate_bps"]], solution.uplink_slot_s)
    return float(
        up + times(p["update_time_s"], [bits / r for r in p["downlink_rate_bps"]], solution.downlink_slot_s)
    )


@pytest.mark.parametrize("decades", range(2, 13))
def test_a_compute_time_that_all_but_cancels_is_not_proven_beyond_its_digits(decades):
    threshold, slope = 10.0**decades, 0.0137
    problem = type(PAPER)(
        payload_bits=1e6,
        uplink_rate_bps=[20e6, 35e6, 50e6],
        downlink_rate_bps=40e6,
        seconds_per_sample=slope,
        update_time_s=0.01,
        base_time_s=0.1 - slope * threshold,
        min_batchsize=threshold,
        max_batchsize=threshold * (1 + 1e-9) + 128,
    )
    solution = problem.solve(throw=False)
    missed = abs(exactly_s(problem, solution) / solution.round_latency_s - 1)
    assert missed <= max(solution.gap, 1e-14)
    assert (solution.status is Status.OPTIMAL) == (decades <= 7)
    assert solution.verify().gap >= 0.3 * missed


def test_a_deadline_that_is_just_met_is_verified():
    rng = np.random.default_rng(1)
    cells = zoo.random_batch(rng, 300, 6)
    # uploads that take all of the round: a deadline a little earlier has an enormous price
    cells = cells.replace(payload_bits=10 ** rng.uniform(6, 15, 300))
    for factor in (1.0, 1 - 1e-15, 1 - 1e-13, 1 + 1e-15):
        tight = cells.replace(max_round_latency_s=cells.solve().round_latency_s * factor)
        solution = tight.solve(throw=False)
        assert (solution.verify().status[solution.status <= Status.FEASIBLE] <= Status.FEASIBLE).all()


def test_every_status_of_a_batch_stands_for_itself():
    # one pass is enough where no device reaches a limit, not where some do; a deadline may be too early
    batch = PAPER.replace(
        max_batchsize=np.array([[1e12], [128], [128], [128]]),
        max_round_latency_s=[np.inf, np.inf, 1e-3, np.inf],
        uplink_rate_bps=np.vstack([PAPER.uplink_rate_bps] * 3 + [np.full(12, SUBNORMAL)]),
    )
    solution = batch.solve(options=SolveOptions(max_iterations=1), throw=False)
    expected = [Status.OPTIMAL, Status.ITERATION_LIMIT, Status.INFEASIBLE, Status.FAILED]
    assert solution.status.tolist() == expected
    np.testing.assert_array_equal(np.isnan(solution.objective), [False, False, True, True])
