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
    game, candidates, asks, losses = prepare(problem, 0)
    source = np.array(problem.solve().source, np.int64)
    return problem, game, (candidates, asks, losses), source, kernel_trials.room(candidates, 10)


@pytest.mark.parametrize("score", ["improvement", "change"])
@pytest.mark.parametrize("metric", ["wasserstein", "total-variation", "jensen-shannon"])
def test_lanes_gain_what_single_trials_gain(metric, score):
    _, game, links, source, scratch = setting(metric=metric, score=score)
    points, device, graph, _, _, numbers = game
    candidates = links[0]
    gains, short, found = np.zeros(candidates.shape), np.zeros(candidates.shape, np.bool_), []
    for i in range(40):
        kernel.begin(*game, np.where(np.arange(40) == i, -1, source))
        slots = np.flatnonzero(candidates[i] >= 0)[i % 3 :: 1 + i % 2]  # any of them, and not always eight
        listed = np.append(slots, np.zeros(40 - slots.size, np.int64))
        kernel_trials.try_links(
            points, device, graph, numbers, i, *links, listed, slots.size, scratch, gains, short
        )
        one_by_one = [kernel.gain(*game, i, candidates[i, slot]) for slot in slots]
        np.testing.assert_allclose(gains[i, slots], one_by_one, rtol=1e-11, atol=1e-12)
        found += one_by_one
    assert short.any()
    assert not short.all()
    assert np.ptp(found) > 0.1


@pytest.mark.parametrize("score", ["improvement", "change"])
def test_alone_a_device_gains_by_what_is_left(score):
    problem, game, links, source, scratch = setting(score=score)
    points, device, _, _, outage, numbers = game
    candidates, gains = links[0], np.zeros(links[0].shape)
    count = int((candidates >= 0).sum(-1).min())
    for i in range(0, 40, 3):
        graph = np.where(np.arange(40) == i, -1, source)
        kernel.begin(*game, graph)
        listed = np.arange(40)
        kernel_trials.try_alone(points, device, numbers, i, *links, listed, count, scratch, gains)
        moved = exchange(problem, graph)
        asked = np.zeros((40, 10))
        np.add.at(asked, graph[graph >= 0], moved.requested[graph >= 0])
        left = np.maximum(problem.surplus - asked, 0.0)
        before = rewards(problem, graph, moved).score[i]
        for slot in range(count):
            j = candidates[i, slot]
            arrives = 1.0 - outage[i, j]
            taken = arrives * np.minimum(problem.trust[j, i] * problem.deficit[i] / arrives, left[j])
            counts = moved.counts_after.copy()
            counts[i] += taken
            after = rewards(problem, graph, dataclasses.replace(moved, counts_after=counts)).score[i]
            value = problem.diversity_weight * (after - before) - problem.outage_weight * outage[i, j]
            assert gains[i, slot] == pytest.approx((1 + problem.cluster_weight) * value, rel=1e-11, abs=1e-12)
