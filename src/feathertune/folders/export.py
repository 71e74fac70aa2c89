"""The folder of an export: its file names, and export.json.

```
model.onnx | model.pte | the files of PEFT or transformers     the exported model
tokenizer.json labels.json (onnx, executorch, web)             for the tokenizers library; class names in order
config.json tokenizer_config.json onnx/ (onnx, web)            for transformers.js; see `WEB_DTYPES`
index.html page/ beside/ (web)                                 the page, its engine, and models that it compares with
export.json                                                    target, precision, maximum length, temperature,
                                                               threshold, what the runtime needs, where it came from
parity.json                                                    how its predictions compare with the evaluated ones
```
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from feathertune.folders.record import Record
from feathertune.recipe.schema import DataSection

Target = Literal["adapter", "merged", "onnx", "executorch", "web"]
ExportPrecision = Literal["fp32", "int8", "int4"]
Tuned = Literal["vnni"]  # the processors that an ONNX file is for, if not for all
Purpose = Literal["web"]  # the runtimes that an ONNX file is for, if not for onnxruntime on a server or desktop
Need = Literal["exact-int8-products"]  # of the runtime; each is described at `ExportDescription.needs`

# transformers.js's `dtype` for each precision, and the file in onnx/ that it opens for it: the pipeline picks the file
# by the dtype in config.json alone. (transformers.js 4.3, src/utils/dtypes.js)
WEB_DTYPES: dict[ExportPrecision, tuple[str, str]] = {
    "fp32": ("fp32", "model.onnx"),
    "int8": ("int8", "model_int8.onnx"),
    "int4": ("q4", "model_q4.onnx"),
}


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
        needs: what the runtime must do for the file to predict what was evaluated. "exact-int8-products": sums of
            uint8 x int8 products must not saturate. On x86 without VNNI, onnxruntime's do, unless its session option
            `session.x64quantprecision` is "1".
        vocabulary: how many token ids the model has embeddings for; None in exports of earlier versions.
        base_sha256: file of the base model -> checksum; None for an adapter's export, and in earlier versions.
    """

    FORMAT: ClassVar[int] = 4  # 1 had no temperature and threshold, 2 no needs and no vocabulary, 3 no base_sha256

    target: Target
    precision: ExportPrecision
    max_length: int
    model: str
    method: str
    data: DataSection
    inputs: str
    temperature: float = Field(default=1.0, gt=0)
    threshold: float = Field(default=0.5, gt=0, lt=1)
    needs: tuple[Need, ...] = ()
    vocabulary: int | None = Field(default=None, ge=1)
    base_sha256: dict[str, str] | None = None

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """ONNX files with integer weights needed exact products before a file could see to them itself."""
        quantized = content.get("target") == "onnx" and content.get("precision") != "fp32"
        return {"needs": ["exact-int8-products"] if quantized else [], **content}

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
        """The ONNX model, weights included; the one in onnx/ if only that was kept."""
        own = self.path / "model.onnx"
        for _, name in WEB_DTYPES.values():
            if not own.exists() and (web := self.path / "onnx" / name).is_file():
                return web
        return own

    def web_onnx(self, precision: ExportPrecision) -> Path:
        """The same file where transformers.js looks for it."""
        return self.path / "onnx" / WEB_DTYPES[precision][1]

    @property
    def config(self) -> Path:
        """The transformers config of an ONNX export, with what transformers.js reads."""
        return self.path / "config.json"

    @property
    def tokenizer_config(self) -> Path:
        """For transformers and transformers.js: the tokenizer's class, the maximum length, the pad token."""
        return self.path / "tokenizer_config.json"

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
