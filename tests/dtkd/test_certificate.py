"""What is judged: points out of feasibility, perturbed points, nonsense; and the parts of the cost."""

from dataclasses import replace

import numpy as np
import pytest

from radioopt import Status
from radioopt.dtkd import DistillationProblem, ModelCatalogue, kernel, kernel_prices, pricing
from validation.dtkd import enumeration, zoo
from validation.dtkd.scaling import Scaling

NAMED = zoo.named()


def decisions(solution):
    return {name: np.array(getattr(solution, name)) for name in solution.decisions}


def test_the_parts_of_the_cost_are_the_objective():
    for name, problem in NAMED.items():
        solution = problem.solve()
        parts = solution.delay_cost + solution.cpu_cost + solution.bandwidth_cost - solution.accuracy_credit
        assert parts.sum() == pytest.approx(float(solution.objective), rel=1e-11, abs=1e-11), name


@pytest.mark.parametrize(
    ("field", "change", "residual"),
    [
        ("server_cpu_frequency_hz", lambda f: f * 1.01, "server_cpu"),
        ("bandwidth_hz", lambda b: b * 1.01, "bandwidth"),
        ("bandwidth_hz", lambda b: -b, "shares"),
        ("server_cpu_frequency_hz", lambda f: 0 * f, "shares"),
        ("model", lambda m: m + 0.5, "choices"),
        ("model", lambda m: m + 4, "choices"),
        ("model", lambda m: 0 * m - 1, "choices"),
        ("trains_locally", lambda x: x + 2.0, "choices"),
    ],
)
def test_violations_are_found(field, change, residual):
    problem = NAMED["paper"]
    point = decisions(problem.solve())
    assert problem.certificate(**point).status == Status.OPTIMAL
    point[field] = change(point[field])
    check = problem.certificate(**point)
    assert check.status == Status.FAILED
    assert check.residuals[residual] > 1e-3


def test_bounds_deadlines_and_fixed_choices_are_looked_at():
    problem = NAMED["paper"]
    point = decisions(problem.solve())
    tighter = {
        "limits": problem.replace(max_bandwidth_hz=1e6),
        "delay": problem.replace(max_delay_s=5.0),
        "choices": problem.replace(fixed_place=1.0),
    }
    for residual, other in tighter.items():
        check = other.certificate(**point)
        assert check.residuals[residual] > 0.1
        assert check.status == Status.FAILED
    lower = problem.replace(min_server_cpu_frequency_hz=[2.6e9, 0, 0, 0])
    assert lower.certificate(**point).residuals["limits"] == pytest.approx(
        1 - point["server_cpu_frequency_hz"][0] / 2.6e9
    )


@pytest.mark.parametrize("excess", [1e-9, 8e-7])
def test_a_point_that_shares_out_a_bit_too_much_still_has_a_bound(excess):
    for name, problem in NAMED.items():
        solution = problem.solve()
        point = decisions(solution)
        for share in ("server_cpu_frequency_hz", "bandwidth_hz"):
            point[share] = point[share] * (1 + excess)
        certificate = problem.certificate(**point)
        assert certificate.residual <= 1e-6, name
        assert np.isfinite(certificate.bound), name
        assert certificate.bound <= solution.objective + 1e-10 * abs(solution.objective), name


def test_a_worse_point_has_an_honest_gap():
    problem = NAMED["paper"]
    best = float(problem.solve().objective)
    point = decisions(problem.solve())
    point["bandwidth_hz"] = point["bandwidth_hz"] * [0.5, 1, 1, 1]
    check = problem.certificate(**point)
    assert check.status == Status.FEASIBLE
    assert check.bound == pytest.approx(best, rel=1e-9)
    assert check.gap == pytest.approx((check.objective - best) / problem.scale, rel=1e-3)


