"""Malformed catalogues and problems are refused at construction, by field, user or model, and value."""

import numpy as np
import pandas as pd
import pytest

from radioopt import OptionError, ProblemError, Status
from radioopt.dtkd import DistillationProblem, ModelCatalogue
from validation.dtkd import zoo

TABLE = "name,gigacycles,parameter_mbit,own_accuracy_percent,average_accuracy_percent\n"
GOOD = TABLE + "small,6.83,126.88,86.53,23.6\nlarge,18.96,188.28,90.14,28.73\n"


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "models.csv"
        path.write_text(text)
        return path

    return write


def test_a_catalogue_reads_tables_in_their_units(csv):
    from_csv = ModelCatalogue.from_csv(csv(GOOD))
    frame = pd.DataFrame(
        {"cycles": [6.83e9, 18.96e9], "parameter_kbit": [126_880.0, 188_280.0],
         "own_accuracy": [0.8653, 0.9014], "average_accuracy": [0.236, 0.2873]}, index=["small", "large"],
    )  # fmt: skip
    from_frame = ModelCatalogue.from_frame(frame)
    assert from_csv.names == from_frame.names == ("small", "large")
    for field in ("cycles", "parameter_bits", "own_accuracy", "average_accuracy"):
        np.testing.assert_allclose(getattr(from_csv, field), getattr(from_frame, field), rtol=1e-14)
    assert ModelCatalogue.read(from_csv.to_dict()) == from_csv
    assert from_csv.to_frame().loc["large", "cycles"] == pytest.approx(18.96e9)
    assert "small" in repr(from_csv)
    assert not from_csv.cycles.flags.writeable
    for given in (csv(GOOD), frame, from_csv.to_dict()):
        assert zoo.draw(2, catalogue=given).solve().status.ok


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("gigacycles", "cycle"), r"models\.csv: .* column cycle: unknown; expected name, cycles, mega"),
        (GOOD.replace("6.83", "6,83"), r"models\.csv: not a CSV file: .*Expected 5 fields in line 2, saw 6"),
        (GOOD.replace("6.83", "fast"), r"row 0 \(small\), column gigacycles: expected a number, got 'fast'"),
        (GOOD.replace("18.96", ""), r"row 1 \(large\), column gigacycles: expected a number, got ''"),
        (GOOD.replace("18.96", "-1"), r"row 1 \(large\), column gigacycles: expected >= 0, got '-1'"),
        (GOOD.replace("90.14", "inf"), r"row 1 \(large\), column own_accuracy_percent: .* \[0, 1\], got 'inf'"),
        (
            GOOD.replace("own_accuracy_percent", "own_accuracy"),
            r"row 0 \(small\), column own_accuracy: expected in \[0, 1\], got '86\.53'; percentages belong in a column",
        ),
        (
            "\n".join(line.rpartition(",")[0] for line in GOOD.splitlines()),
            r"column average_accuracy or average_accuracy_percent is missing",
        ),
        (GOOD.replace("large", "small"), r"names: 'small' is given twice, at index 0 and 1"),
        (GOOD.replace("large", ""), r"names: expected a name, got '' at index 1"),
        (TABLE, r"names: expected at least one model, got none"),
        ("", r"models\.csv: not a CSV file"),
    ],
)  # fmt: skip
def test_bad_tables_name_row_and_column(csv, text, message):
    with pytest.raises(ProblemError, match=message):
        ModelCatalogue.from_csv(csv(text))


