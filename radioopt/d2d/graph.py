"""What graphs of devices have in common, whether their links are a matrix or a list."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    at_least,
    check_choice,
    fraction,
    nonnegative,
    quantity,
    refuse,
    unrestricted,
)
from radioopt.base.record import Record

if TYPE_CHECKING:
    from radioopt.base.certify import Certificate

METRICS = ("wasserstein", "total-variation", "jensen-shannon")
SCORES = ("improvement", "change")
REQUESTS = ("deficit", "compensated")
BUDGETED = ("requested", "received")

#: points of each class at each device
POINTS = ("device", "class")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Graph(Record):
    """Data, clusters, budgets and weights of devices that may share data; a problem adds the links.

    A single instance answers three questions about its links: :meth:`links_of`, :meth:`permits` and :meth:`useful`.
    """

    class_counts: Any = quantity("points", nonnegative, POINTS, "points of each class", symbol="d")
    thresholds: Any = quantity("points", nonnegative, POINTS, "points wanted", symbol="tau")
    clusters: Any = quantity("1", nonnegative, DEVICE, "cluster", symbol="H", default=0.0, dtype=np.int64)
    budgets: Any = quantity(
        "points", at_least(0, math.inf), DEVICE, "budget of the cluster", symbol="B", default=math.inf
    )
    ideal_distribution: Any = quantity(
        "1", nonnegative, ("class",), "distribution to get close to", default=1.0
    )
    min_classes: Any = quantity(
        "1", nonnegative, PER_INSTANCE, "classes that must be met", symbol="kappa", default=1.0
    )
    gate: Any = quantity("1", fraction, PER_INSTANCE, "share that meets a class", default=0.5)
    diversity_weight: Any = quantity(
        "1", nonnegative, PER_INSTANCE, "worth of diversity", symbol="alpha", default=1.0
    )
    outage_weight: Any = quantity(
        "1", nonnegative, PER_INSTANCE, "cost of outage", symbol="beta", default=0.1
    )
    cluster_weight: Any = quantity(
        "1", nonnegative, PER_INSTANCE, "worth of the cluster's reward", symbol="gamma", default=0.5
    )
    budget_penalty: Any = quantity(
        "1", nonnegative, PER_INSTANCE, "cost of exceeding a budget", symbol="lambda", default=1.0
    )
    position_m: Any = quantity(
        "m", unrestricted, ("device", "coordinate"), "place, for drawings", default=math.inf
    )
    metric: str = "wasserstein"
    score: str = "improvement"
    request: str = "deficit"
    budgeted: str = "requested"

    @np.errstate(all="ignore")
    def _check(self) -> None:
        name = type(self).__name__
        for field, choices in (
            ("metric", METRICS), ("score", SCORES), ("request", REQUESTS), ("budgeted", BUDGETED),
        ):  # fmt: skip
            check_choice(name, field, getattr(self, field), choices)
        ideal = self.ideal_distribution.sum(-1)
        if (ideal <= 0).any():
            refuse(name, "ideal_distribution", ideal, ideal <= 0, "a sum > 0")
        devices, classes = self.sizes["device"], self.sizes["class"]
        if (self.min_classes > classes).any():
            few = f"<= {classes}, the number of classes"
            refuse(name, "min_classes", self.min_classes, self.min_classes > classes, few)
        if (self.clusters >= devices).any():
            refuse(
                name, "clusters", self.clusters, self.clusters >= devices, f"< {devices}, a number per device"
            )
        order = np.argsort(self.clusters, axis=-1, kind="stable")
        label = np.take_along_axis(self.clusters, order, -1)
        budget = np.take_along_axis(np.broadcast_to(self.budgets, order.shape), order, -1)
        differs = np.zeros(order.shape, np.bool_)
        np.put_along_axis(
            differs, order[..., 1:], (np.diff(label) == 0) & (budget[..., 1:] != budget[..., :-1]), -1
        )
        if differs.any():
            refuse(name, "budgets", self.budgets, differs, "the same value for all devices of a cluster")
        if self.sizes["coordinate"] > 2:
            refuse(
                name,
                "position_m",
                self.position_m,
                np.ones_like(self.position_m, np.bool_),
                "two coordinates",
            )

    # -- what follows from the fields -----------------------------------------------------------------------

    @property
    @np.errstate(all="ignore")
    def surplus(self) -> Array:
        """Points that a device has to spare, shape (..., N, L)."""
        return np.asarray(np.maximum(self.class_counts - self.thresholds, 0.0))

    @property
    @np.errstate(all="ignore")
    def deficit(self) -> Array:
        """Points that a device lacks, shape (..., N, L)."""
        return np.asarray(np.maximum(self.thresholds - self.class_counts, 0.0))

    @property
    @np.errstate(all="ignore")
    def scale(self) -> Any:  # a number per instance, where problems mostly have a constant
        """Worth of a device's score of 1 and of a sure outage, shape (...): what is nothing to a gap."""
        return (1.0 + self.cluster_weight) * (self.diversity_weight + self.outage_weight)

    # -- links of a single instance ---------------------------------------------------------------------------

    def links_of(self, source: Array) -> tuple[Array, Array]:
        """Look up the links of graphs.

        Parameters
        ----------
        source : ndarray of int, shape (..., N)
            Transmitter of each device, -1 for none; one graph or many.

        Returns
        -------
        outage : ndarray, shape (..., N)
            Their outage, 0 without a link.
        trusted : ndarray of bool, shape (..., N, L)
            Which classes they may carry, none without a link.
        """
        raise NotImplementedError

    def permits(self, source: Array) -> Array:
        """Tell which links of graphs, transmitters >= 0 of shape (..., N), may be used."""
        raise NotImplementedError

    def useful(self) -> list[Array] | float:
        """List the transmitters that each device could receive anything from.

        Returns
        -------
        list of ndarray, or float
            Or, where there are too many devices to list, the logarithm of the number of graphs.
        """
        raise NotImplementedError

    # -- judging ------------------------------------------------------------------------------------------------

    def certificate(self, options: SolveOptions = DEFAULT_OPTIONS, **decisions: Any) -> Certificate:
        """Evaluate ``source`` in plain NumPy, with ``most_graphs`` for a bound.

        See :func:`radioopt.d2d.certificate.evaluate`.
        """
        from radioopt.d2d.certificate import evaluate

        return evaluate(self, **decisions, options=options)

    def repair(self, **decisions: Any) -> dict[str, Array]:
        """Drop what is no link, and the links into clusters that may not have any; see the certificate module."""
        from radioopt.d2d.links import repair

        return repair(self, **decisions)
