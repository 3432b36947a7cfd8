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
from collections.abc import Mapping
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

GREEK = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi|varpi|omega"
    "|Delta|Theta|Sigma"
)
#: families of problems: name, and the page of its training
FAMILIES = {
    "feel": ("FEEL", "training_feel"),
    "fimi": ("FIMI", "training_fimi"),
    "dtkd": ("DT-KD", "training_dtkd"),
    "d2d": ("D2D", "training_d2d"),
    "mix2fld": ("Mix2FLD", "learning"),
}
#: the gallery: name, title and programs of each chapter
CHAPTERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "start",
        "From numbers to an allocation",
        ("from_arrays", "from_csv", "scenario", "devices_as_data", "report"),
    ),
    (
        "feel",
        "FEEL: batch sizes and time slots",
        (
            "own_slots",
            "own_constraint",
            "one_more_mhz",
            "feel_fit_training_time",
            "ten_thousand_draws",
            "train",
        ),
    ),
    ("fimi", "FIMI: synthetic data and radio", ("fimi_tradeoffs", "fimi_how_many", "fimi_filling")),
    ("dtkd", "DT-KD: student models and places", ("dtkd_who_trains_what", "dtkd_training")),
    (
        "d2d",
        "D2D: who shares data with whom",
        (
            "d2d_graphs",
            "d2d_hundred_thousand",
            "d2d_unlabelled",
            "d2d_training",
            "d2d_unlabelled_training",
            "d2d_sensors",
            "d2d_peers",
        ),
    ),
    ("mix2fld", "Mix2FLD: an uplink too weak for weights", ("mix2fld_training",)),
    ("sweeps", "Sweeps", ("sweep", "training_sweep")),
    (
        "training",
        "Training",
        (
            "federated_schemes",
            "unlike_data",
            "client_sampling",
            "stragglers",
            "channel_trace",
            "own_data",
            "generators",
            "resume_and_compare",
            "loggers",
            "training_engines",
        ),
    ),
    ("layers", "Layers", ("learn_through_allocation", "inverse_design", "meta_gradient")),
)
#: what programs draw, under docs/images
PICTURES = {
    "d2d_graphs": "d2d",
    "d2d_unlabelled": "d2d_unlabelled",
    "d2d_unlabelled_training": "d2d_tsne",
    "fimi_how_many": "fimi_how_many",
    "fimi_tradeoffs": "fimi_tradeoffs",
    "generators": "generated_digits",
    "resume_and_compare": "resume_and_compare",
    "sweep": "sweep",
    "ten_thousand_draws": "ten_thousand_draws",
    "training_sweep": "training_sweep",
}
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
    """Return the page of all examples by chapter: what each does, its picture if there is one, and its program."""
    text = [
        "---",
        "tocdepth: 3",
        "---",
        "# Gallery",
        "",
        "Every program runs as it is, from the folder of the repository, by the command that stands with it. Those",
        "that draw save their pictures in the working directory, or say where. *Program* opens the code.",
        "",
    ]
    missing = {path.stem for path in (ROOT / "examples").glob("*.py")}.symmetric_difference(
        stem for _, _, stems in CHAPTERS for stem in stems
    )
    if missing:
        logging.getLogger(__name__).warning(
            "CHAPTERS of docs/conf.py and examples: %s", ", ".join(sorted(missing))
        )
    for name, words, stems in CHAPTERS:
        text += [f"(gallery-{name})=", f"## {words}", ""]
        for stem in stems:
            text += _example(ROOT / "examples" / f"{stem}.py")
    return "\n".join(text)


def _example(path: Path) -> list[str]:
    """Return the lines on one program: its docstring, without its usage, is above the command; the code is below."""
    program = path.read_text()
    tree = ast.parse(program)
    title, _, rest = (ast.get_docstring(tree) or "").partition("\n")
    usage = re.search(rf"^ *(python examples/{path.stem}\.py.*)\n?", rest, re.MULTILINE)
    command = usage[1] if usage else f"python examples/{path.name}"
    told = (rest.replace(usage[0], "") if usage else rest).strip()
    picture = PICTURES.get(path.stem)
    begin = (tree.body[0].end_lineno or 0) + 2
    return [
        f"(example-{path.stem})=",
        f"### {title.rstrip('.')}",
        "",
        *([told[0].upper() + told[1:], ""] if told else []),
        f"    {command}",
        "",
        *([f"![{title}](../images/{picture}.png)", ""] if picture else []),
        "```{raw} html",
        "<details><summary>Program</summary>",
        "```",
        f"```{{literalinclude}} ../../examples/{path.name}",
        ":language: python",
        f":lines: {begin}-",
        "```",
        "```{raw} html",
        "</details>",
        "```",
        "",
    ]


def _math(symbol: str) -> str:
    """Return a symbol as a formula: Greek letters by their names, other words upright."""

    def word(found: re.Match[str]) -> str:
        name = found[0]
        return (
            f"\\{name} " if re.fullmatch(GREEK, name) else name if len(name) == 1 else f"\\mathrm{{{name}}}"
        )

    braced = re.sub(r"([_^])(-?[A-Za-z0-9]+(?:,[A-Za-z0-9]+)*)", r"\1{\2}", symbol)
    return f"${re.sub('[A-Za-z]+', word, braced)}$" if symbol else ""


