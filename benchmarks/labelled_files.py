"""Labelled files of many kinds, as people publish them, of the same sixty texts; what is right for each is known.

The texts hold commas, semicolons, quotes and apostrophes, which mislead readers that guess. The kinds of label
tools and folders are in `labelled_exports.py`.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
from pyarrow import feather

GOOD = ("I loved this film, truly", "the best pizza in town", "it's a lovely place; go there", 'he said "great" twice')
BAD = ("I hated every minute", "boring, long and loud", "it's broken; don't buy", 'she called it "junk"')
ROWS = tuple(
    (f"{(GOOD if index % 2 else BAD)[index // 2 % 4]} number {index}", "pos" if index % 2 else "neg")
    for index in range(60)
)
RECORDS = [{"text": text, "label": label} for text, label in ROWS]
HALVES = {"neg": 30, "pos": 30}
DIGITS = {"0": 30, "1": 30}
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Kind:
    """One kind of file or folder: its name, what it is, the labels that are right (with counts), and its files."""

    name: str
    what: str
    labels: Mapping[str, int]
    files: Files


def as_csv(rows: Iterable[Sequence[object]], header: Sequence[str] | None = ("text", "label"), **dialect: Any) -> str:
    """The rows as the csv module writes them."""
    out = io.StringIO()
    writer = csv.writer(out, **dialect)
    if header is not None:
        writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def as_lines(records: Iterable[object]) -> str:
    """JSON lines."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def digit(label: str, low: int = 0, high: int = 1) -> int:
    """The label as a number."""
    return high if label == "pos" else low


def separated() -> Iterable[Kind]:
    """Text files with separators."""
    tagged = as_csv(ROWS)
    yield one("sst2.tsv", "tsv with 0 and 1", "sentence\tlabel\n" + joined(lambda t, y: f"{t}\t{digit(y)}"), DIGITS)
    yield one("imdb.csv", "columns review, sentiment", as_csv(ROWS, ("review", "sentiment")))
    spam = as_csv([(y, t, "", "", "") for t, y in ROWS], ("v1", "v2", "", "", ""))
    yield one(
        "spam.csv", "columns v1, v2 and three empty ones, Windows-1252", spam.replace("truly", "très").encode("cp1252")
    )
    yield one("SMSSpamCollection", "no suffix, no header, label first", joined(lambda t, y: f"{y}\t{t}"))
    topics = as_csv([(digit(y, 1, 2), t[:9], t) for t, y in ROWS], None)
    yield one("news.csv", "no header: class, title, description", topics, {"1": 30, "2": 30})
    stars = as_csv([(digit(y, 1, 2), t) for t, y in ROWS], None, quoting=csv.QUOTE_ALL)
    yield one("yelp.csv", "no header: class, text, all quoted", stars, {"1": 30, "2": 30})
    day = "Mon Apr 06 22:19:45 2009"
    tweets = as_csv([(digit(y, 0, 4), 1000 + n, day, "NO_QUERY", f"user{n}", t) for n, (t, y) in enumerate(ROWS)], None)
    yield one("tweets.csv", "no header, six columns", tweets, {"0": 30, "4": 30})
    numbered = [(n, t, y) for n, (t, y) in enumerate(ROWS)]
    yield one("ids.csv", "an id, columns tweet and emotion", as_csv(numbered, ("tweet_id", "tweet", "emotion")))
    yield one("index.csv", "an index without a name", as_csv(numbered, ("", "message", "intent")))
    yield one("unnamed.csv", "pandas' 'Unnamed: 0'", as_csv(numbered, ("Unnamed: 0", "comment", "category")))
    german = as_csv([(t.replace("town", "München"), y) for t, y in ROWS], ("Text", "Klasse"), delimiter=";")
    yield one("german.csv", "`;` and Windows-1252, as Excel writes in Europe", german.encode("cp1252"))
    yield one("excel.csv", "first line `sep=;`", "sep=;\r\n" + as_csv(ROWS, delimiter=";"))
    yield one("bom.csv", "UTF-8 with a byte order mark", tagged.encode("utf-8-sig"))
    yield one("utf16.csv", "UTF-16", tagged.encode("utf-16"))
    yield one("unicode.txt", "UTF-16 with tabs, Excel's Unicode text", as_csv(ROWS, delimiter="\t").encode("utf-16"))
    russian = as_csv(
        [(f"это {'хороший' if y == 'pos' else 'плохой'} день номер {n}", y) for n, (_, y) in enumerate(ROWS)]
    )
    yield one("russian.csv", "Windows-1251", russian.encode("cp1251"))
    japanese = as_csv(
        [(f"この店は{'とても良い' if y == 'pos' else '本当に悪い'}です {n}", y) for n, (_, y) in enumerate(ROWS)]
    )
    yield one("japanese.csv", "Shift JIS", japanese.encode("shift_jis"))
    single = "text,label\n" + joined(lambda t, y: "'" + t.replace("'", "''") + f"','{y}'")
    yield one("single.csv", "single quotes around fields", single)
    escaped = "text,label\n" + joined(lambda t, y: '"' + t.replace('"', '\\"') + f'",{y}')
    yield one("escaped.csv", "backslashes before quotes", escaped)
    yield one("lines.csv", "line breaks in quoted texts", as_csv([(t + "\nand more, here", y) for t, y in ROWS]))
    yield one("tabs.csv", "tabs in a .csv", as_csv(ROWS, delimiter="\t"))
    yield one("commas.tsv", "commas in a .tsv", tagged)
    yield one("pipe.txt", "`|` in a .txt", as_csv(ROWS, delimiter="|"))
    spaced = "text, label\n" + joined(lambda t, y: '"' + t.replace('"', '""') + f'", {y}')
    yield one("spaced.csv", "a space after each comma", spaced)
    yield one("blank.csv", "blank lines before and after", "\n\n" + tagged + "\n\n\n")
    yield one("commented.tsv", "a comment in the first line", "# exported today\n" + as_csv(ROWS, delimiter="\t"))
    yield one("mac.csv", "lines that end with carriage returns", as_csv(ROWS, lineterminator="\r"))
    named = [(n % 7, f"http://example.org/{n}", t, y) for n, (t, y) in enumerate(ROWS)]
    yield one(
        "long.csv", "other columns, long names", as_csv(named, ("Likes", "URL", "Customer Review", "Sentiment Class"))
    )


