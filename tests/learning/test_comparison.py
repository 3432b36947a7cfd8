"""Comparisons: paired, with honest intervals and honest gaps; run folders; pictures."""

import hashlib
import io
import json
import math

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

from learning import Comparison, begin_run, compare, compare_runs, run_folder, save_run, train
from learning.runs.folder import manifest_of
from learning.runs.plots import averaged
from learning.schemes.fedsgd import FedSgd
from learning.study.intervals import (
    group_means,
    positive_interval,
    t_interval,
    with_interval,
    with_width,
)
from radioopt import OptionError, ProblemError

TARGET, BUDGET = 0.7, 2500.0


@pytest.fixture(scope="module")
def comparison(cell):
    return compare(
        cell, target_accuracy=TARGET, seconds=BUDGET, policies=["optimal", "full"], seeds=[3, 5, 8]
    )


def made(times, budget=100.0):
    """A comparison of runs with these times to the target, None where it was not reached."""
    rows = [
        {
            "policy": policy,
            "seed": seed,
            "reached": time is not None,
            "seconds_to_target": math.nan if time is None else time,
            "rounds_to_target": math.nan if time is None else 2.0 * seed,
            "energy_to_target_j": math.nan if time is None else 10.0 * seed,
        }
        for policy, given in times.items()
        for seed, time in enumerate(given)
    ]
    config = {"policies": list(times), "seconds": budget, "targets": {"test_accuracy": 0.9}}
    return Comparison(pd.DataFrame(rows), {}, config)


def test_each_run_of_a_comparison_is_the_run_alone(cell, comparison):
    for policy in ("optimal", "full"):
        alone = train(cell, policy=policy, seed=5, target_accuracy=TARGET, seconds=BUDGET)
        pd.testing.assert_frame_equal(comparison.curves[policy, 5], alone.to_frame(), check_exact=True)
        row = comparison.runs.set_index(["policy", "seed"]).loc[(policy, 5)]
        assert row["seconds_to_target"] == alone.ledger.seconds
        assert row["rounds_to_target"] == len(alone.ledger)
        assert row["energy_to_target_j"] == alone.ledger.energy_j


def test_other_processes_give_the_same_runs(cell, comparison):
    again = compare(
        cell, target_accuracy=TARGET, seconds=BUDGET, policies=["optimal", "full"], seeds=[3, 5, 8], jobs=2
    )
    pd.testing.assert_frame_equal(again.runs, comparison.runs, check_exact=True)


def test_policies_can_have_names_and_options_of_their_own(cell):
    policies = {"optimal": {}, "bold": {"policy": "online", "learning_rate": 1.0}}
    named = compare(cell, target_accuracy=0.5, seconds=1000.0, policies=policies, seeds=[2])
    alone = train(cell, policy="online", learning_rate=1.0, seed=2, target_accuracy=0.5, seconds=1000.0)
    pd.testing.assert_frame_equal(named.curves["bold", 2], alone.to_frame(), check_exact=True)
    assert named.policies == ["optimal", "bold"]
    assert named.config["policies"]["bold"]["scheme"]["learning_rate"] == 1.0
    assert "scheme" not in named.config
    assert named.config["data"] == "digits"


def test_ratios_are_geometric_means_of_paired_times():
    table = made({"optimal": [10.0, 20.0, 40.0], "full": [20.0, 60.0, 40.0]}).table()
    logs = np.log([2.0, 3.0, 1.0])
    low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    full = table.loc["full"]
    assert full["ratio"] == pytest.approx(6.0 ** (1 / 3), rel=1e-12)
    assert (full["ratio_low"], full["ratio_high"]) == pytest.approx(
        (math.exp(low), math.exp(high)), rel=1e-12
    )
    assert full["seconds"] == 40.0
    assert (full["seconds_low"], full["seconds_high"]) == pytest.approx(
        stats.t.interval(0.95, 2, 40.0, stats.sem([20.0, 60.0, 40.0])), rel=1e-12
    )
    assert tuple(table.loc["optimal", ["ratio", "ratio_low", "ratio_high"]]) == (1.0, 1.0, 1.0)


