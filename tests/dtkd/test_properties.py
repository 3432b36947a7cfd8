"""What must hold for every instance, on instances that Hypothesis chooses."""

import os

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from radioopt import Status, load
from radioopt.dtkd import DistillationProblem, kernel_kinds, solver
from validation.dtkd import zoo

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
seeds = st.integers(0, 10**6)
problems = st.builds(zoo.random, seeds, max_devices=st.sampled_from([1, 2] if INTERPRETED else [1, 2, 4, 20]))
factors = st.floats(-3, 3).map(lambda exponent: 10.0**exponent)
few = settings(max_examples=5 if INTERPRETED else 25)


def close(one, other):
    """Equal costs, each within its certified gap of the optimum."""
    assert one.status is other.status
    if one.status.usable:
        scale = max(abs(float(one.objective)), float(one.problem.scale))
        assert abs(float(one.objective) - float(other.objective)) <= 1e-11 * scale


@few
@given(problem=problems, seed=st.integers(0, 1000))
def test_relabelling_the_users_relabels_the_answer(problem, seed):
    order = np.random.default_rng(seed).permutation(problem.sizes["device"])
    fields = {name: getattr(problem, name)[order] for name, q in problem.quantities.items() if q.axes}
    one, other = problem.solve(throw=False), problem.replace(**fields).solve(throw=False)
    close(one, other)
    if one.status.usable and one.nodes <= 1:  # without ties
        np.testing.assert_array_equal(other.model, one.model[order])
        np.testing.assert_allclose(other.bandwidth_hz, one.bandwidth_hz[order], rtol=1e-5, atol=1e-5)


@few
@given(problem=problems, factor=factors)
def test_cycles_have_no_scale(problem, factor):
    fields = [name for name in problem.quantities if "cpu_frequency" in name or name == "teacher_cycles"]
    catalogue = problem.catalogue.to_dict()
    catalogue["cycles"] = [cycles * factor for cycles in catalogue["cycles"]]
    scaled = problem.replace(
        catalogue=catalogue,
        cpu_price_per_cycle=problem.cpu_price_per_cycle / factor,
        **{name: getattr(problem, name) * factor for name in fields},
    )
    close(problem.solve(throw=False), scaled.solve(throw=False))


@few
@given(problem=problems, factor=factors)
def test_bits_and_hertz_have_no_scale(problem, factor):
    catalogue = problem.catalogue.to_dict()
    catalogue["parameter_bits"] = [bits * factor for bits in catalogue["parameter_bits"]]
    scaled = problem.replace(
        catalogue=catalogue,
        label_bits=problem.label_bits * factor,
        bandwidth_price_per_hz=problem.bandwidth_price_per_hz / factor,
        noise_psd_w_per_hz=problem.noise_psd_w_per_hz / factor,
        **{
            name: getattr(problem, name) * factor
            for name in problem.quantities
            if name.endswith("bandwidth_hz")
        },
    )
    close(problem.solve(throw=False), scaled.solve(throw=False))


@few
@given(problem=problems, factor=factors)
def test_cost_has_no_unit(problem, factor):
    weights = [name for name in problem.quantities if "weight" in name or "price" in name]
    scaled = problem.replace(**{name: getattr(problem, name) * factor for name in weights})
    one, other = problem.solve(throw=False), scaled.solve(throw=False)
    assert one.status is other.status
    if one.status.usable:
        assert other.objective == pytest.approx(factor * one.objective, rel=1e-10, abs=1e-10 * factor)


@few
@given(
    problem=problems,
    name=st.sampled_from(["server_cpu_frequency_hz", "bandwidth_hz"]),
    more=st.floats(1.01, 10),
)
def test_more_of_a_total_never_costs_more(problem, name, more):
    one, other = (
        problem.solve(throw=False),
        problem.replace(**{name: getattr(problem, name) * more}).solve(throw=False),
    )
    assume(one.status.usable)
    if name == "bandwidth_hz":
        assume(problem.noise_psd_w_per_hz == 0 or one.status.usable)
    assert other.status is Status.OPTIMAL
    assert other.objective <= one.objective + 1e-11 * max(abs(float(one.objective)), float(problem.scale))


