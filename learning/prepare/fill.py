"""FIMI's filling: as many samples more on every device as the allocation says, of the classes that it lacks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.data.dataset import stratified
from learning.generators.base import is_fitted, refuse_held
from learning.generators.saved import make
from learning.local.globals import same_threads
from learning.options import choose, real, whole
from learning.prepare.base import Preparation, Prepared
from learning.radio.base import Radio
from learning.radio.fdma import METHODS, pose
from learning.radio.fdma import solve as solve_by
from learning.task import Task
from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.quantity import check, nonnegative, refuse, shorten
from radioopt.fimi import SynthesisSolution, data_entropy_bits, fill_classes
from radioopt.scenario import Devices

IntArray = NDArray[np.int64]

#: how samples are divided over the classes of a device
CLASSES = {"optimal": "the fewest first", "least": "all to the rarest", "own": "as the device has them"}
#: who gets them
PLACES = {"devices": "each its own", "server": "all at the server"}


def fill_plan(class_counts: ArrayLike, synthetic_samples: ArrayLike, classes: str = "optimal") -> IntArray:
    """Divide whole samples over the classes of each device.

    Parameters
    ----------
    class_counts : array_like of int, shape (I, C)
        Samples that each device holds per class >= 0.
    synthetic_samples : array_like of int, shape (I,)
        Samples >= 0 to divide on each device.
    classes : {"optimal", "least", "own"}
        "optimal": the fewest first, until all are level, by which the entropy is largest (problem P8). "least": all to
        the rarest class, the first of several (HDC). "own": in the proportions that the device has, by largest
        remainders; without category optimisation.

    Returns
    -------
    ndarray of int64, shape (I, C)
        Rows add up to `synthetic_samples`.

    Raises
    ------
    OptionError
        If there is no such way to divide.
    ProblemError
        If a number is negative or not whole, or the shapes clash.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over Heterogeneous
    Mobile Edge Devices", problem P8 (46), Theorem 3 (47); Section V-B for HDC.

    Examples
    --------
    >>> [fill_plan([[6, 2, 0]], [5], classes).tolist() for classes in ("optimal", "least", "own")]
    [[[0, 2, 3]], [[0, 0, 5]], [[4, 1, 0]]]
    """
    choose("classes", classes, CLASSES)
    counts = check("fill_plan", "class_counts", class_counts, nonnegative)
    given = check("fill_plan", "synthetic_samples", synthetic_samples, nonnegative)
    if counts.ndim != 2 or given.shape != counts.shape[:1]:
        raise ProblemError(
            f"fill_plan: expected class_counts (devices, classes) and synthetic_samples (devices,), got {counts.shape} "
            f"and {given.shape}"
        )
    if classes == "optimal":
        return fill_classes(counts, given, integer=True).astype(np.int64)
    for name, values in (("class_counts", counts), ("synthetic_samples", given)):
        if (broken := values != np.floor(values)).any():
            refuse("fill_plan", name, values, broken, "whole numbers")
    samples = given.astype(np.int64)
    plan = np.zeros(counts.shape, np.int64)
    if classes == "least":
        plan[np.arange(len(plan)), counts.argmin(1)] = samples
        return plan
    total = counts.sum(1, keepdims=True)
    share = np.where(total > 0, counts / np.maximum(total, 1.0), 1 / counts.shape[1]) * given[:, None]
    plan = np.floor(share + 1e-9).astype(np.int64)
    rank = np.argsort(np.argsort(plan - share, axis=1, kind="stable"), axis=1)
    return plan + (rank < samples[:, None] - plan.sum(1, keepdims=True))


@dataclass(frozen=True)
class Filling(Preparation):
    """What preparations share that add samples as FIMI's allocation says: how many each device gets.

    Parameters
    ----------
    amounts : {"optimal", "equal-bandwidth", "cross-entropy"}
        How the allocation is found that says how many; see :class:`~learning.radio.fdma.SynthesisPlanner`.
    solution : SynthesisSolution, optional
        The allocation, if it is there already.
    """

    amounts: str = "optimal"
    solution: SynthesisSolution | None = None

    def __post_init__(self) -> None:
        choose("amounts", self.amounts, METHODS)
        if self.solution is not None and (
            not isinstance(self.solution, SynthesisSolution) or self.solution.batch_shape
        ):
            raise OptionError(f"solution: expected a single SynthesisSolution, got {shorten(self.solution)}")

    def settings(self) -> dict[str, Any]:
        """Return the options; of a solution its samples."""
        given = super().settings()
        if self.solution is not None:
            given["solution"] = self.solution.synthetic_samples.tolist()
        return given

    def allocation(self, task: Task, devices: Devices) -> tuple[IntArray, SynthesisSolution]:
        """Return how many samples each device gets, shape (K,), and the allocation that says so.

        Parameters
        ----------
        task : Task
            Who holds what.
        devices : Devices
            With a ``[fimi]`` table in their scenario.

        Returns
        -------
        samples : ndarray of int64, shape (K,)
            Whole numbers; those of a continuous allocation are rounded up, which keeps the error.
        solution : SynthesisSolution
            The allocation.
        """
        solution = self.solution
        if solution is None:
            posed = pose(devices, task.sizes)
            with same_threads():
                if self.amounts == "optimal":
                    solution = posed.solve("integer")
                else:
                    solution = solve_by(posed, self.amounts, None)
        solution.raise_for_status()
        if solution.sizes["device"] != len(task.parts):
            raise ProblemError(
                f"solution: expected {len(task.parts)} devices, got {solution.sizes['device']}"
            )
        return np.ceil(solution.synthetic_samples - 1e-6).astype(np.int64), solution


def counts_of(task: Task) -> IntArray:
    """Return the samples that each device holds per class, shape (K, C)."""
    labels, classes = task.data.classes(), int(task.data.classes().max()) + 1
    classes = task.data.num_classes or classes
    return np.array([np.bincount(labels[part], minlength=classes) for part in task.parts])


@dataclass(frozen=True)
class Fill(Filling):
    """Add synthetic samples, as many to each device as FIMI's allocation says, of the classes that it lacks.

    Parameters
    ----------
    generator : str or Generator, default "diffusion"
        A name out of ``GENERATORS`` with options, as "gan" or "diffusion:steps=2000", the file of a saved one, or an
        object with ``fit`` and ``sample``; see :mod:`learning.generators`. "ready-made" adds real public samples.
    public : int, default 600
        Public samples that it is fitted on; so many are set aside unless ``train(public=...)`` says otherwise.
    classes : {"optimal", "least", "own"}
        How they are divided over the classes of a device; see :func:`fill_plan`.
    place : {"devices", "server"}
        "devices": each gets its own. "server": the server keeps all of them, for
        :class:`~learning.ServerSide` and :class:`~learning.Central`.
    amounts, solution
        See :class:`Filling`.
    bits_per_number : float, default 8
        Size of a number of a sample > 0 [bit]; a label is not charged.

    Raises
    ------
    OptionError
        If a name is unknown or a number out of its range.

    Notes
    -----
    The generator sees public samples only, which are on no device and not among the test samples; one that has seen
    others is refused. What it makes is appended device after device, class after class, and broadcast before the
    first round, each device keeping its own: seconds and bits in row 0 of the table of rounds. The server's energy
    is not counted.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over Heterogeneous
    Mobile Edge Devices", Sections III-A and IV-D.

    Examples
    --------
    >>> import learning
    >>> fill = Fill(generator="ready-made", public=200)
    >>> result = learning.train(
    ...     "fimi", scheme="fedavg", radio="fdma", partition="dirichlet:0.4,32", before=[fill], rounds=1)
    >>> table = result.prepared[0].to_frame()
    >>> bool(table["synthetic_samples"].sum() == result.task.sizes.sum() - 640)
    True
    """

    generator: Any = "diffusion"
    public: int = 600
    classes: str = "optimal"
    place: str = "devices"
    bits_per_number: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        make(self.generator)
        whole("public", self.public)
        choose("classes", self.classes, CLASSES)
        choose("place", self.place, PLACES)
        real("bits_per_number", self.bits_per_number)

    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Solve, divide, make and append samples; see :meth:`Preparation.__call__`."""
        samples, _ = self.allocation(task, devices)
        counts = counts_of(task)
        plan = fill_plan(counts, samples, self.classes)
        made = self._make(task, plan)
        data, first = task.data, len(task.data.train_y)
        labels = np.concatenate([np.repeat(np.arange(plan.shape[1]), row) for row in plan])
        filled = replace(
            data, train_x=np.concatenate([data.train_x, made]), train_y=np.concatenate([data.train_y, labels])
        )
        new = np.split(np.arange(first, first + len(labels)), np.cumsum(samples)[:-1])
        prepared = {"data": filled, "private": task.private_rows}
        seconds = bits = 0.0
        if self.place == "server":
            prepared["server"] = np.concatenate(new)
        else:
            bits = self.bits_per_number * len(labels) * math.prod(data.sample_shape)
            if bits:
                delivery = radio.deliver(bits, devices, task.streams.at("prepare/fill/link"))
                seconds = delivery.seconds
                new = [
                    rows[: rows.size * bool(got)] for rows, got in zip(new, delivery.received, strict=True)
                ]
            prepared["parts"] = tuple(map(np.concatenate, zip(task.parts, new, strict=True)))
        record = {
            "device": np.repeat(np.arange(len(plan)), plan.shape[1]),
            "class": np.tile(np.arange(plan.shape[1]), len(plan)),
            "local_samples": counts.ravel(),
            "synthetic_samples": plan.ravel(),
            "entropy_bits": np.repeat(np.atleast_1d(data_entropy_bits(counts + plan)), plan.shape[1]),
        }
        return Prepared(task.replace(**prepared), seconds=seconds, downlink_bits=bits, record=record)

    def _make(self, task: Task, plan: IntArray) -> NDArray[np.float32]:
        """Fit the generator and make the samples of all devices, one device after the other."""
        streams, public = task.streams, task.server
        if public is None or public.size < self.public:
            there = 0 if public is None else public.size
            raise ProblemError(
                f"Fill.public: expected at most the {there} public samples that train(public=...) set aside, got "
                f"{self.public}"
            )
        rng = streams.at("prepare/fill")
        if public.size > self.public:
            chosen = stratified(task.data.classes()[public], self.public, rng, "Fill.public")
            public = public[chosen]
        known = task.replace(server=public).public
        generator = make(self.generator)
        if not is_fitted(generator):
            generator = generator.fit(known, rng)
        held = np.setdiff1d(np.arange(len(task.data.train_y)), public)
        refuse_held(generator, task.data.train_x[held], known.train_x)
        refuse_held(generator, task.data.test_x, known.train_x, "the test's")
        shape = task.data.sample_shape
        parts = [np.empty((0, *shape), np.float32)]
        for device, row in enumerate(plan):
            labels = np.repeat(np.arange(row.size), row)
            if not labels.size:
                continue
            made = np.asarray(generator.sample(labels, streams.at("prepare/fill", 0, device)), np.float32)
            if made.shape != (labels.size, *shape) or not np.isfinite(made).all():
                raise ProblemError(
                    f"Fill.generator: expected finite samples of shape {(labels.size, *shape)}, got {made.shape}"
                )
            parts.append(made)
        return np.concatenate(parts)


