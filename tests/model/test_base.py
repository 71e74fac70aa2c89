import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

from feathertune.errors import UserError
from feathertune.model.adapt import find_targets, trainable_state
from feathertune.model.base import build_random, load_base
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import FAMILIES as SUPPORTED
from feathertune.model.peft_files import load_adapter, save_adapter
from feathertune.model.sources import find_base
from feathertune.model.substitution import conv1d_names, convert_conv1d
from lively import LABELS, adapt, largest_difference, lively_classifier, packed_logits
from tiny import FAMILIES, padded_logits, random_texts, save_tiny_base, tiny_config, transformers_twin


def load(folder: Path, seed: int = 0) -> PackedClassifier:
    return load_base(find_base(str(folder)), LABELS, seed)


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("name", FAMILIES)
def test_a_base_without_a_head_gets_one_in_float32(tmp_path: Path, name: str) -> None:
    classifier = load(save_tiny_base(tmp_path, name))
    assert classifier.label_names == LABELS
    assert not classifier.training
    assert {p.dtype for p in classifier.parameters()} == {torch.float32}
    assert packed_logits(classifier, random_texts([3, 1, 9])).shape == (3, 3)


def test_the_head_follows_the_seed_and_the_base_does_not(tmp_path: Path) -> None:
    folder = save_tiny_base(tmp_path)
    first, again, other = (load(folder, seed).model for seed in (0, 0, 1))
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    assert torch.equal(first.bert.pooler.dense.weight, other.bert.pooler.dense.weight)


def test_a_half_precision_checkpoint_is_loaded_as_float32(tmp_path: Path) -> None:
    import transformers

    model = transformers.AutoModel.from_config(tiny_config("llama")).bfloat16()
    model.save_pretrained(tmp_path)
    classifier = load(tmp_path)
    assert classifier.model.config.dtype == torch.float32
    assert torch.equal(classifier.model.model.embed_tokens.weight, model.embed_tokens.weight.float())


def test_conv1d_becomes_linear_exactly() -> None:
    torch.manual_seed(0)
    conv, x = Conv1D(12, 8), torch.randn(5, 8)
    torch.nn.init.normal_(conv.bias)
    holder = torch.nn.Sequential(conv)
    assert convert_conv1d(holder) == ["0"]
    linear = holder[0]
    assert isinstance(linear, torch.nn.Linear)
    assert torch.equal(linear.weight.T, conv.weight)
    assert torch.equal(linear.bias, conv.bias)
    assert linear.weight.is_contiguous()
    torch.testing.assert_close(linear(x), conv(x), rtol=0, atol=1e-6)


def test_every_conv1d_of_gpt2_is_converted(tmp_path: Path) -> None:
    folder = save_tiny_base(tmp_path, "gpt2")
    classifier, stored = load(folder), load_file(folder / "model.safetensors")
    names = conv1d_names(classifier.model)
    assert len(names) == 2 * 4
    assert not any(isinstance(module, Conv1D) for module in classifier.modules())
    for name in names:
        weight = stored[f"{name.removeprefix('transformer.')}.weight"]
        assert torch.equal(classifier.model.get_submodule(name).weight, weight.T)


def test_gpt2_gets_a_pad_token_and_pools_as_transformers_does(tmp_path: Path) -> None:
    classifier = load(save_tiny_base(tmp_path, "gpt2"))
    assert classifier.model.config.pad_token_id == classifier.model.config.eos_token_id
    texts = random_texts([7, 2, 11])
    padded = padded_logits(transformers_twin(classifier), texts, torch.arange(3).numpy())
    assert largest_difference(packed_logits(classifier, texts), padded) < 1e-5


@pytest.mark.parametrize(("eos", "pad"), [(5, 5), ([6, 7], 6), (None, None)])
def test_the_pad_token_is_the_end_token_where_there_is_none(eos: Any, pad: int | None) -> None:
    config = tiny_config("llama")
    config.pad_token_id, config.eos_token_id = None, eos
    assert build_random(config, LABELS, 0).model.config.pad_token_id == pad


