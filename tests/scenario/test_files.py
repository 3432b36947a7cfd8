"""Scenario files: what is accepted, and one clear line for each thing that is not."""

import copy
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radioopt import ProblemError, Scenario
from radioopt.scenario.laws import KINDS
from radioopt.scenario.tables import File

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cell.toml"
CPU = Scenario.load("feel-cpu").to_dict()
GONE = type("Gone", (), {"__repr__": lambda self: "gone"})()


def changed(base=CPU, **changes):
    """Return a configuration with ``table__key=value`` replaced, added or (GONE) taken out."""
    config = copy.deepcopy(base)
    for path, value in changes.items():
        *tables, key = path.split("__")
        table = config
        for name in tables:
            table = table[name]
        if value is GONE:
            del table[key]
        else:
            table[key] = value
    return config


LAW = r"expected a number, a list with one value per device, \{ repeat = \[\.\.\.\] \} or .*, got "
MISTAKES = [
    # keys
    ({"cell__radus_m": 3.0}, r"cell\.radus_m: unknown key; did you mean radius_m\?"),
    ({"radio__colour": 1}, r"radio\.colour: unknown key; known: bandwidth_hz, noise_psd_dbm_per_hz, .*"),
    ({"feal": {}}, r"feal: unknown key; did you mean feel\?"),
    ({"feel__seconds_per_sample": 1.0}, r"feel\.seconds_per_sample: unknown key; did you mean cycles_per_.*"),
    ({"radio": GONE}, r"radio\.bandwidth_hz: missing"),
    ({"radio__bandwidth_hz": GONE}, r"radio\.bandwidth_hz: missing"),
    ({"devices__count": GONE}, r"devices\.count: missing"),
    ({"feel__cycles_per_sample": GONE}, r"feel\.cycles_per_sample: missing"),
    ({"feel__compute": GONE}, r"feel\.compute: missing"),
    # types
    ({"cell": 3}, "cell: expected a table, got 3"),
    ({"feel": "cpu"}, "feel: expected a table, got 'cpu'"),
    ({"name": 3}, "name: expected text, got 3"),
    ({"cell__radius_m": "far"}, r"cell\.radius_m: expected a number, got 'far'"),
    ({"cell__radius_m": True}, r"cell\.radius_m: expected a number, got True"),
    ({"cell__radius_m": [200.0]}, r"cell\.radius_m: expected a number, got \[200\.0\]"),
    ({"devices__count": 12.0}, r"devices\.count: expected a whole number >= 1, got 12\.0"),
    ({"devices__count": True}, r"devices\.count: expected a whole number >= 1, got True"),
    # ranges
    ({"devices__count": 0}, r"devices\.count: expected >= 1, got 0"),
    ({"cell__radius_m": -1}, r"cell\.radius_m: expected > 0, got -1"),
    ({"cell__radius_m": float("nan")}, r"cell\.radius_m: expected a finite number > 0, got nan"),
    ({"cell__radius_m": 10**400}, r"cell\.radius_m: expected a finite number > 0, got 1000+\.\.\."),
    ({"cell__min_distance_m": 200}, r"cell\.min_distance_m: expected less than radius_m = 200, got 200"),
    ({"cell__fading": "slow"}, r"cell\.fading: expected 'ergodic', 'block' or 'none', got 'slow'"),
    ({"feel__compute": "tpu"}, r"feel\.compute: expected 'cpu' or 'gpu', got 'tpu'"),
    ({"radio__noise_figure_db": -1.0}, r"radio\.noise_figure_db: expected between 0 and 100 dB, got -1\.0"),
    ({"radio__downlink_power_dbm": 5e3}, r"radio\.downlink_power_dbm: expected between -60 and 80 dBm, .*"),
    # units
    ({"radio__bandwidth_hz": 20}, r"radio\.bandwidth_hz: expected 1e3 to 1e12 Hz, got 20; is it in MHz\?"),
    ({"cell__radius_m": 2e5}, r"cell\.radius_m: expected 1 to 1e5 m, got 200000\.0; is it in mm or cm\?"),
    (
        {"devices__cpu_frequency_hz": 1.4},
        r"devices\.cpu_frequency_hz: expected 1e6 to 1e12 Hz, got 1\.4; is it .*",
    ),
    (
        {"devices__cpu_frequency_hz": {"choice": [1e9, 2.1]}},
        r"devices\.cpu_frequency_hz: expected 1e6 to 1e12 Hz, got 2\.1 at index 1; is it in GHz or MHz\?",
    ),
    (
        {"devices__transmit_power_dbm": 200},
        r"devices\.transmit_power_dbm: expected between -60 and 80 dBm, .*",
    ),
    ({"feel__max_batchsize": 0.5}, r"feel\.max_batchsize: expected >= 1, got 0\.5"),
    # path loss
    ({"cell__path_loss": "free"}, r"cell\.path_loss: expected 'tr36942_urban_macro_2ghz', .*, got 'free'"),
    ({"cell__path_loss": {"exponant": 3.0}}, r"cell\.path_loss: expected .*, got \{'exponant': 3\.0\}"),
    (
        {"cell__path_loss": {"exponent": -3.0}},
        r"cell\.path_loss: PowerLaw\.exponent: expected >= 0, got -3\.0",
    ),
    (
        {"cell__path_loss": {"exponent": "3"}},
        r"cell\.path_loss: PowerLaw\.exponent: expected real numbers, .*",
    ),
    # laws
    ({"feel__cycles_per_sample": "many"}, rf"feel\.cycles_per_sample: {LAW}'many'"),
    ({"feel__cycles_per_sample": {"unifrom": [1, 2]}}, rf"feel\.cycles_per_sample: {LAW}\{{'unifrom.*"),
    ({"feel__cycles_per_sample": {"list": [1.0] * 12}}, rf"feel\.cycles_per_sample: {LAW}\{{'list.*"),
    ({"feel__cycles_per_sample": {"repeat": []}}, rf"feel\.cycles_per_sample: {LAW}\{{'repeat': \[\]\}}"),
    ({"feel__cycles_per_sample": {"repeat": 3}}, rf"feel\.cycles_per_sample: {LAW}\{{'repeat': 3\}}"),
    ({"feel__cycles_per_sample": []}, rf"feel\.cycles_per_sample: {LAW}\[\]"),
    (
        {"feel__cycles_per_sample": {"repeat": [1], "choice": [2]}},
        rf"feel\.cycles_per_sample: {LAW}\{{'repeat': \[1\], 'choice': \[2\]\}}",
    ),
    (
        {"feel__cycles_per_sample": {"uniform": [2, 1]}},
        r"feel\.cycles_per_sample: expected \{ uniform = \[low, high\] \} with low <= high, got \[2, 1\]",
    ),
    ({"feel__cycles_per_sample": {"uniform": [1, 2, 3]}}, r"feel\.cycles_per_sample: .* got \[1, 2, 3\]"),
    ({"feel__cycles_per_sample": {"choice": [1, -2]}}, r"feel\.cycles_.*: expected > 0, got -2 at index 1"),
    ({"feel__cycles_per_sample": [1, "2"]}, r"feel\.cycles_.*: expected a number, got '2' at index 1"),
    (
        {"devices__cpu_frequency_hz": [1e9, 2e9]},
        r"devices\.cpu_frequency_hz: expected 12 values, one per device \(devices\.count\), got 2; "
        r"\{ repeat = \[\.\.\.\] \} cycles a list over the devices",
    ),
    ({"feel__update_cycles": [1.0]}, r"feel\.update_cycles: expected 12 values, .*, got 1; .*"),
    (
        {"feel__payload_bits": [1e6] * 12},
        r"feel\.payload_bits: expected a number, \{ choice.*\} or \{ uniform.*\}, got \[1000000\.0, .*\.\.\.",
    ),
    (
        {"feel__payload_bits": {"repeat": [1e6]}},
        r"feel\.payload_bits: expected a number, .*, got \{'repeat.*",
    ),
    # placement
    (
        {"devices__distance_m": 100.0},
        r"devices\.distance_m: give this or cell\.radius_m to place devices in, not both",
    ),
    (
        {"cell__radius_m": GONE},
        r"cell\.radius_m: missing, and so are devices\.distance_m and devices\.channel_gain: give one of them",
    ),
    (
        {"devices__channel_gain": 1e-9},
        r"devices\.channel_gain: give this or cell\.radius_m to place devices in, not both",
    ),
    # links
    (
        {"devices__transmit_power_dbm": GONE},
        r"devices\.transmit_power_dbm: missing, and so is devices\.uplink_rate_bps: the power of a .*",
    ),
    (
        {"devices__transmit_power_w": 0.6},
        r"devices\.transmit_power_w: give this or transmit_power_dbm, not both",
    ),
    (
        {"devices__uplink_rate_bps": 1e6, "cell__fading": "block"},
        r'devices\.uplink_rate_bps: a rate that is given does not fade: leave out fading = "block"',
    ),
    # noise
    (
        {"radio": {"noise_power_dbm": -104.0}},
        r"radio\.noise_power_dbm: this total is over bandwidth_hz: give both",
    ),
    (
        {"radio__noise_psd_dbm_per_hz": -104.0},
        r"radio\.noise_psd_dbm_per_hz: expected a density between -200 and -120 dBm/Hz \(thermal noise is "
        r"-174\), got -104; a total over the bandwidth is noise_power_dbm",
    ),
    (
        {"radio__noise_psd_dbm_per_hz": -204.0},
        r"radio\.noise_psd_dbm_per_hz: .*got -204; is it in dBW/Hz\?.*",
    ),
    (
        {"radio__noise_power_dbm": -104.0},
        r"radio\.noise_power_dbm: give this total over the bandwidth or the density noise_psd_.*, not both",
    ),
    (
        {"radio__noise_psd_dbm_per_hz": GONE, "radio__noise_power_dbm": -174.0},
        r"radio\.noise_power_dbm: expected the total over the bandwidth, got -174 dBm, only -244\.0 dBm/Hz "
        r"\(thermal noise is -174\); a density is noise_psd_dbm_per_hz",
    ),
    (
        {
            "radio__noise_psd_dbm_per_hz": GONE,
            "radio__noise_power_dbm": -97.0,
            "radio__noise_figure_db": 7.0,
        },
        r"radio\.noise_figure_db: belongs to noise_psd_dbm_per_hz; noise_power_dbm includes it",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=lambda value: str(value)[:60])
def test_one_line_for_a_mistake(changes, message):
    with pytest.raises(ProblemError, match=f"^{message}$"):
        Scenario.from_dict(changed(**changes))


def test_a_line_for_each_mistake_of_a_file(tmp_path):
    path = tmp_path / "cell.toml"
    text = (
        EXAMPLE.read_text()
        .replace("radius_m = 500.0", "radius_m = -500.0")
        .replace("bandwidth_hz", "bandwith_hz")
    )
    path.write_text(text)
    with pytest.raises(ProblemError) as caught:
        Scenario.load(path)
    assert str(caught.value).splitlines() == [
        f"{path}: cell.radius_m: expected > 0, got -500.0",
        f"{path}: radio.bandwith_hz: unknown key; did you mean bandwidth_hz?",
    ]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*KINDS, "exponent", "gain_at_1m", "compute", "x"]), inner, max_size=2
        )
    ),
    max_leaves=5,
)
PATHS = [
    table if not isinstance(keys, dict) else f"{table}__{key}" for table, keys in CPU.items() for key in keys
]


