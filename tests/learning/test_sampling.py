"""Client sampling: who takes part, what the others do not spend, and that everybody taking part changes nothing."""

import numpy as np
import pandas as pd
import pytest
import torch

import learning
from learning.radio.base import Work
from learning.radio.sampling import Candidates, Sampling, by_channel, by_data, only, oort
from radioopt import OptionError, ProblemError, Scenario

DISTILLED = {"model": "softmax", "iterations": 20, "max_slots": 114, "policy": "paper"}
SEEDED = {"server_iterations": 20, "seed_samples": 4}
#: every scheme in which devices can sit out
SETTINGS = {
    "feel": {},
    "fedavg": {},
    "fedprox": {},
    "scaffold": {"epochs": 2, "deadline_s": 200.0, "slowdown": 0.5},
    "semi": {"public": 60, "before": ["share-public"], "confidence": 0.3},
    "sst": {"public": 60},
    "individual": {},
    "contrastive": {"judge": "global"},
    "fl": DISTILLED,
    "fd": DISTILLED,
    "fld": DISTILLED | SEEDED,
    "mixfld": DISTILLED | SEEDED,
    "mix2fld": DISTILLED | SEEDED,
}
REFUSED = {"central", "decentralised", "semi-decentralised", "stu", "kd", "simkd"}


def run(cell, scheme, **options):
    where = Scenario.load("mix2fld") if learning.SCHEMES[scheme].radio == "fading" else cell
    settings = {"rounds": 3, "seed": 4, "data": "digits@300+100", "partition": "dirichlet", "progress": False}
    return learning.train(where, scheme=scheme, **settings | SETTINGS.get(scheme, {}) | options)


def tables(result):
    drop = {"round": ["participants"], "device": ["took_part"]}
    return [result.ledger.to_frame(per).drop(columns=names, errors="ignore") for per, names in drop.items()]


def candidates(
    samples=(10, 20, 30, 40), *, count=2, round=5, losses=None, seconds=None, last=None, devices=None
):
    k = len(samples)
    losses = np.full(k, np.nan) if losses is None else np.array(losses)
    seconds = np.full(k, np.nan) if seconds is None else np.array(seconds)
    last = np.zeros(k, np.int64) if last is None else np.array(last)
    return Candidates(devices, count, round, np.array(samples), losses, seconds, last)


def test_every_scheme_is_tried():
    assert SETTINGS.keys() | REFUSED == set(learning.SCHEMES)


@pytest.mark.parametrize("scheme", SETTINGS)
def test_where_all_take_part_every_number_is_as_without_sampling(cell, scheme):
    for sampled, whole in zip(
        tables(run(cell, scheme, participants=1.0)), tables(run(cell, scheme)), strict=True
    ):
        pd.testing.assert_frame_equal(sampled, whole)


@pytest.mark.parametrize("scheme", SETTINGS)
def test_who_sits_out_sends_and_spends_nothing(cell, scheme):
    result = run(cell, scheme, participants=2)
    devices, rounds = result.ledger.to_frame("device"), result.ledger.to_frame()
    assert (devices["took_part"].groupby("round").sum() == 2).all()
    assert (rounds["participants"][1:] == 2).all()
    out = devices[~devices["took_part"]]
    assert not out["arrived"].any()
    assert (out.drop(columns=["took_part", "arrived"]) == 0).all(axis=None)
    assert (devices[devices["took_part"]]["batchsize"] > 0).all()
    uploaded = devices["upload_energy_j"].groupby("round").sum()
    assert rounds["upload_energy_j"][1:].tolist() == pytest.approx(uploaded.tolist())


@pytest.mark.parametrize("scheme", sorted(REFUSED))
def test_where_all_must_take_part_sampling_is_refused(cell, scheme):
    where = cell if scheme == "central" else "dtkd"
    with pytest.raises(OptionError, match=r"participants: .*: leave participants out"):
        learning.train(where, scheme=scheme, participants=2, public=60 * (scheme == "central"), rounds=1)


def test_the_allocation_is_solved_for_those_who_take_part(cell):
    result = run(cell, "fedavg", participants=2)
    for entry in result.ledger.entries:
        some = np.flatnonzero(entry.plan.chosen)
        alone = entry.plan.devices[some].problem("feel")
        solution = entry.plan.solution
        assert solution.status.name == "OPTIMAL"
        assert solution.problem.uplink_rate_bps == pytest.approx(alone.uplink_rate_bps)
        assert solution.uplink_slot_s.sum() == pytest.approx(
            alone.uplink_frame_s
        )  # they share the whole frame
        assert entry.sent.seconds == pytest.approx(float(solution.round_latency_s))


def test_who_sits_out_keeps_its_model(cell):
    result = run(cell, "individual", participants=lambda known, rng: [0, 3])
    initial = result.crew.task.initial_values()
    for cohort, own in result.crew.states():
        for place, device in enumerate(cohort.devices.tolist()):
            same = all(torch.equal(own[name][place], value) for name, value in initial.items())
            assert same == (device not in (0, 3))


