"""Engines: train the models of all devices for some local steps, device by device or all at once."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from learning.batches import Batches
from learning.models import random_layer, stateful_layer
from learning.names import choose
from learning.task import Parameters, Task
from radioopt.base.errors import ProblemError

#: fewer devices train as fast one after the other: a stacked step costs about four plain ones of a small model
MIN_DEVICES = 5
#: features in the batch of a device from which on its convolutions keep a core busy, and stacking them gains nothing
MAX_CONVOLVED = 6000

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


def cross_entropy(logits: Tensor, y: Tensor, device: Tensor) -> Tensor:
    """Return the cross-entropy of each sample.

    Parameters
    ----------
    logits : Tensor, shape (N, L)
        Outputs of the models before the softmax.
    y : Tensor, shape (N,) of int64 or (N, L) of float
        Labels, or distributions over them.
    device : Tensor of int64, shape (N,)
        Whose samples these are; not used.

    Returns
    -------
    Tensor, shape (N,)
        In nat.
    """
    return functional.cross_entropy(logits, y, reduction="none")


def distillation(target: Tensor, weight: float, loss: Loss = cross_entropy) -> Loss:
    r"""Add to a loss the cross-entropy with a target output that depends on the label.

    With the softmax output F of a sample of label n and the target distribution :math:`G_n`,

    .. math::
        \phi(F, n) + \beta \psi(F, G_n), \qquad \psi(F, G) = -\sum_m G_m \log F_m.

    Parameters
    ----------
    target : Tensor, shape (L, L) or (K, L, L)
        Target output per ground-truth label, the same for all devices or one per device. A row with NaN is
        no target: it adds nothing.
    weight : float
        :math:`\beta >= 0`.
    loss : callable, default cross_entropy
        What it is added to.

    Returns
    -------
    callable
        A loss for :func:`train_devices`. For soft labels the targets are mixed as the labels are.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way
    Mixup", equations (3) and (5), whose regulariser lacks the minus sign.
    """
    known = torch.where(target.isnan().any(-1, keepdim=True), 0.0, target)

    def distilled(logits: Tensor, y: Tensor, device: Tensor) -> Tensor:
        table = known if known.dim() == 2 else known[device]
        if y.is_floating_point():
            goal = (y[:, None, :] @ table).squeeze(1) if table.dim() == 3 else y @ table
        else:
            goal = table[torch.arange(len(y)), y] if table.dim() == 3 else table[y]
        return loss(logits, y, device) - weight * (goal * logits.log_softmax(1)).sum(1)

    return distilled


def stack(parameters: Parameters, count: int) -> dict[str, Tensor]:
    """Give every device the same weights.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        Weights of one model.
    count : int
        Devices K.

    Returns
    -------
    dict of str to Tensor
        Shapes (K, ...); views that must not be written to.
    """
    return {name: value.expand(count, *value.shape) for name, value in parameters.items()}


def average(stacked: Parameters, weights: Tensor) -> dict[str, Tensor]:
    """Average models with the given weights.

    Parameters
    ----------
    stacked : mapping of str to Tensor
        Weights of all devices, shapes (K, ...).
    weights : Tensor, shape (K,)
        Weight of each device >= 0, not all zero; normalised here. A device of weight 0 does not count, even
        if its model diverged.

    Returns
    -------
    dict of str to Tensor
        Weights of one model. Whole numbers (a counter of batches) are rounded.
    """
    chosen = torch.nonzero(weights).squeeze(1)
    share = weights[chosen].double() / weights[chosen].double().sum()

    def mean(value: Tensor) -> Tensor:
        if value.is_floating_point():
            return torch.tensordot(share.to(value.dtype), value[chosen], 1)
        return torch.tensordot(share, value[chosen].double(), 1).round().to(value.dtype)

    return {name: mean(value) for name, value in stacked.items()}


def evaluate_each(task: Task, stacked: Parameters) -> tuple[Tensor, Tensor]:
    """Judge the model of every device on the test samples.

    Parameters
    ----------
    task : Task
        Model and data.
    stacked : mapping of str to Tensor
        Weights of all devices, shapes (K, ...).

    Returns
    -------
    accuracy : Tensor, shape (K,)
        In [0, 1].
    loss : Tensor, shape (K,)
        Mean cross-entropy [nat].
    """
    count = len(next(iter(stacked.values())))
    judged = [task.evaluate({name: value[k] for name, value in stacked.items()}) for k in range(count)]
    return torch.tensor(judged, dtype=torch.float64).unbind(1)  # type: ignore[return-value]


def train_devices(
    model: nn.Module,
    samples: Samples,
    start: Parameters,
    batches: Batches,
    *,
    learning_rate: float,
    proximal: float = 0.0,
    loss: Loss = cross_entropy,
    collect: bool = False,
    engine: str = "auto",
    seed: int = 0,
) -> Trained:
    r"""Train the models of all devices by plain gradient descent on the batches drawn for them.

    Device k takes, for each batch :math:`\mathcal{B}` of its own, the step

    .. math::
        \theta_k \leftarrow \theta_k - \eta \Bigl( \frac{1}{|\mathcal{B}|} \sum_{i \in \mathcal{B}}
        \nabla \ell_i(\theta_k) + \mu (\theta_k - \theta_k^0) \Bigr).

    Parameters
    ----------
    model : torch.nn.Module
        The architecture; never changed.
    samples : (Tensor, Tensor)
        Features, shape (N, ...), and labels, int64 (N,) or distributions (N, L): what the batches index;
        ``task.samples`` for the training samples of a task.
    start : mapping of str to Tensor
        Weights before training by name, shapes (K, ...), see :func:`stack`; for a model with batch
        normalisation with its buffers, see :meth:`learning.task.Task.initial_values`.
    batches : Batches
        From :func:`learning.batches.epochs` or :func:`learning.batches.iterations`.
    learning_rate : float
        :math:`\eta > 0`.
    proximal : float, default 0
        :math:`\mu >= 0`: pull towards the weights at the start, as in FedProx.
    loss : callable, default cross_entropy
        ``loss(logits (N, L), y, device (N,)) -> (N,)``, the loss of every sample from that sample alone;
        :func:`distillation` makes one.
    collect : bool, default False
        Collect the mean outputs per ground-truth label, for labels that are whole numbers.
    engine : {"auto", "stacked", "plain"}
        "plain": device after device. "stacked": one step of all devices at once, their weights stacked, a
        padded sample with weight zero. "auto": the faster one for this shape that is exact for this model.
        They agree to rounding.
    seed : int, default 0
        Seed of the noise of a model with dropout; torch's own random state stays as it was.

    Returns
    -------
    Trained
        Weights, losses, and the outputs if collected.

    Raises
    ------
    OptionError
        If there is no such engine.
    ProblemError
        If the engine that is asked for cannot train the model as its devices would: stacked weights with
        dropout, with batch normalisation over batches that are padded, or with layers that torch cannot vectorise
        (recurrent ones); or a batch fails.

    Notes
    -----
    The steps of a device never depend on another device, so that the gradient of the summed losses with
    respect to the stacked weights is every device's own gradient. Batch normalisation sees the batch of one
    device in both engines.

    Examples
    --------
    >>> import numpy as np
    >>> from learning.batches import iterations
    >>> model, x = nn.Linear(2, 2), torch.eye(2)
    >>> drawn = iterations([np.array([0]), np.array([1])], 1, 50, np.random.default_rng(0))
    >>> same = stack(dict(model.named_parameters()), 2)
    >>> trained = train_devices(model, (x, torch.tensor([0, 1])), same, drawn, learning_rate=1.0)
    >>> trained.parameters["weight"].shape, trained.samples.tolist(), bool((trained.loss < 0.7).all())
    (torch.Size([2, 2, 2]), [50, 50], True)
    """
    choose("engine", engine, {"auto": None, **ENGINES})
    if engine == "auto":
        engine = choose_engine(model, samples, batches)
    elif engine == "stacked" and (why := not_stackable(model, samples, batches)):
        raise ProblemError(f"engine stacked: {why}: use engine plain")
    begin = {name: value.detach() for name, value in start.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ENGINES[engine](model, samples, begin, batches, learning_rate, proximal, loss, collect)


class _Account:
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


def _plain(
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
    account = _Account(batches.size.shape[1], y, collect)
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


def _stacked(
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
    order = torch.argsort(_steps(batches), descending=True, stable=True)
    begin = {name: value[order] for name, value in start.items()}
    ended = {name: value.clone() for name, value in begin.items()}
    sizes, indices = batches.size[:, order], batches.index[:, order]
    account = _Account(len(order), y, collect)
    active = (_steps(batches)[order] > torch.arange(len(sizes))[:, None]).sum(1).tolist()
    widths = sizes.amax(1).tolist() if len(sizes) else []
    padded = (sizes != sizes.amax(1, keepdim=True)).any(1).tolist() if len(sizes) else []
    forward = vmap(lambda values, x: functional_call(own, values, (x,)))
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
        moves = (size > 0).to(losses.dtype) if ragged else None
        with torch.no_grad():
            for name, gradient in zip(trained, gradients, strict=True):
                value = values[name]
                if proximal:
                    pull = value - begin[name][:count]
                    if moves is not None:
                        pull *= moves.view(-1, *[1] * (value.dim() - 1))
                    gradient = gradient + proximal * pull
                value.sub_(gradient, alpha=learning_rate)
    back = torch.argsort(order)
    return account.close({name: value[back] for name, value in ended.items()}, batches.samples)


ENGINES: dict[str, Callable[..., Trained]] = {"stacked": _stacked, "plain": _plain}


def not_stackable(model: nn.Module, samples: Samples, batches: Batches) -> str:
    """Say why stacked weights would not train a model as its devices do; empty if they do.

    Parameters
    ----------
    model : torch.nn.Module
        The architecture.
    samples : (Tensor, Tensor)
        Features and labels.
    batches : Batches
        What it is to be trained on.

    Returns
    -------
    str
        A reason that names the layer or what torch says, or nothing.
    """
    if found := random_layer(model):
        return f"{found} would draw another noise than on each device by itself"
    if found := stateful_layer(model):
        used = torch.arange(len(batches.size))[:, None] < _steps(batches)
        widest = batches.size.amax(1, keepdim=True) if len(batches.size) else batches.size
        if (used & (batches.size != widest)).any():
            return f"{found} would see the padding of smaller batches"
    own = copy.deepcopy(model).train()
    held = {**dict(own.named_parameters()), **dict(own.named_buffers())}
    two = {name: value.detach().repeat(2, *[1] * value.dim()) for name, value in held.items()}
    x = samples[0][:1].expand(2, 2, *samples[0].shape[1:])
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("error")  # a fallback that is slower than training one by one
            vmap(lambda values, x: functional_call(own, values, (x,)))(two, x)
    except (RuntimeError, Warning) as error:
        reason = str(error).split(". ")[0]
        return f"torch cannot stack this model ({reason})"
    return ""


def _steps(batches: Batches) -> Tensor:
    """Count the steps until each device has none left, shape (K,)."""
    number = torch.arange(1, len(batches.size) + 1)[:, None]
    return (number * (batches.size > 0)).amax(0) if len(batches.size) else batches.size.sum(0)


def choose_engine(model: nn.Module, samples: Samples, batches: Batches) -> str:
    """Name the engine that "auto" takes.

    Parameters
    ----------
    model : torch.nn.Module
        The architecture.
    samples : (Tensor, Tensor)
        Features and labels.
    batches : Batches
        What it is to be trained on.

    Returns
    -------
    {"stacked", "plain"}
        Stacked for :data:`MIN_DEVICES` or more devices, unless the model forbids it or has convolutions and batches
        of more than :data:`MAX_CONVOLVED` features; :func:`learning.time_engines` tells how that was found.
    """
    _, devices, width = batches.index.shape
    convolved = any(isinstance(layer, nn.modules.conv._ConvNd) for layer in model.modules())
    large = convolved and width * samples[0][0].numel() > MAX_CONVOLVED
    stacked = devices >= MIN_DEVICES and not large and not not_stackable(model, samples, batches)
    return "stacked" if stacked else "plain"
