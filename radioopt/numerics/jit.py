"""The Numba flags of every kernel, in one place, each with its reason.

Kernels are written ``@kernel`` or ``@parallel_kernel`` and never name a flag themselves. Decorating compiles
nothing: a kernel is compiled at its first call, or read from the cache. With ``NUMBA_DISABLE_JIT=1`` the
decorators return the plain Python function, which is how coverage and a debugger see inside.

Flags used
    ``cache=True``: a compiled kernel is kept on disk, so only the first process of an installation pays for the
    compiler. Numba looks for changes at the file of the kernel alone, and would go on using a kernel whose helpers
    in other files have changed since. So the stamp of every kernel covers all files that kernels are made of.

    ``parallel=True``: ``prange`` loops run on all threads. For batches and for chunks of 1e4 devices or more
    only: a launch costs microseconds, and partial sums must be added in a fixed order to stay reproducible. Each such
    kernel has a serial twin, compiled only where a forked process needs it (:mod:`radioopt.base.forks`).

    ``vector_kernel`` is for branch-free loops over devices. ``reassoc`` lets a sum be split over vector lanes and
    ``error_model="numpy"`` lets a division be vectorised, which a test for zero in every lane prevents. A division
    by zero and an overflow give infinity or NaN, compiled or not: whoever calls looks at the sums.

    ``inner_kernel`` puts a function into its caller: every array argument of a call is a dozen words to push,
    which for twenty devices takes longer than the work. It divides as ``vector_kernel`` does.

    ``lean_kernel`` makes no array and keeps none, so it counts no references either (``_nrt=False``, which Numba uses
    itself but does not document). Counting is two locked instructions per array and call, which for what a device or
    two have takes longer than the work. It divides as ``vector_kernel`` does.

    ``inline_kernel`` is for the few functions of :mod:`radioopt.numerics.vmath` that vector kernels call. It is always
    inlined, else no loop around it is vectorised. ``reassoc`` is missing on purpose: these functions round by adding
    a large number and subtracting it again, which reassociation would cancel. Their arguments are finite.

    ``bits_of`` and ``float_of`` reinterpret a float64 as an int64 and back, one instruction or none. ``shaped`` is
    ``reshape`` without its checks, a tenth of a microsecond each.

A call with a literal argument (0, True) compiles the callee once more, for that literal; ``np.int64(0)`` does not.

Flags not used
    ``fastmath=True`` lets the compiler assume there is no NaN and folds ``isnan`` to false, so a failed instance
    would look solved.

    ``error_model="numpy"`` elsewhere: kernels guard their divisions, and an error shows which one they forgot.

    ``guvectorize`` and explicit signatures compile when the module is imported; importing must compile nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
from numba import config, njit, prange, types
from numba.core import cgutils
from numba.core.caching import IndexDataCacheFile
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from radioopt.base.forks import forkable

__all__ = [
    "bits_of",
    "float_of",
    "inline_kernel",
    "inner_kernel",
    "kernel",
    "lean_kernel",
    "parallel_kernel",
    "prange",
    "shaped",
    "vector_kernel",
]


def _hash_sources(package: Path) -> str:
    """Hash what kernels are made of: by contract they call nothing but kernels of their family and numerics."""
    digest = hashlib.sha256()
    for file in sorted([*package.glob("numerics/[!.]*.py"), *package.glob("*/kernel*.py")]):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


_SOURCES = _hash_sources(Path(__file__).resolve().parent.parent)


class _Kept(IndexDataCacheFile):  # type: ignore[misc]  # Numba has no types
    """The compiled versions of a kernel on disk, each with its stamp.

    Numba stamps their index alone, and writes it before them: whoever came or was interrupted in between would find
    the versions of before under the new stamp.
    """

    def _save_data(self, name: str, data: Any) -> None:
        super()._save_data(name, {"stamp": self._source_stamp, "data": data})

    def _load_data(self, name: str) -> Any:
        kept = super()._load_data(name)
        if not isinstance(kept, dict) or kept["stamp"] != self._source_stamp:
            raise FileNotFoundError(name)  # which has Numba compile
        return kept["data"]


def _compiled(**flags: Any) -> Callable[..., Any]:
    """Have functions compiled with these flags, and compiled anew if any kernel has changed.

    Numba has no public way to say what a function depends on. Should a later Numba keep its stamp elsewhere, this fails
    at import: to go on would be to use old kernels without a word.
    """
    decorator = njit(cache=True, **flags)

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = decorator(function)
        if not config.DISABLE_JIT:  # type: ignore[attr-defined]
            kept = dispatcher._cache._cache_file
            kept.__class__, kept._source_stamp = _Kept, (kept._source_stamp, _SOURCES)
        return dispatcher

    return decorate


def _quiet(decorator: Callable[..., Any]) -> Callable[..., Any]:
    """Let NumPy's scalars overflow in silence where there is no compiler, as floats do where there is one."""
    return np.errstate(all="ignore") if config.DISABLE_JIT else decorator  # type: ignore[attr-defined]


