"""``[d2d-sparse]`` in a scenario file: the same devices with links to their nearest neighbours only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np

from radioopt.base.quantity import Array, at_least, positive
from radioopt.d2d.scenario import Settings as DenseSettings
from radioopt.d2d.scenario import hold, loss_db, places
from radioopt.d2d.sparse.problem import SparseGraphProblem
from radioopt.d2d.wireless import outage_probability
from radioopt.scenario.devices import Devices
from radioopt.scenario.laws import Number

#: distances at which the outage is looked at to find how large reliable cells may be
STEPS = 2_000


class Settings(DenseSettings):
    """Data, trust and links as of ``[d2d]``, with ``candidates`` neighbours per device, the nearest by a k-d tree.

    Links longer than ``max_link_m`` may not be used. Clusters are the cells of a grid, as large as all pairs within one
    are sure to be reliable, the weakest transmitter's too.

    Attributes
    ----------
    candidates : int
        Nearest neighbours that a device may receive from.
    max_link_m : float
        Greatest length of a link.
    """

    candidates: Annotated[int, Number(at_least(1), whole=True)] = 64
    max_link_m: Annotated[float | None, Number(positive)] = None


def build(devices: Devices, settings: Settings, values: Mapping[str, Array]) -> SparseGraphProblem:
    """Pose the problem to devices.

    Parameters
    ----------
    devices : Devices
        With distances to the base station and ``transmit_power_w``; at least two.
    settings : Settings
        Data, trust and links.
    values : mapping of str to array_like
        What was drawn of them.

    Returns
    -------
    SparseGraphProblem
        With the batch axes of the devices.

    Raises
    ------
    ProblemError
        If the scenario does not give a quantity that is needed, or a value is refused.
    """
    from scipy.spatial import cKDTree

    given = dict(values)
    shape, count, classes = devices.batch_shape, devices.sizes["device"], settings.num_classes
    position, seeds = places(devices, given.pop("angle_rad")), given.pop("draw")
    points, wanted = given.pop("points_per_class"), given.pop("threshold")
    efficiency, per_device = given.pop("spectral_efficiency"), given.pop("budget_per_device", None)
    power = np.broadcast_to(devices.transmit_power_w, (*shape, count))
    noise = np.broadcast_to(devices.noise_psd_w_per_hz * devices.bandwidth_hz, shape)
    rate = np.broadcast_to(efficiency, shape)

    def outage(index: tuple[int, ...], apart_m: Array, power_w: Array | float) -> Array:
        return np.asarray(
            outage_probability(
                power_w * 10 ** (-loss_db(devices, apart_m) / 10),
                spectral_efficiency=rate[index],
                noise_power_w=noise[index],
            )
        )

    degree = max(1, min(settings.candidates, count - 1))
    links = (*shape, count * degree)
    transmitter, lost = np.empty(links, np.int64), np.empty(links)
    allowed, trust = np.empty(links, np.bool_), np.empty((*links, classes), np.bool_)
    receiver, clusters = np.repeat(np.arange(count), degree), np.empty((*shape, count), np.int64)
    held = np.empty((*shape, count, classes))
    for index in np.ndindex(shape):
        rng = np.random.default_rng(int(np.broadcast_to(seeds, shape)[index]))
        held[index] = hold(rng, settings, np.broadcast_to(points, (*shape, count))[index])
        apart, transmitter[index] = _neighbours(cKDTree(position[index]), degree)
        apart = np.maximum(apart, settings.min_link_m)
        allowed[index] = apart <= (settings.max_link_m or np.inf)
        lost[index] = outage(index, apart, power[index][transmitter[index]])
        trust[index] = _trust(rng, settings, receiver, transmitter[index], count)
        extent = float(np.ptp(position[index], axis=0).max()) + settings.min_link_m
        steps = np.geomspace(settings.min_link_m, 2.0 * extent, STEPS)
        reliable = outage(index, steps, power[index].min()) <= settings.max_cluster_outage
        clusters[index] = _cells(
            position[index], float(steps[np.argmin(reliable) - 1]) if reliable[0] else 0.0
        )
        if reliable.all():
            clusters[index] = 0
    if per_device is not None:
        members = np.empty((*shape, count))
        for index in np.ndindex(shape):
            members[index] = np.bincount(clusters[index])[clusters[index]]
        given["budgets"] = np.expand_dims(per_device, -1) * members
    return SparseGraphProblem(
        receiver=receiver,
        transmitter=transmitter,
        outage_probability=lost,
        allowed=allowed,
        trust=trust,
        class_counts=held,
        thresholds=np.broadcast_to(wanted, (*shape, count))[..., None],
        clusters=clusters,
        position_m=position,
        metric=settings.metric,
        score=settings.score,
        request=settings.request,
        budgeted=settings.budgeted,
        **given,
        strict=None,
    )


def _neighbours(tree: object, degree: int) -> tuple[Array, Array]:
    """Distances and numbers of so many others nearest to each device, by their numbers."""
    place = np.asarray(tree.data)  # type: ignore[attr-defined]
    apart, near = tree.query(place, degree + 1)  # type: ignore[attr-defined]
    apart, near = apart.reshape(len(place), -1), near.reshape(len(place), -1)
    own = near == np.arange(len(place))[:, None]
    own[:, -1] |= ~own.any(-1)  # of many at one place a device may not find itself
    apart, near = apart[~own].reshape(len(place), -1), near[~own].reshape(len(place), -1)
    order = near.argsort(-1)
    return np.take_along_axis(apart, order, -1).ravel(), np.take_along_axis(near, order, -1).ravel()


def _cells(position: Array, diagonal_m: float) -> Array:
    """Find the cell of a grid that each device is in, as a number; one of its own if there is no diagonal."""
    if diagonal_m <= 0:
        return np.arange(len(position))
    cell = np.floor(position / (diagonal_m / np.sqrt(2.0)))
    return np.unique(cell, axis=0, return_inverse=True)[1].ravel()


def _trust(
    rng: np.random.Generator, settings: Settings, receiver: Array, transmitter: Array, count: int
) -> Array:
    """Trust over each link, (E, L), in the structures of :mod:`radioopt.d2d.trust`."""
    classes, share = settings.num_classes, settings.trust_sparsity
    trust = rng.random((len(receiver), classes)) < settings.trust_probability
    if settings.trust == "row-sparse":
        insecure = np.zeros(count, np.bool_)
        insecure[rng.permutation(count)[: round(share * count)]] = True
        trust &= ~insecure[receiver][:, None]
    elif settings.trust == "column-sparse":
        hidden = rng.random((count, classes)).argsort(-1) < round(share * classes)
        trust &= ~hidden[transmitter]
    return np.asarray(trust)
