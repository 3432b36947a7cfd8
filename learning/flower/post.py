"""The post: letters go out to nodes, and a round closes at its deadline with whoever has answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from learning.flower.letters import Letter

#: seconds between two looks for answers
POLL_S = 0.02
#: seconds beyond the deadline in which an answer is still looked for, to be noted as late
GRACE_S = 60.0


class Answer(NamedTuple):
    """What became of a letter.

    Attributes
    ----------
    id : str
        Of the letter that is answered.
    letter : Letter or None
        From the node; None if it failed.
    error : str
        Why it failed.
    gone : bool
        Whether the node cannot be reached any more.
    """

    id: str
    letter: Letter | None
    error: str = ""
    gone: bool = False


class Mail(Protocol):
    """What carries letters: Flower, or a function in this process."""

    def nodes(self) -> list[int]:
        """Return the nodes that can be reached now."""

    def send(self, letters: Mapping[int, Letter], ttl_s: float) -> dict[str, int]:
        """Send a letter to each node, which may be answered for so long [s]; return whose each is, by its id."""

    def fetch(self, ids: Sequence[str]) -> list[Answer]:
        """Return what has come of these letters so far, each answer once."""


class Recalled(Exception):
    """Nobody waits for the run any more."""


class Recallable:
    """Mail that can be stopped from another thread, whoever uses it then.

    Parameters
    ----------
    mail : Mail
        What carries the letters.
    stopped : threading.Event
        When it is set, every call raises :class:`Recalled`.
    """

    def __init__(self, mail: Mail, stopped: threading.Event) -> None:
        self._mail, self._stopped = mail, stopped

    def nodes(self) -> list[int]:
        """Return the nodes that can be reached; see :class:`Mail`."""
        return self._going().nodes()

    def send(self, letters: Mapping[int, Letter], ttl_s: float) -> dict[str, int]:
        """Send letters; see :class:`Mail`."""
        return self._going().send(letters, ttl_s)

    def fetch(self, ids: Sequence[str]) -> list[Answer]:
        """Return what has come; see :class:`Mail`."""
        return self._going().fetch(ids)

    def _going(self) -> Mail:
        if self._stopped.is_set():
            raise Recalled("the run was interrupted")
        return self._mail


class Fault(NamedTuple):
    """What went wrong on a node.

    Attributes
    ----------
    round : int
        Round, from 1 on.
    node : int
        Which.
    fault : str
        In words.
    """

    round: int
    node: int
    fault: str


class Received(NamedTuple):
    """What came in time.

    Attributes
    ----------
    letters : dict of int to Letter
        By node, in the order of the nodes.
    seconds : dict of int to float
        From sending to receiving [s], by node.
    faults : list of Fault
        Nodes that failed, did not answer, or answered an earlier round.
    gone : set of int
        Nodes that cannot be reached.
    """

    letters: dict[int, Letter]
    seconds: dict[int, float]
    faults: list[Fault]
    gone: set[int]


class Post:
    """Sends the letters of a round and waits for the answers, until the deadline and no longer.

    Parameters
    ----------
    mail : Mail
        What carries them.
    deadline_s : float
        Seconds > 0 that a round waits.
    poll_s : float, default 0.02
        Seconds > 0 between two looks.
    """

    def __init__(self, mail: Mail, deadline_s: float, poll_s: float = POLL_S) -> None:
        self.mail, self.deadline_s, self.poll_s = mail, deadline_s, poll_s
        self._open: dict[str, tuple[int, int, float]] = {}

    def exchange(self, round: int, letters: Mapping[int, Letter]) -> Received:
        """Send letters and collect the answers.

        Parameters
        ----------
        round : int
            Number of the round.
        letters : mapping of int to Letter
            By node.

        Returns
        -------
        Received
            Who answered in time, and what went wrong.

        Notes
        -----
        A letter that is not answered in time is remembered for :data:`GRACE_S`: its answer, when it comes, is noted as
        late and thrown away, so that it is never taken for one of a later round. Of two answers to a letter the first
        counts.
        """
        began = time.monotonic()
        faults: list[Fault] = []
        gone: set[int] = set()
        waiting: dict[str, int] = {}
        if letters:
            waiting = self.mail.send(letters, self.deadline_s + GRACE_S)
        found: dict[int, Letter] = {}
        seconds: dict[int, float] = {}
        while True:
            now = time.monotonic()
            for one in self.mail.fetch([*waiting, *self._open]) if waiting or self._open else ():
                if one.id in waiting:
                    node = waiting.pop(one.id)
                    if one.letter is not None:
                        found[node], seconds[node] = one.letter, now - began
                    else:
                        faults.append(Fault(round, node, one.error))
                elif one.id in self._open:
                    node, asked, _ = self._open.pop(one.id)
                    text = f"answered round {asked} after its deadline" if one.letter is not None else ""
                    faults += [Fault(round, node, text)] if text else []
                else:
                    continue  # a second answer to the same letter
                if one.gone:
                    gone.add(node)
            if not waiting or now - began >= self.deadline_s:
                break
            time.sleep(min(self.poll_s, max(0.0, self.deadline_s - (now - began))))
        for id, node in waiting.items():
            faults.append(Fault(round, node, f"did not answer within {self.deadline_s:g} s"))
            self._open[id] = (node, round, time.monotonic() + GRACE_S)
        self._open = {id: kept for id, kept in self._open.items() if kept[2] > time.monotonic()}
        return Received({node: found[node] for node in sorted(found)}, seconds, faults, gone)
