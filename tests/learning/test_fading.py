"""Rounds over block fading: what is planned, what is sent, how long it takes and who is late."""

import numpy as np
import pytest

from learning.local.timing import StepTimes
from learning.messages import Wire
from learning.radio.base import Payload, Work
from learning.radio.fading import PAPER, PAPER_STEPS, Fading, RoundPlanner
from learning.schemes.distillation import Fd, Fld
from learning.schemes.fedavg import Fl
from radioopt import Scenario
from radioopt.base.errors import OptionError, ProblemError, SolveError
from radioopt.feel import TrainingTime
from radioopt.mix2fld import Payload as Law
from radioopt.mix2fld.plan import laws

SCENARIO = Scenario.load("mix2fld")
DEVICES = SCENARIO.draw(seed=0)
RNG = np.random.default_rng(0)
LAWS = {
    Fl: Law.fl(num_weights=12_544),
    Fd: Law.fd(num_labels=10),
    Fld: Law.fld(num_weights=12_544, num_labels=10, seed_samples=10, sample_bits=6_272),
}


class Paper:
    """The sizes of the paper's task: its model, its labels, its samples."""

    num_values = 12_544
    sizes = np.full(10, 500)

    class data:
        num_classes = num_outputs = 10
        regression = False
        sample_shape = (1, 28, 28)


class Here(Paper):
    """Those of a small model."""

    num_values = 650


def plan_of(scheme, policy="paper", devices=DEVICES, bits=None, radio=None, task=Paper):
    radio = radio or Fading()
    return radio.planner(policy, scheme.work(task), scheme.wire(task), bits)(devices, RNG)


def first_payload(scheme, plan):
    """Bits of the first round, seed samples included."""
    wire = scheme.wire(Paper)
    samples = {"samples": plan.told()["seed_samples"] * 784}
    return plan.prices.payload(Wire({**wire.up, **samples} if wire.seeded else wire.up, wire.down))


@pytest.mark.parametrize("made", LAWS)
def test_payloads_are_those_of_the_paper_to_the_bit(made):
    plan, law = plan_of(made()), LAWS[made]
    assert plan.payload == Payload(law.uplink_bits, law.downlink_bits)
    assert first_payload(made(), plan) == Payload(law.first_uplink_bits, law.downlink_bits)


def test_the_optimal_policy_is_the_certified_plan():
    plan, best = plan_of(Fld(), "optimal"), DEVICES.problem("mix2fld").solve()
    assert plan.solution.status.name == "OPTIMAL"
    assert (plan.num_channels, plan.max_slots, plan.seed_samples) == (
        best.num_channels,
        best.max_slots,
        best.seed_samples,
    )
    again = Fading().planner("optimal", Fld().work(Paper), Fld().wire(Paper), None)
    assert again(DEVICES, RNG).solution is again(DEVICES, RNG).solution  # solved once
    assert plan_of(Fl(), "optimal").seed_samples == 0
    assert plan_of(Fl(), "optimal").max_slots > plan.max_slots  # weights up take longer


def test_the_paper_s_policy_keeps_what_is_given():
    plan = plan_of(Fld(), radio=Fading(num_channels=3, max_slots=77, seed_samples=4))
    assert (plan.num_channels, plan.max_slots, plan.seed_samples, plan.solution) == (3, 77, 4, None)
    assert plan.figures() == {"num_channels": 3, "max_slots": 77}
    assert plan.told() == {"seed_samples": 4}
    plan = plan_of(Fld())
    assert {name: getattr(plan, name) for name in PAPER} == PAPER


def test_a_policy_of_one_s_own():
    plan = plan_of(Fld(), lambda problem, rng: (1, int(problem.max_slots[0]), 7))
    assert (plan.num_channels, plan.max_slots, plan.seed_samples) == (1, 25, 7)
    for wrong in [(1, 2), (0, 2, 3), (1.5, 2, 3)]:
        with pytest.raises(ProblemError, match="expected whole numbers of bands >= 1, slots >= 1 and seed"):
            plan_of(Fld(), lambda problem, rng, wrong=wrong: wrong)
    with pytest.raises(OptionError, match="unknown policy 'full', choose from optimal, paper, or a function"):
        plan_of(Fld(), "full")
    with pytest.raises(SolveError, match="max_slots"):
        plan_of(Fl(), "optimal", SCENARIO.replace({"mix2fld.max_slots": [10]}).draw(seed=0))


