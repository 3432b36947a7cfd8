"""Reports on training runs: one run, several, seeds, and what older versions did not keep."""

import pandas as pd
import pytest

import learning
import radioopt as ro
from learning.runs.read import RunComparison
from learning.runs.report import runs_chapter


def section(made, title):
    return next(one for one in made.sections if one.title == title)


def test_one_run_leads_with_what_it_reached_and_took(run, undrawn):
    made = runs_chapter(RunComparison({"runs/a": [run("runs/a")]}), "f1")
    assert made.lead == (
        "Accuracy 0.9 after 20 rounds, which took 200 s simulated and 100 J. "
        "Accuracy 0.9 was reached in round 20, after 200 s simulated and 100 J."
    )
    assert {fact.label: fact.value for fact in made.facts} == {
        "accuracy": "0.9", "rounds": "20", "simulated time": "200 s", "energy": "100 J", "devices": "3", "seed": "0",
    }  # fmt: skip
    table = section(made, "Devices").parts[-1]
    assert table.rows[0][0].text == "<b>a"
    assert [column.head for column in table.columns][-1] == "energy [J]"


def test_several_runs_lead_with_who_is_first_and_by_how_much(run, undrawn):
    runs = RunComparison({"x/slow": [run("x/slow", 1.0)], "x/fast": [run("x/fast", 2.0)]}).aiming([0.5])
    made = runs_chapter(runs, "f1")
    assert (
        made.lead
        == "fast reaches accuracy 0.5 first, after 50 s simulated and 25 J. slow takes 2 times as long."
    )
    assert [fact.label for fact in made.facts] == ["slow", "fast"]
    assert section(made, "Settings that differ").parts[0].rows[0][0].text == "speed"


def test_who_never_reaches_a_target_is_named(run, undrawn):
    runs = RunComparison({"a": [run("a", 2.0)], "b": [run("b", 0.5)]}).aiming([0.9])
    assert runs_chapter(runs, "f1").lead.endswith("Not reached by all runs of b.")
    never = RunComparison({"a": [run("a", 0.2)], "b": [run("b", 0.1)]}).aiming([0.9])
    assert runs_chapter(never, "f1").lead.startswith("a ends at the highest accuracy")


def test_unknown_energy_and_devices_are_said_so(run, undrawn):
    older = run("runs/a", joules=False, devices=False)
    made = runs_chapter(RunComparison({"runs/a": [older]}), "f1")
    assert "J" not in made.lead
    assert next(fact for fact in made.facts if fact.label == "energy").value == "unknown"
    assert section(made, "Devices").parts[-1].text.startswith("The run has no table of devices")


def test_a_run_of_another_version_is_told_of_as_far_as_it_says(run, undrawn):
    other = run("runs/a", devices=False, more={"scheme": "feel", "policy": None, "scenario": "cell.toml"})
    assert runs_chapter(RunComparison({"runs/a": [other]}), "f1").title == "feel, digits"


def test_seeds_are_one_kind_of_run(tmp_path, run):
    runs = RunComparison({"a": [run("a", seed=0), run("a", seed=1)], "b": [run("b", 2.0, seed=0)]})
    page = ro.report(tmp_path / "page.html", runs).read_text("utf-8")
    assert "a (2 runs)" in page
    assert "not paired: the seeds differ" in page
    assert "&lt;b&gt;a" in page
    assert "<b>a" not in page


def test_a_run_by_device_is_kept_and_adds_up_to_its_rounds(tmp_path):
    cell = ro.Scenario.load("feel-cpu", {"devices.count": 3})
    result = learning.train(cell, data="digits@300+100", model="softmax", rounds=3)
    table, rounds = result.ledger.devices(), result.to_frame()
    assert table["rounds"].tolist() == [3, 3, 3]
    assert table["upload_energy_j"].sum() == pytest.approx(rounds["upload_energy_j"].sum())
    assert table["compute_energy_j"].sum() == pytest.approx(rounds["compute_energy_j"].sum())
    assert table["batchsize"].sum() == pytest.approx(rounds["batchsize"].iloc[1:].mean())
    learning.save_run(result, "a", tmp_path)
    (read,) = learning.compare_runs([tmp_path / "a"]).runs
    pd.testing.assert_frame_equal(read.devices, table, check_dtype=False)
    page = ro.report(tmp_path / "run.html", result).read_text("utf-8")
    assert "feel, policy optimal, digits" in page
    (tmp_path / "a" / "devices.csv").write_text('device,rounds\n"')
    with pytest.raises(ro.ProblemError, match=r"devices\.csv: not the devices of a run, or damaged"):
        learning.compare_runs([tmp_path / "a"])


def test_a_comparison_has_a_report(tmp_path, undrawn):
    cell, until = (
        ro.Scenario.load("feel-cpu", {"devices.count": 3}),
        {"target_accuracy": 0.3, "seconds": 300.0},
    )
    quick = {"data": "digits@300+100", "model": "softmax"}
    found = learning.compare(cell, policies=["optimal", "full"], seeds=2, **until, **quick)
    page = ro.report(tmp_path / "page.html", found).read_text("utf-8")
    assert "Training runs compared" in page
    assert "4 of 4 runs have no table of devices" in page
