"""Where data come from: files read strictly, pickles without running them, torch data sets, names with numbers."""

import gzip
import pickle
import random
import struct

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from learning import Dataset, digits, from_cifar, from_idx, from_torch, train
from learning.data.cifar import _batch
from learning.data.dataset import stratified
from learning.data.idx import FASHION_MNIST, read_idx
from learning.data.sources import load
from radioopt import OptionError, ProblemError


def rng(seed=0):
    return np.random.default_rng(seed)


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    """A small MNIST: 40 and 20 images of 28 x 28 noise, half of the files compressed."""
    draw = rng()
    for part, count, suffix in (("train", 40, ""), ("t10k", 20, ".gz")):
        images = draw.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for file, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            data = idx_bytes(array)
            (tmp_path / f"{file}{suffix}").write_bytes(gzip.compress(data) if suffix else data)
    return tmp_path


def test_idx_files_plain_and_compressed_are_read_exactly(folder):
    data = from_idx(folder)
    draw = rng()
    for x, count in ((data.train_x, 40), (data.test_x, 20)):
        pixels = draw.integers(0, 256, (count, 28, 28), np.uint8)
        np.testing.assert_array_equal(x[:, 0], pixels.astype(np.float32) / np.float32(255))
    assert (data.train_x.dtype, data.num_classes, data.name) == (np.float32, 10, "idx")
    np.testing.assert_array_equal(data.test_y, np.arange(20) % 10)
    assert load(f"mnist:{folder}", rng()).digest() == data.digest()


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (IMAGES, lambda data: data[:-1], r"40 x 28 x 28, 31360 bytes, but only 31359 follow: it is cut off"),
        (IMAGES, lambda data: data + b"\0", r"31360 bytes, but more follow: get it again"),
        (IMAGES, lambda data: data[:9], r"no IDX file: expected it to start with two zero bytes"),
        (IMAGES, lambda data: b"", r"no IDX file"),
        (IMAGES, lambda data: b"\x89PNG" + data, r"no IDX file"),
        (
            IMAGES,
            lambda data: data[:2] + b"\x0d" + data[3:],
            r"unsigned bytes .*along 3 axes, got type 0x0d along 3",
        ),
        (
            LABELS,
            lambda data: idx_bytes(np.ones((40, 1), np.uint8)),
            r"expected labels, .*got type 0x08 along 2",
        ),
        (
            LABELS,
            lambda data: idx_bytes(np.zeros(39, np.uint8)),
            r"holds 39 labels, but train-images.* 40 images",
        ),
        (LABELS, lambda data: idx_bytes(np.full(40, 10, np.uint8)), r"expected labels from 0 to 9, got 10"),
        (LABELS, lambda data: idx_bytes(np.zeros(0, np.uint8)), r"its header says 0: there is nothing in it"),
        (IMAGES, lambda data: idx_bytes(np.ones((40, 28, 27), np.uint8)), r"28 x 28 pixels, got 28 x 27"),
        # a header that promises four gigabytes is not believed
        (IMAGES, lambda data: data[:4] + b"\xff" * 12 + data[16:], r"but only 31360 follow: it is cut off"),
        (IMAGES, lambda data: gzip.compress(data)[:-9], r"compressed file is damaged or cut off"),
        (IMAGES, lambda data: gzip.compress(data)[:40] + b"x" * 50, r"compressed file is damaged or cut off"),
    ],
)
def test_damaged_idx_files_are_named_with_what_is_wrong(folder, file, change, message):
    path = folder / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ProblemError, match=rf"{file}: .*{message}|{file}: {message}"):
        from_idx(folder, "mnist")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mnist", r"mnist: expected a folder, as in mnist:/path/to/folder; download its four files"),
        ("mnist:/nowhere", r"mnist: no folder /nowhere: download"),
        (
            "fashion-mnist:/nowhere",
            r"no folder /nowhere: on Debian and Ubuntu, apt-get install dataset-fashion-mnist",
        ),
        ("cifar10", r"cifar10: expected a folder: unpack cifar-10-python.tar.gz"),
        ("cifar100:/nowhere", r"cifar100: no folder /nowhere: unpack cifar-100-python.tar.gz"),
    ],
)
def test_missing_data_say_how_to_get_them(source, message):
    with pytest.raises(ProblemError, match=message):
        load(source, rng())


