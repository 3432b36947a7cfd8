"""The benchmark of D2D: its instances, who is asked, and the goals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from radioopt import Scenario
from radioopt.d2d import GraphProblem
from radioopt.d2d.sparse import SparseGraphProblem
from validation.bench import contestants
from validation.bench.suite import Case, Goal, Group, Suite, Timed, repeated
from validation.d2d.zoo import draw

#: instances of one size that a contestant is given in turn
IN_TURN = 3
SEARCH, LEARNING = "radioopt local-search", "paper's Q-learning"
STEPS, QUICK_STEPS = 3000, 300
#: devices, and links of each, that are solved in a process of their own
LARGE = ((100_000, 32), (1_000_000, 16))
#: links of each device where links are listed
LINKS = 32

NOTES = (
    "Neither local search nor Q-learning proves anything, so the rows have times only. That one start of local search "
    "has the higher reward on these very instances is a test; how much higher, see docs/d2d.md.",
    "Q-learning is the paper's, compiled by Numba like radioopt's own, with policies updated arm by arm.",
    "With listed links there is no Q-learning, whose tables have a column per device.",
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
            Goal(
                "N=100,000 with listed links, times N=10,000",
                (_listed(100_000), SEARCH, "one start"),
                (_listed(10_000), SEARCH, "one start"),
                13,
                10,
                "solves",
            ),
        )
    return Suite(
        family="d2d",
        groups=(
            *(_group(devices, QUICK_STEPS if quick else STEPS) for devices in sizes),
            *(_sparse(devices) for devices in ((1_000,) if quick else (1_000, 10_000, 100_000))),
        ),
        goals=goals,
        fresh={} if quick else {"local search": _first},
        alone={} if quick else {_alone(*size): functools.partial(_many, *size) for size in LARGE},
        profiled=0 if quick else 20,
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


def _listed(devices: int) -> str:
    return f"N={devices:,}, {LINKS} links each"


def _alone(devices: int, links: int) -> str:
    return f"N={devices:,}, {links} links each: solve"


def _sparse(devices: int) -> Group:
    return Group(
        instance=_listed(devices),
        summary=f"one instance of {devices:,} devices of the scenario d2d-sparse, as dense as there",
        make=lambda: [sparse(devices, LINKS)],
        cases=(
            Case(SEARCH, "one start", _timed(), threads=1),
            Case(SEARCH, "construct", contestants.construct),
            Case("radioopt closest", "solve", _timed("closest")),
        ),
    )


def sparse(devices: int, links: int) -> SparseGraphProblem:
    """Draw devices of the scenario d2d-sparse, as many to the area as there, with links to the nearest."""
    change = {
        "devices.count": devices,
        "cell.radius_m": 800.0 * (devices / 2000) ** 0.5,
        "d2d-sparse.candidates": links,
    }
    problem: Any = Scenario.load("d2d-sparse", change).draw(seed=0).problem("d2d-sparse")
    return cast(SparseGraphProblem, problem)


def _many(devices: int, links: int) -> Iterator[float]:
    return repeated(sparse(devices, links).solve)


def _timed(method: str | None = None, **options: Any) -> Callable[[Sequence[GraphProblem]], Timed]:
    """Solve; without a claim to be optimal."""
    return lambda problems: Timed(lambda i: problems[i].solve(method, **options), problems)


def _in_turn(devices: int) -> list[GraphProblem]:
    return [draw(devices, seed) for seed in range(IN_TURN)]


def _first() -> Callable[[], object]:
    return draw(20).solve
