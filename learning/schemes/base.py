"""What every scheme is: what devices and server do in a round, without a loop, a clock or a radio of its own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from learning.crew import Crew, Order, Turn
from learning.messages import Message, Wire
from learning.models.weights import Rows, Sums, distance, stack
from learning.options import settings_of
from learning.radio.base import Plan, Work
from learning.task import Cohort, State, Task
from radioopt.base.errors import ProblemError

StateT = TypeVar("StateT", bound=State)


class Scheme(ABC, Generic[StateT]):
    """A federated learning scheme: hooks on the devices, and hooks on the server.

    A round is, in this order::

        for some devices after others:                            # any grouping gives the same
            own, message = scheme.local(own, cohort, order)       # on the devices
            scheme.gather(sums, state, cohort, message, order, arrived)
        state, answer = scheme.combine(state, sums, round)        # on the server
        own = scheme.hear(own, cohort, answer)                    # on the devices that receive it

    Hooks return new states and never change the one they got. A scheme is a frozen dataclass of its options; what it
    learns is in the server's state and in the devices' rows, and there only, since that is what a checkpoint keeps. Who
    arrives and who receives is the radio's to say. What devices keep between rounds are named tensors with the device
    as the first axis: the weights of their models under their own names, anything else with a ``/`` in its name.

    A subclass implements :meth:`local` and :meth:`combine`; the rest has defaults for one global model whose weights go
    up and come down.
    """

    #: name of the radio, unless another is given
    radio: ClassVar[str] = "tdma"
    #: name of the judge, unless another is given
    judge: ClassVar[str] = "global"
    #: whether an answer replaces all that a device keeps, so that nothing need be kept until then
    replaces: ClassVar[bool] = False
    #: names of values that devices send in which NaN stands for nothing known; elsewhere it is a fault of the node
    blank: ClassVar[tuple[str, ...]] = ()
    #: networks, unless others are given
    model: ClassVar[str] = "mlp"
    #: whether networks are a list to choose from, rather than one for each device
    chooses: ClassVar[bool] = False
    #: names of preparations that come after all that are given
    needs: ClassVar[tuple[str, ...]] = ()

    # -- declared before the run ------------------------------------------------------------------

    @abstractmethod
    def work(self, task: Task) -> Work:
        """Return what devices and server compute in a round, for the plan and the clock.

        Parameters
        ----------
        task : Task
            Data, partition and model.

        Returns
        -------
        Work
            Batch sizes of the local steps, or none where the plan says how large a batch is.
        """

    def wire(self, task: Task) -> Wire:
        """Return what is sent in a round: all weights each way, unless overridden.

        Parameters
        ----------
        task : Task
            Data, partition and model.

        Returns
        -------
        Wire
            Numbers up from each device and down to it.
        """
        return Wire({"weights": task.num_values}, {"weights": task.num_values})

    def sends(self, state: StateT, plan: Plan) -> Wire:
        """Return what is sent in this round: what was declared, unless overridden.

        Parameters
        ----------
        state : State
            After the last round.
        plan : Plan
            What this round allots.

        Returns
        -------
        Wire
            Numbers up from each device and down to it.
        """
        return self.wire(state.task)

    def equip(self, task: Task) -> Task:
        """Return the task with the networks as this scheme trains them: as they are, unless overridden.

        Parameters
        ----------
        task : Task
            As it was asked for, before any preparation.

        Returns
        -------
        Task
            Another, whose networks are known before the run and therefore not written down with it.
        """
        return task

    def footprint(self, task: Task, architecture: str) -> int:
        """Count the numbers that a device takes in memory while it trains, which decides how many train at once."""
        return sum(value.numel() for value in task.initial_values(architecture).values())

    # -- on the server -----------------------------------------------------------------------------

    def begin(self, task: Task) -> StateT:
        """Return the server's state before the first round; refuse a model that the scheme cannot train.

        Parameters
        ----------
        task : Task
            Data, partition and model.

        Returns
        -------
        State
            With the initial weights.

        Raises
        ------
        ProblemError
            If the scheme cannot train this model.
        """
        return State(task, task.initial_values())  # type: ignore[return-value]

    def shares(self, cohort: Cohort, order: Order) -> Tensor:
        """Return the weight of each device in the mean: the samples that it holds, unless overridden.

        Parameters
        ----------
        cohort : Cohort
            Some devices.
        order : Order
            What the round told them.

        Returns
        -------
        Tensor, shape (k,)
            At least 0.
        """
        return torch.from_numpy(cohort.sizes)

    def gather(
        self, sums: Sums, state: StateT, cohort: Cohort, message: Message, order: Order, arrived: Tensor
    ) -> None:
        """Add what some devices sent to weighted sums: their values and losses by :meth:`shares`, unless overridden.

        Parameters
        ----------
        sums : Sums
            Of the devices so far; changed.
        state : State
            After the last round.
        cohort : Cohort
            Some devices.
        message : Message
            What they sent, a row each.
        order : Order
            What the round told them.
        arrived : Tensor of bool, shape (k,)
            Whose message the server has.
        """
        shares = self.shares(cohort, order) * arrived
        message.into(sums, shares)
        if "loss" in message.notes:
            sums.count(
                "loss", float((shares * torch.where(shares > 0, message.notes["loss"].cpu(), 0.0)).sum())
            )

    @abstractmethod
    def combine(self, state: StateT, sums: Sums, round: int) -> tuple[StateT, Message | None]:
        """Make the answer of what arrived.

        Parameters
        ----------
        state : State
            After the last round.
        sums : Sums
            Of all devices that arrived; of total 0 if none did.
        round : int
            Number of the round, from 1 on.

        Returns
        -------
        state : State
            After this round, with the loss over what was trained with.
        answer : Message or None
            For the devices; None if there is nothing to say.
        """

    # -- on the devices ----------------------------------------------------------------------------

    def join(self, cohort: Cohort) -> Rows:
        """Return what devices have before the first round: the initial weights, unless overridden.

        Parameters
        ----------
        cohort : Cohort
            Some devices.

        Returns
        -------
        mapping of str to Tensor
            Shapes (k, ...).
        """
        return stack(cohort.initial_values(), len(cohort))

    @abstractmethod
    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Train on some devices.

        Parameters
        ----------
        own : mapping of str to Tensor
            What they keep, shapes (k, ...).
        cohort : Cohort
            The devices and what they hold. Draw from ``cohort.rngs(purpose, order.round)`` and nothing else.
        order : Order
            What the round tells them.

        Returns
        -------
        own : mapping of str to Tensor
            After their training.
        message : Message
            What they send, a row each; as many numbers as :meth:`sends` declares.
        """

    def hear(self, own: Rows, cohort: Cohort, answer: Message) -> Rows:
        """Take the server's answer: its weights, unless overridden.

        Parameters
        ----------
        own : mapping of str to Tensor
            What the devices keep, shapes (k, ...).
        cohort : Cohort
            Those that receive the answer.
        answer : Message
            From the server.

        Returns
        -------
        mapping of str to Tensor
            What they have now.
        """
        return {**own, **stack(answer.values, len(cohort))}

    # -- the round ---------------------------------------------------------------------------------

    def round(self, state: StateT, crew: Crew, turn: Turn) -> StateT:
        """Do a round: up from all devices and down again, unless overridden.

        Parameters
        ----------
        state : State
            After the last round.
        crew : Crew
            The devices.
        turn : Turn
            What the radio says of it.

        Returns
        -------
        State
            After this round.
        """
        sums = Sums()
        declared = self.sends(state, turn.plan).numbers
        for cohort, message in crew.train(turn):
            self._check(message.numbers(rows=True), declared[0], "a device sends")
            arrived = torch.from_numpy(turn.sent.arrived[cohort.devices])
            self.gather(sums, state, cohort, message, turn.order(cohort), arrived)
        state, answer = self.combine(state, sums, turn.round)
        if answer is not None and turn.sent.received.any():
            self._check(answer.numbers(rows=False), declared[1], "the server sends")
            crew.hear(answer, turn.sent.received)
        return state

    def _check(self, sent: int, declared: int, who: str) -> None:
        if sent != declared:
            raise ProblemError(
                f"{type(self).__name__}: {who} {sent} numbers and is charged for {declared}: let wire() say what is "
                "sent"
            )

    # -- what is told of it -----------------------------------------------------------------------

    def change(self, before: StateT, after: StateT) -> float:
        r"""Measure the relative change over a round: of the global weights, :math:`|G - G'| / |G'|`, unless overridden.

        Parameters
        ----------
        before, after : State
            After the last round, and after this one.

        Returns
        -------
        float
            NaN if nothing was aggregated, which says nothing about convergence.

        References
        ----------
        S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way
        Mixup", the end of Section II-A.
        """
        if after.parameters is before.parameters:
            return math.nan
        return distance(after.parameters, before.parameters)

    def figures(self, state: StateT) -> Mapping[str, float]:
        """Return numbers of the state worth a column in the table of rounds; none unless overridden.

        Parameters
        ----------
        state : State
            After a round.

        Returns
        -------
        mapping of str to float
            The same names after every round.
        """
        return {}

    def settings(self) -> dict[str, Any]:
        """Return the scheme's options, for the manifest of a run."""
        return settings_of(self)
