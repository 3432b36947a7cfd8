"""Measure in a process of its own: the imports and the first call, or a few large calls, and the memory of it all."""

from __future__ import annotations

import json
import time

from validation.bench.machine import peak_memory_bytes


def main(kind: str, family: str, name: str) -> None:
    """Print what was measured as one line of JSON: "first" the imports and the first call, "alone" a few calls."""
    start = time.perf_counter()
    import radioopt  # noqa: F401  what everybody imports first
    from radioopt.base.rooms import families

    if family in families():
        from radioopt.base.problem import problem_class

        problem_class(family)
    imported = time.perf_counter()
    from validation.bench.suite import suite

    told: dict[str, object] = {"import_s": imported - start}
    if kind == "first":
        call = suite(family).fresh[name]()
        begin = time.perf_counter()
        call()
        told["seconds"] = [time.perf_counter() - begin]
    else:
        told["seconds"] = [float(seconds) for seconds in suite(family).alone[name]()]
    print(json.dumps(told | {"memory_bytes": peak_memory_bytes()}), flush=True)
