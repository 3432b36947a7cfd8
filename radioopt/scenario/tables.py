"""The tables of a scenario file as pydantic models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    model_validator,
)

from radioopt.base.errors import ProblemError, suggestion
from radioopt.base.plausible import RANGES
from radioopt.base.quantity import (
    DEVICE,
    Domain,
    at_least,
    finite,
    nonnegative,
    positive,
    quantity,
    shorten,
)
from radioopt.base.rooms import with_room
from radioopt.channel import PATH_LOSS_MODELS, TR38901_MODELS, PathLossModel, PowerLaw, Tr38901
from radioopt.scenario.devices import Devices
from radioopt.scenario.laws import Law, Number, Of
from radioopt.units import db_to_linear, dbm_per_hz_to_w_per_hz, dbm_to_w, w_to_dbm

# Decibels: no transmitter sends less than 1 nW, and none 100 kW; the slips are noise or gains given as power, and mW
# given as dBm. Numbers in SI units are refused beyond what radioopt.base.plausible has.
_level = Domain("between -200 and 200 dBm", -200.0, 200.0)
_sent = Domain("between -60 and 80 dBm", -60.0, 80.0)
# Thermal noise is -174 dBm/Hz at 290 K. No receiver is 54 dB worse, and none at less than 1 K.
_LOWEST_PSD, _HIGHEST_PSD = -200.0, -120.0


class At(ValueError):
    """Something wrong with one key, noticed while looking at its whole table."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


