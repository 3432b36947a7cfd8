"""Multi-agent Q-learning of D2D graphs, as the paper has it: an agent per device, all acting at once.

Tables are per state s, device i and arm j: the sum Q of weighted rewards and the number M of times, both from 1, and
the weight of the arm in the policy. Arm i of device i is "no transmitter". Random numbers come from outside, so that a
seed means the same with and without the compiler. Link i N + j is arm j of device i.
"""

import math

from radioopt.d2d.kernel import (
    ALPHA,
    BETA,
    CLUSTER,
    GAMMA,
    LINK,
    LOAD,
    MEMBERS,
    PENALTY,
    SCORE,
    SOURCE,
    excess,
    play,
)
from radioopt.numerics.jit import kernel


@kernel
def arm_weight(reward_sum, times, floor, temperature):
    """Weight of an arm in the policy: (7), its mean reward but at least ``floor``; or of a softmax of the means."""
    if temperature > 0.0:
        return math.exp(reward_sum / times / temperature)
    return max(reward_sum / times, floor)


@kernel
def pick(weights, sums, state, i, number):
    """Arm of device i at a random number in [0, 1)."""
    left, last = number * sums[state, i], i
    for j in range(weights.shape[2]):
        if weights[state, i, j] > 0.0:
            last = j
            left -= weights[state, i, j]
            if left < 0.0:
                break
    return last


@kernel
def learn(
    table, times, weights, sums, state, i, arm, reward, buffer, filled, step, reduction, floor, temperature
):
    """Enter the reward of device i for an arm: in full if it is not below the mean of the buffer, else reduced.

    ``buffer[i]`` holds the last rewards in turn, ``filled`` of them so far; ``step`` says which one to replace.
    """
    mean = 0.0
    for b in range(filled):
        mean += buffer[i, b]
    weight = 1.0
    if filled > 0 and reward * filled < mean:
        weight = reduction
    buffer[i, step % buffer.shape[1]] = reward
    table[state, i, arm] += weight * reward
    times[state, i, arm] += 1.0
    new = arm_weight(table[state, i, arm], times[state, i, arm], floor, temperature)
    sums[state, i] += new - weights[state, i, arm]
    weights[state, i, arm] = new


@kernel
def total_reward(device, links, losses, numbers, mean, k):
    """R = r + gamma R_H of device k, ``mean`` being that of all local rewards r."""
    cluster = links[k, CLUSTER]
    over = excess(device, cluster, device[cluster, LOAD])
    return local_reward(device, links, losses, numbers, k) + numbers[GAMMA] * (
        mean - numbers[PENALTY] * over / device[cluster, MEMBERS]
    )


@kernel
def local_reward(device, links, losses, numbers, k):
    """Local reward r of device k, (13)."""
    e = links[k, LINK]
    return numbers[ALPHA] * device[k, SCORE] - (numbers[BETA] * losses[e] if e >= 0 else 0.0)


@kernel
def train(
    game,
    outage,
    table,
    times,
    weights,
    sums,
    buffer,
    first,
    random,
    states,
    reduction,
    floor,
    temperature,
    history,
):
    """Take a step per row of ``random`` (steps, N), devices being in ``states`` (steps, N); ``history`` gets their F.

    ``outage[s, i, j]`` is that in state s; with one state it is that of the game. ``first`` steps came before.
    """
    points, device, links, _, _, now, asks, numbers = game
    devices = device.shape[0]
    for step in range(random.shape[0]):
        for i in range(devices):
            state = states[step, i]
            arm = pick(weights, sums, state, i, random[step, i])
            links[i, SOURCE], links[i, LINK] = (arm, i * devices + arm) if arm != i else (-1, -1)
            now[i * devices + arm] = outage[state, i, arm]
        play(points, device, links, now, asks, numbers)
        mean = 0.0
        for k in range(devices):
            mean += local_reward(device, links, now, numbers, k) / devices
        filled = min(first + step, buffer.shape[1])
        history[step] = 0.0
        for k in range(devices):
            reward = total_reward(device, links, now, numbers, mean, k)
            history[step] += reward
            arm = links[k, SOURCE] if links[k, SOURCE] >= 0 else k
            # a forbidden link, at a reward of minus infinity, is worth nothing either
            learn(
                table,
                times,
                weights,
                sums,
                states[step, k],
                k,
                arm,
                max(reward, 0.0),
                buffer,
                filled,
                first + step,
                reduction,
                floor,
                temperature,
            )
