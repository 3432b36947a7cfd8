"""FD and FLD over block fading: mean outputs go up; mean outputs, or a model distilled from them, come down."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.local.batches import iterations as draw_iterations
from learning.local.train import Loss, distillation, stack, train_devices
from learning.models.build import stateful_layer
from learning.options import real, whole
from learning.radio.base import Payload
from learning.radio.fading import FadingPlan
from learning.schemes.fading import FadingScheme, FadingState, LocalUpdates, of_device
from learning.schemes.seeds import Seeds, raw
from learning.task import Task
from radioopt.base.errors import ProblemError


@dataclass(eq=False, kw_only=True)
class Fd(FadingScheme):
    r"""FD: average outputs by label, and pull every device's own outputs towards them.

    Parameters
    ----------
    distillation_weight : float, default 0.01
        :math:`\beta \ge 0` of the regulariser in (3).
    **options
        See :class:`FadingScheme`.

    Notes
    -----
    The regulariser is a cross-entropy, with the minus sign that (3) lacks. The mean output of a label is over the
    devices that arrived and drew that label; a label that nobody drew keeps its last one, and one that was never drawn
    adds nothing. A device that misses the download keeps the outputs that it heard last.

    References
    ----------
    S. Oh et al., Section II-B, (2) and (3).
    """

    uplink, downlink = "output_bits", "output_bits"

    distillation_weight: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        self.distillation_weight = _nonnegative("distillation_weight", self.distillation_weight)

    def loss(self, state: FadingState) -> Loss:
        """Return the cross-entropy with the regulariser (3)."""
        return distillation(state.heard, self.distillation_weight)

    def serve(
        self, state: FadingState, updates: LocalUpdates, arrived: NDArray[np.bool_]
    ) -> FadingState | None:
        """Average the outputs by label."""
        return average_outputs(state, updates.output, arrived)

    def deliver(self, state: FadingState, received: Tensor) -> FadingState:
        """Let the devices take the mean outputs, those that received them."""
        heard = torch.where(received[:, None, None], state.outputs, state.heard)
        return replace(state, heard=heard, parameters=of_device(state.devices, state.reference))

    def change(self, before: FadingState, after: FadingState) -> float:
        """Measure the largest relative change of a label's mean output; see :func:`outputs_change`."""
        return outputs_change(before, after)