def test_a_batch_of_points():
    batch = zoo.draw(3, 5)
    point = decisions(batch.solve())
    point["bandwidth_hz"][2] *= 1.5
    check = batch.certificate(**point)
    assert check.status.tolist() == [0, 0, Status.FAILED, 0, 0]
    for i in range(5):
        single = batch[i].certificate(**{name: value[i] for name, value in point.items()})
        assert single.objective == check.objective[i]
        assert single.bound == check.bound[i]


@pytest.mark.usefixtures("short_search")
def test_repair_makes_shares_feasible():
    problem = NAMED["bounds"].replace(fixed_model=[2.0, -1.0, -1.0, -1.0])
    rng = np.random.default_rng(0)
    for _ in range(50):
        point = problem.repair(
            model=rng.uniform(-1, 5, 4),
            trains_locally=rng.uniform(-0.2, 1.2, 4),
            server_cpu_frequency_hz=10 ** rng.uniform(7, 11, 4),
            bandwidth_hz=10 ** rng.uniform(5, 8, 4),
        )
        check = problem.certificate(**point)
        assert check.residual <= 1e-12
    best = decisions(problem.solve())
    for name, value in problem.repair(**best).items():
        np.testing.assert_allclose(value, best[name], rtol=1e-12)


@pytest.mark.usefixtures("short_search")
def test_where_too_much_is_left_the_bound_is_that_of_duality():
    problem = zoo.subset_sum(60)
    solution = problem.solve(throw=False, node_limit=1000)
    check = solution.verify()
    assert check.status == solution.status == Status.NODE_LIMIT
    assert -np.inf < check.bound <= solution.objective
    assert check.gap < 0.01


def test_the_formula_of_enumeration_is_that_of_the_shares():
    """Costs with the shares eliminated, and costs of the shares themselves."""
    for name in ("paper", "dear_bandwidth", "no_teacher", "low_snr"):
        problem = NAMED[name]
        scale = Scaling.of(problem)
        actions = np.random.default_rng(1).integers(0, 8, (50, 4))
        for action, cost in zip(actions, enumeration.plain_costs(scale, actions), strict=True):
            check = problem.certificate(**scale.chosen(problem, action))
            assert check.objective == pytest.approx(cost, rel=1e-12)
            assert check.residual <= 1e-12


def test_the_kernels_invert_as_numpy_does():
    y = 10.0 ** np.linspace(-20, 20, 201)
    t = pricing.inverse_growth(y)
    np.testing.assert_allclose(pricing.growth(t), y, rtol=1e-12)
    np.testing.assert_allclose([kernel_prices.inverse_growth(v) for v in y], t, rtol=1e-12)
    near = np.array([0.00999999, 0.01, 0.0100001])
    np.testing.assert_allclose(pricing.late(near), np.log1p(near) - near / (1 + near), rtol=1e-12)


def test_the_corrected_rule_of_the_hull():
    """Corrective steps: the least cost over a triangle and over its edges, against a grid."""
    rng = np.random.default_rng(2)
    weights = rng.dirichlet(np.ones(3), 20_000)
    for _ in range(30):
        hull = np.zeros((3, 4))
        hull[:, :3] = rng.uniform(-1, 1, (3, 3)) * [[1], [2], [2]] + [[0], [1.5], [1.5]]
        tau = rng.choice([0.0, 0.5, 1.5])
        points = hull[:, :3] @ weights.T
        grid = min(kernel.cost(*point, tau) for point in points[:, ::10].T)
        kept, least, cpu, width = kernel.correct(hull.copy(), 3, tau)
        assert 1 <= kept <= 3
        corner = [kernel.cost(*hull[:, j], tau) for j in range(3)]
        assert least <= min(min(corner), grid) + 1e-12 or kept < 3
        assert np.isfinite([cpu, width]).all()


