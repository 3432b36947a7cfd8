"""Keys of scenarios as a table, and copies of shipped ones with a comment on each."""

import io
import re
import tomllib

import pandas as pd
import pytest

from radioopt import OptionError, ProblemError, Scenario
from radioopt.cli import main
from radioopt.scenario.keys import commented, scenario_keys
from radioopt.scenario.scenario import shipped

TABLES = ("cell", "radio", "devices", "feel", "fimi", "dtkd", "d2d", "d2d-clusters", "d2d-sparse", "mix2fld")


@pytest.mark.parametrize("name", Scenario.examples())
def test_a_copy_says_the_same_and_has_a_comment_on_every_key(name):
    text = commented(shipped(name))
    assert tomllib.loads(text) == tomllib.loads(shipped(name))
    table = ""
    for line in text.splitlines():
        table = line if line.startswith("[") else table
        if re.match(r"\w+\s*=", line) and table and "catalogue" not in table:
            assert "#" in line, line


@pytest.mark.parametrize("table", TABLES)
def test_every_key_has_domain_default_and_meaning(table):
    keys = scenario_keys(table)
    assert (keys[["domain", "default", "meaning"]] != "").all(axis=None)
    for name in keys.index:
        if name.endswith(("_s", "_hz", "_m", "_w", "_bits", "_dbm")):
            assert keys.loc[name, "unit"] not in ("", "1"), name


def test_what_the_table_says_of_some_keys():
    keys = scenario_keys("cell", "feel", "fimi")
    assert keys.loc["feel.max_batchsize"].tolist() == [
        "samples",
        ">= 1",
        "required",
        "device",
        "largest batch",
    ]
    assert keys.loc["fimi.max_synthetic_samples", "default"] == "none"
    assert keys.loc["feel.compute", "domain"] == "one of cpu, gpu"
    assert keys.loc["feel.update_time_s", "meaning"] == 'local model update (compute = "gpu")'
    assert keys.loc["cell.fading", ["domain", "default"]].tolist() == [
        "one of ergodic, block, none",
        "ergodic",
    ]
    with pytest.raises(OptionError, match=r"no table \[fimmi\] in a scenario; did you mean fimi\?"):
        scenario_keys("fimmi")


def test_the_command(capsys, tmp_path):
    assert main(["scenario", "feel-cpu"]) == 0
    file = tmp_path / "mine.toml"
    file.write_text(capsys.readouterr().out)
    assert Scenario.load(file) == Scenario.load("feel-cpu")
    assert main(["scenario", "--keys", "fimi", "--csv"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="key", keep_default_na=False)
    assert table.equals(scenario_keys("fimi"))
    assert main(["scenario"]) == 0
    assert "feel-gpu" in capsys.readouterr().out
    assert main(["scenario", "--keys"]) == 0
    assert "cell.radius_m" in capsys.readouterr().out
    assert main(["scenario", "feel-cpo"]) == 2
    assert "did you mean feel-cpu?" in capsys.readouterr().err
    assert main(["scenario", "feel-cpu", "--keys"]) == 2
    assert "give a name or --keys" in capsys.readouterr().err
    assert main(["scenario", "feel-cpu", "--json"]) == 2


def test_a_catalogue_in_a_file_beside_the_scenario(tmp_path):
    config = Scenario.load("dtkd").to_dict()
    frame = pd.DataFrame({k: v for k, v in config["dtkd"]["catalogue"].items() if k != "names"})
    frame.insert(0, "name", config["dtkd"]["catalogue"]["names"])
    (tmp_path / "sub").mkdir()
    frame.to_csv(tmp_path / "sub" / "models.csv", index=False)
    text = re.sub(r"\[dtkd.catalogue\].*", "", shipped("dtkd"), flags=re.DOTALL)
    file = tmp_path / "sub" / "cell.toml"
    file.write_text(text.replace("[dtkd]", '[dtkd]\ncatalogue = "models.csv"', 1))
    assert Scenario.load(file) == Scenario.load("dtkd")
    frame.loc[0, "own_accuracy"] = 86.5
    frame.to_csv(tmp_path / "sub" / "models.csv", index=False)
    with pytest.raises(ProblemError, match=r"dtkd.catalogue: .*models.csv.*own_accuracy"):
        Scenario.load(file)
    (tmp_path / "sub" / "models.csv").unlink()
    with pytest.raises((ProblemError, OSError), match=r"models\.csv"):
        Scenario.load(file)


def test_keys_are_printed_in_one_piece(capsys):
    main(["scenario", "--keys", "devices"])
    assert "devices.energy_coefficient " in capsys.readouterr().out
