"""The models of the generic solvers, called directly: units, scales, options."""

import numpy as np
import pytest

from radioopt import OptionError
from validation.feel import cvxpy_model, ipopt_model, zoo
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


def test_ipopt_refuses_what_its_model_lacks():
    with pytest.raises(NoAnswerError, match="no fixed total batch, deadline or broadcast: ask cvxpy"):
        ipopt_model.solve(NAMED["paper_cpu"].replace(downlink="broadcast"), 20.0)


@pytest.mark.reference
def test_cvxpy_reports_an_infeasible_deadline():
    with pytest.raises(NoAnswerError, match="infeasible"):
        cvxpy_model.solve(NAMED["paper_cpu"].replace(max_round_latency_s=1e-3), 20.0)
