from typing import Any

import numpy as np
import pytest
import torch

from feathertune.errors import UserError
from feathertune.model.adapt import (
    LoraShape,
    add_lora,
    count_parameters,
    find_targets,
    train_everything,
    train_head_only,
    trainable_state,
)
from feathertune.model.base import build_random
from feathertune.model.classifier import PackedClassifier
from feathertune.model.families import head_parameters
from feathertune.model.names import layer_number
from feathertune.recipe.schema import LastLayers
from feathertune.tokens.batch import pack
from lively import LABELS, adapt, adapted_names, largest_difference, lively_classifier, packed_logits
from tiny import FAMILIES, random_texts


def gpt2_of_the_true_shape(labels: tuple[str, ...] = ("no", "yes")) -> PackedClassifier:
    """Only shapes, so that counting 125 million parameters costs nothing."""
    from transformers import GPT2Config

    with torch.device("meta"):
        return build_random(GPT2Config(), labels, seed=0)


def test_gpt2_counts_as_peft_prints_it() -> None:
    classifier = gpt2_of_the_true_shape()
    names = find_targets(classifier, ("c_attn", "c_proj"))
    add_lora(classifier, LoraShape(rank=8, alpha=32, dropout=0.1, rslora=False, names=names), seed=0)
    assert len(names) == 12 * 3  # c_proj is attention's and the MLP's
    assert str(count_parameters(classifier)) == "trainable 812,544 of 125,253,888 (0.6487%)"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # PEFT calls it
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("targets", ["attention", "all-linear"])
def test_every_family_counts_as_peft_does(name: str, targets: str) -> None:
    from peft import LoraConfig, get_peft_model

    from tiny import transformers_twin

    classifier = lively_classifier(name)
    twin = transformers_twin(classifier)
    shape = adapt(classifier, targets)
    gpt2 = name == "gpt2"
    heads = list(classifier.family.head_modules)
    config = LoraConfig(r=4, target_modules=list(shape.names), modules_to_save=heads, fan_in_fan_out=gpt2)
    count = count_parameters(classifier)
    assert (count.trainable, count.total) == get_peft_model(twin, config).get_nb_trainable_parameters()


def test_the_head_alone_and_everything() -> None:
    classifier = lively_classifier("bert")
    whole = sum(p.numel() for p in classifier.parameters())
    train_head_only(classifier)
    assert list(trainable_state(classifier)) == ["classifier.weight", "classifier.bias"]
    assert count_parameters(classifier).trainable == 32 * 3 + 3
    train_everything(classifier)
    assert (count_parameters(classifier).trainable, count_parameters(classifier).total) == (whole, whole)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_lora_trains_is_its_factors_and_the_whole_head(name: str) -> None:
    classifier = lively_classifier(name)
    adapt(classifier)
    factors = {f"{layer}.{factor}" for layer in adapted_names(classifier.model) for factor in ("lora_A", "lora_B")}
    head = set(head_parameters(classifier.model, classifier.family))
    assert set(trainable_state(classifier)) == factors | head


