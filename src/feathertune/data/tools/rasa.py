"""Rasa's training data for intents: YAML (2.0 to 3.1), Markdown (1.x) and JSON.

What marks entities (`[Rome](city)`, `[romme]{"entity": "city", "value": "Rome"}`) is reduced to the text that a user
would write. Synonyms, regular expressions and lookup tables are no texts of an intent. Names of several intents (`a+b`)
and of retrieval intents (`faq/ask_x`) stay as they are, as Rasa's classifiers have them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from feathertune.data.formats.format import Roles
from feathertune.data.rows import BadRow, Row
from feathertune.data.tools.tool import Document, Record, Records, Tool

DOCUMENT_KEYS = ("rasa_nlu_data",)

_ROLES = Roles("text", "intent")
_NLU = re.compile(r"nlu\s*:\s*(#.*)?")
_ITEM = re.compile(r"\s*-\s*(intent|synonym|regex|lookup)\s*:")
_SECTION = re.compile(r"##\s*(intent|synonym|regex|lookup)\s*:\s*(.+?)\s*")
_EXAMPLE = re.compile(r"\s*[-*+]\s*(.*\S)\s*")
# [text](entity), [text](entity:value), [text]{"entity": ...}, [text][{"entity": ...}, ...]
_ENTITY = re.compile(r"\[([^\]]+?)\](?:\([^)]+\)|\{[^}]*\}|\[\s*\{[^\]]*\}\s*\])")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\b": "\b", r"\f": "\f"}  # as Rasa writes them in an example


def recognize(lines: Sequence[str]) -> Tool | None:
    """By `nlu:` with an item of Rasa's (YAML), or a heading of Rasa's (Markdown)."""
    if any(_NLU.fullmatch(line.rstrip()) for line in lines) and any(_ITEM.match(line) for line in lines):
        return RasaYaml()
    return RasaMarkdown() if any(_SECTION.fullmatch(line.rstrip()) for line in lines) else None


def surface(example: str) -> str:
    """An example without marks of entities, as a user would write it."""
    text = _ENTITY.sub(r"\1", example)
    return re.sub(r"\\[ntrbf]", lambda escape: _ESCAPES[escape[0]], text).strip()


class _Rasa(Tool):
    name = "Rasa"

    def __init__(self) -> None:
        super().__init__(_ROLES)

    def _row(self, place: str, line: int, example: str, intent: str) -> Row:
        if "+" in intent:
            self._say("names with `+` are several intents at once; each such name is a class of its own")
        if "/" in intent:
            self._say("names with `/` are retrieval intents; each such name is a class of its own")
        return Row(f"{place}:{line}", line, {"text": surface(example), "intent": intent})


class RasaMarkdown(_Rasa):
    """`## intent:greet` over `- hello`."""

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        kind = intent = ""
        bad: list[BadRow] = []
        for place, number, line in _without_comments(records, bad):
            heading = _SECTION.fullmatch(line.rstrip())
            example = _EXAMPLE.fullmatch(line)
            if heading:
                kind, intent = heading[1], heading[2]
            elif line.startswith("#"):
                kind = ""
            elif example and kind == "intent":
                yield self._row(place, number, example[1], intent)
            elif example and kind:
                self._leave_out(kind, "no text of an intent")
        yield from bad


class RasaYaml(_Rasa):
    """`nlu:` with items `- intent: greet` and `examples: |`, each line an example; or a list of them."""

    def _rows(self, records: Records) -> Iterator[Row | BadRow]:
        lines, bad, place = [], [], ""
        for row in records:
            if isinstance(row, BadRow):
                bad.append(row)
                lines.append("")
                continue
            place = place or row.place.rpartition(":")[0]
            lines.append(str(row.fields["text"]))
        yield from bad
        try:
            root = YAML(typ="safe", pure=True).compose(io.StringIO("\n".join(lines) + "\n"))
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = 1 if mark is None else mark.line + 1
            yield BadRow(f"{place}:{line}", f"not valid YAML: {getattr(error, 'problem', None) or error}")
            return
        for item in _items(_value(root, "nlu")):
            intent = _value(item, "intent")
            if isinstance(intent, ScalarNode):
                yield from self._examples(place, str(intent.value), _value(item, "examples"))
            else:
                kind = next((name for name in ("synonym", "regex", "lookup") if _value(item, name)), "item")
                self._leave_out(kind, "no texts of an intent")

    def _examples(self, place: str, intent: str, examples: Node | None) -> Iterator[Row | BadRow]:
        """The rows of an intent: each line of a text, or each item of a list, with a dash before it."""
        if isinstance(examples, ScalarNode):
            first = examples.start_mark.line + (2 if examples.style in ("|", ">") else 1)
            for number, line in enumerate(str(examples.value).split("\n"), start=first):
                example = _EXAMPLE.fullmatch(line)
                if example:
                    yield self._row(place, number, example[1], intent)
                elif line.strip() and not line.lstrip().startswith("#"):
                    self._leave_out("line", "without a dash, which Rasa passes over")
            return
        for item in _items(examples):
            text = item if isinstance(item, ScalarNode) else _value(item, "text")
            if isinstance(text, ScalarNode):
                line = text.start_mark.line + (2 if text.style in ("|", ">") else 1)
                written = str(text.value).strip()
                example = _EXAMPLE.fullmatch(written)
                yield self._row(place, line, example[1] if example else written, intent)
        if not _items(examples):
            self._leave_out("intent", "without an example")


def read_document(value: Record, place: str) -> Document | None:
    """The rows of Rasa's JSON: `{"rasa_nlu_data": {"common_examples": [{"text", "intent", "entities"}]}}`."""
    data = value.get("rasa_nlu_data")
    if not isinstance(data, dict):
        return None
    examples = [one for name in ("common_examples", "intent_examples") for one in data.get(name) or ()]
    rows: list[Row | BadRow] = []
    for number, one in enumerate(examples, start=1):
        if isinstance(one, dict) and one.get("intent"):
            rows.append(Row(f"{place}:{number}", number, {"text": one.get("text"), "intent": one["intent"]}))
    left_out = len(examples) - len(rows)
    notes = (f"Rasa: {left_out} of {len(examples)} examples left out (without an intent)",) if left_out else ()
    return Document("Rasa", _ROLES, {"train": rows}, notes)


def _without_comments(records: Records, bad: list[BadRow]) -> Iterator[tuple[str, int, str]]:
    """(file, line number, line) of lines, without `<!-- -->` that may go over several; bad rows go to `bad`."""
    rows = list(records)
    bad += [row for row in rows if isinstance(row, BadRow)]
    lines = [row for row in rows if isinstance(row, Row)]
    text = "\n".join(str(row.fields["text"]) for row in lines)
    text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    for row, line in zip(lines, text.split("\n"), strict=True):
        yield row.place.rpartition(":")[0], row.row, line


def _items(node: Node | None) -> list[Node]:
    return list(node.value) if isinstance(node, SequenceNode) else []


def _value(node: Node | None, key: str) -> Node | None:
    """The value of a key in a mapping."""
    pairs = node.value if isinstance(node, MappingNode) else ()
    return next((value for name, value in pairs if name.value == key), None)
