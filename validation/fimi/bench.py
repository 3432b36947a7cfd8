"""The benchmark of FIMI: its instances, who is asked, and the goals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from radioopt.fimi.adjoint import FIELDS
from radioopt.fimi.problem import SynthesisProblem
from validation.bench import contestants, derivatives
from validation.bench.suite import Case, Goal, Group, Suite, repeated
from validation.fimi import bench_peers as peers
from validation.fimi.kkt import RESULTS, kkt
from validation.fimi.zoo import paper

CVXPY = {"cvxpy": "cvxpy", "clarabel": "clarabel"}
CASADI = {"casadi": "casadi"}

#: instances of one size that a contestant is given in turn
IN_TURN = 4
SIZES, QUICK_SIZES = (20, 100, 1000), (20,)
#: largest size for CVXPY, whose cones are fifteen to a device
CVXPY_UP_TO = 100
LARGE, QUICK_LARGE = 1_000_000, 20_000
BATCH, QUICK_BATCH = 10_000, 1_000
NEWTON, CROSS_ENTROPY = "radioopt newton", "paper's cross-entropy"
#: the sum of this result is the loss whose gradients are compared
LOSS = "transmit_power_w"
SEARCH = "50 rounds, 100 draws, 10 elite"

NOTES = (
    "IPOPT and CVXPY solve any problem of their class; radioopt solves this one. The ratios say what a method "
    "written for one problem is worth, not that those solvers are slow.",
    "The peers stop at their own tolerances, radioopt at floating point: the gap beside every time says what was "
    "reached.",
    "IPOPT gets the paper's P1 in the paper's variables and exact derivatives, and tight tolerances without relaxed "
    "bounds, without which it answers 2e-7 below the optimum.",
    "CVXPY gets a geometric program with exponential cones, solved once; a second time, around the first answer, it "
    "would often be more accurate and take twice as long.",
    "The cross-entropy search is the paper's Algorithm 3 around Algorithms 1 and 2, corrected, compiled by Numba like "
    "radioopt's own, with the inner search in closed form, which makes it faster than as printed.",
    "Devices are drawn in the paper's cell with 1 MHz each, with learning curve and limit on the error calibrated to "
    "the amount of synthetic data it prints. Where the text says that half of the devices are at their largest power, "
    "those have a tenth of it.",
    "An exp pass takes one scalar exponential per device, on as many threads as the solve it is compared with.",
)


def draw(devices: int, count: int | None = None, seed: int = 0, *, weak: bool = False) -> SynthesisProblem:
    """Draw devices in the paper's cell.

    Parameters
    ----------
    devices : int
        I.
    count : int, optional
        Number of instances; a single one by default.
    seed : int, default 0
        The same seed gives the same instances.
    weak : bool, default False
        Let half of the devices have so little power that they end at its limit.

    Returns
    -------
    SynthesisProblem
        Of the paper's settings.

    Examples
    --------
    >>> problem = draw(20, weak=True)
    >>> at_limit = problem.solve().transmit_power_w > 0.999 * problem.max_transmit_power_w
    >>> bool(0.3 < at_limit.mean() < 0.7)
    True
    """
    problem = paper(devices, seed, count)
    if not weak:
        return problem
    needed = (
        problem.noise_psd_w_per_hz
        * 1e6
        / problem.channel_gain
        * np.expm1(problem.payload_bits * np.log(2) / (1e6 * 25.0))
    )
    short = np.arange(devices) % 2 == 1
    limit = np.where(short, 0.2 * needed, problem.max_transmit_power_w)
    return problem.replace(max_transmit_power_w=limit, bandwidth_hz=1.5 * problem.bandwidth_hz)


def suite(*, quick: bool = False) -> Suite:
    """Return the benchmark; the small instances only if ``quick``."""
    large, batch = (QUICK_LARGE, QUICK_BATCH) if quick else (LARGE, BATCH)
    groups = [_single(devices) for devices in (QUICK_SIZES if quick else SIZES)]
    groups += [_batch(batch), _gradients(batch), _large(large, weak=False), _large(large, weak=True)]
    return Suite(
        family="fimi",
        groups=tuple(groups),
        goals=_goals(large, batch),
        fresh={} if quick else {"single": _first_single, "batch": _first_batch},
        alone={} if quick else {f"I={LARGE:,}: solve": _alone},
        profiled=0 if quick else 20,
        packages=("cvxpy", "clarabel", "casadi"),
        notes=NOTES,
    )


def _single(devices: int) -> Group:
    too_large = "" if devices <= CVXPY_UP_TO else f"takes minutes: I up to {CVXPY_UP_TO} only"
    too_long = "" if devices <= QUICK_SIZES[-1] else "takes minutes and finds no optimum at this size"
    return Group(
        instance=f"I={devices}",
        summary=f"{IN_TURN} single instances of {devices} devices in the paper's cell, in turn",
        make=functools.partial(_in_turn, devices),
        cases=(
            Case(NEWTON, "solve", contestants.solve(), "1e-9"),
            Case(NEWTON, "construct", contestants.construct),
            Case(NEWTON, "construct + solve", contestants.construct_and_solve, "1e-9"),
            Case("ipopt reused", "solve", peers.ipopt(reused=True), "1e-12", CASADI),
            Case("ipopt fresh", "model + solve", peers.ipopt(reused=False), "1e-12", CASADI),
            Case(
                "cvxpy reused",
                "parameters + solve",
                peers.cvxpy(reused=True),
                "1e-11",
                CVXPY,
                not_run=too_large,
            ),
            Case(
                "cvxpy fresh", "model + solve", peers.cvxpy(reused=False), "1e-11", CVXPY, not_run=too_large
            ),
            Case(CROSS_ENTROPY, SEARCH, contestants.solve("cross-entropy"), not_run=too_long),
        ),
    )


def _batch(count: int) -> Group:
    return Group(
        instance=f"{count:,} x I=20",
        summary=f"a batch of {count:,} instances of 20 devices; times per instance",
        make=lambda: [draw(20, count, seed=1)],
        cases=(
            Case(NEWTON, "solve", contestants.solve(), "1e-9"),
            Case(NEWTON, "solve", contestants.solve(), "1e-9", threads=1),
            Case(NEWTON, "solve", contestants.solve(), "1e-9", threads=2),
            Case(NEWTON, "construct + solve", contestants.construct_and_solve, "1e-9"),
        ),
    )


def _gradients(count: int) -> Group:
    batch = functools.cache(lambda: draw(20, count, seed=1))
    fields = ("channel_gain", "local_samples")
    error = derivatives.error_against_digits(batch, lambda solution: kkt(solution, FIELDS), LOSS, fields)
    return derivatives.group(
        NEWTON,
        f"{count:,} x I=20, gradients",
        f"the batch of {count:,} instances, and the gradient of a loss in its solution; times per instance",
        lambda: [batch()],
        contestants.solve(),
        dict.fromkeys(RESULTS, 1.0),
        Case(
            "differences",
            derivatives.BOTH,
            derivatives.differences(LOSS, contestants.first(2), error),
            "step 1e-5",
            threads=1,
        ),
        loss={LOSS: 1.0},
        error=error,
    )


def _name(devices: int, weak: bool) -> str:
    return f"I={devices:,}" + (", half at P_max" if weak else "")


def _large(devices: int, *, weak: bool) -> Group:
    cases = []
    for threads in (1, 2):
        cases += [
            Case(NEWTON, "solve", contestants.solve(), "1e-9", threads=threads),
            Case("exp pass", "1 per device", peers.exponentials, threads=threads),
        ]
    half = ", half of them at their largest power" if weak else ""
    return Group(
        instance=_name(devices, weak),
        summary=f"one instance of {devices:,} devices{half}",
        make=lambda: [draw(devices, weak=weak)],
        cases=tuple(cases),
    )


def _in_turn(devices: int) -> list[SynthesisProblem]:
    batch = draw(devices, IN_TURN)
    return [batch[i] for i in range(IN_TURN)]


def _first_single() -> Callable[[], object]:
    return draw(20).solve


def _first_batch() -> Callable[[], object]:
    return draw(20, QUICK_BATCH).solve


def _goals(large: int, batch: int) -> tuple[Goal, ...]:
    ours, also = ("I=20", NEWTON, "solve"), (("I=20", NEWTON, "construct + solve"),)
    goals = [
        Goal("IPOPT reused, I=20", ours, ("I=20", "ipopt reused", "solve"), 80, 250, also=also),
        Goal(
            "CVXPY reused, I=20", ours, ("I=20", "cvxpy reused", "parameters + solve"), 400, 1500, also=also
        ),
        Goal("the paper's search, I=20", ours, ("I=20", CROSS_ENTROPY, SEARCH), 5000, 10_000, also=also),
    ]
    name = f"{batch:,} x I=20, gradients"
    goals.append(
        Goal(
            "differences of radioopt's own solver, solve + gradient, one thread",
            (name, NEWTON, derivatives.BOTH),
            (name, "differences", derivatives.BOTH),
            20,
            100,
        )
    )
    goals.append(derivatives.backward_goal(name, name, NEWTON))
    for weak, threads, floor, goal in ((False, 1, 100, 22), (False, 2, 55, 12), (True, 1, 150, 40)):
        name = "one thread" if threads == 1 else "two threads"
        instance = _name(large, weak)
        goals.append(
            Goal(
                f"{instance}, {name}, exp passes",
                (instance, NEWTON, "solve", threads),
                (instance, "exp pass", "1 per device", threads),
                floor,
                goal,
                "passes",
            )
        )
    return tuple(goals)


def _alone() -> Iterator[float]:
    return repeated(draw(LARGE, weak=False).solve)
