"""What the FEEL methods return."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.adjoint import Linearised
from radioopt.base.judge import Limit
from radioopt.base.pictures import no_path
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Axes,
    Quantity,
    quantity,
    rounded_up,
    unrestricted,
)
from radioopt.base.solution import Solution
from radioopt.feel.problem import BatchsizeProblem

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.feel.sensitivity import BatchsizeSensitivity


class BatchsizeSolution(Solution):
    """Batch sizes and slots of one round, with the efficiency reached and its certificate.

    Attributes
    ----------
    batchsize : ndarray, shape (..., K)
        Samples per device, continuous.
    uplink_slot_s, downlink_slot_s : ndarray, shape (..., K)
        Time per frame that each device holds [s]; they fill their frames.
    upload_phase_s, download_phase_s : float or ndarray (...)
        Compute and upload until the last device is done; download and update likewise [s].
    round_latency_s : float or ndarray (...)
        Sum of the two phases [s].
    learning_efficiency : float or ndarray (...)
        Loss decay per second, the objective [1/s].
    """

    batchsize: Quantity = quantity("samples", unrestricted, DEVICE, "batch size", symbol="B_k")
    uplink_slot_s: Quantity = quantity("s", unrestricted, DEVICE, "uplink slot per frame", symbol="tau_k^U")
    downlink_slot_s: Quantity = quantity(
        "s", unrestricted, DEVICE, "downlink slot per frame", symbol="tau_k^D"
    )
    upload_phase_s: Quantity = quantity("s", unrestricted, PER_INSTANCE, "compute and upload", symbol="T")
    download_phase_s: Quantity = quantity(
        "s", unrestricted, PER_INSTANCE, "download and update", symbol="T_D"
    )
    round_latency_s: Quantity = quantity("s", unrestricted, PER_INSTANCE, "round latency", symbol="T + T_D")

    decisions: ClassVar[tuple[str, ...]] = ("batchsize", "uplink_slot_s", "downlink_slot_s")
    objective_name: ClassVar[str] = "learning efficiency"
    objective_unit: ClassVar[str] = "1/s"
    problem: BatchsizeProblem

    @property
    def learning_efficiency(self) -> Array:
        """Loss decay per second, the objective [1/s]."""
        return self.objective

    @property
    @np.errstate(all="ignore")
    def compute_time_s(self) -> Array:
        """Time to compute the gradient, shape (..., K) [s]."""
        return np.asarray(
            self.problem.base_time_s
            + self.problem.seconds_per_sample * np.maximum(self.batchsize, self.problem.min_batchsize)
        )

    @property
    @np.errstate(all="ignore")
    def upload_time_s(self) -> Array:
        """Time to upload the gradient in the slots held, shape (..., K) [s]."""
        frame = np.expand_dims(self.problem.uplink_frame_s, -1)
        return np.asarray(self.problem.upload_time_full_frame_s * frame / self.uplink_slot_s)

    @property
    @np.errstate(all="ignore")
    def download_time_s(self) -> Array:
        """Time to download the averaged gradient in the slots held, shape (..., K) [s]."""
        frame = np.expand_dims(self.problem.downlink_frame_s, -1)
        own = np.asarray(self.problem.download_time_full_frame_s * frame / self.downlink_slot_s)
        if self.problem.downlink == "broadcast":  # everybody waits for the slowest
            return np.broadcast_to(own.max(-1, keepdims=True), own.shape)
        return own

    def follows(self) -> dict[str, Any]:
        """Return the lengths of both phases and of the round."""
        up = (self.compute_time_s + self.upload_time_s).max(-1)
        down = (self.download_time_s + self.problem.update_time_s).max(-1)
        if self.problem.downlink == "broadcast":  # who receives last may not be who updates longest
            down = self.download_time_s.max(-1) + self.problem.update_time_s.max(-1)
        return {"upload_phase_s": up, "download_phase_s": down, "round_latency_s": up + down}

    def limits(self) -> list[Limit]:
        """Return the limits of batches, slots, total and latency."""
        problem, least = self.problem, np.maximum(1.0, np.floor(self.problem.min_batchsize))
        up, down = problem.uplink_frame_s, problem.downlink_frame_s
        total = problem.total_batchsize
        found = [
            Limit("batchsize", self.batchsize, least, problem.max_batchsize, "samples"),
            Limit("uplink_slot_s", self.uplink_slot_s, 0.0, unit="s", open=True),
            Limit("uplink_slot_s", self.uplink_slot_s.sum(), high=up, unit="s", of="a sum of "),
            Limit("downlink_slot_s", self.downlink_slot_s, 0.0, unit="s", open=True),
            Limit("downlink_slot_s", self.downlink_slot_s, high=down, unit="s")
            if problem.downlink == "broadcast"
            else Limit("downlink_slot_s", self.downlink_slot_s.sum(), high=down, unit="s", of="a sum of "),
            Limit("round_latency_s", self.round_latency_s, high=problem.max_round_latency_s, unit="s"),
        ]
        if total < np.inf:
            found.append(Limit("batchsize", self.batchsize.sum(), total, total, "samples", of="a sum of "))
        return found

    def sensitivity(self) -> BatchsizeSensitivity:
        """Say what one per cent more of each parameter is worth; see :mod:`radioopt.feel.sensitivity`."""
        from radioopt.feel.sensitivity import sensitivity

        return sensitivity(self)

    def _pulled(self, cotangents: Mapping[str, ArrayLike]) -> dict[str, Array]:
        from radioopt.feel.adjoint import pull

        return pull(self, cotangents)

    def _linearised(self) -> Linearised:
        from radioopt.feel.adjoint import linearise

        return linearise(self)

    @np.errstate(all="ignore")
    def why_infeasible(self) -> str:
        """Say how long the shortest round takes: that of the smallest batches, or of the fixed total."""
        limit, total = float(self.problem.max_round_latency_s), float(self.problem.total_batchsize)
        easiest = self.problem.replace(max_round_latency_s=math.inf)
        which = f"a total batch of {total:.6g}"
        if total == math.inf:
            easiest, which = easiest.replace(max_batchsize=easiest.min_batchsize), "the smallest batches"
        least = float(easiest.solve(throw=False).round_latency_s)
        if least <= limit:  # whole samples were asked for, and only they take longer
            least, which = (
                float(easiest.solve(integer=True, throw=False).round_latency_s),
                f"{which} whole samples",
            )
        expected = f"at least {rounded_up(least)}, the shortest round with {which}"
        return f"max_round_latency_s: expected {expected}, got {limit:.7g}"

    def to_frame(self, axes: Axes = DEVICE) -> pd.DataFrame:
        """Tabulate per device, with compute, upload and download times beside the decisions."""
        frame = super().to_frame(axes)
        if axes == DEVICE:
            for name in ("compute_time_s", "upload_time_s", "download_time_s"):
                frame[name] = np.ravel(getattr(self, name))
        return frame

    def plot(self, *path: Any, **options: Any) -> Figure:
        """Draw the round as a timeline per device; see :func:`radioopt.feel.plot.plot_round`."""
        no_path(path)
        from radioopt.feel.plot import plot_round

        return plot_round(self, **options)
