"""Derivatives of optima, what holds in every family: transposes, envelopes, symmetries, masks, messages."""

import numpy as np
import pytest

from radioopt import ProblemError, Status
from radioopt.base.errors import ArgumentError
from validation.dtkd import zoo as dtkd
from validation.feel import zoo as feel
from validation.fimi import zoo as fimi

OPTIONS = [
    *(("feel", option) for option in feel.OPTIONS),
    ("fimi", "all"),
    ("fimi", "fixed"),
    *(("dtkd", option) for option in dtkd.OPTIONS),
]


def drawn(family, option, count=12):
    if family == "feel":
        return feel.with_option(option, 5, count=count)
    if family == "fimi":
        problem = fimi.random_batch(np.random.default_rng(5), count, 4)
        return problem if option == "all" else with_fixed_samples(problem)
    return dtkd.with_option(option, 5, count=count)


def with_fixed_samples(problem):
    """The same with synthetic samples given in all but the last two instances."""
    samples = problem.local_samples * np.random.default_rng(6).uniform(0.1, 1, problem.local_samples.shape)
    samples[-2:] = np.inf
    return problem.replace(fixed_synthetic_samples=samples)


@pytest.fixture(params=OPTIONS, ids="-".join, scope="module")
def solution(request):
    return drawn(*request.param).solve(throw=False)


def finite(values):
    return np.where(np.isfinite(values), values, 0.0)


def tangents(solution, rng, *extra):
    """A random relative change of every field."""
    return {
        name: finite(getattr(solution.problem, name))
        * rng.normal(size=(*extra, *np.shape(getattr(solution.problem, name))))
        for name in solution.vjp({"objective": 0.0})
    }


def cotangents(solution, rng, *extra):
    """Random weights for every result, of the order of one over the result."""
    found = {}
    for name in solution.jvp({}):
        value = finite(getattr(solution, name))
        found[name] = rng.normal(size=(*extra, *value.shape)) / max(np.abs(value).max(), 1e-30)
    return found


def test_forward_and_reverse_are_transposes(solution):
    rng = np.random.default_rng(0)
    change, weights = tangents(solution, rng), cotangents(solution, rng)
    pushed, pulled = solution.jvp(change), solution.vjp(weights)

    def by_instance(a, b):
        return sum((finite(a[name]) * b[name]).reshape(12, -1).sum(-1) for name in a)

    def size(a, b):
        return sum(np.abs(finite(a[name]) * b[name]).reshape(12, -1).sum(-1) for name in a)

    forward, reverse = by_instance(weights, pushed), by_instance(change, pulled)
    assert (np.abs(forward - reverse) <= 1e-12 * (size(weights, pushed) + size(change, pulled))).all()
    assert (forward != 0).sum() >= 9


def test_slopes_of_the_optimum_are_those_of_the_envelope_theorem(solution):
    problem, slopes, worth = solution.problem, solution.vjp({"objective": 1.0}), solution.sensitivity()
    answered = solution.status_code == Status.OPTIMAL
    objective = np.abs(solution.objective)
    for name in worth.quantities.keys() & slopes.keys():
        over = np.expand_dims(objective, -1) if problem.quantities[name].axes else objective
        ours = (slopes[name] * finite(getattr(problem, name)) / over)[answered]
        np.testing.assert_allclose(ours, getattr(worth, name)[answered], rtol=1e-10, atol=1e-10, err_msg=name)


def test_many_losses_at_once_are_one_after_the_other(solution):
    rng = np.random.default_rng(1)
    weights, change = cotangents(solution, rng, 3), tangents(solution, rng, 3)
    pulled, pushed = solution.vjp(weights), solution.jvp(change)
    for i in range(3):
        for name, value in solution.vjp({n: w[i] for n, w in weights.items()}).items():
            np.testing.assert_allclose(pulled[name][i], value, rtol=1e-9, atol=1e-300)
        for name, value in solution.jvp({n: t[i] for n, t in change.items()}).items():
            np.testing.assert_allclose(pushed[name][i], value, rtol=1e-9, atol=1e-300)


def test_a_batch_is_its_instances(solution):
    rng = np.random.default_rng(2)
    weights = cotangents(solution, rng)
    pulled = solution.vjp(weights)
    for i in range(3):
        alone = solution[i].vjp({name: w[i] for name, w in weights.items()})
        assert bool(solution.at_kink[i]) == bool(solution[i].at_kink)
        for name, value in alone.items():
            np.testing.assert_allclose(pulled[name][i], value, rtol=1e-12, atol=1e-300)


def relative(solution, loss):
    """Slopes of a loss of relative size one, per relative change of every field."""
    return {
        name: slope * finite(getattr(solution.problem, name)) for name, slope in solution.vjp(loss).items()
    }


def test_devices_in_another_order_have_their_slopes_in_that_order(solution):
    problem = solution.problem
    order = np.random.default_rng(3).permutation(4)
    fields = {name: getattr(problem, name) for name, q in problem.quantities.items() if q.axes}
    moved = problem.replace(**{name: value[..., order] for name, value in fields.items()}).solve(throw=False)
    loss = cotangents(solution, np.random.default_rng(4))
    here, there = (
        relative(solution, loss),
        relative(moved, {n: w[..., order] if w.shape[1:] else w for n, w in loss.items()}),
    )
    steady = (solution.status_code == Status.OPTIMAL) & ~solution.at_kink & ~moved.at_kink
    assert steady.sum() >= 8
    for name, value in here.items():
        value = value[..., order] if problem.quantities[name].axes else value
        np.testing.assert_allclose(there[name][steady], value[steady], rtol=1e-7, atol=1e-9, err_msg=name)


