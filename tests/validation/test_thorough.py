"""``radioopt validate --thorough``: chunks are kept, counts add up, and whatever is denied is an error."""

import json
from pathlib import Path

import numpy as np
import pytest

from radioopt.cli import main
from validation import thorough
from validation.feel.zoo import named


def test_chunks_are_kept_and_counts_add_up(tmp_path, monkeypatch):
    monkeypatch.setitem(thorough.CHUNK, "certificates", 4)
    first = thorough.campaign("fimi", "certificates", 4, folder=tmp_path)
    monkeypatch.setattr(thorough, "by_certificate", by := Counted(thorough.by_certificate))
    whole = thorough.campaign("fimi", "certificates", 10, folder=tmp_path)
    assert by.calls == 6
    assert first["instances"] == 4
    assert (whole["instances"], whole["solvers"]["newton"]["optimal"]) == (10, 10)
    assert len(list(tmp_path.iterdir())) == 3
    assert whole == thorough.campaign("fimi", "certificates", 10, folder=tmp_path)
    late = thorough.campaign("fimi", "certificates", 50, folder=tmp_path, seconds=1e-9)
    assert late["instances"] == 8  # whole chunks of 50 that are kept; none is begun
    monkeypatch.setitem(
        thorough.MOST["certificates"], "fimi", 2
    )  # other instances: the kept ones are no answer
    thorough.campaign("fimi", "certificates", 4, folder=tmp_path)
    assert by.calls == 10


class Counted:
    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *given):
        self.calls += 1
        return self.function(*given)


@pytest.mark.parametrize("family", thorough.families(None))
def test_certificates_of_every_problem(family, tmp_path):
    found = thorough.campaign(family, "certificates", 3, folder=tmp_path)
    assert found["instances"] == 3
    assert found["disagreements"] == []
    assert all(row["answered"] + row["infeasible"] == 3 for row in found["solvers"].values())


@pytest.mark.reference
def test_every_method_and_a_generic_solver_on_one_instance(tmp_path):
    found = thorough.campaign("feel", "references", 1, folder=tmp_path, names=["cvxpy"])
    assert found["disagreements"] == []
    assert found["solvers"]["cvxpy"]["answered"] == 1
    assert found["solvers"]["newton"]["optimal"] == 1


@pytest.mark.reference
def test_solvers_that_take_given_choices_alone_are_asked_with_choices_given(tmp_path):
    found = thorough.campaign("dtkd", "references", 1, folder=tmp_path, names=["cvxpy", "enumeration"])
    asked = {name: row["instances"] for name, row in found["solvers"].items()}
    assert (found["instances"], found["disagreements"]) == (1, [])
    assert (asked["cvxpy"], asked["enumeration"], asked["exact"]) == (1, 2, 2)
    assert found["solvers"]["cvxpy"]["answered"] == 1


def test_a_wrong_optimum_is_denied_by_another_method_and_by_plain_numpy(monkeypatch):
    problem = named()["paper_cpu"]
    honest = type(problem).solve
    monkeypatch.setattr(type(problem), "solve", lambda self, name, throw: liar(honest, self, name))
    rows, denied = thorough.by_certificate(problem)
    assert "newton: " in denied[0]
    assert {row["solver"]: row["denied"] for row in rows} == {"newton": 1, "bisection": 0}


def liar(solve, problem, name):
    """Claim one per cent more than there is, by one of the methods."""
    solution = solve(problem, name, throw=False)
    if name == "newton":
        object.__setattr__(solution, "objective", 1.01 * solution.objective)
    return solution


def test_a_point_beyond_a_bound_is_named():
    scip = {"kind": "reference", "objective": 1.1, "reported": 1.2, "residual": 1e-9, "verdict": "FEASIBLE"}
    points, row = {"scip": scip}, {"bound": 1.0}
    assert thorough._beyond("newton", row, points, -1.0, 1.0) == [
        "scip has a point beyond the bound of newton",
        "scip reports more than the bound of newton allows",
    ]
    assert thorough._beyond("newton", row, points, 1.0, 1.0) == []
    assert thorough._beyond("closest", {"bound": np.inf}, points, -1.0, 1.0) == []
    not_repaired = {"scip": scip | {"verdict": "FAILED"}}
    assert thorough._beyond("newton", row, not_repaired, -1.0, 1.0) == [
        "scip reports more than the bound of newton allows"
    ]
    estimates = {"simulation": scip | {"objective": 1.0, "reported": 1.003}}
    assert thorough._beyond("enumerate", row, estimates, -1.0, 1.0) == []


def test_the_command_prints_a_table_and_ends_with_an_error_if_anything_is_denied(
    tmp_path, capsys, monkeypatch
):
    asked = ["validate", "--thorough", "--problem", "mix2fld", "--instances", "0", "--certificates", "2"]
    asked += ["--folder", str(tmp_path)]
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert "mix2fld: 2 of 2 instances, certificates" in out
    assert "nothing is denied" in out
    (kept,) = tmp_path.iterdir()
    found = json.loads(kept.read_text())
    kept.write_text(json.dumps(found | {"disagreements": ["mix2fld, seed 0: made up"]}))
    assert main([*asked, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["disagreements"] == ["mix2fld, seed 0: made up"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--jobs", "2"], "--jobs goes with --thorough"),
        (["--thorough", "--seconds", "0"], "--seconds: expected a number above 0, got 0"),
        (["--thorough", "--certificates", "-1"], "--certificates: expected at least 0, got -1"),
        (["--thorough", "--all"], "--all and --baselines: not with --thorough"),
        (["--thorough", "--problem", "feel", "--references", "gurobi"], "--references: unknown 'gurobi'"),
    ],
)
def test_mistakes_are_named(asked, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["validate", *asked]) == 2
    assert message in capsys.readouterr().err


def test_the_page_is_what_the_stored_counts_give():
    page = thorough.page(json.loads(thorough.STORED.read_text())["campaigns"])
    docs = Path(__file__).resolve().parents[2] / "docs" / "validation.md"
    assert docs.read_text() == page, "run: python -m validation.thorough"