def decades(seed):
    """Draw an instance with a noise density, or with places given, whose numbers lie up to 20 decades apart."""
    rng = np.random.default_rng([seed, 5])
    users, models = int(rng.integers(1, 7)), int(rng.integers(1, 6))
    span = float(rng.choice([4, 6, 8, 10, 15, 20]))

    def some(base, shape=()):
        return base * 10 ** rng.uniform(-span, span, shape)

    students = ModelCatalogue(
        tuple(f"model-{m}" for m in range(models)),
        some(1e10, models),
        some(1e8, models),
        rng.uniform(0.3, 1, models),
        rng.uniform(0.1, 0.9, models),
    )
    fields = {
        "catalogue": students,
        "channel_gain": some(1e-8, users),
        "local_cpu_frequency_hz": some(1e9, users),
        "transmit_power_w": some(0.1, users),
        "bandwidth_hz": some(1e7),
        "server_cpu_frequency_hz": some(1e10),
        "teacher_cycles": some(1e10),
        "label_bits": some(5e7),
        "delay_weight_per_s": some(0.0075),
        "cpu_price_per_cycle": some(3e-12) * (rng.random() < 0.7),
        "bandwidth_price_per_hz": some(1e-10) * (rng.random() < 0.7),
    }
    kind = rng.integers(3)
    fields["noise_power_w" if kind == 1 else "noise_psd_w_per_hz"] = some(1e-12 if kind == 1 else 1e-19)
    if kind >= 1:
        fields["fixed_place"] = rng.integers(-1, 2, users)
    return DistillationProblem(**fields, strict=None)


@pytest.mark.parametrize("seed", [39, 92, 703, 712, 1107, 1148, 1303, 1311, 1399, 1451])
def test_the_judge_proves_what_the_solver_proves(seed):
    """Best prices decades from where the search for them starts, or more than a hundred action vectors left."""
    solution = decades(seed).solve()
    check = solution.verify()
    assert Status(check.status) is solution.status is Status.OPTIMAL
    assert check.gap == pytest.approx(0, abs=1e-11)


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(22439, id="a band that is scarce only for choices which are worse"),
        pytest.param(30371, id="a band that is scarce only for the best choices"),
        pytest.param(45560, id="deadlines that one user meets exactly before others do"),
        pytest.param(77762, id="a deadline next to what the largest shares can do"),
    ],
)
def test_the_judge_closes_the_gap_of_limited_instances(seed):
    solution = zoo.random(seed, max_devices=4).solve()
    check = solution.verify()
    assert Status(check.status) is solution.status is Status.OPTIMAL
    assert check.gap < 1e-9


def test_the_dual_is_maximised_from_any_prices():
    """Prices of other choices may be next to nothing, with the best ones decades above."""
    dual = pricing.Pricing.of(NAMED["deadlines_and_bounds"])
    best = dual.maximise(np.inf).value
    for start in ([1e-20, 1e-20], [1e-10, 1e-25], [1e-25, 1e-10], [1.0, 1.0]):
        assert dual.maximise(np.inf, np.array(start)).value == pytest.approx(best, rel=1e-11)


def test_every_deadline_is_met_exactly_at_any_prices():
    """One user meets its deadline at once, another after many steps; neither loses what it had."""
    dual = pricing.Pricing.of(zoo.random(77762, max_devices=4))
    for prices in np.geomspace([1e-14, 1e-11], [1e-10, 1e-8], 7):
        value, f, b = dual.respond(prices)
        delay = dual.cycles / f + dual.bits / b
        late = np.isfinite(value) & (delay > dual.spare_s * (1 + 1e-12))
        assert not late.any()


def test_the_judge_bounds_answers_that_are_not_optimal_by_the_optimum():
    problem = NAMED["density"]
    best = problem.solve()
    other = problem.fix(model=[3, 3, 0, 0]).solve()
    point = {name: getattr(other, name) for name in other.decisions}
    check = problem.certificate(**point)
    assert check.status == Status.FEASIBLE
    assert check.bound == pytest.approx(float(best.objective), rel=1e-11)


def test_a_price_of_band_that_nobody_needs_is_none():
    one = pricing.Pricing.of(zoo.draw(3))
    idle = replace(one, bits=np.zeros_like(one.bits))
    dual = idle.maximise(np.inf)
    assert dual.prices[1] == 0
    assert np.isfinite(dual.value)
