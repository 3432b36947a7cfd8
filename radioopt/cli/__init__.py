"""The ``radioopt`` command. Every subcommand is a module; it imports what it needs only when it runs."""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Sequence

from radioopt import __version__
from radioopt.cli import bench, compare, compile, demo, methods, solve, train, validate

COMMANDS = (solve, validate, bench, train, compare, methods, compile, demo)

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
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            code = int(args.run(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has seen enough, as in: radioopt solve feel-cpu --csv | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MissingExtraError as error:
        code, message = 3, str(error)
    except SolveError as error:
        code, message = 1, str(error)
    except OSError as error:
        code, message = 2, _said(error)
    except RadioOptError as error:
        code, message = 2, str(error)
    except KeyboardInterrupt as error:
        code, message = 130, str(error) or "interrupted"
    print(f"radioopt: {message}", file=sys.stderr)
    return code


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Say it as every other message, without the line of radioopt that it comes from."""
    print(f"radioopt: warning: {message}", file=sys.stderr)


def _said(error: OSError) -> str:
    """Name the file of an error and what is wrong with it; never the temporary file beside it."""
    if error.filename is None or error.strerror is None:
        return str(error)
    file = re.sub(r"(^|[/\\])\.([^/\\]+)\.[0-9a-f]{8}$", r"\1\2", os.fspath(error.filename))
    what = "no such file" if isinstance(error, FileNotFoundError) else error.strerror.lower()
    return f"{what}: {file}"
