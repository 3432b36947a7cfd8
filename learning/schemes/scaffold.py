"""SCAFFOLD: FedAvg with local steps corrected by control variates, so that unlike data do not pull models apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from learning.crew import Order
from learning.local.optimisers import step_rule
from learning.messages import Message, Wire
from learning.models.weights import Rows, Sums, average, stack, weights_of
from learning.schemes.fedavg import AveragedState, FedAvg
from learning.task import Cohort, Task
from radioopt.base.errors import OptionError

#: what devices keep of each weight beside the weight: their own control variate, and the server's that they heard last
OWN, HEARD = "variate/own/", "variate/heard/"


@dataclass(frozen=True, eq=False, kw_only=True)
class ScaffoldState(AveragedState):
    """The global model, and the control variates as far as they arrived.

    Parameters
    ----------
    variates : mapping of str to Tensor
        The server's control variate, by weight: the mean of those of all devices by the samples they hold.
    arrived : mapping of str to Tensor
        Control variate of each device that arrived last, by weight, shapes (K, ...); 0 if none did yet.
    """

    variates: Mapping[str, Tensor]
    arrived: Mapping[str, Tensor]


@dataclass(frozen=True)
class Scaffold(FedAvg):
    r"""FedAvg with control variates: every local step is corrected by how unlike the data of its device are.

    Device k starts from the global model, :math:`y_k \leftarrow \theta`, and takes :math:`\tau_k` steps

    .. math::
        y_k \leftarrow y_k - \eta \, (g_k(y_k) - c_k + c), \qquad
        c_k^+ = c_k - c + \frac{\theta - y_k}{\tau_k \eta},

    with the gradient :math:`g_k` over a batch. So :math:`c_k^+` is the mean of its gradients on the way. Up go
    :math:`y_k` and :math:`c_k^+`. Of the devices :math:`\mathcal{A}` whose message arrived the server makes

    .. math::
        \theta \leftarrow \theta + \eta_\mathrm{g} \sum_{k \in \mathcal{A}} \frac{N_k}{\sum_{j \in \mathcal{A}} N_j}
        (y_k - \theta), \qquad
        c \leftarrow c + \sum_{k \in \mathcal{A}} \frac{N_k}{\sum_j N_j} (c_k^+ - \hat c_k)
        = \sum_k \frac{N_k}{\sum_j N_j} \hat c_k^+,

    where :math:`\hat c_k` is what arrived of device k last, 0 at the beginning, and the last sum, over all devices, is
    how it is computed. Both come down.

    Parameters
    ----------
    learning_rate, batchsize, epochs, iterations, engine, schedule
        See :class:`LocalTraining`.
    optimiser : str or Rule, default "sgd"
        Rule of the local steps; one that keeps nothing from step to step, since only then is the way a device went,
        divided by steps and rate, a mean gradient. Weight decay counts as part of the gradient.
    server_optimiser, server_learning_rate
        See :class:`FedAvg`; the rate is :math:`\eta_\mathrm{g}`.

    Raises
    ------
    OptionError
        If a number is out of its range, there is no such engine, rule or schedule, or the local rule has momentum.

    Notes
    -----
    The paper has devices of equal weight that take equally many steps, and messages that always arrive. Here

    - a device counts by the samples that it holds, :math:`N_k`, in the model and in :math:`c`;
    - :math:`\tau_k` are its own steps, of which there are more where it holds more;
    - a device cannot know whether its message was late, so that differences of control variates would add up to another
      :math:`c` at the server than on the devices. Therefore :math:`c_k^+` itself goes up, as many numbers, and the
      server keeps the last one of every device; if nobody arrives, model and :math:`c` stay;
    - a device that misses the answer goes on from its own weights, which are :math:`\theta` in its equations then, with
      the :math:`c` that it heard last.

    In a round with a rate of 0, at the end of a schedule, nobody moves and control variates stay.

    Twice as much is sent each way as by FedAvg, which clock and account charge for. One step with everything that a
    device holds leaves nothing to correct. Devices and server each keep a control variate per device, so memory grows
    by twice the model with every device. The averages of batch normalisation are averaged as by FedAvg.

    References
    ----------
    S. P. Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", algorithm 1 with
    option II for the control variates.

    Examples
    --------
    >>> import learning
    >>> options = {"partition": "shards", "epochs": 5, "rounds": 10, "seed": 1, "batchsize": 20}
    >>> schemes = ("fedavg", "scaffold")
    >>> plain, corrected = (learning.train("feel-cpu", scheme=scheme, **options) for scheme in schemes)
    >>> corrected.ledger.accuracy > plain.ledger.accuracy + 0.02
    True
    """

    replaces: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if kept := step_rule("optimiser", self.optimiser).kept():
            raise OptionError(
                f"optimiser: SCAFFOLD needs local steps along the gradient, and {self.optimiser!r} keeps "
                f"{', '.join(kept)}: take sgd without momentum, or give server_optimiser the momentum"
            )

    def wire(self, task: Task) -> Wire:
        """Return that weights and control variates, of the size of gradients, go up and come down."""
        both = {"weights": task.num_values, "gradient": task.num_parameters}
        return Wire(both, both)

    def footprint(self, task: Task, architecture: str) -> int:
        """Count two control variates and their difference too; see :meth:`LocalTraining.footprint`."""
        parameters = sum(value.numel() for value in task.initial_parameters(architecture).values())
        return super().footprint(task, architecture) + 3 * parameters

    def begin(self, task: Task) -> ScaffoldState:
        """Return the initial model, and control variates of 0; see :meth:`Scheme.begin`."""
        began = super().begin(task)
        zeros = {name: torch.zeros_like(value) for name, value in task.initial_parameters().items()}
        each = stack(zeros, len(task.parts))
        return ScaffoldState(task, began.parameters, step=began.step, variates=zeros, arrived=each)

    def join(self, cohort: Cohort) -> Rows:
        """Return the initial weights, and control variates of 0; see :meth:`Scheme.join`."""
        parameters = cohort.task.initial_parameters(cohort.architecture)
        zeros = {name: torch.zeros_like(value) for name, value in parameters.items()}
        both = {place + name: value for place in (OWN, HEARD) for name, value in zeros.items()}
        return {**super().join(cohort), **stack(both, len(cohort))}

    def local(self, own: Rows, cohort: Cohort, order: Order) -> tuple[Rows, Message]:
        """Take the corrected steps on every device, and measure its mean gradient."""
        weights = weights_of(own)
        drift = {name: own[HEARD + name] - own[OWN + name] for name in weights if OWN + name in own}
        trained = self.train(weights, cohort, order, drift=drift)
        variates = {OWN + name: own[OWN + name] for name in drift}
        if rate := self.rate(order.round):
            for name, value in drift.items():
                way = rate * trained.steps.to(value).view(-1, *[1] * (value.dim() - 1))
                variates[OWN + name] = (weights[name] - trained.parameters[name]) / way - value
        sent = {**trained.parameters, **variates}
        return {**own, **sent}, Message(sent, {"loss": trained.loss})

    def gather(
        self,
        sums: Sums,
        state: AveragedState,
        cohort: Cohort,
        message: Message,
        order: Order,
        arrived: Tensor,
    ) -> None:
        """Add weights as FedAvg does, and put the control variates aside that arrived; see :meth:`Scheme.gather`."""
        weights = weights_of(message.values)
        super().gather(sums, state, cohort, Message(weights, message.notes), order, arrived)
        variates = {
            name.removeprefix(OWN): value[arrived.to(value.device)]
            for name, value in message.values.items()
            if name.startswith(OWN)
        }
        sums.kept.append((torch.from_numpy(cohort.devices)[arrived], variates))

    def combine(self, state: AveragedState, sums: Sums, round: int) -> tuple[ScaffoldState, Message | None]:
        """Average the weights that arrived, and the control variates that arrived last of all devices."""
        after, _ = super().combine(state, sums, round)
        assert isinstance(after, ScaffoldState)
        if sums.total:
            arrived = {name: value.clone() for name, value in after.arrived.items()}
            for devices, variates in sums.kept:
                for name, value in variates.items():
                    arrived[name][devices.to(value.device)] = value
            mean = average(arrived, torch.from_numpy(state.task.sizes))
            after = replace(after, variates=mean, arrived=arrived)
        heard = {HEARD + name: value for name, value in after.variates.items()}
        return after, Message({**after.parameters, **heard})
