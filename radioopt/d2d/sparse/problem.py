"""The labelled D2D problem with a list of links instead of a matrix: for a hundred thousand devices and more."""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.problem import Problem
from radioopt.base.quantity import Array, Quantity, fraction, nonnegative, quantity, refuse
from radioopt.d2d.graph import Graph
from radioopt.d2d.links import Links

if TYPE_CHECKING:
    from radioopt.d2d.problem import GraphProblem
    from radioopt.d2d.solution import GraphSolution  # noqa: F401 (named as the base's type argument)

LINK = ("link",)
#: devices up to which the links also fit into matrices
MOST_DENSE = 3_000
#: devices up to which useful links are listed, to bound what all graphs could reach
MOST_LISTED = 100


class Rows(NamedTuple):
    """Links of a single instance by receiver, then by transmitter.

    Parameters
    ----------
    order : ndarray of int (E,)
        Their positions in the problem.
    keys : ndarray of int (E,)
        ``receiver * N + transmitter``, which increases.
    """

    order: Array
    keys: Array


@Problem.named
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SparseGraphProblem(Graph, Problem["GraphSolution"], family="d2d-sparse", sense="max"):  # type: ignore[override]  # scale
    r"""Choose a transmitter for each device among those listed, or none; else as :class:`GraphProblem`.

    Memory and the time of an evaluation, of the baselines and of a pass of local search are in proportion to the
    number E of links times the number L of classes. Where both fit, the answers of all methods are those of
    :class:`GraphProblem` to the last bit of the objective.

    Parameters
    ----------
    receiver, transmitter : array_like of int, shape (..., E)
        The two devices of each link, numbers 0 ... N - 1; no pair is listed twice.
    outage_probability : array_like, shape (..., E)
        Probability that what a link carries is lost.
    trust : array_like of bool, shape (..., E, L), default 1.0
        Whether the transmitter of a link shares points of a class with its receiver.
    allowed : array_like of bool, shape (..., E), default 1.0
        Whether a link may be used: so instances of a batch may have different numbers of links.
    class_counts, thresholds : array_like, shape (..., N, L)
        As of :class:`GraphProblem`; `class_counts` says how many devices there are.
    clusters : array_like of int, shape (..., N), default 0.0
        As of :class:`GraphProblem`.
    budgets : array_like, shape (..., N), default inf
        As of :class:`GraphProblem`.
    ideal_distribution : array_like, shape (..., L), default 1.0
        As of :class:`GraphProblem`.
    min_classes, diversity_weight, budget_penalty : array_like, shape (...), default 1.0
        As of :class:`GraphProblem`.
    gate, cluster_weight : array_like, shape (...), default 0.5
        As of :class:`GraphProblem`.
    outage_weight : array_like, shape (...), default 0.1
        As of :class:`GraphProblem`.
    position_m : array_like, shape (..., N, 2), default inf
        Places in the plane [m]; where they are known, large instances are solved in their order.
    metric : str, default "wasserstein"
        As of :class:`GraphProblem`.
    score : str, default "improvement"
        As of :class:`GraphProblem`.
    request : str, default "deficit"
        As of :class:`GraphProblem`.
    budgeted : str, default "requested"
        As of :class:`GraphProblem`.
    strict : bool or None, default False
        Whether numbers that are hardly in the unit of their field are refused. By default they are warned of
        (:class:`~radioopt.InputWarning`); None takes them as they are.

    Raises
    ------
    ProblemError
        If a value is refused as by :class:`GraphProblem`, if a device's number is not below N, a link leads from a
        device to itself, or a pair is listed twice. The message names field, index and value.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    (1), (2), (6)-(14).

    Examples
    --------
    >>> problem = SparseGraphProblem(
    ...     receiver=[0, 1], transmitter=[1, 0], outage_probability=0.1,
    ...     class_counts=[[20, 0], [0, 20], [10, 10]], thresholds=10)
    >>> problem.solve().source
    array([ 1,  0, -1])
    >>> problem.solve().objective == problem.dense().solve().objective
    np.True_
    """

    receiver: Quantity = quantity("1", nonnegative, LINK, "receiver", symbol="i", dtype=np.int64)
    transmitter: Quantity = quantity("1", nonnegative, LINK, "transmitter", symbol="j", dtype=np.int64)
    outage_probability: Quantity = quantity("1", fraction, LINK, "probability of a loss", symbol="P")
    trust: Quantity = quantity(
        "1", fraction, (*LINK, "class"), "whether shared", symbol="T", default=1.0, dtype=np.bool_
    )
    allowed: Quantity = quantity(
        "1", fraction, LINK, "whether a link may be used", default=1.0, dtype=np.bool_
    )
    strict: InitVar[bool | None] = False

    def _check(self) -> None:
        super()._check()
        name, devices = type(self).__name__, self.sizes["device"]
        for field in ("receiver", "transmitter"):
            values = getattr(self, field)
            if values.max(initial=0) >= devices:
                refuse(name, field, values, values >= devices, f"< {devices}, a number per device")
        if (self.receiver == self.transmitter).any():
            refuse(name, "transmitter", self.transmitter, self.receiver == self.transmitter, "another device")
        for index in np.ndindex(self.batch_shape):
            keys = self.receiver[index] * devices + self.transmitter[index]
            keys = keys if (np.diff(keys) > 0).all() else np.sort(keys)
            twice = np.flatnonzero(np.diff(keys) == 0)
            if twice.size:
                i, j = divmod(int(keys[twice[0]]), devices)
                raise ProblemError(f"{name}.transmitter: the link from {j} to {i} is listed twice")

    @cached_property
    def rows(self) -> Rows:
        """Links of a single instance in order."""
        keys = self.receiver * self.sizes["device"] + self.transmitter
        if (np.diff(keys) > 0).all():
            return Rows(np.arange(len(keys)), keys)
        order = np.argsort(keys)
        return Rows(order, keys[order])

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is found anew."""
        return {name: value for name, value in super().__getstate__().items() if name != "rows"}

    def _find(self, source: Array) -> tuple[Array, Array]:
        """Positions of the links of graphs, and whether they are listed."""
        order, keys = self.rows
        wanted = np.arange(source.shape[-1]) * self.sizes["device"] + source
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return order[at], (keys[at] == wanted) & (source >= 0)

    def links_of(self, source: Array) -> tuple[Array, Array]:
        """Look up the links of graphs; see :class:`radioopt.d2d.graph.Graph`."""
        link, listed = self._find(source)
        if (listed != (source >= 0)).any():
            index = tuple(np.argwhere(listed != (source >= 0))[0])
            raise ProblemError(
                f"{type(self).__name__}: the link from {source[index]} to {index[-1]} is not listed"
            )
        return np.where(listed, self.outage_probability[link], 0.0), self.trust[link] & listed[..., None]

    def usable_links(self) -> Links:
        """List the links of a single instance that may be used.

        Returns
        -------
        Links
            With their outage and how much is shared over each.
        """
        order, keys = self.rows
        legal = self.allowed[order]
        receiver, transmitter = np.divmod(keys[legal], self.sizes["device"])
        link = order[legal]
        return Links(
            self.sizes["device"],
            receiver,
            transmitter,
            self.outage_probability[link],
            self.trust[link].sum(-1),
        )

    def permits(self, source: Array) -> Array:
        """Tell which links of graphs may be used."""
        link, listed = self._find(source)
        return np.asarray(listed & self.allowed[link])

    def useful(self) -> list[Array] | float:
        """List the transmitters that each device could receive anything from, if there are not too many devices."""
        if self.sizes["device"] > MOST_LISTED:
            return math.inf
        order, keys = self.rows
        receiver, transmitter = np.divmod(keys, self.sizes["device"])
        shared = self.trust[order] & (self.surplus > 0)[transmitter] & (self.deficit > 0)[receiver]
        used = self.allowed[order] & shared.any(-1)
        if self.request == "compensated":
            used &= self.outage_probability[order] < 1
        first = np.searchsorted(receiver[used], np.arange(1, self.sizes["device"]))
        return np.split(transmitter[used], first)

    def dense(self) -> GraphProblem:
        """Return the same problem with matrices; pairs that are not listed are not allowed.

        Returns
        -------
        GraphProblem
            With the batch axes of this one.

        Raises
        ------
        ProblemError
            If there are more than 3,000 devices: the matrices would take gigabytes.
        """
        devices, classes, batch = self.sizes["device"], self.sizes["class"], self.batch_shape
        if devices > MOST_DENSE:
            raise ProblemError(
                f"{type(self).__name__}.dense: {devices} devices, more than {MOST_DENSE}, have no room in matrices"
            )
        outage = np.ones((*batch, devices, devices))
        allowed = np.zeros((*batch, devices, devices), np.bool_)
        trust = np.zeros((*batch, devices, devices, classes), np.bool_)
        for index in np.ndindex(batch):
            i, j = self.receiver[index], self.transmitter[index]
            outage[index][i, j] = self.outage_probability[index]
            allowed[index][i, j] = self.allowed[index]
            trust[index][j, i] = self.trust[index]
        common = {name: value for name, value in self._given().items() if name not in _OF_LINKS}
        dense: Any = Problem.registry["d2d"]
        found: GraphProblem = dense(
            outage_probability=outage, allowed=allowed, trust=trust, **common, **self.settings, strict=None
        )
        return found

    def after(self, source: Any) -> SparseGraphProblem:
        """Return the problem of the next edge: counts after an exchange, and its links no longer allowed.

        Parameters
        ----------
        source : array_like of int, shape (..., N)
            Transmitter of every device, -1 for none.

        Returns
        -------
        SparseGraphProblem
            The same budgets hold anew.
        """
        from radioopt.d2d.certificate import exchange
        from radioopt.d2d.links import instances

        source, counts, allowed = np.asarray(source), np.empty_like(self.class_counts), self.allowed.copy()
        for index, one in instances(self):
            counts[index] = exchange(one, source[index]).counts_after
            link, listed = one._find(source[index])
            allowed[index][link[listed]] = False
        following: SparseGraphProblem = self.replace(class_counts=counts, allowed=allowed)
        return following


_OF_LINKS = ("receiver", "transmitter", "outage_probability", "trust", "allowed")
