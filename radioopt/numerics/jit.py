"""The Numba flags of every kernel, in one place, each with its reason.

Kernels are written ``@kernel`` or ``@parallel_kernel`` and never name a flag themselves. Decorating compiles
nothing: a kernel is compiled at its first call, or read from the cache. With ``NUMBA_DISABLE_JIT=1`` the
decorators return the plain Python function, which is how coverage and a debugger see inside.

Flags used
    ``cache=True``: a compiled kernel is kept on disk, so only the first process of an installation pays for the
    compiler. Numba looks at the file of the kernel itself, not at the helpers it calls in other files: after
    editing a helper clear the cache, or set ``NUMBA_CACHE_DIR`` by a hash of the sources as the tests do.

    ``parallel=True``: ``prange`` loops run on all threads. For batches and for chunks of 1e4 devices or more
    only: a launch costs microseconds, and partial sums must be added in a fixed order to stay reproducible.

    ``vector_kernel`` is for branch-free loops over devices. ``reassoc`` lets a sum be split over vector lanes and
    ``error_model="numpy"`` lets a division be vectorised, which a test for zero in every lane prevents. NaN and
    infinity keep their meaning; divisors must be positive, compiled or not.

Flags not used
    ``fastmath=True`` lets the compiler assume there is no NaN and folds ``isnan`` to false, so a failed instance
    would look solved.

    ``error_model="numpy"`` elsewhere: it changes what a division by zero does, and is lost when JIT is disabled.
    Kernels guard their divisions instead, and mean the same thing compiled or not.

    ``guvectorize`` and explicit signatures compile when the module is imported; importing must compile nothing.
"""

from __future__ import annotations

from numba import njit, prange

__all__ = ["kernel", "parallel_kernel", "prange", "vector_kernel"]

kernel = njit(cache=True)
parallel_kernel = njit(cache=True, parallel=True)
vector_kernel = njit(cache=True, error_model="numpy", fastmath={"reassoc", "nsz", "contract", "arcp"})
