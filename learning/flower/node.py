"""A node: some devices on one machine, which train when a letter comes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from learning.crew import Crew, Turn
from learning.flower.letters import Letter, Memory, Sealed
from learning.flower.prepared import restored
from learning.flower.sealing import seal_all, unseal_all
from learning.flower.told import made
from learning.local.globals import fresh_torch, torch_threads
from learning.messages import Message
from learning.models.weights import Rows
from learning.task import IntArray

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a node knows of the plan: the batch sizes of its own devices, and what all are told."""

    batchsize: IntArray
    words: Mapping[str, int]

    def told(self) -> Mapping[str, int]:
        return self.words

    def takes_part(self) -> None:
        """Return None: all devices of a node take part."""


@dataclass(frozen=True, eq=False)
class _Sent:
    """What a node knows of the radio: nothing, so that its devices keep what they have until an answer comes."""

    arrived: Bools
    received: Bools


def answer(letter: Letter, memory: Memory) -> Letter:
    """Do what a letter says.

    The letter says which devices are here, in which round, with how large a batch and with what else of the plan; and
    it brings the server's last answer, with those who received it. So the devices hear, train, and send what they made.
    A letter without a round asks for what they keep.

    Parameters
    ----------
    letter : Letter
        From the server.
    memory : mutable mapping
        What the devices keep; changed.

    Returns
    -------
    Letter
        What they send: arrays in the compartments ``values/i`` and ``notes/i`` for their i-th architecture, and
        ``own/i`` if the letter asks for it; with the seconds that it took.
    """
    began = time.perf_counter()
    with torch_threads(1), fresh_torch():
        scheme, task, digest = made(str(letter.numbers["settings"]))
        devices = np.array(letter.numbers["devices"], np.int64)
        task = restored(task, devices, letter.numbers.get("uses"), letter.arrays.get("teacher"))
        crew = Crew(scheme, task, devices=devices)
        new = _recall(crew, letter, memory)
        _hear(crew, letter, devices, len(task.parts))
        round = int(letter.numbers["round"])
        ready = time.perf_counter()
        arrays = {}
        if round:
            arrays = _train(crew, letter, devices, round)
            memory.clear()
        seconds = time.perf_counter() - ready
        own = {f"own/{i}": seal_all(_rows(crew, kind)) for i, kind in enumerate(crew.banks)}
        if round:
            memory.update(own)
        if letter.numbers["show"]:
            arrays |= own
    told = {"round": round, "devices": devices.tolist(), "digest": digest, "new": new}
    return Letter({**told, "compute_s": seconds, "load_s": ready - began}, arrays)


def _recall(crew: Crew, letter: Letter, memory: Memory) -> bool:
    """Put what devices keep into the crew, from the letter or from memory; say whether there was neither."""
    source = letter.arrays if any(name.startswith("own/") for name in letter.arrays) else memory
    found = 0
    for i, (kind, bank) in enumerate(crew.banks.items()):
        rows = unseal_all(source.get(f"own/{i}", {}))
        if rows and all(len(value) == len(bank.devices) for value in rows.values()):
            crew.banks[kind] = bank.put(bank.devices, rows)
            found += 1
    return found < len(crew.banks)


def _hear(crew: Crew, letter: Letter, devices: IntArray, count: int) -> None:
    """Bring the answer to those who received it."""
    sealed = letter.arrays.get("answer")
    received = np.zeros(count, np.bool_)
    received[devices] = np.array(letter.numbers["received"], np.bool_)
    if sealed and received.any():
        crew.hear(Message(unseal_all(sealed)), received)


def _train(crew: Crew, letter: Letter, devices: IntArray, round: int) -> dict[str, dict[str, Sealed]]:
    count = len(crew.task.parts)
    batchsize = np.zeros(count, np.int64)
    batchsize[devices] = letter.numbers["batchsize"]
    words = {
        name.removeprefix("told/"): int(value)
        for name, value in letter.numbers.items()
        if name.startswith("told/")
    }
    nobody = np.zeros(count, np.bool_)
    turn: Any = Turn(round, _Plan(batchsize, words), _Sent(nobody, nobody))  # type: ignore[arg-type]
    sent: dict[str, list[Message]] = {kind: [] for kind in crew.banks}
    for cohort, message in crew.train(turn):
        sent[cohort.architecture].append(message)
    arrays = {}
    for i, messages in enumerate(sent.values()):
        arrays[f"values/{i}"] = seal_all(_joined([message.values for message in messages]))
        arrays[f"notes/{i}"] = seal_all(_joined([message.notes for message in messages]))
    return arrays


def _joined(parts: list[Rows]) -> Rows:
    """Put the rows of several groups of devices one below the other."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _rows(crew: Crew, kind: str) -> Rows:
    return crew.banks[kind].of(crew.banks[kind].devices)
