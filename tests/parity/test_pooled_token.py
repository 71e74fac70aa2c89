"""A causal model pools the same token in a run, in transformers on either side, in PEFT, and in the exports' modules.

The tiny tokenizer turns '[PAD]' or '[SEP]' in a text into that token, as a run with `special_tokens_in_text: parse`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from feathertune.errors import UserError
from feathertune.export.padded import PaddedClassifier
from feathertune.export.single import SingleTextClassifier
from feathertune.model.adapt import merge
from feathertune.model.base import load_base
from feathertune.model.classifier import PackedClassifier
from feathertune.model.model_folder import save_model
from feathertune.model.padding import fit_padding, pads_on_either_side, saved_tokenizer
from feathertune.model.peft_files import save_adapter
from feathertune.model.sources import find_base
from feathertune.prediction.inference import predict_logits
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.tokenized import tokenize
from lively import LABELS, adapt, enliven
from tiny import save_tiny_base

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Could not find a config file in:UserWarning"),  # PEFT looks on the Hub
]

TEXTS = [
    "what is the cat ?",
    "why",
    "the sun [PAD]",
    "the sun [PAD] [PAD] [PAD]",
    "[PAD] the [PAD] moon",
    "how do the sun and the moon sing [SEP]",
    "red [SEP] [SEP]",
    "[PAD]",
]
Logits = npt.NDArray[np.float32]

# name of a tiny model, changes to its config.json, its tokenizer_config.json, and whether [SEP] ends every text
BASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], bool]] = {
    "no pad token anywhere": ("gpt2", {}, {"pad_token": None}, False),
    "padding on the left": ("gpt2", {}, {"padding_side": "left"}, False),
    "pad is eos and ends every text": ("llama", {"pad_token_id": 2}, {"pad_token": "[SEP]"}, True),
    "pad is eos": ("qwen3", {"pad_token_id": 2, "eos_token_id": 2}, {"pad_token": "[SEP]"}, False),
    "null in the config": ("llama", {"pad_token_id": None}, {"padding_side": "left"}, True),
    "null in the config, eos ends every text": ("llama", {"pad_token_id": None}, {"pad_token": "[SEP]"}, True),
    # not qwen2: transformers reads its folders by Qwen2Tokenizer, a BPE, whatever tokenizer_config.json names
    "beyond the vocabulary": ("qwen3", {"pad_token_id": -1}, {}, True),
    "another in the config": ("llama", {"pad_token_id": 2}, {}, False),
    "an ordinary word in the config": ("gpt2", {"pad_token_id": 7}, {}, False),
}


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture(params=BASES.values(), ids=BASES)
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name, config, settings, ends = request.param
    folder = save_tiny_base(tmp_path / "base", name)
    change(folder / "config.json", **config)
    change(folder / "tokenizer_config.json", **settings)
    if not ends:
        change(folder / "tokenizer.json", post_processor=None)
    return folder


def load(folder: Path) -> tuple[PackedClassifier, Any]:
    """A lively model of the base and its tokenizer, as a run has them."""
    classifier, tokenizer = load_base(find_base(str(folder)), LABELS, 0), load_tokenizer(folder)
    fit_padding(enliven(classifier), tokenizer)
    return classifier, tokenizer


def ours(classifier: PackedClassifier, tokenizer: Any) -> Logits:
    return predict_logits(classifier, tokenize(tokenizer, TEXTS, 64))


def transformers_logits(model: Any, tokenizer: Any, batch: int, side: str | None = None) -> Logits:
    """The logits of transformers' model for `TEXTS`, in batches padded by the tokenizer on its own or on this side."""
    if side is not None:
        tokenizer.padding_side = side
    parts = [TEXTS[begin : begin + batch] for begin in range(0, len(TEXTS), batch)]
    with torch.no_grad():
        return np.concatenate([model(**tokenizer(some, padding=True, return_tensors="pt")).logits for some in parts])


def close(one: Logits, other: Logits) -> bool:
    return float(np.abs(one - other).max()) < 2e-5


