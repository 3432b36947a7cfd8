"""Without the compiler the kernels compute with NumPy scalars, which warn where compiled code does not."""

import os

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def quiet_scalars():
    """Silence warnings of NumPy's scalars where kernels run as plain Python."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") == "0":
        yield
        return
    with np.errstate(all="ignore"):
        yield
