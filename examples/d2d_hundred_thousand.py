"""Find a transmitter for each of a hundred thousand devices among its nearest neighbours.

    python examples/d2d_hundred_thousand.py [devices]

Twenty thousand by default, in a second or two; memory and time are in proportion to the links.
"""

import sys
import time

import radioopt as ro

count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
scenario = ro.Scenario.load("d2d-sparse", {"devices.count": count, "cell.radius_m": 18.0 * count**0.5})
problem = scenario.draw(seed=1).problem("d2d-sparse")
print(f"{count} devices, {problem.sizes['link']} links, {int(problem.clusters.max()) + 1} clusters")
for method in ("local-search", "closest", "none"):
    began = time.process_time()
    solution = problem.solve(method)
    print(f"{solution.objective / count:8.4f} per device, {(solution.source >= 0).sum():7d} links, "
          f"{time.process_time() - began:5.1f} s   {method}")  # fmt: skip
