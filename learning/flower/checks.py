"""Checks of what nodes send: nothing enters a sum that is not what the scheme would have made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from learning.crew import Turn
from learning.flower.letters import Letter, Sealed
from learning.flower.sealing import unseal
from learning.schemes.base import Scheme
from learning.task import IntArray, Task

#: bytes of a ``.npy`` header at most
HEADER = 1024


class Form(NamedTuple):
    """What a device sends, without the numbers.

    Attributes
    ----------
    values, notes : mapping of str to (shape, dtype)
        Of one device, by name.
    own : mapping of str to (shape, dtype)
        Of what it keeps.
    """

    values: Mapping[str, tuple[tuple[int, ...], str]]
    notes: Mapping[str, tuple[tuple[int, ...], str]]
    own: Mapping[str, tuple[tuple[int, ...], str]]


def form_of(scheme: Scheme, task: Task, devices: IntArray, turn: Turn) -> Form:
    """Find out what devices of an architecture send in a round, by letting the server do it for one of them.

    Parameters
    ----------
    scheme : Scheme
        What is done.
    task : Task
        With the devices' samples.
    devices : ndarray of int64, shape (k,)
        Of one architecture.
    turn : Turn
        The round.

    Returns
    -------
    Form
        Names, shapes and number types.
    """
    cohort = task.cohort(devices[np.argmax(task.sizes[devices])][None])
    own, message = scheme.local(scheme.join(cohort), cohort, turn.order(cohort))
    values, notes, kept = (_form(rows) for rows in (message.values, message.notes, own))
    return Form(values, notes, kept)


def _form(rows: Mapping[str, Tensor]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {
        name: (tuple(value.shape[1:]), str(value.dtype).removeprefix("torch."))
        for name, value in rows.items()
    }


def refuse(letter: Letter, *, round: int, devices: IntArray, digest: str) -> str:
    """Say what is wrong with what a letter says of itself; nothing if it is the answer that was asked for."""
    said = letter.numbers
    if said.get("round") != round:
        return f"answered round {said.get('round')!r}"
    if said.get("devices") != devices.tolist():
        return f"answered for devices {said.get('devices')!r}, and has {devices.tolist()}"
    if said.get("digest") != digest:
        return "has other data, another partition or other initial weights than the server"
    for name in ("compute_s", "load_s"):
        if not isinstance(said.get(name), float) or not 0 <= said[name] < np.inf:
            return f"{name}: expected seconds, got {said.get(name)!r}"
    return ""


def opened(
    sealed: Mapping[str, Sealed] | None,
    form: Mapping[str, tuple[tuple[int, ...], str]],
    count: int,
    what: str,
    blank: tuple[str, ...] | None = (),
) -> dict[str, Tensor] | str:
    """Take arrays out of a letter, or say what is wrong with them.

    Parameters
    ----------
    sealed : mapping of str to Sealed
        From a node.
    form : mapping
        Shapes of a device's row, and number types.
    count : int
        Rows.
    what : str
        What it is, for the answer.
    blank : tuple of str, optional
        Names of arrays in which NaN stands for nothing known; None if all may hold anything.

    Returns
    -------
    dict of str to Tensor, or str
        The arrays; or the first fault.
    """
    sealed = sealed or {}
    if sealed.keys() != form.keys():
        return (
            f"{what}: expected {', '.join(form) or 'nothing'}, got {', '.join(map(str, sealed)) or 'nothing'}"
        )
    found = {}
    for name, (row, kind) in form.items():
        one, shape = sealed[name], (count, *row)
        if one.dtype != kind or tuple(one.shape) != shape:
            return f"{what} {name}: expected {kind} of shape {shape}, got {one.dtype} of shape {tuple(one.shape)}"
        most = int(np.prod(shape)) * getattr(torch, kind).itemsize + HEADER
        if len(one.data) > most:
            return f"{what} {name}: {len(one.data)} bytes, which are more than the {most} of its shape"
        try:
            value = unseal(one)
        except Exception as error:  # bytes of others can be wrong in any way
            return f"{what} {name}: cannot be read ({error})"
        if blank is not None and value.is_floating_point():
            good = value.isfinite() | (value.isnan() if name in blank else torch.zeros((), dtype=torch.bool))
            if not good.all():
                place = tuple(int(i) for i in (~good).nonzero()[0])
                return f"{what} {name}: {float(value[place])} at {list(place)}"
        found[name] = value
    return found
