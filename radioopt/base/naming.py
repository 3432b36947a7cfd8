"""What a call may be given by name: a misspelt or missing name is refused in words of ours, with the nearest one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from radioopt.base.errors import ArgumentError, suggestion

Call = TypeVar("Call", bound=Callable[..., Any])


def named(owner: str, function: Call, also: Mapping[str, str] | None = None) -> Call:
    """Return a function of keywords that says which name it does not know, and which are missing.

    Parameters
    ----------
    owner : str
        What to call it in messages.
    function : callable
        The function, whose first parameter is ``self`` or ``cls``.
    also : mapping of str to str, optional
        Names that belong elsewhere, and what to say about them.

    Returns
    -------
    callable
        The same function for every call that fits its signature.
    """

    @functools.wraps(function)
    def call(self: Any, *arguments: Any, **given: Any) -> Any:
        try:
            return function(self, *arguments, **given)
        except TypeError as error:
            refusal = _refusal(owner, function, arguments, given, also or {})
            if refusal is None:  # it is not about the call
                raise
            raise refusal from error

    return cast(Call, call)


def _refusal(
    owner: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    given: Mapping[str, Any],
    also: Mapping[str, str],
) -> ArgumentError | None:
    """Say what does not fit the signature; None if all does."""
    known = dict([*inspect.signature(function).parameters.items()][1:])
    if arguments:
        return ArgumentError(
            f"{owner}: expected names, as in {next(iter(known))}=..., got {len(arguments)} without"
        )
    unknown = [name for name in given if name not in known]
    if unknown:
        name = unknown[0]
        return ArgumentError(f"{owner}: unknown {name}{also.get(name) or suggestion(name, known)}")
    missing = [name for name, one in known.items() if one.default is one.empty and name not in given]
    return ArgumentError(f"{owner}: missing {', '.join(missing)}") if missing else None
