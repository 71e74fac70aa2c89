"""`feathertune predict --input`: columns that are kept, standard input, bad rows, and what is said about it all."""

import csv
import io
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feathertune.recipe.files import parse_recipe
from feathertune.run.train import train
from shell import Result, feathertune
from tiny import save_tiny_base, write_tiny_data

OWN = ["row", "text", "label", "score", "probability_no", "probability_yes"]
Predict = Callable[..., Result]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `lora`, which cuts texts at 8 tokens, and the run `words` of a bag of words."""
    folder = tmp_path_factory.mktemp("predict")
    save_tiny_base(folder / "base")
    write_tiny_data(folder / "data")
    text = f"""
    model: {{source: '{folder / "base"}', max_length: 8}}
    data: {{source: '{folder / "data"}', text: text, label: {{column: label}}}}
    training: {{epochs: 1, precision: fp32}}
    """
    for name, method in (("lora", "lora"), ("words", "bag_of_words")):
        train(parse_recipe(text, [f"method={method}"], where="here"), folder / name)
    return folder


@pytest.fixture
def predict(place: Path, tmp_path: Path) -> Predict:
    """The command with the run `words`, in a folder of its own."""
    return lambda *arguments, run="words": feathertune("predict", str(place / run), *arguments, cwd=tmp_path)


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Gives standard input."""
    return lambda content: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def rows_of(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content, newline="")))


def labels(predict: Predict, *texts: str) -> list[str]:
    return [row["label"] for row in json.loads(predict(*texts, "--format", "json").stdout)]


TABLE = "id,review,stars\n007,the cat can sing a song,5\n8,a red moon over the sea,NA\n"


def test_other_columns_are_kept_as_they_are_unless_refused(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(TABLE, encoding="utf-8")
    done = predict("--input", "new.csv")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    assert list(rows[0]) == [*OWN, "id", "stars"]
    assert [(row["row"], row["id"], row["stars"]) for row in rows] == [("2", "007", "5"), ("3", "8", "NA")]
    assert [row["text"] for row in rows] == ["the cat can sing a song", "a red moon over the sea"]
    assert [row["label"] for row in rows] == labels(predict, *(row["text"] for row in rows))
    assert "note: new.csv: the text is the column 'review', as there is no 'text'\n2 predictions" in done.stderr
    bare = predict("--input", "new.csv", "--no-keep-columns", "--text-column", "review")
    assert bare.stdout.splitlines() == [",".join(line.split(",")[:6]) for line in done.stdout.splitlines()]
    assert bare.stderr == "2 predictions written\n"


def test_a_gold_label_stays_beside_the_predicted_one(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text('{"text": "the cat", "label": "gold", "n": 1}\n', encoding="utf-8")
    done = predict("--input", "gold.jsonl", "--format", "jsonl")
    row = json.loads(done.stdout)
    assert (row["label"], row["input_label"], row["n"]) == (labels(predict, "the cat")[0], "gold", 1)
    assert "the input's column 'label' is 'input_label'" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "columns"),
    [("out.csv", ["n", "m"]), ("out.parquet", ["n", "m"])],
)
def test_the_columns_of_a_file_of_json_lines_are_those_of_all_its_rows(
    predict: Predict, tmp_path: Path, name: str, columns: list[str]
) -> None:
    (tmp_path / "new.jsonl").write_text('{"text": "a cat", "n": 1}\n{"text": "the moon", "m": 0.5}\n', encoding="utf-8")
    assert predict("--input", "new.jsonl", "--output", name).returncode == 0
    if name.endswith("parquet"):
        table = pq.read_table(tmp_path / name)
        assert table.column_names == [*OWN, *columns]
        assert (table["n"].to_pylist(), table["m"].to_pylist()) == ([1, None], [None, 0.5])
        assert table["row"].to_pylist() == [1, 2]
    else:
        rows = rows_of((tmp_path / name).read_text("utf-8"))
        assert [(row["n"], row["m"]) for row in rows] == [("1", ""), ("", "0.5")]


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_all_formats_hold_the_same(predict: Predict, tmp_path: Path, kind: str) -> None:
    (tmp_path / "new.csv").write_text(TABLE, encoding="utf-8")
    output = tmp_path / f"out.{kind}"
    done = predict("--input", "new.csv", "--output", output.name)
    assert "2 predictions written to" in done.stderr
    wanted = json.loads(predict("--input", "new.csv", "--format", "json").stdout)
    if kind == "parquet":
        rows = pq.read_table(output).to_pylist()
    elif kind == "csv":
        rows = [{**row, "row": int(row["row"])} for row in rows_of(output.read_text("utf-8"))]
    else:
        content = output.read_text("utf-8")
        rows = json.loads(content) if kind == "json" else [json.loads(line) for line in content.splitlines()]
    for row, other in zip(rows, wanted, strict=True):
        assert [row[name] for name in ("row", "text", "label", "id", "stars")] == [
            other[name] for name in ("row", "text", "label", "id", "stars")
        ]
        yes = row["probabilities"]["yes"] if "probabilities" in row else float(row["probability_yes"])
        assert yes == other["probabilities"]["yes"]


