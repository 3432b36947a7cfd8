"""Write a page on allocations, training runs or sweeps: one HTML file that opens anywhere, without a network.

radioopt report cell.toml                  solve what it poses: allocation, certificate, prices, generic solvers
radioopt report feel-cpu --seed 3 --save round.html
radioopt report runs/a                     what radioopt train saved: curves, seconds and joules by round and device
radioopt report runs/a runs/b              several runs beside each other
radioopt report sweeps/band                what radioopt sweep saved

Exit code 1: an allocation is not proven optimal by a method that claims to be exact, or nothing is feasible.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radioopt.cli import output
from radioopt.cli.compare import numbers
from radioopt.cli.scenario import SAVED, read_scenario

if TYPE_CHECKING:
    import pandas as pd

    from radioopt.base.problem import Problem
    from radioopt.base.solution import Solution
    from radioopt.scenario import Scenario

#: arguments that belong to allocations, and those that belong to runs
OF_ALLOCATIONS = ("set", "devices", "problem", "method", "seed", "no_check", "time_limit")
OF_RUNS = ("target",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        nargs="+",
        help="TOML file, shipped scenario, saved problem or solution; or folders of runs or of a sweep",
    )
    parser.add_argument(
        "--save", metavar="FILE", help="where to (.html; default: named after what is told of)"
    )
    own = parser.add_argument_group("allocations")
    own.add_argument("--problem", metavar="A,B", help="problem families (default: all of the scenario)")
    own.add_argument("--method", help="method (default: the exact one)")
    own.add_argument("--seed", type=int, help="seed of the draw (default: 0)")
    own.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the scenario; may be repeated",
    )
    own.add_argument("--devices", metavar="FILE.csv", help="take the devices from a table")
    own.add_argument(
        "--no-check", action="store_true", help="ask no generic solver: quick, and always the same file"
    )
    own.add_argument(
        "--time-limit", type=float, metavar="SECONDS", help="most time for one generic solver (default: 10)"
    )
    runs = parser.add_argument_group("runs")
    runs.add_argument("--target", metavar="A,B", help="accuracies to reach, as of radioopt compare")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError, require
    from radioopt.reports import report
    from radioopt.reports.page import page_path

    for module in ("matplotlib", "jinja2"):
        require(module, "plot")
    folders = [Path(each).expanduser() for each in args.what if Path(each).expanduser().is_dir()]
    paths = [each for each in args.what if not Path(each).expanduser().is_dir()]
    lost = [each for each in paths if "/" in each.rstrip("/") and not Path(each).suffix]
    if lost:
        raise OptionError(f"report: {lost[0]}: no such file or folder")
    if folders and paths:
        raise OptionError(
            f"report: {paths[0]} is no folder, {folders[0]} is one: report an allocation or runs, not both in one page"
        )
    if len(paths) > 1:
        raise OptionError("report: one scenario at a time: its problems are chosen with --problem")
    where = Path(args.save or default_name(args.what)).expanduser()
    page_path(where)
    output.check_file("--save", str(where), (".html", ".htm"))
    code = 0
    if paths:
        refuse(args, OF_RUNS, "runs")
        limit = 10.0 if args.time_limit is None else args.time_limit
        if not 0 < limit < float("inf"):
            raise OptionError(f"--time-limit: expected a number of seconds above 0, got {limit:g}")
        scenario, problems = read_problems(args)
        solutions = [solved(each, args.method) for each in problems]
        checked = {each.problem.family: check(each, args, limit) for each in solutions}
        file = report(where, *solutions, scenario=scenario, checked=checked)
        if not all(answered(each) for each in solutions):
            code = 1
    else:
        refuse(args, OF_ALLOCATIONS, "scenarios")
        swept = [folder for folder in folders if is_swept(folder)]
        if swept and len(swept) < len(folders):
            raise OptionError(f"report: {swept[0]} is a sweep, and others are runs: report them apart")
        if swept:
            refuse(args, OF_RUNS, "runs")
            file = report(where, *map(read_swept, swept))
        else:
            file = report(where, runs_of(folders, args.target))
    print(f"saved {file}")
    return code


def is_swept(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / "summary.csv").is_file() and (folder / "sweep.csv").is_file()


def read_swept(folder: Path) -> Any:
    """Read the folder of a sweep, of problems or of training."""
    from radioopt.base.errors import require
    from radioopt.reports.swept import Swept
    from radioopt.sweeps.result import Sweep
    from radioopt.sweeps.saved import read_sweep

    def kind_of(trials: str) -> type[Sweep]:
        kinds: dict[str, type[Sweep]] = {"draws": Sweep}
        if trials == "seeds":
            kinds["seeds"] = require("learning.study.sweep", "learning").TrainingSweep
        return kinds[trials]

    found, quantity = read_sweep(folder, kind_of)
    return Swept(found, quantity, f"Sweep {folder.resolve().name}")


def default_name(what: list[str]) -> str:
    """Name a page after what it tells of; that of one folder stands in it."""
    first = Path(what[0]).expanduser()
    if len(what) == 1:
        return str(first / "report.html") if first.is_dir() else f"{first.stem}.html"
    return "report.html"


def refuse(args: argparse.Namespace, names: tuple[str, ...], of: str) -> None:
    """Refuse options that mean nothing for what is told of."""
    from radioopt.base.errors import OptionError

    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name)]
    if given:
        raise OptionError(
            f"{', '.join(given)}: for {of}, which {args.what[0]} is not: leave out {', '.join(given)}"
        )


def read_problems(args: argparse.Namespace) -> tuple[Scenario | None, list[Problem[Any] | Solution]]:
    """Read a saved problem or solution, or draw the problems of a scenario."""
    from radioopt.base.errors import OptionError
    from radioopt.base.solution import load

    (name,) = args.what
    if Path(name).suffix in SAVED:
        for flag in ("set", "devices", "problem", "seed"):
            if getattr(args, flag) not in (None, []):
                raise OptionError(f"--{flag}: for a scenario; {name} is a saved problem: leave it out")
        saved = load(name)
        if saved.batch_shape:
            raise OptionError(f"report: {name} is a batch of {saved.batch_shape}: save one instance of it")
        return None, [saved]
    args.scenario = name
    scenario = read_scenario(args)
    chosen = list(scenario.families)
    if args.problem is not None:
        chosen = [each.strip() for each in args.problem.split(",")]
    if not chosen:
        raise OptionError(f"{name} poses no problem: give it a table, such as [feel]")
    devices = scenario.draw(args.seed or 0)
    return scenario, [devices.problem(family) for family in chosen]


def solved(subject: Problem[Any] | Solution, method: str | None) -> Solution:
    """Solve a problem; a saved solution is taken as it is, unless a method is asked for."""
    from radioopt.base.solution import Solution

    if isinstance(subject, Solution):
        if method is None:
            return subject
        subject = subject.problem
    found: Solution = subject.solve(method, throw=False)
    return found


def answered(solution: Solution) -> bool:
    """Whether a method has kept what it claims."""
    return not bool(solution._unanswered())


def check(solution: Solution, args: argparse.Namespace, limit: float) -> pd.DataFrame | str:
    """Ask generic solvers, or say why none was asked."""
    import math

    from radioopt.base.errors import MissingExtraError, OptionError, require

    if args.no_check:
        return "Not asked: --no-check."
    if not math.isfinite(float(solution.objective)):
        return "Not asked: there is no allocation to check."
    problem = solution.problem
    try:
        validation = require("validation", "validation")
        if problem.family not in validation.checked_families():
            return f"Not asked: there are no models of {problem.family} for generic solvers."
        with output.progress() as bars:
            bars.add_task(f"generic solvers on {problem.family}", total=None)
            methods = [
                each.name for each in problem.methods.values() if each.exact or each.name == solution.method
            ]
            size, known = problem.sizes["device"], validation.references(problem.family)
            fitting = [
                each.name for each in known.values() if each.max_devices is None or size <= each.max_devices
            ]
            if not fitting:
                most = max((each.max_devices or 0 for each in known.values()), default=0)
                return f"Not asked: {size} devices are too many for them; they take at most {most}."
            found: pd.DataFrame = validation.cross_check(problem, methods, fitting, time_limit_s=limit)
            return found
    except MissingExtraError as error:
        return f"Not asked: {error}."
    except OptionError as error:
        return f"Not asked: {error}."


def runs_of(folders: list[Path], targets: str | None) -> Any:
    """Read saved runs, with the targets that were asked for."""
    from radioopt.base.errors import require

    runs = require("learning", "learning").compare_runs(folders)
    chosen = None if targets is None else numbers("--target", targets)
    return runs if chosen is None else runs.aiming(chosen)
