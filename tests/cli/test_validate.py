"""``radioopt validate``: its limits, and what it says of a solver without an answer."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from radioopt.cli import main
from radioopt.cli.validate import failures, success, unanswered
from validation import worker


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time-limit", "0"], "--time-limit: expected a number of seconds above 0, got 0"),
        (["--time-limit", "nan"], "--time-limit: expected a number of seconds above 0, got nan"),
        (["--instances", "-1"], "--instances: expected at least 0, got -1"),
    ],
)
def test_limits_are_checked(arguments, message, capsys):
    assert main(["validate", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_solvers_without_an_answer_are_named():
    killed = "killed: no answer after 12 s"
    index = pd.MultiIndex.from_tuples(
        [("hard", "newton"), ("hard", "scip"), ("harder", "scip")], names=["instance", "solver"]
    )
    table = pd.DataFrame({"objective": [1.0, np.nan, np.nan], "status": ["OPTIMAL", killed, killed]}, index)
    assert unanswered(table) == [f"scip: no answer on 2 (hard, harder): {killed}"]
    assert unanswered(table.iloc[:1]) == []
    many = pd.concat([table.iloc[1:2].rename(index={"hard": f"hard {n}"}) for n in range(6)])
    refused = table.assign(status="NoAnswerError: no deadlines in this model").iloc[1:2]
    assert unanswered(refused) == ["scip: no answer on 1 (hard): no deadlines in this model"]
    assert unanswered(many) == [f"scip: no answer on 6 (hard 0, hard 1, hard 2, hard 3 and 2 more): {killed}"]


def checked(**rows):
    """A table as of `validate`: instance_solver=(kind, verdict, difference, objective, status, note)."""
    index = pd.MultiIndex.from_tuples([name.split("__") for name in rows], names=["instance", "solver"])
    columns = ["kind", "verdict", "difference", "objective", "status", "note"]
    return pd.DataFrame(list(rows.values()), index, columns)


OURS = ("method", "OPTIMAL", 0.0, 1.0, "OPTIMAL", "")
THEIRS = ("reference", "OPTIMAL", 1e-9, 1.0, "optimal", "")


def silent(reason):
    return ("reference", "", np.nan, np.nan, reason, "")


def test_success_says_what_was_checked():
    table = checked(a__newton=OURS, a__scip=THEIRS, b__newton=OURS, b__scip=silent("scip: no point"))
    assert failures(table, 1e-9) == []
    certified = "every exact method is certified optimal on all 2 instances"
    assert (
        success(table) == f"{certified}, and no generic solver does better on 1; on 1 none has an answer (b)"
    )
    assert success(table.loc[["a"]]).endswith(
        "on all 1 instances, and no generic solver does better everywhere"
    )
    assert success(table[table["kind"] == "method"]) == f"{certified}; no generic solver was asked"


def test_a_method_that_is_not_certified_or_is_beaten_is_named_with_the_instance():
    unproven = ("method", "FEASIBLE", 0.0, 1.0, "OPTIMAL", "more graphs than the judge tries, 9")
    table = checked(
        a__newton=OURS, b__newton=unproven, c__newton=("method", "OPTIMAL", 0.25, 1.0, "OPTIMAL", "")
    )
    assert failures(table, 1e-9) == [
        "newton is not certified optimal on 1 of 3 (b: more graphs than the judge tries, 9)",
        "newton is beaten by another solver on 1 (c: by 0.25)",
    ]


def test_references_without_any_answer_or_that_broke_down_fail():
    crash = "crashed: exit code 1: ImportError: no"
    table = checked(a__newton=OURS, a__scip=silent(crash), b__newton=OURS, b__scip=silent(crash))
    assert failures(table, 1e-9) == [f"scip gave no answer on any of 2 instances: {crash}"]
    table = checked(a__newton=OURS, a__scip=THEIRS, b__newton=OURS, b__scip=silent(crash))
    assert failures(table, 1e-9) == [f"scip broke down on 1 (b): {crash}"]


def test_the_exit_code_means_what_it_says_when_references_crash(monkeypatch, capsys):
    def ask(peer, problem, time_limit_s):
        raise worker.WorkerError("crashed: exit code 1: ImportError: no")

    monkeypatch.setattr(worker, "ask", ask)
    assert main(["validate", "--problem", "mix2fld", "--instances", "0", "--references", "markov-chain"]) == 1
    out = capsys.readouterr().out
    assert "mix2fld: FAILED: markov-chain gave no answer on any of" in out
    assert "crashed: exit code 1: ImportError: no" in out
    assert (
        main(
            ["validate", "--problem", "mix2fld", "--instances", "0", "--references", "markov-chain", "--json"]
        )
        == 1
    )
    shown = capsys.readouterr()
    assert json.loads(shown.out)["mix2fld"]["failures"]
    assert "FAILED" in shown.err


@pytest.mark.exhaustive
@pytest.mark.reference
def test_the_whole_of_it_passes_in_90_seconds_of_computing():
    resource = pytest.importorskip("resource")

    def spent():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    done = subprocess.run(
        [sys.executable, "-m", "radioopt", "validate"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert spent() - before < 90.0
