"""Many users' models at once, with one step of a rule for all their weights, whose state outlives the round."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from learning.local.batches import Batches
from learning.local.globals import fresh_torch
from learning.local.optimisers import Rule
from learning.local.steps import count_steps
from learning.local.train import MAX_CONVOLVED
from learning.models.build import random_layer
from learning.models.noise import OwnNoise, draws
from learning.models.students import Imitation, Split
from learning.models.weights import Rows
from learning.options import choose
from radioopt.base.errors import ProblemError

#: ``loss(outputs (N, ...), rows (N,)) -> (N,)``, of every sample by its row among the training samples
RowLoss = Callable[[Tensor, Tensor], Tensor]
#: from weights (k, ...) and samples (k, B, ...) to outputs (k, B, ...)
Forward = Callable[[Rows, Tensor], Tensor]
#: what a step rule keeps goes by these names in a device's rows
SLOT, TAKEN = "slot/{}", "slot/taken"
ENGINES = ("auto", "stacked", "plain")


@dataclass(frozen=True, eq=False)
class Students:
    """Models after training.

    Parameters
    ----------
    own : mapping of str to Tensor
        Weights, buffers, and what the rule keeps, shapes (k, ...).
    loss : Tensor, shape (k,)
        Mean loss over the samples, each before the step that used it; NaN for a user that rested.
    """

    own: Rows
    loss: Tensor


@fresh_torch()
def train_students(
    model: nn.Module,
    x: Tensor,
    own: Rows,
    batches: Batches,
    *,
    learning_rate: float,
    rule: Rule,
    loss: RowLoss,
    engine: str = "auto",
    seeds: Sequence[int] | None = None,
) -> Students:
    """Train the models of some users of one architecture, each from where its last step left it.

    Parameters
    ----------
    model : torch.nn.Module
        The architecture; never changed.
    x : Tensor, shape (N, ...)
        Samples that the batches index.
    own : mapping of str to Tensor
        Weights and buffers by name, shapes (k, ...), and what the rule kept of earlier rounds, if there were any.
    batches : Batches
        From :func:`learning.local.batches.cycling`; all batches of a user have the same size.
    learning_rate : float
        > 0.
    rule : Rule
        From gradients to steps.
    loss : callable
        Of every sample, by what the model returns and by its row.
    engine : {"auto", "stacked", "plain"}
        "stacked": all users of equal batches in one step. "plain": one user after the other. "auto": stacked, unless
        the model draws noise or has convolutions over batches that keep a core busy.
    seeds : sequence of k int, optional
        Of each user's noise.

    Returns
    -------
    Students
        After all steps.

    Raises
    ------
    OptionError
        If there is no such engine.
    ProblemError
        If a model with noise is to be stacked, or a batch fails.
    """
    choose("engine", engine, dict.fromkeys(ENGINES))
    noisy = bool(random_layer(model)) or draws(model, x)
    if engine == "stacked" and noisy:
        raise ProblemError(
            f"engine stacked: {random_layer(model) or 'a model with noise'} would draw another noise"
        )
    convolved = any(isinstance(layer, nn.modules.conv._ConvNd) for layer in model.modules())
    large = convolved and batches.index.shape[2] * x[0].numel() > MAX_CONVOLVED
    apart = engine == "plain" or (engine == "auto" and (noisy or large))
    count, sizes = batches.index.shape[1], batches.size.amax(0).numpy()
    groups = (
        [np.array([place]) for place in range(count)]
        if apart
        else [np.flatnonzero(sizes == size) for size in np.unique(sizes)]
    )
    done: dict[str, list[Tensor]] = {}
    losses = torch.full((count,), torch.nan, dtype=torch.float64)
    for places in groups:
        some = torch.from_numpy(places)
        rows = {name: value.detach()[some.to(value.device)] for name, value in own.items()}
        part = Batches(batches.index[:, some], batches.size[:, some])
        noise = OwnNoise((seeds or [0] * count)[places[0]], x.device) if noisy else nullcontext()
        with noise:
            found, losses[some] = _together(model, x, rows, part, learning_rate, rule, loss)
        for name, value in found.items():
            done.setdefault(name, []).append(value)
    back = torch.from_numpy(np.argsort(np.concatenate(groups)))
    return Students(
        {name: torch.cat(parts)[back.to(parts[0].device)] for name, parts in done.items()}, losses
    )


def _together(
    model: nn.Module, x: Tensor, own: Rows, batches: Batches, learning_rate: float, rule: Rule, loss: RowLoss
) -> tuple[dict[str, Tensor], Tensor]:
    """Train users whose batches have one size; those with fewer steps are last and drop out of the stack."""
    module = copy.deepcopy(model).train()
    trained = {name: value.shape for name, value in module.named_parameters() if value.requires_grad}
    steps = count_steps(batches)
    order = torch.argsort(steps, descending=True, stable=True)
    there = order.to(x.device)
    ended = {name: value[there] for name, value in own.items() if "/" not in name}
    flat = torch.cat([ended[name].flatten(1) for name in trained], 1)
    lengths = [shape.numel() for shape in trained.values()]
    slots = {
        slot: own[SLOT.format(slot)][there] if SLOT.format(slot) in own else torch.zeros_like(flat)
        for slot in rule.kept()
    }
    taken = own[TAKEN][there].clone() if TAKEN in own else flat.new_zeros(len(order), dtype=torch.float64)
    forward = layered(module) or vmap(
        lambda values, x: functional_call(module, dict(values), (x,)), randomness="error"
    )
    if len(order) == 1 and layered(module) is None:  # vectorising one model only costs
        forward = _alone(module)
    buffers = {name: value for name, value in ended.items() if name not in trained}
    sums = torch.zeros(len(order), dtype=torch.float64, device=x.device)
    active = (steps[order] > torch.arange(len(batches.size))[:, None]).sum(1).tolist()
    indices = batches.index[:, order].to(x.device)
    width = int(batches.size.amax()) if batches.size.numel() else 0
    for number, index in zip(active, indices, strict=True):
        if not number or not width:
            break
        rows = index[:number, :width]
        weights = flat[:number]
        leaves = [
            piece.view(number, *shape).requires_grad_()
            for piece, shape in zip(weights.detach().split(lengths, 1), trained.values(), strict=True)
        ]
        values = dict(zip(trained, leaves, strict=True)) | {n: v[:number] for n, v in buffers.items()}
        try:
            outputs = forward(values, x[rows])
        except ValueError as error:  # batch normalisation cannot do with one sample
            raise ProblemError(f"model: batches of {width} fail: {error}") from error
        losses = loss(outputs.flatten(0, 1), rows.flatten()).view(number, width)
        means = losses.mean(1)
        gradients = torch.autograd.grad(means.sum(), leaves, materialize_grads=True)
        with torch.no_grad():
            sums[:number] += means
            taken[:number] += 1
            gradient = torch.cat([value.reshape(number, -1) for value in gradients], 1)
            kept = {slot: value[:number] for slot, value in slots.items()}
            move = rule.direction(weights, gradient, kept, taken[:number, None], None)
            weights.sub_(move, alpha=min(learning_rate, torch.finfo(flat.dtype).max))
    for (name, shape), piece in zip(trained.items(), flat.split(lengths, 1), strict=True):
        ended[name] = piece.reshape(-1, *shape)
    ended |= buffers
    kept = {SLOT.format(slot): value for slot, value in slots.items()}
    found = {name: ended[name] for name in own if name in ended} | kept | {TAKEN: taken}
    back = torch.argsort(there)
    mean = (sums.cpu() / steps[order])[torch.argsort(order)]  # 0 / 0 is NaN: that user rested
    return {name: value[back] for name, value in found.items()}, mean


def _alone(module: nn.Module) -> Forward:
    """Run a single model by itself, its buffers in place."""

    def forward(values: Rows, x: Tensor) -> Tensor:
        own = {name: value[0] for name, value in values.items()}
        output: Tensor = functional_call(module, own, (x[0],))
        return output[None]

    return forward


# -- stacks of perceptrons, without vectorising anything ----------------------------------------------------------

Layer = Callable[[Rows, Tensor], Tensor]


def layered(model: nn.Module) -> Forward | None:
    """Return the forward pass of many perceptrons as one product and one normalisation a layer; None for others.

    Features are kept as (k, F, B), so that linear layers are batched products, and batch normalisation of all users is
    one of k F channels.
    """
    found = _layers(model, "")
    if found is None:
        return None

    def forward(values: Rows, x: Tensor) -> Tensor:
        hidden = x.flatten(2).transpose(1, 2)
        for layer in found:
            hidden = layer(values, hidden)
        return hidden.transpose(1, 2)

    return forward


def _layers(model: nn.Module, path: str) -> list[Layer] | None:
    """Return the layers of a perceptron, or None if one of them is not known here."""
    if isinstance(model, Imitation):
        inside = (
            None if model.maps else [_layers(model.body, "body."), _layers(model.projector, "projector.")]
        )
        if inside is None or inside[0] is None or inside[1] is None:
            return None
        last = [] if model.imitates else [_linear("teacher_weight", "teacher_bias")]
        return [*inside[0], *inside[1], *last]
    if isinstance(model, Split):
        parts: Sequence[tuple[str, nn.Module]] = [("body", model.body), ("classifier", model.classifier)]
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
        return [lambda values, hidden: hidden.relu()]
    if kind is nn.Linear:
        return [_linear(f"{path}weight", f"{path}bias" if model.bias is not None else None)]
    if isinstance(model, nn.BatchNorm1d) and model.affine and model.track_running_stats and model.momentum:
        return [_normal(path, float(model.momentum), model.eps)]
    return None


def _linear(weight: str, bias: str | None) -> Layer:
    def apply(values: Rows, hidden: Tensor) -> Tensor:
        if bias is None:
            return torch.bmm(values[weight], hidden)
        return torch.baddbmm(values[bias][:, :, None], values[weight], hidden)

    return apply


def _normal(path: str, momentum: float, epsilon: float) -> Layer:
    def apply(values: Rows, hidden: Tensor) -> Tensor:
        values[f"{path}num_batches_tracked"].add_(1)
        scale, shift, mean, variance = (
            values[f"{path}{name}"].reshape(-1) for name in ("weight", "bias", "running_mean", "running_var")
        )
        count, width, size = hidden.shape
        found = nn.functional.batch_norm(
            hidden.reshape(1, count * width, size), mean, variance, scale, shift, True, momentum, epsilon
        )
        return found.view(count, width, size)

    return apply
