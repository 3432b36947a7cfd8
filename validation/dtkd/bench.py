"""The benchmark of DT-KD: its instances, who is asked, and the goals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from radioopt.dtkd.adjoint import CHOICES
from radioopt.dtkd.problem import DistillationProblem
from validation.bench import derivatives
from validation.bench.contestants import construct, construct_and_solve, first, solve
from validation.bench.suite import Case, Goal, Group, Suite, repeated
from validation.dtkd import bench_peers as peers
from validation.dtkd import zoo
from validation.dtkd.kkt import RESULTS, kkt

CVXPY = {"cvxpy": "cvxpy", "clarabel": "clarabel"}
CASADI = {"casadi": "casadi"}
SCIP = {"pyomo": "pyomo", "pyscipopt": "pyscipopt"}
EXACT = "radioopt exact"
#: fields with a derivative, and the result whose sum is the loss whose gradients are compared
FIELDS = tuple(name for name in DistillationProblem.quantities if name not in CHOICES)
LOSS = "delay_s"
BATCH, QUICK_BATCH = 10_000, 1_000
SIZES, QUICK_SIZES = (8, 20, 30), (8, 20)
CROWDS, QUICK_CROWDS = (1_000, 10_000, 100_000), (1_000, 10_000)

NOTES = (
    "Problem 3 (models and places given) is a closed form for radioopt and a cone program for CVXPY: the ratio is "
    "that of a formula to a general solver. CVXPY takes the instances of the batch one by one.",
    "The reduced program is radioopt's own elimination of f and b handed to SCIP, a convex mixed-integer quadratic "
    "program in the choices; in the paper's own variables SCIP takes thousands of times longer, which is one row only.",
    "radioopt's times of a batch are per instance and on all threads where nothing else is said; SCIP's are of single "
    "instances, modelling included.",
    "The normal form holds three numbers per user and action; radioopt's search works on two per user and four per "
    "action instead, eight cells at a time, so that it may take less than building what it replaces, cell by cell.",
)


def suite(*, quick: bool = False) -> Suite:
    """Return the benchmark; the small instances only if ``quick``."""
    count = QUICK_BATCH if quick else BATCH
    sizes, crowds = (QUICK_SIZES, QUICK_CROWDS) if quick else (SIZES, CROWDS)
    groups = [_given_choices(count), _gradients(count), *(_batch(users, count) for users in sizes)]
    groups += [_crowd(users) for users in crowds]
    if not quick:
        groups.append(_paper_variables())
    return Suite(
        family="dtkd",
        groups=tuple(groups),
        goals=_goals(count, sizes, crowds),
        fresh={} if quick else {"single": _first_single, "bounds": _first_bounds},
        alone={} if quick else {f"K={CROWDS[-1]:,}: solve": _alone},
        profiled=0 if quick else 20,
        packages=("cvxpy", "clarabel", "casadi", "pyomo", "pyscipopt"),
        notes=NOTES,
    )


def _gradients(count: int) -> Group:
    batch = functools.cache(lambda: zoo.with_option("plain", 1, count=count, users=20))
    error = derivatives.error_against_digits(
        batch, lambda solution: kkt(solution, FIELDS), LOSS, ("channel_gain", "label_bits")
    )
    return derivatives.group(
        EXACT,
        f"{count:,} x K=20, choices given, gradients",
        f"Problem 3: a batch of {count:,} cells of 20 users, and the gradient of a loss in its solution; times per "
        "instance",
        lambda: [batch()],
        solve(),
        dict.fromkeys(RESULTS, 1.0),
        Case(
            "differences",
            derivatives.BOTH,
            derivatives.differences(LOSS, first(2), error),
            "step 1e-5",
            threads=1,
        ),
        loss={LOSS: 1.0},
        error=error,
    )


def _given_choices(count: int) -> Group:
    return Group(
        instance=f"{count:,} x K=4, choices given",
        summary=f"Problem 3: a batch of {count:,} cells of 4 users, random models and places; times per instance",
        make=functools.partial(_with_choices, count),
        cases=(
            Case(EXACT, "kernel", peers.closed_form_kernel),
            Case(EXACT, "kernel", peers.closed_form_kernel, threads=1),
            Case(EXACT, "solve", solve(), "1e-9"),
            Case(EXACT, "solve", solve(), "1e-9", threads=1),
            Case(EXACT, "construct", construct),
            Case(EXACT, "construct + solve", construct_and_solve, "1e-9"),
            Case("cvxpy reused", "parameters + solve", peers.cvxpy_reused(8), "1e-8", CVXPY),
            Case("ipopt reused", "solve", peers.ipopt_reused(8), "1e-12", CASADI),
        ),
    )


def _batch(users: int, count: int) -> Group:
    return Group(
        instance=f"{count:,} x K={users}",
        summary=f"the whole problem: a batch of {count:,} cells of {users} users; times per instance",
        make=lambda: [zoo.draw(users, count, seed=1)],
        cases=(
            Case(EXACT, "solve", solve(), "1e-9"),
            Case(EXACT, "solve", solve(), "1e-9", threads=1),
            Case("radioopt", "normal form", peers.normal_form),
            Case("radioopt", "normal form", peers.normal_form, threads=1),
            Case("scip reduced", "model + solve", peers.scip_reduced(4), "1e-9", SCIP),
        ),
    )


def _crowd(users: int) -> Group:
    return Group(
        instance=f"K={users:,}",
        summary=f"one cell of {users:,} users, server and band in proportion",
        make=lambda: [zoo.draw(users)],
        cases=(Case(EXACT, "solve", solve(), "1e-9"),),
    )


def _paper_variables() -> Group:
    return Group(
        instance="K=2, the paper's variables",
        summary="cells of 2 users, for SCIP in m, x, f and b as the paper writes them",
        make=lambda: [zoo.draw(2, 4)],
        cases=(
            Case(EXACT, "solve", solve(), "1e-9"),
            Case("scip paper", "model + solve", peers.scip_paper(1), "1e-9", SCIP),
        ),
    )


def _with_choices(count: int) -> list[DistillationProblem]:
    rng = np.random.default_rng(5)
    batch = zoo.draw(4, count, seed=2)
    return [batch.fix(rng.integers(0, 4, (count, 4)), rng.random((count, 4)) < 0.5)]


def _first_single() -> Callable[[], object]:
    return zoo.draw(20).solve


def _first_bounds() -> Callable[[], object]:
    return zoo.draw(6).replace(max_bandwidth_hz=4e6).solve


def _goals(count: int, sizes: tuple[int, ...], crowds: tuple[int, ...]) -> tuple[Goal, ...]:
    given = f"{count:,} x K=4, choices given"
    versus = (given, "cvxpy reused", "parameters + solve")
    gradients = f"{count:,} x K=20, choices given, gradients"
    both, versus_slopes = (gradients, EXACT, derivatives.BOTH), (gradients, "differences", derivatives.BOTH)
    goals = [
        Goal(
            "CVXPY reused, Problem 3 in a batch, kernel",
            (given, EXACT, "kernel"),
            versus,
            57_000,
            80_000,
            also=((given, EXACT, "kernel", 1),),
        ),
        Goal(
            "CVXPY reused, Problem 3 in a batch, construct + solve",
            (given, EXACT, "construct + solve"),
            versus,
            20_000,
            40_000,
            also=((given, EXACT, "solve"),),
        ),
        Goal("differences of radioopt's own solver, one thread", both, versus_slopes, 20, 100),
        derivatives.backward_goal(gradients, gradients, EXACT),
    ]
    for users in sizes:
        batch = f"{count:,} x K={users}"
        peer = (batch, "scip reduced", "model + solve")
        one = (batch, EXACT, "solve", 1)
        goals.append(
            Goal(
                f"SCIP, reduced program, K={users}",
                (batch, EXACT, "solve"),
                peer,
                44_000,
                100_000,
                also=(one,),
            )
        )
        form = (batch, "radioopt", "normal form", 1)
        goals.append(Goal(f"building the normal form, K={users}, one thread", one, form, 2, 1, "passes"))
    small, large = (f"K={crowds[0]:,}", EXACT, "solve"), (f"K={crowds[-1]:,}", EXACT, "solve")
    ratio = crowds[-1] / crowds[0]
    goals.append(Goal(f"K={crowds[-1]:,} against K={crowds[0]:,}", large, small, 2 * ratio, ratio, "passes"))
    return tuple(goals)


def _alone() -> Iterator[float]:
    return repeated(zoo.draw(CROWDS[-1]).solve)
