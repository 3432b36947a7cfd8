"""The loop: the only place where rounds follow each other, time passes and energy is spent."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from learning.crew import Crew, Turn
from learning.judges import Judge, Watcher
from learning.options import label
from learning.prepare.base import Preparation, Prepared
from learning.progress import progress_bar
from learning.radio.base import Plan, Planner, Radio
from learning.radio.sampling import Candidates, Places, SampledPlan, Sampling, for_all
from learning.runs.checkpoint import EVERY, Checkpoint, Place
from learning.runs.ledger import LEARNT, Entry, Ledger, Spent
from learning.runs.limits import Limits
from learning.runs.lock import locked
from learning.runs.loggers import Failsafe, Logger, logger
from learning.runs.result import TrainingResult
from learning.schemes.base import Scheme
from learning.streams import Streams
from learning.task import State, Task
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten
from radioopt.numerics.dispatch import compiled
from radioopt.scenario import ChannelTrace, Devices, Scenario

#: called after every round with its number, its entry and the ledger; a text that it returns ends the run
Callback = Callable[[int, Entry, Ledger], Any]


@dataclass(frozen=True, eq=False)
class Plans:
    """All that a run needs: made by :class:`learning.setup.Setup`.

    Parameters
    ----------
    scenario : Scenario
        The cell and its devices.
    task : Task
        Who holds what, before any preparation.
    before : sequence of Preparation
        What happens to it before the first round.
    scheme, radio, judge
        What is done, with what it is sent, who judges.
    planner : callable
        From the task that is trained, and those who take part (None for everybody), to what plans the rounds.
    limits : Limits
        When the run ends.
    streams : Streams
        Random numbers.
    config : dict
        Settings.
    at_once : int or None
        Devices of a chunk.
    trace : ChannelTrace or None
        Rates or gains over time.
    sampling : Sampling or None
        Who takes part in a round; None for everybody.
    crew : callable, default Crew
        From scheme, task and `at_once` to the devices: in this process, or elsewhere.
    """

    scenario: Scenario
    task: Task
    before: Sequence[Preparation]
    scheme: Scheme[Any]
    radio: Radio
    judge: Judge
    planner: Callable[[Task, Places | None], Planner]
    limits: Limits
    streams: Streams
    config: dict[str, Any]
    at_once: int | None
    trace: ChannelTrace | None = None
    sampling: Sampling | None = None
    crew: Callable[[Scheme[Any], Task, int | None], Crew] = Crew

    def after(self, devices: Devices, seconds: float) -> Devices | None:
        """Return devices as the trace has them so many seconds after it begins; None where it has ended."""
        if self.trace is None:
            return devices
        time = float(self.trace.times[0]) + seconds
        return devices.follow(self.trace, time) if self.trace.covers(time) else None


def begin(
    plans: Plans,
    callbacks: Sequence[Callback | str] | Callback | str = (),
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = EVERY,
    progress: bool = True,
) -> TrainingResult:
    """Run rounds until a limit is reached, kept in a file if wanted; arguments as of :func:`learning.train`.

    Parameters
    ----------
    plans : Plans
        All that the run needs.
    callbacks : callable or str, or sequence of them, default ()
        Called after every round.
    checkpoint : path-like, optional
        File that keeps the run.
    every : int, default 10
        Rounds >= 1 from one checkpoint to the next.
    progress : bool, default True
        Whether there is a bar.

    Returns
    -------
    TrainingResult
        Ledger, final state, reason to stop.
    """
    called = [logger(callback) for callback in several(callbacks)]
    title = f"train {plans.config['policy']}"
    if checkpoint is None:
        return run(plans, None, called, title=title, progress=progress)
    task = plans.task
    outside = {"scenario": plans.scenario, "task": task, "data": task.data}
    outside |= {f"models.{name}": model for name, model in task.models.items()}
    with locked(f"{os.fspath(checkpoint)}.lock", f"checkpoint {checkpoint}"):
        kept = Checkpoint(checkpoint, every, plans.config, outside, task.device)
        return run(plans, kept, called, title=title, progress=progress)


def several(callbacks: Sequence[Callback | str] | Callback | str) -> Sequence[Callback | str]:
    """Return callbacks as a list, also a single one; refuse what is neither."""
    if callable(callbacks) or isinstance(callbacks, str):
        return [callbacks]
    if not isinstance(callbacks, Sequence):
        raise OptionError(f"callbacks: expected functions (round, entry, ledger), got {shorten(callbacks)}")
    return callbacks


def run(
    plans: Plans,
    kept: Checkpoint | None,
    callbacks: Sequence[Callback] = (),
    *,
    title: str,
    progress: bool = True,
) -> TrainingResult:
    """Run rounds until a limit is reached.

    Parameters
    ----------
    plans : Plans
        All that the run needs.
    kept : Checkpoint or None
        Where it goes on from and is kept.
    callbacks : sequence of callable
        Called after every round.
    title : str
        Of the progress bar.
    progress : bool, default True
        Whether there is one.

    Returns
    -------
    TrainingResult
        Ledger, final state, reason to stop.
    """
    called = [Failsafe(callback) if isinstance(callback, Logger) else callback for callback in callbacks]
    with ExitStack() as begun:
        for callback in called:
            if isinstance(callback, Logger):
                begun.callback(callback.close)
                callback.begin(plans.config)
        return _rounds(plans, kept, called, title=title, progress=progress)


def _rounds(
    plans: Plans, kept: Checkpoint | None, callbacks: Sequence[Callback], *, title: str, progress: bool
) -> TrainingResult:
    """Run rounds until a limit is reached; see :func:`run`."""
    scheme, radio, judge, limits, streams = (
        plans.scheme,
        plans.radio,
        plans.judge,
        plans.limits,
        plans.streams,
    )
    bar = progress_bar(title, limits.total, enabled=progress)
    with compiled(), bar as report:
        drawn = plans.scenario.draw(streams.at("channel"))
        devices = plans.after(drawn, 0.0) or drawn

        def prepare() -> tuple[Task, list[Prepared]]:
            task, done = plans.task, []
            for step in plans.before:
                made = step(task, devices, radio)
                if not isinstance(made, Prepared):
                    raise ProblemError(
                        f"preparation {label(step)}: expected a learning.Prepared with the task, got {shorten(made)}"
                    )
                done.append(made)
                task = made.task
            return task, done

        task = plans.task
        prepared: list[Prepared] = []
        if plans.before:
            task, prepared = prepare() if kept is None else kept.prepared(prepare)
        planner = plans.planner(task, None)
        crew, state = plans.crew(scheme, task, plans.at_once), scheme.begin(task)
        ledger = _begun(judge(task, state, crew), prepared)
        if kept is not None:
            devices, state, crew.banks, ledger = kept.restored((devices, state, crew.banks, ledger))
            if len(ledger) > limits.rounds:
                raise OptionError(
                    f"checkpoint {kept.path}: holds {len(ledger)} rounds, and {limits.rounds:g} are asked for: ask for "
                    "as many or more, or choose another file"
                )
        reason = None
        while (stopped := reason or limits.reached(ledger)) is None:
            turn = _turn(plans, planner, devices, state, ledger, task)
            if isinstance(turn, str):
                stopped = turn
                break
            if limits.targets and not len(ledger):
                limits.refuse_unknown(_columns(ledger, turn.plan, scheme.figures(state), judge.watcher(task)))
            before, devices = state, turn.plan.devices
            judged = turn.round % judge.judge_every == 0
            crew.watch = watcher = judge.watcher(task) if judged else None
            state = scheme.round(state, crew, turn)
            if plans.sampling is not None:
                turn = turn._replace(plan=turn.plan.learnt(crew.losses))
            found = judge(task, state, crew, watcher) if judged else {}
            realised, sent = turn.plan.realised(found), crew.sent(turn)
            entry = ledger.record(
                turn.plan,
                sent,
                train_loss=state.train_loss,
                test_accuracy=found.pop("test_accuracy", np.nan),
                test_loss=found.pop("test_loss", np.nan),
                change=scheme.change(before, state),
                figures={
                    **turn.plan.figures(),
                    **sent.figures(),
                    **scheme.figures(state),
                    **crew.figures(),
                    **found,
                    **realised,
                },
                judged=judged,
                measured=crew.measured(),
            )
            reason = _called(callbacks, turn.round, entry, ledger)
            if kept is not None:
                banks = crew.banks if kept.due(ledger) else {}  # devices may be far away
                kept.keep((devices, state, banks, ledger))
            report(limits.done(ledger), f"{ledger.headline}, {ledger.seconds:.4g} s simulated")
        if kept is not None and len(ledger):
            place: Place = (devices, state, crew.banks, ledger)
            kept.keep(place, done=True)
    return TrainingResult(ledger, state, crew, judge, stopped, plans.config, prepared)


def _turn(
    plans: Plans, planner: Planner, devices: Devices, state: State, ledger: Ledger, task: Task
) -> Turn | str:
    """Plan the next round and ask the radio what becomes of it; or name what ends the run before it."""
    round, at = len(ledger) + 1, plans.streams.at
    there = plans.after(devices, ledger.seconds)
    if there is None:
        return "trace"
    now, some = there.fade(at("channel", round)), None
    if plans.sampling is not None:
        some = plans.sampling.choose(
            _candidates(plans.sampling, now, ledger, task), at("participants", round)
        )
        planner = plans.planner(task, some)
    plan = planner(now if some is None else now[some], at("policy", round))
    payload = plan.prices.payload(plans.scheme.sends(state, plan))
    sent = plans.radio.transmit(payload, plan, at("link", round))
    if some is not None:
        plan, sent = for_all(plan, sent, now, some)
    return plans.limits.exceeded(ledger, sent) or Turn(round, plan, sent)


def _candidates(sampling: Sampling, devices: Devices, ledger: Ledger, task: Task) -> Candidates:
    """Collect what a selection knows: of each device its last round in which it took part."""
    count = len(task.parts)
    losses, seconds, last = np.full(count, np.nan), np.full(count, np.nan), np.zeros(count, np.int64)
    for number, entry in enumerate(ledger.entries, start=1):
        plan, sent = entry.plan, entry.sent
        if isinstance(plan, SampledPlan) and plan.losses is not None:
            losses[plan.chosen] = plan.losses[plan.chosen]
            seconds[plan.chosen] = (sent.compute_time_s + sent.upload_time_s)[plan.chosen]
            last[plan.chosen] = number
    return Candidates(devices, sampling.count(count), len(ledger) + 1, task.sizes, losses, seconds, last)


def _columns(
    ledger: Ledger, plan: Plan, figures: Mapping[str, float], watcher: Watcher | None
) -> list[str] | None:
    """Name the numbers that every round will have; None if a watcher of one's own does not say so before it."""
    seen: Mapping[str, float] = {}
    if watcher is not None:
        try:
            seen = watcher.figures()
        except Exception:  # it has seen nothing yet
            return None
    begun = {"test_accuracy": ledger.initial_accuracy, **ledger.initial}
    return [*dict.fromkeys((*LEARNT, *begun, *plan.figures(), *figures, *seen, *plan.realised(begun)))]


def _begun(figures: dict[str, float], prepared: Sequence[Prepared]) -> Ledger:
    """Open the account, with what preparations took."""
    spent = Spent(*(float(sum(getattr(done, name) for done in prepared)) for name in Spent._fields))
    accuracy, loss = figures.pop("test_accuracy", np.nan), figures.pop("test_loss")
    return Ledger(accuracy, loss, before=spent, initial=figures)


def _called(callbacks: Sequence[Callback], round: int, entry: Entry, ledger: Ledger) -> str | None:
    """Call everybody; return the first reason to end the run, if there is one."""
    answers = [callback(round, entry, ledger) for callback in callbacks]
    return next((answer for answer in answers if isinstance(answer, str)), None)
