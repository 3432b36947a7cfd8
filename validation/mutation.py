"""Change constants, signs and comparisons of kernels and certificates one at a time, and see whether the tests notice.

``python -m validation.mutation`` chooses places in all kernels and certificates, as many in each file as in any other,
by a seed. Each change is made in a copy of the project, where the quick tests of the family run with the kernels as
plain Python, and, if they pass, random instances are checked by certificate. A change that nothing notices has
survived: either it changes nothing that can be seen, and the result file says why under "answer", or a test is missing.

The result file is ``validation/mutants.json``. Changes that it has are not tried again, unless they survived and have
no answer and ``--again`` is given.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from radioopt.base.errors import RadioOptError
from radioopt.base.files import write_whole

ROOT = Path(__file__).resolve().parents[1]
STORED = Path(__file__).with_name("mutants.json")
#: what is changed
FILES = (
    "radioopt/*/kernel*.py",
    "radioopt/*/certificate.py",
    "radioopt/d2d/clusters/certificate.py",
    *(f"radioopt/numerics/{name}.py" for name in ("judge", "lambertw", "expint", "vmath")),
)
#: what the copy needs
COPIED = (
    "radioopt",
    "learning",
    "validation",
    "tests",
    "pyproject.toml",
    "README.md",
    "docs",
    "examples",
    "CITATION.cff",
)
#: tests that go first, as they notice most
FIRST = ("test_certificate.py", "test_optimality.py", "test_kernel.py", "test_adjoint.py", "test_integer.py")
#: problems that a family's kernels solve
PROBLEMS = {"d2d": ("d2d", "d2d-sparse"), "clusters": ("d2d-clusters",), "numerics": ("feel", "fimi")}
#: packages that the tests import
PRELOADED = ("numpy", "pandas", "scipy", "numba", "pydantic", "rich", "torch", "cvxpy", "joblib")
COMPARISONS = {
    ast.Lt: ("<", ("<=", ">")),
    ast.LtE: ("<=", ("<", ">=")),
    ast.Gt: (">", (">=", "<")),
    ast.GtE: (">=", (">", "<=")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
}
SIGNS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*")}
#: test files that are collected before the others; instances; seconds
EARLY, INSTANCES, LIMIT_S = 2, 60, 900.0
#: exit code of a process in which something was noticed
NOTICED = 3


@dataclass(frozen=True)
class Mutant:
    """A change of one place.

    Parameters
    ----------
    file : str
        Relative to the project.
    line, column : int
        Where, from 1 and from 0.
    before, after : str
        What stands there, and what instead.
    """

    file: str
    line: int
    column: int
    before: str
    after: str

    @property
    def key(self) -> str:
        """Name in the result file."""
        return f"{self.file}:{self.line}:{self.column} {self.before} -> {self.after}"

    @property
    def family(self) -> str:
        """Whose tests have to notice."""
        return Path(self.file).parent.name

    def applied(self, source: str) -> str:
        """Return the source with the change.

        Examples
        --------
        >>> Mutant("a.py", 1, 6, "+", "-").applied("x = 1 + 2")
        'x = 1 - 2'
        """
        lines = source.splitlines(keepends=True)
        line = lines[self.line - 1].encode()
        end = self.column + len(self.before.encode())
        assert line[self.column : end] == self.before.encode(), self
        lines[self.line - 1] = (line[: self.column] + self.after.encode() + line[end:]).decode()
        return "".join(lines)


def mutants(file: str, source: str) -> Iterator[Mutant]:
    r"""List the changes that a file allows: numbers doubled or raised, signs and comparisons turned.

    Parameters
    ----------
    file : str
        Its name, for the changes.
    source : str
        Its text.

    Yields
    ------
    Mutant
        In the order of the text; none in annotations, decorators and texts.

    Examples
    --------
    >>> [(m.before, m.after) for m in mutants("a.py", "def f(x):\n    return 2.0 * x if x < 1 else -x")]
    [('2.0', '4.0'), ('*', '/'), ('<', '<='), ('<', '>'), ('1', '2'), ('-', '+')]
    """
    lines = source.encode().splitlines()
    tree = ast.parse(source)
    hidden: set[ast.AST] = set()
    for node in ast.walk(tree):
        parts: list[Any] = []
        if isinstance(node, ast.FunctionDef):
            parts = [*node.decorator_list, node.returns, *(arg.annotation for arg in node.args.args)]
        elif isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        hidden |= {one for part in parts if part is not None for one in ast.walk(part)}
    found = []
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Constant) and type(value := node.value) in (int, float):
            assert isinstance(value, int | float)
            text = ast.get_source_segment(source, node) or ""
            after = str(value + 1) if isinstance(value, int) else repr(2.0 * value if value else 1.0)
            found.append(Mutant(file, node.lineno, node.col_offset, text, after))
        elif isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
            before, after = SIGNS[type(node.op)]
            found += _between(file, lines, node.left, node.right, before, (after,))
        elif isinstance(node, ast.AugAssign) and type(node.op) in (ast.Add, ast.Sub):
            before, after = SIGNS[type(node.op)]
            found += _between(file, lines, node.target, node.value, before, (after,))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            found.append(Mutant(file, node.lineno, node.col_offset, "-", "+"))
        elif isinstance(node, ast.Compare):
            for left, operator, right in zip(
                [node.left, *node.comparators], node.ops, node.comparators, strict=False
            ):
                if type(operator) in COMPARISONS:
                    before, others = COMPARISONS[type(operator)]
                    found += _between(file, lines, left, right, before, others)
    yield from sorted(found, key=lambda one: (one.line, one.column))


def _between(
    file: str, lines: Sequence[bytes], left: Any, right: Any, before: str, after: Sequence[str]
) -> list[Mutant]:
    """Find an operator between its operands, if it stands on the line on which the first ends."""
    stop = right.col_offset if right.lineno == left.end_lineno else None
    place = lines[left.end_lineno - 1][:stop].find(before.encode(), left.end_col_offset)
    if place < 0:
        return []
    return [Mutant(file, left.end_lineno, place, before, one) for one in after]


def choose(count: int, seed: int) -> list[Mutant]:
    """Choose changes of all files in turn, each file's in random order."""
    rng = np.random.default_rng(seed)
    queues = []
    for path in sorted(path for pattern in FILES for path in ROOT.glob(pattern)):
        known = list(mutants(path.relative_to(ROOT).as_posix(), path.read_text()))
        queues.append([known[i] for i in rng.permutation(len(known))])
    queues = [queues[i] for i in rng.permutation(len(queues))]
    chosen: list[Mutant] = []
    while len(chosen) < count and any(queues):
        for queue in queues:
            if queue and len(chosen) < count:
                chosen.append(queue.pop())
    return chosen


