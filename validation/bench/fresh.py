"""Measure in a process of its own: the first call, or a few large calls, and the memory."""

from __future__ import annotations

import json
import time

from radioopt.numerics import workshop
from validation.bench.machine import peak_memory_bytes

#: so long is waited for what is compiled in the background [s]
COMPILING_S = 120.0


def main(kind: str, family: str, name: str) -> None:
    """Print what was measured as one line of JSON: "first" the first call, "alone" a few calls."""
    from radioopt.base.rooms import families

    if family in families():
        from radioopt.base.problem import problem_class

        problem_class(family)
    from validation.bench.suite import suite

    if kind == "first":
        call = suite(family).fresh[name]()
        begin = time.perf_counter()
        call()
        seconds = [time.perf_counter() - begin]
    else:
        seconds = [float(taken) for taken in suite(family).alone[name]()]
    print(json.dumps({"seconds": seconds, "memory_bytes": peak_memory_bytes()}), flush=True)
    workshop.finish(COMPILING_S)  # what still compiles would compete with what is measured next
