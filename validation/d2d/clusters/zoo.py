"""Instances of D2D without labels to be right on: named ones, each with a reason, and random ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.d2d import outage_probability, random_trust, reliable_clusters
from radioopt.d2d.clusters import ClusterGraphProblem


def draw(
    devices: int, seed: int = 0, *, groups: int = 3, dimensions: int = 2, **changes: Any
) -> ClusterGraphProblem:
    """Draw devices that each hold some of six kinds of data, placed in a square, with clusters and budgets.

    Parameters
    ----------
    devices : int
        N.
    seed : int, default 0
        The same seed gives the same instance.
    groups, dimensions : int, default 3 and 2
        k and t.
    **changes
        Fields that differ.

    Returns
    -------
    ClusterGraphProblem
        A single instance with whole counts.

    Examples
    --------
    >>> problem = draw(4)
    >>> problem.solve(starts=20).objective.round(6) == problem.solve("enumerate").objective.round(6)
    np.True_
    """
    rng = np.random.default_rng([seed, devices, 3])
    centres = 4.0 * rng.standard_normal((6, dimensions))
    own = rng.random((devices, 6)).argsort(-1)[:, np.arange(groups) % 6]
    factor = rng.standard_normal((devices, groups, 2 * dimensions, dimensions)) / np.sqrt(2.0 * dimensions)
    place = rng.uniform(0.0, 60.0, (devices, 2))
    apart = np.maximum(np.linalg.norm(place[:, None] - place, axis=-1), 1.0)
    outage = np.asarray(outage_probability(apart**-3.0, spectral_efficiency=1.0, noise_power_w=1e-6))
    clusters = reliable_clusters(outage, 0.15)
    fields: dict[str, Any] = {
        "centroids": centres[own] + rng.standard_normal((devices, groups, dimensions)),
        "covariances": np.swapaxes(factor, -1, -2) @ factor,
        "counts": rng.integers(40, 160, (devices, groups)),
        "thresholds": 20.0,
        "requested_points": rng.integers(20, 120, devices),
        "trust": random_trust(rng, devices, groups, 0.7),
        "outage_probability": outage,
        "clusters": clusters,
        "budgets": 60.0 * np.bincount(clusters)[clusters],
        "outage_weight": 0.3,
        "position_m": place,
    }
    return ClusterGraphProblem(**fields | changes)


def random(seed: int, max_devices: int = 6) -> ClusterGraphProblem:
    """Draw an instance whose size, choices and weights are drawn as well.

    Parameters
    ----------
    seed : int
        The same seed gives the same instance.
    max_devices : int, default 6
        Largest N.

    Returns
    -------
    ClusterGraphProblem
        A single instance that enumeration answers.

    Examples
    --------
    >>> random(3) == random(3)
    True
    """
    rng = np.random.default_rng([seed, 11])
    devices = int(rng.integers(min(4, max_devices), max_devices + 1))
    groups, dimensions = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    problem = draw(devices, seed, groups=groups, dimensions=dimensions)
    counts = problem.counts * (rng.random((devices, groups)) < rng.choice([0.7, 1.0]))
    return problem.replace(
        counts=counts,
        thresholds=np.round(rng.uniform(0.0, 60.0, (devices, groups))),
        trust=random_trust(rng, devices, groups, float(rng.uniform(0.3, 1.0))),
        budgets=problem.budgets * rng.choice([0.0, 0.3, 1.0, np.inf]),
        outage_weight=float(rng.uniform(0.0, 2.0)),
        cluster_weight=float(rng.choice([0.0, rng.uniform(0.0, 2.0)])),
        budget_penalty=float(rng.uniform(0.0, 2.0)),
        matching=str(rng.choice(["nearest", "assignment"])),
        update=str(rng.choice(["merge", "merge", "resample"])),
        budgeted=str(rng.choice(["requested", "received"])),
        seed=seed,
    )


def named() -> dict[str, ClusterGraphProblem]:
    """Instances that have gone wrong somewhere, or well may.

    Returns
    -------
    dict of str to ClusterGraphProblem
        Single instances of few devices, by name.

    Examples
    --------
    >>> named()["nobody_trusts"].solve("enumerate").objective.item()
    0.0
    """
    base = draw(4, seed=1)
    counts, centroids = np.array(base.counts), np.array(base.centroids)
    empty, some_empty = counts.copy(), counts.copy()
    empty[2] = 0.0
    some_empty[:, 0] = 0.0
    return {
        "base": base,
        "one_device": draw(1),
        "two_devices": draw(2),
        "one_cluster": draw(4, 2, groups=1),
        "one_dimension": draw(4, 3, dimensions=1),
        "nobody_trusts": base.replace(trust=False),
        "nobody_spares": base.replace(thresholds=1e6),
        "nobody_asks": base.replace(requested_points=0.0),
        "perfect_links": base.replace(outage_probability=0.0),
        "every_link_fails": base.replace(outage_probability=1.0),
        "only_agreement_counts": base.replace(diversity_weight=0.0),
        "no_agreement": base.replace(cluster_weight=0.0),
        "nothing_outside_clusters": base.replace(budgets=0.0),
        "tight_budgets": base.replace(budgets=base.budgets * 0.2, budget_penalty=3.0),
        "received_budgets": base.replace(budgets=base.budgets * 0.2, budgeted="received"),
        "assignment": base.replace(matching="assignment"),
        "resample": base.replace(update="resample"),
        "device_without_data": base.replace(counts=empty),
        "empty_clusters": base.replace(counts=some_empty),
        "nobody_keeps_anything": base.replace(thresholds=0.0, requested_points=1e4),
        "identical_devices": base.replace(centroids=np.broadcast_to(centroids[0], centroids.shape)),
        "points_without_spread": base.replace(covariances=0.0),
        "nobody_has_data": base.replace(counts=0.0),
        "tiny_numbers": base.replace(centroids=centroids * 1e-6, covariances=base.covariances * 1e-12),
        "forbidden_links": base.replace(allowed=np.arange(4)[:, None] > np.arange(4)),
    }
