"""Contrastive learning: triplets of a device's own samples, the loss by hand, and features worth having."""

import numpy as np
import pytest
import torch
from torch import nn

import learning
from learning import Contrastive, Crew, Dataset, Streams, Task, Turn, train
from learning.local.batches import Batches
from learning.local.views import VIEWS, view_of
from learning.models.build import build
from learning.schemes.contrastive import triplets
from radioopt import OptionError, ProblemError, Scenario

IMAGES = torch.from_numpy(np.random.default_rng(0).random((5, 2, 8, 12)))


def rngs(count):
    return [np.random.default_rng(device) for device in range(count)]


# -- views ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_near_the_sample_and_another_one_each_time(name):
    made, again = (view_of(name, (2, 8, 12))(IMAGES, np.random.default_rng(seed)) for seed in (1, 2))
    assert made.shape == IMAGES.shape
    assert made.dtype == IMAGES.dtype
    assert not torch.equal(made, again)
    smooth = torch.linspace(0, 1, 12).expand(5, 2, 8, 12).double()  # a ramp changes little by any of them
    assert (view_of(name, (2, 8, 12))(smooth, np.random.default_rng(1)) - smooth).abs().mean() < 0.15


def test_a_turned_image_is_what_scipy_makes_of_it(monkeypatch):
    from scipy.ndimage import rotate

    x = torch.zeros(1, 1, 33, 33, dtype=torch.float64)
    x[0, 0, 8:25, 12:20] = 1.0
    seen = view_of("rotation", (1, 33, 33))(x, np.random.default_rng(3))
    angle = np.degrees(np.random.default_rng(3).uniform(-np.pi / 12, np.pi / 12))
    expected = rotate(x[0, 0].numpy(), angle, reshape=False, order=1, mode="nearest")
    np.testing.assert_allclose(seen[0, 0].numpy(), expected, atol=1e-9)


def test_a_blur_keeps_the_mean_inside_and_a_constant_everywhere():
    x = torch.full((1, 1, 9, 9), 0.3, dtype=torch.float64)
    torch.testing.assert_close(VIEWS["blur"](x, np.random.default_rng(0)), x)
    x[0, 0, 4, 4] = 1.0
    seen = VIEWS["blur"](x, np.random.default_rng(0))
    assert float(seen.mean()) == pytest.approx(float(x.mean()), rel=1e-12)
    assert seen[0, 0, 4, 4] < 1.0


def test_views_of_samples_that_are_no_images():
    x = torch.randn(400, 6, dtype=torch.float64) * torch.arange(1, 7)
    noisy = VIEWS["noise"](x, np.random.default_rng(0)) - x
    np.testing.assert_allclose(noisy.std(0) / x.std(0), 0.3, rtol=0.15)
    masked = VIEWS["mask"](x, np.random.default_rng(0)) != x
    assert float(masked.double().mean()) == pytest.approx(0.2, abs=0.03)
    assert view_of("auto", (6,))(x, np.random.default_rng(0)).shape == x.shape


@pytest.mark.parametrize(
    ("names", "shape", "message"),
    [
        ("flip", (1, 8, 8), "no view 'flip', choose from auto, shift, rotation, blur, noise, mask"),
        ("noise,blur", (6,), "blur is for images, and samples have shape \\(6,\\): take noise or mask"),
        (3, (6,), "expected names or a function"),
    ],
)
def test_other_views_are_refused(names, shape, message):
    with pytest.raises(OptionError, match=message):
        view_of(names, shape)


# -- triplets ---------------------------------------------------------------------------------------------------


def test_a_triplet_is_a_sample_its_view_and_another_sample_of_the_same_device():
    x = torch.arange(10.0)[:, None]
    parts = [np.array([7, 2, 4]), np.array([0, 9])]
    index = torch.tensor([[[4, 7], [9, 9]], [[2, 2], [0, 9]]])
    size = torch.tensor([[2, 1], [1, 2]])  # padding is not drawn
    (made, y), batches = triplets(x, parts, Batches(index, size), lambda x, rng: -x, rngs(2))
    assert len(y) == len(made) == 6
    assert batches.size.equal(size)
    for device, part in enumerate(parts):
        for step in range(2):
            for b in range(int(size[step, device])):
                anchor, same, other = made[batches.index[step, device, b]].flatten().tolist()
                assert anchor == float(index[step, device, b])
                assert same == -anchor
                assert other in set(part.tolist()) - {anchor}


