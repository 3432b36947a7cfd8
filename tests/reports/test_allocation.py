"""Reports on allocations: every family, what is infeasible, and what changes of a parameter do."""

import re

import numpy as np
import pandas as pd
import pytest

import radioopt as ro
from radioopt.reports.allocation import chapter
from radioopt.reports.changes import FACTORS, changes
from radioopt.reports.page import render

LARGEST = 3_000_000


def solution_of(name, changed=None, devices=None, family=None):
    scenario = ro.Scenario.load(name, changed, devices=devices)
    return scenario, scenario.draw(seed=0).problem(family or scenario.families[0]).solve(throw=False)


def titles(made):
    return [section.title for section in made.sections]


@pytest.mark.parametrize("name", [name for name in ro.Scenario.examples() if name != "d2d-sparse"])
def test_every_shipped_scenario_has_a_report(name, undrawn):
    scenario, solution = solution_of(name)
    told = chapter(solution, "f1", scenario=scenario)
    page = render(name, [told], "foot")
    assert len(page) < LARGEST
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL).lower().split()
    assert "Not drawn" not in page
    assert {"Allocation", "Certificate", "Generic solvers", "The problem", "The scenario"} <= set(
        titles(told)
    )
    assert ("What a parameter is worth" in titles(told)) == hasattr(solution, "sensitivity")
    proven = solution.status is ro.Status.OPTIMAL
    assert told.mark == ("good" if proven else "open")
    assert f"{solution.objective:.4g}".replace("-", "−") in told.lead


def test_the_same_solution_is_the_same_page(tmp_path):
    pages = []
    for name in "ab":
        scenario, solution = solution_of("feel-gpu")
        pages.append(ro.report(tmp_path / f"{name}.html", solution, scenario=scenario).read_bytes())
    assert pages[0] == pages[1]


def test_a_graph_of_thousands_is_not_drawn(undrawn):
    scenario, solution = solution_of("d2d-sparse", {"devices.count": 500})
    first = chapter(solution, "f1", scenario=scenario).sections[0].parts[0]
    assert first.text.startswith("Not drawn: a picture of 500 devices")


def test_ten_thousand_devices_are_cut_and_the_page_stays_small(tmp_path):
    scenario, solution = solution_of("feel-cpu", {"devices.count": 10_000, "max_batchsize": 64})
    page = ro.report(tmp_path / "page.html", solution, scenario=scenario).read_text("utf-8")
    assert len(page) < LARGEST / 3
    assert "the first 300 of 10000 rows" in page
    assert "Left out for more than 1000 devices" in page


def test_what_is_infeasible_says_why_and_what_would_help():
    scenario, solution = solution_of("fimi", {"bandwidth_hz": 2e6})
    told = chapter(solution, "f1", scenario=scenario)
    assert (told.verdict, told.mark, told.facts) == ("infeasible", "bad", [])
    assert solution.why_infeasible() in told.lead
    assert titles(told)[0] == "What would make it feasible"
    found = {change.name: change for change in changes(solution)}
    wider = found["bandwidth_hz"].high
    problem = solution.problem
    assert problem.replace(bandwidth_hz=problem.bandwidth_hz * wider).solve(throw=False).status.usable
    less = problem.replace(bandwidth_hz=problem.bandwidth_hz * wider * 0.999).solve(throw=False)
    assert less.status is ro.Status.INFEASIBLE
    assert np.isnan(found["bandwidth_hz"].low)