@pytest.mark.parametrize("extra", [(), ("--format", "jsonl"), ("--output", "out.csv")])
@pytest.mark.parametrize(
    "content",
    [
        b"the cat\na red moon\n",
        b"the cat\r\na red moon",
        b"\xef\xbb\xbfthe cat\na red moon\n",
        b'{"text": "the cat"}\n{"text": "a red moon"}\n',
        b'text,n\n"the cat",1\na red moon,2\n',
    ],
)
def test_standard_input_is_lines_json_lines_or_what_its_header_says(
    predict: Predict, give: Callable[[bytes], None], tmp_path: Path, content: bytes, extra: tuple[str, ...]
) -> None:
    of_header = b"text,n" in content
    give(content)
    done = predict("--input", "-", *(("--read", "format=csv") if of_header else ()), *extra)
    assert done.returncode == 0, done.stderr
    if "--format" in extra:
        rows = [json.loads(line) for line in done.stdout.splitlines()]
    else:
        rows = rows_of((tmp_path / "out.csv").read_text("utf-8") if extra else done.stdout)
    assert [row["text"] for row in rows] == ["the cat", "a red moon"]
    assert [row["label"] for row in rows] == labels(predict, "the cat", "a red moon")
    assert [row.get("n") for row in rows] == (["1", "2"] if of_header else [None, None])