def test_all_other_samples_are_equally_likely():
    x, part = torch.arange(5.0)[:, None], np.array([3, 1, 4, 0])
    index = torch.full((1, 1, 3000), 4)
    (made, _), _ = triplets(x, [part], Batches(index, torch.tensor([[3000]])), lambda x, rng: x, rngs(1))
    drawn, counts = np.unique(made[:, 2].numpy(), return_counts=True)
    assert drawn.tolist() == [0.0, 1.0, 3.0]
    assert np.abs(counts - 1000).max() < 120


def test_the_loss_is_that_of_the_distances():
    outputs = torch.randn(7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    a, p, n = outputs[:, :2], outputs[:, 2:4], outputs[:, 4:]
    expected = ((a - p).norm(dim=1) - (a - n).norm(dim=1) + 0.7).clamp(min=0)
    found = Contrastive(margin=0.7).loss(outputs, None, None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)  # torch adds 1e-6 to every difference


# -- a round ----------------------------------------------------------------------------------------------------


def task(sizes=(8, 5, 9), model="mlp:4"):
    rng = np.random.default_rng(0)
    parts = tuple(np.split(rng.permutation(sum(sizes)), np.cumsum(sizes)[:-1]))
    x, labels = rng.normal(size=(sum(sizes), 6)), rng.integers(0, 3, sum(sizes))
    return Task(Dataset(x, labels, x, labels, 3), parts, build(model, (6,), 3, rng).double(), Streams(2))


class Plan:
    batchsize = np.array([8, 5, 9])

    def told(self):
        return {}

    def takes_part(self):
        return None


class Sent:
    arrived = received = np.ones(3, np.bool_)


def one_step(scheme, job):
    """The same by plain autograd: one step with all samples of each device, averaged by samples held."""
    cohort = job.cohort()
    total = {}
    for device, part in enumerate(job.parts):
        one = job.cohort(np.array([device]))
        drawn = scheme.draw(one, 1)
        view = view_of(scheme.views, (6,))
        (x, _), batches = triplets(job.samples[0], [part], drawn, view, one.rngs("views", 1))
        weights = {n: v.requires_grad_() for n, v in job.initial_parameters().items()}
        a, p, n = (job.logits(weights, x[batches.index[0, 0], i]) for i in range(3))
        loss = nn.functional.triplet_margin_loss(a, p, n, margin=scheme.margin)
        found = torch.autograd.grad(loss, list(weights.values()))
        for (name, value), gradient in zip(weights.items(), found, strict=True):
            stepped = value.detach() - scheme.learning_rate * gradient
            total[name] = total.get(name, 0) + part.size / cohort.sizes.sum() * stepped
    return total


@pytest.mark.parametrize("engine", ["plain", "stacked"])
def test_one_step_with_everything_is_the_mean_gradient_step(engine):
    scheme, job = Contrastive(iterations=1, batchsize=9, engine=engine), task()
    state = scheme.round(scheme.begin(job), Crew(scheme, job), Turn(1, Plan(), Sent()))
    for name, value in one_step(scheme, job).items():
        torch.testing.assert_close(state.parameters[name], value, rtol=0, atol=1e-12)


def test_labels_are_never_looked_at(cell):
    """Other labels on the same samples change no weight."""
    data = learning.data.sources.load("digits@200+100", np.random.default_rng(0))
    wrong = Dataset(data.train_x, data.train_y[::-1].copy(), data.test_x, data.test_y, 10, name="wrong")
    parts = np.array_split(np.arange(200), 6)
    one, other = (
        train(cell, scheme="contrastive", data=given, partition=parts, rounds=2, judge="global", seed=1)
        for given in (data, wrong)
    )
    for name, value in one.state.parameters.items():
        assert torch.equal(value, other.state.parameters[name])


def test_where_no_sample_has_a_label_there_is_no_linear_evaluation(cell):
    data = learning.data.sources.load("digits@200+100", np.random.default_rng(0))
    bare = Dataset(data.train_x, np.zeros(200, int), data.test_x, data.test_y, 10, name="unlabelled")
    with pytest.raises(
        ProblemError, match=r"judge linear: fits to labelled .* two classes or more, and all 200 have label 0"
    ):
        train(cell, scheme="contrastive", model="mlp:8", data=bare, rounds=1)
    found = train(cell, scheme="contrastive", model="mlp:8", data=bare, rounds=1, judge="global")
    assert np.isfinite(found.to_frame()["train_loss"][1])


def test_a_triplet_costs_three_samples(cell):
    options = {"data": "digits@300+100", "rounds": 1, "seed": 1, "judge": "global"}
    plain, triple = (train(cell, scheme=name, **options).to_frame() for name in ("fedavg", "contrastive"))
    assert triple["batchsize"][1] == 3 * plain["batchsize"][1]
    assert triple["compute_energy_j"][1] > 2.5 * plain["compute_energy_j"][1]
    assert triple["uplink_bits"][1] == plain["uplink_bits"][1]


def test_a_device_needs_two_samples_and_numbers_have_ranges(cell):
    with pytest.raises(ProblemError, match="device 1 holds 1 samples, and a triplet needs two"):
        Contrastive().begin(task(sizes=(8, 1, 9)))
    with pytest.raises(OptionError, match="margin: expected"):
        Contrastive(margin=0)
    with pytest.raises(OptionError, match="views: expected auto"):
        Contrastive(views=3)
    with pytest.raises(OptionError, match="blur is for images"):
        Contrastive(views="blur").begin(task())


# -- what it is worth -------------------------------------------------------------------------------------------


def test_features_beat_those_of_the_untrained_network_and_a_random_projection():
    """Digits, sixteen features, three seeds: all by the same logistic regression."""
    from sklearn.linear_model import LogisticRegression

    untrained, trained, projected = [], [], []
    for seed in range(3):
        options = {"model": "mlp:16", "rounds": 15, "judge_every": 15, "seed": seed}
        result = train("feel-cpu", scheme="contrastive", **options)
        accuracy = result.to_frame()["test_accuracy"]
        untrained.append(accuracy[0])
        trained.append(accuracy[15])
        data = result.task.data
        x, test = (part.reshape(len(part), -1) for part in (data.train_x, data.test_x))
        onto = np.random.default_rng(seed).normal(size=(64, 16)) / 8
        fitted = LogisticRegression(max_iter=200).fit(x @ onto, data.train_y)
        projected.append(fitted.score(test @ onto, data.test_y))
    assert np.mean(trained) > np.mean(untrained) + 0.08
    assert np.mean(trained) > np.mean(projected) + 0.02


def test_it_trains_after_an_exchange_by_clusters():
    found = Scenario.load("feel-cpu").to_dict()
    table = Scenario.load("d2d-clusters").to_dict()["d2d-clusters"]
    found |= {"d2d-clusters": table | {"threshold": 10.0, "requested_points": 30.0}}
    found["devices"] |= {"count": 6}
    found["cell"] |= {
        "radius_m": 60.0,
        "min_distance_m": 5.0,
        "path_loss": {"exponent": 3.0, "gain_at_1m": 1e-3},
    }
    options = {"data": "digits@600+100", "partition": "few-labels:3", "seed": 3, "rounds": 3}
    cell = Scenario.from_dict(found)
    result = train(cell, scheme="contrastive", before="exchange-clusters", model="cnn:4", **options)
    assert result.prepared[0].to_frame()["arrived"].sum() > 0
    table = result.to_frame()
    assert table["train_loss"][3] < table["train_loss"][1]
