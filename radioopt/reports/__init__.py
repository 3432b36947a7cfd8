"""Reports: one HTML file that tells of allocations, training runs and sweeps, and loads nothing else."""

from radioopt.reports.writing import report

__all__ = ["report"]
