"""A slice of every campaign in seconds, and all of them in full, a million inputs, if asked (make test-exhaustive)."""

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from validation.fuzz import campaign
from validation.fuzz.campaign import CAMPAIGNS, Report, once, run

ROOT = Path(__file__).resolve().parents[2]
SLICE = {"solving": 120, "graphs": 60, "peers": 20, "arrays": 300, "files": 80, "commands": 30}
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
#: inputs that once were answered wrongly, crashed, hung, or ended in a traceback or a warning that is not radioopt's
MET_BEFORE = {
    "solving": [
        253553,
        388652,
        1_000_001,
        143,
        34,
        200,
        222,
        286,
        10038,
        10277,
        10494,
        10588,
        10687,
        20364,
        358,
        3013,
        19410,
        21489,
        21899,
        62127,
        71066,
        71917,
        80434,
        111465,
    ],
    "graphs": [20, 120, 853, 966],
    "arrays": [3, 953, 1521, 2977],
    "files": [169, 1478, 29949, 113862],
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
@pytest.mark.parametrize("family", ["feel", "fimi", "dtkd", "d2d"])  # the plans of mix2fld have no kernels
def test_kernels_stay_inside_their_arrays(family, request):
    """Compiled with bounds checking, kernels raise IndexError where they would read or write elsewhere."""
    kept = request.config.cache.mkdir(
        f"kernels-with-bounds-{family}"
    )  # compiling them takes most of the time
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(kept)}
    environment["RADIOOPT_COMPILE"] = "wait"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "validation.fuzz.bounds", family],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 400


def test_a_warning_is_a_fault():
    import warnings

    with pytest.raises(RuntimeWarning):
        once(lambda seed: warnings.warn("overflow", RuntimeWarning, stacklevel=1), 0)


def test_a_campaign_counts_what_came_of_its_trials():
    report = run("files", 5)
    assert isinstance(report, Report)
    assert report.outcomes.total() == 5
    assert not report.faults


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "SPAN", 3)
    whole = run("files", 7, folder=tmp_path)
    kept = tmp_path / "files.jsonl"
    spans = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [(span["first"], span["end"]) for span in spans] == [(0, 3), (3, 6), (6, 7)]

    spans[1]["faults"] = [4]  # tried again
    kept.write_text("\n".join(map(json.dumps, spans[:2])) + "\n")  # and the last was not done
    tried = []
    real = campaign._run
    monkeypatch.setattr(campaign, "_run", lambda *given: tried.append(given[1:3]) or real(*given))
    assert run("files", 7, folder=tmp_path).outcomes == whole.outcomes
    assert tried == [(3, 7)]
    assert run("files", 7, folder=tmp_path).outcomes == whole.outcomes
    assert len(tried) == 1


HANGS = """
import sys, types
from multiprocessing import Pipe
from validation.fuzz import campaign

def trial(seed):
    while True:
        pass

sys.modules["validation.fuzz.spin"] = types.SimpleNamespace(trial=trial)
campaign.FIRST_S = 0.3
campaign._work("spin", 0, 1, Pipe()[0], sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGPROF"), reason="no such timer here")
def test_what_hangs_ends_and_leaves_its_stack(tmp_path):
    dump = tmp_path / "dump.txt"
    done = subprocess.run([sys.executable, "-c", HANGS, dump], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == -signal.SIGPROF
    assert "in trial" in dump.read_text()
