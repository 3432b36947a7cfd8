"""Trust of transmitters in receivers, class by class: at random and in the structures that practice brings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import Array, fraction
from radioopt.numerics.arrays import check_number


def random_trust(rng: np.random.Generator, num_devices: int, num_classes: int, probability: float) -> Array:
    """Let every transmitter trust every receiver with every class independently.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    num_devices, num_classes : int
        N and L.
    probability : float
        In [0, 1].

    Returns
    -------
    ndarray of bool, shape (N, N, L)
        Transmitter, receiver, class.

    Raises
    ------
    ProblemError
        If a size is below one, or the probability not in [0, 1].

    Examples
    --------
    >>> random_trust(np.random.default_rng(0), 3, 2, 1.0).all().item()
    True
    """
    shape = _shape("random_trust", num_devices, num_classes)
    return rng.random(shape) < check_number("random_trust", "probability", probability, fraction)


def row_sparse_trust(
    rng: np.random.Generator, num_devices: int, num_classes: int, insecure: float, probability: float = 1.0
) -> Array:
    """Let nobody trust some insecure receivers, the others as at random.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    num_devices, num_classes : int
        N and L.
    insecure : float
        Share of the receivers without any trust, in [0, 1], rounded to whole devices.
    probability : float, default 1.0
        Of trust elsewhere.

    Returns
    -------
    ndarray of bool, shape (N, N, L)
        The rows of the paper's trust matrices, receivers, are zero for the same devices in all of them.

    Raises
    ------
    ProblemError
        If an argument is outside its domain.
    """
    share = check_number("row_sparse_trust", "insecure", insecure, fraction)
    trust = random_trust(rng, num_devices, num_classes, probability)
    trust[:, rng.permutation(num_devices)[: round(share * num_devices)]] = False
    return trust


def column_sparse_trust(
    rng: np.random.Generator, num_devices: int, num_classes: int, sensitive: float, probability: float = 1.0
) -> Array:
    """Let transmitters share nothing of their sensitive classes, the others as at random.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    num_devices, num_classes : int
        N and L.
    sensitive : float
        Share of each transmitter's classes that it keeps to itself, in [0, 1], rounded to whole classes.
    probability : float, default 1.0
        Of trust elsewhere.

    Returns
    -------
    ndarray of bool, shape (N, N, L)
        The columns of the paper's trust matrices, classes, are zero, other ones for each transmitter.

    Raises
    ------
    ProblemError
        If an argument is outside its domain.
    """
    share = check_number("column_sparse_trust", "sensitive", sensitive, fraction)
    trust = random_trust(rng, num_devices, num_classes, probability)
    hidden = rng.random((num_devices, num_classes)).argsort(-1) < round(share * num_classes)
    return np.asarray(trust & ~hidden[:, None, :])


def block_trust(device_groups: ArrayLike, class_groups: ArrayLike) -> Array:
    """Let devices of a group share among themselves, and only the classes of that group.

    Parameters
    ----------
    device_groups : array_like of int, shape (N,)
        Group of each device.
    class_groups : array_like of int, shape (L,)
        Group of each class.

    Returns
    -------
    ndarray of bool, shape (N, N, L)
        True where transmitter, receiver and class are of one group: blocks on the diagonal.

    Raises
    ------
    ProblemError
        If a group is not given for a row of devices or of classes.

    Examples
    --------
    >>> block_trust([0, 0, 1], [0, 1]).sum(-1)
    array([[1, 1, 0],
           [1, 1, 0],
           [0, 0, 1]])
    """
    device, classes = np.asarray(device_groups), np.asarray(class_groups)
    for name, groups in (("device_groups", device), ("class_groups", classes)):
        if groups.ndim != 1 or not groups.size:
            raise ProblemError(f"block_trust.{name}: expected one group each, got shape {groups.shape}")
    own = device[:, None] == classes
    return np.asarray((device[:, None] == device)[..., None] & own[:, None, :])


def _shape(owner: str, num_devices: int, num_classes: int) -> tuple[int, int, int]:
    for name, size in (("num_devices", num_devices), ("num_classes", num_classes)):
        if size < 1:
            raise ProblemError(f"{owner}.{name}: expected >= 1, got {size}")
    return num_devices, num_devices, num_classes
