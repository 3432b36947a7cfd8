"""Public docstrings: complete, and their defaults are the signature's."""

import ast
import inspect
import math
import re
from types import FunctionType

import pytest

import radioopt
from radioopt.base.quantity import Quantity

SKIPPED = {"self", "cls"}
MODULES = [
    radioopt,
    *(getattr(radioopt, name) for name in radioopt.__all__ if inspect.ismodule(getattr(radioopt, name))),
]


def public():
    """Every public function, class and method of a public class, by its dotted name."""
    found = {}
    for module in MODULES:
        names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
        for name in names:
            value = getattr(module, name)
            here = getattr(value, "__module__", None) or ""
            if not here.startswith("radioopt" if hasattr(module, "__all__") else module.__name__):
                continue
            if inspect.isroutine(value) or inspect.isclass(value):
                found[f"{module.__name__}.{name}"] = value
            for member, raw in vars(value).items() if inspect.isclass(value) else ():
                own = isinstance(raw, classmethod | staticmethod | FunctionType)
                inherited = any(hasattr(base, member) for base in value.__mro__[1:])  # documented there
                if own and not inherited and not member.startswith("_"):
                    found[f"{module.__name__}.{name}.{member}"] = getattr(value, member)
    return found


PUBLIC = public()


def section(doc, title):
    """Text of a numpydoc section."""
    match = re.search(rf"^{title}\n-+\n(.*?)(?=\n\n?^[A-Z][\w ]+\n-+$|\Z)", doc, re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


def entries(text):
    """Parameter entries as name: (type line, description)."""
    found = {}
    names = []
    for line in text.splitlines():
        if line and not line.startswith(" "):
            head, _, kind = line.partition(" : ")
            names = [name.strip().lstrip("*") for name in head.split(",")]
            found |= {name: [kind, ""] for name in names}
        else:
            for name in names:
                found[name][1] += " " + line.strip()
    return found


def stated(kind, description):
    """The default a docstring states, as text; None if it states none."""
    match = re.search(r"\bdefault (.+?)\)?$", kind) or re.search(
        r"\bDefault (\"[^\"]*\"|\([^)]*\)|[-\w.]*\w)", description
    )
    return match[1].strip("`") if match else None


def value_of(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"inf": math.inf}.get(text, text)


def complaints(name, function):
    doc = inspect.getdoc(function) or ""
    if not doc:
        return [f"{name}: no docstring"]
    documented = entries(section(doc, "Parameters"))
    if inspect.isclass(function) and not documented:  # made by other means, or an error
        return []
    given = inspect.signature(function).parameters
    parameters = {n: p for n, p in given.items() if n not in SKIPPED}
    found = []
    for missing in parameters.keys() - documented.keys():
        found.append(f"{name}: {missing} is not documented")
    for extra in documented.keys() - parameters.keys():
        found.append(f"{name}: {extra} is documented and does not exist")
    for parameter in parameters.keys() & documented.keys():
        default = parameters[parameter].default
        if isinstance(default, Quantity):
            default = inspect.Parameter.empty if default.default is None else default.default
        kind, description = documented[parameter]
        text = stated(kind, description)
        if not kind:  # "as in ..."
            continue
        if default is inspect.Parameter.empty:
            if text is not None:
                found.append(f"{name}: {parameter} is required, documented with default {text}")
        elif text is not None:
            if value_of(text) != default and text != str(default):
                found.append(f"{name}: {parameter} = {default!r}, documented as {text}")
        elif "optional" not in kind:
            found.append(f"{name}: {parameter} = {default!r}, documented as required")
        elif isinstance(default, bool | int | float):
            found.append(f"{name}: {parameter} = {default!r}, documented as optional without its value")
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_agrees_with_signature(name):
    assert complaints(name, PUBLIC[name]) == []


def test_disagreements_are_noticed():
    def function(a, b=1, c=0.5, d=2.0, e=None):
        """Do it.

        Parameters
        ----------
        a : float, default 3
            Number.
        b : int, default 2
            Number.
        c : float, optional
            Number.
        d : float, optional
            Number. Default 2.0: why not.
        f : float
            Number.
        """

    assert sorted(complaints("f", function)) == [
        "f: a is required, documented with default 3",
        "f: b = 1, documented as 2",
        "f: c = 0.5, documented as optional without its value",
        "f: e is not documented",
        "f: f is documented and does not exist",
    ]
