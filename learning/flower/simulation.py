"""Training over Flower: in its simulation here, or as the server of a deployment."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from learning.flower import grid
from learning.flower.crew import RemoteCrew
from learning.flower.node import answer
from learning.flower.post import POLL_S, Mail, Post, Recallable
from learning.flower.told import told
from learning.local.globals import fresh_torch, torch_threads
from learning.loop import Plans, begin
from learning.options import choose, real, whole
from learning.radio.measured import Measured
from learning.radio.sampling import Places
from learning.runs.checkpoint import EVERY
from learning.runs.result import TrainingResult
from learning.setup import RUNNING, SETTINGS, Setup
from learning.task import Task
from radioopt.base.errors import OptionError, require
from radioopt.scenario import Scenario

#: seconds that a round waits for answers unless told otherwise: a node may have to start a process and import torch
DEADLINE_S = 120.0
#: the same in a simulation, whose first round starts all processes on one machine
SIMULATED_S = 600.0
#: seconds that an interrupted simulation waits for its server, which may be in the middle of a checkpoint
ENDING_S = 30.0
#: by how much Ray's processes give way to all others, 15 by default: on a busy machine rounds take many times longer
NICENESS = "RAY_worker_niceness"


def simulate(
    scenario: Scenario | str | os.PathLike[str],
    *,
    nodes: int | None = None,
    deadline_s: float = SIMULATED_S,
    min_arrived: int = 1,
    clock: str = "simulated",
    cpus: float = 1.0,
    **options: Any,
) -> TrainingResult:
    """Train as :func:`learning.train` does, with the devices on simulated Flower nodes.

    Parameters
    ----------
    scenario : Scenario or path-like
        The cell and its devices.
    nodes : int, optional
        Simulated nodes >= 1, among which the devices are dealt out; by default one for each device.
    deadline_s : float, default 600
        Seconds > 0 on the wall that a round waits for the nodes.
    min_arrived : int, default 1
        Devices >= 1 that have to answer; with fewer the round changes nothing.
    clock : {"simulated", "wall"}, default "simulated"
        Whose seconds count: the radio's, which are planned; or those on the wall. Then each round is planned with the
        times that were measured so far, see :class:`~learning.radio.measured.Factors`, and energies are unknown.
    cpus : float, default 1
        Processors > 0 of each of the processes that play the nodes: there are as many processes as fit the machine.
    **options
        Those of :func:`learning.train`: settings that nodes have to know (data, partition, model, scheme) as names and
        numbers; `radio`, `policy`, `allocator`, `judge`, `trace`, `callbacks` and `checkpoint` are the server's own and
        may be objects.

    Returns
    -------
    TrainingResult
        With the same weights and the same account as in one process, to rounding; and with the seconds on the wall of
        each round (``round_s``, of which ``server_s`` are the allocation's and the packing's).

    Raises
    ------
    MissingExtraError
        If Flower is not installed: ``pip install 'radioopt[flower]' -c constraints-flower.txt``.
    OptionError, ProblemError
        As :func:`learning.train`; or if nodes cannot be told a setting.

    Examples
    --------
    >>> result = simulate("feel-cpu", scheme="fedavg", rounds=2)  # doctest: +SKIP
    >>> result.ledger.to_frame()["round_s"]  # doctest: +SKIP
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Flower and Ray, about what they use
        flower, serverapp = require("flwr.simulation", "flower"), require("flwr.serverapp", "flower")
    setup, running = read(scenario, options)
    with torch_threads(1), fresh_torch():
        plans = setup.plans()
        count = len(plans.task.parts) if nodes is None else whole("nodes", nodes)
        settings = told(setup, plans)
    whole("min_arrived", min_arrived)
    real("deadline_s", deadline_s)
    real("cpus", cpus)
    if count > len(plans.task.parts):
        raise OptionError(
            f"nodes: expected at most {len(plans.task.parts)}, one for each device, got {count}"
        )
    app = serverapp.ServerApp()
    done: list[TrainingResult | BaseException] = []
    threads: list[threading.Thread] = []
    stopped = threading.Event()

    @app.main()  # type: ignore[untyped-decorator]
    def main(grid_: Any, context: Any) -> None:
        threads.append(threading.current_thread())
        try:
            mail = Recallable(grid.GridMail(grid_), stopped)
            done.append(serve(plans, settings, mail, count, deadline_s, min_arrived, running, clock=clock))
        except BaseException as error:
            done.append(error)

    try:
        with warnings.catch_warnings(), _urgent():
            warnings.simplefilter("ignore")
            flower.run_simulation(
                server_app=app,
                client_app=grid.client_app(answer),
                num_supernodes=count,
                backend_config={"client_resources": {"num_cpus": cpus, "num_gpus": 0.0}},
            )
    finally:  # Flower leaves the server's thread alone, which would go on to the deadline of every round
        stopped.set()
        for thread in threads:
            thread.join(ENDING_S)
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]