@given(st.dictionaries(st.sampled_from([*PATHS, "cell__x", "x"]), VALUES, min_size=1, max_size=3))
def test_whatever_is_wrong_is_said_in_our_words(changes):
    try:
        scenario = Scenario.from_dict(changed(**{k: v for k, v in changes.items() if k != "cell"}))
    except ProblemError as error:
        for line in str(error).splitlines():
            assert re.match(r"(cell|radio|devices|feel|name|x)\b", line) or ", got " in line
            assert not re.search("pydantic|validation error|Input should|type=|function", line)
    else:
        assert Scenario.from_dict(scenario.to_dict()) == scenario


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"[cell]\nradius_m == 3\n", "line 2, column 11"),
        (b"[cell]\nradius_m = 3\nradius_m = 4\n", "line 3, column 13"),
        (b"[cell", "line 1, column 6"),
        (b"a = 1\nb = [1,\n", "line 3, column 1"),
        (b"# caf\xe9\n", "line 1, column 6"),
        (b"a = 1\n\n\x00", "line 3, column 1"),
    ],
)
def test_unreadable_toml_is_located(tmp_path, content, place):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ProblemError, match=rf"^{re.escape(str(path))}(, |: ){place}: not TOML: ."):
        Scenario.load(path)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    path = tmp_path / "cell.toml"
    path.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.read_bytes())
    assert Scenario.load(path) == Scenario.load(EXAMPLE)


