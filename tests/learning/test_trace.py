"""Training along a channel trace: each round at its own time, resumed bit for bit, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import learning
from learning import train
from learning.runs.checkpoint import Checkpoint
from radioopt import ChannelTrace, OptionError, ProblemError, Scenario

CELL = Scenario.load("feel-cpu", {"devices.count": 3})
QUICK = {"data": "digits@300+100", "model": "softmax", "policy": "full", "seed": 1}
RATES = np.random.default_rng(1).uniform(1e7, 9e7, (40, 3))
TIMES = 50.0 * np.arange(40)


def trace_of(start=0.0, **options):
    return ChannelTrace.from_arrays(TIMES + start, uplink_rate_bps=RATES, **options)


def uplinks(result):
    return [entry.plan.devices.uplink_rate_bps.tolist() for entry in result.ledger.entries]


@pytest.mark.parametrize("interpolate", ["hold", "linear"])
@pytest.mark.parametrize("start", [0.0, 1.7e9])
def test_each_round_has_the_rates_of_its_start(interpolate, start):
    trace = trace_of(start, interpolate=interpolate)
    result = train(CELL, trace=trace, rounds=4, **QUICK)
    starts = [0.0, *(entry.seconds for entry in result.ledger.entries[:-1])]
    assert len({tuple(rates) for rates in uplinks(result)}) == 4
    assert uplinks(result) == trace.at(start + np.array(starts))["uplink_rate_bps"].tolist()


def test_the_plan_follows_the_trace():
    """Slots and latency are those of the problem that the trace poses at the round's start."""
    trace = trace_of()
    result = train(CELL, trace=trace, rounds=3, **QUICK)
    drawn = result.ledger.entries[0].plan.devices
    start = 0.0
    for entry in result.ledger.entries:
        problem = drawn.follow(trace, start).problem("feel")
        posed = entry.plan.solution.problem
        np.testing.assert_array_equal(posed.uplink_rate_bps, problem.uplink_rate_bps)
        start = entry.seconds


def test_gains_fade_on_top_and_runs_stay_paired():
    cell = CELL.replace({"cell.fading": "block"})
    gains = ChannelTrace.from_arrays(TIMES, channel_gain=RATES * 1e-17)
    result = train(cell, trace=gains, rounds=3, **QUICK)
    entries = result.ledger.entries
    starts = [0.0, *(entry.seconds for entry in entries[:-1])]
    plain = train(cell, rounds=3, **QUICK).ledger.entries
    for entry, other, start in zip(entries, plain, starts, strict=True):
        own, drawn = entry.plan.devices, other.plan.devices
        np.testing.assert_array_equal(own.channel_gain, gains.at(start)["channel_gain"])
        fading = drawn.uplink_snr / drawn.channel_gain  # power over noise, and the state that the round has
        np.testing.assert_allclose(own.uplink_snr / own.channel_gain, fading, rtol=1e-12)


def test_a_constant_trace_of_the_rates_drawn_changes_nothing():
    plain = train(CELL, rounds=3, **QUICK)
    drawn = plain.ledger.entries[0].plan.devices
    rates = {name: getattr(drawn, name)[None] for name in ("uplink_rate_bps", "downlink_rate_bps")}
    trace = ChannelTrace.from_arrays([0.0], **rates, beyond="hold")
    assert train(CELL, trace=trace, rounds=3, **QUICK).ledger.to_csv("device") == plain.ledger.to_csv(
        "device"
    )


def test_a_run_ends_with_its_trace_or_goes_on_beyond():
    short = ChannelTrace.from_arrays(TIMES[:3], uplink_rate_bps=RATES[:3])
    result = train(CELL, trace=short, rounds=6, **QUICK)
    assert result.stopped == "trace"
    starts = [0.0, *(entry.seconds for entry in result.ledger.entries[:-1])]
    assert starts[-1] <= TIMES[2] < result.ledger.seconds
    for beyond in ("hold", "repeat"):
        longer = ChannelTrace.from_arrays(TIMES[:3], uplink_rate_bps=RATES[:3], beyond=beyond)
        on = train(CELL, trace=longer, rounds=6, **QUICK)
        assert (on.stopped, len(on.ledger)) == ("rounds", 6)
        assert uplinks(on)[: len(result.ledger)] == uplinks(result)
        assert uplinks(on)[-1] == longer.at(on.ledger.entries[-2].seconds)["uplink_rate_bps"].tolist()


def test_fading_rounds_follow_gains():
    cell = Scenario.load("mix2fld", {"devices.count": 4})
    drawn = cell.draw(1)
    times = 0.5 * np.arange(200)
    gains = drawn.channel_gain * np.random.default_rng(2).uniform(0.5, 2, (200, 4))
    trace = ChannelTrace.from_arrays(times, channel_gain=gains, beyond="repeat")
    result = train(
        cell,
        scheme="fd",
        policy="paper",
        trace=trace,
        rounds=2,
        iterations=5,
        max_slots=114,
        data="digits@300+100",
        model="softmax",
    )
    second = result.ledger.entries[1].plan
    expected = trace.at(result.ledger.entries[0].seconds)["channel_gain"]
    np.testing.assert_array_equal(second.problem.channel_gain, expected)


