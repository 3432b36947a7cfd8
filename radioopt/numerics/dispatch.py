"""What happens at the call of a kernel that is not compiled yet; compiled ones are called by Numba alone.

``RADIOOPT_COMPILE`` says what to do with a kernel that no process has compiled and kept before:

``background`` (the default)
    A small call is answered by the kernel's twin in plain Python (:mod:`radioopt.numerics.twins`), while another
    process compiles (:mod:`radioopt.numerics.workshop`); from the moment it is done calls are as fast as ever. A
    large one waits. So does whatever follows a small one that took its twin longer than :data:`PATIENCE`.
``wait``
    Every call waits: the same digits whenever and wherever the program runs.
``never``
    The twin answers, however long it takes.

Both worlds are told apart where Numba asks for a version that it lacks. It then calls what it is given, which is all
that a call of the twin costs, and a call of the compiled kernel costs nothing more than it did.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import numpy as np
from numba.core import event
from numba.core.registry import CPUDispatcher
from numba.core.typing.typeof import Purpose, typeof

from radioopt.base.errors import OptionError
from radioopt.numerics import twins, workshop
from radioopt.numerics.kept import KernelCache, NothingKept, cache_of, complain

#: numbers in the arrays of a call up to which it is small
SMALL = 50_000
#: seconds after which a twin is given up for the compiled kernel
PATIENCE = 2.0
#: seconds of twins, where nothing compiles in the background, after which it pays to compile
WORTH = 5.0
POLICIES = ("background", "wait", "never")

_waiting = 0  # blocks of :func:`compiled` that are open


def policy() -> str:
    """Return what ``RADIOOPT_COMPILE`` says now."""
    given = os.environ.get("RADIOOPT_COMPILE", "") or POLICIES[0]
    if given not in POLICIES:
        raise OptionError(f"RADIOOPT_COMPILE: expected {', '.join(POLICIES)}, got {given!r}")
    return "wait" if _waiting and given == "background" else given


@contextmanager
def compiled() -> Iterator[None]:
    """Have kernels wait for the compiler inside the block, so that no digit changes between two calls."""
    global _waiting
    _waiting += 1
    try:
        yield
    finally:
        _waiting -= 1


class Kernel(CPUDispatcher):  # type: ignore[misc]  # Numba has no types
    """A function that is compiled, and answers before that is done."""

    _cache: KernelCache | NothingKept
    #: seconds that its twin took, by types; infinity where it is too slow
    _spent: dict[tuple[Any, ...], float]

    def _compile_for_args(self, *arguments: Any, **keywords: Any) -> Callable[..., Any]:
        """Return what answers this call: Numba asks because it has no version for arguments of these types."""
        types = tuple(typeof(value, Purpose.argument) for value in arguments)
        rule = policy()
        if rule != "wait" and not keywords and not self._cache.holds(types, self.targetctx):
            if rule == "never":
                return functools.partial(self._by_twin, types, math.inf)
            if self._answers_by_twin(types, arguments):
                return functools.partial(self._by_twin, types, PATIENCE)
        with _progress(self) as tick:
            workshop.wait(self, types, tick)
            return super()._compile_for_args(*arguments, **keywords)  # type: ignore[misc,no-any-return]

    def _answers_by_twin(self, types: tuple[Any, ...], arguments: tuple[Any, ...]) -> bool:
        """Whether a call is small, and what comes after it is taken care of."""
        spent = self._spent.get(types, 0.0)
        if spent == math.inf or _numbers(arguments) > SMALL:
            return False
        if isinstance(self._cache, NothingKept):
            complain(self._cache.reason)
        told = workshop.request(self, types, self._cache.cache_path)
        return told == workshop.UNDER_WAY or (told == workshop.IMPOSSIBLE and spent < WORTH)

    def _by_twin(self, types: tuple[Any, ...], seconds: float, *arguments: Any) -> Any:
        """Answer in plain Python, or compiled if that does not work out."""
        began = monotonic()
        try:
            answer = twins.interpret(self, arguments, seconds)
        except twins.NoAnswerError as error:
            if seconds == math.inf and error.__cause__:  # nothing is ever compiled
                raise error.__cause__ from None
            self._spent[types] = math.inf
            return self(*arguments)
        self._spent[types] = self._spent.get(types, 0.0) + monotonic() - began
        return answer


def made_kernel(dispatcher: Any) -> Kernel:
    """Make a kernel of what Numba's decorator returns."""
    dispatcher.__class__ = Kernel
    kernel: Kernel = dispatcher
    kernel._cache, kernel._spent = cache_of(dispatcher.py_func), {}
    return kernel


def _numbers(arguments: tuple[Any, ...]) -> int:
    """How many numbers the arrays among some arguments hold."""
    return sum(
        value.size if isinstance(value, np.ndarray) else _numbers(value) if isinstance(value, tuple) else 0
        for value in arguments
    )


class _Compilations(event.Listener):  # type: ignore[misc]  # Numba has no types
    def __init__(self, tick: Callable[[], None]) -> None:
        self.tick = tick

    def on_start(self, event: Any) -> None:
        self.tick()

    def on_end(self, event: Any) -> None:
        pass


@contextmanager
def _progress(kernel: Kernel) -> Iterator[Callable[[], None]]:
    """Say on a terminal what takes so long, from the first tick on, and leave nothing there."""
    stream, began, shown = sys.stderr, monotonic(), False
    if stream is None or not stream.isatty():
        yield lambda: None
        return
    family, name = kernel.py_func.__module__.removeprefix("radioopt.").split(".")[0], kernel.py_func.__name__

    def tick() -> None:
        nonlocal shown
        shown = True
        stream.write(f"\rradioopt: compiling {family}: {name} ({monotonic() - began:.0f} s)\x1b[K")
        stream.flush()

    try:
        with event.install_listener("numba:compile", _Compilations(tick)):
            yield tick
    finally:
        if shown:
            stream.write("\r\x1b[K")
            stream.flush()
