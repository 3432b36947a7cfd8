"""Saved runs read back and set side by side: exact numbers, fair groups, and what cannot be compared."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from learning import SharePublic, compare, compare_runs, read_runs, save_run, train
from learning.runs.plots import plot_runs
from radioopt import OptionError, ProblemError, Scenario
from radioopt.cli import main

OPTIONS = {"data": "digits@300+100", "model": "softmax", "progress": False}


@pytest.fixture(scope="module")
def results(cell):
    runs = {
        f"{policy}-{seed}": train(cell, policy=policy, seed=seed, rounds=rounds, **OPTIONS)
        for policy, rounds in (("full", 6), ("online", 9))
        for seed in (1, 2)
    }
    options = {"target_accuracy": 0.2, "seconds": 2000.0, "policies": ["full", "online"], "seeds": [4, 5]}
    return runs | {"comparison": compare(cell, **options, **OPTIONS)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory, results):
    folder = tmp_path_factory.mktemp("saved")
    for name, result in results.items():
        save_run(result, name, folder)
    return folder


@pytest.fixture
def folder(tmp_path, saved):
    """A copy that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "runs"))


def test_a_run_is_read_back_bit_for_bit(saved, results):
    (run,) = read_runs(saved / "online-1")
    frame = results["online-1"].to_frame()
    for name in frame:
        np.testing.assert_array_equal(run.curve[name], frame[name])
    assert run.config["seed"] == 1
    assert run.joules[-1] == pytest.approx(results["online-1"].ledger.energy_j, rel=1e-12)


def test_a_comparison_is_read_back_run_by_run(saved, results):
    runs = read_runs(saved / "comparison")
    comparison = results["comparison"]
    assert [(run.config["policy"], run.config["seed"]) for run in runs] == [
        (policy, seed) for policy in ("full", "online") for seed in (4, 5)
    ]
    for run in runs:
        curve = comparison.curves[run.config["policy"], run.config["seed"]]
        np.testing.assert_array_equal(run.curve["test_accuracy"], curve["test_accuracy"])


def test_runs_that_differ_in_their_seed_only_are_averaged(saved, results):
    names = ("full-1", "online-1", "full-2", "online-2")
    found = compare_runs([saved / name for name in names])
    assert [[run.config["seed"] for run in runs] for runs in found.variants.values()] == [[1, 2], [1, 2]]
    table = found.table([0.15])
    for (_, row), policy in zip(table.iterrows(), ("full", "online"), strict=True):
        own = [results[f"{policy}-{seed}"].ledger for seed in (1, 2)]
        assert row["runs"] == 2
        assert row["seconds"] == pytest.approx(np.mean([ledger.seconds for ledger in own]))
        assert row["energy_j"] == pytest.approx(np.mean([ledger.energy_j for ledger in own]))
        assert row["final_accuracy"] == pytest.approx(np.mean([ledger.accuracy for ledger in own]))
        rounds = [ledger.rounds_to(0.15) for ledger in own]
        assert row["reached_0.15"] == sum(found is not None for found in rounds)
        if None not in rounds:
            assert row["rounds_to_0.15"] == np.mean(rounds)
            seconds = [
                ([0.0] + [e.seconds for e in led.entries])[n] for led, n in zip(own, rounds, strict=True)
            ]
            assert row["seconds_to_0.15"] == pytest.approx(np.mean(seconds))
    assert found.settings().loc["policy"].tolist() == ["full", "online"]
    assert found.settings().loc["rounds"].tolist() == ["6", "9"]
    assert found.notes() == []


def test_preparations_are_among_the_settings_that_differ(cell, tmp_path):
    options = {"scheme": "fedavg", "rounds": 1, "public": 30, "progress": False}
    for name, before in (("bare", []), ("shared", [SharePublic(share=0.5)])):
        save_run(train(cell, before=before, **options), name, tmp_path)
    settings = compare_runs([tmp_path / "bare", tmp_path / "shared"]).settings()
    before = settings[settings.index.str.startswith("before")]
    assert before.index.tolist() == ["before.1.name", "before.1.share", "before.1.bits_per_number"]
    assert before.to_numpy().T.tolist() == [["-"] * 3, ["share-public", "0.5", "8"]]


def test_a_target_that_not_all_runs_reach_has_no_mean(saved):
    found = compare_runs([saved / "full-1", saved / "full-2"])
    best = sorted(run.curve["test_accuracy"].max() for run in found.runs)
    assert best[0] < best[1]
    (row,) = (row for _, row in found.table([best[1]]).iterrows())
    reached = f"{best[1]:g}"
    assert row[f"reached_{reached}"] == 1
    assert np.isnan(row[f"seconds_to_{reached}"])


def test_targets_are_those_of_the_runs_or_what_they_reach(saved):
    assert compare_runs([saved / "comparison"]).targets() == [0.2]
    found = compare_runs([saved / "full-1", saved / "online-1"])
    best = [run.curve["test_accuracy"].max() for run in found.runs]
    for target in found.targets():
        assert target <= max(best)
    with pytest.raises(OptionError, match=r"target: expected a number > 0 and <= 1, got 90"):
        found.table([90])


