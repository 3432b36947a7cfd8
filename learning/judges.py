"""Judges: whose models are evaluated after a round, on which samples, by which numbers, and how often."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from learning.crew import Crew
from learning.measures import ERRORS, MEASURES, accuracy, r2
from learning.models.build import logits_of
from learning.models.similarity import gradient_similarity
from learning.models.weights import Rows, Sums, Weights, of_device, weights_of
from learning.options import choose, real, whole
from learning.task import Cohort, State, Task
from radioopt.base.errors import OptionError, ProblemError, require

#: named numbers of a round
Figures = dict[str, float]


@dataclass(frozen=True)
class Judge(ABC):
    """Whose models are evaluated.

    Parameters
    ----------
    judge_every : int, default 1
        Rounds >= 1 from one evaluation to the next; the others have NaN in the table.
    measures : str, default ""
        More numbers, with commas between, each a column ``test_...``: of a classifier "top5", "brier"; of a regression,
        which always has "rmse" and "r2", also "mae".
    private : bool, default False
        Whether every device's model is judged on the test samples with its own labels too: ``private_accuracy``.

    Raises
    ------
    OptionError
        If there is no measure of that name, or a number is out of its range.
    """

    judge_every: int = 1
    measures: str = ""
    private: bool = False

    def __post_init__(self) -> None:
        whole("judge_every", self.judge_every)
        for name in self.more:
            choose("measures", name, {**MEASURES, **ERRORS})
        if not isinstance(self.private, bool):
            raise OptionError(f"private: expected true or false, got {self.private!r}")

    @property
    def more(self) -> list[str]:
        """Names of the measures beside accuracy and loss."""
        return [name.strip() for name in self.measures.split(",") if name.strip()]

    def watcher(self, task: Task) -> Watcher | None:
        """Return what looks at the devices right after their local training, if anything; once a round."""
        return None

    @abstractmethod
    def judged(self, task: Task, state: State, crew: Crew) -> Figures:
        """Evaluate on the common test samples.

        Parameters
        ----------
        task : Task
            With the test samples.
        state : State
            Of the server.
        crew : Crew
            With the devices' models.

        Returns
        -------
        dict of str to float
            ``test_accuracy``, ``test_loss``, and more.
        """

    def model(self, state: State, crew: Crew) -> dict[str, Tensor]:
        """Return the weights of the model that stands for all."""
        if not state.parameters:
            raise OptionError(
                "model: this scheme has no global model: ask for a device's, as result.model(device=0)"
            )
        return dict(state.parameters)

    def __call__(self, task: Task, state: State, crew: Crew, watcher: Watcher | None = None) -> Figures:
        """Evaluate after a round."""
        found = self.judged(task, state, crew)
        if self.private:
            found[f"private_{_headline(task)}"] = private_accuracy(task, state, crew)
        return found | (watcher.figures() if watcher is not None else {})

    def settings(self) -> dict[str, Any]:
        """Return the options, for the manifest of a run."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def measured(self, task: Task, weights: Weights, name: str | None = None) -> Figures:
        """Evaluate a model on the common test samples."""
        x, y = task.test
        outputs = task.outputs(weights, x, name)
        table, always = (
            (ERRORS, ("loss", "rmse", "r2")) if task.data.regression else (MEASURES, ("accuracy", "loss"))
        )
        kind = "a regression" if task.data.regression else "a classifier"
        if wrong := [what for what in self.more if what not in table]:
            raise OptionError(f"measures: {wrong[0]}: not of {kind}, which has {', '.join(table)}")
        return {f"test_{what}": table[what](outputs, y) for what in dict.fromkeys((*always, *self.more))}


class Watcher(ABC):
    """Looks at the devices right after their local training, cohort by cohort."""

    @abstractmethod
    def __call__(self, cohort: Cohort, own: Rows) -> None:
        """Look at some devices."""

    @abstractmethod
    def figures(self) -> Figures:
        """Return what was seen in the round."""


@dataclass(frozen=True)
class Global(Judge):
    """Judge the server's model."""

    def judged(self, task: Task, state: State, crew: Crew) -> Figures:
        """Evaluate the server's model; see :meth:`Judge.judged`."""
        if not state.parameters:
            raise OptionError("judge global: this scheme has no global model: take own, average or reference")
        return self.measured(task, state.parameters)


