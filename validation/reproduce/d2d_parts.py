"""What is trained for the D2D paper: settings, and the parts of its Section VI, each with its runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from learning import Dataset
from radioopt import Scenario
from validation.reproduce import shared_data

NONE, OURS, PAPERS = "none", "local-search", "q-learning"
#: the paper's baselines that choose by a rule
RULES = ("closest", "most-trusted", "uniform")
#: other rewards for local search
REWARDS = {
    "local-search, total variation": {"metric": "total-variation"},
    "local-search, Jensen-Shannon": {"metric": "jensen-shannon"},
    "local-search, change": {"score": "change"},
}
#: GCN as the paper has it, and one that sees what links would move
NETWORKS = ("gcn", "gcn-pairs")
GRAPHS = (NONE, *RULES, *NETWORKS, PAPERS, OURS)


@dataclass(frozen=True)
class Setting:
    """What is trained, and how long.

    Parameters
    ----------
    data : str
        As for :func:`learning.train`, or "diabetes".
    samples : int
        Training samples of all devices.
    threshold : float
        Samples of a class that a device wants, and keeps.
    targets : tuple of float
        Test accuracies, or R2, that energy and rounds are counted to.
    rounds : int
        Rounds of a run.
    devices, labels : int
        How many, and labels that each holds.
    model : str
        The network.
    rate : float
        Of the local steps.
    groups : int
        Classes, or groups of the targets of a regression.
    encoder : str
        The network of contrastive learning.
    encoder_rate : float
        Of its local steps.
    encoder_rounds : int
        Rounds of contrastive learning.
    """

    data: str
    samples: int
    threshold: float
    targets: tuple[float, ...]
    rounds: int = 30
    devices: int = 10
    labels: int = 2
    model: str = "mlp"
    rate: float = 0.2
    groups: int = 10
    encoder: str = "mlp:12"
    encoder_rate: float = 0.05
    encoder_rounds: int = 20


SETTINGS = {
    ("digits", False): Setting("digits", 1437, 50.0, (0.7, 0.8)),
    ("fashion-mnist", False): Setting("fashion-mnist@4000+2000", 4000, 100.0, (0.55, 0.6), rate=0.1),
    ("diabetes", False): Setting("diabetes", 342, 8.0, (0.4, 0.5), groups=5, rate=0.02),
    ("digits", True): Setting("digits", 1437, 50.0, (0.7, 0.8), rounds=200, encoder_rounds=200),
    ("fashion-mnist", True): Setting(
        "fashion-mnist", 60_000, 2000.0, (0.7, 0.8), rounds=200, model="cnn", encoder="cnn", rate=0.05,
        encoder_rounds=200,
    ),
    ("diabetes", True): Setting("diabetes", 342, 8.0, (0.4, 0.5), rounds=200, groups=5, rate=0.02),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One run, but for its seed.

    Parameters
    ----------
    part : str
        A key of :data:`PARTS`.
    method : str
        How the graph is found.
    at : str
        What is varied.
    """

    part: str
    method: str
    at: str = ""

    @property
    def name(self) -> str:
        """Name of its files."""
        words = [self.part, self.at, self.method]
        return "_".join(filter(None, words)).replace(", ", "-").replace(" ", "-")


@dataclass(frozen=True)
class Part:
    """Runs that belong together.

    Parameters
    ----------
    text : str
        What it is, and of which figure.
    methods : tuple of str
        How graphs are found.
    at : tuple of str
        What is varied; the first, as in the setting, is "" unless it is said.
    data : tuple of str
        Which data it is made for.
    """

    text: str
    methods: tuple[str, ...] = GRAPHS
    at: tuple[str, ...] = ("",)
    data: tuple[str, ...] = ("digits",)


_IMAGES = ("digits", "fashion-mnist")
PARTS = {
    "supervised": Part("Figs. 4, 5(a), 6(e): all labels", (*GRAPHS, *REWARDS), data=_IMAGES),
    "semi-supervised": Part("Fig. 5(b): a tenth of the labels, which spread first", data=_IMAGES),
    "unsupervised": Part(
        "Figs. 5(c), 8(d), 10: no labels, linear evaluation", at=("", "1 edge"), data=_IMAGES
    ),
    "regression": Part("Fig. 5(d): numbers instead of labels", data=("diabetes",)),
    "other schemes": Part("Fig. 6(a): no labels, FedProx and FedSGD", at=("fedprox", "fedsgd")),
    "decentralised": Part("Fig. 6(b): neighbours average, no server"),
    "semi-decentralised": Part("Fig. 6(c): subsets average, a server now and then"),
    "stragglers": Part("Fig. 7(a): others in every round", at=("0.2", "0.4", "0.6")),
    "always late": Part("Fig. 7(a): the same in every round", at=("0.4",)),
    "interval": Part("Fig. 7(b): local steps of a round, as many in all", at=("5", "15", "45", "150")),
    "devices": Part("Fig. 7(c): as many samples in all", at=("20", "30")),
    "labels": Part("Fig. 7(d): labels of a device", (NONE, PAPERS, OURS), at=("1", "3", "5")),
    "propagation": Part(
        "Fig. 8(a): components, and share of labels",
        (NONE,),
        at=tuple(f"{r} {f:g}" for r, f in itertools.product((4, 8, 16, 32), (0.01, 0.05, 0.1, 0.2))),
        data=_IMAGES,
    ),
    "components": Part("Fig. 8(b): of the common subspace", (OURS,), at=("2", "4", "16", "32")),
    "clusters": Part("Fig. 8(c): of each device", (OURS,), at=("1", "2", "5", "8")),
    "levels": Part("Fig. 9: dynamic channels, quantised", (PAPERS,), at=("1", "3", "5", "9")),
}


