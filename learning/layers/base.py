"""What the layers of all families share: pose, solve, and hand derivatives to autograd and torch.func."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from learning.local.globals import same_threads
from radioopt.base.errors import OptionError, SolveError
from radioopt.base.options import SolveOptions
from radioopt.base.problem import Problem
from radioopt.base.solution import Solution
from radioopt.base.status import Status

Infeasible = Literal["nan", "error"]
_TWICE = (
    "an allocation has first derivatives only: the second ones jump wherever a limit starts to bind; differentiate "
    "once, or take differences of the gradient"
)


@dataclass
class Call:
    """One pass through a layer: what was asked, and the solution whose derivatives are taken."""

    layer: Layer
    names: tuple[str, ...]
    fixed: dict[str, Any]
    solution: Any = None
    #: leading axes of the solution that torch.func maps over
    mapped: int = 0


class Layer(torch.nn.Module):
    """Pose, solve, and hand derivatives back; what the layers of all families share."""

    problem_type: ClassVar[type[Problem[Any]]]
    allocation: ClassVar[Any]
    results: ClassVar[tuple[str, ...]]
    #: the results that have derivatives
    smooth: ClassVar[tuple[str, ...]]

    def __init__(self, infeasible: Infeasible, fixed: Mapping[str, Any]) -> None:
        super().__init__()
        if infeasible not in ("nan", "error"):
            raise OptionError(
                f"{type(self).__name__}.infeasible: expected 'nan' or 'error', got {infeasible!r}"
            )
        for name, value in fixed.items():
            if _wants_gradient(value):
                raise OptionError(
                    f"{type(self).__name__}.{name}: fixed fields get no gradient, got a tensor that wants one: "
                    "pass it in the call, or value.detach() here"
                )
        self.infeasible = infeasible
        self.fixed = dict(fixed)

    def __call__(self, *args: Any, **fields: Any) -> Any:
        """Refuse what would lose its gradient without a word, and solve; see :meth:`forward`."""
        for name, value in fields.items():
            if isinstance(value, (list, tuple)) and _wants_gradient(value):
                raise OptionError(
                    f"{type(self).__name__}.{name}: a {type(value).__name__} of tensors gets no gradient: "
                    "pass one tensor, as torch.stack makes of it"
                )
        return super().__call__(*args, **fields)

    def forward(self, **fields: Any) -> Any:
        """Solve for these fields, tensors or numbers, and those fixed before.

        Parameters
        ----------
        **fields : tensor or array_like
            By name, as the problem takes them; a gradient is handed back to tensors that want one.

        Returns
        -------
        NamedTuple
            Decisions, times or energies, the objective, and which instances are answered.

        Raises
        ------
        ProblemError
            If a field is unknown, missing, or refused.
        SolveError
            If an instance has no optimum and ``infeasible="error"``.
        """
        tensors = {name: value for name, value in fields.items() if isinstance(value, torch.Tensor)}
        numbers = {name: value for name, value in fields.items() if name not in tensors}
        call = Call(self, tuple(tensors), self.fixed | numbers)
        given = [value if value.is_floating_point() else value.double() for value in tensors.values()]
        return self.allocation(*_Solve.apply(call, *given))

    # -- hooks ----------------------------------------------------------------------------------------------

    def _solve(self, problem: Problem[Any]) -> tuple[Solution, Any]:
        """Return the solution that is handed out, and the one whose derivatives are."""
        solution = problem.solve(options=SolveOptions(warn=False), throw=False)
        return solution, solution

    def batch_axes(self, fields: Mapping[str, Any]) -> int:
        """Count the batch axes that numbers have."""
        quantities = self.problem_type.quantities
        return max([0, *(np.ndim(v) - len(quantities[n].axes) for n, v in fields.items() if n in quantities)])

    def _answered(self, shown: Any, smooth: Any) -> np.ndarray[Any, Any]:
        return np.asarray(
            (shown.status_code <= Status.ITERATION_LIMIT) & (smooth.status_code == Status.OPTIMAL)
        )

    def _values(self, shown: Any, answered: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        found = []
        for name in self.results:
            value = np.asarray(getattr(shown, name))
            if value.dtype == np.float64:
                value = np.where(
                    answered[..., None] if value.ndim > answered.ndim else answered, value, np.nan
                )
            found.append(value)
        return found

    def _run(self, call: Call, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        arrays = {name: to_numpy(value) for name, value in zip(call.names, tensors, strict=True)}
        problem = self.problem_type(**call.fixed | arrays | {"strict": None})
        with same_threads():
            shown, call.solution = self._solve(problem)
        answered = self._answered(shown, call.solution)
        if self.infeasible == "error" and not answered.all():
            for solution in (shown, call.solution):
                solution.raise_for_status()
            raise SolveError(f"{type(self).__name__}: not every instance has an optimum", shown)
        dtype, device = kind_of(tensors)
        values = [_to_torch(value, dtype, device) for value in self._values(shown, answered)]
        return (*values, torch.from_numpy(np.array(answered)).to(device))


class Once(torch.autograd.Function):
    """Torch operations whose first derivatives are an optimum's, and whose second ones mean nothing."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Sequence[torch.Tensor]], *tensors: torch.Tensor) -> Any:
        """Evaluate, and keep the graph."""
        inputs = [value.detach().requires_grad_(value.requires_grad) for value in tensors]
        with torch.enable_grad():
            outputs = function(*inputs)
        ctx.inputs, ctx.outputs = inputs, outputs
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        found = tuple(value.detach() for value in outputs)
        ctx.mark_non_differentiable(*(value for value in found if not value.is_floating_point()))
        return found

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> Any:  # type: ignore[override]
        """Go back through the graph."""
        given = [g for g in cotangents if g is not None]
        ends = [value for value, g in zip(ctx.outputs, cotangents, strict=True) if g is not None]
        # the fields go along so that whoever differentiates twice is told
        return None, *_OnceBack.apply(ctx.inputs, ends, *given, *ctx.saved_tensors)


