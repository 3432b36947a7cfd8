"""What looks like an answer and is none: slips of unit, shape, type and label are said."""

import inspect
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

import radioopt as ro
from radioopt.base.plausible import RANGES, plausible

COMMON = dict(
    cycles_per_sample=7e7, update_cycles=1e8, payload_bits=1e6, downlink_rate_bps=40e6, max_batchsize=128
)
CPU = COMMON | dict(cpu_frequency_hz=[0.7e9, 1.4e9, 2.1e9], uplink_rate_bps=[20e6, 35e6, 50e6])


def cpu(**changes):
    return ro.feel.BatchsizeProblem.cpu(**(CPU | changes))


# -- units ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cpu_frequency_hz": [0.7, 1.4, 2.1]},
            r"BatchsizeProblem\.cpu\.cpu_frequency_hz: expected 1e6 to 1e12 Hz, got 0\.7 at index 0 "
            r"\(3 of 3 invalid\); is it in GHz or MHz\?",
        ),
        (
            {"uplink_rate_bps": [20.0, 35e6, 50e6]},
            r"uplink_rate_bps: .* got 20\.0 at index 0 .* Mbit/s\?",
        ),
        (
            {"payload_bits": 25.8},
            r"payload_bits: expected 100 to 1e14 bit, got 25\.8; is it in Mbit or MB\?",
        ),
        ({"payload_bits": 2.58e14}, r"payload_bits: .* got 258000000000000\.0; is it in bit already\?"),
        ({"uplink_frame_s": 10.0}, r"uplink_frame_s: expected 1e-5 to 1 s, got 10\.0; is it in ms or us\?"),
        ({"cpu_frequency_hz": 1.4e18}, r"cpu_frequency_hz: .* got 1\.4e\+18; is it in GHz already\?"),
    ],
)
def test_a_slip_of_unit_is_warned_of_or_refused(changes, message):
    with pytest.warns(ro.InputWarning, match=message) as caught:
        problem = cpu(**changes)
    assert caught[0].filename == __file__
    with pytest.raises(ro.ProblemError, match=message):
        cpu(**changes, strict=True)
    assert cpu(**changes, strict=None) == problem


def test_23_watt_and_a_path_loss_and_kilometres():
    fields = dict(
        num_channels=[1], max_slots=[50], seed_samples=[10], rounds=[30], downlink_power_w=10.0, bandwidth_hz=10e6,
        noise_psd_w_per_hz=4e-21, slot_s=1e-3, output_bits=3200, model_bits=4e5, sample_bits=6272,
    )  # fmt: skip
    with pytest.warns(ro.InputWarning, match=r"transmit_power_w: .* got 23\.0; is it in dBm or mW\?"):
        ro.mix2fld.RoundPlanProblem(**fields, transmit_power_w=23.0, channel_gain=1e-12)
    with pytest.warns(ro.InputWarning, match=r"channel_gain: .* got 90\.0; is it a path loss in dB\?"):
        ro.mix2fld.RoundPlanProblem(**fields, transmit_power_w=0.2, channel_gain=90.0)
    fields |= dict(transmit_power_w=0.2, channel_gain=1e-12)
    with pytest.warns(
        ro.InputWarning, match=r"slot_s: expected 1e-6 to 0\.1 s, got 1\.0; is it in ms or us\?"
    ):
        ro.mix2fld.RoundPlanProblem(**fields | {"slot_s": 1.0})
    with pytest.warns(ro.InputWarning, match=r"model_bits: .* got 0\.4; is it in Mbit or MB\?"):
        ro.mix2fld.RoundPlanProblem(**fields | {"model_bits": 0.4})
    assert plausible("distance_m").hint(0.1) == "is it in km?"


