"""A diffusion model: a residual network learns to take noise off the principal components of samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from learning.generators.base import Floats, Labels, Learner, Learnt, share
from learning.generators.formulas import cosine_alpha_bar, ddim_step, ddim_steps, guided
from learning.generators.space import Space
from learning.local.globals import fresh_torch, torch_threads
from learning.models.noise import OwnNoise
from learning.options import choose, real, whole
from learning.progress import progress_bar
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import shorten

#: frequencies that tell the step to the network
FREQUENCIES = 32
#: samples that are made at once, which bounds memory
AT_ONCE = 2000
#: training steps between two looks at the bar
EVERY = 20
#: what the network predicts
TARGETS = {"velocity": True, "noise": False}


@dataclass(frozen=True, eq=False)
class Diffusion(Learner):
    """Learn to take noise off samples, and make new ones out of noise, class by class.

    Parameters
    ----------
    steps : int, default 2500
        Steps of training >= 1. More of them come nearer to the public samples, in the end too near.
    width : int, default 256
        Units of each layer >= 1.
    blocks : int, default 3
        Residual blocks >= 1.
    components : int, default 64
        Principal components of the public samples that are learnt >= 1; there are as many at most as features.
    batchsize : int, default 128
        Samples of a step >= 1.
    learning_rate : float, default 1e-3
        Of Adam > 0, falling linearly to 0.
    dropout : float, default 0.1
        Share of the units that are left out in each step, in [0, 1).
    average : float, default 0.999
        Decay of the running average of the weights in [0, 1), which is what is kept.
    unlabelled : float, default 0.1
        Share of the samples in [0, 1) whose label is hidden, from which guidance is learnt.
    mirror : bool, default False
        Whether images are learnt mirrored too, left and right: right for clothes, wrong for digits.
    target : {"velocity", "noise"}, default "velocity"
        What the network predicts: sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) sample, or the noise.
    noise_steps : int, default 300
        Steps of noise T >= 1.
    visited : int, default 25
        Steps visited in sampling, 1 to T.
    guidance : float, default 0
        Weight >= 0 of guidance: samples are cleaner and less useful with it.

    Raises
    ------
    OptionError
        If an option is out of its range.

    Notes
    -----
    Samples are scaled to [-1, 1], turned into components, noised by :func:`cosine_alpha_bar`, and made by
    :func:`ddim_step`, the predicted sample clipped to the range in every step. Label and step enter every block by an
    embedding. Training draws from the generator that `fit` is given, on one thread.

    References
    ----------
    FIMI, Section IV-D (300 steps, labels); J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic Models",
    equation 14; T. Salimans, J. Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", appendix D
    (velocity).

    Examples
    --------
    >>> from learning.data.dataset import digits
    >>> data = digits(np.random.default_rng(0))
    >>> generator = Diffusion(steps=20, width=16).fit(data, np.random.default_rng(0))
    >>> generator.sample([0, 1, 2], np.random.default_rng(1)).shape
    (3, 1, 8, 8)
    """

    name: ClassVar[str] = "diffusion"
    steps: int = 2500
    width: int = 256
    blocks: int = 3
    components: int = 64
    batchsize: int = 128
    learning_rate: float = 1e-3
    dropout: float = 0.1
    average: float = 0.999
    unlabelled: float = 0.1
    mirror: bool = False
    target: str = "velocity"
    noise_steps: int = 300
    visited: int = 25
    guidance: float = 0.0

    def __post_init__(self) -> None:
        for option in ("steps", "width", "blocks", "components", "batchsize", "noise_steps", "visited"):
            whole(option, getattr(self, option))
        real("learning_rate", self.learning_rate)
        for option in ("dropout", "average", "unlabelled"):
            share(option, getattr(self, option))
        choose("target", self.target, TARGETS)
        if not isinstance(self.mirror, bool):
            raise OptionError(f"mirror: expected True or False, got {shorten(self.mirror)}")
        ddim_steps(self.noise_steps, self.visited)
        if self.guidance != 0:
            real("guidance", self.guidance)
            if not self.unlabelled:
                raise OptionError(
                    "guidance: needs samples without a label to learn from: set unlabelled, as 0.1"
                )

    def _fit(
        self, x: Floats, y: Labels, num_classes: int, rng: np.random.Generator, progress: bool
    ) -> dict[str, NDArray[Any]]:
        seed = int(rng.integers(2**63))
        if self.mirror:
            if x.ndim != 4:
                raise ProblemError(f"mirror: samples of shape {x.shape[1:]} are no images: leave it out")
            x, y = np.concatenate([x, x[..., ::-1]]), np.concatenate([y, y])
        with torch_threads(1), fresh_torch():
            space = Space.fit(x, self.components, seed)
            with OwnNoise(seed):
                network = self._network(space.size, num_classes)
            kept = self._train(network, space.encode(x), torch.from_numpy(y), seed, progress)
        return {**space.arrays, **{f"network.{name}": value.numpy() for name, value in kept.items()}}

    def _train(
        self, network: Denoiser, samples: Tensor, labels: Tensor, seed: int, progress: bool
    ) -> dict[str, Tensor]:
        """Train the network; return the running average of its weights."""
        rng = torch.Generator().manual_seed(seed)
        weights = list(network.parameters())
        kept = [value.detach().clone() for value in weights]
        adam = torch.optim.Adam(weights, lr=self.learning_rate)
        alpha_bar = torch.from_numpy(cosine_alpha_bar(self.noise_steps)).float()
        velocity, hidden = TARGETS[self.target], network.hidden
        with progress_bar("diffusion", self.steps, enabled=progress) as report:
            for step in range(self.steps):
                rows = torch.randint(len(samples), (self.batchsize,), generator=rng)
                when = torch.randint(self.noise_steps, (self.batchsize,), generator=rng)
                hide = torch.rand(self.batchsize, generator=rng) < self.unlabelled
                clean = samples[rows]
                noise = torch.randn(clean.shape, generator=rng)
                signal, spread = alpha_bar[when, None].sqrt(), (1.0 - alpha_bar[when, None]).sqrt()
                wanted = signal * noise - spread * clean if velocity else noise
                predicted = network(
                    signal * clean + spread * noise,
                    when / self.noise_steps,
                    labels[rows].masked_fill(hide, hidden),
                    self.dropout,
                    rng,
                )
                loss = (predicted - wanted).square().mean()
                adam.zero_grad()
                loss.backward()
                for group in adam.param_groups:
                    group["lr"] = self.learning_rate * (1.0 - step / self.steps)
                adam.step()
                pull = 1.0 - min(
                    self.average, (1 + step) / (10 + step)
                )  # the first weights are soon forgotten
                with torch.no_grad():
                    torch._foreach_lerp_(kept, [value.detach() for value in weights], pull)
                if step % EVERY == EVERY - 1:
                    report(step + 1, f"loss {loss.item():.3f}")
        return dict(zip((name for name, _ in network.named_parameters()), kept, strict=True))

    def _sample(self, learnt: Learnt, labels: Labels, rng: np.random.Generator) -> NDArray[Any]:
        space = Space(learnt.arrays)
        seed = int(rng.integers(2**63))
        with torch_threads(1), fresh_torch(), torch.no_grad():
            noise = torch.Generator().manual_seed(seed)
            with OwnNoise(seed):
                network = self._network(space.size, learnt.num_classes)
            network.load_state_dict(learnt.weights())
            parts = torch.from_numpy(labels).split(AT_ONCE)
            made = [
                space.decode(self._denoise(network, space, part, noise), learnt.sample_shape)
                for part in parts
            ]
        return np.concatenate(made)

    def _denoise(self, network: Denoiser, space: Space, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Turn noise into coordinates of samples of these labels."""
        alpha_bar = cosine_alpha_bar(self.noise_steps)
        visited = ddim_steps(self.noise_steps, self.visited).tolist()
        nobody = torch.full_like(labels, network.hidden)
        z = torch.randn((len(labels), space.size), generator=rng)
        for step, following in zip(visited, [*visited[1:], None], strict=True):
            now, then = alpha_bar[step], 1.0 if following is None else alpha_bar[following]
            when = torch.full((len(labels),), step / self.noise_steps)
            predicted = network(z, when, labels)
            if self.guidance:
                predicted = guided(predicted, network(z, when, nobody), self.guidance)
            if TARGETS[self.target]:  # noise of the velocity
                predicted = math.sqrt(now) * predicted + math.sqrt(1.0 - now) * z
            z = ddim_step(z, predicted, now, then, space.clip)[1 if following is None else 0]
        return z

    def _network(self, size: int, num_classes: int) -> Denoiser:
        return Denoiser(size, num_classes, self.width, self.blocks)


