"""Outage, clusters, energy; several edges; what the scenario draws; pictures."""

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radioopt import OptionError, ProblemError, Scenario
from radioopt.d2d import (
    EnergyModel,
    cluster_message_bits,
    discover,
    label_message_bits,
    mean_distance_m,
    outage_probability,
    reliable_clusters,
)
from validation.d2d import zoo


def test_outage_is_that_of_rayleigh_fading():
    rng = np.random.default_rng(0)
    gain = rng.exponential(size=200_000)
    rate, rss, noise = 1.5, 2e-9, 4e-10
    failed = np.log2(1 + gain * rss / noise) < rate
    exact = outage_probability(rss, spectral_efficiency=rate, noise_power_w=noise)
    assert failed.mean() == pytest.approx(exact, abs=0.004)
    assert outage_probability(1.0, spectral_efficiency=0.0, noise_power_w=1.0) == 0.0
    with pytest.raises(ProblemError, match=r"outage_probability\.rss_w: expected > 0, got 0\.0 at index 1"):
        outage_probability([1.0, 0.0], spectral_efficiency=1.0, noise_power_w=1.0)


@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_clusters_are_reliable_and_cannot_be_merged(seed, limit):
    outage = np.random.default_rng(seed).random((9, 9))
    label = reliable_clusters(outage, limit)
    worst = np.maximum(outage, outage.T)
    np.fill_diagonal(worst, 0.0)
    groups = [label == c for c in range(label.max() + 1)]
    assert sum(g.sum() for g in groups) == 9
    assert all(worst[np.ix_(g, g)].max() <= limit for g in groups)
    for a in range(len(groups)):
        for b in range(a):
            both = groups[a] | groups[b]
            assert worst[np.ix_(both, both)].max() > limit


def test_clusters_of_one_device_and_of_bad_input():
    assert reliable_clusters([[0.0]], 0.1).tolist() == [0]
    with pytest.raises(ProblemError, match=r"reliable_clusters\.outage_probability: expected shape \(N, N\)"):
        reliable_clusters([0.0, 0.1], 0.1)


def test_energy_by_hand():
    model = EnergyModel(transmit_power_w=0.2, bandwidth_hz=1e6, amplifier_efficiency=0.4, circuit_power_w=0.1)
    assert model.power_w == pytest.approx(0.6)
    assert model.energy_j(2e6, snr=3.0) == pytest.approx(0.6)  # one second
    snr = np.full((3, 3), 3.0)
    snr[2, 0] = 15.0
    sent = [[0, 0], [3, 1], [4, 0]]
    assert model.exchange_j([-1, 0, 0], sent, 1e6, snr=snr) == pytest.approx(0.6 * (2.0 + 1.0))
    assert model.exchange_j([-1, -1, -1], sent, 1e6, snr=snr) == 0.0
    assert model.server_j(2e6, 10, 3, snr=3.0) == pytest.approx(18.0)
    each = (5 * 0.5 + 0.25) / 6 * 0.6  # five links at 2 bit/s/Hz and one at 4, 1 Mbit each
    assert model.discovery_j(1e6, 7, snr=snr) == pytest.approx(3 * 7 * each)
    assert label_message_bits(4, integer_bits=8) == 4 * 25
    assert cluster_message_bits(3, 2) == 2 * (32 * 15 + 32)
    with pytest.raises(ProblemError, match=r"EnergyModel\.amplifier_efficiency: expected > 0, got 0\.0"):
        EnergyModel(transmit_power_w=1.0, bandwidth_hz=1.0, amplifier_efficiency=0.0)
    with pytest.raises(ProblemError, match=r"EnergyModel\.snr: expected > 0, got 0\.0"):
        model.energy_j(1.0, snr=0.0)
    with pytest.raises(
        ProblemError, match=r"mean_distance_m\.position_m: expected shape \(N, 2\) with N >= 2"
    ):
        mean_distance_m([[0.0, 0.0]])


