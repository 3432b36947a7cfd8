"""Local steps: the two engines themselves, device by device and all devices at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from learning.local.batches import Batches, picked
from learning.local.losses import Loss, cross_entropy
from learning.local.optimisers import Rule, Sgd
from learning.models.build import logits_of
from learning.models.noise import OwnNoise
from learning.models.weights import Rows
from radioopt.base.errors import ProblemError

Samples = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class Recipe:
    """How devices train: what :func:`learning.local.train.train_devices` is told beside model, samples and batches.

    Parameters
    ----------
    learning_rate : float
        > 0.
    rule : Rule, default plain gradient descent
        From gradients to steps.
    proximal : float, default 0
        Pull >= 0 towards the weights at the start.
    drift : mapping of str to Tensor, optional
        Added to every gradient of each device, shapes (K, ...), as SCAFFOLD's control variates are.
    loss : callable, default cross_entropy
        Of every sample.
    collect : bool, default False
        Whether mean outputs per label are collected.
    seeds : sequence of int, optional
        Seed of each device's noise, for a model that draws any.
    """

    learning_rate: float
    rule: Rule = field(default_factory=Sgd)
    proximal: float = 0.0
    drift: Rows = field(default_factory=dict)
    loss: Loss = cross_entropy
    collect: bool = False
    seeds: Sequence[int] | None = None


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
    steps : Tensor of int64, shape (K,)
        Steps that each device took.
    output : Tensor, shape (K, L, L), or None
        If collected: per device and ground-truth label the mean of the softmax outputs of its samples with
        this label, just before the step that used them; NaN where a device drew no such sample.
    output_count : Tensor of int64, shape (K, L), or None
        If collected: the samples behind each mean.
    """

    parameters: Rows
    loss: Tensor
    samples: Tensor
    steps: Tensor
    output: Tensor | None = None
    output_count: Tensor | None = None


class Account:
    """Sums over the samples of each device: losses, and softmax outputs by label if collected."""

    def __init__(self, devices: int, y: Tensor, collect: bool) -> None:
        self.loss = torch.zeros(devices, dtype=torch.float64, device=y.device)
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
            self.counts = y.new_zeros(len(self.loss) * classes)
        assert self.counts is not None
        one = torch.ones_like(y) if used is None else used.long()
        outputs = logits.softmax(1) if used is None else torch.where(used[:, None], logits.softmax(1), 0.0)
        self.sums.index_add_(0, device * classes + y, outputs)
        self.counts.index_add_(0, device * classes + y, one)

    def close(self, parameters: Rows, batches: Batches) -> Trained:
        """Turn sums into means."""
        samples, steps = batches.samples.to(self.loss.device), (batches.size > 0).sum(0)
        loss = self.loss / samples  # 0 / 0 is NaN
        if self.sums is None or self.counts is None:
            return Trained(parameters, loss, samples, steps)
        shape = (len(self.loss), -1)
        output = (self.sums / self.counts[:, None]).view(*shape, self.sums.shape[1])
        return Trained(parameters, loss, samples, steps, output, self.counts.view(shape))


def one_by_one(model: nn.Module, samples: Samples, start: Rows, batches: Batches, recipe: Recipe) -> Trained:
    """Train device after device: the oracle of the other engine."""
    x, y = samples
    own = copy.deepcopy(model).train()
    weights = {name: value for name, value in own.named_parameters() if value.requires_grad}
    held = {**dict(own.named_parameters()), **dict(own.named_buffers())}
    ended = {name: value.clone() for name, value in start.items()}
    account = Account(batches.size.shape[1], y, recipe.collect)
    kept = recipe.rule.kept()
    for device in range(batches.size.shape[1]):
        noise = nullcontext() if recipe.seeds is None else OwnNoise(recipe.seeds[device], x.device)
        with noise, torch.no_grad():
            for name, value in start.items():
                held[name].copy_(value[device])
            slots = {
                name: {slot: torch.zeros_like(value)[None] for slot in kept}
                for name, value in weights.items()
            }
            taken = 0
            for index, size in zip(batches.index[:, device], batches.size[:, device].tolist(), strict=True):
                if size == 0:
                    continue
                rows = index[:size].to(x.device)
                owner = torch.full((size,), device, device=x.device)
                with torch.enable_grad():
                    try:
                        logits = logits_of(own(picked(x, rows)))
                    except ValueError as error:  # batch normalisation cannot do with one sample
                        raise ProblemError(
                            f"model: a batch of {size} fails on device {device}: {error}"
                        ) from error
                    losses = recipe.loss(logits, y[rows], owner)
                    gradients = torch.autograd.grad(
                        losses.mean(), list(weights.values()), materialize_grads=True
                    )
                account.add(logits, y[rows], owner, losses, None)
                taken += 1
                for (name, value), gradient in zip(weights.items(), gradients, strict=True):
                    if recipe.proximal:
                        gradient = gradient + recipe.proximal * (value - start[name][device])
                    if name in recipe.drift:
                        gradient = gradient + recipe.drift[name][device]
                    count = _numbers([taken], value.dim(), value.device)
                    move = recipe.rule.direction(value[None], gradient[None], slots[name], count, None)[0]
                    value.sub_(move, alpha=_rate(recipe.learning_rate, value))
            for name in start:
                ended[name][device] = held[name].detach()
    return account.close(ended, batches)


