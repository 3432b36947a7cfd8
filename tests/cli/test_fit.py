"""radioopt fit: points measured or read, the curve, and what a scenario makes of it."""

import json

import pytest

from radioopt import Scenario
from radioopt.cli import main
from radioopt.fimi import LearningCurve

QUICK = ["fit", "learning-curve", "--sizes", "20,60,200", "--seeds", "1", "--rounds", "5"]
CALIBRATED = LearningCurve(
    4.671, 0.3, 0.05
)  # of the scenario fimi, for 25 times as many samples as measured here
POINTS = "samples,error\n" + "".join(f"{n},{CALIBRATED.error(25.0 * n)}\n" for n in (20, 50, 100, 200, 400))


@pytest.fixture
def points(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(POINTS)
    return str(path)


def test_points_are_measured_and_may_be_read_again(tmp_path, capsys):
    assert main([*QUICK, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert [point["samples"] for point in measured["points"]] == [20, 60, 200]
    assert main([*QUICK, "--csv"]) == 0
    again = tmp_path / "measured.csv"
    again.write_text(capsys.readouterr().out)
    assert main(["fit", "learning-curve", "--points", str(again), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["set"] == pytest.approx(measured["set"])


def test_the_curve_goes_into_a_scenario_by_one_option(points, tmp_path, capsys):
    toml, picture = tmp_path / "curve.toml", tmp_path / "curve.png"
    scaled = ["--scale", "25", "--save", str(toml), "--plot", str(picture)]
    assert main(["fit", "learning-curve", "--points", points, *scaled]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"error = {4.671 * 25**-0.3:.6g} samples^-0.3 - 0.05\n")
    assert told.endswith(f"saved {toml}\nsaved {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")

    assert main(["solve", "fimi", "--seed", "1", "--set", str(toml), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["objective"] == pytest.approx(
        Scenario.load("fimi").draw(seed=1).problem("fimi").solve().objective, rel=1e-6
    )


def test_of_two_settings_the_later_counts(points, tmp_path, capsys):
    toml = tmp_path / "curve.toml"
    assert main(["fit", "learning-curve", "--points", points, "--scale", "25", "--save", str(toml)]) == 0
    energy = []
    for given in ((str(toml), "fimi.curve_alpha=4.5"), ("fimi.curve_alpha=4.5", str(toml))):
        capsys.readouterr()
        assert main(["solve", "fimi", *(part for one in given for part in ("--set", one)), "--json"]) == 0
        energy.append(json.loads(capsys.readouterr().out)["objective"])
    assert energy[0] < energy[1]  # a lower error needs fewer samples


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--points", "POINTS", "--sizes", "3,4,5"], "--sizes: belongs to a measurement"),
        (["--points", "POINTS", "--option", "learning_rate=1"], "--option: belongs to a measurement"),
        (["--points", "POINTS", "--scale", "0"], "CurveFit.scenario_keys.scale: expected > 0, got 0"),
        (["--points", "no.csv"], "no such file: no.csv"),
        (["--sizes", "few"], "--sizes: expected whole numbers with commas between, got 'few'"),
        (["--sizes", "20,60"], "sizes: expected at least 3 different numbers of samples"),
        (["--option", "rounds=3"], "--option rounds: has a flag of its own: --rounds"),
        (["--save", "curve.json"], "--save: expected a name that ends in .toml, got curve.json"),
        (["--plot", "curve.gif"], "--plot: expected a name that ends in .png or .pdf or .svg, got curve.gif"),
    ],
)
def test_mistakes_are_named(points, capsys, arguments, message):
    told = [points if part == "POINTS" else part for part in arguments]
    assert main(["fit", "learning-curve", *told]) == 2
    assert message in capsys.readouterr().err


def test_a_file_of_keys_that_is_not_toml_is_named(points, tmp_path, capsys):
    bad = tmp_path / "bad.toml"
    bad.write_text("curve_alpha: 3")
    assert main(["solve", "fimi", "--set", str(bad)]) == 2
    assert f"--set {bad}: not TOML" in capsys.readouterr().err
    bad.write_text("[fimi]\ncurve_alhpa = 3\n")
    assert main(["solve", "fimi", "--set", str(bad)]) == 2
    assert "did you mean curve_alpha" in capsys.readouterr().err
