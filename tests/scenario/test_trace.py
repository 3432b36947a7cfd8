"""Channel traces: read strictly, exact at their instants, and followed by the devices and their problems."""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radioopt import ChannelTrace, InputWarning, ProblemError, Scenario
from radioopt.scenario.sheets import UNITS
from radioopt.scenario.trace import read_trace

HEADER = "time_s,device,uplink_rate_mbps,channel_gain_db"
LINES = ["0,0,20,-90", "0,1,35,-95", "2,0,30,-80", "2,1,10,-95.5", "3,0,25,-100", "3,1,15,-70"]
TWO = Scenario.load("feel-cpu", {"devices.count": 2})
UPLINK = np.array([[2e7, 3.5e7], [3e7, 1e7], [2.5e7, 1.5e7]])


def read(folder, *lines, header=HEADER, **options):
    """Write a trace and read it."""
    (folder / "t.csv").write_text("\n".join([header, *lines, ""]))
    return ChannelTrace.from_csv(folder / "t.csv", **options)


def trace_of(**options):
    return ChannelTrace.from_arrays([0.0, 2.0, 3.0], uplink_rate_bps=UPLINK, **options)


def refused(message):
    """Expect an error of just these words; a star at their end stands for more of them."""
    words = message.removesuffix("*")
    return pytest.raises(ProblemError, match=f"^{re.escape(words)}" + "$" * (words == message))


# -- what is read --------------------------------------------------------------------------------------------


def test_a_file_is_read(tmp_path):
    trace = read(tmp_path, *LINES)
    assert (trace.name, trace.devices, trace.times.tolist()) == ("t.csv", ("0", "1"), [0.0, 2.0, 3.0])
    np.testing.assert_array_equal(trace.quantities["uplink_rate_bps"], UPLINK)
    expected = 10 ** (np.array([[-90, -95], [-80, -95.5], [-100, -70]]) / 10)
    np.testing.assert_allclose(trace.quantities["channel_gain"], expected, rtol=1e-14)


@pytest.mark.parametrize("order", [[0, 2, 4, 1, 3, 5], [1, 0, 3, 2, 5, 4]], ids=["by device", "swapped"])
def test_the_order_of_devices_does_not_matter(tmp_path, order):
    trace, other = read(tmp_path, *LINES), read(tmp_path, *(LINES[i] for i in order))
    assert other.settings() == trace.settings()
    for name, values in trace.quantities.items():
        np.testing.assert_array_equal(other.quantities[name], values)


def test_a_frame_is_read_as_a_file(tmp_path):
    trace = read(tmp_path, *LINES)
    frame = pd.read_csv(tmp_path / "t.csv")
    for same in (frame, frame.astype(str), frame.astype(float), frame[frame.columns[::-1]]):
        other = ChannelTrace.from_frame(same)
        assert other.name == "DataFrame"
        assert other.sha256 == trace.sha256
        np.testing.assert_array_equal(other.times, trace.times)
        assert other.devices == trace.devices
        np.testing.assert_array_equal(other.quantities["channel_gain"], trace.quantities["channel_gain"])
        assert read_trace(same).sha256 == trace.sha256
    assert read_trace(trace) is trace
    assert read_trace(tmp_path / "t.csv", "linear", "hold").interpolate == "linear"


def test_arrays_and_files_say_the_same(tmp_path):
    lines = [
        f"{t},{k},{rate!r}"
        for t, row in zip((0, 2, 3), UPLINK.tolist(), strict=True)
        for k, rate in enumerate(row)
    ]
    file = read(tmp_path, *lines, header="time_s,device,uplink_rate_bps")
    assert file.settings() | {"name": "arrays"} == trace_of().settings()


def test_devices_have_numbers_or_names(tmp_path):
    lines = [line.replace(",0,", ",10,").replace(",1,", ",9,") for line in LINES]
    assert read(tmp_path, *lines).devices == ("9", "10")  # by number, not as text
    lines = [line.replace(",0,", ",phone,").replace(",1,", ", a car ,") for line in LINES]
    assert read(tmp_path, *lines).devices == ("phone", "a car")
    assert trace_of(devices=["a", "b"]).devices == ("a", "b")


