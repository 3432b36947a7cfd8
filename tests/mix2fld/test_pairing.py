"""Pairing is a maximum matching of swapped labels across devices, by an independent library and in closed form."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest

from radioopt.base.errors import ProblemError
from radioopt.mix2fld import most_pairs, pair_symmetric


def draw(seed):
    """Devices, labels and samples of any numbers; a few labels, so that many samples fit each other."""
    rng = np.random.default_rng(seed)
    samples, devices, labels = rng.integers(1, 40), rng.integers(1, 7), rng.integers(2, 5)
    weights = rng.dirichlet(np.full(devices, 0.6))  # some devices hold most
    first = rng.integers(0, labels, samples)
    second = (first + rng.integers(1, labels, samples)) % labels
    return rng.choice(devices, samples, p=weights), first, second


def compatible(device, first, second):
    return (
        (device[:, None] != device)
        & (first[:, None] == second)
        & (second[:, None] == first)
        & (first < second)[:, None]
    )


def check_pairs(pairs, device, first, second, capacity=1):
    allowed = compatible(device, first, second)
    assert all(allowed[i, j] for i, j in pairs)  # labels swapped, never within a device
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)
    assert max(Counter(pairs.ravel().tolist()).values(), default=0) <= capacity


@pytest.mark.parametrize("block", range(10))
def test_as_many_as_a_maximum_matching(block):
    for seed in range(100 * block, 100 * (block + 1)):
        device, first, second = draw(seed)
        pairs = pair_symmetric(device, first, second)
        check_pairs(pairs, device, first, second)
        graph = nx.from_edgelist(np.argwhere(compatible(device, first, second)).tolist())
        assert len(pairs) == len(nx.max_weight_matching(graph, maxcardinality=True)), seed
        closed_form = 0
        for a in range(first.max() + 1):
            for b in range(a + 1, 5):
                u = np.bincount(device[(first == a) & (second == b)], minlength=7)
                v = np.bincount(device[(first == b) & (second == a)], minlength=7)
                closed_form += most_pairs(u, v)
        assert len(pairs) == closed_form, seed


@pytest.mark.parametrize("seed", range(60))
def test_with_capacities_as_many_as_a_maximum_flow(seed):
    device, first, second = draw(seed)
    capacity = 2 + seed % 3
    pairs = pair_symmetric(device, first, second, capacity)
    check_pairs(pairs, device, first, second, capacity)
    graph = nx.DiGraph()
    graph.add_nodes_from(["source", "sink"])
    for i, j in np.argwhere(compatible(device, first, second)).tolist():
        graph.add_edge("source", i, capacity=capacity)
        graph.add_edge(i, j, capacity=1)
        graph.add_edge(j, "sink", capacity=capacity)
    assert len(pairs) == nx.maximum_flow_value(graph, "source", "sink")


def test_capacity_makes_more_samples_than_were_uploaded():
    """N_I > N_S: four devices with a sample each way give eight from four, and no pair is used twice."""
    device, first, second = [0, 1, 2, 3], [0, 0, 1, 1], [1, 1, 0, 0]
    assert [len(pair_symmetric(device, first, second, c)) for c in (1, 2, 3)] == [2, 4, 4]


def test_one_device_alone_has_no_partner():
    assert pair_symmetric([5, 5, 5], [0, 1, 0], [1, 0, 1]).shape == (0, 2)
    assert pair_symmetric([], [], []).shape == (0, 2)


def test_fifty_devices_with_one_pair_of_labels_are_all_paired():
    device = np.repeat(np.arange(50), 20)
    first = np.tile([0, 1], 500)
    pairs = pair_symmetric(device, first, 1 - first)
    assert len(pairs) == 500
    check_pairs(pairs, device, first, 1 - first)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pair_symmetric([0, 1], [0], [1, 0]),
            r"expected one value per sample, got device \(2,\), first",
        ),
        (
            lambda: pair_symmetric([0, 1], [0, 1], [1, 1]),
            r"second_label: expected another label .*at index 1",
        ),
        (lambda: pair_symmetric([0, -1], [0, 1], [1, 0]), r"pair_symmetric\.device: expected >= 0, got -1"),
        (lambda: pair_symmetric([0, 1], [0.5, 1], [1, 0]), r"first_label: expected a whole number, got 0\.5"),
        (lambda: pair_symmetric([0, 1], [0, 1], [1, 0], 0), r"capacity: expected at least 1, got 0"),
        (lambda: most_pairs([1, 2], [1]), r"most_pairs: expected a count per device, got shapes"),
        (lambda: most_pairs([1, -2], [1, 1]), r"most_pairs\.forward: expected >= 0, got -2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call()
