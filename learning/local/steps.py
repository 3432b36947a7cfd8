"""Local steps: the two engines themselves, device by device and all devices at once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from learning.local.batches import Batches
from learning.task import Parameters
from radioopt.base.errors import ProblemError

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Samples = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Trained:
    """Models after local training, and what was seen on the way.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        Weights of all devices, stacked: shape (K, ...) each.
    loss : Tensor, shape (K,)
        Mean over all samples that the device trained with of the loss just before the step that used them
        [nat], without the proximal term; NaN for a device that rested.
    samples : Tensor of int64, shape (K,)
        Samples that each device trained with, repetitions counted.
    output : Tensor, shape (K, L, L), or None
        If collected: per device and ground-truth label the mean of the softmax outputs of its samples with
        this label, just before the step that used them; NaN where a device drew no such sample.
    output_count : Tensor of int64, shape (K, L), or None
        If collected: the samples behind each mean.
    """

    parameters: Parameters
    loss: Tensor
    samples: Tensor
    output: Tensor | None = None
    output_count: Tensor | None = None


class Account:
    """Sums over the samples of each device: losses, and softmax outputs by label if collected."""

    def __init__(self, devices: int, y: Tensor, collect: bool) -> None:
        self.loss = torch.zeros(devices, dtype=torch.float64)
        self.labels = 0
        self.sums: Tensor | None = None
        self.counts: Tensor | None = None
        if collect and y.is_floating_point():
            raise ProblemError("collect: outputs are collected per label, so labels must be whole numbers")
        self.collect = collect

    def add(self, logits: Tensor, y: Tensor, device: Tensor, losses: Tensor, used: Tensor | None) -> None:
        """Add the samples of a step; those not used are padding."""
        logits, losses = logits.detach(), losses.detach()
        if used is not None:
            losses = torch.where(used, losses, 0.0)
        self.loss.index_add_(0, device, losses.double())
        if not self.collect:
            return
        classes = logits.shape[1]
        if self.sums is None:
            self.sums = logits.new_zeros(len(self.loss) * classes, classes)
            self.counts = torch.zeros(len(self.loss) * classes, dtype=torch.int64)
        one = torch.ones_like(y) if used is None else used.long()
        outputs = logits.softmax(1) if used is None else torch.where(used[:, None], logits.softmax(1), 0.0)
        self.sums.index_add_(0, device * classes + y, outputs)
        self.counts.index_add_(0, device * classes + y, one)  # type: ignore[union-attr]

    def close(self, parameters: Parameters, samples: Tensor) -> Trained:
        """Turn sums into means."""
        loss = self.loss / samples  # 0 / 0 is NaN
        if self.sums is None or self.counts is None:
            return Trained(parameters, loss, samples)
        shape = (len(self.loss), -1)
        output = self.sums / self.counts[:, None]
        return Trained(
            parameters, loss, samples, output.view(*shape, output.shape[1]), self.counts.view(shape)
        )


def one_by_one(
    model: nn.Module,
    samples: Samples,
    start: Parameters,
    batches: Batches,
    learning_rate: float,
    proximal: float,
    loss: Loss,
    collect: bool,
) -> Trained:
    """Train device after device: the oracle of the other engine."""
    x, y = samples
    own = copy.deepcopy(model).train()
    weights = {name: value for name, value in own.named_parameters() if value.requires_grad}
    held = {**dict(own.named_parameters()), **dict(own.named_buffers())}
    ended = {name: value.clone() for name, value in start.items()}
    account = Account(batches.size.shape[1], y, collect)
    seeds = torch.randint(2**62, (batches.size.shape[1],)).tolist()
    for device in range(batches.size.shape[1]):
        torch.manual_seed(seeds[device])  # a device's noise is its own, whatever the others draw
        with torch.no_grad():
            for name, value in start.items():
                held[name].copy_(value[device])
        for index, size in zip(batches.index[:, device], batches.size[:, device].tolist(), strict=True):
            if size == 0:
                continue
            rows = index[:size]
            owner = torch.full((size,), device)
            try:
                logits = own(x[rows])
            except ValueError as error:  # batch normalisation cannot do with one sample
                raise ProblemError(f"model: a batch of {size} fails on device {device}: {error}") from error
            losses = loss(logits, y[rows], owner)
            account.add(logits, y[rows], owner, losses, None)
            gradients = torch.autograd.grad(losses.mean(), list(weights.values()), materialize_grads=True)
            with torch.no_grad():
                for (name, value), gradient in zip(weights.items(), gradients, strict=True):
                    if proximal:
                        gradient = gradient + proximal * (value - start[name][device])
                    value.sub_(gradient, alpha=learning_rate)
        for name in start:
            ended[name][device] = held[name].detach()
    return account.close(ended, batches.samples)


def all_at_once(
    model: nn.Module,
    samples: Samples,
    start: Parameters,
    batches: Batches,
    learning_rate: float,
    proximal: float,
    loss: Loss,
    collect: bool,
) -> Trained:
    """Train all devices at once; those that rest from some step on are last and drop out of the stack."""
    x, y = samples
    own = copy.deepcopy(model).train()
    trained = [name for name, value in own.named_parameters() if value.requires_grad]
    order = torch.argsort(count_steps(batches), descending=True, stable=True)
    ended = {name: value[order] for name, value in start.items()}
    begin = {name: value.clone() for name, value in ended.items()} if proximal else {}
    sizes, indices = batches.size[:, order], batches.index[:, order]
    account = Account(len(order), y, collect)
    active = (count_steps(batches)[order] > torch.arange(len(sizes))[:, None]).sum(1).tolist()
    widths = sizes.amax(1).tolist() if len(sizes) else []
    padded = (sizes != sizes.amax(1, keepdim=True)).any(1).tolist() if len(sizes) else []
    forward = vmap(lambda values, x: functional_call(own, values, (x,)))
    laid_out = len(sizes) < 2  # a single step is not worth it
    for index, size, count, width, ragged in zip(indices, sizes, active, widths, padded, strict=True):
        if width == 0:
            continue
        rows, size = index[:count, :width], size[:count]
        values = {name: value[:count] for name, value in ended.items()}
        leaves = {name: values[name].detach().requires_grad_() for name in trained}
        try:
            logits = forward({**values, **leaves}, x[rows]).flatten(0, 1)
        except ValueError as error:  # batch normalisation cannot do with one sample
            raise ProblemError(f"model: batches of {width} fail: {error}") from error
        labels, owner = y[rows].flatten(0, 1), order[:count].repeat_interleave(width)
        used = (torch.arange(width) < size[:, None]).flatten() if ragged else None
        losses = loss(logits, labels, owner)
        account.add(logits, labels, owner, losses, used)
        weight = (1.0 / size.clamp(min=1).to(losses.dtype)).repeat_interleave(width)
        if used is not None:
            weight, losses = weight * used, torch.where(used, losses, 0.0)
        gradients = torch.autograd.grad(
            (weight * losses).sum(), list(leaves.values()), materialize_grads=True
        )
        if not laid_out:
            for name, gradient in zip(trained, gradients, strict=True):
                ended[name] = lay_out(ended[name], gradient)
                if proximal:
                    begin[name] = lay_out(begin[name], gradient)
            laid_out = True
        moves = (size > 0).to(losses.dtype) if ragged else None
        with torch.no_grad():
            for name, gradient in zip(trained, gradients, strict=True):
                value = ended[name][:count]
                if proximal:
                    pull = value - begin[name][:count]
                    if moves is not None:
                        pull *= moves.view(-1, *[1] * (value.dim() - 1))
                    gradient = gradient + proximal * pull
                value.sub_(gradient, alpha=learning_rate)
    back = torch.argsort(order)
    in_order = {name: value.index_select(0, back) for name, value in ended.items()}  # contiguous again
    return account.close(in_order, batches.samples)


def lay_out(value: Tensor, pattern: Tensor) -> Tensor:
    """Put a tensor into the order in memory of another: a step that walks both alike is several times as fast.

    The gradient of a stacked linear layer comes out of torch transposed.
    """
    order = sorted(range(value.dim()), key=pattern.stride, reverse=True)
    return value.permute(order).contiguous().permute([order.index(axis) for axis in range(value.dim())])


def count_steps(batches: Batches) -> Tensor:
    """Count the steps until each device has none left, shape (K,)."""
    number = torch.arange(1, len(batches.size) + 1)[:, None]
    return (number * (batches.size > 0)).amax(0) if len(batches.size) else batches.size.sum(0)
