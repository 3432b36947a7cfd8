"""Data as others keep them: tensors of any kind, two arrays, loaders, folders of images; labels with gaps."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Subset, SubsetRandomSampler, TensorDataset, WeightedRandomSampler

from learning import Dataset, from_torch, train
from learning.data.dataset import stratified
from learning.data.partition import partition
from learning.data.sources import load
from radioopt import InputWarning, OptionError, ProblemError

X = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(60) % 3
PAIRS = TensorDataset(X, Y)


def rng():
    return np.random.default_rng(1)


def digest(source):
    return load(source, rng()).digest()


@pytest.mark.parametrize(
    "x",
    [
        X.clone().requires_grad_(),
        X.double(),
        X.to_sparse(),
        torch._neg_view(-X),
        torch.complex(X, X).real,
    ],
    ids=["with gradient", "double", "sparse", "negative view", "view of a complex one"],
)
def test_tensors_of_any_kind_are_the_same_samples(x):
    assert digest((x, Y)) == digest(PAIRS)
    assert Dataset(x, Y, x, Y, 3).digest() == Dataset(X, Y, X, Y, 3).digest()
    if x.layout == torch.strided:
        assert digest(TensorDataset(x, Y)) == digest(PAIRS)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_short_floats_are_read_exactly(kind):
    short = X.to(kind).requires_grad_()
    for source in ((short, Y), TensorDataset(short, Y)):
        data = load((source, source), rng())
        np.testing.assert_array_equal(data.train_x, short.detach().float().numpy())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_tensors_made_in_a_mode_train(cell, mode):
    with mode():
        x, y = X.clone(), Y.clone()
    expected = train(cell, data=PAIRS, model="softmax", rounds=1).ledger.loss
    assert train(cell, data=TensorDataset(x, y), model="softmax", rounds=1).ledger.loss == expected


@pytest.mark.parametrize(
    "source",
    [
        (X.numpy(), Y.numpy()),
        [X, Y],
        (X.tolist(), Y.tolist()),
        (list(X), list(Y)),
        (pd.DataFrame(X.numpy(), index=range(5, 65)), pd.Series(Y.numpy(), index=range(7, 67))),
        (X, Y.double()),
        DataLoader(PAIRS, batch_size=7, shuffle=True, drop_last=True),
        DataLoader(PAIRS),
        DataLoader(PAIRS, batch_size=None),
        DataLoader(PAIRS, sampler=SubsetRandomSampler(range(60))),
    ],
)
def test_arrays_and_loaders_are_the_same_samples(source):
    before = torch.get_rng_state()
    assert digest(source) == digest(PAIRS)
    assert digest((source, source)) == digest((PAIRS, PAIRS))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loader_of_some_samples_gives_these():
    some = list(range(0, 60, 2))
    loader = DataLoader(PAIRS, sampler=SubsetRandomSampler(some))
    assert digest((loader, PAIRS)) == digest((Subset(PAIRS, some), PAIRS))


def test_bytes_are_scaled_and_yes_and_no_are_one_and_nought():
    x = torch.arange(240, dtype=torch.uint8).view(60, 4)
    np.testing.assert_array_equal(from_torch((x, Y), (x, Y)).train_x, x.numpy() / np.float32(255))
    data = from_torch((X > 0.5, Y > 0), (X > 0.5, Y > 0))
    assert (data.num_classes, set(data.train_x.ravel().tolist())) == (2, {0.0, 1.0})
    np.testing.assert_array_equal(data.train_y, Y > 0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((X, Y, X, Y), r"expected \(x, y\), or \(\(x, y\), \(x_test, y_test\)\), .*got a tuple of 4"),
        ((), r"got a tuple of 0"),
        (X, r"a Tensor without labels: give features and labels, \(x, y\)"),
        (X.numpy(), r"a ndarray without labels"),
        ({"x": X, "y": Y}, r"a dict without labels"),
        (pd.DataFrame(X.numpy()), r"0 columns are called label, class, target or y"),
        ((X, Y[:-1]), r"train y: expected 60 labels, one per sample, got 59"),
        ((X, Y[:, None]), r"train y: .*shape \(60, 1\): flatten it"),
        ((X, torch.eye(60)), r"train y: .*shape \(60, 60\): take .*argmax\(1\)"),
        ((X, torch.where(Y == 1, torch.nan, 1.0)), r"train y: sample 1 has label nan"),
        (
            (torch.where(X[7, 2] == X, torch.nan, X), Y),
            r"train x: expected finite .*sample 7 has another: nan",
        ),
        ((X, ["cat"] * 60), r"train y: all labels are 'cat': expected words for at least two"),
        (TensorDataset(X.to(torch.cfloat), Y), r"train sample 0: .*complex ones: stack real and imaginary"),
        (
            [(np.ma.masked_greater(X.numpy()[i], 2.0 * (i != 8)), 0) for i in range(60)],
            r"train sample 8: .*index \[0\] is masked",
        ),
        (DataLoader(PAIRS, sampler=WeightedRandomSampler([1.0] * 60, 60)), r"sampler .*give its data set"),
        (DataLoader(PAIRS, collate_fn=lambda pairs: pairs[0]), r"collate_fn of its own: give its data set"),
    ],
)
def test_what_would_lose_a_part_is_refused(source, message):
    with pytest.raises(ProblemError, match=message):
        load(source, rng())


def labelled(number, at=7):
    y = Y.clone()
    y[at] = number
    return y


@pytest.mark.parametrize("number", [10**9, 2**32 - 1, 2**62, -1])
def test_a_label_that_is_none_is_named_and_allocates_nothing(cell, number):
    tracemalloc.start()
    for source in ((X, labelled(number)), TensorDataset(X, labelled(number)), (PAIRS, (X, labelled(number)))):
        with pytest.raises(ProblemError, match=rf"y: sample 7 has label {number}, expected .* 0 to 99999"):
            train(cell, data=source, model="softmax", rounds=1)
    chosen = stratified(labelled(number).numpy(), 30, rng())
    partition("shards", labelled(number).numpy(), 3, rng())
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    assert chosen.size == 30


def test_classes_that_mostly_do_not_occur_are_refused(cell):
    message = (
        r"train sample 7 has label 1000, which would make 1001 classes, and only 4 different .*numpy.unique"
    )
    for source in ((X, labelled(1000)), TensorDataset(X, labelled(1000))):
        with pytest.raises(ProblemError, match=message):
            load(source, rng())
    with pytest.raises(ProblemError, match=r"test sample 7 has label 1000"):
        load((PAIRS, (X, labelled(1000))), rng())
    y = labelled(1000).numpy()
    assert Dataset(X, y, X, y, num_classes=1001).num_classes == 1001
    numbered = np.unique(y, return_inverse=True)[1]
    assert load((X, numbered), rng()).num_classes == 4


def test_a_few_classes_that_do_not_occur_are_told():
    with pytest.warns(
        InputWarning, match=r"labels go from 0 to 4 and make 5 classes, but \[0, 2\] never occur"
    ):
        assert load((X, 1 + Y + (Y > 0)), rng()).num_classes == 5


# folders of images


@pytest.fixture
def photos(tmp_path):
    """Six images of each of two classes."""
    draw = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for i in range(6):
            pixels = draw.integers(0, 256, (5, 4, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{i}.png")
    (tmp_path / "cat" / ".hidden").touch()
    return tmp_path


def test_a_folder_of_images_is_read_exactly(photos):
    data = load(f"images:{photos}", np.random.default_rng(3))
    assert (data.train_x.shape[1:], data.num_classes, data.name) == ((3, 5, 4), 2, "images")
    assert len(data.train_y) + len(data.test_y) == 12
    draw = np.random.default_rng(0)
    expected = {
        np.moveaxis(draw.integers(0, 256, (5, 4, 3), np.uint8) / np.float32(255), -1, 0).tobytes(): kind
        for kind in (0, 1)
        for _ in range(6)
    }
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert [expected[np.ascontiguousarray(image).tobytes()] for image in x] == y.tolist()
    assert load(photos, np.random.default_rng(3)).digest() == data.digest()


def test_a_folder_of_images_trains(photos, cell):
    result = train(cell, data=f"images:{photos}@standard", model="cnn", partition="iid", rounds=1)
    assert result.config["data"] == "images@standard"


def test_parts_of_a_folder_are_kept_apart(photos, tmp_path_factory):
    root = tmp_path_factory.mktemp("parts")
    for part in ("train", "test"):
        for kind in ("cat", "dog"):
            (root / part / kind).mkdir(parents=True)
            for i in (0, 1, 2) if part == "train" else (3,):
                with Image.open(photos / kind / f"{i}.png") as image:
                    image.convert("L").save(root / part / kind / f"{i}.png")
    data = load(f"images:{root}", rng())
    assert data.train_x.shape == (6, 1, 5, 4)
    assert data.train_y.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test_y.tolist() == [0, 1]
    with Image.open(root / "test" / "cat" / "3.png") as image:
        np.testing.assert_array_equal(data.test_x[0, 0], np.asarray(image) / np.float32(255))
    (root / "test" / "cow").mkdir()
    (root / "train" / "cat" / "0.png").rename(root / "test" / "cow" / "0.png")
    with pytest.raises(ProblemError, match=r"test/cow is a class that .*train has not, which has cat, dog"):
        load(f"images:{root}", rng())


def damage(change):
    def made(folder):
        path = folder / "dog" / "3.png"
        change(path)

    return made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            damage(lambda path: Image.new("RGB", (9, 5)).save(path)),
            r"dog/3.png is 9 x 5 pixels in colour, the first is 4 x 5 pixels in colour: bring all to one size .*resize",
        ),
        (
            damage(lambda path: Image.new("L", (4, 5)).save(path)),
            r"dog/3.png is 4 x 5 pixels grey, the first",
        ),
        (damage(lambda path: Image.new("RGBA", (4, 5)).save(path)), r"3.png is of kind RGBA: convert it"),
        (damage(lambda path: Image.new("I;16", (4, 5)).save(path)), r"3.png is of kind I;16: convert it"),
        (damage(lambda path: path.write_bytes(path.read_bytes()[:60])), r"dog/3.png is damaged, or no image"),
        (damage(lambda path: path.write_bytes(b"")), r"dog/3.png is damaged, or no image"),
        (damage(lambda path: (path.parent / "notes.txt").touch()), r"dog/notes.txt is no image .*move it"),
        (damage(lambda path: (path.parent.parent / "4.png").touch()), r"4.png is in no class: put images"),
        (damage(lambda path: (path.parent.parent / "cow").mkdir()), r"cow is empty: put images into it"),
        (damage(lambda path: path.parent.rename(path.parent.parent / ".dog")), r"holds 1 class, expected"),
    ],
)
def test_a_folder_that_cannot_be_used_is_told_by_file(photos, change, message):
    change(photos)
    with pytest.raises(ProblemError, match=message):
        load(f"images:{photos}", rng())


def test_a_folder_that_is_none_is_told(tmp_path):
    for source, message in (
        ("images", r"images: expected a folder, as images:photos"),
        (f"images:{tmp_path}/none", r"images: no folder .*none"),
        (f"images:{tmp_path}", r"is empty: expected a folder of images per class"),
    ):
        with pytest.raises(ProblemError, match=message):
            load(source, rng())
    with pytest.raises(OptionError, match=r"choose from digits.*did you mean images"):
        load("image:photos", rng())


def test_images_of_pillow_in_pairs_have_their_channels_first(photos):
    pairs = []
    for i in range(6):
        with Image.open(photos / "cat" / f"{i}.png") as image:
            pairs.append((image.convert("RGB"), i % 2))
    data = load((pairs, pairs), rng())
    assert data.sample_shape == (3, 5, 4)
    first = np.asarray(pairs[0][0]) / np.float32(255)
    np.testing.assert_array_equal(data.train_x[0], np.moveaxis(first, -1, 0))
