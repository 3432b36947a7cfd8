"""Malformed input is refused at construction, by field, index and value."""

import numpy as np
import pytest

from radioopt import OptionError, ProblemError
from radioopt.feel import BatchsizeProblem

GENERAL = {
    "payload_bits": 1e6,
    "uplink_rate_bps": [1e7, 2e7, 3e7],
    "downlink_rate_bps": 1e7,
    "seconds_per_sample": 0.1,
    "update_time_s": 0.01,
    "max_batchsize": 128,
}
CPU = {
    "cpu_frequency_hz": [1e9, 2e9, 3e9],
    "cycles_per_sample": 7e7,
    "update_cycles": 1e8,
    "payload_bits": 1e6,
    "uplink_rate_bps": 1e7,
    "downlink_rate_bps": 1e7,
    "max_batchsize": 128,
}
GPU = {
    "seconds_per_sample": 0.001,
    "base_time_s": [0.1, 0.2, 0.3],
    "threshold_batchsize": 16.5,
    "update_time_s": 0.01,
    "payload_bits": 1e6,
    "uplink_rate_bps": 1e7,
    "downlink_rate_bps": 1e7,
    "max_batchsize": 128,
}
NUMBERS = "expected real numbers, got "


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "uplink_rate_bps",
            [1e7, np.nan, 3e7],
            r"expected a finite number > 0, got nan at index 1 \(1 of 3 invalid\)",
        ),
        ("uplink_rate_bps", [1e7, 0.0, -3e7], r"expected > 0, got 0.0 at index 1 \(2 of 3 invalid\)"),
        ("uplink_rate_bps", np.inf, r"expected a finite number > 0, got inf$"),
        ("downlink_rate_bps", -1.0, r"expected > 0, got -1.0$"),
        ("payload_bits", 0.0, r"expected > 0, got 0.0$"),
        ("seconds_per_sample", [0.1, 0.1, -0.1], r"expected > 0, got -0.1 at index 2 \(1 of 3 invalid\)"),
        ("update_time_s", -1e-9, r"expected >= 0, got -1e-09$"),
        ("max_batchsize", [128, 0.5, 128], r"expected >= 1, got 0.5 at index 1 \(1 of 3 invalid\)"),
        ("min_batchsize", [1, 1, 200], r"expected <= max_batchsize, got 200.0 at index 2 \(1 of 3 invalid\)"),
        ("min_batchsize", 0.0, r"expected >= 1, got 0.0$"),
        ("base_time_s", -1.0, r"expected base_time_s \+ seconds_per_sample \* min_batchsize >= 0, got -1.0"),
        ("uplink_frame_s", 0.0, r"expected > 0, got 0.0$"),
        ("loss_decay", np.nan, r"expected a finite number > 0, got nan$"),
        (
            "uplink_rate_bps",
            [[1e7, 2e7, np.nan]] * 2,
            r"expected a finite number > 0, got nan at index \(0, 2\) \(2 of 6",
        ),
        (
            "downlink_rate_bps",
            [1e7, 2e7],
            r"expected 3 values along the device axis, as in uplink_rate_bps, got 2",
        ),
        ("payload_bits", [1e6, 2e6], None),  # two instances: a batch, not an error
        ("payload_bits", "1 Mbit", NUMBERS + "'1 Mbit'"),
        ("payload_bits", True, NUMBERS + "True"),
        ("payload_bits", 1e6 + 0j, NUMBERS + r"\(1000000\+0j\)"),
        ("payload_bits", None, NUMBERS + "None"),
        ("uplink_rate_bps", [[1e7, 2e7], [1e7]], NUMBERS + r"\[\[10000000.0, 20000000.0\], \[10000000.0\]\]"),
        ("uplink_rate_bps", ["1e7", "2e7", "3e7"], NUMBERS + r"\['1e7', '2e7', '3e7'\]"),
        ("uplink_rate_bps", [1e7, None, 3e7], r"expected a finite number > 0, got nan at index 1"),
        ("uplink_rate_bps", np.array([True, True, True]), NUMBERS + r"array\(\[ True,  True,  True\]\)"),
        (
            "uplink_rate_bps",
            np.ma.masked_array([1e7, 2e7, 3e7], mask=[False, True, False]),
            r"expected a finite number > 0, got nan at index 1",
        ),
        ("uplink_rate_bps", [], r"expected at least one value, got an empty array"),
        ("uplink_rate_bps", {"a": 1e7}, NUMBERS + r"\{'a': 10000000.0\}"),
    ],
)
def test_a_bad_field_is_named(field, value, message):
    if message is None:
        assert BatchsizeProblem(**GENERAL | {field: value}).batch_shape == (2,)
        return
    with pytest.raises(ProblemError, match=rf"^BatchsizeProblem\.{field}: ({message})"):
        BatchsizeProblem(**GENERAL | {field: value})


