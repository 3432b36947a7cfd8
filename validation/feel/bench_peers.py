"""FEEL's contestants in the benchmark: each made ready once, then called on instance after instance."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.base.quantity import Array
from radioopt.feel.problem import BatchsizeProblem
from validation.bench.contestants import ours
from validation.bench.suite import Timed
from validation.feel import cone
from validation.feel.ipopt_model import OPTIONS as IPOPT_OPTIONS
from validation.feel.scaling import Scaling

Problems = Sequence[BatchsizeProblem]
Setup = Callable[[Problems], Timed]


def whole(problems: Problems) -> Problems:
    """Take the instances as they are."""
    return problems


# -- radioopt -------------------------------------------------------------------------------------------------


def construct_cpu_and_solve(problems: Problems) -> Timed:
    """radioopt: the paper's parameters in, by ``BatchsizeProblem.cpu``, certified solution out."""
    fields = [
        {name: getattr(problem, name) for name in ("payload_bits", "uplink_rate_bps", "downlink_rate_bps")}
        | {"max_batchsize": problem.max_batchsize, "cpu_frequency_hz": 7e7 / problem.seconds_per_sample}
        | {
            "cycles_per_sample": 7e7,
            "update_cycles": problem.update_time_s * 7e7 / problem.seconds_per_sample,
        }
        for problem in problems
    ]
    return ours(problems, lambda i: BatchsizeProblem.cpu(**fields[i]).solve())


# -- conic solvers, the program written by hand ---------------------------------------------------------------


def clarabel(tolerance: float, take: Callable[[Problems], Problems] = whole, *, reused: bool = True) -> Setup:
    """Clarabel without a modelling language: numbers computed, data updated or solver built, solved, read back."""

    def setup(problems: Problems) -> Timed:
        from scipy import sparse

        module = require("clarabel", "validation")
        chosen = take(problems)
        start = time.perf_counter()
        shared = cone.structure(chosen[0].sizes["device"])
        order, offsets, indices = shared.compressed("column")
        settings = module.DefaultSettings()
        settings.verbose = False
        settings.presolve_enable = False  # data can only be updated without them
        settings.chordal_decomposition_enable = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
        size = shared.variables

        def build(program: cone.Program) -> Any:
            rows = (program.entries[order], indices, offsets)
            return module.DefaultSolver(
                sparse.csc_matrix((size, size)),
                np.arange(size) == size - 1.0,
                sparse.csc_matrix(rows, shape=(shared.constraints, size)),
                program.right,
                [module.NonnegativeConeT(shared.nonnegative)] + [module.SecondOrderConeT(3)] * shared.cones,
                settings,
            )

        solver = build(cone.fill(chosen[0])) if reused else None

        def call(i: int) -> tuple[cone.Program, Any, Array]:
            program = cone.fill(chosen[i])
            if solver is None:
                solution = build(program).solve()
            else:
                solver.update(A=program.entries[order], b=program.right)
                solution = solver.solve()
            return program, solution, np.array(solution.x)

        return Timed(
            call,
            chosen,
            decisions=lambda i, raw: raw[0].decisions(chosen[i], raw[2]),
            claim=lambda raw: str(raw[1].status),
            once_s=time.perf_counter() - start if reused else None,
        )

    return setup


def moreau(problems: Problems) -> Timed:
    """Moreau without a modelling language: numbers of the whole batch computed, set, solved."""
    import importlib

    module = importlib.import_module("moreau")
    (batch,) = problems
    start = time.perf_counter()
    shared, count = cone.structure(batch.sizes["device"]), len(batch)
    order, offsets, indices = shared.compressed("row")
    solver = module.CompiledSolver(
        n=shared.variables,
        m=shared.constraints,
        P_row_offsets=np.zeros(shared.variables + 1, np.int64),
        P_col_indices=np.zeros(0, np.int64),
        A_row_offsets=offsets,
        A_col_indices=indices,
        cones=module.Cones(num_nonneg_cones=shared.nonnegative, so_cone_dims=[3] * shared.cones),
        settings=module.Settings(device="cpu", batch_size=count),
    )
    cost = np.tile(np.arange(shared.variables) == shared.variables - 1.0, (count, 1)).astype(float)
    once_s = time.perf_counter() - start

    def call(i: int) -> tuple[cone.Program, Array, Any]:
        program = cone.fill(batch)
        solver.setup(np.zeros((count, 0)), program.entries[:, order])
        solution = solver.solve(cost, program.right)
        return program, np.asarray(solution.x), solver.info

    def claim(raw: Any) -> str:
        codes, counts = np.unique([int(code) for code in raw[2].status], return_counts=True)
        names = [module.SolverStatus(int(code)).name for code in codes]
        return ", ".join(f"{name} x {n}" for name, n in zip(names, counts, strict=True))

    return Timed(
        call, problems, decisions=lambda i, raw: raw[0].decisions(batch, raw[1]), claim=claim, once_s=once_s
    )


# -- CVXPY ----------------------------------------------------------------------------------------------------

