"""Values written down exactly, as JSON beside one block of bytes, and read back without running code of the file."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import sys
from collections.abc import Mapping
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import torch

from radioopt.base.errors import ProblemError
from radioopt.base.record import Record

#: packages whose classes are imported on reading; a class from elsewhere must be in memory already
OWN = ("learning", "radioopt")


#: what decides which generators one spawns
SEED = ("entropy", "spawn_key", "pool_size", "n_children_spawned")


class Writer:
    """Turns values into trees of JSON, with the bytes of their arrays side by side in one block.

    Parameters
    ----------
    outside : mapping of str to object
        What is not written down but known by name when the values are read.

    Notes
    -----
    Equal arrays are stored once, and so are objects that occur several times; they are one object again after
    reading. So a writer that is fed a growing list costs what is new.
    """

    def __init__(self, outside: Mapping[str, object]) -> None:
        self._outside = {id(value): name for name, value in outside.items()}
        self._met: dict[int, int] = {}
        self._kept: list[object] = []  # what is alive keeps its id
        self._stored: dict[bytes, int] = {}
        self.block = bytearray()

    def tree(self, value: Any, where: str) -> Any:
        """Write a value down.

        Parameters
        ----------
        value : object
            Numbers, text, arrays, tensors, generators, containers of them, named tuples, dataclasses and
            records of radioopt.
        where : str
            What it is, for messages.

        Returns
        -------
        object
            Fit for ``json.dumps``.

        Raises
        ------
        ProblemError
            If it is something else; the message says where.
        """
        if value is None or isinstance(value, (bool, str)) or type(value) in (int, float):
            return value
        if id(value) in self._outside:
            return {"outside": self._outside[id(value)]}
        if id(value) in self._met:
            return {"same": self._met[id(value)]}
        if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
            return {type(value).__name__: [self.tree(v, f"{where}[{i}]") for i, v in enumerate(value)]}
        if isinstance(value, Mapping):
            pairs = [[self.tree(k, where), self.tree(v, f"{where}[{k!r}]")] for k, v in value.items()]
            return {"dict": pairs}
        if isinstance(value, Enum):
            return {"enum": [*_address(value, where), value.name]}
        written = self._object(value, where)
        self._met[id(value)] = len(self._kept)
        self._kept.append(value)
        return written

    def _object(self, value: Any, where: str) -> Any:
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(value, where)
        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu().contiguous()
            kind = str(plain.dtype).removeprefix("torch.")
            return {"tensor": [kind, list(plain.shape), *self._store(_bytes_of(plain))]}
        if isinstance(value, torch.device):
            return {"torch device": str(value)}
        if isinstance(value, np.random.Generator):
            return {"generator": self.tree(_generator_state(value), where)}
        if isinstance(value, torch.Generator):
            return {"torch generator": self.tree(value.get_state(), where)}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            items = [self.tree(v, f"{where}.{n}") for n, v in zip(value._fields, value, strict=True)]
            return {"named tuple": [*_address(value, where), items]}
        if isinstance(value, Record) or dataclasses.is_dataclass(value):
            return {"object": [*_address(value, where), self.tree(_state(value), where)]}
        raise ProblemError(
            f"checkpoint: {where} is a {type(value).__module__}.{type(value).__qualname__}, which cannot be written "
            "down: keep numbers, text, arrays, tensors, generators, or dataclasses and containers of them"
        )

    def _array(self, value: Any, where: str) -> Any:
        array = np.asarray(value)
        if array.dtype.kind not in "biufcSU":
            raise ProblemError(f"checkpoint: {where} is an array of {array.dtype}: use numbers or text")
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {kind: [array.dtype.str, list(array.shape), *self._store(array.tobytes())]}

    def _store(self, data: bytes) -> tuple[int, int]:
        """Put bytes into the block unless they are there already; return where, and how many."""
        key = hashlib.blake2b(data, digest_size=16).digest()
        if key not in self._stored:
            self._stored[key] = len(self.block)
            self.block += data
        return self._stored[key], len(data)


class Reader:
    """Turns trees back into the values they were made of.

    Parameters
    ----------
    block : bytes
        The block of the writer.
    outside : mapping of str to object
        The objects of the same names as when writing.
    device : torch.device or str, default "cpu"
        Where tensors go.
    """

    def __init__(
        self, block: bytes, outside: Mapping[str, object], device: torch.device | str = "cpu"
    ) -> None:
        self._block, self._outside, self._device = block, outside, device
        self._met: list[object] = []

    def value(self, tree: Any) -> Any:
        """Read a value; trees in the order in which they were written."""
        if not isinstance(tree, dict):
            return tree
        ((kind, content),) = tree.items()
        if kind == "outside":
            return self._outside[content]
        if kind == "same":
            return self._met[content]
        if kind in ("list", "tuple"):
            items = [self.value(item) for item in content]
            return items if kind == "list" else tuple(items)
        if kind == "dict":
            return {self.value(key): self.value(item) for key, item in content}
        if kind == "enum":
            module, name, member = content
            return _class(module, name)[member]  # type: ignore[index]
        made = self._object(kind, content)
        self._met.append(made)
        return made

    def _object(self, kind: str, content: Any) -> Any:
        if kind in ("array", "scalar"):
            dtype, shape, start, length = content
            array = np.frombuffer(self._bytes(start, length), dtype).reshape(shape).copy()
            return array if kind == "array" else array[()]
        if kind == "tensor":
            name, shape, start, length = content
            data = np.frombuffer(bytearray(self._bytes(start, length)), np.uint8)
            return torch.from_numpy(data).view(getattr(torch, name)).reshape(shape).to(self._device)
        if kind == "torch device":
            return torch.device(content)
        if kind == "generator":
            return _generator(self.value(content))
        if kind == "torch generator":
            torch_generator = torch.Generator()
            torch_generator.set_state(self.value(content))
            return torch_generator
        module, name, parts = content
        cls = _class(module, name)
        if kind == "named tuple":
            return cls(*(self.value(item) for item in parts))  # fields that came later have their defaults
        if not (issubclass(cls, Record) or dataclasses.is_dataclass(cls)):
            raise ValueError(f"{module}.{name} is neither a record nor a dataclass")
        made = object.__new__(cls)  # no constructor runs: the parts are what it had made
        state = self.value(parts)
        if hasattr(made, "__setstate__"):
            made.__setstate__(state)
        else:
            for part, item in state.items():
                object.__setattr__(made, part, item)
        return made

    def _bytes(self, start: int, length: int) -> bytes:
        if not 0 <= start <= start + length <= len(self._block):
            raise ValueError("an array lies outside the file")
        return self._block[start : start + length]


def _generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """Return all that decides what a generator draws and what generators it spawns."""
    bits = generator.bit_generator
    seed: Any = getattr(bits, "seed_seq", None)
    spawns = None
    if isinstance(seed, np.random.SeedSequence):
        spawns = {name: getattr(seed, name) for name in SEED}
    return {"state": bits.state, "spawns": spawns}


def _generator(state: Mapping[str, Any]) -> np.random.Generator:
    """Make a generator of a state of :func:`_generator_state`."""
    kind = getattr(np.random, state["state"]["bit_generator"])
    spawns = state["spawns"]
    bits = kind() if spawns is None else kind(np.random.SeedSequence(**spawns))
    bits.state = state["state"]
    return np.random.Generator(bits)


def _state(value: Any) -> Any:
    """Return what copying an instance would copy, without what it would compute again."""
    state = value.__getstate__()
    if not isinstance(state, dict):
        return state
    computed = {name for name in state if isinstance(getattr(type(value), name, None), cached_property)}
    if isinstance(value, Record) and "_packed" not in state:
        computed.discard("_blocks")
    return {name: item for name, item in state.items() if name not in computed}


def _address(value: Any, where: str) -> tuple[str, str]:
    """Name a class so that reading will find it."""
    cls = type(value)
    if "<locals>" in cls.__qualname__:
        raise ProblemError(
            f"checkpoint: {where} is of class {cls.__qualname__}, defined in a function: define it in a module"
        )
    return cls.__module__, cls.__qualname__


def _class(module: str, name: str) -> type:
    """Look a class up, importing modules of the own packages only."""
    own = module.partition(".")[0] in OWN
    home = importlib.import_module(module) if own else sys.modules.get(module)
    if home is None:
        raise ValueError(f"class {name} of module {module} is not known here: import that module first")
    found: Any = home
    for part in name.split("."):
        found = getattr(found, part)
    if not isinstance(found, type):
        raise ValueError(f"{module}.{name} is no class")
    return found


def _bytes_of(tensor: torch.Tensor) -> bytes:
    flat = tensor.reshape(-1)
    if flat.stride(0) != 1:  # a single number of many that are the same, which has a stride of 0
        flat = torch.cat([flat])
    return flat.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
