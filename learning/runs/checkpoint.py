"""Checkpoints: a run that was interrupted goes on where it was, and gives the numbers of an unbroken one."""

from __future__ import annotations

import copy
import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learning.models.weights import Bank
from learning.options import whole
from learning.prepare.base import Prepared
from learning.runs.ledger import Ledger
from learning.runs.manifest import DEPENDS, LIMITS, differences, manifest_of
from learning.runs.snapshot import Reader, Writer
from learning.task import CPU, State, Task
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.files import write_whole
from radioopt.scenario import Devices

FORMAT = "radioopt-checkpoint/2"
#: rounds from one checkpoint to the next, unless said otherwise
EVERY = 10
#: differences of settings that a message names
SHOWN = 4

#: where a run is: channel of the devices, the server's state, the devices' rows, the account
Place = tuple[Devices, State, dict[str, Bank], Ledger]


class Checkpoint:
    """A file that holds a run after some of its rounds, replaced whole every so many rounds.

    Parameters
    ----------
    path : path-like
        The file; a run goes on from it if it exists.
    every : int
        Rounds >= 1 from one writing to the next.
    config : mapping
        Settings of the run; those of an existing file must be the same, but for the limits that end a run.
    outside : mapping of str to object
        What is made anew from the settings and therefore not written: scenario, task, models, data.
    device : torch.device, default cpu
        Where tensors are.

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
    that it contains. It holds the ledger, the state of the server, what the devices keep, their channel, the settings
    with their SHA-256, and the versions of the packages. It holds
    the account of all rounds, and is written anew each time: long runs of many devices want a larger `every`.

    A task that was prepared is written once, to a file of its own beside it, whose name ends in ``.prepared``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        every: int,
        config: Mapping[str, Any],
        outside: Mapping[str, object],
        device: torch.device = CPU,
    ) -> None:
        self.path = Path(path)
        self.every = whole("every", every)
        self._manifest = manifest_of(config)
        self._outside, self._device = dict(outside), device
        self._history = Writer(self._outside)
        self._entries: list[str] = []
        self._found = _read(self.path) if self.path.exists() else None
        if self._found is None and not self.path.parent.is_dir():
            raise FileNotFoundError(f"checkpoint: folder {self.path.parent} does not exist: create it")
        if self._found is not None:
            self._refuse_other_settings(self.path, self._found[0])

    def prepared(self, make: Callable[[], tuple[Task, list[Prepared]]]) -> tuple[Task, list[Prepared]]:
        """Return the prepared task: as it was kept, or made now and kept.

        Parameters
        ----------
        make : callable
            Prepares the task.

        Returns
        -------
        task : Task
            After all preparations; from now on it is not written down with the run.
        done : list of Prepared
            What each of them did.
        """
        path = self.path.with_name(f"{self.path.name}.prepared")
        if path.exists():
            header, _, block = _read(path)
            self._refuse_other_settings(path, header)
            done: list[Prepared] = self._value(
                path, Reader(block, self._outside, self._device), header["now"]
            )["done"]
            task = done[-1].task
        else:
            task, done = make()
            writer = Writer(self._outside)
            tree = {"dict": [["done", writer.tree(done, "what was prepared")]]}
            _write(path, self._manifest, tree, [], b"", bytes(writer.block))
        self._outside["task"] = task
        self._history = Writer(self._outside)
        return task, done

    def restored(self, fresh: Place) -> Place:
        """Return where the run was left; a new run is left as it is.

        Parameters
        ----------
        fresh : tuple of Devices, State, dict of str to Bank, Ledger
            Before the first round.

        Returns
        -------
        tuple of Devices, State, dict of str to Bank, Ledger
            After the last round in the file.

        Raises
        ------
        ProblemError
            If the content does not fit what this version of the package reads.
        """
        if self._found is None:
            return fresh
        header, history, now = self._found
        past, present = (Reader(block, self._outside, self._device) for block in (history, now))
        entries = [self._value(self.path, past, tree) for tree in header["entries"]]
        left = self._value(self.path, present, header["now"])
        try:
            ledger = left["ledger"]
            ledger.entries.extend(entries)
            for name, expected in zip(("devices", "state"), fresh, strict=False):
                if type(left[name]) is not type(expected):
                    raise TypeError(
                        f"{name} is a {type(left[name]).__name__}, not a {type(expected).__name__}"
                    )
            return left["devices"], left["state"], left["banks"], ledger
        except Exception as error:  # what was written by others can be wrong in any way
            raise _unreadable(self.path, error) from error

    def _value(self, path: Path, reader: Reader, tree: Any) -> Any:
        try:
            return reader.value(tree)
        except Exception as error:  # what was written by others can be wrong in any way
            raise _unreadable(path, error) from error

    def due(self, ledger: Ledger) -> bool:
        """Say whether it is time to write the run down after the last round."""
        return len(ledger) % self.every == 0

    def keep(self, place: Place, *, done: bool = False) -> None:
        """Write the run down, if it is time to.

        Parameters
        ----------
        place : tuple of Devices, State, dict of str to Bank, Ledger
            After the last round.
        done : bool, default False
            Whether the run has ended, so that it is time in any case.

        Raises
        ------
        ProblemError
            If the state holds what cannot be written down; the message says where.
        OSError
            If the file cannot be written; an earlier one is then as it was.
        """
        devices, state, banks, ledger = place
        if not (done or self.due(ledger)):
            return
        for number, entry in enumerate(ledger.entries[len(self._entries) :], start=len(self._entries) + 1):
            self._entries.append(json.dumps(self._history.tree(entry, f"the account of round {number}")))
        account = copy.copy(ledger)
        account.entries = []
        writer = Writer(self._outside)
        now = {
            "devices": writer.tree(devices, "devices"),
            "state": writer.tree(state, "state"),
            "banks": writer.tree(banks, "what devices keep"),
            "ledger": writer.tree(account, "ledger"),
        }
        tree = {"dict": [[name, value] for name, value in now.items()]}
        _write(
            self.path, self._manifest, tree, self._entries, bytes(self._history.block), bytes(writer.block)
        )

    def _refuse_other_settings(self, path: Path, header: Mapping[str, Any]) -> None:
        there, here = header["manifest"], self._manifest
        kept, asked = (
            {key: value for key, value in told["config"].items() if key not in LIMITS}
            for told in (there, here)
        )
        if found := list(differences(kept, asked)):
            more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise OptionError(
                f"checkpoint {path} is of a run with other settings: {'; '.join(found[:SHOWN])}{more}: continue "
                "with those settings, or choose another file"
            )
        found = [
            f"{name}: {there['versions'].get(name)} there, {here['versions'][name]} here"
            for name in DEPENDS
            if there["versions"].get(name) != here["versions"][name]
        ]
        found += differences(there["hardware"].get("processor"), here["hardware"]["processor"], "processor")
        if found:
            warnings.warn(
                f"checkpoint {path} was written elsewhere ({'; '.join(found)}): numbers may differ in their last "
                "digits from those of an unbroken run",
                stacklevel=4,
            )


def _write(
    path: Path, manifest: Mapping[str, Any], now: Any, entries: list[str], history: bytes, block: bytes
) -> None:
    """Write header, history and present to a checkpoint, whole or not at all."""
    head = json.dumps({"format": FORMAT, "manifest": manifest, "now": now})
    header = f'{head[:-1]}, "entries": [{", ".join(entries)}]}}'
    blocks = {"header": header.encode(), "history": history, "now": block}
    file = io.BytesIO()
    np.savez(file, **{name: np.frombuffer(data, np.uint8) for name, data in blocks.items()})  # type: ignore[arg-type]
    write_whole(path, file.getvalue())


def _unreadable(path: Path, error: Exception) -> ProblemError:
    return ProblemError(f"checkpoint {path}: cannot be read by this version: {error}")


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
    except IsADirectoryError:
        raise IsADirectoryError(
            f"checkpoint {path}: is a folder: name a file in it, as {path / 'run.npz'}"
        ) from None
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
