"""Compile the kernels of problems and keep them, so that no first call has to wait: for an image, or a cluster.

radioopt compile              all families, some minutes
radioopt compile feel fimi    these
NUMBA_CACHE_DIR=/opt/kernels radioopt compile       kept there; set it to the same folder where they are used

Every method is called on the scenarios that come with radioopt, alone and in a batch, the first one in a batch for all
threads too, and once more as a forked process solves that, on one thread. They serve processors of this kind, with this
version of radioopt, its requirements and Python.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from radioopt.base import rooms
from radioopt.cli import output

if TYPE_CHECKING:
    from radioopt.base.problem import Problem
    from radioopt.scenario import Scenario


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "family", nargs="*", metavar="FAMILY", help="problem family (see: radioopt methods); all by default"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    import pandas as pd

    from radioopt.base.errors import CompileWarning, OptionError, RadioOptError
    from radioopt.base.problem import problem_class
    from radioopt.base.rooms import families
    from radioopt.numerics.dispatch import versions

    os.environ["RADIOOPT_COMPILE"] = "wait"
    for family in args.family:
        problem_class(family)  # refuses what there is not
    rows, chosen = [], args.family or families()
    with warnings.catch_warnings(), output.progress() as bars:
        warnings.simplefilter("error", CompileWarning)
        calls = {family: list(_calls(family)) for family in chosen}
        bar = bars.add_task("", total=sum(map(len, calls.values())))
        for family, those in calls.items():
            began, before = time.perf_counter(), versions()
            for name, call in those:
                bars.update(bar, description=f"{family}: {name}")
                try:
                    call()
                except CompileWarning as warning:
                    raise OptionError(f"compile: {warning}") from None
                except RadioOptError:
                    pass  # a method that refuses the instance has no kernel for it
                bars.advance(bar)
            taken = time.perf_counter() - began
            rows.append({"family": family, "kernels": len(versions() - before), "seconds": taken})
    output.print_table(pd.DataFrame(rows), "kernels that are ready", index=False)
    return 0


def _calls(family: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """List what to call, each under a name."""
    from radioopt.base.forks import as_in_a_fork
    from radioopt.scenario import Scenario

    for scenario in map(Scenario.load, Scenario.examples()):
        if family not in scenario.families:
            continue
        sizes: dict[str, Any] = {"one": (), "a batch": 2, "a batch for all threads": _many(scenario, family)}
        for size_name, size in sizes.items():
            if size is None:
                continue
            problem: Problem[Any] = scenario.draw(0, size=size).problem(family)
            large = size not in ((), 2)
            if family in rooms.with_room("radioopt", "adjoint"):
                gradient = _gradient(problem)
                yield f"gradient, {size_name}", gradient
                if large:
                    yield "gradient, a large batch in a forked process", as_in_a_fork()(gradient)
            for method in list(problem.methods.values())[: 1 if large else None]:
                kinds: dict[str, dict[str, Any]] = {"": {}}
                if "integer" in method.options:
                    kinds[", integers"] = {"integer": True}
                for kind, options in kinds.items():
                    call = _call(problem, method.name, **options)
                    yield f"{method.name}, {size_name}{kind}", call
                    if large:
                        yield f"{method.name}, a large batch in a forked process{kind}", as_in_a_fork()(call)


def _many(scenario: Scenario, family: str) -> int | None:
    """Return the size of a batch from which on all threads are used; None if none ever is."""
    solver = rooms.room("radioopt", family, "solver")
    threshold = getattr(solver, "PARALLEL_FROM", None)
    if threshold is None:
        return None
    most = max(threshold.values()) if isinstance(threshold, dict) else threshold
    devices: int = scenario.draw(0).problem(family).sizes["device"]
    return int(most // devices + 1)


def _call(problem: Problem[Any], method: str, **options: Any) -> Callable[[], Any]:
    return lambda: problem.solve(method, throw=False, **options)


def _gradient(problem: Problem[Any]) -> Callable[[], Any]:
    return lambda: problem.solve(throw=False).vjp({"objective": 1.0})
