"""DT-KD's training: Tables 1 to 4 and Figs. 4 to 10 with students that are trained, each beside the paper's numbers.

Four users train networks of four sizes, IID or with labels divided among them, by KD, simKD, FL and alone (STU); full
and private accuracies, top-1 and top-5. Their accuracies become the catalogue of the allocation (Tables 3 and 4),
whose choices are trained once more: what was predicted beside what was reached, with a catalogue of the other seeds.
Beside the paper's grid stand the other direction of the divergence, and what might make FL fail. The networks are
small by default, and 40 epochs stand for 100; ``--full`` has the paper's networks, epochs and all samples::

    python -m validation.reproduce.dtkd_training --data digits --seeds 10 --jobs 2

Every run is a file of its own in the folder, so that what was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import learning
from learning.models.build import build
from learning.streams import Streams
from radioopt import Scenario
from radioopt.base.errors import OptionError
from radioopt.base.files import write_whole
from validation.reproduce import dtkd_claims, shared_data
from validation.reproduce.kept_runs import folder_of, run_stages
from validation.reproduce.registry import Setup

PARTITIONS = {"IID": "iid", "disjoint": "disjoint-labels"}
METHODS = ("kd", "simkd", "fl", "stu")
RULE = "sgd:momentum=0.9,nesterov=true,weight_decay=0.00075"
#: what a run says at its end
FIGURES = (
    "test_accuracy",
    "test_top5",
    "private_accuracy",
    "private_top5",
    "own_labels_accuracy",
    "foreign",
)


@dataclass(frozen=True)
class Setting:
    """What is trained, how long: the paper's, or less.

    Parameters
    ----------
    data : str
        As :func:`learning.train` takes it.
    models : tuple of four str
        Networks, in the order of the catalogue.
    teacher : str
        The teacher's.
    plain : str
        A network without normalisation, about as large as the third.
    epochs, teacher_rounds : int
        Epochs of a student, and steps of the teacher.
    judge_every : int
        Epochs from one point of a curve to the next.
    users : int
        In the paper four.
    """

    data: str
    models: tuple[str, ...]
    teacher: str
    plain: str
    epochs: int
    teacher_rounds: int
    judge_every: int
    users: int = 4

    @property
    def schedule(self) -> str:
        """A fifth of the rate after 45, 60, 75 and 90 % of the epochs."""
        return "milestones:0.2," + ",".join(f"{share * self.epochs:g}" for share in (0.45, 0.6, 0.75, 0.9))


_DENSE: dict[str, Any] = {
    "models": ("dense:8", "dense:16", "dense:32", "dense:64"),
    "teacher": "dense-teacher",
    "plain": "mlp:32",
    "epochs": 40,
    "teacher_rounds": 100,
    "judge_every": 4,
}
_PAPER: dict[str, Any] = {
    "models": ("vgg8", "resnet8x4", "resnet14x4", "resnet26x4"),
    "teacher": "resnet32x4-group",
    "plain": "cnn:64",
    "epochs": 100,
    "teacher_rounds": 100,
    "judge_every": 5,
}
SETTINGS: dict[tuple[str, bool], Setting] = {
    ("digits", False): Setting("digits", **_DENSE),
    ("digits", True): Setting("digits", **_PAPER),
    ("fashion-mnist", False): Setting("fashion-mnist@4000+2000", **_DENSE),
    ("fashion-mnist", True): Setting("fashion-mnist", **_PAPER),
    ("cifar-100", False): Setting("cifar100:{files}@4000+2000", **_DENSE),
    ("cifar-100", True): Setting("cifar100:{files}", **_PAPER),
}


@dataclass(frozen=True)
class Cell:
    """One run of the grid, but for its seed.

    Parameters
    ----------
    method, partition : str
        What is compared. "loop kd" and "loop simkd" let the allocation choose, from what was measured.
    size : int
        Which of the four networks; -1 where the allocation chooses.
    note : str
        What is other than in the paper's grid: "reverse", "T1", "T8", "local 5", "local 20", "plain".
    """

    method: str
    partition: str
    size: int
    note: str = ""

    @property
    def name(self) -> str:
        """Name of its files."""
        return "-".join([self.method, self.partition, str(self.size), *self.note.split()]).replace(" ", "-")


def cells() -> Iterator[Cell]:
    """All runs of Tables 1 and 2, then the others."""
    for partition, method, size in itertools.product(PARTITIONS, METHODS, range(4)):
        yield Cell(method, partition, size)
    for partition, note in itertools.product(PARTITIONS, ("reverse", "T1", "T8")):
        yield Cell("kd", partition, 1, note)
    for partition, note in itertools.product(PARTITIONS, ("local 5", "local 20", "plain")):
        yield Cell("fl", partition, 2, note)


def loops() -> Iterator[Cell]:
    """List the runs in which the allocation chooses, once its catalogue is measured."""
    for partition, method in itertools.product(PARTITIONS, ("kd", "simkd")):
        yield Cell(f"loop {method}", partition, -1)


# -- runs ----------------------------------------------------------------------------------------------------------


def teach(setting: Setting, seed: int, folder: Path) -> torch.nn.Module:
    """Return the teacher of a seed: its gradients are those of all samples, whoever holds them, so one is enough."""
    path = folder / f"teacher-seed{seed}.npz"
    data = shared_data.load(setting.data, Streams(seed).at("data"))
    rng = Streams(seed).at("teacher")
    network = build(setting.teacher, data.sample_shape, data.num_outputs, rng)
    if not path.exists():
        result = learning.train(
            "dtkd",
            scheme="kd",
            data=functools.partial(shared_data.load, setting.data),
            model=",".join(setting.models),
            teacher=setting.teacher,
            teacher_rounds=setting.teacher_rounds,
            rounds=1,
            seed=seed,
            progress=False,
        )
        assert result.task.teacher is not None
        file = io.BytesIO()
        np.savez(file, **{name: value.numpy() for name, value in result.task.teacher.values.items()})  # type: ignore[arg-type]
        write_whole(path, file.getvalue())
    with np.load(path) as kept:
        network.load_state_dict({name: torch.from_numpy(kept[name]) for name in kept.files})
    return network


def options_of(cell: Cell, setting: Setting, seed: int, folder: Path) -> dict[str, Any]:
    """Return what :func:`learning.train` is told."""
    names = Scenario.load("dtkd").to_dict()["dtkd"]["catalogue"]["names"]
    options: dict[str, Any] = {
        "data": functools.partial(shared_data.load, setting.data),
        "partition": PARTITIONS[cell.partition],
        "rounds": setting.epochs,
        "schedule": setting.schedule,
        "judge_every": setting.judge_every,
        "seed": seed,
        "progress": False,
    }
    if cell.method == "fl":
        data = shared_data.load(setting.data, Streams(seed).at("data"))
        local = int(cell.note.split()[1]) if cell.note.startswith("local") else 1
        rounds = max(setting.epochs // local, 1)
        steps = -(-len(data.train_y) // (setting.users * 64))
        fewer = "milestones:0.2," + ",".join(f"{share * rounds:g}" for share in (0.45, 0.6, 0.75, 0.9))
        return options | {
            "scheme": "fedavg",
            "radio": "twins",
            "judge": "users",
            "policy": names[cell.size],
            "model": setting.plain if cell.note == "plain" else setting.models[cell.size],
            "iterations": local * steps,
            "rounds": rounds,
            "schedule": fewer,
            "judge_every": min(setting.judge_every, rounds),
            "learning_rate": 0.05,
            "batchsize": 64,
            "optimiser": RULE,
        }
    options |= {"scheme": cell.method.removeprefix("loop "), "model": ",".join(setting.models)}
    options["policy"] = names[cell.size] if cell.size >= 0 else "optimal"
    if options["scheme"] != "stu":
        options |= {"teacher": teach(setting, seed, folder), "teacher_rounds": 0}
    if cell.note == "reverse":
        options["direction"] = "student-teacher"
    elif cell.note.startswith("T"):
        options["temperature"] = float(cell.note[1:])
    return options


def run(cell: Cell, setting: Setting, seed: int, folder: Path) -> dict[str, Any]:
    """Train once, and condense what is reported of it.

    Parameters
    ----------
    cell : Cell
        What.
    setting : Setting
        How long, on which data.
    seed : int
        Of everything random; cells of one seed have the same data and, by partition, the same users.
    folder : pathlib.Path
        Where teachers are kept, and the runs that a catalogue is measured from.

    Returns
    -------
    dict
        Accuracies after the last epoch, the best full one, the curve, and the account of an epoch.
    """
    scenario = Scenario.load("dtkd", {"devices.count": setting.users})
    if cell.method.startswith("loop"):
        kept = [json.loads(path.read_text()) for path in sorted(folder.glob("*-seed*.json"))]
        table = pd.DataFrame([row for row in kept if row["method"] == cell.method.removeprefix("loop ")])
        scenario = scenario.replace({"dtkd.catalogue": catalogue(table, cell.partition, seed)})
    result = learning.train(scenario, **options_of(cell, setting, seed, folder))
    frame = result.to_frame()
    judged = frame[frame["test_accuracy"].notna()]
    last = judged.iloc[-1]
    curve = judged[["test_accuracy", "private_accuracy", "train_loss"]].reset_index()
    account = ("mean_delay_s", "objective", "realised_objective", "local_share")
    return {
        **asdict(cell),
        "seed": seed,
        **{name: float(last[name]) for name in FIGURES},
        "best_accuracy": float(judged["test_accuracy"].max()),
        "best_private": float(judged["private_accuracy"].max()),
        **{name: float(last[name]) for name in account},
        "longest_delay_s": float(last["round_latency_s"]),
        "curve": curve.to_numpy().tolist(),
    }


def catalogue(runs: pd.DataFrame, partition: str, without: int | None = None) -> dict[str, Any]:
    """Return the scenario's catalogue with measured accuracies, of all seeds but one if there are others."""
    known = Scenario.load("dtkd").to_dict()["dtkd"]["catalogue"]
    mine = runs[(runs["partition"] == partition) & (runs["note"] == "") & (runs["size"] >= 0)]
    others = mine[mine["seed"] != without]
    means = (others if len(others) else mine).groupby("size")[["private_accuracy", "test_accuracy"]].mean()
    return known | {
        "own_accuracy": means["private_accuracy"].tolist(),
        "average_accuracy": means["test_accuracy"].tolist(),
    }


