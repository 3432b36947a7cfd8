"""Links between devices, over which they send to their neighbours; without a server, or with one now and then."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from learning.messages import Wire
from learning.models.mixing import metropolis, parts_of, spectral_gap
from learning.options import real, whole
from learning.radio.base import (
    Allocation,
    Delivery,
    Floats,
    Payload,
    Plan,
    Planner,
    Prices,
    Radio,
    Sent,
    Times,
    Work,
    compute_energy,
    steady,
)
from learning.radio.links import Links, graph_of, neighbours
from learning.radio.tdma import MODEL, Tdma, apart_s
from radioopt.base.errors import InputWarning, OptionError
from radioopt.d2d.scenario import link_snr
from radioopt.feel import BatchsizeProblem
from radioopt.scenario import Devices, Scenario


@dataclass(frozen=True, eq=False)
class D2dPlan(Plan):
    """Training, and whom each device sends to afterwards.

    Parameters
    ----------
    compute_time_s : ndarray, shape (K,)
        Time of each device to train in this round [s].
    graph : ndarray of bool, shape (K, K)
        Who is whose neighbour, symmetric.
    outage : ndarray, shape (K, K)
        Outage of the links in this round, receiver then transmitter.
    seconds_per_bit, joules_per_bit : ndarray, shape (K, K)
        To send a bit over each link [s], [J]; receiver, transmitter.
    cluster : ndarray of int64, shape (K,)
        Cluster of each device; 0 for all where there are none.
    gap, parts : float, int
        Spectral gap of the averaging over the graph, of several clusters the least, and parts of the graph that no
        link connects.
    """

    compute_time_s: Floats
    graph: NDArray[np.bool_]
    outage: Floats
    seconds_per_bit: Floats
    joules_per_bit: Floats
    cluster: NDArray[np.int64]
    gap: float
    parts: int

    def figures(self) -> Mapping[str, float]:
        """Return links, the spectral gap of an averaging over them, and the parts of the graph."""
        return {"links": int(self.graph.sum()) // 2, "spectral_gap": self.gap, "parts": self.parts}


@dataclass(frozen=True, eq=False)
class D2dSent(Sent):
    """What became of a round between devices.

    Parameters
    ----------
    there : ndarray of bool, shape (K,)
        Who sends at all: neither late nor lost.
    links : ndarray of bool, shape (A, K, K)
        Links over which both ends heard each other in each of A averagings, symmetric.
    across_time_s : ndarray, shape (K,)
        Time that each device sends to its neighbours [s].
    across_energy_j : ndarray, shape (K,)
        Energy for that [J].
    heard : ndarray, shape (K,)
        Neighbours that each device averages with, the mean over the averagings.
    across_bits : float
        Sent by each device to its neighbours, on average [bit].
    """

    there: NDArray[np.bool_]
    links: NDArray[np.bool_]
    across_time_s: Floats
    across_energy_j: Floats
    heard: Floats
    across_bits: float

    columns: ClassVar[tuple[str, ...]] = ("across_time_s", "across_energy_j", "heard")

    @property
    def energy_j(self) -> float:
        """Energy of all devices in the round, between them too [J]."""
        return super().energy_j + float(self.across_energy_j.sum())

    def figures(self) -> Mapping[str, float]:
        """Return links that worked, and bits and joules of what devices sent to each other."""
        return {
            "links_heard": float(self.heard.sum()) / 2,
            "across_bits": self.across_bits,
            "across_energy_j": float(self.across_energy_j.sum()),
        }


@dataclass(frozen=True)
class D2d(Radio):
    r"""No server: devices train, then all send at once, each to its neighbours, to one after the other.

    Nobody waits longer than the deadline D for who still computes, and all wait for whom it takes longest to send:

    .. math::
        T &= \min\Bigl(\max_j a_j t_j, D\Bigr)
             + A \max_j \sum_{i \in \mathcal{N}_j} \frac{s}{W \log_2(1 + \gamma_{ij})}, \\
        E_j &= \kappa_j f_j^3 t_j + A \Bigl(\frac{P_j}{\eta} + P_c\Bigr)
               \sum_{i \in \mathcal{N}_j} \frac{s}{W \log_2(1 + \gamma_{ij})},

    in A averagings of messages of s bits each.

    Parameters
    ----------
    graph : str, default "links"
        Neighbours: "links" (all whose outage is `max_outage` at most), "complete", "ring", "nearest:K" (the K best of
        each device, and whoever chose it), "random:K" (K of its links, drawn anew in each round, and whoever drew it).
    max_outage : float, default 0.2
        Outage of a link at most, in (0, 1]; for "links" and "random".
    lossy : bool, default True
        Whether a message is lost with the outage of its link. Two devices average only if both have heard the other.
    averagings : int, default 1
        Times >= 1 that devices send to their neighbours and average in a round, one after the other.
    broadcast : bool, default False
        Whether a device sends once, at the rate of its worst neighbour, instead of to one after the other.
    shadowing_db : float, default 0
        Standard deviation >= 0 of what every link is stronger or weaker than usual, drawn anew in each round, the same
        both ways [dB]: rates, outages and with them the graph change from round to round.
    deadline_s : float, default inf
        D > 0 [s]: who needs longer to compute is late, sends nothing, and keeps its own model.
    slowdown : float, default 0
        Mean of what stragglers add to their compute time, see :class:`Tdma`.
    loss_probability : float, default 0
        Probability in [0, 1) that a device sends nothing and averages with nobody, as a straggler does.
    amplifier_efficiency : float, default 0.5
        Share :math:`\eta` of the amplifier's power that is radiated, in (0, 1].
    circuit_power_w : float, default 0.1
        Power :math:`P_c` of the electronics while sending >= 0 [W].

    Raises
    ------
    OptionError
        If there is no such graph, or a number is out of its range.

    Notes
    -----
    The scenario's table [d2d], or [d2d-clusters], says where devices are and how links are, [feel] what computing takes
    and how large a model is. Before the first round, preparations reach the base station as over :class:`Tdma`. A lost
    message is sent and paid for all the same. A graph in several parts never agrees on one model: the column ``parts``
    tells, and a warning if the graph is the same in all rounds.

    References
    ----------
    S. Wagle et al., "Multi-Agent Reinforcement Learning for Graph Discovery in D2D-Enabled Federated Learning",
    Section VI-E; the clock is R, energies are those of :class:`radioopt.d2d.EnergyModel`.

    Examples
    --------
    >>> D2d(graph="nearest:3", slowdown=0.5).settings()["max_outage"]
    0.2
    """

    graph: str = "links"
    max_outage: float = 0.2
    lossy: bool = True
    averagings: int = 1
    broadcast: bool = False
    shadowing_db: float = 0.0
    deadline_s: float = math.inf
    slowdown: float = 0.0
    loss_probability: float = 0.0
    amplifier_efficiency: float = 0.5
    circuit_power_w: float = 0.1

    table: ClassVar[str] = "feel"
    needs_all: ClassVar[bool] = True
    links: ClassVar[tuple[str, ...]] = ("d2d", "d2d-clusters")

    def __post_init__(self) -> None:
        graph_of(self.graph)
        whole("averagings", self.averagings)
        for name in ("lossy", "broadcast"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name}: expected true or false, got {getattr(self, name)!r}")
        real("max_outage", self.max_outage, high=1.0, closed=True)
        real("amplifier_efficiency", self.amplifier_efficiency, high=1.0, closed=True)
        if self.deadline_s != math.inf:
            real("deadline_s", self.deadline_s)
        for name, high in (("slowdown", math.inf), ("shadowing_db", math.inf), ("loss_probability", 1.0),
                           ("circuit_power_w", math.inf)):  # fmt: skip
            real(name, getattr(self, name), high=high, zero=True)

    def planner(self, policy: Any, work: Work, wire: Wire, bits_per_parameter: float | None) -> Planner:
        """Find neighbours, and time the work of each device; see :meth:`Radio.planner`."""
        self._refuse(wire)
        if policy != "optimal":
            name = "allocator" if isinstance(policy, Allocation) else "policy"
            raise OptionError(f"{name}: radio d2d has nothing to choose but its graph: leave {name} out")
        samples, batches = work.samples, work.steps
        assert batches is not None
        changing = self.shadowing_db != 0 or graph_of(self.graph)[0] == "random"

        def plan(devices: Devices, rng: np.random.Generator) -> D2dPlan:
            posed = cast(BatchsizeProblem, devices.problem("feel"))
            prices = Prices(whole=dict.fromkeys(MODEL, float(posed.payload_bits)))
            if bits_per_parameter is not None:
                prices = Prices(other=bits_per_parameter)
            problem, snr, outage = self._channel(devices, rng)
            found = Links(
                devices,
                snr,
                amplifier_efficiency=self.amplifier_efficiency,
                circuit_power_w=self.circuit_power_w,
            )
            cluster = self._clusters(problem)
            graph = neighbours(self.graph, outage, self.max_outage, rng) & (cluster[:, None] == cluster)
            (seconds, joules), weights = found.per_bit(), metropolis(graph)
            parts = parts_of(graph)
            if not changing:
                self._warn(parts, len(np.unique(cluster)))
            return D2dPlan(
                devices,
                samples,
                prices.payload(wire),
                prices,
                apart_s(posed, batches) + posed.seconds_per_sample * samples,
                graph,
                outage,
                seconds,
                joules,
                cluster,
                min(spectral_gap(weights[cluster == one][:, cluster == one]) for one in np.unique(cluster)),
                parts,
            )

        return plan if changing else steady(plan)

    def _refuse(self, wire: Wire) -> None:
        if wire.numbers != (0, 0):
            raise OptionError("radio d2d: has no server, and this scheme sends to one: take d2d-server")

    def _channel(self, devices: Devices, rng: np.random.Generator) -> tuple[Any, Floats, Floats]:
        """Return the problem of the links' table, and signal-to-noise ratio and outage of all links in this round."""
        family = next(table for table in self.links if table in devices.scenario.problems)
        problem: Any = devices.problem(family)
        settings: Any = devices.scenario.problems[family]
        snr, outage = link_snr(devices, problem.position_m, settings.min_link_m), problem.outage_probability
        if self.shadowing_db:
            drawn = np.triu(rng.standard_normal(snr.shape), 1)
            factor = 10 ** (self.shadowing_db / 10 * (drawn + drawn.T))
            with np.errstate(divide="ignore", invalid="ignore"):  # an outage of 1 stays one
                outage = -np.expm1(np.where(outage > 0, np.log1p(-outage) / factor, 0.0))
            snr = snr * factor
        return problem, snr, np.asarray(outage)

    def _clusters(self, problem: Any) -> NDArray[np.int64]:
        """Return the cluster of each device; there are none here."""
        return np.zeros(len(problem.position_m), np.int64)

    def _warn(self, parts: int, clusters: int) -> None:
        if parts > clusters:
            warnings.warn(
                f"radio d2d: the graph has {parts} parts{f' in {clusters} clusters' * (clusters > 1)} that no link "
                "connects, which never agree on one model: raise max_outage, or take graph nearest:K",
                InputWarning,
                stacklevel=2,
            )

    def transmit(self, payload: Payload, plan: Any, rng: np.random.Generator) -> Sent:
        """Let devices compute and send to their neighbours; see :meth:`Radio.transmit`.

        The same random numbers are drawn whatever the settings, so that paired runs stay paired.
        """
        count = len(plan.graph)
        drawn, lost = rng.random((2, count)), rng.random((self.averagings, count, count))
        compute = plan.compute_time_s * (1.0 - self.slowdown * np.log1p(-drawn[0]))
        there = (compute <= self.deadline_s) & (drawn[1] >= self.loss_probability)
        sends = plan.graph & there  # column: the transmitter
        arrived = sends & ((lost >= plan.outage) | (not self.lossy))
        links, bits = arrived & arrived.swapaxes(1, 2), self.averagings * payload.across_bits
        each = (np.where(sends, per_bit, 0.0) for per_bit in (plan.seconds_per_bit, plan.joules_per_bit))
        busy, spent = (bits * (one.max(0) if self.broadcast else one.sum(0)) for one in each)
        messages = sends.any(0) if self.broadcast else sends.sum(0)
        nobody, nothing = np.zeros(count, np.bool_), np.zeros(count)
        return D2dSent(
            arrived=nobody,
            received=nobody,
            seconds=float(min(compute.max(), self.deadline_s) + busy.max()),
            uplink_bits=0.0,
            downlink_bits=0.0,
            compute_time_s=compute,
            upload_time_s=nothing,
            download_time_s=nothing,
            update_time_s=nothing,
            compute_energy_j=compute_energy(plan.devices, plan.compute_time_s),
            upload_energy_j=nothing,
            there=there,
            links=links,
            across_time_s=busy,
            across_energy_j=spent,
            heard=links.sum(1).mean(0),
            across_bits=bits * float(messages.mean()),
        )

    def deliver(self, bits: float, devices: Devices, rng: np.random.Generator) -> Delivery:
        """Broadcast from the base station at the rate of the weakest device; see :meth:`Radio.deliver`."""
        return Tdma().deliver(bits, devices, rng)

    def timed(self, scenario: Scenario, times: Times, work: Work) -> Scenario:
        """Put the measured training function into ``[feel]``; see :meth:`Radio.timed`."""
        return Tdma().timed(scenario, times, work)


