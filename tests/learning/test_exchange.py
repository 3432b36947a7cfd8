"""Before training without all labels: a common subspace, labels that spread, samples that move."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import learning
from learning import (
    Dataset,
    Exchange,
    ExchangeClusters,
    PropagateLabels,
    distributed_pca,
    find_clusters,
    train,
)
from learning.data.idx import FASHION_MNIST
from learning.data.partition import partition
from learning.data.sources import load
from learning.models.weights import digest_of
from learning.prepare.exchange import move
from learning.prepare.propagate import by_spreading, some_of_every_class
from learning.prepare.subspace import moments, target_groups
from learning.runs.checkpoint import Checkpoint
from radioopt import OptionError, ProblemError, Scenario, SolveError
from radioopt.d2d import ClusterGraphProblem, EnergyModel, GraphProblem, label_message_bits, rewards

HAS_IMAGES = pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason="dataset-fashion-mnist is not installed")
#: devices that each hold samples of a few classes, as the d2d tables of the shipped scenarios have it
DATA = {"data": "digits@600+100", "partition": "few-labels:3", "seed": 3, "model": "softmax"}


def tables(**changes):
    """A cell whose devices may share samples."""
    found = Scenario.load("feel-cpu").to_dict()
    labelled, unlabelled = (
        Scenario.load(name).to_dict()[name] | changes.get(name.replace("-", "_"), {})
        for name in ("d2d", "d2d-clusters")
    )
    found |= {"d2d": labelled, "d2d-clusters": unlabelled}
    found["devices"] = found["devices"] | {"count": 6}
    found["cell"] = found["cell"] | {"radius_m": 60.0, "min_distance_m": 5.0,
        "path_loss": {"exponent": 3.0, "gain_at_1m": 1e-3}}  # fmt: skip
    return Scenario.from_dict(found)


@pytest.fixture(scope="module")
def sharing():
    return tables(d2d={"threshold": 10.0, "trust_probability": 0.7, "min_classes": 3.0},
                  d2d_clusters={"threshold": 10.0, "requested_points": 30.0})  # fmt: skip


# -- distributed PCA --------------------------------------------------------------------------------------------


def three_labels_each(data, rng):
    """Ten devices with three labels each, as samples."""
    x = data.train_x.reshape(len(data.train_x), -1).astype(np.float64)
    own = [np.flatnonzero(np.isin(data.train_y, (device + np.arange(3)) % 10)) for device in range(10)]
    return [x[rng.permutation(rows)[: len(x) // 12]] for rows in own]


def degrees(one, other):
    """Largest angle between two subspaces."""
    return np.degrees(np.arcsin(min(1.0, np.linalg.norm(other - other @ one.T @ one, 2))))


@pytest.mark.parametrize(
    "name", ["digits", pytest.param("fashion-mnist@4800+10", marks=[pytest.mark.slow, HAS_IMAGES])]
)
def test_a_subspace_of_all_devices_is_that_of_all_their_samples(name):
    parts = three_labels_each(load(name, np.random.default_rng(0)), np.random.default_rng(1))
    whole = np.concatenate(parts) - np.concatenate(parts).mean(0)
    right = np.linalg.svd(whole, full_matrices=False)[2]
    for components in (4, 8):
        central = right[:components]
        twice, once = (distributed_pca(parts, components, sent).directions for sent in (None, components))
        captured = [((whole @ found.T) ** 2).sum() for found in (central, twice, once)]
        assert degrees(central, twice) < 6.0
        assert degrees(central, once) < 20.0
        assert captured[1] > 0.999 * captured[0]
        assert captured[2] > 0.998 * captured[0]
        exact = distributed_pca(parts, components, whole.shape[1])
        assert degrees(central, exact.directions) < 1e-5
        np.testing.assert_allclose(exact.mean, np.concatenate(parts).mean(0), rtol=1e-10)


def test_a_subspace_counts_what_is_sent_and_takes_devices_without_samples():
    rng = np.random.default_rng(0)
    found = distributed_pca([rng.normal(size=(20, 5)), np.zeros((0, 5)), rng.normal(size=(3, 5))], 2)
    assert (found.uplink_numbers, found.downlink_numbers) == (5 * 5 + 1, 3 * 5)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(2), atol=1e-12)
    assert found.project(rng.normal(size=(7, 5))).shape == (7, 2)
    assert distributed_pca([rng.normal(size=(2, 1, 5))], 5).directions.shape == (5, 5)
    with pytest.raises(ProblemError, match="components: expected at most 5, the features, got 6"):
        distributed_pca([rng.normal(size=(20, 5))], 6)
    with pytest.raises(ProblemError, match="no device has samples"):
        distributed_pca([np.zeros((0, 5))], 1)
    with pytest.raises(ProblemError, match="device 1: expected samples of 5 features, got 4"):
        distributed_pca([rng.normal(size=(20, 5)), np.zeros((3, 4))], 1)
    with pytest.raises(ProblemError, match="device 0: expected finite numbers, sample 2 has another"):
        distributed_pca([[[0.0], [1.0], [np.nan]]], 1)
    with pytest.raises(ProblemError, match="project: x: expected samples of 5 features, got 6"):
        found.project(np.zeros((2, 6)))


# -- labels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fraction", "components", "accuracy"), [(0.05, 8, 0.95), (0.1, 16, 0.97), (0.05, 0, 0.94)]
)
def test_labels_spread_as_well_as_they_should(sharing, fraction, components, accuracy):
    options = {"rounds": 1, "partition": "few-labels:3", "model": "softmax", "seed": 1}
    result = train(sharing, scheme="fedavg", before=[PropagateLabels(fraction, components)], **options)
    table, true = result.prepared[0].to_frame(), train(sharing, scheme="fedavg", **options).task
    hidden = table["samples"] - table["labelled"] - table["unreached"]
    assert (hidden * table["accuracy"]).sum() / hidden.sum() > accuracy - 0.02
    right = [(result.task.data.train_y[part] == true.data.train_y[part]).mean() for part in result.task.parts]
    assert np.mean(right) > accuracy - 0.02
    assert (table["labelled"] >= 3).all()
    assert result.ledger.before.uplink_bits == (32 * ((2 * components + 1) * 64 + 1) if components else 0)
    assert (result.ledger.before.seconds > 0) == (components > 0)


@pytest.mark.parametrize(
    ("name", "components", "expected"),
    [
        pytest.param("digits", 4, [0.80, 0.89, 0.92, 0.93], marks=pytest.mark.slow),
        pytest.param("digits", 8, [0.91, 0.95, 0.97, 0.98], marks=pytest.mark.slow),
        ("digits", 16, [0.92, 0.95, 0.97, 0.98]),
        pytest.param("digits", 32, [0.93, 0.95, 0.98, 0.98], marks=pytest.mark.slow),
        pytest.param(
            "fashion-mnist@4000+10", 8, [0.80, 0.87, 0.88, 0.90], marks=[pytest.mark.slow, HAS_IMAGES]
        ),
        pytest.param(
            "fashion-mnist@4000+10", 16, [0.81, 0.88, 0.90, 0.91], marks=[pytest.mark.slow, HAS_IMAGES]
        ),
    ],
)
def test_ten_devices_with_three_labels_each(name, components, expected):
    """Labelled 1, 5, 10 and 20 %, three draws: at most two points below what was measured, of images over ten draws."""
    data, right = load(name, np.random.default_rng(0)), np.zeros((3, 4))
    for seed in range(3):
        rng = np.random.default_rng(seed)
        parts = [[] for _ in range(10)]
        for label in range(10):
            rows = rng.permutation(np.flatnonzero(data.train_y == label))
            for holder, own in enumerate(np.array_split(rows, 3)):
                parts[(label - holder) % 10].append(own)
        parts = [np.concatenate(own) for own in parts]
        space = distributed_pca([data.train_x[own] for own in parts], components)
        for at, fraction in enumerate((0.01, 0.05, 0.1, 0.2)):
            draw, hits = copy.deepcopy(rng), []
            for own in parts:
                y = data.train_y[own]
                known = some_of_every_class(y, fraction, draw)
                given = by_spreading(space.project(data.train_x[own]), np.where(known, y, -1), draw)
                hits.append((given == y)[~known])
            right[seed, at] = np.concatenate(hits).mean()
    assert (right.mean(0) > np.array(expected) - 0.02).all(), right.mean(0)


def test_what_the_data_say_of_samples_without_a_label_is_not_looked_at(sharing):
    data, rng = load("digits@300+100", np.random.default_rng(0)), np.random.default_rng(1)
    known, parts = rng.random(300) < 0.3, partition("few-labels:2", data.train_y, 6, rng)
    options = {"scheme": "fedavg", "partition": parts, "rounds": 1, "model": "softmax"}
    found = [
        train(sharing, before=[PropagateLabels(known=known)], data=given, **options)
        for given in (data, replace(data, train_y=np.where(known, data.train_y, 0)))
    ]
    one, other = (np.array(result.task.data.train_y)[np.concatenate(result.task.parts)] for result in found)
    np.testing.assert_array_equal(one, other)
    assert (other == data.train_y[np.concatenate(found[1].task.parts)]).mean() > 0.85
    table = found[0].prepared[0].to_frame()
    assert table["labelled"].tolist() == [known[part].sum() for part in parts]
    assert table["accuracy"].isna().all()
    assert found[0].config["before"][0]["known"].startswith(f"{known.sum()} of 300, ")
    for given, message in (
        (known[1:], r"known: expected shape \(300,\), the training samples, got \(299,\)"),
        (
            np.zeros(300, bool),
            r"known: device 0 has none among its \d+ samples: deal them out so that every device",
        ),
    ):
        with pytest.raises(ProblemError, match=message):
            train(sharing, before=[PropagateLabels(known=given)], data=data, **options)
    with pytest.raises(OptionError, match="known: expected truth values"):
        PropagateLabels(known=[0, 1])


def test_every_class_keeps_a_label_and_labels_known_stay(sharing):
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 2], [90, 5, 1])
    known = some_of_every_class(labels, 0.05, rng)
    assert set(labels[known]) == {0, 1, 2}
    assert known.sum() == 6  # 4 of 90, and one of each of the others
    assert some_of_every_class(labels, 1.0, rng).all()
    full = train(sharing, scheme="fedavg", before=[PropagateLabels(1.0)], rounds=1, **DATA)
    bare = train(sharing, scheme="fedavg", rounds=1, **DATA)
    np.testing.assert_array_equal(full.task.data.train_y, bare.task.data.train_y)


def test_samples_that_no_label_reaches_are_left_out(sharing):
    """A far group without a label: the kernel is zero there, and what a library would answer is its first class."""
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.normal(0, 0.01, (40, 2)), rng.normal(1, 0.01, (40, 2)), 1e6 + rng.normal(0, 0.01, (20, 2))]
    )
    y = np.repeat([0, 1, 0], [40, 40, 20])
    known = np.where(np.arange(100) % 80 == 0, y, -1)
    known[[0, 40]] = [0, 1]
    known[80] = -1
    found = by_spreading(x, known, rng)
    assert (found[80:] == -1).all()
    np.testing.assert_array_equal(found[:80], y[:80])
    assert (by_spreading(x, np.full(100, -1), rng) == -1).all()
    assert (by_spreading(x, np.where(np.arange(100) == 3, 7, -1), rng) == 7).all()


def test_a_perceptron_may_give_the_labels(sharing):
    result = train(sharing, scheme="fedavg", before=[PropagateLabels(0.2, labeller="mlp")], rounds=1, **DATA)
    assert result.prepared[0].to_frame()["accuracy"].mean() > 0.8


# -- samples that move ------------------------------------------------------------------------------------------


def held(task):
    """How often each sample is held."""
    return np.bincount(np.concatenate(task.parts), minlength=len(task.data.train_y))


@pytest.mark.parametrize("method", ["local-search", "closest", "none"])
@pytest.mark.parametrize("edges", [1, 2])
def test_no_sample_is_created_and_none_is_where_trust_forbids(sharing, method, edges):
    bare = train(sharing, scheme="fedavg", rounds=1, **DATA).task
    result = train(sharing, scheme="fedavg", before=[Exchange(method, edges=edges)], rounds=1, **DATA)
    task, table = result.task, result.prepared[0].to_frame()
    assert (held(task) <= held(bare)).all()
    lost = int((table["sent"] - table["arrived"]).sum())
    assert held(bare).sum() - held(task).sum() == lost
    assert (len(table) == 0) == (method == "none")
    problem = sharing.draw(task.streams.at("channel")).problem("d2d")
    y, came_from = bare.data.train_y, np.full(len(bare.data.train_y), -1)
    for device, part in enumerate(bare.parts):
        came_from[part] = device
    assert problem.trust[table["transmitter"], table["receiver"], table["class"]].all()
    for i, part in enumerate(
        task.parts if edges == 1 else ()
    ):  # with two, samples may go on over another device
        strange = part[came_from[part] != i]
        assert problem.trust[came_from[strange], i, y[strange]].all()
    for device, part in enumerate(task.parts):  # transmitters give up what they sent, and keep what they want
        mine = table[table["transmitter"] == device]["sent"].sum()
        got = table[table["receiver"] == device]["arrived"].sum()
        assert part.size == bare.parts[device].size - mine + got
        kept = np.bincount(y[part], minlength=10)
        assert (kept >= np.minimum(np.bincount(y[bare.parts[device]], minlength=10), 10)).all()


def test_what_moves_is_what_the_graph_says(sharing):
    bare = train(sharing, scheme="fedavg", rounds=1, **DATA).task
    table = train(sharing, scheme="fedavg", before=[Exchange()], rounds=1, **DATA).prepared[0].to_frame()
    devices = sharing.draw(bare.streams.at("channel"))
    counts = np.stack([np.bincount(bare.data.train_y[part], minlength=10) for part in bare.parts])
    problem = devices.problem("d2d").replace(class_counts=counts)
    solution = problem.solve()
    sent = np.zeros((6, 10), int)
    np.add.at(sent, (table["receiver"], table["class"]), table["sent"])
    np.testing.assert_array_equal(sent, solution.whole_points())
    assert sent.sum() > 30
    assert rewards(problem, solution.source).objective == solution.objective


def test_clock_and_joules_are_those_of_the_energy_model(sharing):
    task = train(sharing, scheme="fedavg", rounds=1, **DATA).task
    closest = train(sharing, scheme="fedavg", before=[Exchange("closest")], rounds=1, **DATA)
    table, before = closest.prepared[0].to_frame(), closest.ledger.before
    devices = sharing.draw(task.streams.at("channel"))
    problem, noise = devices.problem("d2d"), float(devices.noise_psd_w_per_hz * devices.bandwidth_hz)
    seconds, joules = np.zeros(6), 0.0
    for (i, j), sent in table.groupby(["receiver", "transmitter"])["sent"].sum().items():
        apart = max(np.linalg.norm(problem.position_m[i] - problem.position_m[j]), 1.0)
        power = float(devices.transmit_power_w[j])
        snr, bits = power * 1e-3 * apart**-3 / noise, 8.0 * 64 * sent
        model = EnergyModel(transmit_power_w=power, bandwidth_hz=float(devices.bandwidth_hz))
        joules += model.energy_j(bits, snr=snr)
        seconds[j] += bits / (float(devices.bandwidth_hz) * np.log2(1 + snr))
    assert before.energy_j == pytest.approx(joules, rel=1e-9)
    assert before.seconds == pytest.approx(seconds.max(), rel=1e-9)
    found = train(sharing, scheme="fedavg", before=[Exchange()], rounds=1, **DATA).ledger.before
    assert found.energy_j > 0
    assert label_message_bits(10) > 0
    assert closest.to_frame()["energy_j"][0] == before.energy_j


def test_all_is_lost_over_a_dead_link():
    class Solution:
        source, link_outage = np.array([1, -1]), np.array([1.0, 0.0])

        @staticmethod
        def whole_points():
            return np.array([[2, 1], [0, 0]])

    parts, moves = move(
        [np.array([0]), np.array([1, 2, 3, 4])],
        [np.array([0]), np.array([0, 0, 1, 0])],
        Solution,
        np.random.default_rng(0),
    )
    assert parts[0].tolist() == [0]
    assert parts[1].size == 1
    assert moves == [(0, 1, 0, 2, 0), (0, 1, 1, 1, 0)]


@pytest.mark.parametrize("method", ["local-search", "uniform"])
def test_unlabelled_samples_move_by_clusters(sharing, method):
    options = DATA | {"partition": "shards"}
    bare = train(sharing, scheme="fedavg", rounds=1, **options).task
    result = train(sharing, scheme="fedavg", before=[ExchangeClusters(method)], rounds=1, **options)
    table = result.prepared[0].to_frame()
    assert (held(result.task) <= held(bare)).all()
    assert held(bare).sum() - held(result.task).sum() == (table["sent"] - table["arrived"]).sum()
    assert set(table["edge"]) == {0, 1}
    pairs = table.groupby("edge")[["receiver", "transmitter"]].apply(
        lambda one: set(map(tuple, one.to_numpy()))
    )
    assert not pairs[0] & pairs[1]
    assert result.ledger.before.uplink_bits == 32 * (17 * 64 + 1)
    assert (table.groupby(["edge", "receiver"])["sent"].sum() <= 30).all()


def test_spreading_then_exchange_then_training_goes_on_bit_for_bit(sharing, tmp_path, monkeypatch):
    options = {
        "scheme": "fedavg",
        "before": [PropagateLabels(0.1), Exchange(), ExchangeClusters()],
        "rounds": 4,
        **DATA,
    }
    unbroken = train(sharing, checkpoint=tmp_path / "unbroken.npz", **options)
    keep = Checkpoint.keep

    def keep_and_stop(self, place, **more):
        keep(self, place, **more)
        if len(place[-1]) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "keep", keep_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(sharing, checkpoint=tmp_path / "c.npz", every=1, **options)
    with monkeypatch.context() as patch:  # what was prepared is not prepared again
        patch.setattr(Exchange, "__call__", None)
        resumed = train(sharing, checkpoint=tmp_path / "c.npz", every=1, **options)
    assert resumed.ledger.to_csv() == unbroken.ledger.to_csv()
    assert digest_of(resumed.weights()) == digest_of(unbroken.weights())
    for one, other in zip(resumed.prepared, unbroken.prepared, strict=True):
        pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())
    beside, other = (np.load(tmp_path / f"{file}.npz.prepared") for file in ("c", "unbroken"))
    assert beside["now"].tobytes() == other["now"].tobytes()
    assert [step["name"] for step in unbroken.config["before"]] == [
        "propagate-labels",
        "exchange",
        "exchange-clusters",
    ]


def test_targets_of_a_regression_stand_for_classes(sharing):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4))
    y = x.sum(-1)
    data = Dataset(x[:500], y[:500], x[500:], y[500:], num_classes=None)

    def sorted_out(labels, num_devices, rng):
        return np.array_split(np.argsort(y[:500]), num_devices)

    options = {"data": data, "partition": sorted_out, "rounds": 1, "model": "softmax", "scheme": "fedavg"}
    for rule in ("quantiles", "gaps"):
        result = train(sharing, before=[Exchange(targets=rule)], **options)
        table = result.prepared[0].to_frame()
        assert held(result.task).max() == 1
        assert (table["sent"].sum() > 0) or rule == "gaps"
    edges = target_groups([y[:500]], 10)[0]
    assert np.bincount(edges).tolist() == [50] * 10
    apart = target_groups([[0.0, 0.1, 9.0, 9.1, 5.0]], 3, "gaps")[0]
    assert apart.tolist() == [0, 0, 2, 2, 1]
    assert [own.tolist() for own in target_groups([[], []], 2)] == [[], []]
    with pytest.raises(OptionError, match="rule"):
        target_groups([[1.0]], 2, "median")
    with pytest.raises(
        ProblemError, match="target_groups: device 1: expected finite numbers, sample 0 has another"
    ):
        target_groups([[1.0], [np.nan]], 2)


def test_moments_of_clusters():
    x = np.array([[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]])
    counts, centroids, covariances = moments(x, np.array([0, 0, 2]), 3)
    assert counts.tolist() == [2, 0, 1]
    assert centroids[0].tolist() == [1, 0]
    assert covariances[0].tolist() == [[1, 0], [0, 0]]
    assert ClusterGraphProblem.methods.keys() == GraphProblem.methods.keys()


def test_clusters_of_data_of_ones_own_pose_the_problem():
    rng = np.random.default_rng(0)
    samples = [rng.normal(at, 1.0, (40, 3)) for at in (0.0, 0.0, 9.0)] + [np.zeros((0, 3)), []]
    found = find_clusters(samples, 2)
    assert found.counts.sum(-1).tolist() == [40, 40, 40, 0, 0]
    for x, label, centroid in zip(samples[:3], found.labels, found.centroids, strict=False):
        np.testing.assert_allclose(centroid[1], x[label == 1].mean(0))
    own = ClusterGraphProblem(
        counts=found.counts, centroids=found.centroids, covariances=found.covariances, thresholds=5,
        requested_points=10, outage_probability=0.1,
    )  # fmt: skip
    assert set(own.solve().source[:3]) <= {-1, 0, 1, 2}  # devices without data send nothing
    assert find_clusters([np.zeros((5, 2))], 3).counts.tolist() == [[5, 0, 0]]
    with pytest.raises(ProblemError, match="find_clusters: no device has samples"):
        find_clusters([], 2)
    with pytest.raises(ProblemError, match="find_clusters: device 1: expected samples of 3 features, got 2"):
        find_clusters([samples[0], [[1.0, 2.0]]], 2)


@pytest.mark.parametrize(
    ("before", "options", "error", "message"),
    [
        (Exchange(), {"scenario": "feel-cpu"}, ProblemError,
         r"has no table \[d2d\], which says who trusts whom .*: add it, or take scenario d2d-training, which has it$"),
        (Exchange(), {"scenario": "d2d-clusters"}, ProblemError,
         r"plans with a table \[feel\], .* has none: add it, or take scenario d2d-training, which has it$"),
        (Exchange(), {"data": Dataset(np.eye(8), np.arange(8) % 2, np.eye(8), np.arange(8) % 2, num_classes=2)},
         ProblemError, r"d2d.num_classes: expected 2, the classes of the data, got 10"),
        ("exchange:method=\"best\"", {}, OptionError, r"unknown method 'best', choose from local-search"),
        ("exchange:edges=0", {}, OptionError, r"edges: expected a whole number >= 1, got 0"),
        ("propagate-labels:fraction=0", {}, OptionError, r"fraction: expected a number > 0 and <= 1, got 0"),
        ("propagate-labels:labeller=\"svm\"", {}, OptionError, r"unknown labeller 'svm', choose from spreading, mlp"),
    ],
)  # fmt: skip
def test_what_cannot_be_exchanged_is_refused(sharing, before, options, error, message):
    given = {"scheme": "fedavg", "rounds": 1, "model": "softmax"} | options
    with pytest.raises(error, match=message):
        train(given.pop("scenario", sharing), before=[before], **given)


@pytest.mark.parametrize(
    ("graph", "error", "message"),
    [
        (lambda problem: None, ProblemError, r"method: expected a function that returns a solution of the problem"),
        (lambda problem: problem.replace(trust=True).judge(source=np.roll(np.arange(6), 1)), ProblemError,
         r"method: device \d does not trust device \d with kind \d, which the graph sends: solve the problem that"),
        (lambda problem: problem.judge(source=[0, -1, -1, -1, -1, -1], throw=False), SolveError,
         r"source: expected -1, or another device 0 ... 5 whose link is allowed at index 0"),
        (lambda problem: Scenario.load("d2d").draw(seed=0).problem("d2d").solve("none"), ProblemError,
         r"source: expected shape \(6,\), got \(30,\)"),
    ],
    ids=["nothing", "against trust", "from itself", "of other devices"],
)  # fmt: skip
def test_a_graph_of_ones_own_is_one_of_the_problem(sharing, graph, error, message):
    with pytest.raises(error, match=message):
        train(sharing, scheme="fedavg", before=[Exchange(graph)], rounds=1, **DATA)


def test_labels_spread_before_samples_are_shared(sharing):
    both = [learning.SharePublic(), PropagateLabels()]
    with pytest.raises(ProblemError, match="on several devices, which might give them different labels"):
        train(sharing, scheme="fedavg", before=both, public=20, rounds=1, **DATA)
    assert (
        train(sharing, scheme="fedavg", before=both[::-1], public=20, rounds=1, **DATA).prepared[1].seconds
        > 0
    )


def test_the_names_are_in_the_catalogue():
    assert {"propagate-labels", "exchange", "exchange-clusters"} <= set(learning.PREPARATIONS)


def test_electronics_may_take_no_power():
    """It is what remains of the energy model then: the radiated power over the amplifier's efficiency."""
    assert Exchange(circuit_power_w=0).circuit_power_w == 0
    with pytest.raises(OptionError, match=r"circuit_power_w: expected a number >= 0, got -0.1"):
        ExchangeClusters(circuit_power_w=-0.1)
