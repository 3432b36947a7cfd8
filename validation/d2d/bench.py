"""The benchmark of D2D: its instances, who is asked, and the goals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from radioopt.d2d import GraphProblem
from validation.bench import contestants
from validation.bench.suite import Case, Goal, Group, Suite, Timed
from validation.d2d.zoo import draw

#: instances of one size that a contestant is given in turn
IN_TURN = 3
SEARCH, LEARNING = "radioopt local-search", "paper's Q-learning"
STEPS, QUICK_STEPS = 3000, 300

NOTES = (
    "Neither local search nor Q-learning proves anything, so the rows have times only. That one start of local search "
    "has the higher reward on these very instances is a test; how much higher, see docs/d2d.md.",
    "Q-learning is the paper's, compiled by Numba like radioopt's own, with policies updated arm by arm.",
    "From 500 devices on local search tries the 64 useful links of least outage of each device, below that all.",
)


def suite(*, quick: bool = False) -> Suite:
    """Return the benchmark; the small instances only if ``quick``."""
    sizes = (20,) if quick else (20, 100, 1000, 2000)
    goals: tuple[Goal, ...] = ()
    if not quick:
        small = ("N=100", SEARCH, "one start")
        goals = (
            Goal("3,000 steps of Q-learning, N=100", small, ("N=100", LEARNING, f"{STEPS} steps"), 25, 100),
            Goal(
                "N=2,000 with candidates, times N=100 without",
                ("N=2000", SEARCH, "one start"),
                ("N=100", SEARCH, "one start"),
                40,
                25,
                "passes",
            ),
        )
    return Suite(
        family="d2d",
        groups=tuple(_group(devices, QUICK_STEPS if quick else STEPS) for devices in sizes),
        goals=goals,
        fresh={} if quick else {"local search": _first},
        notes=NOTES,
    )


def _group(devices: int, steps: int) -> Group:
    too_long = "" if devices <= 100 else "its tables have a column per device"
    return Group(
        instance=f"N={devices}",
        summary=f"{IN_TURN} single instances of {devices} devices with 10 classes, in turn",
        make=functools.partial(_in_turn, devices),
        cases=(
            Case(SEARCH, "one start", _timed()),
            Case(
                SEARCH,
                "20 starts",
                _timed(starts=20),
                not_run="" if devices <= 100 else "see one start",
            ),
            Case(SEARCH, "construct", contestants.construct),
            Case(
                LEARNING,
                f"{steps} steps",
                _timed("q-learning", iterations=steps),
                not_run=too_long,
            ),
        ),
    )


def _timed(method: str | None = None, **options: Any) -> Callable[[Sequence[GraphProblem]], Timed]:
    """Solve; without a claim to be optimal."""
    return lambda problems: Timed(lambda i: problems[i].solve(method, **options), problems)


def _in_turn(devices: int) -> list[GraphProblem]:
    return [draw(devices, seed) for seed in range(IN_TURN)]


def _first() -> Callable[[], object]:
    return draw(20).solve
