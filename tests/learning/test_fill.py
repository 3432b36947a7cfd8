"""Filling: how many samples, of which classes, out of which generator; and that nobody sees what is not public."""

import numpy as np
import pandas as pd
import pytest
import torch

import learning
from learning import Fill, RepeatOwn, ShareUnlabelled, fill_plan, train
from learning.models.weights import digest_of
from learning.runs.checkpoint import Checkpoint
from radioopt import OptionError, ProblemError, Scenario
from radioopt.fimi import fill_classes

CELL = Scenario.load("fimi", {"devices.count": 8})
QUICK = {"scheme": "fedavg", "radio": "fdma", "model": "softmax", "partition": "dirichlet:0.4,40", "seed": 2}
REAL = {"generator": "ready-made", "public": 200}


class Constant:
    """Make samples that say of which class and call they are."""

    def fit(self, samples, rng):
        self.seen = samples
        return self

    def sample(self, labels, rng):
        return np.broadcast_to((labels / 10)[:, None, None, None], (labels.size, 1, 8, 8))


class Wide(Constant):
    """Make samples of another shape."""

    def sample(self, labels, rng):
        return np.zeros((labels.size, 1, 9, 9))


# -- dividing over the classes ------------------------------------------------------------------------------


def test_the_three_ways_to_divide():
    counts = [[6, 2, 0], [1, 1, 1]]
    np.testing.assert_array_equal(fill_plan(counts, [5, 4], "optimal"), [[0, 2, 3], [2, 1, 1]])
    np.testing.assert_array_equal(fill_plan(counts, [5, 4], "least"), [[0, 0, 5], [4, 0, 0]])
    np.testing.assert_array_equal(fill_plan(counts, [5, 4], "own"), [[4, 1, 0], [2, 1, 1]])


def test_random_plans_add_up_and_the_optimal_one_is_the_most_even():
    rng = np.random.default_rng(0)
    counts, samples = rng.integers(0, 30, (200, 10)), rng.integers(0, 60, 200)
    plans = {classes: fill_plan(counts, samples, classes) for classes in ("optimal", "least", "own")}
    for plan in plans.values():
        assert plan.dtype == np.int64
        assert (plan >= 0).all()
        np.testing.assert_array_equal(plan.sum(1), samples)
    np.testing.assert_array_equal(plans["optimal"], fill_classes(counts, samples, integer=True))
    spread = {name: (counts + plan).std(1) for name, plan in plans.items()}
    assert (spread["optimal"] <= spread["least"] + 1e-12).all()
    assert (spread["optimal"] <= spread["own"] + 1e-12).all()
    held = counts / counts.sum(1, keepdims=True)
    assert (np.abs(plans["own"] - held * samples[:, None]) < 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2]], [1], "even"), "unknown classes 'even', choose from optimal, least, own"),
        (
            ([[1, 2]], [0.5], "own"),
            r"fill_plan.synthetic_samples: expected whole numbers, got 0\.5 at index 0",
        ),
        (([[1, -2]], [1], "own"), r"fill_plan.class_counts: expected >= 0, got -2\.0"),
        (([1, 2], [1], "own"), r"expected class_counts \(devices, classes\) and .*, got \(2,\) and \(1,\)"),
    ],
)
def test_bad_plans_are_refused(arguments, message):
    with pytest.raises((OptionError, ProblemError), match=message):
        fill_plan(*arguments)


# -- filling ------------------------------------------------------------------------------------------------


def test_devices_get_what_the_allocation_says_device_after_device_class_after_class():
    result = train(CELL, before=[Fill(generator=Constant(), public=200)], rounds=1, **QUICK)
    table = result.prepared[0].to_frame().reset_index()
    solution = result.ledger.entries[0].plan.solution
    per_device = table.groupby("device")["synthetic_samples"].sum().to_numpy()
    np.testing.assert_array_equal(per_device, solution.synthetic_samples)
    np.testing.assert_array_equal(result.task.sizes, 40 + per_device)
    first, data = 1437, result.task.data
    for device, part in enumerate(result.task.parts):
        np.testing.assert_array_equal(part[40:], first + np.arange(per_device[device]))
        first += per_device[device]
        labels = data.train_y[part[40:]]
        assert (np.diff(labels) >= 0).all()
        np.testing.assert_allclose(data.train_x[part[40:], 0, 0, 0], labels / 10, rtol=1e-6)
        expected = table[table["device"] == device]["synthetic_samples"]
        np.testing.assert_array_equal(np.bincount(labels, minlength=10), expected)
    assert len(data.train_y) == first
    assert (table["entropy_bits"] <= np.log2(10)).all()


