"""The decorators: nothing is compiled at import, and kernels mean the same with JIT disabled."""

import importlib.util
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from numba import config
from numba.core.caching import IndexDataCacheFile

from radioopt.numerics import kept
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
            command, env=environment, capture_output=True, text=True, check=True, timeout=300
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


def package_in(folder, helper):
    (folder / "numerics").mkdir(parents=True, exist_ok=True)
    (folder / "family").mkdir(exist_ok=True)
    (folder / "numerics" / "helper.py").write_text(helper)
    (folder / "family" / "kernel_search.py").write_text("from numerics.helper import helper\n")
    (folder / "family" / "solver.py").write_text(f"# not a kernel, and after {helper!r}\n")
    return folder


def test_a_changed_helper_changes_the_stamp_of_all_kernels_and_other_files_do_not(tmp_path):
    before = kept.hash_sources(package_in(tmp_path, "helper = 1\n"))
    assert kept.hash_sources(package_in(tmp_path, "helper = 2\n")) != before
    assert kept.hash_sources(package_in(tmp_path, "helper = 1\n")) == before
    (tmp_path / "family" / "solver.py").write_text("# edited\n")
    (tmp_path / "numerics" / ".#helper.py").symlink_to("nowhere")  # as Emacs does while the file is edited
    assert kept.hash_sources(tmp_path) == before
    (tmp_path / "family" / "kernel_search.py").rename(tmp_path / "family" / "kernel.py")
    assert kept.hash_sources(tmp_path) != before


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_a_kernel_is_compiled_anew_when_what_it_calls_has_changed(tmp_path, monkeypatch):
    scale = kept_kernel(tmp_path, monkeypatch)
    assert [scale(stamp, 2.0)[1] for stamp in ("old", "old", "new", "new")] == [1, 0, 1, 0]


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_a_process_that_ends_while_it_writes_a_kernel_leaves_no_other_under_the_new_stamp(
    tmp_path, monkeypatch
):
    """Numba writes the index first: it would take what was compiled before for new."""
    scale = kept_kernel(tmp_path, monkeypatch)
    assert scale("old", 2.0) == (2.0, 1)
    with monkeypatch.context() as ended:
        ended.setattr(IndexDataCacheFile, "_save_data", interrupt)
        with pytest.raises(KeyboardInterrupt):
            scale("new", 3.0)
    assert scale("new", 3.0) == (3.0, 1)
    assert scale("new", 3.0) == (3.0, 0)


def interrupt(*_):
    raise KeyboardInterrupt


def kept_kernel(folder, monkeypatch):
    """Return a call in a fresh process, as it were: with this stamp and factor, what comes out and what it compiled."""
    file = folder / "kept.py"
    file.write_text(
        "from radioopt.numerics.jit import kernel\n\n\n@kernel\ndef scale(x):\n    return FACTOR * x\n"
    )

    def call(stamp, factor):
        monkeypatch.setattr(kept, "SOURCES", stamp)
        spec = importlib.util.spec_from_file_location("kept", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.FACTOR = factor
        return module.scale(1.0), sum(module.scale.stats.cache_misses.values())

    return call
