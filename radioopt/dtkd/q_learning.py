"""The paper's methods: Q-learning with convex shares, Q-learning alone, and the same model for everybody."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

import numpy as np

from radioopt.base.certify import certify
from radioopt.base.errors import OptionError
from radioopt.base.options import DEFAULT_OPTIONS, SolveOptions
from radioopt.base.quantity import DEVICE, PER_INSTANCE, Array, BlockKey
from radioopt.base.status import Status
from radioopt.dtkd import kernel, kernel_learning
from radioopt.dtkd.certificate import delays
from radioopt.dtkd.problem import DistillationProblem
from radioopt.dtkd.solution import DistillationSolution
from radioopt.dtkd.solver import NODE_LIMIT, run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.base.pictures import Look

#: entries of a table above which each user gets a table of its own
LARGEST_TABLE = 2**25
#: points of a learning curve, and the last chance of a random action
POINTS, LAST_CHANCE = 40, 0.02
#: smallest step of the tables per user: what the others do keeps changing
LEAST_RATE = 0.01


@dataclass(frozen=True)
class Training:
    """A table that was learnt, with its learning curve; :func:`train` makes one.

    Attributes
    ----------
    problem : DistillationProblem
        The instances it was trained on.
    joint : bool
        Whether there is one table for all users, as in the paper, or one per user.
    curve : pandas.DataFrame
        Mean cost per user by number of ``episodes``: of the episodes themselves (``training``), of the greedy
        answers (``greedy``), and of the proven optimum (``optimum``).
    shares : int
        Levels of the shares that are learnt as well; 0 where they are computed.
    """

    problem: DistillationProblem
    joint: bool
    curve: pd.DataFrame
    shares: int
    _table: Array
    _levels: _Levels

    def solve(
        self, problem: DistillationProblem, options: SolveOptions = DEFAULT_OPTIONS
    ) -> DistillationSolution:
        """Answer a problem, or a batch of other draws, greedily from the table.

        Parameters
        ----------
        problem : DistillationProblem
            Of as many users and models as it was trained on.
        options : SolveOptions, optional
            Tolerances to judge by.

        Returns
        -------
        DistillationSolution
            Judged against the proven bound of the method "exact".

        Raises
        ------
        OptionError
            If the sizes differ, or the problem has bounds, deadlines, fixed choices or a noise density.
        """
        _check(problem)
        if problem.sizes != self.problem.sizes or len(problem.catalogue) != len(self.problem.catalogue):
            raise OptionError(
                f"Training.solve: trained for {self.problem.sizes} and {len(self.problem.catalogue)} models"
            )
        columns = _greedy(self._table, self._levels.states(problem, self.joint), self.joint)
        return _answer(problem, _decoded(problem, columns, self.joint), self.shares, options)

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

        styles = {"training": ("0.7", "-"), "greedy": ("black", "-"), "optimum": ("black", "--")}
        tables = "one table for all users" if self.joint else "a table per user"
        shares = f"shares learnt in {self.shares} levels" if self.shares else "shares computed"
        with canvas(1, look, title=f"Q-learning, {tables}, {shares}") as (figure, (axes,)):
            for name, (colour, dashes) in styles.items():
                axes.plot(
                    self.curve["episodes"], self.curve[name], color=colour, linestyle=dashes, label=name
                )
            axes.set(xlabel="episodes", ylabel="mean cost per user", xscale="log")
            key(axes)
        return figure


@dataclass(frozen=True)
class _Levels:
    """Edges between the levels of f_loc and h, each of shape (users, levels - 1)."""

    cpu: Array
    gain: Array

    @classmethod
    def of(cls, problem: DistillationProblem, levels: int) -> _Levels:
        inner = np.linspace(0, 1, levels + 1)[1:-1]
        users = problem.sizes["device"]
        cpu = np.reshape(problem.local_cpu_frequency_hz, (-1, users))
        gain = np.reshape(problem.channel_gain, (-1, users))
        return cls(np.quantile(cpu, inner, axis=0).T, np.quantile(gain, inner, axis=0).T)

    @property
    def count(self) -> int:
        """Levels of each quantity."""
        return int(self.cpu.shape[1]) + 1

    def states(self, problem: DistillationProblem, joint: bool) -> Array:
        """Row of every instance (instances,), or of every user (instances, users)."""
        users = problem.sizes["device"]
        cpu = np.reshape(problem.local_cpu_frequency_hz, (-1, users, 1)) > self.cpu
        gain = np.reshape(problem.channel_gain, (-1, users, 1)) > self.gain
        own = cpu.sum(-1) * self.count + gain.sum(-1)
        if not joint:
            return np.ascontiguousarray(own, np.int64)
        return np.asarray((own * (self.count**2) ** np.arange(users)).sum(-1), np.int64)


def train(
    problem: DistillationProblem, *, episodes: int = 200_000, levels: int = 2, shares: int = 0, seed: int = 0
) -> Training:
    """Learn models and places by tabular Q-learning on a problem or a batch of draws.

    Parameters
    ----------
    problem : DistillationProblem
        Each episode draws one of its instances.
    episodes : int, default 200000
        Episodes; the chance of a random action falls from 1 to 0.02 over them.
    levels : int, default 2
        Levels into which f_loc and h of each user are quantised, by their quantiles.
    shares : int, default 0
        Levels 1 ... G of the shares of CPU and band, learnt as actions too; 0 computes the best shares instead.
    seed : int, default 0
        Source of randomness.

    Returns
    -------
    Training
        The table and its learning curve.

    Raises
    ------
    OptionError
        If an option is out of its range, or the problem has bounds, deadlines, fixed choices or a noise density,
        which the paper's method does not know.

    Notes
    -----
    The paper's table has a column for each of the (2M)^K action vectors. Where it would exceed 2^25 entries, or shares
    are learnt, each user gets a table of its own and learns from the common reward.

    References
    ----------
    Section 3.1, equations (18)-(22). (22) maximises what is a cost: the reward is minus the objective. "No state
    transition" leaves nothing to discount, and the learning rate is not the delay weight, whose letter it shares.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> draws = Scenario.load("dtkd").draw(seed=1, size=50).problem("dtkd")
    >>> training = train(draws, episodes=2000)
    >>> bool(training.curve["greedy"].iloc[-1] >= training.curve["optimum"].iloc[-1])
    True
    """
    for name, value, least in (("episodes", episodes, 1), ("levels", levels, 1), ("shares", shares, 0)):
        if value < least:
            raise OptionError(f"train: {name}: expected at least {least}, got {value}")
    _check(problem)
    users, count = problem.sizes["device"], 2 * len(problem.catalogue)
    actions, numbers, taus = _numbers(problem)
    bins = _Levels.of(problem, levels)
    entries = users * math.log2(count * levels**2)
    joint = shares == 0 and entries <= math.log2(LARGEST_TABLE)
    states = bins.states(problem, joint)
    columns = count**users if joint else count * max(shares, 1) ** 2
    shape = (levels ** (2 * users), columns) if joint else (users, levels**2, columns)
    table, visits = np.zeros(shape), np.zeros(shape, np.int32)
    if joint:
        # an action not tried yet must not look better than one that was: the worst cost there is
        table -= 1e3 * (abs(float(np.max(actions[:, kernel.K]))) + 1.0)
        best = np.zeros(len(table), np.int64)
    optimum = float(np.mean(run("exact", problem, DEFAULT_OPTIONS, NODE_LIMIT).objective)) / users
    rng, rows, done = np.random.default_rng(seed), [], 0
    ends = np.unique(np.geomspace(max(1, episodes // 500), episodes, POINTS).round().astype(int))
    for end in ends.tolist():
        total = 0.0
        for begin in range(done, end, 50_000):
            some = min(50_000, end - begin)
            first, last = (1 + (LAST_CHANCE - 1) * at / episodes for at in (begin, begin + some))
            if joint:
                random = rng.random((some, 3))
                total += kernel_learning.learn_joint(
                    actions, numbers, taus, states, table, visits, best, random, first, last
                )
            else:
                random = rng.random((some, 1 + 2 * users))
                total += kernel_learning.learn_own(
                    actions, numbers, taus, states, table, visits, shares, random, first, last, LEAST_RATE
                )
        chosen = _decoded(problem, _greedy(table, states, joint), joint)
        rows.append(
            (
                end,
                total / (end - done) / users,
                float(_costs(actions, numbers, taus, chosen, shares).mean()) / users,
            )
        )
        done = end
    import pandas as pd

    curve = pd.DataFrame(rows, columns=["episodes", "training", "greedy"]).assign(optimum=optimum)
    return Training(problem, joint, curve, shares, table, bins)


@DistillationProblem.method("q-learning", exact=False)
def q_learning(
    problem: DistillationProblem,
    options: SolveOptions,
    *,
    episodes: int = 200_000,
    levels: int = 2,
    seed: int = 0,
) -> DistillationSolution:
    """Paper's method: Q-learning of models and places, shares by convex optimisation.

    Parameters
    ----------
    problem : DistillationProblem
        One instance or a batch, which is trained on and then answered; :func:`train` answers others too.
    options : SolveOptions
        Tolerances.
    episodes, levels, seed : int, default 200000, 2, 0
        As of :func:`train`.

    Returns
    -------
    DistillationSolution
        Its bound is the proven one of the method "exact", so that ``gap`` says what Q-learning misses.

    Raises
    ------
    OptionError
        As :func:`train`.
    """
    return train(problem, episodes=episodes, levels=levels, seed=seed).solve(problem, options)


@DistillationProblem.method("q-learning-only", exact=False)
def q_learning_only(
    problem: DistillationProblem,
    options: SolveOptions,
    *,
    episodes: int = 200_000,
    levels: int = 2,
    shares: int = 3,
    seed: int = 0,
) -> DistillationSolution:
    """Paper's baseline: Q-learning of models, places and of shares in a few levels.

    Parameters
    ----------
    problem : DistillationProblem
        One instance or a batch, which is trained on and then answered.
    options : SolveOptions
        Tolerances.
    episodes, levels, seed : int, default 200000, 2, 0
        As of :func:`train`.
    shares : int, default 3
        Levels of the shares.

    Returns
    -------
    DistillationSolution
        With the bound of the method "exact".

    Raises
    ------
    OptionError
        As :func:`train`, or if there is no level of the shares.
    """
    if shares < 1:
        raise OptionError(f"q-learning-only: shares: expected at least 1, got {shares}")
    return train(problem, episodes=episodes, levels=levels, shares=shares, seed=seed).solve(problem, options)


@DistillationProblem.method("fl-min", exact=False)
def fl_min(problem: DistillationProblem, options: SolveOptions) -> DistillationSolution:
    """Paper's baseline: the model of fewest cycles for everybody, places and shares optimal.

    Parameters
    ----------
    problem : DistillationProblem
        One instance or a batch; models that are fixed stay.
    options : SolveOptions
        Tolerances.

    Returns
    -------
    DistillationSolution
        With the bound of the method "exact".
    """
    return _one_model(problem, int(problem.catalogue.cycles.argmin()), options)


@DistillationProblem.method("fl-max", exact=False)
def fl_max(problem: DistillationProblem, options: SolveOptions) -> DistillationSolution:
    """Paper's baseline: the model of most cycles for everybody, places and shares optimal.

    Parameters
    ----------
    problem : DistillationProblem
        One instance or a batch; models that are fixed stay.
    options : SolveOptions
        Tolerances.

    Returns
    -------
    DistillationSolution
        With the bound of the method "exact".
    """
    return _one_model(problem, int(problem.catalogue.cycles.argmax()), options)


def _one_model(problem: DistillationProblem, model: int, options: SolveOptions) -> DistillationSolution:
    fixed = np.where(problem.fixed_model < 0, model, problem.fixed_model)
    name = "fl-min" if model == problem.catalogue.cycles.argmin() else "fl-max"
    return _judged(problem, name, run("exact", problem.fix(fixed), options, NODE_LIMIT), options)


def _check(problem: DistillationProblem) -> None:
    if not problem.is_plain or max(problem.fixed_model.max(), problem.fixed_place.max()) >= 0:
        raise OptionError(
            "q-learning: the paper's method knows no bounds, deadlines, noise density or fixed choices: use exact"
        )


@np.errstate(all="ignore")
def _numbers(problem: DistillationProblem) -> tuple[Array, Array, Array]:
    """Numbers of the actions (instances, 4, A), of the users (instances, 2, users), and tau, for the kernels."""
    users, count = problem.sizes["device"], math.prod(problem.batch_shape)
    device, instance = problem._flat(DEVICE), problem._flat(PER_INSTANCE, common=True)
    actions, numbers = np.empty((count, 6, 2 * len(problem.catalogue))), np.empty((count, 3, users))
    choices, catalogue = np.empty((3, users), np.int64), problem.catalogue.block()
    for i in range(count):
        kernel.fill_actions(instance, i, catalogue, actions[i])
        kernel.fill_users(device, instance, i, actions[i], numbers[i], choices)
    return actions, numbers, np.sqrt(instance[kernel.DELTA] * instance[kernel.BAND])


def _greedy(table: Array, states: Array, joint: bool) -> Array:
    """Best columns: one per instance, or one per user of each."""
    if joint:
        return np.asarray(table.argmax(-1)[states])
    return np.asarray(table.argmax(-1)[np.arange(states.shape[1]), states])


def _decoded(problem: DistillationProblem, columns: Array, joint: bool) -> Array:
    """Own columns of every user, (instances, users)."""
    if not joint:
        return columns
    count = 2 * len(problem.catalogue)
    return np.asarray(columns[:, None] // count ** np.arange(problem.sizes["device"]) % count)


def _costs(actions: Array, numbers: Array, taus: Array, chosen: Array, shares: int) -> Array:
    """Cost of every instance."""
    picked = np.empty(chosen.shape[1], np.int64)
    count = actions.shape[2]
    rows = zip(actions, numbers, taus, np.ascontiguousarray(chosen), strict=True)
    return np.array([kernel_learning.own_cost(*row, shares, picked, count) for row in rows])


@np.errstate(all="ignore")
def _answer(
    problem: DistillationProblem, chosen: Array, shares: int, options: SolveOptions
) -> DistillationSolution:
    """Turn the users' own columns into a solution."""
    count, shape = 2 * len(problem.catalogue), (*problem.batch_shape, problem.sizes["device"])
    action = np.reshape(chosen % count, shape)
    solution = run("exact", problem.fix(action // 2, action % 2), options, NODE_LIMIT)
    if shares == 0:
        return _judged(problem, "q-learning", solution, options)
    parts = [
        np.reshape(chosen // count % shares + 1.0, shape),
        np.reshape(chosen // (count * shares) + 1.0, shape),
    ]
    totals = problem.server_cpu_frequency_hz, problem.bandwidth_hz
    f, b = (
        part / part.sum(-1, keepdims=True) * np.expand_dims(total, -1)
        for part, total in zip(parts, totals, strict=True)
    )
    blocks = {key: block.copy() for key, block in solution._blocks.items()}
    device, instance = blocks[BlockKey(DEVICE)], blocks[BlockKey(PER_INSTANCE)]
    device[kernel.CPU], device[kernel.WIDTH], device[kernel.DELAY] = f, b, delays(problem, action, f, b)
    solution = DistillationSolution(problem, "q-learning-only", blocks)
    instance = blocks[BlockKey(PER_INSTANCE)] = instance.copy()
    parts_of = solution.delay_cost + solution.cpu_cost + solution.bandwidth_cost - solution.accuracy_credit
    instance[kernel.OBJECTIVE] = parts_of.sum(-1)
    return _judged(problem, "q-learning-only", DistillationSolution(problem, "exact", blocks), options)


def _judged(
    problem: DistillationProblem, method: str, solution: DistillationSolution, options: SolveOptions
) -> DistillationSolution:
    """Judge an answer by the bound that the exact method proves."""
    proven = run("exact", problem, options, NODE_LIMIT)
    blocks = {key: block.copy() for key, block in solution._blocks.items()}
    counts = blocks[BlockKey(PER_INSTANCE, np.dtype(np.int64).char)]
    instance = blocks[BlockKey(PER_INSTANCE)]
    instance[kernel.BOUND] = proven.bound
    gap, status = certify(
        instance[kernel.OBJECTIVE], proven.bound, np.zeros(problem.batch_shape), sense=problem.sense,
        scale=problem.scale, options=options,
    )  # fmt: skip
    instance[kernel.RESIDUAL] = gap
    infeasible = np.asarray(proven.status_code) == Status.INFEASIBLE  # of the choice alone, it has FAILED
    counts[kernel.STATUS] = np.where(infeasible, int(Status.INFEASIBLE), status)
    return DistillationSolution(problem, method, blocks)
