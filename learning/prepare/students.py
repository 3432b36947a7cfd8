"""Before students learn: who trains which network (choose-students), and a teacher that is trained (teach)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from learning.local.optimisers import ServerStep, schedule, step_rule
from learning.messages import Wire
from learning.models.build import logits_of, random_layer
from learning.models.students import Imitation, own_statistics, pooled, split
from learning.models.teacher import Teacher
from learning.models.weights import Weights
from learning.options import choose, real, whole
from learning.prepare.base import Preparation, Prepared
from learning.radio.base import Radio
from learning.radio.twins import Twins, pose, solve
from learning.task import AT_ONCE, TEACHER, Task
from radioopt.base.errors import OptionError, ProblemError
from radioopt.scenario import Devices

#: cycles of a step of training per cycle of the outputs: forward once, backward twice as much [assumed]
STEP_CYCLES = 3.0


@dataclass(frozen=True)
class ChooseStudents(Preparation):
    """Solve DT-KD's problem, and let each user have the network of the model chosen for it.

    Parameters
    ----------
    policy : str or callable, default "optimal"
        See :func:`learning.radio.twins.solve`.

    Notes
    -----
    Networks stand for the entries of the scenario's catalogue in their order. Weights do not change
    architecture, so that this is chosen once; later rounds choose places and shares.

    Examples
    --------
    >>> import learning
    >>> table = learning.train("dtkd", scheme="stu", rounds=1, seed=1).prepared[0].to_frame()
    >>> list(table.columns)[:3]
    ['model', 'network', 'trains_locally']
    """

    policy: Any = "optimal"

    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Choose; see :meth:`Preparation.__call__`."""
        if not isinstance(radio, Twins):
            raise OptionError(
                f"choose-students: radio {type(radio).__name__} plans no models: take radio twins"
            )
        wire = Wire({"weights": 1}, {"outputs": 1} if TEACHER in task.models else {})
        problem = pose(devices, wire)
        names, catalogue = [name for name in task.models if name != TEACHER], problem.catalogue.names
        if len(names) != len(catalogue):
            raise ProblemError(
                f"model: expected {len(catalogue)} different networks, one for each model of the catalogue "
                f"({', '.join(catalogue)}), got {len(names)}: {', '.join(names)}"
            )
        solution = solve(problem, self.policy, task.streams.at("policy"))
        uses = tuple(names[model] for model in solution.model.tolist())
        record = {
            "device": np.arange(len(uses)),
            "model": solution.model_names,
            "network": np.array(uses),
            "trains_locally": solution.trains_locally,
            "server_cpu_frequency_hz": solution.server_cpu_frequency_hz,
            "bandwidth_hz": solution.bandwidth_hz,
            "delay_s": solution.delay_s,
        }
        return Prepared(task.replace(uses=uses), record=record)


