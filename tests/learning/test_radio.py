"""Radios: certified slots for whole batches that devices hold, deadlines, stragglers, losses, and silence."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning import POLICIES, Payload, Silent, Tdma, TdmaPlan, Wire, Work, train
from learning.radio.silent import LocalPlan
from learning.radio.tdma import BatchPlanner, WorkPlanner
from radioopt import OptionError, ProblemError, Scenario, SolveError, Status

HELD = np.array([5, 120, 70, 300])
GRADIENTS = Wire({"gradient": 123}, {"gradient": 45})
NOTHING = Wire({}, {})


def devices(name="feel-cpu", seed=1, **feel):
    config = Scenario.load(name).to_dict()
    config["devices"]["count"] = 4
    config["feel"] |= feel
    return Scenario.from_dict(config).draw(seed=seed)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", ["feel-cpu", "feel-gpu"])
@pytest.mark.parametrize("policy", list(POLICIES))
def test_batches_are_whole_within_what_is_held_and_slots_are_certified(name, policy):
    plan = BatchPlanner(policy, HELD)(devices(name), rng())
    assert plan.batchsize.dtype == np.int64
    assert (plan.batchsize >= 1).all()
    assert (plan.batchsize <= (HELD if policy == "entire" else np.minimum(HELD, 128))).all()
    assert plan.solution.status is Status.OPTIMAL
    assert plan.solution.verify().status == Status.OPTIMAL
    np.testing.assert_allclose(plan.solution.batchsize, plan.batchsize, rtol=0, atol=1e-9)


def test_online_full_and_entire_are_what_they_say():
    assert BatchPlanner("online", HELD)(devices(), rng()).batchsize.tolist() == [1, 1, 1, 1]
    assert BatchPlanner("full", HELD)(devices(), rng()).batchsize.tolist() == [5, 120, 70, 128]
    assert BatchPlanner("entire", HELD)(devices(), rng()).batchsize.tolist() == HELD.tolist()


def test_a_cell_that_does_not_fade_is_planned_once_and_one_that_does_in_every_round():
    work = Work(HELD)
    cell = devices()
    for policy, once in (
        ("optimal", True),
        ("full", True),
        ("random", False),
        (lambda *_: HELD * 0 + 1, False),
    ):
        planner = Tdma().planner(policy, work, GRADIENTS, None)
        first = planner(cell, rng(1))
        assert (planner(cell, rng(2)) is first) == once
        assert planner(devices(seed=2), rng(1)).devices == devices(seed=2)
        again = planner(cell, rng(1))
        assert again.batchsize.tolist() == first.batchsize.tolist()


def test_random_batches_are_uniform_from_one_to_the_largest():
    allocator, stream, cell = BatchPlanner("random", HELD), rng(), devices()
    drawn = np.array(
        [allocator.policy(cell.problem("feel", max_batchsize=[5, 120, 70, 128]), stream) for _ in range(4000)]
    )
    assert drawn.min(0).tolist() == [1, 1, 1, 1]
    assert drawn.max(0).tolist() == [5, 120, 70, 128]
    counts = np.bincount(drawn[:, 0].astype(int), minlength=6)[1:]
    assert np.abs(counts - 800).max() < 5 * np.sqrt(800)


def test_no_whole_batches_beat_the_optimal_ones():
    # by brute force over all batches up to four samples
    cell = devices(max_batchsize=4.0, payload_bits=5e6)
    best = BatchPlanner("optimal", HELD)(cell, rng()).solution
    for batch in itertools.product(range(1, 5), repeat=4):
        other = BatchPlanner(lambda problem, _, b=batch: np.array(b, float), HELD)(cell, rng()).solution
        assert other.objective <= best.objective * (1 + 1e-12)


def test_a_gpu_below_its_threshold_takes_the_time_of_the_threshold():
    cell = devices("feel-gpu")
    few = BatchPlanner("online", HELD)(cell, rng()).solution
    np.testing.assert_allclose(few.compute_time_s, 0.1, rtol=1e-12)
    more = BatchPlanner(lambda *_: np.array([5, 32, 33, 100]), HELD)(cell, rng()).solution
    np.testing.assert_allclose(more.compute_time_s, [0.1, 0.1, 0.1 + 2.5e-3, 0.1 + 68 * 2.5e-3], rtol=1e-12)


def test_the_payload_is_the_scenarios_or_that_of_the_numbers_that_are_sent():
    cell, plan = devices(), BatchPlanner("full", HELD)(devices(), rng())
    bits = float(cell.problem("feel").payload_bits)
    assert plan.payload == Payload(bits, bits)
    assert BatchPlanner("full", HELD, GRADIENTS)(cell, rng()).payload == Payload(bits, bits)
    assert BatchPlanner("full", HELD, GRADIENTS, 10.0)(cell, rng()).payload == Payload(1230.0, 450.0)
    more = Wire({"gradient": 123, "outputs": 25, "mine": 3}, {"gradient": 45, "samples": 2})
    assert BatchPlanner("full", HELD, more)(cell, rng()).payload == Payload(bits + 32 * 28, bits + 32 * 2)
    assert BatchPlanner("full", HELD, more, 10.0)(cell, rng()).payload == Payload(1510.0, 470.0)


def test_a_total_binds_the_optimal_policy_and_leaves_the_others():
    cell = devices(total_batchsize=77.0)
    assert BatchPlanner("optimal", HELD)(cell, rng()).batchsize.sum() == 77
    assert BatchPlanner("full", HELD)(cell, rng()).batchsize.sum() == 323


def test_a_deadline_binds_every_policy():
    latency = float(BatchPlanner("full", HELD)(devices(), rng()).solution.round_latency_s)
    cell = devices(max_round_latency_s=0.9 * latency)
    assert BatchPlanner("optimal", HELD)(cell, rng()).solution.round_latency_s <= 0.9 * latency
    with pytest.raises(SolveError, match="INFEASIBLE"):
        BatchPlanner("full", HELD)(cell, rng())


@pytest.mark.parametrize("batch", [[1, 1, 1], [0, 1, 1, 1], [1.5, 1, 1, 1], [6, 1, 1, 1], [np.nan, 1, 1, 1]])
def test_a_policy_of_ones_own_must_return_whole_batches_that_are_held(batch):
    with pytest.raises(ProblemError, match=r"expected 4 whole batch sizes from 1 to 5 \.\.\. 128, got array"):
        BatchPlanner(lambda *_: np.array(batch, float), HELD)(devices(), rng())


def test_unknown_policies_are_refused():
    with pytest.raises(
        OptionError, match=r"unknown policy 'best', choose from optimal, online, full, random, entire"
    ):
        BatchPlanner("best", HELD)
    with pytest.raises(OptionError, match=r"unknown policy 'best', choose from optimal, online"):
        Tdma().planner("best", Work(HELD), GRADIENTS, None)


@pytest.mark.parametrize("downlink", ["tdma", "broadcast"])
@pytest.mark.parametrize("policy", list(POLICIES))
def test_tdma_takes_the_latency_of_the_solution(policy, downlink):
    plan = BatchPlanner(policy, HELD)(devices(downlink=downlink), rng())
    sent = Tdma().transmit(plan.payload, plan, rng())
    assert sent.seconds == pytest.approx(float(plan.solution.round_latency_s), rel=1e-12)
    assert sent.arrived.all()


def test_tdma_spends_power_in_its_own_slots_and_cycles_at_their_price():
    cell = devices()
    plan = BatchPlanner("full", HELD)(cell, rng())
    sent = Tdma().transmit(plan.payload, plan, rng())
    cycles = 1e9 * plan.batchsize + 32e6
    np.testing.assert_allclose(sent.compute_energy_j, 1e-28 * cycles * cell.cpu_frequency_hz**2, rtol=1e-12)
    share = plan.solution.uplink_slot_s / 0.01
    np.testing.assert_allclose(
        sent.upload_energy_j, cell.transmit_power_w * sent.upload_time_s * share, rtol=1e-12
    )


@pytest.mark.parametrize(
    "wire", [Wire({"weights": 9}, {}), Wire({}, {"weights": 9}), Wire({"weights": 0}, {"w": 1})]
)
def test_slots_need_bits_both_ways(wire):
    with pytest.raises(ProblemError, match=r"payload: slots are for bits both ways, got .* up and .* down"):
        WorkPlanner([np.array([10])] * 4, wire)(devices(), rng())
    for steps in (None, (np.array([10]),) * 4):
        with pytest.raises(OptionError, match=r"radio tdma: its slots are for bits both ways.*take silent"):
            Tdma().planner("optimal", Work(HELD, steps), wire, None)


def test_twice_the_payload_takes_twice_as_long_in_the_same_slots():
    plan = BatchPlanner("online", HELD)(devices(), rng())
    bits = plan.payload.uplink_bits
    one, two = (Tdma().transmit(Payload(f * bits, f * bits), plan, rng()) for f in (1, 2))
    np.testing.assert_allclose(two.upload_time_s, 2 * one.upload_time_s, rtol=1e-12)
    np.testing.assert_allclose(two.upload_energy_j, 2 * one.upload_energy_j, rtol=1e-12)
    np.testing.assert_array_equal(two.compute_time_s, one.compute_time_s)


def test_energy_is_unknown_where_the_scenario_does_not_give_the_hardware():
    plan = BatchPlanner("online", HELD)(devices("feel-gpu"), rng())
    sent = Tdma().transmit(plan.payload, plan, rng())
    assert np.isnan(sent.compute_energy_j).all()
    assert np.isfinite(sent.upload_energy_j).all()


PLAN = BatchPlanner("random", HELD)(devices(), rng(3))


def ready(plan):
    return plan.solution.compute_time_s + plan.solution.upload_time_s


def test_who_is_late_does_not_count_and_nobody_waits_for_it():
    plan = BatchPlanner("full", HELD)(devices(), rng())
    slowed = Tdma(slowdown=3.0).transmit(plan.payload, plan, rng(1))
    finished = slowed.compute_time_s + slowed.upload_time_s
    deadline = float(np.sort(finished)[1] + 1e-6)
    cut = Tdma(deadline, slowdown=3.0).transmit(plan.payload, plan, rng(1))
    assert cut.arrived.tolist() == (finished <= deadline).tolist()
    assert cut.arrived.sum() == 2
    after = (cut.download_time_s + cut.update_time_s).max()
    assert cut.seconds == pytest.approx(deadline + after, rel=1e-12)
    radiated = np.clip(deadline - cut.compute_time_s, 0, slowed.upload_time_s)
    np.testing.assert_allclose(cut.upload_time_s, radiated, rtol=1e-12)
    np.testing.assert_allclose(
        cut.upload_energy_j, slowed.upload_energy_j * radiated / slowed.upload_time_s, rtol=1e-12
    )
    np.testing.assert_array_equal(cut.compute_energy_j, slowed.compute_energy_j)


@settings(max_examples=50, deadline=None)
@given(
    one=st.floats(1e-3, 1e4),
    other=st.floats(1e-3, 1e4),
    slowdown=st.floats(0, 10),
    lost=st.floats(0, 0.99),
    seed=st.integers(0, 99),
)
def test_a_later_deadline_lets_more_arrive_and_takes_no_less_time(one, other, slowdown, lost, seed):
    early, late = sorted((one, other))
    first, second = (
        Tdma(deadline, slowdown, lost).transmit(PLAN.payload, PLAN, rng(seed)) for deadline in (early, late)
    )
    assert (first.arrived <= second.arrived).all()
    assert first.seconds <= second.seconds
    assert (first.upload_energy_j <= second.upload_energy_j).all()
    assert (first.upload_energy_j >= 0).all()


def test_slowdowns_are_exponential_and_losses_as_frequent_as_said():
    radio = Tdma(slowdown=0.5, loss_probability=0.2)
    stream = rng(2)
    sent = [radio.transmit(PLAN.payload, PLAN, stream) for _ in range(3000)]
    factors = np.array([one.compute_time_s for one in sent]) / PLAN.solution.compute_time_s
    assert factors.min() >= 1.0
    added = factors - 1
    assert added.mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(12000))
    assert (added > 0.5).mean() == pytest.approx(math.exp(-1), abs=5 * 0.5 / math.sqrt(12000))
    lost = 1 - np.mean([one.arrived for one in sent])
    assert lost == pytest.approx(0.2, abs=5 * 0.4 / math.sqrt(12000))


def test_tdma_draws_the_same_from_its_stream_whatever_its_settings():
    streams = rng(5), rng(5)
    Tdma().transmit(PLAN.payload, PLAN, streams[0])
    Tdma(10.0, 1.0, 0.5).transmit(PLAN.payload, PLAN, streams[1])
    assert streams[0].random() == streams[1].random()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deadline_s": 0}, r"deadline_s: expected a number > 0, got 0"),
        ({"deadline_s": math.nan}, r"deadline_s: expected a number > 0, got nan"),
        ({"slowdown": -0.1}, r"slowdown: expected a number >= 0, got -0.1"),
        ({"loss_probability": 1.0}, r"loss_probability: expected a number >= 0 and < 1, got 1.0"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Tdma(**options)


def test_up_and_down_take_their_own_time_and_the_slots_are_optimal_for_both():
    up, down = 2e8, 5e7
    wire = Wire({"gradient": 200}, {"gradient": 50})
    plan = BatchPlanner("full", HELD, wire, 1e6)(devices(), rng())
    assert plan.payload == Payload(up, down)
    sent = Tdma().transmit(plan.payload, plan, rng())
    cell, solution = devices(), plan.solution
    np.testing.assert_allclose(
        sent.upload_time_s, up / cell.uplink_rate_bps / (solution.uplink_slot_s / 0.01), rtol=1e-12
    )
    np.testing.assert_allclose(
        sent.download_time_s, down / cell.downlink_rate_bps / (solution.downlink_slot_s / 0.01), rtol=1e-12
    )
    assert solution.status is Status.OPTIMAL
    assert sent.seconds == pytest.approx(float(solution.round_latency_s), rel=1e-12)
    stream = rng(4)
    for _ in range(300):  # no other shares are faster
        shares = stream.dirichlet(np.full(4, 20.0), 2)
        first = (sent.compute_time_s + up / cell.uplink_rate_bps / shares[0]).max()
        second = (sent.update_time_s + down / cell.downlink_rate_bps / shares[1]).max()
        assert first + second >= sent.seconds * (1 - 1e-12)
    twice = Tdma().transmit(Payload(2 * up, down), plan, rng())
    np.testing.assert_allclose(twice.upload_time_s, 2 * sent.upload_time_s, rtol=1e-12)
    np.testing.assert_array_equal(twice.download_time_s, sent.download_time_s)
    assert (twice.uplink_bits, twice.downlink_bits) == (2 * up, down)


@pytest.mark.parametrize("name", ["feel-cpu", "feel-gpu"])
def test_local_training_takes_the_time_of_its_steps(name):
    cell = devices(name)
    batches = [np.array(own) for own in ([10, 10, 3], [40], [32, 33], [1])]
    plan = WorkPlanner(batches)(cell, rng())
    assert isinstance(plan, TdmaPlan)
    assert plan.batchsize.tolist() == [23, 40, 65, 1]
    assert plan.solution.status is Status.OPTIMAL
    if name == "feel-cpu":
        update = 32e6 / cell.cpu_frequency_hz
        expected = [
            sum(1e9 * size / f + up for size in own)
            for own, f, up in zip(batches, cell.cpu_frequency_hz, update, strict=True)
        ]
    else:
        expected = [sum(0.1 + 2.5e-3 * max(size - 32, 0) + 0.01 for size in own) for own in batches]
    np.testing.assert_allclose(plan.solution.compute_time_s, expected, rtol=1e-12)
    sent = Tdma().transmit(plan.payload, plan, rng())
    np.testing.assert_array_equal(sent.update_time_s, np.zeros(4))
    alone = Silent().planner("optimal", Work(HELD, tuple(batches)), NOTHING, None)(cell, rng())
    assert isinstance(alone, LocalPlan)
    assert alone.batchsize.tolist() == plan.batchsize.tolist()
    silent = Silent().transmit(alone.payload, alone, rng())
    np.testing.assert_allclose(silent.compute_time_s, expected, rtol=1e-12)
    assert silent.seconds == pytest.approx(max(expected), rel=1e-12)
    assert not silent.arrived.any()
    assert not silent.received.any()
    assert silent.uplink_bits == silent.downlink_bits == silent.upload_energy_j.sum() == 0
    if name == "feel-cpu":
        work = 1e9 * plan.batchsize + 32e6 * np.array([3, 1, 2, 1])
        np.testing.assert_allclose(
            silent.compute_energy_j, 1e-28 * work * cell.cpu_frequency_hz**2, rtol=1e-12
        )
        np.testing.assert_allclose(silent.compute_energy_j, sent.compute_energy_j, rtol=1e-12)


def test_a_run_goes_on_without_those_who_are_late_and_even_without_anybody(cell):
    free = train(cell, rounds=4, seed=2)
    radio = Tdma(deadline_s=0.5 * free.ledger.entries[0].sent.seconds)
    none = train(cell, rounds=4, seed=2, radio=radio, epsilon=1e-9)
    frame = none.to_frame()
    assert frame["arrived"].tolist() == [0] * 5
    assert frame["train_loss"].isna().all()
    assert set(frame["test_accuracy"]) == {free.ledger.initial_accuracy}
    assert none.stopped == "rounds"
    some = train(cell, rounds=12, seed=2, radio=Tdma(slowdown=1.0, loss_probability=0.5))
    arrived = some.to_frame()["arrived"][1:]
    assert arrived.min() < 6
    assert some.ledger.loss < some.ledger.initial_loss
    assert some.config["radio"] == {
        "name": "tdma",
        "deadline_s": math.inf,
        "slowdown": 1.0,
        "loss_probability": 0.5,
    }


def test_silence_refuses_what_is_to_be_sent_or_planned():
    steps = (np.array([10]),) * 4
    with pytest.raises(OptionError, match=r"radio silent: cannot send .*take a radio that does, as tdma"):
        Silent().planner("optimal", Work(HELD, steps), GRADIENTS, None)
    with pytest.raises(OptionError, match=r"policy 'full': there is nothing to plan .*leave policy out"):
        Silent().planner("full", Work(HELD, steps), NOTHING, None)
    with pytest.raises(ProblemError, match=r"does not plan batch sizes: take a scheme with local steps"):
        Silent().planner("optimal", Work(HELD), NOTHING, None)
    with pytest.raises(OptionError, match=r"radio: Silent sends nothing: take another radio"):
        Silent().deliver(1e6, devices(), rng())


def test_tdma_plans_batches_where_the_scheme_leaves_them_open_and_slots_alone_otherwise():
    cell, steps = devices(), tuple(np.array(own) for own in ([10, 10, 3], [40], [32, 33], [1]))
    opened = Tdma().planner("full", Work(HELD), GRADIENTS, None)(cell, rng())
    assert opened.batchsize.tolist() == BatchPlanner("full", HELD)(cell, rng()).batchsize.tolist()
    given_ = Tdma().planner("optimal", Work(HELD, steps), GRADIENTS, None)(cell, rng())
    assert given_.batchsize.tolist() == [23, 40, 65, 1]
    with pytest.raises(
        OptionError, match=r"policy 'full': the batches of this scheme .*choose policy optimal"
    ):
        Tdma().planner("full", Work(HELD, steps), GRADIENTS, None)


def test_a_broadcast_takes_as_long_as_the_weakest_device():
    cell = devices()
    delivery = Tdma().deliver(1e6, cell, rng())
    assert delivery.seconds == pytest.approx(1e6 / cell.downlink_rate_bps.min(), rel=1e-12)
    assert delivery.received.all()


def test_without_a_download_nobody_receives():
    sent = Tdma().transmit(Payload(PLAN.payload.uplink_bits, 0.0), PLAN, rng())
    assert sent.arrived.all()
    assert not sent.received.any()
    assert (sent.download_time_s == 0).all()


def test_numbers_of_a_name_of_ones_own_have_the_size_that_is_said():
    said = Wire({"gradient": 10, "mask": 100, "label": 3}, {"gradient": 10}, bits={"mask": 1, "label": 8.0})
    scenario_bits = float(devices().problem("feel").payload_bits)
    plan = BatchPlanner("online", HELD, said)(devices(), rng())
    assert plan.payload == Payload(scenario_bits + 100 + 24, scenario_bits)
    priced = BatchPlanner("online", HELD, said, bits_per_parameter=16.0)(devices(), rng())
    assert priced.payload == Payload(160 + 100 + 24, 160)
    with pytest.raises(OptionError, match=r"^bits: mask: expected a number > 0, got 0"):
        Wire({"mask": 1}, {}, bits={"mask": 0})
    with pytest.raises(OptionError, match=r"^bits: msk is not sent, which is: mask"):
        Wire({"mask": 1}, {}, bits={"msk": 1})
