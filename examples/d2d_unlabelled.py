"""Discover who should share unlabelled data with whom, by clusters, and see the parts of the objective apart.

python examples/d2d_unlabelled.py [picture.png]
"""

import sys

import radioopt as ro

problem = ro.Scenario.load("d2d-clusters").draw(seed=1).problem("d2d-clusters")
print("objective   mean gain   agreement   points sent")
for method in ("local-search", "closest", "most-trusted", "uniform", "none"):
    solution = problem.solve(method)
    print(f"{solution.objective:9.2f} {solution.gain.mean():11.3f} {solution.system_agreement:11.3f} "
          f"{solution.transferred.sum():13.0f}   {method}")  # fmt: skip

# Without the agreement of all devices (gamma = 0) everybody looks at what its own data cover.
selfish = problem.replace(cluster_weight=0.0).solve()
print(f"{selfish.objective:9.2f} {selfish.gain.mean():11.3f} {selfish.system_agreement:11.3f} "
      f"{selfish.transferred.sum():13.0f}   local-search, gamma = 0")  # fmt: skip

# Two edges per device, decided by moments and reported by sorting points anew.
found = ro.d2d.discover(problem)
counts, _, _ = found.rounds[-1].clusters_after("resample")
print(
    f"two edges: {(found.sources >= 0).sum()} links, {counts.sum():.0f} of {problem.counts.sum():.0f} points left"
)
if len(sys.argv) > 1:
    problem.solve().plot().savefig(sys.argv[1], dpi=110)
