"""FIMI's Table I, Figs. 4 and 5 on small data: energy, hours and uplink to an accuracy, of every method and ablation.

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
    error, latency, rate      FIMI with another limit of error or latency, or another rate: Fig. 5, Dirichlet(0.6)

The target is fixed before any two methods are compared. Every run and every generator is a file of its own in the
folder, so that a broken campaign goes on where it was, and more seeds add to what there is. Ten seeds of either data
take about half an hour of two cores; ``--full`` has the paper's samples of a device and 200 rounds, and takes days. ::

    python -m validation.reproduce.fimi_training --data digits --seeds 10 --jobs 2
    python -m validation.reproduce.fimi_training --data fashion-mnist --seeds 10 --jobs 2
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from torch import nn

import learning
from learning.generators.base import Learner
from learning.generators.saved import make
from learning.streams import Streams
from radioopt import Scenario
from radioopt.base.errors import OptionError
from radioopt.base.files import write_whole
from validation.reproduce import fimi_claims, shared_data
from validation.reproduce.kept_runs import folder_of, refuse_below_one, run_stages
from validation.reproduce.registry import Setup

#: seed of the first run
FIRST = 100
MIXTURES = (0.4, 0.6)
#: of Fig. 5 (c), (f) and (g)
VARIED = (0.6,)


@dataclass(frozen=True)
class Setting:
    """What is trained, and how long.

    Parameters
    ----------
    data : str
        As for :func:`learning.train`.
    public, samples : int
        Samples set aside, and those of a device.
    rounds : int
        Rounds of a run.
    target : float
        Test accuracy to reach.
    rate, batchsize, model
        Of the local steps.
    """

    data: str
    public: int
    samples: int
    rounds: int
    target: float
    rate: float = 0.2
    batchsize: int = 10
    model: str = "mlp"


SETTINGS = {
    ("digits", False): Setting("digits", 600, 32, 80, 0.92),
    ("fashion-mnist", False): Setting("fashion-mnist@4400+1000", 2000, 80, 80, 0.74),
    ("digits", True): Setting("digits", 600, 32, 200, 0.92),
    ("fashion-mnist", True): Setting("fashion-mnist", 6000, 1250, 200, 0.80),
}
FIMI: dict[str, Any] = {"fill": {"generator": "diffusion"}}
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
    "FIMI": FIMI,
    "w/o BA": {"fill": {"generator": "diffusion", "amounts": "equal-bandwidth"}, "policy": "equal-bandwidth"},
    "w/o OA": {"fill": {"generator": "diffusion", "classes": "own"}},
}
#: FIMI with another limit or rate
VARIANTS: dict[str, dict[str, Any]] = {
    "error 0.17": FIMI | {"cell": {"fimi.max_global_error": 0.17}},
    "error 0.22": FIMI | {"cell": {"fimi.max_global_error": 0.22}},
    "latency 45 s": FIMI | {"cell": {"fimi.max_round_latency_s": 45.0}},
    "latency 90 s": FIMI | {"cell": {"fimi.max_round_latency_s": 90.0}},
    "rate / 5": FIMI | {"rate": 0.2},
    "rate x 5": FIMI | {"rate": 5.0},
}
#: a method, Dirichlet's parameter and a seed
Work = tuple[str, float, int]


def fit_kept(name: str, setting: Setting, seed: int, folder: Path) -> None:
    """Fit a generator to the public samples of a seed, those that runs of the seed set aside, and keep it."""
    streams = Streams(seed)
    data = shared_data.load(setting.data, streams.at("data"))
    public = data.set_aside(setting.public, streams.at("public"))
    path = generator_of(name, seed, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    cast(Learner, make(name).fit(public, streams.at("prepare/fill"), progress=False)).save(path)


def generator_of(name: str, seed: int, folder: Path) -> Path:
    """Say where a generator is kept."""
    return folder / "generators" / f"{name}-seed{seed}.npz"


@functools.lru_cache(maxsize=2)
def started(setting: Setting, seed: int) -> nn.Module:
    """Train the model on the public samples alone."""
    return learning.train(
        "fimi", scheme="central", radio="fdma", data=shared_data.load(setting.data, Streams(seed).at("data")),
        public=setting.public, rounds=setting.rounds, seed=seed, model=setting.model, learning_rate=setting.rate,
        batchsize=setting.batchsize, judge_every=setting.rounds, progress=False,
    ).model()  # fmt: skip


def run(method: str, mixture: float, seed: int, setting: Setting, folder: Path) -> dict[str, Any]:
    """Train once; return what it took to the target, and the best accuracy.

    Parameters
    ----------
    method : str
        A key of :data:`METHODS` or :data:`VARIANTS`.
    mixture : float
        Parameter of Dirichlet's distribution.
    seed : int
        Of everything.
    setting : Setting
        What is trained.
    folder : pathlib.Path
        Where the generators are kept.

    Returns
    -------
    dict of str to object
        A row: rounds, energy, hours and uplink to the target, which are nan if it is not reached; what a round takes;
        the best accuracy, all of them, and the mean gradient similarity.
    """
    told = (METHODS | VARIANTS)[method]
    before: list[Any] = []
    if "fill" in told:
        fill = dict(told["fill"])
        if fill["generator"] != "ready-made":
            fill["generator"] = str(generator_of(fill["generator"], seed, folder))
        before = [learning.Fill(public=setting.public, **fill)]
    elif told.get("before") == "share-unlabelled":
        before = [learning.ShareUnlabelled(public=setting.public)]
    elif "before" in told:
        before = [told["before"]]
    result = learning.train(
        Scenario.load("fimi", told.get("cell")),
        scheme=told.get("scheme", "fedavg"),
        radio="fdma",
        policy=told.get("policy", "optimal"),
        judge="gradients",
        data=shared_data.load(setting.data, Streams(seed).at("data")),
        public=setting.public,
        partition=f"dirichlet:{mixture},{setting.samples}",
        before=before,
        model=started(setting, seed) if told.get("start") else setting.model,
        learning_rate=setting.rate * told.get("rate", 1.0),
        batchsize=setting.batchsize,
        rounds=setting.rounds,
        seed=seed,
        progress=False,
    )
    frame = result.to_frame()
    reached = result.ledger.rounds_to(setting.target)
    met = reached is not None
    until = frame.iloc[: (reached or 0) + 1]
    return {
        "method": method,
        "mixture": mixture,
        "seed": seed,
        "rounds": float(reached) if reached is not None else math.nan,
        "energy_kj": float(until["energy_j"].sum()) / 1e3 if met else math.nan,
        "hours": float(until["seconds"].iloc[-1]) / 3600 if met else math.nan,
        "uplink_gb": 20 * float(until["uplink_bits"].sum()) / 8e9 if met else math.nan,
        "best": 100 * float(frame["test_accuracy"].max()),
        "similarity": float(frame["gradient_similarity"].iloc[1:].mean()),
        "joules_per_round": float(frame["energy_j"].iloc[1]),
        "seconds_per_round": float(frame["round_latency_s"].iloc[1]),
        "added": float(result.task.sizes.sum() - 20 * setting.samples),
        "accuracies": [round(float(value), 5) for value in frame["test_accuracy"]],
    }


def file_of(work: Work, folder: Path) -> Path:
    """Say where a run is kept."""
    method, mixture, seed = work
    return folder / "runs" / f"{re.sub(r'[^A-Za-z0-9.]+', '-', method).strip('-')}-{mixture}-seed{seed}.json"


def run_kept(work: Work, setting: Setting, folder: Path) -> None:
    """Run once, and write the result as a file of its own."""
    path = file_of(work, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(run(*work, setting, folder)).encode())


def run_all(
    work: list[Work], setting: Setting, jobs: int, folder: Path, *, progress: bool = True
) -> pd.DataFrame:
    """Fit the generators and make the runs that are not there yet, and read everything.

    Parameters
    ----------
    work : list of (str, float, int)
        Method, mixture and seed of each run.
    setting : Setting
        What is trained.
    jobs : int
        Processes.
    folder : pathlib.Path
        Where everything is kept.
    progress : bool, default True
        Show a bar.

    Returns
    -------
    pandas.DataFrame
        A row per run.
    """
    from validation.reproduce import fimi_training  # by its name: workers know no __main__

    missing = [one for one in work if not file_of(one, folder).exists()]
    fits = sorted(
        {
            (name, seed)
            for method, _, seed in missing
            if (name := (METHODS | VARIANTS)[method].get("fill", {}).get("generator", "ready-made"))
            != "ready-made"
            and not generator_of(name, seed, folder).exists()
        }
    )
    setting = fimi_training.Setting(**asdict(setting))
    first = [(fimi_training.fit_kept, (name, setting, seed, folder)) for name, seed in fits]
    then = [(fimi_training.run_kept, (one, setting, folder)) for one in missing]
    run_stages("FIMI", [first, then], jobs, progress=progress)
    return pd.DataFrame([json.loads(file_of(one, folder).read_text()) for one in work])


def all_work(methods: Iterable[str], seeds: int) -> list[Work]:
    """List the runs, seed by seed, so that what is there after a while is whole seeds."""
    return [
        (method, mixture, seed)
        for seed, method, mixture in itertools.product(range(FIRST, FIRST + seeds), methods, MIXTURES)
        if method in METHODS or mixture in VARIED
    ]


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce fimi``: Table I beside the runs, then the claims."""
    setting = SETTINGS[setup.data, setup.full]
    folder = folder_of(setup.folder / "fimi-training", f"{setup.data}{'-full' * setup.full}", setting)
    work = all_work(METHODS | VARIANTS, setup.seeds)
    runs = run_all(work, setting, setup.jobs, folder, progress=setup.progress)
    rows = [
        {"kind": "value"} | row
        for row in fimi_claims.table_1(runs).rename(columns={"": "ratio"}).to_dict("records")
    ]
    rows += [{"kind": "claim"} | row for row in fimi_claims.judged(runs).to_dict("records")]
    rows += [{"kind": "method"} | row for row in fimi_claims.summarise(runs).to_dict("records")]
    return {"setting": asdict(setting), "rows": rows}


