"""The formulas of diffusion models: noise schedule, deterministic steps back, guidance; for arrays and tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.options import whole
from radioopt.base.errors import OptionError

#: offset of the cosine schedule, so that the first steps add some noise
OFFSET = 0.008
#: largest share of the variance that one step replaces by noise
MOST_BETA = 0.999


def cosine_alpha_bar(steps: int) -> NDArray[np.float64]:
    """Return the share of a sample's variance that is left after each step of noise.

    With f(t) = cos^2((t / T + s) / (1 + s) pi / 2) and s = 0.008, step t replaces the share
    beta_t = min(1 - f(t) / f(t - 1), 0.999), and alpha_bar_t is the product of 1 - beta up to t.

    Parameters
    ----------
    steps : int
        T >= 1.

    Returns
    -------
    ndarray of float64, shape (T,)
        alpha_bar of steps 1 to T, decreasing in (0, 1).

    Raises
    ------
    OptionError
        If the number of steps is no whole number >= 1.

    References
    ----------
    A. Nichol, P. Dhariwal, "Improved Denoising Diffusion Probabilistic Models", equation 17.

    Examples
    --------
    >>> cosine_alpha_bar(300)[[0, 149, 299]].round(6).tolist()
    [0.999844, 0.493844, 0.0]
    """
    count = whole("steps", steps)
    f = np.cos((np.arange(count + 1) / count + OFFSET) / (1.0 + OFFSET) * (math.pi / 2)) ** 2
    return np.cumprod(1.0 - np.minimum(1.0 - f[1:] / f[:-1], MOST_BETA))


def ddim_steps(steps: int, visited: int) -> NDArray[np.int64]:
    """Choose the steps that sampling visits, evenly from the last to the first.

    Parameters
    ----------
    steps : int
        T >= 1 steps of noise.
    visited : int
        How many of them are visited, 1 to T.

    Returns
    -------
    ndarray of int64, shape (visited,)
        Indices into ``cosine_alpha_bar(T)``, T - 1 first, 0 last.

    Raises
    ------
    OptionError
        If a number is out of its range.

    Examples
    --------
    >>> ddim_steps(300, 4).tolist()
    [299, 199, 100, 0]
    """
    if whole("visited", visited) > whole("steps", steps):
        raise OptionError(f"visited: expected at most the {steps} steps, got {visited}")
    return np.rint(np.linspace(steps - 1, 0, visited)).astype(np.int64)


def ddim_step(
    x: Any, eps: Any, alpha_bar: float, alpha_bar_previous: float, clip: Any = None
) -> tuple[Any, Any]:
    """Take one deterministic step back from a noisy sample.

    The noise predicts the sample x0 = (x - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar). It is clipped if wanted, and the
    noise is computed again from it. The sample before is sqrt(alpha_bar') x0 + sqrt(1 - alpha_bar') eps.

    Parameters
    ----------
    x : ndarray or Tensor
        Noisy sample.
    eps : ndarray or Tensor, same shape
        Predicted noise.
    alpha_bar : float
        In (0, 1), of the step that `x` is at.
    alpha_bar_previous : float
        In (0, 1], of the step to go to; 1 is the sample without noise.
    clip : float or callable, optional
        x0 is clipped to [-clip, clip]; or a function from x0 to the nearest possible sample.

    Returns
    -------
    x_previous, x0 : ndarray or Tensor
        The sample at the step before, and the predicted one without noise.

    References
    ----------
    J. Song, C. Meng, S. Ermon, "Denoising Diffusion Implicit Models", equation 12 with sigma = 0.

    Examples
    --------
    >>> ddim_step(np.array([1.0]), np.array([0.5]), 0.25, 0.64)[0].round(6).tolist()
    [1.207180]
    """
    noise, kept = math.sqrt(1.0 - alpha_bar), math.sqrt(alpha_bar)
    x0 = (x - noise * eps) / kept
    if clip is not None:
        x0 = clip(x0) if callable(clip) else x0.clip(-clip, clip)
        eps = (x - kept * x0) / noise
    return math.sqrt(alpha_bar_previous) * x0 + math.sqrt(1.0 - alpha_bar_previous) * eps, x0


def guided(conditional: Any, unconditional: Any, weight: float) -> Any:
    """Move a prediction away from the one without a label: (1 + weight) conditional - weight unconditional.

    Parameters
    ----------
    conditional, unconditional : ndarray or Tensor
        Predictions with and without the label.
    weight : float
        w >= 0; 0 is the conditional one itself.

    Returns
    -------
    ndarray or Tensor
        The guided prediction.

    References
    ----------
    J. Ho, T. Salimans, "Classifier-Free Diffusion Guidance", equation 6.

    Examples
    --------
    >>> guided(np.array([2.0]), np.array([1.0]), 0.5).tolist()
    [2.5]
    """
    return (1.0 + weight) * conditional - weight * unconditional
