"""From a scenario's configuration to its tables, what each family adds included, or a line for each mistake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError, create_model

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import shorten
from radioopt.scenario.hooks import has_hook, hook
from radioopt.scenario.tables import At, File, Table


def read(config: Mapping[str, Any]) -> tuple[File, dict[str, Table]]:
    """Validate a whole configuration.

    Parameters
    ----------
    config : mapping
        Tables by name, as in a file.

    Returns
    -------
    file : File
        The tables every scenario has.
    problems : dict of str to Table
        The settings of each family that has a table.

    Raises
    ------
    ProblemError
        One line for each mistake: the key, what is expected, what was given.
    """
    found = [key for key in config if isinstance(key, str) and has_hook(key)]
    fields: dict[str, Any] = {family: (hook(family).Settings, ...) for family in found}
    model = create_model("File", __base__=File, **fields)
    try:
        file = model.model_validate(config)
    except ValidationError as error:
        lines = (_explained(config, dict(details)) for details in error.errors(include_url=False))
        raise ProblemError("\n".join(lines)) from None
    return file, {family: getattr(file, family) for family in found}


def with_files(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Say where files are that a family's table names, which are beside the scenario."""
    found = dict(config)
    for family in config:
        names = getattr(hook(family), "FILES", ()) if isinstance(family, str) and has_hook(family) else ()
        table = config[family]
        for name in names:
            if isinstance(table, Mapping) and isinstance(table.get(name), str):
                found[family] = table = {**table, name: str(folder / table[name])}
    return found


def _explained(config: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """One line about one pydantic error: ``table.key: expected ..., got ...``."""
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    path: list[str] = []
    inside: Any = config
    for part in details["loc"]:
        if isinstance(inside, Mapping) and part in inside:
            inside = inside[part]
            path.append(str(part))
        elif kind == "missing" and part == details["loc"][-1]:  # any other part is the tag of a union
            path.append(str(part))
    cause = context.get("error")
    if isinstance(cause, At):
        path.append(cause.key)
        text = str(cause)
    elif cause is not None:
        text = str(cause)
    elif kind == "missing":
        text = "missing"
    elif kind == "union_tag_not_found":
        path.append(context["discriminator"].strip("'"))
        text = "missing"
    elif kind == "union_tag_invalid":
        path.append(context["discriminator"].strip("'"))
        text = f"expected {context['expected_tags'].replace(', ', ' or ')}, got {context['tag']!r}"
    elif kind == "literal_error":
        text = f"expected {context['expected']}, got {shorten(given)}"
    elif kind in ("model_type", "model_attributes_type"):
        text = f"expected a table, got {shorten(given)}"
    elif kind == "bool_type":
        text = f"expected true or false, got {shorten(given)}"
    elif kind == "string_type":
        text = f"expected text, got {shorten(given)}"
    else:
        text = f"{details['msg']}, got {shorten(given)}"
    return ": ".join([".".join(path)] * bool(path) + [text])
