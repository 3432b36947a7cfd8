"""The three layers: FEEL, FIMI and DT-KD."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from learning.layers.base import Infeasible, Layer, Once, kind_of, to_numpy
from learning.layers.entropic import relax
from learning.layers.tensors import solve_batchsizes
from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.solution import Solution
from radioopt.dtkd import DistillationProblem
from radioopt.feel import BatchsizeProblem
from radioopt.fimi import SynthesisProblem


class BatchsizeAllocation(NamedTuple):
    """What :class:`BatchsizeLayer` returns; see :class:`radioopt.feel.BatchsizeSolution`.

    ``answered`` (...) says which instances have an optimum; the others are NaN.
    """

    batchsize: torch.Tensor
    uplink_slot_s: torch.Tensor
    downlink_slot_s: torch.Tensor
    upload_phase_s: torch.Tensor
    download_phase_s: torch.Tensor
    round_latency_s: torch.Tensor
    objective: torch.Tensor
    answered: torch.Tensor


class SynthesisAllocation(NamedTuple):
    """What :class:`SynthesisLayer` returns; see :class:`radioopt.fimi.SynthesisSolution`.

    ``answered`` (...) says which instances have an optimum; the others are NaN.
    """

    synthetic_samples: torch.Tensor
    cpu_frequency_hz: torch.Tensor
    bandwidth_hz: torch.Tensor
    transmit_power_w: torch.Tensor
    compute_energy_j: torch.Tensor
    upload_energy_j: torch.Tensor
    objective: torch.Tensor
    answered: torch.Tensor


class DistillationAllocation(NamedTuple):
    """What :class:`DistillationLayer` returns; see :class:`radioopt.dtkd.DistillationSolution`.

    ``answered`` (...) says which instances have an optimum; the others are NaN. ``model`` and ``trains_locally`` are
    choices without a derivative, or probabilities if the layer has a temperature.
    """

    server_cpu_frequency_hz: torch.Tensor
    bandwidth_hz: torch.Tensor
    delay_s: torch.Tensor
    objective: torch.Tensor
    model: torch.Tensor
    trains_locally: torch.Tensor
    answered: torch.Tensor


class BatchsizeLayer(Layer):
    """FEEL's batch sizes and slots as a layer: :class:`radioopt.feel.BatchsizeProblem` on tensors.

    Parameters
    ----------
    integer : bool, default False
        Hand out whole batch sizes with their slots; gradients are those of the continuous optimum (straight through).
    infeasible : {"nan", "error"}, default "nan"
        Instances without an optimum are NaN and have zero gradients, or raise ``SolveError``.
    **fixed
        Fields and settings that are the same in every call, as ``max_batchsize=128`` or ``downlink="broadcast"``.

    Examples
    --------
    >>> layer = BatchsizeLayer(max_batchsize=128.0, downlink_rate_bps=2e7, update_time_s=0.1, payload_bits=1e6)
    >>> rates = torch.tensor([1e7, 3e7], dtype=torch.float64, requires_grad=True)
    >>> best = layer(uplink_rate_bps=rates, seconds_per_sample=torch.tensor([0.05, 0.02], dtype=torch.float64))
    >>> best.objective.backward()
    >>> bool((rates.grad > 0).all())
    True
    """

    problem_type = BatchsizeProblem
    allocation = BatchsizeAllocation
    results = smooth = BatchsizeAllocation._fields[:-1]

    def __init__(self, *, integer: bool = False, infeasible: Infeasible = "nan", **fixed: Any) -> None:
        super().__init__(infeasible, fixed)
        self.integer = integer

    def forward(self, **fields: Any) -> BatchsizeAllocation:
        """Solve for these fields, tensors or numbers, and those fixed before; see :meth:`Layer.forward`."""
        found = self._where_they_lie(fields) if _on_gpu(fields) else None
        return BatchsizeAllocation(*super().forward(**fields)) if found is None else found

    def _where_they_lie(self, fields: Mapping[str, Any]) -> BatchsizeAllocation | None:
        """Solve by torch operations where the tensors are; None for what the solver on the CPU has to see."""
        quantities, given = self.problem_type.quantities, self.fixed | dict(fields)
        downlink = given.pop("downlink", "tdma")
        known = given.keys() <= quantities.keys() and downlink in ("tdma", "broadcast")
        if self.integer or not known or torch._C._are_functorch_transforms_active():
            return None
        dtype, device = kind_of([value for value in fields.values() if isinstance(value, torch.Tensor)])
        values = {}
        for name, declared in quantities.items():
            value = given.get(name, declared.default)
            if not isinstance(value, (torch.Tensor, np.ndarray, float, int)):
                return None
            own = torch.as_tensor(value, dtype=torch.float64, device=device)
            if not bool(((declared.domain.low <= own) & (own <= declared.domain.high)).all()):
                return None
            values[name] = own if declared.axes and own.ndim else own[..., None]
        try:
            *batch, devices = torch.broadcast_shapes(*(value.shape for value in values.values()))
        except RuntimeError:
            return None
        if bool(values.pop("total_batchsize").isfinite().any()):
            return None
        low, high, base = (values[name] for name in ("min_batchsize", "max_batchsize", "base_time_s"))
        if bool((low > high).any() | (base + values["seconds_per_sample"] * low < 0).any()):
            return None

        def solve(*tensors: torch.Tensor) -> list[torch.Tensor]:
            named = {
                name: value.expand(*batch, devices if quantities[name].axes else 1)
                for name, value in zip(values, tensors, strict=True)
            }
            found = solve_batchsizes(named, broadcast=downlink == "broadcast")
            return [found[name] for name in (*self.results, "answered")]

        found = BatchsizeAllocation._make(Once.apply(solve, *values.values()))
        if self.infeasible == "error" and not bool(found.answered.all()):
            return None
        return BatchsizeAllocation._make([*(value.to(dtype) for value in found[:-1]), found.answered])

    def _solve(self, problem: Problem[Any]) -> tuple[Solution, Any]:
        shown, smooth = super()._solve(problem)
        if self.integer:
            shown = problem.solve(options=SolveOptions(warn=False), throw=False, integer=True)
        return shown, smooth


class SynthesisLayer(Layer):
    """FIMI's samples, CPU, bandwidth and power as a layer: :class:`radioopt.fimi.SynthesisProblem` on tensors.

    Parameters
    ----------
    integer : bool, default False
        Hand out whole synthetic samples; gradients are those of the continuous optimum (straight through).
    infeasible : {"nan", "error"}, default "nan"
        Instances without an optimum are NaN and have zero gradients, or raise ``SolveError``.
    **fixed
        Fields that are the same in every call, ``learning_curve`` among them.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> problem = Scenario.load("fimi").draw(seed=1).problem("fimi")
    >>> gain = torch.tensor(problem.channel_gain, requires_grad=True)
    >>> layer = SynthesisLayer(**{n: v for n, v in problem.to_dict().items() if n != "channel_gain"})
    >>> layer(channel_gain=gain).objective.backward()
    >>> bool((gain.grad < 0).all())  # a better channel saves energy
    True
    """

    problem_type = SynthesisProblem
    allocation = SynthesisAllocation
    results = smooth = SynthesisAllocation._fields[:-1]

    def __init__(self, *, integer: bool = False, infeasible: Infeasible = "nan", **fixed: Any) -> None:
        super().__init__(infeasible, fixed)
        self.integer = integer

    def _solve(self, problem: Problem[Any]) -> tuple[Solution, Any]:
        shown, smooth = super()._solve(problem)
        if self.integer:
            shown = problem.solve("integer", SolveOptions(warn=False), throw=False)
        return shown, smooth


class DistillationLayer(Layer):
    """DT-KD's models, places and shares as a layer: :class:`radioopt.dtkd.DistillationProblem` on tensors.

    Parameters
    ----------
    temperature : float, default 0.0
        0 gives the exact optimum: choices are whole, and gradients are those of the shares with the choices
        unchanged. Above, in the unit of the objective, choices are relaxed by the entropic dual: ``model`` is the
        probability of every model, (..., K, models), ``trains_locally`` that of training locally, shares and delays
        are expected ones, and ``objective`` is a smooth lower bound on the optimum; all have gradients, and second
        ones.
    infeasible : {"nan", "error"}, default "nan"
        Instances without an optimum are NaN and have zero gradients, or raise ``SolveError``.
    **fixed
        Fields that are the same in every call, ``catalogue`` among them.

    Raises
    ------
    OptionError
        If the temperature is negative or no number; in a call, if it is positive and there are bounds or deadlines.

    Notes
    -----
    As the temperature falls to zero the relaxed objective rises to the dual bound, which differs from the optimum by
    what few users' choices make of it; the most likely choices are then mostly the optimal ones.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> problem = Scenario.load("dtkd").draw(seed=1).problem("dtkd")
    >>> fields = {n: getattr(problem, n) for n in ("catalogue", *problem.quantities) if n != "channel_gain"}
    >>> gain = torch.tensor(problem.channel_gain, requires_grad=True)
    >>> smooth = DistillationLayer(temperature=0.01, **fields)(channel_gain=gain)
    >>> smooth.model.amax(-1).mean().backward()  # how sure the choices are
    >>> bool(smooth.objective < problem.solve().objective), bool(gain.grad.abs().max() > 0)
    (True, True)
    """

    problem_type = DistillationProblem
    allocation = DistillationAllocation
    results = DistillationAllocation._fields[:-1]
    smooth = DistillationAllocation._fields[:4]

    def __init__(self, *, temperature: float = 0.0, infeasible: Infeasible = "nan", **fixed: Any) -> None:
        super().__init__(infeasible, fixed)
        if (
            not isinstance(temperature, (int, float))
            or isinstance(temperature, bool)
            or not 0 <= temperature < math.inf
        ):
            raise OptionError(f"DistillationLayer.temperature: expected a number >= 0, got {temperature!r}")
        self.temperature = float(temperature)

    def forward(self, **fields: Any) -> DistillationAllocation:
        """Solve for these fields, tensors or numbers, and those fixed before; see :meth:`Layer.forward`."""
        if not self.temperature:
            return DistillationAllocation(*super().forward(**fields))
        tensors = {name: value for name, value in fields.items() if isinstance(value, torch.Tensor)}
        try:
            arrays = {name: to_numpy(value) for name, value in tensors.items()}
        except RuntimeError as error:
            raise NotImplementedError(
                "torch.func cannot map over relaxed choices: leading axes are a batch, and torch.autograd has the "
                "derivatives"
            ) from error
        numbers = {name: value for name, value in fields.items() if name not in tensors}
        problem = DistillationProblem(**self.fixed | numbers | arrays | {"strict": None})
        own = {name: value.to("cpu", torch.float64) for name, value in tensors.items()}

        def value(name: str) -> torch.Tensor:
            known = torch.from_numpy(np.array(getattr(problem, name)))
            return own[name].expand(known.shape) if name in own else known

        found = relax(problem, value, self.temperature)
        dtype, device = kind_of([*tensors.values()])
        answered = torch.from_numpy(np.array(~problem.is_beyond)).to(device)
        return DistillationAllocation._make([*(part.to(device, dtype) for part in found), answered])


def _on_gpu(fields: Mapping[str, Any]) -> bool:
    """Tell whether a tensor lies on a GPU with float64."""
    return any(isinstance(value, torch.Tensor) and value.device.type == "cuda" for value in fields.values())
