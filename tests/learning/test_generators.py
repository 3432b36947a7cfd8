"""Generators: what they may learn from, that they repeat themselves, their files, and how their samples are judged."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.linalg
import torch

import learning
from learning import Dataset, Diffusion, Gan, ReadyMade, digits
from learning.generators import Learner, is_fitted, load, make, measure, refuse_held
from learning.generators.base import hashes
from learning.generators.quality import frechet, nearest
from learning.runs.snapshot import Reader, Writer
from learning.setup import Setup
from radioopt import OptionError, ProblemError

SMALL = (
    Diffusion(steps=15, width=16, blocks=2, noise_steps=20, visited=5),
    Diffusion(steps=10, width=8, target="noise", guidance=0.5, components=20),
    Gan(steps=15, width=16),
    ReadyMade(),
)
KINDS = pytest.mark.parametrize(
    "generator", SMALL, ids=lambda one: f"{one.name}-{getattr(one, 'target', '')}"
)


@pytest.fixture(scope="module")
def data():
    return digits(np.random.default_rng(0))


@pytest.fixture(scope="module")
def public(data):
    return data.set_aside(100, np.random.default_rng(0))


def rng(seed=0):
    return np.random.default_rng(seed)


# what is public


PARTITIONS = ["iid", "shards", "dirichlet:0.4", "balanced:20", "rare-labels:2,2,5", "few-labels:2,20"]


@pytest.mark.parametrize("public", [10, 300, 0.25])
@pytest.mark.parametrize("partition", PARTITIONS)
def test_public_private_and_test_samples_are_disjoint(partition, public):
    task = Setup(scenario="feel-cpu", partition=partition, public=public, seed=3).plans().task
    held = np.concatenate(task.parts)
    assert task.server.size
    assert not np.intersect1d(task.server, held).size
    np.testing.assert_array_equal(task.public.train_x, task.data.train_x[task.server])
    private, test = task.data.train_x[held], task.data.test_x
    seen = hashes(task.public.train_x)
    for others in (private, test):
        assert not np.isin(seen, hashes(others)).any()
    assert not np.isin(
        hashes(task.public.test_x), hashes(test)
    ).any()  # whoever gets the public ones sees no others


@KINDS
def test_the_devices_samples_are_refused(generator):
    task = Setup(scenario="feel-cpu", public=100).plans().task
    with pytest.raises(ProblemError, match=r"fit: the samples of 'digits' are the devices'.*task\.public"):
        generator.fit(task.data, rng())
    with pytest.raises(ProblemError, match="are the devices'"):
        generator.fit(task.replace(parts=task.parts[:2], uses=()).data, rng())
    assert is_fitted(generator.fit(task.public, rng()))
    assert not is_fitted(generator)
    with pytest.raises(ProblemError, match="there are no public samples: set some aside, as public=100"):
        _ = task.replace(server=None).public


def test_the_public_samples_of_a_seed_are_those_of_the_run(data):
    streams = learning.Streams(5)
    task = Setup(scenario="feel-cpu", public=100, seed=5).plans().task
    mine = digits(streams.at("data")).set_aside(100, streams.at("public"))
    np.testing.assert_array_equal(mine.train_x, task.public.train_x)


def test_a_generator_that_has_seen_held_samples_is_refused(data, public):
    everything = ReadyMade().fit(data, rng())
    with pytest.raises(
        ProblemError, match="generator: 360 of the 360 samples that it was fitted on are the test's"
    ):
        refuse_held(ReadyMade((data.test_x, data.test_y)).fit(public, rng()), data.test_x, whose="the test's")
    with pytest.raises(
        ProblemError, match=r"generator: 1437 of the 1437 samples .* are the devices': fit it on the public"
    ):
        refuse_held(everything, data.train_x)
    fine = ReadyMade().fit(public, rng())
    refuse_held(fine, data.train_x, public.train_x)  # the public ones may be among them
    refuse_held(object(), data.train_x)


def test_ready_made_samples_of_the_devices_are_refused(public):
    task = Setup(scenario="feel-cpu", public=100).plans().task
    with pytest.raises(ProblemError, match="are the devices'"):
        ReadyMade(task.data).fit(public, rng())


def test_what_has_no_classes_or_is_no_data_is_refused(public):
    x = rng().normal(size=(20, 3))
    plane = Dataset(x, x[:, 0], x, x[:, 0], num_classes=None)
    with pytest.raises(ProblemError, match=r"Diffusion\.fit: .* have no classes"):
        Diffusion().fit(plane, rng())
    with pytest.raises(ProblemError, match=r"Gan\.fit: expected a learning\.Dataset of public samples"):
        Gan().fit((x, x), rng())
    with pytest.raises(
        OptionError, match=r"rng: expected a generator, as numpy\.random\.default_rng\(0\), got 3"
    ):
        ReadyMade().fit(public, 3)


# what it makes


@KINDS
def test_the_same_seed_gives_the_same_samples(generator, public):
    fitted = generator.fit(public, rng(1))
    again = generator.fit(public, rng(1))
    labels = np.resize(np.arange(10), 40)
    samples = fitted.sample(labels, rng(2))
    assert samples.shape == (40, 1, 8, 8)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, again.sample(labels, rng(2)))
    assert (samples != fitted.sample(labels, rng(3))).any()
    assert fitted.learnt.digest == again.learnt.digest
    assert fitted.sample([], rng()).shape == (0, 1, 8, 8)


@KINDS
def test_nothing_global_is_touched_or_matters(generator, public):
    labels = np.arange(10)
    plain = generator.fit(public, rng(1)).sample(labels, rng(2))
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()  # noqa: NPY002
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            other = generator.fit(public, rng(1)).sample(labels, rng(2))
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(other, plain)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert torch.get_num_threads() == before[2]


@KINDS
def test_samples_are_in_the_range_of_each_feature(generator):
    """Features of other sizes, one that never changes, and fewer samples than features."""
    y = np.resize(np.arange(3), 30)
    x = rng().normal(size=(30, 40)) * np.geomspace(0.01, 100, 40) + y[:, None]
    x[:, 7] = 4.0
    own = Dataset(x, y, x, y, num_classes=3)
    samples = generator.fit(own, rng()).sample(np.resize(np.arange(3), 50), rng())
    low, high = own.train_x.min(0), own.train_x.max(0)
    slack = 1e-5 * (np.abs(low) + np.abs(high))
    assert (samples >= low - slack).all()
    assert (samples <= high + slack).all()
    np.testing.assert_allclose(samples[:, 7], 4.0)


@pytest.mark.parametrize(
    ("generator", "floor"), [(Diffusion(steps=300, width=128), 0.8), (Gan(steps=400), 0.7)]
)
def test_a_classifier_learns_digits_from_generated_ones(generator, floor, data):
    """A tenth of the default training; chance is 0.1."""
    own = data.set_aside(600, rng())
    quality = measure(generator.fit(own, rng()), own, data, rng())
    assert quality.accuracy > floor
    assert quality.memorised < 0.05


def test_labels_that_are_no_classes_are_refused(public):
    fitted = ReadyMade().fit(public, rng())
    with pytest.raises(ProblemError, match="labels: expected 0 to 9, got 10 at index 1"):
        fitted.sample([0, 10], rng())
    with pytest.raises(ProblemError, match="labels: expected 0 to 9, got -1 at index 0"):
        fitted.sample([-1], rng())
    with pytest.raises(ProblemError, match="labels: expected whole numbers"):
        fitted.sample([0.5], rng())
    few = dataclasses.replace(
        public, train_x=public.train_x[public.train_y < 9], train_y=public.train_y[public.train_y < 9]
    )
    with pytest.raises(ProblemError, match="labels: the generator was fitted on no sample of class 9"):
        Diffusion(steps=1, width=4).fit(few, rng()).sample([0, 9], rng())
    with pytest.raises(
        ProblemError, match=r"Gan: it has learnt nothing yet: sample from Gan\(\.\.\.\)\.fit\(public, rng\)"
    ):
        Gan().sample([0], rng())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: expected a whole number >= 1, got 0"),
        ({"dropout": 1.0}, "dropout: expected a number > 0 and < 1, got 1.0"),
        ({"visited": 301}, "visited: expected at most the 300 steps, got 301"),
        ({"target": "sample"}, "unknown target 'sample', choose from velocity, noise"),
        ({"guidance": -1}, "guidance: expected a number > 0, got -1"),
        ({"guidance": 1.0, "unlabelled": 0}, "guidance: needs samples without a label to learn from"),
        ({"learning_rate": 0}, "learning_rate: expected a number > 0, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Diffusion(**options)


def test_guidance_and_the_number_of_visited_steps_change_what_is_made(public):
    base = Diffusion(steps=60, width=16).fit(public, rng())
    labels = np.arange(10)
    samples = {"as it is": base.sample(labels, rng())}
    for option, value in (("guidance", 2.0), ("visited", 5)):
        changed = dataclasses.replace(base, **{option: value})
        object.__setattr__(changed, "learnt", base.learnt)
        samples[option] = changed.sample(labels, rng())
        assert np.abs(samples[option] - samples["as it is"]).max() > 1e-3


# ready-made samples


def test_ready_made_samples_repeat_only_when_all_were_used():
    x = np.arange(8.0)[:, None]
    own = Dataset(x, [0, 0, 0, 1, 1, 1, 1, 1], x, [0] * 8, num_classes=2)
    samples = ReadyMade().fit(own, rng()).sample([0] * 7 + [1] * 5, rng())[:, 0]
    assert sorted(samples[:3]) == sorted(samples[3:6]) == [0, 1, 2]
    assert sorted(samples[7:]) == [3, 4, 5, 6, 7]


def test_ready_made_samples_come_from_arrays_folders_and_data_sets(tmp_path, public, data):
    from PIL import Image

    bytes_ = rng().integers(0, 256, (20, 1, 8, 8), np.uint8)
    labels = np.resize([2, 5], 20)
    made = ReadyMade((bytes_, labels)).fit(public, rng()).sample([2] * 10, rng())
    assert {image.tobytes() for image in made} == {
        image.tobytes() for image in (bytes_[labels == 2] / np.float32(255))
    }
    for label in range(10):
        folder = tmp_path / str(label)
        folder.mkdir()
        Image.fromarray(np.full((8, 8), 20 * label, np.uint8)).save(folder / "one.png")
    from_folder = ReadyMade(tmp_path).fit(public, rng()).sample([3], rng())
    np.testing.assert_allclose(from_folder, np.full((1, 1, 8, 8), 60 / 255), rtol=1e-6)
    other = data.set_aside(50, rng(9))
    from_data = ReadyMade(other).fit(public, rng())
    assert np.isin(hashes(from_data.sample([1, 1], rng())), hashes(other.train_x)).all()


def test_ready_made_samples_of_another_kind_are_refused(public):
    images = np.zeros((4, 1, 8, 8))
    for source, message in (
        ((np.zeros((4, 3)), [0, 1, 0, 1]), r"expected samples of shape \(1, 8, 8\)"),
        ((images, [0, 1, 10, 1]), "expected labels from 0 to 9, got 10 at index 2"),
        ((images, [0, 1]), "expected 4 labels, one per sample, got 2"),
    ):
        with pytest.raises(ProblemError, match=message):
            ReadyMade(source).fit(public, rng())
    with pytest.raises(
        OptionError, match=r"ReadyMade\.source: expected a folder, \(x, y\) or a learning\.Dataset, got 3"
    ):
        ReadyMade(3)


# names and files


def test_generators_are_made_by_name(tmp_path, public):
    assert (
        make("diffusion:steps=5,width=8").settings() | {"steps": 5, "width": 8}
        == Diffusion(steps=5, width=8).settings()
    )
    assert list(learning.GENERATORS) == ["diffusion", "gan", "ready-made"]
    for name, kind in learning.GENERATORS.items():
        assert kind.name == name
        assert type(make(name)) is kind
    fitted = Gan(steps=1, width=4).fit(public, rng())
    assert make(fitted) is fitted
    assert is_fitted(make(str(fitted.save(tmp_path / "a.npz"))))
    with pytest.raises(
        OptionError, match=r"unknown generator 'difusion', choose from .*did you mean diffusion"
    ):
        make("difusion")
    with pytest.raises(
        OptionError, match=r"generator gan takes steps, .*; got 'stepz=3'; did you mean steps"
    ):
        make("gan:stepz=3")
    with pytest.raises(OptionError, match="unknown generator 3"):
        make(3)


@KINDS
def test_a_saved_generator_makes_the_same_samples(generator, public, tmp_path):
    fitted = generator.fit(public, rng(1))
    again = load(fitted.save(tmp_path / "deep" / "generator.npz"))
    assert type(again) is type(fitted)
    assert again.settings() == fitted.settings()
    assert again.learnt.digest == fitted.learnt.digest
    assert again.knows(public)
    labels = np.resize(np.arange(10), 30)
    np.testing.assert_array_equal(again.sample(labels, rng(2)), fitted.sample(labels, rng(2)))


def test_options_are_kept_whatever_kind_of_number_they_are(public, tmp_path):
    fitted = Diffusion(steps=np.int64(2), width=np.int32(8), average=np.float32(0.5)).fit(public, rng())
    again = load(fitted.save(tmp_path / "a.npz"))
    assert again.settings() == fitted.settings()
    np.testing.assert_array_equal(again.sample([1], rng()), fitted.sample([1], rng()))


@KINDS
def test_a_checkpoint_keeps_a_fitted_generator(generator, public):
    fitted = generator.fit(public, rng(1))
    writer = Writer({})
    tree = json.loads(json.dumps(writer.tree(fitted, "generator")))
    again = Reader(bytes(writer.block), {}).value(tree)
    np.testing.assert_array_equal(again.sample([1, 2], rng(2)), fitted.sample([1, 2], rng(2)))


def test_a_file_that_is_none_or_damaged_is_refused(public, tmp_path):
    fitted = ReadyMade().fit(public, rng())
    with pytest.raises(OptionError, match=r"save: expected a name that ends in \.npz"):
        fitted.save(tmp_path / "a.pt")
    with pytest.raises(ProblemError, match="ReadyMade: it has learnt nothing yet"):
        ReadyMade().save(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.npz")
    whole = fitted.save(tmp_path / "a.npz").read_bytes()
    for content in (b"", b"nothing of the kind", whole[:500], whole[:-500]):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(ProblemError, match=r"b\.npz: expected the file of a generator"):
            load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", x=np.zeros(3))
    with pytest.raises(ProblemError, match="expected the file of a generator"):
        load(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", x=np.array([object()]))
    with pytest.raises(ProblemError, match="expected the file of a generator"):
        load(tmp_path / "d.npz")


def test_a_file_is_written_whole_or_not_at_all(public, tmp_path, monkeypatch):
    file = ReadyMade().fit(public, rng()).save(tmp_path / "a.npz")
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        Gan(steps=1, width=4).fit(public, rng()).save(file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


# one's own


def test_a_generator_of_ones_own_is_two_methods(data, public):
    class Mean:
        def fit(self, samples, rng, progress=True):
            self.means = np.stack([samples.train_x[samples.train_y == c].mean(0) for c in range(10)])
            return self

        def sample(self, labels, rng):
            return self.means[labels]

    own = make(Mean())
    quality = measure(own.fit(public, rng()), public, data, rng(), samples=50)
    assert quality.samples.shape == (50, 1, 8, 8)
    assert quality.accuracy > 0.5
    own.sample = lambda labels, rng: np.zeros((len(labels), 64))
    with pytest.raises(
        ProblemError, match=r"expected samples of shape \(20, 1, 8, 8\), its sample\(\) returned \(20, 64\)"
    ):
        measure(own, public, data, rng(), samples=20)
    own.sample = lambda labels, rng: np.full((len(labels), 1, 8, 8), np.nan)
    with pytest.raises(ProblemError, match="sample 0 of its sample"):
        measure(own, public, data, rng(), samples=20)


def test_one_derived_from_learner_has_checks_and_a_file(public, tmp_path, monkeypatch):
    @dataclasses.dataclass(frozen=True, eq=False)
    class Constant(Learner):
        name = "constant"
        value: float = 0.5

        def _fit(self, x, y, num_classes, rng, progress):
            return {"shape": np.array(x.shape[1:])}

        def _sample(self, learnt, labels, rng):
            return np.full((labels.size, *learnt.arrays["shape"]), self.value)

    monkeypatch.setitem(learning.GENERATORS._homes, "constant", Constant)
    saved = make("constant:value=0.25").fit(public, rng()).save(tmp_path / "a.npz")
    np.testing.assert_array_equal(load(saved).sample([1], rng()), np.full((1, 1, 8, 8), 0.25))
    monkeypatch.delitem(learning.GENERATORS._homes, "constant")
    with pytest.raises(ProblemError, match="a generator 'constant', which is not known here"):
        load(saved)


# figures


def test_public_samples_are_copies_and_held_out_ones_are_not(data, public):
    copies = measure(ReadyMade().fit(public, rng()), public, data, rng(), samples=100)
    assert copies.memorised == 1.0
    assert copies.distances.max() == 0.0
    rest = ReadyMade((data.test_x, data.test_y)).fit(public, rng())
    real = measure(rest, public, data, rng(), samples=300)
    assert real.memorised < 0.03
    assert real.frechet < 0.1
    assert copies.to_frame()["copied"].all()


def test_the_nearest_public_sample_is_the_nearest(data, public):
    rows, distances = nearest(data.test_x[:20], public.train_x)
    for x, row, distance in zip(data.test_x[:20], rows, distances, strict=True):
        all_ = np.sqrt(((public.train_x - x) ** 2).sum((1, 2, 3)))
        assert distance == pytest.approx(all_.min(), abs=1e-5)
        assert all_[row] == pytest.approx(all_.min(), abs=1e-5)


def test_the_frechet_distance_is_its_formula():
    one, two = rng().normal(size=(300, 4)) @ rng(1).normal(size=(4, 4)), rng(2).normal(size=(200, 4)) + 1.0
    covariances = [np.cov(given.T) for given in (one, two)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((one.mean(0) - two.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet(one, two) == pytest.approx(expected, rel=1e-6)


def test_the_picture_has_a_public_sample_beside_each(data, public):
    quality = measure(ReadyMade().fit(public, rng()), public, data, rng(), samples=30)
    figure = quality.plot()
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(figure.axes) == 10 * 12
    assert len(images) == 2 * 30
    for made, near in zip(images[::2], images[1::2], strict=True):
        np.testing.assert_array_equal(made, near)  # a copy's nearest is itself
    y = np.resize([0, 1], 30)
    rows = Dataset(rng().normal(size=(30, 5)), y, rng(1).normal(size=(30, 5)), y, num_classes=2)
    lines = measure(ReadyMade().fit(rows, rng()), rows, rows, rng(), samples=10).plot()
    assert sum(len(axes.lines) for axes in lines.axes) == 2 * 10
