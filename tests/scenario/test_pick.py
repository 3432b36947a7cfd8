"""Devices as data: some of them, and a table of them taken back."""

import numpy as np
import pandas as pd
import pytest

from radioopt import ProblemError, Scenario

NAMES = tuple(f"phone-{i}" for i in range(12))


@pytest.fixture
def devices():
    return Scenario.load("feel-cpu", {"devices.names": list(NAMES)}).draw(seed=1)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ([0, 3], [0, 3]),
        ([3, 0], [3, 0]),
        (5, [5]),
        (-1, [11]),
        (slice(2, 8, 3), [2, 5]),
        (np.arange(12) % 6 == 1, [1, 7]),
        (["phone-4", "phone-1"], [4, 1]),
        ("phone-4", [4]),
    ],
)
def test_some_of_the_devices(devices, which, expected):
    some = devices[which]
    np.testing.assert_array_equal(some.uplink_rate_bps, devices.uplink_rate_bps[expected])
    np.testing.assert_array_equal(some.cpu_frequency_hz, devices.cpu_frequency_hz[expected])
    assert some.labels["device"] == tuple(NAMES[i] for i in expected)
    problem = some.problem("feel")
    np.testing.assert_array_equal(problem.uplink_rate_bps, devices.problem("feel").uplink_rate_bps[expected])
    assert problem.solve().to_frame().index.tolist() == [NAMES[i] for i in expected]
    assert some.scenario.devices.count == len(expected)
    assert some.scenario.draw(seed=5).cpu_frequency_hz.tolist() == devices.cpu_frequency_hz[expected].tolist()


def test_all_in_order_are_the_same_devices(devices):
    np.testing.assert_array_equal(devices[:].channel_gain, devices.channel_gain)
    assert devices[:].problem("feel") == devices.problem("feel")


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ([0, 12], r"expected devices 0 \.\.\. 11"),
        ([1, 1], "none twice, got \\[1, 1\\]"),
        ([], "at least one device"),
        (["phone-99"], r"no device 'phone-99'"),
        ([[0, 1]], "at least one device and none twice"),
    ],
)
def test_what_cannot_be_picked(devices, which, message):
    with pytest.raises(ProblemError, match=message):
        devices[np.array(which, int) if which == [] else which]


def test_of_a_batch_an_index_takes_draws_and_pick_takes_devices():
    batch = Scenario.load("fimi").draw(seed=1, size=4)
    assert batch[[0, 3]].batch_shape == (2,)
    some = batch.pick([2, 0])
    np.testing.assert_array_equal(some.channel_gain, batch.channel_gain[:, [2, 0]])
    assert some.problem("fimi").batch_shape == (4,)
    assert some[1].sizes["device"] == 2


def test_block_fading_stays_with_the_devices():
    config = Scenario.load("feel-cpu").to_dict()
    config["cell"]["fading"] = "block"
    devices = Scenario.from_dict(config).draw(seed=1)
    some = devices[[4, 2]]
    np.testing.assert_array_equal(some.uplink_snr, devices.uplink_snr[[4, 2]])
    assert (some.fade(np.random.default_rng(1)).uplink_snr != some.uplink_snr).all()


@pytest.mark.parametrize("name", ["feel-cpu", "feel-gpu", "fimi", "dtkd"])
def test_a_table_of_devices_is_taken_back(name, tmp_path):
    scenario = Scenario.load(name)
    drawn = scenario.draw(seed=3)
    again = scenario.replace(devices=drawn.to_frame()).draw()
    family = scenario.families[0]
    for key in ("channel_gain", "transmit_power_w", "uplink_rate_bps"):
        np.testing.assert_allclose(getattr(again, key), getattr(drawn, key), rtol=1e-13)
    assert again.problem(family).solve().objective == pytest.approx(
        float(drawn.problem(family).solve().objective), rel=1e-9
    )
    drawn.to_frame().to_csv(tmp_path / "devices.csv")
    file = scenario.replace(devices=tmp_path / "devices.csv").draw()
    np.testing.assert_array_equal(file.channel_gain, again.channel_gain)


def test_a_table_keeps_names_and_may_be_changed(devices, tmp_path):
    frame = devices.to_frame().iloc[[3, 1]]
    frame["cpu_frequency_hz"] *= 2
    again = devices.scenario.replace(devices=frame).draw()
    assert again.labels["device"] == ("phone-3", "phone-1")
    np.testing.assert_array_equal(again.cpu_frequency_hz, 2 * devices.cpu_frequency_hz[[3, 1]])
    wider = devices.scenario.replace({"radio.bandwidth_hz": 20e6}, devices=devices.to_frame()).draw()
    assert (wider.uplink_rate_bps > devices.uplink_rate_bps).all()  # they follow from the gains
    frame.to_csv(tmp_path / "two.csv")
    assert devices.scenario.replace(devices=tmp_path / "two.csv").draw().labels == again.labels


def test_rates_that_were_changed_are_not_lost(devices):
    frame = devices.to_frame()
    frame.loc["phone-2", "uplink_rate_bps"] *= 1.01
    with pytest.raises(ProblemError, match="column uplink_rate_bps: not the rates of column uplink_snr"):
        devices.scenario.replace(devices=frame)
    taken = devices.scenario.replace(devices=frame.drop(columns="uplink_snr")).draw()
    np.testing.assert_array_equal(taken.uplink_rate_bps, frame["uplink_rate_bps"])


def test_tables_of_several_draws_and_shadowed_cells():
    scenario = Scenario.load("feel-cpu", {"cell.shadowing": True, "cell.shadowing_std_db": 8.0})
    with pytest.raises(ProblemError, match=r"those of several draws: take one, as frame.loc\[0\]"):
        scenario.replace(devices=scenario.draw(seed=1, size=2).to_frame())
    drawn = scenario.draw(seed=1)
    again = scenario.replace(devices=drawn.to_frame()).draw()
    np.testing.assert_allclose(again.channel_gain, drawn.channel_gain, rtol=1e-13)
    assert isinstance(drawn.to_frame(), pd.DataFrame)


def test_names_of_devices_without_any_and_a_choice_of_none(devices):
    nameless = Scenario.load("feel-cpu").draw(seed=1)
    with pytest.raises(
        ProblemError, match=r"no device 'a': these devices have no names; take positions 0 ... 11"
    ):
        nameless[["a"]]
    with pytest.raises(ProblemError, match=r"expected at least one device and none twice, got \[\]"):
        devices[[]]


def test_devices_are_not_taken_for_a_scenario(devices):
    with pytest.raises(ProblemError, match=r"Scenario.load: expected the name .* got Devices: 12"):
        Scenario.load(devices)
