import pytest
import torch

from feathertune.errors import UserError
from feathertune.model.adapt import find_targets
from feathertune.model.families import FAMILIES as SUPPORTED
from feathertune.model.families import family_of, head_parameters
from lively import lively_classifier
from tiny import FAMILIES, tiny_config

GROUPED = [f"layers.{layer}.self_attn.{name}" for layer in (0, 1) for name in ("q_proj", "k_proj", "v_proj", "o_proj")]
BERT_LIKE = [
    f"encoder.layer.{layer}.attention.{name}"
    for layer in (0, 1)
    for name in ("self.query", "self.key", "self.value", "output.dense")
]
ATTENTION = {
    "gpt2": ("transformer", [f"h.{layer}.attn.{name}" for layer in (0, 1) for name in ("c_attn", "c_proj")]),
    "bert": ("bert", BERT_LIKE),
    "roberta": ("roberta", BERT_LIKE),
    "xlm-roberta": ("roberta", BERT_LIKE),
    "camembert": ("roberta", BERT_LIKE),
    "data2vec": ("data2vec_text", BERT_LIKE),
    "electra": ("electra", BERT_LIKE),
    "mpnet": ("mpnet", [f"encoder.layer.{layer}.attention.attn.{name}" for layer in (0, 1) for name in "qkvo"]),
    "albert": (
        "albert",
        [
            f"encoder.albert_layer_groups.0.albert_layers.0.attention.{name}"
            for name in ("query", "key", "value", "dense")
        ],
    ),
    "eurobert": ("model", GROUPED),
    "nomic-bert": ("nomic_bert", GROUPED),
    "distilbert": (
        "distilbert",
        [
            f"transformer.layer.{layer}.attention.{name}"
            for layer in (0, 1)
            for name in ("q_lin", "k_lin", "v_lin", "out_lin")
        ],
    ),
    "deberta-v3": (
        "deberta",
        [
            f"encoder.layer.{layer}.attention.{name}"
            for layer in (0, 1)
            for name in ("self.query_proj", "self.key_proj", "self.value_proj", "output.dense")
        ],
    ),
    "modernbert": ("model", [f"layers.{layer}.attn.{name}" for layer in range(4) for name in ("Wqkv", "Wo")]),
    **dict.fromkeys(("llama", "mistral-window", "qwen2", "qwen3", "gemma3-window"), ("model", GROUPED)),
}
ROBERTA_HEAD = [f"classifier.{layer}.{kind}" for layer in ("dense", "out_proj") for kind in ("weight", "bias")]
HEADS = {
    **{name: ["classifier.weight", "classifier.bias"] for name in ("bert", "albert", "nomic-bert")},
    **dict.fromkeys(("roberta", "camembert", "data2vec", "mpnet"), ROBERTA_HEAD),
    "eurobert": ["dense.weight", "dense.bias", "classifier.weight", "classifier.bias"],
    "distilbert": ["pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias"],
    "deberta-v3": ["pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias"],
    "modernbert": ["head.dense.weight", "head.norm.weight", "classifier.weight", "classifier.bias"],
    **{name: ["score.weight"] for name in ("gpt2", "llama", "mistral-window", "qwen2", "qwen3", "gemma3-window")},
}


@pytest.mark.parametrize("name", ATTENTION)
def test_what_attention_means(name: str) -> None:
    prefix, layers = ATTENTION[name]
    found = find_targets(lively_classifier(name), "attention")
    assert sorted(found) == sorted(f"{prefix}.{layer}" for layer in layers)


@pytest.mark.parametrize("name", HEADS)
def test_what_the_head_is(name: str) -> None:
    classifier = lively_classifier(name)
    assert head_parameters(classifier.model, classifier.family) == HEADS[name]


def test_the_mean_of_a_sequence_is_pooled_if_the_config_sets_it() -> None:
    assert family_of("modernbert", "here").pooling(tiny_config("modernbert-mean")) == "mean"
    assert family_of("modernbert", "here").pooling(tiny_config("modernbert")) == "first"


def test_eurobert_pools_as_its_config_says() -> None:
    """`late` is transformers' default: the head is computed for every token, and its logits are averaged."""
    config, pooling = tiny_config("eurobert"), family_of("eurobert", "here").pooling
    found = {}
    for name in ("late", "mean", "bos"):
        config.classifier_pooling = name
        found[name] = pooling(config)
    assert tiny_config("eurobert").classifier_pooling == "late"
    assert found == {"late": "late", "mean": "mean", "bos": "first"}


@pytest.mark.parametrize("name", ["t5", "mamba", "berd"])
def test_the_error_for_an_unsupported_architecture_lists_the_supported_ones(name: str) -> None:
    with pytest.raises(UserError, match=f"the architecture '{name}' is not supported") as caught:
        family_of(name, where="some/model")
    assert str(caught.value).startswith("some/model: ")
    assert all(supported in str(caught.value) for supported in SUPPORTED)


def test_the_error_for_a_mistyped_architecture_names_the_nearest() -> None:
    with pytest.raises(UserError, match="The nearest is 'distilbert'"):
        family_of("distillbert", where="some/model")


@pytest.mark.parametrize(
    ("name", "near"),
    [("ernie", "bert"), ("longformer", "roberta"), ("phi3", "llama"), ("gemma2", "gemma3_text"), ("gpt_neox", "gpt2")],
)
def test_the_nearest_family_is_built_like_the_architecture(name: str, near: str) -> None:
    with pytest.raises(UserError, match=f"The nearest is '{near}'"):
        family_of(name, where="some/model")


@pytest.mark.parametrize("name", ["t5", "robot", "vit"])
def test_no_family_is_nearest_to_something_else_altogether(name: str) -> None:
    with pytest.raises(UserError) as caught:
        family_of(name, where="some/model")
    assert "nearest" not in str(caught.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_float32_whatever_the_dtype_of_the_base(name: str) -> None:
    from lively import packed_logits
    from tiny import random_texts

    classifier = lively_classifier(name).to(torch.bfloat16)
    logits = packed_logits(classifier, random_texts([3, 12]))
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
