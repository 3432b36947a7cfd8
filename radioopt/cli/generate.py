"""Fit a generator of samples on public data, and say how useful its samples are and how much they copy.

radioopt generate --plot digits.png
radioopt generate --generator gan --option steps=2000 --save gan.npz
radioopt generate --data fashion-mnist@32000+1000 --public 2000 --option steps=6000 --count 4000 --samples new.npz
radioopt generate --generator gan.npz --count 500 --samples more.npz

The public samples are those that radioopt train sets aside with the same --data, --public and --seed, so that a saved
generator may be used there: it has seen none of the devices' samples.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radioopt.cli import output
from radioopt.cli.options import described, listed, number
from radioopt.cli.scenario import settings

PICTURES = (".png", ".pdf", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    what = parser.add_argument_group("what is fitted")
    what.add_argument(
        "--generator",
        default="diffusion",
        metavar="NAME",
        help=f"{listed('GENERATORS')}, or the .npz of a saved one, which is not fitted again (default: diffusion)",
    )
    what.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option of the generator, e.g. steps=2000; may be repeated. All: --options",
    )
    what.add_argument("--options", action="store_true", help="list the options of the generator, and stop")
    what.add_argument(
        "--data",
        default="digits",
        metavar="NAME[:FOLDER][@TRAIN+TEST]",
        help=f"{listed('DATASETS')}; as of radioopt train (default: digits)",
    )
    what.add_argument(
        "--public",
        default="600",
        metavar="N",
        help="samples that it is fitted on, or their share (default: 600)",
    )
    what.add_argument("--seed", type=int, default=0, help="of data, fit and samples (default: 0)")
    made = parser.add_argument_group("what is made")
    made.add_argument(
        "--count", type=int, default=1000, metavar="N", help="samples, all classes alike (default: 1000)"
    )
    made.add_argument("--save", metavar="FILE.npz", help="keep the fitted generator")
    made.add_argument("--samples", metavar="FILE.npz", help="keep the samples: arrays x and y")
    made.add_argument(
        "--plot",
        metavar="FILE",
        help="draw samples, and beside each the nearest public one (.png, .pdf, .svg)",
    )
    output.add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from radioopt.base.errors import OptionError, require

    generators = require("learning.generators", "learning")
    streams = require("learning.streams", "learning").Streams(at_least("--seed", args.seed, 0))
    at_least("--count", args.count, 1)
    generator = chosen(args)
    if args.options:
        print(f"generator {generator.name}: {described(generator.settings())}")
        return 0
    for flag, path, endings in (
        ("--save", args.save, (".npz",)),
        ("--samples", args.samples, (".npz",)),
        ("--plot", args.plot, PICTURES),
    ):
        output.check_file(flag, path, endings)
    data = require("learning.data.sources", "learning").load(args.data, streams.at("data"))
    public = data.set_aside(number("--public", args.public), streams.at("public"))
    if not generators.is_fitted(generator):
        generator = generator.fit(public, streams.at("generator"))
    elif not generator.knows(public):
        raise OptionError(
            f"--generator {args.generator}: it was fitted on {generator.known().data}: other samples than those "
            "of --data, --public and --seed: give those it was fitted with"
        )
    generators.refuse_held(generator, data.train_x, public.train_x)
    generators.refuse_held(generator, data.test_x, public.train_x, "the test's")
    quality = generators.measure(generator, public, data, streams.at("samples"), args.count)
    saved = keep(args, generator, quality)
    if args.csv:
        output.print_csv(quality.to_frame(), index=False)
    elif args.json:
        told = {"name": generator.name, **plain(generator.settings()), "digest": generator.known().digest}
        output.print_json(
            {
                "generator": told,
                "data": public.name,
                "figures": quality.figures(),
                "samples": output.records(quality.to_frame(), index=False),
            }
        )
    else:
        print(quality)
        for path in saved:
            print(f"saved {path}")
    return 0


def chosen(args: argparse.Namespace) -> Any:
    """Make the generator with its options, or read a saved one."""
    from radioopt.base.errors import OptionError, require

    generators, catalog, options = (
        require(f"learning.{name}", "learning") for name in ("generators", "catalog", "options")
    )
    given = settings("--option", args.option, "NAME=VALUE, such as steps=2000")
    if args.generator.endswith(".npz"):
        if given:
            raise OptionError(f"--option {next(iter(given))}: {args.generator} has its options: leave it out")
        return generators.load(args.generator)
    kind = options.choose("generator", args.generator, catalog.GENERATORS, "the .npz of a saved one")
    known = kind().settings()
    for name in given:
        if name not in known:
            near = options.suggestion(name, known)
            raise OptionError(
                f"--option {name}: generator {args.generator!r} has no such option, it takes {described(known)}{near}"
            )
    return kind(**given)


def keep(args: argparse.Namespace, generator: Any, quality: Any) -> list[str]:
    """Write what is to be kept; return where it is."""
    import numpy as np

    from radioopt.base.files import write_whole

    saved = []
    if args.save:
        generator.save(args.save)
        saved.append(args.save)
    if args.samples:
        block = io.BytesIO()
        np.savez(block, x=quality.samples, y=quality.labels)
        write_whole(Path(args.samples).expanduser(), block.getvalue())
        saved.append(args.samples)
    if args.plot:
        path = Path(args.plot).expanduser()
        block = io.BytesIO()
        quality.plot().savefig(block, format=path.suffix[1:])
        write_whole(path, block.getvalue())
        saved.append(args.plot)
    return saved


def plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """Write options down for JSON."""
    return {name: value if isinstance(value, (int, float, str)) else None for name, value in given.items()}


def at_least(flag: str, value: int, low: int) -> int:
    """Check a whole number from a lower limit on."""
    from radioopt.base.errors import OptionError

    if value < low:
        raise OptionError(f"{flag}: expected at least {low}, got {value}")
    return value
