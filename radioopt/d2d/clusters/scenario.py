"""``[d2d-clusters]`` in a scenario file: unlabelled data, trust and links of the devices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np

from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    at_least,
    fraction,
    nonnegative,
    positive,
    quantity,
)
from radioopt.d2d.clusters.problem import ClusterGraphProblem
from radioopt.d2d.scenario import outages, places
from radioopt.d2d.trust import random_trust
from radioopt.d2d.wireless import reliable_clusters
from radioopt.scenario.devices import Devices
from radioopt.scenario.laws import Law, Number, Of
from radioopt.scenario.tables import Table

_of = ClusterGraphProblem.quantities
_points = quantity("points", nonnegative, DEVICE, "points of each cluster")
_threshold = quantity("points", nonnegative, DEVICE, "points of each cluster that a device keeps")
_budget = quantity(
    "points", at_least(0, math.inf), PER_INSTANCE, "points a cluster may get from outside, by device"
)
_efficiency = quantity("bit/s/Hz", nonnegative, PER_INSTANCE, "spectral efficiency of a link")
_angle = quantity("rad", at_least(-1e9), DEVICE, "angle of the place, seen from the base station")
_seed = quantity("1", nonnegative, PER_INSTANCE, "source of data and trust")


class Settings(Table):
    """Data, trust and links; see :class:`ClusterGraphProblem` for the rest.

    ``kinds`` of data have centres that are normal numbers times ``spread`` in ``dimensions``. Each device has
    ``clusters_per_device`` of the kinds, drawn without replacement, with ``points_per_cluster``: its centroid is off
    the centre by a normal number, its covariance that of as many points as twice the dimensions, of variance 1.

    Attributes
    ----------
    kinds : int
        Kinds of data that there are.
    clusters_per_device : int
        Kinds that a device holds.
    dimensions : int
        Dimensions of the common subspace.
    trust_probability : float
        Probability that a transmitter trusts a receiver with a cluster.
    max_cluster_outage : float
        Largest outage probability between devices of a group of reliable ones.
    spread : float
        Standard deviation of the centres of kinds, where that of a kind's data is 1.
    min_link_m : float
        Least length of a link.
    """

    kinds: Annotated[int, Number(at_least(1), whole=True)]
    clusters_per_device: Annotated[int, Number(at_least(1), whole=True)]
    dimensions: Annotated[int, Number(at_least(1), whole=True)]
    points_per_cluster: Annotated[Law, Of(_points)]
    requested_points: Annotated[Law, Of(_of["requested_points"])]
    threshold: Annotated[Law, Of(_threshold)]
    spectral_efficiency: Annotated[Law, Of(_efficiency)]
    trust_probability: Annotated[float, Number(fraction)]
    max_cluster_outage: Annotated[float, Number(fraction)]
    spread: Annotated[float, Number(nonnegative)] = 4.0
    min_link_m: Annotated[float, Number(positive)] = 1.0
    angle_rad: Annotated[Law, Of(_angle)] = Law("uniform", (0.0, 2.0 * math.pi), True)
    draw: Annotated[Law, Of(_seed)] = Law("uniform", (0.0, 2.0**52), False)
    budget_per_device: Annotated[Law | None, Of(_budget)] = None
    diversity_weight: Annotated[Law | None, Of(_of["diversity_weight"])] = None
    outage_weight: Annotated[Law | None, Of(_of["outage_weight"])] = None
    cluster_weight: Annotated[Law | None, Of(_of["cluster_weight"])] = None
    budget_penalty: Annotated[Law | None, Of(_of["budget_penalty"])] = None
    regularisation: Annotated[Law | None, Of(_of["regularisation"])] = None
    matching: Literal["nearest", "assignment"] = "nearest"
    update: Literal["merge", "resample"] = "merge"
    budgeted: Literal["requested", "received"] = "requested"


def build(devices: Devices, settings: Settings, values: Mapping[str, Array]) -> ClusterGraphProblem:
    """Pose the problem to devices.

    Parameters
    ----------
    devices : Devices
        With distances to the base station and ``transmit_power_w``.
    settings : Settings
        Data, trust and links.
    values : mapping of str to array_like
        What was drawn of them.

    Returns
    -------
    ClusterGraphProblem
        With the batch axes of the devices.

    Raises
    ------
    ProblemError
        If the scenario does not give a quantity that is needed, or a value is refused.
    """
    given = dict(values)
    shape, count = devices.batch_shape, devices.sizes["device"]
    position, seeds = places(devices, given.pop("angle_rad")), given.pop("draw")
    points, kept = given.pop("points_per_cluster"), given.pop("threshold")
    outage = outages(devices, position, settings.min_link_m, given.pop("spectral_efficiency"))
    per_device = given.pop("budget_per_device", None)
    groups, size = min(settings.clusters_per_device, settings.kinds), settings.dimensions
    centroids, covariances = (
        np.empty((*shape, count, groups, size)),
        np.empty((*shape, count, groups, size, size)),
    )
    trust, clusters = np.empty((*shape, count, count, groups), np.bool_), np.empty((*shape, count), np.int64)
    for index in np.ndindex(shape):
        rng = np.random.default_rng(int(np.broadcast_to(seeds, shape)[index]))
        centres = settings.spread * rng.standard_normal((settings.kinds, size))
        own = rng.random((count, settings.kinds)).argsort(-1)[:, :groups]
        centroids[index] = centres[own] + rng.standard_normal((count, groups, size))
        factor = rng.standard_normal((count, groups, 2 * size, size)) / np.sqrt(2.0 * size)
        covariances[index] = np.swapaxes(factor, -1, -2) @ factor
        trust[index] = random_trust(rng, count, groups, settings.trust_probability)
        clusters[index] = reliable_clusters(outage[index], settings.max_cluster_outage)
    if per_device is not None:
        members = (clusters[..., :, None] == clusters[..., None, :]).sum(-1)
        given["budgets"] = np.expand_dims(per_device, -1) * members
    return ClusterGraphProblem(
        centroids=centroids,
        covariances=covariances,
        counts=np.broadcast_to(np.broadcast_to(points, (*shape, count))[..., None], centroids.shape[:-1]),
        thresholds=np.broadcast_to(kept, (*shape, count))[..., None],
        trust=trust,
        outage_probability=outage,
        clusters=clusters,
        position_m=position,
        matching=settings.matching,
        update=settings.update,
        budgeted=settings.budgeted,
        **given,  # type: ignore[arg-type]  # quantities by name, no choices
        strict=None,
    )
