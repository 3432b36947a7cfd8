"""Tensors put into bytes and taken out of them again; nothing of the sender's is run."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from learning.flower.letters import Sealed
from learning.models.weights import Rows
from radioopt.base.errors import ProblemError


def seal(value: Tensor) -> Sealed:
    """Put a tensor into bytes.

    Parameters
    ----------
    value : Tensor
        Of a number type that NumPy has.

    Returns
    -------
    Sealed
        The same numbers, bit for bit.

    Raises
    ------
    ProblemError
        If NumPy has no such number type.

    Examples
    --------
    >>> sealed = seal(torch.arange(3))
    >>> sealed.dtype, sealed.shape, unseal(sealed)
    ('int64', (3,), tensor([0, 1, 2]))
    """
    try:
        array = value.detach().cpu().contiguous().numpy()
    except TypeError as error:
        raise ProblemError(
            f"flower: numbers of type {value.dtype} cannot be sent: take a model of float32 or float64"
        ) from error
    kind = str(array.dtype)
    return Sealed(kind, tuple(array.shape), _header(kind, tuple(array.shape)) + array.tobytes())


@lru_cache(maxsize=1024)
def _header(kind: str, shape: tuple[int, ...]) -> bytes:
    """Return how the bytes of an array begin, in NumPy's ``.npy`` format."""
    dtype = np.dtype(kind)
    if dtype.hasobject:
        raise ValueError(f"{kind} is no type of numbers")
    file = io.BytesIO()
    about = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
    return file.getvalue()


def unseal(sealed: Sealed) -> Tensor:
    """Take a tensor out of bytes; nothing of the sender's is run.

    Parameters
    ----------
    sealed : Sealed
        From anybody.

    Returns
    -------
    Tensor
        What is in the bytes.

    Raises
    ------
    ValueError
        If they are no array, or another one than the sender says.
    """
    kind, shape = sealed.dtype, tuple(sealed.shape)
    header = _header(kind, shape)
    if sealed.data.startswith(header) and len(sealed.data) == len(header) + _bytes(kind, shape):
        array = np.frombuffer(sealed.data, kind, offset=len(header)).reshape(shape).copy()
    else:  # it may be one all the same, written in another way
        array = np.load(io.BytesIO(sealed.data), allow_pickle=False)
    if not isinstance(array, np.ndarray) or (str(array.dtype), array.shape) != (kind, shape):
        raise ValueError("its bytes are another array than it says")
    return torch.from_numpy(array)


def _bytes(kind: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * np.dtype(kind).itemsize


def seal_all(rows: Rows) -> dict[str, Sealed]:
    """Put tensors into bytes, by name."""
    return {name: seal(value) for name, value in rows.items()}


def unseal_all(sealed: Mapping[str, Sealed], device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Take tensors out of bytes, by name."""
    return {name: unseal(value).to(device) for name, value in sealed.items()}
