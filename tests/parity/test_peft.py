"""PEFT loads our adapters and we load PEFT's, with equal logits."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from feathertune.model.adapt import (
    LoraShape,
    find_targets,
    merge,
    train_head_only,
)
from feathertune.model.base import build_random
from feathertune.model.classifier import PackedClassifier
from feathertune.model.peft_files import load_adapter, read_labels, save_adapter
from lively import LABELS, adapt, largest_difference, lively_classifier, move_trained, packed_logits
from tiny import FAMILIES, SHARED, padded_logits, random_texts, transformers_twin

TEXTS = random_texts([5, 1, 12, 12, 30])
REFERENCE = SHARED / "reference-adapter"

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Could not find a config file in:UserWarning"),  # PEFT looks on the Hub
]


def theirs(model: Any) -> torch.Tensor:
    return padded_logits(model.eval(), TEXTS, np.arange(len(TEXTS)))


def peft_loads(classifier: PackedClassifier, folder: Path) -> torch.Tensor:
    return theirs(PeftModel.from_pretrained(transformers_twin(classifier), folder))


def peft_trains(classifier: PackedClassifier, folder: Path, **options: Any) -> torch.Tensor:
    """Save an adapter made by PEFT, with all trained tensors changed, and return its logits."""
    options = {"modules_to_save": list(classifier.family.head_modules), "r": 4, "lora_alpha": 8, **options}
    fan_in_fan_out = classifier.model.config.model_type == "gpt2"
    config = LoraConfig(task_type="SEQ_CLS", fan_in_fan_out=fan_in_fan_out, **options)
    model = get_peft_model(transformers_twin(classifier), config)
    move_trained(model)
    model.save_pretrained(folder)
    return theirs(model)


OURS: dict[str, dict[str, Any]] = {
    "attention": {"targets": "attention"},
    "all-linear": {"targets": "all-linear"},
    "rslora": {"targets": "attention", "rslora": True},
    "dropout": {"targets": "attention", "dropout": 0.5},
}


@pytest.mark.parametrize("options", OURS.values(), ids=OURS)
@pytest.mark.parametrize("name", FAMILIES)
def test_peft_loads_ours(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    classifier, base = lively_classifier(name), lively_classifier(name)
    shape = adapt(classifier, **options)
    save_adapter(classifier, tmp_path, shape, base="base", revision=None)
    ours = packed_logits(classifier, TEXTS)
    assert largest_difference(ours, packed_logits(base, TEXTS)) > 1e-2
    assert largest_difference(ours, peft_loads(base, tmp_path)) < 1e-5
    loaded = load_adapter(base, tmp_path)
    assert loaded is not None
    assert set(loaded.names) == set(shape.names)
    assert (loaded.rank, loaded.alpha, loaded.dropout, loaded.rslora) == (4, 8.0, shape.dropout, shape.rslora)
    assert torch.equal(ours, packed_logits(base, TEXTS))


@pytest.mark.parametrize("name", FAMILIES)
def test_peft_loads_our_head_alone(tmp_path: Path, name: str) -> None:
    classifier, base = lively_classifier(name), lively_classifier(name)
    train_head_only(classifier)
    move_trained(classifier.model)
    save_adapter(classifier, tmp_path, None, base="base", revision=None)
    ours = packed_logits(classifier, TEXTS)
    assert largest_difference(ours, packed_logits(base, TEXTS)) > 1e-2
    assert largest_difference(ours, peft_loads(base, tmp_path)) < 1e-5
    assert load_adapter(base, tmp_path) is None
    assert torch.equal(ours, packed_logits(base, TEXTS))


@pytest.mark.parametrize(
    "options",
    [{}, {"use_rslora": True, "lora_dropout": 0.5}, {"all-linear": True}],
    ids=["plain", "rslora", "all-linear"],
)
@pytest.mark.parametrize("name", FAMILIES)
def test_we_load_pefts(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    classifier = lively_classifier(name)
    targets: Any = list(classifier.family.attention)
    if "all-linear" in options:
        options, targets = {}, "all-linear"
    before = packed_logits(classifier, TEXTS)
    peft = peft_trains(classifier, tmp_path, target_modules=targets, **options)
    shape = load_adapter(classifier, tmp_path)
    assert shape is not None
    assert set(shape.names) == set(find_targets(classifier, "all-linear" if targets == "all-linear" else "attention"))
    assert largest_difference(packed_logits(classifier, TEXTS), before) > 1e-2
    assert largest_difference(packed_logits(classifier, TEXTS), peft) < 1e-5
    merge(classifier)
    assert largest_difference(packed_logits(classifier, TEXTS), peft) < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_we_load_pefts_head_alone(tmp_path: Path, name: str) -> None:
    classifier = lively_classifier(name)
    peft = peft_trains(classifier, tmp_path, target_modules="dummy-target-modules")
    assert load_adapter(classifier, tmp_path) is None
    assert largest_difference(packed_logits(classifier, TEXTS), peft) < 1e-5


def test_we_load_what_peft_adapted_by_pattern_and_layer(tmp_path: Path) -> None:
    classifier = lively_classifier("llama")
    peft = peft_trains(classifier, tmp_path, target_modules=r".*\.(q_proj|gate_proj)")
    load_adapter(classifier, tmp_path)
    assert largest_difference(packed_logits(classifier, TEXTS), peft) < 1e-5
    other = lively_classifier("llama")
    peft = peft_trains(other, tmp_path / "one", target_modules=["v_proj"], layers_to_transform=[1])
    shape = load_adapter(other, tmp_path / "one")
    assert shape is not None
    assert shape.names == ("model.layers.1.self_attn.v_proj",)
    assert largest_difference(packed_logits(other, TEXTS), peft) < 1e-5


MORE_THAN_LORA: dict[str, tuple[str, dict[str, Any]]] = {
    "rank and alpha by layer": (
        "bert",
        {"rank_pattern": {"layer.1.*query": 2, "value": 3}, "alpha_pattern": {"^bert.encoder.layer.0.*": 5}},
    ),
    "rank by layer, rslora": ("gpt2", {"rank_pattern": {r"h\.0\.attn\.c_attn": 2}, "use_rslora": True}),
    "a layer's name is no substring": ("llama", {"rank_pattern": {"proj": 2}, "alpha_pattern": {"q_proj": 3}}),
    "DoRA": ("llama", {"use_dora": True}),
    "DoRA on Conv1D": ("gpt2", {"use_dora": True, "lora_dropout": 0.1}),
    "DoRA by layer": ("roberta", {"use_dora": True, "rank_pattern": {"query": 2}, "use_rslora": True}),
    "the layers' biases": ("bert", {"bias": "lora_only"}),
    "biases of Conv1D": ("gpt2", {"bias": "lora_only"}),
    "all biases": ("roberta", {"bias": "all"}),
    "all biases, DoRA": ("distilbert", {"bias": "all", "use_dora": True}),
    "the factors' biases": ("bert", {"lora_bias": True}),
    "the factors' biases without others": ("llama", {"lora_bias": True, "use_rslora": True}),
    "some layers": ("bert", {"layers_to_transform": [1], "layers_pattern": "layer"}),
    "a pooler": ("bert", {"modules_to_save": ["pooler", "classifier"]}),
    "a minor component": ("bert", {"init_lora_weights": "mica"}),
}


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed:UserWarning")
@pytest.mark.filterwarnings("ignore:Adapter 'default'.* invalid shape:UserWarning")  # PEFT means lora_B's bias
@pytest.mark.filterwarnings("ignore:The following rank_pattern keys did not match:RuntimeWarning")
@pytest.mark.parametrize(("name", "options"), MORE_THAN_LORA.values(), ids=MORE_THAN_LORA)
def test_we_load_what_peft_can_do_beyond_plain_lora(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    classifier = lively_classifier(name)
    before = packed_logits(classifier, TEXTS)
    peft = peft_trains(classifier, tmp_path, target_modules=list(classifier.family.attention), **options)
    load_adapter(classifier, tmp_path)
    assert largest_difference(packed_logits(classifier, TEXTS), before) > 1e-2
    assert largest_difference(packed_logits(classifier, TEXTS), peft) < 1e-5
    merge(classifier)
    assert largest_difference(packed_logits(classifier, TEXTS), peft) < 1e-5


def test_ranks_and_alphas_by_layer_go_both_ways(tmp_path: Path) -> None:
    classifier, base = lively_classifier("bert"), lively_classifier("bert")
    options = {"rank_pattern": {"query": 2}, "alpha_pattern": {"1.attention.self.value": 3}}
    peft = peft_trains(classifier, tmp_path / "theirs", target_modules=["query", "value"], **options)
    shape = load_adapter(classifier, tmp_path / "theirs")
    save_adapter(classifier, tmp_path / "ours", shape, base="base", revision=None)
    assert largest_difference(peft_loads(base, tmp_path / "ours"), peft) < 1e-5
    assert load_adapter(base, tmp_path / "ours") == shape


def test_a_pooler_that_peft_has_trained_is_trained_on(tmp_path: Path) -> None:
    classifier = lively_classifier("bert")
    peft_trains(classifier, tmp_path, target_modules=["query"], modules_to_save=["pooler"])
    load_adapter(classifier, tmp_path)
    assert classifier.family.head_modules == ("bert.pooler", "classifier")
    assert classifier.model.bert.pooler.dense.weight.requires_grad


def test_part_of_the_head_may_stay_the_bases(tmp_path: Path) -> None:
    """By default PEFT saves DistilBERT's `classifier` but not its `pre_classifier`."""
    trained = lively_classifier("distilbert")
    base = PackedClassifier(trained.model, initialized=frozenset()).eval()
    peft = peft_trains(base, tmp_path, target_modules=["q_lin"], modules_to_save=["classifier"])
    load_adapter(base, tmp_path)
    assert largest_difference(packed_logits(base, TEXTS), peft) < 1e-5


