"""References of NumPy alone end by themselves at their time limit, and say how far they came."""

import pytest

from validation.dtkd import zoo as dtkd
from validation.mix2fld import zoo as mix2fld
from validation.reference import NoAnswerError, references

pytestmark = pytest.mark.reference


def test_an_enumeration_is_limited_and_fits_one_thread():
    problem = dtkd.named()["deadlines"]
    solve = references("dtkd")["enumeration"].solve
    with pytest.raises(NoAnswerError, match=r"time limit: 0 of 4096 vectors tried"):
        solve(problem, 0.0)
    assert solve(problem, 60.0).objective == pytest.approx(float(problem.solve().objective), rel=1e-9)


def test_a_simulation_is_limited():
    with pytest.raises(NoAnswerError, match=r"time limit: 0 of \d+ plans played"):
        references("mix2fld")["simulation"].solve(mix2fld.named()["paper"], 0.0)
