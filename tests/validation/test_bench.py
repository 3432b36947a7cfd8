"""The benchmark: what it measures, keeps, reports and compares. No test looks at how long anything takes."""

import dataclasses
import gc
import json
import math
import sys
import time

import numpy as np
import pytest

from radioopt.base.errors import OptionError
from radioopt.feel.problem import BatchsizeProblem
from validation import bench
from validation.bench import machine, pictures
from validation.bench.results import Row, Verdict, find, judge_goal
from validation.bench.streaming import streaming_pass, threads
from validation.bench.timing import Plan, Runner, race
from validation.feel import cone
from validation.feel.bench import draw
from validation.feel.bench import suite as feel_suite

ONCE = Plan(rounds=1, sample_s=0.0, cap_s=0.0)


def good(problems):
    """A contestant that answers."""
    return bench.Timed(
        lambda i: problems[i].solve(),
        problems,
        decisions=lambda i, solution: {name: getattr(solution, name) for name in solution.decisions},
        claim=lambda solution: "solved",
        parts=lambda solution: {"modelling": 0.25},
        once_s=0.5,
    )


def poor(problems):
    """A contestant that claims success and stands at the least batches."""

    def decisions(i, raw):
        even = np.full(problems[i].sizes["device"], 1.0)
        return {"batchsize": 0.9 * even, "uplink_slot_s": even, "downlink_slot_s": even}

    return bench.Timed(lambda i: None, problems, decisions=decisions, claim=lambda raw: "solved")


def broken(problems):
    raise ValueError("no such thing")


def falling(problems):
    """A contestant that raises after a few calls."""
    calls = []

    def call(i):
        calls.append(i)
        if len(calls) > 4:
            raise RuntimeError("worn out")

    return bench.Timed(call, problems, decisions=lambda i, raw: {})


CASES = (
    bench.Case("radioopt newton", "solve", good, "1e-9"),
    bench.Case("poor", "solve", poor),
    bench.Case("broken", "solve", broken),
    bench.Case("falling", "solve", falling),
    bench.Case("absent", "solve", good, modules={"no_such_module": "no-such-package"}),
    bench.Case("threaded", "solve", good, threads=10_000),
    bench.Case("huge", "solve", good, not_run="too large"),
)
KEY, POOR = ("tiny", "radioopt newton", "solve"), ("tiny", "poor", "solve")
GOALS = (
    bench.Goal("poor", KEY, POOR, 1e-9, 1e-9),
    bench.Goal("absent", KEY, ("tiny", "absent", "solve"), 1, 2),
    bench.Goal("time", KEY, None, 1e12, 1e12, "us", also=(KEY,)),
)


def tiny():
    group = bench.Group("tiny", "two small instances", lambda: [draw(3, seed=s) for s in (1, 2)], CASES)
    return bench.Suite("feel", (group,), GOALS, notes=("poor is made to lose.",))


@pytest.fixture(scope="module")
def results():
    return bench.run([tiny()], plan=ONCE)


def row(results, solver, what="solve"):
    (found,) = [row for row in results.rows if (row.solver, row.what) == (solver, what)]
    return found


def test_an_answer_is_measured(results):
    ours = row(results, "radioopt newton")
    assert ours.note == ""
    assert (ours.answered, ours.found, ours.optimal) == (1, 1, 1)  # no time for the second instance
    assert ours.gap <= 1e-9
    assert 0 <= ours.residual <= 1e-9
    assert 0 < ours.minimum_s <= ours.median_s
    assert row(results, "radioopt newton", "solve: modelling").minimum_s == 0.25
    assert row(results, "radioopt newton", "model, once").minimum_s == 0.5


def test_success_is_measured_and_not_claimed(results):
    other = row(results, "poor")
    assert other.claim == "solved"
    assert (other.answered, other.found, other.optimal) == (1, 0, 0)
    assert other.residual == pytest.approx(3 / 0.01 - 1)  # three slots of a second in a frame of 10 ms
    assert other.gap > 1e-3


def test_who_cannot_run_is_listed_with_the_reason(results):
    assert row(results, "broken").note == "failed: ValueError: no such thing"
    absent = "missing: no_such_module is not installed (pip install no-such-package)"
    assert row(results, "absent").note == absent
    assert row(results, "threaded").note.startswith("missing: 10000 threads")
    assert row(results, "huge").note == "not run: too large"
    assert not any(row(results, name).measured for name in ("broken", "absent", "threaded", "huge"))


