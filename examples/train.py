"""Train on handwritten digits over twelve devices, and compare batch-size policies by simulated time."""

from pathlib import Path
from tempfile import mkdtemp

import learning

# One run: batch sizes and slots of every round are the certified optimum for that round's channel.
result = learning.train("feel-cpu", policy="optimal", rounds=40, seed=1)
print(result)
print(result.to_frame()[["seconds", "batchsize", "energy_j", "test_accuracy"]].iloc[::10])

# Paired runs: same data split, placement and initial weights for every policy on the same seed.
comparison = learning.compare("feel-cpu", target_accuracy=0.9, seconds=30_000, seeds=3)
print(comparison)

# With two label shards per device, weights by samples held keep the gradient unbiased; each at its own rate.
skewed = {"optimal": {"learning_rate": 0.4}, "online": {"learning_rate": 1.6}, "full": {"learning_rate": 0.2}}
options = {"partition": "shards", "weights": "samples", "seeds": 3}
print(learning.compare("feel-cpu", policies=skewed, target_accuracy=0.9, seconds=30_000, **options))

# Numbers, picture and manifest in a folder of their own.
print(learning.save_run(comparison, "digits", Path(mkdtemp())))