def test_a_step_of_ours_is_a_step_of_pefts(tmp_path: Path) -> None:
    """One SGD step by us and by PEFT from the same adapter gives equal logits."""
    from feathertune.model.adapt import trainable_state
    from feathertune.tokens.batch import pack

    classifier = lively_classifier("gpt2")
    base = transformers_twin(classifier)
    save_adapter(classifier, tmp_path, adapt(classifier), base="base", revision=None)
    model = PeftModel.from_pretrained(base, tmp_path, is_trainable=True).eval()
    labels = torch.arange(len(TEXTS)) % len(LABELS)
    ids = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(TEXTS[i].astype(np.int64)) for i in range(len(TEXTS))], True
    )
    mask = torch.arange(ids.shape[1]) < torch.from_numpy(TEXTS.lengths)[:, None]
    for logits, trained in (
        (classifier(pack(TEXTS, np.arange(len(TEXTS)))), list(trainable_state(classifier).values())),
        (model(input_ids=ids, attention_mask=mask.long()).logits, [p for p in model.parameters() if p.requires_grad]),
    ):
        before = logits.detach().clone()
        torch.nn.functional.cross_entropy(logits, labels).backward()
        torch.optim.SGD(trained, lr=0.05).step()
    ours = packed_logits(classifier, TEXTS)
    assert largest_difference(ours, before) > 1e-2
    assert largest_difference(ours, theirs(model)) < 1e-5


