"""Links: where devices are, how much power arrives, and how many bits per second that is worth.

The uplink rates of twelve devices placed at random in a cell of 200 m:

>>> import numpy as np
>>> from radioopt.units import dbm_per_hz_to_w_per_hz, dbm_to_w
>>> position_m = uniform_in_disc(np.random.default_rng(1), 12, radius_m=200.0)
>>> mean_snr = snr(
...     transmit_power_w=dbm_to_w(28.0),
...     channel_gain=channel_gain(distances_m(position_m)),
...     noise_psd_w_per_hz=dbm_per_hz_to_w_per_hz(-174.0),
...     bandwidth_hz=10e6,
... )
>>> rate = ergodic_rate_bps(mean_snr, bandwidth_hz=10e6)
>>> rate.shape
(12,)
"""

from radioopt.channel.block_fading import BlockFadingLink, SlotCount
from radioopt.channel.fading import (
    clarke_correlation,
    gauss_markov,
    power_gain,
    rayleigh_coefficient,
    rayleigh_power_gain,
)
from radioopt.channel.path_loss import (
    PATH_LOSS_MODELS,
    FreeSpace,
    LogDistance,
    PathLossModel,
    Paths,
    PowerLaw,
    channel_gain,
    path_loss_db,
)
from radioopt.channel.placement import distances_m, uniform_in_disc
from radioopt.channel.rate import ergodic_rate_bps, rate_bps, snr
from radioopt.channel.shadowing import lognormal_shadowing_db
from radioopt.channel.tr38901 import TR38901_MODELS, Tr38901, Tr38901UMa, Tr38901UMi

__all__ = [
    "PATH_LOSS_MODELS",
    "TR38901_MODELS",
    "BlockFadingLink",
    "FreeSpace",
    "LogDistance",
    "PathLossModel",
    "Paths",
    "PowerLaw",
    "SlotCount",
    "Tr38901",
    "Tr38901UMa",
    "Tr38901UMi",
    "channel_gain",
    "clarke_correlation",
    "distances_m",
    "ergodic_rate_bps",
    "gauss_markov",
    "lognormal_shadowing_db",
    "path_loss_db",
    "power_gain",
    "rate_bps",
    "rayleigh_coefficient",
    "rayleigh_power_gain",
    "snr",
    "uniform_in_disc",
]
