"""Measured devices: a device that becomes slower is noticed soon, outliers are not, and the plan follows."""

import numpy as np
import pytest

from learning.radio.base import Plan
from learning.radio.measured import LIMIT, Factors, Measured
from learning.radio.tdma import BatchPlanner
from radioopt import OptionError, ProblemError, Scenario

DEVICES, ROUNDS, CHANGE, SLOW = 12, 40, 10, 3.0
HELD = np.full(DEVICES, 128)


def test_steady_noise_is_averaged_and_leaves_the_factor_near_one():
    rng, factors = np.random.default_rng(0), Factors(50)
    for _ in range(60):
        factors.learn(np.exp(0.05 * rng.normal(size=50)))
    np.testing.assert_allclose(factors.values, 1.0, atol=0.1)


@pytest.mark.parametrize("factor", [3.0, 1 / 3, 1e-4])
def test_a_change_is_noticed_after_three_measurements(factor):
    factors, seen = Factors(2), []
    for _ in range(5):
        factors.learn([1.0, 1.0])
    for _ in range(3):
        factors.learn([factor, 1.0])
        seen.append(factors.values[0])
    assert seen[2] == pytest.approx(factor)
    assert abs(np.log(seen[1])) < 0.1
    assert factors.values[1] == 1.0


def test_one_outlier_hardly_moves_it_and_two_in_different_directions_neither():
    factors = Factors(1)
    for ratio in (1.0, 20.0, 1.0, 15.0, 0.05, 18.0, 1.0):
        factors.learn([ratio])
    assert factors.values[0] == pytest.approx(1.0, abs=0.03)


def test_three_outliers_that_do_not_agree_are_no_change():
    factors = Factors(1)
    for ratio in (1.0, 1.0, 1.0, 4.0, 8.0, 18.0):
        factors.learn([ratio])
    assert factors.values[0] < 1.05


def test_the_first_three_measurements_are_believed_whatever_the_scenario_says():
    factors, seen = Factors(1), []
    for ratio in (2e-4, 1e-5, 4e-5):
        factors.learn([ratio])
        seen.append(factors.values[0])
    assert seen == pytest.approx([1.0, 1.0, 4e-5])


def test_noise_that_grows_is_followed():
    rng, factors = np.random.default_rng(0), Factors(20)
    for _ in range(5):
        factors.learn(np.exp(0.01 * rng.normal(size=20)))
    for _ in range(100):
        factors.learn(2 * np.exp(0.7 * rng.normal(size=20)))
    assert 1.6 < np.median(factors.values) < 2.5


def test_what_was_not_measured_changes_nothing():
    factors = Factors(4)
    factors.learn([1.1, 0.9, 1.2, 1.3])
    before = factors.values
    factors.learn([np.nan, np.inf, 0.0, -1.0])
    np.testing.assert_array_equal(factors.values, before)


def test_a_missing_measurement_does_not_break_a_row_of_three():
    factors = Factors(1)
    for ratio in (3.0, np.nan, 3.0, np.nan, 3.0):
        factors.learn([ratio])
    assert factors.values[0] == pytest.approx(3.0)


def test_factors_stay_in_bounds():
    factors = Factors(1)
    for _ in range(3):
        factors.learn([1e300])
    assert factors.values[0] == pytest.approx(LIMIT)
    with pytest.raises(ProblemError, match="ratio: expected one for each of 1 devices"):
        factors.learn([1.0, 2.0])


def test_slower_devices_have_problems_of_longer_times_and_nothing_else():
    devices = Scenario.load("feel-cpu").draw(seed=1)
    slower = devices.slower(compute=2.0, upload=np.arange(1.0, 13.0))
    one, other = devices.problem("feel"), slower.problem("feel")
    np.testing.assert_allclose(other.seconds_per_sample, 2 * one.seconds_per_sample)
    np.testing.assert_allclose(other.update_time_s, 2 * one.update_time_s)
    np.testing.assert_allclose(other.uplink_rate_bps, one.uplink_rate_bps / np.arange(1, 13))
    np.testing.assert_array_equal(other.downlink_rate_bps, one.downlink_rate_bps)
    np.testing.assert_array_equal(slower.cpu_frequency_hz, devices.cpu_frequency_hz)
    with pytest.raises(ProblemError, match=r"Devices\.slower.*compute"):
        devices.slower(compute=0.0)
    with pytest.raises(ProblemError, match=r"Devices\.slower\.upload: expected a shape"):
        devices.slower(upload=[1.0, 2.0])


def efficiency(plan, truth):
    """Learning efficiency of a plan's batches and slots with the true times: root of the batch per second."""
    solution = plan.solution
    compute = truth.seconds_per_sample * plan.batchsize
    update = truth.update_time_s
    seconds = (compute + solution.upload_time_s).max() + (solution.download_time_s + update).max()
    return np.sqrt(plan.batchsize.sum()) / seconds


def campaign(seed, outliers):
    """A device becomes three times slower: rounds until it is believed, and the efficiency lost in each round."""
    rng = np.random.default_rng(seed)
    devices = Scenario.load("feel-cpu").draw(seed=seed)
    planner, slow = Measured(BatchPlanner("optimal", HELD), DEVICES), int(rng.integers(DEVICES))
    best = BatchPlanner("optimal", HELD)
    lost, found = [], None
    for round in range(ROUNDS):
        true = np.where((np.arange(DEVICES) == slow) & (round >= CHANGE), SLOW, 1.0)
        now = devices.slower(compute=true)
        truth = now.problem("feel", max_batchsize=HELD)
        plan = planner(devices, rng)
        lost.append(1 - efficiency(plan, truth) / efficiency(best(now, rng), truth))
        noise = np.exp(0.05 * rng.normal(size=(2, DEVICES)))
        far = rng.random((2, DEVICES)) < outliers
        noise *= np.where(far, rng.uniform(3, 20, (2, DEVICES)), 1.0)
        prior = plan.solution.compute_time_s / planner.compute.values
        planner.learn(
            plan, prior * true * noise[0], plan.solution.upload_time_s / planner.upload.values * noise[1]
        )
        if found is None and round >= CHANGE and abs(planner.compute.values[slow] / SLOW - 1) <= 0.15:
            found = round - CHANGE + 1
    return found if found is not None else ROUNDS, np.array(lost)


@pytest.mark.parametrize("outliers", [0.0, 0.05])
def test_a_device_that_becomes_three_times_slower_is_allotted_accordingly(outliers):
    runs = [campaign(seed, outliers) for seed in range(20)]
    rounds, lost = np.array([found for found, _ in runs]), np.array([lost for _, lost in runs])
    assert np.median(rounds) <= 3
    assert rounds.max() <= 10
    assert lost[:, 20:].mean() <= 0.03
    assert lost[:, CHANGE].mean() > 0.3  # what it would be without


def test_times_of_another_radio_are_refused():
    planner = Measured(lambda devices, rng: Plan(devices, HELD, None, None), DEVICES)
    with pytest.raises(OptionError, match="measured times: of radio tdma only"):
        planner(Scenario.load("feel-cpu").draw(seed=1), None)
