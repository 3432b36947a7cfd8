"""What the benchmark measures apart: first and large calls in processes of their own, random instances, training."""

import math

import numpy as np
import pytest

from validation import bench
from validation.bench import profiles, runner
from validation.bench.timing import Plan
from validation.feel.bench import suite as feel_suite

ONCE = Plan(rounds=1, sample_s=0.0, cap_s=0.0)


@pytest.mark.exhaustive  # everything is compiled anew
def test_the_first_call_is_timed_in_a_process_of_its_own():
    rows = runner._fresh_rows(feel_suite(), "single")
    assert [r.what for r in rows] == [
        "single: first answer of an installation",
        "single: first call ever (compiles)",
        "single: first call of a process",
    ]
    assert all(r.measured and r.note == "" for r in rows)


def test_a_first_call_that_fails_is_a_row_with_its_reason():
    (broken,) = runner._fresh_rows(bench.Suite("feel", ()), "nothing")
    assert broken.note.startswith("failed: ")


def test_a_large_call_in_a_process_of_its_own_tells_its_memory():
    (row,) = runner._alone_rows(bench.Suite("dtkd", ()), "K=100,000: solve")
    assert (row.note, row.samples) == ("", 3)
    arrays = 100_000 * 8 * 10
    assert arrays < row.memory_bytes < 2e9
    assert bench.lines([row])[0]["memory"].endswith(" GB")


def test_a_random_instance_goes_to_every_solver():
    rows = profiles.profile("feel", 0, ["ipopt"])
    found = {row["solver"]: row["found"] for row in rows}
    assert list(found) == ["radioopt newton", "radioopt bisection", "round-up", "ipopt"]
    assert found["radioopt newton"]
    times = profiles.shares(rows, "feel")
    fastest = min(rows, key=lambda row: row["seconds"] if row["found"] else math.inf)
    assert times[fastest["solver"]].tolist() == [1.0]
    assert all(np.isinf(times[solver]).all() for solver, good in found.items() if not good)


def test_rounds_of_training_are_timed():
    results = bench.run(["training"], quick=True, only="training/12 devices*/feel", plan=ONCE)
    times = {row.what: row.minimum_s for row in results.rows}
    assert 0 < times["feel: a round"] < times["feel"]
    assert results.rows[0].devices == 12
