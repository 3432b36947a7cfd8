"""Draws: links by hand from the paper's equations, laws, streams, fading, and the problems devices pose."""

import copy
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import exp1

from radioopt import Devices, ProblemError, Scenario, Status
from radioopt.feel import BatchsizeProblem
from radioopt.scenario import MissingQuantityError

CPU = Scenario.load("feel-cpu")
QUANTITIES = tuple(Devices.quantities)


def scenario(base=CPU, **tables):
    """Return a scenario with keys of its tables changed; None takes a key out."""
    config = copy.deepcopy(base.to_dict())
    for name, changes in tables.items():
        config[name] = {k: v for k, v in (config.get(name, {}) | changes).items() if v is not None}
    return Scenario.from_dict(config)


AT_100_M = scenario(cell={"radius_m": None}, devices={"distance_m": 100.0, "count": 2})
BLOCK = scenario(cell={"fading": "block"})
RANDOM = scenario(
    devices={"cpu_frequency_hz": {"uniform": [1e9, 2e9]}, "transmit_power_dbm": {"choice": [20.0, 23.0]}},
    feel={"payload_bits": {"uniform": [1e6, 2e6]}, "cycles_per_sample": {"choice": [1e7, 2e7]}},
)


# -- links ---------------------------------------------------------------------------------------------------


def test_link_at_100_m():
    """Loss 128.1 + 37.6 log10(0.1) = 90.5 dB, noise -174 + 70 = -104 dBm: SNR 28 - 90.5 + 104 = 41.5 dB."""
    devices = AT_100_M.draw()
    np.testing.assert_allclose(devices.channel_gain, 10**-9.05, rtol=1e-12)
    for ratio, rate in [
        (devices.uplink_snr, devices.uplink_rate_bps),
        (devices.downlink_snr, devices.downlink_rate_bps),
    ]:
        np.testing.assert_allclose(ratio, 10**4.15, rtol=1e-12)
        z = 10**-4.15
        np.testing.assert_allclose(rate, 10e6 / math.log(2) * math.exp(z) * exp1(z), rtol=1e-12)


@pytest.mark.parametrize(
    ("radio", "devices", "uplink_db", "downlink_db"),
    [
        ({"noise_figure_db": 7.0}, {}, 34.5, 34.5),
        ({"bandwidth_hz": 1e6}, {}, 51.5, 51.5),
        ({"noise_psd_dbm_per_hz": -164.0}, {}, 31.5, 31.5),
        ({"noise_psd_dbm_per_hz": None, "noise_power_dbm": -94.0}, {}, 31.5, 31.5),
        ({"downlink_power_dbm": 43.0}, {}, 41.5, 56.5),
        ({}, {"transmit_power_dbm": 20.0}, 33.5, 41.5),
    ],
)
def test_each_decibel_counts_once(radio, devices, uplink_db, downlink_db):
    drawn = scenario(AT_100_M, radio=radio, devices=devices).draw()
    np.testing.assert_allclose(10 * np.log10(drawn.uplink_snr), uplink_db, rtol=1e-12)
    np.testing.assert_allclose(10 * np.log10(drawn.downlink_snr), downlink_db, rtol=1e-12)


def test_power_law_and_given_distances():
    cell = {"radius_m": None, "path_loss": {"exponent": 3.0, "gain_at_1m": 1e-3}}
    devices = scenario(cell=cell, devices={"distance_m": {"repeat": [10.0, 100.0]}}).draw()
    assert devices.distance_m.tolist() == [10.0, 100.0] * 6
    np.testing.assert_allclose(devices.channel_gain[:2], [1e-6, 1e-9], rtol=1e-12)


def test_gains_powers_and_rates_are_used_as_given():
    by_gain = scenario(cell={"radius_m": None}, devices={"channel_gain": 1e-9, "distance_m": 50.0}).draw()
    assert set(by_gain.channel_gain) == {1e-9}
    np.testing.assert_allclose(10 * np.log10(by_gain.uplink_snr), 28 - 90 + 104, rtol=1e-12)
    watts = {"transmit_power_dbm": None, "transmit_power_w": 0.5}
    assert set(scenario(devices=watts).draw().transmit_power_w) == {0.5}
    mixed = scenario(devices={"uplink_rate_bps": 20e6}).draw(1)
    assert set(mixed.uplink_rate_bps) == {20e6}
    assert "uplink_snr" not in mixed.quantities  # it would be another link's
    np.testing.assert_array_equal(mixed.downlink_rate_bps, CPU.draw(1).downlink_rate_bps)
    given = {"count": 3, "uplink_rate_bps": 20e6, "downlink_rate_bps": 40e6, "cpu_frequency_hz": 1e9}
    rates = Scenario.from_dict({"devices": given, "feel": CPU.to_dict()["feel"]})
    assert rates.draw(size=2).problem("feel").solve().status.tolist() == [Status.OPTIMAL] * 2
    assert rates.draw().fade(np.random.default_rng(1)) == rates.draw()