class Denoiser(nn.Module):
    """A residual network that is told label and step in every block.

    Parameters
    ----------
    size : int
        Coordinates of a sample.
    num_classes : int
        Classes; one more label stands for a hidden one.
    width, blocks : int
        Units of a layer, and blocks of two layers.
    """

    frequencies: Tensor

    def __init__(self, size: int, num_classes: int, width: int, blocks: int) -> None:
        super().__init__()
        self.hidden = num_classes
        self.enter = nn.Linear(size, width)
        self.time = nn.Linear(2 * FREQUENCIES, width)
        self.label = nn.Embedding(num_classes + 1, width)
        self.told = nn.Linear(width, blocks * width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.first = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.second = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.last = nn.LayerNorm(width)
        self.leave = nn.Linear(width, size)
        for layer in (*self.second, self.leave):  # at first nothing is predicted
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        frequencies = 1000.0 * torch.exp(torch.linspace(0.0, -math.log(1e4), FREQUENCIES))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(
        self,
        z: Tensor,
        when: Tensor,
        labels: Tensor,
        dropout: float = 0.0,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Predict of noisy coordinates (B, size) at times (B,) in [0, 1) with labels (B,) what was added to them."""
        angle = when[:, None] * self.frequencies
        told = functional.silu(self.time(torch.cat([angle.sin(), angle.cos()], 1)) + self.label(labels))
        shifts = self.told(told).chunk(len(self.norms), 1)
        h = self.enter(z)
        for norm, first, second, shift in zip(self.norms, self.first, self.second, shifts, strict=True):
            inside = functional.silu(first(norm(h)) + shift)
            if dropout:
                left = torch.rand(inside.shape, generator=rng) >= dropout
                inside = inside * left / (1.0 - dropout)
            h = h + second(inside)
        out: Tensor = self.leave(functional.silu(self.last(h)))
        return out
