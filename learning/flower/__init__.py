"""Training carried by Flower: the loop and the schemes as in one process, the devices on nodes.

The server plans each round, sends every node its devices' rows of the plan and the scheme's last answer, and closes the
round at a deadline with whoever has answered. Only `grid` and `app` import Flower; the rest is plain Python, so that
everything but the transport is tested without it.
"""

from learning.flower.simulation import simulate

__all__ = ["simulate"]
