"""Fixed total batch, round deadline, broadcast downlink, samples held: against brute force and against each other."""

import numpy as np
import pytest

from radioopt import OptionError, ProblemError, SolveError, Status
from radioopt.feel import BatchsizeProblem
from validation.feel import zoo


def random_batch(seed, count, devices, **options):
    """Draw instances from the zoo: CPU or GPU, rates and compute times over decades."""
    return zoo.random_batch(np.random.default_rng(seed), count, devices).replace(**options)


SEEDS_AND_SIZES = [(0, 1), (1, 1), (2, 2), (3, 2), (4, 5), (5, 5), (6, 20), (7, 20), (8, 100), (9, 100)]


@pytest.mark.parametrize(("seed", "devices"), SEEDS_AND_SIZES)
def test_a_fixed_total_is_met_and_certified(seed, devices):
    free = random_batch(seed, 300, devices)
    least, most = free.min_batchsize.sum(-1), free.max_batchsize.sum(-1)
    position = np.random.default_rng(seed).uniform(0, 1, 300) ** 3
    position[:10], position[10:20] = 0, 1  # every device at a limit
    total = np.clip(least + position * (most - least), least, most)
    solution = free.replace(total_batchsize=total).solve()
    assert (solution.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(solution.batchsize.sum(-1), total, rtol=1e-12)
    assert (solution.verify().status == Status.OPTIMAL).all()
    assert (solution.objective <= free.solve().objective * (1 + 1e-12)).all()


@pytest.mark.parametrize(("seed", "devices"), SEEDS_AND_SIZES)
def test_the_free_optimum_fixed_at_its_own_total_is_the_same(seed, devices):
    free = random_batch(seed, 100, devices)
    optimum = free.solve()
    total = np.clip(optimum.batchsize.sum(-1), free.min_batchsize.sum(-1), free.max_batchsize.sum(-1))
    fixed = free.replace(total_batchsize=total).solve()
    np.testing.assert_allclose(fixed.objective, optimum.objective, rtol=1e-10)


@pytest.mark.parametrize(("seed", "devices"), SEEDS_AND_SIZES)
def test_a_deadline_is_met_where_it_can_be(seed, devices):
    free = random_batch(seed, 300, devices)
    optimum = free.solve()
    shortest = free.replace(max_batchsize=free.min_batchsize).solve().round_latency_s
    position = np.random.default_rng(seed).uniform(-0.1, 1.2, 300)
    slack = np.maximum(optimum.round_latency_s - shortest, 1e-3 * shortest)
    deadline = shortest + position * slack
    solution = free.replace(max_round_latency_s=deadline).solve(throw=False)
    infeasible = position < 0
    np.testing.assert_array_equal(solution.status == Status.INFEASIBLE, infeasible)
    assert np.isnan(solution.batchsize[infeasible]).all()
    assert np.isnan(solution.objective[infeasible]).all()
    met = ~infeasible
    assert (solution.round_latency_s[met] <= deadline[met] * (1 + 1e-9)).all()
    # near the shortest latency the optimum is steep in the deadline, and rounding of the deadline widens the gap
    assert (solution.status[met] <= Status.FEASIBLE).all()
    assert (solution.gap[met] < 1e-6).all()
    comfortable = position >= 1
    np.testing.assert_allclose(solution.objective[comfortable], optimum.objective[comfortable], rtol=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("miss", [-1e-12, 0.0, 1e-13, 9e-13, 1e-12, 1.1e-12, 1e-11])
def test_a_deadline_missed_by_rounding_is_met_by_whole_samples_and_by_others_alike(seed, miss):
    free = random_batch(2 * seed, 40, 4)
    shortest = free.replace(max_batchsize=free.min_batchsize).solve().round_latency_s
    late = free.replace(max_round_latency_s=shortest * (1 - miss))
    continuous, whole = (late.solve(throw=False, integer=whole).status for whole in (False, True))
    np.testing.assert_array_equal(continuous == Status.INFEASIBLE, whole == Status.INFEASIBLE)
    assert (continuous <= Status.FEASIBLE).all() or miss >= 1e-12
    assert (continuous == Status.INFEASIBLE).all() or miss <= 1e-12


def test_a_deadline_that_cannot_be_met_says_what_can():
    problem = zoo.named()["paper_cpu"]
    shortest = float(problem.replace(max_batchsize=problem.min_batchsize).solve().round_latency_s)
    late = problem.replace(max_round_latency_s=0.5 * shortest)
    with pytest.raises(
        SolveError, match=r"max_round_latency_s: expected at least .*, the shortest round"
    ) as error:
        late.solve()
    advised = float(str(error.value).partition("at least ")[2].partition(",")[0])
    assert shortest <= advised <= shortest * (1 + 1e-5)
    assert late.replace(max_round_latency_s=advised).solve().status is Status.OPTIMAL
    assert late.solve(throw=False).status is Status.INFEASIBLE
    with pytest.raises(SolveError, match=r"a total batch of 20, got"):
        late.replace(total_batchsize=20.0, max_round_latency_s=1e-6).solve()


def test_a_broadcast_goes_at_the_least_rate():
    problem = random_batch(4, 50, 6, downlink="broadcast")
    solution = problem.solve()
    assert (solution.status == Status.OPTIMAL).all()
    assert (solution.verify().status == Status.OPTIMAL).all()
    phase = problem.payload_bits / problem.downlink_rate_bps.min(-1) + problem.update_time_s.max(-1)
    np.testing.assert_allclose(solution.download_phase_s, phase, rtol=1e-14)
    np.testing.assert_allclose(solution.downlink_slot_s, 0.01, rtol=1e-14)
    slowest = solution.download_time_s.max(-1)
    assert (solution.download_time_s == slowest[:, None]).all()


def test_no_batch_exceeds_the_samples_held():
    problem = BatchsizeProblem.cpu(
        cpu_frequency_hz=[1e9, 2e9],
        cycles_per_sample=1e6,
        update_cycles=0.0,
        payload_bits=1e6,
        uplink_rate_bps=1e7,
        downlink_rate_bps=1e7,
        max_batchsize=128,
        local_samples=[5, 1000],
    )
    np.testing.assert_array_equal(problem.max_batchsize, [5, 128])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "total_batchsize",
            1.5,
            r"total_batchsize: expected between 12 and 1536 \(the sums of the limits\), got 1\.5$",
        ),
        ("total_batchsize", np.nan, r"total_batchsize: expected > 0, or inf for none, got nan"),
        ("max_round_latency_s", -1.0, r"max_round_latency_s: expected > 0, or inf for none, got -1.0"),
        ("downlink", "multicast", r"downlink: expected one of tdma, broadcast, got 'multicast'"),
    ],
)
def test_options_out_of_range_are_refused(field, value, message):
    with pytest.raises(ProblemError, match=message):
        zoo.named()["paper_cpu"].replace(**{field: value})


def test_settings_survive_saving_and_selection(tmp_path):
    import radioopt as ro

    problem = random_batch(2, 3, 4, downlink="broadcast", max_round_latency_s=1e4)
    for name in ("problem.npz", "problem.json"):
        problem.save(tmp_path / name)
        assert ro.load(tmp_path / name) == problem
    assert problem[1].downlink == "broadcast"
    assert problem != problem.replace(downlink="tdma")
    solution = problem.solve()
    solution.save(tmp_path / "solution.json")
    assert ro.load(tmp_path / "solution.json") == solution


def test_integer_options_are_refused_by_name():
    problem = random_batch(2, 1, 3)[0]
    with pytest.raises(OptionError, match=r"node_limit: expected at least 1, got 0"):
        problem.solve(integer=True, node_limit=0)
    with pytest.raises(ProblemError, match=r"total_batchsize: expected a whole number .*, got 3.5"):
        problem.replace(max_batchsize=10.0, total_batchsize=3.5).solve(integer=True)
