"""Scenario: a cell, its devices and their problems, read from a file and drawn as often as needed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from radioopt.base.errors import ProblemError, suggestion
from radioopt.base.quantity import Array, shorten
from radioopt.channel import distances_m, lognormal_shadowing_db, uniform_in_disc
from radioopt.channel.draws import check_draw
from radioopt.scenario.columns import configured, per_device
from radioopt.scenario.devices import Devices
from radioopt.scenario.reading import read, with_files
from radioopt.scenario.tables import Cell, DeviceTable, Radio, Table
from radioopt.units import db_to_linear, dbm_to_w

if TYPE_CHECKING:
    import pandas as pd

    DeviceSource = str | os.PathLike[str] | pd.DataFrame | None

Seed = int | np.random.SeedSequence | np.random.Generator | None


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A cell with its devices and the problems they pose; :meth:`draw` makes the devices.

    Read one with :meth:`load` or :meth:`from_dict`, which check it.

    Attributes
    ----------
    name : str
        A title.
    cell : Cell
        Placement, path loss and fading.
    radio : Radio
        Bandwidth, noise and power of the base station.
    devices : DeviceTable
        Number of devices, and a law for each of their quantities.
    problems : mapping of str to Table
        Settings of each problem family that has a table, by name.

    Examples
    --------
    >>> scenario = Scenario.load("feel-cpu")
    >>> devices = scenario.draw(seed=1)
    >>> solution = devices.problem("feel").solve()
    >>> solution.batchsize.shape
    (12,)
    >>> scenario.draw(seed=1, size=10_000).uplink_rate_bps.shape
    (10000, 12)
    """

    name: str
    cell: Cell
    radio: Radio
    devices: DeviceTable
    problems: Mapping[str, Table] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        changes: Mapping[str, Any] | None = None,
        *,
        devices: DeviceSource = None,
    ) -> Scenario:
        """Read a scenario from a TOML file, or one that comes with radioopt by its name.

        Parameters
        ----------
        path : path-like
            A file, or a bare name without suffix and folder out of :meth:`examples`.
        changes : mapping of str to Any, optional
            As of :meth:`replace`, made before anything is checked.
        devices : path-like or pandas.DataFrame, optional
            As of :meth:`replace`. Default: as the file says, whose key ``devices.file`` may name a CSV file,
            relative to its own folder.

        Returns
        -------
        Scenario
            The checked scenario.

        Raises
        ------
        ProblemError
            If the file is not TOML (file, line and column named); for each key that is unknown, missing or
            has a value out of its type or range; for each mistake in the table of devices; or if no scenario of
            that name comes with radioopt.
        OSError
            If the file cannot be read.

        Examples
        --------
        >>> Scenario.load("feel-cpu").devices.count
        12
        >>> Scenario.load("feel-cpu", {"radio.bandwidth_hz": 5e6}).radio.bandwidth_hz
        5000000.0
        """
        folder = Path()
        if not isinstance(path, (str, os.PathLike)):
            raise ProblemError(
                f"Scenario.load: expected the name of a shipped scenario or the path of a TOML file, "
                f"got {shorten(path)}"
            )
        if isinstance(path, str) and re.fullmatch(r"[\w-]+", path):
            source, data = f"{path}.toml", shipped(path).encode()
        else:
            source, data, folder = os.fspath(path), Path(path).read_bytes(), Path(path).parent
        text = _text(source, data)
        try:
            config = tomllib.loads(text)
        except (
            ValueError,
            RecursionError,
        ) as error:  # thousands of digits, or of brackets, are none of TOML's
            if not isinstance(error, tomllib.TOMLDecodeError):
                raise ProblemError(f"{source}: not TOML that can be read: {error}") from None
            what, _, _ = str(error).rpartition(" (at ")
            place = re.search(r"line (\d+), column (\d+)", str(error))
            line, column = place.groups() if place else (data.count(b"\n") + 1, len(data) - data.rfind(b"\n"))
            raise ProblemError(f"{source}, line {line}, column {column}: not TOML: {what}") from None
        config = configured(with_files(config, folder), changes, devices, folder=folder)
        try:
            return cls.from_dict(config)
        except ProblemError as error:
            lines = str(error).splitlines()
            raise ProblemError("\n".join(f"{source}: {line}" for line in lines)) from None

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], *, devices: DeviceSource = None) -> Scenario:
        """Check a configuration given as nested dictionaries.

        Parameters
        ----------
        config : mapping
            Tables by name, as in a file; a path in ``devices.file`` is relative to the working directory.
        devices : path-like or pandas.DataFrame, optional
            As of :meth:`replace`.

        Returns
        -------
        Scenario
            The checked scenario.

        Raises
        ------
        ProblemError
            With a line for each key that is unknown, missing or has a value out of its type or range, and for
            each mistake in the table of devices.

        Examples
        --------
        >>> config = Scenario.load("feel-cpu").to_dict()
        >>> config["devices"]["count"] = 0
        >>> Scenario.from_dict(config)
        Traceback (most recent call last):
            ...
        radioopt.base.errors.ProblemError: devices.count: expected >= 1, got 0
        """
        if not isinstance(config, Mapping):
            raise ProblemError(f"Scenario.from_dict: expected tables by name, got {type(config).__name__}")
        file, problems = read(configured(config, devices=devices))
        return cls(name=file.name, cell=file.cell, radio=file.radio, devices=file.devices, problems=problems)

    def replace(self, changes: Mapping[str, Any] | None = None, *, devices: DeviceSource = None) -> Scenario:
        """Return the same scenario with some keys changed, checked anew.

        Parameters
        ----------
        changes : mapping of str to Any, optional
            New values by ``table.key``, or by the bare key if only one table has it; None takes a key out.
        devices : path-like or pandas.DataFrame, optional
            A table of devices, a CSV file or a DataFrame with a row per device and a column per quantity, such
            as ``distance_m`` or ``transmit_power_dbm``. Its columns take the place of the laws and of the
            placement that they determine. Lists with a value per device are dropped, everything else stays.

        Returns
        -------
        Scenario
            Another scenario.

        Raises
        ------
        ProblemError
            If a key is unknown or a bare one in several tables, and as :meth:`from_dict`.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"distance_m": [80.0, 150.0], "cpu_frequency_ghz": [1.4, 2.1]})
        >>> devices = Scenario.load("feel-cpu").replace({"max_batchsize": 64}, devices=frame).draw()
        >>> devices.cpu_frequency_hz
        array([1.4e+09, 2.1e+09])
        """
        return self.from_dict(configured(self.to_dict(), changes, devices))

    def only(self, positions: Sequence[int]) -> Scenario:
        """Return the same scenario with some of its devices.

        Parameters
        ----------
        positions : sequence of int
            Which, in which order; each from 0 to ``devices.count - 1``.

        Returns
        -------
        Scenario
            Lists with a value per device and names are theirs; random laws stay as they are.

        Examples
        --------
        >>> Scenario.load("feel-cpu").only([0, 4]).devices.cpu_frequency_hz.plain()
        [700000000.0, 1400000000.0]
        """
        config, count = self.to_dict(), self.devices.count
        for table, key in per_device(config):
            value = config.get(table, {}).get(key)
            if isinstance(value, Mapping) and "repeat" in value:
                value = np.resize(value["repeat"], count).tolist()
            if isinstance(value, list):
                config[table][key] = [value[i] for i in positions]
        if self.devices.names is not None:
            config["devices"]["names"] = [self.devices.names[i] for i in positions]
        config["devices"]["count"] = len(positions)
        return self.from_dict(config)

    @staticmethod
    def examples() -> tuple[str, ...]:
        """Names of the scenarios that come with radioopt.

        Returns
        -------
        tuple of str
            Sorted names that :meth:`load` takes.

        Examples
        --------
        >>> "feel-cpu" in Scenario.examples()
        True
        """
        files = (Path(entry.name) for entry in _folder().iterdir())
        return tuple(sorted(file.stem for file in files if file.suffix == ".toml"))

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the problem families that have a table."""
        return tuple(self.problems)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole configuration as nested dictionaries, defaults included.

        Returns
        -------
        dict
            What :meth:`from_dict` turns into an equal scenario; text, numbers and lists only.
        """
        tables = {"cell": self.cell, "radio": self.radio, "devices": self.devices, **self.problems}
        return {"name": self.name} | {
            key: table.model_dump(exclude_none=True) for key, table in tables.items()
        }

    def digest(self) -> str:
        """Fingerprint of the configuration without its name, for the record of a run.

        Returns
        -------
        str
            SHA-256 in hexadecimal. Order of keys, comments and the way numbers are written do not matter.
        """
        config = self.to_dict()
        del config["name"]
        text = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def draw(self, seed: Seed = None, size: int | tuple[int, ...] = ()) -> Devices:
        """Place devices and draw every random law.

        Parameters
        ----------
        seed : int, numpy.random.SeedSequence or numpy.random.Generator, optional
            The same seed gives the same devices; a generator gives other devices at each call. Default None:
            different devices every time.
        size : int or tuple of int, optional
            Leading axes of independent draws, each >= 1. Default (): a single draw.

        Returns
        -------
        Devices
            Arrays of shape ``(*size, count)``.

        Raises
        ------
        ProblemError
            If `seed` is no seed, or `size` neither a count nor a tuple of counts.

        Notes
        -----
        Placement, line of sight, shadowing, fading and each random law have a stream of their own, named after
        their key. So two scenarios that differ in one law agree in all the other draws from the same seed: what
        differs is due to the law, not to luck.

        Examples
        --------
        >>> scenario = Scenario.load("feel-cpu")
        >>> scenario.draw(seed=1) == scenario.draw(seed=1)
        True
        """
        try:
            if isinstance(seed, bool):
                raise TypeError
            rng = np.random.default_rng(seed)
        except (TypeError, ValueError):
            expected = "a whole number >= 0, a SeedSequence, a Generator or None"
            raise ProblemError(f"Scenario.draw.seed: expected {expected}, got {shorten(seed)}") from None
        batch_shape = check_draw("Scenario.draw", rng, size)
        if 0 in batch_shape:
            raise ProblemError(f"Scenario.draw.size: expected counts >= 1, got {shorten(size)}")
        root = rng.bytes(16)

        def stream(key: str) -> np.random.Generator:
            return np.random.default_rng([*root, *key.encode()])

        count = self.devices.count
        given: dict[str, Any] = {
            key: law.sample(stream(f"devices.{key}"), batch_shape, count)
            for key, law in self.devices.laws.items()
        }
        if "transmit_power_dbm" in given:
            given["transmit_power_w"] = dbm_to_w(given.pop("transmit_power_dbm"))
        if self.cell.radius_m is not None:
            place = {"radius_m": self.cell.radius_m, "min_distance_m": self.cell.min_distance_m}
            given["distance_m"] = distances_m(uniform_in_disc(stream("cell"), (*batch_shape, count), **place))
        if "distance_m" in given and "channel_gain" not in given:
            given |= _paths(self.cell, given["distance_m"], stream)
        if self.radio.bandwidth_hz is not None:
            given["bandwidth_hz"] = self.radio.bandwidth_hz
        given["noise_psd_w_per_hz"] = self.radio.noise_psd_w_per_hz
        if self.radio.downlink_power_dbm is not None:
            given["downlink_power_w"] = dbm_to_w(self.radio.downlink_power_dbm)
        drawn = {
            family: {
                key: law.sample(stream(f"{family}.{key}"), batch_shape, count)
                for key, law in table.laws.items()
            }
            for family, table in self.problems.items()
        }
        return Devices._made(self, drawn, given, stream("fading"))


