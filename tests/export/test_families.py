"""Exports of the families whose attention, pooling or layers differ from those of tests/export's finished runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from feathertune.export.padded import PaddedClassifier
from feathertune.export.single import SingleTextClassifier
from feathertune.model.classifier import PackedClassifier
from feathertune.quantization.convert import convert
from feathertune.quantization.scheme import Scheme, plan_quantization
from lively import MODELS, largest_difference, packed_logits
from tiny import random_texts

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters warn about themselves in many ways

TEXTS = random_texts([5, 1, 30, 9, 140, 17])  # 140 is beyond the distance from which MPNet's bias is the same


def made(name: str, weights: Any = "fp32") -> PackedClassifier:
    classifier = MODELS[name]()
    if weights != "fp32":
        convert(classifier, plan_quantization(classifier, Scheme(weights)))
    return classifier


def padded() -> tuple[np.ndarray, np.ndarray]:
    """`input_ids` and `attention_mask` [B, L] of `TEXTS`."""
    lengths_B1 = TEXTS.lengths[:, None]
    mask_BL = (np.arange(int(TEXTS.lengths.max())) < lengths_B1).astype(np.int64)
    ids_BL = np.zeros_like(mask_BL)
    ids_BL[mask_BL.astype(bool)] = TEXTS.ids
    return ids_BL, mask_BL


@pytest.mark.parametrize("name", MODELS)
def test_the_classifiers_for_exports_give_the_packed_logits(name: str) -> None:
    wanted = packed_logits(made(name), TEXTS)
    with torch.no_grad():
        together = PaddedClassifier(made(name))(*map(torch.from_numpy, padded()))
        single = SingleTextClassifier(made(name), 150)
        alone = torch.cat([single(torch.from_numpy(text.astype(np.int64))[None]) for text in each_text()])
    assert largest_difference(together, wanted) < 1e-5
    assert largest_difference(alone, wanted) < 1e-5


def each_text() -> list[np.ndarray]:
    return [TEXTS[index] for index in range(len(TEXTS))]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("mpnet", "int8"),
        ("albert", "int8"),  # every weight is used several times
        ("eurobert", "fp32"),
        pytest.param("mpnet", "fp32", marks=pytest.mark.slow),
        pytest.param("nomic-bert", "fp32", marks=pytest.mark.slow),
    ],
)
def test_onnx(name: str, weights: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    from feathertune.export.exported import session_options
    from feathertune.export.onnx import write_onnx

    wanted = packed_logits(made(name, weights), TEXTS)
    write_onnx(PaddedClassifier(made(name, weights)), tmp_path / "model.onnx", 150)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", session_options())
    found = torch.from_numpy(session.run(None, dict(zip(("input_ids", "attention_mask"), padded(), strict=True)))[0])
    assert largest_difference(found, wanted) < (1e-4 if weights == "fp32" else 0.05)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("mpnet", "fp32"),
        pytest.param("albert", "int8", marks=pytest.mark.slow),
        pytest.param("eurobert", "fp32", marks=pytest.mark.slow),
    ],
)
def test_executorch(name: str, weights: str, tmp_path: Path) -> None:
    pytest.importorskip("executorch", reason="the executorch extra is not installed")
    from feathertune.export.executorch import ExecutorchRuntime, write_executorch

    wanted = packed_logits(made(name, weights), TEXTS)
    write_executorch(SingleTextClassifier(made(name, weights), 150), tmp_path / "model.pte")
    runtime = ExecutorchRuntime(tmp_path / "model.pte")
    found = np.concatenate([runtime.logits(text.astype(np.int64)[None]) for text in each_text()])
    assert largest_difference(torch.from_numpy(found), wanted) < (1e-4 if weights == "fp32" else 0.05)
