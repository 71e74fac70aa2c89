"""The folder of an export: its file names, and export.json.

```
model.onnx | model.pte | the files of PEFT or transformers     the exported model
tokenizer.json labels.json (onnx, executorch)                  for the tokenizers library; class names in order
export.json                                                    target, precision, maximum length, temperature,
                                                               threshold, where it came from
parity.json                                                    how its predictions compare with the evaluated ones
```
An ONNX folder also has `config.json`, the transformers config of the model that was exported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from feathertune.folders.record import Record
from feathertune.recipe.schema import DataSection

Target = Literal["adapter", "merged", "onnx", "executorch"]
ExportPrecision = Literal["fp32", "int8", "int4"]


class ExportDescription(Record, extra="forbid"):
    """The content of export.json. An unknown key is an error, since it may change the predictions.

    Attributes:
        target, precision: what the run was exported to.
        max_length: tokens; longer texts are cut (tokenizer.json does it by itself).
        model: the source of the base model.
        method: how the model was trained.
        data: which columns of a file hold texts and labels.
        inputs: the inputs and outputs of the exported model, for a person.
        temperature: divide the logits by it before the softmax.
        threshold: of two classes, predict the second if its probability is at least this.
        vocabulary: how many token ids the model has embeddings for; None in exports of earlier versions.
    """

    FORMAT: ClassVar[int] = 3  # 1 had no temperature and threshold, 2 no vocabulary

    target: Target
    precision: ExportPrecision
    max_length: int
    model: str
    method: str
    data: DataSection
    inputs: str
    temperature: float = Field(default=1.0, gt=0)
    threshold: float = Field(default=0.5, gt=0, lt=1)
    vocabulary: int | None = Field(default=None, ge=1)

    def to_json(self) -> dict[str, Any]:
        """The content as dicts, lists and plain values, all defaults included."""
        return self.model_dump(mode="json")


@dataclass(frozen=True)
class ExportFolder:
    """Names inside the folder of an export."""

    path: Path

    @property
    def description(self) -> Path:
        """The description of the export. A folder that has this file is an export folder."""
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
        """For the tokenizers library; cuts long texts by itself."""
        return self.path / "tokenizer.json"

    @property
    def labels(self) -> Path:
        """A JSON list of the class names, in the order of the logits."""
        return self.path / "labels.json"

    @property
    def parity(self) -> Path:
        """How the predictions of the exported model compare with the evaluated ones."""
        return self.path / "parity.json"


def is_export(path: Path) -> bool:
    """Whether `path` is an export folder."""
    return ExportFolder(path).description.is_file()
