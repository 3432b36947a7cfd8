"""Stacks of perceptrons: forward and backward of many at once, an operation or two a layer, and no graph.

Features are kept as (k, F, B), so that a linear layer of k users is a batched product, and their batch normalisation is
one of k F channels. Small layers take less time than torch takes to note what it did, which is why nothing is noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from learning.models.students import Imitation, Split
from learning.models.weights import Rows


class Layer(Protocol):
    """One layer of many perceptrons."""

    def forward(self, values: Rows, hidden: Tensor) -> tuple[Tensor, Any]:
        """Return the next features, and what the way back needs."""

    def backward(self, values: Rows, kept: Any, slope: Tensor, found: dict[str, Tensor]) -> Tensor:
        """Add the gradients of the layer's weights to `found`; return that of what it got."""


class _Linear:
    """Batched products."""

    def __init__(self, weight: str, bias: str | None) -> None:
        self.weight, self.bias = weight, bias

    def forward(self, values: Rows, hidden: Tensor) -> tuple[Tensor, Any]:
        weight = values[self.weight]
        if self.bias is None:
            return torch.bmm(weight, hidden), hidden
        return torch.baddbmm(values[self.bias].unsqueeze(2), weight, hidden), hidden

    def backward(self, values: Rows, kept: Any, slope: Tensor, found: dict[str, Tensor]) -> Tensor:
        found[self.weight] = torch.bmm(slope, kept.transpose(1, 2))
        if self.bias is not None:
            found[self.bias] = slope.sum(2)
        return torch.bmm(values[self.weight].transpose(1, 2), slope)


class _Relu:
    """Rectified linear units."""

    def forward(self, values: Rows, hidden: Tensor) -> tuple[Tensor, Any]:
        found = hidden.relu()
        return found, found

    def backward(self, values: Rows, kept: Any, slope: Tensor, found: dict[str, Tensor]) -> Tensor:
        return torch.ops.aten.threshold_backward(slope, kept, 0)  # type: ignore[no-any-return]


class _Normal:
    """Batch normalisation of each user's own batch, whose running averages are changed in place."""

    def __init__(self, path: str, momentum: float, epsilon: float) -> None:
        self.momentum, self.epsilon = momentum, epsilon
        self.names = [f"{path}{name}" for name in ("weight", "bias", "running_mean", "running_var")]
        self.count = f"{path}num_batches_tracked"

    def forward(self, values: Rows, hidden: Tensor) -> tuple[Tensor, Any]:
        if hidden.shape[2] < 2:
            raise ValueError("expected more than 1 sample in a batch that is normalised")
        values[self.count].add_(1)
        scale, shift, mean, variance = (values[name].reshape(-1) for name in self.names)
        channels = hidden.reshape(1, -1, hidden.shape[2])
        found, *saved = torch.native_batch_norm(
            channels, scale, shift, mean, variance, True, self.momentum, self.epsilon
        )
        return found.view(hidden.shape), (channels, scale, mean, variance, *saved)

    def backward(self, values: Rows, kept: Any, slope: Tensor, found: dict[str, Tensor]) -> Tensor:
        channels, scale, mean, variance, saved_mean, saved_inverse = kept
        back, *own = torch.ops.aten.native_batch_norm_backward(
            slope.reshape(channels.shape),
            channels,
            scale,
            mean,
            variance,
            saved_mean,
            saved_inverse,
            True,
            self.epsilon,
            [True, True, True],
        )
        for name, value in zip(self.names[:2], own, strict=True):
            found[name] = value.view(values[name].shape)
        return back.view(slope.shape)  # type: ignore[no-any-return]


class Perceptrons:
    """Many perceptrons with the same layers.

    Parameters
    ----------
    layers : sequence of Layer
        In the order of the forward pass.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers

    def forward(self, values: Rows, x: Tensor) -> tuple[Tensor, list[Any]]:
        """Run many models in training.

        Parameters
        ----------
        values : mapping of str to Tensor
            Weights and running averages, shapes (k, ...); the averages are changed.
        x : Tensor, shape (k, B, ...)
            Samples of each.

        Returns
        -------
        outputs : Tensor, shape (k, B, L)
            Of each.
        kept : list
            For the way back.

        Raises
        ------
        ValueError
            If a batch of one sample is to be normalised.
        """
        hidden, kept = x.flatten(2).transpose(1, 2), []
        for layer in self.layers:
            hidden, own = layer.forward(values, hidden)
            kept.append(own)
        return hidden.transpose(1, 2), kept

    def backward(self, values: Rows, kept: list[Any], slope: Tensor) -> dict[str, Tensor]:
        """Return the gradients of all weights, from that of the outputs, shape (k, B, L)."""
        back, found = (
            slope.transpose(1, 2).contiguous(),
            dict[str, Tensor](),
        )  # walked in one order from here on
        for layer, own in zip(reversed(self.layers), reversed(kept), strict=True):
            back = layer.backward(values, own, back, found)
        return found


def perceptrons(model: nn.Module) -> Perceptrons | None:
    """Return a network as a stack of perceptrons, or None if it has layers that are not known here."""
    found = _layers(model, "")
    return None if found is None else Perceptrons(found)


def _layers(model: nn.Module, path: str) -> list[Layer] | None:
    if isinstance(model, Imitation):
        if model.maps or not model.imitates:
            return None
        parts: list[tuple[str, nn.Module]] = [("body", model.body), ("projector", model.projector)]
    elif isinstance(model, Split):
        parts = [("body", model.body), ("classifier", model.classifier)]
    elif type(model) is nn.Sequential:
        parts = list(model.named_children())
    else:
        return _layer(model, path)
    found: list[Layer] = []
    for name, part in parts:
        layers = _layers(part, f"{path}{name}.")
        if layers is None:
            return None
        found += layers
    return found


def _layer(model: nn.Module, path: str) -> list[Layer] | None:
    kind = type(model)
    if kind in (nn.Flatten, nn.Identity):
        return []  # samples are flat already
    if kind is nn.ReLU:
        return [_Relu()]
    if kind is nn.Linear and all(value.requires_grad for value in model.parameters()):
        return [_Linear(f"{path}weight", f"{path}bias" if model.bias is not None else None)]
    if isinstance(model, nn.BatchNorm1d) and model.affine and model.track_running_stats and model.momentum:
        return [_Normal(path, float(model.momentum), model.eps)]
    return None
