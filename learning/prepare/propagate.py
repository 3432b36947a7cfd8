"""Half-labelled data: labels of a few samples spread to the others on each device."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from learning.options import choose, real, whole
from learning.prepare.base import Preparation, Prepared
from learning.prepare.costs import upload
from learning.prepare.subspace import Floats, IntArray, distributed_pca
from learning.radio.base import Radio
from learning.task import Task
from radioopt.base.errors import OptionError, ProblemError, require
from radioopt.base.quantity import shorten
from radioopt.scenario import Devices

#: the neighbour whose distance sets the width of the kernel, and how much narrower that is
NEIGHBOUR, NARROWER = 7, 4.0
#: how much of its label a sample takes from its neighbours in each step
ALPHA = 0.9
#: bits of a number that is sent
BITS = 32.0


@dataclass(frozen=True)
class PropagateLabels(Preparation):
    """Forget all labels but a few, and give the others those that spread from them on each device.

    Parameters
    ----------
    fraction : float, default 0.05
        Share of its samples in (0, 1] whose label a device knows; of every class that it holds one at least.
    components : int, default 16
        Dimensions of the common subspace (distributed PCA) in which samples are compared; 0 for the features as they
        are, which sends nothing.
    labeller : {"spreading", "mlp"}, default "spreading"
        Label spreading over an RBF kernel, whose width goes by the distance to the 7th nearest sample; or the
        predictions of a perceptron that is trained with the labels known.
    known : array_like of bool, shape (n,), optional
        Which of the n training samples have a label, of data that are really half-labelled; in place of `fraction`. The
        others may have any in the data, which is not looked at here, but is by partitions that go by labels.

    Raises
    ------
    OptionError
        If a number is out of its range, or `known` is not of truth values.
    ProblemError
        If the data are a regression, a sample is on two devices, which might give it two labels, a device knows no
        label, or `known` is not as long as the training samples.

    Notes
    -----
    Labels known are kept. Samples that no label reaches stay without one and are left out of training; the table of
    what was done has their number, and the accuracy of the labels that were given, NaN if `known` says which are.
    Uplinks of the subspace follow each other at the full rate of each device.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    Section V-A; D. Zhou et al., "Learning with Local and Global Consistency" (label spreading).

    Examples
    --------
    >>> import learning
    >>> result = learning.train("feel-cpu", before=[PropagateLabels(0.1)], rounds=1)
    >>> table = result.prepared[0].to_frame()
    >>> bool(table["accuracy"].mean() > 0.7), int(table["samples"].sum())
    (True, 1437)
    """

    fraction: float = 0.05
    components: int = 16
    labeller: str = "spreading"
    known: Any = None

    def __post_init__(self) -> None:
        if self.known is not None and np.asarray(self.known).dtype != np.bool_:
            raise OptionError(
                f"known: expected truth values, one for each training sample, got {shorten(self.known)}"
            )
        real("fraction", self.fraction, high=1.0, closed=True)
        whole("components", self.components, low=0)
        choose("labeller", self.labeller, LABELLERS, "one of these")

    def settings(self) -> dict[str, Any]:
        """Return the options, for the manifest of a run; how many labels are known, and which by a checksum."""
        if self.known is None:
            return super().settings()
        mask = np.asarray(self.known)
        return super().settings() | {
            "known": f"{int(mask.sum())} of {mask.size}, {crc32(mask.tobytes()):08x}"
        }

    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Propagate labels; see :meth:`Preparation.__call__`."""
        data, streams = task.data, task.streams
        if data.regression:
            raise ProblemError("PropagateLabels: the data are a regression: there are no labels to propagate")
        everything = np.concatenate(task.parts)
        if len(np.unique(everything)) < len(everything):
            raise ProblemError(
                "PropagateLabels: some samples are on several devices, which might give them different labels: "
                "propagate before samples are shared"
            )
        seconds = joules = up = down = 0.0
        x = [np.asarray(data.train_x[part], np.float64).reshape(part.size, -1) for part in task.parts]
        if self.components:
            found = distributed_pca(x, min(self.components, x[0].shape[1]))
            x = [found.project(own) for own in x]
            up, down = BITS * found.uplink_numbers, BITS * found.downlink_numbers
            seconds, joules = upload(up, devices)
            delivery = radio.deliver(down, devices, streams.at("prepare/propagate"))
            if not delivery.received.all():
                lost = int(np.argmin(delivery.received))
                raise ProblemError(
                    f"PropagateLabels: the subspace did not reach device {lost}: take components=0"
                )
            seconds += delivery.seconds
        mask = None if self.known is None else np.asarray(self.known)
        if mask is not None and mask.shape != data.train_y.shape:
            raise ProblemError(
                f"PropagateLabels: known: expected shape {data.train_y.shape}, the training samples, got {mask.shape}"
            )
        labels, parts, rows = np.array(data.train_y), [], []
        spread = LABELLERS[self.labeller]
        for device, (part, own) in enumerate(zip(task.parts, x, strict=True)):
            rng = streams.at("prepare/propagate", 0, device)
            truth = data.train_y[part]
            known = some_of_every_class(truth, self.fraction, rng) if mask is None else mask[part]
            if not known.any():
                raise ProblemError(
                    f"PropagateLabels: known: device {device} has none among its {part.size} samples: deal them out so "
                    "that every device knows a label"
                )
            given = spread(own, np.where(known, truth, -1), rng)
            given = np.where(known, truth, given)
            reached = given >= 0
            labels[part[reached]] = given[reached]
            parts.append(part[reached])
            guessed = reached & ~known
            told = mask is None and guessed.any()
            right = float((given == truth)[guessed].mean()) if told else np.nan
            rows.append((device, part.size, known.sum(), (~reached).sum(), right))
        names = ("device", "samples", "labelled", "unreached", "accuracy")
        record = {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        return Prepared(
            task.replace(data=replace(data, train_y=labels), parts=tuple(parts)),
            seconds=seconds, energy_j=joules, uplink_bits=up, downlink_bits=down, record=record,
        )  # fmt: skip


def some_of_every_class(labels: IntArray, fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose a share of some samples at random, of every class its share by largest remainders, and one at least."""
    _, kinds, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    shares = fraction * sizes
    takes = np.maximum(1, np.floor(shares + 1e-9)).astype(np.int64)
    more = max(0, round(fraction * labels.size) - int(takes.sum()))
    takes[np.argsort(takes - shares, kind="stable")[:more]] += 1
    known, order = np.zeros(labels.size, np.bool_), rng.permutation(labels.size)
    for kind, take in enumerate(takes):
        known[order[kinds[order] == kind][:take]] = True
    return known


def by_spreading(x: Floats, labels: IntArray, rng: np.random.Generator) -> IntArray:
    """Spread labels from the samples that have one, -1 being none, to the others; -1 where none reaches.

    Parameters
    ----------
    x : ndarray, shape (n, t)
        Samples of a device.
    labels : ndarray of int64, shape (n,)
        What is known of their labels.
    rng : numpy.random.Generator
        Not used.

    Returns
    -------
    ndarray of int64, shape (n,)
        Labels.
    """
    present = np.unique(labels[labels >= 0])
    if len(present) < 2 or len(x) < 2:
        return np.full(len(x), present[0] if len(present) else -1)
    neighbours: Any = require("sklearn.neighbors", "learning").NearestNeighbors()
    apart = neighbours.fit(x).kneighbors(x, min(NEIGHBOUR + 1, len(x)))[0][:, -1]
    width = float(np.median(apart**2))
    gamma = NARROWER / width if width > 0 else 1.0
    made: Any = require("sklearn.semi_supervised", "learning").LabelSpreading("rbf", gamma=gamma, alpha=ALPHA)
    with warnings.catch_warnings():  # what no label reaches is looked at below, and more steps change little
        warnings.simplefilter("ignore")
        made.fit(x, labels)
    total = made.label_distributions_.sum(-1)
    return np.where(np.isfinite(total) & (total > 0), made.transduction_, -1).astype(np.int64)


def by_perceptron(x: Floats, labels: IntArray, rng: np.random.Generator) -> IntArray:
    """Give all samples the label that a perceptron predicts which is trained with those known; see the other."""
    known = labels >= 0
    present = np.unique(labels[known])
    if len(present) < 2:
        return np.full(len(x), present[0] if len(present) else -1)
    made: Any = require("sklearn.neural_network", "learning").MLPClassifier(
        (32,), solver="lbfgs", alpha=1e-2, max_iter=200, random_state=int(rng.integers(2**31))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.fit(x[known], labels[known])
    return np.asarray(made.predict(x), np.int64)


LABELLERS = {"spreading": by_spreading, "mlp": by_perceptron}
