"""What every scheme is: hooks that the loop calls, without a loop, a clock or a ledger of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from learning.allocators import Allocator, BatchsizeAllocator, Plan, Policy
from learning.link import Link, Sent, TdmaLink
from learning.task import State, Task


class Scheme(ABC):
    """A federated learning scheme as a set of hooks.

    A round is, in this order::

        plan = allocator(devices, rng)
        state = scheme.prepare(state, plan)
        updates = scheme.local(state, plan)
        sent = link.transmit(payload_bits, plan, rng)
        state = scheme.aggregate(state, updates, sent)

    Hooks return new states and never change the one they got. What a scheme is set to are attributes of the
    object; what it learns is in the state. A subclass implements :meth:`local` and :meth:`aggregate`.
    """

    def start(self, task: Task) -> State:
        """Return the state before the first round; refuse a model that the scheme cannot train.

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
        return State(task, task.initial_parameters())

    def payload_values(self, task: Task) -> int:
        """Count the numbers that a device uploads in a round: one per parameter unless overridden.

        Parameters
        ----------
        task : Task
            Data, partition and model.

        Returns
        -------
        int
            Numbers; their size is the caller's to choose.
        """
        return task.num_parameters

    def allocator(self, policy: str | Policy, task: Task, payload_bits: float | None) -> Allocator:
        """Return what plans the rounds of this scheme: FEEL's batch sizes and slots unless overridden.

        Parameters
        ----------
        policy : str or callable
            How to choose.
        task : Task
            Data, partition and model.
        payload_bits : float or None
            Size of an update [bit]; None for the scenario's.

        Returns
        -------
        Allocator
            Called once a round.

        Raises
        ------
        OptionError
            If there is no policy of that name.
        """
        return BatchsizeAllocator(policy, task.sizes, payload_bits)

    def link(self) -> Link:
        """Return the link that carries its updates unless another is given: TDMA unless overridden."""
        return TdmaLink()

    def prepare(self, state: State, plan: Plan) -> State:
        """Exchange or add data before the training of a round; nothing unless overridden.

        Parameters
        ----------
        state : State
            After the last round.
        plan : Plan
            Batch sizes and whatever else the round allots.

        Returns
        -------
        State
            To train with.
        """
        return state

    @abstractmethod
    def local(self, state: State, plan: Plan) -> Any:
        """Compute what every device uploads, all devices at once.

        Parameters
        ----------
        state : State
            After :meth:`prepare`.
        plan : Plan
            Batch sizes and whatever else the round allots.

        Returns
        -------
        object
            The updates, for :meth:`aggregate`.
        """

    @abstractmethod
    def aggregate(self, state: State, updates: Any, sent: Sent) -> State:
        """Combine the updates that arrived.

        Parameters
        ----------
        state : State
            After :meth:`prepare`.
        updates : object
            From :meth:`local`.
        sent : Sent
            Whose updates arrived.

        Returns
        -------
        State
            After the round, with the loss over what was trained with.
        """

    def evaluate(self, state: State) -> tuple[float, float]:
        """Judge the global model on the test samples.

        Parameters
        ----------
        state : State
            After a round.

        Returns
        -------
        accuracy : float
            In [0, 1].
        loss : float
            Mean cross-entropy [nat].
        """
        return state.task.evaluate(state.parameters)

    def settings(self) -> dict[str, Any]:
        """Return the scheme's attributes, for the manifest of a run."""
        return dict(vars(self))
