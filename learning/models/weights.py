"""Weights of models as named tensors: of one model, or of many devices with the device as the first axis."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: of one model, by name
Weights = Mapping[str, Tensor]
#: of some devices, by name: shapes (k, ...)
Rows = Mapping[str, Tensor]
IntArray = NDArray[np.int64]


def stack(weights: Weights, count: int) -> dict[str, Tensor]:
    """Give every device the same weights.

    Parameters
    ----------
    weights : mapping of str to Tensor
        Weights of one model.
    count : int
        Devices K.

    Returns
    -------
    dict of str to Tensor
        Shapes (K, ...); views that must not be written to.
    """
    return {name: value.expand(count, *value.shape) for name, value in weights.items()}


def of_device(rows: Rows, row: int) -> dict[str, Tensor]:
    """Return the weights in one row."""
    return {name: value[row] for name, value in rows.items()}


def weights_of(own: Rows) -> dict[str, Tensor]:
    """Return the weights among what devices keep: what else they keep has a ``/`` in its name."""
    return {name: value for name, value in own.items() if "/" not in name}


def average(rows: Rows, shares: Tensor) -> dict[str, Tensor]:
    """Average models with the given weights.

    Parameters
    ----------
    rows : mapping of str to Tensor
        Weights of all devices, shapes (K, ...).
    shares : Tensor, shape (K,)
        Weight of each device >= 0, not all zero; normalised here. A device of weight 0 does not count, even
        if its model diverged.

    Returns
    -------
    dict of str to Tensor
        Weights of one model. Whole numbers (a counter of batches) are rounded.
    """
    sums = Sums()
    chosen = torch.nonzero(shares).squeeze(1)
    sums.add({name: value[chosen.to(value.device)] for name, value in rows.items()}, shares[chosen])
    return sums.mean()


@dataclass(eq=False)
class Sums:
    """Weighted sums over devices that come in groups, in double precision; their mean is that over all at once.

    Attributes
    ----------
    total : float
        Weights so far.
    values : dict of str to Tensor
        Weighted sums so far.
    counts : dict of str to float
        Plain sums of numbers that a scheme counts beside them.
    kept : list
        What a scheme that needs all messages at once puts aside; it takes memory for all devices.
    """

    total: float = 0.0
    values: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)
    _kinds: dict[str, torch.dtype] = field(default_factory=dict)

    def add(self, rows: Rows, shares: Tensor) -> None:
        """Add some devices.

        Parameters
        ----------
        rows : mapping of str to Tensor
            Their values, shapes (k, ...).
        shares : Tensor, shape (k,)
            Their weights > 0.
        """
        if not len(shares):
            return
        self.add_sums(
            {
                name: torch.tensordot(shares.to(value.device, kind), value.to(kind), 1)
                for name, value in rows.items()
                for kind in [_exact(value)]
            },
            float(shares.double().sum()),
        )
        self._kinds |= {name: value.dtype for name, value in rows.items()}

    def add_sums(self, sums: Weights, total: float) -> None:
        """Add sums that are weighted already, and the weight behind them."""
        self.total += total
        for name, value in sums.items():
            self._kinds.setdefault(name, value.dtype)
            before = self.values.get(name)
            self.values[name] = value.to(_exact(value), copy=True) if before is None else before.add_(value)

    def count(self, name: str, number: float) -> None:
        """Add to a plain sum."""
        self.counts[name] = self.counts.get(name, 0.0) + number

    def mean(self) -> dict[str, Tensor]:
        """Return the weighted mean; whole numbers are rounded."""

        def divided(name: str, value: Tensor) -> Tensor:
            kind = self._kinds[name]
            mean = value / self.total
            return (mean if kind.is_floating_point else mean.round()).to(kind)

        return {name: divided(name, value) for name, value in self.values.items()}


@dataclass(frozen=True, eq=False)
class Bank:
    """Rows of many devices by name; where all have the same, it is stored once.

    Parameters
    ----------
    devices : ndarray of int64, shape (n,)
        Whose rows there are, ascending.
    values : mapping of str to Tensor
        Stored rows, shapes (m, ...), m from 1 to n.
    row : mapping of str to ndarray of int64, shape (n,)
        Which stored row each device has; -1 for none.
    """

    devices: IntArray
    values: Mapping[str, Tensor] = field(default_factory=dict)
    row: Mapping[str, IntArray] = field(default_factory=dict)

    def of(self, devices: IntArray) -> dict[str, Tensor]:
        """Return the rows of some devices; views of one row where all of them have the same.

        Parameters
        ----------
        devices : ndarray of int64, shape (k,)
            Devices of the bank.

        Returns
        -------
        dict of str to Tensor
            Shapes (k, ...), not to be written to; without names of which one of them has no row.
        """
        places = np.searchsorted(self.devices, devices)
        found = {}
        for name, stored in self.values.items():
            rows = self.row[name][places]
            if rows.min() < 0:
                continue
            if len(stored) == 1 or (rows == rows[0]).all():
                found[name] = stored[rows[0]].expand(len(rows), *stored.shape[1:])
            elif (np.diff(rows) == 1).all():
                found[name] = stored[rows[0] : rows[-1] + 1]
            else:
                found[name] = stored.index_select(0, torch.from_numpy(rows).to(stored.device))
        return found

    def put(self, devices: IntArray, rows: Rows) -> Bank:
        """Return a bank in which some devices have other rows.

        Parameters
        ----------
        devices : ndarray of int64, shape (k,)
            Devices of the bank, ascending.
        rows : mapping of str to Tensor
            Their rows, shapes (k, ...). One row that was expanded is stored once.

        Returns
        -------
        Bank
            The others as they were.
        """
        return self.put_all([(devices, rows)])

    def put_all(self, groups: list[tuple[IntArray, Rows]]) -> Bank:
        """Return a bank with the rows of several groups of devices; see :meth:`put`."""
        if (
            len(groups) == 1
            and len(groups[0][0]) == len(self.devices)
            and self.values.keys() <= groups[0][1].keys()
        ):
            return self._of_all(groups[0][1])
        names = dict.fromkeys([*self.values, *(name for _, rows in groups for name in rows)])
        values, row = {}, {}
        for name in names:
            mine = self.row.get(name, np.full(len(self.devices), -1))
            mine = mine.copy()
            pieces: list[Tensor] = []
            count = 0
            for devices, rows in groups:
                if name not in rows:
                    continue
                value, places = rows[name], np.searchsorted(self.devices, devices)
                shared = len(value) > 1 and value.stride(0) == 0
                same = shared and bool(pieces) and _is(value[:1], pieces[-1])
                if same:
                    mine[places] = -2 - (count - 1)
                    continue
                pieces.append(value[:1] if shared else value)
                mine[places] = -2 - count if shared else -2 - count - np.arange(len(value))
                count += len(pieces[-1])
            fresh = mine <= -2
            mine[fresh] = -2 - mine[fresh]
            old = mine[(mine >= 0) & ~fresh]
            if old.size:
                kept, again = np.unique(old, return_inverse=True)
                mine[(mine >= 0) & ~fresh] = count + again
                stored = self.values[name]
                pieces.append(stored.index_select(0, torch.from_numpy(kept).to(stored.device)))
            if pieces:
                values[name] = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
                row[name] = mine
        return Bank(self.devices, values, row)

    def _of_all(self, rows: Rows) -> Bank:
        """Return a bank of these rows alone, which are of all devices."""
        count = len(self.devices)
        one, each = np.zeros(count, np.int64), np.arange(count)
        shared = {name: count == 1 or value.stride(0) == 0 for name, value in rows.items()}
        return Bank(
            self.devices,
            {name: value[:1] if shared[name] else value for name, value in rows.items()},
            {name: one if shared[name] else each for name in rows},
        )

    def drop(self, devices: IntArray) -> Bank:
        """Return a bank in which some devices have no rows."""
        if len(devices) == len(self.devices):
            return Bank(self.devices)
        gone = np.isin(self.devices, devices)
        row = {name: np.where(gone, -1, rows) for name, rows in self.row.items()}
        return Bank(self.devices, self.values, row).put_all([])


def _exact(value: Tensor) -> torch.dtype:
    """Return the number type of a sum, so exact that the mean of equal weights is that weight, bit for bit."""
    return torch.float64 if value.device.type != "mps" else torch.float32


def _is(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same memory."""
    seen = [(tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()) for tensor in (one, other)]
    return seen[0] == seen[1]


def digest_of(weights: Weights) -> str:
    """Fingerprint of weights: SHA-256 over names and values."""
    digest = hashlib.sha256()
    for name, value in weights.items():
        plain = value.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(plain.shape)} ".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return digest.hexdigest()


def distance(weights: Weights, reference: Weights) -> float:
    """Relative distance of two sets of weights: Euclidean norm of the difference over that of the reference.

    Parameters
    ----------
    weights, reference : mapping of str to Tensor
        By the same names; whole numbers do not count.

    Returns
    -------
    float
        At least 0; infinite or NaN where the reference is zero.
    """
    names = [name for name, value in reference.items() if value.is_floating_point()]
    moved = sum(float((weights[name] - reference[name]).double().square().sum()) for name in names)
    size = sum(float(reference[name].double().square().sum()) for name in names)
    return math.sqrt(moved / size) if size else math.inf if moved else math.nan
