"""The paper's method: an agent per device learns from whom to receive, all acting at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

import numpy as np

from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.options import SolveOptions
from radioopt.base.quantity import Array
from radioopt.d2d import kernel_learning
from radioopt.d2d.game import Game
from radioopt.d2d.links import instances
from radioopt.d2d.problem import GraphProblem
from radioopt.d2d.solution import GraphSolution
from radioopt.d2d.solver import at_least

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.base.pictures import Look

#: steps whose random numbers are drawn at once
AT_ONCE = 1_000
#: dynamic channels are drawn within so many standard deviations
WITHIN = 2.0


@dataclass(frozen=True)
class Training:
    """Tables that were learnt on a single instance; :func:`train` makes them.

    Attributes
    ----------
    problem : GraphProblem
        The instance.
    source : ndarray of int, shape (levels, N)
        Graph read out in every state: the transmitter of the best mean reward among those tried, -1 for none.
    mean_reward : ndarray, shape (levels, N, N)
        Mean of the weighted rewards of each arm in each state, receiver then transmitter, NaN where it was never
        tried; on the diagonal that of "no transmitter".
    times : ndarray, shape (levels, N, N)
        How often each was tried.
    objective : ndarray, shape (iterations,)
        F of the graph of every step.
    rss_factor : ndarray, shape (levels,)
        What the received signal strength of a state is, relative to the problem's; the middle one is 1.
    """

    problem: GraphProblem
    source: Array
    mean_reward: Array
    times: Array
    objective: Array
    rss_factor: Array

    @property
    def answer(self) -> Array:
        """Graph of the state in which the channel is that of the problem, shape (N,)."""
        return np.asarray(self.source[len(self.source) // 2])

    def curve(self, window: int = 50) -> pd.DataFrame:
        """Return the mean objective of the last steps, by step.

        Parameters
        ----------
        window : int, default 50
            How many steps.

        Returns
        -------
        pandas.DataFrame
            Columns ``step``, from 1, and ``objective``.
        """
        import pandas as pd

        steps = np.arange(1, len(self.objective) + 1)
        rolling = pd.Series(self.objective).rolling(window, min_periods=1).mean()
        return pd.DataFrame({"step": steps, "objective": rolling})

    def plot(self, **look: Unpack[Look]) -> Figure:
        """Draw the learning curve; needs the extra ``plot``.

        Parameters
        ----------
        **look
            As of :class:`radioopt.base.pictures.Look`.

        Returns
        -------
        matplotlib.figure.Figure
            Not shown; call ``figure.savefig(path)``.
        """
        from radioopt.base.pictures import canvas, key

        curve = self.curve()
        with canvas(1, look, title="Q-learning of a graph") as (figure, (axes,)):
            axes.plot(curve["step"], self.objective, color="0.75", linewidth=0.6, label="each step")
            axes.plot(curve["step"], curve["objective"], color="black", label="mean of 50 steps")
            axes.set(xlabel="step", ylabel="objective F")
            key(axes)
        return figure


def train(
    problem: GraphProblem,
    *,
    iterations: int = 3000,
    buffer: int = 20,
    reduction: float = 0.5,
    floor: float = 1e-3,
    temperature: float = 0.0,
    levels: int = 1,
    rss_std_db: float = 0.0,
    seed: int = 0,
) -> Training:
    r"""Learn a policy per device by the paper's multi-agent Q-learning.

    In each step device i, in state s, draws an arm j with a probability proportional to :math:`\max(Q_{ij}/M_{ij},
    \epsilon)`; all links are used at once, and device i enters :math:`R_i = \max(r_i + \gamma R_{H(i)}, 0)`:

    .. math::
        Q_{ij}(s) \leftarrow Q_{ij}(s) + w R_i, \quad M_{ij}(s) \leftarrow M_{ij}(s) + 1,

    .. math::
        w = 1 \text{ if } R_i \ge \text{mean of its last } b \text{ rewards, else } \rho .

    Parameters
    ----------
    problem : GraphProblem
        A single instance.
    iterations : int, default 3000
        Steps.
    buffer : int, default 20
        Rewards b that a device remembers.
    reduction : float, default 0.5
        Weight :math:`\rho` in [0, 1] of a reward below the mean of those.
    floor : float, default 0.001
        Least ratio :math:`\epsilon > 0` in the policy, so that no arm is given up.
    temperature : float, default 0.0
        If > 0, the policy is a softmax of Q/M over this temperature instead.
    levels : int, default 1
        States: levels, an odd number, into which the received signal strength (RSS) of a device is quantised.
    rss_std_db : float, default 0.0
        Standard deviation [dB] of the RSS, which every device draws anew in every step, truncated at two of them.
    seed : int, default 0
        Source of randomness.

    Returns
    -------
    Training
        Its :attr:`Training.answer` is what the method "q-learning" returns.

    Raises
    ------
    OptionError
        If an option is out of its range.
    ProblemError
        If the problem is a batch.

    Notes
    -----
    R* are the policy (7) and the update; iterations, b, rho and the quantisation are lost (R) and configuration here.
    Read-out: the largest (Q - 1)/(M - 1) among arms tried; by Q/M an arm never tried, at 1, would win. The mean of the
    buffer is that before the reward enters it; the first reward counts in full. "No transmitter" is an arm. An RSS x
    times as strong turns an outage of P into 1 - (1 - P)^(1/x), by (18).

    References
    ----------
    (7), (18) and Section IV-E.

    Examples
    --------
    >>> problem = GraphProblem(
    ...     class_counts=[[20, 0], [0, 20], [10, 10]], thresholds=10, outage_probability=0.1)
    >>> train(problem, iterations=500).answer
    array([ 1,  0, -1])
    """
    if problem.batch_shape:
        raise ProblemError(f"train: expected a single instance, got a batch {problem.batch_shape}: index it")
    at_least(
        "q-learning", iterations=(iterations, 1), buffer=(buffer, 1), reduction=(reduction, 0.0),
        temperature=(temperature, 0.0), levels=(levels, 1), rss_std_db=(rss_std_db, 0.0), seed=(seed, 0),
    )  # fmt: skip
    for name, value, fine, expected in (
        ("reduction", reduction, reduction <= 1, "at most 1"),
        ("floor", floor, floor > 0, "more than 0"),
        ("levels", levels, levels % 2 == 1, "an odd number, so that one level is the problem's channel"),
    ):
        if not fine:
            raise OptionError(f"q-learning: {name}: expected {expected}, got {value}")
    count, rng = problem.sizes["device"], np.random.default_rng(seed)
    factor = 10 ** (0.1 * rss_std_db * WITHIN * _centres(levels))
    losses = 1.0 - (1.0 - problem.outage_probability) ** (1.0 / factor[:, None, None])
    legal = problem.allowed | np.eye(count, dtype=np.bool_)
    table, times = np.ones((levels, count, count)), np.ones((levels, count, count))
    start = kernel_learning.arm_weight(1.0, 1.0, floor, temperature)
    weights = np.broadcast_to(np.where(legal, start, 0.0), table.shape).copy()
    sums, memory, history = weights.sum(-1), np.zeros((count, buffer)), np.empty(iterations)
    arms = np.arange(count + 1) * count, np.tile(np.arange(count), count)
    outage, trusted = problem.outage_probability.flatten(), np.swapaxes(problem.trust, 0, 1)
    asks = (trusted & (problem.surplus > 0)).reshape(count * count, -1)
    game = Game.of(problem, (*arms, outage, asks))
    for begin in range(0, iterations, AT_ONCE):
        steps = min(AT_ONCE, iterations - begin)
        random, states = rng.random((steps, count)), np.zeros((steps, count), np.int64)
        if levels > 1:
            drawn = np.clip(rng.standard_normal((steps, count)), -WITHIN, WITHIN) / WITHIN
            states = np.minimum(((drawn + 1.0) / 2.0 * levels).astype(np.int64), levels - 1)
        kernel_learning.train(
            game, losses, table, times, weights, sums, memory, begin, random, states, reduction, floor,
            temperature, history[begin : begin + steps],
        )  # fmt: skip
    tried = times > 1
    with np.errstate(invalid="ignore"):
        mean = np.where(tried, (table - 1.0) / (times - 1.0), np.nan)
    arm = np.where(tried, mean, -np.inf).argmax(-1)
    source = np.where(tried.any(-1) & (arm != np.arange(count)), arm, -1)
    return Training(problem, source, mean, times - 1.0, history, factor)


@GraphProblem.method("q-learning", exact=False)
def q_learning(
    problem: GraphProblem,
    options: SolveOptions,
    *,
    iterations: int = 3000,
    buffer: int = 20,
    reduction: float = 0.5,
    floor: float = 1e-3,
    temperature: float = 0.0,
    levels: int = 1,
    rss_std_db: float = 0.0,
    seed: int = 0,
) -> GraphSolution:
    """Paper's method: multi-agent Q-learning, an agent per device with a buffer of rewards.

    Parameters
    ----------
    problem : GraphProblem
        One instance or a batch, each trained on by itself.
    options : SolveOptions
        Tolerances.
    iterations, buffer, reduction, floor, temperature, levels, rss_std_db, seed : optional
        As of :func:`train`.

    Returns
    -------
    GraphSolution
        The graph read out at the end; ``iterations`` counts steps.

    Raises
    ------
    OptionError
        As :func:`train`.
    """
    source = np.empty((*problem.batch_shape, problem.sizes["device"]), np.int64)
    for index, one in instances(problem):
        source[index] = train(
            one, iterations=iterations, buffer=buffer, reduction=reduction, floor=floor,
            temperature=temperature, levels=levels, rss_std_db=rss_std_db, seed=seed + sum(index),
        ).answer  # fmt: skip
    return GraphSolution.judged(
        problem, "q-learning", source, np.full(problem.batch_shape, iterations), options
    )


def _centres(levels: int) -> Array:
    """Middles of equal parts of [-1, 1]."""
    return (2.0 * np.arange(levels) + 1.0) / levels - 1.0
