"""What is learnt from what (Task), some of its devices (Cohort), and what the server carries from round to round."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from learning.data.dataset import Dataset
from learning.local.losses import Loss, cross_entropy, squared_error
from learning.models.build import logits_of, tied
from learning.models.teacher import Teacher
from learning.models.weights import Weights, digest_of
from learning.streams import Streams
from radioopt.base.errors import ProblemError

IntArray = NDArray[np.int64]

#: test samples that are evaluated at once, which bounds the memory that their features take inside a network
AT_ONCE = 2000
#: where tensors are unless said otherwise
CPU = torch.device("cpu")
#: name of the architecture where all devices have the same
SAME = "model"
#: name of the architecture of the teacher, where there is one
TEACHER = "teacher"


@dataclass(frozen=True, eq=False)
class Task:
    """Who holds which data and what is to be learnt from it.

    Parameters
    ----------
    data : Dataset
        The samples; from here on they are private.
    parts : tuple of K ndarrays of int64
        Rows of the training samples that each device holds; they may overlap after samples were shared.
    models : mapping of str to torch.nn.Module, or a module
        Architectures by name, or the one of all devices; their weights are the initial ones and are never changed.
    streams : Streams
        Random numbers of the run.
    uses : tuple of K str, optional
        Architecture of each device; by default the first for all.
    server : ndarray of int64, optional
        Rows of the training samples that the server holds, none by default: public samples.
    private : tuple of K ndarrays of int64, optional
        Rows of the test samples that judge each device by itself; by default those with a label that it holds.
    device : torch.device, default cpu
        Where tensors are.
    teacher : Teacher, optional
        What a teacher says of every training sample, for schemes that distil one.
    """

    data: Dataset
    parts: tuple[IntArray, ...]
    models: Any
    streams: Streams
    uses: tuple[str, ...] = ()
    server: IntArray | None = None
    private: tuple[IntArray, ...] | None = None
    device: torch.device = CPU
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        models = {SAME: self.models} if isinstance(self.models, nn.Module) else dict(self.models)
        if self.device.type != "cpu":
            models = {name: copy.deepcopy(model).to(self.device) for name, model in models.items()}
        uses = tuple(self.uses) or (next(iter(models)),) * len(self.parts)
        if len(uses) != len(self.parts) or not set(uses) <= set(models):
            raise ProblemError(
                f"uses: expected one of {', '.join(models)} for each of {len(self.parts)} devices, got "
                f"{len(uses)} names: {', '.join(sorted(set(uses)))}"
            )
        if not self.data.private:
            data = copy.copy(self.data)
            object.__setattr__(data, "private", True)
            object.__setattr__(self, "data", data)
        object.__setattr__(self, "models", models)
        object.__setattr__(self, "uses", uses)
        if self.server is None:
            object.__setattr__(self, "server", np.empty(0, np.int64))

    def replace(self, **changes: Any) -> Task:
        """Return a task in which some fields are others."""
        return replace(self, **changes)

    @property
    def model(self) -> nn.Module:
        """The architecture of all devices; refused where they have several."""
        if len(self.models) > 1:
            raise ProblemError(
                f"model: this scheme trains one architecture, and devices have {', '.join(self.models)}: give one, or "
                "take a scheme for several: individual, fd, stu, kd or simkd"
            )
        found: nn.Module = next(iter(self.models.values()))
        return found

    @cached_property
    def sizes(self) -> IntArray:
        """Samples that each device holds, shape (K,)."""
        return np.array([part.size for part in self.parts])

    @cached_property
    def trained(self) -> frozenset[str]:
        """Names of the weights that are trained; the others are buffers."""
        return frozenset(self.initial_parameters())

    @cached_property
    def num_parameters(self) -> int:
        """Number of parameters that are trained."""
        return sum(value.numel() for value in self.initial_parameters().values())

    @cached_property
    def num_values(self) -> int:
        """Number of values in a message of weights: all parameters, and the averages of batch normalisation."""
        return sum(value.numel() for value in self.initial_values().values() if value.is_floating_point())

    def initial_parameters(self, name: str | None = None) -> dict[str, Tensor]:
        """Return copies of the initial weights, of an architecture or of the only one."""
        named = self._model(name).named_parameters()
        return {name: value.detach().clone() for name, value in named if value.requires_grad}

    def initial_values(self, name: str | None = None) -> dict[str, Tensor]:
        """Return copies of the initial weights and of the buffers (batch normalisation's averages) by name."""
        model = self._model(name)
        buffers = dict(model.state_dict())
        kept = {name: value.clone() for name, value in model.named_buffers() if name in buffers}
        return {**self.initial_parameters(name), **kept}

    def _model(self, name: str | None) -> nn.Module:
        found: nn.Module = self.model if name is None else self.models[name]
        return found

    @property
    def samples(self) -> tuple[Tensor, Tensor]:
        """Features, shape (N, ...), and labels, int64 of shape (N,), of the training samples."""
        return self._train

    @cached_property
    def public(self) -> Dataset:
        """The public samples, which the server holds: all that a generator may learn from.

        Both its parts are these samples, so that whoever gets it sees no others.
        """
        rows = self.server
        if rows is None or not rows.size:
            raise ProblemError("there are no public samples: set some aside, as public=100")
        return self.data.public_part(rows)

    @property
    def test(self) -> tuple[Tensor, Tensor]:
        """Features and labels of the test samples."""
        return self._test

    def cohort(self, devices: IntArray | None = None) -> Cohort:
        """Return some devices of one architecture, all by default.

        Parameters
        ----------
        devices : ndarray of int64, shape (k,), optional
            Their numbers, ascending.

        Returns
        -------
        Cohort
            They and what they hold.
        """
        return Cohort(self, np.arange(len(self.parts)) if devices is None else np.asarray(devices, np.int64))

    def logits(self, weights: Weights, x: Tensor, name: str | None = None) -> Tensor:
        """Evaluate a model, in the mode it is in.

        Parameters
        ----------
        weights : mapping of str to Tensor
            Weights by name; those that are not trained are the model's own.
        x : Tensor, shape (B, ...)
            Samples.
        name : str, optional
            Architecture; by default the only one.

        Returns
        -------
        Tensor, shape (B, classes)
            Logits.
        """
        return self._outputs(self._model(name), weights, x)

    def outputs(self, weights: Weights, x: Tensor, name: str | None = None) -> Tensor:
        """Evaluate a model without training it, in pieces that fit into memory; see :meth:`logits`."""
        model = self.judged_model(name)
        with torch.no_grad():
            parts = [self._outputs(model, weights, part) for part in x.split(AT_ONCE)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _outputs(self, model: nn.Module, weights: Weights, x: Tensor) -> Tensor:
        return logits_of(functional_call(model, dict(weights), (x,), tie_weights=self._tied))

    @cached_property
    def _tied(self) -> bool:
        """Whether a network has weights by two names, which are looked for at every call if so."""
        return any(tied(model) for model in self.models.values())

    def judged_model(self, name: str | None = None) -> nn.Module:
        """Return an architecture as it is evaluated: without noise, with the averages of batch normalisation."""
        return self._judged[next(iter(self.models)) if name is None else name]

    def fingerprints(self) -> dict[str, str]:
        """Return SHA-256 digests of data, partition and initial weights: equal in paired runs."""
        parts = hashlib.sha256()
        for part in self.parts:
            parts.update(f"{part.size} ".encode() + part.tobytes())
        initial = {
            name if len(self.models) == 1 else f"{kind}/{name}": value
            for kind in self.models
            for name, value in self.initial_parameters(kind).items()
        }
        return {
            "data": self.data.digest(),
            "partition": parts.hexdigest(),
            "initial_weights": digest_of(initial),
        }

    @cached_property
    def _judged(self) -> dict[str, nn.Module]:
        """Architectures as they are evaluated."""
        return {name: copy.deepcopy(model).eval() for name, model in self.models.items()}

    @cached_property
    def private_rows(self) -> tuple[IntArray, ...]:
        """Rows of the test samples that judge each device by itself."""
        if self.private is not None:
            return self.private
        train, test = self.data.classes("train"), self.data.classes("test")
        return tuple(np.flatnonzero(np.isin(test, np.unique(train[part]))) for part in self.parts)

    @cached_property
    def _kind(self) -> torch.dtype:
        """Number type of the model, which the features take too."""
        kinds = [value.dtype for model in self.models.values() for value in model.parameters()]
        return next((kind for kind in kinds if kind.is_floating_point), torch.float32)

    @cached_property
    def _train(self) -> tuple[Tensor, Tensor]:
        return self._tensors(self.data.train_x, self.data.train_y)

    @cached_property
    def _test(self) -> tuple[Tensor, Tensor]:
        return self._tensors(self.data.test_x, self.data.test_y)

    def _tensors(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[Tensor, Tensor]:
        kind = self._kind if self.data.regression else torch.int64
        return torch.from_numpy(x).to(self.device, self._kind), torch.from_numpy(y).to(self.device, kind)

    @property
    def loss(self) -> Loss:
        """Loss of every sample: the cross-entropy, or the squared error of a regression."""
        return squared_error if self.data.regression else cross_entropy


@dataclass(frozen=True, eq=False)
class Cohort:
    """Some devices of one architecture, and what they hold.

    What a scheme computes for a device depends on its row of the state, its samples, its row of the plan and its random
    numbers alone, so that it does not matter which others are in the cohort.

    Parameters
    ----------
    task : Task
        What is learnt from what.
    devices : ndarray of int64, shape (k,)
        Their numbers, ascending.
    """

    task: Task
    devices: IntArray

    def __len__(self) -> int:
        """Count the devices."""
        return len(self.devices)

    @property
    def architecture(self) -> str:
        """Name of their architecture."""
        return self.task.uses[self.devices[0]]

    @property
    def model(self) -> nn.Module:
        """Their architecture."""
        found: nn.Module = self.task.models[self.architecture]
        return found

    @cached_property
    def parts(self) -> tuple[IntArray, ...]:
        """Rows of the training samples that each holds."""
        return tuple(self.task.parts[device] for device in self.devices.tolist())

    @property
    def sizes(self) -> IntArray:
        """Samples that each holds, shape (k,)."""
        return self.task.sizes[self.devices]

    def initial_values(self) -> dict[str, Tensor]:
        """Return copies of the initial weights and buffers of their architecture."""
        return self.task.initial_values(self.architecture)

    def rngs(self, purpose: str, round: int) -> list[np.random.Generator]:
        """Make a generator for each device; see :class:`learning.streams.Streams`."""
        at = self.task.streams.at
        return [at(purpose, round, device) for device in self.devices.tolist()]


@dataclass(frozen=True, eq=False)
class State:
    """What the server carries from round to round; a scheme that needs more derives its own.

    With the devices' rows, their channel and the ledger it is all that a run needs to go on, so its fields are tensors,
    arrays, numbers, dataclasses, and containers of them.

    Parameters
    ----------
    task : Task
        What stays the same.
    parameters : mapping of str to Tensor
        Weights of the global model, by name; none where there is no such model.
    train_loss : float, default nan
        Mean loss over what the last round was trained with, before its update [nat]; NaN before the first.
    """

    task: Task
    parameters: Mapping[str, Tensor]
    train_loss: float = math.nan
