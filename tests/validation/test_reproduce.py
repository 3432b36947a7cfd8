"""What the papers print: every figure and table has a verdict, and the pages are what the stored results give."""

import json
from pathlib import Path

import pytest

from radioopt.base.errors import OptionError
from radioopt.cli import main
from radioopt.cli.reproduce import show
from validation.reproduce import pages, registry
from validation.reproduce.kept_runs import run_stages
from validation.reproduce.papers import d2d, dtkd, feel
from validation.reproduce.verdicts import Entry, Verdict, arithmetic, of_word

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("paper", registry.PAPERS)
def test_the_page_is_what_the_stored_results_give(paper):
    page = pages.page(paper, registry.load(paper, registry.STORED))
    assert (DOCS / f"reproduction_{paper}.md").read_text() == page, (
        "run: python -m validation.reproduce.pages"
    )


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "nothing measured"])
@pytest.mark.parametrize("paper", registry.PAPERS)
def test_every_figure_and_table_has_a_verdict(paper, stored):
    results = registry.load(paper, registry.STORED) if stored else {}
    entries = registry.entries(paper, results)
    assert {entry.where for entry in entries} == set(registry.printed(paper))
    told = [(entry.where, entry.what, entry.ours.partition(":")[0]) for entry in entries]
    assert len(set(told)) == len(told)


def test_what_is_missing_says_how_to_get_it():
    for paper in registry.PAPERS:
        for entry in registry.entries(paper, {}):
            if entry.verdict is Verdict.NEEDS:
                assert "`" in entry.why, entry  # a command or a function


def test_no_verdict_but_reproduced_without_a_reason():
    with pytest.raises(ValueError, match=r"Fig\. 1, a claim: expected a reason for 'differs'"):
        Entry("Fig. 1", "a claim", "1", "2", Verdict.DIFFERS)


def test_numbers_that_follow_from_others():
    assert arithmetic("Table I", "a ratio", 0.5, 0.49, 0.05).verdict is Verdict.REPRODUCED
    assert arithmetic("Table I", "a ratio", 0.7, 0.36, 0.05).verdict is Verdict.DIFFERS


def test_a_counted_outcome_is_as_good_as_its_worst_part():
    assert of_word("reproduces") is Verdict.REPRODUCED
    assert of_word("reproduces 2 of 4, contradicted 2 of 4") is Verdict.DIFFERS
    assert of_word("open (one seed)") is Verdict.NEEDS
    with pytest.raises(ValueError, match="no verdict among 'perhaps'"):
        of_word("perhaps")


def test_a_table_of_dtkd_is_judged_by_its_numbers():
    names = ("VGG-8", "ResNet-8x4", "ResNet-14x4", "ResNet-26x4")
    row = {"objective": -1.028, "delay [s]": 20.0, "own": 90.0, "average": 27.0} | dict.fromkeys(names, 25.0)
    methods = ("exact", "q-learning", "q-learning-only", "fl-min", "fl-max")
    rows = [{"table": "non-IID", "method": method} | row for method in methods]
    found = {e.what: e.verdict for e in dtkd.entries({"tables": {"rows": rows}}) if e.where == "Table 3"}
    assert found["Proposed Method, objective"] is Verdict.REPRODUCED  # -1.03 within 0.01
    assert found["Proposed Method, delay [s]"] is Verdict.DIFFERS  # 14.33
    assert found["FL-Min, own [%]"] is Verdict.DIFFERS  # 1.12, while Table 2 has 4.47
    assert (
        found["the proposed method has the best objective of the four"] is Verdict.DIFFERS
    )  # all are equal here


def test_a_speed_of_feel_is_judged_by_its_interval():
    known = {"partition": "IID", "K": 6, "accuracy": 0.9, "accuracy ±": 0.01, "seconds": 1.0}
    rows = [known | {"scheme": "model-based", "speed": 0.30, "speed ±": 0.02}]
    entry = feel._speed("", "model-based", 0.29, {"digits": rows[0]})
    assert (entry.verdict, entry.ours) == (Verdict.REPRODUCED, "digits: 0.3 ± 0.02")
    assert feel._speed("", "feel", 1.09, {"digits": rows[0]}).verdict is Verdict.DIFFERS
    alone = rows[0] | {"speed ±": None}
    assert feel._speed("", "feel", 1.09, {"digits": alone}).verdict is Verdict.NEEDS


