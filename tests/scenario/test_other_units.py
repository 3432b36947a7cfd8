"""Keys of a scenario in other units than SI: what they become, and what is refused."""

import numpy as np
import pytest

from radioopt import ProblemError, Scenario

SI = {
    "radio": {"bandwidth_hz": 20e6, "downlink_power_dbm": 46.0},
    "devices": {
        "count": 2,
        "distance_m": [80.0, 150.0],
        "transmit_power_dbm": 23.0,
        "cpu_frequency_hz": {"uniform": [1e9, 2e9]},
    },
    "feel": {
        "compute": "cpu",
        "payload_bits": 4e6,
        "cycles_per_sample": 2e7,
        "update_cycles": 1e7,
        "max_batchsize": 64,
        "max_round_latency_s": 2.5,
    },
}


@pytest.mark.parametrize(
    ("table", "key", "name", "value"),
    [
        ("radio", "bandwidth_hz", "bandwidth_mhz", 20),
        ("radio", "bandwidth_hz", "bandwidth_khz", 20e3),
        ("devices", "distance_m", "distance_km", np.array([0.08, 0.15])),
        ("devices", "cpu_frequency_hz", "cpu_frequency_ghz", {"uniform": [1, 2.0]}),
        ("feel", "payload_bits", "payload_kbit", 4000),
        ("feel", "payload_bits", "payload_mbit", 4),
        ("feel", "payload_bits", "payload_gbit", 4e-3),
        ("feel", "max_round_latency_s", "max_round_latency_ms", 2500),
    ],
)
def test_a_key_may_have_a_prefix(table, key, name, value):
    other = {**SI, table: {**{k: v for k, v in SI[table].items() if k != key}, name: value}}
    assert Scenario.from_dict(other) == Scenario.from_dict(SI)
    assert Scenario.from_dict(SI).replace({f"{table}.{name}": value}) == Scenario.from_dict(SI)
    assert Scenario.from_dict(SI).replace({name: value}) == Scenario.from_dict(SI)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"bandwidth_mhz": 5, "bandwidth_hz": 5e6},
            r"^bandwidth_hz: bandwidth_hz is given twice, in two units",
        ),
        ({"radio.bandwidth_mhz": "5 MHz"}, r"^radio\.bandwidth_hz: expected a number, got '5 MHz'"),
        ({"radio.bandwidth_mhz": -5}, r"^radio\.bandwidth_hz: expected > 0, got -5000000"),
        ({"radio.bandwidth_thz": 5}, r"^radio\.bandwidth_thz: unknown key; did you mean bandwidth_hz\?"),
    ],
)
def test_mistakes(changes, message):
    with pytest.raises(ProblemError, match=message):
        Scenario.from_dict(SI).replace(changes)


def test_two_units_in_a_table_are_refused():
    both = {**SI, "radio": {**SI["radio"], "bandwidth_mhz": 20}}
    with pytest.raises(
        ProblemError, match=r"^radio\.bandwidth_mhz: bandwidth_hz is given twice, in two units"
    ):
        Scenario.from_dict(both)


def test_a_price_per_hertz_has_no_prefix():
    """A factor would go the wrong way: a price per MHz is a millionth of that per Hz."""
    with pytest.raises(ProblemError, match=r"dtkd\.bandwidth_price_per_mhz: unknown key"):
        Scenario.load("dtkd", {"dtkd.bandwidth_price_per_mhz": 1.0})
