"""radioopt train: runs that go on where they were, options of schemes, and what is said of mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from radioopt.cli import main

QUICK = ["train", "feel-cpu", "--set", "devices.count=3", "--data", "digits@300+100", "--model", "softmax"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(capsys, *arguments, code=2):
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("radioopt: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def broken_off(monkeypatch):
    """Run a command whose training is interrupted after so many rounds."""

    def run(after, *arguments):
        from learning.runs.checkpoint import Checkpoint

        keep = Checkpoint.keep

        def keep_and_stop(self, place, *, done=False):
            keep(self, place, done=done)
            if len(place[-1]) == after:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "keep", keep_and_stop)
            return main(list(arguments))

    return run


def files(folder):
    return sorted(path.name for path in Path(folder).iterdir())


SAVED = ["devices.csv", "manifest.json", "metrics.csv", "plot.pdf", "plot.png"]
FINISHED = ["checkpoint.npz", "command.json", *SAVED]


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on(capsys):
    arguments = [*QUICK, "--policy", "full", "--rounds", "100", "--every", "1", "--name", "killed", "--csv"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from radioopt.cli import main; main()", *arguments],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 120
    while not Path("runs/killed/checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert {"checkpoint.npz", "unfinished.json"} <= set(files("runs/killed"))
    assert main(["train", "--resume", "runs/killed", "--csv"]) == 0
    resumed = capsys.readouterr().out
    assert files("runs/killed") == FINISHED
    assert main([*arguments[:-3], "--name", "unbroken", "--csv"]) == 0
    assert capsys.readouterr().out == resumed
    assert Path("runs/killed/metrics.csv").read_bytes() == Path("runs/unbroken/metrics.csv").read_bytes()


@pytest.mark.parametrize("again", [["train", "--resume", "runs/a"], [*QUICK, "--rounds", "6", "--name", "a"]])
def test_an_interrupted_run_goes_on_by_name_or_by_the_same_command(capsys, broken_off, again):
    arguments = [*QUICK, "--rounds", "6"]
    assert broken_off(4, *arguments, "--name", "a", "--every", "2") == 130
    assert "interrupted: radioopt train --resume runs/a goes on" in capsys.readouterr().err
    assert files("runs/a") == ["checkpoint.npz", "unfinished.json"]
    assert main([*again, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert files("runs/a") == FINISHED
    assert main([*arguments, "--name", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == document
    manifest = json.loads(Path("runs/a/manifest.json").read_text())
    assert manifest["result"]["rounds"] == 6
    assert manifest["result"]["stopped"] == "rounds"


def test_an_interrupted_comparison_goes_on(capsys, broken_off):
    arguments = [
        *QUICK,
        "--policy",
        "full,online",
        "--target-accuracy",
        "0.2",
        "--seconds",
        "1500",
        "--seeds",
        "2",
    ]
    assert broken_off(3, *arguments, "--name", "a", "--every", "1") == 130
    capsys.readouterr()
    assert "0-full-seed-0.npz" in files("runs/a")
    assert main(["train", "--resume", "runs/a", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert main([*arguments, "--name", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == document
    assert files("runs/a") == files("runs/b") == ["curves.csv", *SAVED[1:], "rounds.csv"]


def test_what_is_unfinished_is_not_trained_with_other_settings(capsys, broken_off):
    broken_off(2, *QUICK, "--rounds", "6", "--name", "a", "--every", "1")
    capsys.readouterr()
    before = Path("runs/a/checkpoint.npz").read_bytes()
    told = refused(capsys, *QUICK, "--rounds", "7", "--seed", "1", "--name", "a")
    assert "arguments.seed: 0 there, 1 here; arguments.rounds: 6 there, 7 here" in told
    assert "radioopt train --resume runs/a goes on with it; or choose another name" in told
    told = refused(capsys, *QUICK, "--set", "max_batchsize=32", "--rounds", "6", "--name", "a")
    assert "scenario.feel.max_batchsize" in told
    told = refused(capsys, "train", "--resume", "runs/a", "--rounds", "7", "--model", "cnn")
    assert "--resume goes on with the settings of runs/a: leave out --model" in told
    assert Path("runs/a/checkpoint.npz").read_bytes() == before


def test_what_cannot_be_resumed(capsys, broken_off):
    assert "run x: no such folder" in refused(capsys, "train", "--resume", "x")
    Path("empty").mkdir()
    assert "empty is no run: there is neither" in refused(capsys, "train", "--resume", "empty")
    assert main([*QUICK, "--rounds", "1", "--name", "done"]) == 0
    capsys.readouterr()
    told = refused(capsys, "train", "--resume", "runs/done")
    assert "runs/done is finished" in told
    assert "to go on, ask for more rounds, seconds or joules, or another target" in told
    broken_off(1, *QUICK, "--rounds", "6", "--name", "a", "--every", "1")
    capsys.readouterr()
    checkpoint, settings = Path("runs/a/checkpoint.npz"), Path("runs/a/unfinished.json")
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:1000])
    assert "not a checkpoint that radioopt wrote" in refused(capsys, "train", "--resume", "runs/a")
    for text, told in (
        ("{", "unfinished.json is damaged"),
        ('{"a": 1}', "begun by another version of radioopt"),
    ):
        settings.write_text(text)
        assert told in refused(capsys, "train", "--resume", "runs/a")
    assert "expected a scenario, such as feel-cpu, or --resume" in refused(capsys, "train")


def test_a_run_that_fails_at_once_leaves_nothing(capsys, tmp_path):
    assert "unknown policy 'best'" in refused(capsys, *QUICK, "--policy", "best", "--name", "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--option", "momentum=0.9"],
            "scheme 'feel' has no such option, it takes learning_rate=0.2, reference",
        ),
        (["--option", "rounds=9"], "private=False; it is an argument of its own: --rounds"),
        (["--option", "temperature=9"], "private=False; it is an option of scheme kd"),
        (
            ["--option", "teacher_rounds=9"],
            "an option of preparation teach, given as teach:teacher_rounds=...",
        ),
        (["--option", "alpha=0.1"], "it is an option of partition dirichlet, given as dirichlet:ALPHA"),
        (["--option", "deadline=9"], "judge_every=1, measures=, private=False; did you mean deadline_s?"),
        (["--target", "test_accuracy"], "--target test_accuracy: expected COLUMN=VALUE, such as private_"),
        (
            ["--target", "private_accuracy=0.9"],
            "private_accuracy is measured with private=True only, --option",
        ),
        (
            ["--radio", "fading"],
            "this radio does not plan batch sizes: take a scheme with local steps, as fedavg",
        ),
        (
            ["--scheme", "fedavg", "--radio", "fading"],
            "radio 'fading' plans with a table [mix2fld], and scenario",
        ),
        (["--option", "fedavg.epochs=2"], "scheme 'fedavg' is not trained here; trained: feel"),
        (["--option", "weights=equal"], "unknown weights 'equal', choose from batch, samples"),
        (["--option", "learning_rate"], "--option learning_rate: expected NAME=VALUE"),
        (["--scheme", "sgd"], "unknown scheme 'sgd', choose from feel, fedavg"),
        (["--scheme", "feel,,fedavg"], "--scheme: expected names with commas between, none twice"),
        (
            ["--scheme", "feel,fedavg"],
            "compared after --rounds, --seconds or --joules, or by --target-accuracy",
        ),
        (["--seeds", "2", "--target-accuracy", "0.9"], "seconds: a target needs a budget: give seconds"),
        (["--seeds", "2", "--rounds", "2", "--go-on"], "--go-on: several runs go on after --target-accuracy"),
        (["--every", "0"], "--every: expected at least 1, got 0"),
        (["--joules", "-1"], "joules: expected a number > 0, got -1"),
        (["--epsilon", "0"], "epsilon: expected a number > 0, got 0"),
        (["--data", "minst"], "unknown data 'minst', choose from digits, fashion-mnist"),
        (["--partition", "few-labels:x"], "expected few-labels:PER_DEVICE[,SAMPLES]"),
        (["--model", "mlp:x"], "model 'mlp:x': expected mlp:SIZE"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(capsys, tmp_path, arguments, message):
    assert message in refused(capsys, *QUICK, *arguments, "--name", "x")
    assert list(tmp_path.iterdir()) == []


def test_options_reach_their_schemes(capsys):
    arguments = [
        *QUICK,
        "--scheme",
        "feel,fedavg",
        "--option",
        "learning_rate=0.3",
        "--option",
        "fedavg.epochs=2",
    ]
    arguments += ["--target-accuracy", "0.2", "--seconds", "3000", "--name", "a", "--json"]
    assert main(arguments) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert config["policies"]["feel"]["scheme"]["learning_rate"] == 0.3
    assert (
        config["policies"]["fedavg"]["scheme"] | {"learning_rate": 0.3, "epochs": 2}
        == (config["policies"]["fedavg"]["scheme"])
    )


def test_a_finished_comparison_says_that_it_cannot_go_on(capsys):
    arguments = [*QUICK, "--policy", "full,online", "--target-accuracy", "0.2", "--seconds", "300"]
    assert main([*arguments, "--name", "a", "--json"]) == 0
    capsys.readouterr()
    told = refused(capsys, "train", "--resume", "runs/a", "--seconds", "600")
    assert "to go on, train anew with these limits: comparisons, and runs saved without a checkpoint" in told


def test_the_table_shows_what_is_aimed_at(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")  # headings stand on one line
    arguments = [*QUICK, "--scheme", "fedavg", "--option", "private=true", "--rounds", "1"]
    assert main([*arguments, "--target", "private_accuracy=0.99", "--name", "a"]) == 0
    assert "private accuracy" in capsys.readouterr().out.splitlines()[1]


def test_energy_ends_a_run(capsys):
    assert main([*QUICK, "--joules", "500", "--name", "a", "--json"]) == 0
    capsys.readouterr()
    result = json.loads(Path("runs/a/manifest.json").read_text())["result"]
    assert result["stopped"] == "joules"
    assert 0 < result["energy_j"] <= 500


def test_no_group_of_help_is_longer_than_a_screen(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    groups = capsys.readouterr().out.split("\n\n")[1:]
    assert max(text.count("\n") + 1 for text in groups) <= 24


def test_help_names_every_scheme(capsys):
    import learning

    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert ", ".join(learning.SCHEMES) in " ".join(capsys.readouterr().out.split())


def test_a_finished_run_goes_on_with_more_rounds(capsys):
    assert main([*QUICK, "--rounds", "3", "--name", "a"]) == 0
    capsys.readouterr()
    assert main(["train", "--resume", "runs/a", "--rounds", "6", "--csv"]) == 0
    longer = capsys.readouterr().out
    assert main([*QUICK, "--rounds", "6", "--name", "b", "--csv"]) == 0
    assert capsys.readouterr().out == longer
    assert Path("runs/a/metrics.csv").read_bytes() == Path("runs/b/metrics.csv").read_bytes()
    assert json.loads(Path("runs/a/manifest.json").read_text())["result"]["rounds"] == 6
    told = refused(capsys, "train", "--resume", "runs/a", "--rounds", "4")
    assert "holds 6 rounds, and 4 are asked for" in told


def test_options_of_scheme_radio_and_judge_are_listed(capsys):
    assert main(["train", "--options", "--scheme", "fedavg", "--radio", "fading"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["scheme fedavg", "radio fading", "judge global"]
    assert "optimiser=sgd" in lines[0]
    assert "max_slots=None" in lines[1]


def test_everything_that_train_takes_can_be_said_on_the_command_line(capsys):
    arguments = [
        *QUICK,
        "--rounds",
        "2",
        "--public",
        "40",
        "--before",
        "share-public:share=0.5",
        "--scheme",
        "fedavg",
    ]
    arguments += [
        "--option",
        "optimiser=sgd:momentum=0.5",
        "--option",
        "deadline_s=500",
        "--option",
        "measures=top5",
    ]
    arguments += [
        "--bits-per-parameter",
        "dtype",
        "--devices-at-once",
        "2",
        "--target",
        "test_top5=0.99",
        "--json",
    ]
    assert main([*arguments, "--name", "a"]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert config["before"] == [{"name": "share-public", "share": 0.5, "bits_per_number": 8.0}]
    assert config["scheme"]["optimiser"] == "sgd:momentum=0.5"
    assert config["radio"]["deadline_s"] == 500
    assert config["judge"]["measures"] == "top5"
    assert config["bits_per_parameter"] == 32
    assert config["targets"] == {"test_top5": 0.99}
    assert (Path("runs/a") / "prepared-1.csv").exists()
