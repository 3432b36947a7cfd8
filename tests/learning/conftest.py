"""Shared by the tests of learning: a small cell, so that rounds differ in their channels."""

import pytest
import torch

from radioopt import Scenario


@pytest.fixture(autouse=True)
def one_thread():
    """Run torch on one thread, as training does: small models are faster, and tests share their cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cell():
    """Six devices whose channel fades from round to round, and which have links between them."""
    config = Scenario.load("feel-cpu").to_dict() | {"d2d": Scenario.load("d2d").to_dict()["d2d"]}
    config["name"] = "small cell with block fading"
    config["cell"]["fading"] = "block"
    config["devices"]["count"] = 6
    return Scenario.from_dict(config)
