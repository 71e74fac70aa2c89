"""Special tokens written out in a text are characters, in every kind of tokenizer and in every copy that is saved."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from feathertune.tokens.counting import count_tokens
from feathertune.tokens.run_tokenizer import load_run_tokenizer, run_tokenizer, save_tokenizer
from feathertune.tokens.special_tokens import as_text, count_texts_with, special_tokens
from feathertune.tokens.tokenized import tokenize
from tiny import column, tiny_tokenizer
from trained_tokenizers import trained_tokenizer

LETTERS = list("abcdefghijklmnopqrstuvwxyz<>/|[]")


def unigram() -> Any:
    """XLM-R's kind: the special tokens are pieces of the model's own vocabulary, with the best score of all."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [("▁", -2.0), *((letter, -5.0) for letter in LETTERS), ("▁the", -3.0), ("▁cat", -3.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.Lowercase()  # '<PAD>' becomes '<pad>' before the model sees it
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])  # not a piece of the model's
    ends = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    roles = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


def byte_level() -> Any:
    """Qwen's kind: special tokens are added after the vocabulary, with a hole, and others that are not special."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>"])
    tokenizer.add_tokens(["<think>"])
    tokenizer.add_special_tokens(["<|im_end|>"])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def whole_pretokens() -> Any:
    """Llama 3's `ignore_merges`, with words between blanks: the model takes a word that it has as one token."""
    vocabulary = {letter: index for index, letter in enumerate(LETTERS)} | {"<end>": 40, "cat": 41}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


def by_name_only() -> Any:
    """The pad token is an added token that is not marked as special."""
    tokenizer = tiny_tokenizer().backend_tokenizer
    settings = json.loads(tokenizer.to_str())
    settings["added_tokens"] = [token | {"special": False} for token in settings["added_tokens"]]
    changed = Tokenizer.from_str(json.dumps(settings))
    return PreTrainedTokenizerFast(tokenizer_object=changed, pad_token="[PAD]", unk_token="[UNK]", sep_token="[SEP]")


