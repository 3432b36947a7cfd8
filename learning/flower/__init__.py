"""Training carried by Flower: the loop and the schemes as in one process, the devices on nodes.

The server plans each round, sends every node its devices' rows of the plan and the scheme's last answer, and closes the
round at a deadline with whoever has answered. Only `grid` imports Flower; the rest is plain Python, so that everything
but the transport is tested without it. What Flower starts on a node for every message imports no torch: it passes it
on to a trainer that stays.
"""

from __future__ import annotations

from typing import Any

__all__ = ["simulate"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first used."""
    if name != "simulate":
        raise AttributeError(f"module 'learning.flower' has no attribute {name!r}")
    from learning.flower.simulation import simulate

    return simulate
