"""Measures: what a model's outputs on samples are worth, one number each."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

#: from outputs (N, L) and labels (N,) to a number
Measure = Callable[[Tensor, Tensor], float]


def accuracy(outputs: Tensor, y: Tensor) -> float:
    """Return the share of samples whose largest output is that of their label."""
    return float((outputs.argmax(1) == y).double().mean())


def loss(outputs: Tensor, y: Tensor) -> float:
    """Return the mean cross-entropy [nat]."""
    return float(functional.cross_entropy(outputs, y))


def top5(outputs: Tensor, y: Tensor) -> float:
    """Return the share of samples whose label is among the five largest outputs."""
    best = outputs.topk(min(5, outputs.shape[1]), 1).indices
    return float((best == y[:, None]).any(1).double().mean())


def brier(outputs: Tensor, y: Tensor) -> float:
    """Return the mean squared distance of the probabilities from the labels, the Brier score."""
    return float((outputs.softmax(1) - functional.one_hot(y, outputs.shape[1])).square().sum(1).mean())


def squared(outputs: Tensor, y: Tensor) -> float:
    """Return the mean squared error of a regression."""
    return float((outputs - y).square().mean())


def rmse(outputs: Tensor, y: Tensor) -> float:
    """Return the root of the mean squared error of a regression."""
    return squared(outputs, y) ** 0.5


def r2(outputs: Tensor, y: Tensor) -> float:
    """Return the share of the targets' variance that a regression explains, the coefficient of determination."""
    spread = (y - y.mean(0)).square().sum()
    return float(1.0 - (outputs - y).square().sum() / spread)


def mae(outputs: Tensor, y: Tensor) -> float:
    """Return the mean absolute error of a regression."""
    return float((outputs - y).abs().mean())


#: of classifiers; the first two always
MEASURES: dict[str, Measure] = {"accuracy": accuracy, "loss": loss, "top5": top5, "brier": brier}
#: of regressions; the first three always
ERRORS: dict[str, Measure] = {"loss": squared, "rmse": rmse, "r2": r2, "mae": mae}