def test_a_new_adapter_changes_nothing_and_depends_on_the_seed() -> None:
    def adapted(seed: int) -> PackedClassifier:
        classifier = lively_classifier("qwen3")
        names = find_targets(classifier, "attention")
        add_lora(classifier, LoraShape(4, 8.0, 0.1, False, names), seed)
        return classifier

    texts = random_texts([4, 9])
    plain = packed_logits(lively_classifier("qwen3"), texts)
    torch.testing.assert_close(packed_logits(adapted(0), texts), plain, rtol=0, atol=1e-5)
    first, again, other = (trainable_state(adapted(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert not all(torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_adapting_a_model_in_evaluation_mode_leaves_it_there() -> None:
    classifier, texts = lively_classifier("bert"), random_texts([5])
    adapt(classifier, dropout=0.5)
    assert not any(module.training for module in classifier.modules())
    assert torch.equal(packed_logits(classifier, texts), packed_logits(classifier, texts))


def test_rank_stabilized_scaling() -> None:
    assert LoraShape(16, 32.0, 0.0, False, ()).scaling == 2.0
    assert LoraShape(16, 32.0, 0.0, True, ()).scaling == 8.0
    texts, plain, stable = random_texts([5]), lively_classifier("llama"), lively_classifier("llama")
    adapt(plain, rslora=False)
    adapt(stable, rslora=True)
    assert largest_difference(packed_logits(plain, texts), packed_logits(stable, texts)) > 1e-2


def test_all_linear_means_every_linear_layer_except_the_head() -> None:
    names = find_targets(lively_classifier("llama"), "all-linear")
    endings = {name.rpartition(".")[2] for name in names}
    assert endings == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert "score" not in names
    assert not any("classifier" in name for name in find_targets(lively_classifier("distilbert"), "all-linear"))


@pytest.mark.parametrize(
    ("targets", "wanted"),
    [
        (("c_attn",), ["h.0.attn.c_attn", "h.1.attn.c_attn"]),
        (("c_proj",), ["h.0.attn.c_proj", "h.0.mlp.c_proj", "h.1.attn.c_proj", "h.1.mlp.c_proj"]),
        (("mlp.c_proj",), ["h.0.mlp.c_proj", "h.1.mlp.c_proj"]),
        (("transformer.h.1.mlp.c_fc",), ["h.1.mlp.c_fc"]),
        (("0.attn.c_attn", "c_fc"), ["h.0.attn.c_attn", "h.0.mlp.c_fc", "h.1.mlp.c_fc"]),
    ],
    ids=str,
)
def test_names_are_endings_as_in_peft(targets: tuple[str, ...], wanted: list[str]) -> None:
    assert find_targets(lively_classifier("gpt2"), targets) == tuple(f"transformer.{name}" for name in wanted)


@pytest.mark.parametrize(
    ("family", "wrong", "message"),
    [
        ("gpt2", "c_atn", "'c_atn' matches no linear layer of this model; did you mean 'c_attn'\\?"),
        ("llama", "qproj", "did you mean 'q_proj'\\?"),
        ("bert", "querry", "did you mean 'query'\\?"),
        ("bert", "word_embeddings", "'word_embeddings' matches no linear layer"),
        ("bert", "classifier", "'classifier' matches no linear layer"),
        ("gpt2", "attn", "'attn' matches no linear layer"),
        ("gpt2", "ttn.c_attn", "'ttn.c_attn' matches no linear layer"),
    ],
)
def test_the_error_for_a_wrong_name_lists_the_right_ones(family: str, wrong: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        find_targets(lively_classifier(family), (wrong,))
    assert "give `attention` or `all-linear`" in str(caught.value)


def test_one_right_name_does_not_hide_a_wrong_one() -> None:
    with pytest.raises(UserError, match="'k_projj'"):
        find_targets(lively_classifier("llama"), ("q_proj", "k_projj"))


def test_adapting_twice_is_an_error() -> None:
    classifier = lively_classifier("bert")
    adapt(classifier)
    with pytest.raises(TypeError, match="is already adapted"):
        adapt(classifier)


def test_a_step_of_training_moves_factors_and_head_and_nothing_else() -> None:
    import numpy as np

    from feathertune.tokens.batch import pack

    classifier = lively_classifier("gpt2")
    adapt(classifier)
    before = {name: p.detach().clone() for name, p in classifier.model.named_parameters()}
    trained = trainable_state(classifier)
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    logits: Any = classifier(pack(random_texts([4, 6, 3]), np.arange(3)))
    torch.nn.functional.cross_entropy(logits, torch.arange(3) % len(LABELS)).backward()
    optimizer.step()
    for name, parameter in classifier.model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in trained), name


@pytest.mark.parametrize(
    ("family", "layers", "numbers"),
    [
        ("gpt2", LastLayers(last=1), {1}),
        ("modernbert", LastLayers(last=3), {1, 2, 3}),
        ("modernbert", (0, 2), {0, 2}),
        ("bert", LastLayers(last=2), {0, 1}),  # without the pooler, as in PEFT
        ("albert", LastLayers(last=1), {0}),  # which all of its layers share
    ],
)
def test_only_some_layers_are_adapted(family: str, layers: Any, numbers: set[int]) -> None:
    classifier = lively_classifier(family)
    names = find_targets(classifier, "all-linear", layers)
    assert {layer_number(name) for name in names} == numbers
    all_names = find_targets(classifier, "all-linear")
    assert names == tuple(name for name in all_names if layer_number(name) in numbers)


def test_layers_below_the_first_adapted_one_have_no_gradient() -> None:
    classifier = lively_classifier("gpt2")
    add_lora(classifier, LoraShape(4, 8.0, 0.0, False, find_targets(classifier, "attention", LastLayers(last=1))), 0)
    rows: dict[int, bool] = {}
    for number, block in enumerate(classifier.model.transformer.h):  # type: ignore[union-attr, arg-type]
        block.register_forward_hook(
            lambda _, __, output, number=number: rows.__setitem__(
                number, (output if isinstance(output, torch.Tensor) else output[0]).requires_grad
            )
        )
    classifier(pack(random_texts([5, 3]), np.arange(2)))
    assert rows == {0: False, 1: True}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (LastLayers(last=3), "lora.layers: the model has 2 layers, not 3"),
        ((1, 2), "lora.layers: the model has no layer 2; its layers are 0 to 1"),
    ],
)
def test_a_layer_that_is_not_there_is_an_error(layers: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_targets(lively_classifier("gpt2"), "attention", layers)


def test_targets_outside_the_layers_are_an_error() -> None:
    with pytest.raises(UserError, match="none of the targets is in these layers"):
        find_targets(lively_classifier("gpt2"), ("h.0.attn.c_attn",), LastLayers(last=1))