def test_runs_of_other_seeds_are_said_not_to_be_paired(saved):
    (note,) = compare_runs([saved / "full-1", saved / "online-2"]).notes()
    assert note.startswith("not paired: the seeds differ (")


def test_runs_that_begin_or_live_elsewhere_are_said_to(tmp_path):
    other = Scenario.load("feel-cpu").replace({"name": "another cell"})
    for name, scenario, own in (("a", "feel-cpu", {}), ("b", other, {"model": "mlp"}), ("c", other, {})):
        save_run(train(scenario, scheme="individual", rounds=1, **OPTIONS | own), name, tmp_path)
    paired, cells = compare_runs([tmp_path / "a", tmp_path / "b"]).notes()
    assert paired == "not paired: with the same seed initial weights are not the same in all runs"
    assert cells.startswith("not the same scenario (")
    assert cells.endswith("(feel-cpu); another cell): nor are seconds and joules")
    (note,) = compare_runs([tmp_path / "a", tmp_path / "c"]).notes()
    assert note == cells


def test_more_variants_than_colours_can_be_told_apart(tmp_path):
    for rate in range(1, 9):
        run = train("feel-cpu", scheme="individual", rounds=1, learning_rate=rate / 10, **OPTIONS)
        save_run(run, f"r{rate}", tmp_path)
    figure = compare_runs([tmp_path / f"r{rate}" for rate in range(1, 9)]).plot()
    lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 8


def test_unknown_energy_is_said_and_not_drawn(tmp_path):
    save_run(train("feel-gpu", rounds=2, **OPTIONS), "gpu", tmp_path)
    found = compare_runs([tmp_path / "gpu"])
    assert "energy unknown of" in found.notes()[0]
    assert np.isnan(found.table()["energy_j"]).all()
    assert len(found.plot().axes) == 1


def test_the_picture_shows_every_variant_over_seconds_and_joules(saved):
    found = compare_runs([saved / "comparison", saved / "full-1"])
    figure = plot_runs(found, [0.2])
    assert isinstance(figure, Figure)
    assert [axes.get_xlabel() for axes in figure.axes] == ["simulated time [s]", "energy of all devices [J]"]
    variants = {name.removeprefix(f"{saved}/"): runs for name, runs in found.variants.items()}
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels[:-1] == [  # the folder that all have in common would fill the legend
        f"{name} ({len(runs)} runs)" if len(runs) > 1 else name for name, runs in variants.items()
    ]
    assert labels[-1] == "95 % interval of the mean"
    for axes in figure.axes:
        single = next(line for line in axes.lines if line.get_label() in variants)
        (run,) = variants[single.get_label()]
        start = int(axes.get_xscale() == "log")
        np.testing.assert_array_equal(single.get_ydata(), run.curve["test_accuracy"][start:])


# -- what cannot be compared -----------------------------------------------------------------------------------


def unfinished(folder):
    (folder / "full-1" / "manifest.json").unlink()
    (folder / "full-1" / "unfinished.json").write_text("{}")


def rewritten(folder, **change):
    path = folder / "full-2" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"] |= change
    path.write_text(json.dumps(manifest))


def truncated(folder):
    path = folder / "full-1" / "metrics.csv"
    path.write_text(path.read_text().replace("test_accuracy", "accuracy"))


def cut(name, *, rows=None, end=None):
    """Keep some lines of a table, or cut its last one."""

    def harm(folder):
        path = folder / name
        lines = path.read_text().splitlines(keepends=True)
        if isinstance(rows, list):
            path.write_text("".join(lines[row] for row in rows))
        else:
            path.write_text("".join(lines[rows]) if rows else "".join(lines)[:end])

    return harm


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            cut("curves.csv", rows=slice(0, -1)),
            r"curves.csv: holds \d+ rounds of online, seed 5, .* tells of \d+",
        ),
        (cut("curves.csv", rows=slice(0, 2)), r"curves.csv: holds 0 rounds of full, seed 4, .*tells of"),
        (cut("curves.csv", end=-9), r"curves.csv: its last line is cut off"),
    ],
)
def test_a_comparison_that_lost_rounds_is_refused(folder, harm, message):
    harm(folder / "comparison")
    with pytest.raises(ProblemError, match=message):
        read_runs(folder / "comparison")


def test_a_comparison_that_lost_a_run_is_refused(folder):
    path = folder / "comparison" / "curves.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("online,4,")))
    with pytest.raises(
        ProblemError, match=r"curves.csv: no rounds of online, seed 4, which manifest.json names"
    ):
        read_runs(folder / "comparison")


def test_policies_whose_names_are_numbers_are_read_back(cell, tmp_path):
    options = {"target_accuracy": 0.9, "seconds": 400.0, "seeds": 1, **OPTIONS}
    named = {"1": {"policy": "full"}, "nan": {"policy": "online"}}
    save_run(compare(cell, policies=named, **options), "a", tmp_path)
    assert [run.name for run in read_runs(tmp_path / "a")] == [f"{tmp_path / 'a'}: {name}" for name in named]


