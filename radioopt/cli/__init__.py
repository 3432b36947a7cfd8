"""The ``radioopt`` command. Every subcommand is a module; it imports what it needs only when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from radioopt import __version__
from radioopt.cli import demo, methods, solve, train, validate

COMMANDS = (solve, validate, train, methods, demo)

EPILOG = """exit codes:
  0  done; every answer is proven optimal, every check passed
  1  an answer is not proven optimal, or a check failed
  2  the input cannot be used: the message says what to change
  3  an optional dependency is missing: the message is the command that installs it
"""


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command."""
    top = argparse.ArgumentParser(
        prog="radioopt",
        description="Provably optimal resource allocation for federated learning over wireless networks.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"radioopt {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        summary = (module.__doc__ or "").strip().partition("\n")[0]
        command = commands.add_parser(
            module.__name__.rpartition(".")[2],
            help=summary,
            description=(module.__doc__ or "").strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        The exit code; ``radioopt --help`` lists them.
    """
    args = parser().parse_args(argv)
    from radioopt.base.errors import MissingExtraError, RadioOptError, SolveError

    try:
        return int(args.run(args))
    except MissingExtraError as error:
        code, message = 3, str(error)
    except SolveError as error:
        code, message = 1, str(error)
    except (RadioOptError, OSError) as error:
        code, message = 2, str(error)
    except KeyboardInterrupt:
        code, message = 130, "interrupted"
    print(f"radioopt: {message}", file=sys.stderr)
    return code
