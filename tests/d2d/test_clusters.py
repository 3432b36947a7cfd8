"""D2D without labels: messages by hand and by an implementation of its own, properties, and every graph tried."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import radioopt as ro
from radioopt import OptionError, ProblemError, Status
from radioopt.d2d import ClusterGraphProblem, discover
from radioopt.d2d.clusters.certificate import exchange, rewards
from radioopt.d2d.clusters.moments import Clusters, merge
from validation.d2d.clusters import zoo

NAMED = zoo.named()


def any_graph(problem, seed):
    """Any legal graph."""
    rng, count = np.random.default_rng(seed), problem.sizes["device"]
    source = rng.integers(-1, count, count)
    return np.where(source == np.arange(count), -1, source)


# -- the same, written once more, a number at a time ------------------------------------------------------------


def oracle(problem, source):
    """Objective, points received and moments after by "merge", from the formulas alone."""
    n, k, t = problem.centroids.shape
    live = [[problem.counts[i, c] > 0 for c in range(k)] for i in range(n)]
    receivers = [sum(int(a) == j for a in source) for j in range(n)]
    arrived, lost = np.zeros((n, k)), np.zeros((n, k))
    asked, into = np.zeros((n, k)), {}
    for i, j in enumerate(source):
        if j < 0:
            continue
        near, far = [], []
        for c in range(k):
            apart = [
                np.linalg.norm(problem.centroids[j, c] - problem.centroids[i, m]) if live[i][m] else np.inf
                for m in range(k)
            ]
            near.append(int(np.argmin(apart)) if any(live[i]) else c)
            far.append((min(apart) if any(live[i]) else 1.0) if live[j][c] else 0.0)
        into[i] = near
        for c in range(k):
            equal = live[j][c] / max(sum(live[j]), 1)
            share = far[c] / sum(far) if sum(far) > 0 else equal
            spare = max(problem.counts[j, c] - problem.thresholds[j, c], 0.0)
            if problem.trust[j, i, c] and spare > 0:
                asked[i, c] = problem.requested_points[i] * share
                sent = min(asked[i, c], spare / receivers[j])
                lost[j, c] += sent
                arrived[i, c] = (1 - problem.outage_probability[i, j]) * sent
    counts, means, spreads = problem.counts - lost, problem.centroids.copy(), problem.covariances.copy()
    for i, near in into.items():
        j = source[i]
        for m in range(k):
            parts = [(counts[i, m], problem.centroids[i, m], problem.covariances[i, m])]
            parts += [
                (arrived[i, c], problem.centroids[j, c], problem.covariances[j, c])
                for c in range(k)
                if near[c] == m
            ]
            total = sum(w for w, _, _ in parts)
            if total > 0 and len(parts) > 1 and sum(w for w, _, _ in parts[1:]) > 0:
                mean = sum(w * mu for w, mu, _ in parts) / total
                spreads[i, m] = sum(w * (s + np.outer(mu - mean, mu - mean)) for w, mu, s in parts) / total
                means[i, m] = mean
    after = counts + np.array([[sum(arrived[i, c] for c in range(k) if i in into and into[i][c] == m)
                                for m in range(k)] for i in range(n)])  # fmt: skip
    before = [np.trace(problem.covariances[i, c]) for i in range(n) for c in range(k) if live[i][c]]
    level = np.mean(before) / t if before else 0.0
    added = float(problem.regularisation) * (level if level > 0 else 1.0) * np.eye(t)

    def divergences(w, mu, s):
        total = 0.0
        for a, b in itertools.permutations(range(n), 2):
            if not (any(live[a]) and any(live[b])):
                continue
            mine, theirs = [c for c in range(k) if w[a, c] > 0], [c for c in range(k) if w[b, c] > 0]
            if not mine or not theirs:
                continue
            apart = {(c, m): np.sum((mu[a, c] - mu[b, m]) ** 2) for c in mine for m in theirs}
            if problem.matching == "nearest":
                matched = [(c, min(theirs, key=lambda m, c=c: apart[c, m])) for c in mine]
            elif len(mine) <= len(theirs):
                ways = (list(zip(mine, p, strict=True)) for p in itertools.permutations(theirs, len(mine)))
                matched = min(ways, key=lambda way: sum(apart[pair] for pair in way))
            else:
                ways = (list(zip(p, theirs, strict=True)) for p in itertools.permutations(mine, len(theirs)))
                matched = min(ways, key=lambda way: sum(apart[pair] for pair in way))
            for c, m in matched:
                p, q = s[a, c] + added, s[b, m] + added
                off, inverse = mu[b, m] - mu[a, c], np.linalg.inv(q)
                total += 0.5 * (
                    np.trace(inverse @ p)
                    + off @ inverse @ off
                    - t
                    + np.log(np.linalg.det(q) / np.linalg.det(p))
                )
        return total

    first, last = (
        divergences(problem.counts, problem.centroids, problem.covariances),
        divergences(after, means, spreads),
    )
    agreement = first / max(last, 1e-12 * first) - 1 if first > 0 else 0.0
    own = []
    for i in range(n):
        old = sum(np.trace(problem.covariances[i, c]) for c in range(k) if live[i][c])
        new = sum(np.trace(spreads[i, c]) for c in range(k) if after[i, c] > 0)
        gain = 0.0 if source[i] < 0 else new / old - 1 if old > 0 else float((after[i] > 0).any())
        cost = problem.outage_probability[i, source[i]] if source[i] >= 0 else 0.0
        own.append(problem.diversity_weight * gain - problem.outage_weight * cost)
    over = 0.0
    for i in range(n):
        points = asked if problem.budgeted == "requested" else arrived
        load = sum(points[m].sum() for m in range(n) if problem.clusters[m] == problem.clusters[i]
                   and source[m] >= 0 and problem.clusters[source[m]] != problem.clusters[m])  # fmt: skip
        budget = problem.budgets[i]
        over += max(0.0, load / budget - 1) if budget > 0 else (np.inf if load > 0 else 0.0)
    if over == np.inf:
        return -np.inf, arrived, (after, means, spreads)
    total = sum(own) + problem.cluster_weight * (n * agreement - problem.budget_penalty * over)
    return float(total), arrived, (after, means, spreads)


@given(st.integers(0, 2000), st.integers(0, 3))
@settings(max_examples=80)
def test_the_evaluation_is_what_the_formulas_say(seed, which):
    problem = zoo.random(seed).replace(update="merge")
    source = any_graph(problem, [seed, which])
    value, arrived, (counts, means, spreads) = oracle(problem, source)
    moved = exchange(problem, source)
    np.testing.assert_allclose(moved.received, arrived, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moved.counts_after, counts, rtol=1e-12, atol=1e-12)
    live = counts > 1e-9
    np.testing.assert_allclose(moved.centroids_after[live], means[live], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(moved.covariances_after[live], spreads[live], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(rewards(problem, source).objective, value, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", NAMED)
def test_budgets_below_a_point_cost_what_the_formulas_say_too(name):
    problem = NAMED[name].replace(update="merge", budgets=0.25)
    sources = [any_graph(problem, [0, which]) for which in range(4)]
    costs = [rewards(problem, source).objective for source in sources]
    np.testing.assert_allclose(
        costs, [oracle(problem, source)[0] for source in sources], rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("name", NAMED)
def test_named_instances(name):
    problem = NAMED[name]
    proven, searched = problem.solve("enumerate"), problem.solve(starts=20)
    assert proven.status is Status.OPTIMAL
    assert searched.status is Status.FEASIBLE
    assert np.isfinite([proven.objective, proven.system_agreement, *proven.gain]).all()
    assert searched.objective == pytest.approx(float(proven.objective), rel=1e-9, abs=1e-9)
    assert searched.verify().status == Status.OPTIMAL
    if problem.update == "merge":
        assert oracle(problem, proven.source)[0] == pytest.approx(float(proven.objective), rel=1e-7, abs=1e-7)
    for method in ("closest", "most-trusted", "uniform", "none"):
        found = problem.solve(method)
        assert found.verify().residual <= 0
        assert found.objective <= proven.objective + 1e-9
    learnt = problem.solve("q-learning", iterations=30, throw=False)
    assert not learnt.objective > proven.objective + 1e-9


@pytest.mark.parametrize("seed", range(8))
def test_twenty_starts_find_the_optimum_of_random_instances(seed):
    problem = zoo.random(seed, 4)
    best = problem.solve("enumerate")
    assert problem.solve(starts=20).objective == pytest.approx(float(best.objective), rel=1e-9, abs=1e-9)


@pytest.mark.exhaustive
@pytest.mark.parametrize("update", ["merge", "resample"])
@pytest.mark.parametrize("matching", ["nearest", "assignment"])
def test_twenty_starts_find_the_optimum_of_two_hundred_instances(matching, update):
    """Fifty of each kind."""
    for seed in range(50):
        problem = zoo.random(5000 + seed, 6 if seed % 5 == 0 else 5).replace(matching=matching, update=update)
        best = problem.solve("enumerate")
        found = problem.solve(starts=20)
        assert found.objective == pytest.approx(float(best.objective), rel=1e-9, abs=1e-9), seed


# -- properties -------------------------------------------------------------------------------------------------


@given(st.integers(0, 2000), st.integers(0, 3))
def test_points_are_conserved_and_trust_and_thresholds_kept(seed, which):
    problem = zoo.random(seed)
    source = any_graph(problem, [seed, which])
    moved = exchange(problem, source)
    j, linked = np.maximum(source, 0), source >= 0
    lost = np.where(linked, problem.outage_probability[np.arange(len(source)), j], 0.0)
    size = 1.0 + problem.counts.sum()
    np.testing.assert_allclose(moved.received, (1 - lost)[:, None] * moved.transferred, rtol=1e-14)
    dropped = (moved.transferred - moved.received).sum()
    np.testing.assert_allclose(moved.counts_after.sum() + dropped, problem.counts.sum(), atol=1e-12 * size)
    assert not moved.transferred[~problem.trust[j, np.arange(len(source))] | ~linked[:, None]].any()
    assert not moved.transferred[problem.counts[j] <= 0].any()
    assert (moved.transferred <= moved.requested).all()
    assert (moved.transferred.sum(-1) <= problem.requested_points * (1 + 1e-12)).all()
    given_up = np.zeros_like(problem.counts)
    np.add.at(given_up, j[linked], moved.transferred[linked])
    assert (given_up <= problem.surplus * (1 + 1e-12)).all()
    assert (moved.counts_after >= 0).all()
    assert np.isfinite(moved.covariances_after).all()
    assert (np.linalg.eigvalsh(moved.covariances_after) > -1e-9).all()


@given(st.integers(0, 500))
@settings(max_examples=30)
def test_relabelling_devices_and_clusters_changes_nothing(seed):
    problem = zoo.random(seed).replace(update="merge")
    count, groups = problem.counts.shape
    rng = np.random.default_rng(seed)
    order, of_groups = rng.permutation(count), rng.random((count, groups)).argsort(-1)
    place = np.argsort(order)
    source = any_graph(problem, seed)
    chosen = of_groups[order]
    per_group = {
        name: np.take_along_axis(
            getattr(problem, name)[order], chosen.reshape(*chosen.shape, *[1] * extra), 1
        )
        for name, extra in (("centroids", 1), ("covariances", 2), ("counts", 0), ("thresholds", 0))
    }
    if not (problem.counts > 0).any(-1).all():
        per_group = {name: getattr(problem, name)[order] for name in per_group}
        chosen = np.tile(np.arange(groups), (count, 1))  # of a device without data the k-th cluster matters
    pairs = np.ix_(order, order)
    trust = np.take_along_axis(problem.trust[pairs], chosen[:, None], -1)
    other = problem.replace(
        **per_group, trust=trust, outage_probability=problem.outage_probability[pairs],
        clusters=problem.clusters[order], budgets=problem.budgets[order],
        requested_points=problem.requested_points[order],
    )  # fmt: skip
    renamed = np.where(source >= 0, place[source], -1)[order]
    x, y = rewards(problem, source), rewards(other, renamed)
    np.testing.assert_allclose(y.device, x.device[order], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(y.objective, x.objective, rtol=1e-8, atol=1e-8)


def test_a_batch_of_points_has_the_moments_of_the_mixture():
    rng = np.random.default_rng(0)
    mine, theirs = rng.normal(0, 1, (50, 2)), rng.normal(3, 2, (30, 2))
    both = np.concatenate([mine, theirs])

    def moments(points):
        return Clusters(
            np.array([[float(len(points))]]), points.mean(0)[None, None], np.cov(points.T, ddof=0)[None, None]
        )

    found, expected = merge(moments(mine), moments(theirs), np.zeros((1, 1), int)), moments(both)
    np.testing.assert_allclose(found.centroids, expected.centroids)
    np.testing.assert_allclose(found.covariances, expected.covariances)
    assert found.counts[0, 0] == 80


def test_resampling_comes_near_to_the_moments_where_clusters_stay():
    problem = zoo.draw(4, 1, counts=400.0, requested_points=20.0).replace(update="resample")
    source = np.array([1, -1, 1, -1])
    found, moments = exchange(problem, source), exchange(problem.replace(update="merge"), source)
    np.testing.assert_allclose(found.counts_after.sum(-1), moments.counts_after.sum(-1))
    assert rewards(problem, source).gain[0] == pytest.approx(
        rewards(problem.replace(update="merge"), source).gain[0], abs=0.5
    )
    again = exchange(problem, source)
    np.testing.assert_array_equal(found.centroids_after, again.centroids_after)
    assert exchange(problem.replace(seed=1), source).counts_after.sum() == pytest.approx(
        found.counts_after.sum()
    )


@pytest.mark.parametrize("starts", [1, 3])
def test_no_device_alone_can_do_better(starts):
    for seed in range(12):
        problem = zoo.random(seed)
        solution = problem.solve(starts=starts)
        devices = problem.sizes["device"]
        for i in range(devices):
            others = np.repeat(solution.source[None], devices, 0)
            others[:, i] = np.arange(devices)
            others[i, i] = -1
            best = rewards(problem, others).objective.max()
            assert best <= solution.objective + 1e-8 * float(problem.scale), seed


def test_without_data_devices_only_receive():
    solution = NAMED["device_without_data"].solve("enumerate")
    assert solution.gain[2] == 1.0
    assert not (solution.source == 2).any()


# -- as every family's problem ----------------------------------------------------------------------------------


def test_two_edges_and_gamma_zero():
    problem = zoo.draw(6, 2)
    found = discover(problem)
    first, second = found.sources
    assert not ((first == second) & (first >= 0)).any()
    assert found.graph().number_of_edges() == (found.sources >= 0).sum()
    np.testing.assert_array_equal(found.rounds[1].problem.counts, found.rounds[0].counts_after)
    own = problem.replace(cluster_weight=0.0, outage_weight=0.0)
    assert own.solve(starts=10).gain.sum() >= problem.solve(starts=10).gain.sum() - 1e-9


def test_saved_drawn_and_in_scenarios(tmp_path):
    devices = ro.Scenario.load("d2d-clusters").draw(seed=3)
    problem = devices.problem("d2d-clusters")
    solution = problem.solve()
    for suffix in ("npz", "json"):
        assert ro.load(solution.save(tmp_path / f"a.{suffix}")) == solution
    assert len(solution.plot().axes) == 3
    assert solution.to_frame().columns[0] == "source"
    assert solution.summary()["links"] == (solution.source >= 0).sum()
    assert (abs(solution.whole_points() - solution.transferred) < 1 + 1e-9).all()
    counts, _, spreads = solution.clusters_after()
    np.testing.assert_array_equal(counts, solution.counts_after)
    assert not np.array_equal(spreads, solution.clusters_after("resample")[2])
    batch = (
        ro.Scenario.load("d2d-clusters", {"devices.count": 4}).draw(seed=3, size=2).problem("d2d-clusters")
    )
    found = batch.solve("enumerate")
    assert (found.status == Status.OPTIMAL).all()
    assert found.objective[1] == batch[1].solve("enumerate").objective
    with pytest.raises(ProblemError, match="single"):
        found.plot()


GOOD = {"centroids": [[[0.0]], [[1.0]]], "covariances": 1.0, "counts": 5, "requested_points": 2,
        "outage_probability": 0.1}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"counts": [[1], [-1]]}, r"counts: expected >= 0, got -1\.0 at index \(1, 0\)"),
        ({"covariances": -1.0}, r"covariances: expected eigenvalues >= 0"),
        (
            {"centroids": np.zeros((2, 1, 2)), "covariances": [[[[1.0, 0.5], [0.0, 1.0]]]]},
            r"covariances: expected a symmetric matrix",
        ),
        ({"regularisation": 0.0}, r"regularisation: expected > 0, got 0\.0"),
        ({"clusters": [0, 2]}, r"clusters: expected < 2, a number per device, got 2\.0 at index 1"),
        ({"budgets": [1.0, 2.0]}, r"budgets: expected the same value for all devices of a cluster"),
        ({"matching": "k"}, r"matching: expected one of nearest, assignment, got 'k'"),
        ({"update": "k"}, r"update: expected one of merge, resample, got 'k'"),
        ({"budgeted": "k"}, r"budgeted: expected one of requested, received, got 'k'"),
        ({"seed": -1}, r"seed: expected a whole number >= 0, got -1"),
        ({"trust": np.ones((3, 3, 1), bool)}, r"trust: expected 2 values along the device axis"),
    ],
)
def test_bad_input_is_named(given, message):
    with pytest.raises(ProblemError, match=message):
        ClusterGraphProblem(**(GOOD | given))


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("local-search", {"starts": 0}, r"local-search: starts: expected at least 1, got 0"),
        (
            "enumerate",
            {"max_graphs": 10},
            r"enumerate: 256 graphs, more than max_graphs = 10: use local-search",
        ),
        ("q-learning", {"floor": 0.0}, r"q-learning: floor: expected more than 0, got 0\.0"),
        ("q-learning", {"reduction": 1.5}, r"q-learning: reduction: expected at most 1, got 1\.5"),
        ("uniform", {"seed": -3}, r"uniform: seed: expected at least 0, got -3"),
    ],
)
def test_options_out_of_range_are_refused(method, options, message):
    with pytest.raises(OptionError, match=message):
        zoo.draw(4).solve(method, **options)


def test_a_graph_of_ones_own_is_judged():
    problem = zoo.draw(4)
    own = problem.judge(source=[1, -1, 1, -1])
    assert own.method == "given"
    assert own.objective == rewards(problem, np.array([1, -1, 1, -1])).objective
    wrong = problem.judge(source=[0, -1, 1, -1], throw=False)
    assert "whose link is allowed" in wrong.broken()[0]


def test_a_spread_that_is_singular_in_the_digits_has_no_divergence():
    flat = np.broadcast_to([[1.0, 1.0], [1.0, 1.0]], (2, 1, 2, 2))
    problem = ClusterGraphProblem(
        centroids=[[[0.0, 0.0]], [[9.0, 0.0]]], covariances=flat, counts=[[40], [40]], requested_points=10,
        outage_probability=0.1, regularisation=1e-30,
    )  # fmt: skip
    for method in problem.methods:
        solution = problem.solve(method, throw=False)
        assert solution.status is Status.FAILED
        assert np.isnan(solution.objective)
        assert solution.verify().status == Status.FAILED
    assert problem.replace(regularisation=1e-3).solve("enumerate").status is Status.OPTIMAL
