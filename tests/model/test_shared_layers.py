"""ALBERT: layers that are used several times, each use with its own trimming and recomputation."""

from collections import Counter

import pytest

from feathertune.kernels.pooled_rows import repeated_layers
from feathertune.model.adapt import count_parameters, find_targets
from lively import adapt, lively_classifier, packed_logits
from tiny import random_texts


def uses(**changes: int) -> list[str]:
    """The names of an ALBERT's layers in the order they are used."""
    classifier = lively_classifier("albert", **changes)
    names = {id(module): name for name, module in classifier.model.named_modules()}
    layers = repeated_layers(classifier.model.base_model, classifier.model.config.num_hidden_layers)
    stack = "albert.encoder.albert_layer_groups."
    return [names[id(layer._layer[0])].removeprefix(stack) for layer in layers]  # type: ignore[index, union-attr]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, ["0.albert_layers.0"] * 3),
        ({"num_hidden_groups": 2}, ["0.albert_layers.0"] * 2 + ["1.albert_layers.0"]),
        ({"num_hidden_layers": 2, "inner_group_num": 2}, ["0.albert_layers.0", "0.albert_layers.1"] * 2),
    ],
    ids=["one layer", "two groups", "two layers in a group"],
)
def test_every_use_of_a_layer_in_order(changes: dict[str, int], wanted: list[str]) -> None:
    assert uses(**changes) == wanted


def test_a_layer_has_one_set_of_parameters_and_one_name_whatever_its_uses() -> None:
    once, often = lively_classifier("albert", num_hidden_layers=1), lively_classifier("albert", num_hidden_layers=12)
    assert set(often.model.state_dict()) == set(once.model.state_dict())
    assert count_parameters(often).total == count_parameters(once).total
    assert max(Counter(id(p) for p in often.model.state_dict(keep_vars=True).values()).values()) == 1


def test_one_adapter_changes_every_use() -> None:
    classifier = lively_classifier("albert")
    before = packed_logits(classifier, random_texts([5, 9]))
    assert len(find_targets(classifier, "attention")) == 4
    adapt(classifier)
    assert len([name for name, _ in classifier.model.named_parameters() if name.endswith("lora_A")]) == 4
    assert (packed_logits(classifier, random_texts([5, 9])) - before).abs().max() > 1e-2
