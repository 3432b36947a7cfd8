"""The decorators: nothing is compiled at import, and kernels mean the same with JIT disabled."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from radioopt.numerics.jit import kernel, parallel_kernel, prange

REPORT = """
import numba
from numba.core import event
with event.install_recorder("numba:compile") as compiled:
    import radioopt.channel, radioopt.numerics.expint as expint, radioopt.units
print(len(compiled.buffer), float.hex(expint.scaled_exp1(0.3)), float.hex(expint.scaled_exp1(3.0)))
"""


@pytest.fixture(scope="module")
def reports():
    """What a fresh interpreter prints with JIT and without."""

    def run(disable):
        environment = os.environ | {"NUMBA_DISABLE_JIT": disable}
        command = [sys.executable, "-c", REPORT]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.split()

    return run("0"), run("1")


def test_importing_compiles_nothing(reports):
    with_jit, _ = reports
    assert with_jit[0] == "0"


def test_the_same_digits_without_jit(reports):
    with_jit, without_jit = reports
    for compiled, interpreted in zip(with_jit[1:], without_jit[1:], strict=True):
        assert float.fromhex(compiled) == pytest.approx(float.fromhex(interpreted), rel=1e-15)


def test_nan_survives():
    @kernel
    def is_nan(x):
        return math.isnan(x)

    assert is_nan(np.nan)
    assert not is_nan(1.0)


def test_parallel_loop_fills_every_element():
    @parallel_kernel
    def squares(out):
        for i in prange(out.size):
            out[i] = i * i

    out = np.full(1000, -1.0)
    squares(out)
    np.testing.assert_array_equal(out, np.arange(1000.0) ** 2)