class _OnceBack(torch.autograd.Function):
    """The way back, which has no derivative."""

    @staticmethod
    def forward(ctx: Any, inputs: Any, ends: Any, *given: torch.Tensor) -> Any:
        """Return a gradient for every input."""
        wanted = [value for value in inputs if value.requires_grad]
        found = iter(
            torch.autograd.grad(ends, wanted, given[: len(ends)], retain_graph=True, materialize_grads=True)
        )
        return tuple(next(found) if value.requires_grad else None for value in inputs)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:  # type: ignore[override]
        """Refuse."""
        raise NotImplementedError(_TWICE)


# -- autograd -------------------------------------------------------------------------------------------------


class _Solve(torch.autograd.Function):
    """The solver; its derivatives are functions of their own, so that torch.func can map over them."""

    @staticmethod
    def forward(call: Call, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Solve."""
        return call.layer._run(call, tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        """Keep the solution, and say which outputs are choices."""
        ctx.call = inputs[0]
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])
        ctx.mark_non_differentiable(*(value for value in output if not value.is_floating_point()))
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> Any:  # type: ignore[override]
        """Pull gradients back to the fields that want them."""
        call, fields = ctx.call, ctx.saved_tensors
        gradients: list[Any] = [None] * len(fields)
        given = {n: g for n, g in zip(call.layer.results, cotangents, strict=False) if g is not None}
        wanted = [i for i, wants in enumerate(ctx.needs_input_grad[1:]) if wants]
        if given and wanted:
            names = tuple(call.names[i] for i in wanted)
            like = tuple((tuple(fields[i].shape), fields[i].dtype, fields[i].device) for i in wanted)
            # the fields go along so that whoever differentiates twice is told
            found = _Pull.apply(call, 0, names, like, tuple(given), *given.values(), *fields)
            for i, gradient in zip(wanted, found, strict=True):
                gradients[i] = gradient
        return (None, *gradients)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:  # type: ignore[override]
        """Push changes of the fields forward."""
        call, fields = ctx.call, ctx.saved_tensors
        given = {n: t for n, t in zip(call.names, tangents[1:], strict=True) if t is not None}
        results = call.layer.smooth
        pushed = _Push.apply(call, 0, kind_of(fields)[0], results, tuple(given), *given.values(), *fields)
        found = dict(zip(results, pushed, strict=True))
        return (*(found.get(name) for name in call.layer.results), None)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], call: Call, *tensors: torch.Tensor) -> Any:
        """Map over an axis: one more axis of the batch."""
        quantities, dims = call.layer.problem_type.quantities, in_dims[1:]
        axes = [len(quantities[name].axes) for name in call.names]
        own = [value.ndim - (dim is not None) for value, dim in zip(tensors, dims, strict=True)]
        batch = max(
            0, call.layer.batch_axes(call.fixed), *(n - core for n, core in zip(own, axes, strict=True))
        )
        moved = [
            value if dim is None else _padded(value.movedim(dim, 0), 1, batch + core)
            for value, dim, core in zip(tensors, dims, axes, strict=True)
        ]
        inner = replace(call)
        output = _Solve.apply(inner, *moved)
        call.solution, call.mapped = inner.solution, inner.mapped + 1
        return output, (0,) * len(output)


class _Pull(torch.autograd.Function):
    """A vector-Jacobian product of a solution; ``lead`` axes in front of every cotangent are mapped over."""

    @staticmethod
    def forward(
        call: Call,
        lead: int,
        names: tuple[str, ...],
        like: Any,
        results: tuple[str, ...],
        *given: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Pull back, and sum over what was broadcast."""
        cotangents = {
            n: _inside(to_numpy(g), lead, call.mapped) for n, g in zip(results, given, strict=False)
        }
        with same_threads():
            pulled = call.solution.vjp(cotangents)
        found = []
        for name, (shape, dtype, device) in zip(names, like, strict=True):
            if name not in pulled:
                raise OptionError(f"{type(call.layer).__name__}: {name} is a choice and has no derivative")
            gradient = torch.from_numpy(_outside(pulled[name], lead, call.mapped))
            kept = (*gradient.shape[:lead], *[1] * (gradient.ndim - lead - len(shape)), *shape)
            found.append(
                gradient.sum_to_size(kept).reshape((*gradient.shape[:lead], *shape)).to(device, dtype)
            )
        return tuple(found)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:  # type: ignore[override]
        """Refuse."""
        raise NotImplementedError(_TWICE)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:  # type: ignore[override]
        """Refuse."""
        raise NotImplementedError(_TWICE)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Any,
        call: Call,
        lead: int,
        names: Any,
        like: Any,
        results: Any,
        *given: torch.Tensor,
    ) -> Any:
        """Map over losses, or over instances that were mapped when they were solved."""
        output = _Pull.apply(
            call, lead + 1, names, like, results, *_moved(given, in_dims[5:], info.batch_size)
        )
        return output, (0,) * len(output)