def test_a_missing_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        ProblemError, match=r"t10k-labels-idx1-ubyte is missing, also with .gz: download its four"
    ):
        load(f"mnist:{folder}", rng())


@pytest.mark.skipif(
    not FASHION_MNIST.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed"
)
def test_the_real_fashion_mnist():
    labels = read_idx(FASHION_MNIST / "train-labels-idx1-ubyte.gz", 1)
    assert (np.bincount(labels) == 6000).all()
    data = load("fashion-mnist@6000+1000", rng())
    assert data.train_x.shape == (6000, 1, 28, 28)
    assert (np.bincount(data.train_y) == 600).all()
    assert (np.bincount(data.test_y) == 100).all()
    # mean and deviation of all its pixels are known to be 0.2860 and 0.3530
    assert data.train_x.mean() == pytest.approx(0.2860, abs=0.004)
    assert data.train_x.std() == pytest.approx(0.3530, abs=0.004)


@pytest.mark.skipif(
    not FASHION_MNIST.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed"
)
def test_a_network_learns_fashion_mnist(cell):
    result = train(cell, data="fashion-mnist@3000+500", model="softmax", rounds=25, learning_rate=0.05)
    assert result.config["data"] == "fashion-mnist@3000+500"
    assert result.ledger.accuracy > 0.6


# -- CIFAR ------------------------------------------------------------------------------------------------------


def batch(count, seed, key=b"labels", classes=10):
    draw = rng(seed)
    pixels = draw.integers(0, 256, (count, 3072), np.uint8)
    return {b"data": pixels, key: draw.integers(0, classes, count).tolist(), b"batch_label": b"a batch"}


@pytest.fixture
def cifar_folder(tmp_path):
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        (tmp_path / name).write_bytes(pickle.dumps(batch(8, i), protocol=2))
    return tmp_path


def test_cifar_batches_are_read_exactly_and_in_order(cifar_folder):
    data = load(f"cifar10:{cifar_folder}", rng())
    assert data.train_x.shape == (40, 3, 32, 32)
    expected = batch(8, 3)  # the fourth of five
    pixels = expected[b"data"].reshape(8, 3, 32, 32).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(data.train_x[24:32], pixels)
    assert data.train_y[24:32].tolist() == expected[b"labels"]
    assert data.test_y.tolist() == batch(8, 5)[b"labels"]


def python2_pickle(pixels, labels):
    """A batch as Python 2 wrote it in 2009: protocol 2, byte strings, arrays by numpy.core.multiarray."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def number(value):
        return b"J" + struct.pack("<i", value)

    raw = pixels.tobytes()
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + number(0) + number(1) + b"tR("
    dtype += number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + number(0) + b"t" + text(b"b") + b"tR("
    )
    array += number(1) + b"(" + b"".join(map(number, pixels.shape)) + b"t" + dtype + b"I00\n"
    array += b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"fine_labels") + listed + b"u."


def test_batches_of_python_2_are_read(tmp_path):
    made = {name: batch(4, i, b"fine_labels", 100) for i, name in enumerate(("train", "test"))}
    for name, content in made.items():
        (tmp_path / name).write_bytes(python2_pickle(content[b"data"], content[b"fine_labels"]))
    data = from_cifar(tmp_path, "cifar100")
    assert data.num_classes == 100
    for x, y, content in (
        (data.train_x, data.train_y, made["train"]),
        (data.test_x, data.test_y, made["test"]),
    ):
        np.testing.assert_array_equal(x.reshape(4, -1), content[b"data"].astype(np.float32) / np.float32(255))
        assert y.tolist() == content[b"fine_labels"]


class Harmful:
    """A pickle that would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"no python batch of CIFAR, or damaged"),
        (pickle.dumps(batch(8, 0))[:5000], r"damaged|exhausted"),
        (pickle.dumps([1, 2]), r"expected a python batch of CIFAR with data and labels"),
        (
            pickle.dumps(batch(8, 0) | {b"data": np.zeros((8, 3071), np.uint8)}),
            r"3072 bytes per image, got uint8 of",
        ),
        (pickle.dumps(batch(8, 0) | {b"data": np.zeros((8, 3072))}), r"3072 bytes per image, got float64"),
        (pickle.dumps(batch(8, 0) | {b"data": 3}), r"3072 bytes per image, got something else"),
        (
            pickle.dumps(batch(8, 0) | {b"labels": [1] * 7}),
            r"expected 8 whole numbers as labels, one per image",
        ),
        (pickle.dumps(batch(8, 0) | {b"labels": [0.5] * 8}), r"expected 8 whole numbers as labels"),
        (pickle.dumps(batch(8, 0) | {b"labels": [10] * 8}), r"labels from 0 to 9, got 10 to 10"),
        (pickle.dumps(batch(8, 0) | {b"labels": np.array([None] * 8)}), r"arrays of numbers, got object"),
    ],
)
def test_batches_that_are_none_are_refused(cifar_folder, content, message):
    (cifar_folder / "data_batch_2").write_bytes(content)
    with pytest.raises(ProblemError, match=rf"data_batch_2: .*({message})"):
        from_cifar(cifar_folder)


