"""Train: settings go in, a run comes out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from learning.data import sources
from learning.data.partition import Partition
from learning.judges import Judge
from learning.local.globals import fresh_torch, torch_threads
from learning.local.timing import StepTimes
from learning.loop import Callback, begin, several
from learning.prepare.base import Preparation
from learning.radio.base import Radio
from learning.runs.checkpoint import EVERY
from learning.runs.result import TrainingResult
from learning.schemes.base import Scheme
from learning.setup import RUNNING, SETTINGS, Setup
from learning.streams import Streams
from radioopt.base.solution import Solution
from radioopt.scenario import ChannelTrace, Devices, Scenario


def train(
    scenario: Scenario | str | os.PathLike[str],
    *,
    scheme: str | Scheme[Any] = "feel",
    radio: str | Radio | None = None,
    policy: Any = "optimal",
    allocator: Callable[[Devices, np.random.Generator], Solution] | None = None,
    judge: str | Judge | None = None,
    data: sources.Source = "digits",
    public: float = 0,
    partition: str | Partition | Mapping[int, Any] | Sequence[Any] = "iid",
    before: Sequence[Preparation | str] | Preparation | str = (),
    model: Any = None,
    rounds: int | None = None,
    seconds: float | None = None,
    joules: float | None = None,
    target_accuracy: float | None = None,
    target: Mapping[str, float] | None = None,
    epsilon: float | None = None,
    seed: int = 0,
    bits_per_parameter: float | str | None = None,
    compute: str | StepTimes = "modelled",
    trace: ChannelTrace | str | os.PathLike[str] | None = None,
    device: str | torch.device = "cpu",
    devices_at_once: int | None = None,
    participants: Any = None,
    selection: Any = "uniform",
    checkpoint: str | os.PathLike[str] | None = None,
    every: int = EVERY,
    callbacks: Sequence[Callback | str] | Callback | str = (),
    progress: bool = True,
    **options: Any,
) -> TrainingResult:
    """Train a model over a simulated wireless network, each round with a fresh allocation.

    Parameters
    ----------
    scenario : Scenario or path-like
        The cell and its devices; a file, or the name of a scenario that comes with radioopt ("feel-cpu").
    scheme : str or Scheme, default "feel"
        A key of ``SCHEMES`` or an object.
    radio : str or Radio, optional
        A key of ``RADIOS`` or an object, as "tdma", "fading", "fdma" or "silent"; by default the scheme's own, or if
        that is the usual "tdma" and the scenario has no table ``[feel]``, the one that it has a table for. A radio
        plans the rounds and says who arrived, after how many seconds and joules; :class:`~learning.Tdma` can have a
        deadline, stragglers and losses.
    policy : str or callable, default "optimal"
        How the radio plans the rounds. For "feel" one of "optimal", "online", "full", "random" and "entire",
        or a function ``(problem, rng) -> batch sizes``, or batch sizes and slots, as ``problem.judge(...)``; see
        :class:`~learning.radio.tdma.BatchPlanner`.
    allocator : callable, optional
        Instead of a policy: a function ``(devices, rng) -> Solution`` of the devices with this round's channel and the
        samples they hold, as ``lambda devices, rng: devices.problem("feel").judge(...)``. What
        its solution decides is judged for what this scheme really sends and computes, and spent: slots of "tdma" for
        all its schemes (batch sizes for "feel" alone), or bands, slots and samples of "fading".
    judge : str or Judge, optional
        Whose models are evaluated: a key of ``JUDGES`` or an object: "global", "own", "average" or "reference"; by
        default the scheme's own.
    data : str, Dataset, torch.utils.data.Dataset, pair of them, or callable, default "digits"
        "digits" (8 x 8 handwritten digits, split by the seed), "fashion-mnist", ``"fashion-mnist@6000+1000"`` (so many
        samples only), "mnist:FOLDER", "cifar10:FOLDER"; arrays, or data of torch; see
        :func:`learning.data.sources.load`.
    public : int or float, default 0
        Training samples that are set aside for the server, with the shares of all classes: how many, or what share of
        them. No device has them unless a preparation gives them away.
    partition : str, callable, or mapping, default "iid"
        "iid", "shards", "dirichlet", "balanced", "rare-labels", "few-labels", with numbers after a colon if wanted
        ("dirichlet:0.3"); see :func:`learning.data.partition.partition`.
    before : Preparation or str, or sequence of them, default ()
        What happens to the data before the first round, one after the other; see :class:`~learning.Preparation`. What
        it takes is row 0 of the table of rounds.
    model : str, torch.nn.Module, callable, or a list of them, optional
        By default "mlp", or a family of students for schemes that have one. "softmax", "mlp", "cnn", or another key of
        ``MODELS``, with a size after a colon if wanted ("mlp:200"); a function
        ``(sample_shape, num_classes) -> Module``; or a module that brings its initial weights. A list has one for each
        device, and several names with commas between are dealt out in turn ("softmax,mlp,cnn"), for schemes that send
        no weights. For schemes whose allocation chooses, as "kd", it is a network for each entry of the catalogue.
    rounds : int, optional
        Largest number of rounds >= 1; 200 if neither this nor `seconds` nor `joules` is given.
    seconds : float, optional
        Simulated time > 0 [s]; a round that would end later is not done.
    joules : float, optional
        Energy of all devices > 0 [J]; a round that would exceed it is not done.
    target_accuracy : float, optional
        Stop after the first round with this accuracy on the test samples, in (0, 1].
    target : mapping of str to float, optional
        Stop after the first round in which every one of these columns of the table of rounds is as good or better, as
        ``{"private_accuracy": 0.9}`` or ``{"test_loss": 0.3}``.
    epsilon : float, optional
        Stop after the first round over which the scheme's :meth:`~learning.Scheme.change`, by default the
        relative change of the global weights, was below this number > 0. A round in which nothing arrived says
        nothing about that.
    seed : int, default 0
        Seed >= 0 of everything random. Runs with the same seed and different policies are paired: same data
        split, partition, placement, channels, initial weights, and order of samples within a round.
    bits_per_parameter : float or "dtype", optional
        Size of a number that the scheme sends, > 0 [bit], or that of the model's own numbers: its payload is then that
        of the model trained here. By default the payload of the scenario stands, which may model a larger network.
    compute : {"modelled", "measured"} or StepTimes, default "modelled"
        Where compute times come from: the scenario; or this machine, by timing the model before the first round
        (:func:`learning.time_training`), or from such a measurement. The times are put into the scenario, for all
        devices alike, and with it into the settings, so that a run can be repeated elsewhere.
    trace : ChannelTrace or path-like, optional
        Rates or gains of the devices over time instead of those that the scenario draws: a file as of
        :meth:`radioopt.ChannelTrace.from_csv`, or what was read of one. The run begins at the first instant, and each
        round has the rates or gains of its start. Where the trace ends and says nothing of what is beyond, the run
        ends.
    device : str or torch.device, default "cpu"
        Where tensors are: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.
    devices_at_once : int, optional
        Devices >= 1 that train together. By default as many as fit the cache of a core; it changes speed and memory
        and, but for rounding, nothing else.
    participants : int, float or callable, optional
        Who takes part in a round: so many devices, or this share of them, at least one; or a function
        ``(candidates, rng)`` of :class:`~learning.radio.sampling.Candidates` that returns their numbers. The
        allocation is solved for those who take part; the others spend and train nothing, and get the server's last
        answer when they are chosen next. By default all devices.
    selection : str or callable, default "uniform"
        Who is chosen of them: a key of ``SELECTIONS``, "uniform", "channel" (the best uplinks of the round), "data"
        (with probabilities as their samples) or "oort" (largest utility of loss and time); or such a function.
    checkpoint : path-like, optional
        A file that keeps the run, written whole while it goes on. If it exists, the run goes on from there and
        gives every number, bit for bit, that it would have given unbroken; see
        :class:`~learning.runs.checkpoint.Checkpoint`. It stays when the run is done, and a run that is asked for more
        rounds, seconds, joules or a higher target goes on from it.
    every : int, default 10
        Rounds >= 1 from one checkpoint to the next.
    callbacks : callable or str, or sequence of them, default ()
        Called after every round as ``callback(round, entry, ledger)``; a text that one returns ends the run and is its
        reason. A name is that of a logger: "tensorboard:FOLDER", "mlflow:FOLDER", "print".
    progress : bool, default True
        Show a bar, on a terminal, if the run takes longer than a second.
    **options
        Options of scheme, radio, judge, and of the preparations that a scheme needs, that are given by name:
        ``learning_rate=0.2`` of :class:`~learning.FedSgd`, ``deadline_s=20.0`` of :class:`~learning.Tdma`,
        ``judge_every=5`` of :class:`~learning.Judge`.

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
    for small models and makes the result independent of the machine's load. Nor does it depend on what is set in
    torch: default number type and device, ``no_grad``, ``inference_mode`` and ``autocast`` are as in a new process
    meanwhile, and left as they were. Several runs may go on in threads, each with the numbers it has alone.

    Examples
    --------
    >>> result = train("feel-cpu", rounds=3, seed=1)
    >>> len(result.ledger), result.stopped
    (3, 'rounds')
    """
    setup = Setup(
        scenario=scenario,
        scheme=scheme,
        radio=radio,
        policy=policy,
        allocator=allocator,
        judge=judge,
        data=data,
        public=public,
        partition=partition,
        before=before,
        model=model,
        rounds=rounds,
        seconds=seconds,
        joules=joules,
        target_accuracy=target_accuracy,
        target=target,
        epsilon=epsilon,
        seed=seed,
        bits_per_parameter=bits_per_parameter,
        compute=compute,
        trace=trace,
        device=device,
        devices_at_once=devices_at_once,
        participants=participants,
        selection=selection,
        options=options,
    )
    several(callbacks)
    with torch_threads(1), fresh_torch():
        return begin(setup.plans(), callbacks, checkpoint=checkpoint, every=every, progress=progress)


def refuse_mistakes(given: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what :func:`train` would refuse, without training: the first mistake in any of several sets of options.

    Parameters
    ----------
    given : sequence of mapping of str to object
        Arguments of :func:`train`, which have data and seed in common.

    Raises
    ------
    OptionError, ProblemError
        As :func:`train`.
    """
    with torch_threads(1), fresh_torch():
        data = sources.load(given[0].get("data", "digits"), Streams(given[0]["seed"]).at("data"))
        for arguments in given:
            known = {name: value for name, value in arguments.items() if name in SETTINGS}
            options = {name: arguments[name] for name in arguments if name not in (*SETTINGS, *RUNNING)}
            Setup(**known | {"data": data}, options=options).plans(timed=False)