# -- what is kept --------------------------------------------------------------------------------------------


class Interrupted(Exception):
    """What ends a run in these tests."""


@pytest.mark.parametrize("fading", ["ergodic", "block"])
def test_a_resumed_run_gives_the_same_bytes(tmp_path, monkeypatch, fading):
    cell = CELL.replace({"cell.fading": fading})
    quantity = {"uplink_rate_bps": RATES} if fading == "ergodic" else {"channel_gain": RATES * 1e-17}
    trace = ChannelTrace.from_arrays(TIMES, **quantity, interpolate="linear", beyond="repeat")
    unbroken = train(cell, trace=trace, rounds=5, checkpoint=tmp_path / "whole.npz", every=1, **QUICK)
    keep = Checkpoint.keep

    def keep_and_stop(self, place, **options):
        keep(self, place, **options)
        if len(place[-1]) == 2:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "keep", keep_and_stop)
        with pytest.raises(Interrupted):
            train(cell, trace=trace, rounds=5, checkpoint=tmp_path / "a.npz", every=1, **QUICK)
    resumed = train(cell, trace=trace, rounds=5, checkpoint=tmp_path / "a.npz", every=1, **QUICK)
    assert resumed.ledger.to_csv("device") == unbroken.ledger.to_csv("device")
    for one, other in zip(resumed.ledger.entries, unbroken.ledger.entries, strict=True):
        assert one.plan.devices == other.plan.devices
    weights = [{n: w.numpy().tobytes() for n, w in r.state.parameters.items()} for r in (resumed, unbroken)]
    assert weights[0] == weights[1]


def test_a_run_that_ended_with_its_trace_is_kept(tmp_path):
    short = ChannelTrace.from_arrays(TIMES[:3], uplink_rate_bps=RATES[:3])
    options = {"trace": short, "rounds": 6, "checkpoint": tmp_path / "a.npz", **QUICK}
    first, again = train(CELL, **options), train(CELL, **options)
    assert (again.stopped, again.ledger.to_csv()) == ("trace", first.ledger.to_csv())


def test_the_trace_is_among_the_settings(tmp_path):
    path = tmp_path / "rates.csv"
    frame = pd.DataFrame({"time_s": np.repeat(TIMES, 3), "device": np.tile(range(3), 40)})
    frame.assign(uplink_rate_bps=RATES.ravel()).to_csv(path, index=False)
    checkpoint = tmp_path / "a.npz"
    result = train(CELL, trace=path, rounds=1, checkpoint=checkpoint, **QUICK)
    expected = {"name": "rates.csv", "sha256": trace_of().sha256, "interpolate": "hold", "beyond": "refuse"}
    assert result.config["trace"] == expected
    assert train(CELL, rounds=1, **QUICK).config["trace"] is None
    train(CELL, trace=str(path), rounds=2, checkpoint=checkpoint, **QUICK)
    other = ChannelTrace.from_csv(path, interpolate="linear")
    with pytest.raises(OptionError, match=r"other settings: trace\.interpolate: hold there, linear here"):
        train(CELL, trace=other, rounds=2, checkpoint=checkpoint, **QUICK)
    frame.assign(uplink_rate_bps=RATES.ravel() * 2).to_csv(path, index=False)
    with pytest.raises(OptionError, match=r"other settings: trace\.sha256"):
        train(CELL, trace=path, rounds=2, checkpoint=checkpoint, **QUICK)


# -- what is refused -----------------------------------------------------------------------------------------


def test_traces_that_are_refused():
    with pytest.raises(ProblemError, match="no device 3"):
        train(CELL.replace({"devices.count": 4}), trace=trace_of(), **QUICK)
    cell = Scenario.load("mix2fld", {"devices.count": 3})
    with pytest.raises(ProblemError, match=r"arrays: \[mix2fld\] does not depend on uplink_rate_bps"):
        train(cell, scheme="fd", policy="paper", trace=trace_of(), data="digits@300+100", model="softmax")
    with pytest.raises(OptionError, match="trace: nothing is sent in this scheme: leave trace out"):
        train(CELL, scheme="individual", trace=trace_of(), data="digits@300+100", model="softmax")
    with pytest.raises(ProblemError, match=r"trace: expected a radioopt.ChannelTrace, .*, got 3"):
        train(CELL, trace=3, **QUICK)
    with pytest.raises(ProblemError, match=r"none\.csv: the trace cannot be read"):
        train(CELL, trace="none.csv", **QUICK)


def test_a_comparison_is_not_cut_short_by_a_trace():
    options = {"target_accuracy": 0.2, "policies": ["full", "online"], "seeds": 1, "data": "digits@300+100"}
    with pytest.raises(
        OptionError, match="arrays ends after 1950 s, before the budget of 2000 s: give fewer"
    ):
        learning.compare(CELL, trace=trace_of(), seconds=2000, model="softmax", **options)
    compared = learning.compare(CELL, trace=trace_of(beyond="hold"), seconds=2000, model="softmax", **options)
    assert compared.config["trace"]["beyond"] == "hold"
    assert len(compared.runs) == 2
