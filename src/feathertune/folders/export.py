"""The one place that knows what is inside an export folder.

```
model.onnx | model.pte | adapter's or transformers' files      the artefact
tokenizer.json labels.json (onnx, executorch)                  for the tokenizers library; class names in order
export.json                                                    target, precision, length limit, temperature and
                                                               threshold of the answers, where it came from
parity.json                                                    how its answers compare with the evaluated ones
```
An ONNX folder also has `config.json`, the transformers config of the model it was made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feathertune.errors import UserError
from feathertune.recipe.schema import DataSection
from feathertune.system.files import read_json, write_json

Target = Literal["adapter", "merged", "onnx", "executorch"]
ExportPrecision = Literal["fp32", "int8", "int4"]
FORMAT = 2  # 1 had no temperature and threshold


class ExportDescription(BaseModel):
    """What export.json holds.

    Attributes:
        format: of this file.
        target, precision: what was asked for.
        max_length: tokens; longer texts are cut (tokenizer.json does it by itself).
        model: the base model's source.
        method: how it was trained.
        data: how the training data was laid out: which column of a file holds the texts.
        inputs: for a person: what the artefact takes and gives.
        temperature: that the artefact's logits are divided by before the softmax.
        threshold: of two classes, the second is the answer where its probability is at least this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int
    target: Target
    precision: ExportPrecision
    max_length: int
    model: str
    method: str
    data: DataSection
    inputs: str
    temperature: float = Field(default=1.0, gt=0)
    threshold: float = Field(default=0.5, gt=0, lt=1)


@dataclass(frozen=True)
class ExportFolder:
    """Names and nothing else."""

    path: Path

    @property
    def description(self) -> Path:
        """What this is; a folder that has it is an export folder."""
        return self.path / "export.json"

    @property
    def onnx(self) -> Path:
        """The ONNX model, weights included."""
        return self.path / "model.onnx"

    @property
    def executorch(self) -> Path:
        """The ExecuTorch program, weights included."""
        return self.path / "model.pte"

    @property
    def tokenizer(self) -> Path:
        """For the tokenizers library; it cuts long texts by itself."""
        return self.path / "tokenizer.json"

    @property
    def labels(self) -> Path:
        """A JSON list of the class names, in the order of the logits."""
        return self.path / "labels.json"

    @property
    def parity(self) -> Path:
        """How the artefact's answers compare with the evaluated ones."""
        return self.path / "parity.json"


def is_export(path: Path) -> bool:
    """Whether `path` is an export folder."""
    return ExportFolder(path).description.is_file()


def write_description(folder: ExportFolder, description: ExportDescription) -> None:
    """Write export.json."""
    write_json(folder.description, description.model_dump(mode="json"))


def read_description(folder: ExportFolder) -> ExportDescription:
    """Read export.json. Raises UserError where it is missing, damaged or of a later version."""
    value: Any = read_json(folder.description)
    if isinstance(value, dict) and isinstance(value.get("format"), int) and value["format"] > FORMAT:
        raise UserError(
            "this export was made by a later version of Feathertune",
            where=str(folder.description),
            fix="pip install -U feathertune",
        )
    try:
        return ExportDescription.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{place}: {first['msg']}", where=str(folder.description)) from None
