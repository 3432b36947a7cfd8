"""Sweeps: problems solved over a grid of settings and many draws; see :func:`radioopt.sweep`."""

from radioopt.sweeps.result import Sweep
from radioopt.sweeps.run import sweep

__all__ = ["Sweep", "sweep"]