@pytest.mark.parametrize("method", ["local-search", "closest", "q-learning", "none"])
def test_several_edges(method):
    problem = zoo.draw(12)
    found = discover(problem, 3, method)
    assert found.sources.shape == (3, 12)
    for i in range(12):
        used = found.sources[:, i][found.sources[:, i] >= 0]
        assert len(set(used.tolist())) == len(used)
    np.testing.assert_array_equal(found.rounds[1].problem.class_counts, found.rounds[0].counts_after)
    assert found.objective == pytest.approx(sum(float(r.objective) for r in found.rounds))
    graph = found.graph()
    assert max(dict(graph.in_degree()).values()) <= 3
    assert graph.number_of_edges() == (found.sources >= 0).sum()
    np.testing.assert_array_equal(found.counts_after, found.rounds[-1].counts_after)


def test_several_edges_of_bad_input():
    with pytest.raises(OptionError, match=r"discover: edges: expected a whole number >= 1, got 0"):
        discover(zoo.draw(4), 0)
    with pytest.raises(OptionError, match=r"discover: edges: expected a whole number >= 1, got 'two'"):
        discover(zoo.draw(4), "two")
    with pytest.raises(ProblemError, match=r"discover: expected a single instance, got a batch \(2,\)"):
        discover(zoo.draw(4).replace(gate=[0.1, 0.2]))


def test_the_scenario_draws_what_it_says():
    scenario = Scenario.load("d2d")
    devices = scenario.draw(seed=1)
    problem = devices.problem("d2d")
    assert problem == scenario.draw(seed=1).problem("d2d")
    assert ((problem.class_counts > 0).sum(-1) == 3).all()
    np.testing.assert_allclose(np.linalg.norm(problem.position_m, axis=-1), devices.distance_m)
    assert problem.trust.mean() == pytest.approx(0.6, abs=0.02)
    members = np.bincount(problem.clusters)[problem.clusters]
    np.testing.assert_allclose(problem.budgets, 60.0 * members)
    np.testing.assert_array_equal(problem.clusters, reliable_clusters(problem.outage_probability, 0.2))
    batch = scenario.draw(seed=2, size=3).problem("d2d", trust="row-sparse", trust_sparsity=0.5)
    assert batch.batch_shape == (3,)
    assert (batch.trust.any((1, 3)).sum(-1) == 15).all()
    assert batch.solve("closest").source.shape == (3, 30)
    with pytest.raises(ProblemError, match=r"cell\.path_loss: expected a model of distance alone"):
        scenario.replace(
            {"cell.path_loss": "tr38901_uma", "cell.carrier_frequency_hz": 2e9, "cell.min_distance_m": 10.0}
        ).draw(1).problem("d2d")


def test_the_graph_and_its_drawing():
    solution = Scenario.load("d2d").draw(seed=1).problem("d2d").solve()
    graph = solution.graph()
    assert isinstance(graph, networkx.DiGraph)
    assert graph.number_of_edges() == (solution.source >= 0).sum()
    for j, i, edge in graph.edges(data=True):
        assert solution.source[i] == j
        assert edge["outage"] == solution.link_outage[i]
        assert edge["trust"] == solution.problem.trust[j, i].mean()
    figure = solution.plot()
    assert figure.axes[0].get_xlabel() == "x [m]"
    assert zoo.draw(4).replace(position_m=np.inf).solve("none").plot().axes[0].get_xlabel() == ""
    with pytest.raises(ProblemError, match=r"plot: position_m: expected 30 finite places"):
        solution.plot(position_m=[[0, 0]])
    with pytest.raises(ProblemError, match=r"graph: expected a single instance, got a batch \(2,\)"):
        zoo.draw(4).replace(gate=[0.1, 0.2]).solve().plot()


def test_tables_say_what_happens_to_each_device():
    solution = zoo.draw(6).solve()
    frame = solution.to_frame()
    assert frame.columns[0] == "source"
    np.testing.assert_allclose(frame["points_received"], solution.received.sum(-1))
    assert solution.summary()["links"] == (solution.source >= 0).sum()
    assert solution.to_frame(())["mean_distance_after"].item() == pytest.approx(
        solution.distance_after.mean()
    )
