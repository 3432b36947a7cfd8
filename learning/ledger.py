"""Ledger: seconds and joules per device and round, and what was learnt for them."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from learning.names import real
from radioopt.base.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

    from learning.allocators import Plan
    from learning.link import Sent

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
    """One round: what was planned, what was sent, and the model after it."""

    plan: Plan
    sent: Sent
    seconds: float
    train_loss: float
    test_accuracy: float
    test_loss: float

    @property
    def energy_j(self) -> float:
        """Energy of all devices [J]."""
        return float((self.sent.compute_energy_j + self.sent.upload_energy_j).sum())


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

    def record(
        self, plan: Plan, sent: Sent, *, train_loss: float, test_accuracy: float, test_loss: float
    ) -> None:
        """Add a round: its duration to the clock, its energies to the account.

        Parameters
        ----------
        plan : Plan
            Batch sizes and slots.
        sent : Sent
            Times and energies.
        train_loss : float
            Loss over the batch, before its update [nat].
        test_accuracy, test_loss : float
            Of the model after the round, on the test samples.
        """
        self.entries.append(
            Entry(plan, sent, self.seconds + sent.seconds, train_loss, test_accuracy, test_loss)
        )

    def __len__(self) -> int:
        """Count the rounds done."""
        return len(self.entries)

    @property
    def energy_text(self) -> str:
        """Energy of all devices so far in words, which say what is missing where it is unknown."""
        energy = self.energy_j
        return f"{energy:.6g} J" if energy == energy else "energy unknown (give devices.energy_coefficient)"

    @property
    def seconds(self) -> float:
        """Simulated time so far [s]."""
        return self.entries[-1].seconds if self.entries else 0.0

    @property
    def energy_j(self) -> float:
        """Energy of all devices so far [J]; NaN where the scenario does not give their hardware."""
        return sum(entry.energy_j for entry in self.entries)

    @property
    def accuracy(self) -> float:
        """Accuracy on the test samples after the last round."""
        return self.entries[-1].test_accuracy if self.entries else self.initial_accuracy

    @property
    def loss(self) -> float:
        """Cross-entropy on the test samples after the last round [nat]."""
        return self.entries[-1].test_loss if self.entries else self.initial_loss

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
            ``arrived`` (devices), ``compute_energy_j``, ``upload_energy_j``, ``energy_j`` (of this round),
            ``learning_efficiency`` [1/s], ``train_loss`` (over the batch, before its update),
            ``test_loss``, ``test_accuracy``. Per device: ``batchsize``, ``arrived`` and the times and
            energies of :class:`~learning.link.Sent`.

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
        nan = float("nan")
        rows = [(0.0, 0.0, 0, 0, 0.0, 0.0, 0.0, nan, nan, self.initial_loss, self.initial_accuracy)]
        for entry in self.entries:
            plan, sent = entry.plan, entry.sent
            rows.append(
                (
                    entry.seconds,
                    sent.seconds,
                    int(plan.batchsize.sum()),
                    int(sent.arrived.sum()),
                    float(sent.compute_energy_j.sum()),
                    float(sent.upload_energy_j.sum()),
                    entry.energy_j,
                    float(plan.solution.learning_efficiency),
                    entry.train_loss,
                    entry.test_loss,
                    entry.test_accuracy,
                )
            )
        names = [
            "seconds",
            "round_latency_s",
            "batchsize",
            "arrived",
            "compute_energy_j",
            "upload_energy_j",
            "energy_j",
            "learning_efficiency",
            "train_loss",
            "test_loss",
            "test_accuracy",
        ]
        return pd.DataFrame(rows, columns=names).rename_axis("round")

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
