"""Every scheme on a GPU against the CPU: the same account to rounding, and weights that lie where they should.

Before them FEEL's and FIMI's layers: answers and gradients of torch operations on the GPU beside kernels on the CPU.

    python -m validation.device_check [--device cuda] [--rounds 3] [--layers] [--save FILE]

Prints a row for each kind of problem and for each scheme, and ends with exit code 1 if one of them disagrees.
``--save`` writes the rows with the hardware's name and the versions as JSON. Needs a machine with a GPU; on one without
it says so and ends with code 2. ``--device cpu`` compares both solvers of the layers on the CPU: it runs everywhere.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from typing import Any

import numpy as np
import torch

import learning
from learning.layers import BatchsizeLayer, SynthesisLayer
from radioopt.base.files import write_whole
from validation.bench import machine
from validation.feel import zoo as feel
from validation.fimi import zoo as fimi

DISTILLED: dict[str, Any] = {"model": "softmax", "iterations": 20, "max_slots": 114, "policy": "paper"}
SEEDED: dict[str, Any] = {"server_iterations": 20, "seed_samples": 4}
LAYER_OF: dict[str, Any] = {"feel": BatchsizeLayer, "fimi": SynthesisLayer}
#: kinds of problems that layers solve on a GPU
LAYERS = (*(("feel", option) for option in feel.OPTIONS), ("fimi", "all"), ("fimi", "fixed"))
#: options with which each scheme takes seconds
SETTINGS: dict[str, dict[str, Any]] = {
    "fl": DISTILLED,
    "fd": DISTILLED,
    "fld": DISTILLED | SEEDED,
    "mixfld": DISTILLED | SEEDED,
    "mix2fld": DISTILLED | SEEDED,
}
#: columns of the table of rounds that learning has a part in, and how far they may differ: an accuracy by two samples
LEARNT = {"test_accuracy": 0.02, "test_loss": 1e-3, "train_loss": 1e-3}


def compare(scheme: str, device: str, rounds: int) -> dict[str, Any]:
    """Train on both, and say how far apart they are.

    Parameters
    ----------
    scheme : str
        Name of a scheme.
    device : str
        The other device, as "cuda".
    rounds : int
        Rounds of each run.

    Returns
    -------
    dict
        Largest differences, where the weights are, and whether all is well.
    """
    options = SETTINGS.get(scheme, {})
    where = "mix2fld" if learning.SCHEMES[scheme].radio == "fading" else "feel-cpu"
    runs = [
        learning.train(
            where,
            scheme=scheme,
            data="digits@300+100",
            rounds=rounds,
            seed=1,
            device=place,
            progress=False,
            **options,
        )
        for place in ("cpu", device)
    ]
    here, there = (run.to_frame() for run in runs)
    names = [str(name) for name in here]
    accounted = [
        name for name in names if name not in LEARNT and "accuracy" not in name and "loss" not in name
    ]
    apart = {name: float(np.nanmax(np.abs(here[name] - there[name]))) for name in LEARNT}
    weights = [value for run in runs[1:] for value in run.weights().values()]
    placed = {value.device.type for value in weights}
    same_account = bool(here[accounted].equals(there[accounted]))
    good = same_account and placed == {torch.device(device).type}
    good = good and all(apart[name] <= limit for name, limit in LEARNT.items())
    return {
        "scheme": scheme,
        **apart,
        "same account": same_account,
        "weights on": ", ".join(placed),
        "good": good,
    }


def compare_layer(device: str, family: str, option: str, count: int = 10_000) -> dict[str, Any]:
    """Solve and differentiate instances by kernels on the CPU and by torch operations on the other device.

    Parameters
    ----------
    device : str
        The other device, as "cuda"; "cpu" compares both solvers there.
    family, option : str
        One of :data:`LAYERS`.
    count : int, default 10000
        Instances.

    Returns
    -------
    dict
        Largest relative difference of the answers, and of the gradients next to the largest of their field; where the
        answers are; seconds of the second forward and backward pass on both; and whether all is well.
    """
    problem = _instances(family, option, count)
    solution = problem.solve(throw=False)
    answered = torch.tensor(np.asarray(solution.status_code == 0))
    steady = answered & ~torch.tensor(np.asarray(solution.at_kink))
    solved, slopes, seconds = [], [], []
    for place, solver in (("cpu", "kernels"), (device, "tensors")):
        layer = LAYER_OF[family](solver=solver, **problem.settings)
        for _ in range(2):  # the first pass may compile
            fields = {
                name: torch.tensor(np.array(getattr(problem, name)), device=place, requires_grad=True)
                for name in problem.quantities
            }
            start = time.perf_counter()
            found = layer(**fields)
            sum(_relative(found, name).sum() for name in layer.results).backward()
            if torch.device(place).type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        solved.append(found)
        zero = torch.zeros((), device="cpu")
        slopes.append(
            {n: (zero if v.grad is None else v.grad).cpu().expand(v.shape) for n, v in fields.items()}
        )
    values = gradients = 0.0
    for name in layer.results:
        here, there = (getattr(found, name).detach().cpu()[answered] for found in solved)
        size = here + torch.tensor(problem.local_samples)[answered] if name == "synthetic_samples" else here
        values = max(values, float(((there - here).abs() / size).max()))
    for name, here in slopes[0].items():
        apart = (slopes[1][name] - here)[steady].abs().max()
        gradients = max(gradients, float(apart / here[steady].abs().max().clamp(min=1e-300)))
    placed = {value.device.type for value in solved[1]}
    good = values < 1e-8 and gradients < 1e-8 and placed == {torch.device(device).type}
    good = good and bool((solved[1].answered.cpu() == answered).all())
    return {
        "layer": f"{family} {option}",
        "answers": values,
        "gradients": gradients,
        "answers on": ", ".join(placed),
        "seconds": seconds[3],
        "seconds of kernels": seconds[1],
        "good": good,
    }


def _instances(family: str, option: str, count: int) -> Any:
    """Draw instances with limits that bind; FIMI's in the paper's cell, its samples fixed at what is optimal."""
    if family == "feel":
        return feel.with_option(option, 1, count=count)
    problem = fimi.paper(8, 1, count)
    if option == "fixed":
        problem = problem.replace(fixed_synthetic_samples=problem.solve().synthetic_samples)
    return problem


def _relative(found: Any, name: str) -> torch.Tensor:
    """Take a result next to its size, where there is one."""
    value = getattr(found, name)
    value = value[found.answered]
    return value / value.detach().abs().clamp(min=1e-6)


def main(arguments: list[str] | None = None) -> int:
    """Compare the layers and all schemes."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--device", default="cuda", help="the other device (default: cuda)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each run (default: 3)")
    parser.add_argument("--layers", action="store_true", help="compare the layers alone")
    parser.add_argument("--count", type=int, default=10_000, help="instances of a layer (default: 10000)")
    parser.add_argument("--save", help="JSON file for the rows and the hardware's name")
    args = parser.parse_args(arguments)
    on_gpu = torch.device(args.device).type == "cuda"
    if on_gpu and not torch.cuda.is_available():
        print("device_check: torch finds no GPU on this machine", file=sys.stderr)
        return 2
    hardware = torch.cuda.get_device_name() if on_gpu else machine.cpu_model()
    print(f"{hardware}, torch {torch.__version__}")
    schemes = () if args.layers else tuple(learning.SCHEMES)
    rows = []
    for row in itertools.chain(
        (compare_layer(args.device, *kind, args.count) for kind in LAYERS),
        (compare(scheme, args.device, args.rounds) for scheme in schemes),
    ):
        rows.append(row)
        told = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in row.items()}
        print("  ".join(f"{name} {value}" for name, value in told.items()), flush=True)
    failed = sum(not row["good"] for row in rows)
    print(f"{len(rows) - failed} agree, {failed} do not")
    if args.save:
        where = {"hardware": hardware, **machine.describe(["torch"])}
        write_whole(args.save, (json.dumps({"machine": where, "rows": rows}, indent=1) + "\n").encode())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
