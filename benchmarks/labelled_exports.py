"""Exports of label tools, as their own exporters write them, and folders of labelled texts; and writing every kind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from labelled_files import (
    DIGITS,
    HALVES,
    RECORDS,
    ROWS,
    Kind,
    as_csv,
    as_lines,
    columnar,
    digit,
    joined,
    json_files,
    one,
    packed,
    separated,
    written,
)


def label_tools() -> Iterable[Kind]:
    """Exports of label tools and chatbots."""
    yield one("lid.train", "fastText", joined(lambda t, y: f"__label__{y} , {t.lower()}"))
    yield one(
        "cats.jsonl",
        "spaCy's cats",
        as_lines({"text": t, "cats": {"pos": float(y == "pos"), "neg": float(y == "neg")}} for t, y in ROWS),
    )
    by_label = {label: [t for t, y in ROWS if y == label] for label in HALVES}
    markdown = "\n".join(f"## intent:{label}\n" + "".join(f"- {t}\n" for t in by_label[label]) for label in by_label)
    yield one("nlu.md", "Rasa's Markdown", markdown)
    examples = [{"text": t, "intent": y, "entities": []} for t, y in ROWS]
    yield one("nlu.json", "Rasa's JSON", json.dumps({"rasa_nlu_data": {"common_examples": examples}}))
    indented = "".join(
        f"- intent: {label}\n  examples: |\n" + "".join(f"    - {t}\n" for t in by_label[label]) for label in by_label
    )
    yield one("nlu.yml", "Rasa's YAML", 'version: "3.1"\nnlu:\n' + indented)
    intents = [{"tag": label, "patterns": by_label[label], "responses": ["ok"]} for label in by_label]
    yield one("intents.json", "a chatbot's intents", json.dumps({"intents": intents}))
    numbered = [(n, t, y, "") for n, (t, y) in enumerate(ROWS)]
    yield one("doccano.csv", "doccano's csv", as_csv(numbered, ("id", "text", "label", "Comments")))
    yield one(
        "doccano.jsonl",
        "doccano's jsonl",
        as_lines({"id": n, "text": t, "label": [y], "Comments": []} for n, (t, y) in enumerate(ROWS)),
    )
    when = {"created_at": "2024-01-01", "updated_at": "2024-01-01", "lead_time": 1.5}
    least = [
        {"text": t, "id": n, "mood": y, "annotator": 1, "annotation_id": n, **when} for n, (t, y) in enumerate(ROWS)
    ]
    yield one("min.json", "Label Studio's JSON-MIN", json.dumps(least))
    yield one(
        "tasks.json", "Label Studio's JSON", json.dumps([label_studio_task(n, t, y) for n, (t, y) in enumerate(ROWS)])
    )
    oos = {"oos_train": [["what is this", "oos"]], "oos_val": [], "oos_test": [["who is that", "oos"]]}
    clinc = {"train": ROWS[:40], "val": ROWS[40:50], "test": ROWS[50:], **oos}
    yield one("clinc.json", "CLINC150", json.dumps(clinc), {**HALVES, "oos": 2})
    options = [{"id": label, "text": label} for label in HALVES]
    chosen = ({"text": t, "options": options, "accept": [y], "answer": "accept", "_view_id": "choice"} for t, y in ROWS)
    yield one("prodigy.jsonl", "Prodigy's choices", as_lines(chosen))


def label_studio_task(number: int, text: str, label: str) -> dict[str, Any]:
    """A task with one annotation that counts and one that was cancelled."""
    result = {"type": "choices", "value": {"choices": [label]}, "from_name": "mood", "to_name": "text"}
    counted = {"id": number, "completed_by": 1, "was_cancelled": False, "result": [result], "created_at": "2024-01-01"}
    cancelled = {**counted, "was_cancelled": True, "result": [], "created_at": "2024-01-02"}
    return {"id": number, "data": {"text": text}, "annotations": [counted, cancelled], "predictions": []}


def folders() -> Iterable[Kind]:
    """Folders."""
    yield Kind(
        "imdb",
        "split/class/*.txt",
        HALVES,
        {f"{'train' if n < 40 else 'test'}/{y}/{n}_7.txt": t.encode() for n, (t, y) in enumerate(ROWS)},
    )
    yield Kind(
        "polarity",
        "one file a class",
        HALVES,
        {f"{label}.txt": "".join(text + "\n" for text, own in ROWS if own == label).encode() for label in HALVES},
    )
    texts, numbers = [t + "\n" for t, _ in ROWS], [f"{digit(y)}\n" for _, y in ROWS]
    yield Kind(
        "tweeteval",
        "texts, labels and names in files of their own",
        HALVES,
        {
            "train_text.txt": "".join(texts[:40]).encode(),
            "train_labels.txt": "".join(numbers[:40]).encode(),
            "val_text.txt": "".join(texts[40:]).encode(),
            "val_labels.txt": "".join(numbers[40:]).encode(),
            "mapping.txt": b"0\tneg\n1\tpos\n",
        },
    )
    known = as_csv([(n, "", t, digit(y)) for n, (t, y) in enumerate(ROWS)], ("id", "keyword", "text", "target"))
    unknown = as_csv([(n, "", t) for n, (t, _) in enumerate(ROWS)], ("id", "keyword", "text"))
    answers = as_csv([(n, 0) for n in range(60)], ("id", "target"))
    kaggle = {"train.csv": known, "test.csv": unknown, "sample_submission.csv": answers}
    yield Kind("kaggle", "a test file without labels", DIGITS, {name: text.encode() for name, text in kaggle.items()})
    yield Kind(
        "shards",
        "data/train-00000-of-00002.parquet",
        HALVES,
        {
            f"data/train-{n:05}-of-00002.parquet": written(
                lambda out: pq.write_table(pa.Table.from_pylist(RECORDS[30 * n : 30 * n + 30]), out)  # noqa: B023
            )
            for n in range(2)
        },
    )
    yield Kind(
        "mine",
        "my_train.csv and my_test.csv",
        HALVES,
        {"my_train.csv": as_csv(ROWS[:40]).encode(), "my_test.csv": as_csv(ROWS[40:]).encode()},
    )
    yield Kind(
        "capital",
        "Train.csv and Test.csv",
        HALVES,
        {"Train.csv": as_csv(ROWS[:40]).encode(), "Test.csv": as_csv(ROWS[40:]).encode()},
    )
    yield Kind("alone", "data.csv alone", HALVES, {"data.csv": as_csv(ROWS).encode()})


def all_kinds() -> list[Kind]:
    """Every kind."""
    return [*separated(), *packed(), *json_files(), *columnar(), *label_tools(), *folders()]


def write_all(folder: Path) -> list[Kind]:
    """Write every kind into `folder`; a kind's path is the folder and its name."""
    kinds = all_kinds()
    for kind in kinds:
        for name, content in kind.files.items():
            path = folder / kind.name / name if name else folder / kind.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return kinds
