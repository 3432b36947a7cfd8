"""FIMI by generic solvers: the same optimum, the same verdict on what is infeasible, and their own units."""

import numpy as np
import pytest

from radioopt import OptionError, Status
from validation import worker
from validation.fimi import cvxpy_model, ipopt_model, zoo
from validation.fimi.ipopt_model import Program, starts
from validation.fimi.scaling import Scaling
from validation.reference import NoAnswerError, references

NAMED = zoo.named()
#: IPOPT wanders off where the signal-to-noise ratio it starts from is a million times that of the answer
HARD_FOR_IPOPT = {"tiny_payload"}
TIGHTENED = ("bandwidth_hz", "max_round_latency_s", "max_cpu_frequency_hz", "max_transmit_power_w", "budget")


def answers(problem, count, seed=0):
    """What IPOPT makes of a problem from several starts: energy, status, and the certificate of its point."""
    scale, program = Scaling.of(problem), Program(problem.sizes["device"], 20.0)
    for start in starts(scale, count, seed):
        point, energy, status = program.solve(scale, start)
        yield energy, status, problem.certificate(**scale.decisions(problem, *point))


def check_agreement(problem, count, seed=0):
    """IPOPT ends at our optimum from every start, and never below its bound."""
    best = problem.solve()
    for energy, status, certificate in answers(problem, count, seed):
        assert status in ("Solve_Succeeded", "Solved_To_Acceptable_Level")
        assert certificate.residual <= 1e-11
        assert energy == pytest.approx(best.objective, rel=1e-9)
        assert energy >= best.bound * (1 - 1e-10)


@pytest.mark.reference
@pytest.mark.parametrize("name", sorted(set(NAMED) - HARD_FOR_IPOPT))
def test_ipopt_agrees_on_named_instances(name):
    check_agreement(NAMED[name], 2)


@pytest.mark.reference
def test_ipopt_agrees_on_random_instances():
    for seed in range(8):
        check_agreement(zoo.random(seed, max_devices=20), 3, seed)


@pytest.mark.exhaustive
@pytest.mark.reference
def test_ipopt_agrees_on_a_hundred_instances_from_several_starts():
    for seed in range(100, 200):
        check_agreement(zoo.random(seed), 4, seed)


def tighten(problem, name, factor):
    """The same instance with less of something."""
    if name == "budget":
        return zoo.with_budget(problem, problem.learning_budget * factor)
    return problem.replace(**{name: getattr(problem, name) * factor})


def threshold(problem, name):
    """Least factor at which radioopt finds an answer."""
    low, high = 1e-6, 1.0
    while high / low > 1 + 1e-9:
        middle = np.sqrt(low * high)
        if tighten(problem, name, middle).solve(throw=False).status is Status.OPTIMAL:
            high = middle
        else:
            low = middle
    return high


def check_refusals(seed):
    """A thousandth below the threshold IPOPT finds nothing either; a thousandth above there is an answer."""
    problem = zoo.random(seed, max_devices=12)
    for name in TIGHTENED:
        factor = threshold(problem, name)
        beyond, within = (tighten(problem, name, factor * ratio) for ratio in (1 - 1e-3, 1 + 1e-3))
        assert beyond.solve(throw=False).status is Status.INFEASIBLE, (seed, name)
        for _, status, certificate in answers(beyond, 2, seed):
            assert status != "Solve_Succeeded", (seed, name)
            assert not certificate.residual < 1e-6, (seed, name)
        assert within.solve().verify().residual <= 1e-9, (seed, name)


@pytest.mark.reference
def test_ipopt_confirms_what_is_refused():
    for seed in (3, 4):
        check_refusals(seed)
    for name, problem in zoo.infeasible().items():
        for _, status, certificate in answers(problem, 1):
            assert status != "Solve_Succeeded", name
            assert not certificate.residual < 1e-6, name


@pytest.mark.exhaustive
@pytest.mark.reference
def test_ipopt_confirms_forty_refusals():
    for seed in range(8):  # five limits each
        check_refusals(seed)


@pytest.mark.reference
@pytest.mark.parametrize(
    "name", ["paper", "learning_slack", "some_at_max_samples", "some_at_max_power", "six_decades_of_gain"]
)
def test_cvxpy_agrees(name):
    """Clarabel's accuracy on these: 3e-7 at the worst, one in a thousand million where it says optimal."""
    problem = NAMED[name]
    answer, best = cvxpy_model.solve(problem, 20.0), problem.solve()
    certificate = problem.certificate(**problem.repair(**answer.decisions))
    assert certificate.objective == pytest.approx(best.objective, rel=3e-7)
    assert answer.objective == pytest.approx(best.objective, rel=3e-7)
    np.testing.assert_allclose(answer.decisions["bandwidth_hz"], best.bandwidth_hz, rtol=1e-3)
    assert 0 < answer.modelling_seconds < answer.seconds


