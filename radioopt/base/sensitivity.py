"""What parameters are worth at an optimum, the same two things in every family: elasticities and prices.

An **elasticity** is how many per cent the objective changes for one per cent more of a parameter, with the sign of that
change. A **price** is by how much the objective gets better for one unit more, in the objective's unit over the
parameter's: what a unit is worth, positive where more helps, whether the objective is minimised or maximised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from radioopt.base.errors import OptionError
from radioopt.base.judge import GIVEN
from radioopt.base.prefixes import prefixed
from radioopt.base.quantity import PER_INSTANCE, Array, Axes, Quantity
from radioopt.base.record import Record
from radioopt.base.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from radioopt.base.solution import Solution


class Sensitivity(Record):
    """Elasticities of the objective, as attributes by the names of the problem's fields, with their prices.

    Attributes
    ----------
    solution : Solution
        The optimum.
    """

    solution: Solution
    #: quantities that are no elasticity, and say in their names what they are
    apart: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def at(cls, solution: Solution, values: dict[str, Any]) -> Self:
        """Take over elasticities at a solution, which has to be an optimum."""
        if solution.method == GIVEN and (np.asarray(solution.status_code) != Status.OPTIMAL).any():
            worst = float(np.max(solution.gap))
            raise OptionError(
                f"sensitivity: expected an optimum, got decisions with a gap of {worst:.3g}: ask "
                "problem.solve().sensitivity()"
            )
        found = cls._computed(values, solution.problem.batch_shape, solution.problem.sizes)
        found.__dict__["solution"] = solution
        found._label(solution.labels)
        return found

    def _selected_context(self, positions: Array) -> dict[str, Any]:
        return {"solution": self.solution._select(positions)}

    @property
    def elasticities(self) -> dict[str, Array]:
        """Per cent of the objective for one per cent more of a parameter, by name; 0 where it changes nothing."""
        return {name: self._value(name) for name in self.quantities if name not in self.apart}

    @property
    def prices(self) -> dict[str, Array]:
        """By how much the objective gets better for one unit more of a field of the problem, by name.

        The unit is the objective's over the field's, as ``J/Hz``. Positive where more helps.
        """
        sign = -1.0 if self.solution.problem.sense == "min" else 1.0
        return {name: sign * slope + 0.0 for name, slope in self.slopes().items()}

    @np.errstate(all="ignore")
    def slopes(self) -> dict[str, Array]:
        """Return the derivative of the objective in every field of the problem that has an elasticity, by name."""
        problem, found = self.solution.problem, {}
        for name, elasticity in self.elasticities.items():
            declared = problem.quantities.get(name)
            if declared is None:
                continue
            value = np.asarray(getattr(problem, name))
            plain = np.isfinite(value) & (value != 0)
            scaled = (
                elasticity * _wide(np.abs(self.solution.objective), declared) / np.where(plain, value, 1.0)
            )
            found[name] = np.where(plain, scaled, np.where(np.isnan(elasticity), np.nan, 0.0))[()]
        return found

    def table(self, *, per_device: bool = False) -> pd.DataFrame:
        """Say for each parameter of a single instance what it is worth, in a sentence too.

        Parameters
        ----------
        per_device : bool, default False
            A row for each device, rather than one for all devices together: one per cent, or one unit, more of each.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``parameter`` (and ``device``): ``value`` (of devices the mean), ``unit``, ``elasticity``,
            ``price``, ``price_unit`` and ``says``, those that matter most first. ``print`` shows the numbers
            and, unless there is a row for each device, the sentences below them.

        Raises
        ------
        OptionError
            If this is a batch: index it.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> worth = Scenario.load("fimi").draw(seed=1).problem("fimi").solve().sensitivity()
        >>> print(worth.table().loc["bandwidth_hz", "says"])
        1 % more (200 kHz) lowers the energy per round by 0.622 %; 1 Hz more lowers it by 9.73e-07 J
        """
        from radioopt.base.worth import Worth

        if self.batch_shape:
            raise OptionError(
                f"table: expected a single instance, got a batch of {self.batch_shape}: index it"
            )
        prices, problem, rows = self.prices, self.solution.problem, []
        for name, elasticity in self.elasticities.items():
            declared = problem.quantities.get(name)
            of_devices = np.ndim(elasticity) > 0
            value = np.nan if declared is None else np.asarray(getattr(problem, name))
            price, unit = prices.get(name, np.nan), "" if declared is None else declared.unit
            if per_device and of_devices:
                each = np.broadcast_arrays(value, elasticity, price)
                parts: list[tuple[Any, ...]] = [
                    (problem.label("device", k), *(float(part[k]) for part in each), False)
                    for k in range(len(elasticity))
                ]
            elif not per_device or not of_devices:
                parts = [
                    ("", float(np.mean(value)), float(np.sum(elasticity)), float(np.sum(price)), of_devices)
                ]
            for device, given, change, worth, every in parts:
                rows.append(
                    {
                        "parameter": name,
                        "device": device,
                        "value": given,
                        "unit": unit,
                        "elasticity": change,
                        "price": worth,
                        "price_unit": f"{self.solution.objective_unit}{_per(unit)}" if declared else "",
                        "says": self._says(change, worth, given, unit, every),
                    }
                )
        frame = Worth(rows)
        frame = frame.iloc[np.argsort(-frame["elasticity"].abs().to_numpy(), kind="stable")]
        return (
            frame.set_index(["parameter", "device"])
            if per_device
            else frame.drop(columns="device").set_index("parameter")
        )

    def to_latex(
        self, axes: Axes | None = None, *, caption: str | None = None, label: str | None = None
    ) -> str:
        r"""Write the numbers of :meth:`table` for LaTeX, which needs ``\usepackage{booktabs}``.

        Parameters
        ----------
        axes : tuple of str, optional
            With axes the derivatives along them, as of :meth:`to_frame`.
        caption, label : str, optional
            With either of them the tabular stands in a table of its own.

        Returns
        -------
        str
            LaTeX, what matters most first.

        Raises
        ------
        OptionError
            If this is a batch: index it.
        """
        from radioopt.base.latex import latex_of, words_and_unit

        if axes is not None:
            return super().to_latex(axes, caption=caption, label=label)
        frame = self.table().drop(columns="says")
        frame.index = frame.index.map(lambda name: words_and_unit(name)[0])
        frame = frame.rename(columns={"elasticity": "elasticity [%/%]", "price_unit": "unit of the price"})
        return latex_of(frame, caption=caption, label=label)

    def _says(self, elasticity: float, price: float, value: float, unit: str, every: bool) -> str:
        """Interpret an elasticity and a price in a sentence."""
        name = self.solution.objective_name.partition(" of ")[0]
        if np.isnan(elasticity):
            return "there is no optimum to differentiate"
        if elasticity == 0 and not price > 0 and not price < 0:
            return f"a little more of it changes nothing: the {name} does not depend on it here"
        better = self.solution.problem.sense == "max"
        change = price if better else -price
        whom = " of every device" if every else ""
        step = f" ({_amount(abs(value) / 100, unit)})" if np.isfinite(value) and value and not every else ""
        said = []
        if elasticity:
            said.append(f"1 % more{whom}{step} {_verb(elasticity)} the {name} by {abs(elasticity):.3g} %")
        if np.isfinite(change) and change:
            what = "it" if said else f"the {name}"
            whom = "" if said else whom
            one = f"1{_unit(unit, one=True)}" if unit not in ("", "1") else "1"
            said.append(
                f"{one} more{whom} {_verb(change)} {what} by {abs(change):.3g}{_unit(self.solution.objective_unit)}"
            )
        return "; ".join(said)


def elasticities(solution: Solution, slopes: dict[str, Array]) -> dict[str, Array]:
    """Turn derivatives in fields into elasticities, relative to the size of the objective; of what is not set, 0."""
    problem, found = solution.problem, {}
    with np.errstate(all="ignore"):
        for name, slope in slopes.items():
            value = np.asarray(getattr(problem, name))
            scaled = slope * np.where(np.isfinite(value), value, 0.0)
            found[name] = scaled / _wide(np.abs(solution.objective), problem.quantities[name]) + 0.0
    return found


def _wide(value: Any, declared: Quantity) -> Any:
    return value if declared.axes == PER_INSTANCE else np.expand_dims(value, -1)


def _amount(value: float, unit: str) -> str:
    """Write a number with its unit, which gets a prefix: 200 kHz."""
    factor, shown = prefixed(unit, value)
    return f"{value * factor:.3g}{_unit(shown)}"


def _unit(unit: str, *, one: bool = False) -> str:
    if unit in ("", "1"):
        return ""
    singular = {"samples": "sample", "cycles": "cycle", "points": "point"}
    return f" {singular.get(unit, unit) if one else unit}"


def _per(unit: str) -> str:
    """Write the unit that a price is for: per Hz, per sample; nothing for a pure number."""
    return f" per{_unit(unit, one=True)}" if _unit(unit) else ""


def _verb(change: float) -> str:
    return "raises" if change > 0 else "lowers"