def test_placement_is_in_the_ring():
    distance = CPU.draw(1, size=2000).distance_m
    assert distance.shape == (2000, 12)
    assert distance.min() >= 35 * (1 - 1e-14)
    assert distance.max() <= 200 * (1 + 1e-14)
    assert np.mean(distance**2) == pytest.approx((200**2 + 35**2) / 2, rel=0.02)  # uniform over the area


# -- laws ----------------------------------------------------------------------------------------------------


def test_fixed_laws():
    values = [float(i) for i in range(1, 13)]
    drawn = scenario(
        devices={"cpu_frequency_hz": {"repeat": [1e9, 2e9, 3e9, 4e9, 5e9]}, "local_samples": values}
    ).draw(1, size=3)
    assert drawn.cpu_frequency_hz[2].tolist() == [1e9, 2e9, 3e9, 4e9, 5e9] * 2 + [1e9, 2e9]
    assert drawn.local_samples[1].tolist() == values
    assert np.unique(drawn.energy_coefficient).tolist() == [1e-28]


def test_random_laws():
    devices = RANDOM.draw(1, size=(50, 40))
    frequency = devices.cpu_frequency_hz.ravel()
    assert 1e9 <= frequency.min() < frequency.max() <= 2e9
    assert frequency.mean() == pytest.approx(1.5e9, rel=0.01)
    assert np.unique(frequency).size == frequency.size
    levels, counts = np.unique(devices.transmit_power_w, return_counts=True)
    np.testing.assert_allclose(levels, [10**-1.0, 10**-0.7], rtol=1e-12)
    assert counts[0] / counts.sum() == pytest.approx(0.5, abs=0.02)
    problem = devices.problem("feel")
    assert problem.payload_bits.shape == (50, 40)  # one for all devices of a draw
    assert np.unique(problem.payload_bits).size == 2000
    cycles = problem.seconds_per_sample * devices.cpu_frequency_hz
    np.testing.assert_allclose(np.unique(cycles.round(-3)), [1e7, 2e7])


def test_each_law_has_its_own_stream():
    """Changing one law leaves the draws of all the others as they were."""
    fewer = scenario(RANDOM, devices={"cpu_frequency_hz": 1e9}, feel={"cycles_per_sample": 1e7})
    one, other = RANDOM.draw(5), fewer.draw(5)
    assert (one.cpu_frequency_hz != other.cpu_frequency_hz).all()
    for name in ("distance_m", "transmit_power_w", "uplink_rate_bps"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.problem("feel").payload_bits == other.problem("feel").payload_bits
    frequency, distance = one.cpu_frequency_hz, one.distance_m
    assert abs(np.corrcoef(frequency, distance)[0, 1]) < 0.9  # not the same stream twice


# -- seeds and shapes ----------------------------------------------------------------------------------------


def test_a_seed_is_reproducible_and_a_generator_goes_on():
    assert RANDOM.draw(3) == RANDOM.draw(3) == RANDOM.draw(np.int64(3))
    assert RANDOM.draw(np.random.SeedSequence(3)) == RANDOM.draw(3) == RANDOM.draw(np.random.default_rng(3))
    assert RANDOM.draw(3) != RANDOM.draw(4)
    assert RANDOM.draw() != RANDOM.draw()
    rng = np.random.default_rng(3)
    assert RANDOM.draw(rng) != RANDOM.draw(rng)
    assert RANDOM.draw(3).problem("feel") == RANDOM.draw(3).problem("feel")


def test_another_process_draws_the_same():
    code = (
        "from radioopt import Scenario; cpu = Scenario.load('feel-cpu');"
        "print(cpu.digest(), cpu.draw(7).distance_m.sum().hex())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert printed.stdout.split() == [CPU.digest(), CPU.draw(7).distance_m.sum().hex()]


@pytest.mark.parametrize(("size", "shape"), [((), ()), (1, (1,)), (5, (5,)), ((2, 3), (2, 3))])
def test_sizes(size, shape):
    devices = RANDOM.draw(1, size=size)
    assert devices.batch_shape == shape
    assert devices.sizes == {"device": 12}
    for name in devices.quantities:
        core = (12,) if Devices.quantities[name].axes else ()
        assert np.shape(getattr(devices, name)) == shape + core
    assert devices.problem("feel").batch_shape == shape


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, r"^Scenario\.draw\.seed: expected a whole number >= 0, a SeedSequence, .*, got -1$"),
        ({"seed": "1"}, r"^Scenario\.draw\.seed: .*, got '1'$"),
        ({"seed": 1.5}, r"^Scenario\.draw\.seed: .*, got 1\.5$"),
        ({"seed": True}, r"^Scenario\.draw\.seed: .*, got True$"),
        ({"size": -1}, r"^Scenario\.draw\.size: expected .*, got -1$"),
        ({"size": 2.0}, r"^Scenario\.draw\.size: expected .*, got 2\.0$"),
        ({"size": (3, 0)}, r"^Scenario\.draw\.size: expected counts >= 1, got \(3, 0\)$"),
    ],
)
def test_bad_seeds_and_sizes(arguments, message):
    with pytest.raises(ProblemError, match=message):
        CPU.draw(**arguments)


