"""From a sweep over training to a figure and a LaTeX table: which learning rate, for how much bandwidth?"""

from pathlib import Path

import learning

found = learning.sweep(
    "feel-cpu",
    {"learning_rate": [0.1, 0.2, 0.4], "bandwidth_hz": [5e6, 20e6]},
    seeds=3,
    rounds=15,
    data="digits@600+300",
    model="softmax",
    folder="training_sweep_kept",  # goes on from here after an interruption
)
print(found.summary("seconds")[["mean", "low", "high"]].round(1))  # simulated seconds, interval of the mean
found.plot("final_accuracy", x="learning_rate", width="column").savefig("training_sweep.pdf")
Path("training_sweep.tex").write_text(found.to_latex(x="learning_rate"), encoding="utf-8")

seeds = learning.compare("feel-cpu", policies=["optimal", "full"], seeds=3, rounds=15, data="digits@600+300")
print(seeds)
seeds.plot().savefig("seeds.pdf")  # mean accuracy after each round, with bands
print(seeds.by_round().loc["optimal", ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]].tail(3))
