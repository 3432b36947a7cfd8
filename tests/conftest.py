"""What holds for every test: no display, one thread for linear algebra, repeatable random examples."""

from __future__ import annotations

import gc
import os

# Workers share the cores: threads of BLAS that wait for each other take several times what they save. Read when NumPy
# is imported, also by the processes that tests start. Kernels keep their threads, and torch those that a test sets.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

os.environ["MPLBACKEND"] = "Agg"
os.environ["RADIOOPT_COMPILE"] = (
    "wait"  # one world at a time; numerics/test_dispatch.py goes from one to the other
)

# The first example of a test may compile, so there is no deadline. The same examples every time, so that a
# failure is the change's and not the draw's; look for new ones with --hypothesis-profile=explore.
common = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
interpreted = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
settings.register_profile("repeatable", common, derandomize=True, max_examples=15 if interpreted else 40)
settings.register_profile("explore", common, max_examples=1000)
settings.load_profile("repeatable")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the garbage collector from all that is imported, over which it would go again and again, now and later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=interpreted)
def quiet_scalars():
    """Without the compiler kernels compute with NumPy's scalars, which warn where compiled code does not."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without their pictures, which take most of the time."""
    monkeypatch.setattr("radioopt.reports.pictures._svg", lambda figure: b'<svg viewBox="0 0 1 1"></svg>')