@pytest.mark.parametrize("place", ["devices", "server"])
@pytest.mark.parametrize("step", [Fill, ShareUnlabelled, RepeatOwn])
def test_public_private_and_test_samples_are_disjoint(step, place):
    generator = Constant()
    options = {
        Fill: {"generator": generator, "public": 200, "place": place},
        ShareUnlabelled: {"public": 200},
    }
    task = train(CELL, rounds=1, before=[step(**options.get(step, {}))], public=200, **QUICK).task
    bare = train(CELL, rounds=1, public=200, **QUICK).task
    private = [row.tobytes() for part in bare.parts for row in bare.data.train_x[part]]
    public = [row.tobytes() for row in bare.data.train_x[bare.server]]
    test = [row.tobytes() for row in bare.data.test_x]
    assert len(public) == 200
    assert not {*private} & {*public}
    assert not {*test} & {*public}
    assert not {*test} & {*private}
    np.testing.assert_array_equal(task.data.test_x, bare.data.test_x)
    for now, before in zip(task.parts, bare.parts, strict=True):
        np.testing.assert_array_equal(now[:40], before)
        added = now[40:]
        where = {
            Fill: added >= 1437,
            ShareUnlabelled: np.isin(added, bare.server),
            RepeatOwn: np.isin(added, before),
        }
        assert where[step].all()
    if step is Fill:
        assert {row.tobytes() for row in generator.seen.train_x} == {*public}
        assert (task.server >= 1437).all() == (place == "server")


def test_a_generator_that_has_seen_a_device_or_the_test_is_refused():
    task = train(CELL, rounds=1, public=200, **QUICK).task
    data, rng = learning.digits(np.random.default_rng(0)), np.random.default_rng(0)
    for rows, whose in ((np.arange(len(data.train_y)), "the devices'"), (None, "the test's")):
        x = task.data.train_x[rows] if rows is not None else task.data.test_x
        y = task.data.train_y[rows] if rows is not None else task.data.test_y
        stolen = learning.Dataset(x, y, x, y, num_classes=10)
        fitted = learning.GENERATORS["ready-made"]().fit(stolen, rng)
        with pytest.raises(ProblemError, match=f"that it was fitted on are {whose}"):
            train(CELL, before=[Fill(generator=fitted, public=200)], rounds=1, **QUICK)


def test_what_filling_costs_is_row_0():
    result = train(CELL, before=[Fill(**REAL)], rounds=2, **QUICK)
    first, count = result.to_frame().iloc[0], int(result.prepared[0].record["synthetic_samples"].sum())
    bits = 8.0 * 64 * count
    rates = CELL.draw(result.task.streams.at("channel")).downlink_rate_bps
    assert first["downlink_bits"] == bits > 0
    assert first["seconds"] == pytest.approx(bits / rates.min(), rel=1e-12)
    assert first["energy_j"] == 0.0
    kept = train(CELL, before=[Fill(place="server", **REAL)], rounds=1, **QUICK).to_frame().iloc[0]
    assert (kept["seconds"], kept["downlink_bits"]) == (0.0, 0.0)


@pytest.mark.parametrize("classes", ["optimal", "least", "own"])
def test_the_classes_are_those_asked_for(classes):
    table = (
        train(CELL, before=[Fill(classes=classes, **REAL)], rounds=1, **QUICK)
        .prepared[0]
        .to_frame()
        .reset_index()
    )
    counts, plan = (table.pivot(index="device", columns="class", values=name).to_numpy() for name in
                    ("local_samples", "synthetic_samples"))  # fmt: skip
    np.testing.assert_array_equal(plan, fill_plan(counts, plan.sum(1), classes))


