"""Typed, versioned JSON: what every JSON file in a folder of ours is written and read through."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from feathertune.errors import UserError
from feathertune.system.files import read_json, write_json


class Part(BaseModel):
    """A part of a record. Keys that are not known here are those of other versions, and are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    def to_json(self) -> dict[str, Any]:
        """The content in dicts, lists and plain numbers; keys that were left out stay out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Record(Part):
    """The content of one JSON file.

    Attributes:
        FORMAT: the file's format number. It rises when older versions of Feathertune would misread the file. Files
            without a number are of format 1.
    """

    FORMAT: ClassVar[int] = 2

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """The content of a file of an older format as this version has it."""
        return content

    @classmethod
    def of(cls, content: Any, *, where: str) -> Self:
        """The record with this content. Raises UserError where it is of a later format, or damaged."""
        if not isinstance(content, dict):
            raise UserError("the file holds no JSON object: it is damaged", where=where)
        content = dict(content)
        number = content.pop("format", 1)
        if not isinstance(number, int) or number > cls.FORMAT:
            raise UserError(
                f"the file was written by a later version of Feathertune (format {number}; this version reads up to "
                f"{cls.FORMAT})",
                where=where,
                fix="pip install -U feathertune",
            )
        try:
            return cls.model_validate(cls.upgraded(content) if number < cls.FORMAT else content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            problem = f"the file has no {place!r}" if first["type"] == "missing" else f"{place}: {first['msg']}"
            raise UserError(f"{problem}: it is damaged", where=where) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file at `path`. Raises UserError where it is missing, damaged, or of a later format."""
        return cls.of(read_json(path), where=str(path))

    def write(self, path: Path) -> None:
        """Write to `path`, atomically."""
        write_json(path, {"format": self.FORMAT, **self.to_json()})
