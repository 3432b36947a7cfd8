"""``[d2d]`` in a scenario file: data, trust and links of the devices, and how they pose the problem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    at_least,
    finite,
    fraction,
    nonnegative,
    positive,
    quantity,
)
from radioopt.channel import Tr38901
from radioopt.d2d.problem import GraphProblem
from radioopt.d2d.trust import column_sparse_trust, random_trust, row_sparse_trust
from radioopt.d2d.wireless import outage_probability, reliable_clusters
from radioopt.scenario.devices import Devices
from radioopt.scenario.laws import Law, Number, Of
from radioopt.scenario.tables import Table

_of = GraphProblem.quantities
_angle = quantity("rad", finite, DEVICE, "angle of the place, seen from the base station")
_points = quantity("points", nonnegative, DEVICE, "points of each class that a device holds")
_threshold = quantity("points", nonnegative, DEVICE, "points of each class that a device wants")
_budget = quantity(
    "points", at_least(0, math.inf), PER_INSTANCE, "points a cluster may get from outside, by device"
)
_efficiency = quantity("bit/s/Hz", nonnegative, PER_INSTANCE, "spectral efficiency of a link")
_seed = quantity("1", nonnegative, PER_INSTANCE, "source of classes and trust")


class Settings(Table):
    """Data, trust and links; see :class:`GraphProblem` for the rest.

    Every device is at its distance from the base station and at ``angle_rad``. It holds ``points_per_class`` points of
    ``classes_per_device`` classes, drawn without replacement. Gains between devices follow the cell's path loss.

    Attributes
    ----------
    num_classes : int
        Classes of the data.
    classes_per_device : int
        Classes that a device holds.
    trust_probability : float
        Probability that a transmitter trusts a receiver with a class.
    max_cluster_outage : float
        Largest outage probability between devices of a cluster.
    trust : str
        How trust is drawn.
    trust_sparsity : float
        Share of rows or columns of the trust without any.
    min_link_m : float
        Least length of a link.
    """

    num_classes: Annotated[int, Number(at_least(1), whole=True)]
    classes_per_device: Annotated[int, Number(at_least(1), whole=True)]
    points_per_class: Annotated[Law, Of(_points)]
    threshold: Annotated[Law, Of(_threshold)]
    spectral_efficiency: Annotated[Law, Of(_efficiency)]
    trust_probability: Annotated[float, Number(fraction)]
    max_cluster_outage: Annotated[float, Number(fraction)]
    trust: Literal["random", "row-sparse", "column-sparse"] = "random"
    trust_sparsity: Annotated[float, Number(fraction)] = 0.0
    min_link_m: Annotated[float, Number(positive)] = 1.0
    angle_rad: Annotated[Law, Of(_angle)] = Law("uniform", (0.0, 2.0 * math.pi), True)
    draw: Annotated[Law, Of(_seed)] = Law("uniform", (0.0, 2.0**52), False)
    budget_per_device: Annotated[Law | None, Of(_budget)] = None
    min_classes: Annotated[Law | None, Of(_of["min_classes"])] = None
    gate: Annotated[Law | None, Of(_of["gate"])] = None
    diversity_weight: Annotated[Law | None, Of(_of["diversity_weight"])] = None
    outage_weight: Annotated[Law | None, Of(_of["outage_weight"])] = None
    cluster_weight: Annotated[Law | None, Of(_of["cluster_weight"])] = None
    budget_penalty: Annotated[Law | None, Of(_of["budget_penalty"])] = None
    metric: Literal["wasserstein", "total-variation", "jensen-shannon"] = "wasserstein"
    score: Literal["improvement", "change"] = "improvement"
    request: Literal["deficit", "compensated"] = "deficit"
    budgeted: Literal["requested", "received"] = "requested"


def build(devices: Devices, settings: Settings, values: Mapping[str, Array]) -> GraphProblem:
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
    GraphProblem
        With the batch axes of the devices.

    Raises
    ------
    ProblemError
        If the scenario does not give a quantity that is needed, or a value is refused.
    """
    given = dict(values)
    shape, count = devices.batch_shape, devices.sizes["device"]
    angle, seeds = given.pop("angle_rad"), given.pop("draw")
    points, wanted = given.pop("points_per_class"), given.pop("threshold")
    efficiency, per_device = given.pop("spectral_efficiency"), given.pop("budget_per_device", None)
    position = places(devices, angle)
    outage = outages(devices, position, settings.min_link_m, efficiency)
    classes = settings.num_classes
    held, trust = np.zeros((*shape, count, classes)), np.empty((*shape, count, count, classes), np.bool_)
    clusters = np.empty((*shape, count), np.int64)
    for index in np.ndindex(shape):
        rng = np.random.default_rng(int(np.broadcast_to(seeds, shape)[index]))
        held[index] = hold(rng, settings, np.broadcast_to(points, (*shape, count))[index])
        trust[index] = _trust(rng, settings, count)
        clusters[index] = reliable_clusters(outage[index], settings.max_cluster_outage)
    if per_device is not None:
        members = (clusters[..., :, None] == clusters[..., None, :]).sum(-1)
        given["budgets"] = np.expand_dims(per_device, -1) * members
    return GraphProblem(
        class_counts=held,
        thresholds=np.broadcast_to(wanted, (*shape, count))[..., None],
        trust=trust,
        outage_probability=outage,
        clusters=clusters,
        position_m=position,
        metric=settings.metric,
        score=settings.score,
        request=settings.request,
        budgeted=settings.budgeted,
        **given,
        strict=None,
    )