def test_results_have_values_and_fields_have_shapes(solution):
    problem = solution.problem
    slopes = solution.vjp({"objective": 1.0})
    assert slopes.keys() <= problem.quantities.keys()
    for name, value in slopes.items():
        assert value.shape == np.shape(getattr(problem, name))
        assert np.isfinite(value).all()
    for name, value in solution.jvp({}).items():
        assert value.shape == np.shape(getattr(solution, name))
        assert not value.any()


#: fields of a unit, and what all results change by if these are that many times as large
UNITS = {
    "feel": (("payload_bits", "uplink_rate_bps", "downlink_rate_bps"), {}),
    "fimi": (
        ("energy_coefficient", "noise_psd_w_per_hz", "max_transmit_power_w"),
        dict.fromkeys(
            [
                "transmit_power_w",
                "compute_energy_j",
                "upload_energy_j",
                "energy_j",
                "objective",
                "price_learning_j",
                "price_bandwidth_j_per_hz",
            ],
            1,
        ),
    ),
    "dtkd": (
        (
            "delay_weight_per_s",
            "cpu_price_per_cycle",
            "bandwidth_price_per_hz",
            "own_accuracy_weight",
            "average_accuracy_weight",
        ),
        dict.fromkeys(
            ["objective", "price_delay_per_s", "price_server_cpu_per_hz", "price_bandwidth_per_hz"], 1
        ),
    ),
}


def test_a_change_of_unit_changes_only_the_numbers(solution):
    problem, factor = solution.problem, 1024.0
    fields, powers = UNITS[problem.family]
    larger = {name: getattr(problem, name) * factor for name in fields}
    there = problem.replace(**larger, strict=None).solve(throw=False)
    steady = (solution.status_code == Status.OPTIMAL) & ~solution.at_kink & ~there.at_kink
    loss = cotangents(solution, np.random.default_rng(6))
    here = relative(solution, loss)
    scaled = relative(there, {name: w / factor ** powers.get(name, 0) for name, w in loss.items()})
    for name, value in here.items():
        np.testing.assert_allclose(scaled[name][steady], value[steady], rtol=1e-7, atol=1e-9, err_msg=name)


def test_without_a_proven_optimum_slopes_are_zero():
    problem = feel.with_option("cpu", 1, count=3)
    limit = [1e-3, np.inf, np.inf]
    solution = problem.replace(max_round_latency_s=limit).solve(throw=False)
    assert solution.status.tolist() == [Status.INFEASIBLE, Status.OPTIMAL, Status.OPTIMAL]
    pulled = solution.vjp({"batchsize": np.full((3, 4), [[np.nan], [1.0], [1.0]])})
    pushed = solution.jvp({"payload_bits": 1.0})
    for values in (pulled, pushed):
        for name, value in values.items():
            assert not value[0].any(), name
            assert np.isfinite(value).all(), name
    assert pulled["payload_bits"][1] != 0
    assert not solution.at_kink[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda s: s.vjp({"batch_size": 1.0}),
            r"BatchsizeSolution.vjp: unknown batch_size; did you mean batchsize\?",
        ),
        (
            lambda s: s.jvp({"payload": 1.0}),
            r"BatchsizeSolution.jvp: unknown payload; did you mean payload_bits\?",
        ),
        (
            lambda s: s.vjp(np.ones(4)),
            "BatchsizeSolution.vjp: expected a mapping of names to arrays, got ndarray",
        ),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(feel.with_option("cpu", 1).solve())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda s: s.vjp({"batchsize": np.ones(3)}),
            r"vjp.batchsize: expected shape \(..., 4\) or one that broadcasts",
        ),
        (
            lambda s: s.jvp({"uplink_rate_bps": "fast"}),
            "jvp.uplink_rate_bps: expected real numbers, got 'fast'",
        ),
        (
            lambda s: s.vjp({"batchsize": np.ones((2, 4)), "objective": np.ones(3)}),
            r"vjp.objective: expected shape",
        ),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(call, message):
    with pytest.raises(ProblemError, match=message):
        call(feel.with_option("cpu", 1).solve())


def test_what_is_no_continuous_optimum_is_refused():
    problem = feel.with_option("cpu", 1)
    with pytest.raises(
        ProblemError, match=r"whole batch sizes have no derivatives: take those of problem.solve\(\)"
    ):
        problem.solve(integer=True).vjp({"objective": 1.0})
    with pytest.raises(ProblemError, match="method 'round-up' proves no continuous optimum"):
        _ = problem.solve(method="round-up").at_kink
    with pytest.raises(ProblemError, match="method 'integer' proves no continuous optimum"):
        fimi.paper(4).solve(method="integer").jvp({})


def test_families_of_choices_have_no_derivatives():
    from validation.mix2fld import zoo as mix2fld

    with pytest.raises(
        NotImplementedError, match="RoundPlanSolution has no derivatives: its decisions are choices"
    ):
        mix2fld.paper().solve().vjp({"objective": 1.0})