@dataclass(frozen=True)
class RepeatOwn(Filling):
    """Let devices hold some of their own samples twice, as many as FIMI would add: the local steps without new data.

    Parameters
    ----------
    amounts, solution
        See :class:`Filling`.

    Notes
    -----
    A baseline: what of FIMI's gain is due to more local steps alone. Each device draws without repetition until all
    its samples are used, and then from the start again. Nothing is sent.

    Examples
    --------
    >>> import learning
    >>> options = dict(scheme="fedavg", radio="fdma", partition="dirichlet:0.4,32", rounds=1)
    >>> result = learning.train("fimi", before=[RepeatOwn()], **options)
    >>> bool((result.task.sizes > 32).any())
    True
    """

    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Append a device's own samples; see :meth:`Preparation.__call__`."""
        samples, _ = self.allocation(task, devices)
        parts = []
        for device, (part, more) in enumerate(zip(task.parts, samples.tolist(), strict=True)):
            rng = task.streams.at("prepare/repeat", 0, device)
            turns = [rng.permutation(part) for _ in range(-(-more // max(part.size, 1)))]
            parts.append(np.concatenate([part, *turns])[: part.size + more])
        record = {"device": np.arange(len(parts)), "local_samples": task.sizes, "samples_added": samples}
        return Prepared(task.replace(parts=tuple(parts)), record=record)


@dataclass(frozen=True)
class ShareUnlabelled(Filling):
    """Give devices public samples without their labels, as many as FIMI would add: for :class:`~learning.Semi`.

    Parameters
    ----------
    public : int, default 600
        Public samples to draw from; so many are set aside unless ``train(public=...)`` says otherwise.
    amounts, solution
        See :class:`Filling`.
    bits_per_number : float, default 8
        Size of a number of a sample > 0 [bit].

    Raises
    ------
    OptionError
        If a number is out of its range.

    Notes
    -----
    Each device draws its own, whatever their classes. All public samples are broadcast, which takes the downlink.
    """

    public: int = 600
    bits_per_number: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("public", self.public)
        real("bits_per_number", self.bits_per_number)

    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Append public samples; see :meth:`Preparation.__call__`."""
        samples, _ = self.allocation(task, devices)
        public = task.server
        if public is None or public.size < samples.max(initial=0):
            raise ProblemError(
                f"ShareUnlabelled.public: expected at least {samples.max()} public samples, as many as a device gets, "
                f"got {0 if public is None else public.size}"
            )
        bits = self.bits_per_number * public.size * math.prod(task.data.sample_shape)
        delivery = radio.deliver(bits, devices, task.streams.at("prepare/unlabelled/link"))
        parts = [
            np.concatenate(
                [part, task.streams.at("prepare/unlabelled", 0, device).permutation(public)[:more]]
            )
            if delivery.received[device]
            else part
            for device, (part, more) in enumerate(zip(task.parts, samples.tolist(), strict=True))
        ]
        record = {"device": np.arange(len(parts)), "local_samples": task.sizes, "samples_added": samples}
        prepared = task.replace(parts=tuple(parts), private=task.private_rows)
        return Prepared(prepared, seconds=delivery.seconds, downlink_bits=bits, record=record)
