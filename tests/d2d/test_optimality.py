"""Local search and enumeration against every graph in plain NumPy, and at sizes where nothing else can say."""

import itertools

import numpy as np
import pytest

from radioopt import OptionError, SolveOptions, Status
from radioopt.d2d import GraphProblem, exchange
from validation.d2d import enumeration, zoo

NAMED = zoo.named()


def same(found, expected):
    assert float(found) == pytest.approx(float(expected), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("name", NAMED)
def test_named_instances(name):
    problem = NAMED[name]
    value, _, _ = enumeration.best(problem)
    proven, searched = problem.solve("enumerate"), problem.solve(starts=20)
    same(proven.objective, value)
    same(searched.objective, value)
    assert proven.status is Status.OPTIMAL
    assert proven.gap == 0
    assert searched.status is Status.FEASIBLE
    assert searched.gap == np.inf
    for solution in (proven, searched):
        certificate = solution.verify()
        same(certificate.objective, solution.objective)
        same(certificate.bound, value)
        assert certificate.status == Status.OPTIMAL


@pytest.mark.parametrize("seed", range(20))
def test_random_instances_of_all_settings(seed):
    problem = zoo.random(seed, 5)
    value, _, _ = enumeration.best(problem)
    same(problem.solve("enumerate").objective, value)
    same(problem.solve(starts=20).objective, value)


@pytest.mark.exhaustive
def test_two_hundred_instances_equal_enumeration():
    for seed in range(200):
        problem = zoo.random(1000 + seed, 7)
        best = problem.solve("enumerate")
        same(problem.solve(starts=20).objective, best.objective)


@pytest.mark.parametrize(
    "method", ["local-search", "q-learning", "closest", "most-trusted", "uniform", "none"]
)
def test_no_method_beats_the_optimum_and_all_are_legal(method):
    for seed in range(8):
        problem = zoo.random(seed, 6)
        best, found = problem.solve("enumerate"), problem.solve(method)
        certificate = found.verify()
        assert certificate.residual <= 0
        same(certificate.objective, found.objective)
        assert found.objective <= best.objective + 1e-9
        assert found.method == method


@pytest.mark.parametrize("devices", [30, 100])
def test_no_device_alone_can_do_better(devices):
    from radioopt.d2d import rewards

    problem = zoo.draw(devices)
    solution = problem.solve()
    assert solution.verify().residual <= 0
    for i in range(0, devices, 7):
        others = np.repeat(solution.source[None], devices, 0)
        others[:, i] = np.arange(devices)
        others[i, i] = -1
        assert rewards(problem, others).objective.max() <= solution.objective + 1e-9


def best_alone(problem, solution):
    """Most that any device reaches by changing its own link."""
    from radioopt.d2d import rewards

    devices = problem.sizes["device"]
    others = np.repeat(solution.source[None], devices * devices, 0)
    receiver, transmitter = np.divmod(np.arange(devices * devices), devices)
    others[np.arange(devices * devices), receiver] = np.where(receiver == transmitter, -1, transmitter)
    return rewards(problem, others).objective.max()


@pytest.mark.parametrize("starts", [1, 4])
def test_no_device_alone_can_do_better_in_any_setting(starts):
    for seed in range(80):
        problem = zoo.random(seed, 9)
        solution = problem.solve(starts=starts)
        assert best_alone(problem, solution) <= solution.objective + 1e-9, seed


def test_no_device_alone_can_do_better_where_only_received_points_count():
    problem = zoo.random(382, 9)
    problem = problem.replace(budgeted="received", budgets=0.3 * problem.budgets)
    solution = problem.solve()
    assert best_alone(problem, solution) <= solution.objective + 1e-9


@pytest.mark.parametrize("budgeted", ["requested", "received"])
def test_where_no_link_gains_anything_nobody_moves(budgeted):
    problem = zoo.draw(8, seed=1, diversity_weight=0.0, outage_weight=0.0, budgeted=budgeted)
    solution = problem.solve()
    assert (solution.source == -1).all()
    assert solution.iterations == 1


@pytest.mark.parametrize("budgeted", ["requested", "received"])
@pytest.mark.parametrize("request_", ["deficit", "compensated"])
def test_the_kernel_agrees_with_the_certificate_at_every_size(budgeted, request_):
    for devices in (9, 25):
        problem = zoo.draw(devices, 3, budgeted=budgeted, request=request_)
        problem = problem.replace(budgets=0.3 * problem.budgets)
        solution = problem.solve(starts=3)
        same(solution.verify().objective, solution.objective)
        moved = exchange(problem, solution.source)
        np.testing.assert_array_equal(solution.counts_after, moved.counts_after)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1000, 2000])
def test_many_devices(devices):
    problem = zoo.draw(devices)
    solution = problem.solve()
    assert solution.verify().residual <= 0
    assert solution.objective > 3 * problem.solve("closest").objective
    assert solution.iterations < 100


def test_more_starts_are_no_worse():
    problem = zoo.draw(40)
    values = [problem.solve(starts=n).objective for n in (1, 5, 15)]
    assert values == sorted(values)


def test_the_same_seed_gives_the_same_graph():
    problem = zoo.draw(40)
    assert problem.solve(starts=3, seed=5) == problem.solve(starts=3, seed=5)


