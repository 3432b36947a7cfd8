"""Fits: exact where the data are, unmoved by a few wrong ones, and honest about what was not measured."""

import tomllib

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from radioopt import ProblemError, Scenario
from radioopt.feel import BatchsizeProblem, LossDecay, TrainingTime, gradient_bits

SIZES = np.array([1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256])
POSITIVE = st.floats(1e-6, 1e3)


def deviation(time, sizes, seconds):
    """What the fit minimises."""
    return np.abs(time(sizes) / seconds - 1).sum()


# -- training time ------------------------------------------------------------------------------------------------


@given(base=POSITIVE, growth=st.floats(1e-3, 1e3), threshold=st.floats(4.1, 96.0))
def test_exact_times_are_found_exactly(base, growth, threshold):
    true = TrainingTime(base, growth * base / 128, threshold)
    found = TrainingTime.fit(SIZES, true(SIZES))
    np.testing.assert_allclose(found(SIZES), true(SIZES), rtol=1e-6)
    assert found.base_time_s == pytest.approx(true.base_time_s, rel=1e-6)
    if growth > 0.1:
        assert found.threshold_batchsize == pytest.approx(threshold, rel=1e-3)
        assert found.seconds_per_sample == pytest.approx(true.seconds_per_sample, rel=1e-3)
        assert found.warnings() == []


@given(st.integers(0, 10**6), st.integers(3, 12))
def test_no_other_parameters_fit_better(seed, count):
    """The least sum of deviations is the global one: random searches around it and far from it find none less."""
    rng = np.random.default_rng(seed)
    sizes = np.sort(rng.choice(np.arange(1, 300), count, replace=False)).astype(float)
    seconds = TrainingTime(1.0, rng.uniform(0.001, 0.1), rng.uniform(1, 300))(sizes)
    seconds = seconds * np.exp(rng.uniform(0, 0.5) * rng.standard_normal(count))
    found = TrainingTime.fit(sizes, seconds)
    least = deviation(found, sizes, seconds)
    for _ in range(200):
        scale = 10.0 ** rng.uniform(-4, 0.5)
        knee = rng.choice([rng.uniform(1, 300), found.threshold_batchsize * np.exp(scale * rng.normal())])
        base, slope = np.array([found.base_time_s, found.seconds_per_sample]) * np.exp(
            scale * rng.normal(size=2)
        )
        assert deviation(TrainingTime(base, slope, knee), sizes, seconds) >= least - 1e-7


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_units_do_not_matter(unit):
    seconds = TrainingTime(0.1, 2.5e-3, 30.0)(SIZES) * (1 + 0.05 * np.sin(SIZES))
    one, other = TrainingTime.fit(SIZES, seconds), TrainingTime.fit(SIZES, unit * seconds)
    assert other.base_time_s == pytest.approx(unit * one.base_time_s, rel=1e-9)
    assert other.seconds_per_sample == pytest.approx(unit * one.seconds_per_sample, rel=1e-9)
    assert other.threshold_batchsize == pytest.approx(one.threshold_batchsize, rel=1e-9)


