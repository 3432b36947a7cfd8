"""Ledger: seconds and joules per device and round, and what was learnt for them."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from learning.options import real
from radioopt.base.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

    from learning.radio.base import Plan
    from learning.radio.link import Sent

#: what a scenario has to say for the energy of computing to be known
HARDWARE = "devices.cpu_frequency_hz and devices.energy_coefficient"

PER_DEVICE = (
    "compute_time_s",
    "upload_time_s",
    "download_time_s",
    "update_time_s",
    "compute_energy_j",
    "upload_energy_j",
)


@dataclass(frozen=True, eq=False)
class Entry:
    """One round: what was planned, what was sent, and the model after it.

    Parameters
    ----------
    plan : Plan
        Batch sizes and resources.
    sent : Sent
        Times and energies.
    seconds : float
        Clock at the end of the round [s].
    train_loss : float
        Loss over what was trained with [nat].
    test_accuracy, test_loss : float
        After the round, on the test samples.
    change : float, default nan
        Relative change that the rule to stop looks at, see :meth:`learning.schemes.Scheme.change`.
    figures : mapping of str to float, optional
        More numbers of plan and scheme, a column each.
    """

    plan: Plan
    sent: Sent
    seconds: float
    train_loss: float
    test_accuracy: float
    test_loss: float
    change: float = math.nan
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def energy_j(self) -> float:
        """Energy of all devices [J]."""
        return self.sent.energy_j


@dataclass(eq=False)
class Ledger:
    """The account of a run; the loop writes it, everything else reads it.

    Parameters
    ----------
    initial_accuracy, initial_loss : float
        Accuracy and cross-entropy on the test samples before the first round.
    entries : list of Entry, optional
        The rounds done; none by default.
    """

    initial_accuracy: float
    initial_loss: float
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._spent = 0, 0.0  # rounds counted, and their energy [J]

    def record(self, plan: Plan, sent: Sent, **learnt: Any) -> None:
        """Add a round: its duration to the clock, its energies to the account.

        Parameters
        ----------
        plan : Plan
            Batch sizes and resources.
        sent : Sent
            Times and energies.
        **learnt
            The other fields of :class:`Entry`.
        """
        self.entries.append(Entry(plan, sent, self.seconds + sent.seconds, **learnt))

    def __len__(self) -> int:
        """Count the rounds done."""
        return len(self.entries)

    @property
    def energy_text(self) -> str:
        """Energy of all devices so far in words, which say what is missing where it is unknown."""
        energy = self.energy_j
        return f"{energy:.6g} J" if energy == energy else f"energy unknown (give {HARDWARE})"

    @property
    def seconds(self) -> float:
        """Simulated time so far [s]."""
        return self.entries[-1].seconds if self.entries else 0.0

    @property
    def energy_j(self) -> float:
        """Energy of all devices so far [J]; NaN where the scenario does not give their hardware."""
        count, total = self._spent
        for entry in self.entries[count:]:
            total += entry.energy_j
        self._spent = len(self.entries), total
        return total

    @property
    def accuracy(self) -> float:
        """Accuracy on the test samples after the last round."""
        return self.entries[-1].test_accuracy if self.entries else self.initial_accuracy

    @property
    def loss(self) -> float:
        """Cross-entropy on the test samples after the last round [nat]."""
        return self.entries[-1].test_loss if self.entries else self.initial_loss

    @property
    def change(self) -> float:
        """Relative change over the last round; NaN before the first."""
        return self.entries[-1].change if self.entries else math.nan

    def rounds_to(self, target_accuracy: float) -> int | None:
        """Count the rounds to the first evaluation at or above an accuracy.

        Parameters
        ----------
        target_accuracy : float
            In (0, 1].

        Returns
        -------
        int or None
            Number of rounds, 0 if the initial model is good enough already; None if it was never reached.

        Raises
        ------
        OptionError
            If the target is no accuracy.
        """
        real("target_accuracy", target_accuracy, high=1.0, closed=True)
        accuracies = [self.initial_accuracy, *(entry.test_accuracy for entry in self.entries)]
        return next((i for i, accuracy in enumerate(accuracies) if accuracy >= target_accuracy), None)

    def to_frame(self, per: str = "round") -> pd.DataFrame:
        """Tabulate the run.

        Parameters
        ----------
        per : {"round", "device"}, default "round"
            One row per round, round 0 being the initial model; or one per round and device.

        Returns
        -------
        pandas.DataFrame
            Per round: ``seconds`` (clock at its end), ``round_latency_s``, ``batchsize`` (all devices),
            ``arrived`` (devices), ``uplink_bits`` (from each device), ``downlink_bits`` (to each device),
            ``compute_energy_j``, ``upload_energy_j``, ``energy_j`` (of this round), ``train_loss`` (over the batches,
            before their steps), ``test_loss``, ``test_accuracy``, and what plan and scheme add: with FEEL's slots
            ``learning_efficiency`` [1/s]. Per device: ``batchsize``, ``arrived`` and the times and energies of
            :class:`~learning.radio.link.Sent`.

        Raises
        ------
        OptionError
            If `per` is neither.
        """
        import pandas as pd

        if per == "device":
            return self._per_device()
        if per != "round":
            raise OptionError(f"unknown rows {per!r}, choose from round, device")
        rows: list[dict[str, float]] = [
            {
                "seconds": 0.0,
                "round_latency_s": 0.0,
                "batchsize": 0,
                "arrived": 0,
                "uplink_bits": 0.0,
                "downlink_bits": 0.0,
                "compute_energy_j": 0.0,
                "upload_energy_j": 0.0,
                "energy_j": 0.0,
                "train_loss": math.nan,
                "test_loss": self.initial_loss,
                "test_accuracy": self.initial_accuracy,
            }
        ]
        for entry in self.entries:
            plan, sent = entry.plan, entry.sent
            rows.append(
                {
                    "seconds": entry.seconds,
                    "round_latency_s": sent.seconds,
                    "batchsize": int(plan.batchsize.sum()),
                    "arrived": int(sent.arrived.sum()),
                    "uplink_bits": sent.uplink_bits,
                    "downlink_bits": sent.downlink_bits,
                    "compute_energy_j": float(sent.compute_energy_j.sum()),
                    "upload_energy_j": float(sent.upload_energy_j.sum()),
                    "energy_j": entry.energy_j,
                    "train_loss": entry.train_loss,
                    "test_loss": entry.test_loss,
                    "test_accuracy": entry.test_accuracy,
                    **entry.figures,
                }
            )
        return pd.DataFrame(rows).rename_axis("round")

    def _per_device(self) -> pd.DataFrame:
        import pandas as pd

        count = self.entries[0].plan.batchsize.size if self.entries else 0
        index = pd.MultiIndex.from_product([range(1, len(self) + 1), range(count)], names=["round", "device"])

        def column(arrays: list[np.ndarray]) -> np.ndarray:
            return np.concatenate(arrays) if arrays else np.empty(0)

        columns = {
            "batchsize": column([entry.plan.batchsize for entry in self.entries]),
            "arrived": column([entry.sent.arrived for entry in self.entries]),
        } | {name: column([getattr(entry.sent, name) for entry in self.entries]) for name in PER_DEVICE}
        return pd.DataFrame(columns, index=index)

    def to_csv(self, per: str = "round") -> str:
        """Write :meth:`to_frame` as CSV text whose numbers read back exactly.

        Parameters
        ----------
        per : {"round", "device"}, default "round"
            Rows.

        Returns
        -------
        str
            CSV with a header line.

        Raises
        ------
        OptionError
            If `per` is neither.
        """
        buffer = io.StringIO()
        self.to_frame(per).to_csv(buffer)
        return buffer.getvalue()
