"""A shape small enough for a test, among the benchmarks' own."""

import pytest

import shapes
from tiny import VOCABULARY


@pytest.fixture
def tiny_shape(monkeypatch: pytest.MonkeyPatch) -> shapes.Shape:
    """`--models tiny`: a GPT-2 of two layers, with the vocabulary of `tiny_tokenizer`."""
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0}
    shape = shapes.Shape("gpt2", sizes, ("c_attn", "c_proj"), ("c_attn",), {"c_attn": 2 / 3})
    monkeypatch.setitem(shapes.SHAPES, "tiny", shape)
    return shape
