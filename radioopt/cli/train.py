"""Train over a simulated wireless network, each round with a fresh allocation.

radioopt train feel-cpu --rounds 100
radioopt train cell.toml --policy optimal,full --seeds 5 --target-accuracy 0.9 --seconds 20000

One policy and one seed make a run; several are compared on the same seeds, by the simulated time to the target.
Metrics, picture and manifest are saved under runs/.
"""

from __future__ import annotations

import argparse
from typing import Any

from radioopt.cli import output
from radioopt.cli.scenario import add_scenario_arguments, read_scenario


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_scenario_arguments(parser)
    parser.add_argument("--scheme", default="feel", help="federated scheme (default: feel)")
    parser.add_argument("--policy", default="optimal", metavar="A,B", help="optimal, online, full, random")
    parser.add_argument("--data", default="digits", help="data set (default: digits)")
    parser.add_argument("--partition", default="iid", help="iid, shards or dirichlet:ALPHA (default: iid)")
    parser.add_argument("--model", default="mlp", help="softmax, mlp or cnn (default: mlp)")
    parser.add_argument("--rounds", type=int, help="most rounds (default: 200 if --seconds is not given)")
    parser.add_argument("--seconds", type=float, help="most simulated seconds")
    parser.add_argument("--target-accuracy", type=float, metavar="A", help="stop at this test accuracy")
    parser.add_argument("--learning-rate", type=float, help="learning rate at the reference batch")
    parser.add_argument("--seed", type=int, default=0, help="(first) seed (default: 0)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="number of seeds (default: 1)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes for a comparison")
    parser.add_argument("--name", help="folder of the run under --folder (default: from settings and time)")
    parser.add_argument("--folder", default="runs", help="where runs are saved (default: runs)")
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError, require

    learning = require("learning", "learning")
    for flag, number in (("--seeds", args.seeds), ("--jobs", args.jobs)):
        if number < 1:
            raise OptionError(f"{flag}: expected at least 1, got {number}")
    policies = [name for name in args.policy.split(",") if name]
    compared = len(policies) > 1 or args.seeds != 1
    if compared and (args.target_accuracy is None or args.seconds is None):
        raise OptionError(
            "several policies or seeds are compared by --target-accuracy within --seconds: give both"
        )
    output.check_folder("--folder", args.folder)
    scenario = read_scenario(args)
    folder = learning.run_folder(args.name or default_name(args, policies), args.folder)
    options: dict[str, Any] = {
        "scheme": args.scheme,
        "data": args.data,
        "partition": args.partition,
        "model": args.model,
        "rounds": args.rounds,
        "seconds": args.seconds,
        "target_accuracy": args.target_accuracy,
    }
    if args.learning_rate is not None:
        options["learning_rate"] = args.learning_rate
    if compared:
        seeds = range(args.seed, args.seed + args.seeds)
        result = learning.compare(scenario, policies=policies, seeds=list(seeds), jobs=args.jobs, **options)
    else:
        result = learning.train(scenario, policy=(policies or [""])[0], seed=args.seed, **options)
    learning.save_run(result, folder.name, folder.parent)
    show(result, compared, args)
    if output.wants_table(args):
        print(f"saved in {folder}: metrics.csv, plot.png, manifest.json")
    return 0


def show(result: Any, compared: bool, args: argparse.Namespace) -> None:
    """Print the comparison, or the rounds of a single run."""
    frame = result.table() if compared else result.to_frame()
    if args.csv:
        output.print_csv(frame)
    elif args.json:
        output.print_json({"config": result.config, "rows": output.records(frame)})
    else:
        if not compared:
            columns = ["seconds", "round_latency_s", "energy_j", "batchsize", "train_loss", "test_accuracy"]
            unknown = frame.columns[
                frame.iloc[1:].isna().all() & (len(frame) > 1)
            ]  # energy, without its coefficient
            shown = frame[[name for name in columns if name in frame and name not in unknown]]
            steps = max(1, len(shown) // 10)
            output.print_table(
                shown.iloc[::steps] if (len(shown) - 1) % steps == 0 else thinned(shown, steps)
            )
        print(result)


def thinned(frame: Any, step: int) -> Any:
    """Every so many rows, and the last."""
    import pandas as pd

    return pd.concat([frame.iloc[::step], frame.iloc[[-1]]])


def default_name(args: argparse.Namespace, policies: list[str]) -> str:
    """Name a run after what it does and when."""
    import re
    from datetime import datetime
    from pathlib import Path

    parts = [Path(args.scenario).stem, args.data, "-".join(policies), f"{datetime.now():%Y%m%d-%H%M%S}"]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(parts)).lstrip(".-")
