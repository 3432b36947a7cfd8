"""Mix2FLD's comparison: FL, FD, FLD, MixFLD and Mix2FLD over two channels, two partitions, and ten or fifty devices.

Every run is a file of its own in the folder, so that what was interrupted goes on where it was, and more seeds add to
what there is. By default a reduced setting, which is stated in the report; ``--full`` has the paper's numbers. Scenario
``mix2fld`` gives devices, link and payloads, those of the paper's 12,544 weights whatever is trained here. With its 100
slots, federated learning never uploads; the comparison is at 103 slots, where its outage is 0.2 % at 40 dBm and
99.96 % at 23 dBm, and FL is run with 100 and 110 beside it::

    python -m validation.reproduce.mix2fld_tables --seeds 10 --jobs 2
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import learning
from learning.data import sources
from learning.radio.fading import PAPER_STEPS
from learning.study.intervals import t_interval
from radioopt import Scenario
from radioopt.base.errors import OptionError
from radioopt.base.files import write_whole
from radioopt.channel import BlockFadingLink
from radioopt.mix2fld import Payload
from validation.reproduce import mix2fld_claims, mix2fld_privacy, shared_data
from validation.reproduce.kept_runs import folder_of, run_stages
from validation.reproduce.mix2fld_claims import MAX_SLOTS
from validation.reproduce.registry import Setup

CHANNELS = {"asymmetric": 23.0, "symmetric": 40.0}
PARTITIONS = ("IID", "non-IID")
EPSILON = 0.05
#: decimals of the columns of the report
PLACES = {
    "after_download": 3,
    "after_local": 3,
    "mean_of_devices": 3,
    "std_of_devices": 3,
    "slots": 1,
    "round_s": 3,
}
#: rounds of communication that a device's accuracy is a mean over, the last ones
LAST = 3


@dataclass(frozen=True)
class Setting:
    """What is trained, how long: the paper's, or less.

    Parameters
    ----------
    data, model : str
        As :func:`learning.train` takes them.
    iid, rare, few_iid, few_rare : str
        Partitions, for ten devices, and for the comparison of ten with fifty devices of equal samples.
    iterations, server_iterations, rounds : int
        Steps of a device and of the server in a round, and rounds.
    learning_rate : float
        Of both.
    target : float
        Accuracy after the local training, the time to which is reported; set before any run.
    compute_time_s : float
        Time of all steps of a round [s], assumed: devices two thirds, server one third.
    """

    data: str
    model: str
    iid: str
    rare: str
    few_iid: str
    few_rare: str
    iterations: int
    server_iterations: int
    rounds: int
    learning_rate: float
    target: float
    compute_time_s: float = 0.5


_REDUCED: dict[str, Any] = {
    "iterations": 200,
    "server_iterations": 100,
    "rounds": 12,
    "learning_rate": 0.05,
}
_FULL: dict[str, Any] = {"iterations": 6_400, "server_iterations": 3_200, "rounds": 20, "learning_rate": 0.01}
_DIGITS: dict[str, Any] = {
    "data": "digits",
    "target": 0.8,
    "iid": "balanced:120",
    "rare": "rare-labels:2,1,13",
    "few_iid": "balanced:20",
    "few_rare": "rare-labels:2,1,2",
}
_FASHION: dict[str, Any] = {"data": "fashion-mnist@32000+1000", "target": 0.6} | {
    name: "balanced:500" if "iid" in name else "rare-labels:2,2,62"
    for name in ("iid", "rare", "few_iid", "few_rare")
}
SETTINGS: dict[tuple[str, bool], Setting] = {
    ("digits", False): Setting(**_DIGITS, **_REDUCED, model="mlp"),
    ("digits", True): Setting(**_DIGITS, **_FULL, model="mix2fld-cnn"),
    ("fashion-mnist", False): Setting(**_FASHION, **_REDUCED | {"learning_rate": 0.01}, model="mlp"),
    ("fashion-mnist", True): Setting(**_FASHION, **_FULL, model="mix2fld-cnn"),
}


@dataclass(frozen=True)
class Cell:
    """One row of the comparison.

    Parameters
    ----------
    scheme, channel, partition : str
        What is compared.
    seed_samples, augmentation : int
        N_S, and N_I / N_S; 0 where a scheme has none.
    devices, max_slots : int
        K, and the limit of either way.
    few : bool
        Whether it is of the comparison of ten with fifty devices, whose samples per device are equal.
    """

    scheme: str
    channel: str
    partition: str
    seed_samples: int = 0
    augmentation: int = 0
    devices: int = 10
    max_slots: int = MAX_SLOTS
    few: bool = False

    @property
    def name(self) -> str:
        """Name of its files."""
        parts = [self.scheme, self.channel, self.partition]
        seeds = [f"{self.seed_samples}x{self.augmentation}"] if self.seed_samples else []
        return "-".join([*parts, *seeds, f"{self.devices}", f"{self.max_slots}", *["few"] * self.few])


def cells() -> Iterator[Cell]:
    """All rows: Fig. 2, FL with other limits, Fig. 3."""
    schemes: list[tuple[str, int, int]] = [("fl", 0, 0), ("fd", 0, 0)]
    schemes += [(name, seeds, 0) for name in ("fld", "mixfld") for seeds in (10, 50)]
    schemes += [("mix2fld", seeds, times) for seeds in (10, 50) for times in (1, 2)]
    for partition, channel, (name, seeds, times) in itertools.product(PARTITIONS, CHANNELS, schemes):
        yield Cell(name, channel, partition, seeds, times)
    for partition, slots in itertools.product(PARTITIONS, (100, 110)):
        yield Cell("fl", "asymmetric", partition, max_slots=slots)
    for partition, devices in itertools.product(PARTITIONS, (10, 50)):
        yield Cell("mix2fld", "symmetric", partition, 10, 1, devices, few=True)


def scenario_of(cell: Cell, setting: Setting) -> Scenario:
    """Return the shipped scenario with this cell's devices and powers, and the compute time of so many steps."""
    steps = setting.iterations + setting.server_iterations
    return Scenario.load(
        "mix2fld",
        {
            "devices.count": cell.devices,
            "devices.transmit_power_dbm": CHANNELS[cell.channel],
            "mix2fld.compute_time_s": setting.compute_time_s * PAPER_STEPS / steps,
        },
    )