class Table(BaseModel):
    """A table of a scenario file: frozen, and strict about keys and types.

    Fields are laws, ``Annotated[Law, Of(quantity)]`` (``Law | None`` with the default None where the table
    may leave it out), numbers, ``Annotated[float, Number(domain)]``, or choices, ``Literal[...]``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    @cache
    def law_fields(cls) -> tuple[str, ...]:
        """Names of the fields that are laws."""
        return tuple(
            name for name, field in cls.model_fields.items() if any(isinstance(m, Of) for m in field.metadata)
        )

    @property
    def laws(self) -> dict[str, Law]:
        """The laws given, by name."""
        return {name: law for name in self.law_fields() if (law := getattr(self, name)) is not None}

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        unknown = [key for key in data if key not in cls.model_fields] if isinstance(data, Mapping) else []
        if unknown:
            raise At(unknown[0], f"unknown key{suggestion(unknown[0], cls.known_keys())}")
        return data

    @classmethod
    def known_keys(cls) -> list[str]:
        """Keys to suggest in place of an unknown one."""
        return list(cls.model_fields)


def _read_path_loss(value: Any) -> str | PowerLaw:
    if isinstance(value, str) and (value in PATH_LOSS_MODELS or value in TR38901_MODELS):
        return value
    gains = {"gain_at_1m", "gain_at_1m_db"}
    if isinstance(value, Mapping) and "exponent" in value and set(value) <= {"exponent", *gains}:
        if gains <= set(value):
            raise ValueError("give gain_at_1m or gain_at_1m_db, not both")
        try:
            given: dict[str, Any] = dict(value)
            if "gain_at_1m_db" in given:
                given["gain_at_1m"] = db_to_linear(given.pop("gain_at_1m_db"))
            return PowerLaw(**given)
        except ProblemError as error:
            raise ValueError(str(error)) from None
    names = ", ".join(map(repr, [*PATH_LOSS_MODELS, *TR38901_MODELS]))
    raise ValueError(f"expected {names} or {{ exponent = ..., gain_at_1m = ... }}, got {shorten(value)}")


def _write_path_loss(value: str | PowerLaw) -> Any:
    return value if isinstance(value, str) else {"exponent": value.exponent, "gain_at_1m": value.gain_at_1m}


class Cell(Table):
    """``[cell]``: where devices are and how their signals travel.

    Attributes
    ----------
    radius_m : float, optional
        Devices are placed uniformly over the area of a disc of this radius in [1, 1e5] [m], unless
        ``devices.distance_m`` is given instead.
    min_distance_m : float, default 35
        No device is placed nearer to the base station [m].
    path_loss : str or PowerLaw, default "tr36942_urban_macro_2ghz"
        Name of an entry of :data:`radioopt.channel.PATH_LOSS_MODELS` or :data:`radioopt.channel.TR38901_MODELS`,
        or the table ``{ exponent = 3.0, gain_at_1m = 1e-3 }``, where ``gain_at_1m_db = -30.0`` is the same.
    carrier_frequency_hz : float, optional
        Carrier frequency > 0 [Hz]; for a model of TR 38.901 and for devices that move.
    base_station_height_m, device_height_m : float, optional
        Antenna heights [m], for a model of TR 38.901 alone; by default 25 (UMa) or 10 (UMi), and 1.5.
    line_of_sight : bool, optional
        State of all links, for a model of TR 38.901 alone; by default it is drawn for each.
    shadowing : bool, default False
        Whether each link has log-normal shadowing, drawn with its place.
    shadowing_std_db : float, optional
        Standard deviation of shadowing >= 0 [dB]; by default the path loss model's own.
    fading : {"ergodic", "block", "none"}, default "ergodic"
        Rayleigh fading that changes much within a round, so that rates are means over it; or that keeps one
        state for a round; or no fading beside the channel gain, as for gains measured or traced.
    speed_mps : float, optional
        Speed of the devices >= 0 [m/s], for "block" fading: one block resembles the one before according to
        Clarke's model. By default blocks are independent.
    round_duration_s : float, optional
        Time > 0 between two blocks [s]; with `speed_mps`.
    """

    radius_m: Annotated[float | None, Number(positive, plausible=RANGES["distance_m"])] = None
    min_distance_m: Annotated[float, Number(nonnegative)] = 35.0
    path_loss: Annotated[Any, BeforeValidator(_read_path_loss), PlainSerializer(_write_path_loss)] = (
        "tr36942_urban_macro_2ghz"
    )
    carrier_frequency_hz: Annotated[float | None, Number(positive)] = None
    base_station_height_m: Annotated[float | None, Number(positive)] = None
    device_height_m: Annotated[float | None, Number(positive)] = None
    line_of_sight: bool | None = None
    shadowing: bool = False
    shadowing_std_db: Annotated[float | None, Number(nonnegative)] = None
    fading: Literal["ergodic", "block", "none"] = "ergodic"
    speed_mps: Annotated[float | None, Number(nonnegative)] = None
    round_duration_s: Annotated[float | None, Number(positive)] = None

    @model_validator(mode="after")
    def _ring(self) -> Self:
        if self.radius_m is not None and self.min_distance_m >= self.radius_m:
            raise At(
                "min_distance_m",
                f"expected less than radius_m = {self.radius_m:g}, got {self.min_distance_m:g}",
            )
        return self

    @model_validator(mode="after")
    def _propagation(self) -> Self:
        if self.path_loss not in TR38901_MODELS:
            for key in ("base_station_height_m", "device_height_m", "line_of_sight"):
                if getattr(self, key) is not None:
                    raise At(key, f"belongs to path_loss = {' or '.join(map(repr, TR38901_MODELS))}")
        elif self.carrier_frequency_hz is None:
            raise At("carrier_frequency_hz", f"missing: path_loss = {self.path_loss!r} needs it")
        try:
            model = self.path_loss_model
        except ProblemError as error:  # its parameters are named as the keys
            name, _, text = str(error).partition(": ")
            raise At(name.rpartition(".")[2], text) from None
        if isinstance(model, Tr38901) and self.radius_m is not None:
            low, high = model.distance_range_m
            for key in ("min_distance_m", "radius_m"):
                if not low <= getattr(self, key) <= high:
                    raise At(
                        key, f"expected {low:g} to {high:g} m, as in TR 38.901, got {getattr(self, key):g}"
                    )
        if self.shadowing_std_db is not None and not self.shadowing:
            raise At("shadowing_std_db", "belongs to shadowing = true")
        unknown = model.shadowing_std_db is None and not isinstance(model, Tr38901)
        if self.shadowing and self.shadowing_std_db is None and unknown:
            raise At("shadowing_std_db", "missing: this path loss names none")
        return self

    @model_validator(mode="after")
    def _mobility(self) -> Self:
        if self.speed_mps is None:
            if self.round_duration_s is not None:
                raise At("round_duration_s", "belongs to speed_mps")
            return self
        if self.fading != "block":
            raise At("speed_mps", 'belongs to fading = "block"')
        for key in ("carrier_frequency_hz", "round_duration_s"):
            if getattr(self, key) is None:
                raise At(key, "missing: speed_mps needs it")
        return self

    @property
    def path_loss_model(self) -> PathLossModel:
        """The model with its parameters."""
        if not isinstance(self.path_loss, str):
            return cast(PathLossModel, self.path_loss)
        if self.path_loss in PATH_LOSS_MODELS:
            return PATH_LOSS_MODELS[self.path_loss]
        keys = ("carrier_frequency_hz", "base_station_height_m", "device_height_m", "line_of_sight")
        given = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        return TR38901_MODELS[self.path_loss](**given)


class Radio(Table):
    """``[radio]``: the band, the noise in it and the power of the base station.

    Attributes
    ----------
    bandwidth_hz : float, optional
        Bandwidth of the cell in [1e3, 1e12] [Hz]; only devices with rates of their own do without.
    noise_psd_dbm_per_hz : float, default -174
        Noise *density* [dBm/Hz], thermal noise by default; it is multiplied by the bandwidth.
    noise_power_dbm : float, optional
        *Total* noise power in the bandwidth [dBm], noise figure included; given instead of the density.
    noise_figure_db : float, default 0
        Noise figure of the receivers >= 0 [dB], on top of the density.
    downlink_power_dbm : float, optional
        Power of the base station in [-60, 80] [dBm]; without it there is no downlink.

    Notes
    -----
    Density and total are 70 dB apart at 10 MHz, and a mistake between the two leaves every result wrong and
    plausible to look at. So a density outside [-200, -120] dBm/Hz is refused, and so is a total that amounts
    to less than -200 dBm/Hz; a scenario with a real reason for more noise gives the total.
    """

    bandwidth_hz: Annotated[float | None, Number(positive, plausible=RANGES["bandwidth_hz"])] = None
    noise_psd_dbm_per_hz: Annotated[float | None, Number(finite)] = None
    noise_power_dbm: Annotated[float | None, Number(_level)] = None
    noise_figure_db: Annotated[float, Number(Domain("between 0 and 100 dB", 0.0, 100.0))] = 0.0
    downlink_power_dbm: Annotated[float | None, Number(_sent)] = None

    @model_validator(mode="before")
    @classmethod
    def _thermal_noise(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and not {"noise_psd_dbm_per_hz", "noise_power_dbm"} & set(data):
            return {**data, "noise_psd_dbm_per_hz": -174.0}
        return data

    @model_validator(mode="after")
    def _one_noise(self) -> Self:
        density, total = self.noise_psd_dbm_per_hz, self.noise_power_dbm
        if total is None:
            assert density is not None  # the default stands in for it
            if not _LOWEST_PSD <= density <= _HIGHEST_PSD:
                raise At(
                    "noise_psd_dbm_per_hz",
                    f"expected a density between {_LOWEST_PSD:g} and {_HIGHEST_PSD:g} dBm/Hz "
                    f"(thermal noise is -174), got {density:g}; "
                    + (
                        "a total over the bandwidth is noise_power_dbm"
                        if density > _HIGHEST_PSD
                        else "is it in dBW/Hz? That is 30 less"
                    ),
                )
            return self
        if self.bandwidth_hz is None:
            raise At("noise_power_dbm", "this total is over bandwidth_hz: give both")
        if density is not None:
            raise At(
                "noise_power_dbm",
                "give this total over the bandwidth or the density noise_psd_dbm_per_hz, not both",
            )
        if self.noise_figure_db:
            raise At("noise_figure_db", "belongs to noise_psd_dbm_per_hz; noise_power_dbm includes it")
        implied = total - cast(float, w_to_dbm(self.bandwidth_hz)) + 30.0
        if implied < _LOWEST_PSD:
            raise At(
                "noise_power_dbm",
                f"expected the total over the bandwidth, got {total:g} dBm, only {implied:.1f} dBm/Hz "
                "(thermal noise is -174); a density is noise_psd_dbm_per_hz",
            )
        return self

    @property
    def noise_psd_w_per_hz(self) -> float:
        """Noise density with the noise figure [W/Hz]."""
        if self.noise_power_dbm is not None:
            return float(dbm_to_w(self.noise_power_dbm)) / cast(float, self.bandwidth_hz)
        assert self.noise_psd_dbm_per_hz is not None
        return float(dbm_per_hz_to_w_per_hz(self.noise_psd_dbm_per_hz) * db_to_linear(self.noise_figure_db))


_of = Devices.quantities


class DeviceTable(Table):
    """``[devices]``: how many there are, and a law for each of their quantities.

    Attributes
    ----------
    count : int
        Number of devices >= 1.
    transmit_power_dbm, transmit_power_w : Law
        Power of a device in [-60, 80] [dBm] or [1e-9, 10] [W], one of the two; a random law in dBm is over decibels.
    distance_m, channel_gain : Law, optional
        Distance to the base station in [1, 1e5] [m], or mean power gain of the path in [1e-30, 1], instead of placement
        in the cell. With both, the gain counts.
    uplink_rate_bps, downlink_rate_bps : Law, optional
        Mean rate in [100, 1e13] of a device that holds the whole band [bit/s], used as it is instead of computed from
        power and gain.
    cpu_frequency_hz, energy_coefficient, local_samples : Law, optional
        CPU frequency in [1e6, 1e12] [Hz], effective switched capacitance >= 0 [J/Hz^2], samples held >= 1, for the
        problems that need them.
    names : list of str, optional
        Names of the devices, for tables, pictures and traces; a column ``device`` or ``name`` of a table gives them.
    """

    count: Annotated[int, Number(at_least(1), whole=True)]
    transmit_power_dbm: Annotated[Law | None, Of(quantity("dBm", _sent, DEVICE, "power of the device"))] = (
        None
    )
    transmit_power_w: Annotated[Law | None, Of(_of["transmit_power_w"])] = None
    distance_m: Annotated[Law | None, Of(_of["distance_m"])] = None
    channel_gain: Annotated[Law | None, Of(_of["channel_gain"])] = None
    uplink_rate_bps: Annotated[Law | None, Of(_of["uplink_rate_bps"])] = None
    downlink_rate_bps: Annotated[Law | None, Of(_of["downlink_rate_bps"])] = None
    cpu_frequency_hz: Annotated[Law | None, Of(_of["cpu_frequency_hz"])] = None
    energy_coefficient: Annotated[Law | None, Of(_of["energy_coefficient"])] = None
    local_samples: Annotated[Law | None, Of(_of["local_samples"])] = None
    names: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_are_a_list(cls, data: Any) -> Any:
        names = data.get("names") if isinstance(data, Mapping) else None
        if names is None:
            return data
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise At("names", f"expected a list of texts, one per device, got {shorten(names)}")
        return {**data, "names": tuple(names)}

    @model_validator(mode="after")
    def _one_name_each(self) -> Self:
        if self.names is not None and len(self.names) != self.count:
            raise At(
                "names", f"expected {self.count} names, one per device (devices.count), got {len(self.names)}"
            )
        return self

    @classmethod
    def known_keys(cls) -> list[str]:
        """Keys of the table, and the one that is read before: a CSV file with a line per device."""
        return [*cls.model_fields, "file"]


class File(Table):
    """A whole scenario file, apart from its problem tables."""

    name: str = ""
    cell: Cell = Cell()
    radio: Radio = Radio()
    devices: DeviceTable

    @classmethod
    def known_keys(cls) -> list[str]:
        """Keys of every file, and the families that may have a table."""
        return [*File.model_fields, *with_room("radioopt", "scenario")]

    @model_validator(mode="after")
    def _placement(self) -> Self:
        laws, radius = self.devices.laws, self.cell.radius_m is not None
        for key in ("distance_m", "channel_gain"):
            if key in laws and radius:
                raise At(f"devices.{key}", "give this or cell.radius_m to place devices in, not both")
        if {"transmit_power_w", "transmit_power_dbm"} <= set(laws):
            raise At("devices.transmit_power_w", "give this or transmit_power_dbm, not both")
        rates = [f"{link}_rate_bps" for link in ("uplink", "downlink") if f"{link}_rate_bps" in laws]
        if rates and self.cell.fading == "block":
            raise At(f"devices.{rates[0]}", 'a rate that is given does not fade: leave out fading = "block"')
        uplink = "uplink_rate_bps" not in rates
        downlink = self.radio.downlink_power_dbm is not None and "downlink_rate_bps" not in rates
        if uplink and not {"transmit_power_w", "transmit_power_dbm"} & set(laws):
            raise At(
                "devices.transmit_power_dbm",
                "missing, and so is devices.uplink_rate_bps: the power of a device gives its uplink rate",
            )
        if (uplink or downlink) and self.radio.bandwidth_hz is None:
            raise At("radio.bandwidth_hz", "missing")
        if (uplink or downlink) and not radius and not {"distance_m", "channel_gain"} & set(laws):
            raise At(
                "cell.radius_m",
                "missing, and so are devices.distance_m and devices.channel_gain: give one of them",
            )
        for table, settings in self:
            for key, law in settings.laws.items() if isinstance(settings, Table) else ():
                law.check_count(f"{table}.{key}", self.devices.count)
        if "channel_gain" in laws and self.cell.shadowing:
            raise At("cell.shadowing", "leave it out: devices.channel_gain is the whole gain of the path")
        model = self.cell.path_loss_model
        if self.devices.distance_m is not None and isinstance(model, Tr38901):
            low, high = model.distance_range_m
            for value in self.devices.distance_m.values:
                if not low <= value <= high:
                    raise At(
                        "devices.distance_m",
                        f"expected {low:g} to {high:g} m, as in TR 38.901, got {value:g}",
                    )
        return self