def test_a_batch_that_would_run_code_is_refused(cifar_folder, tmp_path):
    trap = tmp_path / "trap"
    (cifar_folder / "test_batch").write_bytes(pickle.dumps(Harmful(trap)))
    with pytest.raises(ProblemError, match=r"test_batch: refused: the file asks for (io|_io)\.open"):
        from_cifar(cifar_folder)
    assert not trap.exists()


def test_batches_with_bytes_changed_are_read_or_refused(tmp_path):
    path, draw = tmp_path / "batch", random.Random(0)
    content = batch(2, 0)
    originals = pickle.dumps(content, protocol=2), python2_pickle(content[b"data"], content[b"labels"])
    outcomes = set()
    for number in range(300):
        key, data = ((b"labels", b"fine_labels")[number % 2], bytearray(originals[number % 2]))
        for _ in range(draw.choice([1, 2, 5])):
            place = draw.randrange(300) if draw.random() < 0.7 else -1 - draw.randrange(100)
            data[place] = draw.randrange(256)
        path.write_bytes(data)
        try:
            pixels, labels = _batch(path, key, 10)
            outcomes.add("read")
            assert pixels.shape == (labels.size, 3072)
        except ProblemError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_a_missing_batch_is_named(cifar_folder):
    (cifar_folder / "data_batch_5").unlink()
    with pytest.raises(ProblemError, match=r"data_batch_5 is missing: unpack cifar-10-python.tar.gz"):
        from_cifar(cifar_folder)


# -- torch, functions, parts ------------------------------------------------------------------------------------


