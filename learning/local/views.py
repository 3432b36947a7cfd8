"""Views of samples, changed at random so that they stay what they are: for training without labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from radioopt.base.errors import OptionError
from radioopt.base.quantity import shorten

#: images are moved by up to this share of their size, and turned by up to this angle [rad]
SHIFT, TURN = 1 / 8, math.pi / 12
#: vectors get noise of this share of each number's deviation, and lose this share of their numbers
NOISE, MASK = 0.3, 0.2
#: what changes images alone
OF_IMAGES = ("shift", "rotation", "blur")

#: ``(samples (N, ...), rng) -> (N, ...)``
View = Callable[[Tensor, np.random.Generator], Tensor]


def shift(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift images by up to an eighth of their size each way, the border repeated."""
    far = rng.uniform(-2 * SHIFT, 2 * SHIFT, (len(x), 2))  # an image is 2 wide
    return _moved(x, np.zeros(len(x)), far)


def rotation(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn images by up to 15 degrees each way, the border repeated."""
    return _moved(x, rng.uniform(-TURN, TURN, len(x)), np.zeros((len(x), 2)))


def blur(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur images by up to (1/4, 1/2, 1/4) along rows and columns."""
    weight = torch.from_numpy(rng.uniform(0.0, 0.25, len(x))).to(x).view(-1, 1, 1, 1)
    wide = functional.pad(x, (1, 1, 0, 0), mode="replicate")
    x = x + weight * (wide[..., 2:] + wide[..., :-2] - 2 * x)
    high = functional.pad(x, (0, 0, 1, 1), mode="replicate")
    return x + weight * (high[..., 2:, :] + high[..., :-2, :] - 2 * x)


def noise(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Add normal noise, of 0.3 of the deviation of each number over these samples."""
    drawn = torch.from_numpy(rng.standard_normal(tuple(x.shape))).to(x)
    return x + NOISE * x.std(0, correction=0) * drawn


def mask(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Put their means over these samples in place of a fifth of the numbers."""
    gone = torch.from_numpy(rng.random(tuple(x.shape)) < MASK).to(x.device)
    return torch.where(gone, x.mean(0), x)


VIEWS: dict[str, View] = {"shift": shift, "rotation": rotation, "blur": blur, "noise": noise, "mask": mask}


def view_of(names: Any, shape: tuple[int, ...]) -> View:
    """Return what makes another view of samples.

    Parameters
    ----------
    names : str or callable
        Names with commas between, one after the other: of images "shift", "rotation", "blur"; of any samples "noise",
        "mask"; "auto" for all those of images, or for noise and mask of other samples. Or a function
        ``(samples (N, ...), rng) -> (N, ...)``.
    shape : tuple of int
        Shape of a sample; an image is (channels, height, width).

    Returns
    -------
    callable
        ``(samples (N, ...), rng) -> (N, ...)``.

    Raises
    ------
    OptionError
        If there is no such name, or it is for images and the samples are none.

    Examples
    --------
    >>> x = torch.zeros(3, 1, 8, 8)
    >>> view_of("shift,blur", (1, 8, 8))(x, np.random.default_rng(0)).shape
    torch.Size([3, 1, 8, 8])
    """
    if callable(names):
        made: View = names
        return made
    image = len(shape) == 3
    given = names
    if names == "auto":
        given = ",".join(OF_IMAGES) if image else "noise,mask"
    if not isinstance(given, str):
        raise OptionError(f"views: expected names or a function (samples, rng), got {shorten(names)}")
    chosen = [name.strip() for name in given.split(",")]
    for name in chosen:
        if name not in VIEWS:
            raise OptionError(f"views: no view {name!r}, choose from auto, {', '.join(VIEWS)}")
        if name in OF_IMAGES and not image:
            raise OptionError(
                f"views: {name} is for images, and samples have shape {shape}: take noise or mask"
            )

    def changed(x: Tensor, rng: np.random.Generator) -> Tensor:
        for name in chosen:
            x = VIEWS[name](x, rng)
        return x

    return changed


def _moved(x: Tensor, angle: np.ndarray[Any, Any], far: np.ndarray[Any, Any]) -> Tensor:
    """Turn and shift images, interpolated linearly; shifts are in halves of the image."""
    height, width = x.shape[2:]
    cos, sin, aspect = np.cos(angle), np.sin(angle), height / width
    rows = [[cos, -sin * aspect, far[:, 0]], [sin / aspect, cos, far[:, 1]]]
    affine = torch.from_numpy(np.stack([np.stack(row, -1) for row in rows], 1)).to(x)
    grid = functional.affine_grid(affine, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
