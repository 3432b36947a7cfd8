"""How many synthetic samples are worth their energy: accuracy against joules, for several limits of the error.

A lower limit asks for more samples on every device, which costs energy in every round and saves rounds.
"""

from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np

import learning
from radioopt import Scenario

options = {
    "scheme": "fedavg",
    "radio": "fdma",
    "public": 600,
    "partition": "dirichlet:0.4,32",
    "rounds": 40,
    "learning_rate": 0.3,
    "seed": 3,
}
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for error, dashes in zip((None, 0.205, 0.2, 0.19), (":", "-.", "--", "-"), strict=True):
    cell = Scenario.load("fimi") if error is None else Scenario.load("fimi", {"fimi.max_global_error": error})
    before = [] if error is None else [learning.Fill(generator="ready-made")]
    result = learning.train(cell, before=before, **options)
    frame, added = result.to_frame(), int(result.task.sizes.sum()) - 640
    joules = np.cumsum(frame["energy_j"])
    axes.plot(joules, frame["test_accuracy"], label=f"{added} samples", color="black", linestyle=dashes)
    print(f"{added:4} samples added: {frame['energy_j'].iloc[1]:.1f} J a round, {result.ledger.headline}")
axes.set(xlabel="energy of all devices [J]", ylabel="test accuracy")
axes.legend(title="added to 640 samples", frameon=False)
path = Path(mkdtemp()) / "fimi_how_many.png"
figure.savefig(path, dpi=120)
print(f"picture in {path}")