def test_a_contestant_that_raises_later_spoils_nothing():
    case = bench.Case("falling", "solve", falling)
    group = bench.Group("tiny", "", lambda: [draw(3)], (CASES[0], case))
    results = bench.run([bench.Suite("feel", (group,))], plan=Plan(rounds=8, sample_s=0.0, cap_s=1.0))
    assert row(results, "radioopt newton").found == 1
    assert row(results, "falling").note == "failed: RuntimeError: worn out"


def test_instances_are_taken_in_turn():
    seen = []
    turns = Runner(seen.append, count=3)
    turns.calibrate(ONCE)
    seen.clear()
    turns.turns = 7
    race([turns], Plan(rounds=7))
    assert len(turns.samples) == 7
    assert len(seen) == turns.calls
    assert seen == [i % 3 for i in range(len(seen))]


def test_a_slow_contestant_gets_fewer_turns_all_over_the_race():
    order = []
    fast, slow = Runner(lambda i: order.append("fast"), 1), Runner(lambda i: order.append("slow"), 1)
    fast.turns, slow.turns = 8, 2
    race([fast, slow], Plan(rounds=8))
    assert (len(fast.samples), len(slow.samples)) == (8, 2)
    assert order.index("slow") < 2
    assert order[6:].count("slow") == 1
    assert gc.isenabled()


def test_a_batch_is_timed_per_instance():
    group = bench.Group("batch", "", lambda: [draw(3, 5)], (CASES[0],))
    results = bench.run([bench.Suite("feel", (group,))], plan=ONCE)
    ours = row(results, "radioopt newton")
    assert (ours.problems, ours.answered, ours.found, ours.optimal) == (5, 5, 5, 5)
    assert row(results, "radioopt newton", "solve: modelling").minimum_s == 0.05


def test_goals_are_held_against_the_rows(results):
    words = {goal.label: goal.word for goal in results.goals}
    assert words["poor"] == "void: the peer found no answer"
    assert words["absent"].startswith("not measured: missing: no_such_module")
    assert words["time"] == "goal"
    (timed,) = [goal for goal in results.goals if goal.label == "time"]
    assert timed.measured == row(results, "radioopt newton").minimum_s * 1e6
    assert timed.also == {"solve": timed.measured}


@pytest.mark.parametrize(
    ("unit", "seconds", "word"),
    [("x", 3.0, "goal"), ("x", 1.5, "floor"), ("x", 0.5, "missed"), ("passes", 1.5, "floor")],
)
def test_a_goal_has_a_floor(unit, seconds, word):
    ours, peer = ("i", "radioopt", "solve"), ("i", "peer", "solve")
    times = {"x": (1.0, seconds), "passes": (seconds, 1.0)}[unit]
    rows = [
        Row("feel", *ours, minimum_s=times[0], median_s=times[0], gap=0.0, answered=1, found=1),
        Row("feel", *peer, minimum_s=times[1], median_s=times[1], gap=1e-8, answered=1, found=1),
    ]
    floor, goal = (1.0, 2.0) if unit == "x" else (2.0, 1.0)
    assert judge_goal("feel", bench.Goal("", ours, peer, floor, goal, unit), rows).word == word
    rows[0].gap = 1e-6
    void = judge_goal("feel", bench.Goal("", ours, peer, floor, goal, unit), rows)
    assert void.word == "void: radioopt's answer is less accurate than the peer's"
    rows[0].found = 0
    assert judge_goal("feel", bench.Goal("", ours, None, 1, 1), rows).word.startswith(
        "void: radioopt's answer"
    )


def test_rows_with_threads_are_told_apart():
    rows = [Row("feel", "i", "s", "w", threads=n) for n in (None, 1, 2)]
    assert find("feel", ("i", "s", "w", 2), rows) is rows[2]
    assert find("feel", ("i", "s", "w"), rows) is rows[0]
    assert rows[1].timed == "w, 1 thread"
    assert rows[2].label == "feel/i/s/w/2 threads"


def test_results_survive_the_file(results, tmp_path):
    path = results.save(tmp_path / "results.json")
    json.loads(path.read_text(), parse_constant=pytest.fail)  # strict JSON
    again = bench.Results.load(path)
    assert again.document() == results.document()
    assert [type(row) for row in again.rows] == [Row] * len(results.rows)
    assert [type(goal) for goal in again.goals] == [Verdict] * len(results.goals)
    assert math.isnan(row(again, "absent").minimum_s)
    assert list(again.frame()["solver"]) == [r.solver for r in results.rows]


