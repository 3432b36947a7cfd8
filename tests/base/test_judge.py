"""Decisions of one's own: evaluated as a method's are, and what they break said by name, index and amount."""

import numpy as np
import pandas as pd
import pytest

import radioopt
from radioopt import OptionError, ProblemError, Scenario, SolveError, SolveWarning, Status
from radioopt.base.errors import ArgumentError

FAMILIES = ("feel", "fimi", "dtkd", "d2d", "mix2fld")
#: of an optimum, which a point alone does not tell
OF_METHODS = {"iterations", "nodes", "bound", "gap", "status_code"}


def posed(family, seed=1):
    return Scenario.load("feel-cpu" if family == "feel" else family).draw(seed=seed).problem(family)


def decided(solution):
    return {name: getattr(solution, name) for name in solution.decisions}


@pytest.fixture(scope="module", params=FAMILIES)
def solved(request):
    return posed(request.param).solve()


def test_a_methods_decisions_are_judged_to_be_what_the_method_said(solved):
    judged = solved.problem.judge(**decided(solved))
    assert judged.method == "given"
    assert judged.status == solved.status
    for name in solved.quantities:
        if name not in OF_METHODS:
            np.testing.assert_allclose(getattr(judged, name), getattr(solved, name), rtol=1e-8, err_msg=name)


def test_limits_agree_with_the_certificate(solved):
    """What the certificate finds broken is said in words, and nothing else is."""
    rng = np.random.default_rng(3)
    told = 0
    trials = 4 if solved.problem.family == "mix2fld" else 20  # each evaluates all plans
    for _ in range(trials):
        point = {}
        for name, value in decided(solved).items():
            if np.asarray(value).dtype.kind == "f":
                point[name] = value * rng.choice([0.5, 1.0, 1.0, 1.0 + 1e-6, 1.5], np.shape(value))
            elif name == "trains_locally":
                point[name] = value
            else:
                point[name] = value + rng.choice([0, 0, 0, 0, 1, 40], np.shape(value))
        judged = solved.problem.judge(**point, throw=False)
        certificate = solved.problem.certificate(**point)
        assert bool(judged.broken()) == (not certificate.residual <= 1e-9), judged.broken()
        assert not any(
            "relative to its limit" in text for text in judged.broken()
        )  # words of the last resort
        told += bool(judged.broken())
    assert told > trials / 5


def test_what_is_worse_than_optimal_is_told_by_how_much():
    problem = posed("feel")
    best = problem.solve()
    even = problem.judge(
        batchsize=best.batchsize, uplink_slot_s=0.01 / 12, downlink_slot_s=best.downlink_slot_s
    )
    assert even.status is Status.FEASIBLE
    assert even.bound == pytest.approx(best.bound, rel=1e-12)  # not the loose one of this point
    assert even.gap == pytest.approx((best.objective - even.objective) / even.objective, rel=1e-9)
    assert even.round_latency_s > best.round_latency_s


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("feel", lambda d: d | {"batchsize": np.where(np.arange(12) == 3, 130.0, d["batchsize"])},
         r"^BatchsizeProblem.judge: batchsize: expected at most 128 samples at index 3, got 130 samples: "
         r"2 samples \(1.56 %\) too much$"),
        ("feel", lambda d: d | {"uplink_slot_s": d["uplink_slot_s"] * 1.1},
         r"uplink_slot_s: expected a sum of at most 0.01 s, got 0.011 s: 0.001 s \(10 %\) too much"),
        ("feel", lambda d: d | {"downlink_slot_s": np.zeros(12)},
         r"downlink_slot_s: expected more than 0 s at index 0 \(12 of 12 broken\), got 0 s"),
        ("fimi", lambda d: d | {"bandwidth_hz": d["bandwidth_hz"] * 2}, r"bandwidth_hz: expected a sum of at most"),
        ("fimi", lambda d: d | {"synthetic_samples": -d["synthetic_samples"]}, r"synthetic_samples: expected at least"),
        ("dtkd", lambda d: d | {"model": d["model"] + 9}, r"model: expected a position 0 \.\.\. \d+ in the catalogue"),
        ("dtkd", lambda d: d | {"bandwidth_hz": d["bandwidth_hz"] * 2}, r"bandwidth_hz: expected a sum of at most"),
        ("d2d", lambda d: {"source": np.arange(d["source"].size)}, r"source: expected -1, or another device 0 \.\.\. "),
        ("mix2fld", lambda d: d | {"max_slots": 7}, r"max_slots: expected one of the candidates"),
    ],
)  # fmt: skip
def test_infeasible_decisions_are_told_by_name_index_and_amount(family, change, message):
    problem = posed(family)
    given = change(decided(problem.solve()))
    with pytest.raises(SolveError, match=message) as raised:
        problem.judge(**given)
    assert raised.value.solution.method == "given"
    assert problem.judge(**given, throw=False).status is Status.FAILED


