"""Mixup, which hides a device's samples, and its inverse across devices, which makes labels hard again.

N samples with N different labels are mixed with ratios a_0 ... a_{N-1}. The device at position i of a group puts ratio
a_{(i + j) mod N} on its sample of label j, so that the soft labels of the group are the rows of the left-circulant
matrix A[i, j] = a_{(i + j) mod N}. The rows of its inverse combine the group's mixed samples into samples of one label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import Array, check, finite, fraction, positive, refuse, shorten
from radioopt.numerics.arrays import FloatArray, check_number

#: smallest eigenvalue, relative to the largest, of ratios that can be inverted
_SINGULAR = 1e-9


def mixup_matrix(ratios: ArrayLike) -> FloatArray:
    """Soft labels of a group: the left-circulant matrix of mixing ratios.

    Parameters
    ----------
    ratios : array_like, shape (..., N)
        Mixing ratios in [0, 1] of N >= 2 samples, with sum 1.

    Returns
    -------
    ndarray, shape (..., N, N)
        Ratio of label j (last axis) in the sample of the device at position i: ``ratios[(i + j) % N]``; symmetric.

    Raises
    ------
    ProblemError
        If there are fewer than two ratios, one is outside [0, 1], or their sum is not 1.

    Examples
    --------
    >>> mixup_matrix([0.1, 0.9])
    array([[0.1, 0.9],
           [0.9, 0.1]])
    """
    return _left_circulant(_checked("mixup_matrix", ratios))


def inverse_ratios(ratios: ArrayLike, *, singular_tol: float = _SINGULAR) -> FloatArray:
    r"""Inverse mixing ratios: how to combine a group's mixed samples into one sample of each label.

    .. math:: \hat a = \mathcal{F}^{-1}\bigl(1 / \overline{\mathcal{F}(a)}\bigr), \qquad
        \hat A_{nm} = \hat a_{(n + m) \bmod N}, \qquad \hat A A = 1 .

    Parameters
    ----------
    ratios : array_like, shape (..., N)
        Mixing ratios in [0, 1] of N >= 2 samples, with sum 1.
    singular_tol : float, default 1e-09
        Ratios are refused whose condition number is 1 / `singular_tol` or more.

    Returns
    -------
    ndarray, shape (..., N, N)
        Row n: the factors of the group's N mixed samples that give label n; they sum to 1, some are negative.

    Raises
    ------
    ProblemError
        If the ratios are no ratios, or cannot be inverted: a coefficient of their Fourier transform vanishes. Uniform
        ratios are of that kind; for N = 4 also those with a_0 + a_2 = 1/2, or with a_0 = a_2 and a_1 = a_3.

    Notes
    -----
    The cost is O(N log N) for the first row, which is all there is to know. Rounding errors, and noise in the samples,
    grow with :func:`mixup_condition`.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Proposition 1, (8), where the inverse is one of a general matrix and singular ratios are not mentioned.

    Examples
    --------
    >>> inverse_ratios([0.25, 0.75])  # -a / (1 - 2 a) and (1 - a) / (1 - 2 a)
    array([[-0.5,  1.5],
           [ 1.5, -0.5]])
    >>> inverse_ratios([0.5, 0.5])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    radioopt.base.errors.ProblemError: inverse_ratios.ratios: [0.5, 0.5] cannot be inverted: coefficient 1 ...
    """
    checked = _checked("inverse_ratios", ratios)
    tolerance = check_number("inverse_ratios", "singular_tol", singular_tol, positive)
    spectrum = np.fft.fft(checked)
    size = np.abs(spectrum)
    vanishing = size <= tolerance * size.max(-1, keepdims=True)
    if vanishing.any():
        *where, k = (int(i) for i in np.argwhere(vanishing)[0])
        given = shorten(checked[tuple(where)].tolist())
        raise ProblemError(
            f"inverse_ratios.ratios: {given} cannot be inverted: coefficient {k} of their Fourier transform is "
            f"{size[(*where, k)].round(12):g}; make them less even"
        )
    return _left_circulant(np.fft.ifft(1.0 / spectrum.conj()).real)


def mixup_condition(ratios: ArrayLike) -> float | FloatArray:
    """Condition number of mixing ratios: by how much inverting them may amplify noise.

    Parameters
    ----------
    ratios : array_like, shape (..., N)
        Mixing ratios in [0, 1] of N >= 2 samples, with sum 1.

    Returns
    -------
    float or ndarray, shape (...)
        Largest over smallest modulus of their Fourier transform, 1 / abs(1 - 2 a) for two; infinite if one vanishes.

    Raises
    ------
    ProblemError
        If the ratios are no ratios.

    Examples
    --------
    >>> round(mixup_condition([0.4, 0.6]), 12)
    5.0
    """
    size = np.abs(np.fft.fft(_checked("mixup_condition", ratios)))
    with np.errstate(divide="ignore"):
        condition = size.max(-1) / size.min(-1)
    return condition if condition.ndim else float(condition)


def mixup(samples: ArrayLike, ratios: ArrayLike, position: ArrayLike = 0) -> FloatArray:
    """Mix samples of different labels, as the device at a position of its group.

    Parameters
    ----------
    samples : array_like, shape (..., N, F)
        One sample of F features for each of the group's N labels, in an order that the group shares; or their one-hot
        labels.
    ratios : array_like, shape (N,)
        Mixing ratios.
    position : array_like of int, shape (...), default 0
        Position of the device in its group, 0 ... N - 1. Of two, the one at 0 has the first ratio on the first label,
        the one at 1 has it on the second.

    Returns
    -------
    ndarray, shape (..., F)
        Mixed samples, or their soft labels.

    Raises
    ------
    ProblemError
        If the ratios are no ratios, their number is not that of the samples, a sample is not finite, or a position
        outside its range.

    Examples
    --------
    >>> mixup([[1.0, 0.0], [0.0, 1.0]], [0.1, 0.9], position=1)
    array([0.9, 0.1])
    """
    mixing = mixup_matrix(ratios)
    values = _samples("mixup", samples, mixing)
    places = check("mixup", "position", position, finite)
    wrong = (places != np.floor(places)) | (places < 0) | (places >= len(mixing))
    if wrong.any():
        refuse("mixup", "position", places, wrong, f"a whole number from 0 to {len(mixing) - 1}")
    return np.asarray(np.einsum("...n,...nf->...f", mixing[places.astype(np.int64)], values))


def inverse_mixup(mixed: ArrayLike, ratios: ArrayLike) -> FloatArray:
    """Combine the mixed samples of groups of devices into samples of one label each.

    Parameters
    ----------
    mixed : array_like, shape (..., N, F)
        The mixed sample of each position of a group, or their soft labels.
    ratios : array_like, shape (N,)
        Mixing ratios.

    Returns
    -------
    ndarray, shape (..., N, F)
        A sample for each label; in general none of the raw ones, as long as no two positions are of one device.

    Raises
    ------
    ProblemError
        As :func:`inverse_ratios`; or if the number of mixed samples is not that of the ratios, or one is not finite.

    Examples
    --------
    >>> inverse_mixup([[0.25, 0.75], [0.75, 0.25]], [0.25, 0.75])
    array([[1., 0.],
           [0., 1.]])
    """
    factors = inverse_ratios(ratios)
    return np.asarray(factors @ _samples("inverse_mixup", mixed, factors))


def sample_privacy(published: ArrayLike, raw: ArrayLike) -> float | FloatArray:
    """Log distance of a published sample from the nearest of the raw samples that it was made of.

    Parameters
    ----------
    published : array_like, shape (..., F)
        Mixed samples, or inversely mixed ones.
    raw : array_like, shape (..., R, F)
        Raw samples that each was made of: two for Mixup, the four of both devices for inverse mixup.

    Returns
    -------
    float or ndarray, shape (...)
        Natural logarithm of the least Euclidean distance; -inf for a sample that gives a raw one away.

    Raises
    ------
    ProblemError
        If a value is not finite or the shapes do not fit.

    References
    ----------
    S. Oh et al., Section IV, Tables II and III.

    Examples
    --------
    >>> round(sample_privacy([0.0, 1.0], [[0.0, 3.0], [4.0, 1.0]]), 4)  # log 2
    0.6931
    """
    made = check("sample_privacy", "published", published, finite)
    of = check("sample_privacy", "raw", raw, finite)
    if made.ndim < 1 or of.ndim < 2 or made.shape[-1] != of.shape[-1]:
        raise ProblemError(
            f"sample_privacy.raw: expected shape (..., R, F) for published (..., F), got {of.shape} for {made.shape}"
        )
    try:
        distance = np.linalg.norm(made[..., None, :] - of, axis=-1).min(-1)
    except ValueError:
        raise ProblemError(
            f"sample_privacy: expected shapes that broadcast, got published {made.shape}, raw {of.shape}"
        ) from None
    with np.errstate(divide="ignore"):
        privacy = np.log(distance)
    return privacy if privacy.ndim else float(privacy)


def _left_circulant(first_row: FloatArray) -> FloatArray:
    n = np.arange(first_row.shape[-1])
    return np.asarray(first_row[..., (n[:, None] + n) % len(n)])


def _checked(owner: str, ratios: ArrayLike) -> FloatArray:
    values = check(owner, "ratios", ratios, fraction)
    if values.ndim < 1 or values.shape[-1] < 2:
        raise ProblemError(f"{owner}.ratios: expected at least two ratios, got shape {values.shape}")
    total = values.sum(-1)
    if (np.abs(total - 1.0) > 1e-9).any():
        refuse(owner, "ratios", total, np.abs(total - 1.0) > 1e-9, "a sum of 1")
    return values


def _samples(owner: str, samples: ArrayLike, ratios: Array) -> FloatArray:
    values = check(owner, "samples" if owner == "mixup" else "mixed", samples, finite)
    if ratios.ndim != 2:
        raise ProblemError(f"{owner}.ratios: expected shape (N,), got {ratios.shape[:-1]}")
    if values.ndim < 2 or values.shape[-2] != len(ratios):
        raise ProblemError(
            f"{owner}: expected samples (..., {len(ratios)}, F) for {len(ratios)} ratios, got {values.shape}"
        )
    return values