def glossary() -> str:
    """Return the tables of all quantities: symbol, name, unit, domain and meaning."""
    text = [
        "# Glossary",
        "",
        "Every number that goes into a problem or comes out of its solution, by its name in Python. Symbols are those",
        "of the pages of the problems, mostly the papers'. These pages name the equations.",
        "",
        "Every solution also has `bound` (a proven bound on the objective, in its unit), `gap` (their relative",
        "difference), `iterations` and `status_code`: see [what a solution says](../units.md#what-a-solution-says).",
        "",
    ]
    for room, (family, _) in FAMILIES.items():
        text += [f"## {family}", "", f"The problem: [{family}](../{room}.md).", ""]
        package = importlib.import_module(f"radioopt.{room}")
        for name in package.__all__:
            made = getattr(package, name)
            if not (isinstance(made, type) and issubclass(made, (radioopt.Problem, radioopt.Solution))):
                continue
            asked = issubclass(made, radioopt.Problem)
            heads = ["name", "symbol", "unit", *(["domain"] if asked else []), "meaning"]
            text += [f"### {name}", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
            if not asked:
                text.append(f"| `objective` | | {made.objective_unit} | {made.objective_name} |")
            for field, told in made.quantities.items():
                if not asked and field in radioopt.Solution.quantities:
                    continue
                domain = [told.domain.text] if asked else []
                unit = told.unit.replace("^2", "<sup>2</sup>")
                cells = [f"`{field}`", _math(told.symbol), unit, *domain, told.description]
                text.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
            text.append("")
    return "\n".join(text)


def reference(module: str, title: str) -> str:
    """Return the page of a module: what it is for, where to read on, and everything that it names."""
    made = importlib.import_module(module)
    within = [
        name for name, value in vars(made).items() if getattr(value, "__module__", "").startswith(module)
    ]
    names = getattr(made, "__all__", [name for name in within if not name.startswith("_")])
    about = (made.__doc__ or "").strip().partition("\n\n")[0].removeprefix("radioopt: ")
    text = [
        f"{module}: {title}",
        "=" * (len(module) + len(title) + 2),
        "",
        f".. py:module:: {module}",
        "",
        about,
        "",
    ]
    room = module.removeprefix("radioopt.")
    if room in FAMILIES:
        text += _family(room)
    for name in names:
        value = getattr(made, name)
        home = getattr(value, "__module__", "")
        if type(value).__name__ == "module" or any(
            home.startswith(other) for other in MODULES if other.startswith(f"{module}.")
        ):
            continue  # they have a page of their own
        if isinstance(value, Mapping):  # names that a user may write
            known = ", ".join(f"``{key}``" for key in value)
            own = f'. Your own gets one by ``{module}.{name}["mine"] = mine``' if module == "learning" else ""
            text += [f".. py:data:: {module}.{name}", "", f"   Names: {known}{own}.", ""]
            continue
        kind = "class" if isinstance(value, type) else "function" if callable(value) else "data"
        fields = ", ".join(getattr(value, "_fields", ()))  # of a named tuple, whose members say nothing
        members = ["   :members:", *([f"   :exclude-members: {fields}"] if fields else [])]
        text += [f".. auto{kind}:: {module}.{name}", *(members if kind == "class" else []), ""]
    return "\n".join(text)


def _family(room: str) -> list[str]:
    """Return what the page of a family says first: where to read on, and its methods."""
    _, training = FAMILIES[room]
    text = [
        f"Read on: :doc:`the problem and the corrections to its paper </{room}>`, :ref:`examples <gallery-{room}>`, "
        f":doc:`training </{training}>`, :doc:`what of the paper reproduces </reproduction_{room}>`.",
        "",
        "Every problem has the methods of :class:`radioopt.Problem`, such as :meth:`~radioopt.Problem.solve` and "
        ":meth:`~radioopt.Problem.judge`, every solution those of :class:`radioopt.Solution`, such as "
        ":meth:`~radioopt.Solution.verify` and ``sensitivity``.",
        "",
        '``problem.solve("METHOD", OPTION=...)`` takes one of these methods; the first is the default.',
        "",
    ]
    for family in radioopt.families():
        if family != room and not family.startswith(f"{room}-"):
            continue
        problem = radioopt.problem_class(family)
        heads = (f":class:`~radioopt.{room}.{problem.__name__}`", "exact", "options", "what it does")
        rows = [heads]
        for method in problem.methods.values():
            options = ", ".join(f"``{option}``" for option in method.options)
            rows.append((f'``"{method.name}"``', "yes" if method.exact else "no", options, method.summary))
        text += [".. list-table::", "   :header-rows: 1", "   :widths: 26 8 26 40", ""]
        text += [f"   {'  ' if i else '* '}- {cell}" for row in rows for i, cell in enumerate(row)] + [""]
    return text


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
    head = [
        "API",
        "===",
        "",
        "Names that are public, by module; the :ref:`index <genindex>` has them in the order of letters.",
        "",
    ]
    (folder / "api.rst").write_text("\n".join([*head, ".. toctree::", "   :maxdepth: 2", "", *listed, ""]))
    (folder / "changelog.md").write_text((ROOT / "CHANGELOG.md").read_text())


def _trim(app: Any, page: str, source: list[str]) -> None:
    """Leave out the empty line that ends an example for doctest; programs lead to their place in the gallery."""
    text = re.sub(r"\n\n```\n", "\n```\n", source[0])
    text = re.sub(r"\]\(\.\./examples/(\w+)\.py\)", r"](#example-\1)", text)
    source[0] = re.sub(r"(?<!\[)`examples/(\w+)\.py`", r"[`examples/\1.py`](#example-\1)", text)


def setup(app: Any) -> dict[str, bool]:
    """Let Sphinx know of the formulas and of the pages made from code."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.add_lexer("csv", TextLexer)
    app.connect("builder-inited", _generate)
    app.connect("source-read", _trim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
