"""The three layers: FEEL, FIMI and DT-KD."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from learning.layers.base import Infeasible, Layer, kind_of, to_numpy
from learning.layers.entropic import relax
from learning.layers.on_tensors import Fields, Solver, TensorLayer
from learning.layers.synthesis import solve_syntheses
from learning.layers.tensors import solve_batchsizes
from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.dtkd import DistillationProblem
from radioopt.feel import BatchsizeProblem
from radioopt.fimi import LearningCurve, SynthesisProblem


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


class BatchsizeLayer(TensorLayer):
    """FEEL's batch sizes and slots as a layer: :class:`radioopt.feel.BatchsizeProblem` on tensors.

    Parameters
    ----------
    integer : bool, default False
        Hand out whole batch sizes with their slots; gradients are those of the continuous optimum (straight through).
    infeasible : {"nan", "error"}, default "nan"
        Instances without an optimum are NaN and have zero gradients, or raise ``SolveError``.
    solver : {"auto", "tensors", "kernels"}, default "auto"
        "kernels" solves on the CPU by :meth:`radioopt.Problem.solve`, wherever the tensors are; "tensors" by torch
        operations where they are, but for whole numbers and under ``torch.func``; "auto" by those for tensors on a
        GPU, and by kernels for others.
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

    def __init__(
        self,
        *,
        integer: bool = False,
        infeasible: Infeasible = "nan",
        solver: Solver = "auto",
        **fixed: Any,
    ) -> None:
        super().__init__(integer, infeasible, solver, fixed)

    def _settings(self, given: dict[str, Any]) -> dict[str, Any] | None:
        downlink = given.pop("downlink", "tdma")
        return {"broadcast": downlink == "broadcast"} if downlink in ("tdma", "broadcast") else None

    def _fits(self, values: Fields) -> bool:
        low, high, total = (values[name] for name in ("min_batchsize", "max_batchsize", "total_batchsize"))
        least, most = (limit.sum(-1, keepdim=True) for limit in (low, high))
        early = values["base_time_s"] + values["seconds_per_sample"] * low < 0
        outside = total.isfinite() & ((total < least) | (total > most))
        return not bool((low > high).any() | early.any() | outside.any())

    def _solve_tensors(self, values: Fields, **settings: Any) -> Fields:
        return solve_batchsizes(values, **settings)


class SynthesisLayer(TensorLayer):
    """FIMI's samples, CPU, bandwidth and power as a layer: :class:`radioopt.fimi.SynthesisProblem` on tensors.

    Parameters
    ----------
    integer : bool, default False
        Hand out whole synthetic samples; gradients are those of the continuous optimum (straight through).
    infeasible : {"nan", "error"}, default "nan"
        Instances without an optimum are NaN and have zero gradients, or raise ``SolveError``.
    solver : {"auto", "tensors", "kernels"}, default "auto"
        "kernels" solves on the CPU by :meth:`radioopt.Problem.solve`, wherever the tensors are; "tensors" by torch
        operations where they are, but for whole numbers and under ``torch.func``; "auto" by those for tensors on a
        GPU, and by kernels for others.
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

    def __init__(
        self,
        *,
        integer: bool = False,
        infeasible: Infeasible = "nan",
        solver: Solver = "auto",
        **fixed: Any,
    ) -> None:
        super().__init__(integer, infeasible, solver, fixed)

    def _settings(self, given: dict[str, Any]) -> dict[str, Any] | None:
        curve = given.pop("learning_curve", None)
        if isinstance(curve, LearningCurve):
            given |= {"curve_alpha": curve.alpha, "curve_beta": curve.beta, "curve_gamma": curve.gamma}
            curve = None
        return {} if curve is None else None

    def _fits(self, values: Fields) -> bool:
        fixed = values["fixed_synthetic_samples"].isfinite()
        return bool((fixed == fixed[..., :1]).all())

    def _solve_tensors(self, values: Fields, **settings: Any) -> Fields:
        return solve_syntheses(values)


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
        answered = torch.from_numpy(np.array(~problem.is_beyond))
        if self.infeasible == "error" and not answered.all():
            problem.solve(options=SolveOptions(warn=False), throw=False).raise_for_status()
        own = {name: value.to("cpu", torch.float64) for name, value in tensors.items()}

        def of_answered(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            apart = answered.reshape(answered.shape + (1,) * (value.ndim - answered.ndim))
            return torch.where(apart, value, other)

        def value(name: str) -> torch.Tensor:
            known = torch.from_numpy(np.array(getattr(problem, name)))
            return of_answered(own[name].expand(known.shape), known) if name in own else known

        found = relax(problem, value, self.temperature)
        dtype, device = kind_of([*tensors.values()])
        shown = (of_answered(part, torch.tensor(torch.nan)).to(device, dtype) for part in found)
        return DistillationAllocation._make([*shown, answered.to(device)])