def copy(folder: Path) -> None:
    """Copy what the tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            skip = shutil.ignore_patterns("__pycache__", "*.nbc", "*.nbi")
            shutil.copytree(source, folder / name, ignore=skip)
        elif source.exists():
            shutil.copyfile(source, folder / name)


def tests_of(family: str, folder: Path) -> list[str]:
    """List the test files of a family, those that notice most first."""
    home = folder / "tests" / ("d2d" if family == "clusters" else family)
    order = {name: place for place, name in enumerate(FIRST)}
    files = sorted(home.glob("test_*.py"), key=lambda path: (order.get(path.name, len(order)), path.name))
    if family == "clusters":
        files.sort(key=lambda path: path.name != "test_clusters.py")
    return [str(path.relative_to(folder)) for path in files]


def attempt(mutant: Mutant, folder: Path) -> dict[str, Any]:
    """Make a change in the copy, run what may notice it, and take it back.

    Parameters
    ----------
    mutant : Mutant
        The change.
    folder : pathlib.Path
        A copy of the project.

    Returns
    -------
    dict
        "outcome", "caught" or "survived"; "by", what noticed; "seconds".
    """
    path, began = folder / mutant.file, time.monotonic()
    source = path.read_text()
    path.write_text(mutant.applied(source))
    forget(path)
    files = tests_of(mutant.family, folder)
    problems = PROBLEMS.get(mutant.family, (mutant.family,))
    try:
        by = run(folder, (files[:EARLY], files[EARLY:]), problems)
    finally:
        path.write_text(source)
        forget(path)
    return {
        **asdict(mutant),
        "outcome": "caught" if by else "survived",
        "by": by,
        "seconds": round(time.monotonic() - began, 1),
    }


def forget(path: Path) -> None:
    """Remove the bytecode of a file, which a change within a second may leave out of date."""
    for old in path.parent.glob(f"__pycache__/{path.stem}.*"):
        old.unlink()


def run(folder: Path, groups: Sequence[Sequence[str]], problems: Sequence[str] = ()) -> str:
    """Run groups of test files, then check random instances of some problems, in a process forked for it.

    Parameters
    ----------
    folder : pathlib.Path
        A copy of the project.
    groups : sequence of sequences of str
        Tests, those of a group collected at once.
    problems : sequence of str
        Problems to check.

    Returns
    -------
    str
        What failed, or did not end in time; "" if nothing did.
    """
    said = folder / "said.txt"
    said.write_text("")
    process: Any = multiprocessing.get_context("forkserver").Process(
        target=_inside, args=(folder, groups, problems, said)
    )
    process.start()
    process.join(LIMIT_S)
    if process.is_alive():
        process.kill()
        process.join()
        return f"{said.read_text()}, which did not end"
    if process.exitcode not in (0, NOTICED):
        raise RadioOptError(f"{said.read_text()}: the process ended with {process.exitcode}")
    return said.read_text() if process.exitcode else ""


def _inside(folder: Path, groups: Sequence[Sequence[str]], problems: Sequence[str], said: Path) -> None:
    """Run tests and checks, say which one is at work, and end with an error at the first that fails."""
    import pytest

    from radioopt.cli import main as radioopt  # of the copy, as are all that follow

    os.chdir(folder)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        for names in filter(None, groups):
            notes = Failures()
            said.write_text("tests")
            quick = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb", "no"]
            quick += ["-m", "not slow and not reference and not exhaustive"]
            if pytest.main([*quick, *names], plugins=[notes]):
                said.write_text(notes.first)
                os._exit(NOTICED)
        for problem in problems:
            said.write_text(f"validate --problem {problem}")
            counts = [
                "--instances",
                "0",
                "--certificates",
                str(INSTANCES),
                "--folder",
                tempfile.mkdtemp(dir=folder),
            ]
            if radioopt(["validate", "--thorough", "--problem", problem, *counts]):
                os._exit(NOTICED)
    os._exit(0)


class Failures:
    """Pytest plugin that remembers the first test that failed."""

    first = "tests"

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Remember a test."""
        if report.failed and self.first == "tests":
            self.first = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        """Remember a file that cannot be imported."""
        self.pytest_runtest_logreport(report)


