"""Numbers as users bring them: arrays, tensors of any kind, lists; refused where a part of them would be lost."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from radioopt.base.errors import InputWarning, ProblemError
from radioopt.base.quantity import shorten

#: more classes than this are a slip: a label that is an index, a hash, or -1 without a sign
MAX_CLASSES = 100_000


def array_of(what: str, given: Any) -> NDArray[Any]:
    """Return numbers as an array of whatever kind of number they are.

    Parameters
    ----------
    what : str
        What they are, for messages.
    given : array_like or Tensor
        Also on a GPU, with a gradient, of bfloat16; or an image of Pillow, whose channels come first.

    Returns
    -------
    ndarray
        Of whole, real or Boolean numbers.

    Raises
    ------
    ProblemError
        If there are complex numbers, masked ones, Booleans among numbers, or no numbers.
    """
    if isinstance(given, torch.Tensor):
        with torch.no_grad():
            given = given.detach().to_dense() if given.layout != torch.strided else given.detach()
            given = given.cpu().resolve_conj().resolve_neg()
            if given.is_floating_point() and given.dtype not in (torch.float32, torch.float64):
                given = given.float()  # bfloat16 is unknown to NumPy
            given = given.numpy()
    if isinstance(given, (list, tuple)) and any(isinstance(item, torch.Tensor) for item in given):
        given = [array_of(what, item) for item in given]
    if np.ma.is_masked(given):
        first = np.argwhere(np.ma.getmaskarray(given))[0].tolist()
        raise ProblemError(
            f"{what}: expected numbers everywhere, index {shorten(first)} is masked: fill it or leave the sample out"
        )
    try:
        made = np.asarray(given)
    except ValueError:
        raise ProblemError(f"{what}: expected an array of numbers, all rows of one length") from None
    if hasattr(given, "getbands") and made.ndim == 3:
        made = np.moveaxis(made, -1, 0)
    if made.dtype.kind == "c":
        raise ProblemError(
            f"{what}: expected real numbers, got complex ones: stack real and imaginary part as channels"
        )
    if made.dtype.kind not in "biuf":
        raise ProblemError(f"{what}: expected an array of numbers, got {made.dtype} ({shorten(given)})")
    if made.dtype.kind != "b" and isinstance(given, (list, tuple)) and _has_boolean(given):
        raise ProblemError(f"{what}: expected numbers, got true or false among them")
    return made


def _has_boolean(given: Any) -> bool:
    if isinstance(given, (list, tuple)):
        return any(_has_boolean(item) for item in given)
    return isinstance(given, (bool, np.bool_))


def features_of(what: str, given: Any) -> NDArray[np.float32]:
    """Return features of samples as float32.

    Parameters
    ----------
    what : str
        What they are, for messages.
    given : array_like or Tensor, shape (N, ...)
        As for :func:`array_of`; true and false are 1 and 0.

    Returns
    -------
    ndarray of float32, shape (N, ...)
        In C order.

    Raises
    ------
    ProblemError
        If there is no sample, or a feature is no finite number; the message names the sample.
    """
    made = array_of(what, given)
    if made.ndim < 2 or made.size == 0:
        raise ProblemError(f"{what}: expected samples along the first axis, got shape {made.shape}")
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(made, np.float32)
    if not np.isfinite(x).all():
        first = np.argwhere(~np.isfinite(x))[0]
        raise ProblemError(
            f"{what}: expected finite numbers, sample {first[0]} has another: {made[tuple(first)]}"
        )
    return x


def labels_of(what: str, given: Any) -> NDArray[np.int64]:
    """Return labels, whole numbers from 0 on.

    Parameters
    ----------
    what : str
        What they are, for messages.
    given : array_like or Tensor, shape (N,)
        Whole numbers, also as floats; or true and false for 1 and 0.

    Returns
    -------
    ndarray of int64, shape (N,)
        Labels.

    Raises
    ------
    ProblemError
        If they are no such list; the message names the sample.
    """
    made = array_of(what, given)
    if made.ndim != 1:
        flat = "flatten it" if made.size == len(made) else "take the index of each row's largest, argmax(1)"
        raise ProblemError(f"{what}: expected a label per sample, got an array of shape {made.shape}: {flat}")
    whole = made.dtype.kind != "f" or np.equal(np.trunc(made), made)
    wrong = ~(whole & (made >= 0) & (made < MAX_CLASSES))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ProblemError(
            f"{what}: sample {first} has label {made[first]}, expected whole numbers from 0 to {MAX_CLASSES - 1}, "
            f"one per class: {RENUMBER}; or, where they are numbers to predict, give a learning.Dataset with "
            "num_classes=None"
        )
    return np.ascontiguousarray(made, np.int64)


RENUMBER = "number them with numpy.unique(labels, return_inverse=True)[1]"


def count_classes(*parts: NDArray[np.int64]) -> int:
    """Return how many classes labels are of, 0 to the largest; refuse them where most of these never occur.

    Parameters
    ----------
    *parts : ndarray of int64
        Labels of the samples to train with, and of those to test with.

    Returns
    -------
    int
        At least 2.

    Raises
    ------
    ProblemError
        If fewer than half of the classes occur; the message names the sample.

    Warns
    -----
    InputWarning
        If some do not occur.
    """
    present = np.unique(np.concatenate(parts))
    classes = int(present[-1]) + 1
    if classes > max(2 * present.size, 2):
        part, labels = next(
            (n, p) for n, p in zip(("train", "test"), parts, strict=False) if present[-1] in p
        )
        sample = int(np.argmax(labels == present[-1]))
        raise ProblemError(
            f"data: {part} sample {sample} has label {present[-1]}, which would make {classes} classes, and only "
            f"{present.size} different labels occur: {RENUMBER}; or give a learning.Dataset with num_classes={classes}"
        )
    if present.size < classes:
        missing = np.setdiff1d(np.arange(classes), present)
        warnings.warn(
            f"data: labels go from 0 to {classes - 1} and make {classes} classes, but {shorten(missing.tolist())} "
            f"never occur: {RENUMBER} if they are not meant",
            InputWarning,
            stacklevel=2,
        )
    return max(classes, 2)
