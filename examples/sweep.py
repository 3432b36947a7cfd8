"""From a sweep to a figure and a LaTeX table: how much bandwidth do three problems need, for how many devices?"""

from pathlib import Path

import numpy as np

import radioopt as ro

CELL = Path(__file__).with_name("three_problems.toml")

found = ro.sweep(
    CELL,
    {"bandwidth_hz": np.linspace(1e6, 20e6, 20), "devices.count": [5, 10]},
    draws=100,
    problems=["feel", "fimi", "dtkd"],
    folder="sweep_kept",  # goes on from here after an interruption
)
print(found)  # how many draws were proven optimal, and how many have no feasible point
print(found.summary().loc["fimi"].iloc[:4].round(2))

figure = found.plot(
    width="page"
)  # means, with bands over nine in ten draws; hollow where some are infeasible
figure.savefig("sweep.pdf")
some = found.select({"bandwidth_hz": [5e6, 10e6, 20e6]}, problems=["feel", "fimi"])
table = some.to_latex(caption="Means over 100 placements with 95 % intervals", label="tab:bandwidth")
Path("sweep.tex").write_text(table, encoding="utf-8")
print(table)
print("saved sweep.pdf and sweep.tex")
