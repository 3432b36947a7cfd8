"""FedSGD: the server averages one gradient per device and round, and all devices take the same step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from learning.allocators import Plan
from learning.link import Sent
from learning.models import require_flat
from learning.names import real
from learning.schemes.base import Scheme
from learning.task import Parameters, State, Task


@dataclass(frozen=True, eq=False)
class SampleLosses:
    """The loss of every sample of a round, from which any weighted mean of gradients is one backward pass."""

    parameters: Parameters
    losses: Tensor
    owner: Tensor
    batchsize: Tensor


class FedSgd(Scheme):
    r"""Average gradients, each over a batch of its own size, with a learning rate that grows with the batch.

    With the gradient :math:`g_k` over the :math:`B_k` samples of device k and :math:`B = \sum_k B_k`,

    .. math::
        g = \sum_k \frac{B_k}{B} g_k, \qquad w \leftarrow w - \eta g, \qquad
        \eta = \eta_0 \sqrt{B / B_\mathrm{ref}}.

    Parameters
    ----------
    learning_rate : float, default 0.2
        :math:`\eta_0 > 0`, the rate at the reference batch.
    reference_batch : float, default 128
        :math:`B_\mathrm{ref} > 0`, all devices together [samples].

    Raises
    ------
    OptionError
        If one of them is not positive.

    Notes
    -----
    All devices are trained at once, as one flat batch with the weight :math:`w_k / B_k` per sample,
    :math:`w_k = B_k / B`, and a summed loss: the same gradient, to rounding, as one backward pass per
    device. That needs a model that treats each sample by itself, so batch normalisation and dropout are
    refused. Sums run over the devices that arrived.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    equations (1) and (2); Section III-A for the learning rate, of which only the proportionality is given.

    Examples
    --------
    >>> round(FedSgd(learning_rate=0.1, reference_batch=100).rate(400), 12)
    0.2
    """

    def __init__(self, learning_rate: float = 0.2, reference_batch: float = 128) -> None:
        self.learning_rate = real("learning_rate", learning_rate)
        self.reference_batch = real("reference_batch", reference_batch)

    def rate(self, batchsize: float) -> float:
        """Return the learning rate for a batch of this many samples, all devices together."""
        return self.learning_rate * math.sqrt(batchsize / self.reference_batch)

    def start(self, task: Task) -> State:
        """Return the initial state; see :meth:`Scheme.start`."""
        require_flat(task.model)
        return super().start(task)

    def local(self, state: State, plan: Plan) -> SampleLosses:
        """Draw a batch on every device and compute the losses of all samples in one forward pass."""
        batch = state.task.draw_batch(plan.batchsize)
        parameters = {name: value.detach().requires_grad_() for name, value in state.parameters.items()}
        losses = functional.cross_entropy(state.task.logits(parameters, batch.x), batch.y, reduction="none")
        return SampleLosses(parameters, losses, batch.owner, torch.from_numpy(plan.batchsize))

    def aggregate(self, state: State, updates: SampleLosses, sent: Sent) -> State:
        """Average the gradients that arrived and take the step; without any, the model stays."""
        counted = updates.batchsize * torch.from_numpy(sent.arrived)
        total = int(counted.sum())
        if total == 0:
            return replace(state, train_loss=math.nan)
        loss, gradient = weighted_gradient(updates, counted.double() / total)
        rate = self.rate(total)
        stepped = {name: value - rate * gradient[name] for name, value in state.parameters.items()}
        return replace(state, parameters=stepped, train_loss=loss)


def weighted_gradient(updates: SampleLosses, weights: Tensor) -> tuple[float, dict[str, Tensor]]:
    """Return the weighted mean of the devices' losses and its gradient.

    Parameters
    ----------
    updates : SampleLosses
        Losses of all samples, with the graph that leads to them.
    weights : Tensor, shape (K,)
        Weight of each device's mean loss; a device without samples counts as 0.

    Returns
    -------
    loss : float
        ``sum(weights * mean loss of the device)``.
    gradient : dict of str to Tensor
        Its gradient, by name of the parameter.
    """
    per_sample = (weights / updates.batchsize.clamp(min=1)).to(updates.losses.dtype)[updates.owner]
    loss = (per_sample * updates.losses).sum()
    gradients = torch.autograd.grad(loss, list(updates.parameters.values()))
    return float(loss.detach()), dict(zip(updates.parameters, gradients, strict=True))
