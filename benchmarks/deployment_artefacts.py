"""The contenders of deployment.py, and how their files are made from one model.

The model is that of a run (and of the runs that quantized it), or a true shape with random weights, which are rounded
without training: speed and size do not depend on the weights.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from feathertune.export.executorch import write_executorch
from feathertune.export.onnx import write_onnx
from feathertune.export.padded import PaddedClassifier, ending_after
from feathertune.export.single import SingleTextClassifier
from feathertune.export.targets import write_tokenizer_and_labels
from feathertune.folders.export import ExportDescription, ExportFolder
from feathertune.folders.run import RunFolder
from feathertune.model.base import build_random
from feathertune.model.classifier import PackedClassifier
from feathertune.model.model_folder import save_model
from feathertune.prediction.files import read_predictions
from feathertune.prediction.predictions import Predictions
from feathertune.quantization.convert import convert
from feathertune.quantization.folder import save_quantized
from feathertune.quantization.scheme import Scheme, plan_quantization
from feathertune.recipe.schema import DataSection
from feathertune.run.load import load_trained
from feathertune.system.files import write_json
from measuring import quieten
from shapes import MAX_LENGTH, Shape, find_tokenizer, read_texts

LABELS = ("NEGATIVE", "POSITIVE")
CALIBRATION_TEXTS = 300  # nncf's default
SCHEMES = {  # of the quantized precisions
    "int8": Scheme("int8"),
    "int8-symmetric": Scheme("int8", activations="symmetric"),
    "int4": Scheme("int4"),
}


@dataclass(frozen=True)
class Subject:
    """The model to deploy: a shape and the folder of its tokenizer, or a run for each precision.

    `data` is the source of the texts, for contenders that are calibrated on its train split.
    """

    shape: Shape | None
    tokenizer: str | None
    runs: dict[str, Path]
    data: str = "sample"

    def load(self, precision: str) -> tuple[PackedClassifier, Any, int]:
        """Classifier, tokenizer, and maximum length in tokens."""
        if self.shape is None:
            trained = load_trained(self.runs[precision])
            return trained.classifier, trained.tokenizer, trained.max_length
        classifier = build_random(self.shape.config(0), LABELS, 0)
        if precision != "fp32":
            convert(classifier, plan_quantization(classifier, SCHEMES[precision]))
        return classifier, find_tokenizer(self.shape, self.tokenizer), MAX_LENGTH


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        title: its name in the table.
        kind: how it is loaded (see deployment_turn.py).
        made_by: what writes its folder: merged, ours, optimum, dynamic, executorch, integers, nncf.
        precision: of the model that it is made from: fp32, or one of SCHEMES.
        size_of: pattern of the files whose size counts.
    """

    title: str
    kind: str
    made_by: str
    precision: str
    size_of: str


CONTENDERS: dict[str, Contender] = {
    "torch-fp32": Contender("transformers in torch, merged, fp32", "transformers", "merged", "fp32", "*.safetensors"),
    "onnx-fp32": Contender("transformers in ONNX, fp32", "exported", "optimum", "fp32", "model.onnx"),
    "onnx-dynamic": Contender("the same by quantize_dynamic, int8", "exported", "dynamic", "fp32", "model.onnx"),
    "ours-onnx-fp32": Contender("Feathertune in ONNX, fp32", "exported", "ours", "fp32", "model.onnx"),
    "ours-onnx-int8": Contender("Feathertune in ONNX, int8", "exported", "ours", "int8", "model.onnx"),
    "ours-onnx-int8-symmetric": Contender(
        "Feathertune in ONNX, int8, symmetric", "exported", "ours", "int8-symmetric", "model.onnx"
    ),
    "ours-onnx-int4": Contender("Feathertune in ONNX, int4", "exported", "ours", "int4", "model.onnx"),
    "openvino-fp32": Contender("Feathertune's ONNX in OpenVINO, fp32", "openvino-f32", "ours", "fp32", "model.onnx"),
    "openvino-bf16": Contender("Feathertune's ONNX in OpenVINO, bf16", "openvino-bf16", "ours", "fp32", "model.onnx"),
    "openvino-int8": Contender("OpenVINO's own int8, by nncf", "openvino-nncf", "nncf", "fp32", "model.bin"),
    "ours-openvino-int8": Contender(
        "Feathertune's int8 ONNX in OpenVINO", "openvino-f32", "ours", "int8", "model.onnx"
    ),
    "ours-pte-fp32": Contender("Feathertune in ExecuTorch, fp32", "exported", "executorch", "fp32", "model.pte"),
    "ours-pte-int8": Contender("Feathertune in ExecuTorch, int8", "exported", "executorch", "int8", "model.pte"),
    "ours-pte-int4": Contender("Feathertune in ExecuTorch, int4", "exported", "executorch", "int4", "model.pte"),
    "ours-torch-fp32": Contender("Feathertune in torch, fp32", "packed", "merged", "fp32", "*.safetensors"),
    "ours-torch-int8": Contender("Feathertune in torch, int8", "quantized", "integers", "int8", "*.safetensors"),
    "ours-torch-int8-symmetric": Contender(
        "Feathertune in torch, int8, symmetric", "quantized", "integers", "int8-symmetric", "*.safetensors"
    ),
    "ours-torch-int4": Contender("Feathertune in torch, int4", "quantized", "integers", "int4", "*.safetensors"),
}


