"""Interrupt a run, go on with it bit for bit, and set saved runs side by side by what an accuracy costs."""

import itertools
from pathlib import Path
from tempfile import mkdtemp

import learning

folder = Path(mkdtemp())
settings = {"rounds": 40, "partition": "few-labels:3", "seed": 1}
calls = itertools.count(1)


def half(problem, rng):
    """Half of the largest batches; in round 17 the power fails."""
    if next(calls) == 17:
        raise KeyboardInterrupt
    return problem.max_batchsize // 2


# Every five rounds the run is written to a file; the same call again goes on where the file is.
while True:
    try:
        resumed = learning.train("feel-cpu", policy=half, checkpoint=folder / "run.npz", every=5, **settings)
        break
    except KeyboardInterrupt:
        print("interrupted; the same call again goes on after round 15")
print(resumed)

# Not a digit differs from a run that was never interrupted.
unbroken = learning.train("feel-cpu", policy=half, **settings)
print("the same numbers:", resumed.ledger.to_csv() == unbroken.ledger.to_csv())

# Saved runs, side by side: here with another scheme on the same data, split and channel.
learning.save_run(resumed, "half", folder)
learning.save_run(learning.train("feel-cpu", scheme="fedavg", **settings), "fedavg", folder)
runs = learning.compare_runs([folder / "half", folder / "fedavg"])
print(runs.table([0.6, 0.8]).T.to_string(header=["half", "fedavg"], float_format="{:.4g}".format))
print(runs.settings().to_string(header=["half", "fedavg"]))
runs.plot([0.6, 0.8]).savefig(folder / "comparison.png")
print(f"drawn in {folder / 'comparison.png'}")
