"""FEEL as a second-order cone program, written by hand once and filled anew for every instance of its size.

Clarabel and Moreau both minimise q'x subject to Ax + s = b, s in a product of cones. With x = (B, phi, psi, T,
T_D, kappa), scaled to order one, no auxiliary variable is needed: a/phi <= T - o - pB is the rotated cone
phi (T - o - pB) >= a, whose right-hand side is a constant, and (T + T_D)^2 <= kappa sum B is another.
A rotated cone u v >= w^2 is the second-order cone (u + v, u - v, 2w).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from radioopt.base.quantity import Array
from radioopt.feel.problem import BatchsizeProblem


@dataclass(frozen=True)
class Structure:
    """What all instances of one size share.

    Parameters
    ----------
    devices : int
        K; there are 3 K + 3 variables.
    rows, columns : ndarray of int
        Where the entries of A stand, in the order in which :func:`fill` lists them.
    by_column, by_row : ndarray of int
        The orders that make them compressed columns (Clarabel) and compressed rows (Moreau).
    nonnegative, cones : int
        Rows in the nonnegative cone, and second-order cones of dimension three after them.
    """

    devices: int
    rows: Array
    columns: Array
    by_column: Array
    by_row: Array
    nonnegative: int
    cones: int

    @property
    def variables(self) -> int:
        """Columns of A."""
        return 3 * self.devices + 3

    @property
    def constraints(self) -> int:
        """Rows of A."""
        return self.nonnegative + 3 * self.cones

    def compressed(self, axis: str) -> tuple[Array, Array, Array]:
        """Return the order of the entries, the offsets and the indices by "column" or by "row"."""
        order, along, across, count = (
            (self.by_column, self.columns, self.rows, self.variables)
            if axis == "column"
            else (self.by_row, self.rows, self.columns, self.constraints)
        )
        offsets = np.concatenate([[0], np.cumsum(np.bincount(along, minlength=count))])
        return order, offsets, across[order]


@lru_cache(maxsize=8)
def structure(devices: int) -> Structure:
    """Return the sparsity of the program for K devices."""
    each = np.arange(devices)
    batch, uplink, downlink = each, each + devices, each + 2 * devices
    phase_up, phase_down, kappa = 3 * devices, 3 * devices + 1, 3 * devices + 2
    entries: list[tuple[Array, Array]] = []

    def add(rows: Array | int, columns: Array | int) -> None:
        entries.append(tuple(np.broadcast_arrays(np.atleast_1d(rows), np.atleast_1d(columns))))  # type: ignore[arg-type]

    add(each, batch)  # low <= B
    add(each + devices, batch)  # B <= high
    add(2 * devices, uplink)  # frames
    add(2 * devices + 1, downlink)
    nonnegative = 2 * devices + 2
    for first, share, phase in (
        (nonnegative, uplink, phase_up),
        (nonnegative + 3 * devices, downlink, phase_down),
    ):
        for part in (0, 1):  # u + v, u - v
            rows = first + 3 * each + part
            add(rows, share)
            add(rows, phase)
            if phase == phase_up:
                add(rows, batch)
    last = nonnegative + 6 * devices
    for part in (0, 1):
        add(last + part, kappa)
        add(last + part, batch)
    add(last + 2, np.array([phase_up, phase_down]))
    rows = np.concatenate([r for r, _ in entries])
    columns = np.concatenate([c for _, c in entries])
    return Structure(
        devices=devices,
        rows=rows,
        columns=columns,
        by_column=np.lexsort((rows, columns)),
        by_row=np.lexsort((columns, rows)),
        nonnegative=nonnegative,
        cones=2 * devices + 1,
    )


@dataclass(frozen=True)
class Program:
    """Numbers of an instance, or of a batch of them along leading axes.

    Parameters
    ----------
    entries : ndarray, shape (..., entries)
        Entries of A in the order of the structure.
    right : ndarray, shape (..., constraints)
        b.
    batch, uplink, downlink : ndarray, shape (..., K)
        Units of the first three groups of variables.
    """

    entries: Array
    right: Array
    batch: Array
    uplink: Array
    downlink: Array

    def decisions(self, problem: BatchsizeProblem, point: Array) -> dict[str, Array]:
        """Turn a solver's x, shape (..., variables), into the problem's decisions."""
        devices = problem.sizes["device"]
        batch, uplink, downlink = (point[..., i * devices : (i + 1) * devices] for i in range(3))
        return {
            "batchsize": batch * self.batch,
            "uplink_slot_s": uplink * self.uplink * np.expand_dims(problem.uplink_frame_s, -1),
            "downlink_slot_s": downlink * self.downlink * np.expand_dims(problem.downlink_frame_s, -1),
        }


def fill(problem: BatchsizeProblem) -> Program:
    """Compute the numbers of the program, for one instance or a batch, without a loop.

    Scales come from least batches with every device uploading as long as all uploads together take, as in
    :mod:`validation.feel.scaling`; each cone is divided so that its members are of order one.
    """
    upload, download = problem.upload_time_full_frame_s, problem.download_time_full_frame_s
    low, high, slope = problem.min_batchsize, problem.max_batchsize, problem.seconds_per_sample
    earliest = problem.base_time_s + slope * low
    up = upload.sum(-1, keepdims=True) + earliest.max(-1, keepdims=True)
    down = download.sum(-1, keepdims=True) + problem.update_time_s.max(-1, keepdims=True)
    latency = up + down
    batch = np.minimum(high, low + latency / slope)
    uplink, downlink = upload / (up - earliest), download / (down - problem.update_time_s)
    total = batch / batch.sum(-1, keepdims=True)
    # (phi / uplink) (T - o - pB) / (upload / uplink) >= 1, times in units of the latency
    weight_up, weight_down = latency / (up - earliest), latency / (down - problem.update_time_s)
    ones = np.ones_like(upload)
    one = ones[..., :1]
    compute = weight_up * (slope * batch / latency)
    entries = [-ones, ones, uplink, downlink]
    for sign in (1.0, -1.0):
        entries += [-ones, -sign * weight_up, sign * compute]
    for sign in (1.0, -1.0):
        entries += [-ones, -sign * weight_down]
    for sign in (1.0, -1.0):
        entries += [-one, -sign * total]
    entries += [-2 * one, -2 * one]
    right = np.zeros((*problem.batch_shape, structure(problem.sizes["device"]).constraints))
    devices = problem.sizes["device"]
    right[..., :devices] = -low / batch
    right[..., devices : 2 * devices] = high / batch
    right[..., 2 * devices : 2 * devices + 2] = 1.0
    first = 2 * devices + 2
    for start, offset in (
        (first, weight_up * problem.base_time_s / latency),
        (first + 3 * devices, weight_down * problem.update_time_s / latency),
    ):
        cones = right[..., start : start + 3 * devices].reshape(*problem.batch_shape, devices, 3)
        cones[..., 0] = -offset
        cones[..., 1] = offset
        cones[..., 2] = 2.0
        right[..., start : start + 3 * devices] = cones.reshape(*problem.batch_shape, 3 * devices)
    return Program(np.concatenate(entries, -1), right, batch, uplink, downlink)
