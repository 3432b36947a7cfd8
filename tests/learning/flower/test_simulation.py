"""Flower's own simulation: the same numbers as in one process. Left out where Flower is not installed."""

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from learning import train
from learning.flower import simulation
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


class Interrupted:
    """In the place of Flower: starts the server in a thread, as it does, and is interrupted while nodes are silent."""

    def __init__(self, asked):
        self.asked, self.urgency = asked, None

    def ServerApp(self):
        def main():
            return lambda function: setattr(self, "main", function)

        return SimpleNamespace(main=main)

    def run_simulation(self, **options):
        self.urgency = os.environ.get(simulation.NICENESS)
        threading.Thread(target=self.main, args=(None, None)).start()
        assert self.asked.wait(20)
        raise KeyboardInterrupt


@pytest.fixture
def interrupted(monkeypatch, Loopback):
    asked, mail = threading.Event(), Loopback(2, answers=lambda letter, memory: asked.set())
    flower = Interrupted(asked)
    monkeypatch.setattr(simulation, "require", lambda *names: flower)
    monkeypatch.setattr(
        simulation, "grid", SimpleNamespace(GridMail=lambda grid: mail, client_app=lambda answer: None)
    )
    return flower


def test_an_interrupted_simulation_leaves_nobody_behind_who_writes(cell, interrupted, tmp_path):
    before, kept = threading.active_count(), tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        simulation.simulate(
            cell, nodes=2, rounds=2, deadline_s=8.0, data="digits@300+100", checkpoint=kept, progress=False
        )
    assert threading.active_count() == before
    assert not kept.exists()


def test_simulated_nodes_are_as_urgent_as_who_starts_them_unless_the_user_says_otherwise(
    cell, interrupted, monkeypatch
):
    for said, urgency in ((None, "0"), ("5", "5")):
        if said is not None:
            monkeypatch.setenv(simulation.NICENESS, said)
        with pytest.raises(KeyboardInterrupt):
            simulation.simulate(
                cell, nodes=2, rounds=1, deadline_s=8.0, data="digits@300+100", progress=False
            )
        assert interrupted.urgency == urgency
        assert os.environ.get(simulation.NICENESS) == said


@pytest.mark.skipif(flwr is not None, reason="Flower is installed")
def test_without_flower_the_command_to_install_it_is_said():
    from learning.flower import simulate

    with pytest.raises(MissingExtraError, match=r"flwr.* is not installed: pip install 'radioopt\[flower\]'"):
        simulate("feel-cpu", rounds=1)