def main(arguments: list[str] | None = None) -> None:
    """Run, and write ``runs.csv``, ``report.md`` and the curves as ``curves.png``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=sorted({data for data, _ in SETTINGS}), default="digits")
    parser.add_argument("--seeds", type=int, default=10, help="runs of every method (default: 10)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--rounds", type=int, help="rounds of a run (default: those of the setting)")
    parser.add_argument("--full", action="store_true", help="more samples and rounds: days, not minutes")
    parser.add_argument("--methods", default=",".join(METHODS | VARIANTS), help="some, with commas between")
    parser.add_argument("--folder", default="runs/fimi-training", help="where runs are kept")
    args = parser.parse_args(arguments)
    refuse_below_one(seeds=args.seeds, jobs=args.jobs, rounds=args.rounds)
    chosen = [name.strip() for name in args.methods.split(",")]
    if unknown := [name for name in chosen if name not in METHODS | VARIANTS]:
        raise OptionError(f"--methods: unknown {unknown[0]!r}, choose from {', '.join(METHODS | VARIANTS)}")
    setting = SETTINGS[args.data, args.full]
    if args.rounds is not None:
        setting = replace(setting, rounds=args.rounds)
    folder = folder_of(args.folder, f"{args.data}{'-full' * args.full}", setting)
    runs = run_all(all_work(chosen, args.seeds), setting, args.jobs, folder)
    text = fimi_claims.report(runs, asdict(setting))
    write_whole(folder / "runs.csv", runs.drop(columns="accuracies").to_csv(index=False).encode())
    write_whole(folder / "report.md", text.encode())
    fimi_claims.draw(runs, setting.target).savefig(folder / "curves.png", dpi=120)
    print(f"{text}\nwritten: {folder}/runs.csv, report.md, curves.png")


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
