"""Devices that average with their neighbours: without a server, or in clusters with one now and then."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from learning.crew import Crew, Order, Turn
from learning.messages import Message, Wire
from learning.models.mixing import metropolis, mixed, over, spread
from learning.models.weights import Rows, Sums, average, distance, stack
from learning.options import whole
from learning.radio.base import Plan
from learning.radio.d2d import D2dPlan, D2dSent
from learning.schemes.fedavg import LocalTraining
from learning.task import Cohort, IntArray, State, Task


@dataclass(frozen=True, eq=False, kw_only=True)
class PeersState(State):
    """What is known of the devices' models.

    Parameters
    ----------
    mean : mapping of str to Tensor
        Of the models of all devices, which nobody has, in double precision; without whole numbers.
    distance : float
        Consensus distance: root of the mean squared distance of the devices' weights from their mean.
    rounds : int
        Rounds done.
    """

    mean: Mapping[str, Tensor] = field(default_factory=dict)
    distance: float = 0.0
    rounds: int = 0


@dataclass(frozen=True)
class Decentralised(LocalTraining[PeersState]):
    r"""Train locally, send the weights to the neighbours, average with theirs; there is no server.

    .. math::
        \theta_k \leftarrow w_{kk} \theta_k + \sum_{j \in \mathcal{N}_k} w_{kj} \theta_j, \qquad
        w_{kj} = \frac{1}{1 + \max(d_k, d_j)},

    with the Metropolis-Hastings weights of the graph that the radio finds, of :math:`d_k` neighbours each. They are
    doubly stochastic, so that the mean over the devices is kept. Where a link failed, both ends keep what they would
    have given.

    Parameters
    ----------
    learning_rate, batchsize, epochs, iterations, engine, optimiser, schedule
        See :class:`LocalTraining`. Epochs or iterations are the aggregation interval: local steps from one averaging
        to the next.

    Raises
    ------
    OptionError
        If a number is out of its range, or there is no such engine, rule or schedule.

    Notes
    -----
    All devices count alike, however many samples they hold; with equally many on each, the complete graph is FedAvg.
    The judge is "own", the mean of the devices' accuracies; ``average_accuracy`` is that of the mean of their models.
    The table of rounds has the spectral gap of the graph (an averaging leaves at most 1 minus it of the distance), and
    the consensus distance after the round. Over Flower its server is a post office between the devices.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    Section VI-E, where devices aggregate models of neighbours at random: ``graph="random:2"``. L. Xiao, S. Boyd,
    S. Lall, "Distributed Average Consensus with Time-Varying Metropolis Weights".

    Examples
    --------
    >>> import learning
    >>> from radioopt import Scenario
    >>> table = Scenario.load("d2d").to_dict()["d2d"]
    >>> cell = Scenario.from_dict({**Scenario.load("feel-cpu").to_dict(), "d2d": table})
    >>> frame = learning.train(cell, scheme="decentralised", graph="ring", lossy=False, rounds=2).to_frame()
    >>> float(frame["spectral_gap"][1].round(4)), bool(frame["across_energy_j"][1] > 0)
    (0.0893, True)
    """

    radio: ClassVar[str] = "d2d"
    judge: ClassVar[str] = "own"

    def wire(self, task: Task) -> Wire:
        """Return that weights go across, to each neighbour, and nothing to a server."""
        return Wire({}, {}, across={"weights": task.num_values})

    def begin(self, task: Task) -> PeersState:
        """Return that the server has no model, and all devices the same."""
        floats = {
            name: value.double() for name, value in task.initial_values().items() if value.is_floating_point()
        }
        return PeersState(task, {}, mean=floats)

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Train on every device, from its own model."""
        trained = self.train(own, cohort, order)
        return trained.parameters, Message(trained.parameters, {"loss": trained.loss})

    def round(self, state: PeersState, crew: Crew, turn: Turn) -> PeersState:
        """Let the devices train, and average with their neighbours; see :meth:`Scheme.round`."""
        found, losses, declared = [], Sums(), state.task.num_values
        for cohort, message in crew.train(turn):
            self._check(message.numbers(rows=True), declared, "a device sends")
            found.append((cohort.devices, message.values))
            losses.add({"loss": message.notes["loss"]}, torch.from_numpy(cohort.sizes))
        state = replace(state, rounds=state.rounds + 1)
        if not found:  # nobody answered
            return replace(state, train_loss=math.nan)
        devices = np.concatenate([some for some, _ in found])
        place = np.argsort(devices)
        devices = devices[place]
        rows = {
            name: torch.cat([values[name] for _, values in found])[torch.from_numpy(place)]
            for name in found[0][1]
        }
        those = np.ix_(devices, devices)
        weights = metropolis(cast(D2dPlan, turn.plan).graph)[those]
        for links in cast(D2dSent, turn.sent).links:
            rows = mixed(rows, over(weights, links[those]))
        state = replace(state, train_loss=float(losses.mean()["loss"]))
        return self.agree(state, crew, turn, devices, rows)

    def agree(self, state: PeersState, crew: Crew, turn: Turn, devices: IntArray, rows: Rows) -> PeersState:
        """Give the devices what they agreed on, and note how far they are from each other.

        Parameters
        ----------
        state : PeersState
            With the loss of the round.
        crew : Crew
            The devices.
        turn : Turn
            The round.
        devices : ndarray of int64, shape (k,)
            Those that answered: all of them, in this process.
        rows : mapping of str to Tensor
            Their weights after the averaging, shapes (k, ...).

        Returns
        -------
        PeersState
            After the round.
        """
        crew.give(devices, rows)
        mean, distance = spread(rows)
        return replace(state, mean=mean, distance=distance)

    def combine(self, state: PeersState, sums: Sums, round: int) -> tuple[PeersState, None]:
        """Return that there is nothing to say."""
        return state, None

    def change(self, before: PeersState, after: PeersState) -> float:
        """Return the relative change of the mean of the devices' models."""
        return math.nan if after.mean is before.mean else distance(after.mean, before.mean)

    def figures(self, state: PeersState) -> Mapping[str, float]:
        """Return the consensus distance."""
        return {"consensus_distance": state.distance}


