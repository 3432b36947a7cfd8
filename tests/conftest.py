"""What holds for every test: a fresh kernel cache, no display, repeatable random examples."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
CACHES = ROOT / ".numba_cache"
KEPT_CACHES = 4
LONGEST_RUN_S = 7_200.0


def kernel_hash(root: Path = ROOT) -> str:
    """Hash every source file that names Numba or a decorator of ours: the kernels and all they call."""
    digest = hashlib.sha256()
    for package in ("radioopt", "learning", "validation"):
        for path in sorted((root / package).rglob("*.py")):
            text = path.read_bytes()
            if b"jit" in text or b"numba" in text:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + text + b"\0")
    return digest.hexdigest()[:16]


def prune_caches(caches: Path, keep: int = KEPT_CACHES, min_age_s: float = LONGEST_RUN_S) -> None:
    """Remove all but the caches used last; a younger one may belong to a test run that has not ended."""
    by_age = sorted(
        (path for path in caches.glob("*") if path.is_dir()), key=lambda path: -path.stat().st_mtime
    )
    for path in by_age[keep:]:
        if time.time() - path.stat().st_mtime > min_age_s:
            shutil.rmtree(path, ignore_errors=True)


def use_fresh_cache() -> None:
    """Point Numba to a cache of these very sources: it does not notice an edited helper in another file."""
    cache = CACHES / kernel_hash()
    cache.mkdir(parents=True, exist_ok=True)
    os.utime(cache)
    prune_caches(CACHES)
    os.environ["NUMBA_CACHE_DIR"] = str(cache)


if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker inherits the choice of its parent
    if "numba" in sys.modules:
        raise RuntimeError(
            "numba was imported before tests/conftest.py could choose its cache: run pytest afresh"
        )
    use_fresh_cache()

os.environ["MPLBACKEND"] = "Agg"

# The first example of a test may compile, so there is no deadline. The same examples every time, so that a
# failure is the change's and not the draw's; look for new ones with --hypothesis-profile=explore.
common = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
interpreted = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
settings.register_profile("repeatable", common, derandomize=True, max_examples=15 if interpreted else 40)
settings.register_profile("explore", common, max_examples=1000)
settings.load_profile("repeatable")


@pytest.fixture(autouse=interpreted)
def quiet_scalars():
    """Without the compiler kernels compute with NumPy's scalars, which warn where compiled code does not."""
    with np.errstate(all="ignore"):
        yield
