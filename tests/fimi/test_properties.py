"""What must hold for every instance: symmetry, units, monotone budgets, weak duality, batches equal to singles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radioopt import Status
from validation.fimi import zoo

seeds = st.integers(0, 10_000)
few = settings(max_examples=25, deadline=None)


@given(seeds, st.randoms(use_true_random=False))
@few
def test_renumbering_devices_renumbers_the_answer(seed, random):
    problem = zoo.random(seed, max_devices=12)
    order = list(range(problem.sizes["device"]))
    random.shuffle(order)
    device = {name: getattr(problem, name)[order] for name, q in problem.quantities.items() if q.axes}
    one, other = problem.solve(), problem.replace(**device).solve()
    assert other.objective == pytest.approx(one.objective, rel=1e-9)
    for name in one.decisions:
        np.testing.assert_allclose(getattr(other, name), getattr(one, name)[order], rtol=1e-4, atol=1e-3)


@given(seeds, st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.1, 10))
@few
def test_units_do_not_matter(seed, second, hertz, joule):
    p = zoo.random(seed, max_devices=8)
    # times in other seconds, bandwidth in other hertz, energies in other joules
    scaled = p.replace(
        max_round_latency_s=p.max_round_latency_s * second,
        max_cpu_frequency_hz=p.max_cpu_frequency_hz / second,
        bandwidth_hz=p.bandwidth_hz * hertz,
        payload_bits=p.payload_bits * hertz * second,
        noise_psd_w_per_hz=p.noise_psd_w_per_hz * joule / second / hertz,
        max_transmit_power_w=p.max_transmit_power_w * joule / second,
        energy_coefficient=p.energy_coefficient * joule * second**2,
    )
    one, other = p.solve(), scaled.solve()
    assert other.objective == pytest.approx(one.objective * joule, rel=1e-9)
    assert other.price_bandwidth_j_per_hz == pytest.approx(
        one.price_bandwidth_j_per_hz * joule / hertz, rel=1e-3
    )


@given(
    seeds,
    st.sampled_from(
        [
            "bandwidth_hz",
            "max_round_latency_s",
            "max_transmit_power_w",
            "max_cpu_frequency_hz",
            "max_synthetic_samples",
            "channel_gain",
        ]
    ),
    st.floats(1.0, 3.0),
)
@few
def test_more_of_anything_never_costs_energy(seed, name, factor):
    problem = zoo.random(seed, max_devices=12)
    before = problem.solve()
    after = problem.replace(**{name: getattr(problem, name) * factor}).solve()
    assert after.objective <= before.objective * (1 + 2e-9)


@given(seeds, st.floats(1.0, 1.3))
@few
def test_a_larger_error_never_costs_energy(seed, factor):
    problem = zoo.random(seed, max_devices=12)
    looser = problem.replace(max_global_error=min(1.0, float(problem.max_global_error) * factor))
    assert looser.solve().objective <= problem.solve().objective * (1 + 2e-9)


@given(seeds, seeds)
@few
def test_no_feasible_point_beats_the_bound_of_another(seed, other):
    problem = zoo.random(seed, max_devices=8)
    best = problem.solve()
    rng = np.random.default_rng(other)
    # another feasible point: more synthetic samples, less bandwidth for some, then as fast as it takes
    decisions = {name: np.array(getattr(best, name)) for name in best.decisions}
    share = decisions["bandwidth_hz"] * rng.uniform(0.7, 1.0, decisions["bandwidth_hz"].shape)
    point = problem.repair(**decisions | {"bandwidth_hz": share})
    judged = problem.certificate(**point)
    if judged.residual <= 1e-9:
        assert judged.objective >= best.bound * (1 - 1e-9)
        assert judged.bound <= best.objective * (1 + 1e-9)


@given(st.integers(0, 1000), st.integers(1, 30))
@settings(max_examples=8, deadline=None)
def test_a_batch_equals_its_instances_bit_for_bit(seed, devices):
    batch = zoo.random_batch(np.random.default_rng(seed), 5, devices)
    together = batch.solve()
    for i in range(5):
        alone = batch[i].solve(throw=False)
        for name in together.quantities:
            np.testing.assert_array_equal(getattr(together, name)[i], getattr(alone, name))


def test_threads_change_no_bit():
    from radioopt.fimi import kernel

    batch = zoo.random_batch(np.random.default_rng(0), 9, 7)
    device, instance = batch.block(("device",)), batch.block()
    found = []
    for solve in (kernel.solve_serial, kernel.solve_parallel):
        out = np.empty((4, 9, 7)), np.empty((5, 9)), np.empty(9, np.int64)
        solve(device, instance, np.full((2, 9), np.nan), 500, 500, *out)
        found.append(out)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_status_in_one_batch():
    cell = zoo.paper()
    bandwidth, error = [20e6, 1e6, 20e6], [0.2, 0.2, 1e-3]
    solution = cell.replace(bandwidth_hz=bandwidth, max_global_error=error).solve(throw=False)
    assert list(solution.status) == [Status.OPTIMAL, Status.INFEASIBLE, Status.INFEASIBLE]
    assert np.isnan(solution.objective[1:]).all()
    assert np.isnan(solution.synthetic_samples[1:]).all()


@given(st.lists(st.floats(-8, 8), min_size=7, max_size=7), seeds)
@settings(max_examples=60, deadline=None)
def test_ill_scaled_instances_are_solved_or_refused_but_never_wrong(decades, seed):
    p = zoo.random(seed, max_devices=6)
    names = (
        "channel_gain",
        "payload_bits",
        "energy_coefficient",
        "bandwidth_hz",
        "max_round_latency_s",
        "max_transmit_power_w",
        "max_cpu_frequency_hz",
    )
    changes = {name: getattr(p, name) * 10.0**decade for name, decade in zip(names, decades, strict=True)}
    solution = p.replace(**changes).solve(throw=False)
    assert solution.status in (Status.OPTIMAL, Status.INFEASIBLE, Status.FEASIBLE)
    if solution.status is Status.OPTIMAL:
        assert solution.verify().residual <= 1e-9
