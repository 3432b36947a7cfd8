"""Jitted building blocks, scalar in and scalar out for use in any kernel, with array front-ends.

Names are imported when they are first used: the process that compiles in the background starts without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radioopt.numerics.expint import scaled_exp1
    from radioopt.numerics.lambertw import lambert_w, lambert_w_exp

__all__ = ["lambert_w", "lambert_w_exp", "scaled_exp1"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module 'radioopt.numerics' has no attribute {name!r}")
    from radioopt.numerics import expint, lambertw

    for home in (expint, lambertw):
        if hasattr(home, name):
            globals()[name] = getattr(home, name)
    return globals()[name]