def run_kept(cell: Cell, setting: Setting, seed: int, folder: Path) -> None:
    """Run once, and write the result as a file of its own."""
    write_whole(
        folder / f"{cell.name}-seed{seed}.json", json.dumps(run(cell, setting, seed, folder)).encode()
    )


def run_all(
    chosen: list[Cell], setting: Setting, seeds: int, jobs: int, folder: Path, *, progress: bool = True
) -> pd.DataFrame:
    """Run what is not there yet, teachers first and loops last, and read everything.

    Parameters
    ----------
    chosen : list of Cell
        What.
    setting : Setting
        How long, on which data.
    seeds : int
        Seeds 0 ... per cell.
    jobs : int
        Processes.
    folder : pathlib.Path
        Where the files are.
    progress : bool, default True
        Show a bar.

    Returns
    -------
    pandas.DataFrame
        A row per run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    work = [(cell, seed) for seed in range(seeds) for cell in chosen]
    missing = [(c, s) for c, s in work if not (folder / f"{c.name}-seed{s}.json").exists()]
    taught = [s for s in range(seeds) if not (folder / f"teacher-seed{s}.npz").exists()]
    first = [(teach, (setting, seed, folder)) for seed in taught]
    grid = [(run_kept, (c, setting, s, folder)) for c, s in missing if c.size >= 0]
    closing = [(run_kept, (c, setting, s, folder)) for c, s in missing if c.size < 0]
    run_stages("dtkd training", [first, grid, closing], jobs, progress=progress)
    return pd.DataFrame(
        [json.loads((folder / f"{cell.name}-seed{seed}.json").read_text()) for cell, seed in work]
    )


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce dtkd``: Tables 1 and 2, the claims, Tables 3 and 4 with what was measured."""
    setting = SETTINGS[setup.data, setup.full]
    setting = Setting(**asdict(setting) | {"data": setting.data.replace("{files}", setup.files)})
    if setup.data == "cifar-100" and not setup.files:
        raise OptionError("--data cifar-100: expected --files with the folder of its files")
    folder = folder_of(
        setup.folder / "dtkd-training", f"{'full' if setup.full else 'reduced'}-{setup.data}", setting
    )
    runs = run_all(
        [*cells(), *loops()], setting, setup.seeds, setup.jobs, folder / "cells", progress=setup.progress
    )
    told = {name: str(value) for name, value in asdict(setting).items()}
    return {"setting": told, "rows": dtkd_claims.rows(runs)}


