"""The kernel cache of the tests is never stale and does not grow without end."""

import os
from pathlib import Path

import pytest

from tests.conftest import CACHES, kernel_hash, prune_caches


@pytest.fixture
def sources(tmp_path):
    package = tmp_path / "radioopt" / "numerics"
    package.mkdir(parents=True)
    (package / "helper.py").write_text("from radioopt.numerics.jit import kernel\n")
    (package / "words.py").write_text("NAME = 'plain'\n")
    return tmp_path


def test_numba_uses_a_cache_of_this_checkout():
    from numba import config

    assert Path(config.CACHE_DIR).parent == CACHES


def test_an_edited_helper_gives_another_cache(sources):
    before = kernel_hash(sources)
    helper = sources / "radioopt" / "numerics" / "helper.py"
    helper.write_text(helper.read_text() + "# edited\n")
    assert kernel_hash(sources) != before


def test_a_file_without_kernels_keeps_the_cache(sources):
    before = kernel_hash(sources)
    (sources / "radioopt" / "numerics" / "words.py").write_text("NAME = 'other'\n")
    assert kernel_hash(sources) == before


def test_old_caches_go_and_recent_ones_stay(tmp_path):
    for age in range(6):
        cache = tmp_path / f"age{age}"
        cache.mkdir()
        os.utime(cache, (1e9 - age, 1e9 - age))
    (tmp_path / "age5" / "kernel.nbc").touch()
    os.utime(tmp_path / "age5", (1e9 - 5, 1e9 - 5))
    (tmp_path / "in_use").mkdir()
    prune_caches(tmp_path, keep=3)
    assert {path.name for path in tmp_path.iterdir()} == {"in_use", "age0", "age1"}


def test_a_cache_used_just_now_stays_even_if_there_are_many(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
    prune_caches(tmp_path, keep=1)
    assert len(list(tmp_path.iterdir())) == 3
