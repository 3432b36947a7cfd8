"""What every scheme is: hooks that the loop calls, without a loop, a clock or a ledger of its own."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from learning.radio.base import Allocator, Payload
from learning.radio.link import Link, Sent, TdmaLink
from learning.radio.tdma import BatchsizeAllocator, Policy
from learning.task import State, Task, distance
from radioopt.base.errors import ProblemError
from radioopt.scenario import Scenario

if TYPE_CHECKING:
    from learning.local.timing import StepTimes

StateT = TypeVar("StateT", bound=State)


class Scheme(ABC, Generic[StateT]):
    """A federated learning scheme as a set of hooks.

    A round is, in this order::

        plan = allocator(devices, rng)
        state = scheme.prepare(state, plan)
        updates = scheme.local(state, plan)
        sent = link.transmit(scheme.payload(state, plan), plan, rng)
        state = scheme.aggregate(state, updates, sent)
        accuracy, loss = scheme.evaluate(state)

    Hooks return new states and never change the one they got. What a scheme is set to are attributes of the
    object, fixed before the run; what it learns is in the state, and in the state only, since that is what a
    checkpoint keeps. Who arrived is the link's to say: where nobody did, :meth:`aggregate` keeps the old state. A
    subclass implements :meth:`local` and :meth:`aggregate`; plan, allocator and link belong together and are
    FEEL's unless overridden.
    """

    def start(self, task: Task) -> StateT:
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
        return cast(StateT, State(task, task.initial_parameters()))

    def planned_payload(self, task: Task, bits_per_parameter: float | None) -> Payload | None:
        """Return what is sent in a round, for the allocator to plan with: one number per parameter each way.

        Parameters
        ----------
        task : Task
            Data, partition and model.
        bits_per_parameter : float or None
            Size of a number [bit]; None for the scenario's payload.

        Returns
        -------
        Payload or None
            None for the scenario's.
        """
        if bits_per_parameter is None:
            return None
        bits = bits_per_parameter * task.num_parameters
        return Payload(bits, bits)

    def allocator(self, policy: str | Policy, task: Task, bits_per_parameter: float | None) -> Allocator:
        """Return what plans the rounds of this scheme: FEEL's batch sizes and slots unless overridden.

        Parameters
        ----------
        policy : str or callable
            How to choose.
        task : Task
            Data, partition and model.
        bits_per_parameter : float or None
            Size of a number that is sent [bit]; None for the scenario's payload.

        Returns
        -------
        Allocator
            Called once a round.

        Raises
        ------
        OptionError
            If there is no policy of that name.
        """
        return BatchsizeAllocator(policy, task.sizes, self.planned_payload(task, bits_per_parameter))

    def timed(self, scenario: Scenario, times: StepTimes) -> Scenario:
        """Put compute times that were measured into a scenario: into ``[feel]`` unless overridden.

        Parameters
        ----------
        scenario : Scenario
            With modelled compute times.
        times : StepTimes
            From :func:`learning.local.timing.time_training`.

        Returns
        -------
        Scenario
            With these times on every device, and nothing else changed.

        Raises
        ------
        ProblemError
            If the scenario has no such table.
        """
        given = table_of(scenario, "feel")
        dropped = {f"feel.{name}": None for name in ("cycles_per_sample", "update_cycles") if name in given}
        measured = {f"feel.{name}": value for name, value in times.to_dict().items()}
        return scenario.replace({"feel.compute": "gpu", **dropped, **measured})

    def link(self) -> Link:
        """Return the link that carries its updates unless another is given: TDMA unless overridden."""
        return TdmaLink()

    def prepare(self, state: StateT, plan: Any) -> StateT:
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

    def payload(self, state: StateT, plan: Any) -> Payload:
        """Return what is sent in this round: what was planned for, unless overridden.

        Parameters
        ----------
        state : State
            After :meth:`prepare`.
        plan : Plan
            Batch sizes and whatever else the round allots.

        Returns
        -------
        Payload
            Bits up from each device, and down to each device.
        """
        planned: Payload = plan.payload
        return planned

    @abstractmethod
    def local(self, state: StateT, plan: Any) -> Any:
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
    def aggregate(self, state: StateT, updates: Any, sent: Sent) -> StateT:
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

    def evaluate(self, state: StateT) -> tuple[float, float]:
        """Judge a model on the test samples: the one that the state names, unless overridden.

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
        return state.task.evaluate(state.judged)

    def change(self, before: StateT, after: StateT) -> float:
        r"""Measure the relative change over a round: of the weights, :math:`|G - G'| / |G'|`, unless overridden.

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
        """Return the scheme's attributes, for the manifest of a run."""
        return dict(vars(self))


def table_of(scenario: Scenario, family: str) -> dict[str, Any]:
    """Return the table of a scenario that measured times go into, or refuse one without it."""
    found: dict[str, Any] | None = scenario.to_dict().get(family)
    if found is None:
        raise ProblemError(
            f"compute: the scenario has no table [{family}] to put measured times into: add one"
        )
    return found
