"""The models of the generic solvers, called directly: units, scales, options."""

import numpy as np
import pytest

from radioopt import OptionError
from radioopt.feel import BatchsizeProblem
from validation.feel import cvxpy_model, ipopt_model, pyomo_model, zoo
from validation.feel.scaling import Scaling
from validation.reference import NoAnswerError

NAMED = zoo.named()
UNITS = pytest.mark.parametrize("solve", [cvxpy_model.solve, ipopt_model.solve], ids=["cvxpy", "ipopt"])


@pytest.mark.parametrize("name", NAMED)
def test_scales_are_those_of_a_feasible_point(name):
    problem = NAMED[name]
    scale = Scaling.of(problem)
    certificate = problem.certificate(
        **scale.decisions(problem, problem.min_batchsize / scale.batch, 1.0, 1.0)
    )
    assert certificate.residual <= 1e-12
    assert certificate.objective <= problem.solve().objective
    assert (scale.batch >= problem.min_batchsize).all()
    assert (scale.batch <= problem.max_batchsize).all()


def test_a_batch_has_no_scales():
    with pytest.raises(OptionError, match=r"expected a single instance, got a batch of \(2,\): index it"):
        Scaling.of(zoo.random_batch(np.random.default_rng(1), 2, 2))


@UNITS
@pytest.mark.reference
def test_answers_are_in_the_units_of_the_problem(solve):
    problem = NAMED["paper_gpu"].replace(uplink_frame_s=1.0, downlink_frame_s=1e-4, loss_decay=7.0)
    answer, best = solve(problem, 20.0), problem.solve()
    assert answer.objective == pytest.approx(best.objective, rel=1e-7)
    assert answer.decisions["uplink_slot_s"].sum() == pytest.approx(1.0, rel=1e-7)
    assert answer.decisions["downlink_slot_s"].sum() == pytest.approx(1e-4, rel=1e-7)
    np.testing.assert_allclose(answer.decisions["batchsize"], best.batchsize, rtol=1e-3)
    assert 0 < answer.modelling_seconds <= answer.seconds


@pytest.mark.reference
@pytest.mark.parametrize(
    "solve", [cvxpy_model.solve, pyomo_model.solve_convex_form], ids=["cvxpy", "pyomo-scip-convex"]
)
def test_an_infeasible_deadline_is_reported(solve):
    with pytest.raises(NoAnswerError, match=r"(?i)infeasible"):
        solve(NAMED["paper_cpu"].replace(max_round_latency_s=1e-3), 20.0)


@pytest.mark.reference
def test_whole_samples_are_whole_and_below_a_threshold_where_that_is_best():
    problem = BatchsizeProblem.gpu(
        seconds_per_sample=1.0,  # the sample beyond the threshold is not worth its second
        base_time_s=1.0,
        threshold_batchsize=[3.7, 2.2],
        update_time_s=0.01,
        payload_bits=1e5,
        uplink_rate_bps=1e7,
        downlink_rate_bps=1e7,
        max_batchsize=[9.5, 8],
    )
    answer = pyomo_model.solve_whole_samples(problem, 20.0)
    np.testing.assert_array_equal(answer.decisions["batchsize"], [3.0, 2.0])
    np.testing.assert_array_equal(problem.solve(integer=True).batchsize, [3.0, 2.0])
