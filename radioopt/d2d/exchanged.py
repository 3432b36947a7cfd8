"""What all D2D methods return: a transmitter for each device, and what follows from it, whatever is shared."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from radioopt.base.certify import Certificate, certify
from radioopt.base.judge import Limit
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, Axes, BlockKey
from radioopt.base.solution import Solution
from radioopt.base.status import Status
from radioopt.d2d.links import instances, legal

if TYPE_CHECKING:
    import pandas as pd


class Exchanged(Solution):
    """A graph of an exchange; a family says what is worked out of one, and how it is judged.

    Besides those its quantities have ``source``, shape (..., N), ``transferred``, shape (..., N, .), and
    ``inter_cluster_points``, shape (..., N).
    """

    decisions: ClassVar[tuple[str, ...]] = ("source",)
    objective_name: ClassVar[str] = "sum of all devices' rewards"
    problem: Any
    source: Any
    transferred: Any
    inter_cluster_points: Any

    @staticmethod
    @abstractmethod
    def worked_out(one: Any, source: Array) -> dict[str, Any]:
        """Work out what follows from a graph of a single instance: results by name, the objective among them."""

    @abstractmethod
    def _judge(self, options: SolveOptions, most_graphs: int) -> Certificate:
        """Judge the graph alone, against as many graphs at most."""

    @property
    @abstractmethod
    def link_outage(self) -> Array:
        """Outage probability of each device's link, 0 where it has none, shape (..., N)."""

    @abstractmethod
    def _means(self) -> Mapping[str, Array]:
        """Return what a summary tells beside the quantities, each of shape (...)."""

    @abstractmethod
    def _link_columns(self) -> Mapping[str, Array]:
        """Return what a table of devices tells first, after the transmitter, each of shape (..., N)."""

    @classmethod
    @np.errstate(all="ignore")
    def judged(
        cls,
        problem: Any,
        method: str,
        source: Array,
        iterations: Array,
        options: SolveOptions,
        *,
        proven: Array | bool = False,
        stopped: Array | bool = False,
    ) -> Self:
        """Evaluate graphs of shape (..., N) in plain NumPy and judge them.

        Parameters
        ----------
        problem : GraphProblem, SparseGraphProblem or ClusterGraphProblem
            The question.
        method : str
            The method that found them.
        source : ndarray of int, shape (..., N)
            The graphs.
        iterations : ndarray of int, shape (...)
            What the method counts.
        options : SolveOptions
            Tolerances.
        proven : ndarray of bool, shape (...), default False
            Whether every graph was tried, so that the objective is its own bound.
        stopped : ndarray of bool, shape (...), default False
            Whether the iterations ran out.

        Returns
        -------
        Exchanged
            Without a proof the bound is infinite, and so is the gap.
        """
        values = {
            name: np.empty((*problem.batch_shape, *(problem.sizes[axis] for axis in key.axes)), key.char)
            for name, (key, _) in cls._layout.rows.items()
        }
        for index, one in instances(problem):
            for name, value in cls.worked_out(one, source[index]).items():
                values[name][index] = value
        objective = np.where(np.isneginf(values["objective"]), np.nan, values["objective"])
        bound = np.where(proven, objective, np.inf)
        gap, status = certify(
            objective,
            bound,
            np.zeros_like(objective),
            sense=problem.sense,
            scale=problem.scale,
            options=options,
        )
        ended = np.asarray(stopped) & (status == int(Status.FEASIBLE))
        status = np.where(ended, int(Status.ITERATION_LIMIT), status)
        known = {"objective": objective, "bound": bound, "gap": gap, "status_code": status, "source": source}
        for name, value in {**known, "iterations": iterations}.items():
            values[name][...] = value
        rows: dict[BlockKey, list[Array]] = {}
        for name, (key, _) in cls._layout.rows.items():
            rows.setdefault(key, []).append(values[name])
        return cls(problem, method, {key: np.stack(block) for key, block in rows.items()})

    def follows(self) -> dict[str, Any]:
        """Return what moves over the graph, links that are not allowed left out, and what that is worth."""
        chosen, _ = legal(self.problem, self.source)
        found: dict[str, Array] = {}
        for index, one in instances(self.problem):
            for name, value in self.worked_out(one, chosen[index]).items():
                if name not in found:
                    found[name] = np.full(np.shape(getattr(self, name)), np.nan)
                found[name][index] = value
        found.pop("objective", None)
        return found

    def limits(self) -> list[Limit]:
        """Return which transmitters a device may have, and that nothing enters a cluster with a budget of 0."""
        count = self.problem.sizes["device"]
        chosen, _ = legal(self.problem, self.source)
        known = f"-1, or another device 0 ... {count - 1} whose link is allowed"
        forbidden = (self.problem.budgets <= 0) & (self.inter_cluster_points > 0)
        return [
            Limit("source", chosen == self.source, choices=known),
            Limit("source", ~forbidden, choices="no link from outside into a cluster with a budget of 0"),
        ]

    def _measured(self, options: SolveOptions) -> Certificate:
        """Judge the graph alone; what an enumeration proved is proven anew, by as many graphs."""
        tried = int(np.max(self.iterations, initial=0)) if self.method == "enumerate" else 0
        return self._judge(options, tried)

    @property
    @np.errstate(all="ignore")
    def received(self) -> Array:
        """Points that arrive at each device, shape of ``transferred``."""
        return np.asarray((1.0 - self.link_outage[..., None]) * self.transferred)

    @np.errstate(all="ignore")
    def whole_points(self) -> Array:
        """Round what is transferred to whole points, nobody's surplus exceeded.

        Returns
        -------
        ndarray of int64, shape of ``transferred``
            By largest remainders for each transmitter and class or cluster of its own: their sum is that of
            ``transferred``, rounded down.
        """
        from radioopt.d2d.rounding import whole_points

        return whole_points(self.source, self.transferred)

    def summary(self) -> dict[str, Any]:
        """Return the per-instance quantities with the number of links, points transferred and means over devices."""
        return super().summary() | {name: float(value) for name, value in self._all_means().items()}

    @np.errstate(all="ignore")
    def _all_means(self) -> dict[str, Array]:
        return {
            "links": (self.source >= 0).sum(-1),
            "points_transferred": self.transferred.sum((-1, -2)),
            "points_received": self.received.sum((-1, -2)),
            **self._means(),
        }

    @np.errstate(all="ignore")
    def to_frame(self, axes: Axes = DEVICE) -> pd.DataFrame:
        """Tabulate per device, with its link and what it receives first; or per instance, with the means."""
        frame = super().to_frame(axes)
        if axes == DEVICE:
            first = {"link_outage": self.link_outage, "points_received": self.received.sum(-1)}
            first |= self._link_columns()
            for name, value in first.items():
                frame[name] = np.ravel(value)
            order = ["source", *first]
            frame = frame[order + [name for name in frame.columns if name not in order]]
        elif axes == PER_INSTANCE:
            for name, value in self._all_means().items():
                frame[name] = np.ravel(value)
        return frame
