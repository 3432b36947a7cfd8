"""The ``radioopt`` command. Every subcommand is a module; it imports what it needs only when it runs."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import gc
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from radioopt import __version__
from radioopt.cli import (
    bench,
    compare,
    compile,
    demo,
    fit,
    generate,
    methods,
    report,
    reproduce,
    scenario,
    solve,
    sweep,
    train,
    validate,
)

COMMANDS = (
    solve,
    sweep,
    validate,
    reproduce,
    bench,
    train,
    compare,
    report,
    generate,
    fit,
    methods,
    scenario,
    compile,
    demo,
)

EPILOG = """exit codes:
  0  done; every answer is proven optimal, every check passed
  1  an answer is not proven optimal, or a check failed
  2  the input cannot be used: the message says what to change
  3  an optional dependency is missing: the message is the command that installs it
"""


class Parser(argparse.ArgumentParser):
    """A parser that takes options by their whole names, and names the nearest one to what it does not know."""

    #: what else an option that is not known may mean to a command, in words; given the option and those that are known
    meant: Callable[[str, Collection[str]], str] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "allow_abbrev": False})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and refuse what is left over here, where the options are known."""
        found, left = super().parse_known_args(args, namespace)
        flags = [given.partition("=")[0] for given in left if given.startswith("-")]
        if flags:
            known = self._option_string_actions
            near = [self.meant(flags[0], known)] if self.meant is not None else []
            if flags[0] == "--latex":
                self.error("unknown option --latex: radioopt solve, sweep and compare have it")
            near = list(filter(None, near)) or difflib.get_close_matches(flags[0], known, n=1)
            self.error(f"unknown option {flags[0]}" + (f"; did you mean {near[0]}?" if near else ""))
        return found, left


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command."""
    top = Parser(
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
        command.meant = getattr(module, "meant", None)
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
    _make_writable()
    args = parser().parse_args(argv)
    from radioopt.base.errors import MissingExtraError, RadioOptError, SolveError

    try:
        with _rare_collections(), warnings.catch_warnings():
            warnings.showwarning = _warn
            code = int(args.run(args))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader has seen enough, as in: radioopt solve feel-cpu --csv | head -1
        _discard_output()
        return 141
    except MissingExtraError as error:
        code, message = 3, str(error)
    except ImportError as error:
        code, message = 2, _shadowed(error)
    except SolveError as error:
        code, message = 1, str(error)
    except OSError as error:
        code, message = 2, _said(error)
        if error.filename is None:  # of the output itself, as of a full disk: nothing more can be said there
            _discard_output()
    except RadioOptError as error:
        code, message = 2, str(error)
    except KeyboardInterrupt as error:
        code, message = 130, str(error) or "interrupted"
    print(f"radioopt: {message}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector run more rarely: it took a fifth of the time of a command, most of it over imports."""
    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _shadowed(error: ImportError) -> str:
    """Say which file of the user's is in the way; an error of another kind goes on."""
    from radioopt.base.shadow import PACKAGES, complaint, found_instead

    name = (error.name or "").partition(".")[0]
    file = found_instead(name) if name in PACKAGES else None
    if file is None:
        raise error
    return complaint(name, file)


def _make_writable() -> None:
    """Let streams take what they cannot show: a closed one nothing, one of few characters a mark in their place."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for as long as the process is)
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _discard_output() -> None:
    """Send what is still to be written to nowhere, so that the interpreter does not try again when it ends."""
    with contextlib.suppress(OSError, ValueError):  # there may be no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
