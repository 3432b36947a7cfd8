"""Schemes over block fading: what they share, and FL, whose weights go up and come down."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.local.batches import iterations as draw_iterations
from learning.local.train import Loss, average, cross_entropy, evaluate_each, stack, train_devices
from learning.options import real, whole
from learning.radio.base import Payload
from learning.radio.fading import PAPER, PAPER_STEPS, FadingPlan, RoundAllocator
from learning.radio.fading_link import FadingLink
from learning.schemes.base import Scheme, table_of
from learning.schemes.seeds import Seeds
from learning.task import Parameters, State, Task
from radioopt.base.errors import OptionError
from radioopt.scenario import Scenario

if TYPE_CHECKING:
    from learning.local.timing import StepTimes


@dataclass(frozen=True, eq=False, kw_only=True)
class FadingState(State):
    """What these schemes carry from round to round, beside the global model.

    Parameters
    ----------
    devices, trained : mapping of str to Tensor
        Models of all devices, stacked: after the last download, and before it, after the local training.
    reference : int
        The device whose accuracy stands for all.
    draw : int
        Seed of what is drawn once, the seed samples.
    outputs : Tensor, shape (L, L)
        Mean outputs at the server by ground-truth label; NaN where no device had the label yet.
    heard : Tensor, shape (K, L, L)
        Mean outputs that each device downloaded last.
    uploads, seeds : Seeds or None
        Seed samples on their way to the server in the first round, and those that it trains with.
    server_loss : float
        Mean loss of the server's training in this round [nat]; NaN without.
    """

    devices: Parameters
    trained: Parameters
    reference: int
    draw: int
    outputs: Tensor
    heard: Tensor
    uploads: Seeds | None = None
    seeds: Seeds | None = None
    server_loss: float = math.nan

    @property
    def judged(self) -> Parameters:
        """Weights of the reference device."""
        return of_device(self.devices, self.reference)


@dataclass(frozen=True, eq=False)
class LocalUpdates:
    """Models and mean outputs of all devices after their local training.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        Weights, shapes (K, ...).
    output : Tensor, shape (K, L, L)
        Mean softmax output of each device by ground-truth label; NaN for labels that it did not draw.
    loss : float
        Mean loss over all that was trained with [nat].
    rng : numpy.random.Generator
        What is left of the round's randomness, for the server.
    """

    parameters: Parameters
    output: Tensor
    loss: float
    rng: np.random.Generator


@dataclass(eq=False, kw_only=True)
class FadingScheme(Scheme[FadingState]):
    r"""What these schemes share: local training, the link, the allocator, who counts and who is late.

    Parameters
    ----------
    iterations : int, default 6400
        Local steps K of each device in a round.
    learning_rate : float, default 0.01
        :math:`\eta > 0`, of devices and server.
    batchsize : int, default 1
        Samples per local step; the paper has one.
    reference : int, optional
        Device whose accuracy is reported. By default one is drawn by the seed, as in the paper.
    num_channels, max_slots : int, optional
        Bands and slots of the policy "paper", 2 and 100 by default; other policies choose them.

    Raises
    ------
    OptionError
        If a number is outside its range, or given where the policy chooses it.

    Notes
    -----
    Who misses the uplink does not count; who misses the downlink keeps its own model. If nobody arrives, the server
    has nothing to send, and everybody goes on with its own model.

    The test accuracy of a round is that of the reference device after the download; ``local_accuracy`` is the one just
    before, after the local training. The paper's curves drop from the latter to the former in every round.
    """

    #: what goes up and what comes down, by the name of its size
    uplink: ClassVar[str]
    downlink: ClassVar[str]
    seeded: ClassVar[bool] = False
    server_iterations = 0

    iterations: int = 6400
    learning_rate: float = 0.01
    batchsize: int = 1
    reference: int | None = None
    num_channels: int | None = None
    max_slots: int | None = None

    def __post_init__(self) -> None:
        for name in ("iterations", "batchsize", *self.fixed()):
            setattr(self, name, whole(name, getattr(self, name)))
        self.learning_rate = real("learning_rate", self.learning_rate)
        if self.reference is not None:
            self.reference = whole("reference", self.reference, low=0)

    def fixed(self) -> dict[str, int]:
        """Return what is given of bands, slots and seed samples."""
        given = {name: getattr(self, name, None) for name in PAPER}
        return {name: value for name, value in given.items() if value is not None}

    def start(self, task: Task) -> FadingState:
        """Return the initial state: the same model everywhere; see :meth:`Scheme.start`."""
        rng = task.fork()
        count, labels = len(task.parts), task.data.num_classes
        drawn = int(rng.integers(count))
        if self.reference is not None and self.reference >= count:
            raise OptionError(f"reference: expected a device from 0 to {count - 1}, got {self.reference}")
        initial = task.initial_values()
        same = stack(initial, count)
        unknown = torch.full((labels, labels), math.nan)
        return FadingState(
            task,
            initial,
            devices=same,
            trained=same,
            reference=drawn if self.reference is None else self.reference,
            draw=int(rng.integers(2**63)),
            outputs=unknown,
            heard=unknown.expand(count, labels, labels),
        )

    def allocator(self, policy: Any, task: Task, bits_per_parameter: float | None) -> RoundAllocator:
        """Return what plans bands, slots and seed samples; see :class:`~learning.radio.fading.RoundAllocator`."""
        sizes = {}
        if bits_per_parameter is not None:
            sizes = {
                "model_bits": bits_per_parameter * task.num_values,
                "output_bits": bits_per_parameter * task.data.num_classes**2,
            }
        return RoundAllocator(
            policy,
            self.uplink,
            self.downlink,
            self.seeded,
            self.iterations,
            self.server_iterations,
            self.batchsize,
            self.fixed(),
            sizes,
        )

    def timed(self, scenario: Scenario, times: StepTimes) -> Scenario:
        """Put the measured time of a sample into ``[mix2fld]``; see :meth:`Scheme.timed`."""
        table_of(scenario, "mix2fld")
        step_s = float(times.training_time(self.batchsize)) + times.update_time_s
        return scenario.replace({"mix2fld.compute_time_s": PAPER_STEPS * step_s / self.batchsize})

    def link(self) -> FadingLink:
        """Return the link of these schemes."""
        return FadingLink()

    def payload(self, state: FadingState, plan: FadingPlan) -> Payload:
        """Return what is sent in this round: in the first one the seed samples too."""
        return plan.payload if state.uploads is None else plan.first_payload

    def loss(self, state: FadingState) -> Loss:
        """Return the loss of the local training: cross-entropy (1) unless overridden."""
        return cross_entropy

    def local(self, state: FadingState, plan: FadingPlan) -> LocalUpdates:
        """Train on every device for its iterations, and average its outputs on the way (1), (2)."""
        task, rng = state.task, state.task.fork()
        trained = train_devices(
            task.model,
            task.samples,
            state.devices,
            draw_iterations(task.parts, self.batchsize, self.iterations, rng),
            learning_rate=self.learning_rate,
            loss=self.loss(state),
            collect=True,
            seed=int(rng.integers(2**63)),
        )
        assert trained.output is not None
        return LocalUpdates(trained.parameters, trained.output, float(trained.loss.mean()), rng)

    def aggregate(self, state: FadingState, updates: LocalUpdates, sent: Any) -> FadingState:
        """Let the server combine what arrived, and the devices take what they receive."""
        trained = replace(
            state,
            devices=updates.parameters,
            trained=updates.parameters,
            train_loss=updates.loss,
            server_loss=math.nan,
        )
        served = self.serve(trained, updates, sent.arrived)
        return trained if served is None else self.deliver(served, torch.from_numpy(sent.received))

    @abstractmethod
    def serve(
        self, state: FadingState, updates: LocalUpdates, arrived: NDArray[np.bool_]
    ) -> FadingState | None:
        """Combine what arrived.

        Parameters
        ----------
        state : FadingState
            With the devices' models after their training.
        updates : LocalUpdates
            From :meth:`local`.
        arrived : ndarray of bool, shape (K,)
            Whose updates the server has.

        Returns
        -------
        FadingState or None
            With the server's model or outputs; None if there is nothing new to send.
        """

    def deliver(self, state: FadingState, received: Tensor) -> FadingState:
        """Let the devices take the server's weights, those that received them."""
        return replace(
            state,
            devices={
                name: torch.where(received.reshape(-1, *(1,) * (own.dim() - 1)), state.parameters[name], own)
                for name, own in state.devices.items()
            },
        )

    def figures(self, state: FadingState) -> Mapping[str, float]:
        """Return accuracies after the local training: of the reference device, and mean and deviation over all."""
        accuracy, _ = evaluate_each(state.task, state.trained)
        return {
            "local_accuracy": float(accuracy[state.reference]),
            "mean_local_accuracy": float(accuracy.mean()),
            "std_local_accuracy": float(accuracy.std(correction=0)),
            "server_loss": state.server_loss,
        }


@dataclass(eq=False, kw_only=True)
class Fl(FadingScheme):
    """FL: average the weights that arrived, weighted by the samples that their devices hold.

    Parameters
    ----------
    **options
        See :class:`FadingScheme`.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section II-A; the weights are proportional to the samples held, where the paper prints the number of devices.
    """

    uplink, downlink = "model_bits", "model_bits"

    def serve(
        self, state: FadingState, updates: LocalUpdates, arrived: NDArray[np.bool_]
    ) -> FadingState | None:
        """Average the weights."""
        if not arrived.any():
            return None
        mean = average(updates.parameters, torch.from_numpy(state.task.sizes * arrived))
        return replace(state, parameters=mean)


def of_device(stacked: Parameters, device: int) -> dict[str, Tensor]:
    """Return the weights of one device."""
    return {name: value[device] for name, value in stacked.items()}