def test_compute_time_follows_the_steps_of_each_scheme():
    devices = SCENARIO.replace({"mix2fld.compute_time_s": 9.6}).draw(seed=0)
    step = 9.6 / PAPER_STEPS
    fl, fld = (
        plan_of(Fl(iterations=100), devices=devices),
        plan_of(Fld(iterations=6_400), devices=devices),
    )
    assert (fl.compute_time_s, fl.server_time_s) == (pytest.approx(100 * step), 0.0)
    assert (fld.compute_time_s, fld.server_time_s) == (pytest.approx(6.4), pytest.approx(3.2))
    assert (fl.batchsize == 100).all()
    four = plan_of(Fld(iterations=100, batchsize=4), devices=devices)
    assert (four.batchsize == 400).all()
    assert (four.compute_time_s, four.server_time_s) == (pytest.approx(400 * step), pytest.approx(3.2))
    assert float(four.problem.compute_time_s) == pytest.approx(3_600 * step)


def test_devices_with_more_samples_compute_longer_and_the_plan_is_for_the_longest():
    work = Work(np.array([20, 50]), (np.full(2, 10), np.full(5, 10)), sample=784)
    devices = SCENARIO.replace({"devices.count": 2, "mix2fld.compute_time_s": 9.6}).draw(seed=0)
    plan = Fading().planner("paper", work, Fl().wire(Paper), None)(devices, RNG)
    assert plan.batchsize.tolist() == [20, 50]
    np.testing.assert_allclose(plan.compute_time_s, 9.6 / PAPER_STEPS * np.array([20, 50]))
    assert float(plan.problem.compute_time_s) == pytest.approx(50 * 9.6 / PAPER_STEPS)
    sent = Fading().transmit(plan.payload, plan, RNG)
    waits = (plan.compute_time_s + sent.upload_time_s).max() + sent.download_time_s.max()
    assert sent.seconds == pytest.approx(waits)


def test_a_measured_batch_takes_what_was_measured():
    times = StepTimes(TrainingTime(0.004, 0.001, 0), 0.002, 1, "here")
    for size in (1, 4):
        scheme = Fl(iterations=10, batchsize=size)
        timed = Fading().timed(SCENARIO, times, scheme.work(Paper))
        plan = plan_of(scheme, devices=timed.draw(seed=0))
        assert plan.compute_time_s == pytest.approx(10 * (0.004 + 0.001 * size + 0.002))
    with pytest.raises(ProblemError, match=r"compute: the scenario has no table \[mix2fld\]"):
        Fading().timed(Scenario.load("feel-cpu"), times, Fl().work(Paper))


def test_what_a_policy_chooses_cannot_be_given():
    for policy in ("optimal", lambda problem, rng: (1, 25, 7)):
        with pytest.raises(
            OptionError, match=r"max_slots, seed_samples: policy .* chooses: leave out, or take"
        ):
            plan_of(Fld(), policy, radio=Fading(max_slots=77, seed_samples=4))


def test_seed_samples_are_refused_where_none_are_sent():
    for scheme in (Fl(), Fd()):
        with pytest.raises(OptionError, match="seed_samples: this scheme sends none: leave out"):
            plan_of(scheme, radio=Fading(seed_samples=4))


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("wrong", [0, 2.5, True])
def test_bands_slots_and_seeds_are_whole_numbers(name, wrong):
    with pytest.raises(OptionError, match=rf"{name}: expected a whole number >= 1, got {wrong}"):
        Fading(**{name: wrong})


def test_slots_follow_the_laws_of_the_plan():
    plan = plan_of(Fld(), radio=Fading(max_slots=20))
    problem = plan.problem.replace(num_channels=[2], seed_samples=[10], rounds=[30.0])
    up, first, down = laws(problem)
    rng, radio, rounds = np.random.default_rng(3), Fading(), 400
    seen = [radio.transmit(first_payload(Fld(), plan), plan, rng) for _ in range(rounds)]
    arrived = np.array([sent.arrived for sent in seen])
    outage = np.asarray(first.outage(20))[0, 0]
    assert arrived.mean() == pytest.approx(1 - outage.mean(), abs=4 * np.sqrt(0.25 / arrived.size))
    slots = np.array([sent.upload_slots for sent in seen])
    spent = float(np.mean(first.truncated_mean(20)))
    assert slots.mean() == pytest.approx(spent, abs=4 * slots.std() / np.sqrt(slots.size))
    assert slots.min() >= first.successes.min()
    assert slots.max() == 20
    down_slots = np.array([sent.download_slots for sent in seen])
    assert (down_slots[arrived.any(1)] <= 20).all()
    assert down_slots.mean() == pytest.approx(float(np.mean(down.truncated_mean(20))), rel=0.01)
    later = radio.transmit(plan.payload, plan, rng)
    assert later.upload_slots.mean() < 3 < slots.mean()
    assert float(np.mean(up.mean)) < 3


