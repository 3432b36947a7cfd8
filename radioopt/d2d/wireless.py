"""Links between devices: outage, reliable clusters, and the energy of what is sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import Array, check, finite, fraction, nonnegative, positive
from radioopt.numerics.arrays import check_number, check_shapes, float_if_scalar


def outage_probability(
    rss_w: ArrayLike, *, spectral_efficiency: ArrayLike, noise_power_w: ArrayLike
) -> float | Array:
    r"""Probability that a transmission fails under Rayleigh fading.

    Parameters
    ----------
    rss_w : array_like of float64, shape (...)
        Received signal strength, the mean over fading, > 0 [W].
    spectral_efficiency : array_like of float64, shape (...)
        Rate r of transmission >= 0 [bit/s/Hz].
    noise_power_w : array_like of float64, shape (...)
        Noise power :math:`\sigma^2` >= 0 [W].

    Returns
    -------
    float or ndarray of float64, shape (...)
        :math:`P = 1 - \exp(-(2^r - 1) \sigma^2 / RSS)`.

    Raises
    ------
    ProblemError
        If an argument is outside its domain, or the shapes do not fit each other.

    References
    ----------
    (18), R*: what the paper's text names, put together as the outage of a Rayleigh channel.

    Examples
    --------
    >>> outage_probability(1e-9, spectral_efficiency=1.0, noise_power_w=1e-10)
    0.0952
    """
    owner = "outage_probability"
    rss = check(owner, "rss_w", rss_w, positive)
    rate = check(owner, "spectral_efficiency", spectral_efficiency, nonnegative)
    noise = check(owner, "noise_power_w", noise_power_w, nonnegative)
    check_shapes(owner, rss_w=rss, spectral_efficiency=rate, noise_power_w=noise)
    with np.errstate(
        all="ignore"
    ):  # a rate beyond float64 fails surely, but not over a channel without noise
        exponent = np.where(noise > 0, np.expm1(rate * np.log(2.0)) * noise / rss, 0.0)
        return float_if_scalar(-np.expm1(-exponent))


def reliable_clusters(outage_probability: ArrayLike, max_outage: float) -> Array:
    """Group devices so that all pairs within a group are reliable.

    Parameters
    ----------
    outage_probability : array_like of float64, shape (N, N)
        In [0, 1]; of a pair, the larger of both directions counts. The diagonal is not used.
    max_outage : float
        Largest outage delta in [0, 1] within a cluster.

    Returns
    -------
    ndarray of int64, shape (N,)
        Number of each device's cluster, from 0 in order of first appearance.

    Raises
    ------
    ProblemError
        If an argument is outside its domain, or the outage is not a square array.

    Notes
    -----
    Complete linkage, cut at delta: the largest outage within a cluster is at most delta, and no two clusters could be
    merged. R*: the paper says what clusters are, not how they are found.

    Examples
    --------
    >>> reliable_clusters([[0, 0.1, 0.9], [0.2, 0, 0.8], [0.9, 0.9, 0]], 0.3)
    array([0, 0, 1])
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    owner = "reliable_clusters"
    outage = check(owner, "outage_probability", outage_probability, fraction)
    limit = check_number(owner, "max_outage", max_outage, fraction)
    if outage.ndim != 2 or outage.shape[0] != outage.shape[1]:
        raise ProblemError(f"{owner}.outage_probability: expected shape (N, N), got {outage.shape}")
    count = len(outage)
    if count == 1:
        return np.zeros(1, np.int64)
    upper = np.triu_indices(count, 1)
    tree = linkage(np.maximum(outage, outage.T)[upper], method="complete")
    _, first, label = np.unique(
        fcluster(tree, limit, criterion="distance"), return_index=True, return_inverse=True
    )
    return np.asarray(first.argsort().argsort()[label], np.int64)


def label_message_bits(num_classes: int, *, integer_bits: int = 32) -> float:
    """Size of what two devices tell each other to try a link, with labels [bit].

    Parameters
    ----------
    num_classes : int
        Classes L >= 1.
    integer_bits : int, default 32
        Bits of a whole number.

    Returns
    -------
    float
        A flag per class that could be shared, and three numbers per class: available, requested, granted.

    References
    ----------
    Section IV-C: "an integer vector of size L", R; (9)-(11) need one each way and the flags.

    Examples
    --------
    >>> label_message_bits(10)
    970.0
    """
    classes = check_number("label_message_bits", "num_classes", num_classes, positive)
    return classes * (1.0 + 3.0 * check_number("label_message_bits", "integer_bits", integer_bits, positive))


def cluster_message_bits(
    dimensions: int, num_clusters: int, *, float_bits: int = 32, integer_bits: int = 32
) -> float:
    """Size of what two devices tell each other to try a link, without labels [bit].

    Parameters
    ----------
    dimensions : int
        Dimensions of the common subspace, >= 1.
    num_clusters : int
        Clusters of the transmitter, >= 1.
    float_bits, integer_bits : int, default 32 and 32
        Bits of a number.

    Returns
    -------
    float
        A centroid, a covariance matrix and a number of points per cluster, and the receiver's centroids before.

    References
    ----------
    Section IV-C: "a floating-point vector, a floating-point matrix and an integer", R.

    Examples
    --------
    >>> cluster_message_bits(2, 3)
    864.0
    """
    owner = "cluster_message_bits"
    size = check_number(owner, "dimensions", dimensions, positive)
    clusters = check_number(owner, "num_clusters", num_clusters, positive)
    real = check_number(owner, "float_bits", float_bits, positive)
    whole = check_number(owner, "integer_bits", integer_bits, positive)
    return clusters * (real * (2.0 * size + size**2) + whole)