def run(cell: Cell, setting: Setting, seed: int) -> dict[str, Any]:
    """Train once, and condense what is reported of it.

    Parameters
    ----------
    cell : Cell
        Who and where.
    setting : Setting
        What and how long.
    seed : int
        Of everything random; cells of one seed have the same data, partition and initial weights.

    Returns
    -------
    dict
        Accuracies of the reference device (means over the last rounds), of all devices, seconds, slots, and when the
        rule with epsilon = 0.05 would have stopped.
    """
    options: dict[str, Any] = {}
    if cell.seed_samples:
        options |= {"seed_samples": cell.seed_samples, "server_iterations": setting.server_iterations}
    if cell.augmentation:
        options["augmentation"] = cell.augmentation
    names = ("few_iid", "few_rare") if cell.few else ("iid", "rare")
    result = learning.train(
        scenario_of(cell, setting),
        scheme=cell.scheme,
        policy="paper",
        data=functools.partial(shared_data.load, setting.data),
        partition=getattr(setting, names[PARTITIONS.index(cell.partition)]),
        model=setting.model,
        rounds=setting.rounds,
        seed=seed,
        progress=False,
        max_slots=cell.max_slots,
        iterations=setting.iterations,
        learning_rate=setting.learning_rate,
        **options,
    )
    frame = result.to_frame().iloc[1:]
    entries = result.ledger.entries
    sent: list[Any] = [entry.sent for entry in entries]
    slots = np.array([one.upload_slots.max() + one.download_slots.max() for one in sent])
    settled = [i for i, entry in enumerate(entries) if entry.change < EPSILON]
    reached, last = frame["local_accuracy"] >= setting.target, frame.iloc[-LAST:]
    return {
        **asdict(cell),
        "seed": seed,
        "after_download": float(last["test_accuracy"].mean()),
        "after_local": float(last["local_accuracy"].mean()),
        "mean_of_devices": float(last["mean_local_accuracy"].mean()),
        "std_of_devices": float(last["std_local_accuracy"].mean()),
        "drop": float((last["local_accuracy"] - last["test_accuracy"]).mean()),
        "arrived": float(frame["arrived"].mean() / cell.devices),
        "first_slots": float(slots[0]),
        "slots": float(slots.mean()),
        "round_s": float(frame["round_latency_s"].mean()),
        "seconds": float(frame["seconds"].iloc[-1]),
        "converged_round": settled[0] + 1 if settled else math.nan,
        "converged_s": float(frame["seconds"].iloc[settled[0]]) if settled else math.nan,
        "target_s": float(frame["seconds"][reached].iloc[0]) if reached.any() else math.nan,
    }


