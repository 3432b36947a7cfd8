"""Compile the kernels of problems and keep them, so that no first call has to wait: for an image, or a cluster.

radioopt compile              all families, some minutes
radioopt compile feel fimi    these
NUMBA_CACHE_DIR=/opt/kernels radioopt compile       kept there; set it to the same folder where they are used

Every method is called on the scenarios that come with radioopt, alone and in a batch, the first one in a batch for all
threads too. They serve processors of this kind, with this version of radioopt, its requirements and Python.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

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
    from radioopt.base.problem import families, problem_class

    os.environ["RADIOOPT_COMPILE"] = "wait"
    for family in args.family:
        problem_class(family)  # refuses what there is not
    rows, chosen = [], args.family or families()
    with warnings.catch_warnings(), output.progress() as bars:
        warnings.simplefilter("error", CompileWarning)
        calls = {family: list(_calls(family)) for family in chosen}
        bar = bars.add_task("", total=sum(map(len, calls.values())))
        for family, those in calls.items():
            began, versions = time.perf_counter(), _versions()
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
            rows.append({"family": family, "kernels": len(_versions() - versions), "seconds": taken})
    output.print_table(pd.DataFrame(rows), "kernels that are ready", index=False)
    return 0


def _calls(family: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """List what to call, each under a name."""
    from radioopt.scenario import Scenario

    for scenario in map(Scenario.load, Scenario.examples()):
        if family not in scenario.families:
            continue
        sizes: dict[str, Any] = {"one": (), "a batch": 2, "a batch for all threads": _many(scenario, family)}
        for size_name, size in sizes.items():
            if size is None:
                continue
            problem: Problem[Any] = scenario.draw(0, size=size).problem(family)
            for position, method in enumerate(problem.methods.values()):
                if position == 0 or size in ((), 2):
                    yield f"{method.name}, {size_name}", _call(problem, method.name)
                    if "integer" in method.options:
                        yield (
                            f"{method.name}, {size_name}, integers",
                            _call(problem, method.name, integer=True),
                        )


def _many(scenario: Scenario, family: str) -> int | None:
    """Return the size of a batch from which on all threads are used; None if none ever is."""
    solver = importlib.import_module(f"radioopt.{family}.solver")
    threshold = getattr(solver, "PARALLEL_FROM", None)
    if threshold is None:
        return None
    most = max(threshold.values()) if isinstance(threshold, dict) else threshold
    devices: int = scenario.draw(0).problem(family).sizes["device"]
    return int(most // devices + 1)


def _call(problem: Problem[Any], method: str, **options: Any) -> Callable[[], Any]:
    return lambda: problem.solve(method, throw=False, **options)


def _versions() -> set[tuple[int, Any]]:
    """All versions of all kernels that are loaded."""
    import gc

    from radioopt.numerics.dispatch import Kernel

    kernels = (thing for thing in gc.get_objects() if isinstance(thing, Kernel))
    return {(id(kernel), types) for kernel in kernels for types in kernel.overloads}
