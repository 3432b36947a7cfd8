"""Tensors put into bytes and taken out of them again; nothing of the sender's is run."""

from __future__ import annotations

import io
from collections.abc import Mapping

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
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return Sealed(str(array.dtype), tuple(array.shape), file.getvalue())


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
    array = np.load(io.BytesIO(sealed.data), allow_pickle=False)
    if not isinstance(array, np.ndarray) or (str(array.dtype), array.shape) != (sealed.dtype, sealed.shape):
        raise ValueError("its bytes are another array than it says")
    return torch.from_numpy(array)


def seal_all(rows: Rows) -> dict[str, Sealed]:
    """Put tensors into bytes, by name."""
    return {name: seal(value) for name, value in rows.items()}


def unseal_all(sealed: Mapping[str, Sealed], device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Take tensors out of bytes, by name."""
    return {name: unseal(value).to(device) for name, value in sealed.items()}
