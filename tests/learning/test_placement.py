"""Tensors stay where they are put: on torch's meta device, which computes nothing, a stray tensor is an error."""

import numpy as np
import pytest
import torch
from torch import nn

import learning
from learning.local.batches import epochs
from learning.local.losses import distillation
from learning.local.train import train_devices
from learning.models.weights import Sums, stack
from radioopt import OptionError

META = torch.device("meta")
PARTS = [np.arange(5), np.arange(5, 12), np.arange(12, 14)]


def drawn():
    return epochs(PARTS, 4, 2, [np.random.default_rng(device) for device in range(3)])


@pytest.mark.parametrize("engine", ["plain", "stacked"])
@pytest.mark.parametrize("rule", ["sgd", "sgd:momentum=0.9", "adam"])
def test_engines_train_where_the_samples_are(engine, rule):
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).to(META)
    x, y = torch.empty(14, 2, 3, device=META), torch.zeros(14, dtype=torch.int64, device=META)
    start = stack({name: value.detach() for name, value in model.named_parameters()}, 3)
    loss = distillation(torch.empty(3, 4, 4, device=META), 0.1)
    options = {"learning_rate": 0.1, "rule": rule, "proximal": 0.1, "engine": engine}
    trained = train_devices(model, (x, y), start, drawn(), loss=loss, collect=True, **options)
    found = [*trained.parameters.values(), trained.loss, trained.output, trained.output_count]
    assert {value.device.type for value in found} == {"meta"}
    sums = Sums()
    sums.add(trained.parameters, torch.tensor([1, 2, 3]))
    assert {value.device.type for value in sums.mean().values()} == {"meta"}


def test_a_stray_tensor_would_be_noticed():
    with pytest.raises(RuntimeError, match="device"):
        torch.empty(3, device=META) + torch.ones(3)


def test_a_device_that_is_not_there_is_refused(cell):
    with pytest.raises(OptionError, match=r"device: expected cpu, cuda, cuda:1 or auto, got 'gpu'"):
        learning.train(cell, device="gpu", rounds=1)
    if not torch.cuda.is_available():
        with pytest.raises(
            OptionError, match=r"device 'cuda:1': torch finds none on this machine: choose cpu"
        ):
            learning.train(cell, device="cuda:1", rounds=1)
        assert learning.train(cell, device="auto", rounds=1).config["device"] == "cpu"
