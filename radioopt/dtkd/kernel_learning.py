"""Tabular Q-learning for DT-KD, as the paper has it: one step per episode, the reward is minus the cost.

Two tables. ``joint``: a row per state of all users, a column per vector of actions, which is the paper's and grows as
(2M)^K. ``own``: a table per user with its own state and its own action, all learning from the common reward.
Random numbers come from outside, so that a seed means the same with and without the compiler.
"""

import numpy as np

from radioopt.dtkd.kernel import K, R, S, T, U, W, cost
from radioopt.numerics.jit import kernel


@kernel
def joint_cost(actions, users, tau, code, count):
    """Cost of a vector of actions, written as one number to the base ``count``, with the best shares."""
    fixed, cpu, width = 0.0, 0.0, 0.0
    for k in range(users.shape[1]):
        a = code % count
        code //= count
        fixed += actions[K, a] + actions[T, a] * users[R, k]
        cpu += actions[U, a]
        width += actions[S, a] * users[W, k]
    return cost(fixed, cpu, width, tau)


@kernel
def learn_joint(actions, users, taus, states, table, visits, best, random, chance_from, chance_to):
    """Run an episode per row of ``random``; return the sum of their costs.

    ``best`` holds the column that is greedy in each row of the table, so that no episode looks for it.
    """
    count, columns, total = actions.shape[2], table.shape[1], 0.0
    for episode in range(random.shape[0]):
        i = int(random[episode, 0] * users.shape[0])
        row = states[i]
        chance = chance_from + (chance_to - chance_from) * episode / random.shape[0]
        column = best[row] if random[episode, 1] >= chance else int(random[episode, 2] * columns)
        reward = -joint_cost(actions[i], users[i], taus[i], column, count)
        total -= reward
        visits[row, column] += 1
        table[row, column] += (reward - table[row, column]) / visits[row, column]
        if table[row, column] > table[row, best[row]]:
            best[row] = column
        elif column == best[row]:
            best[row] = np.argmax(table[row])
    return total


@kernel
def shares_cost(actions, users, tau, own, shares, picked):
    """Cost of actions with shares of CPU and band in the ratio of whole numbers; ``picked`` gets the actions.

    Column own[k] is a + A (g + G h): action a, CPU share g + 1, bandwidth share h + 1, with G = ``shares``.
    """
    count = actions.shape[1]
    parts, widths, fixed = 0.0, 0.0, 0.0
    for k in range(users.shape[1]):
        parts += own[k] // count % shares + 1.0
        widths += own[k] // (count * shares) + 1.0
    for k in range(users.shape[1]):
        a = own[k] % count
        picked[k] = a
        v = actions[S, a] * users[W, k]
        fixed += actions[K, a] + actions[T, a] * users[R, k]
        fixed += actions[U, a] ** 2 * parts / (own[k] // count % shares + 1.0)
        fixed += v * v * widths / (own[k] // (count * shares) + 1.0)
    return fixed + tau * tau


@kernel
def learn_own(actions, users, taus, states, table, visits, shares, random, chance_from, chance_to, rate):
    """Run an episode per row of ``random`` with a table per user; return the sum of the costs.

    With ``shares`` of 0 the shares are the best ones for the actions.
    """
    size, columns, total = users.shape[2], table.shape[2], 0.0
    own, picked = np.empty(size, np.int64), np.empty(size, np.int64)
    count = actions.shape[2]
    for episode in range(random.shape[0]):
        i = int(random[episode, 0] * users.shape[0])
        chance = chance_from + (chance_to - chance_from) * episode / random.shape[0]
        for k in range(size):
            own[k] = int(random[episode, 2 + 2 * k] * columns)
            if random[episode, 1 + 2 * k] >= chance:
                own[k] = np.argmax(table[k, states[i, k]])
        reward = -own_cost(actions[i], users[i], taus[i], own, shares, picked, count)
        total -= reward
        for k in range(size):
            visits[k, states[i, k], own[k]] += 1
            step = max(1.0 / visits[k, states[i, k], own[k]], rate)
            table[k, states[i, k], own[k]] += step * (reward - table[k, states[i, k], own[k]])
    return total


@kernel
def own_cost(actions, users, tau, own, shares, picked, count):
    """Cost of the users' own actions, with shares learnt or the best ones."""
    if shares > 0:
        return shares_cost(actions, users, tau, own, shares, picked)
    fixed, cpu, width = 0.0, 0.0, 0.0
    for k in range(users.shape[1]):
        a = own[k]
        picked[k] = a
        fixed += actions[K, a] + actions[T, a] * users[R, k]
        cpu += actions[U, a]
        width += actions[S, a] * users[W, k]
    return cost(fixed, cpu, width, tau)
