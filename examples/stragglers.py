"""How long to wait for stragglers: accuracy after the same simulated time, by the deadline of the upload."""

import pandas as pd

import learning

# Devices are slowed down at random, by half of their compute time on average, and one update in twenty is lost.
rows = {}
for deadline_s in (200.0, 225.0, 250.0, 300.0, 400.0, float("inf")):
    radio = learning.Tdma(deadline_s=deadline_s, slowdown=0.5, loss_probability=0.05)
    result = learning.train(
        "feel-cpu", scheme="fedavg", partition="dirichlet:0.3", seconds=8000, seed=1, radio=radio
    )
    frame = result.to_frame().iloc[1:]
    rows[deadline_s] = {
        "rounds": len(frame),
        "seconds per round": frame["round_latency_s"].mean(),
        "devices that arrive": frame["arrived"].mean(),
        "rounds with nobody": (frame["arrived"] == 0).sum(),
        "accuracy": result.ledger.accuracy,
        "kJ": result.ledger.energy_j / 1e3,
    }
table = pd.DataFrame(rows).T.rename_axis("deadline [s]")
print(table.to_string(float_format="{:.4g}".format))
print(f"\nThe deadline for the highest accuracy: {table['accuracy'].idxmax():g} s")
