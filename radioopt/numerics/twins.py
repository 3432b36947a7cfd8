"""Kernels as plain Python, beside the compiled ones: what answers until these are there.

A compiled kernel finds the kernels that it calls among the globals of its module. So does its twin, the same function
with other globals: those of the module, with a twin in place of every kernel and of every generated function.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from types import FunctionType
from typing import Any

import numpy as np

# By the identity of a generated function, and of a module's globals; with them, so that it stays theirs.
_plain: dict[int, tuple[Any, Callable[..., Any]]] = {}
_namespaces: dict[int, tuple[Any, dict[str, Any]]] = {}
_twins: dict[Any, Callable[..., Any]] = {}  # by kernel

# Twins look at the clock whenever they are called, and there is one for all. Python runs one thread at a time anyway.
_one_at_a_time = threading.RLock()
_until = math.inf


class NoAnswerError(Exception):
    """The twin took too long, or met numbers with which plain Python cannot go on as compiled code does."""


def paired(generated: Any, interpreted: Callable[..., Any]) -> Any:
    """Say what stands for a function that the compiler generates, and return this."""
    _plain[id(generated)] = generated, interpreted
    return generated


def interpret(kernel: Any, arguments: tuple[Any, ...], seconds: float) -> Any:
    """Call the twin of a kernel.

    Parameters
    ----------
    kernel : Kernel
        What is called.
    arguments : tuple
        Arguments; arrays are filled as the kernel would.
    seconds : float
        How long it may take.

    Returns
    -------
    object
        What the kernel would return.

    Raises
    ------
    NoAnswerError
        If it took longer, or plain Python does not take a number that compiled code does; its cause says which.
        Arguments are as before.
    """
    global _until
    function, before = twin(kernel), list(_changeable(arguments))
    with _one_at_a_time, np.errstate(all="ignore"):
        _until = monotonic() + seconds
        try:
            return function(*arguments)
        except (_TooLongError, ArithmeticError, ValueError) as error:
            for restore, state in before:
                restore(state)
            raise NoAnswerError from error
        finally:
            _until = math.inf


def twin(kernel: Any) -> Callable[..., Any]:
    """Return the plain function of a kernel, which calls plain functions."""
    function = kernel.py_func
    namespace = _namespace(function.__globals__)
    if kernel not in _twins:
        plain = FunctionType(function.__code__, namespace, function.__name__, None, function.__closure__)
        _twins[kernel] = _watched(plain)
    return _twins[kernel]


class _TooLongError(Exception):
    """Time is up."""


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        if monotonic() > _until:
            raise _TooLongError
        return function(*arguments)

    return run


def _namespace(module: dict[str, Any]) -> dict[str, Any]:
    """Return globals for the twins of a module's kernels."""
    if id(module) not in _namespaces:
        namespace = dict(module)
        _namespaces[id(module)] = module, namespace
        for name, value in module.items():
            if hasattr(value, "py_func"):
                namespace[name] = twin(value)
            elif id(value) in _plain:
                namespace[name] = _plain[id(value)][1]
    return _namespaces[id(module)][1]


def _changeable(arguments: tuple[Any, ...]) -> Iterator[tuple[Callable[[Any], object], Any]]:
    """How to give back its state to whatever among the arguments a kernel changes."""
    for value in arguments:
        if isinstance(value, np.ndarray):
            if value.flags.writeable:
                yield functools.partial(np.copyto, value), value.copy()
        elif isinstance(value, np.random.Generator):
            bits = value.bit_generator
            yield functools.partial(setattr, bits, "state"), bits.state
        elif isinstance(value, tuple):
            yield from _changeable(value)


def _after_fork() -> None:
    """Forget a lock that a thread of the parent held, which is not here to give it back."""
    global _one_at_a_time, _until
    _one_at_a_time, _until = threading.RLock(), math.inf


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