def main() -> None:
    """Run, and write ``runs.csv``, ``report.md`` and the curves as ``curves.png``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=sorted({data for data, _ in SETTINGS}), default="digits")
    parser.add_argument("--files", default="", help="folder of cifar-100's files")
    parser.add_argument(
        "--full", action="store_true", help="the paper's networks and epochs: for a GPU, or days of CPU"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="", help="only cells whose name contains this, and no loops")
    parser.add_argument("--folder", default="runs/dtkd-training")
    arguments = parser.parse_args()
    setting = SETTINGS[arguments.data, arguments.full]
    setting = Setting(**asdict(setting) | {"data": setting.data.replace("{files}", arguments.files)})
    chosen = [cell for cell in cells() if arguments.only in cell.name]
    if not chosen or arguments.seeds < 1 or arguments.jobs < 1:
        raise OptionError("expected --seeds >= 1, --jobs >= 1, and a cell whose name contains --only")
    if arguments.data == "cifar-100" and not arguments.files:
        raise OptionError("--data cifar-100: expected --files with the folder of its files")
    if not arguments.only:
        chosen += list(loops())
    kind = f"{'full' if arguments.full else 'reduced'}, {arguments.data}"
    folder = folder_of(arguments.folder, kind.replace(", ", "-"), setting)
    runs = run_all(chosen, setting, arguments.seeds, arguments.jobs, folder / "cells")
    text = dtkd_claims.report(runs, asdict(setting), kind)
    write_whole(folder / "runs.csv", runs.drop(columns="curve").to_csv(index=False).encode())
    write_whole(folder / "report.md", text.encode())
    dtkd_claims.draw(runs).savefig(folder / "curves.png")
    print(f"{text}\nwritten: {folder}/runs.csv, report.md, curves.png")


if __name__ == "__main__":
    main()