def test_cycles_that_take_no_time_or_for_ever_are_named():
    with pytest.raises(
        ro.ProblemError,
        match=r"^BatchsizeProblem\.cpu\.cycles_per_sample: expected a time within float64.*got 1e-320",
    ):
        cpu(cycles_per_sample=1e-320, strict=None)
    with pytest.raises(ro.ProblemError, match=r"^BatchsizeProblem\.cpu\.update_cycles: .* got 1e\+300"):
        cpu(update_cycles=1e300, cpu_frequency_hz=1e-10, strict=None)


def test_only_what_is_changed_is_looked_at_again():
    problem = cpu(cpu_frequency_hz=1.4, strict=None)
    assert problem.replace(max_batchsize=64).max_batchsize.max() == 64
    with pytest.warns(ro.InputWarning, match=r"BatchsizeProblem\.uplink_rate_bps"):
        cpu().replace(uplink_rate_bps=20.0)
    with pytest.raises(ro.ProblemError, match=r"uplink_rate_bps"):
        cpu(strict=True).replace(uplink_rate_bps=20.0)


def test_a_limit_that_is_not_set_and_a_noise_that_is_not_given_are_no_slips():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from validation.dtkd import zoo

        fields = zoo.draw(3).to_dict() | {"catalogue": zoo.catalogue()}
        ro.dtkd.DistillationProblem(**fields)


def test_every_range_is_for_a_field():
    names = {name for family in ro.families() for name in ro.problem_class(family).quantities}
    names |= set(ro.Devices.quantities)
    for end in RANGES:
        assert any(name == end or name.endswith(f"_{end}") for name in names), end


def test_a_table_of_devices_is_refused():
    table = pd.DataFrame(
        {"channel_gain": [90.0, 95.0], "transmit_power_dbm": [23, 20], "cpu_frequency_ghz": [1.4e9, 2.1e9]}
    )
    with pytest.raises(ro.ProblemError) as error:
        ro.Scenario.load("feel-cpu", devices=table)
    assert "row 0, column channel_gain: expected 1e-30 to 1, linear, got 90.0" in str(error.value)
    assert "row 0, column cpu_frequency_ghz: expected 1e6 to 1e12 Hz" in str(error.value)


# -- shapes and types ----------------------------------------------------------------------------------------


def test_a_column_of_a_table_is_no_batch():
    column = np.array([[0.7e9], [1.4e9], [2.1e9]])
    with pytest.raises(ro.ProblemError, match=r"cpu_frequency_hz: expected one axis.*shape \(3, 1\)"):
        cpu(cpu_frequency_hz=column)
    with pytest.raises(ro.ProblemError, match=r"DataFrame with one column: give the column, \['rate'\]"):
        cpu(uplink_rate_bps=pd.DataFrame({"rate": [1e6, 2e6, 3e6]}))
    with pytest.warns(ro.InputWarning, match=r"a column of shape \(3, 1\), which would be 3 problems"):
        cpu(cpu_frequency_hz=column, uplink_rate_bps=20e6)
    # another value says that there are three problems
    assert cpu(cpu_frequency_hz=column, uplink_rate_bps=np.full((3, 3), 20e6)).batch_shape == (3,)
    # seven of three devices cannot be meant otherwise
    assert cpu(cpu_frequency_hz=np.linspace(1e9, 2e9, 7)[:, None]).batch_shape == (7,)


@pytest.mark.parametrize("value", [[20e6, True, 50e6], [[20e6, 1e6, np.True_]], (True, 2e6, 3e6)])
def test_a_truth_among_numbers_is_refused(value):
    with pytest.raises(ro.ProblemError, match="uplink_rate_bps: expected real numbers"):
        cpu(uplink_rate_bps=value)


@pytest.mark.parametrize("rates", [np.full(3, 2e7 + 1j), [2e7, 2e7 + 0j, 2e7], np.complex64(2e7)])
def test_an_imaginary_part_is_not_lost(rates):
    with pytest.raises(ro.ProblemError, match=r"uplink_rate_bps: expected real numbers, got .*j"):
        cpu(uplink_rate_bps=rates)