def test_transformers_pools_the_same(base: Path, tmp_path: Path) -> None:
    classifier, tokenizer = load(base)
    expected, out = ours(classifier, tokenizer), tmp_path / "out"
    save_model(classifier, out, tokenizer)
    model, saved = AutoModelForSequenceClassification.from_pretrained(out).eval(), AutoTokenizer.from_pretrained(out)
    assert saved.padding_side == "right"
    assert model.config.pad_token_id == saved.pad_token_id
    for batch in (1, 3, len(TEXTS)):
        assert close(transformers_logits(model, saved, batch), expected), batch
    classify = pipeline("text-classification", model=str(out), top_k=None, function_to_apply="none", device="cpu")
    rows = [{one["label"]: one["score"] for one in row} for row in classify(TEXTS, batch_size=3, truncation=True)]
    assert close(np.array([[row[label] for label in LABELS] for row in rows]), expected)
    if pads_on_either_side(classifier):  # a text of pad tokens alone has nothing to pool there but padding
        left = transformers_logits(model, saved, len(TEXTS), "left")
        whole = [row for row, text in enumerate(TEXTS) if text != "[PAD]"]
        assert close(left[whole], expected[whole])


def test_so_does_our_own_reading_of_that_folder(base: Path, tmp_path: Path) -> None:
    classifier, tokenizer = load(base)
    save_model(classifier, tmp_path / "out", tokenizer)
    again, saved = load_base(find_base(str(tmp_path / "out")), LABELS, 0), load_tokenizer(tmp_path / "out")
    fit_padding(again, saved)
    assert again.model.config.pad_token_id == classifier.model.config.pad_token_id
    assert close(ours(again, saved), ours(classifier, tokenizer))


def test_peft_pools_the_same(base: Path, tmp_path: Path) -> None:
    classifier, tokenizer = load(base)
    save_model(classifier, tmp_path / "lively", tokenizer)  # the same base, with weights that tell tokens apart
    own = json.loads((base / "config.json").read_text())["pad_token_id"]
    change(tmp_path / "lively" / "config.json", pad_token_id=own)
    shape, folder = adapt(classifier), tmp_path / "adapter"
    save_adapter(classifier, folder, shape, base=str(base), revision=None)
    saved_tokenizer(classifier, tokenizer).save_pretrained(folder)
    model = PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(tmp_path / "lively"), folder)
    saved = AutoTokenizer.from_pretrained(folder)
    model.config.pad_token_id = saved.pad_token_id  # as the model card has it
    for batch in (1, len(TEXTS)):
        assert close(transformers_logits(model.eval(), saved, batch), ours(classifier, tokenizer)), batch


@pytest.mark.parametrize("kind", [PaddedClassifier, lambda model: SingleTextClassifier(model, 64)])
def test_the_modules_that_are_exported_pool_the_same(base: Path, kind: Callable[..., torch.nn.Module]) -> None:
    classifier, tokenizer = load(base)
    expected = ours(classifier, tokenizer)
    module, rows = kind(merged(classifier)), [tokenizer(text)["input_ids"] for text in TEXTS]
    if isinstance(module, SingleTextClassifier):
        logits = torch.cat([module(torch.tensor([row])) for row in rows])
    else:
        longest = max(map(len, rows))
        ids, mask = (
            torch.tensor([row + [5] * (longest - len(row)) for row in rows]),  # padded with a word
            torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        )
        logits = module(ids, mask)
    assert close(logits.numpy(), expected)


def merged(classifier: PackedClassifier) -> PackedClassifier:
    merge(classifier)
    return classifier


def test_a_roberta_without_a_pad_token_is_refused(tmp_path: Path) -> None:
    """transformers counts its positions from it, and fails."""
    folder = save_tiny_base(tmp_path, "roberta")
    change(folder / "config.json", pad_token_id=None)
    with pytest.raises(UserError, match=r"counts positions from its pad token .* no pad_token_id"):
        load_base(find_base(str(folder)), LABELS, 0)
