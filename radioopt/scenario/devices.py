"""Devices: what a scenario draws, in SI units, and the problems they pose."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError, suggestion
from radioopt.base.layout import look_at
from radioopt.base.quantity import Array, at_least, check, nonnegative, positive
from radioopt.base.record import Record
from radioopt.channel import clarke_correlation, gauss_markov
from radioopt.scenario.drawn import FADING, Drawn, MissingQuantityError
from radioopt.scenario.trace import ChannelTrace

if TYPE_CHECKING:
    from radioopt.base.problem import Problem

#: NumPy's words for an array that no memory holds
_TOO_LARGE = ("Maximum allowed dimension exceeded", "array is too big", "maximum supported dimension")
_RATES = ("uplink_rate_bps", "downlink_rate_bps")
_FORMER_PATH = {"line_of_sight", "shadowing_db"}  # what described a path until its gain is given
#: settings of "feel" that say how long computing takes
_COMPUTING = ("cycles_per_sample", "update_cycles", "seconds_per_sample", "base_time_s", "update_time_s")


class Devices(Drawn):
    """Devices of one cell in SI units: placed, with their links and their hardware.

    :meth:`Scenario.draw` makes them. Leading axes are a batch of independent draws; ``devices[3]`` is one.

    Attributes
    ----------
    scenario : Scenario
        Where they are from.
    distance_m : ndarray, shape (..., K)
        Distance to the base station [m].
    channel_gain : ndarray, shape (..., K)
        Mean power gain of the path, linear, without small-scale fading; the same in both directions.
    line_of_sight : ndarray of bool, shape (..., K)
        Whether the path is in line of sight; of the models of TR 38.901.
    shadowing_db : ndarray, shape (..., K)
        Loss by shadowing [dB], which `channel_gain` contains, if the cell has shadowing.
    transmit_power_w : ndarray, shape (..., K)
        Power of a device [W].
    uplink_snr, downlink_snr : ndarray, shape (..., K)
        Signal-to-noise ratio with the power spread over the whole bandwidth, linear: the mean under "ergodic"
        fading, this round's otherwise.
    uplink_rate_bps, downlink_rate_bps : ndarray, shape (..., K)
        Rate of a device that holds the whole band [bit/s]: averaged over Rayleigh fading in closed form under
        "ergodic" fading, this round's otherwise.
    cpu_frequency_hz : ndarray, shape (..., K)
        CPU frequency [Hz].
    energy_coefficient : ndarray, shape (..., K)
        Effective switched capacitance: energy per cycle over squared frequency [J/Hz^2].
    local_samples : ndarray, shape (..., K)
        Samples held.
    bandwidth_hz, noise_psd_w_per_hz, downlink_power_w : float or ndarray (...)
        Bandwidth [Hz], noise density with the receiver's noise figure [W/Hz], power of the base station [W].

    Raises
    ------
    MissingQuantityError
        On reading a quantity that the scenario does not give: ``cpu_frequency_hz``, ``energy_coefficient``,
        ``local_samples``, ``line_of_sight``, ``shadowing_db`` and all of the downlink are optional. It is an
        ``AttributeError`` too, so that ``hasattr`` and ``getattr`` with a default work.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> devices = Scenario.load("feel-cpu").draw(seed=1)
    >>> devices.uplink_rate_bps.shape
    (12,)
    >>> devices.problem("feel").solve().status.name
    'OPTIMAL'
    """

    def fade(self, rng: np.random.Generator, *, elapsed_s: ArrayLike | None = None) -> Devices:
        r"""Return the same devices in another round, with its channel.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness; the same numbers are drawn whatever the time elapsed.
        elapsed_s : float or array_like of float64, shape (...), optional
            Time >= 0 since the channel of these devices [s], one for all or one per draw. Default:
            ``cell.round_duration_s``. It matters only where ``cell.speed_mps`` is given.

        Returns
        -------
        Devices
            With the same placement, path loss, shadowing and hardware. Under "block" fading uplink and downlink
            have new Rayleigh gains: independent of these, or, where the cell gives ``speed_mps``, correlated
            with them. Under "ergodic" fading, where rates are means over all states, and under "none", these
            very devices.

        Raises
        ------
        ProblemError
            If `rng` is not a generator, or `elapsed_s` not a time or not of a shape that broadcasts to the batch.

        Notes
        -----
        The complex coefficient h of each link becomes :math:`\rho h + \sqrt{1 - \rho^2}\, w` with a new complex
        normal w and :math:`\rho = J_0(2 \pi v f T / c)`; see :func:`~radioopt.channel.gauss_markov`. Devices move
        over wavelengths, not over the cell: their places stay.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> devices = Scenario.load("feel-cpu").draw(seed=1)
        >>> devices.fade(np.random.default_rng(2)) is devices
        True
        """
        if not isinstance(rng, np.random.Generator):
            raise ProblemError(f"Devices.fade.rng: expected a numpy.random.Generator, got {rng!r}")
        cell = self.scenario.cell
        elapsed: ArrayLike = 0.0 if cell.round_duration_s is None else cell.round_duration_s
        if elapsed_s is not None:
            elapsed = check("Devices.fade", "elapsed_s", elapsed_s, nonnegative)
            self._check_broadcasts("fade.elapsed_s", elapsed.shape, self.batch_shape)
        if cell.fading != "block":
            return self
        rho: Any = 0.0
        if cell.speed_mps is not None:
            assert cell.carrier_frequency_hz is not None  # refused on reading
            rho = np.expand_dims(
                clarke_correlation(
                    speed_mps=cell.speed_mps,
                    carrier_frequency_hz=cell.carrier_frequency_hz,
                    elapsed_s=elapsed,
                ),
                -1,
            )
        fading = {link: gauss_markov(rng, h, rho) for link, h in self._drawn.get(FADING, {}).items()}
        return self._made(
            self.scenario, {**self._drawn, FADING: fading}, self.to_dict(), measured=self._measured
        )

    def with_channel_gain(self, channel_gain: ArrayLike) -> Devices:
        """Return the same devices on other paths, such as a ray tracer's.

        Parameters
        ----------
        channel_gain : array_like of float64, shape (..., K)
            Power gains > 0, linear, one per device; leading axes broadcast to the batch. Of complex
            coefficients take :func:`radioopt.channel.power_gain` first.

        Returns
        -------
        Devices
            With these gains and the links that follow from them, the same hardware and the same state of block
            fading; without ``line_of_sight`` and ``shadowing_db``, which described the former paths.
            ``distance_m`` stays, and no longer says anything about the gain; so do rates that the scenario gives.

        Raises
        ------
        ProblemError
            If a gain is not a positive number, the shape is not that of these devices, or the scenario gives
            rates, which do not follow from gains.

        Notes
        -----
        The gain stands for the *mean* over small-scale fading: under "ergodic" and "block" fading of the
        scenario, Rayleigh fading comes on top. Gains of single channel realisations contain it already; draw
        such devices from a scenario with ``cell.fading = "none"``.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> from radioopt.channel import power_gain
        >>> devices = Scenario.load("feel-cpu").draw(seed=1)
        >>> traced = devices.with_channel_gain(power_gain(np.full(12, 3e-5 + 4e-5j)))
        >>> traced.channel_gain[0].item()
        2.5e-09
        """
        if np.iscomplexobj(channel_gain):
            raise ProblemError(
                "Devices.with_channel_gain.channel_gain: expected power gains, got complex coefficients; "
                "take radioopt.channel.power_gain of them"
            )
        self._refuse_given_rates("with_channel_gain", ())
        gain = check("Devices.with_channel_gain", "channel_gain", channel_gain, positive)
        shape = (*self.batch_shape, self.sizes["device"])
        if gain.shape[-1:] != shape[-1:]:
            raise ProblemError(
                f"Devices.with_channel_gain.channel_gain: expected {shape[-1]} values along the last axis, one per "
                f"device, got shape {gain.shape}"
            )
        self._check_broadcasts("with_channel_gain.channel_gain", gain.shape, shape)
        kept = {k: v for k, v in self.to_dict().items() if k not in _FORMER_PATH}
        return self._made(self.scenario, self._drawn, kept | {"channel_gain": np.broadcast_to(gain, shape)})

    def with_local_samples(self, local_samples: ArrayLike) -> Devices:
        """Return the same devices with other numbers of samples, as a partition of a data set gives them.

        Parameters
        ----------
        local_samples : array_like of float64, shape (..., K)
            Samples >= 1 that each device holds; leading axes broadcast to the batch.

        Returns
        -------
        Devices
            Whose problems know these samples: no batch of "feel" is larger.

        Raises
        ------
        ProblemError
            If a number is below 1, or the shape is not that of these devices.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> devices = Scenario.load("feel-cpu").draw(seed=1).with_local_samples([50] * 12)
        >>> devices.problem("feel").max_batchsize.max().item()
        50.0
        """
        samples = check("Devices.with_local_samples", "local_samples", local_samples, at_least(1))
        shape = (*self.batch_shape, self.sizes["device"])
        self._check_broadcasts("with_local_samples.local_samples", samples.shape, shape)
        given = self.to_dict() | {"local_samples": np.broadcast_to(samples, shape)}
        return self._made(self.scenario, self._drawn, given, measured=self._measured)

    def slower(self, *, compute: ArrayLike = 1.0, upload: ArrayLike = 1.0) -> Devices:
        """Return the same devices with longer times than the scenario says, as measurements tell.

        Parameters
        ----------
        compute : array_like of float64, shape (..., K), default 1
            What compute times of "feel" are multiplied by, > 0: cycles or seconds a sample, an update, and to begin.
        upload : array_like of float64, shape (..., K), default 1
            What uplink rates are divided by, > 0.

        Returns
        -------
        Devices
            Whose problems know these times.

        Raises
        ------
        ProblemError
            If a factor is not positive, or the shape is not that of these devices.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> devices = Scenario.load("feel-cpu").draw(seed=1)
        >>> slower = devices.slower(compute=[3.0] + [1.0] * 11)
        >>> ratio = slower.problem("feel").seconds_per_sample / devices.problem("feel").seconds_per_sample
        >>> ratio[:2]
        array([3., 1.])
        """
        shape = (*self.batch_shape, self.sizes["device"])
        factors = {}
        for name, given in (("compute", compute), ("upload", upload)):
            factor = check("Devices.slower", name, given, positive)
            self._check_broadcasts(f"slower.{name}", factor.shape, shape)
            factors[name] = np.broadcast_to(factor, shape)
        drawn = {
            family: {
                name: value * factors["compute"] if name in _COMPUTING else value
                for name, value in values.items()
            }
            if family == "feel"
            else values
            for family, values in self._drawn.items()
        }
        rates = self.to_dict()
        rates["uplink_rate_bps"] = self.uplink_rate_bps / factors["upload"]
        return self._made(self.scenario, drawn, rates, measured=(*self._measured, "uplink_rate_bps"))

    def follow(self, trace: ChannelTrace, time_s: ArrayLike) -> Devices:
        """Return the same devices with the rates or gains that a trace has at a time.

        Parameters
        ----------
        trace : ChannelTrace
            Of just these devices, by their number or their name (``devices.names`` of the scenario).
        time_s : float or array_like of float64, shape (...)
            Time or times [s]; leading axes broadcast with the batch, so that many times make one device into a batch.

        Returns
        -------
        Devices
            Rates of the trace are used as they are: they take the place of those that follow from power and gain, or
            that the scenario gives, and there is no ``uplink_snr`` or ``downlink_snr`` beside them. Gains take the
            place of the path as in :meth:`with_channel_gain`. Whatever the trace does not have is as it was.

        Raises
        ------
        ProblemError
            If the trace lacks a device or has an unknown one, does not go so far, or its shape does not fit; if it
            has gains and the rates are given, or rates that would have to fade (``cell.fading = "block"``).

        Notes
        -----
        Gains stand for the mean over small-scale fading, which comes on top according to ``cell.fading``; for gains
        that contain it, take "none".

        Examples
        --------
        >>> from radioopt import ChannelTrace, Scenario
        >>> devices = Scenario.load("feel-cpu", {"devices.count": 2}).draw(seed=1)
        >>> trace = ChannelTrace.from_arrays([0.0, 10.0], uplink_rate_bps=[[2e7, 3e7], [4e7, 1e7]])
        >>> devices.follow(trace, 5.0).uplink_rate_bps
        array([20000000., 30000000.])
        >>> devices.follow(trace, trace.times).problem("feel").solve().batchsize.shape
        (2, 2)
        """
        if not isinstance(trace, ChannelTrace):
            raise ProblemError(
                f"Devices.follow.trace: expected a radioopt.ChannelTrace, as ChannelTrace.from_csv(...), got {trace!r}"
            )
        order = trace.positions(self.sizes["device"], self.scenario.devices.names)
        found = {name: values[..., order] for name, values in trace.at(time_s).items()}
        rates = tuple(name for name in _RATES if name in found)
        if rates and self.scenario.cell.fading == "block":
            raise ProblemError(
                f"Devices.follow: {trace.name} has {rates[0]}, and a rate that is given does not fade: leave out "
                'fading = "block"'
            )
        if "channel_gain" in found:
            self._refuse_given_rates("follow", rates)
        times = np.shape(time_s)
        try:
            batch = np.broadcast_shapes(times, self.batch_shape)
        except ValueError:
            raise ProblemError(
                f"Devices.follow.time_s: expected a shape that broadcasts with {self.batch_shape}, got {times}"
            ) from None
        replaced = {name.replace("_rate_bps", "_snr") for name in rates}
        replaced |= _FORMER_PATH if "channel_gain" in found else set()
        kept = {name: value for name, value in self.to_dict().items() if name not in replaced}

        def spread(value: Array) -> Array:
            core = value.shape[len(self.batch_shape) :]
            return np.broadcast_to(value, (*batch, *core))

        drawn = {
            family: {name: spread(value) for name, value in values.items()}
            for family, values in self._drawn.items()
        }
        measured = tuple(name for name in _RATES if name in {*self._measured, *rates})
        return self._made(self.scenario, drawn, kept | found, measured=measured)

    def _refuse_given_rates(self, what: str, replaced: tuple[str, ...]) -> None:
        """Refuse gains where rates are given, which do not follow from them; but for those that are replaced."""
        for name in _RATES:
            if name in {*self.scenario.devices.laws, *self._measured} and name not in replaced:
                raise ProblemError(f"Devices.{what}: devices.{name} is given; no gain changes it")

    @staticmethod
    def _check_broadcasts(name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> None:
        """Refuse an argument whose shape does not broadcast to that of these devices."""
        try:
            fits = np.broadcast_shapes(shape, target) == target
        except ValueError:
            fits = False
        if not fits:
            raise ProblemError(f"Devices.{name}: expected a shape that broadcasts to {target}, got {shape}")

    def drawn(self, family: str) -> Mapping[str, Array]:
        """Return what was drawn for the table of a family: its settings, for every device.

        Parameters
        ----------
        family : str
            Name of a problem table of the scenario, e.g. "feel".

        Returns
        -------
        mapping of str to ndarray
            Settings by their name in that table, shapes (...) or (..., K); without those that are text.

        Raises
        ------
        ProblemError
            If the scenario has no table of that name.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> Scenario.load("feel-cpu").draw(seed=1).drawn("feel")["max_batchsize"].max().item()
        128.0
        """
        self._table(family)
        return MappingProxyType(self._drawn[family])

    def _table(self, family: str) -> Any:
        """Return the settings of a family's table, or refuse a scenario without it."""
        settings = self.scenario.problems.get(family)
        if settings is None:
            known = ", ".join(f"[{name}]" for name in self.scenario.problems) or "none"
            raise ProblemError(
                f"scenario {self.scenario.name!r} has no table [{family}]; its problems: {known}"
            )
        return settings

    def problem(self, family: str, **overrides: Any) -> Problem[Any]:
        """Pose the problem of a family to these devices, with the settings of its table in the scenario.

        Parameters
        ----------
        family : str
            Name of a problem table of the scenario, e.g. "feel".
        **overrides
            Settings to change, by their name in that table: numbers or arrays with leading batch axes.

        Returns
        -------
        Problem
            A problem of that family, with the batch axes of the devices.

        Raises
        ------
        ProblemError
            If the scenario has no table of that name, an override no key of that name, the problem needs a
            quantity that the scenario does not give, or a value is refused.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> devices = Scenario.load("feel-cpu").draw(seed=1)
        >>> devices.problem("feel", max_batchsize=64).max_batchsize.max().item()
        64.0
        """
        from radioopt.scenario.hooks import hook

        settings = self._table(family)
        laws = settings.law_fields()
        options = [name for name, field in type(settings).model_fields.items() if not field.is_required()]
        for name in overrides:
            if name not in {*laws, *options}:
                guess = suggestion(name, {*laws, *options})
                raise ProblemError(f'Devices.problem("{family}"): unknown setting {name}{guess}')
        values = {name: value for name, value in overrides.items() if name in laws}
        changed = {name: value for name, value in overrides.items() if name not in laws}
        if changed:
            settings = settings.model_copy(update=changed)  # the problem refuses what it does not know
        try:
            problem: Problem[Any] = hook(family).build(self, settings, {**self._drawn[family], **values})
        except MissingQuantityError as error:
            raise MissingQuantityError(f"{error}, which [{family}] needs") from None
        except (MemoryError, ValueError) as error:
            if isinstance(error, MemoryError) or str(error).startswith(_TOO_LARGE):
                raise ProblemError(
                    f"[{family}]: its counts ask for more memory than there is: {error}"
                ) from None
            raise
        if isinstance(problem, Record):
            for name in values.keys() & problem.quantities.keys():
                look_at(f'Devices.problem("{family}")', problem.quantities[name], values[name], strict=False)
            problem.__dict__["_strict"] = False
            problem._label(self.labels)
        return problem