def test_two_units_of_one_quantity():
    frame = pd.DataFrame({"name": ["a"], "cycles": [1.0], "gigacycles": [1.0]})
    with pytest.raises(ProblemError, match="columns cycles and gigacycles both give cycles: keep one"):
        ModelCatalogue.from_frame(frame)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cycles": [1e9]}, r"cycles: expected 2 values, one per model \(a, b\), got shape \(1,\)"),
        (
            {"cycles": [1e9, np.nan]},
            r"cycles: expected a finite number >= 0, got nan at index 1 .*, model 'b'",
        ),
        (
            {"own_accuracy": [0.9, 90.0]},
            r"own_accuracy: .* got 90\.0 at index 1 .*, model 'b'; is it in per cent",
        ),
        ({"average_accuracy": [-0.1, 0.2]}, r"average_accuracy: .* got -0\.1 at index 0 .*, model 'a'$"),
        ({"names": ["a", "a"]}, r"names: 'a' is given twice"),
        ({"names": ["a", 2]}, r"names: expected a name, got 2 at index 1"),
        ({"parameter_bits": ["x", "y"]}, r"parameter_bits: expected real numbers"),
    ],
)
def test_bad_catalogues_name_the_model(change, message):
    good = {
        "names": ["a", "b"], "cycles": [1e9, 2e9], "parameter_bits": [1e6, 2e6],
        "own_accuracy": [0.8, 0.9], "average_accuracy": [0.2, 0.3],
    }  # fmt: skip
    ModelCatalogue(**good)
    with pytest.raises(ProblemError, match=message):
        ModelCatalogue(**good | change)


@pytest.mark.parametrize("given", [None, 3, [1, 2], {"names": ["a"], "cycles": 1e9}])
def test_no_catalogue_at_all(given):
    with pytest.raises(
        ProblemError, match=r"ModelCatalogue: expected (a ModelCatalogue, a DataFrame|lists of the same)"
    ):
        zoo.draw(2, catalogue=given)


def test_models_by_name():
    assert zoo.catalogue().index("VGG-8") == 0
    with pytest.raises(ProblemError, match="no model 'VGG', choose from VGG-8, ResNet-8x4"):
        zoo.catalogue().index("VGG")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_gain": [1e-8, np.nan, 1e-8]}, r"channel_gain: expected a finite number .* nan at index 1 \(1 of 3"),
        ({"channel_gain": [1e-8, 1e-8, 1e-320]}, r"channel_gain: expected a signal that does not vanish .* at index 2"),
        ({"local_cpu_frequency_hz": 0.0}, r"local_cpu_frequency_hz: expected > 0, got 0.0$"),
        ({"bandwidth_hz": -1.0}, r"bandwidth_hz: expected > 0, got -1.0$"),
        ({"server_cpu_frequency_hz": 0.0}, r"server_cpu_frequency_hz: expected > 0, got 0.0$"),
        ({"delay_weight_per_s": 0.0}, r"delay_weight_per_s: expected > 0, got 0.0$"),
        ({"label_bits": np.inf}, r"label_bits: expected a finite number >= 0, got inf$"),
        ({"max_delay_s": [1.0, 0.0, 1.0]}, r"max_delay_s: expected > 0, or inf for none, got 0.0 at index 1"),
        ({"noise_power_w": 0.0}, r"noise_power_w: expected one of the two > 0: noise_power_w, or noise_psd_w_per_hz"),
        ({"noise_psd_w_per_hz": 1e-19}, r"noise_power_w: expected one of the two > 0"),
        (
            {"noise_power_w": [1e-12, 2e-12], "noise_psd_w_per_hz": [0.0, 1e-19]},
            r"noise_power_w: .* noise_psd_w_per_hz, which is 1e-19, got 2e-12 at index 1 \(1 of 2 invalid\)$",
        ),
        (
            {"min_bandwidth_hz": 2e6, "max_bandwidth_hz": [3e6, 1e6, 3e6]},
            r"min_bandwidth_hz: expected <= max_bandwidth_hz, got 2000000.0 at index 1",
        ),
        (
            {"min_server_cpu_frequency_hz": 5e9},
            r"server_cpu_frequency_hz: expected more than 1\.5e\+10, the sum of min_server_cpu_frequency_hz, got 7",
        ),
        ({"min_bandwidth_hz": [7.5e6, 0, 0]}, r"bandwidth_hz: expected more than 7500000, the sum of min_bandwidth_hz"),
        ({"fixed_model": [0, 4, 0]}, r"fixed_model: expected a whole number from -1 \(free\) to 3, got 4.0 at index 1"),
        ({"fixed_model": [0, 0.5, 0]}, r"fixed_model: expected a whole number .* got 0.5 at index 1"),
        ({"fixed_place": [0, 1, 0.5]}, r"fixed_place: expected a whole number .* to 1, got 0.5 at index 2"),
        ({"fixed_place": [0, 1, 2]}, r"fixed_place: expected 1 \(local\), 0 \(server\) or -1 \(free\), got 2.0"),
        ({"channel_gain": [[1e-8] * 3] * 2, "fixed_model": [1, 2]}, r"fixed_model: expected 3 values along the device"),
    ],
)  # fmt: skip
def test_bad_problems_name_field_user_and_value(changes, message):
    with pytest.raises(ProblemError, match=rf"DistillationProblem\.{message}"):
        zoo.draw(3).replace(**changes)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"model": "VGG-8"}, r"fixed_model: expected real numbers, got 'VGG-8'"),
        ({"model": [True, False, True]}, r"fixed_model: expected real numbers, got \[True"),
        ({"trains_locally": ["yes", "no", "no"]}, r"fixed_place: expected real numbers, got "),
        ({"trains_locally": [0, 1, 2]}, r"fixed_place: expected 1 \(local\), 0 .* got 2.0 at index 2"),
    ],
)
def test_bad_choices_are_named(choices, message):
    with pytest.raises(ProblemError, match=rf"DistillationProblem\.{message}"):
        zoo.draw(3).fix(**choices)


