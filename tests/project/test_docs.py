"""The pages under docs tell the truth: their examples run, their links lead somewhere, their tables are complete."""

import doctest
import re
from pathlib import Path

import pytest

from learning import catalog
from radioopt.scenario.laws import KINDS
from radioopt.scenario.sheets import UNITS
from radioopt.scenario.tables import File

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_run(page, tmp_path, monkeypatch):
    """Blocks of TOML and CSV are the files cell.toml and devices.csv."""
    text = page.read_text()
    monkeypatch.chdir(tmp_path)
    for table in vars(catalog).values():
        if isinstance(table, catalog.Names):  # names that a page gives to its own are forgotten
            monkeypatch.setattr(table, "_homes", dict(table._homes))
    for kind, name in (("toml", "cell.toml"), ("csv", "devices.csv")):
        for block in re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL):
            Path(name).write_text(block)
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), 0)
    report = []
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    doctest.DocTestRunner(optionflags=flags).run(examples, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        if not target.startswith(
            "generated/"
        ):  # those are made with the site, which follows its links itself
            assert (page.parent / target).exists(), target


def test_scenarios_names_every_key_law_and_unit():
    text = (DOCS / "scenarios.md").read_text()
    for table in ("cell", "radio", "devices"):
        for key in File.model_fields[table].annotation.known_keys():
            assert f"`{key}`" in text, key
    for kind in KINDS:
        assert f"`{{ {kind} = " in text
    for units in UNITS.values():
        for unit in units:
            assert f"{unit}`" in text, unit