class Images(torch.utils.data.Dataset):
    """Pairs of bytes and a label, as image data sets give them."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return np.full((1, 2, 2), index % 256, np.uint8), index % 3


def test_two_torch_data_sets_are_read_in_order():
    data = load((Images(30), Images(9)), rng())
    assert (data.train_x.shape, data.num_classes, data.name) == ((30, 1, 2, 2), 3, "Images")
    np.testing.assert_array_equal(data.train_x[:, 0, 0, 0], np.arange(30, dtype=np.float32) / np.float32(255))
    assert data.test_y.tolist() == [0, 1, 2] * 3


def test_one_torch_data_set_is_split_by_the_seed_with_equal_shares():
    pairs = TensorDataset(torch.arange(60.0)[:, None], torch.arange(60) % 3)
    data = load(pairs, rng(1))
    assert np.bincount(data.test_y).tolist() == [4, 4, 4]
    assert sorted([*data.train_x[:, 0], *data.test_x[:, 0]]) == list(range(60))
    assert load(pairs, rng(1)).digest() == data.digest() != load(pairs, rng(2)).digest()


def test_torch_data_train_a_model(cell):
    y = torch.arange(120) % 2
    pairs = TensorDataset(torch.randn(120, 3, generator=torch.Generator().manual_seed(0)) + 2 * y[:, None], y)
    assert train(cell, data=pairs, model="softmax", rounds=20).ledger.accuracy > 0.8


class Shapeless(Images):
    def __getitem__(self, index):
        return torch.zeros(index + 1), 0


class Endless(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter([])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            Shapeless(4),
            r"train sample 1: expected features of shape \(1,\), as the first, got \(2,\): bring all to one size",
        ),
        (TensorDataset(torch.zeros(4, 2)), r"train sample 0: expected a pair of numbers"),
        (TensorDataset(torch.zeros(4, 2), torch.tensor([0, 1, 0, 0.5])), r"train y: sample 3 has label 0.5"),
        (TensorDataset(torch.zeros(4, 2), torch.tensor([0, -1, 0, 1])), r"train y: sample 1 has label -1"),
        ((Images(3), Images(0)), r"the test data are empty"),
        (Endless(), r"the train data have no length: a map-style data set is needed"),
        (lambda rng: 3, r"expected a function that returns a learning.Dataset, got int"),
    ],
)
def test_torch_data_that_cannot_be_used_are_refused(source, message):
    with pytest.raises(ProblemError, match=message):
        load(source, rng())


def test_a_single_torch_data_set_needs_a_generator():
    with pytest.raises(ProblemError, match=r"give a second data set to test with, or rng to split this one"):
        from_torch(Images(9))


def test_a_function_brings_its_data():
    assert load(lambda rng: digits(rng, 0.5), rng(4)).digest() == digits(rng(4), 0.5).digest()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("digits@300", r"data 'digits@300': expected NAME\[:FOLDER\]\[@TRAIN\+TEST\]\[@standard\]"),
        ("digits@300+10@normal", r"expected NAME"),
        ("", r"expected NAME"),
        ("digits:/tmp", r"digits come with scikit-learn and take no folder"),
        ("digits@5+10", r"digits: train samples: expected 10 \(one per class\) to 1437, got 5"),
        ("digits@50+361", r"digits: test samples: expected 10 \(one per class\) to 360, got 361"),
        (
            3,
            r"unknown data 3, choose from digits, fashion-mnist, mnist, idx, cifar10, cifar100, images, csv, "
            r"or a Dataset, one of torch, arrays",
        ),
    ],
)
def test_names_that_are_none_are_refused(source, message):
    with pytest.raises(OptionError, match=message):
        load(source, rng())


def test_a_path_as_text_is_told_what_to_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine.csv").write_text("a,label\n1,0\n")
    with pytest.raises(OptionError, match=r"data 'mine': a path needs .* cifar100: images:mine$"):
        load("mine", rng())
    with pytest.raises(OptionError, match=r"data 'mine.csv': a path needs .*, csv: csv:mine.csv$"):
        load("mine.csv", rng())
    (tmp_path / "digits").mkdir()
    assert load("digits", rng()).num_classes == 10


def test_subsamples_are_stratified_and_the_seeds():
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    chosen = stratified(labels, 33, rng())
    assert np.bincount(labels[chosen]).tolist() in ([23, 7, 3], [23, 6, 4])
    assert np.unique(chosen).size == 33
    assert not np.array_equal(chosen, stratified(labels, 33, rng(1)))
    assert np.array_equal(stratified(labels, 100, rng()), np.arange(100))


def test_standardised_features_have_mean_0_and_variance_1_over_the_training_samples():
    draw = rng()
    x = draw.normal([3.0, -50.0, 7.0], [2.0, 1e-3, 0.0], (9000, 3))  # the third never changes
    data = Dataset(x[:8000], np.arange(8000) % 2, x[8000:], np.arange(1000) % 2, 2).standardised()
    np.testing.assert_allclose(data.train_x.mean(0), 0.0, atol=1e-3)
    np.testing.assert_allclose(data.train_x.std(0), [1.0, 1.0, 0.0], atol=3e-3)
    assert data.test_x.mean() == pytest.approx(0.0, abs=0.05)
    images = load("digits@standard", rng())
    assert (images.train_x.mean(), images.train_x.std()) == pytest.approx((0.0, 1.0), abs=1e-5)
