"""Checkpoints: a run that was interrupted goes on where it was, and gives the numbers of an unbroken one."""

from __future__ import annotations

import copy
import io
import json
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from learning.options import whole
from learning.runs.folder import differences, manifest_of
from learning.runs.ledger import Ledger
from learning.runs.snapshot import Reader, Writer, generator_state, set_generator_state
from learning.task import State, Streams
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.files import write_whole
from radioopt.scenario import Devices

FORMAT = "radioopt-checkpoint/1"
#: rounds from one checkpoint to the next, unless said otherwise
EVERY = 10
#: packages that numbers depend on
PACKAGES = ("radioopt", "numpy", "scipy", "numba", "torch")
#: differences of settings that a message names
SHOWN = 4

StateT = TypeVar("StateT", bound=State)


class Checkpoint:
    """A file that holds a run after some of its rounds, replaced whole every so many rounds.

    Parameters
    ----------
    path : path-like
        The file; a run goes on from it if it exists.
    every : int
        Rounds >= 1 from one writing to the next.
    config : mapping
        Settings of the run; those of an existing file must be the same.
    streams : Streams
        The random streams of the run, fresh from the seed.
    outside : mapping of str to object
        What is made anew from the settings and therefore not written: scenario, task.

    Raises
    ------
    OptionError
        If `every` is no such number, or the file is the checkpoint of other settings; the message names them.
    ProblemError
        If the file is no checkpoint, or damaged.
    OSError
        If it cannot be read, or its folder does not exist.

    Notes
    -----
    The file is a ``.npz`` of a JSON header and two blocks of bytes, without pickle: reading it runs nothing
    that it contains. It holds the ledger, the state of the scheme, the channel of the devices, the states of all
    random streams and of torch's own, the settings with their SHA-256, and the versions of the packages. It holds
    the account of all rounds, and is written anew each time: long runs of many devices want a larger `every`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int,
        config: Mapping[str, Any],
        streams: Streams,
        outside: Mapping[str, object],
    ) -> None:
        self.path = Path(path)
        self.every = whole("every", every)
        self._manifest = manifest_of(config)
        self._streams = streams
        self._outside = {**outside, **{f"streams.{name}": s for name, s in streams._asdict().items()}}
        self._history = Writer(self._outside)
        self._entries: list[str] = []
        self._found = _read(self.path) if self.path.exists() else None
        if self._found is None and not self.path.parent.is_dir():
            raise FileNotFoundError(f"checkpoint: folder {self.path.parent} does not exist: create it")
        if self._found is not None:
            self._refuse_other_settings(self._found[0])

    @property
    def rounds(self) -> int:
        """Rounds that the file held when it was found; 0 without one."""
        return len(self._found[0]["entries"]) if self._found else 0

    def restored(self, devices: Devices, state: StateT, ledger: Ledger) -> tuple[Devices, StateT, Ledger]:
        """Return where the run was left, and bring the random streams there; a new run is left as it is.

        Parameters
        ----------
        devices : Devices
            As drawn before the first round.
        state : State
            Before the first round.
        ledger : Ledger
            Without rounds.

        Returns
        -------
        tuple of Devices, State, Ledger
            After the last round in the file.

        Raises
        ------
        ProblemError
            If the content does not fit what this version of the package reads.
        """
        if self._found is None:
            return devices, state, ledger
        header, history, now = self._found
        try:
            past, present = Reader(history, self._outside), Reader(now, self._outside)
            entries = [past.value(tree) for tree in header["entries"]]
            left = present.value(header["now"])
            ledger = left["ledger"]
            ledger.entries.extend(entries)
            for name, drawn in left["streams"].items():
                set_generator_state(getattr(self._streams, name), drawn)
            torch.random.set_rng_state(left["torch"])
            for name, fresh in (("devices", devices), ("state", state)):
                if type(left[name]) is not type(fresh):
                    raise TypeError(f"{name} is a {type(left[name]).__name__}, not a {type(fresh).__name__}")
        except Exception as error:  # what was written by others can be wrong in any way
            raise ProblemError(f"checkpoint {self.path}: cannot be read by this version: {error}") from error
        return left["devices"], left["state"], ledger

    def keep(self, devices: Devices, state: State, ledger: Ledger) -> None:
        """Write the run down, if it is time to.

        Parameters
        ----------
        devices : Devices
            With the channel of the last round.
        state : State
            After the last round.
        ledger : Ledger
            Up to the last round.

        Raises
        ------
        ProblemError
            If the state holds what cannot be written down; the message says where.
        OSError
            If the file cannot be written; an earlier one is then as it was.
        """
        if len(ledger) % self.every:
            return
        for number, entry in enumerate(ledger.entries[len(self._entries) :], start=len(self._entries) + 1):
            self._entries.append(json.dumps(self._history.tree(entry, f"the account of round {number}")))
        account = copy.copy(ledger)
        account.entries = []
        writer = Writer(self._outside)
        now = {
            "devices": writer.tree(devices, "devices"),
            "state": writer.tree(state, "state"),
            "ledger": writer.tree(account, "ledger"),
            "streams": writer.tree(
                {name: generator_state(s) for name, s in self._streams._asdict().items()}, "streams"
            ),
            "torch": writer.tree(torch.random.get_rng_state(), "torch"),
        }
        tree = {"dict": [[name, value] for name, value in now.items()]}
        head = json.dumps({"format": FORMAT, "manifest": self._manifest, "now": tree})
        header = f'{head[:-1]}, "entries": [{", ".join(self._entries)}]}}'
        blocks = {
            "header": header.encode(),
            "history": bytes(self._history.block),
            "now": bytes(writer.block),
        }
        file = io.BytesIO()
        np.savez(file, **{name: np.frombuffer(data, np.uint8) for name, data in blocks.items()})  # type: ignore[arg-type]
        write_whole(self.path, file.getvalue())

    def _refuse_other_settings(self, header: Mapping[str, Any]) -> None:
        there, here = header["manifest"], self._manifest
        if there.get("config_sha256") != here["config_sha256"]:
            found = list(differences(there["config"], here["config"]))
            more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise OptionError(
                f"checkpoint {self.path} is of a run with other settings: {'; '.join(found[:SHOWN])}{more}: continue "
                "with those settings, or choose another file"
            )
        found = [
            f"{name}: {there['versions'].get(name)} there, {here['versions'][name]} here"
            for name in PACKAGES
            if there["versions"].get(name) != here["versions"][name]
        ]
        found += differences(there["hardware"].get("processor"), here["hardware"]["processor"], "processor")
        if found:
            warnings.warn(
                f"checkpoint {self.path} was written elsewhere ({'; '.join(found)}): numbers may differ in their last "
                "digits from those of an unbroken run",
                stacklevel=4,
            )


def _read(path: Path) -> tuple[dict[str, Any], bytes, bytes]:
    """Read header, history and present from a checkpoint."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            header, history, now = (file[name].tobytes() for name in ("header", "history", "now"))
        read = json.loads(header)
        if read["format"] != FORMAT:
            raise ValueError(f"format {read['format']!r}")
        manifest = read["manifest"]
        if not all(isinstance(manifest[key], dict) for key in ("config", "versions", "hardware")):
            raise ValueError("no settings in it")
        if not (isinstance(read["entries"], list) and isinstance(read["now"], dict)):
            raise ValueError("no rounds in it")
    except OSError as error:
        if error.filename is not None:
            raise
        raise _damaged(path, error) from error
    except (ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise _damaged(path, error) from error
    return read, history, now


def _damaged(path: Path, error: Exception) -> ProblemError:
    return ProblemError(
        f"checkpoint {path}: not a checkpoint that radioopt wrote ({FORMAT}), or damaged ({error}): remove it to "
        "start again"
    )