def make(subject: Subject, contender: Contender, path: Path, optimum: Path) -> None:
    """Write the contender's folder at `path` unless it exists. `optimum` is the folder of the contender onnx-fp32."""
    if path.is_dir():
        return
    quieten()
    making = path.with_name(f"{path.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    _write(subject, contender, making, optimum)
    making.replace(path)


def _write(subject: Subject, contender: Contender, path: Path, optimum: Path) -> None:
    if contender.made_by == "dynamic":
        _quantize_dynamic(optimum, path)
        return
    classifier, tokenizer, max_length = subject.load(contender.precision)
    if contender.made_by == "integers":
        save_quantized(classifier, path, tokenizer, max_length)
        return
    if contender.made_by == "merged":
        save_model(classifier, path, tokenizer)
        write_json(path / "limit.json", max_length)
        write_json(path / "labels.json", list(classifier.label_names))
        return
    folder = ExportFolder(path)
    write_tokenizer_and_labels(tokenizer, max_length, classifier.label_names, folder)
    if contender.made_by == "executorch":
        write_executorch(SingleTextClassifier(classifier, max_length), folder.executorch)
    elif contender.made_by in ("ours", "nncf"):
        write_onnx(PaddedClassifier(classifier, ending_after(tokenizer, max_length)), folder.onnx, max_length)
        if contender.made_by == "nncf":
            _quantize_nncf(folder, read_texts(subject.data, "train")[:CALIBRATION_TEXTS])
    else:
        _export_transformers(classifier, tokenizer, folder, max_length)
    target = "executorch" if contender.made_by == "executorch" else "onnx"
    description = _description(target, contender.precision.removesuffix("-symmetric"), max_length)
    description.write(folder.description)


def _export_transformers(classifier: PackedClassifier, tokenizer: Any, folder: ExportFolder, max_length: int) -> None:
    """The model as optimum exports it: transformers' own padded forward pass, by torch.onnx."""
    from transformers import AutoModelForSequenceClassification

    merged = folder.path / "merged"
    save_model(classifier, merged, tokenizer)
    model = AutoModelForSequenceClassification.from_pretrained(merged, dtype=torch.float32).eval()
    model.config.use_cache = False
    ids_BL = torch.ones(2, 5, dtype=torch.int64)
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", max=max_length)}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            _LogitsOnly(model),
            (ids_BL, torch.ones_like(ids_BL)),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=(dynamic, dynamic),
            opset_version=21,
            verbose=False,
        )
    folder.onnx.write_bytes(program.model_proto.SerializeToString())
    shutil.rmtree(merged)


class _LogitsOnly(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def _quantize_dynamic(optimum: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    for name in ("tokenizer.json", "labels.json", "export.json"):
        shutil.copy(optimum / name, path / name)
    quantize_dynamic(optimum / "model.onnx", path / "model.onnx", weight_type=QuantType.QInt8)


def _quantize_nncf(folder: ExportFolder, texts: list[str]) -> None:
    """OpenVINO's recommended post-training int8: static activations, with the settings for transformers."""
    import nncf
    import openvino
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder.tokenizer))
    rows = [np.array([encoding.ids], dtype=np.int64) for encoding in tokenizer.encode_batch(texts)]
    model = nncf.quantize(
        openvino.Core().read_model(folder.onnx),
        nncf.Dataset([{"input_ids": ids_1L, "attention_mask": np.ones_like(ids_1L)} for ids_1L in rows]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(rows),
    )
    openvino.save_model(model, folder.path / "model.xml", compress_to_fp16=False)
    folder.onnx.unlink()


def _description(target: Any, precision: Any, max_length: int) -> ExportDescription:
    return ExportDescription(
        target=target,
        precision=precision,
        max_length=max_length,
        model="benchmark",
        method="lora",
        data=DataSection(source="sample"),
        inputs="",
    )


def evaluated(subject: Subject) -> Predictions | None:
    """The fp32 run's predictions for the validation split; None for random weights."""
    if subject.shape is not None:
        return None
    return read_predictions(RunFolder(subject.runs["fp32"]).predictions("after", "validation"), "validation")


def size_mib(path: Path, pattern: str) -> float:
    """The total size of the matching files."""
    return sum(file.stat().st_size for file in path.glob(pattern)) / 2**20
