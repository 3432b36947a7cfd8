"""What a run is told: checked, and made into all that it needs."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from learning.catalog import JUDGES, PREPARATIONS, RADIOS, SCHEMES
from learning.data import sources
from learning.data.dataset import public_rows
from learning.data.partition import Partition
from learning.data.partition import partition as spread
from learning.judges import Judge
from learning.local.timing import StepTimes, time_training
from learning.loop import Plans
from learning.messages import Wire
from learning.models import build as models
from learning.options import (
    ALIASES,
    belongs,
    choose,
    described,
    keywords,
    label,
    real,
    shipped_with,
    suggestion,
    whole,
)
from learning.prepare.base import Preparation
from learning.radio.base import Allocation, Planner, Radio, Work
from learning.radio.sampling import Places, Sampling, only
from learning.runs.limits import Limits
from learning.schemes.base import Scheme
from learning.streams import Streams
from learning.task import Task
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten
from radioopt.scenario import ChannelTrace, Scenario
from radioopt.scenario.trace import read_trace


@dataclass(frozen=True, eq=False, kw_only=True)
class Setup:
    """The arguments of :func:`learning.train`, which explains them.

    Parameters
    ----------
    options : mapping of str to object
        Options of scheme, radio and judge, each by its own name.
    **others
        As for :func:`learning.train`.
    """

    scenario: Scenario | str | os.PathLike[str]
    scheme: str | Scheme[Any] = "feel"
    radio: str | Radio | None = None
    policy: Any = "optimal"
    allocator: Any = None
    judge: str | Judge | None = None
    data: sources.Source = "digits"
    public: float = 0
    partition: str | Partition | Mapping[int, Any] | Sequence[Any] = "iid"
    before: Sequence[Preparation | str] | Preparation | str = ()
    model: Any = None
    rounds: int | None = None
    seconds: float | None = None
    joules: float | None = None
    target_accuracy: float | None = None
    target: Mapping[str, float] | None = None
    epsilon: float | None = None
    seed: int = 0
    bits_per_parameter: float | str | None = None
    compute: str | StepTimes = "modelled"
    trace: Any = None
    device: str | torch.device = "cpu"
    devices_at_once: int | None = None
    participants: Any = None
    selection: Any = "uniform"
    options: Mapping[str, Any] = field(default_factory=dict)

    def plans(self, *, timed: bool = True) -> Plans:
        """Make all that the run needs.

        Parameters
        ----------
        timed : bool, default True
            Whether the model is timed, if compute times are to be measured.

        Returns
        -------
        Plans
            Ready for :func:`learning.loop.run`.

        Raises
        ------
        OptionError, ProblemError
            As :func:`learning.train`.
        """
        scenario = self.scenario if isinstance(self.scenario, Scenario) else Scenario.load(self.scenario)
        limits = Limits.of(
            self.rounds, self.seconds, self.joules, self.target_accuracy, self.target, self.epsilon
        )
        streams = Streams(whole("seed", self.seed, low=0, most=2**128 - 1))
        before = self._before()
        scheme, radio, judge, needed = self._parts(before, scenario)
        before = (*before, *needed)
        for step in before:
            step.refuse(scheme)
        at_once = None if self.devices_at_once is None else whole("devices_at_once", self.devices_at_once)
        device = _device(self.device)
        data = sources.load(self.data, streams.at("data"))
        public = self._public(data.classes(), streams, before)
        private = np.setdiff1d(np.arange(len(data.train_y)), public)
        parts = spread(
            self.partition, data.classes()[private], scenario.devices.count, streams.at("partition")
        )
        model = scheme.model if self.model is None else self.model
        chosen = _several(model, scheme.chooses, scenario.devices.count)
        task = Task(
            data=data,
            parts=tuple(private[part] for part in parts) if public.size else parts,
            models=_models(chosen, data, streams, None if scheme.chooses else scenario.devices.count),
            uses=() if scheme.chooses else _uses(chosen),
            streams=streams,
            server=public,
            device=device,
        )
        task = scheme.equip(task)
        _refuse_targets(limits, task, judge)
        bits = self.bits_per_parameter
        if isinstance(bits, str):
            bits = choose("bits_per_parameter", bits, {"dtype": 8 * _itemsize(task)}, "a number of bits")
        elif bits is not None:
            bits = real("bits_per_parameter", bits)
        timed = timed or self.compute != "measured"
        if timed and (times := self._times(task)) is not None:
            scenario = radio.timed(scenario, times, scheme.work(task))

        policy, sampling = self._policy(), self._sampling(scheme, radio, task)

        _refuse_links(scheme.wire(task), radio)

        def planner(prepared: Task, some: Places | None) -> Planner:
            work = replace(scheme.work(prepared), own=task.sizes)
            work = work if some is None else only(work, some)
            return radio.planner(policy, work, scheme.wire(prepared), bits)

        if timed:
            planner(task, None)  # what cannot be planned is refused before anything is prepared or trained
        given = self.radio or default_radio(scheme, scenario)
        _refuse_table(scenario, radio, given, scheme, task)
        trace = self._trace(scenario, radio, scheme.wire(task), streams)
        config = {
            "scenario": scenario.to_dict(),
            "scheme": _told(self.scheme, scheme),
            "radio": _told(given, radio),
            "policy": label(self.policy if self.allocator is None else self.allocator),
            "judge": _told(self.judge or scheme.judge, judge),
            "data": data.name,
            "public": int(public.size),
            "partition": label(self.partition),
            "before": [_told(step, step) for step in before],
            "model": described(model) if isinstance(model, (list, tuple)) else label(model),
            "parameters": {name: _parameters(task, name) for name in task.models}
            if len(task.models) > 1
            else task.num_parameters,
            "bits_per_parameter": bits,
            "rounds": limits.rounds,
            "seconds": limits.seconds,
            "joules": limits.joules,
            "targets": dict(limits.targets),
            "epsilon": self.epsilon,
            "seed": int(self.seed),
            "trace": None if trace is None else trace.settings(),
            "device": str(device),
            "fingerprints": task.fingerprints(),
        }
        if sampling is not None:
            config |= sampling.settings()
        if data.class_names is not None:
            config["class_names"] = list(data.class_names)
        return Plans(
            scenario,
            task,
            before,
            scheme,
            radio,
            judge,
            planner,
            limits,
            streams,
            config,
            at_once,
            trace,
            sampling,
        )

    def _sampling(self, scheme: Scheme[Any], radio: Radio, task: Task) -> Sampling | None:
        """Return who takes part in a round, or refuse where all must."""
        if self.participants is None:
            if self.selection != "uniform":
                raise OptionError("selection: belongs to participants: say how many take part")
            return None
        sampling = Sampling(self.participants, self.selection)
        sampling.count(len(task.parts))
        if radio.needs_all:
            raise OptionError(
                f"participants: {type(radio).__name__} plans for all devices together: leave participants out"
            )
        work = scheme.work(task)
        if work.steps is not None and not work.samples.any():
            raise OptionError("participants: no device trains in this scheme: leave participants out")
        return sampling

    def _policy(self) -> Any:
        """Return the policy, or the function that allots instead."""
        if self.allocator is None:
            return self.policy
        if not callable(self.allocator):
            raise OptionError(
                f"allocator: expected a function (devices, rng) -> Solution, got {shorten(self.allocator)}"
            )
        if self.policy != "optimal":
            raise OptionError("policy and allocator: both say what a round gets: give one")
        return Allocation(self.allocator)

    def _parts(
        self, before: Sequence[Preparation], scenario: Scenario
    ) -> tuple[Scheme[Any], Radio, Judge, tuple[Preparation, ...]]:
        """Make scheme, radio, judge, and the preparations that the scheme needs, each with its own of the options."""
        kinds: list[Any] = []
        scheme = (
            self.scheme
            if isinstance(self.scheme, Scheme)
            else choose("scheme", self.scheme, SCHEMES, "a Scheme")
        )
        kinds.append(scheme)
        for option, given, table, base, alternative in (
            ("radio", self.radio or default_radio(scheme, scenario), RADIOS, Radio, "a Radio"),
            ("judge", self.judge or scheme.judge, JUDGES, Judge, "a Judge"),
        ):
            kinds.append(given if isinstance(given, base) else choose(option, given, table, alternative))
        needed = [PREPARATIONS[name] for name in scheme.needs]
        kinds += [kind for kind in needed if not any(isinstance(given, kind) for given in before)]
        left = dict(self.options)
        made: list[Any] = []
        for kind in kinds:
            if not isinstance(kind, type):
                made.append(kind)
                continue
            known = inspect.signature(kind).parameters
            own = {name: left.pop(name) for name in list(left) if name in known}
            if issubclass(kind, Preparation) and "policy" in known:
                own["policy"] = self.policy
            made.append(partial(kind, **own))
        if left:
            self._refuse(next(iter(left)), kinds)
        scheme, radio, judge, *more = (part() if isinstance(part, partial) else part for part in made)
        return scheme, radio, judge, tuple(more)

    def _refuse(self, name: str, kinds: Sequence[Any]) -> None:
        """Refuse an option that nobody takes, with what is taken."""
        for kind in kinds:
            if not isinstance(kind, type) and name in inspect.signature(type(kind)).parameters:
                raise OptionError(f"train: {name}: set it on the {_role(kind)} that is given as an object")
        takes = {kind: list(inspect.signature(kind).parameters) for kind in kinds if isinstance(kind, type)}
        everything = [*SETTINGS, *RUNNING, *(taken for names in takes.values() for taken in names)]
        meant = ALIASES.get(name)
        where = belongs(meant or name)
        if meant is None:
            hint = f", {where};" if where else suggestion(name, everything)
        elif meant in everything or not where:
            hint = f"; did you mean {meant}?"
        else:
            hint = f"; {meant} is {where};"
        told = "; ".join(
            f"{_role(kind)} {label(kind)!r} takes: {', '.join(own)}" for kind, own in takes.items() if own
        )
        raise OptionError(f"train: unknown option {name}{hint or ','} {told}")

    def _before(self) -> tuple[Preparation, ...]:
        before = [self.before] if isinstance(self.before, Preparation | str) else self.before
        if not isinstance(before, Sequence):
            raise OptionError(f"before: expected preparations, got {shorten(before)}")
        return tuple(_preparation(step) for step in before)

    def _public(self, labels: Any, streams: Streams, before: Sequence[Preparation]) -> Any:
        """Choose the samples that are set aside for the server: as many as asked for, or as preparations need."""
        count = self.public or max((step.public for step in before), default=0)
        if not count:
            return np.empty(0, np.int64)
        return public_rows(labels, count, streams.at("public"))

    def _trace(self, scenario: Scenario, radio: Radio, wire: Wire, streams: Streams) -> ChannelTrace | None:
        """Read the trace, and refuse one that is of other devices or would change nothing."""
        if self.trace is None:
            return None
        trace = read_trace(self.trace)
        if wire.numbers == (0, 0) and not self.before:
            raise OptionError("trace: nothing is sent in this scheme: leave trace out")
        if radio.table:
            trace.refuse_idle(scenario.draw(streams.at("channel")), radio.table)
        return trace

    def _times(self, task: Task) -> StepTimes | None:
        """Time the model on this machine, if that is what is wanted."""
        if isinstance(self.compute, StepTimes):
            return self.compute
        if not choose("compute", self.compute, {"modelled": False, "measured": True}, "StepTimes"):
            return None
        return time_training(
            task.model,
            task.data.sample_shape,
            task.data.num_outputs,
            device=task.device.type,
            progress=False,
        )


#: arguments of :func:`learning.train` that say what is done, and those that say how it is kept and shown
SETTINGS = tuple(item.name for item in fields(Setup) if item.name != "options")
RUNNING = ("checkpoint", "every", "callbacks", "progress")


def _refuse_targets(limits: Limits, task: Task, judge: Judge) -> None:
    """Refuse targets that no round could tell of, before anything is trained."""
    if task.data.regression and "test_accuracy" in limits.targets:
        raise OptionError(
            "target_accuracy: the data are a regression, which has none: give target={'test_r2': 0.9}"
        )
    private = next((name for name in limits.targets if name in ("private_accuracy", "private_r2")), None)
    if private is not None and not judge.private:
        raise OptionError(f"target: {private} is measured with private=True only, --option private=true")


def default_radio(scheme: Scheme[Any] | type[Scheme[Any]], scenario: Scenario) -> str:
    """Name the radio of a run that names none: the scheme's own.

    A scheme that leaves it open takes the usual one, or where the scenario has no table for that, the one that plans
    with a table that it has.
    """
    if scheme.radio != Scheme.radio or RADIOS[scheme.radio].table in scenario.problems:
        return scheme.radio
    planned = [name for name in RADIOS if RADIOS[name].table in scenario.problems]
    return planned[0] if len(planned) == 1 else scheme.radio


def _refuse_table(scenario: Scenario, radio: Radio, given: Any, scheme: Scheme[Any], task: Task) -> None:
    """Refuse a scenario without the table that the radio plans with; say which radio and scheme it is one for."""
    if radio.links and not any(table in scenario.problems for table in radio.links):
        some = " or ".join(f"[{table}]" for table in radio.links)
        raise ProblemError(
            f"radio {label(given)!r} sends over links between devices, and scenario {scenario.name!r} has no table "
            f"{some} that says how they are: add one"
        )
    if not radio.table or radio.table in scenario.problems:
        return
    work, wire = scheme.work(task), scheme.wire(task)
    others = [name for name in RADIOS if name != "silent" and RADIOS[name].table in scenario.problems]
    if wire.numbers == (0, 0) or scheme.needs:  # nothing else would do
        others, fit = [], []
    else:
        fit = [name for name in others if _plans(RADIOS[name](), work, wire)]
    other = f", or choose radio {' or '.join(fit)}" if fit else ""
    if others and not fit:
        other = f", or choose a scheme with local steps, as fedavg, and radio {' or '.join(others)}"
    raise ProblemError(
        f"radio {label(given)!r} plans with a table [{radio.table}], and scenario {scenario.name!r} has none: "
        f"add it{other}{shipped_with(scenario, radio.table)}"
    )


def _refuse_links(wire: Wire, radio: Radio) -> None:
    """Refuse a radio without links between devices for a scheme that sends over them, and the other way round."""
    name, some = label(radio), " or ".join(name for name in RADIOS if RADIOS[name].links)
    if wire.across and not radio.links:
        raise OptionError(
            f"radio {name}: has no links between devices, which this scheme sends over: take {some}"
        )
    if radio.links and not wire.across:
        raise OptionError(
            f"radio {name}: is for schemes whose devices send to each other, and in this one they do not: take tdma"
        )


def _plans(radio: Radio, work: Work, wire: Wire) -> bool:
    """Whether a radio can plan this work at all."""
    try:
        radio.planner("optimal", work, wire, None)
    except (OptionError, ProblemError):
        return False
    return True


def _preparation(given: Any) -> Preparation:
    """Make a preparation of its name and options, "share-public:share=0.5", or take one that is made."""
    if isinstance(given, Preparation):
        return given
    name, _, text = given.partition(":") if isinstance(given, str) else (given, "", "")
    kind = choose("preparation", name, PREPARATIONS, "a learning.Preparation")
    made: Preparation = kind(**keywords(f"before: {name}", text, kind))
    return made


def _role(kind: Any) -> str:
    made = kind if isinstance(kind, type) else type(kind)
    return next(
        role
        for role, base in (
            ("scheme", Scheme),
            ("radio", Radio),
            ("judge", Judge),
            ("preparation", Preparation),
        )
        if issubclass(made, base)
    )


def _told(given: Any, made: Scheme[Any] | Radio | Judge | Preparation) -> dict[str, Any]:
    """Write down a part of a run for the manifest: its name and its options."""
    return {"name": label(given), **{name: described(value) for name, value in made.settings().items()}}


def _several(model: Any, chooses: bool, count: int) -> Any:
    """Return a list of networks: to choose from, or dealt out to the devices in turn; a single one as it is."""
    if isinstance(model, str) and "," in model:
        names = [name.strip() for name in model.split(",")]
        return names if chooses else [names[device % len(names)] for device in range(count)]
    return [model] if chooses and not isinstance(model, (list, tuple)) else model


def _models(model: Any, data: Any, streams: Streams, count: int | None) -> Any:
    """Build the one architecture, or one by one those that devices have or that are to choose from."""
    if isinstance(model, (str, nn.Module)) or callable(model):
        return models.build(model, data.sample_shape, data.num_outputs, streams.at("weights"))
    if not isinstance(model, Sequence) or (count is not None and len(model) != count):
        got = f"{len(model)}" if isinstance(model, Sequence) else shorten(model)
        raise OptionError(
            f"model: expected one for all, or a list of {count}, one for each device; got {got}"
        )
    return {
        name: models.build(one, data.sample_shape, data.num_outputs, streams.at("weights", 0, place))
        for place, (name, one) in enumerate({_kind(one): one for one in model}.items())
    }


def _kind(model: Any) -> str:
    return label(model) if not isinstance(model, nn.Module) else f"{label(model)}-{id(model)}"


def _uses(model: Any) -> tuple[str, ...]:
    if isinstance(model, (str, nn.Module)) or callable(model):
        return ()
    return tuple(_kind(one) for one in model)


def _parameters(task: Task, name: str) -> int:
    return sum(value.numel() for value in task.initial_parameters(name).values())


def _itemsize(task: Task) -> int:
    return max(
        value.element_size()
        for model in task.models.values()
        for value in model.parameters()
        if value.requires_grad
    )


def _device(given: str | torch.device) -> torch.device:
    """Find the device that tensors go to."""
    if torch.cuda._is_in_bad_fork():
        raise OptionError(
            "train: a process that is forked after a GPU was used can train nothing: start processes by spawn or "
            "forkserver, as multiprocessing.get_context('spawn').Pool() does"
        )
    if given == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(given)
    except (RuntimeError, TypeError):
        raise OptionError(f"device: expected cpu, cuda, cuda:1 or auto, got {shorten(given)}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"device {str(device)!r}: torch finds none on this machine: choose cpu")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise OptionError(f"device {str(device)!r}: torch finds {torch.cuda.device_count()} on this machine")
    return device
