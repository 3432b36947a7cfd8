"""D2D's Figs. 4 to 10 on small data: who shares data with whom, and what training afterwards gains.

Ten devices with two labels each exchange samples over a graph, found by every method, and then train. What is not in
the paper's text, nearly all numbers of its setting and of its results, is assumed: claims are held against the runs by
their direction. Small networks and data stand for AlexNet on CIFAR-10, SVHN and RadioML, and for the encoders of
Fashion-MNIST and USPS; scikit-learn's diabetes for the houses of California. ::

    none                    no exchange
    closest, most-trusted, uniform, gcn    the paper's baselines
    gcn-pairs               GCN that sees what links would move
    q-learning              the paper's method
    local-search            the default here, with the paper's distance; or with another distance or score

Every run is a file of its own in the folder, so that what was interrupted goes on where it was, and more seeds add to
what there is. Ten seeds of digits take about half an hour of two cores. ``--full`` has all samples and 200 rounds, and
takes days::

    python -m validation.reproduce.d2d_training --data digits --seeds 10 --jobs 2
    python -m validation.reproduce.d2d_training --data fashion-mnist --seeds 10 --jobs 2
    python -m validation.reproduce.d2d_training --data diabetes --seeds 10 --jobs 2
"""

from __future__ import annotations

import argparse
import functools
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import learning
from learning.data.partition import partition
from learning.judges import features
from learning.options import choose
from learning.prepare.exchange import LEARNT, SILENT
from learning.prepare.propagate import by_spreading, some_of_every_class
from learning.streams import Streams
from radioopt import Scenario, d2d
from radioopt.base.files import write_whole
from radioopt.base.options import DEFAULT_OPTIONS
from radioopt.d2d.certificate import distance
from radioopt.d2d.scenario import link_snr
from radioopt.scenario import Devices
from validation.reproduce import d2d_claims, d2d_parts
from validation.reproduce.d2d_parts import NETWORKS, NONE, PARTS, REWARDS, SETTINGS, Cell, Setting, cells
from validation.reproduce.kept_runs import folder_of, refuse_below_one, run_stages
from validation.reproduce.registry import Setup

#: seed of the first run
FIRST = 100
#: what the paper sends: AlexNet's weights, and images of CIFAR-10 [bit]
ALEXNET_BITS, CIFAR_BITS = 32 * 57e6, 3072 * 8.0
#: spread of the received signal strength where channels are dynamic [dB]
FADING_DB = 4.0
#: kinds of shoes in Fashion-MNIST, which Fig. 10 looks at
SHOES = (5, 7, 9)


@dataclass
class Kept:
    """A method that keeps the graphs it found.

    Parameters
    ----------
    method : callable
        From a problem to a solution.
    found : list of solutions
        In the order of the edges.
    """

    method: Callable[[Any], Any]
    found: list[Any] = field(default_factory=list)

    def __call__(self, problem: Any) -> Any:
        """Find a graph, and keep it."""
        self.found.append(self.method(problem))
        return self.found[-1]


def method_of(cell: Cell, setting: Setting, seed: int) -> Callable[[Any], Any]:
    """Return how graphs are found in a run."""
    if cell.part == "levels":
        return lambda problem: dynamic(problem, int(cell.at), seed)
    if cell.method in NETWORKS:
        scenario = d2d_parts.scenario_of(cell, setting).to_dict()
        family = "d2d-clusters" if d2d_parts.options_of(cell, setting)["scheme"] == "contrastive" else "d2d"
        return network_of(family, cell.method == NETWORKS[1], json.dumps(scenario, sort_keys=True))
    name = "local-search" if cell.method in REWARDS else cell.method
    more = {"seed": seed} if name in ("uniform", "q-learning") else {}
    return lambda problem: problem.solve(name, **more)


@functools.lru_cache(maxsize=16)
def network_of(family: str, pairs: bool, scenario: str) -> learning.GraphNetwork:
    """Train a network for a scenario, that is given as JSON, once a process."""
    cell = Scenario.from_dict(json.loads(scenario))
    return learning.GraphNetwork.fit(cell, family=family, pairs=pairs, seed=FIRST, progress=False)


