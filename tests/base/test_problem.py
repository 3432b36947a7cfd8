"""Problems: choosing a method, options, errors that carry the answer, families."""

import math
import pickle
import re

import numpy as np
import pytest

import radioopt
from radioopt.base.errors import (
    MissingExtraError,
    OptionError,
    ProblemError,
    RadioOptError,
    SolveError,
    SolveWarning,
    require,
)
from radioopt.base.options import SolveOptions
from radioopt.base.problem import problem_class, solve
from radioopt.base.rooms import families
from radioopt.base.status import Status
from radioopt.feel import BatchsizeProblem

# the slow device reaches both limits, which takes the method several passes
HARD = BatchsizeProblem(
    payload_bits=1e6,
    uplink_rate_bps=[1e7, 1e7, 1e5],
    downlink_rate_bps=1e7,
    seconds_per_sample=[1e-3, 10.0, 1.0],
    update_time_s=0.1,
    max_batchsize=[128, 128, 2],
)


def test_the_first_method_is_the_default():
    solution = HARD.solve()
    assert solution.method == next(iter(BatchsizeProblem.methods))
    assert BatchsizeProblem.methods[solution.method].exact
    assert solve(HARD, solution.method) == solution


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "simplex"}, r"BatchsizeProblem\.solve: unknown method 'simplex', choose from newton"),
        ({"method": "newton", "colour": 1}, r"method 'newton': unknown option 'colour', it takes: "),
    ],
)
def test_unknown_methods_and_options(arguments, message):
    with pytest.raises(OptionError, match=message):
        HARD.solve(**arguments)


def test_a_solve_error_carries_the_answer():
    options = SolveOptions(max_iterations=1)
    with pytest.raises(
        SolveError, match=r"BatchsizeProblem, method 'newton': ITERATION_LIMIT: .*\(gap"
    ) as caught:
        HARD.solve(options=options)
    solution = caught.value.solution
    assert solution.problem is HARD
    assert solution.status is Status.ITERATION_LIMIT
    assert solution.gap > options.gap_tol
    assert HARD.solve(options=options, throw=False) == solution
    with pytest.raises(SolveError):
        solution.raise_for_status()
    sent = pickle.loads(pickle.dumps(caught.value))  # as a process of a pool would
    assert (str(sent), sent.solution) == (str(caught.value), solution)


def test_a_batch_does_not_raise_by_itself():
    easy = HARD.replace(uplink_rate_bps=1e7, seconds_per_sample=0.1, max_batchsize=128)
    both = HARD.replace(
        uplink_rate_bps=[easy.uplink_rate_bps, HARD.uplink_rate_bps],
        seconds_per_sample=[easy.seconds_per_sample, HARD.seconds_per_sample],
        max_batchsize=[easy.max_batchsize, HARD.max_batchsize],
    )
    said = (
        r"BatchsizeProblem, method 'newton': 1 of 2 instances are not answered: 1 ITERATION_LIMIT, the first at 1: "
        r"look at solution.status; SolveOptions\(warn=False\) leaves out this warning"
    )
    with pytest.warns(SolveWarning, match=said) as warned:
        solution = both.solve(options=SolveOptions(max_iterations=2))
    assert (len(warned), warned[0].filename) == (1, __file__)
    assert both.solve(options=SolveOptions(max_iterations=2, warn=False)) == solution
    assert both.solve(options=SolveOptions(max_iterations=2), throw=False) == solution
    assert [Status(code).name for code in solution.status] == ["OPTIMAL", "ITERATION_LIMIT"]
    with pytest.raises(SolveError, match="at instance 1 of the batch: ITERATION_LIMIT"):
        solution.raise_for_status()
    assert solution[0].raise_for_status() == solution[0]
    with pytest.raises(TypeError, match="summary"):
        solution.summary()


def test_a_batch_shows_what_has_an_answer_and_counts_the_rest():
    easy = HARD.replace(uplink_rate_bps=1e7, seconds_per_sample=0.1, max_batchsize=128)
    deadlines = np.array([1e-9, 1e9, 2e9])
    solution = easy.replace(max_round_latency_s=deadlines).solve(options=SolveOptions(warn=False))
    head, *rows = repr(solution).split("\n")
    assert "batch of 3 x (3 devices), 2 OPTIMAL, 1 INFEASIBLE by 'newton', largest gap " in head
    assert head.endswith("; ranges over the 2 with an answer")
    assert "nan" not in repr(solution)
    assert rows == repr(solution[1:]).split("\n")[1:]
    nothing = repr(solution[:1])
    assert "batch of 1 x (3 devices), 1 INFEASIBLE by 'newton'\n" in nothing
    with pytest.raises(OptionError, match=r"SolveOptions\.warn: expected True or False, got 1"):
        SolveOptions(warn=1)


def test_verify_agrees_with_the_solver():
    solution = HARD.solve()
    certificate = solution.verify()
    assert Status(certificate.status) is Status.OPTIMAL
    assert certificate.objective == pytest.approx(solution.objective, rel=1e-12)
    assert certificate.bound == pytest.approx(solution.bound, rel=1e-9)
    summary = solution.summary()
    assert (summary["status"], summary["method"]) == ("OPTIMAL", "newton")
    assert "status_code" not in summary


