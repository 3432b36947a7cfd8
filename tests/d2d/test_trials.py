"""Trials side by side in lanes are the trials one by one."""

import numpy as np
import pytest

from radioopt.d2d import kernel, kernel_trials
from radioopt.d2d.solver import prepare
from validation.d2d import zoo


@pytest.mark.parametrize("score", ["improvement", "change"])
@pytest.mark.parametrize("metric", ["wasserstein", "total-variation", "jensen-shannon"])
def test_lanes_gain_what_single_trials_gain(metric, score):
    problem = zoo.draw(40, 3, metric=metric, score=score, request="compensated")
    game, candidates, asks = prepare(problem, 0)
    source = np.array(problem.solve().source, np.int64)
    lanes, work = kernel_trials.room(10), np.empty((3, kernel_trials.LANES), np.int64)
    gains, theirs = np.zeros(candidates.shape), np.zeros(candidates.shape)
    short, found = np.zeros(candidates.shape, np.bool_), []
    for i in range(40):
        kernel.begin(*game, np.where(np.arange(40) == i, -1, source))
        slots = np.flatnonzero(candidates[i] >= 0)[: kernel_trials.LANES]
        for anew in (True, False):  # the second time only what the transmitter gains, which is the same
            kernel_trials.try_links(
                game, i, candidates, asks, slots, slots.size, anew, work, lanes, gains, theirs, short
            )
            one_by_one = [kernel.gain(*game, i, candidates[i, slot]) for slot in slots]
            np.testing.assert_allclose(gains[i, slots], one_by_one, rtol=1e-11, atol=1e-12)
        found += one_by_one
    assert short.any()
    assert not short.all()
    assert np.ptp(found) > 0.1


def test_what_a_transmitter_gains_is_kept_up_to_date():
    problem = zoo.draw(12, 1)
    game, candidates, asks = prepare(problem, 0)
    lanes, work = kernel_trials.room(10), np.empty((3, kernel_trials.LANES), np.int64)
    gains, theirs = np.zeros(candidates.shape), np.zeros(candidates.shape)
    short = np.zeros(candidates.shape, np.bool_)
    slots = np.flatnonzero(candidates[0] >= 0)
    arrays = (work, lanes, gains, theirs, short)
    nobody = np.full(12, -1, np.int64)
    kernel.begin(*game, nobody)
    kernel_trials.try_links(game, 0, candidates, asks, slots, slots.size, True, *arrays)
    before = gains[0].copy()
    receiver = candidates[0, 0]  # it will hold other points, and nobody asks it for more
    nobody[receiver] = next(j for j in candidates[receiver] if j not in (0, -1))
    kernel.begin(*game, nobody)
    kernel_trials.try_links(game, 0, candidates, asks, slots[:1], 1, False, *arrays)
    assert gains[0, 0] != before[0]
    assert gains[0, 0] == pytest.approx(kernel.gain(*game, 0, receiver), rel=1e-11)
