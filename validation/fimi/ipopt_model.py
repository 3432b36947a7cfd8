"""FIMI for IPOPT through CasADi: the paper's P1 in its own variables, smooth and not convex.

The model assumes nothing of what radioopt knows: neither that latency and bandwidth are used up, nor that the
problem becomes convex in other variables.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.base.quantity import Array
from radioopt.fimi.problem import SynthesisProblem
from validation.fimi.scaling import Scaling
from validation.modelling import Model, Outcome, answer, rows
from validation.reference import Answer, NoAnswerError, reference

#: By default IPOPT relaxes every bound by 1e-8 and the energy ends 2e-7 too low; here it may not. Tolerances are of a
#: program that it scales down where gradients are large: 1e-12 there left the energy up to 4e-9 above the optimum.
OPTIONS = {
    "tol": 1e-14,
    "compl_inf_tol": 1e-13,
    "dual_inf_tol": 1e-10,
    "constr_viol_tol": 1e-12,
    "acceptable_tol": 1e-12,
    "bound_relax_factor": 0.0,
    "max_iter": 3000,
    "print_level": 0,
    "sb": "yes",
}
#: IPOPT's own word for an instance without a feasible point
INFEASIBLE = "Infeasible_Problem_Detected"


class Program:
    """The model for one number of devices, built once; an instance is a vector of its parameters.

    Parameters
    ----------
    devices : int
        I.
    time_limit_s : float
        Limit for every solve [s].
    **options
        IPOPT's options, instead of :data:`OPTIONS`.
    """

    def __init__(self, devices: int, time_limit_s: float = 1e3, **options: Any) -> None:
        ca = require("casadi", "validation")
        x, f, b, power = (ca.SX.sym(name, devices) for name in ("samples", "frequency", "band", "power"))
        names = ("compute_time", "compute_energy", "snr", "upload_energy", "learning")
        given = {name: ca.SX.sym(name, devices) for name in names}
        upload_time, beta, limit = (ca.SX.sym(name) for name in ("upload_time", "beta", "limit"))
        upload = upload_time / (b * ca.log1p(given["snr"] * power / b))
        self.variables = x, f, b, power
        self.constraints = {
            "round_latency": given["compute_time"] * x / f + upload - 1,
            "learning": ca.dot(given["learning"], ca.exp(-beta * ca.log(x))) - limit,
            "bandwidth": ca.sum1(b) / devices - 1,
        }
        self.program = {
            "x": ca.vertcat(x, f, b, power),
            "p": ca.vertcat(*given.values(), upload_time, beta, limit),
            "f": ca.dot(given["compute_energy"] * x, f**2) + ca.dot(given["upload_energy"] * power, upload),
            "g": ca.vertcat(*self.constraints.values()),
        }
        self.devices, self.version = devices, f"casadi {ca.__version__}, ipopt"
        self.options = {"max_wall_time": time_limit_s} | (options or OPTIONS)

    @cached_property
    def solver(self) -> Any:
        """IPOPT for this program, made when it is first asked for."""
        return self.made()

    def made(self, more: Sequence[Any] = (), **options: Any) -> Any:
        """Make IPOPT for this program with more constraints and other options."""
        ca = require("casadi", "validation")
        wider = self.program | {"g": ca.vertcat(self.program["g"], *rows(ca, more))}
        chosen = {"ipopt": self.options | options, "print_time": False, "error_on_fail": False}
        return ca.nlpsol("fimi", "ipopt", wider, chosen)

    def solve(self, scale: Scaling, start: Array) -> tuple[Array, float, str]:
        """Solve one instance from one start, four rows of scaled variables; return point, energy and status."""
        parameters = (
            scale.compute_time,
            scale.compute_energy,
            scale.snr,
            scale.upload_energy,
            scale.learning,
        )
        ones = np.ones(self.devices)
        result = self.solver(
            x0=np.ravel(start),
            p=np.concatenate([*parameters, [scale.upload_time, scale.beta, scale.limit]]),
            lbx=np.concatenate([ones, np.full(3 * self.devices, 1e-9)]),
            ubx=np.concatenate([scale.most, ones, self.devices * ones, ones]),
            lbg=-np.inf,
            ubg=0.0,
        )
        point = np.asarray(result["x"]).reshape(4, self.devices)
        return point, float(result["f"]) * scale.energy, self.solver.stats()["return_status"]


def starts(scale: Scaling, count: int, seed: int = 0) -> Iterable[Array]:
    """Yield starting points: the middle of all limits first, then random ones.

    Parameters
    ----------
    scale : Scaling
        A scaled instance.
    count, seed : int
        Number of points, and the seed of the random ones.

    Yields
    ------
    ndarray, shape (4, I)
        Scaled samples, frequency, bandwidth and power.
    """
    rng = np.random.default_rng(seed)
    reach = np.minimum(scale.most, 4.0) - 1.0
    for i in range(count):
        share = np.full((4, scale.snr.size), 0.5) if i == 0 else rng.uniform(0.05, 0.95, (4, scale.snr.size))
        band = share[2] / share[2].mean()
        yield np.array([1.0 + reach * share[0], share[1], band, share[3]])


@reference("fimi", "ipopt", modules=("casadi",))
def solve(problem: SynthesisProblem, time_limit_s: float) -> Answer:
    """CasADi with IPOPT: the paper's P1, equation (12), in its variables D, f, b and P.

    Parameters
    ----------
    problem : SynthesisProblem
        A single instance.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        The best of three starts; IPOPT's status of that one.

    Raises
    ------
    MissingExtraError
        If CasADi is not installed.
    NoAnswerError
        If no start ends in a feasible point; the message is IPOPT's status.
    """
    ca = require("casadi", "validation")
    return answer(model, problem, time_limit_s, f"casadi {ca.__version__}, ipopt")


def model(problem: SynthesisProblem) -> Model:
    """Write a single instance in the paper's variables; see :func:`validation.model`."""
    scale = Scaling.of(problem)
    program = Program(problem.sizes["device"])
    x, f, b, power = program.variables
    variables = {
        "synthetic_samples": problem.local_samples * (x - 1),
        "cpu_frequency_hz": problem.max_cpu_frequency_hz * f,
        "bandwidth_hz": scale.band * b,
        "transmit_power_w": problem.max_transmit_power_w * power,
    }
    found: dict[str, Any] = {}

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        start = time.perf_counter()
        program.solver = program.made(more, max_wall_time=time_limit_s / 3)
        built = time.perf_counter()
        answers = [program.solve(scale, point) for point in starts(scale, 3)]
        usable = [each for each in answers if np.isfinite(each[1]) and each[2].startswith("Solve")]
        if not usable:
            raise NoAnswerError(answers[0][2])
        point, energy, status = min(usable, key=lambda each: each[1])
        found["decisions"] = scale.decisions(problem, *point)
        return Outcome(energy, status, built - start)

    return Model(
        program.program,
        variables,
        program.constraints,
        "samples over those held, frequency and power over their limits, bandwidth over an even share",
        run,
        lambda: found["decisions"],
    )
