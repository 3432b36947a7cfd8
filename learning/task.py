"""What stays the same over a training run (Task), what changes each round (State), and the random streams."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from learning.data.dataset import Dataset
from radioopt.base.errors import ProblemError

Parameters = Mapping[str, Tensor]

#: test samples that are evaluated at once, which bounds the memory that their features take inside a network
AT_ONCE = 2000


class Streams(NamedTuple):
    """Independent random streams of a run, one per purpose, all from one seed.

    Runs with the same seed are *paired*: a policy that draws more in one stream changes nothing in the
    others, so that all policies see the same data split, channels, initial weights and order of samples. Where a
    stream is, is the state of its bit generator.
    """

    data: np.random.Generator
    channel: np.random.Generator
    weights: np.random.Generator
    training: np.random.Generator
    policy: np.random.Generator
    link: np.random.Generator

    @classmethod
    def of(cls, seed: int) -> Streams:
        """Spawn the streams of a seed."""
        children = np.random.SeedSequence(seed).spawn(len(cls._fields))
        return cls(*map(np.random.default_rng, children))


class Batch(NamedTuple):
    """The samples of all devices in one round, one after the other.

    Attributes
    ----------
    x : Tensor, shape (B, ...)
        Features.
    y : Tensor of int64, shape (B,)
        Labels.
    owner : Tensor of int64, shape (B,)
        Device of each sample, ascending.
    """

    x: Tensor
    y: Tensor
    owner: Tensor


@dataclass(frozen=True, eq=False)
class Task:
    """Who holds which data and what is to be learnt from it.

    Parameters
    ----------
    data : Dataset
        The samples.
    parts : tuple of ndarray of int64
        Indices into the training samples that each device holds.
    model : torch.nn.Module
        The architecture; its weights are the initial ones and are never changed.
    training : numpy.random.Generator
        Source of the batches.
    """

    data: Dataset
    parts: tuple[NDArray[np.int64], ...]
    model: nn.Module
    training: np.random.Generator

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Samples that each device holds, shape (K,)."""
        return np.array([part.size for part in self.parts])

    @cached_property
    def num_parameters(self) -> int:
        """Number of parameters that are trained."""
        return sum(value.numel() for value in self.initial_parameters().values())

    @cached_property
    def num_values(self) -> int:
        """Number of values in a message of weights: all parameters, and the averages of batch normalisation."""
        return sum(value.numel() for value in self.initial_values().values() if value.is_floating_point())

    def initial_parameters(self) -> dict[str, Tensor]:
        """Return copies of the initial weights by name."""
        named = self.model.named_parameters()
        return {name: value.detach().clone() for name, value in named if value.requires_grad}

    def initial_values(self) -> dict[str, Tensor]:
        """Return copies of the initial weights and of the buffers (batch normalisation's averages) by name."""
        buffers = dict(self.model.state_dict())
        kept = {name: value.clone() for name, value in self.model.named_buffers() if name in buffers}
        return {**self.initial_parameters(), **kept}

    @property
    def samples(self) -> tuple[Tensor, Tensor]:
        """Features, shape (N, ...), and labels, int64 of shape (N,), of the training samples."""
        return self._train

    def fork(self) -> np.random.Generator:
        """Return a generator for one round's batches, at the price of one number of the training stream.

        Whatever a scheme draws from it, the batches of later rounds stay those of paired runs.
        """
        return np.random.default_rng(self.training.integers(2**63))

    def draw_batch(self, sizes: NDArray[np.int64]) -> Batch:
        """Draw samples without replacement on every device.

        Parameters
        ----------
        sizes : ndarray of int, shape (K,)
            Samples per device, from 0 to what the device holds.

        Returns
        -------
        Batch
            ``sizes.sum()`` samples, those of the first device first.

        Raises
        ------
        ProblemError
            If a device holds fewer samples than it is to use.

        Notes
        -----
        Every call shuffles what each device holds and takes the first of each. So the randomness used does
        not depend on the sizes, and in the same round of paired runs the smaller batch is part of the larger.
        """
        if (sizes > self.sizes).any() or (sizes < 0).any():
            device = int(np.argmax((sizes > self.sizes) | (sizes < 0)))
            raise ProblemError(
                f"batch of device {device}: expected 0 to {self.sizes[device]} samples, as many as it holds, "
                f"got {sizes[device]}"
            )
        samples, owner, starts = self._layout
        shuffled = samples[np.lexsort((self.training.random(owner.size), owner))]
        chosen = np.arange(owner.size) - starts[owner] < sizes[owner]
        x, y = self._train
        index = torch.from_numpy(shuffled[chosen])
        return Batch(x[index], y[index], torch.from_numpy(owner[chosen]))

    def logits(self, parameters: Parameters, x: Tensor) -> Tensor:
        """Evaluate the model, in the mode it is in.

        Parameters
        ----------
        parameters : mapping of str to Tensor
            Weights by name; those that are not trained are the model's own.
        x : Tensor, shape (B, ...)
            Samples.

        Returns
        -------
        Tensor, shape (B, classes)
            Logits.
        """
        return functional_call(self.model, dict(parameters), (x,))  # type: ignore[no-any-return]

    def evaluate(self, parameters: Parameters) -> tuple[float, float]:
        """Judge weights on the test samples.

        Parameters
        ----------
        parameters : mapping of str to Tensor
            Weights by name.

        Returns
        -------
        accuracy : float
            In [0, 1].
        loss : float
            Mean cross-entropy [nat].
        """
        x, y = self._test
        training = self.model.training
        try:
            self.model.eval()
            with torch.no_grad():
                logits = torch.cat([self.logits(parameters, part) for part in x.split(AT_ONCE)])
                loss = functional.cross_entropy(logits, y)
        finally:
            self.model.train(training)
        return float((logits.argmax(1) == y).double().mean()), float(loss)

    def fingerprints(self) -> dict[str, str]:
        """Return SHA-256 digests of data, partition and initial weights: equal in paired runs."""
        parts = hashlib.sha256()
        for part in self.parts:
            parts.update(f"{part.size} ".encode() + part.tobytes())
        return {
            "data": self.data.digest(),
            "partition": parts.hexdigest(),
            "initial_weights": digest_of(self.initial_parameters()),
        }

    @cached_property
    def _layout(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """All samples device after device, the device of each, and where each device starts."""
        owner = np.repeat(np.arange(self.sizes.size), self.sizes)
        return np.concatenate(self.parts), owner, np.cumsum(self.sizes) - self.sizes

    @cached_property
    def _train(self) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.data.train_x), torch.from_numpy(self.data.train_y)

    @cached_property
    def _test(self) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.data.test_x), torch.from_numpy(self.data.test_y)


