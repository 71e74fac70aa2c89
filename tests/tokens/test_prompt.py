"""Every kind of tokenizer adds the prompt around each text, and still does when it is saved and loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, processors

from feathertune.errors import UserError
from feathertune.tokens.loading import load_tokenizer
from feathertune.tokens.prompt import add_prompt, single_tokens, tokens_after_text, with_prompt
from feathertune.tokens.tokenized import tokenize
from tiny import SHARED, save_tiny_base, tiny_tokenizer
from trained_tokenizers import trained_tokenizer

PROMPT = "is the sun a moon ? {text} what"


def pieces(tokenizer: Any, text: str, max_length: int = 20) -> list[str]:
    """The tokens of a text as the model gets them."""
    found: list[str] = tokenizer.convert_ids_to_tokens(tokenize(tokenizer, [text], max_length)[0].tolist())
    return found


def test_a_text_stands_between_the_prompt_s_words_and_those_between_cls_and_sep() -> None:
    prompted = add_prompt(tiny_tokenizer(), PROMPT, 20)
    assert pieces(prompted, "the cat") == ["[CLS]", "is", "the", "sun", "a", "moon", "?", "the", "cat", "what", "[SEP]"]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("sun {text}", "[CLS] sun the cat [SEP]"), ("{text} moon ?", "[CLS] the cat moon ? [SEP]")],
)
def test_it_may_be_on_one_side_only(prompt: str, expected: str) -> None:
    assert pieces(add_prompt(tiny_tokenizer(), prompt, 20), "the cat") == expected.split()


def test_without_a_prompt_the_tokenizer_is_unchanged() -> None:
    tokenizer = tiny_tokenizer()
    assert add_prompt(tokenizer, None, 20) is tokenizer
    add_prompt(tokenizer, PROMPT, 20)
    assert pieces(tokenizer, "the cat") == ["[CLS]", "the", "cat", "[SEP]"]


def test_truncation_cuts_the_text_and_never_the_prompt() -> None:
    prompted = add_prompt(tiny_tokenizer(), PROMPT, 12)
    found = tokenize(prompted, ["cat " * 30], 12)
    assert prompted.decode(found[0]) == "[CLS] is the sun a moon ? cat cat cat what [SEP]"
    assert (found.truncated, found.full_lengths.tolist()) == (1, [39])


def test_a_prompt_that_leaves_no_room_is_one_clear_error() -> None:
    with pytest.raises(UserError, match=r"model.prompt: the prompt takes 9 tokens.*\n.*larger model.max_length"):
        add_prompt(tiny_tokenizer(), PROMPT, 9)


def test_a_prompt_that_ends_with_padding_is_one_clear_error() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None
    assert pieces(add_prompt(tokenizer, "{text} [SEP]", 9), "the cat") == ["the", "cat", "[SEP]"]
    with pytest.raises(UserError, match=r"model.prompt: .*ends with \[PAD\], the pad token.*\n.*something else"):
        add_prompt(tokenizer, "{text} [PAD]", 9)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_a_saved_tokenizer_keeps_the_prompt(tmp_path: Path, family: str) -> None:
    """BERT's own class would restore its post-processor."""
    folder = save_tiny_base(tmp_path / "base", family)
    prompted = add_prompt(load_tokenizer(folder), PROMPT, 20)
    prompted.save_pretrained(folder)
    again = load_tokenizer(folder)
    assert pieces(again, "the cat") == pieces(prompted, "the cat")
    assert "moon" in pieces(again, "the cat")
    assert again.pad_token == tiny_tokenizer().pad_token


