"""FD and FLD: mean outputs go up; mean outputs, or a model distilled from them, come down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from learning.crew import Order
from learning.local.batches import iterations as draw_iterations
from learning.local.losses import distillation
from learning.local.train import train_devices
from learning.messages import Message, Wire
from learning.models.build import stateful_layer
from learning.models.weights import Rows, Sums, of_device, stack, weights_of
from learning.options import real, whole
from learning.radio.base import Plan, Work
from learning.schemes.fedavg import LocalTraining
from learning.schemes.seeds import Seeds, raw
from learning.task import Cohort, State, Task
from radioopt.base.errors import ProblemError

#: what devices keep of the mean outputs that they heard last, shape (k, L, L)
HEARD = "heard/outputs"
#: seed samples of a device where the plan does not say how many
SEED_SAMPLES = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class OutputState(State):
    """Mean outputs at the server.

    Parameters
    ----------
    outputs : Tensor, shape (L, L)
        By ground-truth label; NaN where no device had the label yet.
    """

    outputs: Tensor


OutputT = TypeVar("OutputT", bound=OutputState)


@dataclass(frozen=True)
class Distilled(LocalTraining[OutputT]):
    """What these schemes share: outputs are collected by label during the local training, and averaged.

    Parameters
    ----------
    distillation_weight : float, default 0.01
        Weight >= 0 of the regulariser.
    **options
        See :class:`LocalTraining`; by default 6,400 local steps of one sample each with a rate of 0.01.

    Notes
    -----
    Who misses the uplink does not count; who misses the downlink keeps what it has. If nobody arrives, the server
    has nothing to send, and everybody goes on with its own model. The mean output of a label is over the devices that
    arrived and drew that label; a label that nobody drew keeps its last one.
    """

    learning_rate: float = 0.01
    batchsize: int = 1
    iterations: int | None = 6400
    distillation_weight: float = 0.01

    radio: ClassVar[str] = "fading"
    judge: ClassVar[str] = "reference"
    blank: ClassVar[tuple[str, ...]] = ("outputs",)

    def __post_init__(self) -> None:
        super().__post_init__()
        real("distillation_weight", self.distillation_weight, zero=True)

    def work(self, task: Task) -> Work:
        """Return the local steps; refuse a regression, which has no labels to average outputs by."""
        if task.data.regression:
            raise ProblemError(
                f"{type(self).__name__}: averages outputs by label, and a regression has none: take fedavg"
            )
        return super().work(task)

    def collected(self, own: Rows, cohort: Cohort, order: Order, **options: Any) -> tuple[Rows, Message]:
        """Train, and send the mean outputs by label (1), (2)."""
        trained = self.train(weights_of(own), cohort, order, collect=True, **options)
        assert trained.output is not None
        return {**own, **trained.parameters}, Message({"outputs": trained.output}, {"loss": trained.loss})

    def gather(
        self, sums: Sums, state: OutputT, cohort: Cohort, message: Message, order: Order, arrived: Tensor
    ) -> None:
        """Add outputs of the labels that were drawn, and count who drew them; see :meth:`Scheme.gather`."""
        super().gather(sums, state, cohort, Message({}, message.notes), order, arrived)
        output = message.values["outputs"][arrived.to(message.values["outputs"].device)].double()
        drawn = ~output.isnan()
        sums.add_sums(
            {"outputs": torch.where(drawn, output, 0.0).sum(0), "drawn": drawn.double().sum(0)}, 0.0
        )

    def averaged(self, state: OutputT, sums: Sums) -> OutputT:
        """Return the state with the mean outputs of this round, and the old ones of labels that nobody drew."""
        if not sums.total:
            return replace(state, train_loss=math.nan)
        mean = (sums.values["outputs"] / sums.values["drawn"]).to(state.outputs.dtype)
        loss = sums.counts["loss"] / sums.total
        return replace(state, outputs=torch.where(mean.isnan(), state.outputs, mean), train_loss=loss)

    def change(self, before: OutputT, after: OutputT) -> float:
        """Measure the largest relative change of a label's mean output; see :func:`outputs_change`."""
        return outputs_change(before, after)


def unknown(task: Task) -> Tensor:
    """Return mean outputs of which nothing is known, shape (L, L)."""
    labels = task.data.num_outputs
    x = task.samples[0]
    return torch.full((labels, labels), math.nan, dtype=x.dtype, device=x.device)