@pytest.mark.parametrize("content", ["{}", "[]", "nonsense", '{"format": "other"}'])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(OptionError, match="not a benchmark saved by radioopt"):
        bench.Results.load(path)


def test_the_report_shows_everything(results):
    text = bench.markdown(results)
    assert text.startswith("<!-- Generated by")
    for expected in (
        "Two small instances.",
        "- broken, solve: failed: ValueError: no such thing.",
        "- absent, solve: missing: no_such_module is not installed (pip install no-such-package).",
        "- poor () found 0 of 1",
        "it says: solved",
        "void: the peer found no answer",
        "- poor is made to lose.",
        "## Limitations",
        np.__version__,
    ):
        assert expected in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} <= {3, 8, 11}  # machine, goals, measurements


def test_the_report_says_when_not_to_rely_on_it(results):
    quiet = dataclasses.replace(results, machine=results.machine | {"load_start": 0.0, "cores": 2})
    assert "Not to be relied on" not in bench.markdown(quiet)
    loud = dataclasses.replace(results, machine=results.machine | {"load_start": 1.5, "cores": 2})
    assert "load average 1.5 on 2 cores before the start" in bench.markdown(loud)
    part = dataclasses.replace(quiet, plan=results.plan | {"only": "K=3", "quick": True})
    assert bench.markdown(part).count("Not to be relied on") == 2


def changed(results, **changes):
    """The same results with radioopt's row changed."""
    rows = [
        dataclasses.replace(r, **changes) if (r.solver, r.what) == ("radioopt newton", "solve") else r
        for r in results.rows
    ]
    return dataclasses.replace(results, rows=rows)


@pytest.mark.parametrize(
    ("factor", "spread", "change"),
    [(1.0, 0.01, ""), (1.04, 0.01, ""), (1.2, 0.01, "slower"), (0.8, 0.01, "faster"), (1.2, 0.15, "")],
)
def test_changes_beyond_noise_are_flagged(results, factor, spread, change):
    before = changed(results, minimum_s=1.0, spread=spread)
    after = changed(results, minimum_s=factor, spread=spread)
    table, text = bench.compare(before, after)
    line = table.loc["feel/tiny/radioopt newton/solve/1e-9"]
    assert line["ratio"] == factor
    assert line["change"] == change
    assert "quartile" in text


def test_the_drift_of_the_machine_is_noise(results):
    after = dataclasses.replace(
        results, rows=[dataclasses.replace(r, minimum_s=2 * r.minimum_s, spread=0.0) for r in results.rows]
    )
    table, text = bench.compare(results, after)
    assert set(table["change"]) == {""}
    assert "(2, median ratio" in text


def test_what_a_comparison_must_not_hide(results):
    label = "feel/tiny/radioopt newton/solve/1e-9"
    assert bench.compare(results, changed(results, found=0))[0].loc[label, "change"] == "lost"
    assert bench.compare(results, changed(results, gap=1e-6))[0].loc[label, "change"] == "worse gap"
    gone = changed(results, minimum_s=math.nan, note="failed")
    assert bench.compare(results, gone)[0].loc[label, "change"] == "not run after"
    fewer = dataclasses.replace(results, rows=results.rows[1:])
    assert bench.compare(results, fewer)[0].loc[label, "change"] == "only before"
    assert bench.compare(fewer, results)[0].loc[label, "change"] == "only after"
    other = dataclasses.replace(results, machine=results.machine | {"cpu": "another"})
    assert bench.compare(results, other)[1].endswith("the runs differ in cpu")


def test_only_chooses_rows():
    assert [r.solver for r in bench.run([tiny()], only="POOR", plan=ONCE).rows] == ["poor"]
    assert [r.solver for r in bench.run([tiny()], only="*/tiny/h*e/*", plan=ONCE).rows] == ["huge"]
    with pytest.raises(OptionError, match="no row of the benchmark matches 'nothing'"):
        bench.run([tiny()], only="nothing")


def test_progress_counts_to_the_end():
    told = []
    bench.run([tiny()], plan=ONCE, progress=lambda *news: told.append(news))
    assert told[0][:2] == (0, len(CASES))
    assert told[-1] == (len(CASES), len(CASES), "")


