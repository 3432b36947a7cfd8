"""Devices with networks of their own: each trained as it would be alone, judged by its own."""

import numpy as np
import pytest
import torch

import learning
from radioopt import OptionError, ProblemError

QUICK = {"data": "digits@300+100", "rounds": 2, "seed": 3, "progress": False}


def test_every_device_trains_its_own_network_as_if_all_had_it(cell):
    mixed = learning.train(cell, scheme="individual", model="softmax,mlp", **QUICK)
    assert mixed.task.uses == ("softmax", "mlp") * 3
    assert set(mixed.config["parameters"]) == {"softmax", "mlp"}
    assert type(mixed.model(device=0)) is type(mixed.model(device=1))
    assert len(mixed.weights(device=0)) == 2
    assert len(mixed.weights(device=1)) == 4
    same = learning.train(cell, scheme="individual", model=mixed.task.models["mlp"], **QUICK)
    for device in (1, 3, 5):
        one, other = mixed.weights(device), same.weights(device)
        assert all(torch.allclose(one[name], other[name], rtol=1e-5, atol=1e-6) for name in one)


def test_the_mean_of_their_own_accuracies_is_judged(cell):
    result = learning.train(cell, scheme="individual", model=["softmax", "mlp", "cnn:4"] * 2, **QUICK)
    x, y = result.task.test
    each = [float((result.model(device).eval()(x).argmax(1) == y).double().mean()) for device in range(6)]
    assert result.ledger.accuracy == pytest.approx(np.mean(each), rel=1e-12)
    assert "average_accuracy" not in result.to_frame()


def test_schemes_of_one_model_refuse_several(cell):
    with pytest.raises(
        ProblemError, match=r"this scheme trains one architecture, and devices have softmax, mlp"
    ):
        learning.train(cell, scheme="fedavg", model="softmax,mlp", **QUICK)
    with pytest.raises(
        OptionError, match=r"model: expected one for all, or a list of 6, one for each device; got 2"
    ):
        learning.train(cell, scheme="individual", model=["softmax", "mlp"], **QUICK)
    with pytest.raises(OptionError, match=r"judge average: devices have several architectures"):
        learning.train(cell, scheme="individual", judge="average", model="softmax,mlp", **QUICK)


def test_a_run_with_several_networks_goes_on_bit_for_bit(cell, tmp_path):
    options = QUICK | {"scheme": "individual", "model": "softmax,mlp", "every": 1}
    whole = learning.train(cell, **options | {"rounds": 4})
    learning.train(cell, checkpoint=tmp_path / "c.npz", **options)
    longer = learning.train(cell, checkpoint=tmp_path / "c.npz", **options | {"rounds": 4})
    assert longer.ledger.to_csv("device") == whole.ledger.to_csv("device")
    for device in range(6):
        one, other = whole.weights(device), longer.weights(device)
        assert all(torch.equal(one[name], other[name]) for name in one)