@pytest.mark.parametrize("key", ["time_s", "uplink_rate_bps", "downlink_rate_bps", "channel_gain"])
def test_every_unit_is_read(tmp_path, key):
    end = next(end for end in UNITS if key.endswith(end))
    given = {"time_s": 3.0, "uplink_rate_bps": 2.5e7, "downlink_rate_bps": 4e7, "channel_gain": 1e-9}
    for other, unit in UNITS[end].items():
        own = dict(given)
        value = 10 * np.log10(own.pop(key)) if other == "_gain_db" else own.pop(key) / unit.to_si
        own[key.removesuffix(end) + other] = value
        trace = read(
            tmp_path, ",".join(map(repr, map(float, own.values()))) + ",0", header=",".join([*own, "device"])
        )
        found = {"time_s": trace.times} | dict(trace.quantities)
        for name, expected in given.items():
            np.testing.assert_allclose(found[name].item(), expected, rtol=1e-12)


def test_the_fingerprint_is_that_of_the_content(tmp_path):
    trace = read(tmp_path, *LINES)
    written = [line.replace(",30,", ", 3e1,").replace("0,0,20", "0.0,0,20.00") for line in LINES]
    assert read(tmp_path, *written).sha256 == trace.sha256
    assert read(tmp_path, *LINES[:-1], "3,1,15.000001,-70").sha256 != trace.sha256
    assert read(tmp_path, *(line.replace(",1,", ",2,") for line in LINES)).sha256 != trace.sha256
    assert len(trace.sha256) == 64


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("device,uplink_rate_bps", "{}: column time_s is missing"),
        ("time_s,uplink_rate_bps", "{}: column device is missing: a number from 0, or a name"),
        (
            "time_s,device",
            "{}: a column with a quantity is missing: uplink_rate_bps, downlink_rate_bps, channel_gain",
        ),
        (
            "time_min,device,channel_gain",
            "{0}: column time_min: no unit that is known; expected time_s or time_ms or time_us\n"
            "{0}: column time_s is missing",
        ),
        (
            "time_s,device,channel_gain,uplink_rate",
            "{}: column uplink_rate: no unit that is known; expected uplink_rate_bps or uplink_rate_kbps or "
            "uplink_rate_mbps or uplink_rate_gbps",
        ),
        ("time_s,device,channel_gian", "{}: column channel_gian: unknown; did you mean channel_gain?*"),
        (
            "time_s,device,,channel_gain",
            "{}: column 3: expected a name with a unit, such as uplink_rate_mbps",
        ),
        ("time_s,device,channel_gain,channel_gain", "{}: column channel_gain: 2 columns have this name"),
        ("time_s,device,device,channel_gain", "{}: column device: 2 columns have this name"),
        (
            "time_s,device,channel_gain,channel_gain_db",
            "{}: column channel_gain_db: the same quantity as column channel_gain; keep one of them",
        ),
        ("time_s,device,channel_gain", "{}: no instants, only a header"),
        (
            "time_s;device",
            "{}, line 1: the columns are separated by semicolons; separate them by commas*",
        ),
    ],
)
def test_headers_that_are_refused(tmp_path, header, message):
    lines = () if header == "time_s,device,channel_gain" else ("1",)
    with refused(message.format(tmp_path / "t.csv")):
        read(tmp_path, *lines, header=header)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "2,1,10 Mbit/s,-95",
            ", column uplink_rate_mbps: expected a number, got '10 Mbit/s'; the unit belongs*",
        ),
        ("2,1,0,-95", ", column uplink_rate_mbps: expected > 0, got '0'"),
        ("2,1,nan,-95", ", column uplink_rate_mbps: expected a finite number > 0, got 'nan'"),
        (
            "2,1,20000000,-95",
            ", column uplink_rate_mbps: expected 100 to 1e13 bit/s, got '20000000' (2e+13 bit/s); is the unit*",
        ),
        ("2,1,,-95", ", column uplink_rate_mbps: the cell is empty"),
        ("2,1,10,95", ", column channel_gain_db: expected between -300 and 0 dB*"),
        ("inf,1,10,-95", ", column time_s: expected a finite number, got 'inf'"),
        ("2,,10,-95", ", column device: the cell is empty"),
        ("2,1,10,5,-95", ": expected 4 cells as in the header, got 5; decimals have a point, not a comma"),
        ("2,1,10", ": expected 4 cells as in the header, got 3"),
    ],
)
def test_cells_that_are_refused(tmp_path, line, message):
    with refused(f"{tmp_path / 't.csv'}, line 5{message}"):
        read(tmp_path, *LINES[:3], line, *LINES[4:])


