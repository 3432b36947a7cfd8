"""The student models to choose from: what each costs to train and to send, and how accurate it gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as declared
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import Array, Domain, check, fraction, nonnegative, shorten
from radioopt.units import KBIT, MBIT

if TYPE_CHECKING:
    import pandas as pd

_OWNER = "ModelCatalogue"
_FIELDS: dict[str, Domain] = {
    "cycles": nonnegative,
    "parameter_bits": nonnegative,
    "own_accuracy": fraction,
    "average_accuracy": fraction,
}
#: stands for a factor of 1/100, which is a division so that 86.53 % are 0.8653 and no digit more
PERCENT = 0.0
#: names that a column may have, with the field they give and the factor to its unit
_COLUMNS: dict[str, tuple[str, float]] = {
    "cycles": ("cycles", 1.0),
    "megacycles": ("cycles", 1e6),
    "gigacycles": ("cycles", 1e9),
    "parameter_bits": ("parameter_bits", 1.0),
    "parameter_kbit": ("parameter_bits", KBIT),
    "parameter_mbit": ("parameter_bits", MBIT),
    "own_accuracy": ("own_accuracy", 1.0),
    "own_accuracy_percent": ("own_accuracy", PERCENT),
    "average_accuracy": ("average_accuracy", 1.0),
    "average_accuracy_percent": ("average_accuracy", PERCENT),
}
_NAMES = ("name", "model")


@dataclass(frozen=True, eq=False)
class ModelCatalogue:
    r"""Student models, one entry each; the same for all users.

    Parameters
    ----------
    names : sequence of str, length M
        Names of the models, no two alike.
    cycles : array_like, shape (M,)
        CPU cycles >= 0 to train the model for one epoch, the paper's :math:`\\mu_m`.
    parameter_bits : array_like, shape (M,)
        Size >= 0 of its parameters [bit], :math:`\\theta_{s,m}` (1 Mbit is 1e6 bit).
    own_accuracy, average_accuracy : array_like, shape (M,)
        Accuracy in [0, 1] on the user's own data, and on the data of all users.

    Raises
    ------
    ProblemError
        If a name is missing, empty or given twice, or a number is out of its range; the message names the model.

    Examples
    --------
    >>> catalogue = ModelCatalogue(["small", "large"], [7e9, 19e9], [40e6, 190e6], [0.86, 0.90], [0.24, 0.29])
    >>> len(catalogue), catalogue.index("large")
    (2, 1)
    """

    names: tuple[str, ...]
    cycles: Array
    parameter_bits: Array
    own_accuracy: Array
    average_accuracy: Array
    _block: Array = declared(init=False, repr=False)

    def __post_init__(self) -> None:
        names = [self.names] if isinstance(self.names, str) else list(self.names)
        if not names:
            raise ProblemError(f"{_OWNER}.names: expected at least one model, got none")
        for position, name in enumerate(names):
            if not isinstance(name, str) or not name.strip():
                raise ProblemError(
                    f"{_OWNER}.names: expected a name, got {shorten(name)} at index {position}"
                )
            if name in names[:position]:
                first = names.index(name)
                raise ProblemError(
                    f"{_OWNER}.names: {name!r} is given twice, at index {first} and {position}"
                )
        object.__setattr__(self, "names", tuple(names))
        for field, domain in _FIELDS.items():
            values = np.asarray(getattr(self, field))
            if values.shape != (len(names),):
                expected = f"{len(names)} values, one per model ({', '.join(names)})"
                raise ProblemError(f"{_OWNER}.{field}: expected {expected}, got shape {values.shape}")
            hint = "" if domain is not fraction else "; is it in per cent?"
            try:
                numbers = check(_OWNER, field, values, domain).copy()
            except ProblemError as error:
                wrong = next((n for n, v in zip(names, values, strict=True) if not _inside(v, domain)), "")
                large = not hint or not any(isinstance(v, (int, float)) and v > 1 for v in values.tolist())
                raise ProblemError(f"{error}, model {wrong!r}{'' if large else hint}") from None
            numbers.flags.writeable = False
            object.__setattr__(self, field, numbers)
        block = np.stack([getattr(self, field) for field in _FIELDS])
        block.flags.writeable = False
        object.__setattr__(self, "_block", block)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> ModelCatalogue:
        """Read a table with a row per model and the units in the names of its columns.

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns ``name`` (or ``model``, or the index); ``cycles``, ``megacycles`` or ``gigacycles``;
            ``parameter_bits``, ``parameter_kbit`` or ``parameter_mbit``; ``own_accuracy`` and
            ``average_accuracy``, each as a fraction or ending in ``_percent``.

        Returns
        -------
        ModelCatalogue
            In the order of the rows.

        Raises
        ------
        ProblemError
            If a column is unknown, missing or given in two units, or a cell is no number in its range; the
            message names row and column.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"name": ["a", "b"], "gigacycles": [6.8, 8.8], "parameter_mbit": [127, 39],
        ...     "own_accuracy_percent": [86.5, 89.5], "average_accuracy_percent": [23.6, 25.8]})
        >>> ModelCatalogue.from_frame(frame).cycles[1].item()
        8800000000.0
        """
        columns = [(str(name).strip(), frame.iloc[:, i]) for i, name in enumerate(frame.columns)]
        return cls._from_columns(columns, frame.index)

    @classmethod
    def _from_columns(cls, columns: list[tuple[str, Any]], index: Any) -> ModelCatalogue:
        """Read named columns; the index has the names of the models if no column has."""
        label = next((name for name in _NAMES if name in dict(columns)), None)
        names = dict(columns)[label] if label else index
        found: dict[str, str] = {}
        values: dict[str, list[float]] = {}
        for column, cells in columns:
            if column == label:
                continue
            if column not in _COLUMNS:
                raise ProblemError(
                    f"{_OWNER}: column {column}: unknown; expected name, {', '.join(_COLUMNS)}"
                )
            field, factor = _COLUMNS[column]
            if field in found:
                raise ProblemError(
                    f"{_OWNER}: columns {found[field]} and {column} both give {field}: keep one"
                )
            found[field] = column
            if factor == PERCENT and _are_fractions(cells):
                whole = column.removesuffix("_percent")
                raise ProblemError(
                    f"{_OWNER}: column {column}: expected per cent, got {', '.join(map(str, cells))}; fractions belong "
                    f"into a column {whole}"
                )
            values[field] = [
                _cell(cell, column, row, str(name), factor, _FIELDS[field])
                for row, (name, cell) in enumerate(zip(names, cells, strict=True))
            ]
        for field in _FIELDS:
            if field not in found:
                forms = " or ".join(name for name, (given, _) in _COLUMNS.items() if given == field)
                raise ProblemError(f"{_OWNER}: column {forms} is missing")
        for row, name in enumerate(names):
            if name is None or name != name:  # NaN stands for an empty cell
                raise ProblemError(f"{_OWNER}: row {row}: expected the name of a model, got {name!r}")
        return cls(tuple(str(name).strip() for name in names), **values)  # type: ignore[arg-type]  # converted

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> ModelCatalogue:
        """Read a CSV file with the columns of :meth:`from_frame`.

        Parameters
        ----------
        path : path-like
            The file, UTF-8, separated by commas.

        Returns
        -------
        ModelCatalogue
            In the order of the lines.

        Raises
        ------
        ProblemError
            As :meth:`from_frame`, or if the file is no CSV.
        OSError
            If it cannot be read.
        """
        import pandas as pd

        try:
            # the header as a row of its own: pandas would take what a line has too much for an index
            cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, skipinitialspace=True)
        except ValueError as error:  # pandas' parser errors and those of decoding
            raise ProblemError(f"{os.fspath(path)}: not a CSV file: {error}") from None
        try:
            return cls.from_frame(cells[1:].set_axis(cells.iloc[0], axis=1))
        except ProblemError as error:
            raise ProblemError(f"{os.fspath(path)}: {error}") from None

    @classmethod
    def read(cls, given: Any) -> ModelCatalogue:
        """Take a catalogue as it is, or make one of what stands for it.

        Parameters
        ----------
        given : ModelCatalogue, pandas.DataFrame, mapping of str to list, or path-like
            A catalogue, a table with the columns of :meth:`from_frame`, the same as lists by column, or the path of a
            CSV file.

        Returns
        -------
        ModelCatalogue
            The catalogue.

        Raises
        ------
        ProblemError
            If it is none of these, and as :meth:`from_frame` and :meth:`from_csv`.
        """
        if isinstance(given, ModelCatalogue):
            return given
        if isinstance(given, Mapping):
            lengths = {name: len(v) for name, v in given.items() if isinstance(v, (list, tuple, np.ndarray))}
            if len(lengths) < len(given) or len(set(lengths.values())) > 1:
                raise ProblemError(
                    f"{_OWNER}: expected lists of the same length, one value per model, got {lengths}"
                )
            columns = [("name" if k == "names" else str(k).strip(), v) for k, v in given.items()]
            return cls._from_columns(columns, range(max(lengths.values(), default=0)))
        import pandas as pd

        if isinstance(given, pd.DataFrame):
            return cls.from_frame(given)
        if isinstance(given, (str, os.PathLike)):
            return cls.from_csv(given)
        raise ProblemError(
            f"{_OWNER}: expected a ModelCatalogue, a DataFrame, a mapping of columns or the path of a CSV file, "
            f"got {shorten(given)}"
        )

    def index(self, name: str) -> int:
        """Find a model by its name.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        int
            Its position.

        Raises
        ------
        ProblemError
            If there is no such model; the message lists those there are.
        """
        if name not in self.names:
            raise ProblemError(f"{_OWNER}: no model {name!r}, choose from {', '.join(self.names)}")
        return self.names.index(name)

    def to_dict(self) -> dict[str, list[Any]]:
        """Plain lists by column, which :meth:`read` takes."""
        return {"names": list(self.names)} | {field: getattr(self, field).tolist() for field in _FIELDS}

    def to_frame(self) -> pd.DataFrame:
        """Tabulate the models, a row each."""
        import pandas as pd

        return pd.DataFrame(self.to_dict()).set_index("names").rename_axis("model")

    def block(self) -> Array:
        """Rows cycles, parameter_bits, own_accuracy, average_accuracy, shape (4, M), for the kernels."""
        return self._block

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelCatalogue) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # equality is by value of arrays

    def __repr__(self) -> str:
        return f"ModelCatalogue of {len(self)}\n{self.to_frame()}"


def _inside(value: Any, domain: Domain) -> bool:
    try:
        return bool(domain.contains(np.asarray(value, np.float64)))
    except (TypeError, ValueError, OverflowError):
        return False


def _are_fractions(cells: Any) -> bool:
    """Tell accuracies that cannot be per cent: all at most 1 %, and not all 0."""
    try:
        numbers = [float(cell) for cell in cells]
    except (TypeError, ValueError, OverflowError):
        return False  # which is said of the cell
    return any(numbers) and all(0.0 <= number <= 1.0 for number in numbers)


def _cell(cell: Any, column: str, row: int, name: str, factor: float, domain: Domain) -> float:
    """Return a cell in the unit of its field; what is no number in the range is refused with its place."""
    where = f"{_OWNER}: row {row} ({name}), column {column}"
    try:
        if isinstance(cell, bool):
            raise TypeError
        value = float(cell) / 100 if factor == PERCENT else float(cell) * factor
    except (TypeError, ValueError, OverflowError):
        raise ProblemError(f"{where}: expected a number, got {shorten(cell)}") from None
    if not _inside(value, domain):
        hint = (
            "; percentages belong in a column that ends in _percent"
            if domain is fraction and value > 1
            else ""
        )
        raise ProblemError(f"{where}: expected {domain.expected(value)}, got {shorten(cell)}{hint}")
    return value
