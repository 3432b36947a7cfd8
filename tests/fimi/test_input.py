"""Bad input is refused by name, index and value; a scenario, a file and a table give the same problem."""

import copy
import pickle

import numpy as np
import pytest

import radioopt as ro
from radioopt import ProblemError, Scenario
from radioopt.fimi import LearningCurve, SynthesisProblem
from validation.fimi import zoo


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"local_samples": [1.0, 0.0]},
            r"local_samples: expected > 0, got 0\.0 at index 1 \(1 of 2 invalid\)",
        ),
        ({"channel_gain": np.nan}, r"channel_gain: expected .*> 0, got nan"),
        ({"max_synthetic_samples": -1.0}, r"max_synthetic_samples: expected >= 0, got -1\.0"),
        ({"fixed_synthetic_samples": -1.0}, r"fixed_synthetic_samples: expected >= 0, or inf .*, got -1\.0"),
        (
            {"fixed_synthetic_samples": [3.0, np.inf]},
            r"expected numbers for all devices of an instance or inf for all, got inf at index 1 \(1 of 2 invalid\)",
        ),
        ({"max_global_error": 1.5}, r"max_global_error: expected .*> 0 and <= 1, got 1\.5"),
        ({"max_global_error": 0.0}, r"max_global_error: expected .*> 0 and <= 1, got 0\.0"),
        ({"bandwidth_hz": "wide"}, r"bandwidth_hz: expected real numbers, got 'wide'"),
        ({"curve_gamma": -0.1}, r"curve_gamma: expected >= 0, got -0\.1"),
        ({"learning_curve": 3.0}, r"learning_curve: expected LearningCurve\(alpha, beta, gamma\), got 3\.0"),
        ({"energy_coefficient": np.ones(3)}, "expected 2 values along the device axis|got 3"),
        ({"speed": 1.0}, "no field 'speed'"),
    ],
)
def test_bad_input_is_refused_by_name(changes, message):
    with pytest.raises(ProblemError, match=message):
        zoo.paper(2).replace(**changes)


def test_a_curve_is_needed():
    given = zoo.paper(2).to_dict()
    for name in ("curve_alpha", "curve_beta", "curve_gamma"):
        given.pop(name)
    with pytest.raises(
        ProblemError, match=r"learning_curve: expected LearningCurve\(alpha, beta, gamma\), got None"
    ):
        SynthesisProblem(**given)
    curve = LearningCurve(alpha=4.0, beta=[0.3, 0.4], gamma=0.1)
    batch = SynthesisProblem(**given, learning_curve=curve)
    assert batch.batch_shape == (2,)
    np.testing.assert_array_equal(batch.learning_curve.beta, [0.3, 0.4])
    single = batch.replace(learning_curve=LearningCurve(alpha=5.0, beta=0.2, gamma=0.0))[0]
    assert single.learning_curve == LearningCurve(alpha=5.0, beta=0.2, gamma=0.0)


def test_copies_and_files_keep_every_bit(tmp_path):
    solution = zoo.paper().solve()
    for again in (copy.deepcopy(solution), pickle.loads(pickle.dumps(solution))):
        assert again == solution
    for suffix in ("npz", "json"):
        assert ro.load(solution.save(tmp_path / f"s.{suffix}")) == solution
        assert ro.load(solution.problem.save(tmp_path / f"p.{suffix}")) == solution.problem


def test_tables_have_what_a_user_asks_for():
    frame = zoo.paper().solve().to_frame()
    assert {"synthetic_samples", "compute_time_fraction", "local_error", "energy_j"} <= set(frame.columns)
    np.testing.assert_allclose(frame["energy_j"], frame["compute_energy_j"] + frame["upload_energy_j"])
    assert frame["energy_j"].sum() == pytest.approx(float(zoo.paper().solve().objective), rel=1e-12)


def test_times_fill_the_round():
    solution = zoo.paper().solve()
    np.testing.assert_allclose(solution.compute_time_s + solution.upload_time_s, 60.0, rtol=1e-12)


def test_a_curve_that_falls_below_zero_is_said():
    far = zoo.paper().replace(local_samples=1e10, max_cpu_frequency_hz=1e16, energy_coefficient=1e-40)
    solution = far.solve()
    with pytest.warns(
        UserWarning, match=r"local_error: the learning curve falls below zero beyond .* samples"
    ):
        assert (solution.local_error < 0).all()


def test_a_scenario_poses_it():
    devices = Scenario.load("fimi").draw(seed=1)
    problem = devices.problem("fimi")
    assert problem.sizes["device"] == 20
    assert problem.solve().status.name == "OPTIMAL"
    assert 5500 < problem.solve().synthetic_samples.sum() < 8000
    np.testing.assert_array_equal(problem.max_transmit_power_w, devices.transmit_power_w)
    relaxed = devices.problem("fimi", max_global_error=[0.2, 0.3])
    assert relaxed.batch_shape == (2,)
