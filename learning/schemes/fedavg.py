"""Local training: FedAvg and FedProx, whose weights the server averages; individual learning, whose weights stay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from torch import nn

from learning.crew import Crew, Order, Turn
from learning.local.batches import Batches, epochs, iterations
from learning.local.optimisers import ServerStep, schedule, step_rule
from learning.local.steps import Samples, Trained
from learning.local.train import ENGINES, train_devices
from learning.messages import Message, Wire
from learning.models.weights import Rows, Sums
from learning.options import choose, real, whole
from learning.radio.base import Work
from learning.schemes.base import Scheme, StateT
from learning.task import Cohort, IntArray, State, Task
from radioopt.base.errors import OptionError


@dataclass(frozen=True)
class LocalTraining(Scheme[StateT]):
    """What the schemes share whose devices take several local steps in a round: how many, and by which rule.

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
        How the devices are trained; see :func:`learning.train_devices`. All give the same to rounding.
    optimiser : str or Rule, default "sgd"
        Rule of the local steps, as "sgd:momentum=0.9" or "adam"; see :func:`learning.local.optimisers.step_rule`.
        Every round begins with empty slots.
    schedule : str or callable, default "constant"
        Factor of the rate by round, as "cosine:50"; see :func:`learning.local.optimisers.schedule`.

    Raises
    ------
    OptionError
        If a number is out of its range, or there is no such engine, rule or schedule.
    """

    learning_rate: float = 0.2
    batchsize: int = 10
    epochs: int = 1
    iterations: int | None = None
    engine: str = "auto"
    optimiser: Any = "sgd"
    schedule: Any = "constant"

    def __post_init__(self) -> None:
        real("learning_rate", self.learning_rate)
        whole("batchsize", self.batchsize)
        whole("epochs", self.epochs)
        if self.iterations is not None:
            whole("iterations", self.iterations)
        choose("engine", self.engine, {"auto": None, **ENGINES})
        step_rule("optimiser", self.optimiser)
        schedule(self.schedule)

    def draw(self, cohort: Cohort, round: int) -> Batches:
        """Draw the batches of a round for some devices."""
        return self.draw_from(cohort.parts, cohort.rngs("training", round))

    def draw_from(self, parts: Sequence[IntArray], rngs: Sequence[np.random.Generator]) -> Batches:
        """Draw the batches of a round out of these rows, one list for each generator."""
        if self.iterations is None:
            return epochs(parts, self.batchsize, self.epochs, rngs)
        return iterations(parts, self.batchsize, self.iterations, rngs)

    def work(self, task: Task) -> Work:
        """Return the batch sizes of the local steps of each device in a round."""
        return Work(
            task.sizes, tuple(self._steps(size) for size in task.sizes.tolist()), sample=sample_numbers(task)
        )

    def _steps(self, held: int) -> Any:
        """Return the batch sizes of a device that holds so many samples."""
        size = min(self.batchsize, held)
        if self.iterations is not None:
            return np.full(self.iterations, size)
        if not held:
            return np.empty(0, np.int64)
        full, rest = divmod(held, size)
        return np.tile([size] * full + [rest] * bool(rest), self.epochs)

    def rate(self, round: int) -> float:
        """Return the learning rate of a round, at least 0."""
        return self.learning_rate * schedule(self.schedule)(round)

    def footprint(self, task: Task, architecture: str) -> int:
        """Count weights, gradients and the samples of a step; see :meth:`Scheme.footprint`."""
        weights = super().footprint(task, architecture)
        return 2 * weights + min(self.batchsize, int(task.sizes.max())) * sample_numbers(task)

    def train(
        self,
        own: Rows,
        cohort: Cohort,
        order: Order,
        *,
        model: nn.Module | None = None,
        samples: Samples | None = None,
        batches: Batches | None = None,
        **options: Any,
    ) -> Trained:
        """Take the local steps of some devices from their own weights.

        Parameters
        ----------
        own : mapping of str to Tensor
            Weights before, shapes (k, ...).
        cohort : Cohort
            The devices.
        order : Order
            What the round tells them.
        model : torch.nn.Module, optional
            What is trained, by default their architecture.
        samples : (Tensor, Tensor), optional
            Other features and labels than the task's, row by row.
        batches : Batches, optional
            Rows of each step, by default drawn from what devices hold.
        **options
            More for :func:`learning.train_devices`.

        Returns
        -------
        Trained
            Weights after, losses.
        """
        return train_devices(
            model or cohort.model,
            samples or cohort.task.samples,
            own,
            self.draw(cohort, order.round) if batches is None else batches,
            learning_rate=self.rate(order.round),
            rule=step_rule("optimiser", self.optimiser),
            engine=self.engine,
            loss=options.pop("loss", cohort.task.loss),
            seeds=[int(rng.integers(2**62)) for rng in cohort.rngs("noise", order.round)],
            **options,
        )


def sample_numbers(task: Task) -> int:
    """Count the numbers of a sample."""
    return math.prod(task.data.sample_shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragedState(State):
    """The global model, and what the server's step rule keeps.

    Parameters
    ----------
    step : ServerStep
        Its slots.
    """

    step: ServerStep


@dataclass(frozen=True)
class FedAvg(LocalTraining[AveragedState]):
    r"""Train locally for some epochs, upload the weights, average them by the samples held.

    .. math::
        \theta \leftarrow \sum_{k \in \mathcal{A}} \frac{N_k}{\sum_{j \in \mathcal{A}} N_j} \theta_k,

    over the devices :math:`\mathcal{A}` whose weights arrived; if none did, the model stays. A device that misses the
    answer goes on with its own weights.

    Parameters
    ----------
    learning_rate, batchsize, epochs, iterations, engine, optimiser, schedule
        See :class:`LocalTraining`.
    server_optimiser : str or Rule, default "sgd"
        Rule of the server's step from the last model towards the mean: momentum makes it FedAvgM, "adam" FedAdam.
    server_learning_rate : float, default 1
        Of that step, > 0; 1 with plain "sgd" takes the mean as it is.

    Notes
    -----
    One epoch, the default, is the "model-based FEEL" that FEEL's paper compares with. One step with everything a
    device holds is FedSGD. A model with batch normalisation has the averages of its layers averaged too.

    References
    ----------
    B. McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", algorithm 1,
    with all devices in every round. S. Reddi et al., "Adaptive Federated Optimization", algorithm 2. J. Ren, G. Yu,
    G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems", Section VI-C.

    Examples
    --------
    >>> import learning
    >>> result = learning.train("feel-cpu", scheme="fedavg", epochs=2, rounds=1)
    >>> frame = result.to_frame()
    >>> int(frame["batchsize"][1]), int(frame["arrived"][1])
    (2874, 12)
    """

    server_optimiser: Any = "sgd"
    server_learning_rate: float = 1.0

    replaces: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        step_rule("server_optimiser", self.server_optimiser)
        real("server_learning_rate", self.server_learning_rate)

    def begin(self, task: Task) -> AveragedState:
        """Return the initial state, with what a model keeps beside its weights; see :meth:`Scheme.begin`."""
        rule = step_rule("server_optimiser", self.server_optimiser)
        return AveragedState(
            task, task.initial_values(), step=ServerStep(rule, float(self.server_learning_rate), {})
        )

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Train on every device, from the model that it has."""
        trained = self.train(own, cohort, order)
        return trained.parameters, Message(trained.parameters, {"loss": trained.loss})

    def combine(self, state: AveragedState, sums: Sums, round: int) -> tuple[AveragedState, Message | None]:
        """Average the weights that arrived; without any, the model stays."""
        if not sums.total:
            return replace(state, train_loss=math.nan), Message(state.parameters)
        mean = sums.mean()
        kept = {
            name: mean.pop(name) for name in list(mean) if name not in state.task.trained
        }  # running averages
        stepped, step = state.step.to(state.parameters, mean)
        parameters = {name: kept[name] if name in kept else stepped[name] for name in state.parameters}
        loss = sums.counts["loss"] / sums.total
        return replace(state, parameters=parameters, train_loss=loss, step=step), Message(parameters)


