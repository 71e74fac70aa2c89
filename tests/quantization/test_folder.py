"""A quantized model on disk is complete and small, is read back bit for bit, and is refused if damaged."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from feathertune.errors import UserError
from feathertune.quantization.convert import convert
from feathertune.quantization.folder import load_quantized, save_quantized
from feathertune.quantization.scheme import Scheme, plan_quantization
from feathertune.tokens.loading import load_tokenizer
from lively import LABELS, adapt, lively_classifier, packed_logits
from tiny import FAMILIES, random_texts, tiny_tokenizer


def saved(folder: Path, name: str = "bert", scheme: Scheme | None = None) -> Any:
    classifier = lively_classifier(name)
    adapt(classifier)
    convert(classifier, plan_quantization(classifier, scheme or Scheme("int4")))
    save_quantized(classifier, folder, tiny_tokenizer(), max_length=64)
    return classifier


@pytest.mark.parametrize(
    "scheme",
    [
        Scheme("int8"),
        Scheme("int4"),
        Scheme("int8", activations="symmetric"),
        Scheme("int4", activations="symmetric"),
        Scheme("int4", "fp32", "fp32", ("dense",)),
    ],
)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_saved_model_has_the_same_logits_when_read(name: str, scheme: Scheme, tmp_path: Path) -> None:
    if scheme.exclude and name not in ("bert", "roberta", "electra"):
        scheme = Scheme(scheme.weights, scheme.embeddings, scheme.head)
    written, texts = saved(tmp_path, name, scheme), random_texts([3, 9, 17, 5])
    read = load_quantized(tmp_path)
    assert read.label_names == LABELS
    assert torch.equal(packed_logits(read, texts), packed_logits(written, texts))


def test_the_files_stand_alone(tmp_path: Path) -> None:
    saved(tmp_path)
    assert {"weights.safetensors", "quantization.json", "config.json", "tokenizer.json", "labels.json"} <= {
        path.name for path in tmp_path.iterdir()
    }
    described = json.loads((tmp_path / "quantization.json").read_text())
    assert described["max_length"] == 64
    assert described["weights_bytes"] == (tmp_path / "weights.safetensors").stat().st_size
    assert described["linears"]["classifier"] == {"bits": 8, "group": None, "inputs": 32}
    assert described["linears"]["bert.encoder.layer.0.output.dense"] == {"bits": 4, "group": 32, "inputs": 64}
    assert described["activations"] == "int8, asymmetric, one scale and zero point a token"
    assert load_tokenizer(tmp_path)("the cat")["input_ids"]


def test_a_version_that_knows_no_symmetric_activations_would_refuse_them(tmp_path: Path) -> None:
    """It refuses entries with unknown keys. Asymmetric entries have no new keys."""
    saved(tmp_path, scheme=Scheme("int8", activations="symmetric"))
    described = json.loads((tmp_path / "quantization.json").read_text())
    assert described["activations"] == "int8, symmetric, one scale a token"
    assert all(entry["activations"] == "symmetric" for entry in described["linears"].values())


def test_int4_weights_take_half_a_byte_and_their_scales_two(tmp_path: Path) -> None:
    saved(tmp_path)
    tensors = load_file(tmp_path / "weights.safetensors")
    name = "bert.encoder.layer.0.output.dense"
    weight, scale = tensors[f"{name}.weight_OI"], tensors[f"{name}.scale_OG"]
    assert (weight.dtype, tuple(weight.shape)) == (torch.uint8, (32, 32))
    assert (scale.dtype, tuple(scale.shape)) == (torch.bfloat16, (32, 2))


def damage_weights(folder: Path, change: Any) -> None:
    tensors = load_file(folder / "weights.safetensors")
    change(tensors)
    save_file(tensors, folder / "weights.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "weights.safetensors").write_bytes(b"short"), "cannot read the weights"),
        (lambda f: (f / "labels.json").unlink(), "labels.json is missing"),
        (lambda f: (f / "quantization.json").write_text("{}"), "the file is damaged"),
        (lambda f: damage_weights(f, lambda t: t.pop("classifier.scale_O")), "do not fit .*classifier.scale_O"),
        (lambda f: damage_weights(f, lambda t: t.update(more=torch.ones(1))), "the model has no more"),
        (
            lambda f: damage_weights(f, lambda t: t.update({"bert.embeddings.LayerNorm.weight": torch.ones(3)})),
            r"LayerNorm.weight has shape \[3\], not \[32\]",
        ),
    ],
)
def test_damage_is_refused(damage: Any, message: str, tmp_path: Path) -> None:
    saved(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        load_quantized(tmp_path)
