"""Every scheme on a GPU against the CPU: the same account to rounding, and weights that lie where they should.

Before them FEEL's layer: its answers and gradients on the GPU beside those of the solver on the CPU.

    python -m validation.device_check [--device cuda] [--rounds 3]

Prints a row for each kind of FEEL problem and for each scheme, and ends with exit code 1 if one of them disagrees.
Needs a machine with a GPU; on one without it says so and ends with code 2.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import Any

import numpy as np
import torch

import learning
from learning.layers import BatchsizeLayer
from validation.feel import zoo

DISTILLED: dict[str, Any] = {"model": "softmax", "iterations": 20, "max_slots": 114, "policy": "paper"}
SEEDED: dict[str, Any] = {"server_iterations": 20, "seed_samples": 4}
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


def compare_layer(device: str, option: str) -> dict[str, Any]:
    """Solve and differentiate 10,000 instances of FEEL on both, and say how far apart they are.

    Parameters
    ----------
    device : str
        The other device, as "cuda".
    option : str
        One of ``validation.feel.zoo.OPTIONS``.

    Returns
    -------
    dict
        Largest relative difference of the answers, and of the gradients next to the largest of their field; where the
        answers are; and whether all is well.
    """
    problem = zoo.with_option(option, 1, count=10_000)
    layer = BatchsizeLayer(downlink=problem.downlink)
    solved, slopes = [], []
    for place in ("cpu", device):
        fields = {
            name: torch.tensor(np.array(getattr(problem, name)), device=place, requires_grad=True)
            for name in problem.quantities
        }
        found = layer(**fields)
        sum((getattr(found, name) / getattr(found, name).detach()).sum() for name in layer.results).backward()
        solved.append(found)
        zero = torch.zeros(())
        slopes.append(
            {n: (zero if v.grad is None else v.grad).cpu().expand(v.shape) for n, v in fields.items()}
        )
    steady = torch.tensor(~problem.solve().at_kink)
    pairs = zip(solved[0][:-1], solved[1][:-1], strict=True)
    values = max(float((there.detach().cpu() / here.detach() - 1).abs().max()) for here, there in pairs)
    gradients = 0.0
    for name, here in slopes[0].items():
        apart = (slopes[1][name] - here)[steady].abs().max()
        gradients = max(gradients, float(apart / here[steady].abs().max().clamp(min=1e-300)))
    placed = {value.device.type for value in solved[1]}
    good = values < 1e-11 and gradients < 1e-9 and placed == {torch.device(device).type}
    good = good and bool(solved[1].answered.all())
    return {
        "layer": f"feel {option}",
        "answers": values,
        "gradients": gradients,
        "answers on": ", ".join(placed),
        "good": good,
    }


def main(arguments: list[str] | None = None) -> int:
    """Compare the layer and all schemes."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--device", default="cuda", help="the other device (default: cuda)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each run (default: 3)")
    args = parser.parse_args(arguments)
    if torch.device(args.device).type == "cuda" and not torch.cuda.is_available():
        print("device_check: torch finds no GPU on this machine", file=sys.stderr)
        return 2
    if torch.device(args.device).type == "cuda":
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    failed = 0
    layers = ("cpu", "gpu", "broadcast", "deadline")
    rows = itertools.chain(
        (compare_layer(args.device, option) for option in layers),
        (compare(scheme, args.device, args.rounds) for scheme in learning.SCHEMES),
    )
    for row in rows:
        failed += not row["good"]
        told = {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in row.items()}
        print("  ".join(f"{name} {value}" for name, value in told.items()))
    print(f"{len(learning.SCHEMES) + len(layers) - failed} agree, {failed} do not")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
