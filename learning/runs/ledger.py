"""Ledger: seconds and joules per device and round, and what was learnt for them."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from learning.options import real
from learning.radio.base import Floats, Plan, Sent
from radioopt.base.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

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


#: numbers of every round of which a run can be told to reach some
LEARNT = ("test_accuracy", "test_loss", "train_loss")
#: ends of the names of numbers of which less is better
LOWER = ("_loss", "_brier", "_rmse")


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
    joules : float
        Energy of all devices until then [J].
    train_loss : float
        Loss over what was trained with [nat].
    test_accuracy, test_loss : float
        After the round, on the test samples; NaN where the judge left the round out.
    change : float, default nan
        Relative change that the rule to stop looks at, see :meth:`learning.Scheme.change`.
    figures : mapping of str to float, optional
        More numbers of plan, scheme and judge, a column each.
    judged : bool, default True
        Whether the judge evaluated after the round.
    measured : mapping of str to ndarray, optional
        What was measured of each device on real nodes, shapes (K,), a column each in the table of devices.
    """

    plan: Plan
    sent: Sent
    seconds: float
    joules: float
    train_loss: float
    test_accuracy: float
    test_loss: float
    change: float = math.nan
    figures: Mapping[str, float] = field(default_factory=dict)
    judged: bool = True
    measured: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def energy_j(self) -> float:
        """Energy of all devices in this round [J]."""
        return self.sent.energy_j


class Spent(NamedTuple):
    """What preparations took before the first round.

    Attributes
    ----------
    seconds, energy_j : float
        Simulated time [s], and energy of all devices [J].
    uplink_bits, downlink_bits : float
        Sent by each device, and to each device [bit].
    """

    seconds: float = 0.0
    energy_j: float = 0.0
    uplink_bits: float = 0.0
    downlink_bits: float = 0.0


NOTHING = Spent()


