"""Which token pads texts, and so which token a causal model pools: the same here, in transformers, in PEFT and exports.

transformers pools the rightmost token that is not the config's `pad_token_id`, be it padding or the end of a text. So
we do the same (`TokenizedTexts.without_trailing`), by the id that it will look for; and every saved tokenizer pads
with that very token, on the right: GPT-2 counts positions from the first slot, padding included.
"""

from __future__ import annotations

import copy
from typing import Any

from feathertune.model.classifier import PackedClassifier


def padding_token(classifier: PackedClassifier, tokenizer: Any) -> int | None:
    """The `pad_token_id` of a model with this tokenizer; None if a causal model has no token to pad with.

    A model that pools another token than the last keeps that of its base: RoBERTa counts positions from it. A causal
    model keeps it too if it is a special token, since PEFT loads the base with its own config. Otherwise it is the
    tokenizer's pad token, or else the first special token of a list, preferably one that does not end every text.
    """
    own = classifier.base_padding
    if classifier.family.pooling(classifier.model.config) != "last":
        return own
    vocabulary = int(classifier.model.config.vocab_size)

    def usable(number: Any) -> bool:
        return isinstance(number, int) and 0 <= number < vocabulary

    special = {number for number in (*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids) if usable(number)}
    if own in special or (usable(own) and _is_only_special(own, tokenizer)):
        return own
    end = classifier.model.config.eos_token_id
    names = ("pad", "eos", "bos", "cls", "mask", "unk", "sep")
    named = [getattr(tokenizer, f"{name}_token_id", None) for name in names]
    named[1:1] = end if isinstance(end, list | tuple) else [end]
    candidates = [number for number in named if number in special]
    last = set(tokenizer.backend_tokenizer.encode("a").ids[-1:])
    last -= set(tokenizer.backend_tokenizer.encode("a", add_special_tokens=False).ids[-1:])
    return next((number for number in candidates if number not in last), next(iter(candidates), None))


def _is_only_special(number: Any, tokenizer: Any) -> bool:
    """Whether a tokenizer that takes special tokens in a text as text never finds this token in its own name."""
    if not getattr(tokenizer, "split_special_tokens", False):
        return False
    name = tokenizer.convert_ids_to_tokens(number)
    return name is not None and number not in tokenizer.backend_tokenizer.encode(name, add_special_tokens=False).ids


def fit_padding(classifier: PackedClassifier, tokenizer: Any) -> None:
    """Set a causal model's `pad_token_id` in its config to that of `padding_token`, in place."""
    if classifier.family.pooling(classifier.model.config) == "last":
        classifier.model.config.pad_token_id = padding_token(classifier, tokenizer)


def can_pad(tokenizer: Any, config: Any) -> bool:
    """Whether the tokenizer has a pad token that the model knows; GPT-2's has none."""
    return tokenizer.pad_token_id is not None and tokenizer.pad_token_id < config.vocab_size


def saved_tokenizer(classifier: PackedClassifier, tokenizer: Any) -> Any:
    """A copy of the tokenizer that pads on the right, a causal model's with the token that its config names."""
    saved = copy.deepcopy(tokenizer)
    saved.padding_side = "right"
    padding = padding_token(classifier, tokenizer)
    causal = classifier.family.pooling(classifier.model.config) == "last"
    wanted = causal or not can_pad(tokenizer, classifier.model.config)
    if wanted and padding != tokenizer.pad_token_id and (causal or padding in tokenizer.added_tokens_decoder):
        saved.pad_token = None if padding is None else tokenizer.convert_ids_to_tokens(padding)
    return saved


def pads_on_either_side(classifier: PackedClassifier) -> bool:
    """Whether transformers gives the same logits with padding on the left.

    It does not where a model pools the first slot, or counts positions from the first slot (GPT-2, BERT).
    """
    config = classifier.model.config
    return classifier.family.pooling(config) != "first" and getattr(config, "rope_parameters", None) is not None