@dataclass(frozen=True)
class Fl(FedAvg):
    """FL: FedAvg over block fading, with the settings of the Mix2FLD paper.

    Parameters
    ----------
    **options
        See :class:`FedAvg`; by default 6,400 local steps of one sample each with a rate of 0.01.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section II-A; the weights are proportional to the samples held, where the paper prints the number of devices.
    """

    learning_rate: float = 0.01
    batchsize: int = 1
    iterations: int | None = 6400

    radio: ClassVar[str] = "fading"
    judge: ClassVar[str] = "reference"


@dataclass(frozen=True)
class FedProx(FedAvg):
    r"""FedAvg with a proximal term :math:`\frac{\mu}{2} |\theta - \theta_{\mathrm{global}}|^2` in each local loss.

    Parameters
    ----------
    proximal : float, default 0.1
        :math:`\mu >= 0`; 0 is FedAvg.
    **options
        See :class:`FedAvg`.

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

    proximal: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        real("proximal", self.proximal, zero=True)
        if self.learning_rate * self.proximal >= 1:
            raise OptionError(
                f"proximal: expected less than 1 / learning_rate = {1 / self.learning_rate:.6g}, got {self.proximal}"
            )

    def train(self, own: Rows, cohort: Cohort, order: Order, **options: Any) -> Trained:
        """Take the local steps with the proximal term; see :meth:`LocalTraining.train`."""
        return super().train(own, cohort, order, proximal=float(self.proximal), **options)


@dataclass(frozen=True, eq=False, kw_only=True)
class AloneState(State):
    """How far the devices moved.

    Parameters
    ----------
    moved : float
        Relative change of the weights of all devices together over the last round.
    """

    moved: float = math.nan


@dataclass(frozen=True)
class Individual(LocalTraining[AloneState]):
    """Train every device on its own samples alone.

    Parameters
    ----------
    learning_rate, batchsize, epochs, iterations, engine, optimiser, schedule
        See :class:`LocalTraining`.

    Notes
    -----
    The judge is "own", the mean accuracy and loss of the devices' own models, with the accuracy of their average as
    ``average_accuracy``. In the paper devices train until their losses converge, and then the server averages their
    models once: that is ``train(..., judge="average", epsilon=...)``. The seconds and joules of that single upload are
    not counted here, as nothing is sent in any round; those of one round of FedAvg without its training are.

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

    radio: ClassVar[str] = "silent"
    judge: ClassVar[str] = "own"

    def wire(self, task: Task) -> Wire:
        """Return that nothing is sent."""
        return Wire({}, {})

    def begin(self, task: Task) -> AloneState:
        """Return that the server has no model."""
        return AloneState(task, {})

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Train on every device, from its own model."""
        trained = self.train(own, cohort, order)
        return trained.parameters, Message({}, {"loss": trained.loss, **_moved(trained.parameters, own)})

    def round(self, state: AloneState, crew: Crew, turn: Turn) -> AloneState:
        """Let the devices train; the losses are all that is known of it."""
        samples = loss = moved = size = 0.0
        for cohort, message in crew.train(turn):
            notes = {name: value.cpu().numpy() for name, value in message.notes.items()}
            samples += float(cohort.sizes.sum())
            loss += float((cohort.sizes * notes["loss"]).sum())
            moved, size = moved + float(notes["moved"].sum()), size + float(notes["size"].sum())
        if not size:  # nobody answered
            return replace(state, train_loss=math.nan, moved=math.nan)
        return replace(state, train_loss=loss / samples, moved=math.sqrt(moved / size))

    def combine(self, state: AloneState, sums: Sums, round: int) -> tuple[AloneState, None]:
        """Return that there is nothing to say."""
        return state, None

    def change(self, before: AloneState, after: AloneState) -> float:
        """Return the relative change of the weights of all devices together."""
        return after.moved


def _moved(after: Rows, before: Rows) -> Rows:
    """Return the squared change of each device's weights, and their squared size before."""
    floats = [name for name, value in after.items() if value.is_floating_point()]

    def squares(rows: Rows) -> Any:
        return sum(rows[name].double().flatten(1).square().sum(1) for name in floats)

    return {"moved": squares({name: after[name] - before[name] for name in floats}), "size": squares(before)}