@few
@given(problem=problems, seed=st.integers(0, 1000))
def test_looser_limits_never_cost_more(problem, seed):
    rng = np.random.default_rng(seed)
    looser = problem.replace(
        max_delay_s=problem.max_delay_s * rng.uniform(1, 2, problem.sizes["device"]),
        max_bandwidth_hz=problem.max_bandwidth_hz * rng.uniform(1, 2, problem.sizes["device"]),
        min_server_cpu_frequency_hz=problem.min_server_cpu_frequency_hz
        * rng.uniform(0, 1, problem.sizes["device"]),
    )
    one, other = problem.solve(throw=False), looser.solve(throw=False)
    assume(one.status.usable)
    assert other.objective <= one.objective + 1e-11 * max(abs(float(one.objective)), float(problem.scale))


@few
@given(problem=problems, seed=st.integers(0, 1000))
def test_no_random_point_beats_the_bound(problem, seed):
    solution = problem.solve(throw=False)
    assume(solution.status.usable)
    rng, users = np.random.default_rng(seed), problem.sizes["device"]
    point = problem.repair(
        model=np.where(
            rng.random(users) < 0.5, solution.model, rng.integers(0, len(problem.catalogue), users)
        ),
        trains_locally=np.where(rng.random(users) < 0.5, solution.trains_locally, rng.random(users) < 0.5),
        server_cpu_frequency_hz=solution.server_cpu_frequency_hz * rng.uniform(0.5, 2, users),
        bandwidth_hz=solution.bandwidth_hz * rng.uniform(0.5, 2, users),
    )
    check = problem.certificate(**point)
    if check.residual <= 1e-12:
        assert check.objective >= solution.bound
        assert check.bound <= solution.objective + 1e-11 * max(
            abs(float(solution.objective)), float(problem.scale)
        )


# -- batches -----------------------------------------------------------------------------------------------------


def batch_of(problems):
    fields = {name: np.stack([p.to_dict()[name] for p in problems]) for name in problems[0].quantities}
    return DistillationProblem(catalogue=problems[0].catalogue, **fields, strict=None)


def ten(users, *, extended):
    singles = [
        zoo.draw(users, seed=seed, bandwidth_price_per_hz=[1e-10, 1e-7][seed % 2]) for seed in range(10)
    ]
    if extended:
        singles = [zoo.extended(problem, np.random.default_rng(i)) for i, problem in enumerate(singles)]
    return singles


@pytest.mark.parametrize("extended", [False, True], ids=["plain", "extended"])
def test_a_batch_is_its_instances_bit_for_bit(extended):
    singles = ten(2 if INTERPRETED else 4, extended=extended)
    together = batch_of(singles).solve()
    for i, problem in enumerate(singles):
        alone = problem.solve(throw=False)
        if extended and problem.is_plain:
            continue
        assert together[i] == alone


def test_a_batch_may_mix_what_its_instances_ask():
    """Bounds, given choices, some of them, extreme numbers: each instance is solved as it is alone."""
    plain = zoo.draw(3)
    mixed = [
        plain,
        plain.replace(max_bandwidth_hz=2.6e6),
        plain.fix(1, 0),
        plain.fix([-1, 2, -1]),
        plain.replace(channel_gain=plain.channel_gain * 1e-70, noise_power_w=1e-82),
        plain.replace(noise_power_w=0.0, noise_psd_w_per_hz=1e-19),
        plain.replace(max_delay_s=1.0),
        plain,
    ]
    kinds = [int(problem._kinds) for problem in mixed]
    assert kinds == [
        kernel_kinds.FREE, kernel_kinds.GENERAL, kernel_kinds.GIVEN, kernel_kinds.MIXED, kernel_kinds.MIXED,
        kernel_kinds.GENERAL, kernel_kinds.GENERAL, kernel_kinds.FREE,
    ]  # fmt: skip
    together = batch_of(mixed)
    assert together._kinds.tolist() == kinds
    answers = together.solve()
    for i, problem in enumerate(mixed):
        assert answers[i] == problem.solve(throw=False)
    assert answers.objective[4] == pytest.approx(answers.objective[0], rel=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fixed_model": 2.0, "fixed_place": 1.0},
        {"fixed_model": 1.0},
        {"max_bandwidth_hz": 4e6},
        {"max_delay_s": 60.0, "noise_power_w": 0.0, "noise_psd_w_per_hz": 1e-19},
        {"max_bandwidth_hz": 4e6, "max_delay_s": 1.0},
    ],
    ids=["free", "given", "partly given", "bounds", "density and deadlines", "infeasible"],
)
@pytest.mark.parametrize("count", [1, 3, 8, 19])
def test_a_number_means_the_same_as_an_array_of_it(changes, count):
    """Numbers common to a batch are held once, and some kernels read them so."""
    fields = zoo.draw(3, count).replace(**changes)._given()
    once = DistillationProblem(catalogue=zoo.catalogue(), **fields)
    spelled_out = DistillationProblem(catalogue=zoo.catalogue(), **once.to_dict())
    assert once == spelled_out
    answers = once.solve()
    assert answers == spelled_out.solve()
    for i in range(count):
        assert answers[i] == once[i].solve(throw=False)


