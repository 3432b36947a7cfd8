"""The vector kernel, the scalar one and plain NumPy agree on devices, sums and certificates."""

import math
import os

import mpmath as mp
import numpy as np
import pytest

from radioopt.fimi import certificate, kernel, kernel_device, kernel_nested, kernel_streaming, kernel_vector
from radioopt.fimi.device import Canonical
from radioopt.numerics.jit import kernel as jitted
from validation.fimi import zoo


@jitted
def h_array(u, out):
    for k in range(u.size):
        out[k] = kernel_device.h_of(u[k], math.expm1(u[k]))


def test_h_to_sixteen_digits():
    u = np.concatenate([np.geomspace(1e-9, 300, 200), [0.2, math.nextafter(0.2, 1)]])
    out = np.empty_like(u)
    h_array(u, out)
    with mp.workdps(60):
        exact = [float(x * mp.exp(x) - mp.expm1(x)) for x in map(mp.mpf, u)]
    np.testing.assert_allclose(out, exact, rtol=4e-15)


def blocks(problem):
    return problem.block(("device",))[:, None], problem.block()[:, None]


def sums_of_both(problem, log_nu, log_varpi):
    """Sum what devices use at given prices, and its derivatives: by the scalar and by the vector kernel."""
    device, instance = blocks(problem)
    count = device.shape[2]
    par = kernel.parameters(instance, 0, count)
    work, one = np.zeros((kernel_device.ROWS, count)), np.zeros((kernel_device.ROWS, 1))
    kernel_nested.prepare(device, 0, par, work)
    kernel_nested.place(work, par, math.exp(log_varpi))
    scalar, vector = np.zeros(kernel_vector.SUMS), np.zeros(kernel_vector.SUMS)
    kernel_nested.sweep(work, par, log_nu, log_varpi, scalar)
    state, w = np.zeros((4, count)), np.zeros(kernel_vector.SCRATCH)
    prices = (log_nu, log_varpi, math.nan, kernel.UPLOAD_SHARE)
    kernel_vector.sweep(device, 0, 0, count, par, prices, 1e-9, state, w, one, vector)
    return scalar[: kernel_vector.LAST], vector[: kernel_vector.LAST]


@pytest.mark.parametrize("seed", range(25))
def test_scalar_vector_and_numpy_sums_agree_at_any_prices(seed):
    problem = zoo.random(seed)
    solution = problem.solve()
    rng = np.random.default_rng(seed)
    p = Canonical.of(problem)
    nu = max(float(solution.price_learning_j), 1e-30)
    log_nu = math.log(nu) + rng.uniform(-3, 3)
    log_varpi = math.log(float(solution.price_bandwidth_j_per_hz)) + rng.uniform(-3, 3)
    scalar, vector = sums_of_both(problem, log_nu, log_varpi)
    np.testing.assert_allclose(vector[:2], scalar[:2], rtol=1e-9)
    prices = np.exp([log_nu]), np.exp([log_varpi])
    with np.errstate(all="ignore"):
        _, (learning, band), jacobian = certificate._dual(p, *prices)
    assert math.log(scalar[0] / p.Y[0]) == pytest.approx(learning[0], abs=1e-9)
    assert math.log(scalar[1] / p.B[0]) == pytest.approx(band[0], abs=1e-9)
    found = vector[2:] / vector[[0, 0, 1, 1]]
    np.testing.assert_allclose(found, np.ravel(jacobian), rtol=1e-6, atol=1e-9)


def test_jacobian_against_differences():
    problem = zoo.paper()
    solution = problem.solve()
    x = np.log([solution.price_learning_j, solution.price_bandwidth_j_per_hz]) + 0.1
    _, at = sums_of_both(problem, *x)
    step = 1e-5
    for row, column in ((2, 0), (4, 0), (3, 1), (5, 1)):
        up, down = x.copy(), x.copy()
        up[column] += step
        down[column] -= step
        value = 0 if row in (2, 3) else 1
        slope = (sums_of_both(problem, *up)[1][value] - sums_of_both(problem, *down)[1][value]) / (2 * step)
        assert at[row] == pytest.approx(slope, rel=1e-7)
    # the Hessian of the dual is symmetric
    assert at[3] / np.exp(x[1]) == pytest.approx(at[4] / np.exp(x[0]), rel=1e-12)


def test_the_nested_searches_find_what_newton_finds():
    for seed in range(12):
        problem = zoo.random(seed, max_devices=10)
        solution = problem.solve()
        device, instance = blocks(problem)
        count = device.shape[2]
        par = kernel.parameters(instance, 0, count)
        work, sums = np.zeros((kernel_device.ROWS, count)), np.zeros(kernel_vector.SUMS)
        kernel_nested.prepare(device, 0, par, work)
        learns = float(solution.price_learning_j) > 0
        start = math.log(float(solution.price_learning_j)) + 2 if learns else -math.inf
        band = math.log(float(solution.price_bandwidth_j_per_hz)) - 2
        _, _, _, met = kernel_nested.nested(work, par, start, band, 200, sums)
        assert met
        if learns:
            assert sums[0] == pytest.approx(float(problem.learning_budget), rel=1e-9)
        assert sums[1] == pytest.approx(float(problem.bandwidth_hz), rel=1e-9)


def test_the_kernels_certificate_is_that_of_the_oracle():
    for seed in range(40):
        solution = zoo.random(seed).solve()
        judged = solution.verify()
        assert judged.objective == pytest.approx(float(solution.objective), rel=1e-12)
        assert judged.bound == pytest.approx(float(solution.bound), rel=1e-9)


def test_streaming_passes_close_the_certificate_from_prices_nearby():
    problem = zoo.paper()
    solution = problem.solve()
    device, instance = blocks(problem)
    prices = np.array([[solution.price_learning_j], [solution.price_bandwidth_j_per_hz]]) * 1.01
    out = np.empty((4, *device.shape[1:])), np.empty((5, 1)), np.zeros(1, np.int64)
    assert kernel_streaming.solve_streaming(device, instance, prices, 500, *out)
    assert out[1][0, 0] == pytest.approx(float(solution.objective), rel=1e-11)


@pytest.mark.parametrize("latency_s", [30.0, 120.0])
def test_the_start_of_streaming_is_the_share_of_the_round_that_uploads_take(latency_s, monkeypatch):
    # where kernels are compiled, the size of a sample is fixed
    devices = kernel_streaming.SAMPLE
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        devices = 64
        monkeypatch.setattr(kernel_streaming, "SAMPLE", devices)
    problem = zoo.paper(devices).replace(max_round_latency_s=latency_s)
    device, instance = blocks(problem)
    par, sums = kernel.parameters(instance, 0, devices), np.empty((1, kernel_vector.SUMS))
    kernel_vector.survey(device, 0, 0, devices, par, np.empty(kernel_vector.SCRATCH), sums[0])
    _, _, share = kernel_streaming.start(device, par, sums[0])
    solution = problem.solve()
    u = np.log1p(
        solution.transmit_power_w
        * problem.channel_gain
        / (problem.noise_psd_w_per_hz * solution.bandwidth_hz)
    )
    uploads_s = problem.payload_bits * math.log(2.0) / (solution.bandwidth_hz * u)
    assert share == pytest.approx(np.exp(np.log(uploads_s / latency_s).mean()), rel=0.1)
