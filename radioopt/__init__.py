"""radioopt: provably optimal radio-resource allocation for federated learning over wireless networks.

A problem goes in, a certified solution comes out; everything else checks it or uses it. Names are imported when
they are first used, so ``import radioopt`` is instant and compiles nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

import radioopt.base.forks as _forks  # noqa: F401  # to know of a fork before anything is solved
from radioopt.base.errors import InputWarning as _InputWarning
from radioopt.base.shadow import warn_of_files as _warn_of_files

__version__ = "0.2.0"

if TYPE_CHECKING:
    from radioopt import channel, d2d, dtkd, feel, fimi, mix2fld, numerics, units
    from radioopt.base.certify import Certificate, certify
    from radioopt.base.errors import (
        CompileWarning,
        InputWarning,
        MissingExtraError,
        OptionError,
        ProblemError,
        RadioOptError,
        SolveError,
        SolveWarning,
    )
    from radioopt.base.options import SolveOptions
    from radioopt.base.problem import Problem, problem_class, solve
    from radioopt.base.rooms import families
    from radioopt.base.solution import Solution, load
    from radioopt.base.spread import solve_chunks
    from radioopt.base.status import Status
    from radioopt.reports import report
    from radioopt.scenario import ChannelTrace, Devices, Scenario
    from radioopt.sweeps import Sweep, sweep

_HOME = {
    "Certificate": "base.certify",
    "ChannelTrace": "scenario",
    "CompileWarning": "base.errors",
    "Devices": "scenario",
    "InputWarning": "base.errors",
    "MissingExtraError": "base.errors",
    "OptionError": "base.errors",
    "Problem": "base.problem",
    "ProblemError": "base.errors",
    "RadioOptError": "base.errors",
    "Scenario": "scenario",
    "Solution": "base.solution",
    "SolveError": "base.errors",
    "SolveOptions": "base.options",
    "SolveWarning": "base.errors",
    "Status": "base.status",
    "Sweep": "sweeps",
    "certify": "base.certify",
    "families": "base.rooms",
    "load": "base.solution",
    "problem_class": "base.problem",
    "report": "reports",
    "solve": "base.problem",
    "solve_chunks": "base.spread",
    "sweep": "sweeps",
}
_SUBPACKAGES = ("channel", "d2d", "dtkd", "feel", "fimi", "mix2fld", "numerics", "units")

__all__ = [
    "Certificate",
    "ChannelTrace",
    "CompileWarning",
    "Devices",
    "InputWarning",
    "MissingExtraError",
    "OptionError",
    "Problem",
    "ProblemError",
    "RadioOptError",
    "Scenario",
    "Solution",
    "SolveError",
    "SolveOptions",
    "SolveWarning",
    "Status",
    "Sweep",
    "certify",
    "channel",
    "d2d",
    "dtkd",
    "families",
    "feel",
    "fimi",
    "load",
    "mix2fld",
    "numerics",
    "problem_class",
    "report",
    "solve",
    "solve_chunks",
    "sweep",
    "units",
]

_warn_of_files(_InputWarning)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"radioopt.{_HOME[name]}"), name)
    elif name in _SUBPACKAGES or importlib.util.find_spec(f"radioopt.{name}") is not None:
        return importlib.import_module(f"radioopt.{name}")
    else:
        raise AttributeError(f"module 'radioopt' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names without importing them."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
