"""Train the models of many devices for some local steps, device by device or all at once."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.func import functional_call, vmap

from learning.local.batches import Batches
from learning.local.globals import fresh_torch
from learning.local.losses import Loss, cross_entropy
from learning.local.optimisers import Rule, step_rule
from learning.local.steps import Recipe, Samples, Trained, all_at_once, count_steps, one_by_one
from learning.models.build import logits_of, random_layer, stateful_layer
from learning.models.noise import draws
from learning.models.weights import Rows
from learning.options import choose
from radioopt.base.errors import ProblemError

#: fewer devices train as fast one after the other: a stacked step costs about four plain ones of a small model
MIN_DEVICES = 5
#: features in the batch of a device from which on its convolutions keep a core busy, and stacking them gains nothing
MAX_CONVOLVED = 6000


@fresh_torch()
def train_devices(
    model: nn.Module,
    samples: Samples,
    start: Rows,
    batches: Batches,
    *,
    learning_rate: float,
    rule: str | Rule = "sgd",
    proximal: float = 0.0,
    drift: Rows | None = None,
    loss: Loss = cross_entropy,
    collect: bool = False,
    engine: str = "auto",
    seeds: Sequence[int] | None = None,
) -> Trained:
    r"""Train the models of all devices on the batches drawn for them.

    Device k takes, for each batch :math:`\mathcal{B}` of its own, the step

    .. math::
        \theta_k \leftarrow \theta_k - \eta \Bigl( \frac{1}{|\mathcal{B}|} \sum_{i \in \mathcal{B}}
        \nabla \ell_i(\theta_k) + \mu (\theta_k - \theta_k^0) + d_k \Bigr),

    or what another step rule makes of the gradient in brackets.

    Parameters
    ----------
    model : torch.nn.Module
        The architecture; never changed.
    samples : (Tensor, Tensor)
        Features, shape (N, ...), and labels, int64 (N,) or distributions (N, L): what the batches index;
        ``task.samples`` for the training samples of a task.
    start : mapping of str to Tensor
        Weights before training by name, shapes (K, ...), see :func:`learning.models.weights.stack`; for a model with
        batch normalisation with its buffers, see :meth:`learning.task.Task.initial_values`.
    batches : Batches
        From :func:`learning.local.batches.epochs` or :func:`learning.local.batches.iterations`.
    learning_rate : float
        :math:`\eta > 0`.
    rule : str or Rule, default "sgd"
        See :func:`learning.local.optimisers.step_rule`. Every device begins with empty slots.
    proximal : float, default 0
        :math:`\mu >= 0`: pull towards the weights at the start, as in FedProx.
    drift : mapping of str to Tensor, optional
        :math:`d_k`, shapes (K, ...): added to the gradients, as SCAFFOLD's control variates are.
    loss : callable, default cross_entropy
        ``loss(logits (N, L), y, device (N,)) -> (N,)``, the loss of every sample from that sample alone;
        :func:`learning.local.losses.distillation` makes one.
    collect : bool, default False
        Collect the mean outputs per ground-truth label, for labels that are whole numbers.
    engine : {"auto", "stacked", "plain"}
        "plain": device after device. "stacked": one step of all devices at once, their weights stacked, a
        padded sample with weight zero. "auto": the faster one for this shape that is exact for this model.
        They agree to rounding.
    seeds : sequence of K int, optional
        Seed of each device's noise, for a model that draws any, as with dropout; 0 for each by default. Torch's own
        random state is neither used nor changed.

    Returns
    -------
    Trained
        Weights, losses, and the outputs if collected.

    Raises
    ------
    OptionError
        If there is no such engine or rule.
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
    >>> from learning.models.weights import stack
    >>> model, x = nn.Linear(2, 2), torch.eye(2)
    >>> luck = [np.random.default_rng(device) for device in range(2)]
    >>> drawn = iterations([np.array([0]), np.array([1])], 1, 50, luck)
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
    noisy = engine == "plain" and draws(model, samples[0])
    recipe = Recipe(
        learning_rate=learning_rate,
        rule=step_rule("optimiser", rule),
        proximal=proximal,
        drift=drift or {},
        loss=loss,
        collect=collect,
        seeds=(seeds or [0] * batches.size.shape[1]) if noisy else None,
    )
    return ENGINES[engine](model, samples, begin, batches, recipe)


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
            vmap(lambda values, x: logits_of(functional_call(own, values, (x,))))(two, x)
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
