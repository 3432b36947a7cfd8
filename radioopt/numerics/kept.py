"""Compiled kernels kept on disk. Whatever is wrong there costs time and one warning, and nothing else.

Numba looks for changes at the file of a kernel alone, and would go on using a kernel whose helpers in other files have
changed since. So the stamp of every kernel covers all files that kernels are made of. It stands in the index of a
kernel's versions, as Numba's own, and in every version beside a digest: whoever came between two writings, was
interrupted in one, or finds a damaged file compiles anew.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache

from radioopt.base.errors import CompileWarning


def hash_sources(package: Path) -> str:
    """Hash what kernels are made of: by contract they call nothing but kernels of their family and numerics."""
    digest = hashlib.sha256()
    for file in sorted([*package.glob("numerics/[!.]*.py"), *package.glob("*/kernel*.py")]):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


SOURCES = hash_sources(Path(__file__).resolve().parent.parent)

_complained = False


def complain(problem: str) -> None:
    """Warn that kernels are not kept; once in a process."""
    global _complained
    if not _complained:
        _complained = True
        warnings.warn(
            f"{problem}: kernels are compiled anew, which takes seconds; set NUMBA_CACHE_DIR to a folder that can be "
            "written to, where they are kept",
            CompileWarning,
            stacklevel=2,
        )


class KernelFile(IndexDataCacheFile):  # type: ignore[misc]  # Numba has no types
    """The index of a kernel's versions, and a file for each."""

    def save(self, key: Any, data: Any) -> None:
        """Write a version, then the index that names it. Its name is its own, whoever else writes at the time."""
        name = self._data_name(int(hashlib.sha256(repr(key).encode()).hexdigest()[:12], 16))
        self._save_data(name, data)
        versions = self._load_index()
        if versions.get(key) != name:
            self._save_index(versions | {key: name})

    def _load_index(self) -> dict[Any, str]:
        try:
            return dict(super()._load_index())
        except Exception as error:  # a foreign file may raise anything
            complain(f"{self._index_path} cannot be read ({said(error)})")
            return {}

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        kept = {"stamp": self._source_stamp, "digest": hashlib.sha256(content).digest(), "content": content}
        super()._save_data(name, kept)

    def _load_data(self, name: str) -> Any:
        try:
            kept = super()._load_data(name)
            content = kept["content"]
            if kept["digest"] != hashlib.sha256(content).digest():
                raise ValueError("damaged")
            if kept["stamp"] == self._source_stamp:
                return pickle.loads(content)
        except FileNotFoundError:
            raise
        except Exception as error:
            complain(f"{self._data_path(name)} cannot be read ({said(error)})")
        raise FileNotFoundError(name)  # which has Numba compile


class KernelCache(FunctionCache):  # type: ignore[misc]  # Numba has no types
    """The versions of one kernel."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        # Numba has no public way to say what a function depends on. Should a later Numba keep its stamp elsewhere, this
        # fails at import: to go on would be to use old kernels without a word.
        kept = self._cache_file
        kept.__class__, kept._source_stamp = KernelFile, (kept._source_stamp, SOURCES)
        self._looked_at: dict[Any, Any] = {}

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what is kept of a version, None if nothing that can be used is."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:
            complain(f"compiled kernels in {self.cache_path} cannot be used ({said(error)})")
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a version, if it can be kept."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            complain(f"compiled kernels cannot be kept in {self.cache_path} ({said(error)})")

    def holds(self, types: tuple[Any, ...], target_context: Any) -> bool:
        """Whether a version is there. Asking again is one look at the file system as long as nothing is written."""
        try:
            index = os.stat(self._cache_file._index_path)
        except OSError:
            return False
        written = index.st_mtime_ns, index.st_ino, index.st_size
        if self._looked_at.get(types) == written:
            return False
        self._looked_at[types] = written
        name = self._cache_file._load_index().get(self._index_key(types, target_context.codegen()))
        return name is not None and os.path.exists(self._cache_file._data_path(name))


class NothingKept(NullCache):  # type: ignore[misc]  # Numba has no types
    """For a kernel whose versions cannot be kept anywhere."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    @property
    def cache_path(self) -> None:
        """There is no folder."""

    def save_overload(self, sig: Any, cres: Any) -> None:
        """Say that it is not kept."""
        complain(self.reason)

    def holds(self, types: tuple[Any, ...], target_context: Any) -> bool:
        """Nothing is there."""
        return False


def cache_of(function: Any) -> KernelCache | NothingKept:
    """Find a folder for the versions of a kernel: Numba looks beside its file, then in the user's cache."""
    try:
        return KernelCache(function)
    except RuntimeError:  # Numba's for: no folder can be written to
        return NothingKept(
            "compiled kernels cannot be kept, neither beside radioopt nor in a folder of the user's"
        )


def said(error: BaseException) -> str:
    """Name an error and its text on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