def test_times_that_differ_by_the_same_factor_on_every_seed_leave_no_width():
    paired = made({"optimal": [10.0, 20.0, 40.0], "full": [20.0, 40.0, 80.0]}).table().loc["full"]
    assert paired["ratio_low"] == pytest.approx(2.0, rel=1e-12)
    assert paired["ratio_high"] == pytest.approx(2.0, rel=1e-12)


def test_a_run_that_never_reached_the_target_makes_a_lower_bound_without_an_interval():
    table = made({"optimal": [10.0, 20.0], "online": [50.0, None]}).table()
    online = table.loc["online"]
    assert (online["reached"], online["runs"]) == (1, 2)
    assert online["lower_bound"]
    assert online["seconds"] == 75.0  # (50 + budget) / 2
    assert online["ratio"] == pytest.approx(5.0, rel=1e-12)  # sqrt(50/10 * 100/20)
    assert online[["seconds_low", "seconds_high", "ratio_low", "ratio_high"]].isna().all()
    assert online["rounds"] == 0.0  # of the one run that reached it
    assert ">= 75" in str(made({"optimal": [10.0, 20.0], "online": [50.0, None]}))


def test_a_reference_that_never_reached_the_target_gives_no_ratio():
    table = made({"optimal": [10.0, None], "full": [20.0, 30.0]}).table()
    assert table["ratio"].isna().all()
    assert table["lower_bound"].tolist() == [True, False]
    assert "optimal" in str(made({"optimal": [None, None], "full": [20.0, 30.0]}))


def test_rounds_and_energy_have_intervals_as_seconds_have(comparison):
    table = comparison.table()
    for policy in comparison.policies:
        mine, row = comparison.runs[comparison.runs["policy"] == policy], table.loc[policy]
        assert mine["reached"].all()
        for name, ends in (
            ("rounds", ["rounds_low", "rounds_high"]),
            ("energy", ["energy_low_j", "energy_high_j"]),
        ):
            values = mine["rounds_to_target" if name == "rounds" else "energy_to_target_j"]
            low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
            if low >= 0:
                assert row[ends].tolist() == pytest.approx([low, high])
            else:
                assert row[ends[0]] == 0.0


def test_an_interval_that_would_reach_below_zero_is_one_sided():
    values = np.array([1.0, 2.0, 9.0])
    assert stats.t.interval(0.95, 2, 4.0, stats.sem(values))[0] < 0
    mean, low, high = positive_interval(values, 0.95)
    assert (mean, low) == (4.0, 0.0)
    assert high == pytest.approx(4.0 + stats.t.ppf(0.95, 2) * stats.sem(values))
    assert with_interval(mean, low, high) == f"4 [0, {high:.4g}]"
    assert np.isnan(positive_interval(np.empty(0), 0.95)).all()


def test_intervals_of_an_accuracy_end_at_1():
    groups = pd.DataFrame({"test_accuracy": [0.8, 1.0, 1.0], "train_loss": [0.0, 0.0, 1.0]}).groupby(
        lambda _: 0
    )
    row = group_means(groups, 0.95).loc[0]
    low = t_interval(np.array([0.8, 1.0, 1.0]), 0.95)[1]
    assert (row["test_accuracy_low"], row["test_accuracy_high"]) == (pytest.approx(low), 1.0)
    found = made({"optimal": [10.0, 20.0]})
    found.config.pop("targets")
    found.config["seeds"] = [0, 1]
    found.runs[["final_accuracy", "rounds", "seconds", "energy_j"]] = [[0.9, 5, 1.0, 1.0], [1.0, 5, 1.0, 1.0]]
    assert found.table().loc["optimal", "final_high"] == 1.0
    assert f"0.95 [{found.table().loc['optimal', 'final_low']:.4g}, 1]" in str(found)


def test_latex_has_signs_in_place_of_letters():
    lines = made({"optimal": [10.0, 20.0], "online": [50.0, None]}).to_latex().splitlines()
    optimal, online = (
        next(line for line in lines if line.startswith(name)) for name in ("optimal", "online")
    )
    assert r"$\pm$" in optimal
    assert r"$\ge$ 75" in online
    assert "+-" not in optimal


def test_intervals_of_rounds_and_energy_are_unknown_unless_all_runs_reached_the_target():
    online = made({"optimal": [10.0, 20.0], "online": [50.0, None]}).table().loc["online"]
    assert online[["rounds_low", "rounds_high", "energy_low_j", "energy_high_j"]].isna().all()