def test_labels_are_read_back_unchanged(tmp_path: Path) -> None:
    labels = ("NÉGATIF", "", "a b\n", "10", "2", *(str(number) for number in range(20, 27)))
    from tiny import tiny_config

    classifier = build_random(tiny_config("bert"), labels, seed=0)
    train_head_only(classifier)
    save_adapter(classifier, tmp_path, None, base="base", revision=None)
    assert read_labels(tmp_path) == labels
    assert read_labels(tmp_path / "nowhere") is None


@pytest.fixture(scope="module")
def gpt2() -> Iterator[PackedClassifier]:
    """A random GPT-2 of the true shape."""
    from transformers import GPT2Config

    yield build_random(GPT2Config(), ("no", "yes"), seed=0)
    gc.collect()


@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no adapter of PEFT 0.11 at {REFERENCE}")
def test_an_adapter_of_peft_0_11_on_gpt2_of_the_true_shape(gpt2: PackedClassifier) -> None:
    before = packed_logits(gpt2, TEXTS)
    twin = transformers_twin(gpt2)
    peft = theirs(PeftModel.from_pretrained(twin, REFERENCE))
    del twin
    shape = load_adapter(gpt2, REFERENCE)
    assert shape == LoraShape(8, 32.0, 0.1, False, shape.names if shape else ())
    assert len(shape.names) == 36
    ours = packed_logits(gpt2, TEXTS)
    assert largest_difference(ours, peft) < 1e-5
    assert largest_difference(ours, before) > 0.1
    assert json.loads((REFERENCE / "adapter_config.json").read_text())["fan_in_fan_out"] is True
    merge(gpt2)
    assert largest_difference(packed_logits(gpt2, TEXTS), peft) < 1e-5
