"""Repositories that came with code which transformers has adopted since: EuroBERT's and Nomic's."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from feathertune.errors import UserError
from feathertune.model.base import load_base
from feathertune.model.sources import find_base
from lively import LABELS, packed_logits
from tiny import save_tiny_base, token_rows

EUROBERT = {
    "AutoConfig": "configuration_eurobert.EuroBertConfig",
    "AutoModel": "modeling_eurobert.EuroBertModel",
    "AutoModelForSequenceClassification": "modeling_eurobert.EuroBertForSequenceClassification",
}
NOMIC = {
    "AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
    "AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel",
    "AutoModelForMaskedLM": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertForPreTraining",
}
# As in nomic-embed-text, at the size of the tiny model.
NOMIC_SETTINGS = {
    "auto_map": NOMIC,
    "activation_function": "swiglu",
    "n_embd": 32,
    "n_head": 4,
    "n_inner": 64,
    "n_layer": 2,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
}


def base(folder: Path, family: str, **settings: Any) -> Path:
    save_tiny_base(folder, family)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return folder


@pytest.mark.parametrize(
    ("family", "settings"), [("eurobert", {"auto_map": EUROBERT}), ("nomic-bert", NOMIC_SETTINGS)], ids=lambda one: one
)
def test_transformers_own_classes_compute_the_model(tmp_path: Path, family: str, settings: dict[str, Any]) -> None:
    folder, rows = base(tmp_path, family, **settings), [[1, 5, 9, 30, 2]]
    classifier = load_base(find_base(str(folder)), LABELS, seed=0)
    assert "auto_map" not in classifier.model.config.to_dict()  # a saved model must not name code that it lacks
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3).eval()
    theirs.load_state_dict(classifier.model.state_dict())
    with torch.no_grad():
        expected = theirs(torch.tensor(rows)).logits
    assert torch.allclose(packed_logits(classifier, token_rows(rows)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("family", "code"),
    [
        ("bert", {"AutoModel": "jina-bert--modeling_bert.JinaBertModel"}),
        ("qwen2", {"AutoModel": "modeling_qwen.Qwen2Model"}),  # gte-Qwen2: the same name, but not causal
        ("eurobert", {"AutoModel": "modeling.Evil"}),
        ("eurobert", ["modeling.Evil"]),
    ],
)
def test_other_code_is_not_taken_to_be_transformers(tmp_path: Path, family: str, code: object) -> None:
    with pytest.raises(UserError, match=r"needs code from its own folder \(auto_map\), which is never run"):
        load_base(find_base(str(base(tmp_path, family, auto_map=code))), LABELS, seed=0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_head": 8}, 'n_head=8, which transformers does not read: it takes num_attention_heads=4\n.*"num_atten'),
        ({"rotary_emb_base": 10000}, r'it takes a rope_theta of 1000\n.*"rope_theta": 10000'),
        ({"activation_function": "gelu"}, "computes only activation_function=swiglu, the config has gelu"),
        ({"rotary_emb_interleaved": True}, "computes only rotary_emb_interleaved=False, the config has True"),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
def test_what_nomics_code_would_compute_otherwise(tmp_path: Path, setting: dict[str, Any], message: str) -> None:
    folder = base(tmp_path, "nomic-bert", **{**NOMIC_SETTINGS, **setting})
    with pytest.raises(UserError, match=message):
        load_base(find_base(str(folder)), LABELS, seed=0)


def test_a_pooling_that_eurobert_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="classifier_pooling='cls' is none of bos, mean, late"):
        load_base(find_base(str(base(tmp_path, "eurobert", classifier_pooling="cls"))), LABELS, seed=0)
