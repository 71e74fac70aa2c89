"""A tokenizer that does not belong to its model, or does not know the texts, is refused with an example."""

import json

import pytest

from feathertune.errors import UserError
from feathertune.tokens.checks import check_ids, check_known, check_vocabulary, unknown_share
from feathertune.tokens.run_tokenizer import run_tokenizer
from feathertune.tokens.tokenized import tokenize
from tiny import VOCABULARY, tiny_tokenizer


def test_a_token_beyond_the_embedding_is_one_error_with_text_token_and_place() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["zebra"])
    number, texts = tokenizer.convert_tokens_to_ids("zebra"), ["the cat", "a zebra is\nbig", "the zebra"]
    tokens = tokenize(tokenizer, texts, 20)
    check_ids(tokens, number + 1, tokenizer, texts.__getitem__, None)
    with pytest.raises(UserError) as caught:
        check_ids(tokens, number, tokenizer, texts.__getitem__, "train.tsv:{}".format)
    assert str(caught.value).startswith(
        f"train.tsv:1: the text 'a zebra is\\nbig' has the token 'zebra', number {number}; the model's vocabulary ends "
        f"at {number - 1}\n"
    )
    check_ids(tokenize(tokenizer, [], 20), 1, tokenizer, texts.__getitem__, None)


def test_a_vocabulary_far_smaller_than_the_model_s_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    check_vocabulary(tokenizer, VOCABULARY, "here")
    check_vocabulary(tokenizer, 2 * len(tokenizer), "here")
    with pytest.raises(UserError, match=rf"here: the tokenizer has {len(tokenizer)} tokens and the model 30,522"):
        check_vocabulary(tokenizer, 30522, "here")


def test_most_of_train_unknown_is_refused() -> None:
    tokenizer = run_tokenizer(tiny_tokenizer(), prompt=None, max_length=20, special="text")
    few, many = ["the cat", "zzz the moon"], ["der Mond the", "die Katze"]
    assert unknown_share(tokenize(tokenizer, few, 20), tokenizer) == 1 / 5
    check_known(1 / 5, "[UNK]", few, "base")
    with pytest.raises(
        UserError,
        match=r"(?s)base: 80% of the tokens of train are \[UNK\].*'der Mond the'.*source=FacebookAI/roberta-base",
    ):
        check_known(unknown_share(tokenize(tokenizer, many, 20), tokenizer), "[UNK]", many, "base")


def test_a_prompt_is_not_counted() -> None:
    tokenizer = run_tokenizer(tiny_tokenizer(), prompt="zzz zzz zzz {text}", max_length=20, special="text")
    assert unknown_share(tokenize(tokenizer, ["the cat", "zzz"], 20), tokenizer) == 1 / 3


def test_a_tokenizer_of_bytes_knows_everything() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<e>", unk_token="<e>")
    assert json.loads(tokenizer.to_str())["model"]["unk_token"] is None
    assert unknown_share(tokenize(whole, ["日本"], 20), whole) == 0
