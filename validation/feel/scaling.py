"""Scales in which every variable of a FEEL model is of order one, which generic solvers need.

They come from the point that one would write down by hand: least batches, every device uploading for as long
as all uploads together take. It is feasible, so the scales are of the size of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.quantity import Array
from radioopt.feel.problem import BatchsizeProblem


@dataclass(frozen=True)
class Scaling:
    """Reference latency [s], batches [samples], shares of the frames, total batch and efficiency [1/s]."""

    latency: float
    batch: Array
    uplink: Array
    downlink: Array
    total: float
    efficiency: float

    @classmethod
    def of(cls, problem: BatchsizeProblem) -> Self:
        """Scale a single instance; a batch raises ``OptionError``."""
        if problem.batch_shape:
            raise OptionError(f"expected a single instance, got a batch of {problem.batch_shape}: index it")
        upload, download = problem.upload_time_full_frame_s, problem.download_time_full_frame_s
        low, slope = problem.min_batchsize, problem.seconds_per_sample
        earliest = problem.base_time_s + slope * low
        phase_up = upload.sum() + earliest.max()
        phase_down = download.sum() + problem.update_time_s.max()
        latency = phase_up + phase_down
        batch = np.minimum(problem.max_batchsize, low + latency / slope)
        total = batch.sum()
        return cls(
            latency=float(latency),
            batch=batch,
            uplink=upload / (phase_up - earliest),
            downlink=download / (phase_down - problem.update_time_s),
            total=float(total),
            efficiency=float(problem.loss_decay * np.sqrt(total) / latency),
        )

    def decisions(
        self, problem: BatchsizeProblem, batch: Array, uplink: Array, downlink: Array
    ) -> dict[str, Array]:
        """Turn scaled batches and shares into the decisions of the problem, in its units."""
        return {
            "batchsize": np.asarray(batch, np.float64) * self.batch,
            "uplink_slot_s": np.asarray(uplink, np.float64) * self.uplink * problem.uplink_frame_s,
            "downlink_slot_s": np.asarray(downlink, np.float64) * self.downlink * problem.downlink_frame_s,
        }
