"""The GCN baseline: what it sees, that it is the same for a seed, how a graph is read out, and what it is worth."""

import numpy as np
import pytest
import torch

import radioopt as ro
from learning import Exchange, ExchangeClusters, GraphNetwork, train
from learning.prepare.graph_network import Convolutions, alone, features, greedy, lesson
from radioopt import OptionError, ProblemError, Scenario
from radioopt.d2d import GraphProblem

SMALL = {"instances": 10, "epochs": 5, "progress": False}


def cell(family="d2d", count=6, **changes):
    return Scenario.load(family, {"devices.count": count, **changes})


@pytest.fixture(scope="module")
def networks():
    """One of each, well enough trained to be compared."""
    return [
        GraphNetwork.fit(cell(count=10), pairs=pairs, instances=60, epochs=100, progress=False)
        for pairs in (False, True)
    ]


@pytest.mark.parametrize("family", ["d2d", "d2d-clusters"])
def test_links_by_themselves_are_graphs_of_one_link(family):
    problem = cell(family).draw(seed=3).problem(family)
    known = alone(problem)
    for i, j in [(0, 1), (4, 2), (5, 5)]:
        source = np.full(6, -1)
        source[i] = j if i != j else -1
        given = problem.judge(source=source)
        np.testing.assert_allclose(known.moved[i, j], given.received[i], rtol=1e-12)
        reward = given.device_reward[i]
        assert known.reward[i, j] == pytest.approx(reward, rel=1e-12, abs=1e-12)
        inside = problem.clusters[i] == problem.clusters[j]
        assert known.load[i, j] == pytest.approx(0 if inside else given.inter_cluster_points[i], rel=1e-12)
    closed = problem.replace(budgets=0.0)
    outside = closed.clusters[:, None] != closed.clusters
    assert (np.isfinite(alone(closed).reward) == ~outside).all()


def test_convolutions_are_those_of_kipf_and_welling():
    torch.manual_seed(0)
    network = Convolutions(5, 2)
    problem = cell().draw(seed=3).problem("d2d")
    chance = 1.0 - problem.outage_probability
    np.fill_diagonal(chance, 1.0)
    near = 0.5 * (chance + chance.T)
    root = np.diag(near.sum(-1) ** -0.5)
    adjacency = features(problem, alone(problem), True)[2]
    np.testing.assert_allclose(adjacency, root @ near @ root, rtol=1e-6)
    nodes, pairs = torch.rand(1, 6, 5), torch.rand(1, 6, 6, 2)
    a = torch.from_numpy(adjacency)
    hidden = torch.relu(a @ (nodes[0] @ network.first.weight.T + network.first.bias))
    hidden = torch.relu(a @ (hidden @ network.second.weight.T + network.second.bias))
    both = torch.cat([hidden[4], hidden[1], pairs[0, 4, 1]])
    score = network.last(torch.relu(network.third(both)))
    assert network(nodes, pairs, a[None])[0, 4, 1].item() == pytest.approx(score.item(), rel=1e-5)
    assert [layer.out_features for layer in network.children()] == [64, 16, 16, 1]


