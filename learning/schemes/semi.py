"""Semi-supervised federated learning: labels of the model itself where it is sure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from learning.crew import Order
from learning.messages import Message
from learning.models.weights import Rows, of_device, weights_of
from learning.options import real
from learning.schemes.fedavg import FedAvg
from learning.task import Cohort
from radioopt.base.errors import ProblemError

#: images are moved by up to this share of their size
SHIFT = 1 / 8


@dataclass(frozen=True)
class Semi(FedAvg):
    r"""SEMI: FedAvg in which public samples that a device holds have no labels but those the model gives them.

    At the start of a round a device lets the model that it has label a weakly augmented view of each such sample; where
    the largest probability is at least `confidence`, it trains on that label, and else not on that sample:

    .. math::
        \ell(x) = \mathbb{1}[\max_c p_c(x') \ge \tau] \; \mathrm{CE}(f(x'), \arg\max_c p_c(x')).

    Parameters
    ----------
    confidence : float, default 0.95
        :math:`\tau` in (0, 1].
    **options
        See :class:`FedAvg`.

    Raises
    ------
    OptionError
        If a number is out of its range.
    ProblemError
        If the data are a regression.

    Notes
    -----
    ``before=[ShareUnlabelled()]`` gives devices such samples; their labels are never looked at. Images of 8 pixels or
    more are shifted by up to an eighth of their size each way, the border repeated; other samples stay as they are.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over Heterogeneous
    Mobile Edge Devices", Section V-B. K. Sohn et al., "FixMatch", for the threshold and weak augmentation.

    Examples
    --------
    >>> Semi(confidence=0.9).settings()["confidence"]
    0.9
    """

    confidence: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        real("confidence", self.confidence, high=1.0, closed=True)

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Label what has no label, and train."""
        task, public = cohort.task, cohort.task.server
        if task.data.regression:
            raise ProblemError("Semi: the data are a regression, which has no classes to be sure of")
        x, y = task.samples
        free = [np.isin(part, [] if public is None else public) for part in cohort.parts]
        if not any(mask.any() for mask in free):
            return super().local(own, cohort, order)
        weights = weights_of(own)
        parts, views, labels, first = (
            [],
            [x],
            [functional.one_hot(y, task.data.num_outputs).to(x.dtype)],
            len(x),
        )
        for row, (part, mask, rng) in enumerate(
            zip(cohort.parts, free, cohort.rngs("augment", order.round), strict=True)
        ):
            seen = shifted(x[torch.from_numpy(part[mask]).to(x.device)], rng)
            views.append(seen)
            labels.append(
                self.pseudo(task.outputs(of_device(weights, row), seen, cohort.architecture)).to(x.dtype)
            )
            mine = part.copy()
            mine[mask] = first + np.arange(len(seen))
            first += len(seen)
            parts.append(mine)
        samples = torch.cat(views), torch.cat(labels)
        batches = self.draw_from(parts, cohort.rngs("training", order.round))
        trained = self.train(own, cohort, order, samples=samples, batches=batches)
        return trained.parameters, Message(trained.parameters, {"loss": trained.loss})

    def pseudo(self, outputs: Tensor) -> Tensor:
        """Return the labels that a model gives, one-hot, and zeros where it is not sure: their loss is 0."""
        sure, label = outputs.softmax(1).max(1)
        return functional.one_hot(label, outputs.shape[1]) * (sure >= self.confidence)[:, None]


def shifted(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift images at random by up to an eighth of their size, the border repeated; leave other samples.

    Parameters
    ----------
    x : Tensor, shape (N, ...)
        Samples; images are (N, channels, height, width) with both sides >= 8.
    rng : numpy.random.Generator
        How far.

    Returns
    -------
    Tensor
        Of the same shape.
    """
    if x.dim() != 4 or min(x.shape[2:]) < 1 / SHIFT or not len(x):
        return x
    most = [int(size * SHIFT) for size in x.shape[2:]]
    rows, columns = (
        torch.arange(size)[None] + torch.from_numpy(rng.integers(-far, far + 1, len(x)))[:, None]
        for size, far in zip(x.shape[2:], most, strict=True)
    )
    rows, columns = (
        index.clamp(0, size - 1).to(x.device)
        for index, size in zip((rows, columns), x.shape[2:], strict=True)
    )
    which = torch.arange(len(x), device=x.device)[:, None, None]
    return x[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()