def test_a_batch_is_its_instances():
    a, b = zoo.draw(6, 1), zoo.draw(6, 2)
    names = [name for name in a.quantities if name not in ("clusters", "budgets")]
    fields = {name: np.stack([getattr(a, name), getattr(b, name)]) for name in names}
    batch = type(a)(
        **fields, clusters=np.stack([a.clusters, b.clusters]), budgets=np.stack([a.budgets, b.budgets])
    )
    proven = batch.solve("enumerate")
    assert (proven.status == Status.OPTIMAL).all()
    for i, one in enumerate((a, b)):
        assert batch[i] == one
        np.testing.assert_array_equal(proven.source[i], one.solve("enumerate").source)
    for method in ("local-search", "closest", "q-learning"):
        assert batch.solve(method).source.shape == (2, 6)


def test_passes_can_run_out():
    solution = zoo.draw(30).solve(options=SolveOptions(max_iterations=1), throw=False)
    assert solution.status is Status.ITERATION_LIMIT


def test_candidates_are_those_of_least_outage_that_could_move_anything():
    from radioopt.d2d.solver import prepare

    problem = zoo.draw(60, 4)
    game = prepare(problem, 8)
    can = problem.useful_pairs()
    for i, links in enumerate(np.split(game.transmitter, game.first[1:-1])):
        ranked = np.flatnonzero(can[i])[np.argsort(problem.outage_probability[i][can[i]], kind="stable")]
        np.testing.assert_allclose(
            np.sort(problem.outage_probability[i][links]),
            problem.outage_probability[i][ranked[:8]],
        )


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("local-search", {"starts": 0}, r"local-search: starts: expected at least 1, got 0"),
        ("local-search", {"candidates": -1}, r"local-search: candidates: expected at least 0, got -1"),
        ("local-search", {"seed": -1}, r"local-search: seed: expected at least 0, got -1"),
        ("uniform", {"seed": -3}, r"uniform: seed: expected at least 0, got -3"),
        (
            "enumerate",
            {"max_graphs": 10},
            r"enumerate: .* more than max_graphs = 10: use local-search, or raise",
        ),
        ("q-learning", {"iterations": 0}, r"q-learning: iterations: expected at least 1, got 0"),
        ("q-learning", {"reduction": 1.5}, r"q-learning: reduction: expected at most 1, got 1\.5"),
        ("q-learning", {"floor": 0.0}, r"q-learning: floor: expected more than 0, got 0\.0"),
        ("q-learning", {"levels": 2}, r"q-learning: levels: expected an odd number"),
        ("closest", {"seed": 1}, r"method 'closest': unknown option 'seed', it takes: none"),
    ],
)
def test_options_out_of_range_are_refused(method, options, message):
    with pytest.raises(OptionError, match=message):
        zoo.draw(6).solve(method, **options)


def test_the_judge_tries_as_many_graphs_as_the_enumeration(monkeypatch):
    problem = zoo.random(4)
    solution = problem.solve("enumerate")
    assert solution.iterations == 136_080
    assert problem.certificate(source=solution.source).status == Status.OPTIMAL
    monkeypatch.setattr("radioopt.d2d.solution.MOST_GRAPHS", 1000)
    again = zoo.random(4).solve("enumerate")
    assert again.verify().status == Status.OPTIMAL


def test_where_too_many_graphs_are_left_the_certificate_says_so():
    solution = zoo.draw(9).solve()
    check = solution.verify()
    assert check.bound == np.inf
    assert check.note == "more graphs than the judge tries, 400000"
    assert str(check).endswith("not proven: more graphs than the judge tries, 400000")


@pytest.mark.parametrize("asked", list(itertools.permutations([1e63, 1e120, 1e81])))
def test_an_optimum_that_the_sums_of_budgets_may_hide_is_not_claimed(asked):
    """Three devices ask for numbers of points that no sum keeps; plain NumPy tries the graphs one by one."""
    problem = GraphProblem(
        outage_probability=np.full((4, 4), 0.1), class_counts=[[5, 30], [5, 30], [5, 30], [30, 5]],
        thresholds=[*([points, 1] for points in asked), [1, 10]], clusters=[0, 0, 0, 1], budgets=10, gate=0,
        min_classes=0, strict=None,
    )  # fmt: skip
    found = problem.solve("enumerate", throw=False)
    best = problem.solve(starts=20).verify().bound
    assert best == pytest.approx(0.167188065)
    assert found.status is (Status.OPTIMAL if found.objective == best else Status.FEASIBLE)
    assert found.bound == best


@pytest.mark.parametrize("seed", [1209, 2812, 3230])
def test_the_first_device_leaves_its_only_link_when_others_take_what_came_over_it(seed):
    from radioopt.d2d import rewards

    rng, problem = np.random.default_rng(seed), zoo.random(seed, 5)
    devices, classes = problem.sizes["device"], problem.sizes["class"]
    trust = rng.random((devices, devices, 1)) < 0.4
    trust[0] = False
    trust[0, 1 + int(rng.integers(devices - 1))] = True
    problem = problem.replace(
        trust=np.broadcast_to(trust, (devices, devices, classes)),
        budgets=np.inf,
        outage_weight=rng.uniform(0.0, 1.0),
        gate=1.0,
        min_classes=float(rng.integers(0, classes + 1)),
    )
    found = problem.solve(starts=1, seed=seed % 7)
    others = np.repeat(found.source[None], devices, 0)
    others[:, 0] = np.arange(devices)
    others[0, 0] = -1
    assert rewards(problem, others).objective.max() <= found.objective + 1e-9
