"""The loop: the only place where rounds follow each other, time passes and energy is spent."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from learning.catalog import SCHEMES
from learning.data import sources
from learning.data.partition import Partition
from learning.data.partition import partition as spread
from learning.models import build as models
from learning.options import choose, label, plain, real, whole
from learning.progress import Report, progress_bar
from learning.radio.base import Allocator
from learning.radio.link import Link
from learning.radio.tdma import Policy
from learning.runs.checkpoint import EVERY, Checkpoint
from learning.runs.ledger import Ledger
from learning.runs.limits import Limits
from learning.schemes.base import Scheme
from learning.task import State, Streams, Task
from radioopt.base.errors import OptionError
from radioopt.base.quantity import shorten
from radioopt.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from learning.local.timing import StepTimes


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a run did and what it was told to do.

    Parameters
    ----------
    ledger : Ledger
        Seconds, joules, accuracy and loss of every round.
    state : State
        After the last round.
    stopped : {"rounds", "seconds", "joules", "target_accuracy", "epsilon", "diverged"}
        Why the run ended; "diverged" when the loss was no longer a number.
    config : dict
        All settings, as text and numbers; from the same ones the same ledger results.
    """

    ledger: Ledger
    state: State
    stopped: str
    config: dict[str, Any]

    def model(self) -> nn.Module:
        """Return the trained model: a copy of the architecture with the weights that were evaluated last.

        Those are the global ones; over block fading the reference device's; of devices that learn individually the
        average of their models.
        """
        trained = copy.deepcopy(self.state.task.model)
        trained.load_state_dict(dict(self.state.judged), strict=False)
        return trained

    def to_frame(self) -> pd.DataFrame:
        """Tabulate the rounds; see :meth:`learning.runs.ledger.Ledger.to_frame`."""
        return self.ledger.to_frame()

    def plot(self) -> Figure:
        """Draw accuracy and loss over simulated time; see :func:`learning.runs.plots.plot_training`."""
        from learning.runs.plots import plot_training

        return plot_training(self)

    def __repr__(self) -> str:
        config, ledger = self.config, self.ledger
        return (
            f"TrainingResult: {config['scheme']['name']}, policy {config['policy']}, {config['data']}, "
            f"seed {config['seed']}: accuracy {ledger.accuracy:.4f} after {len(ledger)} rounds, "
            f"{ledger.seconds:.6g} s simulated, {ledger.energy_text}; stopped by {self.stopped}"
        )