#: names of the numbers in the model, and whether they are nonnegative
_DATA = {
    "base": False,
    "slope": True,
    "upload": True,
    "download": True,
    "update": True,
    "uplink": True,
    "downlink": True,
    "low": True,
    "high": True,
    "total": True,
}


def scaled(problem: BatchsizeProblem) -> tuple[Scaling, dict[str, Array]]:
    """Return the numbers of the scaled model, each variable of order one."""
    scale = Scaling.of(problem)
    latency = scale.latency
    return scale, {
        "base": problem.base_time_s / latency,
        "slope": problem.seconds_per_sample * scale.batch / latency,
        "upload": problem.upload_time_full_frame_s / scale.uplink / latency,
        "download": problem.download_time_full_frame_s / scale.downlink / latency,
        "update": problem.update_time_s / latency,
        "uplink": scale.uplink,
        "downlink": scale.downlink,
        "low": problem.min_batchsize / scale.batch,
        "high": problem.max_batchsize / scale.batch,
        "total": scale.batch / scale.total,
    }


def _model(cp: Any, data: dict[str, Any], devices: int) -> tuple[Any, list[Any]]:
    """Write the convex program with numbers or with parameters."""
    batch, uplink, downlink = (cp.Variable(devices) for _ in range(3))
    phase_up, phase_down, total = cp.Variable(), cp.Variable(), cp.Variable()
    constraints = [
        total == data["total"] @ batch,  # quad_over_lin takes no parameters
        data["base"] + cp.multiply(data["slope"], batch) + cp.multiply(data["upload"], cp.inv_pos(uplink))
        <= phase_up,
        cp.multiply(data["download"], cp.inv_pos(downlink)) + data["update"] <= phase_down,
        data["uplink"] @ uplink <= 1,
        data["downlink"] @ downlink <= 1,
        data["low"] <= batch,
        batch <= data["high"],
    ]
    objective = cp.Minimize(cp.quad_over_lin(phase_up + phase_down, total))
    return cp.Problem(objective, constraints), [batch, uplink, downlink]


