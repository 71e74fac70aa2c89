"""Gradient checkpointing changes memory and time, but no result, even with dropout."""

from typing import Any

import numpy as np
import pytest
import torch

from feathertune.kernels.dropout import seed_dropout
from feathertune.kernels.pooled_rows import repeated_layers
from feathertune.model.adapt import train_everything
from feathertune.model.classifier import PackedClassifier
from feathertune.model.gradient_checkpointing import enable_gradient_checkpointing
from feathertune.model.precision import Precision, set_precision
from feathertune.tokens.batch import TokenBatch, pack
from lively import LABELS, adapt, lively_classifier
from short_training import set_dropout
from tiny import FAMILIES, random_texts

TEXTS = random_texts([5, 1, 30, 9, 2])
BATCH = pack(TEXTS, np.arange(len(TEXTS)), multiple=8)
TARGETS = torch.arange(len(TEXTS)) % len(LABELS)


def trained(name: str, method: str, precision: Precision = "fp32", rate: float = 0.3) -> PackedClassifier:
    """A model ready for training, with this rate for every dropout."""
    rates = ("attn_pdrop", "attention_dropout", "attention_probs_dropout_prob")
    classifier = lively_classifier(name, **dict.fromkeys(rates, rate))
    set_dropout(classifier, rate)
    if method == "lora":
        adapt(classifier, "all-linear", dropout=rate)
    else:
        train_everything(classifier)
    set_precision(classifier, precision)
    return classifier.train()


def loss_and_gradients(classifier: PackedClassifier) -> tuple[float, dict[str, torch.Tensor]]:
    seed_dropout(3)
    loss = torch.nn.functional.cross_entropy(classifier(BATCH), TARGETS)
    loss.backward()
    return float(loss.detach()), {name: p.grad for name, p in classifier.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("name", FAMILIES)
def test_loss_and_gradients_are_the_same_bit_for_bit(name: str, method: str, precision: Precision) -> None:
    plain, checkpointed = trained(name, method, precision), trained(name, method, precision)
    enable_gradient_checkpointing(checkpointed)
    loss, gradients = loss_and_gradients(plain)
    loss_again, gradients_again = loss_and_gradients(checkpointed)
    assert loss == loss_again
    assert gradients.keys() == gradients_again.keys()
    assert all(torch.equal(gradient, gradients_again[key]) for key, gradient in gradients.items())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_layer_but_the_last_is_computed_twice(name: str) -> None:
    classifier = trained(name, "lora")
    depth = classifier.model.config.num_hidden_layers
    runs = [0] * depth

    def count(index: int, forward: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            runs[index] += 1
            return forward(*arguments, **options)

        return counted

    layers = repeated_layers(classifier.model.base_model, depth)
    for index, layer in enumerate(layers):
        layer.forward = count(index, layer.forward)  # type: ignore[method-assign]
    enable_gradient_checkpointing(classifier)
    loss_and_gradients(classifier)
    trimmed = classifier.family.pooling(classifier.model.config) in ("first", "last")
    assert runs == [2] * (depth - 1) + [1 + trimmed]  # the trimmed layer runs a second time for the pooled rows
    with torch.no_grad():
        classifier(BATCH)
    assert runs == [3] * (depth - 1) + [2 * (1 + trimmed)]


def saved_bytes(classifier: PackedClassifier, batch: TokenBatch) -> int:
    """The bytes that the graph saves for the backward pass, without weights."""
    held: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in classifier.parameters()}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits = classifier(batch)
    assert logits.requires_grad
    return sum(held.values())


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_the_graph_keeps_much_less(name: str) -> None:
    plain, checkpointed = (lively_classifier(name, num_hidden_layers=8) for _ in range(2))
    for classifier in (plain, checkpointed):
        adapt(classifier, "all-linear", dropout=0.1)
        classifier.train()
    enable_gradient_checkpointing(checkpointed)
    assert saved_bytes(checkpointed, BATCH) < 0.5 * saved_bytes(plain, BATCH)


# transformers also recomputes the last layer, of which the two runs of a trimmed DeBERTa are not the same operations.
# ALBERT and MPNet have none.
@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("deberta-v3", "albert", "mpnet")])
def test_transformers_own_gives_the_same_gradients_without_dropout(name: str) -> None:
    ours, theirs = trained(name, "lora", rate=0.0), trained(name, "lora", rate=0.0)
    enable_gradient_checkpointing(ours)
    theirs.model.activation_checkpointing_enable({"use_reentrant": False})
    (loss, gradients), (their_loss, their_gradients) = loss_and_gradients(ours), loss_and_gradients(theirs)
    assert loss == pytest.approx(their_loss, rel=1e-6)
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradient, their_gradients[key], rtol=1e-4, atol=1e-5)