class _Push(torch.autograd.Function):
    """A Jacobian-vector product of a solution; ``lead`` axes in front of every tangent are mapped over."""

    @staticmethod
    def forward(
        call: Call, lead: int, dtype: torch.dtype, results: Any, names: tuple[str, ...], *given: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Push forward."""
        tangents = {}
        for name, value in zip(names, given, strict=False):
            own = np.ndim(getattr(call.solution.problem, name)) - call.mapped
            tangents[name] = _inside(_padded(to_numpy(value), lead, own), lead, call.mapped)
        with same_threads():
            pushed = call.solution.jvp(tangents)
        return tuple(
            _to_torch(_outside(pushed[n], lead, call.mapped), dtype, given[0].device) for n in results
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep nothing."""

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:  # type: ignore[override]
        """Refuse."""
        raise NotImplementedError(_TWICE)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:  # type: ignore[override]
        """Refuse."""
        raise NotImplementedError(_TWICE)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Any,
        call: Call,
        lead: int,
        dtype: Any,
        results: Any,
        names: Any,
        *given: torch.Tensor,
    ) -> Any:
        """Map over changes, or over instances that were mapped when they were solved."""
        output = _Push.apply(
            call, lead + 1, dtype, results, names, *_moved(given, in_dims[5:], info.batch_size)
        )
        return output, (0,) * len(output)


def _moved(given: Sequence[torch.Tensor], dims: Sequence[int | None], size: int) -> list[torch.Tensor]:
    """Put the axis that is mapped over first."""
    return [
        value.expand(size, *value.shape) if dim is None else value.movedim(dim, 0)
        for value, dim in zip(given, dims, strict=True)
    ]


def _padded(value: Any, lead: int, own: int) -> Any:
    """Give a value as many axes behind the first ``lead`` as it broadcasts to."""
    missing = own - (value.ndim - lead)
    return value.reshape(*value.shape[:lead], *[1] * missing, *value.shape[lead:])


def _inside(value: Any, lead: int, mapped: int) -> Any:
    """Of the axes in front, put those that the solution has (the outer ones) behind those that it has not."""
    return np.moveaxis(value, range(mapped), range(lead - mapped, lead)) if mapped else value


def _outside(value: Any, lead: int, mapped: int) -> Any:
    """Put them back."""
    return np.moveaxis(value, range(lead - mapped, lead), range(mapped)) if mapped else value


def kind_of(tensors: Sequence[torch.Tensor]) -> tuple[torch.dtype, torch.device]:
    """Type and place of what is handed out: those of the tensors given, and float64 for whole numbers."""
    if not tensors:
        return torch.float64, torch.device("cpu")
    types = [value.dtype if value.is_floating_point() else torch.float64 for value in tensors]
    return functools.reduce(torch.promote_types, types), tensors[0].device


def _wants_gradient(value: Any) -> bool:
    """Tell whether a tensor, or one in a list, is to get a gradient."""
    if isinstance(value, (list, tuple)):
        return any(_wants_gradient(part) for part in value)
    return isinstance(value, torch.Tensor) and value.requires_grad


def to_numpy(value: torch.Tensor) -> Any:
    """Hand a tensor to NumPy in float64, without a copy if it is that already."""
    return value.detach().to(device="cpu", dtype=torch.float64).numpy()


def _to_torch(value: Any, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    tensor = torch.from_numpy(np.array(value))
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else tensor.dtype)
