"""A prompt is around every text, whichever tokenizer it is, and stays there when the tokenizer is saved."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, processors

from feathertune.errors import UserError
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.prompt import add_prompt, check_end, with_prompt
from feathertune.tokens.tokenized import tokenize
from tiny import SHARED, save_tiny_base, tiny_tokenizer

PROMPT = "is the sun a moon ? {text} what"


def pieces(tokenizer: Any, text: str, max_length: int = 20) -> list[str]:
    """The tokens of a text as a model gets them."""
    found: list[str] = tokenizer.convert_ids_to_tokens(tokenize(tokenizer, [text], max_length)[0].tolist())
    return found


def test_a_text_stands_between_the_prompt_s_words_and_those_between_cls_and_sep() -> None:
    asking = add_prompt(tiny_tokenizer(), PROMPT, 20)
    assert pieces(asking, "the cat") == ["[CLS]", "is", "the", "sun", "a", "moon", "?", "the", "cat", "what", "[SEP]"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("sun {text}", "[CLS] sun the cat [SEP]"), ("{text} moon ?", "[CLS] the cat moon ? [SEP]")],
)
def test_it_may_be_on_one_side_alone(prompt: str, expected: str) -> None:
    assert pieces(add_prompt(tiny_tokenizer(), prompt, 20), "the cat") == expected.split()


def test_without_a_prompt_the_tokenizer_is_what_it_was() -> None:
    tokenizer = tiny_tokenizer()
    assert add_prompt(tokenizer, None, 20) is tokenizer
    add_prompt(tokenizer, PROMPT, 20)
    assert pieces(tokenizer, "the cat") == ["[CLS]", "the", "cat", "[SEP]"]


def test_what_is_cut_is_the_text_and_never_the_prompt() -> None:
    asking = add_prompt(tiny_tokenizer(), PROMPT, 12)
    found = tokenize(asking, ["cat " * 30], 12)
    assert asking.decode(found[0]) == "[CLS] is the sun a moon ? cat cat cat what [SEP]"
    assert (found.truncated, found.whole_lengths.tolist()) == (1, [39])


def test_a_prompt_that_leaves_no_room_is_one_clear_error() -> None:
    with pytest.raises(UserError, match=r"model.prompt: the prompt takes 9 tokens.*\n.*larger model.max_length"):
        add_prompt(tiny_tokenizer(), PROMPT, 9)


def test_a_prompt_that_ends_with_padding_is_one_clear_error() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None
    assert pieces(add_prompt(tokenizer, "{text} [SEP]", 9), "the cat") == ["the", "cat", "[SEP]"]
    with pytest.raises(UserError, match=r"model.prompt: .*ends with \[PAD\], which pads.*\n.*something else"):
        add_prompt(tokenizer, "{text} [PAD]", 9)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_a_saved_tokenizer_still_asks(tmp_path: Path, family: str) -> None:
    """BERT's class would make its post-processor anew."""
    folder = save_tiny_base(tmp_path / "base", family)
    asking = add_prompt(load_tokenizer(folder), PROMPT, 20)
    asking.save_pretrained(folder)
    again = load_tokenizer(folder)
    assert pieces(again, "the cat") == pieces(asking, "the cat")
    assert "moon" in pieces(again, "the cat")
    assert again.pad_token == tiny_tokenizer().pad_token


def test_names_of_special_tokens_are_those_tokens() -> None:
    """As a chat's template has them; a text that holds such a name is as it was without a prompt."""
    path = SHARED / "gpt2-tokenizer"
    if not path.is_dir():
        pytest.skip("GPT-2's tokenizer is not here")
    tokenizer = load_tokenizer(path)
    asking = add_prompt(tokenizer, "<|endoftext|>Is it clear?\n{text}", 40)
    assert pieces(asking, "What's it?") == ["<|endoftext|>", "Is", "Ġit", "Ġclear", "?", "Ċ", "What", "'s", "Ġit", "?"]


@pytest.mark.parametrize("kind", ["roberta", "bert", "nothing", "bytes", "both"])
def test_whatever_a_tokenizer_puts_around_texts_stays(kind: str) -> None:
    tokenizer = Tokenizer.from_str(tiny_tokenizer().backend_tokenizer.to_str())
    ends = (("[SEP]", 2), ("[CLS]", 1))
    tokenizer.post_processor = {
        "roberta": lambda: processors.RobertaProcessing(*ends),
        "bert": lambda: processors.BertProcessing(*ends),
        "nothing": lambda: None,
        "bytes": lambda: processors.ByteLevel(trim_offsets=False),
        "both": lambda: processors.Sequence([processors.ByteLevel(), tokenizer.post_processor]),
    }[kind]()
    before = tokenizer.encode("the cat").ids
    after = with_prompt(tokenizer, PROMPT).encode("the cat").ids
    prompt = [tokenizer.encode(part, add_special_tokens=False).ids for part in PROMPT.split("{text}")]
    here = next(index for index in range(len(before)) if before[index] == tokenizer.token_to_id("the"))
    assert after == [*before[:here], *prompt[0], *before[here : here + 2], *prompt[1], *before[here + 2 :]]


def test_a_processor_that_is_not_known_is_one_clear_error() -> None:
    tokenizer = Tokenizer.from_str(tiny_tokenizer().backend_tokenizer.to_str())
    twice = processors.TemplateProcessing(single="$A $A", special_tokens=[])
    tokenizer.post_processor = twice
    with pytest.raises(UserError, match=r"model.prompt: .*TemplateProcessing.*\n.*into the texts themselves"):
        with_prompt(tokenizer, PROMPT)


def test_long_texts_are_cut_at_the_end_where_they_were_without_a_prompt(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.truncation_side = "left"
    asking = add_prompt(tokenizer, "what {text} ?", 7)
    expected = ["[CLS]", "what", "tree", "river", "long", "?", "[SEP]"]
    assert pieces(asking, "sun moon tree river long", 7) == expected
    asking.save_pretrained(tmp_path)
    assert pieces(load_tokenizer(tmp_path), "sun moon tree river long", 7) == expected


def test_a_tokenizer_that_ends_every_text_with_what_pads_is_one_clear_error() -> None:
    tokenizer = tiny_tokenizer()  # which ends texts with [SEP]
    check_end(tokenizer, tokenizer.pad_token_id)
    check_end(tokenizer, None)
    with pytest.raises(UserError, match=r"every text ends with the tokenizer's \[SEP\].*\n.*another pad_token"):
        check_end(tokenizer, tokenizer.sep_token_id)


def test_a_word_that_is_the_token_for_padding_is_no_end() -> None:
    """As with a tokenizer whose token for unknown words is also that for padding."""
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None
    check_end(tokenizer, tokenizer.convert_tokens_to_ids("a"))
