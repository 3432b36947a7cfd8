"""Trials side by side in lanes are the trials one by one."""

import dataclasses

import numpy as np
import pytest

from radioopt.d2d import exchange, kernel, kernel_trials
from radioopt.d2d.certificate import rewards
from radioopt.d2d.solver import prepare
from validation.d2d import zoo


def setting(**changes):
    """Arrays for trials of forty devices, and a good graph."""
    problem = zoo.draw(40, 3, request="compensated", **changes)
    game = prepare(problem, 0)
    source = np.array(problem.solve().source, np.int64)
    return problem, game, source, kernel_trials.room(40, 40, 10)


def links_of(game, source, without):
    """Number of every device's link, -1 for none; device ``without`` gets none."""
    found = np.full(len(source), -1)
    for i in np.flatnonzero((source >= 0) & (np.arange(len(source)) != without)):
        mine = np.arange(game.first[i], game.first[i + 1])
        found[i] = mine[game.transmitter[mine] == source[i]][0]
    return found


@pytest.mark.parametrize("score", ["improvement", "change"])
@pytest.mark.parametrize("metric", ["wasserstein", "total-variation", "jensen-shannon"])
def test_lanes_gain_what_single_trials_gain(metric, score):
    _, game, source, scratch = setting(metric=metric, score=score)
    points, device, graph, first, *links, numbers = game
    gains, short, found = np.zeros(first[-1]), np.zeros(first[-1], np.bool_), []
    for i in range(40):
        kernel.begin(points, device, graph, *links, numbers, links_of(game, source, i))
        some = np.arange(first[i], first[i + 1])[i % 3 :: 1 + i % 2]  # any of them, and not always eight
        listed = np.append(some, np.zeros(40 - some.size, np.int64))
        kernel_trials.try_links(
            points, device, graph, *links, numbers, i, listed, some.size, scratch, gains, short
        )
        one_by_one = [kernel.gain(points, device, graph, *links, numbers, i, e) for e in some]
        np.testing.assert_allclose(gains[some], one_by_one, rtol=1e-11, atol=1e-12)
        found += one_by_one
    assert short.any()
    assert not short.all()
    assert np.ptp(found) > 0.1


@pytest.mark.parametrize("score", ["improvement", "change"])
def test_alone_a_device_gains_by_what_is_left(score):
    problem, game, source, scratch = setting(score=score)
    points, device, devices, first, *links, numbers = game
    outage, gains = problem.outage_probability, np.zeros(first[-1])
    count = int(np.diff(first).min())
    for i in range(0, 40, 3):
        graph = np.where(np.arange(40) == i, -1, source)
        kernel.begin(points, device, devices, *links, numbers, links_of(game, source, i))
        listed = first[i] + np.arange(40)
        kernel_trials.try_alone(points, device, *links, numbers, i, listed, count, scratch, gains)
        moved = exchange(problem, graph)
        asked = np.zeros((40, 10))
        np.add.at(asked, graph[graph >= 0], moved.requested[graph >= 0])
        left = np.maximum(problem.surplus - asked, 0.0)
        before = rewards(problem, graph, moved).score[i]
        for e in range(first[i], first[i] + count):
            j = links[0][e]
            arrives = 1.0 - outage[i, j]
            taken = arrives * np.minimum(problem.trust[j, i] * problem.deficit[i] / arrives, left[j])
            counts = moved.counts_after.copy()
            counts[i] += taken
            after = rewards(problem, graph, dataclasses.replace(moved, counts_after=counts)).score[i]
            value = problem.diversity_weight * (after - before) - problem.outage_weight * outage[i, j]
            assert gains[e] == pytest.approx((1 + problem.cluster_weight) * value, rel=1e-11, abs=1e-12)
