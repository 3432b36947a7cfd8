"""``--set``, ``--devices`` and ``--option``: what they change, and what is said of a mistake."""

import json
from pathlib import Path

import numpy as np
import pytest

from radioopt import OptionError, Scenario
from radioopt.cli import main
from radioopt.cli.scenario import settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def solved(capsys, *arguments):
    assert main(["solve", *arguments, "--seed", "1", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_set_changes_keys(capsys):
    document = solved(capsys, "feel-cpu", "--set", "bandwidth_hz=5e6", "--set", "feel.max_batchsize = 64")
    changed = Scenario.load("feel-cpu").replace({"bandwidth_hz": 5e6, "feel.max_batchsize": 64})
    solution = changed.draw(1).problem("feel").solve()
    assert document["objective"] == solution.objective
    assert max(device["batchsize"] for device in document["devices"]) <= 64


def test_devices_come_from_a_table(capsys):
    table = str(EXAMPLES / "devices.csv")
    expected = Scenario.load("feel-cpu", devices=table).draw(1).problem("feel").solve()
    assert solved(capsys, "feel-cpu", "--devices", table)["objective"] == expected.objective
    fleet = solved(capsys, str(EXAMPLES / "fleet.toml"), "--problem", "feel")
    assert len(fleet["devices"]) == 10


def test_option_reaches_the_method(capsys):
    batches = [d["batchsize"] for d in solved(capsys, "feel-cpu", "--option", "integer=true")["devices"]]
    assert batches == [round(b) for b in batches]
    assert any(d["batchsize"] % 1 for d in solved(capsys, "feel-cpu")["devices"])


def test_settings_are_read_as_toml():
    given = ["a=5e6", "b.c = [1, 2]", "d=true", 'e="a=b"', "f=broadcast", "g={ exponent = 3 }", "h=1_000"]
    assert settings("--set", given) == {
        "a": 5e6,
        "b.c": [1, 2],
        "d": True,
        "e": "a=b",
        "f": "broadcast",
        "g": {"exponent": 3},
        "h": 1000,
    }
    assert settings("--set", ["a=1", "a=2"]) == {"a": 2}
    assert np.isinf(settings("--set", ["a=inf"])["a"])


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("bandwidth_hz", "^--set bandwidth_hz: expected KEY=VALUE, such as bandwidth_hz=5e6$"),
        ("=3", "^--set =3: expected KEY=VALUE"),
        ("a=", "^--set a=: expected KEY=VALUE"),
        ("a=5 MHz", r'^--set a: expected a number, true, "text", \[a, list\] or \{ a = table \}, got 5 MHz$'),
        ("a=1\nb=2", "^--set a: expected a number"),
    ],
)
def test_settings_that_cannot_be_read(item, message):
    with pytest.raises(OptionError, match=message):
        settings("--set", [item])


MISTAKES = [
    (["--set", "bandwith_hz=5e6"], "bandwith_hz: unknown key; did you mean bandwidth_hz?"),
    (["--set", "bandwidth_hz=-1"], "radio.bandwidth_hz: expected > 0, got -1"),
    (["--set", "downlink=brodcast"], "feel.downlink: expected 'tdma' or 'broadcast', got 'brodcast'"),
    (["--devices", "missing.csv"], "missing.csv: the table of devices cannot be read"),
    (["--option", "intger=true"], "method 'newton': unknown option 'intger', it takes: integer"),
    (["--option", "throw=true"], "--option throw: not an option of a method"),
]


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        *(("solve", *mistake) for mistake in MISTAKES),
        *(("train", *mistake) for mistake in MISTAKES if mistake[0][0] != "--option"),
    ],
)
def test_mistakes_end_with_code_2(command, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([command, "feel-cpu", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_saved_problem_has_no_keys(tmp_path, capsys):
    saved = tmp_path / "problem.npz"
    Scenario.load("feel-cpu").draw(1).problem("feel").save(saved)
    for change in (["--set", "bandwidth_hz=5e6"], ["--devices", "devices.csv"]):
        assert main(["solve", str(saved), *change]) == 2
        assert "is a saved problem" in capsys.readouterr().err
