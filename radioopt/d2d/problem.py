"""D2D: from which device each device receives data before training, so that local data become diverse."""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Quantity,
    at_least,
    check_choice,
    fraction,
    nonnegative,
    quantity,
    refuse,
    unrestricted,
)

if TYPE_CHECKING:
    from radioopt.base.certify import Certificate
    from radioopt.d2d.solution import GraphSolution  # noqa: F401 (named as the base's type argument)

METRICS = ("wasserstein", "total-variation", "jensen-shannon")
SCORES = ("improvement", "change")
REQUESTS = ("deficit", "compensated")
BUDGETED = ("requested", "received")

#: receiver and transmitter
PAIR = ("device", "device")
#: points of each class at each device
POINTS = ("device", "class")


@Problem.named
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GraphProblem(Problem["GraphSolution"], family="d2d", sense="max"):
    r"""Choose a transmitter for each device, or none, so that data become diverse over reliable, trusted links.

    N devices hold :math:`d_i^l` points of L classes and want :math:`\tau_i^l`. Device i may receive from one other
    device :math:`a_i` over a link that fails with probability :math:`P_{i a_i}`, and asks it for what it lacks of the
    classes that the transmitter trusts it with and has to spare. All exchanges are simultaneous, and a transmitter
    that is asked for more than it has to spare shares in proportion:

    .. math::
        q_{ij}^l = T_j^{il}\, 1[d_j^l > \tau_j^l]\, (\tau_i^l - d_i^l)_+, \quad
        \theta_{ij}^l = q_{ij}^l \min\Bigl(1, \frac{(d_j^l - \tau_j^l)_+}{\sum_{k: a_k = j} q_{kj}^l}\Bigr), \quad
        d'^l_i = d_i^l + (1 - P_{i a_i})\, \theta_{i a_i}^l - \sum_{k: a_k = i} \theta_{ki}^l .

    With the score :math:`S_i` of what that does to device i, and b_H the points requested from outside a cluster H,

    .. math::
        \max_a \; F = \sum_i r_i + \gamma R_{H(i)}, \quad r_i = \alpha S_i - \beta P_{i a_i}, \quad
        R_H = \frac{1}{N} \sum_i r_i - \lambda \Bigl(\frac{b_H}{B_H} - 1\Bigr)_+ .

    Parameters
    ----------
    class_counts : array_like, shape (..., N, L)
        Points :math:`d_i^l \ge 0` of each class at each device; real numbers.
    thresholds : array_like, shape (..., N, L)
        Points :math:`\tau_i^l \ge 0` that a device wants to have, and keeps when it gives.
    outage_probability : array_like, shape (..., N, N)
        Probability :math:`P_{ij}` that what receiver i should get from transmitter j is lost; the diagonal is not
        used. :func:`outage_probability` computes it.
    trust : array_like of bool, shape (..., N, N, L), default 1.0
        Whether transmitter j (first axis) shares points of class l with receiver i (second axis); see
        :func:`random_trust` and its structured kin.
    allowed : array_like of bool, shape (..., N, N), default 1.0
        Whether receiver i (first axis) may receive from transmitter j at all; the diagonal is not used.
    clusters : array_like of int, shape (..., N), default 0.0
        Number 0 ... N - 1 of each device's cluster; :func:`reliable_clusters` finds them.
    budgets : array_like, shape (..., N), default inf
        Points :math:`B_H \ge 0` that the cluster of a device should not exceed from outside, the same for all
        devices of a cluster; 0 forbids them.
    ideal_distribution : array_like, shape (..., L), default 1.0
        Distribution of the classes to get close to, up to a factor.
    min_classes : array_like, shape (...), default 1.0
        A device scores only if it ends with a `gate` of what it wants in at least so many classes.
    gate : array_like, shape (...), default 0.5
        That share, in [0, 1]. The paper has 1, which no class met by receiving reaches over a lossy link: a receiver
        asks for exactly what it lacks and gets a part of it.
    diversity_weight, outage_weight, cluster_weight, budget_penalty : array_like, shape (...), default 1, 0.1, 0.5, 1
        :math:`\alpha, \beta, \gamma, \lambda \ge 0`.
    position_m : array_like, shape (..., N, 2), default inf
        Places in the plane [m], for drawings only; inf where they are not known.
    metric : {"wasserstein", "total-variation", "jensen-shannon"}, default "wasserstein"
        Distance of distributions of classes. Wasserstein's is that of neighbouring labels, so that a relabelling of
        classes changes it; Jensen-Shannon's is the divergence in bit.
    score : {"improvement", "change"}, default "improvement"
        Whether :math:`S_i` is how much closer the data get to the ideal, 0 if they do not, or how far from what they
        were, which is probably the paper's own.
    request : {"deficit", "compensated"}, default "deficit"
        Whether a receiver asks for what it lacks, or for 1/(1 - P) times that to make up for losses.
    budgeted : {"requested", "received"}, default "requested"
        What counts against a budget.
    strict : bool or None, default False
        Whether numbers that are hardly in the unit of their field are refused. By default they are warned of
        (:class:`~radioopt.InputWarning`); None takes them as they are.

    Raises
    ------
    ProblemError
        If a value is not finite, lies outside its domain or does not fit the others' lengths; if a cluster's number is
        not below N, its devices differ in their budgets, the ideal distribution is all zero, more classes are asked
        for than there are, or a choice is unknown. The message names field, index and value.

    Notes
    -----
    Reconstructed, since the formulas are lost in the text at hand (R by its prose, R* by prose that leaves little
    choice): the outage (18) and clusters R*; messages (9)-(12) R*; gate (8), score, rewards (13)-(14) and
    the objective R. "No transmitter" is a legal choice. A device without data is at the largest distance of the metric
    from everything: any data improve it. Neither submodular nor monotone: see :mod:`radioopt.d2d.kernel_search`.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    (1), (2), (6)-(14).

    Examples
    --------
    Device 0 has only the first of two classes, device 1 only the second, device 2 both:

    >>> problem = GraphProblem(
    ...     class_counts=[[20, 0], [0, 20], [10, 10]], thresholds=10, outage_probability=0.1)
    >>> solution = problem.solve()
    >>> solution.source
    array([ 1,  0, -1])
    >>> solution.counts_after
    array([[10.,  9.],
           [ 9., 10.],
           [10., 10.]])
    """

    class_counts: Quantity = quantity("points", nonnegative, POINTS, "points of each class", symbol="d")
    thresholds: Quantity = quantity("points", nonnegative, POINTS, "points wanted", symbol="tau")
    outage_probability: Quantity = quantity("1", fraction, PAIR, "probability of a loss", symbol="P")
    trust: Quantity = quantity(
        "1", fraction, (*PAIR, "class"), "whether shared", symbol="T", default=1.0, dtype=np.bool_
    )
    allowed: Quantity = quantity(
        "1", fraction, PAIR, "whether a link may be used", default=1.0, dtype=np.bool_
    )
    clusters: Quantity = quantity(
        "1", nonnegative, DEVICE, "cluster", symbol="H", default=0.0, dtype=np.int64
    )
    budgets: Quantity = quantity(
        "points", at_least(0, math.inf), DEVICE, "budget of the cluster", symbol="B", default=math.inf
    )
    ideal_distribution: Quantity = quantity(
        "1", nonnegative, ("class",), "distribution to get close to", default=1.0
    )
    min_classes: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "classes that must be met", symbol="kappa", default=1.0
    )
    gate: Quantity = quantity("1", fraction, PER_INSTANCE, "share that meets a class", default=0.5)
    diversity_weight: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "worth of diversity", symbol="alpha", default=1.0
    )
    outage_weight: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "cost of outage", symbol="beta", default=0.1
    )
    cluster_weight: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "worth of the cluster's reward", symbol="gamma", default=0.5
    )
    budget_penalty: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "cost of exceeding a budget", symbol="lambda", default=1.0
    )
    position_m: Quantity = quantity(
        "m", unrestricted, ("device", "coordinate"), "place, for drawings", default=math.inf
    )
    metric: str = "wasserstein"
    score: str = "improvement"
    request: str = "deficit"
    budgeted: str = "requested"
    strict: InitVar[bool | None] = False

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
    def scale(self) -> Any:  # type: ignore[override]  # a number per instance, where the base has a constant
        """Worth of a device's score of 1 and of a sure outage, shape (...): what is nothing to a gap."""
        return (1.0 + self.cluster_weight) * (self.diversity_weight + self.outage_weight)

    def after(self, source: Any) -> GraphProblem:
        """Return the problem of the next edge: counts after an exchange, and its pairs no longer allowed.

        Parameters
        ----------
        source : array_like of int, shape (..., N)
            Transmitter of every device, -1 for none.

        Returns
        -------
        GraphProblem
            The same budgets hold anew.
        """
        from radioopt.d2d.certificate import exchange, instances

        source = np.asarray(source)
        used = source[..., None] == np.arange(source.shape[-1])
        counts = np.empty_like(self.class_counts)
        for index, one in instances(self):
            counts[index] = exchange(one, source[index]).counts_after
        following: GraphProblem = self.replace(class_counts=counts, allowed=self.allowed & ~used)
        return following

    # -- judging ------------------------------------------------------------------------------------------------

    def certificate(self, options: SolveOptions = DEFAULT_OPTIONS, **decisions: Any) -> Certificate:
        """Evaluate ``source`` in plain NumPy, with ``most_graphs`` for a bound.

        See :func:`radioopt.d2d.certificate.evaluate`.
        """
        from radioopt.d2d.certificate import evaluate

        return evaluate(self, **decisions, options=options)

    def repair(self, **decisions: Any) -> dict[str, Array]:
        """Drop what is no link, and the links into clusters that may not have any; see the certificate module."""
        from radioopt.d2d.certificate import repair

        return repair(self, **decisions)
