"""What is special in DeBERTa: its offsets, their buckets, and its settings. That all else holds is tested by family."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from feathertune.errors import UserError
from feathertune.export.padded import PaddedClassifier
from feathertune.export.single import SingleTextClassifier
from feathertune.kernels.dropout import seed_dropout
from feathertune.quantization.scheme import Scheme, plan_quantization
from feathertune.tokens.batch import pack
from lively import MODELS, largest_difference, lively_classifier, packed_logits
from tiny import padded_logits, random_texts, transformers_twin

TEXTS = random_texts([5, 1, 30, 64, 2])
ALL = np.arange(len(TEXTS))


@pytest.mark.parametrize("longest", [1, 2, 9, 17, 150, 290])
@pytest.mark.parametrize("buckets", [-1, 16, 64])
def test_an_offset_has_the_embedding_that_transformers_gives_it(buckets: int, longest: int) -> None:
    encoder = lively_classifier("deberta-v3", position_buckets=buckets).model.deberta.encoder
    slots, rows = torch.arange(longest), torch.empty(longest, 1)
    theirs = build_relative_position(rows, rows, buckets, encoder.max_relative_positions)[0]
    wanted = torch.clamp(theirs + len(encoder.rel_embeddings.weight) // 2, 0, len(encoder.rel_embeddings.weight) - 1)
    ids_E, ascending_R, descending_R = encoder.offsets.used(longest, torch.device("cpu"))
    ascending = ids_E if ascending_R is None else ids_E[ascending_R]
    offsets = slots[:, None] - slots
    assert torch.equal(ascending[offsets + longest - 1], wanted)
    assert torch.equal(ids_E[descending_R][longest - offsets], wanted)
    assert len(set(ids_E.tolist())) == len(ids_E) <= 2 * longest


VARIANTS: dict[str, dict[str, Any]] = {
    "c2p": {"pos_att_type": ["c2p"]},
    "p2c": {"pos_att_type": "p2c", "share_att_key": False},
    "neither": {"pos_att_type": None},
    "absolute": {"relative_attention": False, "position_biased_input": True},
    "a narrow embedding": {"embedding_size": 16},
    "one layer with a convolution": {"num_hidden_layers": 1, "conv_kernel_size": 5, "conv_groups": 2},
    "farther than its positions": {"max_relative_positions": 8, "position_buckets": -1},
    "another pooler": {"pooler_hidden_act": "tanh", "cls_dropout": 0.5},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_settings_mean_what_they_mean_in_transformers(changes: dict[str, Any]) -> None:
    classifier = lively_classifier("deberta-v3", **changes)
    padded = padded_logits(transformers_twin(classifier), TEXTS, ALL)
    assert largest_difference(packed_logits(classifier, TEXTS), padded) < 1e-5
    assert padded.std(0).mean() > 0.1


def test_relative_embeddings_are_dropped_in_training_alike_for_keys_and_queries() -> None:
    """Also in the last layer, which runs twice."""
    classifier = lively_classifier("deberta-v3", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    still = packed_logits(classifier, TEXTS)
    attention = classifier.model.deberta.encoder.layer[-1].attention.self
    attention.pos_dropout.p, seen = 0.5, []
    attention.key_proj.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0][-9:].clone()))
    attention.query_proj.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0][-9:].clone()))
    assert largest_difference(packed_logits(classifier, TEXTS), still) == 0
    seen.clear()
    seed_dropout(0)
    classifier.train()
    assert largest_difference(classifier(pack(TEXTS, ALL)).detach(), still) > 1e-2
    keys, queries = seen[:2]
    assert torch.equal(keys, queries)
    assert 0.2 < float((keys == 0).float().mean()) < 0.8


@pytest.mark.parametrize("name", [name for name in MODELS if "deberta" in name])
def test_the_classifiers_for_exports_have_the_same_logits(name: str) -> None:
    wanted = packed_logits(MODELS[name](), TEXTS)
    rows = [torch.from_numpy(TEXTS[index].astype(np.int64)) for index in range(len(TEXTS))]
    ids_BL = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask_BL = torch.arange(ids_BL.shape[1]) < torch.from_numpy(TEXTS.lengths)[:, None]
    assert largest_difference(PaddedClassifier(MODELS[name]())(ids_BL, mask_BL.long()), wanted) < 1e-5
    single = SingleTextClassifier(MODELS[name](), max_length=64)
    assert largest_difference(torch.cat([single(row[None]) for row in rows]), wanted) < 1e-5


def test_a_convolution_cannot_be_quantized() -> None:
    with pytest.raises(UserError, match=r"encoder.conv.conv.weight .* would stay in float32: Conv1d"):
        plan_quantization(MODELS["deberta-v2-conv"](), Scheme("int8"))