@pytest.mark.exhaustive
@pytest.mark.reference
def test_cvxpy_agrees_on_named_and_random_instances():
    """Where Clarabel gives an answer, and the exponents of the program stay within some decades of each other."""
    cases = {name: NAMED[name] for name in NAMED if name != "tiny_payload"}
    cases |= {str(seed): zoo.random(seed, max_devices=20) for seed in range(40)}
    unanswered = []
    for name, problem in cases.items():
        try:
            answer, best = cvxpy_model.solve(problem, 20.0), problem.solve()
        except NoAnswerError:
            unanswered.append(name)
            continue
        certificate = problem.certificate(**problem.repair(**answer.decisions))
        assert certificate.objective == pytest.approx(best.objective, rel=1e-6), name
    assert len(unanswered) <= 2, unanswered


def scip(problem, time_limit_s):
    """SCIP in a process of its own: beside other solvers it may wait for good."""
    return worker.ask(references("fimi")["pyomo-scip"], problem, time_limit_s)


@pytest.mark.reference
def test_scip_proves_one_device_optimal():
    """No local search: SCIP closes the gap on the paper's problem as it stands."""
    problem = NAMED["one_device"]
    answer, best = scip(problem, 60.0), problem.solve()
    assert answer.status.startswith("optimal")
    assert answer.objective == pytest.approx(best.objective, rel=1e-7)


@pytest.mark.exhaustive
@pytest.mark.reference
@pytest.mark.parametrize("devices", [2, 3])
def test_scip_finds_nothing_better(devices):
    problem = zoo.paper(devices, seed=devices + 1)
    answer, best = scip(problem, 10.0), problem.solve()  # given more time SCIP may forget its limit
    certificate = problem.certificate(**problem.repair(**answer.decisions))
    assert certificate.objective == pytest.approx(best.objective, rel=1e-6)
    assert certificate.objective >= best.objective * (1 - 1e-7)


@pytest.mark.reference
def test_answers_are_in_the_units_of_the_problem():
    problem = NAMED["two_devices"].replace(local_epochs=2.0, bandwidth_hz=3e6)
    best = problem.solve()
    for solve in (ipopt_model.solve, cvxpy_model.solve):
        answer = solve(problem, 20.0)
        for name, value in answer.decisions.items():
            np.testing.assert_allclose(value, getattr(best, name), rtol=1e-4)


@pytest.mark.reference
def test_solvers_without_an_answer_say_so():
    problem = zoo.infeasible()["band_too_narrow"]
    with pytest.raises(NoAnswerError, match="Infeasible_Problem_Detected"):
        ipopt_model.solve(problem, 20.0)
    with pytest.raises(NoAnswerError, match="infeasible"):
        cvxpy_model.solve(problem, 20.0)


def test_the_quadrature_is_exact_where_it_is_used():
    node, weight = np.polynomial.legendre.leggauss(cvxpy_model.NODES)
    u = np.linspace(0.01, 16.0, 200)
    mean = (weight / 2 * np.exp(u[:, None] * (node + 1) / 2)).sum(-1)
    np.testing.assert_allclose(mean, np.expm1(u) / u, rtol=1e-13)


@pytest.mark.parametrize("name", NAMED)
def test_scales_are_of_order_one(name):
    """The optimum in scaled variables, and its energy, are within a few orders of magnitude of 1."""
    problem = NAMED[name]
    scale, best = Scaling.of(problem), problem.solve()
    assert 1e-3 < best.objective / scale.energy < 1e3
    back = scale.decisions(
        problem,
        best.samples / problem.settled().local_samples,
        best.cpu_frequency_hz / problem.max_cpu_frequency_hz,
        best.bandwidth_hz / scale.band,
        best.transmit_power_w / problem.max_transmit_power_w,
    )
    np.testing.assert_allclose(back["synthetic_samples"], best.synthetic_samples, atol=1e-9)
    for decision in ("cpu_frequency_hz", "bandwidth_hz", "transmit_power_w"):
        np.testing.assert_allclose(back[decision], getattr(best, decision), rtol=1e-12)


def test_a_batch_has_no_scales():
    with pytest.raises(OptionError, match=r"expected a single instance, got a batch of \(2,\): index it"):
        Scaling.of(zoo.random_batch(np.random.default_rng(1), 2, 2))
