r"""Derivatives of an optimum by its optimality equations, forward and in reverse, with the active set held.

Every family has the same shape: a device has a few local unknowns w, its optimality equations; all devices share two
prices. A family states the equations linearised, as tables of coefficients by name,

.. math::
    M_k\,dw_k + R_k\,d\pi + Q_k\,d\theta = 0 \;\; \text{(each device)}, \qquad
    \textstyle\sum_k C_k\,dw_k + P\,d\pi + E\,d\theta = 0 \;\; \text{(joint)},

and what is elimination, and its transpose, is here: with :math:`W_k = -M_k^{-1} R_k` the small system of the prices is
:math:`J = P + \sum_k C_k W_k`. Forward, :math:`d\pi = -J^{-1} r`; in reverse, :math:`\alpha = -J^{-T} \bar\pi` with
:math:`\bar\pi = \sum_k W_k^T \bar w_k`, and each equation has the cotangent :math:`-M_k^{-T}(\bar w_k + C_k^T \alpha)`.
Both go over the same coefficients, so that they are transposes of each other up to rounding, and both cost a few passes
over the devices: no dense Jacobian, no unrolled solver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ArgumentError, ProblemError, suggestion
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, Axes, as_numbers

#: an equation or a definition: a coefficient by name; one of an instance has an axis of length one for the devices
Row = Mapping[str, Any]
#: relative distance, of a multiplier from zero or of a free value from a limit, that counts as a kink
KINK = 1e-6


@dataclass(frozen=True)
class Linearised:
    """The optimality equations of a batch of instances, linearised at their optima.

    Parameters
    ----------
    owner : str
        Whose derivatives these are, for messages.
    batch_shape : tuple of int
        Leading axes.
    devices : int
        Devices of an instance, K.
    fields : mapping of str to Axes
        What can be differentiated in, with its axes.
    parameters : mapping of str to (Axes, Row)
        What follows from fields, or from parameters before it.
    unknowns : sequence of str
        Two or three unknowns of a device.
    equations : sequence of Row
        As many equations of a device, each of which adds up to zero.
    prices : sequence of str
        Two unknowns that an instance's devices share.
    joint : sequence of Row
        Two equations of an instance; what belongs to devices is summed.
    results : mapping of str to (Axes, Row)
        What can be differentiated; rows of an instance sum what belongs to devices.
    answered : ndarray of bool, shape (...)
        Which instances have a proven optimum; derivatives of the others are zero.
    kinks : callable
        Says of every instance, shape (...), whether its active set is about to change.
    """

    owner: str
    batch_shape: tuple[int, ...]
    devices: int
    fields: Mapping[str, Axes]
    parameters: Mapping[str, tuple[Axes, Row]]
    unknowns: Sequence[str]
    equations: Sequence[Row]
    prices: Sequence[str]
    joint: Sequence[Row]
    results: Mapping[str, tuple[Axes, Row]]
    answered: Array
    kinks: Callable[[], Array]
    _axes: dict[str, Axes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._axes.update(self.fields)
        self._axes.update({name: axes for name, (axes, _) in self.parameters.items()})
        self._axes.update(dict.fromkeys(self.unknowns, DEVICE) | dict.fromkeys(self.prices, PER_INSTANCE))

    @np.errstate(all="ignore")
    def vjp(self, cotangents: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Pull cotangents of results back to every field.

        Parameters
        ----------
        cotangents : mapping of str to array_like
            By result; axes before the batch's are many cotangents at once.

        Returns
        -------
        dict of str to ndarray
            A gradient by field, in the results' units over the field's.
        """
        given, extra = self._given("vjp", cotangents, {n: axes for n, (axes, _) in self.results.items()})
        bar: dict[str, Array] = {}
        for name, value in given.items():
            self._back(*self.results[name], value, bar)
        inverse, moved = self._eliminated()
        w = [bar.pop(name, _ZERO) for name in self.unknowns]
        price = [
            bar.pop(name, _ZERO) + self._sum(sum(w_i * moved[i][p] for i, w_i in enumerate(w)))
            for p, name in enumerate(self.prices)
        ]
        system = self._system(moved)
        alpha = [-sum(system[p][j] * price[p] for p in range(len(price))) for j in range(len(self.joint))]
        of_devices = [
            -sum(
                inverse[i][e]
                * (w[i] + sum(row.get(name, 0.0) * a for row, a in zip(self.joint, alpha, strict=True)))
                for i, name in enumerate(self.unknowns)
            )
            for e in range(len(self.equations))
        ]
        for row, value in zip(self.equations, of_devices, strict=True):
            self._back(DEVICE, row, np.asarray(value), bar)
        for row, value in zip(self.joint, alpha, strict=True):
            self._back(PER_INSTANCE, row, np.asarray(value), bar)
        for name, (axes, row) in reversed([*self.parameters.items()]):
            if name in bar:
                self._back(axes, row, bar[name], bar)
        return {name: self._out(bar.get(name, _ZERO), axes, extra) for name, axes in self.fields.items()}

    @np.errstate(all="ignore")
    def jvp(self, tangents: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Push tangents of fields forward to every result.

        Parameters
        ----------
        tangents : mapping of str to array_like
            By field; axes before the batch's are many tangents at once.

        Returns
        -------
        dict of str to ndarray
            A tangent by result.
        """
        values, extra = self._given("jvp", tangents, self.fields)
        for name, (axes, row) in self.parameters.items():
            values[name] = self._forward(axes, row, values)
        inverse, moved = self._eliminated()
        sides = [self._forward(DEVICE, row, values) for row in self.equations]
        w = [-sum(inverse[i][e] * side for e, side in enumerate(sides)) for i in range(len(self.unknowns))]
        left = [
            self._forward(PER_INSTANCE, row, values | dict(zip(self.unknowns, w, strict=True)))
            for row in self.joint
        ]
        system = self._system(moved)
        price = [-sum(system[p][j] * left[j] for j in range(len(left))) for p in range(len(self.prices))]
        for i, name in enumerate(self.unknowns):
            values[name] = w[i] + sum(moved[i][p] * price[p] for p in range(len(price)))
        values.update(zip(self.prices, price, strict=True))
        return {
            name: self._out(self._forward(axes, row, values), axes, extra)
            for name, (axes, row) in self.results.items()
        }

    @property
    @np.errstate(all="ignore")
    def at_kink(self) -> Array:
        """Where derivatives are one-sided, shape (...)."""
        return np.asarray(self.answered & self.kinks())

    # -- elimination ----------------------------------------------------------------------------------------

    def _eliminated(self) -> tuple[list[list[Any]], list[list[Any]]]:
        """Inverse blocks of the devices, and how their unknowns move with the prices."""
        inverse = invert([[row.get(name, 0.0) for name in self.unknowns] for row in self.equations])
        rights = [[row.get(name, 0.0) for name in self.prices] for row in self.equations]
        moved = [
            [
                -sum(one * right[p] for one, right in zip(line, rights, strict=True))
                for p in range(len(self.prices))
            ]
            for line in inverse
        ]
        return inverse, moved

    def _system(self, moved: list[list[Any]]) -> list[list[Any]]:
        """Inverse of the joint equations in the prices, once the devices follow them."""
        return invert(
            [
                [
                    row.get(name, 0.0)
                    + self._sum(sum(row.get(of, 0.0) * moved[i][p] for i, of in enumerate(self.unknowns)))
                    for p, name in enumerate(self.prices)
                ]
                for row in self.joint
            ]
        )

    # -- rows, there and back -------------------------------------------------------------------------------

    def _forward(self, axes: Axes, row: Row, values: Mapping[str, Array]) -> Array:
        total: Any = 0.0
        for name, coefficient in row.items():
            if name in values:
                part = coefficient * values[name]
                many = self._axes[name] or np.shape(part)[-1:] == (self.devices,)
                total = total + (self._sum(part) if many and not axes else part)
        return np.asarray(total)

    def _back(self, axes: Axes, row: Row, value: Array, bar: dict[str, Array]) -> None:
        for name, coefficient in row.items():
            part = coefficient * value
            many = axes or np.shape(part)[-1:] == (self.devices,)
            part = self._sum(part) if many and not self._axes[name] else part
            bar[name] = bar[name] + part if name in bar else part

    def _sum(self, part: Any) -> Array:
        """Sum over the devices, keeping their axis."""
        part = np.asarray(part)
        if part.shape[-1:] != (self.devices,):
            part = np.broadcast_to(part, (*part.shape[:-1], self.devices))
        return np.asarray(part.sum(-1, keepdims=True))

    def _out(self, value: Any, axes: Axes, extra: tuple[int, ...]) -> Array:
        """Zero what has no proven optimum, and give every axis its length."""
        value = np.where(self.answered[..., None], value, 0.0)
        shape = (*extra, *self.batch_shape)
        if axes:
            return np.array(np.broadcast_to(value, (*shape, self.devices)))
        return np.array(np.broadcast_to(value, (*shape, 1))[..., 0])

    def _given(
        self, method: str, given: Mapping[str, ArrayLike], known: Mapping[str, Axes]
    ) -> tuple[dict[str, Array], tuple[int, ...]]:
        """Read what was given by name, broadcast to the batch, with the axes that come before the batch's."""
        return read_named(f"{self.owner}.{method}", given, known, self.batch_shape, self.devices)


def read_named(
    owner: str,
    given: Mapping[str, ArrayLike],
    known: Mapping[str, Axes],
    batch_shape: tuple[int, ...],
    devices: int,
) -> tuple[dict[str, Array], tuple[int, ...]]:
    """Read cotangents or tangents by name, with an axis for the devices, and the axes before the batch's.

    Parameters
    ----------
    owner : str
        Whose argument it is, for messages.
    given : mapping of str to array_like
        By name.
    known : mapping of str to Axes
        The names that are known.
    batch_shape : tuple of int
        Leading axes of every value.
    devices : int
        Length of the axis of devices.

    Returns
    -------
    values : dict of str to ndarray
        Each of shape ``(*extra, *batch, K)`` or ``(*extra, *batch, 1)``.
    extra : tuple of int
        Axes before the batch's, which broadcast.

    Raises
    ------
    ArgumentError
        If a name is not known.
    ProblemError
        If a value is not numeric, or its shape does not fit.
    """
    if not isinstance(given, Mapping):
        raise ArgumentError(f"{owner}: expected a mapping of names to arrays, got {type(given).__name__}")
    values: dict[str, Array] = {}
    extra: tuple[int, ...] = ()
    for name, value in given.items():
        if name not in known:
            raise ArgumentError(f"{owner}: unknown {name}{suggestion(name, known)}")
        array, axes = as_numbers(owner, name, value), known[name]
        full = (*batch_shape, devices) if axes else batch_shape
        before = array.shape[: max(array.ndim - len(full), 0)]
        try:
            whole = np.broadcast_to(array, (*before, *full))
            extra = np.broadcast_shapes(extra, before)
        except ValueError:
            raise ProblemError(
                f"{owner}.{name}: expected shape (..., {', '.join(map(str, full))}) or one that broadcasts to it, "
                f"got {array.shape}"
            ) from None
        values[name] = whole if axes else whole[..., None]
    return values, extra


_ZERO = np.zeros(1)


def invert(m: list[list[Any]]) -> list[list[Any]]:
    """Invert elementwise a matrix of two or three rows of arrays, by cofactors: scale does not matter to them."""
    if len(m) == 2:
        (a, b), (c, d) = m
        over = 1.0 / (a * d - b * c)
        return [[d * over, -b * over], [-c * over, a * over]]
    (a, b, c), (d, e, f), (g, h, i) = m
    first, second, third = e * i - f * h, f * g - d * i, d * h - e * g
    over = 1.0 / (a * first + b * second + c * third)
    return [
        [first * over, (c * h - b * i) * over, (b * f - c * e) * over],
        [second * over, (a * i - c * g) * over, (c * d - a * f) * over],
        [third * over, (b * g - a * h) * over, (a * e - b * d) * over],
    ]


class Differentiable:
    """What a solution with derivatives offers; a family says how its equations are linearised."""

    def vjp(self, cotangents: Mapping[str, ArrayLike]) -> dict[str, Array]:
        r"""Pull a gradient in the results back to the problem's fields: a vector-Jacobian product, in O(K).

        Parameters
        ----------
        cotangents : mapping of str to array_like
            By result (decisions, phases, energies, ``objective``), the derivative of a loss in it: of the result's
            shape or one that broadcasts to it. Axes before the batch's are many losses at once:
            ``solution.vjp({name: np.eye(K)})`` is the Jacobian of a decision.

        Returns
        -------
        dict of str to ndarray
            By field, the derivative of the loss in it, ``(...)`` or ``(..., K)``; a field that is one number for a
            whole batch has a derivative per instance, to be summed. Zero where ``status`` is not OPTIMAL.

        Raises
        ------
        ArgumentError
            If a name is no result.
        ProblemError
            If a shape does not fit, or the answer is no continuous optimum.
        NotImplementedError
            If the family has no derivatives.

        Notes
        -----
        Implicit differentiation of the optimality equations with the active set held; see :mod:`radioopt.base.adjoint`.
        Where the active set is about to change (:attr:`at_kink`) the derivative is that of one side.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> solution = Scenario.load("feel-cpu").draw(seed=1).problem("feel").solve()
        >>> slopes = solution.vjp({"objective": 1.0})
        >>> elasticity = slopes["uplink_rate_bps"] * solution.problem.uplink_rate_bps / solution.objective
        >>> bool(abs(elasticity - solution.sensitivity().uplink_rate_bps).max() < 1e-12)
        True
        """
        return self._pulled(cotangents)

    def jvp(self, tangents: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Push a change of the problem's fields forward to the results: a Jacobian-vector product, in O(K).

        Parameters
        ----------
        tangents : mapping of str to array_like
            By field, how it changes: of the field's shape or one that broadcasts to it. Axes before the batch's are
            many changes at once.

        Returns
        -------
        dict of str to ndarray
            By result, how it changes. Zero where ``status`` is not OPTIMAL.

        Raises
        ------
        ArgumentError
            If a name is no field with a derivative.
        ProblemError
            If a shape does not fit, or the answer is no continuous optimum.
        NotImplementedError
            If the family has no derivatives.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> solution = Scenario.load("feel-cpu").draw(seed=1).problem("feel").solve()
        >>> change = solution.jvp({"payload_bits": 1e3})  # a thousand bits more
        >>> bool(change["round_latency_s"] > 0)
        True
        """
        return self._linearised().jvp(tangents)

    @property
    def at_kink(self) -> Array:
        """Whether the active set is about to change, shape (...): derivatives there are those of one side.

        True if a limit, deadline or total binds with a multiplier that is zero to a millionth, or is free and met to a
        millionth. False without a proven optimum.
        """
        return self._linearised().at_kink

    def _pulled(self, cotangents: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Pull cotangents back; a family may have a kernel for it."""
        return self._linearised().vjp(cotangents)

    def _linearised(self) -> Linearised:
        """Linearise the optimality equations here."""
        raise NotImplementedError(f"{type(self).__name__} has no derivatives: its decisions are choices")


def refuse_unproven(solution: Any) -> None:
    """Refuse to differentiate what a method decided that proves no continuous optimum."""
    if not solution.problem.methods[solution.method].exact:
        raise ProblemError(
            f"{type(solution).__name__}: method {solution.method!r} proves no continuous optimum, which has the "
            "derivatives: take those of problem.solve()"
        )


def each(value: Any) -> Array:
    """Give a value per instance an axis for its devices."""
    return np.expand_dims(np.asarray(value), -1)


def near(value: Array, limit: Array) -> Array:
    """Tell where a value lies within :data:`KINK` of a limit, relatively; nothing is near infinity."""
    return np.asarray(np.abs(value - limit) <= KINK * np.abs(limit)) & np.isfinite(limit)


def slight(multiplier: Array, scale: Array) -> Array:
    """Tell where a multiplier is within :data:`KINK` of zero, next to what it is a difference of."""
    return np.asarray(np.abs(multiplier) <= KINK * np.abs(scale))
