"""Train after devices have shared samples: few labels that spread, samples that move, then federated averaging.

python examples/d2d_training.py [rounds]
"""

import sys

import learning
from radioopt import Scenario

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
sharing = Scenario.load("d2d").to_dict()
table = sharing["d2d"] | {"threshold": 20.0, "min_classes": 3.0}
cell = Scenario.load(
    "feel-cpu", {"devices.count": 10, "cell.radius_m": 100.0, "cell.min_distance_m": 5.0}
).to_dict()
cell["cell"] |= {"path_loss": sharing["cell"]["path_loss"]}
scenario = Scenario.from_dict(cell | {"d2d": table})

options = {"scheme": "fedavg", "partition": "few-labels:2", "model": "softmax", "seed": 1, "rounds": rounds}
steps = {
    "no exchange": [],
    "closest": [learning.Exchange("closest", edges=2)],
    "local search": [learning.Exchange(edges=2)],
    "a tenth of the labels, then local search": [learning.PropagateLabels(0.1), learning.Exchange(edges=2)],
}
for name, before in steps.items():
    result = learning.train(scenario, before=before, progress=False, **options)
    table = result.to_frame()
    sent = sum(int(step.to_frame()["sent"].sum()) for step in result.prepared if "sent" in step.to_frame())
    print(f"{table['test_accuracy'].iloc[-1]:.3f} after {rounds} rounds, {sent:4d} samples sent   {name}")
    for step in result.prepared:
        done = step.to_frame()
        if "accuracy" in done:
            print(
                f"      labels that were given: {done['accuracy'].mean():.3f} right, {done['unreached'].sum()} left out"
            )