def test_one_device():
    devices = scenario(devices={"count": 1}).draw(1)
    assert devices.uplink_rate_bps.shape == (1,)
    assert devices.problem("feel").solve().status.ok


# -- fading --------------------------------------------------------------------------------------------------


def test_ergodic_devices_do_not_fade():
    devices = CPU.draw(1)
    assert devices.fade(np.random.default_rng(2)) is devices


def test_block_fading_changes_the_links_alone():
    devices = BLOCK.draw(1, size=4)
    faded = devices.fade(np.random.default_rng(2))
    assert faded != devices
    assert faded == devices.fade(np.random.default_rng(2))
    for name in devices.quantities:
        same = np.array_equal(getattr(devices, name), getattr(faded, name))
        assert same == (name not in ("uplink_snr", "uplink_rate_bps", "downlink_snr", "downlink_rate_bps"))
    np.testing.assert_allclose(faded.uplink_rate_bps, 10e6 * np.log2(1 + faded.uplink_snr), rtol=1e-12)
    assert (faded.uplink_snr != faded.downlink_snr).all()  # same path, other frequency
    assert faded.fade(np.random.default_rng(3)).problem("feel").solve().status.shape == (4,)


def test_rates_under_block_fading_average_to_the_ergodic_rate():
    """Mean SNR and mean rate over 20,000 rounds, to 4 standard errors, at an SNR of a few dB."""
    quiet = {"transmit_power_dbm": -10.0, "count": 1}
    cell = {"fading": "block", "radius_m": None}
    block = scenario(AT_100_M, cell=cell, devices=quiet).draw(1, size=20_000)
    ergodic = scenario(AT_100_M, devices=quiet).draw(1)
    for name in ("uplink_snr", "uplink_rate_bps"):
        values = getattr(block, name)
        error = 4 * values.std() / math.sqrt(values.size)
        assert abs(values.mean() - getattr(ergodic, name)[0]) < error
    correlation = np.corrcoef(block.uplink_snr[:, 0], block.downlink_snr[:, 0])[0, 1]
    assert abs(correlation) < 4 / math.sqrt(20_000)


@pytest.mark.parametrize("devices", [CPU.draw(1), BLOCK.draw(1)], ids=["ergodic", "block"])
def test_fading_takes_a_generator(devices):
    with pytest.raises(ProblemError, match=r"Devices\.fade\.rng: expected a numpy\.random\.Generator, got 2"):
        devices.fade(2)


# -- devices -------------------------------------------------------------------------------------------------


def test_what_the_scenario_leaves_out_is_missing():
    devices = scenario(radio={"downlink_power_dbm": None}, devices={"cpu_frequency_hz": None}).draw(1)
    missing = {"downlink_snr", "downlink_rate_bps", "downlink_power_w", "cpu_frequency_hz", "local_samples"}
    missing |= {"line_of_sight", "shadowing_db"}
    assert set(QUANTITIES) - set(devices.quantities) == missing
    for name in missing:
        assert not hasattr(devices, name)
    assert "cpu_frequency_hz" not in devices.to_frame()
    assert "cpu_frequency_hz" not in repr(devices)
    with pytest.raises(
        MissingQuantityError, match=r"^Devices\.local_samples: the scenario does not give devices\."
    ):
        _ = devices.local_samples
    with pytest.raises(
        ProblemError, match=r"does not give radio\.downlink_power_dbm or .*, which \[feel\] needs$"
    ):
        devices.problem("feel")


