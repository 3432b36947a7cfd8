"""What the server trains on its own samples: beside the devices (SST), or alone (central training)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from learning.crew import Order
from learning.local.optimisers import step_rule
from learning.local.train import train_devices
from learning.messages import Message, Wire
from learning.models.weights import Rows, Sums, stack
from learning.radio.base import Work
from learning.schemes.fedavg import AveragedState, FedAvg, sample_numbers
from learning.task import Cohort, Task
from radioopt.base.errors import ProblemError


@dataclass(frozen=True)
class ServerSide(FedAvg):
    r"""SST: FedAvg with a complementary update that the server makes on samples of its own.

    .. math::
        \theta \leftarrow \frac{1}{N + N_0} \Bigl( \sum_{k \in \mathcal{A}} N_k \theta_k + N_0 \theta_0 \Bigr),
        \qquad N = \sum_{k \in \mathcal{A}} N_k,

    where :math:`\theta_0` is what the server makes of the last global model on its :math:`N_0` samples, with the steps
    of a device. The server always arrives; its energy is not counted, nor its time.

    Parameters
    ----------
    **options
        See :class:`FedAvg`.

    Raises
    ------
    ProblemError
        If the server holds no samples: ``before=[Fill(place="server")]`` keeps synthetic ones there,
        ``train(public=...)`` public ones.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over Heterogeneous
    Mobile Edge Devices", Section V-B.

    Examples
    --------
    >>> import learning
    >>> result = learning.train("feel-cpu", scheme="sst", public=100, rounds=1)
    >>> result.task.server.size, len(result.ledger)
    (100, 1)
    """

    def begin(self, task: Task) -> AveragedState:
        """Return the initial state; refuse a server without samples."""
        if task.server is None or not task.server.size:
            raise ProblemError(
                f"{type(self).__name__}: the server holds no samples: set some aside, as public=600, or let it keep "
                'synthetic ones, before=[Fill(place="server")]'
            )
        return super().begin(task)

    def combine(self, state: AveragedState, sums: Sums, round: int) -> tuple[AveragedState, Message | None]:
        """Average the weights that arrived and the server's own."""
        task, rows = state.task, state.task.server
        assert rows is not None
        trained = train_devices(
            task.model,
            task.samples,
            stack(state.parameters, 1),
            self.draw_from([rows], [task.streams.at("server", round)]),
            learning_rate=self.rate(round),
            rule=step_rule("optimiser", self.optimiser),
            engine=self.engine,
            loss=task.loss,
            seeds=[int(task.streams.at("server/noise", round).integers(2**62))],
        )
        shares = torch.tensor([rows.size])
        sums.add(trained.parameters, shares)
        sums.count("loss", float(rows.size * trained.loss[0]))
        return super().combine(state, sums, round)


@dataclass(frozen=True)
class Central(ServerSide):
    """Train at the server alone, on what it holds: what public or synthetic samples are worth without the devices.

    Parameters
    ----------
    **options
        See :class:`FedAvg`.

    Notes
    -----
    With ``before=[Fill(place="server")]`` these are synthetic samples (CLSD), with ``public=600`` the public ones.
    Nothing is sent, and rounds take no time and no energy of the devices.

    Examples
    --------
    >>> import learning
    >>> result = learning.train("fimi", scheme="central", radio="fdma", public=100, rounds=2)
    >>> float(result.to_frame()["energy_j"].sum())
    0.0
    """

    radio: ClassVar[str] = "silent"
    replaces: ClassVar[bool] = False

    def work(self, task: Task) -> Work:
        """Return that devices rest."""
        nothing = np.empty(0, np.int64)
        return Work(task.sizes, (nothing,) * len(task.parts), sample=sample_numbers(task))

    def wire(self, task: Task) -> Wire:
        """Return that nothing is sent."""
        return Wire({}, {})

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Rest."""
        return own, Message({})

    def gather(
        self,
        sums: Sums,
        state: AveragedState,
        cohort: Cohort,
        message: Message,
        order: Order,
        arrived: Tensor,
    ) -> None:
        """Add nothing, as nothing was sent."""

    def combine(self, state: AveragedState, sums: Sums, round: int) -> tuple[AveragedState, None]:
        """Take the server's own weights."""
        return super().combine(state, sums, round)[0], None
