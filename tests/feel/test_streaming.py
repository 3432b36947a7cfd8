"""Streaming passes for very many devices: the same answer as the general kernel, judged by the same certificate."""

import numba
import numpy as np
import pytest

from radioopt import Status
from radioopt.feel import BatchsizeProblem, kernel_vector, solver

pytestmark = pytest.mark.slow  # a hundred thousand devices are too many for kernels without the compiler


def crowd(seed, *, devices=solver.STREAM_FROM, gpu=False, max_batchsize=128.0, payload_bits=1e3, **options):
    rng = np.random.default_rng(seed)
    common = {
        "payload_bits": payload_bits,
        "uplink_rate_bps": 10 ** rng.uniform(5, 8, devices),
        "downlink_rate_bps": 10 ** rng.uniform(6, 8, devices),
        "max_batchsize": max_batchsize,
    } | options
    if gpu:
        return BatchsizeProblem.gpu(
            seconds_per_sample=rng.uniform(1e-3, 1e-1, devices),
            base_time_s=rng.uniform(0.01, 1, devices),
            threshold_batchsize=rng.uniform(0, 150, devices),
            update_time_s=rng.uniform(0, 0.1, devices),
            **common,
        )
    return BatchsizeProblem.cpu(
        cpu_frequency_hz=rng.uniform(0.3e9, 3e9, devices), cycles_per_sample=7e7, update_cycles=1e8, **common
    )


CROWDS = {
    "some at limits": {},
    "most at limits": {"max_batchsize": 20.0},
    "none at limits": {"max_batchsize": 1e6, "payload_bits": 1e5},
    "all at the upper limit": {"payload_bits": 1e6, "max_batchsize": 2.0},
    "GPU, thresholds beyond the limit": {"gpu": True},
    "one more than a whole chunk": {"devices": 200 * kernel_vector.CHUNK + 1},
}


@pytest.fixture
def general(monkeypatch):
    """Solve with the general kernel whatever the size."""

    def solve(problem):
        with monkeypatch.context() as patch:
            patch.setattr(solver, "STREAM_FROM", 10**9)
            return problem.solve()

    return solve


@pytest.mark.parametrize("name", CROWDS)
def test_the_same_optimum_as_the_general_kernel(name, general):
    problem = crowd(len(name), **CROWDS[name])
    solution, reference = problem.solve(), general(problem)
    assert solution.status is Status.OPTIMAL
    assert float(solution.objective) == pytest.approx(float(reference.objective), rel=1e-11)
    np.testing.assert_allclose(solution.batchsize, reference.batchsize, rtol=1e-6)
    check = solution.verify()
    assert check.status == Status.OPTIMAL
    assert check.objective == pytest.approx(float(solution.objective), rel=1e-12)
    assert check.gap < 1e-10


def test_most_crowds_need_few_passes(general):
    solution = crowd(1).solve()
    assert solution.iterations <= 4 < general(crowd(1)).iterations + 4


def test_threads_change_no_digit():
    problem = crowd(2)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = problem.solve()
    finally:
        numba.set_num_threads(before)
    assert alone == problem.solve()


def test_sorted_devices_are_sampled_fairly(general):
    problem = crowd(3)
    order = np.argsort(problem.uplink_rate_bps)
    fields = {n: v if np.ndim(v) == 0 else v[order] for n, v in problem.to_dict().items()}
    assert BatchsizeProblem(**fields).solve().objective == pytest.approx(
        general(problem).objective, rel=1e-11
    )


@pytest.mark.parametrize(
    "options", [{"max_round_latency_s": 2e3}, {"total_batchsize": 3e6}, {"downlink": "broadcast"}]
)
def test_options_are_left_to_the_general_kernel(options):
    solution = crowd(4, **options).solve(throw=False)
    assert solution.verify().residual <= 1e-9
    assert solution.status is Status.OPTIMAL


def test_an_instance_it_cannot_close_falls_back(monkeypatch):
    monkeypatch.setattr(kernel_vector, "MOST_PASSES", 1)
    monkeypatch.setattr(kernel_vector, "CLOSE_HUGE", 0.0)
    assert crowd(5).solve().status is Status.OPTIMAL