def _run(cp: Any, model: Any) -> float:
    """Do what ``model.solve`` does, and return the seconds spent in the solver and its interface.

    The time that Clarabel reports counts its first setup again at every later solve.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an inaccurate solution says so in its status
        data, chain, inverse = model.get_problem_data(cp.CLARABEL, solver_opts={})
        start = time.perf_counter()
        solution = chain.solve_via_data(model, data, warm_start=True, solver_opts={})
        seconds = time.perf_counter() - start
        model.unpack_results(solution, chain, inverse)
    return seconds


def cvxpy_fresh(problems: Problems) -> Timed:
    """CVXPY with Clarabel: modelled and solved anew for every instance."""
    cp = require("cvxpy", "validation")

    def call(i: int) -> tuple[Any, ...]:
        start = time.perf_counter()
        scale, data = scaled(problems[i])
        model, variables = _model(cp, data, problems[i].sizes["device"])
        inside = _run(cp, model)
        values = [variable.value for variable in variables]
        return scale, values, model.status, inside, time.perf_counter() - start

    return _cvxpy(call, problems)


def cvxpy_reused(take: Callable[[Problems], Problems] = whole) -> Setup:
    """CVXPY with Clarabel: one program compiled, its parameters changed between solves (DPP)."""

    def setup(problems: Problems) -> Timed:
        cp = require("cvxpy", "validation")
        chosen = take(problems)
        begin = time.perf_counter()
        devices = chosen[0].sizes["device"]
        parameters = {name: cp.Parameter(devices, nonneg=sign) for name, sign in _DATA.items()}
        model, variables = _model(cp, parameters, devices)
        assert model.is_dcp(dpp=True)

        def call(i: int) -> tuple[Any, ...]:
            start = time.perf_counter()
            scale, data = scaled(chosen[i])
            for name, parameter in parameters.items():
                parameter.value = data[name]
            inside = _run(cp, model)
            values = [variable.value for variable in variables]
            return scale, values, model.status, inside, time.perf_counter() - start

        call(0)
        return _cvxpy(call, chosen, time.perf_counter() - begin)

    return setup


def _cvxpy(call: Callable[[int], tuple[Any, ...]], problems: Problems, once_s: float | None = None) -> Timed:
    return Timed(
        call,
        problems,
        decisions=lambda i, raw: raw[0].decisions(problems[i], *raw[1]),
        claim=lambda raw: str(raw[2]),
        parts=lambda raw: {"modelling": raw[4] - raw[3], "solver": raw[3]},
        once_s=once_s,
    )


# -- smooth solvers -------------------------------------------------------------------------------------------


def ipopt(*, reused: bool) -> Setup:
    """CasADi with IPOPT: the solver built once with parameters, or anew for every instance."""

    def setup(problems: Problems) -> Timed:
        ca = require("casadi", "validation")
        devices = problems[0].sizes["device"]
        shares = np.full(2 * devices, 1e-12), np.full(2 * devices, np.inf)
        names = [name for name in _DATA if name not in ("low", "high")]

        def build() -> Any:
            batch, uplink, downlink = (ca.SX.sym(name, devices) for name in ("batch", "uplink", "downlink"))
            # the total as a variable keeps the Hessian sparse
            phase_up, phase_down, total = (ca.SX.sym(name) for name in ("phase_up", "phase_down", "total"))
            data = {name: ca.SX.sym(name, devices) for name in names}
            at_most_zero = ca.vertcat(  # the last is less or equal too: a total is as large as it may
                data["base"] + data["slope"] * batch + data["upload"] / uplink - phase_up,
                data["download"] / downlink + data["update"] - phase_down,
                ca.dot(data["uplink"], uplink) - 1,
                ca.dot(data["downlink"], downlink) - 1,
                total - ca.dot(data["total"], batch),
            )
            program = {
                "x": ca.vertcat(batch, uplink, downlink, phase_up, phase_down, total),
                "f": (phase_up + phase_down) / ca.sqrt(total),
                "g": at_most_zero,
                "p": ca.vertcat(*data.values()),
            }
            options = {"ipopt": IPOPT_OPTIONS, "print_time": False, "error_on_fail": False}
            return ca.nlpsol("feel", "ipopt", program, options)

        begin = time.perf_counter()
        kept = build() if reused else None
        once_s = time.perf_counter() - begin if reused else None

        def call(i: int) -> tuple[Any, ...]:
            start = time.perf_counter()
            scale, data = scaled(problems[i])
            solver = kept if kept is not None else build()
            built = time.perf_counter()
            low, high = data["low"], data["high"]
            middle = (low + np.minimum(high, 1.0)) / 2
            result = solver(
                x0=np.concatenate([middle, np.ones(2 * devices), [2.0, 2.0, data["total"] @ middle]]),
                p=np.concatenate([data[name] for name in names]),
                lbx=np.concatenate([low, shares[0], [0.0, 0.0, 0.0]]),
                ubx=np.concatenate([high, shares[1], [np.inf, np.inf, np.inf]]),
                lbg=-np.inf,
                ubg=0.0,
            )
            point = np.asarray(result["x"]).ravel()
            return scale, point, solver, built - start

        return Timed(
            call,
            problems,
            decisions=lambda i, raw: raw[0].decisions(problems[i], *np.split(raw[1][:-3], 3)),
            claim=lambda raw: str(raw[2].stats()["return_status"]),
            parts=None if reused else lambda raw: {"modelling": raw[3]},
            once_s=once_s,
        )

    return setup


def slsqp(problems: Problems) -> Timed:
    """SciPy's SLSQP on the epigraph form, with derivatives written by hand."""
    from scipy.optimize import minimize

    devices = problems[0].sizes["device"]
    each = np.arange(devices)

    def call(i: int) -> tuple[Any, ...]:
        scale, data = scaled(problems[i])
        low, high, share = data["low"], data["high"], data["total"]

        def objective(x: Array) -> tuple[float, Array]:
            total, latency = share @ x[:devices], x[-2] + x[-1]
            value = latency / np.sqrt(total)
            gradient = np.zeros_like(x)
            gradient[:devices] = -0.5 * value / total * share
            gradient[-2:] = 1 / np.sqrt(total)
            return value, gradient

        def slack(x: Array) -> Array:
            batch, uplink, downlink = x[:-2].reshape(3, devices)
            return np.concatenate(
                [
                    x[-2] - data["base"] - data["slope"] * batch - data["upload"] / uplink,
                    x[-1] - data["update"] - data["download"] / downlink,
                    [1 - data["uplink"] @ uplink, 1 - data["downlink"] @ downlink],
                ]
            )

        def slack_jacobian(x: Array) -> Array:
            _, uplink, downlink = x[:-2].reshape(3, devices)
            jacobian = np.zeros((2 * devices + 2, 3 * devices + 2))
            jacobian[each, each] = -data["slope"]
            jacobian[each, devices + each] = data["upload"] / uplink**2
            jacobian[each, -2] = 1.0
            jacobian[devices + each, 2 * devices + each] = data["download"] / downlink**2
            jacobian[devices + each, -1] = 1.0
            jacobian[-2, devices : 2 * devices] = -data["uplink"]
            jacobian[-1, 2 * devices : 3 * devices] = -data["downlink"]
            return jacobian

        result = minimize(
            objective,
            np.concatenate([(low + np.minimum(high, 1.0)) / 2, np.ones(2 * devices), [2.0, 2.0]]),
            jac=True,
            method="SLSQP",
            bounds=np.column_stack(
                [
                    np.concatenate([low, np.full(2 * devices, 1e-6), [0.0, 0.0]]),
                    np.concatenate([high, np.full(2 * devices + 2, np.inf)]),
                ]
            ),
            constraints={"type": "ineq", "fun": slack, "jac": slack_jacobian},
            options={"ftol": 1e-12, "maxiter": 500},
        )
        return scale, result.x, result

    return Timed(
        call,
        problems,
        decisions=lambda i, raw: raw[0].decisions(problems[i], *np.split(raw[1][:-2], 3)),
        claim=lambda raw: str(raw[2].message),
    )
