"""The urban macro and street canyon path loss of 3GPP TR 38.901: two formulas and the chance of line of sight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import Domain, check, positive
from radioopt.channel.path_loss import PathLossModel, Paths
from radioopt.numerics.arrays import FloatArray, check_number

_RELEASE = "3GPP TR 38.901 V16.1.0 (Release 16), Tables 7.4.1-1 and 7.4.2-1"
_SPEED_OF_LIGHT_M_PER_S = 3.0e8  # Note 1 of Table 7.4.1-1 rounds it

_carrier = Domain("between 0.5e9 and 100e9 Hz, as in TR 38.901", 0.5e9, 100e9)
_device_height = Domain("between 1.5 and 22.5 m, as in TR 38.901", 1.5, 22.5)
_base_station_height = Domain("between 1.5 and 150 m", 1.5, 150.0)


@dataclass(frozen=True, kw_only=True)
class Tr38901(PathLossModel):
    r"""What UMa and UMi have in common: a link is in line of sight or not, by chance, and loses accordingly.

    With d the horizontal and :math:`d_3` the slanted distance in m, f the carrier in GHz, h the height of the
    device and H that of the base station in m, the loss in dB is

    .. math::
        L_{\mathrm{LOS}} &= A + 20 \log_{10} f + \begin{cases} a \log_{10} d_3 & d \le d_B \\
        40 \log_{10} d_3 - (20 - a/2) \log_{10}(d_B^2 + (H - h)^2) & d > d_B \end{cases} \\
        L_{\mathrm{NLOS}} &= \max\{L_{\mathrm{LOS}},\; A' + a' \log_{10} d_3 + b' \log_{10} f - e (h - 1.5)\}

    with the breakpoint :math:`d_B = 4 (H - h_E)(h - h_E) f_{\mathrm{Hz}} / c` for an effective environment height
    :math:`h_E`, and shadowing of the standard deviations :math:`\sigma`:

    ====  =====  ====  ======  ======  =====  ====  ==================  ===================
    .     A      a     A'      a'      b'     e     :math:`\sigma` LOS  :math:`\sigma` NLOS
    ====  =====  ====  ======  ======  =====  ====  ==================  ===================
    UMa   28.0   22.0  13.54   39.08   20.0   0.6   4.0                 6.0
    UMi   32.4   21.0  22.4    35.3    21.3   0.3   4.0                 7.82
    ====  =====  ====  ======  ======  =====  ====  ==================  ===================

    Distances are horizontal, as :func:`~radioopt.channel.uniform_in_disc` places devices; the formulas use the
    slanted distance between antennas where the report does. Devices are outdoors: no loss of walls is added.

    Parameters
    ----------
    carrier_frequency_hz : float
        Carrier frequency in Hz, between 0.5e9 and 100e9.
    base_station_height_m : float
        Height of the base station's antenna in m, between 1.5 and 150. The report states each model for its
        default alone; other heights extrapolate.
    device_height_m : float, optional
        Height of the devices in m, between 1.5 and 22.5. Default 1.5.
    line_of_sight : bool, optional
        State of every link. Default None: :meth:`draw` draws the state of each.
    source : str, optional
        Where the formulas are from.

    Raises
    ------
    ProblemError
        If a parameter is outside its domain.
    """

    #: horizontal distances that the formulas hold for [m]
    distance_range_m: ClassVar[tuple[float, float]] = (10.0, 5000.0)
    #: standard deviation of shadowing in line of sight and out of it [dB]
    shadowing_stds_db: ClassVar[tuple[float, float]]
    #: loss in line of sight: at 1 m and 1 GHz [dB], per decade of distance up to the breakpoint (40 beyond it)
    _line_of_sight_db: ClassVar[tuple[float, float]]
    #: loss out of line of sight: at 1 m and 1 GHz, per decade of distance, of frequency, and less per m above 1.5 m
    _obstructed_db: ClassVar[tuple[float, float, float, float]]
    #: distance over which the chance of line of sight falls by 1/e [m]
    _sight_m: ClassVar[float]

    carrier_frequency_hz: float
    base_station_height_m: float
    device_height_m: float = 1.5
    line_of_sight: bool | None = None
    source: str = _RELEASE

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check_number(owner, "carrier_frequency_hz", self.carrier_frequency_hz, _carrier)
        check_number(owner, "base_station_height_m", self.base_station_height_m, _base_station_height)
        check_number(owner, "device_height_m", self.device_height_m, _device_height)
        if not (self.line_of_sight is None or isinstance(self.line_of_sight, bool)):
            raise ProblemError(
                f"{owner}.line_of_sight: expected True, False or None, got {self.line_of_sight!r}"
            )

    def line_of_sight_probability(self, distance_m: ArrayLike) -> FloatArray:
        """Probability that a link is in line of sight; Table 7.4.2-1.

        Parameters
        ----------
        distance_m : array_like of float64
            Horizontal distances in m, > 0.

        Returns
        -------
        ndarray of float64
            Probabilities, same shape: 1 up to 18 m.

        Raises
        ------
        ProblemError
            If a distance is not positive and finite.
        """
        distance = check(type(self).__name__, "distance_m", distance_m, positive)
        near = 18.0 / np.maximum(distance, 18.0)
        street = near + np.exp(-distance / self._sight_m) * (1.0 - near)
        return np.minimum(1.0, street * (1.0 + self._height_term(distance)))

    def breakpoint_m(self, environment_height_m: ArrayLike = 1.0) -> FloatArray:
        """Horizontal distance from which the loss in line of sight falls with the fourth power.

        Parameters
        ----------
        environment_height_m : array_like of float64, optional
            Effective environment height in m, > 0 and below both antennas. Default 1.0.

        Returns
        -------
        ndarray of float64
            Breakpoint distance ``4 (h_BS - h_E) (h_UT - h_E) f / c`` in m.

        Raises
        ------
        ProblemError
            If a height is not positive or not below both antennas.
        """
        lowest = min(self.base_station_height_m, self.device_height_m)
        below = Domain(f"> 0 and below both antennas ({lowest:g} m)", 5e-324, np.nextafter(lowest, 0.0))
        height = check(type(self).__name__, "environment_height_m", environment_height_m, below)
        factor = (self.base_station_height_m - height) * (self.device_height_m - height)
        return np.asarray(4.0 * factor * self.carrier_frequency_hz / _SPEED_OF_LIGHT_M_PER_S)

    def link_loss_db(
        self, distance_m: ArrayLike, line_of_sight: ArrayLike, environment_height_m: ArrayLike = 1.0
    ) -> FloatArray:
        """Loss of links whose state is known; Table 7.4.1-1.

        Parameters
        ----------
        distance_m : array_like of float64
            Horizontal distances in m, between 10 and 5000.
        line_of_sight : array_like of bool
            Whether each link is in line of sight; broadcasts.
        environment_height_m : array_like of float64, optional
            Effective environment height in m, which sets the breakpoint; broadcasts. Default 1.0: what the
            report has for UMi always, and for UMa if devices are lower than 13 m.

        Returns
        -------
        ndarray of float64
            Loss in dB of the broadcast shape, without shadowing; out of line of sight no less than in it.

        Raises
        ------
        ProblemError
            If a distance is outside the range of the formulas, or an environment height not below the antennas.
        """
        low, high = self.distance_range_m
        rounding = 1e-9  # placement reaches its bounds up to rounding
        valid = Domain(
            f"between {low:g} and {high:g} m, as in TR 38.901", low * (1 - rounding), high * (1 + rounding)
        )
        distance = check(type(self).__name__, "distance_m", distance_m, valid)
        climb = self.base_station_height_m - self.device_height_m
        breakpoint_m = self.breakpoint_m(environment_height_m)
        d = np.log10(np.hypot(distance, climb))
        f = np.log10(self.carrier_frequency_hz / 1e9)
        intercept, slope = self._line_of_sight_db
        beyond = distance > breakpoint_m  # there the slope is 40, and the loss continuous at the breakpoint
        steeper = np.where(beyond, (40.0 - slope) * (d - np.log10(np.hypot(breakpoint_m, climb))), 0.0)
        in_sight = intercept + slope * d + 20.0 * f + steeper
        intercept, slope, frequency, height = self._obstructed_db
        obstructed = intercept + slope * d + frequency * f - height * (self.device_height_m - 1.5)
        return np.where(line_of_sight, in_sight, np.maximum(in_sight, obstructed))

    def loss_db(self, distance_m: FloatArray) -> FloatArray:
        """Evaluate the formula of the model's `line_of_sight`; see :meth:`PathLossModel.loss_db`.

        Parameters
        ----------
        distance_m : ndarray of float64
            Horizontal distances in m, between 10 and 5000.

        Returns
        -------
        ndarray of float64
            Loss in dB, same shape, for an effective environment height of 1 m.

        Raises
        ------
        ProblemError
            If `line_of_sight` is None, or a distance is outside the range of the formulas.
        """
        if self.line_of_sight is None:
            raise ProblemError(
                f"{type(self).__name__}.line_of_sight: the loss depends on it; give True or False, or draw it"
            )
        return self.link_loss_db(distance_m, self.line_of_sight)

    def draw(self, rng: np.random.Generator, distance_m: FloatArray) -> Paths:
        """Draw the state of each link, independently, and return what follows from it.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        distance_m : ndarray of float64
            Horizontal distances in m, between 10 and 5000.

        Returns
        -------
        Paths
            Loss without shadowing, state, and the standard deviation of shadowing in that state.

        Raises
        ------
        ProblemError
            If a distance is outside the range of the formulas.

        Notes
        -----
        The states of two devices are independent however near they are to each other.
        """
        line_of_sight = rng.random(distance_m.shape) < self.line_of_sight_probability(distance_m)
        if self.line_of_sight is not None:
            line_of_sight = np.full(distance_m.shape, self.line_of_sight)
        height = self._draw_environment_height_m(rng, distance_m)
        return Paths(
            loss_db=self.link_loss_db(distance_m, line_of_sight, height),
            line_of_sight=line_of_sight,
            shadowing_std_db=np.where(line_of_sight, *self.shadowing_stds_db),
        )

    def _height_term(self, distance_m: FloatArray) -> FloatArray | float:
        """By how much devices above the rooftops are more likely in line of sight, relatively."""
        return 0.0

    def _draw_environment_height_m(self, rng: np.random.Generator, distance_m: FloatArray) -> ArrayLike:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class Tr38901UMa(Tr38901):
    r"""Urban macro cell (UMa) of TR 38.901: base station above the rooftops, cells of some 500 m; see Tr38901.

    Parameters
    ----------
    carrier_frequency_hz : float
        Carrier frequency in Hz, between 0.5e9 and 100e9.
    base_station_height_m : float, optional
        Height of the base station's antenna in m, above that of the devices and at most 150. Default 25.0, for
        which alone the report states the model.
    device_height_m : float, optional
        Height of the devices in m, between 1.5 and 22.5. Default 1.5.
    line_of_sight : bool, optional
        State of every link. Default None: :meth:`~Tr38901.draw` draws the state of each.
    source : str, optional
        Where the formulas are from.

    Raises
    ------
    ProblemError
        If a parameter is outside its domain.

    Notes
    -----
    The effective environment height :math:`h_E` is 1 m below 13 m. Higher devices have it with probability
    1/(1 + C), where :math:`C = ((h - 13)/10)^{1.5} \cdot 1.25 (d/100)^3 e^{-d/150}` beyond 18 m, and otherwise one of
    12, 15, ... up to h - 1.5 m, equally likely (12 m between 13 and 13.5 m, where the report's list is empty).
    The same C raises the probability of line of sight by a factor of 1 + C. Right beyond 18 m the report's product
    exceeds one for devices above 13 m, by 0.6 % at most; it is cut there.

    References
    ----------
    .. [1] 3GPP TR 38.901 V16.1.0 (Release 16), Table 7.4.1-1 with Note 1, and Table 7.4.2-1.

    Examples
    --------
    >>> model = Tr38901UMa(carrier_frequency_hz=3.5e9)
    >>> model.line_of_sight_probability([18.0, 100.0, 500.0]).round(3)
    array([1.   , 0.348, 0.036])
    >>> model.link_loss_db(100.0, [True, False]).round(2)
    array([ 83.14, 103.04])
    """

    shadowing_stds_db: ClassVar[tuple[float, float]] = (4.0, 6.0)
    _line_of_sight_db: ClassVar[tuple[float, float]] = (28.0, 22.0)
    _obstructed_db: ClassVar[tuple[float, float, float, float]] = (13.54, 39.08, 20.0, 0.6)
    _sight_m: ClassVar[float] = 63.0

    base_station_height_m: float = 25.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_station_height_m <= self.device_height_m:
            raise ProblemError(
                f"Tr38901UMa.base_station_height_m: expected more than device_height_m = "
                f"{self.device_height_m:g}, got {self.base_station_height_m:g}"
            )

    def _height_term(self, distance_m: FloatArray) -> FloatArray | float:
        excess = max(self.device_height_m - 13.0, 0.0) / 10.0
        term = excess**1.5 * 1.25 * (distance_m / 100.0) ** 3 * np.exp(-distance_m / 150.0)
        return np.where(distance_m > 18.0, term, 0.0)

    def _draw_environment_height_m(self, rng: np.random.Generator, distance_m: FloatArray) -> ArrayLike:
        if self.device_height_m <= 13.0:
            return 1.0
        roofs = 12.0 + 3.0 * np.arange(1 + max(0, int((self.device_height_m - 13.5) // 3)))
        low = rng.random(distance_m.shape) < 1.0 / (1.0 + self._height_term(distance_m))
        return np.where(low, 1.0, rng.choice(roofs, distance_m.shape))


@dataclass(frozen=True, kw_only=True)
class Tr38901UMi(Tr38901):
    """Street canyon (UMi) of TR 38.901: base station below the rooftops, cells of some 200 m; see Tr38901.

    The effective environment height is 1 m for every device.

    Parameters
    ----------
    carrier_frequency_hz : float
        Carrier frequency in Hz, between 0.5e9 and 100e9.
    base_station_height_m : float, optional
        Height of the base station's antenna in m, between 1.5 and 150. Default 10.0, for which alone the report
        states the model.
    device_height_m : float, optional
        Height of the devices in m, between 1.5 and 22.5. Default 1.5.
    line_of_sight : bool, optional
        State of every link. Default None: :meth:`~Tr38901.draw` draws the state of each.
    source : str, optional
        Where the formulas are from.

    Raises
    ------
    ProblemError
        If a parameter is outside its domain.

    References
    ----------
    .. [1] 3GPP TR 38.901 V16.1.0 (Release 16), Table 7.4.1-1 with Note 1 (UMi - Street Canyon), and Table 7.4.2-1.

    Examples
    --------
    >>> model = Tr38901UMi(carrier_frequency_hz=3.5e9)
    >>> model.line_of_sight_probability([18.0, 100.0, 500.0]).round(3)
    array([1.   , 0.231, 0.036])
    >>> model.link_loss_db(100.0, [True, False]).round(2)
    array([ 85.31, 104.64])
    """

    shadowing_stds_db: ClassVar[tuple[float, float]] = (4.0, 7.82)
    _line_of_sight_db: ClassVar[tuple[float, float]] = (32.4, 21.0)
    _obstructed_db: ClassVar[tuple[float, float, float, float]] = (22.4, 35.3, 21.3, 0.3)
    _sight_m: ClassVar[float] = 36.0

    base_station_height_m: float = 10.0


#: names for scenario files; these models need a carrier frequency
TR38901_MODELS: dict[str, type[Tr38901]] = {"tr38901_uma": Tr38901UMa, "tr38901_umi": Tr38901UMi}
