"""D2D: from which device each device receives data before training, so that local data become diverse."""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.problem import Problem
from radioopt.base.quantity import Array, Quantity, fraction, quantity
from radioopt.d2d.graph import Graph
from radioopt.d2d.links import Links, of_matrices

if TYPE_CHECKING:
    from radioopt.d2d.solution import GraphSolution  # noqa: F401 (named as the base's type argument)
    from radioopt.d2d.sparse.problem import SparseGraphProblem

#: receiver and transmitter
PAIR = ("device", "device")


@Problem.named
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GraphProblem(Graph, Problem["GraphSolution"], family="d2d", sense="max"):  # type: ignore[override]  # scale
    r"""Choose a transmitter for each device, or none, so that data become diverse over reliable, trusted links.

    N devices hold :math:`d_i^l` points of L classes and want :math:`\tau_i^l`. Device i may receive from one other
    device :math:`a_i` over a link that fails with probability :math:`P_{i a_i}`, and asks it for what it lacks of the
    classes that the transmitter trusts it with and has to spare. All exchanges are simultaneous, and a transmitter
    that is asked for more than it has to spare shares in proportion:

    .. math::
        q_{ij}^l = T_j^{il}\, 1[d_j^l > \tau_j^l]\, (\tau_i^l - d_i^l)_+, \quad
        \theta_{ij}^l = q_{ij}^l \min\Bigl(1, \frac{(d_j^l - \tau_j^l)_+}{\sum_{k: a_k = j} q_{kj}^l}\Bigr),

    .. math::
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
    diversity_weight : array_like, shape (...), default 1.0
        :math:`\alpha \ge 0`.
    outage_weight : array_like, shape (...), default 0.1
        :math:`\beta \ge 0`.
    cluster_weight : array_like, shape (...), default 0.5
        :math:`\gamma \ge 0`.
    budget_penalty : array_like, shape (...), default 1.0
        :math:`\lambda \ge 0`.
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

    outage_probability: Quantity = quantity("1", fraction, PAIR, "probability of a loss", symbol="P")
    trust: Quantity = quantity(
        "1", fraction, (*PAIR, "class"), "whether shared", symbol="T", default=1.0, dtype=np.bool_
    )
    allowed: Quantity = quantity(
        "1", fraction, PAIR, "whether a link may be used", default=1.0, dtype=np.bool_
    )
    strict: InitVar[bool | None] = False

    @classmethod
    def sparse(
        cls,
        *,
        receiver: ArrayLike,
        transmitter: ArrayLike,
        outage_probability: ArrayLike,
        class_counts: ArrayLike,
        thresholds: ArrayLike,
        trust: ArrayLike = True,
        **fields: Any,
    ) -> SparseGraphProblem:
        """Pose the same problem with a list of links; what is not listed does not exist.

        Parameters
        ----------
        receiver, transmitter : array_like of int, shape (..., E)
            The two devices of each link.
        outage_probability : array_like, shape (..., E)
            Probability that what a link carries is lost.
        class_counts, thresholds : array_like, shape (..., N, L)
            Points of each class that a device has, and that it wants.
        trust : array_like of bool, shape (..., E, L), default True
            Which classes the transmitter of a link shares with its receiver.
        **fields
            The other fields, as here.

        Returns
        -------
        SparseGraphProblem
            Its methods take time and memory in proportion to the links.

        Raises
        ------
        ProblemError
            If a value is refused.

        Examples
        --------
        >>> problem = GraphProblem.sparse(
        ...     receiver=[0, 1], transmitter=[1, 0], outage_probability=0.1,
        ...     class_counts=[[20, 0], [0, 20], [10, 10]], thresholds=10)
        >>> problem.solve().source
        array([ 1,  0, -1])
        """
        from radioopt.d2d.sparse.problem import SparseGraphProblem

        return SparseGraphProblem(
            receiver=receiver,
            transmitter=transmitter,
            outage_probability=outage_probability,
            class_counts=class_counts,
            thresholds=thresholds,
            trust=trust,
            **fields,
        )

    def links_of(self, source: Array) -> tuple[Array, Array]:
        """Look up the links of graphs; see :class:`Graph`."""
        receiver, there = np.arange(source.shape[-1]), source >= 0
        j = np.where(there, source, 0)
        outage = np.where(there, self.outage_probability[receiver, j], 0.0)
        return outage, self.trust[j, receiver] & there[..., None]

    def usable_links(self) -> Links:
        """List the links of a single instance that may be used.

        Returns
        -------
        Links
            With their outage and how much is shared over each.
        """
        return of_matrices(self)

    def permits(self, source: Array) -> Array:
        """Tell which links of graphs may be used."""
        return np.asarray(self.allowed[np.arange(source.shape[-1]), source])

    def useful(self) -> list[Array] | float:
        """List the transmitters that each device could receive anything from."""
        return [np.flatnonzero(row) for row in self.useful_pairs()]

    def useful_pairs(self) -> Array:
        """Tell which links of a single instance could move anything, shape (N, N): receiver, transmitter."""
        count = self.sizes["device"]
        some = np.zeros((count, count), np.bool_)
        for lacks, spares, trust in zip(
            (self.deficit > 0).T, (self.surplus > 0).T, np.moveaxis(self.trust, -1, 0), strict=True
        ):
            some |= np.logical_and.outer(lacks, spares) & trust.T
        np.fill_diagonal(some, False)
        if self.request == "compensated":
            some &= self.outage_probability < 1
        return some & self.allowed

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
        from radioopt.d2d.certificate import exchange
        from radioopt.d2d.links import instances

        source = np.asarray(source)
        used = source[..., None] == np.arange(source.shape[-1])
        counts = np.empty_like(self.class_counts)
        for index, one in instances(self):
            counts[index] = exchange(one, source[index]).counts_after
        following: GraphProblem = self.replace(class_counts=counts, allowed=self.allowed & ~used)
        return following