def places(devices: Devices, angle_rad: Array) -> Array:
    """Places of the devices in the plane, (..., N, 2) [m]."""
    return np.asarray(devices.distance_m[..., None] * np.stack([np.cos(angle_rad), np.sin(angle_rad)], -1))


def outages(devices: Devices, position_m: Array, min_link_m: float, efficiency: Array) -> Array:
    """Outage of the links between all pairs, (..., N, N), by the path loss of the cell."""
    rss, noise = _signal_and_noise(devices, position_m, min_link_m)
    return np.asarray(
        outage_probability(
            rss,
            spectral_efficiency=np.asarray(efficiency)[..., None, None],
            noise_power_w=noise[..., None, None],
        )
    )


def link_snr(devices: Devices, position_m: Array, min_link_m: float) -> Array:
    """Mean signal-to-noise ratio of the links between all pairs, (..., N, N): receiver, transmitter."""
    rss, noise = _signal_and_noise(devices, position_m, min_link_m)
    return np.asarray(rss / noise[..., None, None])


def _signal_and_noise(devices: Devices, position_m: Array, min_link_m: float) -> tuple[Array, Array]:
    """Received signal strength of all pairs [W], and the noise power [W]."""
    apart = np.linalg.norm(position_m[..., :, None, :] - position_m[..., None, :, :], axis=-1)
    gain = 10 ** (-loss_db(devices, np.maximum(apart, min_link_m)) / 10)
    rss = np.expand_dims(devices.transmit_power_w, -2) * gain
    return np.asarray(rss), np.asarray(devices.noise_psd_w_per_hz * devices.bandwidth_hz)


def hold(rng: np.random.Generator, settings: Settings, points: Array) -> Array:
    """Points of each class at each device, (N, L): so many ``points`` (N,) of the classes that are drawn for it."""
    ranks = rng.random((len(points), settings.num_classes)).argsort(-1).argsort(-1)
    return np.asarray((ranks < settings.classes_per_device) * points[:, None])


def _trust(rng: np.random.Generator, settings: Settings, count: int) -> Array:
    classes, probability = settings.num_classes, settings.trust_probability
    if settings.trust == "row-sparse":
        return row_sparse_trust(rng, count, classes, settings.trust_sparsity, probability)
    if settings.trust == "column-sparse":
        return column_sparse_trust(rng, count, classes, settings.trust_sparsity, probability)
    return random_trust(rng, count, classes, probability)


def loss_db(devices: Devices, distance_m: Array) -> Array:
    """Path loss between devices, by a model of distance alone."""
    model = devices.scenario.cell.path_loss_model
    if isinstance(model, Tr38901):
        raise ProblemError(
            "cell.path_loss: expected a model of distance alone, { exponent = ..., gain_at_1m_db = ... } for instance: "
            "those of TR 38.901 are for links to a base station, which [d2d] has none of"
        )
    loss_db, _, _ = model.draw(np.random.default_rng(0), distance_m)
    return loss_db
