"""DT-KD's Tables 3 and 4 with a row that the paper does not have, the proven optimum; printed beside the paper's.

The paper prints neither its weights and prices nor the noise power, the teacher's cycles and the size of its outputs.
Those of the scenario ``dtkd`` were calibrated against the objectives of "Proposed Method" and "FL-Min" in both tables,
so that these rows say how well one set of numbers fits four; everything else is a prediction. Takes some minutes::

    python -m validation.reproduce.dtkd_tables
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd

from radioopt import Scenario
from radioopt.dtkd import DistillationProblem, DistillationSolution, train
from validation.reproduce.registry import Setup

DRAWS, EPISODES, SEED = 200, 2_000_000, 1
IID = [0.6271, 0.6813, 0.7184, 0.7255]  # Table 1, KD, top-1
#: accuracies of "FL-Min" and "FL-Max" as printed are those of FL, of Tables 1 and 2; their objectives are not
PAPER = {
    "non-IID": pd.DataFrame(
        {
            "objective": [-1.03, -0.99, -0.95, 0.0075],
            "delay [s]": [14.33, 15.66, 14.02, 27.01],
            "own": [90.19, 89.72, 1.12, 1.23],
            "average": [27.10, 26.52, 1.12, 1.23],
            "VGG-8": [1.5, 6.5, 100, 0],
            "ResNet-8x4": [50.5, 62.0, 0, 0],
            "ResNet-14x4": [48.0, 28.0, 0, 0],
            "ResNet-26x4": [0.0, 3.5, 0, 100],
        },
        index=["q-learning", "q-learning-only", "fl-min", "fl-max"],
    ),
    "IID": pd.DataFrame(
        {
            "objective": [-1.27, -1.22, -1.11, 0.0074],
            "delay [s]": [13.91, 18.09, 13.07, 20.55],
            "own": [71.17, 70.47, 59.9, 65.64],
            "average": [71.17, 70.47, 59.9, 65.64],
            "VGG-8": [0.5, 0.0, 100, 0],
            "ResNet-8x4": [17.0, 39.0, 0, 0],
            "ResNet-14x4": [80.0, 49.5, 0, 0],
            "ResNet-26x4": [2.5, 11.5, 0, 100],
        },
        index=["q-learning", "q-learning-only", "fl-min", "fl-max"],
    ),
}


def draws(table: str, count: int = DRAWS, seed: int = SEED) -> DistillationProblem:
    """Draw channels and CPUs; "IID" has the accuracies of identically distributed data."""
    changes = {}
    if table == "IID":
        catalogue = Scenario.load("dtkd").to_dict()["dtkd"]["catalogue"]
        changes["dtkd.catalogue"] = catalogue | {"own_accuracy": IID, "average_accuracy": IID}
    problem: Any = Scenario.load("dtkd", changes).draw(seed, size=count).problem("dtkd")
    return problem


def row(solution: DistillationSolution) -> dict[str, float]:
    """Means over users and draws, as the paper's tables have them."""
    catalogue = solution.problem.catalogue
    values = {
        "objective": float(np.mean(solution.objective)) / solution.sizes["device"],
        "delay [s]": float(np.mean(solution.delay_s)),
        "own": 100 * float(catalogue.own_accuracy[solution.model].mean()),
        "average": 100 * float(catalogue.average_accuracy[solution.model].mean()),
    }
    shares = {name: 100 * float(np.mean(solution.model == m)) for m, name in enumerate(catalogue.names)}
    return values | shares


def measure(problem: DistillationProblem, episodes: int = EPISODES) -> pd.DataFrame:
    """Answer the draws by every method."""
    rows = {"exact": row(problem.solve())}
    for name, shares in (("q-learning", 0), ("q-learning-only", 3)):
        rows[name] = row(train(problem, episodes=episodes, shares=shares).solve(problem))
    for name in ("fl-min", "fl-max"):
        rows[name] = row(problem.solve(name))
    return pd.DataFrame.from_dict(rows, orient="index")


def verdicts(ours: pd.DataFrame, paper: pd.DataFrame) -> list[str]:
    """Say of each printed objective, delay and ordering whether it comes out."""
    here: dict[str, Any] = ours.to_dict("index")  # type: ignore[assignment]  # methods are named by text
    there: dict[str, Any] = paper.to_dict("index")  # type: ignore[assignment]
    found = []

    def say(what: str, measured: str, printed: str, holds: bool, within: str = "") -> None:
        word = "reproduces" if holds else "does not reproduce"
        found.append(f"{what}: ours {measured}, printed {printed}: {word}{within}")

    for method, printed in there.items():
        for column, tolerance in (("objective", 0.01), ("delay [s]", 0.5)):
            one, other = here[method][column], printed[column]
            near = abs(one - other) <= tolerance
            say(f"{method}, {column}", f"{one:.4g}", f"{other:g}", near, f" (within {tolerance:g})")
    orders = [sorted(there, key=lambda method: table[method]["objective"]) for table in (here, there)]
    say("order of objectives", " < ".join(orders[0]), " < ".join(orders[1]), orders[0] == orders[1])
    least = min(here, key=lambda method: here[method]["delay [s]"])
    say("least mean delay", least, "always fl-min", least == "fl-min")
    most = max((name for name in paper.columns if "-" in name), key=lambda name: there["q-learning"][name])
    one, other = here["exact"][most], there["q-learning"][most]
    say(
        f"share of {most} at the optimum",
        f"{one:.1f} %",
        f"{other:g} %",
        abs(one - other) <= 5,
        " (within 5)",
    )
    best = here["exact"]["objective"]
    found += [
        f"{m}: {100 * (here[m]['objective'] - best) / abs(best):.2f} % above the proven optimum"
        for m in there
    ]
    return found


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce dtkd``: a row per table and method."""
    tables = {name: measure(draws(name)).rename_axis("method").reset_index() for name in PAPER}
    rows = pd.concat(tables, names=["table"]).reset_index(level=0)
    return {"setting": {"draws": DRAWS, "episodes of Q-learning": EPISODES}, "rows": rows}


def main() -> None:
    """Print both tables, ours and the paper's, with a verdict on each number that is compared."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--episodes", type=int, default=EPISODES)
    arguments = parser.parse_args()
    for number, table in ((3, "non-IID"), (4, "IID")):
        ours = measure(draws(table, arguments.draws), arguments.episodes)
        print(
            f"\nTable {number}, {table}, {arguments.draws} draws; accuracies and shares in per cent\n\nours"
        )
        print(ours.round(4).to_string())
        print(f"\nprinted\n{PAPER[table].to_string()}\n")
        print("\n".join(verdicts(ours, PAPER[table])))
    print(
        "\nThe objectives printed for FL-Max, 0.0075 and 0.0074, do not fit what is printed beside them: with these\n"
        "weights its delays and accuracies give about +0.2 and -1.1."
    )


if __name__ == "__main__":
    main()