def test_disturbed_measurements_do_not_move_it():
    rng = np.random.default_rng(5)
    true = TrainingTime(0.1, 2.5e-3, 32.0)
    sizes = np.repeat(SIZES, 5)
    seconds = true(sizes) * np.exp(0.01 * rng.standard_normal(sizes.size))
    clean = TrainingTime.fit(sizes, seconds)
    seconds[rng.choice(sizes.size, sizes.size // 10, replace=False)] *= 20.0
    disturbed = TrainingTime.fit(sizes, seconds)
    for name, value in clean.to_dict().items():
        assert getattr(disturbed, name) == pytest.approx(value, rel=0.03)
        assert value == pytest.approx(getattr(true, name), rel=0.05)


def test_a_line_has_no_flat_part():
    line = 0.02 + 0.003 * SIZES
    found = TrainingTime.fit(SIZES, line)
    assert found.threshold_batchsize == 1
    assert found.base_time_s == pytest.approx(0.023)
    assert found.seconds_per_sample == pytest.approx(0.003)
    assert found.warnings() == ["no flat part: the time grows from the smallest batch on, as on a CPU"]
    # measured from 8 on only: continued to one sample where that leaves a time, flat below 8 where it does not
    assert TrainingTime.fit(SIZES[3:], line[3:])(1) == pytest.approx(0.023)
    steep = TrainingTime.fit(SIZES[3:], 0.003 * SIZES[3:] - 0.01)
    assert steep.threshold_batchsize == 8
    assert steep(8) == steep(1) == pytest.approx(0.014)


def test_times_that_never_grow_assume_a_slope_and_say_so():
    found = TrainingTime.fit([1, 16, 64], [0.1, 0.1, 0.1])
    assert found.to_dict() == pytest.approx(
        {"base_time_s": 0.1, "threshold_batchsize": 64.0, "seconds_per_sample": 0.1 / 64}
    )
    (warning,) = found.warnings()
    assert warning.startswith("the time never grows up to 64 samples: the slope is no measurement")
    assert found(128) == pytest.approx(0.2)


def test_few_sizes_on_a_piece_and_a_poor_shape_are_said():
    found = TrainingTime.fit([1, 2, 4, 8, 64], [0.1, 0.1, 0.1, 0.1, 0.4])
    assert found.warnings() == ["the slope rests on 1 batch size: measure more above 8"]
    found = TrainingTime.fit([1, 2, 16, 32, 64], [0.1, 0.1, 0.45, 0.85, 1.65])
    assert any("the flat part rests on 2 batch sizes" in warning for warning in found.warnings())
    cubic = TrainingTime.fit(SIZES, 1e-4 * SIZES**3.0)
    assert any("describe these times to" in warning for warning in cubic.warnings())


def test_the_report_and_the_table_show_every_size():
    found = TrainingTime.fit(np.repeat(SIZES, 2), TrainingTime(0.1, 0.01, 32.0)(np.repeat(SIZES, 2)))
    frame = found.to_frame()
    assert frame.index.tolist() == SIZES.tolist()
    assert (frame["measurements"] == 2).all()
    assert frame["deviation"].abs().max() < 1e-9
    text = str(found)
    assert text.startswith("training time: 0.1 s up to 32 samples, then 0.01 s more per sample\n")
    assert "fitted to 13 batch sizes from 1 to 256; deviation 0.0% (median)" in text
    assert len(text.splitlines()) == 3 + len(SIZES)
    assert str(TrainingTime(0.1, 0.01, 0.5)).splitlines() == [
        "training time: 0.1 s up to one sample, then 0.01 s more per sample",
        "stated, not fitted",
    ]


@pytest.mark.parametrize(
    ("sizes", "seconds", "message"),
    [
        ([1, 2, 0], [1, 1, 1], r"TrainingTime\.fit\.batchsize: expected >= 1, got 0.0 at index 2"),
        ([1, 2, 3], [1, 1, -1], r"TrainingTime\.fit\.seconds: expected > 0, got -1.0 at index 2"),
        ([1, 2, 3], [1, np.nan, 1], r"seconds: expected a finite number > 0, got nan at index 1"),
        ([1, 2, 3], [1, 1], r"expected a time per batch size, got 3 and 2"),
        ([1, 2, 2, 1], [1, 1, 1, 1], r"expected at least 3 different sizes, got 2"),
    ],
)
def test_measurements_out_of_range_are_refused(sizes, seconds, message):
    with pytest.raises(ProblemError, match=message):
        TrainingTime.fit(sizes, seconds)


@pytest.mark.parametrize("field", ["base_time_s", "seconds_per_sample", "threshold_batchsize"])
def test_stated_numbers_are_checked(field):
    good = {"base_time_s": 0.1, "seconds_per_sample": 0.01, "threshold_batchsize": 32.0}
    with pytest.raises(ProblemError, match=rf"^TrainingTime\.{field}: expected >=? 0, got -1.0"):
        TrainingTime(**good | {field: -1.0})
    assert TrainingTime(**good) == TrainingTime(**good)


# -- loss decay and payload ---------------------------------------------------------------------------------------


def test_a_constant_batch_gives_the_loss_lost_in_all():
    loss = np.array([2.3, 2.1, 2.2, 1.5, 1.3])
    found = LossDecay.fit(np.full(4, 100.0), -np.diff(loss))
    assert found.loss_decay == pytest.approx((2.3 - 1.3) / 4 / 10)


@given(st.floats(1e-6, 1e3), st.lists(st.integers(1, 10**6), min_size=2, max_size=30))
def test_an_exact_log_is_found_exactly(coefficient, totals):
    found = LossDecay.fit(totals, coefficient * np.sqrt(totals))
    assert found.loss_decay == pytest.approx(coefficient, rel=1e-12)
    assert found.standard_error <= 1e-12 * coefficient
    assert found.warnings() == []


def test_the_standard_error_covers():
    rng = np.random.default_rng(7)
    inside = 0
    for _ in range(400):
        totals = rng.integers(10, 1000, 60)
        found = LossDecay.fit(totals, 0.01 * np.sqrt(totals) + 0.1 * rng.standard_normal(60))
        inside += abs(found.loss_decay - 0.01) < 1.96 * found.standard_error
    assert 0.90 <= inside / 400 <= 0.98


def test_batches_of_devices_are_summed():
    batches = np.array([[30, 70], [50, 14], [100, 21]])
    decay = [0.3, 0.2, 0.25]
    assert LossDecay.fit(batches, decay) == LossDecay.fit(batches.sum(1), decay)


def test_a_log_that_contradicts_the_law_is_told():
    totals = np.tile([100.0, 400.0], 20)
    assert "not constant: 0.02 over the first half of the rounds, 0.01 over the second" in str(
        LossDecay.fit(totals, np.where(np.arange(40) < 20, 0.02, 0.01) * np.sqrt(totals))
    )
    assert LossDecay.fit(totals, 0.001 * totals).warnings() == [
        "not constant: 0.01 over the smaller batches, 0.02 over the larger"
    ]
    rng = np.random.default_rng(1)
    noisy = LossDecay.fit(totals, 0.01 * np.sqrt(totals) + rng.standard_normal(40))
    assert "the log is noisy: take more rounds" in noisy.warnings()


@pytest.mark.parametrize(
    ("batchsize", "decay", "message"),
    [
        ([100, 100], [0.1, -0.3], r"decay: the loss does not fall over these 2 rounds \(coefficient -0.01\)"),
        ([100, 0], [0.1, 0.1], r"batchsize: expected at least one sample in every round, got 0.0 at index 1"),
        ([100], [0.1], "expected at least 2 rounds, got 1"),
        ([100, 100], [0.1], r"expected a decay per round, got batchsize \(2,\) and decay \(1,\)"),
        ([100, 100], [0.1, np.inf], "decay: expected a finite number, got inf at index 1"),
    ],
)
def test_logs_out_of_range_are_refused(batchsize, decay, message):
    with pytest.raises(ProblemError, match=message):
        LossDecay.fit(batchsize, decay)


def test_payloads():
    assert gradient_bits(8_062_504) == 32 * 8_062_504
    np.testing.assert_array_equal(gradient_bits([100, 200], 8, [0.5, 1.0]), [400, 1600])
    with pytest.raises(ProblemError, match=r"gradient_bits\.kept_fraction: expected > 0 and <= 1, got 0.0"):
        gradient_bits(100, kept_fraction=0.0)
    with pytest.raises(ProblemError, match=r"gradient_bits\.num_parameters: expected >= 1, got 0.0"):
        gradient_bits(0)


# -- from the fit to the problem and to the scenario ---------------------------------------------------------------


@given(st.floats(1.0, 200.0))
def test_a_fit_is_the_problem_s_compute_time(threshold):
    assume(threshold < 127)
    time = TrainingTime(0.1, 2.5e-3, threshold)
    problem = BatchsizeProblem.gpu(
        **time.to_dict(),
        update_time_s=0.01,
        payload_bits=gradient_bits(80_000),
        uplink_rate_bps=[1e7, 2e7, 1e8],
        downlink_rate_bps=1e8,
        max_batchsize=128,
    )
    solution = problem.solve()
    np.testing.assert_allclose(solution.compute_time_s, time(solution.batchsize), rtol=1e-12)


def test_a_fit_goes_into_a_scenario():
    time, law = TrainingTime.fit(SIZES, TrainingTime(0.1, 2.5e-3, 32.0)(SIZES)), LossDecay(0.02)
    scenario = Scenario.load("feel-gpu").replace(time.to_dict() | law.to_dict())
    assert scenario.draw(1).problem("feel").loss_decay == 0.02
    config = scenario.to_dict()
    config["feel"] |= tomllib.loads(time.to_toml() + law.to_toml())
    again = Scenario.from_dict(config).draw(1).problem("feel")
    assert again.solve().objective == pytest.approx(
        scenario.draw(1).problem("feel").solve().objective, rel=1e-5
    )
    assert time.to_toml().startswith("# fitted to 13 batch sizes from 1 to 256; deviation 0.0% (median)")


def test_pictures():
    time = TrainingTime.fit(SIZES, 0.1 + 0.001 * SIZES)
    assert len(time.plot().axes) == 2
    assert len(TrainingTime(0.1, 2.5e-3, 32.0).plot().axes) == 1
    (axes,) = LossDecay.fit([100, 81], [0.1, 0.09]).plot().axes
    np.testing.assert_allclose(axes.lines[1].get_ydata(), [0, 0.1, 0.19])
    with pytest.raises(ProblemError, match="stated, not fitted: there is no log to draw"):
        LossDecay(0.1).plot()