@pytest.mark.parametrize(
    ("build", "good", "field", "value", "message"),
    [
        (
            BatchsizeProblem.cpu,
            CPU,
            "cpu_frequency_hz",
            [1e9, -2e9, 3e9],
            r"expected > 0, got -2000000000.0 at",
        ),
        (BatchsizeProblem.cpu, CPU, "cpu_frequency_hz", [1e9, 0, 3e9], r"expected > 0, got 0.0 at index 1"),
        (BatchsizeProblem.cpu, CPU, "cycles_per_sample", np.nan, r"expected a finite number > 0, got nan$"),
        (BatchsizeProblem.cpu, CPU, "update_cycles", -1.0, r"expected >= 0, got -1.0$"),
        (BatchsizeProblem.gpu, GPU, "base_time_s", 0.0, r"expected > 0, got 0.0$"),
        (BatchsizeProblem.gpu, GPU, "threshold_batchsize", -1.0, r"expected >= 0, got -1.0$"),
        (BatchsizeProblem.gpu, GPU, "max_batchsize", [128, 128, 0.9], r"expected >= 1, got 0.9 at index 2"),
        (BatchsizeProblem.gpu, GPU, "seconds_per_sample", "slow", NUMBERS + "'slow'"),
        (BatchsizeProblem.gpu, GPU, "base_time_s", [], r"expected at least one value, got an empty array"),
    ],
)
def test_the_paper_s_scenarios_name_their_own_arguments(build, good, field, value, message):
    with pytest.raises(ProblemError, match=rf"^BatchsizeProblem\.(cpu|gpu)\.{field}: {message}"):
        build(**good | {field: value})


@pytest.mark.parametrize(
    ("build", "good"), [(BatchsizeProblem, GENERAL), (BatchsizeProblem.cpu, CPU), (BatchsizeProblem.gpu, GPU)]
)
def test_missing_and_unknown_arguments_are_type_errors(build, good):
    with pytest.raises(TypeError, match="uplink_rate_bps"):
        build(**{name: value for name, value in good.items() if name != "uplink_rate_bps"})
    with pytest.raises(TypeError, match="uplink_rate_mbps"):
        build(**good, uplink_rate_mbps=20.0)


def test_options_are_named_too():
    problem = BatchsizeProblem(**GENERAL)
    with pytest.raises(OptionError, match=r"unknown method 'simplex', choose from newton, bisection"):
        problem.solve("simplex")
    with pytest.raises(OptionError, match=r"method 'bisection': unknown option 'tolerance', it takes: none"):
        problem.solve("bisection", tolerance=1e-3)


def test_numbers_come_in_many_forms():
    reference = BatchsizeProblem(**GENERAL).solve().objective
    for rates in ((1e7, 2e7, 3e7), np.float32([1e7, 2e7, 3e7]), np.int64([10**7, 2 * 10**7, 3 * 10**7])):
        assert BatchsizeProblem(**GENERAL | {"uplink_rate_bps": rates}).solve().objective == reference
    strided = np.asfortranarray(np.repeat([[1e7, 2e7, 3e7]], 4, axis=0))[::2]
    assert (BatchsizeProblem(**GENERAL | {"uplink_rate_bps": strided}).solve().objective == reference).all()


def test_a_problem_does_not_change_with_the_arrays_it_was_made_from():
    rates = np.array([1e7, 2e7, 3e7])
    problem = BatchsizeProblem(**GENERAL | {"uplink_rate_bps": rates})
    rates[:] = np.nan
    assert problem.solve().objective > 0
    with pytest.raises(ValueError, match="read-only"):
        problem.uplink_rate_bps[0] = 1.0