@dataclass(frozen=True, eq=False)
class State:
    """What a scheme carries from round to round; a scheme that needs more derives its own.

    With the random streams, the devices' channel and the ledger it is all that a run needs to go on, so its fields
    are tensors, arrays, numbers, generators, dataclasses, and containers of them.

    Parameters
    ----------
    task : Task
        What stays the same.
    parameters : mapping of str to Tensor
        Weights of the global model, by name.
    train_loss : float, default nan
        Mean loss over what the last round was trained with, before its update [nat]; NaN before the first.
    """

    task: Task
    parameters: Parameters
    train_loss: float = math.nan

    @property
    def judged(self) -> Parameters:
        """Weights of the model that is evaluated: of the global one unless overridden."""
        return self.parameters


def digest_of(parameters: Parameters) -> str:
    """Fingerprint of weights: SHA-256 over names and values."""
    digest = hashlib.sha256()
    for name, value in parameters.items():
        digest.update(f"{name} {tuple(value.shape)} ".encode() + value.detach().numpy().tobytes())
    return digest.hexdigest()


def distance(parameters: Parameters, reference: Parameters) -> float:
    """Relative distance of two sets of weights: Euclidean norm of the difference over that of the reference.

    Parameters
    ----------
    parameters, reference : mapping of str to Tensor
        Weights by the same names; whole numbers do not count.

    Returns
    -------
    float
        At least 0; infinite or NaN where the reference is zero.
    """
    names = [name for name, value in reference.items() if value.is_floating_point()]
    moved = sum(float((parameters[name] - reference[name]).double().square().sum()) for name in names)
    size = sum(float(reference[name].double().square().sum()) for name in names)
    return math.sqrt(moved / size) if size else math.inf if moved else math.nan