kernel = _compiled()
_on_all_threads = _compiled(parallel=True)
vector_kernel = _quiet(_compiled(error_model="numpy", fastmath={"reassoc", "nsz", "contract"}))
inner_kernel = _quiet(_compiled(forceinline=True, error_model="numpy"))
lean_kernel = _quiet(_compiled(error_model="numpy", _nrt=False))
inline_kernel = _compiled(forceinline=True, error_model="numpy", fastmath={"nnan", "ninf", "nsz", "contract"})


def parallel_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel whose ``prange`` loops run on all threads, or on one in a forked process; Python calls it."""
    twin: Any = FunctionType(function.__code__, function.__globals__, closure=function.__closure__)
    twin.__qualname__ = (
        f"{function.__qualname__}.serial"  # Numba keeps compiled functions by name and signature alone
    )
    return forkable(_on_all_threads(function), kernel(twin))


if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def bits_of(x):  # type: ignore[no-untyped-def]
        """Reinterpret a float64 as an int64."""
        return np.float64(x).view(np.int64)

    def float_of(i):  # type: ignore[no-untyped-def]
        """Reinterpret an int64 as a float64."""
        return np.int64(i).view(np.float64)

    def shaped(array, shape):  # type: ignore[no-untyped-def]
        """Give a C-contiguous array another shape of the same size."""
        return array.reshape(shape)

else:

    def _reinterpret(given, wanted):  # type: ignore[no-untyped-def]
        """Take the bits of one type for another."""

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return builder.bitcast(arguments[0], context.get_value_type(wanted))

        return wanted(given), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def bits_of(typing_context, x):  # type: ignore[no-untyped-def]
        """Reinterpret a float64 as an int64, or lanes of them."""
        return _reinterpret(x, getattr(x, "bits", types.int64))

    @intrinsic  # type: ignore[untyped-decorator]
    def float_of(typing_context, i):  # type: ignore[no-untyped-def]
        """Reinterpret an int64 as a float64, or lanes of them."""
        return _reinterpret(i, getattr(i, "numbers", types.float64))

    @intrinsic  # type: ignore[untyped-decorator]
    def shaped(typing_context, array, shape):  # type: ignore[no-untyped-def]
        """Give a C-contiguous array another shape of the same size, which is not checked."""
        if not (isinstance(array, types.Array) and array.layout == "C" and isinstance(shape, types.UniTuple)):
            return None
        result = array.copy(ndim=shape.count)

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            source, target = (
                make_array(array)(context, builder, arguments[0]),
                make_array(result)(context, builder),
            )
            lengths = cgutils.unpack_tuple(builder, arguments[1])
            strides = [source.itemsize]
            for length in reversed(lengths[1:]):
                strides.insert(0, builder.mul(strides[0], length))
            populate_array(
                target,
                data=source.data,
                shape=lengths,
                strides=strides,
                itemsize=source.itemsize,
                meminfo=source.meminfo,
                parent=source.parent,
            )
            return impl_ret_borrowed(context, builder, result, target._getvalue())

        return result(array, shape), generate