def test_names_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ProblemError,
        match=r"^no scenario 'feel-cpus' comes with radioopt; did you mean feel-cpu\? For a file",
    ):
        Scenario.load("feel-cpus")
    with pytest.raises(
        ProblemError, match=r"feel-cpu, feel-gpu\b.*\. For .* give a path, such as \./mine\.toml$"
    ):
        Scenario.load("mine")
    for missing in ("feel-cpu.toml", "./feel-cpu", Path("feel-cpu")):
        with pytest.raises(FileNotFoundError):
            Scenario.load(missing)
    (tmp_path / "feel-cpu").mkdir()  # does not hide the name
    assert Scenario.load("feel-cpu").devices.count == 12
    (tmp_path / "mine").write_text(EXAMPLE.read_text())
    assert Scenario.load("./mine") == Scenario.load(Path("mine")) == Scenario.load(EXAMPLE)
    with pytest.raises(ProblemError, match="expected tables by name, got list"):
        Scenario.from_dict([])


def test_the_example_shows_every_key():
    text = EXAMPLE.read_text()
    scenario = Scenario.load(EXAMPLE)
    for key in (*File.model_fields, *scenario.problems):
        assert key == "name" or f"[{key}]" in text
    for table in (
        *(field.annotation for field in File.model_fields.values()),
        *map(type, scenario.problems.values()),
    ):
        for key in getattr(table, "model_fields", ()):
            assert re.search(rf"^(# |.*; or the total instead: |.*# or )?{key}\b", text, re.MULTILINE), key


