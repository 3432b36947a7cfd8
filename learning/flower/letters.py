"""Letters: what goes between server and nodes, as plain numbers and bytes that any transport can carry.

Neither torch nor NumPy is imported here, so that a process that only passes letters on starts at once.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

#: what a letter says beside its arrays: numbers, text, and flat lists of numbers, as Flower's records hold them
Numbers = Mapping[str, Any]


class Sealed(NamedTuple):
    """An array as bytes, with what the sender says of it; nothing is believed before it is opened.

    Attributes
    ----------
    dtype : str
        Number type, as "float32".
    shape : tuple of int
        Shape.
    data : bytes
        The array in NumPy's ``.npy`` format.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class Letter(NamedTuple):
    """What goes to a node, or comes from it.

    Attributes
    ----------
    numbers : mapping of str to number, text or list
        What is said.
    arrays : mapping of str to mapping of str to Sealed
        Named arrays, in compartments.
    """

    numbers: Numbers
    arrays: Mapping[str, Mapping[str, Sealed]] = {}


#: what a node keeps between letters: arrays by name, in a compartment for each architecture
Memory = MutableMapping[str, Mapping[str, Sealed]]
