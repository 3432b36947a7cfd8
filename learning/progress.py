"""Progress bars of training: those of all of radioopt."""

from radioopt.base.progress import Report, progress_bar

__all__ = ["Report", "progress_bar"]
