"""What must hold for every instance, on instances that Hypothesis chooses."""

import os

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from radioopt import Status
from radioopt.feel import BatchsizeProblem
from validation.feel import zoo

problems = st.builds(zoo.random, st.integers(0, 10**6), max_devices=st.sampled_from([1, 2, 5, 30]))
factors = st.floats(-3, 3).map(lambda exponent: 10.0**exponent)
# both sides of a comparison are within 1e-12 of their optimum, by their certificates usually 1e-15
CLOSE = 1e-11


@given(problem=problems, seed=st.integers(0, 1000))
def test_permuting_the_devices_permutes_the_answer(problem, seed):
    order = np.random.default_rng(seed).permutation(problem.sizes["device"])
    permuted = problem.replace(
        **{
            name: getattr(problem, name)[order]
            for name, quantity in problem.quantities.items()
            if quantity.axes == ("device",)
        }
    )
    one, other = problem.solve(), permuted.solve()
    assert other.objective == pytest.approx(one.objective, rel=CLOSE)
    compute = (problem.seconds_per_sample * one.batchsize)[order]
    difference = permuted.seconds_per_sample * other.batchsize - compute
    np.testing.assert_allclose(difference / one.round_latency_s, 0.0, atol=1e-6)


@given(problem=problems, factor=factors)
def test_bits_have_no_scale(problem, factor):
    scaled = problem.replace(
        payload_bits=problem.payload_bits * factor,
        uplink_rate_bps=problem.uplink_rate_bps * factor,
        downlink_rate_bps=problem.downlink_rate_bps * factor,
    )
    assert scaled.solve().objective == pytest.approx(problem.solve().objective, rel=CLOSE)


@given(problem=problems, factor=factors)
def test_efficiency_is_per_second(problem, factor):
    scaled = problem.replace(
        uplink_rate_bps=problem.uplink_rate_bps / factor,
        downlink_rate_bps=problem.downlink_rate_bps / factor,
        seconds_per_sample=problem.seconds_per_sample * factor,
        base_time_s=problem.base_time_s * factor,
        update_time_s=problem.update_time_s * factor,
    )
    one, other = problem.solve(), scaled.solve()
    assert other.objective * factor == pytest.approx(one.objective, rel=CLOSE)
    assert other.round_latency_s == pytest.approx(one.round_latency_s * factor, rel=1e-6)


@given(problem=problems, factor=factors)
def test_frames_scale_the_slots_and_loss_decay_the_objective(problem, factor):
    scaled = problem.replace(
        uplink_frame_s=problem.uplink_frame_s * factor,
        downlink_frame_s=problem.downlink_frame_s / factor,
        loss_decay=problem.loss_decay * factor,
    )
    one, other = problem.solve(), scaled.solve()
    assert other.objective == pytest.approx(one.objective * factor, rel=CLOSE)
    np.testing.assert_allclose(other.uplink_slot_s, one.uplink_slot_s * factor, rtol=CLOSE)
    np.testing.assert_allclose(other.downlink_slot_s, one.downlink_slot_s / factor, rtol=CLOSE)


@given(
    problem=problems,
    field=st.sampled_from(["uplink_rate_bps", "downlink_rate_bps", "max_batchsize"]),
    device=st.integers(0, 29),
    factor=st.floats(1, 100),
)
def test_more_of_a_resource_never_hurts(problem, field, device, factor):
    more = np.array(getattr(problem, field))
    more[device % more.size] *= factor
    richer = problem.replace(**{field: more})
    assert richer.solve().objective >= problem.solve().objective * (1 - CLOSE)


@given(problem=problems, device=st.integers(0, 29), factor=st.floats(1, 100))
def test_a_faster_device_never_hurts(problem, device, factor):
    assume((problem.base_time_s >= 0).all())  # otherwise a smaller slope alone is no device
    slope = np.array(problem.seconds_per_sample)
    slope[device % slope.size] /= factor
    faster = problem.replace(seconds_per_sample=slope)
    assert faster.solve().objective >= problem.solve().objective * (1 - CLOSE)


@given(problem=problems, seed=st.integers(0, 1000))
def test_weak_duality_on_random_points(problem, seed):
    rng = np.random.default_rng(seed)
    devices = problem.sizes["device"]
    point = problem.repair(
        batchsize=rng.uniform(problem.min_batchsize, problem.max_batchsize),
        uplink_slot_s=10 ** rng.uniform(-3, 0, devices),
        downlink_slot_s=10 ** rng.uniform(-3, 0, devices),
    )
    certificate, solution = problem.certificate(**point), problem.solve()
    assert certificate.residual <= 1e-12
    assert certificate.objective <= solution.bound * (1 + CLOSE)
    assert certificate.bound >= solution.objective * (1 - CLOSE)


@given(seed=st.integers(0, 10**6), devices=st.integers(1, 20))
def test_a_batch_gives_the_same_bits_as_single_instances(seed, devices):
    batch = zoo.random_batch(np.random.default_rng(seed), 4, devices)
    together = batch.solve()
    for i in range(4):
        assert together[i] == batch[i].solve()


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="no threads without the compiler")
def test_threads_give_the_same_bits():
    from radioopt.feel import solver

    batch = zoo.random_batch(np.random.default_rng(1), 2 * solver.PARALLEL_FROM // 10, 10)
    parallel = batch.solve()
    half = solver.PARALLEL_FROM // 10 - 1
    for serial in (slice(0, half), slice(half, 2 * half)):
        assert parallel[serial] == batch[serial].solve()


def test_batches_have_any_number_of_axes():
    rng = np.random.default_rng(4)
    flat = zoo.random_batch(rng, 6, 5)
    fields = {
        name: np.reshape(getattr(flat, name), (2, 3, 5) if quantity.axes else (2, 3))
        for name, quantity in flat.quantities.items()
    }
    grid = BatchsizeProblem(**fields).solve()
    assert grid.status.shape == (2, 3)
    np.testing.assert_array_equal(grid.batchsize.reshape(6, 5), flat.solve().batchsize)
    one = BatchsizeProblem(**{name: value[:1, :1] for name, value in fields.items()}).solve()
    assert one.status.tolist() == [[Status.OPTIMAL]]