def test_a_single_seed_has_no_interval():
    full = made({"optimal": [10.0], "full": [20.0]}).table().loc["full"]
    assert full["ratio"] == pytest.approx(2.0)
    assert full[["ratio_low", "ratio_high", "seconds_low"]].isna().all()


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (1234.5, 78.9, "1234 +- 79"),
        (0.41234, 0.0567, "0.412 +- 0.057"),
        (0.41234, math.nan, "0.4123"),
        (98765.4, math.nan, "98765"),
        (200.0, math.nan, "200"),
        (0.5, 2.25, "0.5 +- 2.2"),
        (12.5, 0.0, "12.50 +- 0.00"),
        (3.0, 1e-16, "3.00000 +- 0.00000"),
        (0.0, 0.0, "0 +- 0"),
        (0.0000312, 0.0000041, "0.0000312 +- 0.0000041"),
        (-0.312, 0.041, "-0.312 +- 0.041"),
        (-2.5, math.nan, "-2.5"),
    ],
)
def test_times_of_any_magnitude_keep_their_digits(mean, half, text):
    assert with_width(mean, half) == text


def test_times_below_a_second_are_told_apart():
    text = str(made({"optimal": [0.41, 0.43], "full": [0.12, 0.13]}, budget=1.0))
    assert "0.42 +- 0.13" in text
    assert "0.125 +- 0.064" in text


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for values in rng.normal(3.0, 2.0, (2000, 5)):
        _, low, high = t_interval(values, 0.9)
        covered += low <= 3.0 <= high
    assert abs(covered - 1800) < 5 * math.sqrt(2000 * 0.9 * 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, r"seeds: expected a whole number >= 1, got 0"),
        ({"seeds": [1, 1]}, r"seeds: expected at least one and none twice, got \[1, 1\]"),
        ({"policies": []}, r"policies: expected at least one and none twice, got \[\]"),
        ({"policies": "optimal"}, r"policies: expected a list or a mapping, got 'optimal'"),
        ({"policies": {"full": None}}, r"policies: full: expected a mapping of options, got None"),
        ({"jobs": 0}, r"jobs: expected a whole number >= 1, got 0"),
        ({"policies": ["best"]}, r"unknown policy 'best'"),
        (
            {"policies": ["optimal", "fedavg"]},
            r"^policies: fedavg is a scheme, and no policy: give policies={\"fedavg\": {\"scheme\": \"fedavg\", ",
        ),
        (
            {"policies": {"a": {"policy": "full", "seconds": 5.0, "data": "digits"}}},
            r"policies: a: data, seconds must be the same for all: leave out",
        ),
        ({"target_accuracy": 2}, r"target_accuracy: expected a number > 0 and <= 1, got 2"),
        ({"seconds": 0}, r"seconds: expected a number > 0, got 0"),
    ],
)
def test_wrong_options_are_refused(cell, options, message):
    with pytest.raises(OptionError, match=message):
        compare(cell, **({"target_accuracy": 0.5, "seconds": 100.0} | options))
    with pytest.raises(OptionError, match=r"confidence: expected a number > 0 and < 1"):
        made({"optimal": [10.0], "full": [20.0]}).table(confidence=95)


