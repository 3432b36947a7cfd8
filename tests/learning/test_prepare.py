"""Preparations: what happens to the data before the first round, what it costs, and that it is done once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import learning
from learning import Preparation, Prepared, SharePublic, save_run, train
from learning.models.weights import digest_of
from learning.runs.checkpoint import Checkpoint
from radioopt import OptionError, ProblemError, Scenario

DISTILLED = {"scenario": "mix2fld", "policy": "paper", "model": "softmax", "iterations": 20, "max_slots": 114}
SEEDED = {"server_iterations": 20, "seed_samples": 4}
SCHEMES = {
    "feel": {},
    "fedavg": {},
    "fedprox": {},
    "scaffold": {},
    "semi": {},
    "sst": {},
    "central": {"radio": "silent"},
    "individual": {"radio": "silent"},
    "contrastive": {},
    "decentralised": {"graph": "nearest:2"},
    "semi-decentralised": {"server_every": 2, "graph": "nearest:2", "clusters": 2},
    "fl": DISTILLED,
    "fd": DISTILLED,
    "fld": DISTILLED | SEEDED,
    "mixfld": DISTILLED | SEEDED,
    "mix2fld": DISTILLED | SEEDED,
    "stu": {"scenario": "dtkd"},
    "kd": {"scenario": "dtkd", "teacher_rounds": 10},
    "simkd": {"scenario": "dtkd", "teacher_rounds": 10},
}
SMALL = {"data": "digits@300+100", "seed": 3, "partition": "shards"}


@dataclass(frozen=True)
class Halve(Preparation):
    """Let every device throw half of its samples away."""

    seconds: float = 5.0

    def __call__(self, task, devices, radio):
        rng = task.streams.at("prepare/halve")
        parts = tuple(np.sort(rng.permutation(part)[: part.size // 2]) for part in task.parts)
        spent = {"seconds": self.seconds, "energy_j": 2.0, "uplink_bits": 8.0}
        return Prepared(
            task.replace(parts=parts), **spent, record={"kept": np.array([p.size for p in parts])}
        )


def test_public_samples_are_on_no_device_and_have_the_shares_of_all_classes(cell):
    result = train(cell, rounds=1, public=100, seed=3)
    task = result.task
    everybody = np.concatenate([task.server, *task.parts])
    assert task.server.size == 100
    assert len(np.unique(everybody)) == len(everybody) == task.data.train_y.size
    whole = np.bincount(task.data.train_y) * 100 / task.data.train_y.size
    assert (np.abs(np.bincount(task.data.train_y[task.server]) - whole) < 1).all()
    assert result.config["public"] == 100
    assert result.to_frame()["seconds"][0] == 0.0  # setting aside costs nothing
    assert train(cell, rounds=1, public=0.1).task.server.size == round(0.1 * 1437)
    assert train(cell, rounds=1).task.server.size == 0


def test_shared_samples_are_added_on_every_device(cell):
    options = {"rounds": 1, "public": 100, "seed": 3, "partition": "shards"}
    bare, shared = train(cell, **options), train(cell, before=[SharePublic(share=0.4)], **options)
    for before, after in zip(bare.task.parts, shared.task.parts, strict=True):
        np.testing.assert_array_equal(after[: before.size], before)
        added = after[before.size :]
        assert len(np.unique(added)) == len(added) == 40
        assert np.isin(added, bare.task.server).all()
    drawn = {tuple(part[-40:].tolist()) for part in shared.task.parts}
    assert len(drawn) == 6  # anew for every device
    everything = train(cell, before=[SharePublic()], **options).task
    assert all(np.isin(everything.server, part).all() for part in everything.parts)


def test_what_sharing_costs_is_row_0(cell):
    options = {"public": 100, "rounds": 2, "seed": 3}
    bare, shared = train(cell, **options), train(cell, before=[SharePublic(bits_per_number=16.0)], **options)
    bits = 16.0 * 100 * 64
    devices = cell.draw(shared.task.streams.at("channel"))
    seconds = bits / devices.downlink_rate_bps.min()
    first = shared.to_frame().iloc[0]
    assert first["seconds"] == first["round_latency_s"] == pytest.approx(seconds, rel=1e-12)
    assert (first["downlink_bits"], first["uplink_bits"], first["energy_j"]) == (bits, 0.0, 0.0)
    one = shared.ledger.entries[0]
    assert one.seconds == pytest.approx(seconds + one.sent.seconds, rel=1e-12)
    assert bare.to_frame().iloc[0]["seconds"] == 0.0
    assert train(cell, seconds=seconds / 2, before=[SharePublic()], public=100).stopped == "seconds"


def test_preparations_compose_in_order_and_their_costs_add_up(cell):
    options = {"public": 60, "rounds": 1, **SMALL}
    share, halve = SharePublic(), Halve()
    one, other = (train(cell, before=before, **options) for before in ([share, halve], [halve, share]))
    bare = train(cell, **options)
    np.testing.assert_array_equal(one.task.sizes, (bare.task.sizes + 60) // 2)
    np.testing.assert_array_equal(other.task.sizes, bare.task.sizes // 2 + 60)
    for result in (one, other):
        first, sharing = result.to_frame().iloc[0], train(cell, before=[share], **options).to_frame().iloc[0]
        assert first["seconds"] == pytest.approx(5.0 + sharing["seconds"], rel=1e-12)
        assert (first["energy_j"], first["uplink_bits"]) == (2.0, 8.0)
        assert first["downlink_bits"] == sharing["downlink_bits"]
        batches = result.ledger.to_frame("device")["batchsize"].to_numpy()
        assert (batches <= result.task.sizes).all()
    joules = one.ledger.entries[0]
    assert joules.joules == pytest.approx(2.0 + joules.energy_j, rel=1e-12)
    assert [step["name"] for step in other.config["before"]][1] == "share-public"


@pytest.mark.parametrize("name", learning.SCHEMES)
def test_sharing_composes_with_every_scheme_and_goes_on_bit_for_bit(cell, tmp_path, monkeypatch, name):
    options = {"scheme": name, "public": 60, "before": [Halve()], "rounds": 4, **SMALL} | SCHEMES[name]
    where = Scenario.load(options.pop("scenario")) if "scenario" in options else cell
    if name not in ("individual", "central"):  # whose radio sends nothing
        options["before"] = [SharePublic(share=0.5), Halve()]
    unbroken = train(where, checkpoint=tmp_path / "unbroken.npz", **options)
    keep = Checkpoint.keep

    def keep_and_stop(self, place, **more):
        keep(self, place, **more)
        if len(place[-1]) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "keep", keep_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(where, checkpoint=tmp_path / "c.npz", every=1, **options)
    with monkeypatch.context() as patch:  # what was prepared is not prepared again
        patch.setattr(Halve, "__call__", None)
        resumed = train(where, checkpoint=tmp_path / "c.npz", every=1, **options)
    assert resumed.ledger.to_csv() == unbroken.ledger.to_csv()
    assert resumed.ledger.to_csv("device") == unbroken.ledger.to_csv("device")
    for device in range(len(unbroken.task.parts)):
        assert digest_of(resumed.weights(device)) == digest_of(unbroken.weights(device))
        np.testing.assert_array_equal(resumed.task.parts[device], unbroken.task.parts[device])
    for one, other in zip(resumed.prepared, unbroken.prepared, strict=True):
        pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())
    beside, other = (np.load(tmp_path / f"{file}.npz.prepared") for file in ("c", "unbroken"))
    assert beside["now"].tobytes() == other["now"].tobytes()
    assert len(resumed.prepared) == len(options["before"]) + len(learning.SCHEMES[name].needs)


def test_a_run_that_was_killed_before_its_first_checkpoint_prepares_once(cell, tmp_path, monkeypatch):
    options = {"public": 60, "before": [SharePublic()], "rounds": 3, **SMALL}

    def dies(*given):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cell, checkpoint=tmp_path / "c.npz", callbacks=[dies], **options)
    assert [file.name for file in tmp_path.iterdir()] == ["c.npz.prepared"]
    kept = (tmp_path / "c.npz.prepared").read_bytes()
    resumed = train(cell, checkpoint=tmp_path / "c.npz", **options)
    assert resumed.ledger.to_csv() == train(cell, **options).ledger.to_csv()
    assert (tmp_path / "c.npz.prepared").read_bytes() == kept


def test_what_was_prepared_for_other_settings_is_refused(cell, tmp_path):
    options = {"public": 60, "rounds": 1, **SMALL}
    train(cell, checkpoint=tmp_path / "c.npz", before=[SharePublic()], **options)
    (tmp_path / "c.npz").unlink()
    with pytest.raises(OptionError, match=r"c.npz.prepared is of a run with other settings: before: "):
        train(cell, checkpoint=tmp_path / "c.npz", before=[SharePublic(share=0.5)], **options)
    (tmp_path / "c.npz.prepared").write_bytes(b"nothing")
    with pytest.raises(ProblemError, match=r"c.npz.prepared: not a checkpoint that radioopt wrote"):
        train(cell, checkpoint=tmp_path / "c.npz", before=[SharePublic()], **options)


def test_what_was_done_is_kept_with_the_run(cell, tmp_path):
    result = train(cell, public=60, before=[SharePublic(share=0.5), Halve()], rounds=1, **SMALL)
    path = save_run(result, "shared", tmp_path)
    read = pd.read_csv(path / "prepared-1.csv", index_col=0)
    pd.testing.assert_frame_equal(read, result.prepared[0].to_frame())
    assert read.index.name == "device"
    assert read.index.tolist() == list(range(6))
    assert list(read) == ["samples_before", "samples_added"]
    assert read["samples_added"].tolist() == [30] * 6
    second = pd.read_csv(path / "prepared-2.csv", index_col=0)
    assert second["kept"].tolist() == [size // 2 for size in read["samples_before"] + 30]
    assert result.config["before"][0] == {"name": "share-public", "share": 0.5, "bits_per_number": 8.0}
    assert result.config["before"][1]["seconds"] == 5.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"before": [SharePublic()]}, ProblemError, r"no public samples: set some aside, as public=100"),
        (
            {"before": [SharePublic()], "public": 50, "scheme": "individual"},
            OptionError,
            r"radio: Silent sends nothing: take another radio",
        ),
        ({"public": 1500}, OptionError, r"public samples: expected 10 \(one per class\) to 1437, got 1500"),
        ({"public": 1437}, ProblemError, r"6 devices need at least as many samples, got 0"),
        ({"public": 2.5}, OptionError, r"public: expected a whole number >= 1, got 2.5"),
        ({"before": 7}, OptionError, r"before: expected preparations, got 7"),
        (
            {"before": [SharePublic]},
            OptionError,
            r"unknown preparation .*SharePublic.*, choose from share-public, .*, or a learning.Preparation",
        ),
    ],
)
def test_what_cannot_be_prepared_is_refused(cell, options, error, message):
    with pytest.raises(error, match=message):
        train(cell, rounds=1, **options)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"share": 0}, "share: expected a number > 0 and <= 1, got 0"),
        ({"share": 1.5}, "share: expected a number > 0 and <= 1, got 1.5"),
        ({"bits_per_number": -8}, "bits_per_number: expected a number > 0, got -8"),
    ],
)
def test_wrong_numbers_of_sharing_are_refused(option, message):
    with pytest.raises(OptionError, match=message):
        SharePublic(**option)


def test_preparations_that_return_something_else_or_are_no_dataclass(cell):
    class Bare(Preparation):
        def __call__(self, task, devices, radio):
            return None

    with pytest.raises(ProblemError, match=r"Bare: expected a dataclass of its options: write @dataclass"):
        train(cell, before=[Bare()], rounds=1, progress=False)
    with pytest.raises(
        ProblemError, match=r"preparation .*Bare: expected a learning.Prepared with the task, got None"
    ):
        train(cell, before=[dataclass(frozen=True)(Bare)()], rounds=1, progress=False)