def dynamic(problem: d2d.GraphProblem, levels: int, seed: int) -> Any:
    """Learn policies over channels that change with every step, quantised, and use them on channels that are drawn.

    Parameters
    ----------
    problem : GraphProblem
        With the mean channels.
    levels : int
        States of a device; 1 for a policy that does not look at the channel.
    seed : int
        Of everything.

    Returns
    -------
    GraphSolution
        Every device has the link of its own state; outages are those of the channels drawn.
    """
    learnt = d2d.train(problem, levels=levels, rss_std_db=FADING_DB, seed=seed)
    count = problem.sizes["device"]
    place = np.clip(np.random.default_rng(seed).standard_normal(count), -2.0, 2.0) / 2.0
    state = np.minimum(((place + 1.0) / 2.0 * levels).astype(np.int64), levels - 1)
    factor = 10 ** (0.2 * FADING_DB * place)
    outage = 1.0 - (1.0 - problem.outage_probability) ** (1.0 / factor[:, None])
    now = problem.replace(outage_probability=outage, strict=None)
    source = learnt.source[state, np.arange(count)]
    steps = np.asarray(len(learnt.objective))
    return d2d.GraphSolution.judged(now, "q-learning", source, steps, DEFAULT_OPTIONS)


def run(cell: Cell, setting: Setting, seed: int) -> dict[str, Any]:
    """Train once, and condense what is reported of it.

    Parameters
    ----------
    cell : Cell
        What.
    setting : Setting
        How long, on which data.
    seed : int
        Of everything random: runs of one seed have the same data, devices, trust and partition.

    Returns
    -------
    dict of str to object
        A row: accuracies, rounds and joules to the targets, what was sent, how even the data are.
    """
    if cell.part == "propagation":
        return asdict(cell) | {"seed": seed} | propagated(cell, setting, seed)
    scenario, options = d2d_parts.scenario_of(cell, setting), d2d_parts.options_of(cell, setting)
    data = d2d_parts.load(setting.data, Streams(seed).at("data"))
    kept, unlabelled = Kept(method_of(cell, setting, seed)), options["scheme"] == "contrastive"
    before: list[Any] = [learning.PropagateLabels(0.1)] if cell.part == "semi-supervised" else []
    if cell.method != NONE:
        edges = 1 if cell.at == "1 edge" else 2
        components = {"components": int(cell.at)} if cell.part == "components" else {}
        kind: Any = learning.ExchangeClusters if unlabelled else learning.Exchange
        before.append(kind(kept, edges=edges, **components))
    if cell.part == "always late":
        late = round(float(cell.at) * setting.devices)
        there = np.sort(np.random.default_rng(seed).permutation(setting.devices)[late:])
        options["participants"] = lambda candidates, rng: there
    result = learning.train(scenario, data=data, before=before, seed=seed, progress=False, **options)
    frame = result.to_frame()
    column = "test_r2" if data.regression else "test_accuracy"
    judged = frame[column].dropna()
    row = asdict(cell) | {"seed": seed, "final": float(judged.iloc[-1]), "best": float(judged.max())}
    row |= {f"at {share:g}": float(judged.iloc[round(share * (len(judged) - 1))]) for share in (0.2, 0.5)}
    for target in setting.targets:
        reached = judged.index[judged >= target]
        row[f"rounds to {target:g}"] = float(reached[0]) if len(reached) else math.nan
    row |= _account(result, scenario.draw(Streams(seed).at("channel")), kept.found, unlabelled)
    if "decentralised" in cell.part:  # a round there is not one update of each device to a server
        row |= {"round_j": math.nan, "paper_round_j": math.nan}
    row |= _moved(result, kept.found) | _evenness(result, data, options["partition"], seed)
    if unlabelled:
        row["silhouette"] = silhouette(result, SHOES if "fashion" in setting.data else tuple(range(10)))
    curve = [[int(at), round(float(value), 5)] for at, value in zip(judged.index, judged, strict=True)]
    return row | {"curve": curve}


