"""FedSGD: the server averages one gradient per device and round, and all devices take the same step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from learning.models.build import require_flat
from learning.options import choose, real
from learning.radio.base import Plan
from learning.radio.link import Sent
from learning.schemes.base import Scheme
from learning.task import Parameters, State, Task


@dataclass(frozen=True, eq=False)
class SampleLosses:
    """The loss of every sample of a round, from which any weighted mean of gradients is one backward pass."""

    parameters: Parameters
    losses: Tensor
    owner: Tensor
    batchsize: Tensor


class FedSgd(Scheme[State]):
    r"""Average gradients, each over a batch of its own size, with a learning rate that grows with the batch.

    With the mean gradient :math:`g_k` over the :math:`B_k` samples of device k and :math:`B = \sum_k B_k`,

    .. math::
        g = \sum_k w_k g_k, \qquad w_k = B_k / B, \qquad \theta \leftarrow \theta - \eta g, \qquad
        \eta = \eta_0 \sqrt{B / B_\mathrm{ref}}.

    Parameters
    ----------
    learning_rate : float, default 0.2
        :math:`\eta_0 > 0`, the rate at the reference batch.
    reference_batch : float, default 128
        :math:`B_\mathrm{ref} > 0`, all devices together [samples].
    weights : {"batch", "samples"}, default "batch"
        "batch": :math:`w_k = B_k / B`, as in the paper. "samples": :math:`w_k = N_k / N`, the share of all
        samples that the device holds.

    Raises
    ------
    OptionError
        If a number is not positive, or there are no weights of that name.

    Notes
    -----
    The default rate suits digits on twelve devices, where 0.15 to 0.5 are similar for batches of about 900
    samples all together; 0.8 is too much for them, while twelve single samples bear 1.6: the rule of the
    root does not make one rate the best for all batches.

    The paper's weights favour devices with large batches. Where these hold other data than the rest, the
    gradient is biased, which the paper's conclusion leaves open; the weights "samples" make it unbiased for
    the mean loss over all samples, whatever the batch sizes.

    All devices are trained at once, as one flat batch with the weight :math:`w_k / B_k` per sample and a
    summed loss: the same gradient, to rounding, as one backward pass per device. That needs a model that
    treats each sample by itself, so batch normalisation and dropout are refused. Sums run over the devices
    that arrived.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    equations (1) and (2); Section III-A for the learning rate, of which only the proportionality is given.

    Examples
    --------
    >>> round(FedSgd(learning_rate=0.1, reference_batch=100).rate(400), 12)
    0.2
    """

    def __init__(
        self, learning_rate: float = 0.2, reference_batch: float = 128, weights: str = "batch"
    ) -> None:
        self.learning_rate = real("learning_rate", learning_rate)
        self.reference_batch = real("reference_batch", reference_batch)
        self.weights = choose("weights", weights, {"batch": "batch", "samples": "samples"})

    def rate(self, batchsize: float) -> float:
        """Return the learning rate of a round.

        Parameters
        ----------
        batchsize : float
            Samples of all devices together.

        Returns
        -------
        float
            The reference rate times the root of `batchsize` over the reference batch.
        """
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
        arrived = torch.from_numpy(sent.arrived) & (updates.batchsize > 0)
        if not arrived.any():
            return replace(state, train_loss=math.nan)
        batchsize = (updates.batchsize * arrived).double()
        held = batchsize if self.weights == "batch" else torch.from_numpy(state.task.sizes) * arrived
        loss, gradient = weighted_gradient(updates, held.double() / held.sum())
        rate = self.rate(float(batchsize.sum()))
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
