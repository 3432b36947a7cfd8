r"""FIMI in CVXPY: a generalised geometric program in the logarithms of samples, times and bandwidth.

With u = a/(b t) the energy of an upload is k a (e^u - 1)/u = k a times the integral of e^(u v) over v from 0 to 1,
which Gauss-Legendre quadrature turns into a sum of a few exponentials, exact to rounding up to u = 16. That sum and
its logarithm are convex and increasing in u, and u >= a/(b t) is convex in logarithms, so the disciplined rules accept
the problem as a whole, which they do not in samples, times and bandwidth themselves.

Variables are logarithms of ratios to a centre. Far from it the exponential cones are badly scaled and the solver
often fails, so the program is solved again around every answer.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.base.quantity import Array
from radioopt.fimi.problem import SynthesisProblem
from validation.fimi.scaling import Scaling
from validation.modelling import Model, Outcome, answer
from validation.reference import Answer, NoAnswerError, reference

#: tighter than Clarabel usually reaches: it then returns its best point, as "optimal_inaccurate"
TOLERANCES = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
#: most times the program is solved, twice at least, each time around the answer before
CENTRES = 3
NODES = 14


class Program:
    """The model for one number of devices, built once; centre and instance are its parameters.

    Parameters
    ----------
    devices : int
        I.
    """

    def __init__(self, devices: int) -> None:
        cp, clarabel = require("cvxpy", "validation"), require("clarabel", "validation")
        node, weight = np.polynomial.legendre.leggauss(NODES)
        self.node, self.weight = (node + 1) / 2, weight / 2
        x, s, t, b, u = self.variables = tuple(cp.Variable(devices) for _ in range(5))
        signed = {"least", "most", "fastest", "strongest"}
        per_device = {"compute", "learning", "s", "t", "b", *signed}
        p = {name: cp.Parameter(devices, nonneg=name not in signed) for name in per_device}
        p |= {name: cp.Parameter((devices, NODES), nonneg=True) for name in ("upload", "rate")}
        p |= {
            "terms": cp.Parameter((devices, NODES)),
            "beta": cp.Parameter(nonneg=True),
            "limit": cp.Parameter(),
        }
        self.parameters = p
        rise = cp.multiply(p["rate"], cp.reshape(u - 1, (devices, 1), order="C") @ np.ones((1, NODES)))
        self.constraints = {
            "rate": cp.exp(-b - t) <= u,
            "round_latency": cp.multiply(p["s"], cp.exp(s)) + cp.multiply(p["t"], cp.exp(t)) <= 1,
            "bandwidth": p["b"] @ cp.exp(b) <= 1,
            "learning": p["learning"] @ cp.exp(-p["beta"] * x) <= p["limit"],
            "local_samples": p["least"] <= x,
            "max_synthetic_samples": x <= p["most"],
            "max_cpu_frequency": x - s <= p["fastest"],
            "max_transmit_power": cp.log_sum_exp(rise + p["terms"], axis=1) - t <= p["strongest"],
        }
        energy = p["compute"] @ cp.exp(3 * x - 2 * s) + cp.sum(cp.multiply(p["upload"], cp.exp(rise)))
        self.model = cp.Problem(cp.Minimize(energy), list(self.constraints.values()))
        #: logarithms of samples, compute time, upload time and bandwidth, each in the unit of the scaling
        self.centre = [cp.Parameter(devices) for _ in range(4)]
        self.logarithms = [centre + step for centre, step in zip(self.centre, self.variables, strict=False)]
        self.widen = lambda more: cp.Problem(self.model.objective, [*self.model.constraints, *more])
        self.solver, self.errors = cp.CLARABEL, (cp.error.SolverError,)
        self.version = f"cvxpy {cp.__version__}, clarabel {clarabel.__version__}"

    def place(self, scale: Scaling, centre: Array) -> None:
        """Set the parameters to an instance and a centre: scaled samples, compute time, upload time and bandwidth."""
        x, s, t, b = centre
        u = (scale.upload_time / (b * t))[:, None]
        power_time = scale.upload_time / scale.snr  # least time of an upload, with any bandwidth
        value = {
            "compute": scale.compute_energy * scale.compute_time**2 * x**3 / s**2,
            "upload": (scale.upload_energy * power_time)[:, None] * self.weight * np.exp(self.node * u),
            "rate": self.node * u,
            "terms": np.log(self.weight) + self.node * u,
            "learning": scale.learning * x**-scale.beta,
            "limit": scale.limit,
            "beta": scale.beta,
            "s": s,
            "t": t,
            "b": b / len(b),
            "least": -np.log(x),
            "most": np.log(np.minimum(scale.most, 1e6) / x),
            "fastest": np.log(s / (scale.compute_time * x)),
            "strongest": np.log(t / power_time),
        }
        for name, parameter in self.parameters.items():
            parameter.value = np.asarray(value[name])
        for parameter, row in zip(self.centre, centre, strict=True):
            parameter.value = np.log(row)

    def solve(
        self, scale: Scaling, centre: Array, time_limit_s: float, more: Sequence[Any] = ()
    ) -> tuple[Array, float, str]:
        """Solve around a centre, with more constraints if wanted; see :meth:`place`.

        Returns
        -------
        point : ndarray, shape (4, I)
            The answer, in the rows of the centre.
        energy : float
            Scaled energy.
        status : str
            CVXPY's word.

        Raises
        ------
        NoAnswerError
            If Clarabel returns no point.
        """
        self.place(scale, centre)
        model = self.widen(more) if more else self.model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an inaccurate solution says so in its status
            try:
                model.solve(solver=self.solver, time_limit=time_limit_s, **TOLERANCES)
            except self.errors as error:
                raise NoAnswerError(f"clarabel: {error}") from error
        if self.variables[0].value is None:
            raise NoAnswerError(str(model.status))
        steps = np.array([variable.value for variable in self.variables[:4]])
        return centre * np.exp(steps), float(model.value), str(model.status)


def middle(scale: Scaling) -> Array:
    """Centre to begin with: no synthetic data, the round split in two halves, the band in even shares."""
    half, ones = np.full_like(scale.snr, 0.5), np.ones_like(scale.snr)
    return np.array([ones, half, half, ones])


def decisions(problem: SynthesisProblem, scale: Scaling, point: Array) -> dict[str, Array]:
    """Turn a point into decisions: the frequency that takes the compute time, the power for the upload time."""
    x, s, t, b = point
    power = b / scale.snr * np.expm1(scale.upload_time / (b * t))
    return scale.decisions(problem, x, scale.compute_time * x / s, b, power)


@reference("fimi", "cvxpy", modules=("cvxpy", "clarabel"), max_devices=100)
def solve(problem: SynthesisProblem, time_limit_s: float) -> Answer:
    """CVXPY with Clarabel: a generalised geometric program, solved again around its answer.

    Parameters
    ----------
    problem : SynthesisProblem
        A single instance.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        The last point that Clarabel returned.

    Raises
    ------
    MissingExtraError
        If CVXPY or Clarabel is not installed.
    NoAnswerError
        If Clarabel returns no point around the first centre.
    """
    cp, clarabel = require("cvxpy", "validation"), require("clarabel", "validation")
    return answer(model, problem, time_limit_s, f"cvxpy {cp.__version__}, clarabel {clarabel.__version__}")


def model(problem: SynthesisProblem) -> Model:
    """Write a single instance in logarithms; see :func:`validation.model`."""
    scale = Scaling.of(problem)
    program = Program(problem.sizes["device"])
    program.place(scale, middle(scale))
    latency = float(problem.max_round_latency_s)
    units: tuple[Any, ...] = problem.local_samples, latency, latency, scale.band
    names = "log_samples", "log_compute_time_s", "log_upload_time_s", "log_bandwidth_hz"
    variables = {
        name: logarithm + np.log(unit)
        for name, logarithm, unit in zip(names, program.logarithms, units, strict=True)
    }
    found: dict[str, Any] = {}

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        point, energy, status = program.solve(scale, middle(scale), time_limit_s, more)
        for _ in range(CENTRES - 1):
            try:
                point, energy, status = program.solve(scale, point, time_limit_s, more)
            except NoAnswerError:
                break
            if status == "optimal":
                break
        found["decisions"] = decisions(problem, scale, point)
        return Outcome(energy * scale.energy, status)

    return Model(
        program.model,
        variables,
        program.constraints,
        "natural logarithms of ratios to a centre, around which the program is solved again: its answer before",
        run,
        lambda: found["decisions"],
    )
