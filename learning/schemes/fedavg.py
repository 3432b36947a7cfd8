"""FedAvg and FedProx: devices train by themselves for some steps, and the server averages their weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from learning.local.batches import Batches, epochs, iterations
from learning.local.train import ENGINES, Trained, average, stack, train_devices
from learning.options import choose, real, whole
from learning.radio.base import Allocator, Payload
from learning.radio.link import Sent
from learning.radio.tdma import WorkAllocator
from learning.schemes.base import Scheme, StateT
from learning.task import State, Task
from radioopt.base.errors import OptionError


class LocalTraining(Scheme[StateT]):
    """What the schemes share whose devices take several local steps in a round: how many, and their plan.

    Parameters
    ----------
    learning_rate : float, default 0.2
        Of each local step, > 0.
    batchsize : int, default 10
        Samples per local step >= 1; what a device holds at most.
    epochs : int, default 1
        Passes over all samples of a device in a round >= 1; unless `iterations` are given.
    iterations : int, optional
        Local steps in a round >= 1, the same number on every device, each with a batch of its own.
    engine : {"auto", "stacked", "plain"}
        How the devices are trained; see :func:`learning.local.train.train_devices`. All give the same to rounding.

    Raises
    ------
    OptionError
        If a number is out of its range, or there is no such engine.
    """

    #: pull of the proximal term
    proximal = 0.0

    def __init__(
        self,
        learning_rate: float = 0.2,
        batchsize: int = 10,
        epochs: int = 1,
        iterations: int | None = None,
        engine: str = "auto",
    ) -> None:
        self.learning_rate = real("learning_rate", learning_rate)
        self.batchsize = whole("batchsize", batchsize)
        self.epochs = whole("epochs", epochs)
        self.iterations = None if iterations is None else whole("iterations", iterations)
        choose("engine", engine, {"auto": None, **ENGINES})
        self.engine = engine

    def draw(self, task: Task, rng: np.random.Generator) -> Batches:
        """Draw the batches of a round for all devices."""
        if self.iterations is None:
            return epochs(task.parts, self.batchsize, self.epochs, rng)
        return iterations(task.parts, self.batchsize, self.iterations, rng)

    def work(self, task: Task) -> list[NDArray[np.int64]]:
        """Return the batch sizes of the local steps of each device in a round."""
        drawn = self.draw(task, np.random.default_rng(0)).size.numpy()
        return [own[own > 0] for own in drawn.T]

    def planned_payload(self, task: Task, bits_per_parameter: float | None) -> Payload | None:
        """Return the bits of all weights, and of what a model keeps beside them, each way."""
        if bits_per_parameter is None:
            return None
        bits = bits_per_parameter * task.num_values
        return Payload(bits, bits)

    def allocator(self, policy: Any, task: Task, bits_per_parameter: float | None) -> Allocator:
        """Return what plans the slots: the batches are this scheme's own, so "optimal" is the only policy."""
        if policy != "optimal":
            raise OptionError(
                f"policy {policy!r}: the batches of this scheme are set by batchsize, epochs and iterations, and "
                "their slots are always optimal: choose policy optimal"
            )
        return WorkAllocator(self.work(task), self.planned_payload(task, bits_per_parameter))


class FedAvg(LocalTraining[State]):
    r"""Train locally for some epochs, upload the weights, average them by the samples held.

    .. math::
        \theta \leftarrow \sum_{k \in \mathcal{A}} \frac{N_k}{\sum_{j \in \mathcal{A}} N_j} \theta_k,

    over the devices :math:`\mathcal{A}` whose weights arrived; if none did, the model stays.

    Parameters
    ----------
    learning_rate, batchsize, epochs, iterations, engine
        See :class:`LocalTraining`.

    Notes
    -----
    One epoch, the default, is the "model-based FEEL" that FEEL's paper compares with. One step with everything a
    device holds is FedSGD. A model with batch normalisation has the averages of its layers averaged too.

    References
    ----------
    B. McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", algorithm 1,
    with all devices in every round. J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge
    Learning Systems", Section VI-C.

    Examples
    --------
    >>> import learning
    >>> result = learning.train("feel-cpu", scheme="fedavg", epochs=2, rounds=1)
    >>> frame = result.to_frame()
    >>> int(frame["batchsize"][1]), int(frame["arrived"][1])
    (2874, 12)
    """

    def start(self, task: Task) -> State:
        """Return the initial state, with what a model keeps beside its weights; see :meth:`Scheme.start`."""
        return State(task, task.initial_values())

    def local(self, state: State, plan: Any) -> Trained:
        """Train on every device, from the global model."""
        task, rng = state.task, state.task.fork()
        return train_devices(
            task.model,
            task.samples,
            stack(state.parameters, len(task.parts)),
            self.draw(task, rng),
            learning_rate=self.learning_rate,
            proximal=self.proximal,
            engine=self.engine,
            seed=int(rng.integers(2**63)),
        )

    def aggregate(self, state: State, updates: Trained, sent: Sent) -> State:
        """Average the weights that arrived; without any, the model stays."""
        weights = torch.from_numpy(state.task.sizes * sent.arrived)
        if not weights.any():
            return replace(state, train_loss=math.nan)
        loss = float(average({"loss": updates.loss}, weights)["loss"])
        return replace(state, parameters=average(updates.parameters, weights), train_loss=loss)


class FedProx(FedAvg):
    r"""FedAvg with a proximal term :math:`\frac{\mu}{2} |\theta - \theta_{\mathrm{global}}|^2` in each local loss.

    Parameters
    ----------
    proximal : float, default 0.1
        :math:`\mu >= 0`; 0 is FedAvg.
    learning_rate, batchsize, epochs, iterations, engine
        See :class:`LocalTraining`.

    Raises
    ------
    OptionError
        If a number is out of its range, or :math:`\eta \mu >= 1`, with which a step goes beyond the global model.

    Notes
    -----
    The term keeps devices with unlike data near the model that they started from. The reported loss is without it.

    References
    ----------
    T. Li et al., "Federated Optimization in Heterogeneous Networks", algorithm 2, with the same number of epochs
    or steps on every device.

    Examples
    --------
    >>> FedProx(proximal=0.5).settings()["proximal"]
    0.5
    """

    def __init__(
        self,
        proximal: float = 0.1,
        learning_rate: float = 0.2,
        batchsize: int = 10,
        epochs: int = 1,
        iterations: int | None = None,
        engine: str = "auto",
    ) -> None:
        super().__init__(learning_rate, batchsize, epochs, iterations, engine)
        self.proximal = 0.0 if proximal == 0 else real("proximal", proximal)
        if self.learning_rate * self.proximal >= 1:
            raise OptionError(
                f"proximal: expected less than 1 / learning_rate = {1 / self.learning_rate:.6g}, got {proximal}"
            )
