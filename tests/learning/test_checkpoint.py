"""Checkpoints: a run that was killed goes on and gives, bit for bit, the numbers of an unbroken one."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import learning
from learning import FedSgd, Message, train
from learning.models.weights import digest_of
from learning.runs.checkpoint import Checkpoint, _read
from learning.runs.snapshot import Reader, Writer
from learning.schemes.fedsgd import SgdState
from radioopt import OptionError, ProblemError, Scenario

DISTILLED = {"scenario": "mix2fld", "policy": "paper", "model": "softmax", "iterations": 20, "max_slots": 114}
SEEDED = {"server_iterations": 20, "seed_samples": 4}
KILLED = {
    "feel": {"policy": "random", "public": 50, "share": 0.5},
    "fedavg": {"scheme": "fedavg"},
    "mix2fld": {"scheme": "mix2fld", **DISTILLED, **SEEDED},
    "simkd": {"scheme": "simkd", "scenario": "dtkd", "teacher_rounds": 20},
}
#: rates of four devices over 30 s, which begin again after that: each of some ten rounds has others
TRACED = {
    "traced": {
        "scheme": "fedavg",
        "scenario": "feel-gpu",
        "rates": {
            "times": [0.0, 7.0, 16.0, 30.0],
            "uplink_rate_bps": [
                [2e7, 3e7, 5e7, 4e7],
                [4e7, 1e7, 2e7, 6e7],
                [3e7, 3e7, 1e7, 2e7],
                [5e7, 2e7, 4e7, 3e7],
            ],
        },
    }
}
#: samples that moved before the first round, by labels that spread and by clusters
MOVED = {
    "exchange": {
        "scheme": "fedavg",
        "scenario": "d2d-training",
        "partition": "few-labels:3",
        "before": ["propagate-labels:fraction=0.1", "exchange:edges=2", "exchange-clusters"],
    }
}
#: every scheme; those above are killed in earnest too
ALL = KILLED | {
    "feel": {"policy": "random"},
    "fedprox": {"scheme": "fedprox", "model": "cnn:4"},
    "scaffold": {"scheme": "scaffold"},
    "semi": {"scheme": "semi", "public": 50, "before": ["share-public"]},
    "sst": {"scheme": "sst", "public": 50},
    "central": {"scheme": "central", "public": 50},
    "individual": {"scheme": "individual"},
    "contrastive": {"scheme": "contrastive", "model": "mlp:8"},
    "decentralised": {"scheme": "decentralised", "graph": "random:2", "max_outage": 1.0},
    "semi-decentralised": {"scheme": "semi-decentralised", "server_every": 3, "graph": "ring", "clusters": 1},
    "fl": {"scheme": "fl", **DISTILLED},
    "fd": {"scheme": "fd", **DISTILLED},
    "fld": {"scheme": "fld", **DISTILLED, **SEEDED},
    "mixfld": {"scheme": "mixfld", **DISTILLED, **SEEDED},
    "stu": {"scheme": "stu", "scenario": "dtkd", "waiting": False},
    "kd": {"scheme": "kd", "scenario": "dtkd", "teacher_rounds": 10},
}


@pytest.mark.slow
def test_killed_runs_go_on_with_the_numbers_of_an_unbroken_one(tmp_path):
    script = Path(__file__).with_name("killed_runs.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), json.dumps(KILLED | TRACED | MOVED)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["scheme"] for report in reports] == list(KILLED | TRACED | MOVED)
    for report in reports:
        assert all(report["same"]), report
        assert any(0 < rounds < 10 for rounds in report["killed"]), report


class Interrupted(Exception):
    """What ends a run in these tests."""


@pytest.fixture
def interrupt(monkeypatch):
    """Make runs end with an error after so many rounds, as if the power had failed."""

    def after(rounds):
        keep = Checkpoint.keep

        def keep_and_stop(self, place, **options):
            keep(self, place, **options)
            if len(place[-1]) == rounds:
                raise Interrupted

        monkeypatch.setattr(Checkpoint, "keep", keep_and_stop)

    yield after
    monkeypatch.undo()


def broken_off(cell, path, interrupt, monkeypatch, after, **options):
    interrupt(after)
    with pytest.raises(Interrupted):
        train(cell, checkpoint=path, **options)
    monkeypatch.undo()


def models_of(result):
    """Every bit of all models."""
    own = [digest_of(result.weights(device)) for device in range(len(result.task.parts))]
    return [digest_of(result.state.parameters), *own]


OPTIONS = {"policy": "random", "partition": "shards", "seed": 3, "rounds": 8}


@pytest.mark.parametrize("rounds", [1, 3, 4, 7])
@pytest.mark.parametrize("every", [1, 3])
def test_the_whole_account_is_restored(cell, tmp_path, interrupt, monkeypatch, rounds, every):
    path = tmp_path / "run.npz"
    unbroken = train(cell, **OPTIONS)
    broken_off(cell, path, interrupt, monkeypatch, rounds, every=every, **OPTIONS)
    assert path.exists() == (rounds >= every)
    resumed = train(cell, checkpoint=path, every=every, **OPTIONS)
    assert resumed.stopped == unbroken.stopped
    assert resumed.ledger.to_csv() == unbroken.ledger.to_csv()
    assert resumed.ledger.to_csv("device") == unbroken.ledger.to_csv("device")
    assert models_of(resumed) == models_of(unbroken)
    for one, other in zip(resumed.ledger.entries, unbroken.ledger.entries, strict=True):
        assert one.plan.devices == other.plan.devices
        assert one.plan.solution == other.plan.solution
        assert one.plan.solution.verify().gap == other.plan.solution.verify().gap


@pytest.mark.parametrize("name", learning.SCHEMES)
def test_every_scheme_goes_on_bit_for_bit(cell, tmp_path, interrupt, monkeypatch, name):
    options = {"rounds": 4, "data": "digits@300+100", "seed": 1} | ALL[name]
    where = Scenario.load(options.pop("scenario")) if "scenario" in options else cell
    unbroken = train(where, **options)
    broken_off(where, tmp_path / "c.npz", interrupt, monkeypatch, 2, every=1, **options)
    resumed = train(where, checkpoint=tmp_path / "c.npz", **options)
    assert resumed.ledger.to_csv() == unbroken.ledger.to_csv()
    assert resumed.ledger.to_csv("device") == unbroken.ledger.to_csv("device")
    for one, other in zip(resumed.ledger.entries, unbroken.ledger.entries, strict=True):
        assert one.plan.devices == other.plan.devices
    assert models_of(resumed) == models_of(unbroken)
    for kind, bank in unbroken.devices.items():  # what else they keep, as the outputs that they heard
        for name in bank.values:
            one, other = (run.devices[kind].of(bank.devices)[name] for run in (resumed, unbroken))
            torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


LIMITS = ("seconds", "joules", "target_accuracy", "target", "epsilon")


def limit_of(limit, entries, done):
    """Options that end a run by this limit after so many rounds, which has these when it goes on."""
    last, following = entries[done - 1], entries[done]
    return {
        "rounds": {"rounds": done},
        "seconds": {"seconds": (last.seconds + following.seconds) / 2},
        "joules": {"joules": (last.joules + following.joules) / 2},
        "target_accuracy": {"target_accuracy": max(entry.test_accuracy for entry in entries[:done])},
        "target": {"target": {"train_loss": min(entry.train_loss for entry in entries[:done])}},
        "epsilon": {"epsilon": min(entry.change for entry in entries[:done]) * (1 + 1e-9)},
    }[limit]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_run_that_ends_by_itself_ends_the_same_when_it_is_asked_for_again(cell, tmp_path, limit):
    options = {"rounds": 50, **limit_of(limit, train(cell, seed=2, rounds=9).ledger.entries, 6)}
    runs = [train(cell, seed=2, checkpoint=tmp_path / "c.npz", every=1, **options) for _ in range(3)]
    assert {run.stopped for run in runs} == {limit}
    assert len({run.ledger.to_csv() for run in runs}) == 1
    assert len(runs[0].ledger) <= 6


@pytest.mark.parametrize("limit", ["rounds", *LIMITS])
@pytest.mark.parametrize("scheme", ["feel", "individual"])
def test_a_run_that_has_ended_goes_on_when_it_is_asked_for_more(cell, tmp_path, limit, scheme):
    options = {"scheme": scheme, "seed": 2, "partition": "shards", "data": "digits@300+100", "every": 2}
    straight = {name: tmp_path / f"{name}.npz" for name in ("unbroken", "part")}
    unbroken = train(cell, rounds=6, checkpoint=straight["unbroken"], **options)
    short = {"rounds": 50, **limit_of(limit, unbroken.ledger.entries, 3)}
    part = train(cell, checkpoint=straight["part"], **options, **short)
    assert part.stopped == limit
    assert 1 <= len(part.ledger) <= 3
    longer = train(cell, rounds=6, checkpoint=straight["part"], **options)
    assert longer.stopped == "rounds"
    assert longer.ledger.to_csv() == unbroken.ledger.to_csv()
    assert longer.ledger.to_csv("device") == unbroken.ledger.to_csv("device")
    assert models_of(longer) == models_of(unbroken)
    assert longer.config == unbroken.config
    one, other = (_read(file) for file in straight.values())
    assert one[1:] == other[1:]  # the same bytes, of the past and of the present
    assert one[0]["now"] == other[0]["now"]


def test_batch_normalisation_counts_its_batches_in_a_checkpoint(cell, tmp_path):
    """One counter that all devices share is a tensor of a single element without a stride."""
    options = {"scheme": "fedavg", "model": "dense:8", "iterations": 3, "data": "digits@300+100", "seed": 1}
    unbroken = train(cell, rounds=3, **options)
    train(cell, rounds=1, checkpoint=tmp_path / "c.npz", **options)
    resumed = train(cell, rounds=3, checkpoint=tmp_path / "c.npz", **options)
    assert resumed.ledger.to_csv() == unbroken.ledger.to_csv()
    assert models_of(resumed) == models_of(unbroken)


def test_a_run_of_more_rounds_than_are_asked_for_is_refused(cell, tmp_path):
    options = {"seed": 2, "checkpoint": tmp_path / "c.npz"}
    train(cell, rounds=3, **options)
    before = (tmp_path / "c.npz").read_bytes()
    with pytest.raises(
        OptionError,
        match=r"checkpoint .*c.npz: holds 3 rounds, and 2 are asked for: ask for as many or more, or choose anot",
    ):
        train(cell, rounds=2, **options)
    assert (tmp_path / "c.npz").read_bytes() == before
    assert len(train(cell, rounds=3, **options).ledger) == 3


def test_a_run_that_is_checkpointed_is_the_same_as_one_that_is_not(cell, tmp_path):
    plain, kept = train(cell, rounds=4), train(cell, rounds=4, checkpoint=tmp_path / "c.npz", every=2)
    assert plain.ledger.to_csv() == kept.ledger.to_csv()


def test_moving_devices_go_on_along_their_channel(cell, tmp_path, interrupt, monkeypatch):
    config = cell.to_dict()
    config["cell"] |= {"speed_mps": 1.0, "carrier_frequency_hz": 2e9, "round_duration_s": 0.01}
    moving = Scenario.from_dict(config)
    unbroken = train(moving, rounds=6)
    broken_off(moving, tmp_path / "c.npz", interrupt, monkeypatch, 3, every=1, rounds=6)
    resumed = train(moving, rounds=6, checkpoint=tmp_path / "c.npz")
    assert resumed.ledger.to_csv("device") == unbroken.ledger.to_csv("device")


@dataclass(frozen=True, eq=False, kw_only=True)
class Diary(SgdState):
    """A state with all sorts of things in it."""

    notes: tuple[dict[str, object], ...] = ()
    noise: torch.Generator | None = None
    own: np.random.Generator | None = None


class Diarist(FedSgd):
    """FedSGD that draws from generators of its own and spawns others."""

    def begin(self, task):
        begun = super().begin(task)
        started = {item.name: getattr(begun, item.name) for item in fields(begun)}
        noise = torch.Generator().manual_seed(int(task.streams.at("diary").integers(2**31)))
        return Diary(**started, noise=noise, own=np.random.default_rng(7))

    def combine(self, state, sums, round):
        state, _ = super().combine(state, sums, round)
        (child,) = state.own.spawn(1)
        drawn = torch.rand((), generator=state.noise), state.own.random(), child.random()
        note = {"drawn": drawn, "arrived": sums.total, "half": torch.ones(2, dtype=torch.bfloat16)}
        shift = sum(float(x) for x in drawn) * 1e-3
        moved = {name: value + shift for name, value in state.parameters.items()}
        return replace(state, parameters=moved, notes=(*state.notes, note)), Message(moved)


def test_schemes_with_a_state_of_their_own_are_restored(cell, tmp_path, interrupt, monkeypatch):
    unbroken = train(cell, scheme=Diarist(), rounds=6)
    broken_off(cell, tmp_path / "c.npz", interrupt, monkeypatch, 4, every=2, scheme=Diarist(), rounds=6)
    torch.rand(3)  # whatever else the process did
    resumed = train(cell, scheme=Diarist(), rounds=6, checkpoint=tmp_path / "c.npz", every=2)
    assert resumed.ledger.to_csv() == unbroken.ledger.to_csv()
    assert len(resumed.state.notes) == 6
    for one, other in zip(resumed.state.notes, unbroken.state.notes, strict=True):
        assert [float(x) for x in one["drawn"]] == [float(x) for x in other["drawn"]]
        assert one["arrived"] == other["arrived"]
        assert one["half"].dtype == torch.bfloat16


class Keeper(FedSgd):
    """FedSGD whose devices count their rounds."""

    replaces = False

    def join(self, cohort):
        return {**super().join(cohort), "keeper/rounds": torch.zeros(len(cohort), 1, dtype=torch.int64)}

    def local(self, own, cohort, order):
        weights = {name: value for name, value in own.items() if "/" not in name}
        _, message = super().local(weights, cohort, order)
        counted = own["keeper/rounds"] + 1 + torch.from_numpy(cohort.devices)[:, None]
        return {**own, "keeper/rounds": counted}, message


def test_what_devices_keep_beside_their_weights_is_restored(cell, tmp_path, interrupt, monkeypatch):
    broken_off(cell, tmp_path / "c.npz", interrupt, monkeypatch, 3, every=1, scheme=Keeper(), rounds=5)
    resumed = train(cell, scheme=Keeper(), rounds=5, checkpoint=tmp_path / "c.npz")
    kept = resumed.devices["model"].of(np.arange(6))["keeper/rounds"]
    assert kept[:, 0].tolist() == [5 * (1 + device) for device in range(6)]


class Closed(FedSgd):
    """A scheme whose state cannot be written down."""

    def begin(self, task):
        begun = super().begin(task)
        return Diary(task, begun.parameters, step=begun.step, notes=({"later": lambda: 0},))


def test_a_state_that_cannot_be_written_down_is_named(cell, tmp_path):
    with pytest.raises(
        ProblemError, match=r"checkpoint: state\['notes'\]\[0\]\['later'\] is a builtins.function"
    ):
        train(cell, scheme=Closed(), rounds=2, checkpoint=tmp_path / "c.npz", every=1)


def test_a_class_inside_a_function_is_refused(cell, tmp_path):
    @dataclass(frozen=True, eq=False, kw_only=True)
    class Local(SgdState):
        pass

    class Hidden(FedSgd):
        def begin(self, task):
            begun = super().begin(task)
            return Local(task, begun.parameters, step=begun.step)

    with pytest.raises(
        ProblemError, match=r"state is of class .*Local, defined in a function: define it in a module"
    ):
        train(cell, scheme=Hidden(), rounds=2, checkpoint=tmp_path / "c.npz", every=1)


# -- refusals ---------------------------------------------------------------------------------------------------


@pytest.fixture
def file(cell, tmp_path):
    train(cell, rounds=2, checkpoint=tmp_path / "run.npz", every=1)
    return tmp_path / "run.npz"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"policy": "full"},
            r"other settings: policy: optimal there, full here: continue with those settings, or choose another",
        ),
        ({"seed": 1}, r"seed: 0 there, 1 here; fingerprints.data: .*, and \d more|seed: 0 there, 1 here"),
        ({"learning_rate": 0.3}, r"scheme.learning_rate: 0.2 there, 0.3 here"),
        ({"scheme": "fedavg"}, r"scheme.name: feel there, fedavg here; .*, and \d+ more"),
        ({"data": "digits@500+100"}, r"data: digits there, digits@500\+100 here"),
        ({"slowdown": 0.5}, r"radio.slowdown: 0.0 there, 0.5 here"),
        ({"judge_every": 2}, r"judge.judge_every: 1 there, 2 here"),
        ({"public": 20}, r"public: 0 there, 20 here"),
        (
            {"public": 20, "before": [learning.SharePublic()]},
            r"before: \[\] there, \[\{'name': 'share-public'",
        ),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_by_what_differs(cell, file, change, message):
    before = file.read_bytes()
    with pytest.raises(OptionError, match=message):
        train(cell, checkpoint=file, **({"rounds": 2} | change))
    assert file.read_bytes() == before


def test_a_changed_scenario_is_named(cell, file):
    with pytest.raises(OptionError, match=r"scenario.feel.max_batchsize: .* there, 64.0 here"):
        train(cell.replace({"feel.max_batchsize": 64.0}), rounds=2, checkpoint=file)


def damaged(data, how):
    middle = len(data) // 2
    return {
        "empty": b"",
        "text": b"not a checkpoint",
        "cut off": data[:middle],
        "a bit flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
    }[how]


@pytest.mark.parametrize("how", ["empty", "text", "cut off", "a bit flipped"])
def test_a_damaged_checkpoint_is_refused(cell, file, how):
    file.write_bytes(damaged(file.read_bytes(), how))
    with pytest.raises(ProblemError, match=r"run.npz: not a checkpoint that radioopt wrote .* or damaged"):
        train(cell, rounds=2, checkpoint=file)


def test_another_file_of_arrays_is_no_checkpoint(cell, tmp_path):
    np.savez(tmp_path / "a.npz", header=np.frombuffer(b'{"format": "x"}', np.uint8), history=[0], now=[0])
    np.save(tmp_path / "b.npy", np.zeros(3))
    for name in ("a.npz", "b.npy"):
        with pytest.raises(ProblemError, match="not a checkpoint"):
            train(cell, rounds=2, checkpoint=tmp_path / name)


def rewritten(file, change):
    """Change the header of a checkpoint, as somebody with bad intentions would."""
    header, history, now = _read(file)
    change(header)
    blocks = {"header": json.dumps(header).encode(), "history": history, "now": now}
    np.savez(file, **{name: np.frombuffer(data, np.uint8) for name, data in blocks.items()})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {"object": ["subprocess", "Popen", {"dict": []}]},
            "subprocess.Popen is neither a record nor a dataclass",
        ),
        ({"object": ["os", "system", {"dict": []}]}, "os.system is no class"),
        (
            {"object": ["antigravity", "fly", {"dict": []}]},
            "class fly of module antigravity is not known here",
        ),
        ({"array": ["|u1", [10**6], 0, 10**6]}, "an array lies outside the file"),
        ({"array": ["|O", [1], 0, 8]}, "object|array"),
        ({"outside": "everything"}, "everything"),
        ({"what": 1}, "cannot be read"),
    ],
)
def test_a_hostile_checkpoint_runs_nothing(cell, file, tree, message):
    rewritten(file, lambda header: header["now"].update(dict=[["ledger", tree]]))
    with pytest.raises(
        ProblemError, match=rf"run.npz: cannot be read by this version: .*({message})|{message}"
    ):
        train(cell, rounds=2, checkpoint=file)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("manifest"),
        lambda header: header.update(manifest=[]),
        lambda header: header["manifest"].update(config=None),
        lambda header: header.update(entries="none"),
        lambda header: header.pop("now"),
    ],
)
def test_a_checkpoint_with_something_missing_is_refused(cell, file, change):
    rewritten(file, change)
    with pytest.raises(ProblemError, match="not a checkpoint that radioopt wrote"):
        train(cell, rounds=2, checkpoint=file)


def test_a_state_of_another_kind_is_refused(cell, file):
    def exchange(header):
        for pair in header["now"]["dict"]:
            if pair[0] == "state":
                pair[1] = {"list": [pair[1]]}  # what comes later may refer to what is in it

    rewritten(file, exchange)
    with pytest.raises(ProblemError, match="cannot be read by this version: state is a list, not a SgdState"):
        train(cell, rounds=2, checkpoint=file)


def test_a_checkpoint_of_other_versions_is_continued_with_a_warning(cell, file):
    rewritten(file, lambda header: header["manifest"]["versions"].update(torch="1.0"))
    with pytest.warns(UserWarning, match=r"torch: 1.0 there, .* numbers may differ in their last digits"):
        train(cell, rounds=2, checkpoint=file)


def test_where_a_checkpoint_cannot_be(cell, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder .*nowhere does not exist: create it"):
        train(cell, rounds=1, checkpoint=tmp_path / "nowhere" / "c.npz")
    with pytest.raises(OptionError, match=r"every: expected a whole number >= 1, got 0"):
        train(cell, rounds=1, checkpoint=tmp_path / "c.npz", every=0)
    with pytest.raises(IsADirectoryError, match=r"is a folder: name a file in it"):
        train(cell, rounds=1, checkpoint=tmp_path)


# -- snapshots --------------------------------------------------------------------------------------------------


def there_and_back(value, outside=None):
    writer = Writer(outside or {})
    tree = json.loads(json.dumps(writer.tree(value, "value")))
    return Reader(bytes(writer.block), outside or {}).value(tree)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**100),
        float("nan"),
        float("-inf"),
        0.1 + 0.2,
        "text ≥ ω",
        [1, (2, [3.0], {}), "4"],
        {("a", 1): {"b": None}, 2: [()]},
    ],
)
def test_plain_values_come_back(value):
    assert repr(there_and_back(value)) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.array([np.nan, -0.0, np.inf, 5e-324]),
        np.zeros((0, 3)),
        np.array(7),
        np.arange(24, dtype=">i4").reshape(2, 3, 4)[:, ::2],
        np.array([1 + 2j], np.complex64),
        np.array(["a", "bc"]),
        np.float32(0.1),
        np.bool_(True),
    ],
)
def test_arrays_come_back_bit_for_bit(array):
    back = there_and_back(array)
    assert (type(back), back.dtype, back.shape) == (type(array), array.dtype, array.shape)
    assert back.tobytes() == np.asarray(array).tobytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("shape", [(), (0, 2), (3, 2)])
def test_tensors_come_back(dtype, shape):
    tensor = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3).to(dtype)
    back = there_and_back(tensor)
    assert back.dtype == dtype
    assert torch.equal(back, tensor)
    back.add_(1) if dtype != torch.bool else back.logical_not_()  # it is writable


def test_objects_that_are_one_stay_one_and_equal_arrays_are_stored_once():
    array = np.arange(1000.0)
    writer = Writer({})
    tree = writer.tree([array, array, array.copy()], "value")
    assert len(writer.block) == 8000
    one, same, equal = Reader(bytes(writer.block), {}).value(tree)
    assert one is same
    assert equal is not one


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox])
def test_generators_draw_and_spawn_as_if_nothing_had_been(kind):
    generator = np.random.Generator(kind(5))
    generator.normal(size=3)
    generator.spawn(2)
    child = generator.spawn(3)[2]
    back, (again, grown) = there_and_back(generator), there_and_back([generator, child])
    expected = generator.normal(size=4), generator.spawn(1)[0].random(), child.spawn(1)[0].random()
    for copied in (back, again):
        assert np.array_equal(copied.normal(size=4), expected[0])
        assert copied.spawn(1)[0].random() == expected[1]
    assert grown.spawn(1)[0].random() == expected[2]


@pytest.mark.parametrize("name", ["feel-cpu", "feel-gpu", "mix2fld"])
def test_devices_and_solutions_of_every_family_come_back(name):
    scenario = Scenario.load(name)
    devices = scenario.draw(seed=3)
    solution = devices.problem(scenario.families[0]).solve()
    back, answer = there_and_back([devices, solution], {"scenario": scenario})
    assert back == devices
    assert back.scenario is scenario
    assert answer == solution
    assert answer.status == solution.status


def test_what_is_outside_is_not_written():
    thing = object()
    assert there_and_back([thing], {"thing": thing})[0] is thing
    with pytest.raises(ProblemError, match=r"value\[0\] is a builtins.object, which cannot be written down"):
        there_and_back([thing])
    with pytest.raises(ProblemError, match=r"value is an array of object"):
        there_and_back(np.array([None]))
