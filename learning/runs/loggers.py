"""Loggers: callbacks that write every round for TensorBoard or MLflow, or print it."""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from learning.catalog import LOGGERS
from learning.options import choose
from learning.runs.ledger import Entry, Ledger
from learning.runs.manifest import plain
from radioopt.base.errors import MissingExtraError, OptionError, RadioOptError


class Logger:
    """A callback that is told when a run begins and when it ends.

    ``begin`` gets the settings before the first round, ``close`` is called at the end, after an error too. A logger
    that cannot begin ends the run before it has begun. One that fails later, for want of space or of a reader, does
    not: a warning says why, and it gets no more rounds. (An error in a plain function ends the run.)
    """

    def begin(self, config: Mapping[str, Any]) -> None:
        """Take the settings of the run."""

    def __call__(self, round: int, entry: Entry, ledger: Ledger) -> str | None:
        """Take a round."""
        return None

    def close(self) -> None:
        """End."""


class Failsafe(Logger):
    """Call a logger until it fails; see :class:`Logger`.

    Parameters
    ----------
    logger : Logger
        Any.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger, self._failed = logger, False

    def begin(self, config: Mapping[str, Any]) -> None:
        """Begin, or refuse to."""
        try:
            self._logger.begin(config)
        except (RadioOptError, OSError):
            raise
        except Exception as error:  # what others wrote can fail in any way
            raise OptionError(f"logger {self._name}: cannot begin: {_reason(error)}") from error

    def __call__(self, round: int, entry: Entry, ledger: Ledger) -> str | None:
        """Hand a round on."""
        return None if self._failed else self._tried(self._logger, round, entry, ledger)

    def close(self) -> None:
        """End, also after a failure."""
        self._tried(self._logger.close)

    def _tried(self, call: Callable[..., Any], *given: Any) -> Any:
        try:
            return call(*given)
        except Exception as error:  # what others wrote can fail in any way
            if not self._failed:
                warnings.warn(
                    f"logger {self._name}: {_reason(error)}: it writes no more rounds, and the run goes on",
                    stacklevel=2,
                )
            self._failed = True
        return None

    @property
    def _name(self) -> str:
        return LOGGERS.name_of(type(self._logger)) or type(self._logger).__name__


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def numbers_of(entry: Entry, ledger: Ledger) -> dict[str, float]:
    """Return the numbers of a round by name, those that are known.

    Parameters
    ----------
    entry : Entry
        The round.
    ledger : Ledger
        The account so far.

    Returns
    -------
    dict of str to float
        Seconds and joules so far, arrivals, losses, accuracies, and what plan, scheme and judge add.
    """
    found = {
        "seconds": entry.seconds,
        "joules": entry.joules,
        "round_latency_s": entry.sent.seconds,
        "energy_j": entry.energy_j,
        "arrived": float(entry.sent.arrived.sum()),
        "train_loss": entry.train_loss,
        "test_loss": entry.test_loss,
        "test_accuracy": entry.test_accuracy,
        **entry.figures,
    }
    return {name: float(value) for name, value in found.items() if value == value}


class Printer(Logger):
    """Print a line per round.

    Examples
    --------
    >>> import learning
    >>> _ = learning.train("feel-cpu", rounds=1, seed=1, callbacks=[Printer()])
    round 1: 97.2 s, accuracy 0.1861
    """

    def __call__(self, round: int, entry: Entry, ledger: Ledger) -> None:
        """Print the round."""
        print(f"round {round}: {entry.seconds:.3g} s, accuracy {ledger.accuracy:.4f}")


class TensorBoard(Logger):
    """Write every round for TensorBoard; extra ``logging``.

    Parameters
    ----------
    folder : path-like, default "runs/tensorboard"
        Where events go; ``tensorboard --logdir FOLDER`` shows them.

    Raises
    ------
    MissingExtraError
        If tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str] = "runs/tensorboard") -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingExtraError("tensorboard is not installed: pip install 'radioopt[logging]'") from None
        self._writer = SummaryWriter(str(folder))

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write the settings down as text."""
        self._writer.add_text("settings", f"    {json.dumps(plain(config), indent=1)}")

    def __call__(self, round: int, entry: Entry, ledger: Ledger) -> None:
        """Write the numbers of the round, by round; the time of an event is the simulated one."""
        for name, value in numbers_of(entry, ledger).items():
            self._writer.add_scalar(name, value, round, walltime=entry.seconds)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class MlFlow(Logger):
    """Write every round to MLflow's local file store; extra ``logging``.

    Parameters
    ----------
    folder : path-like, default "runs/mlflow"
        The store; ``mlflow ui --backend-store-uri FOLDER`` shows it.
    experiment : str, default "radioopt"
        Under which experiment the run is.

    Raises
    ------
    MissingExtraError
        If mlflow is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str] = "runs/mlflow", experiment: str = "radioopt") -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # files need no data base
        try:
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise MissingExtraError("mlflow is not installed: pip install 'radioopt[logging]'") from None
        store = Path(folder).absolute()
        store.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=store.as_uri())
        found = self._client.get_experiment_by_name(experiment)
        self._experiment = (
            self._client.create_experiment(experiment) if found is None else found.experiment_id
        )
        self._run = ""

    def begin(self, config: Mapping[str, Any]) -> None:
        """Begin a run, with the settings as its parameters."""
        self._run = self._client.create_run(self._experiment).info.run_id
        for name, value in _flat(plain(config)).items():
            self._client.log_param(self._run, name, str(value)[:500])

    def __call__(self, round: int, entry: Entry, ledger: Ledger) -> None:
        """Write the numbers of the round; their time is the simulated one, in milliseconds."""
        for name, value in numbers_of(entry, ledger).items():
            self._client.log_metric(self._run, name, value, timestamp=int(1e3 * entry.seconds), step=round)

    def close(self) -> None:
        """End the run."""
        if self._run:
            self._client.set_terminated(self._run)


def _flat(settings: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Return nested settings by dotted names."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        inner = f"{name}.{key}" if name else str(key)
        found |= _flat(value, inner) if isinstance(value, Mapping) else {inner: value}
    return found


def logger(given: Any) -> Any:
    """Make a logger of its name, "tensorboard:FOLDER", "mlflow:FOLDER" or "print", or take a callback as it is.

    Parameters
    ----------
    given : str or callable
        A name, with a folder after a colon if wanted; or ``callback(round, entry, ledger)``.

    Returns
    -------
    callable
        The callback.

    Raises
    ------
    OptionError
        If it is neither.
    MissingExtraError
        If the logger's package is not installed.
    """
    if callable(given):
        return given
    if not isinstance(given, str):
        raise OptionError(
            f"callbacks: expected functions (round, entry, ledger) or names of loggers, got {given!r}"
        )
    name, colon, folder = given.partition(":")
    made = choose("logger", name, LOGGERS, "a function (round, entry, ledger)")
    if not colon:
        return made()
    if not inspect.signature(made).parameters:
        raise OptionError(f"logger {given!r}: {name} takes no folder")
    if not folder:
        raise OptionError(f"logger {given!r}: expected {name} or {name}:FOLDER")
    return made(folder)
