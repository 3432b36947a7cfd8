"""What many devices cost: seconds of a round, memory and bytes, in process and over Flower.

python -m validation.reproduce.scale engines       # both engines at 10, 100 and 1,000 nodes, in turns
python -m validation.reproduce.scale deployment    # 2 nodes on this machine, with TLS and keys
python -m validation.reproduce.scale million       # a million devices: what the server plans, sends and holds

Engines and deployment need Flower, in an environment of its own. All say the load of the machine beside the seconds,
since they depend on it; take the ratios if others use the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import learning
from learning.flower.crew import row_of
from learning.flower.letters import Letter
from learning.flower.sealing import seal_all
from learning.setup import Setup
from validation.loopback import Deployment
from validation.reproduce.rounds import Watch, cell

#: nodes, and rounds that are run with them
ENGINES = {10: 8, 100: 6, 1_000: 4}


def engines(counts: dict[int, int]) -> None:
    """Print the table of both engines."""
    from learning.flower import simulate

    print(
        "| nodes | in process [s] | Flower's simulation [s] | of it ours [s] | first round [s] | ratio | load |"
    )
    print("|---|---|---|---|---|---|---|")
    for count, rounds in counts.items():
        options: dict[str, Any] = {"scheme": "fedavg", "rounds": rounds, "progress": False}
        here = [_in_process(count, options)]
        watch = Watch()
        result = simulate(cell(count), callbacks=watch, **options)
        here.append(_in_process(count, options))
        frame = result.to_frame()[2:]
        assert (frame["answered"] == count).all(), result.crew.faults[:5]
        first, later = watch.seconds
        ours = float(frame["server_s"].median())
        share = 100 * ours / later
        row = f"| {count:,} | {min(here):.3f} | {later:.2f} | {ours:.3f} ({share:.1f} %) | {first:.0f} "
        print(f"{row}| {later / min(here):.0f} | {os.getloadavg()[0]:.1f} |", flush=True)


def _in_process(count: int, options: dict[str, Any]) -> float:
    watch = Watch()
    learning.train(cell(count), callbacks=watch, **options)
    return watch.seconds[1]


def deployment(rounds: int) -> None:
    """Print seconds of the rounds of two nodes on this machine, with TLS and keys."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder, Deployment(Path(folder)) as deployed:
        deployed.server()
        for i in range(2):
            deployed.node(f"node{i}", deployed.registered(f"node{i}"))
        deployed.run("two", {"scheme": "fedavg", "rounds": rounds}, nodes=2, deadline_s=300.0)
        file = deployed.folder / "runs" / "two" / "metrics.csv"
        deployed.wait(file, 300.0 * rounds)
        frame = pd.read_csv(file)[1:]
    later = frame[1:]
    assert (frame["answered"] == 12).all()
    print(f"first round {frame['round_s'].iloc[0]:.1f} s; then {later['round_s'].median():.1f} s (median of")
    print(
        f"{len(later)}, {later['round_s'].min():.1f} to {later['round_s'].max():.1f}), of which ours ", end=""
    )
    print(f"{later['server_s'].median():.3f} s; load {os.getloadavg()[0]:.1f}")


def million(count: int) -> None:
    """Print what a round of a million devices costs the server, without the training."""
    timed("draw the devices", lambda: cell(count).draw(0))
    drawn = cell(count).draw(0)
    problem = timed("pose the problem", lambda: drawn.problem("feel"))
    solution = timed("solve it, certified", problem.solve)
    print(f"    {solution.status.name}, gap {solution.gap:.1e}; memory so far {_gigabytes():.2f} GB")
    plans = Setup(scenario=cell(12), scheme="fedavg").plans()
    plan = plans.planner(plans.task, None)(plans.scenario.draw(0), np.random.default_rng(0))
    row = _bytes(Letter({"round": 1, "devices": [0], **row_of(plan, np.array([0]))}))
    weights = _bytes(Letter({}, {"values": seal_all(plans.task.initial_values())}))
    print(f"a device's row of the plan: {row:,} bytes, of {count:,} devices {row * count / 1e9:.2f} GB")
    print(
        f"the weights of mlp: {weights:,} bytes each way, of {count:,} devices {weights * count / 1e9:.1f} GB"
    )


def timed(what: str, do: Callable[[], Any]) -> Any:
    """Do something, and print seconds of wall and CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = do()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{what}: {wall:.2f} s, CPU {cpu:.2f} s", flush=True)
    return made


def _bytes(letter: Letter) -> int:
    """Count the bytes of a letter: its numbers as text, its arrays as they are."""
    arrays = (one for compartment in letter.arrays.values() for one in compartment.values())
    return len(json.dumps(letter.numbers)) + sum(len(one.data) for one in arrays)


def _gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("table", choices=["engines", "deployment", "million"])
    parser.add_argument("--count", type=int, help="only so many nodes or devices")
    parser.add_argument("--rounds", type=int, default=8, help="of the deployment")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of Flower and Ray, about what they use
    if given.table == "deployment":
        deployment(given.rounds)
    elif given.table == "million":
        million(given.count or 1_000_000)
    else:
        engines(ENGINES if given.count is None else {given.count: ENGINES.get(given.count, 3)})


if __name__ == "__main__":
    main()
