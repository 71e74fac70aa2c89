"""What is quantized: everything, counted; and what must not be skipped silently."""

from typing import Any

import pytest
import torch
from torch import nn

from feathertune.errors import UserError
from feathertune.model.adapt import LoraShape, add_lora, find_targets
from feathertune.model.base import build_empty, build_random
from feathertune.quantization.convert import convert, fake_quantize
from feathertune.quantization.fake import FakeQuantizedLinear
from feathertune.quantization.integer import IntegerEmbedding, IntegerLinear
from feathertune.quantization.scheme import Scheme, plan_quantization
from lively import adapt, lively_classifier
from tiny import FAMILIES, tiny_config


def test_gpt2_has_48_linears_two_embeddings_and_a_head() -> None:
    from transformers import GPT2Config

    classifier = build_empty(GPT2Config(), ("no", "yes"))
    plan = plan_quantization(classifier, Scheme("int4"))
    assert len(plan.linears) == 48
    assert plan.embeddings == ("transformer.wte", "transformer.wpe")
    assert plan.head == {"score": 8}
    assert set(plan.linears.values()) == {4}
    assert plan.excluded == ()


def test_gpt2_is_quantized_as_counted() -> None:
    from transformers import GPT2Config

    config = GPT2Config(n_embd=48, n_head=4, vocab_size=100)
    classifier = build_random(config, ("no", "yes"), 0)
    add_lora(classifier, LoraShape(4, 8.0, 0.0, False, find_targets(classifier, "attention")), 0)
    fake_quantize(classifier, plan_quantization(classifier, Scheme("int8")), "fp32")
    kinds = [type(module) for module in classifier.model.modules()]
    assert (kinds.count(FakeQuantizedLinear), kinds.count(IntegerEmbedding)) == (49, 2)
    assert not {nn.Linear, nn.Embedding} & set(kinds)


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_but_norms_and_biases_stays_float(name: str) -> None:
    classifier = lively_classifier(name)
    adapt(classifier, "all-linear")
    convert(classifier, plan_quantization(classifier, Scheme("int4")))
    assert all(parameter.ndim == 1 for parameter in classifier.model.parameters())
    assert not any(isinstance(m, (nn.Linear, nn.Embedding)) for m in classifier.model.modules())


def test_what_the_recipe_leaves_out_stays_as_it_was() -> None:
    classifier = lively_classifier("bert")
    scheme = Scheme("int8", embeddings="fp32", head="fp32", exclude=("attention.output.dense", "pooler.dense"))
    plan = plan_quantization(classifier, scheme)
    assert set(plan.excluded) == {
        "bert.embeddings.word_embeddings",
        "bert.embeddings.position_embeddings",
        "bert.embeddings.token_type_embeddings",
        "bert.encoder.layer.0.attention.output.dense",
        "bert.encoder.layer.1.attention.output.dense",
        "bert.pooler.dense",
        "classifier",
    }
    before = {name: classifier.model.get_submodule(name).weight.clone() for name in plan.excluded}
    convert(classifier, plan)
    for name, weight in before.items():
        assert torch.equal(classifier.model.get_submodule(name).weight, weight)
    assert isinstance(classifier.model.bert.encoder.layer[0].intermediate.dense, IntegerLinear)


def test_an_exclusion_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(UserError, match=r"'quary' matches no linear layer .*; did you mean 'query'"):
        plan_quantization(lively_classifier("bert"), Scheme("int8", exclude=("quary",)))


def test_a_layer_of_an_unknown_kind_is_an_error() -> None:
    """torchao skips GPT-2's Conv1D without a word."""
    from transformers.pytorch_utils import Conv1D

    classifier = build_random(tiny_config("gpt2"), ("no", "yes"), 0)
    classifier.model.transformer.h[1].mlp.c_fc = Conv1D(64, 32)
    with pytest.raises(UserError, match=r"h\.1\.mlp\.c_fc\.weight .* would stay in float32: Conv1D"):
        plan_quantization(classifier, Scheme("int8"))


def test_an_embedding_of_an_unknown_kind_is_an_error() -> None:
    class Odd(nn.Embedding):
        def forward(self, ids: Any) -> Any:
            return super().forward(ids).tanh()

    classifier = lively_classifier("llama")
    old = classifier.model.model.embed_tokens
    classifier.model.model.embed_tokens = Odd(*old.weight.shape)
    with pytest.raises(UserError, match="embed_tokens is a Odd"):
        convert(classifier, plan_quantization(classifier, Scheme("int8")))
