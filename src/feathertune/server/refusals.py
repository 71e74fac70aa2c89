"""Errors as text-embeddings-inference writes them: a status, and JSON with a sentence and a type."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from starlette.responses import JSONResponse

# text-embeddings-inference's types, and one for what it leaves to its framework.
ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty", "Http"]


@dataclass
class Refusal(Exception):  # noqa: N818 - an answer to a client, not a fault
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
        sentence: what is wrong; it names the field.
        error_type: see `ErrorType`.
        headers: further headers of the response.
    """

    status: int
    sentence: str
    error_type: ErrorType = "Validation"
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> AsciiJson:
        """The response that says so."""
        content = {"error": self.sentence, "error_type": self.error_type}
        return AsciiJson(content, self.status, headers=self.headers)


def overloaded(sentence: str, seconds: int) -> Refusal:
    """429, with the seconds after which another attempt makes sense."""
    return Refusal(429, sentence, "Overloaded", {"Retry-After": str(seconds)})


class AsciiJson(JSONResponse):
    """JSON in ASCII, since a sentence or a label may hold what UTF-8 cannot encode."""

    def render(self, content: object) -> bytes:
        """The body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
