"""The last layer run for the pooled rows alone gives them as a run for all rows does, and filler changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from feathertune.tokens.batch import pack
from lively import MODELS, adapt, largest_difference
from tiny import random_texts

TEXTS = random_texts([5, 1, 30, 9, 2, 17, 140])


@pytest.mark.parametrize("end", ["starts_B", "ends_B"])
@pytest.mark.parametrize("name", MODELS)
def test_pooled_rows_are_those_of_the_whole_layer(name: str, end: str) -> None:
    """Also where the model pools another token: each row is right on its own."""
    classifier = MODELS[name]()
    batch = pack(TEXTS, np.arange(len(TEXTS)), multiple=8)
    rows_B = getattr(batch.packing, end)
    ids, positions = batch.ids_T[None], batch.positions_T[None]
    positions = positions + classifier.family.first_position(classifier.model.config)
    with torch.no_grad():
        whole, trimmed = (
            classifier.model.base_model(
                input_ids=ids, position_ids=positions, packing=replace(batch.packing, pooled_B=pooled)
            ).last_hidden_state[0]
            for pooled in (None, rows_B)
        )
    assert trimmed.shape == whole.shape
    assert largest_difference(trimmed[: len(batch)], whole[rows_B]) < 1e-5
    assert largest_difference(trimmed[: len(batch)], whole[rows_B.roll(1)]) > 1e-2


@pytest.mark.parametrize("name", MODELS)
def test_filler_changes_neither_logits_nor_gradients(name: str) -> None:
    results = []
    for multiple in (1, 64):
        classifier = MODELS[name]()
        adapt(classifier, "all-linear")
        batch = pack(TEXTS, np.arange(len(TEXTS)), multiple=multiple)
        logits = classifier(batch)
        torch.nn.functional.cross_entropy(logits, torch.arange(len(TEXTS)) % 3).backward()
        gradient = torch.cat([p.grad.flatten() for p in classifier.parameters() if p.grad is not None])
        results.append((len(batch.ids_T), logits.detach(), gradient))
    (plain_length, plain, wanted), (filled_length, filled, found) = results
    assert filled_length > plain_length
    assert largest_difference(plain, filled) < 1e-5
    assert (found - wanted).norm() < 1e-5 * wanted.norm()
