"""Whole numbers that no float64 holds, and such as Python does not even write, are refused by name."""

import json

import pytest

import radioopt as ro
from radioopt import OptionError, ProblemError, Scenario, SolveOptions
from radioopt.dtkd import ModelCatalogue

HUGE, UNWRITABLE = 10**400, 10**5000
BOTH = pytest.mark.parametrize("number", [HUGE, UNWRITABLE], ids=["400 digits", "5000 digits"])


@BOTH
def test_in_a_field(number):
    cell = Scenario.load("feel-cpu").draw(seed=1).problem("feel")
    with pytest.raises(
        ProblemError, match=r"max_batchsize: expected real numbers, got (1000|int with thousands)"
    ):
        cell.replace(max_batchsize=number)
    with pytest.raises(ProblemError, match="uplink_rate_bps: expected real numbers"):
        cell.replace(uplink_rate_bps=[number] * 12)


@BOTH
@pytest.mark.parametrize("column", ["gigacycles", "own_accuracy_percent"])
def test_in_a_catalogue(number, column):
    table = {
        "name": ["a"],
        "gigacycles": [6.8],
        "parameter_mbit": [127],
        "own_accuracy_percent": [86.5],
        "average_accuracy": [0.2],
    }
    with pytest.raises(ProblemError, match=rf"row 0 \(a\), column {column}: expected a number, got"):
        ModelCatalogue.read(table | {column: [number]})
    with pytest.raises(ProblemError, match=r"ModelCatalogue\.cycles: expected real numbers, got .*model 'a'"):
        ModelCatalogue(("a",), [number], [1.0], [0.5], [0.5])


@BOTH
@pytest.mark.parametrize("name", ["gap_tol", "feasibility_tol", "max_iterations"])
def test_in_options(number, name):
    with pytest.raises(OptionError, match=rf"SolveOptions\.{name}: expected .*, got"):
        SolveOptions(**{name: number})


@BOTH
@pytest.mark.parametrize(
    ("family", "method", "option"),
    [
        ("d2d", "local-search", "starts"),
        ("d2d", "enumerate", "max_graphs"),
        ("dtkd", "exact", "node_limit"),
        ("dtkd", "q-learning", "episodes"),
        ("fimi", "cross-entropy", "draws"),
        ("fimi", "cross-entropy", "smoothing"),
    ],
)
def test_in_options_of_a_method(number, family, method, option):
    problem = Scenario.load(family).draw(seed=1).problem(family)
    with pytest.raises(
        OptionError, match=f"'{method}': option {option}: expected .*(below 2|within float64)"
    ):
        problem.solve(method, **{option: number})


@BOTH
def test_in_a_scenario_and_its_draws(number, tmp_path):
    with pytest.raises(ProblemError, match=r"radio\.bandwidth_hz: expected a finite number > 0, got"):
        Scenario.load("feel-cpu", {"radio.bandwidth_hz": number})
    with pytest.raises(ProblemError, match=r"Scenario\.draw\.size: expected what fits into memory, got"):
        Scenario.load("feel-cpu").draw(seed=1, size=(3, number))
    with pytest.raises(ProblemError, match=r"Scenario\.draw\.seed: expected a whole number >= 0.*got"):
        Scenario.load("feel-cpu").draw(seed=-number)


@pytest.mark.parametrize("text", ["1" + "0" * 5000, "[" * 100_000], ids=["digits", "brackets"])
def test_in_a_file(text, tmp_path):
    path = tmp_path / "cell.toml"
    path.write_text(f"[radio]\nbandwidth_hz = {text}\n")
    with pytest.raises(ProblemError, match=r"cell\.toml: not TOML that can be read: .*(digits|recursion)"):
        Scenario.load(path)
    saved = Scenario.load("feel-cpu").draw(seed=1).problem("feel").save(tmp_path / "cell.json")
    header = json.loads(saved.read_text())
    saved.write_text(json.dumps(header | {"family": 0}).replace('"family": 0', f'"family": {text}'))
    with pytest.raises(ProblemError, match=r"cell\.json: not a file saved by radioopt"):
        ro.load(saved)


@pytest.mark.parametrize("text", ["1" + "0" * 5000, "[" * 100_000], ids=["digits", "brackets"])
def test_on_the_command_line(text, capsys):
    from radioopt.cli import main

    assert main(["solve", "feel-cpu", "--set", f"bandwidth_hz={text}"]) == 2
    assert "--set bandwidth_hz: expected a number" in capsys.readouterr().err
    assert main(["sweep", "feel-cpu", "--vary", f"bandwidth_hz=1e6,{text}"]) == 2
    assert "--vary bandwidth_hz: expected KEY=LOW:HIGH:COUNT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "key"), [("d2d-clusters", "kinds"), ("d2d-clusters", "dimensions"), ("d2d", "num_classes")]
)
@pytest.mark.parametrize("count", [10**14, 10**19])
def test_counts_that_no_memory_holds_are_refused(name, key, count):
    devices = Scenario.load(name, {f"{name}.{key}": count}).draw(seed=1)
    with pytest.raises(ProblemError, match=rf"\[{name}\]: its counts ask for more memory than there is: "):
        devices.problem(name)
