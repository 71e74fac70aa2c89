import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from feathertune.model.adapt import merge
from feathertune.model.base import load_base
from feathertune.model.model_folder import save_model
from feathertune.model.sources import find_base
from feathertune.prediction.inference import predict_logits
from feathertune.tokens.tokenized import tokenize
from lively import LABELS, adapt, largest_difference, lively_classifier, packed_logits
from tiny import FAMILIES, padded_logits, random_texts, save_tiny_base, tiny_tokenizer

TEXTS = random_texts([5, 1, 12, 30])


@pytest.mark.parametrize("name", FAMILIES)
def test_transformers_loads_what_is_saved(tmp_path: Path, name: str) -> None:
    classifier = lively_classifier(name)
    adapt(classifier, "all-linear")
    merge(classifier)
    save_model(classifier, tmp_path, tiny_tokenizer())
    theirs, report = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    assert theirs.config.id2label == dict(enumerate(LABELS))
    assert theirs.dtype == torch.float32
    padded = padded_logits(theirs.eval(), TEXTS, np.arange(len(TEXTS)))
    assert largest_difference(packed_logits(classifier, TEXTS), padded) < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama"])
def test_so_do_we_with_the_same_logits(tmp_path: Path, name: str) -> None:
    classifier = lively_classifier(name)
    save_model(classifier, tmp_path, tiny_tokenizer())
    again = load_base(find_base(str(tmp_path)), LABELS, seed=5)
    assert torch.equal(packed_logits(classifier, TEXTS), packed_logits(again, TEXTS))
    save_model(again, tmp_path / "again", tiny_tokenizer())
    first, second = (load_file(folder / "model.safetensors") for folder in (tmp_path, tmp_path / "again"))
    assert first.keys() == second.keys()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_the_tokenizer_is_saved_too(tmp_path: Path) -> None:
    save_model(lively_classifier("bert"), tmp_path, tiny_tokenizer())
    text = "what is the cat ?"
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == tiny_tokenizer()(text)["input_ids"]


def test_the_config_has_no_path_of_this_machine(tmp_path: Path) -> None:
    classifier = load_base(find_base(str(save_tiny_base(tmp_path / "base"))), LABELS, seed=0)
    save_model(classifier, tmp_path / "saved", tiny_tokenizer())
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "no", "1": "yes", "2": "maybe"}
    assert config["dtype"] == "float32"
    assert str(tmp_path) not in json.dumps(config)
    assert "feathertune" not in json.dumps(config)


SENTENCES = ["what is the cat ?", "why", "how do the sun and the moon sing ?"]


def from_transformers(folder: Path) -> torch.Tensor:
    """[N, C]: the logits of transformers' model and tokenizer in the folder for `SENTENCES`, in one padded batch."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    inputs = AutoTokenizer.from_pretrained(folder)(SENTENCES, padding=True, return_tensors="pt")
    assert (inputs["attention_mask"] == 0).any()
    with torch.no_grad():
        logits: torch.Tensor = model(**inputs).logits
    return logits


def padding_with(token: str | None) -> Any:
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = token
    return tokenizer


@pytest.mark.parametrize("name", ["gpt2", "bert", "llama", "modernbert"])
@pytest.mark.parametrize("token", ["[PAD]", "[UNK]", None])
def test_transformers_logits_equal_ours_for_texts_that_its_tokenizer_pads(
    tmp_path: Path, name: str, token: str | None
) -> None:
    """As in many bases, the config names another pad token than the tokenizer, which may have none."""
    config = {"pad_token_id": None, "eos_token_id": 3} if name in ("gpt2", "llama") else {}
    classifier, tokenizer = lively_classifier(name, **config), padding_with(token)
    save_model(classifier, tmp_path, tokenizer)
    ours = torch.from_numpy(predict_logits(classifier, tokenize(tokenizer, SENTENCES, 64)))
    assert largest_difference(from_transformers(tmp_path), ours) < 1e-5
    assert tokenizer.pad_token == token


def test_a_pad_token_that_the_model_does_not_have_is_not_written(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([f"more{number}" for number in range(200)])
    tokenizer.add_special_tokens({"pad_token": "[MORE]"})
    save_model(lively_classifier("llama"), tmp_path, tokenizer)
    assert json.loads((tmp_path / "config.json").read_text())["pad_token_id"] == 0
    assert AutoTokenizer.from_pretrained(tmp_path).pad_token == "[PAD]"
