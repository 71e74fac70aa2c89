"""`--read KEY=VALUE`: how a file is read, by the keys of a recipe's `data`; and errors in these words.

Whoever reads files proposes lines of a recipe (`data.separator=';'`); `predict` takes them as options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, overload

from pydantic import ValidationError

from feathertune.data.formats.format import FileSettings
from feathertune.errors import UserError, nearest
from feathertune.recipe.parsing import explain
from feathertune.recipe.schema import DataSection
from feathertune.recipe.yaml_text import load_yaml

READ_KEYS = tuple(field.name for field in fields(FileSettings))
_ESCAPES = {"\\t": "\t", "tab": "\t"}
_KEY = re.compile(rf"""(['"]?)\bdata\.({"|".join(READ_KEYS)})\b""")
_SOURCE = re.compile(r"""(['"]?)\bdata\.source=""")
_TEXT = re.compile(r"""(['"]?)\bdata\.text(?:=|\b)""")


def read_settings(options: Sequence[str]) -> FileSettings:
    """The settings of `KEY=VALUE` options.

    Values are as they stand, so that `separator=|` needs no YAML; `columns` is a list, with or without brackets.

    Raises:
        UserError: an option has another form, another key, or a value that the key cannot have.
    """
    values: dict[str, Any] = {}
    for option in options:
        key, separator, value = option.partition("=")
        key = key.strip().removeprefix("data.")
        if not separator or key not in READ_KEYS:
            near = nearest(key, list(READ_KEYS))
            hint = f"; did you mean {near!r}?" if near and near != key else ""
            raise UserError(
                f"--read {option!r} is not of the form KEY=VALUE{hint}",
                fix=f"The keys: {', '.join(READ_KEYS)}. For example: --read separator=';'",
            )
        values[key] = _value(key, value)
    try:
        section = DataSection.model_validate({"source": "-", **values})
    except ValidationError as error:
        raise UserError(explain(error, DataSection, values, tuple(values)), where="--read") from None
    return FileSettings(**{key: getattr(section, key) for key in READ_KEYS})


def _value(key: str, value: str) -> object:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    if key == "header" or quoted or (key == "columns" and value.startswith("[")):
        return load_yaml(value, f"--read {key}={value}")
    if key == "columns":
        return [name.strip() for name in value.split(",")]
    return _ESCAPES.get(value, value) if key in ("separator", "quote", "escape") else value


@contextmanager
def rewording() -> Iterator[None]:
    """Errors in here propose the options of `predict`."""
    try:
        yield
    except UserError as error:
        of_key = error.where is not None and error.where.startswith("data.") and error.where[5:] in READ_KEYS
        where = reworded(error.where) if of_key else error.where
        raise UserError(reworded(error.what), where=where, fix=reworded(error.fix)) from None


@overload
def reworded(text: str) -> str: ...
@overload
def reworded(text: None) -> None: ...


def reworded(text: str | None) -> str | None:
    """A sentence that proposes keys of a recipe, with the options of `predict` in their place."""
    if text is None or "data." not in text:
        return text
    text = text.replace("data.on_bad_row=skip", "--on-bad-row skip")
    text = _SOURCE.sub(r"--input \1", text)
    text = _TEXT.sub(r"--text-column \1", text)
    return _KEY.sub(r"--read \1\2", text)
