"""FIMI's contestants in the benchmark beside radioopt: each made ready once, then called on instance after instance."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from radioopt.fimi.problem import SynthesisProblem
from validation.bench.streaming import exp_pass
from validation.bench.suite import Timed
from validation.fimi import cvxpy_model, ipopt_model
from validation.fimi.scaling import Scaling

Problems = Sequence[SynthesisProblem]
TIME_LIMIT_S = 60.0


def ipopt(*, reused: bool) -> Callable[[Problems], Timed]:
    """IPOPT through CasADi on the paper's P1, from the middle of all limits; the model is kept or built anew."""

    def setup(problems: Problems) -> Timed:
        devices = problems[0].sizes["device"]
        begin = time.perf_counter()
        kept = ipopt_model.Program(devices) if reused else None
        once_s = time.perf_counter() - begin if reused else None

        def call(i: int) -> tuple[Any, ...]:
            start = time.perf_counter()
            scale = Scaling.of(problems[i])
            program = kept or ipopt_model.Program(devices)
            built = time.perf_counter()
            return scale, *program.solve(scale, next(iter(ipopt_model.starts(scale, 1)))), built - start

        return Timed(
            call,
            problems,
            decisions=lambda i, raw: raw[0].decisions(problems[i], *raw[1]),
            claim=lambda raw: str(raw[3]),
            parts=None if reused else lambda raw: {"modelling": raw[4]},
            once_s=once_s,
        )

    return setup


def cvxpy(*, reused: bool) -> Callable[[Problems], Timed]:
    """CVXPY with Clarabel on the geometric program, solved once, around the centre that needs no other solver."""

    def setup(problems: Problems) -> Timed:
        devices = problems[0].sizes["device"]
        begin = time.perf_counter()
        kept = cvxpy_model.Program(devices) if reused else None
        once_s = time.perf_counter() - begin if reused else None

        def call(i: int) -> tuple[Any, ...]:
            scale = Scaling.of(problems[i])
            program = kept or cvxpy_model.Program(devices)
            return scale, *program.solve(scale, cvxpy_model.middle(scale), TIME_LIMIT_S)

        return Timed(
            call,
            problems,
            decisions=lambda i, raw: cvxpy_model.decisions(problems[i], raw[0], raw[1]),
            claim=lambda raw: str(raw[3]),
            once_s=once_s,
        )

    return setup


def exponentials(problems: Problems) -> Timed:
    """One scalar exponential per device: the unit in which a solve of many devices is counted."""
    exponents = np.linspace(0.0, 1.0, problems[0].sizes["device"])
    return Timed(lambda i: exp_pass(exponents), problems)
