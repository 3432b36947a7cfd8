"""The studies of each paper, their results as small files, and the verdicts that follow from them.

A study measures something that a paper prints or claims. Its result is a JSON file: the command, the setting and rows.
Those in the folder ``results`` beside this file belong to the project and make its pages; a run writes its own into
the folder that it is given, and takes what is there instead of measuring it again.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radioopt.base.errors import OptionError
from radioopt.base.files import write_whole
from validation.reproduce.verdicts import Entry, Results

STORED = Path(__file__).with_name("results")
PAPERS = ("feel", "fimi", "dtkd", "d2d", "mix2fld")


@dataclass(frozen=True)
class Setup:
    """How a study is run.

    Parameters
    ----------
    folder : pathlib.Path
        Where runs and results are kept.
    seeds, jobs : int
        Runs of everything random, and processes.
    full : bool
        The paper's networks, steps and samples, as far as the study has them.
    data : str
        For studies that train: one of their data sets.
    files : str
        Folder of the data's files, where these cannot be fetched.
    progress : bool
        Show bars.
    """

    folder: Path
    seeds: int = 10
    jobs: int = 1
    full: bool = False
    data: str = "digits"
    files: str = ""
    progress: bool = True


@dataclass(frozen=True)
class Study:
    """Something that is measured.

    Parameters
    ----------
    name, summary : str
        A word for the command line, and one line.
    home : str
        "module:function" below ``validation.reproduce``; it takes a :class:`Setup` and returns a dictionary with
        "setting" (a dictionary) and "rows" (a list of dictionaries, or a DataFrame).
    minutes : float
        Of one core, about, for ten seeds and without ``full``.
    data : tuple of str
        Data sets to choose from; empty if the study trains nothing.
    full : str
        What ``full`` adds; empty if it adds nothing.
    """

    name: str
    summary: str
    home: str
    minutes: float
    data: tuple[str, ...] = ()
    full: str = ""

    def result_name(self, setup: Setup) -> str:
        """Name the file of the result, without its suffix."""
        parts = [self.name, *[setup.data] * bool(self.data), *["full"] * bool(self.full and setup.full)]
        return "-".join(parts)


STUDIES: dict[str, tuple[Study, ...]] = {
    "feel": (
        Study(
            "schemes",
            "Table II: four schemes by accuracy and speed",
            "feel_schemes:study",
            14,
            ("digits", "fashion-mnist"),
            "all samples of the data",
        ),
        Study("policies", "Figs. 4 and 5: four batch sizes by time to an accuracy", "feel_training:study", 5),
        Study("rounding", "Section III: whole batch sizes by rounding", "feel_rounding:study", 1),
    ),
    "fimi": (
        Study(
            "training",
            "Table I, Figs. 4 and 5: all methods and ablations",
            "fimi_training:study",
            60,
            ("digits", "fashion-mnist"),
            "the paper's samples of a device and 200 rounds: days",
        ),
        Study("energy", "synthetic samples and energies of a round", "fimi_energy:study", 0.5),
        Study("curves", "Figs. 5(a) and (b), by the solver", "fimi_claims:study", 0.2),
        Study(
            "cross-entropy",
            "how far the paper's search stays from the optimum",
            "fimi_cross_entropy:study",
            6,
        ),
        Study("generators", "Fig. 5(d): how good generated samples are", "generators:study", 8, ("digits",)),
    ),
    "dtkd": (
        Study(
            "training",
            "Tables 1 to 4, Figs. 4 to 10: students that are trained",
            "dtkd_training:study",
            8,
            ("digits", "fashion-mnist", "cifar-100"),
            "the paper's networks and 100 epochs: for a GPU, or days",
        ),
        Study("tables", "Tables 3 and 4 with the proven optimum", "dtkd_tables:study", 5),
    ),
    "d2d": (
        Study(
            "training",
            "Figs. 4 to 10: what training gains from the exchange",
            "d2d_training:study",
            60,
            ("digits", "fashion-mnist", "diabetes"),
            "all samples and 200 rounds: days",
        ),
        Study("gaps", "Q-learning and the baselines against the best graph known", "d2d_gaps:study", 1),
    ),
    "mix2fld": (
        Study(
            "tables",
            "Figs. 2 and 3: five schemes over two channels",
            "mix2fld_tables:study",
            26,
            ("digits", "fashion-mnist"),
            "the paper's steps and network: days",
        ),
        Study("links", "slots, outages and payloads, from closed forms", "mix2fld_tables:study_links", 0.1),
        Study(
            "privacy",
            "Tables II and III: privacy of mixed samples",
            "mix2fld_privacy:study",
            0.5,
            ("digits", "fashion-mnist"),
        ),
    ),
}


def choose(paper: str, names: Iterable[str] | None = None) -> tuple[Study, ...]:
    """Return the studies of a paper, or those of some names; an unknown name is an ``OptionError``."""
    if paper not in STUDIES:
        raise OptionError(f"reproduce: unknown paper {paper!r}, choose from {', '.join(PAPERS)}")
    known = {study.name: study for study in STUDIES[paper]}
    chosen = tuple(known) if names is None else tuple(names)
    for name in chosen:
        if name not in known:
            raise OptionError(f"--only: unknown study {name!r} of {paper}, choose from {', '.join(known)}")
    return tuple(known[name] for name in chosen)


def run(paper: str, study: Study, setup: Setup) -> dict[str, Any]:
    """Make a study, unless its result is in the folder already.

    Parameters
    ----------
    paper : str
        A key of :data:`STUDIES`.
    study : Study
        One of its studies.
    setup : Setup
        How. A result of another number of seeds is measured anew.

    Returns
    -------
    dict
        The result: "command", "seeds", "setting" and "rows".

    Raises
    ------
    OptionError
        If the study does not have the data set.
    """
    if study.data and setup.data not in study.data:
        raise OptionError(f"--data: {study.name} has {', '.join(study.data)}, got {setup.data!r}")
    path = setup.folder / "results" / paper / f"{study.result_name(setup)}.json"
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        if kept["seeds"] == setup.seeds:
            return kept
    module, _, function = study.home.partition(":")
    measure: Callable[[Setup], dict[str, Any]] = getattr(
        importlib.import_module(f"validation.reproduce.{module}"), function
    )
    found = measure(setup)
    result = {
        "command": command(paper, study, setup),
        "seeds": setup.seeds,
        "setting": found["setting"],
        "rows": records(found["rows"]),
    }
    write_whole(path, (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())
    return result


def command(paper: str, study: Study, setup: Setup) -> str:
    """Say how to get a result."""
    words = ["radioopt reproduce", paper, "--only", study.name, "--seeds", str(setup.seeds)]
    words += ["--data", setup.data] * bool(study.data) + ["--full"] * bool(study.full and setup.full)
    return " ".join(words)


def records(rows: Any) -> list[dict[str, Any]]:
    """Return rows for JSON: plain numbers of six digits, None for what is not there."""
    if isinstance(rows, pd.DataFrame):
        rows = rows.to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


def plain(value: Any) -> Any:
    """Return a plain value, numbers to six digits.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.float64(1 / 3)), plain(float("nan")), plain(np.int64(7)), plain("text")
    (0.333333, None, 7, 'text')
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def load(paper: str, *folders: Path) -> dict[str, dict[str, Any]]:
    """Read all results of a paper, those of later folders in place of the same of earlier ones."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders:
        for path in sorted((folder / paper).glob("*.json")):
            found[path.stem] = json.loads(path.read_text())
    return found


def entries(paper: str, results: Results) -> list[Entry]:
    """Judge everything that a paper prints by what was measured.

    Parameters
    ----------
    paper : str
        A key of :data:`STUDIES`.
    results : mapping
        Results by name, as of :func:`load`; what is missing leads to "needs data or compute".

    Returns
    -------
    list of Entry
        In the order of the paper.

    Examples
    --------
    >>> {entry.where for entry in entries("mix2fld", {})} >= {"Fig. 2", "Table II"}
    True
    """
    module = importlib.import_module(f"validation.reproduce.papers.{paper}")
    found: list[Entry] = module.entries(results)
    return found


def printed(paper: str) -> tuple[str, ...]:
    """List the figures and tables of a paper."""
    names: tuple[str, ...] = importlib.import_module(f"validation.reproduce.papers.{paper}").PRINTED
    return names


def note(paper: str) -> str:
    """Say in a few sentences what ours are measured on."""
    text: str = importlib.import_module(f"validation.reproduce.papers.{paper}").NOTE
    return text
