"""Generators as files: arrays in NumPy's format beside settings as JSON, written whole, read without running code."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.files import write_whole

#: changes when files of before can no longer be read
FORMAT = "radioopt generator 1"


def write(path: str | Path, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Path:
    """Write settings and arrays into one .npz."""
    file = Path(path).expanduser()
    if file.suffix != ".npz":
        raise OptionError(f"save: expected a name that ends in .npz, got {path}")
    text = json.dumps({"format": FORMAT, **header})
    block = io.BytesIO()
    np.savez(block, **{"header.json": np.frombuffer(text.encode(), np.uint8)}, **arrays)  # type: ignore[arg-type]
    return write_whole(file, block.getvalue())


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read settings and arrays back.

    Raises
    ------
    ProblemError
        If it is no such file, or it is damaged.
    FileNotFoundError
        If there is none.
    """
    file = Path(path).expanduser()
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        header = json.loads(arrays.pop("header.json").tobytes())
    except (
        ValueError,
        LookupError,
        EOFError,
        AttributeError,
        TypeError,
        RecursionError,
        zipfile.BadZipFile,
    ) as error:
        raise ProblemError(
            f"{path}: expected the file of a generator, as its save() writes ({error})"
        ) from error
    if header.get("format") != FORMAT:
        raise ProblemError(f"{path}: of format {header.get('format')!r}, this version reads {FORMAT!r}")
    return header, arrays
