"""Losses of samples, for :func:`learning.local.train.train_devices`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

#: ``loss(outputs (N, L), targets (N, ...), device (N,)) -> (N,)``, of every sample from that sample alone
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


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


def squared_error(outputs: Tensor, y: Tensor, device: Tensor) -> Tensor:
    """Return the squared error of each sample, for regression.

    Parameters
    ----------
    outputs, y : Tensor, shape (N, T)
        Outputs of the models, and what they should be.
    device : Tensor of int64, shape (N,)
        Whose samples these are; not used.

    Returns
    -------
    Tensor, shape (N,)
        Means over the T targets.
    """
    return (outputs - y).square().mean(1)


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
            goal = table[torch.arange(len(y), device=y.device), y] if table.dim() == 3 else table[y]
        return loss(logits, y, device) - weight * (goal * logits.log_softmax(1)).sum(1)

    return distilled