def test_the_papers_features_are_data_and_state_and_know_nothing_of_trust():
    problem = cell().draw(seed=3).problem("d2d")
    known = alone(problem)
    nodes, pairs, _, usable = features(problem, known, False)
    np.testing.assert_allclose(nodes[:, :10].sum(-1), 1.0, rtol=1e-6)
    assert nodes.shape == (6, 16)
    assert set(np.unique(nodes[:, 10:])) <= {np.float32(level / 3) for level in range(4)}
    assert pairs.shape == (6, 6, 0)
    assert (usable == ~np.eye(6, dtype=bool)).all()
    nobody = problem.replace(trust=False)
    for one, other in zip(
        features(nobody, alone(nobody), False), features(problem, known, False), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    _, seen, _, may = features(problem, known, True)
    assert seen.shape == (6, 6, 11)
    assert may.all()
    assert features(nobody, alone(nobody), True)[1][..., :10].max() == 0 < seen[..., :10].max()


def test_it_learns_what_the_teacher_chooses():
    problem = cell().draw(seed=0).problem("d2d")
    known = alone(problem)
    assert (lesson(problem, known, "alone", True) == known.reward.argmax(-1)).all()
    links = np.where(np.eye(6, dtype=bool), -np.inf, known.reward)
    assert (lesson(problem, known, "alone", False) == links.argmax(-1)).all()
    source = problem.solve("local-search").source
    assert (source < 0).any()
    chosen = lesson(problem, known, "local-search", True)
    assert (np.where(chosen == np.arange(6), -1, chosen) == source).all()
    assert (lesson(problem, known, "local-search", False)[source < 0] == -100).all()


def test_a_graph_is_read_out_greedily_within_the_budgets():
    problem = GraphProblem(
        class_counts=[[30, 0], [0, 30], [0, 30]], thresholds=10, outage_probability=0.1,
        clusters=[0, 0, 1], budgets=[10, 10, 0],
    )  # fmt: skip
    scores = np.array([[0.0, 0.5, 0.9], [2.0, 0.0, 3.0], [1.0, 1.0, 0.0]])
    known = alone(problem)
    assert known.load.tolist() == [[0, 0, 10], [0, 0, 0], [0, 0, 0]]
    scores[~np.isfinite(known.reward)] = -np.inf
    assert greedy(problem, known, scores).tolist() == [2, 2, -1]
    tight = problem.replace(budgets=[9, 9, 0])
    assert greedy(tight, alone(tight), scores).tolist() == [1, 2, -1]
    assert greedy(problem, known, scores - 5 * (scores > 0.4)).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("family", ["d2d", "d2d-clusters"])
@pytest.mark.parametrize("pairs", [False, True])
def test_it_is_the_same_for_a_seed_and_solves_batches(family, pairs):
    scenario = cell(family)
    torch.manual_seed(1)
    one = GraphNetwork.fit(scenario, family=family, pairs=pairs, seed=4, **SMALL)
    torch.manual_seed(2)
    again = GraphNetwork.fit(scenario, family=family, pairs=pairs, seed=4, **SMALL)
    assert one.losses == again.losses
    assert one.losses != GraphNetwork.fit(scenario, family=family, pairs=pairs, seed=5, **SMALL).losses
    batch = scenario.draw(1, 3).problem(family)
    solution = one(batch)
    for index in range(3):
        assert (again(batch[index]).source == solution.source[index]).all()
    assert (solution.status == ro.Status.FEASIBLE).all()
    assert np.isinf(solution.gap).all()
    assert repr(one).startswith(f"GraphNetwork({family}, pairs={pairs}")


def test_what_links_would_move_is_worth_more_than_the_papers_features(networks):
    problems = [cell(count=10).draw(seed=1000 + seed).problem("d2d") for seed in range(15)]
    best = sum(problem.solve(starts=5).objective for problem in problems)
    papers, seeing = (sum(network(problem).objective for problem in problems) / best for network in networks)
    assert networks[1].losses[-1] < 0.75 * networks[1].losses[0]
    assert papers < 0.5 < 0.65 < seeing < 1.0
    larger = cell(count=14).draw(seed=1).problem("d2d")
    assert networks[1](larger).objective > larger.solve("closest").objective


@pytest.mark.parametrize("method", ["gcn", "gcn-pairs"])
def test_an_exchange_takes_it_by_its_name(method, monkeypatch):
    found = Scenario.load("feel-cpu").to_dict()
    table = Scenario.load("d2d").to_dict()
    found |= {"d2d": table["d2d"] | {"threshold": 10.0}, "cell": found["cell"] | table["cell"]}
    found["devices"] = found["devices"] | {"count": 6}
    fit = GraphNetwork.fit.__func__
    monkeypatch.setattr(
        GraphNetwork, "fit", classmethod(lambda cls, *given, **more: fit(cls, *given, **more | SMALL))
    )
    options = {"data": "digits@300+100", "partition": "few-labels:3", "model": "softmax", "scheme": "fedavg"}
    results = [
        train(Scenario.from_dict(found), before=[Exchange(method)], rounds=1, seed=seed, **options)
        for seed in (1, 1, 2)
    ]
    one, again, other = (result.prepared[0].to_frame() for result in results)
    assert one.equals(again)
    assert not one.equals(other)
    assert results[0].config["before"][0]["method"] == method
    assert results[0].ledger.before.energy_j > 0


def test_a_function_may_find_the_graph_if_it_returns_a_solution():
    found = Scenario.load("feel-cpu").to_dict()
    table = Scenario.load("d2d").to_dict()
    found |= {"d2d": table["d2d"] | {"threshold": 10.0}, "cell": found["cell"] | table["cell"]}
    scenario = Scenario.from_dict(found)
    options = {"data": "digits@300+100", "partition": "few-labels:3", "model": "softmax", "scheme": "fedavg"}

    def ring(problem):
        return problem.judge(source=np.roll(np.arange(12), 1))

    moved = train(scenario, before=[Exchange(ring)], rounds=1, **options).prepared[0].to_frame()
    assert ((moved["receiver"] - moved["transmitter"]) % 12 == 1).all()
    with pytest.raises(ProblemError, match=r"Exchange: method: expected a function that returns a solution"):
        train(scenario, before=[Exchange(lambda problem: problem)], rounds=1, **options)
    with pytest.raises(
        OptionError, match=r"unknown method .gnn., choose from local-search, .*gcn, gcn-pairs"
    ):
        ExchangeClusters("gnn")


def test_other_problems_and_scenarios_are_refused(networks):
    papers = networks[0]
    with pytest.raises(ProblemError, match=r"gcn: trained for 10 along the axis 'device', got 6: fit it"):
        papers(cell().draw(seed=1).problem("d2d"))
    with pytest.raises(ProblemError, match=r"gcn: trained for problems of 'd2d', got 'ClusterGraphProblem'"):
        papers(cell("d2d-clusters").draw(seed=1).problem("d2d-clusters"))
    with pytest.raises(ProblemError, match=r"has no table \[d2d\]: add it"):
        GraphNetwork.fit("feel-cpu", **SMALL)
    with pytest.raises(OptionError, match=r"unknown teacher 'nobody', choose from alone, local-search"):
        GraphNetwork.fit("d2d", teacher="nobody", **SMALL)
    with pytest.raises(OptionError, match=r"epochs: expected a whole number >= 1, got 0"):
        GraphNetwork.fit("d2d", **SMALL | {"epochs": 0})
    assert ro.Problem.registry["d2d"].methods.keys() == GraphProblem.methods.keys()
