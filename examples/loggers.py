"""Write a run for TensorBoard and MLflow too, and stop it when it has learnt enough."""

from pathlib import Path
from tempfile import mkdtemp

import learning

folder = Path(mkdtemp())


def enough(round, entry, ledger):
    """End the run at nine of ten."""
    return "enough" if ledger.accuracy >= 0.9 else None


result = learning.train(
    "feel-cpu",
    scheme="fedavg",
    rounds=30,
    seed=1,
    callbacks=[learning.TensorBoard(folder / "tensorboard"), learning.MlFlow(folder / "mlflow"), enough],
)
print(result)
print(f"tensorboard --logdir {folder}/tensorboard, mlflow ui --backend-store-uri {folder}/mlflow")
print(sorted(path.name for path in folder.glob("mlflow/*/*/metrics/*")))
