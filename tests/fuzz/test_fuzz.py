"""A slice of every campaign in seconds, and all of them in full, a million inputs, if asked (make test-exhaustive)."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from validation.fuzz.campaign import CAMPAIGNS, Report, once, run

ROOT = Path(__file__).resolve().parents[2]
SLICE = {"solving": 120, "arrays": 300, "files": 80, "commands": 30}
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
#: inputs that once were answered wrongly, crashed, hung, or ended in a traceback or a warning that is not radioopt's
MET_BEFORE = {
    "solving": [1_000_001, 143, 34, 200, 222, 286, 10038, 10277, 10494, 10588, 10687, 20364],
    "arrays": [3, 953, 1521],
    "files": [169, 1478],
    "commands": [5050],
}


@pytest.mark.parametrize("name", SLICE)
def test_a_slice(name):
    if INTERPRETED and name == "solving":
        pytest.skip("minutes without the compiler")
    trial = importlib.import_module(f"validation.fuzz.{name}").trial
    for seed in [*MET_BEFORE.get(name, ()), *range(1_000_000, 1_000_000 + SLICE[name])]:
        once(trial, seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CAMPAIGNS)
def test_in_full(name):
    report = run(name, CAMPAIGNS[name])
    assert not report.faults, "\n\n".join(f"seed {seed}:\n{text}" for seed, text in report.faults.items())
    assert report.outcomes.total() == CAMPAIGNS[name]


def test_a_million_inputs():
    assert sum(CAMPAIGNS.values()) == 1_000_000


@pytest.mark.exhaustive
def test_kernels_stay_inside_their_arrays(tmp_path):
    """Compiled with bounds checking, kernels raise IndexError where they would read or write elsewhere."""
    program = (
        "from validation.fuzz import solving\n"
        "from validation.fuzz.campaign import once\n"
        "for seed in range(2_000): once(solving.trial, seed)"
    )
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, check=True, timeout=3600)


def test_a_warning_is_a_fault():
    import warnings

    with pytest.raises(RuntimeWarning):
        once(lambda seed: warnings.warn("overflow", RuntimeWarning, stacklevel=1), 0)


def test_a_campaign_counts_what_came_of_its_trials():
    report = run("files", 5)
    assert isinstance(report, Report)
    assert report.outcomes.total() == 5
    assert not report.faults
