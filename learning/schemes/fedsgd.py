"""FedSGD: the server averages one gradient per device and round, and all devices take the same step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from learning.crew import Order
from learning.local.optimisers import ServerStep, schedule, step_rule
from learning.messages import Message, Wire
from learning.models.build import require_flat
from learning.models.weights import Rows, Sums, Weights, of_device
from learning.options import choose, real
from learning.radio.base import Work
from learning.schemes.base import Scheme
from learning.task import Cohort, IntArray, State, Task
from radioopt.base.errors import ProblemError


class Gradients(Message):
    """Gradients of some devices, of which any weighted sum is one backward pass.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        Weights at which they are taken, leaves of the graph.
    losses : Tensor, shape (B,)
        Loss of every sample, with the graph that leads to it.
    owner : Tensor of int64, shape (B,)
        Device of each sample by its place in the cohort, ascending.
    batchsize : Tensor of int64, shape (k,)
        Samples of each device.
    """

    def __init__(self, parameters: Weights, losses: Tensor, owner: Tensor, batchsize: Tensor) -> None:
        means = torch.zeros(len(batchsize), dtype=torch.float64, device=losses.device)
        means.index_add_(0, owner, losses.detach().double())
        object.__setattr__(self, "notes", {"loss": means.cpu() / batchsize})  # 0 / 0 is NaN
        object.__setattr__(self, "_graph", (parameters, losses, owner, batchsize))

    def numbers(self, *, rows: bool) -> int:
        """Count the numbers of a gradient."""
        return sum(value.numel() for value in self._parameters.values())

    @property
    def _parameters(self) -> Weights:
        parameters: Weights = self._graph[0]  # type: ignore[attr-defined]
        return parameters

    @property
    def values(self) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the gradient of each device, shapes (k, ...): a backward pass each."""
        count = len(self.notes["loss"])
        rows = [self._sum(torch.eye(count, dtype=torch.float64)[k], keep=True) for k in range(count)]
        return {name: torch.stack([row[name] for row in rows]) for name in self._parameters}

    def into(self, sums: Sums, shares: Tensor) -> None:
        """Add the weighted sum of the gradients; see :meth:`Message.into`."""
        if shares.any():
            sums.add_sums(self._sum(shares), float(shares.double().sum()))

    def _sum(self, shares: Tensor, keep: bool = False) -> dict[str, Tensor]:
        parameters, losses, owner, batchsize = self._graph  # type: ignore[attr-defined]
        weights = (shares.double() / batchsize.clamp(min=1)).to(losses.device, losses.dtype)[owner]
        weighted = torch.where(weights > 0, weights * losses, 0.0).sum()
        found = torch.autograd.grad(
            weighted, list(parameters.values()), retain_graph=keep, materialize_grads=True
        )
        return dict(zip(parameters, found, strict=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class SgdState(State):
    """The global model, and what a step rule keeps.

    Parameters
    ----------
    step : ServerStep
        Slots of the rule.
    """

    step: ServerStep


@dataclass(frozen=True)
class FedSgd(Scheme[SgdState]):
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
    optimiser : str or Rule, default "sgd"
        What makes a step of the mean gradient, see :func:`learning.local.optimisers.step_rule`.
    schedule : str or callable, default "constant"
        Factor of the rate by round, see :func:`learning.local.optimisers.schedule`.

    Raises
    ------
    OptionError
        If a number is not positive, or there are no weights, rule or schedule of that name.

    Notes
    -----
    The default rate suits digits on twelve devices, where 0.15 to 0.5 are similar for batches of about 900
    samples all together; 0.8 is too much for them, while twelve single samples bear 1.6: the rule of the
    root does not make one rate the best for all batches.

    The paper's weights favour devices with large batches. Where these hold other data than the rest, the
    gradient is biased, which the paper's conclusion leaves open; the weights "samples" make it unbiased for
    the mean loss over all samples, whatever the batch sizes.

    Devices are trained as one flat batch with the weight :math:`w_k / B_k` per sample and a
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

    learning_rate: float = 0.2
    reference_batch: float = 128
    weights: str = "batch"
    optimiser: Any = "sgd"
    schedule: Any = "constant"

    replaces: ClassVar[bool] = True

    def __post_init__(self) -> None:
        real("learning_rate", self.learning_rate)
        real("reference_batch", self.reference_batch)
        choose("weights", self.weights, {"batch": "batch", "samples": "samples"})
        step_rule("optimiser", self.optimiser)
        schedule(self.schedule)

    def rate(self, batchsize: float, round: int = 1) -> float:
        """Return the learning rate of a round.

        Parameters
        ----------
        batchsize : float
            Samples of all devices together.
        round : int, default 1
            Number of the round.

        Returns
        -------
        float
            The reference rate times the root of `batchsize` over the reference batch, and the schedule's factor.
        """
        return (
            self.learning_rate * math.sqrt(batchsize / self.reference_batch) * schedule(self.schedule)(round)
        )

    def work(self, task: Task) -> Work:
        """Return that the plan decides the batches."""
        return Work(task.sizes)

    def wire(self, task: Task) -> Wire:
        """Return that gradients go up and come down."""
        return Wire({"gradient": task.num_parameters}, {"gradient": task.num_parameters})

    def footprint(self, task: Task, architecture: str) -> int:
        """Count the numbers of a device's samples: weights are those of all; see :meth:`Scheme.footprint`."""
        return int(task.sizes.mean()) * math.prod(task.data.sample_shape)

    def begin(self, task: Task) -> SgdState:
        """Return the initial state; see :meth:`Scheme.begin`."""
        require_flat(task.model)
        step = ServerStep(step_rule("optimiser", self.optimiser), 1.0, {})
        return SgdState(task, task.initial_parameters(), step=step)

    def join(self, cohort: Cohort) -> Rows:
        """Return the initial weights; see :meth:`Scheme.join`."""
        initial = cohort.task.initial_parameters()
        return {name: value.expand(len(cohort), *value.shape) for name, value in initial.items()}

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Draw a batch on every device and compute the losses of all samples in one forward pass."""
        if len(cohort) > 1 and any(value.stride(0) for value in own.values()):
            raise ProblemError(
                "FedSgd: devices have different weights, as some missed an answer: take another radio"
            )
        task = cohort.task
        rows, owner = draw_batch(cohort, order)
        x, y = task.samples
        index, there = torch.from_numpy(rows).to(x.device), torch.from_numpy(owner).to(x.device)
        parameters = {name: value.detach().requires_grad_() for name, value in of_device(own, 0).items()}
        with torch.enable_grad():
            losses = task.loss(task.logits(parameters, x.index_select(0, index)), y[index], there)
        return own, Gradients(parameters, losses, there, torch.from_numpy(order.batchsize))

    def shares(self, cohort: Cohort, order: Order) -> Tensor:
        """Return the batch of each device, or what it holds; of those with a batch."""
        batchsize = torch.from_numpy(order.batchsize)
        return batchsize if self.weights == "batch" else torch.from_numpy(cohort.sizes) * (batchsize > 0)

    def gather(
        self, sums: Sums, state: SgdState, cohort: Cohort, message: Message, order: Order, arrived: Tensor
    ) -> None:
        """Add weighted gradients, and count the samples behind them; see :meth:`Scheme.gather`."""
        super().gather(sums, state, cohort, message, order, arrived)
        sums.count("batch", float((torch.from_numpy(order.batchsize) * arrived).sum()))

    def combine(self, state: SgdState, sums: Sums, round: int) -> tuple[SgdState, Message | None]:
        """Average the gradients that arrived and take the step; without any, the model stays."""
        if not sums.total:
            return replace(state, train_loss=math.nan), Message(state.parameters)
        loss = sums.counts["loss"] / sums.total
        step = replace(state.step, learning_rate=self.rate(sums.counts["batch"], round))
        stepped, step = step.along(state.parameters, sums.mean())
        return replace(state, parameters=stepped, train_loss=loss, step=step), Message(stepped)


def draw_batch(cohort: Cohort, order: Order) -> tuple[IntArray, IntArray]:
    """Draw samples without replacement on every device.

    Parameters
    ----------
    cohort : Cohort
        Some devices.
    order : Order
        Samples of each, from 0 to what it holds.

    Returns
    -------
    rows : ndarray of int64, shape (B,)
        Training samples, those of the first device first.
    owner : ndarray of int64, shape (B,)
        Device of each by its place in the cohort.

    Raises
    ------
    ProblemError
        If a device holds fewer samples than it is to use.

    Notes
    -----
    Every device shuffles what it holds and takes the first. So the randomness used does not depend on the sizes, and in
    the same round of paired runs the smaller batch is part of the larger.
    """
    wanted, held = order.batchsize, cohort.sizes
    if (wanted > held).any() or (wanted < 0).any():
        place = int(np.argmax((wanted > held) | (wanted < 0)))
        raise ProblemError(
            f"batch of device {cohort.devices[place]}: expected 0 to {held[place]} samples, as many as it holds, "
            f"got {wanted[place]}"
        )
    rngs = cohort.rngs("training", order.round)
    chosen = [
        rng.permutation(part)[:size]
        for rng, part, size in zip(rngs, cohort.parts, wanted.tolist(), strict=True)
    ]
    return np.concatenate(chosen), np.repeat(np.arange(len(cohort)), wanted)
