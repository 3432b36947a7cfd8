"""Coordinates in which samples are learnt: principal components of the public samples, scaled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.generators.base import Floats
from radioopt.base.errors import require

#: components that vary less than this share of the largest are scaled as if they varied as much
LEAST = 1e-3


class Space:
    """Samples in [-1, 1] on one side, their principal components on the other.

    Components are divided by the root of their standard deviation: in between their own sizes, in which the small ones
    drown in noise at once, and equal ones, in which fine texture is as important as shape.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        As :meth:`fit` makes them.
    """

    NAMES = ("middle", "half", "mean", "axes", "scale")

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.arrays = {name: arrays[name] for name in self.NAMES}
        self._mean, self._axes, self._scale = (
            torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in ("mean", "axes", "scale")
        )

    @classmethod
    def fit(cls, x: Floats, components: int, seed: int) -> Space:
        """Find the components of samples, as many as wanted or as there are."""
        middle, half = scales(x)
        flat = ((x - middle) / np.where(half > 0.0, half, 1.0)).reshape(len(x), -1)
        most = min(components, *flat.shape)
        found: Any = require("sklearn.decomposition", "learning").PCA(most, random_state=seed % 2**32)
        found.fit(flat.astype(np.float64))
        deviation = np.sqrt(found.explained_variance_)
        deviation = np.maximum(deviation, LEAST * deviation.max() if deviation.max() > 0 else 1.0)
        scale = np.sqrt(deviation * np.sqrt(np.mean(deviation**2)))
        parts = {"mean": found.mean_, "axes": found.components_, "scale": scale}
        parts = {name: np.asarray(value, np.float32) for name, value in parts.items()}
        return cls({"middle": middle, "half": half, **parts})

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self._scale)

    def encode(self, x: Floats) -> Tensor:
        """Turn samples (n, ...) into coordinates (n, size)."""
        half = self.arrays["half"]
        flat = ((x - self.arrays["middle"]) / np.where(half > 0.0, half, 1.0)).reshape(len(x), -1)
        return self._inward(torch.from_numpy(np.ascontiguousarray(flat, np.float32)))

    def decode(self, z: Tensor, shape: tuple[int, ...]) -> Floats:
        """Turn coordinates into samples, in the range of those that the space was fitted on."""
        flat = self._outward(z).clamp(-1.0, 1.0).numpy().reshape(len(z), *shape)
        return np.asarray(flat * self.arrays["half"] + self.arrays["middle"], np.float32)

    def clip(self, z: Tensor) -> Tensor:
        """Clip what the coordinates stand for to the range of samples."""
        return self._inward(self._outward(z).clamp(-1.0, 1.0))

    def _inward(self, flat: Tensor) -> Tensor:
        return (flat - self._mean) @ self._axes.T / self._scale

    def _outward(self, z: Tensor) -> Tensor:
        return (z * self._scale) @ self._axes + self._mean


def scales(x: Floats) -> tuple[Floats, Floats]:
    """Return middle and half range of the features: of images by channel, of other samples by feature.

    Returns
    -------
    middle, half : ndarray of float32, shape (channels, 1, 1) or that of a sample
        ``(x - middle) / half`` is in [-1, 1]; half is 0 where a feature never changes.
    """
    axes = (0, 2, 3) if x.ndim == 4 else (0,)
    low, high = x.min(axes, keepdims=True)[0], x.max(axes, keepdims=True)[0]
    return (high + low) / 2, (high - low) / 2