def cells(data: str, parts: tuple[str, ...] = tuple(PARTS)) -> Iterator[Cell]:
    """List the runs of some parts that are made for data."""
    for name in parts:
        part = PARTS[name]
        if data in part.data:
            for at, method in itertools.product(part.at, part.methods):
                yield Cell(name, method, at)


def load(name: str, rng: np.random.Generator) -> Dataset:
    """Load data as :func:`shared_data.load` does, or scikit-learn's 442 patients with diabetes."""
    if name != "diabetes":
        return shared_data.load(name, rng)
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=True)
    x, y = x / x.std(0), (y - y.mean()) / y.std()
    order = rng.permutation(len(x))
    train, test = order[:342], order[342:]
    return Dataset(x[train], y[train], x[test], y[test], num_classes=None, name="diabetes")


def labels_of(cell: Cell, setting: Setting) -> int:
    """Count the labels of a device; one more is what a device must end with to be rewarded."""
    return int(cell.at) if cell.part == "labels" else setting.labels


def scenario_of(cell: Cell, setting: Setting) -> Scenario:
    """Return the cell of devices that share data, with what is varied.

    Parameters
    ----------
    cell : Cell
        Which run.
    setting : Setting
        What is trained.

    Returns
    -------
    Scenario
        ``d2d`` with ``feel-cpu``'s computers, ``[feel]`` for the rounds and ``[d2d-clusters]``.
    """
    found, other = Scenario.load("d2d").to_dict(), Scenario.load("feel-cpu").to_dict()
    clusters = Scenario.load("d2d-clusters").to_dict()["d2d-clusters"]
    count = int(cell.at) if cell.part == "devices" else setting.devices
    found["feel"] = other["feel"]
    found["radio"] = other["radio"] | found["radio"]
    found["devices"] = other["devices"] | found["devices"] | {"count": count, "cpu_frequency_hz": 1e9}
    share, labels = setting.devices / count, labels_of(cell, setting)
    each = setting.samples / count  # what networks are trained on has as many samples
    found["d2d"] |= {
        "threshold": setting.threshold * share, "budget_per_device": setting.threshold * share,
        "num_classes": setting.groups, "classes_per_device": min(labels, setting.groups),
        "points_per_class": {"uniform": [0.5 * each / labels, 1.5 * each / labels]}, "min_classes": labels + 1.0,
    } | REWARDS.get(cell.method, {})  # fmt: skip
    clusters |= {"threshold": 0.4 * setting.threshold, "requested_points": 2.0 * setting.threshold}
    clusters |= {"budget_per_device": 2.0 * setting.threshold}
    clusters |= {"dimensions": int(cell.at) if cell.part == "components" else 8}
    if cell.part == "clusters":
        clusters |= {"clusters_per_device": int(cell.at), "kinds": max(6, int(cell.at))}
    mean = each / clusters["clusters_per_device"]
    clusters |= {"points_per_cluster": {"uniform": [0.5 * mean, 1.5 * mean]}}
    found["d2d-clusters"] = clusters
    return Scenario.from_dict(found)


def options_of(cell: Cell, setting: Setting) -> dict[str, Any]:
    """Return what :func:`learning.train` is told, but for data, seed and the exchange.

    Parameters
    ----------
    cell : Cell
        Which run.
    setting : Setting
        What is trained.

    Returns
    -------
    dict of str to object
        Scheme, rounds and their options.
    """
    options: dict[str, Any] = {
        "scheme": "fedavg", "partition": f"few-labels:{labels_of(cell, setting)}", "model": setting.model,
        "rounds": setting.rounds, "learning_rate": setting.rate, "bits_per_parameter": 32, "radio": "tdma",
    }  # fmt: skip
    match cell.part:
        case "unsupervised" | "other schemes" | "components" | "clusters":
            options |= {
                "scheme": "contrastive", "model": setting.encoder, "rounds": setting.encoder_rounds,
                "learning_rate": setting.encoder_rate, "judge_every": max(1, setting.encoder_rounds // 5),
            }  # fmt: skip
            if cell.at == "fedprox":
                options["proximal"] = 0.1
            elif cell.at == "fedsgd":
                options |= {"iterations": 1, "batchsize": 10**6, "learning_rate": 4 * setting.encoder_rate}
        case "decentralised" | "semi-decentralised":
            options |= {"scheme": cell.part}
            del options["radio"]
        case "stragglers":
            options["participants"] = 1.0 - float(cell.at)
        case "interval":
            every = 15 * setting.rounds
            options |= {"iterations": int(cell.at), "rounds": max(1, every // int(cell.at))}
    return options
