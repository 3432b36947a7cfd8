"""The mutation run: what is changed and where, and that whatever survived has an answer."""

import ast
import json

from validation import mutation
from validation.mutation import ROOT, STORED, Mutant, choose, mutants


def test_numbers_signs_and_comparisons_are_changed_and_nothing_else():
    source = '''@kernel("a", 1)
def f(x: Array[1], n=0) -> Array[2]:
    """Text with 1 + 1 < 3."""
    y: Final[3] = -x
    y += 2.5
    return y if x >= n and x != 7 else x[1:] / 2
'''
    found = [(one.line, one.before, one.after) for one in mutants("a.py", source)]
    assert found == [
        (2, "0", "1"),
        (4, "-", "+"),
        (5, "+", "-"),
        (5, "2.5", "5.0"),
        (6, ">=", ">"),
        (6, ">=", "<="),
        (6, "!=", "=="),
        (6, "7", "8"),
        (6, "1", "2"),
        (6, "/", "*"),
        (6, "2", "3"),
    ]


def test_a_change_replaces_its_place_alone_in_a_line_with_other_letters():
    line = "λ = 1.0  # η < 1.0\n"
    (one,) = mutants("a.py", line)
    assert one.applied(line) == "λ = 2.0  # η < 1.0\n"


def test_places_are_chosen_by_the_seed_and_in_every_file():
    chosen = choose(120, 0)
    assert chosen == choose(120, 0) != choose(120, 1)
    assert len(set(chosen)) == 120
    every = {path.relative_to(ROOT).as_posix() for pattern in mutation.FILES for path in ROOT.glob(pattern)}
    assert {one.file for one in chosen} == every
    for one in chosen:
        ast.parse(one.applied((ROOT / one.file).read_text()))
    known = {one.key for one in chosen[:40]}
    assert not known & {one.key for one in choose(200, 0, known)}


def test_the_tests_of_a_family_begin_with_those_that_notice_most():
    assert mutation.tests_of("feel", ROOT)[:2] == [
        "tests/feel/test_certificate.py",
        "tests/feel/test_optimality.py",
    ]
    assert Mutant("radioopt/d2d/clusters/certificate.py", 1, 0, "1", "2").tests == "d2d"


def test_a_change_is_taken_back_and_what_noticed_is_named(tmp_path, monkeypatch):
    path = tmp_path / "radioopt" / "feel" / "kernel.py"
    path.parent.mkdir(parents=True)
    path.write_text("x = 1\n")
    seen = []

    def run(folder, mutant, costs):
        seen.append((path.read_text(), mutant.family, costs))
        return "tests/feel/test_kernel.py::test_x"

    monkeypatch.setattr(mutation, "run", run)
    costs = {"tests/feel/test_kernel.py::test_x": 0.1}
    found = mutation.attempt(Mutant("radioopt/feel/kernel.py", 1, 4, "1", "2"), tmp_path, costs)
    assert seen == [("x = 2\n", "feel", costs)]
    assert path.read_text() == "x = 1\n"
    assert (found["outcome"], found["by"]) == ("caught", "tests/feel/test_kernel.py::test_x")
    monkeypatch.setattr(mutation, "run", lambda *_: "")
    found = mutation.attempt(Mutant("radioopt/feel/kernel.py", 1, 4, "1", "2"), tmp_path, costs)
    assert (found["outcome"], found["by"]) == ("survived", "")


def test_whatever_survived_has_an_answer():
    stored = json.loads(STORED.read_text())
    assert stored
    assert [
        key for key, row in stored.items() if row["outcome"] == "survived" and not row.get("answer")
    ] == []
