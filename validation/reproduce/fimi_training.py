"""FIMI's Table I and Fig. 4 on small data: energy, hours and uplink to an accuracy, of every method and ablation.

Twenty devices of the paper's cell hold few samples each, whose classes are drawn by Dirichlet(0.4) and (0.6); these
samples stand for the paper's 1,250 (:func:`learning.radio.fdma.pose`), so that joules and seconds are those of its
devices. Public samples are set aside, and the generators see no others. ::

    public alone        the server trains on the public samples
    public weights      TFL started from that model
    public fill         FIMI with real public samples instead of synthetic ones
    TFL                 no synthetic samples (the paper's w/o DA too: it is the same)
    own repeated        as many local steps as FIMI, on no new data
    SEMI HDC SST GAN    as in the paper's Section V-B
    CLSD                the server trains on synthetic samples alone
    FIMI                with the diffusion model
    w/o BA, w/o DM, w/o OA    equal bandwidth; GAN instead of diffusion; classes as the devices have them

The target is fixed before any two methods are compared. Runs are kept in a file as they end, and a broken campaign goes
on where it was. ::

    python -m validation.reproduce.fimi_training --data digits --seeds 10 --jobs 2
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

import learning
from learning.generators.base import Generator
from learning.generators.saved import make
from learning.progress import progress_bar
from learning.study.compare import t_interval
from radioopt import Scenario
from radioopt.base.errors import OptionError, require
from radioopt.base.files import write_whole

#: data, public samples, samples of a device, rounds, and the accuracy to reach
SETTINGS: dict[str, tuple[str, int, int, int, float]] = {
    "digits": ("digits", 600, 32, 80, 0.92),
    "fashion-mnist": ("fashion-mnist@4400+1000", 2000, 80, 80, 0.74),
}
FULL: dict[str, tuple[str, int, int, int, float]] = {
    "digits": ("digits", 600, 32, 200, 0.92),
    "fashion-mnist": ("fashion-mnist", 6000, 1250, 200, 0.80),
}
RATE, BATCH, MODEL = 0.2, 10, "mlp"
MIXTURES = (0.4, 0.6)
METHODS: dict[str, dict[str, Any]] = {
    "public alone": {"scheme": "central"},
    "public weights": {"start": True},
    "public fill": {"fill": {"generator": "ready-made"}},
    "TFL": {},
    "own repeated": {"before": "repeat-own"},
    "SEMI": {"scheme": "semi", "before": "share-unlabelled"},
    "HDC": {"fill": {"generator": "diffusion", "classes": "least"}},
    "SST": {"scheme": "sst", "fill": {"generator": "diffusion", "place": "server"}},
    "CLSD": {"scheme": "central", "fill": {"generator": "diffusion", "place": "server"}},
    "GAN (w/o DM)": {"fill": {"generator": "gan"}},
    "FIMI": {"fill": {"generator": "diffusion"}},
    "w/o BA": {"fill": {"generator": "diffusion", "amounts": "equal-bandwidth"}, "policy": "equal-bandwidth"},
    "w/o OA": {"fill": {"generator": "diffusion", "classes": "own"}},
}


@functools.lru_cache(maxsize=4)
def fitted(name: str, data: str, public: int, seed: int) -> Generator:
    """Fit a generator to the public samples of a seed, once for all methods."""
    task = learning.train(
        Scenario.load("fimi"), scheme="fedavg", radio="fdma", data=data, public=public, partition="iid",
        rounds=1, seed=seed, progress=False,
    ).task  # fmt: skip
    return make(name).fit(task.public, task.streams.at("prepare/fill"))


@functools.lru_cache(maxsize=2)
def started(data: str, public: int, rounds: int, seed: int) -> nn.Module:
    """Train the model on the public samples alone."""
    return learning.train(
        "fimi", scheme="central", radio="fdma", data=data, public=public, rounds=rounds, seed=seed, model=MODEL,
        learning_rate=RATE, batchsize=BATCH, judge_every=rounds, progress=False,
    ).model()  # fmt: skip


def run(method: str, mixture: float, seed: int, settings: tuple[str, int, int, int, float]) -> dict[str, Any]:
    """Train once; return what it took to the target, and the best accuracy."""
    data, public, samples, rounds, target = settings
    told = METHODS[method]
    before: list[Any] = []
    if "fill" in told:
        fill = dict(told["fill"])
        fill["generator"] = fitted(fill["generator"], data, public, seed)
        before = [learning.Fill(public=public, **fill)]
    elif "before" in told:
        step = f"{told['before']}:public={public}" if told["before"] == "share-unlabelled" else told["before"]
        before = [step]
    result = learning.train(
        "fimi",
        scheme=told.get("scheme", "fedavg"),
        radio="fdma",
        policy=told.get("policy", "optimal"),
        judge="gradients",
        data=data,
        public=public,
        partition=f"dirichlet:{mixture},{samples}",
        before=before,
        model=started(data, public, rounds, seed) if told.get("start") else MODEL,
        learning_rate=RATE,
        batchsize=BATCH,
        rounds=rounds,
        seed=seed,
        progress=False,
    )
    frame = result.to_frame()
    reached = result.ledger.rounds_to(target)
    met = reached is not None
    until = frame.iloc[: (reached or 0) + 1]
    joules = float(until["energy_j"].sum())
    return {
        "method": method,
        "mixture": mixture,
        "seed": seed,
        "rounds": float(reached) if reached is not None else math.nan,
        "energy_kj": joules / 1e3 if met else math.nan,
        "hours": float(until["seconds"].iloc[-1]) / 3600 if met else math.nan,
        "uplink_gb": 20 * float(until["uplink_bits"].sum()) / 8e9 if met else math.nan,
        "best": 100 * float(frame["test_accuracy"].max()),
        "similarity": float(frame["gradient_similarity"].iloc[1:].mean()),
        "joules_per_round": float(frame["energy_j"].iloc[1]),
        "added": float(result.task.sizes.sum() - 20 * samples),
        "accuracies": [round(float(value), 5) for value in frame["test_accuracy"]],
    }


def kept(path: Path) -> list[dict[str, Any]]:
    """Read the runs that are there already."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def run_all(
    work: list[tuple[str, float, int]], settings: Any, path: Path, jobs: int, *, progress: bool = True
) -> pd.DataFrame:
    """Make the runs that are missing, in so many processes, and keep each as it ends."""
    from validation.reproduce import fimi_training  # by its name: workers know no __main__

    joblib = require("joblib", "learning")
    rows = kept(path)
    there = {(row["method"], row["mixture"], row["seed"]) for row in rows}
    missing = [one for one in work if one not in there]
    by_seed = [
        list(group)
        for _, group in itertools.groupby(sorted(missing, key=lambda one: one[2]), lambda one: one[2])
    ]
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    with progress_bar("FIMI", len(missing), enabled=progress) as bar:
        done = 0
        for more in parallel(joblib.delayed(fimi_training.run_seed)(group, settings) for group in by_seed):
            rows += more
            write_whole(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
            done += len(more)
            bar(done, f"{done} of {len(missing)} runs")
    wanted = set(work)
    chosen = [row for row in rows if (row["method"], row["mixture"], row["seed"]) in wanted]
    return pd.DataFrame(chosen).sort_values(["mixture", "method", "seed"], ignore_index=True)


def run_seed(group: list[tuple[str, float, int]], settings: Any) -> list[dict[str, Any]]:
    """Make the runs of a seed one after the other, so that a generator is fitted once."""
    return [run(*one, settings) for one in group]


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate means with half of their 95 % intervals."""
    rows = []
    for mixture, method in itertools.product(MIXTURES, METHODS):
        group = runs[(runs["mixture"] == mixture) & (runs["method"] == method)]
        if group.empty:
            continue
        row: dict[str, Any] = {"Dir": mixture, "method": method}
        for name in ("rounds", "energy_kj", "hours", "uplink_gb", "best", "similarity"):
            values = group[name].dropna().to_numpy()
            mean = float(values.mean()) if len(values) else math.nan
            half = math.nan
            if len(values) > 1:
                mean, low, high = t_interval(values, 0.95)
                half = (high - low) / 2
            row |= {name: mean, f"{name} ±": half}
        rows.append(row | {"reached": f"{group['rounds'].notna().sum()} of {len(group)}"})
    return pd.DataFrame(rows)


#: what is compared, of which column, of which two methods, whether as a ratio, and what the paper says
CLAIMS = (
    ("best accuracy, FIMI - TFL [points]", "best", "FIMI", "TFL", False, "paper: higher"),
    ("rounds, FIMI / TFL", "rounds", "FIMI", "TFL", True, "paper: fewer"),
    ("rounds, FIMI / own samples repeated", "rounds", "FIMI", "own repeated", True, "more steps alone"),
    ("energy to the target, FIMI / TFL", "energy_kj", "FIMI", "TFL", True, "paper: 0.5"),
    ("energy to the target, FIMI / SST", "energy_kj", "FIMI", "SST", True, "paper: less"),
    ("energy a round, w/o BA / FIMI", "joules_per_round", "w/o BA", "FIMI", True, "paper: more"),
    ("best accuracy, FIMI - GAN [points]", "best", "FIMI", "GAN (w/o DM)", False, "paper: higher"),
    ("best accuracy, FIMI - w/o OA [points]", "best", "FIMI", "w/o OA", False, "paper: higher"),
    ("best accuracy, FIMI - real public fill", "best", "FIMI", "public fill", False, "public data alone"),
    ("best accuracy, FIMI - public weights", "best", "FIMI", "public weights", False, "public data alone"),
    ("gradient similarity, FIMI - TFL", "similarity", "FIMI", "TFL", False, "paper: higher"),
)


def claims(runs: pd.DataFrame) -> str:
    """Hold the paper's claims against the runs, pairwise over the seeds."""
    lines = []
    for mixture in MIXTURES:
        part = runs[runs["mixture"] == mixture].pivot(index="seed", columns="method")
        if part.empty:
            continue

        def paired(column: str, method: str, other: str, *, ratio: bool = False, part: Any = part) -> str:
            one, two = part[column][method], part[column][other]
            values = (one / two if ratio else one - two).dropna().to_numpy()
            if not len(values):
                return "not reached"
            if len(values) == 1:
                return f"{values[0]:.3g} (one seed)"
            mean, low, high = t_interval(values, 0.95)
            return f"{mean:.3g} [{low:.3g}, {high:.3g}]"

        lines.append(f"Dir({mixture})")
        for what, column, one, other, ratio, paper in CLAIMS:
            lines.append(f"  {what:45}{paired(column, one, other, ratio=ratio)} ({paper})")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=list(SETTINGS), default="digits")
    parser.add_argument("--seeds", type=int, default=10, help="runs of every method (default: 10)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--rounds", type=int, help="rounds of a run (default: those of the setting)")
    parser.add_argument("--full", action="store_true", help="more samples and rounds: days, not minutes")
    parser.add_argument(
        "--methods", default=",".join(METHODS), help="some of the methods, with commas between"
    )
    parser.add_argument("--folder", default="runs/fimi_training", help="where runs are kept")
    args = parser.parse_args(arguments)
    if args.seeds < 1:
        raise OptionError(f"--seeds: expected at least 1, got {args.seeds}")
    chosen = [name.strip() for name in args.methods.split(",")]
    if unknown := [name for name in chosen if name not in METHODS]:
        raise OptionError(f"--methods: unknown {unknown[0]!r}, choose from {', '.join(METHODS)}")
    settings = (FULL if args.full else SETTINGS)[args.data]
    if args.rounds is not None:
        settings = (*settings[:3], args.rounds, settings[4])
    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{args.data}{'-full' * args.full}-{settings[3]}.jsonl"
    work = list(itertools.product(chosen, MIXTURES, range(100, 100 + args.seeds)))
    runs = run_all(work, settings, path, args.jobs)
    table = summarise(runs)
    pd.set_option("display.width", 200)
    print(
        f"{settings[0]}, {settings[1]} public samples, 20 devices of {settings[2]}, {settings[3]} rounds, "
        f"target {settings[4]:.0%}"
    )
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    if set(chosen) == set(METHODS):
        print(claims(runs))
    write_whole(path.with_suffix(".csv"), table.to_csv(index=False).encode())


if __name__ == "__main__":
    main()
