"""A generative adversarial network: one network makes samples, another tells them from the public ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from learning.generators.base import Floats, Labels, Learner, Learnt, share
from learning.generators.space import Space
from learning.local.globals import fresh_torch, torch_threads
from learning.models.noise import OwnNoise
from learning.options import real, whole
from learning.progress import progress_bar

#: slope of the rectifiers below zero
SLOPE = 0.2
#: momentum and decay of Adam: no momentum, as is usual where two networks chase each other
BETAS = (0.0, 0.99)
#: training steps between two looks at the bar
EVERY = 20


@dataclass(frozen=True, eq=False)
class Gan(Learner):
    """Learn to make samples that another network takes for public ones, class by class.

    Parameters
    ----------
    steps : int, default 3000
        Steps of training >= 1 of both networks.
    width : int, default 256
        Units of each layer >= 1.
    noise : int, default 32
        Random numbers >= 1 that a sample is made of.
    components : int, default 64
        Principal components of the public samples that are learnt >= 1; there are as many at most as features.
    batchsize : int, default 128
        Samples of a step >= 1.
    learning_rate : float, default 1e-3
        Of Adam > 0, falling linearly to 0.
    penalty : float, default 1.0
        Weight > 0 of the squared slope of the judging network at public samples.
    average : float, default 0.999
        Decay of the running average of the weights in [0, 1), which is what is kept.

    Raises
    ------
    OptionError
        If an option is out of its range.

    References
    ----------
    I. Goodfellow et al., "Generative Adversarial Nets", Section 3 (the loss that does not saturate); M. Mirza,
    S. Osindero, "Conditional Generative Adversarial Nets"; L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods
    for GANs do actually Converge?", equation 9 (the penalty).

    Examples
    --------
    >>> from learning.data.dataset import digits
    >>> data = digits(np.random.default_rng(0))
    >>> generator = Gan(steps=20, width=16).fit(data, np.random.default_rng(0))
    >>> generator.sample([0, 1, 2], np.random.default_rng(1)).shape
    (3, 1, 8, 8)
    """

    name: ClassVar[str] = "gan"
    steps: int = 3000
    width: int = 256
    noise: int = 32
    components: int = 64
    batchsize: int = 128
    learning_rate: float = 1e-3
    penalty: float = 1.0
    average: float = 0.999

    def __post_init__(self) -> None:
        for option in ("steps", "width", "noise", "components", "batchsize"):
            whole(option, getattr(self, option))
        for option in ("learning_rate", "penalty"):
            real(option, getattr(self, option))
        share("average", self.average)

    def _fit(
        self, x: Floats, y: Labels, num_classes: int, rng: np.random.Generator, progress: bool
    ) -> dict[str, NDArray[Any]]:
        seed = int(rng.integers(2**63))
        with torch_threads(1), fresh_torch():
            space = Space.fit(x, self.components, seed)
            with OwnNoise(seed):
                maker = Told(self.noise, space.size, num_classes, self.width)
                judge = Told(space.size, 1, num_classes, self.width)
            kept = self._train(maker, judge, space.encode(x), torch.from_numpy(y), seed, progress)
        return {**space.arrays, **{f"network.{name}": value.numpy() for name, value in kept.items()}}

    def _train(
        self, maker: Told, judge: Told, samples: Tensor, labels: Tensor, seed: int, progress: bool
    ) -> dict[str, Tensor]:
        """Train both networks in turn; return the running average of the maker's weights."""
        rng = torch.Generator().manual_seed(seed)
        weights = list(maker.parameters())
        kept = [value.detach().clone() for value in weights]
        adams = [
            torch.optim.Adam(net.parameters(), lr=self.learning_rate, betas=BETAS) for net in (maker, judge)
        ]
        with progress_bar("gan", self.steps, enabled=progress) as report:
            for step in range(self.steps):
                for adam in adams:
                    adam.param_groups[0]["lr"] = self.learning_rate * (1.0 - step / self.steps)
                rows = torch.randint(len(samples), (self.batchsize,), generator=rng)
                of = labels[rows]
                true = samples[rows].requires_grad_()
                made = maker(torch.randn((self.batchsize, self.noise), generator=rng), of)

                believed = judge(true, of)
                (slope,) = torch.autograd.grad(believed.sum(), true, create_graph=True)
                loss = (
                    functional.softplus(-believed).mean()
                    + functional.softplus(judge(made.detach(), of)).mean()
                )
                loss = loss + 0.5 * self.penalty * slope.square().sum(1).mean()
                adams[1].zero_grad()
                loss.backward()
                adams[1].step()

                fooled = functional.softplus(-judge(made, of)).mean()
                adams[0].zero_grad()
                fooled.backward()
                adams[0].step()
                pull = 1.0 - min(self.average, (1 + step) / (10 + step))
                with torch.no_grad():
                    torch._foreach_lerp_(kept, [value.detach() for value in weights], pull)
                if step % EVERY == EVERY - 1:
                    report(step + 1, f"losses {fooled.item():.3f}, {loss.item():.3f}")
        return dict(zip((name for name, _ in maker.named_parameters()), kept, strict=True))

    def _sample(self, learnt: Learnt, labels: Labels, rng: np.random.Generator) -> NDArray[Any]:
        space = Space(learnt.arrays)
        seed = int(rng.integers(2**63))
        with torch_threads(1), fresh_torch(), torch.no_grad():
            with OwnNoise(seed):
                maker = Told(self.noise, space.size, learnt.num_classes, self.width)
            maker.load_state_dict(learnt.weights())
            noise = torch.randn((len(labels), self.noise), generator=torch.Generator().manual_seed(seed))
            return space.decode(maker(noise, torch.from_numpy(labels)), learnt.sample_shape)


class Told(nn.Module):
    """A perceptron of three layers that is told the label.

    Parameters
    ----------
    size, outputs : int
        Numbers in and out.
    num_classes : int
        Classes.
    width : int
        Units of a layer.
    """

    def __init__(self, size: int, outputs: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(size, width)
        self.label = nn.Embedding(num_classes, width)
        self.middle = nn.Linear(width, width)
        self.leave = nn.Linear(width, outputs)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Map numbers (B, size) of labels (B,) to (B, outputs)."""
        h = functional.leaky_relu(self.enter(z) + self.label(labels), SLOPE)
        h = functional.leaky_relu(self.middle(h), SLOPE)
        out: Tensor = self.leave(h)
        return out
