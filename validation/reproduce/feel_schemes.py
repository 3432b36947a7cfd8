"""FEEL's Table II: accuracy and training speed against individual, model-based and gradient-based learning.

Six and twelve devices of the scenario ``feel-cpu``, equal and two-label parts of the data, every scheme from the same
weights trained to START beforehand, as in the paper. Gradients and weights are of the same size, 32 bits a number.

individual
    Every device trains alone; the average of all models is judged. Its one upload at the end is not charged.
model-based
    FedAvg with one epoch and batches of 32.
gradient-based
    FedSGD with the largest batch, in optimal slots: what the paper compares with has neither its batches nor its slots
    said, so batches alone differ here.
feel
    FedSGD with optimal batches and slots.

Each scheme has the learning rate of RATES with the least mean time to the target on the tuning seeds (a run that misses
it counts as twice the budget; ties go to the higher final accuracy), and is judged on others. Speed is the mean over
seeds of the time that individual learning takes to the target, over that of the scheme, where both get there. Start,
target and budget are constants, set before any two schemes were compared. ::

    python -m validation.reproduce.feel_schemes --data digits --seeds 10 --jobs 2
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

import learning
from learning.study.intervals import t_interval
from radioopt import Scenario
from radioopt.base.errors import OptionError, RadioOptError
from radioopt.base.files import write_whole
from validation.reproduce.kept_runs import run_stages
from validation.reproduce.registry import Setup

SCHEMES: dict[str, dict[str, Any]] = {
    "individual": {"scheme": "individual", "judge": "average"},
    "model-based": {"scheme": "fedavg", "epochs": 1},
    "gradient-based": {"scheme": "feel", "policy": "full", "weights": "samples"},
    "feel": {"scheme": "feel", "policy": "optimal", "weights": "samples"},
}
#: learning rates to choose from
RATES = {"digits": (0.1, 0.2, 0.4, 0.8), "fashion-mnist": (0.0125, 0.025, 0.05, 0.1)}
#: data, accuracies to start from and to reach, and simulated seconds to do it in
SETTINGS = {
    "digits": ("digits", 0.86, 0.93, 8_000.0),
    "fashion-mnist": ("fashion-mnist@3000+1000", 0.70, 0.75, 16_000.0),
}
#: all samples instead of a part, and seconds in proportion
FULL = {
    "digits": SETTINGS["digits"],
    "fashion-mnist": ("fashion-mnist", 0.70, 0.75, 320_000.0),
}
PARTITIONS = {"IID": "iid", "non-IID": "shards"}
DEVICES = (6, 12)
START_RATE = 0.05
TUNING_SEEDS, JUDGING_SEEDS = tuple(range(3)), tuple(range(100, 1100))
#: accuracy and speed that the paper prints, by devices and partition, in the order of SCHEMES
PRINTED = {
    (6, "IID"): ((0.9065, 1.0), (0.9128, 0.29), (0.9160, 0.53), (0.9148, 1.09)),
    (6, "non-IID"): ((0.8916, 1.0), (0.9022, 0.37), (0.9151, 0.69), (0.9143, 1.03)),
    (12, "IID"): ((0.9068, 1.0), (0.9201, 0.32), (0.9227, 0.68), (0.9234, 1.16)),
    (12, "non-IID"): ((0.8991, 1.0), (0.9116, 0.31), (0.9181, 0.67), (0.9212, 1.26)),
}


@functools.lru_cache(maxsize=2)
def started(data: str, start: float, seed: int) -> nn.Module:
    """Train the network to an accuracy on the whole data, for every scheme to start from."""
    result = learning.train(
        "feel-cpu",
        data=data,
        policy="full",
        target_accuracy=start,
        rounds=1_000,
        learning_rate=START_RATE,
        seed=seed,
        progress=False,
    )
    if result.stopped != "target_accuracy":
        raise RadioOptError(f"{data}, seed {seed}: no accuracy of {start} to start from after 1,000 rounds")
    return result.model()


def run(
    scheme: str,
    devices: int,
    partition: str,
    rate: float,
    seed: int,
    data: str,
    start: float,
    target: float,
    budget_s: float,
) -> dict[str, Any]:
    """Train once; return when the target was reached, and the accuracy at the end of the budget."""
    result = learning.train(
        Scenario.load("feel-cpu", {"devices.count": devices}),
        data=data,
        partition=PARTITIONS[partition],
        model=started(data, start, seed),
        seconds=budget_s,
        seed=seed,
        learning_rate=rate,
        progress=False,
        **SCHEMES[scheme],
    )
    frame, reached = result.to_frame(), result.ledger.rounds_to(target)
    return {
        "scheme": scheme,
        "devices": devices,
        "partition": partition,
        "rate": rate,
        "seed": seed,
        "accuracy": float(frame["test_accuracy"].iloc[-5:].mean()),
        "seconds": math.nan if reached is None else float(frame["seconds"].iloc[reached]),
        "rounds": len(result.ledger),
        "stopped": result.stopped,
    }


def file_of(folder: Path, options: tuple[Any, ...]) -> Path:
    """Say where a run is kept."""
    return folder / f"{hashlib.sha256(json.dumps(options).encode()).hexdigest()[:16]}.json"


def run_kept(folder: Path, options: tuple[Any, ...]) -> None:
    """Run once, and write the result as a file of its own."""
    write_whole(file_of(folder, options), json.dumps(run(*options)).encode())


def run_all(
    work: list[tuple[Any, ...]], jobs: int, title: str, folder: Path, *, progress: bool = True
) -> pd.DataFrame:
    """Make the runs that are not in the folder yet, in so many processes, and read all."""
    from validation.reproduce import feel_schemes  # by its name: workers know no __main__

    missing = [options for options in work if not file_of(folder, options).exists()]
    run_stages(
        title, [[(feel_schemes.run_kept, (folder, options)) for options in missing]], jobs, progress=progress
    )
    rows = [json.loads(file_of(folder, options).read_text()) for options in work]
    keys = ["scheme", "devices", "partition", "rate", "seed"]
    return pd.DataFrame(rows).sort_values(keys, ignore_index=True)


def best_rates(tuning: pd.DataFrame, budget_s: float) -> dict[tuple[str, int, str], float]:
    """Choose the learning rate of every scheme, number of devices and partition."""
    missed = tuning.assign(seconds=tuning["seconds"].fillna(2 * budget_s))
    means = missed.groupby(["scheme", "devices", "partition", "rate"])[["seconds", "accuracy"]].mean()
    ranked = means.reset_index().sort_values(["seconds", "accuracy"], ascending=[True, False])
    first = ranked.groupby(["scheme", "devices", "partition"], sort=False).first()
    rates: dict[Any, float] = first["rate"].to_dict()
    return rates


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate accuracy and speed with half of their 95 % intervals, beside what the paper prints."""
    alone = runs[runs["scheme"] == "individual"].set_index(["devices", "partition", "seed"])["seconds"]
    rows = []
    for devices, partition in itertools.product(DEVICES, PARTITIONS):
        for scheme, printed in zip(SCHEMES, PRINTED[devices, partition], strict=True):
            chosen = (
                (runs["scheme"] == scheme) & (runs["devices"] == devices) & (runs["partition"] == partition)
            )
            group = runs[chosen].set_index("seed")
            speed = (alone.loc[devices, partition] / group["seconds"]).dropna().to_numpy()
            row: dict[str, Any] = {
                "K": devices,
                "partition": partition,
                "scheme": scheme,
                "rate": group["rate"].iloc[0],
            }
            for name, values in (("accuracy", group["accuracy"].to_numpy()), ("speed", speed)):
                mean, low, high = t_interval(values, 0.95) if len(values) else (math.nan,) * 3
                row |= {name: mean, f"{name} ±": (high - low) / 2}
            row |= {"reached": f"{group['seconds'].notna().sum()} of {len(group)}"}
            row |= {"seconds": group["seconds"].mean()}
            rows.append(row | {"paper's accuracy": printed[0], "paper's speed": printed[1]})
    return pd.DataFrame(rows)


