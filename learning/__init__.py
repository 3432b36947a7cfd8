"""Federated training that spends the allocations computed by radioopt.

One loop owns the clock and the energy; a scheme is a small object with hooks. Seconds are simulated, from the
allocations of each round, and never measured::

    import learning

    result = learning.train("feel-cpu", policy="optimal", rounds=50)
    result.ledger.to_frame()                                     # accuracy, loss, seconds, joules per round
    comparison = learning.compare("feel-cpu", target_accuracy=0.9, seconds=20_000)
    print(comparison)                                            # seconds to the target per policy, paired
    learning.save_run(comparison, "feel-digits")                 # runs/feel-digits: metrics, plot, manifest

Names are imported when they are first used, so that ``import learning`` is instant.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

from radioopt.base.errors import MissingExtraError

_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_HOMES = {
    alias.name: str(node.module)
    for node in _STUB.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'learning' has no attribute {name!r}")
    try:
        if _HOMES[name] == __name__:
            value = importlib.import_module(f"{__name__}.{name}")
        else:
            value = getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError("torch is not installed: pip install 'radioopt[learning]'") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names without importing them."""
    return sorted({*globals(), *__all__})