def test_replace_validates_anew():
    assert HARD.replace(payload_bits=2e6).payload_bits == 2e6
    assert HARD.replace() == HARD
    with pytest.raises(
        ProblemError, match=r"BatchsizeProblem\.replace: no field 'payload', choose from payload_"
    ):
        HARD.replace(payload=2e6)
    with pytest.raises(ProblemError, match=r"payload_bits: expected > 0, got 0\.0"):
        HARD.replace(payload_bits=0.0)


def test_conditions_on_several_fields():
    with pytest.raises(ProblemError, match=r"min_batchsize: expected <= max_batchsize, got 3\.0 at index 2"):
        HARD.replace(min_batchsize=3.0)


def test_families():
    assert "feel" in families()
    assert "base" not in families()
    for family in families():
        cls = problem_class(family)
        assert cls.family == family
        assert cls.sense in ("min", "max")
        assert cls.methods
        assert all(method.summary.endswith((".", "")) and method.summary for method in cls.methods.values())
    with pytest.raises(OptionError, match=r"unknown problem 'feal', choose from .*feel"):
        problem_class("feal")


def test_families_are_looked_for_once(monkeypatch):
    families()
    monkeypatch.setattr("pkgutil.iter_modules", lambda path: pytest.fail("the folders are read again"))
    assert problem_class("feel").family == "feel"


@pytest.mark.parametrize("name", ["gap_tol", "feasibility_tol"])
@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, "1e-9", None, True])
def test_tolerances_are_checked(name, value):
    with pytest.raises(OptionError, match=rf"SolveOptions\.{name}: expected a finite number >= 0, got "):
        SolveOptions(**{name: value})


@pytest.mark.parametrize("value", [0, -1, 1.0, math.inf, "1", None, True])
def test_limits_are_checked(value):
    with pytest.raises(OptionError, match=r"SolveOptions\.max_iterations: expected an integer >= 1, got "):
        SolveOptions(max_iterations=value)


def test_numpys_numbers_are_options():
    options = SolveOptions(gap_tol=np.float32(0), feasibility_tol=0, max_iterations=np.int64(7))
    assert HARD.solve(options=options, throw=False).iterations <= 7


def test_one_hierarchy_of_errors():
    for error, builtin in [
        (ProblemError, ValueError),
        (OptionError, ValueError),
        (SolveError, RuntimeError),
        (MissingExtraError, ImportError),
    ]:
        assert issubclass(error, builtin)
        assert issubclass(error, RadioOptError)
        assert getattr(radioopt, error.__name__) is error


def test_a_missing_extra_says_how_to_install_it():
    with pytest.raises(
        MissingExtraError, match=r"^no_such is not installed: pip install 'radioopt\[plot\]'$"
    ):
        require("no_such.module", "plot")


def test_an_error_inside_an_extra_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_extra.py").write_text("raise ValueError('broken')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="broken"):
        require("broken_extra", "plot")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"integer": "no"}, "integer: expected True or False, got 'no'"),
        ({"integer": [1]}, "integer: expected True or False, got [1]"),
        ({"integer": 1}, "integer: expected True or False, got 1"),
        ({"integer": True, "node_limit": 10.0}, "node_limit: expected a whole number, got 10.0"),
        ({"integer": True, "node_limit": True}, "node_limit: expected a whole number, got True"),
    ],
)
def test_an_option_of_another_type_is_refused(options, expected):
    with pytest.raises(
        OptionError, match=f"^{re.escape(f'method {chr(39)}newton{chr(39)}: option {expected}')}$"
    ):
        HARD.solve("newton", **options)


def test_numpys_scalars_are_options_as_well():
    assert HARD.solve(integer=np.bool_(True), node_limit=np.int64(100)) == HARD.solve(integer=True)
    assert HARD.solve(integer=np.bool_(False)) == HARD.solve()


def test_options_are_solve_options():
    with pytest.raises(
        OptionError, match=r"options: expected SolveOptions\(\.\.\.\), got {'gap_tol': 1e-06}$"
    ):
        HARD.solve(options={"gap_tol": 1e-6})


@pytest.mark.parametrize(
    ("gap", "advice"),
    [
        (math.inf, "no bound: check units and scale of the inputs"),
        (1e-15, "that is rounding, which no method proves away: raise gap_tol"),
        (1e-3, "raise gap_tol if that will do; if not, check units and scale of the inputs"),
    ],
)
def test_an_exact_method_that_proves_too_little_says_what_to_change(gap, advice):
    solution = HARD.solve()
    blocks = {key: block.copy() for key, block in solution._blocks.items()}
    for name, value in (("gap", gap), ("status_code", Status.FEASIBLE)):
        key, row = solution._layout.rows[name]
        blocks[key][row] = value
    with pytest.raises(SolveError, match=rf"no bound \(gap {re.escape(f'{gap:.3g}')}; {advice}\)$"):
        type(solution)(HARD, "newton", blocks).raise_for_status()
    assert "exact method" not in Status.FEASIBLE.message


def test_the_library_lists_its_public_names_alone():
    listed = set(dir(radioopt))
    assert set(radioopt.__all__) <= listed
    assert not {"Any", "TYPE_CHECKING", "annotations", "importlib"} & listed
