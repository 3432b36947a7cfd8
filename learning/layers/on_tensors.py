"""Layers whose problem has a solver of torch operations beside the one on the CPU: which of them answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch.autograd import forward_ad

from learning.layers.base import Infeasible, Layer, Once, kind_of
from radioopt.base.errors import OptionError
from radioopt.base.options import SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.quantity import as_numbers
from radioopt.base.solution import Solution

Solver = Literal["auto", "tensors", "kernels"]
Fields = dict[str, torch.Tensor]


class TensorLayer(Layer):
    """Pose the problem where the tensors are, if that can be; what FEEL's and FIMI's layers share."""

    def __init__(
        self, integer: bool, infeasible: Infeasible, solver: Solver, fixed: Mapping[str, Any]
    ) -> None:
        super().__init__(infeasible, fixed)
        if solver not in ("auto", "tensors", "kernels"):
            raise OptionError(
                f"{type(self).__name__}.solver: expected 'auto', 'tensors' or 'kernels', got {solver!r}"
            )
        self.integer = integer
        self.solver = solver

    def forward(self, **fields: Any) -> Any:
        """Solve for these fields, tensors or numbers, and those fixed before; see :meth:`Layer.forward`."""
        on_gpu = any(isinstance(v, torch.Tensor) and v.device.type == "cuda" for v in fields.values())
        wanted = self.solver == "tensors" or (self.solver == "auto" and on_gpu)
        found = self._where_they_lie(fields) if wanted else None
        return super().forward(**fields) if found is None else found

    # -- hooks ----------------------------------------------------------------------------------------------

    def _settings(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """Take what is no quantity out of what was given, or None if the solver on the CPU has to see it."""
        return {}

    def _fits(self, values: Fields) -> bool:
        """Tell whether the fields make a problem; what does not is for the solver on the CPU to refuse."""
        return True

    def _solve_tensors(self, values: Fields, **settings: Any) -> Fields:
        """Solve by torch operations."""
        raise NotImplementedError

    # -- where they lie ---------------------------------------------------------------------------------------

    def _where_they_lie(self, fields: Mapping[str, Any]) -> Any:
        """Solve by torch operations where the tensors are; None for what the solver on the CPU has to see."""
        quantities, given = self.problem_type.quantities, self.fixed | dict(fields)
        settings = self._settings(given)
        if settings is None or not given.keys() <= quantities.keys():
            return None
        tensors = [value for value in fields.values() if isinstance(value, torch.Tensor)]
        forward = any(forward_ad.unpack_dual(value).tangent is not None for value in tensors)
        if self.integer or forward or torch._C._are_functorch_transforms_active():
            return None
        dtype, device = kind_of(tensors)
        values = {}
        for name, declared in quantities.items():
            value: Any = given.get(name, declared.default)
            try:
                if not isinstance(value, torch.Tensor):
                    value = np.array(as_numbers(type(self).__name__, name, value))  # a copy of our own
                own = torch.as_tensor(value, dtype=torch.float64, device=device)
            except (TypeError, ValueError):
                return None
            if not bool(((declared.domain.low <= own) & (own <= declared.domain.high)).all()):
                return None
            values[name] = own if declared.axes and own.ndim else own[..., None]
        try:
            *batch, devices = torch.broadcast_shapes(*(value.shape for value in values.values()))
        except RuntimeError:
            return None
        named = {n: v.expand(*batch, devices if quantities[n].axes else 1) for n, v in values.items()}
        if not devices or not math.prod(batch) or not self._fits(named):
            return None

        def solve(*tensors: torch.Tensor) -> list[torch.Tensor]:
            found = self._solve_tensors(dict(zip(named, tensors, strict=True)), **settings)
            return [found[name] for name in (*self.results, "answered")]

        found = self.allocation._make(Once.apply(solve, *named.values()))
        if self.infeasible == "error" and not bool(found.answered.all()):
            return None
        return self.allocation._make([*(value.to(dtype) for value in found[:-1]), found.answered])

    def _solve(self, problem: Problem[Any]) -> tuple[Solution, Any]:
        shown, smooth = super()._solve(problem)
        if self.integer:
            shown = problem.solve(options=SolveOptions(warn=False), throw=False, integer=True)
        return shown, smooth
