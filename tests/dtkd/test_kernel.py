"""What the search over users' actions is told about the actions that it has not tried yet."""

import numpy as np
import pytest

from radioopt.dtkd import kernel_search as search
from radioopt.dtkd.kernel import BASE, CHOICE, LEAST, STEEP, R, S, T, U, W


@pytest.mark.parametrize("seed", range(10))
def test_what_later_actions_add_is_bounded_by_those_of_the_same_group_alone(seed):
    rng = np.random.default_rng(seed)
    groups, count = 3, 4
    actions, users = np.zeros((12, count)), np.zeros((12, groups))
    for row in (BASE, STEEP, T, U, S):
        actions[row] = rng.uniform(0.1, 1.0, count)
    for row in (R, W):
        users[row] = rng.uniform(0.1, 1.0, groups)
    scores = actions[BASE] + np.outer(users[R], actions[T]) + np.outer(users[W], actions[STEEP])
    users[LEAST], users[CHOICE] = scores.min(-1), scores.argmin(-1)
    choices = np.repeat([[0], [count], [1]], groups, axis=1)
    # the memory may hold anything before
    level = np.full((7, groups * count), rng.choice([np.inf, -np.inf]))
    action, group = np.empty(groups * count, np.int64), np.empty(groups * count, np.int64)
    order, begins = np.arange(groups), np.arange(groups + 1)
    used = search.lay_out(actions, users, choices, 0.5, order, begins, level, action, group)
    assert groups < used
    for e in range(used):
        later = np.flatnonzero((group[:used] == group[e]) & (np.arange(used) > e))
        later = later if later.size else [e]
        for what, least, most in (
            (search.CPU, search.CPU_LEAST, search.CPU_MOST),
            (search.WIDTH, search.WIDTH_LEAST, search.WIDTH_MOST),
        ):
            assert level[least, e] == level[what, later].min()
            assert level[most, e] == level[what, later].max()
