"""Time the imports and the first call in a process of its own: ``python -m validation.bench.fresh FAMILY NAME``."""

from __future__ import annotations

import json
import sys
import time


def main(family: str, name: str) -> None:
    """Print the seconds of the imports and of the first call as one line of JSON."""
    start = time.perf_counter()
    from radioopt.base.problem import problem_class

    problem_class(family)
    imported = time.perf_counter()
    from validation.bench.suite import suite

    call = suite(family).fresh[name]()
    begin = time.perf_counter()
    call()
    end = time.perf_counter()
    print(json.dumps({"import_s": imported - start, "first_s": end - begin}))


if __name__ == "__main__":
    main(*sys.argv[1:])
