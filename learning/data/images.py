"""Folders of images: a folder per class, in one folder or in ``train`` and ``test``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radioopt.base.errors import ProblemError, require

#: what is read; anything else beside images is refused by name
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
#: Pillow's kinds of images, and what they become
KINDS = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def image_folder(folder: str) -> tuple[Part, Part | None, tuple[str, ...]]:
    """Read the images of a folder.

    Parameters
    ----------
    folder : str
        ``CLASS/image.png`` in it, or ``train/CLASS/image.png`` and ``test/CLASS/image.png``. Classes are numbered in
        the order of their names.

    Returns
    -------
    train : tuple of ndarray of uint8, shape (N, channels, height, width), and of int64, shape (N,)
        Images, of one channel (grey) or three (red, green, blue), and classes.
    test : tuple or None
        The same, if the folder has parts.
    names : tuple of str
        Those of the classes.

    Raises
    ------
    ProblemError
        If there is no such folder, it holds something else, images differ in size or kind, or one is damaged; the
        message names the file and says what to do.
    MissingExtraError
        If Pillow is not installed.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ProblemError(f"data images: no folder {root}: expected one with a folder of images per class")
    parts = [root / part for part in ("train", "test") if (root / part).is_dir()]
    if {path.name for path in _entries(root)} != {"train", "test"}:
        parts = [root]
    files = [_files(part) for part in parts]
    classes = list(dict.fromkeys(name for name, _ in files[0]))
    for name, path in files[-1]:
        if name not in classes:
            raise ProblemError(
                f"data images: {path.parent} is a class that {parts[0]} has not, which has {', '.join(classes)}"
            )
    if len(classes) < 2:
        raise ProblemError(
            f"data images: {parts[0]} holds {len(classes)} class, expected a folder for each of several"
        )
    first = _opened(files[0][0][1])
    read = [_read(part, classes, first) for part in files]
    return read[0], read[1] if len(read) > 1 else None, tuple(classes)


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _files(folder: Path) -> list[tuple[str, Path]]:
    """List the images of a folder by class."""
    found = []
    for kind in _entries(folder):
        if not kind.is_dir():
            raise ProblemError(f"data images: {kind} is in no class: put images into a folder per class")
        files = _entries(kind)
        if not files:
            raise ProblemError(f"data images: {kind} is empty: put images into it, or remove it")
        for path in files:
            if path.is_dir() or path.suffix.lower() not in SUFFIXES:
                raise ProblemError(
                    f"data images: {path} is no image ({', '.join(SUFFIXES)}): move it elsewhere"
                )
            found.append((kind.name, path))
    if not found:
        raise ProblemError(f"data images: {folder} is empty: expected a folder of images per class")
    return found


def _read(files: list[tuple[str, Path]], classes: list[str], first: NDArray[np.uint8]) -> Part:
    images = np.empty((len(files), *first.shape), np.uint8)
    labels = np.array([classes.index(name) for name, _ in files], np.int64)
    for i, (_, path) in enumerate(files):
        image = _opened(path)
        if image.shape != first.shape:
            raise ProblemError(
                f"data images: {path} is {_told(image)}, the first is {_told(first)}: bring all to one size and kind, "
                "as by Pillow's Image.open(file).convert('RGB').resize((64, 64)).save(file)"
            )
        images[i] = image
    return images, labels


def _opened(path: Path) -> NDArray[np.uint8]:
    """Read an image, channels first."""
    pillow: Any = require("PIL.Image", "learning")
    try:
        with pillow.open(path) as image:
            kind, channels = image.mode, KINDS.get(image.mode)
            if channels is None or "transparency" in image.info:
                kind = f"{kind} with transparency" if channels is not None else kind
                raise ProblemError(
                    f"data images: {path} is of kind {kind}: convert it to grey or colour, as by Pillow's "
                    "image.convert('RGB')"
                )
            pixels = np.asarray(image.convert(channels), np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        if isinstance(error, ProblemError):
            raise
        raise ProblemError(f"data images: {path} is damaged, or no image: {error}") from error
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _told(image: NDArray[np.uint8]) -> str:
    channels, height, width = image.shape
    return f"{width} x {height} pixels {'grey' if channels == 1 else 'in colour'}"
