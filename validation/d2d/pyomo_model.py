"""D2D in Pyomo, solved to global optimality by SCIP: a mixed-integer program with bilinear distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import OptionError, require
from radioopt.base.quantity import Array
from radioopt.d2d import GraphProblem
from radioopt.d2d.certificate import SLACK, distance
from validation import scip
from validation.modelling import Model, Outcome, answer
from validation.reference import Answer, NoAnswerError, reference


@reference("d2d", "pyomo-scip", modules=scip.MODULES, max_devices=6)
def solve(problem: GraphProblem, time_limit_s: float) -> Answer:
    """Pyomo with SCIP: binaries for links, over-demand and gates, the totals of the data in bilinear terms.

    Parameters
    ----------
    problem : GraphProblem
        A single instance with the score "improvement" in Wasserstein's metric or total variation.
    time_limit_s : float
        Limit for the solver [s].

    Returns
    -------
    Answer
        The best graph found; the status says whether SCIP proved it optimal.

    Raises
    ------
    MissingExtraError
        If Pyomo or PySCIPOpt is not installed.
    NoAnswerError
        If the model does not know the score or metric, a device may end without data, or SCIP returns no point.
    """
    return answer(model, problem, time_limit_s, scip.version())


def model(problem: GraphProblem) -> Model:
    """Write a single instance with the score "improvement"; see :func:`validation.model`."""
    written = build(problem)
    unit = float(problem.class_counts.mean())
    variables = scip.in_si_units(
        written, link=(written.z, 1.0), counts_after=(written.after, unit), device_score=(written.score, 1.0)
    )

    def run(time_limit_s: float, more: Sequence[Any]) -> Outcome:
        value, _, status = scip.run(written, time_limit_s, more)
        return Outcome(value, status)

    def read() -> dict[str, Array]:
        source = np.full(problem.sizes["device"], -1)
        for i, j in written.links:
            if written.z[i, j].value > 0.5:
                source[i] = j
        return {"source": source}

    scaling = f"points in units of {unit:.6g}, the mean count; link[i, j] is 1 where i receives from j"
    return Model(written, variables, scip.constraints(written), scaling, run, read)


def build(problem: GraphProblem) -> Any:
    """Build the model of a single instance; see :func:`solve`.

    With z_ij for a link, phi_jl for the share of what is asked of j that it sends, and o_jl for too much being asked,
    w = z phi is linear by McCormick, exact for binary z; phi >= 1 - o and A o <= sum q w <= A make phi = min(1, A/D).
    W_i s_i >= sum |cumulative gaps in points| makes W_i at least the distance, s_i being the points of a device.
    """
    if problem.batch_shape:
        raise OptionError(f"expected a single instance, got a batch of {problem.batch_shape}: index it")
    if problem.score != "improvement" or problem.metric == "jensen-shannon":
        raise NoAnswerError(
            "this model knows the score 'improvement', Wasserstein's metric and total variation"
        )
    if (np.minimum(problem.class_counts, problem.thresholds).sum(-1) <= 0).any():
        raise NoAnswerError("this model wants every device to keep some data")
    pyo = require("pyomo.environ", "validation")
    unit = float(problem.class_counts.mean())
    held, wanted = problem.class_counts / unit, problem.thresholds / unit
    spare, lack = problem.surplus / unit, problem.deficit / unit
    devices, classes = held.shape
    arrives = 1.0 - problem.outage_probability
    asked: dict[tuple[int, int, int], float] = {}
    for i, j in np.argwhere(problem.useful_pairs()).tolist():
        factor = 1.0 / arrives[i, j] if problem.request == "compensated" else 1.0
        for m in np.flatnonzero(problem.trust[j, i] & (spare[j] > 0) & (lack[i] > 0)).tolist():
            asked[i, j, m] = float(lack[i, m] * factor)
    gives = sorted({(j, m) for _, j, m in asked})
    receivers: dict[tuple[int, int], list[int]] = {key: [] for key in gives}
    for i, j, m in asked:
        receivers[j, m].append(i)
    model = pyo.ConcreteModel()
    model.links = pyo.Set(initialize=sorted({(i, j) for i, j, _ in asked}), dimen=2)
    model.asked = pyo.Set(initialize=sorted(asked), dimen=3)
    model.gives = pyo.Set(initialize=gives, dimen=2)
    model.devices, model.classes = pyo.RangeSet(0, devices - 1), pyo.RangeSet(0, classes - 1)
    model.z = pyo.Var(model.links, domain=pyo.Binary)
    model.one = pyo.Constraint(
        sorted({i for i, _ in model.links}),
        rule=lambda s, i: sum(s.z[k, j] for k, j in model.links if k == i) <= 1,
    )
    model.phi, model.over = pyo.Var(model.gives, bounds=(0, 1)), pyo.Var(model.gives, domain=pyo.Binary)
    model.w = pyo.Var(model.asked, bounds=(0, 1))
    model.below_z = pyo.Constraint(model.asked, rule=lambda s, i, j, m: s.w[i, j, m] <= s.z[i, j])
    model.below_phi = pyo.Constraint(model.asked, rule=lambda s, i, j, m: s.w[i, j, m] <= s.phi[j, m])
    model.above = pyo.Constraint(
        model.asked, rule=lambda s, i, j, m: s.w[i, j, m] >= s.phi[j, m] + s.z[i, j] - 1
    )
    model.full = pyo.Constraint(model.gives, rule=lambda s, j, m: s.phi[j, m] >= 1 - s.over[j, m])
    sent = {
        (j, m): _sum(asked[i, j, m] * model.w[i, j, m] for i in some) for (j, m), some in receivers.items()
    }
    model.most = pyo.Constraint(model.gives, rule=lambda s, j, m: sent[j, m] <= float(spare[j, m]))
    model.least = pyo.Constraint(
        model.gives, rule=lambda s, j, m: sent[j, m] >= float(spare[j, m]) * s.over[j, m]
    )
    for j, m in gives:
        if sum(asked[i, j, m] for i in receivers[j, m]) <= spare[j, m]:
            model.over[j, m].fix(0)
    _distances(model, problem, asked, sent, held, wanted, arrives)
    outside = [(i, j) for i, j in model.links if problem.clusters[i] != problem.clusters[j]]
    penalty: Any = 0.0
    for cluster in np.unique(problem.clusters).tolist():
        members = problem.clusters == cluster
        budget = float(problem.budgets[members][0]) / unit
        counted = _sum(
            arrives[i, j] * asked[i, j, m] * model.w[i, j, m]
            if problem.budgeted == "received"
            else asked[i, j, m] * model.z[i, j]
            for i, j, m in asked
            if members[i] and (i, j) in outside
        )
        if np.isfinite(budget) and not isinstance(counted, float):
            excess = pyo.Var(bounds=(0, None if budget > 0 else 0))
            model.add_component(f"excess_{cluster}", excess)
            scale = budget if budget > 0 else 1.0
            model.add_component(f"budget_{cluster}", pyo.Constraint(expr=counted - budget <= scale * excess))
            penalty = penalty + float(members.sum()) * excess
    lost = _sum(float(problem.outage_probability[i, j]) * model.z[i, j] for i, j in model.links)
    local = float(problem.diversity_weight) * _sum(model.score[i] for i in model.devices)
    local = local - float(problem.outage_weight) * lost
    gamma = float(problem.cluster_weight)
    model.objective = pyo.Objective(
        expr=(1 + gamma) * local - gamma * float(problem.budget_penalty) * penalty, sense=pyo.maximize
    )
    return model


def _distances(
    model: Any,
    problem: GraphProblem,
    asked: dict[tuple[int, int, int], float],
    sent: dict[tuple[int, int], Any],
    held: Array,
    wanted: Array,
    arrives: Array,
) -> None:
    """Add points afterwards, distances, gates and scores."""
    pyo = require("pyomo.environ", "validation")
    ideal = problem.ideal_distribution / problem.ideal_distribution.sum()
    before = distance(problem.metric, held, ideal)
    classes, cumulative = held.shape[1], problem.metric == "wasserstein"
    farthest = classes - 1.0 if cumulative else 1.0
    low, high = np.minimum(held, wanted), np.maximum(held, wanted)
    after = {}
    for i in model.devices:
        for m in model.classes:
            got = _sum(
                arrives[i, j] * asked[i, j, m] * model.w[i, j, m]
                for k, j in model.links
                if k == i and (i, j, m) in asked
            )
            after[i, m] = float(held[i, m]) + got - sent.get((i, m), 0.0)
    model.after = pyo.Var(
        model.devices, model.classes, bounds=lambda _, i, m: (float(low[i, m]), float(high[i, m]))
    )
    model.points = pyo.Constraint(
        model.devices, model.classes, rule=lambda s, i, m: s.after[i, m] == after[i, m]
    )
    model.total = pyo.Var(model.devices, bounds=lambda _, i: (float(low[i].sum()), float(high[i].sum())))
    model.totals = pyo.Constraint(
        model.devices, rule=lambda s, i: s.total[i] == _sum(s.after[i, m] for m in s.classes)
    )
    model.gap = pyo.Var(model.devices, model.classes, bounds=(0, None))
    model.far = pyo.Var(model.devices, bounds=(0, farthest))
    model.score = pyo.Var(model.devices, bounds=lambda _, i: (0, float(before[i])))
    model.scores, model.met = (
        pyo.Var(model.devices, domain=pyo.Binary),
        pyo.Var(model.devices, model.classes, domain=pyo.Binary),
    )
    model.rules = pyo.ConstraintList()
    needed = problem.gate * wanted - SLACK * held.mean() / problem.class_counts.mean()
    for i in model.devices:
        for m in model.classes:
            upto = range(m + 1) if cumulative else (m,)
            share = float(sum(ideal[n] for n in upto))
            difference = _sum(model.after[i, n] for n in upto) - share * model.total[i]
            model.rules.add(model.gap[i, m] >= difference)
            model.rules.add(model.gap[i, m] >= -difference)
            if needed[i, m] > low[i, m]:
                rise = float(needed[i, m] - low[i, m])
                model.rules.add(model.after[i, m] >= float(low[i, m]) + rise * model.met[i, m])
        whole = _sum(model.gap[i, m] for m in model.classes) * (1.0 if cumulative else 0.5)
        model.rules.add(model.far[i] * model.total[i] >= whole)
        model.rules.add(model.score[i] <= float(before[i]) * model.scores[i])
        model.rules.add(model.score[i] <= float(before[i]) - model.far[i] + farthest * (1 - model.scores[i]))
        model.rules.add(
            _sum(model.met[i, m] for m in model.classes) >= float(problem.min_classes) * model.scores[i]
        )


def _sum(terms: Any) -> Any:
    """Sum of terms; 0.0 of none."""
    return sum(terms, 0.0)