@pytest.mark.parametrize("label", [True, 1.5, None, float("nan")])
def test_labels_of_a_frame_that_are_refused(label):
    frame = pd.DataFrame({"time_s": [0.0], "device": [label], "channel_gain": [1e-9]}, dtype=object)
    with refused(f"DataFrame, row 0, column device: expected a number from 0 or a name, got {label!r}"):
        ChannelTrace.from_frame(frame)


def test_a_flag_is_no_number_even_beside_one():
    frame = pd.DataFrame({"time_s": [0.0, 1.0], "device": [1, True], "channel_gain": 1e-9}).astype(object)
    with refused("DataFrame, row 1, column device: expected a number from 0 or a name, got True"):
        ChannelTrace.from_frame(frame)


def test_numbers_of_a_frame_that_are_refused():
    frame = pd.DataFrame({"time_s": [0.0], "device": [0], "channel_gain": [True]}, dtype=object)
    with refused("DataFrame, row 0, column channel_gain: expected a number, got True"):
        ChannelTrace.from_frame(frame)


def test_gaps_are_refused_by_the_line_of_the_time(tmp_path):
    with refused(f"{tmp_path / 't.csv'}, line 4, time 2 s: no line for device 1; each needs one"):
        read(tmp_path, *LINES[:3], *LINES[4:])


def test_times_that_come_twice_are_refused_with_both_lines(tmp_path):
    with refused(f"{tmp_path / 't.csv'}, line 4, time 0 s: device 1 has this time on line 3 too"):
        read(tmp_path, *LINES[:2], LINES[1], *LINES[2:])


def test_times_that_go_back_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    with refused(
        f"{path}, line 7, time 2 s: device 0 after 3 s (line 4): sort the lines of a device by time"
    ):
        read(tmp_path, LINES[0], LINES[1], LINES[4], LINES[3], LINES[5], LINES[2])


def test_the_first_mistakes_are_shown_and_all_are_counted(tmp_path):
    lines = [f"{t},{k},1,-90" for t in range(20) for k in range(3) if k < 2 or t == 0]
    with pytest.raises(ProblemError) as error:
        read(tmp_path, *lines)
    shown = str(error.value).splitlines()
    assert len(shown) == 11
    assert shown[0] == f"{tmp_path / 't.csv'}, line 5, time 1 s: no line for device 2; each needs one"
    assert shown[-1] == "and 9 more"


def test_files_that_are_none(tmp_path):
    with pytest.raises(ProblemError, match="the trace cannot be read: No such file"):
        ChannelTrace.from_csv(tmp_path / "none.csv")
    with pytest.raises(ProblemError, match="expected a header and a line per instant and device"):
        read(tmp_path, header="")
    with refused("ChannelTrace.from_csv.path: expected a path, got 3"):
        ChannelTrace.from_csv(3)
    with refused("ChannelTrace.from_frame.frame: expected a DataFrame, got 3"):
        ChannelTrace.from_frame(3)
    with refused("trace: expected a radioopt.ChannelTrace, the path of a CSV file or a DataFrame, got 3"):
        read_trace(3)


