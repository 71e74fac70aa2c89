"""A recipe's values: `key=value` overrides, and what is wrong with them, in words."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from feathertune.errors import UserError, nearest
from feathertune.recipe.old_names import BOTH_NAMES, new_key, spellings
from feathertune.recipe.yaml_text import Mapping, load_yaml


def apply_override(values: dict[str, Any], override: str) -> str:
    """Set one `section.key=value` in place, and return its key by its name of today.

    The value is YAML: `lora.targets=[query, value]`. It replaces a value given by the key's old name, and the other way
    round.

    Raises:
        UserError: the override has another form, its value is not YAML, or it sets a key of something that has none.
    """
    key, separator, text = override.partition("=")
    keys = key.strip().split(".")
    if not separator or not all(keys):
        raise UserError(f"the override {override!r} is not of the form key=value", fix="For example: training.epochs=3")
    node = values
    for depth, name in enumerate(keys[:-1], start=1):
        if node.get(name) is None:
            node[name] = {}
        node = node[name]
        if not isinstance(node, dict):
            raise UserError(f"the override {override!r} sets a key of {'.'.join(keys[:depth])}, which is no section")
    value = _character(keys, text) or load_yaml(text, f"the override {override!r}")
    for spelling in spellings(keys[-1]):
        node.pop(spelling, None)
    node[keys[-1]] = value
    return new_key(".".join(keys))


def _character(keys: Sequence[str], text: str) -> str | None:
    """The value of a key of one character, such as `data.separator=|`, of which YAML would make something else."""
    if keys[0] != "data" or keys[-1] not in ("separator", "quote", "escape"):
        return None
    return {"tab": "\t", "\\t": "\t"}.get(text, text if len(text) == 1 else None)


def typed(key: str, value: str) -> str:
    """`key=value` as it is typed in a shell: in quotes where the shell or YAML would read something else."""
    try:
        plain = load_yaml(value, key) == value
    except UserError:
        plain = False
    return shlex.quote(f"{key}={value if plain else json.dumps(value, ensure_ascii=False)}")


def typed_list(key: str, values: Sequence[str]) -> str:
    """`key=[a, b]` as it is typed in a shell, every value read as the text that it is."""
    return shlex.quote(f"{key}=[{','.join(map(_in_a_list, values))}]")


def typed_rating(column: str, at_least: str) -> str:
    """The override that makes labels of a rating, as it is typed in a shell: it replaces a column of labels."""
    return shlex.quote(f"data.label={{rating: {_in_a_list(column)}, at_least: {at_least}}}")


def _in_a_list(value: str) -> str:
    try:
        plain = load_yaml(f"[{value}]", "") == [value]
    except UserError:
        plain = False
    return value if plain else json.dumps(value, ensure_ascii=False)


def explain(error: ValidationError, whole: type[BaseModel], values: Any, overridden: Sequence[str]) -> str:
    """Every problem of a `whole` on a line of its own: key, line of the file if known, what is wrong.

    Args:
        error: what pydantic found wrong.
        whole: the model that was validated.
        values: what it was validated from, as `load_yaml` gave it.
        overridden: the keys that overrides have set.
    """
    problems = []
    for details in error.errors():
        path = [str(part) for part in details["loc"]]
        if details["type"] == BOTH_NAMES:
            path.append(details["ctx"]["old"])
        key = ".".join(path) or "recipe"
        problems.append(f"{key}{_place(path, values, overridden)}: {_message(whole, details, path)}")
    return "; ".join(problems) if len(problems) == 1 else "\n  " + "\n  ".join(problems)


def fix_for(error: ValidationError, whole: type[BaseModel]) -> str | None:
    """The keys that exist, if one was given that does not."""
    for details in error.errors():
        if details["type"] == "extra_forbidden":
            path = [str(part) for part in details["loc"][:-1]]
            section = ".".join(path) or "a recipe"
            return f"The keys of {section}: {', '.join(_fields_at(whole, path))}."
    return None


def _place(path: Sequence[str], values: Any, overridden: Sequence[str]) -> str:
    """Where the key at `path` was given, in brackets; nothing if it is missing."""
    key = new_key(".".join(path))
    line, name = _line_of(path, values)
    old = f"by its old name `{name}`" if path and name != path[-1] and name in spellings(path[-1]) else ""
    if any(f"{key}.".startswith(f"{override}.") for override in overridden):
        where = "override"
    else:
        where = f"line {line}" if line else ""
    inside = ", ".join(part for part in (where, old) if part)
    return f" ({inside})" if inside else ""


def _line_of(path: Sequence[str], values: Any) -> tuple[int | None, str]:
    """The line on which the key at `path` was given, None if unknown, and the name that it has there.

    Where the path leads into a list, the line and name are those of the list's key.
    """
    line, given = None, ""
    for name in path:
        if not isinstance(values, dict):
            return line, given
        known = [spelling for spelling in (name, *spellings(name)) if spelling in values]
        lines = values.lines if isinstance(values, Mapping) else {}
        given = known[0] if known else name
        line = lines.get(given)
        if not known and line is None:
            return None, given
        values = values.get(given)
    return line, given


def _message(whole: type[BaseModel], details: ErrorDetails, path: Sequence[str]) -> str:
    """What is wrong, for someone who knows YAML but not pydantic."""
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        near = nearest(path[-1], list(_fields_at(whole, path[:-1])))
        return "there is no such key" + (f"; did you mean {near!r}?" if near else "")
    if kind == "missing":
        return "this key is required"
    if kind == "model_type":
        return "this is a section: it holds keys of its own"
    if kind == "string_type" and (value is None or isinstance(value, (bool, int, float, date))):
        names = {type(None): "null, as it does where nothing is written", date: "a date", datetime: "a time"}
        return f"this must be text, and YAML reads it as {names.get(type(value), repr(value))}; put it in quotes"
    return details["msg"].removeprefix("Value error, ")


def _fields_at(whole: type[BaseModel], path: Sequence[str]) -> dict[str, Any]:
    """The fields of the section that `path` leads to."""
    model = whole
    for name in path:
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        section = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)  # `Section | None` too
        if section is None:
            return {}
        model = section
    return {name: field for name, field in model.model_fields.items() if not field.exclude}
