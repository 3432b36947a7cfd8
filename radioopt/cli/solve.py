"""Solve a problem on a scenario and print the allocation with its certificate.

radioopt solve feel-cpu                      a scenario that comes with radioopt
radioopt solve cell.toml --problem feel      your own; --seed draws another placement
radioopt solve feel-cpu --set bandwidth_hz=5e6 --devices mine.csv --option integer=true
radioopt solve feel-cpu --trace rates.csv     all instants of a trace of rates or gains; --at 12.5: one
radioopt solve problem.npz --plot round.png  a problem saved by Problem.save
radioopt solve cell.toml --latex > table.tex  the allocation as a table for a paper
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radioopt.cli import output
from radioopt.cli.scenario import (
    SAVED,
    add_scenario_arguments,
    add_trace_arguments,
    read_scenario,
    read_trace,
    settings,
)

if TYPE_CHECKING:
    from pandas import DataFrame

    from radioopt.base.problem import Problem
    from radioopt.base.quantity import Array
    from radioopt.base.solution import Solution


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_scenario_arguments(parser, "TOML file, name of a shipped scenario, or a saved problem (.npz, .json)")
    parser.add_argument(
        "--problem", metavar="NAME", help="problem family; needed if the scenario poses several"
    )
    parser.add_argument("--method", help="method (see: radioopt methods); the exact one by default")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the method, e.g. integer=true (see: radioopt methods); may be repeated",
    )
    parser.add_argument("--seed", type=int, help="seed of the draw (default: 0)")
    parser.add_argument("--draws", type=int, metavar="N", help="solve N independent draws in one batch")
    add_trace_arguments(parser)
    parser.add_argument(
        "--at", type=float, metavar="S", help="instant of the trace (default: all, in one batch)"
    )
    parser.add_argument("--gap-tol", type=float, default=1e-9, help="certified gap that counts as optimal")
    parser.add_argument("--save", metavar="FILE", help="save the solution (.npz or .json)")
    parser.add_argument("--plot", metavar="FILE", help="save a picture of the allocation (.png, .pdf, .svg)")
    output.add_format_arguments(parser, latex=True)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError, require
    from radioopt.base.options import SolveOptions

    if args.draws is not None and args.draws < 1:
        raise OptionError(f"--draws: expected at least 1, got {args.draws}")
    if args.trace is not None and args.at is None and args.draws is not None:
        raise OptionError("--draws with --trace: choose an instant with --at, or leave out --draws")
    if args.plot and args.draws is not None:
        raise OptionError("--plot shows one allocation: leave out --draws and choose with --seed")
    output.check_file("--plot", args.plot, (".png", ".pdf", ".svg"))
    output.check_file("--save", args.save, SAVED)
    if args.plot:
        require("matplotlib", "plot")
    problem, times = read_problem(args)
    if args.plot and times is not None:
        raise OptionError("--plot shows one allocation: choose an instant of the trace with --at")
    if args.plot and problem.batch_shape:
        raise OptionError(f"--plot shows one allocation; {args.scenario} is a batch of problems")
    if args.latex and problem.batch_shape:
        raise OptionError(
            "--latex is the table of one allocation: choose one with --seed or --at; of many draws see radioopt sweep"
        )
    options = SolveOptions(gap_tol=args.gap_tol)
    extra = settings("--option", args.option, "NAME=VALUE, such as integer=true")
    for name in {"self", "method", "options", "throw"} & set(extra):
        raise OptionError(f"--option {name}: not an option of a method (see: radioopt methods)")
    solution = problem.solve(args.method, options, throw=False, **extra)
    answered = solution.is_batch or math.isfinite(float(solution.objective))
    if args.plot and answered:
        picture = Path(args.plot).expanduser()
        picture.parent.mkdir(parents=True, exist_ok=True)
        solution.plot().savefig(picture)
    if args.save:
        solution.save(args.save)
    if answered:
        show(solution, args, times, integer=bool(extra.get("integer")))
    else:
        show_reason(solution, args)
    if output.wants_table(args):
        for file in (args.save, args.plot if answered else None):
            if file:
                print(f"saved {file}")
    if args.plot and not answered:
        print(f"radioopt: --plot: no allocation to draw: {args.plot} is not written", file=sys.stderr)
    exact = problem.methods[solution.method].exact
    good = solution.to_frame(()).status_code <= (0 if exact else 1)
    return 0 if bool(good.all()) else 1


def read_problem(args: argparse.Namespace) -> tuple[Problem[Any], Array | None]:
    """Read a saved problem, or draw one from a scenario; for all instants of a trace also say which these are."""
    from radioopt.base.errors import OptionError
    from radioopt.base.problem import Problem
    from radioopt.base.solution import load

    if Path(args.scenario).suffix in SAVED:
        given = {
            "--set": bool(args.set),
            "--devices": args.devices is not None,
            "--problem": args.problem is not None,
            "--seed": args.seed is not None,
            "--draws": args.draws is not None,
            "--trace": args.trace is not None,
        }
        if any(given.values()):
            flags = ", ".join(flag for flag, there in given.items() if there)
            raise OptionError(
                f"{flags}: for a scenario; {args.scenario} is a saved problem and is solved as it is: "
                f"leave out {flags}, or give the scenario it was drawn from"
            )
        saved = load(args.scenario)
        return (saved if isinstance(saved, Problem) else saved.problem), None
    scenario, trace = read_scenario(args), read_trace(args)
    posed = scenario.families
    if args.problem is None and len(posed) != 1:
        raise OptionError(
            f"{args.scenario} poses {', '.join(posed) or 'no problem'}: choose one with --problem"
        )
    size = () if args.draws is None else args.draws
    devices, family = scenario.draw(args.seed or 0, size=size), args.problem or posed[0]
    if trace is None:
        return devices.problem(family), None
    trace.refuse_idle(devices, family)
    times = trace.times if args.at is None else None
    return devices.follow(trace, args.at if times is None else times).problem(family), times


def timed(frame: DataFrame, times: Array | None) -> DataFrame:
    """Index a batch by the instants of a trace, if it is of one."""
    import pandas as pd

    if times is None:
        return frame
    if isinstance(frame.index, pd.MultiIndex):
        instance, *inner = (frame.index.get_level_values(i) for i in range(frame.index.nlevels))
        levels = [pd.Index(times[instance], name="time_s"), *inner]
        return frame.set_axis(pd.MultiIndex.from_arrays(levels))
    return frame.set_axis(pd.Index(times, name="time_s"))


def show(
    solution: Solution, args: argparse.Namespace, times: Array | None = None, *, integer: bool = False
) -> None:
    """Print the allocation as a table, JSON or CSV."""
    devices = timed(solution.to_frame(), times)
    if args.csv:
        output.print_csv(devices)
    elif args.latex:
        print(solution.to_latex(), end="")
    elif solution.is_batch:
        show_batch(solution, args, times)
    elif args.json:
        output.print_json(solution.summary() | {"devices": output.records(devices)})
    else:
        output.print_table(devices, f"{solution.problem.family}: allocation by {solution.method!r}")
        print(describe(solution, integer=integer))


def show_reason(solution: Solution, args: argparse.Namespace) -> None:
    """Say why there is no allocation."""
    from radioopt.base.status import Status

    status = solution.status
    reason = solution.why_infeasible() if status is Status.INFEASIBLE else status.message
    if args.json:
        devices = output.records(solution.to_frame())
        output.print_json(solution.summary() | {"reason": reason, "devices": devices})
    elif args.csv or args.latex:
        if args.csv:
            output.print_csv(solution.to_frame())
        print(f"radioopt: {status.name}: {reason}", file=sys.stderr)
    else:
        print(f"status      {status.name}: {status.message}")
        if reason != status.message:
            print(f"reason      {reason}")


def show_batch(solution: Solution, args: argparse.Namespace, times: Array | None) -> None:
    """Print one row per draw or instant as JSON, or their distribution as a table."""
    import numpy as np

    from radioopt.base.solution import counts
    from radioopt.base.status import Status

    draws, what = timed(solution.to_frame(()), times), "draw" if times is None else "instant"
    if args.json:
        output.print_json({"method": solution.method, f"{what}s": output.records(draws)})
        return
    if draws.objective.notna().any():
        answered = draws[draws.objective.notna()]
        with np.errstate(invalid="ignore"):  # where there is no bound, gaps are infinite
            spread = answered.drop(columns="status_code").describe(percentiles=[0.05, 0.5, 0.95]).T
        some = "" if len(answered) == len(draws) else f"the {len(answered)} with an answer, of "
        spread.index.name = f"over {some}{len(draws)} {what}s"
        title = f"{solution.problem.family}: {len(draws)} {what}s by {solution.method!r}: {counts(draws.status_code)}"
        output.print_table(spread.drop(columns="count"), title)
        print(repr(solution).partition("\n")[0].partition(";")[0])
    else:
        print(f"{solution.problem.family}: no answer by {solution.method!r} to any of {len(draws)} {what}s")
    infeasible = np.flatnonzero(draws.status_code == Status.INFEASIBLE)
    if len(infeasible):
        first = int(infeasible[0])
        which = f"draw {first}" if times is None else f"instant {times[first]:g} s"
        print(f"first without a feasible point: {which}: {solution[first].why_infeasible()}")


def describe(solution: Solution, *, integer: bool = False) -> str:
    """Say what was reached, what was proven, and that an independent evaluation agrees.

    The bound that is recomputed is that of the relaxation; an exact method proves whole samples by enumeration, so
    that the gap to it says nothing about them.
    """
    integer = integer and solution.problem.methods[solution.method].exact
    values = solution.summary()
    status, skipped = solution.status, ("method", "status", "objective", "bound", "gap", "iterations")
    check = solution.verify()
    unit = f"   {solution.objective_name} [{solution.objective_unit}]" if solution.objective_name else ""
    gap = "" if integer else f"gap {check.gap:.2e}, "
    how = (
        "the bound on whole samples is by enumeration" if integer else "plain NumPy, from the decisions alone"
    )
    lines = [
        f"status      {status.name}: {status.message}",
        f"objective   {values['objective']:.12g}{unit}",
        f"bound       {values['bound']:.12g}   certified relative gap {values['gap']:.2e}",
        f"recomputed  {check.objective:.12g}   {gap}largest violation {max(0.0, check.residual):.1e}   ({how})",
        f"iterations  {values['iterations']}",
    ]
    shown = {name: value for name, value in values.items() if name not in skipped}
    width = max(map(len, shown), default=0)
    lines += [f"{name:<{width}}  {value:.6g}" for name, value in shown.items()]
    return "\n".join(lines)
