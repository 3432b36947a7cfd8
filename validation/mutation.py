"""Change constants, signs and comparisons of kernels and certificates one at a time, and see whether the tests notice.

``python -m validation.mutation`` chooses places in all kernels and certificates, as many in each file as in any other,
by a seed. Each change is made in a copy of the project, where the quick tests of the family run with the kernels as
plain Python, the cheapest first. If they pass, random instances are checked by certificate, and at last come the tests
that take more than a second. A change that nothing notices has survived: either it changes nothing that can be seen,
and the result file says why under "answer", or a test is missing.

What each test takes, and that it passes, is measured once per family without any change, and kept in
``runs/mutation_costs.json``: remove that file after a change of the tests. The result file is
``validation/mutants.json``. Changes that it has are not tried again, unless they survived and have no answer and
``--again`` is given; those whose places are no longer there are forgotten, and others are tried in their stead.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from radioopt.base.errors import RadioOptError
from radioopt.base.files import write_whole

ROOT = Path(__file__).resolve().parents[1]
STORED = Path(__file__).with_name("mutants.json")
COSTS = ROOT / "runs" / "mutation_costs.json"
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
PRELOADED = (
    "numpy",
    "pandas",
    "scipy.optimize",
    "numba",
    "pydantic",
    "rich",
    "joblib",
    "pytest",
)
COMPARISONS = {
    ast.Lt: ("<", ("<=", ">")),
    ast.LtE: ("<=", ("<", ">=")),
    ast.Gt: (">", (">=", "<")),
    ast.GtE: (">=", (">", "<=")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
}
SIGNS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*")}
#: test files that are collected before the others; instances
EARLY, INSTANCES = 2, 60
#: seconds of the processor up to which a test is cheap; a test may take so many times what it takes, and a little more
CHEAP_S, TIMES, MORE_S = 1.0, 10.0, 5.0
#: seconds of the clock after which a process is ended, one that measures costs too
LIMIT_S, LIMIT_COSTS_S = 900.0, 3600.0
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
        """Whose problems have to notice."""
        return Path(self.file).parent.name

    @property
    def tests(self) -> str:
        """Whose tests have to notice."""
        return "d2d" if self.family == "clusters" else self.family

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
            text = lines[node.lineno - 1][node.col_offset : node.end_col_offset].decode()
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


def places() -> dict[str, list[Mutant]]:
    """List all changes that there are, by file."""
    paths = sorted(path for pattern in FILES for path in ROOT.glob(pattern))
    return {name: list(mutants(name, (ROOT / name).read_text())) for name in (_name(path) for path in paths)}


def choose(count: int, seed: int, known: Collection[str] = ()) -> list[Mutant]:
    """Choose changes of all files in turn, each file's in random order, but for those that are known.

    What is chosen in a file does not depend on the others.
    """
    queues = []
    for name, every in places().items():
        rng = np.random.default_rng([seed, crc32(name.encode())])
        queues.append([every[i] for i in rng.permutation(len(every)) if every[i].key not in known])
    queues = [queues[i] for i in np.random.default_rng(seed).permutation(len(queues))]
    chosen: list[Mutant] = []
    while len(chosen) < count and any(queues):
        for queue in queues:
            if queue and len(chosen) < count:
                chosen.append(queue.pop())
    return chosen


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


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
    home = folder / "tests" / family
    order = {name: place for place, name in enumerate(FIRST)}
    files = sorted(home.glob("test_*.py"), key=lambda path: (order.get(path.name, len(order)), path.name))
    return [str(path.relative_to(folder)) for path in files]


def attempt(mutant: Mutant, folder: Path, costs: Mapping[str, float]) -> dict[str, Any]:
    """Make a change in the copy, run what may notice it, and take it back.

    Parameters
    ----------
    mutant : Mutant
        The change.
    folder : pathlib.Path
        A copy of the project.
    costs : mapping of str to float
        Seconds of the processor that each test takes without any change [s].

    Returns
    -------
    dict
        "outcome", "caught" or "survived"; "by", what noticed; "seconds".
    """
    path, began = folder / mutant.file, time.monotonic()
    source = path.read_text()
    path.write_text(mutant.applied(source))
    forget(path)
    try:
        by = run(folder, mutant, costs)
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


def run(folder: Path, mutant: Mutant, costs: Mapping[str, float]) -> str:
    """Run the tests of a family, and check random instances of its problems, in a process of its own.

    Parameters
    ----------
    folder : pathlib.Path
        A copy of the project, with the change.
    mutant : Mutant
        The change, for the family.
    costs : mapping of str to float
        Seconds of the processor that each test takes without any change [s].

    Returns
    -------
    str
        What failed, or did not end in time; "" if nothing did.
    """
    said = folder / "said.txt"
    said.write_text("")
    code = _apart(_inside, (folder, mutant, costs, said), LIMIT_S)
    if code is None:
        return f"{said.read_text()}, which did not end"
    if code not in (0, NOTICED):
        raise RadioOptError(f"{said.read_text()}: the process ended with {code}")
    return said.read_text() if code else ""


def measured(folder: Path, family: str) -> dict[str, float]:
    """Run the tests of a family without any change, and return what each that passes takes [s]."""
    out = folder / "costs.json"
    code = _apart(_measure, (folder, family, out), LIMIT_COSTS_S)
    if code != 0:
        raise RadioOptError(f"the tests of {family} cannot be run without any change: {code}")
    costs: dict[str, float] = json.loads(out.read_text())
    return costs


def _apart(target: Callable[..., None], args: tuple[Any, ...], limit_s: float) -> int | None:
    """Run a function in a forked process, and return its exit code, or None if it did not end in time."""
    process: Any = multiprocessing.get_context("forkserver").Process(target=target, args=args)
    process.start()
    process.join(limit_s)
    if not process.is_alive():
        return int(process.exitcode)
    process.kill()
    process.join()
    return None


def _tests(names: Sequence[str], plugin: object) -> int:
    """Run the tests of some files that are not slow."""
    import pytest

    quiet = ["-q", "-n", "0", "-p", "no:cacheprovider", "--tb", "no"]
    return int(pytest.main([*quiet, "-m", "not slow and not reference and not exhaustive", *names], [plugin]))


def _measure(folder: Path, family: str, out: Path) -> None:
    """Write what each test of a family takes."""
    os.chdir(folder)
    costs = Costs()
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        _tests(tests_of(family, folder), costs)
    out.write_text(json.dumps(costs.of))
    os._exit(0)


def _inside(folder: Path, mutant: Mutant, costs: Mapping[str, float], said: Path) -> None:
    """Run tests and checks, say which one is at work, and end with an error at the first that fails."""
    from radioopt.cli import main as radioopt  # of the copy, as are all that follow

    os.chdir(folder)
    files = tests_of(mutant.tests, folder)
    cheap = {name: cost for name, cost in costs.items() if cost <= CHEAP_S}
    dear = {name: cost for name, cost in costs.items() if cost > CHEAP_S}
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        _tests(files[:EARLY], Watch(cheap, said))
        _tests(files[EARLY:], Watch(cheap, said))
        for problem in PROBLEMS.get(mutant.family, (mutant.family,)):
            said.write_text(f"validate --problem {problem}")
            place = tempfile.mkdtemp(dir=folder)
            counts = ["--instances", "0", "--certificates", str(INSTANCES), "--folder", place]
            if radioopt(["validate", "--thorough", "--problem", problem, *counts]):
                os._exit(NOTICED)
        _tests(sorted({name.partition("::")[0] for name in dear}) or ["--version"], Watch(dear, said))
    os._exit(0)


class Costs:
    """Pytest plugin that measures what each test takes that passes, in seconds of the processor."""

    def __init__(self) -> None:
        self.of: dict[str, float] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Begin a test."""
        self.of[nodeid] = -time.process_time()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Forget a test that fails or is skipped."""
        if not report.passed:
            self.of.pop(report.nodeid, None)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """End a test."""
        if nodeid in self.of:
            self.of[nodeid] += time.process_time()


class Watch:
    """Pytest plugin that runs known tests, the cheapest first, and ends the process where one fails or does not end."""

    def __init__(self, costs: Mapping[str, float], said: Path) -> None:
        self.costs, self.said = costs, said
        said.write_text("collecting tests")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave the known ones, in their order."""
        items[:] = sorted((i for i in items if i.nodeid in self.costs), key=lambda i: self.costs[i.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Begin a test, which may take several times what it takes without a change."""
        self.said.write_text(nodeid)
        signal.signal(signal.SIGPROF, self._late)
        signal.setitimer(signal.ITIMER_PROF, MORE_S + TIMES * self.costs[nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        """End with the first failure."""
        if report.failed:
            os._exit(NOTICED)

    def pytest_runtest_logfinish(self) -> None:
        """End a test."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)

    def pytest_collectreport(self, report: Any) -> None:
        """End if a file cannot be imported."""
        if report.failed:
            self.said.write_text(report.nodeid)
            os._exit(NOTICED)

    def _late(self, *_: object) -> None:
        """End with a test that takes too long."""
        self.said.write_text(f"{self.said.read_text()}, which did not end")
        os._exit(NOTICED)


def prepare(folder: Path) -> None:
    """Have processes forked from one that has imported what the tests need, and import the project from the copy."""
    os.environ.update({"NUMBA_DISABLE_JIT": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"})
    sys.path.insert(0, str(folder))
    multiprocessing.set_forkserver_preload([name for name in PRELOADED if importlib.util.find_spec(name)])


def main() -> None:
    """Try changes, and write what became of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=120, help="changes with an outcome (default: 120)")
    parser.add_argument("--seed", type=int, default=0, help="which changes (default: 0)")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin none after so many minutes"
    )
    parser.add_argument("--again", action="store_true", help="try survivors without an answer again")
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    there = {one.key: one for every in places().values() for one in every}
    stored: dict[str, Any] = json.loads(STORED.read_text()) if STORED.exists() else {}
    known = {key: row for key, row in stored.items() if key in there}
    open_ = [
        there[key] for key, row in known.items() if row["outcome"] == "survived" and not row.get("answer")
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        prepare(folder)
        costs: dict[str, dict[str, float]] = json.loads(COSTS.read_text()) if COSTS.exists() else {}
        chosen = open_ * args.again + choose(max(args.count - len(known), 0), args.seed, known)
        chosen.sort(key=lambda one: one.tests not in costs)  # first where it is known what tests cost
        for number, mutant in enumerate(chosen, 1):
            if time.monotonic() > end:
                break
            if mutant.tests not in costs:
                costs[mutant.tests] = measured(folder, mutant.tests)
                COSTS.parent.mkdir(exist_ok=True)
                write_whole(COSTS, json.dumps(costs).encode())
            found = attempt(mutant, folder, costs[mutant.tests])
            known[mutant.key] = found
            write_whole(STORED, (json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())
            print(f"{number} of {len(chosen)}: {mutant.key}: {found['outcome']} {found['by']}", flush=True)
    counts = [row["outcome"] for row in known.values()]
    print(f"{counts.count('caught')} caught, {counts.count('survived')} survived of {len(counts)}")


if __name__ == "__main__":
    main()
