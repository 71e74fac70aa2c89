"""`training.share_prefixes`: common prefixes are computed once, with the same loss and gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from feathertune.errors import UserError
from feathertune.model.adapt import trainable_state
from feathertune.model.dropout_rates import has_dropout, set_dropouts
from feathertune.recipe.files import parse_recipe
from feathertune.recipe.schema import Recipe
from feathertune.run.prepare import prepare
from feathertune.run.train import train
from feathertune.tokens.batch import pack
from lively import adapt, lively_classifier
from tiny import save_tiny_base, token_rows, write_tiny_data

# Texts that are equal, that are prefixes of others, or that only start alike; one is longer than 128 tokens.
ROWS = [[5, 6, 7], [5, 6], [5, 6, 7, 9], [9, 6, 7], [5, 6], [4], [5, 6, 8] * 3]
LONG = [*ROWS, [5, *range(3, 110), *range(3, 60)]]
CAUSAL = ("gpt2", "llama", "mistral-window", "qwen2", "qwen3", "gemma3-window")


@pytest.mark.parametrize("rows", [ROWS, LONG], ids=["short", "long"])
@pytest.mark.parametrize("name", CAUSAL)
def test_loss_and_gradients_are_the_same(name: str, rows: list[list[int]]) -> None:
    classifier, texts = lively_classifier(name), token_rows(rows)
    set_dropouts(classifier.model, 0.0)
    adapt(classifier, "all-linear")
    classifier.train()
    indices, targets = np.arange(len(texts)), torch.arange(len(texts)) % 3
    results = []
    for share in (False, True):
        batch = pack(texts, indices, share_prefixes=share, multiple=8)
        loss = functional.cross_entropy(classifier(batch), targets)
        weights = list(trainable_state(classifier).values())
        results.append((len(batch.ids_T), loss.detach(), torch.autograd.grad(loss, weights)))
    (tokens, loss, gradients), (fewer_tokens, shared_loss, shared_gradients) = results
    assert fewer_tokens < tokens
    torch.testing.assert_close(shared_loss, loss, rtol=1e-5, atol=1e-6)
    for ours, plain in zip(shared_gradients, gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()) + 1e-7)


def recipe(folder: Path, base: str, *changes: str) -> Recipe:
    save_tiny_base(folder / base, base)
    data = write_tiny_data(folder / "data", train=64, validation=20)
    text = f"""
    model: {{source: '{folder / base}'}}
    data: {{source: '{data}'}}
    lora: {{rank: 2, dropout: 0.0, targets: all-linear}}
    training: {{epochs: 1, learning_rate: 0.01, precision: fp32, share_prefixes: true}}
    """
    return parse_recipe(text, list(changes), where="here")


def test_a_run_learns_the_same_with_it(tmp_path: Path) -> None:
    shared = train(recipe(tmp_path, "gpt2", "model.dropout=0"), tmp_path / "shared")
    plain = train(recipe(tmp_path, "gpt2", "model.dropout=0", "training.share_prefixes=false"), tmp_path / "plain")
    assert shared["after"]["validation"]["loss"] == pytest.approx(plain["after"]["validation"]["loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        ("bert", ["model.dropout=0"], "depend on what follows"),
        ("gpt2", [], "with dropout"),
        ("gpt2", ["model.dropout=0", "lora.dropout=0.1"], "with dropout"),
    ],
)
def test_where_it_would_not_be_exact_it_is_refused(tmp_path: Path, base: str, changes: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare(recipe(tmp_path, base, *changes), torch.device("cpu"))


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama", "distilbert", "modernbert"])
def test_the_bases_dropout_can_be_set(name: str) -> None:
    classifier = lively_classifier(name)
    set_dropouts(classifier.model, 0.3)
    assert has_dropout(classifier.model)
    set_dropouts(classifier.model, 0.0)
    assert not has_dropout(classifier.model)
    adapt(classifier, dropout=0.2)
    assert has_dropout(classifier.model)
