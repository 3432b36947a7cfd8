"""Students of a teacher: every user trains a network of its own, on its own samples, and nothing is averaged."""

from __future__ import annotations

import copy
import numbers
import weakref
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import nn

from learning.crew import Order
from learning.local.batches import Batches, cycling, iterations
from learning.local.distilling import (
    DIRECTIONS,
    REDUCTIONS,
    Sloped,
    by_autograd,
    distilled,
    entropic,
    imitated,
)
from learning.local.optimisers import step_rule
from learning.local.stacked import train_students
from learning.messages import Message, Wire
from learning.models.build import build
from learning.models.noise import OwnNoise
from learning.models.students import Imitation, split, split_teacher
from learning.models.teacher import Teacher
from learning.models.weights import Rows
from learning.options import choose, real
from learning.radio.base import Work
from learning.schemes.fedavg import Individual, _moved, sample_numbers
from learning.task import TEACHER, Cohort, Task
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.options import is_finite
from radioopt.base.quantity import shorten

#: rule of the local steps of the paper
RULE = "sgd:momentum=0.9,nesterov=true,weight_decay=0.00075"
#: a fifth of the rate after 45, 60, 75 and 90 % of 40 epochs, as the paper does it over 100
SCHEDULE = "milestones:0.2,18,24,30,36"

