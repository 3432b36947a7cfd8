"""Train after devices have shared samples, over the graphs of several methods, and see what that gains.

python examples/d2d_training.py [rounds]
"""

import sys

import learning

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
options = {"scheme": "fedavg", "partition": "few-labels:2", "model": "softmax", "seed": 1, "rounds": rounds}
steps = {
    "no exchange": [],
    "closest": [learning.Exchange("closest", edges=2)],
    "a network at the server": [learning.Exchange("gcn-pairs", edges=2)],
    "local search": [learning.Exchange(edges=2)],
    "a tenth of the labels, then local search": [learning.PropagateLabels(0.1), learning.Exchange(edges=2)],
}
for name, before in steps.items():
    result = learning.train("d2d-training", before=before, progress=False, **options)
    table, done = result.to_frame(), [step.to_frame() for step in result.prepared]
    sent = sum(int(step["sent"].sum()) for step in done if "sent" in step)
    print(f"{table['test_accuracy'].iloc[-1]:.3f} after {rounds} rounds, {sent:4d} samples sent   {name}")
    for step in done:
        if "accuracy" in step:
            right, missed = step["accuracy"].mean(), step["unreached"].sum()
            print(f"      labels that were given: {right:.3f} right, {missed} left out")
