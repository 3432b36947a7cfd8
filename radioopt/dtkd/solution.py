"""What the DT-KD methods return."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.adjoint import Linearised
from radioopt.base.judge import Limit
from radioopt.base.pictures import no_path
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, Axes, Quantity, quantity, unrestricted
from radioopt.base.solution import Solution
from radioopt.dtkd.problem import DistillationProblem

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.dtkd.sensitivity import DistillationSensitivity


class DistillationSolution(Solution):
    """Models, places, server CPU and bandwidth of all users, with the cost reached and its certificate.

    Attributes
    ----------
    model : ndarray of int64, shape (..., K)
        Position of each user's model in the catalogue; -1 without an answer.
    trains_locally : ndarray of bool, shape (..., K)
        Whether the user trains its model itself, rather than the server.
    server_cpu_frequency_hz, bandwidth_hz : ndarray, shape (..., K)
        Shares of the server's CPU and of the band [Hz].
    delay_s : ndarray, shape (..., K)
        Time of one epoch: teacher, student and transmissions [s].
    price_delay_per_s : ndarray, shape (..., K)
        What a second more of a user's deadline would save [1/s]; 0 where it does not bind.
    price_server_cpu_per_hz, price_bandwidth_per_hz : float or ndarray (...)
        What a hertz more of the server's CPU, and of the band, would save, choices unchanged [1/Hz].
    nodes : int or ndarray (...)
        Nodes of the search that proved it.
    """

    server_cpu_frequency_hz: Quantity = quantity("Hz", unrestricted, DEVICE, "server CPU", symbol="f_i")
    bandwidth_hz: Quantity = quantity("Hz", unrestricted, DEVICE, "bandwidth", symbol="b_i")
    delay_s: Quantity = quantity("s", unrestricted, DEVICE, "delay of an epoch", symbol="T_i")
    price_delay_per_s: Quantity = quantity("1/s", unrestricted, DEVICE, "price of the deadline")
    model: Quantity = quantity("1", unrestricted, DEVICE, "model", symbol="m_i", dtype=np.int64)
    trains_locally: Quantity = quantity(
        "1", unrestricted, DEVICE, "whether trained by the user", symbol="x_i", dtype=np.bool_
    )
    price_server_cpu_per_hz: Quantity = quantity("1/Hz", unrestricted, PER_INSTANCE, "price of server CPU")
    price_bandwidth_per_hz: Quantity = quantity("1/Hz", unrestricted, PER_INSTANCE, "price of bandwidth")
    nodes: Quantity = quantity("1", unrestricted, PER_INSTANCE, "nodes searched", dtype=np.int64)

    decisions: ClassVar[tuple[str, ...]] = (
        "model",
        "trains_locally",
        "server_cpu_frequency_hz",
        "bandwidth_hz",
    )
    objective_name: ClassVar[str] = "cost of delay, CPU and bandwidth, less the worth of accuracy"
    problem: DistillationProblem

    @property
    def model_names(self) -> Array:
        """Names of the models chosen, shape (..., K); empty without an answer."""
        return np.array([*self.problem.catalogue.names, ""])[self.model]

    @property
    @np.errstate(all="ignore")
    def server_cycles(self) -> Array:
        """Cycles that each user buys of the server, shape (..., K)."""
        student = np.where(self.trains_locally, 0.0, self._of_model("cycles"))
        return np.asarray(np.expand_dims(self.problem.teacher_cycles, -1) + student)

    @property
    @np.errstate(all="ignore")
    def delay_cost(self) -> Array:
        """Cost of each user's delay, shape (..., K)."""
        return np.asarray(np.expand_dims(self.problem.delay_weight_per_s, -1) * self.delay_s)

    @property
    @np.errstate(all="ignore")
    def cpu_cost(self) -> Array:
        """Price of the cycles each user buys, shape (..., K)."""
        return np.asarray(np.expand_dims(self.problem.cpu_price_per_cycle, -1) * self.server_cycles)

    @property
    @np.errstate(all="ignore")
    def bandwidth_cost(self) -> Array:
        """Price of each user's bandwidth, shape (..., K)."""
        return np.asarray(np.expand_dims(self.problem.bandwidth_price_per_hz, -1) * self.bandwidth_hz)

    @property
    @np.errstate(all="ignore")
    def accuracy_credit(self) -> Array:
        """Worth of each user's accuracy, which the objective subtracts, shape (..., K)."""
        own = np.expand_dims(self.problem.own_accuracy_weight, -1) * self._of_model("own_accuracy")
        average = np.expand_dims(self.problem.average_accuracy_weight, -1) * self._of_model(
            "average_accuracy"
        )
        return np.asarray(own + average)

    def _of_model(self, field: str) -> Array:
        """Return a column of the catalogue for the models chosen, NaN without an answer."""
        return np.append(getattr(self.problem.catalogue, field), np.nan)[self.model]

    def follows(self) -> dict[str, Any]:
        """Return the delays; infinite where a share that is needed is missing, NaN for a model that does not exist."""
        from radioopt.dtkd.certificate import delays

        known = (self.model >= 0) & (self.model < len(self.problem.catalogue))
        action = np.where(known, 2 * self.model + self.trains_locally, 0)
        found = delays(self.problem, action, self.server_cpu_frequency_hz, self.bandwidth_hz)
        return {"delay_s": np.where(known, found, np.nan)}

    @np.errstate(all="ignore")
    def limits(self) -> list[Limit]:
        """Return what models and places may be, and the limits of shares and delays."""
        problem, count = self.problem, len(self.problem.catalogue)
        free, place = problem.fixed_model < 0, problem.fixed_place
        model_ok = (self.model >= 0) & (self.model < count) & (free | (self.model == problem.fixed_model))
        place_ok = (place < 0) | (self.trains_locally == place)
        found = [
            Limit(
                "model",
                model_ok,
                choices=f"a position 0 ... {count - 1} in the catalogue, as fixed_model if set",
            ),
            Limit("trains_locally", place_ok, choices="what fixed_place says"),
        ]
        for name in ("server_cpu_frequency_hz", "bandwidth_hz"):
            share, low, high = (
                getattr(self, name),
                getattr(problem, f"min_{name}"),
                getattr(problem, f"max_{name}"),
            )
            found += [
                Limit(name, share, low, high, "Hz"),
                Limit(name, share.sum(), high=getattr(problem, name), unit="Hz", of="a sum of "),
            ]
        delay = np.where(np.isfinite(self.delay_s), self.delay_s, np.inf)
        limit = np.minimum(problem.max_delay_s, np.finfo(np.float64).max)
        return [*found, Limit("delay_s", delay, high=limit, unit="s")]

    def sensitivity(self) -> DistillationSensitivity:
        """Differentiate the optimum in every parameter, choices unchanged; see the sensitivity module."""
        from radioopt.dtkd.sensitivity import sensitivity

        return sensitivity(self)

    def _pulled(self, cotangents: Mapping[str, ArrayLike]) -> dict[str, Array]:
        from radioopt.dtkd.adjoint import pull

        return pull(self, cotangents)

    def _linearised(self) -> Linearised:
        from radioopt.dtkd.adjoint import linearise

        return linearise(self)

    @np.errstate(all="ignore")
    def shares(self) -> dict[str, Array]:
        """Summary per instance: mean delay [s], share of local training, and of each model, by column name."""
        found = {
            "mean_delay_s": self.delay_s.mean(-1),
            "mean_objective": self.objective / self.sizes["device"],
            "share_local": self.trains_locally.mean(-1),
        }
        for position, name in enumerate(self.problem.catalogue.names):
            found[f"share_{name}"] = (self.model == position).mean(-1)
        for name in ("delay_cost", "cpu_cost", "bandwidth_cost", "accuracy_credit"):
            found[name] = getattr(self, name).sum(-1)
        return found

    def summary(self) -> dict[str, Any]:
        """Return the per-instance quantities with mean delay, shares and the parts of the cost."""
        return super().summary() | {name: float(value) for name, value in self.shares().items()}

    def to_frame(self, axes: Axes = DEVICE) -> pd.DataFrame:
        """Tabulate per user, with the name of its model and its parts of the cost; or per instance, with shares."""
        frame = super().to_frame(axes)
        if axes == DEVICE:
            frame["model"] = np.ravel(self.model_names)
            for name in ("delay_cost", "cpu_cost", "bandwidth_cost", "accuracy_credit"):
                frame[name] = np.ravel(getattr(self, name))
            first = ["model", "trains_locally"]
            frame = frame[first + [name for name in frame.columns if name not in first]]
        elif axes == PER_INSTANCE:
            for name, value in self.shares().items():
                frame[name] = np.ravel(value)
        return frame

    @np.errstate(all="ignore")
    def why_infeasible(self) -> str:
        """Name a user whose deadline cannot be met even alone, or by how much all deadlines must be longer."""
        from radioopt.dtkd.certificate import least_delays

        problem = self.problem
        alone = least_delays(problem)
        late = alone >= problem.max_delay_s
        if late.any():
            user = int(np.argmax(late))
            return (
                f"max_delay_s: expected more than {alone[user]:.6g} at index {user}, this user's least delay with all "
                f"of server CPU and bandwidth that others and its bounds leave, got {problem.max_delay_s[user]:.6g}"
            )
        low, high = 1.0, 2.0
        while high < 1e12 and not self._feasible(high):
            low, high = high, 2.0 * high
        while high - low > 1e-4 * high:
            middle = math.sqrt(low * high)
            low, high = (low, middle) if self._feasible(middle) else (middle, high)
        return f"max_delay_s: all deadlines together are too short, {high:.4g} times as long they can be met"

    def _feasible(self, factor: float) -> bool:
        longer = self.problem.replace(max_delay_s=self.problem.max_delay_s * factor)
        return bool(longer.solve(throw=False, node_limit=10_000).status.usable)

    def plot(self, *path: Any, **options: Any) -> Figure:
        """Draw delays and shares of server and band per user; see :func:`radioopt.dtkd.plot.plot_allocation`."""
        no_path(path)
        from radioopt.dtkd.plot import plot_allocation

        return plot_allocation(self, **options)