@dataclass(eq=False, kw_only=True)
class Fld(FadingScheme):
    r"""FLD: outputs go up, the server trains a model with them on seed samples, and its weights come down.

    Parameters
    ----------
    seed_samples : int, optional
        Samples :math:`N_S` per device that it uploads in the first round, under the policy "paper" 10 by default; other
        policies choose them.
    server_iterations : int, default 3200
        Steps :math:`K_s` of the server, one sample each.
    distillation_weight : float, default 0.01
        :math:`\beta \ge 0` of the regulariser in (5).
    restart : bool, default False
        Whether the server trains from the initial weights in every round, or goes on from its last. [reconstructed:
        the paper has an "untrained student" and does not say whether it stays one]
    **options
        See :class:`FadingScheme`.

    Notes
    -----
    Seeds that miss the first round's uplink are lost, as they are sent only once. Without any, the server cannot make
    a model, and the devices go on by themselves.

    Mixed labels have the mix of the mean outputs as their target. [reconstructed: (5) has hard labels]

    References
    ----------
    S. Oh et al., Section III-A, (5), and Algorithm 1.
    """

    uplink, downlink, seeded = "output_bits", "model_bits", True

    seed_samples: int | None = None
    server_iterations: int = 3200
    distillation_weight: float = 0.01
    restart: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.server_iterations = whole("server_iterations", self.server_iterations)
        self.distillation_weight = _nonnegative("distillation_weight", self.distillation_weight)

    def start(self, task: Task) -> FadingState:
        """Return the initial state; refuse batch normalisation, as the server trains with single samples."""
        if found := stateful_layer(task.model):
            raise ProblemError(
                f"model: {found} cannot train with the server's single samples: use GroupNorm or LayerNorm"
            )
        return super().start(task)

    def payload(self, state: FadingState, plan: FadingPlan) -> Payload:
        """Return what is sent in this round; a server without seeds never has a model to send."""
        sent = super().payload(state, plan)
        silent = state.seeds is not None and not len(state.seeds)
        return sent._replace(downlink_bits=0.0) if silent else sent

    def make_seeds(self, task: Task, count: int, rng: np.random.Generator) -> Seeds:
        """Choose what the devices upload: raw samples.

        Parameters
        ----------
        task : Task
            Who holds what.
        count : int
            Samples per device.
        rng : numpy.random.Generator
            Source of the choice.

        Returns
        -------
        Seeds
            Of all devices.
        """
        return raw(task, count, rng)

    def take_seeds(self, seeds: Seeds) -> Seeds:
        """Make what the server trains with out of the seeds that arrived: these themselves."""
        return seeds

    def change(self, before: FadingState, after: FadingState) -> float:
        """Measure the largest relative change of a label's mean output; see :func:`outputs_change`."""
        return outputs_change(before, after)

    def prepare(self, state: FadingState, plan: FadingPlan) -> FadingState:
        """Make the seed samples, in the first round."""
        if state.seeds is not None:
            return state
        if plan.seed_samples < 1:
            raise ProblemError(
                f"seed_samples: expected at least 1 for {type(self).__name__}, got 0: give mix2fld.seed_samples others"
            )
        rng = np.random.default_rng(state.draw)
        return replace(state, uploads=self.make_seeds(state.task, plan.seed_samples, rng))

    def aggregate(self, state: FadingState, updates: LocalUpdates, sent: Any) -> FadingState:
        """Take the seeds that arrived, in the first round, and go on; see :meth:`FadingScheme.aggregate`."""
        if state.uploads is not None:
            state = replace(state, seeds=self.take_seeds(state.uploads.of(sent.arrived)), uploads=None)
        return super().aggregate(state, updates, sent)

    def serve(
        self, state: FadingState, updates: LocalUpdates, arrived: NDArray[np.bool_]
    ) -> FadingState | None:
        """Average the outputs by label, and train the server's model with them on the seeds."""
        averaged = average_outputs(state, updates.output, arrived)
        if averaged is None or not state.seeds:
            return None
        return self.convert(averaged, updates.rng)

    def convert(self, state: FadingState, rng: np.random.Generator) -> FadingState:
        """Train the server's model on the seeds, with the mean outputs as targets (5).

        Parameters
        ----------
        state : FadingState
            With seeds and outputs.
        rng : numpy.random.Generator
            Source of the order of the seeds.

        Returns
        -------
        FadingState
            With the server's weights and its mean loss.
        """
        assert state.seeds is not None
        task, seeds = state.task, state.seeds
        start = task.initial_values() if self.restart else state.parameters
        trained = train_devices(
            task.model,
            (seeds.x, seeds.y),
            stack(start, 1),
            draw_iterations([np.arange(len(seeds))], 1, self.server_iterations, rng),
            learning_rate=self.learning_rate,
            loss=distillation(state.outputs, self.distillation_weight),
            seed=int(rng.integers(2**63)),
        )
        weights = {name: value[0] for name, value in trained.parameters.items()}
        return replace(state, parameters=weights, server_loss=float(trained.loss[0]))


def average_outputs(state: FadingState, output: Tensor, arrived: NDArray[np.bool_]) -> FadingState | None:
    """Average mean outputs over the devices that arrived and drew the label.

    Parameters
    ----------
    state : FadingState
        With the outputs until now.
    output : Tensor, shape (K, L, L)
        Mean output of each device and label; NaN where it did not draw the label.
    arrived : ndarray of bool, shape (K,)
        Who counts.

    Returns
    -------
    FadingState or None
        With the new means, and the old ones for labels that nobody drew; None if nobody arrived.
    """
    if not arrived.any():
        return None
    mean = output[torch.from_numpy(arrived)].nanmean(0)
    return replace(state, outputs=torch.where(mean.isnan(), state.outputs, mean))


def outputs_change(before: FadingState, after: FadingState) -> float:
    r"""Measure how much the mean outputs changed: :math:`\max_n |G_n - G_n'| / |G_n'|`, the rule of FD and FLD.

    Parameters
    ----------
    before, after : FadingState
        After the last round, and after this one.

    Returns
    -------
    float
        Over the labels that are known; NaN if one of them was not before, or nothing arrived.
    """
    if after.outputs is before.outputs:
        return math.nan
    known = ~after.outputs.isnan().any(1)
    change = (after.outputs - before.outputs).norm(dim=1) / before.outputs.norm(dim=1)
    return float(change[known].max())  # NaN if any is


def _nonnegative(option: str, given: Any) -> float:
    return 0.0 if given == 0 else real(option, given)
