"""The Numba flags of every kernel, in one place, each with its reason.

Kernels are written ``@kernel`` or ``@parallel_kernel`` and never name a flag themselves. Decorating compiles
nothing: a kernel is compiled after its first call, or read from the cache, and until then small calls are answered
by the plain Python function (:mod:`radioopt.numerics.dispatch`). With ``NUMBA_DISABLE_JIT=1`` the decorators return
that function, which is how coverage and a debugger see inside.

Flags used
    No ``cache=True``, but a cache of our own in its place (:mod:`radioopt.numerics.kept`): only the first process of an
    installation pays for the compiler.

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

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numba import config, njit, prange, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from radioopt.base.forks import forkable
from radioopt.numerics.dispatch import made_kernel
from radioopt.numerics.twins import paired

__all__ = [
    "bits_of",
    "float_of",
    "generated",
    "inline_kernel",
    "inner_kernel",
    "kernel",
    "lean_kernel",
    "parallel_kernel",
    "prange",
    "shaped",
    "vector_kernel",
]


def _compiled(**flags: Any) -> Callable[..., Any]:
    """Have functions compiled with these flags."""
    decorator = njit(**flags)

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = decorator(function)
        return dispatcher if config.DISABLE_JIT else made_kernel(dispatcher)  # type: ignore[attr-defined]

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


def generated(interpreted: Callable[..., Any]) -> Callable[..., Any]:
    """Have the compiler generate the instructions of a function; without it, it is the one given."""

    def decorate(define: Callable[..., Any]) -> Any:
        return interpreted if config.DISABLE_JIT else paired(intrinsic(define), interpreted)  # type: ignore[attr-defined]

    return decorate


def _bits_of(x):  # type: ignore[no-untyped-def]
    return np.float64(x).view(np.int64)


def _float_of(i):  # type: ignore[no-untyped-def]
    return np.int64(i).view(np.float64)


def _shaped(array, shape):  # type: ignore[no-untyped-def]
    return array.reshape(shape)


def _reinterpret(given, wanted):  # type: ignore[no-untyped-def]
    """Take the bits of one type for another."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], context.get_value_type(wanted))

    return wanted(given), generate


@generated(_bits_of)
def bits_of(typing_context, x):  # type: ignore[no-untyped-def]
    """Reinterpret a float64 as an int64, or lanes of them."""
    return _reinterpret(x, getattr(x, "bits", types.int64))


@generated(_float_of)
def float_of(typing_context, i):  # type: ignore[no-untyped-def]
    """Reinterpret an int64 as a float64, or lanes of them."""
    return _reinterpret(i, getattr(i, "numbers", types.float64))


@generated(_shaped)
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
