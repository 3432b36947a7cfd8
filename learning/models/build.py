"""Small models, and what a model must be like to train on one flat batch."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from learning.catalog import MODELS
from learning.models.noise import OwnNoise
from learning.options import choose
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten

Builder = Callable[[tuple[int, ...], int], nn.Module]

_STATEFUL = (nn.modules.batchnorm._BatchNorm,)
_RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)


def softmax(sample_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build a softmax regression, one linear layer on the flattened sample.

    Parameters
    ----------
    sample_shape : tuple of int
        Shape of one sample.
    num_classes : int
        Number of classes.

    Returns
    -------
    torch.nn.Module
        From (B, ...) to logits (B, num_classes).
    """
    return nn.Sequential(nn.Flatten(), nn.Linear(_size(sample_shape), num_classes))


def mlp(sample_shape: tuple[int, ...], num_classes: int, hidden: int = 64) -> nn.Module:
    """Build a perceptron with one hidden layer of rectified linear units.

    Parameters
    ----------
    sample_shape : tuple of int
        Shape of one sample.
    num_classes : int
        Number of classes.
    hidden : int, default 64
        Units of the hidden layer.

    Returns
    -------
    torch.nn.Module
        From (B, ...) to logits (B, num_classes); 4810 parameters for digits.
    """
    size = _size(sample_shape)
    return nn.Sequential(nn.Flatten(), nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))


