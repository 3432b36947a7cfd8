"""Federated training that spends the allocations computed by radioopt.

One loop owns the clock and the energy; a scheme is a small object with hooks. Seconds are simulated, from the
allocations of each round, and never measured::

    import learning

    result = learning.train("feel-cpu", policy="optimal", rounds=50)
    result.ledger.to_frame()                                     # accuracy, loss, seconds, joules per round
    comparison = learning.compare("feel-cpu", target_accuracy=0.9, seconds=20_000)
    print(comparison)                                            # seconds to the target per policy, paired
    learning.save_run(comparison, "feel-digits")                 # runs/feel-digits: metrics, plot, manifest

Names are imported when they are first used, so that ``import learning`` is instant.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from radioopt.base.errors import MissingExtraError

if find_spec("torch") is None:
    raise MissingExtraError("torch is not installed: pip install 'radioopt[learning]'")

if TYPE_CHECKING:
    from learning.allocators import POLICIES, BatchsizeAllocator, LocalPlan, TdmaPlan, WorkAllocator
    from learning.batches import Batches, epochs, iterations
    from learning.cifar import from_cifar
    from learning.comparison import Comparison, compare
    from learning.data import Dataset, digits
    from learning.engines import Trained, train_devices
    from learning.fading_link import FadingLink
    from learning.idx import from_idx
    from learning.ledger import Ledger
    from learning.link import Link, NoLink, Sent, TdmaLink
    from learning.loop import TrainingResult, train
    from learning.models import MODELS, cnn, mlp, softmax
    from learning.partition import PARTITIONS, dirichlet, iid, shards
    from learning.plan import Allocator, Payload, Plan
    from learning.round_plan import FadingPlan, RoundAllocator
    from learning.runs import begin_run, run_folder, save_run
    from learning.saved import RunComparison, SavedRun, compare_runs, read_runs
    from learning.schemes import (
        SCHEMES,
        Fd,
        FedAvg,
        FedProx,
        FedSgd,
        Fl,
        Fld,
        Individual,
        Mix2Fld,
        MixFld,
        Scheme,
    )
    from learning.sources import DATASETS, from_torch
    from learning.task import State, Task
    from learning.timing import StepTimes, time_engines, time_training

_HOME = {
    "Allocator": "plan",
    "Batches": "batches",
    "BatchsizeAllocator": "allocators",
    "Comparison": "comparison",
    "DATASETS": "sources",
    "Dataset": "data",
    "FadingLink": "fading_link",
    "FadingPlan": "round_plan",
    "Fd": "schemes",
    "FedAvg": "schemes",
    "FedProx": "schemes",
    "FedSgd": "schemes",
    "Fl": "schemes",
    "Fld": "schemes",
    "Individual": "schemes",
    "Ledger": "ledger",
    "Link": "link",
    "LocalPlan": "allocators",
    "MODELS": "models",
    "Mix2Fld": "schemes",
    "MixFld": "schemes",
    "NoLink": "link",
    "PARTITIONS": "partition",
    "POLICIES": "allocators",
    "Payload": "plan",
    "Plan": "plan",
    "RoundAllocator": "round_plan",
    "RunComparison": "saved",
    "SCHEMES": "schemes",
    "SavedRun": "saved",
    "Scheme": "schemes",
    "Sent": "link",
    "State": "task",
    "StepTimes": "timing",
    "Task": "task",
    "TdmaLink": "link",
    "TdmaPlan": "allocators",
    "Trained": "engines",
    "TrainingResult": "loop",
    "WorkAllocator": "allocators",
    "begin_run": "runs",
    "cnn": "models",
    "compare": "comparison",
    "compare_runs": "saved",
    "digits": "data",
    "dirichlet": "partition",
    "epochs": "batches",
    "from_cifar": "cifar",
    "from_idx": "idx",
    "from_torch": "sources",
    "iid": "partition",
    "iterations": "batches",
    "mlp": "models",
    "read_runs": "saved",
    "run_folder": "runs",
    "save_run": "runs",
    "shards": "partition",
    "softmax": "models",
    "time_engines": "timing",
    "time_training": "timing",
    "train": "loop",
    "train_devices": "engines",
}

__all__ = [
    "DATASETS",
    "MODELS",
    "PARTITIONS",
    "POLICIES",
    "SCHEMES",
    "Allocator",
    "Batches",
    "BatchsizeAllocator",
    "Comparison",
    "Dataset",
    "FadingLink",
    "FadingPlan",
    "Fd",
    "FedAvg",
    "FedProx",
    "FedSgd",
    "Fl",
    "Fld",
    "Individual",
    "Ledger",
    "Link",
    "LocalPlan",
    "Mix2Fld",
    "MixFld",
    "NoLink",
    "Payload",
    "Plan",
    "RoundAllocator",
    "RunComparison",
    "SavedRun",
    "Scheme",
    "Sent",
    "State",
    "StepTimes",
    "Task",
    "TdmaLink",
    "TdmaPlan",
    "Trained",
    "TrainingResult",
    "WorkAllocator",
    "begin_run",
    "cnn",
    "compare",
    "compare_runs",
    "digits",
    "dirichlet",
    "epochs",
    "from_cifar",
    "from_idx",
    "from_torch",
    "iid",
    "iterations",
    "mlp",
    "read_runs",
    "run_folder",
    "save_run",
    "shards",
    "softmax",
    "time_engines",
    "time_training",
    "train",
    "train_devices",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'learning' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"learning.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names without importing them."""
    return sorted({*globals(), *__all__})
