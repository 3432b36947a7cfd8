"""The keys that a scenario may have, with unit, domain and default; and shipped scenarios with a word on every key."""

from __future__ import annotations

import inspect
import math
import re
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from radioopt.base.errors import OptionError, suggestion
from radioopt.base.latex import words_and_unit
from radioopt.base.problem import problem_class
from radioopt.base.quantity import Domain
from radioopt.scenario.changes import models
from radioopt.scenario.hooks import has_hook
from radioopt.scenario.laws import Law, Number, Of
from radioopt.scenario.tables import File, Table

if TYPE_CHECKING:
    import pandas as pd

#: characters of a meaning that may stand whole
MOST = 80


def scenario_keys(*tables: str) -> pd.DataFrame:
    """Tabulate the keys of tables of a scenario.

    Parameters
    ----------
    *tables : str
        "cell", "radio", "devices", or problem families; those three by default.

    Returns
    -------
    pandas.DataFrame
        A row per key, indexed by ``table.key``: ``unit``, ``domain``, ``default`` ("required" where there is none),
        ``per`` ("device", "draw", or "" for what is never drawn) and ``meaning``.

    Raises
    ------
    OptionError
        If there is no such table.

    Examples
    --------
    >>> keys = scenario_keys("fimi")
    >>> keys.loc["fimi.max_round_latency_s", ["unit", "domain", "default"]].tolist()
    ['s', '> 0', 'required']
    """
    import pandas as pd

    rows: dict[str, dict[str, str]] = {}
    for table in tables or ("cell", "radio", "devices"):
        kinds = _kinds(table)
        for kind in kinds:
            meanings = (_meanings(problem_class(table)) if has_hook(table) else {}) | _meanings(kind)
            for name, row in _rows(table, kind, meanings):
                if len(kinds) > 1 and not all(name in other.model_fields for other in kinds):
                    row["meaning"] += f" ({_told_apart(kind)})"
                before = rows.get(f"{table}.{name}")
                if before is not None and before["domain"] != row["domain"] and "one of" in before["domain"]:
                    row["domain"] = f"{before['domain']}, {row['domain'].removeprefix('one of ')}"
                rows[f"{table}.{name}"] = row
    frame = pd.DataFrame.from_dict(
        rows, orient="index", columns=["unit", "domain", "default", "per", "meaning"]
    )
    return frame.rename_axis("key")


def commented(text: str) -> str:
    """Return a scenario's TOML text with a comment on every key that has none.

    Parameters
    ----------
    text : str
        What a file holds.

    Returns
    -------
    str
        The same configuration; a comment has the meaning of the key and its unit.
    """
    config = tomllib.loads(text)
    known = scenario_keys("cell", "radio", "devices", *(name for name in config if has_hook(name)))
    lines, table = [], ""
    for line in text.splitlines():
        heading = re.match(r"\[([\w.-]+)\]", line)
        table = heading.group(1) if heading else table
        key = re.match(r"(\w+)\s*=", line)
        name = f"{table}.{key.group(1)}" if key else ""
        if key and "#" not in line and name in known.index:
            row = known.loc[name]
            unit = f" [{row['unit']}]" if row["unit"] not in ("", "1") else ""
            line = f"{line:<41} # {row['meaning']}{unit}"
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def _kinds(table: str) -> list[type[Table]]:
    """Return the models that a table may be."""
    known = models({table: {}}) if has_hook(table) else models({})
    if table not in known:
        names = ["cell", "radio", "devices", *(name for name in File.known_keys() if has_hook(name))]
        raise OptionError(f"no table [{table}] in a scenario{suggestion(table, names)}")
    return known[table]


def _told_apart(kind: type[Table]) -> str:
    """Say what tells a table of a union from the others, as compute = "gpu"."""
    for name, field in kind.model_fields.items():
        if get_origin(field.annotation) is Literal and field.is_required():
            return f'{name} = "{get_args(field.annotation)[0]}"'
    return kind.__name__


def _rows(table: str, kind: type[Table], meanings: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    quantities = problem_class(table).quantities if has_hook(table) else {}
    for name, field in kind.model_fields.items():
        law = next((m for m in field.metadata if isinstance(m, Of)), None)
        number = next((m for m in field.metadata if isinstance(m, Number)), None)
        default = "required" if field.is_required() else _text(field.default)
        per, meaning = "", meanings.get(name, "")
        _, unit = words_and_unit(name)  # of a key that is no quantity of a problem
        if law is not None:
            quantity = law.quantity
            unit, domain = quantity.unit, _domain(quantity.domain, law.plausible)
            per, meaning = "device" if quantity.axes else "draw", quantity.description
            if default == "none" and name in quantities and quantities[name].default is not None:
                default = _text(quantities[name].default)
        elif number is not None:
            domain = ("whole " if number.whole else "") + _domain(number.domain, number.plausible)
        else:
            choices = [c for c in _choices(field.annotation) if c is not None]
            domain = f"one of {', '.join(map(_text, choices))}" if choices else _kind_words(field.annotation)
        yield name, {"unit": unit, "domain": domain, "default": default, "per": per, "meaning": meaning}


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in _choices(part))


def _kind_words(annotation: Any) -> str:
    text = str(annotation)
    if text.startswith(("list[", "tuple[")):
        return (
            "a list of whole numbers"
            if "int" in text
            else "a list of texts"
            if "str" in text
            else "a list of numbers"
        )
    words = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
    return next((word for name, word in words.items() if name in text), "text or a table")


def _domain(domain: Domain, plausible: Any) -> str:
    return domain.text if plausible is None else f"{plausible.low:.2g} to {plausible.high:.2g}"


def _text(value: Any) -> str:
    if value is None or value == math.inf:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Law):
        ends = ", ".join(f"{number:.4g}" for number in value.values)
        return ends if value.kind == "constant" else f"{{ {value.kind} = [{ends}] }}"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _meanings(kind: type) -> dict[str, str]:
    """Read what the docstrings of a table and its bases say of its keys: the first sentence on each."""
    text = "\n\n".join(inspect.cleandoc(vars(base).get("__doc__") or "") for base in reversed(kind.__mro__))
    found: dict[str, str] = {}
    for names, words in re.findall(r"^([\w, ]+) : .*\n((?:    .*\n?)+)", text, re.MULTILINE):
        sentence = " ".join(words.split())
        sentence = re.split(r"(?<=[^.]{3})[.;:](?:\s|$)", sentence, maxsplit=1)[0]
        plain = re.sub(r" (in )?\[[^\]]*\]| (>=|>) 0\b|:data:|radioopt\.channel\.|[`*]", "", sentence).strip()
        if len(plain) > MOST:  # what comes after a comma is of detail
            plain = re.split(r", | \(", plain, maxsplit=1)[0]
        for name in names.split(","):
            found[name.strip()] = plain[:1].lower() + plain[1:]
    return found