def _account(result: Any, devices: Devices, found: list[Any], unlabelled: bool) -> dict[str, float]:
    """Joules of points, of messages that found graphs, and of a round to a server at the mean distance (R)."""
    problem: Any = devices.problem("d2d")
    snr, power = link_snr(devices, problem.position_m, 1.0), float(np.mean(devices.transmit_power_w))
    model = d2d.EnergyModel(transmit_power_w=power, bandwidth_hz=float(devices.bandwidth_hz))
    far = d2d.mean_distance_m(problem.position_m)
    position = np.zeros((len(snr), 2))
    position[1:, 0] = far
    server = float(link_snr(devices, position, 1.0)[0, 1])
    messages = 0.0
    for solution in found:
        if solution.method in SILENT:
            continue
        trials = {"q-learning": float(solution.iterations), **dict.fromkeys(LEARNT, 1.0)}.get(
            solution.method, len(snr) - 1.0
        )
        bits = (
            d2d.cluster_message_bits(*solution.problem.centroids.shape[:0:-1][:2])
            if unlabelled
            else d2d.label_message_bits(solution.problem.sizes["class"])
        )
        messages += model.discovery_j(bits, int(trials), snr=snr)
    sent = result.prepared[-1].energy_j if found else 0.0
    points = max(0.0, sent - messages)
    size = 8.0 * math.prod(result.task.data.sample_shape)
    every = model.server_j(1.0, 1, len(snr), snr=server)
    return {
        "points_j": points, "messages_j": messages, "round_j": every * 32 * result.task.num_parameters,
        "paper_points_j": points * CIFAR_BITS / size, "paper_round_j": every * ALEXNET_BITS,
    }  # fmt: skip


def _moved(result: Any, found: list[Any]) -> dict[str, float]:
    """Count what was sent over the graphs and what of it was lost; tell what the graphs are worth."""
    row = {"links": 0.0, "sent": 0.0, "lost": math.nan, "outside": 0.0, "objective": 0.0, "outage": math.nan}
    if not found:
        return row
    table = result.prepared[-1].to_frame()
    sent, links = (
        float(table["sent"].sum()),
        np.concatenate([one.link_outage[one.source >= 0] for one in found]),
    )
    each = [np.unique(one.problem.clusters, return_index=True)[1] for one in found]
    return row | {
        "links": float(len(links)), "sent": sent, "outage": float(links.mean()) if len(links) else math.nan,
        "lost": 1.0 - float(table["arrived"].sum()) / sent if sent else math.nan,
        "outside": float(sum(one.inter_cluster_points[first].sum() for one, first in zip(found, each, strict=True))),
        "objective": float(sum(one.objective for one in found)),
    }  # fmt: skip


def _evenness(result: Any, data: learning.Dataset, rule: str, seed: int) -> dict[str, float]:
    """Mean distance of the devices' true labels from even ones, before and after; and accuracy of those that spread."""
    streams, labels = Streams(seed), data.classes()
    count = int(labels.max()) + 1
    parts = partition(rule, labels, len(result.task.parts), streams.at("partition"))
    row = {}
    for name, metric in (("distance", "wasserstein"), ("variation", "total-variation")):
        for when, held in (("before", parts), ("after", result.task.parts)):
            counts = np.stack([np.bincount(labels[part], minlength=count) for part in held]).astype(float)
            row[f"{name}_{when}"] = float(distance(metric, counts, np.ones(count)).mean())
    tables = [step.to_frame() for step in result.prepared]
    right = [float(table["accuracy"].mean()) for table in tables if "accuracy" in table]
    return row | {"propagated": right[0] if right else math.nan}


def silhouette(result: Any, labels: tuple[int, ...]) -> float:
    """Say how far apart the features of some labels are: scikit-learn's silhouette score on the test samples."""
    from sklearn.metrics import silhouette_score

    x, y = result.task.test
    some = np.isin(y.numpy(), labels)
    seen = features(result.task, result.weights(), x[torch.from_numpy(some)]).numpy()
    return float(silhouette_score(seen, y.numpy()[some]))


