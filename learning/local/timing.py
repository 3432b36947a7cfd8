"""How long a model trains on this machine: gradients over batch sizes, timed and fitted, and local steps."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from learning.local.batches import iterations
from learning.local.globals import fresh_torch, torch_threads
from learning.local.train import ENGINES, choose_engine, not_stackable, train_devices
from learning.models import build as models
from learning.models.weights import stack
from learning.options import choose, whole
from learning.progress import progress_bar
from radioopt.base.errors import OptionError, ProblemError
from radioopt.feel import TrainingTime

if TYPE_CHECKING:
    import pandas as pd

#: batch sizes timed: dense where the flat part ends, up to twice the paper's largest batch
BATCHSIZES = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
#: steps before the clock is started, for caches, memory pools and kernels to settle
WARM_UP = 3

_WAIT: dict[str, Callable[[], None]] = {"cpu": lambda: None, "cuda": torch.cuda.synchronize}


@dataclass(frozen=True)
class StepTimes:
    """What a model costs on a machine, as :class:`~radioopt.feel.BatchsizeProblem` wants to know it.

    Parameters
    ----------
    training_time : TrainingTime
        Time of a gradient over the batch size, with its measurements.
    update_time_s : float
        Time to update the model with a gradient [s] (median).
    num_parameters : int
        Number of parameters that are trained; :func:`~radioopt.feel.gradient_bits` makes the payload of it.
    machine : str
        Where it was measured.
    """

    training_time: TrainingTime
    update_time_s: float
    num_parameters: int
    machine: str

    def to_dict(self) -> dict[str, float]:
        """Return the keywords of ``BatchsizeProblem.gpu`` and the keys of ``[feel]`` in a scenario file."""
        return {**self.training_time.to_dict(), "update_time_s": self.update_time_s}

    def to_toml(self) -> str:
        """Return lines for ``[feel]`` in a scenario file, with a comment that says how they were found."""
        lines = f"# {self.machine}\n{self.training_time.to_toml()}"
        return f"{lines}update_time_s = {self.update_time_s:.6g}\n"

    def __str__(self) -> str:
        """Report the fit, the update and where it was measured."""
        update = f"update of {self.num_parameters} parameters: {self.update_time_s:.4g} s"
        return "\n".join([f"measured on {self.machine}", str(self.training_time), update])


@fresh_torch()
def time_training(
    model: str | nn.Module | models.Builder = "cnn",
    sample_shape: tuple[int, ...] = (1, 8, 8),
    num_classes: int = 10,
    *,
    batchsizes: Sequence[int] = BATCHSIZES,
    repeats: int = 15,
    threads: int = 1,
    device: str = "cpu",
    progress: bool = True,
) -> StepTimes:
    """Time the gradients of a model on this machine over batch sizes, and fit the paper's training function.

    Parameters
    ----------
    model : str, torch.nn.Module or callable, default "cnn"
        "softmax", "mlp", "cnn", a function ``(sample_shape, num_classes) -> Module``, or a module, which is
        copied.
    sample_shape : tuple of int, default (1, 8, 8)
        Shape of one sample.
    num_classes : int, default 10
        Number of classes >= 1.
    batchsizes : sequence of int, optional
        Batch sizes >= 1 to time, at least three; by default fifteen from 1 to 256.
    repeats : int, default 15
        Timed steps >= 1 per batch size, of which the median is taken.
    threads : int, default 1
        Threads >= 1 of torch on the CPU.
    device : {"cpu", "cuda"}, default "cpu"
        Where the model is trained.
    progress : bool, default True
        Show a bar, on a terminal, if it takes longer than a second.

    Returns
    -------
    StepTimes
        The fit with its residuals, the time of an update, and the number of parameters; ``print`` shows a report.

    Raises
    ------
    OptionError
        If a name is unknown, a number out of its range, or there is no such device.
    ProblemError
        If the model cannot be used, or one of the batches not be computed.

    Notes
    -----
    A step is the local gradient of the paper: forward, cross-entropy, backward, on samples of noise that lie in the
    memory of the device already. The update is one of plain gradient descent. Batch sizes are timed in turn, in
    random order, ``repeats`` times over, so that a machine that slows down slows all of them. On a CPU the flat
    part is short or none, and the report says so.

    Examples
    --------
    >>> times = time_training("mlp", batchsizes=[1, 64, 512, 4096], repeats=3)
    >>> sorted(times.to_dict()), times.num_parameters
    (['base_time_s', 'seconds_per_sample', 'threshold_batchsize', 'update_time_s'], 4810)
    """
    wait = choose("device", device, _WAIT)
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("device 'cuda': torch finds none on this machine: choose cpu")
    sizes = sorted({whole("batchsizes", size) for size in batchsizes})
    if len(sizes) < 3:
        raise OptionError(f"batchsizes: expected at least 3 different ones, got {sizes}")
    rounds, count = whole("repeats", repeats), whole("threads", threads)
    rng = np.random.default_rng(0)
    made = models.build(model, sample_shape, whole("num_classes", num_classes), rng)
    made = copy.deepcopy(made).to(device).train()
    parameters = [parameter for parameter in made.parameters() if parameter.requires_grad]
    x = torch.from_numpy(rng.standard_normal((sizes[-1], *sample_shape), np.float32)).to(parameters[0])
    y = torch.from_numpy(rng.integers(num_classes, size=sizes[-1])).to(device)

    def gradient(size: int) -> None:
        loss = functional.cross_entropy(models.logits_of(made(x[:size])), y[:size])
        torch.autograd.grad(loss, parameters, materialize_grads=True)

    def update() -> None:
        with torch.no_grad():
            for parameter in parameters:
                parameter.sub_(parameter, alpha=1e-6)

    def seconds(step: Callable[[], None]) -> float:
        wait()
        start = time.perf_counter()
        step()
        wait()
        return time.perf_counter() - start

    measured: dict[int, list[float]] = {size: [] for size in sizes}
    updates: list[float] = []
    with (
        torch_threads(count),
        progress_bar("time training", (rounds + WARM_UP) * len(sizes), enabled=progress) as report,
    ):
        for turn in range(-WARM_UP, rounds):
            for done, size in enumerate(rng.permutation(sizes).tolist()):
                try:
                    taken = seconds(lambda size=size: gradient(size))  # type: ignore[misc]
                except (RuntimeError, ValueError) as error:
                    raise ProblemError(f"time_training: a batch of {size} fails: {error}") from error
                if turn >= 0:
                    measured[size].append(taken)
                report((turn + WARM_UP) * len(sizes) + done + 1, f"batch {size}")
            updates.append(seconds(update))
    medians = [float(np.median(measured[size])) for size in sizes]
    machine = torch.cuda.get_device_name() if device == "cuda" else f"CPU, threads: {count}"
    return StepTimes(
        training_time=TrainingTime.fit(sizes, medians),
        update_time_s=float(np.median(updates[WARM_UP:])),
        num_parameters=sum(parameter.numel() for parameter in parameters),
        machine=f"{machine}, torch {torch.__version__}, medians of {rounds}",
    )


@fresh_torch()
def time_engines(
    model: str | nn.Module | models.Builder = "mlp",
    sample_shape: tuple[int, ...] = (1, 8, 8),
    num_classes: int = 10,
    *,
    devices: Sequence[int] = (10, 50),
    batchsizes: Sequence[int] = (1, 10, 32),
    steps: int = 10,
    repeats: int = 5,
) -> pd.DataFrame:
    """Time a local step of all devices by every engine, on this machine and one thread.

    Parameters
    ----------
    model : str, torch.nn.Module or callable, default "mlp"
        As in :func:`time_training`.
    sample_shape : tuple of int, default (1, 8, 8)
        Shape of one sample.
    num_classes : int, default 10
        Number of classes >= 1.
    devices : sequence of int, default (10, 50)
        Numbers of devices >= 1.
    batchsizes : sequence of int, default (1, 10, 32)
        Samples per device and step >= 1.
    steps : int, default 10
        Local steps per measurement >= 1.
    repeats : int, default 5
        Measurements >= 1, of which the shortest is taken; engines take turns.

    Returns
    -------
    pandas.DataFrame
        Per number of devices and batch size: ``plain_ms`` and ``stacked_ms`` per step of all devices [ms], their
        ratio ``speedup``, and the engine that ``chosen`` by "auto"; NaN where an engine cannot train the model.

    Raises
    ------
    OptionError
        If a name is unknown or a number out of its range.
    ProblemError
        If the model cannot be used, or one of the batches not be computed.

    Examples
    --------
    >>> times = time_engines("softmax", devices=[50], batchsizes=[1], steps=2, repeats=2)
    >>> times["chosen"].to_dict()
    {(50, 1): 'stacked'}
    """
    import pandas as pd

    rng = np.random.default_rng(0)
    made = models.build(model, sample_shape, whole("num_classes", num_classes), rng)
    start = {name: value.detach() for name, value in made.state_dict().items()}
    rows = []
    for count in (whole("devices", count) for count in devices):
        for size in (whole("batchsizes", size) for size in batchsizes):
            parts = np.split(np.arange(count * size), count)
            x = torch.from_numpy(rng.standard_normal((count * size, *sample_shape), np.float32))
            y = torch.from_numpy(rng.integers(num_classes, size=count * size))
            batches = iterations(parts, size, whole("steps", steps), rng.spawn(count))
            best = dict.fromkeys(ENGINES, float("nan"))
            able = [name for name in ENGINES if name != "stacked" or not not_stackable(made, (x, y), batches)]
            with torch_threads(1):
                for _ in range(whole("repeats", repeats)):
                    for name in able:
                        begun = time.perf_counter()
                        same = stack(start, count)
                        train_devices(made, (x, y), same, batches, learning_rate=1e-6, engine=name)
                        best[name] = float(np.fmin(best[name], time.perf_counter() - begun))
            rows.append(
                {
                    "devices": count,
                    "batchsize": size,
                    **{f"{name}_ms": 1e3 * best[name] / steps for name in ("plain", "stacked")},
                    "speedup": best["plain"] / best["stacked"],
                    "chosen": choose_engine(made, (x, y), batches),
                }
            )
    return pd.DataFrame(rows).set_index(["devices", "batchsize"])
