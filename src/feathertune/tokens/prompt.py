r"""A prompt around every text, as a part of the tokenizer: whatever the tokenizer is saved with asks the same way.

'Is this a well-formed question?\n{text}' tells a model that has learned to answer instructions what the labels are
about. Its tokens are put around the text's own by the tokenizer's post-processor, as [CLS] and [SEP] are: they count
towards the limit, and what is cut of a long text is never the prompt.
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
    if (fixed := asking.num_special_tokens_to_add(False)) >= max_length:
        raise UserError(
            f"the prompt takes {fixed} tokens, which leaves none of {max_length} for the text",
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
        truncation_side=tokenizer.truncation_side,
        **tokenizer.special_tokens_map,
    )


def check_end(tokenizer: Any, padding: int | None) -> None:
    """Raise a UserError where every text ends with the token that stands for padding.

    transformers and PEFT pool the last token that is another: a model that was trained on the very last one would
    answer otherwise with them.

    Args:
        tokenizer: a transformers tokenizer, fast.
        padding: the token by which transformers finds where a text ends.
    """
    plain, whole = (tokenizer.backend_tokenizer.encode("a", add_special_tokens=added).ids for added in (False, True))
    if padding is not None and whole[-1:] == [padding] != plain[-1:]:
        raise UserError(
            f"every text ends with the tokenizer's {tokenizer.convert_ids_to_tokens(padding)}, which also pads texts: "
            "transformers and PEFT would pool the token before it",
            where="model.source",
            fix="Give it another pad_token, in the base's tokenizer_config.json, or take another base.",
        )


def with_prompt(tokenizer: Tokenizer, prompt: str) -> Tokenizer:
    """The same for a tokenizer of the library `tokenizers`, which neither pads nor cuts.

    Args:
        prompt: holds `{text}` once. Names of special tokens in it become those tokens, as in a chat's template.

    Raises:
        UserError: the tokenizer puts something around texts in a way that is not known here.
    """
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    described = json.loads(plain.to_str())
    template = _template(described["post_processor"])
    around = []
    for name, part in zip(("before the text", "after the text"), prompt.split(PLACE), strict=True):
        encoded = plain.encode(part, add_special_tokens=False)
        template["special_tokens"][name] = {"id": name, "ids": encoded.ids, "tokens": encoded.tokens}
        around.append({"SpecialToken": {"id": name, "type_id": 0}})
    around.insert(1, _TEXT)
    template["single"] = [one for piece in template["single"] for one in (around if piece == _TEXT else [piece])]
    return Tokenizer.from_str(json.dumps(described | {"post_processor": template}))


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