def test_a_run_folder_holds_numbers_picture_and_manifest(tmp_path, comparison):
    path = save_run(comparison, "three-seeds", tmp_path / "runs")
    assert sorted(p.name for p in path.iterdir()) == [
        "curves.csv",
        "manifest.json",
        "metrics.csv",
        "plot.pdf",
        "plot.png",
        "rounds.csv",
    ]
    curves = pd.read_csv(path / "curves.csv", index_col=["policy", "seed", "round"]).sort_index()
    for key, curve in comparison.curves.items():
        np.testing.assert_array_equal(curves.loc[key]["test_accuracy"], curve["test_accuracy"])
    read = pd.read_csv(path / "metrics.csv", index_col=0)
    np.testing.assert_array_equal(read["seconds_to_target"], comparison.runs["seconds_to_target"])
    assert (path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert (path / "plot.pdf").read_bytes().startswith(b"%PDF")
    manifest = json.loads((path / "manifest.json").read_text())
    text = json.dumps(manifest["config"], sort_keys=True, separators=(",", ":"))
    assert manifest["config_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert manifest["config"]["seeds"] == [3, 5, 8]
    assert manifest["versions"]["torch"]
    assert manifest["hardware"]["cores"] >= 1


def test_a_run_can_be_done_again_from_its_manifest(tmp_path, cell):
    from radioopt import Scenario

    result = train(cell, policy="random", rounds=3, seed=11, partition="dirichlet:0.5", weights="samples")
    path = save_run(result, "again", tmp_path)
    config = json.loads((path / "manifest.json").read_text())["config"]
    scheme = dict(config["scheme"])
    again = train(
        Scenario.from_dict(config["scenario"]),
        scheme=scheme.pop("name"),
        **scheme,
        radio=config["radio"]["name"],
        judge=config["judge"]["name"],
        **{key: config[key] for key in ("policy", "data", "partition", "model", "rounds", "seconds", "seed")},
    )
    assert again.config == result.config
    assert (path / "metrics.csv").read_text() == again.ledger.to_csv()


@pytest.mark.filterwarnings("ignore:no plot.png and plot.pdf")
def test_a_picture_that_cannot_be_drawn_does_not_cost_the_numbers(tmp_path, cell, comparison, monkeypatch):
    run = train(cell, rounds=2)
    for how, breaks in {
        "setting": lambda patch: patch.setitem(matplotlib.rcParams, "text.usetex", True),
        "anything": lambda patch: patch.setattr(Figure, "savefig", broken),
    }.items():
        for kind, result in {"run": run, "comparison": comparison}.items():
            name = f"{how}-{kind}"
            with monkeypatch.context() as patch:
                patch.setenv("PATH", "")  # there is no LaTeX
                breaks(patch)
                with pytest.warns(
                    UserWarning, match=r"^no plot.png and plot.pdf: .*; the numbers are saved$"
                ):
                    path = save_run(result, name, tmp_path)
            assert not list(path.glob("plot.*"))
            assert (path / "metrics.csv").read_text() == result.to_frame().to_csv()
            assert json.loads((path / "manifest.json").read_text())["config"]
    begun = begin_run("unfinished", {"a": 1}, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", broken)
        with pytest.warns(
            UserWarning, match=r"no plot.png and plot.pdf: a font is missing; the numbers are saved"
        ):
            assert save_run(run, "unfinished", tmp_path) == begun
    assert sorted(file.name for file in begun.iterdir()) == ["devices.csv", "manifest.json", "metrics.csv"]


def broken(*args, **options):
    raise RuntimeError("a font\nis missing")


def test_a_finished_run_keeps_its_checkpoint_and_goes_on(tmp_path, cell):
    path = begin_run("mine", {"rounds": 2}, tmp_path)
    short = train(cell, rounds=2, checkpoint=path / "checkpoint.npz")
    (path / ".checkpoint.npz.part").write_bytes(b"left by a crash")
    save_run(short, "mine", tmp_path)
    assert sorted(file.name for file in path.iterdir()) == [
        "checkpoint.npz",
        "devices.csv",
        "manifest.json",
        "metrics.csv",
        "plot.pdf",
        "plot.png",
    ]
    longer = train(cell, rounds=4, checkpoint=path / "checkpoint.npz")
    assert longer.ledger.to_csv() == train(cell, rounds=4).ledger.to_csv()


def test_an_existing_run_is_never_touched(tmp_path, comparison):
    (tmp_path / "mine").mkdir()
    with pytest.raises(
        OptionError, match=r"run 'mine': .*mine exists already: choose another name or remove"
    ):
        save_run(comparison, "mine", tmp_path)
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "two words", None])
def test_names_that_are_no_folder_names_are_refused(tmp_path, name):
    with pytest.raises(OptionError, match=r"expected letters, digits, - _ and \., not starting with a dot"):
        run_folder(name, tmp_path)


def test_a_failure_leaves_no_folder(tmp_path, comparison, monkeypatch):
    monkeypatch.setattr("learning.runs.folder.manifest_of", lambda config: {"not json": object()})
    with pytest.raises(TypeError):
        save_run(comparison, "half", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_names_no_machine_path(cell):
    import os
    import socket

    text = json.dumps(manifest_of(train(cell, rounds=1).config))
    assert os.getcwd() not in text
    assert socket.gethostname() not in text


def test_the_picture_of_a_comparison_shows_means_with_bands_and_the_medians(comparison):
    figure = comparison.plot()
    (axes,) = figure.axes
    means = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(means) == 2
    assert len(axes.collections) == 3  # a band for each, and one for the legend
    assert figure.legends[0].get_texts()[-1].get_text() == "95 % interval of the mean"
    markers = [line for line in axes.lines if len(line.get_xdata()) == 1]
    medians = comparison.runs.groupby("policy")["seconds_to_target"].median()
    assert [line.get_xdata()[0] for line in markers] == [medians["optimal"], medians["full"]]
    assert axes.get_xlabel() == "simulated time [s]"
    ends = {policy: max(c["seconds"].iloc[-1] for (p, _), c in comparison.curves.items() if p == policy)
            for policy in ("optimal", "full")}  # fmt: skip
    assert [line.get_xdata()[-1] for line in means] == pytest.approx(list(ends.values()))


def test_runs_are_averaged_at_the_same_places():
    found = [
        (np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0])),
        (np.array([0.0, 4.0]), np.array([0.0, 2.0])),
    ]
    options = {"by_ratio": False, "confidence": 0.95}
    places, mean, low, high = averaged(found, hold=False, **options)
    np.testing.assert_allclose(mean, 0.75 * places)
    assert places[-1] == 2.0
    half = stats.t.ppf(0.975, 1) * np.std([2.0, 1.0], ddof=1) / np.sqrt(2)
    assert (low[-1], high[-1]) == pytest.approx((1.5 - half, 1.5 + half))
    places, mean, *_ = averaged(found, hold=True, **options)
    assert (places[-1], mean[-1]) == (4.0, 2.0)  # the first stays at 2
    _, _, low, high = averaged(found[:1], hold=True, **options)
    assert np.isnan([low, high]).all()  # one run says nothing of the spread


