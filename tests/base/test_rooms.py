"""Rooms: families and their modules are found by where they stand, in one way for all who look."""

import ast
from pathlib import Path

import pytest

import validation
from radioopt import OptionError
from radioopt.base.rooms import families, room, with_room
from validation import bench

ROOT = Path(__file__).resolve().parents[2]


def test_families_are_those_with_a_problem_and_base_is_none():
    root = ROOT / "radioopt"
    folders = {"-".join(path.parent.relative_to(root).parts) for path in root.rglob("problem.py")}
    assert set(families()) == folders - {"base"}
    assert {"d2d", "d2d-clusters", "d2d-sparse"} <= set(families())  # variants stand inside a family
    assert with_room("radioopt", "scenario") == families()


def test_every_family_is_validated_and_timed_where_it_has_the_room_for_it():
    assert validation.checked_families() == families()
    timed = {path.parent.name for path in (ROOT / "validation").glob("*/bench.py")}
    assert set(bench.timed_families()) == timed | {"training"}  # which is no problem and has no room


@pytest.mark.parametrize(
    ("package", "name", "refusal", "message"),
    [
        ("radioopt", "problem", "unknown problem", "^unknown problem 'base', choose from d2d, "),
        (
            "validation",
            "bench",
            "no benchmark of problem",
            "^no benchmark of problem 'base', choose from d2d, ",
        ),
    ],
)
def test_a_room_that_is_none_is_refused_with_those_that_are(package, name, refusal, message):
    with pytest.raises(OptionError, match=message):
        room(package, "base", name, refusal)


def test_nobody_else_looks_for_modules_or_starts_python():
    """One way to find a family, one to start a process of Python."""
    allowed = {
        "pkgutil": {"radioopt/base/rooms.py"},
        "sys.executable": {
            "validation/process.py",
            "radioopt/numerics/workshop.py",
            "learning/flower/trainer.py",  # outlives who starts it
            "validation/loopback.py",  # finds Flower's commands beside it
        },
    }
    for package in ("radioopt", "validation", "learning"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            for what, files in allowed.items():
                if what not in text or str(path.relative_to(ROOT)) in files:
                    continue
                tree = ast.parse(text)
                assert what not in {
                    ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)
                }
                assert what not in {
                    alias.name
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Import)
                    for alias in node.names
                }
