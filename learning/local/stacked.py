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

from learning.local.batches import Batches, picked
from learning.local.distilling import Sloped
from learning.local.globals import fresh_torch
from learning.local.optimisers import Rule
from learning.local.perceptrons import perceptrons
from learning.local.steps import count_steps
from learning.local.train import MAX_CONVOLVED
from learning.models.build import random_layer
from learning.models.noise import OwnNoise, draws
from learning.models.weights import Rows
from learning.options import choose
from radioopt.base.errors import ProblemError

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
    loss: Sloped,
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
        Of every sample, by what the model returns and by its row, with its gradient in what the model returns.
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
    parts: list[tuple[dict[str, Tensor], Tensor]] = []
    for places in groups:
        some = torch.from_numpy(places)
        rows = (
            own if len(groups) == 1 else {name: value[some.to(value.device)] for name, value in own.items()}
        )
        part = batches if len(groups) == 1 else Batches(batches.index[:, some], batches.size[:, some])
        noise = OwnNoise((seeds or [0] * count)[places[0]], x.device) if noisy else nullcontext()
        with noise:
            parts.append(_together(model, x, rows, part, learning_rate, rule, loss))
    if len(parts) == 1:
        return Students(*parts[0])
    back = torch.from_numpy(np.argsort(np.concatenate(groups)))
    names = parts[0][0]
    done = {name: torch.cat([part[0][name] for part in parts])[back.to(x.device)] for name in names}
    return Students(done, torch.cat([part[1] for part in parts])[back])


@torch.no_grad()
def _together(
    model: nn.Module, x: Tensor, own: Rows, batches: Batches, learning_rate: float, rule: Rule, loss: Sloped
) -> tuple[dict[str, Tensor], Tensor]:
    """Train users whose batches have one size; those with fewer steps are last and drop out of the stack."""
    trained = {name: value.shape for name, value in model.named_parameters() if value.requires_grad}
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
    known = perceptrons(model)
    forward = None if known is not None else _vectorised(copy.deepcopy(model).train(), len(order))
    buffers = {name: value for name, value in ended.items() if name not in trained}
    sums = torch.zeros(len(order), dtype=torch.float64, device=x.device)
    active = (steps[order] > torch.arange(len(batches.size))[:, None]).sum(1).tolist()
    indices = batches.index[:, order].to(x.device)
    width = int(batches.size.amax()) if batches.size.numel() else 0
    for number, index in zip(active, indices, strict=True):
        if not number or not width:
            break
        rows = index[:number, :width]
        samples = picked(x, rows)
        weights, pieces = flat[:number], flat[:number].split(lengths, 1)
        values = {
            name: piece.unflatten(1, shape)
            for (name, shape), piece in zip(trained.items(), pieces, strict=True)
        } | {name: value[:number] for name, value in buffers.items()}
        try:
            if known is not None:
                outputs, way = known.forward(values, samples)
            else:
                leaves = {name: values[name].detach().requires_grad_() for name in trained}
                with torch.enable_grad():
                    outputs = forward({**values, **leaves}, samples)  # type: ignore[misc]
        except ValueError as error:  # batch normalisation cannot do with one sample
            raise ProblemError(f"model: batches of {width} fail: {error}") from error
        losses, slope = loss(outputs.detach().flatten(0, 1), rows.flatten())
        slope = slope.mul_(1.0 / width).view(outputs.shape)
        if known is not None:
            gradients = known.backward(values, way, slope)
        else:
            found = torch.autograd.grad(outputs, list(leaves.values()), slope, materialize_grads=True)
            gradients = dict(zip(trained, found, strict=True))
        sums[:number] += losses.view(number, width).mean(1)
        taken[:number] += 1
        gradient = torch.cat([gradients[name].flatten(1) for name in trained], 1)
        kept = {slot: value[:number] for slot, value in slots.items()}
        move = rule.direction(weights, gradient, kept, taken[:number, None], None)
        weights.sub_(move, alpha=min(learning_rate, torch.finfo(flat.dtype).max))
    for (name, shape), piece in zip(trained.items(), flat.split(lengths, 1), strict=True):
        ended[name] = piece.reshape(-1, *shape)
    ended |= buffers
    kept = {SLOT.format(slot): value for slot, value in slots.items()}
    done = {name: ended[name] for name in own if name in ended} | kept | {TAKEN: taken}
    back = torch.argsort(there)
    mean = (sums.cpu() / steps[order])[torch.argsort(order)]  # 0 / 0 is NaN: that user rested
    return {name: value[back] for name, value in done.items()}, mean


def _vectorised(module: nn.Module, count: int) -> Forward:
    """Run any module with many weights; a single one by itself, which vectorising would only slow down."""
    if count > 1:
        return vmap(lambda values, x: functional_call(module, dict(values), (x,)), randomness="error")

    def forward(values: Rows, x: Tensor) -> Tensor:
        own = {name: value[0] for name, value in values.items()}
        output: Tensor = functional_call(module, own, (x[0],))
        return output[None]

    return forward