def train(
    scenario: Scenario | str | os.PathLike[str],
    *,
    scheme: str | Scheme = "feel",
    policy: str | Policy = "optimal",
    data: sources.Source = "digits",
    partition: str | Partition = "iid",
    model: str | nn.Module | models.Builder = "mlp",
    rounds: int | None = None,
    seconds: float | None = None,
    joules: float | None = None,
    target_accuracy: float | None = None,
    epsilon: float | None = None,
    seed: int = 0,
    bits_per_parameter: float | None = None,
    compute: str | StepTimes = "modelled",
    link: Link | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = EVERY,
    progress: bool = True,
    **scheme_options: Any,
) -> TrainingResult:
    """Train a model over a simulated wireless network, each round with a fresh allocation.

    Parameters
    ----------
    scenario : Scenario or path-like
        The cell and its devices; a file, or the name of a scenario that comes with radioopt ("feel-cpu").
    scheme : str or Scheme, default "feel"
        A key of ``SCHEMES`` or an object.
    policy : str or callable, default "optimal"
        How the scheme's rounds are planned. For "feel" one of "optimal", "online", "full", "random" and "entire",
        or a function ``(problem, rng) -> batch sizes``; see :class:`~learning.radio.tdma.BatchsizeAllocator`.
    data : str, Dataset, torch.utils.data.Dataset, pair of them, or callable, default "digits"
        "digits" (8 x 8 handwritten digits, split by the seed), "fashion-mnist", "fashion-mnist@6000+1000" (so many
        samples only), "mnist:FOLDER", "cifar10:FOLDER"; arrays, or data of torch; see
        :func:`learning.data.sources.load`.
    partition : str or callable, default "iid"
        "iid", "shards", "dirichlet", "balanced", "rare-labels", "few-labels", with numbers after a colon if wanted
        ("dirichlet:0.3"); see :func:`learning.data.partition.partition`.
    model : str, torch.nn.Module or callable, default "mlp"
        "softmax", "mlp", "cnn", "mix2fld-cnn" or "vgg9", with a size after a colon if wanted ("mlp:200"); a function
        ``(sample_shape, num_classes) -> Module``; or a module that brings its initial weights.
    rounds : int, optional
        Largest number of rounds >= 1; 200 if neither this nor `seconds` nor `joules` is given.
    seconds : float, optional
        Simulated time > 0 [s]; a round that would end later is not done.
    joules : float, optional
        Energy of all devices > 0 [J]; a round that would exceed it is not done.
    target_accuracy : float, optional
        Stop after the first round with this accuracy on the test samples, in (0, 1].
    epsilon : float, optional
        Stop after the first round over which the scheme's :meth:`~learning.schemes.Scheme.change`, by default the
        relative change of the global weights, was below this number > 0. A round in which nothing arrived says
        nothing about that.
    seed : int, default 0
        Seed >= 0 of everything random. Runs with the same seed and different policies are paired: same data
        split, partition, placement, channels, initial weights, and order of samples within a round.
    bits_per_parameter : float, optional
        Size of a number that the scheme sends, > 0 [bit]: its payload is then that of the model trained here. By
        default the payload of the scenario stands, which may model a larger network.
    compute : {"modelled", "measured"} or StepTimes, default "modelled"
        Where compute times come from: the scenario; or this machine, by timing the model before the first round
        (:func:`learning.time_training`), or from such a measurement. The times are put into the scenario, for all
        devices alike, and with it into the settings, so that a run can be repeated elsewhere.
    link : Link, optional
        The scheme's own by default: for "feel" :class:`~learning.radio.link.TdmaLink`, which can have a deadline,
        stragglers and losses.
    checkpoint : path-like, optional
        A file that keeps the run, written whole while it goes on. If it exists, the run goes on from there and
        gives every number, bit for bit, that it would have given unbroken; see
        :class:`~learning.runs.checkpoint.Checkpoint`. It stays when the run is done.
    every : int, default 10
        Rounds >= 1 from one checkpoint to the next.
    progress : bool, default True
        Show a bar, on a terminal, if the run takes longer than a second.
    **scheme_options
        Settings of a scheme given by name; for "feel" those of :class:`~learning.schemes.FedSgd`, e.g.
        ``learning_rate=0.2``.

    Returns
    -------
    TrainingResult
        Ledger, final state, reason to stop, settings.

    Raises
    ------
    OptionError
        If a name is unknown or a number out of its range; the message says what is accepted. If the checkpoint
        is of other settings; the message says which.
    ProblemError
        If the scenario, the partition or the model cannot be used, the checkpoint is damaged, or joules are limited
        and the scenario does not say what computing costs.
    SolveError
        If an allocation could not be certified.

    Notes
    -----
    Seconds come from the latency of the allocations, never from a clock on the wall while the run goes on. With
    the payload and the cycles of the scenario "feel-cpu" they are those of a network as large as the paper's,
    while accuracy is that of the small model trained here. Torch runs on one thread meanwhile, which is faster
    for small models and makes the result independent of the machine's load.

    Examples
    --------
    >>> result = train("feel-cpu", rounds=3, seed=1)
    >>> len(result.ledger), result.stopped
    (3, 'rounds')
    """
    if not isinstance(scenario, Scenario):
        scenario = Scenario.load(scenario)
    limits = Limits.of(rounds, seconds, joules, target_accuracy, epsilon)
    streams = Streams.of(whole("seed", seed, low=0))
    chosen = _scheme(scheme, scheme_options)
    samples = sources.load(data, streams.data)
    task = Task(
        data=samples,
        parts=spread(partition, samples.train_y, scenario.devices.count, streams.data),
        model=models.build(model, samples.sample_shape, samples.num_classes, streams.weights),
        training=streams.training,
    )
    if bits_per_parameter is not None:
        bits_per_parameter = real("bits_per_parameter", bits_per_parameter)
    if (times := _measured(compute, task)) is not None:
        scenario = chosen.timed(scenario, times)
    allocator = chosen.allocator(policy, task, bits_per_parameter)
    if link is None:
        link = chosen.link()
    elif isinstance(link, type) or not callable(getattr(link, "transmit", None)):
        raise OptionError(f"link: expected a link, as learning.TdmaLink(), got {shorten(link)}")
    config = {
        "scenario": scenario.to_dict(),
        "scheme": {"name": label(scheme), **chosen.settings()},
        "policy": label(policy),
        "link": {"name": label(link), **plain(link)},
        "data": samples.name,
        "partition": label(partition),
        "model": label(model),
        "parameters": task.num_parameters,
        "bits_per_parameter": bits_per_parameter,
        "rounds": limits.rounds,
        "seconds": limits.seconds,
        "joules": limits.joules,
        "target_accuracy": target_accuracy,
        "epsilon": epsilon,
        "seed": int(seed),
        "fingerprints": task.fingerprints(),
    }
    outside = {"scenario": scenario, "task": task, "model": task.model, "data": samples}
    kept = None if checkpoint is None else Checkpoint(checkpoint, every, config, streams, outside)
    with torch_threads(1), progress_bar(f"train {label(policy)}", limits.total, enabled=progress) as report:
        ledger, state, stopped = _run(scenario, chosen, allocator, link, task, streams, limits, report, kept)
    return TrainingResult(ledger, state, stopped, config)