@pytest.mark.parametrize(
    ("times", "options", "message"),
    [
        (
            [0, 1, 1],
            {},
            "times: expected a later time than the one before, got 1.0 at index 2 (1 of 3 invalid)",
        ),
        ([[0, 1]], {}, "times: expected one axis with at least one time, got shape (1, 2)"),
        ([], {}, "times: expected one axis with at least one time, got shape (0,)"),
        ([0, 1, np.nan], {}, "times: expected a finite number, got nan at index 2 (1 of 3 invalid)"),
        (
            [0, 1],
            {},
            "uplink_rate_bps: expected an array of 2 times x 2 devices, got shape (3, 2)",
        ),
        (
            [0, 2, 3],
            {"channel_gain": [1e-9] * 3},
            "channel_gain: expected an array of 3 times x 2 devices, got shape (3,)",
        ),
        (
            [0, 2, 3],
            {"devices": ["a"]},
            "uplink_rate_bps: expected an array of 3 times x 1 devices, got shape (3, 2)",
        ),
        ([0, 2, 3], {"devices": ["a", "a"]}, "devices: expected names, none twice, got ['a', 'a']"),
        ([0, 2, 3], {"devices": ["a", 1]}, "devices: expected names, none twice, got ['a', 1]"),
        (
            [0, 2, 3],
            {"channel_gain": UPLINK + 1j},
            "channel_gain: expected real numbers, got complex ones; take radioopt.channel.power_gain of coefficients",
        ),
        (
            [0, 2, 3],
            {"downlink_rate_bps": -UPLINK},
            "downlink_rate_bps: expected > 0, got -20000000.0 at index (0, 0) (6 of 6 invalid)",
        ),
    ],
)
def test_arrays_that_are_refused(times, options, message):
    with refused(f"ChannelTrace.from_arrays.{message}"):
        ChannelTrace.from_arrays(times, uplink_rate_bps=UPLINK, **options)


def test_arrays_in_another_unit_are_warned_of():
    with pytest.warns(InputWarning, match=r"uplink_rate_bps: .*100 to 1e13 bit/s, got 20\.0"):
        ChannelTrace.from_arrays([0.0, 2.0, 3.0], uplink_rate_bps=UPLINK / 1e6)


def test_options_that_are_refused():
    with refused(
        "ChannelTrace.from_arrays: expected at least one of uplink_rate_bps, downlink_rate_bps, channel_gain"
    ):
        ChannelTrace.from_arrays([0.0])
    with refused("ChannelTrace.interpolate: expected one of hold, linear, got 'cubic'"):
        trace_of(interpolate="cubic")
    with refused("ChannelTrace.beyond: expected one of refuse, hold, repeat, got 'wrap'"):
        trace_of(beyond="wrap")


# -- at a time -----------------------------------------------------------------------------------------------


def plain(times, values, time, interpolate, beyond):
    """Look one time up in a loop."""
    times, values = list(times), list(values)
    if beyond == "repeat" and len(times) > 1:
        times.append(times[-1] + (times[-1] - times[-2]))
        values.append(values[0])
        if time > times[-2]:
            time = times[0] + (time - times[0]) % (times[-1] - times[0])
    else:
        times.append(np.inf)
        values.append(values[-1])
    for i in range(len(times) - 1):
        if times[i] <= time < times[i + 1]:
            share = (time - times[i]) / (times[i + 1] - times[i]) if interpolate == "linear" else 0.0
            return (1 - share) * values[i] + share * values[i + 1]
    raise AssertionError(time)


steps = st.lists(st.floats(1e-3, 1e3), max_size=6)
rates = st.floats(1e3, 1e9)