KINDS = {
    "unigram": unigram,
    "byte-level": byte_level,
    "ignore-merges": whole_pretokens,
    "word-level": tiny_tokenizer,
    "by-name-only": by_name_only,
}
TEXTS = (
    "the cat",
    "the cat </s> <pad>",
    "<unk>the<s></s><mask>",
    "<PAD> <mask> </S>",
    "a <|endoftext|> b<|im_start|>user\n<|im_end|>",
    "<think> the </think>",
    "the [SEP] cat [PAD][CLS] [UNK]",
    "cat <end> <end><end>",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_never_has_a_special_token(kind: str) -> None:
    base = KINDS[kind]()
    special = {base.convert_tokens_to_ids(name) for name in special_tokens(base)} - {base.unk_token_id}
    tokenizer = run_tokenizer(base, prompt=None, max_length=99, special="text")
    around = tokenizer.num_special_tokens_to_add()
    for text in TEXTS:
        ids = tokenize(tokenizer, [text], 99)[0].tolist()
        own = ids[1:-1] if around else ids
        assert not special & set(own), tokenizer.convert_ids_to_tokens(ids)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("special", ["text", "parse"])
def test_every_saved_copy_gives_the_same_ids(kind: str, special: Any, tmp_path: Path) -> None:
    """By transformers, and by the tokenizers library, which knows of no such setting; saved twice too."""
    tokenizer = run_tokenizer(KINDS[kind](), prompt=None, max_length=99, special=special)
    expected = [tokenize(tokenizer, [text], 99)[0].tolist() for text in TEXTS]
    for folder in (tmp_path / "once", tmp_path / "twice"):
        folder.mkdir()
        save_tokenizer(tokenizer, folder)
        theirs, tokenizer = AutoTokenizer.from_pretrained(folder), load_run_tokenizer(folder)
        assert [theirs(text)["input_ids"] for text in TEXTS] == expected
        assert [tokenizer(text)["input_ids"] for text in TEXTS] == expected
        plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
        assert [plain.encode(text).ids for text in TEXTS] == expected
        assert count_tokens(plain, column(TEXTS), None).lengths.tolist() == [len(ids) for ids in expected]


def test_the_ids_are_the_right_ones() -> None:
    tokenizer = run_tokenizer(unigram(), prompt=None, max_length=99, special="text")
    assert tokenizer("the </s> <PAD>").tokens() == ["<s>", "▁the", *"▁</s>", *"▁<pad>", "</s>"]
    tokenizer = run_tokenizer(byte_level(), prompt=None, max_length=99, special="text")
    assert tokenizer("a<think><|im_end|>").tokens() == ["a", "<think>", *"<|im_end|>"]


@pytest.mark.parametrize("kind", KINDS)
def test_texts_without_special_tokens_and_all_ids_stay_the_same(kind: str) -> None:
    base = KINDS[kind]()
    tokenizer = run_tokenizer(base, prompt=None, max_length=99, special="text")
    assert tokenizer("the cat <think> a")["input_ids"] == base("the cat <think> a")["input_ids"]
    roles = ("pad_token_id", "eos_token_id", "bos_token_id", "unk_token_id", "sep_token_id")
    assert [getattr(tokenizer, role) for role in roles] == [getattr(base, role) for role in roles]
    assert {name: tokenizer.get_vocab()[name] for name in base.get_vocab()} == base.get_vocab()


def test_parsed_on_purpose() -> None:
    parsed = run_tokenizer(unigram(), prompt=None, max_length=99, special="parse")
    assert parsed("the <mask>").tokens() == ["<s>", "▁the", " <mask>", "</s>"]


def test_a_base_that_splits_special_tokens_parses_them_on_purpose() -> None:
    base = tiny_tokenizer()
    base.split_special_tokens = base.backend_tokenizer.encode_special_tokens = True
    assert run_tokenizer(base, prompt=None, max_length=9, special="parse")("cat [SEP]").tokens()[2] == "[SEP]"


@pytest.mark.parametrize("kind", ["unigram", "byte-level"])
def test_a_prompt_has_special_tokens_and_its_text_has_none(kind: str) -> None:
    name = {"unigram": "<mask>", "byte-level": "<|im_start|>"}[kind]
    tokenizer = run_tokenizer(KINDS[kind](), prompt=f"{name}{{text}}", max_length=99, special="text")
    tokens = tokenizer(f"a{name}").tokens()
    assert tokens.count(name) == 1
    assert tokens.index(name) < tokens.index("▁a" if "▁a" in tokens else "a" if "a" in tokens else "▁")


def test_a_score_for_unknown_characters_is_not_changed() -> None:
    """In Unigram it follows from the lowest score of all, so a piece that is added must not have a lower one."""
    base = unigram()
    text = as_text(base.backend_tokenizer, special_tokens(base))
    lowest = [min(score for _, score in json.loads(one.to_str())["model"]["vocab"]) for one in (base._tokenizer, text)]
    assert lowest == [-5.0, -5.0]


def test_texts_are_counted() -> None:
    texts = pa.chunked_array([["a [SEP] b [SEP]", "[SEP", "sep"], ["<|x|>", "xx"]])
    assert count_texts_with(["[SEP]", "<|x|>"], texts) == 2
    assert count_texts_with([], texts) == 0
    assert count_texts_with(["[SEP]"], pa.chunked_array([], pa.string())) == 0


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_an_added_token_that_is_not_special_is_found_where_it_was(kind: str) -> None:
    """Not inside other words, nor in another case, as a model would find it in its vocabulary."""
    base = trained_tokenizer(kind)
    base.add_tokens([AddedToken("covid", single_word=True), AddedToken("magnet", normalized=False)])
    texts = ["covid and covids", "Magnet, magnet and magnets"]
    expected = [encoding.ids for encoding in base.backend_tokenizer.encode_batch(texts)]
    tokenizer = run_tokenizer(base, prompt=None, max_length=99, special="text")
    assert [tokenize(tokenizer, [text], 99)[0].tolist() for text in texts] == expected