def test_uncertified_rows_of_ours_are_found(results):
    assert bench.uncertified(results) == []
    assert len(bench.uncertified(changed(results, optimal=0))) == 1
    assert len(bench.uncertified(changed(results, note="failed: x"))) == 1


def test_the_machine_is_described():
    told = machine.describe(["no-such-package"])
    assert told["versions"]["no-such-package"] is None
    assert told["versions"]["numpy"] == np.__version__
    assert told["cores"] >= 1
    assert told["cpu"]
    assert json.loads(json.dumps(told)) == told
    assert machine.unquiet({"load_start": None, "cores": 1}) == ""


def test_a_streaming_pass_reads_every_number():
    for rows in (3, 7):
        block = np.random.default_rng(0).random((rows, 1000))
        whole = streaming_pass(block)
        for i in range(rows):
            other = block.copy()
            other[i, 999] += 1
            assert streaming_pass(other) != whole
    with threads(1):
        assert streaming_pass(block) == pytest.approx(whole)


def test_an_unknown_family_is_refused():
    with pytest.raises(OptionError, match="no benchmark of problem 'nothing', choose from"):
        bench.run(["nothing"])


@pytest.mark.parametrize("devices", [1, 20])
def test_the_cone_program_is_the_problem(devices):
    """At a feasible point the slacks lie in their cones, and the last variable is the objective squared."""
    problem = draw(devices)
    solution = problem.solve()
    program, shared = cone.fill(problem), cone.structure(devices)
    latency = problem.upload_time_full_frame_s.sum() + problem.download_time_full_frame_s.sum()
    latency += (problem.base_time_s + problem.seconds_per_sample * problem.min_batchsize).max()
    latency += problem.update_time_s.max()
    total = program.batch.sum()
    kappa = (solution.round_latency_s / latency) ** 2 / (solution.batchsize.sum() / total)
    point = np.concatenate(
        [
            solution.batchsize / program.batch,
            solution.uplink_slot_s / problem.uplink_frame_s / program.uplink,
            solution.downlink_slot_s / problem.downlink_frame_s / program.downlink,
            [solution.upload_phase_s / latency, solution.download_phase_s / latency, kappa],
        ]
    )
    matrix = np.zeros((shared.constraints, shared.variables))
    matrix[shared.rows, shared.columns] = program.entries
    slack = program.right - matrix @ point
    assert slack[: shared.nonnegative].min() > -1e-12
    cones = slack[shared.nonnegative :].reshape(-1, 3)
    np.testing.assert_allclose(np.hypot(cones[:, 1], cones[:, 2]), cones[:, 0], rtol=1e-9)  # all are tight
    for name, values in program.decisions(problem, point).items():
        np.testing.assert_allclose(values, getattr(solution, name), rtol=1e-12)
    for axis in ("column", "row"):
        order, offsets, indices = shared.compressed(axis)
        assert offsets[-1] == len(indices) == len(program.entries)
        assert sorted(order) == list(range(len(order)))


def test_the_program_of_a_batch_is_that_of_its_instances():
    batch = draw(5, 3)
    whole = cone.fill(batch)
    for i in range(3):
        one = cone.fill(batch[i])
        np.testing.assert_array_equal(whole.entries[i], one.entries)
        np.testing.assert_array_equal(whole.right[i], one.right)


def test_the_suite_of_feel_is_complete():
    full = feel_suite()
    keys = {(g.instance, c.solver, c.what, c.threads) for g in full.groups for c in g.cases}
    loose = {key[:3] for key in keys}
    for goal in full.goals:
        for key in (goal.ours, goal.versus, *goal.also):
            assert key is None or (key in keys if len(key) == 4 else key in loose), goal.label
        better = goal.goal >= goal.floor if goal.unit == "x" else goal.goal <= goal.floor
        assert better, goal.label
    assert set(full.fresh) == {"single", "batch"}
    assert full.fresh["single"]()().status.name == "OPTIMAL"