@pytest.mark.parametrize("index", [0, (1, 2), (slice(None), 1), (..., 2), np.array([True, False])])
def test_a_selection_poses_the_selected_problems(index):
    devices = scenario(RANDOM, cell={"fading": "block"}).draw(1, size=(2, 3))
    assert devices[index].problem("feel") == devices.problem("feel")[index]
    faded = devices[index].fade(np.random.default_rng(1))
    np.testing.assert_array_equal(faded.distance_m, devices[index].distance_m)
    assert (faded.uplink_snr != devices[index].uplink_snr).all()


def test_devices_are_values():
    devices = RANDOM.draw(1, size=2)
    clone = pickle.loads(pickle.dumps(devices))
    assert clone == devices
    assert clone.problem("feel") == devices.problem("feel")
    assert not clone.distance_m.flags.writeable
    assert clone.scenario == RANDOM
    assert devices != scenario(RANDOM, feel={"loss_decay": 2.0}).draw(1, size=2)
    assert devices != "devices"
    fixed = scenario(AT_100_M, feel={"payload_bits": {"uniform": [1e6, 2e6]}})
    assert fixed.draw(1) == fixed.draw(1)
    assert fixed.draw(1) != fixed.draw(2)  # they pose different problems
    with pytest.raises(ProblemError, match=r"^Devices\.save: keep the scenario and the seed"):
        devices.save("devices.npz")
    with pytest.raises(AttributeError, match="Devices is read-only: cannot set cpu_frequency_hz"):
        devices.cpu_frequency_hz = 1e9


def test_the_table_of_devices():
    frame = CPU.draw(1, size=2).to_frame()
    assert frame.shape[0] == 24
    assert {"distance_m", "uplink_rate_bps", "cpu_frequency_hz"} <= set(frame)
    assert set(CPU.draw(1).to_frame(axes=())) == {"bandwidth_hz", "noise_psd_w_per_hz", "downlink_power_w"}


# -- problems ------------------------------------------------------------------------------------------------


def test_cpu_problem_by_hand():
    devices, feel = CPU.draw(1), CPU.to_dict()["feel"]
    by_hand = BatchsizeProblem.cpu(
        cpu_frequency_hz=devices.cpu_frequency_hz,
        uplink_rate_bps=devices.uplink_rate_bps,
        downlink_rate_bps=devices.downlink_rate_bps,
        **{k: v for k, v in feel.items() if k != "compute"},
    )
    assert devices.problem("feel") == by_hand


def test_gpu_problem_by_hand():
    gpu = Scenario.load("feel-gpu")
    devices, feel = gpu.draw(1, size=3), gpu.to_dict()["feel"]
    by_hand = BatchsizeProblem.gpu(
        uplink_rate_bps=devices.uplink_rate_bps,
        downlink_rate_bps=devices.downlink_rate_bps,
        **{k: v for k, v in feel.items() if k != "compute"},
    )
    assert devices.problem("feel") == by_hand
    assert not hasattr(devices, "cpu_frequency_hz")


def test_frames_and_loss_decay_default_to_the_problems():
    bare = scenario(feel={"uplink_frame_s": None, "downlink_frame_s": None, "loss_decay": None})
    assert bare.draw(1).problem("feel") == CPU.draw(1).problem("feel")


def test_no_batch_exceeds_the_samples_held():
    devices = scenario(devices={"local_samples": {"repeat": [50.0, 500.0]}}).draw(1, size=2)
    assert devices.problem("feel").max_batchsize[1].tolist() == [50.0, 128.0] * 6
    assert devices.problem("feel", max_batchsize=[40.0] * 12).max_batchsize.max() == 40.0
    assert devices.problem("feel", max_batchsize=1000).max_batchsize[0].tolist() == [50.0, 500.0] * 6


@given(hnp.arrays(np.float64, (2, 12), elements=st.floats(1.0, 1e6)), st.floats(100.0, 1e12))
def test_overrides_take_numbers_and_arrays(max_batchsize, payload_bits):
    devices = RANDOM.draw(1, size=2)
    problem = devices.problem("feel", max_batchsize=max_batchsize, payload_bits=payload_bits)
    assert problem == devices.problem("feel").replace(max_batchsize=max_batchsize, payload_bits=payload_bits)


