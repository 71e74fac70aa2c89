"""Reading a JSON document piece by piece, so that an array of any length is never in memory as a whole.

Strict where `json` is not: repeated keys, NaN, Infinity, half a surrogate pair and bytes that do not belong to the
encoding are faults of the value that holds them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from feathertune.data.texts import has_surrogates
from feathertune.errors import UserError

_SPACE = re.compile(r"[ \t\n\r]*")
_CHUNK = 2**18  # characters
_NEAR_END = 64  # a fault this close to the end of what was read may be a value that is cut there
_MAX_VALUE = 2**28  # characters of one element: more is another kind of file, and would have to fit in memory


class Faulty(NamedTuple):
    """A value that is none: the reason, and a fix where the whole file must be written again."""

    reason: str
    fix: str | None = None


class JsonStream:
    """The values of a JSON text from `read(characters)`, one after the other; `place` is the file, for messages."""

    def __init__(self, read: Callable[[int], str], place: str) -> None:
        self._read, self._place = read, place
        self._text, self._at, self._line, self._counted = "", 0, 1, 0
        self._ended = False

    @property
    def line(self) -> int:
        """The 1-based line of what comes next."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def peek(self) -> str:
        """The next character that is no white space, which remains; '' at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches always
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """The next character, which must be one of `expected`. Raises UserError."""
        character = self.peek()
        if not character or character not in expected:
            found = repr(character) if character else "the end of the file"
            wanted = " or ".join(repr(one) for one in expected)
            raise self.error(f"not valid JSON: {found} where {wanted} is expected")
        self._at += 1
        return character

    def value(self) -> object:
        """The next value; `Faulty` if it breaks a rule. Raises UserError if it is no JSON."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                value, end = _STRICT.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._text) - _NEAR_END or error.msg.startswith("Unterminated string")
                if cut and self._more(size):
                    size *= 2
                    continue
                raise self._syntax(error) from None
            except RecursionError:
                raise self.error("not readable JSON: nested too deeply") from None
            except ValueError as error:  # of our own rules: the value ends where a lenient reader says
                value, end = Faulty(str(error)), self._lenient_end()
            if end == len(self._text) and self._more(size):  # the digits of a number may go on
                size *= 2
                continue
            raw = self._text[self._at : end]
            self.line  # noqa: B018  # counts before the position moves
            self._at = end
            return value if isinstance(value, Faulty) else _checked(value, raw)

    def elements(self) -> Iterator[tuple[int, object]]:
        """(line, value) of the elements of the array that comes next. Raises UserError."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            self.peek()
            yield self.line, self.value()
            if self.take(",]") == "]":
                return

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next; whoever iterates reads the value of each. Raises UserError."""
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            if self.peek() != '"':
                self.take('"')
            key = self.value()
            if isinstance(key, Faulty):
                raise self.error(key.reason)
            self.take(":")
            yield str(key)
            if self.take(",}") == "}":
                return

    def error(self, reason: str) -> UserError:
        """A UserError at the current line."""
        return UserError(reason, where=f"{self._place}:{self.line}", fix=_fix(self._text[self._at : self._at + 200]))

    def _syntax(self, error: json.JSONDecodeError) -> UserError:
        self._line += self._text.count("\n", self._counted, error.pos)
        self._counted = self._at = min(error.pos, len(self._text))
        if self._ended and (error.pos >= len(self._text) or error.msg.startswith("Unterminated string")):
            return self.error("not valid JSON: the file ends in the middle of a value")
        return self.error(f"not valid JSON: {error.msg}")

    def _lenient_end(self) -> int:
        try:
            return json.JSONDecoder().raw_decode(self._text, self._at)[1]
        except (ValueError, RecursionError):
            if self._more():
                return self._lenient_end()
            raise self.error("not valid JSON: the file ends in the middle of a value") from None

    def _more(self, size: int = _CHUNK) -> bool:
        """Read on, dropping what was used; False at the end of the file."""
        if self._ended:
            return False
        chunk = self._read(size)
        if not chunk:
            self._ended = True
            return False
        self.line  # noqa: B018  # counts what is dropped
        self._text, self._at, self._counted = self._text[self._at :] + chunk, 0, 0
        if len(self._text) > _MAX_VALUE + size:
            raise self.error(f"a value is longer than {_MAX_VALUE:,} characters")
        return True


def json_value(text: str) -> object:
    """The JSON value of a line, or `Faulty`. Raises ValueError with the reason if it is none."""
    try:
        value = _STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at position {error.colno}") from None
    except RecursionError:
        raise ValueError("not readable JSON: nested too deeply") from None
    except ValueError as error:
        return Faulty(str(error))
    return _without_halves(value) if "\\u" in text else value  # only an escape can be half of a pair: the line is UTF-8


def _checked(value: object, raw: str) -> object:
    """The value, or why its characters are none: only an escape or an undecodable byte can be half of a pair."""
    if not raw.isascii():
        try:
            raw.encode()
        except UnicodeEncodeError as error:
            return Faulty(f"not valid text: byte 0x{ord(raw[error.start]) & 0xFF:02x}")
    return _without_halves(value) if "\\u" in raw else value


def _without_halves(value: object) -> object:
    name = _half(value, "the value")
    return value if name is None else Faulty(f"{name} contains half of a surrogate pair, which is not a character")


def _half(value: object, name: str) -> str | None:
    """The name of the field that contains half of a surrogate pair."""
    if isinstance(value, str):
        return name if has_surrogates(value) else None
    if isinstance(value, list):
        return next((found for item in value if (found := _half(item, name))), None)
    if isinstance(value, dict):
        for key, item in value.items():
            if has_surrogates(key) or _half(item, name):
                return repr(key)
    return None


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} appears twice")
    return fields


def _refuse_constant(constant: str) -> object:
    raise ValueError(f"{constant} is not a number in JSON")


def _fix(text: str) -> str | None:
    """What may be wrong with a text that is not JSON."""
    if re.match(r"[{\[(,\s]*'", text):
        return "It is written as Python prints it, with ' for \": write it with json.dump."
    return None


_STRICT = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
