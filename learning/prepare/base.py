"""What a preparation is: it makes another task of a task, and says what that cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learning.options import settings_of
from learning.radio.base import Radio
from learning.task import Task
from radioopt.scenario import Devices

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Prepared:
    """A task that was prepared, and what that took.

    Parameters
    ----------
    task : Task
        To train with.
    seconds : float, default 0
        Simulated time [s].
    energy_j : float, default 0
        Energy of all devices [J].
    uplink_bits, downlink_bits : float, default 0
        Sent by each device, and to each device [bit], on average.
    record : mapping of str to ndarray
        A table of what was done, a column each; kept with the run.
    """

    task: Task
    seconds: float = 0.0
    energy_j: float = 0.0
    uplink_bits: float = 0.0
    downlink_bits: float = 0.0
    record: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """Return the table of what was done, a row per device if there is such a column."""
        import pandas as pd

        frame = pd.DataFrame({name: np.asarray(column) for name, column in self.record.items()})
        return frame.set_index("device") if "device" in frame else frame


class Preparation(ABC):
    """Changes who holds which samples, or what the samples are, before the first round.

    A preparation is a frozen dataclass of its options. It draws from ``task.streams.at("prepare/NAME")`` and returns
    another task; it never changes the one that it got.
    """

    #: public samples that it needs, which are set aside where ``train(public=...)`` does not say how many
    public: int = 0

    @abstractmethod
    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Prepare a task.

        Parameters
        ----------
        task : Task
            Data, partition and model.
        devices : Devices
            With their channel before the first round.
        radio : Radio
            What it sends with, and what that takes.

        Returns
        -------
        Prepared
            The new task, seconds, joules and bits, and a table of what was done.
        """

    def refuse(self, scheme: Any) -> None:  # noqa: B027 (most go with every scheme)
        """Refuse a scheme whose options do not go with it, before anything is computed; by default none.

        Parameters
        ----------
        scheme : Scheme
            What is trained afterwards.

        Raises
        ------
        OptionError
            If they do not go together.
        """

    def settings(self) -> dict[str, Any]:
        """Return the options, for the manifest of a run."""
        return settings_of(self)
