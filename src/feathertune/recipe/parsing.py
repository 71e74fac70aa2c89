"""A recipe as text: YAML without surprises, `key=value` changes to it, and what is wrong with it, in words."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from feathertune.errors import UserError, nearest


def load_yaml(text: str, where: str) -> Any:
    """Plain values alone: any tag that would make an object is refused. Raises UserError."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark is not None else where
        raise UserError(f"not valid YAML: {getattr(error, 'problem', error)}", where=place) from None
    except RecursionError:
        raise UserError("not valid YAML: nested too deeply", where=where) from None
    except (ValueError, LookupError, AttributeError) as error:  # PyYAML's own, on 2024-13-45, `!!int x`, `!!bool x`
        raise UserError(f"not valid YAML: a value that cannot be read ({error})", where=where) from None


def require_unique_keys(text: str, where: str) -> None:
    """YAML keeps the last of two equal keys: half of a section written twice would be lost without a word."""
    nodes, seen = [yaml.compose(text, Loader=yaml.SafeLoader)], set()
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode) and id(node) not in seen:  # an alias may lead back to where it came from
            seen.add(id(node))
            keys = set()
            for key_node, value_node in node.value:
                if key_node.value in keys:
                    place = f"{where}:{key_node.start_mark.line + 1}" if "\n" in text else where
                    raise UserError(f"the key {key_node.value!r} is given twice", where=place)
                keys.add(key_node.value)
                nodes.append(value_node)
        elif isinstance(node, yaml.SequenceNode) and id(node) not in seen:
            seen.add(id(node))
            nodes += node.value


def apply_override(values: dict[str, Any], override: str) -> str:
    """Set one `section.key=value` in place, and return its key. The value is YAML: `lora.targets=[query, value]`."""
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
    where = f"the override {override!r}"
    node[keys[-1]] = load_yaml(text, where)
    require_unique_keys(text, where)
    return ".".join(keys)


def explain(error: ValidationError, whole: type[BaseModel], text: str, overridden: list[str]) -> str:
    """Every problem of a `whole` on a line of its own: key, line in the file where it can be found, what is wrong."""
    problems = []
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        key = ".".join(path) or "recipe"
        line = _line_of(path, text)
        if any(f"{key}.".startswith(f"{override}.") for override in overridden):
            place = f"{key} (override)"
        else:
            place = f"{key} (line {line})" if line else key
        problems.append(f"{place}: {_message(whole, item['type'], path, item['input'], item['msg'])}")
    return "; ".join(problems) if len(problems) == 1 else "\n  " + "\n  ".join(problems)


def _message(whole: type[BaseModel], kind: str, path: list[str], value: Any, message: str) -> str:
    """What is wrong, for one who knows YAML but not pydantic."""
    if kind == "extra_forbidden":
        near = nearest(path[-1], list(_fields_at(whole, path[:-1])))
        return "there is no such key" + (f"; did you mean {near!r}?" if near else "")
    if kind == "missing":
        return "this key is required"
    if kind == "model_type":
        return "this is a section: it holds keys of its own"
    if kind == "string_type" and (value is None or isinstance(value, (bool, int, float, date))):
        read = {type(None): "null, as it does where nothing is written", date: "a date", datetime: "a time"}
        return f"this must be text, and YAML reads it as {read.get(type(value), repr(value))}; put it in quotes"
    return message.removeprefix("Value error, ")


def fix_for(error: ValidationError, whole: type[BaseModel]) -> str | None:
    """The keys that there are, where one was given that there is not."""
    for item in error.errors():
        if item["type"] == "extra_forbidden":
            path = [str(part) for part in item["loc"][:-1]]
            section = ".".join(path) or "a recipe"
            return f"The keys of {section}: {', '.join(_fields_at(whole, path))}."
    return None


def _fields_at(whole: type[BaseModel], path: list[str]) -> dict[str, Any]:
    """The fields of the section that `path` leads to."""
    model = whole
    for name in path:
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        section = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)  # `Section | None` too
        if section is None:
            return {}
        model = section
    return dict(model.model_fields)


def _line_of(path: list[str], text: str) -> int | None:
    """The 1-based line of the YAML text that holds the key at `path`, or None (an override, a missing key)."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = None
    for name in path:
        if not isinstance(node, yaml.MappingNode):
            return line
        for key_node, value_node in node.value:
            if key_node.value == name:
                line, node = key_node.start_mark.line + 1, value_node
                break
        else:
            return None
    return line