def test_seeds_without_a_target_are_compared_round_by_round(cell, tmp_path):
    found = compare(cell, policies=["optimal", "full"], seeds=3, rounds=3, data="digits@300+100")
    assert found.target is None
    table = found.by_round()
    values = [found.curves["full", seed]["test_accuracy"][2] for seed in range(3)]
    row = table.loc["full", 2]
    assert row["runs"] == 3
    assert row["test_accuracy"] == pytest.approx(np.mean(values))
    expected = t_interval(np.array(values), 0.95)
    assert (row["test_accuracy_low"], row["test_accuracy_high"]) == pytest.approx(expected[1:])
    assert table.index.tolist() == [(policy, i) for policy in ("optimal", "full") for i in range(4)]
    ends = found.table().loc["full"]
    assert ends["final"] == pytest.approx(found.runs.query("policy == 'full'")["final_accuracy"].mean())
    assert ends["final_low"] < ends["final"] < ends["final_high"]
    assert str(found).startswith("3 seeds, whole runs; means with 95% t-intervals")
    (axes,) = found.plot().axes
    assert axes.get_xlabel() == "round"
    np.testing.assert_allclose(axes.lines[1].get_ydata(), table.loc["full"]["test_accuracy"])
    read = pd.read_csv(save_run(found, "three", tmp_path) / "rounds.csv", index_col=["policy", "round"])
    np.testing.assert_array_equal(read["test_accuracy_high"], table["test_accuracy_high"])
    assert compare_runs([tmp_path / "three"]).table()["runs"].tolist() == [3, 3]


def test_runs_go_on_after_the_target_and_the_time_to_it_is_the_same(cell):
    options = {"target_accuracy": 0.2, "seconds": 900.0, "policies": ["full"], "seeds": 2}
    short, whole = (compare(cell, **options, go_on=go_on) for go_on in (False, True))
    for name in ("reached", "seconds_to_target", "rounds_to_target", "energy_to_target_j"):
        assert whole.runs[name].tolist() == short.runs[name].tolist()
    assert (whole.runs["rounds"] > short.runs["rounds"]).all()
    assert set(whole.runs["stopped"]) == {"seconds"}
    assert whole.table().equals(short.table())
    assert str(whole) == str(short)
    with pytest.raises(OptionError, match="go_on: runs go on after a target"):
        compare(cell, rounds=1, go_on=True)
    with pytest.raises(OptionError, match="seconds: a target needs a budget"):
        compare(cell, target_accuracy=0.2)


