"""Devices that average among themselves: weights that keep the mean, clock and joules by hand, FedAvg as a limit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import learning
from learning import (
    Crew,
    D2d,
    D2dServer,
    Dataset,
    Decentralised,
    Exchange,
    PropagateLabels,
    SemiDecentralised,
    Streams,
    Task,
    Turn,
    train,
)
from learning.models.build import build
from learning.models.mixing import metropolis, mixed, over, parts_of, spectral_gap, spread
from learning.radio.base import Payload
from learning.radio.d2d import D2dPlan, near
from learning.radio.links import graph_of, neighbours
from radioopt import OptionError, ProblemError, Scenario
from radioopt.base.errors import InputWarning
from radioopt.d2d import outage_probability

RING = np.eye(6, k=1, dtype=bool) | np.eye(6, k=5, dtype=bool)
RING |= RING.T


@st.composite
def graphs(draw):
    """Any graph of one to eight devices, with some of its links."""
    count, rng = draw(st.integers(1, 8)), np.random.default_rng(draw(st.integers(0, 10**6)))
    graph, links = (np.triu(rng.random((count, count)) < rng.random(), 1) for _ in range(2))
    return graph | graph.T, links | links.T


# -- averaging --------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(graphs())
def test_weights_are_doubly_stochastic_and_keep_the_mean_whatever_fails(case):
    graph, links = case
    rows = {"w": torch.from_numpy(np.random.default_rng(1).normal(size=(len(graph), 3, 2)))}
    for weights in (metropolis(graph), over(metropolis(graph), links)):
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(0), 1, atol=1e-15)
        np.testing.assert_array_equal(weights, weights.T)
        assert not weights[~graph & ~np.eye(len(graph), dtype=bool)].any()
        torch.testing.assert_close(mixed(rows, weights)["w"].mean(0), rows["w"].mean(0), rtol=0, atol=1e-14)
    assert not over(metropolis(graph), links)[~links & ~np.eye(len(graph), dtype=bool)].any()


@settings(max_examples=40)
@given(graphs())
def test_the_distance_from_the_mean_shrinks_as_the_gap_says(case):
    graph, _ = case
    weights = metropolis(graph)
    rows = {"w": torch.from_numpy(np.random.default_rng(2).normal(size=(len(graph), 5)))}
    before, after = spread(rows)[1], spread(mixed(rows, weights))[1]
    assert after <= (1 - spectral_gap(weights)) * before + 1e-12
    assert (spectral_gap(weights) > 0) == (parts_of(graph) == 1)


def test_gaps_of_graphs_that_are_known():
    assert spectral_gap(metropolis(~np.eye(5, dtype=bool))) == pytest.approx(1, abs=1e-12)
    assert spectral_gap(metropolis(RING)) == pytest.approx(
        1 - (1 + 2 * math.cos(2 * math.pi / 6)) / 3, abs=1e-12
    )
    assert spectral_gap(np.ones((1, 1))) == 1
    np.testing.assert_allclose(metropolis(~np.eye(7, dtype=bool)), 1 / 7, atol=1e-15)


def test_a_model_that_diverged_reaches_its_neighbours_alone_and_counters_stay_whole():
    rows = {"w": torch.arange(6.0), "count": torch.arange(6)}
    rows["w"][0] = torch.nan
    after = mixed(rows, metropolis(RING))
    assert after["w"].isnan().tolist() == [True, True, False, False, False, True]
    assert after["count"].tolist() == [2, 1, 2, 3, 4, 3]
    alone = mixed({"w": torch.tensor([torch.nan, 0.1])}, np.eye(2))["w"]
    assert alone.isnan().tolist() == [True, False]


# -- who is whose neighbour -------------------------------------------------------------------------------------


def outages(count, seed=0):
    made = np.random.default_rng(seed).random((count, count))
    return made * (1 - np.eye(count))


@given(st.sampled_from(["links", "complete", "ring", "nearest:1", "nearest:3", "random:2", "random:20"]),
       st.integers(1, 9), st.integers(0, 99), st.floats(0.01, 1))  # fmt: skip
def test_graphs_are_symmetric_and_have_the_neighbours_they_say(kind, count, seed, most):
    outage = outages(count, seed)
    graph = neighbours(kind, outage, most, np.random.default_rng(seed))
    worse = np.maximum(outage, outage.T)
    assert (graph == graph.T).all()
    assert not graph.diagonal().any()
    if kind == "complete":
        assert graph.sum() == count * (count - 1)
    if kind in ("links", "random:20"):
        np.testing.assert_array_equal(graph, (worse <= most) & ~np.eye(count, dtype=bool))
    if kind.startswith("random"):
        assert (worse[graph] <= most).all()
    if kind == "nearest:1" and count > 1:
        best = np.where(np.eye(count, dtype=bool), 2, worse).argmin(1)
        assert graph[np.arange(count), best].all()
        assert graph.sum() <= 2 * count
    if kind == "ring" and count > 2:
        assert (graph.sum(1) == 2).all()


@pytest.mark.parametrize("kind", ["star", "ring:2", "nearest", "nearest:x", 3])
def test_other_graphs_are_refused(kind):
    with pytest.raises(
        OptionError, match="graph: expected links, complete, ring, nearest:NEIGHBOURS or random"
    ):
        graph_of(kind)
    with pytest.raises(OptionError, match="graph: nearest: expected a whole number >= 1, got 0"):
        graph_of("nearest:0")


def test_clusters_by_distance_are_numbered_as_they_come():
    places = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 1.0], [9.0, 1.0], [4.0, 50.0]])
    assert near(places, 3).tolist() == [0, 1, 0, 1, 2]
    assert near(places, 1).tolist() == [0] * 5
    assert near(places[:1], 1).tolist() == [0]


# -- clock and account, by hand ---------------------------------------------------------------------------------

BITS, COMPUTE = 1000.0, np.array([3.0, 1.0, 2.0])
SECONDS = np.array(
    [[0.0, 0.02, 0.05], [0.01, 0.0, 0.04], [0.06, 0.03, 0.0]]
)  # receiver, transmitter; per bit
JOULES = 7.0 * SECONDS


class Three:
    """Three devices: hardware and rates to a server."""

    cpu_frequency_hz = np.array([1e9, 2e9, 3e9])
    energy_coefficient = 1e-27
    transmit_power_w = np.array([0.5, 1.0, 2.0])
    uplink_rate_bps = np.array([100.0, 200.0, 400.0])
    downlink_rate_bps = np.array([50.0, 1000.0, 500.0])


def plan(graph, outage=0.0, cluster=(0, 0, 0)):
    graph = np.array(graph, bool)
    return D2dPlan(Three(), np.ones(3, np.int64), None, None, COMPUTE, graph, outage * np.ones((3, 3)), SECONDS, JOULES,
                   np.array(cluster), 1.0, 1)  # fmt: skip


LINE = [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
COMPUTING = 1e-27 * np.array([1e27, 8e27, 27e27]) * COMPUTE


def rng():
    return np.random.default_rng(5)


def test_seconds_and_joules_of_three_devices_in_a_line():
    sent = D2d().transmit(Payload(0.0, 0.0, BITS), plan(LINE), rng())
    busy = BITS * np.array([0.01, 0.02 + 0.03, 0.04])  # 0 to 1; 1 to 0 and then to 2; 2 to 1
    np.testing.assert_allclose(sent.across_time_s, busy)
    np.testing.assert_allclose(sent.across_energy_j, 7 * busy)
    assert sent.seconds == pytest.approx(3.0 + 50.0)
    assert sent.energy_j == pytest.approx(COMPUTING.sum() + 7 * busy.sum())
    assert sent.across_bits == pytest.approx(BITS * 4 / 3)
    assert sent.heard.tolist() == [1, 2, 1]
    assert not (sent.arrived.any())
    assert not (sent.received.any())
    assert not (sent.upload_energy_j.any())


def test_a_broadcast_is_at_the_rate_of_the_worst_neighbour_and_averagings_cost_alike():
    sent = D2d(broadcast=True, averagings=3).transmit(Payload(0.0, 0.0, BITS), plan(LINE), rng())
    busy = 3 * BITS * np.array([0.01, 0.03, 0.04])
    np.testing.assert_allclose(sent.across_time_s, busy)
    np.testing.assert_allclose(sent.across_energy_j, 7 * busy)
    assert sent.seconds == pytest.approx(3.0 + 120.0)
    assert sent.across_bits == pytest.approx(3 * BITS)
    assert sent.links.shape == (3, 3, 3)


def test_a_late_device_sends_nothing_and_nobody_waits_for_it():
    sent = D2d(deadline_s=2.5).transmit(Payload(0.0, 0.0, BITS), plan(LINE), rng())
    busy = BITS * np.array([0.0, 0.05, 0.04])  # 1 sends to 0 too, which it does not know to be late
    np.testing.assert_allclose(sent.across_time_s, busy)
    assert sent.seconds == pytest.approx(2.5 + 50.0)
    assert sent.heard.tolist() == [0, 1, 1]
    np.testing.assert_allclose(sent.compute_energy_j, COMPUTING)
    slow = D2d(slowdown=1.0).transmit(Payload(0.0, 0.0, BITS), plan(LINE), rng())
    np.testing.assert_allclose(slow.compute_time_s, COMPUTE * (1 - np.log1p(-rng().random((2, 3))[0])))


def test_messages_are_lost_with_the_outage_of_their_links_and_both_ends_know():
    luck = np.random.default_rng(0)
    sent = D2d(averagings=4000).transmit(
        Payload(0.0, 0.0, 1.0), plan(~np.eye(3, dtype=bool), outage=0.3), luck
    )
    assert (sent.links == sent.links.swapaxes(1, 2)).all()
    assert sent.links[:, 0, 1].mean() == pytest.approx(0.7**2, abs=0.03)
    assert not (sent.links[0] == sent.links).all()
    kept = D2d(lossy=False).transmit(Payload(0.0, 0.0, 1.0), plan(LINE, outage=0.3), luck)
    np.testing.assert_array_equal(kept.links[0], np.array(LINE, bool))
    lone = [
        D2d(loss_probability=0.4).transmit(Payload(0.0, 0.0, 1.0), plan(LINE), luck).there
        for _ in range(2000)
    ]
    assert np.mean(lone) == pytest.approx(0.6, abs=0.03)


def test_the_server_hears_one_of_each_cluster_and_all_hear_it():
    payload, where = Payload(BITS, 2 * BITS, BITS), plan(LINE, cluster=(0, 1, 1))
    between = D2d().transmit(payload, where, rng())
    seen = set()
    for seed in range(40):
        sent = D2dServer().transmit(payload, where, np.random.default_rng(seed))
        assert sent.arrived[0]
        assert sent.arrived[1:].sum() == 1
        other = int(np.flatnonzero(sent.arrived)[1])
        seen.add(other)
        upload = BITS / np.array([100.0, 200.0, 400.0]) * sent.arrived
        np.testing.assert_allclose(sent.upload_time_s, upload)
        assert sent.seconds == pytest.approx(between.seconds + upload.sum() + 2 * BITS / 50.0)
        joules = COMPUTING.sum() + between.across_energy_j.sum() + (Three.transmit_power_w * upload).sum()
        assert sent.energy_j == pytest.approx(joules)
        assert sent.uplink_bits == pytest.approx(BITS * 2 / 3)
        assert sent.received.all()
    assert seen == {1, 2}
    nothing = D2dServer(deadline_s=0.5).transmit(payload, where, rng())
    assert not (nothing.arrived.any())
    assert not (nothing.received.any())
    assert (nothing.seconds, nothing.downlink_bits) == (0.5, 0.0)
    quiet = D2dServer().transmit(Payload(0.0, 0.0, BITS), where, rng())
    assert quiet.seconds == between.seconds


# -- a round ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def near_by():
    """Six devices near each other: every link all but sure."""
    config = Scenario.load("feel-cpu").to_dict() | {"d2d": Scenario.load("d2d").to_dict()["d2d"]}
    config["devices"] |= {"count": 6}
    config["cell"] |= {
        "radius_m": 60.0,
        "min_distance_m": 5.0,
        "path_loss": {"exponent": 3.0, "gain_at_1m": 1e-3},
    }
    return Scenario.from_dict(config)


def double(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, classes)).double()


#: equally many samples on each of six devices, in double precision
EQUAL = {"data": "digits@300+100", "partition": list(np.arange(300).reshape(6, 50)), "model": double, "seed": 2,
         "rounds": 3, "batchsize": 20}  # fmt: skip


def same(one, other, tolerance=1e-12):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=tolerance)


def test_on_the_complete_graph_it_is_fedavg(near_by):
    central = train(near_by, scheme="fedavg", **EQUAL)
    peers = train(near_by, scheme="decentralised", graph="complete", lossy=False, **EQUAL)
    for device in (None, 0, 5):
        same(peers.weights(device), central.weights())
    assert peers.to_frame()["train_loss"][3] == pytest.approx(central.to_frame()["train_loss"][3], rel=1e-12)
    assert peers.to_frame()["consensus_distance"][3] < 1e-12


def test_one_cluster_is_fedavg_and_so_are_complete_clusters_at_the_server(near_by):
    central = train(near_by, scheme="fedavg", **EQUAL)
    options = {"scheme": "semi-decentralised", "graph": "complete", "lossy": False, "clusters": 1, **EQUAL}
    one = train(near_by, server_every=3, **options)
    several = train(near_by, server_every=1, **options | {"clusters": 3})
    for result in (one, several):
        same(dict(result.state.parameters), dict(central.state.parameters))
        same(result.weights(4), central.weights())
    assert one.to_frame()["arrived"].tolist() == [0, 0, 0, 1]
    assert several.to_frame()["arrived"].tolist() == [0, 3, 3, 3]


def test_clusters_drift_apart_until_the_server_brings_them_together(near_by):
    options = {"data": "digits@300+100", "partition": "shards", "seed": 2, "rounds": 6}
    semi = {"graph": "complete", "lossy": False, "clusters": 2, "server_every": 3}
    table = train(near_by, scheme="semi-decentralised", **options, **semi).to_frame()
    distance = table["consensus_distance"]
    assert distance[3] == distance[6] == 0
    assert 0 < distance[1] < distance[2]
    assert (table["uplink_bits"] > 0).tolist() == [False, False, False, True, False, False, True]
    assert table["parts"][1] == 2
    assert table["links_heard"][1] == table["links"][1] < 15


def test_the_mean_of_all_models_is_that_of_training_apart(near_by):
    """Whatever the graph and whatever is lost: an averaging moves no mean."""
    options = EQUAL | {"rounds": 1}
    apart = train(near_by, scheme="individual", **options)
    for graph in (
        {"graph": "ring"},
        {"graph": "random:1", "averagings": 2},
        {"graph": "links", "loss_probability": 0.5},
    ):
        peers = train(near_by, scheme="decentralised", **options, **graph)
        same(peers.weights(), apart.weights())


def test_more_averagings_bring_devices_nearer_and_cost_more(near_by):
    options = {
        "data": "digits@300+100",
        "partition": "shards",
        "seed": 2,
        "rounds": 2,
        "graph": "ring",
        "lossy": False,
    }
    few, many = (train(near_by, scheme="decentralised", averagings=n, **options).to_frame() for n in (1, 4))
    assert many["consensus_distance"][1] < few["consensus_distance"][1] / 2
    assert many["across_energy_j"][1] == pytest.approx(4 * few["across_energy_j"][1])
    apart = train(near_by, scheme="decentralised", **options | {"loss_probability": 1 - 1e-12}).to_frame()
    assert few["consensus_distance"][1] < apart["consensus_distance"][1]


def test_a_straggler_goes_on_with_its_own_model(near_by):
    options = EQUAL | {"rounds": 1}
    late = train(
        near_by, scheme="decentralised", graph="complete", lossy=False, loss_probability=0.2, **options
    )
    heard = late.ledger.to_frame("device")["heard"].to_numpy()
    assert 0 < (heard == 0).sum() < 6
    apart = train(near_by, scheme="individual", **options)
    for device in range(6):
        gap = (late.weights(device)["1.weight"] - apart.weights(device)["1.weight"]).abs().max()
        assert (gap == 0) == (heard[device] == 0)


def test_a_cluster_whose_device_is_missing_is_left_out():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 1, 8, 8))
    data = Dataset(x, np.arange(12) % 3, x, np.arange(12) % 3, 3)
    job = Task(
        data, tuple(np.arange(12).reshape(4, 3)), build("mlp:4", (1, 8, 8), 3, rng).double(), Streams(1)
    )

    class Plan:
        batchsize = np.full(4, 3)
        graph = np.zeros((4, 4), bool)
        cluster = np.array([0, 0, 0, 1])
        takes_part, told = staticmethod(lambda: None), staticmethod(dict)

    class Sent:
        links = np.zeros((1, 4, 4), bool)
        received = np.ones(4, bool)

        def __init__(self, arrived):
            self.arrived = np.array(arrived)

    def after(arrived):
        scheme, crew = SemiDecentralised(server_every=1), Crew(SemiDecentralised(), job)
        state = scheme.round(scheme.begin(job), crew, Turn(1, Plan(), Sent(arrived)))
        return state, crew.banks["model"].of(np.arange(4))

    _, own = after([False] * 4)
    for arrived, shares in (([1, 0, 0, 1], [0.75, 0, 0, 0.25]), ([0, 1, 0, 0], [0, 1, 0, 0])):
        state, rows = after(np.array(arrived, bool))
        for name, value in own.items():
            expected = torch.tensordot(torch.tensor(shares, dtype=value.dtype), value, 1)
            torch.testing.assert_close(state.parameters[name], expected, rtol=0, atol=1e-12)
            torch.testing.assert_close(rows[name], expected.expand_as(value), rtol=0, atol=1e-12)


# -- in a cell --------------------------------------------------------------------------------------------------


def test_the_radio_takes_links_from_the_table_and_varies_them(near_by):
    """Rates by Shannon, energies by the energy model, outages by (18), with decibels more or less in each round."""
    options = {"scheme": "decentralised", "data": "digits@300+100", "rounds": 2, "seed": 1}
    still = train(near_by, graph="complete", **options).ledger.entries[0].plan
    devices = near_by.draw(Streams(1).at("channel"))
    problem = devices.problem("d2d")
    np.testing.assert_allclose(still.outage, problem.outage_probability)
    apart = np.linalg.norm(problem.position_m[0] - problem.position_m[3])
    power, noise = devices.transmit_power_w[3], devices.noise_psd_w_per_hz * devices.bandwidth_hz
    rss = power * 1e-3 * apart**-3.0
    rate = devices.bandwidth_hz * np.log2(1 + rss / noise)
    assert still.seconds_per_bit[0, 3] == pytest.approx(1 / rate)
    assert still.joules_per_bit[0, 3] == pytest.approx((power / 0.5 + 0.1) / rate)
    one, two = (entry.plan for entry in train(near_by, shadowing_db=8.0, **options).ledger.entries)
    assert (one.seconds_per_bit != two.seconds_per_bit).sum() == 30
    snr = 2 ** (1 / (devices.bandwidth_hz * one.seconds_per_bit[0, 3])) - 1
    efficiency = devices.drawn("d2d")["spectral_efficiency"]
    expected = outage_probability(snr, spectral_efficiency=efficiency, noise_power_w=1.0)
    assert one.outage[0, 3] == pytest.approx(expected, rel=1e-9)
    decibels = 10 * np.log10(snr * noise / rss)
    assert 0 < abs(decibels) < 40


def test_a_graph_in_parts_is_told(near_by):
    options = {"scheme": "decentralised", "data": "digits@300+100", "rounds": 1, "seed": 1}
    with pytest.warns(InputWarning, match="the graph has 6 parts that no link connects, which never agree"):
        table = train(near_by, max_outage=1e-9, **options).to_frame()
    assert (table["parts"][1], table["spectral_gap"][1], table["across_energy_j"][1]) == (6, 0, 0)
    random = train(near_by, max_outage=1e-9, graph="random:1", **options)  # says so in the table alone
    assert random.to_frame()["parts"][1] == 6


@pytest.mark.parametrize("scheme", ["decentralised", "semi-decentralised"])
def test_it_goes_on_from_labels_that_spread_and_data_that_were_exchanged(near_by, tmp_path, scheme):
    options = {
        "scheme": scheme,
        "partition": "few-labels:2",
        "data": "digits@600+100",
        "seed": 3,
        "judge_every": 4,
    }
    before = [PropagateLabels(0.2, components=4), Exchange(edges=2)]
    kept = {"before": before, "checkpoint": tmp_path / "c.npz", "every": 1}
    train(near_by, rounds=2, **options, **kept)
    whole = train(near_by, rounds=4, **options, before=before)
    again = train(near_by, rounds=4, **options, **kept)
    assert again.ledger.to_csv() == whole.ledger.to_csv()
    assert again.ledger.to_csv("device") == whole.ledger.to_csv("device")
    same(again.weights(2), whole.weights(2), 0)
    assert whole.ledger.before.seconds > 0


def test_it_learns_digits(near_by):
    options = {"partition": "few-labels:3", "seed": 1, "rounds": 10, "judge_every": 10, "model": "mlp:32"}
    for scheme in ("decentralised", "semi-decentralised"):
        assert train(near_by, scheme=scheme, **options).ledger.accuracy > 0.7


BARE = Scenario.load("feel-cpu")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"radio": "tdma"}, "radio tdma: has no links between devices, which this scheme sends over: take d2d or"),
        ({"radio": "d2d", "scheme": "fedavg"}, "radio d2d: is for schemes whose devices send to each other"),
        ({"radio": "d2d", "scheme": "semi-decentralised"}, "radio d2d: has no server, and this scheme sends to one"),
        ({"radio": "d2d-server"}, "radio d2d-server: is for schemes with a server, and this one has none: take d2d"),
        ({"participants": 3}, "D2d plans for all devices together: leave participants out"),
        ({"policy": "online"}, "policy: radio d2d has nothing to choose but its graph"),
        ({"scheme": "semi-decentralised", "clusters": 7}, "clusters: expected at most the 6 devices, got 7"),
        ({"judge": "global"}, "judge global: this scheme has no global model: take own, average or reference"),
        ({"averagings": 0}, "averagings: expected a whole number >= 1"),
        ({"lossy": 1}, "lossy: expected true or false"),
        ({"max_outage": 0}, "max_outage: expected a number > 0"),
        ({"shadowing_db": -1}, "shadowing_db: expected a number >= 0"),
        ({"scheme": "semi-decentralised", "server_every": 0}, "server_every: expected a whole number >= 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(near_by, options, complaint):
    with pytest.raises(OptionError, match=complaint):
        train(near_by, rounds=1, data="digits@300+100", **{"scheme": "decentralised"} | options)


def test_links_need_a_table_and_models_must_be_alike(near_by):
    with pytest.raises(
        ProblemError, match=r"no table \[d2d\] or \[d2d-clusters\] that says how they are: add one"
    ):
        train(BARE, scheme="decentralised", rounds=1)
    with pytest.raises(ProblemError, match="this scheme trains one architecture"):
        train(near_by, scheme="decentralised", rounds=1, model="softmax,mlp")
    assert learning.SCHEMES["decentralised"] is Decentralised
