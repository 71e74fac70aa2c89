r"""A prompt around every text, as a part of the tokenizer: whatever the tokenizer is saved with asks the same way.

'Is this a well-formed question?\n{text}' tells a model that has learned to answer instructions what the labels are
about. Its tokens are put around the text's own by the tokenizer's post-processor, as [CLS] and [SEP] are: they count
towards the limit, and what is cut of a long text is never the prompt.

A prompt may hold the text twice. Then a causal model, whose tokens see none that follow, has read all of the text when
it reads it for the second time (Springer et al. 2024, 'Repetition Improves Language Model Embeddings',
arXiv:2402.15449).
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer

from feathertune.errors import UserError

PLACE = "{text}"
_TEXT = {"Sequence": {"id": "A", "type_id": 0}}


def add_prompt(tokenizer: Any, prompt: str | None, max_length: int) -> Any:
    """A transformers tokenizer that puts `prompt` around every text; `tokenizer` itself where there is none.

    Args:
        tokenizer: a fast one. It is left as it is.
        prompt: see `with_prompt`.
        max_length: tokens of a text with its prompt.

    Raises:
        UserError: see `with_prompt`; a prompt that leaves no token for the text, or ends with the token for padding.
    """
    if prompt is None:
        return tokenizer
    from transformers import PreTrainedTokenizerFast

    asking = with_prompt(tokenizer.backend_tokenizer, prompt)
    if library_limit(asking, max_length) <= (fixed := asking.num_special_tokens_to_add(False)):
        raise UserError(
            f"the prompt takes {fixed} tokens, which leaves too few of {max_length} for the text",
            where="model.prompt",
            fix="Give a shorter prompt or a larger model.max_length.",
        )
    if not prompt.endswith(PLACE) and asking.encode("a").ids[-1] == tokenizer.pad_token_id:
        raise UserError(
            f"the prompt ends with {tokenizer.pad_token}, which pads texts: the last other token is pooled",
            where="model.prompt",
            fix="End it with something else, such as a line break.",
        )
    # Not the tokenizer's own class: BERT's would put back its own post-processor whenever it is loaded.
    return PreTrainedTokenizerFast(
        tokenizer_object=asking,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        **tokenizer.special_tokens_map,
    )


def with_prompt(tokenizer: Tokenizer, prompt: str) -> Tokenizer:
    """The same for a tokenizer of the library `tokenizers`, which neither pads nor cuts.

    Args:
        prompt: holds `{text}` at least once. Special tokens' names in it become those tokens, as in a chat's template.

    Raises:
        UserError: the tokenizer puts something around texts in a way that is not known here.
    """
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    described = json.loads(plain.to_str())
    template = _template(described["post_processor"])
    around: list[Any] = []
    for number, part in enumerate(prompt.split(PLACE)):
        name = f"prompt {number}"
        encoded = plain.encode(part, add_special_tokens=False)
        template["special_tokens"][name] = {"id": name, "ids": encoded.ids, "tokens": encoded.tokens}
        around += [*([_TEXT] if number else []), {"SpecialToken": {"id": name, "type_id": 0}}]
    template["single"] = [one for piece in template["single"] for one in (around if piece == _TEXT else [piece])]
    return Tokenizer.from_str(json.dumps(described | {"post_processor": template}))


def library_limit(tokenizer: Tokenizer, max_length: int) -> int:
    """The limit to tell the library `tokenizers`, so that a text that is cut has at most `max_length` tokens in all.

    The library counts what is around a text, and the text once, even where the prompt holds it twice.
    """
    fixed, processor = tokenizer.num_special_tokens_to_add(False), tokenizer.post_processor
    times = 1 if processor is None else _times(json.loads(processor.__getstate__()))
    return fixed + (max_length - fixed) // times


def _times(processor: dict[str, Any]) -> int:
    """How often a text is put into the place of one."""
    if processor["type"] == "Sequence":
        return max((_times(one) for one in processor["processors"]), default=1)
    if processor["type"] == "TemplateProcessing":
        return sum("Sequence" in piece for piece in processor["single"])
    return 1


def _template(processor: dict[str, Any] | None) -> dict[str, Any]:
    """What the tokenizer puts around a text already, as a template."""
    nothing = {"type": "TemplateProcessing", "single": [_TEXT], "pair": [_TEXT], "special_tokens": {}}
    if processor is None or processor["type"] == "ByteLevel":  # which moves no token
        return nothing
    if processor["type"] == "Sequence":
        moving = [one for one in processor["processors"] if one["type"] != "ByteLevel"]
        if len(moving) <= 1:
            return _template(moving[0] if moving else None)
    if processor["type"] == "TemplateProcessing" and processor["single"].count(_TEXT) == 1:
        return processor
    if processor["type"] in ("RobertaProcessing", "BertProcessing"):
        (first, first_id), (last, last_id) = processor["cls"], processor["sep"]
        ends = {first: first_id, last: last_id}
        special = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in ends.items()}
        pieces = [{"SpecialToken": {"id": name, "type_id": 0}} for name in (first, last)]
        return nothing | {"single": [pieces[0], _TEXT, pieces[1]], "special_tokens": special}
    raise UserError(
        f"the tokenizer's own {processor['type']} around texts cannot be combined with a prompt",
        where="model.prompt",
        fix="Leave model.prompt out, and put its words into the texts themselves.",
    )