def test_the_picture_of_a_run_shows_accuracy_and_losses(cell):
    result = train(cell, rounds=4, target_accuracy=0.99)
    accuracy, loss = result.plot().axes
    np.testing.assert_array_equal(accuracy.lines[0].get_xdata(), result.to_frame()["seconds"])
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["test loss", "train loss"]


def test_a_single_point_is_a_dot_and_short_times_are_plain_numbers(cell):
    result = train(cell, scheme="fedavg", rounds=1, seed=3, progress=False)
    _, loss = result.plot().axes
    assert [line.get_marker() for line in loss.lines] == ["", "."]
    options = {
        "target_accuracy": 0.15,
        "seconds": 900.0,
        "scheme": "fedavg",
        "policies": ["optimal"],
        "seeds": [3],
    }
    figure = compare(cell, **options).plot()
    figure.savefig(io.BytesIO())
    (axes,) = figure.axes
    ticks = [text.get_text() for text in axes.get_xticklabels(which="both") if text.get_text()]
    assert ticks
    assert all(text.isdigit() for text in ticks)


def test_the_picture_of_a_run_shows_the_accuracy_before_the_download_too():
    result = train("mix2fld", scheme="fd", iterations=5, rounds=3)
    accuracy, _ = result.plot().axes
    drawn = {line.get_label(): line.get_ydata() for line in accuracy.lines}
    for label, column in (
        ("after local training", "local_accuracy"),
        ("after the download", "test_accuracy"),
    ):
        np.testing.assert_array_equal(drawn[label], result.to_frame()[column].dropna())


def test_pictures_and_tables_pass_over_rounds_that_were_not_judged(tmp_path, cell):
    options = {"judge_every": 3, "policies": ["optimal", "full"], "seeds": [3]}
    comparison = compare(cell, target_accuracy=0.99, seconds=600.0, **options)
    for policy in ("optimal", "full"):
        curve = comparison.curves[policy, 3]
        assert curve["test_accuracy"].isna().any()
        drawn = next(line for line in comparison.plot().axes[0].lines if line.get_label().startswith(policy))
        np.testing.assert_array_equal(drawn.get_ydata(), curve["test_accuracy"].dropna())
    run = train(cell, rounds=8, judge_every=3)
    frame = run.to_frame()
    assert frame.index[frame["test_accuracy"].notna()].tolist() == [0, 3, 6]
    accuracy, loss = run.plot().axes
    np.testing.assert_array_equal(accuracy.lines[0].get_xdata(), frame["seconds"][[0, 3, 6]])
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), frame["test_loss"].dropna())
    assert len(loss.lines[1].get_ydata()) == 8
    found = compare_runs([save_run(run, "sparse", tmp_path)])
    row = found.table([0.2]).iloc[0]
    assert row["final_accuracy"] == run.ledger.accuracy == frame["test_accuracy"][6]
    line = found.plot([0.2]).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), frame["seconds"][[0, 3, 6]])


def test_the_clock_stops_at_the_target_even_where_the_run_goes_on_to_another(cell):
    options = {"seconds": 2000.0, "policies": ["full"], "seeds": [3]}
    both = compare(cell, target_accuracy=0.4, target={"test_loss": 1.2}, **options)
    alone = compare(cell, target_accuracy=0.4, **options)
    assert both.runs["rounds"][0] > alone.runs["rounds"][0]
    for column in ("seconds_to_target", "rounds_to_target", "energy_to_target_j"):
        assert both.runs[column][0] == alone.runs[column][0]
    assert "to accuracy 0.4" in str(both)


def test_unknown_energy_is_said_to_be_unknown(cell):
    bare = cell.replace({"devices.energy_coefficient": None})
    missing = "energy unknown (give devices.cpu_frequency_hz and devices.energy_coefficient)"
    assert f"{missing}; stopped" in repr(train(bare, rounds=1))
    assert " J; stopped" in repr(train(cell, rounds=1))
    runs = made({"optimal": [1.0, None]})
    assert "energy unknown" not in str(runs)
    runs.runs["energy_to_target_j"] = math.nan
    assert str(runs).endswith(f"\n{missing}")


