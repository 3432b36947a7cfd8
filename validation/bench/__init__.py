"""The benchmark: radioopt and its peers on the same instances, in one run, each answer measured.

Nothing here knows a family: instances, peers and goals come from ``validation.<family>.bench``.
"""

from validation.bench.pictures import draw_pictures
from validation.bench.report import compare, lines, markdown, seconds
from validation.bench.results import Results, Row
from validation.bench.runner import run, uncertified
from validation.bench.suite import Case, Goal, Group, Suite, Timed, suite, timed_families
from validation.bench.timing import QUICK, Plan

__all__ = [
    "QUICK",
    "Case",
    "Goal",
    "Group",
    "Plan",
    "Results",
    "Row",
    "Suite",
    "Timed",
    "compare",
    "draw_pictures",
    "lines",
    "markdown",
    "run",
    "seconds",
    "suite",
    "timed_families",
    "uncertified",
]
