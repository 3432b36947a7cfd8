"""``radioopt validate``: its limits, and what it says of a solver without an answer."""

import numpy as np
import pandas as pd
import pytest

from radioopt.cli import main
from radioopt.cli.validate import unanswered


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
