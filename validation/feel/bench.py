"""The benchmark of FEEL: its instances, who is asked, and the goals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from radioopt.base.quantity import DEVICE
from radioopt.channel import channel_gain, ergodic_rate_bps, snr
from radioopt.feel.problem import BatchsizeProblem
from radioopt.units import dbm_per_hz_to_w_per_hz, dbm_to_w
from validation.bench import contestants, derivatives
from validation.bench.streaming import streaming_pass
from validation.bench.suite import Case, Goal, Group, Suite, Timed, repeated
from validation.feel import bench_layers as layers
from validation.feel import bench_peers as peers
from validation.feel.kkt import RESULTS, kkt

CLARABEL = {"clarabel": "clarabel"}
CVXPY = {"cvxpy": "cvxpy", "clarabel": "clarabel"}
CASADI = {"casadi": "casadi"}
MOREAU = {"moreau": "moreau"}
LAYERS = {"cvxpylayers": "cvxpylayers", "torch": "torch"}

#: instances of one size that a contestant is given in turn
IN_TURN = 4
SIZES, QUICK_SIZES = (10, 20, 100, 1000), (10, 20, 100)
#: largest size for a solver whose work grows as the cube of it
DENSE_UP_TO = 20
LARGE, QUICK_LARGE = 4_000_000, 100_000
BATCH, SMALL_BATCH = 10_000, 1_000
NEWTON = "radioopt newton"
GRADIENTS = f"{BATCH:,} x K=20, gradients"

NOTES = (
    "Clarabel, Moreau, CVXPY, IPOPT and SLSQP solve any problem of their class; radioopt solves this one. The "
    "ratios say what a method written for one problem is worth, not that those solvers are slow.",
    "The peers stop at their own tolerances (1e-8 where nothing else is said), radioopt at floating point: the "
    "gap beside every time says what was reached. Asked for 1e-12, Clarabel takes longer and often gets no "
    "further. Goals are held against the default tolerance, which favours the peer.",
    "Clarabel's time holds the computation of its numbers from the problem (vectorised NumPy), building the solver "
    "or updating the data of one that stands, the solve and reading the point back. radioopt's `solve` starts from "
    "a problem that stands; `construct + solve` starts from bare numbers and is shown beside it.",
    "IPOPT and SLSQP get the paper's quotient, which is not convex, and exact derivatives; IPOPT in tight "
    "tolerances, without which it answers outside the limits.",
    "A batch is solved on all threads by radioopt and by Moreau, where nothing else is said; CVXPY and Clarabel "
    "take its instances one by one, on one thread, and are given eight of them.",
    "The payload is taken as 1/K, so that at every size some devices end at a limit and some between. "
    "Other payloads change the number of passes by one or two.",
    "Gradients are those of the sum of the batches: in all fields by radioopt, in uplink rates and seconds per sample "
    "by cvxpylayers, whose time holds the numbers computed from the problem, too. diffcp is in dense mode and asked "
    "for 1e-10: by default it is far less accurate. It takes instances one by one, on one thread.",
    "A streaming pass reads three arrays (uplink rate, downlink rate, seconds per sample) or all seven that the "
    "problem stores, on as many threads as the solve it is compared with.",
)


def draw(devices: int, count: int | None = None, seed: int = 0) -> BatchsizeProblem:
    """Draw devices in the paper's cell: 200 m, 28 dBm, 10 MHz, CPUs around 0.7, 1.4 and 2.1 GHz.

    Parameters
    ----------
    devices : int
        K.
    count : int, optional
        Number of instances; a single one by default.
    seed : int, default 0
        The same seed gives the same instances.

    Returns
    -------
    BatchsizeProblem
        Payload 1.5e9/K bit on average, so that devices end at limits and between them at every K.

    Examples
    --------
    >>> problem = draw(20)
    >>> batch = problem.solve().batchsize
    >>> bool(((batch > 1) & (batch < 128)).any()), bool(((batch == 1) | (batch == 128)).any())
    (True, True)
    """
    rng = np.random.default_rng([seed, devices])
    shape = (devices,) if count is None else (count, devices)

    def rate() -> Any:
        distance_m = np.maximum(200.0 * np.sqrt(rng.random(shape)), 10.0)
        mean = snr(
            transmit_power_w=dbm_to_w(28.0),
            channel_gain=channel_gain(distance_m),
            noise_psd_w_per_hz=dbm_per_hz_to_w_per_hz(-174.0),
            bandwidth_hz=10e6,
        )
        return ergodic_rate_bps(mean, 10e6)

    frequency = rng.choice([0.7e9, 1.4e9, 2.1e9], shape) * rng.uniform(0.9, 1.1, shape)
    return BatchsizeProblem.cpu(
        cpu_frequency_hz=frequency,
        cycles_per_sample=7e7,
        update_cycles=1e8,
        payload_bits=1.5e9 / devices * rng.uniform(0.5, 1.5, shape[:-1]),
        uplink_rate_bps=rate(),
        downlink_rate_bps=rate(),
        max_batchsize=128,
    )


def suite(*, quick: bool = False) -> Suite:
    """Return the benchmark; the small instances only if ``quick``."""
    groups = [_single(devices) for devices in (QUICK_SIZES if quick else SIZES)]
    groups += [_batch(), _small_batch(), _gradients(), _large(QUICK_LARGE if quick else LARGE)]
    return Suite(
        family="feel",
        groups=tuple(groups),
        goals=_goals(QUICK_LARGE if quick else LARGE),
        fresh={} if quick else {"single": _first_single, "batch": _first_batch},
        alone={} if quick else {f"K={LARGE:,}: solve": _alone},
        profiled=0 if quick else 20,
        packages=("cvxpy", "clarabel", "casadi", "moreau", "cvxpylayers", "diffcp"),
        notes=NOTES,
    )


def _single(devices: int) -> Group:
    too_large = "" if devices <= DENSE_UP_TO else f"dense, its work grows as K^3: K up to {DENSE_UP_TO} only"
    return Group(
        instance=f"K={devices}",
        summary=f"{IN_TURN} single instances of {devices} devices in the paper's cell, in turn",
        make=functools.partial(_in_turn, devices),
        cases=(
            Case(NEWTON, "solve", contestants.solve(), "1e-9"),
            Case(NEWTON, "construct", contestants.construct),
            Case(NEWTON, "construct + solve", contestants.construct_and_solve, "1e-9"),
            Case(NEWTON, "construct by .cpu + solve", peers.construct_cpu_and_solve, "1e-9"),
            Case("radioopt bisection", "solve", contestants.solve("bisection"), "1e-9"),
            Case("clarabel", "build + solve", peers.clarabel(1e-8, reused=False), "1e-8", CLARABEL),
            Case("clarabel", "update + solve", peers.clarabel(1e-8), "1e-8", CLARABEL),
            Case("clarabel", "update + solve", peers.clarabel(1e-12), "1e-12", CLARABEL),
            Case("cvxpy reused", "parameters + solve", peers.cvxpy_reused(), "1e-8", CVXPY),
            Case("cvxpy fresh", "model + solve", peers.cvxpy_fresh, "1e-8", CVXPY),
            Case("ipopt reused", "solve", peers.ipopt(reused=True), "1e-12", CASADI),
            Case("ipopt fresh", "model + solve", peers.ipopt(reused=False), "1e-12", CASADI),
            Case("scipy slsqp", "solve", peers.slsqp, "1e-12", not_run=too_large),
        ),
    )


def _batch() -> Group:
    eight = contestants.first(8)
    return Group(
        instance=f"{BATCH:,} x K=20",
        summary=f"a batch of {BATCH:,} instances of 20 devices; times per instance",
        make=lambda: [draw(20, BATCH, seed=1)],
        cases=(
            Case(NEWTON, "solve", contestants.solve(), "1e-9"),
            Case(NEWTON, "solve", contestants.solve(), "1e-9", threads=1),
            Case(NEWTON, "solve", contestants.solve(), "1e-9", threads=2),
            Case(NEWTON, "construct + solve", contestants.construct_and_solve, "1e-9"),
            Case("cvxpy reused", "parameters + solve", peers.cvxpy_reused(eight), "1e-8", CVXPY),
            Case("clarabel", "update + solve", peers.clarabel(1e-8, eight), "1e-8", CLARABEL),
        ),
    )


def _small_batch() -> Group:
    return Group(
        instance=f"{SMALL_BATCH:,} x K=20",
        summary=f"the first {SMALL_BATCH:,} of the batch of {BATCH:,}; times per instance",
        make=lambda: [draw(20, BATCH, seed=1)[:SMALL_BATCH]],
        cases=(
            Case(NEWTON, "solve", contestants.solve(), "1e-9"),
            Case(NEWTON, "solve", contestants.solve(), "1e-9", threads=1),
            Case("moreau", "setup + solve", peers.moreau, "1e-8", MOREAU),
        ),
    )


def _gradients() -> Group:
    batch = functools.cache(lambda: draw(20, BATCH, seed=1))
    error = derivatives.error_against_digits(batch, kkt, layers.LOSS, layers.FIELDS)
    dense = {"mode": "dense", "eps": 1e-10}
    return derivatives.group(
        NEWTON,
        GRADIENTS,
        f"the batch of {BATCH:,} instances, and the gradient of a loss in its solution; times per instance",
        lambda: [batch()],
        contestants.solve(),
        dict.fromkeys(RESULTS, 1.0),
        Case(
            "cvxpylayers diffcp",
            derivatives.BOTH,
            layers.cvxpylayers("DIFFCP", dense, contestants.first(4), error),
            "1e-10",
            LAYERS | {"diffcp": "diffcp"},
        ),
        Case(
            "cvxpylayers moreau",
            derivatives.BOTH,
            layers.cvxpylayers("MOREAU", {}, lambda problems: [problems[0][:SMALL_BATCH]], error),
            "1e-8",
            LAYERS | MOREAU,
        ),
        loss={layers.LOSS: 1.0},
        error=error,
    )


def _large(devices: int) -> Group:
    cases = []
    for threads in (1, 2):
        cases += [
            Case(NEWTON, "solve", contestants.solve(), "1e-9", threads=threads),
            Case("streaming pass", "3 arrays", _pass_over(3), threads=threads),
            Case("streaming pass", "7 arrays", _pass_over(7), threads=threads),
        ]
    return Group(
        instance=f"K={devices:,}",
        summary=f"one instance of {devices:,} devices, far larger than any cache",
        make=lambda: [draw(devices)],
        cases=tuple(cases),
    )


def _in_turn(devices: int) -> list[BatchsizeProblem]:
    batch = draw(devices, IN_TURN)
    return [batch[i] for i in range(IN_TURN)]


def _pass_over(arrays: int) -> Callable[[Sequence[BatchsizeProblem]], Timed]:
    """Read so many of the stored arrays once; the first three are those that vary over the devices."""

    def setup(problems: Sequence[BatchsizeProblem]) -> Timed:
        block = problems[0].block(DEVICE)[:arrays]
        assert block.flags.c_contiguous
        return Timed(lambda i: streaming_pass(block), problems)

    return setup


def _first_single() -> Callable[[], object]:
    return draw(20).solve


def _first_batch() -> Callable[[], object]:
    return draw(20, SMALL_BATCH).solve


def _goals(large: int) -> tuple[Goal, ...]:
    goals = []
    for devices, floor, goal in ((20, 200, 300), (100, 1000, 1700), (1000, 5000, 11000)):
        instance = f"K={devices}"
        ours, also = (instance, NEWTON, "solve"), ((instance, NEWTON, "construct + solve"),)
        for what in ("build + solve", "update + solve"):
            versus = (instance, "clarabel", what)
            goals.append(Goal(f"raw Clarabel, {what}, K={devices}", ours, versus, floor, goal, also=also))
    for devices, floor, goal in ((10, 300, 500), (100, 1000, 2000), (1000, 5000, 10000)):
        instance = f"K={devices}"
        ours, also = (instance, NEWTON, "solve"), ((instance, NEWTON, "construct + solve"),)
        versus = (instance, "cvxpy reused", "parameters + solve")
        goals.append(Goal(f"CVXPY reused, K={devices}", ours, versus, floor, goal, also=also))
    batch, small = f"{BATCH:,} x K=20", f"{SMALL_BATCH:,} x K=20"
    one, both = (batch, NEWTON, "solve", 1), (batch, NEWTON, "construct + solve")
    versus = (batch, "cvxpy reused", "parameters + solve")
    ours = (batch, NEWTON, "solve")
    goals.append(Goal(f"CVXPY reused, {batch}, per instance", ours, versus, 2000, 5000, also=(one, both)))
    versus = (small, "moreau", "setup + solve")
    one = (small, NEWTON, "solve", 1)
    goals.append(
        Goal(
            f"Moreau's batch, {small}, per instance",
            (small, NEWTON, "solve"),
            versus,
            500,
            1300,
            also=(one, ours),
        )
    )
    both = (GRADIENTS, NEWTON, derivatives.BOTH)
    for peer, floor, goal in (("diffcp", 1000, 3000), ("moreau", 100, 300)):
        versus = (GRADIENTS, f"cvxpylayers {peer}", derivatives.BOTH)
        goals.append(Goal(f"cvxpylayers by {peer}, solve + gradient, one thread", both, versus, floor, goal))
    goals.append(derivatives.backward_goal(GRADIENTS, GRADIENTS, NEWTON))
    for threads, floor, goal in ((1, 25, 12), (2, 15, 8)):
        name = "one thread" if threads == 1 else "two threads"
        for arrays in (3, 7):
            goals.append(
                Goal(
                    f"K={large:,}, {name}, passes over {arrays} arrays",
                    (f"K={large:,}", NEWTON, "solve", threads),
                    (f"K={large:,}", "streaming pass", f"{arrays} arrays", threads),
                    floor,
                    goal,
                    "passes",
                )
            )
    key = ("K=10", NEWTON, "construct + solve")
    by_cpu = ("K=10", NEWTON, "construct by .cpu + solve")
    goals.append(Goal("construction + solve(), K=10", key, None, 60, 20, "us", also=(by_cpu,)))
    return tuple(goals)


def _alone() -> Iterator[float]:
    return repeated(draw(LARGE).solve)
