"""The devices of a run on nodes: the same hooks as in one process, called by letters."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.crew import Crew, Turn, of_kinds
from learning.flower.checks import Form, form_of, opened, refuse
from learning.flower.letters import Letter, Sealed
from learning.flower.post import Fault, Post, Received
from learning.flower.prepared import taught
from learning.flower.sealing import seal_all
from learning.flower.told import digest_of_task
from learning.messages import Message
from learning.models.weights import Bank, Rows
from learning.radio.base import Floats, Plan, Sent
from learning.radio.measured import Measured
from learning.schemes.base import Scheme
from learning.task import Cohort, IntArray, Task
from radioopt.base.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

Bools = np.ndarray[Any, np.dtype[np.bool_]]

#: of a device, what a row of the plan tells beside the decisions
HARDWARE = ("transmit_power_w", "cpu_frequency_hz", "bandwidth_hz", "uplink_rate_bps", "downlink_rate_bps")


class RemoteCrew(Crew):
    """The devices of a run, on nodes.

    Each node has some devices. In a round it gets a letter with their rows of the plan and the server's last answer,
    lets those hear it who received it, trains, and sends back what they made. What devices keep stays there, and is
    fetched only when a judge asks for it or the run is kept.

    Parameters
    ----------
    scheme : Scheme
        Whose hooks are called.
    task : Task
        What is learnt from what, as the nodes have it too.
    settings : str
        What nodes are told, see :func:`learning.flower.told.told`.
    post : Post
        What carries the letters.
    nodes : sequence of int
        Nodes in the order in which they get devices, at most one for each device.
    min_arrived : int, default 1
        Devices >= 1 that have to answer; with fewer the round changes nothing.
    every : int, optional
        Rounds >= 1 from one checkpoint to the next. When one is due, nodes send what devices keep along with the rest.
    learner : Measured, optional
        What plans, if the clock of the run is that of the wall: seconds of a round are then those that it took, times
        of the devices those that were measured, and the next round is planned with them. By default the radio's times
        are the clock, simulated.

    Raises
    ------
    OptionError
        If there are no nodes, or more than devices.

    Notes
    -----
    A device counts as arrived if the radio says so and its node has answered in time, with what the scheme would have
    made: names, shapes, number types, finite numbers, this round, these devices. A node that fails is asked again in
    the next round, unless it is gone; then the next new node takes its devices, which begin anew.
    """

    def __init__(
        self,
        scheme: Scheme[Any],
        task: Task,
        settings: str,
        post: Post,
        nodes: list[int],
        *,
        min_arrived: int = 1,
        every: int | None = None,
        learner: Measured | None = None,
    ) -> None:
        count = len(task.parts)
        if not nodes or len(nodes) > count:
            raise OptionError(f"nodes: expected 1 to {count}, one for each device at most, got {len(nodes)}")
        super().__init__(scheme, task)
        self._settings, self._post = settings, post
        self._learner, self._min_arrived, self._every = learner, min_arrived, every
        self.parts = dict(zip(nodes, np.array_split(np.arange(count), len(nodes)), strict=True))
        self._digest = digest_of_task(task)
        self._answer: dict[str, Sealed] = {}
        self._received = np.zeros(count, np.bool_)
        self._restore: set[int] = set()
        self._forms: dict[str, Form] = {}
        self._first = False
        self.faults: list[Fault] = []
        self._replied = np.ones(count, np.bool_)
        self._seconds = self._overhead = 0.0
        self._times: dict[str, Floats] = {}
        self._counted: dict[str, float] = {}

    # -- what the loop and the judges ask for --------------------------------------------------------

    @property
    def banks(self) -> dict[str, Bank]:  # type: ignore[override]
        """What devices keep, by architecture: fetched from the nodes if they have trained since the last time."""
        if self._stale.any():
            self._fetch()
        return self._banks

    @banks.setter
    def banks(self, banks: dict[str, Bank]) -> None:
        if (
            getattr(self, "_banks", banks) is not banks
        ):  # a run that goes on: nodes get what their devices had
            self._restore = set(self.parts)
        self._banks, self._stale = banks, np.zeros(len(self.task.parts), np.bool_)

    def train(self, turn: Turn) -> Iterator[tuple[Cohort, Message]]:
        """Let all devices train whose nodes can be reached; see :meth:`Crew.train`."""
        if turn.plan.takes_part() is not None:
            raise OptionError(
                "radio: over Flower every device takes part in every round: take a radio without sampling"
            )
        began = time.perf_counter()
        self._learn_forms(turn)
        before = len(self.faults)
        self._reassign()
        there = set(self._post.mail.nodes())
        show = self._shown(turn.round)
        letters = {
            node: self._letter(node, turn.round, turn.plan, show=show) for node in self.parts if node in there
        }
        for node in self.parts.keys() - there:
            self.faults.append(Fault(turn.round, node, "cannot be reached"))
        packed = time.perf_counter()
        received = self._post.exchange(turn.round, letters)
        waited = time.perf_counter()
        self.faults += received.faults
        self._restore -= received.letters.keys()
        groups = self._checked(turn, received, show=show)
        replied = np.zeros(len(self.task.parts), np.bool_)
        for cohort, _, _ in groups:
            replied[cohort.devices] = True
        if replied.sum() < self._min_arrived:
            self.faults.append(
                Fault(turn.round, -1, f"{replied.sum()} devices answered, and {self._min_arrived} have to")
            )
            replied[:], groups = False, []
        self._replied = replied
        self._stale[:] = True
        if show:
            for cohort, _, own in groups:
                kind = cohort.architecture
                self._banks[kind] = self._banks[kind].put(cohort.devices, own)
            self._stale &= ~replied
        self._answer, self._received = {}, np.zeros_like(replied)
        self._measure(turn, received)
        self._seconds = time.perf_counter() - began
        self._overhead = self._seconds - (waited - packed)
        self._counted = {
            "nodes": len(there),
            "answered": int(replied.sum()),
            "faults": len(self.faults) - before,
        }
        for cohort, message, own in groups:
            if self.watch is not None:
                self.watch(cohort, own)
            yield cohort, message

    def hear(self, answer: Message, received: Bools) -> None:
        """Keep the server's answer for the next letter to each node; see :meth:`Crew.hear`.

        Whose state is known here hears it here too; as does who has nothing but the answer afterwards.
        """
        self._answer, self._received = seal_all(answer.values), received.copy()
        stale = self._stale.copy()
        self._stale[:] = False  # so that nobody is asked now
        known = received if self.scheme.replaces else received & ~stale
        super().hear(answer, known)
        self._stale = stale & ~known

    def give(self, devices: IntArray, rows: Rows) -> None:
        """Keep other weights of some devices for the next letter to their nodes; see :meth:`Crew.give`.

        A node that has not answered keeps what it has.
        """
        if devices.size:
            kind = self.task.uses[devices[0]]
            self._banks = {**self._banks, kind: self._banks[kind].put(devices, rows)}
            self._restore |= {node for node, own in self.parts.items() if np.isin(own, devices).all()}
        self._fresh = True

    def sent(self, turn: Turn) -> Sent:
        """Return what became of a round: who has not answered has not arrived; see :meth:`Crew.sent`."""
        sent = replace(turn.sent, arrived=turn.sent.arrived & self._replied)
        if self._learner is None:
            return sent
        unknown = np.full(len(self._replied), np.nan)
        return replace(
            sent,
            seconds=self._seconds,
            compute_time_s=self._times["measured_compute_s"],
            upload_time_s=self._times["measured_upload_s"],
            download_time_s=unknown,
            update_time_s=unknown,
            compute_energy_j=unknown,
            upload_energy_j=unknown,
        )

    def figures(self) -> Mapping[str, float]:
        """Return seconds that the round took, what of it was ours, and how many nodes and devices took part."""
        return {"round_s": self._seconds, "server_s": self._overhead, **self._counted}

    def measured(self) -> Mapping[str, Floats]:
        """Return seconds of each device, NaN of those that did not answer, and by which factors it is planned."""
        return self._times

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what went wrong on which node, if anything did."""
        import pandas as pd

        return {"faults.csv": pd.DataFrame(self.faults, columns=list(Fault._fields))} if self.faults else {}

    # -- letters -----------------------------------------------------------------------------------

    def _shown(self, round: int) -> bool:
        """Say whether nodes are to send what devices keep: it is watched, or written down after this round."""
        due = self._every is not None and round % self._every == 0 and not self.scheme.replaces
        return self.watch is not None or due

    def _letter(self, node: int, round: int, plan: Plan | None, *, show: bool) -> Letter:
        devices = self.parts[node]
        numbers: dict[str, Any] = {
            "settings": self._settings,
            "round": round,
            "devices": devices.tolist(),
            "received": self._received[devices].astype(int).tolist(),
            "show": show,
            "deadline_s": float(self._post.deadline_s),
        }
        arrays: dict[str, Mapping[str, Sealed]] = {}
        if len(self.task.models) > 1:
            numbers["uses"] = [self.task.uses[device] for device in devices.tolist()]
        if self.task.teacher is not None:
            arrays["teacher"] = taught(self.task, devices)
        if self._answer and self._received[devices].any():
            arrays["answer"] = self._answer
        if node in self._restore:
            for i, (kind, own) in enumerate(of_kinds(self.task, devices).items()):
                arrays[f"own/{i}"] = seal_all(self._banks[kind].of(own))
        if plan is not None:
            numbers |= row_of(plan, devices)
        return Letter(numbers, arrays)

    def _learn_forms(self, turn: Turn) -> None:
        """Find out what devices send in this round: in the first one it may be more than later."""
        if self._forms and self._first == (turn.round == 1):
            return
        everybody = np.arange(len(self.task.parts))
        self._forms = {
            kind: form_of(self.scheme, self.task, own, turn)
            for kind, own in of_kinds(self.task, everybody).items()
        }
        self._first = turn.round == 1

    def _reassign(self) -> None:
        """Give the devices of nodes that are gone to new ones."""
        there = self._post.mail.nodes()
        spare = [node for node in there if node not in self.parts]
        for gone in [node for node in self.parts if node not in there]:
            if not spare:
                return
            new = spare.pop(0)
            self.parts = {new if node == gone else node: own for node, own in self.parts.items()}
            self._restore = {new if node == gone else node for node in self._restore}

    def _checked(
        self, turn: Turn, received: Received, *, show: bool
    ) -> list[tuple[Cohort, Message, dict[str, Any]]]:
        """Return what the devices sent, group by group, without that of nodes that sent anything wrong."""
        found = []
        for node in self.parts:  # always in the same order, so that sums are the same
            if node not in received.letters:
                continue
            groups = self._groups(node, turn.round, received.letters[node], show=show)
            if isinstance(groups, str):
                self.faults.append(Fault(turn.round, node, groups))
            else:
                found += groups
        return found

    def _groups(
        self, node: int, round: int, letter: Letter, *, show: bool
    ) -> list[tuple[Cohort, Message, dict[str, Any]]] | str:
        devices = self.parts[node]
        if wrong := refuse(letter, round=round, devices=devices, digest=self._digest):
            return wrong
        if round > 1 and letter.numbers.get("new") and not self.scheme.replaces:
            self.faults.append(Fault(round, node, "had lost what its devices keep: they began anew"))
        groups = []
        for i, (kind, own) in enumerate(of_kinds(self.task, devices).items()):
            form, place = self._forms[kind], self.task.device
            values = opened(
                letter.arrays.get(f"values/{i}"), form.values, len(own), "values", self.scheme.blank
            )
            notes = opened(letter.arrays.get(f"notes/{i}"), form.notes, len(own), "notes", None)
            kept: dict[str, Any] | str = {}
            if show:
                kept = opened(letter.arrays.get(f"own/{i}"), form.own, len(own), "what devices keep", None)
            for part in (values, notes, kept):
                if isinstance(part, str):
                    return part
            assert isinstance(values, dict)
            assert isinstance(notes, dict)
            assert isinstance(kept, dict)
            values, kept = ({name: row.to(place) for name, row in rows.items()} for rows in (values, kept))
            groups.append((self.task.cohort(own), Message(values, notes), kept))
        return groups

    def _measure(self, turn: Turn, received: Received) -> None:
        """Note the seconds of each device: those of its node, by its share of the samples."""
        compute, upload = (np.full(len(self.task.parts), np.nan) for _ in range(2))
        for node, devices in self.parts.items():
            if node not in received.letters or not self._replied[devices].all():
                continue
            said = received.letters[node].numbers
            samples = turn.plan.batchsize[devices].astype(float)
            share = samples / samples.sum() if samples.sum() else np.full(len(devices), 1 / len(devices))
            compute[devices] = said["compute_s"] * share
            rest = received.seconds[node] - said["compute_s"] - said["load_s"]
            upload[devices] = max(rest, 0.0) / len(devices)
        self._times = {"measured_compute_s": compute, "measured_upload_s": upload}
        if self._learner is not None:
            self._learner.learn(turn.plan, compute, upload)
            self._times |= self._learner.figures()

    def _fetch(self) -> None:
        """Ask the nodes that answered last for what their devices keep; of all others, what is known stays."""
        there = set(self._post.mail.nodes())
        letters = {
            node: self._letter(node, 0, None, show=True)
            for node, devices in self.parts.items()
            if node in there and self._stale[devices].any() and self._replied[devices].all()
        }
        received = self._post.exchange(0, letters)
        self.faults += received.faults
        for node, letter in received.letters.items():
            devices = self.parts[node]
            wrong = refuse(letter, round=0, devices=devices, digest=self._digest)
            groups: list[tuple[str, IntArray, dict[str, Any]]] = []
            for i, (kind, own) in enumerate(of_kinds(self.task, devices).items()):
                sealed = letter.arrays.get(f"own/{i}")
                rows = opened(sealed, self._forms[kind].own, len(own), "what devices keep", None)
                if isinstance(rows, str):
                    wrong = wrong or rows
                else:
                    groups.append((kind, own, rows))
            if wrong:
                self.faults.append(Fault(0, node, wrong))
                continue
            for kind, own, rows in groups:
                moved = {name: value.to(self.task.device) for name, value in rows.items()}
                self._banks[kind] = self._banks[kind].put(own, moved)
        self._stale[:] = False


