"""The base of all sections of a recipe: frozen, no unknown keys, old key names accepted, booleans are not numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from feathertune.recipe.old_names import rename_keys


class Section(BaseModel):
    """A section: a mapping of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _old_keys(cls, values: Any) -> Any:
        return rename_keys(values, cls.model_fields) if isinstance(values, Mapping) else values

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, field: ValidationInfo) -> Any:
        """Refuse true for a number: it would count as 1, and YAML reads `yes` and `on` as true."""
        if isinstance(value, bool):
            annotation = cls.model_fields[str(field.field_name)].annotation
            kinds = {getattr(kind, "__origin__", kind) for kind in (annotation, *get_args(annotation))}
            if kinds & {int, float} and bool not in kinds:
                raise ValueError(f"must be a number; YAML reads this as {str(value).lower()}")
        return value
