"""Requests and responses of text-embeddings-inference, Hugging Face's Inference API and vLLM.

A request's texts are checked here, so that every refusal names its field. Unknown fields are ignored, as by the servers
that have these protocols.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StrictBool, WithJsonSchema
from pydantic_core import PydanticCustomError

from feathertune.data.texts import has_surrogates

_EXAMPLE = "how do magnets work?"


class Texts(NamedTuple):
    """The texts of a request; `single`: it was one text, not a list."""

    texts: list[str]
    single: bool


def _problem(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("texts", "{sentence}", {"sentence": sentence})


def check_text(text: object, place: str = "") -> str:
    """The text. Raises PydanticCustomError if it is none, empty, or not valid Unicode."""
    where = f"{place}: " if place else ""
    if not isinstance(text, str):
        raise _problem(f"{where}expected a text, not {_kind(text)}")
    if not text.strip():
        raise _problem(f"{where}the text is empty")
    if has_surrogates(text):
        raise _problem(f"{where}the text holds half of a surrogate pair, which is no character")
    return text


def _kind(value: object) -> str:
    names: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", dict: "an object"}
    return "null" if value is None else "a list" if isinstance(value, list) else names.get(type(value), "this")


def one_or_many(value: object) -> Texts:
    """A text, or a list of texts. Raises PydanticCustomError."""
    if not isinstance(value, list):
        return Texts([check_text(value)], single=True)
    if not value:
        raise _problem("the list is empty")
    return Texts([check_text(text, f"text {number}") for number, text in enumerate(value, 1)], single=False)


def sequences(value: object) -> Texts:
    """text-embeddings-inference's inputs: a text, [text], or a batch [[text], ...]. Raises PydanticCustomError."""
    if not isinstance(value, list):
        return Texts([check_text(value)], single=True)
    if not value:
        raise _problem("the list is empty")
    if all(isinstance(part, list) for part in value):
        texts = []
        for number, part in enumerate(value, 1):
            if len(part) != 1:
                raise _problem(f"text {number}: expected a list of one text, not of {len(part)}: {_PAIRS}")
            texts.append(check_text(part[0], f"text {number}"))
        return Texts(texts, single=False)
    if len(value) != 1:
        raise _problem(f'expected one text or a batch [["a text"], ["another"]], not a list of {len(value)}: {_PAIRS}')
    return Texts([check_text(value[0])], single=True)


_PAIRS = "text-embeddings-inference reads [a, b] as a pair, and this model reads single texts"
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_MANY: dict[str, Any] = {"type": "array", "items": _TEXT, "minItems": 1}
_ONE: dict[str, Any] = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 1}

Sequences = Annotated[
    Any,
    BeforeValidator(sequences),
    WithJsonSchema({"anyOf": [_TEXT, _ONE, {"type": "array", "items": _ONE, "minItems": 1}]}),
]
OneOrMany = Annotated[Any, BeforeValidator(one_or_many), WithJsonSchema({"anyOf": [_TEXT, _MANY]})]
Text = Annotated[Any, BeforeValidator(check_text), WithJsonSchema(_TEXT)]


def _right(direction: str) -> str:
    if direction != "Right":
        raise _problem("this model's texts are cut as in training, which is `Right`")
    return direction


class PredictRequest(BaseModel):
    """text-embeddings-inference's `/predict`."""

    inputs: Sequences = Field(
        description="A text, [text], or a batch of them: [[text], [text], ...].", examples=[_EXAMPLE]
    )
    truncate: StrictBool | None = Field(
        default=False,
        description="Cut texts that are longer than the model reads; otherwise they are refused with 413.",
    )
    raw_scores: StrictBool | None = Field(default=False, description="Give logits instead of calibrated probabilities.")
    truncation_direction: Annotated[Literal["Left", "Right"], AfterValidator(_right)] = Field(
        default="Right", description="Only `Right`."
    )


class InferenceParameters(BaseModel):
    """The parameters of a text classification."""

    top_k: Annotated[int, Field(strict=True, ge=1)] | None = Field(default=None, description="How many labels to give.")
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = Field(
        default=None,
        description="softmax (default): calibrated probabilities; none: logits; sigmoid: of each logit.",
    )
    truncation: StrictBool | None = Field(
        default=True, description="false: texts that are longer than the model reads are refused with 413."
    )


class InferenceRequest(BaseModel):
    """Hugging Face's Inference API."""

    inputs: OneOrMany = Field(description="A text, or a list of texts.", examples=[_EXAMPLE])
    parameters: InferenceParameters | None = None


class ClassifyRequest(BaseModel):
    """vLLM's `/classify`."""

    model: str | None = Field(default=None, description="The model's name, as in `/info`; it may be left out.")
    input: OneOrMany = Field(description="A text, or a list of texts; no token ids.", examples=[_EXAMPLE])
    truncate_prompt_tokens: Annotated[int, Field(strict=True, ge=-1)] | None = Field(
        default=None, description="-1: cut longer texts; otherwise they are refused with 413."
    )


class ExplainRequest(BaseModel):
    """Which words of a text mattered."""

    text: Text = Field(description="The text.", examples=[_EXAMPLE])


class LabelScore(BaseModel):
    """A label and its calibrated probability, or its logit if that was asked for."""

    label: str = Field(examples=["wellformed"])
    score: float = Field(examples=[0.93])


class Classified(BaseModel):
    """One text of vLLM's response. `label` follows the decision; `probs` are in the order of the labels in `/info`."""

    index: int
    label: str
    probs: list[float]
    num_classes: int


class Usage(BaseModel):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: None = None


class ClassifyResponse(BaseModel):
    """vLLM's response."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Classified]
    usage: Usage


class Word(BaseModel):
    """A word at the characters `start` to `end` (Unicode code points), and what it adds to the label's probability."""

    word: str
    start: int
    end: int
    weight: float


class Explanation(BaseModel):
    """Occlusion: each word is left out once; its weight is how much less probable the label is without it."""

    label: str
    score: float
    words: list[Word]
    method: Literal["occlusion"] = "occlusion"


class Problem(BaseModel):
    """Every error, as text-embeddings-inference writes it."""

    error: str = Field(examples=["inputs: the text is empty"])
    error_type: str = Field(examples=["Validation"])