def read(
    scenario: Scenario | str | os.PathLike[str], options: dict[str, Any]
) -> tuple[Setup, dict[str, Any]]:
    """Sort options into settings, how the run is kept and shown, and those of scheme, radio and judge."""
    known = {name: options.pop(name) for name in list(options) if name in SETTINGS}
    running = {name: options.pop(name) for name in list(options) if name in RUNNING}
    return Setup(scenario=scenario, options=options, **known), running


def serve(
    plans: Plans,
    settings: str,
    mail: Mail,
    count: int,
    deadline_s: float = DEADLINE_S,
    min_arrived: int = 1,
    running: Any = None,
    *,
    clock: str = "simulated",
    poll_s: float = POLL_S,
    patience_s: float = 600.0,
) -> TrainingResult:
    """Run the server: wait for the nodes, then train.

    Parameters
    ----------
    plans : Plans
        All that the run needs.
    settings : str
        What nodes are told.
    mail : Mail
        What carries letters.
    count : int
        Nodes to wait for.
    deadline_s : float
        Seconds that a round waits.
    min_arrived : int
        Devices that have to answer.
    running : mapping of str to object, optional
        Callbacks, checkpoint, every, progress.
    clock : {"simulated", "wall"}, default "simulated"
        Whose seconds count, see :func:`simulate`.
    poll_s : float, default 0.02
        Seconds between two looks for answers.
    patience_s : float, default 600
        Seconds to wait for the nodes.

    Returns
    -------
    TrainingResult
        What the run did.

    Raises
    ------
    OptionError
        If there are not enough nodes in time, or no such clock.
    """
    wall = choose("clock", clock, {"simulated": False, "wall": True})
    learners: list[Measured] = []

    def planner(task: Task, some: Places | None) -> Measured:
        learners[:] = [Measured(plans.planner(task, some), len(task.parts))]
        return learners[0]

    nodes = _gathered(mail, count, patience_s, poll_s)
    kept = running or {}
    every = kept.get("every", EVERY) if kept.get("checkpoint") is not None else None

    def crew(scheme: Any, task: Any, at_once: int | None) -> RemoteCrew:
        post = Post(mail, deadline_s, poll_s)
        learner = learners[0] if learners else None
        return RemoteCrew(
            scheme, task, settings, post, nodes, min_arrived=min_arrived, every=every, learner=learner
        )

    planning = replace(plans, crew=crew)
    if wall:
        planning = replace(planning, planner=planner, config={**plans.config, "clock": clock})
    with torch_threads(1), fresh_torch():
        return begin(planning, **kept)


@contextmanager
def _urgent() -> Iterator[None]:
    """Have Ray start processes that are as urgent as this one, unless the user says otherwise."""
    if NICENESS in os.environ:
        yield
        return
    os.environ[NICENESS] = "0"
    try:
        yield
    finally:
        os.environ.pop(NICENESS, None)


def _gathered(mail: Mail, count: int, patience_s: float, poll_s: float) -> list[int]:
    """Wait until there are so many nodes."""
    began = time.monotonic()
    while len(nodes := mail.nodes()) < count:
        if time.monotonic() - began > patience_s:
            raise OptionError(
                f"nodes: expected {count}, and after {patience_s:g} s there are {len(nodes)}: start more, or ask for "
                "fewer"
            )
        time.sleep(poll_s)
    return nodes[:count]
