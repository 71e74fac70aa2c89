"""Typed, versioned JSON: what every JSON file in our folders is written and read through."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from feathertune.errors import UserError
from feathertune.system.files import read_json, write_json


class Part(BaseModel):
    """A part of a record. Unknown keys are ignored: other versions wrote them."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    def to_json(self) -> dict[str, Any]:
        """The content as dicts, lists and plain values. Keys that were not given are not written."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Record(Part):
    """The content of one JSON file.

    Attributes:
        FORMAT: the format number of the file. Raise it when older versions of Feathertune would misread the file. A
            file without a number has format 1.
    """

    FORMAT: ClassVar[int] = 2

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """The content of a file of an older format, as this version writes it."""
        return content

    @classmethod
    def of(cls, content: Any, *, where: str) -> Self:
        """The record with this content. Raises UserError if it has a later format or is damaged."""
        if not isinstance(content, dict):
            raise _damaged("it holds no JSON object", where)
        content = dict(content)
        number = content.pop("format", 1)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise _damaged("format: this must be a positive whole number", where)
        if number > cls.FORMAT:
            raise UserError(
                f"a later version of Feathertune wrote this file (format {number}, this version reads up to "
                f"{cls.FORMAT})",
                where=where,
                fix="Install a newer version of Feathertune.",
            )
        try:
            return cls.model_validate(content if number == cls.FORMAT else cls.upgraded(content))
        except ValidationError as error:
            raise _damaged(_first_problem(error), where) from None
        except (AttributeError, KeyError, TypeError):  # `upgraded` met another layout than a format 1 file has
            raise _damaged("it does not have the layout of its format", where) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file at `path`. Raises UserError if it is missing or damaged, or has a later format."""
        return cls.of(read_json(path), where=str(path))

    def write(self, path: Path) -> None:
        """Write to `path`, atomically."""
        write_json(path, {"format": self.FORMAT, **self.to_json()})


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    return f"it has no key {key!r}" if first["type"] == "missing" else f"{key}: {first['msg']}"


def _damaged(problem: str, where: str) -> UserError:
    return UserError(f"the file is damaged: {problem}", where=where)
