"""--trace: an instant or all of them in a batch for solve, and rounds in time for train."""

import json
from pathlib import Path

import pytest

from radioopt import ChannelTrace, Scenario
from radioopt.cli import main

TRACE = """time_s,device,uplink_rate_mbps,downlink_rate_mbps
0,0,20,40
0,1,35,60
10,0,30,40
10,1,10,50
2000,0,25,40
2000,1,15,50
"""
SOLVE = ["solve", "feel-cpu", "--set", "devices.count=2"]
TRAIN = ["train", "feel-cpu", "--set", "devices.count=2", "--data", "digits@300+100", "--model", "softmax"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(TRACE)


def printed(capsys, *arguments):
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments):
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def problem_at(time_s, **options):
    trace = ChannelTrace.from_csv("t.csv", **options)
    return Scenario.load("feel-cpu", {"devices.count": 2}).draw(0).follow(trace, time_s).problem("feel")


@pytest.mark.parametrize(
    "options", [{}, {"interpolate": "linear"}, {"beyond": "repeat", "interpolate": "linear"}]
)
def test_one_instant_is_solved(capsys, options):
    time_s = "2500" if "beyond" in options else "5"
    flags = [text for name, value in options.items() for text in (f"--{name}", value)]
    document = json.loads(printed(capsys, *SOLVE, "--trace", "t.csv", "--at", time_s, *flags, "--json"))
    assert document["objective"] == problem_at(float(time_s), **options).solve().objective


def test_all_instants_are_solved_in_a_batch(capsys):
    arguments = [*SOLVE, "--trace", "t.csv"]
    document = json.loads(printed(capsys, *arguments, "--json"))
    assert [row["time_s"] for row in document["instants"]] == [0.0, 10.0, 2000.0]
    expected = problem_at([0.0, 10.0, 2000.0]).solve()
    assert [row["objective"] for row in document["instants"]] == expected.objective.tolist()
    lines = printed(capsys, *arguments, "--csv").splitlines()
    assert lines[0].startswith("time_s,device,batchsize,")
    assert [line.split(",")[:2] for line in lines[1:4]] == [["0.0", "0"], ["0.0", "1"], ["10.0", "0"]]
    shown = printed(capsys, *arguments)
    assert "feel: 3 instants by 'newton': 3 OPTIMAL" in shown
    assert "over 3 instants" in shown
    draws = json.loads(printed(capsys, *arguments, "--at", "10", "--draws", "4", "--json"))["draws"]
    assert [row["objective"] for row in draws] == [expected.objective[1]] * 4


def test_instants_without_an_answer_are_named_by_their_time(capsys):
    assert main([*SOLVE, "--trace", "t.csv", "--set", "feel.max_round_latency_s=40"]) == 1
    assert "first without a feasible point: instant 10 s: " in capsys.readouterr().out


def test_names_in_the_table_of_devices_find_their_rates(capsys):
    Path("devices.csv").write_text("device,distance_m\ncar,80\nphone,100\n")
    Path("names.csv").write_text(TRACE.replace(",0,", ",car,").replace(",1,", ",phone,"))
    names = json.loads(
        printed(
            capsys,
            "solve",
            "feel-cpu",
            "--devices",
            "devices.csv",
            "--trace",
            "names.csv",
            "--at",
            "0",
            "--json",
        )
    )
    assert names["objective"] == problem_at(0.0).solve().objective
    Path("devices.csv").write_text("device,distance_m\nphone,80\ncar,100\n")
    other = json.loads(
        printed(
            capsys,
            "solve",
            "feel-cpu",
            "--devices",
            "devices.csv",
            "--trace",
            "names.csv",
            "--at",
            "0",
            "--json",
        )
    )
    assert other["objective"] != names["objective"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "3"], "--at: belongs to --trace: give a trace, or leave it out"),
        (["--interpolate", "hold"], "--interpolate: belongs to --trace"),
        (["--beyond", "hold"], "--beyond: belongs to --trace"),
        (["--trace", "t.csv", "--draws", "3"], "--draws with --trace: choose an instant with --at"),
        (
            ["--trace", "t.csv", "--plot", "a.png"],
            "--plot shows one allocation: choose an instant of the trace",
        ),
        (["--trace", "t.csv", "--at", "2001"], "expected <= 2000.0 s, where t.csv ends"),
        (["--trace", "t.csv", "--set", "devices.count=3"], "t.csv: no device 2"),
        (["--trace", "none.csv"], "none.csv: the trace cannot be read"),
    ],
)
def test_solve_refuses(capsys, arguments, message):
    assert message in refused(capsys, *SOLVE, *arguments)
    assert not Path("a.png").exists()


def test_a_saved_problem_has_no_trace(capsys):
    problem_at(0.0).save("p.npz")
    assert "--trace: for a scenario" in refused(capsys, "solve", "p.npz", "--trace", "t.csv")


def test_training_follows_a_trace_and_goes_on(capsys):
    arguments = [
        *TRAIN,
        "--policy",
        "full",
        "--trace",
        "t.csv",
        "--interpolate",
        "linear",
        "--beyond",
        "repeat",
    ]
    whole = json.loads(printed(capsys, *arguments, "--rounds", "4", "--name", "whole", "--json"))
    told = ChannelTrace.from_csv("t.csv", interpolate="linear", beyond="repeat").settings()
    assert whole["config"]["trace"] == told
    assert json.loads(Path("runs/whole/manifest.json").read_text())["config"]["trace"] == told
    printed(capsys, *arguments, "--rounds", "2", "--name", "short")
    on = json.loads(printed(capsys, "train", "--resume", "runs/short", "--rounds", "4", "--json"))
    assert on["rows"] == whole["rows"]
    other = json.loads(printed(capsys, *TRAIN, "--policy", "full", "--rounds", "4", "--json"))
    assert other["rows"][1]["seconds"] != whole["rows"][1]["seconds"]


def test_training_ends_with_the_trace(capsys):
    arguments = [*TRAIN, "--policy", "full", "--trace", "t.csv", "--name", "a"]
    assert "stopped by trace" in printed(capsys, *arguments)
    assert json.loads(Path("runs/a/manifest.json").read_text())["result"]["stopped"] == "trace"


def test_train_refuses(capsys):
    assert "--beyond: belongs to --trace" in refused(capsys, *TRAIN, "--beyond", "hold")
    Path("bad.csv").write_text(TRACE.replace("30,40", "30"))
    assert "bad.csv, line 4: expected 4 cells as in the header, got 3" in refused(
        capsys, *TRAIN, "--trace", "bad.csv"
    )
    assert not Path("runs").exists()