def test_changes_are_those_of_solving_again():
    _, solution = solution_of("fimi")
    problem, found = solution.problem, {change.name: change for change in changes(solution)}
    band = found["bandwidth_hz"]
    twice = problem.replace(bandwidth_hz=2 * problem.bandwidth_hz).solve()
    assert band.at(2.0) == pytest.approx(float(twice.objective), rel=1e-9)
    assert band.objective[len(FACTORS) // 2] == pytest.approx(float(solution.objective), rel=1e-9)
    assert problem.replace(bandwidth_hz=band.low * problem.bandwidth_hz).solve(throw=False).status.usable
    none = problem.replace(bandwidth_hz=band.low * 0.999 * problem.bandwidth_hz).solve(throw=False)
    assert none.status is ro.Status.INFEASIBLE
    assert band.high == np.inf
    effects = [change.effect for change in changes(solution)]
    assert effects == sorted(effects, reverse=True)


def test_a_picture_that_fails_is_named_with_its_fault_and_all_else_is_there(monkeypatch):
    scenario, solution = solution_of("feel-cpu")

    def plot(self, **look):
        raise KeyError("font")

    monkeypatch.setattr(type(solution), "plot", plot)
    page = render("feel-cpu", [chapter(solution, "f1", scenario=scenario)], "foot")
    assert "Not drawn: KeyError: " in page
    assert "Certificate" in page


@pytest.mark.parametrize("name", ["feel-cpu", "dtkd"])
def test_names_of_devices_are_shown_as_they_are_and_drawn(name, tmp_path):
    names = ["<b>", "$x$", "$\\foo{", 'a "quote"', "street " * 9, "日本"]
    scenario, solution = solution_of(name, devices=pd.DataFrame({"name": names}))
    page = ro.report(tmp_path / "page.html", solution, scenario=scenario).read_text("utf-8")
    assert "Not drawn" not in page
    assert "<td>&lt;b&gt;</td>" in page
    assert "<td>$\\foo{</td>" in page
    assert ">$x$" in re.sub(r"<table.*?</table>", "", page, flags=re.DOTALL)  # in the picture, and no formula


def test_a_cross_check_is_shown_with_its_verdict(undrawn):
    _, solution = solution_of("feel-gpu")
    rows = {
        "kind": ["method", "reference"],
        "objective": [float(solution.objective), float(solution.objective) * 1.01],
        "status": ["OPTIMAL", "optimal"],
        "verdict": ["OPTIMAL", "OPTIMAL"],
        "version": ["radioopt", "1"],
        "note": ["", ""],
    }
    numbers = dict.fromkeys(("difference", "residual", "seconds"), 0.0)
    checked = pd.DataFrame(rows | numbers, index=pd.Index(["newton", "other"], name="solver"))

    def said(frame):
        made = chapter(solution, "f1", checked=frame)
        return next(section for section in made.sections if section.title == "Generic solvers").parts[0].text

    assert said(checked) == "1 generic solver answered; the best one does better by 0.01, relatively."
    checked["objective"] = float(solution.objective)
    assert said(checked) == "1 generic solver answered, and none does better."
    assert said(checked.drop("other")) == "No generic solver has an answer."
    solution = solution.problem.replace(max_round_latency_s=1e-3, strict=None).solve(throw=False)
    assert said(checked) == "1 generic solver answered, where there is no allocation here."
    assert said("Not asked: no time.") == "Not asked: no time."


def test_given_decisions_have_a_report_without_prices(undrawn):
    _, best = solution_of("feel-cpu")
    even = best.problem.judge(batchsize=20, uplink_slot_s=0.01 / 12, downlink_slot_s=0.01 / 12)
    told = chapter(even, "f1")
    assert told.mark == "open"
    assert "proven impossible" in told.lead
    worth = next(section for section in told.sections if section.title == "What a parameter is worth")
    assert worth.parts[0].text.startswith("Not known: sensitivity: expected an optimum")


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        ((), "expected a solution or runs to tell of, got none"),
        ((3,), "expected a solution, a sweep or runs, got 3"),
    ],
)
def test_what_cannot_be_told_of_is_refused(subjects, message, tmp_path):
    with pytest.raises(ro.OptionError, match=message):
        ro.report(tmp_path / "page.html", *subjects)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_is_refused(tmp_path):
    batch = ro.Scenario.load("feel-cpu").draw(seed=0, size=2).problem("feel").solve()
    with pytest.raises(ro.OptionError, match=r"got a batch of \(2,\): index it"):
        ro.report(tmp_path / "page.html", batch)