@dataclass(frozen=True)
class Own(Judge):
    """Judge every device's own model, and report the mean; the average of all models as ``average_accuracy``."""

    def judged(self, task: Task, state: State, crew: Crew) -> Figures:
        """Evaluate all devices' models; see :meth:`Judge.judged`."""
        found = mean_figures(self, task, crew)
        middle = middle_of(task, crew)
        what = _headline(task)
        return found | ({f"average_{what}": self.measured(task, middle)[f"test_{what}"]} if middle else {})

    def model(self, state: State, crew: Crew) -> dict[str, Tensor]:
        """Return the average of the devices' models."""
        return middle_of(crew.task, crew) or super().model(state, crew)


@dataclass(frozen=True)
class Average(Own):
    """Judge the average of the devices' models, as if all were uploaded now; their own as ``own_accuracy``."""

    def judged(self, task: Task, state: State, crew: Crew) -> Figures:
        """Evaluate the average of the devices' models; see :meth:`Judge.judged`."""
        middle = middle_of(task, crew)
        if middle is None:
            raise OptionError(
                "judge average: devices have several architectures, which have no average: take own"
            )
        what = _headline(task)
        return self.measured(task, middle) | {f"own_{what}": mean_figures(self, task, crew)[f"test_{what}"]}


@dataclass(frozen=True)
class Reference(Judge):
    """Judge one device's model after the download, and all devices' before it.

    The columns ``local_accuracy``, ``mean_local_accuracy`` and ``std_local_accuracy`` are accuracies after the local
    training, of the reference device, and mean and deviation over all.

    Parameters
    ----------
    reference : int, optional
        The device >= 0. By default one is drawn by the seed.
    locally : bool, default True
        Whether all devices' models are evaluated before the download too.

    Raises
    ------
    OptionError
        If there is no such device.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section IV, whose curves drop from the accuracy before the download to that after it.
    """

    reference: int | None = None
    locally: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference is not None:
            whole("reference", self.reference, low=0)

    def device(self, task: Task) -> int:
        """Return the reference device."""
        count = len(task.parts)
        if self.reference is None:
            return int(task.streams.at("reference").integers(count))
        if self.reference >= count:
            raise OptionError(f"reference: expected a device from 0 to {count - 1}, got {self.reference}")
        return int(self.reference)

    def watcher(self, task: Task) -> Watcher | None:
        """Return what evaluates all devices after their local training."""
        return _Local(task, self.device(task)) if self.locally else None

    def model(self, state: State, crew: Crew) -> dict[str, Tensor]:
        """Return the weights of the reference device."""
        return model_of(crew, self.device(crew.task))

    def judged(self, task: Task, state: State, crew: Crew) -> Figures:
        """Evaluate the reference device's model; see :meth:`Judge.judged`."""
        device = self.device(task)
        return self.measured(task, model_of(crew, device), task.uses[device])


@dataclass(frozen=True)
class Users(Judge):
    """Judge every user's own model, on all test samples and on those with its own labels; means over the users.

    ``test_accuracy`` and ``test_top5`` are over all test samples; ``private_accuracy`` and ``private_top5`` over
    those with a label that the user holds, all labels allowed as answers; ``own_labels_accuracy`` over the same with
    its own labels alone as answers; ``foreign`` is the share of all test samples that are taken for a label that the
    user does not hold.

    Raises
    ------
    OptionError
        If the data are a regression.

    Notes
    -----
    Of equal outputs the one of the smaller label comes first. A user that never answers with a foreign label is right
    on all test samples as often as on its own times their share.
    """

    def judged(self, task: Task, state: State, crew: Crew) -> Figures:
        """Evaluate all users' models; see :meth:`Judge.judged`."""
        if task.data.regression:
            raise OptionError("judge users: judges classifiers, and the data are a regression: take own")
        found = [
            self._user(task, of_device(weights, row) if weights else state.parameters, device)
            for cohort, own in crew.states()
            for weights in [weights_of(own)]
            for row, device in enumerate(cohort.devices.tolist())
        ]
        names = dict.fromkeys(name for one in found for name in one)
        return {name: float(np.mean([one[name] for one in found if name in one])) for name in names}

    def _user(self, task: Task, weights: Weights, device: int) -> Figures:
        """Evaluate one user's model."""
        x, y = task.test
        outputs = task.outputs(weights, x, task.uses[device])
        mine = torch.from_numpy(task.private_rows[device]).to(x.device)
        held = torch.zeros(outputs.shape[1], dtype=torch.bool, device=x.device)
        held[torch.from_numpy(np.unique(task.data.classes("train")[task.parts[device]])).to(x.device)] = True
        own = outputs.gather(1, y[:, None])
        before = torch.arange(outputs.shape[1], device=x.device) < y[:, None]
        rank = (~(outputs <= own) | ((outputs == own) & before)).sum(1)  # what is no number is no answer
        among = outputs[mine].masked_fill(~held, -torch.inf)
        found = {"test_accuracy": rank == 0, "test_top5": rank < 5}
        found |= {"private_accuracy": rank[mine] == 0, "private_top5": rank[mine] < 5}
        found |= {"own_labels_accuracy": among.argmax(1) == y[mine], "foreign": ~held[outputs.argmax(1)]}
        numbers = {name: float(right.double().mean()) for name, right in found.items() if len(right)}
        more = {f"test_{what}": MEASURES[what](outputs, y) for what in ("loss", *self.more)}
        return more | numbers


