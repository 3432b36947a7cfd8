"""Anything as an array: dtypes, shapes, memory layouts and what is none, to every constructor.

What is taken has the values that were given, whatever their layout; what is refused is refused in words of radioopt.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from radioopt import RadioOptError, feel, problem_class
from radioopt.base.quantity import Array
from validation.fuzz import draw
from validation.fuzz.solving import FAMILIES, DeniedError

DTYPES = ("f2", "f4", "f8", ">f8", "<f8", "g", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4")
Disguise = Callable[[np.random.Generator, Array], Any]


def trial(seed: int) -> str:
    """Give a problem's fields in disguise: the same problem, or words of ours."""
    rng = np.random.default_rng([seed, 2])
    family = str(rng.choice(FAMILIES))
    plain = draw.fields(family, rng)
    given, harmless = dict(plain), True
    names = [name for name in plain if name in problem_class(family).quantities]
    for name in rng.choice(names, min(len(names), int(rng.integers(1, 4))), replace=False):
        value = np.asarray(plain[name])
        kinds = SAME if rng.random() < 0.6 else OTHER
        disguise = kinds[int(rng.integers(len(kinds)))]
        given[name] = disguise(rng, value)
        harmless = harmless and kinds is SAME
    if rng.random() < 0.1:
        given |= {str(rng.choice(["payload", "bandwith_hz", "K", "strickt"])): 1.0}
        harmless = False
    if rng.random() < 0.05:
        given["strict"] = rng.choice(np.array([True, False, 1, "yes"], object))
        harmless = False
    cls = problem_class(family)
    try:
        wanted = cls(**plain)
    except RadioOptError:
        wanted = None
    try:
        if family == "feel" and rng.random() < 0.2:
            harmless = False  # cycles by frequency may leave float64
            cpu = {
                "cpu_frequency_hz": 1e9,
                "cycles_per_sample": given.pop("seconds_per_sample"),
                "update_cycles": 1e8,
            }
            shared = ("payload_bits", "uplink_rate_bps", "downlink_rate_bps", "max_batchsize")
            feel.BatchsizeProblem.cpu(**cpu, **{name: given[name] for name in shared}, strict=None)
            return "taken by cpu"
        problem = cls(**given)
    except RadioOptError:
        if harmless and wanted is not None:
            raise DeniedError("a harmless layout was refused") from None
        return "refused"
    if harmless and wanted is not None and problem != wanted:
        raise DeniedError("a layout changes the numbers")
    repr(problem)
    return "taken"


def _strided(rng: np.random.Generator, value: Array) -> Array:
    room = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), value.dtype) if value.ndim else np.zeros(())
    if not value.ndim:
        return value
    room[..., ::2] = value
    return room[..., ::2]


def _read_only(rng: np.random.Generator, value: Array) -> Array:
    copied = value.copy()
    copied.flags.writeable = False
    return copied


SAME: tuple[Disguise, ...] = (
    lambda rng, x: x.copy(order="F"),
    lambda rng, x: x.tolist(),
    lambda rng, x: x[..., ::-1].copy()[..., ::-1] if x.ndim else x,
    lambda rng, x: x.astype(object),
    lambda rng, x: x.astype(x.dtype.newbyteorder()),
    lambda rng, x: np.ma.array(x),
    lambda rng, x: pd.Series(x) if x.ndim == 1 else x,
    lambda rng, x: tuple(x) if x.ndim == 1 else x,
    _strided,
    _read_only,
)
OTHER: tuple[Disguise, ...] = (
    lambda rng, x: _cast(rng, x),
    lambda rng, x: np.ma.array(x, mask=rng.random(x.shape) < 0.5),
    lambda rng, x: x.astype(complex),
    lambda rng, x: x[..., None],
    lambda rng, x: x[None],
    lambda rng, x: x.reshape(-1, 1),
    lambda rng, x: x.ravel()[:0],
    lambda rng, x: np.append(x.ravel(), 1.0),
    lambda rng, x: np.broadcast_to(x, (2, *x.shape)),
    lambda rng, x: pd.Series(x.ravel(), index=rng.permutation(x.size)),
    lambda rng, x: pd.Series(x.ravel(), index=[f"d{i % 3}" for i in range(x.size)]),
    lambda rng, x: pd.DataFrame({"a": x.ravel()}),
    lambda rng, x: pd.Series(x.ravel()).astype("Float64"),
    lambda rng, x: [True, *x.ravel().tolist()],
    lambda rng, x: [None, *x.ravel().tolist()],
    lambda rng, x: x.astype(str),
    lambda rng, x: x.astype("S"),
    lambda rng, x: [[1.0], x.ravel().tolist()],
    lambda rng, x: {"value": 1.0},
    lambda rng, x: {1.0, 2.0},
    lambda rng, x: iter(x.ravel()),
    lambda rng, x: None,
    lambda rng, x: Decimal("1.5"),
    lambda rng, x: Fraction(3, 2),
    lambda rng, x: 10 ** int(rng.integers(0, 400)),
    lambda rng, x: np.datetime64("2024-01-01"),
    lambda rng, x: np.array(x.tolist(), dtype="f8,f8") if x.ndim > 9 else np.zeros(2, "f8,f8"),
    lambda rng, x: np.full(x.shape, rng.choice(draw.ENDS)),
    lambda rng, x: lambda: 1.0,
    lambda rng, x: range(int(rng.integers(0, 5))),
    lambda rng, x: memoryview(x.astype(np.float64).tobytes()).cast("d"),
)


def _cast(rng: np.random.Generator, value: Array) -> Array:
    with np.errstate(all="ignore"):
        return value.astype(str(rng.choice(DTYPES)))
