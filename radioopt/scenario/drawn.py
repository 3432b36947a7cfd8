"""What a scenario drew: quantities in SI units that follow from laws, links that follow from quantities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from radioopt.base.errors import ProblemError
from radioopt.base.layout import Layout
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    Array,
    Quantity,
    at_least,
    finite,
    fraction,
    nonnegative,
    positive,
    quantity,
)
from radioopt.base.record import Record
from radioopt.channel import ergodic_rate_bps, power_gain, rate_bps, rayleigh_coefficient, snr
from radioopt.scenario.pick import positions_of

if TYPE_CHECKING:
    import os

    from radioopt.scenario.scenario import Scenario

_GIVEN_BY = {
    "line_of_sight": "a cell.path_loss of TR 38.901",
    "shadowing_db": "cell.shadowing = true",
    "downlink_power_w": "radio.downlink_power_dbm",
    "downlink_snr": "radio.downlink_power_dbm",
    "downlink_rate_bps": "radio.downlink_power_dbm or devices.downlink_rate_bps",
    "uplink_snr": "power and gain but devices.uplink_rate_bps",
    "bandwidth_hz": "radio.bandwidth_hz",
    "transmit_power_w": "devices.transmit_power_dbm",
    "channel_gain": "devices.channel_gain or devices.distance_m",
}
#: among what was drawn, beside the families: the coefficient of each link
FADING = "cell.fading"


class MissingQuantityError(ProblemError, AttributeError):
    """A quantity of the devices that their scenario does not give; the message names the key to add."""


class Drawn(Record):
    """The quantities of devices, some of which a scenario may not give, and the links that follow from them.

    What can be done with them is :class:`~radioopt.scenario.devices.Devices`.
    """

    distance_m: Quantity = quantity("m", positive, DEVICE, "distance to the base station")
    channel_gain: Quantity = quantity("1", positive, DEVICE, "mean power gain of the path")
    line_of_sight: Quantity = quantity("1", fraction, DEVICE, "whether in line of sight", dtype=np.bool_)
    shadowing_db: Quantity = quantity("dB", finite, DEVICE, "loss by shadowing, in the gain")
    transmit_power_w: Quantity = quantity("W", positive, DEVICE, "power of the device")
    uplink_snr: Quantity = quantity("1", positive, DEVICE, "uplink SNR, whole bandwidth")
    uplink_rate_bps: Quantity = quantity("bit/s", positive, DEVICE, "uplink rate, whole bandwidth")
    downlink_snr: Quantity = quantity("1", positive, DEVICE, "downlink SNR, whole bandwidth")
    downlink_rate_bps: Quantity = quantity("bit/s", positive, DEVICE, "downlink rate, whole bandwidth")
    cpu_frequency_hz: Quantity = quantity("Hz", positive, DEVICE, "CPU frequency")
    energy_coefficient: Quantity = quantity("J/Hz^2", nonnegative, DEVICE, "effective switched capacitance")
    local_samples: Quantity = quantity("samples", at_least(1), DEVICE, "samples held")
    bandwidth_hz: Quantity = quantity("Hz", positive, PER_INSTANCE, "bandwidth of the cell")
    noise_psd_w_per_hz: Quantity = quantity("W/Hz", positive, PER_INSTANCE, "noise density at the receiver")
    downlink_power_w: Quantity = quantity("W", positive, PER_INSTANCE, "power of the base station")

    scenario: Scenario
    _drawn: Mapping[str, Mapping[str, Array]]
    _measured: tuple[str, ...]

    @classmethod
    def _made(
        cls,
        scenario: Scenario,
        drawn: Mapping[str, Mapping[str, Array]],
        given: Mapping[str, Any],
        rng: np.random.Generator | None = None,
        measured: tuple[str, ...] = (),
    ) -> Self:
        """Make devices of the quantities given, which may be fewer than declared, and add their links.

        Under block fading `rng` draws the coefficients that are not among what was `drawn`. Rates that are `measured`,
        or that the scenario gives, are used as they are.
        """
        given = dict(given)
        if "line_of_sight" in given:
            given["line_of_sight"] = np.asarray(given["line_of_sight"], np.float64)
        powers = {"uplink": given.get("transmit_power_w"), "downlink": given.get("downlink_power_w")}
        if powers["downlink"] is not None:
            powers["downlink"] = np.expand_dims(powers["downlink"], -1)
        fading = dict(drawn.get(FADING, {}))
        for link, power in powers.items():
            if power is None or f"{link}_rate_bps" in {*scenario.devices.laws, *measured}:
                continue
            bandwidth = np.expand_dims(given["bandwidth_hz"], -1)
            ratio = snr(
                transmit_power_w=power,
                channel_gain=given["channel_gain"],
                noise_psd_w_per_hz=np.expand_dims(given["noise_psd_w_per_hz"], -1),
                bandwidth_hz=bandwidth,
            )
            if scenario.cell.fading == "block":
                if link not in fading:
                    assert rng is not None
                    fading[link] = rayleigh_coefficient(rng, np.shape(ratio))
                ratio = ratio * power_gain(fading[link])
            rate = (ergodic_rate_bps if scenario.cell.fading == "ergodic" else rate_bps)(ratio, bandwidth)
            given |= {f"{link}_snr": ratio, f"{link}_rate_bps": rate}
        if fading:
            drawn = {**drawn, FADING: fading}
        quantities = {name: declared for name, declared in cls.quantities.items() if name in given}
        devices = object.__new__(cls)
        devices.__dict__.update(
            scenario=scenario,
            _drawn=drawn,
            _measured=measured,
            quantities=quantities,
            _layout=Layout.of(quantities),
        )
        devices._read(cls.__name__, given)
        if scenario.devices.names is not None:
            devices._label({"device": scenario.devices.names})
        return devices

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is read-only: cannot set {name}")

    def _value(self, name: str) -> Any:
        if name not in self.quantities:
            key = _GIVEN_BY.get(name, f"devices.{name}")
            raise MissingQuantityError(f"{type(self).__name__}.{name}: the scenario does not give {key}")
        return super()._value(name)

    def __getitem__(self, index: Any) -> Self:
        """Select devices of a single draw, ``devices[[0, 3]]``, as :meth:`pick` does, or draws of a batch."""
        return super().__getitem__(index) if self.batch_shape else self.pick(index)

    def pick(self, which: Any) -> Self:
        """Return some of the devices, in another order if wanted, with all that they drew.

        Parameters
        ----------
        which : int, slice, or array_like of int, bool or str
            Positions along the axis of devices, a mask, or names (``devices.names`` of the scenario).

        Returns
        -------
        Devices
            These devices, of a scenario with as many; of every draw of a batch. One is still an axis of length 1.

        Raises
        ------
        ProblemError
            If a position or a name does not exist, or nothing or a device twice is chosen.

        Examples
        --------
        >>> from radioopt import Scenario
        >>> devices = Scenario.load("feel-cpu").draw(seed=1)
        >>> devices[[0, 3]].problem("feel").solve().batchsize.shape
        (2,)
        >>> fast = devices[devices.cpu_frequency_hz > 1e9]
        >>> fast.sizes["device"], fast.scenario.devices.count
        (8, 8)
        """
        positions = positions_of(which, self.sizes["device"], self.scenario.devices.names or ())

        def chosen(value: Array, per_device: bool) -> Array:
            return value[..., positions] if per_device else value

        drawn = {
            family: {
                name: chosen(value, family == FADING or self.scenario.problems[family].laws[name].per_device)
                for name, value in values.items()
            }
            for family, values in self._drawn.items()
        }
        given_all = {
            name: chosen(value, bool(self.quantities[name].axes)) for name, value in self.to_dict().items()
        }
        return self._made(self.scenario.only(positions.tolist()), drawn, given_all, measured=self._measured)

    def _selected_context(self, positions: Array) -> dict[str, Any]:
        def select(value: Array) -> Array:
            core = value.shape[len(self.batch_shape) :]
            return value.reshape(math.prod(self.batch_shape), *core).take(positions, axis=0)

        drawn = {
            family: {name: select(value) for name, value in values.items()}
            for family, values in self._drawn.items()
        }
        own = {name: self.__dict__[name] for name in ("scenario", "quantities", "_layout", "_measured")}
        return own | {"_drawn": drawn}

    def __eq__(self, other: object) -> bool:
        """Equal if from equal scenarios, and equal in every quantity and in all that their problems drew."""
        if not isinstance(other, Drawn):
            return NotImplemented
        return (
            self.scenario == other.scenario
            and self._measured == other._measured
            and [*self.quantities] == [*other.quantities]
            and super().__eq__(other) is True
            and all(
                np.array_equal(value, other._drawn[family][name])
                for family, values in self._drawn.items()
                for name, value in values.items()
            )
        )

    __hash__ = None

    def __getstate__(self) -> dict[str, Any]:
        """Copy or pickle what was drawn; the links follow from it."""
        return {
            "scenario": self.scenario,
            "drawn": self._drawn,
            "given": self.to_dict(),
            "measured": self._measured,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore copied or unpickled devices, every bit as it was."""
        made = self._made(state["scenario"], state["drawn"], state["given"], measured=state["measured"])
        self.__dict__.update(made.__dict__)

    def save(self, path: str | os.PathLike[str]) -> NoReturn:
        """Refuse: a scenario and a seed are the same devices in less space.

        Parameters
        ----------
        path : path-like
            Unused.

        Raises
        ------
        ProblemError
            Always.
        """
        raise ProblemError(
            "Devices.save: keep the scenario and the seed, which draw the same devices, or save a problem"
        )
