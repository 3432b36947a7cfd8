"""Flower's own simulation: the same numbers as in one process. Left out where Flower is not installed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from learning import train
from radioopt import Scenario
from radioopt.base.errors import MissingExtraError

flwr = importlib.util.find_spec("flwr")  # importing it warns of what it uses

needs_flower = pytest.mark.skipif(
    flwr is None, reason="needs Flower: pip install 'radioopt[flower]' -c constraints-flower.txt"
)


def ten():
    config = Scenario.load("feel-cpu").to_dict()
    config["devices"]["count"] = 10
    return Scenario.from_dict(config)


@needs_flower
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray and Flower warn of themselves
@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("feel", {}),
        ("fedavg", {}),
        ("scaffold", {"partition": "shards"}),
        ("fd", {"iterations": 20, "max_slots": 114, "policy": "paper"}),
    ],
)
def test_ten_nodes_of_flower_give_the_same_as_one_process(scheme, options):
    from learning.flower import simulate

    where = Scenario.load("mix2fld") if scheme == "fd" else ten()
    asked = {"scheme": scheme, "rounds": 5, "seed": 1, "progress": False, **options}
    here, there = train(where, **asked), simulate(where, **asked)
    assert there.crew.faults == []
    one, other = here.to_frame(), there.to_frame()
    assert (one["test_accuracy"] - other["test_accuracy"]).abs().max() <= 1e-6
    weights = [(here.weights(), there.weights())]
    weights += [(here.weights(device), there.weights(device)) for device in (0, 9)] if scheme == "fd" else []
    for mine, theirs in weights:
        for name, value in mine.items():
            torch.testing.assert_close(theirs[name], value, rtol=0, atol=1e-6)


@needs_flower
@pytest.mark.slow
def test_the_quickstart_runs_with_certified_batches(tmp_path):
    root = Path(__file__).resolve().parents[3]
    found = subprocess.run(
        [sys.executable, root / "examples" / "flower" / "quickstart.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root), "FLWR_TELEMETRY_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert "round 3: loss" in found.stdout
    assert "certified: OPTIMAL" in found.stdout


@pytest.mark.skipif(flwr is not None, reason="Flower is installed")
def test_without_flower_the_command_to_install_it_is_said():
    from learning.flower import simulate

    with pytest.raises(MissingExtraError, match=r"flwr.* is not installed: pip install 'radioopt\[flower\]'"):
        simulate("feel-cpu", rounds=1)