def test_standard_input_is_answered_before_its_end(
    predict: Predict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second text is only sent once the first is answered."""
    answered, sent = threading.Event(), [b"the cat\n"]

    class Slow(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            if sent:
                return sent.pop()
            if answered.is_set():
                return b""
            assert '"text": "the cat"' in sys.stdout.getvalue()  # type: ignore[attr-defined]
            answered.set()
            return b"a red moon\n"

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Slow()))
    done = predict("--input", "-", "--format", "jsonl")
    assert (done.returncode, len(done.stdout.splitlines()), answered.is_set()) == (0, 2, True), done.stderr


@pytest.mark.parametrize(("content", "message"), [(b"", "standard input is empty"), (b"the cat\n\n", "stdin:2: ")])
def test_errors_name_standard_input(
    predict: Predict, give: Callable[[bytes], None], content: bytes, message: str
) -> None:
    give(content)
    done = predict("--input", "-")
    assert (done.returncode, message in done.stderr) == (2, True)


BAD = b'id,text\n1,the cat\n2," "\n3\n4,caf\xe9\n5,a red moon\n'


def test_bad_rows_have_empty_answers_if_they_may(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(BAD)
    done = predict("--input", "bad.csv", "--on-bad-row", "skip")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    assert [row["row"] for row in rows] == ["2", "3", "4", "5", "6"]
    assert [row["id"] for row in rows] == ["1", "2", "", "", "5"]
    assert [row["label"] == row["score"] == row["probability_no"] == "" for row in rows] == [
        False, True, True, True, False,
    ]  # fmt: skip
    said = " ".join(done.stderr.split())
    assert "2 predictions written" in said
    assert "3 bad rows have an empty answer: bad.csv:3 (the text is empty); bad.csv:4 (1 fields" in said
    found = json.loads(predict("--input", "bad.csv", "--on-bad-row", "skip", "--format", "json").stdout)
    assert [row["label"] is row["probabilities"] is None for row in found] == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("rows", "proposed"),
    [
        (["the cat"] * 20 + [" "] + ["a moon"] * 20, True),
        ([" "] + ["a moon"] * 20, True),
        ([" "] * 20 + ["a moon"], False),
        ([" "] * 3, False),
    ],
)
def test_to_pass_over_bad_rows_is_proposed_where_few_are_bad(
    predict: Predict, tmp_path: Path, rows: list[str], proposed: bool
) -> None:
    (tmp_path / "new.csv").write_text("\n".join(["text,n", *(f"{row},1" for row in rows), ""]), encoding="utf-8")
    done = predict("--input", "new.csv", "--output", "out.csv")
    assert (done.returncode, done.stdout, (tmp_path / "out.csv").exists()) == (2, "", False)
    assert f"new.csv:{rows.index(' ') + 2}: the text is empty" in done.stderr
    assert ("--on-bad-row skip" in done.stderr, "of the first" in done.stderr) == (proposed, not proposed)
    skipped = predict("--input", "new.csv", "--on-bad-row", "skip", "--output", "out.csv")
    assert (skipped.returncode == 0) == (set(rows) != {" "})
    assert (tmp_path / "out.csv").exists() == (set(rows) != {" "})


def test_cut_texts_are_counted(predict: Predict, tmp_path: Path) -> None:
    long = "the cat can sing a song about the moon"
    (tmp_path / "new.txt").write_text(f"{long}\nthe cat\n{long}\n", encoding="utf-8")
    done = predict("--input", "new.txt", run="lora")
    assert done.stderr == "3 predictions written\nnote: 2 texts were cut at 8 tokens; the rest was not read\n"
    one = predict(long, "the cat", run="lora")
    assert one.stderr == "note: 1 text was cut at 8 tokens; the rest was not read\n"
    assert predict("--input", "new.txt").stderr == "3 predictions written\n"  # a bag of words reads all


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "there is no column 'text' (the columns are 'a', 'b')"),
        ("one,two\n" + "the cat can sing a song,a red moon over the sea\n" * 9, "there is no column 'text'"),
    ],
)
def test_an_unclear_text_column_is_an_error(predict: Predict, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "new.csv").write_text(content, encoding="utf-8")
    done = predict("--input", "new.csv")
    assert (done.returncode, message in done.stderr, "--text-column" in done.stderr) == (2, True, True)


def test_several_columns_are_one_text(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("title,body\nthe cat,a moon\nthe sun,\n", encoding="utf-8")
    rows = rows_of(predict("--input", "new.csv", "--text-column", "[title, body]").stdout)
    assert [(row["text"], row["title"], row["body"]) for row in rows] == [
        ("the cat\na moon", "the cat", "a moon"),
        ("the sun", "the sun", ""),
    ]


def test_a_folder_s_splits_are_predicted_one_after_the_other(predict: Predict, place: Path) -> None:
    done = predict("--input", str(place / "data"))
    assert done.returncode == 0, done.stderr
    found = [(row["split"], row["text"]) for row in rows_of(done.stdout)]
    wanted = []
    for split in ("train", "validation"):
        lines = (place / "data" / f"{split}.jsonl").read_text("utf-8").splitlines()
        wanted += [(split, json.loads(line)["text"]) for line in lines]
    assert found == wanted
    assert "all of it is predicted" in done.stderr.replace("\n", " ")


def test_a_folder_without_labels_is_read_file_by_file(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "may.csv").write_text("text\nthe cat\n", encoding="utf-8")
    (tmp_path / "new" / "june.jsonl").write_text('{"text": "a red moon"}\n', encoding="utf-8")
    done = predict("--input", "new")
    found = [(row["split"], row["text"], row["label"]) for row in rows_of(done.stdout)]
    cat, moon = labels(predict, "the cat", "a red moon")
    assert found == [("june.jsonl", "a red moon", moon), ("may.csv", "the cat", cat)], done.stderr
    (tmp_path / "empty").mkdir()
    assert (predict("--input", "empty").returncode, predict("--input", "none").returncode) == (2, 2)