def cnn(sample_shape: tuple[int, ...], num_classes: int, channels: int = 16) -> nn.Module:
    """Build a network of two convolutions and a linear layer, for images.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width), height and width of 4 pixels at least.
    num_classes : int
        Number of classes.
    channels : int, default 16
        Channels of the first convolution; the second has twice as many.

    Returns
    -------
    torch.nn.Module
        From (B, channels, height, width) to logits (B, num_classes); 6090 parameters for digits.

    Raises
    ------
    ProblemError
        If the samples are no such images.
    """
    if len(sample_shape) != 3 or min(sample_shape[1:]) < 4:
        raise ProblemError(
            f"cnn: expected images (channels, height >= 4, width >= 4), got shape {sample_shape}"
        )
    depth, height, width = sample_shape
    return nn.Sequential(
        nn.Conv2d(depth, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * channels * (height // 4) * (width // 4), num_classes),
    )


def build(
    model: str | nn.Module | Builder,
    sample_shape: tuple[int, ...],
    num_classes: int,
    rng: np.random.Generator,
) -> nn.Module:
    """Build a model with seeded initial weights, leaving torch's own random state as it was.

    Parameters
    ----------
    model : str, torch.nn.Module or callable
        A key of ``MODELS``, with the units or channels after a colon if wanted ("mlp:200", "cnn:32"); a function
        ``(sample_shape, num_classes) -> Module``; or a module, whose own weights then are the initial ones,
        whatever `rng`.
    sample_shape : tuple of int
        Shape of one sample.
    num_classes : int
        Number of classes.
    rng : numpy.random.Generator
        Source of the initial weights.

    Returns
    -------
    torch.nn.Module
        A module that maps (B, *sample_shape) to (B, num_classes), as what :func:`logits_of` finds in its output. Of a
        module that was compiled or spread over GPUs it is the module inside.

    Raises
    ------
    OptionError
        If there is no model of that name, or the function takes something else.
    ProblemError
        If the module has no parameters, or some without numbers, its output has another shape, or it was scripted.
    """
    if isinstance(model, nn.Module):
        made = model
    else:
        builder = model if callable(model) else _named(model)
        try:
            inspect.signature(builder).bind(sample_shape, num_classes)
        except TypeError as error:
            raise OptionError(f"model: expected a function (sample_shape, num_classes), {error}") from None
        with OwnNoise(int(rng.integers(2**63))):
            made = builder(sample_shape, num_classes)
        if not isinstance(made, nn.Module):
            raise ProblemError(
                f"model: expected a function that returns a torch.nn.Module, got {type(made).__name__}"
            )
    made = unwrapped(made)
    _refuse_unusable(made)
    if not any(parameter.requires_grad for parameter in made.parameters()):
        raise ProblemError("model: expected a torch.nn.Module with parameters to train")
    training = made.training
    try:
        with torch.no_grad():
            two = next(made.parameters()).new_zeros(2, *sample_shape)  # of the model's own number type
            output = made.eval()(two)
    except Exception as error:  # a user's program can fail in any way
        raise ProblemError(f"model: does not take samples of shape {sample_shape}: {error}") from error
    finally:
        made.train(training)
    shape = tuple(logits_of(output).shape)
    if shape != (2, num_classes):
        raise ProblemError(
            f"model: expected logits of shape (2, {num_classes}) for two samples, one per class, got {shape}"
        )
    return made


def tied(model: nn.Module) -> bool:
    """Whether a network has some weights by several names, as an output layer that shares those of the input."""
    return any(
        len(list(named(remove_duplicate=False))) > len(list(named()))
        for named in (model.named_parameters, model.named_buffers)
    )


def logits_of(output: Any) -> Tensor:
    """Return the logits in a model's output: the tensor, the first of several, or the one by the name "logits".

    Parameters
    ----------
    output : Tensor, tuple, list or mapping
        What the model returned.

    Returns
    -------
    Tensor
        Logits.

    Raises
    ------
    ProblemError
        If there are none.
    """
    found = output
    if isinstance(output, Mapping):
        found = output.get("logits")
    elif isinstance(output, (tuple, list)) and output:
        found = output[0]
    if not isinstance(found, Tensor):
        got = (
            f"a mapping of {', '.join(map(str, output))}" if isinstance(output, Mapping) else shorten(output)
        )
        raise ProblemError(
            f"model: expected logits, or several tensors of which logits are the first or have that name, got {got}"
        )
    return found


def unwrapped(model: nn.Module) -> nn.Module:
    """Return what ``torch.compile``, ``DataParallel`` or ``DistributedDataParallel`` was made of."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(inside := getattr(model, "_orig_mod", None), nn.Module):
            model = inside
        else:
            return model


def _refuse_unusable(model: nn.Module) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        raise ProblemError("model: a scripted module takes no other weights: give what it was made of")
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if nn.parameter.is_lazy(value):
            raise ProblemError(
                f"model: {name} has no size yet: run the model on a sample once, or give its layer the size"
            )
        if value.is_meta:
            raise ProblemError(
                f"model: {name} has no numbers, as it was made on the device meta: make it on cpu"
            )


def _named(model: str) -> Builder:
    """Find the builder of a name, with its size if one is given."""
    name, colon, size = model.partition(":") if isinstance(model, str) else (model, "", "")
    builder = choose("model", name, MODELS, "a torch.nn.Module")
    if not colon:
        return builder
    if len(inspect.signature(builder).parameters) < 3 or not re.fullmatch("[1-9][0-9]{0,5}", size):
        sized = ", ".join(
            f"{name}:SIZE" for name in MODELS if len(inspect.signature(MODELS[name]).parameters) == 3
        )
        raise OptionError(f"model {model!r}: expected {sized}, or a plain name")
    return lambda shape, classes: builder(shape, classes, int(size))  # type: ignore[call-arg]


def require_flat(model: nn.Module) -> None:
    """Refuse a model whose samples do not pass independently of each other.

    Training all devices on one flat batch is exact because the loss of a sample does not depend on which
    others are in the batch. Batch normalisation breaks that: it would average over the samples of all
    devices, where each device has only its own. Dropout draws its noise for the whole batch at once, so that
    a device's noise would depend on the others.

    Parameters
    ----------
    model : torch.nn.Module
        The model.

    Raises
    ------
    ProblemError
        If it contains batch normalisation, or dropout with a positive probability; the message names the
        layer.
    """
    if found := stateful_layer(model):
        what, advice = "mixes the samples of all devices", "use GroupNorm or LayerNorm"
    elif found := random_layer(model):
        what, advice = "draws one noise for the samples of all devices", "set its probability to 0"
    else:
        return
    raise ProblemError(
        f"model: {found} {what} when they form one batch: {advice}, or take a scheme that trains a model per device, "
        "as fedavg"
    )


def stateful_layer(model: nn.Module) -> str:
    """Name the first layer of batch normalisation, or nothing."""
    return _first(model, lambda layer: isinstance(layer, _STATEFUL))


def random_layer(model: nn.Module) -> str:
    """Name the first layer that draws noise, or nothing."""
    return _first(model, lambda layer: isinstance(layer, _RANDOM) and getattr(layer, "p", 1.0) > 0)


def _first(model: nn.Module, matches: Callable[[nn.Module], bool]) -> str:
    found = ((name, layer) for name, layer in model.named_modules() if matches(layer))
    return next((f"{type(layer).__name__} ({shorten(name)})" for name, layer in found), "")


def _size(sample_shape: tuple[int, ...]) -> int:
    return torch.Size(sample_shape).numel()
