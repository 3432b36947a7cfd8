"""The teacher of a run: its weights, and what it says of every training sample."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from learning.models.weights import Weights


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network and its outputs, computed once: a data set that stays has the same in every epoch.

    Parameters
    ----------
    values : mapping of str to Tensor
        Weights by name.
    features : Tensor, shape (N, t) or (N, t, height, width)
        What the students imitate, of every training sample.
    logits : Tensor, shape (N, L)
        Logits of every training sample.
    """

    values: Weights
    features: Tensor
    logits: Tensor