def run_kept(cell: Cell, setting: Setting, seed: int, folder: Path) -> None:
    """Run once, and write the result as a file of its own."""
    row = run(cell, setting, seed)
    write_whole(folder / f"{cell.name}-seed{seed}.json", json.dumps(row).encode())


def run_all(
    chosen: list[Cell], setting: Setting, seeds: int, jobs: int, folder: Path, *, progress: bool = True
) -> pd.DataFrame:
    """Run what is not there yet, and read everything.

    Parameters
    ----------
    chosen : list of Cell
        Rows.
    setting : Setting
        What and how long.
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
    calls = [(run_kept, (cell, setting, seed, folder)) for cell, seed in missing]
    run_stages("Mix2FLD", [calls], jobs, progress=progress)
    rows = [json.loads((folder / f"{cell.name}-seed{seed}.json").read_text()) for cell, seed in work]
    return pd.DataFrame(rows)


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate means over the seeds, each with the half width of its 95 % interval (Student's t)."""
    keys = list(asdict(Cell("", "", "")))
    rows = []
    for values, group in runs.groupby(keys, sort=False):
        row = dict(zip(keys, values, strict=True)) | {"runs": len(group)}
        for name in (
            "after_download",
            "after_local",
            "mean_of_devices",
            "std_of_devices",
            "slots",
            "round_s",
        ):
            mean, low, high = t_interval(group[name].to_numpy(), 0.95)
            row |= {name: mean, f"{name} ±": (high - low) / 2}
        row["arrived"] = group["arrived"].mean()
        for name in ("converged", "target"):
            times = group[f"{name}_s"].dropna().to_numpy()
            row[name] = len(times)
            mean, low, high = t_interval(times, 0.95) if len(times) else (math.nan,) * 3
            row |= {f"{name}_s": mean, f"{name}_s ±": (high - low) / 2}
        rows.append(row)
    return pd.DataFrame(rows)


def links() -> pd.DataFrame:
    """Slots and outages of all payloads, from the closed forms."""
    rows = []
    for devices, (channel, _) in itertools.product((10, 50), CHANNELS.items()):
        cell = Cell("mix2fld", channel, "IID", devices=devices)
        problem: Any = scenario_of(cell, SETTINGS["digits", True]).draw(seed=0).problem("mix2fld")
        link = BlockFadingLink(
            snr_threshold=3.0,
            bandwidth_hz=problem.bandwidth_hz * 2 / devices,
            transmit_power_w=problem.transmit_power_w[0],
            channel_gain=problem.channel_gain[0],
            noise_psd_w_per_hz=problem.noise_psd_w_per_hz,
            slot_s=problem.slot_s,
        )
        weights = Payload.fl(num_weights=12_544).uplink_bits
        sizes = {"weights": weights, "outputs": 3_200.0}
        sizes |= {f"outputs and {count} samples": 3_200.0 + 6_272.0 * count for count in (1, 10, 50)}
        for what, bits in sizes.items():
            law = link.slots(bits)
            row = {"devices": devices, "channel": channel, "payload": what, "of weights": weights / bits}
            row |= {"at best": law.successes, "mean": law.mean}
            rows.append(row | {f"outage at {limit}": law.outage(limit) for limit in (100, 103, 110)})
    return pd.DataFrame(rows)


def shown(table: pd.DataFrame) -> str:
    """Write a table with means and intervals in one column each."""
    text = table[["scheme", "channel", "partition", "devices"]].copy()
    pairs = zip(table["seed_samples"], table["seed_samples"] * table["augmentation"], strict=True)
    text["N_S, N_I"] = [f"{up}, {made}" if made else f"{up}" if up else "" for up, made in pairs]
    if (table["max_slots"] != MAX_SLOTS).any():
        text["T_max"] = table["max_slots"]
    for name, places in PLACES.items():
        text[name] = [
            f"{mean:.{places}f}" + ("" if math.isnan(half) else f" ± {half:.{places}f}")
            for mean, half in zip(table[name], table[f"{name} ±"], strict=True)
        ]
    for name in ("target", "converged"):
        columns = (table[column] for column in (f"{name}_s", f"{name}_s ±", name, "runs"))
        text[f"{name}_s"] = [
            ("" if math.isnan(mean) else f"{mean:.2f} ")
            + ("" if math.isnan(half) else f"± {half:.2f} ")
            + f"({count} of {runs})"
            for mean, half, count, runs in zip(*columns, strict=True)
        ]
    text["arrived"] = table["arrived"].map("{:.0%}".format)
    return f"```\n{text.to_string(index=False)}\n```"