@pytest.mark.reference
def test_every_peer_finds_the_optimum():
    """The contestants of one size, on smaller instances."""
    (group,) = [g for g in feel_suite(quick=True).groups if g.instance == "K=10"]
    small = dataclasses.replace(group, make=lambda: [draw(4, seed=s) for s in (1, 2)])
    rows = bench.run([bench.Suite("feel", (small,))], plan=ONCE).rows
    assert {r.solver for r in rows} == {case.solver for case in group.cases}
    for r in rows:
        assert r.note == "", r.label
        assert r.found == r.answered, r.label
    assert [r.what for r in rows if r.solver == "cvxpy fresh"] == [
        "model + solve",
        "model + solve: modelling",
        "model + solve: solver",
    ]


@pytest.mark.reference
def test_peers_take_a_part_of_the_batch(monkeypatch):
    (group,) = [g for g in feel_suite(quick=True).groups if g.instance == "10,000 x K=20"]
    small = dataclasses.replace(group, make=lambda: [draw(4, 9)])
    rows = bench.run([bench.Suite("feel", (small,))], plan=Plan(1, 0.0, 5.0)).rows
    for r in rows:
        if r.answered:
            expected = 9 if r.solver.startswith("radioopt") else 8
            assert r.note or (r.found == r.answered == expected), r.label


def test_moreau_is_reported_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "moreau", None)
    (group,) = [g for g in feel_suite(quick=True).groups if g.instance == "1,000 x K=20"]
    small = dataclasses.replace(group, make=lambda: [draw(4, 3)])
    rows = bench.run([bench.Suite("feel", (small,))], only="moreau", plan=ONCE).rows
    assert [r.note for r in rows] == ["missing: moreau is not installed (pip install moreau)"]


def test_a_table_leaves_out_what_nobody_says(results):
    rows = [
        Row("training", "12 devices", "radioopt", "a round", minimum_s=1.0, median_s=2.0, samples=1, calls=1)
    ]
    assert list(bench.lines(rows)[0]) == ["solver", "timed", "least", "median", "samples"]
    assert bench.lines([row for row in results.rows if not row.measured]) == []


def test_times_and_profiles_are_drawn(results, tmp_path):
    seconds = {"radioopt newton": 1.0, "ipopt": 30.0}
    rows = [{"family": "feel", "instance": i, "solver": s, "seconds": t * (1 + i), "found": s != "ipopt" or i > 0}
            for i in range(3) for s, t in seconds.items()]  # fmt: skip
    grown = [
        Row("feel", f"K={k}", "radioopt newton", "solve", minimum_s=1e-6 * k, devices=k) for k in (10, 20, 30)
    ]
    shown = dataclasses.replace(results, rows=[*results.rows, *grown], profiles=rows)
    (panel,) = pictures.scaling(shown).axes
    line = max(panel.get_lines(), key=lambda drawn: len(drawn.get_xdata()))
    assert line.get_xydata().tolist()[-3:] == [[k, pytest.approx(1e-6 * k)] for k in (10, 20, 30)]
    (panel,) = pictures.profiles(shown).axes
    ours, ipopt = panel.get_lines()
    assert ours.get_xydata()[:-1].tolist() == [[1.0, 0.0], [1.0, 1 / 3], [1.0, 2 / 3], [1.0, 1.0]]
    assert ipopt.get_xydata()[1:-1].tolist() == [[30.0, 1 / 3], [30.0, 2 / 3]]  # it does not find the first
    files = bench.draw_pictures(shown, tmp_path)
    assert [file.name for file in files] == ["bench_scaling.png", "bench_profiles.png"]
    report = bench.markdown(shown, [file.name for file in files], "images")
    assert "](images/bench_profiles.png)" in report
    shown.save(tmp_path / "results.json")
    assert bench.Results.load(tmp_path / "results.json").profiles == rows


def test_draws_repeat_and_mix_limits():
    assert draw(7, 2, seed=3) == draw(7, 2, seed=3)
    for devices in (10, 100, 1000):
        problem = draw(devices)
        assert isinstance(problem, BatchsizeProblem)
        batch = problem.solve().batchsize
        free = (batch > problem.min_batchsize) & (batch < problem.max_batchsize)
        assert 0.05 < free.mean() < 1.0


def test_time_of_the_processor_is_measured_where_it_is_wanted():
    plan = dataclasses.replace(ONCE, cpu=True)
    results = bench.run(["feel"], only="K=10/radioopt newton/construct", plan=plan)
    assert "Times are those of the processor" in bench.markdown(results)
    idle = Runner(lambda i: time.sleep(0.01), 1, clock=time.process_time)
    idle.calibrate(ONCE)
    idle.sample()
    assert idle.samples[0] < 0.009