@dataclass(frozen=True)
class Teach(Preparation):
    r"""Train the teacher by FedSGD over all samples of all users, or take one that is given; ask it of every sample.

    .. math::
        g = \sum_k \frac{N_k}{\sum_j N_j} g_k, \qquad g_k = \frac{1}{N_k} \sum_{i \in \mathcal{D}_k} \nabla \ell_i,

    is the gradient of all samples, whoever holds which of them.

    Parameters
    ----------
    teacher_rounds : int, default 100
        Steps >= 0, each over all samples; 0 takes the network as it is, which has to be given as one.
    teacher_rate : float, default 0.1
        Of these steps, > 0; it falls to zero along a cosine.
    teacher_optimiser : str or Rule, default "sgd:momentum=0.9,nesterov=true"
        Rule of these steps.
    teacher_statistics : {"own", "synchronised"}
        Whose batch statistics a teacher with batch normalisation has: its users' own is refused, as it is no training
        over all samples and ruins a teacher of unlike users. "synchronised" takes those of all samples together.

    Raises
    ------
    OptionError
        If a number is out of its range, or there is no such rule; or if a teacher that is not trained is given by name.

    Notes
    -----
    The time is that of the server's whole CPU: for each user and step three times the cycles of the
    teacher's outputs, once forward and twice that backward [assumed; the paper does not count it]. A teacher that is
    given takes none.

    References
    ----------
    X. Wang et al., "Digital twin-assisted knowledge distillation framework for heterogeneous federated learning",
    Section III-2.
    """

    teacher_rounds: int = 100
    teacher_rate: float = 0.1
    teacher_optimiser: Any = "sgd:momentum=0.9,nesterov=true"
    teacher_statistics: str = "own"

    def __post_init__(self) -> None:
        whole("teacher_rounds", self.teacher_rounds, low=0)
        real("teacher_rate", self.teacher_rate)
        step_rule("teacher_optimiser", self.teacher_optimiser)
        choose("teacher_statistics", self.teacher_statistics, {"own": None, "synchronised": None})

    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Train the teacher and ask it; see :meth:`Preparation.__call__`."""
        network = task.models.get(TEACHER)
        if network is None:
            raise OptionError("teach: this scheme has no teacher: take kd or simkd")
        values = task.initial_values(TEACHER)
        seconds, losses = 0.0, np.empty(0)
        if self.teacher_rounds:
            values, losses = self.train(task, network, values)
            problem = pose(devices, Wire({"weights": 1}, {"outputs": 1}))
            cycles = STEP_CYCLES * float(problem.teacher_cycles) * len(task.parts)
            seconds = self.teacher_rounds * cycles / float(problem.server_cpu_frequency_hz)
        imitated = [model.maps for model in task.models.values() if isinstance(model, Imitation)]
        features, logits = outputs(
            network, values, task.samples[0], wanted=bool(imitated), maps=any(imitated)
        )
        record = {"round": np.arange(1, len(losses) + 1), "train_loss": losses}
        done = task.replace(teacher=Teacher(values, features, logits))
        return Prepared(done, seconds=seconds, record=record)

    def refuse(self, scheme: Any) -> None:
        """Refuse to take a teacher as it is whose weights are random, as those of a name are."""
        teacher = getattr(scheme, "teacher", None)
        if not self.teacher_rounds and isinstance(teacher, str):
            raise OptionError(
                f"teacher_rounds: 0 takes the teacher as it is, and the weights of {teacher!r} are random: give at "
                "least 1, or as teacher a network that is trained"
            )

    def train(self, task: Task, network: nn.Module, values: Weights) -> tuple[dict[str, Tensor], Any]:
        """Return the teacher's weights after all steps, and the loss before each of them [nat]."""
        chunk = AT_ONCE
        if own_statistics(network):
            if self.teacher_statistics == "own":
                raise OptionError(
                    "teacher: batch normalisation over each user's own samples is no training over all of them: take a "
                    "teacher with layer or group normalisation, or teacher_statistics='synchronised'"
                )
            chunk = sum(part.size for part in task.parts)  # all samples are one batch
        if found := random_layer(network):
            raise OptionError(f"teacher: {found} draws noise, and steps are over all samples: set it to 0")
        module = copy.deepcopy(network).train()
        trained = [name for name, value in module.named_parameters() if value.requires_grad]
        rows = torch.from_numpy(
            np.sort(np.concatenate(task.parts))
        )  # so that sums do not depend on who holds what
        step = ServerStep(step_rule("teacher_optimiser", self.teacher_optimiser), 1.0, {})
        falling = schedule(f"cosine:{self.teacher_rounds}")
        now = {name: value.clone() for name, value in values.items()}
        losses = []
        for round in range(1, self.teacher_rounds + 1):
            loss, gradient = whole_gradient(task, module, now, trained, rows, chunk)
            losses.append(loss)
            step = ServerStep(step.rule, self.teacher_rate * falling(round), step.kept, step.taken)
            stepped, step = step.along({name: now[name] for name in trained}, gradient)
            now |= stepped
        return now, np.array(losses)


def whole_gradient(
    task: Task, module: nn.Module, values: dict[str, Tensor], trained: list[str], rows: Tensor, chunk: int
) -> tuple[float, dict[str, Tensor]]:
    """Return mean loss and gradient over samples, in chunks; running averages in `values` are changed in place."""
    (x, y), of = task.samples, task.loss
    total, gradient = 0.0, {name: torch.zeros_like(values[name]) for name in trained}
    for some in rows.to(x.device).split(chunk):
        leaves = {name: values[name].detach().requires_grad_() for name in trained}
        with torch.enable_grad():
            logits = logits_of(functional_call(module, {**values, **leaves}, (x[some],)))
            loss = of(logits, y[some], some).sum() / len(rows)
            found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        total += float(loss.detach())
        for name, value in zip(trained, found, strict=True):
            gradient[name] += value
    return total, gradient


def outputs(
    network: nn.Module, values: Weights, x: Tensor, *, wanted: bool, maps: bool
) -> tuple[Tensor, Tensor]:
    """Return features and logits of samples, without gradients and in chunks.

    Parameters
    ----------
    network : torch.nn.Module
        The teacher's.
    values : mapping of str to Tensor
        Its weights.
    x : Tensor, shape (N, ...)
        Samples.
    wanted : bool
        Whether features are: otherwise there are none, shape (N, 0).
    maps : bool
        Whether features are kept as maps, rather than their means.

    Returns
    -------
    features, logits : Tensor
        Shapes (N, t) or (N, t, height, width), and (N, L).
    """
    own = copy.deepcopy(network).eval()
    own.load_state_dict(dict(values), strict=False)
    apart = split(own) if wanted else None
    found, logits = [], []
    with torch.no_grad():
        for part in x.split(AT_ONCE):
            if apart is None:
                logits.append(logits_of(own(part)))
                found.append(logits[-1][:, :0])
                continue
            features = apart.features(part)
            found.append(features if maps else pooled(features))
            logits.append(apart.classifier(pooled(features)))
    return torch.cat(found), torch.cat(logits)