def packed() -> Iterable[Kind]:
    """Compressed text files."""
    yield one("reviews.csv.gz", "gzip", gzip.compress(as_csv(ROWS).encode()))
    yield one("reviews.jsonl.bz2", "bzip2", bz2.compress(as_lines(RECORDS).encode()))
    yield one("reviews.csv.zst", "Zstandard", pa.compress(as_csv(ROWS).encode(), codec="zstd", asbytes=True))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("__MACOSX/._data.csv", "x")
        archive.writestr("data.csv", as_csv(ROWS))
    yield one("reviews.zip", "a zip of one file (and a Mac's __MACOSX)", out.getvalue())


def json_files() -> Iterable[Kind]:
    """JSON in the shapes that libraries write."""
    frame = pd.DataFrame(RECORDS)
    story = {"link": "http://example.org", "authors": "", "date": "2018-01-01"}
    yield one(
        "news.json",
        "lines in a .json, other columns",
        as_lines({**story, "headline": t, "category": y} for t, y in ROWS),
    )
    yield one("array.json", "an array, indented", json.dumps(RECORDS, indent=2))
    columns = {"text": [t for t, _ in ROWS], "label": [y for _, y in ROWS]}
    yield one("columns.json", "an object of columns", json.dumps(columns))
    yield one("pandas.json", "pandas' to_json", frame.to_json())
    yield one("split.json", "pandas' orient=split", frame.to_json(orient="split"))
    yield one("table.json", "pandas' orient=table", frame.to_json(orient="table"))
    yield one("nested.json", "rows under `data`", json.dumps({"version": "1.0", "data": RECORDS}))
    yield one("deep.json", "rows under `result.items`", json.dumps({"status": 1, "result": {"items": RECORDS}}))
    yield one("pairs.json", "an array of arrays", json.dumps(ROWS))
    yield one("splits.json", "train and test in one object", json.dumps({"train": RECORDS[:40], "test": RECORDS[40:]}))
    yield one(
        "true.jsonl",
        "true and false",
        as_lines({"text": t, "is_good": y == "pos"} for t, y in ROWS),
        {"true": 30, "false": 30},
    )
    yield one(
        "float.jsonl", "labels 1.0 and 0.0", as_lines({"text": t, "label": float(digit(y))} for t, y in ROWS), DIGITS
    )
    yield one("list.jsonl", "a list of one label", as_lines({"text": t, "label": [y]} for t, y in ROWS))


def columnar() -> Iterable[Kind]:
    """Parquet and Arrow."""
    table = pa.table({"text": [t for t, _ in ROWS], "label": pa.array([y for _, y in ROWS]).dictionary_encode()})
    plain = table.cast(pa.schema([("text", pa.string()), ("label", pa.string())]))
    yield one("dictionary.parquet", "dictionary-encoded labels", written(lambda out: pq.write_table(table, out)))
    yield one("table.feather", "Feather", written(lambda out: feather.write_feather(plain, out)))

    def stream(out: io.BytesIO) -> None:
        with pyarrow.ipc.new_stream(out, plain.schema) as writer:
            writer.write_table(plain)

    yield one("data.arrow", "an Arrow stream, as `datasets` caches", written(stream))


def one(name: str, what: str, content: str | bytes, labels: Mapping[str, int] = HALVES) -> Kind:
    """A kind that is one file."""
    return Kind(name, what, labels, {"": content.encode() if isinstance(content, str) else content})


def joined(line: Callable[[str, str], str]) -> str:
    """One line for each row."""
    return "".join(line(text, label) + "\n" for text, label in ROWS)


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    """What `write` writes."""
    out = io.BytesIO()
    write(out)
    return out.getvalue()