@given(
    start=st.floats(-1e3, 1e3),
    steps=steps,
    share=st.floats(0, 3),
    interpolate=st.sampled_from(["hold", "linear"]),
    beyond=st.sampled_from(["hold", "repeat"]),
    data=st.data(),
)
def test_any_time_is_what_a_loop_finds(start, steps, share, interpolate, beyond, data):
    times = np.cumsum([start, *steps])
    values = np.array([data.draw(st.lists(rates, min_size=2, max_size=2)) for _ in times])
    trace = ChannelTrace.from_arrays(times, uplink_rate_bps=values, interpolate=interpolate, beyond=beyond)
    np.testing.assert_array_equal(trace.at(times)["uplink_rate_bps"], values)  # exact at its own instants
    time = times[0] + share * (times[-1] - times[0])
    found = trace.at(time)["uplink_rate_bps"]
    np.testing.assert_allclose(found, plain(times, values, time, interpolate, beyond), rtol=1e-9, atol=0)
    assert (values.min(axis=0) <= found).all()
    assert (found <= values.max(axis=0)).all()
    np.testing.assert_array_equal(trace.at([[time, start]])["uplink_rate_bps"][0, 0], found)


def test_instants_of_every_period():
    trace = ChannelTrace.from_arrays(
        np.arange(4.0), channel_gain=np.arange(1, 5)[:, None] / 8, beyond="repeat"
    )
    np.testing.assert_array_equal(
        trace.at(np.arange(40.0))["channel_gain"][:, 0], np.resize([1, 2, 3, 4], 40) / 8
    )
    assert trace.at(3.75)["channel_gain"] == [0.5]


def test_a_repeated_line_leads_back_to_the_first_instant():
    trace = trace_of(beyond="repeat", interpolate="linear")
    np.testing.assert_array_equal(trace.at(3.5)["uplink_rate_bps"], (UPLINK[2] + UPLINK[0]) / 2)
    np.testing.assert_array_equal(trace.at(4.0)["uplink_rate_bps"], UPLINK[0])


@pytest.mark.parametrize("beyond", ["hold", "repeat"])
@pytest.mark.parametrize("interpolate", ["hold", "linear"])
def test_a_trace_of_one_instant_is_constant(beyond, interpolate):
    trace = ChannelTrace.from_arrays([5.0], channel_gain=[[0.1, 0.3]], beyond=beyond, interpolate=interpolate)
    np.testing.assert_array_equal(trace.at([5.0, 1e9])["channel_gain"], [[0.1, 0.3]] * 2)


def test_times_outside_are_refused():
    trace = trace_of()
    with refused(
        "ChannelTrace.at.time_s: expected >= 0.0 s, where arrays begins, got -0.5 at index 1 (1 of 2 invalid)"
    ):
        trace.at([0.0, -0.5])
    with refused(
        'ChannelTrace.at.time_s: expected <= 3.0 s, where arrays ends (or beyond="hold" or "repeat"), got 3.5'
    ):
        trace.at(3.5)
    with refused("ChannelTrace.at.time_s: expected a finite number, got nan"):
        trace.at(np.nan)
    assert [trace.covers(t) for t in (-0.5, 0.0, 3.0, 3.5)] == [False, True, True, False]
    assert [trace_of(beyond="hold").covers(t) for t in (-0.5, 3.5)] == [False, True]


def test_a_trace_is_read_only_and_survives_copying():
    trace = trace_of()
    with pytest.raises(ValueError, match="read-only"):
        trace.times[0] = 1.0
    for other in (copy.deepcopy(trace), pickle.loads(pickle.dumps(trace))):
        assert other.settings() == trace.settings()
        np.testing.assert_array_equal(other.at(1.0)["uplink_rate_bps"], trace.at(1.0)["uplink_rate_bps"])


# -- devices that follow it ----------------------------------------------------------------------------------


def test_devices_have_the_rates_of_the_trace():
    devices, trace = TWO.draw(1), trace_of()
    there = devices.follow(trace, 2.5)
    assert there.uplink_rate_bps.tolist() == [3e7, 1e7]
    assert not hasattr(there, "uplink_snr")
    for name in ("channel_gain", "downlink_rate_bps", "downlink_snr", "cpu_frequency_hz"):
        np.testing.assert_array_equal(getattr(there, name), getattr(devices, name))
    assert devices.follow(trace, 0.0).follow(trace, 2.5) == there
    assert there != devices
    assert there.fade(np.random.default_rng(0)) is there


