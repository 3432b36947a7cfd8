"""Who may import whom, over the whole tree; and that importing radioopt is instant."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from radioopt.base.rooms import families

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("radioopt", "learning", "validation")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FAMILIES = families()


@dataclass(frozen=True)
class Import:
    name: str
    line: int
    in_function: bool
    for_types: bool


def imports(source, module):
    """Every import of a module as a dotted name, ``from a import b`` as ``a.b``, with where it stands."""
    found = []

    def visit(node, in_function, for_types):
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, in_function, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *([base] if base else [])])
            found.extend(
                Import(f"{base}.{alias.name}", node.lineno, in_function, for_types) for alias in node.names
            )
        in_function = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.body:
                visit(child, in_function, True)
            for child in node.orelse:
                visit(child, in_function, for_types)
            return
        for child in ast.iter_child_nodes(node):
            visit(child, in_function, for_types)

    visit(ast.parse(source), False, False)
    return found


def under(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def violations(path, source):
    """Imports of a file that break a contract."""
    parts = path.with_suffix("").parts
    module = ".".join(parts)
    bad = []
    for found in imports(source, module):
        name = found.name
        if parts[0] == "radioopt":
            upward = under(name, "learning", "validation")
            allowed = parts[1] == "cli" and found.in_function
            bad += [f"imports upward: {name}"] * (upward and not allowed)
        if parts[0] == "learning":
            bad += [f"imports upward: {name}"] * under(name, "validation")
        if parts[0] == "validation" and parts[1] not in ("reproduce", "device_check"):
            bad += [f"imports learning: {name}"] * under(name, "learning")
        if parts[0] == "radioopt" and parts[1] in FAMILIES:
            others = [f"radioopt.{family}" for family in FAMILIES if family != parts[1]]
            bad += [f"imports another family: {name}"] * under(name, *others)
        if parts[:2] == ("radioopt", "base"):
            inside = under(name, "radioopt.base") or name == "radioopt" or not under(name, "radioopt")
            bad += [f"the base imports {name}"] * (not inside)
        if parts[0] == "radioopt" and parts[-1].startswith("kernel"):
            family = ".".join(parts[:-1])
            fine = under(name, "__future__", "math", "numpy", "radioopt.numerics")
            fine = fine or name.startswith(f"{family}.kernel")
            bad += [f"a kernel imports {name}"] * (not fine)
        stamped = len(parts) == 3 and (parts[1] == "numerics" or parts[2].startswith("kernel"))
        if parts[0] == "radioopt" and not stamped:  # changes would go unnoticed, see numerics/jit.py
            bad += [f"a kernel not in <family>/kernel*.py: {name}"] * under(name, "radioopt.numerics.jit")
        if parts[:2] != ("radioopt", "numerics") or parts[2] not in ("jit", "lanes", "dispatch", "kept"):
            bad += [f"imports {name} outside numerics/jit.py"] * (
                under(name, "numba") and parts[0] == "radioopt"
            )
    return [f"{path}: {text}" for text in bad]


def test_the_tree_keeps_its_contracts():
    assert len(SOURCES) > 30
    assert [
        line
        for path in SOURCES
        for line in violations(path.relative_to(ROOT), path.read_text(encoding="utf-8"))
    ] == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("radioopt/units.py", "import learning", "imports upward: learning"),
        (
            "radioopt/units.py",
            "def f():\n    from validation import cross_check",
            "imports upward: validation.c",
        ),
        ("radioopt/cli/train.py", "from learning.loop import train", "imports upward: learning.loop.train"),
        ("radioopt/cli/train.py", "def run():\n    import learning", None),
        ("radioopt/cli/train.py", "import learninglib", None),
        ("learning/loop.py", "import validation.feel", "imports upward: validation.feel"),
        ("validation/cross_check.py", "def f():\n    import learning", "imports learning: learning"),
        ("validation/device_check.py", "import learning", None),
        (
            "radioopt/feel/kernel.py",
            "from radioopt.base.status import Status",
            "a kernel imports radioopt.base",
        ),
        ("radioopt/feel/kernel.py", "import math\nfrom radioopt.numerics.jit import kernel", None),
        ("radioopt/feel/kernel_integer.py", "from .kernel import a\nfrom .kernel_rows import B", None),
        (
            "radioopt/feel/kernel_integer.py",
            "from .problem import x",
            "a kernel imports radioopt.feel.problem.x",
        ),
        (
            "radioopt/feel/search.py",
            "from radioopt.numerics.jit import kernel",
            "a kernel not in <family>/kernel*.py: radioopt.numerics.jit.kernel",
        ),
        (
            "radioopt/feel/inner/kernel.py",
            "from radioopt.numerics.jit import kernel",
            "a kernel not in <family>/kernel*.py: radioopt.numerics.jit.kernel",
        ),
        (
            "radioopt/kernel.py",
            "from radioopt.numerics import jit",
            "a kernel not in <family>/kernel*.py: radioopt.numerics.jit",
        ),
        ("radioopt/feel/kernel.py", "from .problem import x", "a kernel imports radioopt.feel.problem.x"),
        ("radioopt/base/record.py", "from ..channel import snr", "the base imports radioopt.channel.snr"),
        ("radioopt/base/record.py", "from . import files", None),
        ("radioopt/feel/solver.py", "from numba import njit", "imports numba.njit outside numerics/jit.py"),
    ],
)
def test_a_breach_is_noticed(path, source, complaint):
    found = violations(Path(path), source)
    if complaint is None:
        assert found == []
    else:
        (line,) = found
        assert line.startswith(f"{path}: {complaint}")


def test_another_familys_import_is_noticed(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "FAMILIES", ("feel", "other"))
    breach = violations(Path("radioopt/feel/solver.py"), "from radioopt import other")
    assert breach == ["radioopt/feel/solver.py: imports another family: radioopt.other"]


#: floors of the training layer, from the ground up: an import goes down only, or stays in the room
FLOORS = (
    ("catalog", "progress", "streams", "measures"),
    ("options",),
    ("data", "models"),
    ("local",),
    ("generators", "layers"),
    ("task", "messages"),
    ("radio",),
    ("crew",),
    ("judges", "schemes", "prepare"),
    ("runs",),
    ("loop",),
    ("setup",),
    ("training", "flower"),
    ("study",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def modules_of(package):
    """Every module of a package by its dotted name, with its source."""
    found = {}
    for path in SOURCES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] == package:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(
                encoding="utf-8"
            )
    return found


def arrows(modules):
    """Which module imports which at run time, imports inside functions counted."""
    found = {}
    for module, source in modules.items():
        targets = set()
        for one in imports(source, module):
            if one.for_types:
                continue
            whole = one.name if one.name in modules else one.name.rpartition(".")[0]
            if whole in modules and whole != module:
                targets.add(whole)
        found[module] = targets
    return found


def circles(graph):
    """Groups of modules that import each other in a circle."""
    closed = {module: {module} for module in graph}
    for module in graph:
        waiting = [module]
        while waiting:
            for target in graph[waiting.pop()] - closed[module]:
                closed[module].add(target)
                waiting.append(target)
    return {frozenset(m for m in closed[a] if a in closed[m]) for a in graph} - {
        frozenset([m]) for m in graph
    }


@pytest.mark.parametrize("package", ["radioopt", "learning"])
def test_no_file_imports_another_in_a_circle(package):
    assert circles(arrows(modules_of(package))) == set()


def test_a_circle_is_noticed():
    modules = {"p.a": "from p import b", "p.b": "def f():\n    from p.c import x", "p.c": "import p.a"}
    assert circles(arrows(modules)) == {frozenset(modules)}
    typed = modules | {"p.c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.a"}
    assert circles(arrows(typed)) == set()


def test_imports_of_the_training_layer_go_down():
    upward = []
    for module, targets in arrows(modules_of("learning")).items():
        room = module.split(".")[1] if "." in module else None
        for target in targets:
            if room is None or "." not in target or target.split(".")[1] == room:
                continue
            if FLOOR[target.split(".")[1]] >= FLOOR[room]:
                upward.append(f"{module} imports {target}")
    assert upward == []


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_radioopt_imports_nothing_heavy():
    heavy = ("numpy", "numba", "scipy", "pandas", "pydantic", "rich", "matplotlib", "torch", "cvxpy")
    assert run(f"import sys, radioopt; print(*[name for name in {heavy} if name in sys.modules])") == []


def test_importing_the_library_compiles_nothing_and_needs_no_extra():
    """Kernels are compiled when they are first called; plots and generic solvers come with extras."""
    code = """
import importlib, pkgutil, sys, radioopt
for module in pkgutil.walk_packages(radioopt.__path__, "radioopt."):
    if not module.name.startswith("radioopt.cli"):
        importlib.import_module(module.name)
print(*[name for name in ("matplotlib", "networkx", "torch", "cvxpy", "pyomo") if name in sys.modules])
for name in list(sys.modules):
    if name.startswith("radioopt"):
        for attribute, value in vars(sys.modules[name]).items():
            if not isinstance(value, type) and getattr(value, "signatures", None):
                print(f"{name}.{attribute}")
"""
    assert run(code) == []