def test_a_mask_is_not_lost():
    counts = dict(class_counts=[[20, 0], [0, 20]], thresholds=10, outage_probability=0.1)
    allowed = np.ma.array(np.ones((2, 2), bool), mask=[[False, True], [False, False]])
    with pytest.raises(ro.ProblemError, match="allowed"):
        ro.d2d.GraphProblem(**counts, allowed=allowed)


# -- labels --------------------------------------------------------------------------------------------------


def test_series_are_matched_by_label():
    by_label = cpu(
        cpu_frequency_hz=pd.Series([1e9, 2e9, 3e9], index=["a", "b", "c"]),
        uplink_rate_bps=pd.Series([3e7, 1e7, 2e7], index=["c", "a", "b"]),
    )
    assert by_label.uplink_rate_bps.tolist() == [1e7, 2e7, 3e7]
    assert by_label.to_frame().index.tolist() == ["a", "b", "c"]
    with pytest.raises(ro.ProblemError, match=r"the labels of cpu_frequency_hz, 0, 1, 2, got 5, 6, 7"):
        cpu(
            cpu_frequency_hz=pd.Series([1e9, 2e9, 3e9]),
            uplink_rate_bps=pd.Series([1e7, 2e7, 3e7], index=[5, 6, 7]),
        )


def test_labels_stay(tmp_path):
    problem = cpu(uplink_rate_bps=pd.Series([2e7, 3e7, 5e7], index=["car", "phone", "lamp"]))
    solution = problem.solve()
    for record in (
        solution, problem.replace(max_batchsize=9), ro.load(solution.save(tmp_path / "a.json")),
        pickle.loads(pickle.dumps(problem)), problem.replace(payload_bits=[1e6, 2e6])[1],
    ):  # fmt: skip
        assert record.labels == {"device": ("car", "phone", "lamp")}
    many = problem.replace(payload_bits=[1e6, 2e6]).to_frame()
    assert many.index.tolist()[:4] == [(0, "car"), (0, "phone"), (0, "lamp"), (1, "car")]
    ticks = solution.plot().axes[0].get_yticklabels()
    assert [tick.get_text() for tick in ticks] == ["car", "phone", "lamp"]


# -- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: cpu(upink_rate_bps=1e6),
            r"BatchsizeProblem\.cpu: unknown upink_rate_bps; did you mean uplink_rate",
        ),
        (lambda: ro.feel.BatchsizeProblem(payload_bits=1.0), "BatchsizeProblem: missing uplink_rate_bps, "),
        (
            lambda: ro.feel.BatchsizeProblem(cpu_frequency_hz=1e9),
            r"unknown cpu_frequency_hz: it belongs to BatchsizeProblem\.cpu",
        ),
        (lambda: ro.feel.BatchsizeProblem(1.0), r"expected names, as in payload_bits=\.\.\., got 1 without"),
        (lambda: ro.d2d.GraphProblem(class_count=1), "unknown class_count; did you mean class_counts"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(make, message):
    with pytest.raises(ro.ProblemError, match=message) as error:
        make()
    assert isinstance(error.value, TypeError)


def test_the_signature_stays():
    assert "payload_bits" in inspect.signature(ro.feel.BatchsizeProblem).parameters
    assert "cpu_frequency_hz" in inspect.signature(ro.feel.BatchsizeProblem.cpu).parameters


def test_a_length_names_what_was_given():
    with pytest.raises(ro.ProblemError, match="as in cpu_frequency_hz, got 2"):
        cpu(uplink_rate_bps=[1e7, 2e7])


# -- nothing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_a_batch_of_nothing(tmp_path, suffix, monkeypatch):
    solution = ro.Scenario.load("feel-cpu").draw(seed=1, size=3).problem("feel").solve()
    nothing = solution[solution.status != 0]
    assert "batch of 0" in repr(nothing)
    assert "batch of 0" in repr(nothing.problem)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ro.load(nothing.save(f"~/new/folder/nothing.{suffix}")) == nothing
    assert len(nothing.to_frame()) == 0
