"""A deployment on this machine: a server with TLS, nodes with keys, a run that leaves what one process leaves."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from learning import train
from learning.flower.deployment import deploy
from radioopt import OptionError

flwr = importlib.util.find_spec("flwr")  # importing it warns of what it uses

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
OPTIONS = {"scheme": "fedavg", "rounds": 2, "seed": 1, "data": "digits@300+100"}
MINUTES = 8


def test_a_run_is_saved_as_any_other(Loopback, tmp_path):
    config = {"options": json.dumps(OPTIONS), "nodes": 3, "folder": str(tmp_path), "name": "three"}
    folder = deploy(Loopback(3), config, poll_s=0.001)
    there = pd.read_csv(folder / "metrics.csv")
    here = train("feel-cpu", **OPTIONS).to_frame()
    assert there["test_accuracy"].tolist() == pytest.approx(here["test_accuracy"].tolist(), abs=1e-6)
    assert folder == tmp_path / "three"


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
        ({"clock": "sun"}, "unknown clock 'sun'"),
    ],
)
def test_mistakes_in_the_configuration_are_told(Loopback, tmp_path, config, complaint):
    with pytest.raises(OptionError, match=complaint):
        deploy(Loopback(1), {"folder": str(tmp_path), **config}, poll_s=0.001)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Deployment:
    """Processes of a deployment on 127.0.0.1, each ended by its id."""

    def __init__(self, folder):
        self.folder, self.port, self.started = folder, free_port(), []
        home = folder / "home"
        home.mkdir()
        self.environment = os.environ | {
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.05",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "secure"\n\n[superlink.secure]\naddress = "127.0.0.1:{self.port}"\n'
            f'root-certificates = "{folder / "ca.crt"}"\n'
        )
        shutil.copytree(ROOT / "examples" / "flower", folder / "app")
        self._certify()

    def _certify(self):
        """The commands of docs/distributed.md."""
        commands = """
openssl genrsa -out ca.key 4096
openssl req -new -x509 -key ca.key -sha256 -subj /O=radioopt -days 30 -out ca.crt \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
openssl genrsa -out server.key 4096
openssl req -new -key server.key -subj /O=radioopt/CN=localhost -out server.csr
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.pem -days 30 -sha256 \
  -extfile san.ext
"""
        (self.folder / "san.ext").write_text(
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
        )
        for line in commands.replace("\\\n", " ").strip().splitlines():
            subprocess.run(line.split(), cwd=self.folder, check=True, capture_output=True)

    def key(self, name):
        command = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", name]
        subprocess.run(command, cwd=self.folder, check=True)
        return self.folder / name

    def start(self, name, *command):
        with open(self.folder / f"{name}.log", "w") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.started.append(process)
        return process

    def server(self):
        secure = [
            "--ssl-ca-certfile",
            "ca.crt",
            "--ssl-certfile",
            "server.pem",
            "--ssl-keyfile",
            "server.key",
        ]
        command = ["flower-superlink", *secure, "--enable-supernode-auth", "--host", "127.0.0.1"]
        self.start("server", *command, "--port", str(self.port), "--disable-runtime-dependency-installation")
        self._wait(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close(), 120)

    def node(self, name, key):
        command = [
            "flower-supernode",
            "--root-certificates",
            "ca.crt",
            "--superlink",
            f"127.0.0.1:{self.port}",
        ]
        command += ["--host", "127.0.0.1", "--port", str(free_port()), "--max-retries", "3"]
        return self.start(name, *command, "--auth-supernode-private-key", str(key))

    def flwr(self, *command):
        found = subprocess.run(
            ["flwr", *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    @staticmethod
    def _wait(done, seconds):
        began = time.monotonic()
        while True:
            try:
                done()
            except OSError:
                if time.monotonic() - began > seconds:
                    raise
                time.sleep(0.2)
            else:
                return

    def stop(self):
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def deployment(tmp_path):
    made = Deployment(tmp_path)
    yield made
    made.stop()


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.skipif(
    flwr is None, reason="needs Flower: pip install 'radioopt[flower]' -c constraints-flower.txt"
)
def test_three_nodes_with_keys_give_the_same_and_a_fourth_without_is_refused(deployment, tmp_path):
    deployment.server()
    keys = [deployment.key(f"node{i}") for i in range(3)]
    for key in keys:
        deployment.flwr("supernode", "register", f"{key}.pub", "secure")
    stranger = deployment.node("stranger", deployment.key("stranger-key"))
    for i, key in enumerate(keys):
        deployment.node(f"node{i}", key)
    assert stranger.wait(90) != 0
    assert "2004" in (tmp_path / "stranger.log").read_text()
    told = {"options": json.dumps(OPTIONS), "folder": str(tmp_path / "runs"), "name": "three"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in told.items()] + [
        "nodes = 3",
        "deadline-s = 200.0",
    ]
    (tmp_path / "run.toml").write_text("\n".join(lines))
    deployment.flwr("run", "app", "secure", "--run-config", str(tmp_path / "run.toml"))
    result = tmp_path / "runs" / "three" / "metrics.csv"
    began = time.monotonic()
    while not result.exists():
        assert time.monotonic() - began < 60 * MINUTES, (tmp_path / "server.log").read_text()[-3000:]
        time.sleep(1)
    there, here = pd.read_csv(result), train("feel-cpu", **OPTIONS).to_frame()
    assert there["answered"][1:].tolist() == [12, 12]
    assert there["test_accuracy"].tolist() == pytest.approx(here["test_accuracy"].tolist(), abs=1e-6)
    assert there["test_loss"].tolist() == pytest.approx(here["test_loss"].tolist(), abs=1e-6)
    print("seconds per round:", there["round_s"].tolist(), "ours:", there["server_s"].tolist())
