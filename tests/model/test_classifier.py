import numpy as np
import pytest
import torch

from feathertune.model.classifier import PackedClassifier, ParameterCount, mean
from feathertune.tokens.batch import pack
from lively import lively_classifier
from tiny import random_texts


@pytest.mark.parametrize("multiple", [1, 16])
def test_the_mean_of_each_sequences_rows(multiple: int) -> None:
    packing = pack(random_texts([3, 1, 2]), np.arange(3), multiple=multiple).packing
    hidden_TD = torch.arange(float(len(packing.to_packed_T)))[:, None].repeat(1, 2)
    assert mean(hidden_TD, packing).tolist() == [[value, value] for value in (1.0, 3.0, 4.5)]


def test_a_count_reads_as_pefts_does() -> None:
    assert str(ParameterCount(812_544, 125_253_888)) == "trainable 812,544 of 125,253,888 (0.6487%)"


def test_labels_are_in_the_order_of_the_classes() -> None:
    assert lively_classifier("bert").label_names == ("no", "yes", "maybe")


def test_logits_come_in_the_order_of_the_batch() -> None:
    classifier, texts = lively_classifier("llama"), random_texts([4, 9, 2])
    forward, backward = (classifier(pack(texts, np.array(order))) for order in ([0, 1, 2], [2, 1, 0]))
    torch.testing.assert_close(forward, backward.flip(0), rtol=0, atol=1e-5)


def test_by_default_the_head_is_what_came_from_no_checkpoint() -> None:
    model = lively_classifier("distilbert").model
    assert PackedClassifier(model).initialized == {
        "pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias"
    }  # fmt: skip
    assert PackedClassifier(model, frozenset()).initialized == frozenset()
