"""A deployment on this machine: a server with TLS, nodes with keys, a run that leaves what one process leaves."""

import contextlib
import importlib.util
import json
import time
from pathlib import Path

import pandas as pd
import pytest

from learning import train
from learning.flower.deployment import deploy
from learning.runs.checkpoint import _read
from radioopt import OptionError
from validation.loopback import Deployment, killed, made

flwr = importlib.util.find_spec("flwr")  # importing it warns of what it uses

OPTIONS = {"scheme": "fedavg", "rounds": 2, "seed": 1, "data": "digits@300+100"}
MINUTES = 8
DEADLINE_S = 100.0


def test_a_run_is_saved_as_any_other(Loopback, tmp_path, capsys):
    config = {"options": json.dumps(OPTIONS), "nodes": 3, "folder": str(tmp_path), "name": "three"}
    folder = deploy(Loopback(3), config, poll_s=0.001)
    there = pd.read_csv(folder / "metrics.csv")
    here = train("feel-cpu", **OPTIONS).to_frame()
    assert there["test_accuracy"].tolist() == pytest.approx(here["test_accuracy"].tolist(), abs=1e-6)
    assert folder == tmp_path / "three"
    first, second, saved = capsys.readouterr().out.splitlines()
    assert first.startswith("round 1: ")
    assert second.startswith("round 2: ")
    assert saved == f"saved in {folder}"


def test_a_server_that_was_stopped_goes_on_from_its_last_round(Loopback, tmp_path):
    class Stopped(Exception):
        pass

    mail = Loopback(3)
    fetch, config = mail.fetch, {"options": json.dumps(OPTIONS), "nodes": 3, "folder": str(tmp_path)}

    def stop(ids):
        if mail.count > 3:
            raise Stopped
        return fetch(ids)

    mail.fetch = stop
    with pytest.raises(Stopped):
        deploy(mail, config, poll_s=0.001)
    folder = deploy(Loopback(3), config, poll_s=0.001)
    there = pd.read_csv(folder / "metrics.csv")["test_accuracy"]
    assert there.tolist() == pytest.approx(train("feel-cpu", **OPTIONS).to_frame()["test_accuracy"].tolist())


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"node": 3}, "app: unknown setting node, choose from scenario, options"),
        ({"options": "fedavg"}, "options: expected a JSON object"),
        (
            {"scenario": "cell.toml"},
            "no such file: cell.toml: give its whole path, since the server runs in a folder of its own",
        ),
        ({"clock": "sun"}, "unknown clock 'sun'"),
    ],
)
def test_mistakes_in_the_configuration_are_told(Loopback, tmp_path, config, complaint):
    with pytest.raises(OptionError, match=complaint):
        deploy(Loopback(1), {"folder": str(tmp_path), **config}, poll_s=0.001)


@pytest.fixture
def deployment(tmp_path):
    with Deployment(tmp_path) as made:
        yield made


def trainers(deployment):
    """Numbers of the trainers' processes of a deployment: others may run on this machine."""
    found, home = set(), f"FLWR_HOME={deployment.folder / 'home'}".encode()
    for one in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command, environment = (one / "cmdline").read_bytes(), (one / "environ").read_bytes()
            if b"learning.flower.trainer" in command and home in environment.split(b"\0"):
                found.add(int(one.name))
    return found


needs_flower = pytest.mark.skipif(
    flwr is None, reason="needs Flower: pip install 'radioopt[flower]' -c constraints-flower.txt"
)


@needs_flower
@pytest.mark.slow
@pytest.mark.exhaustive
def test_three_nodes_with_keys_give_the_same_and_strangers_are_refused(deployment):
    deployment.server()
    keys = [deployment.registered(f"node{i}") for i in range(3)]
    stranger = deployment.node("stranger", deployment.key("stranger-key"))
    nameless = deployment.node("nameless", None)
    (deployment.folder / "other.crt").write_bytes((deployment.folder / "ca.crt").read_bytes())
    other = ["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "other.key"]
    other += ["-subj", "/O=other", "-days", "1", "-out", "other.crt"]
    made(other, deployment.folder)
    deceived = deployment.node("deceived", keys[0], "--root-certificates", "other.crt", "--max-retries", "2")
    for process, reason in ((stranger, "2004"), (nameless, "2001"), (deceived, "CERTIFICATE_VERIFY_FAILED")):
        assert process.wait(300) != 0
        assert reason in deployment.logs()
    for i, key in enumerate(keys):
        deployment.node(f"node{i}", key)
    deployment.run("three", OPTIONS, nodes=3, deadline_s=300.0)
    result = deployment.folder / "runs" / "three" / "metrics.csv"
    deployment.wait(result, 60 * MINUTES)
    there, here = pd.read_csv(result), train("feel-cpu", **OPTIONS).to_frame()
    assert there["answered"][1:].tolist() == [12, 12]
    assert there["test_accuracy"].tolist() == pytest.approx(here["test_accuracy"].tolist(), abs=1e-6)
    assert there["test_loss"].tolist() == pytest.approx(here["test_loss"].tolist(), abs=1e-6)
    assert len(trainers(deployment)) == 3
    print("seconds per round:", there["round_s"].tolist(), "ours:", there["server_s"].tolist())


@needs_flower
@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_node_is_killed_in_mid_round_then_the_server_and_the_run_goes_on(deployment):
    """Round 2 closes at its deadline without the node, a new one takes its devices; the run ends after a new start."""
    options = OPTIONS | {"rounds": 5}
    folder = deployment.folder / "runs" / "kept"
    log = deployment.folder / "node1.log"
    server = deployment.server()
    node = [deployment.node(f"node{i}", deployment.registered(f"node{i}")) for i in range(2)][1]
    deployment.run("kept", options, nodes=2, deadline_s=DEADLINE_S)
    deployment.until(
        lambda: log.exists() and log.read_text().count("Receiving: train") == 2, 400, "no round 2"
    )
    killed(node)
    killing = time.monotonic()
    deployment.until(lambda: len(trainers(deployment)) <= 1, 60, "the trainer of a node that is gone stays")
    deployment.node("node2", deployment.registered("node2"))
    deployment.until(lambda: rounds_kept(folder) >= 3, 60 * MINUTES, "round 3 does not end")
    assert time.monotonic() - killing >= DEADLINE_S / 2  # it was waited for, and not for ever
    killed(server)
    deployment.server()
    time.sleep(10)  # nodes come back by themselves
    deployment.run("kept", options, nodes=2, deadline_s=DEADLINE_S)
    deployment.wait(folder / "metrics.csv", 60 * MINUTES)
    result = pd.read_csv(folder / "metrics.csv")
    print(result[["answered", "nodes", "faults", "round_s", "server_s", "test_accuracy"]])
    assert len(result) == 6  # before the first round, and five rounds: none is lost, none is done twice
    assert result["answered"][[1, 2]].tolist() == [12, 6]
    assert result["answered"].iloc[-1] == 12
    assert result["test_loss"].iloc[-1] < result["test_loss"].iloc[0]


def rounds_kept(folder):
    """Count the rounds in the checkpoint of a run."""
    path = folder / "checkpoint.npz"
    return len(_read(path)[0]["entries"]) if path.exists() else 0
