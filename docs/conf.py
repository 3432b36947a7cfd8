"""How Sphinx makes the site: ``make docs`` writes it to build/site, to be read without a network.

Formulas are written as MathML, which browsers draw by themselves. The gallery lists the programs under examples, and
pages that are made from code (gallery, API) are written into docs/generated before Sphinx reads its sources.
"""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from pygments.lexers.special import TextLexer
from sphinx.util import logging

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

import radioopt  # noqa: E402

project = "radioopt"
author = "The radioopt authors"
copyright = "the radioopt authors; BSD-3-Clause"
version = release = radioopt.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
root_doc = "index"
exclude_patterns = ["generated/README.md"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
nitpicky = False
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

autodoc_typehints = "none"  # types are in the docstrings
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "radioopt"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}

GREEK = "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi|varpi|omega|Delta|Theta"
#: what the API reference lists, in this order: module and what it is for
MODULES = {
    "radioopt": "Problems, solutions, scenarios, sweeps",
    "radioopt.feel": "FEEL: batch sizes and time slots",
    "radioopt.fimi": "FIMI: synthetic data and radio resources",
    "radioopt.dtkd": "DT-KD: student models and places",
    "radioopt.d2d": "D2D: who shares data with whom",
    "radioopt.mix2fld": "Mix2FLD: slots, payloads and mixup",
    "radioopt.channel": "Channels",
    "radioopt.units": "Units",
    "radioopt.numerics": "Special functions",
    "validation": "Generic solvers",
    "learning": "Training",
    "learning.layers": "Layers",
    "learning.flower": "Flower",
}


def formula(latex: str, block: bool) -> str:
    """Return a formula as MathML; what is not understood is a warning, and so fails the build."""
    known = latex.replace(r"\textstyle", "").replace(r"\arg", r"\operatorname{arg}")
    found = convert(known, display="block" if block else "inline")
    if "\\" in found:
        logging.getLogger(__name__).warning("not understood: %s", latex)
    return found


def _inline(self: Any, node: nodes.Element) -> None:
    self.body.append(formula(node.astext(), False))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.Element) -> None:
    text = node.astext().strip()
    if "\\\\" in text or "&" in text:
        text = rf"\begin{{align*}}{text}\end{{align*}}"
    self.body.append(f'<div class="math">{formula(text, True)}</div>')
    raise nodes.SkipNode


def gallery() -> str:
    """Return the page of all examples: what each is for, its picture if there is one, and its program."""
    text = [
        "# Gallery",
        "",
        "Every program runs as it is: `python examples/NAME.py`. Those that draw save their pictures beside you.",
        "",
    ]
    for path in sorted((ROOT / "examples").glob("*.py")):
        program = path.read_text()
        told = (ast.get_docstring(ast.parse(program)) or "").strip()
        name, rest = told.partition("\n")[::2]
        title = name.split(":")[0].rstrip(".")
        text += [f"## {title}", "", name, "", *([rest.strip(), ""] if rest.strip() else [])]
        picture = HERE / "images" / f"{path.stem}.png"
        if picture.exists():
            text += [f"![{title}](../images/{picture.name})", ""]
        text += [
            f"```{{literalinclude}} ../../examples/{path.name}",
            ":language: python",
            "```",
            "",
        ]
    return "\n".join(text)


def _math(symbol: str) -> str:
    """Return a symbol as a formula: names of Greek letters, and indices of several letters upright."""
    if not symbol:
        return ""
    indexed = re.sub(r"([_^])([A-Za-z]{2,}|[A-Za-z0-9,]{2,})", r"\1{\\mathrm{\2}}", symbol)
    return "$" + re.sub(rf"(?<![A-Za-z\\{{])({GREEK})(?![A-Za-z])", r"\\\1", indexed) + "$"


def glossary() -> str:
    """Return the table of all quantities: symbol of the paper, name, unit, domain and meaning."""
    text = [
        "# Glossary",
        "",
        "Every number that goes into a problem or comes out of its solution, by its name in Python. Symbols are those",
        "of the paper; the pages of the problems name the equations.",
        "",
    ]
    for room in ("feel", "fimi", "dtkd", "d2d", "mix2fld"):
        family = importlib.import_module(f"radioopt.{room}")
        for name in family.__all__:
            made = getattr(family, name)
            if not (isinstance(made, type) and issubclass(made, (radioopt.Problem, radioopt.Solution))):
                continue
            asked = issubclass(made, radioopt.Problem)
            heads = ["name", "symbol", "unit", *(["domain"] if asked else []), "meaning"]
            text += [f"## {name}", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
            for field, told in made.quantities.items():
                domain = [told.domain.text] if asked else []
                cells = [f"`{field}`", _math(told.symbol), told.unit, *domain, told.description]
                text.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
            text.append("")
    return "\n".join(text)


def reference(module: str, title: str) -> str:
    """Return the page of a module: everything that its ``__all__`` names."""
    made = importlib.import_module(module)
    own = [name for name, value in vars(made).items() if getattr(value, "__module__", "") == module]
    names = getattr(made, "__all__", [name for name in own if not name.startswith("_")])
    text = [f"{module}: {title}", "=" * (len(module) + len(title) + 2), "", f".. py:module:: {module}", ""]
    for name in names:
        value = getattr(made, name)
        if type(value).__name__ == "module":
            continue
        kind = "class" if isinstance(value, type) else "function" if callable(value) else "data"
        text += [f".. auto{kind}:: {module}.{name}", *(["   :members:"] if kind == "class" else []), ""]
    return "\n".join(text)


def _generate(app: Any) -> None:
    """Write the pages that are made from code."""
    folder = HERE / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "gallery.md").write_text(gallery())
    (folder / "glossary.md").write_text(glossary())
    for module, title in MODULES.items():
        (folder / f"{module}.rst").write_text(reference(module, title))
    listed = [f"   {module}" for module in MODULES]
    (folder / "api.rst").write_text("\n".join(["API", "===", "", ".. toctree::", "", *listed, ""]))
    (folder / "changelog.md").write_text((ROOT / "CHANGELOG.md").read_text())


def _trim(app: Any, page: str, source: list[str]) -> None:
    """Leave out the empty line that ends an example for doctest."""
    source[0] = re.sub(r"\n\n```\n", "\n```\n", source[0])


def setup(app: Any) -> dict[str, bool]:
    """Let Sphinx know of the formulas and of the pages made from code."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.add_lexer("csv", TextLexer)
    app.connect("builder-inited", _generate)
    app.connect("source-read", _trim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
