"""Which label tool wrote a file, from its first records.

Three questions, in this order, by whoever opens a file (`formats/opening.py`):

* a text file that is no JSON: `recognize(lines, ("text",), "txt", name)`, each line a record `{"text": line}`, empty
  lines included, before separators are looked for (fastText, Rasa's YAML and Markdown);
* a JSON file that is one object: `recognize_document(value, name)`, where it has one of `DOCUMENT_KEYS`;
* a file of records (JSON lines, a JSON array, an object's array under a key, csv, parquet): `recognize(head, columns,
  kind, name)`.

A `Tool` then makes rows of text and label of the file's rows: `Table(read=lambda names: tool.rows(reader(names)),
roles=tool.roles, notes_after=tool.notes, format=FileFormat(..., tool=tool.name))`. A `Document` has its splits' rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from feathertune.data.formats.format import Roles
from feathertune.data.tools import (
    argilla,
    chatbots,
    doccano,
    fasttext,
    label_studio,
    label_studio_table,
    prodigy,
    rasa,
    spacy_cats,
    trec,
)
from feathertune.data.tools.tool import Document, Record, Tool
from feathertune.errors import UserError

DOCUMENT_KEYS = frozenset({*chatbots.DOCUMENT_KEYS, *rasa.DOCUMENT_KEYS})

_BY_LINES: tuple[Callable[[Sequence[str]], Tool | None], ...] = (
    fasttext.recognize,
    rasa.recognize,
    trec.recognize,
)
_BY_RECORDS: tuple[Callable[[Sequence[Record], str], Tool | None], ...] = (
    label_studio.recognize,
    label_studio_table.recognize,
    prodigy.recognize,
    argilla.recognize,
    doccano.recognize,
    spacy_cats.recognize,
    chatbots.recognize,
)


def recognize(
    head: Sequence[Record], columns: tuple[str, ...] | None = None, kind: str = "jsonl", name: str = ""
) -> Tool | None:
    """The label tool that wrote a file, or None.

    Args:
        head: the first records, as many as were sniffed; for kind 'txt' the lines, each as `{"text": line}`.
        columns: of a file whose rows all have the same; where a tool goes by columns, the head's keys are enough.
        kind: as in `FileFormat.kind`.
        name: the file's, which Dialogflow takes its label from.

    Raises:
        UserError: it is the export of a label tool, but not of labels of whole texts.
    """
    if kind == "txt":
        lines = [str(record.get("text") or "") for record in head]
        return next((tool for tool in (ask(lines) for ask in _BY_LINES) if tool is not None), None)
    records = [record for record in head if isinstance(record, dict)]
    if not records or (columns is not None and len(columns) < 2):
        return None
    return next((tool for tool in (ask(records, name) for ask in _BY_RECORDS) if tool is not None), None)


def recognize_document(value: object, name: str = "") -> Document | None:
    """The rows of a file that is one JSON object, if it is one of a tool's that is known; else None.

    Args:
        value: the file's, parsed.
        name: the file's path, for the places of rows.
    """
    if not isinstance(value, dict):
        return None
    return rasa.read_document(value, name) or chatbots.read_document(value, name)


def unclear_label(roles: Roles, where: str) -> UserError:
    """The error for a label tool's file with several questions, of which the recipe names none."""
    listed = ", ".join(repr(name) for name in roles.choices)
    return UserError(
        f"the texts were given labels for {len(roles.choices)} questions: {listed}",
        where=where,
        fix=f"Choose one: data.label.column={roles.choices[0]}",
    )