def row_of(plan: Any, devices: IntArray) -> dict[str, Any]:
    """Return what a plan allots to some devices, in plain lists.

    Parameters
    ----------
    plan : Plan
        Of a round.
    devices : ndarray of int64, shape (k,)
        Whose rows.

    Returns
    -------
    dict of str to list of float or int, or a number
        Batch sizes, the decisions of the certified solution (slots, bands), rates, powers and processors of the
        devices; and as ``told/...`` what the plan tells all.
    """
    count = len(plan.batchsize)
    found: dict[str, Any] = {"batchsize": plan.batchsize[devices].tolist()}
    solution = getattr(plan, "solution", None)
    values: dict[str, Any] = {}
    for name in HARDWARE:
        if (value := getattr(plan.devices, name, None)) is not None:
            values[name] = value
    if solution is not None:
        values |= {name: getattr(solution, name) for name in solution.decisions if name != "batchsize"}
    values |= {
        item.name: getattr(plan, item.name)
        for item in fields(plan)
        if isinstance(getattr(plan, item.name), (int, float, np.ndarray)) and item.name != "batchsize"
    }
    for name, value in values.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            continue
        if array.ndim == 0:
            found[name] = array.item()
        elif array.shape == (count,):
            found[name] = array[devices].tolist()
    return found | {f"told/{name}": int(value) for name, value in plan.told().items()}
