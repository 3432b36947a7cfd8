"""What a run did, and what it was told to do."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from torch import Tensor, nn

from learning.crew import Crew
from learning.judges import Judge, model_of
from learning.local.globals import fresh_torch
from learning.models.weights import Bank
from learning.prepare.base import Prepared
from learning.runs.folder import DEVICES
from learning.runs.ledger import Ledger
from learning.runs.read import RunComparison, SavedRun
from learning.task import State, Task

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.base.pictures import Look
    from radioopt.reports.page import Chapter


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a run did and what it was told to do.

    Parameters
    ----------
    ledger : Ledger
        Seconds, joules, accuracy and loss of every round.
    state : State
        Of the server, after the last round.
    crew : Crew
        The devices, with what they keep.
    judge : Judge
        What evaluated them.
    stopped : str
        Why the run ended: "rounds", "seconds", "joules", "target_accuracy", "target", "epsilon", "diverged" when the
        loss was no longer a number, or what a callback said.
    config : dict
        All settings, as text and numbers; from the same ones the same ledger results.
    prepared : sequence of Prepared
        What each preparation did before the first round.
    """

    ledger: Ledger
    state: State
    crew: Crew
    judge: Judge
    stopped: str
    config: dict[str, Any]
    prepared: Sequence[Prepared] = ()

    @property
    def task(self) -> Task:
        """What was learnt from what."""
        return self.state.task

    @property
    def devices(self) -> Mapping[str, Bank]:
        """What the devices keep, by architecture."""
        return self.crew.banks

    @fresh_torch()
    def weights(self, device: int | None = None) -> dict[str, Tensor]:
        """Return the weights of a device, or of the model that was judged.

        Parameters
        ----------
        device : int, optional
            A device; by default the model that stands for all: the global one, the reference device's, or the average
            where devices learn individually.

        Returns
        -------
        dict of str to Tensor
            By name.
        """
        return self.judge.model(self.state, self.crew) if device is None else model_of(self.crew, device)

    @fresh_torch()
    def model(self, device: int | None = None) -> nn.Module:
        """Return a trained model: a copy of the architecture with the weights of :meth:`weights`.

        Parameters
        ----------
        device : int, optional
            Whose; by default the one that stands for all.

        Returns
        -------
        torch.nn.Module
            On the device that it was trained on.
        """
        task = self.task
        trained = copy.deepcopy(task.model if device is None else task.models[task.uses[device]])
        trained.load_state_dict(self.weights(device), strict=False)
        return trained

    def ended(self) -> dict[str, Any]:
        """Return how the run ended, for its manifest."""
        ledger = self.ledger
        return {
            "stopped": self.stopped,
            "rounds": len(ledger),
            "seconds": ledger.seconds,
            "energy_j": ledger.energy_j,
            "test_accuracy": ledger.accuracy,
        }

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return tables to keep beside that of the rounds: of devices, of preparations, of what failed on nodes."""
        devices = {DEVICES: self.ledger.devices()} if len(self.ledger) else {}
        prepared = {f"prepared-{i}.csv": done.to_frame() for i, done in enumerate(self.prepared, start=1)}
        return devices | prepared | self.crew.tables()

    def to_frame(self) -> pd.DataFrame:
        """Tabulate the rounds; see :meth:`learning.Ledger.to_frame`."""
        return self.ledger.to_frame()

    def plot(self, **look: Unpack[Look]) -> Figure:
        """Draw accuracy and loss over simulated time; see :func:`learning.runs.plots.plot_training`."""
        from learning.runs.plots import plot_training

        energy = str(self.ledger.energy_text).partition(" (")[0]
        return plot_training(self.to_frame(), self.config, energy, **look)

    def chapter(self, name: str) -> Chapter:
        """Tell of the run in a report; see :func:`radioopt.report`."""
        from learning.runs.report import runs_chapter

        config = self.config
        title = f"{config['scheme']['name']}, {config['policy']}"
        run = SavedRun(title, config, self.to_frame(), self.ledger.devices() if len(self.ledger) else None)
        return runs_chapter(RunComparison({title: [run]}), name)

    def __repr__(self) -> str:
        config, ledger = self.config, self.ledger
        return (
            f"TrainingResult: {config['scheme']['name']}, policy {config['policy']}, {config['data']}, "
            f"seed {config['seed']}: {ledger.headline} after {len(ledger)} rounds, "
            f"{ledger.seconds:.6g} s simulated, {ledger.energy_text}; stopped by {self.stopped}"
        )
