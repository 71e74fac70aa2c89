"""A base's tokenizer is the one in its files: never made up, and never what a class makes of another's vocabulary."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

from feathertune.errors import UserError
from feathertune.tokens.loading import load_base_tokenizer
from feathertune.tokens.run_tokenizer import run_tokenizer, save_tokenizer
from feathertune.tokens.tokenized import tokenize
from tiny import tiny_config
from trained_tokenizers import trained_tokenizer

CASED = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Hello", "hello", "Café", "cafe", "."]


def save_cased_bert(folder: Path, settings: dict[str, object] | None = None) -> Path:
    """A cased BERT as on the Hub: its tokenizer.json does not lower-case. `settings` is its tokenizer_config.json."""
    tokenizer = Tokenizer(models.WordPiece({token: index for index, token in enumerate(CASED)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(CASED[:5])
    folder.mkdir()
    tiny_config("bert").save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def save_digits_gpt2(folder: Path) -> Path:
    """SmolLM2 as a folder: tokenizer.json splits digits, and tokenizer_config.json names GPT-2's class."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate([*alphabet, "09", "ĠĊ", "<|endoftext|>"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("0", "9"), ("Ġ", "Ċ")]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.add_special_tokens(["<|endoftext|>"])
    folder.mkdir()
    tiny_config("llama").save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["bert", "distilbert", "electra", "xlm-roberta", "roberta", "gpt2", "gemma3-window"])
@pytest.mark.parametrize("others", [(), ("tokenizer_config.json", "special_tokens_map.json", "merges.txt")])
def test_a_folder_without_a_vocabulary_is_refused(name: str, others: tuple[str, ...], tmp_path: Path) -> None:
    """transformers makes a tokenizer of special tokens alone for all of them."""
    tiny_config(name).save_pretrained(tmp_path)
    for other in others:
        (tmp_path / other).write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"tokenizer.json is missing.*\n.*Copy tokenizer.json"):
        load_base_tokenizer(tmp_path)


def test_tokenizer_json_is_followed_where_a_class_would_lower_case(tmp_path: Path) -> None:
    folder = save_cased_bert(tmp_path / "base")
    base = load_base_tokenizer(folder)
    assert AutoTokenizer.from_pretrained(folder)("Hello Café .").tokens() == ["[CLS]", "hello", "cafe", ".", "[SEP]"]
    assert base.tokenizer("Hello Café .").tokens() == ["[CLS]", "Hello", "Café", ".", "[SEP]"]
    assert base.tokenizer.pad_token == "[PAD]"
    warning = base.overridden(["hello .", "what a Café"])
    assert warning is not None
    assert "BertTokenizer does not tokenize as the base's tokenizer.json says: 'what a Café' has" in warning
    assert "'[UNK] Café [SEP]' by the file and '[UNK] cafe [SEP]' by the class" in warning
    assert "'Hello World' has" in str(base.overridden(["hello ."]))  # no text of the user's differs


def test_a_folder_whose_class_agrees_gets_no_warning(tmp_path: Path) -> None:
    base = load_base_tokenizer(save_cased_bert(tmp_path / "base", {"do_lower_case": False}))
    assert base.overridden(["Hello Café ."]) is None
    assert base.tokenizer("Hello").tokens() == ["[CLS]", "Hello", "[SEP]"]


def test_what_tokenizer_config_says_in_so_many_words_is_obeyed(tmp_path: Path) -> None:
    base = load_base_tokenizer(save_cased_bert(tmp_path / "base", {"do_lower_case": True}))
    assert base.tokenizer("Hello").tokens() == ["[CLS]", "hello", "[SEP]"]
    assert base.overridden(["Hello Café ."]) is None


def test_digits_stay_one_by_one(tmp_path: Path) -> None:
    folder = save_digits_gpt2(tmp_path / "base")
    base = load_base_tokenizer(folder)
    assert base.tokenizer("[ \n09").tokens() == ["[", "ĠĊ", "0", "9"]
    assert AutoTokenizer.from_pretrained(folder)("[ \n09").tokens() == ["[", "Ġ", "Ċ", "09"]
    assert "GPT2Tokenizer" in str(base.overridden(["in 09"]))
    assert "'in 09' has 'Ġ 0 9' by the file and 'Ġ 09' by the class" in str(base.overridden(["in 09"]))


@pytest.mark.parametrize("special", ["text", "parse"])
def test_a_class_that_transformers_takes_whatever_the_folder_says_is_followed(tmp_path: Path, special: Any) -> None:
    """`AutoTokenizer` reads any folder of a Qwen2 model with Qwen2's own pipeline: digits one by one, for one."""
    tiny_config("qwen2").save_pretrained(tmp_path / "base")
    trained_tokenizer("gpt2").save_pretrained(tmp_path / "base")
    base = load_base_tokenizer(tmp_path / "base")
    assert base.tokenizer.tokenize("in 1885") == ["in", "Ġ", "1", "8", "8", "5"]
    assert base.overridden(["in 1885"]) is None
    saved = tmp_path / "saved"
    shutil.copytree(tmp_path / "base", saved)
    tokenizer = run_tokenizer(base.tokenizer, prompt="is it? {text} or not", max_length=64, special=special)
    save_tokenizer(tokenizer, saved)
    for text in ("in 1885", "a <|endoftext|> b", "x  \n y"):
        assert AutoTokenizer.from_pretrained(saved)(text)["input_ids"] == tokenize(tokenizer, [text], 64)[0].tolist()


def test_older_files_are_read_as_transformers_reads_them(tmp_path: Path) -> None:
    tiny_config("bert").save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(CASED), encoding="utf-8")
    base = load_base_tokenizer(tmp_path)
    assert base.tokenizer("hello .")["input_ids"] == [2, 6, 9, 3]
    assert (base.of_class, base.overridden(["Hello"])) == (None, None)