@dataclass(frozen=True)
class Fd(Distilled[OutputState]):
    r"""FD: average outputs by label, and pull every device's own outputs towards them.

    Parameters
    ----------
    distillation_weight : float, default 0.01
        :math:`\beta \ge 0` of the regulariser in (3).
    **options
        See :class:`Distilled`.

    Notes
    -----
    The regulariser is a cross-entropy, with the minus sign that (3) lacks. A label that was never drawn
    adds nothing. A device that misses the download keeps the outputs that it heard last.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section II-B, (2) and (3).
    """

    def wire(self, task: Task) -> Wire:
        """Return that outputs go up and come down."""
        outputs = {"outputs": task.data.num_outputs**2}
        return Wire(outputs, outputs)

    def begin(self, task: Task) -> OutputState:
        """Return that the server has no model and knows nothing yet."""
        return OutputState(task, {}, outputs=unknown(task))

    def join(self, cohort: Cohort) -> Rows:
        """Return the initial weights, and that nothing was heard."""
        nothing = unknown(cohort.task)
        return {**super().join(cohort), HEARD: nothing.expand(len(cohort), *nothing.shape)}

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Train with the cross-entropy and the regulariser (3)."""
        return self.collected(own, cohort, order, loss=distillation(own[HEARD], self.distillation_weight))

    def combine(self, state: OutputState, sums: Sums, round: int) -> tuple[OutputState, Message | None]:
        """Average the outputs by label."""
        state = self.averaged(state, sums)
        return state, Message({"outputs": state.outputs}) if sums.total else None

    def hear(self, own: Rows, cohort: Cohort, answer: Message) -> Rows:
        """Take the mean outputs."""
        outputs = answer.values["outputs"]
        return {**own, HEARD: outputs.expand(len(cohort), *outputs.shape)}


@dataclass(frozen=True, eq=False, kw_only=True)
class SeededState(OutputState):
    """What the server trains with.

    Parameters
    ----------
    seeds : Seeds or None
        Its samples; None before the first round.
    server_loss : float
        Mean loss of its training in this round [nat]; NaN without.
    """

    seeds: Seeds | None = None
    server_loss: float = math.nan


@dataclass(frozen=True)
class Fld(Distilled[SeededState]):
    r"""FLD: outputs go up, the server trains a model with them on seed samples, and its weights come down.

    Parameters
    ----------
    server_iterations : int, default 3200
        Steps :math:`K_s` of the server, one sample each.
    distillation_weight : float, default 0.01
        :math:`\beta \ge 0` of the regulariser in (5).
    restart : bool, default False
        Whether the server trains from the initial weights in every round, or goes on from its last. [reconstructed:
        the paper has an "untrained student" and does not say whether it stays one]
    **options
        See :class:`Distilled`.

    Notes
    -----
    The plan says how many samples :math:`N_S` each device uploads in the first round. Seeds that miss the first round's
    uplink are lost, as they are sent only once. Without any, the server cannot make a model, and the devices go on by
    themselves.

    Mixed labels have the mix of the mean outputs as their target. [reconstructed: (5) has hard labels]

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section III-A, (5), and Algorithm 1.
    """

    server_iterations: int = 3200
    restart: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("server_iterations", self.server_iterations)

    def work(self, task: Task) -> Work:
        """Return the local steps and those of the server."""
        return replace(super().work(task), server_steps=self.server_iterations)

    def wire(self, task: Task) -> Wire:
        """Return that outputs go up, with samples in the first round, and weights come down."""
        return Wire({"outputs": task.data.num_outputs**2}, {"weights": task.num_values}, seeded=True)

    def sends(self, state: SeededState, plan: Plan) -> Wire:
        """Return what is sent in this round: in the first one samples too; never weights without seeds."""
        wire = self.wire(state.task)
        if state.seeds is None:
            samples = self._count(plan.told())
            if samples < 1:
                raise ProblemError(
                    f"seed_samples: expected at least 1 for {type(self).__name__}, got 0: give mix2fld.seed_samples "
                    "others"
                )
            numbers = samples * math.prod(state.task.data.sample_shape)
            return replace(wire, up={**wire.up, "samples": numbers})
        return wire if len(state.seeds) else replace(wire, down={})

    def _count(self, told: Mapping[str, int]) -> int:
        return told.get("seed_samples", SEED_SAMPLES)

    def begin(self, task: Task) -> SeededState:
        """Return the initial state; refuse batch normalisation, as the server trains with single samples."""
        if found := stateful_layer(task.model):
            raise ProblemError(
                f"model: {found} cannot train with the server's single samples: use GroupNorm or LayerNorm"
            )
        return SeededState(task, task.initial_values(), outputs=unknown(task))

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Train with the cross-entropy, and send samples too in the first round."""
        own, message = self.collected(own, cohort, order)
        if order.round > 1:
            return own, message
        seeds = self.make_seeds(cohort, self._count(order.told))
        rows = {"samples": seeds.x.view(len(cohort), -1, *seeds.x.shape[1:])}
        told = {"y": seeds.y, "labels": torch.from_numpy(seeds.labels)}
        notes = {name: value.view(len(cohort), -1, value.shape[1]) for name, value in told.items()}
        return own, Message({**message.values, **rows}, {**message.notes, **notes})

    def make_seeds(self, cohort: Cohort, count: int) -> Seeds:
        """Choose what some devices upload: raw samples.

        Parameters
        ----------
        cohort : Cohort
            The devices and what they hold.
        count : int
            Samples per device.

        Returns
        -------
        Seeds
            Of these devices.
        """
        return raw(cohort, count, cohort.rngs("seeds", 1))

    def take_seeds(self, seeds: Seeds) -> Seeds:
        """Make what the server trains with out of the seeds that arrived: these themselves."""
        return seeds

    def gather(
        self, sums: Sums, state: SeededState, cohort: Cohort, message: Message, order: Order, arrived: Tensor
    ) -> None:
        """Put the seeds aside that arrived; see :meth:`Distilled.gather`."""
        super().gather(sums, state, cohort, message, order, arrived)
        if "samples" in message.values:
            some = arrived.to(message.values["samples"].device)
            x, y = message.values["samples"][some].flatten(0, 1), message.notes["y"][some].flatten(0, 1)
            labels = message.notes["labels"][arrived].flatten(0, 1).numpy()
            device = np.repeat(cohort.devices[arrived.numpy()], message.values["samples"].shape[1])
            sums.kept.append(Seeds(x, y, device, labels))

    def combine(self, state: SeededState, sums: Sums, round: int) -> tuple[SeededState, Message | None]:
        """Average the outputs by label, and train the server's model with them on the seeds."""
        if sums.kept:
            state = replace(state, seeds=self.take_seeds(Seeds.joined(sums.kept)))
        state = replace(self.averaged(state, sums), server_loss=math.nan)
        if not sums.total or not state.seeds:
            return state, None
        state = self.convert(state, round)
        return state, Message(state.parameters)

    def convert(self, state: SeededState, round: int) -> SeededState:
        """Train the server's model on the seeds, with the mean outputs as targets (5).

        Parameters
        ----------
        state : SeededState
            With seeds and outputs.
        round : int
            Number of the round.

        Returns
        -------
        SeededState
            With the server's weights and its mean loss.
        """
        assert state.seeds is not None
        task, seeds, rng = state.task, state.seeds, state.task.streams.at("server", round)
        start = task.initial_values() if self.restart else state.parameters
        trained = train_devices(
            task.model,
            (seeds.x, seeds.y),
            stack(start, 1),
            draw_iterations([np.arange(len(seeds))], 1, self.server_iterations, [rng]),
            learning_rate=self.learning_rate,
            loss=distillation(state.outputs, self.distillation_weight),
            seeds=[int(rng.integers(2**62))],
        )
        return replace(state, parameters=of_device(trained.parameters, 0), server_loss=float(trained.loss[0]))

    def figures(self, state: SeededState) -> Mapping[str, float]:
        """Return the loss of the server's training."""
        return {"server_loss": state.server_loss}


def outputs_change(before: OutputState, after: OutputState) -> float:
    r"""Measure how much the mean outputs changed: :math:`\max_n |G_n - G_n'| / |G_n'|`, the rule of FD and FLD.

    Parameters
    ----------
    before, after : OutputState
        After the last round, and after this one.

    Returns
    -------
    float
        Over the labels that are known; NaN if one of them was not before, or none is: nothing arrived, or all models
        diverged.
    """
    if after.outputs is before.outputs:
        return math.nan
    known = ~after.outputs.isnan().any(1)
    change = (after.outputs - before.outputs).norm(dim=1) / before.outputs.norm(dim=1)
    return float(change[known].max()) if known.any() else math.nan  # also NaN if any is
