"""Files of a user that are called as radioopt's packages ``learning`` and ``validation`` are, and found before them."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path

#: what is installed beside radioopt
PACKAGES = ("learning", "validation")


def found_instead(name: str) -> Path | None:
    """Return the file that ``import NAME`` finds where radioopt's own package is meant.

    Parameters
    ----------
    name : str
        One of :data:`PACKAGES`.

    Returns
    -------
    pathlib.Path or None
        None if it is radioopt's own, or if that is not installed.
    """
    own = Path(__file__).resolve().parents[2] / name / "__init__.py"
    if not own.is_file():
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # as of a module that something else has put there
        return None
    if spec is None or spec.origin is None or Path(spec.origin).resolve() == own:
        return None
    return Path(spec.origin)


def complaint(name: str, file: Path) -> str:
    """Say whose file it is and what to do."""
    own = Path(__file__).resolve().parents[2] / name
    return (
        f"import {name} finds {file}, not radioopt's package of that name ({own}): rename that file, or run from "
        f"another folder, to use radioopt's {name}; radioopt itself is not affected"
    )


def warn_of_files(category: type[Warning]) -> None:
    """Warn, when radioopt is imported, of files that would be found instead of its packages."""
    for name in PACKAGES:
        if name not in sys.modules and (file := found_instead(name)) is not None:
            warnings.warn(complaint(name, file), category, stacklevel=3)
