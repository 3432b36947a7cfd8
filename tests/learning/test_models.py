"""Models: seeded, of the right shape, and never a side effect on torch."""

import numpy as np
import pytest
import torch
from torch import nn

from learning.catalog import MODELS
from learning.models.build import build
from radioopt import OptionError, ProblemError


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("name", "parameters"), [("softmax", 650), ("mlp", 4810), ("cnn", 6090)])
def test_the_named_models_take_digits(name, parameters):
    model = build(name, (1, 8, 8), 10, rng())
    assert model(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
    assert sum(value.numel() for value in model.parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("mlp:200", (1, 8, 8), 64 * 200 + 200 + 200 * 10 + 10),
        ("cnn:4", (1, 8, 8), 4 * 9 + 4 + 4 * 8 * 9 + 8 + 8 * 2 * 2 * 10 + 10),
        ("mix2fld-cnn", (1, 28, 28), 12_544),  # N_mod of the paper
        ("vgg9", (3, 32, 32), 3_491_530),
    ],
)
def test_networks_have_the_sizes_that_are_asked_for(name, shape, parameters):
    model = build(name, shape, 10, rng())
    assert sum(value.numel() for value in model.parameters()) == parameters


def test_vgg9_is_the_payload_of_the_fimi_paper():
    bits = 32 * sum(value.numel() for value in build("vgg9", (3, 32, 32), 10, rng()).parameters())
    assert round(bits / 1e6, 1) == 111.7


@pytest.mark.parametrize("name", list(MODELS))
def test_initial_weights_are_the_generators_and_torch_keeps_its_own_state(name):
    before = torch.random.get_rng_state()
    first, same, other = (list(build(name, (1, 8, 8), 10, rng(seed)).parameters()) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    drawn = [(a, b) for a, b in zip(first, other, strict=True) if a.unique().numel() > 1]  # not ones or zeros
    assert drawn
    assert not any(torch.equal(a, b) for a, b in drawn)


def test_a_module_keeps_its_weights_and_mode():
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).train()
    weights = module[1].weight.detach().clone()
    made = build(module, (1, 8, 8), 10, rng())
    assert made is module
    assert made.training
    assert torch.equal(made[1].weight, weights)


@pytest.mark.parametrize("name", ["softmax", "mlp", "cnn"])
def test_models_may_have_any_number_type(name):
    for kind in (torch.float64, torch.bfloat16):
        model = build(
            lambda shape, classes, kind=kind: MODELS[name](shape, classes).to(kind), (1, 8, 8), 10, rng()
        )
        assert {value.dtype for value in model.parameters()} == {kind}


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (
            "transformer",
            OptionError,
            r"unknown model 'transformer', choose from softmax, mlp, cnn, .*, or a torch.nn.Module",
        ),
        (
            "mlp:0",
            OptionError,
            r"model 'mlp:0': expected mlp:SIZE, cnn:SIZE, dense:SIZE, dense-teacher:SIZE, or a plain name",
        ),
        ("softmax:3", OptionError, r"model 'softmax:3': expected mlp:SIZE"),
        ("mlp:1e9", OptionError, r"model 'mlp:1e9': expected mlp:SIZE"),
        (nn.Flatten(), ProblemError, r"expected a torch.nn.Module with parameters to train"),
        (
            lambda shape, classes: None,
            ProblemError,
            r"a function that returns a torch.nn.Module, got NoneType",
        ),
        (nn.Linear(3, 10), ProblemError, r"does not take samples of shape \(1, 8, 8\)"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(64, 7)),
            ProblemError,
            r"logits of shape \(2, 10\).*got \(2, 7\)",
        ),
    ],
)
def test_models_that_cannot_learn_the_task_are_refused(model, error, message):
    with pytest.raises(error, match=message):
        build(model, (1, 8, 8), 10, rng())


@pytest.mark.parametrize("name", ["cnn", "mix2fld-cnn", "vgg9"])
@pytest.mark.parametrize("shape", [(64,), (1, 1, 9)])
def test_networks_for_images_refuse_other_samples(name, shape):
    with pytest.raises(ProblemError, match=rf"{name}: expected images .*got shape \({shape[0]},"):
        build(name, shape, 10, rng())
