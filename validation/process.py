"""Python processes beside this one: they import what it can import, and nothing from the folder they start in."""

from __future__ import annotations

import sys
from pathlib import Path

#: what is run: Python's own modules and those installed come first, those that the caller can import after them
_START = (
    "import importlib, sys; "
    "module, count = sys.argv[1], int(sys.argv[2]); "
    "given, folders = sys.argv[3:3 + count], sys.argv[3 + count:]; "
    "sys.path += [folder for folder in folders if folder not in sys.path]; "
    "importlib.import_module(module).main(*given)"
)


def command(module: str, *given: str) -> list[str]:
    """Return the command line of a Python process that calls ``main`` of a module.

    Parameters
    ----------
    module : str
        Its dotted name.
    *given : str
        Arguments of ``main``.

    Returns
    -------
    list of str
        For :mod:`subprocess`.

    Examples
    --------
    >>> import subprocess
    >>> started = subprocess.run(command("validation.bench.fresh", "feel", "nothing"), capture_output=True)
    >>> started.stderr.split()[-1]
    b"'nothing'"
    """
    root = Path(__file__).resolve().parent.parent
    folders = dict.fromkeys(map(str, [root, *(Path(folder).absolute() for folder in sys.path if folder)]))
    return [sys.executable, "-P", "-c", _START, module, str(len(given)), *given, *folders]