def claims(table: pd.DataFrame) -> str:
    """Hold the paper's claims against the table."""
    cases = list(itertools.product(DEVICES, PARTITIONS))
    cells: Any = table.set_index(["K", "partition", "scheme"]).to_dict("index")

    def of(case: tuple[int, str], scheme: str, column: str) -> float:
        return float(cells[(*case, scheme)][column])

    def least(case: tuple[int, str], column: str) -> str:
        values = {scheme: of(case, scheme, column) for scheme in SCHEMES}
        return min((name for name in SCHEMES if not math.isnan(values[name])), key=values.__getitem__)

    def loss(devices: int, scheme: str) -> float:
        return of((devices, "IID"), scheme, "accuracy") - of((devices, "non-IID"), scheme, "accuracy")

    def held(true: list[Any], of_all: int) -> str:
        return (
            "holds." if len(true) == of_all else f"holds in {len(true)} of {of_all} cases: {true or 'none'}."
        )

    first = [case for case in cases if least(case, "seconds") == "feel"]
    worst = [case for case in cases if least(case, "accuracy") == "individual"]
    slower = {
        scheme: [case for case in cases if of(case, scheme, "speed") < 1.0]
        for scheme in ("model-based", "gradient-based")
    }
    widest = [k for k in DEVICES if max(SCHEMES, key=functools.partial(loss, k)) == "individual"]
    grows = [part for part in PARTITIONS if of((12, part), "feel", "speed") > of((6, part), "feel", "speed")]
    return "\n".join(
        [
            f"- FEEL reaches the target first (means over the runs that do): {held(first, len(cases))}",
            f"- Individual learning ends least accurate: {held(worst, len(cases))}",
            f"- Model-based learning is slower than individual learning: {held(slower['model-based'], len(cases))}",
            f"- Gradient-based learning with the largest batch is, too: {held(slower['gradient-based'], len(cases))}",
            f"- Individual learning loses most between like and unlike data: {held(widest, len(DEVICES))}",
            f"- FEEL's speed over individual learning grows with the devices: {held(grows, len(PARTITIONS))}",
        ]
    )


