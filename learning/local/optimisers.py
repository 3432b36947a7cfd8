"""Step rules: from a gradient to a step, element by element, so that many devices take theirs at once."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from learning.models.weights import Weights
from learning.options import choose, real, whole
from radioopt.base.errors import OptionError

#: factor of the learning rate in a round, 1 being the first
Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Rule(ABC):
    """How a step follows from a gradient.

    Parameters
    ----------
    weight_decay : float, default 0
        Pull towards zero >= 0, added to the gradient.
    """

    weight_decay: float = 0.0

    #: what is kept between steps, by name, each like the weights
    slots: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        _checked(self, "weight_decay")

    def kept(self) -> tuple[str, ...]:
        """Name what is kept between steps, for these settings."""
        return self.slots

    @abstractmethod
    def direction(
        self,
        value: Tensor,
        gradient: Tensor,
        slots: Mapping[str, Tensor],
        taken: Tensor,
        moves: Tensor | None,
    ) -> Tensor:
        """Return what the learning rate times is taken off the weights.

        Parameters
        ----------
        value, gradient : Tensor, shape (k, ...)
            Weights of some devices, and their gradients.
        slots : mapping of str to Tensor
            What is kept, changed in place.
        taken : Tensor, shape (k, 1, ...)
            Number of this step of each device, from 1 on.
        moves : Tensor of bool, shape (k, 1, ...), or None
            Who takes a step; the others keep their slots. None for all.
        """


def _into(slot: Tensor, fresh: Tensor, moves: Tensor | None) -> Tensor:
    """Change a slot in place, where a step is taken."""
    return slot.copy_(fresh if moves is None else torch.where(moves, fresh, slot))


@dataclass(frozen=True)
class Sgd(Rule):
    r"""Gradient descent, with momentum if wanted.

    .. math::
        v \leftarrow m v + g, \qquad \theta \leftarrow \theta - \eta v.

    Parameters
    ----------
    weight_decay : float, default 0
        Pull towards zero >= 0, added to the gradient.
    momentum : float, default 0
        :math:`m` in [0, 1).
    nesterov : bool, default False
        Whether the step is :math:`g + m v` instead; needs a momentum.

    Raises
    ------
    OptionError
        If a number is out of its range.

    References
    ----------
    As ``torch.optim.SGD``.
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _checked(self, "momentum", high=1.0)
        if not isinstance(self.nesterov, bool):
            raise OptionError(f"nesterov: expected true or false, got {self.nesterov!r}")
        if self.nesterov and not self.momentum:
            raise OptionError("nesterov: needs a momentum > 0: give one, as momentum=0.9")

    def kept(self) -> tuple[str, ...]:
        """Name what is kept between steps: the velocity, if there is momentum."""
        return ("velocity",) if self.momentum else ()

    def direction(
        self,
        value: Tensor,
        gradient: Tensor,
        slots: Mapping[str, Tensor],
        taken: Tensor,
        moves: Tensor | None,
    ) -> Tensor:
        """Return the velocity, or the gradient without one; see :meth:`Rule.direction`."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        if not self.momentum:
            return gradient
        velocity = _into(slots["velocity"], self.momentum * slots["velocity"] + gradient, moves)
        return gradient + self.momentum * velocity if self.nesterov else velocity


@dataclass(frozen=True)
class Adam(Rule):
    r"""Adam: the mean gradient over the root of its mean square, both over the past and corrected for their start.

    Parameters
    ----------
    weight_decay : float, default 0
        Pull towards zero >= 0, added to the gradient.
    beta1, beta2 : float, default 0.9 and 0.999
        Shares of the past in [0, 1).
    epsilon : float, default 1e-8
        Added to the root, > 0.

    Raises
    ------
    OptionError
        If a number is out of its range.

    References
    ----------
    D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", algorithm 1; as ``torch.optim.Adam``.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    slots: ClassVar[tuple[str, ...]] = ("mean", "square")

    def __post_init__(self) -> None:
        super().__post_init__()
        _checked(self, "beta1", high=1.0)
        _checked(self, "beta2", high=1.0)
        object.__setattr__(self, "epsilon", real("epsilon", self.epsilon))

    def direction(
        self,
        value: Tensor,
        gradient: Tensor,
        slots: Mapping[str, Tensor],
        taken: Tensor,
        moves: Tensor | None,
    ) -> Tensor:
        """Return the scaled mean; see :meth:`Rule.direction`."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        mean = _into(slots["mean"], self.beta1 * slots["mean"] + (1 - self.beta1) * gradient, moves)
        square = _into(slots["square"], self.beta2 * slots["square"] + (1 - self.beta2) * gradient**2, moves)
        unbiased = mean / (1 - self.beta1**taken).to(mean.dtype)
        return unbiased / ((square / (1 - self.beta2**taken).to(mean.dtype)).sqrt() + self.epsilon)


def _checked(rule: Rule, name: str, high: float = math.inf) -> None:
    given = getattr(rule, name)
    object.__setattr__(
        rule, name, 0.0 if given == 0 and not isinstance(given, bool) else real(name, given, high=high)
    )


#: descent without anything added
PLAIN = Sgd()
RULES: dict[str, type[Rule]] = {"sgd": Sgd, "adam": Adam}


def step_rule(option: str, given: str | Rule) -> Rule:
    """Make a rule of its name and settings.

    Parameters
    ----------
    option : str
        What it is for, for messages.
    given : str or Rule
        "sgd" or "adam", with settings after a colon if wanted: "sgd:momentum=0.9,nesterov=true"; or a rule.

    Returns
    -------
    Rule
        The rule.

    Raises
    ------
    OptionError
        If there is no such rule or setting.

    Examples
    --------
    >>> step_rule("optimiser", "sgd:momentum=0.9,nesterov=true")
    Sgd(weight_decay=0.0, momentum=0.9, nesterov=True)
    """
    if isinstance(given, Rule):
        return given
    name, _, text = given.partition(":") if isinstance(given, str) else (given, "", "")
    made = choose(option, name, RULES, "a learning.Rule")
    known = [field.name for field in fields(made)]
    settings: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = (item.strip() for item in part.partition("="))
        if key not in known or not equals:
            raise OptionError(
                f"{option}: {name} takes {', '.join(known)}, each as NAME=VALUE with commas between; got {part!r}"
            )
        settings[key] = {"true": True, "false": False}.get(value.lower(), value)
        if isinstance(settings[key], str):
            try:
                settings[key] = float(value)
            except ValueError:
                raise OptionError(f"{option}: {key}: expected a number, got {value!r}") from None
    return made(**settings)


def schedule(given: str | Schedule) -> Schedule:
    """Make a schedule of the learning rate over the rounds.

    Parameters
    ----------
    given : str or callable
        "constant"; "exponential:G", the rate times G in each round; "step:N,G", times G every N rounds;
        "milestones:G,N1,N2,...", times G after round N1, again after N2, and so on; "cosine:N", down to zero over N
        rounds along a cosine; "inverse-root", over the root of the round; or a function from the round, 1 being the
        first, to a factor >= 0.

    Returns
    -------
    callable
        From the round to a factor.

    Raises
    ------
    OptionError
        If there is no such schedule, or its numbers are not accepted.

    Examples
    --------
    >>> [schedule("step:2,0.5")(round) for round in (1, 2, 3, 5)]
    [1.0, 1.0, 0.5, 0.25]
    """
    if callable(given):
        return given
    name, _, text = given.partition(":") if isinstance(given, str) else (given, "", "")
    takes = choose(
        "schedule",
        name,
        {
            "constant": "",
            "exponential": "G",
            "step": "N,G",
            "milestones": "G,N1,N2,...",
            "cosine": "N",
            "inverse-root": "",
        },
        "a function of the round",
    )
    try:
        numbers = [float(item) for item in text.split(",")] if text else []
    except ValueError:
        numbers = [math.nan]
    fits = len(numbers) > 1 if name == "milestones" else len(numbers) == len(takes.split(",")) * bool(takes)
    if not fits or any(math.isnan(number) for number in numbers):
        raise OptionError(f"schedule {given!r}: expected {name}{':' * bool(takes)}{takes}")
    if name == "constant":
        return lambda round: 1.0
    if name == "inverse-root":
        return lambda round: 1.0 / math.sqrt(round)
    if name == "exponential":
        gamma = real("schedule: G", numbers[0])
        return lambda round: _power(gamma, round - 1)
    if name == "milestones":
        drop = real("schedule: G", numbers[0])
        return lambda round: _power(drop, sum(round > milestone for milestone in numbers[1:]))
    over = whole("schedule: N", int(numbers[0]) if numbers[0].is_integer() else numbers[0])
    if name == "step":
        factor = real("schedule: G", numbers[1])
        return lambda round: _power(factor, (round - 1) // over)
    return lambda round: 0.5 * (1.0 + math.cos(math.pi * min(round - 1, over) / over))


def _power(base: float, exponent: int) -> float:
    try:
        return base**exponent
    except OverflowError:
        return math.inf


@dataclass(frozen=True, eq=False)
class ServerStep:
    """A step rule for the server, whose gradient is what the devices moved away from: FedOpt.

    Parameters
    ----------
    rule : Rule
        Momentum gives FedAvgM, Adam FedAdam, plain descent of rate 1 the mean itself.
    learning_rate : float
        > 0; 1 with plain descent takes the mean of the devices as it is.
    kept : mapping of str to mapping of str to Tensor
        Slots of the rule, by weight.
    taken : int
        Steps so far.

    References
    ----------
    S. Reddi et al., "Adaptive Federated Optimization", algorithm 2.
    """

    rule: Rule
    learning_rate: float
    kept: Mapping[str, Mapping[str, Tensor]]
    taken: int = 0

    def to(self, before: Weights, mean: Weights) -> tuple[dict[str, Tensor], ServerStep]:
        """Go from the weights of the last round towards the mean of the devices.

        Parameters
        ----------
        before, mean : mapping of str to Tensor
            Weights of one model. Whole numbers are taken from the mean.

        Returns
        -------
        weights : dict of str to Tensor
            After the step.
        step : ServerStep
            With the slots after it.
        """
        if self.plain:
            return dict(mean), self
        moved = {name: before[name] - value for name, value in mean.items() if value.is_floating_point()}
        after, step = self.along({name: before[name] for name in moved}, moved)
        return {**mean, **after}, step

    def along(self, before: Weights, gradient: Weights) -> tuple[dict[str, Tensor], ServerStep]:
        """Take a step along a gradient.

        Parameters
        ----------
        before, gradient : mapping of str to Tensor
            Weights of one model, and their gradient.

        Returns
        -------
        weights : dict of str to Tensor
            After the step.
        step : ServerStep
            With the slots after it.
        """
        if self.rule == PLAIN:  # the usual one, with nothing to keep
            return {name: before[name] - self.learning_rate * value for name, value in gradient.items()}, self
        after, kept = {}, {}
        for name, value in gradient.items():
            old = self.kept.get(name, {})
            slots = {
                slot: old[slot].clone() if slot in old else torch.zeros_like(value)[None]
                for slot in self.rule.kept()
            }
            number = torch.full(
                (1,) * (value.dim() + 1), self.taken + 1, dtype=torch.float64, device=value.device
            )
            move = self.rule.direction(before[name][None], value[None], slots, number, None)[0]
            after[name] = before[name] - self.learning_rate * move
            kept[name] = slots
        return after, replace(self, kept=kept, taken=self.taken + 1)

    @property
    def plain(self) -> bool:
        """Whether the step ends at the mean of the devices."""
        return self.learning_rate == 1.0 and self.rule == PLAIN
