"""Timing that treats all contestants alike: they take turns, so that a slow phase of the machine hits all."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Parameters
    ----------
    rounds : int, default 12
        Turns of every contestant; a turn gives one sample.
    sample_s : float, default 0.02
        Least length of a sample [s]: short calls are repeated within it. Rounds times this is the least time
        measured per contestant.
    cap_s : float, default 1
        A contestant whose calls are long gets fewer turns, at least one, to stay below this [s]; and so many
        seconds for the answers that are judged afterwards.
    cpu : bool, default False
        Measure the time of the processor, all threads together, instead of that on the wall: on a machine that does
        other work as well, ratios of contestants on one thread then still mean something.

    Examples
    --------
    >>> Plan().rounds * Plan().sample_s >= 0.2
    True
    """

    rounds: int = 12
    sample_s: float = 0.02
    cap_s: float = 1.0
    cpu: bool = False


QUICK = Plan(rounds=5, sample_s=0.004, cap_s=0.2)


@dataclass
class Runner:
    """A contestant during the race: its call, and what was measured.

    Parameters
    ----------
    call : callable
        ``call(i)`` does the timed work on problem i.
    count : int
        Number of problems, taken in turn.
    around : callable, optional
        Context manager around every sample, which sets the number of threads for instance.
    parts : callable, optional
        Seconds by part, from what a call returned.
    clock : callable
        Seconds now.
    """

    call: Callable[[int], Any]
    count: int
    around: Callable[[], Any] | None = None
    parts: Callable[[Any], Any] | None = None
    clock: Callable[[], float] = time.perf_counter
    repeat: int = 1
    turns: int = 1
    samples: list[float] = field(default_factory=list)
    part_samples: dict[str, list[float]] = field(default_factory=dict)
    calls: int = 0
    error: Exception | None = None

    def calibrate(self, plan: Plan) -> float:
        """Warm up, then choose how often a sample repeats the call; return the seconds of a call."""
        with self._around():
            self.call(0)  # may compile, import, or meet its memory for the first time
            seconds = self._time(1)
            while seconds * self.repeat < plan.sample_s and self.repeat < 1 << 20:
                grow = plan.sample_s / max(seconds * self.repeat, 1e-9)
                self.repeat = max(self.repeat + 1, int(self.repeat * min(grow * 1.2, 10.0)))
                seconds = self._time(self.repeat) / self.repeat
        self.turns = min(plan.rounds, max(1, int(plan.cap_s / max(seconds * self.repeat, 1e-9))))
        return seconds

    def sample(self) -> None:
        """Take one sample."""
        with self._around():
            self.samples.append(self._time(self.repeat) / self.repeat)
        self.calls += self.repeat
        if self.parts is not None:
            for name, seconds in self.parts(self.last[1]).items():
                self.part_samples.setdefault(name, []).append(seconds)

    @contextmanager
    def _around(self) -> Iterator[None]:
        if self.around is None:
            yield
        else:
            with self.around():
                yield

    def _time(self, repeat: int) -> float:
        call, count = self.call, self.count
        raw = None
        start = self.clock()
        for i in range(self.calls, self.calls + repeat):
            raw = call(i % count)
        seconds = self.clock() - start
        self.last = (self.calls + repeat - 1) % count, raw
        return seconds


def race(runners: Sequence[Runner], plan: Plan) -> None:
    """Let the contestants take turns until each has its samples; the garbage collector is off meanwhile.

    Parameters
    ----------
    runners : sequence of Runner
        Calibrated contestants. One with fewer turns than rounds takes them evenly over the race, and the
        order is reversed every other round, so that nobody always runs after the same neighbour. One that
        raises is out, with its ``error``.
    plan : Plan
        How much is measured.
    """
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()  # what was there before need not be looked at in every turn
    try:
        for turn in range(plan.rounds):
            gc.enable()
            gc.collect()
            gc.disable()
            for runner in runners if turn % 2 == 0 else list(reversed(runners)):
                due = turn * runner.turns // plan.rounds != (turn - 1) * runner.turns // plan.rounds
                if runner.error is None and due:
                    try:
                        runner.sample()
                    except Exception as error:  # whatever it is, the others are to run
                        runner.error = error
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
        else:
            gc.disable()
