"""Record: declared quantities over a batch of instances; what problems, solutions and devices share."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.files import write_whole
from radioopt.base.layout import Blocks, Layout, columns, read_quantities
from radioopt.base.quantity import Array, Axes, BlockKey, Quantity

if TYPE_CHECKING:
    import os

    import pandas as pd

FORMAT = "radioopt/1"


class Record:
    """Quantities stored as read-only blocks ``(rows, *batch, *core)``, one block per core axes and dtype.

    Those that are mostly common to a whole batch have blocks of their own, whose numbers are held once if they are.
    Subclasses declare fields with :func:`~radioopt.base.quantity.quantity`; everything here reads those
    declarations: attributes, tables, equality, indexing into a batch, files.
    """

    quantities: ClassVar[dict[str, Quantity]] = {}
    _layout: ClassVar[Layout] = Layout.of({})
    _blocks: Blocks
    batch_shape: tuple[int, ...]
    sizes: dict[str, int]
    #: labels along core axes that have some, as the names of devices
    labels: Mapping[str, tuple[Any, ...]] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the declared quantities, inherited ones first."""
        super().__init_subclass__(**kwargs)
        cls.quantities = {
            name: value
            for base in reversed(cls.__mro__)
            for name, value in vars(base).items()
            if isinstance(value, Quantity)
        }
        cls._layout = Layout.of(cls.quantities)

    # -- construction ---------------------------------------------------------------------------------------

    def _read(self, owner: str, given: Mapping[str, ArrayLike], strict: bool | None = None) -> None:
        """Validate the given values and take them over, with the labels that they bring."""
        blocks, batch_shape, sizes, labels = read_quantities(owner, self._layout, given, strict)
        self._take(blocks, batch_shape, sizes)
        if labels:
            self._label(labels)

    def _label(self, labels: Mapping[str, Sequence[Any]]) -> None:
        """Take over labels along axes of this length."""
        kept = {axis: tuple(of) for axis, of in labels.items() if self.sizes.get(axis) == len(of)}
        self.__dict__["labels"] = MappingProxyType({**self.labels, **kept})

    def label(self, axis: str, position: int) -> str:
        """Name of a position along an axis, for people: its label, or else its number."""
        known = self.labels.get(axis)
        return str(position if known is None else known[position])

    @classmethod
    def of(cls, owner: str, strict: bool | None = None, **given: ArrayLike) -> Self:
        """Validate arguments of ``owner`` against the declarations of this class.

        Parameters
        ----------
        owner : str
            Class, constructor or function whose arguments these are, for messages.
        strict : bool, optional
            Whether what is not plausible is refused, or warned of; by default it is not looked at.
        **given : array_like
            A value for every quantity.

        Returns
        -------
        Record
            The validated quantities.

        Raises
        ------
        ProblemError
            If a value is refused.
        """
        record = object.__new__(cls)
        record._read(owner, given, strict)
        return record

    @classmethod
    def _computed(
        cls, values: Mapping[str, Any], batch_shape: tuple[int, ...], sizes: dict[str, int]
    ) -> Self:
        """Take over computed values as they are: broadcast, but not validated."""
        record = object.__new__(cls)
        blocks = {}
        for key, declared in cls._layout.blocks.items():
            shape = (len(declared), *batch_shape, *(sizes[axis] for axis in key[0]))
            blocks[key] = np.empty(shape, key[1])
            for row, field in enumerate(declared):
                blocks[key][row] = values[field.name]
        record._take(blocks, batch_shape, sizes)
        return record

    def _take(self, blocks: Blocks, batch_shape: tuple[int, ...], sizes: dict[str, int]) -> None:
        for block in blocks.values():
            block.flags.writeable = False
        # __dict__ because subclasses may be frozen dataclasses
        self.__dict__.update(_blocks=blocks, batch_shape=batch_shape, sizes=sizes)

    def _value(self, name: str) -> Any:
        key, row = self._layout.rows[name]
        return self._blocks[key][row]

    def block(self, axes: Axes = (), dtype: type = np.float64, *, common: bool = False) -> Array:
        """Return the read-only block of all quantities with these core axes, ``(rows, *batch, *core)``."""
        return self._blocks[BlockKey(axes, np.dtype(dtype).char, common)]

    # -- batches --------------------------------------------------------------------------------------------

    @property
    def is_batch(self) -> bool:
        """Whether leading axes make this a batch of instances."""
        return bool(self.batch_shape)

    def __len__(self) -> int:
        """Length of the first batch axis."""
        if not self.batch_shape:
            raise TypeError(f"{type(self).__name__} is a single instance, not a batch")
        return self.batch_shape[0]

    def __bool__(self) -> bool:
        """Every record is true, an instance as well as a batch."""
        return True

    def __getitem__(self, index: Any) -> Self:
        """Select instances of a batch, with NumPy's indexing along the batch axes."""
        if not self.batch_shape:
            raise TypeError(f"{type(self).__name__} is a single instance, not a batch: it cannot be indexed")
        count = math.prod(self.batch_shape)
        return self._select(np.asarray(np.arange(count).reshape(self.batch_shape)[index]))

    def _select(self, positions: Array) -> Self:
        """Take the instances at these positions in the flattened batch, in the shape of `positions`."""
        blocks = {}
        for key, block in self._blocks.items():
            core = block.shape[1 + len(self.batch_shape) :]
            flat = block.reshape(len(block), math.prod(self.batch_shape), *core)
            blocks[key] = flat.take(positions, axis=1)
        selected = object.__new__(type(self))
        selected.__dict__.update(self._selected_context(positions))
        selected._take(blocks, positions.shape, self.sizes)
        if self.labels:
            selected._label(self.labels)
        return selected

    def _context(self) -> dict[str, Any]:
        """Attributes beside the quantities, compared by equality."""
        return {}

    def _selected_context(self, positions: Array) -> dict[str, Any]:
        """Those attributes for a selection of the batch."""
        return self._context()

    def __getstate__(self) -> dict[str, Any]:
        """Copy or pickle all attributes; the labels as a plain dictionary."""
        return self.__dict__ | ({"labels": dict(self.labels)} if "labels" in self.__dict__ else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copied or unpickled record, whose arrays arrive writeable."""
        self.__dict__.update(state)
        self._take(self._blocks, self.batch_shape, self.sizes)

    # -- views ----------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return every quantity by name: read-only arrays, or NumPy scalars."""
        return {name: self._value(name) for name in self.quantities}

    def _given(self) -> dict[str, Any]:
        """Return every quantity as :meth:`to_dict`, but one number for what is held once."""
        given = self.to_dict()
        for key, declared in self._layout.blocks.items():
            block = self._blocks[key]
            if key.common and columns(block).shape[1] < block[0].size:
                given |= {q.name: float(self._value(q.name).flat[0]) for q in declared}
        return given

    def to_frame(self, axes: Axes = ("device",)) -> pd.DataFrame:
        """Tabulate the quantities along some core axes.

        Parameters
        ----------
        axes : tuple of str, default ("device",)
            Core axes of the rows; ``()`` gives one row per instance.

        Returns
        -------
        pandas.DataFrame
            One column per quantity, named as the field (names carry their units); the index has one level
            per batch axis (``instance``, ``instance_1``, ...) and one per core axis, with its labels if it has some.
        """
        import pandas as pd

        names = [name for name, q in self.quantities.items() if q.axes == axes]
        shape = (*self.batch_shape, *(self.sizes.get(axis, 1) for axis in axes))
        levels = [f"instance_{i}" if i else "instance" for i in range(len(self.batch_shape))] + list(axes)
        if levels:
            names_of = [self.labels.get(axis) for axis in axes]
            known: list[Any] = [range(n) for n in self.batch_shape] + [
                range(n) if of is None else pd.unique(pd.Series(of, dtype=object))
                for of, n in zip(names_of, shape[len(self.batch_shape) :], strict=True)
            ]
            codes: list[Any] = list(np.indices(shape).reshape(len(shape), -1))
            for at, of in enumerate(names_of, len(self.batch_shape)):
                if of is not None:  # two devices may have the same name
                    codes[at] = pd.factorize(pd.Series(of, dtype=object))[0][codes[at]]
            index: Any = pd.MultiIndex(levels=known, codes=codes, names=levels)
            index = index.get_level_values(0) if len(levels) == 1 else index
        else:
            index = pd.RangeIndex(1)
        return pd.DataFrame({name: np.ravel(self._value(name)) for name in names}, index=index)

    def to_latex(
        self, axes: Axes = ("device",), *, caption: str | None = None, label: str | None = None
    ) -> str:
        r"""Write the table of :meth:`to_frame` for LaTeX, which needs ``\usepackage{booktabs}``.

        Parameters
        ----------
        axes : tuple of str, default ("device",)
            As of :meth:`to_frame`.
        caption, label : str, optional
            With either of them the tabular stands in a table of its own.

        Returns
        -------
        str
            LaTeX, with units in the headings and four digits of every number.
        """
        from radioopt.base.latex import latex_of

        units = {name: quantity.unit for name, quantity in self.quantities.items()}
        return latex_of(self.to_frame(axes), units, caption=caption, label=label)

    def __eq__(self, other: object) -> bool:
        """Equal if of the same class with the same shape and, bit for bit or both NaN, the same values."""
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, Record)
        return (
            self.batch_shape == other.batch_shape
            and self._context() == other._context()
            and all(
                np.array_equal(block, other._blocks[key], equal_nan=True)
                for key, block in self._blocks.items()
            )
        )

    __hash__ = None  # type: ignore[assignment]  # equality is by value of arrays

    def _shape_text(self) -> str:
        batch = " x ".join(map(str, self.batch_shape))
        sizes = ", ".join(
            f"{n} {axis}{('es' if axis.endswith('s') else 's') * (n != 1)}" for axis, n in self.sizes.items()
        )
        return f"batch of {batch} x ({sizes})" if batch else sizes

    def __repr__(self) -> str:
        """Show the shape and the range of every quantity, so that a wrong unit is seen at a glance."""
        lines = [f"{type(self).__name__}: {self._shape_text()}"]
        width = max(map(len, self.quantities), default=0)
        for name, declared in self.quantities.items():
            value = np.asarray(self._value(name))
            if not value.size:  # of a batch of nothing
                continue
            if declared.default == math.inf and np.isposinf(value).all():
                continue  # a limit that is not set
            low, high = float(value.min()), float(value.max())
            text = f"{low:.6g}" if low == high or value.size == 1 else f"{low:.6g} ... {high:.6g}"
            lines.append(
                f"  {name:<{width}}  {text} {declared.unit if declared.unit != '1' else ''}".rstrip()
            )
        return "\n".join(lines)

    # -- files ----------------------------------------------------------------------------------------------

    def _header(self) -> dict[str, Any]:
        """Say in a file what is beside the numbers; subclasses add what identifies them."""
        labels = {axis: [_plain_label(label) for label in of] for axis, of in self.labels.items()}
        nothing = {"batch_shape": self.batch_shape, "sizes": self.sizes} if 0 in self.batch_shape else {}
        return {"format": FORMAT} | ({"labels": labels} if labels else {}) | nothing

    def _parts(self) -> dict[str, Record]:
        """Return the records stored in the file, by prefix; a solution brings its problem."""
        return {"": self}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write to ``.npz`` or ``.json``, whole or not at all; :func:`radioopt.load` reads both exactly.

        Parameters
        ----------
        path : path-like
            Destination; the suffix chooses the format. Folders that are missing are made, "~" is the home.

        Returns
        -------
        pathlib.Path
            The file written.

        Raises
        ------
        ProblemError
            If the suffix is neither ``.npz`` nor ``.json``.
        """
        path = Path(path).expanduser()
        arrays = {
            f"{prefix}{name}": np.asarray(value)
            for prefix, record in self._parts().items()
            for name, value in record.to_dict().items()
        }
        if path.suffix == ".npz":
            buffer = io.BytesIO()
            np.savez_compressed(buffer, header=np.array(json.dumps(self._header())), **arrays)  # type: ignore[arg-type]
            return write_whole(path, buffer.getvalue())
        if path.suffix == ".json":
            units = {
                f"{prefix}{name}": q.unit
                for prefix, record in self._parts().items()
                for name, q in record.quantities.items()
            }
            document = self._header() | {
                "quantities": {
                    name: {"unit": units[name], "value": _to_json(array)} for name, array in arrays.items()
                }
            }
            return write_whole(path, json.dumps(document, indent=1, allow_nan=False).encode())
        raise ProblemError(f"{path}: expected a name that ends in .npz or .json")


def read_file(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read the header and the arrays of a file written by :meth:`Record.save`.

    Parameters
    ----------
    path : path-like
        A ``.npz`` or ``.json`` file.

    Returns
    -------
    header : dict
        Format, kind and what identifies the record.
    arrays : dict of str to ndarray
        The quantities by name.

    Raises
    ------
    ProblemError
        If the file is not one that radioopt wrote.
    """
    path = Path(path).expanduser()
    try:
        if path.suffix == ".npz":
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                arrays = {name: file[name] for name in file.files if name != "header"}
        else:
            header = json.loads(path.read_bytes())
            arrays = {name: _from_json(q["value"]) for name, q in header.pop("quantities").items()}
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']!r}")
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:
        raise ProblemError(f"{path}: not a file saved by radioopt ({FORMAT}): {error}") from error
    return header, arrays


def _plain_label(label: Any) -> str | int | float:
    return label if isinstance(label, (str, int, float)) else str(label)


def _to_json(array: Array) -> Any:
    """Nested lists; what JSON has no number for (nan, inf) becomes text that ``float()`` reads back."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    return np.where(np.isfinite(array), array.astype(object), array.astype(str)).tolist()


def _from_json(value: Any) -> Array:
    array = np.array(value)
    return array if array.dtype.kind in "ifb" else np.array(value, dtype=object).astype(np.float64)