def prepare(folder: Path) -> None:
    """Have processes forked from one that has imported what the tests need, and import the project from the copy."""
    os.environ.update({"NUMBA_DISABLE_JIT": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"})
    sys.path.insert(0, str(folder))
    multiprocessing.set_forkserver_preload([name for name in PRELOADED if importlib.util.find_spec(name)])


def main() -> None:
    """Try changes, and write what became of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=120, help="changes (default: 120)")
    parser.add_argument("--seed", type=int, default=0, help="which changes (default: 0)")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin none after so many minutes"
    )
    parser.add_argument("--again", action="store_true", help="try survivors without an answer again")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    known: dict[str, Any] = json.loads(STORED.read_text()) if STORED.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        prepare(folder)
        sound: set[str] = set()
        for number, mutant in enumerate(choose(args.count, args.seed), 1):
            before = known.get(mutant.key)
            open_ = before is not None and before["outcome"] == "survived" and not before.get("answer")
            if before is not None and not (args.again and open_):
                continue
            if time.monotonic() > end:
                break
            found = attempt(mutant, folder)
            if found["by"].startswith("tests/") and found["by"] not in sound:
                if run(folder, [[found["by"]]]):
                    raise RadioOptError(f"{found['by']} fails without any change")
                sound.add(found["by"])
            known[mutant.key] = found
            write_whole(STORED, (json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())
            print(f"{number} of {args.count}: {mutant.key}: {found['outcome']} {found['by']}", flush=True)
    counts = [row["outcome"] for row in known.values()]
    print(f"{counts.count('caught')} caught, {counts.count('survived')} survived of {len(counts)}")


if __name__ == "__main__":
    main()
