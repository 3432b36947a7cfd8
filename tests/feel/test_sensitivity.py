"""Elasticities against central differences of the optimum."""

import numpy as np
import pytest

from radioopt.feel import BatchsizeProblem

STEP = 1e-4


def problem_of(kind, seed):
    rng = np.random.default_rng(seed)
    devices = 6
    common = {
        "payload_bits": 1e6,
        "uplink_rate_bps": rng.uniform(5e6, 5e7, devices),
        "downlink_rate_bps": rng.uniform(5e6, 5e7, devices),
        "max_batchsize": rng.uniform(5, 60, devices),
    }
    if kind == "gpu":
        return BatchsizeProblem.gpu(
            seconds_per_sample=rng.uniform(0.005, 0.05, devices),
            base_time_s=rng.uniform(0.05, 0.5, devices),
            threshold_batchsize=rng.uniform(1.5, 8, devices),
            update_time_s=rng.uniform(0.01, 0.1, devices),
            **common,
        )
    problem = BatchsizeProblem.cpu(
        cpu_frequency_hz=rng.uniform(0.7e9, 2.1e9, devices),
        cycles_per_sample=5e7,
        update_cycles=1e8,
        **common,
    )
    problem = problem.replace(min_batchsize=rng.uniform(1.5, 4, devices))
    if kind == "broadcast":
        return problem.replace(downlink="broadcast")
    latency = float(problem.solve().round_latency_s)
    if kind == "deadline":
        return problem.replace(max_round_latency_s=0.8 * latency)
    if kind == "total":
        return problem.replace(total_batchsize=0.6 * problem.max_batchsize.sum())
    return problem


def richardson(of_log_change):
    """Fourth-order central difference of ln E."""

    def central(h):
        return (of_log_change(h) - of_log_change(-h)) / (2 * h)

    return (4 * central(STEP) - central(2 * STEP)) / 3


def log_efficiency(problem):
    return float(np.log(problem.solve().objective))


KINDS = ["cpu", "gpu", "broadcast", "deadline", "total"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_finite_differences(kind, seed):
    problem = problem_of(kind, seed)
    worth = problem.solve().sensitivity()

    def scaled(field, device, change):
        values = np.array(getattr(problem, field))
        values[device] *= np.exp(change)
        return log_efficiency(problem.replace(**{field: values}))

    fields = ["uplink_rate_bps", "downlink_rate_bps", "seconds_per_sample", "base_time_s", "update_time_s"]
    for field in [*fields, "max_batchsize", "min_batchsize"]:
        for device in range(problem.sizes["device"]):
            difference = richardson(lambda h, f=field, d=device: scaled(f, d, h))
            assert getattr(worth, field)[device] == pytest.approx(difference, abs=1e-7), (field, device)
    for field in ("payload_bits", "total_batchsize", "max_round_latency_s"):
        value = float(getattr(problem, field))
        if np.isfinite(value):
            difference = richardson(
                lambda h, f=field, v=value: log_efficiency(problem.replace(**{f: v * np.exp(h)}))
            )
            assert float(getattr(worth, field)) == pytest.approx(difference, abs=1e-7), field


def test_cpu_elasticities_sum_to_one():
    for seed in range(10):
        worth = problem_of("cpu", seed).solve().sensitivity()
        together = worth.uplink_rate_bps + worth.downlink_rate_bps + worth.compute_speed
        assert together.sum() == pytest.approx(1, abs=1e-12)


def test_gpu_parameters():
    """Slope and flat time as the GPU constructor takes them, by central differences through the constructor."""
    rng = np.random.default_rng(0)
    given = {
        "seconds_per_sample": rng.uniform(0.005, 0.05, 4),
        "base_time_s": rng.uniform(0.05, 0.5, 4),
        "threshold_batchsize": rng.uniform(1.5, 8, 4),
        "update_time_s": 0.05,
        "payload_bits": 1e6,
        "uplink_rate_bps": rng.uniform(5e6, 5e7, 4),
        "downlink_rate_bps": 2e7,
        "max_batchsize": 40.0,
    }
    worth = BatchsizeProblem.gpu(**given).solve().sensitivity()

    def scaled(field, device, change):
        values = given[field].copy()
        values[device] *= np.exp(change)
        return log_efficiency(BatchsizeProblem.gpu(**(given | {field: values})))

    for field, name in (("seconds_per_sample", "slope_above_limit"), ("base_time_s", "time_at_limit")):
        for device in range(4):
            difference = richardson(lambda h, f=field, d=device: scaled(f, d, h))
            assert getattr(worth, name)[device] == pytest.approx(difference, abs=1e-7)


def test_a_batch_is_its_instances():
    single = [problem_of("cpu", seed) for seed in range(3)]
    fields = {n: np.stack([p.to_dict()[n] for p in single]) for n in single[0].quantities}
    together = BatchsizeProblem(**fields).solve().sensitivity()
    for i, problem in enumerate(single):
        assert together[i] == problem.solve().sensitivity()


def test_infeasible_instances_are_nan():
    problem = problem_of("cpu", 0)
    batch = problem.replace(max_round_latency_s=[1e-6, np.inf])
    worth = batch.solve(throw=False).sensitivity()
    assert np.isnan(worth.uplink_rate_bps[0]).all()
    assert np.isfinite(worth.uplink_rate_bps[1]).all()
