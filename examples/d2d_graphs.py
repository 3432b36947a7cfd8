"""Discover who should share data with whom, by every method, and draw each graph.

    python examples/d2d_graphs.py [folder]

needs ``pip install 'radioopt[plot]'`` and writes a picture per method; "enumerate" is for up to eight devices.
"""

import sys
from pathlib import Path

import radioopt as ro

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "d2d_graphs")
folder.mkdir(parents=True, exist_ok=True)

devices = ro.Scenario.load("d2d").draw(seed=1)
problem = devices.problem("d2d")
print("objective   links   mean distance from the ideal distribution (before: ", end="")
print(f"{problem.solve('none').distance_before.mean():.3f})")
for method in problem.methods:
    if method == "enumerate":
        continue
    solution = problem.solve(method)
    solution.plot().savefig(folder / f"{method}.png", dpi=110)
    links = (solution.source >= 0).sum()
    print(f"{solution.objective:9.2f} {links:7d}   {solution.distance_after.mean():.3f}   {method}")

# Two edges per device, one graph after the other, and what moving the points costs.
found = ro.d2d.discover(problem, edges=2)
print(f"{found.objective:9.2f} {(found.sources >= 0).sum():7d}   "
      f"{found.rounds[-1].distance_after.mean():.3f}   local-search, two edges")  # fmt: skip

model = ro.d2d.EnergyModel(transmit_power_w=0.01, bandwidth_hz=1e6)
snr = 10.0  # of every link
first = found.rounds[0]
exchanged = model.exchange_j(
    first.source, first.transferred, 3072 * 8, snr=problem.outage_probability * 0 + snr
)
learnt = model.discovery_j(ro.d2d.label_message_bits(10), 3000, snr=problem.outage_probability * 0 + snr)
print(
    f"energy: {exchanged:.3f} J for the points of the first graph, {learnt:.3f} J for 3,000 steps of Q-learning"
)