def test_chunks_of_any_size_give_the_same(cell):
    whole, single = (run(cell, "scaffold", participants=3, devices_at_once=n) for n in (6, 1))
    for one, other in zip(tables(whole), tables(single), strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-4)


@pytest.mark.parametrize("selection", learning.SELECTIONS)
def test_an_interrupted_run_chooses_the_same_devices(cell, selection, tmp_path):
    options = {"participants": 0.5, "selection": selection}
    whole = run(cell, "fedavg", rounds=6, **options)
    kept = {"checkpoint": tmp_path / "run.npz", "every": 1}
    run(cell, "fedavg", rounds=3, **options, **kept)
    resumed = run(cell, "fedavg", rounds=6, **options, **kept)
    for one, other in zip(tables(whole), tables(resumed), strict=True):
        pd.testing.assert_frame_equal(one, other)
    chosen = [result.ledger.to_frame("device")["took_part"].tolist() for result in (whole, resumed)]
    assert chosen[0] == chosen[1]


def test_selections_are_paired_in_all_else(cell):
    one, other = (run(cell, "fedavg", participants=3, selection=name) for name in ("uniform", "channel"))
    for a, b in zip(one.ledger.entries, other.ledger.entries, strict=True):
        assert a.plan.devices == b.plan.devices


def test_by_channel_takes_the_best_uplinks(cell):
    devices = cell.draw(seed=1)
    found = by_channel(candidates([10] * 6, devices=devices, count=2), None)
    assert set(found.tolist()) == set(np.argsort(devices.uplink_rate_bps)[-2:].tolist())


def test_by_data_draws_as_often_as_devices_hold_samples():
    rng, known = np.random.default_rng(0), candidates(count=1)
    drawn = np.bincount([by_data(known, rng)[0] for _ in range(4000)], minlength=4) / 4000
    assert drawn == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.025)  # three standard deviations


def test_oort_takes_the_useful_the_fast_and_some_that_are_new():
    rng = np.random.default_rng(0)
    useful = candidates([10] * 5, losses=[1, 5, 2, 4, 3], seconds=[1.0] * 5, last=[4] * 5)
    assert sorted(oort(useful, rng)) == [1, 3]
    slow = candidates([10] * 5, losses=[1, 5, 2, 4, 3], seconds=[1, 9, 1, 1, 1.0], last=[4] * 5)
    assert sorted(oort(slow, rng)) == [3, 4]
    losses = [1.0, 5.0, 2.0, 4.0, np.nan, np.nan]
    mixed = candidates(
        [10] * 6, count=5, losses=losses, seconds=[1.0] * 4 + [np.nan] * 2, last=[4] * 4 + [0] * 2
    )
    found = oort(mixed, rng).tolist()
    assert len(set(found) & {4, 5}) == 1
    assert set(found) - {4, 5} == {0, 1, 2, 3}
    assert len(set(oort(candidates([10] * 5, count=3, round=1), rng).tolist())) == 3
    forgotten = candidates(
        [10] * 3, count=1, round=500, losses=[2.0, 2.1, 1.9], seconds=[1.0] * 3, last=[499, 499, 1]
    )
    assert oort(forgotten, rng).tolist() == [2]


def test_a_share_is_of_all_devices_and_at_least_one():
    assert [Sampling(share).count(12) for share in (0.01, 0.1, 0.25, 1.0)] == [1, 1, 3, 12]
    assert Sampling(5).count(12) == 5


def test_work_of_some_devices():
    steps = (np.array([1]), np.array([2, 2]), np.array([3]))
    some = only(Work(np.array([1, 4, 3]), steps, kinds=np.array([0, 1, 0])), np.array([1, 2]))
    assert some.held.tolist() == [4, 3]
    assert some.samples.tolist() == [4, 3]
    assert some.kinds.tolist() == [1, 0]
    assert some.own is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"participants": 7}, "participants: expected at most the 6 devices, got 7"),
        ({"participants": 0}, "participants: expected"),
        ({"participants": 1.5}, "participants: expected"),
        ({"participants": 2, "selection": "best"}, "selection"),
        ({"selection": "oort"}, "selection: belongs to participants"),
        ({"participants": lambda known, rng: [0], "selection": "data"}, "participants is a function"),
    ],
)
def test_mistakes_are_named(cell, options, message):
    with pytest.raises(OptionError, match=message):
        run(cell, "fedavg", **options)


@pytest.mark.parametrize("found", [[], [0, 0], [6], [-1], [0.5], "all", [[0, 1]]])
def test_a_selection_of_ones_own_returns_numbers_of_devices(cell, found):
    with pytest.raises(
        ProblemError,
        match=r"^participants .*: expected numbers of devices from 0 to 5, at least one and none twice",
    ):
        run(cell, "fedavg", participants=lambda known, rng: found)
    with pytest.raises(ProblemError, match=r"^selection .*: expected numbers of devices from 0 to 5"):
        run(cell, "fedavg", participants=2, selection=lambda known, rng: found)


def test_a_mask_will_do(cell):
    result = run(
        cell, "fedavg", participants=lambda known, rng: known.samples > np.median(known.samples), rounds=1
    )
    assert result.ledger.entries[0].plan.chosen.sum() == 3
