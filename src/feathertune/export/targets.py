"""The export targets: how each is written, and how it predicts. To add one, add an entry to `TARGETS`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feathertune.errors import UserError
from feathertune.export.executorch import require_executorch, write_executorch
from feathertune.export.exported import ExportedModel
from feathertune.export.onnx import OPSET, require_onnx, write_onnx
from feathertune.export.padded import PaddedClassifier, ending_after
from feathertune.export.parity import Outputs
from feathertune.export.single import SingleTextClassifier
from feathertune.export.ways import Ways, adapter_ways, executorch_ways, merged_ways, onnx_ways, predict_merged
from feathertune.export.web import write_web_layout
from feathertune.export.web_page import browser_ways, predict_in_browser, require_web, write_web_page
from feathertune.folders.export import ExportFolder, ExportPrecision, Purpose, Target, Tuned
from feathertune.folders.opened import OpenedRun
from feathertune.model.model_folder import save_model, surplus_parameters, write_config
from feathertune.model.padding import saved_tokenizer
from feathertune.model.peft_files import write_labels
from feathertune.prediction.inference import predict_logits
from feathertune.quantization.numerics import Activations
from feathertune.run.load import TrainedModel, load_trained
from feathertune.system.files import write_json, write_text
from feathertune.tokens.prompt import single_tokens
from feathertune.tokens.run_tokenizer import file_of, save_tokenizer


@dataclass(frozen=True)
class ExportTarget:
    """One target.

    Attributes:
        write: writes the artefact of a trained model, which may be unusable afterwards; keywords are options of the
            target.
        predict: the artefact's outputs for all texts, computed by the library it is meant for. Artefacts that are not a
            whole model also use the run and its base.
        ways: the same in other ways, which must not matter: other batches, padding on the other side.
        require: raises UserError if an extra is missing.
        precisions: the precisions of its weights.
        inputs: the artefact's inputs and outputs, for a person.
        activations: the kinds of quantized activations that it can compute with.
    """

    write: Callable[..., None]
    predict: Callable[[ExportFolder, Sequence[str], TrainedModel, str | None], Outputs]
    ways: Callable[[ExportFolder, Sequence[str], TrainedModel, str | None], Ways]
    require: Callable[[], None]
    precisions: tuple[ExportPrecision, ...]
    inputs: str
    activations: tuple[Activations, ...] = ("asymmetric", "symmetric")


def _write_adapter(trained: TrainedModel, folder: ExportFolder) -> None:
    if trained.recipe.method == "full":
        raise UserError("a full fine-tune has no adapter", where="--to adapter", fix="Export it with --to merged.")
    # Half-written files of a killed run (see `atomic_path`), and a Trainer's optimizer and arguments.
    hidden = shutil.ignore_patterns(".*", "*.pt", "*.pth", "*.bin", "trainer_state.json", "checkpoint-*")
    shutil.copytree(trained.run.adapter, folder.path, dirs_exist_ok=True, ignore=hidden)
    if not folder.tokenizer.is_file():  # earlier versions saved it only with a prompt
        save_tokenizer(saved_tokenizer(trained.classifier, trained.tokenizer), folder.path)
    write_labels(trained.classifier, folder.path)


def _predict_adapter(folder: ExportFolder, texts: Sequence[str], trained: TrainedModel, base: str | None) -> Outputs:
    exported = load_trained(OpenedRun(trained.run, trained.recipe), base, adapter=folder.path)
    return Outputs("Feathertune", predict_logits(exported.classifier, exported.tokenize(texts)))


def _write_merged(trained: TrainedModel, folder: ExportFolder) -> None:
    if surplus := surplus_parameters(trained.classifier):
        raise UserError(
            f"transformers' model has no {surplus[0]}, which the adapter adds (lora_bias)",
            where="--to merged",
            fix="Export it with --to onnx, executorch or adapter.",
        )
    save_model(trained.classifier, folder.path, trained.tokenizer)


def _write_onnx(
    trained: TrainedModel,
    folder: ExportFolder,
    opset: int = OPSET,
    tuned: Tuned | None = None,
    purpose: Purpose | None = None,
) -> None:
    _write_tokenizer_of(trained, folder)
    write_config(trained.classifier, folder.config)
    classifier = PaddedClassifier(trained.classifier, ending_after(trained.tokenizer, trained.max_length))
    write_onnx(classifier, folder.onnx, trained.max_length, opset, tuned=tuned, purpose=purpose)
    quantize = trained.recipe.quantize
    write_web_layout(folder, "fp32" if quantize is None else quantize.weights, trained)


def _write_web(trained: TrainedModel, folder: ExportFolder, beside: Sequence[Path] = ()) -> None:
    _write_onnx(trained, folder, purpose="web")
    folder.onnx.unlink()  # the one in onnx/ stays
    write_web_page(trained, folder, beside)


def write_tokenizer_and_labels(
    transformers_tokenizer: Any, max_length: int, label_names: Sequence[str], folder: ExportFolder
) -> None:
    """Write labels.json, and a tokenizer.json that cuts long texts by itself."""
    tokenizer: Any = single_tokens(file_of(transformers_tokenizer))
    tokenizer.enable_truncation(max_length, direction=transformers_tokenizer.truncation_side)
    write_text(folder.tokenizer, tokenizer.to_str(pretty=False))
    write_json(folder.labels, list(label_names))


def _write_tokenizer_of(trained: TrainedModel, folder: ExportFolder) -> None:
    write_tokenizer_and_labels(trained.tokenizer, trained.max_length, trained.classifier.label_names, folder)


def _write_executorch(trained: TrainedModel, folder: ExportFolder) -> None:
    _write_tokenizer_of(trained, folder)
    write_executorch(SingleTextClassifier(trained.classifier, trained.max_length), folder.executorch)


def _predict_exported(how: str) -> Callable[[ExportFolder, Sequence[str], TrainedModel, str | None], Outputs]:
    def predict(folder: ExportFolder, texts: Sequence[str], _trained: TrainedModel, _base: str | None) -> Outputs:
        return Outputs(how, ExportedModel(folder.path).logits(texts))

    return predict


def _require_nothing() -> None:
    """PEFT's and transformers' files need no extra."""


_ALL: tuple[ExportPrecision, ...] = ("fp32", "int8", "int4")
_PADDED = (
    "input_ids, attention_mask [batch, sequence] int64, padded on the right with any id -> logits [batch, classes]"
)

TARGETS: dict[Target, ExportTarget] = {
    "adapter": ExportTarget(
        _write_adapter,
        _predict_adapter,
        adapter_ways,
        _require_nothing,
        ("fp32",),
        "peft.PeftModel.from_pretrained(base, FOLDER)",
    ),
    "merged": ExportTarget(
        _write_merged,
        predict_merged,
        merged_ways,
        _require_nothing,
        ("fp32",),
        "transformers.AutoModelForSequenceClassification.from_pretrained(FOLDER)",
    ),
    "onnx": ExportTarget(
        _write_onnx, _predict_exported("texts of one length in a batch"), onnx_ways, require_onnx, _ALL, _PADDED
    ),
    "executorch": ExportTarget(
        _write_executorch,
        _predict_exported("one text at a time"),
        executorch_ways,
        require_executorch,
        _ALL,
        "input_ids [1, sequence] int64, one text, not padded -> logits [1, classes]",
        activations=("asymmetric",),
    ),
    "web": ExportTarget(_write_web, predict_in_browser, browser_ways, require_web, _ALL, _PADDED),
}
