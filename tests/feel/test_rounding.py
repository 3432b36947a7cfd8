"""The paper's rounding: feasible whole samples, never better than choosing them with their slots."""

import numpy as np
import pytest

from radioopt import ProblemError, Status
from radioopt.feel import BatchsizeProblem
from validation.feel import zoo
from validation.reproduce.feel_rounding import losses

NAMED = zoo.named()


def check(problem):
    """What must hold of every rounded answer; return it."""
    planned, rounded = problem.solve(throw=False), problem.solve("round-up", throw=False)
    answered = planned.status_code != Status.INFEASIBLE
    np.testing.assert_array_equal(rounded.status_code == Status.INFEASIBLE, ~answered)
    assert (rounded.status_code[answered] <= Status.FEASIBLE).all()
    np.testing.assert_array_equal(np.round(rounded.batchsize), rounded.batchsize)
    np.testing.assert_array_equal(rounded.uplink_slot_s, planned.uplink_slot_s)
    np.testing.assert_array_equal(rounded.downlink_slot_s, planned.downlink_slot_s)
    best = problem.solve(integer=True, throw=False)
    assert (rounded.objective <= best.objective * (1 + 1e-12))[answered].all()
    assert (best.objective <= rounded.bound * (1 + 1e-12))[answered].all()
    measured = rounded.verify()
    assert (measured.residual <= 1e-11)[answered].all()
    np.testing.assert_array_equal(measured.objective, rounded.objective)
    np.testing.assert_allclose(
        rounded.round_latency_s, rounded.upload_phase_s + rounded.download_phase_s, rtol=1e-15
    )
    efficiency = problem.loss_decay * np.sqrt(rounded.batchsize.sum(-1)) / rounded.round_latency_s
    np.testing.assert_allclose(rounded.objective, efficiency, rtol=1e-14)
    return planned, rounded


@pytest.mark.parametrize("name", NAMED)
def test_named_instances(name):
    problem = NAMED[name]
    batch = {field: np.expand_dims(value, 0) for field, value in problem.to_dict().items()}
    planned, rounded = check(BatchsizeProblem(**batch, **problem.settings, strict=None))
    raised = rounded.batchsize - planned.batchsize
    above = np.ceil(planned.batchsize - 1e-9) <= problem.max_batchsize
    assert ((raised[above] >= -1e-9) & (raised[above] < 1)).all()
    assert rounded[0].batchsize.tolist() == problem.solve("round-up").batchsize.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_random_batches(seed):
    problem = zoo.random_batch(np.random.default_rng(seed), 100, 1 + 3 * seed)
    _, rounded = check(problem)
    assert (rounded.status == Status.FEASIBLE).any()
    check(problem.replace(downlink="broadcast"))


def test_a_batch_never_exceeds_its_limit():
    problem = NAMED["paper_cpu"].replace(max_batchsize=7.9)
    planned, rounded = problem.solve(), problem.solve("round-up")
    assert (planned.batchsize > 7.8).any()
    assert rounded.batchsize.max() == 7
    between = NAMED["paper_gpu"].replace(
        min_batchsize=100.2, max_batchsize=100.8
    )  # no whole number from l to u
    np.testing.assert_array_equal(between.solve("round-up").batchsize, 100)


def test_a_deadline_rounds_down_who_would_be_late():
    free = NAMED["wide_limits"]
    planned = free.solve()
    assert free.solve("round-up").round_latency_s > planned.round_latency_s * (1 + 1e-6)
    for share in (1.0, 0.999, 0.9):
        deadline = share * float(planned.round_latency_s)
        rounded = free.replace(max_round_latency_s=deadline).solve("round-up", throw=False)
        assert rounded.round_latency_s <= deadline * (1 + 1e-12)
        assert rounded.verify().residual <= 1e-11
    seconds = zoo.random_batch(np.random.default_rng(3), 200, 5).solve().round_latency_s
    position = np.random.default_rng(4).uniform(0.3, 1.1, 200)  # some before the shortest round
    late = zoo.random_batch(np.random.default_rng(3), 200, 5).replace(max_round_latency_s=seconds * position)
    _, rounded = check(late)
    assert (rounded.status == Status.INFEASIBLE).any()


def test_a_fixed_total_is_refused():
    problem = NAMED["paper_cpu"].replace(total_batchsize=[np.inf, 200.0, 300.0])
    with pytest.raises(
        ProblemError,
        match=r"^method 'round-up'\.total_batchsize: expected inf, as rounding up cannot keep a total "
        r"\(method 'newton' with integer=True can\), got 200.0 at index 1 \(2 of 3 invalid\)$",
    ):
        problem.solve("round-up")


def test_whole_optima_stay_as_they_are():
    for name in ("paper_cpu", "all_at_min", "max_batch_of_one", "identical_devices"):
        rounded = NAMED[name].solve("round-up")
        assert rounded.status is Status.OPTIMAL
        np.testing.assert_array_equal(rounded.batchsize, NAMED[name].solve().batchsize.round())


def test_the_table_of_the_documentation():
    from validation.feel.bench import draw

    found = losses(draw(12, 100, seed=2).replace(payload_bits=1e6))
    assert 0.05 < found["round_up"] < found["round_up_95"] < 0.2
    assert 1e-4 < found["integer"] < 0.1 * found["round_up"]
    assert 0.05 < found["overrun"] < 0.25


@pytest.mark.parametrize("seed", [2103, 2449, 2607])
def test_the_status_is_what_the_rounded_point_shows_by_itself(seed):
    """The bound of the continuous optimum says more here, to a few parts in a billion."""
    rng = np.random.default_rng(seed)
    devices, span = int(rng.integers(1, 6)), float(rng.choice([10, 30]))
    names = ("uplink_rate_bps", "downlink_rate_bps", "seconds_per_sample", "base_time_s", "update_time_s")
    middle = dict(zip(names, (1e7, 1e7, 0.05, 0.1, 0.1), strict=True))
    fields = {name: value * 10 ** rng.uniform(-span, span, devices) for name, value in middle.items()}
    limit = 10 ** rng.uniform(0, 10, devices)
    frames = {"uplink_frame_s": 1.0, "downlink_frame_s": 1.0, "loss_decay": 1.0}
    problem = BatchsizeProblem(**fields, **frames, payload_bits=1e6, max_batchsize=limit, strict=None)
    solution = problem.solve("round-up")
    check = solution.verify()
    assert solution.status is Status(check.status) is Status.FEASIBLE
    assert solution.gap == check.gap > 1e-9
