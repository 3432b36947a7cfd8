"""DT-KD's contestants in the benchmark: each made ready once, then called on instance after instance."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.base.quantity import DEVICE, PER_INSTANCE
from radioopt.dtkd import kernel, kernel_lanes
from radioopt.dtkd.problem import DistillationProblem
from radioopt.dtkd.solver import _room, instance_lanes
from radioopt.numerics.jit import parallel_kernel, prange
from validation.bench.contestants import first
from validation.bench.suite import Timed
from validation.dtkd import pyomo_model
from validation.dtkd.ipopt_model import OPTIONS as IPOPT_OPTIONS
from validation.dtkd.scaling import Scaling

Problems = Sequence[DistillationProblem]
Setup = Callable[[Problems], Timed]


# -- radioopt, below the surface -----------------------------------------------------------------------------


def closed_form_kernel(problems: Problems) -> Timed:
    """Call the kernel of Problem 3 alone: arrays in, arrays out."""
    (batch,) = problems
    arguments = batch._flat(DEVICE), instance_lanes(batch), batch.catalogue.block(), 1e-9, 1e-9, _room(batch)
    return Timed(lambda i: kernel_lanes.solve_parallel(*arguments), problems)


@parallel_kernel
def _normal_forms(device, instance, catalogue, out):  # type: ignore[no-untyped-def]  # typed by Numba
    """k, u and v of every action of every user, ``out`` (instances, 3, users, A)."""
    for i in prange(instance.shape[1]):
        size, count = device.shape[2], 2 * catalogue.shape[1]
        actions, users = np.empty((6, count)), np.empty((3, size))
        choices = np.empty((3, size), np.int64)
        kernel.fill_actions(instance, i, catalogue, actions)
        kernel.fill_users(device, instance, i, actions, users, choices)
        for k in range(size):
            for a in range(count):
                out[i, 0, k, a] = actions[kernel.K, a] + actions[kernel.T, a] * users[kernel.R, k]
                out[i, 1, k, a] = actions[kernel.U, a]
                out[i, 2, k, a] = actions[kernel.S, a] * users[kernel.W, k]


def normal_form(problems: Problems) -> Timed:
    """Build the normal form of a batch: what a method has to do before it can begin."""
    (batch,) = problems
    device, instance = batch._flat(DEVICE), batch._flat(PER_INSTANCE, common=True)
    catalogue = batch.catalogue.block()
    out = np.empty((len(batch), 3, batch.sizes["device"], 2 * len(batch.catalogue)))
    return Timed(lambda i: _normal_forms(device, instance, catalogue, out), problems)


# -- Problem 3 -----------------------------------------------------------------------------------------------


def cvxpy_reused(count: int) -> Setup:
    """CVXPY with Clarabel: Problem 3 compiled once, its parameters changed between solves (DPP)."""

    def setup(problems: Problems) -> Timed:
        cp = require("cvxpy", "validation")
        chosen = first(count)(problems)
        begin = time.perf_counter()
        users = chosen[0].sizes["device"]
        cpu, band = cp.Variable(users), cp.Variable(users)
        compute, send = (cp.Parameter(users, nonneg=True) for _ in range(2))
        price = cp.Parameter(nonneg=True)
        cost = cp.sum(cp.multiply(compute, cp.inv_pos(cpu)) + cp.multiply(send, cp.inv_pos(band)))
        model = cp.Problem(cp.Minimize(cost + price * cp.sum(band)), [cp.sum(cpu) <= 1, cp.sum(band) <= 1])
        assert model.is_dcp(dpp=True)

        def call(i: int) -> tuple[Any, ...]:
            scale = Scaling.of(chosen[i])
            picked = scale.fixed()
            own = np.arange(users), picked
            compute.value, send.value = scale.weight * scale.compute_s[own], scale.weight * scale.send_s[own]
            price.value = scale.price
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an inaccurate solution says so in its status
                model.solve(solver=cp.CLARABEL)
            return scale, picked, cpu.value, band.value, model.status

        call(0)
        return Timed(
            call,
            chosen,
            decisions=lambda i, raw: chosen[i].repair(**raw[0].decisions(chosen[i], *raw[1:4])),
            claim=lambda raw: str(raw[4]),
            once_s=time.perf_counter() - begin,
        )

    return setup


def ipopt_reused(count: int) -> Setup:
    """CasADi with IPOPT: Problem 3 with parameters, the solver built once."""

    def setup(problems: Problems) -> Timed:
        ca = require("casadi", "validation")
        chosen = first(count)(problems)
        users = chosen[0].sizes["device"]
        begin = time.perf_counter()
        cpu, band, compute, send = (ca.SX.sym(name, users) for name in ("cpu", "band", "compute", "send"))
        price = ca.SX.sym("price")
        program = {
            "x": ca.vertcat(cpu, band),
            "f": ca.sum1(compute / cpu) + ca.sum1(send / band) + price * ca.sum1(band),
            "g": ca.vertcat(ca.sum1(cpu) - 1, ca.sum1(band) - 1),
            "p": ca.vertcat(compute, send, price),
        }
        options = {"ipopt": IPOPT_OPTIONS, "print_time": False, "error_on_fail": False}
        solver = ca.nlpsol("dtkd", "ipopt", program, options)
        once_s = time.perf_counter() - begin

        def call(i: int) -> tuple[Any, ...]:
            scale = Scaling.of(chosen[i])
            picked = scale.fixed()
            own = np.arange(users), picked
            result = solver(
                x0=np.full(2 * users, 0.99 / users),
                p=np.concatenate(
                    [scale.weight * scale.compute_s[own], scale.weight * scale.send_s[own], [scale.price]]
                ),
                lbx=1e-12,
                ubx=1.0,
                lbg=-np.inf,
                ubg=0.0,
            )
            return scale, picked, np.asarray(result["x"]).ravel()

        return Timed(
            call,
            chosen,
            decisions=lambda i, raw: raw[0].decisions(chosen[i], raw[1], *np.split(raw[2], 2)),
            claim=lambda raw: str(solver.stats()["return_status"]),
            once_s=once_s,
        )

    return setup


# -- the whole problem -----------------------------------------------------------------------------------------


def scip_reduced(count: int) -> Setup:
    """Pyomo with SCIP: the reduced quadratic program, modelled and solved anew for every instance."""

    def setup(problems: Problems) -> Timed:
        chosen = first(count)(problems)
        return _reference(chosen, pyomo_model.solve_reduced)

    return setup


def scip_paper(count: int) -> Setup:
    """Pyomo with SCIP: the paper's own variables."""

    def setup(problems: Problems) -> Timed:
        chosen = first(count)(problems)
        return _reference(chosen, pyomo_model.solve_paper_form)

    return setup


def _reference(chosen: Problems, solve: Callable[[Any, float], Any]) -> Timed:
    return Timed(
        lambda i: solve(chosen[i], 60.0),
        chosen,
        decisions=lambda i, answer: chosen[i].repair(**answer.decisions),
        claim=lambda answer: str(answer.status),
        parts=lambda answer: {
            "modelling": answer.modelling_seconds,
            "solver": answer.seconds - answer.modelling_seconds,
        },
    )
