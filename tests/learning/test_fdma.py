"""FIMI's rounds: what a round takes is what the allocation says, and it is solved anew when the channel changes."""

import numpy as np
import pytest

from learning import Fill, Wire, train
from learning.radio.base import Work
from learning.radio.fdma import SynthesisPlanner, pose
from radioopt import OptionError, ProblemError, Scenario

CELL = Scenario.load("fimi", {"devices.count": 8})
FADING = Scenario.load("fimi", {"devices.count": 8, "cell.fading": "block"})
QUICK = {"scheme": "fedavg", "radio": "fdma", "model": "softmax", "partition": "dirichlet:0.4,40", "seed": 2}
FILL = Fill(generator="ready-made", public=200)


def test_joules_and_seconds_are_those_of_the_solution_times_the_rounds():
    result = train(CELL, before=[FILL], rounds=5, **QUICK)
    devices = CELL.draw(result.task.streams.at("channel"))
    chosen = pose(devices, np.full(8, 40)).solve(integer=True)
    frame = result.to_frame()
    assert frame["energy_j"].sum() == pytest.approx(5 * float(chosen.objective), rel=1e-11)
    before = frame["seconds"].iloc[0]
    assert frame["seconds"].iloc[-1] - before == pytest.approx(5 * float(chosen.round_latency_s), rel=1e-12)
    assert float(chosen.round_latency_s) == pytest.approx(60.0, rel=1e-12)
    each = result.ledger.to_frame("device")
    last = each.reset_index().query("round == 5")
    np.testing.assert_allclose(last["compute_energy_j"], chosen.compute_energy_j, rtol=1e-9)
    np.testing.assert_allclose(last["upload_time_s"], chosen.upload_time_s, rtol=1e-9)
    assert (frame["arrived"].iloc[1:] == 8).all()


def test_without_filling_the_round_is_the_best_for_what_devices_have():
    result = train(CELL, rounds=1, **QUICK)
    devices = CELL.draw(result.task.streams.at("channel"))
    least = pose(devices, np.full(8, 40)).without_synthetic_data().solve()
    assert result.to_frame()["energy_j"].iloc[1] == pytest.approx(float(least.objective), rel=1e-11)
    assert least.objective < train(CELL, before=[FILL], rounds=1, **QUICK).to_frame()["energy_j"].iloc[1]


def test_with_a_fading_channel_every_round_is_solved_anew_for_the_same_samples():
    result = train(FADING, before=[FILL], rounds=4, **QUICK)
    solutions = [entry.plan.solution for entry in result.ledger.entries]
    added = result.task.sizes - 40
    for solution, entry in zip(solutions, result.ledger.entries, strict=True):
        np.testing.assert_array_equal(solution.synthetic_samples, added)
        devices = entry.plan.devices
        snr = devices.transmit_power_w * solution.problem.channel_gain / (devices.noise_psd_w_per_hz * 20e6)
        np.testing.assert_allclose(snr, devices.uplink_snr, rtol=1e-12)
        assert entry.sent.energy_j == pytest.approx(float(solution.objective), rel=1e-12)
    assert len({float(solution.objective) for solution in solutions}) == 4


def test_who_cannot_finish_over_the_channel_of_a_round_sits_it_out():
    tight = FADING.replace({"radio.bandwidth_hz": 1.3e6})
    result = train(tight, rounds=12, **QUICK)
    assert 0 < result.to_frame()["arrived"].iloc[1:].min() < 8
    for entry in result.ledger.entries:
        gone = ~entry.sent.arrived
        assert (entry.sent.compute_energy_j[gone] == 0).all()
        assert entry.sent.compute_energy_j[~gone].min() > 0
        gains = entry.plan.devices.uplink_snr / entry.plan.devices.transmit_power_w
        assert not gone.any() or gains[gone].max() < gains[~gone].min()
        assert entry.sent.seconds <= 60 * (1 + 1e-9)


def test_equal_bandwidth_costs_more():
    filled = Fill(generator="ready-made", public=200, amounts="equal-bandwidth")
    equal = train(CELL, before=[filled], rounds=1, policy="equal-bandwidth", **QUICK)
    best = train(CELL, before=[FILL], rounds=1, **QUICK)
    assert equal.to_frame()["energy_j"].iloc[1] > best.to_frame()["energy_j"].iloc[1]
    bands = equal.ledger.entries[0].plan.solution.bandwidth_hz
    np.testing.assert_allclose(bands, 20e6 / 8, rtol=1e-12)


def test_fewer_samples_are_exactly_similar():
    devices = Scenario.load("fimi").draw(seed=3)
    large, small = devices.problem("fimi").solve(), pose(devices, np.full(20, 50)).solve()
    assert small.objective == pytest.approx(float(large.objective), rel=1e-11)
    np.testing.assert_allclose(25 * small.synthetic_samples, large.synthetic_samples, rtol=1e-8, atol=1e-6)
    for name in ("cpu_frequency_hz", "bandwidth_hz", "transmit_power_w"):
        np.testing.assert_allclose(getattr(small, name), getattr(large, name), rtol=1e-9)


def test_a_policy_of_ones_own_and_bits_per_parameter():
    def mine(problem, rng):
        return problem.solve("equal-bandwidth")

    result = train(CELL, rounds=1, policy=mine, bits_per_parameter=32, **QUICK)
    plan = result.ledger.entries[0].plan
    assert plan.solution.method == "equal-bandwidth"
    assert plan.payload.uplink_bits == 32 * 650 == float(plan.solution.problem.payload_bits)
    with pytest.raises(ProblemError, match="expected a SynthesisSolution, got None"):
        train(CELL, rounds=1, policy=lambda problem, rng: None, **QUICK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"epochs": 2},
            r"devices pass 2 times over their samples .*counts 1: set fimi.local_epochs = 2, or train",
        ),
        ({"policy": "full"}, "unknown policy 'full', choose from optimal, equal-bandwidth, cross-entropy"),
        ({"scheme": "individual"}, "radio fdma: this scheme sends nothing: take radio silent"),
    ],
)
def test_mistakes_are_told(options, message):
    with pytest.raises(OptionError, match=message):
        train(CELL, rounds=1, **QUICK | options)


def test_more_passes_that_the_scenario_knows_of_are_paid_for():
    twice = CELL.replace({"fimi.local_epochs": 2})
    energy = train(twice, rounds=1, epochs=2, **QUICK).to_frame()["compute_energy_j"].iloc[1]
    assert energy > 4 * train(CELL, rounds=1, **QUICK).to_frame()["compute_energy_j"].iloc[1]


def test_a_device_without_samples_is_told():
    devices = CELL.draw(seed=0)
    planner = SynthesisPlanner("optimal", Work(np.array([0] + [5] * 7)), Wire({"weights": 1}, {"weights": 1}))
    with pytest.raises(ProblemError, match="radio fdma: device 0 holds no samples"):
        planner(devices, np.random.default_rng(0))


def test_a_run_that_names_no_radio_takes_the_one_that_the_scenario_has_a_table_for():
    by_name = train(CELL, rounds=1, **QUICK)
    options = {name: value for name, value in QUICK.items() if name != "radio"}
    unnamed = train(CELL, rounds=1, **options)
    assert unnamed.config["radio"] == {"name": "fdma"}
    assert unnamed.ledger.to_csv() == by_name.ledger.to_csv()
    with pytest.raises(ProblemError, match=r"radio 'twins' plans with a table \[dtkd\]"):
        train(CELL, rounds=1, **options | {"scheme": "simkd", "model": None})
