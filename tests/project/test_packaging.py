"""The files at the top level agree with each other."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIG["project"]
EXTRAS = PROJECT["optional-dependencies"]
#: extras for an environment of their own, as they need older packages than the others, and its versions
APART = {"flower", "dask", "bench"}


def pins(file):
    return {
        canonicalize_name(name): pin
        for name, _, pin in (
            line.partition("==")
            for line in (ROOT / file).read_text().splitlines()
            if not line.startswith("#")
        )
    }


PINS, FLOWER = pins("constraints.txt"), pins("constraints-flower.txt")
PEERS = pins("constraints-bench.txt")
DECLARED = [
    (Requirement(text), known)
    for known, groups in (
        (
            PINS,
            (
                PROJECT["dependencies"],
                CONFIG["build-system"]["requires"],
                *(EXTRAS[name] for name in sorted(EXTRAS.keys() - APART)),
            ),
        ),
        (FLOWER, (PROJECT["dependencies"], *(EXTRAS[name] for name in ("learning", "flower", "dask")))),
        (PINS | PEERS, (EXTRAS["bench"],)),
    )
    for group in groups
    for text in group
]


@pytest.mark.parametrize(("requirement", "known"), DECLARED, ids=lambda value: str(value)[:40])
def test_every_dependency_is_pinned_within_its_bounds(requirement, known):
    name = canonicalize_name(requirement.name)
    if name == PROJECT["name"]:
        assert requirement.extras <= EXTRAS.keys()
    else:
        assert requirement.specifier.contains(known[name])


def test_pins_name_one_public_release_each():
    # a local version such as 1.0+cpu exists on some machines only
    assert [
        pin
        for pin in (*PINS.values(), *FLOWER.values())
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)*(\.?(post|rc|b)[0-9]+)?", pin)
    ] == []


def test_all_holds_every_extra_that_is_not_for_developers_and_fits_the_others():
    (everything,) = map(Requirement, EXTRAS["all"])
    assert everything.extras == EXTRAS.keys() - {"all", "dev", "docs"} - APART


def test_the_version_is_the_same_everywhere():
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert citation[1] == version("radioopt") == PROJECT["version"]


@pytest.mark.parametrize("package", CONFIG["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
def test_packages_are_typed(package):
    assert (ROOT / package / "py.typed").exists()
