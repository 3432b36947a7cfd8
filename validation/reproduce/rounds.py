"""The benchmark of training: rounds of federated learning, by one engine and the other, and with many devices."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import learning
from radioopt import Scenario
from radioopt.base.problem import Problem
from validation.bench.suite import TRAINING, Case, Goal, Group, Suite, Timed
from validation.dtkd import zoo

#: rounds of a call, of which the first is not timed
ROUNDS = 6
#: samples of each of many devices, of the digits' shape, drawn at random
SAMPLES = 10
#: samples of each student, and what they learn by
STUDENT_SAMPLES, STUDENTS = 360, ("stu", "kd", "simkd")
ENGINES = {"stacked": "radioopt stacked", "plain": "radioopt plain"}
LOOP = "torch, user after user"
ROUND, EPOCH = "a round", "an epoch"

NOTES = (
    "A round of training holds the draw of the channel, its certified allocation, the training of all devices, the "
    "average and the evaluation on 360 test samples; the first round of a call is left out.",
    "FedAvg trains an epoch of batches of 10 in each round, FedSGD (feel) one batch of the allocated size. Both train "
    "the perceptron `mlp` on scikit-learn's digits, on one thread of torch.",
    "The loop over users is torch's own SGD, with the same batches, losses and steps, to rounding.",
)


def suite(*, quick: bool = False) -> Suite:
    """Return the benchmark; the small instances only if ``quick``."""
    counts = (12,) if quick else (12, 50)
    goals = [
        Goal(
            f"engine plain, FedAvg of {count} devices",
            (_name(count), ENGINES["stacked"], f"fedavg: {ROUND}"),
            (_name(count), ENGINES["plain"], f"fedavg: {ROUND}"),
            1.0,
            2.0,
        )
        for count in counts
    ]
    goals += [
        Goal(
            f"{LOOP}, {scheme}, 20 users",
            (_students(scheme), ENGINES["stacked"], EPOCH),
            (_students(scheme), LOOP, EPOCH),
            3.0,
            4.0,
        )
        for scheme in STUDENTS
    ]
    many = {
        f"{scheme}, {count:,} devices: {ROUND}": functools.partial(many_devices, scheme, count)
        for count in (10_000, 100_000)
        for scheme in ("feel", "fedavg")
    }
    return Suite(
        family=TRAINING,
        groups=(*(_rounds(count) for count in counts), *(() if quick else map(_epoch, STUDENTS))),
        goals=() if quick else tuple(goals),
        alone={} if quick else many,
        packages=("torch", "scikit-learn"),
        notes=NOTES,
    )


def cell(count: int) -> Scenario:
    """Return the usual cell with so many devices."""
    return Scenario.load("feel-cpu").replace({"devices.count": count})


def random_digits(count: int) -> learning.Dataset:
    """Draw samples for so many devices: what they are does not matter for what they cost."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count * SAMPLES, 1, 8, 8), dtype=np.float32)
    y = rng.integers(10, size=count * SAMPLES)
    return learning.Dataset(x, y, x[:1000], y[:1000], 10)


class Watch:
    """Notes when rounds end, as a callback."""

    def __init__(self) -> None:
        self.ends = [time.perf_counter()]

    def __call__(self, round: int, entry: Any, ledger: Any) -> None:
        """Note a round."""
        self.ends.append(time.perf_counter())

    @property
    def later_s(self) -> list[float]:
        """Seconds of the rounds after the first one, which has all before it in it [s]."""
        return [float(seconds) for seconds in np.diff(self.ends)[1:]]

    @property
    def seconds(self) -> tuple[float, float]:
        """Of the first round with all before it, and of the others, their median [s]."""
        return float(self.ends[1] - self.ends[0]), float(np.median(self.later_s))


def many_devices(scheme: str, count: int) -> Iterator[float]:
    """Train many virtual devices in this process; yield the seconds of rounds."""
    watch, data = Watch(), random_digits(count)
    learning.train(cell(count), scheme=scheme, data=data, rounds=4, callbacks=watch, progress=False)
    yield from watch.later_s


def _name(count: int) -> str:
    return f"{count} devices, digits"


def _students(scheme: str) -> str:
    return f"20 users, {scheme}"


def _rounds(count: int) -> Group:
    def timed(scheme: str, **options: Any) -> Callable[[Sequence[Problem[Any]]], Timed]:
        def call(i: int) -> Watch:
            watch = Watch()
            learning.train(
                cell(count), scheme=scheme, rounds=ROUNDS, callbacks=watch, progress=False, **options
            )
            return watch

        return lambda problems: Timed(call, problems, parts=lambda watch: {ROUND: watch.seconds[1]})

    return Group(
        instance=_name(count),
        summary=f"{ROUNDS} rounds of {count} devices of the scenario feel-cpu",
        make=lambda: [cell(count).draw(0).problem("feel")],
        cases=(
            *(Case(solver, "fedavg", timed("fedavg", engine=engine)) for engine, solver in ENGINES.items()),
            Case("radioopt", "feel", timed("feel")),
        ),
    )


def _epoch(scheme: str) -> Group:
    from learning import Order
    from learning.catalog import SCHEMES
    from learning.local.globals import torch_threads
    from validation.reproduce.dtkd_engines import USERS, WIDTHS, job, plain_loop

    def timed(stacked: bool) -> Callable[[Sequence[Problem[Any]]], Timed]:
        def setup(problems: Sequence[Problem[Any]]) -> Timed:
            chosen = SCHEMES[scheme]()
            task = job(chosen, STUDENT_SAMPLES)
            cohorts = [
                task.cohort(np.flatnonzero(np.array(task.uses) == f"dense:{width}")) for width in WIDTHS
            ]

            def call(i: int) -> None:
                with torch_threads(1):
                    for cohort in cohorts:
                        if stacked:
                            chosen.local(chosen.join(cohort), cohort, Order(1, cohort.sizes, {}))
                        else:
                            plain_loop(chosen, task, 1, cohort.devices.tolist())

            return Timed(call, problems)

        return setup

    return Group(
        instance=_students(scheme),
        summary=f"an epoch of {USERS} users with four networks and {STUDENT_SAMPLES} samples each, by {scheme}",
        make=lambda: [zoo.draw(USERS)],
        cases=(Case(ENGINES["stacked"], EPOCH, timed(True)), Case(LOOP, EPOCH, timed(False))),
    )