@pytest.mark.parametrize("generator", ["ready-made", "diffusion:steps=20"])
def test_a_killed_run_goes_on_with_the_same_bytes_generator_included(tmp_path, monkeypatch, generator):
    options = {"before": [Fill(generator=generator, public=200)], "rounds": 3, **QUICK}
    unbroken = train(CELL, checkpoint=tmp_path / "unbroken.npz", **options)
    keep = Checkpoint.keep

    def keep_and_stop(self, place, **more):
        keep(self, place, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "keep", keep_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(CELL, checkpoint=tmp_path / "c.npz", every=1, **options)
    with monkeypatch.context() as patch:
        patch.setattr(Fill, "__call__", None)
        resumed = train(CELL, checkpoint=tmp_path / "c.npz", every=1, **options)
    assert resumed.ledger.to_csv("device") == unbroken.ledger.to_csv("device")
    assert digest_of(resumed.weights()) == digest_of(unbroken.weights())
    assert resumed.task.data.digest() == unbroken.task.data.digest()
    pd.testing.assert_frame_equal(resumed.prepared[0].to_frame(), unbroken.prepared[0].to_frame())
    beside = [np.load(tmp_path / f"{name}.npz.prepared")["now"].tobytes() for name in ("c", "unbroken")]
    assert beside[0] == beside[1]


@pytest.mark.parametrize("scheme", ["fedavg", "fedprox", "feel"])
def test_it_composes_with_other_schemes(scheme):
    options = QUICK | {"scheme": scheme}
    result = train(CELL, before=[Fill(**REAL)], rounds=2, **options)
    batch = result.ledger.entries[0].plan.batchsize
    np.testing.assert_array_equal(batch, result.task.sizes)
    assert result.to_frame()["train_loss"].iloc[1:].notna().all()


def test_feel_plans_its_own_rounds_for_filled_devices():
    both = Scenario.from_dict(CELL.to_dict() | {"feel": Scenario.load("feel-cpu").to_dict()["feel"]})
    result = train(
        both, scheme="feel", before=[Fill(**REAL)], rounds=1, model="softmax", partition="dirichlet:0.4,40"
    )
    assert (result.task.sizes > 40).any()
    assert result.to_frame()["seconds"].iloc[1] > result.to_frame()["seconds"].iloc[0] > 0


def test_a_solution_that_is_there_already_is_taken():
    devices = CELL.draw(seed=5)
    solution = learning.radio.fdma.pose(devices, np.full(8, 40)).solve(integer=True)
    fill = Fill(solution=solution, **REAL)
    result = train(CELL, before=[fill], rounds=1, **QUICK)
    np.testing.assert_array_equal(result.task.sizes, 40 + solution.synthetic_samples)
    assert result.config["before"][0]["solution"] == solution.synthetic_samples.tolist()


def test_parallel_kernels_leave_torch_on_one_thread():
    threads = []

    class Watching(Constant):
        def sample(self, labels, rng):
            threads.append(torch.get_num_threads())
            return super().sample(labels, rng)

    big = Scenario.load("fimi", {"devices.count": 20})
    options = QUICK | {"partition": "dirichlet:0.4,30"}
    train(big, before=[Fill(generator=Watching(), public=200)], rounds=1, **options,
          callbacks=[lambda *given: threads.append(torch.get_num_threads())])  # fmt: skip
    assert set(threads) == {1}


@pytest.mark.parametrize(
    ("options", "more", "message"),
    [
        ({"generator": "vae"}, {}, "unknown generator 'vae', choose from diffusion"),
        ({"classes": "even"}, {}, "unknown classes 'even'"),
        ({"place": "cloud"}, {}, "unknown place 'cloud', choose from devices, server"),
        (
            {"amounts": "all"},
            {},
            "unknown amounts 'all', choose from optimal, equal-bandwidth, cross-entropy",
        ),
        ({"solution": 3}, {}, "solution: expected a single SynthesisSolution, got 3"),
        (
            {"generator": Constant(), "public": 200},
            {"public": 100},
            "Fill.public: expected at most the 100 public",
        ),
        (
            {"generator": Wide(), "public": 200},
            {},
            r"expected finite samples of shape \(\d+, 1, 8, 8\), got .*9, 9",
        ),
    ],
)
def test_mistakes_are_told(options, more, message):
    with pytest.raises((OptionError, ProblemError), match=message):
        train(CELL, before=[Fill(**options)], rounds=1, **QUICK, **more)


def test_a_generator_may_be_named_with_several_options_within_those_of_filling():
    step = "fill:generator=diffusion:steps=20,width=16,public=200,classes=own"
    result = train(CELL, rounds=1, **QUICK | {"before": step})
    told = result.config["before"][0]
    assert (told["generator"], told["public"], told["classes"]) == ("diffusion:steps=20,width=16", 200, "own")
    with pytest.raises(OptionError, match=r"generator diffusion takes .*got 'widht=16'; did you mean width"):
        train(CELL, rounds=1, **QUICK | {"before": step.replace("width", "widht")})


def test_too_few_public_samples_to_share_are_told():
    with pytest.raises(ProblemError, match=r"ShareUnlabelled.public: expected at least \d+ public samples"):
        train(CELL, before=[ShareUnlabelled(public=10)], public=10, rounds=1, **QUICK)