@dataclass(eq=False)
class Ledger:
    """The account of a run; the loop writes it, everything else reads it.

    Parameters
    ----------
    initial_accuracy, initial_loss : float
        Accuracy and cross-entropy on the test samples before the first round.
    entries : list of Entry, optional
        The rounds done; none by default.
    before : Spent, optional
        What preparations took; nothing by default.
    initial : mapping of str to float, optional
        More numbers of the initial model.
    """

    initial_accuracy: float
    initial_loss: float
    entries: list[Entry] = field(default_factory=list)
    before: Spent = NOTHING
    initial: Mapping[str, float] = field(default_factory=dict)

    def record(self, plan: Plan, sent: Sent, **learnt: Any) -> Entry:
        """Add a round: its duration to the clock, its energies to the account.

        Parameters
        ----------
        plan : Plan
            Batch sizes and resources.
        sent : Sent
            Times and energies.
        **learnt
            The other fields of :class:`Entry`.

        Returns
        -------
        Entry
            The round.
        """
        seconds, joules = self.seconds + sent.seconds, self.energy_j + sent.energy_j
        self.entries.append(Entry(plan, sent, seconds, joules, **learnt))
        return self.entries[-1]

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
        return self.spent(len(self))[0]

    @property
    def energy_j(self) -> float:
        """Energy of all devices so far [J]; NaN where the scenario does not give their hardware."""
        return self.spent(len(self))[1]

    def spent(self, rounds: int) -> tuple[float, float]:
        """Return time [s] and energy of all devices [J] until the end of a round; round 0 is before the first."""
        if rounds == 0:
            return self.before.seconds, self.before.energy_j
        return self.entries[rounds - 1].seconds, self.entries[rounds - 1].joules

    @property
    def accuracy(self) -> float:
        """Accuracy on the test samples when they were last evaluated."""
        return self.figure("test_accuracy")

    @property
    def headline(self) -> str:
        """What the model is known by, in words: its accuracy, or the R2 of a regression."""
        r2 = self.figure("test_r2") if "test_r2" in self.initial else math.nan
        return f"R2 {r2:.4f}" if not math.isnan(r2) else f"accuracy {self.accuracy:.4f}"

    @property
    def loss(self) -> float:
        """Loss on the test samples when they were last evaluated: cross-entropy [nat] or squared error."""
        return next((e.test_loss for e in reversed(self.entries) if _judged(e)), self.initial_loss)

    def figure(self, name: str) -> float:
        """Return a number of the last round in which it was evaluated.

        Parameters
        ----------
        name : str
            A column of the table of rounds, as "test_accuracy" or "private_accuracy".

        Returns
        -------
        float
            NaN if it is not known yet.

        Raises
        ------
        OptionError
            If the rounds have no such number.
        """
        known = dict.fromkeys(LEARNT)
        for entry in reversed(self.entries):
            known |= dict.fromkeys(entry.figures)
            value = getattr(entry, name) if name in LEARNT else entry.figures.get(name, math.nan)
            if not math.isnan(value):
                return float(value)
        if name not in known and any(_judged(entry) for entry in self.entries):
            raise OptionError(f"target: rounds have no {name!r}, choose from {', '.join(known)}")
        initial = {"test_accuracy": self.initial_accuracy, "test_loss": self.initial_loss, **self.initial}
        return float(initial.get(name, math.nan))

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
            One row per round, round 0 being the initial model and what preparations took; or one per round and device.

        Returns
        -------
        pandas.DataFrame
            Per round: ``seconds`` (clock at its end), ``round_latency_s``, ``batchsize`` (all devices),
            ``arrived`` (devices), ``uplink_bits`` (from each device), ``downlink_bits`` (to each device),
            ``compute_energy_j``, ``upload_energy_j``, ``energy_j`` (of this round), ``train_loss`` (over the batches,
            before their steps), ``test_loss``, ``test_accuracy``, and what plan and scheme add: with FEEL's slots
            ``learning_efficiency`` [1/s]. Per device: ``batchsize``, ``arrived``, ``took_part`` where not all do, and
            the times and energies of :class:`~learning.radio.base.Sent`; of real nodes also what was measured, and
            what is believed of them.

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
                "seconds": self.before.seconds,
                "round_latency_s": self.before.seconds,
                "batchsize": 0,
                "arrived": 0,
                "uplink_bits": self.before.uplink_bits,
                "downlink_bits": self.before.downlink_bits,
                "compute_energy_j": 0.0,
                "upload_energy_j": 0.0,
                "energy_j": self.before.energy_j,
                "train_loss": math.nan,
                "test_loss": self.initial_loss,
                "test_accuracy": self.initial_accuracy,
                **self.initial,
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
        }
        took_part = [entry.plan.takes_part() for entry in self.entries]
        if any(part is not None for part in took_part):
            everybody = np.ones(count, np.bool_)
            columns["took_part"] = column([everybody if part is None else part for part in took_part])
        more = self.entries[0].sent.columns if self.entries else ()
        columns |= {
            name: column([getattr(entry.sent, name) for entry in self.entries])
            for name in (*PER_DEVICE, *more)
        }
        unknown = np.full(count, math.nan)
        for name in dict.fromkeys(name for entry in self.entries for name in entry.measured):
            columns[name] = column([entry.measured.get(name, unknown) for entry in self.entries])
        return pd.DataFrame(columns, index=index)

    def devices(self) -> pd.DataFrame:
        """Sum up the run by device.

        Returns
        -------
        pandas.DataFrame
            A row per device: ``rounds`` that it took part in, ``arrived`` of its uploads; per round that it took part
            in, ``batchsize`` and its times [s]; in all, ``compute_energy_j`` and ``upload_energy_j`` [J], NaN where
            its hardware is not known. No rows before the first round.
        """
        frame = self._per_device()
        part = frame.pop("took_part").astype(bool) if "took_part" in frame else frame["batchsize"].notna()
        here = frame[part]
        by, times = here.groupby(level="device"), [name for name in PER_DEVICE if name.endswith("_s")]
        energies = [name for name in PER_DEVICE if name.endswith("_j")]
        every = frame.index.unique(level="device")
        counted = by.agg(rounds=("batchsize", "size"), arrived=("arrived", "sum")).reindex(
            every, fill_value=0
        )
        joules = (
            frame.groupby(level="device")[energies]
            .sum()
            .where(frame[energies].notna().groupby(level="device").all())
        )
        return counted.astype(int).join(by[["batchsize", *times]].mean()).join(joules)

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


def _judged(entry: Entry) -> bool:
    """Whether the judge evaluated after the round; then something is a number even where the loss is none any more."""
    return entry.judged