def test_names_of_special_tokens_are_those_tokens() -> None:
    """As in a chat template; a text that contains such a name is tokenized as without a prompt."""
    path = SHARED / "gpt2-tokenizer"
    if not path.is_dir():
        pytest.skip("GPT-2's tokenizer is not here")
    tokenizer = load_tokenizer(path)
    prompted = add_prompt(tokenizer, "<|endoftext|>Is it clear?\n{text}", 40)
    expected = ["<|endoftext|>", "Is", "Ġit", "Ġclear", "?", "Ċ", "What", "'s", "Ġit", "?"]
    assert pieces(prompted, "What's it?") == expected


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
    with pytest.raises(UserError, match=r"model.prompt: .*TemplateProcessing.*\n.*to the texts themselves"):
        with_prompt(tokenizer, PROMPT)


def test_long_texts_are_cut_at_the_end_where_they_were_without_a_prompt(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.truncation_side = "left"
    prompted = add_prompt(tokenizer, "what {text} ?", 7)
    expected = ["[CLS]", "what", "tree", "river", "long", "?", "[SEP]"]
    assert pieces(prompted, "sun moon tree river long", 7) == expected
    prompted.save_pretrained(tmp_path)
    assert pieces(load_tokenizer(tmp_path), "sun moon tree river long", 7) == expected


@pytest.mark.parametrize("family", ["bert", "gpt2", "roberta", "xlm-roberta", "llama"])
def test_each_token_of_a_prompt_is_a_special_token_of_its_own(family: str) -> None:
    """transformers.js looks the template's special tokens up in the vocabulary, by their names."""
    tokenizer = trained_tokenizer(family)
    prompted = with_prompt(tokenizer.backend_tokenizer, "is it $A, a ☃ question?\n{text}\nanswer: yes or no?")
    template = json.loads(prompted.to_str())["post_processor"]
    vocabulary = prompted.get_vocab()
    for name, special in template["special_tokens"].items():
        assert special == {"id": name, "ids": [vocabulary[name]], "tokens": [name]}
    before, after = (
        tokenizer.backend_tokenizer.encode(part, add_special_tokens=False).ids
        for part in ("is it $A, a ☃ question?\n", "\nanswer: yes or no?")
    )
    text, complete = (tokenizer.backend_tokenizer.encode("why?", add_special_tokens=s).ids for s in (False, True))
    start = len(complete) - len(text) - len(tokens_after_text(tokenizer.backend_tokenizer))
    ends = complete[:start], complete[start + len(text) :]
    assert prompted.encode("why?").ids == [*ends[0], *before, *text, *after, *ends[1]]
    assert tokens_after_text(prompted) == [*after, *ends[1]]


def test_a_tokenizer_saved_by_an_early_version_is_spelt_out_with_the_same_ids() -> None:
    """There a prompt was one special token of several ids."""
    settings = json.loads(tiny_tokenizer().backend_tokenizer.to_str())
    template = settings["post_processor"]
    ids = tiny_tokenizer().backend_tokenizer.encode("is the sun", add_special_tokens=False)
    name = "before the text"
    template["special_tokens"][name] = {"id": name, "ids": ids.ids, "tokens": ids.tokens}
    template["single"].insert(1, {"SpecialToken": {"id": name, "type_id": 0}})
    both = {
        "type": "Sequence",
        "processors": [
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            template,
        ],
    }
    for processor in (template, both):
        early = Tokenizer.from_str(json.dumps(settings | {"post_processor": processor}))
        spelt = single_tokens(early)
        assert spelt.encode("the cat").ids == early.encode("the cat").ids
        assert spelt.encode("the cat").tokens == ["[CLS]", "is", "the", "sun", "the", "cat", "[SEP]"]
        assert name in early.to_str()
        assert name not in spelt.to_str()
        assert single_tokens(spelt).to_str() == spelt.to_str()


def test_what_stands_after_a_text_does_not_depend_on_stored_padding_and_truncation() -> None:
    tokenizer = tiny_tokenizer().backend_tokenizer
    tokenizer.enable_padding(length=9)
    assert tokens_after_text(tokenizer) == [2]
    tokenizer.enable_truncation(1, direction="left")
    assert tokens_after_text(tokenizer) == [2]
    assert tokenizer.padding["length"] == 9