def propagated(cell: Cell, setting: Setting, seed: int) -> dict[str, float]:
    """Spread labels once: ten devices with three labels each; accuracy of the labels that were given."""
    components, share = cell.at.split()
    streams = Streams(seed)
    data = d2d_parts.load(setting.data, streams.at("data"))
    parts = partition("few-labels:3", data.classes(), setting.devices, streams.at("partition"))
    space = learning.distributed_pca([data.train_x[part] for part in parts], int(components))
    right, number, unreached = 0, 0, 0
    for device, part in enumerate(parts):
        rng, truth = streams.at("prepare/propagate", 0, device), data.train_y[part]
        known = some_of_every_class(truth, float(share), rng)
        given = by_spreading(space.project(data.train_x[part]), np.where(known, truth, -1), rng)
        guessed = (given >= 0) & ~known
        right, number = right + int((given == truth)[guessed].sum()), number + int(guessed.sum())
        unreached += int((given < 0).sum())
    return {"propagated": right / number, "unreached": float(unreached)}


def file_of(cell: Cell, seed: int, folder: Path) -> Path:
    """Say where a run is kept."""
    return folder / "runs" / f"{cell.name}-seed{seed}.json"


def run_kept(cell: Cell, setting: Setting, seed: int, folder: Path) -> None:
    """Run once, and write the result as a file of its own."""
    path = file_of(cell, seed, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(run(cell, setting, seed)).encode())


def run_all(
    chosen: list[Cell], setting: Setting, seeds: int, jobs: int, folder: Path, *, progress: bool = True
) -> pd.DataFrame:
    """Make the runs that are not there yet, seed by seed, and read everything.

    Parameters
    ----------
    chosen : list of Cell
        What.
    setting : Setting
        How long, on which data.
    seeds : int
        Seeds of each.
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
    from validation.reproduce import d2d_training  # by its name: workers know no __main__

    work = [(cell, seed) for seed in range(FIRST, FIRST + seeds) for cell in chosen]
    missing = [(cell, seed) for cell, seed in work if not file_of(cell, seed, folder).exists()]
    calls = [(d2d_training.run_kept, (cell, setting, seed, folder)) for cell, seed in missing]
    run_stages("D2D", [calls], jobs, progress=progress)
    return pd.DataFrame([json.loads(file_of(cell, seed, folder).read_text()) for cell, seed in work])


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce d2d``."""
    setting = SETTINGS[setup.data, setup.full]
    folder = folder_of(setup.folder / "d2d-training", f"{setup.data}{'-full' * setup.full}", setting)
    chosen = list(cells(setup.data, tuple(PARTS)))
    runs = run_all(chosen, setting, setup.seeds, setup.jobs, folder, progress=setup.progress)
    return {"setting": asdict(setting), "rows": d2d_claims.rows(runs)}


def main(arguments: list[str] | None = None) -> None:
    """Run, and write ``runs.csv``, ``report.md`` and the curves as ``curves.png``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=sorted({data for data, _ in SETTINGS}), default="digits")
    parser.add_argument("--seeds", type=int, default=10, help="runs of every kind (default: 10)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--rounds", type=int, help="rounds of a run (default: those of the setting)")
    parser.add_argument("--parts", default=",".join(PARTS), help="some, with commas between")
    parser.add_argument("--full", action="store_true", help="all samples and more rounds: days, not minutes")
    parser.add_argument("--folder", default="runs/d2d-training", help="where runs are kept")
    args = parser.parse_args(arguments)
    refuse_below_one(seeds=args.seeds, jobs=args.jobs, rounds=args.rounds)
    parts = tuple(name.strip() for name in args.parts.split(","))
    for name in parts:
        choose("--parts", name, PARTS)
    setting = SETTINGS[args.data, args.full]
    if args.rounds is not None:
        setting = replace(setting, rounds=args.rounds, encoder_rounds=args.rounds)
    folder = folder_of(args.folder, f"{args.data}{'-full' * args.full}", setting)
    runs = run_all(list(cells(args.data, parts)), setting, args.seeds, args.jobs, folder)
    text = d2d_claims.report(runs, asdict(setting))
    write_whole(folder / "runs.csv", runs.drop(columns="curve", errors="ignore").to_csv(index=False).encode())
    write_whole(folder / "report.md", text.encode())
    d2d_claims.draw(runs).savefig(folder / "curves.png", dpi=120)
    print(f"{text}\nwritten: {folder}/runs.csv, report.md, curves.png")


if __name__ == "__main__":
    main()