#: networks of simKD as they are trained, by those that are evaluated: the same weights in the same memory
_IMITATING: weakref.WeakKeyDictionary[nn.Module, nn.Module] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Stu(Individual):
    """Train a student of its own on every user, from the user's samples alone: the paper's STU.

    Parameters
    ----------
    learning_rate : float, default 0.05
        Of the local steps, > 0.
    batchsize : int, default 64
        Samples of a step >= 1, what a user holds at most. All steps of a user have the same.
    epochs : int, default 1
        Passes over a user's samples in a round >= 1, unless `iterations` are given.
    iterations : int, optional
        Steps in a round >= 1, each with a batch of its own.
    engine : {"auto", "stacked", "plain"}
        How users of one architecture are trained, see :func:`learning.local.stacked.train_students`.
    optimiser : str or Rule, default Nesterov's momentum of 0.9 and a weight decay of 7.5e-4
        Rule of the steps. What it keeps, as a momentum, goes on from round to round.
    schedule : str or callable, default "milestones:0.2,18,24,30,36"
        Factor of the rate by round; of the paper's 100 epochs it is "milestones:0.2,45,60,75,90".

    Raises
    ------
    OptionError
        If a number is out of its range, or there is no such engine, rule or schedule.

    Notes
    -----
    Which network a user trains is the allocation's choice: ``model`` lists one for each entry of the
    scenario's catalogue, and "choose-students" solves the problem before the first round. An epoch is a round. In
    place of `policy` "optimal" the name of an entry gives that network to all.

    References
    ----------
    X. Wang, N. Cheng, L. Ma, R. Sun, R. Chai, N. Lu, "Digital twin-assisted knowledge distillation framework for
    heterogeneous federated learning", Section IV.

    Examples
    --------
    >>> import learning
    >>> result = learning.train("dtkd", scheme="stu", rounds=1)
    >>> result.task.uses[0] in result.task.models, len(result.ledger)
    (True, 1)
    """

    learning_rate: float = 0.05
    batchsize: int = 64
    optimiser: Any = RULE
    schedule: Any = SCHEDULE

    radio: ClassVar[str] = "twins"
    judge: ClassVar[str] = "users"
    model: ClassVar[str] = "dense:8,dense:16,dense:32,dense:64"
    chooses: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("choose-students",)

    def wire(self, task: Task) -> Wire:
        """Return that each copy of a student gets the other's weights; the bits are those of the catalogue."""
        return Wire({"weights": max(_numbers(task, name) for name in students_of(task))}, {})

    def work(self, task: Task) -> Work:
        """Return the batch sizes of each user's steps, and which network each has."""
        names = students_of(task)
        return Work(
            task.sizes,
            tuple(self._steps(size) for size in task.sizes.tolist()),
            sample=sample_numbers(task),
            kinds=np.array([names.index(name) for name in task.uses]),
        )

    def _steps(self, held: int) -> Any:
        size = min(self.batchsize, held)
        if self.iterations is not None or not held:
            return super()._steps(held)
        return np.full(self.epochs * -(-held // size), size)

    def footprint(self, task: Task, architecture: str) -> int:
        """Count weights, gradients, momentum and the samples of a step; see :meth:`Scheme.footprint`."""
        return super().footprint(task, architecture) + _numbers(task, architecture)

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Train every user's student for an epoch, or as many as the plan gives it time for."""
        trained = train_students(
            self.module(cohort.model),
            cohort.task.samples[0],
            own,
            self._batches(cohort, order),
            learning_rate=self.rate(order.round),
            rule=step_rule("optimiser", self.optimiser),
            loss=self.loss(cohort.task),
            engine=self.engine,
            seeds=[int(rng.integers(2**62)) for rng in cohort.rngs("noise", order.round)],
        )
        names = [name for name in own if "/" not in name]
        after, before = ({name: rows[name] for name in names} for rows in (trained.own, own))
        sent = {name: value for name, value in after.items() if not name.startswith("teacher_")}
        return trained.own, Message(sent, {"loss": trained.loss, **_moved(after, before)})

    def _batches(self, cohort: Cohort, order: Order) -> Batches:
        """Draw the batches of a round: an epoch, or several where the plan has more samples."""
        rngs = cohort.rngs("training", order.round)
        if self.iterations is not None:
            return iterations(cohort.parts, self.batchsize, self.iterations, rngs)
        once = np.array([self._steps(size).sum() for size in cohort.sizes.tolist()])
        times = np.maximum(np.rint(order.batchsize / once), 1).astype(np.int64)
        return cycling(cohort.parts, self.batchsize, self.epochs * times, rngs)

    def module(self, model: nn.Module) -> nn.Module:
        """Return an architecture as it is trained: as it is, unless overridden."""
        return model

    def loss(self, task: Task) -> Sloped:
        """Return the loss of a sample by its row: that of the task's labels, unless overridden."""
        y, of = task.samples[1], task.loss
        if not task.data.regression:
            return entropic(y)
        return by_autograd(lambda outputs, rows: of(outputs, y[rows], rows))


@dataclass(frozen=True)
class Kd(Stu):
    r"""Distil a teacher's logits into every user's student: knowledge distillation.

    The loss of a sample is the cross-entropy with its label, and :math:`T^2` times the divergence of the student's
    softened output from the teacher's; see :func:`learning.kd_loss`.

    Parameters
    ----------
    **options
        See :class:`Stu`.
    teacher : str, torch.nn.Module or callable, default "dense-teacher"
        The teacher's network. What trains it, or takes it as it is, are options of "teach".
    temperature : float, default 4
        T > 0.
    direction : {"teacher-student", "student-teacher"}
        Of the divergence.
    soft, hard : float, default 1
        Weights >= 0 of divergence and cross-entropy, not both 0.

    Raises
    ------
    OptionError
        If a number is out of its range, or there is no such direction.

    References
    ----------
    X. Wang et al., "Digital twin-assisted knowledge distillation framework for heterogeneous federated learning",
    Section III-2.

    Examples
    --------
    >>> import learning
    >>> result = learning.train("dtkd", scheme="kd", rounds=1, teacher_rounds=5)
    >>> result.ledger.before.seconds > 0  # of the teacher's training
    True
    """

    teacher: Any = "dense-teacher"
    temperature: float = 4.0
    direction: str = "teacher-student"
    soft: float = 1.0
    hard: float = 1.0

    needs: ClassVar[tuple[str, ...]] = ("choose-students", "teach")

    def __post_init__(self) -> None:
        super().__post_init__()
        real("temperature", self.temperature)
        choose("direction", self.direction, DIRECTIONS)
        for name in ("soft", "hard"):
            given = getattr(self, name)
            number = isinstance(given, numbers.Real) and not isinstance(given, bool)
            if not (number and is_finite(given) and given >= 0):
                raise OptionError(f"{name}: expected a finite number >= 0, got {shorten(given)}")
        if not self.soft and not self.hard:
            raise OptionError("soft, hard: both are 0: there would be nothing to learn")

    def equip(self, task: Task) -> Task:
        """Add the teacher's network; see :meth:`Scheme.equip`."""
        return task.replace(models={**task.models, TEACHER: teacher_of(task, self.teacher)})

    def wire(self, task: Task) -> Wire:
        """Return that logits come down beside what :class:`Stu` sends."""
        return Wire(super().wire(task).up, {"outputs": int(task.sizes.max()) * task.data.num_outputs})

    def loss(self, task: Task) -> Sloped:
        """Return the loss of distillation, of each sample by its row."""
        return distilled(
            known(task).logits, task.samples[1], self.temperature, self.direction, self.soft, self.hard
        )


@dataclass(frozen=True)
class SimKd(Stu):
    """Let every user's student imitate the teacher's features, and take on its last layer: simKD.

    The loss is the squared distance of the projected features from the teacher's; no label enters, and neither
    teacher nor classifier is trained. The projector belongs to the student, and is kept.

    Parameters
    ----------
    **options
        See :class:`Stu`; the default rate is 0.5, as the mean over the features makes gradients small.
    teacher : str, torch.nn.Module or callable, default "dense-teacher"
        The teacher's network, see :class:`Kd`.
    projector : {"vector", "maps"}
        "vector": from pooled features to pooled features. "maps": from map to map, for networks of convolutions.
    reduction : {"mean", "sum"}
        Of the squared distances of a sample's features; the sum wants a rate as many times smaller as there are
        features.

    Raises
    ------
    OptionError
        If a number is out of its range, or there is no such projector or reduction.

    References
    ----------
    D. Chen et al., "Knowledge Distillation with the Reused Teacher Classifier"; X. Wang et al., "Digital twin-assisted
    knowledge distillation framework for heterogeneous federated learning", (26)-(27).

    Examples
    --------
    >>> import learning
    >>> result = learning.train("dtkd", scheme="simkd", rounds=1, teacher_rounds=5)
    >>> given = result.task.teacher.values["classifier.weight"]
    >>> bool((result.weights(device=0)["teacher_weight"] == given).all())
    True
    """

    learning_rate: float = 0.5
    teacher: Any = "dense-teacher"
    projector: str = "vector"
    reduction: str = "mean"

    needs: ClassVar[tuple[str, ...]] = ("choose-students", "teach")

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("projector", self.projector, {"vector": None, "maps": None})
        choose("reduction", self.reduction, REDUCTIONS)

    def equip(self, task: Task) -> Task:
        """Put a projector and the teacher's last layer into each network; see :meth:`Scheme.equip`."""
        teacher = teacher_of(task, self.teacher)
        apart = split_teacher(teacher, task.data.sample_shape)
        made: dict[str, nn.Module] = {}
        for place, (name, network) in enumerate(task.models.items()):
            with OwnNoise(int(task.streams.at("projector", 0, place).integers(2**63))):
                made[name] = Imitation(split(network), apart, task.data.sample_shape, self.projector)
        return task.replace(models={**made, TEACHER: teacher})

    def wire(self, task: Task) -> Wire:
        """Return that features come down beside what :class:`Stu` sends."""
        features = known_features(task)
        return Wire(super().wire(task).up, {"outputs": int(task.sizes.max()) * features})

    def join(self, cohort: Cohort) -> Rows:
        """Return the initial weights, with the last layer of the teacher; see :meth:`Scheme.join`."""
        rows = dict(super().join(cohort))
        values, last = known(cohort.task).values, last_layer(cohort.task.models[TEACHER])
        for name in ("weight", "bias"):
            kept = rows[f"teacher_{name}"]
            if f"{last}.{name}" in values:
                rows[f"teacher_{name}"] = values[f"{last}.{name}"].to(kept).expand_as(kept)
        return rows

    def module(self, model: nn.Module) -> nn.Module:
        """Return an architecture whose output is the projected features."""
        if model not in _IMITATING:
            _IMITATING[model] = copy.copy(model)
            _IMITATING[model].imitates = True  # type: ignore[assignment]  # a plain attribute, of the copy alone
        return _IMITATING[model]

    def loss(self, task: Task) -> Sloped:
        """Return the squared distance from the teacher's features, of each sample by its row."""
        return imitated(known(task).features, self.reduction)


def students_of(task: Task) -> list[str]:
    """Return the names of the networks that users may train, in the order of the catalogue."""
    return [name for name in task.models if name != TEACHER]


def teacher_of(task: Task, given: Any) -> nn.Module:
    """Build the teacher's network, or take one that is made."""
    rng = task.streams.at("teacher")
    try:
        return build(given, task.data.sample_shape, task.data.num_outputs, rng)
    except (OptionError, ProblemError) as error:
        raise type(error)(f"teacher: {str(error).removeprefix('model: ')}") from error.__cause__


def known(task: Task) -> Teacher:
    """Return what the teacher says, or refuse a task that has none."""
    if task.teacher is None:
        raise ProblemError(
            "teacher: nobody has taught yet: let the preparation teach come before the first round"
        )
    return task.teacher


def known_features(task: Task) -> int:
    """Count the features of the teacher that a sample has."""
    one = next(iter(task.models.values()))
    assert isinstance(one, Imitation)
    return one.teacher_weight.shape[1] * int(np.prod(one.size, dtype=np.int64))


def last_layer(teacher: nn.Module) -> str:
    """Return the name of the teacher's last layer among its weights."""
    last = split(teacher).classifier
    return next(name for name, layer in teacher.named_modules() if layer is last)


def _numbers(task: Task, name: str) -> int:
    """Count the values of a student that are sent: weights and averages, without the teacher's last layer."""
    values = task.initial_values(name)
    return sum(
        value.numel()
        for key, value in values.items()
        if value.is_floating_point() and not key.startswith("teacher_")
    )