@dataclass(frozen=True)
class SemiDecentralised(Decentralised):
    r"""Average with neighbours in a cluster, and every so many rounds over all clusters at a server.

    A round is one of :class:`Decentralised` among the devices of a cluster. In every `server_every`-th one, after it,
    one device of each cluster sends its model to the server, drawn by the radio, and all devices get the mean

    .. math::
        \theta = \sum_{c \in \mathcal{A}} \frac{K_c}{\sum_{b \in \mathcal{A}} K_b} \theta_{k_c}

    over the clusters that arrived, of :math:`K_c` devices.

    Parameters
    ----------
    server_every : int, default 5
        Rounds >= 1 from one with the server to the next.
    **options
        See :class:`Decentralised`.

    Raises
    ------
    OptionError
        If a number is out of its range, or there is no such engine, rule or schedule.

    Notes
    -----
    Local steps in a round are the paper's interval between averagings in a cluster, and `server_every` times as many
    that between those at the server. One cluster with the complete graph is FedAvg over devices that hold equally many
    samples. ``judge="global"`` judges the model that the server made last.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    Section VI-E; F. P.-C. Lin et al., "Semi-Decentralized Federated Learning with Cooperative D2D Local Model
    Aggregations".

    Examples
    --------
    >>> SemiDecentralised(server_every=3, iterations=5).settings()["server_every"]
    3
    """

    server_every: int = 5

    radio: ClassVar[str] = "d2d-server"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("server_every", self.server_every)

    def wire(self, task: Task) -> Wire:
        """Return that weights go across, and up and down in a round with the server."""
        weights = {"weights": task.num_values}
        return Wire(weights, weights, across=weights)

    def sends(self, state: PeersState, plan: Plan) -> Wire:
        """Return what is sent in this round: to and from the server in every so many."""
        wire = self.wire(state.task)
        return wire if (state.rounds + 1) % self.server_every == 0 else Wire({}, {}, across=wire.across)

    def begin(self, task: Task) -> PeersState:
        """Return the initial model, which the server and all devices have."""
        return replace(super().begin(task), parameters=task.initial_values())

    def agree(self, state: PeersState, crew: Crew, turn: Turn, devices: IntArray, rows: Rows) -> PeersState:
        """Bring the clusters together too, if some of them sent to the server; see :meth:`Decentralised.agree`."""
        cluster = cast(D2dPlan, turn.plan).cluster
        shares = np.bincount(cluster)[cluster] * turn.sent.arrived
        if not shares[devices].any():
            return super().agree(state, crew, turn, devices, rows)
        model = average(rows, torch.from_numpy(shares[devices]))
        everybody = np.arange(len(cluster))
        state = super().agree(state, crew, turn, everybody, stack(model, len(everybody)))
        return replace(state, parameters=model)
