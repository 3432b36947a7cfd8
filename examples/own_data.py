"""Data of one's own in four forms: arrays with words for labels, CSV file, folder of images, data set of torch."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.datasets import load_digits

import learning

x, y = load_digits(return_X_y=True)  # 8 x 8 pixels, 0 to 16
words = np.array(["even", "odd"])[y % 2]
folder = Path(tempfile.mkdtemp())
pd.DataFrame(x).assign(label=words).to_csv(folder / "digits.csv", index=False)
for i, (row, word) in enumerate(zip(x, words, strict=True)):
    (folder / "images" / word).mkdir(parents=True, exist_ok=True)
    Image.fromarray((row.reshape(8, 8) * 15).astype(np.uint8)).save(folder / "images" / word / f"{i}.png")
forms = {
    "arrays": learning.Dataset.split(x / 16, words),
    "CSV": f"csv:{folder / 'digits.csv'}@standard",
    "images": folder / "images",
    "torch": torch.utils.data.TensorDataset(torch.tensor(x / 16), torch.tensor(y % 2)),
}
for name, data in forms.items():
    run = learning.train("feel-cpu", scheme="fedavg", data=data, model="softmax", rounds=10, progress=False)
    names = run.config.get("class_names", "by number")
    print(f"{name:7} accuracy {run.ledger.accuracy:.3f}, classes {names}")
