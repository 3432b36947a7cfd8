"""D2D without labels: from which device each device receives points of which of its clusters."""

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
    finite,
    fraction,
    nonnegative,
    positive,
    quantity,
    refuse,
    unrestricted,
)
from radioopt.d2d.links import Links, of_matrices

if TYPE_CHECKING:
    from radioopt.base.certify import Certificate
    from radioopt.d2d.clusters.solution import ClusterGraphSolution  # noqa: F401 (named as the base's type argument)

MATCHINGS = ("nearest", "assignment")
UPDATES = ("merge", "resample")
BUDGETED = ("requested", "received")

PAIR = ("device", "device")
#: clusters of a device's points, which are not those of another device
GROUPS = ("device", "group")
CENTRES = (*GROUPS, "dimension")


@Problem.named
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ClusterGraphProblem(Problem["ClusterGraphSolution"], family="d2d-clusters", sense="max"):
    r"""Choose a transmitter for each device, or none, so that unlabelled data cover more and agree more.

    Each of N devices has sorted its points, in a common subspace of t dimensions, into k clusters with centroids
    :math:`\mu`, covariances :math:`\Sigma` and counts. A transmitter j sends receiver i most of what is far from all
    that i has: with :math:`\delta_k` the distance of its centroid k to the nearest one of i, and :math:`M_i` points
    requested,

    .. math::
        n_{ij}^k = M_i \frac{\delta_k}{\sum_m \delta_m}, \quad
        \theta_{ij}^k = \min\Bigl(n_{ij}^k,
        \frac{T_j^{ik} (d_j^k - \tau_j^k)_+}{|\{m: a_m = j\}|}\Bigr),

    of which a share :math:`1 - P_{ij}` arrives; the transmitter gives up all of it. What arrives joins the receiver's
    nearest cluster. With :math:`G_i` the relative growth of the sum of traces of its covariances, and SA that of the
    agreement of all devices, sum of KL divergences before over that after, minus 1,

    .. math::
        \max_a \; F = \sum_i r_i + \gamma \Bigl(N\,SA - \lambda \sum_i (b_{H(i)}/B_{H(i)} - 1)_+\Bigr), \quad
        r_i = \alpha G_i - \beta P_{i a_i} .

    Parameters
    ----------
    centroids : array_like, shape (..., N, k, t)
        Centres :math:`\mu` of each device's clusters.
    covariances : array_like, shape (..., N, k, t, t)
        Their covariance matrices :math:`\Sigma`.
    counts : array_like, shape (..., N, k)
        Points d >= 0 of each cluster, real numbers; one without points is empty and takes no part.
    requested_points : array_like, shape (..., N)
        Points :math:`M \ge 0` that a device requests.
    outage_probability : array_like, shape (..., N, N)
        Probability :math:`P_{ij}` that what receiver i should get from transmitter j is lost; the diagonal is not used.
    thresholds : array_like, shape (..., N, k), default 0.0
        Points :math:`\tau \ge 0` of each cluster that a device keeps.
    trust : array_like of bool, shape (..., N, N, k), default 1.0
        Whether transmitter j (first axis) shares points of its cluster k with receiver i (second axis).
    allowed : array_like of bool, shape (..., N, N), default 1.0
        Whether receiver i (first axis) may receive from transmitter j at all; the diagonal is not used.
    clusters : array_like of int, shape (..., N), default 0.0
        Number 0 ... N - 1 of each device's cluster of reliable devices.
    budgets : array_like, shape (..., N), default inf
        Points :math:`B_H \ge 0` that the cluster of a device should not exceed from outside, the same for all devices
        of a cluster; 0 forbids them.
    diversity_weight : array_like, shape (...), default 1.0
        :math:`\alpha \ge 0`.
    outage_weight : array_like, shape (...), default 0.1
        :math:`\beta \ge 0`.
    cluster_weight : array_like, shape (...), default 0.5
        :math:`\gamma \ge 0`; 0 leaves the agreement and the budgets out.
    budget_penalty : array_like, shape (...), default 1.0
        :math:`\lambda \ge 0`.
    regularisation : array_like, shape (...), default 0.001
        Share > 0 of the mean eigenvalue of all covariances that is added to each for the divergences.
    position_m : array_like, shape (..., N, 2), default inf
        Places in the plane [m], for drawings only; inf where they are not known.
    matching : {"nearest", "assignment"}, default "nearest"
        Which cluster of another device one is compared with: the nearest, or that of the assignment of least distance.
    update : {"merge", "resample"}, default "merge"
        Whether a cluster gets the exact moments of the mixture with what joins it, or a receiver samples points of all
        Gaussians and sorts them into clusters anew, as the paper has it.
    budgeted : {"requested", "received"}, default "requested"
        What counts against a budget: the points :math:`n_{ij}^k` of clusters that may be shared and have some to spare,
        or those that arrive.
    seed : int, default 0
        Of the points that "resample" draws.
    strict : bool or None, default False
        Whether numbers that are hardly in the unit of their field are refused. By default they are warned of
        (:class:`~radioopt.InputWarning`); None takes them as they are.

    Raises
    ------
    ProblemError
        If a value is not finite, lies outside its domain or does not fit the others' lengths; if a covariance is not
        symmetric and positive semidefinite, a cluster's number is not below N, its devices differ in their budgets, or
        a choice is unknown. The message names field, index and value.

    Notes
    -----
    Reconstructed (R), since the formulas are lost in the text at hand: (15)-(17) from its prose; that clusters are
    compared with the nearest one, where the paper pairs the k-th with the k-th, though K-means numbers them at random;
    that moments are mixed, where it samples. Moments are deterministic and fast; that says little of how well a model
    trained on the data tells *labels* apart. A device without data receives only: G is 1 if it then has some, and what
    comes from the k-th cluster becomes its k-th. Without a link G is 0. Agreement counts devices that have data before.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    Algorithm 2, (15)-(17).

    Examples
    --------
    Two devices with one cluster each, far apart, and a third that has both:

    >>> problem = ClusterGraphProblem(
    ...     centroids=[[[0.0], [0.0]], [[9.0], [9.0]], [[0.0], [9.0]]], covariances=[[[[1.0]]] * 2] * 3,
    ...     counts=[[40, 0], [40, 0], [20, 20]], requested_points=10, outage_probability=0.1)
    >>> solution = problem.solve()
    >>> solution.source
    array([1, 0, 1])
    >>> solution.gain.round(2)
    array([14.38, 17.34,  0.  ])
    """

    centroids: Quantity = quantity("1", finite, CENTRES, "centre of a cluster", symbol="mu")
    covariances: Quantity = quantity(
        "1", finite, (*CENTRES, "dimension"), "covariance of a cluster", symbol="Sigma"
    )
    counts: Quantity = quantity("points", nonnegative, GROUPS, "points of a cluster", symbol="d")
    requested_points: Quantity = quantity("points", nonnegative, DEVICE, "points requested", symbol="M")
    outage_probability: Quantity = quantity("1", fraction, PAIR, "probability of a loss", symbol="P")
    thresholds: Quantity = quantity("points", nonnegative, GROUPS, "points kept", symbol="tau", default=0.0)
    trust: Quantity = quantity(
        "1", fraction, (*PAIR, "group"), "whether shared", symbol="T", default=1.0, dtype=np.bool_
    )
    allowed: Quantity = quantity(
        "1", fraction, PAIR, "whether a link may be used", default=1.0, dtype=np.bool_
    )
    clusters: Quantity = quantity(
        "1", nonnegative, DEVICE, "cluster of devices", symbol="H", default=0.0, dtype=np.int64
    )
    budgets: Quantity = quantity(
        "points", at_least(0, math.inf), DEVICE, "budget of the cluster", symbol="B", default=math.inf
    )
    diversity_weight: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "worth of diversity", symbol="alpha", default=1.0
    )
    outage_weight: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "cost of outage", symbol="beta", default=0.1
    )
    cluster_weight: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "worth of agreement and budgets", symbol="gamma", default=0.5
    )
    budget_penalty: Quantity = quantity(
        "1", nonnegative, PER_INSTANCE, "cost of exceeding a budget", symbol="lambda", default=1.0
    )
    regularisation: Quantity = quantity(
        "1", positive, PER_INSTANCE, "share of the mean eigenvalue added", default=1e-3
    )
    position_m: Quantity = quantity(
        "m", unrestricted, ("device", "coordinate"), "place, for drawings", default=math.inf
    )
    matching: str = "nearest"
    update: str = "merge"
    budgeted: str = "requested"
    seed: int = 0
    strict: InitVar[bool | None] = False

    @np.errstate(all="ignore")
    def _check(self) -> None:
        name, devices = type(self).__name__, self.sizes["device"]
        for field, choices in (("matching", MATCHINGS), ("update", UPDATES), ("budgeted", BUDGETED)):
            check_choice(name, field, getattr(self, field), choices)
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            refuse(name, "seed", np.asarray(-1.0), np.asarray(True), "a whole number >= 0")
        given = self.covariances
        twisted = abs(given - np.swapaxes(given, -1, -2)) > 1e-9 * (
            1.0 + abs(given).max((-1, -2), keepdims=True)
        )
        if twisted.any():
            refuse(name, "covariances", given, twisted, "a symmetric matrix")
        low = np.linalg.eigvalsh(given)[..., 0]
        if (low < -1e-9 * (1.0 + abs(given).max((-1, -2)))).any():
            wrong = low < -1e-9 * (1.0 + abs(given).max((-1, -2)))
            refuse(name, "covariances", low, wrong, "eigenvalues >= 0")
        if (self.clusters >= devices).any():
            few = f"< {devices}, a number per device"
            refuse(name, "clusters", self.clusters, self.clusters >= devices, few)
        same = self.clusters[..., :, None] == self.clusters[..., None, :]
        budgets = np.asarray(self.budgets)
        differs = (same & (budgets[..., :, None] != budgets[..., None, :])).any(-1)
        if differs.any():
            refuse(name, "budgets", budgets, differs, "the same value for all devices of a cluster")
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
    def surplus(self) -> Array:
        """Points that a device has to spare, shape (..., N, k)."""
        return np.asarray(np.maximum(self.counts - self.thresholds, 0.0))

    @property
    @np.errstate(all="ignore")
    def scale(self) -> Any:  # type: ignore[override]  # a number per instance, where the base has a constant
        """Worth of a growth of 1, of a sure outage and of an agreement of 1, shape (...): what is nothing to a gap."""
        agreement = self.cluster_weight * self.sizes["device"]
        return self.diversity_weight + self.outage_weight + agreement

    def usable_links(self) -> Links:
        """List the links of a single instance that may be used.

        Returns
        -------
        Links
            With their outage and how much is shared over each.
        """
        return of_matrices(self)

    def permits(self, source: Array) -> Array:
        """Tell which links of graphs of a single instance may be used.

        Parameters
        ----------
        source : ndarray of int, shape (..., N)
            Transmitters, all of them >= 0.

        Returns
        -------
        ndarray of bool, shape (..., N)
            What ``allowed`` says of them.
        """
        return np.asarray(self.allowed[np.arange(source.shape[-1]), source])

    def after(self, source: Any) -> ClusterGraphProblem:
        """Return the problem of the next edge: clusters after an exchange, and its pairs no longer allowed.

        Parameters
        ----------
        source : array_like of int, shape (..., N)
            Transmitter of every device, -1 for none.

        Returns
        -------
        ClusterGraphProblem
            The same budgets hold anew. Clusters that are empty keep their moments.
        """
        from radioopt.d2d.clusters.certificate import exchange
        from radioopt.d2d.links import instances

        source = np.asarray(source)
        used = source[..., None] == np.arange(source.shape[-1])
        names = {"counts": "counts_after", "centroids": "centroids_after", "covariances": "covariances_after"}
        changed = {name: np.empty_like(getattr(self, name)) for name in names}
        for index, one in instances(self):
            moved = exchange(one, source[index])
            for name, found in names.items():
                changed[name][index] = getattr(moved, found)
        following: ClusterGraphProblem = self.replace(**changed, allowed=self.allowed & ~used)
        return following

    # -- judging ------------------------------------------------------------------------------------------------

    def certificate(self, options: SolveOptions = DEFAULT_OPTIONS, **decisions: Any) -> Certificate:
        """Evaluate ``source`` in plain NumPy, with ``most_graphs`` for a bound.

        See :func:`radioopt.d2d.clusters.certificate.evaluate`.
        """
        from radioopt.d2d.clusters.certificate import evaluate

        return evaluate(self, **decisions, options=options)

    def repair(self, **decisions: Any) -> dict[str, Array]:
        """Drop what is no link, and the links into clusters that may not have any; see the certificate module."""
        from radioopt.d2d.links import repair

        return repair(self, **decisions)
