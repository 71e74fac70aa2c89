"""Which parts of a checkpoint's head are kept, and which unexpected weights are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from feathertune.errors import UserError
from feathertune.model.base import load_base
from feathertune.model.classifier import PackedClassifier
from feathertune.model.model_folder import save_model
from feathertune.model.sources import find_base
from lively import LABELS, largest_difference, lively_classifier, packed_logits
from tiny import FAMILIES, random_texts, save_tiny_base, tiny_tokenizer

TEXTS = random_texts([5, 1, 12])


def save_with_head(folder: Path, name: str, labels: tuple[str, ...]) -> PackedClassifier:
    """A classifier as on the Hub, whose config names the head's three rows so."""
    classifier = lively_classifier(name)
    classifier.model.config.id2label = dict(enumerate(labels))
    save_model(classifier, folder, tiny_tokenizer())
    return classifier


def load(folder: Path, labels: tuple[str, ...] = LABELS, seed: int = 0) -> PackedClassifier:
    return load_base(find_base(str(folder)), labels, seed)


def last_weight(classifier: PackedClassifier) -> tuple[str, torch.Tensor]:
    """The name and value of the weight with one row per class."""
    name = f"{classifier.family.class_rows}.weight"
    return name, classifier.model.get_parameter(name)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_class_keeps_its_row_where_the_checkpoint_has_another_order(tmp_path: Path, name: str) -> None:
    theirs = save_with_head(tmp_path, name, ("maybe", "no", "yes"))
    classifier = load(tmp_path)
    expected = packed_logits(theirs, TEXTS)[:, [1, 2, 0]]  # in the order of LABELS
    assert classifier.label_names == LABELS
    assert classifier.initialized == frozenset()
    assert largest_difference(packed_logits(classifier, TEXTS), expected) < 1e-6


@pytest.mark.parametrize(
    ("own", "ours", "rows"),
    [
        (("LABEL_0", "LABEL_1", "LABEL_2"), ("no", "yes", "maybe"), [0, 1, 2]),
        (("LABEL_0", "LABEL_1", "LABEL_2"), ("LABEL_2", "LABEL_0", "LABEL_1"), [2, 0, 1]),
        (("NO", "Maybe", "YES"), ("maybe", "no", "yes"), [1, 0, 2]),
        (("yes", "YES", "no"), ("YES", "no", "yes"), [1, 2, 0]),
    ],
)
def test_rows_are_found_by_name_and_generic_names_are_ignored(
    tmp_path: Path, own: tuple[str, ...], ours: tuple[str, ...], rows: list[int]
) -> None:
    theirs, classifier = save_with_head(tmp_path, "bert", own), load(tmp_path, ours)
    assert torch.equal(last_weight(classifier)[1], last_weight(theirs)[1][rows])
    assert torch.equal(classifier.model.classifier.bias, theirs.model.classifier.bias[rows])


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_of_other_classes_are_initialized_and_the_rest_is_kept(tmp_path: Path, name: str) -> None:
    theirs = save_with_head(tmp_path, name, ("sun", "moon", "tree"))
    first, again, other = (load(tmp_path, seed=seed) for seed in (0, 0, 1))
    weight, drawn = last_weight(first)
    assert weight in first.initialized
    assert not torch.isin(drawn, last_weight(theirs)[1]).any()
    assert 0 < drawn.std() < 1
    assert torch.equal(drawn, last_weight(again)[1])
    assert not torch.equal(drawn, last_weight(other)[1])
    kept = dict(theirs.model.named_parameters())
    for key, parameter in first.model.named_parameters():
        assert (key in first.initialized) != torch.equal(parameter, kept[key]), key


def add(*names: str) -> Callable[[Path], None]:
    """Adds tensors with these names to a checkpoint."""

    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors |= {name: torch.ones(3, 32) if name == "score.weight" else torch.ones(3) for name in names}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_biases_that_the_config_switches_off_are_one_clear_error(tmp_path: Path) -> None:
    save_model(lively_classifier("llama", attention_bias=True), tmp_path, tiny_tokenizer())
    load(tmp_path)
    change_config(tmp_path, attention_bias=False)
    with pytest.raises(
        UserError, match=r"the model has no model.layers.0.self_attn.k_proj.bias, .* and 5 more\n.*config"
    ):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "surplus"),
    [
        ("llama", "layers.1.self_attn.q_norm.weight"),
        ("bert", "encoder.layer.0.attention.self.distance_embedding.weight"),
        ("gpt2", "transformer.h.1.attn.adapter.weight"),
        ("modernbert", "head.dense.bias"),
    ],
)
def test_an_unexpected_tensor_that_the_checkpoints_model_used_is_refused(
    tmp_path: Path, name: str, surplus: str
) -> None:
    save_model(lively_classifier(name), tmp_path, tiny_tokenizer())
    add(surplus)(tmp_path)
    with pytest.raises(UserError, match=f"the model has no {surplus}\n"):
        load(tmp_path)


def test_a_bias_of_the_head_is_refused_only_where_the_head_is_kept(tmp_path: Path) -> None:
    folder = save_tiny_base(tmp_path, "llama")
    add("score.weight", "score.bias")(folder)
    change_config(folder, id2label={"0": "sun", "1": "moon", "2": "tree"})
    assert load(folder).initialized == {"score.weight"}
    assert load(folder, ("no", "yes")).initialized == {"score.weight"}
    with pytest.raises(UserError, match=r"the model has no score.bias\n"):
        load(folder, ("sun", "moon", "tree"))


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("gpt2", ("h.0.attn.bias", "h.0.attn.masked_bias", "lm_head.weight")),
        ("llama", ("layers.0.self_attn.rotary_emb.inv_freq", "lm_head.weight")),
        ("gemma3-window", ("layers.0.self_attn.rotary_emb.inv_freq",)),
        ("bert", ("embeddings.position_ids", "cls.predictions.bias", "cls.seq_relationship.weight")),
        ("roberta", ("classifier.bias", "lm_head.dense.weight", "pooler.dense.weight")),
        ("modernbert", ("decoder.weight", "decoder.bias")),
    ],
)
def test_other_heads_and_constants_of_older_versions_are_ignored(
    tmp_path: Path, name: str, others: tuple[str, ...]
) -> None:
    folder = save_tiny_base(tmp_path, name)
    before = packed_logits(load(folder), TEXTS)
    add(*others)(folder)
    assert torch.equal(packed_logits(load(folder), TEXTS), before)
