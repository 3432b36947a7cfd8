"""FIMI in Pyomo, solved to global optimality by SCIP: the paper's P1, not convex in its variables.

SCIP proves by branching that there is nothing better, which it does for very few devices. The signal-to-noise ratio
and the upload time are variables of their own, so that every nonlinear term has one or two variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.base.quantity import Array
from radioopt.fimi.problem import SynthesisProblem
from validation import scip
from validation.fimi.scaling import Scaling
from validation.modelling import Model, Outcome, answer
from validation.reference import Answer, reference

#: largest ratio of samples to those held: SCIP branches on bounded variables only
MOST_SAMPLES = 20.0


@reference("fimi", "pyomo-scip", modules=scip.MODULES, max_devices=3)
def solve(problem: SynthesisProblem, time_limit_s: float) -> Answer:
    """Pyomo with SCIP: the paper's P1, equation (12), in its variables D, f, b and P, non-convex.

    Parameters
    ----------
    problem : SynthesisProblem
        A single instance of very few devices.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        The best point found; the status says whether SCIP proved it optimal.

    Raises
    ------
    MissingExtraError
        If Pyomo or PySCIPOpt is not installed.
    NoAnswerError
        If SCIP returns no point.
    """
    require("pyomo.environ", "validation")
    return answer(model, problem, time_limit_s, scip.version())


def model(problem: SynthesisProblem) -> Model:
    """Write a single instance in the paper's variables; see :func:`validation.model`."""
    pyo = require("pyomo.environ", "validation")
    scale = Scaling.of(problem)
    written = _model(scale, pyo)
    held, latency = problem.local_samples, float(problem.max_round_latency_s)
    variables = scip.in_si_units(
        written,
        synthetic_samples=(written.samples, held, -held),
        cpu_frequency_hz=(written.frequency, problem.max_cpu_frequency_hz),
        bandwidth_hz=(written.band, scale.band),
        transmit_power_w=(written.power, problem.max_transmit_power_w),
        upload_time_s=(written.upload, latency),
    )

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        objective, _, status = scip.run(written, time_limit_s, more)
        return Outcome(objective * scale.energy, status)

    def read() -> dict[str, Array]:
        point = [
            np.array([variable[i].value for i in written.devices])
            for variable in (written.samples, written.frequency, written.band, written.power)
        ]
        return scale.decisions(problem, *point)

    scaling = "samples over those held, frequency and power over their limits, bandwidth over an even share"
    return Model(written, variables, scip.constraints(written), scaling, run, read)


def _model(scale: Scaling, pyo: Any) -> Any:
    """Write P1 in scaled variables."""
    count = scale.snr.size
    model = pyo.ConcreteModel()
    model.devices = pyo.RangeSet(0, count - 1)
    most: Array = np.minimum(scale.most, MOST_SAMPLES)
    model.samples = pyo.Var(model.devices, bounds=lambda _, i: (1, most[i]))
    model.frequency = pyo.Var(model.devices, bounds=lambda _, i: (scale.compute_time[i], 1))
    model.band = pyo.Var(model.devices, bounds=(1e-4, count))
    model.power = pyo.Var(model.devices, bounds=(1e-6, 1))
    model.snr = pyo.Var(model.devices, bounds=lambda _, i: (1e-6 * scale.snr[i] / count, 1e4 * scale.snr[i]))
    model.upload = pyo.Var(model.devices, bounds=lambda _, i: (0, 1 - scale.compute_time[i]))

    def ratio(m: Any, i: int) -> Any:
        return m.snr[i] * m.band[i] == scale.snr[i] * m.power[i]

    def rate(m: Any, i: int) -> Any:
        return m.upload[i] * m.band[i] * pyo.log(1 + m.snr[i]) >= scale.upload_time

    def latency(m: Any, i: int) -> Any:
        return scale.compute_time[i] * m.samples[i] / m.frequency[i] + m.upload[i] <= 1

    model.ratio = pyo.Constraint(model.devices, rule=ratio)
    model.rate = pyo.Constraint(model.devices, rule=rate)
    model.latency = pyo.Constraint(model.devices, rule=latency)
    model.total = pyo.Constraint(expr=sum(model.band[i] for i in model.devices) <= count)
    model.learning = pyo.Constraint(
        expr=sum(scale.learning[i] * model.samples[i] ** -scale.beta for i in model.devices) <= scale.limit
    )
    model.objective = pyo.Objective(
        expr=sum(
            scale.compute_energy[i] * model.samples[i] * model.frequency[i] ** 2
            + scale.upload_energy[i] * model.power[i] * model.upload[i]
            for i in model.devices
        )
    )
    return model