@pytest.mark.parametrize(
    ("policies", "more", "error", "message"),
    [
        (
            {"full": {}, "optimal": {"learning_rat": 1}},
            {},
            OptionError,
            r"learning_rat; did you mean learning_rate",
        ),
        (["full", "best"], {}, OptionError, r"unknown policy 'best'"),
        (
            {"a": {"policy": "full"}, "b": {"policy": "full", "scheme": "fedav"}},
            {},
            OptionError,
            r"mean fedavg",
        ),
        (
            {"full": {}, "optimal": {"model": "nlp"}},
            {},
            OptionError,
            r"unknown model 'nlp'.*did you mean mlp",
        ),
        (
            {"full": {}, "optimal": {"partition": "shards:500"}},
            {},
            ProblemError,
            r"use fewer devices or shards",
        ),
        (["full"], {"lr": 0.1}, OptionError, r"unknown option lr; did you mean learning_rate\?"),
        (["full"], {"devcie": "cpu"}, OptionError, r"unknown option devcie; did you mean device"),
    ],
)
def test_a_mistake_of_any_policy_is_told_before_the_first_run(cell, policies, more, error, message):
    done = []
    with pytest.raises(error, match=message):
        compare(
            cell,
            target_accuracy=0.9,
            seconds=500.0,
            policies=policies,
            seeds=1,
            callbacks=[lambda *round: done.append(round)],
            **more,
        )
    assert done == []


def test_a_comparison_with_measured_times_is_checked_without_measuring(cell, monkeypatch):
    monkeypatch.setattr("learning.setup.time_training", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(OptionError, match=r"did you mean learning_rate"):
        compare(
            cell,
            target_accuracy=0.9,
            seconds=500.0,
            policies=["full"],
            compute="measured",
            learning_rat=1,
            seeds=1,
        )


def test_the_picture_of_a_run_has_the_private_accuracy_and_the_targets_by_name(cell):
    targets = {"private_accuracy": 0.95, "test_loss": 0.1, "test_accuracy": 0.9}
    result = train(cell, rounds=2, private=True, target=targets, data="digits@300+100")
    accuracy, loss = result.plot().axes
    drawn = {line.get_label(): line for line in accuracy.lines}
    private = result.to_frame()["private_accuracy"].tolist()
    assert drawn["on each device's own labels"].get_ydata().tolist() == private
    assert {text.get_text() for text in accuracy.texts} == {"private accuracy 0.95", "target 0.9"}
    assert [text.get_text() for text in loss.texts] == ["test loss 0.1"]


def test_a_comparison_goes_on_with_more_seeds_and_policies_and_trains_what_is_missing(
    cell, tmp_path, monkeypatch
):
    trained = []
    local = FedSgd.local
    monkeypatch.setattr(FedSgd, "local", lambda self, *given: trained.append(1) or local(self, *given))
    options = {"target_accuracy": 0.9, "seconds": 400.0, "data": "digits@300+100", "checkpoints": tmp_path}
    first = compare(cell, policies=["full"], seeds=2, **options)
    rounds = len(trained)
    assert rounds == first.runs["rounds"].sum()
    more = compare(cell, policies=["full", "online"], seeds=3, **options)
    known = more.runs[(more.runs["policy"] == "full") & (more.runs["seed"] < 2)].reset_index(drop=True)
    assert known.equals(first.runs)
    assert len(trained) == more.runs["rounds"].sum()


def test_an_allocator_of_ones_own_is_compared_by_its_name(cell):
    def halves(devices, rng):
        solution = devices.problem("feel").solve(integer=True)
        return solution.problem.judge(**{
            name: 0.9 * getattr(solution, name) for name in ("uplink_slot_s", "downlink_slot_s")
        }, batchsize=solution.batchsize)  # fmt: skip

    options = {"seeds": 1, "rounds": 2, "data": "digits@300+100", "model": "softmax"}
    found = compare(cell, policies={"optimal": {}, "nine tenths": {"allocator": halves}}, **options)
    assert found.policies == ["optimal", "nine tenths"]
    assert found.runs["seconds"][1] > found.runs["seconds"][0]
