"""Half-labelled sensors: few windows have a label, labels spread on each machine, and machines share what others lack.

    python examples/d2d_sensors.py [rounds]

The readings are made up: 24 bands of vibration in five states of a machine, of which each of ten machines sees two.
"""

import sys

import numpy as np

import learning
from radioopt import Scenario

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
rng = np.random.default_rng(0)
state = rng.integers(0, 5, 1500)
peaks = np.exp(-0.5 * ((np.arange(24) - np.array([3, 7, 11, 15, 19])[:, None]) / 3.0) ** 2)
bands = peaks[state] * rng.uniform(0.7, 1.3, (1500, 1)) + 0.35 * rng.standard_normal((1500, 24))
data = learning.Dataset(
    bands[:1000], state[:1000], bands[1000:], state[1000:], num_classes=5, name="machines"
)

scenario = Scenario.load("d2d-training", {"d2d.num_classes": 5, "d2d.threshold": 35.0})
options = {"data": data, "partition": "few-labels:2", "scheme": "fedavg", "model": "mlp:16", "learning_rate": 0.05,
           "rounds": rounds, "seed": 2, "progress": False}  # fmt: skip
few = learning.PropagateLabels(fraction=0.05, components=4)
for name, before in {
    "every window labelled, nothing shared": [],
    "one in twenty labelled, nothing shared": [few],
    "one in twenty labelled, windows shared": [few, learning.Exchange(edges=2)],
}.items():
    result = learning.train(scenario, before=before, **options)
    accuracy = result.to_frame()["test_accuracy"].to_numpy()
    print(
        f"{accuracy[rounds // 3]:.3f} after {rounds // 3} rounds, {accuracy[-1]:.3f} after {rounds}   {name}"
    )
spread = result.prepared[0].to_frame()
print(
    f"labels that spread: {spread['accuracy'].mean():.3f} right, {spread['unreached'].sum()} windows left out"
)
