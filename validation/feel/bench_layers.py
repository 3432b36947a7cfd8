"""FEEL's derivatives in the benchmark: radioopt's beside those of differentiable cone programs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from radioopt.base.errors import require
from radioopt.base.quantity import Array
from radioopt.feel.problem import BatchsizeProblem
from validation.bench.suite import Timed
from validation.feel.bench_peers import _DATA, _model, scaled
from validation.feel.scaling import Scaling

Problems = Sequence[BatchsizeProblem]
#: the loss is the sum of this result, and these are the fields that gradients are wanted in
LOSS, FIELDS = "batchsize", ("uplink_rate_bps", "seconds_per_sample")


def cvxpylayers(
    solver: str,
    arguments: dict[str, Any],
    take: Callable[[Problems], Problems],
    error: Callable[[int, Any], float],
) -> Callable[[Problems], Timed]:
    """Cvxpylayers: the program of the benchmark's CVXPY, in scaled numbers, compiled once; forward and backward.

    Parameters
    ----------
    solver : str
        "DIFFCP" or "MOREAU".
    arguments : dict
        Arguments of the solver.
    take : callable
        Instances, or batches, that are solved in turn.
    error : callable
        Error of a gradient, of call i.

    Returns
    -------
    callable
        The contestant.
    """

    def setup(problems: Problems) -> Timed:
        cp, torch = require("cvxpy", "validation"), require("torch", "learning")
        import cvxpylayers.torch as module

        chosen = take(problems)
        devices = chosen[0].sizes["device"]
        parameters = {name: cp.Parameter(devices, nonneg=sign) for name, sign in _DATA.items()}
        model, variables = _model(cp, parameters, devices)
        layer = module.CvxpyLayer(
            model, parameters=[*parameters.values()], variables=variables, solver=solver
        )

        def call(i: int) -> tuple[list[Scaling], list[Array], dict[str, Array]]:
            problem = chosen[i]
            each = [problem] if not problem.batch_shape else [problem[j] for j in range(len(problem))]
            scales, numbers = zip(*(scaled(one) for one in each), strict=True)
            shape = lambda values: torch.tensor(np.stack(values).reshape(np.shape(chosen[i].max_batchsize)))  # noqa: E731
            data = {name: shape([one[name] for one in numbers]) for name in parameters}
            leaves = {
                name: torch.tensor(np.array(getattr(problem, name)), requires_grad=True) for name in FIELDS
            }
            batch = shape([scale.batch for scale in scales])
            # what depends on the fields wanted, once more, so that gradients reach them
            for name, part, power in (("upload", "uplink_rate_bps", -1), ("slope", "seconds_per_sample", 1)):
                data[name] = data[name] * (leaves[part] / leaves[part].detach()) ** power
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of its own torch
                found = layer(*(data[name] for name in parameters), solver_args=arguments)
                (found[0] * batch).sum().backward()
            gradients = {name: value.grad.numpy() for name, value in leaves.items()}
            return list(scales), [value.detach().numpy() for value in found], gradients

        def decisions(i: int, raw: Any) -> dict[str, Array]:
            problem, (scales, values, _) = chosen[i], raw
            if not problem.batch_shape:
                return scales[0].decisions(problem, *values)
            rows = [
                scale.decisions(problem[j], *(value[j] for value in values)) for j, scale in enumerate(scales)
            ]
            return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

        return Timed(call, chosen, decisions=decisions, error=lambda i, raw: error(i, raw[2]))

    return setup