class _Local(Watcher):
    """Accuracies of all devices after their local training."""

    def __init__(self, task: Task, reference: int) -> None:
        self.reference, self.name = reference, _headline(task)
        self.measure = r2 if task.data.regression else accuracy
        self.found = np.full(len(task.parts), np.nan)

    def __call__(self, cohort: Cohort, own: Rows) -> None:
        weights = weights_of(own)
        x, y = cohort.task.test
        for row, device in enumerate(cohort.devices.tolist()):
            outputs = cohort.task.outputs(of_device(weights, row), x, cohort.architecture)
            self.found[device] = self.measure(outputs, y)

    def figures(self) -> Figures:
        return {
            f"local_{self.name}": float(self.found[self.reference]),
            f"mean_local_{self.name}": float(self.found.mean()),
            f"std_local_{self.name}": float(self.found.std()),
        }


@dataclass(frozen=True)
class Linear(Judge):
    """Judge the features of the server's model by a logistic regression on them: linear evaluation.

    Features are what the model's last linear layer gets. The regression is fitted to labelled samples, the server's
    public ones, or all training samples where there are none.

    Parameters
    ----------
    strength : float, default 1
        Inverse of the regularisation > 0, scikit-learn's C.

    Raises
    ------
    OptionError
        If the number is out of its range, or the data are a regression.
    ProblemError
        If all samples that it is fitted to have the same label, as where there are none.

    Notes
    -----
    ``test_accuracy`` and ``test_loss`` are those of the fitted regression, whatever the model's own last layer says.
    A fit takes a second or so: ``judge_every`` is for it.
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        real("strength", self.strength)

    def judged(self, task: Task, state: State, crew: Crew) -> Figures:
        """Fit and evaluate; see :meth:`Judge.judged`."""
        if task.data.regression:
            raise OptionError(
                "judge linear: fits a classifier, and the data are a regression: take another judge"
            )
        linear: Any = require("sklearn.linear_model", "learning")
        rows = (
            task.server if task.server is not None and task.server.size else np.arange(len(task.data.train_y))
        )
        x, y = task.samples
        some = torch.from_numpy(rows).to(x.device)
        if len(kinds := y[some].unique()) < 2:
            raise ProblemError(
                f"judge linear: fits to labelled samples of two classes or more, and all {len(rows)} have label "
                f"{int(kinds[0])}: give samples their labels, which training does not look at, or take another judge"
            )
        weights = self.model(state, crew)
        seen, tested = (features(task, weights, part).cpu().numpy() for part in (x[some], task.test[0]))
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # a fit that has not quite converged is an evaluation all the same
            fitted = linear.LogisticRegression(C=self.strength, max_iter=200).fit(seen, y[some].cpu().numpy())
        logits = np.full((len(tested), task.data.num_outputs), -np.inf)
        logits[:, fitted.classes_] = fitted.predict_log_proba(tested)
        outputs, labels = torch.from_numpy(logits), task.test[1].cpu()
        return {f"test_{what}": MEASURES[what](outputs, labels) for what in ("accuracy", "loss", *self.more)}


@dataclass(frozen=True)
class Gradients(Global):
    """Judge the server's model, and how alike the devices' gradients are to that of even data.

    The column ``gradient_similarity`` is the mean over the devices of :func:`learning.gradient_similarity` between the
    gradient on what a device holds and that on what all devices hold together with equal weight on every class, both
    at the server's model; of a device without samples it is 0.5.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over Heterogeneous
    Mobile Edge Devices", (52) and Fig. 5(h), whose virtual device holds as many samples of every class.
    """

    def judged(self, task: Task, state: State, crew: Crew) -> Figures:
        """Evaluate the server's model and all gradients; see :meth:`Judge.judged`."""
        found = super().judged(task, state, crew)
        rows = np.concatenate(task.parts)
        _, place, held = np.unique(task.data.classes()[rows], return_inverse=True, return_counts=True)
        even = gradient(task, state.parameters, rows, 1.0 / (held.size * held[place]))
        alike = [
            gradient_similarity(
                gradient(task, state.parameters, part, np.full(part.size, 1 / max(part.size, 1))), even
            )
            for part in task.parts
        ]
        return found | {"gradient_similarity": float(np.mean(alike))}