def _paths(cell: Cell, distance_m: Array, stream: Callable[[str], np.random.Generator]) -> dict[str, Any]:
    """Draw the gain of each path, and what it is due to beside distance."""
    loss_db, line_of_sight, std_db = cell.path_loss_model.draw(stream("cell.line_of_sight"), distance_m)
    drawn: dict[str, Any] = {} if line_of_sight is None else {"line_of_sight": line_of_sight}
    if cell.shadowing:
        std_db = std_db if cell.shadowing_std_db is None else cell.shadowing_std_db
        assert std_db is not None  # refused on reading
        drawn["shadowing_db"] = lognormal_shadowing_db(stream("cell.shadowing"), loss_db.shape, std_db)
        loss_db = loss_db + drawn["shadowing_db"]
    return drawn | {"channel_gain": db_to_linear(-loss_db)}


def shipped(name: str) -> str:
    """Return the text of a scenario that comes with radioopt; another name is refused."""
    examples = Scenario.examples()
    if name not in examples:
        if Path(name).suffix or Path(name).name != name:
            what = "is your own already" if Path(name).is_file() else "is no file"
            raise ProblemError(f"{name} {what}; scenarios that come with radioopt: {', '.join(examples)}")
        hint = suggestion(name, examples)
        raise ProblemError(
            f"no scenario {name!r} comes with radioopt{hint}{'.' * (not hint.endswith('?'))} "
            f"For a file of your own give a path, such as ./{name}.toml"
        )
    found: str = (_folder() / f"{name}.toml").read_text("utf-8")
    return found


def _folder() -> Any:
    return resources.files("radioopt") / "scenarios"


def _text(source: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")  # Windows' editors begin a file with a mark
    except UnicodeDecodeError as error:
        line_start = data.rfind(b"\n", 0, error.start) + 1
        line, column = data.count(b"\n", 0, error.start) + 1, error.start - line_start + 1
        raise ProblemError(f"{source}, line {line}, column {column}: not TOML: not UTF-8 text") from None