def report(runs: pd.DataFrame, setting: Setting, kind: str, privacy: str) -> str:
    """Write everything as Markdown."""
    table = summarise(runs)
    parts = [
        f"# Mix2FLD: {kind} setting, {runs['seed'].nunique()} seeds",
        "\n".join(f"- {name}: {value}" for name, value in asdict(setting).items()),
        f"Accuracies are those of the reference device, means over the last {LAST} rounds, after the download and\n"
        "after the local training before it; mean_of_devices and std_of_devices are over all devices after the local\n"
        "training. ± is half of a 95 % interval over seeds. slots: up and down, the slowest device, per round.\n"
        f"target_s: until an accuracy of {setting.target} after the local training. converged_s: until the first\n"
        f"round that changed less than {EPSILON}. Both over the runs that got there.",
    ]
    for title, chosen in (
        ("Fig. 2: ten devices", ~table["few"] & (table["max_slots"] == MAX_SLOTS)),
        ("FL with other limits", table["max_slots"] != MAX_SLOTS),
        ("Fig. 3: ten and fifty devices, equal samples per device", table["few"]),
    ):
        if chosen.any():
            parts += [f"## {title}", shown(table[chosen])]
    parts += ["## The paper's claims", mix2fld_claims.judge(runs)]
    parts += ["## Payloads and slots", f"```\n{links().round(4).to_string(index=False)}\n```", privacy]
    return "\n\n".join(parts)


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce mix2fld``: the claims, then the cells of Figs. 2 and 3."""
    setting = SETTINGS[setup.data, setup.full]
    folder = folder_of(
        setup.folder / "mix2fld-tables", f"{'full' if setup.full else 'reduced'}-{setup.data}", setting
    )
    chosen = list(cells())
    runs = run_all(chosen, setting, setup.seeds, setup.jobs, folder / "cells", progress=setup.progress)
    rows: list[dict[Any, Any]] = [{"kind": "claim"} | row for row in mix2fld_claims.rows(runs)]
    rows += [{"kind": "cell"} | row for row in summarise(runs).to_dict("records")]
    return {"setting": asdict(setting), "rows": rows}


def study_links(setup: Setup) -> dict[str, Any]:
    """Evaluate the closed forms for ``radioopt reproduce mix2fld``."""
    return {"setting": {"scenario": "mix2fld"}, "rows": links()}


def main() -> None:
    """Run, and write ``runs.csv``, ``table.csv`` and ``report.md``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=sorted({data for data, _ in SETTINGS}), default="digits")
    parser.add_argument("--full", action="store_true", help="the paper's steps and network: days of CPU")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--rounds", type=int, help="other than the setting's")
    parser.add_argument("--only", default="", help="only cells whose name contains this")
    parser.add_argument("--folder", default="runs/mix2fld-tables")
    arguments = parser.parse_args()
    setting = SETTINGS[arguments.data, arguments.full]
    if arguments.rounds is not None:
        setting = Setting(**asdict(setting) | {"rounds": arguments.rounds})
    chosen = [cell for cell in cells() if arguments.only in cell.name]
    if not chosen or arguments.seeds < 1 or arguments.jobs < 1:
        raise OptionError("expected --seeds >= 1, --jobs >= 1, and a cell whose name contains --only")
    kind = f"{'full' if arguments.full else 'reduced'}, {arguments.data}"
    folder = folder_of(
        arguments.folder, f"{'full' if arguments.full else 'reduced'}-{arguments.data}", setting
    )
    runs = run_all(chosen, setting, arguments.seeds, arguments.jobs, folder / "cells")
    data = sources.load(setting.data, np.random.default_rng(0))
    text = report(runs, setting, kind, mix2fld_privacy.report(data, arguments.data, min(arguments.seeds, 10)))
    write_whole(folder / "runs.csv", runs.to_csv(index=False).encode())
    write_whole(folder / "table.csv", summarise(runs).to_csv(index=False).encode())
    write_whole(folder / "report.md", text.encode())
    print(f"{text}\nwritten: {folder}/runs.csv, table.csv, report.md")


if __name__ == "__main__":
    main()