def test_a_given_rate_poses_the_problem_that_a_scenario_with_it_poses():
    given = TWO.replace({"devices.uplink_rate_bps": [3e7, 1e7]}).draw(1)
    there = TWO.draw(1).follow(trace_of(), 2.0)
    assert there.problem("feel") == given.problem("feel")
    assert given.follow(trace_of(), 0.0).uplink_rate_bps.tolist() == [2e7, 3.5e7]


def test_gains_give_the_links_that_they_would_give_by_hand():
    gain = UPLINK * 1e-17
    trace = ChannelTrace.from_arrays([0.0, 2.0, 3.0], channel_gain=gain)
    for config in ({}, {"cell.fading": "block"}, {"cell.shadowing": True}):
        devices = TWO.replace(config).draw(1)
        assert devices.follow(trace, 2.0) == devices.with_channel_gain(gain[1])
        assert devices.follow(trace, 2.0).follow(trace, 0.0) == devices.with_channel_gain(gain[0])


def test_a_batch_of_times_equals_the_single_times():
    gain = UPLINK * 1e-17
    trace = ChannelTrace.from_arrays(
        [0.0, 2.0, 3.0], channel_gain=gain, downlink_rate_bps=UPLINK, interpolate="linear"
    )
    times = np.array([[0.0, 0.3], [1.7, 3.0]])
    devices = TWO.draw(1)
    batch = devices.follow(trace, times)
    assert batch.batch_shape == (2, 2)
    solution = batch.problem("feel").solve()
    for place in np.ndindex(2, 2):
        single = devices.follow(trace, times[place])
        assert batch[place] == single
        assert solution[place].batchsize.tolist() == single.problem("feel").solve().batchsize.tolist()


def test_draws_follow_all_alike_or_each_at_its_own_time():
    draws, trace = (
        TWO.replace({"cell.fading": "block"}).draw(1, size=3),
        ChannelTrace.from_arrays([0.0, 2.0, 3.0], channel_gain=UPLINK * 1e-17),
    )
    for times in (2.0, np.array([0.0, 2.0, 3.0]), np.array([[0.0], [3.0]])):
        there = draws.follow(trace, times)
        assert there.batch_shape == np.broadcast_shapes(np.shape(times), (3,))
        for place in np.ndindex(there.batch_shape):
            time = np.broadcast_to(times, there.batch_shape)[place]
            assert there[place] == draws[place[-1]].follow(trace, time)
        assert pickle.loads(pickle.dumps(there)) == there
        again = there.fade(np.random.default_rng(2))
        assert again.batch_shape == there.batch_shape
        assert (again.uplink_rate_bps != there.uplink_rate_bps).all()
    with refused("Devices.follow.time_s: expected a shape that broadcasts with (3,), got (2,)"):
        draws.follow(trace, [0.0, 1.0])


def test_the_allocation_follows_the_trace():
    """The device whose uplink is fast trains with the larger batch, and the other one when that has changed."""
    trace = ChannelTrace.from_arrays(
        [0, 1], uplink_rate_bps=[[9e7, 1e7], [1e7, 9e7]], downlink_rate_bps=[[5e7, 5e7]] * 2
    )
    alike = TWO.replace({"devices.cpu_frequency_hz": 1.4e9}).draw(1)
    first, second = alike.follow(trace, trace.times).problem("feel").solve().batchsize
    assert first[0] > first[1]
    np.testing.assert_allclose(second, first[::-1], rtol=1e-9)


