"""Noise of a model's layers and of initial weights, from a generator of one's own instead of torch's global one."""

from __future__ import annotations

import copy
import functools
import weakref
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class _Mode(TorchDispatchMode):
    """A mode outside of ``torch.compile``."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from loading its compiler, a second's work, only to be told to leave the mode alone."""
        return False


class OwnNoise(_Mode):
    """Let every operation in this thread draw from one generator.

    Torch's global generators are neither read nor changed, so that threads do not disturb each other.

    Parameters
    ----------
    seed : int
        Seed >= 0. Numbers are those that ``torch.manual_seed(seed)`` would give.
    device : torch.device or str, default "cpu"
        Where the operations run.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__()
        place = torch.device(device)
        self.generator = torch.Generator("cpu" if place.type == "meta" else place).manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, with the generator if it takes one."""
        kwargs = dict(kwargs or {})
        if func is aten.native_dropout.default:
            value, probability, training = args
            if not training:
                return value.clone(), torch.ones_like(value, dtype=torch.bool)
            kept = torch.rand(value.shape, generator=self.generator, device=value.device) >= probability
            return value * kept / (1.0 - probability), kept
        if torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None:
            func, takes = _with_generator(func)
            if takes:
                kwargs["generator"] = self.generator
        return func(*args, **kwargs)


class _Watch(_Mode):
    """Note whether anything is drawn."""

    drawn = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.drawn = self.drawn or torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))


@functools.cache
def _with_generator(func: Any) -> tuple[Any, bool]:
    """Find the form of an operation that takes a generator, and say whether there is one."""
    names = _arguments(func)
    if "generator" in names:
        return func, True
    packet = func.overloadpacket
    for name in packet.overloads():
        other = getattr(packet, name)
        if "generator" in _arguments(other) and [a for a in _arguments(other) if a != "generator"] == names:
            return other, True
    return func, False


def _arguments(func: Any) -> list[str]:
    return [argument.name for argument in func._schema.arguments]


_DRAWS: weakref.WeakKeyDictionary[nn.Module, bool] = weakref.WeakKeyDictionary()


def draws(model: nn.Module, x: torch.Tensor) -> bool:
    """Tell whether a model draws noise when it is trained, by running it once.

    Parameters
    ----------
    model : torch.nn.Module
        The architecture; its buffers are left as they are.
    x : Tensor, shape (B, ...)
        Samples.

    Returns
    -------
    bool
        Also true of noise that no layer shows, as of ``torch.nn.functional.dropout``.
    """
    if model not in _DRAWS:
        own = copy.deepcopy(model).train()
        with torch.no_grad(), OwnNoise(0, x.device), _Watch() as watch:
            own(x[:2])
        _DRAWS[model] = watch.drawn
    return _DRAWS[model]
