"""Once the samples are at the devices, only frequency, bandwidth and power are chosen, and the error is theirs."""

import numpy as np
import pytest

import radioopt as ro
from radioopt import ProblemError, Scenario, Status
from radioopt.fimi.certificate import implied_bound
from validation import cross_check
from validation.fimi import zoo

CELL = zoo.paper()


def test_the_first_solution_comes_back():
    solution = CELL.solve()
    again = CELL.replace(fixed_synthetic_samples=solution.synthetic_samples).solve()
    assert float(again.objective) == pytest.approx(float(solution.objective), abs=1e-12)
    np.testing.assert_array_equal(again.synthetic_samples, solution.synthetic_samples)
    for name in ("cpu_frequency_hz", "bandwidth_hz", "transmit_power_w"):
        np.testing.assert_allclose(getattr(again, name), getattr(solution, name), rtol=1e-11)
    assert again.price_learning_j == 0
    assert again.verify().status == Status.OPTIMAL


def test_other_samples_cost_more_and_other_channels_are_answered():
    solution = CELL.solve()
    held = solution.synthetic_samples
    moved = CELL.replace(fixed_synthetic_samples=held[::-1].copy()).solve()
    assert moved.objective > solution.objective * (1 + 1e-6)
    faded = CELL.replace(
        fixed_synthetic_samples=held, channel_gain=CELL.channel_gain * np.linspace(0.5, 2, 20)
    )
    fixed = faded.solve()
    assert fixed.status is Status.OPTIMAL
    assert fixed.objective >= faded.replace(fixed_synthetic_samples=np.inf).solve().objective


def test_the_error_is_no_limit_any_more():
    few = CELL.replace(fixed_synthetic_samples=0.0)
    assert few.solve().objective == pytest.approx(
        float(CELL.without_synthetic_data().solve().objective), rel=1e-12
    )
    assert few.without_synthetic_data().solve().status is Status.OPTIMAL
    assert (
        few.replace(learning_curve=ro.fimi.LearningCurve(500.0, 0.3, 0.05)).solve().status is Status.OPTIMAL
    )


def test_all_methods_answer_it():
    fixed = CELL.replace(fixed_synthetic_samples=np.resize([100.0, 400.0, 0.0], 20))
    least = float(fixed.solve().objective)
    assert float(fixed.solve("integer").objective) == pytest.approx(least, rel=1e-12)
    assert least < fixed.solve("equal-bandwidth").objective < 1.05 * least
    assert least < fixed.solve("cross-entropy", rounds=20).objective < 1.05 * least
    with pytest.raises(ProblemError, match=r"fixed_synthetic_samples: expected whole numbers, got 0\.5"):
        CELL.replace(fixed_synthetic_samples=0.5).solve("integer")


def test_a_point_with_other_samples_is_infeasible():
    fixed = CELL.replace(fixed_synthetic_samples=300.0)
    point = {
        name: getattr(fixed.solve(), name)
        for name in ("cpu_frequency_hz", "bandwidth_hz", "transmit_power_w")
    }
    wrong = fixed.certificate(synthetic_samples=np.full(20, 299.0), **point)
    assert wrong.residuals["synthetic_samples"] == pytest.approx(1 / 1550, rel=1e-12)
    repaired = fixed.repair(synthetic_samples=np.full(20, 299.0), **point)
    np.testing.assert_array_equal(repaired["synthetic_samples"], 300.0)


def test_a_batch_mixes_both():
    held = CELL.solve().synthetic_samples
    batch = CELL.replace(fixed_synthetic_samples=np.stack([held, np.full(20, np.inf), np.zeros(20)]))
    solution = batch.solve()
    for i, single in enumerate((batch[0], CELL, batch[2])):
        assert solution[i].objective == pytest.approx(float(single.solve().objective), rel=1e-12)
    assert (solution.price_learning_j[[0, 2]] == 0).all()
    assert solution.price_learning_j[1] > 0
    whole = batch[1:].solve("integer")
    assert float(whole[1].synthetic_samples.sum()) == 0
    assert (whole[0].synthetic_samples == np.floor(whole[0].synthetic_samples)).all()


def test_a_scenario_may_fix_them(tmp_path):
    fixed = Scenario.load("fimi").replace({"fimi.fixed_synthetic_samples": 250})
    problem = fixed.draw(seed=1).problem("fimi")
    np.testing.assert_array_equal(problem.fixed_synthetic_samples, 250.0)
    solution = problem.solve()
    for suffix in ("npz", "json"):
        assert ro.load(solution.save(tmp_path / f"s.{suffix}")) == solution


@pytest.mark.reference
def test_generic_solvers_agree():
    problem = zoo.paper(3, seed=2).replace(fixed_synthetic_samples=[100.0, 0.0, 500.0])
    table = cross_check(
        problem, time_limit_s=2.0
    )  # SCIP has the answer at once, and takes minutes to prove it
    solvers = ["cvxpy", "ipopt", "pyomo-scip"]
    assert table.loc[solvers, "verdict"].tolist() == ["OPTIMAL"] * 3
    np.testing.assert_allclose(table.loc[solvers, "objective"], table.loc["newton", "objective"], rtol=1e-7)


def test_bound_and_prices_of_a_solution_are_one_computation():
    solution = CELL.solve("equal-bandwidth")
    point = solution.samples, solution.bandwidth_hz, solution.transmit_power_w
    bound, learning, band = implied_bound(CELL, *point)
    assert (solution.bound, solution.price_learning_j, solution.price_bandwidth_j_per_hz) == (
        bound,
        learning,
        band,
    )
