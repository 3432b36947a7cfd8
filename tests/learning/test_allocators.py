"""Every policy gets certified slots for whole batches that its devices hold; the link spends just that."""

import itertools

import numpy as np
import pytest

from learning import POLICIES, BatchsizeAllocator, Payload, TdmaLink, WorkAllocator
from radioopt import OptionError, ProblemError, Scenario, SolveError, Status

HELD = np.array([5, 120, 70, 300])


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
    plan = BatchsizeAllocator(policy, HELD)(devices(name), rng())
    assert plan.batchsize.dtype == np.int64
    assert (plan.batchsize >= 1).all()
    assert (plan.batchsize <= (HELD if policy == "entire" else np.minimum(HELD, 128))).all()
    assert plan.solution.status is Status.OPTIMAL
    assert plan.solution.verify().status == Status.OPTIMAL
    np.testing.assert_allclose(plan.solution.batchsize, plan.batchsize, rtol=0, atol=1e-9)


def test_online_full_and_entire_are_what_they_say():
    assert BatchsizeAllocator("online", HELD)(devices(), rng()).batchsize.tolist() == [1, 1, 1, 1]
    assert BatchsizeAllocator("full", HELD)(devices(), rng()).batchsize.tolist() == [5, 120, 70, 128]
    assert BatchsizeAllocator("entire", HELD)(devices(), rng()).batchsize.tolist() == HELD.tolist()


def test_random_batches_are_uniform_from_one_to_the_largest():
    allocator, stream, cell = BatchsizeAllocator("random", HELD), rng(), devices()
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
    best = BatchsizeAllocator("optimal", HELD)(cell, rng()).solution
    for batch in itertools.product(range(1, 5), repeat=4):
        other = BatchsizeAllocator(lambda problem, _, b=batch: np.array(b, float), HELD)(cell, rng()).solution
        assert other.objective <= best.objective * (1 + 1e-12)


def test_a_gpu_below_its_threshold_takes_the_time_of_the_threshold():
    cell = devices("feel-gpu")
    few = BatchsizeAllocator("online", HELD)(cell, rng()).solution
    np.testing.assert_allclose(few.compute_time_s, 0.1, rtol=1e-12)
    more = BatchsizeAllocator(lambda *_: np.array([5, 32, 33, 100]), HELD)(cell, rng()).solution
    np.testing.assert_allclose(more.compute_time_s, [0.1, 0.1, 0.1 + 2.5e-3, 0.1 + 68 * 2.5e-3], rtol=1e-12)


def test_the_payload_can_be_given():
    plan = BatchsizeAllocator("full", HELD, payload=Payload(123.0, 45.0))(devices(), rng())
    assert plan.payload == (123.0, 45.0)


def test_a_total_binds_the_optimal_policy_and_leaves_the_others():
    cell = devices(total_batchsize=77.0)
    assert BatchsizeAllocator("optimal", HELD)(cell, rng()).batchsize.sum() == 77
    assert BatchsizeAllocator("full", HELD)(cell, rng()).batchsize.sum() == 323


def test_a_deadline_binds_every_policy():
    latency = float(BatchsizeAllocator("full", HELD)(devices(), rng()).solution.round_latency_s)
    cell = devices(max_round_latency_s=0.9 * latency)
    assert BatchsizeAllocator("optimal", HELD)(cell, rng()).solution.round_latency_s <= 0.9 * latency
    with pytest.raises(SolveError, match="INFEASIBLE"):
        BatchsizeAllocator("full", HELD)(cell, rng())


@pytest.mark.parametrize("batch", [[1, 1, 1], [0, 1, 1, 1], [1.5, 1, 1, 1], [6, 1, 1, 1], [np.nan, 1, 1, 1]])
def test_a_policy_of_ones_own_must_return_whole_batches_that_are_held(batch):
    with pytest.raises(ProblemError, match=r"expected 4 whole numbers from 1 to 5 \.\.\. 128, got array"):
        BatchsizeAllocator(lambda *_: np.array(batch, float), HELD)(devices(), rng())


def test_unknown_policies_are_refused():
    with pytest.raises(
        OptionError, match=r"unknown policy 'best', choose from optimal, online, full, random, entire"
    ):
        BatchsizeAllocator("best", HELD)


@pytest.mark.parametrize("downlink", ["tdma", "broadcast"])
@pytest.mark.parametrize("policy", list(POLICIES))
def test_the_link_takes_the_latency_of_the_solution(policy, downlink):
    plan = BatchsizeAllocator(policy, HELD)(devices(downlink=downlink), rng())
    sent = TdmaLink().transmit(plan.payload, plan, rng())
    assert sent.seconds == pytest.approx(float(plan.solution.round_latency_s), rel=1e-12)
    assert sent.arrived.all()


def test_the_link_spends_power_in_its_own_slots_and_cycles_at_their_price():
    cell = devices()
    plan = BatchsizeAllocator("full", HELD)(cell, rng())
    sent = TdmaLink().transmit(plan.payload, plan, rng())
    cycles = 1e9 * plan.batchsize + 32e6
    np.testing.assert_allclose(sent.compute_energy_j, 1e-28 * cycles * cell.cpu_frequency_hz**2, rtol=1e-12)
    share = plan.solution.uplink_slot_s / 0.01
    np.testing.assert_allclose(
        sent.upload_energy_j, cell.transmit_power_w * sent.upload_time_s * share, rtol=1e-12
    )


@pytest.mark.parametrize("payload", [Payload(1e6, 0.0), Payload(0.0, 1e6)])
def test_slots_need_bits_both_ways(payload):
    with pytest.raises(ProblemError, match=r"payload: slots are for bits both ways, got .* up and .* down"):
        WorkAllocator([np.array([10])] * 4, payload)(devices(), rng())


def test_twice_the_payload_takes_twice_as_long_in_the_same_slots():
    plan = BatchsizeAllocator("online", HELD)(devices(), rng())
    bits = plan.payload.uplink_bits
    one, two = (TdmaLink().transmit(Payload(f * bits, f * bits), plan, rng()) for f in (1, 2))
    np.testing.assert_allclose(two.upload_time_s, 2 * one.upload_time_s, rtol=1e-12)
    np.testing.assert_allclose(two.upload_energy_j, 2 * one.upload_energy_j, rtol=1e-12)
    np.testing.assert_array_equal(two.compute_time_s, one.compute_time_s)


def test_energy_is_unknown_where_the_scenario_does_not_give_the_hardware():
    plan = BatchsizeAllocator("online", HELD)(devices("feel-gpu"), rng())
    sent = TdmaLink().transmit(plan.payload, plan, rng())
    assert np.isnan(sent.compute_energy_j).all()
    assert np.isfinite(sent.upload_energy_j).all()
