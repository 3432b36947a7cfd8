"""Unlabelled images: devices share samples by clusters, and learn an encoder together; its clusters before and after.

    python examples/d2d_unlabelled_training.py [picture.png] [data]

needs ``pip install 'radioopt[plot,learning]'``; "fashion-mnist@4000+1000" instead of digits takes a minute.
"""

import sys

import torch
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

import learning
from learning.judges import features

picture = sys.argv[1] if len(sys.argv) > 1 else None
data = sys.argv[2] if len(sys.argv) > 2 else "digits"
options = {"scheme": "contrastive", "data": data, "partition": "few-labels:2", "model": "mlp:12", "rounds": 20,
           "learning_rate": 0.05, "judge_every": 20, "seed": 1, "progress": False}  # fmt: skip
runs = {
    "no exchange": learning.train("d2d-training", **options),
    "exchange by clusters": learning.train("d2d-training", before="exchange-clusters", **options),
}
task = next(iter(runs.values())).task
x, y = (part[:500] for part in task.test)
seen = {"before training": features(task, task.initial_parameters(), x)}
seen |= {f"after training, {name}": features(run.task, run.weights(), x) for name, run in runs.items()}
for name, run in runs.items():
    frame = run.to_frame()["test_accuracy"].dropna()
    print(f"linear evaluation {frame.iloc[0]:.3f} at first, {frame.iloc[-1]:.3f} after training   {name}")
for name, values in seen.items():
    print(f"silhouette of the classes {silhouette_score(values.numpy(), y.numpy()):+.3f}   {name}")

if picture:
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    for axes, (name, values) in zip(figure.subplots(1, 3), seen.items(), strict=True):
        flat = TSNE(init="pca", random_state=0).fit_transform(torch.nn.functional.normalize(values).numpy())
        axes.scatter(*flat.T, c=y.numpy(), cmap="tab10", s=8)
        axes.set(title=name, xticks=[], yticks=[])
    figure.savefig(picture, dpi=100)