def test_names_that_are_wrong_or_missing():
    problem = posed("feel")
    with pytest.raises(ArgumentError, match=r"judge: unknown uplink_slot; did you mean uplink_slot_s\?"):
        problem.judge(batchsize=1, uplink_slot=0.1)
    with pytest.raises(ArgumentError, match="judge: missing uplink_slot_s, downlink_slot_s: give batchsize"):
        problem.judge(batchsize=1)
    with pytest.raises(ProblemError, match=r"judge.batchsize: expected shape \(12,\), got \(3,\)"):
        problem.judge(batchsize=[1, 2, 3], uplink_slot_s=0.001, downlink_slot_s=0.001)
    with pytest.raises(ProblemError, match=r"judge.batchsize: expected real numbers"):
        problem.judge(batchsize="many", uplink_slot_s=0.001, downlink_slot_s=0.001)
    with pytest.raises(ProblemError, match=r"judge.source: expected a whole number, got 0.5"):
        posed("d2d").judge(source=0.5)


def test_series_are_put_into_the_order_of_the_devices():
    names = ["a", "b", "c"]
    problem = radioopt.feel.BatchsizeProblem.cpu(
        cpu_frequency_hz=pd.Series([0.7e9, 1.4e9, 2.1e9], names), cycles_per_sample=7e7, update_cycles=1e8,
        payload_bits=1e6, uplink_rate_bps=pd.Series([20e6, 35e6, 50e6], names), downlink_rate_bps=40e6,
        max_batchsize=128,
    )  # fmt: skip
    best = problem.solve()
    table = best.to_frame().iloc[::-1]
    judged = problem.judge(**{name: table[name] for name in best.decisions})
    assert judged.status is Status.OPTIMAL
    with pytest.raises(SolveError, match=r"expected at most 128 samples at index 1 \(b\), got 200"):
        problem.judge(batchsize=[1, 200, 1], uplink_slot_s=0.003, downlink_slot_s=0.003)
    with pytest.raises(ProblemError, match="expected a Series with the labels of the problem's devices"):
        problem.judge(
            batchsize=pd.Series([1, 1, 1], ["a", "b", "d"]), uplink_slot_s=0.003, downlink_slot_s=0.003
        )


def test_a_batch_is_judged_instance_by_instance_and_warns():
    problem = Scenario.load("feel-cpu").draw(seed=1, size=3).problem("feel")
    best = problem.solve()
    slots = best.uplink_slot_s * np.array([[1.0], [1.1], [1.0]])
    with pytest.warns(SolveWarning, match="method 'given': 1 of 3 instances are not answered: 1 FAILED"):
        judged = problem.judge(
            batchsize=best.batchsize, uplink_slot_s=slots, downlink_slot_s=best.downlink_slot_s
        )
    assert judged.status.tolist() == [0, 5, 0]
    assert judged[0] == problem[0].judge(**decided(best[0]))
    with pytest.raises(SolveError, match=r"judge at instance 1 of the batch: uplink_slot_s: expected a sum"):
        judged.raise_for_status()
    with pytest.raises(TypeError, match="index the batch"):
        judged.broken()


def test_a_judged_solution_is_kept_shown_and_drawn(tmp_path, solved):
    judged = solved.problem.judge(**decided(solved))
    assert radioopt.load(judged.save(tmp_path / "own.json")) == judged
    assert "by 'given'" in repr(judged)
    assert len(judged.to_frame()) == judged.sizes["device"]
    assert judged.summary()["method"] == "given"


def test_a_solution_is_not_taken_for_options():
    problem = posed("feel")
    with pytest.raises(
        OptionError, match=r"judge: options: .* decisions are given by name: batchsize=\.\.\., uplink"
    ):
        problem.judge(problem.solve())


def test_a_sum_of_what_is_no_number():
    with pytest.raises(SolveError, match=r"uplink_slot_s: expected a sum that is a number, got nan"):
        posed("feel").judge(batchsize=1, uplink_slot_s=np.nan, downlink_slot_s=1e-4)