def test_hard_instances_of_a_batch_are_searched_alone():
    """Too many vectors are left to be tried one by one, among easy instances and alone."""
    hard, easy = zoo.subset_sum(9), zoo.draw(9, catalogue=zoo.subset_sum(9).catalogue)
    answers = batch_of([easy, hard, easy]).solve()
    assert answers[1] == hard.solve()
    assert answers[0] == answers[2] == easy.solve()
    assert hard.solve().nodes > 64


@pytest.mark.skipif(INTERPRETED, reason="there are no threads without the compiler")
def test_threads_give_the_same_bits():
    users, start = 5, solver.PARALLEL_FROM
    batch = zoo.draw(users, start[kernel_kinds.GIVEN] // users + 7)
    half = start[kernel_kinds.FREE] // users - 3
    for problem in (batch[: 2 * half], batch.fix(1, 0), batch[: 2 * half].fix(trains_locally=0)):
        parallel = problem.solve()
        assert parallel.problem.sizes["device"] * len(problem) >= start[int(problem._kinds)]
        for serial in (slice(0, half), slice(len(problem) - half, None)):
            assert parallel[serial] == problem[serial].solve()


@pytest.mark.skipif(INTERPRETED, reason="there are no threads without the compiler")
@pytest.mark.exhaustive  # the parallel kernel takes half a minute to compile
def test_threads_give_the_same_bits_with_bounds():
    limited = zoo.draw(5, solver.PARALLEL_FROM[kernel_kinds.GENERAL] // 5 + 7).replace(max_bandwidth_hz=4e6)
    assert limited.solve()[:50] == limited[:50].solve()


def test_batches_have_any_number_of_axes_and_all_statuses():
    problem = zoo.draw(3)
    grid = problem.replace(
        max_delay_s=np.reshape([[np.inf] * 3, [1.0] * 3, [30.0] * 3, [15.0] * 3], (2, 2, 3))
    )
    solution = grid.solve(throw=False)
    assert solution.status.shape == (2, 2)
    assert solution.status[0].tolist() == [Status.OPTIMAL, Status.INFEASIBLE]
    assert np.isnan(solution.objective[0, 1])
    assert solution[1, 0] == problem.replace(max_delay_s=30.0).solve()
    assert grid.solve("fl-min").status.shape == (2, 2)


def test_choices_may_be_a_batch_of_one_problem():
    problem = zoo.draw(2)
    choices = problem.fix(np.arange(4)[:, None], [0, 1])
    assert choices.batch_shape == (4,)
    assert choices.solve().objective.min() >= problem.solve().objective


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_files_keep_every_bit(tmp_path, suffix):
    for problem in (zoo.draw(3), zoo.draw(3, 4), zoo.infeasible()["one_deadline"]):
        solution = problem.solve(throw=False)
        assert load(solution.save(tmp_path / f"solution{suffix}")) == solution
        assert load(problem.save(tmp_path / f"problem{suffix}")) == problem
