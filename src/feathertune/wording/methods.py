"""What methods are called: in a table, and within a sentence."""

from __future__ import annotations

TITLES = {
    "majority": "majority class",
    "bag_of_words": "bag of words",
    "head": "head only",
    "full": "full fine-tuning",
    "lora": "LoRA",
    "qat": "LoRA + QAT",
}
NAMES = TITLES | {"majority": "the majority class", "bag_of_words": "the bag of words", "head": "head-only training"}