def test_a_head_of_another_size_is_replaced(tmp_path: Path) -> None:
    import transformers

    config = tiny_config("bert")
    config.num_labels = 5
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    classifier = load(tmp_path)
    assert classifier.model.classifier.weight.shape == (3, 32)
    assert classifier.initialized == {"classifier.weight", "classifier.bias"}


def test_a_head_that_fits_is_kept(tmp_path: Path) -> None:
    import transformers

    config = tiny_config("bert")
    config.num_labels = 3
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(tmp_path)
    classifier = load(tmp_path)
    assert torch.equal(classifier.model.classifier.weight, model.classifier.weight)
    assert classifier.initialized == frozenset()


def test_a_pooler_that_the_checkpoint_lacks_is_trained_and_travels_with_the_head(tmp_path: Path) -> None:
    folder = save_tiny_base(tmp_path / "base")

    def drop_pooler(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith("pooler.")]:
            del tensors[name]

    change_tensors(folder, drop_pooler)
    classifier, other = load(folder, seed=0), load(folder, seed=1)
    assert "bert.pooler.dense" not in find_targets(classifier, "all-linear")
    shape = adapt(classifier)
    assert "bert.pooler.dense.weight" in trainable_state(classifier)
    save_adapter(classifier, tmp_path / "adapter", shape, base="base", revision=None)
    load_adapter(other, tmp_path / "adapter")
    texts = random_texts([4, 8])
    assert torch.equal(packed_logits(classifier, texts), packed_logits(other, texts))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "wider": (lambda folder: change_config(folder, hidden_size=64), "do not fit the config: .* has another shape"),
    "deeper": (lambda folder: change_config(folder, num_hidden_layers=3), "do not fit .*layer.2.* is missing"),
    "shallower": (lambda folder: change_config(folder, num_hidden_layers=1), "the model has no .*layer.1"),
    "no number": (lambda folder: change_config(folder, hidden_size="wide"), "expected int, got str"),
    "no width": (lambda folder: change_config(folder, hidden_size=0), "cannot load the model"),
    "heads": (lambda folder: change_config(folder, num_attention_heads=5), "not a multiple of the number"),
    "activation": (lambda folder: change_config(folder, hidden_act="nope"), "KeyError 'nope'"),
    "padding": (lambda folder: change_config(folder, pad_token_id=120), "pad_token_id is 120, .* has 120 tokens"),
    "quantized": (
        lambda folder: change_config(folder, quantization_config={"quant_method": "gptq", "bits": 4}),
        "the weights of this model are quantized .GPTQ.",
    ),
    "json": (lambda folder: (folder / "config.json").write_text("{"), "not valid JSON"),
    "empty": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "header too small"),
    "garbage": (lambda folder: (folder / "model.safetensors").write_bytes(b"garbage!" * 99), "header too large"),
    "truncated": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100]),
        "cannot load the model: .*file not fully covered",
    ),
    "a tensor less": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.pop("encoder.layer.0.output.dense.weight")),
        "the weights do not fit the config: bert.encoder.layer.0.output.dense.weight is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_base_is_the_users_error(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    folder = save_tiny_base(tmp_path)
    damage(folder)
    with pytest.raises(UserError, match=message) as caught:
        load(folder)
    assert str(caught.value).startswith(str(folder))


def test_an_unsupported_architecture_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    folder = save_tiny_base(tmp_path)
    change_config(folder, model_type="t5")
    (folder / "model.safetensors").write_bytes(b"not read")
    with pytest.raises(UserError, match="the architecture 't5' is not supported") as caught:
        load(folder)
    assert all(name in str(caught.value) for name in SUPPORTED)


@pytest.mark.parametrize("content", [b"", b"no gguf" * 30, b"GGUF" + bytes(20)], ids=["empty", "garbage", "header"])
def test_a_broken_gguf_file_is_the_users_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    with pytest.raises(UserError, match="cannot read the model's config"):
        load_base(find_base(f"gguf:{tmp_path / 'model.gguf'}"), LABELS, seed=0)


def test_a_random_model_follows_the_seed() -> None:
    first, again, other = (build_random(tiny_config("llama"), LABELS, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in first.items())
    assert lively_classifier("llama").label_names == LABELS