def test_every_problem_comes_with_a_scenario():
    shown = {family for name in Scenario.examples() for family in Scenario.load(name).problems}
    assert shown >= set(File.known_keys()) - set(File.model_fields)


def test_defaults():
    config = changed(cell={"radius_m": 100.0}, radio={"bandwidth_hz": 1e6}, name=GONE)
    del config["feel"]
    scenario = Scenario.from_dict(config)
    assert scenario.to_dict()["radio"] == {
        "bandwidth_hz": 1e6,
        "noise_psd_dbm_per_hz": -174.0,
        "noise_figure_db": 0.0,
    }
    assert scenario.cell.fading == "ergodic"
    assert scenario.families == ()
    assert scenario.name == ""


@pytest.mark.parametrize("source", [*Scenario.examples(), EXAMPLE], ids=str)
def test_to_dict_and_back(source):
    scenario = Scenario.load(source)
    again = Scenario.from_dict(scenario.to_dict())
    assert again == scenario
    assert again.to_dict() == scenario.to_dict()
    assert again.digest() == scenario.digest()


def test_the_digest_is_of_the_content():
    digest = Scenario.from_dict(CPU).digest()
    assert re.fullmatch("[0-9a-f]{64}", digest)
    reordered = dict(
        reversed([(k, dict(reversed(v.items())) if isinstance(v, dict) else v) for k, v in CPU.items()])
    )
    assert Scenario.from_dict(reordered).digest() == digest
    assert Scenario.from_dict(changed(name="another")).digest() == digest
    assert Scenario.from_dict(changed(radio__bandwidth_hz=10_000_000)).digest() == digest
    assert Scenario.from_dict(changed(cell__fading=GONE)).digest() == digest  # it is the default
    others = [
        changed(radio__bandwidth_hz=10_000_001),
        changed(cell__fading="block"),
        changed(devices__cpu_frequency_hz={"choice": CPU["devices"]["cpu_frequency_hz"]["repeat"]}),
        changed(devices__energy_coefficient=GONE),
        changed(feel__loss_decay=2.0),
        changed(feel=GONE),
    ]
    assert len({digest, *(Scenario.from_dict(other).digest() for other in others)}) == 1 + len(others)


def test_comments_and_spelling_of_numbers_do_not_matter(tmp_path):
    path = tmp_path / "a.toml"
    text = EXAMPLE.read_text()
    path.write_text(re.sub(r"\s+#.*", "", text).replace("10e6", "10_000_000"))
    assert tomllib.loads(path.read_text()) == tomllib.loads(text)
    assert Scenario.load(path).digest() == Scenario.load(EXAMPLE).digest()
