"""The input of scaling.py: generated rows, a tokenizer for their words, and a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from feathertune.model.classifier import PackedClassifier

VOCABULARY, MAX_LENGTH = 2_000, 64
LABELS = ("no", "yes")
_BLOCK = 10_000  # rows generated at a time


def random_words() -> list[str]:
    """The 500 words of all texts, always the same."""
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    return ["".join(rng.choice(letters, size=size)) for size in rng.integers(2, 7, size=500)]


def write_data(folder: Path, rows: int) -> None:
    """`rows` texts of 4 to 11 random words as train.jsonl, and 100 as dev.jsonl."""
    rng, words = np.random.default_rng(1), random_words()
    for name, count in (("train", rows), ("dev", 100)):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for begin in range(0, count, _BLOCK):
                chosen = rng.integers(len(words), size=(min(_BLOCK, count - begin), 11)).tolist()
                lengths = rng.integers(4, 12, size=len(chosen)).tolist()
                for row, length in zip(chosen, lengths, strict=True):
                    text = " ".join([words[word] for word in row[:length]])
                    file.write(f'{{"text": "{text}", "label": "{LABELS[row[0] % 2]}"}}\n')


def build_tokenizer() -> Any:
    """A byte-level BPE tokenizer that knows most of the words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 1, special_tokens=["<end>"], show_progress=False)
    tokenizer.train_from_iterator([f" {word}" for word in random_words()], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def build_model() -> PackedClassifier:
    """A tiny BERT with LoRA on its attention."""
    from transformers import BertConfig

    from feathertune.model.adapt import LoraShape, add_lora, find_targets
    from feathertune.model.base import build_random

    config = BertConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=MAX_LENGTH,
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    classifier = build_random(config, LABELS, 0)
    add_lora(classifier, LoraShape(8, 32.0, 0.1, False, find_targets(classifier, "attention")), 0)
    return classifier
