"""The paper's Q-learning: the update and the policy by hand, the read-out, dynamic channels."""

import numpy as np
import pytest

from radioopt import ProblemError
from radioopt.d2d import GraphProblem, kernel_learning, train
from validation.d2d import zoo

SWAP = GraphProblem(class_counts=[[20, 0], [0, 20], [10, 10]], thresholds=10, outage_probability=0.1)


def agent(buffer=2):
    """Tables of one state, two devices and two arms each."""
    table, times, weights = np.ones((1, 2, 2)), np.ones((1, 2, 2)), np.ones((1, 2, 2))
    return table, times, weights, weights.sum(-1), np.zeros((2, buffer))


def test_the_update_by_hand():
    """Buffer of two, reduction of a quarter: the mean is that of the buffer before the reward enters it."""
    table, times, weights, sums, buffer = agent()
    rewards = [4.0, 2.0, 3.0, 2.4, 0.0]
    # weights: empty buffer 1; 2 < 4 -> 1/4; 3 >= (4+2)/2 -> 1; 2.4 < (2+3)/2 -> 1/4; 0 < 2.7 -> 1/4
    expected = np.cumsum([4.0, 0.5, 3.0, 0.6, 0.0]) + 1.0
    for step, (reward, total) in enumerate(zip(rewards, expected, strict=True)):
        filled = min(step, 2)
        kernel_learning.learn(
            table, times, weights, sums, 0, 1, 0, reward, buffer, filled, step, 0.25, 1e-3, 0.0
        )
        assert table[0, 1, 0] == pytest.approx(total)
        assert times[0, 1, 0] == step + 2
        assert weights[0, 1, 0] == pytest.approx(total / (step + 2))
        assert sums[0, 1] == pytest.approx(weights[0, 1].sum())
    np.testing.assert_allclose(buffer, [[0, 0], [0.0, 2.4]])
    np.testing.assert_array_equal(table[0, 0], 1.0)  # the other device has learnt nothing
    np.testing.assert_array_equal(table[0, 1, 1], 1.0)


def test_the_floor_and_the_softmax():
    assert kernel_learning.arm_weight(1.0, 5.0, 1e-3, 0.0) == 0.2
    assert kernel_learning.arm_weight(1e-6, 5.0, 1e-3, 0.0) == 1e-3
    assert kernel_learning.arm_weight(1.0, 2.0, 1e-3, 0.5) == pytest.approx(np.e)


def test_arms_are_drawn_by_their_weights():
    weights = np.array([[[0.0, 1.0, 3.0]]])
    picked = [kernel_learning.pick(weights, weights.sum(-1), 0, 0, u) for u in (0.0, 0.2, 0.26, 0.999999)]
    assert picked == [1, 1, 2, 2]
    # rounding of the sum never leads to an arm of weight 0
    assert kernel_learning.pick(np.array([[[1.0, 0.0]]]), np.array([[1.0 + 1e-9]]), 0, 0, 1 - 1e-16) == 0


def test_it_learns_what_is_obvious():
    training = train(SWAP, iterations=500)
    np.testing.assert_array_equal(training.answer, [1, 0, -1])
    assert training.objective[-100:].mean() > training.objective[:20].mean()
    assert training.curve()["objective"].iloc[-1] == pytest.approx(training.objective[-50:].mean())
    assert training.times.sum() == 3 * 500


def test_it_is_read_out_from_arms_that_were_tried():
    training = train(zoo.draw(12), iterations=5)
    tried = np.take_along_axis(
        training.times[0], np.where(training.answer < 0, np.arange(12), training.answer)[:, None], 1
    )
    assert (tried > 0).all()
    assert np.isnan(training.mean_reward[training.times == 0]).all()


def test_rewards_of_a_step_are_those_of_its_graph():
    """One step of a single graph: everybody's first reward enters in full, clipped at 0."""
    from radioopt.d2d import rewards

    training = train(zoo.draw(12), iterations=1, seed=3)
    arm = training.times[0].argmax(-1)
    source = np.where(arm == np.arange(12), -1, arm)
    worth = rewards(training.problem, source)
    own = worth.device + training.problem.cluster_weight * worth.cluster
    np.testing.assert_allclose(
        training.mean_reward[0][np.arange(12), arm], np.maximum(own, 0.0), rtol=1e-9, atol=1e-12
    )
    assert training.objective[0] == pytest.approx(float(worth.objective))


def test_states_of_the_channel_have_tables_of_their_own():
    training = train(zoo.draw(8), iterations=600, levels=3, rss_std_db=6.0)
    assert training.source.shape == (3, 8)
    assert training.rss_factor[1] == 1.0
    assert training.rss_factor[0] < 1 < training.rss_factor[2]
    # the middle third of a normal distribution cut at two deviations holds half of it
    shares = training.times.sum((1, 2)) / training.times.sum()
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.05)


def test_forbidden_links_are_never_tried():
    problem = zoo.named()["forbidden_links"]
    times = train(problem, iterations=300).times[0]
    assert times[~problem.allowed & ~np.eye(5, dtype=bool)].sum() == 0


def test_a_batch_is_refused():
    with pytest.raises(
        ProblemError, match=r"train: expected a single instance, got a batch \(2,\): index it"
    ):
        train(SWAP.replace(outage_weight=[0.0, 1.0]))


def test_the_learning_curve_is_drawn():
    figure = train(SWAP, iterations=60).plot()
    assert figure.axes[0].get_ylabel() == "objective F"