def _run(
    scenario: Scenario,
    scheme: Scheme,
    allocator: Allocator,
    link: Link,
    task: Task,
    streams: Streams,
    limits: Limits,
    report: Report,
    kept: Checkpoint | None,
) -> tuple[Ledger, State, str]:
    """Run rounds until a limit is reached."""
    devices = scenario.draw(streams.channel)
    state = scheme.start(task)
    ledger = Ledger(*scheme.evaluate(state))
    if kept is not None:
        devices, state, ledger = kept.restored(devices, state, ledger)
    while (stopped := limits.reached(ledger)) is None:
        devices = devices.fade(streams.channel)
        plan = allocator(devices, streams.policy)
        ready = scheme.prepare(state, plan)
        updates = scheme.local(ready, plan)
        sent = link.transmit(scheme.payload(ready, plan), plan, streams.link)
        if (stopped := limits.exceeded(ledger, sent)) is not None:
            return ledger, state, stopped
        before, state = state, scheme.aggregate(ready, updates, sent)
        accuracy, loss = scheme.evaluate(state)
        ledger.record(
            plan,
            sent,
            train_loss=state.train_loss,
            test_accuracy=accuracy,
            test_loss=loss,
            change=scheme.change(before, state),
            figures={**plan.figures(), **scheme.figures(state)},
        )
        if kept is not None:
            kept.keep(devices, state, ledger)
        report(limits.done(ledger), f"accuracy {accuracy:.3f}, {ledger.seconds:.4g} s simulated")
    return ledger, state, stopped


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run torch on so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measured(compute: str | StepTimes, task: Task) -> StepTimes | None:
    """Time the model on this machine, if that is what is wanted."""
    from learning.local.timing import StepTimes, time_training

    if isinstance(compute, StepTimes):
        return compute
    if not choose("compute", compute, {"modelled": False, "measured": True}, "StepTimes"):
        return None
    return time_training(task.model, task.data.sample_shape, task.data.num_classes, progress=False)


def _scheme(scheme: str | Scheme, options: dict[str, Any]) -> Scheme:
    """Make the scheme of a name with its options, or return a ready one."""
    if isinstance(scheme, Scheme):
        for name in options:
            raise OptionError(f"train: {name}: set it on the scheme that is given as an object")
        return scheme
    made = choose("scheme", scheme, SCHEMES, "a Scheme")
    known = inspect.signature(made).parameters
    for name in options:
        if name not in known:
            raise OptionError(f"train: unknown option {name}, scheme {scheme!r} takes: {', '.join(known)}")
    return made(**options)
