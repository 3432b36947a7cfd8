"""The crew: the devices of a run, whose hooks are called group by group, in chunks that fit the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from learning.messages import Message
from learning.models.weights import Bank, Rows
from learning.radio.base import Floats, Plan, Sent
from learning.task import Cohort, IntArray, Task
from radioopt.base.errors import ProblemError

if TYPE_CHECKING:
    from learning.schemes.base import Scheme

#: numbers of all devices of a chunk together, weights and samples of a step: what a core's cache holds
CHUNK_NUMBERS = 2_000_000
#: devices of a chunk at the least, below which stacking them gains nothing
CHUNK_DEVICES = 8


class Order(NamedTuple):
    """What a round tells some devices.

    Attributes
    ----------
    round : int
        Number of the round, from 1 on.
    batchsize : ndarray of int64, shape (k,)
        Samples that each of them is to train with, repetitions counted.
    told : mapping of str to int
        What else the plan says, the same for all.
    """

    round: int
    batchsize: IntArray
    told: Any


class Turn(NamedTuple):
    """A round as far as the radio goes: known before anybody trains, as it does not depend on what is sent.

    Attributes
    ----------
    round : int
        Number of the round, from 1 on.
    plan : Plan
        What it allots.
    sent : Sent
        Who arrives and who receives.
    """

    round: int
    plan: Plan
    sent: Sent

    def order(self, cohort: Cohort) -> Order:
        """Return what the round tells some devices."""
        return Order(self.round, self.plan.batchsize[cohort.devices], self.plan.told())


#: looks at the devices' state right after their local training
Watch = Callable[[Cohort, Rows], None]


class Crew:
    """The devices of a run in this process: all, or those of a node.

    Parameters
    ----------
    scheme : Scheme
        Whose hooks are called.
    task : Task
        What is learnt from what.
    at_once : int, optional
        Devices of a chunk >= 1. By default as many as fit the cache. It changes nothing in what they compute.
    devices : ndarray of int64, shape (k,), optional
        Those that are here, ascending; all by default.

    Attributes
    ----------
    banks : dict of str to Bank
        What devices keep between rounds, by architecture.
    watch : callable or None
        Called with each cohort and its state right after the local training.
    losses : ndarray, shape (K,)
        Mean losses of the last round in which not everybody took part; NaN for those who did not.
    """

    losses: np.ndarray[Any, np.dtype[np.float64]]

    def __init__(
        self,
        scheme: Scheme[Any],
        task: Task,
        at_once: int | None = None,
        devices: IntArray | None = None,
    ) -> None:
        self.scheme, self.task = scheme, task
        self.watch: Watch | None = None
        mine = of_kinds(task, np.arange(len(task.parts)) if devices is None else devices)
        groups = [chunk for kind, own in mine.items() for chunk in _chunks(scheme, task, kind, own, at_once)]
        self._chunks = [task.cohort(chunk) for chunk in groups]
        self.banks: dict[str, Bank] = {}
        self._joined: dict[str, set[str]] = {}
        for kind, own in mine.items():
            joined = [(c.devices, scheme.join(c)) for c in self._chunks if c.architecture == kind]
            self.banks[kind] = Bank(own).put_all(joined)
            self._joined[kind] = set(self.banks[kind].values)

    def train(self, turn: Turn) -> Iterator[tuple[Cohort, Message]]:
        """Let all devices train, cohort after cohort.

        Parameters
        ----------
        turn : Turn
            The round.

        Yields
        ------
        cohort : Cohort
            Some devices.
        message : Message
            What they send, a row each.
        """
        kept: dict[str, list[tuple[IntArray, Rows]]] = {kind: [] for kind in self.banks}
        part = turn.plan.takes_part()
        for cohort in self._chunks if part is None else self._those(part):
            bank = self.banks[cohort.architecture]
            own, message = self.scheme.local(bank.of(cohort.devices), cohort, turn.order(cohort))
            if self.watch is not None:
                self.watch(cohort, own)
            if part is not None and "loss" in message.notes:
                self.losses[cohort.devices] = message.notes["loss"].detach().cpu().numpy()
            keeps = np.ones(len(cohort), np.bool_)
            if self.scheme.replaces:  # the answer is all that they will have: no need to keep anything
                keeps = ~turn.sent.received[cohort.devices]
            if keeps.all():
                kept[cohort.architecture].append((cohort.devices, own))
            elif keeps.any():
                some = np.flatnonzero(keeps)
                rows = {name: value[some] for name, value in own.items()}
                kept[cohort.architecture].append((cohort.devices[some], rows))
            del own
            yield cohort, message
        for kind, groups in kept.items():
            bank = self.banks[kind]
            if self.scheme.replaces:
                bank = bank.drop(bank.devices[turn.sent.received[bank.devices]])
            self.banks[kind] = bank.put_all(groups)

    def _those(self, part: np.ndarray[Any, np.dtype[np.bool_]]) -> Iterator[Cohort]:
        """Go through those who take part, and begin to note their losses."""
        self.losses = np.full(len(part), np.nan)
        for cohort in self._chunks:
            some = cohort.devices[part[cohort.devices]]
            if some.size:
                yield self.task.cohort(some)

    def hear(self, answer: Message, received: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        """Bring the server's answer to those who receive it.

        Parameters
        ----------
        answer : Message
            From the server.
        received : ndarray of bool, shape (K,)
            Who receives it.
        """
        for kind, bank in self.banks.items():
            devices = bank.devices[received[bank.devices]]
            if devices.size:
                own = {} if self.scheme.replaces else bank.of(devices)
                heard = self.scheme.hear(own, self.task.cohort(devices), answer)
                if lost := sorted(self._joined[kind] - heard.keys()):
                    raise ProblemError(
                        f"{type(self.scheme).__name__}: devices have no {lost[0]!r} after the answer: "
                        "let hear() return them, or set replaces = False"
                    )
                self.banks[kind] = bank.put(devices, heard)

    def give(self, devices: IntArray, rows: Rows) -> None:
        """Give some devices of one architecture other weights than they have, after they have trained.

        Parameters
        ----------
        devices : ndarray of int64, shape (k,)
            Their numbers, ascending.
        rows : mapping of str to Tensor
            Their weights, shapes (k, ...).
        """
        if devices.size:
            kind = self.task.uses[devices[0]]
            self.banks[kind] = self.banks[kind].put(devices, rows)

    def states(self) -> Iterator[tuple[Cohort, dict[str, Any]]]:
        """Go through what devices keep, cohort by cohort.

        Yields
        ------
        cohort : Cohort
            Some devices.
        own : dict of str to Tensor
            Their rows.
        """
        for cohort in self._chunks:
            yield cohort, self.banks[cohort.architecture].of(cohort.devices)

    def sent(self, turn: Turn) -> Sent:
        """Return what became of a round: what the radio said of it, as nobody here fails.

        Parameters
        ----------
        turn : Turn
            The round that was done.

        Returns
        -------
        Sent
            For the ledger.
        """
        return turn.sent

    def figures(self) -> Mapping[str, float]:
        """Return numbers of the round worth a column in the table of rounds; none here."""
        return {}

    def measured(self) -> Mapping[str, Floats]:
        """Return what was measured of each device in the round, shapes (K,); nothing here."""
        return {}

    def tables(self) -> dict[str, Any]:
        """Return tables to keep beside that of the rounds, by file name; none here."""
        return {}


def of_kinds(task: Task, devices: IntArray) -> dict[str, IntArray]:
    """Sort devices by their architecture, in the order in which architectures first occur.

    Parameters
    ----------
    task : Task
        With the architecture of each device.
    devices : ndarray of int64, shape (k,)
        Some devices, ascending.

    Returns
    -------
    dict of str to ndarray of int64
        Devices of each architecture.
    """
    uses = np.array(task.uses)[devices]
    return {kind: devices[uses == kind] for kind in dict.fromkeys(uses.tolist())}


def _chunks(
    scheme: Scheme[Any], task: Task, kind: str, devices: IntArray, at_once: int | None
) -> list[IntArray]:
    if at_once is None:
        at_once = max(CHUNK_DEVICES, CHUNK_NUMBERS // max(1, scheme.footprint(task, kind)))
    count = -(-devices.size // at_once)
    return np.array_split(devices, count)
