"""D2D instances to be right on: named ones, each with a reason, and random ones that can be drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from radioopt.d2d import GraphProblem, block_trust, outage_probability, random_trust, reliable_clusters


def draw(devices: int, seed: int = 0, *, classes: int = 10, held: int = 3, **changes: Any) -> GraphProblem:
    """Draw devices that each hold a few classes, placed in a square, with clusters and budgets.

    Parameters
    ----------
    devices : int
        N.
    seed : int, default 0
        The same seed gives the same instance.
    classes, held : int, default 10 and 3
        L, and how many of them a device holds.
    **changes
        Fields that differ.

    Returns
    -------
    GraphProblem
        A single instance with whole counts.

    Examples
    --------
    >>> problem = draw(5)
    >>> bool(problem.solve(starts=20).objective == problem.solve("enumerate").objective)
    True
    """
    rng = np.random.default_rng([seed, devices])
    own = rng.random((devices, classes)).argsort(-1).argsort(-1) < held
    place = rng.uniform(0.0, 100.0, (devices, 2))
    apart = np.maximum(np.linalg.norm(place[:, None] - place, axis=-1), 1.0)
    outage = np.asarray(outage_probability(apart**-3.0, spectral_efficiency=1.0, noise_power_w=4e-7))
    clusters = reliable_clusters(outage, 0.15)
    fields: dict[str, Any] = {
        "class_counts": own * rng.integers(60, 200, own.shape),
        "thresholds": 40.0,
        "trust": random_trust(rng, devices, classes, 0.6),
        "outage_probability": outage,
        "clusters": clusters,
        "budgets": 60.0 * np.bincount(clusters)[clusters],
        "min_classes": float(held),
        "outage_weight": 0.3,
        "position_m": place,
    }
    return GraphProblem(**fields | changes)


def random(seed: int, max_devices: int = 7) -> GraphProblem:
    """Draw an instance whose size, choices and weights are drawn as well.

    Parameters
    ----------
    seed : int
        The same seed gives the same instance.
    max_devices : int, default 7
        Largest N.

    Returns
    -------
    GraphProblem
        A single instance that enumeration answers.

    Examples
    --------
    >>> random(3) == random(3)
    True
    """
    rng = np.random.default_rng([seed, 7])
    devices, classes = int(rng.integers(min(4, max_devices), max_devices + 1)), int(rng.integers(2, 7))
    problem = draw(devices, seed, classes=classes, held=int(rng.integers(1, classes + 1)))
    shape = (devices, classes)
    return problem.replace(
        thresholds=np.round(rng.uniform(5.0, 90.0, shape)),
        trust=random_trust(rng, devices, classes, float(rng.uniform(0.3, 1.0))),
        budgets=problem.budgets * rng.choice([0.0, 0.3, 1.0, np.inf]),
        ideal_distribution=rng.uniform(0.2, 1.0, classes),
        min_classes=float(rng.integers(0, classes + 1)),
        gate=float(rng.uniform(0.2, 1.0)),
        outage_weight=float(rng.uniform(0.0, 1.0)),
        cluster_weight=float(rng.uniform(0.0, 2.0)),
        budget_penalty=float(rng.uniform(0.0, 2.0)),
        metric=str(rng.choice(["wasserstein", "wasserstein", "total-variation", "jensen-shannon"])),
        score=str(rng.choice(["improvement", "improvement", "change"])),
        request=str(rng.choice(["deficit", "compensated"])),
        budgeted=str(rng.choice(["requested", "received"])),
    )


def named() -> dict[str, GraphProblem]:
    """Instances that have gone wrong somewhere, or well may.

    Returns
    -------
    dict of str to GraphProblem
        Single instances of few devices, by name.

    Examples
    --------
    >>> named()["nobody_trusts"].solve("enumerate").objective.item()
    0.0
    """
    base = draw(5, seed=1)
    counts = np.array(base.class_counts)
    empty = counts.copy()
    empty[2] = 0.0
    return {
        "base": base,
        "one_device": draw(1),
        "two_devices": draw(2, min_classes=0.0),
        "nobody_trusts": base.replace(trust=False),
        "everybody_trusts": base.replace(trust=True),
        "blocks": base.replace(trust=block_trust([0, 0, 1, 1, 1], np.arange(10) % 2)),
        "nobody_lacks": base.replace(class_counts=counts + 40.0),
        "nobody_spares": base.replace(thresholds=1e6),
        "perfect_links": base.replace(outage_probability=0.0),
        "every_link_fails": base.replace(outage_probability=1.0),
        "every_link_fails_compensated": base.replace(outage_probability=1.0, request="compensated"),
        "literal_gate": base.replace(gate=1.0, min_classes=4.0),
        "no_gate": base.replace(min_classes=0.0),
        "only_outage_counts": base.replace(diversity_weight=0.0),
        "nothing_outside_clusters": base.replace(budgets=0.0),
        "tight_budgets": base.replace(budgets=base.budgets * 0.2, budget_penalty=3.0),
        "received_budgets": base.replace(budgets=base.budgets * 0.2, budgeted="received"),
        "compensated": base.replace(request="compensated"),
        "total_variation": base.replace(metric="total-variation"),
        "jensen_shannon": base.replace(metric="jensen-shannon"),
        "change": base.replace(score="change"),
        "device_without_data": base.replace(class_counts=empty),
        "nobody_keeps_anything": base.replace(thresholds=np.where(counts > 0, 0.0, 30.0)),
        "identical_devices": base.replace(class_counts=np.broadcast_to(counts[0], counts.shape)),
        "tiny_counts": base.replace(class_counts=counts * 1e-3, thresholds=0.04, budgets=base.budgets * 1e-3),
        "huge_counts": base.replace(class_counts=counts * 1e9, thresholds=4e10, budgets=base.budgets * 1e9),
        "forbidden_links": base.replace(allowed=np.arange(5)[:, None] > np.arange(5)),
    }