def test_a_study_of_training_takes_its_place_among_the_figures():
    row = {
        "where": "Fig. 5",
        "what": "(a) more accurate",
        "found": "+3 points [1, 5]",
        "outcome": "reproduces",
    }
    entries = d2d.entries({"training-digits": {"rows": [row]}})
    (entry,) = [entry for entry in entries if entry.where == "Fig. 5"]
    assert entry.verdict is Verdict.REPRODUCED


def test_a_result_is_kept_and_not_measured_again(tmp_path, monkeypatch):
    calls = []

    def measure(setup):
        calls.append(setup.seeds)
        return {"setting": {"draws": 3}, "rows": [{"value": 1 / 3, "missing": float("nan")}]}

    monkeypatch.setattr("validation.reproduce.mix2fld_tables.study_links", measure)
    (study,) = registry.choose("mix2fld", ["links"])
    for seeds in (2, 2, 3):
        result = registry.run("mix2fld", study, registry.Setup(tmp_path, seeds))
    assert calls == [2, 3]
    assert result["rows"] == [{"value": 0.333333, "missing": None}]
    assert result["command"] == "radioopt reproduce mix2fld --only links --seeds 3"
    assert registry.load("mix2fld", registry.STORED, tmp_path / "results")["links"] == result


def test_stages_of_a_campaign_come_one_after_the_other():
    seen = []
    run_stages(
        "calls", [[(seen.append, (1,)), (seen.append, (2,))], [(seen.append, (3,))]], 1, progress=False
    )
    assert seen == [1, 2, 3]


def test_the_command_measures_and_writes_a_page(tmp_path, capsys):
    asked = ["reproduce", "mix2fld", "--only", "links", "--seeds", "1", "--folder", str(tmp_path), "--json"]
    assert main(asked) == 0
    document = json.loads(capsys.readouterr().out)
    assert {entry["where"] for entry in document["entries"]} == set(registry.printed("mix2fld"))
    assert "42.4" in (tmp_path / "mix2fld.md").read_text()
    assert (tmp_path / "results" / "mix2fld" / "links.json").exists()


def test_the_command_shows_what_is_stored_without_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "d2d", "--stored"]) == 0
    out = capsys.readouterr().out
    assert "not computable from what is printed" in " ".join(out.split())
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_each_value_and_its_verdict_in_one_row(capsys):
    entries = [
        Entry("Fig. 1", "the system", "a drawing", "", Verdict.UNPRINTED, "It holds no values."),
        Entry("Table I", "a ratio", "0.5", "0.49", Verdict.REPRODUCED),
        Entry("Table I", "its bound", "1", "2", Verdict.DIFFERS, "[Corrections](feel.md#corrections), 5."),
    ]
    show(entries)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(("Fig.", "Table"))][1].split() == ["Table", "I"]
    assert next(line for line in lines if "its bound" in line).split("│")[1:5] == [
        " its bound ",
        " 1       ",
        " 2    ",
        " differs (2) ",
    ]
    assert lines[-2:] == ["(1) It holds no values.", "(2) Corrections (docs/feel.md), 5."]


def test_a_page_says_what_a_second_number_beside_a_printed_one_is():
    page = (DOCS / "reproduction_fimi.md").read_text()
    assert "| 4913.18, 1.01 times TFL |" in page
    assert "| 73.32, +2.46 points over TFL |" in page
    assert "energy of a round [J]: 14 [13.6, 14.5]" in page


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["gan"], "unknown paper 'gan', choose from feel, fimi, dtkd, d2d, mix2fld"),
        (["feel", "--only", "tables"], "--only: unknown study 'tables' of feel, choose from schemes"),
        (
            ["feel", "--only", "schemes", "--data", "mnist"],
            "--data: schemes has digits, fashion-mnist, got 'mnist'",
        ),
        (["feel", "--seeds", "0"], "--seeds: expected at least 1, got 0"),
    ],
)
def test_mistakes_are_named(asked, message, tmp_path, capsys):
    assert main(["reproduce", *asked, "--folder", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_a_study_without_the_data_is_an_error_before_anything_runs(tmp_path):
    (study,) = registry.choose("fimi", ["generators"])
    with pytest.raises(OptionError, match="--data: generators has digits"):
        registry.run("fimi", study, registry.Setup(tmp_path, data="fashion-mnist"))
