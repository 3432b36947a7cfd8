"""Engines: train the models of all devices for some local steps, device by device or all at once."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from learning.local.batches import Batches
from learning.local.steps import Loss, Samples, Trained, all_at_once, count_steps, one_by_one
from learning.models.build import random_layer, stateful_layer
from learning.options import choose
from learning.task import Parameters, Task
from radioopt.base.errors import ProblemError

#: fewer devices train as fast one after the other: a stacked step costs about four plain ones of a small model
MIN_DEVICES = 5
#: features in the batch of a device from which on its convolutions keep a core busy, and stacking them gains nothing
MAX_CONVOLVED = 6000


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
    accuracy, loss = torch.tensor(judged, dtype=torch.float64).unbind(1)
    return accuracy, loss


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
        From :func:`learning.local.batches.epochs` or :func:`learning.local.batches.iterations`.
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
    >>> from learning.local.batches import iterations
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


ENGINES: dict[str, Callable[..., Trained]] = {"stacked": all_at_once, "plain": one_by_one}


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
        used = torch.arange(len(batches.size))[:, None] < count_steps(batches)
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