@dataclass(frozen=True, kw_only=True)
class EnergyModel:
    """What sending bits costs, between devices and to the server.

    Parameters
    ----------
    transmit_power_w : float
        Radiated power > 0 [W].
    bandwidth_hz : float
        Bandwidth > 0 [Hz].
    amplifier_efficiency : float, default 0.5
        Share of the amplifier's power that is radiated, in (0, 1].
    circuit_power_w : float, default 0.1
        Power of the electronics while sending >= 0 [W].

    Raises
    ------
    ProblemError
        If a value is outside its domain.

    Notes
    -----
    R: E = (p/eta + p_circuit) bits / (W log2(1 + SNR)). The paper cites a model and prints none of its constants.

    Examples
    --------
    >>> model = EnergyModel(transmit_power_w=0.1, bandwidth_hz=1e6)
    >>> model.energy_j(1e6, snr=3.0)
    0.15
    """

    transmit_power_w: float
    bandwidth_hz: float
    amplifier_efficiency: float = 0.5
    circuit_power_w: float = 0.1

    def __post_init__(self) -> None:
        check_number("EnergyModel", "transmit_power_w", self.transmit_power_w, positive)
        check_number("EnergyModel", "bandwidth_hz", self.bandwidth_hz, positive)
        check_number("EnergyModel", "circuit_power_w", self.circuit_power_w, nonnegative)
        share = check_number("EnergyModel", "amplifier_efficiency", self.amplifier_efficiency, fraction)
        if share == 0:
            raise ProblemError("EnergyModel.amplifier_efficiency: expected > 0, got 0.0")

    @property
    def power_w(self) -> float:
        """Power drawn while sending [W]."""
        return self.transmit_power_w / self.amplifier_efficiency + self.circuit_power_w

    def energy_j(self, bits: ArrayLike, *, snr: ArrayLike) -> float | Array:
        """Energy to send bits over links.

        Parameters
        ----------
        bits : array_like, shape (...)
            Bits >= 0.
        snr : array_like, shape (...)
            Signal-to-noise ratio > 0, linear.

        Returns
        -------
        float or ndarray, shape (...)
            Energy [J].

        Raises
        ------
        ProblemError
            If an argument is outside its domain, or the shapes do not fit.
        """
        sent = check("EnergyModel", "bits", bits, nonnegative)
        ratio = check("EnergyModel", "snr", snr, positive)
        check_shapes("EnergyModel", bits=sent, snr=ratio)
        return float_if_scalar(self.power_w * sent / (self.bandwidth_hz * np.log2(1.0 + ratio)))

    def discovery_j(self, message_bits: float, steps: int, *, snr: ArrayLike) -> float:
        """Energy of the messages of learning a graph: each step every device tries a link.

        Parameters
        ----------
        message_bits : float
            Size of the messages of one trial, see :func:`label_message_bits`.
        steps : int
            Steps of Q-learning.
        snr : array_like, shape (N, N)
            Receiver, transmitter; the diagonal is not used. A link is taken to be tried as often as any other.

        Returns
        -------
        float
            Energy of all devices [J].
        """
        ratio = np.asarray(snr, np.float64)
        others = ~np.eye(len(ratio), dtype=np.bool_)
        each = self.energy_j(message_bits, snr=ratio[others])
        return float(len(ratio) * steps * np.mean(each))

    def exchange_j(
        self, source: ArrayLike, transferred: ArrayLike, point_bits: float, *, snr: ArrayLike
    ) -> float:
        """Energy of the points exchanged over a graph.

        Parameters
        ----------
        source : array_like of int, shape (N,)
            Transmitter of each device, -1 for none.
        transferred : array_like, shape (N, L)
            Points sent to each device, lost or not.
        point_bits : float
            Size of a point [bit].
        snr : array_like, shape (N, N)
            Receiver, transmitter.

        Returns
        -------
        float
            Energy of all devices [J].
        """
        chosen = np.asarray(source)
        receiver = np.flatnonzero(chosen >= 0)
        bits = np.asarray(transferred, np.float64).sum(-1)[receiver] * point_bits
        ratio = np.asarray(snr, np.float64)[receiver, chosen[receiver]]
        return float(np.sum(self.energy_j(bits, snr=ratio)))

    def server_j(self, payload_bits: float, rounds: int, num_devices: int, *, snr: float) -> float:
        """Energy of the devices' updates to the server.

        Parameters
        ----------
        payload_bits : float
            Size of an update [bit].
        rounds, num_devices : int
            Rounds of training, and devices that send in each.
        snr : float
            At the server; the paper takes that of the mean distance between devices, see :func:`mean_distance_m`.

        Returns
        -------
        float
            Energy of all devices [J].
        """
        return float(rounds * num_devices * self.energy_j(payload_bits, snr=snr))


def mean_distance_m(position_m: ArrayLike) -> float:
    """Mean distance of pairs of devices, which stands for that to the server [m].

    Parameters
    ----------
    position_m : array_like of float64, shape (N, 2)
        Places [m], finite, of at least two devices.

    Returns
    -------
    float
        Over all pairs.

    Raises
    ------
    ProblemError
        If a coordinate is not finite, or there are no two devices.

    Examples
    --------
    >>> mean_distance_m([[0, 0], [3, 4]])
    5.0
    """
    position = check("mean_distance_m", "position_m", position_m, finite)
    if position.ndim != 2 or len(position) < 2:
        raise ProblemError(
            f"mean_distance_m.position_m: expected shape (N, 2) with N >= 2, got {position.shape}"
        )
    apart = np.linalg.norm(position[:, None] - position, axis=-1)
    return float(apart[np.triu_indices(len(position), 1)].mean())
