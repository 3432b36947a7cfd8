"""Show it all on one cell in about a minute: allocate, prove, cross-check, train, draw.

Twelve CPU devices in a cell of 200 m: the batch sizes and time slots that make training fastest, their
certificate, the same problem solved by generic solvers, and federated training on handwritten digits under four
policies for the batch size.
"""

from __future__ import annotations

import argparse
import os
import time

from radioopt.cli import output

TARGET_ACCURACY = 0.9
BUDGET_S = 60_000.0
SEEDS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the placement and of training (default: 1)"
    )
    parser.add_argument("--folder", default="runs", help="where the results are saved (default: runs)")
    parser.add_argument("--name", help="folder of this run (default: demo-DATE-TIME)")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from datetime import datetime

    from radioopt.base.errors import require
    from radioopt.cli.solve import describe
    from radioopt.scenario import Scenario

    os.environ.setdefault(
        "RADIOOPT_COMPILE", "wait"
    )  # the solver is timed, and training has the same digits again
    learning, validation = require("learning", "learning"), require("validation", "validation")
    output.check_folder("--folder", args.folder)
    folder = learning.run_folder(args.name or f"demo-{datetime.now():%Y%m%d-%H%M%S}", args.folder)
    console = output.console()
    started = time.perf_counter()

    console.rule("1. A cell", align="left")
    scenario = Scenario.load("feel-cpu")
    devices = scenario.draw(args.seed)
    print(f"{scenario.name}; placement {args.seed}\n")

    console.rule("2. Its optimal round, proven", align="left")
    problem = devices.problem("feel")
    solution = problem.solve()
    begin = time.perf_counter()
    problem.solve()
    seconds = time.perf_counter() - begin
    shown = solution.to_frame()
    shown.insert(0, "distance_m", devices.distance_m)
    shown.insert(1, "cpu_frequency_hz", devices.cpu_frequency_hz)
    output.print_table(shown)
    print(describe(solution))
    print(f"solved in {seconds * 1e6:.0f} microseconds, once the kernel was compiled\n")

    console.rule("3. The same problem for generic solvers", align="left")
    with console.status("CVXPY, Pyomo with SCIP, IPOPT ..."):
        table = validation.cross_check(problem)
    table["seconds"] = table["seconds"].where(table.index != solution.method, seconds)
    output.print_table(table[["kind", "objective", "gap", "difference", "residual", "verdict", "seconds"]])
    print(
        "difference: how much worse than the best; residual: violation before repair; gap: certified by radioopt.\n"
    )

    console.rule("4. Training on handwritten digits", align="left")
    print(
        f"Four policies for the batch size, each with optimal slots for its batches; simulated seconds to "
        f"{TARGET_ACCURACY:.0%} accuracy.\n"
    )
    seeds = list(range(args.seed, args.seed + SEEDS))
    comparison = learning.compare(scenario, target_accuracy=TARGET_ACCURACY, seconds=BUDGET_S, seeds=seeds)
    print(comparison)
    learning.save_run(comparison, folder.name, folder.parent)
    for kind in ("png", "pdf"):
        solution.plot().savefig(folder / f"round.{kind}")
    solution.save(folder / "solution.json")

    console.rule("Saved", align="left")
    for name, what in (
        ("plot.pdf", "accuracy over simulated seconds, and plot.png"),
        ("round.pdf", "who computes, uploads and downloads when, and round.png"),
        ("solution.json", "the allocation; radioopt.load reads it"),
        ("metrics.csv", "every run"),
        ("curves.csv", "every round of every run; rounds.csv has the means"),
        ("manifest.json", "what it takes to repeat this"),
    ):
        print(f"{folder / name}: {what}")
    print(f"\n{time.perf_counter() - started:.0f} s in all. Next: radioopt --help, or README.md")
    return 0
