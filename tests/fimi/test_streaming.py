"""Very many devices: the streaming passes certify, agree with the general kernel, and no thread changes a digit."""

import os

import numpy as np
import pytest

from radioopt import Status
from radioopt.fimi import kernel, kernel_streaming, solver
from validation.fimi import zoo

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="too many devices for interpreted kernels"
)
MANY = 25_000


def streamed(problem):
    device, instance = problem.block(("device",))[:, None], problem.block()[:, None]
    out = np.empty((4, 1, device.shape[2])), np.empty((5, 1)), np.empty(1, np.int64)
    closed = kernel_streaming.solve_streaming(device, instance, np.full((2, 1), np.nan), 500, *out)
    return closed, out


VARIANTS = {
    "free": {},
    "half_at_max_power": {"max_transmit_power_w": np.resize([0.012, 0.2], MANY)},
    "few_samples_allowed": {"max_synthetic_samples": np.resize([250.0, 2500.0], MANY)},
    "slow_cpus": {"max_cpu_frequency_hz": np.resize([1.75e8, 1e9], MANY)},
    "no_synthetic_data_needed": {"max_global_error": 0.3},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_many_devices_are_certified_by_streaming(variant):
    problem = zoo.paper(MANY).replace(**VARIANTS[variant])
    closed, (_, out_instance, _) = streamed(problem)
    assert closed
    solution = problem.solve()
    assert solution.status is Status.OPTIMAL
    assert solution.objective == out_instance[0, 0]
    judged = solution.verify()
    assert judged.status == Status.OPTIMAL
    assert judged.objective == pytest.approx(float(solution.objective), rel=1e-12)


def test_streaming_agrees_with_the_general_kernel(monkeypatch):
    problem = zoo.paper(MANY)
    solution = problem.solve()
    monkeypatch.setattr(solver, "STREAM_FROM", 10**9)
    general = problem.solve()
    assert solution.objective == pytest.approx(float(general.objective), rel=1e-11)
    np.testing.assert_allclose(solution.bandwidth_hz, general.bandwidth_hz, rtol=1e-8)


def test_where_streaming_gives_up_the_general_kernel_answers(monkeypatch):
    problem = zoo.paper(MANY)
    monkeypatch.setattr(kernel_streaming, "solve_streaming", lambda *arguments: False)
    assert problem.solve().status is Status.OPTIMAL


def test_one_odd_device_among_many_is_not_overlooked():
    gain = np.array(zoo.paper(MANY).channel_gain)
    gain[12_345] = 1e-15
    problem = zoo.paper(MANY).replace(channel_gain=gain, max_transmit_power_w=10.0)
    solution = problem.solve()
    assert solution.verify().status == Status.OPTIMAL


def test_infeasible_with_many_devices():
    problem = zoo.paper(MANY).replace(bandwidth_hz=1e6)
    assert problem.solve(throw=False).status is Status.INFEASIBLE


def test_a_warm_start_skips_the_sample():
    problem = zoo.paper(MANY)
    warm = problem.solve(warm_start=problem.solve())
    assert warm.status is Status.OPTIMAL
    assert warm.iterations <= 2


def test_threads_change_no_digit():
    import numba

    problem = zoo.paper(MANY)
    most = numba.get_num_threads()
    one = problem.solve()
    try:
        numba.set_num_threads(1)
        assert problem.solve() == one
    finally:
        numba.set_num_threads(most)
    assert one.iterations < kernel.MOST_PASSES