def gradient(
    task: Task, weights: Weights, rows: NDArray[np.int64], shares: NDArray[np.float64]
) -> dict[str, Tensor]:
    """Return the gradient of a weighted loss over training samples.

    Parameters
    ----------
    task : Task
        With one architecture, which is evaluated as it is judged.
    weights : mapping of str to Tensor
        Where.
    rows : ndarray of int64, shape (n,)
        Training samples.
    shares : ndarray, shape (n,)
        Weight of each.

    Returns
    -------
    dict of str to Tensor
        By the names of the weights that are trained.
    """
    x, y = task.samples
    index = torch.from_numpy(rows).to(x.device)
    trained = {name: weights[name].detach().clone().requires_grad_() for name in sorted(task.trained)}
    with torch.enable_grad():
        outputs = logits_of(functional_call(task.judged_model(), {**weights, **trained}, (x[index],)))
        losses = task.loss(outputs, y[index], torch.zeros_like(index))
        total = (torch.from_numpy(shares).to(losses) * losses).sum()
    found = torch.autograd.grad(total, list(trained.values()), materialize_grads=True)
    return dict(zip(trained, found, strict=True))


def features(task: Task, weights: Weights, x: Tensor) -> Tensor:
    """Return what the last linear layer of the model gets.

    Parameters
    ----------
    task : Task
        With the architecture.
    weights : mapping of str to Tensor
        Its weights.
    x : Tensor, shape (N, ...)
        Samples.

    Returns
    -------
    Tensor, shape (N, F)
        Features; the samples themselves for a model that is one linear layer.

    Raises
    ------
    OptionError
        If the model has no linear layer.
    """
    layers = [layer for layer in task.judged_model().modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise OptionError("judge linear: the model has no linear layer, whose input would be the features")
    seen: list[Tensor] = []
    hook = layers[-1].register_forward_pre_hook(lambda layer, given: seen.append(given[0].detach()))
    try:
        task.outputs(weights, x)
    finally:
        hook.remove()
    return torch.cat(seen).flatten(1)


def _headline(task: Task) -> str:
    """Name the measure that a model is known by: its accuracy, or the R2 of a regression."""
    return "r2" if task.data.regression else "accuracy"


def model_of(crew: Crew, device: int) -> dict[str, Tensor]:
    """Return the weights of one device."""
    bank = crew.banks[crew.task.uses[device]]
    return of_device(weights_of(bank.of(np.array([device]))), 0)


def mean_figures(judge: Judge, task: Task, crew: Crew) -> Figures:
    """Return the means of what is measured of each device's own model."""
    rows = [
        judge.measured(task, of_device(weights, row), cohort.architecture)
        for cohort, own in crew.states()
        for weights in [weights_of(own)]
        for row in range(len(cohort))
    ]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def middle_of(task: Task, crew: Crew) -> dict[str, Tensor] | None:
    """Return the average of all devices' models by samples held; None if they have several architectures."""
    if len(set(task.uses)) > 1:
        return None
    sums = Sums()
    for cohort, own in crew.states():
        sums.add(weights_of(own), torch.from_numpy(cohort.sizes))
    return sums.mean()


def private_accuracy(task: Task, state: State, crew: Crew) -> float:
    """Return the mean over the devices of the accuracy on the test samples with their own labels.

    Of each device's own model, or of the server's where devices keep none.
    """
    x, y = task.test
    measure = r2 if task.data.regression else accuracy
    found = []
    for cohort, own in crew.states():
        weights = weights_of(own)
        for row, device in enumerate(cohort.devices.tolist()):
            mine = torch.from_numpy(task.private_rows[device]).to(x.device)
            if len(mine):
                model: Mapping[str, Tensor] = of_device(weights, row) if weights else state.parameters
                found.append(measure(task.outputs(model, x[mine], cohort.architecture), y[mine]))
    return float(np.mean(found)) if found else float("nan")
