"""Devices from a table: every unit, every mistake with its place, and scenarios whose keys are changed."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radioopt import ProblemError, Scenario, Status
from radioopt.scenario.columns import columns_of
from radioopt.scenario.sheets import UNITS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FLEET = """
[radio]
bandwidth_hz = 10e6
downlink_power_dbm = 43.0

[devices]
file = "devices.csv"

[feel]
compute = "cpu"
payload_bits = 4e6
max_batchsize = 128
cycles_per_sample = 2e7
update_cycles = 1e7
"""
HEADER = "distance_m,transmit_power_dbm,cpu_frequency_ghz"
TABLE = f"{HEADER}\n100,20,1.5\n250.5,23,2.84\n"
FRAME = pd.DataFrame(
    {"distance_m": [100.0, 250.5], "transmit_power_dbm": [20, 23], "cpu_frequency_ghz": [1.5, 2.84]}
)


def load(folder, table=TABLE, toml=FLEET, changes=None, **options):
    """Write a scenario and its table, text or bytes, and read them."""
    (folder / "cell.toml").write_text(toml)
    (folder / "devices.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return Scenario.load(folder / "cell.toml", changes, **options)


def rows(*lines):
    return "\n".join([HEADER, *lines, ""])


# -- what is read --------------------------------------------------------------------------------------------


def test_a_table_is_the_devices(tmp_path):
    scenario = load(tmp_path)
    devices = scenario.draw(1)
    assert devices.distance_m.tolist() == [100.0, 250.5]
    np.testing.assert_allclose(devices.transmit_power_w, [0.1, 10**-0.7], rtol=1e-12)
    np.testing.assert_allclose(devices.cpu_frequency_hz, [1.5e9, 2.84e9], rtol=1e-15)
    by_hand = Scenario.from_dict(
        scenario.to_dict()
        | {
            "devices": {
                "count": 2,
                "distance_m": [100.0, 250.5],
                "transmit_power_dbm": [20.0, 23.0],
                "cpu_frequency_hz": [1.5e9, 2.84e9],
            }
        }
    ).draw(1)
    np.testing.assert_allclose(devices.uplink_rate_bps, by_hand.uplink_rate_bps, rtol=1e-12)
    batch = scenario.draw(1, size=5).problem("feel").solve()
    assert batch.status.tolist() == [Status.OPTIMAL] * 5


def test_the_file_is_found_beside_the_scenario_and_not_needed_after(tmp_path, monkeypatch):
    (tmp_path / "away").mkdir()
    scenario = load(tmp_path / "away")
    monkeypatch.chdir(tmp_path)
    assert Scenario.load("away/cell.toml") == scenario
    (tmp_path / "away" / "devices.csv").unlink()
    assert Scenario.from_dict(scenario.to_dict()) == scenario
    assert scenario.draw(1) == scenario.draw(1)


def test_a_frame_and_a_file_give_the_same(tmp_path):
    from_file = load(tmp_path)
    config = from_file.to_dict() | {"devices": {}}
    assert Scenario.from_dict(config, devices=FRAME) == from_file
    assert Scenario.from_dict(config, devices=tmp_path / "devices.csv") == from_file
    assert Scenario.from_dict(config, devices=FRAME.astype(str)) == from_file
    assert from_file.replace(devices=str(tmp_path / "devices.csv")) == from_file


@pytest.mark.parametrize(
    "table",
    [
        TABLE.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + TABLE.encode(),  # a byte order mark
        "\n" + TABLE.replace("\n", "\n\n") + "\n,,\n",  # blank lines
        TABLE.replace(",", " , "),
        TABLE.replace("100,", '"100",').replace("distance_m", '"distance_m"'),
        TABLE.rstrip(),
        TABLE.replace("250.5", "2505e-1").replace("23,", "+23.0,"),
    ],
    ids=["windows", "bom", "blank", "spaces", "quotes", "no-newline", "numbers"],
)
def test_dialects_that_mean_the_same(tmp_path, table):
    expected = load(tmp_path)
    assert load(tmp_path, table) == expected


def test_labels_are_for_people(tmp_path):
    labelled = "name," + TABLE.replace("\n100", "\nphone,100").replace("\n250", '\n"a car, blue",250')
    scenario, plain = load(tmp_path, labelled), load(tmp_path)
    assert scenario.devices.names == ("phone", "a car, blue")
    assert scenario.replace({"devices.names": None}) == plain
    solution = scenario.draw(1).problem(scenario.families[0]).solve()
    assert solution.to_frame().index.tolist() == ["phone", "a car, blue"]
    assert plain.draw(1).problem(plain.families[0]).solve() == solution


UNIT_CASES = {
    "distance_m": (120.0, {"distance_km": 0.12}),
    "base_time_s": (0.5, {"base_time_ms": 500.0, "base_time_us": 5e5}),
    "transmit_power_w": (0.1, {"transmit_power_mw": 100.0, "transmit_power_dbm": 20.0}),
    "cpu_frequency_hz": (
        1.5e9,
        {"cpu_frequency_khz": 1.5e6, "cpu_frequency_mhz": 1500.0, "cpu_frequency_ghz": 1.5},
    ),
    "uplink_rate_bps": (
        2e7,
        {"uplink_rate_kbps": 2e4, "uplink_rate_mbps": 20.0, "uplink_rate_gbps": 0.02},
    ),
    "channel_gain": (1e-9, {"channel_gain_db": -90.0}),
}


@pytest.mark.parametrize("key", UNIT_CASES)
def test_units(key):
    value, others = UNIT_CASES[key]
    accepted = columns_of(Scenario.load("feel-gpu").to_dict())
    for name, number in {key: value, **others}.items():
        assert accepted[name].key.endswith(f".{key}")
        assert accepted[name].read(number) == pytest.approx(value, rel=1e-12)
        assert accepted[name].read(f" {number!r} ") == pytest.approx(value, rel=1e-12)


def test_every_unit_is_tested():
    tested = [name for _, others in UNIT_CASES.values() for name in others]
    for end, others in UNITS.items():
        if end == "_bits":  # no table has such a column, and scenarios have such keys: test_other_units.py
            continue
        for other in others:
            assert any(n.endswith(other) for n in tested), (end, other)


def test_rates_need_no_radio(tmp_path):
    toml = FLEET[FLEET.index("[devices]") :]
    table = "uplink_rate_mbps,downlink_rate_mbps,cpu_frequency_ghz\n20,40,1.5\n35,60,2.1\n"
    devices = load(tmp_path, table, toml).draw()
    assert devices.uplink_rate_bps.tolist() == [20e6, 35e6]
    assert not hasattr(devices, "bandwidth_hz")
    problem = devices.problem("feel")
    assert problem.downlink_rate_bps.tolist() == [40e6, 60e6]
    assert problem.solve().status is Status.OPTIMAL
    with pytest.raises(ProblemError, match=r"devices\.uplink_rate_bps is given; no gain changes it$"):
        devices.with_channel_gain([1e-9, 1e-9])


def test_problem_settings_can_be_columns(tmp_path):
    table = "max_batchsize,feel.cycles_per_sample," + TABLE.replace("\n1", "\n64,1e7,1").replace(
        "\n2", "\n32,3e7,2"
    )
    toml = FLEET.replace("cycles_per_sample = 2e7\n", "").replace("max_batchsize = 128\n", "")
    problem = load(tmp_path, table, toml).draw().problem("feel")
    assert problem.max_batchsize.tolist() == [64.0, 32.0]
    np.testing.assert_allclose(problem.seconds_per_sample, [1e7 / 1.5e9, 3e7 / 2.84e9])


# -- what takes the place of what ------------------------------------------------------------------------------


def test_a_table_replaces_placement_and_laws():
    scenario = Scenario.load("feel-cpu", devices=FRAME)
    assert scenario.cell.radius_m is None
    assert (scenario.devices.count, scenario.devices.transmit_power_dbm) == (2, None)
    assert scenario.devices.energy_coefficient.values == (1e-28,)  # a law for all stays
    assert scenario.draw().problem("feel").solve().status is Status.OPTIMAL


def test_lists_of_former_devices_go():
    held = Scenario.load("feel-cpu", {"local_samples": [50.0] * 12})
    with_table = held.replace(devices=pd.concat([FRAME] * 6))
    assert with_table.devices.count == 12
    assert with_table.devices.local_samples is None


def test_gain_replaces_distance():
    scenario = Scenario.load("feel-cpu", devices=FRAME).replace(
        devices=FRAME.rename(columns={"distance_m": "channel_gain_db"}).assign(channel_gain_db=[-90.0, -95.5])
    )
    assert scenario.devices.distance_m is None
    np.testing.assert_allclose(scenario.draw().channel_gain, [1e-9, 10**-9.55], rtol=1e-12)


def test_changes_come_last(tmp_path):
    scenario = load(tmp_path, changes={"cpu_frequency_hz": 1e9, "max_batchsize": 16})
    assert set(scenario.draw().cpu_frequency_hz) == {1e9}
    other = tmp_path / "other.csv"
    other.write_text(f"{HEADER}\n50,20,1\n")
    assert load(tmp_path, changes={"devices.file": "other.csv"}).devices.count == 1
    assert load(tmp_path, devices=other).devices.count == 1


# -- what is refused -----------------------------------------------------------------------------------------

TABLE_MISTAKES = [
    # cells
    (rows("100,20,1", "-3,20,1"), "line 3, column distance_m: expected > 0, got '-3'"),
    (rows("100,20,1", "", "0,20,1"), "line 4, column distance_m: expected > 0, got '0'"),
    (rows("100,20,nan"), "line 2, column cpu_frequency_ghz: expected a finite number > 0, got 'nan'"),
    (rows("inf,20,1"), "line 2, column distance_m: expected a finite number > 0, got 'inf'"),
    (rows("100,,1"), "line 2, column transmit_power_dbm: the cell is empty"),
    (rows("far,20,1"), "line 2, column distance_m: expected a number, got 'far'"),
    (
        rows("100,20,1.5 GHz"),
        "line 2, column cpu_frequency_ghz: expected a number, got '1.5 GHz'; the unit belongs in the name of the "
        "column",
    ),
    (
        rows('"1,000",20,1'),
        "line 2, column distance_m: expected a number, got '1,000'; write decimals with a point, thousands without a "
        "mark",
    ),
    (
        rows("100,20,0.0001"),
        "line 2, column cpu_frequency_ghz: expected 1e6 to 1e12 Hz, got '0.0001' (100000 Hz); is the unit in the name "
        "of the column right?",
    ),
    (rows("1e6,20,1"), "line 2, column distance_m: expected 1 to 1e5 m, got '1e6'; is it in mm or cm?"),
    (
        rows("100,20000,1"),
        "line 2, column transmit_power_dbm: expected between -60 and 80 dBm, got '20000'",
    ),
    (
        "channel_gain_db,transmit_power_w,cpu_frequency_hz\n90,0.1,1e9\n",
        "line 2, column channel_gain_db: expected between -300 and 0 dB (a loss of 90 dB is a gain of -90 dB), got "
        "'90'",
    ),
    # rows
    (rows("100,20"), "line 2: expected 3 cells as in the header, got 2"),
    (
        rows("100,5,20,1"),
        "line 2: expected 3 cells as in the header, got 4; decimals have a point, not a comma",
    ),
    (HEADER, "no devices, only a header"),
    ("", "the file is empty; expected a header and a line per device"),
    ("\r\n , \r\n", "the file is empty; expected a header and a line per device"),
    # header
    (TABLE.replace("distance_m", "distnce_m"), "column distnce_m: unknown; did you mean distance_m?"),
    (
        TABLE.replace("_dbm", "_dBm"),
        "column transmit_power_dBm: no unit that is known; expected transmit_power_w or *",
    ),
    (
        TABLE.replace("distance_m", "distance_miles"),
        "column distance_miles: no unit that is known; expected distance_m or distance_km",
    ),
    (
        TABLE.replace("cpu_frequency_ghz", "cpu_frequency"),
        "column cpu_frequency: no unit that is known; expected cpu_frequency_hz or cpu_frequency_khz or *",
    ),
    (
        TABLE.replace("distance_m", "colour"),
        "column colour: unknown; known: transmit_power_w, *; a column named device or name has names for people",
    ),
    (
        TABLE.replace("distance_m", "payload_bits"),
        "column payload_bits: one value holds for all devices; set feel.payload_bits instead",
    ),
    (TABLE.replace("distance_m", ""), "column 1: expected a name with a unit, such as distance_m"),
    (TABLE.replace("transmit_power_dbm", "distance_m"), "column distance_m: 2 columns have this name"),
    (
        TABLE.replace("transmit_power_dbm", "distance_km"),
        "column distance_km: the same quantity as column distance_m; keep one of them",
    ),
    # files
    (
        TABLE.replace(",", ";").replace(".", ","),
        "line 1: the columns are separated by semicolons; separate them by commas and write decimals with a point, *",
    ),
    (TABLE.replace(",", "\t"), "line 1: the columns are separated by tabs; separate them by commas *"),
    (TABLE.encode("utf-16"), 'line 1: not UTF-8 text; save it as "CSV UTF-8"'),
    (rows("100,20,1").encode() + b"100,20,\xb5\n", 'line 3: not UTF-8 text; save it as "CSV UTF-8"'),
    (rows("100,20,1", '"100,20,1'), "line 3: not CSV: *"),
]


@pytest.mark.parametrize(("table", "message"), TABLE_MISTAKES, ids=[m[:50] for _, m in TABLE_MISTAKES])
def test_one_line_for_a_mistake_in_the_table(tmp_path, table, message):
    place = re.escape(str(tmp_path / "devices.csv"))
    text = re.escape(message).replace(r"\*", "[^\n]*")
    with pytest.raises(ProblemError, match=rf"^{place}(, |: ){text}$"):
        load(tmp_path, table)


def test_every_mistake_has_a_line_up_to_ten(tmp_path):
    with pytest.raises(ProblemError) as caught:
        load(tmp_path, rows("100,20,0", "x,20,1", "100,20"))
    file = tmp_path / "devices.csv"
    assert str(caught.value).splitlines() == [
        f"{file}, line 2, column cpu_frequency_ghz: expected > 0, got '0'",
        f"{file}, line 3, column distance_m: expected a number, got 'x'",
        f"{file}, line 4: expected 3 cells as in the header, got 2",
    ]
    with pytest.raises(ProblemError, match=r"\nand 4 more$") as caught:
        load(tmp_path, rows(*["-1,20,-1"] * 7))
    assert len(str(caught.value).splitlines()) == 11


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("distance_m", -1.0, r"^DataFrame, row 'b', column distance_m: expected > 0, got -1\.0$"),
        ("distance_m", None, r"row 'b', column distance_m: expected a finite number > 0, got nan$"),
        ("distance_m", "x", r"row 'b', column distance_m: expected a number, got 'x'$"),
        ("distance_m", True, r"row 'b', column distance_m: expected a number, got True$"),
        ("distance_m", pd.NA, r"row 'b', column distance_m: expected a number, got <NA>$"),
        (3, 1.0, r"^DataFrame: column 3: expected a name with a unit, such as distance_m$"),
    ],
)
def test_mistakes_in_a_frame(column, cell, message):
    frame = FRAME.set_axis(["a", "b"])
    kind = object if not isinstance(cell, float | None) else float
    frame[column] = pd.Series([1.0, cell], index=frame.index, dtype=kind)
    with pytest.raises(ProblemError, match=message):
        Scenario.load("feel-cpu", devices=frame)


def test_a_table_is_a_path_or_a_frame(tmp_path):
    with pytest.raises(
        ProblemError, match=r"^devices: expected the path of a CSV file or a DataFrame, got 3$"
    ):
        Scenario.load("feel-cpu", devices=3)
    with pytest.raises(ProblemError, match=r"^devices\.file: expected the path of a CSV file, got 3$"):
        load(tmp_path, changes={"devices.file": 3})
    with pytest.raises(
        ProblemError, match=r"^.*no\.csv: the table of devices cannot be read: No such file or "
    ):
        load(tmp_path, changes={"devices.file": "no.csv"})


@pytest.mark.parametrize(
    ("toml", "table", "message"),
    [
        (
            FLEET.replace("cycles_per_sample = 2e7\n", ""),
            TABLE,
            r"devices\.csv: column cycles_per_sample is missing: cycles per sample \[.*\], for \[feel\]; or set "
            r"feel\.cycles_per_sample for all devices$",
        ),
        (
            FLEET,
            TABLE.replace("distance_m", "local_samples"),
            r"cell\.toml: cell\.radius_m: missing, and so are devices\.distance_m and devices\.channel_gain: give",
        ),
        (
            FLEET,
            TABLE.replace("transmit_power_dbm", "local_samples"),
            r"cell\.toml: devices\.transmit_power_dbm: missing, and so is devices\.uplink_rate_bps: the power",
        ),
        (
            FLEET.replace("[devices]", "[devices]\ncpu_frequency_hz = 1e9"),
            TABLE,
            r"^devices\.cpu_frequency_hz: given twice, here and as a column of devices\.csv$",
        ),
        (
            FLEET.replace("[devices]", "[devices]\ncount = 3"),
            TABLE,
            r"^devices\.count: given twice, here and as 2 lines of devices\.csv$",
        ),
        (
            "[cell]\nradius_m = 300.0\n" + FLEET,
            TABLE,
            r"cell\.toml: devices\.distance_m: give this or cell\.radius_m to place devices in, not both$",
        ),
    ],
)
def test_what_is_missing_or_given_twice(tmp_path, toml, table, message):
    with pytest.raises(ProblemError, match=message):
        load(tmp_path, table, toml)


def test_a_count_that_agrees_is_fine(tmp_path):
    assert load(tmp_path, toml=FLEET.replace("[devices]", "[devices]\ncount = 2")) == load(tmp_path)


def test_a_problem_says_what_it_needs_of_the_table(tmp_path):
    devices = load(tmp_path, TABLE.replace("cpu_frequency_ghz", "local_samples")).draw()
    with pytest.raises(ProblemError, match=r"does not give devices\.cpu_frequency_hz, which \[feel\] needs$"):
        devices.problem("feel")


# -- changes ---------------------------------------------------------------------------------------------------


def test_changes_by_name():
    scenario = Scenario.load("feel-cpu")
    changes = {"bandwidth_hz": 5e6, "feel.max_batchsize": 64, "downlink": "broadcast", "name": "narrow"}
    changed = scenario.replace(changes)
    assert changed == Scenario.load("feel-cpu", changes)
    assert (changed.radio.bandwidth_hz, changed.name) == (5e6, "narrow")
    assert changed.problems["feel"].max_batchsize.values == (64.0,)
    assert changed.draw(1).problem("feel").downlink == "broadcast"
    assert scenario == Scenario.load("feel-cpu")
    assert scenario.replace({"feel": None}).families == ()
    assert (
        scenario.replace(
            {"cell.path_loss": {"exponent": 3.0}, "cell.path_loss.exponent": 4.0}
        ).cell.path_loss.exponent
        == 4.0
    )
    assert scenario.replace({"radius_m": None, "distance_m": 50.0}).draw().distance_m.tolist() == [50.0] * 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bandwith_hz": 1.0}, r"^bandwith_hz: unknown key; did you mean bandwidth_hz\?$"),
        ({"colour": 1.0}, r"^colour: unknown key; known: "),
        ({"feel.max_batchsiz": 1.0}, r"^feel\.max_batchsiz: unknown key; did you mean max_batchsize\?$"),
        ({"fel.max_batchsize": 1.0}, r"^fel: unknown key; did you mean feel\?$"),
        ({"seconds_per_sample": 1.0}, r"^seconds_per_sample: unknown key; did you mean cycles_per_sample\?$"),
        ({"bandwidth_hz": -1.0}, r"^radio\.bandwidth_hz: expected > 0, got -1\.0$"),
        ({"radio.bandwidth_hz": None}, r"^radio\.bandwidth_hz: missing$"),
        ({"cell.radius_m.x": 1.0}, r"^cell\.radius_m\.x: radius_m is not a table$"),
    ],
)
def test_changes_that_are_refused(changes, message):
    with pytest.raises(ProblemError, match=message):
        Scenario.load("feel-cpu").replace(changes)


def test_a_key_of_several_tables_needs_its_table(tmp_path, monkeypatch):
    from radioopt.feel.scenario import CpuSettings

    monkeypatch.setattr(
        "radioopt.scenario.tables.DeviceTable.known_keys", classmethod(lambda cls: ["update_cycles"])
    )
    assert "update_cycles" in CpuSettings.known_keys()
    with pytest.raises(
        ProblemError,
        match=r"^update_cycles: a key of several tables; choose devices\.update_cycles or feel\.",
    ):
        Scenario.load("feel-cpu", {"update_cycles": 1.0})


def test_the_example_tables(tmp_path):
    scenario = Scenario.load(EXAMPLES / "fleet.toml")
    assert scenario.draw(1).problem("feel").solve().status is Status.OPTIMAL
    with_columns = Scenario.load("feel-cpu", devices=EXAMPLES / "devices.csv")
    np.testing.assert_array_equal(with_columns.draw().distance_m, scenario.draw().distance_m)
