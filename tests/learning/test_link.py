"""Links: deadlines, stragglers and losses; and the slots that local training gets."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learning import BatchsizeAllocator, LocalPlan, NoLink, Payload, TdmaLink, TdmaPlan, WorkAllocator, train
from radioopt import OptionError, Scenario, Status

HELD = np.array([5, 120, 70, 300])


def devices(name="feel-cpu", seed=1, **feel):
    config = Scenario.load(name).to_dict()
    config["devices"]["count"] = 4
    config["feel"] |= feel
    return Scenario.from_dict(config).draw(seed=seed)


def rng(seed=0):
    return np.random.default_rng(seed)


PLAN = BatchsizeAllocator("random", HELD)(devices(), rng(3))


def ready(plan):
    return plan.solution.compute_time_s + plan.solution.upload_time_s


def test_who_is_late_does_not_count_and_nobody_waits_for_it():
    plan = BatchsizeAllocator("full", HELD)(devices(), rng())
    slowed = TdmaLink(slowdown=3.0).transmit(plan.payload, plan, rng(1))
    finished = slowed.compute_time_s + slowed.upload_time_s
    deadline = float(np.sort(finished)[1] + 1e-6)
    cut = TdmaLink(deadline, slowdown=3.0).transmit(plan.payload, plan, rng(1))
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
        TdmaLink(deadline, slowdown, lost).transmit(PLAN.payload, PLAN, rng(seed))
        for deadline in (early, late)
    )
    assert (first.arrived <= second.arrived).all()
    assert first.seconds <= second.seconds
    assert (first.upload_energy_j <= second.upload_energy_j).all()
    assert (first.upload_energy_j >= 0).all()


def test_slowdowns_are_exponential_and_losses_as_frequent_as_said():
    link = TdmaLink(slowdown=0.5, loss_probability=0.2)
    stream = rng(2)
    sent = [link.transmit(PLAN.payload, PLAN, stream) for _ in range(3000)]
    factors = np.array([one.compute_time_s for one in sent]) / PLAN.solution.compute_time_s
    assert factors.min() >= 1.0
    added = factors - 1
    assert added.mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(12000))
    assert (added > 0.5).mean() == pytest.approx(math.exp(-1), abs=5 * 0.5 / math.sqrt(12000))
    lost = 1 - np.mean([one.arrived for one in sent])
    assert lost == pytest.approx(0.2, abs=5 * 0.4 / math.sqrt(12000))


def test_links_draw_the_same_from_their_stream_whatever_their_settings():
    streams = rng(5), rng(5)
    TdmaLink().transmit(PLAN.payload, PLAN, streams[0])
    TdmaLink(10.0, 1.0, 0.5).transmit(PLAN.payload, PLAN, streams[1])
    assert streams[0].random() == streams[1].random()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deadline_s": 0}, r"deadline_s: expected a number > 0, got 0"),
        ({"deadline_s": math.nan}, r"deadline_s: expected a number > 0, got nan"),
        ({"slowdown": -0.1}, r"slowdown: expected a number > 0, got -0.1"),
        ({"loss_probability": 1.0}, r"loss_probability: expected a number > 0 and < 1, got 1.0"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        TdmaLink(**options)


def test_up_and_down_take_their_own_time_and_the_slots_are_optimal_for_both():
    up, down = 2e8, 5e7
    plan = BatchsizeAllocator("full", HELD, Payload(up, down))(devices(), rng())
    sent = TdmaLink().transmit(plan.payload, plan, rng())
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
    twice = TdmaLink().transmit(Payload(2 * up, down), plan, rng())
    np.testing.assert_allclose(twice.upload_time_s, 2 * sent.upload_time_s, rtol=1e-12)
    np.testing.assert_array_equal(twice.download_time_s, sent.download_time_s)
    assert (twice.uplink_bits, twice.downlink_bits) == (2 * up, down)


@pytest.mark.parametrize("name", ["feel-cpu", "feel-gpu"])
def test_local_training_takes_the_time_of_its_steps(name):
    cell = devices(name)
    batches = [np.array(own) for own in ([10, 10, 3], [40], [32, 33], [1])]
    plan = WorkAllocator(batches)(cell, rng())
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
    sent = TdmaLink().transmit(plan.payload, plan, rng())
    np.testing.assert_array_equal(sent.update_time_s, np.zeros(4))
    alone = WorkAllocator(batches, Payload(0.0, 0.0))(cell, rng())
    assert isinstance(alone, LocalPlan)
    silent = NoLink().transmit(alone.payload, alone, rng())
    np.testing.assert_allclose(silent.compute_time_s, expected, rtol=1e-12)
    assert silent.seconds == pytest.approx(max(expected), rel=1e-12)
    assert not silent.arrived.any()
    if name == "feel-cpu":
        work = 1e9 * plan.batchsize + 32e6 * np.array([3, 1, 2, 1])
        np.testing.assert_allclose(
            silent.compute_energy_j, 1e-28 * work * cell.cpu_frequency_hz**2, rtol=1e-12
        )
        np.testing.assert_allclose(silent.compute_energy_j, sent.compute_energy_j, rtol=1e-12)


def test_a_run_goes_on_without_those_who_are_late_and_even_without_anybody(cell):
    free = train(cell, rounds=4, seed=2)
    link = TdmaLink(deadline_s=0.5 * free.ledger.entries[0].sent.seconds)
    none = train(cell, rounds=4, seed=2, link=link, epsilon=1e-9)
    frame = none.to_frame()
    assert frame["arrived"].tolist() == [0] * 5
    assert frame["train_loss"].isna().all()
    assert set(frame["test_accuracy"]) == {free.ledger.initial_accuracy}
    assert none.stopped == "rounds"
    some = train(cell, rounds=12, seed=2, link=TdmaLink(slowdown=1.0, loss_probability=0.5))
    arrived = some.to_frame()["arrived"][1:]
    assert arrived.min() < 6
    assert some.ledger.loss < some.ledger.initial_loss
    assert some.config["link"] == {
        "name": "learning.radio.link.TdmaLink",
        "deadline_s": math.inf,
        "slowdown": 1.0,
        "loss_probability": 0.5,
    }
