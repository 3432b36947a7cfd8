"""Every form in which data come: each trains the same model, and mistakes are named."""

import numpy as np
import pandas as pd
import pytest
import torch

import learning
from learning.data.sources import load
from radioopt import OptionError, ProblemError

X = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
WORDS = np.array(["cat", "dog"])[Y]
TABLE = pd.DataFrame(X, columns=["a", "b", "c"]).assign(label=WORDS)


class Pairs(torch.utils.data.Dataset):
    classes = ("cat", "dog")

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        return torch.from_numpy(X[i]), int(Y[i])


@pytest.fixture
def csv(tmp_path):
    TABLE.to_csv(tmp_path / "samples.csv", index=False)
    return tmp_path / "samples.csv"


def loaded(source):
    return load(source, np.random.default_rng(1))


FORMS = {
    "arrays": lambda csv: (X, Y),
    "words": lambda csv: (X, WORDS),
    "a list of words": lambda csv: (X, WORDS.tolist()),
    "frames": lambda csv: (TABLE[["a", "b", "c"]], TABLE["label"]),
    "categories": lambda csv: (TABLE[["a", "b", "c"]], TABLE["label"].astype("category")),
    "a frame with a label column": lambda csv: TABLE,
    "a path to a CSV file": lambda csv: csv,
    "a CSV file by name": lambda csv: f"csv:{csv}",
    "a CSV file and its column": lambda csv: f"csv:{csv}:label",
    "a data set of torch": lambda csv: Pairs(),
    "a loader": lambda csv: torch.utils.data.DataLoader(Pairs(), batch_size=16),
    "tensors": lambda csv: torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_hold_the_same_samples(form, csv):
    data, expected = loaded(FORMS[form](csv)), loaded((X, Y))
    for part in ("train_y", "test_y"):
        np.testing.assert_array_equal(getattr(data, part), getattr(expected, part))
    for part in ("train_x", "test_x"):
        np.testing.assert_allclose(getattr(data, part), getattr(expected, part), rtol=1e-6)
    assert data.class_names == (None if form in ("arrays", "tensors") else ("cat", "dog"))


def test_a_run_on_a_csv_file_knows_its_classes(csv):
    result = learning.train("feel-cpu", data=csv, model="softmax", rounds=1, progress=False)
    assert result.config["data"] == "csv"
    assert result.config["class_names"] == ["cat", "dog"]


def test_a_folder_of_images_names_its_classes(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(10):
            image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / name / f"{i}.png")
    assert loaded(f"images:{tmp_path}").class_names == ("cat", "dog")


def test_a_data_set_splits_itself():
    data = learning.Dataset.split(X, WORDS, test_fraction=0.25, seed=3)
    assert (len(data.train_y), len(data.test_y), data.num_classes) == (90, 30, 2)
    assert data.test_y.mean() == pytest.approx(Y.mean(), abs=0.05)
    assert data.digest() == learning.Dataset.split(X, Y, test_fraction=0.25, seed=3).digest()
    plane = learning.Dataset.split(X, X @ [1.0, 2.0, 3.0], regression=True)
    assert plane.regression
    assert len(plane.test_y) == 24
    rows = {tuple(row) for row in np.concatenate([plane.train_x, plane.test_x]).tolist()}
    assert len(rows) == 120  # each once


def test_parts_that_are_given_share_their_classes():
    data = loaded(((X, WORDS), (X[:3], ["dog", "dog", "cat"])))
    assert data.test_y.tolist() == [1, 1, 0]
    with pytest.raises(ProblemError, match=r"test y: sample 0 has label 'dgo'; did you mean dog"):
        loaded(((X, WORDS), (X[:1], ["dgo"])))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            TABLE.rename(columns={"label": "species"}),
            "0 columns are called label, class, target or y; its columns are",
        ),
        (TABLE.assign(y=1), "2 columns are called label, class, target or y"),
        (TABLE.assign(a="x"), "column a holds no numbers"),
        (TABLE.assign(a=TABLE["a"].where(TABLE.index != 4)), "row 4 has no a"),
        (TABLE[["label"]], "no column but label"),
        ((X, [*WORDS[:-1].tolist(), None]), "sample 119 has label None, the others are words"),
        ("csv:nowhere.csv", "no file nowhere.csv"),
        ("csv", "expected a file, as csv:samples.csv"),
    ],
)
def test_mistakes_are_named(source, message):
    with pytest.raises((ProblemError, OptionError), match=message):
        loaded(source)


def test_a_column_that_is_not_there_is_named(csv):
    with pytest.raises(ProblemError, match="no column lable; did you mean label"):
        loaded(f"csv:{csv}:lable")


def test_names_are_one_per_class():
    with pytest.raises(ProblemError, match="class_names: expected 2, one per class, got 1"):
        learning.Dataset(X, Y, X, Y, num_classes=2, class_names=["cat"])
