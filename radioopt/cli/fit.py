"""Measure what a scenario assumes, fit it, and write the keys of the scenario down.

radioopt fit learning-curve                                   on digits: half a minute
radioopt fit learning-curve --data fashion-mnist@6000+1000 --sizes 50,100,200,400,800,1600 --model cnn
radioopt fit learning-curve --points measured.csv --scale 31.25 --save curve.toml --plot curve.png
radioopt solve fimi --set curve.toml                          the scenario with the curve

The learning curve is the error after training on so many samples, alpha samples^-beta - gamma. Without --points a model
is trained on more and more samples of a data set; a table printed by --csv may be given as --points again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radioopt.cli import output
from radioopt.cli.generate import PICTURES
from radioopt.cli.options import listed
from radioopt.cli.scenario import settings

if TYPE_CHECKING:
    from radioopt.fimi.learning_curve import CurveFit

#: arguments of a measurement, which points that are read leave no use for
MEASURED = ("data", "sizes", "seeds", "rounds", "model")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("what", choices=("learning-curve",), help="what is fitted")
    parser.add_argument(
        "--points", metavar="FILE.csv", help="read the points: columns samples and error, a line each"
    )
    measured = parser.add_argument_group("without --points they are measured")
    measured.add_argument(
        "--data",
        metavar="NAME[:FOLDER][@TRAIN+TEST]",
        help=f"{listed('DATASETS')}; as of radioopt train (default: digits)",
    )
    measured.add_argument(
        "--sizes", metavar="N,N,N", help="samples that are trained with (default: 25,50,100,200,400,800)"
    )
    measured.add_argument("--seeds", type=int, help="times that each is measured (default: 3)")
    measured.add_argument("--rounds", type=int, help="passes over the samples (default: 40)")
    measured.add_argument("--model", help=f"{listed('MODELS')} (default: mlp)")
    measured.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option of the training, e.g. learning_rate=0.2; may be repeated",
    )
    made = parser.add_argument_group("what is made of them")
    made.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="S",
        help="samples of the scenario that a measured one stands for (default: 1)",
    )
    made.add_argument(
        "--save", metavar="FILE.toml", help="keep the keys of the scenario, for --set FILE.toml"
    )
    made.add_argument("--plot", metavar="FILE", help="draw points and curve (.png, .pdf, .svg)")
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.files import write_whole

    output.check_file("--save", args.save, (".toml",))
    output.check_file("--plot", args.plot, PICTURES)
    fit = read(args) if args.points is not None else measure(args)
    keys = fit.scenario_keys(args.scale)
    saved = []
    if args.save is not None:
        text = "".join(f"# {line.strip()}\n" for line in str(fit).splitlines())
        if args.scale != 1:
            text += f"# a measured sample stands for {args.scale:g} of the scenario\n"
        text += "\n[fimi]\n" + "".join(f"{name} = {value!r}\n" for name, value in bare(keys).items())
        write_whole(Path(args.save).expanduser(), text.encode())
        saved.append(args.save)
    if args.plot is not None:
        import io

        path, block = Path(args.plot).expanduser(), io.BytesIO()
        fit.plot().savefig(block, format=path.suffix[1:])
        write_whole(path, block.getvalue())
        saved.append(args.plot)
    if args.csv:
        output.print_csv(fit.table, index=False)
    elif args.json:
        output.print_json(
            {"set": keys, "warnings": list(fit.warnings), "points": output.records(fit.table, index=False)}
        )
    else:
        print(fit)
        print("[fimi]" + "".join(f"\n{name} = {value!r}" for name, value in bare(keys).items()))
        for path in saved:
            print(f"saved {path}")
    return 0


def bare(keys: dict[str, float]) -> dict[str, float]:
    """Return the keys by their names within the table."""
    return {name.partition(".")[2]: value for name, value in keys.items()}


def read(args: argparse.Namespace) -> CurveFit:
    """Fit the curve to the points of a file."""
    import pandas as pd

    from radioopt.base.errors import OptionError, ProblemError
    from radioopt.fimi.learning_curve import fit_curve

    for name in MEASURED:
        if getattr(args, name) is not None:
            raise OptionError(f"--{name}: belongs to a measurement: leave it out, or --points")
    if args.option:
        raise OptionError("--option: belongs to a measurement: leave it out, or --points")
    try:
        table = pd.read_csv(args.points)
    except (ValueError, pd.errors.ParserError) as error:
        raise ProblemError(
            f"{args.points}: expected a table with columns samples, error: {str(error).strip()}"
        ) from None
    return fit_curve(table)


def measure(args: argparse.Namespace) -> CurveFit:
    """Measure the points of a data set, and fit the curve to them."""
    from radioopt.base.errors import OptionError, require

    options: dict[str, Any] = settings("--option", args.option, "NAME=VALUE, such as learning_rate=0.2")
    for name in (*MEASURED, "points", "scale"):
        if name in options:
            raise OptionError(f"--option {name}: has a flag of its own: --{name}")
    options |= {name: getattr(args, name) for name in MEASURED if getattr(args, name) is not None}
    if args.sizes is not None:
        try:
            options["sizes"] = [int(size) for size in args.sizes.split(",")]
        except ValueError:
            raise OptionError(
                f"--sizes: expected whole numbers with commas between, got {args.sizes!r}"
            ) from None
    fit: CurveFit = require("learning", "learning").measure_curve(**options)
    return fit