@pytest.mark.parametrize(
    ("family", "overrides", "message"),
    [
        (
            "feel",
            {"payload_bit": 1.0},
            r'^Devices\.problem\("feel"\): unknown setting payload_bit; did you mean p',
        ),
        ("feel", {"compute": "gpu"}, r"unknown setting compute; "),
        ("feel", {"base_time_s": 1.0}, r"unknown setting base_time_s; "),
        ("feel", {"payload_bits": -1.0}, r"^BatchsizeProblem\.payload_bits: expected > 0, got -1\.0$"),
        ("fimi", {}, r"^scenario 'twelve CPU .*' has no table \[fimi\]; its problems: \[feel\]$"),
    ],
)
def test_a_problem_that_cannot_be_posed(family, overrides, message):
    with pytest.raises(ProblemError, match=message):
        CPU.draw(1).problem(family, **overrides)


TOY = {
    "__init__.py": "",
    "problem.py": "",
    "scenario.py": """
from typing import Annotated
from radioopt.base.quantity import DEVICE, positive, quantity
from radioopt.scenario.laws import Law, Of
from radioopt.scenario.tables import Table

class Settings(Table):
    weight: Annotated[Law, Of(quantity("1", positive, DEVICE, "weight"))]
    bias: Annotated[Law | None, Of(quantity("1", positive, (), "bias"))] = None

def build(devices, settings, values):
    return devices.channel_gain * values["weight"], "bias" in values
""",
}


def test_another_family_needs_no_change_here(tmp_path, monkeypatch):
    import radioopt

    (tmp_path / "toy").mkdir()
    for name, text in TOY.items():
        (tmp_path / "toy" / name).write_text(text)
    monkeypatch.setattr(radioopt, "__path__", [*radioopt.__path__, str(tmp_path)])
    try:
        both = scenario(toy={"weight": {"uniform": [1.0, 2.0]}})
        assert both.families == ("feel", "toy")
        devices = both.draw(1, size=5)
        posed, with_bias = devices.problem("toy")
        assert posed.shape == (5, 12)
        assert not with_bias
        np.testing.assert_array_equal(devices[3].problem("toy")[0], posed[3])
        assert devices.problem("feel") == CPU.draw(1, size=5).problem("feel")
        assert Scenario.from_dict(both.to_dict()) == both
        with pytest.raises(ProblemError, match=r"^toy\.weight: expected > 0, got 0$"):
            scenario(toy={"weight": 0})
        with pytest.raises(ProblemError, match=r"^tyo: unknown key; did you mean toy\?$"):
            scenario(tyo={})
    finally:
        for name in [name for name in sys.modules if name.startswith("radioopt.toy")]:
            del sys.modules[name]
        vars(radioopt).pop("toy", None)


# -- the scenarios that come with radioopt -------------------------------------------------------------------


@pytest.mark.parametrize("name", Scenario.examples())
def test_shipped_scenarios_pose_problems_that_are_solved(name):
    devices = Scenario.load(name).draw(1, size=20)
    assert devices.scenario.families
    for family in devices.scenario.families:
        problem = devices.problem(family)
        proven = problem.default_method.exact  # a heuristic is feasible, and proves nothing
        assert (problem.solve().status <= (Status.OPTIMAL if proven else Status.FEASIBLE)).all()


@pytest.mark.parametrize("name", ["feel-cpu", "feel-gpu"])
def test_shipped_scenarios_balance_computing_and_uploading(name):
    solution = Scenario.load(name).draw(1, size=200).problem("feel").solve()
    low, high = solution.problem.min_batchsize, solution.problem.max_batchsize
    assert np.mean((low < solution.batchsize) & (solution.batchsize < high)) > 0.5
    assert 0.25 < solution.compute_time_s.mean() / solution.upload_time_s.mean() < 4


def test_the_papers_numbers():
    devices = CPU.draw(1)
    problem = devices.problem("feel")
    assert sorted(devices.cpu_frequency_hz) == [0.7e9] * 4 + [1.4e9] * 4 + [2.1e9] * 4
    assert problem.payload_bits == 8_062_504 * 32
    assert set(problem.max_batchsize) == {128.0}
    assert devices.bandwidth_hz == 10e6
    np.testing.assert_allclose(devices.transmit_power_w, 10**-0.2, rtol=1e-12)
    np.testing.assert_allclose(devices.noise_psd_w_per_hz, 10**-20.4, rtol=1e-12)
    assert (CPU.cell.radius_m, CPU.cell.fading) == (200.0, "ergodic")
    assert problem.uplink_frame_s == problem.downlink_frame_s == 0.01
