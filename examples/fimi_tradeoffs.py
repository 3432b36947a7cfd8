"""What a longer round, a larger error or a wider band would save: least energy, its prices, and three ablations."""

import numpy as np

from radioopt import Scenario
from radioopt.fimi.plot import plot_tradeoffs

problem = Scenario.load("fimi").draw(seed=1).problem("fimi")
solution = problem.solve()
energy = float(solution.objective)
print(
    f"{energy:.2f} J per round, {solution.synthetic_samples.sum():.0f} synthetic samples, gap {solution.gap:.0e}"
)

print("\none per cent more of   changes the energy by   checked by solving again")
worth = solution.sensitivity()
for name in ("max_round_latency_s", "max_global_error", "bandwidth_hz"):
    value = getattr(problem, name)
    up, down = problem.replace(**{name: value * np.array([1.001, 0.999])}).solve().objective / energy
    print(f"{name:22s} {float(getattr(worth, name)):+17.3f} % {(up - down) * 500:+21.3f} %")

print("\nablation                         energy   error limit")
bare = problem.without_synthetic_data()
for label, posed, method in (
    ("none", problem, "newton"),
    ("whole samples", problem, "integer"),
    ("equal bandwidth", problem, "equal-bandwidth"),
    ("no synthetic data", bare, "newton"),
):
    answer = posed.solve(method)
    print(f"{label:28s} {float(answer.objective):8.3f} J   {float(posed.max_global_error):.4f}")

plot_tradeoffs(problem).savefig("fimi_tradeoffs.png", dpi=150)
print("\nfimi_tradeoffs.png: energy against deadline, error and bandwidth, the prices as slopes")