def all_at_once(model: nn.Module, samples: Samples, start: Rows, batches: Batches, recipe: Recipe) -> Trained:
    """Train all devices at once; those that rest from some step on are last and drop out of the stack."""
    x, y = samples
    where = x.device
    own = copy.deepcopy(model).train()
    trained = [name for name, value in own.named_parameters() if value.requires_grad]
    order = torch.argsort(count_steps(batches), descending=True, stable=True)
    there = order.to(where)
    ended = {name: value[there] for name, value in start.items()}
    begin = {name: ended[name].clone() for name in trained} if recipe.proximal else {}
    drift = {name: value[there] for name, value in recipe.drift.items()}
    sizes, indices = batches.size[:, order], batches.index[:, order].to(where)
    account = Account(len(order), y, recipe.collect)
    active = (count_steps(batches)[order] > torch.arange(len(sizes))[:, None]).sum(1).tolist()
    widths = sizes.amax(1).tolist() if len(sizes) else []
    padded = (sizes != sizes.amax(1, keepdim=True)).any(1).tolist() if len(sizes) else []
    kept = recipe.rule.kept()
    pulled = bool(kept or recipe.proximal or drift or recipe.rule.weight_decay)  # also without samples
    slots: dict[str, dict[str, Tensor]] = {}
    taken = torch.zeros(len(order), dtype=torch.float64, device=where)
    forward = vmap(lambda values, x: logits_of(functional_call(own, values, (x,))))
    laid_out = len(sizes) < 2  # a single step is not worth it
    sizes = sizes.to(where)
    for index, size, count, width, ragged in zip(indices, sizes, active, widths, padded, strict=True):
        if width == 0:
            continue
        rows, size = index[:count, :width], size[:count]
        values = {name: value[:count] for name, value in ended.items()}
        leaves = {name: values[name].detach().requires_grad_() for name in trained}
        with torch.enable_grad():
            try:
                logits = forward({**values, **leaves}, picked(x, rows)).flatten(0, 1)
            except ValueError as error:  # batch normalisation cannot do with one sample
                raise ProblemError(f"model: batches of {width} fail: {error}") from error
            labels, owner = y[rows].flatten(0, 1), there[:count].repeat_interleave(width)
            used = (torch.arange(width, device=where) < size[:, None]).flatten() if ragged else None
            losses = recipe.loss(logits, labels, owner)
            account.add(logits, labels, owner, losses, used)
            weight = (1.0 / size.clamp(min=1).to(losses.dtype)).repeat_interleave(width)
            if used is not None:
                weight, losses = weight * used, torch.where(used, losses, 0.0)
            gradients = torch.autograd.grad(
                (weight * losses).sum(), list(leaves.values()), materialize_grads=True
            )
        if not laid_out:
            for name, gradient in zip(trained, gradients, strict=True):
                for group in (ended, begin, drift):
                    if name in group:
                        group[name] = lay_out(group[name], gradient)
            laid_out = True
        moves = size > 0 if ragged else None
        taken[:count] += 1 if moves is None else moves
        with torch.no_grad():
            for name, gradient in zip(trained, gradients, strict=True):
                value = ended[name][:count]
                shape = (-1, *[1] * (value.dim() - 1))
                still = None if moves is None else moves.view(shape)
                if recipe.proximal:
                    gradient = gradient + recipe.proximal * (value - begin[name][:count])
                if name in drift:
                    gradient = gradient + drift[name][:count]
                if kept and name not in slots:
                    slots[name] = {slot: torch.zeros_like(ended[name]) for slot in kept}
                own_slots = {slot: kept_[:count] for slot, kept_ in slots.get(name, {}).items()}
                move = recipe.rule.direction(value, gradient, own_slots, taken[:count].view(shape), still)
                if still is not None and pulled:
                    move = torch.where(still, move, 0.0)
                value.sub_(move, alpha=_rate(recipe.learning_rate, value))
    back = torch.argsort(there)
    in_order = {name: value.index_select(0, back) for name, value in ended.items()}  # contiguous again
    return account.close(in_order, batches)


def _rate(rate: float, value: Tensor) -> float:
    """Return a learning rate as far as the weights' numbers go: beyond them a step is infinite anyway."""
    return min(rate, torch.finfo(value.dtype).max)


def _numbers(values: Sequence[int], dim: int, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=device).view(-1, *[1] * dim)


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