def test_missing_and_unknown_fields():
    with pytest.raises(TypeError, match="catalogue"):
        DistillationProblem(channel_gain=1e-8)
    with pytest.raises(ProblemError, match="no field 'gain', choose from"):
        zoo.draw(3).replace(gain=1.0)


def test_options_are_checked():
    problem = zoo.draw(2)
    with pytest.raises(OptionError, match="exact: node_limit: expected at least 1, got 0"):
        problem.solve(node_limit=0)
    with pytest.raises(OptionError, match=r"option node_limit: expected a whole number, got 1\.5"):
        problem.solve(node_limit=1.5)
    for name in ("episodes", "levels"):
        with pytest.raises(OptionError, match=f"train: {name}: expected at least 1, got 0"):
            problem.solve("q-learning", **{name: 0})
    with pytest.raises(OptionError, match="q-learning-only: shares: expected at least 1, got 0"):
        problem.solve("q-learning-only", shares=0)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_model_without_a_name_is_not_called_nan(missing):
    columns = {
        "name": ["small", missing],
        "cycles": [7e9, 19e9],
        "parameter_bits": [4e7, 2e8],
        "own_accuracy": [0.8, 0.9],
        "average_accuracy": [0.2, 0.3],
    }
    with pytest.raises(ProblemError, match=r"row 1: expected the name of a model, got (None|nan)"):
        ModelCatalogue.read(columns)


def test_fractions_in_a_column_of_per_cent():
    columns = {
        "name": ["small", "large"],
        "cycles": [7e9, 19e9],
        "parameter_bits": [4e7, 2e8],
        "own_accuracy_percent": [0.865, 0.9],
        "average_accuracy_percent": [23.0, 25.0],
    }
    with pytest.raises(
        ProblemError, match=r"column own_accuracy_percent: expected per cent, got 0\.865, 0\.9;"
    ):
        ModelCatalogue.read(columns)


def test_numbers_beyond_the_digits_have_no_answer():
    plain = zoo.draw(3)
    beyond = plain.replace(teacher_cycles=1e-310, label_bits=1e200)
    for method in ("exact", "fl-min", "fl-max"):
        assert beyond.solve(method, throw=False).status is Status.FAILED
    both = DistillationProblem(
        **{name: np.stack([getattr(plain, name), getattr(beyond, name)]) for name in plain.quantities},
        catalogue=plain.catalogue,
    )
    assert both.is_beyond.tolist() == [False, True]
    solution = both.solve(throw=False)
    assert solution.status.tolist() == [Status.OPTIMAL, Status.FAILED]
    assert solution.model[1].tolist() == [-1, -1, -1]
    assert solution[0] == plain.solve()