def test_manifests_of_older_versions_tell_no_rounds(folder):
    for name in ("full-1", "comparison"):
        path = folder / name / "manifest.json"
        manifest = json.loads(path.read_text())
        for result in ({}, None):
            manifest["result"] = result
            if result is None:
                del manifest["result"]
            path.write_text(json.dumps(manifest))
            assert read_runs(folder / name)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda runs: shutil.rmtree(runs / "full-1"), r"full-1: no such folder"),
        (
            cut("full-1/metrics.csv", rows=slice(0, 4)),
            r"metrics.csv: holds 2 rounds and manifest.json tells of 6: it is not whole",
        ),
        (cut("full-1/metrics.csv", end=-5), r"metrics.csv: its last line is cut off: train again"),
        (cut("full-1/metrics.csv", rows=[0, 1, 2, 3, 5, 6, 7, 7]), r"rounds are not 0 to 6, each once"),
        (lambda runs: (runs / "full-1" / "manifest.json").unlink(), r"full-1 is no run of radioopt train"),
        (unfinished, r"full-1 is unfinished: radioopt train --resume .*full-1 goes on with it"),
        (
            lambda runs: (runs / "full-1" / "metrics.csv").unlink(),
            r"metrics.csv is missing: the folder is not whole",
        ),
        (
            lambda runs: (runs / "full-1" / "metrics.csv").write_text(""),
            r"metrics.csv: not the rounds of a run",
        ),
        (truncated, r"metrics.csv: not the rounds of a run, .*no numbers in column test_accuracy"),
        (
            lambda runs: (runs / "full-1" / "manifest.json").write_text("{"),
            r"manifest.json: not the manifest of a run",
        ),
        (lambda runs: (runs / "full-1" / "manifest.json").write_text("[1]"), r"not the manifest of a run"),
        (
            lambda runs: rewritten(runs, data="mnist"),
            r"full-1 is about digits@300\+100, .*full-2 about mnist",
        ),
        (
            lambda runs: rewritten(runs, seed=1, fingerprints={"data": "0" * 64}),
            r"hold other samples with the same seed",
        ),
        (
            lambda runs: rewritten(runs, seed=1, fingerprints={}),
            r"full-1 and .*full-2 are the same run \(same settings, seed 1\): leave one out",
        ),
    ],
)
def test_folders_that_cannot_be_compared_say_why(folder, capsys, harm, message):
    harm(folder)
    paths = [folder / "full-1", folder / "full-2"]
    with pytest.raises(ProblemError, match=message):
        compare_runs(paths)
    assert main(["compare", *map(str, paths)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("radioopt: ")
    assert captured.err.count("\n") == 1


def test_folders_given_twice_or_not_at_all(saved):
    with pytest.raises(OptionError, match=r"full-1/../full-1 is given twice"):
        compare_runs([saved / "full-1", f"{saved}/full-1/../full-1"])
    with pytest.raises(OptionError, match="expected at least one folder"):
        compare_runs([])
    with pytest.raises(OptionError, match="expected a list of folders, got 'runs/a'"):
        compare_runs("runs/a")


# -- the command -----------------------------------------------------------------------------------------------


def test_the_command_prints_tables_settings_and_draws(saved, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(saved)  # names as long as those of a test's folders would wrap the headings
    picture = tmp_path / "c.png"
    runs = ["full-1", "online-1"]
    assert main(["compare", *runs, "--target", "0.1,0.15", "--save", str(picture)]) == 0
    out = capsys.readouterr().out
    for words in (
        "final accuracy",
        "to accuracy 0.1",
        "to accuracy 0.15",
        "settings that differ",
        "│ policy",
    ):
        assert words in out
    assert "reached" not in out  # of one run each
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["compare", *runs, "--target", "0.1", "--latex"]) == 0
    latex = capsys.readouterr().out
    assert r"time to 0.1 [s] & energy to 0.1 [J] \\" in latex
    assert "reached" not in latex


def test_the_command_gives_programs_full_precision(saved, results, capsys):
    runs = [str(saved / name) for name in ("full-1", "full-2", "online-1")]
    assert main(["compare", *runs, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["runs"] for row in document["runs"]] == [2, 1]
    assert document["runs"][1]["seconds"] == results["online-1"].ledger.seconds
    assert {row["setting"] for row in document["settings"]} == {"policy", "rounds"}
    assert document["notes"][0].startswith("not paired")
    assert main(["compare", *runs, "--csv", "--target", "1"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[0].startswith("run,runs,rounds,seconds,energy_j,final_accuracy")
    )


@pytest.mark.parametrize("target", ["90", "0", "x", "0.5,0.5", ""])
def test_targets_that_are_none_are_refused(saved, capsys, target):
    assert main(["compare", str(saved / "full-1"), "--target", target]) == 2
    assert "--target: expected accuracies in (0, 1] with commas between" in capsys.readouterr().err
