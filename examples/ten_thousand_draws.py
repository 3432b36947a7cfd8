"""Ten thousand cells in one call: how much a round's latency and efficiency depend on place and fading."""

import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from radioopt import Scenario, Status

SIZE = 10_000

scenario = Scenario.load("feel-cpu", {"cell.fading": "block"})
devices = scenario.draw(seed=1, size=SIZE)
problem = devices.problem("feel")
problem.solve()  # compiles, once per machine
started = time.perf_counter()
solution = problem.solve()
seconds = time.perf_counter() - started
assert (solution.status == Status.OPTIMAL).all()
print(
    f"{SIZE} problems of {scenario.devices.count} devices: {seconds:.3f} s, {seconds / SIZE * 1e6:.1f} us each"
)
print(f"every one proven optimal; largest certified gap {solution.gap.max():.0e}\n")

# The same draws under the paper's mean rates: what fading alone changes.
mean = Scenario.load("feel-cpu").draw(seed=1, size=SIZE).problem("feel").solve()

fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
for axis, name, label in (
    (axes[0], "learning_efficiency", "learning efficiency [1/s]"),
    (axes[1], "round_latency_s", "round latency [s]"),
):
    fading, averaged = getattr(solution, name), getattr(mean, name)
    bins = np.linspace(*np.percentile([fading, averaged], [0.3, 99.7]), 61)
    axis.hist(fading, bins, color="#9fc4e4", label="one fading state per round")
    axis.hist(
        averaged, bins, histtype="step", color="black", linewidth=1.2, label="rates averaged over fading"
    )
    low, middle, high = np.percentile(fading, [5, 50, 95])
    axis.axvline(middle, color="black", linewidth=1, linestyle="--", label="median")
    axis.set(xlabel=label, title=f"median {middle:.3g}, nine in ten {low:.3g} to {high:.3g}")
    axis.title.set_fontsize("medium")
    axis.spines[["top", "right"]].set_visible(False)
    print(f"{name}: median {middle:.4g} under block fading, {np.median(averaged):.4g} with mean rates")
axes[0].set_ylabel(f"cells out of {SIZE:,}")
axes[0].legend(frameon=False, loc="upper left")
fig.savefig("ten_thousand_draws.png", dpi=150)
print("\nsaved ten_thousand_draws.png")
