"""Individual learning: every device trains a model of its own, and nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from learning.local.train import Trained, average, evaluate_each, stack, train_devices
from learning.options import choose
from learning.radio.base import Payload
from learning.radio.link import Link, NoLink, Sent
from learning.schemes.fedavg import LocalTraining
from learning.task import Parameters, State, Task, distance


@dataclass(frozen=True, eq=False, kw_only=True)
class IndividualState(State):
    """Models of all devices.

    Parameters
    ----------
    devices : mapping of str to Tensor
        Weights of all devices, shapes (K, ...); ``parameters`` are their average by samples held.
    """

    devices: Parameters


class Individual(LocalTraining[IndividualState]):
    """Train every device on its own samples alone.

    Parameters
    ----------
    judge : {"own", "average"}, default "own"
        What is evaluated: "own", the mean accuracy and loss of the devices' own models; "average", the average of
        all models, as if they were all uploaded now. The other accuracy is the column ``average_accuracy`` or
        ``own_accuracy`` of the table of rounds.
    learning_rate, batchsize, epochs, iterations, engine
        See :class:`LocalTraining`.

    Raises
    ------
    OptionError
        If there is no such judge, and as :class:`LocalTraining`.

    Notes
    -----
    In the paper devices train until their losses converge, and then the server averages their models once: that is
    ``judge="average"`` with ``train(..., epsilon=...)``. The seconds and joules of that single upload are not
    counted here, as nothing is sent in any round; those of one round of FedAvg without its training are.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems", Section VI-C.

    Examples
    --------
    >>> import learning
    >>> frame = learning.train("feel-cpu", scheme="individual", rounds=1).to_frame()
    >>> float(frame["uplink_bits"][1]), int(frame["arrived"][1])
    (0.0, 0)
    """

    def __init__(
        self,
        judge: str = "own",
        learning_rate: float = 0.2,
        batchsize: int = 10,
        epochs: int = 1,
        iterations: int | None = None,
        engine: str = "auto",
    ) -> None:
        super().__init__(learning_rate, batchsize, epochs, iterations, engine)
        self.judge = choose("judge", judge, {"own": "own", "average": "average"})

    def planned_payload(self, task: Task, bits_per_parameter: float | None) -> Payload:
        """Return that nothing is sent."""
        return Payload(0.0, 0.0)

    def link(self) -> Link:
        """Return that there is none."""
        return NoLink()

    def start(self, task: Task) -> IndividualState:
        """Return the initial state: the same weights on all devices."""
        values = task.initial_values()
        return IndividualState(task, values, devices=stack(values, len(task.parts)))

    def local(self, state: IndividualState, plan: Any) -> Trained:
        """Train on every device, from its own model."""
        task, rng = state.task, state.task.fork()
        return train_devices(
            task.model,
            task.samples,
            state.devices,
            self.draw(task, rng),
            learning_rate=self.learning_rate,
            engine=self.engine,
            seed=int(rng.integers(2**63)),
        )

    def aggregate(self, state: IndividualState, updates: Trained, sent: Sent) -> IndividualState:
        """Keep the devices' models."""
        weights = torch.from_numpy(state.task.sizes)
        loss = float(average({"loss": updates.loss}, weights)["loss"])
        middle = average(updates.parameters, weights)
        return replace(state, parameters=middle, devices=updates.parameters, train_loss=loss)

    def evaluate(self, state: IndividualState) -> tuple[float, float]:
        """Judge the devices' own models, or their average, on the test samples."""
        return self._judged(state, self.judge)

    def figures(self, state: IndividualState) -> Mapping[str, float]:
        """Return the accuracy that is not the one evaluated."""
        other = "average" if self.judge == "own" else "own"
        return {f"{other}_accuracy": self._judged(state, other)[0]}

    def change(self, before: IndividualState, after: IndividualState) -> float:
        """Measure the relative change of the weights of all devices together."""
        return distance(after.devices, before.devices)

    def _judged(self, state: IndividualState, judge: str) -> tuple[float, float]:
        if judge == "average":
            return super().evaluate(state)
        accuracy, loss = evaluate_each(state.task, state.devices)
        return float(accuracy.mean()), float(loss.mean())