def test_devices_are_found_by_name_or_number():
    named = TWO.replace({"devices.names": ["phone", "car"]}).draw(1)
    swapped = trace_of(devices=["car", "phone"])
    assert named.follow(swapped, 0.0).uplink_rate_bps.tolist() == [3.5e7, 2e7]
    assert named.follow(trace_of(), 0.0).uplink_rate_bps.tolist() == [2e7, 3.5e7]
    numbers = TWO.replace({"devices.names": ["1", "0"]}).draw(1)  # a name that is a number is a name
    assert numbers.follow(trace_of(), 0.0).uplink_rate_bps.tolist() == [3.5e7, 2e7]


@pytest.mark.parametrize(
    ("names", "labels", "message"),
    [
        (
            None,
            ["1", "2"],
            "arrays: no device 0\narrays: device 2 is unknown; the scenario has 2 devices, 0 to 1",
        ),
        (
            ["phone", "car"],
            ["phone", "bus"],
            "arrays: no device car\narrays: device bus is unknown; the scenario has phone, car",
        ),
        (
            ["1", "2"],
            ["0", "1"],
            "arrays: no device 2\narrays: device 0 is unknown; the scenario has 1, 2",
        ),
        (
            ["phone", "phone"],
            ["phone", "car"],
            "arrays: several devices of the scenario are named phone: give each a name of its own (devices.names), or "
            "number them from 0 in the trace",
        ),
        (
            None,
            ["phone", "car"],
            "arrays: names devices (phone, car), and those of the scenario have no names: give devices.names, or "
            "number them from 0",
        ),
    ],
)
def test_devices_that_are_missing_or_unknown(names, labels, message):
    devices = TWO.replace({"devices.names": names}).draw(1)
    with refused(message):
        devices.follow(trace_of(devices=labels), 0.0)


def test_many_missing_devices_are_counted():
    with refused("arrays: no device 2, 3, 4, 5, 6 and 5 more"):
        Scenario.load("feel-cpu").draw(1).follow(trace_of(), 0.0)


def test_traces_that_cannot_be_followed():
    devices = TWO.draw(1)
    gains = ChannelTrace.from_arrays([0.0], channel_gain=[[1e-9, 1e-9]])
    with pytest.raises(
        ProblemError, match=r"Devices.follow.trace: expected a radioopt.ChannelTrace, .* got 't.csv'"
    ):
        devices.follow("t.csv", 0.0)
    with refused(
        'Devices.follow: arrays has uplink_rate_bps, and a rate that is given does not fade: leave out fading = "block"'
    ):
        TWO.replace({"cell.fading": "block"}).draw(1).follow(trace_of(), 0.0)
    for fixed in (devices.follow(trace_of(), 0.0), TWO.replace({"devices.uplink_rate_bps": 1e7}).draw(1)):
        with refused("Devices.follow: devices.uplink_rate_bps is given; no gain changes it"):
            fixed.follow(gains, 0.0)
        with refused("Devices.with_channel_gain: devices.uplink_rate_bps is given; no gain changes it"):
            fixed.with_channel_gain(1e-9 * np.ones(2))


def test_gains_beside_rates_of_the_same_trace():
    both = ChannelTrace.from_arrays(
        [0.0], channel_gain=[[1e-9, 2e-9]], uplink_rate_bps=[[1e7, 2e7]], downlink_rate_bps=[[3e7, 4e7]]
    )
    there = TWO.draw(1).follow(both, 0.0)
    assert there.channel_gain.tolist() == [1e-9, 2e-9]
    assert there.uplink_rate_bps.tolist() == [1e7, 2e7]
    assert there.follow(both, 0.0) == there


def test_a_problem_that_takes_nothing_of_the_trace_is_refused():
    trace_of().refuse_idle(TWO.draw(1), "feel")
    fimi = Scenario.load("fimi", {"devices.count": 2}).draw(1)
    with refused(
        "arrays: [fimi] does not depend on uplink_rate_bps of devices: leave the trace out, or give what it depends on"
    ):
        trace_of().refuse_idle(fimi, "fimi")
    ChannelTrace.from_arrays([0.0], channel_gain=[[1e-9, 1e-9]]).refuse_idle(fimi, "fimi")
