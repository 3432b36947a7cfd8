"""Contrastive learning: devices train an encoder on samples without labels, and the server averages it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from learning.crew import Order
from learning.local.batches import Batches
from learning.local.steps import Samples
from learning.local.views import VIEWS, View, view_of
from learning.messages import Message
from learning.models.build import logits_of
from learning.models.weights import Rows
from learning.options import real
from learning.radio.base import Work
from learning.schemes.fedavg import AveragedState, FedProx, sample_numbers
from learning.task import Cohort, IntArray, Task
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten

#: samples that a triplet has
TRIPLET = 3


@dataclass(frozen=True)
class Contrastive(FedProx):
    r"""Learn without labels: FedAvg with a loss that draws views of a sample together, and other samples away.

    Of every sample that a device draws it makes a triplet: the anchor x, another view x' of it, and another sample
    :math:`x''` that the device holds. With the outputs f of the network, the embedding, the loss is

    .. math::
        \max\bigl(|f(x) - f(x')| - |f(x) - f(x'')| + m, 0\bigr).

    Parameters
    ----------
    margin : float, default 1
        m > 0.
    views : str or callable, default "auto"
        How views are made, see :func:`learning.local.views.view_of`: "shift,rotation,blur" of images, "noise,mask" of
        other samples, or a function ``(samples, rng) -> samples``.
    proximal : float, default 0
        See :class:`FedProx`; 0 is FedAvg.
    **options
        See :class:`FedAvg`; one step with everything a device holds is FedSGD.

    Raises
    ------
    OptionError
        If a number is out of its range, or there is no such view.
    ProblemError
        If a device holds fewer than two samples, of which no triplet can be made.

    Notes
    -----
    Labels are never looked at. The judge is "linear": after a round, or every ``judge_every`` of them, a logistic
    regression is fitted to labelled samples, on what the last layer of the network gets; that layer alone serves the
    loss. A triplet is three samples to compute, which clock and account charge for.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning", (4),
    (5) and Section VI-C; the margin and how strong views are, is R: the paper names rotation and blur.

    Examples
    --------
    >>> import learning
    >>> result = learning.train("feel-cpu", scheme="contrastive", model="mlp:16", rounds=5, judge_every=5)
    >>> frame = result.to_frame()
    >>> bool(frame["test_accuracy"][5] > frame["test_accuracy"][0])
    True
    """

    margin: float = 1.0
    views: Any = "auto"
    proximal: float = 0.0

    judge: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        real("margin", self.margin)
        if not (callable(self.views) or isinstance(self.views, str)):
            raise OptionError(
                f"views: expected auto, names of {', '.join(VIEWS)} with commas between, or a function, got "
                f"{shorten(self.views)}"
            )

    def work(self, task: Task) -> Work:
        """Return the batch sizes of the local steps, three samples for each triplet."""
        work = super().work(task)
        return replace(work, steps=tuple(TRIPLET * sizes for sizes in work.steps or ()))

    def footprint(self, task: Task, architecture: str) -> int:
        """Count the triplets of a whole round too; see :meth:`LocalTraining.footprint`."""
        most = int(self._steps(int(task.sizes.max())).sum())
        return super().footprint(task, architecture) + TRIPLET * most * sample_numbers(task)

    def begin(self, task: Task) -> AveragedState:
        """Return the initial state; refuse devices without triplets. See :meth:`Scheme.begin`."""
        view_of(self.views, task.data.sample_shape)
        if (task.sizes < 2).any():
            device = int(np.argmax(task.sizes < 2))
            raise ProblemError(
                f"Contrastive: device {device} holds {task.sizes[device]} samples, and a triplet needs two: give every "
                "device two at least"
            )
        return super().begin(task)

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Train every device's encoder on triplets of its own samples."""
        samples, batches = triplets(
            cohort.task.samples[0],
            cohort.parts,
            self.draw(cohort, order.round),
            view_of(self.views, cohort.task.data.sample_shape),
            cohort.rngs("views", order.round),
        )
        trained = self.train(
            {f"encoder.{name}": value for name, value in own.items()},
            cohort,
            order,
            model=Siamese(cohort.model),
            samples=samples,
            batches=batches,
            loss=self.loss,
        )
        weights = {name.removeprefix("encoder."): value for name, value in trained.parameters.items()}
        return weights, Message(weights, {"loss": trained.loss})

    def loss(self, outputs: Tensor, y: Tensor, device: Tensor) -> Tensor:
        """Return the loss of each triplet, from its three embeddings side by side; there are no labels."""
        anchor, same, other = outputs.unflatten(1, (TRIPLET, -1)).unbind(1)
        return functional.triplet_margin_loss(anchor, same, other, margin=self.margin, reduction="none")


class Siamese(nn.Module):
    """A network for triplets: from (B, 3, ...) to the three outputs of each side by side, (B, 3 D)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate all samples of all triplets in one batch."""
        return logits_of(self.encoder(x.flatten(0, 1))).unflatten(0, (-1, TRIPLET)).flatten(1)


def triplets(
    x: Tensor,
    parts: Sequence[IntArray],
    drawn: Batches,
    view: View,
    rngs: Sequence[np.random.Generator],
) -> tuple[Samples, Batches]:
    """Make a triplet of every sample that devices drew.

    Parameters
    ----------
    x : Tensor, shape (N, ...)
        Samples.
    parts : sequence of k ndarrays of int64
        Rows that each device holds, two at least.
    drawn : Batches
        Anchors of each step.
    view : callable
        Makes the second of each triplet.
    rngs : sequence of k numpy.random.Generator
        For views and for the third of each triplet: another sample of the device, all equally likely.

    Returns
    -------
    samples : (Tensor, Tensor)
        Triplets, (M, 3, ...), and zeros in place of labels.
    batches : Batches
        Of the same sizes, with rows of the triplets.
    """
    index, made, first = drawn.index.clone(), [], 0
    for device, (part, rng) in enumerate(zip(parts, rngs, strict=True)):
        used = torch.arange(index.shape[2]) < drawn.size[:, device, None]
        rows = drawn.index[:, device][used].numpy()
        order = np.argsort(part, kind="stable")
        place = order[np.searchsorted(part, rows, sorter=order)]
        other = rng.integers(0, part.size - 1, rows.size)
        other += other >= place
        anchor, foreign = (x[torch.from_numpy(these).to(x.device)] for these in (rows, part[other]))
        made.append(torch.stack([anchor, view(anchor, rng), foreign], 1))
        index[:, device] = first
        index[:, device][used] = first + torch.arange(rows.size)
        first += rows.size
    triples = torch.cat(made)
    return (triples, triples.new_zeros(len(triples), dtype=torch.int64)), Batches(index, drawn.size)
