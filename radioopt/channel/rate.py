"""Shannon rates of a link: for one fading state, and averaged over Rayleigh fading in closed form."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.quantity import check, nonnegative, positive
from radioopt.numerics.arrays import FloatArray, check_shapes, float_if_scalar
from radioopt.numerics.expint import scaled_exp1


def snr(
    *,
    transmit_power_w: ArrayLike,
    channel_gain: ArrayLike,
    noise_psd_w_per_hz: ArrayLike,
    bandwidth_hz: ArrayLike,
) -> float | FloatArray:
    r"""Signal-to-noise ratio at the receiver, :math:`P g / (N_0 W)`; keyword arguments only.

    Parameters
    ----------
    transmit_power_w : array_like of float64
        Transmit power P in W, >= 0.
    channel_gain : array_like of float64
        Power gain g of the channel, linear, >= 0. The large-scale gain gives the mean SNR; times a fading gain
        it gives the SNR of one fading state.
    noise_psd_w_per_hz : array_like of float64
        Noise *density* N0 in W/Hz, > 0; for a receiver with a noise figure, times its noise factor.
    bandwidth_hz : array_like of float64
        Bandwidth W in Hz that the power is spread over, > 0.

    Returns
    -------
    float or ndarray of float64
        SNR, linear, >= 0, of the shape the arguments broadcast to.

    Raises
    ------
    ProblemError
        If an argument is not numeric or outside its domain, or if the shapes do not broadcast.

    Notes
    -----
    Correction of eqs. (5)-(6) of [1]_, which divide by N0 alone and call it the noise variance, while Section VI
    gives N0 = -174 dBm/Hz, a density: the noise power is N0 W. At the paper's 10 MHz the difference is 70 dB.

    References
    ----------
    .. [1] J. Ren, G. Yu, G. Ding, "Accelerating DNN training in wireless federated edge learning systems",
       eqs. (5) and (6), and Section VI-A.

    Examples
    --------
    >>> snr(transmit_power_w=0.5, channel_gain=1e-12, noise_psd_w_per_hz=4e-21, bandwidth_hz=[1e6, 10e6])
    array([125. ,  12.5])
    """
    power = check("snr", "transmit_power_w", transmit_power_w, nonnegative)
    gain = check("snr", "channel_gain", channel_gain, nonnegative)
    psd = check("snr", "noise_psd_w_per_hz", noise_psd_w_per_hz, positive)
    bandwidth = check("snr", "bandwidth_hz", bandwidth_hz, positive)
    check_shapes(
        "snr", transmit_power_w=power, channel_gain=gain, noise_psd_w_per_hz=psd, bandwidth_hz=bandwidth
    )
    return float_if_scalar(power * gain / (psd * bandwidth))


def rate_bps(snr: ArrayLike, bandwidth_hz: ArrayLike) -> float | FloatArray:
    r"""Shannon rate of a channel with known SNR, :math:`W \log_2(1 + \mathrm{SNR})`.

    Parameters
    ----------
    snr : array_like of float64
        Signal-to-noise ratio, linear, >= 0, with the noise power taken in the same bandwidth; see :func:`snr`.
    bandwidth_hz : array_like of float64
        Bandwidth W in Hz, > 0; broadcasts against `snr`.

    Returns
    -------
    float or ndarray of float64
        Rate in bit/s, >= 0, of the broadcast shape. Relative accuracy holds down to the smallest SNR.

    Raises
    ------
    ProblemError
        If an argument is not numeric or outside its domain, or if the shapes do not broadcast.

    Examples
    --------
    >>> rate_bps(3.0, 1e6)
    2000000.0
    """
    ratio = check("rate_bps", "snr", snr, nonnegative)
    bandwidth = check("rate_bps", "bandwidth_hz", bandwidth_hz, positive)
    check_shapes("rate_bps", snr=ratio, bandwidth_hz=bandwidth)
    return float_if_scalar(bandwidth * (np.log1p(ratio) / math.log(2.0)))


def ergodic_rate_bps(mean_snr: ArrayLike, bandwidth_hz: ArrayLike) -> float | FloatArray:
    r"""Rate averaged over Rayleigh fading, in closed form.

    .. math:: W\,\mathbb{E}\log_2(1 + \bar\gamma |h|^2) = \frac{W}{\ln 2}\, e^z E_1(z), \qquad z = 1/\bar\gamma

    with :math:`|h|^2` exponential of mean one, as drawn by :func:`~radioopt.channel.rayleigh_power_gain`.

    Parameters
    ----------
    mean_snr : array_like of float64
        SNR at the mean channel gain, linear, > 0, with the noise power taken in the same bandwidth: P g / (N0 W),
        where N0 is a density in W/Hz; see :func:`snr`, which makes that product.
    bandwidth_hz : array_like of float64
        Bandwidth W in Hz, > 0; broadcasts against `mean_snr`.

    Returns
    -------
    float or ndarray of float64
        Mean rate in bit/s of the broadcast shape: at most ``rate_bps(mean_snr, bandwidth_hz)``, from which it
        falls short by 0.83 bit/s per Hz at high SNR, and not at all in the limit of low SNR.

    Raises
    ------
    ProblemError
        If an argument is not numeric or outside its domain, or if the shapes do not broadcast.

    Notes
    -----
    Relative error at most 5e-15, for tiny and huge SNR alike (see :func:`~radioopt.numerics.expint.scaled_exp1`);
    15 to 800 ns per element, longest at an SNR of 0 dB.

    Correction of eqs. (5)-(6) of [1]_: they divide by N0 = -174 dBm/Hz, a density, where the noise power N0 W
    belongs. Passing a mean SNR formed that way overstates it by a factor of W.

    References
    ----------
    .. [1] J. Ren, G. Yu, G. Ding, "Accelerating DNN training in wireless federated edge learning systems",
       eqs. (5) and (6): the expectation, for uplink and downlink.

    Examples
    --------
    >>> round(ergodic_rate_bps(mean_snr=1.0, bandwidth_hz=1e6))
    860347
    """
    ratio = check("ergodic_rate_bps", "mean_snr", mean_snr, positive)
    bandwidth = check("ergodic_rate_bps", "bandwidth_hz", bandwidth_hz, positive)
    check_shapes("ergodic_rate_bps", mean_snr=ratio, bandwidth_hz=bandwidth)
    with np.errstate(over="ignore"):  # 1/SNR is infinite below 6e-309, and the rate then 0
        z = 1.0 / ratio
    return float_if_scalar(bandwidth * (scaled_exp1(z) / math.log(2.0)))
