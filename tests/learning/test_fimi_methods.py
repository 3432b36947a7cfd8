"""What FIMI is compared with: each method by what distinguishes it, and that it learns digits in seconds."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from learning import (
    Central,
    Fill,
    Preparation,
    Prepared,
    RepeatOwn,
    Semi,
    ServerSide,
    ShareUnlabelled,
    gradient_similarity,
    train,
)
from learning.judges import gradient
from learning.local.train import train_devices
from learning.models.weights import digest_of, stack
from learning.schemes.semi import shifted
from radioopt import OptionError, ProblemError, Scenario

CELL = Scenario.load("fimi", {"devices.count": 8})
QUICK = {"scheme": "fedavg", "radio": "fdma", "model": "softmax", "partition": "dirichlet:0.4,40", "seed": 2}
REAL = {"generator": "ready-made", "public": 200}
METHODS = {
    "TFL": {},
    "SEMI": {"scheme": "semi", "before": [ShareUnlabelled(public=200)]},
    "HDC": {"before": [Fill(classes="least", **REAL)]},
    "SST": {"scheme": "sst", "before": [Fill(place="server", **REAL)]},
    "CLSD": {"scheme": "central", "before": [Fill(place="server", **REAL)]},
    "public": {"scheme": "central", "public": 200},
    "own samples repeated": {"before": [RepeatOwn()]},
    "FIMI": {"before": [Fill(**REAL)]},
    "FIMI, diffusion": {"before": [Fill(generator="diffusion:steps=150,width=32", public=200)]},
    "GAN, w/o DM": {"before": [Fill(generator="gan:steps=100", public=200)]},
    "w/o BA": {"before": [Fill(amounts="equal-bandwidth", **REAL)], "policy": "equal-bandwidth"},
    "w/o OA": {"before": [Fill(classes="own", **REAL)]},
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_digits(method):
    result = train(CELL, rounds=15, learning_rate=0.5, **QUICK | METHODS[method])
    frame = result.to_frame()
    assert frame["test_accuracy"].iloc[-1] > 0.6
    assert frame["test_accuracy"].iloc[0] < 0.3


def test_resources_are_those_of_the_samples_that_devices_train_on():
    energy = {
        method: train(CELL, rounds=1, **QUICK | METHODS[method]).to_frame()["energy_j"].iloc[1]
        for method in METHODS
    }
    assert energy["SST"] == energy["TFL"] < energy["FIMI"] < energy["w/o BA"]
    for method in ("SEMI", "HDC", "own samples repeated", "FIMI, diffusion", "GAN, w/o DM", "w/o OA"):
        assert energy[method] == energy["FIMI"], method
    assert energy["CLSD"] == energy["public"] == 0.0


def test_methods_that_fill_differ_in_the_samples_alone():
    """The same amounts; HDC and w/o OA of other classes, a GAN of the same classes, nobody a private sample."""
    held = {
        method: train(CELL, rounds=1, **QUICK | METHODS[method]).task
        for method in ("FIMI", "FIMI, diffusion", "GAN, w/o DM", "HDC", "w/o OA")
    }
    labels = {
        method: [np.sort(task.data.train_y[part[40:]]) for part in task.parts]
        for method, task in held.items()
    }
    for method, given in labels.items():
        assert [len(one) for one in given] == [len(one) for one in labels["FIMI"]], method
    for method in ("FIMI, diffusion", "GAN, w/o DM"):
        for one, other in zip(labels[method], labels["FIMI"], strict=True):
            np.testing.assert_array_equal(one, other)
    assert all(np.unique(one).size <= 1 for one in labels["HDC"])
    for part, given in zip(held["w/o OA"].parts, labels["w/o OA"], strict=True):
        assert set(given) <= set(held["w/o OA"].data.train_y[part[:40]])
    made = {
        method: np.concatenate([task.data.train_x[part[40:]] for part in task.parts])
        for method, task in held.items()
    }
    assert np.abs(made["GAN, w/o DM"] - made["FIMI, diffusion"]).max() > 0.1
    own = {sample.tobytes() for part in held["FIMI"].parts for sample in held["FIMI"].data.train_x[part[:40]]}
    assert not own & {sample.tobytes() for method in made for sample in made[method]}


# -- SST ----------------------------------------------------------------------------------------------------


def test_the_servers_update_joins_with_the_weight_of_its_samples():
    options = QUICK | {"scheme": ServerSide(), "public": 100}
    result = train(CELL, rounds=1, **options)
    alone, devices = (
        train(CELL, rounds=1, **options | {"scheme": Central()}),
        train(CELL, rounds=1, **options | {"scheme": "fedavg"}),
    )
    for name, value in result.weights().items():
        mean = (320 * devices.weights()[name] + 100 * alone.weights()[name]) / 420
        torch.testing.assert_close(value, mean, rtol=1e-5, atol=1e-7)
    joint = (320 * devices.to_frame()["train_loss"][1] + 100 * alone.to_frame()["train_loss"][1]) / 420
    assert result.to_frame()["train_loss"][1] == pytest.approx(joint, rel=1e-6)


def test_the_server_trains_on_what_it_holds_as_a_device_would():
    scheme = Central(learning_rate=0.3, batchsize=7)
    result = train(CELL, rounds=1, **QUICK | {"scheme": scheme, "public": 50})
    task = result.task
    batches = scheme.draw_from([task.server], [task.streams.at("server", 1)])
    start = stack(task.initial_values(), 1)
    trained = train_devices(task.model, task.samples, start, batches, learning_rate=0.3, engine="plain")
    for name, value in result.weights().items():
        torch.testing.assert_close(value, trained.parameters[name][0])


def test_a_server_without_samples_is_refused():
    for scheme in ("sst", "central"):
        with pytest.raises(ProblemError, match="the server holds no samples: set some aside"):
            train(CELL, rounds=1, **QUICK | {"scheme": scheme})


# -- SEMI ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lie(Preparation):
    """Give the public samples other labels."""

    def __call__(self, task, devices, radio):
        labels = task.data.train_y.copy()
        labels[task.server] = (labels[task.server] + 1) % 10
        return Prepared(task.replace(data=replace(task.data, train_y=labels)))


def test_labels_of_public_samples_are_never_looked_at():
    share = ShareUnlabelled(public=200)
    honest, lied = (
        train(CELL, rounds=4, **QUICK | {"scheme": Semi(confidence=0.2), "before": before})
        for before in ([share], [Lie(), share])
    )
    assert digest_of(lied.weights()) == digest_of(honest.weights())


def test_only_labels_that_the_model_is_sure_of_count():
    outputs = torch.tensor([[4.0, 0.0, 0.0], [1.0, 0.9, 0.8]])
    torch.testing.assert_close(Semi().pseudo(outputs), torch.tensor([[1, 0, 0], [0, 0, 0]]))
    assert Semi(confidence=0.3).pseudo(outputs).sum() == 2
    never = train(
        CELL, rounds=2, **QUICK | {"scheme": Semi(confidence=1.0), "before": [ShareUnlabelled(public=200)]}
    )
    sure = train(
        CELL, rounds=2, **QUICK | {"scheme": Semi(confidence=0.15), "before": [ShareUnlabelled(public=200)]}
    )
    assert digest_of(never.weights()) != digest_of(sure.weights())


def test_without_public_samples_it_is_fedavg():
    options = QUICK | {"rounds": 2}
    semi, plain = train(CELL, **options | {"scheme": "semi"}), train(CELL, **options)
    assert digest_of(semi.weights()) == digest_of(plain.weights())


def test_images_are_shifted_by_an_eighth_at_most_and_others_stay():
    rng = np.random.default_rng(0)
    x = torch.arange(64.0).reshape(1, 1, 8, 8).expand(200, 1, 8, 8)
    moved = shifted(x, rng)
    offset = moved[:, 0, 4, 4] - 36
    assert {int(value) for value in offset} == {
        8 * rows + columns for rows in (-1, 0, 1) for columns in (-1, 0, 1)
    }
    assert (moved[:, 0, 0, 0] >= 0).all()
    flat = torch.rand(3, 5)
    assert shifted(flat, rng) is flat


def test_a_confidence_out_of_range_is_refused():
    with pytest.raises(OptionError, match=r"confidence: expected a number > 0 and <= 1, got 1\.5"):
        Semi(confidence=1.5)


# -- gradient similarity ------------------------------------------------------------------------------------


def test_similarity_is_the_mean_over_layers_of_weight_and_bias_together():
    a = {
        "0.weight": torch.tensor([[3.0, 0.0]]),
        "0.bias": torch.tensor([4.0]),
        "2.weight": torch.tensor([1.0, 0.0]),
    }
    b = {
        "0.weight": torch.tensor([[0.0, 5.0]]),
        "0.bias": torch.tensor([5.0]),
        "2.weight": torch.tensor([0.0, 0.0]),
    }
    cosine = 4 * 5 / (5 * math.sqrt(50))
    assert gradient_similarity(a, b) == pytest.approx(((1 + cosine) / 2 + 0.5) / 2, rel=1e-12)
    assert gradient_similarity(a, {name: 7 * value for name, value in a.items()}) == pytest.approx(1.0)
    assert gradient_similarity(a, {name: -value for name, value in a.items()}) == pytest.approx(
        0.0, abs=1e-12
    )
    with pytest.raises(ValueError, match="expected the same names"):
        gradient_similarity(a, {"0.weight": a["0.weight"]})


def test_the_judge_reports_it_where_it_is_asked_for():
    options = QUICK | {"rounds": 2, "judge": "gradients"}
    result = train(CELL, **options)
    task, weights = result.task, result.weights()
    x, y = task.samples
    rows = np.concatenate(task.parts)
    labels = task.data.train_y[rows]

    def by_hand(rows, shares):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
        losses = nn.functional.cross_entropy(model(x[rows]), y[rows], reduction="none")
        (losses * torch.tensor(shares, dtype=torch.float32)).sum().backward()
        return dict(zip(weights, (value.grad for value in model.parameters()), strict=True))

    classes, held = np.unique(labels, return_counts=True)
    even = by_hand(rows, [1 / (classes.size * held[np.searchsorted(classes, label)]) for label in labels])
    each = [gradient_similarity(by_hand(part, np.full(40, 1 / 40)), even) for part in task.parts]
    assert result.to_frame()["gradient_similarity"].iloc[-1] == pytest.approx(np.mean(each), rel=1e-5)
    same = gradient(task, weights, task.parts[0], np.full(40, 1 / 40))
    assert gradient_similarity(same, by_hand(task.parts[0], np.full(40, 1 / 40))) == pytest.approx(
        1.0, abs=1e-6
    )
    assert "gradient_similarity" not in train(CELL, **QUICK | {"rounds": 1}).to_frame()


def test_filling_makes_gradients_more_alike():
    found = [
        train(CELL, rounds=3, judge="gradients", **QUICK | METHODS[method])
        .to_frame()["gradient_similarity"]
        .iloc[-1]
        for method in ("TFL", "w/o OA", "FIMI")
    ]
    assert found[2] > found[0]
    assert all(0.5 < value <= 1 for value in found)
