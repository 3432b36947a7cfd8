"""Allocators: from this round's channel to the resources of the round, by policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from learning.names import choose, label
from radioopt.base.errors import ProblemError
from radioopt.base.quantity import shorten
from radioopt.feel import BatchsizeProblem, BatchsizeSolution
from radioopt.scenario import Devices

Batchsizes = NDArray[np.int64]
Policy = Callable[[BatchsizeProblem, np.random.Generator], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Plan:
    """What the devices do in one round and what it costs them.

    Parameters
    ----------
    devices : Devices
        The devices with this round's channel.
    batchsize : ndarray of int64, shape (K,)
        Samples per device.
    solution : BatchsizeSolution
        The certified slots for these batch sizes.
    """

    devices: Devices
    batchsize: Batchsizes
    solution: BatchsizeSolution

    @property
    def payload_bits(self) -> float:
        """Size of an update that was planned for [bit]."""
        return float(self.solution.problem.payload_bits)


class Allocator(Protocol):
    """Decides the resources of a round."""

    def __call__(self, devices: Devices, rng: np.random.Generator) -> Plan:
        """Plan a round for devices with this round's channel; `rng` serves policies that draw."""
        ...


def optimal(problem: BatchsizeProblem, rng: np.random.Generator) -> NDArray[np.float64]:
    """Take the batch sizes of largest learning efficiency, proven optimal over whole samples."""
    return problem.solve(integer=True).batchsize


def online(problem: BatchsizeProblem, rng: np.random.Generator) -> NDArray[np.float64]:
    """Take one sample per device."""
    return np.ones_like(problem.max_batchsize)


def full(problem: BatchsizeProblem, rng: np.random.Generator) -> NDArray[np.float64]:
    """Take the largest batch."""
    return np.floor(problem.max_batchsize)


def random(problem: BatchsizeProblem, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw each batch size uniformly from the integers 1 to the largest."""
    return rng.integers(1, np.floor(problem.max_batchsize), endpoint=True).astype(np.float64)


POLICIES: dict[str, Policy] = {"optimal": optimal, "online": online, "full": full, "random": random}


class BatchsizeAllocator:
    """FEEL: batch sizes by a policy, and for these batch sizes the optimal slots.

    Every policy gets the slots that minimise the latency of a round with its own batch sizes, so that
    policies differ in their batch sizes alone. A total batch that the scenario fixes binds "optimal" only; a
    deadline of the scenario binds all.

    Parameters
    ----------
    policy : str or callable
        "optimal" (whole samples, proven), "online" (one sample), "full" (the largest batch) or "random"
        (uniform from 1 to the largest, anew in each round); or a function ``(problem, rng) -> batch sizes (K,)``
        of whole numbers.
    samples : array_like of int, shape (K,)
        Samples that each device holds; no batch exceeds them.
    payload_bits : float, optional
        Size of the gradient [bit]; the scenario's by default.

    Raises
    ------
    OptionError
        If there is no policy of that name.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    problem P1 (17) and the benchmark policies of Section VI-D.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> devices = Scenario.load("feel-cpu").draw(seed=1)
    >>> plan = BatchsizeAllocator("online", [120] * 12)(devices, np.random.default_rng(0))
    >>> int(plan.batchsize.sum()), plan.solution.status.name
    (12, 'OPTIMAL')
    """

    def __init__(
        self, policy: str | Policy, samples: NDArray[np.int64] | list[int], payload_bits: float | None = None
    ) -> None:
        self.policy = policy if callable(policy) else choose("policy", policy, POLICIES, "a function")
        self.samples = np.asarray(samples)
        self.overrides = {} if payload_bits is None else {"payload_bits": payload_bits}

    def __call__(self, devices: Devices, rng: np.random.Generator) -> Plan:
        """Plan a round.

        Parameters
        ----------
        devices : Devices
            With this round's channel and a ``[feel]`` table in their scenario.
        rng : numpy.random.Generator
            Source of the random policy.

        Returns
        -------
        Plan
            Integer batch sizes and their certified optimal slots.

        Raises
        ------
        ProblemError
            If the scenario has no such table, or a policy of one's own returns something else than whole
            numbers from 1 to the largest batch.
        SolveError
            If no slots let these batches meet a deadline of the scenario.
        """
        posed = cast(BatchsizeProblem, devices.problem("feel", **self.overrides))
        largest = np.minimum(posed.max_batchsize, self.samples)
        problem = cast(BatchsizeProblem, devices.problem("feel", **self.overrides, max_batchsize=largest))
        batchsize = np.asarray(self.policy(problem, rng))
        whole = batchsize.shape == problem.max_batchsize.shape and (batchsize == np.rint(batchsize)).all()
        if not (whole and (batchsize >= 1).all() and (batchsize <= problem.max_batchsize).all()):
            raise ProblemError(
                f"policy {label(self.policy)}: expected {problem.max_batchsize.size} whole numbers from 1 to "
                f"{problem.max_batchsize.min():g} ... {problem.max_batchsize.max():g}, got {shorten(batchsize)}"
            )
        return Plan(devices, batchsize.astype(np.int64), fixed(problem, batchsize).solve())


def fixed(problem: BatchsizeProblem, batchsize: NDArray[np.float64]) -> BatchsizeProblem:
    """Return the problem of the slots alone, for given batch sizes.

    Parameters
    ----------
    problem : BatchsizeProblem
        With limits on the batch sizes.
    batchsize : ndarray, shape (K,)
        Samples per device >= 1.

    Returns
    -------
    BatchsizeProblem
        Whose only feasible batch sizes are the given ones.

    Notes
    -----
    The lower limit of a GPU is its threshold batch, below which the time stays that of the threshold: a
    smaller batch is allowed here and takes as long.
    """
    idle = np.maximum(problem.min_batchsize - batchsize, 0.0)
    return cast(
        BatchsizeProblem,
        problem.replace(
            min_batchsize=batchsize,
            max_batchsize=batchsize,
            base_time_s=problem.base_time_s + problem.seconds_per_sample * idle,
            total_batchsize=np.inf,
        ),
    )