def test_a_round_lasts_until_the_slowest_but_no_longer_than_there_are_slots():
    plan = plan_of(Fl(), radio=Fading(max_slots=114))
    sent = Fading().transmit(plan.payload, plan, np.random.default_rng(1))
    assert 0 < sent.arrived.sum() < 10
    assert sent.upload_slots.max() == 114  # somebody is late
    waits = plan.compute_time_s + 0.114 + 1e-3 * sent.download_slots.max()
    assert sent.seconds == pytest.approx(waits)
    np.testing.assert_allclose(sent.upload_energy_j, DEVICES.transmit_power_w * sent.upload_slots * 1e-3)
    np.testing.assert_array_equal(sent.upload_time_s, 1e-3 * sent.upload_slots)
    assert np.isnan(sent.compute_energy_j).all()  # the scenario does not say what hardware it is
    assert (sent.uplink_bits, sent.downlink_bits) == (401_408.0, 401_408.0)


def test_hardware_in_the_scenario_gives_energies():
    hardware = {"devices.cpu_frequency_hz": 1e9, "devices.energy_coefficient": 1e-28}
    plan = plan_of(Fl(), devices=SCENARIO.replace(hardware).draw(seed=0))
    sent = Fading().transmit(plan.payload, plan, RNG)
    np.testing.assert_allclose(sent.compute_energy_j, 0.1 * plan.compute_time_s)


def test_rounds_of_the_same_payload_have_the_same_luck_whatever_was_sent_before():
    plan, later = plan_of(Fld()), []
    for first in (plan.payload, first_payload(Fld(), plan), plan.payload._replace(downlink_bits=0.0)):
        rng = np.random.default_rng(4)
        Fading().transmit(first, plan, rng)
        sent = Fading().transmit(plan.payload, plan, rng)
        later.append((sent.upload_slots.tolist(), sent.download_slots.tolist()))
    assert later[0] == later[1] == later[2]


def test_without_an_upload_there_is_no_answer():
    plan = plan_of(Fl(), radio=Fading(max_slots=100))  # 101 good slots are needed
    sent = Fading().transmit(plan.payload, plan, RNG)
    assert not sent.arrived.any()
    assert not sent.received.any()
    assert not sent.download_slots.any()
    assert sent.seconds == pytest.approx(plan.compute_time_s + 0.1)
    assert sent.downlink_bits == 0.0


def test_a_server_with_nothing_to_say_takes_no_time():
    plan = plan_of(Fld())
    sent = Fading().transmit(plan.payload._replace(downlink_bits=0.0), plan, RNG)
    assert sent.arrived.all()
    assert not sent.received.any()
    assert sent.seconds == pytest.approx(plan.compute_time_s + sent.upload_time_s.max())


def test_more_power_loses_fewer():
    strong = SCENARIO.replace({"devices.transmit_power_dbm": 40.0}).draw(seed=0)
    shares = []
    for devices in (DEVICES, strong):
        plan = plan_of(Fl(), devices=devices, radio=Fading(max_slots=103))
        rng = np.random.default_rng(5)
        shares.append(np.mean([Fading().transmit(plan.payload, plan, rng).arrived for _ in range(50)]))
    assert shares[0] < 0.02
    assert shares[1] > 0.98


def test_sizes_of_the_model_trained_here():
    plan = plan_of(Fld(), bits=16.0, task=Here)
    assert plan.payload == Payload(1_600.0, 10_400.0)
    unseeded = RoundPlanner("paper", work=Fd().work(Here), wire=Fd().wire(Here))
    assert unseeded(DEVICES, RNG).seed_samples == 0


def test_before_the_first_round_everybody_gets_what_is_broadcast_in_its_slots():
    bits, draws = 401_408.0, 300
    _, _, down = laws(plan_of(Fld()).problem)
    seen = [Fading().deliver(bits, DEVICES, np.random.default_rng(seed)) for seed in range(draws)]
    assert all(delivery.received.all() for delivery in seen)
    slots = np.array([delivery.seconds for delivery in seen]) / 1e-3
    np.testing.assert_allclose(slots, np.rint(slots), rtol=1e-9)
    assert slots.min() >= np.max(down.successes)
    assert slots.mean() >= float(np.max(down.mean))  # the slowest decides
    assert Fading().deliver(bits, DEVICES, np.random.default_rng(0)).seconds == seen[0].seconds