@dataclass(frozen=True)
class D2dServer(D2d):
    r"""Devices send to neighbours in their cluster, and now and then one of each cluster sends to a server.

    A round between devices is as of :class:`D2d`. In a round with the server, one device of every cluster, all equally
    likely, uploads next, one after the other over the whole band; then the server broadcasts at the least rate of all:

    .. math::
        T' = \sum_{c} \frac{s}{R^U_{k_c}} + \frac{s}{\min_k R^D_k}, \qquad E' = \sum_{c} P_{k_c} \frac{s}{R^U_{k_c}}.

    Parameters
    ----------
    clusters : int, optional
        Clusters >= 1, found by complete linkage of the distances between devices. By default those of the scenario's
        table, which are as many as it takes for every pair to be reliable.
    **options
        See :class:`D2d`.

    Raises
    ------
    OptionError
        If there is no such graph, or a number is out of its range.

    Notes
    -----
    A late device does not upload, and its cluster is left out; it hears the server. If nobody uploads, the server sends
    nothing.

    References
    ----------
    S. Wagle et al., Section VI-E; F. P.-C. Lin et al., "Semi-Decentralized Federated Learning with Cooperative D2D
    Local Model Aggregations".

    Examples
    --------
    >>> D2dServer(clusters=3, graph="complete").settings()["clusters"]
    3
    """

    clusters: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clusters is not None:
            whole("clusters", self.clusters)

    def _refuse(self, wire: Wire) -> None:
        if not (wire.numbers[0] and wire.numbers[1]):
            raise OptionError(
                "radio d2d-server: is for schemes with a server, and this one has none: take d2d"
            )

    def _clusters(self, problem: Any) -> NDArray[np.int64]:
        count = len(problem.position_m)
        if self.clusters is None:
            return np.asarray(problem.clusters, np.int64)
        if self.clusters > count:
            raise OptionError(f"clusters: expected at most the {count} devices, got {self.clusters}")
        return near(problem.position_m, self.clusters)

    def transmit(self, payload: Payload, plan: Any, rng: np.random.Generator) -> Sent:
        """Let devices send to each other, and some to the server if anything goes up; see :meth:`Radio.transmit`."""
        between = super().transmit(payload, plan, rng)
        assert isinstance(between, D2dSent)
        luck = rng.random(len(plan.graph))
        if not payload.uplink_bits:
            return between
        of_cluster = np.where(plan.cluster[:, None] == np.unique(plan.cluster), luck[:, None], -1.0)
        best = of_cluster.argmax(0)
        devices, arrived = plan.devices, np.zeros(len(luck), np.bool_)
        arrived[best] = between.there[best]
        upload = np.where(arrived, payload.uplink_bits / devices.uplink_rate_bps, 0.0)
        download = payload.downlink_bits / float(np.min(devices.downlink_rate_bps)) * bool(arrived.any())
        return replace(
            between,
            arrived=arrived,
            received=np.full(len(luck), arrived.any()),
            seconds=between.seconds + float(upload.sum()) + download,
            uplink_bits=payload.uplink_bits * float(arrived.mean()),
            downlink_bits=payload.downlink_bits * bool(arrived.any()),
            upload_time_s=upload,
            download_time_s=np.full(len(luck), download),
            upload_energy_j=np.asarray(devices.transmit_power_w * upload),
        )


def near(position_m: Floats, clusters: int) -> NDArray[np.int64]:
    """Group devices by distance into so many clusters, by complete linkage; numbered in order of first appearance."""
    from scipy.cluster.hierarchy import cut_tree, linkage

    if len(position_m) == 1:
        return np.zeros(1, np.int64)
    label = cut_tree(linkage(position_m, method="complete"), n_clusters=clusters)[:, 0]
    _, first, again = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(first.argsort().argsort()[again], np.int64)
