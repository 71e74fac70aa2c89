r"""A prompt around every text, as part of the tokenizer, so that every saved tokenizer adds it by itself.

A prompt such as 'Is this a well-formed question?\n{text}' tells an instruction-tuned model what the labels mean. The
tokenizer's post-processor adds its tokens around those of the text, like [CLS] and [SEP]. They count towards the
maximum length, and truncation never removes them.
"""

from __future__ import annotations

import json
from typing import Any

from tokenizers import Tokenizer

from feathertune.errors import UserError
from feathertune.tokens.loading import in_general_class

PLACE = "{text}"
_BEFORE, _AFTER = "before the text", "after the text"  # their names in the template
_TEXT = {"Sequence": {"id": "A", "type_id": 0}}


def add_prompt(tokenizer: Any, prompt: str | None, max_length: int) -> Any:
    """A transformers tokenizer that adds `prompt` around every text; `tokenizer` itself if there is no prompt.

    Args:
        tokenizer: a fast tokenizer, which is not changed.
        prompt: see `with_prompt`.
        max_length: of a text with its prompt, in tokens.

    Raises:
        UserError: as `with_prompt`; or the prompt leaves no room for the text, or ends with the pad token.
    """
    if prompt is None:
        return tokenizer
    prompted = with_prompt(tokenizer.backend_tokenizer, prompt)
    if (fixed := prompted.num_special_tokens_to_add(False)) >= max_length:
        raise UserError(
            f"the prompt takes {fixed} tokens, which leaves no room for the text in {max_length}",
            where="model.prompt",
            fix="Use a shorter prompt or a larger model.max_length.",
        )
    if not prompt.endswith(PLACE) and prompted.encode("a").ids[-1] == tokenizer.pad_token_id:
        raise UserError(
            f"the prompt ends with {tokenizer.pad_token}, the pad token, and such tokens are never pooled",
            where="model.prompt",
            fix="End it with something else, such as a line break.",
        )
    # Not the tokenizer's own class: BERT's restores its own post-processor whenever it is loaded.
    return in_general_class(tokenizer, prompted, split_special_tokens=False)


def with_prompt(tokenizer: Tokenizer, prompt: str) -> Tokenizer:
    """A copy of a tokenizer of the `tokenizers` library that adds `prompt`, without padding and truncation.

    Args:
        tokenizer: the tokenizer.
        prompt: contains `{text}` once. Names of special tokens in it become those tokens, as in a chat template.

    Raises:
        UserError: the tokenizer has a post-processor of an unsupported kind.
    """
    plain = _without_lengths(tokenizer)
    settings = json.loads(plain.to_str())
    template = _template(settings["post_processor"])
    around = []
    for name, part in zip((_BEFORE, _AFTER), prompt.split(PLACE), strict=True):
        encoded = plain.encode(part, add_special_tokens=False)
        template["special_tokens"][name] = {"id": name, "ids": encoded.ids, "tokens": encoded.tokens}
        around.append({"SpecialToken": {"id": name, "type_id": 0}})
    around.insert(1, _TEXT)
    template["single"] = [one for piece in template["single"] for one in (around if piece == _TEXT else [piece])]
    return single_tokens(Tokenizer.from_str(json.dumps(settings | {"post_processor": template})))


def single_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer, with each special token of its template standing for one token of the vocabulary, by its name.

    The ids stay the same. transformers.js looks a template's special tokens up in the vocabulary by their names, and
    one that stands for several tokens becomes the unknown token there. Runs trained by early versions have such.
    """
    settings = json.loads(tokenizer.to_str())
    processor = settings["post_processor"] or {}
    templates = processor["processors"] if processor.get("type") == "Sequence" else [processor]
    for template in templates:
        if template.get("type") == "TemplateProcessing":
            _spell_out(template, tokenizer)
    return Tokenizer.from_str(json.dumps(settings))


def _spell_out(template: dict[str, Any], tokenizer: Tokenizer) -> None:
    """See `single_tokens`; in place."""
    spelt: dict[str, Any] = {}
    names: dict[str, list[str]] = {}
    for special in template["special_tokens"].values():
        # The vocabulary's own names: an encoding names an unknown token as it was written.
        ids = special["ids"]
        found = [tokenizer.id_to_token(one) or name for one, name in zip(ids, special["tokens"], strict=True)]
        names[special["id"]] = found
        spelt |= {name: {"id": name, "ids": [one], "tokens": [name]} for one, name in zip(ids, found, strict=True)}
    template["special_tokens"] = spelt
    for kind in ("single", "pair"):
        template[kind] = [one for piece in template[kind] for one in _spelt(piece, names)]


def _spelt(piece: dict[str, Any], names: dict[str, list[str]]) -> list[dict[str, Any]]:
    """A piece of a template as pieces of one token each."""
    if (special := piece.get("SpecialToken")) is None:
        return [piece]
    return [{"SpecialToken": special | {"id": name}} for name in names[special["id"]]]


def tokens_after_text(tokenizer: Tokenizer) -> list[int]:
    """The ids that the tokenizer puts after every text: [SEP], the end of a prompt."""
    encoding = _without_lengths(tokenizer).encode("a")
    last = max((place for place, number in enumerate(encoding.sequence_ids) if number == 0), default=None)
    return [] if last is None else list(encoding.ids[last + 1 :])


def _without_lengths(tokenizer: Tokenizer) -> Tokenizer:
    """A copy without the padding and truncation that some bases store: MiniLM's pads to 128 tokens."""
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    return plain


def _template(processor: dict[str, Any] | None) -> dict[str, Any]:
    """The existing post-processor as a template."""
    nothing = {"type": "TemplateProcessing", "single": [_TEXT], "pair": [_TEXT], "special_tokens": {}}
    if processor is None or processor["type"] == "ByteLevel":  # adds no tokens
        return nothing
    if processor["type"] == "Sequence":
        others = [one for one in processor["processors"] if one["type"] != "ByteLevel"]
        if len(others) <= 1:
            return _template(others[0] if others else None)
    if processor["type"] == "TemplateProcessing" and processor["single"].count(_TEXT) == 1:
        return processor
    if processor["type"] in ("RobertaProcessing", "BertProcessing"):
        (first, first_id), (last, last_id) = processor["cls"], processor["sep"]
        ends = {first: first_id, last: last_id}
        special = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in ends.items()}
        pieces = [{"SpecialToken": {"id": name, "type_id": 0}} for name in (first, last)]
        return nothing | {"single": [pieces[0], _TEXT, pieces[1]], "special_tokens": special}
    raise UserError(
        f"the tokenizer's post-processor {processor['type']} cannot be combined with a prompt",
        where="model.prompt",
        fix="Remove model.prompt, and add its words to the texts themselves.",
    )
