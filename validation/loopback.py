"""A deployment of Flower on this machine: a server with TLS and nodes with keys, on 127.0.0.1, each ended by its id."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
#: seconds in which a process that is told to end does so, and one that makes a key or a certificate is done
ENDING_S, MAKING_S = 20.0, 120.0
#: the commands of docs/distributed.md
CERTIFICATES = r"""
openssl genrsa -out ca.key 4096
openssl req -new -x509 -key ca.key -sha256 -subj /O=radioopt -days 30 -out ca.crt \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
openssl genrsa -out server.key 4096
openssl req -new -key server.key -subj /O=radioopt/CN=localhost -out server.csr
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.pem -days 30 -sha256 \
  -extfile san.ext
"""
ALTERNATIVES = (
    "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
)


class Deployment:
    """The processes of a deployment, all of which have ended when the block has.

    Parameters
    ----------
    folder : Path
        Empty: certificates, keys, logs, Flower's own files and the runs go here.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Deployment(Path(folder)) as deployment:  # doctest: +SKIP
    ...     deployment.server()
    ...     deployment.node("node0", deployment.registered("node0"))
    ...     deployment.run("first", {"scheme": "fedavg", "rounds": 2}, nodes=1)
    ...     deployment.wait(deployment.folder / "runs" / "first" / "metrics.csv", 300)
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.started: list[subprocess.Popen[bytes]] = []
        home = folder / "home"
        home.mkdir()
        self.environment = os.environ | {
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        }
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "secure"\n\n[superlink.secure]\naddress = "127.0.0.1:{self.port}"\n'
            f'root-certificates = "{folder / "ca.crt"}"\n'
        )
        shutil.copytree(ROOT / "examples" / "flower", folder / "app")
        (folder / "san.ext").write_text(ALTERNATIVES)
        for line in CERTIFICATES.replace("\\\n", " ").strip().splitlines():
            made(line.split(), folder)

    def __enter__(self) -> Deployment:
        """Return the deployment."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every process that was started, nodes first."""
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            try:
                process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(ENDING_S)

    def registered(self, name: str) -> Path:
        """Make the key of a node, and register it."""
        key = self.key(name)
        self.flwr("supernode", "register", f"{key}.pub", "secure")
        return key

    def key(self, name: str) -> Path:
        """Make a key."""
        command = ["ssh-keygen", "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", name]
        made(command, self.folder)
        return self.folder / name

    def server(self) -> subprocess.Popen[bytes]:
        """Start the SuperLink, which keeps what it knows in a file, and wait until it listens."""
        command = ["flower-superlink", "--ssl-ca-certfile", "ca.crt", "--ssl-certfile", "server.pem"]
        command += ["--ssl-keyfile", "server.key", "--enable-supernode-auth", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--database", "superlink.db"]
        started = self._start("server", *command, "--disable-runtime-dependency-installation")
        self.until(self._listens, 180, "the server does not listen")
        return started

    def node(self, name: str, key: Path | None, *more: str) -> subprocess.Popen[bytes]:
        """Start a SuperNode; `more` options of Flower come last."""
        command = [
            "flower-supernode",
            "--root-certificates",
            "ca.crt",
            "--superlink",
            f"127.0.0.1:{self.port}",
        ]
        command += ["--host", "127.0.0.1", "--port", str(free_port()), "--max-retries", "30"]
        command += [] if key is None else ["--auth-supernode-private-key", str(key)]
        return self._start(name, *command, *more)

    def run(self, name: str, options: dict[str, Any], **settings: Any) -> None:
        """Hand in a run of the app: options of learning.train, and settings of the app."""
        told = {"options": json.dumps(options), "folder": str(self.folder / "runs"), "name": name, **settings}
        lines = [f"{key.replace('_', '-')} = {json.dumps(value)}" for key, value in told.items()]
        file = self.folder / f"{name}.toml"
        file.write_text("\n".join(lines))
        self.flwr("run", "app", "secure", "--run-config", str(file))

    def flwr(self, *command: str) -> str:
        """Call the command line of Flower, and return what it prints."""
        found = subprocess.run(
            ["flwr", *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if found.returncode:
            raise RuntimeError(f"flwr {' '.join(command)}: {found.stdout}{found.stderr}")
        return found.stdout

    def wait(self, file: Path, seconds: float) -> None:
        """Wait until a file is there."""
        self.until(file.exists, seconds, f"no {file.name}")

    def until(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until something is so; if it takes too long, say what the server and the nodes wrote last."""
        began = time.monotonic()
        while not done():
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"{what} after {seconds:g} s\n{self.logs()}")
            time.sleep(0.2)

    def logs(self) -> str:
        """Return the last lines of every log."""
        return "\n".join(
            f"-- {log.name}\n{log.read_text(errors='replace')[-2000:]}"
            for log in sorted(self.folder.glob("*.log"))
        )

    def _start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.started.append(process)
        return process

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


def made(command: list[str], folder: Path) -> None:
    """Call a program that makes keys or certificates; it is not to ask anything."""
    subprocess.run(
        command, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=MAKING_S
    )


def killed(process: subprocess.Popen[bytes]) -> None:
    """End a process at once, as a machine that loses its power does."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait(ENDING_S)


def free_port() -> int:
    """Return a port of this machine that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
