"""Data of chatbots: intents with their patterns, Dialogflow's user says, LUIS, and the benchmark CLINC150.

* `{"intents": [{"tag": "greeting", "patterns": ["hi", ...], "responses": [...]}]}`, under other names as well
  (`intent` and `text`); also without the object around the array.
* Dialogflow: `intents/NAME_usersays_en.json`, `[{"id", "data": [{"text": "good "}, {"text": "bye"}], ...}]`, whose
  label is the file's name; older exports have `{"name", "userSays": [...]}`.
* Snips: `{"intents": {"greeting": {"utterances": [{"data": [{"text": "good "}, {"text": "bye", "entity"}]}]}}}`.
* LUIS: `{"utterances": [{"text", "intent", "entities"}]}`.
* CLINC150: `{"train": [["text", "label"], ...], "val", "test", "oos_train", ...}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Document, Record, Records, Tool

DOCUMENT_KEYS = ("intents", "utterances", "userSays", "train")
INTENT_ROLES = Roles("text", "intent")

_TAGS = ("tag", "intent", "name", "label")
_PATTERNS = ("patterns", "text", "texts", "examples", "utterances", "questions", "phrases")
_USER_SAYS = re.compile(r"(.+)_usersays_[A-Za-z]{2,3}([-_][A-Za-z]+)?\.json")
_OUT_OF_SCOPE = "oos"
_CLINC_SPLITS = {"train": "train", "val": "validation", "test": "test"}


def recognize(records: Sequence[Record], name: str = "") -> Tool | None:
    """An array of intents with patterns, or of Dialogflow's user says."""
    keys = _intent_keys(records)
    if keys is not None:
        return Intents(*keys)
    matched = _USER_SAYS.fullmatch(Path(name).name)
    return Dialogflow(matched[1]) if matched and all(_is_said(record) for record in records) else None


class Intents(Tool):
    """A record for each intent, with its patterns as an array. Rows are numbered through all patterns."""

    name = "chatbot intents"

    def __init__(self, tag: str, patterns: str) -> None:
        super().__init__(INTENT_ROLES)
        self._tag, self._patterns = tag, patterns

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        number = 0
        for record in records:
            if isinstance(record, BadRow):
                yield record
                continue
            tag, patterns = record.fields.get(self._tag), record.fields.get(self._patterns)
            if not isinstance(tag, str) or not isinstance(patterns, list):
                yield BadRow(record.place, f"an intent without {self._tag!r}, a text, or {self._patterns!r}, an array")
                continue
            if not patterns:
                self._leave_out("intent", "without a pattern")
            for pattern in patterns:
                number += 1
                if isinstance(pattern, str) and not pattern.strip():
                    self._leave_out("pattern", "empty")
                else:
                    yield Row(record.place, number, {"text": pattern, "intent": tag})


class Dialogflow(Tool):
    """The user says of one intent; parts of a text are joined."""

    name = "Dialogflow"

    def __init__(self, intent: str) -> None:
        super().__init__(INTENT_ROLES)
        self._intent = intent

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        for record in records:
            if isinstance(record, BadRow):
                yield record
            elif not _is_said(record.fields):
                yield BadRow(record.place, "no `data` with the parts of a text")
            else:
                yield Row(record.place, record.row, {"text": _joined(record.fields["data"]), "intent": self._intent})


def read_document(value: Record, place: str) -> Document | None:
    """The rows of an object with a chatbot's intents, or of CLINC150."""
    return _clinc(value, place) or _intents(value, place) or _dialogflow(value, place) or _luis(value, place)


def _intents(value: Record, place: str) -> Document | None:
    records = value.get("intents")
    if isinstance(records, dict):  # {"intents": {"greeting": ["hi", ...], ...}}, or objects with the patterns
        named = records.items()
        records = [{"tag": tag, **(_plain(one) if isinstance(one, dict) else {"patterns": one})} for tag, one in named]
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        return None
    keys = _intent_keys(records)
    return None if keys is None else _document(Intents(*keys), records, place)


def _plain(intent: Record) -> Record:
    """An intent of Snips, whose utterances are arrays of parts, with texts for them; another one as it is."""
    said = intent.get("utterances")
    if not isinstance(said, list) or not said or not all(_is_said(one) for one in said):
        return intent
    return {**intent, "utterances": [_joined(one["data"]) for one in said]}


def _dialogflow(value: Record, place: str) -> Document | None:
    said, intent = value.get("userSays"), value.get("name")
    if not isinstance(said, list) or not isinstance(intent, str) or not all(_is_said(record) for record in said):
        return None
    return _document(Dialogflow(intent), said, place)


def _luis(value: Record, place: str) -> Document | None:
    said = value.get("utterances")
    if not isinstance(said, list) or not said:
        return None
    if not all(isinstance(one, dict) and isinstance(one.get("text"), str) and "intent" in one for one in said):
        return None
    rows: list[Row | BadRow] = [
        Row(f"{place}:{number}", number, {"text": one["text"], "intent": one["intent"]})
        for number, one in enumerate(said, start=1)
    ]
    return Document("LUIS", INTENT_ROLES, {"train": rows})


def _clinc(value: Record, place: str) -> Document | None:
    """CLINC150 (Larson et al. 2019): what is out of scope joins its split, under the label that it has there, oos."""
    if not value or not all(_are_pairs(pairs) for pairs in value.values()) or "train" not in value:
        return None
    splits: dict[str, list[Row | BadRow]] = {}
    number = 0
    for key, pairs in value.items():
        split = _CLINC_SPLITS.get(key.removeprefix(f"{_OUT_OF_SCOPE}_"))
        assert isinstance(pairs, list)
        for text, intent in pairs if split is not None else ():
            number += 1
            row = Row(f"{place}:{number}", number, {"text": text, "intent": intent})
            splits.setdefault(str(split), []).append(row)
    return Document("CLINC150", INTENT_ROLES, splits) if "train" in splits else None


def _document(tool: Tool, records: list[Record], place: str) -> Document:
    numbered = (Row(f"{place}:{number}", number, record) for number, record in enumerate(records, start=1))
    rows = list(tool.rows(numbered))
    return Document(tool.name, tool.roles, {"train": rows}, tool.notes())


def _intent_keys(records: Sequence[Record]) -> tuple[str, str] | None:
    """The keys of an intent's name and of its patterns, where all records have them."""

    def common(names: Sequence[str], kind: type) -> str | None:
        return next((name for name in names if all(isinstance(one.get(name), kind) for one in records)), None)

    patterns, tag = common(_PATTERNS, list), common(_TAGS, str)
    if not records or patterns is None or tag is None:
        return None
    texts = [text for record in records for text in _listed(record[patterns])]
    return (tag, patterns) if texts and all(isinstance(text, str) for text in texts) else None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_said(record: object) -> bool:
    parts = record.get("data") if isinstance(record, dict) else None
    return isinstance(parts, list) and all(isinstance(one, dict) and isinstance(one.get("text"), str) for one in parts)


def _joined(parts: object) -> str:
    return "".join(str(part["text"]) for part in _listed(parts) if isinstance(part, dict)).strip()


def _are_pairs(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair) for pair in value
    )
