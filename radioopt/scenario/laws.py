"""Laws: how one number of a scenario is spread over devices and over draws.

In a scenario file a law is a number, a list with one value per device, or a table with one of ``KINDS``::

    cpu_frequency_hz = 1.4e9
    cpu_frequency_hz = [0.7e9, 1.4e9, 2.1e9]                  # one per device
    cpu_frequency_hz = { repeat = [0.7e9, 1.4e9, 2.1e9] }     # cycled over the devices
    cpu_frequency_hz = { choice = [0.7e9, 1.4e9, 2.1e9] }     # independent, equally likely
    cpu_frequency_hz = { uniform = [0.7e9, 2.1e9] }           # independent, between low and high
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from radioopt.base.errors import ProblemError
from radioopt.base.plausible import Plausible
from radioopt.base.quantity import Array, Domain, Quantity, shorten

KINDS = ("repeat", "choice", "uniform")
PER_DEVICE_KINDS = ("list", "repeat")


@dataclass(frozen=True)
class Law:
    """A law as read from a file: its kind and its numbers.

    Parameters
    ----------
    kind : str
        "constant", "list", or one of ``KINDS``.
    values : tuple of float
        The numbers given: one, one per device, or those of the table.
    per_device : bool
        Whether the quantity has a value per device, or one per draw.
    """

    kind: str
    values: tuple[float, ...]
    per_device: bool

    def sample(self, rng: np.random.Generator, batch_shape: tuple[int, ...], count: int) -> Array:
        """Draw values of shape ``(*batch_shape, count)``, or ``batch_shape`` without devices."""
        shape = (*batch_shape, count) if self.per_device else batch_shape
        values: Any = np.array(self.values)
        if self.kind == "constant":
            values = values[0]
        elif self.kind == "repeat":
            values = np.resize(values, count)
        elif self.kind == "choice":
            values = rng.choice(values, shape)
        elif self.kind == "uniform":
            values = rng.uniform(values[0], values[1], shape)
        return np.broadcast_to(values, shape)

    def check_count(self, where: str, count: int) -> None:
        """Refuse a list that has not one value per device."""
        if self.kind == "list" and len(self.values) != count:
            raise ProblemError(
                f"{where}: expected {count} values, one per device (devices.count), got {len(self.values)}; "
                "{ repeat = [...] } cycles a list over the devices"
            )

    def plain(self) -> Any:
        """Return the law as it stands in a file."""
        if self.kind == "constant":
            return self.values[0]
        return list(self.values) if self.kind == "list" else {self.kind: list(self.values)}


@dataclass(frozen=True)
class Of:
    """Annotation of a settings field: a law for this quantity, whose domain and axes it takes.

    Examples
    --------
    ``payload_bits: Annotated[Law, Of(BatchsizeProblem.quantities["payload_bits"])]``
    """

    quantity: Quantity

    @property
    def plausible(self) -> Plausible | None:
        """What the quantity may be in practice."""
        return self.quantity.plausible

    def read(self, value: Any) -> Law:
        """Turn a value from a file into a law, or raise a ``ValueError`` that says what is expected."""
        per_device = bool(self.quantity.axes)
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(value, numbers.Real):
            return Law("constant", (self._number(value),), per_device)
        kinds = [kind for kind in KINDS if per_device or kind not in PER_DEVICE_KINDS]
        kind, given = ("list", value) if per_device else ("", None)
        if isinstance(value, Mapping):
            kind, given = next(((k, value[k]) for k in kinds if [*value] == [k]), ("", None))
        if not isinstance(given, list) or not given:
            lists = "a list with one value per device, " if per_device else ""
            forms = " or ".join(f"{{ {k} = [{'low, high' if k == 'uniform' else '...'}] }}" for k in kinds)
            raise ValueError(f"expected a number, {lists}{forms}, got {shorten(value)}")
        read = tuple(self._number(x, f" at index {i}") for i, x in enumerate(given))
        if kind == "uniform" and not (len(read) == 2 and read[0] <= read[1]):
            raise ValueError(f"expected {{ uniform = [low, high] }} with low <= high, got {shorten(given)}")
        return Law(kind, read, per_device)

    def _number(self, value: Any, where: str = "") -> float:
        return read_number(value, self.quantity.domain, where, self.plausible)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic read and write the field this way."""
        writer = core_schema.plain_serializer_function_ser_schema(lambda law: law and law.plain())
        return core_schema.no_info_plain_validator_function(self.read, serialization=writer)


@dataclass(frozen=True)
class Number:
    """Annotation of a settings field: one number in a domain, whole if it counts something."""

    domain: Domain
    whole: bool = False
    plausible: Plausible | None = None

    def read(self, value: Any) -> float:
        """Check a value from a file."""
        if not self.whole:
            return read_number(value, self.domain, plausible=self.plausible)
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ValueError(f"expected a whole number {self.domain.text}, got {shorten(value)}")
        read_number(value, self.domain)
        return int(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic read the field this way."""
        return core_schema.no_info_plain_validator_function(self.read)


def read_number(value: Any, domain: Domain, where: str = "", plausible: Plausible | None = None) -> float:
    """Return a finite number in the domain, or raise a ``ValueError`` that says what is expected."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"expected a number, got {shorten(value)}{where}")
    try:
        read = float(value)
    except OverflowError:
        read = math.inf
    if not domain.low <= read <= domain.high:
        raise ValueError(f"expected {domain.expected(read)}, got {shorten(value)}{where}")
    if plausible is not None:
        plausible.check(read, f"{shorten(value)}{where}")
    return read