def measure(
    data: str,
    setting: tuple[str, float, float, float],
    seeds: int,
    jobs: int,
    folder: Path,
    *,
    progress: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the learning rates on some seeds and judge on others; every run is kept in the folder.

    Returns
    -------
    tuning, runs : pandas.DataFrame
        A row per run.
    """
    cases = list(itertools.product(SCHEMES, DEVICES, PARTITIONS))
    rates = [(*case, rate, seed, *setting) for seed in TUNING_SEEDS for case in cases for rate in RATES[data]]
    tuning = run_all(rates, jobs, "learning rates", folder / "runs", progress=progress)
    best = best_rates(tuning, setting[-1])
    work = [(*case, best[case], seed, *setting) for seed in JUDGING_SEEDS[:seeds] for case in cases]
    return tuning, run_all(work, jobs, "schemes", folder / "runs", progress=progress)


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce feel``."""
    setting = (FULL if setup.full else SETTINGS)[setup.data]
    folder = setup.folder / "feel-schemes" / (setup.data + "-full" * setup.full)
    _, runs = measure(setup.data, setting, setup.seeds, setup.jobs, folder, progress=setup.progress)
    told = dict(zip(("data", "accuracy at the start", "target accuracy", "budget [s]"), setting, strict=True))
    return {"setting": told, "rows": summarise(runs)}


def main() -> None:
    """Run, and write ``runs.csv``, ``table.csv`` and ``report.md``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=sorted(SETTINGS), default="digits")
    parser.add_argument("--full", action="store_true", help="all samples of the data, not a part")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", default="runs/feel-schemes")
    arguments = parser.parse_args()
    if not (1 <= arguments.seeds <= len(JUDGING_SEEDS) and arguments.jobs >= 1):
        raise OptionError(f"expected --seeds from 1 to {len(JUDGING_SEEDS)}, and --jobs >= 1")
    setting = (FULL if arguments.full else SETTINGS)[arguments.data]
    data, start, target, budget_s = setting
    folder = Path(arguments.folder) / (arguments.data + ("-full" if arguments.full else ""))
    tuning, runs = measure(arguments.data, setting, arguments.seeds, arguments.jobs, folder)
    table = summarise(runs)
    places = {"accuracy": 4, "accuracy ±": 4, "speed": 2, "speed ±": 2, "seconds": 0}
    text = (
        f"# FEEL's Table II on {data}, {arguments.seeds} seeds\n\n"
        f"From accuracy {start} to {target} within {budget_s:,.0f} simulated seconds; accuracy at the end, mean of the "
        f"last five rounds. ± is half of a 95 % interval.\n\n```\n{table.round(places).to_string(index=False)}\n```\n\n"
        f"{claims(table)}\n"
    )
    write_whole(folder / "runs.csv", pd.concat([tuning, runs]).to_csv(index=False).encode())
    write_whole(folder / "table.csv", table.to_csv(index=False).encode())
    write_whole(folder / "report.md", text.encode())
    print(f"{text}\nwritten: {folder}/runs.csv, table.csv, report.md")


if __name__ == "__main__":
    main()
